//! Proof that what is asked about set B was never in anything that trained.

use super::curriculum::TrainingSequence;
use super::jsonl::LeakMatcher;
use super::lexicon::Word;
use super::training_text::TrainingWord;
pub use super::training_text::{Leak, LeakKind};
use super::{Knowledge, Question, Set, World};
use crate::language::tokenizer::{ANSWER, SPECIAL};
use crate::{Error, Result};

/// Questions, answers and reversed facts of one set, ready to be looked for.
pub struct Leaks<'a> {
    world: &'a World,
    set: Set,
    stop: Word,
    colon: Word,
    mark: Word,
}

impl<'a> Leaks<'a> {
    pub fn new(world: &'a World, set: Set) -> Self {
        let grammar = |word| world.grammar.lexicon.grammar(word);
        Self { world, set, stop: grammar("."), colon: grammar(":"), mark: grammar("?") }
    }

    /// What a word gives away; `learned` says that training predicts it.
    fn given_away(&self, word: &TrainingWord, learned: bool) -> Option<LeakKind> {
        let mut tasks = self.world.of_set(self.set);
        match word.word() {
            here if here == self.mark => {
                let asked = tasks.any(|task| task.asks(&self.world.grammar.lexicon, word));
                asked.then_some(LeakKind::Question)
            }
            here if here == self.colon => tasks.any(|task| task.answers(word)).then_some(LeakKind::Answer),
            _ if learned => tasks.find_map(|task| task.gives_away(word)),
            _ => None,
        }
    }

    /// Refuses a lesson that asks a question of the set, answers one, or states one of its facts object first.
    pub fn check(&self, lesson: &TrainingSequence) -> Result<()> {
        self.find(lesson).map_or(Ok(()), |leak| Err(leak.refused()))
    }

    /// The first leak in a lesson.
    pub fn find(&self, lesson: &TrainingSequence) -> Option<Leak> {
        let tokens = &lesson.tokens;
        let mut sentence = 0;
        for (at, word) in tokens.iter().enumerate() {
            if *word == self.stop || (*word as usize) < SPECIAL.len() {
                sentence = at + 1;
            }
            let word = TrainingWord { tokens, at, sentence };
            if let Some(kind) = self.given_away(&word, lesson.weights[at] > 0.0) {
                let from = at.saturating_sub(8);
                let text = self.world.grammar.lexicon.text(&tokens[from..(at + 2).min(tokens.len())]);
                return Some(Leak { kind, text, question: None });
            }
        }
        None
    }

    /// The first leak in a text, every word of which counts as learned.
    fn find_in(&self, text: &str) -> Option<Leak> {
        let lexicon = &self.world.grammar.lexicon;
        let id = |word: &str| {
            let special = SPECIAL.iter().position(|special| *special == word).map(|at| at as Word);
            // What is no word of this world separates what is.
            special.or_else(|| lexicon.word(word)).unwrap_or_default()
        };
        let tokens: Vec<Word> = text.split_whitespace().map(id).collect();
        self.find(&TrainingSequence { weights: vec![1.0; tokens.len()], tokens })
    }
}

/// Looks for what is asked about set B in whatever trains, in a generated world or in files.
pub enum Guard<'a> {
    World(Leaks<'a>),
    /// With the world that the files were exported from, where it is known.
    Files(Box<LeakMatcher>, Option<Leaks<'a>>),
}

impl<'a> Guard<'a> {
    /// Errors: more questions than can be looked for at once.
    pub fn new(knowledge: &'a Knowledge) -> Result<Guard<'a>> {
        Ok(match knowledge {
            Knowledge::Generated(world) => Guard::World(Leaks::new(world, Set::B)),
            Knowledge::Files(jsonl) => {
                let leaks = jsonl.world().map(|world| Leaks::new(world, Set::B));
                Guard::Files(Box::new(LeakMatcher::new(jsonl)?), leaks)
            }
        })
    }

    /// Refuses a text that trains if something of B stands in it.
    pub fn check(&self, text: &str) -> Result<()> {
        let leak = match self {
            Guard::World(leaks) => leaks.find_in(text),
            Guard::Files(watched, leaks) => {
                watched.find(text).or_else(|| leaks.as_ref().and_then(|leaks| leaks.find_in(text)))
            }
        };
        leak.map_or(Ok(()), |leak| Err(leak.refused()))
    }

    /// Refuses a question that trains if it is one of B, or gives one away with its answer.
    pub fn check_question(&self, text: &str, answer: &str) -> Result<()> {
        match self {
            Guard::World(_) | Guard::Files(_, Some(_)) => self.check(&format!("{text} {answer}")),
            Guard::Files(watched, None) => watched.find_asked(text, answer).map_or(Ok(()), |leak| Err(leak.refused())),
        }
    }
}

/// Refuses knowledge whose documents, or whose questions for training, hold a question of B, its answer or one of its facts
/// in reverse. In files that is named by file and line.
pub fn check(knowledge: &Knowledge) -> Result<()> {
    let guard = Guard::new(knowledge)?;
    match knowledge {
        Knowledge::Generated(world) => {
            world.documents().iter().try_for_each(|document| guard.check(&world.text(document)))?;
            world
                .questions(Set::A)
                .iter()
                .try_for_each(|question| guard.check_question(&question.text, &said(question)))
        }
        Knowledge::Files(jsonl) => {
            jsonl.told().try_for_each(|(document, place)| guard.check(document).map_err(at(place)))?;
            jsonl.asked(Set::A).try_for_each(|(question, place)| {
                let mut answers = question.right_answers();
                if question.cue.is_empty() {
                    answers.try_for_each(|answer| guard.check_question(&question.text, answer)).map_err(at(place))
                } else {
                    guard.check_question(&question.text, &said(question)).map_err(at(place))
                }
            })
        }
    }
}

/// An answer as it is learned.
fn said(question: &Question) -> String {
    match question.cue.as_str() {
        "" => question.answer.clone(),
        cue => format!("{ANSWER} {cue} : {}", question.answer),
    }
}

/// A refusal with the place of what is refused.
fn at(place: &str) -> impl Fn(Error) -> Error {
    move |error| match error {
        Error::Refused(found) => Error::Refused(format!("{place}: {found}")),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::WorldConfig;
    use crate::knowledge::curriculum::{CotStyle, Curriculum, Mixture};
    use crate::knowledge::reversal::{Fact, Reversals, who};
    use crate::knowledge::syllogism::{ENTAILMENT, Syllogisms, conclusion};
    use crate::knowledge::world::Document;
    use crate::knowledge::world::tests::known;
    use crate::random;

    #[test]
    fn nothing_that_trains_holds_a_question_an_answer_or_a_reversed_fact_of_b() {
        let cot_style = CotStyle::default();
        for seed in 0..3 {
            let world = World::new(&known(), &WorldConfig { seed, ..Default::default() }).unwrap();
            let leaks = Leaks::new(&world, Set::B);
            let curriculum = Curriculum::new(&world, &cot_style);
            let mut random = random::stream(seed, &[]);
            for _ in 0..20_000 {
                leaks.check(&curriculum.lesson(&Mixture::default(), &mut random)).unwrap();
            }
            for document in world.documents() {
                for _ in 0..3 {
                    leaks.check(&curriculum.document(document, &mut random)).unwrap();
                }
            }
        }
    }

    #[test]
    fn a_planted_leak_is_named() {
        let world = World::new(&known(), &WorldConfig::default()).unwrap();
        let leaks = Leaks::new(&world, Set::B);
        let lexicon = &world.grammar.lexicon;
        let mut random = random::stream(0, &[]);
        let fact = world.data::<Reversals>(Set::B).facts[7];
        let lesson = |words: Vec<Word>| TrainingSequence { weights: vec![1.0; words.len()], tokens: words };
        let asked = who(lexicon, &fact, true, &[], 1);
        let any = who(lexicon, &fact, false, &[], 1);
        let entailment = world.question(Set::B, ENTAILMENT, 3, &mut random);
        let entailment = entailment.text.split(' ').map(|w| lexicon.word(w).unwrap()).collect();
        let chain = &world.data::<Syllogisms>(Set::B).chains[5];
        let mut entailed = conclusion(lexicon, chain.state(chain.asked(true)));
        entailed.extend([lexicon.grammar(":"), lexicon.grammar("no")]);
        let answer = vec![fact.object, lexicon.grammar(":"), fact.subject];
        let reversed = vec![fact.object, lexicon.grammar("guards"), fact.subject, lexicon.grammar(".")];
        for (words, kind) in [
            (asked, "question"),
            (any, "question"),
            (entailment, "question"),
            (answer, "answer"),
            (entailed, "answer"),
            (reversed, "reversed"),
        ] {
            let message = leaks.check(&lesson(words)).unwrap_err().to_string();
            assert!(message.contains(kind), "{message}");
        }
    }

    #[test]
    fn a_document_or_a_question_of_a_that_gives_b_away_is_refused() {
        let clean = World::new(&known(), &WorldConfig::default()).unwrap();
        let knowledge = |world: &World| Knowledge::Generated(Box::new(world.clone()));
        check(&knowledge(&clean)).unwrap();
        // A document about A whose fact is one of B, with subject and object in each other's place.
        let mut planted = clean.clone();
        let fact = clean.data::<Reversals>(Set::B).facts[3];
        let reversed = Fact { subject: fact.object, object: fact.subject, ..fact };
        planted.plant(Document { set: Set::A, statements: vec![(reversed.into(), 0)] });
        let error = check(&knowledge(&planted)).unwrap_err().to_string();
        let spell = |word| clean.grammar.lexicon.spell(word);
        assert!(error.contains("a reversed fact of the evaluation"), "{error}");
        assert!(error.contains(spell(fact.object)) && error.contains(spell(fact.subject)), "{error}");
        // A fact that both sets ask about.
        let mut shared = clean.clone();
        shared.change(Set::A, |data: &mut Reversals| data.facts[0] = fact);
        let error = check(&knowledge(&shared)).unwrap_err().to_string();
        assert!(error.contains("a question of the evaluation"), "{error}");
    }
}
