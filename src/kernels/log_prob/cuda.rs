//! The output layer down to log-probabilities, a chunk of rows at a time.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Tensor};

use super::{BELOW, PredictedTokens};
use crate::Result;
use crate::kernels::cuda::rows::{Picked, gather};
use crate::kernels::cuda::{Address, CudaDevice, CudaMatrix, Grid, address, as_type};
use crate::kernels::graph::Value;
use crate::kernels::matrix::Write;
use crate::kernels::product::Precision;

/// Logits held at once (512 MB in f32).
pub(super) const CHUNK: usize = 1 << 27;

/// See [`log_prob`](crate::kernels::log_prob()), whose checks have been made. The result is f32.
pub(super) fn log_prob(
    card: &CudaDevice,
    hidden: &Value,
    head: &Value,
    PredictedTokens { rows, targets, masks }: PredictedTokens,
    precision: Precision,
    most_logits: usize,
) -> Result<Value> {
    let ((n, d), (vocabulary, _)) = (hidden.tensor().dims2()?, head.tensor().dims2()?);
    let pass = CudaLogProb {
        card: card.clone(),
        real: precision.real(),
        count: rows.len(),
        chunk: (most_logits / vocabulary).clamp(1, rows.len().max(1)),
        rows: card.upload(rows)?,
        targets: card.upload(targets)?,
        masks: CudaMasks::upload(card, masks)?,
        states: hidden.tensor().clone(),
        head: as_type(head.tensor(), precision.real())?,
    };
    // Log-probabilities and entropies.
    let both = card.empty((2, rows.len()), DType::F32)?;
    let log_sums = card.empty(rows.len(), DType::F32)?;
    let mut logits = None;
    for range in pass.chunks() {
        logits = Some(pass.logits(range.clone())?);
        if let Some(logits) = &logits {
            let (both, at) = (address(&both)?, |address, row| word(address, row));
            let arguments = [
                at(both, range.start).into(),
                at(address(&log_sums)?, range.start).into(),
                at(both, rows.len() + range.start).into(),
                address(logits)?.into(),
                at(address(&pass.targets)?, range.start).into(),
                vocabulary.into(),
            ];
            card.launch(DType::F32, "summarise", Grid::new([range.len(), 1], 256), &arguments)?;
        }
    }
    let kept = Mutex::new(logits.filter(|_| rows.len() <= pass.chunk));
    let (trained, held, picked) = (!head.is_constant(), both.clone(), Picked::new(rows));
    Ok(Value::computed(both, &[hidden, head], move |gradient| {
        // Of the rows' states.
        let d_states = pass.card.empty((pass.count, d), DType::F32)?;
        let d_head = if trained { Some(pass.card.zeros((vocabulary, d), DType::F32)?) } else { None };
        let kept = kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        for range in pass.chunks() {
            let logits = match &kept {
                Some(logits) => logits.clone(),
                None => pass.logits(range.clone())?,
            };
            let d_logits = pass.logit_gradients(&logits, [&log_sums, &held, gradient], range.clone())?;
            let (out, d_logits) =
                (CudaMatrix::view(&d_states)?.rows(range.start, range.len()), CudaMatrix::view(&d_logits)?);
            pass.card.multiply(&out, &d_logits, &CudaMatrix::view(&pass.head)?, 1.0, Write::Replace)?;
            if let Some(d_head) = &d_head {
                let inputs = pass.inputs(range.clone())?;
                let (out, inputs) = (CudaMatrix::view(d_head)?, CudaMatrix::view(&inputs)?);
                pass.card.multiply(&out, &d_logits.transposed(), &inputs, 1.0, Write::Add)?;
            }
        }
        let d_hidden = as_type(&picked.put_back(&pass.card, &d_states, [n, d])?, pass.states.dtype())?;
        Ok(vec![d_hidden, d_head.unwrap_or_else(|| gradient.clone())])
    }))
}

/// The address of a number of four bytes.
fn word(start: Address, number: usize) -> Address {
    Address(start.0 + 4 * number as u64)
}

/// Which tokens could be drawn, one list after the other.
struct CudaMasks {
    /// Where each row's list begins, and the end of the last.
    starts: Tensor,
    kept: Tensor,
}

impl CudaMasks {
    fn upload(card: &CudaDevice, masks: &[Vec<u32>]) -> Result<Option<CudaMasks>> {
        if masks.iter().all(Vec::is_empty) {
            return Ok(None);
        }
        let mut starts = vec![0u32];
        for mask in masks {
            starts.push(starts.last().copied().unwrap_or_default() + mask.len() as u32);
        }
        Ok(Some(CudaMasks { starts: card.upload(&starts)?, kept: card.upload(&masks.concat())? }))
    }
}

/// What both passes know about the batch.
struct CudaLogProb {
    card: CudaDevice,
    real: DType,
    count: usize,
    /// Rows whose logits are held at once.
    chunk: usize,
    rows: Tensor,
    targets: Tensor,
    /// None where nothing is masked.
    masks: Option<CudaMasks>,
    states: Tensor,
    head: Tensor,
}

impl CudaLogProb {
    fn chunks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (rows, chunk) = (self.count, self.chunk);
        (0..rows).step_by(chunk).map(move |start| start..rows.min(start + chunk))
    }

    /// The states of a chunk's rows, in the type of the products.
    fn inputs(&self, range: Range<usize>) -> Result<Tensor> {
        let rows = self.rows.narrow(0, range.start, range.len())?;
        as_type(&gather(&self.card, &self.states, &rows)?, self.real)
    }

    /// `[rows, vocabulary]` in f32.
    fn logits(&self, range: Range<usize>) -> Result<Tensor> {
        let inputs = self.inputs(range.clone())?;
        let logits = self.card.empty((range.len(), self.head.dim(0)?), DType::F32)?;
        let (out, head) = (CudaMatrix::view(&logits)?, CudaMatrix::view(&self.head)?.transposed());
        self.card.multiply(&out, &CudaMatrix::view(&inputs)?, &head, 1.0, Write::Replace)?;
        if let Some(CudaMasks { starts, kept }) = &self.masks {
            let arguments = [
                address(&logits)?.into(),
                word(address(&self.targets)?, range.start).into(),
                word(address(starts)?, range.start).into(),
                address(kept)?.into(),
                self.head.dim(0)?.into(),
                BELOW.into(),
            ];
            self.card.launch(DType::F32, "mask_logits", Grid::new([range.len(), 1], 256), &arguments)?;
        }
        Ok(logits)
    }

    /// In the type of the products; in f32 in place of the logits.
    fn logit_gradients(
        &self,
        logits: &Tensor,
        [log_sums, results, gradient]: [&Tensor; 3],
        range: Range<usize>,
    ) -> Result<Tensor> {
        let out = match self.real {
            DType::F32 => logits.clone(),
            real => self.card.empty(logits.shape(), real)?,
        };
        let (first, second) = (range.start, self.count + range.start);
        let arguments = [
            address(&out)?.into(),
            address(logits)?.into(),
            word(address(log_sums)?, first).into(),
            word(address(results)?, second).into(),
            word(address(&self.targets)?, first).into(),
            word(address(gradient)?, first).into(),
            word(address(gradient)?, second).into(),
            logits.dim(1)?.into(),
        ];
        self.card.launch(self.real, "logit_gradients", Grid::new([range.len(), 1], 256), &arguments)?;
        Ok(out)
    }
}
