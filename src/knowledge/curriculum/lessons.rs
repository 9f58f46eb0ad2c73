//! Lessons of every kind.
//!
//! In lessons in *reading* everything that the answer needs stands in the sequence, about made-up names. Lessons in *thinking*
//! are a question, a chain of thought, an answer.
//!
//! A *document* often has unrelated words between its sentences. A model that has met a fact only in clean documents recalls
//! it there and not inside a chain of thought, where other things stand before it. So most documents are read as they would
//! stand among other texts: after a question that has nothing to do with them, or with stray words before their sentences.
//! Stray words are never learned, and the object of a sentence is never among them: that would teach the reverse direction.

use rand::Rng;
use rand::seq::IndexedRandom;

use super::lesson::{END_THINK, QUESTION, THINK, TrainingSequence};
use super::remedies::masked;
use super::{Curriculum, shuffled};
use crate::knowledge::Set;
use crate::knowledge::draft::{QuestionDraft, Thought};
use crate::knowledge::lexicon::Word;
use crate::knowledge::reversal::{self, CANDIDATES, made_up_facts};
use crate::knowledge::sentence::{Slot, Stated, WORDINGS, stated};
use crate::knowledge::syllogism::Chain;
use crate::knowledge::world::Document;
use crate::random::Stream;

/// Share of reading lessons that are about facts; chains are harder to read.
const FACTS: f64 = 0.35;

/// Sentences in a document about set C.
const SENTENCES: usize = 10;

/// How statements of a trace were come by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TraceSource {
    /// The question asks for it: a candidate, a member of the group, a premise about an end term.
    Near,
    /// It came to mind.
    Other,
    /// Its own sentence brought it back, with all masked that the question does not name.
    Restored,
}

impl Curriculum<'_> {
    /// Made-up facts or chains, then a question about them, answered at once.
    pub fn read(&self, random: &mut Stream) -> TrainingSequence {
        let asked = self.to_read(random);
        let mut lesson = TrainingSequence::begin();
        self.tell(&mut lesson, &asked.context, random);
        self.answer(lesson.question(&asked.words), &asked, 0.0, 1.0)
    }

    /// A question, made-up facts as its chain of thought (not learned), the answer.
    pub fn read_trace(&self, random: &mut Stream) -> TrainingSequence {
        let asked = self.to_read(random);
        let mut lesson = TrainingSequence::begin().question(&asked.words);
        lesson.read([THINK]);
        self.tell(&mut lesson, &asked.context, random);
        lesson.read([END_THINK]);
        self.answer(lesson, &asked, 0.3, 1.0)
    }

    /// Made-up facts, a question, a chain of thought that recites one to four of them (learned), the answer.
    pub fn recite_context(&self, random: &mut Stream) -> TrainingSequence {
        let asked = if let Some(further) = self.further_to_read(random) {
            further
        } else if random.random_bool(FACTS) {
            let facts = made_up_facts(self.lexicon(), 4, true, random);
            self.about(facts[0], &facts, reversal::lesson_form(random), random)
        } else {
            self.chains_to_read(random)
        };
        let mut lesson = TrainingSequence::begin();
        self.tell(&mut lesson, &asked.context, random);
        let mut lesson = lesson.question(&asked.words);
        lesson.read([THINK]);
        let mut recited = shuffled(asked.context.clone(), random);
        recited.truncate(random.random_range(1..=4));
        for stated in &recited {
            self.say(&mut lesson, *stated, |_| 1.0, random);
        }
        lesson.push(END_THINK, 1.0);
        // What was read before the question is still there, so the answer is known either way.
        self.answer(lesson, &asked, 0.3, if asked.is_answered_by(&recited) { 1.0 } else { 0.5 })
    }

    /// A question about made-up names, and in its context what is to be read before it.
    fn to_read(&self, random: &mut Stream) -> QuestionDraft {
        if let Some(further) = self.further_to_read(random) {
            return further;
        }
        if !random.random_bool(FACTS) {
            return self.chains_to_read(random);
        }
        // The first few facts (by index, in random order) stand in the context; all are candidates.
        let told = *[2, 3, 4, 5, 6].choose(random).unwrap_or(&4);
        let together = random.random_bool(0.7);
        let shown = made_up_facts(self.lexicon(), told.max(5), together, random);
        let context = rand::seq::index::sample(random, told, told).into_vec();
        let asked = self.about(shown[context[0]], &shown, reversal::lesson_form(random), random);
        QuestionDraft { context: context.into_iter().map(|at| shown[at].into()).collect(), ..asked }
    }

    /// A question about a chain, and its premises among those of other chains.
    fn chains_to_read(&self, random: &mut Stream) -> QuestionDraft {
        let count = random.random_range(1..=3);
        let chains = self.made_up_chains(count, random);
        let asked = self.follows(&chains[0], random);
        let mut context = asked.needed.clone();
        for chain in &chains[1..] {
            context.extend(chain.stated().skip(random.random_range(0..chain.premises.len())));
        }
        QuestionDraft { context, ..asked }
    }

    /// Statements in random order and wording, to be read and not learned.
    pub(super) fn tell(&self, lesson: &mut TrainingSequence, statements: &[Stated], random: &mut Stream) {
        for stated in shuffled(statements.to_vec(), random) {
            self.say(lesson, stated, |_| 0.0, random);
        }
    }

    /// A statement in random wording.
    fn say(&self, lesson: &mut TrainingSequence, stated: Stated, weigh: impl Fn(Slot) -> f32, random: &mut Stream) {
        lesson.sentence(&self.world.grammar.sentence(stated, random.random_range(0..WORDINGS)), weigh);
    }

    /// A question about made-up names that nothing answers: the answer is one of the choices.
    pub fn guess(&self, random: &mut Stream) -> TrainingSequence {
        let asked = match self.further_to_read(random) {
            Some(asked) if !asked.is_message => asked,
            _ => match self.made_up_chains(1, random).first() {
                Some(chain) if random.random_bool(0.4) => self.follows(chain, random),
                _ => self.made_up_fact(CANDIDATES, random),
            },
        };
        self.at_once(&asked, 0.5)
    }

    /// A question about set C, answered at once: it was memorised.
    pub fn answer_at_once(&self, random: &mut Stream) -> TrainingSequence {
        self.at_once(&self.known(random), 1.0)
    }

    /// A question about set C and a chain of thought about set C. The answer is right whatever was thought.
    pub fn think(&self, random: &mut Stream) -> TrainingSequence {
        let asked = self.known(random);
        let trace = self.trace(&asked, random, |random| self.any_known(random));
        // What is restored has to come from documents: learned here of set C, it would be looked up there and nowhere else.
        let by_heart =
            |said, word, slot| said == TraceSource::Restored && slot != Slot::Frame && asked.hides(word, slot);
        let known = |said, word, slot| if by_heart(said, word, slot) { 0.0 } else { 1.0 };
        self.thought(&asked, &trace, 1.0, known, random)
    }

    /// The same policy on made-up names: it brings up the names in the question, and stops. Only what can be told
    /// from the question is learned; what is said of the names cannot be known.
    pub fn bring_up(&self, random: &mut Stream) -> TrainingSequence {
        let facts = |random: &mut Stream| stated(&made_up_facts(self.lexicon(), 4, false, random));
        let (asked, others): (_, Vec<Stated>) = if let Some(asked) = self.further_to_read(random) {
            (asked, facts(random))
        } else if random.random_bool(0.55) {
            (self.made_up_fact(reversal::lesson_form(random), random), facts(random))
        } else {
            let chains = self.made_up_chains(4, random);
            let asked = self.follows(&chains[0], random);
            (asked, chains[1..].iter().flat_map(Chain::stated).collect())
        };
        let trace = self.trace(&asked, random, |random| others[random.random_range(0..others.len())]);
        let said: Vec<Stated> = trace.iter().map(|(stated, _)| *stated).collect();
        let answered = asked.is_answered_by(&said);
        // Which members a group or a code has is not to be told from the question, so subjects are learned only where
        // they were shown.
        let subject = if asked.shows_subjects { 1.0 } else { 0.0 };
        let known = |said: TraceSource, word: Word, slot: Slot| match (said, slot) {
            (_, Slot::Stop) | (TraceSource::Near | TraceSource::Restored, Slot::Frame) => 1.0,
            (TraceSource::Near, Slot::Group) => 1.0,
            (TraceSource::Near, Slot::Subject) => subject,
            (TraceSource::Other, Slot::Frame) => 0.5,
            (TraceSource::Restored, _) if !asked.hides(word, slot) => 1.0,
            _ => 0.0,
        };
        self.thought(&asked, &trace, if answered { 1.0 } else { 0.25 }, known, random)
    }

    fn thought(
        &self,
        asked: &QuestionDraft,
        trace: &[(Stated, TraceSource)],
        answered: f32,
        weigh: impl Fn(TraceSource, Word, Slot) -> f32,
        random: &mut Stream,
    ) -> TrainingSequence {
        let mut lesson = TrainingSequence::begin().question(&asked.words);
        lesson.read([THINK]);
        for (stated, said) in trace {
            let restored = *said == TraceSource::Restored;
            let wording = if restored {
                asked.closest_wording(self.lexicon(), *stated, random)
            } else {
                random.random_range(0..WORDINGS)
            };
            let sentence = self.world.grammar.sentence(*stated, wording);
            if restored {
                lesson.learn(masked(&sentence, |word, slot| asked.hides(word, slot)), 1.0);
            }
            sentence.iter().for_each(|(word, slot)| lesson.push(*word, weigh(*said, *word, *slot)));
        }
        lesson.push(END_THINK, 1.0);
        self.answer(lesson, asked, 0.3, answered)
    }

    /// A chain of thought about a question. `other` says something that has nothing to do with it.
    fn trace(
        &self,
        asked: &QuestionDraft,
        random: &mut Stream,
        mut other: impl FnMut(&mut Stream) -> Stated,
    ) -> Vec<(Stated, TraceSource)> {
        let cot_style = self.cot_style;
        let length = random.random_range(1..=cot_style.longest);
        let mut trace: Vec<(Stated, TraceSource)> = Vec::with_capacity(length + 2);
        while trace.len() < length {
            if let Some(needed) = asked.restorable(self.lexicon())
                && cot_style.restoring > 0.0
                && random.random_bool(cot_style.restoring)
            {
                // There is nothing to add.
                trace.extend(needed.iter().map(|stated| (*stated, TraceSource::Restored)));
                return trace;
            }
            if !random.random_bool(asked.share) {
                trace.push((other(random), TraceSource::Other));
                continue;
            }
            match &asked.thought {
                Thought::InOrder => {
                    let begun = trace.iter().any(|(stated, _)| *stated == asked.needed[0]);
                    if begun && random.random_bool(cot_style.distinct) {
                        trace.push((other(random), TraceSource::Other));
                        continue;
                    }
                    trace.push((asked.needed[0], TraceSource::Near));
                    for next in &asked.needed[1..] {
                        if !random.random_bool(cot_style.follow) {
                            break;
                        }
                        trace.push((*next, TraceSource::Near));
                    }
                }
                Thought::AnyOf(near) => {
                    let ready = |stated: &&Stated| {
                        let mut said = trace.iter().map(|(said, _)| said);
                        stated.task.generated().comes_to_mind(stated.words, &asked.words, &mut said)
                            && !trace.iter().any(|(said, _)| said == *stated)
                    };
                    let unsaid: Vec<&Stated> = near.iter().filter(ready).collect();
                    let pick = if !random.random_bool(cot_style.distinct) {
                        near.choose(random)
                    } else if asked.shows_subjects {
                        // In the order of the question: what comes next can be told from what was said last.
                        unsaid.first().copied()
                    } else {
                        unsaid.choose(random).copied()
                    };
                    match pick {
                        Some(stated) => trace.push((*stated, TraceSource::Near)),
                        None => trace.push((other(random), TraceSource::Other)),
                    }
                }
            }
        }
        trace.truncate(length);
        trace
    }

    /// A document about set C.
    pub fn known_document(&self, random: &mut Stream) -> TrainingSequence {
        let document = self.world.document(Set::C, SENTENCES, random);
        if self.masks && random.random_bool(0.5) {
            return self.masked(&document, random);
        }
        self.document(&document, random)
    }

    /// How a document begins: of those that are distracted, some as if it were a thought about a question.
    pub(super) fn opened(&self, distracted: bool, random: &mut Stream) -> TrainingSequence {
        let mut lesson = TrainingSequence::begin();
        if distracted && random.random_bool(0.4) {
            let asked = if random.random_bool(0.5) {
                let further = self.further_to_read(random);
                further.unwrap_or_else(|| self.made_up_fact(reversal::lesson_form(random), random))
            } else {
                self.known(random)
            };
            lesson = lesson.question(&asked.words);
            lesson.read([THINK]);
        }
        lesson
    }

    /// A document of any set.
    pub fn document(&self, document: &Document, random: &mut Stream) -> TrainingSequence {
        let distracted = random.random_bool(self.cot_style.distracted);
        let mut lesson = self.opened(distracted, random);
        for (stated, wording) in &document.statements {
            if distracted && random.random_bool(0.4) {
                self.distract(&mut lesson, stated, random);
            }
            let sentence = self.world.grammar.sentence(*stated, *wording);
            // After other text, what comes next is not to be told; what is said of it is.
            let choice = if distracted { 0.3 } else { 1.0 };
            lesson.sentence(&sentence, |slot| match slot {
                Slot::Frame | Slot::Group => choice,
                _ => 1.0,
            });
        }
        lesson
    }

    fn distract(&self, lesson: &mut TrainingSequence, stated: &Stated, random: &mut Stream) {
        let lexicon = self.lexicon();
        let about = stated.task.generated().about(lexicon, stated.words);
        let object = self.world.grammar.names(*stated).pop();
        // Whatever else is said of a kind, or of those above and below it, would be told backwards too.
        let of_task = [Set::A, Set::B, Set::C].map(|set| self.world.of(set, stated.task));
        let related = |one, other| of_task.iter().flatten().any(|data| data.related(one, other));
        let told_elsewhere = |word| !about.contains(&word) && about.iter().any(|name| related(word, *name));
        for _ in 0..random.random_range(1..=6) {
            let word = if random.random_bool(0.3) {
                *about.choose(random).unwrap_or(&QUESTION)
            } else {
                random.random_range(QUESTION..lexicon.size() as u32)
            };
            if Some(word) != object && !told_elsewhere(word) {
                lesson.read([word]);
            }
        }
        if random.random_bool(0.3) {
            lesson.read([*[THINK, lexicon.grammar(".")].choose(random).unwrap_or(&THINK)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::curriculum::CotStyle;
    use crate::knowledge::hierarchy::Families;
    use crate::knowledge::sentence::words;
    use crate::knowledge::world::tests::full;
    use crate::random;

    #[test]
    fn what_a_question_shows_is_said_once_and_in_its_order() {
        let (world, cot_style) = (full(0), CotStyle { kinds: 0.4, ..CotStyle::default() });
        let (curriculum, mut random) = (Curriculum::new(&world, &cot_style), random::stream(3, &[]));
        let (mut several, mut chains) = (0, 0);
        for _ in 0..1_500 {
            let asked = curriculum.known(&mut random);
            let trace = curriculum.trace(&asked, &mut random, |random| curriculum.any_known(random));
            let near: Vec<Stated> =
                trace.iter().filter(|(_, said)| *said == TraceSource::Near).map(|(stated, _)| *stated).collect();
            assert!(near.iter().enumerate().all(|(at, stated)| !near[..at].contains(stated)), "nothing is said twice");
            let subject = |stated: &Stated| {
                let sentence = world.grammar.sentence(*stated, 0);
                sentence.iter().find(|(_, slot)| *slot == Slot::Subject).map(|(word, _)| *word)
            };
            let shown = asked.shows_subjects && matches!(asked.thought, Thought::AnyOf(_));
            if shown || matches!(asked.thought, Thought::InOrder) {
                let place = |stated| asked.words.iter().position(|word| Some(*word) == subject(stated));
                let places: Vec<usize> = near.iter().filter_map(place).collect();
                assert!(places.is_sorted(), "{places:?} of {}", world.grammar.lexicon.text(&asked.words));
                several += usize::from(shown && places.len() > 2);
                chains += usize::from(!shown && places.len() == 2);
            }
        }
        assert!(several > 100 && chains > 100, "{several}, {chains}");
    }

    #[test]
    fn what_fits_several_statements_is_not_restored() {
        let (world, cot_style) = (full(0), CotStyle { kinds: 1.0, codes: 0.0, ..CotStyle::default() });
        let (curriculum, mut random) = (Curriculum::new(&world, &cot_style), random::stream(4, &[]));
        let statements = stated(&world.data::<Families>(Set::C).links);
        let mut restored = 0;
        for _ in 0..600 {
            let asked = curriculum.known(&mut random);
            for needed in asked.restorable(&world.grammar.lexicon).into_iter().flatten() {
                // The same words are left of any other statement that would fit.
                let left = |stated: &Stated| -> Vec<Word> {
                    masked(&world.grammar.sentence(*stated, 0), |word, slot| asked.hides(word, slot))
                };
                let fits = statements.iter().filter(|other| left(other) == left(needed));
                assert_eq!(
                    fits.count(),
                    1,
                    "{}",
                    world.grammar.lexicon.text(&words(&world.grammar.sentence(*needed, 0)))
                );
                restored += 1;
            }
        }
        assert!(restored > 100, "{restored}");
    }
}
