//! The gradient of a batch, computed on several threads, with the same bits whatever their number.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::kernels::Gradients;
pub use crate::kernels::threads::each;
use crate::{Error, Result};

/// Differentiates every part of a batch, `workers` at a time, and adds the gradients in the order of the parts. Gives
/// the sum and what `differentiate` says of each part. Of the gradients only those are held that wait for one before
/// them.
pub fn gradients<P: Sync, S: Send>(
    parts: &[P],
    workers: usize,
    differentiate: impl Fn(&P) -> Result<(Gradients, S)> + Sync,
) -> Result<(Gradients, Vec<S>)> {
    if parts.is_empty() {
        return Err(Error::invalid("batch", "no sequence in it", "give at least one"));
    }
    add_gradients(Gradients::default(), parts, workers, differentiate)
}

/// The same added to the sum over the parts before them.
pub fn add_gradients<P: Sync, S: Send>(
    sum: Gradients,
    parts: &[P],
    workers: usize,
    differentiate: impl Fn(&P) -> Result<(Gradients, S)> + Sync,
) -> Result<(Gradients, Vec<S>)> {
    let sum = Mutex::new(OrderedSum { sum, ..OrderedSum::default() });
    let said = each(parts.iter().enumerate().collect(), workers, |(index, part)| {
        let (gradients, said) = differentiate(part)?;
        sum.lock().unwrap_or_else(PoisonError::into_inner).add(index, gradients)?;
        Ok(said)
    })?;
    Ok((sum.into_inner().unwrap_or_else(PoisonError::into_inner).sum, said))
}

/// A sum whose terms are added by their numbers, in whatever order they come.
#[derive(Default)]
struct OrderedSum {
    sum: Gradients,
    /// How many have been added.
    added: usize,
    waiting: BTreeMap<usize, Gradients>,
}

impl OrderedSum {
    fn add(&mut self, index: usize, term: Gradients) -> Result<()> {
        self.waiting.insert(index, term);
        while let Some(term) = self.waiting.remove(&self.added) {
            self.sum.add(term)?;
            self.added += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items_and_the_first_error_in_that_order_wins() {
        for workers in [0, 1, 3, 50] {
            let squares = each((0..20).collect(), workers, |item: u64| Ok(item * item)).unwrap();
            assert_eq!(squares, (0..20).map(|item| item * item).collect::<Vec<_>>());
            let failing = |item: u64| match item {
                0..7 => Ok(item),
                _ => Err(Error::Refused(format!("item {item}"))),
            };
            assert!(each((0..20).collect(), workers, failing).unwrap_err().to_string().contains("item 7"));
            assert!(each(Vec::new(), workers, failing).unwrap().is_empty());
        }
    }

    #[test]
    fn terms_are_added_in_their_order_whatever_the_order_they_come_in() {
        // In f32 the order of a sum shows.
        let values = [1e8f32, 1.0, -1e8, 1.0, 3e7, 0.5];
        let term = |index: usize| -> Gradients {
            let tensor = Tensor::new(&values[index..=index], &Device::Cpu).unwrap();
            [("x".to_owned(), tensor)].into_iter().collect()
        };
        let expected = values.iter().fold(0.0f32, |sum, value| sum + value);
        for order in [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [3, 0, 5, 1, 4, 2]] {
            let mut sum = OrderedSum::default();
            order.into_iter().for_each(|index| sum.add(index, term(index)).unwrap());
            assert_eq!(sum.sum.get("x").unwrap().to_vec1::<f32>().unwrap(), [expected]);
            assert!(sum.waiting.is_empty());
        }
        let differentiate = |index: &usize| Ok((term(*index), *index));
        let (sum, said) = gradients(&[0, 1, 2, 3, 4, 5], 3, differentiate).unwrap();
        assert_eq!(sum.get("x").unwrap().to_vec1::<f32>().unwrap(), [expected]);
        assert_eq!(said, [0, 1, 2, 3, 4, 5]);
        assert!(gradients(&[], 1, differentiate).is_err());
    }
}
