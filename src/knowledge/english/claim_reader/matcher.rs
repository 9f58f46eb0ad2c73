//! Holds the words of a sentence against all wordings at once.

use super::ClaimIndex;
use super::fillers::{Filler, Prose};
use super::prose_token::{ProseToken, Sign};
use super::statement::{ReadStatement, boundary};
use super::talk::{Pronoun, SaidName, Talk};
use super::word_lists::{ADVERBS, ADVERBS_OF_TWO, AUXILIARIES, HEDGES};
use super::wordings::{GROUP, OBJECT, SUBJECT};

/// Steps that one statement may take: a sentence that takes more is none that anybody reads.
const STEPS: usize = 1_500;
/// Words in a row that are passed over.
const PASSED: usize = 4;
/// Pieces between two commas that only say more of a name.
const LONGEST_ASIDE: usize = 14;

/// How far a wording has been followed.
#[derive(Clone, Default)]
pub struct Partial {
    pub slots: [Option<Filler>; 3],
    pub negated: bool,
    /// What a relative clause said on the way.
    pub inner: Vec<ReadStatement>,
    /// Asides that were passed over.
    pub asides: Vec<(usize, usize)>,
    /// Which of subject and object came first.
    pub first: Option<usize>,
    auxiliary: bool,
    passed: usize,
    /// What was passed over stands last. It cannot end the statement: it may be one of its own.
    aside_last: bool,
}

/// A search for the statement that begins at a place.
pub struct Matcher<'r, 's> {
    pub index: &'r ClaimIndex,
    pub prose: &'r Prose<'s>,
    pub talk: &'r Talk,
    pub start: usize,
    pub lax: bool,
    /// A relative clause within another has none of its own.
    pub inner: bool,
    steps: usize,
    best: Option<ReadStatement>,
}

impl<'r, 's> Matcher<'r, 's> {
    pub fn new(index: &'r ClaimIndex, prose: &'r Prose<'s>, talk: &'r Talk, start: usize, lax: bool) -> Self {
        Self { index, prose, talk, start, lax, inner: false, steps: 0, best: None }
    }

    /// The statement that begins here with its first word.
    pub fn whole(mut self) -> Option<ReadStatement> {
        self.step(0, self.start, &Partial::default());
        self.best
    }

    /// The statement whose first name was said before: "(Mara Venn) designed …". With `reduced`, also without its "was", and
    /// with `possessive`, what belongs to it: "whose wife is …".
    pub fn without_first(mut self, said: &[SaidName], reduced: bool, possessive: bool) -> Option<ReadStatement> {
        let members = said.iter().map(|name| (self.start, name.clone())).collect();
        let filler = Filler { members, neither: false, possessive };
        let words = &self.index.words;
        for slot in [SUBJECT, OBJECT] {
            let Some(child) = self.index.wordings.0[0].slots[slot] else { continue };
            let mut partial = Partial { first: Some(slot), ..Partial::default() };
            partial.slots[slot] = Some(filler.clone());
            let node = &self.index.wordings.0[child];
            if possessive {
                if let Some(next) = node.words.get(&words.get("'s")) {
                    self.step(*next, self.start, &partial);
                }
                continue;
            }
            self.step(child, self.start, &partial);
            if reduced && let Some(next) = node.words.get(&words.get("was")).or(node.words.get(&words.get("is"))) {
                self.step(*next, self.start, &partial);
            }
        }
        self.best
    }

    fn step(&mut self, node: usize, at: usize, partial: &Partial) {
        self.steps += 1;
        if self.steps > STEPS {
            return;
        }
        let index = self.index;
        let here = &index.wordings.0[node];
        if !here.relations.is_empty()
            && !partial.aside_last
            && partial.slots[SUBJECT].is_some()
            && partial.slots[OBJECT].is_some()
        {
            self.offer(&here.relations, at, partial);
        }
        if let Some(next) = here.comma {
            let comma = self.prose.tokens.get(at).is_some_and(|token| token.sign == Sign::Comma);
            self.step(next, at + usize::from(comma), partial);
        }
        let Some(token) = self.prose.tokens.get(at) else { return };
        if token.sign == Sign::Open && node != 0 {
            self.bracket(node, at, partial);
        } else if token.sign == Sign::Comma && node != 0 {
            self.adverb_between_commas(node, at, partial);
        }
        if token.sign != Sign::Word {
            return;
        }
        let auxiliary = token.is_any(AUXILIARIES);
        let next = Partial { auxiliary, passed: 0, aside_last: false, ..partial.clone() };
        if let Some(child) = here.words.get(&self.prose.ids[at]) {
            self.step(*child, at + 1, &next);
        }
        let several = partial.slots.iter().flatten().any(|filler| filler.members.len() > 1 || is_plural(filler));
        if several && let Some(children) = here.plain.get(&token.word) {
            children.iter().for_each(|child| self.step(*child, at + 1, &next));
        }
        if token.is_any(&["did", "does", "do"]) {
            self.helped(node, at + 1, partial);
        }
        if node != 0 {
            self.pass(node, at, partial);
        }
        for slot in 0..here.slots.len() {
            if let Some(child) = here.slots[slot] {
                self.fill(child, at, slot, partial);
            }
        }
    }

    /// "did (not) design"
    fn helped(&mut self, node: usize, mut at: usize, partial: &Partial) {
        let tokens = &self.prose.tokens;
        let mut negated = partial.negated;
        for _ in 0..3 {
            let Some(token) = tokens.get(at) else { return };
            if token.is_any(&["not", "never"]) {
                if std::mem::replace(&mut negated, true) {
                    return;
                }
            } else if !token.is_any(ADVERBS) {
                break;
            }
            at += 1;
        }
        let Some(token) = tokens.get(at) else { return };
        let index = self.index;
        if let Some(children) = index.wordings.0[node].plain.get(&token.word) {
            let next = Partial { negated, auxiliary: false, passed: 0, aside_last: false, ..partial.clone() };
            children.iter().for_each(|child| self.step(*child, at + 1, &next));
        }
    }

    /// Words that are passed over: adverbs, "not", what is denied only for the sake of contrast.
    fn pass(&mut self, node: usize, at: usize, partial: &Partial) {
        let tokens = &self.prose.tokens;
        let token = &tokens[at];
        if partial.passed >= PASSED {
            return;
        }
        let passing = |partial: &Partial| Partial { passed: partial.passed + 1, ..partial.clone() };
        let behind = |offset: usize, word: &str| tokens.get(at + offset).is_some_and(|token| token.is(word));
        if let Some(pair) = ADVERBS_OF_TWO.iter().find(|pair| token.is(pair[0]) && behind(1, pair[1])) {
            return self.step(node, at + pair.len(), &passing(partial));
        }
        if token.is_any(ADVERBS) {
            self.step(node, at + 1, &passing(partial));
        }
        if token.is("not") {
            let but = (at + 2..at + 9).find(|but| tokens.get(*but).is_some_and(|token| token.is("but")));
            let plain =
                |but: &usize| tokens[at..*but].iter().all(|token| matches!(token.sign, Sign::Word | Sign::Comma));
            if let Some(but) = but.filter(plain) {
                let mut contrast = passing(partial);
                contrast.asides.push((at, but));
                self.step(node, but + 1, &contrast);
            }
        }
        if token.is("none") && behind(1, "other") && behind(2, "than") {
            self.step(node, at + 3, &passing(partial));
        }
        // "(not designed) by Rik Dop but by Mara Venn"
        let but = (at + 2..at + 8).find(|but| tokens.get(*but).is_some_and(|token| token.is("but")));
        let parallel = |but: &usize| partial.negated && tokens.get(but + 1).is_some_and(|next| next.is(&token.word));
        if let Some(but) = but.filter(parallel) {
            let mut contrast = Partial { negated: false, ..passing(partial) };
            contrast.asides.push((at, but));
            self.step(node, but + 1, &contrast);
        }
        let negates = token.is("never") || (token.is("not") && partial.auxiliary);
        if negates && !partial.negated {
            self.step(node, at + 1, &Partial { negated: true, ..passing(partial) });
        }
    }

    fn fill(&mut self, child: usize, at: usize, slot: usize, partial: &Partial) {
        let index = self.index;
        for (end, filler) in index.fillers(self.prose, at, slot, self.lax, self.start) {
            if filler.neither && partial.negated {
                continue;
            }
            let mut next = Partial { auxiliary: false, passed: 0, aside_last: false, ..partial.clone() };
            next.negated |= filler.neither;
            next.first = next.first.or((slot <= OBJECT).then_some(slot));
            let names = filler.names();
            let possessive = filler.possessive;
            next.slots[slot] = Some(filler);
            if possessive && let Some(owned) = index.wordings.0[child].words.get(&index.words.get("'s")) {
                self.step(*owned, end, &next);
            }
            self.step(child, end, &next);
            if !self.inner && slot <= OBJECT {
                self.aside(child, end, &names, &next);
            }
        }
    }

    /// More that is said of a name before the sentence goes on.
    fn aside(&mut self, node: usize, at: usize, names: &[SaidName], partial: &Partial) {
        let tokens = &self.prose.tokens;
        let Some(token) = tokens.get(at) else { return };
        let comma = token.sign == Sign::Comma;
        let from = at + usize::from(comma);
        let Some(first) = tokens.get(from) else { return };
        let relative = first.is_any(&["who", "which", "that", "whose"]);
        if comma || relative {
            let start = from + usize::from(relative);
            let reader = Matcher { inner: true, ..Matcher::new(self.index, self.prose, self.talk, start, self.lax) };
            if let Some(said) = reader.without_first(names, !relative, first.is("whose")) {
                let end = said.end;
                let closed = tokens.get(end).is_some_and(|token| token.sign == Sign::Comma);
                if closed || !comma {
                    let mut next = Partial { aside_last: true, ..partial.clone() };
                    next.inner.push(said);
                    self.step(node, end + usize::from(closed), &next);
                    return;
                }
            }
        }
        let and_not = first.is("and") && tokens.get(from + 1).is_some_and(|token| token.is("not"));
        let from = from + usize::from(and_not);
        let first = &tokens[from];
        let contrast = first.is_any(&["not", "rather", "instead"]) && !comma;
        let close =
            (from..from + LONGEST_ASIDE).find(|at| tokens.get(*at).is_some_and(|token| token.sign != Sign::Word));
        let plain =
            |from: usize, to: usize| !tokens[from..to].iter().any(|token| token.is_any(HEDGES) || token.is("or"));
        if let Some(close) = close.filter(|close| comma && tokens[*close].sign == Sign::Comma && *close > from) {
            // "Mara Venn, Rik Dop, …" is a list, and no aside.
            let list = self.index.name_at(self.prose, from).is_some_and(|(end, _)| end == close);
            if plain(from, close) && !list {
                let mut next = Partial { aside_last: true, ..partial.clone() };
                next.asides.push((at, close));
                self.step(node, close + 1, &next);
            }
        } else if contrast {
            // "Mara Venn and not Rik Dop", "Mara Venn rather than Rik Dop".
            let skip = from + if first.is("not") { 1 } else { 2 };
            for (end, _) in self.index.single(self.prose, skip, SUBJECT, true, self.start) {
                let mut next = partial.clone();
                next.asides.push((at, end));
                self.step(node, end, &next);
            }
        }
    }

    /// "(an architect)"
    fn bracket(&mut self, node: usize, at: usize, partial: &Partial) {
        let tokens = &self.prose.tokens;
        let close =
            (at + 1..at + LONGEST_ASIDE).find(|close| tokens.get(*close).is_some_and(|t| t.sign == Sign::Close));
        let Some(close) = close.filter(|_| partial.passed < PASSED) else { return };
        if tokens[at..close].iter().any(|token| token.is_any(HEDGES) || token.sign == Sign::Asks) {
            return;
        }
        let mut next = Partial { passed: partial.passed + 1, aside_last: true, ..partial.clone() };
        next.asides.push((at, close));
        self.step(node, close + 1, &next);
    }

    /// ", in fact,"
    fn adverb_between_commas(&mut self, node: usize, at: usize, partial: &Partial) {
        if let Some(end) = between_commas(&self.prose.tokens, at).filter(|_| partial.passed < PASSED) {
            self.step(node, end, &Partial { passed: partial.passed + 1, aside_last: true, ..partial.clone() });
        }
    }

    /// Keeps what was read if it ends here and is better than what was read before: more of it is known, or it is longer.
    fn offer(&mut self, relations: &[usize], at: usize, partial: &Partial) {
        let grouped =
            partial.slots[GROUP].is_none() && relations.iter().any(|relation| self.index.grouped.contains(relation));
        let Some((end, group)) = boundary(self.index, self.prose, at, grouped, self.lax) else { return };
        let Some(said) = self.index.statement(self, relations, partial, end, group) else { return };
        if self.best.as_ref().is_none_or(|best| (said.known, said.end) > (best.known, best.end)) {
            self.best = Some(said);
        }
    }
}

fn is_plural(filler: &Filler) -> bool {
    filler.members.iter().any(|(_, name)| matches!(name, SaidName::Pronoun(Pronoun::Several | Pronoun::Any)))
}

/// The place behind an adverb between two commas.
pub fn between_commas(tokens: &[ProseToken], at: usize) -> Option<usize> {
    let comma = |at: usize| tokens.get(at).is_some_and(|token| token.sign == Sign::Comma);
    let word = |at: usize, word: &str| tokens.get(at).is_some_and(|token| token.is(word));
    let one = tokens.get(at + 1).is_some_and(|token| token.is_any(ADVERBS)).then_some(at + 2);
    let two = ADVERBS_OF_TWO.iter().find(|pair| word(at + 1, pair[0]) && word(at + 2, pair[1])).map(|_| at + 3);
    one.or(two).filter(|end| comma(at) && comma(*end)).map(|end| end + 1)
}
