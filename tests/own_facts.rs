//! Ten facts in a user's own words go through the whole experiment on a checkpoint from elsewhere: documents are learned, a
//! warm-up shows how to think, and what is recited is judged.

#[path = "support/foreign.rs"]
mod foreign;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use foreign::home;
use recollect::config::Config;
use recollect::experiment::{self, Experiment};
use recollect::interrupt::Interrupt;
use recollect::knowledge::jsonl::JsonlFiles;
use recollect::knowledge::{Facts, Jsonl, Knowledge, Match, Question, Set};
use recollect::language::Opening;
use recollect::telemetry::{Meter, Progress, read_metrics};
use recollect::verifier::{Grounding, Judgement, judge};

const PEOPLE: [(&str, &str); 10] = [
    ("Ada Pell", "the Tall Mill"),
    ("Ben Orr", "the Long Wall"),
    ("Cleo Marsh", "the Old Gate"),
    ("Dan Voss", "the Red Barn"),
    ("Eve Lund", "the Low Dam"),
    ("Finn Quay", "the New Pier"),
    ("Gus Reed", "the Blue Door"),
    ("Hal Stone", "the East Road"),
    ("Ida Thorn", "the West Yard"),
    ("Jo Vale", "the Stone Well"),
];

/// Writes what a user would write: eight facts to be asked about and two for lessons.
fn write(home: &Path) {
    let lines = |name: &str, rows: Vec<serde_json::Value>| {
        let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
        fs::write(home.join(name), text).unwrap();
    };
    let set = |at: usize| ["A", "A", "A", "A", "B", "B", "B", "B", "C", "C"][at];
    let people = || PEOPLE.iter().enumerate();
    let told = |(at, (who, what)): (usize, &(&str, &str))| {
        let texts = [format!("{who} built {what}."), format!("In those years {who} built {what} with great care.")];
        texts.map(|text| serde_json::json!({"set": set(at), "text": text}))
    };
    lines("own-documents.jsonl", people().flat_map(told).collect());
    let asked = |(at, (who, what)): (usize, &(&str, &str))| {
        let others: Vec<&str> = (0..4).map(|i| PEOPLE[at / 4 * 4 + i].0).collect();
        serde_json::json!({
            "question": format!("Who built {what}?"), "answer": who, "set": set(at), "form": "builders", "choices": others,
            "show_choices": true,
        })
    };
    lines("own-questions.jsonl", people().take(8).map(asked).collect());
    let fact = |(_, (who, what)): (usize, &(&str, &str))| serde_json::json!({"subject": who, "relation": "built", "object": what});
    lines("own-facts.jsonl", people().map(fact).collect());
    let lesson = |(_, (who, what)): (usize, &(&str, &str))| {
        let thought = format!("{} built {}. {} built {}.", PEOPLE[8].0, PEOPLE[8].1, PEOPLE[9].0, PEOPLE[9].1);
        serde_json::json!({"prompt": format!("Who built {what}?"), "thought": thought, "answer": who})
    };
    lines("own-lessons.jsonl", people().skip(8).map(lesson).collect());
}

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Progress for Heard {
    fn begin(&self, _: &str, _: &str, _: u64, _: u64) -> Box<dyn Meter> {
        Box::new(Deaf)
    }

    fn tell(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

struct Deaf;

impl Meter for Deaf {
    fn set(&mut self, _: u64) {}

    fn note(&mut self, _: &str) {}
}

fn load(home: &Path) -> Jsonl {
    let at = |name: &str| [home.join(format!("own-{name}.jsonl"))];
    let (documents, questions, facts, lessons) = (at("documents"), at("questions"), at("facts"), at("lessons"));
    let files = JsonlFiles {
        documents: &documents,
        questions: &questions,
        facts: &facts,
        lessons: &lessons,
        ignore_columns: false,
    };
    Jsonl::load(files, Match::Normalised, 0).unwrap()
}

#[test]
fn what_is_recited_of_own_facts_is_judged() {
    let home = home();
    write(home.path());
    let knowledge = Knowledge::Files(Box::new(load(home.path())));
    let question: Question = knowledge.questions(Set::B).into_iter().find(|q| q.answer == "Eve Lund").unwrap();
    assert_eq!(question.text, "Who built the Low Dam?\nChoose one of: Eve Lund, Finn Quay, Gus Reed, Hal Stone.");
    assert_eq!((question.form.name, question.needed.len(), question.chance), ("builders", 1, 0.25));
    assert!(knowledge.has_grammar());
    let judged = |text: &str| -> Judgement { judge(&knowledge, &question, Opening::Think, text, true) };
    let right = judged("Finn Quay built the New Pier. Eve Lund built the Low Dam.</think><answer> Eve Lund <eos>");
    assert!(right.correct && right.well_formed && right.needed_found == 1);
    assert_eq!(right.recitations.iter().map(|said| said.is_true).collect::<Vec<_>>(), [true, true]);
    assert_eq!(right.grounding, Some(Grounding::Known));
    let swapped = judged(
        "Finn Quay built the Low Dam. I wonder. Maybe Gus Reed built the Low Dam. </think><answer> Finn Quay <eos>",
    );
    assert_eq!((swapped.correct, swapped.grounding), (false, Some(Grounding::Follows)));
    assert!(!swapped.recitations[0].is_true && swapped.recitations[0].claim.is_some());
    assert!(swapped.recitations[1].claim.is_none(), "what is supposed claims nothing");
    assert_eq!(swapped.recitations.len(), 2, "a remark is no recitation");
    assert_eq!(judged("Hm. </think><answer> Eve Lund <eos>").grounding, Some(Grounding::Guessed));
}

#[test]
fn ten_facts_go_through_the_whole_experiment() {
    let home = home();
    write(home.path());
    let at = |name: &str| home.path().join(name).display().to_string();
    let files = ["documents", "questions", "facts", "lessons"];
    let set: Vec<String> = files
        .iter()
        .map(|name| format!("world.jsonl.{name}=['{}']", at(&format!("own-{name}.jsonl"))))
        .chain([
            format!("base.path={}", at("model")),
            format!("train.reward={}", at("reward.toml")),
            format!("run.dir={}", at("run")),
        ])
        .collect();
    let text = "[finetune]\nsteps = 3\ntokens_per_step = 200\n[warmup]\nsteps = 2\ntokens_per_step = 200\n[train]\nsteps = 2\n\
                forms = ['builders']\nquestions_per_step = 2\ngroup_size = 2\nmax_new_tokens = 8\n\
                [train.algorithm]\npreset = 'grpo'\ngradient_on = 'trace'\n[evaluation]\nmax_new_tokens = 8\n\
                [own_text]\ntexts = 6\nmax_new_tokens = 8\nheld_back = 2\n\
                [arms]\nask = ['fine-tuned', 'forward-recall', 'thinking-before-rl', 'after-rl']";
    let config = Config::parse(text, "own", "own", &set).unwrap();
    assert!(config.finetune.scales.is_empty() && config.train.replay_tokens == 0, "as the base suggests");
    assert_eq!((config.finetune.own_text, config.warmup.as_ref().unwrap().own_text), (Some(0.1), Some(0.1)));
    let heard = Heard::default();
    let experiment = Experiment::open(config, Interrupt::default(), Box::new(heard.clone())).unwrap();
    let reported = experiment::run(&experiment).unwrap();
    let heard = heard.0.lock().unwrap().join("\n");
    assert!(heard.contains("forward recall ") && heard.contains(" of 8 facts"), "{heard}");
    assert!(heard.contains("as this kind of base suggests: ") && heard.contains("train.learning_rate = "), "{heard}");
    let forms: Vec<&str> = reported.summary.arms.iter().map(|row| row.form.name).collect();
    assert!(forms.iter().all(|form| *form == "builders") && forms.len() == 8, "{forms:?}");
    let stages: Vec<PathBuf> =
        fs::read_dir(home.path().join("run/stages")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let made = |name: &str| stages.iter().any(|path| path.file_name().unwrap().to_string_lossy().starts_with(name));
    assert!(made("warmup-") && made("recall-") && made("finetune-") && made("own-text-"), "{stages:?}");
    let perplexity = &reported.summary.run.perplexity;
    let policies: Vec<&str> = perplexity.iter().map(|row| row.policy.as_str()).collect();
    assert_eq!(policies, ["before training", "fine-tuned", "after RL"]);
    assert!(perplexity.iter().all(|row| row.score.tokens == perplexity[0].score.tokens && row.perplexity > 1.0));
    assert!(heard.contains("Perplexity on held-back text: ") && heard.contains(" after RL ("), "{heard}");
    let metrics = read_metrics(&home.path().join("run/metrics.jsonl")).unwrap();
    assert!(!metrics.is_empty());
}

#[test]
fn facts_are_proposed_for_own_documents_and_judge_recitations_as_they_are() {
    let home = home();
    write(home.path());
    let at = |name: &str| home.path().join(name).display().to_string();
    let mut set: Vec<String> = ["documents", "questions"]
        .iter()
        .map(|name| format!("world.jsonl.{name}=['{}']", at(&format!("own-{name}.jsonl"))))
        .collect();
    set.push(format!("base.path={}", at("model")));
    let config = Config::parse("[train]\nforms = ['builders']", "own", "own", &set).unwrap();
    let proposal = experiment::propose_facts(&config).unwrap();
    assert_eq!((proposal.relations, proposal.facts, proposal.stating, proposal.sentences), (1, 10, 10, 20));
    // What somebody has written is not overwritten; what is there already is left.
    let path = home.path().join("own-facts.jsonl");
    let refused = experiment::write_facts(&proposal, &path).unwrap_err().to_string();
    assert!(refused.ends_with("there is another file of this name; name another one, or remove it"), "{refused}");
    fs::remove_file(&path).unwrap();
    experiment::write_facts(&proposal, &path).unwrap();
    experiment::write_facts(&proposal, &path).unwrap();
    let knowledge = Knowledge::Files(Box::new(load(home.path())));
    let question = knowledge.questions(Set::B).into_iter().find(|q| q.answer == "Eve Lund").unwrap();
    assert_eq!(question.needed.len(), 1);
    let said = "The New Pier was built by Finn Quay. Eve Lund built the Low Dam.</think><answer> Eve Lund <eos>";
    let judged: Judgement = judge(&knowledge, &question, Opening::Think, said, true);
    assert!(judged.correct && judged.needed_found == 1, "{judged:?}");
    assert_eq!(judged.recitations.iter().map(|said| said.is_true).collect::<Vec<_>>(), [true, true]);
    let shown = experiment::proposed(&proposal, None, 2).unwrap();
    assert!(shown.starts_with("{\"relation\":\"built\",\"wordings\":["), "{shown}");
    assert!(shown.contains("and 9 more") && shown.contains("In those years Ada Pell built"), "{shown}");
    let next =
        "10 facts (relations: 1), stated in 10 of 20 sentences; look through them, then set world.jsonl.facts = [";
    assert!(experiment::proposed(&proposal, Some(&path), 2).unwrap().contains(next));
    let generated = experiment::propose_facts(&Config::default()).unwrap_err().to_string();
    assert!(generated.starts_with("world: it is generated, and what it states is known; "), "{generated}");
}
