//! The model that a run starts from: weights, tokenizer, and what it already knows.

use std::fs;
use std::path::{Path, PathBuf};

use crate::knowledge::KnownConfig;
use crate::language::{PromptConfig, Tokenizer};
use crate::policy::{Checkpoint, ModelConfig, Policy};
use crate::{Error, Result, files};

/// What a base is made of, beside the two files of the policy.
pub const TOKENIZER: &str = "tokenizer.json";
/// The weights of one that ships.
const WEIGHTS: &str = "model.safetensors";
/// What a generated world has to know about a base.
pub const KNOWN: &str = "known.json";

/// The files of a base that ships with the program.
type Embedded = [(&'static str, &'static [u8]); 4];

/// Names that every base's files have.
const NAMES: [&str; 4] = ["config.json", WEIGHTS, TOKENIZER, KNOWN];

macro_rules! embedded {
    ($dir:literal) => {
        [
            (NAMES[0], include_bytes!(concat!("../assets/", $dir, "/config.json")) as &[u8]),
            (NAMES[1], include_bytes!(concat!("../assets/", $dir, "/model.safetensors"))),
            (NAMES[2], include_bytes!(concat!("../assets/", $dir, "/tokenizer.json"))),
            (NAMES[3], include_bytes!(concat!("../assets/", $dir, "/known.json"))),
        ]
    };
}

/// The bases that ship, by what a config calls them.
static SHIPPED: [(&str, Embedded); 2] = [("embedded", embedded!("base")), ("embedded-versed", embedded!("versed"))];

/// Where a base is.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    /// It ships with the program.
    Shipped(&'static Embedded),
    /// In a directory in the Hugging Face layout, or a GGUF file.
    Dir(&'a Path),
}

impl<'a> Place<'a> {
    /// What `base.path` names.
    pub fn from_name(path: &'a str) -> Self {
        match SHIPPED.iter().find(|(name, _)| *name == path) {
            Some((_, files)) => Place::Shipped(files),
            None => Place::Dir(Path::new(path)),
        }
    }

    /// What `read` makes of the checkpoint that is there. The files of one that ships, but for what is `left_out`, lie in a
    /// directory for as long as that takes.
    fn opened<T>(self, left_out: &str, read: impl FnOnce(&Checkpoint, &Path) -> Result<T>) -> Result<T> {
        let home;
        let dir = match self {
            Place::Dir(dir) => dir,
            Place::Shipped(files) => {
                home = tempfile::tempdir().map_err(Error::io(&std::env::temp_dir(), "create"))?;
                for (name, bytes) in files.iter().filter(|(name, _)| *name != left_out) {
                    let path = home.path().join(name);
                    fs::write(&path, bytes).map_err(Error::io(&path, "write"))?;
                }
                home.path()
            }
        };
        read(&Checkpoint::open(dir)?, dir)
    }
}

/// A directory that this run has saved, in training on its base. Adapters in it belong to the weights of that base, by
/// whatever path they name these: what comes from elsewhere is opened with [`Base::load`], once, with its own tokenizer and
/// the weights that it names.
///
/// ```
/// use recollect::{Result, base::{Base, Saved}, policy::Policy};
/// fn trained(base: &Base, stage: &std::path::Path) -> Result<Policy> {
///     base.successor(Saved::within(stage))
/// }
/// ```
///
/// Any other directory is no successor of a base:
///
/// ```compile_fail,E0308
/// use recollect::{Result, base::Base, policy::Policy};
/// fn trained(base: &Base, anything: &std::path::Path) -> Result<Policy> {
///     base.successor(anything)
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Saved<'a>(&'a Path);

impl<'a> Saved<'a> {
    /// What a finished stage, or a checkpoint on its way, has in this directory.
    pub fn within(dir: &'a Path) -> Self {
        Self(dir)
    }
}

/// A policy with its tokenizer.
pub struct Base {
    /// As whole weights: adapters that the directory holds are part of them.
    pub policy: Policy,
    pub tokenizer: Tokenizer,
    /// Set C and the lexicon; a model that `pretrain` did not make has none.
    pub known: Option<KnownConfig>,
}

impl Base {
    /// Reads a base.
    ///
    /// # Errors
    /// A directory that is no base.
    pub fn load(place: Place) -> Result<Self> {
        let base = place.opened("", |checkpoint, dir| {
            let policy = checkpoint.load_merged()?;
            Ok(Self { policy, tokenizer: tokenizer(checkpoint, dir)?, known: known(checkpoint)? })
        })?;
        // The directory of one that ships is gone.
        let origin = base.policy.origin.filter(|_| matches!(place, Place::Dir(_)));
        Ok(Self { policy: Policy { origin, ..base.policy }, ..base })
    }

    /// The same base, asked as the config of a run says.
    ///
    /// # Errors
    /// A template that does not fit the prompts.
    pub fn asked(self, prompts: &PromptConfig) -> Result<Self> {
        Ok(Self { tokenizer: self.tokenizer.with_prompts(prompts)?, ..self })
    }

    /// The policy that training from this base has saved. Adapters share its weights.
    ///
    /// # Errors
    /// A directory that holds no policy of this base.
    pub fn successor(&self, saved: Saved) -> Result<Policy> {
        Policy::saved_on(saved.0, || Ok(self.policy.clone()))
    }

    /// Writes a directory that [`Base::load`] and Hugging Face's transformers read.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        save(dir, &self.policy, &self.tokenizer, self.known.as_ref())
    }
}

/// What can be known of a base without its weights.
pub struct Outline {
    pub model: ModelConfig,
    pub tokenizer: Tokenizer,
    pub known: Option<KnownConfig>,
}

impl Outline {
    /// Reads all but the weights, of which it only looks whether they are there and belong to the model.
    ///
    /// # Errors
    /// A directory that is no base.
    pub fn read(place: Place) -> Result<Outline> {
        place.opened(WEIGHTS, |checkpoint, dir| {
            if matches!(place, Place::Dir(_)) {
                checkpoint.examine()?;
            }
            let (tokenizer, known) = (tokenizer(checkpoint, dir)?, known(checkpoint)?);
            Ok(Outline { model: checkpoint.config().clone(), tokenizer, known })
        })
    }
}

/// The tokenizer of a checkpoint. Adapters without one are asked with that of the model they belong to, whose config
/// says in any case where completions end: PEFT looks at no config beside adapters.
fn tokenizer(checkpoint: &Checkpoint, dir: &Path) -> Result<Tokenizer> {
    let model = model(checkpoint, dir)?;
    let tokenizer = match (checkpoint.find(TOKENIZER), checkpoint.gguf()) {
        (None, Some(gguf)) => Tokenizer::from_gguf(gguf)?,
        (path, _) => Tokenizer::load_for(&path.unwrap_or_else(|| model.join(TOKENIZER)), &model)?,
    };
    tokenizer.within(checkpoint.config().vocab_size)
}

/// The directory, or the GGUF file, with the whole weights of a checkpoint that was opened at `dir`: below adapters the
/// last.
fn model(checkpoint: &Checkpoint, dir: &Path) -> Result<PathBuf> {
    if let Some(gguf) = checkpoint.gguf() {
        return Ok(gguf.to_path_buf());
    }
    // They are listed from the directory that was opened downwards.
    let last = checkpoint.files()?.pop();
    Ok(last.as_deref().and_then(Path::parent).unwrap_or(dir).to_path_buf())
}

/// What the world of a base is like, if it has one.
fn known(checkpoint: &Checkpoint) -> Result<Option<KnownConfig>> {
    let read = |path: PathBuf| files::read_json(&path, "write it with `recollect pretrain`");
    checkpoint.find(KNOWN).map(read).transpose()
}

/// The shape of a base, without its weights.
///
/// # Errors
/// A directory that is no base.
pub fn shape(place: Place) -> Result<ModelConfig> {
    match place {
        Place::Dir(dir) => Ok(Checkpoint::open(dir)?.config().clone()),
        Place::Shipped([(name, bytes), ..]) => ModelConfig::parse(name, &String::from_utf8_lossy(bytes)),
    }
}

/// Writes a policy with what belongs to it.
///
/// # Errors
/// A file that cannot be written.
pub fn save(dir: &Path, policy: &Policy, tokenizer: &Tokenizer, known: Option<&KnownConfig>) -> Result<()> {
    policy.save(dir)?;
    tokenizer.save(&dir.join(TOKENIZER))?;
    if let Some(known) = known {
        files::write_json_pretty(&dir.join(KNOWN), known)?;
    }
    Ok(())
}

/// A digest of a base: of its files.
///
/// # Errors
/// A file that cannot be read.
pub fn digest(place: Place) -> Result<String> {
    let mut all = String::new();
    let mut note = |digest: String, name: &str| all += &format!("{digest} {name}\n");
    match place {
        Place::Shipped(files) => files.iter().for_each(|(name, bytes)| note(files::digest(bytes), name)),
        Place::Dir(dir) => {
            for path in files(dir)? {
                note(files::digest_file(&path)?, &path.file_name().unwrap_or_default().to_string_lossy());
            }
        }
    }
    Ok(files::digest(all.as_bytes()))
}

/// The files that a base in a directory, or in a GGUF file, is read from, in an order of their own: the weights below
/// adapters come behind these.
///
/// # Errors
/// A directory that is no base.
pub fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let checkpoint = Checkpoint::open(dir)?;
    let model = model(&checkpoint, dir)?;
    let beside = [TOKENIZER, KNOWN].into_iter().filter_map(|name| checkpoint.find(name));
    let of_tokenizer = checkpoint.find(TOKENIZER).and_then(|path| Some(Tokenizer::files(path.parent()?, &model)));
    Ok(checkpoint.files()?.into_iter().chain(beside).chain(of_tokenizer.into_iter().flatten()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{LoraConfig, Target};

    /// The base that ships and adapters on it, in a folder each; both have a tokenizer.
    fn adapted(home: &Path) -> [PathBuf; 2] {
        let [model, adapters] = ["model", "adapters"].map(|name| home.join(name));
        Base::load(Place::from_name("embedded")).unwrap().save(&model).unwrap();
        let base = Base::load(Place::Dir(&model)).unwrap();
        let lora = LoraConfig { rank: 1, alpha: 1.0, target_modules: vec![Target::QProj] };
        save(&adapters, &base.policy.with_lora(&lora, 0).unwrap(), &base.tokenizer, None).unwrap();
        [model, adapters]
    }

    #[test]
    fn the_model_below_adapters_says_where_completions_end_and_is_part_of_their_digest() {
        let home = tempfile::tempdir().unwrap();
        let [model, adapters] = adapted(home.path());
        let tell = |dir: &Path, name: &str, ends: &str| {
            fs::write(dir.join(name), format!("{{\"eos_token_id\": {ends}}}")).unwrap();
        };
        let ends = || Base::load(Place::Dir(&adapters)).unwrap().tokenizer.ends().to_vec();
        let digest = || digest(Place::Dir(&adapters)).unwrap();
        tell(&model, "generation_config.json", "[2, 4]");
        let before = digest();
        // As some trainers leave them there.
        for name in ["config.json", "generation_config.json"] {
            tell(&adapters, name, "2");
        }
        assert_eq!((ends(), digest()), (vec![2, 4], before.clone()), "what is not read does not count");
        tell(&model, "generation_config.json", "2");
        assert_eq!(ends(), [2]);
        assert_ne!(digest(), before);
        fs::remove_file(model.join("generation_config.json")).unwrap();
        assert_eq!(ends(), [2], "its config.json says it as well");
    }

    #[test]
    fn bases_ship_by_name_and_the_versed_one_knows_every_task_with_the_words_of_the_other() {
        let [plain, versed] = SHIPPED.each_ref().map(|(name, _)| Base::load(Place::from_name(name)).unwrap());
        let [plain, versed] = [plain, versed].map(|base| base.known.unwrap());
        assert!(plain.codebook.codes == 0 && plain.hierarchy.families == 0);
        assert!(versed.codebook.codes > 0 && versed.hierarchy.families > 0);
        let words = |known: &KnownConfig| crate::knowledge::World::known(known).unwrap().grammar.lexicon;
        let (plain, versed) = (words(&plain), words(&versed));
        assert_eq!(versed.words()[..plain.words().len()], *plain.words());
        assert_ne!(digest(Place::from_name("embedded")).unwrap(), digest(Place::from_name("embedded-versed")).unwrap());
        assert!(matches!(Place::from_name("runs/embedded"), Place::Dir(_)));
    }
}
