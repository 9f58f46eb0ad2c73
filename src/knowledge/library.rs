//! The documents as passages to put into a prompt, and how to find them by their words.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

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
    index: InvertedIndex,
    /// Where each claim stands first.
    claims: HashMap<Claim, usize>,
    /// Numbers of the passages in the order of their texts.
    by_text: Vec<usize>,
}

impl Library {
    pub fn new(knowledge: &Knowledge) -> Library {
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
        let index = InvertedIndex::new(passages.iter().map(|passage| passage.text.as_str()));
        let mut claims = HashMap::new();
        for (at, passage) in passages.iter().enumerate() {
            if let Some(claim) = &passage.claim {
                claims.entry(claim.clone()).or_insert(at);
            }
        }
        let mut by_text: Vec<usize> = (0..passages.len()).collect();
        by_text.sort_by_key(|at| &passages[*at].text);
        Library { passages, index, claims, by_text }
    }

    pub fn passages(&self) -> &[Passage] {
        &self.passages
    }

    /// Numbers of the passages that fit a text best, the best first: by BM25 (Robertson and Zaragoza 2009). Those that
    /// share no word with it are none of them.
    pub fn search(&self, text: &str, count: usize) -> Vec<usize> {
        self.index.best(text, count).into_iter().map(|(passage, _)| passage).collect()
    }

    /// Numbers of the passages that hold what a question needs.
    pub fn needed(&self, question: &Question) -> Vec<usize> {
        if !question.needed.is_empty() {
            return question.needed.iter().filter_map(|claim| self.claims.get(claim).copied()).collect();
        }
        // Text from files: what stands in the question's context was chosen because it is about the question.
        let text = |at: usize| &self.passages[at].text;
        let mut found = BTreeSet::new();
        for wanted in &question.context {
            let first = self.by_text.partition_point(|at| text(*at) < wanted);
            found.extend(self.by_text[first..].iter().copied().take_while(|at| text(*at) == wanted));
        }
        found.into_iter().collect()
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
struct InvertedIndex {
    words: BTreeMap<String, Postings>,
    /// Words of each passage, as a multiple of the mean.
    lengths: Vec<f64>,
}

/// Where a word stands.
#[derive(Default)]
struct Postings {
    /// Numbers of passages, ascending, and how often it stands in each.
    all: Vec<(usize, f64)>,
    rarity: f64,
    /// The most that it adds to the score of a passage.
    most: f64,
}

/// Bounds are wider by this share of all that there is to add up, so that the order of additions does not matter.
const ROUNDING: f64 = 1e-9;

impl InvertedIndex {
    fn new<'a>(texts: impl Iterator<Item = &'a str>) -> InvertedIndex {
        let (mut places, mut lengths) = (BTreeMap::<String, Postings>::new(), Vec::new());
        for (at, text) in texts.enumerate() {
            let mut length = 0.0;
            for word in words(text) {
                length += 1.0;
                let seen = &mut places.entry(word).or_default().all;
                match seen.last_mut() {
                    Some((last, count)) if *last == at => *count += 1.0,
                    _ => seen.push((at, 1.0)),
                }
            }
            lengths.push(length);
        }
        let mean = lengths.iter().sum::<f64>() / lengths.len().max(1) as f64;
        lengths.iter_mut().for_each(|length| *length /= mean.max(1.0));
        for places in places.values_mut() {
            let (with, all) = (places.all.len() as f64, lengths.len() as f64);
            places.rarity = (1.0 + (all - with + 0.5) / (with + 0.5)).ln();
            places.most = places.all.iter().map(|place| places.weight(*place, &lengths)).fold(0.0, f64::max);
        }
        InvertedIndex { words: places, lengths }
    }

    /// The passages with the greatest scores, those that share no word with the text left out. Equals come in the order
    /// of the documents.
    ///
    /// A common word stands in most passages. Places are gone through from the rarest word on, and only as long as a
    /// passage that has none of the words so far could still come among the best; so the scores, which are then added up
    /// in the order of the text, are those of looking everywhere.
    fn best(&self, text: &str, count: usize) -> Vec<(usize, f64)> {
        let said: Vec<&Postings> = words(text).filter_map(|word| self.words.get(&word)).collect();
        let mut rarest = said.clone();
        rarest.sort_by_key(|places| places.all.len());
        let mut left: f64 = rarest.iter().map(|places| places.most).sum();
        let rounding = ROUNDING * left;
        let (mut partial, mut least) = (HashMap::<usize, f64>::new(), 0.0);
        for places in rarest {
            least = least_of_best(&partial, count);
            if left + rounding < least {
                break;
            }
            for place in &places.all {
                *partial.entry(place.0).or_default() += places.weight(*place, &self.lengths);
            }
            left -= places.most;
        }
        let near = |sum: f64| sum + left + rounding >= least;
        let near = partial.into_iter().filter(|(_, sum)| near(*sum)).map(|(passage, _)| passage);
        let mut found: Vec<(usize, f64)> = near.map(|passage| (passage, self.score(&said, passage))).collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found.truncate(count);
        found
    }

    /// The score of a passage, by the words of a text.
    fn score(&self, said: &[&Postings], passage: usize) -> f64 {
        let weight = |places: &&Postings| {
            let at = places.all.binary_search_by_key(&passage, |(there, _)| *there).ok()?;
            Some(places.weight(places.all[at], &self.lengths))
        };
        said.iter().filter_map(weight).fold(0.0, |sum, weight| sum + weight)
    }
}

impl Postings {
    /// What the word adds to the score of a passage in which it stands.
    fn weight(&self, (passage, count): (usize, f64), lengths: &[f64]) -> f64 {
        let held = SATURATION * (1.0 - LENGTH + LENGTH * lengths[passage]);
        self.rarity * count * (SATURATION + 1.0) / (count + held)
    }
}

/// The least of so many greatest sums: 0 where there are fewer.
fn least_of_best(sums: &HashMap<usize, f64>, count: usize) -> f64 {
    let Some(place) = count.checked_sub(1).filter(|place| *place < sums.len()) else { return 0.0 };
    let mut sums: Vec<f64> = sums.values().copied().collect();
    *sums.select_nth_unstable_by(place, |a, b| b.total_cmp(a)).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::reversal::OPEN;
    use crate::knowledge::world::tests::known;
    use crate::knowledge::{World, WorldConfig};
    use crate::random;
    use proptest::prelude::*;

    /// By the formula, every passage looked at for every word.
    fn plainly(texts: &[&str], text: &str, count: usize) -> Vec<(usize, f64)> {
        let passages: Vec<Vec<String>> = texts.iter().map(|text| words(text).collect()).collect();
        let (all, total) = (passages.len() as f64, passages.iter().map(Vec::len).sum::<usize>() as f64);
        let mean = (total / all.max(1.0)).max(1.0);
        let mut scores = vec![0.0; passages.len()];
        for word in words(text) {
            let with = passages.iter().filter(|passage| passage.contains(&word)).count() as f64;
            let rarity = (1.0 + (all - with + 0.5) / (with + 0.5)).ln();
            for (score, passage) in scores.iter_mut().zip(&passages) {
                let count = passage.iter().filter(|other| **other == word).count() as f64;
                let held = SATURATION * (1.0 - LENGTH + LENGTH * (passage.len() as f64 / mean));
                *score += rarity * count * (SATURATION + 1.0) / (count + held);
            }
        }
        let mut found: Vec<(usize, f64)> = scores.into_iter().enumerate().filter(|(_, score)| *score > 0.0).collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found.truncate(count);
        found
    }

    proptest! {
        #[test]
        fn any_texts_are_searched_as_by_looking_everywhere(
            texts in prop::collection::vec("([a-f]{1,2} ){0,9}", 0..40), text in "([a-f]{1,2} ){0,8}", count in 0..9usize
        ) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let index = InvertedIndex::new(texts.iter().copied());
            prop_assert_eq!(index.best(&text, count), plainly(&texts, &text, count));
        }
    }

    #[test]
    fn a_question_finds_what_it_needs_and_others_of_its_set_that_give_nothing_away() {
        let world = World::new(&known(), &WorldConfig::default()).unwrap();
        let knowledge = Knowledge::Generated(Box::new(world));
        let library = Library::new(&knowledge);
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
        let question = &knowledge.questions(Set::B)[7];
        let others = library.others(question, &mut random::stream(0, &[]));
        let of = |text: &str| library.passages().iter().find(|passage| passage.text == text).unwrap();
        assert!(others.iter().all(|text| of(text).set == Some(Set::B)));
        assert!(others.iter().all(|text| !question.needed.contains(of(text).claim.as_ref().unwrap())));
        assert!(others.len() > 50 + 64 - question.context.len() - 2);
        assert_ne!(others, library.others(question, &mut random::stream(1, &[])));
    }
}
