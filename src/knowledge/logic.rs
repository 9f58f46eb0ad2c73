//! What follows from categorical statements, decided by models and not by rules.
//!
//! `n` terms divide the world into `2^n` regions (inside or outside each term). A statement empties some regions
//! or says that some are not all empty, so premises are consistent exactly when, after emptying, every "not all
//! empty" still has a region left. A conclusion follows when the premises and its contradictory are inconsistent.

use serde::{Deserialize, Serialize};

use super::Mood;

/// Most terms that one argument can have (`2^6` regions fit a word).
pub const MAX_TERMS: usize = 6;

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

    /// The regions that it empties (universal) or of which one has a member (particular).
    fn regions(self, terms: usize) -> u64 {
        let (subject, predicate) = (inside(self.subject, terms), inside(self.predicate, terms));
        match self.mood {
            Mood::All | Mood::SomeNot => subject & !predicate,
            Mood::No | Mood::Some => subject & predicate,
        }
    }
}

/// Whether some world makes all the statements true.
pub fn consistent(terms: usize, statements: &[Statement], import: Import) -> bool {
    let universal = |s: &&Statement| matches!(s.mood, Mood::All | Mood::No);
    let emptied = statements.iter().filter(universal).fold(0, |regions, s| regions | s.regions(terms));
    let particular = statements.iter().filter(|s| !universal(s)).all(|s| s.regions(terms) & !emptied != 0);
    particular && (import == Import::None || (0..terms).all(|term| inside(term, terms) & !emptied != 0))
}

/// Whether the conclusion holds in every world in which the premises hold.
pub fn follows(terms: usize, premises: &[Statement], conclusion: Statement, import: Import) -> bool {
    let mut refutation = premises.to_vec();
    refutation.push(conclusion.contradictory());
    !consistent(terms, &refutation, import)
}

/// What consistent premises say of a conclusion.
pub fn verdict(terms: usize, premises: &[Statement], conclusion: Statement, import: Import) -> Verdict {
    if follows(terms, premises, conclusion, import) {
        Verdict::Yes
    } else if follows(terms, premises, conclusion.contradictory(), import) {
        Verdict::No
    } else {
        Verdict::Unknown
    }
}

/// The regions inside a term, as bits.
fn inside(term: usize, terms: usize) -> u64 {
    (0..1u64 << terms).filter(|region| region >> term & 1 == 1).fold(0, |bits, region| bits | 1 << region)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition itself: every assignment of empty or inhabited to every region.
    fn follows_by_enumeration(terms: usize, premises: &[Statement], conclusion: Statement, import: Import) -> bool {
        let regions = 1usize << terms;
        let holds = |world: u64, s: &Statement| {
            let any = |want: bool| {
                (0..regions)
                    .any(|r| world >> r & 1 == 1 && r >> s.subject & 1 == 1 && (r >> s.predicate & 1 == 1) == want)
            };
            match s.mood {
                Mood::All => !any(false),
                Mood::No => !any(true),
                Mood::Some => any(true),
                Mood::SomeNot => any(false),
            }
        };
        (0..1u64 << regions).all(|world| {
            let inhabited = |t: usize| (0..regions).any(|r| world >> r & 1 == 1 && r >> t & 1 == 1);
            let imported = import == Import::None || (0..terms).all(inhabited);
            !imported || !premises.iter().all(|p| holds(world, p)) || holds(world, &conclusion)
        })
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
                        let decided = follows(3, &premises, conclusion, import);
                        assert_eq!(decided, follows_by_enumeration(3, &premises, conclusion, import));
                        if decided {
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
    fn all_256_forms_agree_with_enumeration_and_tradition() {
        let with = valid_forms(Import::Existential);
        let without = valid_forms(Import::None);
        assert_eq!((with.len(), without.len()), (24, 15));
        let only_import: Vec<_> = with.iter().filter(|form| !without.contains(form)).map(String::as_str).collect();
        assert_eq!(only_import, ["AAI-1", "EAO-1", "AEO-2", "EAO-2", "AAI-3", "EAO-3", "AAI-4", "AEO-4", "EAO-4"]);
    }

    #[test]
    fn chains_of_three_premises_agree_with_enumeration() {
        for code in 0..4usize.pow(4) * 8 {
            let mood = |i: u32| Mood::ALL[code / 4usize.pow(i) % 4];
            let turned = |i: usize, a: usize, b: usize| if (code / 256) >> i & 1 == 1 { (b, a) } else { (a, b) };
            let premises: Vec<_> = (0..3)
                .map(|i| {
                    let (s, p) = turned(i, i, i + 1);
                    Statement::new(s, mood(i as u32), p)
                })
                .collect();
            let conclusion = Statement::new(0, mood(3), 3);
            for import in [Import::Existential, Import::None] {
                // 65,536 worlds each: a sample of the forms keeps the test fast.
                if code % 13 == 0 {
                    let expected = follows_by_enumeration(4, &premises, conclusion, import);
                    assert_eq!(follows(4, &premises, conclusion, import), expected, "{premises:?} {conclusion:?}");
                }
            }
        }
    }
}
