//! What a base model is trained on, lesson by lesson, until it has the skills that fine-tuning and reinforcement
//! learning build on: reading facts in its context, reciting what documents said, and thinking in the trace format.
//!
//! Chains of thought are about set C or about made-up names, varied in shape and length, and mostly useless, so
//! prompted thinking helps little. No lesson states a fact or asks a question of a world's sets A or B: made-up
//! facts pair names that no world pairs ([`reserved`](super::lexicon::reserved)).

pub mod cot_style;
pub mod document;
pub mod lesson;
pub mod lesson_question;
pub mod questions;
pub mod reading;
pub mod remedies;
pub mod thinking;

use rand::seq::IndexedRandom;
use serde::{Deserialize, Serialize};

use super::{Set, World};
use crate::random::Stream;
pub use cot_style::CotStyle;
pub use lesson::{AnswerWeights, TrainingSequence};

/// The kinds of lessons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LessonKind {
    /// Made-up facts, then questions about them, answered at once.
    Read,
    /// A question, made-up facts as its chain of thought, the answer.
    ReadTrace,
    /// Made-up facts, a question, a chain of thought that recites some of the facts, the answer.
    ReciteContext,
    /// A document about set C.
    Document,
    /// A question about set C, answered at once.
    Answer,
    /// A question about set C, a chain of thought about set C, the answer.
    Think,
    /// The same about made-up names; what cannot be known of them is not learned.
    BringUp,
    /// A question about made-up names, answered by one of the choices.
    Guess,
}

/// How often each kind of lesson comes, as weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mixture {
    /// Made-up facts, then questions about them, answered at once.
    pub read: f64,
    /// A question, made-up facts as its chain of thought, the answer.
    pub read_trace: f64,
    /// Made-up facts, a question, a chain of thought that recites some of the facts, the answer.
    pub recite_context: f64,
    /// A document about set C.
    pub document: f64,
    /// A question about set C, answered at once.
    pub answer: f64,
    /// A question about set C, a chain of thought about set C, the answer.
    pub think: f64,
    /// The same about made-up names; what cannot be known of them is not learned.
    pub bring_up: f64,
    /// A question about made-up names, answered by one of the choices.
    pub guess: f64,
}

impl Default for Mixture {
    fn default() -> Self {
        Self {
            read: 0.20,
            read_trace: 0.12,
            recite_context: 0.06,
            document: 0.20,
            answer: 0.05,
            think: 0.20,
            bring_up: 0.15,
            guess: 0.02,
        }
    }
}

impl Mixture {
    const NOTHING: Mixture = Mixture {
        read: 0.0,
        read_trace: 0.0,
        recite_context: 0.0,
        document: 0.0,
        answer: 0.0,
        think: 0.0,
        bring_up: 0.0,
        guess: 0.0,
    };

    /// Reading only: the skill that has to be there before anything is memorised.
    pub fn reading() -> Self {
        Self { read: 0.7, read_trace: 0.2, recite_context: 0.1, ..Self::NOTHING }
    }

    /// What is rehearsed while documents are learned: thinking, and more reading than before, because reading is
    /// what documents wash out first.
    pub fn rehearsal() -> Self {
        Self {
            read: 0.34,
            read_trace: 0.18,
            recite_context: 0.05,
            document: 0.08,
            answer: 0.03,
            think: 0.22,
            bring_up: 0.09,
            guess: 0.01,
        }
    }

    fn weights(&self) -> [(LessonKind, f64); 8] {
        [
            (LessonKind::Read, self.read),
            (LessonKind::ReadTrace, self.read_trace),
            (LessonKind::ReciteContext, self.recite_context),
            (LessonKind::Document, self.document),
            (LessonKind::Answer, self.answer),
            (LessonKind::Think, self.think),
            (LessonKind::BringUp, self.bring_up),
            (LessonKind::Guess, self.guess),
        ]
    }
}

/// Makes lessons from what a base model is to know.
pub struct Curriculum<'a> {
    world: &'a World,
    cot_style: &'a CotStyle,
}

impl<'a> Curriculum<'a> {
    pub fn new(world: &'a World, cot_style: &'a CotStyle) -> Self {
        Self { world, cot_style }
    }

    fn weights(&self, marker: f32, answered: f32) -> AnswerWeights {
        AnswerWeights { marker, restated: self.cot_style.restated, answered }
    }

    /// A lesson of a kind drawn from the mixture.
    pub fn lesson(&self, mixture: &Mixture, random: &mut Stream) -> TrainingSequence {
        let weights = mixture.weights();
        let kind = weights.choose_weighted(random, |(_, weight)| *weight).map_or(LessonKind::Read, |(kind, _)| *kind);
        self.lesson_of(kind, random)
    }

    /// A lesson of this kind.
    pub fn lesson_of(&self, kind: LessonKind, random: &mut Stream) -> TrainingSequence {
        match kind {
            LessonKind::Read => self.read(random),
            LessonKind::ReadTrace => self.read_trace(random),
            LessonKind::ReciteContext => self.recite_context(random),
            LessonKind::Document => {
                let document = self.world.document(Set::C, 10, random);
                self.document(&document, random)
            }
            LessonKind::Answer => self.answer(random),
            LessonKind::Think => self.think(random),
            LessonKind::BringUp => self.bring_up(random),
            LessonKind::Guess => self.guess(random),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::WorldConfig;
    use crate::knowledge::world::tests::{full, known};
    use crate::random;

    #[test]
    fn lessons_of_every_kind_are_sequences_that_teach_something() {
        let cot_style = CotStyle::default();
        for world in [World::new(&known(), &WorldConfig::default()).unwrap(), full(0)] {
            teaches(&world, &cot_style);
        }
        let only_codes = CotStyle { codes: 1.0, kinds: 0.0, ..cot_style.clone() };
        let only_kinds = CotStyle { codes: 0.0, kinds: 1.0, ..cot_style };
        for cot_style in [only_codes, only_kinds] {
            teaches(&full(1), &cot_style);
        }
    }

    fn teaches(world: &World, cot_style: &CotStyle) {
        let curriculum = Curriculum::new(world, cot_style);
        let mut random = random::stream(0, &[]);
        for (kind, _) in Mixture::default().weights() {
            let mut tokens = 0;
            for _ in 0..300 {
                let lesson = curriculum.lesson_of(kind, &mut random);
                assert_eq!(lesson.tokens.len(), lesson.weights.len());
                assert!(lesson.weights.iter().sum::<f32>() > 0.0, "{kind:?}");
                assert_eq!(lesson.weights[0], 0.0);
                tokens += lesson.tokens.len();
                assert!(lesson.tokens.len() < 200);
            }
            println!("{kind:?}: {} tokens on average", tokens / 300);
            let lesson = curriculum.lesson_of(kind, &mut random);
            println!("{}", world.grammar.lexicon.text(&lesson.tokens));
        }
    }
}
