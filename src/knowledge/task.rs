//! What a task is: how its knowledge is made and worded, how its questions are judged, and what one set holds of it.
//!
//! Everything else asks these traits; `README.md` beside this file says how to add a task.

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use rand::Rng;

use super::config::{KnownConfig, SetSize};
use super::curriculum::cot_style::CotStyle;
use super::draft::QuestionDraft;
use super::facts::{Facts, answered};
use super::lexicon::{Lexicon, Vocabulary, Word};
use super::pools::Pools;
use super::sentence::{Sentence, Slot, Stated, object_first, words};
use super::shortcut::{Guesses, Tried};
use super::training_text::{LeakKind, TrainingWord};
use super::{Claim, Form, Question, TaskId};
use crate::random::Stream;
use crate::{Error, Result};

/// A task, whether its questions are generated or come from files.
pub trait Task: Sync {
    fn id(&self) -> TaskId;

    /// The forms of its questions, in the order in which they are asked.
    fn forms(&self) -> &'static [Form];

    /// The one answer that the claims of a trace give to a question, if there is one and no other.
    fn entailed(&self, question: &Question, claims: &BTreeSet<&Claim>, facts: &dyn Facts) -> Option<String> {
        answered(question, claims, facts.import())
    }

    /// The sentence that a question asks about, as documents are masked: without what it asks for, nor what it does not
    /// name, and without its full stop. `None` where the answer is in no single sentence.
    fn masked(&self, _question: &Question) -> Option<String> {
        None
    }
}

/// What a set of a task is made from.
pub struct SetMaker<'a> {
    pub known: &'a KnownConfig,
    pub lexicon: &'a Lexicon,
    pub pools: &'a mut Pools,
    pub random: &'a mut Stream,
    /// Names that are asked about together are [reserved](super::lexicon::reserved) for worlds, or none of them is.
    pub reserved: bool,
}

/// A task of generated worlds.
pub trait GeneratedTask: Task {
    /// Every base knows it, and lessons mix it as the curriculum says. Others are there where a base and a world ask for it.
    fn is_core(&self) -> bool {
        false
    }

    /// How much a set has of it, and the key that says so.
    fn size(&self, set: &SetSize) -> (String, usize) {
        let name = self.id().name;
        (format!("tasks.{name}"), set.tasks.get(name).copied().unwrap_or(0))
    }

    /// How much set C has of it.
    fn known_size(&self, known: &KnownConfig) -> usize {
        known.tasks.get(self.id().name).copied().unwrap_or(0)
    }

    /// The share of lessons that are about it, where the base is to know it.
    fn lesson_share(&self, cot_style: &CotStyle) -> f64 {
        cot_style.tasks.get(self.id().name).copied().unwrap_or(0.0)
    }

    /// Refuses what a base cannot know.
    fn check_known(&self, _known: &KnownConfig) -> Result<()> {
        Ok(())
    }

    /// Refuses a size of a set; `key` is where it stands.
    fn check_size(&self, key: &str, size: usize, known: &KnownConfig) -> Result<()> {
        if size == 0 || self.known_size(known) > 0 {
            return Ok(());
        }
        let found = format!("found {size}, and the base knows nothing of {}", self.id().plural);
        let remedy = "set it to 0, or take a base that knows some (base.path = \"embedded-versed\")";
        Err(Error::invalid(key, found, remedy))
    }

    /// The words that it brings.
    fn vocabulary(&self) -> Vocabulary;

    /// The kinds of names that it takes, in the order in which they are shuffled: those that it brings, unless it says
    /// otherwise.
    fn takes(&self) -> Vec<&'static str> {
        self.vocabulary().names.iter().map(|names| names.kind).collect()
    }

    /// Which stream of a seed its sets are drawn from: one that no other task has, unless it says otherwise. So a further
    /// task changes nothing about those that are there.
    fn stream(&self) -> u64 {
        16 + self.id().number
    }

    /// Makes a set.
    ///
    /// # Errors
    ///
    /// What the config says is impossible, or there are too few names.
    fn make(&self, size: usize, maker: &mut SetMaker) -> Result<Arc<dyn TaskData>>;

    /// A little of it, about names that no world pairs: what lessons in reading are about. `None` if a small lexicon has
    /// not enough of them, and of core tasks, of which the curriculum makes up its own.
    fn made_up(&self, _known: &KnownConfig, _lexicon: &Lexicon, _random: &mut Stream) -> Option<Arc<dyn TaskData>> {
        None
    }

    /// A statement in one of its wordings.
    fn sentence(&self, lexicon: &Lexicon, stated: [Word; 4], wording: usize) -> Sentence;

    /// What a statement claims.
    fn claim(&self, lexicon: &Lexicon, stated: [Word; 4]) -> Claim;

    /// What a sentence claims, by its words without the full stop; `None` if it is none of this task's.
    fn read(&self, lexicon: &Lexicon, sentence: &[&str]) -> Option<Claim>;

    /// The statement in the order in which documents do not state it: what is said first, or its converse.
    fn turned_round(&self, lexicon: &Lexicon, stated: [Word; 4], wording: usize) -> Vec<Word> {
        object_first(&self.sentence(lexicon, stated, wording / 3 * 3), lexicon.grammar(","))
    }

    /// What a statement is about: names that may stand before it without giving away what it says.
    fn about(&self, lexicon: &Lexicon, stated: [Word; 4]) -> Vec<Word> {
        let mut sentence = self.sentence(lexicon, stated, 0);
        sentence.retain(|(_, slot)| matches!(slot, Slot::Group | Slot::Subject));
        words(&sentence)
    }

    /// Whether a statement can be recalled after what was asked and thought.
    fn comes_to_mind(&self, _stated: [Word; 4], _asked: &[Word], _thought: &mut dyn Iterator<Item = &Stated>) -> bool {
        true
    }
}

/// What one set holds of a task.
pub trait TaskData: Any + fmt::Debug + Send + Sync {
    /// Everything that is to be known of it.
    fn statements(&self) -> Vec<Stated>;

    /// How often documents are about it, beside other tasks.
    fn weight(&self) -> usize {
        self.statements().len()
    }

    /// The statements of a document, none of them twice.
    fn document(&self, sentences: usize, random: &mut Stream) -> Vec<Stated>;

    /// Any statement.
    fn any_statement(&self, random: &mut Stream) -> Stated {
        let all = self.statements();
        all[random.random_range(0..all.len())]
    }

    /// Whether two names are bound to each other by more than one statement, so that neither may stand before the other.
    fn related(&self, _one: Word, _other: Word) -> bool {
        false
    }

    /// How many different questions of a form there are.
    fn questions_of(&self, form: Form) -> usize;

    /// The number of what question `index` is about. Questions about different topics need nothing in common.
    fn topic(&self, form: Form, index: usize) -> usize;

    /// Question `index` of a form, with its choices and its context.
    fn question(&self, lexicon: &Lexicon, form: Form, index: usize, random: &mut Stream) -> QuestionDraft;

    /// A question for a lesson, with what a thought may say of it; in its context those statements stand that it needs.
    fn lesson_question(&self, lexicon: &Lexicon, cot_style: &CotStyle, random: &mut Stream) -> QuestionDraft;

    /// Whether the question mark that is met here ends one of its questions.
    fn asks(&self, lexicon: &Lexicon, mark: &TrainingWord) -> bool;

    /// Whether the colon that is met here stands between what is asked of it and the answer.
    fn answers(&self, lexicon: &Lexicon, colon: &TrainingWord) -> bool;

    /// What a word that is learned gives away, beside questions and answers.
    fn gives_away(&self, _word: &TrainingWord) -> Option<LeakKind> {
        None
    }

    /// Rules that might answer its questions without knowing it, and what they answer: fitted on set A, tried on this one.
    fn shortcuts(&self, _fit: &dyn TaskData, tried: &Tried) -> Vec<(&'static str, Guesses)> {
        tried.by_choices()
    }
}

impl fmt::Debug for dyn Task {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.id().fmt(f)
    }
}
