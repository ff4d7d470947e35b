//! One view of all containers: named tensors, read on demand.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Seek};

use super::container::{Place, Source};
use super::dtype::DType;
use super::error::CheckpointError;
use super::family::Family;
use super::legacy;
use super::objects::{Arena, Id, Node, StorageRef};
use super::pickle;
use super::tensor::{Tensor, View};
use super::zip;

/// Longest pickle that is read, bytes. Files with optimizer state have about 100 kB.
pub(super) const MAX_PICKLE: u64 = 32 << 20;
/// Longest safetensors header that is read, bytes. Avatars have about 10 kB; parsed, it takes many times its length.
const MAX_HEADER: u64 = 4 << 20;

/// An opened checkpoint: what it holds is known, no tensor has been read yet.
#[derive(Debug)]
pub struct Checkpoint<R> {
    source: Source<R>,
    entries: Vec<Entry>,
    scalars: BTreeMap<String, f64>,
    top: Vec<String>,
    skipped: Vec<String>,
}

/// What a state dict says about one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// State-dict name.
    pub name: String,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Element type.
    pub dtype: DType,
}

#[derive(Debug)]
struct Entry {
    name: String,
    slot: Slot,
}

#[derive(Debug)]
enum Slot {
    Tensor { view: View, place: Place },
    Other(String),
}

impl<R: Read + Seek> Checkpoint<R> {
    /// Opens a PyTorch file (zip or legacy stream) or a safetensors file, told by its first bytes.
    ///
    /// Reads the pickle (at most 32 MiB) or header (at most 4 MiB), and the zip directory. Every tensor's declared size is
    /// compared with the file here; values are read by [`Self::read`].
    ///
    /// # Errors
    /// [`CheckpointError`]: another format, damage, a pickle that is not acceptable, a declared size that the
    /// file does not hold, or no dictionary of tensors.
    pub fn open(reader: R) -> Result<Self, CheckpointError> {
        let mut source = Source::new(reader)?;
        let start = source.read_at(0, source.len().min(16), "the file")?;
        if start.starts_with(b"PK\x03\x04") {
            Self::open_zip(source)
        } else if start.starts_with(&legacy::START) {
            Self::open_legacy(source)
        } else if start.get(8) == Some(&b'{') {
            Self::open_safetensors(source, &start)
        } else {
            let start = if start.is_empty() {
                "nothing, it is empty".to_owned()
            } else {
                let what = match &start[..] {
                    start if start.starts_with(b"version https:/") => {
                        ", a git-lfs pointer instead of the file: `git lfs pull` fetches it"
                    }
                    start if start.trim_ascii_start().starts_with(b"<") => ", a web page instead of the file",
                    _ => "",
                };
                format!("\"{}\"{what}", start.escape_ascii())
            };
            Err(CheckpointError::Format { start })
        }
    }

    fn open_zip(mut source: Source<R>) -> Result<Self, CheckpointError> {
        let index = zip::Index::read(&mut source)?;
        let place = index
            .place(&mut source, "data.pkl")?
            .ok_or_else(|| CheckpointError::damaged("the zip has no `data.pkl`"))?;
        if place.bytes > MAX_PICKLE {
            return Err(CheckpointError::damaged(format!(
                "`data.pkl` has {} bytes, at most {MAX_PICKLE} are accepted",
                place.bytes
            )));
        }
        if let Some(order) = index.place(&mut source, "byteorder")?
            && source.read_at(order.start, order.bytes.min(8), "`byteorder`")? == b"big"
        {
            return Err(CheckpointError::damaged("its numbers are big-endian"));
        }
        let pickle = source.read_place(place, 0, place.bytes, "`data.pkl`")?;
        let mut arena = Arena::default();
        let (root, _) = pickle::run(&pickle, 0, &mut arena)?;
        drop(pickle);
        Self::from_objects(source, &arena, root, |source, key| index.place(source, &format!("data/{key}")))
    }

    fn open_legacy(mut source: Source<R>) -> Result<Self, CheckpointError> {
        let legacy = legacy::read(&mut source)?;
        Self::from_objects(source, &legacy.arena, legacy.root, |_, key| Ok(legacy.places.get(key).copied()))
    }

    fn open_safetensors(mut source: Source<R>, start: &[u8]) -> Result<Self, CheckpointError> {
        let header_bytes = start.first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
        if header_bytes > MAX_HEADER {
            return Err(CheckpointError::damaged(format!(
                "the safetensors header declares {header_bytes} bytes, at most {MAX_HEADER} are accepted"
            )));
        }
        let header = source.read_at(8, header_bytes, "the safetensors header")?;
        // Also checks that the arrays follow each other and are as long as their shapes say.
        let metadata: safetensors::tensor::Metadata = serde_json::from_slice(&header)
            .map_err(|e| CheckpointError::damaged(format!("safetensors header: {e}")))?;
        let mut entries = Vec::new();
        for name in metadata.offset_keys() {
            let Some(info) = metadata.info(&name) else { continue };
            let (from, to) = info.data_offsets;
            let place =
                Place { start: 8 + header_bytes + from as u64, bytes: (to - from) as u64, crc32: None };
            let slot = match DType::from_safetensors(info.dtype) {
                Some(dtype) => {
                    let view =
                        View { dtype, strides: strides(&info.shape), shape: info.shape.clone(), offset: 0 };
                    let inside = place.start.checked_add(place.bytes).is_some_and(|end| end <= source.len());
                    let held = if inside { place.bytes } else { source.len().saturating_sub(place.start) };
                    check_declared(&name, &view, held)?;
                    Slot::Tensor { view, place }
                }
                None => Slot::Other(format!("an array of {:?}", info.dtype)),
            };
            entries.push(Entry { name, slot });
        }
        let scalars = metadata.metadata().iter().flatten();
        let scalars = scalars.filter_map(|(k, v)| Some((k.clone(), v.parse().ok()?))).collect();
        Ok(Self { source, entries, scalars, top: Vec::new(), skipped: Vec::new() })
    }

    /// Picks the state dict and the scalars out of a pickle's object.
    fn from_objects(
        mut source: Source<R>,
        arena: &Arena,
        root: Id,
        place_of: impl Fn(&mut Source<R>, &str) -> Result<Option<Place>, CheckpointError>,
    ) -> Result<Self, CheckpointError> {
        let Some(top) = named(arena, root)? else {
            return Err(CheckpointError::NoModel { found: arena.describe(root) });
        };
        let mut names = Vec::new();
        let mut scalars = BTreeMap::new();
        for (name, id) in top {
            names.push(name.to_owned());
            match arena.get(id) {
                #[expect(clippy::cast_precision_loss, reason = "step counts stay far below 2^53")]
                Node::Int(value) => scalars.insert(name.to_owned(), *value as f64),
                Node::Float(value) => scalars.insert(name.to_owned(), *value),
                _ => None,
            };
        }
        let mut states = Vec::new();
        if names.iter().any(|name| name == AD_SIGN) {
            // AD-NeRF spreads its networks over several dictionaries.
            for name in AD_STATES {
                if let Some(id) = arena.lookup(root, name) {
                    states.push((format!("{name}."), id));
                }
            }
        } else {
            // Upstream accepts a bare state dict as well.
            states.push((String::new(), arena.lookup(root, "model").unwrap_or(root)));
        }
        let mut entries = Vec::new();
        for (prefix, state) in states {
            let Some(state_entries) = named(arena, state)? else {
                let name = if prefix.is_empty() { "model" } else { prefix.trim_end_matches('.') };
                return Err(CheckpointError::NoModel {
                    found: format!("`{name}` which is {}", arena.describe(state)),
                });
            };
            for (name, id) in state_entries {
                let name = format!("{prefix}{name}");
                let slot = match arena.get(id) {
                    Node::Tensor(tensor) => {
                        let missing =
                            || CheckpointError::damaged(format!("the values of tensor `{name}` are missing"));
                        let (key, storage, view) = arena.resolve(*tensor).ok_or_else(missing)?;
                        let place = place_of(&mut source, key)?.ok_or_else(missing)?;
                        check_declared(&name, &view, place.bytes)?;
                        check_count(&name, storage, place.bytes)?;
                        Slot::Tensor { view, place }
                    }
                    _ => Slot::Other(arena.describe(id)),
                };
                entries.push(Entry { name, slot });
            }
        }
        if !entries.iter().any(|e| matches!(e.slot, Slot::Tensor { .. })) {
            return Err(CheckpointError::NoModel { found: show(&entries) });
        }
        Ok(Self { source, entries, scalars, top: names, skipped: arena.skipped() })
    }

    /// Which network the names belong to.
    pub fn family(&self) -> Family {
        Family::detect(|name| self.has(name), |name| self.has_beside(name))
    }

    /// Refuses a file of another family.
    pub(super) fn expect_family(&self, expected: Family) -> Result<(), CheckpointError> {
        let found = self.family();
        if found == expected { Ok(()) } else { Err(CheckpointError::Family { found, expected }) }
    }

    /// Every tensor, in file order.
    pub fn tensors(&self) -> impl Iterator<Item = TensorInfo> + '_ {
        self.entries.iter().filter_map(|entry| match &entry.slot {
            Slot::Tensor { view, .. } => {
                Some(TensorInfo { name: entry.name.clone(), shape: view.shape.clone(), dtype: view.dtype })
            }
            Slot::Other(_) => None,
        })
    }

    /// Whether something is stored under `name`.
    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.name == name)
    }

    /// Whether the dictionary around the state dict has an entry `name`, whatever it is. A bare state dict has none
    /// around it.
    pub fn has_beside(&self, name: &str) -> bool {
        self.top.iter().any(|entry| entry == name)
    }

    /// Shape of tensor `name`, if there is one.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.view(name).ok().map(|(view, _)| view.shape.as_slice())
    }

    /// A number beside the state dict: `epoch`, `global_step`, `mean_density_torso`. In safetensors, an entry
    /// of `__metadata__` that reads as a number.
    pub fn scalar(&self, name: &str) -> Option<f64> {
        self.scalars.get(name).copied()
    }

    /// Python objects that were passed over, by the name that would have made them. None was executed.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// Reads tensor `name`.
    ///
    /// # Errors
    /// [`CheckpointError::MissingTensor`], [`CheckpointError::NotATensor`], or damage.
    pub fn read(&mut self, name: &str) -> Result<Tensor, CheckpointError> {
        let (view, place) = self.view(name)?;
        let (view, place) = (view.clone(), *place);
        self.read_view(name, view, place)
    }

    /// Reads the first `rows` rows of tensor `name` (all, if it has fewer): what inference needs of the
    /// individual codes is row 0 of ten thousand.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_rows(&mut self, name: &str, rows: usize) -> Result<Tensor, CheckpointError> {
        let (view, place) = self.view(name)?;
        let (mut view, place) = (view.clone(), *place);
        if let Some(size) = view.shape.first_mut() {
            *size = (*size).min(rows);
        }
        self.read_view(name, view, place)
    }

    fn view(&self, name: &str) -> Result<(&View, &Place), CheckpointError> {
        match self.entries.iter().find(|entry| entry.name == name).map(|entry| &entry.slot) {
            Some(Slot::Tensor { view, place }) => Ok((view, place)),
            Some(Slot::Other(what)) => {
                Err(CheckpointError::NotATensor { tensor: name.to_owned(), what: what.clone() })
            }
            None => {
                let family = self.family();
                let family = if family == Family::Unknown { "" } else { family.name() };
                Err(CheckpointError::MissingTensor { tensor: name.to_owned(), family })
            }
        }
    }

    fn read_view(&mut self, name: &str, view: View, place: Place) -> Result<Tensor, CheckpointError> {
        let item = view.dtype.size() as u64;
        let span = u64::try_from(view.extent()).unwrap_or(u64::MAX);
        let (skip, bytes) = if span == 0 {
            (0, 0)
        } else {
            let skip = view.offset as u64;
            (skip.saturating_mul(item), span.saturating_sub(skip).saturating_mul(item))
        };
        let bytes = self.source.read_place(place, skip, bytes, &format!("tensor `{name}`"))?;
        let bytes = view.gather(bytes);
        Ok(Tensor { name: name.to_owned(), dtype: view.dtype, shape: view.shape, bytes })
    }
}

/// Dictionaries of an AD-NeRF file that inference reads; the names of their tensors follow after a point.
pub(super) const AD_STATES: [&str; 4] =
    [AD_SIGN, "network_fine_state_dict", "network_audnet_state_dict", "network_audattnet_state_dict"];
const AD_SIGN: &str = "network_fn_state_dict";
/// Most entries of a dictionary that is read; state dicts have some hundreds.
const MAX_ENTRIES: usize = 1 << 16;
/// Longest name of an entry, bytes; real ones stay below 64.
const MAX_ENTRY_NAME: usize = 256;

/// Named entries of a dictionary, each name once and with its last value, as in Python; `None` for other values.
/// What is copied out of these entries is bounded by the two limits, not by how often the pickle repeats them.
fn named(arena: &Arena, id: Id) -> Result<Option<Vec<(&str, Id)>>, CheckpointError> {
    let Some(pairs) = arena.entries(id) else {
        return Ok(None);
    };
    let mut entries: Vec<(&str, Id)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (name, value) in pairs {
        if name.len() > MAX_ENTRY_NAME {
            return Err(CheckpointError::damaged(format!(
                "a dictionary has a name of {} bytes, at most {MAX_ENTRY_NAME} are accepted",
                name.len()
            )));
        }
        if let Some(at) = places.get(name) {
            entries[*at].1 = value;
            continue;
        }
        if entries.len() >= MAX_ENTRIES {
            return Err(CheckpointError::damaged(format!(
                "a dictionary has more than {MAX_ENTRIES} entries"
            )));
        }
        places.insert(name, entries.len());
        entries.push((name, value));
    }
    Ok(Some(entries))
}

/// The first entries of a dictionary without tensors.
fn show(entries: &[Entry]) -> String {
    let shown: Vec<_> = entries
        .iter()
        .take(8)
        .map(|entry| match &entry.slot {
            Slot::Tensor { .. } => format!("`{}`", entry.name),
            Slot::Other(what) => format!("`{}` ({what})", entry.name),
        })
        .collect();
    if shown.is_empty() { "an empty dictionary".to_owned() } else { shown.join(", ") }
}

/// Row-major strides of a contiguous tensor.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i].saturating_mul(shape[i]);
    }
    strides
}

fn check_declared(name: &str, view: &View, held: u64) -> Result<(), CheckpointError> {
    let declared = view.declared_bytes();
    if declared > u128::from(held) {
        return Err(CheckpointError::DeclaredSize { tensor: name.to_owned(), declared, held });
    }
    Ok(())
}

/// The storage's own count must be what its bytes hold, too.
fn check_count(name: &str, storage: StorageRef, held: u64) -> Result<(), CheckpointError> {
    let declared = u128::from(storage.count) * storage.dtype.size() as u128;
    if declared > u128::from(held) {
        return Err(CheckpointError::DeclaredSize { tensor: name.to_owned(), declared, held });
    }
    Ok(())
}
