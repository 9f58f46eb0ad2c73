//! Work on several threads that gives the same bits whatever their number.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::kernels::{Gradients, sum};
use crate::{Error, Result};

/// Does `work` on every item, `workers` at a time. Results come in the order of the items: which thread took which
/// item leaves no trace.
pub fn each<T, R, F>(items: Vec<T>, workers: usize, work: F) -> Result<Vec<R>>
where
    T: Send,
    R: Send,
    F: Fn(T) -> Result<R> + Sync,
{
    let threads = workers.min(items.len());
    let queue = Mutex::new(items.into_iter().enumerate());
    let run = || {
        let mut done = Vec::new();
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((index, item)) = next else { return done };
            done.push((index, work(item)));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut done = run();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Differentiates every part of a batch and adds the gradients in the order of the parts. Gives the sum and what each
/// part says of itself.
pub fn gradients<P, S, F>(parts: &[P], workers: usize, differentiate: F) -> Result<(Gradients, Vec<S>)>
where
    P: Sync,
    S: Send,
    F: Fn(&P) -> Result<(Gradients, S)> + Sync,
{
    if parts.is_empty() {
        return Err(Error::invalid("batch", "no sequence in it", "give at least one"));
    }
    let done = each(parts.iter().collect(), workers, differentiate)?;
    let (gradients, stats): (Vec<Gradients>, Vec<S>) = done.into_iter().unzip();
    let names: BTreeSet<&str> = gradients.iter().flat_map(|part| part.iter().map(|(name, _)| name)).collect();
    let sums = each(names.into_iter().collect(), workers, |name| {
        let terms: Vec<_> = gradients.iter().filter_map(|part| part.get(name)).collect();
        Ok((name.to_owned(), sum(&terms)?))
    })?;
    Ok((sums.into_iter().collect(), stats))
}

#[cfg(test)]
mod tests {
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
}
