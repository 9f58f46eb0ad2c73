//! The config of a run: one TOML file, a section per stage, and overrides on the command line.
//!
//! A section lives in a file of its own, with its defaults and the ranges of its values. Paths of what
//! is read lead beside the file where it has such a file, otherwise from the working directory; those of a run that is there,
//! from where it was last worked on ([`crate::store::paths`]).

pub mod arithmetic;
mod draw;
mod evaluation;
mod finetune;
pub mod footprint;
mod foreign;
mod hint;
#[cfg(test)]
mod hostile;
mod kind;
mod model;
mod off_at_zero;
mod optimizer;
mod overrides;
mod own_text;
mod pretrain;
mod ranges;
pub mod reference;
mod run;
mod train;
mod warmup;
mod world;

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub use draw::{FormFilter, QuestionDraw};
pub use evaluation::{ArmsConfig, EvaluationConfig};
pub use finetune::{Augmentation, AugmentationKind, DocumentObjective, FinetuneConfig};
pub use hint::HintConfig;
pub use kind::of_kind;
pub use model::{BaseConfig, ModelSection};
pub use optimizer::{AdamConfig, OptimizerKeys};
pub use overrides::Override;
pub use own_text::OwnTextConfig;
pub use pretrain::PretrainConfig;
pub use ranges::Ranges;
pub use run::RunConfig;
pub use train::{AlgorithmChoice, TrainConfig};
pub use warmup::WarmupConfig;
pub use world::{JsonlSection, KnownSection, Language, WorldSection};

use crate::knowledge::registry::{generated, generated_forms};
use crate::knowledge::{Form, form_names};
use crate::language::PromptConfig;
use crate::policy::LoraConfig;
use crate::{Error, Result, files, shipped, strict_toml};

/// Longer texts around a question than this leave no room for it.
const LONGEST_PROMPT: usize = 20_000;

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
    /// Texts of the base's own, against forgetting.
    // Left out where it is the usual one: such a run is the run that it was before this section existed.
    #[serde(skip_serializing_if = "OwnTextConfig::is_usual")]
    pub own_text: OwnTextConfig,
    /// Learning the documents of A and B.
    pub finetune: FinetuneConfig,
    /// Lessons in how to think, after the documents; without this section there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup: Option<WarmupConfig>,
    /// Reinforcement learning on the questions of A.
    pub train: TrainConfig,
    /// Measuring every arm on A and B.
    pub evaluation: EvaluationConfig,
    /// Which arms are evaluated.
    pub arms: ArmsConfig,
}

impl Config {
    /// Reads a config file, or one that ships, and applies overrides (`train.steps=300`) in their order. Everything that is wrong is reported,
    /// a line each. A run directory that is not named is `runs/` and the name of the file.
    ///
    /// # Errors
    /// A file that cannot be read; everything that is wrong with it.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Config> {
        let text = shipped::config_text(path)?;
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
        world::resolve_preset(&mut table).map_err(|error| error.attributed_to(place))?;
        kind::defaults(&table).into_iter().for_each(|default| default.fill(&mut table));
        kind::rest_of_sections(&mut table);
        let (config, problems) = strict_toml::decode::<Config>(&table);
        let mut problems: Vec<_> = problems.into_iter().map(foreign::translated).collect();
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
        let PromptConfig { system, think, answer, stop, .. } = &self.prompt;
        let all = stop.iter().all(|text| (1..=LONGEST_PROMPT).contains(&text.len()));
        let found = || stop.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ");
        ranges.demand(
            all,
            "prompt.stop",
            found(),
            format!("texts that are not empty, of at most {LONGEST_PROMPT} bytes"),
        );
        for (key, text) in [("system", system), ("think", think), ("answer", answer)] {
            let found = format!("{} characters", text.chars().count());
            let allowed = format!("a text of at most {LONGEST_PROMPT}");
            ranges.demand(text.len() <= LONGEST_PROMPT, &format!("prompt.{key}"), found, allowed);
        }
        self.model.check(&mut ranges);
        if let Some((key, found, allowed)) = self.lora.as_ref().and_then(LoraConfig::fault) {
            ranges.demand(false, &format!("lora.{key}"), found, allowed);
        }
        self.pretrain.check(&mut ranges);
        self.own_text.check(&mut ranges);
        self.finetune.check(&mut ranges);
        self.warmup.iter().for_each(|warmup| warmup.check(&mut ranges));
        self.train.check(&mut ranges);
        self.evaluation.check(&mut ranges);
        self.arms.check(&mut ranges);
        self.check_together(&mut ranges);
        ranges.problems
    }

    /// What one section asks of another.
    fn check_together(&self, ranges: &mut Ranges) {
        let files = self.world.is_free_text();
        // Which forms the questions of files have is seen when they are read.
        let there: Vec<Form> = generated_forms().collect();
        let known = files || self.train.forms.iter().all(|form| there.contains(form));
        let allowed = format!("{} in this world", form_names(&there));
        ranges.demand(known, "train.forms", form_names(&self.train.forms), allowed);
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
        ranges.demand(
            self.warmup.is_none() || self.world.has_lessons(),
            "warmup",
            "a stage without lessons",
            "it with world.jsonl.lessons, which it learns",
        );
        let none = "0 with world.jsonl, because files hold no lessons to replay";
        ranges.demand(!files || self.finetune.replay == 0.0, "finetune.replay", self.finetune.replay, none);
        ranges.demand(!files || self.train.replay_tokens == 0, "train.replay_tokens", self.train.replay_tokens, none);
        let own = self.finetune.own_text.unwrap_or(0.0);
        let unused = "0 in a generated world, whose base has lessons to replay (finetune.replay)";
        ranges.demand(files || own == 0.0, "finetune.own_text", own, unused);
    }

    /// Whether training replays texts of the base's own.
    pub fn replays_own_text(&self) -> bool {
        let shares = [self.finetune.own_text, self.warmup.as_ref().and_then(|warmup| warmup.own_text)];
        shares.into_iter().flatten().any(|share| share > 0.0)
    }

    /// The key that says how long the longest completion is, and how long in tokens: where nothing is trained, what
    /// training samples does not matter.
    pub fn longest_completion(&self, trains: bool) -> (&'static str, usize) {
        let measured = ("evaluation.max_new_tokens", self.evaluation.max_new_tokens);
        let sampled = self.train.longest_completion();
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
    use crate::knowledge::curriculum::Mixture;

    fn parse(text: &str, overrides: &[&str]) -> Result<Config> {
        let overrides: Vec<String> = overrides.iter().map(|s| s.to_string()).collect();
        Config::parse(text, "x.toml", "x", &overrides)
    }

    fn line(text: &str, overrides: &[&str]) -> String {
        parse(text, overrides).unwrap_err().to_string()
    }

    #[test]
    fn whatever_is_read_is_read_again_from_what_is_written_of_it() {
        let rare = "[run]\ncache = 'c'\nworkers = 0\n[train]\nsteps = 3\nforms = ['completion']\nreplay_tokens = 0\n\
                    evaluate_every = 0\nalgorithm = {preset = 'grpo', clip = 0.2}\nadam = { beta1 = 0.8 }\n[finetune]\n\
                    replay = 0\nscales = {}\n[world.jsonl]\ndocuments = ['a']\nquestions = ['b']\n[lora]\nrank = 8\n\
                    target_modules = ['q_proj', 'v_proj']";
        let own =
            "[world.jsonl]\ndocuments = ['a']\nquestions = ['b']\n[finetune]\nown_text = 0\n[own_text]\ntexts = 20";
        for text in ["", rare, own, "[run]\nseeds = [4, 0]", "[prompt]\nsystem = 'Be brief.'\ndate = 2025-03-04"] {
            let config = parse(text, &[]).unwrap();
            assert_eq!(parse(&config.to_toml().unwrap(), &[]).unwrap(), config);
        }
        let (usual, rare) = (parse("", &[]).unwrap(), parse(rare, &["lora.alpha=4"]).unwrap());
        assert_eq!((usual.run.dir.as_path(), &usual.lora, usual.run.workers), (Path::new("runs/x"), &None, None));
        assert_eq!((usual.train.evaluate_every, rare.train.evaluate_every), (Some(50), None));
        let lora = rare.lora.unwrap();
        assert_eq!((lora.rank, lora.alpha, lora.target_modules.len()), (8, 4.0, 2));
    }

    #[test]
    fn overrides_win_and_are_read_as_toml_or_else_as_text() {
        let set = ["train.steps=7", "train.learning_rate=1e-4", "run.dir=runs/other", "known.premises=[2, 3]"];
        let config = parse("[train]\nsteps = 5", &set).unwrap();
        assert_eq!((config.train.steps, config.train.learning_rate), (7, 1e-4));
        assert_eq!((config.run.dir.as_path(), &config.known.premises[..]), (Path::new("runs/other"), &[2, 3][..]));
    }

    #[test]
    fn keys_under_their_older_names_mean_the_same() {
        let older = "[finetune.habits]\nlongest = 3\n[train]\nstaleness = 2\nalgorithm = { importance_cap = 2.0 }\n\
                     [[pretrain.phases]]\nhabits = { longest = 4 }\n";
        let newer = "[finetune.cot_style]\nlongest = 3\n[train]\nmax_off_policy_steps = 2\nalgorithm = { tis_cap = 2.0 }\n\
                     [[pretrain.phases]]\ncot_style = { longest = 4 }\n";
        let (older, newer) = (parse(older, &[]).unwrap(), parse(newer, &[]).unwrap());
        assert_eq!(older.train.algorithm.resolve().unwrap(), newer.train.algorithm.resolve().unwrap());
        assert_eq!((older.train.max_off_policy_steps, older.finetune.cot_style.longest), (2, 3));
        let train = newer.train.clone();
        assert_eq!(Config { train, ..older }, newer);
    }

    #[test]
    fn a_part_of_a_section_leaves_the_rest_of_it_as_it_is_there() {
        let usual = Config::default().finetune.cot_style;
        for key in ["finetune.cot_style.longest=3", "finetune.habits.longest=3"] {
            let style = parse("", &[key]).unwrap().finetune.cot_style;
            assert_eq!(style, crate::knowledge::curriculum::CotStyle { longest: 3, ..usual.clone() });
        }
        let restated = |key: &str| parse("", &[key]).unwrap().finetune.cot_style.restated;
        assert_eq!(restated("finetune.cot_style={ restated = 0.5 }"), 0.5);
        let config = parse("", &["finetune.mixture.think=0.5", "train.mixture={ think = 0.5 }"]).unwrap();
        assert_eq!(config.finetune.mixture, Mixture { think: 0.5, ..Mixture::rehearsal() });
        assert_eq!(config.train.mixture, Mixture { think: 0.5, ..Mixture::reading() });
        let config = parse("", &["train.adam.beta1=0.8", "finetune.adam={ epsilon = 1e-6 }"]).unwrap();
        let [train, finetune, pretrain] =
            [config.train.optimizer_keys(), config.finetune.optimizer_keys(), config.pretrain.optimizer_keys()]
                .map(|keys| keys.optimizer())
                .map(|optimizer| (optimizer.beta1, optimizer.beta2, optimizer.epsilon));
        assert_eq!([train, finetune, pretrain], [(0.8, 0.99, 1e-8), (0.9, 0.98, 1e-6), (0.9, 0.98, 1e-8)]);
    }

    #[test]
    fn a_run_keeps_the_day_that_it_began_on() {
        let home = tempfile::tempdir().unwrap();
        let place = format!("run.dir={}", home.path().display());
        let day = |set: &[&str]| parse("", set).unwrap().dated().prompt.date.unwrap().0.to_string();
        assert_eq!(day(&[&place]).len(), 10);
        std::fs::write(home.path().join("config.toml"), "[prompt]\ndate = '2025-03-04'").unwrap();
        assert_eq!(day(&[&place]), "2025-03-04");
        assert_eq!(day(&[&place, "prompt.date=2024-02-29"]), "2024-02-29");
    }

    #[test]
    fn what_is_wrong_is_a_line_with_its_key() {
        let files = "[world.jsonl]\ndocuments = ['a']\nquestions = ['b']";
        let zeros = "mixture = { read = 0, read_trace = 0, recite_context = 0, document = 0, answer = 0, think = 0, \
                     bring_up = 0, guess = 0 }";
        for (text, expected) in [
            ("[run]\nseeds = [4, 0, 4]", "run.seeds: found 4 twice; allowed is each seed once"),
            ("[lora]\nrank = 0", "lora.rank: found 0; allowed is 1 or more"),
            ("[lora]\nrnak = 4", "lora.rnak: unknown key; did you mean lora.rank?"),
            ("[lora]\ntarget_modules = ['lm_head']", "lora.target_modules: "),
            ("[prompt]\nthinking = 'x'", "prompt.thinking: unknown key; did you mean prompt.think?"),
            (
                "[prompt]\ndate = 2025-03-04T10:00:00",
                "prompt.date: found 2025-03-04T10:00:00; allowed is a day such as",
            ),
            ("[train]\ngroup_size = 1", "train.group_size: found 1; allowed is 2 or more"),
            ("[train]\ntemperature = nan", "train.temperature: found NaN"),
            ("[train]\nforms = ['completion']", "train.forms: found completion; allowed is candidates, open, open-any"),
            ("[train.scales]\n'' = nan", "train.scales.\"\": found NaN; allowed is"),
            ("[train.adam]\nbeta2 = 1.0", "train.adam.beta2: found 1; allowed is 0 or more, below 1"),
            ("[pretrain.adam]\nepsilon = 0", "pretrain.adam.epsilon: found 0; allowed is a number from 1e-30 to 1"),
            ("[pretrain]\nphases = [{ cot_style = { kinds = 2.0 } }]", "pretrain.phases.cot_style.kinds: found 2; "),
            ("[finetune]\nreplay = 1.5", "finetune.replay: found 1.5"),
            ("[finetune]\nown_text = 0.1", "finetune.own_text: found 0.1; allowed is 0 in a generated world"),
            ("[own_text]\ntexts = 16", "own_text.held_back: found 16; allowed is fewer than own_text.texts"),
            ("[finetune.scales]\n'model.norm' = -1.0", "finetune.scales.\"model.norm\": found -1; allowed is"),
            ("[world.jsonl]\nvocabulary = 100", "world.jsonl.vocabulary: found 100; allowed is 263 or more"),
            (
                &format!("{files}\n[finetune]\nreplay = 0.5"),
                "finetune.replay: found 0.5; allowed is 0 with world.jsonl",
            ),
            (&format!("{files}\n[train]\nreplay_tokens = 5"), "train.replay_tokens: found 5; allowed is 0 with world"),
            (
                &format!("{files}\n[warmup]"),
                "warmup: found a stage without lessons; allowed is it with world.jsonl.les",
            ),
            ("[world.jsonl]\nfacts = ['a']", "world.jsonl: found facts or lessons alone; allowed is them beside"),
            (&format!("[finetune]\n{zeros}"), "finetune.mixture: found nothing but zeros; allowed is"),
            (&format!("[pretrain]\nphases = [{{ {zeros} }}]"), "pretrain.phases.mixture: found nothing but zeros; "),
            (&format!("[base]\npath = 'pretrain'\n{files}"), "base.path: found \"pretrain\"; allowed is another base"),
        ] {
            let found = line(text, &[]);
            let starts = |line: &str| line.starts_with(&format!("x.toml: {expected}"));
            assert!(found.lines().any(starts), "{expected}\nis missing in\n{found}");
        }
        for day in ["4 March", "2025-02-30", "2025-3-4", "2025-03-04T10:00:00"] {
            let expected = format!("x.toml: prompt.date: found string \"{day}\"; allowed is a day such as 2025-03-04");
            assert_eq!(line(&format!("[prompt]\ndate = '{day}'"), &[]), expected);
        }
        assert!(parse("[train]\ngroup_size = 1\nalgorithm = 'ppo'", &[]).is_ok(), "nothing is compared within a group");
        assert!(parse(files, &[]).is_ok(), "what files have nothing for is off where nobody asks for it");
    }

    #[test]
    fn a_preset_of_a_world_in_english_stands_for_its_fields() {
        let text =
            "[world]\nlanguage = 'english'\n[world.english]\npreset = 'fictional-people'\na = { descriptions = 7 }";
        let config = parse(text, &["train.forms=['completion']"]).unwrap();
        let english = &config.world.english;
        assert_eq!((english.a.descriptions, english.b.descriptions, english.articles), (7, 30, 30));
        assert_eq!(parse(&config.to_toml().unwrap(), &[]).unwrap(), config);
        let error = line(&text.replace("fictional-people", "people"), &[]);
        assert!(error.starts_with("x.toml: world.english.preset: found \"people\"; allowed are default, "), "{error}");
        let beside = line("[world]\nlanguage = 'english'\n[world.jsonl]\ndocuments = ['a']\nquestions = ['b']", &[]);
        assert!(beside.contains("world.jsonl: found files beside a world in English"), "{beside}");
        let small = line("[world]\nlanguage = 'english'\nenglish = { group_size = 3 }", &[]);
        assert!(small.starts_with("x.toml: world.english.group_size: found 3; allowed is 5 to 12"), "{small}");
    }

    #[test]
    fn what_is_wrong_with_an_override_is_told_of_the_override() {
        for (change, expected) in [
            ("train.steps", "not a change to a key; write key=value"),
            ("=3", "not a change to a key; write key=value"),
            ("train..steps=3", "not a change to a key; write key=value"),
            ("train.steps.x=3", "train.steps is a value"),
            ("run.workers=-1", "run.workers: found integer -1"),
            ("world.b.fact=1", "world.b.fact: unknown key; did you mean world.b.facts?"),
            (
                "finetune.cot_style.restated=-1.0",
                "finetune.cot_style.restated: found -1; allowed is a number that is 0 or",
            ),
            ("finetune.cot_style.distracted=1.5", "finetune.cot_style.distracted: found 1.5; allowed is 0 to 1"),
            ("finetune.cot_style.group=nan", "finetune.cot_style.group: found NaN; allowed is 0 to 1"),
            ("finetune.cot_style.longest=0", "finetune.cot_style.longest: found 0; allowed is 1 or more"),
            ("finetune.mixture.read=-0.5", "finetune.mixture.read: found -0.5; allowed is a number that is 0 or more"),
            ("train.mixture.think=inf", "train.mixture.think: found inf; allowed is a number from 0 to 1000000"),
            (
                "finetune.warmup_steps=9223372036854775807",
                "finetune.warmup_steps: found 9223372036854775807; allowed is 0 to",
            ),
        ] {
            let found = line("[train]\nsteps = 3", &[change]);
            assert!(found.starts_with(&format!("--set {change}: {expected}")), "{found}");
        }
        assert!(line("", &[&format!("prompt.system={}", "long ".repeat(9000))]).contains("prompt.system"));
    }

    #[test]
    fn the_digest_follows_what_matters_and_nothing_else() {
        let digest = |overrides: &[&str]| parse("", overrides).unwrap().digest().unwrap();
        for set in [
            &["run.dir=elsewhere", "run.workers=3", "run.cache=c", "run.seeds=[4, 0]"][..],
            &["arms.ask=[\"filler\"]", "arms.passages=3", "prompt.date=2024-02-29"],
            &["train.keep_last=9", "train.keep_best=false", "train.checkpoint_every=7"],
        ] {
            assert_eq!(digest(set), digest(&[]), "{set:?}");
        }
        for change in [
            "train.evaluate_every=7",
            "run.seed=99",
            "known.premises=[2, 3]",
            "prompt.system=x",
            "train.adam.beta1=0.8",
        ] {
            assert_ne!(digest(&[change]), digest(&[]), "{change}");
        }
    }
}
