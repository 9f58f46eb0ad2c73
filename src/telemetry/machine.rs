//! The machine that a run is on: its processor, how much memory the process needs, and how much it may still take. `None`
//! where the system does not tell.

use std::path::{Path, PathBuf};
use std::{fs, thread};

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System};

/// Processor and number of usable cores, for example "AMD EPYC 7B13, 2 cores".
pub fn describe() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let system = System::new_with_specifics(RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing())).ok();
    let brand = system.as_ref().and_then(|system| Some(system.cpus().first()?.brand().trim()));
    let processor = brand.filter(|brand| !brand.is_empty()).unwrap_or(std::env::consts::ARCH);
    format!("{processor}, {cores} core{}", if cores == 1 { "" } else { "s" })
}

/// What the process may still take before the kernel ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that can be taken without anything being swapped out.
    pub left: u64,
    /// Bytes that there are in all.
    pub whole: u64,
}

/// Peak resident memory of this process in bytes, which Linux alone tells.
pub fn peak_resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = peak.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Resident memory of this process in bytes.
pub fn resident() -> Option<u64> {
    let this = sysinfo::get_current_pid().ok()?;
    let mut system = System::new().ok()?;
    let memory = ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[this]), true, memory);
    system.process(this).map(sysinfo::Process::memory)
}

/// What the machine, or the narrowest group of processes with a limit that this one is in, has left.
pub fn room() -> Option<Room> {
    let ram = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let machine = System::new_with_specifics(ram).ok();
    let machine = machine.map(|machine| Room { left: machine.available_memory(), whole: machine.total_memory() });
    machine.into_iter().chain(groups(Path::new("/"))).min_by_key(|room| room.left)
}

/// What the control groups that this process is in have left, by the system's files below `root`. sysinfo knows the
/// outermost of them only, and counts files that nobody looks at as used.
fn groups(root: &Path) -> Vec<Room> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    groups.lines().flat_map(|line| group(root, line)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_has_a_name() {
        assert!(describe().contains(" core"), "{}", describe());
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
        let kib = |left: u64, whole: u64| Some(Room { left: left << 10, whole: whole << 10 });
        let narrowest = |root: &Path| groups(root).into_iter().min_by_key(|room| room.left);
        assert_eq!(narrowest(system(&[]).path()), None);
        let second = system(&[
            ("proc/self/cgroup", "0::/job/step\n"),
            ("sys/fs/cgroup/job/step/memory.max", "max\n"),
            ("sys/fs/cgroup/job/step/memory.current", "500000\n"),
            ("sys/fs/cgroup/job/memory.max", "1048576\n"),
            ("sys/fs/cgroup/job/memory.current", "921600\n"),
            ("sys/fs/cgroup/job/memory.stat", "anon 1\ninactive_file 102400\nactive_file 7\n"),
        ]);
        assert_eq!(narrowest(second.path()), kib(224, 1024));
        let first = system(&[
            ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/job\nnonsense\n"),
            ("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "2097152\n"),
            ("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "1048576\n"),
            ("sys/fs/cgroup/memory/job/memory.stat", "total_inactive_file 0\n"),
        ]);
        assert_eq!(narrowest(first.path()), kib(1024, 2048));
    }
}
