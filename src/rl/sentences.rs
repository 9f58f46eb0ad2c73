//! Which tokens of a completion are which of its recitations, and what each of them was worth beside the others.

use std::ops::Range;

use super::batch::Group;
use crate::Result;
use crate::language::Tokenizer;
use crate::language::tokenizer::visible;
use crate::learner::advantage::{Grouped, has_spread};
use crate::learner::{Advantage, TokenAdvantages};
use crate::reward::{Record, Reward};
use crate::verifier::Recitation;

/// Adds for the tokens of sentences, on top of the advantage of their completion, how much more than the mean they were paid of
/// what was done at their place in the thoughts of their group: the first of a thought are compared with the other first ones,
/// the second with the second. To end the thought is worth nothing, and is compared with the sentences that stand there
/// in the others.
pub(super) fn compare(groups: &mut [Group], reward: &Reward, tokenizer: &Tokenizer) -> Result<()> {
    for group in groups {
        let lines = || group.lines.iter().zip(&group.completions);
        let traces = traces(group, tokenizer);
        let worths = of_group(group, reward, &traces);
        // Not put on one scale: where all but one say what is new, little is at stake.
        let compared = Advantage::Mean.compute(&by_place(&worths), group.filter.tolerance).values;
        let by_token = lines().zip(traces).enumerate().map(|(at, ((line, completion), trace))| {
            let of_steps: Vec<f32> = compared.iter().map_while(|place| place[at]).collect();
            let Some(advantage) = line.advantage.filter(|_| of_steps.iter().any(|step| *step != 0.0)) else {
                return Ok(None);
            };
            let mut advantages = vec![advantage; completion.tokens.len()];
            // What the thought was given is no part of what is learned.
            let given = &group.prompt[group.prompt.len() - group.given..];
            let lengths = tokenizer.lengths(&[given, &completion.tokens].concat())?;
            let written = |token: usize| token.saturating_sub(given.len());
            let places = places(&line.completion, &line.judgement.recitations, &lengths).into_iter();
            let mut places: Vec<_> = places.map(|place| written(place.start)..written(place.end)).collect();
            if let Some(trace) = trace {
                let last = places.iter().map(|place| place.end).max().unwrap_or(0);
                places.push(last.min(trace)..trace);
            }
            for (place, step) in places.into_iter().zip(of_steps) {
                advantages[place].iter_mut().for_each(|token| *token += step);
            }
            Ok(Some(TokenAdvantages { advantages, ..TokenAdvantages::default() }))
        });
        group.appraisals = by_token.collect::<Result<_>>()?;
    }
    Ok(())
}

/// Whether sentences at the same place of the thoughts of a group are paid differently.
pub(super) fn differ(group: &Group, reward: &Reward, tokenizer: &Tokenizer) -> bool {
    let worths = of_group(group, reward, &traces(group, tokenizer));
    by_place(&worths).iter().any(|place| has_spread(place, group.filter.tolerance))
}

/// The tokens of each trace of a group, of those that came to their end.
fn traces(group: &Group, tokenizer: &Tokenizer) -> Vec<Option<usize>> {
    group.completions.iter().map(|completion| tokenizer.trace_length(&completion.tokens)).collect()
}

fn of_group(group: &Group, reward: &Reward, traces: &[Option<usize>]) -> Vec<Vec<f64>> {
    group.lines.iter().zip(traces).map(|(line, trace)| worths(line, reward, trace.is_some())).collect()
}

/// What the sentences of a thought are paid, and its end where it has come to one.
fn worths(line: &Record, reward: &Reward, ended: bool) -> Vec<f64> {
    if line.reward.is_none() {
        return Vec::new();
    }
    let mut worths = reward.of_sentences(&line.evidence(), &line.terms);
    worths.extend(ended.then_some(0.0));
    worths
}

/// What was done at each place of the thoughts of a group is worth; none where a thought was over before it.
fn by_place(worths: &[Vec<f64>]) -> Grouped {
    let longest = worths.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest).map(|place| worths.iter().map(|line| line.get(place).copied()).collect()).collect()
}

/// The tokens of each recitation. `lengths` says how much of the text stands there with each token; one that ends a
/// sentence and begins the next belongs to the latter.
fn places(text: &str, recitations: &[Recitation], lengths: &[usize]) -> Vec<Range<usize>> {
    let (mut read, mut before) = (0, 0);
    let place = |one: &Recitation| {
        let Some(at) = text[read..].find(&one.text) else { return 0..0 };
        let start = before + visible(&text[read..read + at]);
        before = start + visible(&one.text);
        read += at + one.text.len();
        let first = lengths.partition_point(|there| *there <= start);
        // Its last token is the one with which the whole of it is there.
        let last = lengths.partition_point(|there| *there < before);
        first..(last + 1).min(lengths.len()).max(first)
    };
    recitations.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::reversal::OPEN;
    use crate::learner::Filter;
    use crate::reward::examples::examples;
    use crate::rollout::{Finish, PartialCompletion};
    use proptest::prelude::*;
    use std::path::Path;

    fn said(text: &str) -> Recitation {
        Recitation { text: text.into(), claim: None, is_true: false, relevant: false }
    }

    #[test]
    fn sentences_are_compared_with_what_was_done_at_their_place() {
        let all = by_place(&[vec![1.0, 0.0], vec![], vec![0.0, 2.0, 1.0]]);
        let (there, none) = (Some, None);
        assert_eq!(
            all,
            [
                vec![there(1.0), none, there(0.0)],
                vec![there(0.0), none, there(2.0)],
                // Alone at its place.
                vec![none, none, there(1.0)],
            ]
        );
        let (there, none) = (Some::<f32>, None);
        let compared = Advantage::Mean.compute(&all, 0.0).values;
        assert_eq!(compared[..2], [[there(0.5), none, there(-0.5)], [there(-1.0), none, there(1.0)]]);
        assert_eq!(compared[2], [none, none, there(0.0)]);
        assert!(by_place(&[]).is_empty() && by_place(&[vec![]]).is_empty());
    }

    #[test]
    fn sentences_are_found_in_order_whatever_their_tokens() {
        let text = "a b . c. a b . </think>";
        let all = [said("a b ."), said("c."), said("a b .")];
        // a token a word
        assert_eq!(places(text, &all, &[1, 2, 3, 5, 6, 7, 8, 16]), [0..3, 3..4, 4..7]);
        // "a", " b . c", ". a b .", "</think>": the second ends the first sentence and begins the second
        assert_eq!(places(text, &all, &[1, 4, 8, 16]), [0..2, 1..3, 2..3]);
        // what was cut off, or not written at all
        assert_eq!(places(text, &all, &[1, 2, 3, 4]), [0..3, 3..4, 4..4]);
        assert!(places("x", &[said("y")], &[1])[0].is_empty());
        assert_eq!(places("", &[], &[]), Vec::<Range<usize>>::new());
    }

    #[test]
    fn what_a_sentence_brought_is_credited_to_its_tokens_and_the_end_is_held_against_going_on() {
        let reward = Reward::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("rewards/enumerate.toml")).unwrap();
        let words: Vec<String> =
            "in tarn mavo rik sova pell guards bilu tal nem dro . :".split(' ').map(Into::into).collect();
        let tokenizer = Tokenizer::from_words(&words).unwrap();
        // The fact, the whole group with the fact at its end, the fact six times.
        let mut lines: Vec<Record> = examples().into_iter().take(3).map(|example| example.record).collect();
        for line in &mut lines {
            line.terms = reward.score(&line.evidence(), &mut std::iter::empty()).terms;
            (line.reward, line.advantage) = (Some(2.0), Some(0.5));
        }
        let completion = |line: &Record| {
            let tokens = tokenizer.encode(&line.completion).unwrap();
            PartialCompletion { tokens, ..PartialCompletion::new(0, 0) }.end(Finish::Stop)
        };
        let completions = lines.iter().map(completion).collect();
        let (filter, prompt, appraisals) = (Filter::default(), Vec::new(), Vec::new());
        let group = Group { form: OPEN, index: 0, filter, prompt, given: 0, completions, lines, appraisals };
        let mut groups = [group];
        compare(&mut groups, &reward, &tokenizer).unwrap();
        let found: Vec<Vec<f32>> = groups[0].appraisals.iter().flatten().map(|one| one.advantages.clone()).collect();
        // New and needed 1, new 1 less the price of a sentence that is not needed, again that price, the end 0; each less the
        // mean of what was done at its place.
        let price = -0.02;
        let new = 1.0 + price;
        let first = (1.0 + new + 1.0) / 3.0;
        let second = (0.0 + new + price) / 3.0;
        let (third, fourth, fifth) = ((new + price) / 2.0, (1.0 + price) / 2.0, price / 2.0);
        let expected: [&[f32]; 3] = [
            &[1.0 - first, -second],
            &[new - first, new - second, new - third, 1.0 - fourth, -fifth],
            // Alone at the last places.
            &[1.0 - first, price - second, price - third, price - fourth, price - fifth, 0.0, 0.0],
        ];
        assert_eq!(found.len(), 3);
        for (found, steps) in found.iter().zip(expected) {
            let (end, sentences) = steps.split_last().unwrap();
            let of_tokens = sentences.iter().flat_map(|sentence| [*sentence; 6]).chain([*end, 0.0, 0.0, 0.0, 0.0, 0.0]);
            assert_eq!(found.len(), 6 * sentences.len() + 6);
            let near = found.iter().zip(of_tokens).all(|(found, step)| (found - 0.5 - step).abs() < 1e-5);
            assert!(near, "{found:?} {steps:?}");
        }
        // Of those that begin alike, the same where that was given: those tokens are not there to be learned from.
        let mut alike = [groups[0].clone()];
        alike[0].lines.remove(1);
        alike[0].completions.remove(1);
        compare(&mut alike, &reward, &tokenizer).unwrap();
        let mut begun = alike.clone();
        begun[0].given = 4;
        for completion in &mut begun[0].completions {
            begun[0].prompt = completion.tokens.drain(..4).collect();
        }
        compare(&mut begun, &reward, &tokenizer).unwrap();
        for (begun, whole) in begun[0].appraisals.iter().zip(&alike[0].appraisals) {
            assert_eq!(begun.as_ref().unwrap().advantages, whole.as_ref().unwrap().advantages[4..]);
        }
        // A reward that pays completions alone has nothing to add.
        let recall = Reward::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("rewards/recall.toml")).unwrap();
        compare(&mut groups, &recall, &tokenizer).unwrap();
        assert_eq!(groups[0].appraisals, [None, None, None]);
        // Paid alike as completions they still teach, by their sentences; three times the same teaches nothing.
        let differs = |group: &Group, reward: &Reward| differ(group, reward, &tokenizer);
        assert!(!groups[0].is_paid_differently(reward.normalise));
        assert!(differs(&groups[0], &reward) && !differs(&groups[0], &recall));
        let [group] = &mut groups;
        group.lines = vec![group.lines[0].clone(); 3];
        group.completions = vec![group.completions[0].clone(); 3];
        assert!(!differs(group, &reward));
    }

    proptest! {
        #[test]
        fn every_place_is_one(text in "[ab. ]{0,30}", cut in 0..8usize, lengths in prop::collection::vec(0..5usize, 0..12)) {
            let recitations: Vec<Recitation> = text.split_inclusive('.').skip(cut % 2).map(said).collect();
            let lengths: Vec<usize> = lengths.iter().scan(0, |sum, one| { *sum += one; Some(*sum) }).collect();
            let places = places(&text, &recitations, &lengths);
            prop_assert_eq!(places.len(), recitations.len());
            prop_assert!(places.iter().all(|place| place.start <= place.end && place.end <= lengths.len()));
        }
    }
}
