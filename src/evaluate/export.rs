//! Takes a policy away from its run: whole weights in the Hugging Face layout, with a card that says what it is.

use std::fs;
use std::path::{Path, PathBuf};

use super::made_run::{MadeRun, NamedPolicy};
use crate::base::{Base, TOKENIZER};
use crate::evaluation::Summary;
use crate::language::Opening;
use crate::policy::{GgufPrecision, StoredPrecision};
use crate::report::{ModelCard, model_card};
use crate::{Error, Result, files};

/// What was written.
#[derive(Clone, Debug)]
pub struct Exported {
    pub files: Vec<PathBuf>,
    pub parameters: usize,
}

/// The same into one file for llama.cpp, with its tokenizer in it. A card has no place there.
///
/// # Errors
/// A name that is none; a file that is there; what such a file has no words for.
pub fn export_gguf(named: &str, into: &Path, precision: GgufPrecision) -> Result<Exported> {
    if into.exists() {
        return Err(taken(into, "name a file that is not there yet"));
    }
    let found = NamedPolicy::find(named)?;
    let Base { policy, tokenizer, .. } = Base::load(found.place(named))?;
    let metadata = tokenizer.gguf_metadata(policy.config.vocab_size)?;
    if let Some(folder) = into.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        files::create_dir(folder)?;
    }
    policy.save_gguf(into, &name_of(into), metadata, precision)?;
    Ok(Exported { files: vec![into.to_path_buf()], parameters: policy.config.parameter_count() })
}

fn taken(into: &Path, remedy: &str) -> Error {
    Error::invalid(into.display().to_string(), "something is there already", remedy)
}

/// What a model is called that is written there.
fn name_of(into: &Path) -> String {
    into.file_stem().map_or("model".into(), |name| name.to_string_lossy().into_owned())
}

/// Writes the policy of that name (as [`super::AskedPolicy::open`] takes it) into a directory of its own. Adapters are added to
/// the weights that they belong to; a value head stays behind.
///
/// # Errors
/// A name that is none; a directory that holds something; a file that cannot be written.
pub fn export(named: &str, into: &Path, precision: StoredPrecision) -> Result<Exported> {
    if fs::read_dir(into).is_ok_and(|mut there| there.next().is_some()) || into.is_file() {
        return Err(taken(into, "name a directory that is not there yet"));
    }
    let found = NamedPolicy::find(named)?;
    let config = found.run.as_ref().map(MadeRun::settled_config);
    let base = Base::load(found.place(named))?;
    // All that can be refused comes before anything is written.
    let prompts = config.as_ref().map(|config| config.prompt.clone()).unwrap_or_default();
    let parameters = base.policy.config.parameter_count();
    let card = ModelCard {
        name: into.file_name().map_or("model".into(), |name| name.to_string_lossy().into_owned()),
        parameters: parameters as u64,
        dtype: precision.dtype(),
        made_from: config.as_ref().map(|config| config.base.path.clone()),
        prompt: base.tokenizer.clone().with_prompts(&prompts)?.prompt(&[], "QUESTION", Opening::Think)?,
    };
    let summary = found.run.as_ref().map_or(Ok(None), results)?;
    files::create_dir(into)?;
    base.policy.save_whole(into, precision)?;
    base.tokenizer.save(&into.join(TOKENIZER))?;
    files::write_atomic(&into.join("README.md"), model_card(&card, summary.as_ref()).as_bytes())?;
    let mut written: Vec<PathBuf> = fs::read_dir(into)
        .map_err(Error::io(into, "read"))?
        .map(|entry| entry.map(|entry| entry.path()).map_err(Error::io(into, "read")))
        .collect::<Result<_>>()?;
    written.sort();
    Ok(Exported { files: written, parameters })
}

/// The results of a run, where it has a report.
fn results(run: &MadeRun) -> Result<Option<Summary>> {
    let dir = run.dir()?;
    files::read_json_if_there(&dir.report_json(), "write it again with `recollect report`")
}
