//! Made-up facts and chains: other names every time, so that nothing but reading them helps.

use rand::Rng;
use rand::seq::IndexedRandom;

use super::Curriculum;
use super::asked::Asked;
use crate::knowledge::grammar::Fact;
use crate::knowledge::lexicon::{RELATIONS, Word, reserved};
use crate::knowledge::logic::{Import, Statement, Verdict, verdict};
use crate::knowledge::syllogism::{Chain, Shape, square};
use crate::knowledge::{Form, Mood};
use crate::random::Stream;

impl Curriculum<'_> {
    /// `count` facts about different names. `together` puts them into one group and one relation.
    pub(super) fn made_up_facts(&self, count: usize, together: bool, random: &mut Stream) -> Vec<Fact> {
        let lexicon = &self.world.grammar.lexicon;
        let mut facts: Vec<Fact> = Vec::with_capacity(count);
        let (town, verb) = (pick(&lexicon.towns, random), random.random_range(0..RELATIONS.len()));
        while facts.len() < count {
            let fact = Fact {
                group: if together { town } else { pick(&lexicon.towns, random) },
                subject: pick(&lexicon.persons, random),
                relation: if together { verb } else { random.random_range(0..RELATIONS.len()) },
                object: pick(&lexicon.creatures, random),
            };
            let kept = reserved(fact.group, fact.object) || reserved(fact.subject, fact.object);
            let known = facts.iter().any(|f| f.subject == fact.subject || f.object == fact.object);
            if !kept && !known {
                facts.push(fact);
            }
        }
        facts
    }

    /// `count` chains that share no term.
    pub(super) fn made_up_chains(&self, count: usize, random: &mut Stream) -> Vec<Chain> {
        let lexicon = &self.world.grammar.lexicon;
        let mut used: Vec<Word> = Vec::new();
        (0..count)
            .map(|_| {
                let Shape { premises, conclusion } = self.shape(random);
                let terms = loop {
                    let terms: Vec<Word> = lexicon.terms.choose_multiple(random, premises.len() + 1).copied().collect();
                    let ends = reserved(terms[0], terms[premises.len()]);
                    if !ends && !terms.iter().any(|t| used.contains(t)) {
                        break terms;
                    }
                };
                used.extend(&terms);
                Chain { terms, premises, conclusion, import: self.world.known.import }
            })
            .collect()
    }

    /// A shape of chains: as worlds have them, or one of the simpler kinds that show what a premise is good for.
    /// In a balanced square no premise tells anything by itself, so from squares alone nothing is learned for long.
    fn shape(&self, random: &mut Stream) -> Shape {
        let known = &self.world.known;
        let kind = random.random::<f64>();
        if kind < self.habits.single {
            return argument(1, known.import, random);
        }
        let length = known.premises.choose(random).copied().unwrap_or(2);
        if kind < self.habits.single + self.habits.free {
            return argument(length, known.import, random);
        }
        match square(length, known.import, random) {
            Ok(shapes) => shapes[random.random_range(0..4)].clone(),
            // Lengths were checked when the world was made.
            Err(_) => argument(length, known.import, random),
        }
    }

    /// A question about a made-up fact, with the other facts that were made up with it.
    pub(super) fn made_up_fact(&self, form: Form, random: &mut Stream) -> Asked {
        let group = self.made_up_facts(self.world.known.group_size, true, random);
        let fact = group[random.random_range(0..group.len())];
        Asked::fact(self, fact, &group, form, random)
    }

    /// How much the answer to a made-up question can be learned: right away if the trace holds what it needs.
    pub(super) fn certainty(answered: bool) -> f32 {
        if answered { 1.0 } else { 0.25 }
    }
}

/// Any premises that can be recalled from the end terms and any conclusion, each verdict equally often.
fn argument(premises: usize, import: Import, random: &mut Stream) -> Shape {
    let mood = |random: &mut Stream| *Mood::ALL.choose(random).unwrap_or(&Mood::All);
    let wanted = *[Verdict::Yes, Verdict::No, Verdict::Unknown].choose(random).unwrap_or(&Verdict::Yes);
    let mut shape;
    loop {
        let forward = if premises <= 2 { 1 } else { random.random_range(0..=premises) };
        let link =
            |i: usize, mood| if i < forward { Statement::new(i, mood, i + 1) } else { Statement::new(i + 1, mood, i) };
        let premises: Vec<Statement> = (0..premises).map(|i| link(i, mood(random))).collect();
        shape = Shape { conclusion: Statement::new(0, mood(random), premises.len()), premises };
        if verdict(shape.premises.len() + 1, &shape.premises, shape.conclusion, import) == wanted {
            return shape;
        }
    }
}

fn pick(pool: &[Word], random: &mut Stream) -> Word {
    pool[random.random_range(0..pool.len())]
}
