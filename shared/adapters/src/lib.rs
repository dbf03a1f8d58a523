//! The ports of the loops on AWS. Architecture invariant: only this crate knows the AWS SDK.

mod buckets;
mod bus;
mod error;
mod knowledge_bases;
mod ledger;
mod observations;
mod policy;
mod signals;
mod state;
mod wakes;

pub use aws_config::SdkConfig;
pub use buckets::S3Buckets;
pub use bus::EventBridgeBus;
pub use knowledge_bases::BedrockKnowledgeBases;
pub use ledger::Ledger;
pub use observations::S3Observations;
pub use policy::{PolicySource, PolicyUnavailable};
pub use signals::SignalTable;
pub use state::StateTable;
pub use wakes::WakeQueue;

/// The SDK's configuration from the usual AWS environment.
pub async fn load_config() -> SdkConfig {
    aws_config::load_from_env().await
}
