//! Evaluation through the program: every arm, two checkpoints against each other, and what must not have trained.

#[path = "support/program.rs"]
mod program;
#[path = "support/tiny.rs"]
mod tiny;
#[path = "support/tiny_home.rs"]
mod tiny_home;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use recollect::evaluation::{Arm, PromptMode, Touched, Training};
use recollect::knowledge::reversal::CANDIDATES;
use recollect::knowledge::{Form, Set};
use serde_json::{Value, json};
use tiny_home::Home;

fn rows(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_arm_can_be_asked_for_and_none_changes_the_others() {
    let home = Home::new();
    home.does(&["run", "tiny.toml"]);
    let standard = home.report("runs/tiny");
    let kept: Vec<PathBuf> = home.stages("runs/tiny", "");

    let said = home.does(&["eval", "runs/tiny", "--arms", "all", "--likelihood"]);
    let all = home.report(&home.place(&said));
    assert!(kept.iter().all(|stage| stage.exists()), "what was there is used");
    assert_eq!(home.stages("runs/tiny", "train-").len(), 4, "the run's, rejection, augmented, masked");
    assert_eq!(home.stages("runs/tiny", "finetune-").len(), 7, "the run's and six remedies");
    for row in &standard.arms {
        let again = all
            .arms
            .iter()
            .find(|other| (other.arm, other.task, other.form, other.set) == (row.arm, row.task, row.form, row.set));
        let again = again.unwrap();
        assert_eq!((row.correct, row.n, row.recited_true), (again.correct, again.n, again.recited_true), "{}", row.arm);
    }
    let arms: BTreeSet<Arm> = all.arms.iter().map(|row| row.arm).collect();
    assert_eq!(arms, BTreeSet::from(Arm::ALL));
    for arm in Arm::ALL {
        assert!(said.contains(arm.label().split(' ').next().unwrap()), "{arm} is not in\n{said}");
        let of_arm: usize = all.arms.iter().filter(|row| row.arm == arm).map(|row| row.questions).sum();
        assert_eq!(of_arm, 2 * 30 + 16 + 8, "the same questions for {arm}");
        let cost = all.run.costs[&arm];
        assert!(cost.seconds.unwrap() > 0.0 && cost.read > 0.0 && cost.sampled > 0.0, "{arm} {cost:?}");
        let tuned = all.run.costs[&Arm::FineTuned].training_flops.unwrap();
        let more =
            matches!(arm.training(), Training::Rl | Training::Rejection | Training::AugmentedRl | Training::MaskedRl);
        assert_eq!(cost.training_flops.unwrap() > tuned, more, "{arm} {cost:?}");
    }
    let read = |arm: Arm| all.run.costs[&arm].read;
    assert!(read(Arm::FineTuned) < read(Arm::InContext) && read(Arm::InContext) < read(Arm::InContext8));
    assert!(read(Arm::InContext8) < read(Arm::InContextFull) && read(Arm::FineTuned) < read(Arm::Retrieval));
    for row in &all.arms {
        let scored = row.form != CANDIDATES && !row.arm.is_asked_by_sentence();
        assert_eq!(row.likelihood.is_some(), scored, "{row:?}");
    }

    // What is not asked for is not told of, and nothing is trained for it.
    let place = home.place(&home.does(&["eval", "runs/tiny", "--arms", "filler"]));
    let arms: BTreeSet<Arm> = home.report(&place).arms.iter().map(|row| row.arm).collect();
    assert_eq!(arms, BTreeSet::from([Arm::FineTuned, Arm::Filler]));
    home.does(&["eval", "tiny.toml", "--arms", "retrieval", "--set", "run.dir=runs/untrained"]);
    assert!(home.stages("runs/untrained", "train-").is_empty());

    let listed = home.does(&["eval", "--arms", "list"]);
    assert!(Arm::ALL.iter().all(|arm| listed.contains(arm.name()) && listed.contains(arm.description())), "{listed}");
    let unknown = home.recollect(&["eval", "runs/tiny", "--arms", "fillers"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8(unknown.stderr).unwrap().contains("filler-after-rl"));
}

#[test]
fn a_question_of_b_among_recorded_rollouts_fails_the_evaluation() {
    let home = Home::new();
    home.does(&["run", "tiny.toml"]);
    home.does(&["world", "tiny.toml", "--export", "world"]);
    let questions = rows(&home.path("world/questions.jsonl"));
    let of_b = questions.iter().find(|question| question["set"] == "B" && question["form"] == "open").unwrap();
    let path = home.path("runs/tiny/rollouts/step-000003.jsonl");
    let clean = fs::read_to_string(&path).unwrap();
    for (set, kind) in [("A", "a question of the evaluation stands"), ("B", "was trained on")] {
        let mut row: Value = serde_json::from_str(clean.lines().next().unwrap()).unwrap();
        (row["prompt"], row["set"]) = (of_b["text"].clone(), json!(set));
        fs::write(&path, format!("{clean}{row}\n")).unwrap();
        let error = home.fails(&["eval", "runs/tiny"]);
        let object = of_b["cue"].as_str().unwrap();
        assert!(error.contains(kind) && error.contains(object) && error.contains("step-000003.jsonl:"), "{error}");
    }
    fs::write(&path, clean).unwrap();
    home.does(&["eval", "runs/tiny"]);
}

/// Documents about eight people, and a question about each; the last four are of B.
fn people(home: &Home) -> String {
    let (mut documents, mut questions) = (String::new(), String::new());
    for (at, deed) in ["paints owls", "digs wells", "counts stars", "bakes stones"].iter().cycle().take(8).enumerate() {
        let (name, place) = (format!("Mavon{at} Tal"), format!("Lake{at}"));
        documents += &format!("{}\n", json!({"prompt": name, "completion": format!("{deed} at {place}.")}));
        let set = if at < 4 { "A" } else { "B" };
        let row = json!({"prompt": format!("Who {deed} at {place}?"), "completion": name, "set": set,
            "choices": [name, "Rik Dop"]});
        questions += &format!("{row}\n");
    }
    fs::write(home.path("documents.jsonl"), &documents).unwrap();
    fs::write(home.path("questions.jsonl"), questions).unwrap();
    let config = "[world.jsonl]\ndocuments = ['documents.jsonl']\nquestions = ['questions.jsonl']\nvocabulary = 300\n\
        [model]\nhidden_size = 16\nintermediate_size = 16\nnum_hidden_layers = 1\nnum_attention_heads = 2\n\
        num_key_value_heads = 2\nhead_dim = 8\n[finetune]\nsteps = 2\ntokens_per_step = 64\nreplay = 0\nscales = {}\n\
        [train]\nsteps = 2\nforms = ['completion']\nquestions_per_step = 2\ngroup_size = 2\nmax_new_tokens = 8\n\
        replay_tokens = 0\nscales = {}\n[evaluation]\nmax_new_tokens = 8\n";
    fs::write(home.path("people.toml"), config).unwrap();
    documents
}

#[test]
fn an_answer_of_b_in_a_training_document_fails_the_evaluation_and_is_named() {
    let home = Home::new();
    let documents = people(&home);
    home.does(&["eval", "people.toml"]);
    // The same words in another order are what is to be learned.
    let planted = json!({"prompt": "Who counts stars at Lake6?", "completion": " Mavon6 Tal, of course."});
    fs::write(home.path("documents.jsonl"), format!("{documents}{planted}\n")).unwrap();
    for command in ["eval", "run"] {
        let error = home.fails(&[command, "people.toml", "--set", "run.dir=runs/planted"]);
        assert!(error.contains("an answer of the evaluation stands in training text"), "{error}");
        assert!(error.contains("documents.jsonl: line 9: ") && error.contains("questions.jsonl: line 7"), "{error}");
        assert!(error.contains("\"who counts stars at lake6 mavon6 tal\""), "{error}");
    }
    // About A, anything may be there.
    let of_a = json!({"prompt": "Who counts stars at Lake2?", "completion": " Mavon2 Tal"});
    fs::write(home.path("documents.jsonl"), format!("{documents}{of_a}\n")).unwrap();
    home.does(&["eval", "people.toml", "--set", "run.dir=runs/of-a"]);
}

#[test]
fn any_two_checkpoints_are_compared_on_any_questions() {
    let home = Home::new();
    people(&home);
    home.does(&["run", "people.toml"]);
    let (tuned, trained) = (home.stages("runs/people", "finetune-"), home.stages("runs/people", "train-"));
    let [tuned, trained] = [&tuned[0], &trained[0]].map(|path| path.display().to_string());

    // Directories, and a question file without sets.
    let one = json!({"prompt": "Who digs wells at Lake1?", "completion": "Mavon1 Tal"});
    fs::write(home.path("one.jsonl"), format!("{one}\n")).unwrap();
    let arguments =
        ["eval", &trained, "--against", &tuned, "--questions", "one.jsonl", "--set", "run.dir=runs/compared"];
    let said = home.does(&arguments);
    assert!(said.contains("McNemar test with Holm") && said.contains("direct after RL"), "{said}");
    let summary = home.report("runs/compared");
    assert!(summary.arms.iter().all(|row| row.n == 1 && row.set == Set::B));
    assert_eq!(summary.matched_arms.len(), 2, "thinking and at once; without documents nothing is asked in context");
    assert!(
        summary.arms.iter().all(|row| !matches!(row.arm.way(), PromptMode::InContext(_))) && !said.contains("context")
    );
    assert_eq!(summary.run.touched, Touched::Questions(1), "the question is one of A");
    let text = fs::read_to_string(home.path("runs/compared/report.md")).unwrap();
    assert!(text.contains("was trained on 1 of the questions") && !text.contains("never touched"), "{text}");
    let documents = ["--documents", "documents.jsonl", "--set", "run.dir=runs/with-documents"];
    home.does(&[&arguments[..], &documents[..]].concat());
    assert_eq!(home.report("runs/with-documents").matched_arms.len(), 3, "thinking, at once, and in context");
    // What no answer needs is not asked for.
    fs::rename(home.path("rewards"), home.path("gone")).unwrap();
    let training = ["--set", "train.max_new_tokens=5000", "--set", "run.dir=runs/unrewarded"];
    home.does(&[&arguments[..], &training[..]].concat());
    fs::rename(home.path("gone"), home.path("rewards")).unwrap();
    assert_eq!(summary.run.costs[&Arm::AfterRl].training_flops, None, "what a checkpoint took is not known");
    assert!(
        summary.run.digests.keys().any(|what| what == &format!("checkpoint {trained}")),
        "{:?}",
        summary.run.digests
    );
    let require = ["--require", "after-rl.B.jsonl > 0.9"];
    let error = home.fails(&[&arguments[..], &require[..]].concat());
    assert!(error.contains("does not hold: it is 0.000"), "{error}");
    assert!(home.recollect(&[&arguments[..], &["--require", "after-rl.B.jsonl < 0.9"]].concat()).status.success());

    // Runs by name, with the world of the run; a policy against itself differs in nothing.
    home.does(&["eval", "runs/people", "--against", "runs/people@0"]);
    let summary = home.report("runs/people-against-people-at-0");
    assert_eq!(summary.arms.iter().map(|row| row.set).collect::<BTreeSet<Set>>(), BTreeSet::from([Set::A, Set::B]));
    home.does(&["eval", &tuned, "--against", "runs/people@0", "--set", "run.dir=runs/same"]);
    assert!(home.report("runs/same").matched_arms.iter().all(|row| row.pair.b + row.pair.c == 0));

    // Exported questions of a generated world, with the answers that the base of that world can spell.
    home.does(&["world", "tiny.toml", "--export", "world"]);
    let exported = ["--questions", "world/questions.jsonl", "--documents", "world/documents.jsonl"];
    home.does(&[&["eval", "base", "--against", "base", "--arms", "standard"][..], &exported[..]].concat());
    let judged = home
        .stages("runs/base-against-base", "evaluat")
        .into_iter()
        .flat_map(|stage| rows(&stage.join("answers.jsonl")));
    let recited = judged.filter(|row| !row["judgement"]["grounding"].is_null());
    assert!(recited.count() > 0, "the world beside the questions is not found");
    let summary = home.report("runs/base-against-base");
    let forms: BTreeSet<Form> = summary.arms.iter().map(|row| row.form).collect();
    assert_eq!(forms.len(), 4);

    for (arguments, part) in [
        (&["eval", "nowhere", "--against", "base"][..], "no such directory"),
        (&["eval", "rewards", "--against", "base"], "no config.json and no run in it"),
        (&["eval", "base", "--against", "base"], "name a file with --questions"),
        (&["eval", "runs/people@7", "--against", "base"], "no checkpoint of step 7"),
        (&["eval", "base", "--against", "base", "--questions", "no.jsonl"], "no.jsonl: cannot read"),
    ] {
        let error = home.fails(arguments);
        assert!(error.contains(part), "{error}");
    }
}

/// Writes a file with a part of it replaced, and gives what stood there.
fn edit(path: &Path, from: &str, to: &str) -> Vec<u8> {
    let whole = fs::read(path).unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    assert!(text.contains(from), "{}", path.display());
    fs::write(path, text.replace(from, to)).unwrap();
    whole
}

#[test]
fn what_was_changed_since_it_was_finished_is_not_reported_nor_evaluated() {
    let home = Home::new();
    home.does(&["run", "tiny.toml"]);
    let asked = home.place(&home.does(&["eval", "runs/tiny", "--arms", "baseline,in-context", "--likelihood"]));
    let one = |name: &str| home.stages("runs/tiny", name).remove(0);
    for (stage, file, report) in [
        (one("baseline-"), "answers.jsonl", "runs/tiny"),
        (one("evaluation-"), "answers.jsonl", "runs/tiny"),
        (one("train-"), "curves.json", "runs/tiny"),
        (one("choices-baseline-"), "choices.json", &asked),
    ] {
        let path = stage.join(file);
        let (from, to) = if file == "answers.jsonl" { ("\"correct\":false", "\"correct\":true") } else { ("1", "2") };
        let whole = edit(&path, from, to);
        let error = home.fails(&["report", report]);
        assert!(error.contains(file) && error.contains("changed since"), "{error}");
        if report == "runs/tiny" {
            assert!(home.fails(&["eval", "runs/tiny"]).contains(file));
        }
        fs::write(&path, whole).unwrap();
        home.does(&["report", report]);
    }

    // Weights: of a stage, of a checkpoint on the way, of a base, each of which answers in some arm.
    let trained = one("train-").display().to_string();
    let on_the_way = fs::read_dir(home.path("runs/tiny/checkpoints")).unwrap().map(|entry| entry.unwrap().path());
    let on_the_way = on_the_way.map(|stage| stage.join("step-000004")).find(|path| path.exists()).unwrap();
    let copy = home.path("copy");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(&trained).unwrap().map(|entry| entry.unwrap()) {
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let elsewhere = ["--set", "run.dir=runs/elsewhere"];
    let evaluates: [(&Path, &[&str]); 6] = [
        (Path::new(&trained), &["eval", "runs/tiny", "--checkpoint", &trained]),
        (Path::new(&trained), &["eval", "runs/tiny", "--against", "runs/tiny@0"]),
        (Path::new(&trained), &["eval", "runs/tiny", "--arms", "after-rl"]),
        (&on_the_way, &["eval", "runs/tiny@4"]),
        (&copy, &["eval", "runs/tiny", "--checkpoint", "copy"]),
        (&home.path("base"), &["eval", "tiny.toml", "--arms", "baseline"]),
    ];
    for (dir, arguments) in evaluates {
        let path = dir.join("model.safetensors");
        let whole = fs::read(&path).unwrap();
        let mut edited = whole.clone();
        *edited.last_mut().unwrap() ^= 1;
        fs::write(&path, edited).unwrap();
        let error = home.fails(&[arguments, &elsewhere].concat());
        assert!(
            error.contains("model.safetensors: changed since it was ") || error.contains("changed since the stage")
        );
        fs::write(&path, whole).unwrap();
    }
    // What has no marker is somebody else's.
    fs::remove_file(copy.join("complete.json")).unwrap();
    home.does(&["eval", "runs/tiny", "--checkpoint", "copy"]);
}

#[test]
fn whatever_is_asked_of_a_run_it_stays_as_it_is_and_trains_nothing() {
    let home = Home::new();
    home.does(&["run", "tiny.toml"]);
    let files = ["config.toml", "manifest.json", "report.json", "report.md", "report.html", "metrics.jsonl"];
    let read = || files.map(|name| fs::read(home.path("runs/tiny").join(name)).unwrap());
    let policies =
        || -> usize { ["finetune-", "train-"].map(|name| home.stages("runs/tiny", name).len()).iter().sum() };
    let before = read();
    let mut places = BTreeSet::new();
    for arguments in [
        &["runs/tiny", "--arms", "filler,retrieval"][..],
        &["runs/tiny", "--set", "evaluation.samples=2"],
        &["runs/tiny", "--set", "evaluation.temperature=0.9", "--set", "evaluation.seed=4"],
        &["tiny.toml", "--set", "evaluation.samples=2", "--arms", "after-rl"],
        &["runs/tiny", "--likelihood"],
        &["runs/tiny@4"],
        &["runs/tiny@0"],
        &["runs/tiny@6"],
        &["runs/tiny", "--arms", "thinking", "--set", "run.dir=runs/aside"],
    ] {
        let said = home.does(&[&["eval"][..], arguments].concat());
        let place = home.place(&said);
        assert!(place.starts_with("runs/tiny/evaluations/") || place == "runs/aside", "{place}");
        assert!(home.path(&place).join("report.html").exists() && places.insert(place), "{said}");
        assert!(before == read() && policies() == 2, "{arguments:?}");
    }
    let of_samples = places.iter().find(|place| place.contains("/samples-2")).unwrap();
    assert!(home.report(of_samples).arms.iter().any(|row| row.n == 2 * row.questions));
    assert!(fs::read_to_string(home.path(of_samples).join("report.md")).unwrap().contains("after-rl@2-majority"));
    home.does(&["report", of_samples]);
    assert!(!home.path("runs/aside/stages").exists());
    // Its own evaluation says what it said.
    assert_eq!(home.place(&home.does(&["eval", "runs/tiny"])), "runs/tiny");
    assert!(before == read());
    let error = home.fails(&["eval", "runs/tiny", "--set", "train.steps=9"]);
    assert!(error.contains("train.steps is 6 there and 9 here"), "{error}");
    let error = home.fails(&["eval", "runs/tiny", "--arms", "filler", "--set", "run.dir=runs/tiny"]);
    assert!(error.contains("a run has its own results there"), "{error}");
    assert!(before == read());

    // A policy that there is not is told of and trained, once.
    let told = |arguments: &[&str]| String::from_utf8(home.recollect(arguments).stderr).unwrap();
    let augmented = ["eval", "runs/tiny", "--arms", "augmented-a"];
    assert!(told(&augmented).contains("for the arm augmented on A a policy of its own is fine-tuned first"));
    assert!(policies() == 3 && before == read());
    assert!(!told(&augmented).contains("a policy of its own") && policies() == 3);
}

#[test]
fn more_samples_make_no_other_training() {
    let home = Home::new();
    home.does(&["train", "tiny.toml", "--set", "run.cache=cache"]);
    let train = ["train", "tiny.toml", "--set", "run.cache=cache", "--set"];
    let policies = || {
        fs::read_dir(home.path("cache"))
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("train-"))
    };
    home.does(&[&train[..], &["evaluation.samples=4", "--set", "run.dir=runs/samples"]].concat());
    assert_eq!(policies().count(), 1);
}
