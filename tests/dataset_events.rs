//! Real event files of AWS, in every form that they come in, go through everything that reads events: each is understood
//! or refused with its reason, and none makes anything panic. The files are no part of the repository: name the folder
//! that has them as `events/` with `FLYWHEEL_DATASETS`, from the workspace's root or absolute.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "support/datasets.rs"]
mod datasets;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aws_lambda_events::event::sqs::SqsEvent;
use flywheel_engine::s3_event::{self, S3Event};
use flywheel_model::{Event, Sequencer};
use flywheel_policy::Policy;
use jiff::Timestamp;
use serde_json::Value;
use support::{Site, messages, unpack};
use track_documents::Message;

/// Everything that a file holds: itself, and the events inside of it (of a batch, a list, a body that is JSON again).
struct Sample {
    file: String,
    text: String,
}

#[test]
fn real_event_files_are_understood_or_refused_with_their_reason() {
    let Some(samples) = samples() else { return };
    let mut table: BTreeMap<String, usize> = BTreeMap::new();
    let mut count = |what: String| *table.entry(what).or_default() += 1;
    for Sample { file, text } in &samples {
        match s3_event::parse(text) {
            Ok(S3Event::Changed(change)) => {
                assert!(!change.document.key.is_empty() && !change.document.bucket.is_empty(), "{file}");
                count(format!("understood: {:?}", change.change));
            }
            Ok(S3Event::Other { detail_type }) => count(format!("passed over: {detail_type}")),
            Err(reason) => {
                assert!(!reason.trim().is_empty(), "{file}");
                count(format!("refused: {}", kind_of(&reason)));
            }
        }
    }
    print("S3 events, each file and each event inside of one", &table);
    assert!(table.keys().any(|what| what.starts_with("understood")), "{table:?}");
    assert!(table.keys().any(|what| what.starts_with("passed over")), "{table:?}");
    assert!(table.keys().any(|what| what.starts_with("refused")), "{table:?}");
}

#[test]
fn every_valid_s3_event_of_them_is_understood_and_those_with_placeholders_are_refused_by_field() {
    let Some(samples) = samples() else { return };
    let (mut understood, mut refused) = (0, 0);
    for Sample { file, text } in &samples {
        let Ok(event) = serde_json::from_str::<Value>(text) else { continue };
        let detail_type = event["detail-type"].as_str().unwrap_or_default();
        if event["source"] != "aws.s3" || !matches!(detail_type, "Object Created" | "Object Deleted") {
            continue;
        }
        let object = &event["detail"]["object"];
        let time: Option<Timestamp> = event["time"].as_str().and_then(|time| time.parse().ok());
        let sequencer = object["sequencer"].as_str().filter(|text| !text.is_empty() && text.chars().all(|digit| digit.is_ascii_hexdigit()));
        match (time, sequencer, s3_event::parse(text)) {
            (Some(at), Some(sequencer), Ok(S3Event::Changed(change))) => {
                assert_eq!(change.document.key, object["key"].as_str().unwrap(), "{file}");
                assert_eq!(change.document.bucket, event["detail"]["bucket"]["name"].as_str().unwrap(), "{file}");
                assert_eq!((change.at, change.size), (at, object["size"].as_u64()), "{file}");
                assert_eq!(change.sequencer, Sequencer::try_from(sequencer.to_owned()).unwrap(), "{file}");
                understood += 1;
            }
            (None, _, Err(reason)) => {
                assert!(reason.starts_with("time is "), "{file}: {reason}");
                refused += 1;
            }
            (Some(_), None, Err(reason)) => {
                assert!(reason.starts_with("detail.object.sequencer"), "{file}: {reason}");
                refused += 1;
            }
            (.., found) => panic!("{file}: {found:?}"),
        }
    }
    println!("S3 object events: {understood} understood, {refused} with placeholders refused by field");
    assert!(understood > 0, "no valid S3 event among them");
}

#[test]
fn placeholders_for_single_fields_are_refused_by_the_name_of_the_field() {
    // Recorded events have their ids, dates and orders replaced. Once the date is mended, the order is what is wrong.
    let Some(samples) = samples() else { return };
    let mut mended = 0;
    for Sample { file, text } in &samples {
        let Ok(mut event) = serde_json::from_str::<Value>(text) else { continue };
        let is_recorded = event["source"] == "aws.s3" && event["detail-type"] == "Object Created" && event["time"] == "date";
        if !is_recorded {
            continue;
        }
        event["time"] = "2025-11-23T12:00:00Z".into();
        let reason = s3_event::parse(&event.to_string()).unwrap_err();
        assert!(reason.starts_with("detail.object.sequencer"), "{file}: {reason}");
        event["detail"]["object"]["sequencer"] = "0066A0F1B2C3D40001".into();
        assert!(matches!(s3_event::parse(&event.to_string()), Ok(S3Event::Changed(_))), "{file}");
        mended += 1;
    }
    println!("recorded S3 events, understood once their placeholders are mended: {mended}");
}

#[test]
fn as_messages_none_of_them_is_lost_and_none_keeps_the_others() {
    let Some(samples) = samples() else { return };
    let batch = messages(samples.iter().map(|sample| sample.text.as_str()));
    let site = site(&samples);
    let counts = deliver(&site, &batch);
    print("as messages of one batch for track-documents", &counts);
    assert!(counts["recorded"] > 0 && counts["refused"] > 0, "{counts:?}");
}

#[test]
fn as_lambda_input_those_that_are_batches_come_to_something_for_each_message() {
    let Some(samples) = samples() else { return };
    let site = site(&samples);
    let mut table: BTreeMap<String, usize> = BTreeMap::new();
    for Sample { file, text } in &samples {
        let Ok(event) = serde_json::from_str::<SqsEvent>(text) else { continue };
        *table.entry("files that parse as a batch".to_owned()).or_default() += 1;
        for (n, message) in unpack(event).into_iter().enumerate() {
            *table.entry("messages in them".to_owned()).or_default() += 1;
            let message = Message { id: format!("{file} {n}"), ..message };
            for (what, how_many) in deliver(&site, &[message]) {
                *table.entry(what).or_default() += how_many;
            }
        }
    }
    print("as Lambda input of track-documents", &table);
    assert!(table.contains_key("messages in them"), "{table:?}");
}

#[test]
fn none_of_them_is_taken_for_an_event_of_the_bus() {
    let Some(samples) = samples() else { return };
    let mut table: BTreeMap<String, usize> = BTreeMap::new();
    for Sample { file, text } in &samples {
        let reason = Event::from_envelope(text).err().unwrap_or_else(|| panic!("{file} is none of ours"));
        assert!(!reason.trim().is_empty(), "{file}");
        *table.entry(format!("refused: {}", kind_of(&reason))).or_default() += 1;
    }
    print("as messages for record", &table);
    assert!(!table.is_empty());
}

/// Delivers a batch, and checks that each message came to something.
fn deliver(site: &Site, batch: &[Message]) -> BTreeMap<String, usize> {
    let tracked = site.deliver(batch.to_vec());
    assert_eq!(tracked.failed, Vec::<String>::new());
    assert_eq!(tracked.recorded + tracked.known + tracked.passed_over + tracked.refused, batch.len() as u64);
    let refusals: Vec<_> = batch.iter().filter_map(|message| site.refusal(&message.id)).collect();
    assert_eq!(refusals.len() as u64, tracked.refused, "each refusal is in the ledger");
    assert!(refusals.iter().all(|refusal| !refusal.reason.trim().is_empty()));
    let counts =
        [("recorded", tracked.recorded), ("known", tracked.known), ("passed over", tracked.passed_over), ("refused", tracked.refused)];
    counts.into_iter().map(|(what, how_many)| (what.to_owned(), usize::try_from(how_many).unwrap())).collect()
}

/// A site whose policy reads every bucket that the samples name and a policy may name.
fn site(samples: &[Sample]) -> Site {
    let mut buckets: Vec<String> = samples
        .iter()
        .filter_map(|sample| match s3_event::parse(&sample.text) {
            Ok(S3Event::Changed(change)) => Some(change.document.bucket),
            _ => None,
        })
        .collect();
    buckets.sort();
    buckets.dedup();
    let mut text = "mode = \"act\"\n".to_owned();
    for (n, bucket) in buckets.iter().enumerate() {
        text += &format!("[[data_source]]\nknowledge_base = \"KB{n:08}\"\ndata_source = \"DS{n:08}\"\nbucket = {bucket:?}\n");
    }
    Site::new(Policy::parse(&text).unwrap())
}

/// The samples, or nothing (and a line that says so) if nobody named a folder.
fn samples() -> Option<Vec<Sample>> {
    let folder = datasets::folder("events", "real event files")?;
    let mut files = files(&folder);
    files.sort();
    let mut samples = Vec::new();
    for path in files {
        let file = path.strip_prefix(&folder).unwrap().display().to_string();
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        if let Ok(value) = serde_json::from_str::<Value>(&text) {
            add_events_inside(&file, &value, &mut samples);
        }
        samples.push(Sample { file, text });
    }
    assert!(!samples.is_empty(), "no json, txt or md file below {}", folder.display());
    println!("{} files and events inside of them", samples.len());
    Some(samples)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("FLYWHEEL_DATASETS: {}: {error}", folder.display()));
    let paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    let (folders, files): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.is_dir());
    let is_sample = |path: &PathBuf| path.extension().is_some_and(|ending| ["json", "txt", "md"].iter().any(|known| ending == *known));
    files.into_iter().filter(is_sample).chain(folders.iter().flat_map(|folder| self::files(folder))).collect()
}

/// Everything inside a value that may be an event of its own: an object in a list or with a source, a text that is JSON.
fn add_events_inside(file: &str, value: &Value, samples: &mut Vec<Sample>) {
    let mut add = |text: String| samples.push(Sample { file: format!("inside {file}"), text });
    match value {
        Value::Object(fields) => {
            for field in fields.values() {
                if field.get("source").is_some() {
                    add(field.to_string());
                }
            }
        }
        Value::Array(values) => values.iter().filter(|value| value.is_object()).for_each(|value| add(value.to_string())),
        Value::String(text) if text.starts_with(['{', '[']) => add(text.clone()),
        _ => {}
    }
    match value {
        Value::Object(fields) => fields.values().for_each(|field| add_events_inside(file, field, samples)),
        Value::Array(values) => values.iter().for_each(|value| add_events_inside(file, value, samples)),
        Value::String(text) => {
            if let Ok(inside @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(text) {
                add_events_inside(file, &inside, samples);
            }
        }
        _ => {}
    }
}

/// A reason without the values that it quotes.
fn kind_of(reason: &str) -> String {
    let mut kind = String::new();
    for (n, part) in reason.split('"').enumerate() {
        kind += if n % 2 == 0 { part } else { "…" };
    }
    let kind = kind.split(" at line ").next().unwrap_or_default().split(';').next().unwrap_or_default().to_owned();
    kind.chars().take(90).collect()
}

fn print(title: &str, table: &BTreeMap<String, usize>) {
    println!("\n{title}");
    for (what, how_many) in table {
        println!("{how_many:>6}  {what}");
    }
}
