//! Input that is wrong, odd or refused: each kind leaves a clear record, and none keeps the others of its batch.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::BTreeSet;

use flywheel_bedrock::core::{Bedrock, DataSourceKind, ErrorCode, Fault, NewDataSource, ObjectVersion, Operation, Quotas, Speed};
use flywheel_engine::documents::Status;
use flywheel_model::{Answer, Body, ChangeKind, DataSourceId, DocumentId, Event, Fate, HoldReason, Refusal};
use flywheel_policy::{Mode, Policy};
use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use support::{BUS_ENTRY, Site, messages};
use track_documents::{Message, Tracked};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Two knowledge bases with one data source each: `KB00000000` reads `kb0/` of the bucket `docs`, `KB00000001` `kb1/`.
fn policy(settings: &str) -> Policy {
    let source = |n: usize| {
        format!("[[data_source]]\nknowledge_base = \"KB{n:08}\"\ndata_source = \"DS{n:08}\"\nbucket = \"docs\"\nprefix = \"kb{n}/\"\n")
    };
    Policy::parse(&format!("mode = \"act\"\n{settings}\n{}{}", source(0), source(1))).unwrap()
}

fn site() -> Site {
    Site::new(policy(""))
}

fn source(n: usize) -> DataSourceId {
    DataSourceId::new(format!("KB{n:08}"), format!("DS{n:08}"))
}

fn document(key: &str) -> DocumentId {
    DocumentId::new("docs", key)
}

fn event(detail_type: &str, bucket: &str, object: &Value, deletion: Option<&str>) -> Value {
    let mut event = json!({
        "version": "0", "id": "b7c1a9d0-0000-4000-8000-000000000000", "detail-type": detail_type, "source": "aws.s3",
        "account": "111122223333", "time": "2025-11-23T12:13:20Z", "region": "eu-central-1", "resources": [format!("arn:aws:s3:::{bucket}")],
        "detail": { "version": "0", "bucket": { "name": bucket }, "object": object, "reason": "PutObject" },
    });
    if let Some(deletion) = deletion {
        event["detail"]["deletion-type"] = deletion.into();
    }
    event
}

fn written(bucket: &str, key: &str, order: u64) -> String {
    event("Object Created", bucket, &json!({ "key": key, "size": 1_000, "sequencer": sequencer(order) }), None).to_string()
}

/// Later than any that the simulation gives.
fn sequencer(order: u64) -> String {
    format!("{:018X}", 0x66A0_F1B2_C3D4_0000 + order)
}

/// The fate of a document that was told last.
fn fate(site: &Site, key: &str) -> Option<Fate> {
    let mut told: Vec<_> = site.events().into_iter().filter(|event| event.subject == document(key).subject()).collect();
    told.sort_by_key(|event| event.at);
    told.into_iter().rev().find_map(|event| match event.body {
        Body::DocumentSettled(outcome) => Some(outcome.fate),
        _ => None,
    })
}

/// Everything that the ledger says against a data source: why it waits after a failure, and what was refused.
fn words_on(site: &Site, source: &DataSourceId) -> String {
    let words = site.events().into_iter().filter(|event| event.subject == source.subject()).filter_map(|event| match event.body {
        Body::SyncHeld(hold) => match hold.reason {
            HoldReason::Backoff { reason, .. } => Some(format!("backoff: {reason}")),
            HoldReason::Quarantined { reason } => Some(format!("quarantined: {reason}")),
            _ => None,
        },
        Body::SyncAnswered(receipt) => match receipt.answer {
            Answer::Refused { message } => Some(format!("refused: {message}")),
            _ => None,
        },
        _ => None,
    });
    words.collect::<Vec<_>>().join("\n")
}

fn pending_keys(site: &Site, n: usize) -> BTreeSet<String> {
    let memory = site.simulation.memory.borrow();
    memory
        .documents
        .get(&source(n))
        .into_iter()
        .flat_map(|rows| rows.values())
        .filter(|row| row.is_pending())
        .map(|row| row.id.key.clone())
        .collect()
}

#[test]
fn malformed_events_are_in_the_ledger_with_their_reason_and_the_rest_of_the_batch_is_recorded() {
    let bad = [
        ("{\"source\":\"aws.s3\",", "not JSON"),
        ("", "not JSON"),
        ("\u{0}\u{1}\u{fffd}", "not JSON"),
        ("[]", "source is missing"),
        ("{\"Records\":[{\"eventSource\":\"aws:s3\"}]}", "turn on EventBridge"),
        ("{\"source\":\"aws.ec2\"}", "\"aws.ec2\""),
        ("{\"source\":\"aws.s3\",\"detail-type\":\"Nonsense\"}", "\"Nonsense\""),
        ("{\"source\":\"aws.s3\",\"detail-type\":\"Object Created\",\"time\":\"2025-11-23T12:00:00Z\"}", "detail"),
    ];
    let site = site();
    let mut bodies: Vec<String> = bad.iter().map(|(body, _)| (*body).to_owned()).collect();
    bodies.insert(3, written("docs", "kb0/a.md", 1));
    bodies.push(written("docs", "kb1/b.md", 2));
    let batch = messages(&bodies);
    let tracked = site.deliver(batch.clone());
    assert_eq!(tracked, Tracked { recorded: 2, refused: 8, ..Tracked::default() });
    assert_eq!((pending_keys(&site, 0), pending_keys(&site, 1)), (["kb0/a.md".to_owned()].into(), ["kb1/b.md".to_owned()].into()));
    for (body, words) in bad {
        let id = &batch.iter().find(|message| message.body == body).unwrap().id;
        let refusal = site.refusal(id).unwrap();
        assert!(refusal.reason.contains(words), "{body:?}: {}", refusal.reason);
        assert_eq!((refusal.input.as_str(), refusal.length), (body, body.len()), "kept as it came, to be sent again once it is mended");
    }
}

#[test]
fn events_of_unknown_buckets_are_counted_and_keep_nobody() {
    let site = site();
    let tracked = site.deliver(messages([
        written("photos", "kb0/beach.md", 1),
        written("docs", "kb0/a.md", 2),
        written("docs", "elsewhere/b.md", 3),
    ]));
    assert_eq!(tracked, Tracked { recorded: 1, passed_over: 2, ..Tracked::default() });
    assert_eq!(pending_keys(&site, 0), ["kb0/a.md".to_owned()].into());
}

#[test]
fn keys_with_odd_characters_end_indexed_under_their_own_name() {
    let mut keys: Vec<String> = [
        "two words.md",
        "a+b.md",
        "100%.md",
        "50%25%2Fx.md",
        "日本語/Übergröße.md",
        "🚲.md",
        "cafe\u{301}.md",
        "\"quoted\".md",
        "back\\slash.md",
        "../up/./here.md",
        "//slashes//.md",
        "line\nbreak\u{1}.md",
        "s3://docs/x.md",
        "!-_.*'();:@&=$,?#[]{}^`<>|~.md",
    ]
    .map(|name| format!("kb0/{name}"))
    .into();
    for letter in ["x", "ä", "\""] {
        let stem = letter.repeat((1_024 - "kb0/.md".len() - 1) / letter.len());
        keys.push(format!("kb0/{stem}{}.md", "y".repeat(1_024 - "kb0/.md".len() - stem.len())));
        assert_eq!(keys.last().unwrap().len(), 1_024);
    }
    // Directly, and in a job.
    for settings in ["", "[sync]\ndirect_at_most = 1"] {
        let mut site = Site::new(policy(settings));
        for key in &keys {
            site.simulation.write(&document(key), 1_000);
        }
        assert!(site.simulation.settle(DAY));
        assert_eq!(site.simulation.memory.borrow().problems(&site.policy), []);
        for key in &keys {
            assert_eq!(fate(&site, key), Some(Fate::Indexed), "{key:?}");
        }
        for key in &keys {
            site.simulation.delete(&document(key));
        }
        assert!(site.simulation.settle(DAY));
        for key in &keys {
            assert_eq!(fate(&site, key), Some(Fate::Deleted), "{key:?}");
        }
    }
}

/// The largest event that comes of many documents with the longest keys, each character of which needs escaping.
fn largest_event_of_longest_keys(mode: Mode) -> usize {
    let mut policy = policy("[sync]\ndirect_at_most = 1000\n[quotas]\ndocuments_per_request = 25");
    policy.mode = mode;
    let quotas = Quotas { documents_per_request: 25, ..Quotas::default() };
    let mut site = Site::with(policy, Bedrock::new(quotas, Speed::default()));
    for n in 0..300 {
        site.simulation.write(&document(&format!("kb0/{n:03}{}.md", "\u{1}".repeat(1_024 - 10))), 1_000);
    }
    site.simulation.run_until(site.simulation.now() + SignedDuration::from_mins(10));
    site.events().iter().map(|event| serde_json::to_string(event).unwrap().len()).max().unwrap()
}

#[test]
fn events_about_the_longest_keys_fit_into_one_entry_of_the_bus() {
    let largest = largest_event_of_longest_keys(Mode::Act);
    assert!(largest < BUS_ENTRY, "{largest}");
}

#[test]
fn a_dry_run_s_decisions_about_the_longest_keys_fit_into_one_entry_of_the_bus() {
    let largest = largest_event_of_longest_keys(Mode::DryRun);
    assert!(largest < BUS_ENTRY, "{largest}");
}

#[test]
fn a_zero_byte_object_is_quarantined_as_empty_until_it_is_written() {
    let mut site = site();
    site.simulation.write(&document("kb0/empty.md"), 0);
    site.simulation.write(&document("kb0/full.md"), 1_000);
    assert!(site.simulation.settle(DAY));
    let Some(Fate::Quarantined { reason }) = fate(&site, "kb0/empty.md") else { panic!("{:?}", fate(&site, "kb0/empty.md")) };
    assert!(reason.contains("empty"), "{reason}");
    assert_eq!(fate(&site, "kb0/full.md"), Some(Fate::Indexed));
    site.simulation.write(&document("kb0/empty.md"), 10);
    assert!(site.simulation.settle(DAY));
    assert_eq!(fate(&site, "kb0/empty.md"), Some(Fate::Indexed));
}

#[test]
fn folders_placeholders_are_counted_and_keep_nobody() {
    let site = site();
    let folder = |order: u64| {
        event("Object Created", "docs", &json!({ "key": "kb0/folder/", "size": 0, "sequencer": sequencer(order) }), None).to_string()
    };
    let tracked = site.deliver(messages([folder(1), written("docs", "kb0/folder/a.md", 2), folder(3)]));
    assert_eq!(tracked, Tracked { recorded: 1, passed_over: 2, ..Tracked::default() });
    assert_eq!(pending_keys(&site, 0), ["kb0/folder/a.md".to_owned()].into());
}

/// A bucket with versions: what S3 has, and the event that says so.
fn version_event(site: &mut Site, key: &str, order: u64, deletion: &str, stands: Option<u64>) {
    let object = json!({ "key": key, "version-id": format!("version.{order}"), "sequencer": sequencer(order) });
    let mut body = event("Object Deleted", "docs", &object, Some(deletion));
    body["time"] = site.simulation.now().to_string().into();
    {
        let objects = &mut site.simulation.memory.borrow_mut().objects;
        match stands {
            Some(size) => objects.insert(document(key), ObjectVersion { size, etag: format!("{order:x}") }),
            None => objects.remove(&document(key)),
        };
    }
    let tracked = site.deliver(messages([body.to_string()]));
    assert_eq!((tracked.recorded, tracked.failed), (1, Vec::new()));
    assert!(site.simulation.settle(DAY));
}

#[test]
fn versions_and_delete_markers_leave_in_the_index_what_stands_in_the_bucket() {
    for settings in ["", "[sync]\ndirect_at_most = 1"] {
        let mut site = Site::new(policy(settings));
        for key in ["kb0/a.md", "kb0/b.md", "kb0/c.md"] {
            site.simulation.write(&document(key), 1_000);
        }
        assert!(site.simulation.settle(DAY));
        let key = "kb0/a.md";
        version_event(&mut site, key, 1, "Permanently Deleted", Some(1_000));
        assert_eq!(fate(&site, key), Some(Fate::Indexed), "an old version went");
        version_event(&mut site, key, 2, "Delete Marker Created", None);
        assert_eq!(fate(&site, key), Some(Fate::Deleted), "a marker hides it");
        version_event(&mut site, key, 3, "Permanently Deleted", Some(1_000));
        assert_eq!(fate(&site, key), Some(Fate::Indexed), "the marker went");
        version_event(&mut site, key, 4, "Permanently Deleted", None);
        assert_eq!(fate(&site, key), Some(Fate::Deleted), "the last version went");
        assert_eq!(fate(&site, "kb0/b.md"), Some(Fate::Indexed));
        assert_eq!(site.simulation.memory.borrow().problems(&site.policy), []);
    }
}

/// Both data sources' documents change; something is wrong with the first data source. The ledger says it in these
/// words, the second goes on, and the next change after the fault was mended brings the first back.
fn one_is_wrong(mut site: Site, words: &[&str], mend: impl FnOnce(&mut Bedrock)) {
    site.simulation.write(&document("kb0/a.md"), 1_000);
    site.simulation.write(&document("kb1/b.md"), 1_000);
    assert!(site.simulation.settle(DAY));
    let said = words_on(&site, &source(0));
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said:?}");
    }
    assert!(said.contains("quarantined: "), "{said:?}");
    assert_eq!(fate(&site, "kb0/a.md"), None);
    assert_eq!(pending_keys(&site, 0), ["kb0/a.md".to_owned()].into(), "nothing is lost");
    assert_eq!((fate(&site, "kb1/b.md"), words_on(&site, &source(1))), (Some(Fate::Indexed), String::new()));
    mend(&mut site.simulation.memory.borrow_mut().bedrock);
    site.simulation.write(&document("kb0/c.md"), 1_000);
    assert!(site.simulation.settle(DAY));
    assert_eq!((fate(&site, "kb0/a.md"), fate(&site, "kb0/c.md")), (Some(Fate::Indexed), Some(Fate::Indexed)));
}

fn recreate(bedrock: &mut Bedrock, now: jiff::Timestamp, kind: DataSourceKind) {
    let DataSourceId { knowledge_base, data_source } = source(0);
    if bedrock.data_source(&data_source).is_some() {
        bedrock.delete_data_source(now, &knowledge_base, &data_source).unwrap();
    }
    bedrock.create_data_source(now, NewDataSource { id: Some(data_source.clone()), knowledge_base, name: data_source, kind }).unwrap();
}

fn right_kind() -> DataSourceKind {
    DataSourceKind::prefix("docs", "kb0/")
}

#[test]
fn a_data_source_that_does_not_exist_is_set_aside_by_name_and_keeps_nobody() {
    let site = site();
    let now = site.simulation.now();
    site.simulation.memory.borrow_mut().bedrock.delete_data_source(now, "KB00000000", "DS00000000").unwrap();
    one_is_wrong(site, &["ResourceNotFoundException", "DS00000000"], |bedrock| recreate(bedrock, now, right_kind()));
}

#[test]
fn a_knowledge_base_that_does_not_exist_is_set_aside_by_name_and_keeps_nobody() {
    let site = site();
    let now = site.simulation.now();
    site.simulation.memory.borrow_mut().bedrock.delete_knowledge_base(now, "KB00000000").unwrap();
    one_is_wrong(site, &["ResourceNotFoundException", "KB00000000"], |bedrock| {
        let new = flywheel_bedrock::core::NewKnowledgeBase { id: Some("KB00000000".to_owned()), name: "again".to_owned() };
        bedrock.create_knowledge_base(now, new).unwrap();
        recreate(bedrock, now, right_kind());
    });
}

#[test]
fn a_data_source_of_another_type_than_s3_is_set_aside_as_such_and_keeps_nobody() {
    let site = site();
    let now = site.simulation.now();
    recreate(&mut site.simulation.memory.borrow_mut().bedrock, now, DataSourceKind::Other { name: "WEB".to_owned() });
    one_is_wrong(site, &["not an S3 data source"], |bedrock| recreate(bedrock, now, right_kind()));
}

#[test]
fn a_data_source_of_another_bucket_is_set_aside_as_such_and_keeps_nobody() {
    let site = site();
    let now = site.simulation.now();
    recreate(&mut site.simulation.memory.borrow_mut().bedrock, now, DataSourceKind::bucket("papers"));
    one_is_wrong(site, &["another bucket"], |bedrock| recreate(bedrock, now, right_kind()));
}

/// A site on which one operation on the first data source is denied.
fn denied(operation: Operation, settings: &str) -> Site {
    let mut bedrock = Bedrock::new(Quotas::default(), Speed::default());
    bedrock.inject(Fault::refuse(operation, ErrorCode::AccessDenied).on_data_source("DS00000000").times(100_000));
    Site::with(policy(settings), bedrock)
}

#[test]
fn a_denied_look_at_the_data_source_is_told_in_bedrocks_words_and_keeps_nobody() {
    one_is_wrong(denied(Operation::GetDataSource, ""), &["AccessDeniedException"], Bedrock::clear_faults);
}

#[test]
fn a_denied_direct_ingestion_is_told_in_bedrocks_words_and_keeps_nobody() {
    one_is_wrong(denied(Operation::IngestKnowledgeBaseDocuments, ""), &["refused: AccessDeniedException"], Bedrock::clear_faults);
}

#[test]
fn a_denied_job_start_is_told_in_bedrocks_words_and_keeps_nobody() {
    let settings = "[sync]\ndirect_at_most = 1";
    let mut site = denied(Operation::StartIngestionJob, settings);
    for n in 0..2 {
        for key in ["a", "b"] {
            site.simulation.write(&document(&format!("kb{n}/{key}.md")), 1_000);
        }
    }
    assert!(site.simulation.settle(DAY));
    let said = words_on(&site, &source(0));
    assert!(said.contains("refused: AccessDeniedException") && said.contains("quarantined: AccessDeniedException"), "{said}");
    assert_eq!(pending_keys(&site, 0).len(), 2, "nothing is lost");
    assert_eq!((fate(&site, "kb1/a.md"), words_on(&site, &source(1))), (Some(Fate::Indexed), String::new()));
    site.simulation.memory.borrow_mut().bedrock.clear_faults();
    site.simulation.write(&document("kb0/c.md"), 1_000);
    assert!(site.simulation.settle(DAY));
    assert_eq!(fate(&site, "kb0/a.md"), Some(Fate::Indexed));
}

#[test]
fn a_denied_direct_deletion_is_told_in_bedrocks_words_and_keeps_nobody() {
    let mut site = site();
    for key in ["kb0/a.md", "kb1/b.md"] {
        site.simulation.write(&document(key), 1_000);
    }
    assert!(site.simulation.settle(DAY));
    let fault = Fault::refuse(Operation::DeleteKnowledgeBaseDocuments, ErrorCode::AccessDenied).on_data_source("DS00000000").times(100_000);
    site.simulation.memory.borrow_mut().bedrock.inject(fault);
    for key in ["kb0/a.md", "kb1/b.md"] {
        site.simulation.delete(&document(key));
    }
    assert!(site.simulation.settle(DAY));
    let said = words_on(&site, &source(0));
    assert!(said.contains("refused: AccessDeniedException") && said.contains("quarantined: AccessDeniedException"), "{said}");
    assert_eq!(fate(&site, "kb1/b.md"), Some(Fate::Deleted));
    site.simulation.memory.borrow_mut().bedrock.clear_faults();
    site.simulation.write(&document("kb0/c.md"), 1_000);
    assert!(site.simulation.settle(DAY));
    assert_eq!(fate(&site, "kb0/a.md"), Some(Fate::Deleted));
}

/// A question that is always denied: the ledger says so within a day, and the other data source goes on.
fn a_denied_question_is_told(operation: Operation) {
    let mut site = denied(operation, "[sync]\ndirect_at_most = 2");
    for n in 0..2 {
        site.simulation.write(&document(&format!("kb{n}/a.md")), 1_000);
    }
    site.simulation.run_until(site.simulation.now() + SignedDuration::from_mins(10));
    for n in 0..2 {
        for key in ["b", "c", "d"] {
            site.simulation.write(&document(&format!("kb{n}/{key}.md")), 1_000);
        }
    }
    site.simulation.run_until(site.simulation.now() + DAY);
    for key in ["kb1/a.md", "kb1/b.md"] {
        assert_eq!(fate(&site, key), Some(Fate::Indexed), "the other goes on");
    }
    let said = words_on(&site, &source(0));
    assert!(said.contains("AccessDenied"), "{said:?}");
}

#[test]
fn a_denied_look_at_documents_is_told_in_bedrocks_words_and_keeps_nobody() {
    a_denied_question_is_told(Operation::GetKnowledgeBaseDocuments);
}

#[test]
fn a_denied_look_at_a_job_is_told_in_bedrocks_words_and_keeps_nobody() {
    a_denied_question_is_told(Operation::GetIngestionJob);
}

#[test]
fn a_message_of_the_largest_size_is_refused_and_keeps_nobody() {
    let site = site();
    let tracked = site.deliver(messages(["\u{1}".repeat(1_000_000), written("docs", "kb0/a.md", 1)]));
    assert_eq!(tracked, Tracked { recorded: 1, refused: 1, ..Tracked::default() });
    let refusal = site.refusal("message-0").unwrap();
    assert_eq!((refusal.input.len(), refusal.length), (Refusal::KEPT, 1_000_000));
}

#[test]
fn a_field_of_the_largest_size_is_refused_and_keeps_nobody() {
    let site = site();
    let mut body = event("Object Created", "docs", &json!({ "key": "kb0/b.md", "size": 1, "sequencer": "1" }), None);
    body["detail"]["bucket"] = "x".repeat(300_000).into();
    let tracked = site.deliver(messages([body.to_string(), written("docs", "kb0/a.md", 1)]));
    assert_eq!(tracked, Tracked { recorded: 1, refused: 1, ..Tracked::default() });
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        prop_oneof![Just("aws.s3"), Just("Object Created"), Just("Object Deleted"), Just("docs"), Just("kb0/")].prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let name = prop_oneof![
            ".{0,8}",
            prop_oneof![
                Just("source"),
                Just("detail-type"),
                Just("detail"),
                Just("time"),
                Just("bucket"),
                Just("object"),
                Just("key"),
                Just("Records")
            ]
            .prop_map(str::to_owned),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..5).prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// A good event with one of its fields gone or replaced.
fn nearly_good() -> impl Strategy<Value = String> {
    let field = prop::sample::select(vec![
        "/source",
        "/detail-type",
        "/time",
        "/detail",
        "/detail/bucket",
        "/detail/bucket/name",
        "/detail/object",
        "/detail/object/key",
        "/detail/object/size",
        "/detail/object/sequencer",
        "/detail/deletion-type",
        "/detail/object/version-id",
    ]);
    let deletes = any::<bool>();
    (field, prop::option::of(any_json()), deletes, any::<u32>()).prop_map(|(field, value, deletes, order)| {
        let object = json!({ "key": "kb0/nearly.md", "size": 7, "version-id": "v", "sequencer": sequencer(order.into()) });
        let mut body =
            event(if deletes { "Object Deleted" } else { "Object Created" }, "docs", &object, deletes.then_some("Permanently Deleted"));
        let (parent, name) = field.rsplit_once('/').unwrap();
        if let Some(parent) = body.pointer_mut(parent).and_then(Value::as_object_mut) {
            match value {
                Some(value) => parent.insert(name.to_owned(), value),
                None => parent.remove(name),
            };
        }
        body.to_string()
    })
}

fn any_body() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        any_json().prop_map(|value| value.to_string()),
        nearly_good(),
        (nearly_good(), any::<prop::sample::Index>()).prop_map(|(text, index)| {
            let end = text.floor_char_boundary(index.index(text.len()));
            text[..end].to_owned()
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_is_recorded_passed_over_or_refused_with_a_reason_and_the_good_messages_of_its_batch_are_recorded(
        bodies in prop::collection::vec(any_body(), 0..12),
        good in 1..6_u64,
        places in prop::collection::vec(any::<prop::sample::Index>(), 6),
    ) {
        let mut bodies = bodies;
        let good: Vec<String> = (0..good).map(|n| format!("kb0/good{n}.md")).collect();
        for ((n, key), place) in good.iter().enumerate().zip(places) {
            bodies.insert(place.index(bodies.len() + 1), written("docs", key, n as u64));
        }
        let batch = messages(&bodies);
        let site = site();
        let tracked = site.deliver(batch.clone());
        prop_assert_eq!(&tracked.failed, &Vec::<String>::new());
        prop_assert_eq!(tracked.recorded + tracked.known + tracked.passed_over + tracked.refused, batch.len() as u64);
        let refused: Vec<Refusal> = batch.iter().filter_map(|Message { id, .. }| site.refusal(id)).collect();
        prop_assert_eq!(refused.len() as u64, tracked.refused);
        for refusal in &refused {
            prop_assert!(!refusal.reason.trim().is_empty(), "{:?}", refusal);
            prop_assert!(batch.iter().any(|message| message.id == refusal.message_id && message.body == refusal.input), "{:?}", refusal);
        }
        for key in good {
            let row = site.document(&source(0), &document(&key));
            prop_assert!(row.as_ref().is_some_and(|row| row.change == ChangeKind::Written && matches!(row.status, Status::Pending { .. })), "{}: {:?}", key, row);
        }
        // The same batch once more changes nothing.
        let before = site.simulation.memory.borrow().documents.clone();
        let again = site.deliver(batch);
        prop_assert_eq!((again.recorded, again.refused), (0, tracked.refused));
        prop_assert_eq!(&site.simulation.memory.borrow().documents, &before);
    }

    #[test]
    fn whatever_comes_over_the_bus_is_read_or_refused_with_a_reason(body in any_body()) {
        if let Err(reason) = Event::from_envelope(&body) {
            prop_assert!(!reason.trim().is_empty());
        }
    }
}
