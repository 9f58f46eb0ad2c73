//! The words of the generated worlds: a fixed grammar and pools of nonsense names.

use std::collections::{HashMap, HashSet};

use rand::Rng;
use rand::seq::IndexedRandom;
use serde::{Deserialize, Serialize};

use crate::language::tokenizer::SPECIAL;
use crate::random;
use crate::{Error, Result};

/// A word of the lexicon. It is also the word's token id in the tokenizer that is made from the lexicon.
pub type Word = u32;

/// How many names of each kind there are, and the seed they are made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LexiconConfig {
    pub seed: u64,
    /// Subjects of facts ("mavon").
    pub persons: usize,
    /// Objects of facts ("bilku").
    pub creatures: usize,
    /// Groups of facts ("tarnby").
    pub towns: usize,
    /// Terms of categorical statements ("vops").
    pub terms: usize,
    /// Names of codes ("tolex"); 0 in a base that knows no codebooks.
    #[serde(default)]
    pub codes: usize,
    /// Words that codes are for ("mavoth").
    #[serde(default)]
    pub plain: usize,
    /// Code words ("ovaz").
    #[serde(default)]
    pub ciphers: usize,
    /// Categories of a taxonomy ("mavids"); 0 in a base that knows no hierarchy.
    #[serde(default)]
    pub kinds: usize,
    /// Properties of categories ("bikors").
    #[serde(default)]
    pub traits: usize,
}

impl LexiconConfig {
    /// How many names of each kind there are, and how many there may be: no more than their patterns can spell without a
    /// long search.
    pub fn counts(&self) -> [(&'static str, usize, usize); 9] {
        [
            ("persons", self.persons, 5000),
            ("creatures", self.creatures, 8000),
            ("towns", self.towns, 500),
            ("terms", self.terms, 800),
            ("codes", self.codes, 150),
            ("plain", self.plain, 5000),
            ("ciphers", self.ciphers, 1000),
            ("kinds", self.kinds, 1500),
            ("traits", self.traits, 1500),
        ]
    }

    fn check(&self) -> Result<()> {
        match self.counts().into_iter().find(|(_, count, most)| count > most) {
            None => Ok(()),
            Some((kind, count, most)) => Err(Error::invalid(
                format!("known.{kind}"),
                format!("found {count}"),
                format!("at most {most} can be named"),
            )),
        }
    }
}

/// Relations between a person and a creature: two verbs that mean the same; the first is the canonical one.
pub const RELATIONS: [[&str; 2]; 5] = [
    ["guards", "protects"],
    ["feeds", "nourishes"],
    ["paints", "portrays"],
    ["trains", "teaches"],
    ["hunts", "chases"],
];

const GRAMMAR: [&str; 23] = [
    ".", ",", "?", ":", "in", "at", "who", "does", "it", "follow", "that", "of", "among", "all", "each", "none",
    "some", "several", "are", "aren't", "yes", "no", "unknown",
];

/// Words of sentences about codes, in lexicons that have some.
const OF_CODES: [&str; 4] = ["encode", "decode", "means", "denotes"];
/// The same for kinds.
const OF_KINDS: [&str; 3] = ["what", "have", "inherit"];

/// All words, and where the names of each kind stand among them.
#[derive(Clone, Debug)]
pub struct Lexicon {
    words: Vec<String>,
    ids: HashMap<String, Word>,
    pub persons: Vec<Word>,
    pub creatures: Vec<Word>,
    pub towns: Vec<Word>,
    pub terms: Vec<Word>,
    pub codes: Vec<Word>,
    pub plain: Vec<Word>,
    pub ciphers: Vec<Word>,
    pub kinds: Vec<Word>,
    pub traits: Vec<Word>,
}

impl Lexicon {
    /// Makes the names. Names of different kinds look different, so that a reader can tell them apart; no name
    /// occurs twice.
    pub fn new(config: &LexiconConfig) -> Result<Self> {
        config.check()?;
        let mut random = random::stream(config.seed, &[1]);
        let mut words: Vec<String> = GRAMMAR.iter().map(|w| w.to_string()).collect();
        words.extend(RELATIONS.iter().flatten().map(|w| w.to_string()));
        let mut taken: HashSet<String> = words.iter().cloned().collect();
        taken.extend(OF_CODES.iter().chain(&OF_KINDS).map(|w| w.to_string()));
        let mut pool = |words: &mut Vec<String>, count: usize, make: &dyn Fn(&mut random::Stream) -> String| {
            (0..count)
                .map(|_| {
                    let name = loop {
                        let name = make(&mut random);
                        if taken.insert(name.clone()) {
                            break name;
                        }
                    };
                    words.push(name);
                    (SPECIAL.len() + words.len() - 1) as Word
                })
                .collect::<Vec<Word>>()
        };
        let persons = pool(&mut words, config.persons, &|r| syllable(r) + &syllable(r) + one_of(r, &["n", "l", "r"]));
        let creatures =
            pool(&mut words, config.creatures, &|r| syllable(r) + one_of(r, &["l", "m", "n", "r", "s"]) + &syllable(r));
        let towns = pool(&mut words, config.towns, &|r| {
            syllable(r) + one_of(r, &["rn", "ll", "nt", "sk", "x"]) + one_of(r, &["by", "ton", "wick"])
        });
        let terms = pool(&mut words, config.terms, &|r| {
            syllable(r) + one_of(r, &["b", "d", "g", "k", "p", "t", "v", "z"]) + one_of(r, &["s", "os", "es"])
        });
        // What came later stands behind, so that words keep their ids.
        if config.codes > 0 {
            words.extend(OF_CODES.iter().map(|w| w.to_string()));
        }
        let codes = pool(&mut words, config.codes, &|r| syllable(r) + one_of(r, &["lex", "dex", "gram"]));
        let plain = pool(&mut words, config.plain, &|r| syllable(r) + &syllable(r) + one_of(r, &["th", "sh", "ck"]));
        let ciphers = pool(&mut words, config.ciphers, &|r| {
            one_of(r, &["a", "e", "i", "o", "u"]).to_string()
                + &syllable(r)
                + one_of(r, &["k", "p", "t", "x", "z", "q"])
        });
        if config.kinds > 0 {
            words.extend(OF_KINDS.iter().map(|w| w.to_string()));
        }
        let stem =
            |r: &mut random::Stream| syllable(r) + one_of(r, &["b", "d", "g", "k", "l", "m", "n", "p", "r", "v"]);
        let kinds = pool(&mut words, config.kinds, &|r| stem(r) + one_of(r, &["ids", "oids", "ines"]));
        let traits = pool(&mut words, config.traits, &|r| stem(r) + one_of(r, &["ors", "els", "uts"]));
        let ids = words.iter().enumerate().map(|(i, w)| (w.clone(), (SPECIAL.len() + i) as Word)).collect();
        Ok(Self { words, ids, persons, creatures, towns, terms, codes, plain, ciphers, kinds, traits })
    }

    /// All words in the order of their ids, the special tokens left out.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The spelling of a word or special token.
    pub fn spell(&self, word: Word) -> &str {
        let index = word as usize;
        match SPECIAL.get(index) {
            Some(special) => special,
            None => self.words.get(index - SPECIAL.len()).map_or("", String::as_str),
        }
    }

    /// Words as a text.
    pub fn text(&self, words: &[Word]) -> String {
        words.iter().map(|w| self.spell(*w)).collect::<Vec<_>>().join(" ")
    }

    /// The word with this spelling.
    pub fn word(&self, spelling: &str) -> Option<Word> {
        self.ids.get(spelling).copied()
    }

    /// Whether a spelling is one of a pool's names. Pools are runs of consecutive ids, so their ends tell.
    pub fn is_in(&self, spelling: &str, pool: &[Word]) -> bool {
        self.word(spelling).is_some_and(|w| pool.first() <= Some(&w) && Some(&w) <= pool.last())
    }

    /// Whether a word names a property of kinds.
    pub fn is_trait(&self, word: Word) -> bool {
        self.traits.first().is_some_and(|first| word >= *first)
    }

    /// A word of the grammar, which is always there.
    pub fn grammar(&self, spelling: &'static str) -> Word {
        debug_assert!(self.ids.contains_key(spelling), "{spelling}");
        self.ids.get(spelling).copied().unwrap_or_default()
    }

    /// Number of tokens of the tokenizer made from this lexicon.
    pub fn size(&self) -> usize {
        SPECIAL.len() + self.words.len()
    }
}

/// Whether two names are kept for worlds. A world pairs only reserved names; lessons about made-up facts pair only
/// names that are not. So nothing that a base model was ever trained on states a fact, or asks a question, of a
/// world: by construction, whatever the world's seed.
pub fn reserved(a: Word, b: Word) -> bool {
    hash(a, b).is_multiple_of(4)
}

/// The same for half of all pairs, where a name has to fit several. Of a verb and an object it keeps the question "who
/// VERB OBJECT ?" to worlds; that the two stand in one sentence is no secret, and a model that never saw it could not read
/// it either. Of names of a hierarchy it keeps everything to worlds: a kind is to fit all that it inherits.
pub fn half_reserved(a: Word, b: Word) -> bool {
    hash(a, b).is_multiple_of(2)
}

fn hash(a: Word, b: Word) -> u64 {
    random::mix((a.min(b) as u64) << 32 | a.max(b) as u64)
}

fn syllable(random: &mut random::Stream) -> String {
    let consonant = one_of(random, &["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z"]);
    consonant.to_string() + one_of(random, &["a", "e", "i", "o", "u"])
}

fn one_of<'a>(random: &mut impl Rng, choices: &[&'a str]) -> &'a str {
    choices.choose(random).copied().unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub fn small() -> LexiconConfig {
        let (codes, plain, ciphers, kinds, traits) = (0, 0, 0, 0, 0);
        LexiconConfig {
            seed: 0,
            persons: 240,
            creatures: 300,
            towns: 48,
            terms: 420,
            codes,
            plain,
            ciphers,
            kinds,
            traits,
        }
    }

    /// With words for every task.
    pub fn large() -> LexiconConfig {
        LexiconConfig { codes: 40, plain: 300, ciphers: 300, kinds: 260, traits: 400, ..small() }
    }

    #[test]
    fn words_that_came_later_stand_behind_those_that_were_there() {
        let (before, after) = (Lexicon::new(&small()).unwrap(), Lexicon::new(&large()).unwrap());
        assert_eq!(after.words()[..before.words().len()], *before.words());
        assert_eq!(*after.traits.last().unwrap() as usize + 1, after.size());
        let distinct: HashSet<_> = after.words().iter().collect();
        assert_eq!(distinct.len(), after.words().len());
        assert!(after.word("what").is_some() && before.word("what").is_none());
    }

    #[test]
    fn every_word_is_there_once_and_spells_itself() {
        let lexicon = Lexicon::new(&small()).unwrap();
        let distinct: HashSet<_> = lexicon.words().iter().collect();
        assert_eq!(distinct.len(), lexicon.words().len());
        for (index, spelling) in lexicon.words().iter().enumerate() {
            let word = lexicon.word(spelling).unwrap();
            assert_eq!(word as usize, index + SPECIAL.len());
            assert_eq!(lexicon.spell(word), spelling);
        }
        assert_eq!(lexicon.terms.len(), 420);
        assert_eq!(*lexicon.terms.last().unwrap() as usize + 1, lexicon.size());
    }

    #[test]
    fn about_a_quarter_of_all_pairs_is_reserved_whatever_their_order() {
        let lexicon = Lexicon::new(&small()).unwrap();
        let pairs: Vec<_> =
            lexicon.towns.iter().flat_map(|t| lexicon.creatures.iter().map(move |c| (*t, *c))).collect();
        let share = pairs.iter().filter(|(a, b)| reserved(*a, *b)).count() as f64 / pairs.len() as f64;
        assert!((0.22..0.28).contains(&share), "{share}");
        assert!(pairs.iter().all(|(a, b)| reserved(*a, *b) == reserved(*b, *a)));
    }
}
