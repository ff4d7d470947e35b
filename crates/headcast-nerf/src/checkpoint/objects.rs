//! The values a pickle builds, and the few calls that mean something to us.
//!
//! Values live in an arena and refer to each other by number: cycles and million-fold nesting cost what their
//! bytes cost, and dropping them does not recurse. A text or a shape that the memo recalls a million times is
//! held once.

use super::dtype::DType;
use super::tensor::View;

/// Number of a value in its [`Arena`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(u32);

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    None,
    Bool(bool),
    Int(i64),
    /// A LONG1 of more than eight bytes, little-endian two's complement.
    Long(Box<[u8]>),
    Float(f64),
    Str(Box<str>),
    List(Vec<Id>),
    Tuple(Box<[Id]>),
    /// Pairs in insertion order; a repeated key stays twice and the last one counts.
    Dict(Vec<(Id, Id)>),
    /// A name, not the thing it names.
    Global(Box<Global>),
    Storage(StorageRef),
    Tensor(TensorRef),
    /// What an unknown callable would have made; the number is that of its [`Global`].
    Opaque(Id),
}

/// `module name` of a GLOBAL opcode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Global {
    pub(super) module: Box<str>,
    pub(super) name: Box<str>,
}

impl std::fmt::Display for Global {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.module, self.name)
    }
}

/// A persistent id: raw array `key` (a text) of `count` elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StorageRef {
    pub(super) dtype: DType,
    key: Id,
    pub(super) count: u64,
}

/// `_rebuild_tensor_v2`: the numbers of a storage and of two tuples of equally many sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TensorRef {
    storage: Id,
    offset: usize,
    shape: Id,
    strides: Id,
}

/// All values of one pickle.
#[derive(Debug, Default)]
pub(super) struct Arena {
    nodes: Vec<Node>,
}

impl Arena {
    /// More values than any checkpoint has (one with optimizer state has some thousands).
    pub(super) const MAX_NODES: usize = 1 << 20;

    /// Adds a value; `None` past [`Self::MAX_NODES`].
    pub(super) fn push(&mut self, node: Node) -> Option<Id> {
        if self.nodes.len() >= Self::MAX_NODES {
            return None;
        }
        let id = Id(u32::try_from(self.nodes.len()).ok()?);
        self.nodes.push(node);
        Some(id)
    }

    pub(super) fn get(&self, id: Id) -> &Node {
        &self.nodes[id.0 as usize]
    }

    pub(super) fn get_mut(&mut self, id: Id) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }

    pub(super) fn str(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Node::Str(s) => Some(s),
            _ => None,
        }
    }

    pub(super) fn int(&self, id: Id) -> Option<i64> {
        match self.get(id) {
            Node::Int(i) => Some(*i),
            _ => None,
        }
    }

    /// Pairs of a dictionary whose keys are strings; other keys are left out.
    pub(super) fn entries(&self, id: Id) -> Option<impl Iterator<Item = (&str, Id)>> {
        match self.get(id) {
            Node::Dict(pairs) => Some(pairs.iter().filter_map(|(k, v)| Some((self.str(*k)?, *v)))),
            _ => None,
        }
    }

    /// The value under `key`; the last one if the key is repeated.
    pub(super) fn lookup(&self, dict: Id, key: &str) -> Option<Id> {
        self.entries(dict)?.filter(|(k, _)| *k == key).last().map(|(_, v)| v)
    }

    /// Key and storage of every persistent id of the pickle.
    pub(super) fn storages(&self) -> impl Iterator<Item = (&str, StorageRef)> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Storage(storage) => Some((self.str(storage.key)?, *storage)),
            _ => None,
        })
    }

    /// Key of a tensor's storage, the storage, and the tensor's window into it.
    pub(super) fn resolve(&self, tensor: TensorRef) -> Option<(&str, StorageRef, View)> {
        let Node::Storage(storage) = *self.get(tensor.storage) else {
            return None;
        };
        let sizes = |id: Id| self.sizes(id)?.collect::<Option<Vec<_>>>();
        let (shape, strides) = (sizes(tensor.shape)?, sizes(tensor.strides)?);
        let view = View { dtype: storage.dtype, shape, strides, offset: tensor.offset };
        Some((self.str(storage.key)?, storage, view))
    }

    /// Module-qualified names of the objects that were skipped, each once, in order.
    pub(super) fn skipped(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for node in &self.nodes {
            if names.len() >= 32 {
                break;
            }
            if let Node::Opaque(global) = node {
                let name = self.qualified(*global);
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
    }

    /// `module.name` of a [`Node::Global`].
    fn qualified(&self, id: Id) -> String {
        match self.get(id) {
            Node::Global(global) => global.to_string(),
            _ => self.describe(id),
        }
    }

    /// What a value is, for messages.
    pub(super) fn describe(&self, id: Id) -> String {
        match self.get(id) {
            Node::None => "None".to_owned(),
            Node::Bool(_) => "a truth value".to_owned(),
            Node::Int(_) | Node::Long(_) => "an integer".to_owned(),
            Node::Float(_) => "a number".to_owned(),
            Node::Str(_) => "a text".to_owned(),
            Node::List(_) => "a list".to_owned(),
            Node::Tuple(_) => "a tuple".to_owned(),
            Node::Dict(_) => "a dictionary".to_owned(),
            Node::Global(global) => format!("the name `{global}`"),
            Node::Storage(_) => "a bare storage".to_owned(),
            Node::Tensor(_) => "a tensor".to_owned(),
            Node::Opaque(global) => format!("an object made by `{}`", self.qualified(*global)),
        }
    }

    /// The value that calling `callable` with `args` stands for. Only names on this list mean something;
    /// every other call yields [`Node::Opaque`]. Nothing is executed.
    pub(super) fn call(&self, callable: Id, args: Id) -> Result<Node, String> {
        let Node::Tuple(args) = self.get(args) else {
            return Err(format!("arguments are {}, expected a tuple", self.describe(args)));
        };
        let global = match self.get(callable) {
            Node::Global(global) => global,
            // The result of an unknown call, called in turn.
            Node::Opaque(global) => return Ok(Node::Opaque(*global)),
            _ => return Err(format!("{} is called", self.describe(callable))),
        };
        match (&*global.module, &*global.name) {
            ("collections", "OrderedDict") if args.is_empty() => Ok(Node::Dict(Vec::new())),
            ("torch._utils", "_rebuild_tensor_v2") => self.rebuild_tensor(args),
            ("torch._utils", "_rebuild_parameter") => match args.first().map(|id| self.get(*id)) {
                Some(Node::Tensor(tensor)) => Ok(Node::Tensor(*tensor)),
                _ => Err("_rebuild_parameter without a tensor".to_owned()),
            },
            _ => Ok(Node::Opaque(callable)),
        }
    }

    /// `(storage, offset, size, stride, requires_grad, hooks)`.
    fn rebuild_tensor(&self, args: &[Id]) -> Result<Node, String> {
        let &[storage, offset, shape, strides, ..] = args else {
            return Err(format!("_rebuild_tensor_v2 with {} arguments", args.len()));
        };
        match self.get(storage) {
            Node::Storage(_) => {}
            // A tensor over an unknown storage class stays unknown.
            Node::Opaque(global) => return Ok(Node::Opaque(*global)),
            _ => return Err(format!("a tensor over {}", self.describe(storage))),
        }
        let offset = self.size(offset).ok_or("a tensor's offset is no size")?;
        let rank = |id: Id| {
            let mut sizes = self.sizes(id)?;
            sizes.try_fold(0usize, |rank, size| size.map(|_| rank + 1))
        };
        let dims = rank(shape).ok_or("a tensor's shape is no tuple of at most 8 sizes")?;
        let steps = rank(strides).ok_or("a tensor's strides are no tuple of at most 8 sizes")?;
        if dims != steps {
            return Err(format!("a tensor of {dims} dimensions with {steps} strides"));
        }
        Ok(Node::Tensor(TensorRef { storage, offset, shape, strides }))
    }

    fn size(&self, id: Id) -> Option<usize> {
        usize::try_from(self.int(id)?).ok()
    }

    /// Items of a tuple of at most 8; `None` in place of one that is no size.
    fn sizes(&self, id: Id) -> Option<impl Iterator<Item = Option<usize>>> {
        match self.get(id) {
            Node::Tuple(ids) if ids.len() <= 8 => Some(ids.iter().map(|id| self.size(*id))),
            _ => None,
        }
    }

    /// The storage that a persistent id names:
    /// `('storage', torch.<Type>Storage, key, location, count[, view])`.
    pub(super) fn persistent(&self, id: Id) -> Result<Node, String> {
        let Node::Tuple(items) = self.get(id) else {
            return Err(format!("a persistent id is {}, expected a tuple", self.describe(id)));
        };
        let &[kind, class, key, _location, count, ref rest @ ..] = &**items else {
            return Err(format!("a persistent id of {} items", items.len()));
        };
        if self.str(kind) != Some("storage") {
            return Err("a persistent id that is no storage".to_owned());
        }
        let Node::Global(global) = self.get(class) else {
            return Err("a storage without a class".to_owned());
        };
        let dtype =
            Some(&*global.name).filter(|_| &*global.module == "torch").and_then(DType::from_storage_class);
        let Some(dtype) = dtype else {
            return Ok(Node::Opaque(class));
        };
        let len = self.str(key).ok_or("a storage's key is no text")?.len();
        if len > MAX_KEY {
            return Err(format!("a storage's key of {len} bytes, at most {MAX_KEY} are accepted"));
        }
        let count =
            self.int(count).and_then(|n| u64::try_from(n).ok()).ok_or("a storage's count is no size")?;
        if rest.iter().any(|id| *self.get(*id) != Node::None) {
            return Err("a storage that views another one, as PyTorch wrote before 0.4".to_owned());
        }
        Ok(Node::Storage(StorageRef { dtype, key, count }))
    }
}

/// Longest key of a storage, bytes; PyTorch counts them up from 0 or writes an address.
const MAX_KEY: usize = 256;
