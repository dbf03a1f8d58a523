//! Redaction over labelled texts, and over conversations and passages that have little to redact. The texts are no part of
//! the repository: name the folder that has them as `pii/`, `conversations/` and `retrieval/` with `FLYWHEEL_DATASETS`,
//! from the workspace's root or absolute. `-- --nocapture` prints the figures, and with `FLYWHEEL_MISSES` set also what
//! was missed and what was found beside the labels.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "support/datasets.rs"]
mod datasets;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use flywheel_redaction::{Kind, Redactor};
use serde_json::Value;

/// Labels that a pattern can see, the kinds that they are to be found as, and the least recall. A postcode that stands alone
/// after a town has no form of its own.
const VISIBLE: &[(&str, &[Kind], f64)] = &[
    ("EMAIL_ADDRESS", &[Kind::Email], 0.98),
    ("CREDIT_CARD", &[Kind::Card], 0.98),
    ("IBAN_CODE", &[Kind::Iban], 0.98),
    ("US_SSN", &[Kind::NationalId], 0.98),
    ("IP_ADDRESS", &[Kind::Ip], 0.98),
    ("PHONE_NUMBER", &[Kind::Phone], 0.98),
    ("US_DRIVER_LICENSE", &[Kind::DriverLicence], 0.98),
    ("STREET_ADDRESS", &[Kind::Address, Kind::Postcode], 0.98),
    ("ZIP_CODE", &[Kind::Postcode, Kind::Address], 0.75),
];

/// Labels that a pattern sees in part, printed without a floor: dates are taken out if they are births, names if a title
/// or the like comes before them. Sites, places, organisations and ages stay.
const PARTLY: &[(&str, &[Kind])] = &[("DATE_TIME", &[Kind::BirthDate]), ("PERSON", &[Kind::PersonName]), ("DOMAIN_NAME", &[])];

struct Labelled {
    text: String,
    labels: Vec<(String, Range<usize>)>,
}

#[test]
fn labelled_values_are_found_and_little_else() {
    let Some(folder) = datasets::folder_if_there("pii", "texts") else { return };
    let redactor = Redactor::new(b"a salt for tests");
    let shows_misses = std::env::var_os("FLYWHEEL_MISSES").is_some();
    let mut recall: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
    let mut precision: BTreeMap<Kind, (usize, usize)> = BTreeMap::new();
    for Labelled { text, labels } in labelled(&folder) {
        let spans = redactor.find(&text);
        for (label, range) in &labels {
            let label = if label == "ADDRESS" { "STREET_ADDRESS" } else { label };
            let visible = VISIBLE.iter().map(|(name, kinds, _)| (*name, *kinds));
            let Some((name, kinds)) = visible.chain(PARTLY.iter().copied()).find(|(name, _)| *name == label) else { continue };
            let touched = spans.iter().any(|span| overlap(&span.range, range) && (kinds.is_empty() || kinds.contains(&span.kind)));
            let letters = |range: Range<usize>| text[range].chars().filter(|character| character.is_alphanumeric()).count();
            let hidden: usize = spans
                .iter()
                .filter(|span| overlap(&span.range, range))
                .map(|span| letters(span.range.start.max(range.start)..span.range.end.min(range.end)))
                .sum();
            let whole = hidden == letters(range.clone());
            let (found, hidden, all) = recall.entry(name).or_default();
            *found += usize::from(touched);
            *hidden += usize::from(whole);
            *all += 1;
            if shows_misses && !whole && !PARTLY.iter().any(|(partly, _)| *partly == name) {
                println!("{} {name}: {:?} in {:?}", if touched { "part of" } else { "missed" }, &text[range.clone()], around(&text, range));
            }
        }
        for span in &spans {
            let right = labels.iter().any(|(label, range)| overlap(&span.range, range) && says(label, span.kind));
            let (rights, all) = precision.entry(span.kind).or_default();
            *rights += usize::from(right);
            *all += 1;
            if shows_misses && !right {
                println!("beside the labels, {}: {:?} in {:?}", span.kind, &text[span.range.clone()], around(&text, &span.range));
            }
        }
        check_properties(&redactor, &text);
    }
    println!("\nlabel                   found   whole      of   recall");
    for (label, (found, whole, all)) in &recall {
        println!("{label:<20} {found:>8}{whole:>8}{all:>8}{:>9.3}", share(*found, *all));
    }
    println!("\nfound as                right      of  precision");
    for (kind, (right, all)) in &precision {
        println!("{:<20} {right:>8}{all:>8}{:>11.3}", kind.name(), share(*right, *all));
    }
    for (label, _, floor) in VISIBLE {
        if let Some((found, _, all)) = recall.get(label) {
            assert!(share(*found, *all) >= *floor, "{label}: {found} of {all}");
        }
    }
    for (kind, (right, all)) in &precision {
        assert!(share(*right, *all) >= 0.95, "{kind}: {right} of {all}");
    }
    let (right, all) = precision.values().fold((0, 0), |(right, all), (more, of)| (right + more, all + of));
    println!("{:<20} {right:>8}{all:>8}{:>11.3}", "all", share(right, all));
}

#[test]
fn conversations_and_passages_stay_readable() {
    for name in ["conversations", "retrieval"] {
        let Some(folder) = datasets::folder_if_there(name, "texts") else { return };
        let redactor = Redactor::new(b"a salt for tests");
        let shows_finds = std::env::var_os("FLYWHEEL_MISSES").is_some();
        let mut counts: BTreeMap<Kind, BTreeMap<String, usize>> = BTreeMap::new();
        let (mut bytes, mut texts) = (0, 0);
        for path in files(&folder) {
            let content = fs::read_to_string(&path).unwrap();
            let values = serde_json::Deserializer::from_str(&content).into_iter::<Value>().map_while(Result::ok);
            let mut strings = Vec::new();
            values.for_each(|value| collect(&value, &mut strings));
            for text in strings {
                bytes += text.len();
                texts += 1;
                for span in redactor.find(&text) {
                    *counts.entry(span.kind).or_default().entry(around(&text, &span.range)).or_default() += 1;
                }
                check_properties(&redactor, &text);
            }
        }
        println!("\n{name}: {texts} texts, {:.1} MB", bytes as f64 / 1e6);
        for (kind, found) in &counts {
            println!("{:<20} {:>8}, {} different", kind.name(), found.values().sum::<usize>(), found.len());
            if shows_finds {
                found.iter().for_each(|(text, count)| println!("    {} {count:>5} {text:?}", kind.name()));
            }
        }
    }
}

fn check_properties(redactor: &Redactor, text: &str) {
    let redacted = redactor.redact(text);
    assert_eq!(redactor.redact(&redacted), redacted, "redacting again changes nothing");
}

/// Whether a label and a kind may be of the same value.
fn says(label: &str, kind: Kind) -> bool {
    match kind {
        Kind::Address | Kind::Postcode => matches!(label, "STREET_ADDRESS" | "ADDRESS" | "ZIP_CODE" | "GPE" | "LOCATION"),
        Kind::PersonName => label == "PERSON",
        _ => VISIBLE
            .iter()
            .map(|(name, kinds, _)| (*name, *kinds))
            .chain(PARTLY.iter().copied())
            .any(|(name, kinds)| name == label && kinds.contains(&kind)),
    }
}

fn overlap(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start < other.end && other.start < one.end
}

fn share(part: usize, all: usize) -> f64 {
    part as f64 / all as f64
}

fn around(text: &str, range: &Range<usize>) -> String {
    let start = (0..=range.start.saturating_sub(36)).rev().find(|at| text.is_char_boundary(*at)).unwrap();
    let end = ((range.end + 20).min(text.len())..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap();
    format!("{}⟦{}⟧{}", &text[start..range.start], &text[range.clone()], &text[range.end..end])
}

/// The labelled texts; labels count characters, and only those that are where they say count here.
fn labelled(folder: &Path) -> Vec<Labelled> {
    let mut all = Vec::new();
    for path in files(folder) {
        let Ok(Value::Array(entries)) = serde_json::from_str(&fs::read_to_string(&path).unwrap()) else { continue };
        for entry in entries {
            let text = entry["full_text"].as_str().unwrap().to_owned();
            let byte = |place: &Value| {
                let place = usize::try_from(place.as_u64().unwrap()).unwrap();
                text.char_indices().nth(place).map_or(text.len(), |(at, _)| at)
            };
            let labels = entry["spans"].as_array().unwrap().iter().filter_map(|span| {
                let range = byte(&span["start_position"])..byte(&span["end_position"]);
                let is_there = text.get(range.clone()) == span["entity_value"].as_str();
                is_there.then(|| (span["entity_type"].as_str().unwrap().to_owned(), range))
            });
            let labels = labels.collect();
            all.push(Labelled { text, labels });
        }
    }
    assert!(!all.is_empty(), "no labelled text below {}", folder.display());
    all
}

fn collect(value: &Value, strings: &mut Vec<String>) {
    match value {
        Value::String(text) => strings.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| collect(value, strings)),
        Value::Object(fields) => fields.values().for_each(|value| collect(value, strings)),
        _ => {}
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let (folders, files): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.is_dir());
    let is_data = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "json" || ending == "jsonl");
    files.into_iter().filter(is_data).chain(folders.iter().flat_map(|folder| self::files(folder))).collect()
}
