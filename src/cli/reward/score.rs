//! `recollect reward score`.

use recollect::Result;
use recollect::reward::rescore::{Distribution, Moved, OfReward, Rescored};

use super::RescoreArgs;
use super::text::{bars, head, number, percent, rollout, table};
use crate::cli::output;

/// Score recorded rollouts by another reward
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct ScoreArgs {
    #[command(flatten)]
    rescore: RescoreArgs,
}

const HELP: &str = "\
r is the correlation of a term with the answer being right. The signal is the mean size of the advantage that GRPO
would have given to a completion: 0 in groups whose completions are all paid the same.

Example:
  recollect reward score rewards/concise.toml runs/quickstart";

pub fn main(args: &ScoreArgs) -> Result<()> {
    let found = args.rescore.rescore()?;
    let mut text = head(&found) + "\n";
    for reward in &found.rewards {
        text += &format!("{}\n\n{}", distributions(reward), signal(&found, reward));
    }
    text += &format!("groups with another best completion    {}\n", percent(found.new_best, found.groups));
    text += &moved(&found.moved, "What changes places most in its group", ["then", "now"]);
    output::say(&text)
}

/// A row for the total and for each term.
pub fn distributions(reward: &OfReward) -> String {
    let row = |name: &str, weight: String, values: &Distribution| {
        let (right, wrong) = values.means();
        let (least, most) = values.extremes().unzip();
        let numbers = [values.mean(), values.deviation(), right, wrong].map(number);
        let [mean, deviation, right, wrong] = numbers;
        vec![
            name.to_string(),
            weight,
            mean,
            deviation,
            number(least),
            number(most),
            right,
            wrong,
            number(values.correlation()),
            bars(values),
        ]
    };
    let mut rows = vec![row("total", String::new(), &reward.total)];
    rows.extend(reward.terms.iter().map(|(name, weight, values)| row(name, number(*weight), values)));
    table(&["term", "weight", "mean", "std", "min", "max", "if right", "if wrong", "r", "low to high"], rows)
}

/// What GRPO would learn from.
fn signal(found: &Rescored, reward: &OfReward) -> String {
    let inverted = reward.inverted().map_or("-".into(), |share| format!("{:.1} %", 100.0 * share));
    format!(
        "groups without spread                  {}\n\
         signal for GRPO                        {} (right answers {}, wrong ones {})\n\
         wrong paid above right, same question  {inverted} of all pairs, ties counted half\n",
        percent(reward.without_spread, found.groups),
        number(reward.signal()),
        number(reward.signal_of_right()),
        number(reward.signal_of_wrong()),
    )
}

/// The completions on which two rewards disagree.
pub fn moved(moved: &[Moved], title: &str, names: [&str; 2]) -> String {
    if moved.is_empty() {
        return "No completion changes places in its group.\n".into();
    }
    let mut text = format!("\n{title}:\n\n");
    for one in moved {
        let side =
            |at: usize| format!("{} {} (place {} of {})", names[at], number(one.paid[at]), 1.0 + one.ranks[at], one.of);
        text += &format!("{}    paid    {}, {}\n\n", rollout(&one.record), side(0), side(1));
    }
    text
}
