//! A reward file that changes while a run goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use recollect::base::Base;
use recollect::config::Config;
use recollect::experiment::Experiment;
use recollect::interrupt::Interrupt;
use recollect::knowledge::World;
use recollect::language::Tokenizer;
use recollect::policy::{InitConfig, Policy};
use recollect::telemetry::{Meter, Progress, read_metrics};
use recollect::{Error, Result, files, rl};

const TINY: &str = "
[model]
hidden_size = 8
intermediate_size = 8
num_hidden_layers = 1
num_attention_heads = 2
num_key_value_heads = 2
head_dim = 4
[finetune]
steps = 1
tokens_per_step = 256
scales = {}
[train]
steps = 6
questions_per_step = 3
group_size = 2
max_new_tokens = 8
replay_tokens = 64
evaluate_every = 0
checkpoint_every = 2
scales = {}
";

const FIRST: &str = "[[term]]\nkind = 'correct'\n[[term]]\nkind = 'length'\nname = 'first'\nlimit = 8\n";
const SECOND: &str = "[[term]]\nkind = 'correct'\n[[term]]\nkind = 'length'\nname = 'second'\nlimit = 8\n";

/// After so many steps: writes a text to a file, or asks to stop.
#[derive(Clone, Default)]
struct After {
    step: u64,
    write: Option<(PathBuf, &'static str)>,
    stop: Option<Interrupt>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Progress for After {
    fn begin(&self, name: &str, _: &str, _: u64, _: u64) -> Box<dyn Meter> {
        Box::new(if name == "reinforcement learning" { self.clone() } else { After::default() })
    }

    fn tell(&self, text: &str) {
        // An untrained model gives reason for alarms of its own.
        if !text.starts_with("ALARM: ") {
            self.told.lock().unwrap().push(text.to_string());
        }
    }
}

impl Meter for After {
    fn set(&mut self, done: u64) {
        if done == self.step {
            self.write.iter().for_each(|(path, text)| fs::write(path, text).unwrap());
            self.stop.iter().for_each(Interrupt::request);
        }
    }

    fn note(&mut self, _: &str) {}
}

/// A home with a base that has learned nothing and the first reward.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let config = Config::parse(TINY, "tiny", "tiny", &[]).unwrap();
    let known = config.known.known();
    let tokenizer = Tokenizer::from_words(World::known(&known).unwrap().grammar.lexicon.words()).unwrap();
    let init = InitConfig { structured: None, ..config.pretrain.init };
    let policy = Policy::initialise(Arc::new(config.model.with_vocabulary(tokenizer.size())), &init, 0).unwrap();
    Base { policy, tokenizer, known: Some(known) }.save(&home.path().join("base")).unwrap();
    fs::write(home.path().join("r.toml"), FIRST).unwrap();
    home
}

/// Trains in `home/name` and gives what was told.
fn train(home: &Path, name: &str, reload: bool, after: After) -> Result<Vec<String>> {
    let at = |name: &str| home.join(name).display().to_string();
    let set = [
        format!("base.path={}", at("base")),
        format!("train.reward={}", at("r.toml")),
        format!("train.reload_reward={reload}"),
        format!("run.dir={}", at(name)),
        format!("run.cache={}", at("cache")),
        "run.workers=1".into(),
    ];
    let config = Config::parse(TINY, "tiny", "tiny", &set).unwrap();
    let (interrupt, told) = (after.stop.clone().unwrap_or_default(), after.told.clone());
    rl::train(&Experiment::open(config, interrupt, Box::new(after))?)?;
    Ok(told.lock().unwrap().clone())
}

/// The name of the second term in each step's rollouts.
fn terms(home: &Path, name: &str) -> Vec<String> {
    let term = |step: usize| {
        let text = fs::read_to_string(home.join(name).join(format!("rollouts/step-{step:06}.jsonl"))).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        line["terms"][1]["name"].as_str().unwrap().to_string()
    };
    (1..=6).map(term).collect()
}

#[test]
fn a_change_is_refused_and_the_run_goes_on_as_it_was() {
    let home = home();
    let write = Some((home.path().join("r.toml"), SECOND));
    let told = train(home.path(), "run", false, After { step: 3, write, ..After::default() }).unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("r.toml changed and is not taken") && told[0].contains("train.reload_reward"), "{told:?}");
    assert_eq!(terms(home.path(), "run"), ["first"; 6]);
}

#[test]
fn a_change_is_taken_at_the_next_step_and_recorded_where_the_config_says_so() {
    let home = home();
    let write = Some((home.path().join("r.toml"), SECOND));
    let told = train(home.path(), "run", true, After { step: 3, write, ..After::default() }).unwrap();
    assert!(told.len() == 1 && told[0].ends_with("changed and is taken from step 4 on"), "{told:?}");
    assert_eq!(terms(home.path(), "run"), ["first", "first", "first", "second", "second", "second"]);
    let metrics = read_metrics(&home.path().join("run/metrics.jsonl")).unwrap();
    let changes: Vec<f64> = metrics.iter().map(|line| line.values["reward_changes"].unwrap()).collect();
    assert_eq!(changes, [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    // The stage is found again, whatever stands in the file now.
    assert!(train(home.path(), "run", true, After::default()).unwrap().is_empty());
    assert_eq!(terms(home.path(), "run")[0], "first");
}

#[test]
fn a_file_that_is_wrong_or_differs_in_a_comment_changes_nothing() {
    let home = home();
    let write = Some((home.path().join("r.toml"), "[[term]]\nkind = 'corect'"));
    let told = train(home.path(), "wrong", true, After { step: 3, write, ..After::default() }).unwrap();
    assert!(told.len() == 1 && told[0].contains("because it is wrong") && told[0].contains("did you mean correct?"));
    assert_eq!(terms(home.path(), "wrong"), ["first"; 6]);
    fs::write(home.path().join("r.toml"), FIRST).unwrap();
    let comment = "# A comment.\n[[term]]\nkind = 'correct'\n[[term]]\nkind = 'length'\nname = 'first'\nlimit = 8\n";
    let write = Some((home.path().join("r.toml"), comment));
    let told = train(home.path(), "comment", false, After { step: 3, write, ..After::default() }).unwrap();
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn a_run_is_not_taken_up_again_under_another_reward() {
    let home = home();
    let stop = |interrupt: Interrupt| After { step: 3, stop: Some(interrupt), ..After::default() };
    for reload in [false, true] {
        fs::write(home.path().join("r.toml"), FIRST).unwrap();
        let name = if reload { "taken" } else { "refused" };
        let stopped = train(home.path(), name, reload, stop(Interrupt::default()));
        assert!(matches!(stopped, Err(Error::Interrupted(_))));
        fs::write(home.path().join("r.toml"), SECOND).unwrap();
        let again = train(home.path(), name, reload, After::default());
        if reload {
            assert_eq!(terms(home.path(), name)[3..], ["second"; 3])
        } else {
            let error = again.unwrap_err().to_string();
            let [then, now] = [FIRST, SECOND].map(|text| files::digest(text.as_bytes())[..16].to_owned());
            let expected = format!(
                "r.toml: not what this run began with (train.reward was SHA-256 {then}… then and is SHA-256 {now}… now); \
                     put it back, set train.reload_reward = true, or use another run.dir"
            );
            assert!(error.ends_with(&expected), "{error}");
        }
    }
}

#[test]
#[cfg(unix)]
fn a_verifier_that_takes_for_ever_on_one_answer_costs_that_answer_alone() {
    let home = home();
    // Answers every request, but for the fifth, once: there it hangs.
    let script = home.path().join("verifier.sh");
    let mark = home.path().join("hung");
    let lines = format!(
        "n=0\nwhile read -r line; do\n n=$((n+1)); id=${{line#*:}}; id=${{id%%,*}}\n \
         if [ $n = 5 ] && [ ! -e {0} ]; then touch {0}; sleep 600; fi\n \
         echo '{{\"id\":'$id',\"value\":1}}'\ndone\n",
        mark.display()
    );
    fs::write(&script, lines).unwrap();
    let term = format!("kind = 'external'\nname = 'slow'\ntimeout_s = 0.5\ncommand = ['sh', '{}']\n", script.display());
    fs::write(home.path().join("r.toml"), format!("[[term]]\nkind = 'correct'\n[[term]]\n{term}")).unwrap();
    let began = std::time::Instant::now();
    let told = train(home.path(), "run", false, After::default()).unwrap();
    assert!(mark.exists() && began.elapsed() < std::time::Duration::from_secs(100), "the run waited for it");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("reward term slow: no value for 1 completions of a step: timed-out"), "{told:?}");
    assert!(told[0].contains("they are taken out of their groups"), "{told:?}");
    let metrics = read_metrics(&home.path().join("run/metrics.jsonl")).unwrap();
    let failures = metrics.iter().filter_map(|line| line.values.get("rewards/slow/timed-out").copied().flatten());
    assert_eq!(failures.collect::<Vec<_>>(), [1.0]);
    let mut values = Vec::new();
    for step in 1..=6 {
        let text = fs::read_to_string(home.path().join(format!("run/rollouts/step-{step:06}.jsonl"))).unwrap();
        let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        values.extend(text.lines().map(|text| line(text)["terms"][1]["value"].as_f64()));
    }
    assert_eq!(values.len(), 6 * 3 * 2, "no rollout is lost");
    assert_eq!(values.iter().filter(|value| value.is_none()).count(), 1, "and what is not known is not 0");
    assert!(values.iter().flatten().all(|value| *value == 1.0), "{values:?}");
}
