//! Questions about kinds, what stands before them in context, and what documents say.

use super::{Families, HOLDOUT, INHERITED, Item, Link, REPHRASED, REVERSED, verb};
use crate::knowledge::prelude::*;

/// Statements that stand before a question in context, at least.
const CONTEXT: usize = 10;

impl Families {
    /// The right answer to an item and others that stand in the same relation, in random order: what names are asked for
    /// ("what have mavids ?") or whose ("who have bikors ?").
    pub fn candidates(&self, lexicon: &Lexicon, asked: Link, form: Form, random: &mut Stream) -> Vec<Word> {
        let (cue, right) = asked.cue_and_answer(form);
        let level = |word: &Word| self.places.get(word).map(|(_, level)| *level);
        let is_trait = |word| lexicon.is_a("traits", word);
        let others: HashSet<Word> = if form == REVERSED {
            // Kinds that have traits, if it is about a trait: those that have none could not be the answer.
            let there = self.kinds().filter(|kind| !is_trait(asked.is) || !self.holdouts.contains(kind));
            there.filter(|kind| !self.own_and_inherited(*kind).contains(&asked.is)).collect()
        } else {
            let his = self.own_and_inherited(asked.kind);
            let targets = self.links.iter().map(|link| link.is).filter(|is| is_trait(*is) == is_trait(right));
            targets.filter(|is| *is != asked.kind && !his.contains(is)).collect()
        };
        // Where no names are kept, nobody is to be asked what a world may ask.
        let fits = |word: &Word| level(word) == level(&right) && (self.kept || !half_reserved(cue, *word));
        let mut others: Vec<Word> = others.into_iter().filter(fits).collect();
        // A set has no order of its own.
        others.sort_unstable();
        let mut shown: Vec<Word> = others.choose_multiple(random, SHOWN - 1).copied().collect();
        shown.push(right);
        shown.shuffle(random);
        shown
    }

    /// "what have mavids ?", "who have bikors ?" or, where it follows from what is said of kinds above, "what inherit
    /// mavids ?", with candidates behind. The answer restates "have mavids", "have bikors" or "inherit mavids".
    fn which(&self, lexicon: &Lexicon, item: &Item, form: Form, candidates: &[Word]) -> QuestionDraft {
        let asked = item.asked;
        let inherited = [INHERITED, HOLDOUT].contains(&form);
        let verb = if inherited { lexicon.grammar("inherit") } else { verb(lexicon, asked) };
        let (cue, answer) = asked.cue_and_answer(form);
        let mut words = vec![lexicon.grammar(if form == REVERSED { "who" } else { "what" })];
        words.extend([verb, cue, lexicon.grammar("?")]);
        words.extend(candidates);
        // A kind may have several below it, and several traits.
        let is_alike = |link: &&Link| {
            let names = if form == REVERSED { link.is == asked.is } else { link.kind == asked.kind };
            names && lexicon.is_a("traits", link.is) == lexicon.is_a("traits", asked.is)
        };
        let fits_several = self.links.iter().filter(is_alike).count() > 1;
        QuestionDraft { fits_several, ..QuestionDraft::new(words, vec![verb, cue], answer, stated(&item.needed)) }
    }

    /// What an item needs, in random order among one statement about each of the other candidates, which says of it what
    /// the item says of the right one, and as many about the family as make `size` together: none that would answer the
    /// question without its candidates.
    pub fn context(
        &self,
        lexicon: &Lexicon,
        item: &Item,
        form: Form,
        candidates: &[Word],
        size: usize,
        random: &mut Stream,
    ) -> Vec<Link> {
        let asked = item.asked;
        let mut links = self.links.clone();
        links.shuffle(random);
        let (_, right) = asked.cue_and_answer(form);
        let mut told = item.needed.clone();
        for other in candidates.iter().filter(|other| **other != right) {
            let alike = |link: &&Link| lexicon.is_a("traits", link.is) == lexicon.is_a("traits", asked.is);
            let about = |link: &&Link| if form == REVERSED { link.kind == *other } else { link.is == *other };
            told.extend(links.iter().filter(about).find(alike));
        }
        for link in links {
            let answers = form == REVERSED && link.is == asked.is;
            if told.len() < size && self.related(link.kind, asked.kind) && !answers && !told.contains(&link) {
                told.push(link);
            }
        }
        told.shuffle(random);
        told
    }
}

impl TaskData for Families {
    fn statements(&self) -> Vec<Stated> {
        stated(&self.links)
    }

    /// None of them continues another.
    fn document(&self, sentences: usize, random: &mut Stream) -> Vec<Stated> {
        let mut links = self.links.clone();
        links.shuffle(random);
        let mut told: Vec<Link> = Vec::with_capacity(sentences);
        for link in links {
            let apart = told.iter().all(|other| other.kind != link.is && other.is != link.kind);
            if apart && told.len() < sentences {
                told.push(link);
            }
        }
        stated(&told)
    }

    /// They belong to one family.
    fn related(&self, one: Word, other: Word) -> bool {
        let family = |word| self.places.get(&word).map(|(family, _)| family);
        family(one).is_some() && family(one) == family(other)
    }

    fn questions_of(&self, form: Form) -> usize {
        self.items(form).len()
    }

    /// The family.
    fn topic(&self, form: Form, index: usize) -> usize {
        self.places[&self.items(form)[index].asked.kind].0
    }

    fn question(&self, lexicon: &Lexicon, form: Form, index: usize, random: &mut Stream) -> QuestionDraft {
        let item = &self.items(form)[index];
        let candidates = self.candidates(lexicon, item.asked, form, random);
        let context = self.context(lexicon, item, form, &candidates, CONTEXT, random);
        let choices = candidates.iter().map(|word| lexicon.spell(*word).into()).collect();
        QuestionDraft { context: stated(&context), ..self.which(lexicon, item, form, &candidates).choosing(choices) }
    }

    fn lesson_question(&self, lexicon: &Lexicon, cot_style: &CotStyle, random: &mut Stream) -> QuestionDraft {
        let forms = [(REPHRASED, 0.2), (REVERSED, 0.3), (INHERITED, 0.3), (HOLDOUT, 0.2)];
        let there = forms.map(|(form, weight)| (form, if self.items(form).is_empty() { 0.0 } else { weight }));
        let form = there.choose_weighted(random, |(_, weight)| *weight).map_or(REPHRASED, |(form, _)| *form);
        let items = self.items(form);
        let item = &items[random.random_range(0..items.len())];
        let candidates = self.candidates(lexicon, item.asked, form, random);
        let near: Vec<Link> = if form == REVERSED {
            let is_trait = |is| lexicon.is_a("traits", is);
            let said = candidates.iter().flat_map(|kind| self.of(*kind));
            said.filter(|link| is_trait(link.is) == is_trait(item.asked.is)).collect()
        } else {
            self.above(item.asked.kind)
        };
        let size = random.random_range(2..=10);
        let context = self.context(lexicon, item, form, &candidates, size, random);
        let draft = self.which(lexicon, item, form, &candidates);
        let (thought, context) = (Thought::AnyOf(stated(&near)), stated(&context));
        QuestionDraft { context, thought, share: cot_style.group, ..draft }
    }

    /// "what have KIND ? SHOWN" and "who have TRAIT ? SHOWN"
    fn asks(&self, lexicon: &Lexicon, mark: &TrainingWord) -> bool {
        let verbs = ["are", "have", "inherit"].map(|verb| lexicon.word(verb));
        let verb = mark.before(2).filter(|verb| verbs.contains(&Some(*verb)));
        let Some(cue) = mark.before(1).filter(|_| verb.is_some()) else { return false };
        // Made-up families may lend fewer, and then what is thought begins sooner.
        let mut shown = mark.after().iter().take(SHOWN).take_while(|word| **word as usize >= SPECIAL.len());
        shown.any(|shown| self.is_asked(cue, *shown))
    }

    fn answers(&self, _: &Lexicon, colon: &TrainingWord) -> bool {
        let said = colon.before(1).zip(colon.after().first());
        said.is_some_and(|(cue, answer)| self.is_asked(cue, *answer))
    }

    fn gives_away(&self, word: &TrainingWord) -> Option<LeakKind> {
        let here = word.word();
        if !self.places.contains_key(&here) {
            return None;
        }
        word.earlier().iter().find_map(|earlier| {
            let told = Link { kind: *earlier, is: here };
            match self.is_asked(*earlier, here) {
                true if !self.asked.contains(&told) => Some(LeakKind::ReversedFact),
                true if !self.links.contains(&told) => Some(LeakKind::Inference),
                _ => None,
            }
        })
    }
}
