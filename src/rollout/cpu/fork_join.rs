//! Several threads on one step of the decoder: of a model that no cache holds, each then reads its part of the weights
//! instead of all of them.

use std::ops::Range;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::buffers::RowsMut;
use crate::{Error, Result};

/// Parts that a piece of work has for each thread, so that one that was held up leaves some of its own to others.
const PARTS: usize = 4;

/// The threads of an engine. Alone, it is the thread that asks.
pub(super) struct ForkJoin {
    others: Option<ThreadPool>,
    threads: usize,
}

impl ForkJoin {
    /// # Errors
    ///
    /// A thread cannot be started.
    pub(super) fn new(threads: usize) -> Result<ForkJoin> {
        let pool = || {
            let name = |number| format!("engine-thread-{number}");
            ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build().map_err(|error| {
                Error::invalid(
                    "rollout engine",
                    format!("cannot start {threads} threads: {error}"),
                    "use fewer workers",
                )
            })
        };
        Ok(ForkJoin { others: if threads > 1 { Some(pool()?) } else { None }, threads })
    }

    /// Does a whole step on one of the threads, where what is split in it needs no waking up of another.
    pub(super) fn run<T: Send>(&self, step: impl FnOnce() -> T + Send) -> T {
        match &self.others {
            Some(pool) => pool.install(step),
            None => step(),
        }
    }

    /// Does `work` on all parts of something, which part on which thread leaves no trace.
    pub(super) fn each<P: Divisible>(&self, whole: P, work: impl Fn(P) + Sync + Send) {
        let Some(pool) = &self.others else { return work(whole) };
        let least = whole.len().div_ceil(PARTS * self.threads).max(1);
        let halves = |part: P| match part.len() / 2 {
            half if half >= least => {
                let (left, right) = part.split_at(half);
                (left, Some(right))
            }
            _ => (part, None),
        };
        pool.install(|| rayon::iter::split(whole, halves).for_each(work));
    }
}

/// What can be done in parts.
pub(super) trait Divisible: Send {
    fn len(&self) -> usize;
    fn split_at(self, middle: usize) -> (Self, Self)
    where
        Self: Sized;
}

impl Divisible for Range<usize> {
    fn len(&self) -> usize {
        ExactSizeIterator::len(self)
    }

    fn split_at(self, middle: usize) -> (Self, Self) {
        let middle = self.start + middle;
        (self.start..middle, middle..self.end)
    }
}

impl Divisible for RowsMut<'_> {
    fn len(&self) -> usize {
        RowsMut::len(self)
    }

    fn split_at(self, middle: usize) -> (Self, Self) {
        RowsMut::split_at(self, middle)
    }
}

/// Rows of two buffers, as many of either.
impl Divisible for [RowsMut<'_>; 2] {
    fn len(&self) -> usize {
        self[0].len()
    }

    fn split_at(self, middle: usize) -> (Self, Self) {
        let [(a, b), (c, d)] = self.map(|rows| rows.split_at(middle));
        ([a, c], [b, d])
    }
}

impl<T: Send> Divisible for &mut [T] {
    fn len(&self) -> usize {
        <[T]>::len(self)
    }

    fn split_at(self, middle: usize) -> (Self, Self) {
        self.split_at_mut(middle)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::rollout::cpu::buffers::ActivationRows;

    #[test]
    fn every_item_is_in_one_part() {
        for threads in [1, 2, 5] {
            let fork_join = ForkJoin::new(threads).unwrap();
            for count in [0, 1, 2, 7, 40, 1000] {
                let mut items = vec![0; count];
                let parts = AtomicUsize::new(0);
                fork_join.run(|| {
                    fork_join.each(&mut items[..], |part| {
                        parts.fetch_add(1, Ordering::Relaxed);
                        part.iter_mut().for_each(|item| *item += 1);
                    });
                });
                assert!(items.iter().all(|item| *item == 1));
                let parts = parts.into_inner();
                assert!(if threads == 1 { parts == 1 } else { parts >= threads.min(count) }, "{parts}");
            }
        }
    }

    #[test]
    fn ranges_and_rows_split_where_they_are_told() {
        assert_eq!(Divisible::split_at(3..10, 2), (3..5, 5..10));
        let [mut wide, mut narrow] = [40, 3].map(|width| ActivationRows::zeros(5, width));
        ForkJoin::new(3).unwrap().each([wide.first_mut(4), narrow.first_mut(4)], |rows| {
            for mut rows in rows {
                rows.iter_mut().for_each(|(number, row)| row.fill(1.0 + number as f32));
            }
        });
        for rows in [&wide, &narrow] {
            (0..4).for_each(|row| assert!(rows.row(row).iter().all(|value| *value == 1.0 + row as f32)));
            assert!(rows.row(4).iter().all(|value| *value == 0.0));
        }
    }
}
