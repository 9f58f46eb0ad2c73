//! One step of AdamW on a card.

use candle_core::{DType, Tensor};

use super::{Argument, Card, Grid, address, count};
use crate::Result;
use crate::kernels::adamw::Factors;

/// Changes weights and both moments in place; all four are f32 and of one length.
pub(in crate::kernels) fn update(
    card: &Card,
    weights: &Tensor,
    gradient: &Tensor,
    [first, second]: [&Tensor; 2],
    by: &Factors,
) -> Result<()> {
    let (gradient, elements) = (gradient.contiguous()?, weights.elem_count());
    let mut arguments: Vec<Argument> = Vec::with_capacity(14);
    for tensor in [weights, &gradient, first, second] {
        arguments.push(address(tensor)?.into());
    }
    arguments.push(count(elements));
    let factors =
        [by.scale, by.beta1.0, by.beta1.1, by.beta2.0, by.beta2.1, by.steps.0, by.steps.1, by.keep, by.epsilon];
    arguments.extend(factors.map(Argument::from));
    card.launch(DType::F32, "adamw", Grid::over(elements), &arguments)
}
