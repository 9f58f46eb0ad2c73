//! AdamW (Loshchilov and Hutter, 2019): weights change in place, and so do the moments beside them.

mod cuda;

use std::sync::Mutex;

use candle_core::{CpuStorage, Device, InplaceOp2, Layout, Tensor, Var};

use super::cuda::CudaDevice;
use super::simd::vectorised;
use super::threads::{self, PART};
use crate::{Error, Result};

/// The constants of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    pub learning_rate: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    /// Decoupled: each step takes `learning_rate * weight_decay` of every weight.
    pub weight_decay: f64,
}

/// Running means of a variable's gradient and of its square, as long as the variable.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    pub first: Vec<f32>,
    pub second: Vec<f32>,
}

/// The moments of a variable, where it lives.
#[derive(Clone, Debug)]
pub enum State {
    Host(Moments),
    /// Vectors on a card, the first and the second. Copies of a state share them.
    Card([Tensor; 2]),
}

impl State {
    /// Before the first step of a variable of `length` numbers.
    pub fn zeros(length: usize) -> State {
        State::Host(Moments::zeros(length))
    }

    /// How many numbers both have together.
    pub fn numbers(&self) -> usize {
        match self {
            State::Host(Moments { first, second }) => first.len() + second.len(),
            State::Card([first, second]) => first.elem_count() + second.elem_count(),
        }
    }

    /// A copy for the host.
    pub fn moments(&self) -> Result<Moments> {
        match self {
            State::Host(moments) => Ok(moments.clone()),
            State::Card([first, second]) => Ok(Moments { first: first.to_vec1()?, second: second.to_vec1()? }),
        }
    }

    /// The moments on the card where the variable is; they are moved there before the first step.
    fn on(&mut self, device: &Device) -> Result<[Tensor; 2]> {
        if let State::Host(Moments { first, second }) = self {
            let copy = |values: &[f32]| Tensor::from_slice(values, values.len(), device);
            *self = State::Card([copy(first)?, copy(second)?]);
        }
        match self {
            State::Card(tensors) => Ok(tensors.clone()),
            State::Host(_) => Err(Error::invalid("moments", "still on the host", "this is a bug: report it")),
        }
    }
}

impl Moments {
    /// Before the first step.
    pub fn zeros(length: usize) -> Moments {
        Moments { first: vec![0.0; length], second: vec![0.0; length] }
    }
}

impl AdamW {
    /// One step, in place. `step` counts from 1 (bias correction); `scale` multiplies the gradient first, which is
    /// how the caller clips by the norm of all gradients together (and divides by a number of tokens).
    pub fn step(&self, weights: &mut [f32], gradient: &[f32], moments: &mut Moments, step: u64, scale: f64) {
        update(weights, gradient, &mut moments.first, &mut moments.second, &self.factors(step, scale));
    }

    fn factors(&self, step: u64, scale: f64) -> Factors {
        let power = i32::try_from(step).unwrap_or(i32::MAX);
        let step_size = self.learning_rate / (1.0 - self.beta1.powi(power));
        let second_scale = 1.0 / (1.0 - self.beta2.powi(power));
        Factors {
            scale: scale as f32,
            beta1: (self.beta1 as f32, (1.0 - self.beta1) as f32),
            beta2: (self.beta2 as f32, (1.0 - self.beta2) as f32),
            steps: (step_size as f32, second_scale as f32),
            keep: (1.0 - self.learning_rate * self.weight_decay) as f32,
            epsilon: self.epsilon as f32,
        }
    }

    /// Whether a variable is so large that several threads take its step together.
    pub fn is_split(variable: &Var) -> bool {
        variable.elem_count() > PART
    }

    /// The same for a variable of the policy, on as many threads if it is large.
    ///
    /// # Errors
    ///
    /// A gradient of another shape, moments that live elsewhere, or the card fails.
    pub fn step_variable(
        &self,
        variable: &Var,
        gradient: &Tensor,
        state: &mut State,
        step: u64,
        scale: f64,
        threads: usize,
    ) -> Result<()> {
        if let Some(card) = CudaDevice::holding(variable) {
            let moments = state.on(variable.device())?;
            return cuda::update(&card, variable, gradient, moments.each_ref(), self.factors(step, scale).in_order());
        }
        let State::Host(moments) = state else {
            return Err(Error::invalid("moments", "on a card, of a variable that is not", "load them again"));
        };
        let factors = self.factors(step, scale);
        let operation = InPlace(Mutex::new(|weights: &mut [f32], gradient: &[f32]| {
            let moments = moments.first.chunks_mut(PART).zip(moments.second.chunks_mut(PART));
            let parts = weights.chunks_mut(PART).zip(gradient.chunks(PART)).zip(moments).collect();
            threads::each(parts, threads, |((weights, gradient), (first, second))| {
                update(weights, gradient, first, second, &factors);
                Ok(())
            })
            .map(drop)
        }));
        Ok(variable.inplace_op2(gradient, &operation)?)
    }
}

/// What one step multiplies by.
struct Factors {
    scale: f32,
    /// Of the old mean and of the new value; the same of the squares.
    beta1: (f32, f32),
    beta2: (f32, f32),
    /// The size of a step, and the correction of the second moment.
    steps: (f32, f32),
    /// Of the weights, what decay leaves.
    keep: f32,
    epsilon: f32,
}

impl Factors {
    /// As the kernel on a card takes them.
    fn in_order(&self) -> [f32; 9] {
        let Factors { scale, beta1, beta2, steps, keep, epsilon } = *self;
        [scale, beta1.0, beta1.1, beta2.0, beta2.1, steps.0, steps.1, keep, epsilon]
    }
}

/// candle hands out a variable's storage for writing to operations only.
struct InPlace<F>(Mutex<F>);

impl<F: FnMut(&mut [f32], &[f32]) -> Result<()>> InplaceOp2 for InPlace<F> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(
        &self,
        weights: &mut CpuStorage,
        weights_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> candle_core::Result<()> {
        let spans = (weights_layout.contiguous_offsets(), gradient_layout.contiguous_offsets());
        let (CpuStorage::F32(weights), CpuStorage::F32(gradient), (Some(w), Some(g))) = (weights, gradient, spans)
        else {
            candle_core::bail!("AdamW steps contiguous f32 variables")
        };
        if w.1 - w.0 != g.1 - g.0 {
            candle_core::bail!("a gradient of {} values for a variable of {}", g.1 - g.0, w.1 - w.0)
        }
        let mut operation = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        operation(&mut weights[w.0..w.1], &gradient[g.0..g.1]).map_err(candle_core::Error::wrap)
    }
}

vectorised! {
    fn update(
        weights: &mut [f32],
        gradient: &[f32],
        first: &mut [f32],
        second: &mut [f32],
        factors: &Factors,
    ) {
        let Factors { scale, beta1, beta2, steps, keep, epsilon } = *factors;
        let n = weights.len();
        let (gradient, first, second) = (&gradient[..n], &mut first[..n], &mut second[..n]);
        for i in 0..n {
            let g = gradient[i] * scale;
            first[i] = beta1.0.mul_add(first[i], beta1.1 * g);
            second[i] = beta2.0.mul_add(second[i], beta2.1 * g * g);
            let denominator = (second[i] * steps.1).sqrt() + epsilon;
            weights[i] = weights[i].mul_add(keep, -steps.0 * first[i] / denominator);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{random, random_tensor};
    use candle_nn::{Optimizer, ParamsAdamW};

    #[test]
    fn agrees_with_candle_over_several_steps() {
        several_steps();
        crate::kernels::cuda::emulated::on_card(several_steps);
    }

    fn several_steps() {
        let hyper = AdamW { learning_rate: 3e-3, beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weight_decay: 0.1 };
        for length in [1, 7, 100] {
            let ours = Var::from_tensor(&random_tensor(&[length], 1)).unwrap();
            let theirs = Var::from_tensor(&random_tensor(&[length], 1)).unwrap();
            let parameters = ParamsAdamW { lr: 3e-3, beta1: 0.9, beta2: 0.98, eps: 1e-8, weight_decay: 0.1 };
            let mut candle = candle_nn::AdamW::new(vec![theirs.clone()], parameters).unwrap();
            let mut moments = State::zeros(length);
            for step in 1..=5 {
                let gradient = random_tensor(&[length], 10 + step);
                // A scale of one half of a doubled gradient: clipping.
                let doubled = (&gradient * 2.0).unwrap();
                hyper.step_variable(&ours, &doubled, &mut moments, step, 0.5, 1).unwrap();
                let loss = (theirs.as_tensor() * &gradient).unwrap().sum_all().unwrap();
                candle.step(&loss.backward().unwrap()).unwrap();
            }
            let (ours, theirs) = (ours.to_vec1::<f32>().unwrap(), theirs.to_vec1::<f32>().unwrap());
            assert!(ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() < 1e-6), "{ours:?} {theirs:?}");
        }
    }

    #[test]
    fn threads_change_no_bit() {
        let hyper = AdamW { learning_rate: 3e-3, beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weight_decay: 0.1 };
        let run = |threads| {
            let length = 2 * PART + 5;
            let variable = Var::from_tensor(&random_tensor(&[length], 1)).unwrap();
            assert!(AdamW::is_split(&variable));
            let (gradient, mut state) = (random_tensor(&[length], 2), State::zeros(length));
            hyper.step_variable(&variable, &gradient, &mut state, 1, 0.5, threads).unwrap();
            (variable.to_vec1::<f32>().unwrap(), state.moments().unwrap())
        };
        assert!(run(1) == run(3));
    }

    #[test]
    fn weight_decay_alone_shrinks_weights_and_a_wrong_length_is_refused() {
        let hyper = AdamW { learning_rate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.5 };
        let mut weights = random(9, 1);
        let before = weights.clone();
        hyper.step(&mut weights, &[0.0; 9], &mut Moments::zeros(9), 1, 1.0);
        assert!(weights.iter().zip(&before).all(|(w, b)| (w - b * 0.95).abs() < 1e-6));
        let variable = Var::from_tensor(&random_tensor(&[3], 1)).unwrap();
        let gradient = random_tensor(&[4], 1);
        assert!(hyper.step_variable(&variable, &gradient, &mut State::zeros(3), 1, 1.0, 1).is_err());
    }
}
