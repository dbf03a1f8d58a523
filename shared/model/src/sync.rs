//! What the document loop decides, does and learns.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ChangeKind, DataSourceId, DocumentId};

/// A complete action: whoever carries it out chooses nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Start an ingestion job, which reads the whole data source.
    StartJob {
        /// The data source to synchronise.
        data_source: DataSourceId,
        /// Bedrock starts one job for a token, however often it is asked.
        client_token: String,
        /// Changes that S3 dates up to here are in the bucket that the job reads.
        covers: Timestamp,
        /// Decided only: the policy says dry run.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dry_run: bool,
    },
    /// Ingest or delete these documents directly.
    SendDocuments {
        /// The data source they belong to.
        data_source: DataSourceId,
        /// The documents, at most as many as one request takes.
        documents: Vec<SentDocument>,
        /// Decided only: the policy says dry run.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dry_run: bool,
    },
}

/// A document in a direct request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentDocument {
    /// Which document.
    pub document: DocumentId,
    /// What the last change was.
    pub change: ChangeKind,
    /// Which try this is, from 1.
    pub attempt: u32,
}

/// A reasoned "not now".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The data source that waits.
    pub data_source: DataSourceId,
    /// Why.
    pub reason: HoldReason,
    /// When it will be looked at again, where a time decides that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Why a data source waits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum HoldReason {
    /// Changes are still coming; a job now would miss the next.
    Settling,
    /// Its own job is running.
    JobRunning,
    /// Another data source of its knowledge base has a job running.
    KnowledgeBaseBusy {
        /// The data source whose turn it is.
        data_source: DataSourceId,
    },
    /// As many jobs run in the account as may.
    AccountFull,
    /// The rate of requests is used up for the moment.
    Rate,
    /// Direct ingestion is under way; a job would conflict with it.
    DirectIngestionRunning,
    /// The policy's pause between two jobs of one data source.
    Cooldown,
    /// The policy's cap for an hour is reached.
    HourlyCap,
    /// Bedrock said that something else is at work on it: a job that Flywheel did not start.
    Conflict,
    /// Bedrock said that requests come too fast.
    Throttled,
    /// A failed attempt is tried again later.
    Backoff {
        /// What failed.
        reason: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// The policy says dry run.
    DryRun,
    /// It was tried as often as the policy allows. The next change, or a changed policy, tries again.
    Quarantined {
        /// What Bedrock said last.
        reason: String,
    },
}

impl HoldReason {
    /// The word for tables and metrics.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Settling => "settling",
            Self::JobRunning => "job running",
            Self::KnowledgeBaseBusy { .. } => "knowledge base busy",
            Self::AccountFull => "account full",
            Self::Rate => "rate",
            Self::DirectIngestionRunning => "direct ingestion running",
            Self::Cooldown => "cooldown",
            Self::HourlyCap => "hourly cap",
            Self::Conflict => "conflict",
            Self::Throttled => "throttled",
            Self::Backoff { .. } => "backoff",
            Self::DryRun => "dry run",
            Self::Quarantined { .. } => "quarantined",
        }
    }
}

/// What came of carrying an action out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Where.
    pub data_source: DataSourceId,
    /// Bedrock's answer.
    pub answer: Answer,
}

/// Bedrock's answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// A job was started (or had been, with this token).
    JobStarted {
        /// Bedrock's id of the job.
        job: String,
    },
    /// The documents were taken in for ingestion or deletion.
    DocumentsAccepted {
        /// How many.
        documents: u32,
    },
    /// Something else is at work on the data source, the knowledge base or all of the account's slots.
    Conflict {
        /// Bedrock's words.
        message: String,
    },
    /// Requests come too fast.
    Throttled {
        /// Bedrock's words.
        message: String,
    },
    /// It cannot be done: not found, not permitted, not valid.
    Refused {
        /// Bedrock's error and words.
        message: String,
    },
    /// No answer came. It may have been done.
    Lost {
        /// What came instead.
        message: String,
    },
}

/// How an ingestion job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Where.
    pub data_source: DataSourceId,
    /// Bedrock's id of the job.
    pub job: String,
    /// How it ended.
    pub end: JobEnd,
    /// Bedrock's counts.
    pub statistics: JobStatistics,
    /// Bedrock's reasons, shortened to 2,000 characters together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobEnd {
    /// All documents that it met are indexed.
    Complete,
    /// It came to its end, but documents failed.
    CompleteWithFailures,
    /// It failed as a whole.
    Failed,
    /// Somebody stopped it.
    Stopped,
}

/// Bedrock's counts of a job (`IngestionJobStatistics`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStatistics {
    /// Documents looked at.
    pub scanned: u64,
    /// New documents indexed.
    pub added: u64,
    /// Changed documents indexed again.
    pub modified: u64,
    /// Documents taken out of the index.
    pub deleted: u64,
    /// Documents that could not be indexed.
    pub failed: u64,
}

/// The fate of one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentOutcome {
    /// Where.
    pub data_source: DataSourceId,
    /// Which document.
    pub document: DocumentId,
    /// What became of its last change.
    pub fate: Fate,
}

/// What became of a document's last change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Fate {
    /// The index has its present content.
    Indexed,
    /// The index no longer has it.
    Deleted,
    /// It cannot be indexed; it will be tried again when it changes.
    Quarantined {
        /// Bedrock's reason.
        reason: String,
    },
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Indexed => f.write_str("indexed"),
            Self::Deleted => f.write_str("deleted"),
            Self::Quarantined { reason } => write!(f, "quarantined: {reason}"),
        }
    }
}
