//! `recollect reward explain`.

use std::path::PathBuf;

use recollect::Result;
use recollect::reward::Scorer;
use recollect::reward::examples::{Explained, explain, loophole};

use super::text::{number, paid, table};
use crate::cli::output;

/// See what a reward pays for: hand-made completions from perfect to hostile
#[derive(clap::Args)]
pub struct ExplainArgs {
    /// The reward, a TOML file (see rewards/)
    reward: PathBuf,
    /// Print the completions as well
    #[arg(long)]
    text: bool,
}

pub fn main(args: &ExplainArgs) -> Result<()> {
    let scorer = Scorer::open(&super::load(&args.reward)?)?;
    let explained = explain(&scorer);
    let mut text = String::new();
    for of_question in explained.chunk_by(|a, b| a.example.question.id == b.example.question.id) {
        let question = of_question.first().map(|one| &one.example.question);
        let asked = question.map_or(String::new(), |q| format!("{} ({})\n", q.text, q.answer));
        text += &format!("{asked}{}\n\n", grid(of_question));
    }
    if args.text {
        for one in &explained {
            text += &format!("{}\n  {}\n  {}\n", one.example.name, one.example.completion, paid(&one.score));
        }
        text.push('\n');
    }
    text += &match loophole(&explained) {
        Some((wrong, right)) => format!(
            "LOOPHOLE: who {} is wrong and earns\n  {}\nwho {} is right and earns\n  {}\n",
            wrong.example.name,
            paid(&wrong.score),
            right.example.name,
            paid(&right.score)
        ),
        None => "No wrong answer here earns as much as a right one from true recitations.\n".into(),
    };
    for failed in scorer.take_failures() {
        let words = failed.complaint.map_or(String::new(), |words| format!(" (\"{words}\")"));
        let (term, times, why) = (&failed.term, failed.times, failed.failure.name());
        text += &format!("note: the command of {term} gave no value {times} times: {why}{words}\n");
    }
    for (term, words) in scorer.take_remarks() {
        text += &format!("note: {term}: {words}\n");
    }
    output::say(&text)
}

/// A row for each completion with what each term pays, best paid first.
fn grid(explained: &[Explained]) -> String {
    let mut sorted: Vec<&Explained> = explained.iter().collect();
    // What was not judged stands at the end.
    let total = |one: &Explained| one.score.total.unwrap_or(f64::NEG_INFINITY);
    sorted.sort_by(|a, b| total(b).total_cmp(&total(a)));
    let terms = sorted.first().map_or(&[][..], |one| &one.score.terms);
    let paying: Vec<usize> = (0..terms.len()).filter(|index| terms[*index].weight != 0.0).collect();
    let mut header = vec!["completion: who …", "right", "total"];
    header.extend(paying.iter().map(|index| terms[*index].name.as_str()));
    let row = |one: &&Explained| {
        let right = if one.example.judgement.correct { "yes" } else { "no" };
        let mut row = vec![one.example.name.to_string(), right.into(), number(one.score.total)];
        row.extend(paying.iter().map(|index| number(one.score.terms[*index].paid())));
        row
    };
    table(&header, sorted.iter().map(row).collect())
}
