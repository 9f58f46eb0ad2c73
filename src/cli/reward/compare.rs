//! `recollect reward compare`.

use std::path::{Path, PathBuf};

use recollect::Result;
use recollect::reward::rescore::{OfReward, Rescored};

use super::RolloutArgs;
use super::score::{distributions, moved};
use super::text::{head, number, percent, table};
use crate::cli::output;

/// Put two rewards side by side on recorded rollouts
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct CompareArgs {
    /// One reward
    a: PathBuf,
    /// The other
    b: PathBuf,
    #[command(flatten)]
    rollouts: RolloutArgs,
}

const HELP: &str = "\
Example:
  recollect reward compare rewards/correct.toml rewards/faithful.toml runs/quickstart";

pub fn main(args: &CompareArgs) -> Result<()> {
    let found = args.rollouts.rescore(&[super::load(&args.a)?, super::load(&args.b)?])?;
    let names = [name(&args.a), name(&args.b)];
    let mut text = format!("{}\n{}\n\n", head(&found), side_by_side(&found, &names));
    for (name, reward) in names.iter().zip(&found.rewards) {
        text += &format!("{name}\n{}\n\n", distributions(reward));
    }
    let best = percent(found.new_best, found.groups);
    text += &format!("They agree on no best completion in {best} of the groups.\n");
    let names = [names[0].as_str(), names[1].as_str()];
    text += &moved(&found.moved, "Where they disagree most", names);
    output::say(&text)
}

/// The name of a file without its folder and its ending.
fn name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn side_by_side(found: &Rescored, names: &[String]) -> String {
    let row = |what: &str, of: &dyn Fn(&OfReward) -> String| {
        std::iter::once(what.to_string()).chain(found.rewards.iter().map(of)).collect::<Vec<String>>()
    };
    let inverted = |reward: &OfReward| reward.inverted().map_or("-".into(), |share| format!("{:.1} %", 100.0 * share));
    let rows = vec![
        row("mean reward", &|reward| number(reward.total.mean())),
        row("correlation with right answers", &|reward| number(reward.total.correlation())),
        row("groups without spread", &|reward| percent(reward.without_spread, found.groups)),
        row("signal for GRPO", &|reward| number(reward.signal())),
        row("signal of right answers", &|reward| number(reward.signal_of_right())),
        row("wrong paid above right", &inverted),
    ];
    table(&[&[""][..], &names.iter().map(String::as_str).collect::<Vec<_>>()].concat(), rows)
}
