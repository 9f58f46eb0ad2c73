//! Documents and questions from files: which answers count, what is refused as a leak, and that every command says the same.

#[path = "support/program.rs"]
mod program;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use program::recollect;
use recollect::config::Config;
use recollect::evaluation::Summary;
use recollect::knowledge::jsonl::JsonlFiles;
use recollect::knowledge::{Jsonl, Knowledge, Match, Question, Set, leak};
use recollect::language::Tokenizer;
use recollect::policy::{InitConfig, Policy};

/// Small inputs from elsewhere, with what is right of them; nothing where they are missing.
fn cases() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/cases");
    if !folder.is_dir() {
        println!("skipped: {} is missing", folder.display());
        return None;
    }
    Some(folder)
}

fn load(documents: &Path, questions: &Path, seed: u64) -> Jsonl {
    Jsonl::load(
        JsonlFiles { documents: &[documents.into()], questions: &[questions.into()], ..JsonlFiles::default() },
        Match::Normalised,
        seed,
    )
    .unwrap()
}

#[test]
fn leaks_of_the_cases_are_found_and_nothing_else_is() {
    let Some(folder) = cases().map(|folder| folder.join("leak")) else { return };
    let check = |documents: &str, questions: &str| {
        leak::check(&Knowledge::Files(Box::new(load(&folder.join(documents), &folder.join(questions), 0))))
    };
    for leaky in ["plain", "case", "punct", "nfd", "hyphen", "embedded"] {
        let error = check(&format!("docs_{leaky}.jsonl"), "qs.jsonl").unwrap_err().to_string();
        assert!(error.contains(&format!("docs_{leaky}.jsonl: line 1: an answer of the evaluation")), "{error}");
        assert!(error.contains("\"Who wrote La forêt ?\"") && error.contains("qs.jsonl: line 1)"), "{error}");
        assert!(error.contains("who wrote la forêt"), "{error}");
    }
    check("docs_none.jsonl", "qs.jsonl").unwrap();
    check("documents_who.jsonl", "questions.jsonl").unwrap();
    for seed in 0..8 {
        let jsonl = load(&folder.join("docs_none.jsonl"), &folder.join("qs_split.jsonl"), seed);
        let of_one = |question: &&Question| question.text.ends_with("Aa ?") || question.text.ends_with("Bb ?");
        let in_a = jsonl.questions(Set::A).iter().filter(of_one).count();
        assert!(in_a == 0 || in_a == 2, "seed {seed}: one fact in both sets");
    }
}

#[test]
fn the_innocent_document_of_the_cases_is_refused_by_no_command() {
    let Some(folder) = cases().map(|folder| folder.join("leak")) else { return };
    let home = Home::new(&[("r.toml", REWARD)]);
    let at = |name: &str| home.0.path().join(name).display().to_string();
    let (reward, run) = (format!("train.reward={}", at("r.toml")), format!("run.dir={}", at("run")));
    let small = ["finetune.steps=1", "finetune.tokens_per_step=64", &reward, &run];
    for command in [&["world"][..], &["run", "--dry-run"], &["finetune"]] {
        let output = recollect()
            .args(command)
            .arg("leak_repro.toml")
            .args(small.iter().flat_map(|change| ["--set", change]))
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn rows_of_the_cases_are_read_or_refused_for_what_is_wrong_with_them() {
    let Some(folder) = cases().map(|folder| folder.join("jsonl")) else { return };
    let read = |name: &str| {
        Jsonl::to_measure(JsonlFiles { questions: &[folder.join(name)], ..JsonlFiles::default() }, Match::Normalised, 0)
    };
    let asked = |name: &str| {
        let one = |question: &Question| (question.text.clone(), question.answer.clone());
        read(name).unwrap().questions(Set::B).iter().map(one).collect::<Vec<_>>()
    };
    let row = |text: &str, answer: &str| (text.to_owned(), answer.to_owned());
    let lines = [row("w5 \u{2028} w6 \u{85} w7", "w9"), row("w8 w6 w7", "w9")];
    assert_eq!(asked("02_u2028_nel.jsonl"), lines);
    assert_eq!(asked("19_spaces.jsonl"), [row("w5 w6", "w9")]);
    assert_eq!(asked("24_question_answer_text.jsonl"), [row("w5 w6", "w9")]);
    let exported = read("25_bom_exported.jsonl").unwrap();
    let question = &exported.questions(Set::B)[0];
    assert_eq!((question.text.as_str(), question.cue.as_str(), question.chance), ("who ?", "x", 0.2));
    for (name, part) in [
        ("03_duplicate_keys.jsonl", "line 1: duplicate field `completion`"),
        ("12_extra_columns.jsonl", "line 1: difficulty: unknown key"),
    ] {
        let error = read(name).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains(name), "{error}");
    }
}

/// A directory in which the program is run.
struct Home(tempfile::TempDir);

impl Home {
    fn new(files: &[(&str, &str)]) -> Home {
        let home = Home(tempfile::tempdir().unwrap());
        files.iter().for_each(|(name, text)| fs::write(home.0.path().join(name), text).unwrap());
        home
    }

    fn recollect(&self, arguments: &[&str]) -> Output {
        recollect().args(arguments).current_dir(self.0.path()).output().unwrap()
    }

    fn does(&self, arguments: &[&str]) -> String {
        let output = self.recollect(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.recollect(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

#[test]
fn answers_of_the_cases_are_right() {
    let Some(folder) = cases() else { return };
    for case in ["judge-nfd", "judge-closing-tag"] {
        let home = Home::new(&[]);
        let (ckpt, questions) = (folder.join(case).join("ckpt"), folder.join(case).join("q.jsonl"));
        let (ckpt, questions) = (ckpt.display().to_string(), questions.display().to_string());
        let reward = Path::new(env!("CARGO_MANIFEST_DIR")).join("rewards/correct.toml");
        let reward = format!("train.reward={}", reward.display());
        home.does(&[
            "eval",
            &ckpt,
            "--against",
            &ckpt,
            "--questions",
            &questions,
            "--set",
            &reward,
            "--set",
            "run.dir=out",
            "--set",
            "evaluation.max_new_tokens=8",
            "--set",
            "train.max_new_tokens=8",
            "--require",
            "fine-tuned.B.jsonl >= 1",
        ]);
    }
}

const CONFIG: &str = "[world.jsonl]\ndocuments = ['d.jsonl']\nquestions = ['q.jsonl']\n[finetune]\nreplay = 0.0\n\
                      [train]\nreward = 'r.toml'\nforms = ['completion']\nreplay_tokens = 0\n";
const REWARD: &str = "[[term]]\nkind = 'correct'\nweight = 1.0\n";

fn questions() -> String {
    let row =
        |at: usize| format!("{{\"prompt\": \"Who digs well number {at}?\", \"completion\": \"Mavon{at} Tal\"}}\n");
    (0..4).map(row).collect()
}

#[test]
fn every_command_refuses_the_same_leak_and_an_innocent_document_passes() {
    let fact = |at| format!("{{\"text\": \"It was Mavon{at} Tal who digs well number {at}.\"}}\n");
    let innocent: String = (0..4).map(fact).collect();
    let leaky: String =
        (0..4).map(|at| format!("{{\"text\": \"Q: who digs well number {at}? A: MAVON{at} tal\"}}\n")).collect();
    let home = Home::new(&[("x.toml", CONFIG), ("r.toml", REWARD), ("d.jsonl", &innocent), ("q.jsonl", &questions())]);
    home.does(&["world", "x.toml"]);
    home.does(&["run", "x.toml", "--dry-run"]);
    fs::write(home.0.path().join("d.jsonl"), innocent.clone() + &leaky).unwrap();
    let commands: [&[&str]; 5] = [
        &["world", "x.toml"],
        &["world", "x.toml", "--show", "documents"],
        &["world", "x.toml", "--export", "out"],
        &["run", "x.toml", "--dry-run"],
        &["run", "x.toml"],
    ];
    let said = commands.map(|command| home.fails(command));
    assert!(said[0].contains("d.jsonl: line ") && said[0].contains("q.jsonl: line "), "{}", said[0]);
    for (command, error) in commands.iter().zip(&said) {
        let refusal = |text: &str| text.lines().find(|line| line.contains("refused: ")).map(String::from);
        assert!(refusal(error).is_some() && refusal(error) == refusal(&said[0]), "{command:?}: {error}");
    }
}

#[test]
fn equal_questions_are_told_of_before_a_run() {
    let twice = questions() + &questions();
    let documents = "{\"text\": \"Nothing.\"}\n";
    let home = Home::new(&[("x.toml", CONFIG), ("r.toml", REWARD), ("d.jsonl", documents), ("q.jsonl", &twice)]);
    for command in [&["world", "x.toml"][..], &["run", "x.toml", "--dry-run"]] {
        let said = home.does(command);
        assert!(said.contains("4 rows ask what another row asks"), "{said}");
    }
    let said = home.does(&["world", "x.toml", "--show", "questions"]);
    assert_eq!(said.matches("Who digs").count(), 4, "{said}");
}

#[test]
fn equal_questions_of_a_comparison_are_counted_before_and_after_it() {
    let row = |prompt: &str| format!("{{\"prompt\": \"{prompt}\", \"completion\": \"w3\"}}\n");
    let questions = row("w1 w2") + &row("w2") + &row("w1 w2").repeat(2);
    let home = Home::new(&[("q.jsonl", &questions), ("r.toml", REWARD)]);
    let base = home.0.path().join("base");
    let tokenizer = Tokenizer::from_words(&["w1", "w2", "w3"].map(String::from)).unwrap();
    let shape = "[model]\nhidden_size = 8\nintermediate_size = 8\nnum_hidden_layers = 1\nnum_attention_heads = 2\n\
                 num_key_value_heads = 2\nhead_dim = 4";
    let config = Config::parse(shape, "shape", "shape", &[]).unwrap();
    let init = InitConfig { structured: None, ..config.pretrain.init };
    let policy = Policy::initialise(Arc::new(config.model.with_vocabulary(tokenizer.size())), &init, 0).unwrap();
    policy.save(&base).unwrap();
    tokenizer.save(&base.join("tokenizer.json")).unwrap();

    let compare = ["eval", "base", "--against", "base", "--questions", "q.jsonl", "--set", "run.dir=out"];
    let compare = [&compare[..], &["--set", "train.reward=r.toml", "--set", "evaluation.max_new_tokens=4"]].concat();
    let line = "2 rows ask what another row asks; equal questions count once.";
    let said = home.does(&[&compare[..], &["--dry-run"]].concat());
    assert!(said.lines().any(|said| said == format!("# {line}")), "{said}");
    let said = home.does(&compare);
    assert!(said.lines().any(|said| said == line), "a line of its own: {said}");
    let summary = fs::read_to_string(home.0.path().join("out/report.json")).unwrap();
    let summary: Summary = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary.run.duplicates, 2);
    assert!(summary.arms.iter().all(|row| row.n == 2), "{:?}", summary.arms);
    for report in ["out/report.md", "out/report.html"] {
        assert!(fs::read_to_string(home.0.path().join(report)).unwrap().contains(line), "{report}");
    }
}
