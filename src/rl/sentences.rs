//! Which tokens of a completion are which of its recitations, and what each of them was worth beside the others.

use std::ops::Range;

use super::batch::Group;
use crate::Result;
use crate::language::Tokenizer;
use crate::language::tokenizer::visible;
use crate::learner::advantage::Grouped;
use crate::learner::{Algorithm, GaeOutput};
use crate::reward::{Record, Reward};
use crate::verifier::Recitation;

/// Adds for the tokens of sentences, on top of the advantage of their completion, that of their sentence: the first of a
/// thought are compared with the other first ones of the group, the second with the second, so that nothing is gained by
/// saying less or more.
pub(super) fn compare(
    groups: &mut [Group],
    reward: &Reward,
    algorithm: &Algorithm,
    tokenizer: &Tokenizer,
) -> Result<()> {
    let of_line = |line: &Record| match line.reward {
        Some(_) => reward.of_sentences(&line.evidence(), &line.terms),
        None => Vec::new(),
    };
    let worths: Vec<Vec<Vec<f64>>> = groups.iter().map(|group| group.lines.iter().map(of_line).collect()).collect();
    let compared = algorithm.advantage.compute(&by_place(&worths), algorithm.filter.tolerance).values;
    let mut compared = compared.into_iter();
    for (group, worths) in groups.iter_mut().zip(&worths) {
        let of_group: Vec<Vec<Option<f32>>> = compared.by_ref().take(longest(worths)).collect();
        let lines = group.lines.iter().zip(&group.completions).enumerate();
        let by_token = lines.map(|(at, (line, completion))| {
            let Some(advantage) = line.advantage else { return Ok(None) };
            let mut advantages = vec![advantage; completion.tokens.len()];
            let places = places(&line.completion, &line.judgement.recitations, &tokenizer.lengths(&completion.tokens)?);
            for (place, sentences) in places.into_iter().zip(&of_group) {
                let of_sentence = sentences[at].unwrap_or_default();
                advantages[place].iter_mut().for_each(|token| *token += of_sentence);
            }
            Ok(Some(GaeOutput { advantages, ..GaeOutput::default() }))
        });
        group.appraisals = by_token.collect::<Result<_>>()?;
    }
    Ok(())
}

/// What the sentences at each place of the thoughts of each group are worth; none where a thought has ended before it.
fn by_place(worths: &[Vec<Vec<f64>>]) -> Grouped {
    let at = |group: &Vec<Vec<f64>>, place: usize| group.iter().map(|line| line.get(place).copied()).collect();
    worths.iter().flat_map(|group| (0..longest(group)).map(move |place| at(group, place))).collect()
}

/// Sentences of the longest thought.
fn longest(group: &[Vec<f64>]) -> usize {
    group.iter().map(Vec::len).max().unwrap_or(0)
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
        let token = |length: usize| lengths.partition_point(|there| *there <= length);
        let first = token(start);
        // Its last token is the one with which the whole of it is there.
        let last = lengths.partition_point(|there| *there < before);
        first..(last + 1).min(lengths.len()).max(first)
    };
    recitations.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(text: &str) -> Recitation {
        Recitation { text: text.into(), claim: None, is_true: false, relevant: false }
    }

    #[test]
    fn sentences_are_compared_with_those_at_their_place() {
        let worths = [vec![vec![1.0, 0.0], vec![], vec![0.0, 2.0, 1.0]], vec![vec![], vec![]], vec![vec![3.0]]];
        let all = by_place(&worths);
        let (there, none) = (Some, None);
        assert_eq!(
            all,
            [
                vec![there(1.0), none, there(0.0)],
                vec![there(0.0), none, there(2.0)],
                vec![none, none, there(1.0)],
                vec![there(3.0)]
            ]
        );
        let (there, none) = (Some::<f32>, None);
        let advantages = Algorithm::dr_grpo().advantage.compute(&all, 0.0).values;
        assert_eq!(advantages[..2], [[there(0.5), none, there(-0.5)], [there(-1.0), none, there(1.0)]]);
        // Alone at its place a sentence is as good as expected.
        assert_eq!(advantages[2..], [vec![none, none, there(0.0)], vec![there(0.0)]]);
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
