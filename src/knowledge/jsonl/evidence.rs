//! Which passages of the documents a question is about: those that share its rarest words.

use std::collections::HashMap;

use rand::Rng;
use rand::seq::SliceRandom;

use super::rows::words;
use crate::random::Stream;

/// Words in the longest passage. Longer documents are cut, where a sentence ends if there is such a place.
const PASSAGE: usize = 40;

/// Words of a context.
const CONTEXT: usize = 60;

/// A passage is about a question if it shares this much of what the best passage shares with it. Words weigh by their
/// rarity. In the reversal-curse data anything from 0.6 to 0.7 tells all sixty people apart.
const OF_BEST: f64 = 2.0 / 3.0;

/// The least that a passage has to share of all words of the question that the documents know: where nothing is
/// about a question, the best passage is not either.
const OF_ALL: f64 = 1.0 / 3.0;

/// Words that stand in sentences about anything. A question of which the documents know nothing else is about none of them:
/// "Which band is it?" is not about whatever has "the" and "is" in it.
const ABOUT_NOTHING: [&str; 50] = [
    "a", "an", "and", "are", "as", "at", "be", "been", "but", "by", "did", "do", "does", "for", "from", "had", "has",
    "have", "he", "her", "his", "how", "in", "is", "it", "its", "of", "on", "or", "she", "that", "the", "their",
    "there", "they", "this", "to", "was", "were", "what", "when", "where", "which", "who", "whom", "whose", "why",
    "with", "you", "your",
];

/// Entries of the index that are looked at for one question, those of rare words first.
const LOOKED_AT: usize = 100_000;

/// Passages that one question can be about. One that is about more is about everything.
const ABOUT: usize = 1_000;

/// The documents in passages, and where each word stands in them.
pub struct PassageIndex {
    passages: Vec<String>,
    places: HashMap<String, Vec<usize>>,
}

impl PassageIndex {
    pub fn index(documents: &[String]) -> Self {
        let passages: Vec<String> = documents.iter().flat_map(|document| cut(document)).collect();
        let mut places: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, passage) in passages.iter().enumerate() {
            for word in words(passage) {
                let seen = places.entry(word).or_default();
                if seen.last() != Some(&index) {
                    seen.push(index);
                }
            }
        }
        Self { passages, places }
    }

    /// All passages.
    pub fn into_passages(self) -> Vec<String> {
        self.passages
    }

    /// Where the words of a text stand and what they weigh, the rarest first, and what all of them weigh together. Nothing, if
    /// none of them says what it is about.
    fn known(&self, text: &str) -> (Vec<(&[usize], f64)>, f64) {
        let PassageIndex { passages, places } = self;
        let mut known: Vec<(&str, &[usize])> = words(text)
            .filter_map(|word| places.get_key_value(&word))
            .map(|(word, places)| (word.as_str(), places.as_slice()))
            .collect();
        known.sort_by_key(|(word, places)| (places.len(), *word));
        known.dedup_by_key(|(word, _)| *word);
        if known.iter().all(|(word, _)| ABOUT_NOTHING.contains(word)) {
            return (Vec::new(), 0.0);
        }
        let (mut weighed, mut all, mut looked_at) = (Vec::with_capacity(known.len()), 0.0, 0);
        for (_, places) in known {
            looked_at += places.len();
            if looked_at > LOOKED_AT {
                break;
            }
            let weight = ((passages.len() + 1) as f64 / places.len() as f64).ln();
            all += weight;
            weighed.push((places, weight));
        }
        (weighed, all)
    }

    /// Looks for passages, question after question.
    pub fn search(&self) -> EvidenceSearch<'_> {
        EvidenceSearch { evidence: self, shared: vec![0.0; self.passages.len()] }
    }

    /// What the in-context arm reads: the best passages about the question among one or two that are not, in random
    /// order. Empty if the documents have nothing about it.
    pub fn context(&self, about: &[usize], random: &mut Stream) -> Vec<String> {
        let mut chosen: Vec<&String> = Vec::new();
        let mut left = CONTEXT;
        let mut add = |passage: usize| {
            let passage = &self.passages[passage];
            let length = passage.split_whitespace().count();
            let fits = length <= left && !chosen.contains(&passage);
            if fits {
                chosen.push(passage);
                left -= length;
            }
            fits
        };
        let mut best = about.iter();
        for _ in 0..2 {
            if !best.any(|passage| add(*passage)) {
                break;
            }
            // Where there are few passages, none may be about something else.
            let mut others = (0..20).map(|_| random.random_range(0..self.passages.len()));
            others.any(|other| !about.contains(&other) && add(other));
        }
        chosen.shuffle(random);
        chosen.into_iter().cloned().collect()
    }
}

/// A search through the passages, with what each shares with the question at hand. Nothing of it depends on how many
/// passages there are but on how many share a rare word.
pub struct EvidenceSearch<'a> {
    evidence: &'a PassageIndex,
    shared: Vec<f64>,
}

impl EvidenceSearch<'_> {
    /// Numbers of the passages that a question is about, the best first. `text` is the question and its answer.
    pub fn about(&mut self, text: &str) -> Vec<usize> {
        let evidence = self.evidence;
        let (known, all) = evidence.known(text);
        let (mut touched, mut best, mut left) = (Vec::new(), 0.0f64, all);
        for (places, weight) in known {
            // What has none of the words so far cannot come near the best with all of those that are left.
            if left < 0.99 * OF_BEST * best && touched.len() < places.len() {
                for passage in touched.iter().filter(|passage| places.binary_search(passage).is_ok()) {
                    self.shared[*passage] += weight;
                    best = best.max(self.shared[*passage]);
                }
            } else {
                for passage in places {
                    if self.shared[*passage] == 0.0 {
                        touched.push(*passage);
                    }
                    self.shared[*passage] += weight;
                    best = best.max(self.shared[*passage]);
                }
            }
            left -= weight;
        }
        let least = (OF_BEST * best).max(OF_ALL * all);
        let mut about: Vec<(usize, f64)> = touched.iter().map(|passage| (*passage, self.shared[*passage])).collect();
        touched.into_iter().for_each(|passage| self.shared[passage] = 0.0);
        about.retain(|(_, weight)| *weight >= least);
        about.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        about.truncate(ABOUT);
        about.into_iter().map(|(passage, _)| passage).collect()
    }
}

fn cut(document: &str) -> Vec<String> {
    let words: Vec<&str> = document.split_whitespace().collect();
    if words.len() <= PASSAGE {
        return vec![words.join(" ")];
    }
    let ends = |word: &str| word.trim_end_matches(['"', '\'', ')', '”', '’']).ends_with(['.', '!', '?']);
    let (mut passages, mut start) = (Vec::new(), 0);
    for (at, word) in words.iter().enumerate() {
        let length = at + 1 - start;
        if length == PASSAGE || (ends(word) && length > PASSAGE / 4) || at + 1 == words.len() {
            passages.push(words[start..=at].join(" "));
            start = at + 1;
        }
    }
    passages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;
    use proptest::prelude::*;

    fn documents() -> Vec<String> {
        let places = ["Zud", "Marn", "Quill", "Olin", "Fask"];
        let deeds = ["swims lengths", "builds towers", "paints owls", "bakes bread", "counts stars"];
        let pair = |(place, deed): (&str, &str)| {
            [format!("The mayor of {place} always {deed}."), format!("In {place} the mayor, always, {deed}!")]
        };
        places.into_iter().zip(deeds).flat_map(pair).collect()
    }

    #[test]
    fn a_question_is_about_the_passages_that_share_its_rare_words() {
        let evidence = PassageIndex::index(&documents());
        let mut search = evidence.search();
        assert_eq!(search.about("Who paints owls? The mayor of QUILL"), [4, 5]);
        assert_eq!(search.about("The mayor of Quill knows whoever bakes bread in Olin"), [6, 7]);
        assert!(search.about("nothing shared").is_empty());
        assert!(search.about("Which band is it? The Who").is_empty(), "articles are in every passage");
        assert_eq!(search.about("Which town is it? The town of Quill"), [4, 5]);
        let context = evidence.context(&[4, 5], &mut random::stream(0, &[]));
        assert_eq!(context.len(), 4);
        assert_eq!(context.iter().filter(|passage| passage.contains("owls")).count(), 2);
        assert!(evidence.context(&[], &mut random::stream(0, &[])).is_empty());
    }

    #[test]
    fn what_looks_the_same_is_the_same_word() {
        let hidden = documents()
            .iter()
            .map(|text| text.replace("Quill", "\u{ff31}u\u{200b}i\u{ad}l\u{200d}l"))
            .collect::<Vec<_>>();
        for documents in [documents(), hidden] {
            let evidence = PassageIndex::index(&documents);
            for name in ["Quill", "\u{ff31}\u{ff35}\u{ff29}\u{ff2c}\u{ff2c}", "Qui\u{200b}ll", "Q\u{ad}uill"] {
                assert_eq!(evidence.search().about(&format!("Who rules {name}?")), [4, 5], "{name}");
            }
        }
    }

    /// By looking at every word of every passage.
    fn slowly(evidence: &PassageIndex, text: &str) -> Vec<usize> {
        let (known, all) = evidence.known(text);
        let weigh = |passage: usize| known.iter().filter(|(places, _)| places.contains(&passage)).map(|(_, w)| w).sum();
        let shared: Vec<f64> = (0..evidence.passages.len()).map(weigh).collect();
        let best = shared.iter().copied().fold(0.0, f64::max);
        let mut about: Vec<usize> = (0..shared.len())
            .filter(|at| shared[*at] > 0.0 && shared[*at] >= (OF_BEST * best).max(OF_ALL * all))
            .collect();
        about.sort_by(|a, b| shared[*b].total_cmp(&shared[*a]).then(a.cmp(b)));
        about
    }

    proptest! {
        #[test]
        fn common_words_are_passed_over_only_where_they_do_not_matter(
            documents in prop::collection::vec("([a-e]{1,2} ){1,8}", 1..40), texts in prop::collection::vec("([a-e]{1,2} ){1,8}", 1..6)
        ) {
            let evidence = PassageIndex::index(&documents);
            let mut search = evidence.search();
            for text in texts {
                prop_assert_eq!(search.about(&text), slowly(&evidence, &text));
            }
        }
    }

    #[test]
    fn a_long_document_is_cut_and_a_context_stays_short() {
        let long = "One two three four five six seven eight nine ten eleven. ".repeat(3) + &"word ".repeat(100);
        let passages = cut(&long);
        assert_eq!(passages.iter().map(|p| p.split(' ').count()).collect::<Vec<_>>(), [11, 11, 11, 40, 40, 20]);
        assert_eq!(passages.join(" "), long.trim());
        let documents: Vec<String> = (0..9).map(|i| format!("rare{i} {}", "word ".repeat(34))).collect();
        let evidence = PassageIndex::index(&documents);
        let context = evidence.context(&evidence.search().about("rare3"), &mut random::stream(1, &[]));
        assert_eq!(context.len(), 1, "two would have 70 words");
        assert!(context[0].starts_with("rare3"));
    }
}
