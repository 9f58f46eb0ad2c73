//! The model that a run starts from: weights, tokenizer, and what it already knows.

use std::path::Path;

use crate::knowledge::KnownConfig;
use crate::language::Tokenizer;
use crate::policy::{ModelConfig, Policy};
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
                let base = Self::read(dir.path())?;
                // The directory is about to go.
                Ok(Self { policy: Policy { origin: None, ..base.policy }, ..base })
            }
        }
    }

    /// The policy that a stage has left in a directory. Adapters share the weights of this base.
    pub fn successor(&self, dir: &Path) -> Result<Policy> {
        Policy::load_on(dir, || Ok(self.policy.clone()))
    }

    fn read(dir: &Path) -> Result<Self> {
        // What adapters have changed is part of a base: new ones stand beside the sum.
        let policy = match Policy::load(dir)? {
            adapted if adapted.lora.is_some() => adapted.merged()?,
            policy => policy,
        };
        let tokenizer = Tokenizer::load(&dir.join(TOKENIZER))?;
        if tokenizer.rows() > policy.config.vocab_size {
            let found = format!("{} tokens for a model of {}", tokenizer.rows(), policy.config.vocab_size);
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

/// The shape of a base, without its weights.
pub fn shape(dir: Option<&Path>) -> Result<ModelConfig> {
    let (name, bytes) = EMBEDDED[0];
    match dir {
        Some(dir) => ModelConfig::read(&dir.join(name)),
        None => ModelConfig::parse(name, &String::from_utf8_lossy(bytes)),
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
            Some(dir) if !dir.join(name).exists() => String::new(),
            Some(dir) => files::digest_file(&dir.join(name))?,
        };
        all += &format!("{digest} {name}\n");
    }
    if let Some(dir) = dir {
        for path in Policy::files(dir)?.into_iter().chain(Tokenizer::files(dir)) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !EMBEDDED.iter().any(|(embedded, _)| *embedded == name) {
                all += &format!("{} {name}\n", files::digest_file(&path)?);
            }
        }
    }
    Ok(files::digest(all.as_bytes()))
}
