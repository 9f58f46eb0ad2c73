//! How much memory the process needs, and how much it may still take. `None` where the system does not tell (anywhere
//! but Linux).

use std::fs;
use std::path::{Path, PathBuf};

/// What the process may still take before the kernel ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that can be taken without anything being swapped out.
    pub left: u64,
    /// Bytes that there are in all.
    pub whole: u64,
}

/// Peak resident memory of this process in bytes.
pub fn peak_resident() -> Option<u64> {
    kibibytes(&status()?, "VmHWM:")
}

/// Resident memory of this process in bytes.
pub fn resident() -> Option<u64> {
    kibibytes(&status()?, "VmRSS:")
}

/// What the machine, or the narrowest group of processes with a limit that this one is in, has left.
pub fn room() -> Option<Room> {
    room_below(Path::new("/"))
}

/// The same with the system's files below `root`.
fn room_below(root: &Path) -> Option<Room> {
    let text = |path: &str| fs::read_to_string(root.join(path)).ok();
    let machine = text("proc/meminfo").and_then(|text| {
        Some(Room { left: kibibytes(&text, "MemAvailable:")?, whole: kibibytes(&text, "MemTotal:")? })
    });
    let groups = text("proc/self/cgroup").unwrap_or_default();
    let limits = groups.lines().flat_map(|line| group(root, line));
    machine.into_iter().chain(limits).min_by_key(|room| room.left)
}

/// What a control group and those that it is in have left; `line` is one of `/proc/self/cgroup`.
fn group(root: &Path, line: &str) -> Vec<Room> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { return Vec::new() };
    // Version 2 has one tree for everything, version 1 one for each controller.
    let (tree, limit, usage, idle) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file "),
        _ if controllers.split(',').any(|controller| controller == "memory") => {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ")
        }
        _ => return Vec::new(),
    };
    let tree = root.join(tree);
    let within = tree.join(path.trim_start_matches('/'));
    let folders: Vec<PathBuf> =
        within.ancestors().take_while(|folder| folder.starts_with(&tree)).map(Path::to_path_buf).collect();
    let one = |folder: PathBuf| {
        let text = |name: &str| fs::read_to_string(folder.join(name)).ok();
        let number = |name: &str| text(name)?.trim().parse::<u64>().ok();
        let (whole, used) = (number(limit)?, number(usage)?);
        // Files that nobody looks at are given up before anything is ended.
        let idle = text("memory.stat")?.lines().find_map(|line| line.strip_prefix(idle)?.trim().parse::<u64>().ok());
        Some(Room { left: whole.saturating_sub(used.saturating_sub(idle.unwrap_or(0))), whole })
    };
    folders.into_iter().filter_map(one).collect()
}

fn status() -> Option<String> {
    fs::read_to_string("/proc/self/status").ok()
}

/// The line of a file under `/proc` that begins so, which counts in units of 1024 bytes.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_high_water_mark() {
        assert_eq!(kibibytes("Name:\tx\nVmHWM:\t   2048 kB\nVmRSS:\t 1 kB\n", "VmHWM:"), Some(2 << 20));
        assert_eq!(kibibytes("VmRSS:\t 1 kB\n", "VmHWM:"), None);
        assert_eq!(kibibytes("VmHWM:\t many kB\n", "VmHWM:"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_mark_rises_with_what_is_used() {
        let before = peak_resident().unwrap();
        let block = vec![1u8; 64 << 20];
        assert!(block.iter().map(|&byte| u64::from(byte)).sum::<u64>() == 64 << 20);
        assert!(peak_resident().unwrap() >= before && peak_resident().unwrap() > 64 << 20);
        assert!(resident().unwrap() <= peak_resident().unwrap());
        let room = room().unwrap();
        assert!(room.left > 0 && room.left < room.whole, "{room:?}");
    }

    /// The files of a system with these contents.
    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = home.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        home
    }

    #[test]
    fn the_narrowest_limit_counts() {
        let meminfo = ("proc/meminfo", "MemTotal: 4000 kB\nMemFree: 100 kB\nMemAvailable: 3000 kB\n");
        let kib = |left: u64, whole: u64| Some(Room { left: left << 10, whole: whole << 10 });
        assert_eq!(room_below(system(&[meminfo]).path()), kib(3000, 4000));
        assert_eq!(room_below(system(&[]).path()), None);
        let second = system(&[
            meminfo,
            ("proc/self/cgroup", "0::/job/step\n"),
            ("sys/fs/cgroup/job/step/memory.max", "max\n"),
            ("sys/fs/cgroup/job/step/memory.current", "500000\n"),
            ("sys/fs/cgroup/job/memory.max", "1048576\n"),
            ("sys/fs/cgroup/job/memory.current", "921600\n"),
            ("sys/fs/cgroup/job/memory.stat", "anon 1\ninactive_file 102400\nactive_file 7\n"),
        ]);
        assert_eq!(room_below(second.path()), kib(224, 1024));
        let first = system(&[
            meminfo,
            ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/job\nnonsense\n"),
            ("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "2097152\n"),
            ("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "1048576\n"),
            ("sys/fs/cgroup/memory/job/memory.stat", "total_inactive_file 0\n"),
        ]);
        assert_eq!(room_below(first.path()), kib(1024, 2048));
    }
}
