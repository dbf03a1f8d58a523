//! The ports of the loops on AWS. Architecture invariant: only this crate knows the AWS SDK.

mod bodies;
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
mod s3;
mod signal_queue;
mod signals;
mod spans;
mod state;
mod table;
mod wakes;

pub use bodies::InvocationLogBucket;
pub use buckets::S3Buckets;
pub use bus::EventBridgeBus;
pub use config::load_config;
pub use findings::FindingTable;
pub use knowledge_bases::BedrockKnowledgeBases;
pub use ledger::Ledger;
pub use observations::S3Observations;
pub use policy::{PolicySource, PolicyUnavailable};
pub use questions::BedrockQuestions;
pub use signal_queue::{ConversationQueue, SqsSignals};
pub use signals::SignalTable;
pub use spans::SpanTable;
pub use state::StateTable;
pub use wakes::WakeQueue;
