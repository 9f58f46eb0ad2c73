//! `recollect reward check`.

use std::fmt::Write;
use std::path::PathBuf;

use recollect::Result;
use recollect::reward::{Normalise, Reward};

use super::text::number;
use crate::cli::output;

/// Look for what is wrong in a reward file; everything at once, with line and column. Runs nothing
#[derive(clap::Args)]
pub struct CheckArgs {
    /// The reward, a TOML file (see rewards/)
    reward: PathBuf,
}

pub fn main(args: &CheckArgs) -> Result<()> {
    let reward = super::load(&args.reward)?;
    let mut programs = String::new();
    for (name, external) in reward.externals() {
        programs += &format!("{name} would run {}, which was not started\n", output::shown(&external.find(name)?));
    }
    output::say(&format!("{} is fine\n{}{programs}", output::shown(&args.reward), summary(&reward)))
}

/// The terms with what becomes of them, a line each.
fn summary(reward: &Reward) -> String {
    let (low, high) = reward.range();
    let mut text = format!("pays from {} to {}", number(low), number(high));
    text += match reward.normalise {
        Normalise::Sum => "; the sum is compared within a group\n",
        Normalise::Terms => "; each term is compared within a group by itself (GDPO)\n",
    };
    let width = reward.terms.iter().map(|term| term.name.chars().count()).max().unwrap_or(0);
    for term in &reward.terms {
        let mut notes =
            vec![if term.weights().all(|weight| weight == 0.0) { "logged only".into() } else { String::new() }];
        notes.extend((term.name != term.term.kind()).then(|| format!("kind {}", term.term.kind())));
        notes.extend(term.only_if.as_ref().map(|gate| format!("only if {gate}")));
        notes.extend(term.unless.as_ref().map(|gate| format!("unless {gate}")));
        notes.extend(term.clip.map(|clip| format!("clipped to {} … {}", clip.low, clip.high)));
        let annealed =
            |a: recollect::reward::score::Anneal| format!("to {} in steps {} to {}", number(a.to), a.start, a.end);
        notes.extend(term.anneal.map(annealed));
        notes.retain(|note| !note.is_empty());
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:width$}  {:>6}  {}", term.name, number(term.weight), notes.join(", "));
    }
    text
}
