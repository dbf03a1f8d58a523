//! The ports of the loops on AWS. Architecture invariant: only this crate knows the AWS SDK.

mod buckets;
mod bus;
mod config;
mod error;
mod knowledge_bases;
mod ledger;
mod policy;
mod state;
mod wakes;

pub use buckets::S3Buckets;
pub use bus::EventBridgeBus;
pub use config::load_config;
pub use knowledge_bases::BedrockKnowledgeBases;
pub use ledger::Ledger;
pub use policy::{PolicySource, PolicyUnavailable};
pub use state::StateTable;
pub use wakes::WakeQueue;
