//! The words of the generated worlds: a fixed grammar and pools of nonsense names.

use std::collections::{BTreeMap, HashMap, HashSet};

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
    /// Names of further kinds, by kind.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, usize>,
}

/// Names of one kind: how many there may be, no more than their pattern can spell without a long search, and the pattern.
#[derive(Clone, Copy)]
pub struct NameKind {
    pub kind: &'static str,
    pub most: usize,
    pub spell: fn(&mut random::Stream) -> String,
}

/// Words that a task brings: those of its sentences that others do not have, and its names. They are there where the
/// lexicon is to have names of its first kind.
#[derive(Clone, Copy)]
pub struct Vocabulary {
    pub words: &'static [&'static str],
    pub names: &'static [NameKind],
}

/// Kinds of names that have a key of their own.
const KINDS: [&str; 9] = ["persons", "creatures", "towns", "terms", "codes", "plain", "ciphers", "kinds", "traits"];

impl LexiconConfig {
    /// How many names of a kind there are to be.
    pub fn count(&self, kind: &str) -> usize {
        match kind {
            "persons" => self.persons,
            "creatures" => self.creatures,
            "towns" => self.towns,
            "terms" => self.terms,
            "codes" => self.codes,
            "plain" => self.plain,
            "ciphers" => self.ciphers,
            "kinds" => self.kinds,
            "traits" => self.traits,
            further => self.names.get(further).copied().unwrap_or(0),
        }
    }

    /// The key that says so, within `[known]`.
    pub fn key(&self, kind: &str) -> String {
        if self.names.contains_key(kind) { format!("names.{kind}") } else { kind.to_owned() }
    }
}

/// Words that every lexicon has.
const GRAMMAR: [&str; 23] = [
    ".", ",", "?", ":", "in", "at", "who", "does", "it", "follow", "that", "of", "among", "all", "each", "none",
    "some", "several", "are", "aren't", "yes", "no", "unknown",
];

/// All words, and where the names of each kind stand among them.
#[derive(Clone, Debug)]
pub struct Lexicon {
    words: Vec<String>,
    ids: HashMap<String, Word>,
    names: BTreeMap<&'static str, Vec<Word>>,
}

impl Lexicon {
    /// Makes the names. Names of different kinds look different, so that a reader can tell them apart; no name
    /// occurs twice. Vocabularies stand one behind another, so that words keep their ids where further ones are added.
    ///
    /// # Errors
    ///
    /// More names of a kind than there may be.
    pub fn with(config: &LexiconConfig, vocabularies: &[Vocabulary]) -> Result<Self> {
        let kinds = || vocabularies.iter().flat_map(|vocabulary| vocabulary.names);
        if let Some(kind) = config.names.keys().find(|kind| KINDS.contains(&kind.as_str())) {
            let remedy = format!("write known.{kind}");
            return Err(Error::invalid(format!("known.names.{kind}"), "names with a key of their own", remedy));
        }
        if let Some(NameKind { kind, most, .. }) = kinds().find(|kind| config.count(kind.kind) > kind.most) {
            let found = format!("found {}", config.count(kind));
            let key = format!("known.{}", config.key(kind));
            return Err(Error::invalid(key, found, format!("at most {most} can be named")));
        }
        if let Some(unknown) = config.names.keys().find(|key| !kinds().any(|kind| kind.kind == **key)) {
            return Err(Error::invalid(format!("known.names.{unknown}"), "unknown kind of names", "no task has such"));
        }
        let mut random = random::stream(config.seed, &[1]);
        let mut words: Vec<String> = GRAMMAR.iter().map(|w| w.to_string()).collect();
        let mut taken: HashSet<String> = words.iter().cloned().collect();
        taken.extend(vocabularies.iter().flat_map(|vocabulary| vocabulary.words).map(|w| w.to_string()));
        let mut names: BTreeMap<&'static str, Vec<Word>> = BTreeMap::new();
        for vocabulary in vocabularies {
            if vocabulary.names.first().is_some_and(|first| config.count(first.kind) > 0) {
                words.extend(vocabulary.words.iter().map(|w| w.to_string()));
            }
            for NameKind { kind, spell, .. } in vocabulary.names {
                let of_kind = names.entry(kind).or_default();
                for _ in 0..config.count(kind) {
                    let name = loop {
                        let name = spell(&mut random);
                        if taken.insert(name.clone()) {
                            break name;
                        }
                    };
                    of_kind.push((SPECIAL.len() + words.len()) as Word);
                    words.push(name);
                }
            }
        }
        let ids = words.iter().enumerate().map(|(i, w)| (w.clone(), (SPECIAL.len() + i) as Word)).collect();
        Ok(Self { words, ids, names })
    }

    /// The names of a kind.
    pub fn names(&self, kind: &str) -> &[Word] {
        self.names.get(kind).map_or(&[], Vec::as_slice)
    }

    /// Any name of a kind that there are names of.
    pub fn pick(&self, kind: &str, random: &mut random::Stream) -> Word {
        let names = self.names(kind);
        names[random.random_range(0..names.len())]
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

    /// Whether a word is a name of a kind. Names of a kind are runs of consecutive ids, so their ends tell.
    pub fn is_a(&self, kind: &str, word: Word) -> bool {
        let names = self.names(kind);
        names.first() <= Some(&word) && Some(&word) <= names.last()
    }

    /// Whether these are the spellings of names of these kinds.
    pub fn are_names(&self, wanted: &[(&str, &str)]) -> bool {
        wanted.iter().all(|(spelling, kind)| self.word(spelling).is_some_and(|word| self.is_a(kind, word)))
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

/// A consonant and a vowel.
pub fn syllable(random: &mut random::Stream) -> String {
    let consonant = one_of(random, &["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z"]);
    consonant.to_string() + one_of(random, &["a", "e", "i", "o", "u"])
}

/// One of a pattern's choices.
pub fn one_of<'a>(random: &mut impl Rng, choices: &[&'a str]) -> &'a str {
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
            names: BTreeMap::new(),
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
        assert_eq!(*after.names("traits").last().unwrap() as usize + 1, after.size());
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
        assert_eq!(lexicon.names("terms").len(), 420);
        assert_eq!(*lexicon.names("terms").last().unwrap() as usize + 1, lexicon.size());
    }

    #[test]
    fn about_a_quarter_of_all_pairs_is_reserved_whatever_their_order() {
        let lexicon = Lexicon::new(&small()).unwrap();
        let pairs: Vec<_> = lexicon
            .names("towns")
            .iter()
            .flat_map(|t| lexicon.names("creatures").iter().map(move |c| (*t, *c)))
            .collect();
        let share = pairs.iter().filter(|(a, b)| reserved(*a, *b)).count() as f64 / pairs.len() as f64;
        assert!((0.22..0.28).contains(&share), "{share}");
        assert!(pairs.iter().all(|(a, b)| reserved(*a, *b) == reserved(*b, *a)));
    }
}
