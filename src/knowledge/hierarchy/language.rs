//! How statements and questions about kinds are worded, and how they are read.

use super::Link;
use crate::knowledge::grammar::{Grammar, Sentence, Slot};
use crate::knowledge::lexicon::Word;
use crate::knowledge::{Claim, Form, Mood};

impl Link {
    /// What a question names, and what answers it.
    pub fn cue_and_answer(self, form: Form) -> (Word, Word) {
        if form == Form::Reversed { (self.is, self.kind) } else { (self.kind, self.is) }
    }
}

impl Grammar {
    /// "all mavids are bokoids ." or "all mavids have bikors ."
    pub(in crate::knowledge) fn link(&self, link: Link, wording: usize) -> Sentence {
        let word = |spelling| self.lexicon.grammar(spelling);
        vec![
            (word(["all", "each"][wording % 2]), Slot::Frame),
            (link.kind, Slot::Subject),
            (self.verb(link), Slot::Relation),
            (link.is, Slot::Object),
            (word("."), Slot::Stop),
        ]
    }

    /// "are" or "have".
    pub(in crate::knowledge) fn verb(&self, link: Link) -> Word {
        self.lexicon.grammar(if self.lexicon.is_trait(link.is) { "have" } else { "are" })
    }

    /// "what have mavids ?", "who have bikors ?" or, where it follows from what is said of kinds above, "what inherit
    /// mavids ?", with candidates behind.
    pub fn which(&self, asked: Link, form: Form, candidates: &[Word]) -> Vec<Word> {
        let word = |spelling| self.lexicon.grammar(spelling);
        let mut words = vec![word(if form == Form::Reversed { "who" } else { "what" })];
        words.extend(self.restated(asked, form));
        words.push(word("?"));
        words.extend(candidates);
        words
    }

    /// What an answer restates of a question: "have mavids", "have bikors" or "inherit mavids".
    pub fn restated(&self, asked: Link, form: Form) -> Vec<Word> {
        let verb = match form {
            Form::Inherited | Form::Holdout => self.lexicon.grammar("inherit"),
            _ => self.verb(asked),
        };
        vec![verb, asked.cue_and_answer(form).0]
    }

    /// What a statement about a kind claims.
    pub(in crate::knowledge) fn read_link(&self, kind: &str, verb: &str, is: &str) -> Option<Claim> {
        let lexicon = &self.lexicon;
        let pool = if verb == "have" { &lexicon.traits } else { &lexicon.kinds };
        let there = lexicon.is_in(kind, &lexicon.kinds) && lexicon.is_in(is, pool);
        there.then(|| Claim::Categorical { subject: kind.into(), mood: Mood::All, predicate: is.into() })
    }
}
