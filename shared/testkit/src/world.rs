//! What there is: objects, records, events, messages, knowledge bases.

use std::collections::BTreeMap;

use flywheel_bedrock::core::{Bedrock, DocumentStatus, Object as ListedObject, ObjectVersion};
use flywheel_engine::documents::{Document, METADATA_ENDING, Status};
use flywheel_engine::sync::{Account, Source};
use flywheel_model::{DataSourceId, DocumentId, Event, Id};
use flywheel_policy::Policy;
use jiff::Timestamp;

/// The memory that all simulated processes share.
#[derive(Debug)]
pub struct Memory {
    /// Simulated time.
    pub now: Timestamp,
    /// The objects in S3.
    pub objects: BTreeMap<DocumentId, ObjectVersion>,
    /// Bedrock.
    pub bedrock: Bedrock,
    /// The account's record.
    pub account: Account,
    /// The data sources' records.
    pub sources: BTreeMap<DataSourceId, Source>,
    /// The documents' records.
    pub documents: BTreeMap<DataSourceId, BTreeMap<DocumentId, Document>>,
    /// The next wake that is noted.
    pub next_wake: Option<Timestamp>,
    /// What was published, once for each id.
    pub ledger: BTreeMap<Id, Event>,
    /// Messages that wake the loop, with the time from which they are visible and whether they ask for a sweep.
    pub wakes: Vec<(Timestamp, bool)>,
    /// The share of calls of the record, the bus and the queues that fail.
    pub unavailable: f64,
    /// Where chance comes from.
    pub chance: fastrand::Rng,
}

/// A document that did not end as it should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which document.
    pub document: DocumentId,
    /// Which data source.
    pub source: DataSourceId,
    /// What is wrong.
    pub what: String,
}

impl Memory {
    /// Everything that Bedrock would find in a bucket.
    pub(crate) fn listing(&self, bucket: &str) -> Vec<ListedObject> {
        let of_bucket = self.objects.iter().filter(|(document, _)| document.bucket == bucket);
        of_bucket.map(|(document, version)| ListedObject::new(document.key.as_str(), version.size, version.etag.as_str())).collect()
    }

    /// Holds the end against the objects in S3: every document is indexed as it is, gone, or quarantined with a reason.
    #[must_use]
    pub fn problems(&self, policy: &Policy) -> Vec<Problem> {
        let mut problems = Vec::new();
        for rules in &policy.data_sources {
            let source = self.sources.get(&rules.id);
            let set_aside = source.is_some_and(|source| source.quarantine.is_some());
            let nothing = BTreeMap::new();
            let recorded = self.documents.get(&rules.id).unwrap_or(&nothing);
            let index: BTreeMap<&str, _> = self.bedrock.documents(&rules.id.knowledge_base, &rules.id.data_source).collect();
            let objects = self.objects.keys().filter(|document| {
                rules.reads(&document.bucket, &document.key) && !document.key.ends_with('/') && !document.key.ends_with(METADATA_ENDING)
            });
            let all: std::collections::BTreeSet<&DocumentId> = objects.chain(recorded.keys()).collect();
            for document in all {
                let object = self.objects.get(document).filter(|object| object.size > 0);
                let indexed = index.get(document.key.as_str()).filter(|found| found.status == DocumentStatus::Indexed);
                let etag = indexed.and_then(|found| found.indexed_etag.as_deref());
                let what = match (recorded.get(document).map(|document| &document.status), object) {
                    (None, _) => Some("was never recorded".to_owned()),
                    (Some(Status::Quarantined { reason }), _) => reason.is_empty().then(|| "quarantined without a reason".to_owned()),
                    (Some(_), _) if set_aside => None,
                    (Some(Status::Pending { .. }), _) => Some("is still pending".to_owned()),
                    (Some(Status::Indexed), Some(object)) => (etag != Some(object.etag.as_str()))
                        .then(|| format!("is recorded as indexed; S3 has {object:?}, the index {etag:?}")),
                    (Some(Status::Deleted), None) => indexed.map(|_| "is recorded as deleted, and is in the index".to_owned()),
                    (Some(status), object) => Some(format!("is recorded as {status:?}; S3 has {object:?}")),
                };
                if let Some(what) = what {
                    problems.push(Problem { document: document.clone(), source: rules.id.clone(), what });
                }
            }
        }
        problems
    }
}
