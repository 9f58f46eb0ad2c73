//! `recollect export`.

use std::path::PathBuf;

use clap::ValueEnum;
use recollect::Result;
use recollect::evaluate::export;
use recollect::policy::StoredPrecision;

use super::output;

/// Write a policy as a model of its own, adapters merged, with a card
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct ExportArgs {
    /// A run (its last policy), RUN@STEP, a checkpoint (in the Hugging Face layout, or a GGUF file), or "embedded"
    policy: String,
    /// The directory to write, which may not hold anything yet
    into: PathBuf,
    /// How numbers are stored
    #[arg(long, value_enum, default_value_t = NumberFormat::F32)]
    dtype: NumberFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum NumberFormat {
    /// As they were trained
    F32,
    /// Half of the room, rounded
    Bf16,
}

const HELP: &str = "\
What is written, transformers loads as it is: config.json, model.safetensors, the tokenizer with its chat template, and
README.md with how a question is put, the config of the run and what came of it.

Examples:
  recollect export runs/quickstart models/recalls
  recollect export runs/smollm2@20 models/recalls-20 --dtype bf16
  recollect export models/smollm2.gguf models/smollm2";

pub fn main(args: &ExportArgs) -> Result<()> {
    let precision = match args.dtype {
        NumberFormat::F32 => StoredPrecision::F32,
        NumberFormat::Bf16 => StoredPrecision::Bf16,
    };
    let exported = export(&args.policy, &args.into, precision)?;
    exported.files.iter().try_for_each(|path| output::wrote(path))
}
