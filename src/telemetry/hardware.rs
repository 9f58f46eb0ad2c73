//! The machine that a run ran on, for its provenance.

use std::fs;
use std::thread;

/// Processor and number of usable cores, for example "AMD EPYC 7B13, 2 cores".
pub fn describe() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor_name(&cpu_info).unwrap_or(std::env::consts::ARCH);
    format!("{processor}, {cores} core{}", if cores == 1 { "" } else { "s" })
}

fn processor_name(cpu_info: &str) -> Option<&str> {
    let line = cpu_info.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_name_of_the_processor() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\ncache size\t: 1 KB\n";
        assert_eq!(processor_name(text), Some("Some CPU @ 2 GHz"));
        assert_eq!(processor_name("model name\t: \n"), None);
        assert!(describe().contains("core"));
    }
}
