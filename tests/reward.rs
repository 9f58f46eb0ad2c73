//! The shipped rewards against a second computation of what they pay, and the commands that look at rewards.

#[path = "support/program.rs"]
mod program;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use program::recollect;
use recollect::reward::examples::{examples, explain, loophole};
use recollect::reward::{Reward, Scorer};
use serde::Deserialize;

#[derive(Deserialize)]
struct RewardGolden {
    examples: Vec<Example>,
    rewards: BTreeMap<String, Vec<Paid>>,
}

/// What a person says about a completion.
#[derive(Debug, PartialEq, Deserialize)]
struct Example {
    name: String,
    completion: String,
    right: bool,
    in_format: bool,
    truths: String,
    found: usize,
    needed: usize,
    grounding: String,
}

#[derive(Deserialize)]
struct Paid {
    total: f64,
    values: BTreeMap<String, f64>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn golden() -> RewardGolden {
    serde_json::from_str(&fs::read_to_string(root().join("tests/rewards.json")).unwrap()).unwrap()
}

/// The shipped rewards by name.
fn shipped() -> BTreeMap<String, Reward> {
    let files = fs::read_dir(root().join("rewards")).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_string(), Reward::load(&path).unwrap()))
        .collect()
}

#[test]
fn the_verifier_says_of_every_example_what_a_person_says() {
    let found: Vec<Example> = examples()
        .into_iter()
        .map(|example| Example {
            name: example.name.into(),
            right: example.record.judgement.correct,
            in_format: example.record.judgement.well_formed,
            truths: example
                .record
                .judgement
                .recitations
                .iter()
                .map(|one| if one.is_true { 'T' } else { 'F' })
                .collect(),
            found: example.record.judgement.needed_found,
            needed: example.record.judgement.needed,
            grounding: format!("{:?}", example.record.judgement.grounding.unwrap()).to_lowercase(),
            completion: example.record.completion,
        })
        .collect();
    assert_eq!(found, golden().examples);
}

#[test]
fn every_shipped_reward_pays_what_was_computed_a_second_time() {
    let (golden, shipped) = (golden(), shipped());
    assert!(golden.rewards.keys().eq(shipped.keys()), "run tests/make_reward_golden.py");
    for (name, reward) in shipped {
        for (explained, expected) in explain(&Scorer::open(&reward).unwrap()).iter().zip(&golden.rewards[&name]) {
            let what = format!("{name}: {}", explained.example.name);
            for term in &explained.score.terms {
                assert!((term.value.unwrap() - expected.values[&term.name]).abs() < 1e-12, "{what}: {}", term.name);
            }
            // Bit for bit where runs were published, to rounding where a cosine is in it.
            let tolerance = if name == "concise" { 1e-12 } else { 0.0 };
            let total = explained.score.total.unwrap();
            assert!((total - expected.total).abs() <= tolerance, "{what}: {total}");
        }
    }
}

#[test]
fn only_the_reward_that_is_made_to_be_hacked_has_a_loophole() {
    for (name, reward) in shipped() {
        let explained = explain(&Scorer::open(&reward).unwrap());
        assert_eq!(loophole(&explained).is_some(), name == "hackable", "{name}");
    }
}

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Home {
        Home(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn recollect(&self, arguments: &[&str]) -> Output {
        recollect().args(arguments).current_dir(self.0.path()).output().unwrap()
    }

    /// What it printed, of a call that works.
    fn said(&self, arguments: &[&str]) -> String {
        let output = self.recollect(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The lines of stderr, of a call that is refused.
    fn refused(&self, arguments: &[&str]) -> Vec<String> {
        let output = self.recollect(arguments);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap().lines().map(String::from).collect()
    }
}

#[test]
fn everything_wrong_in_a_file_is_said_at_once_with_its_place() {
    let home = Home::new();
    home.file(
        "r.toml",
        "normalize = 'sum'\n\n[[term]]\nkind = 'corect'\n\n[[term]]\nkind = 'length'\nlimit = 5\n  free = 9\n\
         weight = nan\n\n[[term]]\nkind = 'format'\nonly_if = 'lenght'\n",
    );
    assert_eq!(
        home.refused(&["reward", "check", "r.toml"]),
        [
            "error: r.toml: line 1, column 1: normalize: unknown key; did you mean normalise?",
            "error: r.toml: line 4, column 1: term 1: kind: unknown term \"corect\"; did you mean correct?",
            "error: r.toml: line 8, column 1: term 2: limit: found 5; allowed is more than free, which is 9",
            "error: r.toml: line 10, column 1: term 2: weight: found NaN; allowed is a number from -1000000 to 1000000",
            "error: r.toml: line 14, column 1: term 3: only_if: no term is called \"lenght\"; did you mean length?",
        ]
    );
    for (text, expected) in [
        ("[[term]]\nkind = 'correct'\nweight = 0\n", "no term is worth anything"),
        ("[[term]]\nkind = 'correct'\nonly_if = 'correct'\n", "correct wait for each other"),
        ("[[term]\n", "line 1, column"),
        ("[[term]]\nkind = 'external'\ncommand = ['no/such']\n", "cannot start \"no/such\""),
    ] {
        home.file("r.toml", text);
        let lines = home.refused(&["reward", "check", "r.toml"]);
        assert!(lines.len() == 1 && lines[0].contains(expected), "{lines:?}");
    }
    let lines = home.refused(&["reward", "explain", "no.toml"]);
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("error: no.toml: no such file; name a file, or one that ships: recall, "),
        "{lines:?}"
    );
}

#[test]
fn shipped_rewards_are_checked_and_explained() {
    let home = Home::new();
    for name in shipped().keys() {
        let path = root().join(format!("rewards/{name}.toml")).display().to_string();
        assert!(home.said(&["reward", "check", &path]).contains("is fine\npays from "), "{name}");
        let text = home.said(&["reward", "explain", &path, "--text"]);
        assert!(
            examples().iter().all(|example| text.contains(example.name) && text.contains(&example.record.completion))
        );
        assert_eq!(text.contains("LOOPHOLE"), name == "hackable", "{name}");
    }
}

/// Every example as a rollout of step 1, the way a run records it.
fn rollouts() -> String {
    let mut samples = BTreeMap::new();
    let line = |example: recollect::reward::examples::Example| {
        let example = example.record;
        let sample = samples.entry(example.question).or_insert(0);
        *sample += 1;
        let line = serde_json::json!({
            "step": 1, "question": example.question, "task": example.task, "form": example.form,
            "set": "A", "sample": *sample - 1, "prompt": example.prompt, "completion": example.completion,
            "answer": example.answer, "reward": f64::from(u8::from(example.judgement.correct)), "terms": [],
            "advantage": 0.0, "version": 0, "finish": example.finish,
            "tokens": example.tokens, "judgement": example.judgement,
        });
        format!("{line}\n")
    };
    examples().into_iter().map(line).collect()
}

#[test]
fn the_commands_on_rollouts_say_what_they_found() {
    let home = Home::new();
    home.file("step-000001.jsonl", &rollouts());
    let reward = |name: &str| root().join(format!("rewards/{name}.toml")).display().to_string();
    let (hackable, correct) = (reward("hackable"), reward("correct"));
    let text = home.said(&["reward", "hunt", &hackable, "step-000001.jsonl", "--show", "1"]);
    assert!(text.contains("20 rollouts in 2 groups") && text.contains("the wrong one is paid more"), "{text}");
    assert!(text.contains("paid    1.69 = truthful 1.00 + thorough 0.69") && text.contains("answer  no answer"));
    let text = home.said(&["reward", "hunt", &correct, "step-000001.jsonl"]);
    assert!(text.contains("No wrong answer is paid as much as a right one to the same question"), "{text}");
    let text = home.said(&["reward", "score", &correct, "."]);
    assert!(text.contains("No completion changes places in its group"), "{text}");
    let text = home.said(&["reward", "score", &hackable, "."]);
    assert!(text.contains("What changes places most") && text.contains("groups without spread"), "{text}");
    let text = home.said(&["reward", "compare", &correct, &hackable, "."]);
    assert!(text.contains("Where they disagree most") && text.contains("signal for GRPO"), "{text}");
    let lines = home.refused(&["reward", "score", &correct, "nowhere"]);
    assert!(lines.len() == 1 && lines[0].starts_with("error: nowhere: cannot read"), "{lines:?}");
}

#[cfg(unix)]
#[test]
fn a_command_that_misbehaves_is_counted_and_the_other_terms_are_untouched() {
    let home = Home::new();
    home.file("step-000001.jsonl", &rollouts());
    for (script, outcome) in [
        ("read x; exit 1", "3 times: died"),
        ("read x; sleep 60", "3 times: timed-out"),
        ("while read x; do echo no; done", "3 times: garbage"),
        ("yes | tr -d '\\\\n'", "3 times: garbage"),
    ] {
        let text = format!(
            "[[term]]\nkind = 'correct'\n[[term]]\nkind = 'external'\nname = 'style'\ntimeout_s = 0.3\n\
             startup_timeout_s = 0.3\ncommand = ['sh', '-c', \"\"\"{script}\"\"\"]\n"
        );
        home.file("r.toml", &text);
        let text = home.said(&["reward", "score", "r.toml", "step-000001.jsonl", "--workers", "1"]);
        assert!(text.contains(&format!("the command of style gave no value {outcome}")), "{script}: {text}");
        assert!(text.contains("gave no value 17 times: not-asked"), "{text}");
        assert!(text.contains("No completion changes places"), "{text}");
    }
}
