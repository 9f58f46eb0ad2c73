//! What a statement says, made of the wording that it has and the names in it.

use super::ClaimIndex;
use super::fillers::Prose;
use super::matcher::{Matcher, Partial};
use super::prose_token::Sign;
use super::talk::{SaidName, Talk};
use super::word_lists::{ADVERBS, ADVERBS_OF_TWO, JOINTS};
use super::wordings::{GROUP, OBJECT, SUBJECT};
use crate::knowledge::Claim;

/// Facts in one statement.
const MOST_FACTS: usize = 48;

/// A statement that was read.
#[derive(Clone, Debug)]
pub struct ReadStatement {
    /// The place behind it.
    pub end: usize,
    /// What it claims, each with the place behind the words that claim it.
    pub facts: Vec<(usize, Option<Claim>)>,
    /// What was passed over.
    pub asides: Vec<(usize, usize)>,
    /// Names that documents have, if they are all.
    pub known: bool,
    /// What it speaks of.
    pub talk: Talk,
    /// Its relation, and whether the subject is named first.
    pub relation: Option<(usize, bool)>,
}

/// Where a statement ends whose wording ends at a place: behind what only says when, and before a sign, a joint, or nothing.
/// With it the group that is named there.
pub fn boundary(
    index: &ClaimIndex,
    prose: &Prose,
    mut at: usize,
    groups: bool,
    lax: bool,
) -> Option<(usize, Option<SaidName>)> {
    let tokens = &prose.tokens;
    let word = |at: usize, words: &[&str]| tokens.get(at).is_some_and(|token| token.is_any(words));
    let mut group = None;
    for _ in 0..4 {
        let Some(token) = tokens.get(at) else { return Some((at, group)) };
        let number = |at: usize| tokens.get(at).is_some_and(|token| token.is_number());
        if let Some(pair) = ADVERBS_OF_TWO.iter().find(|pair| token.is(pair[0]) && word(at + 1, &[pair[1]])) {
            at += pair.len();
        } else if token.is_any(ADVERBS) {
            at += 1;
        } else if token.is_any(&["in", "around", "about", "by", "since", "during"]) && number(at + 1) {
            at += 2;
        } else if token.is("in") && word(at + 1, &["the"]) && word(at + 2, &["year"]) && number(at + 3) {
            at += 4;
        } else if word(at + 1, &["years", "centuries", "decades"]) && word(at + 2, &["ago"]) {
            at += 3;
        } else if token.is("a") && word(at + 1, &["long"]) && word(at + 2, &["time"]) && word(at + 3, &["ago"]) {
            at += 4;
        } else if groups && group.is_none() && token.is_any(&["in", "at", "within"]) {
            let Some((end, name)) = index.single(prose, at + 1, GROUP, lax, usize::MAX).into_iter().next() else {
                break;
            };
            (at, group) = (end, Some(name));
        } else {
            break;
        }
    }
    let Some(token) = tokens.get(at) else { return Some((at, group)) };
    let contrast = token.is("not") || (token.is_any(&["rather", "instead"]) && word(at + 1, &["than", "of"]));
    let ends = match token.sign {
        Sign::Word => token.is_any(JOINTS) || contrast || token.is("respectively"),
        Sign::Quote | Sign::Quoted | Sign::Asks => false,
        _ => true,
    };
    ends.then_some((at, group))
}

impl ClaimIndex {
    /// What a followed wording says. `None` where it says nothing of anything that is known.
    pub fn statement(
        &self,
        matcher: &Matcher,
        relations: &[usize],
        partial: &Partial,
        end: usize,
        group: Option<SaidName>,
    ) -> Option<ReadStatement> {
        let tokens = &matcher.prose.tokens;
        let relation = *relations.first()?;
        let ends = [SUBJECT, OBJECT].map(|slot| self.resolved(partial, slot, relation, matcher.talk));
        let [subjects, objects] = &ends;
        if subjects.is_empty() || objects.is_empty() {
            return None;
        }
        let comma = usize::from(tokens.get(end).is_some_and(|token| token.sign == Sign::Comma));
        let paired = tokens.get(end + comma).is_some_and(|token| token.is("respectively"));
        let pairs: Vec<(usize, usize)> = if paired && subjects.len() == objects.len() {
            (0..subjects.len()).map(|at| (at, at)).collect()
        } else if paired {
            return None;
        } else {
            (0..subjects.len()).flat_map(|s| (0..objects.len()).map(move |o| (s, o))).collect()
        };
        if pairs.len() > MOST_FACTS {
            return None;
        }
        let end = if paired { end + comma + 1 } else { end };
        let group = group.or(partial.slots[GROUP].as_ref().and_then(|filler| filler.names().into_iter().next()));
        let group = group.map(|name| self.spelled(&name));
        let mut claims = Vec::with_capacity(pairs.len());
        for (s, o) in &pairs {
            let (subject, object) = (&subjects[*s].1, &objects[*o].1);
            if ![subject, object].into_iter().any(|name| matches!(name, SaidName::Known(_))) {
                return None;
            }
            let (subject, object) = (self.spelled(subject), self.spelled(object));
            let claims_of = |relation: &usize| self.claim(*relation, &subject, &object, group.as_deref());
            let all: Vec<Claim> = relations.iter().map(claims_of).collect();
            let stated = all.iter().find(|claim| self.book.claims.contains(claim));
            claims.push(match (partial.negated, stated) {
                (false, stated) => stated.or(all.first()).cloned(),
                (true, stated) => stated.map(denied),
            });
        }
        let known = ends.iter().flatten().all(|(_, name)| matches!(name, SaidName::Known(_)));
        let mut facts: Vec<(usize, Option<Claim>)> = partial.inner.iter().flat_map(|said| said.facts.clone()).collect();
        let from = facts.last().map_or(matcher.start, |(cut, _)| *cut);
        let cuts = cuts(&ends, &pairs, from, end)?;
        facts.extend(cuts.into_iter().zip(claims));
        let mut asides = partial.asides.clone();
        asides.extend(partial.inner.iter().flat_map(|said| said.asides.clone()));
        let first = partial.first.unwrap_or(SUBJECT).min(OBJECT);
        let named = |end: usize| ends[end].iter().map(|(_, name)| name.clone()).collect::<Vec<_>>();
        let talk = Talk { first: named(first), others: named(1 - first), term: None };
        Some(ReadStatement { end, facts, asides, known, talk, relation: Some((relation, first == SUBJECT)) })
    }

    /// The names in a slot, with pronouns replaced by whom they refer to.
    fn resolved(&self, partial: &Partial, slot: usize, relation: usize, talk: &Talk) -> Vec<(usize, SaidName)> {
        let Some(filler) = &partial.slots[slot] else { return Vec::new() };
        let mut names = Vec::new();
        for (end, name) in &filler.members {
            match name {
                SaidName::Pronoun(pronoun) => {
                    let meant = self.kinds.resolve(*pronoun, relation, slot, talk);
                    if meant.is_empty() {
                        return Vec::new();
                    }
                    names.extend(meant.into_iter().map(|name| (*end, name)));
                }
                name => names.push((*end, name.clone())),
            }
        }
        names
    }

    pub fn spelled(&self, name: &SaidName) -> String {
        match name {
            SaidName::Known(number) => self.names.canonical.get(*number as usize).cloned().unwrap_or_default(),
            SaidName::Other(written) => written.clone(),
            SaidName::Pronoun(_) => String::new(),
        }
    }

    /// A claim; where no group is named, that of the one fact that it can be.
    pub fn claim(&self, relation: usize, subject: &str, object: &str, group: Option<&str>) -> Claim {
        let relation = self.relations[relation].clone();
        let (subject, object) = (subject.to_owned(), object.to_owned());
        let key = (subject, relation, object);
        let only = || match self.facts.get(&key).map(Vec::as_slice) {
            Some([group]) => group.clone(),
            _ => String::new(),
        };
        let group = group.map_or_else(only, str::to_owned);
        let (subject, relation, object) = key;
        Claim::Relation { group, subject, relation, object }
    }
}

/// The claim that a fact is none. It never holds.
pub fn denied(claim: &Claim) -> Claim {
    match claim.clone() {
        Claim::Relation { group, subject, relation, object } => {
            Claim::Relation { group, subject, relation: format!("not {relation}"), object }
        }
        Claim::Categorical { subject, mood, predicate } => {
            Claim::Categorical { subject, mood: mood.contradictory(), predicate }
        }
    }
}

/// Where the words end that say each of several facts: behind each name of the one list that there is, or evenly. `None` where
/// there are fewer words than facts.
fn cuts(ends: &[Vec<(usize, SaidName)>; 2], pairs: &[(usize, usize)], from: usize, end: usize) -> Option<Vec<usize>> {
    let count = pairs.len();
    let behind = |list: &[(usize, SaidName)]| -> Vec<usize> {
        let last = list.len() - 1;
        list.iter().enumerate().map(|(at, (cut, _))| if at == last { end } else { *cut }).collect()
    };
    let [subjects, objects] = ends;
    let cuts = if objects.len() == 1 { behind(subjects) } else { behind(objects) };
    let rises = cuts.first().is_some_and(|first| *first > from) && cuts.windows(2).all(|pair| pair[0] < pair[1]);
    if cuts.len() == count && rises {
        return Some(cuts);
    }
    let room = end.saturating_sub(from);
    (room >= count).then(|| (1..=count).map(|at| from + at * room / count).collect())
}
