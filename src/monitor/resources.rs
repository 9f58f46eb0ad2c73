//! What the machine has left. A full disk ends a run, and a full memory ends it without a word: both are told of while
//! there is time.

use std::path::Path;

use crate::config::{Config, footprint};
use crate::files::{self, megabytes};
use crate::telemetry::machine::{self, Room};

/// Steps whose rollouts have to fit beside the next checkpoint.
pub(super) const STEPS: u64 = 10;

/// What is left, and what is about to be taken of it, in bytes. What the system does not tell is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Headroom {
    pub memory: Option<Room>,
    /// What the process has taken more than now at its peak: a step may take it again.
    pub swing: u64,
    pub disk: Option<u64>,
    /// What the next checkpoint and the rollouts of some steps take.
    pub next: u64,
}

impl Headroom {
    /// As it is now, where a run is written whose checkpoints and whose rollouts of a step take so much.
    pub fn now(run: &Path, checkpoint: u64, rollouts: u64) -> Headroom {
        let swing = machine::peak_resident().unwrap_or(0).saturating_sub(machine::resident().unwrap_or(0));
        let next = checkpoint.saturating_add(rollouts.saturating_mul(STEPS));
        Headroom { memory: machine::room(), swing, disk: files::free(run), next }
    }
}

/// Words for a config whose training will hardly fit into what the machine has left, by the shape of its model: the first
/// step may be the one that the system ends.
pub fn forecast(config: &Config) -> Option<String> {
    let [full, adapters] = footprint::for_config(config)?;
    let needed = if config.lora.is_some() { adapters } else { full }.total();
    // What is taken already is part of what is needed.
    let room = machine::room()?.left.saturating_add(machine::resident().unwrap_or(0));
    (needed > u128::from(room)).then(|| {
        format!(
            "ALARM: training takes about {} by the shape of the model, and this machine has {}: the system may end it \
             without a word. Try fewer run.workers or adapters ([lora]); `--dry-run` says what takes how much.",
            megabytes(u64::try_from(needed).unwrap_or(u64::MAX)),
            megabytes(room)
        )
    })
}

/// Words for a run whose checkpoints and trained policy will hardly fit on the disk, where `there` checkpoints lie
/// already.
pub fn disk_forecast(config: &Config, there: usize) -> Option<String> {
    let [full, adapters] = footprint::for_config(config)?;
    let chosen = if config.lora.is_some() { adapters } else { full };
    let more = footprint::checkpoints(&config.train).saturating_sub(there);
    let needed = chosen.checkpoint().saturating_mul(more as u128).saturating_add(chosen.trained());
    let free = files::free(&config.run.dir)?;
    (needed > u128::from(free)).then(|| {
        format!(
            "ALARM: checkpoints and the trained policy take up to {}, and {} are free on the disk: the run ends where \
             something does not fit. Make room, or keep fewer checkpoints (train.keep_last, train.keep_best).",
            megabytes(u64::try_from(needed).unwrap_or(u64::MAX)),
            megabytes(free)
        )
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    /// A machine with so many megabytes of memory and on the disk, where a step takes 50 of the one and a checkpoint 30 of
    /// the other.
    pub fn room(memory: u64, disk: u64) -> Headroom {
        let memory = Some(Room { left: memory * MB, whole: 1000 * MB });
        Headroom { memory, swing: 50 * MB, disk: Some(disk * MB), next: 30 * MB }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_will_not_fit_is_told_of_before_it_begins() {
        let mut config = Config::default();
        assert_eq!(forecast(&config), None, "the base that ships fits anywhere");
        (config.train.group_size, config.run.workers) = (1 << 40, Some(1 << 40));
        let words = forecast(&config).unwrap();
        assert!(
            words.starts_with("ALARM: training takes about ") && words.contains("Try fewer run.workers"),
            "{words}"
        );
    }

    #[test]
    #[cfg(unix)]
    fn checkpoints_that_will_not_fit_are_told_of_before_the_first_one() {
        let mut config = Config::default();
        assert_eq!(disk_forecast(&config, 0), None, "the base that ships fits anywhere");
        (config.train.keep_last, config.train.steps, config.train.checkpoint_every) = (1 << 40, 1 << 40, Some(1));
        let words = disk_forecast(&config, 3).unwrap();
        assert!(words.starts_with("ALARM: checkpoints and the trained policy take up to ") && !words.contains('\n'));
        assert_eq!(disk_forecast(&config, 1 << 41), None, "they are there already");
    }

    #[test]
    fn this_machine_says_what_it_has() {
        let left = Headroom::now(Path::new("."), 3, 5);
        assert_eq!(left.next, 53);
        assert_eq!(left.disk.is_some(), cfg!(unix));
    }
}
