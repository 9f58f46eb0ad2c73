//! Sequences one after the other without padding, and which of their tokens are predicted.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::kernels::{Layout, PredictedTokens, Sequence};
use crate::{Error, Result};

/// A batch for one forward pass: tokens of all sequences in a row, and one row per predicted token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PackedBatch {
    /// All input tokens.
    pub tokens: Vec<u32>,
    /// Which of them make up a sequence.
    pub layout: Layout,
    /// Positions in `tokens` whose next token is predicted, rising.
    pub rows: Vec<u32>,
    /// The token that follows each of `rows`.
    pub targets: Vec<u32>,
    /// The loss weight of each of `rows`, never 0.
    pub weights: Vec<f32>,
    /// The tokens that could follow each of `rows`, see [`PredictedTokens`]; empty where all could.
    pub masks: Vec<Vec<u32>>,
}

impl PackedBatch {
    /// Appends a sequence. `weights[i]` is the loss weight of predicting `tokens[i]` from what stands before it, so
    /// `weights[0]` has no meaning; a weight of 0 gives no row. What comes after the last predicted token's
    /// predecessor is no input of anything and is left out, so a sequence may come out shorter, even empty.
    pub fn push(&mut self, tokens: &[u32], weights: &[f32]) -> Result<()> {
        let length = self.append(tokens, weights)?;
        self.layout.push(length);
        Ok(())
    }

    /// Appends a prompt, once, and completions that go on from it, each with a weight for every one of its tokens.
    pub fn push_group<'a>(
        &mut self,
        prompt: &[u32],
        completions: impl IntoIterator<Item = (&'a [u32], &'a [f32])>,
    ) -> Result<()> {
        // Its last token predicts the first of every completion, so each has one of its own.
        let Some((last, prefix)) = prompt.split_last() else {
            return Err(Error::invalid("packed group", "an empty prompt", "give at least one token"));
        };
        let mut completions = completions.into_iter().peekable();
        if completions.peek().is_some() && !prefix.is_empty() {
            self.tokens.extend_from_slice(prefix);
            self.layout.push(prefix.len());
        }
        for (tokens, weights) in completions {
            let tokens: Vec<u32> = [last].into_iter().chain(tokens).copied().collect();
            let weights: Vec<f32> = [&0.0].into_iter().chain(weights).copied().collect();
            let length = self.append(&tokens, &weights)?;
            if prefix.is_empty() { self.layout.push(length) } else { self.layout.continuation(length) }
        }
        Ok(())
    }

    /// What of it is predicted.
    pub fn predicted(&self) -> PredictedTokens<'_> {
        PredictedTokens { rows: &self.rows, targets: &self.targets, masks: &self.masks }
    }

    /// How many sequences, those that are only there to be gone on from not counted.
    pub fn sequences(&self) -> usize {
        self.ends().count()
    }

    /// Every sequence that is no prefix of others.
    fn ends(&self) -> impl Iterator<Item = &Sequence> {
        self.layout.prefix_groups().flat_map(|group| if group.len() > 1 { &group[1..] } else { group })
    }

    fn append(&mut self, tokens: &[u32], weights: &[f32]) -> Result<usize> {
        if tokens.len() != weights.len() {
            let found = format!("{} tokens with {} loss weights", tokens.len(), weights.len());
            return Err(Error::invalid("packed sequence", found, "give one weight per token"));
        }
        let start = self.tokens.len();
        let mut inputs = 0;
        for position in (1..tokens.len()).filter(|position| weights[*position] != 0.0) {
            inputs = position;
            self.rows.push((start + position - 1) as u32);
            self.targets.push(tokens[position]);
            self.weights.push(weights[position]);
        }
        self.tokens.extend_from_slice(&tokens[..inputs]);
        Ok(inputs)
    }

    /// Cuts the batch between sequences into parts of at most `token_budget` tokens, in order and as even as they come:
    /// the last part is not left with the rest, and of several there is an even number, so that two workers end
    /// together. A prompt whose completions fall into several parts stands in each of them. A sequence that is longer
    /// than the budget makes a part of its own.
    pub fn split(&self, token_budget: usize) -> Vec<PackedBatch> {
        let plan = self.plan(self.even(token_budget));
        let mut row = 0;
        plan.into_iter().map(|sequences| self.part(sequences, &mut row)).collect()
    }

    /// The least budget that gives no more parts than this one does, or one more where their number is odd.
    fn even(&self, token_budget: usize) -> usize {
        let parts = match self.plan(token_budget).len() {
            0 | 1 => return token_budget,
            parts => parts.next_multiple_of(2),
        };
        let (mut least, mut most) = (0, token_budget);
        while least < most {
            let middle = least.midpoint(most);
            if self.plan(middle).len() <= parts { most = middle } else { least = middle + 1 }
        }
        most
    }

    /// Fills one part after the other with sequences that predict something, or would: prefixes come with their first
    /// continuation.
    fn plan(&self, token_budget: usize) -> Vec<Vec<&Sequence>> {
        let mut parts: Vec<Vec<&Sequence>> = Vec::new();
        let mut tokens = 0;
        for sequence in self.ends() {
            let shared = |part: &Vec<&Sequence>| part.last().is_some_and(|last| last.prefix == sequence.prefix);
            let more = match parts.last() {
                Some(part) if shared(part) => sequence.rows.len(),
                _ => sequence.positions(),
            };
            match parts.last_mut() {
                Some(part) if tokens == 0 || tokens + more <= token_budget => {
                    tokens += more;
                    part.push(sequence);
                }
                _ => {
                    tokens = sequence.positions();
                    parts.push(vec![sequence]);
                }
            }
        }
        parts
    }

    /// These sequences alone; `row` counts the rows that earlier parts have taken.
    fn part(&self, sequences: Vec<&Sequence>, row: &mut usize) -> PackedBatch {
        let mut part = PackedBatch::default();
        let mut prefix = 0..0;
        for sequence in sequences {
            let known = std::mem::replace(&mut prefix, sequence.prefix.clone());
            if !prefix.is_empty() && prefix != known {
                part.tokens.extend_from_slice(&self.tokens[prefix.clone()]);
                part.layout.push(prefix.len());
            }
            let rows = self.rows_of(*row, &sequence.rows);
            let (start, offset) = (sequence.rows.start, part.tokens.len());
            part.rows.extend(self.rows[rows.clone()].iter().map(|r| (*r as usize - start + offset) as u32));
            part.targets.extend_from_slice(&self.targets[rows.clone()]);
            part.weights.extend_from_slice(&self.weights[rows.clone()]);
            part.masks.extend_from_slice(self.masks.get(rows.clone()).unwrap_or_default());
            part.tokens.extend_from_slice(&self.tokens[sequence.rows.clone()]);
            if prefix.is_empty() {
                part.layout.push(sequence.rows.len())
            } else {
                part.layout.continuation(sequence.rows.len())
            }
            *row = rows.end;
        }
        part
    }

    /// Which of the predicted rows, from number `first` on, belong to a sequence.
    fn rows_of(&self, first: usize, sequence: &Range<usize>) -> Range<usize> {
        first..first + self.rows[first..].partition_point(|position| (*position as usize) < sequence.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> PackedBatch {
        let mut packed = PackedBatch::default();
        packed.push(&[1, 2, 3, 4], &[9.0, 0.0, 1.0, 2.0]).unwrap();
        packed.push(&[5, 6], &[1.0, 0.0]).unwrap();
        packed.push(&[7, 8, 9], &[0.0, 0.5, 0.0]).unwrap();
        packed.push(&[1, 2, 3, 4, 5, 6], &[0.0, 0.0, 0.0, 0.0, 0.0, 1.0]).unwrap();
        packed
    }

    #[test]
    fn rows_name_the_position_before_each_weighted_token() {
        let packed = batch();
        assert_eq!(packed.tokens, [1, 2, 3, 7, 1, 2, 3, 4, 5]);
        assert_eq!(packed.layout, [3, 0, 1, 5].into_iter().collect());
        assert_eq!(packed.rows, [1, 2, 3, 8]);
        assert_eq!(packed.targets, [3, 4, 8, 6]);
        assert_eq!(packed.weights, [1.0, 2.0, 0.5, 1.0]);
        assert!(PackedBatch::default().push(&[1, 2], &[1.0]).is_err());
    }

    #[test]
    fn parts_keep_the_order_and_together_are_the_whole() {
        let packed = batch();
        for budget in 0..12 {
            let parts = packed.split(budget);
            let joined = |f: fn(&PackedBatch) -> Vec<u32>| parts.iter().flat_map(f).collect::<Vec<u32>>();
            assert_eq!(joined(|p| p.tokens.clone()), packed.tokens);
            assert_eq!(joined(|p| p.targets.clone()), packed.targets);
            assert_eq!(parts.iter().map(PackedBatch::sequences).sum::<usize>(), packed.sequences());
            for part in &parts {
                assert!(part.tokens.len() <= budget.max(part.layout.longest()));
                assert!(part.rows.iter().all(|row| (*row as usize) < part.tokens.len()));
            }
        }
        assert_eq!(packed.split(100), std::slice::from_ref(&packed));
        assert_eq!(packed.split(4)[1].rows, [4]);
        assert!(PackedBatch::default().split(10).is_empty());
    }

    #[test]
    fn parts_are_even_and_so_is_their_number() {
        let tokens = |sequences: usize, budget| {
            let mut packed = PackedBatch::default();
            (0..sequences).for_each(|_| packed.push(&[1; 70], &[1.0; 70]).unwrap());
            packed.split(budget).iter().map(|part| part.tokens.len()).collect::<Vec<_>>()
        };
        // Filled one after the other they would be 14, 14, 14, 14 and 8 sequences of 69 inputs.
        assert_eq!(tokens(64, 1024), [11, 11, 11, 11, 11, 9].map(|sequences| sequences * 69));
        assert_eq!(tokens(15, 1024), [8 * 69, 7 * 69]);
        assert_eq!(tokens(14, 1024), [14 * 69]);
        assert_eq!(tokens(3, 1).len(), 3, "nothing is cut inside a sequence");
    }

    /// Two groups of a prompt of three tokens, with a lesson between them.
    fn groups() -> PackedBatch {
        let mut packed = PackedBatch::default();
        let completion = |tokens: &'static [u32]| (tokens, &[1.0, 0.5, 2.0][..tokens.len()]);
        packed.push_group(&[1, 2, 3], [completion(&[4, 5, 6]), completion(&[7, 8]), completion(&[])]).unwrap();
        packed.push(&[7, 2], &[0.0, 1.0]).unwrap();
        packed.push_group(&[2, 2, 9], (0..4).map(|_| completion(&[5, 6]))).unwrap();
        packed
    }

    #[test]
    fn a_prompt_stands_once_before_its_completions() {
        let packed = groups();
        assert_eq!(packed.tokens, [1, 2, 3, 4, 5, 3, 7, 7, 2, 2, 9, 5, 9, 5, 9, 5, 9, 5]);
        assert_eq!(packed.rows, [2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17]);
        assert_eq!(packed.targets, [4, 5, 6, 7, 8, 2, 5, 6, 5, 6, 5, 6, 5, 6]);
        assert_eq!(packed.weights[..6], [1.0, 0.5, 2.0, 1.0, 0.5, 1.0]);
        assert_eq!((packed.layout.rows(), packed.layout.longest(), packed.sequences()), (18, 5, 8));
        let mut short = PackedBatch::default();
        short.push_group(&[4], (0..2).map(|_| (&[5, 6][..], &[1.0, 1.0][..]))).unwrap();
        short.push_group(&[4, 5], []).unwrap();
        assert_eq!((short.tokens.as_slice(), short.sequences()), (&[4, 5, 4, 5][..], 2));
        assert!(PackedBatch::default().push_group(&[], []).unwrap_err().to_string().contains("an empty prompt"));
    }

    #[test]
    fn a_prompt_stands_once_in_every_part_that_needs_it() {
        let packed = groups();
        for budget in 0..20 {
            let parts = packed.split(budget);
            let joined = |f: fn(&PackedBatch) -> Vec<u32>| parts.iter().flat_map(f).collect::<Vec<u32>>();
            assert_eq!(joined(|p| p.targets.clone()), packed.targets);
            assert_eq!(parts.iter().flat_map(|p| p.weights.clone()).collect::<Vec<_>>(), packed.weights);
            assert_eq!(parts.iter().map(PackedBatch::sequences).sum::<usize>(), packed.sequences());
            for part in &parts {
                assert!(part.tokens.len() <= budget.max(5), "{budget}: {part:?}");
                // Each prompt has a first token that nothing else has before this second one.
                let prompts = part.tokens.windows(2).filter(|pair| *pair == [1, 2] || *pair == [2, 2]);
                let prefixes = part.layout.prefix_groups().filter(|group| group.len() > 1).count();
                assert_eq!(prompts.count(), prefixes);
                for (row, target) in part.rows.iter().zip(&part.targets) {
                    let before = part.tokens[*row as usize];
                    assert!([(3, 4), (4, 5), (5, 6), (3, 7), (7, 8), (7, 2), (9, 5)].contains(&(before, *target)));
                }
            }
        }
        assert_eq!(packed.split(10).iter().map(|part| part.tokens.len()).collect::<Vec<_>>(), [8, 10]);
        assert_eq!(packed.split(100), std::slice::from_ref(&packed));
    }
}
