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
mod finetune;
mod judge;
mod judging;
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

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::base::{self, Base, Place};
use super::inputs::RunInputs;
use super::{Config, Experiment};
use crate::knowledge::{Jsonl, Knowledge, Set, World, audit, leak};
use crate::language::{Opening, Tokenizer};
use crate::policy::{InitConfig, Policy};
use crate::text::excerpt;
use crate::{Error, Result, files};

pub use against::{Comparison, compare};
pub use evaluate::eval;
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
    /// documents and questions for training that give away what is asked about B, several seeds at once, and files that
    /// are no longer those that the run began with.
    fn new(experiment: &Experiment) -> Result<Self> {
        experiment.run.demand_one(&experiment.config)?;
        let inputs = RunInputs::of(&experiment.config)?;
        inputs.demand_same(&experiment.run)?;
        let start = match experiment.config.world.is_jsonl() {
            true => Self::from_files(experiment),
            false => Self::generated(experiment),
        }?;
        leak::check(&start.knowledge)?;
        inputs.write(&experiment.run)?;
        Ok(start)
    }

    fn generated(experiment: &Experiment) -> Result<Self> {
        let config = &experiment.config;
        let made = config.base.is_made().then(|| pretrain(experiment)).transpose()?;
        let place = made.as_deref().map_or(config.base.place(), Place::Dir);
        let base = Base::load(place)?.asked(&config.prompt)?;
        let world = generated(config, &base)?;
        audit::check(&world)?;
        let content = base::digest(place)?;
        let asked = base.tokenizer.prompting();
        let digest = files::digest(format!("{content} {:?} {asked:?}", config.world.generated()).as_bytes());
        let base = with_a_name(experiment, base, &content)?;
        Ok(Self { base, knowledge: Knowledge::Generated(Box::new(world)), digest })
    }

    fn from_files(experiment: &Experiment) -> Result<Self> {
        let config = &experiment.config;
        let jsonl = from_files(config)?;
        let dir = match config.base.dir() {
            Some(dir) => dir.to_path_buf(),
            None => blank(experiment, &jsonl)?,
        };
        let place = Place::Dir(&dir);
        let (base, content) = (Base::load(place)?.asked(&config.prompt)?, base::digest(place)?);
        let digest = format!("{content} {} {:?}", jsonl.digest()?, base.tokenizer.prompting());
        let digest = files::digest(digest.as_bytes());
        check_room(config, &base, &jsonl)?;
        let base = with_a_name(experiment, base, &content)?;
        Ok(Self { base, knowledge: Knowledge::Files(jsonl), digest })
    }

    /// The same questions for a policy from elsewhere, which is read with its own tokenizer; and the digest of that policy.
    fn with_base(&self, config: &Config, dir: &Path) -> Result<(Self, String)> {
        let base = Base::load(Place::Dir(dir))?.asked(&config.prompt)?;
        if let Knowledge::Files(jsonl) = &self.knowledge {
            check_room(config, &base, jsonl)?;
        }
        let content = base::digest(Place::Dir(dir))?;
        let digest = files::digest(format!("{content} {}", self.digest).as_bytes());
        Ok((Self { base, knowledge: self.knowledge.clone(), digest }, content))
    }
}

/// The base, in a directory that adapters can name where a run trains them: one that ships, or that is the sum of adapters
/// and weights, is in none yet that others could load.
fn with_a_name(experiment: &Experiment, base: Base, content: &str) -> Result<Base> {
    if experiment.config.lora.is_none() || base.policy.origin.is_some() {
        return Ok(base);
    }
    let stage = experiment.cache.get_or_make("whole", &content, |dir| base.save(dir))?;
    Ok(Base { policy: Policy { origin: Some(stage.dir), ..base.policy }, ..base })
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
    Jsonl::load(&jsonl.documents, &jsonl.questions, jsonl.matching, config.world.seed)
}

/// Reads the files that a config names and refuses what its run would refuse of them. Gives notes on what was found, a line
/// each; of a generated world none.
pub fn look_into_files(config: &Config) -> Result<Vec<String>> {
    if !config.world.is_jsonl() {
        return Ok(Vec::new());
    }
    let knowledge = knowledge(config)?;
    leak::check(&knowledge)?;
    Ok(notes(&knowledge))
}

/// What is to be known of knowledge from files, a line each.
fn notes(knowledge: &Knowledge) -> Vec<String> {
    let Knowledge::Files(jsonl) = knowledge else { return Vec::new() };
    let again = |rows| format!("{rows} rows ask what another row asks: equal questions count once");
    Some(jsonl.duplicates()).filter(|rows| *rows > 0).map(again).into_iter().collect()
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
    let room = base.policy.config.longest_sequence();
    let new = config.evaluation.max_new_tokens.max(config.train.max_new_tokens);
    for question in [Set::A, Set::B].iter().flat_map(|set| jsonl.questions(*set)) {
        let prompt = base.tokenizer.prompt(&question.context, &question.text, Opening::Think)?;
        let asked = base.tokenizer.encode(&prompt)?.len();
        if asked + new > room {
            let found = format!("{room}, and \"{}\" takes {asked} tokens with its context", excerpt(&question.text));
            let remedy = format!("it has to hold a prompt and {new} new tokens");
            return Err(Error::invalid("max_position_embeddings of the model", found, remedy));
        }
    }
    Ok(())
}
