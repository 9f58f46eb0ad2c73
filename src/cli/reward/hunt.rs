//! `recollect reward hunt`.

use recollect::Result;
use recollect::reward::rescore::OfReward;

use super::RescoreArgs;
use super::text::{head, number, paid, rollout, table};
use crate::cli::output;

/// Find the wrong answers that a reward pays most
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct HuntArgs {
    #[command(flatten)]
    rescore: RescoreArgs,
}

const HELP: &str = "\
A policy is paid for whatever the reward measures. Where wrong answers are paid like right ones, that is what it will
learn: look here before a run, and again after its first steps.

Example:
  recollect reward hunt rewards/hackable.toml runs/quickstart/rollouts/step-000020.jsonl";

pub fn main(args: &HuntArgs) -> Result<()> {
    let found = args.rescore.rescore()?;
    let mut text = head(&found);
    let Some(reward) = found.rewards.first() else { return Ok(()) };
    text += &verdict(reward);
    text += &format!("\n{}\n", terms(reward));
    if !found.caught.is_empty() {
        text += "\nThe wrong answers that are paid most:\n\n";
    }
    for caught in &found.caught {
        let times = if caught.times > 1 { format!(", {} times", caught.times) } else { String::new() };
        text += &format!("{}    paid    {}{times}\n\n", rollout(&caught.record), paid(&caught.score));
    }
    output::say(&text)
}

/// Whether there is something to worry about, in a line.
fn verdict(reward: &OfReward) -> String {
    let (right, wrong) = reward.total.means();
    match reward.inverted() {
        None => "No question has right and wrong answers to compare.\n".into(),
        Some(0.0) => "No wrong answer is paid as much as a right one to the same question.\n".into(),
        Some(share) => format!(
            "In {:.1} % of all pairs of a right and a wrong answer to one question the wrong one is paid more (ties \
             counted half); a right answer is paid {} on average, a wrong one {}.\n",
            100.0 * share,
            number(right),
            number(wrong)
        ),
    }
}

/// Where the pay of right answers and of wrong ones comes from.
fn terms(reward: &OfReward) -> String {
    let rows = reward.terms.iter().map(|(name, weight, values)| {
        let (right, wrong) = values.means();
        vec![name.clone(), number(weight * right), number(weight * wrong), number(right), number(wrong)]
    });
    table(&["term", "pays right", "pays wrong", "value if right", "value if wrong"], rows.collect())
}
