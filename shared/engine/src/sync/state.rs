//! What is recorded of the account and of each data source.

use flywheel_model::{DataSourceId, HoldReason, Id};
use flywheel_policy::Quotas;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Allowance;

/// The account's shared allowances. Every claim that uses one writes this record, and so no two processes can both use
/// the last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Counts the writes.
    pub revision: u64,
    /// Until when the process that took from the allowances last may be making its requests. Nobody else takes any
    /// before: two that make requests at the same time could exceed a rate although each kept to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calling_until: Option<Timestamp>,
    /// `StartIngestionJob` requests.
    pub starts: Allowance,
    /// Direct ingestion and deletion requests.
    pub sends: Allowance,
    /// `GetKnowledgeBaseDocuments` requests.
    pub reads: Allowance,
    /// The clock hour that the two counts below belong to, in hours since 1970.
    pub hour: i64,
    /// Jobs started in that hour.
    pub hour_starts: u32,
    /// Documents sent in that hour.
    pub hour_documents: u32,
}

/// When the requests that use an allowance were answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answered {
    /// `StartIngestionJob` requests.
    pub starts: Vec<Timestamp>,
    /// Direct ingestion and deletion requests.
    pub sends: Vec<Timestamp>,
    /// `GetKnowledgeBaseDocuments` requests.
    pub reads: Vec<Timestamp>,
}

impl Account {
    /// The account once the requests that were taken from the allowances of `before` are made.
    #[must_use]
    pub fn called(mut self, before: &Self, answered: &Answered, quotas: &Quotas, now: Timestamp) -> Self {
        self.calling_until = None;
        self.starts = self.starts.made(before.starts, quotas.job_starts_per_second, &answered.starts, now);
        self.sends = self.sends.made(before.sends, quotas.direct_requests_per_second, &answered.sends, now);
        self.reads = self.reads.made(before.reads, quotas.document_reads_per_second, &answered.reads, now);
        self
    }
}

/// What is recorded of one data source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Which data source.
    pub id: DataSourceId,
    /// Counts the writes of everything below but `changes` and `touched_at`.
    #[serde(skip)]
    pub revision: u64,
    /// Counts the times that changes were recorded. Whoever records a change adds to it without reading the rest.
    #[serde(skip)]
    pub changes: u64,
    /// When a change was last recorded.
    #[serde(skip)]
    pub touched_at: Option<Timestamp>,
    /// What a finding asked for last. Whoever asks writes it without reading the rest.
    #[serde(skip)]
    pub asked: Option<Asked>,
    /// The finding that was answered last.
    #[serde(default)]
    pub answered: Option<Id>,
    /// The value of `changes` at which no document was pending.
    pub clean: u64,
    /// Counts the jobs claimed.
    pub generation: u64,
    /// What is under way.
    pub work: Work,
    /// When a job was last claimed.
    pub last_start: Option<Timestamp>,
    /// When documents were last sent directly.
    pub last_send: Option<Timestamp>,
    /// When sent documents are to be looked at.
    pub check_at: Option<Timestamp>,
    /// The bucket for which Bedrock confirmed that this is an S3 data source of it.
    pub verified: Option<String>,
    /// Refusals and failed jobs since the last success.
    pub failures: u32,
    /// Conflicts, throttled and lost requests since the last success.
    pub pushbacks: u32,
    /// Nothing is tried before a time, and why.
    pub wait: Option<Wait>,
    /// It was tried as often as the policy allows.
    pub quarantine: Option<Quarantine>,
    /// The hold that was last announced: one that stays the same is said once.
    pub announced: Option<HoldReason>,
}

/// A finding asks for a data source to be synchronised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The finding.
    pub finding: Id,
    /// When it asked.
    pub at: Timestamp,
}

/// What is under way on a data source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "snake_case")]
pub enum Work {
    /// Nothing.
    Idle,
    /// A job is claimed; whether it was started is not known yet.
    Starting {
        /// The token it is started with, however often.
        client_token: String,
        /// Changes dated up to here are in the bucket that the job reads.
        covers: Timestamp,
        /// From here on another process may ask again with the same token.
        lease: Timestamp,
        /// The decision to start it.
        decision: Id,
        /// An answer was lost: it may be running, whatever is answered to the next request.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        lost: bool,
    },
    /// A job is running.
    Running {
        /// Bedrock's id of it.
        job: String,
        /// Changes dated up to here are in the bucket that the job reads.
        covers: Timestamp,
        /// When to look at it next.
        poll_at: Timestamp,
        /// The decision to start it.
        decision: Id,
    },
    /// A job has ended; the fates of its documents are being recorded.
    Settling {
        /// Changes dated up to here were in the bucket that the job read.
        covers: Timestamp,
        /// Documents failed or were skipped, so each document's state is asked for.
        verify: bool,
        /// When to look again.
        check_at: Timestamp,
        /// The outcome of the job.
        outcome: Id,
    },
}

/// A pause and its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// When it ends.
    pub until: Timestamp,
    /// Why.
    pub reason: HoldReason,
}

/// A data source that is left alone until something changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// What Bedrock said last.
    pub reason: String,
    /// `changes` at that time: a further change tries again.
    pub changes: u64,
    /// The policy's version at that time: another policy tries again.
    pub policy: String,
}

impl Source {
    /// A data source of which nothing is known yet.
    #[must_use]
    pub const fn new(id: DataSourceId) -> Self {
        Self {
            id,
            revision: 0,
            changes: 0,
            touched_at: None,
            asked: None,
            answered: None,
            clean: 0,
            generation: 0,
            work: Work::Idle,
            last_start: None,
            last_send: None,
            check_at: None,
            verified: None,
            failures: 0,
            pushbacks: 0,
            wait: None,
            quarantine: None,
            announced: None,
        }
    }

    /// What a finding asked for, if that is still to be told to be done.
    #[must_use]
    pub fn unanswered(&self) -> Option<&Asked> {
        self.asked.as_ref().filter(|asked| self.answered.as_ref() != Some(&asked.finding))
    }

    /// Whether documents may be pending or something is under way.
    #[must_use]
    pub fn needs_attention(&self) -> bool {
        self.changes != self.clean || self.work != Work::Idle
    }

    /// Whether it holds one of the account's job slots, as far as is known.
    #[must_use]
    pub const fn has_job(&self) -> bool {
        matches!(self.work, Work::Starting { .. } | Work::Running { .. })
    }
}
