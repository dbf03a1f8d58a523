//! What every function has in common.

mod batch;
mod env;
mod metrics;

pub use batch::{Redeliver, each_message, redeliver};
pub use env::{MissingVariable, variable};
pub use metrics::{Metrics, Unit};

/// Turns logs on: JSON lines on standard output, as CloudWatch wants them; `RUST_LOG` says how much. Logs carry ids,
/// never what a document says.
pub fn start_logging() {
    let filter = tracing_subscriber::filter::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().json().with_env_filter(filter).with_current_span(false).with_target(false).init();
}
