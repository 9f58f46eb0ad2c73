//! `recollect reward score`, `compare` and `hunt`: rewards on recorded rollouts.

use std::path::{Path, PathBuf};

use recollect::Result;
use recollect::report::{Column, ShownTable};
use recollect::reward::Reward;
use recollect::reward::rescore::{Moved, OfReward, Rescored};
use recollect::text::one_line;

use super::text::{bars, head, number, paid, percent, rollout};
use super::{RescoreArgs, RolloutArgs};
use crate::cli::output;

/// Score recorded rollouts by another reward
#[derive(clap::Args)]
#[command(after_help = SCORE_HELP)]
pub struct ScoreArgs {
    #[command(flatten)]
    rescore: RescoreArgs,
}

const SCORE_HELP: &str = "\
r is the correlation of a term with the answer being right. The signal is the mean size of the advantage that GRPO
would have given to a completion: 0 in groups whose completions are all paid the same.

Example:
  recollect reward score rewards/concise.toml runs/quickstart";

pub fn score(args: &ScoreArgs) -> Result<()> {
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
fn distributions(reward: &OfReward) -> String {
    let mut rows = vec![("total".to_owned(), String::new(), &reward.total)];
    rows.extend(reward.terms.iter().map(|(name, weight, values)| (one_line(name), number(*weight), values)));
    ShownTable::with_columns(
        &rows,
        &[
            (Column::left("term"), &|row| (&row.0).into()),
            (Column::right("weight"), &|row| (&row.1).into()),
            (Column::right("mean"), &|row| number(row.2.mean()).into()),
            (Column::right("std"), &|row| number(row.2.deviation()).into()),
            (Column::right("min"), &|row| number(row.2.extremes().map(|(least, _)| least)).into()),
            (Column::right("max"), &|row| number(row.2.extremes().map(|(_, most)| most)).into()),
            (Column::right("if right"), &|row| number(row.2.means().0).into()),
            (Column::right("if wrong"), &|row| number(row.2.means().1).into()),
            (Column::right("r"), &|row| number(row.2.correlation()).into()),
            (Column::right("low to high"), &|row| bars(row.2).into()),
        ],
    )
    .compact()
}

/// The share of pairs in which the wrong answer is paid more.
fn inverted(reward: &OfReward) -> String {
    reward.inverted().map_or("-".into(), |share| format!("{:.1} %", 100.0 * share))
}

/// What GRPO would learn from.
fn signal(found: &Rescored, reward: &OfReward) -> String {
    format!(
        "groups without spread                  {}\n\
         signal for GRPO                        {} (right answers {}, wrong ones {})\n\
         wrong paid above right, same question  {} of all pairs, ties counted half\n",
        percent(reward.without_spread, found.groups),
        number(reward.signal()),
        number(reward.signal_of_right()),
        number(reward.signal_of_wrong()),
        inverted(reward),
    )
}

/// The completions on which two rewards disagree.
fn moved(moved: &[Moved], title: &str, names: [&str; 2]) -> String {
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

/// Put two rewards side by side on recorded rollouts
#[derive(clap::Args)]
#[command(after_help = COMPARE_HELP)]
pub struct CompareArgs {
    /// One reward
    a: PathBuf,
    /// The other
    b: PathBuf,
    #[command(flatten)]
    rollouts: RolloutArgs,
}

const COMPARE_HELP: &str = "\
Example:
  recollect reward compare rewards/correct.toml rewards/faithful.toml runs/quickstart";

pub fn compare(args: &CompareArgs) -> Result<()> {
    let found = args.rollouts.rescore(&[Reward::load(&args.a)?, Reward::load(&args.b)?])?;
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

/// What is measured of a reward, and how.
type Measured<'a> = (&'a str, &'a dyn Fn(&OfReward) -> String);

fn side_by_side(found: &Rescored, names: &[String; 2]) -> String {
    let flat = |reward: &OfReward| percent(reward.without_spread, found.groups);
    let rows: [Measured; 6] = [
        ("mean reward", &|reward| number(reward.total.mean())),
        ("correlation with right answers", &|reward| number(reward.total.correlation())),
        ("groups without spread", &flat),
        ("signal for GRPO", &|reward| number(reward.signal())),
        ("signal of right answers", &|reward| number(reward.signal_of_right())),
        ("wrong paid above right", &inverted),
    ];
    let columns = names.iter().map(|name| Column::right(one_line(name)));
    let row = |(what, of): Measured| {
        [what.into()].into_iter().chain(found.rewards.iter().map(|reward| of(reward).into())).collect()
    };
    ShownTable {
        columns: [Column::left("")].into_iter().chain(columns).collect(),
        rows: rows.into_iter().map(row).collect(),
        ..ShownTable::default()
    }
    .compact()
}

/// Find the wrong answers that a reward pays most
#[derive(clap::Args)]
#[command(after_help = HUNT_HELP)]
pub struct HuntArgs {
    #[command(flatten)]
    rescore: RescoreArgs,
}

const HUNT_HELP: &str = "\
A policy is paid for whatever the reward measures. Where wrong answers are paid like right ones, that is what it will
learn: look here before a run, and again after its first steps.

Example:
  recollect reward hunt rewards/hackable.toml runs/quickstart/rollouts/step-000020.jsonl";

pub fn hunt(args: &HuntArgs) -> Result<()> {
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
    ShownTable::with_columns(
        &reward.terms,
        &[
            (Column::left("term"), &|(name, ..)| one_line(name).into()),
            (Column::right("pays right"), &|(_, weight, values)| number(weight * values.means().0).into()),
            (Column::right("pays wrong"), &|(_, weight, values)| number(weight * values.means().1).into()),
            (Column::right("value if right"), &|(.., values)| number(values.means().0).into()),
            (Column::right("value if wrong"), &|(.., values)| number(values.means().1).into()),
        ],
    )
    .compact()
}
