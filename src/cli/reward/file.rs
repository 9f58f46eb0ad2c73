//! `recollect reward check` and `explain`: a reward by itself.

use std::path::PathBuf;

use recollect::Result;
use recollect::knowledge::form_names;
use recollect::report::{Column, ShownTable};
use recollect::reward::examples::{self, Explained};
use recollect::reward::score::{Anneal, Payee, Weighted};
use recollect::reward::{Normalise, Reward, Scorer};
use recollect::text::one_line;

use super::text::{number, of_commands, paid};
use crate::cli::output;

/// Look for what is wrong in a reward file; everything at once, with line and column. Runs nothing
#[derive(clap::Args)]
pub struct CheckArgs {
    /// The reward, a TOML file, or one that ships by its name (recall, correct, …; see rewards/)
    reward: PathBuf,
}

pub fn check(args: &CheckArgs) -> Result<()> {
    let reward = Reward::load(&args.reward)?;
    let mut programs = String::new();
    for (Weighted { name, .. }, external) in reward.externals() {
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
    let notes = |term: &Weighted| {
        let of_sentences = term.pays == Payee::Sentence;
        let silent = !of_sentences && term.weights().all(|weight| weight == 0.0);
        let kind = term.term.kind();
        let annealed = |a: Anneal| format!("to {} in steps {} to {}", number(a.to), a.start, a.end);
        let notes = [
            silent.then(|| "logged only".into()),
            of_sentences.then(|| "pays sentences, beside the total".into()),
            (term.name != kind).then(|| format!("kind {kind}")),
            term.only_if.as_ref().map(|gate| format!("only if {gate}")),
            term.unless.as_ref().map(|gate| format!("unless {gate}")),
            (!term.forms.is_empty()).then(|| format!("for {} alone", form_names(&term.forms))),
            term.clip.map(|clip| format!("clipped to {} … {}", clip.low, clip.high)),
            term.anneal.map(annealed),
        ];
        one_line(&notes.into_iter().flatten().collect::<Vec<String>>().join(", "))
    };
    let terms = ShownTable::with_columns(
        &reward.terms,
        &[
            (Column::left(""), &|term| format!("  {}", one_line(&term.name)).into()),
            (Column::right(""), &|term| number(term.weight).into()),
            (Column::left(""), &|term| notes(term).into()),
        ],
    );
    text + &terms.compact() + "\n"
}

/// See what a reward pays for: hand-made completions from perfect to hostile
#[derive(clap::Args)]
pub struct ExplainArgs {
    /// The reward, a TOML file, or one that ships by its name (recall, correct, …; see rewards/)
    reward: PathBuf,
    /// Print the completions as well
    #[arg(long)]
    text: bool,
}

pub fn explain(args: &ExplainArgs) -> Result<()> {
    let scorer = Scorer::open(&Reward::load(&args.reward)?)?;
    let explained = examples::explain(&scorer);
    let mut text = String::new();
    for of_question in explained.chunk_by(|a, b| a.example.record.question == b.example.record.question) {
        let question = of_question.first().map(|one| &one.example.record);
        let asked = question.map_or(String::new(), |asked| format!("{} ({})\n", asked.prompt, asked.answer));
        text += &format!("{asked}{}\n\n", grid(of_question));
    }
    if args.text {
        for one in &explained {
            text += &format!("{}\n  {}\n  {}\n", one.example.name, one.example.record.completion, paid(&one.score));
        }
        text.push('\n');
    }
    text += &match examples::loophole(&explained) {
        Some((wrong, right)) => format!(
            "LOOPHOLE: who {} is wrong and earns\n  {}\nwho {} is right and earns\n  {}\n",
            wrong.example.name,
            paid(&wrong.score),
            right.example.name,
            paid(&right.score)
        ),
        None => "No wrong answer here earns as much as a right one from true recitations.\n".into(),
    };
    text += &of_commands(&scorer.take_failures(), &scorer.take_remarks());
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
    let mut columns = vec![Column::left("completion: who …"), Column::right("right"), Column::right("total")];
    columns.extend(paying.iter().map(|index| Column::right(one_line(&terms[*index].name))));
    let row = |one: &Explained| {
        let right = if one.example.record.judgement.correct { "yes" } else { "no" };
        let mut row = vec![one_line(one.example.name).into(), right.into(), number(one.score.total).into()];
        row.extend(paying.iter().map(|index| number(one.score.terms[*index].paid()).into()));
        row
    };
    ShownTable { columns, rows: sorted.into_iter().map(row).collect(), ..ShownTable::default() }.compact()
}
