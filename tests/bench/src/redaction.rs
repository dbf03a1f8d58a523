//! How fast redaction goes over text, with and without something to find, beside a set of plain regular expressions for a
//! few of the same kinds, on the same text in the same run. The expressions only say whether a text has any of them:
//! they check no digits, read no context and replace nothing.
//!
//! The profile decides: `cargo run --release` builds both as the functions are built, for size.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use flywheel_redaction::{Kind, Redactor};
use regex::RegexSet;
use serde::Serialize;
use serde_json::Value;

use crate::report::{Facts, Table, short, write};

/// What the benchmark may be told.
#[derive(Args)]
pub(crate) struct Settings {
    /// Megabytes of text for each measurement
    #[arg(long, default_value_t = 8)]
    megabytes: usize,
    /// Measurements, of which the best counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

type Recall = BTreeMap<String, Share>;
type Precision = BTreeMap<&'static str, Share>;

#[derive(Serialize)]
struct Report {
    facts: Facts,
    speeds: Vec<Speed>,
    /// For each label of the texts below `FLYWHEEL_DATASETS`, if that is set.
    recall: Recall,
    /// For each kind, of what was found in them.
    precision: Precision,
}

#[derive(Serialize)]
struct Speed {
    text: &'static str,
    bytes: usize,
    signals: usize,
    megabytes_per_second: f64,
    signals_per_second: f64,
    regex_megabytes_per_second: f64,
    times_the_regex: f64,
}

#[derive(Serialize, Default)]
struct Share {
    found: usize,
    of: usize,
}

const PATTERNS: [&str; 10] = [
    r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}",
    r"\b\d{3}-\d{2}-\d{4}\b",
    r"\b(?:\d[ -]?){13,19}\b",
    r"\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b",
    r"\b(?:\d{1,3}\.){3}\d{1,3}\b",
    r"\+?\d{1,3}[ .-]?\(?\d{2,4}\)?[ .-]?\d{3,4}[ .-]?\d{3,4}",
    r"(?i)\b\d{1,5} [a-z ]+ (?:street|st|road|rd|avenue|ave|drive|lane)\b",
    r"\bAKIA[A-Z0-9]{16}\b",
    r"\beyJ[\w-]+\.eyJ[\w-]+\.[\w-]+",
    r"(?i)password\s*[:=]\s*\S+",
];

/// Measures, prints a table and writes the report.
pub(crate) fn run(settings: &Settings, out: &Path) -> anyhow::Result<()> {
    let redactor = Redactor::new(b"a salt for the benchmark");
    let set = RegexSet::new(PATTERNS)?;
    let table = Table::new(&[("text", 26), ("MB/s", 8), ("signals/s", 10), ("regex MB/s", 10), ("times", 6)]);
    let mut speeds = Vec::new();
    for (text, signal) in [
        ("prose", prose as fn(&mut fastrand::Rng) -> String),
        ("records with order numbers", record),
        ("prose with personal data", personal),
    ] {
        table.working_on(text);
        let mut random = fastrand::Rng::with_seed(7);
        let mut signals = Vec::new();
        let mut bytes = 0;
        while bytes < settings.megabytes * 1_000_000 {
            let signal = signal(&mut random);
            bytes += signal.len();
            signals.push(signal);
        }
        let ours = best(settings.rounds, || signals.iter().for_each(|signal| drop(black_box(redactor.redact(signal)))));
        let theirs = best(settings.rounds, || signals.iter().for_each(|signal| drop(black_box(set.matches(signal)))));
        let speed = Speed {
            text,
            bytes,
            signals: signals.len(),
            megabytes_per_second: bytes as f64 / 1e6 / ours.as_secs_f64(),
            signals_per_second: signals.len() as f64 / ours.as_secs_f64(),
            regex_megabytes_per_second: bytes as f64 / 1e6 / theirs.as_secs_f64(),
            times_the_regex: theirs.as_secs_f64() / ours.as_secs_f64(),
        };
        table.row(&[
            text.to_owned(),
            short(speed.megabytes_per_second),
            short(speed.signals_per_second),
            short(speed.regex_megabytes_per_second),
            short(speed.times_the_regex),
        ]);
        speeds.push(speed);
    }
    let (recall, precision) = shares(&redactor)?;
    for (label, Share { found, of }) in &recall {
        println!("{label:<26}  {found:>6} of {of:>6} found");
    }
    write(out, &Report { facts: Facts::now(), speeds, recall, precision })
}

fn best(rounds: usize, mut work: impl FnMut()) -> Duration {
    let times = (0..rounds.max(1)).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed()
    });
    times.min().unwrap_or(Duration::MAX)
}

const SENTENCES: [&str; 8] = [
    "The kettle switches itself off when the water boils, and the light goes out.",
    "I would like to know whether the warranty covers a broken lid.",
    "According to the manual, descale it once a month with vinegar or citric acid.",
    "No, that is not what I asked: the question was about the other model.",
    "Thank you! It works now, and the answer was clear and helpful.",
    "The passage says nothing about returns, so the assistant should not have promised one.",
    "Could you summarise the difference between the two plans in a few words?",
    "Das Gerät lässt sich nicht mehr einschalten, obwohl der Stecker richtig sitzt.",
];

fn prose(random: &mut fastrand::Rng) -> String {
    let sentences: Vec<&str> = (0..random.usize(4..24)).map(|_| SENTENCES[random.usize(..SENTENCES.len())]).collect();
    sentences.join(" ")
}

fn record(random: &mut fastrand::Rng) -> String {
    let items: Vec<String> = (0..random.usize(2..12))
        .map(|_| {
            let (order, item, day) = (random.u32(1_000_000..9_999_999), random.u64(1_000_000_000..9_999_999_999), random.u32(1..29));
            format!(
                r#"{{"order_id":"W{order}","item_id":"{item}","price":{}.99,"at":"2026-11-{day:02}T12:00:00Z","status":"delivered"}}"#,
                order % 900
            )
        })
        .collect();
    format!("[{}]", items.join(","))
}

fn personal(random: &mut fastrand::Rng) -> String {
    let number = random.u32(1_000..9_999);
    format!(
        "{} Call me at 415-555-{number} or write to user{number}@example.com, I live at {number} Bay Street. My card is 4111 1111 1111 1111. {}",
        prose(random),
        prose(random)
    )
}

/// Of the labelled texts below `FLYWHEEL_DATASETS`: how many values of each label were touched, and how many of the values
/// found of each kind lie on a label.
fn shares(redactor: &Redactor) -> anyhow::Result<(Recall, Precision)> {
    const LABELS: [&str; 8] =
        ["EMAIL_ADDRESS", "CREDIT_CARD", "IBAN_CODE", "US_SSN", "IP_ADDRESS", "PHONE_NUMBER", "STREET_ADDRESS", "ZIP_CODE"];
    let mut recall = Recall::new();
    let mut precision = Precision::new();
    let Some(folder) = std::env::var_os("FLYWHEEL_DATASETS").map(|named| Path::new(&named).join("pii")).filter(|folder| folder.is_dir())
    else {
        return Ok((recall, precision));
    };
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let Value::Array(texts) = serde_json::from_str(&std::fs::read_to_string(path)?)? else { continue };
        for entry in &texts {
            let text = entry["full_text"].as_str().unwrap_or_default();
            let place = |value: &Value| {
                let place = value.as_u64().and_then(|place| usize::try_from(place).ok()).unwrap_or(usize::MAX);
                text.char_indices().nth(place).map_or(text.len(), |(at, _)| at)
            };
            let labels: Vec<_> = entry["spans"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|span| {
                    (span["entity_type"].as_str().unwrap_or_default(), place(&span["start_position"])..place(&span["end_position"]))
                })
                .collect();
            let spans = redactor.find(text);
            for (label, range) in labels.iter().filter(|(label, _)| LABELS.contains(label)) {
                let share = recall.entry((*label).to_owned()).or_default();
                share.of += 1;
                share.found += usize::from(spans.iter().any(|span| span.range.start < range.end && range.start < span.range.end));
            }
            for span in &spans {
                let share = precision.entry(Kind::name(span.kind)).or_default();
                share.of += 1;
                share.found += usize::from(labels.iter().any(|(_, range)| span.range.start < range.end && range.start < span.range.end));
            }
        }
    }
    Ok((recall, precision))
}
