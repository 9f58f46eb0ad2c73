//! Lessons in reading: everything that the answer needs stands in the sequence, about made-up names.

use rand::Rng;
use rand::seq::IndexedRandom;

use super::Curriculum;
use super::lesson::{END_THINK, THINK, TrainingSequence};
use super::lesson_question::LessonQuestion;
use super::questions::shuffled;
use crate::knowledge::grammar::Grammar;
use crate::knowledge::reversal::{self, CANDIDATES, Fact, made_up_facts};
use crate::knowledge::sentence::Stated;
use crate::random::Stream;

/// Share of reading lessons that are about facts; chains are harder to read.
const FACTS: f64 = 0.35;

impl Curriculum<'_> {
    /// Facts or chains, then a question about them, answered at once.
    pub(super) fn read(&self, random: &mut Stream) -> TrainingSequence {
        let (asked, told) = self.to_read(random);
        let mut lesson = TrainingSequence::begin();
        self.tell(&mut lesson, told, random);
        lesson.question(&asked.words).answer(&self.world.grammar.lexicon, &asked, self.weights(0.0, 1.0));
        lesson
    }

    /// A question, facts as its chain of thought (not learned), the answer.
    pub(super) fn read_trace(&self, random: &mut Stream) -> TrainingSequence {
        let (asked, trace) = self.to_read(random);
        let mut lesson = TrainingSequence::begin();
        lesson.question(&asked.words).read([THINK]);
        self.tell(&mut lesson, trace, random);
        lesson.push(END_THINK, 0.0).answer(&self.world.grammar.lexicon, &asked, self.weights(0.3, 1.0));
        lesson
    }

    /// Facts, a question, a chain of thought that recites one to four of them (learned), the answer.
    pub(super) fn recite_context(&self, random: &mut Stream) -> TrainingSequence {
        let further = self.further_to_read(random);
        let (asked, context) = if let Some(further) = further {
            further
        } else if random.random_bool(FACTS) {
            let facts = made_up_facts(self.lexicon(), 4, true, random);
            let asked = self.about(facts[0], &facts, reversal::form(random), random);
            (asked, facts.into_iter().map(Stated::from).collect())
        } else {
            self.chains_to_read(random)
        };
        let mut lesson = TrainingSequence::begin();
        self.tell(&mut lesson, context.clone(), random);
        lesson.question(&asked.words).read([THINK]);
        let mut recited = shuffled(context, random);
        recited.truncate(random.random_range(1..=4));
        let answered = asked.needed.iter().all(|needed| recited.contains(needed));
        for stated in recited {
            let sentence = self.world.grammar.sentence(stated, random.random_range(0..Grammar::WORDINGS));
            lesson.sentence(&sentence, |_| 1.0);
        }
        // What was read before the question is still there, so the answer is known either way.
        lesson.push(END_THINK, 1.0).answer(
            &self.world.grammar.lexicon,
            &asked,
            self.weights(0.3, if answered { 1.0 } else { 0.5 }),
        );
        lesson
    }

    /// A question about made-up names, and what is to be read before it.
    fn to_read(&self, random: &mut Stream) -> (LessonQuestion, Vec<Stated>) {
        if let Some(further) = self.further_to_read(random) {
            return further;
        }
        if !random.random_bool(FACTS) {
            return self.chains_to_read(random);
        }
        let (context, shown) = self.facts_to_read(random);
        let fact = shown[context[0]];
        let asked = self.about(fact, &shown, reversal::form(random), random);
        (asked, context.iter().map(|i| shown[*i].into()).collect())
    }

    /// Facts of which the first few (by index, in random order) stand in the context; all are candidates.
    fn facts_to_read(&self, random: &mut Stream) -> (Vec<usize>, Vec<Fact>) {
        let told = *[2, 3, 4, 5, 6].choose(random).unwrap_or(&4);
        let together = random.random_bool(0.7);
        let shown = made_up_facts(self.lexicon(), told.max(5), together, random);
        (rand::seq::index::sample(random, told, told).into_vec(), shown)
    }

    /// A question about a chain, and its premises among those of other chains.
    fn chains_to_read(&self, random: &mut Stream) -> (LessonQuestion, Vec<Stated>) {
        let count = random.random_range(1..=3);
        let chains = self.made_up_chains(count, random);
        let asked = self.follows(&chains[0], random);
        let mut told = asked.needed.clone();
        for chain in &chains[1..] {
            let from = random.random_range(0..chain.premises.len());
            told.extend((from..chain.premises.len()).map(|i| Stated::from(chain.premise(i))));
        }
        (asked, told)
    }

    /// Statements in random order and wording, to be read and not learned.
    fn tell(&self, lesson: &mut TrainingSequence, statements: Vec<Stated>, random: &mut Stream) {
        for stated in shuffled(statements, random) {
            let sentence = self.world.grammar.sentence(stated, random.random_range(0..Grammar::WORDINGS));
            lesson.sentence(&sentence, |_| 0.0);
        }
    }

    /// A question about made-up names that nothing answers: the answer is one of the choices.
    pub(super) fn guess(&self, random: &mut Stream) -> TrainingSequence {
        let asked = match self.further_to_read(random) {
            Some((asked, _)) if asked.can_be_guessed => asked,
            _ => match self.made_up_chains(1, random).first() {
                Some(chain) if random.random_bool(0.4) => self.follows(chain, random),
                _ => self.made_up_fact(CANDIDATES, random),
            },
        };
        let mut lesson = TrainingSequence::begin();
        lesson.question(&asked.words).answer(&self.world.grammar.lexicon, &asked, self.weights(0.0, 0.5));
        lesson
    }
}
