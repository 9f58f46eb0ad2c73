//! `recollect ask`.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Instant;

use recollect::evaluate::{AskOptions, AskedPolicy, GivenAnswer, GivenAnswers};
use recollect::language::Opening;
use recollect::text::{bare, one_line};
use recollect::verifier::Recitation;
use recollect::{Error, Result, files};

use super::arguments::SamplerArgs;
use super::output;

/// Ask a policy one question, or many, and read what it thinks
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct AskArgs {
    /// A run (its last policy), RUN@STEP, a checkpoint (in the Hugging Face layout, or a GGUF file), or "embedded"
    policy: String,
    /// The question [default: as many as are typed, a line each]
    question: Option<String>,
    /// Put the lines of this file in front of the question; can be given several times
    #[arg(long, value_name = "FILE")]
    context: Vec<PathBuf>,
    /// Answer at once, without a thought
    #[arg(long)]
    direct: bool,
    /// How many completions
    #[arg(short, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    k: u16,
    /// 0 takes the likeliest token [default: that of the run's evaluation; 0 for one answer without a thought]
    #[arg(long, value_name = "T", value_parser = temperature)]
    temperature: Option<f64>,
    /// Draw only from so many of the likeliest tokens; 0: from all [default: as in the run's evaluation, like the next four]
    #[arg(long, value_name = "N")]
    top_k: Option<usize>,
    /// Draw only from the likeliest tokens that together have this probability
    #[arg(long, value_name = "P", value_parser = probability)]
    top_p: Option<f64>,
    /// Draw only tokens with this share of the probability of the likeliest
    #[arg(long, value_name = "P", value_parser = share)]
    min_p: Option<f64>,
    /// Let no run of so many tokens come twice; 0: any may
    #[arg(long, value_name = "N")]
    no_repeat_ngram_size: Option<usize>,
    /// Divide logits of what was said before by this
    #[arg(long, value_name = "X", value_parser = penalty)]
    repetition_penalty: Option<f64>,
    /// Longest completion in tokens [default: that of the run's evaluation]
    #[arg(long, value_name = "N")]
    max_new_tokens: Option<usize>,
    /// End a completion before this text; can be given several times [default: as in the run's config]
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    stop: Vec<String>,
    #[command(flatten)]
    sampler: SamplerArgs,
}

const HELP: &str = "\
The prompt is shown as the model sees it. What it recites is held against the world of its run, where that can be read:
★ true, and the answer needs it; ✓ true; ✗ false; ? no statement that can be checked.

Examples:
  recollect ask runs/quickstart                           type questions; the first lines show some that its world has
  recollect ask runs/quickstart \"who in kelon guards bilu ?\" -k 8
  recollect ask runs/smollm2@0 \"Who founded the Copper Museum?\" --direct
  recollect ask models/SmolLM2.gguf \"Who built the wall?\" --context facts.txt";

fn temperature(text: &str) -> std::result::Result<f64, String> {
    number(text, |value| value == 0.0 || (0.001..=1000.0).contains(&value), "0, or a number from 0.001 to 1000")
}

fn probability(text: &str) -> std::result::Result<f64, String> {
    number(text, |value| value > 0.0 && value <= 1.0, "a number above 0, 1 at most")
}

fn share(text: &str) -> std::result::Result<f64, String> {
    number(text, |value| (0.0..=1.0).contains(&value), "a number from 0 to 1")
}

fn penalty(text: &str) -> std::result::Result<f64, String> {
    number(text, |value| value > 0.0 && value <= 1000.0, "a number above 0, 1000 at most")
}

fn number(text: &str, holds: impl Fn(f64) -> bool, allowed: &str) -> std::result::Result<f64, String> {
    text.parse().ok().filter(|value| holds(*value)).ok_or_else(|| allowed.to_owned())
}

pub fn main(args: &AskArgs) -> Result<()> {
    let mut options = AskOptions {
        opening: if args.direct { Opening::Answer } else { Opening::Think },
        context: Vec::new(),
        samples: usize::from(args.k),
        temperature: args.temperature,
        top_k: args.top_k,
        top_p: args.top_p,
        min_p: args.min_p,
        no_repeat_ngram_size: args.no_repeat_ngram_size,
        repetition_penalty: args.repetition_penalty,
        max_new_tokens: args.max_new_tokens,
        stop: args.stop.clone(),
        seed: args.sampler.seed,
    };
    for path in &args.context {
        let text = files::read_small(path)?;
        options.context.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
    }
    let mut policy = AskedPolicy::open(&args.policy, args.sampler.device, args.sampler.workers())?;
    if let Some(why) = &policy.unchecked {
        output::say(&format!("(nothing is marked as true or false: {})\n", one_line(why)))?;
    }
    match &args.question {
        Some(question) => answer(&mut policy, question, &options),
        None => converse(&mut policy, &options),
    }
}

fn answer(policy: &mut AskedPolicy, question: &str, options: &AskOptions) -> Result<()> {
    let began = Instant::now();
    let given = policy.ask(question, options)?;
    output::say(&page(&given, began.elapsed().as_secs_f64()))
}

/// A question on each line of standard input. One that cannot be asked is told of, and the next may be.
fn converse(policy: &mut AskedPolicy, options: &AskOptions) -> Result<()> {
    let asked_by_hand = io::stdin().is_terminal();
    if asked_by_hand {
        let examples: String = policy.examples().into_iter().take(4).map(|text| format!("  {text}\n")).collect();
        let some = if examples.is_empty() { String::new() } else { format!("Some that its world has:\n{examples}") };
        output::say(&format!("Type a question; Ctrl-D ends.\n{some}"))?;
    }
    let mark = || {
        if asked_by_hand {
            // Nothing is lost where a terminal does not take it.
            let _ = write!(io::stderr(), "> ");
        }
    };
    mark();
    for line in io::stdin().lock().lines() {
        let line = line.map_err(Error::stream("standard input"))?;
        if !line.trim().is_empty() {
            match answer(policy, &line, options) {
                Err(error @ Error::Invalid { .. }) => drop(output::fail(&error)),
                other => other?,
            }
        }
        mark();
    }
    Ok(())
}

fn page(given: &GivenAnswers, seconds: f64) -> String {
    let indented = |text: &str| text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n");
    let mut parts = vec![format!("The model sees {} tokens:\n{}", given.prompt_tokens, indented(&given.prompt))];
    let several = given.answers.len() > 1;
    parts.extend(given.answers.iter().enumerate().map(|(at, one)| {
        let heading = if several { format!("{} of {}\n", at + 1, given.answers.len()) } else { String::new() };
        heading + &thought(one) + &outcome(one, given.expected.as_deref())
    }));
    if several {
        parts.push(votes(&given.answers));
    }
    let tokens: usize = given.answers.iter().map(|one| one.tokens).sum();
    parts.push(format!("{tokens} tokens in {seconds:.1} s"));
    parts.join("\n\n")
}

/// What it says before it answers: what is recited with its mark, or the sentences as they are.
fn thought(one: &GivenAnswer) -> String {
    let marked: String =
        one.judgement.recitations.iter().map(|fact| format!("{} {}\n", mark(fact), one_line(&fact.text))).collect();
    let plain = || one.sentences.iter().map(|sentence| format!("  {}\n", one_line(sentence))).collect();
    if marked.is_empty() { plain() } else { marked }
}

fn mark(fact: &Recitation) -> &'static str {
    match (&fact.claim, fact.is_true, fact.relevant) {
        (None, ..) => "?",
        (_, true, true) => "★",
        (_, true, false) => "✓",
        (_, false, _) => "✗",
    }
}

fn outcome(one: &GivenAnswer, expected: Option<&str>) -> String {
    let said = one.judgement.answer.as_deref().map_or("no answer".into(), one_line);
    let cut = if one.ended { "" } else { " (cut off: it did not end by itself)" };
    let verdict = match expected {
        Some(_) if one.judgement.correct => " (right)".into(),
        Some(right) => format!(" (wrong: it is {})", one_line(right)),
        None => String::new(),
    };
    format!("→ {said}{verdict}{cut}")
}

/// What most of several say.
fn votes(answers: &[GivenAnswer]) -> String {
    let mut votes: Vec<(String, &str, usize)> = Vec::new();
    for said in answers.iter().filter_map(|one| one.judgement.answer.as_deref()) {
        let key = bare(said);
        match votes.iter_mut().find(|(other, ..)| *other == key) {
            Some((.., count)) => *count += 1,
            None => votes.push((key, said, 1)),
        }
    }
    votes.sort_by_key(|(.., count)| std::cmp::Reverse(*count));
    let all = answers.len();
    let told: Vec<String> =
        votes.into_iter().map(|(_, said, count)| format!("{count} of {all} say {}", one_line(said))).collect();
    if told.is_empty() { format!("none of {all} answers") } else { told.join(", ") }
}
