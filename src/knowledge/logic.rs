//! What follows from categorical statements, any number of them.
//!
//! A thing is of some kinds and not of others. "All" and "no" forbid combinations of kinds, and what they forbid has
//! the shape of Horn clauses: from the kinds that a thing must be of, "all" leads to further ones, and the least set
//! that is closed under it is possible exactly when no "no" stands between two of its members (Horn 1951). So every
//! "some" is decided by one closure. A conclusion follows when the premises and its contradictory are inconsistent.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Claim, Mood};

/// Most terms that one chain can have: there are ever more squares of chains.
pub const MAX_TERMS: usize = 6;

/// Different premises of one trace that are still an argument. More are a list, and nothing is said to follow from it:
/// time stays linear in whatever a policy writes.
pub const MOST_PREMISES: usize = 64;

/// A categorical statement about terms that are numbered within an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Statement {
    pub subject: usize,
    pub mood: Mood,
    pub predicate: usize,
}

/// Whether terms are taken to have members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Import {
    /// Every term has a member, as in Aristotle: 24 of the 256 forms are valid.
    Existential,
    /// Terms may be empty, as in modern logic: 15 are.
    None,
}

/// What the premises say of a conclusion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It follows.
    Yes,
    /// Its contradictory follows.
    No,
    /// Neither does.
    Unknown,
}

impl Verdict {
    /// The word that answers with it.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Yes => "yes",
            Verdict::No => "no",
            Verdict::Unknown => "unknown",
        }
    }
}

impl Mood {
    pub const ALL: [Mood; 4] = [Mood::All, Mood::No, Mood::Some, Mood::SomeNot];

    /// The mood of the contradictory statement about the same two terms.
    pub fn contradictory(self) -> Mood {
        match self {
            Mood::All => Mood::SomeNot,
            Mood::SomeNot => Mood::All,
            Mood::No => Mood::Some,
            Mood::Some => Mood::No,
        }
    }
}

impl Statement {
    pub fn new(subject: usize, mood: Mood, predicate: usize) -> Self {
        Self { subject, mood, predicate }
    }

    pub fn contradictory(self) -> Self {
        Self { mood: self.mood.contradictory(), ..self }
    }
}

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
    use proptest::prelude::*;

    /// The definition itself: every assignment of empty or inhabited to every region, of which there is one for each set of
    /// terms. The worlds in which the statements are true.
    fn worlds(terms: usize, statements: &[Statement], import: Import) -> impl Iterator<Item = u64> {
        let regions = 1usize << terms;
        let imported = move |world: &u64| {
            let inhabited = |t: usize| (0..regions).any(|r| world >> r & 1 == 1 && r >> t & 1 == 1);
            import == Import::None || (0..terms).all(inhabited)
        };
        (0..1u64 << regions).filter(imported).filter(move |world| statements.iter().all(|s| holds(regions, *world, s)))
    }

    fn holds(regions: usize, world: u64, s: &Statement) -> bool {
        let any = |want: bool| {
            (0..regions).any(|r| world >> r & 1 == 1 && r >> s.subject & 1 == 1 && (r >> s.predicate & 1 == 1) == want)
        };
        match s.mood {
            Mood::All => !any(false),
            Mood::No => !any(true),
            Mood::Some => any(true),
            Mood::SomeNot => any(false),
        }
    }

    fn enumerated(terms: usize, premises: &[Statement], conclusion: Statement, import: Import) -> Option<Verdict> {
        let (mut yes, mut no) = (false, false);
        for world in worlds(terms, premises, import) {
            let holds = holds(1 << terms, world, &conclusion);
            (yes, no) = (yes || holds, no || !holds);
        }
        match (yes, no) {
            (true, true) => Some(Verdict::Unknown),
            (true, false) => Some(Verdict::Yes),
            (false, true) => Some(Verdict::No),
            (false, false) => None,
        }
    }

    fn statement(terms: usize) -> impl Strategy<Value = Statement> {
        (0..terms, prop::sample::select(&Mood::ALL[..]), 0..terms).prop_map(|(s, mood, p)| Statement::new(s, mood, p))
    }

    fn agrees(terms: usize, premises: &[Statement], conclusion: Statement) {
        for import in [Import::Existential, Import::None] {
            let expected = enumerated(terms, premises, conclusion, import);
            assert_eq!(
                verdict(terms, premises, conclusion, import),
                expected,
                "{premises:?} {conclusion:?} {import:?}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn agrees_with_the_enumeration_of_all_worlds(
            statements in prop::collection::vec(statement(3), 0..7), conclusion in statement(3)
        ) {
            agrees(3, &statements, conclusion);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn agrees_with_it_about_four_terms(
            statements in prop::collection::vec(statement(4), 2..8), conclusion in statement(4)
        ) {
            agrees(4, &statements, conclusion);
        }
    }

    /// Figure 1..4 of the tradition: subject 0, middle 1, predicate 2; the major premise first.
    fn form(moods: [Mood; 3], figure: usize) -> (Vec<Statement>, Statement) {
        let (major, minor) = match figure {
            1 => ((1, 2), (0, 1)),
            2 => ((2, 1), (0, 1)),
            3 => ((1, 2), (1, 0)),
            _ => ((2, 1), (1, 0)),
        };
        let premises = vec![Statement::new(major.0, moods[0], major.1), Statement::new(minor.0, moods[1], minor.1)];
        (premises, Statement::new(0, moods[2], 2))
    }

    fn valid_forms(import: Import) -> Vec<String> {
        let mut valid = Vec::new();
        for figure in 1..=4 {
            for a in Mood::ALL {
                for b in Mood::ALL {
                    for c in Mood::ALL {
                        let (premises, conclusion) = form([a, b, c], figure);
                        if verdict(3, &premises, conclusion, import) == Some(Verdict::Yes) {
                            let letter = |m| ["A", "E", "I", "O"][Mood::ALL.iter().position(|x| *x == m).unwrap()];
                            valid.push(format!("{}{}{}-{figure}", letter(a), letter(b), letter(c)));
                        }
                    }
                }
            }
        }
        valid
    }

    #[test]
    fn all_256_forms_agree_with_tradition() {
        let with = valid_forms(Import::Existential);
        let without = valid_forms(Import::None);
        assert_eq!((with.len(), without.len()), (24, 15));
        let only_import: Vec<_> = with.iter().filter(|form| !without.contains(form)).map(String::as_str).collect();
        assert_eq!(only_import, ["AAI-1", "EAO-1", "AEO-2", "EAO-2", "AAI-3", "EAO-3", "AAI-4", "AEO-4", "EAO-4"]);
    }

    #[test]
    fn a_long_chain_is_decided() {
        let chain: Vec<Statement> = (0..40).map(|i| Statement::new(i, Mood::All, i + 1)).collect();
        let ends = |mood| verdict(41, &chain, Statement::new(0, mood, 40), Import::Existential);
        assert_eq!(ends(Mood::All), Some(Verdict::Yes));
        assert_eq!(ends(Mood::No), Some(Verdict::No));
        assert_eq!(verdict(41, &chain[1..], Statement::new(0, Mood::All, 40), Import::None), Some(Verdict::Unknown));
        assert!(connected(41, &chain, 40, 0) && !connected(41, &chain[1..], 0, 40));
    }
}
