//! The ports of the loops on the memory. Each call first lets others go first.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use flywheel_bedrock::core::{
    CallError, DataSourceKind, DocumentDetail, DocumentStatus, ErrorCode, IngestDocument, JobStatus, Location, ObjectVersion,
    StartIngestionJob,
};
use flywheel_engine::documents::{Document, METADATA_ENDING};
use flywheel_engine::sync::answers::{DocumentState, Job, Object};
use flywheel_engine::sync::{Account, Asked, Plan, Source};
use flywheel_model::{Answer, DataSourceId, DocumentId, Event, JobEnd, JobStatistics};
use flywheel_ports::{Buckets, Bus, ChangeLog, KnowledgeBases, NoAnswer, Overview, SyncStore, Unavailable, Wakes};
use jiff::{SignedDuration, Timestamp};

use crate::world::Memory;

/// What one process sees of the memory.
#[derive(Debug, Clone)]
pub(crate) struct Process(pub(crate) Rc<RefCell<Memory>>);

/// Comes back once before it is ready: here another process may go first, or this one may die.
pub(crate) struct Step(bool);

impl Step {
    pub(crate) fn new() -> Self {
        Self(false)
    }
}

impl Future for Step {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// A memory of which a share of calls fails.
pub(crate) trait Unreliable {
    /// The share, and where chance comes from.
    fn unreliability(&mut self) -> (f64, &mut fastrand::Rng);
}

/// Calls a memory: others may go first, and it may fail.
pub(crate) async fn call<M: Unreliable, T>(
    memory: &RefCell<M>,
    what: &'static str,
    effect: impl FnOnce(&mut M) -> T,
) -> Result<T, Unavailable> {
    Step::new().await;
    let mut memory = memory.borrow_mut();
    let (share, chance) = memory.unreliability();
    if share > 0.0 && chance.f64() < share {
        // Half of the failed calls had their effect all the same.
        if chance.bool() {
            effect(&mut memory);
        }
        return Err(Unavailable { what, why: "on purpose".to_owned() });
    }
    Ok(effect(&mut memory))
}

impl Unreliable for Memory {
    fn unreliability(&mut self) -> (f64, &mut fastrand::Rng) {
        (self.unavailable, &mut self.chance)
    }
}

impl Process {
    async fn call<T>(&self, what: &'static str, effect: impl FnOnce(&mut Memory) -> T) -> Result<T, Unavailable> {
        call(&self.0, what, effect).await
    }

    /// Bedrock's faults are its own.
    async fn ask<T>(&self, question: impl FnOnce(&mut Memory) -> Result<T, CallError>) -> Result<T, CallError> {
        Step::new().await;
        question(&mut self.0.borrow_mut())
    }
}

fn same_revision(memory: &Memory, source: &DataSourceId, document: &Document) -> bool {
    let known = memory.documents.get(source).and_then(|documents| documents.get(&document.id));
    known.map_or(0, |known| known.revision) == document.revision
}

fn put_document(memory: &mut Memory, source: &DataSourceId, document: &Document) {
    let row = Document { revision: document.revision + 1, ..document.clone() };
    memory.documents.entry(source.clone()).or_default().insert(document.id.clone(), row);
}

fn source_revision(memory: &Memory, source: &DataSourceId) -> u64 {
    memory.sources.get(source).map_or(0, |source| source.revision)
}

fn put_source(memory: &mut Memory, source: &Source) {
    let row = memory.sources.entry(source.id.clone()).or_insert_with(|| Source::new(source.id.clone()));
    *row = Source {
        revision: source.revision + 1,
        changes: row.changes,
        touched_at: row.touched_at,
        asked: row.asked.clone(),
        ..source.clone()
    };
}

impl ChangeLog for Process {
    async fn document(&self, source: &DataSourceId, document: &DocumentId) -> Result<Option<Document>, Unavailable> {
        self.call("read a document", |memory| memory.documents.get(source)?.get(document).cloned()).await
    }

    async fn save_document(&self, source: &DataSourceId, document: &Document) -> Result<bool, Unavailable> {
        self.call("record a document", |memory| {
            let ours = same_revision(memory, source, document);
            if ours {
                put_document(memory, source, document);
            }
            ours
        })
        .await
    }

    async fn touch(&self, source: &DataSourceId, now: Timestamp) -> Result<(), Unavailable> {
        self.call("touch", |memory| {
            let row = memory.sources.entry(source.clone()).or_insert_with(|| Source::new(source.clone()));
            row.changes += 1;
            row.touched_at = Some(now);
        })
        .await
    }
}

impl SyncStore for Process {
    async fn overview(&self) -> Result<Overview, Unavailable> {
        self.call("overview", |memory| Overview {
            account: memory.account.clone(),
            sources: memory.sources.values().cloned().collect(),
            next_wake: memory.next_wake,
        })
        .await
    }

    async fn pending(&self, source: &DataSourceId, limit: usize) -> Result<Vec<Document>, Unavailable> {
        self.call("pending", |memory| {
            let documents = memory.documents.get(source);
            let mut pending: Vec<_> = documents.into_iter().flat_map(|all| all.values()).filter(|document| document.is_pending()).collect();
            pending.sort_by_key(|document| document.changed_at);
            pending.into_iter().take(limit).cloned().collect()
        })
        .await
    }

    async fn claim(&self, plan: &Plan) -> Result<bool, Unavailable> {
        self.call("claim", |memory| {
            let ours = plan.account.as_ref().is_none_or(|account| account.revision == memory.account.revision)
                && plan.sources.iter().all(|source| source.revision == source_revision(memory, &source.id))
                && plan.documents.iter().all(|(source, document)| same_revision(memory, source, document));
            if ours {
                if let Some(account) = &plan.account {
                    memory.account = account.clone();
                    memory.account.revision += 1;
                }
                plan.sources.iter().for_each(|source| put_source(memory, source));
                plan.documents.iter().for_each(|(source, document)| put_document(memory, source, document));
            }
            ours
        })
        .await
    }

    async fn save_account(&self, account: &Account) -> Result<bool, Unavailable> {
        self.call("record the account", |memory| {
            let ours = account.revision == memory.account.revision;
            if ours {
                memory.account = Account { revision: account.revision + 1, ..account.clone() };
            }
            ours
        })
        .await
    }

    async fn save_source(&self, source: &Source) -> Result<bool, Unavailable> {
        self.call("record a data source", |memory| {
            let ours = source.revision == source_revision(memory, &source.id);
            if ours {
                put_source(memory, source);
            }
            ours
        })
        .await
    }

    async fn ask(&self, source: &DataSourceId, asked: &Asked) -> Result<(), Unavailable> {
        self.call("ask for a synchronisation", |memory| {
            let row = memory.sources.entry(source.clone()).or_insert_with(|| Source::new(source.clone()));
            if row.asked.as_ref().is_none_or(|before| before.finding != asked.finding) {
                row.changes += 1;
                row.asked = Some(asked.clone());
            }
        })
        .await
    }

    async fn set_next_wake(&self, at: Timestamp) -> Result<(), Unavailable> {
        self.call("note the next wake", |memory| memory.next_wake = Some(at)).await
    }
}

impl Wakes for Process {
    async fn wake(&self, after: SignedDuration) -> Result<(), Unavailable> {
        self.call("wake", |memory| {
            // A queue delays by whole seconds.
            let seconds = (after.as_millis() + 999) / 1_000;
            let at = memory.now + SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(900).clamp(0, 900));
            memory.wakes.push((at, false));
        })
        .await
    }
}

impl Bus for Process {
    async fn publish(&self, events: &[Event]) -> Result<(), Unavailable> {
        if events.is_empty() {
            return Ok(());
        }
        self.call("publish", |memory| {
            for event in events {
                memory.ledger.entry(event.id.clone()).or_insert_with(|| event.clone());
            }
        })
        .await
    }
}

impl Buckets for Process {
    async fn look(&self, document: &DocumentId) -> Result<Option<Object>, Unavailable> {
        self.call("look", |memory| {
            let size = memory.objects.get(document)?.size;
            let metadata = DocumentId::new(document.bucket.as_str(), format!("{}{METADATA_ENDING}", document.key));
            Some(Object { size, has_metadata: memory.objects.contains_key(&metadata) })
        })
        .await
    }
}

impl KnowledgeBases for Process {
    async fn verify(&self, source: &DataSourceId, bucket: &str) -> Result<Option<String>, NoAnswer> {
        let seen = self.ask(|memory| memory.bedrock.get_data_source(memory.now, &source.knowledge_base, &source.data_source)).await;
        match seen {
            Ok(found) => Ok(match found.kind {
                DataSourceKind::S3 { bucket: of, .. } if of == bucket => None,
                DataSourceKind::S3 { .. } => Some("reads another bucket".to_owned()),
                DataSourceKind::Other { .. } => Some("is not an S3 data source".to_owned()),
            }),
            Err(error) => match no_answer(error) {
                NoAnswer::Refused(message) => Ok(Some(message)),
                later @ NoAnswer::Later(_) => Err(later),
            },
        }
    }

    async fn start_job(&self, source: &DataSourceId, client_token: &str) -> Answer {
        let request = StartIngestionJob {
            knowledge_base: source.knowledge_base.clone(),
            data_source: source.data_source.clone(),
            client_token: Some(client_token.to_owned()),
            description: None,
        };
        let started = self
            .ask(|memory| {
                let bucket = match memory.bedrock.data_source(&source.data_source).map(|found| &found.kind) {
                    Some(DataSourceKind::S3 { bucket, .. }) => bucket.clone(),
                    _ => String::new(),
                };
                let listing = memory.listing(&bucket);
                memory.bedrock.start_ingestion_job(memory.now, request, || Ok(listing))
            })
            .await;
        started.map_or_else(answer, |job| Answer::JobStarted { job: job.id })
    }

    async fn job(&self, source: &DataSourceId, job: &str) -> Result<Job, NoAnswer> {
        let seen = self.ask(|memory| memory.bedrock.get_ingestion_job(memory.now, &source.knowledge_base, &source.data_source, job)).await;
        let job = match seen {
            Ok(job) => job,
            Err(CallError::Api(error)) if error.code == ErrorCode::ResourceNotFound => return Ok(Job::Unknown),
            Err(error) => return Err(no_answer(error)),
        };
        let counts = &job.statistics;
        let statistics = JobStatistics {
            scanned: counts.number_of_documents_scanned,
            added: counts.number_of_new_documents_indexed,
            modified: counts.number_of_modified_documents_indexed,
            deleted: counts.number_of_documents_deleted,
            failed: counts.number_of_documents_failed,
        };
        let end = match job.status {
            JobStatus::Complete if statistics.failed > 0 => JobEnd::CompleteWithFailures,
            JobStatus::Complete => JobEnd::Complete,
            JobStatus::Failed => JobEnd::Failed,
            JobStatus::Stopped => JobEnd::Stopped,
            JobStatus::Starting | JobStatus::InProgress | JobStatus::Stopping => return Ok(Job::Running),
        };
        Ok(Job::Ended { end, statistics, skipped: 0, reasons: job.failure_reasons })
    }

    async fn ingest(&self, source: &DataSourceId, documents: &[(DocumentId, Object)]) -> Answer {
        let sent = self
            .ask(|memory| {
                let documents = documents.iter().map(|(document, _)| IngestDocument {
                    location: location(document),
                    object: memory.objects.get(document).map(|object| ObjectVersion { size: object.size, etag: object.etag.clone() }),
                });
                let documents = documents.collect();
                memory.bedrock.ingest_documents(memory.now, &source.knowledge_base, &source.data_source, None, documents)
            })
            .await;
        accepted(sent)
    }

    async fn delete(&self, source: &DataSourceId, documents: &[DocumentId]) -> Answer {
        let locations = documents.iter().map(location).collect();
        let sent = self
            .ask(|memory| memory.bedrock.delete_documents(memory.now, &source.knowledge_base, &source.data_source, None, locations))
            .await;
        accepted(sent)
    }

    async fn document_states(&self, source: &DataSourceId, documents: &[DocumentId]) -> Result<Vec<DocumentState>, NoAnswer> {
        if documents.is_empty() {
            return Ok(Vec::new());
        }
        let locations: Vec<Location> = documents.iter().map(location).collect();
        let seen = self
            .ask(|memory| memory.bedrock.get_documents(memory.now, &source.knowledge_base, &source.data_source, &locations))
            .await
            .map_err(no_answer)?;
        Ok(locations
            .iter()
            .map(|location| seen.iter().find(|detail| detail.location == *location).map_or(DocumentState::Absent, state))
            .collect())
    }
}

fn location(document: &DocumentId) -> Location {
    Location::new(document.bucket.as_str(), document.key.as_str())
}

fn state(detail: &DocumentDetail) -> DocumentState {
    let reason = || detail.status_reason.clone().unwrap_or_else(|| "no reason".to_owned());
    match detail.status {
        DocumentStatus::Failed => DocumentState::Failed(reason()),
        DocumentStatus::Ignored => DocumentState::Ignored(reason()),
        DocumentStatus::Indexed => DocumentState::Indexed { since: Some(detail.updated_at) },
        DocumentStatus::NotFound => DocumentState::Absent,
        DocumentStatus::Starting
        | DocumentStatus::Pending
        | DocumentStatus::InProgress
        | DocumentStatus::Deleting
        | DocumentStatus::DeleteInProgress => DocumentState::Working,
    }
}

fn accepted(sent: Result<Vec<DocumentDetail>, CallError>) -> Answer {
    sent.map_or_else(answer, |details| Answer::DocumentsAccepted { documents: u32::try_from(details.len()).unwrap_or(u32::MAX) })
}

fn answer(error: CallError) -> Answer {
    let CallError::Api(error) = error else { return Answer::Lost { message: "no answer".to_owned() } };
    let message = format!("{}: {}", error.code.name(), error.message);
    match error.code {
        ErrorCode::Throttling => Answer::Throttled { message },
        ErrorCode::Conflict | ErrorCode::ServiceQuotaExceeded => Answer::Conflict { message },
        ErrorCode::Validation if message.contains("ongoing") => Answer::Conflict { message },
        ErrorCode::Validation | ErrorCode::ResourceNotFound | ErrorCode::AccessDenied => Answer::Refused { message },
        ErrorCode::InternalServer => Answer::Lost { message },
    }
}

fn no_answer(error: CallError) -> NoAnswer {
    match answer(error) {
        Answer::Refused { message } => NoAnswer::Refused(message),
        other => NoAnswer::Later(format!("{other:?}")),
    }
}
