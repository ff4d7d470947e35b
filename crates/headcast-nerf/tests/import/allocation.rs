//! How much memory a call holds at most, counted where it is asked for.

#![expect(unsafe_code, reason = "an allocator that counts can only be written as an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    // Per thread, so that tests beside this one do not count. Without destructors, so that an allocator may
    // use them at any time.
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// Beyond this a call ends in "memory allocation failed": a reader that has lost its bounds must not take the
/// machine with it.
const HARD_LIMIT: isize = 1 << 30;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Counts `bytes` more (or less) for this thread; false if that is too much.
fn count(bytes: isize) -> bool {
    let held = HELD.get().saturating_add(bytes);
    HELD.set(held);
    PEAK.set(PEAK.get().max(held));
    held <= HARD_LIMIT
}

fn signed(bytes: usize) -> isize {
    isize::try_from(bytes).unwrap_or(isize::MAX)
}

// SAFETY: every block comes from the system's allocator under the layout that was asked for and goes back to it
// under the same; counting touches no block. Null is a permitted answer.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !count(signed(layout.size())) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps the contract of this function, which is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !count(signed(layout.size())) {
            return std::ptr::null_mut();
        }
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-signed(layout.size()));
        // SAFETY: `block` came from `System` under `layout`.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // Old and new block exist side by side while one is copied into the other.
        if !count(signed(bytes)) {
            return std::ptr::null_mut();
        }
        // SAFETY: `block` came from `System` under `layout`; `bytes` is the caller's promise.
        let moved = unsafe { System.realloc(block, layout, bytes) };
        count(-signed(layout.size()));
        moved
    }
}

/// What `call` returns, and the most bytes that this thread held during it beyond those it held before.
pub(crate) fn peak<T>(call: impl FnOnce() -> T) -> (T, usize) {
    HELD.set(0);
    PEAK.set(0);
    let value = call();
    (value, usize::try_from(PEAK.get()).unwrap())
}

#[test]
fn the_peak_is_counted() {
    let (kept, bytes) = peak(|| {
        drop(vec![1u8; 3 << 20]);
        vec![1u8; 1 << 20]
    });
    assert!((3 << 20..4 << 20).contains(&bytes), "{bytes}");
    assert_eq!(kept.len(), 1 << 20);
    assert_eq!(peak(|| ()).1, 0);
}
