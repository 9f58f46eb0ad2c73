//! Work on several threads whose results come in one order, whatever their number.

use std::sync::{Mutex, PoisonError};

use crate::Result;

/// Numbers that one thread takes at a time: of more, several threads take a part each.
pub(crate) const PART: usize = 1 << 20;

/// Does `work` on every item, `workers` at a time. Results come in the order of the items: which thread took which
/// item leaves no trace.
///
/// # Errors
///
/// The first of those of `work`, in the order of the items.
pub fn each<T, R, F>(items: Vec<T>, workers: usize, work: F) -> Result<Vec<R>>
where
    T: Send,
    R: Send,
    F: Fn(T) -> Result<R> + Sync,
{
    // The first of them is this thread; of more workers than items the last are not needed.
    let others = workers.min(items.len()).saturating_sub(1);
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
        let others: Vec<_> = (0..others).map(|_| scope.spawn(run)).collect();
        let mut done = run();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}
