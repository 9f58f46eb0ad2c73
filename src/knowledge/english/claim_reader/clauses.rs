//! Goes through a sentence statement by statement.

use super::ClaimIndex;
use super::fillers::Prose;
use super::matcher::Matcher;
use super::openers::{INTERJECTIONS, OPENERS, source};
use super::prose_token::{Sign, tokens};
use super::quantified::behind_words;
use super::statement::{ReadStatement, boundary, denied};
use super::talk::{SaidName, Talk};
use super::word_lists::{DOUBTED, HEDGES, JOINTS, UNSTATED};
use super::wordings::{GROUP, OBJECT, SUBJECT};
use crate::knowledge::Claim;

/// Openers before one statement.
const MOST_OPENERS: usize = 6;
/// Names of a sentence that says nothing that a pronoun may refer to.
const MOST_NAMES: usize = 4;

/// A stretch of a sentence.
struct Stretch {
    /// The place behind it, and the place where what was read begins.
    end: usize,
    start: usize,
    claim: Option<Claim>,
    /// It says that something is doubtful.
    hedged: bool,
    /// It was read as a statement, or names something at least.
    about: bool,
}

/// A sentence on its way.
struct Walk<'r, 's> {
    index: &'r ClaimIndex,
    prose: Prose<'s>,
    /// Words that were read as a statement, or as its opener.
    read: Vec<bool>,
    stretches: Vec<Stretch>,
    /// The last statement of this sentence.
    last: Option<ReadStatement>,
    talk: Talk,
    /// The last stretch is one that nobody states, and what goes on from it is neither.
    doubtful: bool,
    /// It is a statement, or nothing but names.
    names_only: bool,
}

impl ClaimIndex {
    /// What a sentence claims, in slices that it consists of. `talk` is what was spoken of before, and then what it speaks of.
    pub fn clauses<'a>(&self, sentence: &'a str, talk: &mut Talk) -> Vec<(&'a str, Option<Claim>)> {
        let mut prose = Prose { text: sentence, tokens: tokens(sentence), ids: Vec::new() };
        self.number(&mut prose);
        self.unquote(&mut prose);
        let asks = prose.tokens.iter().any(|token| token.sign == Sign::Asks);
        let read = vec![false; prose.tokens.len()];
        let mut walk = Walk {
            index: self,
            prose,
            read,
            stretches: Vec::new(),
            last: None,
            talk: talk.clone(),
            doubtful: false,
            names_only: false,
        };
        if asks {
            walk.nothing_said();
        } else {
            walk.go();
            walk.doubt();
        }
        *talk = std::mem::take(&mut walk.talk);
        walk.slices()
    }

    /// Whether no fact could hold between the things that a text names.
    pub fn names_no_fact(&self, text: &str) -> bool {
        let mut prose = Prose { text, tokens: tokens(text), ids: Vec::new() };
        self.number(&mut prose);
        let (mut entities, mut terms, mut at) = (Vec::new(), 0, 0);
        while at < prose.tokens.len() {
            let Some((end, name)) = self.name_at(&prose, at) else {
                at += 1;
                continue;
            };
            entities.extend(name.entity);
            terms += usize::from(name.term.is_some());
            at = end;
        }
        terms < 2 && !self.kinds.could_hold(&entities)
    }

    pub fn number(&self, prose: &mut Prose) {
        prose.ids = prose
            .tokens
            .iter()
            .map(|token| if token.sign == Sign::Word { self.words.get(&token.word) } else { u32::MAX })
            .collect();
    }
}

impl<'s> Walk<'_, 's> {
    fn sign(&self, at: usize) -> Option<Sign> {
        self.prose.tokens.get(at).map(|token| token.sign)
    }

    fn is_any(&self, at: usize, words: &[&str]) -> bool {
        self.prose.tokens.get(at).is_some_and(|token| token.is_any(words))
    }

    /// A sentence that states nothing: names in it can be referred to.
    fn nothing_said(&mut self) {
        let mut names = Vec::new();
        let mut at = 0;
        while at < self.prose.tokens.len() && names.len() < MOST_NAMES {
            let name = self.index.name_at(&self.prose, at);
            names.extend(name.and_then(|(_, name)| name.entity).map(SaidName::Known));
            at = name.map_or(at + 1, |(end, _)| end);
        }
        if !names.is_empty() {
            self.talk = Talk { others: names.split_off(1), first: names, term: None };
        }
    }

    fn go(&mut self) {
        let mut at = 0;
        while at < self.prose.tokens.len() {
            let from = at;
            while self.sign(at).is_some_and(|sign| !matches!(sign, Sign::Word | Sign::Quoted)) {
                at += 1;
            }
            if at == self.prose.tokens.len() {
                break;
            }
            let joined = self.is_any(at, &["and", "but", "while", "whereas", "plus"]);
            at += usize::from(joined);
            let (start, said, went_on) = self.statement(at, joined || from > 0);
            match said {
                Some(said) => self.keep(start, said, went_on),
                None => at = self.pass_over(at, start),
            }
            if let Some(last) = self.stretches.last() {
                at = at.max(last.end);
            }
        }
    }

    /// The statement that begins at a place, where it begins behind its openers, and whether it only goes on from the last.
    fn statement(&mut self, mut at: usize, joined: bool) -> (usize, Option<ReadStatement>, bool) {
        let begin = at;
        let mut denies = false;
        for _ in 0..MOST_OPENERS {
            if let Some(said) = self.read_at(at, false) {
                return (begin, Some(self.said(begin, at, said, denies)), false);
            }
            if let Some((said, from)) = self.going_on(at).filter(|_| joined) {
                return (begin, Some(self.said(begin, from, said, denies)), true);
            }
            let Some((behind, denial)) = self.opener(at) else { break };
            (at, denies) = (behind, denies ^ denial);
        }
        match self.read_at(at, true) {
            Some(said) => (begin, Some(self.said(begin, at, said, denies)), false),
            None => (at, None, false),
        }
    }

    /// Notes what was read, and turns it round where it is denied.
    fn said(&mut self, begin: usize, from: usize, mut said: ReadStatement, denies: bool) -> ReadStatement {
        let end = said.end.min(self.read.len());
        self.read[begin..from.min(end)].fill(true);
        self.read[from.min(end)..end].fill(true);
        for (start, end) in &said.asides {
            self.read[*start..*end].fill(false);
        }
        if denies {
            for (_, claim) in &mut said.facts {
                let turned = claim.as_ref().and_then(|claim| match claim {
                    Claim::Relation { .. } => self.index.book.claims.contains(claim).then(|| denied(claim)),
                    Claim::Categorical { .. } => Some(denied(claim)),
                });
                *claim = turned;
            }
        }
        said
    }

    /// What is stated by the words at a place.
    fn read_at(&self, at: usize, lax: bool) -> Option<ReadStatement> {
        let (index, prose) = (self.index, &self.prose);
        let matcher = |start: usize| Matcher::new(index, prose, &self.talk, start, lax);
        let plain = matcher(at).whole();
        let plain = plain.or_else(|| index.quantified(prose, at, &self.talk, lax)).or_else(|| self.cleft(at, lax));
        if plain.is_some() || index.groups.is_empty() || !self.is_any(at, &["in", "at", "within"]) {
            return plain;
        }
        // "In Tarn, Mara guards the owl."
        let (end, group) = index.single(prose, at + 1, GROUP, lax, usize::MAX).into_iter().next()?;
        let start = end + usize::from(self.sign(end) == Some(Sign::Comma));
        let mut said = matcher(start).whole()?;
        if !said.relation.is_some_and(|(relation, _)| index.grouped.contains(&relation)) {
            return None;
        }
        let group = index.spelled(&group);
        for (_, claim) in &mut said.facts {
            if let Some(Claim::Relation { subject, relation, object, .. }) = claim {
                let [subject, relation, object] = [&*subject, &*relation, &*object].map(String::clone);
                *claim = Some(Claim::Relation { group: group.clone(), subject, relation, object });
            }
        }
        Some(said)
    }

    /// "it was Mara Venn who designed …", "Mara Venn is the one who designed …"
    fn cleft(&self, at: usize, lax: bool) -> Option<ReadStatement> {
        let copula = |at: usize| self.is_any(at, &["is", "was", "'s"]);
        let tokens = &self.prose.tokens;
        let it = tokens.get(at)?.is("it") && copula(at + 1);
        let from = if it { at + 2 } else { at };
        let denies = it && self.is_any(from, &["not"]);
        for (end, name) in self.index.single(&self.prose, from + usize::from(denies), SUBJECT, lax, at) {
            let (mut place, mut denies) = (end, denies);
            if !it {
                if !copula(place) {
                    continue;
                }
                place += 1;
                if self.is_any(place, &["not"]) {
                    (place, denies) = (place + 1, true);
                }
                let one = ["the one", "the person", "the man", "the woman", "the very person"];
                let Some(behind) = one.iter().find_map(|words| behind_words(&self.prose, place, words)) else {
                    continue;
                };
                place = behind;
            }
            if it
                && self.sign(place) == Some(Sign::Comma)
                && self.is_any(place + 1, &["not", "rather", "and", "instead"])
            {
                let close = (place + 1..place + 9).find(|at| self.sign(*at) == Some(Sign::Comma));
                place = close.map_or(place, |close| close + 1);
            }
            if !self.is_any(place, &["who", "that", "which"]) {
                continue;
            }
            let reader = Matcher::new(self.index, &self.prose, &self.talk, place + 1, lax);
            let names = match name {
                SaidName::Pronoun(_) => self.talk.first.clone(),
                name => vec![name],
            };
            if let Some(mut said) = reader.without_first(&names, false, false) {
                if denies {
                    let holds = |claim: &Claim| self.index.book.claims.contains(claim);
                    said.facts
                        .iter_mut()
                        .for_each(|(_, claim)| *claim = claim.take().filter(holds).map(|c| denied(&c)));
                }
                return Some(said);
            }
        }
        None
    }

    /// What goes on about what was spoken of just before: "and painted …", "who painted …", "and Rik Dop the Owl".
    fn going_on(&self, at: usize) -> Option<(ReadStatement, usize)> {
        let relative = self.is_any(at, &["who", "which", "that", "whose"]);
        let relative_behind = usize::from(relative);
        let talk = &self.talk;
        if self.stretches.is_empty() {
            return None;
        }
        // "and who" goes on about the subject, "who" about the last name; and neither about what merely stood before it.
        let again = at > 0 && self.is_any(at - 1, &["and", "but"]);
        let names = if relative && !again && !talk.others.is_empty() { &talk.others } else { &talk.first };
        if names.is_empty() || (relative && !self.names_only) {
            return None;
        }
        let matcher = |start: usize| Matcher::new(self.index, &self.prose, talk, start, false);
        let said = matcher(at + relative_behind).without_first(names, !relative, self.is_any(at, &["whose"]));
        said.or_else(|| self.gapped(at)).map(|said| (said, at))
    }

    /// "Mara Venn designed the Bridge, and Rik Dop the Owl."
    fn gapped(&self, at: usize) -> Option<ReadStatement> {
        let (relation, subject_first) = self.last.as_ref()?.relation?;
        let slots = if subject_first { [SUBJECT, OBJECT] } else { [OBJECT, SUBJECT] };
        for (end, one) in self.index.single(&self.prose, at, slots[0], false, usize::MAX) {
            let comma = usize::from(self.sign(end) == Some(Sign::Comma));
            for (end, other) in self.index.single(&self.prose, end + comma, slots[1], false, usize::MAX) {
                let both = [&one, &other].into_iter().all(|name| matches!(name, SaidName::Known(_)));
                let Some((end, _)) = boundary(self.index, &self.prose, end, false, false).filter(|_| both) else {
                    continue;
                };
                let (subject, object) = if subject_first { (&one, &other) } else { (&other, &one) };
                let [subject, object] = [subject, object].map(|name| self.index.spelled(name));
                let claim = self.index.claim(relation, &subject, &object, None);
                let talk = Talk { first: vec![one.clone()], others: vec![other], term: None };
                let relation = Some((relation, subject_first));
                return Some(ReadStatement {
                    end,
                    facts: vec![(end, Some(claim))],
                    asides: vec![],
                    known: true,
                    talk,
                    relation,
                });
            }
        }
        None
    }

    /// The place behind an opener, and whether it denies what follows.
    fn opener(&self, at: usize) -> Option<(usize, bool)> {
        let tokens = &self.prose.tokens;
        let token = tokens.get(at).filter(|token| token.sign == Sign::Word)?;
        let apart = |at: usize| matches!(self.sign(at), Some(Sign::Comma | Sign::Break | Sign::Stop | Sign::Close));
        let behind_signs = |mut at: usize| {
            while apart(at) {
                at += 1;
            }
            at
        };
        let begins = |words: &str| words.split(' ').next() == Some(token.word.as_str());
        let found = OPENERS.iter().filter(|(words, _)| begins(words));
        if let Some((end, denies)) =
            found.filter_map(|(words, d)| Some((behind_words(&self.prose, at, words)?, *d))).max()
        {
            return Some((behind_signs(end), denies));
        }
        if let Some(end) = source(&self.prose, at) {
            return Some((behind_signs(end), false));
        }
        // "In 1902,"
        if token.is_any(&["in", "around", "by", "since"]) && tokens.get(at + 1).is_some_and(|next| next.is_number()) {
            return Some((behind_signs(at + 2), false));
        }
        // "… and that Rik Dop …", "Surprisingly, …"
        let and_that = token.is("that") && at > 0 && self.is_any(at - 1, &["and", "but"]) && !self.stretches.is_empty();
        if and_that || (token.word.len() > 4 && token.word.ends_with("ly") && !token.is_any(HEDGES)) {
            return Some((behind_signs(at + 1), false));
        }
        // "Step 2:", "3)"
        let numbered = usize::from(!token.is_number() && tokens.get(at + 1).is_some_and(|next| next.is_number()));
        let item = token.is_number() || token.word.chars().count() == 1;
        let word = token.is_any(INTERJECTIONS);
        if (item || word) && apart(at + 1 + numbered) {
            return Some((behind_signs(at + 1 + numbered), false));
        }
        None
    }

    fn keep(&mut self, start: usize, said: ReadStatement, went_on: bool) {
        let doubtful = went_on && self.doubtful;
        let mut from = start;
        for (cut, claim) in &said.facts {
            let claim = claim.clone().filter(|_| !doubtful);
            self.stretches.push(Stretch { start: from, end: *cut, claim, hedged: false, about: true });
            from = *cut;
        }
        if let Some(last) = self.stretches.last_mut() {
            last.end = said.end;
        }
        self.talk = said.talk.clone();
        self.last = Some(said);
        (self.doubtful, self.names_only) = (doubtful, true);
    }

    /// Passes over words that say nothing that can be read, up to where something else may begin.
    fn pass_over(&mut self, start: usize, openers: usize) -> usize {
        let mut at = openers.min(self.prose.tokens.len());
        let tried = at;
        let (mut names, mut hedged) = (Vec::new(), false);
        // Whatever stands here belongs to it, a joint as well.
        let mut first = true;
        let (mut named, mut called, mut words) = (usize::MAX, false, 0);
        while let Some(token) = self.prose.tokens.get(at) {
            let ends = !matches!(token.sign, Sign::Word | Sign::Quoted | Sign::Quote) || token.is_any(JOINTS);
            if ends && !first {
                match self.listed(at).filter(|_| named == at) {
                    Some(end) => (at, named) = (end, end),
                    None => break,
                }
                continue;
            }
            first = false;
            hedged |= token.is_any(HEDGES);
            match self.index.name_at(&self.prose, at).filter(|_| token.sign == Sign::Word) {
                Some((end, name)) => {
                    called |= name.entity.is_some() || name.term.is_some();
                    names.extend(name.entity.map(SaidName::Known).filter(|_| names.len() < MOST_NAMES));
                    (at, named) = (end, end);
                }
                None => {
                    words += usize::from(!token.is_any(&["the", "a", "an"]));
                    at += 1;
                }
            }
        }
        let about = called || self.prose.tokens[start..at].iter().any(|token| token.sign == Sign::Quoted);
        if !names.is_empty() {
            self.talk = Talk { others: names.split_off(1), first: names, term: None };
        } else if let Some(stranger) = self.stranger(tried).filter(|_| self.last.is_none()) {
            self.talk = Talk { first: vec![stranger], ..Talk::default() };
        }
        (self.doubtful, self.names_only) = (hedged, words == 0);
        self.stretches.push(Stretch { start, end: at, claim: None, hedged, about });
        at
    }

    /// The place behind one more name of a list, where nothing else follows it that could be said of it.
    fn listed(&self, at: usize) -> Option<usize> {
        let comma = usize::from(self.sign(at)? == Sign::Comma);
        let and = usize::from(self.is_any(at + comma, &["and"]));
        let (end, _) = self.index.name_at(&self.prose, at + comma + and).filter(|_| comma + and > 0)?;
        let more = self.sign(end).is_none_or(|sign| sign != Sign::Word) || self.is_any(end, &["and"]);
        more.then_some(end)
    }

    /// Somebody whom no document names, at the beginning of a sentence.
    fn stranger(&self, at: usize) -> Option<SaidName> {
        let names = self.index.single(&self.prose, at, OBJECT, true, usize::MAX);
        let token = self.prose.tokens.get(at)?;
        let capitals = self.prose.tokens.get(at + 1).is_some_and(|next| next.capital);
        names
            .into_iter()
            .map(|(_, name)| name)
            .find(|name| matches!(name, SaidName::Other(_)) && token.capital && capitals)
    }

    /// Takes claims back that nobody states: beside a hedge, in hypothetical and reported speech.
    fn doubt(&mut self) {
        let count = self.stretches.len();
        for at in 0..count {
            let Stretch { hedged: true, about: false, .. } = self.stretches[at] else { continue };
            for beside in [at.wrapping_sub(1), at + 1] {
                if let Some(stretch) = self.stretches.get_mut(beside) {
                    stretch.claim = None;
                }
            }
        }
        let tokens = &self.prose.tokens;
        let mut from = 0;
        while from < tokens.len() {
            let length = tokens[from..].iter().position(|token| token.sign == Sign::Semicolon);
            let to = length.map_or(tokens.len(), |length| from + length);
            let unread = |at: &usize| !self.read[*at];
            let doubted = |at: usize| {
                let not = tokens[at].is("not");
                let wonder = tokens[at].is("wonder") && at > 0 && tokens[at - 1].is_any(&["a", "the"]);
                let word = tokens[at].is_any(UNSTATED) && !wonder;
                word || (not && tokens[at + 1..to].iter().take(3).any(|token| token.is_any(DOUBTED)))
            };
            if (from..to).filter(unread).any(doubted) {
                let inside = self.stretches.iter_mut().filter(|stretch| stretch.end > from && stretch.start < to);
                inside.for_each(|stretch| stretch.claim = None);
            }
            from = to + 1;
        }
    }

    /// The slices of the sentence, those without a claim beside each other as one.
    fn slices(self) -> Vec<(&'s str, Option<Claim>)> {
        let Walk { prose, stretches, .. } = self;
        let Prose { text, tokens, .. } = prose;
        let mut ends: Vec<(usize, Option<Claim>)> = Vec::with_capacity(stretches.len());
        for stretch in stretches {
            let mut end = stretch.end;
            while tokens.get(end).is_some_and(|token| !matches!(token.sign, Sign::Word | Sign::Quoted | Sign::Open)) {
                end += 1;
            }
            match ends.last_mut() {
                Some((last, None)) if stretch.claim.is_none() => *last = end,
                _ => ends.push((end, stretch.claim)),
            }
        }
        let mut slices = Vec::with_capacity(ends.len());
        let (mut start, count) = (0, ends.len());
        for (nth, (end, claim)) in ends.into_iter().enumerate() {
            let to =
                if nth + 1 == count { text.len() } else { tokens.get(end).map_or(text.len(), |token| token.start) };
            let to = to.max(start);
            slices.push((text[start..to].trim(), claim));
            start = to;
        }
        if slices.is_empty() {
            slices.push((text, None));
        }
        slices
    }
}
