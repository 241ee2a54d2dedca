//! What the host's own process takes.

/// Resident memory of this process in bytes, as Linux tells it; none where it does not.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_takes_something() {
        assert!(super::resident_bytes().is_some_and(|bytes| bytes > 1024 * 1024));
    }
}
