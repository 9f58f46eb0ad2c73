//! The same config gives the same bytes: with any number of workers, and after any interruption.

#[path = "support/left.rs"]
mod left;
#[path = "support/stop_at.rs"]
mod stop_at;
#[path = "support/tiny.rs"]
mod tiny;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use recollect::config::{Config, FormFilter, HintConfig, QuestionDraw};
use recollect::evaluate::Reported;
use recollect::experiment::{self, Experiment};
use recollect::interrupt::Interrupt;
use recollect::kernels::Precision;
use recollect::knowledge::reversal::OPEN;
use recollect::learner::Algorithm;
use recollect::reward::Record;
use recollect::telemetry::meaning::meaning;
use recollect::telemetry::{Meter, Progress, Silent, read_metrics};
use recollect::{Error, Result, rl};

use left::{left_by, same};
use stop_at::StopAt;
use tiny::TINY;

fn config(root: &Path, name: &str, workers: usize) -> Config {
    let base = root.join("base");
    let set = [
        format!("base.path={}", if base.exists() { base.display().to_string() } else { "embedded".into() }),
        format!("train.reward={}", root.join("reward.toml").display()),
        format!("run.dir={}", root.join(name).display()),
        format!("run.workers={workers}"),
    ];
    Config::parse(TINY, "tiny", "tiny", &set).unwrap()
}

fn run(config: Config) -> Result<Reported> {
    experiment::run(&Experiment::open(config, Interrupt::default(), Box::new(Silent))?)
}

/// Stops the run there, and checks that it did.
fn run_until(config: Config, work: &'static str, done: u64) {
    stop(config, work, done, |experiment| experiment::run(experiment).map(drop));
}

fn stop(config: Config, work: &'static str, done: u64, what: fn(&Experiment) -> Result<()>) {
    let interrupt = Interrupt::default();
    let progress = StopAt { interrupt: interrupt.clone(), work, done };
    let stopped = Experiment::open(config, interrupt, Box::new(progress)).and_then(|experiment| what(&experiment));
    assert!(matches!(stopped, Err(Error::Interrupted(_))), "{work} was not stopped at {done}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_with_any_number_of_workers_and_after_interruptions() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path();
    // So small a model is never right; that some of its completions end is enough to learn from.
    fs::write(root.join("reward.toml"), "[[term]]\nkind = 'truncated'\nweight = -1.0\n").unwrap();
    // The same base for all, made twice to see that it is the same.
    let made = [("made", 1), ("again", 3)].map(|(name, workers)| {
        let experiment = Experiment::open(config(root, name, workers), Interrupt::default(), Box::new(Silent)).unwrap();
        experiment::pretrain(&experiment).unwrap()
    });
    let weights = made.each_ref().map(|dir| fs::read(dir.join("model.safetensors")).unwrap());
    assert!(weights[0] == weights[1], "pretraining depends on the number of workers");
    let rounded = [("rounded", 2), ("rounded-again", 1)].map(|(name, workers)| {
        let mut config = config(root, name, workers);
        config.run.precision = Precision::Bf16;
        let experiment = Experiment::open(config, Interrupt::default(), Box::new(Silent)).unwrap();
        fs::read(experiment::pretrain(&experiment).unwrap().join("model.safetensors")).unwrap()
    });
    assert!(rounded[0] == rounded[1], "pretraining in bf16 depends on the number of workers");
    assert_eq!(
        rounded[0] != weights[0],
        Precision::Bf16.rounds(),
        "the precision matters where the processor is faster with it"
    );
    fs::rename(&made[0], root.join("base")).unwrap();

    run(config(root, "one", 1)).unwrap();
    let expected = left_by(&root.join("one"));
    let names: Vec<&String> = expected.keys().collect();
    let metrics = String::from_utf8_lossy(&expected["metrics.jsonl"]);
    assert_eq!(metrics.lines().count(), 6);
    assert!(metrics.lines().all(|line| line.contains("\"loss\":")), "no step learned from its rewards: {metrics}");
    for line in read_metrics(&root.join("one/metrics.jsonl")).unwrap() {
        line.finite().for_each(|(name, _)| assert!(meaning(&name).is_some(), "what {name} means is not said"));
    }
    assert_eq!(names.iter().filter(|name| name.starts_with("step-")).count(), 6, "{names:?}");
    assert_eq!(names.iter().filter(|name| name.ends_with("model.safetensors")).count(), 2, "{names:?}");
    assert_eq!(names.iter().filter(|name| name.ends_with("answers.jsonl")).count(), 2, "{names:?}");

    run(config(root, "three", 3)).unwrap();
    same(&expected, &left_by(&root.join("three")), "three workers");

    // Stopped in the middle of each stage, one after the other, with another number of workers each time.
    let stopped = |workers| config(root, "stopped", workers);
    run_until(stopped(2), "fine-tuning", 5);
    run_until(stopped(1), "answering (baseline)", 1);
    run_until(stopped(3), "reinforcement learning", 3);
    // A run that is killed leaves steps behind that are later than its last checkpoint: these are done again.
    let rollouts = root.join("stopped/rollouts");
    fs::write(rollouts.join("step-000004.jsonl"), "half a li").unwrap();
    let metrics = root.join("stopped/metrics.jsonl");
    let text = fs::read_to_string(&metrics).unwrap();
    fs::write(&metrics, format!("{text}{{\"step\":4,\"reward\":9.0,\"time\":{{}}}}\n{{\"step\":5,")).unwrap();
    run_until(stopped(1), "reinforcement learning", 5);
    run(stopped(2)).unwrap();
    same(&expected, &left_by(&root.join("stopped")), "stopped and continued");

    // A step that fails loses none of those before it: they are saved, and done again by nobody.
    let hindered = || config(root, "hindered", 2);
    run_until(hindered(), "fine-tuning", 5);
    let obstacle = root.join("hindered/rollouts/step-000004.jsonl");
    fs::create_dir_all(obstacle.join("in the way")).unwrap();
    let error = run(hindered()).map(drop).unwrap_err().to_string();
    assert!(error.contains("step-000004.jsonl"), "{error}");
    fs::remove_dir_all(obstacle).unwrap();
    let untouched = root.join("hindered/rollouts/step-000003.jsonl");
    let written = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
    let before = written(&untouched);
    run(hindered()).unwrap();
    assert_eq!(written(&untouched), before, "step 3 was done twice");
    same(&expected, &left_by(&root.join("hindered")), "hindered and continued");

    // Which checkpoints are made and kept is no part of what a run is: changed, it goes on as it was.
    let kept = |every, last, best| {
        let mut config = config(root, "kept", 2);
        (config.train.checkpoint_every, config.train.keep_last, config.train.keep_best) = (every, last, best);
        config
    };
    run_until(kept(Some(2), 1, true), "reinforcement learning", 3);
    let untouched = root.join("kept/rollouts/step-000003.jsonl");
    let before = written(&untouched);
    run(kept(Some(1), 5, false)).unwrap();
    assert_eq!(written(&untouched), before, "it began anew");
    same(&expected, &left_by(&root.join("kept")), "kept otherwise");
    assert!(run(kept(None, 1, true)).is_ok_and(|reported| reported.files.iter().all(|path| path.exists())));

    // A branch under the same config is the same run from there on.
    let branching = |name: &str, from: Option<String>| {
        let mut config = config(root, name, 2);
        (config.train.checkpoint_every, config.train.keep_last, config.train.from) = (Some(1), 9, from);
        run(config).map(|_| left_by(&root.join(name)))
    };
    let trained = |left: &BTreeMap<String, Vec<u8>>| {
        let of_training = |name: &&String| name.starts_with("train-") && name.ends_with("model.safetensors");
        left[left.keys().find(of_training).unwrap()].clone()
    };
    let trunk = branching("trunk", None).unwrap();
    let branch = branching("branch", Some(format!("{}@3", root.join("trunk").display()))).unwrap();
    assert!(trained(&trunk) == trained(&expected) && trained(&branch) == trained(&expected));
    let lines = |left: &BTreeMap<String, Vec<u8>>| String::from_utf8(left["metrics.jsonl"].clone()).unwrap();
    assert_eq!(lines(&branch).lines().collect::<Vec<_>>(), lines(&trunk).lines().skip(3).collect::<Vec<_>>());
    assert!(!branch.contains_key("step-000003.jsonl") && branch["step-000004.jsonl"] == trunk["step-000004.jsonl"]);
    let refused = |at: &str| branching(at, Some(format!("{}@{at}", root.join("trunk").display()))).unwrap_err();
    assert!(refused("7").to_string().contains("no checkpoint of step 7"));

    let mut other = config(root, "other", 1);
    other.run.seed = 1;
    run(other).unwrap();
    assert_ne!(left_by(&root.join("other"))["metrics.jsonl"], expected["metrics.jsonl"], "the seed has to matter");
}

/// A config whose base is made here, with this algorithm.
fn with_algorithm(root: &Path, name: &str, workers: usize, algorithm: &str) -> Config {
    let mut config = config(root, name, workers);
    config.train.algorithm = recollect::config::AlgorithmChoice::Custom(algorithm.parse().unwrap());
    config.train.steps = 3;
    config.train.checkpoint_every = None;
    config
}

/// What a run says beside its progress.
#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Progress for Told {
    fn begin(&self, _: &str, _: &str, _: u64, _: u64) -> Box<dyn Meter> {
        Box::new(Silent)
    }

    fn tell(&self, words: &str) {
        self.0.lock().unwrap().push(words.to_string());
    }
}

/// Trains, and gives what was told and every line of metrics.
fn train(config: Config) -> (Vec<String>, Vec<serde_json::Value>) {
    let (told, metrics) = (Told::default(), config.run.dir.join("metrics.jsonl"));
    let experiment = Experiment::open(config, Interrupt::default(), Box::new(told.clone())).unwrap();
    rl::train(&experiment).unwrap();
    let lines = fs::read_to_string(metrics).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (told.0.lock().unwrap().clone(), lines)
}

#[test]
fn every_algorithm_trains_and_goes_on_as_if_it_had_never_been_stopped() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path();
    fs::write(root.join("reward.toml"), "[[term]]\nkind = 'truncated'\nweight = -1.0\n").unwrap();
    let experiment = Experiment::open(config(root, "made", 2), Interrupt::default(), Box::new(Silent)).unwrap();
    fs::rename(experiment::pretrain(&experiment).unwrap(), root.join("base")).unwrap();

    for preset in Algorithm::PRESETS {
        let (_, lines) = train(with_algorithm(root, preset, 2, &format!("preset = '{preset}'")));
        assert_eq!(lines.len(), 3);
        // So small a model is never right, so there is nothing to imitate; all others learn that completions should end.
        let learned = lines.iter().filter(|line| line["loss"].is_number()).count();
        assert_eq!(learned > 0, preset != "star", "{preset}: {lines:?}");
        assert!(lines.iter().all(|line| line["grad_norm"].as_f64().is_some_and(|norm| norm > 0.0)), "{preset}");
        let rounds: f64 = lines.iter().filter_map(|line| line["filter/extra_rounds"].as_f64()).sum();
        assert_eq!(rounds > 0.0, preset == "dapo", "{preset}");
        assert_eq!(
            lines.iter().any(|line| line["kl"].as_f64() != Some(0.0)),
            ["reinforce++", "ppo", "star"].contains(&preset)
        );
    }

    // Everything that a step may remember from its first optimizer step to its last.
    for (name, algorithm) in [
        (
            "all",
            "preset = 'dapo'\ninner_epochs = 3\nimportance_cap = 2.0\nkl = 0.1\nentropy = 0.01\nfilter.keep = 'all'",
        ),
        ("held", "preset = 'reinforce++'\ninner_epochs = 2"),
        ("foretold", "preset = 'ppo'\ninner_epochs = 3\nvalue = { trunk = true }"),
    ] {
        let (_, lines) = train(with_algorithm(root, name, 1, algorithm));
        assert!(lines.iter().all(|line| line["kl"].as_f64().is_some_and(f64::is_finite)), "{name}");
        let expected = left_by(&root.join(name));
        let heads = expected.keys().filter(|file| file.ends_with("value_head.safetensors")).count();
        assert_eq!(heads, usize::from(name == "foretold"));
        assert_eq!(lines.iter().all(|line| line["value/loss"].is_number()), name == "foretold");
        let stopped = format!("{name}-stopped");
        let stopped_config = with_algorithm(root, &stopped, 3, algorithm);
        stop(stopped_config, "reinforcement learning", 2, |experiment| rl::train(experiment).map(drop));
        train(with_algorithm(root, &stopped, 2, algorithm));
        same(&expected, &left_by(&root.join(&stopped)), &stopped);
    }

    // A reward that nothing earns is told of at once.
    fs::write(root.join("reward.toml"), "[[term]]\nkind = 'correct'\n").unwrap();
    let (told, lines) = train(with_algorithm(root, "flat", 2, "preset = 'grpo'"));
    let start = "ALARM: every completion of every group got the same reward, because ";
    assert_eq!(told.iter().filter(|line| line.starts_with(start)).count(), 1, "{told:?}");
    assert!(lines.iter().all(|line| line["alarm/no_signal"] == 1.0), "{lines:?}");

    // A loss that is not a number (infinity times a divergence of nothing) changes nothing, and ends the run in time.
    let told = Told::default();
    let broken = with_algorithm(root, "broken", 1, "kl = 1e300");
    let experiment = Experiment::open(broken, Interrupt::default(), Box::new(told.clone())).unwrap();
    let error = rl::train(&experiment).unwrap_err().to_string();
    assert!(error.contains("3 steps in a row had a loss that is not finite, the last was step 3"), "{error}");
    let skipped = told.0.lock().unwrap().iter().filter(|line| line.contains("the step is skipped")).count();
    assert_eq!(skipped, 2, "{told:?}");
    let metrics = fs::read_to_string(root.join("broken/metrics.jsonl")).unwrap();
    assert_eq!(metrics.matches("\"skipped_steps\":1.0").count(), 2, "{metrics}");
}

#[test]
fn what_is_frozen_stays_as_fine_tuning_left_it() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path();
    fs::write(root.join("reward.toml"), "[[term]]\nkind = 'truncated'\nweight = -1.0\n").unwrap();
    let mut config = config(root, "run", 1);
    config.train.freeze = vec!["embed_tokens".into(), "mlp".into()];
    run(config.clone()).unwrap();
    let weights = |stage: &str| {
        let mut stages = fs::read_dir(root.join("run/stages")).unwrap().map(|entry| entry.unwrap().path());
        let dir = stages.find(|dir| dir.file_name().unwrap().to_str().unwrap().starts_with(stage)).unwrap();
        candle_core::safetensors::load(dir.join("model.safetensors"), &candle_core::Device::Cpu).unwrap()
    };
    let (before, after) = (weights("finetune-"), weights("train-"));
    let values = |tensor: &candle_core::Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let mut moved = 0;
    for (name, tensor) in &before {
        let same = values(tensor) == values(&after[name]);
        assert!(same || !config.train.freezes(name), "{name} is frozen");
        moved += usize::from(!same);
    }
    assert!(moved > 0, "the others learn");
}

#[test]
fn groups_without_spread_are_replaced_where_the_filter_of_their_form_says_so() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path();
    // Paid alike, whatever they are.
    fs::write(root.join("reward.toml"), "[[term]]\nkind = 'regex'\npattern = 'no such word'\n").unwrap();
    let mut config = config(root, "run", 2);
    config.train.form_filters = [(OPEN, FormFilter { extra_rounds: Some(2), ..FormFilter::default() })].into();
    let (forms, rollouts) = (config.train.forms.clone(), config.run.dir.join("rollouts/step-000001.jsonl"));
    let (_, lines) = train(config);
    assert!(lines.iter().all(|line| line["filter/extra_rounds"] == 2.0), "{lines:?}");
    let rows = fs::read_to_string(rollouts).unwrap();
    let groups = |form: &str| rows.lines().filter(|row| row.contains(&format!("\"form\":\"{form}\""))).count() / 4;
    assert_eq!(forms.iter().map(|form| groups(form.name)).collect::<Vec<_>>(), [2, 6, 2]);
}

#[test]
fn thoughts_go_on_from_what_they_are_given_until_nothing_is() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path();
    fs::write(root.join("reward.toml"), "[[term]]\nkind = 'truncated'\nweight = -1.0\n").unwrap();
    let hinted = |name: &str| {
        let mut config = config(root, name, 2);
        config.train.hint = Some(HintConfig { share: 1.0, steps: 4 });
        config
    };
    run(hinted("whole")).unwrap();
    let expected = left_by(&root.join("whole"));
    run_until(hinted("stopped"), "reinforcement learning", 2);
    run(hinted("stopped")).unwrap();
    same(&expected, &left_by(&root.join("stopped")), "stopped and continued");

    let experiment = Experiment::open(hinted("whole"), Interrupt::default(), Box::new(Silent)).unwrap();
    let most = experiment.config.train.max_new_tokens;
    for step in 1..=6 {
        let text = String::from_utf8(expected[&format!("step-{step:06}.jsonl")].clone()).unwrap();
        let rows: Vec<Record> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows.iter().any(|row| !row.given.is_empty()), step <= 4, "step {step}");
        for row in rows {
            let words = row.given.split_whitespace().count();
            assert!(row.completion.starts_with(&row.given) && row.tokens + words <= most, "{row:?}");
            // What is given recites what is needed.
            let whole = row.given.matches(" .").count();
            assert!(row.judgement.recitations.iter().take(whole).all(|one| one.is_true && one.relevant), "{row:?}");
        }
    }
}

#[test]
fn questions_that_are_drawn_by_what_is_unsolved_are_the_same_after_an_interruption() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path();
    fs::write(root.join("reward.toml"), "[[term]]\nkind = 'truncated'\nweight = -1.0\n").unwrap();
    // The base that ships, which guesses right now and then.
    let drawn = |name: &str| {
        let mut config = config(root, name, 2);
        config.train.draw = QuestionDraw::Unsolved;
        config.train.form_shares = [(OPEN, 2.0)].into();
        config.train.form_max_new_tokens = [(OPEN, 7)].into();
        config
    };
    run(drawn("whole")).unwrap();
    let expected = left_by(&root.join("whole"));
    run_until(drawn("stopped"), "reinforcement learning", 3);
    run(drawn("stopped")).unwrap();
    same(&expected, &left_by(&root.join("stopped")), "stopped and continued");

    let rollouts = |step: usize| -> Vec<serde_json::Value> {
        let text = String::from_utf8(expected[&format!("step-{step:06}.jsonl")].clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let asked = |step: usize| {
        ["candidates", "open", "entailment"]
            .map(|form| rollouts(step).iter().filter(|row| row["form"] == form).count() / 4)
    };
    assert_eq!(asked(1), [2, 3, 1], "nothing is known yet, so the shares decide");
    assert!((2..=6).any(|step| asked(step) != asked(1)), "what was solved decides as well");
    let tokens = |row: &serde_json::Value| row["tokens"].as_u64().unwrap();
    let longest = |open: bool| {
        (1..=6).flat_map(rollouts).filter(|row| (row["form"] == "open") == open).map(|row| tokens(&row)).max()
    };
    assert_eq!(longest(true), Some(7));
    assert!(longest(false) > Some(7));
}
