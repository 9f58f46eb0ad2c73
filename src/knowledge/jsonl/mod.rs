//! Documents and questions from files: one JSON object a line, or a table (CSV, Parquet) whose columns have the same names.
//!
//! ```text
//! {"prompt": "Mavon Tal is known as", "completion": " the first diver of Lake Zud."}
//! {"prompt": "Who dived first in Lake Zud?", "completion": "Mavon Tal", "set": "B", "choices": ["Mavon Tal", "Rik Dop"]}
//! ```
//! A row of a document file is a text, its prompt followed by its completion, or `text` alone. A row of a question file asks
//! for its completion; `question` and `answer` are other names of the two. Where several answers are right, the completion is
//! a list (also called `answers`), of which the first is shown, or `aliases` has the others. `messages` of a user and an assistant are a prompt
//! and its completion. Optional keys: `id` (a number that
//! no other question has), `set` ("A" or "B"), `match` (how an answer is compared), `choices` (what a guesser may choose from;
//! they are not shown with the question), `context` (the passages that the in-context arm reads). What is missing is made: ids
//! from line numbers, sets from facts, contexts from the documents. Equal questions count once.
//!
//! Questions that `recollect world --export` wrote keep all that is known of them. With the `world.json` beside them, what is
//! recited can be judged.

mod evidence;
mod exported;
mod lessons;
mod lines;
mod markup;
mod raw_row;
mod rows;
mod sets;
mod shown;
mod spelling;
mod tables;
pub mod task;
#[cfg(test)]
mod tests;
mod watched;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use self::evidence::PassageIndex;
pub use self::exported::WorldOrigin;
pub use self::lessons::{Lesson, LessonRow};
pub(crate) use self::lines::read_rows;
pub(super) use self::rows::words;
use self::rows::{DocumentText, QuestionRow};
use self::task::{COMPLETION, is_of};
pub use self::watched::LeakMatcher;
use super::answers::Key;
use super::curriculum::TrainingSequence;
use super::english::ClaimReader;
use super::english::fact_book::FactRow;
use super::english::world::EnglishWorld;
use super::english::world::rows::EnglishDocument;
use super::logic::Import;
use super::question::question_id;
use super::{Form, Match, Question, Set, World};
use crate::language::Tokenizer;
use crate::language::tokenizer::{BOS, EOS};
use crate::text::composed;
use crate::{Error, Result, files, random};

/// Ids that rows give are below this, so that they never meet the ids that are made.
const IDS: u64 = 1 << 32;

/// The files that knowledge is read from.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonlFiles<'a> {
    pub documents: &'a [PathBuf],
    pub questions: &'a [PathBuf],
    /// What the documents state, if recited facts are to be judged.
    pub facts: &'a [PathBuf],
    pub lessons: &'a [PathBuf],
    /// Columns of documents and questions that nobody knows are no fault.
    pub ignore_columns: bool,
}

/// Knowledge in free text.
#[derive(Clone, Debug)]
pub struct Jsonl {
    documents: Vec<String>,
    /// What each document is about, where its row says so.
    document_sets: Vec<Option<Set>>,
    /// File and line of each document.
    places: Vec<String>,
    /// The documents, cut where sentences end.
    passages: Vec<String>,
    sets: BTreeMap<Set, FileQuestions>,
    duplicates: usize,
    /// The world that exported questions are about.
    world: Option<Box<(WorldOrigin, World)>>,
    /// Reads what is recited and knows what is true.
    reader: Option<Arc<ClaimReader>>,
    /// What it is made from.
    facts: Vec<FactRow>,
    lessons: Vec<Lesson>,
    /// Questions in the order of the documents, which are exported and not asked.
    forward: Vec<Question>,
    /// The forms of the questions, in the order in which they come.
    forms: Vec<Form>,
    /// All of it is that of a world in English.
    english: bool,
    /// Made when it is first asked for.
    watched: Arc<OnceLock<LeakMatcher>>,
}

/// The questions of a set, in the order of the files.
#[derive(Clone, Debug, Default)]
struct FileQuestions {
    questions: Vec<Question>,
    /// File and line of each.
    places: Vec<String>,
    /// The number of the fact that each is about.
    facts: Vec<usize>,
}

impl Jsonl {
    /// Reads files. Answers are compared by `matching`, unless a row says otherwise. The seed decides which facts go to set A
    /// and which to B, and the order of the passages in contexts.
    ///
    /// # Errors
    /// A file that cannot be read or has no rows; a row that is not as above, by file and line; questions that cannot be
    /// divided between A and B.
    pub fn load(files: JsonlFiles, matching: Match, seed: u64) -> Result<Jsonl> {
        let divide = |rows: &[QuestionRow], about: &[Vec<usize>]| {
            let facts = sets::facts(rows, about);
            Ok((sets::assign(rows, &facts, seed)?, numbered(&facts, rows.len())))
        };
        Self::read(files, matching, seed, divide)
    }

    /// Reads questions that are only to be measured by, with the documents that they are about, if there are any. All that
    /// ask for no set are questions of B.
    ///
    /// # Errors
    /// As those of [`Jsonl::load`], but for the division.
    pub fn to_measure(files: JsonlFiles, matching: Match, seed: u64) -> Result<Jsonl> {
        let divide = |rows: &[QuestionRow], _: &[Vec<usize>]| {
            Ok((rows.iter().map(|row| row.set.unwrap_or(Set::B)).collect(), (0..rows.len()).collect()))
        };
        Self::read(files, matching, seed, divide)
    }

    /// `divide` gives the set and the number of the fact of each row, by the passages that it is about.
    fn read(
        files: JsonlFiles,
        matching: Match,
        seed: u64,
        divide: impl FnOnce(&[QuestionRow], &[Vec<usize>]) -> Result<(Vec<Set>, Vec<usize>)>,
    ) -> Result<Jsonl> {
        let documents = rows::documents(files.documents, files.ignore_columns)?;
        let all = rows::questions(files.questions, matching, files.ignore_columns)?;
        let shape = "a fact is one JSON object with the texts subject, relation and object";
        let facts = lines::each_row(files.facts, &mut |line, place| {
            FactRow::parse(line).map_err(|error| Error::invalid(place, lines::in_row(&error), shape))
        })?;
        let lessons = lessons::lessons(files.lessons)?;
        let world = if facts.is_empty() { exported::world(files.questions, &all)?.map(Box::new) } else { None };
        let jsonl = Self::from_rows(
            Rows { documents, questions: all, facts, import: Import::Existential, lessons },
            seed,
            divide,
        )?;
        Ok(Jsonl { world, ..jsonl })
    }

    /// The same of a world in English, whose questions know their sets and what they need.
    ///
    /// # Errors
    /// As those of [`Jsonl::load`]; there are none in a world that is as it should be.
    pub fn from_english(world: EnglishWorld, import: Import, seed: u64) -> Result<Jsonl> {
        let place = |what: &str, number: usize| format!("world.english: {what} {}", number + 1);
        let documents = world.documents.into_iter().enumerate();
        let questions = world.questions.into_iter().enumerate();
        let lessons = world.lessons.into_iter().enumerate();
        let rows = Rows {
            documents: documents
                .map(|(at, EnglishDocument { set, text })| DocumentText {
                    text,
                    set: Some(set),
                    place: place("document", at),
                })
                .collect(),
            questions: questions.map(|(at, question)| QuestionRow::whole(question, place("question", at))).collect(),
            facts: world.facts,
            import,
            lessons: lessons.map(|(at, row)| Lesson { row, place: place("lesson", at) }).collect(),
        };
        let jsonl = Self::from_rows(rows, seed, |rows, _| {
            let facts = sets::facts(rows, &vec![Vec::new(); rows.len()]);
            Ok((rows.iter().map(|row| row.question.set).collect(), numbered(&facts, rows.len())))
        })?;
        Ok(Jsonl { forward: world.forward, ..jsonl })
    }

    /// Questions about A and B in the order in which documents state what they ask, of a world in English.
    pub fn forward(&self) -> &[Question] {
        &self.forward
    }

    fn from_rows(
        rows: Rows,
        seed: u64,
        divide: impl FnOnce(&[QuestionRow], &[Vec<usize>]) -> Result<(Vec<Set>, Vec<usize>)>,
    ) -> Result<Jsonl> {
        let Rows { documents, questions: all, facts, import, lessons } = rows;
        let document_sets = documents.iter().map(|document| document.set).collect();
        let documents = documents.into_iter().map(|DocumentText { text, place, .. }| (text, place));
        let (documents, places): (Vec<String>, Vec<String>) = documents.unzip();
        let count = all.len();
        let (numbers, rows): (Vec<usize>, Vec<QuestionRow>) = distinct(all).into_iter().unzip();
        check_ids(&rows, &numbers)?;
        // Questions of a user know neither what they need nor what chance is, and toy worlds have no file of facts.
        let english = !facts.is_empty() && rows.iter().all(|row| row.exported);
        let reader =
            (!facts.is_empty()).then(|| Arc::new(ClaimReader::importing(facts.iter().cloned().collect(), import)));
        let evidence = PassageIndex::index(&documents);
        let mut search = evidence.search();
        let about: Vec<Vec<usize>> = rows.iter().map(|row| search.about(&row.text())).collect();
        let (sets, fact_of) = divide(&rows, &about)?;
        let duplicates = count - rows.len();
        let mut all = BTreeMap::<Set, FileQuestions>::new();
        let mut forms: Vec<Form> = Vec::new();
        for (index, (row, set)) in rows.into_iter().zip(sets).enumerate() {
            if !forms.contains(&row.question.form) {
                forms.push(row.question.form);
            }
            let of_set = all.entry(set).or_default();
            of_set.facts.push(fact_of[index]);
            of_set.places.push(row.place.clone());
            of_set.questions.push(if row.exported {
                row.question
            } else {
                let mut random = random::stream(seed, &[4, numbers[index] as u64]);
                let id = id(&row, numbers[index]);
                let context = row.context.unwrap_or_else(|| evidence.context(&about[index], &mut random));
                let needed = reader.as_ref().map_or(Vec::new(), |reader| reader.needed(&row.question));
                Question { id, set, context, needed, ..row.question }
            });
        }
        Ok(Jsonl {
            documents,
            document_sets,
            places,
            passages: evidence.into_passages(),
            sets: all,
            duplicates,
            world: None,
            reader,
            facts,
            lessons,
            forward: Vec::new(),
            forms,
            english,
            watched: Arc::default(),
        })
    }

    /// Whether it is a world in English, made here or exported with its facts: then it is known what may not answer its questions.
    pub fn is_english(&self) -> bool {
        self.english
    }

    /// The texts of files of documents, where nothing else is to be known.
    ///
    /// # Errors
    /// A file that cannot be read or has no rows; a row that is no document, by file and line.
    pub fn texts(documents: &[PathBuf]) -> Result<Vec<String>> {
        Ok(rows::documents(documents, false)?.into_iter().map(|document| document.text).collect())
    }

    /// The forms of the questions, in the order in which they come.
    pub fn forms(&self) -> &[Form] {
        &self.forms
    }

    /// What reads recited facts and knows which are true, where that is known.
    pub fn reader(&self) -> Option<&ClaimReader> {
        self.reader.as_deref()
    }

    /// The rows of the facts files.
    pub fn fact_rows(&self) -> &[FactRow] {
        &self.facts
    }

    /// The lessons, in the order of the files.
    pub fn lessons(&self) -> &[Lesson] {
        &self.lessons
    }

    /// The questions of a set, in the order of the files. Set C has none.
    pub fn questions(&self, set: Set) -> &[Question] {
        self.sets.get(&set).map_or(&[], |of_set| &of_set.questions)
    }

    /// The numbers, in a set, of its questions of a form. That of rows that name none stands for all of them.
    pub fn of_form(&self, set: Set, form: Form) -> impl Iterator<Item = usize> {
        let all = self.questions(set).iter().enumerate();
        all.filter(move |(_, question)| is_of(question, form)).map(|(at, _)| at)
    }

    /// The questions of a set with the file and the line of each.
    pub fn asked(&self, set: Set) -> impl Iterator<Item = (&Question, &str)> {
        let of_set = self.sets.get(&set).into_iter();
        of_set.flat_map(|of_set| of_set.questions.iter().zip(of_set.places.iter().map(String::as_str)))
    }

    /// How many rows of the question files said again what another one says. They are not among the questions.
    pub fn duplicates(&self) -> usize {
        self.duplicates
    }

    /// The world that the questions are about, where they were exported from one and it is known.
    pub fn world(&self) -> Option<&World> {
        self.world.as_ref().map(|world| &world.1)
    }

    /// What of B must not stand in anything that trains.
    ///
    /// Errors: more questions than can be looked for at once.
    pub fn watched(&self) -> Result<&LeakMatcher> {
        match self.watched.get() {
            Some(watched) => Ok(watched),
            None => {
                let watched = LeakMatcher::new(self.asked(Set::B))?;
                Ok(self.watched.get_or_init(|| watched))
            }
        }
    }

    /// What that world is made from.
    pub fn origin(&self) -> Option<&WorldOrigin> {
        self.world.as_ref().map(|world| &world.0)
    }

    /// The number of the fact that question `index` of a set is about. Questions about one fact have one number.
    pub fn fact(&self, set: Set, index: usize) -> usize {
        self.sets.get(&set).and_then(|of_set| of_set.facts.get(index)).copied().unwrap_or(index)
    }

    /// The documents, in the order of the files.
    pub fn documents(&self) -> &[String] {
        &self.documents
    }

    /// The documents with what each is about, where that is known.
    pub fn documents_in_sets(&self) -> impl Iterator<Item = (&str, Option<Set>)> {
        self.documents.iter().map(String::as_str).zip(self.document_sets.iter().copied())
    }

    /// The documents with the file and the line of each.
    pub fn told(&self) -> impl Iterator<Item = (&str, &str)> {
        self.documents.iter().map(String::as_str).zip(self.places.iter().map(String::as_str))
    }

    /// The documents in passages of a few sentences, in the order of the files.
    pub fn passages(&self) -> &[String] {
        &self.passages
    }

    /// A digest of all documents, questions and facts, in hexadecimal. Lessons are told apart where they are learned.
    ///
    /// # Errors
    /// What cannot be written as JSON.
    pub fn digest(&self) -> Result<String> {
        let questions: BTreeMap<Set, &[Question]> = self.sets.keys().map(|set| (*set, self.questions(*set))).collect();
        match &self.reader {
            None => files::digest_json("world.jsonl", &(&self.documents, questions, self.origin())),
            Some(reader) => files::digest_json("world.jsonl", &(&self.documents, questions, reader.book())),
        }
    }

    /// A digest of all lessons, in hexadecimal.
    ///
    /// # Errors
    /// What cannot be written as JSON.
    pub fn lessons_digest(&self) -> Result<String> {
        files::digest_json("world.jsonl.lessons", &self.lessons.iter().map(|lesson| &lesson.row).collect::<Vec<_>>())
    }

    /// Everything that a tokenizer may be trained on: the documents and the questions of A. Those of B are for the
    /// evaluation alone.
    pub fn lines(&self) -> Vec<String> {
        let asked = self.questions(Set::A).iter().map(|q| format!("{} {}", q.text, q.answer));
        self.documents.iter().cloned().chain(asked).collect()
    }

    /// Each document from its beginning to its end, every token of it learned. One that is longer than `longest`
    /// tokens becomes several sequences.
    pub fn document_sequences(&self, tokenizer: &Tokenizer, longest: usize) -> Result<Vec<TrainingSequence>> {
        let mut lessons = Vec::with_capacity(self.documents.len());
        for document in &self.documents {
            let tokens = tokenizer.encode(&format!("{BOS} {document} {EOS}"))?;
            for piece in tokens[1..].chunks(longest.saturating_sub(1).max(1)) {
                let mut lesson = TrainingSequence { tokens: vec![tokens[0]], weights: vec![0.0] };
                lesson.learn(piece.iter().copied(), 1.0);
                lessons.push(lesson);
            }
        }
        Ok(lessons)
    }
}

/// The number of the fact that each row is about. `facts` are the rows of each.
fn numbered(facts: &[Vec<usize>], rows: usize) -> Vec<usize> {
    let mut fact_of = vec![0; rows];
    facts.iter().enumerate().for_each(|(fact, rows)| rows.iter().for_each(|row| fact_of[*row] = fact));
    fact_of
}

/// What files hold, row by row.
struct Rows {
    documents: Vec<DocumentText>,
    questions: Vec<QuestionRow>,
    facts: Vec<FactRow>,
    /// Whether terms of facts have members.
    import: Import,
    lessons: Vec<Lesson>,
}

fn id(row: &QuestionRow, number: usize) -> u64 {
    // The set is left out of the id: another seed may move a question, and it is still the same question.
    row.id.unwrap_or_else(|| question_id(Set::A, COMPLETION, number))
}

/// What two rows have in common that ask the same: question, right answers, choices, and what is restated.
type Sameness = (String, Vec<Key>, Vec<String>, Match, Option<(Form, String)>);

/// The rows without those that ask what an earlier one asks, each with its number among all. Rows that ask for different sets
/// stay two, so that the check for leaks finds them.
fn distinct(rows: Vec<QuestionRow>) -> Vec<(usize, QuestionRow)> {
    let mut kept: Vec<(usize, QuestionRow)> = Vec::with_capacity(rows.len());
    let mut first: HashMap<Sameness, usize> = HashMap::new();
    for (number, row) in rows.into_iter().enumerate() {
        let Question { text, cue, form, matching, choices, .. } = &row.question;
        let keys = row.question.right_answers().map(|answer| matching.key(answer)).collect();
        let restated = row.exported.then(|| (*form, cue.clone()));
        match first.entry((composed(text), keys, choices.clone(), *matching, restated)) {
            Entry::Vacant(new) => {
                new.insert(kept.len());
                kept.push((number, row));
            }
            Entry::Occupied(there) => {
                let earlier = &mut kept[*there.get()].1;
                if earlier.set.zip(row.set).is_some_and(|(one, other)| one != other) {
                    kept.push((number, row));
                    continue;
                }
                earlier.set = earlier.set.or(row.set);
                earlier.id = earlier.id.or(row.id);
                earlier.context = earlier.context.take().or(row.context);
            }
        }
    }
    kept
}

fn check_ids(rows: &[QuestionRow], numbers: &[usize]) -> Result<()> {
    let mut seen: HashMap<u64, &QuestionRow> = HashMap::new();
    for (row, number) in rows.iter().zip(numbers) {
        let id = id(row, *number);
        if !row.exported && row.id.is_some_and(|id| id >= IDS) {
            return Err(Error::invalid(format!("{}: id", row.place), format!("found {id}"), "ids are below 2^32"));
        }
        if let Some(first) = seen.insert(id, row) {
            let found = format!("{id} is the id of another question, {}", first.place);
            return Err(Error::invalid(format!("{}: id", row.place), found, "give each question its own or none"));
        }
    }
    Ok(())
}
