//! The plain values that knowledge is made of: claims, and the questions about them.

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

    /// The name that it asks about, where its cue is one or ends in one.
    pub fn named(&self) -> &str {
        self.cue.rsplit(' ').next().unwrap_or_default()
    }
}

/// A number that no other question of the world has: it keys random streams and pairs the arms.
pub fn question_id(set: Set, form: Form, index: usize) -> u64 {
    ((set as u64) << 40) | (form.task.number << 36) | ((form.number % 16) << 32) | index as u64
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.serialize(f)
    }
}
