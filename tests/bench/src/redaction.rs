//! How fast redaction goes over text, with and without something to find, beside one pass of a plain regular expression for
//! a few of the same kinds, on the same text in the same run. The expression only finds: it checks no digits, reads no
//! context and replaces nothing. And of labelled texts, how many values are found and how many found ones are right.
//!
//! The profile decides: `cargo run --release` builds both as the functions are built, for size.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use flywheel_redaction::{Kind, Redactor, Span};
use regex::Regex;
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

#[derive(Serialize)]
struct Report {
    facts: Facts,
    #[serde(flatten)]
    measured: Measured,
}

/// What redaction does with texts.
#[derive(Serialize)]
pub(crate) struct Measured {
    speeds: Vec<Speed>,
    /// For each label of the texts below `FLYWHEEL_DATASETS`: how many of its values were found. Empty if that is not set.
    recall: BTreeMap<String, Recall>,
    /// For each kind: how many of the values found in them have a label that says the same.
    precision: BTreeMap<&'static str, Precision>,
}

#[derive(Serialize)]
struct Speed {
    text: &'static str,
    bytes: usize,
    signals: usize,
    megabytes_per_second: f64,
    signals_per_second: f64,
    regex_megabytes_per_second: f64,
    /// Megabytes a second, by those of the regular expression.
    times_the_regex: f64,
}

#[derive(Serialize, Default)]
struct Recall {
    /// Values of which something was found as what it is.
    found: usize,
    /// Values of which no letter or digit is left.
    whole: usize,
    of: usize,
    recall: f64,
}

#[derive(Serialize, Default)]
struct Precision {
    right: usize,
    of: usize,
    precision: f64,
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
    let measured = measure(settings)?;
    for (label, Recall { found, whole, of, .. }) in &measured.recall {
        println!("{label:<26}  {found:>6} found, {whole:>6} whole, of {of:>6}");
    }
    for (kind, Precision { right, of, .. }) in &measured.precision {
        println!("{kind:<26}  {right:>6} right of {of:>6} found");
    }
    write(out, &Report { facts: Facts::now(), measured })
}

/// Measures, and prints a table of the speeds.
pub(crate) fn measure(settings: &Settings) -> anyhow::Result<Measured> {
    let redactor = Redactor::new(b"a salt for the benchmark");
    let regex = Regex::new(&PATTERNS.map(|pattern| format!("(?:{pattern})")).join("|"))?;
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
        let theirs = best(settings.rounds, || signals.iter().for_each(|signal| _ = black_box(regex.find_iter(signal).count())));
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
    Ok(Measured { speeds, recall, precision })
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

/// The labels that a pattern can see, wholly or, as names, in part, and the kinds that their values are found as.
const LABELS: [(&str, &[Kind]); 11] = [
    ("EMAIL_ADDRESS", &[Kind::Email]),
    ("CREDIT_CARD", &[Kind::Card]),
    ("IBAN_CODE", &[Kind::Iban]),
    ("US_SSN", &[Kind::NationalId]),
    ("US_DRIVER_LICENSE", &[Kind::DriverLicence]),
    ("IP_ADDRESS", &[Kind::Ip]),
    ("PHONE_NUMBER", &[Kind::Phone]),
    ("STREET_ADDRESS", &[Kind::Address, Kind::Postcode]),
    ("ZIP_CODE", &[Kind::Postcode, Kind::Address]),
    ("DATE_TIME", &[Kind::BirthDate]),
    ("PERSON", &[Kind::PersonName]),
];

/// Recall by label, precision by kind.
type Shares = (BTreeMap<String, Recall>, BTreeMap<&'static str, Precision>);

/// What is counted of the labelled texts below `FLYWHEEL_DATASETS`. A label counts that is where it says.
fn shares(redactor: &Redactor) -> anyhow::Result<Shares> {
    let mut recall: BTreeMap<String, Recall> = BTreeMap::new();
    let mut precision: BTreeMap<&'static str, Precision> = BTreeMap::new();
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
            let labels = labels(text, &entry["spans"]);
            let spans = redactor.find(text);
            let overlaps = |span: &Span, range: &Range<usize>| span.range.start < range.end && range.start < span.range.end;
            for (label, range) in &labels {
                let Some((_, kinds)) = LABELS.iter().find(|(known, _)| known == label) else { continue };
                let over: Vec<&Span> = spans.iter().filter(|span| overlaps(span, range)).collect();
                let found = over.iter().any(|span| kinds.contains(&span.kind));
                let is_seen = |(place, letter): (usize, char)| {
                    letter.is_alphanumeric() && !over.iter().any(|span| span.range.contains(&(range.start + place)))
                };
                let whole = !over.is_empty() && !text[range.clone()].char_indices().any(is_seen);
                let share = recall.entry(label.clone()).or_default();
                share.of += 1;
                share.found += usize::from(found);
                share.whole += usize::from(whole);
                share.recall = share.found as f64 / share.of as f64;
            }
            for span in &spans {
                let says = |label: &str| match span.kind {
                    Kind::Address | Kind::Postcode if matches!(label, "GPE" | "LOCATION") => true,
                    kind => LABELS.iter().any(|(known, kinds)| *known == label && kinds.contains(&kind)),
                };
                let share = precision.entry(span.kind.name()).or_default();
                share.of += 1;
                share.right += usize::from(labels.iter().any(|(label, range)| overlaps(span, range) && says(label)));
                share.precision = share.right as f64 / share.of as f64;
            }
        }
    }
    Ok((recall, precision))
}

/// The labels of a text, where they are in bytes.
fn labels(text: &str, spans: &Value) -> Vec<(String, Range<usize>)> {
    let place = |value: &Value| {
        let place = value.as_u64().and_then(|place| usize::try_from(place).ok()).unwrap_or(usize::MAX);
        text.char_indices().nth(place).map_or(text.len(), |(at, _)| at)
    };
    let label = |span: &Value| {
        let range = place(&span["start_position"])..place(&span["end_position"]);
        let label = span["entity_type"].as_str()?;
        let label = if label == "ADDRESS" { "STREET_ADDRESS" } else { label };
        (text.get(range.clone()) == span["entity_value"].as_str()).then(|| (label.to_owned(), range))
    };
    spans.as_array().into_iter().flatten().filter_map(label).collect()
}
