//! The ports of the loops on AWS. Architecture invariant: only this crate knows the AWS SDK.

mod buckets;
mod bus;
mod config;
mod error;
mod findings;
mod knowledge_bases;
mod ledger;
mod observations;
mod policy;
mod questions;
mod signals;
mod state;
mod wakes;

pub use buckets::S3Buckets;
pub use bus::EventBridgeBus;
pub use findings::FindingTable;
pub use config::load_config;
pub use knowledge_bases::BedrockKnowledgeBases;
pub use ledger::Ledger;
pub use observations::S3Observations;
pub use policy::{PolicySource, PolicyUnavailable};
pub use questions::BedrockQuestions;
pub use signals::SignalTable;
pub use state::StateTable;
pub use wakes::WakeQueue;
