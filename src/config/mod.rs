//! The config of a run: one TOML file, a section per stage, and overrides on the command line.
//!
//! A section lives in a file of its own, with its defaults and the ranges of its values. Paths are relative to
//! the working directory; those of a run that is there, to the one where it was last worked on ([`crate::store::paths`]).

pub mod arithmetic;
mod arms;
mod evaluation;
mod finetune;
pub mod footprint;
#[cfg(test)]
mod hostile;
mod lessons;
mod lora;
mod model;
mod overrides;
mod pretrain;
mod prompt;
mod ranges;
mod remedy;
mod run;
mod train;
mod world;

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub use arms::ArmsConfig;
pub use evaluation::EvaluationConfig;
pub use finetune::FinetuneConfig;
pub use model::{BaseConfig, ModelSection};
pub use overrides::Override;
pub use pretrain::PretrainConfig;
pub use ranges::Ranges;
pub use remedy::{Augmentation, AugmentationKind, DocumentObjective};
pub use run::RunConfig;
pub use train::{AlgorithmChoice, TrainConfig};
pub use world::{JsonlSection, KnownSection, WorldSection};

use crate::knowledge::Form;
use crate::knowledge::registry::generated;
use crate::knowledge::source::forms;
use crate::language::PromptConfig;
use crate::policy::LoraConfig;
use crate::{Error, Result, files, strict_toml};

/// Everything that a run depends on. Whatever a file leaves out has a default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the run lives and how it is run.
    pub run: RunConfig,
    /// The knowledge: what is documented, asked and answered.
    pub world: WorldSection,
    /// The base model that fine-tuning starts from.
    pub base: BaseConfig,
    /// What questions are put in, where the base has a chat template.
    pub prompt: PromptConfig,
    /// What `pretrain` makes a base know.
    pub known: KnownSection,
    /// The shape of a model that `pretrain` makes.
    pub model: ModelSection,
    /// Adapters beside the weights of the base, which then stay as they are; without this section all weights are
    /// trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraConfig>,
    /// How a base model is made.
    pub pretrain: PretrainConfig,
    /// Learning the documents of A and B.
    pub finetune: FinetuneConfig,
    /// Reinforcement learning on the questions of A.
    pub train: TrainConfig,
    /// Measuring every arm on A and B.
    pub evaluation: EvaluationConfig,
    /// Which arms those are.
    pub arms: ArmsConfig,
}

impl Config {
    /// Reads a config file and applies overrides (`train.steps=300`) in their order. Everything that is wrong is reported,
    /// a line each. A run directory that is not named is `runs/` and the name of the file.
    ///
    /// # Errors
    /// A file that cannot be read; everything that is wrong with it.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Config> {
        let text = files::read_small(path)?;
        let name = path.file_stem().map_or("run".into(), |stem| stem.to_string_lossy().into_owned());
        Config::parse(&text, &path.display().to_string(), &name, overrides)
    }

    /// The same from text. `place` stands for the file in errors, `name` names the default run directory.
    ///
    /// # Errors
    /// Everything that is wrong, a line each.
    pub fn parse(text: &str, place: &str, name: &str, overrides: &[String]) -> Result<Config> {
        let changes = overrides.iter().map(|text| Override::parse(text)).collect::<Result<Vec<_>>>()?;
        Config::with_changes(strict_toml::parse(text, place)?, place, name, &changes)
    }

    /// The config that a table becomes by changes, applied in their order.
    ///
    /// # Errors
    /// Everything that is wrong, a line each.
    pub fn with_changes(mut table: Table, place: &str, name: &str, changes: &[Override]) -> Result<Config> {
        for change in changes {
            change.apply(&mut table)?;
        }
        let (config, mut problems) = strict_toml::decode::<Config>(&table);
        let in_ranges = config.as_ref().map(Config::problems).unwrap_or_default();
        problems.extend(in_ranges);
        // The last change of a key is the one that counts, so it is the one to blame.
        Error::all(problems.into_iter().map(|problem| Override::blame(changes, problem, place)).collect())?;
        let mut config = config.ok_or_else(|| Error::invalid(place, "not a config", "see the configs that ship"))?;
        if config.run.dir.as_os_str().is_empty() {
            config.run.dir = Path::new("runs").join(name);
        }
        Ok(config)
    }

    /// Values that have the right type and lie outside of their range.
    pub fn problems(&self) -> Vec<strict_toml::Problem> {
        let mut ranges = Ranges::default();
        self.run.check(&mut ranges);
        self.world.check(&mut ranges);
        self.known.check(&mut ranges);
        self.base.check(&mut ranges);
        prompt::check(&self.prompt, &mut ranges);
        self.model.check(&mut ranges);
        lora::check(self.lora.as_ref(), &mut ranges);
        self.pretrain.check(&mut ranges);
        self.finetune.check(&mut ranges);
        self.train.check(&mut ranges);
        self.evaluation.check(&mut ranges);
        self.arms.check(&mut ranges);
        self.check_together(&mut ranges);
        ranges.problems
    }

    /// What one section asks of another.
    fn check_together(&self, ranges: &mut Ranges) {
        let files = self.world.is_jsonl();
        let names = |forms: &[Form]| forms.iter().map(Form::to_string).collect::<Vec<_>>().join(", ");
        let there = forms(files);
        let known = self.train.forms.iter().all(|form| there.contains(form));
        ranges.demand(known, "train.forms", names(&self.train.forms), format!("{} in this world", names(&there)));
        let sizes = self.world.generated().a;
        for task in generated().iter().filter(|task| !task.is_core()) {
            let (key, size) = task.size(&sizes);
            let asked = self.train.forms.iter().find(|form| form.task == task.id());
            if let Some(form) = asked.filter(|_| size == 0) {
                let allowed = format!("a form that set A has questions of; this one needs world.a.{key} above 0");
                ranges.demand(false, "train.forms", form, allowed);
            }
        }
        let plain = self.finetune.objective == DocumentObjective::NextToken && self.finetune.augmentation.is_none();
        let what = "an objective or an augmentation of its own";
        ranges.demand(
            !files || plain,
            "finetune",
            what,
            "neither with world.jsonl, because text has no grammar to turn round",
        );
        let made =
            "another base with world.jsonl, because a base that is made spells the words of generated worlds only";
        ranges.demand(!files || !self.base.is_made(), "base.path", "\"pretrain\"", made);
        let none = "0 with world.jsonl, because files hold no lessons to replay";
        ranges.demand(!files || self.finetune.replay == 0.0, "finetune.replay", self.finetune.replay, none);
        ranges.demand(!files || self.train.replay_tokens == 0, "train.replay_tokens", self.train.replay_tokens, none);
    }

    /// The key that says how long the longest completion is, and how long in tokens: where nothing is trained, what
    /// training samples does not matter.
    pub fn longest_completion(&self, trains: bool) -> (&'static str, usize) {
        let measured = ("evaluation.max_new_tokens", self.evaluation.max_new_tokens);
        let sampled = ("train.max_new_tokens", self.train.max_new_tokens);
        if trains && sampled.1 > measured.1 { sampled } else { measured }
    }

    /// The config with every default written out, as TOML.
    ///
    /// # Errors
    /// A value that TOML does not have.
    pub fn to_toml(&self) -> Result<String> {
        strict_toml::write(self)
            .map_err(|error| Error::invalid("config", error.to_string(), "this value cannot be written as TOML"))
    }

    /// What the results of a run depend on, by dotted key: everything but where it is written, where and on how many
    /// threads it runs, which checkpoints are made and stay, and what is asked of it when it is done.
    ///
    /// # Errors
    /// A value that TOML does not have.
    pub fn identity(&self) -> Result<Vec<(String, String)>> {
        let text = Config { train: self.train.learned(), ..self.clone() }.to_toml()?;
        let mut flat = Vec::new();
        flatten("", &strict_toml::parse(&text, "config")?, &mut flat);
        // The day counts where a template asks for it, and there it is part of the base.
        let elsewhere = ["run.dir", "run.seeds", "run.device", "run.workers", "run.cache", "prompt.date"];
        flat.retain(|(key, _)| !elsewhere.contains(&key.as_str()) && !key.starts_with("arms."));
        Ok(flat)
    }

    /// A digest of the identity, in hexadecimal.
    ///
    /// # Errors
    /// A value that TOML does not have.
    pub fn digest(&self) -> Result<String> {
        let lines: Vec<String> = self.identity()?.into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
        Ok(files::digest(lines.join("\n").as_bytes()))
    }
}

fn flatten(prefix: &str, table: &Table, flat: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) => flatten(&key, inner, flat),
            value => flat.push((key, value.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, overrides: &[&str]) -> Result<Config> {
        let overrides: Vec<String> = overrides.iter().map(|s| s.to_string()).collect();
        Config::parse(text, "x.toml", "x", &overrides)
    }

    fn line(text: &str, overrides: &[&str]) -> String {
        parse(text, overrides).unwrap_err().to_string()
    }

    #[test]
    fn defaults_are_valid_and_survive_a_round_trip() {
        let config = parse("", &[]).unwrap();
        assert_eq!(config.run.dir, Path::new("runs/x"));
        let text = config.to_toml().unwrap();
        assert_eq!(Config::parse(&text, "y.toml", "y", &[]).unwrap(), config);
    }

    #[test]
    fn a_config_with_nothing_left_to_default_survives_a_round_trip() {
        let config = parse(
            "[run]\ncache = 'c'\n[train]\nsteps = 3\nforms = ['completion']\nreplay_tokens = 0\nalgorithm = {preset = 'grpo', clip = 0.2}\n[finetune]\nreplay = 0\nscales = {}\n[world.jsonl]\ndocuments = ['a']\nquestions = ['b']",
            &[],
        )
        .unwrap();
        let text = config.to_toml().unwrap();
        assert_eq!(Config::parse(&text, "y.toml", "y", &[]).unwrap(), config);
    }

    #[test]
    fn several_seeds_are_different_ones_and_another_one_makes_no_other_experiment() {
        let config = parse("[run]\nseeds = [4, 0]", &[]).unwrap();
        assert_eq!(Config::parse(&config.to_toml().unwrap(), "y.toml", "y", &[]).unwrap(), config);
        assert_eq!(config.digest().unwrap(), parse("[run]\nseeds = [4, 0, 7]", &[]).unwrap().digest().unwrap());
        assert_eq!(
            line("[run]\nseeds = [4, 0, 4]", &[]),
            "x.toml: run.seeds: found 4 twice; allowed is each seed once"
        );
    }

    #[test]
    fn overrides_win_and_are_read_as_toml_or_else_as_text() {
        let config = parse(
            "[train]\nsteps = 5",
            &["train.steps=7", "train.learning_rate=1e-4", "run.dir=runs/other", "known.premises=[2, 3]"],
        )
        .unwrap();
        assert_eq!(config.train.steps, 7);
        assert_eq!(config.train.learning_rate, 1e-4);
        assert_eq!(config.run.dir, Path::new("runs/other"));
        assert_eq!(config.known.premises, [2, 3]);
    }

    #[test]
    fn adapters_are_there_when_their_section_is() {
        assert_eq!(parse("", &[]).unwrap().lora, None);
        let config = parse("[lora]\nrank = 8\ntarget_modules = ['q_proj', 'v_proj']", &["lora.alpha=4"]).unwrap();
        let lora = config.lora.clone().unwrap();
        assert_eq!((lora.rank, lora.alpha, lora.target_modules.len()), (8, 4.0, 2));
        let text = config.to_toml().unwrap();
        assert_eq!(Config::parse(&text, "y.toml", "y", &[]).unwrap(), config);
        assert_eq!(line("[lora]\nrank = 0", &[]), "x.toml: lora.rank: found 0; allowed is 1 or more");
        assert!(line("[lora]\nrnak = 4", &[]).contains("did you mean lora.rank?"));
        assert!(line("[lora]\ntarget_modules = ['lm_head']", &[]).contains("lora.target_modules"));
    }

    #[test]
    fn keys_under_their_older_names_mean_the_same() {
        let read = |text: &str| Config::parse(text, "x.toml", "x", &[]).unwrap();
        let older = "[finetune.habits]\nlongest = 3\n[train]\nstaleness = 2\nalgorithm = { importance_cap = 2.0 }\n\
                     [[pretrain.phases]]\nhabits = { longest = 4 }\n";
        let newer = "[finetune.cot_style]\nlongest = 3\n[train]\nmax_off_policy_steps = 2\nalgorithm = { tis_cap = 2.0 }\n\
                     [[pretrain.phases]]\ncot_style = { longest = 4 }\n";
        let (older, newer) = (read(older), read(newer));
        assert_eq!(older.train.algorithm.resolve().unwrap(), newer.train.algorithm.resolve().unwrap());
        assert_eq!((older.train.max_off_policy_steps, older.finetune.cot_style.longest), (2, 3));
        let train = newer.train.clone();
        assert_eq!(Config { train, ..older }, newer);
    }

    #[test]
    fn the_texts_around_a_question_are_keys_and_a_day_is_a_day() {
        let config = parse("[prompt]\nsystem = 'Be brief.'\ndate = 2025-03-04", &["prompt.think=Think!"]).unwrap();
        assert_eq!((&*config.prompt.system, &*config.prompt.think), ("Be brief.", "Think!"));
        assert_eq!(
            config,
            parse("[prompt]\nsystem = 'Be brief.'\nthink = 'Think!'", &["prompt.date=2025-03-04"]).unwrap()
        );
        let text = config.to_toml().unwrap();
        assert!(text.contains("date = \"2025-03-04\""), "{text}");
        assert_eq!(Config::parse(&text, "y.toml", "y", &[]).unwrap(), config);
        assert_ne!(config.digest().unwrap(), parse("", &[]).unwrap().digest().unwrap());
        for day in ["4 March", "2025-02-30", "2025-3-4", "2025-03-04T10:00:00"] {
            let message = line(&format!("[prompt]\ndate = '{day}'"), &[]);
            assert_eq!(
                message,
                format!("x.toml: prompt.date: found string \"{day}\"; allowed is a day such as 2025-03-04")
            );
        }
        assert!(line("[prompt]\ndate = 2025-03-04T10:00:00", &[]).contains("allowed is a day such as 2025-03-04"));
        assert!(line("", &[&format!("prompt.system={}", "long ".repeat(9000))]).contains("prompt.system"));
        assert!(line("[prompt]\nthinking = 'x'", &[]).contains("did you mean prompt.think?"));
    }

    #[test]
    fn a_run_keeps_the_day_that_it_began_on() {
        let home = tempfile::tempdir().unwrap();
        let place = format!("run.dir={}", home.path().display());
        let fresh = parse("", &[&place]).unwrap().dated();
        assert_eq!(fresh.prompt.date.map(|day| day.0.to_string().len()), Some(10));
        std::fs::write(home.path().join("config.toml"), "[prompt]\ndate = '2025-03-04'").unwrap();
        let again = parse("", &[&place]).unwrap().dated();
        assert_eq!(again.prompt.date.unwrap().0.to_string(), "2025-03-04");
        let other = parse("", &[&place, "prompt.date=2024-02-29"]).unwrap().dated();
        assert_eq!(other.prompt.date.unwrap().0.to_string(), "2024-02-29");
        assert_eq!(other.digest().unwrap(), again.digest().unwrap(), "only a template that asks makes a difference");
    }

    #[test]
    fn a_misspelt_key_is_named_with_its_nearest() {
        assert_eq!(
            line("[train]\nlearnig_rate = 1", &[]),
            "x.toml: train.learnig_rate: unknown key; did you mean train.learning_rate?"
        );
        assert_eq!(line("", &["trian.steps=1"]), "--set trian.steps=1: trian: unknown key; did you mean train?");
        assert_eq!(
            line("", &["world.b.fact=1"]),
            "--set world.b.fact=1: world.b.fact: unknown key; did you mean world.b.facts?"
        );
    }

    #[test]
    fn an_override_that_is_none_is_refused() {
        assert!(line("", &["train.steps"]).contains("key=value"));
        assert!(line("", &["=3"]).contains("key=value"));
        assert!(line("", &["train..steps=3"]).contains("key=value"));
        assert!(line("[train]\nsteps = 3", &["train.steps.x=3"]).contains("train.steps is a value"));
    }

    #[test]
    fn ranges_are_checked_with_a_line_for_each_problem() {
        let error = line("[train]\ntemperature = nan\ngroup_size = 1\n[finetune]\nreplay = 1.5", &["run.workers=-1"]);
        let lines: Vec<&str> = error.lines().collect();
        assert_eq!(lines.len(), 4, "{error}");
        assert!(lines.contains(&"x.toml: train.group_size: found 1; allowed is 2 or more"), "{error}");
        assert!(parse("[train]\ngroup_size = 1\nalgorithm = 'ppo'", &[]).is_ok(), "nothing is compared within a group");
        assert!(lines.iter().any(|line| line.starts_with("x.toml: train.temperature: found NaN")));
        assert!(lines.iter().any(|line| line.starts_with("x.toml: finetune.replay: found 1.5")));
        assert!(lines.iter().any(|line| line.starts_with("--set run.workers=-1: run.workers: found integer -1")));
    }

    #[test]
    fn shares_mixtures_and_scales_are_what_something_can_be_drawn_by() {
        for (key, value, allowed) in [
            ("finetune.cot_style.restated", "-1.0", "found -1; allowed is a number that is 0 or more"),
            ("finetune.cot_style.distracted", "1.5", "found 1.5; allowed is 0 to 1"),
            ("finetune.cot_style.group", "nan", "found NaN; allowed is 0 to 1"),
            ("finetune.cot_style.longest", "0", "found 0; allowed is 1 or more"),
            ("finetune.mixture.read", "-0.5", "found -0.5; allowed is a number that is 0 or more"),
            ("train.mixture.think", "inf", "found inf; allowed is a number from 0 to 1000000"),
            ("finetune.warmup_steps", "9223372036854775807", "allowed is 0 to 1000000000"),
        ] {
            let message = line("", &[&format!("{key}={value}")]);
            let expected = format!("--set {key}={value}: {key}: ");
            assert!(message.starts_with(&expected) && message.contains(allowed), "{message}");
        }
        let scales = line("[finetune.scales]\n'model.norm' = -1.0\n[train.scales]\n'' = nan\n", &[]);
        assert!(scales.contains("x.toml: finetune.scales.\"model.norm\": found -1; allowed is"), "{scales}");
        assert!(scales.contains("x.toml: train.scales.\"\": found NaN; allowed is"), "{scales}");
        let zeros = "mixture = { read = 0, read_trace = 0, recite_context = 0, document = 0, answer = 0, think = 0, \
                     bring_up = 0, guess = 0 }";
        let message = line(&format!("[pretrain]\nphases = [{{ {zeros} }}]\n[finetune]\n{zeros}\n"), &[]);
        for key in ["pretrain.phases.mixture", "finetune.mixture"] {
            assert!(message.contains(&format!("x.toml: {key}: found nothing but zeros; allowed is")), "{message}");
        }
        let phases = line("[pretrain]\nphases = [{ cot_style = { kinds = 2.0 } }]", &[]);
        assert!(phases.contains("pretrain.phases.cot_style.kinds: found 2; allowed is 0 to 1"), "{phases}");
    }

    #[test]
    fn files_are_asked_for_what_they_have() {
        let error = line("[world.jsonl]\ndocuments = ['a']\nquestions = ['b']", &[]);
        let lines: Vec<&str> = error.lines().collect();
        assert_eq!(lines.len(), 3, "{error}");
        assert_eq!(
            lines[0],
            "x.toml: train.forms: found candidates, open, entailment; allowed is completion in this world"
        );
        assert!(lines[1].contains("finetune.replay: found 0.55; allowed is 0 with world.jsonl"), "{error}");
        assert!(line("[train]\nforms = ['completion']", &[]).contains("allowed is candidates, open, open-any"));
        let made = line("[base]\npath = 'pretrain'\n[world.jsonl]\ndocuments = ['a']\nquestions = ['b']", &[]);
        assert!(made.contains("base.path: found \"pretrain\"; allowed is another base"), "{made}");
        assert!(line("[world.jsonl]\nvocabulary = 100", &[]).contains("found 100; allowed is 263 or more"));
    }

    #[test]
    fn the_digest_follows_what_matters_and_nothing_else() {
        let digest = |overrides: &[&str]| parse("", overrides).unwrap().digest().unwrap();
        assert_eq!(digest(&[]), digest(&["run.dir=elsewhere", "run.workers=3", "run.cache=c"]));
        assert_eq!(digest(&[]), digest(&["arms.ask=[\"filler\"]", "arms.passages=3"]));
        assert_eq!(digest(&[]), digest(&["train.keep_last=9", "train.keep_best=false", "train.checkpoint_every=7"]));
        assert_ne!(digest(&[]), digest(&["train.evaluate_every=7"]));
        assert_ne!(digest(&[]), digest(&["run.seed=99"]));
        assert_ne!(digest(&[]), digest(&["known.premises=[2, 3]"]));
    }
}
