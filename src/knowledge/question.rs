//! The plain values that knowledge is made of: claims, and the questions about them.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Form, Match, TaskId};
use crate::text::{bare, words};

/// What is said before an answer that restates no question.
const LABELS: [&str; 4] = ["answer", "final answer", "answer is", "final answer is"];

/// Names that a question shows which shows its candidates, the right one among them.
pub const CANDIDATES: usize = 4;

/// Which part of the knowledge something belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Set {
    /// Documents are fine-tuned; questions are used by reinforcement learning.
    A,
    /// Documents are fine-tuned; questions are used by the evaluation and nothing else.
    B,
    /// Known to the base model.
    C,
}

/// The four forms of a categorical statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mood {
    /// A: all S are P.
    All,
    /// E: no S is P.
    No,
    /// I: some S are P.
    Some,
    /// O: some S are not P.
    SomeNot,
}

/// What a statement says, whatever its wording. Two paraphrases of one fact are the same claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Claim {
    /// In `group`, `subject` stands in `relation` to `object` (`relation` is the canonical verb).
    Relation { group: String, subject: String, relation: String, object: String },
    /// A categorical statement about two terms.
    Categorical { subject: String, mood: Mood, predicate: String },
}

impl Claim {
    /// What it says something of, and what it says of that.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Claim::Relation { group, subject, object, .. } => vec![group, subject, object],
            Claim::Categorical { subject, predicate, .. } => vec![subject, predicate],
        }
    }
}

/// One question, the same for every arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// Unique in its world; random streams and paired tests use it.
    pub id: u64,
    pub task: TaskId,
    pub form: Form,
    pub set: Set,
    /// The question as it stands after the question mark token, candidates included.
    pub text: String,
    /// What the answer restates before it answers ("bilu" in "bilu : mavo", "have mavids" of a kind). Empty for `jsonl`, and for messages of a
    /// codebook, which restate each of their words in its turn.
    pub cue: String,
    /// The right answer.
    pub answer: String,
    /// Other answers that are right as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// How an answer is compared with these.
    #[serde(rename = "match", default = "Match::exact", skip_serializing_if = "Match::is_exact")]
    pub matching: Match,
    /// What a guesser who knows the rules may choose from. Empty where anything can be said.
    pub choices: Vec<String>,
    /// The claims that the answer needs, all of them.
    pub needed: Vec<Claim>,
    /// What is to be concluded from them or not, where the question asks that and no cue says it in a grammar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conclusion: Option<Claim>,
    /// The statements that the in-context arm puts before the question: the needed ones and distractors.
    pub context: Vec<String>,
    /// Accuracy of the best guess that does not use the needed claims.
    pub chance: f64,
}

impl Question {
    /// A question of a form of which nothing else is known.
    pub fn blank(form: Form) -> Question {
        Question {
            id: 0,
            task: form.task,
            form,
            set: Set::A,
            text: String::new(),
            cue: String::new(),
            answer: String::new(),
            aliases: Vec::new(),
            matching: Match::Exact,
            choices: Vec::new(),
            needed: Vec::new(),
            conclusion: None,
            context: Vec::new(),
            chance: 0.0,
        }
    }

    /// All right answers, that which is shown first.
    pub fn right_answers(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.answer).chain(&self.aliases).map(String::as_str)
    }

    /// Whether an answer is right, as it stands.
    pub fn is_answered_by(&self, said: &str) -> bool {
        self.matching.any(self.right_answers(), said)
    }

    /// What is left of an answer that first restates what it answers: words of the question, or "answer", before a colon (or
    /// before an equals sign, where a number is asked for). `None` where it does not.
    pub fn without_restated<'a>(&self, said: &'a str) -> Option<&'a str> {
        let ends = |c: char| c == ':' || c == '：' || (c == '=' && self.matching == Match::Number);
        let (at, sign) = said.char_indices().find(|(_, c)| ends(*c))?;
        let (before, behind) = (&said[..at], &said[at + sign.len_utf8()..]);
        // "12:30" restates nothing.
        let apart = before.ends_with(char::is_whitespace)
            || behind.is_empty()
            || behind.starts_with(|c: char| c.is_whitespace() || c == '*');
        let longest = 4 * self.text.len() + 64;
        if !apart || before.len() > longest || behind.trim().is_empty() {
            return None;
        }
        let spelt = |text: &str| {
            let words = words(text).into_iter().map(|word| word.text + " ");
            words.fold(String::from(" "), |line, word| line + &word)
        };
        let restated = spelt(before);
        let label = self.matching != Match::Exact && LABELS.contains(&bare(before).as_str());
        let cue = !restated.trim().is_empty() && spelt(&self.text).contains(&restated);
        (label || cue).then(|| behind.trim())
    }

    /// Whether an answer is a sentence that says the right one in the question's own words: "Paris is the capital of France."
    /// Nothing else may stand in it, neither another choice nor what takes it back.
    pub fn is_stated_by(&self, said: &str) -> bool {
        let spelt = |text: &str| -> Vec<String> { words(text).into_iter().map(|word| word.text).collect() };
        if self.matching == Match::Exact || said.contains('?') || said.len() > LONGEST_SENTENCE {
            return false;
        }
        let said = words(said);
        if said.iter().any(|word| word.asks) {
            return false;
        }
        let (sentence, lists): (Vec<String>, Vec<bool>) = said.into_iter().map(|word| (word.text, word.lists)).unzip();
        let asked: HashSet<String> = spelt(&self.text).into_iter().collect();
        let from_question = |word: &String| asked.contains(word) || SAYING.contains(&word.as_str());
        let rest = self.right_answers().find_map(|right| {
            let right = spelt(right);
            let at = sentence.windows(right.len().max(1)).position(|part| part == right.as_slice())?;
            // What is asked for comes first, or behind what leads to it: "Anna loves Bob" does not say who loves Anna.
            let before = &sentence[..at];
            let leading = before.iter().rev().find(|word| !ARTICLES.contains(&word.as_str()));
            let placed = leading.is_none_or(|word| LEADING.contains(&word.as_str()));
            // What is enumerated behind it would be answered as well.
            let alone = !right.is_empty() && !lists[at + right.len() - 1];
            (placed && alone).then(|| [before, &sentence[at + right.len()..]].concat())
        });
        let others = || {
            let mut wrong =
                self.choices.iter().filter(|choice| !self.is_answered_by(choice)).map(|choice| spelt(choice));
            let named = |choice: Vec<String>| {
                !choice.is_empty() && sentence.windows(choice.len()).any(|part| part == choice.as_slice())
            };
            wrong.any(named)
        };
        rest.is_some_and(|rest| {
            rest.len() > 1
                && rest.iter().all(from_question)
                && !rest.iter().any(|word| TAKING_BACK.contains(&word.as_str()))
        }) && !others()
    }

    /// The name that it asks about, where its cue is one or ends in one.
    pub fn named(&self) -> &str {
        self.cue.rsplit(' ').next().unwrap_or_default()
    }
}

/// A longer text is no sentence that answers.
const LONGEST_SENTENCE: usize = 500;
const ARTICLES: [&str; 3] = ["the", "a", "an"];
/// Words that lead to what was asked for.
const LEADING: [&str; 5] = ["is", "are", "was", "were", "by"];
/// Words of sentences that say what was asked for.
const SAYING: [&str; 12] = ["is", "are", "was", "were", "the", "a", "an", "it", "there", "answer", "by", "in"];
/// Words that make of a sentence another one, or two, as they are compared.
const TAKING_BACK: [&str; 12] =
    ["or", "and", "not", "no", "nor", "neither", "either", "never", "maybe", "perhaps", "isnt", "wasnt"];

/// A number that no other question of the world has: it keys random streams and pairs the arms.
pub fn question_id(set: Set, form: Form, index: usize) -> u64 {
    ((set as u64) << 40) | (form.task.number << 36) | ((form.number % 16) << 32) | index as u64
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.serialize(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::jsonl::task::COMPLETION;

    fn question(text: &str, answer: &str, choices: &[&str]) -> Question {
        Question {
            text: text.into(),
            answer: answer.into(),
            matching: Match::Normalised,
            choices: choices.iter().map(|choice| choice.to_string()).collect(),
            ..Question::blank(COMPLETION)
        }
    }

    #[test]
    fn a_sentence_in_the_words_of_the_question_says_its_answer() {
        let capital = question("What is the capital of France?", "Paris", &[]);
        let planet = question("Which planet is called the Red Planet?", "Mars", &[]);
        let days = question("How many days are in a week?", "7", &[]);
        let bridge = question(
            "Who designed the Glass Bridge? Choose one of: Mara Venn, Rik Dop.",
            "Mara Venn",
            &["Mara Venn", "Rik Dop"],
        );
        let within = question("What was Bogarts subject, art or music?", "art", &[]);
        let hyphen = question("Dop-Téllez wrote?", "Téllez", &[]);
        let behind = question("What was the subject of Bogart, the teacher?", "art", &[]);
        for (asked, said) in [
            (&capital, "Paris is the capital of France."),
            (&capital, "The capital of France is Paris"),
            (&planet, "The Red Planet is Mars."),
            (&days, "There are 7 days in a week."),
            (&bridge, "Mara Venn designed the Glass Bridge."),
            (&bridge, "The Glass Bridge was designed by Mara Venn."),
            (&within, "Bogarts subject was art."),
            (&behind, "The subject of Bogart, the teacher, was art."),
        ] {
            assert!(asked.is_stated_by(said) && !asked.is_answered_by(said), "{said}");
        }
        for (asked, said) in [
            (&capital, "Paris is the capital of Germany."),
            (&capital, "Paris is not the capital of France."),
            (&capital, "Paris is nice."),
            (&capital, "Is Paris the capital of France?"),
            (&capital, "Paris or Lyon is the capital of France."),
            (&capital, "Paris, the capital of France, is Lyon."),
            (&capital, "Paris France"),
            (&capital, "the capital of France"),
            (&capital, ""),
            (&bridge, "Mara Venn, Rik Dop."),
            (&within, "Bogarts subject was art, music."),
            (&within, "Bogarts subject wasn't art."),
            (&within, "Was art Bogarts subject？"),
            (&hyphen, "Te\u{301}llez, Dop wrote"),
            (&hyphen, "Téllez、 Dop wrote"),
            (&hyphen, "Téllez\u{ad}， Dop wrote"),
            (&within, "Bogarts subject was \"art\", music."),
            (&bridge, "Mara Venn and Rik Dop designed the Glass Bridge."),
            (&bridge, "Rik Dop designed the Glass Bridge."),
            (&bridge, "The Glass Bridge designed Mara Venn."),
            (&bridge, "Rik Dop Mara Venn designed the Glass Bridge."),
        ] {
            assert!(!asked.is_stated_by(said), "{said}");
        }
        let exact = Question { matching: Match::Exact, ..capital };
        assert!(!exact.is_stated_by("Paris is the capital of France."));
    }
}
