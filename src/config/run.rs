//! `[run]`: where the run lives and how it is run.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Ranges, off_at_zero};
use crate::exchange::on_cores;
use crate::kernels::{DeviceChoice, Precision};

/// Nothing here but seed and precision changes a result, except that a card and the processor round in other places:
/// stages made on a card are kept apart from those made without.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// The run directory. Empty: `runs/` and the name of the config file.
    pub dir: PathBuf,
    /// Seed of the reinforcement learning: order of questions, sampling.
    pub seed: u64,
    /// Seeds of several whole runs: `recollect run` makes one for each, in `seed-N/` of the run directory with N for
    /// `world.seed`, `finetune.seed` and `run.seed`, and reports what they say together. Empty: one run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub seeds: Vec<u64>,
    /// What training rounds the operands of its matrix products to: "f32" (not at all) or "bf16", where the processor is
    /// faster with that. Sampling and evaluation stay f32, and the metric `mismatch_kl` says how far the
    /// two are apart: about 3e-5 nats a token in bf16 with the quickstart's model, 1e-12 in f32.
    pub precision: Precision,
    /// Where the policy is trained and sampled from: "auto" (the first card if there is one and the program was built
    /// for CUDA, else the processor), "cpu" or "cuda:N". On a card `precision = "bf16"` makes activations and products
    /// bf16, in sampling and evaluation too; weights that are trained and their moments stay f32.
    pub device: DeviceChoice,
    /// Threads that sample and learn; 0 takes one for each core.
    #[serde(with = "off_at_zero")]
    pub workers: Option<usize>,
    /// Where finished stages are kept, for several runs to share. Without it, inside the run directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
}

impl RunConfig {
    /// The number of workers: as many as there are cores, unless told.
    pub fn resolved_workers(&self) -> usize {
        on_cores(self.workers)
    }

    pub(super) fn check(&self, ranges: &mut Ranges) {
        let mut seen = BTreeSet::new();
        let twice = self.seeds.iter().find(|seed| !seen.insert(**seed));
        ranges.demand(twice.is_none(), "run.seeds", format!("{} twice", twice.unwrap_or(&0)), "each seed once");
        let seeds = self.seeds.len();
        ranges.demand(seeds <= 1000, "run.seeds", format!("{seeds} seeds"), "1000 seeds at most");
        let workers = self.workers.unwrap_or(0);
        ranges.demand(workers <= 1024, "run.workers", workers, "0 (one for each core) to 1024");
    }
}
