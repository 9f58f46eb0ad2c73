//! Buffers of the decoder: memory that starts on a cache line, and activations as rows of it.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Floats of a cache line, and the width of the widest register.
pub(super) const LINE: usize = 16;

/// Output columns of a packed panel; rows are padded to whole panels.
pub(super) const PANEL: usize = 32;

/// Bytes of a huge page. A step walks through all of a cache of many megabytes: in small pages it would spend its time
/// looking up addresses.
const HUGE: usize = 2 << 20;

/// Zeroed floats that start on a cache line (a register load that straddles two costs twice as much). Where there are many
/// they are a mapping of their own, in huge pages: it goes back to the system when they are dropped, whatever the allocator
/// keeps.
pub(super) struct Aligned {
    start: NonNull<f32>,
    len: usize,
    memory: Backing,
}

/// Whom the memory is given back to.
enum Backing {
    Allocated(Layout),
    #[cfg(target_os = "linux")]
    Mapped {
        start: NonNull<u8>,
        bytes: usize,
    },
}

// Safety: plain memory with one owner.
unsafe impl Send for Aligned {}
unsafe impl Sync for Aligned {}

impl Aligned {
    pub(super) fn zeros(len: usize) -> Aligned {
        let bytes = len.max(1) * size_of::<f32>();
        let line = LINE * size_of::<f32>();
        let layout = match Layout::from_size_align(bytes.next_multiple_of(line), line) {
            Ok(layout) => layout,
            // As `vec![0.0; len]` would end.
            Err(_) => handle_alloc_error(Layout::new::<f32>()),
        };
        #[cfg(target_os = "linux")]
        if bytes >= HUGE / 2 {
            return Aligned::mapped(len, layout);
        }
        // Safety: the layout is not empty.
        let Some(start) = NonNull::new(unsafe { alloc_zeroed(layout) }) else { handle_alloc_error(layout) };
        Aligned { start: start.cast(), len, memory: Backing::Allocated(layout) }
    }

    #[cfg(target_os = "linux")]
    fn mapped(len: usize, layout: Layout) -> Aligned {
        let (protection, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let bytes = layout.size() + HUGE;
        // Safety: a new mapping, which nobody else has; the floats lie in it, from the first huge page that begins in it.
        unsafe {
            let mapping = libc::mmap(std::ptr::null_mut(), bytes, protection, kind, -1, 0);
            let Some(start) = NonNull::new(mapping.cast::<u8>()).filter(|_| mapping != libc::MAP_FAILED) else {
                handle_alloc_error(layout)
            };
            let first = start.add(start.align_offset(HUGE));
            // Only advice: where the system has no huge pages, nothing changes.
            libc::madvise(first.as_ptr().cast(), layout.size(), libc::MADV_HUGEPAGE);
            Aligned { start: first.cast(), len, memory: Backing::Mapped { start, bytes } }
        }
    }
}

impl Drop for Aligned {
    fn drop(&mut self) {
        // Safety: it was allocated or mapped as is noted, and is given back once.
        match self.memory {
            Backing::Allocated(layout) => unsafe { dealloc(self.start.as_ptr().cast(), layout) },
            #[cfg(target_os = "linux")]
            Backing::Mapped { start, bytes } => unsafe {
                libc::munmap(start.as_ptr().cast(), bytes);
            },
        }
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
