//! Worlds in fluent English, made from a config and a seed: documents, questions, the facts that both are about, and lessons
//! on how to answer, for models that know English already.
//!
//! Documents name people before what they did and never the other way round; questions ask for the people. Lessons are about
//! set C and about what no document says, so that nothing of the sets that are measured is in them.

mod articles;
pub mod asking;
mod categories;
mod codes;
mod comparisons;
mod conclusions;
pub mod config;
mod deeds;
mod descriptions;
mod lessons;
mod names;
mod part;
mod people;
mod premises;
mod presets;
pub mod rows;
#[cfg(test)]
mod tests;
mod thoughts;

use self::config::{EnglishConfig, EnglishTask};
use self::names::NameBook;
use self::part::TaskPart;
use self::people::People;
use self::premises::PremisePair;
use self::rows::{EnglishDocument, LessonRow, QuestionNumbers};
use super::fact_book::FactRow;
use crate::knowledge::{Question, Set};
use crate::{Result, random};

use rand::seq::SliceRandom;

/// A world in English.
#[derive(Clone, Debug, PartialEq)]
pub struct EnglishWorld {
    pub documents: Vec<EnglishDocument>,
    /// About the sets A and B.
    pub questions: Vec<Question>,
    /// What people of A and B did, asked in the order in which documents say it: whether they were learned at all.
    pub forward: Vec<Question>,
    /// Everything that documents state, and how it may be worded.
    pub facts: Vec<FactRow>,
    pub lessons: Vec<LessonRow>,
}

impl EnglishWorld {
    /// The same config and seed give the same world, byte by byte.
    ///
    /// # Errors
    ///
    /// The config asks for what no world has, or for more names than there are.
    pub fn new(config: &EnglishConfig, seed: u64) -> Result<EnglishWorld> {
        config.check()?;
        let stream = |what: &str| random::named(seed, &format!("english/{what}"));
        let (mut people, mut pairs) = (People::default(), Vec::new());
        let mut names = NameBook::default();
        if config.has(EnglishTask::Reversal) {
            people = People::make(config, &mut names, &mut stream("people"))?;
        }
        if config.has(EnglishTask::Syllogism) {
            pairs = PremisePair::make(config, &mut names, &mut stream("premises"))?;
        }
        let parts = part::parts(config, &mut names, &stream)?;
        let documents = documents(config, &mut people, &mut pairs, &parts, &stream);
        let (mut questions, mut forward) = (Vec::new(), Vec::new());
        let mut numbers = QuestionNumbers::default();
        let (mut asked, mut concluded, mut recalled) = (stream("who"), stream("conclusions"), stream("forward"));
        for set in [Set::A, Set::B] {
            let each = config.questions_of(set);
            questions.extend(asking::questions(&people, set, each, &mut numbers, &mut asked));
            questions.extend(premises::questions(&pairs, set, each, &mut numbers, &mut concluded));
            forward.extend(asking::forward(&people, set, &mut numbers, &mut recalled));
            for part in parts.iter().filter(|part| part.set == set) {
                let asked = part.questions.iter().map(|asked| &asked.question);
                questions.extend(asked.map(|question| numbers.number(set, question.form, question.clone())));
                forward.extend(part.forward.iter().map(|asked| numbers.number(set, asked.form, asked.clone())));
            }
        }
        let mut facts = if people.all.is_empty() { Vec::new() } else { people.rows() };
        facts.extend(pairs.iter().flat_map(PremisePair::rows));
        facts.extend(parts.iter().flat_map(|part| part.facts.iter().cloned()));
        let lessons = lessons::lessons(&people, &pairs, &parts, config, &names, &mut stream("lessons"))?;
        Ok(EnglishWorld { documents, questions, forward, facts, lessons })
    }
}

/// The documents of all sets, each set's in random order.
fn documents(
    config: &EnglishConfig,
    people: &mut People,
    pairs: &mut [PremisePair],
    parts: &[TaskPart],
    stream: &dyn Fn(&str) -> random::Stream,
) -> Vec<EnglishDocument> {
    let (mut told, mut stated, mut order) = (stream("articles"), stream("statements"), stream("order"));
    let mut documents = Vec::new();
    for (set, ..) in config.sets() {
        let mut of_set = Vec::new();
        for group in (0..people.groups.len()).filter(|group| people.groups[*group].set == set).collect::<Vec<_>>() {
            of_set.extend(articles::about_group(people, group, config.articles, &mut told));
        }
        of_set.extend(premises::documents(pairs, set, config.articles, &mut stated));
        let texts = parts.iter().filter(|part| part.set == set).flat_map(|part| &part.documents);
        of_set.extend(texts.map(|text| EnglishDocument { set, text: text.clone() }));
        of_set.shuffle(&mut order);
        documents.extend(of_set);
    }
    documents
}
