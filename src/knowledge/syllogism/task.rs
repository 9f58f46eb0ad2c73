//! How premises are made, worded and read, and what answers a question about a conclusion.

use super::{ENTAILMENT, Premise, SQUARE, SYLLOGISM, Syllogisms, predication};
use crate::knowledge::prelude::*;

/// The task.
pub struct Syllogism;

impl Task for Syllogism {
    fn id(&self) -> TaskId {
        SYLLOGISM
    }

    fn forms(&self) -> &'static [Form] {
        &[ENTAILMENT]
    }

    /// "unknown" follows where the claims lead from one end term to the other and decide neither way; silence grounds
    /// nothing.
    fn entailed(&self, question: &Question, claims: &BTreeSet<&Claim>, facts: &dyn Facts) -> Option<String> {
        let asked = facts.read(&format!("{} .", question.cue))?;
        decided(categorical(&asked)?, claims, facts.import()).map(|verdict| verdict.word().into())
    }
}

impl GeneratedTask for Syllogism {
    fn is_core(&self) -> bool {
        true
    }

    fn size(&self, set: &SetSize) -> (String, usize) {
        ("chains".into(), set.chains)
    }

    fn known_size(&self, known: &KnownConfig) -> usize {
        known.chains
    }

    fn check_known(&self, known: &KnownConfig) -> Result<()> {
        multiple("known.chains", known.chains, SQUARE)
    }

    fn check_size(&self, key: &str, size: usize, _: &KnownConfig) -> Result<()> {
        multiple(key, size, SQUARE)
    }

    fn vocabulary(&self) -> Vocabulary {
        const TERMS: NameKind = NameKind {
            kind: "terms",
            most: 800,
            spell: |r| {
                syllable(r) + one_of(r, &["b", "d", "g", "k", "p", "t", "v", "z"]) + one_of(r, &["s", "os", "es"])
            },
        };
        Vocabulary { words: &[], names: &[TERMS] }
    }

    fn takes(&self) -> &'static [&'static str] {
        &["terms"]
    }

    fn stream(&self) -> u64 {
        2
    }

    fn make(&self, size: usize, maker: &mut SetMaker) -> Result<Arc<dyn TaskData>> {
        Ok(Arc::new(Syllogisms::new(size, maker)?))
    }

    fn sentence(&self, lexicon: &Lexicon, stated: [Word; 4], wording: usize) -> Sentence {
        let mut sentence = vec![(lexicon.grammar(["of", "among"][wording % 2]), Slot::Frame)];
        sentence.extend(predication(lexicon, stated.into(), wording / 2));
        sentence.push((lexicon.grammar("."), Slot::Stop));
        sentence
    }

    fn claim(&self, lexicon: &Lexicon, stated: [Word; 4]) -> Claim {
        let Premise { subject, mood, predicate } = stated.into();
        let [subject, predicate] = [subject, predicate].map(|term| lexicon.spell(term).to_owned());
        Claim::Categorical { subject, mood, predicate }
    }

    fn read(&self, lexicon: &Lexicon, sentence: &[&str]) -> Option<Claim> {
        let ["of" | "among", subject, quantifier, copula, predicate] = *sentence else { return None };
        let mood = match (quantifier, copula) {
            ("all" | "each", "are") => Mood::All,
            ("none", "are") => Mood::No,
            ("some" | "several", "are") => Mood::Some,
            ("some" | "several", "aren't") => Mood::SomeNot,
            _ => return None,
        };
        let there = lexicon.are_names(&[(subject, "terms"), (predicate, "terms")]);
        there.then(|| Claim::Categorical { subject: subject.into(), mood, predicate: predicate.into() })
    }

    /// The converse, where there is one.
    fn turned_round(&self, lexicon: &Lexicon, stated: [Word; 4], wording: usize) -> Vec<Word> {
        let [subject, _, predicate, _] = stated;
        let converse = match Premise::from(stated).mood {
            // All vops are mibs, so some mibs are vops: there are vops.
            Mood::All | Mood::Some => Some(Mood::Some),
            Mood::No => Some(Mood::No),
            Mood::SomeNot => None,
        };
        let turned = converse.map_or(stated, |mood| [predicate, mood as Word, subject, 0]);
        words(&self.sentence(lexicon, turned, wording))
    }
}
