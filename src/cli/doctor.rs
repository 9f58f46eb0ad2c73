//! `recollect doctor`.

use std::fmt::Write;
use std::path::PathBuf;

use recollect::base::Place;
use recollect::config::footprint::Footprint;
use recollect::doctor::{Diagnosis, Severity, examine};
use recollect::files::megabytes;
use recollect::kernels::DeviceChoice;
use recollect::report::{Column, ShownTable};
use recollect::text::{one_line, short_line};
use recollect::{Error, Result};

use super::output;
use super::progress::StderrProgress;

/// Look at a checkpoint before training it: is it read right, does it fit, how fast is it
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct DoctorArgs {
    /// A directory in the Hugging Face layout, whole weights or adapters; a GGUF file; or "embedded", the model that ships
    checkpoint: PathBuf,
    /// Where speed is measured: "auto", "cpu" or "cuda:N"
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: DeviceChoice,
    /// Worker threads (0: one for each core)
    #[arg(long, value_name = "N", default_value_t = 0)]
    workers: usize,
    /// Measure no speed
    #[arg(long)]
    quick: bool,
}

const HELP: &str = "\
The same prompt goes through recollect's policy and through candle-transformers' own model of the family, and their logits
have to be the same; sampled tokens have to have the learner's log-probabilities; texts and the chat template have to come
back from the tokenizer as they went in. Then memory and speed of training on this machine, all weights and adapters.
Nothing is written. Exit code 1 where something is wrong.

Examples:
  recollect doctor embedded
  recollect doctor models/SmolLM2-135M-Instruct --quick
  recollect doctor runs/quickstart/stages/train-*/ --workers 1";

pub fn main(args: &DoctorArgs) -> Result<()> {
    let place = args.checkpoint.to_string_lossy();
    let device = args.device.open()?;
    let progress = StderrProgress::detect();
    let diagnosis = examine(Place::from_name(&place), &device, args.workers, args.quick, &progress)?;
    output::say(&page(&place, &diagnosis))?;
    if diagnosis.is_good() {
        return Ok(());
    }
    let remedy = "what is marked WRONG above: training it would learn from wrong numbers";
    Err(Error::invalid(one_line(&place), "a checkpoint that does not work here", remedy))
}

/// Longest part of a prompt that is shown.
const SHOWN: usize = 400;

fn page(place: &str, diagnosis: &Diagnosis) -> String {
    let Diagnosis { model, findings, prompt, memory, speed, workers } = diagnosis;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{}: {}, {} layers of {}, {} heads ({} of keys) of {}, {} tokens, {} positions\n",
        one_line(place),
        format!("{:?}", model.family).to_lowercase(),
        model.num_hidden_layers,
        model.hidden_size,
        model.num_attention_heads,
        model.num_key_value_heads,
        model.head_dim,
        model.vocab_size,
        model.longest_sequence()
    );
    for finding in findings {
        let verdict = match finding.verdict {
            Severity::Good => "ok",
            Severity::Limited => "note",
            Severity::Wrong => "WRONG",
        };
        let _ = writeln!(text, "{verdict:<6} {:<14} {}", finding.what, one_line(&finding.words));
    }
    if let Some(prompt) = prompt {
        let _ = writeln!(text, "\nA question is put like this:\n  {}", short_line(prompt, SHOWN));
    }
    let room = memory.room.map_or("unknown".into(), |room| megabytes(room.left));
    let _ = writeln!(text, "\nTraining here ({workers} workers, {room} of memory free)");
    let (full, adapters) = (&memory.full, &memory.adapters);
    let part = |name: &'static str, of: fn(&Footprint) -> u128| (name, bytes(of(full)), bytes(of(adapters)));
    let fits = |footprint| if memory.fits(footprint) { "fits" } else { "does NOT fit" }.to_owned();
    let rate = |tokens: f64| format!("{tokens:.0} tok/s");
    let mut rows = vec![
        part("weights", |footprint| footprint.weights),
        part("gradients", |footprint| footprint.gradients),
        part("AdamW", |footprint| footprint.moments),
        part("sampling", |footprint| footprint.sampling),
        part("activations", |footprint| footprint.activations),
        part("together", Footprint::total),
        ("", fits(full), fits(adapters)),
    ];
    if let Some(speed) = speed {
        rows.push(("learning", speed.full.map_or("-".into(), rate), rate(speed.adapters)));
        rows.push(("sampling", rate(speed.sampling), rate(speed.sampling)));
    }
    let table = ShownTable::with_columns(
        &rows,
        &[
            (Column::left(""), &|row| row.0.into()),
            (Column::right("all weights"), &|row| (&row.1).into()),
            (Column::right("adapters"), &|row| (&row.2).into()),
        ],
    );
    text + &table.compact()
}

fn bytes(bytes: u128) -> String {
    megabytes(u64::try_from(bytes).unwrap_or(u64::MAX))
}
