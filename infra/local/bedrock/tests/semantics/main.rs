//! What a caller may rely on, and what it must cope with.
#![allow(clippy::unwrap_used)]

mod documents;
mod faults;
mod jobs;
mod model;
mod quotas;

use flywheel_bedrock::core::{
    Bedrock, CallError, DataSourceKind, ErrorCode, IngestDocument, Job, Location, NewDataSource, NewKnowledgeBase, Object, ObjectVersion,
    Quotas, Speed, StartIngestionJob,
};
use jiff::{SignedDuration, Timestamp};

const BUCKET: &str = "documents";
const KB: &str = "KBAAAAAAAA";
const DS: &str = "DSAAAAAAAA";

/// So many seconds after the start of time.
fn at(seconds: f64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs_f64(seconds)
}

fn token(number: u32) -> String {
    format!("token-{number:034}")
}

/// A data source of its own knowledge base, on the bucket.
fn account() -> Bedrock {
    account_of(&[(KB, DS)])
}

fn account_of(sources: &[(&str, &str)]) -> Bedrock {
    account_with(Quotas::default(), sources)
}

fn account_with(quotas: Quotas, sources: &[(&str, &str)]) -> Bedrock {
    let mut account = Bedrock::new(quotas, Speed::default());
    for (kb, ds) in sources {
        let _ = account.create_knowledge_base(at(0.0), NewKnowledgeBase { id: Some((*kb).into()), name: (*kb).into() });
        account
            .create_data_source(
                at(0.0),
                NewDataSource {
                    id: Some((*ds).into()),
                    knowledge_base: (*kb).into(),
                    name: (*ds).into(),
                    kind: DataSourceKind::bucket(BUCKET),
                },
            )
            .unwrap();
    }
    account.forget_calls();
    account
}

/// Objects of the given keys and ETags, of a size that is fine.
fn objects(list: &[(&str, &str)]) -> Vec<Object> {
    list.iter().map(|(key, etag)| Object::new(*key, 10, *etag)).collect()
}

fn request(kb: &str, ds: &str, client_token: Option<String>) -> StartIngestionJob {
    StartIngestionJob { knowledge_base: kb.into(), data_source: ds.into(), client_token, description: None }
}

fn start(account: &mut Bedrock, seconds: f64, listing: &[(&str, &str)]) -> Result<Job, CallError> {
    account.start_ingestion_job(at(seconds), request(KB, DS, None), || Ok(objects(listing)))
}

/// Runs a job to its end, from this second on.
fn run(account: &mut Bedrock, seconds: f64, listing: Vec<Object>) -> Job {
    let job = account.start_ingestion_job(at(seconds), request(KB, DS, None), || Ok(listing)).unwrap();
    let end = account.next_end().unwrap();
    account.get_ingestion_job(end, KB, DS, &job.id).unwrap()
}

fn location(key: &str) -> Location {
    Location::new(BUCKET, key)
}

fn document(key: &str, etag: &str) -> IngestDocument {
    IngestDocument { location: location(key), object: Some(ObjectVersion { size: 10, etag: etag.into() }) }
}

fn code<T>(result: Result<T, CallError>) -> ErrorCode {
    result.err().and_then(|error| error.code()).expect("a refusal")
}

fn message<T>(result: Result<T, CallError>) -> String {
    result.err().expect("a refusal").to_string()
}
