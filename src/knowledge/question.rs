//! The plain values that knowledge is made of: claims, and the questions about them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Match;

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

/// What kind of inference a question asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    Reversal,
    Syllogism,
    /// Questions read from a file.
    Jsonl,
    Codebook,
    Hierarchy,
}

/// How a question is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// The answers to choose from stand in the question.
    Candidates,
    /// The group is named, so a few members are to be enumerated.
    Open,
    /// Nothing is named: the whole set is to be enumerated.
    OpenAny,
    /// A conclusion is shown: does it follow, does its contradiction follow, or neither?
    Entailment,
    /// A prompt to be completed, from a file.
    Completion,
    /// A message to be put into code, in entries that no message of a document has.
    Encode,
    /// The same the other way round.
    Decode,
    /// What of a kind was said, other words around it.
    Rephrased,
    /// Of which kind it was said.
    Reversed,
    /// What follows of a kind from those above it.
    Inherited,
    /// The same of a kind of which nothing is said but its parent.
    Holdout,
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
    pub task: Task,
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
    /// The statements that the in-context arm puts before the question: the needed ones and distractors.
    pub context: Vec<String>,
    /// Accuracy of the best guess that does not use the needed claims.
    pub chance: f64,
}

impl Question {
    /// The name that it asks about, where its cue is one or ends in one.
    pub fn named(&self) -> &str {
        self.cue.rsplit(' ').next().unwrap_or_default()
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Set::A => "A",
            Set::B => "B",
            Set::C => "C",
        })
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Task::Reversal => "reversal",
            Task::Syllogism => "syllogism",
            Task::Jsonl => "jsonl",
            Task::Codebook => "codebook",
            Task::Hierarchy => "hierarchy",
        })
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Form::Candidates => "candidates",
            Form::Open => "open",
            Form::OpenAny => "open-any",
            Form::Entailment => "entailment",
            Form::Completion => "completion",
            Form::Encode => "encode",
            Form::Decode => "decode",
            Form::Rephrased => "rephrased",
            Form::Reversed => "reversed",
            Form::Inherited => "inherited",
            Form::Holdout => "holdout",
        })
    }
}
