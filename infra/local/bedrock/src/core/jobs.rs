//! Ingestion jobs: one pass over a bucket, that brings the index in step with what was listed when it started.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::documents::{DocumentStatus, ObjectVersion, Verdict, is_metadata, judge, page_size};
use super::error::{CallError, ErrorCode, Refusal};
use super::faults::JobFate;
use super::quotas::Limit;
use super::resources::{DataSourceKind, Source};
use super::{Bedrock, Operation, check_client_token, check_id};

/// The most characters that a failure reason may have in the API.
const REASON_CHARACTERS: usize = 2048;

/// An object in a bucket's listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its ETag.
    pub etag: String,
}

impl Object {
    /// This key with this content's size and ETag.
    pub fn new(key: impl Into<String>, size: u64, etag: impl Into<String>) -> Self {
        Self { key: key.into(), size, etag: etag.into() }
    }
}

/// The states of a job, by their API names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)] // The names are the API's own.
pub enum JobStatus {
    Starting,
    InProgress,
    Complete,
    Failed,
    Stopping,
    Stopped,
}

impl JobStatus {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "STARTING",
            Self::InProgress => "IN_PROGRESS",
            Self::Complete => "COMPLETE",
            Self::Failed => "FAILED",
            Self::Stopping => "STOPPING",
            Self::Stopped => "STOPPED",
        }
    }

    /// Whether the job is over and will not change any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Complete | Self::Failed | Self::Stopped)
    }
}

/// What a job has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statistics {
    /// Documents listed, changed or not; sidecars and folder placeholders are not documents.
    pub number_of_documents_scanned: u64,
    /// Sidecars listed.
    pub number_of_metadata_documents_scanned: u64,
    /// Documents indexed that were not in the index before.
    pub number_of_new_documents_indexed: u64,
    /// Documents indexed in place of another version.
    pub number_of_modified_documents_indexed: u64,
    /// Sidecars that are new, changed or gone.
    pub number_of_metadata_documents_modified: u64,
    /// Documents that left the index because the bucket has them no more.
    pub number_of_documents_deleted: u64,
    /// Documents that could not be indexed, those of unsupported types among them.
    pub number_of_documents_failed: u64,
    /// Always 0: the service does not say what it counts here.
    pub number_of_documents_skipped: u64,
}

/// An ingestion job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Job {
    /// Ten letters and digits.
    pub id: String,
    /// The knowledge base.
    pub knowledge_base: String,
    /// The data source.
    pub data_source: String,
    /// What the caller wrote.
    pub description: Option<String>,
    /// The token that it was started with, for inspection; the API does not show it.
    pub client_token: Option<String>,
    /// Where it stands.
    pub status: JobStatus,
    /// What it has done so far.
    pub statistics: Statistics,
    /// Why it failed, or which documents did.
    pub failure_reasons: Vec<String>,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A request to start a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartIngestionJob {
    /// The knowledge base.
    pub knowledge_base: String,
    /// The data source.
    pub data_source: String,
    /// The token that makes the request repeatable. The SDK always sends one.
    pub client_token: Option<String>,
    /// A note, at most 200 characters.
    pub description: Option<String>,
}

/// A page of jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPage {
    /// The latest first.
    pub jobs: Vec<Job>,
    /// What to ask for the next page with.
    pub next_token: Option<String>,
}

/// What a token stands for.
#[derive(Clone, Debug)]
pub(super) struct StartToken {
    request: StartIngestionJob,
    job: usize,
    at: Timestamp,
}

/// A job with what is left of it to do.
#[derive(Clone, Debug)]
pub(super) struct Run {
    job: Job,
    in_progress_at: Timestamp,
    first_document_at: Timestamp,
    per_document: SignedDuration,
    steps: Vec<Step>,
    done: usize,
    sidecars: BTreeMap<String, String>,
    fails: Option<String>,
    stop_asked_at: Option<Timestamp>,
    ends_at: Timestamp,
    troubles: BTreeMap<String, Vec<String>>,
}

impl Run {
    pub(super) fn ends_at(&self) -> Timestamp {
        self.ends_at
    }

    fn step_ends_at(&self, step: usize) -> Timestamp {
        let count = i32::try_from(step + 1).unwrap_or(i32::MAX);
        self.first_document_at + self.per_document * count
    }
}

#[derive(Clone, Debug)]
enum Step {
    Index(Object),
    Delete(String),
}

impl Bedrock {
    /// `StartIngestionJob`. `listing` is asked for the bucket's objects if the start is let through, and only then:
    /// the job works on that list, however long it takes. An error from it is a bucket that cannot be read: the job
    /// starts, and ends FAILED.
    pub fn start_ingestion_job(
        &mut self,
        now: Timestamp,
        request: StartIngestionJob,
        listing: impl FnOnce() -> Result<Vec<Object>, String>,
    ) -> Result<Job, CallError> {
        let (knowledge_base, data_source) = (request.knowledge_base.clone(), request.data_source.clone());
        self.call(now, Operation::StartIngestionJob, &knowledge_base, &data_source, |this| {
            if let Some(token) = &request.client_token {
                check_client_token(token)?;
            }
            if request.description.as_ref().is_some_and(|it| !(1..=200).contains(&it.chars().count())) {
                return Err(Refusal::invalid("description must have between 1 and 200 characters"));
            }
            this.source(&request.knowledge_base, &request.data_source)?;
            if let Some(job) = this.started_before(&request)? {
                return Ok(job);
            }
            this.refuse_if_excluded(&request)?;
            Ok(this.start(request, listing()))
        })
    }

    /// `GetIngestionJob`.
    pub fn get_ingestion_job(&mut self, now: Timestamp, knowledge_base: &str, data_source: &str, job: &str) -> Result<Job, CallError> {
        self.call(now, Operation::GetIngestionJob, knowledge_base, data_source, |this| {
            this.find_job(knowledge_base, data_source, job).map(|index| this.jobs[index].job.clone())
        })
    }

    /// `ListIngestionJobs`, the latest first, at most `max_results` (1 to 1,000) a page.
    pub fn list_ingestion_jobs(
        &mut self,
        now: Timestamp,
        knowledge_base: &str,
        data_source: &str,
        max_results: Option<usize>,
        next_token: Option<&str>,
    ) -> Result<JobPage, CallError> {
        self.call(now, Operation::ListIngestionJobs, knowledge_base, data_source, |this| {
            let size = page_size(max_results)?;
            this.source(knowledge_base, data_source)?;
            let mut rest = this
                .jobs
                .iter()
                .rev()
                .map(|run| &run.job)
                .filter(|job| job.data_source == data_source)
                .skip_while(|job| next_token.is_some_and(|token| job.id.as_str() >= token));
            let jobs: Vec<Job> = rest.by_ref().take(size).cloned().collect();
            let last = jobs.last().map(|job| job.id.clone());
            let next_token = rest.next().and(last);
            Ok(JobPage { jobs, next_token })
        })
    }

    /// `StopIngestionJob`: the job is STOPPING at once and STOPPED a little later; what it has done stays.
    pub fn stop_ingestion_job(&mut self, now: Timestamp, knowledge_base: &str, data_source: &str, job: &str) -> Result<Job, CallError> {
        self.call(now, Operation::StopIngestionJob, knowledge_base, data_source, |this| {
            let index = this.find_job(knowledge_base, data_source, job)?;
            let (now, latency) = (this.now, this.speed.stop_latency);
            let run = &mut this.jobs[index];
            if run.job.status.is_final() {
                let message = format!("Ingestion job {job} is {} and cannot be stopped.", run.job.status.name());
                return Err(Refusal::of(ErrorCode::Conflict, message));
            }
            if run.stop_asked_at.is_none() {
                run.stop_asked_at = Some(now);
                run.ends_at = now + latency;
                run.job.status = JobStatus::Stopping;
                run.job.updated_at = now;
            }
            Ok(run.job.clone())
        })
    }

    /// All jobs of the account as of the last call or [`advance`](Self::advance), the oldest first, for inspection.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter().map(|run| &run.job)
    }

    /// The jobs that run as of the last call or [`advance`](Self::advance), for inspection.
    pub fn running_jobs(&self) -> impl Iterator<Item = &Job> {
        self.data_sources.values().filter_map(|source| source.job).map(|index| &self.jobs[index].job)
    }

    fn find_job(&self, knowledge_base: &str, data_source: &str, id: &str) -> Result<usize, Refusal> {
        check_id("ingestionJobId", id)?;
        self.source(knowledge_base, data_source)?;
        // Identifiers are given in ascending order and with leading zeros, so the list is sorted by them.
        self.jobs
            .binary_search_by(|run| run.job.id.as_str().cmp(id))
            .ok()
            .filter(|index| self.jobs[*index].job.data_source == data_source)
            .ok_or_else(|| Refusal::not_found("IngestionJob", id))
    }

    fn started_before(&self, request: &StartIngestionJob) -> Result<Option<Job>, Refusal> {
        let known = request.client_token.as_ref().and_then(|token| self.start_tokens.get(token));
        match known.filter(|known| self.token_is_alive(known.at)) {
            None => Ok(None),
            Some(known) if known.request == *request => Ok(Some(self.jobs[known.job].job.clone())),
            Some(_) => Err(Refusal::invalid("The clientToken was used before with other parameters.")),
        }
    }

    fn refuse_if_excluded(&self, request: &StartIngestionJob) -> Result<(), Refusal> {
        let (knowledge_base, data_source) = (request.knowledge_base.as_str(), request.data_source.as_str());
        let running =
            |matches: &dyn Fn(&Job) -> bool| u32::try_from(self.running_jobs().filter(|job| matches(job)).count()).unwrap_or(u32::MAX);
        if running(&|job| job.data_source == data_source) >= self.quotas.running_jobs_per_data_source {
            let message = format!("An ongoing ingestion job is already running on data source {data_source}.");
            return Err(Refusal::over(Limit::JobOnDataSource, ErrorCode::Conflict, message));
        }
        if running(&|job| job.knowledge_base == knowledge_base) >= self.quotas.running_jobs_per_knowledge_base {
            let message = format!("An ongoing ingestion job is already running in knowledge base {knowledge_base}.");
            return Err(Refusal::over(Limit::JobInKnowledgeBase, ErrorCode::Conflict, message));
        }
        if self.data_sources.get(data_source).is_some_and(|source| !source.direct.is_empty()) {
            let message = format!("Direct ingestion of documents is in progress on data source {data_source}.");
            return Err(Refusal::over(Limit::DirectOnDataSource, ErrorCode::Conflict, message));
        }
        if running(&|_| true) >= self.quotas.running_jobs {
            let most = self.quotas.running_jobs;
            let message = format!("The account has reached its limit of {most} concurrent ingestion jobs.");
            return Err(Refusal::over(Limit::JobsInAccount, ErrorCode::ServiceQuotaExceeded, message));
        }
        Ok(())
    }

    fn start(&mut self, request: StartIngestionJob, listing: Result<Vec<Object>, String>) -> Job {
        let now = self.now;
        let job = Job {
            id: self.next_id("JOB"),
            knowledge_base: request.knowledge_base.clone(),
            data_source: request.data_source.clone(),
            description: request.description.clone(),
            client_token: request.client_token.clone(),
            status: JobStatus::Starting,
            statistics: Statistics::default(),
            failure_reasons: Vec::new(),
            started_at: now,
            updated_at: now,
        };
        let fate = self.faults.job(&request.knowledge_base, &request.data_source);
        let index = self.jobs.len();
        if let Some(source) = self.data_sources.get_mut(&request.data_source) {
            let overhead = self.speed.job_overhead + fate.longer_by;
            self.jobs.push(plan(job.clone(), source, overhead, self.speed.per_document, fate, listing));
            source.job = Some(index);
        }
        self.busy.insert(request.data_source.clone());
        if let Some(token) = request.client_token.clone() {
            self.start_tokens.insert(token, StartToken { request, job: index, at: now });
        }
        job
    }

    /// Moves the job of a data source on; whether it still runs.
    pub(super) fn advance_job(&mut self, data_source: &str) -> bool {
        let Some(source) = self.data_sources.get_mut(data_source) else { return false };
        let Some(run) = source.job.map(|index| &mut self.jobs[index]) else { return false };
        let now = self.now;
        let worked_until = run.stop_asked_at.unwrap_or(now).min(now);
        if run.job.status == JobStatus::Starting && run.in_progress_at <= now {
            run.job.status = JobStatus::InProgress;
            run.job.updated_at = run.in_progress_at;
        }
        let scope = (run.job.knowledge_base.clone(), data_source);
        while run.done < run.steps.len() && run.step_ends_at(run.done) <= worked_until {
            let at = run.step_ends_at(run.done);
            let change = match &run.steps[run.done] {
                Step::Delete(key) => {
                    let change = source.remove(key);
                    run.job.statistics.number_of_documents_deleted += u64::from(change.is_some());
                    change
                }
                Step::Index(object) => {
                    let version = ObjectVersion { size: object.size, etag: object.etag.clone() };
                    let verdict = judge(&self.quotas, &mut self.faults, (&scope.0, scope.1), &object.key, Some(&version));
                    let statistics = &mut run.job.statistics;
                    match &verdict {
                        Verdict::Indexed if source.is_indexed(&object.key) => {
                            statistics.number_of_modified_documents_indexed += 1;
                        }
                        Verdict::Indexed => statistics.number_of_new_documents_indexed += 1,
                        Verdict::Ignored(reason) | Verdict::Failed(reason) => {
                            statistics.number_of_documents_failed += 1;
                            run.troubles.entry(reason.clone()).or_default().push(object.key.clone());
                        }
                    }
                    source.settle(at, &object.key, Some(&object.etag), verdict)
                }
            };
            self.index_changes.extend(change);
            run.done += 1;
            run.job.updated_at = run.job.updated_at.max(at);
        }
        if run.ends_at > now {
            return true;
        }
        finish(run, source);
        false
    }
}

impl Source {
    fn is_indexed(&self, key: &str) -> bool {
        self.documents.get(key).is_some_and(|document| document.indexed_etag.is_some())
    }

    /// Whether a job has nothing to do for this object. What failed or was ignored before is tried again.
    fn is_current(&self, object: &Object) -> bool {
        self.documents
            .get(&object.key)
            .is_some_and(|document| document.status == DocumentStatus::Indexed && document.indexed_etag.as_ref() == Some(&object.etag))
    }
}

/// Lays out what a job will do: its steps in order, and when it will be done.
fn plan(
    mut job: Job,
    source: &Source,
    overhead: SignedDuration,
    per_document: SignedDuration,
    fate: JobFate,
    listing: Result<Vec<Object>, String>,
) -> Run {
    let mut fails = None;
    let mut steps = Vec::new();
    let mut sidecars = BTreeMap::new();
    match (&source.data_source.kind, listing) {
        (DataSourceKind::Other { name }, _) => {
            fails = Some(format!("This stand-in does not ingest from data sources of type {name}."));
        }
        (DataSourceKind::S3 { bucket, .. }, Err(reason)) => {
            fails = Some(format!("Encountered error: unable to list the bucket {bucket}: {reason}"));
        }
        (kind @ DataSourceKind::S3 { .. }, Ok(mut objects)) => {
            objects.retain(|object| kind.includes(&object.key) && !object.key.ends_with('/'));
            objects.sort_by(|a, b| a.key.cmp(&b.key));
            objects.dedup_by(|later, earlier| later.key == earlier.key);
            let (metadata, documents): (Vec<_>, Vec<_>) = objects.into_iter().partition(|object| is_metadata(&object.key));
            let listed = |key: &str| documents.binary_search_by(|object| object.key.as_str().cmp(key)).is_ok();
            steps.extend(source.documents.keys().filter(|key| !listed(key)).cloned().map(Step::Delete));
            sidecars.extend(metadata.into_iter().map(|object| (object.key, object.etag)));
            let statistics = &mut job.statistics;
            statistics.number_of_documents_scanned = count(documents.len());
            statistics.number_of_metadata_documents_scanned = count(sidecars.len());
            let changed = sidecars.iter().filter(|(key, etag)| source.metadata.get(*key) != Some(*etag)).count();
            let gone = source.metadata.keys().filter(|key| !sidecars.contains_key(*key)).count();
            statistics.number_of_metadata_documents_modified = count(changed + gone);
            steps.extend(documents.into_iter().filter(|object| !source.is_current(object)).map(Step::Index));
        }
    }
    if let (None, Some((reason, after_documents))) = (&fails, fate.fails) {
        fails = Some(reason);
        steps.truncate(after_documents);
    }
    let first_document_at = job.started_at + overhead;
    let work = per_document * i32::try_from(steps.len()).unwrap_or(i32::MAX);
    Run {
        in_progress_at: job.started_at + overhead / 5,
        first_document_at,
        per_document,
        steps,
        done: 0,
        sidecars,
        fails,
        stop_asked_at: None,
        ends_at: first_document_at + work,
        troubles: BTreeMap::new(),
        job,
    }
}

/// Ends a job whose time is up, and lets go of what it no longer needs.
fn finish(run: &mut Run, source: &mut Source) {
    run.job.updated_at = run.ends_at;
    for (reason, keys) in std::mem::take(&mut run.troubles) {
        run.job.failure_reasons.push(trouble(source.bucket(), &reason, &keys));
    }
    run.job.status = if run.stop_asked_at.is_some() {
        JobStatus::Stopped
    } else if let Some(reason) = run.fails.take() {
        run.job.failure_reasons.insert(0, reason);
        JobStatus::Failed
    } else {
        source.metadata = std::mem::take(&mut run.sidecars);
        JobStatus::Complete
    };
    run.steps = Vec::new();
    source.job = None;
}

/// A failure reason in the service's manner: how many files, why, and as many of their names as fit.
fn trouble(bucket: &str, reason: &str, keys: &[String]) -> String {
    let mut text = format!("Encountered error: Ignored {} files: {reason} [Files: ", keys.len());
    for (index, key) in keys.iter().enumerate() {
        let name = format!("{}s3://{bucket}/{key}", if index == 0 { "" } else { ", " });
        if text.chars().count() + name.chars().count() + 6 > REASON_CHARACTERS {
            text.push_str(", ...");
            break;
        }
        text.push_str(&name);
    }
    text.push(']');
    text
}

fn count(length: usize) -> u64 {
    length as u64
}
