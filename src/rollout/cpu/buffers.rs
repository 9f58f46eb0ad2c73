//! Buffers of the decoder: memory that starts on a cache line, and activations as rows of it.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Floats of a cache line, and the width of the widest register.
pub(super) const LINE: usize = 16;

/// Output columns of a packed panel; rows are padded to whole panels.
pub(super) const PANEL: usize = 32;

/// Bytes of a huge page. A step walks through all of a cache of many megabytes: in small pages it would spend its time
/// looking up addresses.
const HUGE: usize = 2 << 20;

/// Zeroed floats that start on a cache line (a register load that straddles two costs twice as much), in huge pages
/// where there are many.
pub(super) struct Aligned {
    start: NonNull<f32>,
    len: usize,
    layout: Layout,
}

// Safety: plain memory with one owner.
unsafe impl Send for Aligned {}
unsafe impl Sync for Aligned {}

impl Aligned {
    pub(super) fn zeros(len: usize) -> Aligned {
        let bytes = len.max(1) * size_of::<f32>();
        let align = if bytes >= HUGE / 2 { HUGE } else { LINE * size_of::<f32>() };
        let layout = match Layout::from_size_align(bytes.next_multiple_of(align), align) {
            Ok(layout) => layout,
            // As `vec![0.0; len]` would end.
            Err(_) => handle_alloc_error(Layout::new::<f32>()),
        };
        // Safety: the layout is not empty; what is written and advised is what was allocated.
        unsafe {
            let Some(start) = NonNull::new(alloc(layout)) else { handle_alloc_error(layout) };
            #[cfg(target_os = "linux")]
            if align == HUGE {
                // Only advice: where the system has no huge pages, nothing changes.
                libc::madvise(start.as_ptr().cast(), layout.size(), libc::MADV_HUGEPAGE);
            }
            start.as_ptr().write_bytes(0, layout.size());
            Aligned { start: start.cast(), len, layout }
        }
    }
}

impl Drop for Aligned {
    fn drop(&mut self) {
        // Safety: allocated with this layout and given back once.
        unsafe { dealloc(self.start.as_ptr().cast(), self.layout) }
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // Safety: `len` floats were allocated and written.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        // Safety: as in `deref`.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

/// Activations `[rows, width]`, each row padded to whole panels. The padding of a row is never read.
pub(super) struct ActivationRows {
    values: Aligned,
    pub(super) width: usize,
    pub(super) stride: usize,
}

impl ActivationRows {
    pub(super) fn zeros(rows: usize, width: usize) -> ActivationRows {
        let stride = ActivationRows::stride(width);
        ActivationRows { values: Aligned::zeros(rows * stride), width, stride }
    }

    /// Makes it a buffer of `rows` rows of another width. What they held is lost.
    pub(super) fn reshape(&mut self, rows: usize, width: usize) {
        let stride = ActivationRows::stride(width);
        if rows * stride > self.values.len() {
            self.values = Aligned::zeros(rows * stride);
        }
        (self.width, self.stride) = (width, stride);
    }

    fn stride(width: usize) -> usize {
        // One line more than whole panels: rows a power of two apart would all fall into the same few cache sets.
        width.next_multiple_of(PANEL) + LINE
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
