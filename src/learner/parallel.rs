//! Gradients of many micro-batches on several threads, the same bits whatever their number.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::kernels::Gradients;
use crate::{Error, Result};

/// Where a part's result is left.
type Cell<S> = Mutex<Option<Result<(Gradients, S)>>>;

/// Differentiates every part, `workers` at a time, and adds the gradients in the order of the parts: which thread
/// took which part leaves no trace. Gives the sum and what each part says of itself.
pub fn gradients<P, S, F>(parts: &[P], workers: usize, differentiate: F) -> Result<(Gradients, Vec<S>)>
where
    P: Sync,
    S: Send,
    F: Fn(&P) -> Result<(Gradients, S)> + Sync,
{
    let next = AtomicUsize::new(0);
    let done: Vec<Cell<S>> = parts.iter().map(|_| Mutex::new(None)).collect();
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(part) = parts.get(index) else { break };
            let result = differentiate(part);
            *done[index].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..workers.min(parts.len()) {
            scope.spawn(work);
        }
        work();
    });
    let mut sum: Option<Gradients> = None;
    let mut stats = Vec::with_capacity(parts.len());
    for cell in done {
        let result = cell.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (gradients, stat) =
            result.ok_or_else(|| Error::Refused("a micro-batch was not differentiated".into()))??;
        stats.push(stat);
        match &mut sum {
            None => sum = Some(gradients),
            Some(sum) => sum.add(gradients)?,
        }
    }
    let sum = sum.ok_or_else(|| Error::invalid("batch", "no sequence in it", "give at least one"))?;
    Ok((sum, stats))
}
