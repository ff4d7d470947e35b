//! An interpreter for the pickle opcodes that PyTorch checkpoints are made of (protocol 2).
//!
//! Opcode values: `Lib/pickletools.py` of Python. Whatever the program says, only inert values are built:
//! see [`Arena::call`] for the names that mean something.

use std::collections::HashMap;

use super::error::CheckpointError;
use super::objects::{Arena, Global, Id, Node};

/// Runs the pickle that starts at `position` of `bytes`; returns its value and the position after STOP.
///
/// Memory is bounded by the length of the pickle: every opcode adds at most one value of fixed size, one stack
/// entry and one memo entry. Texts, names and long integers are as long as the bytes that spell them and are
/// never copied: values that need one refer to it. Items of collections come from the stack, each once.
///
/// # Errors
/// [`CheckpointError::Pickle`] with the byte position, for an opcode that is not on the list, values that do
/// not fit it, the end of the bytes, or a limit.
pub(super) fn run(bytes: &[u8], position: usize, arena: &mut Arena) -> Result<(Id, usize), CheckpointError> {
    let mut machine =
        Machine { bytes, at: position, arena, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    loop {
        let start = machine.at;
        match machine.step() {
            Ok(None) => {}
            Ok(Some(value)) => return Ok((value, machine.at)),
            Err(what) => return Err(CheckpointError::Pickle { position: start, what }),
        }
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    arena: &'a mut Arena,
    stack: Vec<Id>,
    /// Stack heights at each MARK.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl Machine<'_> {
    /// One opcode; the value at STOP.
    fn step(&mut self) -> Result<Option<Id>, String> {
        let opcode = self.take(1)?[0];
        match opcode {
            op::PROTO => {
                let version = self.take(1)?[0];
                if version != 2 {
                    return Err(format!("pickle protocol {version}, PyTorch writes 2"));
                }
            }
            op::STOP => return self.pop().map(Some),
            op::MARK => {
                if self.marks.len() >= MAX_DEPTH {
                    return Err(format!("values nested deeper than {MAX_DEPTH}"));
                }
                self.marks.push(self.stack.len());
            }
            op::NONE => self.push(Node::None)?,
            op::NEWTRUE => self.push(Node::Bool(true))?,
            op::NEWFALSE => self.push(Node::Bool(false))?,
            op::BININT => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Node::Int(value.into()))?;
            }
            op::BININT1 => {
                let value = self.take(1)?[0];
                self.push(Node::Int(value.into()))?;
            }
            op::BININT2 => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Node::Int(value.into()))?;
            }
            op::LONG1 => self.long()?,
            op::BINFLOAT => {
                let value = f64::from_be_bytes(self.array()?);
                self.push(Node::Float(value))?;
            }
            op::BINUNICODE => self.unicode()?,
            op::EMPTY_DICT => self.push(Node::Dict(Vec::new()))?,
            op::EMPTY_LIST => self.push(Node::List(Vec::new()))?,
            op::EMPTY_TUPLE => self.push(Node::Tuple(Box::default()))?,
            op::TUPLE1 => self.tuple(1)?,
            op::TUPLE2 => self.tuple(2)?,
            op::TUPLE3 => self.tuple(3)?,
            op::TUPLE => {
                let items = self.since_mark()?;
                self.push(Node::Tuple(items.into()))?;
            }
            op::APPEND => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            op::APPENDS => {
                let items = self.since_mark()?;
                self.append(&items)?;
            }
            op::SETITEM => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(&[key, value])?;
            }
            op::SETITEMS => {
                let items = self.since_mark()?;
                self.set(&items)?;
            }
            op::GLOBAL => {
                let global = Global { module: self.line()?.into(), name: self.line()?.into() };
                self.push(Node::Global(Box::new(global)))?;
            }
            // NEWOBJ is what plain Python objects (an `argparse.Namespace` beside the model) begin with.
            op::REDUCE | op::NEWOBJ => {
                let (args, callable) = (self.pop()?, self.pop()?);
                let node = self.arena.call(callable, args)?;
                self.push(node)?;
            }
            // Attributes (`_metadata` of a state dict) carry no weights.
            op::BUILD => {
                let (_state, object) = (self.pop()?, self.pop()?);
                self.stack.push(object);
            }
            op::BINPERSID => {
                let id = self.pop()?;
                let node = self.arena.persistent(id)?;
                self.push(node)?;
            }
            op::BINPUT => {
                let slot = self.take(1)?[0];
                self.put(slot.into())?;
            }
            op::LONG_BINPUT => {
                let slot = u32::from_le_bytes(self.array()?);
                self.put(slot)?;
            }
            op::BINGET => {
                let slot = self.take(1)?[0];
                self.recall(slot.into())?;
            }
            op::LONG_BINGET => {
                let slot = u32::from_le_bytes(self.array()?);
                self.recall(slot)?;
            }
            other => return Err(format!("opcode 0x{other:02x}, which checkpoints do not use")),
        }
        Ok(None)
    }

    fn take(&mut self, len: usize) -> Result<&[u8], String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..len).ok_or_else(|| {
            format!("{len} bytes are needed and {} are left, the file is truncated", rest.len())
        })?;
        self.at += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let taken = self.take(N)?;
        Ok(std::array::from_fn(|i| taken[i]))
    }

    /// A text up to a line feed: the halves of a GLOBAL.
    fn line(&mut self) -> Result<String, String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let window = &rest[..rest.len().min(MAX_NAME + 1)];
        let len = window
            .iter()
            .position(|b| *b == b'\n')
            .ok_or_else(|| format!("a name without an end or longer than {MAX_NAME} bytes"))?;
        let name = &window[..len];
        if !name.iter().all(|b| b.is_ascii_graphic()) {
            return Err("a name with characters that Python names do not have".to_owned());
        }
        self.at += len + 1;
        Ok(String::from_utf8_lossy(name).into_owned())
    }

    fn unicode(&mut self) -> Result<(), String> {
        let declared = u32::from_le_bytes(self.array()?);
        let len = usize::try_from(declared).unwrap_or(usize::MAX);
        if len > MAX_TEXT {
            return Err(format!("a text that declares {declared} bytes, at most {MAX_TEXT} are accepted"));
        }
        let text: Box<str> =
            str::from_utf8(self.take(len)?).map_err(|e| format!("a text that is not UTF-8: {e}"))?.into();
        self.push(Node::Str(text))
    }

    /// Little-endian two's complement of up to 255 bytes.
    fn long(&mut self) -> Result<(), String> {
        let len = self.take(1)?[0];
        let digits = self.take(len.into())?;
        let node = if digits.len() <= 8 {
            let negative = digits.last().is_some_and(|b| b & 0x80 != 0);
            let mut wide = [if negative { 0xff } else { 0 }; 8];
            wide[..digits.len()].copy_from_slice(digits);
            Node::Int(i64::from_le_bytes(wide))
        } else {
            Node::Long(digits.into())
        };
        self.push(node)
    }

    fn push(&mut self, node: Node) -> Result<(), String> {
        let id = self.arena.push(node).ok_or_else(|| format!("more than {} values", Arena::MAX_NODES))?;
        self.stack.push(id);
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, String> {
        // Items below the last mark belong to the collection under construction.
        if self.stack.len() <= self.marks.last().copied().unwrap_or(0) {
            return Err("a value is missing on the stack".to_owned());
        }
        self.stack.pop().ok_or_else(|| "a value is missing on the stack".to_owned())
    }

    fn since_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or("a collection ends that never began")?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, len: usize) -> Result<(), String> {
        let mut items = vec![];
        for _ in 0..len {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push(Node::Tuple(items.into()))
    }

    /// The value that items are about to be added to.
    fn top(&self) -> Result<Id, String> {
        if self.stack.len() <= self.marks.last().copied().unwrap_or(0) {
            return Err("items without a collection".to_owned());
        }
        self.stack.last().copied().ok_or_else(|| "items without a collection".to_owned())
    }

    fn append(&mut self, items: &[Id]) -> Result<(), String> {
        let top = self.top()?;
        match self.arena.get_mut(top) {
            Node::List(list) => list.extend_from_slice(items),
            Node::Opaque(_) => {}
            _ => return Err(format!("items are appended to {}", self.arena.describe(top))),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), String> {
        let top = self.top()?;
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err("a key without a value".to_owned());
        }
        match self.arena.get_mut(top) {
            Node::Dict(dict) => dict.extend(pairs.iter().map(|[k, v]| (*k, *v))),
            Node::Opaque(_) => {}
            _ => return Err(format!("keys are set in {}", self.arena.describe(top))),
        }
        Ok(())
    }

    fn put(&mut self, slot: u32) -> Result<(), String> {
        if slot >= MAX_MEMO {
            return Err(format!("memo slot {slot}, at most {MAX_MEMO} are accepted"));
        }
        let top = self.top()?;
        self.memo.insert(slot, top);
        Ok(())
    }

    fn recall(&mut self, slot: u32) -> Result<(), String> {
        let id =
            *self.memo.get(&slot).ok_or_else(|| format!("memo slot {slot} is read and was never set"))?;
        self.stack.push(id);
        Ok(())
    }
}

/// Longest text; real ones are tensor names and file paths.
const MAX_TEXT: usize = 64 << 10;
/// Longest half of a GLOBAL.
const MAX_NAME: usize = 256;
/// Deepest nesting of collections under construction; real files reach about 6.
const MAX_DEPTH: usize = 256;
/// Highest memo slot; the pickler counts them up from 0.
const MAX_MEMO: u32 = 1 << 20;

mod op {
    pub(super) const MARK: u8 = b'(';
    pub(super) const STOP: u8 = b'.';
    pub(super) const NONE: u8 = b'N';
    pub(super) const BININT: u8 = b'J';
    pub(super) const BININT1: u8 = b'K';
    pub(super) const BININT2: u8 = b'M';
    pub(super) const BINFLOAT: u8 = b'G';
    pub(super) const BINUNICODE: u8 = b'X';
    pub(super) const BINPERSID: u8 = b'Q';
    pub(super) const APPEND: u8 = b'a';
    pub(super) const APPENDS: u8 = b'e';
    pub(super) const BUILD: u8 = b'b';
    pub(super) const GLOBAL: u8 = b'c';
    pub(super) const EMPTY_DICT: u8 = b'}';
    pub(super) const EMPTY_LIST: u8 = b']';
    pub(super) const EMPTY_TUPLE: u8 = b')';
    pub(super) const BINGET: u8 = b'h';
    pub(super) const LONG_BINGET: u8 = b'j';
    pub(super) const BINPUT: u8 = b'q';
    pub(super) const LONG_BINPUT: u8 = b'r';
    pub(super) const REDUCE: u8 = b'R';
    pub(super) const SETITEM: u8 = b's';
    pub(super) const SETITEMS: u8 = b'u';
    pub(super) const TUPLE: u8 = b't';
    pub(super) const PROTO: u8 = 0x80;
    pub(super) const NEWOBJ: u8 = 0x81;
    pub(super) const TUPLE1: u8 = 0x85;
    pub(super) const TUPLE2: u8 = 0x86;
    pub(super) const TUPLE3: u8 = 0x87;
    pub(super) const NEWTRUE: u8 = 0x88;
    pub(super) const NEWFALSE: u8 = 0x89;
    pub(super) const LONG1: u8 = 0x8a;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_bytes(bytes: &[u8]) -> Result<(Node, Arena), CheckpointError> {
        let mut arena = Arena::default();
        let (id, end) = run(bytes, 0, &mut arena)?;
        assert_eq!(end, bytes.len());
        Ok((arena.get(id).clone(), arena))
    }

    fn refused(bytes: &[u8], position: usize, words: &str) {
        match run_bytes(bytes) {
            Err(CheckpointError::Pickle { position: at, what }) => {
                assert!(at == position && what.contains(words), "byte {at}: {what}");
            }
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn values_are_built() {
        // {'a': [1, -2, 300], 'b': 0.5} as CPython's pickle writes it, without memo.
        let bytes =
            b"\x80\x02}(X\x01\0\0\0a](K\x01J\xfe\xff\xff\xffM\x2c\x01eX\x01\0\0\0bG\x3f\xe0\0\0\0\0\0\0u.";
        let (_, arena) = run_bytes(bytes).unwrap();
        let mut arena2 = Arena::default();
        let (root, _) = run(bytes, 0, &mut arena2).unwrap();
        let Node::List(list) = arena2.get(arena2.lookup(root, "a").unwrap()) else { panic!() };
        assert_eq!(list.iter().map(|id| arena2.int(*id).unwrap()).collect::<Vec<_>>(), [1, -2, 300]);
        assert_eq!(*arena2.get(arena2.lookup(root, "b").unwrap()), Node::Float(0.5));
        assert!(arena.skipped().is_empty());
    }

    #[test]
    fn longs_of_any_width_are_read() {
        assert_eq!(run_bytes(b"\x8a\0.").unwrap().0, Node::Int(0));
        assert_eq!(run_bytes(b"\x8a\x01\xff.").unwrap().0, Node::Int(-1));
        assert_eq!(run_bytes(b"\x8a\x02\xff\0.").unwrap().0, Node::Int(255));
        assert_eq!(
            run_bytes(b"\x8a\x09\0\0\0\0\0\0\0\0\x01.").unwrap().0,
            Node::Long([0, 0, 0, 0, 0, 0, 0, 0, 1].into())
        );
    }

    #[test]
    fn an_unknown_call_becomes_its_name() {
        let (node, arena) = run_bytes(b"\x80\x02cposix\nsystem\nX\x02\0\0\0ls\x85R.").unwrap();
        let Node::Opaque(callable) = node else { panic!("{node:?}") };
        assert_eq!(arena.describe(callable), "the name `posix.system`");
        assert_eq!(arena.skipped(), ["posix.system"]);
    }

    #[test]
    fn a_list_may_hold_itself() {
        // l = []; l.append(l)
        let (node, _) = run_bytes(b"\x80\x02]q\0h\0a.").unwrap();
        assert!(matches!(node, Node::List(items) if items.len() == 1));
    }

    #[test]
    fn deep_nesting_neither_recurses_nor_overflows_on_drop() {
        let mut bytes = b"\x80\x02)".to_vec();
        bytes.extend(std::iter::repeat_n(0x85, 1_000_000));
        bytes.push(b'.');
        assert!(matches!(run_bytes(&bytes).unwrap().0, Node::Tuple(_)));
        let mut bytes = b"\x80\x02".to_vec();
        bytes.extend(std::iter::repeat_n(b'(', 1000));
        refused(&bytes, 2 + MAX_DEPTH, "nested deeper");
    }

    #[test]
    fn refusals_name_the_byte() {
        refused(b"\x80\x02N0.", 3, "opcode 0x30");
        refused(b"\x80\x04N.", 0, "protocol 4");
        refused(b"\x80\x02.", 2, "missing on the stack");
        refused(b"\x80\x02X\xff\xff\xff\xffabc", 2, "declares 4294967295 bytes");
        refused(b"\x80\x02X\x10\0\0\0abc", 2, "16 bytes are needed and 3 are left");
        refused(b"\x80\x02Nr\xff\xff\xff\xff.", 3, "memo slot 4294967295");
        refused(b"\x80\x02h\x07.", 2, "memo slot 7");
        refused(b"\x80\x02}(K\x01u.", 6, "a key without a value");
        refused(b"\x80\x02K\x01K\x02a.", 6, "appended to an integer");
        refused(b"\x80\x02K\x01)R.", 5, "an integer is called");
        refused(b"\x80\x02cos", 2, "a name without an end");
        refused(b"\x80\x02N", 3, "truncated");
        refused(b"\x80\x02N(.", 4, "missing on the stack");
    }
}
