//! How statements are worded, and how a sentence is read back into what it claims, whatever the task.

use super::Claim;
use super::lexicon::{Lexicon, Word};
use super::registry::generated;
use super::sentence::{Sentence, Slot, Stated, words};

/// Builds and reads sentences.
#[derive(Clone, Debug)]
pub struct Grammar {
    pub lexicon: Lexicon,
}

impl Grammar {
    /// The statement in one of its wordings (any number; it is taken modulo what there is).
    pub fn sentence(&self, stated: Stated, wording: usize) -> Sentence {
        stated.task.generated().sentence(&self.lexicon, stated.words, wording)
    }

    /// What a sentence claims, its full stop left out; `None` if it is not a sentence of this grammar.
    pub fn read(&self, sentence: &str) -> Option<Claim> {
        let words: Vec<&str> = sentence.split_whitespace().take(8).collect();
        generated().iter().find_map(|task| task.read(&self.lexicon, &words))
    }

    /// What a statement claims.
    pub fn claim(&self, stated: Stated) -> Claim {
        stated.task.generated().claim(&self.lexicon, stated.words)
    }

    /// The statement as text, in one of its wordings.
    pub fn text(&self, stated: Stated, wording: usize) -> String {
        self.lexicon.text(&words(&self.sentence(stated, wording)))
    }

    /// The names in a statement: the code or the town first, what is said last.
    pub fn names(&self, stated: Stated) -> Vec<Word> {
        let mut sentence = self.sentence(stated, 0);
        sentence.retain(|(_, slot)| matches!(slot, Slot::Group | Slot::Subject | Slot::Object));
        words(&sentence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::Set;
    use crate::knowledge::lexicon::tests::small;
    use crate::knowledge::sentence::WORDINGS;
    use crate::knowledge::world::tests::full;

    #[test]
    fn every_wording_reads_back_as_the_same_claim_whatever_the_task() {
        let world = full(0);
        let grammar = &world.grammar;
        for stated in world.of_set(Set::A).flat_map(|data| data.statements()) {
            let mut wordings = std::collections::HashSet::new();
            for wording in 0..WORDINGS {
                let text = grammar.text(stated, wording);
                assert_eq!(grammar.read(text.strip_suffix(" .").unwrap()), Some(grammar.claim(stated)), "{text}");
                wordings.insert(text);
            }
            assert!(wordings.len() >= 2, "{wordings:?}");
        }
    }

    #[test]
    fn what_is_no_sentence_is_not_read() {
        let grammar = Grammar { lexicon: Lexicon::new(&small()).unwrap() };
        let name = |kind, at: usize| grammar.lexicon.spell(grammar.lexicon.names(kind)[at]);
        let (town, person, creature) = (name("towns", 0), name("persons", 0), name("creatures", 0));
        for text in [
            String::new(),
            format!("in {town} {person} guards"),
            format!("in {town} {creature} guards {person}"),
            format!("in {town} {person} is {creature}"),
            format!("in {town} {person} guards {creature} {creature}"),
            format!("of {} all aren't {}", name("terms", 0), name("terms", 1)),
            format!("of {person} all are {}", name("terms", 1)),
        ] {
            assert_eq!(grammar.read(&text), None, "{text}");
        }
    }
}
