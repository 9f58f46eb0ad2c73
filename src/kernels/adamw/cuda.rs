//! One step of AdamW on a card.

use candle_core::{DType, Tensor};

use crate::Result;
use crate::kernels::cuda::{Argument, CudaDevice, Grid, address, count};

/// Changes weights and both moments in place; all four are f32 and of one length. `factors` come in the order of the
/// kernel's arguments.
pub(super) fn update(
    card: &CudaDevice,
    weights: &Tensor,
    gradient: &Tensor,
    [first, second]: [&Tensor; 2],
    factors: [f32; 9],
) -> Result<()> {
    let (gradient, elements) = (gradient.contiguous()?, weights.elem_count());
    let mut arguments: Vec<Argument> = Vec::with_capacity(14);
    for tensor in [weights, &gradient, first, second] {
        arguments.push(address(tensor)?.into());
    }
    arguments.push(count(elements));
    arguments.extend(factors.map(Argument::from));
    card.launch(DType::F32, "adamw", Grid::over(elements), &arguments)
}
