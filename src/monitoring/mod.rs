//! Looking into Redis: its own figures, what is slow, what takes its memory, and whether all is well.

mod analysis;
mod health;
mod info;
mod key_scan;
mod key_shape;
mod latency;
mod memory_usage;
mod monitor;
mod options;
mod pattern_tree;
mod slow_log;
mod stop;

pub use analysis::{KeyAnalysis, KeyPattern};
pub use health::{Health, Status};
pub use info::InfoReport;
pub use latency::LatencyReport;
pub use memory_usage::DatabaseMemory;
pub use monitor::Monitor;
pub use options::{AnalysisOptions, MonitorOptions, UsageOptions};
pub use slow_log::SlowQuery;
pub use stop::Stop;
