//! What every function has in common.

mod batch;
mod env;
mod events;
mod metrics;
mod trigger;

pub use batch::{Redeliver, each_message, redeliver};
pub use env::{MissingVariable, variable};
pub use metrics::Metrics;
pub use trigger::trigger;

/// Turns logs on: JSON lines on standard output, as CloudWatch wants them. `RUST_LOG` names the level; without it, info.
/// Logs carry ids, never what a document says: a release build has nothing below info in it, where the SDK would tell.
pub fn start_logging() {
    let level = std::env::var("RUST_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(tracing::Level::INFO);
    tracing_subscriber::fmt().json().with_max_level(level).with_current_span(false).with_target(false).init();
}
