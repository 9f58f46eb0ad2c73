//! What a further task adds to a world in English.

use rand::seq::{IndexedRandom, SliceRandom};

use super::config::{EnglishConfig, EnglishTask};
use super::names::{NameBook, capital};
use super::{categories, codes, comparisons, conclusions, descriptions};
use crate::Result;
use crate::knowledge::english::fact_book::FactRow;
use crate::knowledge::{Question, Set};
use crate::random::Stream;

/// What one set holds of a further task.
#[derive(Debug)]
pub struct TaskPart {
    pub set: Set,
    pub documents: Vec<String>,
    /// Without numbers. Those of set C are for lessons.
    pub questions: Vec<PartQuestion>,
    /// Questions in the order in which documents say it.
    pub forward: Vec<Question>,
    pub facts: Vec<FactRow>,
}

/// A question with what a thought may say.
#[derive(Debug)]
pub struct PartQuestion {
    pub question: Question,
    /// Sentences that state what it needs.
    pub needed: Vec<String>,
    /// Sentences about something beside it.
    pub others: Vec<String>,
}

/// Further tasks of all sets.
pub fn parts(config: &EnglishConfig, names: &mut NameBook, stream: &dyn Fn(&str) -> Stream) -> Result<Vec<TaskPart>> {
    type Make = fn(&EnglishConfig, Set, usize, &mut NameBook, &mut Stream) -> Result<TaskPart>;
    let further: [(EnglishTask, &str, Make); 5] = [
        (EnglishTask::Comparison, "comparisons", comparisons::make),
        (EnglishTask::Conclusion, "alternatives", conclusions::make),
        (EnglishTask::Description, "descriptions", descriptions::make),
        (EnglishTask::Hierarchy, "kinds", categories::make),
        (EnglishTask::Codebook, "codes", codes::make),
    ];
    let mut parts = Vec::new();
    for (task, name, make) in further.into_iter().filter(|(task, ..)| config.has(*task)) {
        let mut random = stream(name);
        for (set, _, size) in config.sets() {
            parts.push(make(config, set, size.of(task), names, &mut random)?);
        }
    }
    Ok(parts)
}

/// A sentence from a wording without capital letter and full stop.
pub fn stated(wording: &str, subject: &str, object: &str) -> String {
    capital(&wording.replace("{subject}", subject).replace("{object}", object)) + "."
}

/// An opening, what is stated, and sometimes a closing.
pub fn short_article(openings: &[&str], stated: &[String], closings: &[&str], random: &mut Stream) -> String {
    let mut sentences: Vec<&str> = openings.choose(random).copied().into_iter().collect();
    sentences.extend(stated.iter().map(String::as_str));
    if sentences.len() < 3 {
        sentences.extend(closings.choose(random));
    }
    sentences.join(" ")
}

/// The right one and others of them, in random order.
pub fn right_among(right: usize, others: &[usize], count: usize, random: &mut Stream) -> Vec<usize> {
    let mut shown: Vec<usize> = others.choose_multiple(random, count.saturating_sub(1)).copied().collect();
    shown.push(right);
    shown.shuffle(random);
    shown
}

/// Questions about each fact: as many as a set has, and one in a set that has lessons only.
pub fn each(config: &EnglishConfig, set: Set) -> usize {
    if set == Set::C { 2 } else { config.questions_of(set) }
}
