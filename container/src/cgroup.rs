//! Asks the container's own cgroup whether the kernel killed for want of memory.

use std::path::Path;

use crate::regular;

/// cgroup v2, then v1, as they appear inside a container.
const FILES: [&str; 2] = ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"];

/// How many processes the kernel has killed so far; `None` where it cannot be read.
#[must_use]
pub fn oom_kills() -> Option<u64> {
    FILES.iter().find_map(|file| parse(&String::from_utf8_lossy(&regular::read(Path::new(file), 4096).ok()?)))
}

fn parse(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_cgroup_versions_tell_the_count() {
        assert_eq!(parse("low 0\nhigh 0\nmax 14\noom 3\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(parse("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), Some(7));
        assert_eq!(parse(""), None);
    }
}
