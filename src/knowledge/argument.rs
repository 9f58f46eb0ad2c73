//! What follows from any number of categorical statements.
//!
//! A thing is of some kinds and not of others. "All" and "no" forbid combinations of kinds, and what they forbid has
//! the shape of Horn clauses: from the kinds that a thing must be of, "all" leads to further ones, and the least set
//! that is closed under it is possible exactly when no "no" stands between two of its members (Horn 1951). So every
//! "some" is decided by one closure, where [`logic`](super::logic), which enumerates combinations, ends at
//! a handful of terms.

use std::collections::BTreeSet;

use super::logic::{Import, Statement, Verdict};
use super::{Claim, Mood};

/// Different premises of one trace that are still an argument. More are a list, and nothing is said to follow from it:
/// time stays linear in whatever a policy writes.
pub const MOST_PREMISES: usize = 64;

/// Whether some world makes all the statements true. `terms` is more than every number in them.
pub fn consistent(terms: usize, statements: &[Statement], import: Import) -> bool {
    let some_thing_is = |is: &[usize], is_not: Option<usize>| {
        let kinds = closure(terms, statements, is);
        let excluded = |s: &Statement| s.mood == Mood::No && kinds[s.subject] && kinds[s.predicate];
        !is_not.is_some_and(|kind| kinds[kind]) && !statements.iter().any(excluded)
    };
    let particular = statements.iter().all(|s| match s.mood {
        Mood::Some => some_thing_is(&[s.subject, s.predicate], None),
        Mood::SomeNot => some_thing_is(&[s.subject], Some(s.predicate)),
        Mood::All | Mood::No => true,
    });
    particular && (import == Import::None || (0..terms).all(|term| some_thing_is(&[term], None)))
}

/// What the premises say of a conclusion; `None` where they contradict each other, because then anything would follow.
pub fn verdict(terms: usize, premises: &[Statement], conclusion: Statement, import: Import) -> Option<Verdict> {
    let with = |statement: Statement| consistent(terms, &[premises, &[statement]].concat(), import);
    match (with(conclusion), with(conclusion.contradictory())) {
        (true, true) => Some(Verdict::Unknown),
        (true, false) => Some(Verdict::Yes),
        (false, true) => Some(Verdict::No),
        // One of the two is true in every world, so there is no world.
        (false, false) => None,
    }
}

/// What the premises among the claims say of a categorical statement. `None` where they do not lead from one of its terms
/// to the other, or are no argument.
pub fn decided(asked: (&str, Mood, &str), claims: &BTreeSet<&Claim>, import: Import) -> Option<Verdict> {
    let premises: Vec<(&str, Mood, &str)> = claims.iter().filter_map(|claim| categorical(claim)).collect();
    let (subject, _, predicate) = asked;
    if premises.len() > MOST_PREMISES {
        return None;
    }
    let ends = [subject, predicate];
    let terms: BTreeSet<&str> = premises.iter().flat_map(|(s, _, p)| [*s, *p]).chain(ends).collect();
    let number = |term: &str| terms.iter().position(|other| *other == term);
    let statement = |(s, mood, p): (&str, Mood, &str)| Some(Statement::new(number(s)?, mood, number(p)?));
    let statements = premises.into_iter().map(statement).collect::<Option<Vec<Statement>>>()?;
    let conclusion = statement(asked)?;
    if !connected(terms.len(), &statements, conclusion.subject, conclusion.predicate) {
        return None;
    }
    verdict(terms.len(), &statements, conclusion, import)
}

/// The parts of a categorical claim.
pub fn categorical(claim: &Claim) -> Option<(&str, Mood, &str)> {
    match claim {
        Claim::Categorical { subject, mood, predicate } => Some((subject, *mood, predicate)),
        Claim::Relation { .. } => None,
    }
}

/// Whether a line of statements leads from one term to the other.
pub fn connected(terms: usize, statements: &[Statement], from: usize, to: usize) -> bool {
    let both_ways = |s: &Statement| [(s.subject, s.predicate), (s.predicate, s.subject)];
    reach(terms, statements.iter().flat_map(both_ways), &[from])[to]
}

/// The kinds that a thing of the given kinds must be of.
fn closure(terms: usize, statements: &[Statement], start: &[usize]) -> Vec<bool> {
    let all = statements.iter().filter(|s| s.mood == Mood::All).map(|s| (s.subject, s.predicate));
    reach(terms, all, start)
}

fn reach(terms: usize, edges: impl Iterator<Item = (usize, usize)>, start: &[usize]) -> Vec<bool> {
    let mut next = vec![Vec::new(); terms];
    edges.for_each(|(from, to)| next[from].push(to));
    let mut reached = vec![false; terms];
    let mut open = start.to_vec();
    while let Some(term) = open.pop() {
        if !reached[term] {
            reached[term] = true;
            open.extend(&next[term]);
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::logic;
    use proptest::prelude::*;

    fn statement(terms: usize) -> impl Strategy<Value = Statement> {
        (0..terms, prop::sample::select(&Mood::ALL[..]), 0..terms).prop_map(|(s, mood, p)| Statement::new(s, mood, p))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn agrees_with_the_enumeration_of_all_combinations(
            statements in prop::collection::vec(statement(6), 0..8), conclusion in statement(6), empty in any::<bool>()
        ) {
            let import = if empty { Import::None } else { Import::Existential };
            let possible = logic::consistent(6, &statements, import);
            prop_assert_eq!(consistent(6, &statements, import), possible);
            let expected = possible.then(|| logic::verdict(6, &statements, conclusion, import));
            prop_assert_eq!(verdict(6, &statements, conclusion, import), expected);
        }
    }

    #[test]
    fn a_chain_longer_than_the_enumeration_can_take_is_decided() {
        let chain: Vec<Statement> = (0..40).map(|i| Statement::new(i, Mood::All, i + 1)).collect();
        let ends = |mood| verdict(41, &chain, Statement::new(0, mood, 40), Import::Existential);
        assert_eq!(ends(Mood::All), Some(Verdict::Yes));
        assert_eq!(ends(Mood::No), Some(Verdict::No));
        assert_eq!(verdict(41, &chain[1..], Statement::new(0, Mood::All, 40), Import::None), Some(Verdict::Unknown));
        assert!(connected(41, &chain, 40, 0) && !connected(41, &chain[1..], 0, 40));
    }
}
