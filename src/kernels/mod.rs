//! Operations of a transformer with hand-written forward and backward passes, fused where a fused loop is faster.
//!
//! Every operation takes and gives [`Value`]s: a tensor that remembers how it was computed. All of them work row by
//! row over packed sequences; only attention knows where a sequence begins. One call runs on one thread and takes no
//! shared lock, so as many workers as there are cores may differentiate through the same variables at once. Where a
//! tensor lives decides where it is computed: an operation has its side of the processor and its side of a card in one
//! folder, and what all of the latter share is in [`cuda`].

pub mod adamw;
pub(crate) mod allocator;
pub mod attention;
#[cfg(target_arch = "x86_64")]
mod bf16;
pub mod cuda;
pub mod device;
pub mod embedding;
pub mod graph;
pub mod heads;
pub mod layout;
pub mod linear;
pub mod log_prob;
pub mod low_rank;
pub mod matrix;
pub(crate) mod memory;
pub mod positions;
pub(crate) mod product;
pub mod rms_norm;
pub mod rope;
pub mod rotary;
pub mod scalar_head;
pub(crate) mod simd;
pub mod swiglu;
#[cfg(test)]
pub(crate) mod testing;
pub mod threads;

pub use adamw::{AdamW, Moments, State};
pub use allocator::{Allocator, keep_freed_memory};
pub use attention::attention;
pub use device::DeviceChoice;
pub use embedding::embedding;
pub use graph::{Gradients, Value, add, recomputed, scale, squares};
pub use heads::Heads;
pub use layout::{Layout, Sequence};
pub use linear::linear;
pub use log_prob::{PredictedTokens, log_prob};
pub use low_rank::{LowRank, low_rank};
pub use positions::Positions;
pub use product::Precision;
pub use rms_norm::{rms_norm, rms_norm_heads};
pub use rope::Rope;
pub use rotary::{Llama3, RopeScaling, Rotary, Yarn};
pub use scalar_head::scalar_head;
pub use swiglu::swiglu;
