//! The stages in order. Each takes what it needs from the experiment, makes its part once and leaves it in the run
//! directory; a stage whose inputs have not changed is not made again.

mod against;
mod ahead;
mod asking;
mod batch;
mod compare;
mod cost;
mod evaluate;
mod examine;
mod feasible;
mod finetune;
mod judge;
mod leaks;
mod likelihood;
mod look;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod panicking;
mod pretrain;
mod report;
mod seeds;
mod train;
mod trainings;
mod update;

use std::path::PathBuf;
use std::sync::Arc;

use super::base::{self, Base, Place};
use super::{Config, Experiment};
use crate::knowledge::{Jsonl, Knowledge, Question, Set, World, audit, leak};
use crate::language::{Opening, Tokenizer};
use crate::policy::{InitConfig, ModelConfig, Policy};
use crate::{Error, Result, files, text};

pub use against::{Comparison, compare};
pub use evaluate::eval;
pub use feasible::{can_pretrain, can_run};
pub use finetune::finetune;
pub use judge::{Judged, answers_on_b, find_judged, judge};
pub use look::{WorldPart, export_world, world};
pub use pretrain::pretrain;
pub use report::{Reported, report, report_together};
pub use train::train;

/// Everything from the base to the report, once or for each of several seeds.
pub fn run(experiment: &Experiment) -> Result<Reported> {
    if !experiment.config.run.seeds.is_empty() {
        return seeds::run(experiment);
    }
    eval(experiment, None)?;
    report(experiment.run.root())
}

/// What every stage after `pretrain` starts from: the base, what is to be known, and what identifies both.
struct Start {
    base: Base,
    knowledge: Knowledge,
    /// Digest of base and knowledge.
    digest: String,
}

impl Start {
    /// Loads the base and makes the world around it, or reads the files. A world with a shortcut is refused, and so are
    /// documents and questions for training that give away what is asked about B, and several seeds at once.
    fn new(experiment: &Experiment) -> Result<Self> {
        experiment.run.demand_one(&experiment.config)?;
        let start = match experiment.config.world.is_jsonl() {
            true => Self::from_files(experiment),
            false => Self::generated(experiment),
        }?;
        leak::check(&start.knowledge)?;
        Ok(start)
    }

    fn generated(experiment: &Experiment) -> Result<Self> {
        let config = &experiment.config;
        let made = config.base.is_made().then(|| pretrain(experiment)).transpose()?;
        let place = made.as_deref().map_or(config.base.place(), Place::Dir);
        let base = Base::load(place)?;
        let world = generated(config, &base)?;
        audit::check(&world)?;
        let digest = format!("{} {:?}", base::digest(place)?, config.world.generated());
        Ok(Self { base, knowledge: Knowledge::Generated(Box::new(world)), digest: files::digest(digest.as_bytes()) })
    }

    fn from_files(experiment: &Experiment) -> Result<Self> {
        let config = &experiment.config;
        let jsonl = from_files(config)?;
        let base = match config.base.dir() {
            Some(dir) => dir.to_path_buf(),
            None => blank(experiment, &jsonl)?,
        };
        let digest = format!("{} {}", base::digest(Place::Dir(&base))?, jsonl.digest()?);
        let base = Base::load(Place::Dir(&base))?;
        check_room(config, &base, &jsonl)?;
        Ok(Self { base, knowledge: Knowledge::Files(jsonl), digest: files::digest(digest.as_bytes()) })
    }
}

/// The knowledge that the config asks for, to be looked at.
fn knowledge(config: &Config) -> Result<Knowledge> {
    match config.world.is_jsonl() {
        true => from_files(config).map(Knowledge::Files),
        false => {
            let world = match config.base.is_made() {
                true => World::new(&config.known.known(), &config.world.generated()),
                false => generated(config, &Base::load(config.base.place())?),
            };
            world.map(|world| Knowledge::Generated(Box::new(world)))
        }
    }
}

/// The world that the config asks for, around what the base knows.
fn generated(config: &Config, base: &Base) -> Result<World> {
    let Some(known) = &base.known else {
        let remedy = "take a base that `recollect pretrain` made, or give world.jsonl files";
        return Err(Error::invalid(config.base.path.clone(), "the base has no known.json", remedy));
    };
    World::new(known, &config.world.generated())
}

fn from_files(config: &Config) -> Result<Jsonl> {
    let jsonl = &config.world.jsonl;
    Jsonl::load(&jsonl.documents, &jsonl.questions, config.world.seed)
}

/// A base that has learned nothing, with a tokenizer that spells the files, and the directory that holds it.
fn blank(experiment: &Experiment, jsonl: &Jsonl) -> Result<PathBuf> {
    let Config { world, model, pretrain, .. } = &experiment.config;
    // The structure that a base may begin with is about the words of generated worlds.
    let init = InitConfig { structured: None, ..pretrain.init.clone() };
    let inputs = (jsonl.digest()?, world.jsonl.vocabulary, model, &init, pretrain.seed);
    let stage = experiment.cache.get_or_make("blank", &inputs, |dir| {
        let tokenizer = Tokenizer::train(&jsonl.lines(), world.jsonl.vocabulary)?;
        let policy = Policy::initialise(Arc::new(model.with_vocabulary(tokenizer.size())), &init, pretrain.seed)?;
        base::save(dir, &policy, &tokenizer, None)
    })?;
    Ok(stage.dir)
}

/// Refuses a model that is too short for a question with its context and an answer, before anything is trained.
fn check_room(config: &Config, base: &Base, jsonl: &Jsonl) -> Result<()> {
    let questions = [Set::A, Set::B].into_iter().flat_map(|set| jsonl.questions(set));
    check_positions(config, &base.policy.config, &base.tokenizer, questions)
}

/// The same of any questions.
fn check_positions<'a>(
    config: &Config,
    model: &ModelConfig,
    tokenizer: &Tokenizer,
    questions: impl Iterator<Item = &'a Question>,
) -> Result<()> {
    let room = model.longest_sequence();
    let (key, new) = [
        ("train.max_new_tokens", config.train.max_new_tokens),
        ("evaluation.max_new_tokens", config.evaluation.max_new_tokens),
    ]
    .into_iter()
    .max_by_key(|(_, new)| *new)
    .unwrap_or_default();
    for question in questions {
        let prompt = tokenizer.prompt(&question.context, &question.text, Opening::Think)?;
        let asked = tokenizer.encode(&prompt)?.len();
        if asked.saturating_add(new) > room {
            let asks = text::short_line(&question.text, 200);
            let found = format!("{room}, and \"{asks}\" takes {asked} tokens with its context");
            let remedy = format!("it has to hold a prompt and {new} new tokens ({key})");
            return Err(Error::invalid("max_position_embeddings of the model", found, remedy));
        }
    }
    Ok(())
}
