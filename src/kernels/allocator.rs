//! Freed memory that is used again instead of being handed back to the kernel.
//!
//! By default glibc maps each large block anew and unmaps it when it is freed; and an arena of a thread is cut into heaps
//! of 64 MB that are unmapped as soon as they are empty. Of a training step of a model with a large vocabulary, a sixth
//! goes into faulting the same pages in again, and into telling the other cores that they went.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes from which on a block is kept here: the outputs of a layer on a micro-batch, gradients, caches. Smaller ones are
/// glibc's.
const LARGE: usize = 1 << 20;
/// Blocks that are kept at most.
const MOST: usize = 512;

/// The allocator of the system, of which large blocks that were freed serve the next that are about as large. With those
/// that are kept there are never more bytes than were in use at once: what a program holds at most does not grow.
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: recollect::kernels::Allocator = recollect::kernels::Allocator;
/// ```
pub struct Allocator;

static BLOCKS: Mutex<LargeBlocks> = Mutex::new(LargeBlocks::new());

fn blocks() -> MutexGuard<'static, LargeBlocks> {
    BLOCKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells glibc to map what is large by itself, which leaves no holes, and to keep all that is smaller. For the start of the
/// program; does nothing elsewhere.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: sets three numbers of the allocator.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE as i32);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
    }
}

/// Hands back to the kernel what was freed by now and kept, where something else begins that needs other memory.
pub(crate) fn give_back_freed_memory() {
    let mut blocks = blocks();
    blocks.most_used = blocks.used_bytes;
    blocks.fit();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the allocator looks through its own lists.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Blocks are known by their addresses.
struct LargeBlocks {
    /// In no order; the first `count` places are filled.
    kept: [FreedBlock; MOST],
    count: usize,
    /// Bytes of them.
    kept_bytes: usize,
    /// Bytes of large blocks that the program holds, and the most that it held at once.
    used_bytes: usize,
    most_used: usize,
    /// Blocks freed so far.
    freed: u64,
}

#[derive(Clone, Copy)]
struct FreedBlock {
    address: usize,
    bytes: usize,
    /// Which of all that were freed.
    number: u64,
}

impl LargeBlocks {
    const fn new() -> LargeBlocks {
        let none = FreedBlock { address: 0, bytes: 0, number: 0 };
        LargeBlocks { kept: [none; MOST], count: 0, kept_bytes: 0, used_bytes: 0, most_used: 0, freed: 0 }
    }

    /// The smallest that is kept of those of at least so many bytes, if it is not much larger.
    fn take(&mut self, layout: Layout) -> Option<usize> {
        let (least, most) = (layout.size(), layout.size() + layout.size() / 8);
        let fits =
            |block: &FreedBlock| (least..=most).contains(&block.bytes) && block.address.is_multiple_of(layout.align());
        let candidates = self.kept[..self.count].iter().enumerate().filter(|(_, block)| fits(block));
        let (at, _) = candidates.min_by_key(|(_, block)| block.bytes)?;
        let block = self.remove(at);
        self.used_bytes += block.bytes;
        Some(block.address)
    }

    /// A block more is in use.
    fn begin(&mut self, bytes: usize) {
        self.used_bytes += bytes;
        self.most_used = self.most_used.max(self.used_bytes);
        self.fit();
    }

    /// A block is not in use any more; whether there is room to keep it.
    fn end(&mut self, address: usize, bytes: usize) -> bool {
        self.used_bytes = self.used_bytes.saturating_sub(bytes);
        self.freed += 1;
        // Elsewhere the system wants the size back that it was asked for.
        if self.count == MOST || !cfg!(all(target_os = "linux", target_env = "gnu")) {
            return false;
        }
        self.kept[self.count] = FreedBlock { address, bytes, number: self.freed };
        self.count += 1;
        self.kept_bytes += bytes;
        true
    }

    fn remove(&mut self, at: usize) -> FreedBlock {
        let block = self.kept[at];
        self.count -= 1;
        self.kept[at] = self.kept[self.count];
        self.kept_bytes -= block.bytes;
        block
    }

    /// Hands back those that were freed first, until there are no more bytes than were in use at once.
    fn fit(&mut self) {
        while self.count > 0 && self.used_bytes + self.kept_bytes > self.most_used {
            let kept = self.kept[..self.count].iter().enumerate();
            let oldest = kept.min_by_key(|(_, block)| block.number).map_or(0, |(at, _)| at);
            let block = self.remove(oldest);
            // SAFETY: it came from there, and nobody has its address any more. The system does not look at the layout.
            unsafe { System.dealloc(block.address as *mut u8, Layout::from_size_align_unchecked(block.bytes, 1)) };
        }
    }
}

/// A large block from `fresh` if none is kept that fits, and whether it is fresh.
fn large(layout: Layout, fresh: impl Fn() -> *mut u8) -> (*mut u8, bool) {
    if let Some(address) = blocks().take(layout) {
        return (address as *mut u8, false);
    }
    let mut block = fresh();
    if block.is_null() {
        give_back_freed_memory();
        block = fresh();
    }
    if !block.is_null() {
        blocks().begin(bytes_of(block, layout.size()));
    }
    (block, true)
}

/// What a block has room for, which is no less than was `asked`: one that is used again may have more.
fn bytes_of(block: *mut u8, asked: usize) -> usize {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the block is the system's, and in use.
    return unsafe { libc::malloc_usable_size(block.cast()) }.max(asked);
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    asked
}

// SAFETY: every block is the system's, or one of the system's that was freed here and is in nobody's hands; it has the
// size and the alignment that are asked for.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is that of the system.
        let fresh = || unsafe { System.alloc(layout) };
        if layout.size() < LARGE { fresh() } else { large(layout, fresh).0 }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let fresh = || unsafe { System.alloc_zeroed(layout) };
        if layout.size() < LARGE {
            return fresh();
        }
        let (block, is_fresh) = large(layout, fresh);
        if !is_fresh {
            // SAFETY: it has at least so many bytes.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if layout.size() < LARGE || !blocks().end(block as usize, bytes_of(block, layout.size())) {
            // SAFETY: the block came from there, or from a place that had come from there.
            unsafe { System.dealloc(block, layout) };
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.size() < LARGE && size < LARGE {
            // SAFETY: the caller's contract is that of the system.
            return unsafe { System.realloc(block, layout, size) };
        }
        if layout.size() >= LARGE && size >= LARGE {
            // Most often the kernel moves pages, and copies nothing.
            let before = bytes_of(block, layout.size());
            // SAFETY: as above.
            let moved = unsafe { System.realloc(block, layout, size) };
            if !moved.is_null() {
                let mut blocks = blocks();
                blocks.used_bytes = blocks.used_bytes.saturating_sub(before);
                blocks.begin(bytes_of(moved, size));
            }
            return moved;
        }
        // SAFETY: the new layout is the caller's; the blocks are apart, and both have the smaller size.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(block, size.min(layout.size()));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

#[cfg(test)]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    fn layout(bytes: usize, align: usize) -> Layout {
        Layout::from_size_align(bytes, align).unwrap()
    }

    /// Kept bytes, bytes in use, and the most that were.
    fn state() -> (usize, usize, usize) {
        let blocks = blocks();
        (blocks.kept_bytes, blocks.used_bytes, blocks.most_used)
    }

    // One test, because all share what is kept.
    #[test]
    fn freed_blocks_are_used_again_and_never_more_is_held_than_was_in_use() {
        let small = layout(LARGE / 2, 8);
        let two = layout(2 * LARGE, 8);
        // SAFETY: each block is freed once, with the layout that it has then, and nothing beyond its size is touched.
        unsafe {
            let block = Allocator.alloc(small);
            block.write_bytes(7, small.size());
            assert_eq!(state(), (0, 0, 0), "small blocks are the system's");
            // Across the border, and back, contents move along.
            let block = Allocator.realloc(block, small, two.size());
            assert!(std::slice::from_raw_parts(block, small.size()).iter().all(|byte| *byte == 7));
            let (_, used, most) = state();
            assert!(used >= two.size() && most == used);

            block.write_bytes(9, two.size());
            Allocator.dealloc(block, two);
            assert_eq!(state(), (used, 0, most));
            let again = Allocator.alloc_zeroed(two);
            assert_eq!(again, block, "the block that was freed");
            assert!(std::slice::from_raw_parts(again, two.size()).iter().all(|byte| *byte == 0));

            // A little smaller fits, and a stricter alignment is held.
            Allocator.dealloc(again, two);
            let less = layout(2 * LARGE - 5000, 8);
            let again = Allocator.alloc(less);
            assert_eq!(again, block);
            Allocator.dealloc(again, less);
            let aligned = layout(2 * LARGE, 1 << 21);
            let other = Allocator.alloc(aligned);
            assert!(other.addr().is_multiple_of(1 << 21));
            let half = Allocator.alloc(layout(LARGE, 8));
            let (kept, used, most) = state();
            assert!(kept + used <= most && used >= 3 * LARGE, "{kept} {used} {most}");

            let half = Allocator.realloc(half, layout(LARGE, 8), 3 * LARGE);
            half.write_bytes(1, 3 * LARGE);
            let (_, used, most) = state();
            assert!(used >= 5 * LARGE && most >= used);
            let half = Allocator.realloc(half, layout(3 * LARGE, 8), 100);
            assert!(std::slice::from_raw_parts(half, 100).iter().all(|byte| *byte == 1));
            Allocator.dealloc(half, layout(100, 8));
            Allocator.dealloc(other, aligned);
            let (kept, used, _) = state();
            assert!(kept >= 5 * LARGE && used == 0);

            // More than there are places for.
            let many: Vec<_> = (0..MOST + 3).map(|_| Allocator.alloc(layout(LARGE, 8))).collect();
            many.into_iter().for_each(|block| Allocator.dealloc(block, layout(LARGE, 8)));
            let count = blocks().count;
            assert_eq!((count, state().1), (MOST, 0));
        }
        give_back_freed_memory();
        assert_eq!(state(), (0, 0, 0));
    }
}
