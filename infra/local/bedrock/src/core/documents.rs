//! Documents, and the direct ways of ingesting and deleting a few of them.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::{CallError, ErrorCode, Refusal};
use super::faults::Faults;
use super::quotas::{Limit, Quotas};
use super::resources::{DataSourceKind, Source};
use super::{Bedrock, Operation, check_client_token};

/// The document formats that knowledge bases support, by extension ("Prerequisites for your data" in the user guide;
/// images, audio and video need a parser that this stand-in does not model).
pub const SUPPORTED_EXTENSIONS: [&str; 9] = ["txt", "md", "html", "doc", "docx", "csv", "xls", "xlsx", "pdf"];

/// What a data source's own file of metadata is called: the document's key with this at the end.
const METADATA_SUFFIX: &str = ".metadata.json";

/// Where a document lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Location {
    /// The bucket.
    pub bucket: String,
    /// The key, as it is: never percent-encoded.
    pub key: String,
}

impl Location {
    /// This key of this bucket.
    pub fn new(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), key: key.into() }
    }

    /// Reads `s3://bucket/key`.
    #[must_use]
    pub fn parse(uri: &str) -> Option<Self> {
        let (bucket, key) = uri.strip_prefix("s3://")?.split_once('/')?;
        (!bucket.is_empty() && !key.is_empty()).then(|| Self::new(bucket, key))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "s3://{}/{}", self.bucket, self.key)
    }
}

/// What is known of an object without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectVersion {
    /// Its size in bytes.
    pub size: u64,
    /// Its ETag, which tells versions apart.
    pub etag: String,
}

/// A document to ingest directly, as it is in the bucket at the time of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestDocument {
    /// Where it is said to lie.
    pub location: Location,
    /// What lies there, if anything does.
    pub object: Option<ObjectVersion>,
}

/// The states of a document, by their API names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)] // The names are the API's own.
pub enum DocumentStatus {
    Starting,
    Pending,
    InProgress,
    Indexed,
    Failed,
    Ignored,
    Deleting,
    DeleteInProgress,
    NotFound,
}

impl DocumentStatus {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "STARTING",
            Self::Pending => "PENDING",
            Self::InProgress => "IN_PROGRESS",
            Self::Indexed => "INDEXED",
            Self::Failed => "FAILED",
            Self::Ignored => "IGNORED",
            Self::Deleting => "DELETING",
            Self::DeleteInProgress => "DELETE_IN_PROGRESS",
            Self::NotFound => "NOT_FOUND",
        }
    }
}

/// What the service knows of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Document {
    /// Where it stands.
    pub status: DocumentStatus,
    /// Why, if it failed or was ignored.
    pub status_reason: Option<String>,
    /// The version in the index. It stays there when a newer one fails.
    pub indexed_etag: Option<String>,
    /// When its status last changed.
    pub updated_at: Timestamp,
}

/// A document as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentDetail {
    /// Where it lies.
    pub location: Location,
    /// Where it stands.
    pub status: DocumentStatus,
    /// Why, if it failed or was ignored.
    pub status_reason: Option<String>,
    /// When its status last changed.
    pub updated_at: Timestamp,
}

/// A page of documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentPage {
    /// In the order of their keys.
    pub documents: Vec<DocumentDetail>,
    /// What to ask for the next page with.
    pub next_token: Option<String>,
}

/// A document that entered or left what can be retrieved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "change")]
pub enum IndexChange {
    /// This version is in the index now, in place of any other.
    #[allow(missing_docs)]
    Put { knowledge_base: String, data_source: String, bucket: String, key: String, etag: String },
    /// The document is in the index no more.
    #[allow(missing_docs)]
    Remove { knowledge_base: String, data_source: String, bucket: String, key: String },
}

/// A request that a client token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DirectRequest {
    operation: Operation,
    data_source: String,
    locations: Vec<Location>,
    at: Timestamp,
}

/// A direct request under way.
#[derive(Clone, Debug)]
pub(super) struct Direct {
    in_progress_at: Timestamp,
    done_at: Timestamp,
    begun: bool,
    work: Vec<(String, DirectWork)>,
}

impl Direct {
    pub(super) fn done_at(&self) -> Timestamp {
        self.done_at
    }
}

#[derive(Clone, Debug)]
enum DirectWork {
    Ingest(Option<ObjectVersion>),
    Delete,
}

/// What becomes of an attempt to index a document.
pub(super) enum Verdict {
    Indexed,
    Ignored(String),
    Failed(String),
}

/// The service's judgement of an object, by its name and size.
pub(super) fn judge(quotas: &Quotas, faults: &mut Faults, source: (&str, &str), key: &str, object: Option<&ObjectVersion>) -> Verdict {
    let Some(object) = object else {
        return Verdict::Failed("The object was not found in the data source's bucket.".to_owned());
    };
    if is_metadata(key) {
        return Verdict::Ignored("A metadata file is not a document.".to_owned());
    }
    if !is_supported(key) {
        return Verdict::Ignored("The file format is not supported.".to_owned());
    }
    if object.size == 0 {
        return Verdict::Failed("The file is empty.".to_owned());
    }
    if object.size > quotas.document_bytes {
        return Verdict::Failed(format!("The file size exceeded the limit of {} MB.", quotas.document_bytes / (1024 * 1024)));
    }
    match faults.document(source.0, source.1, key) {
        Some(reason) => Verdict::Failed(reason),
        None => Verdict::Indexed,
    }
}

pub(super) fn is_metadata(key: &str) -> bool {
    key.ends_with(METADATA_SUFFIX)
}

pub(super) fn is_supported(key: &str) -> bool {
    let name = key.rsplit('/').next().unwrap_or(key);
    name.rsplit_once('.').is_some_and(|(_, extension)| SUPPORTED_EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)))
}

impl Source {
    /// Writes the end of an attempt to index a document, and the change to the index if it succeeded.
    pub(super) fn settle(&mut self, at: Timestamp, key: &str, etag: Option<&str>, verdict: Verdict) -> Option<IndexChange> {
        let (status, status_reason) = match verdict {
            Verdict::Indexed => (DocumentStatus::Indexed, None),
            Verdict::Ignored(reason) => (DocumentStatus::Ignored, Some(reason)),
            Verdict::Failed(reason) => (DocumentStatus::Failed, Some(reason)),
        };
        let indexed = status == DocumentStatus::Indexed;
        let etag = etag.unwrap_or_default();
        match self.documents.get_mut(key) {
            Some(document) => {
                document.status = status;
                document.status_reason = status_reason;
                document.updated_at = at;
                if indexed {
                    document.indexed_etag = Some(etag.to_owned());
                }
            }
            None => {
                let document = Document { status, status_reason, indexed_etag: indexed.then(|| etag.to_owned()), updated_at: at };
                self.documents.insert(key.to_owned(), document);
            }
        }
        indexed.then(|| IndexChange::Put {
            knowledge_base: self.data_source.knowledge_base.clone(),
            data_source: self.data_source.id.clone(),
            bucket: self.bucket().to_owned(),
            key: key.to_owned(),
            etag: etag.to_owned(),
        })
    }

    /// Forgets a document; the change to the index if it was there.
    pub(super) fn remove(&mut self, key: &str) -> Option<IndexChange> {
        let document = self.documents.remove(key)?;
        document.indexed_etag.is_some().then(|| IndexChange::Remove {
            knowledge_base: self.data_source.knowledge_base.clone(),
            data_source: self.data_source.id.clone(),
            bucket: self.bucket().to_owned(),
            key: key.to_owned(),
        })
    }

    pub(super) fn bucket(&self) -> &str {
        match &self.data_source.kind {
            DataSourceKind::S3 { bucket, .. } => bucket,
            DataSourceKind::Other { .. } => "",
        }
    }

    fn detail(&self, now: Timestamp, location: &Location) -> DocumentDetail {
        let known = self.documents.get(&location.key).filter(|_| location.bucket == self.bucket());
        match known {
            Some(document) => DocumentDetail {
                location: location.clone(),
                status: document.status,
                status_reason: document.status_reason.clone(),
                updated_at: document.updated_at,
            },
            None => DocumentDetail { location: location.clone(), status: DocumentStatus::NotFound, status_reason: None, updated_at: now },
        }
    }

    /// Shows that a direct request is on its way to a document.
    fn mark(&mut self, at: Timestamp, key: &str, status: DocumentStatus) {
        if let Some(document) = self.documents.get_mut(key) {
            document.status = status;
            document.status_reason = None;
            document.updated_at = at;
        } else if !matches!(status, DocumentStatus::Deleting | DocumentStatus::DeleteInProgress) {
            let document = Document { status, status_reason: None, indexed_etag: None, updated_at: at };
            self.documents.insert(key.to_owned(), document);
        }
    }
}

impl Bedrock {
    /// `IngestKnowledgeBaseDocuments`: accepted at once, indexed after [`Speed::direct_latency`](super::Speed). The
    /// SDK always sends a client token; without one, repeating the request ingests again.
    pub fn ingest_documents(
        &mut self,
        now: Timestamp,
        knowledge_base: &str,
        data_source: &str,
        client_token: Option<&str>,
        documents: Vec<IngestDocument>,
    ) -> Result<Vec<DocumentDetail>, CallError> {
        let operation = Operation::IngestKnowledgeBaseDocuments;
        self.call(now, operation, knowledge_base, data_source, |this| {
            let work = documents.into_iter().map(|it| (it.location, DirectWork::Ingest(it.object))).collect();
            this.direct(operation, knowledge_base, data_source, client_token, work)
        })
    }

    /// `DeleteKnowledgeBaseDocuments`: accepted at once, gone after [`Speed::direct_latency`](super::Speed). The
    /// objects in the bucket are untouched, so the next job brings back those that are still there.
    pub fn delete_documents(
        &mut self,
        now: Timestamp,
        knowledge_base: &str,
        data_source: &str,
        client_token: Option<&str>,
        locations: Vec<Location>,
    ) -> Result<Vec<DocumentDetail>, CallError> {
        let operation = Operation::DeleteKnowledgeBaseDocuments;
        self.call(now, operation, knowledge_base, data_source, |this| {
            let work = locations.into_iter().map(|location| (location, DirectWork::Delete)).collect();
            this.direct(operation, knowledge_base, data_source, client_token, work)
        })
    }

    /// `GetKnowledgeBaseDocuments`. What is not known is NOT_FOUND, not an error.
    pub fn get_documents(
        &mut self,
        now: Timestamp,
        knowledge_base: &str,
        data_source: &str,
        locations: &[Location],
    ) -> Result<Vec<DocumentDetail>, CallError> {
        self.call(now, Operation::GetKnowledgeBaseDocuments, knowledge_base, data_source, |this| {
            this.check_count(locations.len())?;
            let source = this.source(knowledge_base, data_source)?;
            Ok(locations.iter().map(|location| source.detail(this.now, location)).collect())
        })
    }

    /// `ListKnowledgeBaseDocuments`, in the order of their keys, at most `max_results` (1 to 1,000) a page.
    pub fn list_documents(
        &mut self,
        now: Timestamp,
        knowledge_base: &str,
        data_source: &str,
        max_results: Option<usize>,
        next_token: Option<&str>,
    ) -> Result<DocumentPage, CallError> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.call(now, Operation::ListKnowledgeBaseDocuments, knowledge_base, data_source, |this| {
            let size = page_size(max_results)?;
            let source = this.source(knowledge_base, data_source)?;
            let after = next_token.map_or(Unbounded, Excluded);
            let mut rest = source.documents.range::<str, _>((after, Unbounded)).map(|(key, _)| key);
            let documents: Vec<DocumentDetail> =
                rest.by_ref().take(size).map(|key| source.detail(this.now, &Location::new(source.bucket(), key))).collect();
            let last = documents.last().map(|detail| detail.location.key.clone());
            let next_token = rest.next().and(last);
            Ok(DocumentPage { documents, next_token })
        })
    }

    /// The documents of a data source as of the last call or [`advance`](Self::advance), for inspection; empty if
    /// there is no such data source. No call is counted.
    pub fn documents<'a>(&'a self, knowledge_base: &'a str, data_source: &str) -> impl Iterator<Item = (&'a str, &'a Document)> + use<'a> {
        self.data_sources
            .get(data_source)
            .filter(|source| source.data_source.knowledge_base == knowledge_base)
            .into_iter()
            .flat_map(|source| source.documents.iter())
            .map(|(key, document)| (key.as_str(), document))
    }

    fn check_count(&self, count: usize) -> Result<(), Refusal> {
        let most = self.quotas.documents_per_request;
        if count == 0 {
            return Err(Refusal::invalid("At least one document is required."));
        }
        if count > most {
            let message = format!("{count} documents in a request; Member must have length less than or equal to {most}");
            return Err(Refusal::over(Limit::DocumentsInRequest, ErrorCode::Validation, message));
        }
        Ok(())
    }

    fn direct(
        &mut self,
        operation: Operation,
        knowledge_base: &str,
        data_source: &str,
        client_token: Option<&str>,
        work: Vec<(Location, DirectWork)>,
    ) -> Result<Vec<DocumentDetail>, Refusal> {
        self.check_count(work.len())?;
        if let Some(token) = client_token {
            check_client_token(token)?;
        }
        let source = self.source(knowledge_base, data_source)?;
        let DataSourceKind::S3 { bucket, .. } = &source.data_source.kind else {
            let kind = source.data_source.kind.type_name();
            return Err(Refusal::invalid(format!("Direct ingestion is not supported for data source type {kind}.")));
        };
        if let Some((stray, _)) = work.iter().find(|(location, _)| location.bucket != *bucket) {
            return Err(Refusal::invalid(format!("{stray} is not in the data source's bucket {bucket}.")));
        }
        let locations: Vec<Location> = work.iter().map(|(location, _)| location.clone()).collect();
        let request = DirectRequest { operation, data_source: data_source.to_owned(), locations, at: self.now };
        if let Some(earlier) = client_token.and_then(|token| self.direct_tokens.get(token))
            && self.token_is_alive(earlier.at)
        {
            if (earlier.operation, &earlier.data_source, &earlier.locations) != (operation, &request.data_source, &request.locations) {
                return Err(Refusal::invalid("The clientToken was used before with other parameters."));
            }
            return Ok(request.locations.iter().map(|location| source.detail(self.now, location)).collect());
        }
        if source.job.is_some() {
            let message = format!(
                "There is an ongoing request on data source {data_source}: an ingestion job is in progress. Retry when \
                 it has ended."
            );
            return Err(Refusal::over(Limit::JobOnDataSource, ErrorCode::Validation, message));
        }
        Ok(self.accept_direct(data_source, client_token, request, work))
    }

    fn accept_direct(
        &mut self,
        data_source: &str,
        client_token: Option<&str>,
        request: DirectRequest,
        work: Vec<(Location, DirectWork)>,
    ) -> Vec<DocumentDetail> {
        let now = self.now;
        let latency = self.speed.direct_latency;
        let Some(source) = self.data_sources.get_mut(data_source) else { return Vec::new() };
        for (location, what) in &work {
            let status = match what {
                DirectWork::Ingest(_) => DocumentStatus::Starting,
                DirectWork::Delete => DocumentStatus::Deleting,
            };
            source.mark(now, &location.key, status);
        }
        let details = request.locations.iter().map(|location| source.detail(now, location)).collect();
        source.direct.push_back(Direct {
            in_progress_at: now + latency / 3,
            done_at: now + latency,
            begun: false,
            work: work.into_iter().map(|(location, what)| (location.key, what)).collect(),
        });
        self.busy.insert(data_source.to_owned());
        if let Some(token) = client_token {
            self.direct_tokens.insert(token.to_owned(), request);
        }
        if latency <= SignedDuration::ZERO {
            self.advance(now);
        }
        details
    }

    pub(super) fn token_is_alive(&self, since: Timestamp) -> bool {
        self.quotas.client_token_lifetime.is_none_or(|lifetime| self.now.duration_since(since) < lifetime)
    }

    /// Moves the direct requests of a data source on; whether any is still under way.
    pub(super) fn advance_direct(&mut self, data_source: &str) -> bool {
        let Some(source) = self.data_sources.get_mut(data_source) else { return false };
        let knowledge_base = source.data_source.knowledge_base.clone();
        while source.direct.front().is_some_and(|direct| direct.done_at <= self.now) {
            let Some(direct) = source.direct.pop_front() else { break };
            for (key, work) in direct.work {
                let change = match work {
                    DirectWork::Delete => source.remove(&key),
                    DirectWork::Ingest(object) => {
                        let scope = (knowledge_base.as_str(), data_source);
                        let verdict = judge(&self.quotas, &mut self.faults, scope, &key, object.as_ref());
                        source.settle(direct.done_at, &key, object.as_ref().map(|it| it.etag.as_str()), verdict)
                    }
                };
                self.index_changes.extend(change);
            }
        }
        let mut waiting = std::mem::take(&mut source.direct);
        for direct in waiting.iter_mut().filter(|direct| !direct.begun && direct.in_progress_at <= self.now) {
            direct.begun = true;
            for (key, work) in &direct.work {
                let status = match work {
                    DirectWork::Ingest(_) => DocumentStatus::InProgress,
                    DirectWork::Delete => DocumentStatus::DeleteInProgress,
                };
                source.mark(direct.in_progress_at, key, status);
            }
        }
        source.direct = waiting;
        !source.direct.is_empty()
    }
}

/// The page size asked for, within what the API allows.
pub(super) fn page_size(asked: Option<usize>) -> Result<usize, Refusal> {
    match asked {
        None => Ok(1000),
        Some(size @ 1..=1000) => Ok(size),
        Some(size) => Err(Refusal::invalid(format!("maxResults is {size}; it must be between 1 and 1000"))),
    }
}
