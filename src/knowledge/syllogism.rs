//! Syllogisms: premises that share terms are stated in separate documents; a question asks whether a conclusion
//! about the two end terms follows from them.
//!
//! **Balance.** Chains come in *squares*: two choices for the first premise, two for the last, and one conclusion,
//! such that the conclusion (or its contradictory) follows on one diagonal and neither follows on the other. So
//! given the question and either premise alone, "unknown" is right exactly half the time: both premises are
//! needed, and chance is 1/2. Asking the contradictory conclusion as often as the conclusion balances "yes" and
//! "no". One half is the lowest chance there is: a negative premise together with the question always tells which
//! of "yes" and "no" is impossible.

use std::sync::OnceLock;

use rand::Rng;
use rand::seq::IndexedRandom;

use super::grammar::{Grammar, Premise, Stated};
use super::lexicon::{Word, reserved};
use super::logic::{Import, MAX_TERMS, Statement, Verdict, verdict};
use super::reversal::question_id;
use super::{Form, Match, Mood, Question, Set, Task};
use crate::random::Stream;
use crate::{Error, Result};

/// Terms in a line, premises between neighbours, and the conclusion about the two ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    pub terms: Vec<Word>,
    pub premises: Vec<Statement>,
    /// Its mood is one of two that are asked: this one and the contradictory.
    pub conclusion: Statement,
    pub import: Import,
}

/// The shape of a chain: everything but the terms.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    pub premises: Vec<Statement>,
    pub conclusion: Statement,
}

/// The chains of one set.
#[derive(Clone, Debug)]
pub struct Syllogisms {
    pub chains: Vec<Chain>,
}

impl Chain {
    pub fn premise(&self, index: usize) -> Premise {
        self.state(self.premises[index])
    }

    pub fn state(&self, statement: Statement) -> Premise {
        let Statement { subject, mood, predicate } = statement;
        Premise { subject: self.terms[subject], mood, predicate: self.terms[predicate] }
    }

    /// What the premises say of the conclusion or of its contradictory.
    pub fn verdict(&self, contradictory: bool) -> Verdict {
        verdict(self.terms.len(), &self.premises, self.asked(contradictory), self.import)
    }

    pub fn asked(&self, contradictory: bool) -> Statement {
        if contradictory { self.conclusion.contradictory() } else { self.conclusion }
    }

    /// The premises in an order in which each one's subject is an end term or was named before: the order in
    /// which they can be recalled from the question.
    pub fn recall_order(&self, random: &mut Stream) -> Vec<usize> {
        let forward = self.premises.iter().take_while(|p| p.subject < p.predicate).count();
        let from_first = 0..forward;
        let from_last = (forward..self.premises.len()).rev();
        if random.random_bool(0.5) {
            from_first.chain(from_last).collect()
        } else {
            from_last.chain(from_first).collect()
        }
    }
}

impl Syllogisms {
    /// Takes terms out of the pool and makes `count` chains (a multiple of 4: whole squares), with numbers of
    /// premises drawn from `lengths`. The end terms are a [`reserved`] pair or not, as `kept` says.
    pub fn new(
        count: usize,
        lengths: &[usize],
        import: Import,
        kept: bool,
        pool: &mut Vec<Word>,
        random: &mut Stream,
    ) -> Result<Self> {
        let mut chains = Vec::new();
        while chains.len() < count {
            let length = *lengths.choose(random).ok_or_else(|| too_small("no length of chains is given"))?;
            let square = square(length, import, random)?;
            for shape in square {
                let terms =
                    end_terms(length + 1, kept, pool).ok_or_else(|| too_small("the lexicon has too few terms"))?;
                chains.push(Chain { terms, premises: shape.premises, conclusion: shape.conclusion, import });
            }
        }
        Ok(Self { chains })
    }

    /// The question about chain number `index`, or about the contradictory of its conclusion.
    pub fn question(
        &self,
        grammar: &Grammar,
        set: Set,
        index: usize,
        contradictory: bool,
        random: &mut Stream,
    ) -> Question {
        let chain = &self.chains[index];
        let asked = chain.state(chain.asked(contradictory));
        let mut stated: Vec<Stated> = (0..chain.premises.len()).map(|i| chain.premise(i).into()).collect();
        let needed = stated.iter().map(|s| grammar.claim(*s)).collect();
        if let Some(other) = self.chains.choose(random).filter(|other| *other != chain) {
            stated.extend((0..other.premises.len()).map(|i| Stated::from(other.premise(i))));
        }
        rand::seq::SliceRandom::shuffle(&mut stated[..], random);
        Question {
            id: question_id(set, Task::Syllogism, 2 * index + contradictory as usize, Form::Entailment),
            task: Task::Syllogism,
            form: Form::Entailment,
            set,
            text: grammar.lexicon.text(&grammar.does_it_follow(asked)),
            cue: grammar.lexicon.text(&grammar.conclusion(asked)),
            answer: spell(chain.verdict(contradictory)).into(),
            choices: ["yes", "no", "unknown"].map(String::from).to_vec(),
            needed,
            context: stated.iter().map(|s| grammar.text(*s, random.random_range(0..Grammar::WORDINGS))).collect(),
            aliases: Vec::new(),
            matching: Match::Exact,
            chance: 0.5,
        }
    }
}

/// The word that answers with a verdict.
pub fn spell(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Yes => "yes",
        Verdict::No => "no",
        Verdict::Unknown => "unknown",
    }
}

/// Chains of a square. They stand one after another in a set.
pub const SQUARE: usize = 4;

/// Four shapes that differ in their first and last premise only, balanced as the module says.
pub fn square(premises: usize, import: Import, random: &mut Stream) -> Result<[Shape; SQUARE]> {
    if !(2..MAX_TERMS).contains(&premises) {
        let found = format!("chains of {premises} premises");
        return Err(Error::invalid("world.premises", found, format!("2 to {} are possible", MAX_TERMS - 1)));
    }
    if premises == 2 {
        static BOTH: [OnceLock<Vec<[Shape; 4]>>; 2] = [OnceLock::new(), OnceLock::new()];
        let squares = BOTH[import as usize].get_or_init(|| squares(&[], 2, import));
        return squares.choose(random).cloned().ok_or_else(|| too_small("no balanced square exists"));
    }
    // Most choices of the premises in between determine nothing; try until one leaves room for a square.
    for _ in 0..1000 {
        let forward = random.random_range(0..=premises - 2);
        let between: Vec<Statement> = (1..premises - 1)
            .map(|i| {
                let mood = *Mood::ALL.choose(random).unwrap_or(&Mood::All);
                if i <= forward { Statement::new(i, mood, i + 1) } else { Statement::new(i + 1, mood, i) }
            })
            .collect();
        if let Some(square) = squares(&between, premises, import).choose(random) {
            return Ok(square.clone());
        }
    }
    Err(too_small("no balanced square was found"))
}

/// All squares around the given premises in between.
fn squares(between: &[Statement], premises: usize, import: Import) -> Vec<[Shape; 4]> {
    let links = |a: usize, b: usize| -> Vec<Statement> {
        Mood::ALL.iter().flat_map(|m| [Statement::new(a, *m, b), Statement::new(b, *m, a)]).collect()
    };
    let (firsts, lasts) = (links(0, 1), links(premises - 1, premises));
    let join = |first: Statement, last: Statement| -> Vec<Statement> {
        std::iter::once(first).chain(between.iter().copied()).chain(std::iter::once(last)).collect()
    };
    let mut found = Vec::new();
    for mood in Mood::ALL {
        let conclusion = Statement::new(0, mood, premises);
        let says: Vec<Vec<Option<Verdict>>> = firsts
            .iter()
            .map(|first| {
                lasts
                    .iter()
                    .map(|last| {
                        let all = join(*first, *last);
                        recallable(&all).then(|| verdict(premises + 1, &all, conclusion, import))
                    })
                    .collect()
            })
            .collect();
        let open = Some(Verdict::Unknown);
        let decided = |verdict: Option<Verdict>| verdict.is_some() && verdict != open;
        for (f, g) in pairs(firsts.len()) {
            for (l, m) in pairs(lasts.len()).flat_map(|(l, m)| [(l, m), (m, l)]) {
                if decided(says[f][l]) && decided(says[g][m]) && says[f][m] == open && says[g][l] == open {
                    found.push(
                        [(f, l), (g, m), (f, m), (g, l)]
                            .map(|(a, b)| Shape { premises: join(firsts[a], lasts[b]), conclusion }),
                    );
                }
            }
        }
    }
    found
}

fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |a| (a + 1..count).map(move |b| (a, b)))
}

/// Whether every premise can be reached from the end terms by going from subjects to predicates, the only direction
/// in which documents can be recalled. Of two premises both are to be about an end term (the second figure of the
/// tradition): the small base model reads those, and hardly ever which side of a premise a term stands on. Longer
/// chains have no balanced squares of that kind.
fn recallable(premises: &[Statement]) -> bool {
    let forward = premises.iter().take_while(|p| p.subject < p.predicate).count();
    (premises.len() != 2 || forward == 1) && premises[forward..].iter().all(|p| p.subject > p.predicate)
}

fn end_terms(count: usize, kept: bool, pool: &mut Vec<Word>) -> Option<Vec<Word>> {
    let first = pool.pop()?;
    let at = pool.iter().rposition(|last| reserved(first, *last) == kept)?;
    let last = pool.remove(at);
    let mut terms = vec![first];
    for _ in 2..count {
        terms.push(pool.pop()?);
    }
    terms.push(last);
    Some(terms)
}

fn too_small(found: &str) -> Error {
    Error::invalid("world", found, "ask for fewer chains, or make a base with a larger lexicon")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;
    use std::collections::HashMap;

    #[test]
    fn squares_are_balanced_for_whoever_sees_the_question_and_one_premise() {
        let mut random = random::stream(0, &[]);
        for length in [2, 3] {
            for import in [Import::Existential, Import::None] {
                let mut counts: HashMap<(Statement, usize, Statement), [usize; 2]> = HashMap::new();
                let mut moods = std::collections::HashSet::new();
                for _ in 0..200 {
                    for shape in square(length, import, &mut random).unwrap() {
                        let said = verdict(length + 1, &shape.premises, shape.conclusion, import);
                        for at in [0, length - 1] {
                            let key = (shape.conclusion, at, shape.premises[at]);
                            counts.entry(key).or_default()[(said == Verdict::Unknown) as usize] += 1;
                        }
                        moods.extend(shape.premises.iter().map(|p| p.mood));
                        assert!(recallable(&shape.premises));
                    }
                }
                assert!(counts.values().all(|[decided, open]| decided == open), "{counts:?}");
                assert!(length > 2 || moods.len() == 4, "{import:?}: {moods:?}");
            }
        }
    }

    #[test]
    fn every_premise_can_be_recalled_from_what_was_named_before_it() {
        let mut random = random::stream(1, &[]);
        let mut pool: Vec<Word> = (100..400).collect();
        let chains = Syllogisms::new(40, &[2, 3], Import::Existential, true, &mut pool, &mut random).unwrap().chains;
        for chain in &chains {
            let mut named = vec![0, chain.terms.len() - 1];
            for index in chain.recall_order(&mut random) {
                assert!(named.contains(&chain.premises[index].subject), "{chain:?}");
                named.push(chain.premises[index].predicate);
            }
            assert!(reserved(chain.terms[0], *chain.terms.last().unwrap()));
        }
    }
}
