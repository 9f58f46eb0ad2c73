//! Reads statements about all or some of what a term names.

use super::ClaimIndex;
use super::fillers::Prose;
use super::matcher::between_commas;
use super::prose_token::Sign;
use super::statement::{ReadStatement, boundary};
use super::talk::{SaidName, Talk};
use super::word_lists::{ADVERBS, ADVERBS_OF_TWO, NO_NAMES, PLURAL};
use crate::knowledge::{Claim, Mood};

/// How many a statement is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    All,
    No,
    Some,
    NotAll,
    /// What is said of the others is not so: "only zorps are blickets" says that all blickets are zorps.
    Only,
    /// None: "blickets are zorps".
    Bare,
}

/// Words that say how many, the longest first where one begins another.
const QUANTIFIERS: &[(&str, Quantifier)] = &[
    ("not all of the", Quantifier::NotAll),
    ("not all", Quantifier::NotAll),
    ("not every", Quantifier::NotAll),
    ("not each", Quantifier::NotAll),
    ("not a single", Quantifier::No),
    ("not one", Quantifier::No),
    ("not any", Quantifier::No),
    ("all of the", Quantifier::All),
    ("all the", Quantifier::All),
    ("all", Quantifier::All),
    ("every one of the", Quantifier::All),
    ("every single", Quantifier::All),
    ("every", Quantifier::All),
    ("each of the", Quantifier::All),
    ("each and every", Quantifier::All),
    ("each", Quantifier::All),
    ("any", Quantifier::All),
    ("none of the", Quantifier::No),
    ("no single", Quantifier::No),
    ("no", Quantifier::No),
    ("some of the", Quantifier::Some),
    ("at least some", Quantifier::Some),
    ("at least one of the", Quantifier::Some),
    ("at least one", Quantifier::Some),
    ("at least a few", Quantifier::Some),
    ("one or more", Quantifier::Some),
    ("a few of the", Quantifier::Some),
    ("a few", Quantifier::Some),
    ("several of the", Quantifier::Some),
    ("several", Quantifier::Some),
    ("certain", Quantifier::Some),
    ("some", Quantifier::Some),
    ("only", Quantifier::Only),
];

/// Words before a predicate that change nothing.
const KINDS_OF: &[&str] =
    &["a kind of", "a type of", "a sort of", "kinds of", "types of", "sorts of", "examples of", "among the", "a", "an"];

/// Names of predicates in one statement.
const MOST_PREDICATES: usize = 12;

/// Terms with the place behind them: their number, or what is written.
type Term = (usize, SaidName);

impl ClaimIndex {
    /// The statement about all or some that begins at a place.
    pub fn quantified(&self, prose: &Prose, at: usize, talk: &Talk, lax: bool) -> Option<ReadStatement> {
        if !self.has_terms {
            return None;
        }
        let existing = self.existing(prose, at, lax).or_else(|| self.partitive(prose, at, lax));
        existing.or_else(|| self.predicated(prose, at, talk, lax))
    }

    /// "of blickets, all are zorps"
    fn partitive(&self, prose: &Prose, at: usize, lax: bool) -> Option<ReadStatement> {
        let tokens = &prose.tokens;
        if !tokens.get(at)?.is_any(&["of", "among"]) {
            return None;
        }
        let place = at + 1 + usize::from(tokens.get(at + 1)?.is_any(&["the", "all"]));
        let (end, subject) = self.terms(prose, place, false).into_iter().next()?;
        let place = end + usize::from(tokens.get(end)?.sign == Sign::Comma);
        let how_many = tokens.get(place)?;
        let copula = tokens.get(place + 1).filter(|token| token.is_any(&["is", "are"])).map(|_| place + 2)?;
        let (place, denied) = behind_copula(prose, copula)?;
        let mood = match (how_many.word.as_str(), denied) {
            ("all" | "each", false) | ("none", true) => Mood::All,
            ("none", false) => Mood::No,
            ("some" | "several", false) => Mood::Some,
            ("some" | "several", true) => Mood::SomeNot,
            _ => return None,
        };
        let (end, predicates) = self.predicates(prose, place, lax)?;
        self.about(subject, mood, predicates, end, false)
    }

    /// "all blickets are zorps"
    fn predicated(&self, prose: &Prose, at: usize, talk: &Talk, lax: bool) -> Option<ReadStatement> {
        let tokens = &prose.tokens;
        let token = tokens.get(at)?;
        let (mut place, quantifier) = quantifier(prose, at).unwrap_or((at, Quantifier::Bare));
        let generic = quantifier == Quantifier::Bare && token.is_any(&["a", "an"]);
        place += usize::from(generic);
        let mut quantifier = quantifier;
        let (subject_end, subject) = if quantifier == Quantifier::Bare && token.is_any(PLURAL) {
            (at + 1, SaidName::Known(talk.term?))
        } else {
            self.terms(prose, place, lax).into_iter().find(|(end, _)| is_copula(prose, skip(prose, *end)))?
        };
        let mut place = skip(prose, subject_end);
        // "blickets all are zorps"
        if quantifier == Quantifier::Bare && tokens.get(place).is_some_and(|token| token.is_any(&["all", "each"])) {
            (place, quantifier) = (place + 1, Quantifier::All);
        }
        let copula = tokens.get(place).filter(|token| token.is_any(&["is", "are"]))?;
        if quantifier == Quantifier::Bare && generic != copula.is("is") {
            return None;
        }
        let (place, denied) = behind_copula(prose, place + 1)?;
        let (end, predicates) = self.predicates(prose, place, lax)?;
        let never = tokens[subject_end..place].iter().any(|token| token.is("never"));
        let mood = match (quantifier, denied) {
            (Quantifier::All | Quantifier::Bare | Quantifier::Only, false) => Mood::All,
            (Quantifier::Bare, true) => Mood::No,
            // "all are not" says one thing to some readers and another to others.
            (Quantifier::All, true) if never => Mood::No,
            (Quantifier::All | Quantifier::Only, true) => return None,
            (Quantifier::No, false) => Mood::No,
            (Quantifier::No, true) => Mood::All,
            (Quantifier::Some, false) | (Quantifier::NotAll, true) => Mood::Some,
            (Quantifier::Some, true) | (Quantifier::NotAll, false) => Mood::SomeNot,
        };
        self.about(subject, mood, predicates, end, quantifier == Quantifier::Only)
    }

    /// "there are blickets that are zorps"
    fn existing(&self, prose: &Prose, at: usize, lax: bool) -> Option<ReadStatement> {
        let tokens = &prose.tokens;
        if !tokens.get(at)?.is("there") {
            return None;
        }
        let verb = tokens.get(at + 1)?;
        let mut place = at + 2;
        let mut none = false;
        if !verb.is_any(&["is", "are", "'s", "exist", "exists"]) {
            return None;
        }
        if tokens.get(place)?.is_any(&["also", "indeed"]) {
            place += 1;
        }
        if let Some((behind, said)) = quantifier(prose, place) {
            none = match said {
                Quantifier::No => true,
                Quantifier::Some => false,
                _ => return None,
            };
            place = behind;
        } else if tokens.get(place)?.is_any(&["a", "an"]) {
            place += 1;
        }
        let (end, subject) = self.terms(prose, place, lax).into_iter().find(|(end, _)| {
            tokens.get(*end).is_some_and(|token| token.is_any(&["that", "which", "who"])) && is_copula(prose, end + 1)
        })?;
        let (place, denied) = behind_copula(prose, end + 2)?;
        let (end, predicates) = self.predicates(prose, place, lax)?;
        let mood = match (none, denied) {
            (false, false) => Mood::Some,
            (false, true) => Mood::SomeNot,
            (true, false) => Mood::No,
            (true, true) => Mood::All,
        };
        self.about(subject, mood, predicates, end, false)
    }

    fn about(
        &self,
        subject: SaidName,
        mood: Mood,
        predicates: Vec<Term>,
        end: usize,
        only: bool,
    ) -> Option<ReadStatement> {
        let known = |name: &SaidName| matches!(name, SaidName::Known(_));
        let all_known = known(&subject) && predicates.iter().all(|(_, name)| known(name));
        let count = predicates.len();
        let mut facts = Vec::with_capacity(count);
        for (nth, (cut, predicate)) in predicates.iter().enumerate() {
            if !known(&subject) && !known(predicate) {
                return None;
            }
            let (one, other) = if only { (predicate, &subject) } else { (&subject, predicate) };
            let claim = Claim::Categorical { subject: self.spelled(one), mood, predicate: self.spelled(other) };
            facts.push((if nth + 1 == count { end } else { *cut }, Some(claim)));
        }
        let term = match &subject {
            SaidName::Known(number) if mood == Mood::All && !only => Some(*number),
            _ => None,
        };
        let talk = Talk { term, ..Talk::default() };
        Some(ReadStatement { end, facts, asides: Vec::new(), known: all_known, talk, relation: None })
    }

    /// The terms that begin at a place, the longest first.
    fn terms(&self, prose: &Prose, at: usize, lax: bool) -> Vec<Term> {
        let tokens = &prose.tokens;
        let names = self.names.at(tokens, &prose.ids, at).into_iter();
        let mut found: Vec<Term> = names.filter_map(|(end, name)| Some((end, SaidName::Known(name.term?)))).collect();
        if lax && found.is_empty() {
            let plain = |at: usize| {
                tokens.get(at).is_some_and(|token| token.sign == Sign::Word && !NO_NAMES.contains(&token.word.as_str()))
            };
            let length = (at..at + 2).take_while(|at| plain(*at)).count();
            let written =
                |end: usize| tokens[at..end].iter().map(|token| token.word.as_str()).collect::<Vec<_>>().join(" ");
            found.extend((1..=length).rev().map(|length| (at + length, SaidName::Other(written(at + length)))));
        }
        found
    }

    /// What is said of them, up to where the statement ends.
    fn predicates(&self, prose: &Prose, at: usize, lax: bool) -> Option<(usize, Vec<Term>)> {
        let ends = |end: usize| boundary(self, prose, end, false, lax).map(|(end, _)| end);
        let article =
            |at: usize| at + usize::from(prose.tokens.get(at).is_some_and(|t| t.is_any(&["a", "an", "both"])));
        for first in self.terms(prose, article(at), lax) {
            let Some(end) = ends(first.0) else { continue };
            let (mut list, mut best) = (vec![first.clone()], (end, vec![first]));
            while list.len() < MOST_PREDICATES {
                let at = list.last().map_or(at, |(end, _)| *end);
                let comma = usize::from(prose.tokens.get(at).is_some_and(|token| token.sign == Sign::Comma));
                let and = usize::from(prose.tokens.get(at + comma).is_some_and(|token| token.is("and")));
                if comma + and == 0 {
                    break;
                }
                let also = usize::from(and == 1 && prose.tokens.get(at + comma + and).is_some_and(|t| t.is("also")));
                let Some(next) = self.terms(prose, article(at + comma + and + also), lax).into_iter().next() else {
                    break;
                };
                list.push(next.clone());
                if and == 1 {
                    let Some(end) = ends(next.0) else { break };
                    best = (end, list.clone());
                }
            }
            return Some(best);
        }
        None
    }
}

fn is_copula(prose: &Prose, at: usize) -> bool {
    let copula = |at: usize| prose.tokens.get(at).is_some_and(|token| token.is_any(&["is", "are"]));
    copula(at) || (prose.tokens.get(at).is_some_and(|token| token.is_any(&["all", "each"])) && copula(at + 1))
}

/// The place behind adverbs.
fn skip(prose: &Prose, mut at: usize) -> usize {
    let is = |at: usize, word: &str| prose.tokens.get(at).is_some_and(|token| token.is(word));
    for _ in 0..3 {
        if prose.tokens.get(at).is_some_and(|token| token.is_any(ADVERBS)) {
            at += 1;
        } else if ADVERBS_OF_TWO.iter().any(|pair| is(at, pair[0]) && is(at + 1, pair[1])) {
            at += 2;
        } else if let Some(end) = between_commas(&prose.tokens, at) {
            at = end;
        } else {
            break;
        }
    }
    at
}

/// The place of the predicate, and whether it is denied.
fn behind_copula(prose: &Prose, at: usize) -> Option<(usize, bool)> {
    let (mut at, mut denied) = (skip(prose, at), false);
    if prose.tokens.get(at).is_some_and(|token| token.is_any(&["not", "never"])) {
        (at, denied) = (skip(prose, at + 1), true);
    }
    if !denied && prose.tokens.get(at).is_some_and(|token| token.is("all")) {
        at += 1;
    }
    let words = KINDS_OF.iter().find_map(|words| behind_words(prose, at, words));
    Some((words.unwrap_or(at), denied)).filter(|(at, _)| prose.tokens.get(*at).is_some())
}

fn quantifier(prose: &Prose, at: usize) -> Option<(usize, Quantifier)> {
    QUANTIFIERS.iter().find_map(|(words, quantifier)| Some((behind_words(prose, at, words)?, *quantifier)))
}

/// The place behind these words, if they stand at a place.
pub fn behind_words(prose: &Prose, at: usize, words: &str) -> Option<usize> {
    let mut end = at;
    for word in words.split(' ') {
        if !prose.tokens.get(end)?.is(word) {
            return None;
        }
        end += 1;
    }
    Some(end)
}
