//! Knowledge bases as one AWS account in one Region has them: pure, synchronous, and with no clock of its own.
//!
//! Every operation takes the time at which it happens. State moves on lazily: each operation first brings the account
//! up to its time ([`Bedrock::advance`]), so between two calls nothing needs to run. The same calls at the same times
//! give the same answers, identifiers included. Time never runs backwards: an operation that carries an earlier time
//! than the one before it happens at the same time as that one.
//!
//! An operation goes through the service's gates in this order: the rate of its kind (which it uses up whatever comes
//! after), failures on command, the form of its parameters, the existence of what it names, its client token, and then
//! what excludes it (a job on the data source, in the knowledge base, too many in the account).

mod calls;
mod documents;
mod error;
mod faults;
mod jobs;
mod quotas;
mod resources;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

pub use calls::{Call, Operation, Outcome, Violation};
pub use documents::{
    Document, DocumentDetail, DocumentPage, DocumentStatus, IndexChange, IngestDocument, Location, ObjectVersion, SUPPORTED_EXTENSIONS,
};
pub use error::{ApiError, CallError, ErrorCode};
pub use faults::{Effect, Fault};
pub use jobs::{Job, JobPage, JobStatus, Object, StartIngestionJob, Statistics};
pub use quotas::{Limit, Quotas, Speed};
pub use resources::{DataSource, DataSourceKind, KnowledgeBase, NewDataSource, NewKnowledgeBase};

use documents::DirectRequest;
use error::Refusal;
use faults::{Faults, Strike};
use quotas::Rates;

/// The knowledge bases of one account in one Region.
#[derive(Clone, Debug)]
pub struct Bedrock {
    quotas: Quotas,
    speed: Speed,
    now: Timestamp,
    rates: Rates,
    faults: Faults,
    delay: SignedDuration,
    knowledge_bases: BTreeMap<String, KnowledgeBase>,
    data_sources: BTreeMap<String, resources::Source>,
    /// Data sources with a job or direct requests under way: all that time can change.
    busy: BTreeSet<String>,
    jobs: Vec<jobs::Run>,
    start_tokens: BTreeMap<String, jobs::StartToken>,
    direct_tokens: BTreeMap<String, DirectRequest>,
    ids_given: u64,
    calls: Vec<Call>,
    violations: Vec<Violation>,
    index_changes: Vec<IndexChange>,
}

impl Default for Bedrock {
    fn default() -> Self {
        Self::new(Quotas::default(), Speed::default())
    }
}

impl Bedrock {
    /// An account without knowledge bases.
    #[must_use]
    pub fn new(quotas: Quotas, speed: Speed) -> Self {
        Self {
            rates: Rates::new(&quotas),
            quotas,
            speed,
            now: Timestamp::MIN,
            faults: Faults::default(),
            delay: SignedDuration::ZERO,
            knowledge_bases: BTreeMap::new(),
            data_sources: BTreeMap::new(),
            busy: BTreeSet::new(),
            jobs: Vec::new(),
            start_tokens: BTreeMap::new(),
            direct_tokens: BTreeMap::new(),
            ids_given: 0,
            calls: Vec::new(),
            violations: Vec::new(),
            index_changes: Vec::new(),
        }
    }

    /// The limits in force.
    #[must_use]
    pub fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// How long things take.
    #[must_use]
    pub fn speed(&self) -> &Speed {
        &self.speed
    }

    /// Brings every job and direct request up to this time. Every operation does this first; call it to see
    /// [`documents`](Self::documents), [`jobs`](Self::jobs) or the index changes as they are at a time.
    pub fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        if self.busy.is_empty() {
            return;
        }
        for data_source in std::mem::take(&mut self.busy) {
            let job_under_way = self.advance_job(&data_source);
            let direct_under_way = self.advance_direct(&data_source);
            if job_under_way || direct_under_way {
                self.busy.insert(data_source);
            }
        }
    }

    /// When the next job or direct request will be done, if anything is under way: where a simulation can skip to.
    #[must_use]
    pub fn next_end(&self) -> Option<Timestamp> {
        self.busy
            .iter()
            .filter_map(|id| self.data_sources.get(id))
            .flat_map(|source| {
                let job = source.job.map(|job| self.jobs[job].ends_at());
                job.into_iter().chain(source.direct.iter().map(documents::Direct::done_at))
            })
            .min()
    }

    /// Queues a failure.
    pub fn inject(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Forgets the failures still queued.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// The failures still queued.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        self.faults.pending()
    }

    /// How late the answer to the last call is to be ([`Effect::Delay`]); zero after it was asked once. The core has
    /// no clock, so whoever passes the answer on does the waiting.
    pub fn take_delay(&mut self) -> SignedDuration {
        std::mem::take(&mut self.delay)
    }

    /// Every call since the start, in order.
    #[must_use]
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Every call that was refused because it asked for more than a quota allows.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Forgets the calls and violations so far.
    pub fn forget_calls(&mut self) {
        self.calls.clear();
        self.violations.clear();
    }

    /// What entered or left the index since this was last asked, in order.
    pub fn drain_index_changes(&mut self) -> Vec<IndexChange> {
        std::mem::take(&mut self.index_changes)
    }

    /// `Retrieve`, as far as the service's gates go: what is found is not the core's business.
    pub fn retrieve(&mut self, now: Timestamp, knowledge_base: &str) -> Result<(), CallError> {
        self.call(now, Operation::Retrieve, knowledge_base, "", |this| this.knowledge_base(knowledge_base).map(|_| ()))
    }

    /// Takes a call through the gates that all operations share, performs it, and records it.
    fn call<T>(
        &mut self,
        now: Timestamp,
        operation: Operation,
        knowledge_base: &str,
        data_source: &str,
        perform: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<T, CallError> {
        self.advance(now);
        self.delay = self.faults.delay(operation, knowledge_base, data_source);
        let (result, outcome) = if self.faults.loses_request(operation, knowledge_base, data_source) {
            (Err(CallError::ConnectionLost), Outcome::NeverArrived)
        } else {
            self.admit_and_perform(operation, knowledge_base, data_source, perform)
        };
        self.calls.push(Call {
            at: self.now,
            operation,
            knowledge_base: knowledge_base.to_owned(),
            data_source: data_source.to_owned(),
            outcome,
        });
        result
    }

    fn admit_and_perform<T>(
        &mut self,
        operation: Operation,
        knowledge_base: &str,
        data_source: &str,
        perform: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> (Result<T, CallError>, Outcome) {
        let mut strike = None;
        let done = if self.rates.admit(operation, self.now) {
            strike = self.faults.strike(operation, knowledge_base, data_source);
            match &strike {
                Some(Strike::Refuse(error)) => Err(Refusal { error: error.clone(), limit: None }),
                Some(Strike::LoseRequest) => return (Err(CallError::ConnectionLost), Outcome::NeverArrived),
                _ => perform(self),
            }
        } else {
            let code = ErrorCode::Throttling;
            Err(Refusal::over(Limit::Rate, code, code.default_message()))
        };
        match (done, strike) {
            (Ok(_), Some(Strike::LoseAnswer)) => (Err(CallError::ConnectionLost), Outcome::PerformedWithoutAnswer),
            (Ok(_), Some(Strike::PerformThenRefuse(error))) => (Err(CallError::Api(error)), Outcome::PerformedWithoutAnswer),
            (Ok(value), _) => (Ok(value), Outcome::Answered),
            (Err(refusal), strike) => {
                if let Some(limit) = refusal.limit {
                    self.violations.push(Violation {
                        at: self.now,
                        operation,
                        knowledge_base: knowledge_base.to_owned(),
                        data_source: data_source.to_owned(),
                        limit,
                        error: refusal.error.code,
                        message: refusal.error.message.clone(),
                    });
                }
                let outcome = Outcome::Refused(refusal.error.code);
                match strike {
                    Some(Strike::LoseAnswer) => (Err(CallError::ConnectionLost), outcome),
                    _ => (Err(CallError::Api(refusal.error)), outcome),
                }
            }
        }
    }

    /// A new identifier of the API's form, ten letters and digits.
    fn next_id(&mut self, prefix: &str) -> String {
        self.ids_given += 1;
        format!("{prefix}{:0width$}", self.ids_given, width = 10 - prefix.len())
    }
}

/// Whether an identifier has the API's form: ten letters and digits.
fn check_id(what: &str, id: &str) -> Result<(), Refusal> {
    if id.len() == 10 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "Value '{id}' at '{what}' failed to satisfy constraint: Member must satisfy regular expression pattern: \
         [0-9a-zA-Z]{{10}}"
    )))
}

/// Whether a client token has the API's form: 33 to 256 characters, `[a-zA-Z0-9](-*[a-zA-Z0-9])*`.
fn check_client_token(token: &str) -> Result<(), Refusal> {
    let bytes = token.as_bytes();
    let alphanumeric = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let well_formed = (33..=256).contains(&bytes.len())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        && alphanumeric(bytes.first())
        && alphanumeric(bytes.last());
    if well_formed {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "Value '{token}' at 'clientToken' failed to satisfy constraint: Member must have length between 33 and 256 and \
         satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){{0,256}}"
    )))
}
