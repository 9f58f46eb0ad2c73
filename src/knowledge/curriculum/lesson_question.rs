//! A question of a lesson with everything that a chain of thought about it may say.

use crate::knowledge::lexicon::Word;
use crate::knowledge::sentence::Stated;

/// A question, its answer, and statements by how much they have to do with it.
pub struct LessonQuestion {
    pub words: Vec<Word>,
    /// What the answer says, in pairs: words of the question that it restates, and what it says to them.
    pub answers: Vec<(Vec<Word>, Word)>,
    /// What the answer needs, in an order in which it can be recalled.
    pub needed: Vec<Stated>,
    /// What a thought about it says beside what comes to mind.
    pub thought: Thought,
    /// Which names its statements are about can be told from the question.
    pub shows_subjects: bool,
    /// Whoever knows nothing may still answer with one of the choices.
    pub can_be_guessed: bool,
}

/// What a thought says of a question.
pub enum Thought {
    /// Any of these, at this share of its sentences: what is about the candidates or the group.
    AnyOf(Vec<Stated>, f64),
    /// What is needed from its beginning, one after another, at this share of the turns.
    InOrder(f64),
}

/// How statements of a trace were come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceSource {
    /// The question asks for it: a candidate, a member of the group, a premise about an end term.
    Near,
    /// It came to mind.
    Other,
}

impl LessonQuestion {
    /// Whether a trace says all that the answer needs.
    pub fn is_answered_by(&self, trace: &[(Stated, TraceSource)]) -> bool {
        self.needed.iter().all(|needed| trace.iter().any(|(stated, _)| stated == needed))
    }
}
