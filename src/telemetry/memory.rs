//! How much memory the process needed at most.

/// Peak resident memory of this process in bytes. `None` where the system does not tell (anywhere but Linux).
pub fn peak_resident() -> Option<u64> {
    parse_peak(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The `VmHWM` line of `/proc/self/status`, which counts in units of 1024 bytes.
fn parse_peak(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_high_water_mark() {
        assert_eq!(parse_peak("Name:\tx\nVmHWM:\t   2048 kB\nVmRSS:\t 1 kB\n"), Some(2 << 20));
        assert_eq!(parse_peak("VmRSS:\t 1 kB\n"), None);
        assert_eq!(parse_peak("VmHWM:\t many kB\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_mark_rises_with_what_is_used() {
        let before = peak_resident().unwrap();
        let block = vec![1u8; 64 << 20];
        assert!(block.iter().map(|&byte| u64::from(byte)).sum::<u64>() == 64 << 20);
        assert!(peak_resident().unwrap() >= before && peak_resident().unwrap() > 64 << 20);
    }
}
