//! How facts are made, worded and read, and what answers a question about one.

use super::{CANDIDATES, Fact, OPEN, OPEN_ANY, RELATIONS, REVERSAL, Reversals};
use crate::knowledge::prelude::*;

/// The task.
pub struct Reversal;

impl Task for Reversal {
    fn id(&self) -> TaskId {
        REVERSAL
    }

    fn forms(&self) -> &'static [Form] {
        &[CANDIDATES, OPEN, OPEN_ANY]
    }

    fn entailed(&self, question: &Question, claims: &BTreeSet<&Claim>, _: &dyn Facts) -> Option<String> {
        looked_up(question.needed.first()?, claims, true, question.form != OPEN_ANY).map(String::from)
    }

    fn masked(&self, question: &Question) -> Option<String> {
        let Claim::Relation { group, relation, object, .. } = question.needed.first()? else { return None };
        let group = if question.form == OPEN_ANY { PAD } else { group };
        Some(format!("in {group} {PAD} {relation} {object}"))
    }
}

impl GeneratedTask for Reversal {
    fn is_core(&self) -> bool {
        true
    }

    fn size(&self, set: &SetSize) -> (String, usize) {
        ("facts".into(), set.facts)
    }

    fn known_size(&self, known: &KnownConfig) -> usize {
        known.facts
    }

    fn check_known(&self, known: &KnownConfig) -> Result<()> {
        if known.group_size <= SHOWN || known.facts == 0 {
            let found = format!("{} facts in groups of {}", known.facts, known.group_size);
            let remedy = format!("some facts are needed, in groups of more than {SHOWN}");
            return Err(Error::invalid("known", found, remedy));
        }
        multiple("known.facts", known.facts, known.group_size)
    }

    fn check_size(&self, key: &str, size: usize, known: &KnownConfig) -> Result<()> {
        multiple(key, size, known.group_size)
    }

    fn vocabulary(&self) -> Vocabulary {
        const NAMES: [NameKind; 3] = [
            NameKind {
                kind: "persons",
                most: 5000,
                spell: |r| syllable(r) + &syllable(r) + one_of(r, &["n", "l", "r"]),
            },
            NameKind {
                kind: "creatures",
                most: 8000,
                spell: |r| syllable(r) + one_of(r, &["l", "m", "n", "r", "s"]) + &syllable(r),
            },
            NameKind {
                kind: "towns",
                most: 500,
                spell: |r| syllable(r) + one_of(r, &["rn", "ll", "nt", "sk", "x"]) + one_of(r, &["by", "ton", "wick"]),
            },
        ];
        Vocabulary { words: RELATIONS.as_flattened(), names: &NAMES }
    }

    fn takes(&self) -> &'static [&'static str] {
        &["towns", "persons", "creatures"]
    }

    fn stream(&self) -> u64 {
        2
    }

    fn make(&self, size: usize, maker: &mut SetMaker) -> Result<Arc<dyn TaskData>> {
        Ok(Arc::new(Reversals::new(size, maker)?))
    }

    fn sentence(&self, lexicon: &Lexicon, stated: [Word; 4], wording: usize) -> Sentence {
        let fact = Fact::from(stated);
        relation(lexicon, [fact.group, fact.subject, fact.object], fact.verb(wording / 3), wording)
    }

    fn claim(&self, lexicon: &Lexicon, stated: [Word; 4]) -> Claim {
        let fact = Fact::from(stated);
        let [group, subject, object] = [fact.group, fact.subject, fact.object].map(|w| lexicon.spell(w).to_owned());
        Claim::Relation { group, subject, relation: fact.verb(0).into(), object }
    }

    fn read(&self, lexicon: &Lexicon, sentence: &[&str]) -> Option<Claim> {
        let kinds = ["towns", "persons", "creatures"];
        read_relation(lexicon, sentence, kinds, |verb| RELATIONS.into_iter().find(|verbs| verbs.contains(&verb)))
    }
}
