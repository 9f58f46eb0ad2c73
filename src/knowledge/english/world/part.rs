//! What a further task adds to a world in English.

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::config::{EnglishConfig, EnglishTask};
use super::names::NameBook;
use super::{categories, codes, comparisons, conclusions, descriptions};
use crate::Result;
use crate::knowledge::english::fact_book::FactRow;
use crate::knowledge::{Question, Set};
use crate::random::Stream;
use crate::text::capital;

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

/// What a part is made from.
pub struct PartPlan<'a> {
    pub config: &'a EnglishConfig,
    pub set: Set,
    /// How much of its task there is.
    pub size: usize,
    pub names: &'a mut NameBook,
    pub random: &'a mut Stream,
}

impl PartPlan<'_> {
    /// Questions about each fact: as many as a set has, and two in a set that has lessons only.
    pub fn each(&self) -> usize {
        if self.set == Set::C { 2 } else { self.config.questions_of(self.set) }
    }

    /// The numbers of so many wordings in random order.
    pub fn wordings(&mut self, count: usize) -> Vec<usize> {
        let mut wordings: Vec<usize> = (0..count).collect();
        wordings.shuffle(self.random);
        wordings
    }
}

/// A further task.
struct FurtherTask {
    task: EnglishTask,
    /// Of its stream of random numbers.
    name: &'static str,
    make: fn(&mut PartPlan) -> Result<TaskPart>,
    /// How much of it is as little as questions can be asked about.
    least: usize,
}

const FURTHER: [FurtherTask; 5] = [
    FurtherTask { task: EnglishTask::Comparison, name: "comparisons", make: comparisons::make, least: 4 },
    FurtherTask { task: EnglishTask::Conclusion, name: "alternatives", make: conclusions::make, least: 6 },
    FurtherTask { task: EnglishTask::Description, name: "descriptions", make: descriptions::make, least: 8 },
    FurtherTask { task: EnglishTask::Hierarchy, name: "kinds", make: categories::make, least: 2 },
    FurtherTask { task: EnglishTask::Codebook, name: "codes", make: codes::make, least: 1 },
];

/// Further tasks of all sets.
pub fn parts(config: &EnglishConfig, names: &mut NameBook, stream: &dyn Fn(&str) -> Stream) -> Result<Vec<TaskPart>> {
    let mut parts = Vec::new();
    for FurtherTask { task, name, make, .. } in FURTHER.iter().filter(|further| config.has(further.task)) {
        let random = &mut stream(name);
        for (set, _, size) in config.sets() {
            parts.push(make(&mut PartPlan { config, set, size: size.of(*task), names, random })?);
        }
    }
    Ok(parts)
}

/// A question of one of the further tasks about what no document says, where there is such a task.
pub fn stranger(config: &EnglishConfig, mut names: NameBook, random: &mut Stream) -> Result<Option<PartQuestion>> {
    let asked: Vec<&FurtherTask> =
        FURTHER.iter().filter(|further| config.has(further.task) && config.c.of(further.task) > 0).collect();
    let Some(FurtherTask { make, least, .. }) = asked.choose(random) else { return Ok(None) };
    let mut plan = PartPlan { config, set: Set::C, size: *least, names: &mut names, random };
    let mut questions = make(&mut plan)?.questions;
    let chosen = random.random_range(0..questions.len().max(1));
    Ok((chosen < questions.len()).then(|| questions.swap_remove(chosen)))
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
