//! The model that a run starts from: weights, tokenizer, and what it already knows.

use std::path::Path;

use crate::knowledge::KnownConfig;
use crate::language::Tokenizer;
use crate::policy::Policy;
use crate::{Error, Result, files};

/// What a base is made of, beside the two files of the policy.
pub const TOKENIZER: &str = "tokenizer.json";
/// What a generated world has to know about a base.
pub const KNOWN: &str = "known.json";

/// The files of the base that ships with the program.
const EMBEDDED: [(&str, &[u8]); 4] = [
    ("config.json", include_bytes!("../../assets/base/config.json")),
    ("model.safetensors", include_bytes!("../../assets/base/model.safetensors")),
    (TOKENIZER, include_bytes!("../../assets/base/tokenizer.json")),
    (KNOWN, include_bytes!("../../assets/base/known.json")),
];

/// A policy with its tokenizer.
pub struct Base {
    pub policy: Policy,
    pub tokenizer: Tokenizer,
    /// Set C and the lexicon; a model that `pretrain` did not make has none.
    pub known: Option<KnownConfig>,
}

impl Base {
    /// Reads a base from a directory, or the one that ships.
    pub fn load(dir: Option<&Path>) -> Result<Self> {
        match dir {
            Some(dir) => Self::read(dir),
            None => {
                let dir = tempfile::tempdir().map_err(Error::io(&std::env::temp_dir(), "create"))?;
                for (name, bytes) in EMBEDDED {
                    files::write_atomic(&dir.path().join(name), bytes)?;
                }
                Self::read(dir.path())
            }
        }
    }

    fn read(dir: &Path) -> Result<Self> {
        let policy = Policy::load(dir)?;
        let tokenizer = Tokenizer::load(&dir.join(TOKENIZER))?;
        if tokenizer.size() > policy.config.vocab_size {
            let found = format!("{} tokens for a model of {}", tokenizer.size(), policy.config.vocab_size);
            let remedy = "take the tokenizer that belongs to the model";
            return Err(Error::invalid(dir.join(TOKENIZER).display().to_string(), found, remedy));
        }
        let path = dir.join(KNOWN);
        let known = match path.exists() {
            false => None,
            true => Some(serde_json::from_str(&files::read_text(&path)?).map_err(|error| {
                Error::invalid(path.display().to_string(), error.to_string(), "write it with `recollect pretrain`")
            })?),
        };
        Ok(Self { policy, tokenizer, known })
    }

    /// Writes a directory that [`Base::load`] and Hugging Face's transformers read.
    pub fn save(&self, dir: &Path) -> Result<()> {
        save(dir, &self.policy, &self.tokenizer, self.known.as_ref())
    }
}

/// Writes a policy with what belongs to it.
pub fn save(dir: &Path, policy: &Policy, tokenizer: &Tokenizer, known: Option<&KnownConfig>) -> Result<()> {
    policy.save(dir)?;
    tokenizer.save(&dir.join(TOKENIZER))?;
    if let Some(known) = known {
        let text = serde_json::to_string_pretty(known)
            .map_err(|error| Error::invalid(KNOWN, error.to_string(), "it cannot be written as JSON"))?;
        files::write_atomic(&dir.join(KNOWN), text.as_bytes())?;
    }
    Ok(())
}

/// A digest of a base: of the files in a directory, or of the one that ships.
pub fn digest(dir: Option<&Path>) -> Result<String> {
    let mut all = String::new();
    for (name, bytes) in EMBEDDED {
        let digest = match dir {
            None => files::digest(bytes),
            Some(dir) if name == KNOWN && !dir.join(name).exists() => String::new(),
            Some(dir) => files::digest(&files::read_bytes(&dir.join(name))?),
        };
        all += &format!("{digest} {name}\n");
    }
    Ok(files::digest(all.as_bytes()))
}
