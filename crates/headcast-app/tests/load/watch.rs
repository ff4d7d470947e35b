//! What a process takes: memory at its peak, processor time by thread.

use std::collections::BTreeMap;
use std::fs;

/// Most memory that the process ever had resident, in bytes; `None` where the system does not tell.
pub fn peak_bytes(process: u32) -> Option<u64> {
    memory(process, "VmHWM:")
}

/// Memory that the process has resident now, in bytes.
pub fn resident_bytes(process: u32) -> Option<u64> {
    memory(process, "VmRSS:")
}

/// Lets [`peak_bytes`] begin anew; false where the system cannot.
pub fn forget_peak(process: u32) -> bool {
    fs::write(format!("/proc/{process}/clear_refs"), "5").is_ok()
}

fn memory(process: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Nanoseconds on a processor so far, by the name of the thread. Threads that ended are not in it.
pub fn thread_nanos(process: u32) -> BTreeMap<String, u64> {
    let mut nanos = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
        let read = |name: &str| fs::read_to_string(task.path().join(name)).ok();
        let (Some(name), Some(time)) = (read("comm"), read("schedstat")) else { continue };
        let time = time.split(' ').next().and_then(|time| time.parse::<u64>().ok()).unwrap_or(0);
        *nanos.entry(name.trim().to_owned()).or_default() += time;
    }
    nanos
}

/// Nanoseconds on a processor so far of the whole process, threads that ended included, to a hundredth of a second.
pub fn process_nanos(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may hold spaces; utime and stime are fields 14 and 15, the 12th and 13th after it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |n: usize| fields.get(n)?.parse::<u64>().ok();
    Some((ticks(11)? + ticks(12)?) * 10_000_000)
}
