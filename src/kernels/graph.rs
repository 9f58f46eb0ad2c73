//! Values that remember how they were computed, so that gradients can flow back through them.
//!
//! Why not candle's own graph: it lets an operation of ours have three inputs at most, adds every gradient to a
//! fresh tensor of zeros, keeps all activations until the loss is dropped, and
//! its element-wise additions take one process-wide lock, on which data-parallel workers would wait for one another.
//! Here an operation has as many inputs as it needs, the first gradient is kept as it comes, and activations are
//! freed as soon as the backward pass is through with them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{Tensor, Var};

use super::cuda::{CudaDevice, elementwise};
use super::memory::{filled, read, tensor};
use super::simd::vectorised;
use super::threads::{self, PART};
use crate::{Error, Result};

/// A tensor with its place in the computation. Cheap to clone.
#[derive(Clone)]
pub struct Value(Arc<Node>);

struct Node {
    /// Later values have larger numbers: the order of the backward pass.
    number: u64,
    tensor: Tensor,
    source: Source,
}

enum Source {
    /// No gradient is wanted.
    Constant,
    /// A leaf whose gradient is collected under this name.
    Variable(String),
    /// The result of an operation.
    Operation { inputs: Vec<Value>, backward: Backward },
}

/// From the gradient of an operation's result to the gradients of its inputs, in their order.
type Backward = Box<dyn Fn(&Tensor) -> Result<Vec<Tensor>> + Send + Sync>;

impl Value {
    /// A value that nothing is differentiated by.
    pub fn constant(tensor: Tensor) -> Value {
        Value::new(tensor, Source::Constant)
    }

    /// A leaf: its gradient is collected under `name`. The variable's storage is shared, not copied.
    pub fn variable(name: &str, variable: &Var) -> Value {
        Value::new(variable.as_detached_tensor(), Source::Variable(name.to_owned()))
    }

    /// The result of an operation. `backward` turns the gradient of `result` into one gradient per input; it is
    /// dropped at once, with all it holds, when no input wants a gradient.
    pub fn computed<B>(result: Tensor, inputs: &[&Value], backward: B) -> Value
    where
        B: Fn(&Tensor) -> Result<Vec<Tensor>> + Send + Sync + 'static,
    {
        if inputs.iter().all(|input| input.is_constant()) {
            return Value::constant(result);
        }
        let inputs = inputs.iter().map(|input| (*input).clone()).collect();
        Value::new(result, Source::Operation { inputs, backward: Box::new(backward) })
    }

    fn new(tensor: Tensor, source: Source) -> Value {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Value(Arc::new(Node { number: COUNT.fetch_add(1, Ordering::Relaxed), tensor, source }))
    }

    /// The numbers themselves.
    pub fn tensor(&self) -> &Tensor {
        &self.0.tensor
    }

    /// Whether no gradient flows through this value.
    pub fn is_constant(&self) -> bool {
        matches!(self.0.source, Source::Constant)
    }

    /// Gradients of every variable behind this value, given the gradient of the value itself (of its shape).
    /// Consumes the value, so that activations are freed on the way.
    pub fn backward(self, gradient: Tensor) -> Result<Gradients> {
        Value::backward_all([(self, gradient)])
    }

    /// The same behind several values at once, none twice, each with its own gradient: what they share is gone through
    /// once.
    pub fn backward_all(ends: impl IntoIterator<Item = (Value, Tensor)>) -> Result<Gradients> {
        let mut gradients = Gradients::default();
        let mut waiting: BTreeMap<u64, (Value, Tensor)> =
            ends.into_iter().map(|(value, gradient)| (value.0.number, (value, gradient))).collect();
        // The latest value first: everything that used it has then handed in its share.
        while let Some((_, (value, gradient))) = waiting.pop_last() {
            match &value.0.source {
                Source::Constant => {}
                Source::Variable(name) => gradients.insert(name, gradient)?,
                Source::Operation { inputs, backward } => {
                    let shares = backward(&gradient)?;
                    debug_assert_eq!(shares.len(), inputs.len(), "one gradient per input");
                    for (input, share) in inputs.iter().zip(shares).filter(|(input, _)| !input.is_constant()) {
                        let sum = match waiting.remove(&input.0.number) {
                            Some((_, before)) => sum(&[&before, &share])?,
                            None => share,
                        };
                        waiting.insert(input.0.number, (input.clone(), sum));
                    }
                }
            }
        }
        Ok(gradients)
    }
}

/// `a + b`, for residual connections.
pub fn add(a: &Value, b: &Value) -> Result<Value> {
    let result = sum(&[a.tensor(), b.tensor()])?;
    let other = b.tensor().dtype();
    Ok(Value::computed(result, &[a, b], move |gradient| {
        // Of the same type, except where activations on a card are narrower than the residual stream.
        let of_b = if gradient.dtype() == other { gradient.clone() } else { gradient.to_dtype(other)? };
        Ok(vec![gradient.clone(), of_b])
    }))
}

/// `a * by`, with a constant.
pub fn scale(a: &Value, by: f32) -> Result<Value> {
    let scaled = move |values: &Tensor| {
        if CudaDevice::holding(values).is_some() {
            return Ok((values * f64::from(by))?);
        }
        let from = read(values)?;
        tensor(from.iter().map(|value| value * by).collect(), values.shape())
    };
    Ok(Value::computed(scaled(a.tensor())?, &[a], move |gradient| Ok(vec![scaled(gradient)?])))
}

/// What `function` makes of `x` with these variables, without keeping any of its activations: the backward pass runs it
/// once more (Chen et al., 2016). `function` gets `x` and names the variables as they are named here; the result is
/// the same to the last bit.
pub fn recomputed<F>(x: &Value, variables: &[(&str, Value)], function: F) -> Result<Value>
where
    F: Fn(&Value) -> Result<Value> + Send + Sync + 'static,
{
    let result = function(&Value::constant(x.tensor().clone()))?.tensor().clone();
    let inputs: Vec<&Value> = std::iter::once(x).chain(variables.iter().map(|(_, variable)| variable)).collect();
    let names: Vec<String> = variables.iter().map(|(name, _)| (*name).to_owned()).collect();
    let held = x.tensor().clone();
    Ok(Value::computed(result, &inputs, move |gradient| {
        // No variable has an empty name.
        let leaf = Value::new(held.clone(), Source::Variable(String::new()));
        let mut gradients = function(&leaf)?.backward(gradient.clone())?;
        let mut take = |name: &str| match gradients.0.remove(name) {
            Some(gradient) => Ok(gradient),
            None => Err(Error::invalid("recomputed part", format!("{name:?} has no gradient"), "name what it uses")),
        };
        std::iter::once("").chain(names.iter().map(String::as_str)).map(&mut take).collect()
    }))
}

/// The sum of one or more tensors of one shape, term after term.
fn sum(terms: &[&Tensor]) -> Result<Tensor> {
    let [first, second, rest @ ..] = terms else { return Ok(terms[0].clone()) };
    if let Some(card) = CudaDevice::holding(first) {
        return elementwise::sum(&card, terms);
    }
    let (a, b) = (read(first)?, read(second)?);
    let rest = rest.iter().map(|term| read(term)).collect::<Result<Vec<_>>>()?;
    assert!(rest.iter().chain([&b]).all(|term| term.len() == a.len()), "sizes of a sum");
    let values = filled(a.len(), |out| {
        add_slices(out, &a, &b);
        rest.iter().for_each(|term| add_to_slice(out, term));
    });
    tensor(values, first.shape())
}

vectorised! {
    fn add_slices(out: &mut [f32], a: &[f32], b: &[f32]) {
        for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
            *out = a + b;
        }
    }
}

vectorised! {
    fn add_to_slice(out: &mut [f32], term: &[f32]) {
        for (out, term) in out.iter_mut().zip(term) {
            *out += term;
        }
    }
}

/// The gradient of each variable, by name.
#[derive(Clone, Debug, Default)]
pub struct Gradients(BTreeMap<String, Tensor>);

impl Gradients {
    /// The gradient of a variable, of its shape.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }

    /// Names and gradients in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, gradient)| (name.as_str(), gradient))
    }

    /// Leaves out those of variables that are not to change.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| keep(name));
    }

    /// Adds the gradients of another part of the batch. Floating-point sums depend on their order: add the parts
    /// in the order of the batch, not as the workers finish.
    pub fn add(&mut self, other: Gradients) -> Result<()> {
        other.0.into_iter().try_for_each(|(name, gradient)| self.insert(&name, gradient))
    }

    fn insert(&mut self, name: &str, gradient: Tensor) -> Result<()> {
        match self.0.get_mut(name) {
            Some(before) => *before = sum(&[before, &gradient])?,
            None => drop(self.0.insert(name.to_owned(), gradient)),
        }
        Ok(())
    }
}

impl FromIterator<(String, Tensor)> for Gradients {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(gradients: I) -> Self {
        Gradients(gradients.into_iter().collect())
    }
}

/// Sum of the squares of each tensor's values, on as many threads. All tensors live in one place.
///
/// # Errors
///
/// A tensor is not contiguous, or the card fails.
pub fn squares(tensors: &[&Tensor], threads: usize) -> Result<Vec<f64>> {
    if let Some(card) = tensors.first().and_then(|tensor| CudaDevice::holding(tensor)) {
        return elementwise::squares(&card, tensors);
    }
    let values = tensors.iter().map(|tensor| read(tensor)).collect::<Result<Vec<_>>>()?;
    let parts: Vec<(usize, &[f32])> =
        values.iter().enumerate().flat_map(|(at, values)| values.chunks(PART).map(move |part| (at, part))).collect();
    let mut sums = vec![0.0; tensors.len()];
    for (at, sum) in threads::each(parts, threads, |(at, part)| Ok((at, sum_of_squares(part))))? {
        sums[at] += sum;
    }
    Ok(sums)
}

vectorised! {
    /// In f64: millions of small terms would drown in an f32 sum.
    fn sum_of_squares(values: &[f32]) -> f64 {
        let mut lanes = [0f64; 8];
        for block in values.chunks(8) {
            for (lane, value) in lanes.iter_mut().zip(block) {
                *lane += f64::from(*value) * f64::from(*value);
            }
        }
        lanes.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{check, random_tensor};
    use candle_core::Device;

    fn variable(name: &str, values: &[f32]) -> Value {
        Value::variable(name, &Var::from_vec(values.to_vec(), values.len(), &Device::Cpu).unwrap())
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.to_vec1().unwrap()
    }

    #[test]
    fn gradients_of_a_value_used_several_times_are_summed() {
        let (x, y) = (variable("x", &[1.0, 2.0]), variable("y", &[3.0, 4.0]));
        let twice = add(&x, &x).unwrap();
        let all = add(&add(&twice, &y).unwrap(), &twice).unwrap();
        assert_eq!(values(all.tensor()), [7.0, 12.0]);
        let gradients = all.backward(tensor(vec![1.0, 10.0], 2).unwrap()).unwrap();
        assert_eq!(values(gradients.get("x").unwrap()), [4.0, 40.0]);
        assert_eq!(values(gradients.get("y").unwrap()), [1.0, 10.0]);
        assert_eq!(squares(&[gradients.get("x").unwrap()], 2).unwrap(), [1616.0]);
    }

    #[test]
    fn squares_of_large_and_small_tensors_are_the_same_on_any_number_of_threads() {
        let tensors = [random_tensor(&[2 * PART + 17], 1), random_tensor(&[3, 5], 2)];
        let of = |threads| squares(&tensors.each_ref(), threads).unwrap();
        let plain = |tensor: &Tensor| -> f64 { read(tensor).unwrap().iter().map(|x| f64::from(x * x)).sum() };
        assert_eq!(of(1), of(3));
        assert!(of(1).iter().zip(&tensors).all(|(found, tensor)| (found / plain(tensor) - 1.0).abs() < 1e-6));
        let on_card = crate::kernels::cuda::emulated::on_card(|| of(1)).unwrap_or_else(|| of(1));
        assert!(on_card.iter().zip(of(1)).all(|(found, truth)| (found / truth - 1.0).abs() < 1e-9));
    }

    #[test]
    fn several_values_are_gone_back_from_at_once() {
        let x = variable("x", &[1.0, 2.0]);
        let (twice, one) = (add(&x, &x).unwrap(), scale(&x, 3.0).unwrap());
        let beyond = add(&twice, &one).unwrap();
        let gradient = |first, second| tensor(vec![first, second], 2).unwrap();
        // One of them lies behind the other.
        let gradients = Value::backward_all([(beyond, gradient(1.0, 0.0)), (twice, gradient(10.0, 1.0))]).unwrap();
        assert_eq!(values(gradients.get("x").unwrap()), [25.0, 2.0]);
    }

    #[test]
    fn sums_agree_with_candle_and_with_finite_differences() {
        for shape in [&[1][..], &[3, 7], &[2, 33]] {
            let inputs = [random_tensor(shape, 1), random_tensor(shape, 2)];
            check(&inputs, |v| add(&add(v[0], v[1])?, v[0]), |t| (&t[0] + &t[1])? + &t[0]);
            check(&inputs[..1], |v| scale(v[0], -1.75), |t| &t[0] * -1.75);
            let terms = [1, 2, 3, 4].map(|seed| random_tensor(shape, seed));
            let [a, b, c, d] = &terms;
            let truth = (((a + b).unwrap() + c).unwrap() + d).unwrap();
            let (found, truth) = (sum(&terms.each_ref()).unwrap(), read(&truth).unwrap().to_vec());
            assert_eq!(read(&found).unwrap().to_vec(), truth);
            assert_eq!(read(&sum(&[a]).unwrap()).unwrap().to_vec(), read(a).unwrap().to_vec());
        }
    }

    #[test]
    fn constants_leave_no_trace_and_activations_are_freed_on_the_way() {
        let c = Value::constant(tensor(vec![1.0], 1).unwrap());
        assert!(add(&c, &c).unwrap().is_constant());
        let x = variable("x", &[1.0]);
        let middle = add(&x, &c).unwrap();
        let kept = Arc::downgrade(&middle.0);
        let end = add(&middle, &c).unwrap();
        drop(middle);
        assert!(kept.upgrade().is_some());
        let gradients = end.backward(tensor(vec![5.0], 1).unwrap()).unwrap();
        assert!(kept.upgrade().is_none());
        assert_eq!(gradients.iter().count(), 1);
    }
}
