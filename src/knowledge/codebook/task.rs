//! How entries are made, worded and read, and what answers a message.

use super::{CODEBOOK, CodeEntry, CodebookConfig, Codebooks, DECODE, ENCODE, Use};
use crate::knowledge::prelude::*;

/// Two verbs that mean the same; the first is the canonical one.
const MEANS: [&str; 2] = ["means", "denotes"];

/// The task.
pub struct Codebook;

impl Task for Codebook {
    fn id(&self) -> TaskId {
        CODEBOOK
    }

    fn forms(&self) -> &'static [Form] {
        &[ENCODE, DECODE]
    }

    /// Each word of the message beside what the claims say of it.
    fn entailed(&self, question: &Question, claims: &BTreeSet<&Claim>, _: &dyn Facts) -> Option<String> {
        let decode = question.form == DECODE;
        let pair = |needed: &Claim| {
            let Claim::Relation { subject, object, .. } = needed else { return None };
            let given = if decode { object } else { subject };
            looked_up(needed, claims, decode, true).map(|said| format!("{given} : {said}"))
        };
        let pairs: Vec<String> = question.needed.iter().map(pair).collect::<Option<_>>()?;
        (!pairs.is_empty()).then(|| pairs.join(" "))
    }
}

impl GeneratedTask for Codebook {
    fn size(&self, set: &SetSize) -> (String, usize) {
        ("codes".into(), set.codes)
    }

    fn known_size(&self, known: &KnownConfig) -> usize {
        known.codebook.codes
    }

    fn lesson_share(&self, cot_style: &CotStyle) -> f64 {
        cot_style.codes
    }

    fn vocabulary(&self) -> Vocabulary {
        const NAMES: [NameKind; 3] = [
            NameKind { kind: "codes", most: 150, spell: |r| syllable(r) + one_of(r, &["lex", "dex", "gram"]) },
            NameKind {
                kind: "plain",
                most: 5000,
                spell: |r| syllable(r) + &syllable(r) + one_of(r, &["th", "sh", "ck"]),
            },
            NameKind {
                kind: "ciphers",
                most: 1000,
                spell: |r| {
                    let vowel = one_of(r, &["a", "e", "i", "o", "u"]).to_string();
                    vowel + &syllable(r) + one_of(r, &["k", "p", "t", "x", "z", "q"])
                },
            },
        ];
        Vocabulary { words: &["encode", "decode", MEANS[0], MEANS[1]], names: &NAMES }
    }

    fn takes(&self) -> &'static [&'static str] {
        &["codes", "plain", "ciphers"]
    }

    fn stream(&self) -> u64 {
        5
    }

    fn make(&self, size: usize, maker: &mut SetMaker) -> Result<Arc<dyn TaskData>> {
        Ok(Arc::new(Codebooks::new(size, &maker.known.codebook, maker.reserved, maker.pools)?))
    }

    /// One code, of which nothing is in any message.
    fn made_up(&self, known: &KnownConfig, lexicon: &Lexicon, random: &mut Stream) -> Option<Arc<dyn TaskData>> {
        let config = CodebookConfig { held_out: known.codebook.entries, ..known.codebook.clone() };
        let mut pools = Pools::new(lexicon, self.takes(), random);
        Some(Arc::new(Codebooks::new(1, &config, false, &mut pools).ok()?))
    }

    /// "in tolex mavoth means ovaz .", or of a message "mavoth : ovaz ." and, decoded, "ovaz : mavoth .".
    fn sentence(&self, lexicon: &Lexicon, stated: [Word; 4], wording: usize) -> Sentence {
        let entry = CodeEntry::from(stated);
        let form = match used(stated) {
            Use::Stated => {
                return relation(lexicon, [entry.code, entry.plain, entry.cipher], MEANS[wording / 3 % 2], wording);
            }
            Use::Encoded => ENCODE,
            Use::Decoded => DECODE,
        };
        vec![
            (entry.given(form), Slot::Subject),
            (lexicon.grammar(":"), Slot::Relation),
            (entry.wanted(form), Slot::Object),
            (lexicon.grammar("."), Slot::Stop),
        ]
    }

    fn claim(&self, lexicon: &Lexicon, [code, plain, cipher, _]: [Word; 4]) -> Claim {
        let [group, subject, object] = [code, plain, cipher].map(|word| lexicon.spell(word).to_owned());
        Claim::Relation { group, subject, relation: MEANS[0].into(), object }
    }

    fn read(&self, lexicon: &Lexicon, sentence: &[&str]) -> Option<Claim> {
        read_relation(lexicon, sentence, ["codes", "plain", "ciphers"], |verb| MEANS.contains(&verb).then_some(MEANS))
    }

    fn turned_round(&self, lexicon: &Lexicon, stated: [Word; 4], wording: usize) -> Vec<Word> {
        let entry = CodeEntry::from(stated);
        let other = match used(stated) {
            Use::Stated => {
                let sentence = self.sentence(lexicon, stated, wording / 3 * 3);
                return object_first(&sentence, lexicon.grammar(","));
            }
            Use::Encoded => Use::Decoded,
            Use::Decoded => Use::Encoded,
        };
        words(&self.sentence(lexicon, entry.with(other).words, wording))
    }

    /// Of a message the code alone: either word gives the other away.
    fn about(&self, _: &Lexicon, stated: [Word; 4]) -> Vec<Word> {
        let CodeEntry { code, plain, .. } = stated.into();
        if used(stated) == Use::Stated { vec![code, plain] } else { vec![code] }
    }
}

/// What a document does with an entry.
fn used([.., what]: [Word; 4]) -> Use {
    [Use::Stated, Use::Encoded, Use::Decoded][what as usize % 3]
}

/// "encode in tolex mavoth bidush ?"
pub fn message(lexicon: &Lexicon, message: &[CodeEntry], form: Form) -> Vec<Word> {
    let order = if form == DECODE { "decode" } else { "encode" };
    let mut words = vec![lexicon.grammar(order), lexicon.grammar("in")];
    words.extend(message.first().map(|entry| entry.code));
    words.extend(message.iter().map(|entry| entry.given(form)));
    words.push(lexicon.grammar("?"));
    words
}
