//! The event files of `events/`: each is what a function takes as its Lambda input, and beside each stands what must come
//! of it. `UPDATE_GOLDEN=1` writes the expected files anew; read the difference before you commit it.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use aws_lambda_events::event::sqs::SqsEvent;
use flywheel_bedrock::core::{ObjectVersion, Operation};
use flywheel_engine::documents::{self, Document, Noted, Status};
use flywheel_model::{
    Body, Case, ChangeKind, DataSourceId, DocumentChange, DocumentId, Event, RegressionTest, Sequencer, SignalBatch, Suite,
    experiment_subject, timeout_subject,
};
use flywheel_policy::Policy;
use jiff::SignedDuration;
use serde_json::{Value, json};
use support::{Site, unpack};
use track_documents::{Message, Tracked};

#[test]
fn s3_events_come_to_what_stands_beside_them() {
    each_file("s3", |messages| {
        let together = site();
        let tracked = together.deliver(messages.clone());
        let alone = site();
        let came_to: Vec<Value> = messages.into_iter().map(|message| came_to(&alone, message)).collect();
        assert_eq!(rows(&alone), rows(&together), "a batch comes to the same as its messages one by one");
        let Tracked { failed, recorded, known, passed_over, refused } = tracked;
        assert_eq!(failed, Vec::<String>::new(), "nothing is delivered again");
        let wakes = together.simulation.memory.borrow().wakes.len();
        json!({
            "messages": came_to,
            "batch": { "recorded": recorded, "known": known, "passed_over": passed_over, "refused": refused, "wakes": wakes },
        })
    });
}

#[test]
fn wakes_come_to_what_stands_beside_them() {
    each_file("wakes", |messages| {
        // As sync-knowledge-bases reads them.
        let sweep = messages.iter().any(|message| sync_knowledge_bases::asks_for_sweep(&message.body));
        json!({ "sweep": sweep, "a_document_whose_wake_was_lost": fate_of_a_lost_wake(sweep) })
    });
}

#[test]
fn bus_events_come_to_what_stands_beside_them() {
    let mut kinds = BTreeSet::new();
    each_file("bus", |messages| {
        let entry = |message: Message| match Event::from_envelope(&message.body) {
            Ok(event) => {
                kinds.insert(event.kind());
                json!({ "came_to": "recorded", "kind": event.kind(), "id": event.id, "subject": event.subject, "causes": event.causes.len() })
            }
            Err(reason) => json!({ "came_to": "refused", "reason": reason }),
        };
        json!({ "messages": messages.into_iter().map(entry).collect::<Vec<_>>() })
    });
    let files: BTreeSet<String> = event_files("bus").iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert!(kinds.iter().all(|kind| files.contains(*kind)), "a file for each kind: {kinds:?}, {files:?}");
    assert_eq!(kinds.len(), 43, "every kind has its file: {kinds:?}");
}

#[test]
fn every_bus_event_is_read_and_written_without_a_difference() {
    let mut seen = 0;
    for path in event_files("bus") {
        for message in read_batch(&path) {
            let Ok(event) = Event::from_envelope(&message.body) else { continue };
            let body: Value = serde_json::from_str(&message.body).unwrap();
            assert_eq!(serde_json::to_value(&event).unwrap(), body["detail"], "{}", path.display());
            assert_eq!(body["detail-type"], event.kind(), "{}", path.display());
            let subject = match &event.body {
                Body::DocumentChanged(change) => change.document.subject(),
                Body::DocumentSettled(outcome) => outcome.document.subject(),
                Body::InputRefused(refusal) => refusal.clone().event(event.at).subject,
                Body::SignalsKept(batch) => batch.clone().event(event.at).subject,
                Body::SyncHeld(hold) => hold.data_source.subject(),
                Body::SyncAnswered(receipt) => receipt.data_source.subject(),
                Body::SyncEnded(outcome) => outcome.data_source.subject(),
                Body::SyncDecided(_) => event.subject.clone(),
                Body::FindingOpened(finding) | Body::FindingUpdated(finding) | Body::FindingClosed(finding) => finding.subject(),
                Body::FindingHeld(hold) => hold.subject(),
                Body::TimeoutDecided(change) => timeout_subject(&change.timeout),
                Body::TimeoutHeld(hold) => timeout_subject(&hold.timeout),
                Body::TimeoutAnswered(receipt) => timeout_subject(&receipt.timeout),
                Body::TimeoutVerified(outcome) => timeout_subject(&outcome.timeout),
                Body::RefreshEnded(refreshed) => refreshed.data_source.subject(),
                Body::CaseCaptured(captured) => Case::subject(&captured.question),
                Body::CaptureHeld(hold) => hold.clone().event(&event.causes[0], event.at).subject,
                Body::PreflightDecided(change) => format!("preflight/{}", change.check.id),
                Body::PreflightHeld(_) | Body::PreflightWritten(_) => "preflight".to_owned(),
                Body::PreflightMade(run) => format!("service/{}", run.service),
                Body::TestsDecided(decision) => Suite::subject(&decision.intent),
                Body::TestsHeld(hold) => Suite::subject(&hold.intent),
                Body::TestsKept(receipt) => Suite::subject(&receipt.intent),
                Body::TestProved(proved) => RegressionTest::subject(&proved.test),
                Body::ExperimentDecided(decision) => experiment_subject(&decision.experiment),
                Body::ExperimentHeld(hold) => experiment_subject(hold.experiment.as_ref().unwrap_or(&hold.intent)),
                Body::FlagChanged(receipt) => experiment_subject(&receipt.experiment),
                Body::ExperimentConcluded(outcome) => experiment_subject(&outcome.experiment),
                Body::ApprovalRequested(request) | Body::ApprovalExpired(request) => request.event().subject,
                Body::ApprovalGranted(decided) | Body::ApprovalRejected(decided) => decided.request.event().subject,
                Body::ActionsStopped(control) => control.clone().event(true).subject,
                Body::ActionsResumed(control) => control.clone().event(false).subject,
                Body::ActionGraded(outcome) => outcome.subject(),
                Body::Escalated(escalation) => escalation.scope.subject(escalation.metric),
                Body::UndoDecided(_) | Body::RefreshDecided(_) | Body::RefreshHeld(_) | Body::AskedAgain(_) => event.subject.clone(),
            };
            assert_eq!(event.subject, subject, "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
}

#[test]
fn a_batch_is_read_from_its_event_alone() {
    let read = |name: &str| {
        let message = read_batch(&folder().join("bus").join(format!("{name}.json"))).remove(0);
        (SignalBatch::from_envelope(&message.body), Event::from_envelope(&message.body).unwrap())
    };
    let (batch, event) = read("signal.batch");
    let (id, batch) = batch.unwrap();
    assert_eq!((id, Body::SignalsKept(batch)), (event.id, event.body));
    assert!(read("case.captured").0.unwrap_err().contains("not the event of a batch"));
}

#[test]
fn ids_stay_the_same_from_one_release_to_the_next() {
    // An id that changed would have the ledger keep what it has a second time. The files hold ids made elsewhere.
    let mut seen = 0;
    for name in
        ["signal.document-changed", "signal.refused", "signal.batch", "case.captured", "decision.capture-hold", "approval.requested"]
    {
        for message in read_batch(&folder().join("bus").join(format!("{name}.json"))) {
            let event = Event::from_envelope(&message.body).unwrap();
            let id = match &event.body {
                Body::DocumentChanged(change) if change.change == ChangeKind::MetadataChanged => continue,
                Body::DocumentChanged(change) => change.id(),
                Body::InputRefused(refusal) => refusal.clone().event(event.at).id,
                Body::SignalsKept(batch) => batch.clone().event(event.at).id,
                Body::CaseCaptured(captured) => captured.clone().event(&event.causes[0], event.at).id,
                Body::CaptureHeld(hold) => hold.clone().event(&event.causes[0], event.at).id,
                Body::ApprovalRequested(request) => request.event().id,
                other => panic!("{other:?}"),
            };
            assert_eq!(event.id, id);
            seen += 1;
        }
    }
    assert_eq!(seen, 9);
}

#[test]
fn no_expected_file_is_left_without_its_event_file() {
    for path in json_files(&folder()) {
        if let Some(event) = path.to_str().unwrap().strip_suffix(".expected.json") {
            assert!(Path::new(&format!("{event}.json")).exists(), "{} has no event file", path.display());
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../events")
}

fn site() -> Site {
    Site::new(Policy::parse(&fs::read_to_string(folder().join("policy.toml")).unwrap()).unwrap())
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(json_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "json") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn event_files(source: &str) -> Vec<PathBuf> {
    let files = json_files(&folder().join(source));
    files.into_iter().filter(|path| !path.to_str().unwrap().ends_with(".expected.json")).collect()
}

fn read_batch(path: &Path) -> Vec<Message> {
    let text = fs::read_to_string(path).unwrap();
    let event: SqsEvent = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: no Lambda input: {error}", path.display()));
    let messages = unpack(event);
    assert!(!messages.is_empty(), "{}", path.display());
    let ids: BTreeSet<&str> = messages.iter().map(|message| message.id.as_str()).collect();
    assert_eq!(ids.len(), messages.len(), "{}: message ids must differ", path.display());
    messages
}

/// Holds each file's result against the expected file beside it, and tells all that differ.
fn each_file(source: &str, mut result: impl FnMut(Vec<Message>) -> Value) {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut differences = Vec::new();
    let files = event_files(source);
    assert!(!files.is_empty(), "no event files for {source}");
    for path in files {
        let found = result(read_batch(&path));
        let beside = path.with_extension("expected.json");
        if update {
            fs::write(&beside, format!("{found:#}\n")).unwrap();
            continue;
        }
        match fs::read_to_string(&beside) {
            Err(error) => differences.push(format!("{}: {error}; write it with UPDATE_GOLDEN=1", beside.display())),
            Ok(text) => {
                let expected: Value = serde_json::from_str(&text).unwrap();
                if expected != found {
                    differences.push(format!("{}\nexpected {expected:#}\nfound {found:#}", beside.display()));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

type Rows = BTreeMap<DataSourceId, BTreeMap<DocumentId, Document>>;

fn rows(site: &Site) -> Rows {
    site.simulation.memory.borrow().documents.clone()
}

/// What one message comes to after those before it.
fn came_to(site: &Site, message: Message) -> Value {
    let before = rows(site);
    let id = message.id.clone();
    let tracked = site.deliver(vec![message]);
    assert_eq!(tracked.recorded + tracked.known + tracked.passed_over + tracked.refused, 1, "one thing comes of each message: {tracked:?}");
    if tracked.refused == 1 {
        let refusal = site.refusal(&id).unwrap();
        return json!({ "came_to": "refused", "reason": refusal.reason });
    }
    if tracked.passed_over == 1 {
        return json!({ "came_to": "passed over" });
    }
    let after = rows(site);
    let is_new = |source: &DataSourceId, row: &&Document| before.get(source).and_then(|rows| rows.get(&row.id)) != Some(row);
    let new: Vec<(&DataSourceId, &Document)> = after
        .iter()
        .flat_map(|(source, rows)| rows.values().map(move |row| (source, row)))
        .filter(|(source, row)| is_new(source, row))
        .collect();
    if tracked.known == 1 {
        assert!(new.is_empty(), "what is known changes nothing: {new:?}");
        return json!({ "came_to": "known" });
    }
    let documents: BTreeSet<String> = new.iter().map(|(_, row)| row.id.uri()).collect();
    assert_eq!(documents.len(), 1, "{new:?}");
    assert!(new.iter().all(|(_, row)| row.is_pending()), "{new:?}");
    let signal = site.events().into_iter().find(|event| event.id == new[0].1.signal).unwrap();
    assert!(matches!(&signal.body, Body::DocumentChanged(change) if change.document == new[0].1.id), "{signal:?}");
    let readers: Vec<String> = new.iter().map(|(source, _)| source.to_string()).collect();
    json!({ "came_to": "recorded", "document": new[0].1.id.uri(), "change": new[0].1.change, "readers": readers })
}

/// A site on which a document was recorded by a process that died before it could wake the loop.
fn site_with_a_lost_wake() -> (Site, DataSourceId, DocumentId) {
    let site = site();
    let source = site.policy.data_sources[0].id.clone();
    let document = DocumentId::new("example-handbook", "onboarding/first-week.md");
    let change = DocumentChange {
        document: document.clone(),
        change: ChangeKind::Written,
        sequencer: Sequencer::try_from("66A0F1B2C3D40001".to_owned()).unwrap(),
        at: site.simulation.now(),
        size: Some(2_048),
    };
    let Noted::News(row) = documents::note(None, &change, change.id()) else { panic!("it is news") };
    let mut memory = site.simulation.memory.borrow_mut();
    memory.objects.insert(document.clone(), ObjectVersion { size: 2_048, etag: "e".to_owned() });
    memory.documents.entry(source.clone()).or_default().insert(document.clone(), Document { revision: 1, ..row });
    drop(memory);
    (site, source, document)
}

/// Wakes the loop, and lets less time pass than until the simulation's own sweep.
fn wake(site: &mut Site, sweep: bool) {
    let now = site.simulation.now();
    site.simulation.memory.borrow_mut().wakes.push((now, sweep));
    site.simulation.run_until(now + SignedDuration::from_mins(2));
}

fn fate_of_a_lost_wake(sweep: bool) -> &'static str {
    let (mut site, ..) = site_with_a_lost_wake();
    wake(&mut site, sweep);
    let memory = site.simulation.memory.borrow();
    let sent = memory.bedrock.calls().iter().any(|call| call.operation == Operation::IngestKnowledgeBaseDocuments);
    if sent { "is sent to Bedrock" } else { "waits for the sweep" }
}

#[test]
fn a_document_that_a_sweep_found_is_indexed_without_another_sweep() {
    let (mut site, source, document) = site_with_a_lost_wake();
    wake(&mut site, true);
    assert_eq!(site.document(&source, &document).unwrap().status, Status::Indexed);
}
