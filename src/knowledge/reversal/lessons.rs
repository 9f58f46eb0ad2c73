//! Lessons about facts, known and made up.

use super::{CANDIDATES, Fact, OPEN, OPEN_ANY, RELATIONS, candidates, who};
use crate::knowledge::prelude::*;

/// A form of questions about facts.
pub fn form(random: &mut Stream) -> Form {
    *[(CANDIDATES, 0.45), (OPEN, 0.37), (OPEN_ANY, 0.18)]
        .choose_weighted(random, |(_, weight)| *weight)
        .map_or(&OPEN, |(form, _)| form)
}

/// A question about a fact. `group` are the facts of its group that a thought may recite.
pub fn question(
    lexicon: &Lexicon,
    cot_style: &CotStyle,
    fact: Fact,
    group: &[Fact],
    form: Form,
    random: &mut Stream,
) -> LessonQuestion {
    // "who VERB OBJECT ?" names nothing else: where a world may ask just that, the group is named too.
    let form = if form == OPEN_ANY && half_reserved(lexicon.grammar(fact.verb(0)), fact.object) { OPEN } else { form };
    let shown = if form == CANDIDATES { candidates(&fact, group, random) } else { Vec::new() };
    let near = group.iter().filter(|f| form == OPEN || shown.contains(&f.subject));
    let near: Vec<Stated> = near.map(|f| Stated::from(*f)).collect();
    let share = match () {
        () if form == CANDIDATES => cot_style.candidates,
        () if form == OPEN => cot_style.group,
        () => 0.0,
    };
    LessonQuestion {
        words: who(lexicon, &fact, form != OPEN_ANY, &shown, random.random_range(0..2)),
        answers: vec![(vec![fact.object], fact.subject)],
        needed: vec![fact.into()],
        thought: Thought::AnyOf(near, share),
        shows_subjects: form == CANDIDATES,
        can_be_guessed: true,
    }
}

/// `count` facts about different names that no world pairs. `together` puts them into one group and one relation.
pub fn made_up_facts(lexicon: &Lexicon, count: usize, together: bool, random: &mut Stream) -> Vec<Fact> {
    let mut facts: Vec<Fact> = Vec::with_capacity(count);
    let (town, verb) = (lexicon.pick("towns", random), random.random_range(0..RELATIONS.len()));
    while facts.len() < count {
        let fact = Fact {
            group: if together { town } else { lexicon.pick("towns", random) },
            subject: lexicon.pick("persons", random),
            relation: if together { verb } else { random.random_range(0..RELATIONS.len()) },
            object: lexicon.pick("creatures", random),
        };
        let kept = reserved(fact.group, fact.object) || reserved(fact.subject, fact.object);
        let known = facts.iter().any(|f| f.subject == fact.subject || f.object == fact.object);
        if !kept && !known {
            facts.push(fact);
        }
    }
    facts
}
