//! What came of a sweep: a ranked table for the terminal and one page for the browser.

mod page;
mod story;
#[cfg(feature = "cli")]
mod table;

use crate::evaluation::Setting;

pub use page::sweep_page;
#[cfg(feature = "cli")]
pub use table::sweep_table;

/// "reward faithful, learning_rate 3e-4".
fn described(labels: &[String], settings: &[Setting]) -> String {
    let one = |(label, setting): (&String, &Setting)| format!("{label} {}", setting.short());
    labels.iter().zip(settings).map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
pub(super) mod fixture {
    use crate::evaluation::sweep::tests::{answer, cell};
    use crate::evaluation::sweep::{FailedCell, effects, on_b, rank};
    use crate::evaluation::{Arm, Cost, MeasuredCell, Setting, SweepSummary};
    use crate::knowledge::Set;

    /// Two rewards and two rates with two seeds, and a cell that failed.
    pub fn summary() -> SweepSummary {
        let settings =
            [["rewards/faithful.toml", "1e-4"], ["rewards/faithful.toml", "3e-4"], ["rewards/recall.toml", "1e-4"]];
        let right = [[10, 11], [12, 17], [16, 18]];
        let measured: Vec<MeasuredCell> =
            settings.iter().zip(right).enumerate().map(|(at, (of, right))| cell(at + 1, of, 0, right)).collect();
        let run = |right| -> Vec<_> {
            let of = |arm, right| (0..20).map(move |id| answer(arm, Set::B, id, id < right));
            of(Arm::FineTuned, 3).chain(of(Arm::AfterRl, right)).collect()
        };
        let axes = vec!["train.reward".to_string(), "train.learning_rate".into()];
        let failed = Setting { text: "3e-4".into(), number: Some(3e-4) };
        SweepSummary {
            name: "sweep".into(),
            version: "0.2.0".into(),
            search: "a grid of 4 cells, trained for 10 steps".into(),
            labels: vec!["reward".into(), "learning_rate".into()],
            effects: effects(&axes, &measured),
            axes,
            seeds: vec![0, 7],
            ranking: rank(&measured),
            failed: vec![FailedCell {
                cell: 4,
                settings: vec![Setting { text: "rewards/recall.toml".into(), number: None }, failed],
                seed: 0,
                error: "reinforcement learning: the gradient of step 3 is not finite; lower train.learning_rate".into(),
            }],
            b: on_b(&[(0, run(15)), (7, run(17))]),
            command: "recollect run configs/quickstart.toml --set train.reward=rewards/recall.toml".into(),
            cost: Cost { seconds: 700.0, rollouts: 60, tokens: 3_000 },
            finetune_seconds: 386.0,
            file: "base = \"configs/quickstart.toml\"\n".into(),
            config: "[train]\nsteps = 10\n".into(),
            hardware: "AMD EPYC, 2 cores".into(),
            digests: [("base config".to_string(), crate::files::digest(b"base"))].into(),
        }
    }
}
