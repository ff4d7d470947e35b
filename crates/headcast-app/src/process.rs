//! What the system tells of this process, in the files of `/proc`; nothing where there are none.

use std::fs::read_to_string;

/// Memory that it has now, `VmRSS`.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Processor time of all threads so far, in seconds, to a hundredth.
pub(crate) fn processor_seconds() -> Option<f64> {
    let stat = read_to_string("/proc/self/stat").ok()?;
    // The name of the program may have spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // utime and stime, proc(5), in ticks of USER_HZ.
    let ticks = |field: usize| fields.get(field)?.parse::<u32>().ok();
    Some((f64::from(ticks(11)?) + f64::from(ticks(12)?)) / 100.0)
}
