//! What was asked of the service, kept so that tests can hold callers to the quotas.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::ErrorCode;
use super::quotas::Limit;

/// The operations served, by their API names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)] // The names are the API's own.
pub enum Operation {
    StartIngestionJob,
    GetIngestionJob,
    ListIngestionJobs,
    StopIngestionJob,
    IngestKnowledgeBaseDocuments,
    DeleteKnowledgeBaseDocuments,
    GetKnowledgeBaseDocuments,
    ListKnowledgeBaseDocuments,
    CreateKnowledgeBase,
    GetKnowledgeBase,
    ListKnowledgeBases,
    DeleteKnowledgeBase,
    CreateDataSource,
    GetDataSource,
    ListDataSources,
    DeleteDataSource,
    Retrieve,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The caller got its answer.
    Answered,
    /// The caller was refused.
    Refused(ErrorCode),
    /// It took effect, and the answer was lost or replaced by an error on command.
    PerformedWithoutAnswer,
    /// It never arrived, on command.
    NeverArrived,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// When.
    pub at: Timestamp,
    /// What.
    pub operation: Operation,
    /// On which knowledge base; empty if the operation names none.
    pub knowledge_base: String,
    /// On which data source; empty if the operation names none.
    pub data_source: String,
    /// With what end.
    pub outcome: Outcome,
}

/// A call that ran into a limit: what the service refused because the caller asked for more than a quota allows.
/// Refusals on command are not among these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// When.
    pub at: Timestamp,
    /// What was asked.
    pub operation: Operation,
    /// On which knowledge base.
    pub knowledge_base: String,
    /// On which data source.
    pub data_source: String,
    /// Which limit.
    pub limit: Limit,
    /// What the caller was answered.
    pub error: ErrorCode,
    /// In which words.
    pub message: String,
}
