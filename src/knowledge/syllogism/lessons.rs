//! Lessons about chains, known and made up.

use super::squares::{ChainShape, square};
use super::{Chain, conclusion, does_it_follow};
use crate::knowledge::prelude::*;

/// A question about a chain: its conclusion or, as often, the contradictory.
pub fn question(lexicon: &Lexicon, cot_style: &CotStyle, chain: &Chain, random: &mut Stream) -> LessonQuestion {
    let contradictory = random.random_bool(0.5);
    let asked = chain.state(chain.asked(contradictory));
    LessonQuestion {
        words: does_it_follow(lexicon, asked),
        answers: vec![(conclusion(lexicon, asked), lexicon.grammar(chain.verdict(contradictory).word()))],
        needed: chain.recall_order(random).into_iter().map(|i| chain.premise(i).into()).collect(),
        thought: Thought::InOrder(cot_style.premise),
        shows_subjects: true,
        can_be_guessed: true,
    }
}

/// `count` chains that share no term, about end terms that no world pairs.
pub fn made_up_chains(
    known: &KnownConfig,
    lexicon: &Lexicon,
    cot_style: &CotStyle,
    count: usize,
    random: &mut Stream,
) -> Vec<Chain> {
    let mut used: Vec<Word> = Vec::new();
    (0..count)
        .map(|_| {
            let ChainShape { premises, conclusion } = shape(known, cot_style, random);
            let terms = loop {
                let terms = lexicon.names("terms").choose_multiple(random, premises.len() + 1);
                let terms: Vec<Word> = terms.copied().collect();
                let ends = reserved(terms[0], terms[premises.len()]);
                if !ends && !terms.iter().any(|t| used.contains(t)) {
                    break terms;
                }
            };
            used.extend(&terms);
            Chain { terms, premises, conclusion, import: known.import }
        })
        .collect()
}

/// A shape of chains: as worlds have them, or one of the simpler kinds that show what a premise is good for.
/// In a balanced square no premise tells anything by itself, so from squares alone nothing is learned for long.
fn shape(known: &KnownConfig, cot_style: &CotStyle, random: &mut Stream) -> ChainShape {
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
        if verdict(shape.premises.len() + 1, &shape.premises, shape.conclusion, import) == wanted {
            return shape;
        }
    }
}
