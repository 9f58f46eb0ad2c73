//! The documents as passages to put into a prompt, and how to find them by their words.

use std::collections::{BTreeMap, HashSet};

use rand::seq::SliceRandom;

use super::jsonl::words;
use super::sentence::Stated;
use super::{Claim, Knowledge, Question, Set};
use crate::random::Stream;

/// How soon a word that stands in a passage again and again counts no more, and how much a long passage is held against
/// it: the usual constants of BM25.
const SATURATION: f64 = 1.2;
const LENGTH: f64 = 0.75;

/// A stretch of a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Passage {
    /// Documents from files are about both sets.
    pub set: Option<Set>,
    pub text: String,
    /// What it says, in a world that has a grammar.
    pub claim: Option<Claim>,
}

/// All passages. Of a generated world each statement is one, in the wording in which it comes first; text from files is cut
/// where sentences end.
pub struct Library {
    passages: Vec<Passage>,
    index: Index,
}

impl Library {
    pub fn of(knowledge: &Knowledge) -> Library {
        let passages: Vec<Passage> = match knowledge {
            Knowledge::Generated(world) => {
                let mut seen: HashSet<Stated> = HashSet::new();
                let statements = world.documents().iter().flat_map(|d| d.statements.iter().map(|s| (d.set, s)));
                let new = statements.filter(|(_, (stated, _))| seen.insert(*stated));
                let passage = |(set, (stated, wording)): (Set, &(Stated, usize))| Passage {
                    set: Some(set),
                    text: world.grammar.text(*stated, *wording),
                    claim: Some(world.grammar.claim(*stated)),
                };
                new.map(passage).collect()
            }
            // Sentences that can be read are passages as in a generated world.
            Knowledge::Files(jsonl) if let Some(world) = jsonl.world() => {
                let mut seen: HashSet<Claim> = HashSet::new();
                let sentences = jsonl.documents().iter().flat_map(|document| document.split_inclusive(" ."));
                let passage = |sentence: &str| {
                    let text = sentence.trim();
                    let claim = world.grammar.read(text.strip_suffix(" .")?)?;
                    seen.insert(claim.clone()).then(|| Passage { set: None, text: text.into(), claim: Some(claim) })
                };
                sentences.filter_map(passage).collect()
            }
            Knowledge::Files(jsonl) => {
                let passage = |text: &String| Passage { set: None, text: text.clone(), claim: None };
                jsonl.passages().iter().map(passage).collect()
            }
        };
        let index = Index::of(passages.iter().map(|passage| passage.text.as_str()));
        Library { passages, index }
    }

    pub fn passages(&self) -> &[Passage] {
        &self.passages
    }

    /// Numbers of the passages that fit a text best, the best first: by BM25 (Robertson and Zaragoza 2009). Those that
    /// share no word with it are none of them.
    pub fn search(&self, text: &str, count: usize) -> Vec<usize> {
        let mut found = self.index.scores(text);
        // Equals come in the order of the documents.
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found.into_iter().take(count).map(|(passage, _)| passage).collect()
    }

    /// Numbers of the passages that hold what a question needs.
    pub fn needed(&self, question: &Question) -> Vec<usize> {
        let states = |claim: &Claim| self.passages.iter().position(|passage| passage.claim.as_ref() == Some(claim));
        if !question.needed.is_empty() {
            return question.needed.iter().filter_map(states).collect();
        }
        // Text from files: what stands in the question's context was chosen because it is about the question.
        (0..self.passages.len()).filter(|at| question.context.contains(&self.passages[*at].text)).collect()
    }

    /// Passages of a question's set that are not in its context, in random order.
    pub fn others(&self, question: &Question, random: &mut Stream) -> Vec<&str> {
        let mut others: Vec<&str> = self
            .passages
            .iter()
            .filter(|passage| passage.set.is_none_or(|set| set == question.set))
            .filter(|passage| passage.claim.as_ref().is_none_or(|claim| !question.needed.contains(claim)))
            .map(|passage| passage.text.as_str())
            .filter(|text| !question.context.iter().any(|there| there == text))
            .collect();
        others.shuffle(random);
        others
    }
}

/// Where each word stands, and how often.
struct Index {
    places: BTreeMap<String, Vec<(usize, f64)>>,
    /// Words of each passage, as a multiple of the mean.
    lengths: Vec<f64>,
}

impl Index {
    fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Index {
        let (mut places, mut lengths) = (BTreeMap::<String, Vec<(usize, f64)>>::new(), Vec::new());
        for (at, text) in texts.enumerate() {
            let mut length = 0.0;
            for word in words(text) {
                length += 1.0;
                let seen = places.entry(word).or_default();
                match seen.last_mut() {
                    Some((last, count)) if *last == at => *count += 1.0,
                    _ => seen.push((at, 1.0)),
                }
            }
            lengths.push(length);
        }
        let mean = lengths.iter().sum::<f64>() / lengths.len().max(1) as f64;
        lengths.iter_mut().for_each(|length| *length /= mean.max(1.0));
        Index { places, lengths }
    }

    /// Of the passages that share a word with the text.
    fn scores(&self, text: &str) -> Vec<(usize, f64)> {
        let mut scores: BTreeMap<usize, f64> = BTreeMap::new();
        for word in words(text) {
            let Some(places) = self.places.get(&word) else { continue };
            let (with, all) = (places.len() as f64, self.lengths.len() as f64);
            let rarity = (1.0 + (all - with + 0.5) / (with + 0.5)).ln();
            for (passage, count) in places {
                let held = SATURATION * (1.0 - LENGTH + LENGTH * self.lengths[*passage]);
                *scores.entry(*passage).or_default() += rarity * count * (SATURATION + 1.0) / (count + held);
            }
        }
        scores.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::reversal::OPEN;
    use crate::knowledge::world::tests::known;
    use crate::knowledge::{World, WorldConfig};
    use crate::random;

    #[test]
    fn scores_are_those_of_the_formula() {
        let index = Index::of(["a b c d", "a a e", "f"].into_iter());
        let scores = index.scores("a E");
        // Mean length 8/3. "a" is in two of three, "e" in one.
        let (a, e) = ((1.0f64 + 1.5 / 2.5).ln(), (1.0f64 + 2.5 / 1.5).ln());
        let weigh = |count: f64, length: f64| count * 2.2 / (count + 1.2 * (0.25 + 0.75 * length / (8.0 / 3.0)));
        let expected = [(0, a * weigh(1.0, 4.0)), (1, a * weigh(2.0, 3.0) + e * weigh(1.0, 3.0))];
        assert_eq!(scores.len(), 2);
        for ((place, score), (there, right)) in scores.iter().zip(expected) {
            assert!(*place == there && (score - right).abs() < 1e-12, "{scores:?} {expected:?}");
        }
    }

    #[test]
    fn a_question_finds_what_it_needs() {
        let world = World::new(&known(), &WorldConfig::default()).unwrap();
        let knowledge = Knowledge::Generated(Box::new(world));
        let library = Library::of(&knowledge);
        assert_eq!(library.passages().len(), 2 * (50 + 64), "each fact and premise once");
        let questions: Vec<Question> = [Set::A, Set::B].iter().flat_map(|set| knowledge.questions(*set)).collect();
        let (mut found, mut all) = (0, 0);
        for question in &questions {
            let needed = library.needed(question);
            assert_eq!(needed.len(), question.needed.len());
            let hits = library.search(&question.text, 5);
            assert_eq!(hits.len(), 5);
            if question.form == OPEN {
                assert_eq!(hits[0], needed[0], "town, verb and creature: {question:?}");
            }
            found += needed.iter().filter(|at| hits.contains(at)).count();
            all += needed.len();
        }
        assert!(found * 10 > all * 8, "{found} of {all}");
        assert!(library.search("nobody said this", 5).is_empty());
    }

    #[test]
    fn other_passages_are_of_the_same_set_and_give_nothing_away() {
        let world = World::new(&known(), &WorldConfig::default()).unwrap();
        let knowledge = Knowledge::Generated(Box::new(world));
        let library = Library::of(&knowledge);
        let question = &knowledge.questions(Set::B)[7];
        let others = library.others(question, &mut random::stream(0, &[]));
        let of = |text: &str| library.passages().iter().find(|passage| passage.text == text).unwrap();
        assert!(others.iter().all(|text| of(text).set == Some(Set::B)));
        assert!(others.iter().all(|text| !question.needed.contains(of(text).claim.as_ref().unwrap())));
        assert!(others.len() > 50 + 64 - question.context.len() - 2);
        assert_ne!(others, library.others(question, &mut random::stream(1, &[])));
    }
}
