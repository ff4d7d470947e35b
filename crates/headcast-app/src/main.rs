//! The `headcast` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    share_one_heap();
    headcast_app::cli::main()
}

/// glibc gives up to eight heaps per core to threads, and what one of them needed once stays with it: after an hour a
/// server held 91 MB more than after a minute, and with one heap 24 MB (`docs/performance.md`). Threads that render
/// or encode allocate next to nothing meanwhile, so they do not wait for each other.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "a call into the C library, which has no safe form")]
fn share_one_heap() {
    // SAFETY: takes two numbers and sets one; this is the only thread yet, as mallopt(3) asks. If it refuses, there are
    // more heaps.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn share_one_heap() {}
