//! Sequences one after the other without padding, and which of their tokens are predicted.

use crate::{Error, Result};

/// A batch for one forward pass: tokens of all sequences in a row, and one row per predicted token.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed {
    /// All input tokens.
    pub tokens: Vec<u32>,
    /// Where each sequence begins, and at the end the number of tokens: one more entry than sequences.
    pub starts: Vec<usize>,
    /// Positions in `tokens` whose next token is predicted, rising.
    pub rows: Vec<u32>,
    /// The token that follows each of `rows`.
    pub targets: Vec<u32>,
    /// The loss weight of each of `rows`, never 0.
    pub weights: Vec<f32>,
}

impl Default for Packed {
    fn default() -> Packed {
        Packed { tokens: Vec::new(), starts: vec![0], rows: Vec::new(), targets: Vec::new(), weights: Vec::new() }
    }
}

impl Packed {
    /// Appends a sequence. `weights[i]` is the loss weight of predicting `tokens[i]` from what stands before it, so
    /// `weights[0]` has no meaning; a weight of 0 gives no row. What comes after the last predicted token's
    /// predecessor is no input of anything and is left out, so a sequence may come out shorter, even empty.
    pub fn push(&mut self, tokens: &[u32], weights: &[f32]) -> Result<()> {
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
        self.starts.push(self.tokens.len());
        Ok(())
    }

    /// How many sequences.
    pub fn sequences(&self) -> usize {
        self.starts.len() - 1
    }

    /// Cuts the batch between sequences into parts of at most `token_budget` tokens, in order and as even as they come:
    /// the last part is not left with the rest, and of several there is an even number, so that two workers end
    /// together. A sequence that is longer than the budget makes a part of its own.
    pub fn split(&self, token_budget: usize) -> Vec<Packed> {
        self.cut(self.even(token_budget))
    }

    /// The least budget that gives no more parts than this one does, or one more where their number is odd.
    fn even(&self, token_budget: usize) -> usize {
        let parts = match self.parts(token_budget) {
            0 | 1 => return token_budget,
            parts => parts.next_multiple_of(2),
        };
        let (mut least, mut most) = (0, token_budget);
        while least < most {
            let middle = least.midpoint(most);
            match self.parts(middle) <= parts {
                true => most = middle,
                false => least = middle + 1,
            }
        }
        most
    }

    /// How many parts a budget gives.
    fn parts(&self, token_budget: usize) -> usize {
        let (mut parts, mut tokens) = (0, 0);
        for length in self.starts.windows(2).map(|sequence| sequence[1] - sequence[0]) {
            if parts == 0 || (tokens > 0 && tokens + length > token_budget) {
                (parts, tokens) = (parts + 1, 0);
            }
            tokens += length;
        }
        parts
    }

    /// Fills one part after the other.
    fn cut(&self, token_budget: usize) -> Vec<Packed> {
        let mut parts: Vec<Packed> = Vec::new();
        let mut row = 0;
        for sequence in self.starts.windows(2) {
            let (start, end) = (sequence[0], sequence[1]);
            let fits = |part: &Packed| part.tokens.len() + (end - start) <= token_budget;
            if parts.last().is_none_or(|part| !part.tokens.is_empty() && !fits(part)) {
                parts.push(Packed::default());
            }
            let Some(part) = parts.last_mut() else { continue };
            let rows_end = row + self.rows[row..].partition_point(|position| (*position as usize) < end);
            let offset = part.tokens.len();
            part.rows.extend(self.rows[row..rows_end].iter().map(|r| (*r as usize - start + offset) as u32));
            part.targets.extend_from_slice(&self.targets[row..rows_end]);
            part.weights.extend_from_slice(&self.weights[row..rows_end]);
            part.tokens.extend_from_slice(&self.tokens[start..end]);
            part.starts.push(part.tokens.len());
            row = rows_end;
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Packed {
        let mut packed = Packed::default();
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
        assert_eq!(packed.starts, [0, 3, 3, 4, 9]);
        assert_eq!(packed.rows, [1, 2, 3, 8]);
        assert_eq!(packed.targets, [3, 4, 8, 6]);
        assert_eq!(packed.weights, [1.0, 2.0, 0.5, 1.0]);
        assert!(Packed::default().push(&[1, 2], &[1.0]).is_err());
    }

    #[test]
    fn parts_keep_the_order_and_together_are_the_whole() {
        let packed = batch();
        for budget in 0..12 {
            let parts = packed.split(budget);
            let joined = |f: fn(&Packed) -> Vec<u32>| parts.iter().flat_map(f).collect::<Vec<u32>>();
            assert_eq!(joined(|p| p.tokens.clone()), packed.tokens);
            assert_eq!(joined(|p| p.targets.clone()), packed.targets);
            assert_eq!(parts.iter().map(Packed::sequences).sum::<usize>(), packed.sequences());
            for part in &parts {
                let longest = part.starts.windows(2).map(|s| s[1] - s[0]).max().unwrap();
                assert!(part.tokens.len() <= budget.max(longest));
                assert!(part.rows.iter().all(|row| (*row as usize) < part.tokens.len()));
            }
        }
        assert_eq!(packed.split(100), std::slice::from_ref(&packed));
        assert_eq!(packed.split(4)[1].rows, [4]);
        assert!(Packed::default().split(10).is_empty());
    }

    #[test]
    fn parts_are_even_and_so_is_their_number() {
        let tokens = |sequences: usize, budget| {
            let mut packed = Packed::default();
            (0..sequences).for_each(|_| packed.push(&[1; 70], &[1.0; 70]).unwrap());
            packed.split(budget).iter().map(|part| part.tokens.len()).collect::<Vec<_>>()
        };
        // Filled one after the other they would be 14, 14, 14, 14 and 8 sequences of 69 inputs.
        assert_eq!(tokens(64, 1024), [11, 11, 11, 11, 11, 9].map(|sequences| sequences * 69));
        assert_eq!(tokens(15, 1024), [8 * 69, 7 * 69]);
        assert_eq!(tokens(14, 1024), [14 * 69]);
        assert_eq!(tokens(3, 1).len(), 3, "nothing is cut inside a sequence");
    }
}
