//! What every stage after `pretrain` starts from: the base, and what is to be known.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::Experiment;
use crate::base::{self, Base, Place};
use crate::config::{Config, Language, WorldSection};
use crate::knowledge::english::world::EnglishWorld;
use crate::knowledge::jsonl::task::COMPLETION;
use crate::knowledge::{Form, Jsonl, Knowledge, KnownConfig, Question, Set, World, audit, form_names, leak};
use crate::language::{Opening, Tokenizer};
use crate::policy::{InitConfig, ModelConfig, Policy};
use crate::store::inputs::RunInputs;
use crate::store::manifest::{BASE, Manifest};
use crate::store::stage::Stage;
use crate::store::{RunDir, seal};
use crate::text::excerpt;
use crate::{Error, Result, files};

/// What every stage after `pretrain` starts from: the base, what is to be known, and what identifies both.
pub struct Start {
    pub(crate) base: Base,
    pub(crate) knowledge: Knowledge,
    /// Digest of base and knowledge.
    pub(crate) digest: String,
    /// The stage that made the base, where one did.
    pub(crate) made: Option<Stage>,
    /// Digests of what the config names by paths.
    pub(crate) named: BTreeMap<&'static str, String>,
}

/// Names, in a manifest, of what is told apart by digests.
pub(crate) const BASE_FILES: &str = "files of the base";
pub(crate) const WORLD_FILES: &str = "documents and questions";
pub(crate) const BASE_AND_WORLD: &str = "base and world";

impl Start {
    /// Loads the base and makes the world around it, or reads the files. A world with a shortcut is refused, and so are
    /// documents and questions for training that give away what is asked about B, several seeds at once, and files that
    /// are no longer those that the run began with.
    pub(crate) fn new(experiment: &Experiment) -> Result<Self> {
        Self::on(experiment, None, &experiment.run)
    }

    /// The same on a base that was made before, if one was, for a run that began with what is in the directory of `begun`.
    pub(crate) fn on(experiment: &Experiment, made: Option<Stage>, begun: &RunDir) -> Result<Self> {
        experiment.run.demand_one(&experiment.config)?;
        let inputs = RunInputs::from_config(&experiment.config)?;
        inputs.demand_same(begun)?;
        // A base that recollect has finished is what it was.
        experiment.config.base.dir().map_or(Ok(()), seal::verify)?;
        let start = if experiment.config.world.is_free_text() {
            Self::from_files(experiment, made)
        } else {
            Self::generated(experiment, made)
        }?;
        audit::check(&start.knowledge)?;
        leak::check(&start.knowledge)?;
        inputs.write(&experiment.run)?;
        Ok(start)
    }

    pub(crate) fn generated(experiment: &Experiment, made: Option<Stage>) -> Result<Self> {
        let config = &experiment.config;
        let made = if config.base.is_made() {
            Some(made.map_or_else(|| super::pretrain::make(experiment), Ok)?)
        } else {
            None
        };
        let place = made.as_ref().map_or(config.base.place(), |made| Place::Dir(&made.dir));
        let base = Base::load(place)?.asked(&config.prompt)?;
        let world = generated(config, base.known.as_ref())?;
        let content = base::digest(place)?;
        let asked = base.tokenizer.prompting();
        let digest = files::digest(format!("{content} {:?} {asked:?}", config.world.generated()).as_bytes());
        let base = with_a_name(experiment, base, &content)?;
        let knowledge = Knowledge::Generated(Box::new(world));
        Ok(Self { base, knowledge, digest, made, named: BTreeMap::from([(BASE_FILES, content)]) })
    }

    pub(crate) fn from_files(experiment: &Experiment, made: Option<Stage>) -> Result<Self> {
        let config = &experiment.config;
        let jsonl = from_files(config)?;
        let made = match config.base.dir() {
            Some(_) => None,
            None => Some(made.map_or_else(|| blank(experiment, &jsonl), Ok)?),
        };
        let place = made.as_ref().map_or(config.base.place(), |made| Place::Dir(&made.dir));
        let (base, content) = (Base::load(place)?.asked(&config.prompt)?, base::digest(place)?);
        let digest = format!("{content} {} {:?}", jsonl.digest()?, base.tokenizer.prompting());
        let digest = files::digest(digest.as_bytes());
        check_room(experiment.longest_completion(), &base, &jsonl)?;
        let base = with_a_name(experiment, base, &content)?;
        let named = BTreeMap::from([(BASE_FILES, content), (WORLD_FILES, files_digest(config)?)]);
        Ok(Self { base, knowledge: Knowledge::Files(Box::new(jsonl)), digest, made, named })
    }

    /// The same questions for a policy from elsewhere, which is read with its own tokenizer; and the digest of that policy.
    pub(crate) fn with_base(&self, config: &Config, dir: &Path) -> Result<(Self, String)> {
        let base = Base::load(Place::Dir(dir))?.asked(&config.prompt)?;
        if let Knowledge::Files(jsonl) = &self.knowledge {
            check_room(config.longest_completion(false), &base, jsonl)?;
        }
        let content = base::digest(Place::Dir(dir))?;
        let digest = files::digest(format!("{content} {}", self.digest).as_bytes());
        Ok((Self { base, knowledge: self.knowledge.clone(), digest, made: None, named: BTreeMap::new() }, content))
    }

    /// Writes down in the run what it began with.
    pub(crate) fn record(&self, experiment: &Experiment) -> Result<()> {
        let root = experiment.run.root();
        let mut manifest = Manifest::at(root)?.unwrap_or_default();
        self.note(&mut manifest);
        manifest.write(root)
    }

    pub(crate) fn note(&self, manifest: &mut Manifest) {
        self.made.iter().for_each(|made| manifest.add(BASE, made));
        manifest.digests.insert(BASE_AND_WORLD.into(), self.digest.clone());
        let named = self.named.iter().map(|(name, digest)| ((*name).to_owned(), digest.clone()));
        manifest.digests.extend(named);
    }
}

/// The base, in a directory that adapters can name where a run trains them: one that ships, or that is the sum of adapters
/// and weights, is in none yet that others could load.
pub(crate) fn with_a_name(experiment: &Experiment, base: Base, content: &str) -> Result<Base> {
    if experiment.config.lora.is_none() || base.policy.origin.is_some() {
        return Ok(base);
    }
    let stage = experiment.cache.get_or_make("whole", &content, |dir| base.save(dir))?;
    Ok(Base { policy: Policy { origin: Some(stage.dir), ..base.policy }, ..base })
}

/// A digest of the bytes of all files that the knowledge of a config is read from.
pub(crate) fn files_digest(config: &Config) -> Result<String> {
    let all: Result<Vec<String>> = config.world.jsonl.keyed().map(|(_, path)| files::digest_file(path)).collect();
    Ok(files::digest(all?.join("\n").as_bytes()))
}

/// The knowledge that the config asks for, to be looked at.
pub(crate) fn knowledge(config: &Config) -> Result<Knowledge> {
    if config.world.is_free_text() {
        from_files(config).map(|jsonl| Knowledge::Files(Box::new(jsonl)))
    } else {
        let world = if config.base.is_made() {
            World::new(&config.known.known(), &config.world.generated())
        } else {
            generated(config, Base::load(config.base.place())?.known.as_ref())
        };
        world.map(|world| Knowledge::Generated(Box::new(world)))
    }
}

/// The world that the config asks for, around what the base knows.
pub(crate) fn generated(config: &Config, known: Option<&KnownConfig>) -> Result<World> {
    let Some(known) = known else {
        let remedy = "take a base that `recollect pretrain` made, or give world.jsonl files";
        return Err(Error::invalid(config.base.path.clone(), "the base has no known.json", remedy));
    };
    World::new(known, &config.world.generated())
}

pub(crate) fn from_files(config: &Config) -> Result<Jsonl> {
    let WorldSection { jsonl: section, language, english, seed, .. } = &config.world;
    let jsonl = match language {
        Language::Simple => Jsonl::load(section.files(), section.matching, *seed)?,
        Language::English => Jsonl::from_english(EnglishWorld::new(english, *seed)?, english.import, *seed)?,
    };
    let there = jsonl.forms();
    match config.train.forms.iter().find(|form| **form != COMPLETION && !there.contains(form)) {
        None => Ok(jsonl),
        Some(form) => {
            let named: Vec<Form> = there.iter().copied().filter(|form| *form != COMPLETION).collect();
            let remedy = if named.is_empty() {
                "allowed is completion: no row names another form".to_owned()
            } else {
                format!("allowed are completion (all of them) and {}", form_names(&named))
            };
            Err(Error::invalid("train.forms", format!("the files have no questions of form {form}"), remedy))
        }
    }
}

/// Reads the files that a config names and refuses what its run would refuse of them. Gives notes on what was found, a line
/// each; of a generated world none.
///
/// # Errors
/// Files that cannot be read or are refused.
pub fn look_into_files(config: &Config) -> Result<Vec<String>> {
    if !config.world.is_free_text() {
        return Ok(Vec::new());
    }
    let knowledge = knowledge(config)?;
    leak::check(&knowledge)?;
    Ok(notes(&knowledge))
}

/// What is to be known of knowledge from files, a line each.
pub(crate) fn notes(knowledge: &Knowledge) -> Vec<String> {
    let Knowledge::Files(jsonl) = knowledge else { return Vec::new() };
    crate::report::equal_questions(jsonl.duplicates()).into_iter().collect()
}

/// A base that has learned nothing, with a tokenizer that spells the files.
pub(crate) fn blank(experiment: &Experiment, jsonl: &Jsonl) -> Result<Stage> {
    let Config { world, model, pretrain, .. } = &experiment.config;
    // The structure that a base may begin with is about the words of generated worlds.
    let init = InitConfig { structured: None, ..pretrain.init.clone() };
    let inputs = (jsonl.digest()?, world.jsonl.vocabulary, model, &init, pretrain.seed);
    experiment.cache.get_or_make("blank", &inputs, |dir| {
        let tokenizer = Tokenizer::train(&jsonl.lines(), world.jsonl.vocabulary)?;
        let policy = Policy::initialise(Arc::new(model.with_vocabulary(tokenizer.size())), &init, pretrain.seed)?;
        base::save(dir, &policy, &tokenizer, None)
    })
}

/// Refuses a model that is too short for a question with its context and an answer of so many tokens, as a key says, before
/// anything is trained.
pub(crate) fn check_room(new: (&str, usize), base: &Base, jsonl: &Jsonl) -> Result<()> {
    let questions = [Set::A, Set::B].into_iter().flat_map(|set| jsonl.questions(set));
    check_positions(new, &base.policy.config, &base.tokenizer, questions)
}

/// The same of any questions.
pub(crate) fn check_positions<'a>(
    (key, new): (&str, usize),
    model: &ModelConfig,
    tokenizer: &Tokenizer,
    questions: impl Iterator<Item = &'a Question>,
) -> Result<()> {
    let room = model.longest_sequence();
    for question in questions {
        let prompt = tokenizer.prompt(&question.context, &question.text, Opening::Think)?;
        let asked = tokenizer.encode(&prompt)?.len();
        if asked.saturating_add(new) > room {
            let found = format!("{room}, and \"{}\" takes {asked} tokens with its context", excerpt(&question.text));
            let remedy = format!("it has to hold a prompt and {new} new tokens ({key})");
            return Err(Error::invalid("max_position_embeddings of the model", found, remedy));
        }
    }
    Ok(())
}
