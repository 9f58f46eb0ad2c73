//! Products of a few rows with a weight matrix that is packed once per policy version.
//!
//! The matrix is stored as panels of output columns, `[panel][input][column]`, each as wide as the registers that its
//! sums are in: the product reads it front to back, and from memory exactly once, however many rows there are. Every
//! output is one chain of multiply-adds over the inputs in ascending order, whatever block of rows it is computed in: a
//! row's result cannot depend on the rows beside it, to the last bit.

use super::buffers::{ActivationRows, Aligned, LINE};
use crate::Result;
use crate::kernels::simd::{Lanes, Level, prefetch, vectorised};
use crate::kernels::threads::{self, PART};

/// A linear layer `[outputs, inputs]`, packed for decoding.
pub(in crate::rollout) struct PackedLinear {
    inputs: usize,
    outputs: usize,
    /// Columns of a panel: two registers of this processor.
    width: usize,
    /// `[panels, inputs, width]`, zero beyond the last output.
    panels: Aligned,
    /// `[panels * width]`, zero beyond the last output.
    bias: Option<Aligned>,
}

/// What becomes of a product.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Store {
    /// Replaces what was there.
    Replace,
    /// Is added to it: a residual connection.
    Add,
}

impl PackedLinear {
    /// Stacks matrices `[outputs_i, inputs]` (row-major) that share their input, with their biases if they have any, on
    /// as many threads where they are large.
    pub(super) fn stack(inputs: usize, matrices: &[&[f32]], biases: &[&[f32]], threads: usize) -> Result<PackedLinear> {
        let rows: Vec<&[f32]> = matrices.iter().flat_map(|matrix| matrix.chunks_exact(inputs)).collect();
        let (outputs, width) = (rows.len(), 2 * Level::best().lanes());
        let padded = outputs.next_multiple_of(width);
        let mut panels = Aligned::zeros(padded * inputs);
        let panels_per_part = PART.div_ceil(inputs * width);
        let parts = rows.chunks(panels_per_part * width).zip(panels.chunks_mut(panels_per_part * inputs * width));
        threads::each(parts.collect(), threads, |(rows, panels)| {
            for (rows, panel) in rows.chunks(width).zip(panels.chunks_exact_mut(inputs * width)) {
                transpose(rows, panel, width);
            }
            Ok(())
        })?;
        let bias = (!biases.is_empty()).then(|| {
            let mut bias = Aligned::zeros(padded);
            for (value, place) in biases.iter().flat_map(|bias| bias.iter()).zip(bias.iter_mut()) {
                *place = *value;
            }
            bias
        });
        Ok(PackedLinear { inputs, outputs, width, panels, bias })
    }

    /// The weights `[inputs]` of one output.
    pub(super) fn copy_output(&self, output: usize, to: &mut [f32]) {
        assert!(output < self.outputs && to.len() == self.inputs);
        let size = self.inputs * self.width;
        let panel = &self.panels[output / self.width * size..][..size];
        for (weight, line) in to.iter_mut().zip(panel.chunks_exact(self.width)) {
            *weight = line[output % self.width];
        }
    }

    /// How wide a product is.
    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// `output[r] = input[r] W^T + bias` for the first `rows` rows.
    pub(super) fn product(&self, input: &ActivationRows, rows: usize, output: &mut ActivationRows, store: Store) {
        assert!(input.width == self.inputs && output.width == self.outputs);
        assert!(rows <= input.capacity() && rows <= output.capacity());
        product(self, input, rows, output, store);
    }
}

/// Turns rows `[inputs]` into the columns of a panel `[inputs, width]`. A cache line of every row at a time: what is read
/// and written meanwhile stays in the fastest cache.
fn transpose(rows: &[&[f32]], panel: &mut [f32], width: usize) {
    for (block, lines) in panel.chunks_mut(LINE * width).enumerate() {
        for (column, row) in rows.iter().enumerate() {
            for (weight, line) in row[block * LINE..].iter().zip(lines.chunks_exact_mut(width)) {
                line[column] = *weight;
            }
        }
    }
}

vectorised! {
    fn product<L>(matrix: &PackedLinear, input: &ActivationRows, rows: usize, output: &mut ActivationRows, store: Store) {
        let (input_stride, output_stride, width) = (input.stride, output.stride, matrix.width);
        // Packed for this level or a better one.
        assert!(width.is_multiple_of(2 * L::LEN));
        for panel in 0..matrix.outputs.div_ceil(width) {
            for part in (0..width).step_by(2 * L::LEN) {
                let column = panel * width + part;
                let (blocks, mut row) = (rows.div_ceil(L::ROWS), 0);
                let readers = readers(blocks);
                for number in 0..blocks {
                    // Safety: `product` asserted that the rows lie in both buffers, whose rows are padded to whole
                    // panels, and `stack` made panels and bias as long.
                    unsafe {
                        let weights = matrix.panels.as_ptr().add(panel * matrix.inputs * width + part);
                        let tile = ProductTile {
                            weights,
                            width,
                            inputs: matrix.inputs,
                            next: weights.wrapping_add(matrix.inputs * width + number * matrix.inputs * width / readers),
                            next_step: width / readers,
                            bias: matrix.bias.as_ref().map(|bias| bias.as_ptr().add(column)),
                            input: input.as_ptr().add(row * input_stride),
                            input_stride,
                            output: output.as_mut_ptr().add(row * output_stride + column),
                            output_stride,
                            store,
                        };
                        let here = block(rows - row, L::ROWS);
                        // One or two rows take no longer than reading: nothing is gained by reading ahead of them.
                        if number < readers && rows > 2 {
                            tile.rows::<L, true>(here);
                        } else {
                            tile.rows::<L, false>(here);
                        }
                        row += here;
                    }
                }
            }
        }
    }
}

/// Blocks of rows, of so many, that each fetch a part of the next panel while they compute: reading from memory then goes
/// on all the time, and not only while the first block waits for it. A power of two, so that a part of a panel's line
/// divides it.
fn readers(blocks: usize) -> usize {
    1 << blocks.clamp(1, 4).ilog2()
}

/// Rows of the next block, where so many are left and `most` fit into registers: blocks of one size, so that no last one
/// is too short to keep the processor busy.
#[inline(always)]
fn block(left: usize, most: usize) -> usize {
    left.div_ceil(left.div_ceil(most))
}

/// A block of rows times two registers of columns.
struct ProductTile {
    weights: *const f32,
    /// Floats from the weights of one input to those of the next.
    width: usize,
    inputs: usize,
    /// What is read next, and how far with every input: nothing is assumed of what is there.
    next: *const f32,
    next_step: usize,
    bias: Option<*const f32>,
    input: *const f32,
    input_stride: usize,
    output: *mut f32,
    output_stride: usize,
    store: Store,
}

impl ProductTile {
    /// Computes so many rows, and fetches its part of the next panel if it is to.
    ///
    /// # Safety
    /// See [`ProductTile::run`].
    #[inline(always)]
    unsafe fn rows<L: Lanes, const AHEAD: bool>(self, rows: usize) {
        unsafe {
            match rows {
                12.. if L::ROWS >= 12 => self.run::<L, 12, AHEAD>(),
                11 if L::ROWS >= 12 => self.run::<L, 11, AHEAD>(),
                10 if L::ROWS >= 12 => self.run::<L, 10, AHEAD>(),
                9 if L::ROWS >= 12 => self.run::<L, 9, AHEAD>(),
                8 if L::ROWS >= 12 => self.run::<L, 8, AHEAD>(),
                7 if L::ROWS >= 12 => self.run::<L, 7, AHEAD>(),
                6.. if L::ROWS >= 6 => self.run::<L, 6, AHEAD>(),
                5 if L::ROWS >= 6 => self.run::<L, 5, AHEAD>(),
                4.. => self.run::<L, 4, AHEAD>(),
                3 => self.run::<L, 3, AHEAD>(),
                2 => self.run::<L, 2, AHEAD>(),
                _ => self.run::<L, 1, AHEAD>(),
            }
        }
    }

    /// # Safety
    /// `ROWS` rows can be read at `input` and written at `output`, `inputs` rows of `width` lie at `weights`.
    #[inline(always)]
    unsafe fn run<L: Lanes, const ROWS: usize, const AHEAD: bool>(self) {
        unsafe {
            let mut sums = [[L::splat(0.0); 2]; ROWS];
            for k in 0..self.inputs {
                if AHEAD {
                    for line in 0..(2 * L::LEN).div_ceil(LINE) {
                        prefetch(self.next.wrapping_add(k * self.next_step + line * LINE));
                    }
                }
                let left = L::load(self.weights.add(k * self.width));
                let right = L::load(self.weights.add(k * self.width + L::LEN));
                for (row, sum) in sums.iter_mut().enumerate() {
                    let value = L::splat(*self.input.add(row * self.input_stride + k));
                    *sum = [value.mul_add(left, sum[0]), value.mul_add(right, sum[1])];
                }
            }
            for (row, sum) in sums.into_iter().enumerate() {
                for (part, mut value) in sum.into_iter().enumerate() {
                    let place = self.output.add(row * self.output_stride + part * L::LEN);
                    if let Some(bias) = self.bias {
                        value = value.add(L::load(bias.add(part * L::LEN)));
                    }
                    if self.store == Store::Add {
                        value = value.add(L::load(place));
                    }
                    value.store(place);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::simd::tests::under_each_level;

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 37 + seed * 101) % 59) as f32 / 29.0 - 1.0).collect()
    }

    fn filled(rows: usize, width: usize) -> ActivationRows {
        let mut filled = ActivationRows::zeros(rows, width);
        for row in 0..rows {
            filled.row_mut(row).copy_from_slice(&numbers(width, row));
        }
        filled
    }

    #[test]
    fn products_are_right_for_shapes_that_are_multiples_of_nothing() {
        for (rows, inputs, outputs) in [(1, 1, 1), (3, 5, 7), (8, 33, 32), (15, 20, 65), (23, 9, 50), (64, 6, 37)] {
            let (matrix, bias) = (numbers(inputs * outputs, 1000), numbers(outputs, 2000));
            let (first, second) = matrix.split_at(outputs / 3 * inputs);
            let (first_bias, second_bias) = bias.split_at(outputs / 3);
            let packed = PackedLinear::stack(inputs, &[first, second], &[first_bias, second_bias], 1).unwrap();
            let input = filled(rows, inputs);
            under_each_level(|| {
                for store in [Store::Replace, Store::Add] {
                    let (before, mut output) = (filled(rows, outputs), filled(rows, outputs));
                    packed.product(&input, rows, &mut output, store);
                    for row in 0..rows {
                        for column in 0..outputs {
                            let weights = &matrix[column * inputs..][..inputs];
                            let mut sum: f32 = input.row(row).iter().zip(weights).map(|(x, w)| x * w).sum();
                            sum += bias[column] + if store == Store::Add { before.row(row)[column] } else { 0.0 };
                            assert!((output.row(row)[column] - sum).abs() < 1e-4);
                        }
                    }
                }
            });
        }
    }

    #[test]
    fn a_matrix_of_several_parts_is_packed_as_one() {
        let (inputs, outputs) = (PART / 64 + 3, 5 * 32 + 7);
        let matrix = numbers(inputs * outputs, 3);
        let packed = PackedLinear::stack(inputs, &[&matrix], &[], 3).unwrap();
        let mut row = vec![0.0; inputs];
        for output in 0..outputs {
            packed.copy_output(output, &mut row);
            assert!(row == matrix[output * inputs..][..inputs], "output {output}");
        }
    }

    #[test]
    fn a_row_does_not_depend_on_the_rows_beside_it() {
        let (inputs, outputs) = (45, 70);
        let packed = PackedLinear::stack(inputs, &[&numbers(inputs * outputs, 7)], &[], 1).unwrap();
        under_each_level(|| {
            let (input, mut together) = (filled(31, inputs), ActivationRows::zeros(31, outputs));
            packed.product(&input, 31, &mut together, Store::Replace);
            for row in 0..31 {
                let (mut alone, mut output) = (ActivationRows::zeros(1, inputs), ActivationRows::zeros(1, outputs));
                alone.row_mut(0).copy_from_slice(input.row(row));
                packed.product(&alone, 1, &mut output, Store::Replace);
                assert_eq!(output.row(0), together.row(row));
            }
        });
    }
}
