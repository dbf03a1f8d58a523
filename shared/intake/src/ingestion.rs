//! What knowledge bases log of their ingestion (Bedrock user guide, "Monitor knowledge bases using `CloudWatch` Logs", and
//! "Observability for managed knowledge bases" for the dialect of those). Both write the same two types of event. They are
//! facts for the document loop, not signals of how well the application serves its users.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::logs::Record;
use crate::shortened;

/// One entry of a knowledge base's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestionLog {
    /// When.
    pub at: Timestamp,
    /// "INFO", "WARN", "ERROR".
    pub level: Option<String>,
    /// The knowledge base's id.
    pub knowledge_base: String,
    /// The data source's id.
    pub data_source: String,
    /// The job's id; direct ingestion has none.
    pub job: Option<String>,
    /// What it tells.
    pub fact: IngestionFact,
}

/// What an entry tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IngestionFact {
    /// Where the job stands.
    Job(JobLog),
    /// Where one document stands.
    Document(DocumentLog),
}

/// Where a job stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobLog {
    /// `INGESTION_JOB_STARTED`, `CRAWLING_COMPLETED`, `COMPLETE`, `FAILED`, `STOPPED`. Managed knowledge bases give none.
    pub status: Option<String>,
    /// Managed knowledge bases: "Crawling started" and the like.
    pub message: Option<String>,
    /// How many documents came to what, by Bedrock's names (`number_of_resources_failed`, …).
    pub statistics: BTreeMap<String, u64>,
}

/// Where one document stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DocumentLog {
    /// Where it lies, as a URI.
    pub uri: Option<String>,
    /// Its id in a managed knowledge base.
    pub id: Option<String>,
    /// `INDEXED`, `EMBEDDING_FAILED`, `RESOURCE_IGNORED`, …; of a managed knowledge base `SUCCESS` or `FAILED`.
    pub status: Option<String>,
    /// Managed knowledge bases: how each stage (`crawl`, `sync`, `index`) ended.
    pub stages: BTreeMap<String, String>,
    /// Why, in Bedrock's words.
    pub reasons: Vec<String>,
    /// How many of its chunks came to what (`created`, `failed_to_create`, …).
    pub chunks: BTreeMap<String, u64>,
}

impl DocumentLog {
    /// Whether Bedrock says that it, or a stage of it, failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.status.iter().chain(self.stages.values()).any(|status| status == "FAILED" || status.ends_with("_FAILED"))
    }
}

const JOB: &str = "StartIngestionJob.StatusChanged";
const DOCUMENT: &str = "StartIngestionJob.ResourceStatusChanged";

/// Whether a log event is an entry of a knowledge base's log.
pub(crate) fn is_ingestion(log: &Value) -> bool {
    log.get("event_type").and_then(Value::as_str).is_some_and(|kind| kind == JOB || kind == DOCUMENT)
}

pub(crate) fn read(log: &Value, logged_at: Option<Timestamp>) -> Result<Record, String> {
    let event = log.get("event").filter(|event| event.is_object()).ok_or("event is missing; expected what happened to the job")?;
    let at = match log.get("event_timestamp") {
        Some(at) => at
            .as_i64()
            .and_then(|at| Timestamp::from_millisecond(at).ok())
            .ok_or_else(|| format!("event_timestamp is {}; expected milliseconds since 1970", shortened(&at.to_string())))?,
        None => logged_at.ok_or("event_timestamp is missing; expected milliseconds since 1970")?,
    };
    let arn = required(event, "knowledge_base_arn")?;
    let fact = if log["event_type"] == JOB {
        IngestionFact::Job(JobLog {
            status: text(event, "/ingestion_job_status"),
            message: text(event, "/message"),
            statistics: counts(event, "resource_statistics"),
        })
    } else {
        IngestionFact::Document(document(event))
    };
    Ok(Record::Ingestion(Box::new(IngestionLog {
        at,
        level: text(log, "/level"),
        // arn:aws:bedrock:REGION:ACCOUNT:knowledge-base/ID
        knowledge_base: arn.rsplit('/').next().unwrap_or_default().to_owned(),
        data_source: required(event, "data_source_id")?,
        job: text(event, "/ingestion_job_id"),
        fact,
    })))
}

fn document(event: &Value) -> DocumentLog {
    let uri = || {
        // {"type": "S3", "s3_location": {"uri": …}}, and so for other sources: web_location.url, …
        let location = event.get("document_location")?.as_object()?;
        location.values().find_map(|place| text(place, "/uri").or_else(|| text(place, "/url")).or_else(|| text(place, "/id")))
    };
    let listed = event.get("status_reasons").and_then(Value::as_array).into_iter().flatten();
    let mut reasons: Vec<String> = listed.filter_map(Value::as_str).map(str::to_owned).collect();
    reasons.extend(text(event, "/error_message"));
    reasons.extend(text(event, "/message"));
    let stages = [("crawl", "/crawl_status/Status"), ("sync", "/sync_status/Status"), ("index", "/index_status/Status")];
    DocumentLog {
        uri: text(event, "/source_uri").or_else(uri),
        id: text(event, "/document_id"),
        status: text(event, "/status").or_else(|| text(event, "/connector_document_status/Status")),
        stages: stages.into_iter().filter_map(|(stage, path)| Some((stage.to_owned(), text(event, path)?))).collect(),
        reasons,
        chunks: counts(event, "chunk_statistics"),
    }
}

fn required(event: &Value, field: &str) -> Result<String, String> {
    match event.get(field) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(other) => Err(format!("event.{field} is {}; expected a text", shortened(&other.to_string()))),
        None => Err(format!("event.{field} is missing")),
    }
}

fn text(value: &Value, path: &str) -> Option<String> {
    value.pointer(path).and_then(Value::as_str).map(str::to_owned)
}

fn counts(event: &Value, field: &str) -> BTreeMap<String, u64> {
    let fields = event.get(field).and_then(Value::as_object).into_iter().flatten();
    fields.filter_map(|(name, count)| Some((name.clone(), count.as_u64()?))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn fact(log: &Value) -> IngestionFact {
        match read(log, None) {
            Ok(Record::Ingestion(log)) => log.fact,
            other => panic!("{other:?}"),
        }
    }

    fn entry(kind: &str, mut event: Value) -> Value {
        event["knowledge_base_arn"] = json!("arn:aws:bedrock:eu-central-1:111122223333:knowledge-base/KB12345678");
        event["data_source_id"] = json!("DS12345678");
        json!({ "event_timestamp": 1_763_892_000_000_i64, "event_type": kind, "event_version": "1.0", "level": "WARN", "event": event })
    }

    #[test]
    fn both_dialects() {
        let ended = entry(JOB, json!({ "ingestion_job_status": "COMPLETE", "resource_statistics": { "number_of_resources_failed": 2 } }));
        let IngestionFact::Job(job) = fact(&ended) else { panic!("a job") };
        assert_eq!((job.status.as_deref(), job.statistics["number_of_resources_failed"]), (Some("COMPLETE"), 2));
        let IngestionFact::Job(job) = fact(&entry(JOB, json!({ "message": "Crawling started" }))) else { panic!("a job") };
        assert_eq!((job.status, job.message.as_deref()), (None, Some("Crawling started")));

        let ignored = json!({
            "document_location": { "type": "S3", "s3_location": { "uri": "s3://example-docs/a.pdf" } },
            "status": "EMBEDDING_FAILED", "status_reasons": ["too large"], "chunk_statistics": { "created": 0 },
        });
        let IngestionFact::Document(document) = fact(&entry(DOCUMENT, ignored)) else { panic!("a document") };
        assert_eq!((document.uri.as_deref(), document.failed()), (Some("s3://example-docs/a.pdf"), true));
        let managed = json!({
            "document_id": "d-1", "source_uri": "s3://example-docs/b.md", "crawl_action": "ADD", "error_message": "no text in it",
            "crawl_status": { "Status": "SUCCESS", "UpdatedTime": "1" }, "index_status": { "Status": "FAILED", "UpdatedTime": "2" },
        });
        let IngestionFact::Document(document) = fact(&entry(DOCUMENT, managed)) else { panic!("a document") };
        assert_eq!((document.failed(), document.stages.len(), document.reasons), (true, 2, vec!["no text in it".to_owned()]));
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut log = entry(JOB, json!({}));
        log["event"]["knowledge_base_arn"] = json!(7);
        assert!(read(&log, None).is_err_and(|reason| reason.starts_with("event.knowledge_base_arn is 7")));
        log["event_timestamp"] = json!("today");
        assert!(read(&log, None).is_err_and(|reason| reason.starts_with("event_timestamp is \"today\"")));
    }

    proptest! {
        #[test]
        fn no_strange_field_makes_it_panic(text in ".{0,30}", at in any::<i64>()) {
            for kind in [JOB, DOCUMENT] {
                let mut log = entry(kind, json!({ "status": text, "document_location": { text.clone(): text }, "status_reasons": text }));
                log["event_timestamp"] = json!(at);
                let _ = read(&log, None);
            }
        }
    }
}
