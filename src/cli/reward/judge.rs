//! `recollect reward judge`: a checkpoint as a command that judges, which terms of kind "model" start.

use std::io::{self, BufRead, Write};

use recollect::evaluate::JudgingPolicy;
use recollect::reward::terms::ModelTerm;
use recollect::{Error, Result};
use serde::Deserialize;
use serde_json::json;

/// Let a checkpoint judge completions, a JSON object a line: what a term of kind "model" starts
#[derive(clap::Args)]
pub struct JudgeArgs {
    /// A checkpoint in the Hugging Face layout, a GGUF file, a run, or RUN@STEP
    model: String,
    /// What it is asked; {prompt}, {completion}, {expected} and {answer} stand for these
    #[arg(long)]
    question: String,
    /// The word that speaks for a completion
    #[arg(long, default_value = "yes")]
    yes: String,
    /// The word that speaks against it
    #[arg(long, default_value = "no")]
    no: String,
}

/// What is read of a line.
#[derive(Deserialize)]
struct JudgeLine {
    id: u64,
    prompt: String,
    completion: String,
    expected: String,
    answer: Option<String>,
}

/// Answers every line with one, those that come together together.
pub fn judge(args: &JudgeArgs) -> Result<()> {
    let term = ModelTerm { question: args.question.clone(), ..ModelTerm::default() };
    let policy = JudgingPolicy::open(&args.model, &args.yes, &args.no)?;
    let (mut input, mut output) = (io::BufReader::with_capacity(1 << 20, io::stdin().lock()), io::stdout().lock());
    let mut together: Vec<JudgeLine> = Vec::new();
    let mut line = String::new();
    loop {
        line.clear();
        let read = input.read_line(&mut line).map_err(Error::stream("standard input"))?;
        if read > 0 {
            let judged = serde_json::from_str(&line).map_err(|error| {
                Error::invalid("standard input", error.to_string(), "a line is a completion as a reward hands it on")
            })?;
            together.push(judged);
        }
        // What is there already is judged with it.
        if read > 0 && input.buffer().contains(&b'\n') {
            continue;
        }
        if !together.is_empty() {
            let asked = |one: &JudgeLine| {
                let answer = one.answer.as_deref().unwrap_or_default();
                term.asked(&one.prompt, &one.completion, &one.expected, answer)
            };
            let values = values(&policy, &together.iter().map(asked).collect::<Vec<String>>());
            for (one, value) in together.drain(..).zip(values) {
                writeln!(output, "{}", json!({ "id": one.id, "value": value }))
                    .map_err(Error::stream("standard output"))?;
            }
            output.flush().map_err(Error::stream("standard output"))?;
        }
        if read == 0 {
            return Ok(());
        }
    }
}

/// A question that cannot be asked has no value; the others have theirs.
fn values(policy: &JudgingPolicy, asked: &[String]) -> Vec<Option<f64>> {
    match policy.judge(asked) {
        Ok(values) => values.into_iter().map(Some).collect(),
        Err(_) => asked.iter().map(|one| Some(policy.judge(std::slice::from_ref(one)).ok()?.remove(0))).collect(),
    }
}
