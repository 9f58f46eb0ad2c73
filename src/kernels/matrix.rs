//! Matrix products on row-major slices: the one place that calls a matrix-multiplication library.

use gemm::Parallelism;

/// A matrix inside a slice: element (i, j) stands at `i * row_step + j * column_step`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub values: &'a [f32],
    pub rows: usize,
    pub columns: usize,
    pub row_step: usize,
    pub column_step: usize,
}

impl<'a> Matrix<'a> {
    /// Row-major, rows one after the other.
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Matrix<'a> {
        Matrix::with_step(values, rows, columns, columns)
    }

    /// Row-major, a row every `row_step` values: some columns of a wider matrix.
    pub fn with_step(values: &'a [f32], rows: usize, columns: usize, row_step: usize) -> Matrix<'a> {
        Matrix { values, rows, columns, row_step, column_step: 1 }
    }

    /// The transpose, without moving anything.
    pub fn transposed(self) -> Matrix<'a> {
        let Matrix { values, rows, columns, row_step, column_step } = self;
        Matrix { values, rows: columns, columns: rows, row_step: column_step, column_step: row_step }
    }

    /// Some rows and columns, without moving anything.
    pub fn part(self, row: usize, rows: usize, column: usize, columns: usize) -> Matrix<'a> {
        let values = &self.values[row * self.row_step + column * self.column_step..];
        Matrix { values, rows, columns, ..self }
    }
}

/// Whether a product replaces what stands in the output or is added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    Replace,
    Add,
}

/// `out = a b` or `out += a b`; `out` has a row every `out_step` values. Single-threaded: one worker is one thread.
pub(crate) fn multiply(out: &mut [f32], out_step: usize, a: Matrix, b: Matrix, write: Write) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    check(out, out_step, &a, &b);
    if m == 0 || n == 0 {
        return;
    }
    // SAFETY: the checks keep every access inside its slice, and `out` is borrowed alone.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            out_step as isize,
            write == Write::Add,
            a.values.as_ptr(),
            a.column_step as isize,
            a.row_step as isize,
            b.values.as_ptr(),
            b.column_step as isize,
            b.row_step as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// Panics where a product would reach outside of a slice.
pub(super) fn check(out: &[f32], out_step: usize, a: &Matrix, b: &Matrix) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(b.rows, k, "inner sizes of a product");
    if m == 0 || n == 0 {
        return;
    }
    assert!(out_step >= n && out.len() >= (m - 1) * out_step + n, "output of a product is too small");
    for matrix in [a, b] {
        let end = (matrix.rows.max(1) - 1) * matrix.row_step + (matrix.columns.max(1) - 1) * matrix.column_step;
        assert!(k == 0 || end < matrix.values.len(), "operand of a product is too small");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::random;

    fn plain(
        a: &dyn Fn(usize, usize) -> f32,
        b: &dyn Fn(usize, usize) -> f32,
        (m, n, k): (usize, usize, usize),
    ) -> Vec<f32> {
        (0..m * n).map(|i| (0..k).map(|l| a(i / n, l) * b(l, i % n)).sum()).collect()
    }

    #[test]
    fn agrees_with_plain_loops_for_odd_shapes_transposes_and_steps() {
        for (m, n, k) in [(1, 1, 1), (3, 5, 7), (17, 1, 33), (1, 40, 3), (65, 31, 19), (4, 4, 0)] {
            let (a, b) = (random(m * (k + 2) + k * m, 1), random(k * n, 2));
            let truth = plain(&|i, l| a[i * (k + 2) + l], &|l, j| b[l * n + j], (m, n, k));
            let mut out = vec![9.0; m * (n + 3)];
            multiply(&mut out, n + 3, Matrix::with_step(&a, m, k, k + 2), Matrix::new(&b, k, n), Write::Replace);
            for i in 0..m {
                for j in 0..n {
                    assert!((out[i * (n + 3) + j] - truth[i * n + j]).abs() < 1e-4);
                }
                let rest = if i + 1 < m { &out[i * (n + 3) + n..(i + 1) * (n + 3)] } else { &[][..] };
                assert!(rest.iter().all(|v| *v == 9.0), "values between rows stay");
            }
            let truth = plain(&|i, l| a[l * m + i], &|l, j| b[j * k + l], (m, n, k));
            let mut out = vec![1.0; m * n];
            let (at, bt) = (Matrix::new(&a, k, m).transposed(), Matrix::new(&b, n, k).transposed());
            multiply(&mut out, n, at, bt, Write::Add);
            assert!(out.iter().zip(&truth).all(|(o, t)| (o - 1.0 - t).abs() < 1e-4));
        }
    }
}
