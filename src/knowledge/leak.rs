//! Proof that what is asked about set B was never in anything that trained.

use std::collections::{HashMap, HashSet};

use super::curriculum::Lesson;
use super::grammar::Fact;
use super::lexicon::{RELATIONS, Word};
use super::{Set, World};
use crate::language::tokenizer::SPECIAL;
use crate::{Error, Result};

/// Questions, answers and reversed facts of one set, ready to be looked for.
pub struct Leaks<'a> {
    world: &'a World,
    set: Set,
    /// By the object of each fact.
    facts: HashMap<Word, Fact>,
    /// End terms of each chain.
    ends: HashSet<(Word, Word)>,
    stop: Word,
    colon: Word,
    mark: Word,
}

impl<'a> Leaks<'a> {
    pub fn of(world: &'a World, set: Set) -> Self {
        let facts = world.reversals.get(&set).map_or(&[][..], |r| &r.facts);
        let chains = world.syllogisms.get(&set).map_or(&[][..], |s| &s.chains);
        let grammar = |word| world.grammar.lexicon.grammar(word);
        Self {
            world,
            set,
            facts: facts.iter().map(|f| (f.object, *f)).collect(),
            ends: chains.iter().map(|c| (c.terms[0], c.terms[c.terms.len() - 1])).collect(),
            stop: grammar("."),
            colon: grammar(":"),
            mark: grammar("?"),
        }
    }

    /// What a word tells of codes and kinds.
    fn given_away(&self, tokens: &[Word], sentence: usize, at: usize, learned: bool) -> Option<&'static str> {
        let grammar = &self.world.grammar;
        let codes = self.world.codebooks.get(&self.set);
        let found = codes.and_then(|c| c.given_away(grammar, tokens, sentence, at, learned));
        let kinds = self.world.hierarchies.get(&self.set);
        found.or_else(|| kinds.and_then(|h| h.given_away(grammar, tokens, sentence, at, learned)))
    }

    /// "who VERB OBJECT ?" with the verb of the fact.
    fn asks_any(&self, first: Option<Word>, verb: Option<Word>, fact: &Fact) -> bool {
        let lexicon = &self.world.grammar.lexicon;
        let verbs = RELATIONS[fact.relation % RELATIONS.len()].map(|verb| lexicon.grammar(verb));
        first == Some(lexicon.grammar("who")) && verb.is_some_and(|verb| verbs.contains(&verb))
    }

    /// Refuses a lesson that asks a question of the set, answers one, or states one of its facts object first.
    pub fn check(&self, lesson: &Lesson) -> Result<()> {
        let tokens = &lesson.tokens;
        let mut sentence = 0;
        for (at, word) in tokens.iter().enumerate() {
            if *word == self.stop || (*word as usize) < SPECIAL.len() {
                sentence = at + 1;
            }
            let before = |distance: usize| at.checked_sub(distance).map(|i| tokens[i]);
            let learned = lesson.weights[at] > 0.0;
            let found = if let Some(found) = self.given_away(tokens, sentence, at, learned) {
                Some(found)
            } else if *word == self.mark {
                // "who in GROUP VERB OBJECT ?" and "… that of FIRST QUANTIFIER are LAST ?"
                let fact = before(1).and_then(|object| self.facts.get(&object));
                let asked =
                    fact.is_some_and(|fact| before(3) == Some(fact.group) || self.asks_any(before(3), before(2), fact));
                let ends = before(4).zip(before(1));
                if asked || ends.is_some_and(|ends| self.ends.contains(&ends)) { Some("a question") } else { None }
            } else if *word == self.colon {
                let fact = before(1).and_then(|object| self.facts.get(&object));
                fact.filter(|fact| tokens.get(at + 1) == Some(&fact.subject)).map(|_| "an answer")
            } else {
                let reversed = |object: &Word| self.facts.get(object).is_some_and(|fact| fact.subject == *word);
                (lesson.weights[at] > 0.0 && tokens[sentence.min(at)..at].iter().any(reversed))
                    .then_some("a reversed fact")
            };
            if let Some(found) = found {
                let from = at.saturating_sub(8);
                let text = self.world.grammar.lexicon.text(&tokens[from..(at + 2).min(tokens.len())]);
                return Err(Error::Refused(format!("{found} of the evaluation stands in training text: \"{text}\"")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::curriculum::{Curriculum, Habits, Mixture};
    use crate::knowledge::world::tests::known;
    use crate::knowledge::{Form, WorldConfig};
    use crate::random;

    #[test]
    fn nothing_that_trains_holds_a_question_an_answer_or_a_reversed_fact_of_b() {
        let habits = Habits::default();
        for seed in 0..3 {
            let world = World::new(&known(), &WorldConfig { seed, ..Default::default() }).unwrap();
            let leaks = Leaks::of(&world, Set::B);
            let curriculum = Curriculum::new(&world, &habits);
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
        let leaks = Leaks::of(&world, Set::B);
        let lexicon = &world.grammar.lexicon;
        let mut random = random::stream(0, &[]);
        let fact = world.reversals[&Set::B].facts[7];
        let lesson = |words: Vec<Word>| Lesson { weights: vec![1.0; words.len()], tokens: words };
        let asked = world.grammar.who(&fact, true, &[], 1);
        let any = world.grammar.who(&fact, false, &[], 1);
        let entailment = world.question(Set::B, Form::Entailment, 3, &mut random);
        let entailment = entailment.text.split(' ').map(|w| lexicon.word(w).unwrap()).collect();
        let answer = vec![fact.object, lexicon.grammar(":"), fact.subject];
        let reversed = vec![fact.object, lexicon.grammar("guards"), fact.subject, lexicon.grammar(".")];
        for (words, kind) in [
            (asked, "question"),
            (any, "question"),
            (entailment, "question"),
            (answer, "answer"),
            (reversed, "reversed"),
        ] {
            let message = leaks.check(&lesson(words)).unwrap_err().to_string();
            assert!(message.contains(kind), "{message}");
        }
    }
}
