//! Rules that might answer whether a conclusion follows from less than all premises.

use crate::knowledge::prelude::*;
use std::any::Any;

use super::Syllogisms;

/// What a rule looks at.
enum Seen {
    Nothing,
    Question,
    Premise(usize),
    LastPremise,
    /// Whether its end terms stand in one document.
    Together,
}

pub fn shortcuts(of: &Syllogisms, fit: &dyn TaskData, tried: &Tried) -> Vec<(&'static str, Guesses)> {
    let Some(fit) = (fit as &dyn Any).downcast_ref::<Syllogisms>() else { return Vec::new() };
    let rules = [
        ("majority answer", Seen::Nothing),
        ("conclusion alone", Seen::Question),
        ("first premise alone", Seen::Premise(0)),
        ("last premise alone", Seen::LastPremise),
        ("end terms in one document", Seen::Together),
    ];
    rules.map(|(rule, seen)| (rule, learned(of, fit, seen, tried))).into()
}

/// The answer that was most common on A among questions that look the same to the rule.
fn learned(of: &Syllogisms, fit: &Syllogisms, seen: Seen, tried: &Tried) -> Guesses {
    let key = |data: &Syllogisms, (index, question): (usize, &Question)| -> (usize, Option<(usize, Mood, bool)>) {
        let (chain, contradictory) = data.asked(index);
        let mood = chain.asked(contradictory).mood as usize;
        let look = |at: usize| {
            let premise = chain.premises[at];
            Some((at.min(1), premise.mood, premise.subject < premise.predicate))
        };
        match seen {
            Seen::Nothing => (0, None),
            Seen::Question => (mood, None),
            Seen::Premise(at) => (mood, look(at)),
            Seen::LastPremise => (mood, look(chain.premises.len() - 1)),
            Seen::Together => {
                // "of FIRST QUANTIFIER are LAST"
                let ends = question.cue.split(' ').nth(1).zip(question.cue.split(' ').next_back());
                (ends.is_some_and(|(first, last)| tried.words.shared(first, last) > 0).into(), None)
            }
        }
    };
    let mut counts: HashMap<_, Vec<&str>> = HashMap::new();
    for asked in tried.fit.iter().enumerate() {
        counts.entry(key(fit, asked)).or_default().push(&asked.1.answer);
    }
    let fallback = most_common(tried.fit.iter().map(|question| question.answer.as_str()));
    let answer = |asked| match counts.get(&key(of, asked)) {
        Some(seen) => most_common(seen.iter().copied()),
        None => fallback,
    };
    tried.test.iter().enumerate().map(|asked| answer(asked).map(String::from)).collect()
}
