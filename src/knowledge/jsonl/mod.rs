//! Documents and questions from files: one JSON object a line.
//!
//! ```text
//! {"prompt": "Mavon Tal is known as", "completion": " the first diver of Lake Zud."}
//! {"prompt": "Who dived first in Lake Zud?", "completion": "Mavon Tal", "set": "B", "choices": ["Mavon Tal", "Rik Dop"]}
//! ```
//! A row of a document file is a text, its prompt followed by its completion. A row of a question file asks for its
//! completion. Optional keys: `id` (a number that no other question has), `set` ("A" or "B"), `choices` (what a
//! guesser may choose from; they are not shown with the question), `context` (the passages that the in-context arm
//! reads). What is missing is made: ids from line numbers, sets from facts, contexts from the documents.

mod evidence;
mod exported;
mod lessons;
mod rows;
mod sets;
mod watched;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use self::evidence::Evidence;
use self::rows::Row;
pub(super) use self::rows::words;
pub use self::watched::Watched;
use super::reversal::question_id;
use super::{Form, Question, Set, Task};
use crate::{Error, Result, files, random};

/// Ids that rows give are below this, so that they never meet the ids that are made.
const IDS: u64 = 1 << 32;

/// Knowledge from files.
#[derive(Clone, Debug)]
pub struct Jsonl {
    documents: Vec<String>,
    /// The documents, cut where sentences end.
    passages: Vec<String>,
    questions: BTreeMap<Set, Vec<Question>>,
    /// The number of the fact that each question is about.
    facts: BTreeMap<Set, Vec<usize>>,
    duplicates: usize,
}

impl Jsonl {
    /// Reads document and question files. The seed decides which facts go to set A and which to B, and the order of
    /// the passages in contexts.
    ///
    /// Errors: a file that cannot be read or has no rows; a row that is not as above, by file and line; questions
    /// that cannot be divided between A and B.
    pub fn load(documents: &[PathBuf], questions: &[PathBuf], seed: u64) -> Result<Jsonl> {
        let documents: Vec<String> = rows::read_all(documents)?.iter().map(Row::text).collect();
        let rows = rows::read_all(questions)?;
        rows.iter().try_for_each(Row::check_question)?;
        check_ids(&rows)?;
        let evidence = Evidence::index(&documents);
        let about: Vec<Vec<usize>> = rows.iter().map(|row| evidence.about(&row.text())).collect();
        let rows_of_facts = sets::facts(&rows, &about);
        let sets = sets::assign(&rows, &rows_of_facts, seed)?;
        let fact_of = |row: usize| rows_of_facts.iter().position(|rows| rows.contains(&row)).unwrap_or(row);
        let mut facts = BTreeMap::<Set, Vec<usize>>::new();
        (0..rows.len()).for_each(|row| facts.entry(sets[row]).or_default().push(fact_of(row)));
        let mut questions = BTreeMap::<Set, Vec<Question>>::new();
        for (index, (row, set)) in rows.into_iter().zip(sets).enumerate() {
            let mut random = random::stream(seed, &[4, index as u64]);
            let context = row.context.clone().unwrap_or_else(|| evidence.context(&about[index], &mut random));
            questions.entry(set).or_default().push(question(row, index, set, context));
        }
        Ok(Jsonl { documents, passages: evidence.into_passages(), questions, facts, duplicates: 0 })
    }

    /// Reads questions that are only to be measured by, with the documents that they are about, if there are any. All that
    /// ask for no set are questions of B. Besides rows as above a file may hold questions as `recollect world --export`
    /// writes them.
    ///
    /// Errors: as those of [`Jsonl::load`], but for the division.
    pub fn to_measure(documents: &[PathBuf], questions: &[PathBuf], seed: u64) -> Result<Jsonl> {
        let documents: Vec<String> = rows::read_all(documents)?.iter().map(Row::text).collect();
        let evidence = Evidence::index(&documents);
        let (mut all, mut facts) = (BTreeMap::<Set, Vec<Question>>::new(), BTreeMap::<Set, Vec<usize>>::new());
        let mut plain: Vec<Row> = Vec::new();
        for path in questions {
            match exported::read(path)? {
                Some(exported) => exported.into_iter().for_each(|one| all.entry(one.set).or_default().push(one)),
                None => plain.extend(rows::read_all(std::slice::from_ref(path))?),
            }
        }
        plain.iter().try_for_each(Row::check_question)?;
        check_ids(&plain)?;
        for (index, row) in plain.into_iter().enumerate() {
            let mut random = random::stream(seed, &[4, index as u64]);
            let mut found = |row: &Row| evidence.context(&evidence.about(&row.text()), &mut random);
            let (set, context) = (row.set().unwrap_or(Set::B), row.context.clone().unwrap_or_else(|| found(&row)));
            facts.entry(set).or_default().push(index);
            all.entry(set).or_default().push(question(row, index, set, context));
        }
        Ok(Jsonl { documents, passages: evidence.into_passages(), questions: all, facts, duplicates: 0 })
    }

    /// The questions of a set, in the order of the files. Set C has none.
    pub fn questions(&self, set: Set) -> &[Question] {
        self.questions.get(&set).map_or(&[], Vec::as_slice)
    }

    /// The number of the fact that question `index` of a set is about. Questions about one fact have one number.
    pub fn fact(&self, set: Set, index: usize) -> usize {
        self.facts.get(&set).and_then(|facts| facts.get(index)).copied().unwrap_or(index)
    }

    /// Rows that ask what another row asks, and are left out.
    pub fn duplicates(&self) -> usize {
        self.duplicates
    }

    /// The documents, in the order of the files.
    pub fn documents(&self) -> &[String] {
        &self.documents
    }

    /// The documents in passages of a few sentences, in the order of the files.
    pub fn passages(&self) -> &[String] {
        &self.passages
    }

    /// A digest of all documents and questions, in hexadecimal.
    pub fn digest(&self) -> Result<String> {
        let text = serde_json::to_vec(&(&self.documents, &self.questions))
            .map_err(|error| Error::invalid("world.jsonl", error.to_string(), "it cannot be written as JSON"))?;
        Ok(files::digest(&text))
    }

    /// Everything that a tokenizer may be trained on: the documents and the questions of A. Those of B are for the
    /// evaluation alone.
    pub fn lines(&self) -> Vec<String> {
        let asked = self.questions(Set::A).iter().map(|q| format!("{} {}", q.text, q.answer));
        self.documents.iter().cloned().chain(asked).collect()
    }
}

fn question(row: Row, index: usize, set: Set, context: Vec<String>) -> Question {
    Question {
        // The set is left out of the id: another seed may move a question, and it is still the same question.
        id: row.id.unwrap_or_else(|| question_id(Set::A, Task::Jsonl, index, Form::Completion)),
        task: Task::Jsonl,
        form: Form::Completion,
        set,
        text: row.prompt.trim().into(),
        cue: String::new(),
        answer: row.completion.trim().into(),
        chance: if row.choices.is_empty() { 0.0 } else { 1.0 / row.choices.len() as f64 },
        choices: row.choices.iter().map(|choice| choice.trim().into()).collect(),
        needed: Vec::new(),
        context,
    }
}

fn check_ids(rows: &[Row]) -> Result<()> {
    let mut seen: HashMap<u64, &Row> = HashMap::new();
    for row in rows {
        let Some(id) = row.id else { continue };
        if id >= IDS {
            return Err(Error::invalid(format!("{}: id", row.place), format!("found {id}"), "ids are below 2^32"));
        }
        if let Some(first) = seen.insert(id, row) {
            let found = format!("{id} is the id of another question, {}", first.place);
            return Err(Error::invalid(format!("{}: id", row.place), found, "give each question its own or none"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::Path;

    use super::*;
    use crate::knowledge::curriculum::Lesson;
    use crate::language::Tokenizer;

    const PEOPLE: [(&str, &str); 6] = [
        ("Mavon Tal", "the first diver of Lake Zud"),
        ("Rik Dop", "a painter of purple bridges"),
        ("Selu Marn", "the inventor of silent thunder"),
        ("Pag Olin", "a keeper of glass owls"),
        ("Nev Fask", "the mayor of floating Quill"),
        ("Tam Birk", "a baker of iron bread"),
    ];

    fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn row(prompt: &str, completion: &str, more: &str) -> String {
        format!("{{\"prompt\": \"{prompt}\", \"completion\": \"{completion}\"{more}}}\n")
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
        let load =
            |seed| Jsonl::load(std::slice::from_ref(&documents), std::slice::from_ref(&questions), seed).unwrap();
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
        assert!(
            (0..8).all(|seed| id("Who is a keeper of glass owls?", seed) == id("Who is a keeper of glass owls?", 0))
        );
    }

    #[test]
    fn questions_are_as_the_other_rooms_expect_them() {
        let dir = tempfile::tempdir().unwrap();
        let (documents, questions) = people(dir.path());
        let jsonl = Jsonl::load(&[documents], &[questions], 0).unwrap();
        assert_eq!(jsonl.documents()[0], "Mavon Tal is known as the first diver of Lake Zud.");
        for set in [Set::A, Set::B] {
            for question in jsonl.questions(set) {
                assert_eq!((question.task, question.form, question.set), (Task::Jsonl, Form::Completion, set));
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
        let jsonl = Jsonl::load(&[documents], &[questions], 0).unwrap();
        let tokenizer = Tokenizer::train(&jsonl.lines(), 300).unwrap();
        let lessons = jsonl.lessons(&tokenizer, 512).unwrap();
        let read: Vec<String> = lessons.iter().map(|l| tokenizer.decode(&l.tokens).unwrap()).collect();
        let expected: Vec<String> = jsonl.documents().iter().map(|d| format!("<bos>{d}<eos>")).collect();
        assert_eq!(read.iter().map(|text| text.replace("> ", ">").replace(" <", "<")).collect::<Vec<_>>(), expected);
        assert!(lessons.iter().all(|l| l.weights[0] == 0.0 && l.weights[1..].iter().all(|w| *w == 1.0)));
        let pieces = jsonl.lessons(&tokenizer, 10).unwrap();
        let learned =
            |lessons: &[Lesson]| -> Vec<u32> { lessons.iter().flat_map(|l| l.tokens[1..].to_vec()).collect() };
        assert!(pieces.len() > lessons.len() && pieces.iter().all(|lesson| lesson.tokens.len() <= 10));
        assert_eq!(learned(&pieces), learned(&lessons), "nothing is lost");
    }

    #[test]
    fn what_a_row_says_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let documents = write(dir.path(), "d.jsonl", &row("a b", " c", ""));
        let text = [
            row("one ?", "x", ", \"set\": \"B\", \"id\": 7, \"context\": [\"so it is\", \"x\"]"),
            row("two ?", "y", ", \"set\": \"A\", \"choices\": [\" y.\", \"z\", \"w\", \"v\"]"),
            row("three ?", "x.", ""),
        ];
        let questions = write(dir.path(), "q.jsonl", &text.concat());
        let jsonl = Jsonl::load(&[documents], &[questions], 0).unwrap();
        let [one, three] = jsonl.questions(Set::B) else { panic!("{jsonl:?}") };
        assert_eq!((one.id, one.context.len(), three.answer.as_str()), (7, 2, "x."), "the same answer, the same set");
        let two = &jsonl.questions(Set::A)[0];
        assert_eq!((two.chance, two.choices[0].as_str(), two.context.len()), (0.25, "y.", 0));
    }

    #[test]
    fn questions_that_cannot_be_used_are_refused_in_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let documents = write(dir.path(), "d.jsonl", &row("a b", " c", ""));
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
            (row("who ?", "x", "") + &row("what ?", "X.", ""), "all 2 questions are about one fact"),
            (row("who ?", "x", ", \"set\": \"A\""), "no question for set B"),
        ] {
            let questions = write(dir.path(), "q.jsonl", &rows);
            let message = Jsonl::load(std::slice::from_ref(&documents), &[questions], 0).unwrap_err().to_string();
            assert!(message.contains(expected) && !message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn the_reversal_curse_data_loads() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/reversal_curse");
        if !folder.is_dir() {
            println!("skipped: {} is missing", folder.display());
            return;
        }
        let files =
            |names: &[&str]| -> Vec<PathBuf> { names.iter().map(|n| folder.join(format!("{n}.jsonl"))).collect() };
        let documents = files(&["p2d_prompts_train", "d2p_prompts_train", "both_prompts_train"]);
        let both = ["p2d_prompts_test", "p2d_reverse_prompts_test", "d2p_prompts_test", "d2p_reverse_prompts_test"];
        let names = Jsonl::load(&documents, &files(&[both[1], both[2]]), 0).unwrap();
        let names: HashSet<&str> =
            [Set::A, Set::B].into_iter().flat_map(|set| names.questions(set)).map(|q| q.answer.as_str()).collect();
        assert_eq!(names.len(), 60);
        for (files_asked, people) in [(&both[..], 60), (&both[..1], 30), (&both[3..], 30)] {
            let jsonl = Jsonl::load(&documents, &files(files_asked), 1).unwrap();
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
        let jsonl = Jsonl::load(&documents, &files(&both), 1).unwrap();
        assert_ne!(jsonl.digest().unwrap(), Jsonl::load(&documents, &files(&both), 2).unwrap().digest().unwrap());
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
}
