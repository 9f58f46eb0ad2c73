//! Squares of chains: four shapes that no single premise tells apart.

use crate::knowledge::prelude::*;
use std::sync::OnceLock;

/// The shape of a chain: everything but the terms.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainShape {
    pub premises: Vec<Statement>,
    pub conclusion: Statement,
}

/// Chains of a square. They stand one after another in a set.
pub const SQUARE: usize = 4;

/// Four shapes that differ in their first and last premise only, balanced as the module says.
pub fn square(premises: usize, import: Import, random: &mut Stream) -> Result<[ChainShape; SQUARE]> {
    if !(2..MAX_TERMS).contains(&premises) {
        let found = format!("chains of {premises} premises");
        return Err(Error::invalid("known.premises", found, format!("2 to {} are possible", MAX_TERMS - 1)));
    }
    if premises == 2 {
        static BOTH: [OnceLock<Vec<[ChainShape; 4]>>; 2] = [OnceLock::new(), OnceLock::new()];
        let squares = BOTH[import as usize].get_or_init(|| squares(&[], 2, import));
        return squares.choose(random).cloned().ok_or_else(|| too_few("no balanced square exists", "chains"));
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
    Err(too_few("no balanced square was found", "chains"))
}

/// All squares around the given premises in between.
fn squares(between: &[Statement], premises: usize, import: Import) -> Vec<[ChainShape; 4]> {
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
                        recallable(&all).then(|| verdict(premises + 1, &all, conclusion, import)).flatten()
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
                            .map(|(a, b)| ChainShape { premises: join(firsts[a], lasts[b]), conclusion }),
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

/// A shape of chains: as worlds have them, or one of the simpler kinds that show what a premise is good for.
/// In a balanced square no premise tells anything by itself, so from squares alone nothing is learned for long.
pub fn made_up_shape(known: &KnownConfig, cot_style: &CotStyle, random: &mut Stream) -> ChainShape {
    let kind = random.random::<f64>();
    if kind < cot_style.single {
        return argument(1, known.import, random);
    }
    let length = known.premises.choose(random).copied().unwrap_or(2);
    if kind < cot_style.single + cot_style.free {
        return argument(length, known.import, random);
    }
    match square(length, known.import, random) {
        Ok(shapes) => shapes[random.random_range(0..4)].clone(),
        // Lengths were checked when the world was made.
        Err(_) => argument(length, known.import, random),
    }
}

/// Any premises that can be recalled from the end terms and any conclusion, each verdict equally often.
fn argument(premises: usize, import: Import, random: &mut Stream) -> ChainShape {
    let mood = |random: &mut Stream| *Mood::ALL.choose(random).unwrap_or(&Mood::All);
    let wanted = *[Verdict::Yes, Verdict::No, Verdict::Unknown].choose(random).unwrap_or(&Verdict::Yes);
    let mut shape;
    loop {
        let forward = if premises <= 2 { 1 } else { random.random_range(0..=premises) };
        let link =
            |i: usize, mood| if i < forward { Statement::new(i, mood, i + 1) } else { Statement::new(i + 1, mood, i) };
        let premises: Vec<Statement> = (0..premises).map(|i| link(i, mood(random))).collect();
        shape = ChainShape { conclusion: Statement::new(0, mood(random), premises.len()), premises };
        if verdict(shape.premises.len() + 1, &shape.premises, shape.conclusion, import) == Some(wanted) {
            return shape;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::random;

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
                            counts.entry(key).or_default()[(said == Some(Verdict::Unknown)) as usize] += 1;
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
}
