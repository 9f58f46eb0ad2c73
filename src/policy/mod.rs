//! The transformer that is trained.

pub mod architecture;
pub mod checkpoint;
pub mod config;
mod config_file;
mod forward;
mod gguf_file;
pub mod init;
pub mod lora;
pub mod model;
mod not_found;
pub mod packed;
pub mod placement;
pub mod recompute;
pub mod snapshot;
pub mod structured;
pub mod value_head;
pub mod weight;
mod weight_files;

pub use architecture::Architecture;
pub use checkpoint::Checkpoint;
pub use config::{Family, ModelConfig};
pub use forward::LogProbs;
pub use gguf_file::GgufPrecision;
pub use init::InitConfig;
pub use lora::{AdapterSpec, LoraConfig, LoraLayer, LoraLayers, Target};
pub use model::Policy;
pub use not_found::no_checkpoint;
pub use packed::PackedBatch;
pub use recompute::{Recompute, micro_batch, room_beside};
pub use snapshot::Snapshot;
pub use structured::{Anchor, Code, Gates, Head, Structured};
pub use value_head::ValueHead;
pub use weight::Weight;
pub use weight_files::StoredPrecision;
