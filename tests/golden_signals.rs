//! The files of `events/signals`, `events/eventbridge` and `events/logs`: each is what a function takes as its Lambda
//! input, and beside each stands what must come of it. `UPDATE_GOLDEN=1` writes the expected files anew, and the
//! deliveries of `events/logs` from their readable sources; read the difference before you commit it.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use aws_lambda_events::event::sqs::SqsEvent;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use flywheel_intake::{Delivery, Record, Span, assemble, function_of, function_runs, read};
use flywheel_model::{Fact, Signal};
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn messages_come_to_what_stands_beside_them() {
    let mut kinds = BTreeSet::new();
    for folder in ["signals", "eventbridge"] {
        each_file(folder, |text| {
            let event: SqsEvent = serde_json::from_str(text).unwrap();
            let came_to = event.records.into_iter().map(|message| {
                let body = message.body.unwrap_or_default();
                let records = read(&body).map(|record| match record {
                    Ok(signal) => {
                        kinds.insert(signal.fact.kind());
                        shown(&signal)
                    }
                    Err(refused) => {
                        assert!(body.contains(refused.record), "what is refused is a part of the message");
                        json!({ "came_to": "refused", "reason": refused.reason })
                    }
                });
                json!({ "message": message.message_id, "records": records.collect::<Vec<_>>() })
            });
            json!({ "messages": came_to.collect::<Vec<_>>() })
        });
    }
    assert_eq!(kinds, BTreeSet::from(Fact::KINDS), "a file for each kind");
}

#[test]
fn deliveries_come_to_what_stands_beside_them() {
    pack_sources();
    each_file("logs", |text| {
        let (group, events) = match Delivery::unpack(text.as_bytes()).unwrap() {
            Delivery::Control => return json!({ "came_to": "passed over: a control message" }),
            Delivery::Data { group, events, .. } => (group, events),
        };
        let mut spans: Vec<Span> = Vec::new();
        let mut came_to = Vec::new();
        for event in &events {
            for record in event.read() {
                came_to.push(match record {
                    Ok(Record::Signal(signal)) => shown(&signal),
                    Ok(Record::Offloaded(offloaded)) => json!({ "came_to": "needs objects", "objects": offloaded.objects() }),
                    Ok(Record::Ingestion(log)) => json!({ "came_to": "ingestion", "log": log }),
                    Ok(Record::Span(span)) => {
                        let kept = serde_json::to_string(&span).unwrap();
                        assert_eq!(serde_json::from_str::<Span>(&kept).unwrap(), *span, "a span can be kept");
                        spans.push(*span.clone());
                        json!({ "came_to": "span", "span": span })
                    }
                    Ok(Record::PassedOver(reason)) => json!({ "came_to": "passed over", "reason": reason }),
                    Err(reason) => json!({ "came_to": "refused", "reason": reason }),
                });
            }
        }
        let conversations: BTreeSet<&str> = spans.iter().filter_map(|span| span.conversation.as_deref()).collect();
        let assembled = conversations.into_iter().flat_map(|conversation| assemble(conversation, &spans).signals());
        let mut all =
            json!({ "log_group": group, "events": came_to, "assembled": assembled.map(|signal| shown(&signal)).collect::<Vec<_>>() });
        if let Some(function) = function_of(&group) {
            all["runs"] = function_runs(function, &events).iter().map(shown).collect();
        }
        all
    });
}

#[test]
fn every_signal_is_read_and_written_without_a_difference() {
    let mut seen = 0;
    for path in event_files("signals") {
        let event: SqsEvent = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for body in event.records.into_iter().filter_map(|message| message.body) {
            for signal in read(&body).flatten() {
                let written = serde_json::to_string(&signal).unwrap();
                assert_eq!(read(&written).collect::<Vec<_>>(), [Ok(signal)], "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 15, "{seen}");
}

/// All messages of the files: those for queues, and those inside of deliveries.
fn texts() -> Vec<String> {
    let mut texts = Vec::new();
    for folder in ["signals", "eventbridge"] {
        for path in event_files(folder) {
            let event: SqsEvent = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            texts.extend(event.records.into_iter().filter_map(|message| message.body));
        }
    }
    for path in json_files(&folder().join("logs")).into_iter().filter(|path| is_source(path)) {
        let payload: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for event in payload["logEvents"].as_array().unwrap() {
            texts.push(event["message"].as_str().map_or_else(|| event["message"].to_string(), str::to_owned));
        }
    }
    texts
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn changed_files_are_understood_or_refused(
        which in any::<prop::sample::Index>(), from in any::<prop::sample::Index>(), length in 0..30_usize, put in "[\\[\\]{}:,\"0-9a-z\\\\\\n]{0,6}",
    ) {
        let texts = texts_once();
        let text = which.get(texts);
        let from = text.floor_char_boundary(from.index(text.len().max(1)));
        let to = text.ceil_char_boundary((from + length).min(text.len()));
        let changed = format!("{}{put}{}", &text[..from], &text[to..]);
        let mut rest = changed.as_str();
        for refused in read(&changed).filter_map(Result::err) {
            // In the order in which they came, so that none is told twice.
            let at = rest.find(refused.record);
            prop_assert!(at.is_some(), "{refused:?}");
            rest = &rest[at.unwrap_or_default() + refused.record.len()..];
            prop_assert!(!refused.reason.is_empty());
        }
        prop_assert!(read(&changed).count() > 0);
        let event = flywheel_intake::LogEvent { id: String::new(), at: None, message: changed };
        let records = event.read();
        prop_assert!(!records.is_empty());
        let spans: Vec<Span> = records.into_iter().filter_map(|record| match record {
            Ok(Record::Span(span)) => Some(*span),
            _ => None,
        }).collect();
        for span in &spans {
            let _ = assemble(span.conversation.as_deref().unwrap_or_default(), &spans);
        }
    }
}

fn texts_once() -> &'static [String] {
    static TEXTS: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
    TEXTS.get_or_init(texts)
}

fn shown(signal: &Signal) -> Value {
    json!({ "came_to": "signal", "identity": signal.identity(), "signal": signal })
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../events")
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|ending| ending == "json")).collect();
    files.sort();
    files
}

fn is_source(path: &Path) -> bool {
    path.to_str().unwrap().ends_with(".source.json")
}

fn event_files(source: &str) -> Vec<PathBuf> {
    let files = json_files(&folder().join(source));
    let files: Vec<PathBuf> =
        files.into_iter().filter(|path| !is_source(path) && !path.to_str().unwrap().ends_with(".expected.json")).collect();
    assert!(!files.is_empty(), "no event files for {source}");
    files
}

/// Checks that each delivery holds what its source says, or writes it.
fn pack_sources() {
    for source in json_files(&folder().join("logs")).into_iter().filter(|path| is_source(path)) {
        let mut payload: Value = serde_json::from_str(&fs::read_to_string(&source).unwrap()).unwrap();
        for event in payload["logEvents"].as_array_mut().unwrap() {
            // Log events are texts; in the source those that are JSON stand as such.
            if !event["message"].is_string() {
                event["message"] = event["message"].to_string().into();
            }
        }
        let packed = PathBuf::from(source.to_str().unwrap().replace(".source.json", ".json"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
            gzip.write_all(payload.to_string().as_bytes()).unwrap();
            let input = json!({ "awslogs": { "data": STANDARD.encode(gzip.finish().unwrap()) } });
            fs::write(&packed, format!("{input:#}\n")).unwrap();
            continue;
        }
        let input: Value = serde_json::from_str(&fs::read_to_string(&packed).unwrap_or_default()).unwrap_or_default();
        let data = STANDARD.decode(input["awslogs"]["data"].as_str().unwrap_or_default()).unwrap();
        let unpacked: Value = serde_json::from_reader(flate2::read::GzDecoder::new(data.as_slice())).unwrap_or_default();
        assert!(unpacked == payload, "{} does not hold what its source says; write it with UPDATE_GOLDEN=1", packed.display());
    }
}

/// Holds each file's result against the expected file beside it, and tells all that differ.
fn each_file(source: &str, mut result: impl FnMut(&str) -> Value) {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut differences = Vec::new();
    for path in event_files(source) {
        let found = result(&fs::read_to_string(&path).unwrap());
        let beside = path.with_extension("expected.json");
        if update {
            fs::write(&beside, format!("{found:#}\n")).unwrap();
            continue;
        }
        let expected: Value = fs::read_to_string(&beside).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        if expected != found {
            differences.push(format!("{}\nexpected {expected:#}\nfound {found:#}", beside.display()));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}
