//! What the loops need of the world, as traits.
//!
//! The functions are written against these; `adapters` gives them AWS, `testkit` a world in memory that fails on
//! command. Each trait says what its callers may rely on.

#![allow(async_fn_in_trait, reason = "one thread in each function: no future needs to be Send")]

mod approvals;
mod cases;
mod experiments;
mod findings;
mod guardrail;
mod ledger;
mod logs;
mod outcomes;
mod preflight;
mod regression;
mod signals;
mod timeouts;

use flywheel_engine::documents::Document;
use flywheel_engine::sync::answers::{DocumentState, Job, Object};
use flywheel_engine::sync::{Account, Asked, Plan, Source};
use flywheel_model::{Answer, DataSourceId, DocumentId, Event};
use jiff::Timestamp;

pub use approvals::{ApprovalTasks, Approvals, KeptApproval, Notices, stands};
pub use cases::{CaseStore, Datasets, Freshness, Inquiries, Known, Scores, ShelfState};
pub use experiments::{CountedSignals, ExperimentStore, FeatureFlags, FlagAnswer, IntentTraffic, KeptOutcomes, PromptLibrary, UNITS};
pub use findings::{Alarms, Histories, Looked, Memory, Questions, Refreshes};
pub use guardrail::{Found, Guardrail, guard};
pub use ledger::{APPENDED, LedgerStore};
pub use logs::{Bodies, Conversations, Group, KeptSpan, Salt, SignalQueue, Spans};
pub use outcomes::{Cooldowns, OutcomeStore, Pending};
pub use preflight::{Checks, Denials, JobFailure, Jobs, Releases, ResourceTypes, Surroundings};
pub use regression::{
    AssistantUnderTest, ConversationIndex, NoReply, Noted, OpenFinding, Proposer, Reply, Suites, WrittenSuite, read_noted,
};
pub use signals::{Counted, Counts, Observations, SignalStore};
pub use timeouts::{KeptRuns, Settings, Taken, TimeoutStore};

/// Something that this process needs did not answer, or not now. Trying again later is the remedy, and the queue does
/// that.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what}: {why}")]
pub struct Unavailable {
    /// What was asked.
    pub what: &'static str,
    /// What came instead.
    pub why: String,
}

/// Why a question to Bedrock has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoAnswer {
    /// Not now: asking again later is the remedy.
    #[error("{0}")]
    Later(String),
    /// It is refused, and asking again will not mend that.
    #[error("{0}")]
    Refused(String),
}

/// Where changes of documents are recorded.
pub trait ChangeLog {
    /// What is recorded of a document in a data source.
    async fn document(&self, source: &DataSourceId, document: &DocumentId) -> Result<Option<Document>, Unavailable>;

    /// Records a document if nobody else has since `document.revision` was read. `false` if somebody has.
    async fn save_document(&self, source: &DataSourceId, document: &Document) -> Result<bool, Unavailable>;

    /// Notes that changes of a data source were recorded.
    async fn touch(&self, source: &DataSourceId, now: Timestamp) -> Result<(), Unavailable>;
}

/// Where the state of the document loop is recorded.
pub trait SyncStore: ChangeLog {
    /// The account and all data sources of which anything is recorded. Reads see every write that was acknowledged.
    async fn overview(&self) -> Result<Overview, Unavailable>;

    /// The first `limit` pending documents of a data source, those that changed first coming first.
    async fn pending(&self, source: &DataSourceId, limit: usize) -> Result<Vec<Document>, Unavailable>;

    /// Records all that a plan claims, or nothing: `false` if somebody else changed any of it since it was read.
    async fn claim(&self, plan: &Plan) -> Result<bool, Unavailable>;

    /// Records the account if nobody else has since `account.revision` was read. `false` if somebody has.
    async fn save_account(&self, account: &Account) -> Result<bool, Unavailable>;

    /// Records a data source if nobody else has since `source.revision` was read. `false` if somebody has.
    async fn save_source(&self, source: &Source) -> Result<bool, Unavailable>;

    /// Notes that a finding asked for a data source to be synchronised, unless it did before.
    async fn ask(&self, source: &DataSourceId, asked: &Asked) -> Result<(), Unavailable>;

    /// Notes for when the next message to wake the loop is on its way.
    async fn set_next_wake(&self, at: Timestamp) -> Result<(), Unavailable>;
}

/// The account and its data sources.
#[derive(Debug, Clone, Default)]
pub struct Overview {
    /// The shared allowances.
    pub account: Account,
    /// The data sources of which anything is recorded.
    pub sources: Vec<Source>,
    /// For when the next message to wake the loop is on its way.
    pub next_wake: Option<Timestamp>,
}

/// The queue that wakes the document loop.
pub trait Wakes {
    /// Wakes the loop after a delay, at most 15 minutes.
    async fn wake(&self, after: jiff::SignedDuration) -> Result<(), Unavailable>;
}

/// The bus.
pub trait Bus {
    /// Publishes events: all of them, or an error. Publishing one again does no harm, its id tells.
    async fn publish(&self, events: &[Event]) -> Result<(), Unavailable>;
}

/// The documents' buckets.
pub trait Buckets {
    /// What an object is at present; nothing if there is none.
    async fn look(&self, document: &DocumentId) -> Result<Option<Object>, Unavailable>;
}

/// Bedrock's knowledge bases. Answers are values: a conflict is as normal as a success.
pub trait KnowledgeBases {
    /// Whether this is an S3 data source of the bucket. `Ok(Some(problem))` says what is wrong, with the fix.
    async fn verify(&self, source: &DataSourceId, bucket: &str) -> Result<Option<String>, NoAnswer>;

    /// Starts an ingestion job. The same token gives the same job.
    async fn start_job(&self, source: &DataSourceId, client_token: &str) -> Answer;

    /// Looks at a job.
    async fn job(&self, source: &DataSourceId, job: &str) -> Result<Job, NoAnswer>;

    /// Takes documents in, those with a metadata file together with it.
    async fn ingest(&self, source: &DataSourceId, documents: &[(DocumentId, Object)]) -> Answer;

    /// Takes documents out.
    async fn delete(&self, source: &DataSourceId, documents: &[DocumentId]) -> Answer;

    /// The states of documents, in their order.
    async fn document_states(&self, source: &DataSourceId, documents: &[DocumentId]) -> Result<Vec<DocumentState>, NoAnswer>;
}
