//! Buffers of the decoder: memory that starts on a cache line, and activations as rows of it.

use std::ops::{Deref, DerefMut};

/// Floats of a cache line, and the width of the widest register.
pub(super) const LINE: usize = 16;

/// Output columns of a packed panel; rows are padded to whole panels.
pub(super) const PANEL: usize = 32;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Zeroed floats that start on a cache line: a register load that straddles two lines costs twice as much.
pub(super) struct Aligned {
    lines: Vec<Line>,
    len: usize,
}

impl Aligned {
    pub(super) fn zeros(len: usize) -> Aligned {
        Aligned { lines: vec![Line([0.0; LINE]); len.div_ceil(LINE)], len }
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // Safety: `Line` is exactly `LINE` floats without padding, and `len` does not exceed those held.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        // Safety: as in `deref`.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

/// Activations `[rows, width]`, each row padded to whole panels. The padding of a row stays zero or is never read.
pub(super) struct Rows {
    values: Aligned,
    pub(super) width: usize,
    pub(super) stride: usize,
}

impl Rows {
    pub(super) fn zeros(rows: usize, width: usize) -> Rows {
        // One line more than whole panels: rows a power of two apart would all fall into the same few cache sets.
        let stride = width.next_multiple_of(PANEL) + LINE;
        Rows { values: Aligned::zeros(rows * stride), width, stride }
    }

    /// How many rows fit.
    pub(super) fn capacity(&self) -> usize {
        self.values.len() / self.stride
    }

    /// `[width]`
    #[inline(always)]
    pub(super) fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.stride..][..self.width]
    }

    /// `[width]`
    #[inline(always)]
    pub(super) fn row_mut(&mut self, index: usize) -> &mut [f32] {
        &mut self.values[index * self.stride..][..self.width]
    }

    /// All rows, padding included.
    pub(super) fn as_ptr(&self) -> *const f32 {
        self.values.as_ptr()
    }

    /// All rows, padding included.
    pub(super) fn as_mut_ptr(&mut self) -> *mut f32 {
        self.values.as_mut_ptr()
    }
}
