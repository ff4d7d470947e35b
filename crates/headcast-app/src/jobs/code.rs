//! Codes of failures that were read back from the table.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Codes that were met so far. Programs compare codes as static words, so a word from a table becomes one.
static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// The program has some thirty codes; a table with more was not written by it.
const MOST: usize = 256;

/// The static word equal to `code`. Each word is kept once, for ever, and their number is bounded.
pub(super) fn intern(code: &str) -> &'static str {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(word) = known.get(code) {
        return word;
    }
    if known.len() >= MOST || code.len() > 64 {
        return "unknown";
    }
    let word: &'static str = Box::leak(code.to_owned().into_boxed_str());
    known.insert(word);
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_kept_once_and_bounded() {
        let first = intern("disk");
        assert_eq!(first, "disk");
        assert!(std::ptr::eq(first, intern(&String::from("disk"))));
        assert_eq!(intern(&"x".repeat(65)), "unknown");
    }
}
