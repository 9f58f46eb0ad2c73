//! `recollect export`.

use std::path::PathBuf;

use clap::ValueEnum;
use recollect::evaluate::{export, export_gguf};
use recollect::policy::{GgufPrecision, StoredPrecision};
use recollect::{Error, Result};

use super::output;

/// Write a policy as a model of its own, adapters merged, with a card
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct ExportArgs {
    /// A run (its last policy), RUN@STEP, a checkpoint (in the Hugging Face layout, or a GGUF file), or "embedded"
    policy: String,
    /// The directory to write, which may not hold anything yet; or a new file whose name ends in .gguf, for llama.cpp
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
    /// The same with more digits and a smaller range (.gguf only)
    F16,
    /// A quarter of the room: eight bits in blocks of 32 (.gguf only)
    #[value(name = "q8_0")]
    Q8,
}

const HELP: &str = "\
What is written, transformers loads as it is: config.json, model.safetensors, the tokenizer with its chat template, and
README.md with how a question is put, the config of the run and what came of it.

Examples:
  recollect export runs/quickstart models/recalls
  recollect export runs/smollm2@20 models/recalls-20 --dtype bf16
  recollect export models/smollm2.gguf models/smollm2
  recollect export runs/smollm2 recalls.gguf --dtype q8_0        one file, for llama.cpp and what is built on it";

pub fn main(args: &ExportArgs) -> Result<()> {
    let exported = if args.into.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf")) {
        let precision = match args.dtype {
            NumberFormat::F32 => GgufPrecision::F32,
            NumberFormat::Bf16 => GgufPrecision::Bf16,
            NumberFormat::F16 => GgufPrecision::F16,
            NumberFormat::Q8 => GgufPrecision::Q8_0,
        };
        export_gguf(&args.policy, &args.into, precision)?
    } else {
        let precision = match args.dtype {
            NumberFormat::F32 => StoredPrecision::F32,
            NumberFormat::Bf16 => StoredPrecision::Bf16,
            NumberFormat::F16 | NumberFormat::Q8 => {
                let remedy = "a directory is written in f32 or bf16; name a file that ends in .gguf for this one";
                return Err(Error::invalid("--dtype", "a format of GGUF files", remedy));
            }
        };
        export(&args.policy, &args.into, precision)?
    };
    exported.files.iter().try_for_each(|path| output::wrote(path))
}
