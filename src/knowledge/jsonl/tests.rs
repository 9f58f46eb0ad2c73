//! Files as they may be, read as a whole.

use std::collections::HashSet;
use std::path::Path;
use std::slice::from_ref;

use super::task::JSONL;
use super::*;
use crate::knowledge::curriculum::TrainingSequence;
use crate::knowledge::{Knowledge, leak};
use crate::language::{Opening, Tokenizer};

const PEOPLE: [(&str, &str); 6] = [
    ("Mavon Tal", "the first diver of Lake Zud"),
    ("Rik Dop", "a painter of purple bridges"),
    ("Selu Marn", "the inventor of silent thunder"),
    ("Pag Olin", "a keeper of glass owls"),
    ("Nev Fask", "the mayor of floating Quill"),
    ("Tam Birk", "a baker of iron bread"),
];

fn files<'a>(documents: &'a [PathBuf], questions: &'a [PathBuf]) -> JsonlFiles<'a> {
    JsonlFiles { documents, questions, ..JsonlFiles::default() }
}

fn load(documents: &[PathBuf], questions: &[PathBuf], seed: u64) -> Result<Jsonl> {
    Jsonl::load(files(documents, questions), Match::Normalised, seed)
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn row(prompt: &str, completion: &str, more: &str) -> String {
    format!("{{\"prompt\": \"{prompt}\", \"completion\": \"{completion}\"{more}}}\n")
}

/// Questions about next to no documents.
fn asked(dir: &Path, rows: &str, seed: u64) -> Result<Jsonl> {
    let documents = write(dir, "d.jsonl", &row("a b", " c", ""));
    load(&[documents], &[write(dir, "q.jsonl", rows)], seed)
}

/// Documents name each person first; questions ask in both directions, twice each.
fn people(dir: &Path) -> (PathBuf, PathBuf) {
    let (mut documents, mut questions) = (String::new(), String::new());
    for (name, deed) in PEOPLE {
        documents += &row(&format!("{name} is known as"), &format!(" {deed}."), "");
        documents += &row(&format!("People call {name}"), &format!(" {deed}."), "");
        questions += &row(&format!("Everybody talks about {deed},"), &format!(" {name}"), "");
        questions += &row(&format!("Who is {deed}?"), &format!(" {name}."), "");
        questions += &row(&format!("Tell me what {name} was:"), &format!(" {deed}."), "");
        questions += &row(&format!("{name} has always been"), &format!(" simply {deed}."), "");
    }
    (write(dir, "documents.jsonl", &documents), write(dir, "questions.jsonl", &questions))
}

fn person(question: &Question) -> usize {
    let text = format!("{} {}", question.text, question.answer);
    PEOPLE.iter().position(|(name, _)| text.contains(name)).unwrap()
}

fn persons(questions: &[Question]) -> HashSet<usize> {
    questions.iter().map(person).collect()
}

#[test]
fn no_fact_is_in_both_sets_however_it_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (documents, questions) = people(dir.path());
    let load = |seed| load(from_ref(&documents), from_ref(&questions), seed).unwrap();
    let mut splits = HashSet::new();
    for seed in 0..8 {
        let jsonl = load(seed);
        let (a, b) = (jsonl.questions(Set::A), jsonl.questions(Set::B));
        assert_eq!((a.len(), b.len()), (12, 12));
        assert!(persons(a).is_disjoint(&persons(b)));
        let ids: HashSet<u64> = a.iter().chain(b).map(|q| q.id).collect();
        assert_eq!(ids.len(), 24);
        let mut a: Vec<usize> = persons(a).into_iter().collect();
        a.sort();
        splits.insert(a);
    }
    assert!(splits.len() > 3, "{splits:?}");
    assert_eq!(load(5).questions(Set::B), load(5).questions(Set::B));
    let all = |jsonl: &Jsonl| [jsonl.questions(Set::A), jsonl.questions(Set::B)].concat();
    let id = |text: &str, seed| all(&load(seed)).iter().find(|q| q.text == text).map(|q| q.id);
    assert!((0..8).all(|seed| id("Who is a keeper of glass owls?", seed) == id("Who is a keeper of glass owls?", 0)));
}

#[test]
fn questions_are_as_the_other_rooms_expect_them() {
    let dir = tempfile::tempdir().unwrap();
    let (documents, questions) = people(dir.path());
    let jsonl = load(&[documents], &[questions], 0).unwrap();
    assert_eq!(jsonl.documents()[0], "Mavon Tal is known as the first diver of Lake Zud.");
    for set in [Set::A, Set::B] {
        for question in jsonl.questions(set) {
            assert_eq!((question.task, question.form, question.set), (JSONL, COMPLETION, set));
            assert!(question.cue.is_empty() && question.needed.is_empty() && question.choices.is_empty());
            assert_eq!((question.chance, question.answer.trim()), (0.0, question.answer.as_str()));
            let (name, deed) = PEOPLE[person(question)];
            let holds = |passage: &String| passage.contains(name) && passage.contains(deed);
            assert!(question.context.iter().any(holds), "{question:?}");
            assert!(!question.context.iter().all(holds), "no distractor: {question:?}");
        }
    }
    let lines = jsonl.lines();
    assert_eq!(lines.len(), 12 + 12);
    for question in jsonl.questions(Set::B) {
        assert!(!lines.iter().any(|line| line.contains(&question.text)), "{question:?}");
    }
}

#[test]
fn documents_are_learned_whole_and_long_ones_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let (documents, questions) = people(dir.path());
    let jsonl = load(&[documents], &[questions], 0).unwrap();
    let tokenizer = Tokenizer::train(&jsonl.lines(), 300).unwrap();
    let lessons = jsonl.document_sequences(&tokenizer, 512).unwrap();
    let read: Vec<String> = lessons.iter().map(|l| tokenizer.decode(&l.tokens).unwrap()).collect();
    let expected: Vec<String> = jsonl.documents().iter().map(|d| format!("<bos>{d}<eos>")).collect();
    assert_eq!(read.iter().map(|text| text.replace("> ", ">").replace(" <", "<")).collect::<Vec<_>>(), expected);
    assert!(lessons.iter().all(|l| l.weights[0] == 0.0 && l.weights[1..].iter().all(|w| *w == 1.0)));
    let pieces = jsonl.document_sequences(&tokenizer, 10).unwrap();
    let learned =
        |lessons: &[TrainingSequence]| -> Vec<u32> { lessons.iter().flat_map(|l| l.tokens[1..].to_vec()).collect() };
    assert!(pieces.len() > lessons.len() && pieces.iter().all(|lesson| lesson.tokens.len() <= 10));
    assert_eq!(learned(&pieces), learned(&lessons), "nothing is lost");
}

#[test]
fn what_a_row_says_is_kept() {
    let text = [
        row("one ?", "x", ", \"set\": \"B\", \"id\": 7, \"context\": [\"so it is\", \"x\"]"),
        row("two ?", "y", ", \"set\": \"A\", \"choices\": [\" y.\", \"z\", \"w\", \"v\"]"),
        row("three ?", "x.", ""),
    ];
    let jsonl = asked(tempfile::tempdir().unwrap().path(), &text.concat(), 0).unwrap();
    let [one, three] = jsonl.questions(Set::B) else { panic!("{jsonl:?}") };
    assert_eq!((one.id, one.context.len(), three.answer.as_str()), (7, 2, "x."), "the same answer, the same set");
    let two = &jsonl.questions(Set::A)[0];
    assert_eq!((two.chance, two.choices[0].as_str(), two.context.len()), (0.25, "y.", 0));
}

#[test]
fn questions_that_cannot_be_used_are_refused_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    for (rows, expected) in [
        (row("who ?", " . ", ""), "q.jsonl: line 1: completion: found nothing to answer"),
        (row(" ", "x", ""), "q.jsonl: line 1: prompt: found nothing"),
        (row("who ?", "x", ", \"set\": \"C\""), "line 1: set: found \"C\"; allowed are \"A\" and \"B\""),
        (row("who ?", "x", ", \"choices\": [\"y\", \"z\"]"), "line 1: choices: the completion is not among them"),
        (row("who ?", "x", ", \"choices\": [\"x\", \"x.\"]"), "line 1: choices: \"x.\" stands there twice"),
        (row("who ?", "x", ", \"choices\": [\"x\"]"), "line 1: choices: found 1"),
        (row("who ?", "x", ", \"id\": 4294967296"), "line 1: id: found 4294967296"),
        (
            row("who ?", "x", ", \"id\": 1") + &row("what ?", "y", ", \"id\": 1"),
            "line 2: id: 1 is the id of another question, ",
        ),
        (row("who ?", "x", "") + &row("what ?", "The X.", ""), "all 2 questions are about one fact"),
        (row("who ?", "x", ", \"set\": \"A\""), "no question for set B"),
    ] {
        let message = asked(dir.path(), &rows, 0).unwrap_err().to_string();
        assert!(message.contains(expected) && !message.contains('\n'), "{message}");
    }
}

#[test]
fn equal_questions_count_once_and_keep_the_numbers_of_their_rows() {
    let dir = tempfile::tempdir().unwrap();
    let rows = [
        row("one ?", "Jos\\u00e9", ""),
        row(" one  ?", "Jose\\u0301.", ", \"id\": 7"),
        row("one ?", "another", ""),
        row("two ?", "y", ", \"set\": \"A\""),
        row("two ?", "y", ""),
        row("two ?", "y", ", \"choices\": [\"y\", \"z\"]"),
    ];
    let jsonl = asked(dir.path(), &rows.concat(), 0).unwrap();
    assert_eq!(jsonl.duplicates(), 2);
    let all = [jsonl.questions(Set::A), jsonl.questions(Set::B)].concat();
    assert_eq!(all.len(), 4);
    assert_eq!(all.iter().find(|q| q.text == "one ?" && q.answer != "another").unwrap().id, 7);
    let choice = all.iter().find(|question| !question.choices.is_empty()).unwrap();
    assert_eq!(choice.id, question_id(Set::A, COMPLETION, 5));
    // Asked for in both sets, they stay two, and the check for leaks says so.
    let both = row("one ?", "x", ", \"set\": \"A\"") + &row("one ?", "x", ", \"set\": \"B\"");
    let both = Knowledge::Files(Box::new(asked(dir.path(), &both, 0).unwrap()));
    let error = leak::check(&both).unwrap_err().to_string();
    assert!(error.contains("q.jsonl: line 1: a question of the evaluation"), "{error}");
    assert!(error.contains("gives away \"one ?\"") && error.contains("q.jsonl: line 2)"), "{error}");
}

#[test]
fn one_answer_in_two_spellings_is_one_fact() {
    let dir = tempfile::tempdir().unwrap();
    for (one, other, more) in
        [("Jos\\u00e9 T", "Jose\\u0301 T", ""), ("the Owl", "OWL.", ""), ("1,000", "1000.0", ", \"match\": \"number\"")]
    {
        let rows = [
            row("Who wrote Aa ?", one, more),
            row("Who painted Bb ?", other, more),
            row("Who wrote Cc ?", "Rik Dop", ""),
            row("Who sang Dd ?", "Tal Bo", ""),
        ];
        for seed in 0..6 {
            let jsonl = asked(dir.path(), &rows.concat(), seed).unwrap();
            let in_a = jsonl.questions(Set::A).iter().filter(|q| q.text.ends_with("a ?") || q.text.ends_with("b ?"));
            assert!(matches!(in_a.count(), 0 | 2), "{one} {other}, seed {seed}");
        }
    }
}

#[test]
fn a_leak_is_named_by_file_line_and_question() {
    let dir = tempfile::tempdir().unwrap();
    let long = "long ".repeat(20_000);
    let told = row("Nothing", "here", "") + &row(&format!("{long} Who sang Bb ?"), "It was Tal Bo", "");
    let documents = write(dir.path(), "d.jsonl", &told);
    let rows =
        row(&format!("{long} Who sang Bb ?"), "Tal Bo", ", \"set\": \"B\"") + &row("Who?", "Rik", ", \"set\": \"A\"");
    let questions = write(dir.path(), "q.jsonl", &rows);
    let knowledge = Knowledge::Files(Box::new(load(&[documents], &[questions], 0).unwrap()));
    let error = leak::check(&knowledge).unwrap_err().to_string();
    assert!(error.contains("d.jsonl: line 2: an answer of the evaluation stands in training text"), "{error}");
    assert!(error.contains("q.jsonl: line 1)") && error.len() < 1_000 && !error.contains('\n'), "{error}");
}

#[test]
fn a_question_that_shows_its_choices_is_watched_without_them() {
    let dir = tempfile::tempdir().unwrap();
    let capital = |answer: &str, choices: &str, more: &str| {
        let shown = format!(", \"choices\": [{choices}], \"show_choices\": true{more}");
        row("What is the capital of France?", answer, &shown)
    };
    let asked = capital("Paris", r#""Paris", "Lyon""#, ", \"set\": \"B\"") + &row("Who?", "Rik", ", \"set\": \"A\"");
    let refused = |document: &str, more: &str| {
        let documents = write(dir.path(), "d.jsonl", &row(document, "", ""));
        let questions = write(dir.path(), "q.jsonl", &(asked.clone() + more));
        let jsonl = load(&[documents], &[questions], 0).unwrap();
        leak::check(&Knowledge::Files(Box::new(jsonl))).err().map_or(String::new(), |error| error.to_string())
    };
    let of_a = ", \"set\": \"A\"";
    assert_eq!(refused("Nothing", &capital("Nice", r#""Lille", "Nice""#, of_a)), "", "another question");
    for (document, more, expected) in [
        ("What is the capital of France? Paris", String::new(), "d.jsonl: line 1: an answer of the evaluation"),
        ("Nothing", row("What is the capital of France?", "Paris", of_a), "q.jsonl: line 3: a question of the eval"),
        ("Nothing", capital("Paris", r#""Lyon", "Paris""#, of_a), "q.jsonl: line 3: an answer of the evaluation"),
    ] {
        let error = refused(document, &more);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_question_with_choices_and_the_same_without_are_about_one_fact() {
    let dir = tempfile::tempdir().unwrap();
    let shown = |choices: &str| format!(", \"choices\": [{choices}], \"show_choices\": true");
    let rows = [
        row("Which is true ?", "one", &shown(r#""one", "two""#)),
        row("Which is true ?", "three", ""),
        row("Which is odd ?", "four", &shown(r#""four", "five""#)),
        row("Which is odd ?", "six", &shown(r#""six", "seven""#)),
        row("Which is even ?", "eight", ""),
    ];
    let mut apart = false;
    for seed in 0..24 {
        let jsonl = asked(dir.path(), &rows.concat(), seed).unwrap();
        let in_a = |part: &str| jsonl.questions(Set::A).iter().filter(|q| q.text.contains(part)).count();
        assert!(matches!(in_a("true"), 0 | 2), "seed {seed}");
        apart |= in_a("odd") == 1;
    }
    assert!(apart, "other choices make another question");
}

#[test]
fn a_leak_across_the_parts_of_a_lesson_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let documents = [write(dir.path(), "d.jsonl", &row("Nothing", "here", ""))];
    let rows = row("Who sang Bb ?", "Tal Bo", ", \"set\": \"B\"") + &row("Who?", "Rik", ", \"set\": \"A\"");
    let questions = [write(dir.path(), "q.jsonl", &rows)];
    for (lesson, leaks) in [
        (r#"{"prompt": "Look. Who sang Bb ?", "thought": "Tal Bo did. It is late.", "answer": "late"}"#, true),
        (r#"{"prompt": "Is it late?", "thought": "I see. Who sang Bb ?", "answer": "Tal Bo"}"#, true),
        (r#"{"prompt": "Tal Bo is late?", "context": ["Who sang Bb ?"], "answer": "yes"}"#, true),
        (r#"{"prompt": "Is it late?", "context": ["Who?"], "thought": "Tal Bo sang.", "answer": "yes"}"#, false),
    ] {
        let lessons = [write(dir.path(), "l.jsonl", lesson)];
        let files = JsonlFiles { lessons: &lessons, ..files(&documents, &questions) };
        let jsonl = Jsonl::load(files, Match::Normalised, 0).unwrap();
        let error = leak::check(&Knowledge::Files(Box::new(jsonl))).err().map(|error| error.to_string());
        let found = error.as_ref().is_some_and(|error| error.contains("l.jsonl: line 1: an answer of the evaluation"));
        assert_eq!((found, error.is_some()), (leaks, leaks), "{lesson} {error:?}");
    }
}

/// Seconds that this thread has had a processor: a busy machine does not change them.
fn processor_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a value that lives until the call is over.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// How much longer loading and checking takes for eight times as much.
fn growth(make: impl Fn(usize) -> (String, String)) -> f64 {
    let dir = tempfile::tempdir().unwrap();
    let seconds = |size: usize| {
        let (documents, questions) = make(size);
        let documents = write(dir.path(), "d.jsonl", &documents);
        let questions = write(dir.path(), "q.jsonl", &questions);
        let once = || {
            let start = processor_seconds();
            let jsonl = load(from_ref(&documents), from_ref(&questions), 0).unwrap();
            leak::check(&Knowledge::Files(Box::new(jsonl))).unwrap();
            processor_seconds() - start
        };
        (0..3).map(|_| once()).fold(f64::INFINITY, f64::min)
    };
    seconds(8_000) / seconds(1_000)
}

#[test]
fn time_grows_with_documents_questions_and_choices_and_not_with_their_squares() {
    let of_questions = growth(|size| {
        let of = |i: usize| (format!("Who painted the wall number n{i} in Lake Zud?"), format!("Mavon t{i}"));
        let documents = (0..size).map(|i| row(&of(i).1, &format!("painted the wall number n{i} in Lake Zud."), ""));
        let questions = (0..size).map(|i| row(&of(i).0, &of(i).1, ""));
        (documents.collect(), questions.collect())
    });
    let of_choices = growth(|size| {
        let choices: Vec<String> = (0..size).map(|i| format!("\"c{i}\"")).collect();
        let choices = format!(", \"choices\": [{}]", choices.join(", "));
        (row("a", "b", ""), row("Who?", "c0", &choices) + &row("What?", "c1", &choices))
    });
    // A square would make it 64 times.
    assert!(of_questions < 30.0 && of_choices < 30.0, "{of_questions} {of_choices}");
}

#[test]
fn an_exported_world_is_read_back_and_recitations_are_judged() {
    let dir = tempfile::tempdir().unwrap();
    let (known, config) = (crate::knowledge::world::tests::known(), crate::knowledge::WorldConfig::default());
    let world = World::new(&known, &config).unwrap();
    let rows = |rows: Vec<String>| rows.join("\n");
    let told = world.documents().iter().map(|d| serde_json::json!({"set": d.set, "text": world.text(d)}).to_string());
    let documents = write(dir.path(), "documents.jsonl", &rows(told.collect()));
    let asked: Vec<Question> = [Set::A, Set::B].into_iter().flat_map(|set| world.questions(set)).collect();
    let lines = asked.iter().map(|question| serde_json::to_string(question).unwrap());
    let questions = write(dir.path(), "questions.jsonl", &rows(lines.collect()));
    let read = || Jsonl::to_measure(files(from_ref(&documents), from_ref(&questions)), Match::Normalised, 0);
    assert!(read().unwrap().world().is_none(), "nothing says which world it is");
    let origin = WorldOrigin { known: known.clone(), world: config.clone() };
    origin.write(dir.path()).unwrap();
    let back = read().unwrap();
    assert_eq!([back.questions(Set::A), back.questions(Set::B)].concat(), asked);
    let (generated, back) = (Knowledge::Generated(Box::new(world)), Knowledge::Files(Box::new(back)));
    leak::check(&back).unwrap();
    for question in &asked {
        let thought = question.context.join(" ");
        let answer = match question.cue.as_str() {
            "" => question.answer.clone(),
            cue => format!("{cue} : {}", question.answer),
        };
        let text = format!("{thought} </think> <answer> {answer} <eos>");
        let judged = |knowledge| crate::verifier::judge(knowledge, question, Opening::Think, &text, true);
        let judgement = judged(&back);
        assert!(judgement.correct && judgement.needed_found == judgement.needed, "{question:?}");
        assert_eq!(judgement, judged(&generated));
    }
    // Read as the knowledge of a run, they keep their sets, and what shares a fact is one topic.
    let loaded = load(from_ref(&documents), from_ref(&questions), 0).unwrap();
    assert_eq!(loaded.questions(Set::B).len(), back.questions(Set::B).len());
    let facts: HashSet<usize> = (0..loaded.questions(Set::A).len()).map(|at| loaded.fact(Set::A, at)).collect();
    assert!(facts.len() > 50, "{}", facts.len());
    // Another world than that of the questions is no help.
    WorldOrigin { known, world: crate::knowledge::WorldConfig { seed: 1, ..config } }.write(dir.path()).unwrap();
    let error = read().unwrap_err().to_string();
    assert!(error.contains("world.json: another world than that of") && error.contains("line 1"), "{error}");
}

#[test]
fn the_reversal_curse_data_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/reversal_curse");
    if !folder.is_dir() {
        println!("skipped: {} is missing", folder.display());
        return;
    }
    let files = |names: &[&str]| -> Vec<PathBuf> { names.iter().map(|n| folder.join(format!("{n}.jsonl"))).collect() };
    let documents = files(&["p2d_prompts_train", "d2p_prompts_train", "both_prompts_train"]);
    let both = ["p2d_prompts_test", "p2d_reverse_prompts_test", "d2p_prompts_test", "d2p_reverse_prompts_test"];
    let names = load(&documents, &files(&[both[1], both[2]]), 0).unwrap();
    let names: HashSet<&str> =
        [Set::A, Set::B].into_iter().flat_map(|set| names.questions(set)).map(|q| q.answer.as_str()).collect();
    assert_eq!(names.len(), 60);
    for (files_asked, people) in [(&both[..], 60), (&both[..1], 30), (&both[3..], 30)] {
        let jsonl = load(&documents, &files(files_asked), 1).unwrap();
        assert_eq!(jsonl.documents().len(), 3600);
        let (a, b) = (jsonl.questions(Set::A), jsonl.questions(Set::B));
        assert_eq!((a.len(), b.len()), (150 * files_asked.len(), 150 * files_asked.len()));
        let about = |questions: &[Question]| -> HashSet<&str> {
            let is_about = |q: &Question, name: &str| q.text.contains(name) || q.answer == name;
            names.iter().copied().filter(|name| questions.iter().any(|q| is_about(q, name))).collect()
        };
        assert!(about(a).is_disjoint(&about(b)), "{files_asked:?}");
        assert_eq!((about(a).len(), about(b).len()), (people / 2, people / 2));
        for question in a.iter().chain(b) {
            let words: usize = question.context.iter().map(|p| p.split_whitespace().count()).sum();
            assert!(question.context.len() >= 2 && words <= 60, "{question:?}");
            let is_about = |name: &&&str| question.text.contains(**name) || question.answer == **name;
            let name = names.iter().find(is_about).unwrap();
            assert!(question.context.iter().any(|passage| passage.contains(name)), "{question:?}");
        }
    }
    let jsonl = load(&documents, &files(&both), 1).unwrap();
    assert_ne!(jsonl.digest().unwrap(), load(&documents, &files(&both), 2).unwrap().digest().unwrap());
    let tokenizer = Tokenizer::train(&jsonl.lines(), 1000).unwrap();
    let text = &jsonl.questions(Set::B)[0].text;
    assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()).unwrap(), *text);
    let again = Tokenizer::train(&jsonl.lines(), 1000).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let saved = |tokenizer: &Tokenizer| {
        let path = dir.path().join("tokenizer.json");
        tokenizer.save(&path).unwrap();
        std::fs::read(path).unwrap()
    };
    assert!(saved(&tokenizer) == saved(&again), "the same lines, the same tokenizer");
}
