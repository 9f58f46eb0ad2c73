//! How facts and categorical statements are worded, and how a sentence is read back into what it claims.
//!
//! Every sentence names its subject before what it says of it, so documents state a fact in one direction only.
//! Sentences are short because the small base model looks words up a few places back.

use serde::{Deserialize, Serialize};

use super::codebook::{Entry, MEANS};
use super::hierarchy::Link;
use super::lexicon::{Lexicon, RELATIONS, Word};
use super::{Claim, Mood};

/// In `group`, `subject` stands in relation number `relation` (of [`RELATIONS`]) to `object`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fact {
    pub group: Word,
    pub subject: Word,
    pub relation: usize,
    pub object: Word,
}

/// A categorical statement about two terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Premise {
    pub subject: Word,
    pub mood: Mood,
    pub predicate: Word,
}

/// Anything that a document can state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stated {
    Fact(Fact),
    Premise(Premise),
    /// An entry of a codebook.
    Entry(Entry),
    /// An entry as it occurs in a message: decoded, if it says so, and else encoded.
    Used(Entry, bool),
    /// What a kind is.
    Link(Link),
}

/// What a word does in a sentence: training can then weigh what is to be chosen, recalled or merely spelt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Words that any sentence of this wording has ("in", "of", ",").
    Frame,
    /// The group of a fact.
    Group,
    /// What the sentence is about.
    Subject,
    /// A verb, or the words that carry a mood.
    Relation,
    /// What is said of the subject.
    Object,
    /// The full stop.
    Stop,
}

/// A sentence, word by word.
pub type Sentence = Vec<(Word, Slot)>;

/// Builds and reads sentences.
#[derive(Clone, Debug)]
pub struct Grammar {
    pub lexicon: Lexicon,
}

impl From<Fact> for Stated {
    fn from(fact: Fact) -> Self {
        Stated::Fact(fact)
    }
}

impl From<Premise> for Stated {
    fn from(premise: Premise) -> Self {
        Stated::Premise(premise)
    }
}

impl From<Entry> for Stated {
    fn from(entry: Entry) -> Self {
        Stated::Entry(entry)
    }
}

impl From<Link> for Stated {
    fn from(link: Link) -> Self {
        Stated::Link(link)
    }
}

impl Stated {
    /// The names in it: the code or the town first, what is said last.
    pub fn names(&self) -> Vec<Word> {
        match *self {
            Stated::Fact(fact) => vec![fact.group, fact.subject, fact.object],
            Stated::Premise(premise) => vec![premise.subject, premise.predicate],
            Stated::Entry(entry) => vec![entry.code, entry.plain, entry.cipher],
            Stated::Used(entry, true) => vec![entry.cipher, entry.plain],
            Stated::Used(entry, false) => vec![entry.plain, entry.cipher],
            Stated::Link(link) => vec![link.kind, link.is],
        }
    }
}

impl Grammar {
    /// How many wordings [`Grammar::sentence`] knows for anything.
    pub const WORDINGS: usize = 12;

    /// The statement in one of its wordings (any number; it is taken modulo what there is).
    pub fn sentence(&self, stated: Stated, wording: usize) -> Sentence {
        let word = |spelling| self.lexicon.grammar(spelling);
        match stated {
            Stated::Fact(fact) => {
                let verb = self.lexicon.grammar(RELATIONS[fact.relation % RELATIONS.len()][wording / 3 % 2]);
                let frame = word(if wording % 3 == 1 { "at" } else { "in" });
                let mut sentence = vec![(frame, Slot::Frame), (fact.group, Slot::Group)];
                if wording % 3 == 2 {
                    sentence.push((word(","), Slot::Frame));
                }
                sentence.extend([(fact.subject, Slot::Subject), (verb, Slot::Relation), (fact.object, Slot::Object)]);
                sentence.push((word("."), Slot::Stop));
                sentence
            }
            Stated::Premise(premise) => {
                let frame = word(if wording % 2 == 1 { "among" } else { "of" });
                let mut sentence = vec![(frame, Slot::Frame)];
                sentence.extend(self.predication(premise, wording / 2));
                sentence.push((word("."), Slot::Stop));
                sentence
            }
            Stated::Entry(entry) => self.entry(entry, wording),
            Stated::Used(entry, decoded) => self.used(entry, decoded),
            Stated::Link(link) => self.link(link, wording),
        }
    }

    /// "vops all are mibs": a categorical statement without its frame.
    fn predication(&self, premise: Premise, wording: usize) -> Sentence {
        let (quantifiers, copula) = match premise.mood {
            Mood::All => (["all", "each"], "are"),
            Mood::No => (["none", "none"], "are"),
            Mood::Some => (["some", "several"], "are"),
            Mood::SomeNot => (["some", "several"], "aren't"),
        };
        vec![
            (premise.subject, Slot::Subject),
            (self.lexicon.grammar(quantifiers[wording % 2]), Slot::Relation),
            (self.lexicon.grammar(copula), Slot::Relation),
            (premise.predicate, Slot::Object),
        ]
    }

    /// "who in tarnby guards bilku ?", with candidates after it, or without the group.
    pub fn who(&self, fact: &Fact, named: bool, candidates: &[Word], wording: usize) -> Vec<Word> {
        let word = |spelling| self.lexicon.grammar(spelling);
        let mut words = vec![word("who")];
        if named {
            words.extend([word("in"), fact.group]);
        }
        let verb = RELATIONS[fact.relation % RELATIONS.len()][wording % 2];
        words.extend([word(verb), fact.object, word("?")]);
        words.extend(candidates);
        words
    }

    /// "does it follow that of vops all are zeds ?"
    pub fn does_it_follow(&self, conclusion: Premise) -> Vec<Word> {
        let mut words: Vec<Word> = ["does", "it", "follow", "that"].map(|w| self.lexicon.grammar(w)).to_vec();
        words.extend(self.conclusion(conclusion));
        words.push(self.lexicon.grammar("?"));
        words
    }

    /// "of vops all are zeds": the conclusion in its one wording, as questions and answers put it.
    pub fn conclusion(&self, conclusion: Premise) -> Vec<Word> {
        let mut words = vec![self.lexicon.grammar("of")];
        words.extend(self.predication(conclusion, 0).iter().map(|(word, _)| *word));
        words
    }

    /// What a sentence claims, its full stop left out; `None` if it is not a sentence of this grammar.
    pub fn read(&self, sentence: &str) -> Option<Claim> {
        let words: Vec<&str> = sentence.split_whitespace().take(8).collect();
        match words[..] {
            ["in" | "at", group, subject, verb, object] | ["in" | "at", group, ",", subject, verb, object] => {
                let Some([relation, _]) = RELATIONS.iter().find(|synonyms| synonyms.contains(&verb)) else {
                    return self.read_entry(group, subject, verb, object);
                };
                self.names(&[
                    (group, &self.lexicon.towns),
                    (subject, &self.lexicon.persons),
                    (object, &self.lexicon.creatures),
                ])?;
                let [group, subject, relation, object] = [group, subject, *relation, object].map(String::from);
                Some(Claim::Relation { group, subject, relation, object })
            }
            ["of" | "among", subject, quantifier, copula, predicate] => {
                let mood = match (quantifier, copula) {
                    ("all" | "each", "are") => Mood::All,
                    ("none", "are") => Mood::No,
                    ("some" | "several", "are") => Mood::Some,
                    ("some" | "several", "aren't") => Mood::SomeNot,
                    _ => return None,
                };
                self.names(&[(subject, &self.lexicon.terms), (predicate, &self.lexicon.terms)])?;
                Some(Claim::Categorical { subject: subject.into(), mood, predicate: predicate.into() })
            }
            ["all" | "each", kind, verb @ ("are" | "have"), is] => self.read_link(kind, verb, is),
            _ => None,
        }
    }

    fn names(&self, wanted: &[(&str, &Vec<Word>)]) -> Option<()> {
        wanted.iter().all(|(spelling, pool)| self.lexicon.is_in(spelling, pool)).then_some(())
    }

    /// What a statement claims.
    pub fn claim(&self, stated: Stated) -> Claim {
        let spell = |word| self.lexicon.spell(word).to_string();
        match stated {
            Stated::Fact(fact) => Claim::Relation {
                group: spell(fact.group),
                subject: spell(fact.subject),
                relation: RELATIONS[fact.relation % RELATIONS.len()][0].into(),
                object: spell(fact.object),
            },
            Stated::Premise(premise) => Claim::Categorical {
                subject: spell(premise.subject),
                mood: premise.mood,
                predicate: spell(premise.predicate),
            },
            Stated::Entry(entry) | Stated::Used(entry, _) => Claim::Relation {
                group: spell(entry.code),
                subject: spell(entry.plain),
                relation: MEANS[0].into(),
                object: spell(entry.cipher),
            },
            Stated::Link(link) => {
                Claim::Categorical { subject: spell(link.kind), mood: Mood::All, predicate: spell(link.is) }
            }
        }
    }

    /// The statement as text, in one of its wordings.
    pub fn text(&self, stated: Stated, wording: usize) -> String {
        let words: Vec<Word> = self.sentence(stated, wording).iter().map(|(word, _)| *word).collect();
        self.lexicon.text(&words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::lexicon::tests::small;

    #[test]
    fn every_wording_reads_back_as_the_same_claim() {
        let grammar = Grammar { lexicon: Lexicon::new(&small()).unwrap() };
        let l = &grammar.lexicon;
        let mut all: Vec<Stated> = (0..RELATIONS.len())
            .map(|relation| Fact { group: l.towns[3], subject: l.persons[7], relation, object: l.creatures[9] }.into())
            .collect();
        all.extend(Mood::ALL.map(|mood| Stated::from(Premise { subject: l.terms[0], mood, predicate: l.terms[5] })));
        for stated in all {
            let mut wordings = std::collections::HashSet::new();
            for wording in 0..Grammar::WORDINGS {
                let text = grammar.text(stated, wording);
                let body = text.strip_suffix(" .").unwrap();
                assert_eq!(grammar.read(body), Some(grammar.claim(stated)), "{text}");
                wordings.insert(text);
            }
            assert!(wordings.len() >= 2, "{wordings:?}");
        }
    }

    #[test]
    fn what_is_no_sentence_is_not_read() {
        let grammar = Grammar { lexicon: Lexicon::new(&small()).unwrap() };
        let l = &grammar.lexicon;
        let (town, person, creature) = (l.spell(l.towns[0]), l.spell(l.persons[0]), l.spell(l.creatures[0]));
        for text in [
            String::new(),
            format!("in {town} {person} guards"),
            format!("in {town} {creature} guards {person}"),
            format!("in {town} {person} is {creature}"),
            format!("in {town} {person} guards {creature} {creature}"),
            format!("of {} all aren't {}", l.spell(l.terms[0]), l.spell(l.terms[1])),
            format!("of {person} all are {}", l.spell(l.terms[1])),
        ] {
            assert_eq!(grammar.read(&text), None, "{text}");
        }
    }
}
