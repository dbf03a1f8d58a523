//! What an account may do at once and how fast, and how long things take.
//!
//! The defaults are the published ones: "Amazon Bedrock endpoints and quotas" in the AWS General Reference (ingestion
//! jobs, request rates), and the model of `aws-sdk-bedrockagent` (documents in a request, where the two disagree).

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::calls::Operation;

/// The limits that the service enforces. A rate that is not a positive finite number means "no limit".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// Ingestion jobs running at once in the account and Region: 5, not adjustable.
    pub running_jobs: u32,
    /// Ingestion jobs running at once in one knowledge base: 1, not adjustable.
    pub running_jobs_per_knowledge_base: u32,
    /// Ingestion jobs running at once on one data source: 1, not adjustable.
    pub running_jobs_per_data_source: u32,
    /// `StartIngestionJob` requests a second, account-wide: 0.1, with no burst. A start that is refused for another
    /// reason has used its place all the same.
    pub job_starts_per_second: f64,
    /// `IngestKnowledgeBaseDocuments` requests a second, and as many again for `DeleteKnowledgeBaseDocuments`: 5.
    pub direct_requests_per_second: f64,
    /// `GetKnowledgeBaseDocuments` requests a second, and as many for `ListKnowledgeBaseDocuments`: 5.
    pub get_documents_per_second: f64,
    /// `GetIngestionJob` requests a second, and as many for `ListIngestionJobs`: 10.
    pub get_job_per_second: f64,
    /// `Retrieve` requests a second: 20.
    pub retrieves_per_second: f64,
    /// Documents in one direct request. The quota page says 25, the SDK's model 10; the stricter one is the default.
    pub documents_per_request: usize,
    /// The largest document: 50 MB.
    pub document_bytes: u64,
    /// How long a client token is remembered; for ever if not set. AWS does not say; some report minutes.
    pub client_token_lifetime: Option<SignedDuration>,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            running_jobs: 5,
            running_jobs_per_knowledge_base: 1,
            running_jobs_per_data_source: 1,
            job_starts_per_second: 0.1,
            direct_requests_per_second: 5.0,
            get_documents_per_second: 5.0,
            get_job_per_second: 10.0,
            retrieves_per_second: 20.0,
            documents_per_request: 10,
            document_bytes: 50 * 1024 * 1024,
            client_token_lifetime: None,
        }
    }
}

/// How long the service takes. Real jobs take minutes; the defaults keep their shape and not their length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Speed {
    /// What a job takes before its first document. For the first fifth of it the job is STARTING.
    pub job_overhead: SignedDuration,
    /// What a job takes for each document that it indexes, deletes or fails. Unchanged documents cost nothing.
    pub per_document: SignedDuration,
    /// From a direct request's answer until its documents are indexed or gone.
    pub direct_latency: SignedDuration,
    /// From a stop request until the job is STOPPED.
    pub stop_latency: SignedDuration,
}

impl Default for Speed {
    fn default() -> Self {
        Self {
            job_overhead: SignedDuration::from_secs(5),
            per_document: SignedDuration::from_millis(20),
            direct_latency: SignedDuration::from_secs(3),
            stop_latency: SignedDuration::from_secs(1),
        }
    }
}

/// A limit that a caller ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// More requests a second than allowed.
    Rate,
    /// Too many jobs in the account.
    JobsInAccount,
    /// A job runs in the knowledge base, on another of its data sources.
    JobInKnowledgeBase,
    /// A job runs on the data source.
    JobOnDataSource,
    /// Direct ingestion is under way on the data source, so no job can start.
    DirectOnDataSource,
    /// More documents in a request than allowed.
    DocumentsInRequest,
}

/// A token bucket kept as the time at which it will be full again, in whole nanoseconds: exact, so that a caller who
/// waits precisely `1 / rate` is let in.
#[derive(Clone, Debug)]
struct Bucket {
    interval: i128,
    burst: i128,
    full_at: i128,
}

impl Bucket {
    fn new(rate: f64, burst: f64) -> Option<Self> {
        #[allow(clippy::cast_possible_truncation)]
        (rate.is_finite() && rate > 0.0).then(|| Self {
            interval: (1e9 / rate).round() as i128,
            burst: burst.max(1.0).floor() as i128,
            full_at: i128::MIN,
        })
    }

    fn take(&mut self, now: Timestamp) -> bool {
        let now = now.as_nanosecond();
        let full_at = self.full_at.max(now);
        let admitted = full_at + self.interval <= now + self.burst * self.interval;
        if admitted {
            self.full_at = full_at + self.interval;
        }
        admitted
    }
}

/// The buckets of one account.
#[derive(Clone, Debug)]
pub(crate) struct Rates {
    buckets: Vec<(Operation, Option<Bucket>)>,
}

impl Rates {
    pub(crate) fn new(quotas: &Quotas) -> Self {
        let steady = |rate: f64| Bucket::new(rate, rate);
        Self {
            buckets: vec![
                (Operation::StartIngestionJob, Bucket::new(quotas.job_starts_per_second, 1.0)),
                (Operation::IngestKnowledgeBaseDocuments, steady(quotas.direct_requests_per_second)),
                (Operation::DeleteKnowledgeBaseDocuments, steady(quotas.direct_requests_per_second)),
                (Operation::GetKnowledgeBaseDocuments, steady(quotas.get_documents_per_second)),
                (Operation::ListKnowledgeBaseDocuments, steady(quotas.get_documents_per_second)),
                (Operation::GetIngestionJob, steady(quotas.get_job_per_second)),
                (Operation::ListIngestionJobs, steady(quotas.get_job_per_second)),
                (Operation::Retrieve, steady(quotas.retrieves_per_second)),
            ],
        }
    }

    /// Takes a token; `false` if there is none.
    pub(crate) fn admit(&mut self, operation: Operation, now: Timestamp) -> bool {
        self.buckets
            .iter_mut()
            .find(|(limited, _)| *limited == operation)
            .and_then(|(_, bucket)| bucket.as_mut())
            .is_none_or(|bucket| bucket.take(now))
    }
}
