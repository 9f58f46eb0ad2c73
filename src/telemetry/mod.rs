//! What a run says about itself while it goes: metrics into files, progress to whoever listens, and the machine
//! it runs on. Nothing here prints.

pub mod machine;
pub mod meaning;
pub mod metrics_file;
pub mod pace;
pub mod progress;
pub mod recorder;
pub mod tensorboard;

pub use metrics_file::{MetricsLine, MetricsTail, read_metrics};
pub use pace::Pace;
pub use progress::{Meter, Progress, Silent};
pub use recorder::JsonlRecorder;
pub use tensorboard::TensorBoard;
