//! What a run leaves on disk, and how it is found again: the run directory, finished stages, checkpoints, the manifest, and
//! the digests of everything that went in.

pub mod checkpoint;
pub mod history;
pub mod inputs;
pub mod learning;
pub mod machine_cache;
pub mod manifest;
pub mod open_run;
pub mod paths;
pub mod run_dir;
pub mod seal;
pub mod stage;
pub mod watched;

pub use manifest::Manifest;
pub use run_dir::RunDir;
pub use stage::{Stage, StageCache};
