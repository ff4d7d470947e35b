//! Constants of a frozen TensorFlow graph (`GraphDef`, protobuf wire format).
//!
//! Nodes are walked for their names and constants; nothing of the graph is executed. Every length is held against
//! the bytes that there are before anything is allocated, so memory is bounded by the file, and by
//! [`MAX_NODES`], [`MAX_NAME_BYTES`] and [`MAX_LISTED_VALUES`] until a constant is read.
//!
//! Message and field numbers: `graph.proto`, `node_def.proto`, `attr_value.proto`, `tensor.proto`,
//! `tensor_shape.proto` and `types.proto` of `tensorflow/core/framework`.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::wire::{Field, Value, Wire};

/// Nodes in a graph; DeepSpeech 0.1.0 has a few hundred.
const MAX_NODES: usize = 100_000;
const MAX_NAME_BYTES: u64 = 1024;
const MAX_AXES: usize = 8;
/// Values that are stored as a list of numbers instead of raw bytes, and what such a list may be repeated to.
const MAX_LISTED_VALUES: u64 = 1 << 20;

/// Why a file is not a frozen graph that can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// Another kind of file.
    #[error(
        "this is not a frozen TensorFlow graph{}; what is wanted is the file output_graph.pb itself", looks(*.looks_like)
    )]
    NotGraph {
        /// What the first bytes look like, where that is known.
        looks_like: Option<&'static str>,
    },
    /// A download that was broken off.
    #[error(
        "the graph file is cut off: it has {found} bytes and goes on to byte {needed} at least; download it again"
    )]
    CutOff {
        /// Bytes there are.
        found: u64,
        /// Bytes that what is there speaks of.
        needed: u64,
    },
    /// Bytes that no program writes.
    #[error("the graph file is damaged at byte {at} ({what}); download it again")]
    Damaged {
        /// Where.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A constant that was asked for is not there.
    #[error("the graph has no constant {name:?}")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A constant is no array of floats.
    #[error("constant {name:?} of the graph has values of TensorFlow type {found}; float (1) is wanted")]
    Type {
        /// Its name.
        name: String,
        /// Number in `types.proto`.
        found: u64,
    },
    /// The bytes could not be read.
    #[error("the graph file cannot be read: {0}")]
    Io(#[from] io::Error),
}

fn looks(like: Option<&'static str>) -> String {
    like.map(|like| format!(" (it looks like {like})")).unwrap_or_default()
}

/// What is known of a constant without reading its values.
#[derive(Debug, Clone)]
struct Constant {
    kind: u64,
    shape: Vec<u64>,
    values: Values,
}

#[derive(Debug, Clone)]
enum Values {
    /// Little-endian values at this place of the file.
    Raw { at: u64, bytes: u64 },
    /// Values one by one; the last one is repeated until the shape is full.
    List(Vec<f32>),
}

/// A frozen graph whose constants can be read one at a time.
pub struct Graph<R> {
    wire: Wire<R>,
    constants: BTreeMap<String, Constant>,
}

impl<R> std::fmt::Debug for Graph<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Graph({} constants)", self.constants.len())
    }
}

impl<R: Read + Seek> Graph<R> {
    /// Walks the nodes of a graph, from the start of `source`.
    ///
    /// # Errors
    /// [`GraphError`] when the bytes are no frozen graph, damaged or cut off.
    pub fn open(mut source: R) -> Result<Self, GraphError> {
        let found = source.seek(SeekFrom::End(0))?;
        source.seek(SeekFrom::Start(0))?;
        let mut start = [0; 16];
        let mut filled = 0;
        while filled < start.len() {
            match source.read(&mut start[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        source.seek(SeekFrom::Start(0))?;
        // A graph starts with a node, which is field 1 with a length.
        if start[0] != 0x0a || filled < 4 || found < 4 {
            return Err(GraphError::NotGraph { looks_like: known(&start[..filled]) });
        }
        let mut graph = Self { wire: Wire::new(BufReader::new(source), found), constants: BTreeMap::new() };
        let mut nodes = 0;
        let mut listed = 0;
        while let Some(field) = graph.wire.field(found)? {
            let Field { number: 1, value: Value::Bytes { end } } = field else {
                graph.wire.pass(&field)?;
                continue;
            };
            nodes += 1;
            if nodes > MAX_NODES {
                return Err(graph.wire.damaged("more nodes than any graph has"));
            }
            graph.node(end, &mut listed)?;
            graph.wire.go(end)?;
        }
        Ok(graph)
    }

    /// Names of all constants, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.constants.keys().map(String::as_str)
    }

    /// The shape of a constant.
    pub fn shape(&self, name: &str) -> Option<&[u64]> {
        self.constants.get(name).map(|constant| &constant.shape[..])
    }

    /// Reads a constant of `float` values, row-major.
    ///
    /// # Errors
    /// [`GraphError::Missing`], [`GraphError::Type`], and [`GraphError::Damaged`] when values do not fill the shape.
    pub fn read(&mut self, name: &str) -> Result<Vec<f32>, GraphError> {
        let missing = || GraphError::Missing { name: name.to_owned() };
        let constant = self.constants.get(name).ok_or_else(missing)?.clone();
        if constant.kind != FLOAT {
            return Err(GraphError::Type { name: name.to_owned(), found: constant.kind });
        }
        let count = constant.shape.iter().try_fold(1u64, |n, &axis| n.checked_mul(axis));
        let mismatch = |at| GraphError::Damaged { at, what: "a constant's values do not fill its shape" };
        match constant.values {
            Values::Raw { at, bytes } => {
                // Both are at most the file's length, as the bytes are there.
                if count.and_then(|count| count.checked_mul(4)) != Some(bytes) {
                    return Err(mismatch(at));
                }
                self.wire.floats_at(at, bytes / 4)
            }
            Values::List(mut values) => {
                let count = count.filter(|&count| count <= MAX_LISTED_VALUES && count >= values.len() as u64);
                let count = count.and_then(|count| usize::try_from(count).ok()).ok_or_else(|| mismatch(0))?;
                // An empty list stands for zeros.
                values.resize(count, values.last().copied().unwrap_or(0.0));
                Ok(values)
            }
        }
    }

    /// `NodeDef`: name 1, op 2, attr 5.
    fn node(&mut self, end: u64, listed: &mut u64) -> Result<(), GraphError> {
        let (mut name, mut is_constant, mut constant) = (None, false, None);
        while let Some(field) = self.wire.field(end)? {
            match field {
                Field { number: 1, value: Value::Bytes { end } } => {
                    name = Some(self.wire.text(end, MAX_NAME_BYTES)?);
                }
                Field { number: 2, value: Value::Bytes { end } } => {
                    is_constant = self.wire.text(end, MAX_NAME_BYTES)? == "Const";
                }
                Field { number: 5, value: Value::Bytes { end } } => {
                    if let Some(found) = self.attribute(end, listed)? {
                        constant = Some(found);
                    }
                    self.wire.go(end)?;
                }
                other => self.wire.pass(&other)?,
            }
        }
        if let (Some(name), true, Some(constant)) = (name, is_constant, constant) {
            self.constants.insert(name, constant);
        }
        Ok(())
    }

    /// An entry of `map<string, AttrValue>`: key 1, value 2; of interest is the tensor (field 8) of the key "value".
    fn attribute(&mut self, end: u64, listed: &mut u64) -> Result<Option<Constant>, GraphError> {
        let (mut is_value, mut constant) = (false, None);
        while let Some(field) = self.wire.field(end)? {
            match field {
                Field { number: 1, value: Value::Bytes { end } } => {
                    is_value = self.wire.text(end, MAX_NAME_BYTES)? == "value";
                }
                Field { number: 2, value: Value::Bytes { end } } => {
                    while let Some(field) = self.wire.field(end)? {
                        match field {
                            Field { number: 8, value: Value::Bytes { end } } => {
                                constant = Some(self.tensor(end, listed)?);
                            }
                            other => self.wire.pass(&other)?,
                        }
                    }
                }
                other => self.wire.pass(&other)?,
            }
        }
        Ok(constant.filter(|_| is_value))
    }

    /// `TensorProto`: dtype 1, `tensor_shape` 2, `tensor_content` 4, `float_val` 5.
    fn tensor(&mut self, end: u64, listed: &mut u64) -> Result<Constant, GraphError> {
        let mut constant = Constant { kind: 0, shape: Vec::new(), values: Values::List(Vec::new()) };
        while let Some(field) = self.wire.field(end)? {
            match field {
                Field { number: 1, value: Value::Number(kind) } => constant.kind = kind,
                Field { number: 2, value: Value::Bytes { end } } => {
                    constant.shape = self.shape_message(end)?;
                }
                Field { number: 4, value: Value::Bytes { end } } => {
                    constant.values = Values::Raw { at: self.wire.at(), bytes: end - self.wire.at() };
                    self.wire.go(end)?;
                }
                // Packed, and one by one.
                Field { number: 5, value: Value::Bytes { end } } => {
                    while self.wire.at() < end {
                        let bits = self.wire.fixed32(end)?;
                        self.list(&mut constant, bits, listed)?;
                    }
                }
                Field { number: 5, value: Value::Fixed32(bits) } => self.list(&mut constant, bits, listed)?,
                other => self.wire.pass(&other)?,
            }
        }
        Ok(constant)
    }

    fn list(&self, constant: &mut Constant, bits: u32, listed: &mut u64) -> Result<(), GraphError> {
        *listed += 1;
        if *listed > MAX_LISTED_VALUES {
            return Err(self.wire.damaged("more single values than any graph has"));
        }
        if let Values::List(values) = &mut constant.values {
            values.push(f32::from_bits(bits));
        }
        Ok(())
    }

    /// `TensorShapeProto`: dim 2, whose size is 1.
    fn shape_message(&mut self, end: u64) -> Result<Vec<u64>, GraphError> {
        let mut shape = Vec::new();
        while let Some(field) = self.wire.field(end)? {
            let Field { number: 2, value: Value::Bytes { end } } = field else {
                self.wire.pass(&field)?;
                continue;
            };
            let mut size = 0;
            while let Some(field) = self.wire.field(end)? {
                match field {
                    Field { number: 1, value: Value::Number(found) } => size = found,
                    other => self.wire.pass(&other)?,
                }
            }
            if shape.len() == MAX_AXES {
                return Err(self.wire.damaged("a constant with more than 8 axes"));
            }
            shape.push(size);
        }
        Ok(shape)
    }
}

/// What files that people mistake for the graph look like.
fn known(start: &[u8]) -> Option<&'static str> {
    Some(match start {
        [] => "an empty file",
        [b'P', b'K', 3, 4, ..] => "a zip archive: unpack it first",
        [0x1f, 0x8b, ..] => "a gzip archive: unpack it first",
        [_, _, _, _, b'T', b'F', b'L', b'3', ..] => "a TensorFlow Lite model of a later DeepSpeech",
        [b'<', ..] => "a web page: the download went wrong",
        [b'v', b'e', b'r', b's', b'i', b'o', b'n', b' ', ..] => "a Git LFS pointer: fetch the file itself",
        [0x89, b'H', b'D', b'F', ..] => "a Keras or HDF5 file",
        _ => return None,
    })
}

/// `DT_FLOAT`.
const FLOAT: u64 = 1;
