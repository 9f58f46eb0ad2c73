//! A new user with the program alone: an empty folder, no clone, and every step of a first day from `init` to another reward.

#[path = "support/foreign.rs"]
mod foreign;
#[path = "support/program.rs"]
mod program;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use program::recollect;
use recollect::policy::Policy;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = recollect();
        // The cache of this machine: that of this folder alone.
        command.args(arguments).current_dir(self.0.path()).env("RECOLLECT_CACHE", self.path("cache"));
        command
    }

    fn recollect(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What it prints, where it does what it is told.
    fn does(&self, arguments: &[&str]) -> String {
        let output = self.recollect(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Its one line of error, where it does not.
    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.recollect(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

/// So little that it takes seconds.
const SHORT: [&str; 18] = [
    "--set",
    "finetune.steps=2",
    "--set",
    "train.steps=2",
    "--set",
    "train.questions_per_step=3",
    "--set",
    "train.group_size=2",
    "--set",
    "train.evaluate_every=0",
    "--set",
    "world.a={facts=10, chains=4, documents=20}",
    "--set",
    "world.b={facts=10, chains=4, documents=20}",
    "--set",
    "evaluation.max_new_tokens=24",
    "--set",
    "train.max_new_tokens=24",
];

#[test]
fn from_an_empty_folder_to_another_reward() {
    let folder = Folder::new();
    let said = folder.does(&["init", "mine"]);
    assert!(
        said.contains("wrote mine/quickstart.toml") && said.contains("recollect run mine/quickstart.toml"),
        "{said}"
    );
    let error = folder.fails(&["init", "mine"]);
    assert!(error.contains("mine/quickstart.toml: there already"), "{error}");
    let said = folder.does(&[&["run", "mine/quickstart.toml"][..], &SHORT].concat());
    assert!(folder.path("runs/quickstart/report.html").exists());
    let trained = stage(&folder, "train-");
    assert!(said.contains("the policy after RL is in runs/quickstart/stages/train-"), "{said}");

    // A question of its world is right or wrong, and what is recited is marked.
    let answers = fs::read_to_string(stage(&folder, "evaluation-").join("answers.jsonl")).unwrap();
    let row: serde_json::Value = serde_json::from_str(answers.lines().next().unwrap()).unwrap();
    let question = row["asked"].as_str().unwrap();
    let said = folder.does(&["ask", "runs/quickstart", question, "-k", "3"]);
    assert!(said.contains("The model sees") && said.contains(question) && said.contains("2 of 3"), "{said}");
    assert!(said.contains("(right)") || said.contains("(wrong: it is"), "{said}");
    let said = folder.does(&["ask", "runs/quickstart@0", question, "--direct"]);
    assert!(!said.contains("1 of") && said.contains('→'), "{said}");
    let mut child =
        folder.command(&["ask", "runs/quickstart"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("nobody knows these words\n\n{question}\n").as_bytes()).unwrap();
    let said = child.wait_with_output().unwrap();
    assert!(said.status.success() && String::from_utf8_lossy(&said.stdout).matches("The model sees").count() == 1);

    // Its policy, as others load it.
    let said = folder.does(&["export", "runs/quickstart", "away"]);
    assert!(said.contains("wrote away/README.md") && said.contains("wrote away/model.safetensors"), "{said}");
    folder.does(&["export", "runs/quickstart", "half", "--dtype", "bf16"]);
    let weights = |path: PathBuf| Policy::load(&path).unwrap().weights().unwrap();
    let (own, away, half) = (weights(trained), weights(folder.path("away")), weights(folder.path("half")));
    assert_eq!(own, away);
    for (name, weight) in &own {
        let near = |(a, b): (&f32, &f32)| (a - b).abs() <= a.abs() / 256.0;
        assert!(weight.values.iter().zip(&half[name].values).all(near), "{name} is rounded to eight bits");
    }
    let sizes = ["away", "half"].map(|dir| fs::metadata(folder.path(dir).join("model.safetensors")).unwrap().len());
    assert!(
        sizes[1] < sizes[0] * 6 / 10
            && fs::read_to_string(folder.path("half/config.json")).unwrap().contains("\"bfloat16\"")
    );
    let card = fs::read_to_string(folder.path("away/README.md")).unwrap();
    assert!(card.contains("QUESTION") && card.contains("after RL") && card.contains("finetune"), "{card}");
    let error = folder.fails(&["export", "runs/quickstart", "away"]);
    assert!(error.contains("away: something is there already"), "{error}");
    folder.does(&["ask", "half", question]);

    // Another reward on its rollouts, and then in a training of its own, from the same fine-tuning.
    let reward = folder.path("mine/reward.toml");
    fs::write(folder.path("mine/other.toml"), fs::read_to_string(reward).unwrap().replace("0.5", "0.25")).unwrap();
    folder.does(&["reward", "score", "mine/other.toml", "runs/quickstart"]);
    folder.does(&["reward", "explain", "faithful"]);
    let other = ["--set", "train.reward=mine/other.toml", "--set", "run.dir=runs/other"];
    let output = folder.recollect(&[&["run", "mine/quickstart.toml"][..], &SHORT, &other].concat());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !told.contains("fine-tuning"), "{told}");
    assert!(told.contains("that of an earlier run of this machine"), "{told}");

    // What they share is shown, and nobody needs it.
    let said = folder.does(&["cache"]);
    assert!(said.contains("finetune-") && said.contains("baseline-") && said.contains("in all"), "{said}");
    assert!(!said.contains("train-"), "{said}");
    assert!(folder.does(&["cache", "--remove", "30"]).contains("nothing to remove"));
    assert!(folder.does(&["cache", "--remove", "0"]).contains("removed"));
    assert!(folder.does(&["cache"]).contains("empty"));
    folder.does(&["report", "runs/other"]);
    folder.does(&["ask", "runs/other@0", question, "--direct"]);

    // The two beside each other.
    let said = folder.does(&["compare", "runs/quickstart", "runs/other"]);
    assert!(said.contains("train.reward") && said.contains("after RL"), "{said}");

    // What was exported, for others.
    answers_in_transformers(&folder, question);
    is_measured_by_lm_evaluation_harness(&folder);
}

fn stage(folder: &Folder, name: &str) -> PathBuf {
    let stages = fs::read_dir(folder.path("runs/quickstart/stages")).unwrap().map(|entry| entry.unwrap().path());
    stages.into_iter().find(|path| path.file_name().unwrap().to_string_lossy().starts_with(name)).unwrap()
}

#[test]
fn what_ships_is_named_without_a_file_and_a_file_comes_first() {
    let folder = Folder::new();
    let said = folder.does(&["run", "quickstart", "--dry-run"]);
    assert!(
        said.contains("dir = \"runs/quickstart\"") && said.contains("reward = \"rewards/enumerate.toml\""),
        "{said}"
    );
    folder.does(&["run", "configs/tasks.toml", "--dry-run", "--set", "train.reward=faithful"]);
    let error = folder.fails(&["run", "quickstrat"]);
    assert!(
        error.starts_with("error: quickstrat: no such file; name a file, or one that ships: quickstart, "),
        "{error}"
    );
    let error = folder.fails(&["run", "quickstart", "--dry-run", "--set", "train.reward=recal"]);
    assert!(error.contains("train.reward names it; those that ship are recall, "), "{error}");
    let error = folder.fails(&["reward", "check", "recal"]);
    assert!(error.contains("recal: no such file; name a file, or one that ships: recall, "), "{error}");
    fs::write(folder.path("quickstart"), "[train]\nsteps = 7\n").unwrap();
    assert!(folder.does(&["run", "quickstart", "--dry-run"]).contains("steps = 7"));
}

#[test]
fn own_documents_need_no_key_but_their_files_and_the_example_is_whole() {
    let folder = Folder::new();
    folder.does(&["init", "mine", "--from", "documents"]);
    let home = foreign::home();
    let model = format!("base.path={}", home.path().join("model").display());
    // From elsewhere, too: what the config names lies beside it.
    let short = ["--set", &model, "--set", "prompt.think=''", "--set", "prompt.answer=''"];
    let said = folder.does(&[&["run", "mine/documents.toml", "--dry-run"][..], &short].concat());
    assert!(said.contains("mine/facts.jsonl") && said.contains("mine/reward.toml"), "{said}");
    let said = folder.does(&[&["world", "mine/documents.toml"][..], &short[..2]].concat());
    assert!(said.contains("audit") || said.contains("questions"), "{said}");
    folder.does(&["init", "english", "--from", "checkpoint"]);
    let error = folder.fails(&["run", "english/smollm2.toml", "--dry-run"]);
    assert!(error.contains("base.path names it") && error.lines().count() == 1, "{error}");
}

#[test]
fn a_judge_in_python_is_written_whole() {
    let folder = Folder::new();
    let said = folder.does(&["reward", "init", "mine", "--python"]);
    assert!(said.contains("wrote mine/judge.py") && said.contains("reward explain mine/reward.toml"), "{said}");
    assert!(folder.fails(&["reward", "init", "mine"]).contains("mine/reward.toml: there already"));
    folder.does(&["reward", "check", "mine/reward.toml"]);
    folder.does(&["run", "quickstart", "--dry-run", "--set", "train.reward=mine/reward.toml"]);
    if Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: there is no python3 here");
        return;
    }
    let said = folder.does(&["reward", "explain", "mine/reward.toml"]);
    assert!(said.contains("judge") && said.contains("recites the fact and answers"), "{said}");
    let tested = Command::new("python3")
        .args(["-m", "unittest", "test_judge"])
        .current_dir(folder.path("mine"))
        .output()
        .unwrap();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
}

#[test]
fn every_key_is_told_and_so_is_what_other_trainers_call_it() {
    let folder = Folder::new();
    let said = folder.does(&["config"]);
    assert!(said.contains("[train.algorithm]") && said.lines().all(|line| line.chars().count() <= 100), "{said}");
    let said = folder.does(&["config", "train.group_size"]);
    assert!(said.contains("group_size = 16") && said.contains("takes: whole number"), "{said}");
    let said = folder.does(&["config", "train.algorithm"]);
    assert!(said.contains("Presets") && said.contains("dr_grpo") && said.contains("tis_cap"), "{said}");
    let schema: serde_json::Value = serde_json::from_str(&folder.does(&["config", "--schema"])).unwrap();
    assert_eq!(schema["properties"]["train"]["properties"]["group_size"]["default"], 16);
    let error = folder.fails(&["config", "train.group_sise"]);
    assert!(error.contains("did you mean train.group_size?"), "{error}");
    let error = folder.fails(&["run", "quickstart", "--set", "train.num_generations=8"]);
    assert!(error.contains("unknown key; here that is train.group_size"), "{error}");
}

/// A Python with these packages, where there is one.
fn python(packages: &str) -> Option<PathBuf> {
    let named = ["RECOLLECT_PYTHON", "RECOLLECT_PYTHON_LIGHT"].into_iter().find_map(std::env::var_os)?;
    let has = |python: &PathBuf| {
        let found = Command::new(python).args(["-c", &format!("import {packages}")]).output();
        found.is_ok_and(|output| output.status.success())
    };
    let python = Some(PathBuf::from(named)).filter(has);
    if python.is_none() {
        eprintln!("skipped: RECOLLECT_PYTHON names no Python with {packages}");
    }
    python
}

/// Reads a prompt from standard input, and says how many tokens it has and, where PyTorch is there, what follows.
const CONTINUE: &str = "
import importlib.util, sys
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
AutoConfig.from_pretrained('away')
tokenizer = AutoTokenizer.from_pretrained('away')
ids = tokenizer.encode(sys.stdin.read(), add_special_tokens=False)
print(len(ids))
if importlib.util.find_spec('torch'):
    import torch
    model = AutoModelForCausalLM.from_pretrained('away')
    print(tokenizer.decode(model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=24)[0, len(ids):]))
";

fn answers_in_transformers(folder: &Folder, question: &str) {
    let Some(python) = python("transformers") else { return };
    let said = folder.does(&["ask", "away", question, "--direct"]);
    let (shown, answer) = said.split_once("\n\n→ ").unwrap();
    let (tokens, prompt) = shown.split_once("The model sees ").unwrap().1.split_once(" tokens:\n").unwrap();
    let prompt: Vec<&str> = prompt.lines().map(|line| line.strip_prefix("  ").unwrap()).collect();
    let mut command = Command::new(python);
    command.args(["-c", CONTINUE]).current_dir(folder.path("")).env("HF_HUB_OFFLINE", "1");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(prompt.join("\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let told = String::from_utf8(output.stdout).unwrap();
    let (counted, continued) = told.split_once('\n').unwrap();
    assert_eq!(counted, tokens);
    if continued.is_empty() {
        eprintln!("skipped: without torch its weights are not loaded, only its tokenizer and config");
    } else {
        assert!(continued.contains(answer.lines().next().unwrap()), "{continued:?} and {answer:?}");
    }
}

fn is_measured_by_lm_evaluation_harness(folder: &Folder) {
    let Some(python) = python("lm_eval, transformers, tenacity") else { return };
    let world = &SHORT[10..14];
    folder.does(&[&["world", "mine/quickstart.toml", "--export-lm-eval", "tasks"][..], world].concat());
    let mut server = folder.command(&["serve", "away", "--port", "0"]);
    let mut server = server.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
    let model = format!(
        "model=away,base_url=http://{address}/v1/completions,tokenizer={},num_concurrent=8,max_length=256",
        folder.path("away").display()
    );
    let mut harness = Command::new(python);
    harness.args(["-m", "lm_eval", "--model", "local-completions", "--model_args", &model]);
    harness.args(["--include_path", "tasks", "--output_path", "measured", "--limit", "12"]);
    harness.args(["--tasks", "recollect_candidates_in_context,recollect_candidates_choices"]);
    let output = harness.current_dir(folder.path("")).env("HF_HUB_OFFLINE", "1").output().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let measured = fs::read_dir(folder.path("measured")).unwrap().next().unwrap().unwrap().path();
    let results = fs::read_dir(measured).unwrap().map(|entry| entry.unwrap().path());
    let results = results.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&fs::read_to_string(results).unwrap()).unwrap();
    let share = |task: &str| {
        let of_task = results["results"][task].as_object().unwrap();
        let named = |name: &&String| name.starts_with("exact_match") || name.starts_with("acc,");
        of_task[of_task.keys().find(named).unwrap()].as_f64().unwrap()
    };
    // It reads, and knows as good as nothing of this world.
    assert!(share("recollect_candidates_in_context") > 0.7, "{results}");
    assert!(share("recollect_candidates_choices") < 0.8, "{results}");
}
