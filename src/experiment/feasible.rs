//! Whether a config can be carried out, found out before any time is spent: what it accepts, runs.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::iter;

use super::held_back;
use super::start::{check_positions, from_files, generated};
use crate::base::{Outline, Place};
use crate::config::Config;
use crate::config::footprint::{self, Footprint};
use crate::experiment::context::{preflight, preflight_with};
use crate::knowledge::facts::reference_thought;
use crate::knowledge::jsonl::task::is_of;
use crate::knowledge::lexicon::Lexicon;
use crate::knowledge::{Jsonl, Knowledge, Question, Set, World, audit, leak};
use crate::language::{PromptConfig, Tokenizer};
use crate::policy::{InitConfig, ModelConfig};
use crate::reward::Reward;
use crate::store::{checkpoint, run_dir};
use crate::telemetry::machine;
use crate::text::excerpt;
use crate::{Error, Result, files};

/// Bytes that a token of a batch takes at the least: its id, its weight, its log-probability and its advantage.
const PER_TOKEN: u128 = 16;

/// Words of the longest sentence of a generated world.
const SENTENCE: usize = 7;
/// The most stray words before a sentence of a document.
const DISTRACTION: usize = 7;
/// The most words of a question and its answer.
const ASKED: usize = 48;

/// Whether a run can go through: its files are there and what they should be, its device is there, its sizes fit into
/// the machine, its world can be made, tells nothing of set B and has no shortcut, and the model has room for every
/// question with an answer. Nothing is trained and no weight is read.
///
/// Errors: whatever would end the run later, with the key that says so.
pub fn can_run(config: &Config) -> Result<()> {
    Feasible::default().can_run(config, None)
}

/// Refuses to freeze what is not there, or everything.
fn check_frozen(config: &Config, model: &ModelConfig) -> Result<()> {
    let names: Vec<String> = model.weight_shapes().into_keys().collect();
    let unknown = config.train.freeze.iter().find(|part| !names.iter().any(|name| name.contains(part.as_str())));
    let found = match unknown {
        Some(part) => format!("no variable has \"{}\" in its name", excerpt(part)),
        None if names.iter().all(|name| config.train.freezes(name)) => "every variable is frozen".to_owned(),
        None => return Ok(()),
    };
    Err(Error::invalid("train.freeze", found, "name parts of some of them, such as \"mlp\" or \"embed_tokens\""))
}

/// Refuses hints where nothing could be given, or where the tokenizer has no tokens for it.
fn check_hints(config: &Config, tokenizer: &Tokenizer, facts: &Knowledge, questions: &[Question]) -> Result<()> {
    let forms = &config.train.forms;
    let asked = questions.iter().filter(|question| forms.iter().any(|form| is_of(question, form)));
    let references = asked.filter_map(|question| reference_thought(facts, question));
    let mut there = false;
    for thought in references {
        tokenizer.encode(&thought)?;
        there = true;
    }
    if there {
        return Ok(());
    }
    let remedy = "give world.jsonl.facts, by which it is known what answers need, or leave the section out";
    Err(Error::invalid("train.hint", "no question of train.forms has a thought to begin with", remedy))
}

/// Looks at many configs, as a sweep has them. Most of them have the model and the world in common, which take longest
/// to look at: each is made once.
#[derive(Default)]
pub struct Feasible {
    /// By the parts of a config that they follow from.
    made: BTreeMap<String, Made>,
}

/// A model, its tokenizer, and what is asked of it. Nothing is wrong with any of them.
type Made = (ModelConfig, Tokenizer, Knowledge);

impl Feasible {
    /// The same as [`can_run`]. A reward that is in no file yet, with the place that stands for it in errors, counts in
    /// place of the one that the config names.
    ///
    /// Errors: as there.
    pub fn can_run(&mut self, config: &Config, reward: Option<(&Reward, &str)>) -> Result<()> {
        match reward {
            Some((reward, place)) => preflight_with(config, reward, place)?,
            None => drop(preflight(config)?),
        }
        config.run.device.open()?;
        // A run that has branched off already knows what from.
        if let Some(from) = config.train.from.as_ref().filter(|_| !config.run.dir.join(run_dir::CONFIG).exists()) {
            checkpoint::origin(from)?;
        }
        check_memory(config, whole_memory())?;
        let (model, tokenizer, knowledge) = self.made(config)?;
        let prompted = (config.prompt != PromptConfig::default())
            .then(|| tokenizer.clone().with_prompts(&config.prompt))
            .transpose()?;
        let tokenizer = prompted.as_ref().unwrap_or(tokenizer);
        check_frozen(config, model)?;
        for text in config.evaluation.held_back.iter().map(|path| held_back::texts(path)).collect::<Result<Vec<_>>>()? {
            text.iter().try_for_each(|text| tokenizer.encode(text).map(drop))?;
        }
        if let Knowledge::Generated(_) = knowledge {
            check_lessons(config, model.longest_sequence())?;
        }
        let questions = [Set::A, Set::B].map(|set| knowledge.questions(set));
        if config.train.hint.is_some() {
            check_hints(config, tokenizer, knowledge, &questions[0])?;
        }
        check_positions(config.longest_completion(true), model, tokenizer, questions.iter().flatten())
    }

    fn made(&mut self, config: &Config) -> Result<&Made> {
        let Config { base, known, model, pretrain, world, .. } = config;
        match self.made.entry(format!("{:?}", (base, known, model, pretrain, world))) {
            Entry::Occupied(there) => Ok(there.into_mut()),
            Entry::Vacant(new) => {
                let made = if world.is_free_text() { files_and_model(config)? } else { world_and_model(config)? };
                audit::check(&made.2)?;
                leak::check(&made.2)?;
                Ok(new.insert(made))
            }
        }
    }
}

/// The same of making a base model.
pub fn can_pretrain(config: &Config) -> Result<()> {
    config.run.device.open()?;
    check_memory(config, whole_memory())?;
    World::known(&config.known.known())?;
    let (model, _) = made(config)?;
    check_thoughts(config, model.longest_sequence())
}

/// The model that `pretrain` makes, and its tokenizer.
fn made(config: &Config) -> Result<(ModelConfig, Tokenizer)> {
    let lexicon = Lexicon::new(&config.known.known().lexicon)?;
    let tokenizer = Tokenizer::from_words(lexicon.words())?;
    let model = config.model.with_vocabulary(tokenizer.size());
    model.check("model")?;
    config.pretrain.init.check(&model)?;
    Ok((model, tokenizer))
}

fn world_and_model(config: &Config) -> Result<Made> {
    let (model, tokenizer, known) = if config.base.is_made() {
        let (model, tokenizer) = made(config)?;
        (model, tokenizer, Some(config.known.known()))
    } else {
        let Outline { model, tokenizer, known } = Outline::read(config.base.place())?;
        (model, tokenizer, known)
    };
    let world = generated(config, known.as_ref())?;
    Ok((model, tokenizer, Knowledge::Generated(Box::new(world))))
}

fn files_and_model(config: &Config) -> Result<Made> {
    let jsonl: Jsonl = from_files(config)?;
    let (model, tokenizer) = match config.base.dir() {
        Some(dir) => {
            let Outline { model, tokenizer, .. } = Outline::read(Place::Dir(dir))?;
            (model, tokenizer)
        }
        None => {
            let tokenizer = Tokenizer::train(&jsonl.lines(), config.world.jsonl.vocabulary)?;
            let model = config.model.with_vocabulary(tokenizer.size());
            model.check("model")?;
            InitConfig { structured: None, ..config.pretrain.init.clone() }.check(&model)?;
            (model, tokenizer)
        }
    };
    Ok((model, tokenizer, Knowledge::Files(Box::new(jsonl))))
}

/// Refuses lessons and documents that may become longer than the model can read.
fn check_lessons(config: &Config, room: usize) -> Result<()> {
    if config.base.is_made() {
        check_thoughts(config, room)?;
    }
    if config.finetune.replay > 0.0 || config.train.replay_tokens > 0 {
        fits("finetune.cot_style.longest", config.finetune.cot_style.longest, SENTENCE, room)?;
    }
    fits("world.sentences", config.world.sentences, SENTENCE + DISTRACTION, room)
}

fn check_thoughts(config: &Config, room: usize) -> Result<()> {
    let longest = config.pretrain.phases.iter().map(|phase| phase.cot_style.longest);
    fits("pretrain.phases.cot_style.longest", longest.max().unwrap_or(0), SENTENCE, room)
}

/// Refuses so many sentences of so many words where there is no room for them beside a question and its answer.
fn fits(key: &str, sentences: usize, words: usize, room: usize) -> Result<()> {
    let most = room.saturating_sub(ASKED) / words;
    if sentences <= most {
        return Ok(());
    }
    let found = format!("found {sentences} sentences, which may be more than the {room} positions of the model");
    Err(Error::invalid(key, found, format!("allowed are {most}, or a model with more max_position_embeddings")))
}

/// Bytes of memory that there are. A machine that does not say has enough.
fn whole_memory() -> u128 {
    machine::room().map_or(u128::MAX, |room| u128::from(room.whole))
}

/// Refuses what no machine of this size can hold, whatever else it does. What hardly fits is told of when training
/// begins.
fn check_memory(config: &Config, whole: u128) -> Result<()> {
    let Config { finetune, pretrain, train, .. } = config;
    let needs = |tokens: usize| tokens as u128 * PER_TOKEN;
    // A completion is no longer than the model, which is looked at by itself.
    let (key, longest) = train.longest_completion();
    let sampled = train.rollouts_per_step().saturating_mul(longest);
    let model = footprint::for_config(config).map(|[full, adapters]| {
        let Footprint { weights, gradients, moments, .. } = if config.lora.is_some() { adapters } else { full };
        // Gradients are held by every worker that is busy: at the least by one, and their sum.
        weights + moments + gradients.min(2 * weights)
    });
    let named = match config.base.dir() {
        Some(_) => ("base.path", "a smaller model"),
        None => ("model", "a smaller hidden_size, intermediate_size, head_dim or num_hidden_layers"),
    };
    let batches = [
        ("finetune.tokens_per_step", "fewer of them", needs(finetune.tokens_per_step)),
        ("pretrain.tokens_per_step", "fewer of them", needs(pretrain.tokens_per_step)),
        ("train.replay_tokens", "fewer of them", needs(train.replay_tokens)),
        (key, "fewer of them, train.group_size or train.questions_per_step", needs(sampled)),
    ];
    let on_card = !config.run.device.open()?.is_cpu();
    let model = model.filter(|_| !on_card).map(|bytes| (named.0, named.1, bytes));
    let too_much = |(key, remedy, bytes): (&str, &str, u128)| {
        let size = |bytes: u128| files::megabytes(u64::try_from(bytes).unwrap_or(u64::MAX));
        let found = format!("takes {} at the least, and this machine has {}", size(bytes), size(whole));
        (bytes > whole).then(|| Error::invalid(key, found, format!("try {remedy}")))
    };
    Error::all(batches.into_iter().chain(iter::once(model).flatten()).filter_map(too_much).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::base::Base;

    fn config(changes: &[&str]) -> Config {
        let changes: Vec<String> = changes.iter().map(|change| change.to_string()).collect();
        Config::parse("", "x.toml", "x", &changes).unwrap()
    }

    fn refused(changes: &[&str]) -> String {
        can_run(&config(changes)).unwrap_err().to_string()
    }

    #[test]
    fn what_ships_can_be_run_and_made() {
        can_run(&Config::default()).unwrap();
        can_pretrain(&config(&["base.path=pretrain"])).unwrap();
        can_run(&config(&["base.path=pretrain"])).unwrap();
    }

    #[test]
    fn a_completion_that_does_not_fit_beside_its_question_is_refused_by_its_key() {
        let message = refused(&["train.max_new_tokens=500"]);
        assert!(message.starts_with("max_position_embeddings of the model: 512, and \""), "{message}");
        assert!(message.ends_with("it has to hold a prompt and 500 new tokens (train.max_new_tokens)"), "{message}");
        let message = refused(&["evaluation.max_new_tokens=700", "base.path=pretrain"]);
        assert!(message.contains("700 new tokens (evaluation.max_new_tokens)"), "{message}");
    }

    #[test]
    fn what_freezes_nothing_or_everything_is_refused() {
        can_run(&config(&["train.freeze=['embed_tokens', 'mlp']"])).unwrap();
        let message = refused(&["train.freeze=['mlp', 'experts']"]);
        assert!(message.starts_with("train.freeze: no variable has \"experts\" in its name; name parts"), "{message}");
        assert!(refused(&["train.freeze=['model']"]).starts_with("train.freeze: every variable is frozen"));
    }

    #[test]
    fn lessons_and_documents_that_may_be_longer_than_the_model_are_refused_by_their_key() {
        let message = refused(&["finetune.cot_style.longest=100"]);
        assert!(message.starts_with("finetune.cot_style.longest: found 100 sentences, which may be more than the 512"));
        assert!(refused(&["world.sentences=60"]).starts_with("world.sentences: found 60 sentences"));
        let made = ["base.path=pretrain", "pretrain.phases=[{cot_style = {longest = 90}}]"];
        assert!(refused(&made).starts_with("pretrain.phases.cot_style.longest: found 90"));
        can_run(&config(&["finetune.cot_style.longest=66", "world.sentences=33"])).unwrap();
    }

    #[test]
    fn a_base_that_is_no_checkpoint_is_refused_before_anything_runs() {
        let home = tempfile::tempdir().unwrap();
        let base = home.path().join("base");
        fs::create_dir(&base).unwrap();
        let path = format!("base.path={}", base.display());
        let message = refused(&[&path]);
        assert!(message.ends_with("no such checkpoint (it has no config.json); base.path names it"), "{message}");
        Base::load(Place::from_name("embedded")).unwrap().save(&base).unwrap();
        can_run(&config(&[&path])).unwrap();
        // A weight that is not there, and weights that are none.
        let weights = base.join("model.safetensors");
        let whole = fs::read(&weights).unwrap();
        let name = b"model.layers.1.mlp.up_proj.weight";
        let at = whole.windows(name.len()).position(|window| window == name).unwrap();
        let mut other = whole.clone();
        other[at + name.len() - 2] = b'X';
        for bytes in [&other[..], &whole[..1000], b""] {
            fs::write(&weights, bytes).unwrap();
            let message = refused(&[&path]);
            assert!(message.contains("model.safetensors"), "{message}");
        }
        fs::remove_file(&weights).unwrap();
        assert!(refused(&[&path]).contains("model.safetensors: cannot read"));
    }

    #[test]
    fn sizes_that_no_machine_holds_are_refused_by_their_key() {
        let gigabyte = 1_000_000_000;
        check_memory(&Config::default(), gigabyte).unwrap();
        let refused = |changes: &[&str]| check_memory(&config(changes), gigabyte).unwrap_err().to_string();
        for (changes, key) in [
            (&["finetune.tokens_per_step=1000000000"][..], "finetune.tokens_per_step"),
            (&["pretrain.tokens_per_step=1000000000"], "pretrain.tokens_per_step"),
            (&["train.replay_tokens=1000000000"], "train.replay_tokens"),
            (&["train.group_size=80000", "train.max_new_tokens=100000"], "train.max_new_tokens"),
            (&["base.path=pretrain", "model.hidden_size=100000"], "model"),
        ] {
            let message = refused(changes);
            assert!(message.starts_with(&format!("{key}: takes ")), "{message}");
            assert!(message.contains("at the least, and this machine has 1000.0 MB; try "), "{message}");
        }
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_device_that_is_not_there_is_refused() {
        assert!(refused(&["run.device=cuda:7"]).starts_with("run.device: "));
    }
}
