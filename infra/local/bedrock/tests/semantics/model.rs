//! Any sequence of calls: what must hold whatever a caller does.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_bedrock::core::{DocumentStatus, IndexChange, JobStatus, Outcome};
use proptest::prelude::*;

use super::*;

const SOURCES: [(&str, &str); 7] = [
    ("KB00000001", "DS00000001"),
    ("KB00000001", "DS00000002"),
    ("KB00000002", "DS00000003"),
    ("KB00000003", "DS00000004"),
    ("KB00000004", "DS00000005"),
    ("KB00000005", "DS00000006"),
    ("KB00000006", "DS00000007"),
];
const KEYS: [&str; 5] = ["a.txt", "b.md", "c.exe", "d/e.pdf", "a.txt.metadata.json"];

#[derive(Clone, Debug)]
enum Step {
    Wait(u32),
    Change { source: usize, key: usize, etag: Option<u8> },
    Start { source: usize, token: u32 },
    Stop { source: usize },
    Ingest { source: usize, key: usize },
    Delete { source: usize, key: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let (source, key) = (0..SOURCES.len(), 0..KEYS.len());
    prop_oneof![
        3 => (0u32..15_000).prop_map(Step::Wait),
        3 => (source.clone(), key.clone(), proptest::option::of(0u8..3))
            .prop_map(|(source, key, etag)| Step::Change { source, key, etag }),
        3 => (source.clone(), 0u32..20).prop_map(|(source, token)| Step::Start { source, token }),
        1 => source.clone().prop_map(|source| Step::Stop { source }),
        1 => (source.clone(), key.clone()).prop_map(|(source, key)| Step::Ingest { source, key }),
        1 => (source, key).prop_map(|(source, key)| Step::Delete { source, key }),
    ]
}

type Bucket = BTreeMap<String, Object>;

fn list(bucket: &Bucket) -> Vec<Object> {
    bucket.values().cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_caller_can_break_the_limits_or_the_index(steps in proptest::collection::vec(step(), 1..120)) {
        let mut account = account_of(&SOURCES);
        let mut buckets = vec![Bucket::new(); SOURCES.len()];
        let mut index: BTreeMap<(String, String), String> = BTreeMap::new();
        let mut now = at(0.0);
        for step in steps {
            match step {
                Step::Wait(millis) => now += SignedDuration::from_millis(i64::from(millis)),
                Step::Change { source, key, etag } => {
                    match etag {
                        Some(etag) => buckets[source].insert(KEYS[key].into(), Object::new(KEYS[key], 1, etag.to_string())),
                        None => buckets[source].remove(KEYS[key]),
                    };
                }
                Step::Start { source, token: number } => {
                    let (kb, ds) = SOURCES[source];
                    let _ = account.start_ingestion_job(now, request(kb, ds, Some(token(number))), || Ok(list(&buckets[source])));
                }
                Step::Stop { source } => {
                    let (kb, ds) = SOURCES[source];
                    let running = account.running_jobs().find(|job| job.data_source == ds).map(|job| job.id.clone());
                    if let Some(job) = running {
                        let _ = account.stop_ingestion_job(now, kb, ds, &job);
                    }
                }
                Step::Ingest { source, key } => {
                    let (kb, ds) = SOURCES[source];
                    let object = buckets[source].get(KEYS[key]).map(|it| ObjectVersion { size: it.size, etag: it.etag.clone() });
                    let document = IngestDocument { location: location(KEYS[key]), object };
                    let _ = account.ingest_documents(now, kb, ds, None, vec![document]);
                }
                Step::Delete { source, key } => {
                    let (kb, ds) = SOURCES[source];
                    let _ = account.delete_documents(now, kb, ds, None, vec![location(KEYS[key])]);
                }
            }
            let running: Vec<_> = account.running_jobs().collect();
            prop_assert!(running.len() <= 5);
            prop_assert_eq!(running.iter().map(|it| &it.knowledge_base).collect::<BTreeSet<_>>().len(), running.len());
        }

        // Left alone, everything comes to rest, and one more job brings each data source in step with its bucket.
        for (source, (kb, ds)) in SOURCES.into_iter().enumerate() {
            now += SignedDuration::from_mins(1);
            let job = account.start_ingestion_job(now, request(kb, ds, None), || Ok(list(&buckets[source]))).unwrap();
            now += SignedDuration::from_mins(1);
            let done = account.get_ingestion_job(now, kb, ds, &job.id).unwrap();
            prop_assert_eq!(done.status, JobStatus::Complete);
            let indexed: BTreeMap<_, _> = account
                .documents(kb, ds)
                .filter(|(_, it)| it.status == DocumentStatus::Indexed)
                .map(|(key, it)| (key.to_owned(), it.indexed_etag.clone().unwrap()))
                .collect();
            let expected: BTreeMap<_, _> = buckets[source]
                .values()
                .filter(|it| !it.key.ends_with(".exe") && !it.key.ends_with(".json"))
                .map(|it| (it.key.clone(), it.etag.clone()))
                .collect();
            prop_assert_eq!(indexed, expected);
        }

        // The index changes tell the same story as the documents.
        for change in account.drain_index_changes() {
            match change {
                IndexChange::Put { data_source, key, etag, .. } => index.insert((data_source, key), etag),
                IndexChange::Remove { data_source, key, .. } => {
                    let removed = index.remove(&(data_source, key));
                    prop_assert!(removed.is_some());
                    removed
                }
            };
        }
        let documents: BTreeMap<_, _> = SOURCES
            .into_iter()
            .flat_map(|(kb, ds)| account.documents(kb, ds).map(move |(key, it)| ((ds.to_owned(), key.to_owned()), it)))
            .filter_map(|(place, it)| it.indexed_etag.clone().map(|etag| (place, etag)))
            .collect();
        prop_assert_eq!(index, documents);

        // Starts that were let through keep to their rate.
        let admitted: Vec<_> = account
            .calls()
            .iter()
            .filter(|it| it.operation == flywheel_bedrock::core::Operation::StartIngestionJob)
            .filter(|it| it.outcome != Outcome::Refused(ErrorCode::Throttling))
            .map(|it| it.at)
            .collect();
        prop_assert!(admitted.windows(2).all(|pair| pair[1].duration_since(pair[0]) >= SignedDuration::from_secs(10)));
    }
}
