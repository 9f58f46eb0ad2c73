//! What a base model is trained on, lesson by lesson, until it has the skills that fine-tuning and reinforcement
//! learning build on: reading facts in its context, reciting what documents said, and thinking in the trace format.
//!
//! Chains of thought are about set C or about made-up names, varied in shape and length, and mostly useless, so
//! prompted thinking helps little. No lesson states a fact or asks a question of a world's sets A or B: made-up
//! facts pair names that no world pairs ([`reserved`](super::lexicon::reserved)).

pub mod cot_style;
mod drills;
pub mod lesson;
mod lessons;
mod remedies;

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use serde::{Deserialize, Serialize};

use super::draft::QuestionDraft;
use super::lexicon::Lexicon;
use super::registry::generated;
use super::reversal::{self, Fact, Reversals, made_up_facts};
use super::sentence::Stated;
use super::syllogism::{self, Chain, Syllogisms, made_up_chains};
use super::task::{GeneratedTask, TaskData};
use super::{Form, Set, World};
use crate::random::Stream;
pub use cot_style::CotStyle;
use cot_style::is_off;
pub use lesson::TrainingSequence;
use lesson::{ANSWER, EOS};

/// How much the answer itself counts; all other words count 1 or less.
const ANSWERED: f32 = 2.0;
/// How much the end of an answer counts.
const ENDED: f32 = 0.3;

/// Share of lessons about set C that are about facts, where they are about a core task.
const KNOWN_FACTS: f64 = 0.55;

/// Makes a lesson of one kind.
pub type MakeLesson<'a> = fn(&Curriculum<'a>, &mut Stream) -> TrainingSequence;

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
    /// Made-up facts or arguments, and the same text again, word for word: for a base without a structured start.
    #[serde(skip_serializing_if = "is_off")]
    pub repeat: f64,
    /// Made-up facts or arguments, then a question about each of them, answered at once: likewise.
    #[serde(skip_serializing_if = "is_off")]
    pub read_many: f64,
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
            ..Self::NOTHING
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
        repeat: 0.0,
        read_many: 0.0,
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
            ..Self::NOTHING
        }
    }

    /// The kinds of lessons with the weight of each.
    pub fn kinds<'a>(&self) -> [(MakeLesson<'a>, f64); 10] {
        [
            (Curriculum::read, self.read),
            (Curriculum::read_trace, self.read_trace),
            (Curriculum::recite_context, self.recite_context),
            (Curriculum::known_document, self.document),
            (Curriculum::answer_at_once, self.answer),
            (Curriculum::think, self.think),
            (Curriculum::bring_up, self.bring_up),
            (Curriculum::guess, self.guess),
            (Curriculum::repeat, self.repeat),
            (Curriculum::read_many, self.read_many),
        ]
    }
}

/// Makes lessons from what a base model is to know.
pub struct Curriculum<'a> {
    world: &'a World,
    cot_style: &'a CotStyle,
    /// Whether documents about set C are masked as often as not.
    masks: bool,
}

impl<'a> Curriculum<'a> {
    pub fn new(world: &'a World, cot_style: &'a CotStyle) -> Self {
        Self { world, cot_style, masks: false }
    }

    /// The same for a model that learns from masked documents: half of those about set C are masked.
    pub fn masking(self) -> Self {
        Self { masks: true, ..self }
    }

    /// A lesson of a kind drawn from the mixture.
    pub fn lesson(&self, mixture: &Mixture, random: &mut Stream) -> TrainingSequence {
        let kinds = mixture.kinds();
        let make =
            kinds.choose_weighted(random, |(_, weight)| *weight).map_or(Curriculum::read as MakeLesson, |kind| kind.0);
        make(self, random)
    }

    fn lexicon(&self) -> &Lexicon {
        &self.world.grammar.lexicon
    }

    /// `<answer> cue : answer <eos>`; several cues and answers where a message is asked for word by word. `marker` is what
    /// `<answer>` counts, 0 where the prompt ends in it; `answered` scales the answer itself: below 1 where it can only be
    /// guessed.
    fn answer(
        &self,
        mut lesson: TrainingSequence,
        asked: &QuestionDraft,
        marker: f32,
        answered: f32,
    ) -> TrainingSequence {
        lesson.push(ANSWER, marker);
        for (cue, answer) in &asked.answers {
            // A long cue is copied word by word; it should not outweigh what it leads to.
            let restated = self.cot_style.restated / (cue.len().max(1) as f32).sqrt();
            lesson.learn(cue.iter().copied(), restated);
            lesson.push(self.lexicon().grammar(":"), ENDED);
            lesson.push(*answer, ANSWERED * answered);
        }
        lesson.push(EOS, ENDED);
        lesson
    }

    /// A question that is read, and its answer.
    fn at_once(&self, asked: &QuestionDraft, answered: f32) -> TrainingSequence {
        self.answer(TrainingSequence::begin().question(&asked.words), asked, 0.0, answered)
    }

    /// The task of a lesson, where it is none of the core tasks. Nothing is drawn for a base that knows no others, so its
    /// lessons are what they would be without.
    fn further_task(&self, random: &mut Stream) -> Option<&'static dyn GeneratedTask> {
        let known = |task: &&&dyn GeneratedTask| !task.is_core() && task.known_size(&self.world.known) > 0;
        let tasks: Vec<_> =
            generated().iter().filter(known).map(|task| (*task, task.lesson_share(self.cot_style))).collect();
        if tasks.iter().map(|(_, share)| share).sum::<f64>() <= 0.0 {
            return None;
        }
        let (drawn, mut up_to) = (random.random::<f64>(), 0.0);
        let turn = |(_, share): &(&dyn GeneratedTask, f64)| {
            up_to += share;
            drawn < up_to
        };
        tasks.into_iter().find(turn).map(|(task, _)| task)
    }

    /// A question about made-up names of such a task. `None` where none is to be known, or it is a core task's turn.
    fn further_to_read(&self, random: &mut Stream) -> Option<QuestionDraft> {
        let made_up = self.further_task(random)?.made_up(&self.world.known, self.lexicon(), random)?;
        Some(made_up.lesson_question(self.lexicon(), self.cot_style, random))
    }

    /// What set C has to be asked about.
    fn known_data(&self, random: &mut Stream) -> &dyn TaskData {
        let further = self.further_task(random).and_then(|task| self.world.of(Set::C, task.id()));
        if let Some(data) = further {
            return data;
        }
        let chains: &Syllogisms = self.world.data(Set::C);
        if random.random_bool(KNOWN_FACTS) || chains.chains.is_empty() {
            self.world.data::<Reversals>(Set::C)
        } else {
            chains
        }
    }

    /// A question about set C.
    fn known(&self, random: &mut Stream) -> QuestionDraft {
        self.known_data(random).lesson_question(self.lexicon(), self.cot_style, random)
    }

    /// Any statement of set C.
    fn any_known(&self, random: &mut Stream) -> Stated {
        self.known_data(random).any_statement(random)
    }

    /// A question about a fact of a group.
    fn about(&self, fact: Fact, group: &[Fact], form: Form, random: &mut Stream) -> QuestionDraft {
        reversal::lesson_question(self.lexicon(), self.cot_style, fact, group, form, random)
    }

    /// A question about a made-up fact.
    fn made_up_fact(&self, form: Form, random: &mut Stream) -> QuestionDraft {
        let group = made_up_facts(self.lexicon(), self.world.known.group_size, true, random);
        let fact = group[random.random_range(0..group.len())];
        self.about(fact, &group, form, random)
    }

    /// A question about a chain.
    fn follows(&self, chain: &Chain, random: &mut Stream) -> QuestionDraft {
        syllogism::lesson_question(self.lexicon(), self.cot_style, chain, random)
    }

    /// Made-up chains that share no term.
    fn made_up_chains(&self, count: usize, random: &mut Stream) -> Vec<Chain> {
        made_up_chains(&self.world.known, self.lexicon(), self.cot_style, count, random)
    }
}

/// Statements in random order.
fn shuffled(mut statements: Vec<Stated>, random: &mut Stream) -> Vec<Stated> {
    statements.shuffle(random);
    statements
}
