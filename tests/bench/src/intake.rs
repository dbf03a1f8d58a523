//! What taking signals in costs and how fast it goes.
//!
//! How each figure is made:
//!
//! - Requests and write units: the real function runs against the store in memory, which counts what it is asked: each
//!   transaction, the write units of each row in it by DynamoDB's rules, each object and its bytes. Requests of queues
//!   follow from messages and their bytes by the rules of SQS and Lambda's poller, see [`Road`].
//! - Dollars: these numbers times [`PRICES`]. Nothing of it is a bill.
//! - Lambda's time: the CPU time of the run, on this machine, as a function of [`MEMORY_MB`] would get it, and
//!   [`CALL_SECONDS`] of waiting for each call that is waited for. The second is an assumption, and so is that compressing
//!   and encrypting take as much CPU again as what is measured here.
//! - Throughput: CPU time of this thread for a line's way from bytes to counts, against `serde_json` that reads the same
//!   bytes into a `Value`, in turns in the same run; the medians.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use anyhow::{Context as _, ensure};
use count_signals::{Counting, Message, Report, read};
use flywheel_engine::signals::{Rules, Texts, tally};
use flywheel_model::Signal;
use flywheel_policy::Policy;
use flywheel_testkit::{SignalMemory, SignalProcess};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use crate::report::{Facts, Table, short, write};

/// US East (N. Virginia), as AWS lists them.
const PRICES: Prices = Prices {
    of: "November 2026, us-east-1, on demand, without free tiers",
    sqs_million_requests: 0.40,
    eventbridge_million_events: 1.00,
    dynamodb_million_write_units: 0.625,
    dynamodb_gb_month: 0.25,
    s3_million_puts: 5.00,
    s3_gb_month: 0.023,
    lambda_million_requests: 0.20,
    lambda_gb_second: 0.000_013_333_4,
};

#[derive(Debug, Clone, Copy, Serialize)]
struct Prices {
    of: &'static str,
    sqs_million_requests: f64,
    eventbridge_million_events: f64,
    dynamodb_million_write_units: f64,
    dynamodb_gb_month: f64,
    s3_million_puts: f64,
    s3_gb_month: f64,
    lambda_million_requests: f64,
    lambda_gb_second: f64,
}

/// The function's memory. At 1,769 MB it would get one whole processor.
const MEMORY_MB: f64 = 256.0;

/// Waiting for one answer of DynamoDB or S3: an assumption.
const CALL_SECONDS: f64 = 0.02;

/// Batches that the function counts at the same time.
const AT_ONCE: u64 = 4;

/// SQS and EventBridge bill 64 KB as one request or event.
const CHUNK: u64 = 64 * 1_024;

/// Messages that Lambda's poller receives and deletes with one request.
const POLLED: usize = 10;

/// What to measure with.
#[derive(Debug, Clone, Copy, Serialize, clap::Args)]
pub(crate) struct Settings {
    /// Signals taken in on each road
    #[arg(long, default_value_t = 20_000)]
    signals: usize,
    /// Turns of the throughput measurement
    #[arg(long, default_value_t = 15)]
    turns: usize,
    /// Where all chance comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// A way in.
#[derive(Debug, Clone, Copy, Serialize)]
struct Road {
    name: &'static str,
    signals_a_message: usize,
    messages_an_invocation: usize,
    /// Each message is an event on a bus first.
    eventbridge: bool,
    /// Messages lie in a queue. Otherwise they are handed to the function itself.
    queue: bool,
}

const ROADS: [Road; 5] = [
    Road { name: "SQS, 1 signal a message", signals_a_message: 1, messages_an_invocation: 100, eventbridge: false, queue: true },
    Road { name: "SQS, 100 signals a message", signals_a_message: 100, messages_an_invocation: 1, eventbridge: false, queue: true },
    Road { name: "SQS, 100 a message, busy", signals_a_message: 100, messages_an_invocation: 10, eventbridge: false, queue: true },
    Road { name: "EventBridge custom events", signals_a_message: 1, messages_an_invocation: 100, eventbridge: true, queue: true },
    Road { name: "CloudWatch Logs subscription", signals_a_message: 100, messages_an_invocation: 1, eventbridge: false, queue: false },
];

#[derive(Debug, Serialize)]
struct Cost {
    road: Road,
    signals: u64,
    bytes_a_signal: f64,
    /// For each million signals.
    requests: BTreeMap<&'static str, f64>,
    /// For each million signals.
    write_units: BTreeMap<&'static str, f64>,
    /// For each million signals.
    dollars: BTreeMap<&'static str, f64>,
    dollars_a_million: f64,
}

#[derive(Debug, Serialize)]
struct Throughput {
    signals: usize,
    bytes_a_signal: f64,
    signals_a_second: f64,
    microseconds_a_signal: f64,
    microseconds_a_value: f64,
    ratio_to_value: f64,
    microseconds_to_parse: f64,
}

/// Runs it, prints tables and writes the figures.
pub(crate) fn run(settings: Settings, out: &Path) -> anyhow::Result<()> {
    let policy = policy()?;
    let rules = Rules::new(&policy);
    let now: Timestamp = "2026-11-23T12:30:00Z".parse()?;
    let lines = signals(settings.signals, settings.seed, now);
    let throughput = throughput(&lines, &rules, settings.turns)?;
    println!(
        "{} signals a second of CPU time ({} µs each, {} of them parsing); {} times serde_json into a Value ({} µs)\n",
        short(throughput.signals_a_second),
        short(throughput.microseconds_a_signal),
        short(throughput.microseconds_to_parse),
        short(throughput.ratio_to_value),
        short(throughput.microseconds_a_value),
    );
    let columns = [("road, a million signals", 30), ("write units", 0), ("SQS", 8), ("S3 PUT", 8), ("DynamoDB $", 0), ("all $", 6)];
    let table = Table::new(&columns);
    let mut costs = Vec::new();
    for road in ROADS {
        let cost = cost(road, &lines, &rules, now)?;
        let cells = [
            road.name.to_owned(),
            short(cost.write_units.values().sum()),
            short(cost.requests["sqs"]),
            short(cost.requests["s3_puts"]),
            short(cost.dollars["dynamodb_writes"]),
            short(cost.dollars_a_million),
        ];
        table.row(&cells);
        costs.push(cost);
    }
    let report = json!({
        "facts": Facts::now(),
        "settings": settings,
        "prices": PRICES,
        "assumed": { "memory_mb": MEMORY_MB, "seconds_a_call": CALL_SECONDS, "cpu_for_compression_and_tls": "as much again as measured" },
        "mix": MIX,
        "throughput": throughput,
        "costs": costs,
    });
    write(out, &report)
}

const MIX: &str = "50% retrievals, 35% conversations, 10% workflow runs, 4% releases, 1% alarms; 20 topics, 12 intents, 5 knowledge \
    bases, 15 workflows and 8 services, the n-th as frequent as 1/n; 90% of the time in one hour, 10% in the one before; about \
    10% failures; topics and intents by the policy's rules, 5 words each";

const TOPICS: usize = 20;
const INTENTS: usize = 12;

fn policy() -> anyhow::Result<Policy> {
    let mut text =
        "mode = \"act\"\n[[data_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS12345678\"\nbucket = \"docs\"\n".to_owned();
    for (kind, number) in [("topic", TOPICS), ("intent", INTENTS)] {
        for n in 0..number {
            let words: Vec<String> = (0..5).map(|word| format!("\"{}\"", class_word(kind, n, word))).collect();
            text += &format!("[[{kind}]]\nname = \"{kind}-{n}\"\nwords = [{}]\n", words.join(", "));
        }
    }
    Ok(Policy::parse(&text)?)
}

fn class_word(kind: &str, class: usize, word: usize) -> String {
    format!("{kind}{}word{}", ["alpha", "beta", "gamma", "delta"][class % 4], class * 5 + word)
}

const WORDS: [&str; 24] = [
    "the", "order", "was", "please", "tell", "me", "when", "I", "can", "expect", "delivery", "of", "my", "new", "kettle", "since", "it",
    "should", "have", "come", "on", "Monday", "thanks", "für",
];

/// Text of about so many characters.
fn prose(chance: &mut fastrand::Rng, length: usize) -> String {
    let mut text = String::new();
    while text.len() < length {
        text += WORDS[chance.usize(..WORDS.len())];
        text.push(' ');
    }
    text
}

/// One of so many, the n-th as frequent as 1/n.
fn one_of(chance: &mut fastrand::Rng, number: usize) -> usize {
    let weights = (1..=number).map(|n| 1.0 / n as f64);
    let mut left = chance.f64() * weights.clone().sum::<f64>();
    for (place, weight) in weights.enumerate() {
        left -= weight;
        if left <= 0.0 {
            return place;
        }
    }
    number - 1
}

/// Signals as applications send them, one JSON text each.
fn signals(number: usize, seed: u64, now: Timestamp) -> Vec<String> {
    let mut chance = fastrand::Rng::with_seed(seed);
    (0..number).map(|n| signal(&mut chance, n, now).to_string()).collect()
}

fn signal(chance: &mut fastrand::Rng, n: usize, now: Timestamp) -> Value {
    let minutes = if chance.u8(0..10) == 0 { 31 + chance.i64(0..29) } else { chance.i64(0..30) };
    let at = now - SignedDuration::from_mins(minutes);
    let failed = chance.u8(0..10) == 0;
    let (kind, fact) = match chance.u8(0..100) {
        0..50 => ("retrieval", retrieval(chance, failed)),
        50..85 => ("conversation", conversation(chance, failed)),
        85..95 => {
            let status = if failed { "timed_out" } else { "succeeded" };
            let run = json!({ "workflow": format!("workflow-{}", one_of(chance, 15)), "status": status, "seconds": chance.f64() * 20.0,
                "limit_seconds": 30.0, "tool_calls": chance.u8(1..12), "trace": format!("trace-{n}") });
            ("workflow_run", run)
        }
        95..99 => {
            let causes = if failed { json!(["missing_permission"]) } else { json!([]) };
            let service = format!("service-{}", one_of(chance, 8));
            ("release", json!({ "service": service, "succeeded": !failed, "environment": "production", "causes": causes }))
        }
        _ => ("alarm", json!({ "name": "errors-high", "state": "ALARM", "reason": prose(chance, 120) })),
    };
    json!({ "id": format!("{:016x}-{n}", chance.u64(..)), "at": at, kind: fact })
}

fn retrieval(chance: &mut fastrand::Rng, failed: bool) -> Value {
    let class = one_of(chance, TOPICS);
    let query = format!("{}{} {}", prose(chance, 40), class_word("topic", class, chance.usize(0..5)), prose(chance, 20));
    let passages: Vec<Value> =
        (0..2).map(|_| json!({ "text": prose(chance, 120), "score": chance.f64(), "location": "s3://docs/manuals/kettle.md" })).collect();
    json!({ "knowledge_base": format!("KB{:08}", one_of(chance, 5)), "conversation": format!("c-{}", chance.u32(..)), "query": query,
        "passages": if failed { json!([]) } else { json!(passages) }, "answer": prose(chance, 200), "search_type": "HYBRID",
        "evaluations": [{ "name": "faithfulness", "score": if failed { 0.3 } else { 0.9 } }] })
}

fn conversation(chance: &mut fastrand::Rng, failed: bool) -> Value {
    let class = one_of(chance, INTENTS);
    let asked = format!("{}{}", prose(chance, 60), class_word("intent", class, chance.usize(0..5)));
    let result = if failed { "Error: order not found" } else { r#"{"order_id":"W123","status":"delivered","items":[1,2,3]}"# };
    let mut told = json!({ "variants": { "prompt": "b" }, "model": "example.model-v1", "input_tokens": 1200, "output_tokens": 300, "turns": [
        { "role": "user", "text": asked },
        { "role": "assistant", "tool_calls": [{ "id": "call_1", "name": "get_order", "arguments": { "order_id": "W123", "email": "jo@example.com" } }] },
        { "role": "tool", "tool_results": [{ "call": "call_1", "text": result }] },
        { "role": "assistant", "text": prose(chance, 220) },
        { "role": "user", "text": prose(chance, 40) },
    ] });
    if chance.bool() {
        told["resolved"] = json!(!failed);
    }
    told
}

/// A stand-in for redaction: it looks at every byte, and takes out what has an @ in it.
fn stand_in(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte == b'@') {
        text.split(' ').map(|word| if word.contains('@') { "[email]" } else { word }).collect::<Vec<_>>().join(" ").into()
    } else {
        Cow::Borrowed(text)
    }
}

fn throughput(lines: &[String], rules: &Rules, turns: usize) -> anyhow::Result<Throughput> {
    let (mut ours, mut values, mut parses) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..turns {
        let start = cpu_seconds()?;
        for line in lines {
            std::hint::black_box(serde_json::from_slice::<Value>(line.as_bytes())?);
        }
        let parsed = cpu_seconds()?;
        for line in lines {
            std::hint::black_box(serde_json::from_slice::<Signal>(line.as_bytes())?);
        }
        let read = cpu_seconds()?;
        for message in lines.chunks(100) {
            let mut observations = Vec::with_capacity(message.len());
            for line in message {
                observations.push(rules.observe(serde_json::from_slice(line.as_bytes())?, &Texts::by(stand_in)));
            }
            std::hint::black_box(tally(&observations));
        }
        let end = cpu_seconds()?;
        values.push(parsed - start);
        parses.push(read - parsed);
        ours.push(end - read);
    }
    let number = lines.len() as f64;
    let (ours, value, parse) = (median(ours) / number, median(values) / number, median(parses) / number);
    Ok(Throughput {
        signals: lines.len(),
        bytes_a_signal: bytes(lines) as f64 / number,
        signals_a_second: 1.0 / ours,
        microseconds_a_signal: ours * 1e6,
        microseconds_a_value: value * 1e6,
        ratio_to_value: ours / value,
        microseconds_to_parse: parse * 1e6,
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn bytes(lines: &[String]) -> u64 {
    lines.iter().map(|line| line.len() as u64 + 1).sum()
}

/// The time that this thread was on a processor, whatever else the machine did meanwhile.
fn cpu_seconds() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").context("CPU time of a thread can be read on Linux only")?;
    let nanoseconds: f64 = text.split_whitespace().next().context("schedstat is empty")?.parse()?;
    Ok(nanoseconds / 1e9)
}

fn cost(road: Road, lines: &[String], rules: &Rules, now: Timestamp) -> anyhow::Result<Cost> {
    let memory = Rc::new(RefCell::new(SignalMemory::new(1)));
    let process = SignalProcess(memory.clone());
    let counting =
        Counting { store: &process, observations: &process, bus: &process, rules, redact: &Texts::by(stand_in), guardrail: None };
    let bodies: Vec<String> = lines.chunks(road.signals_a_message).map(|lines| lines.join("\n")).collect();
    let (mut events, mut sqs, mut invocations, mut waited) = (0, 0, 0, 0);
    let mut counted = 0;
    let start = cpu_seconds()?;
    for (invocation, bodies) in bodies.chunks(road.messages_an_invocation).enumerate() {
        let sizes = || bodies.iter().map(|body| body.len() as u64);
        let chunks: u64 = sizes().map(|size| size.div_ceil(CHUNK)).sum();
        invocations += 1;
        if road.eventbridge {
            events += chunks;
        }
        if road.queue {
            // Each message is sent alone; received and deleted ten at a time.
            let received: u64 =
                bodies.chunks(POLLED).map(|polled| polled.iter().map(|body| body.len() as u64).sum::<u64>().div_ceil(CHUNK)).sum();
            sqs += chunks + received + bodies.len().div_ceil(POLLED) as u64;
        }
        let message = |(n, body): (usize, &String)| Message { id: format!("{invocation}-{n}"), arrived_at: now, records: read(body) };
        let before = memory.borrow().spent;
        let report: Report = finish(counting.count(bodies.iter().enumerate().map(message).collect(), now));
        ensure!(report.failed.is_empty() && report.refused == 0, "not all was counted: {report:?}");
        counted += report.counted;
        let spent = memory.borrow().spent;
        waited += (spent.puts - before.puts) + (spent.transactions - before.transactions).div_ceil(AT_ONCE) + spent.touch_units
            - before.touch_units;
    }
    // Reading the clock and the store in memory are in it as well.
    let cpu = 2.0 * (cpu_seconds()? - start);
    ensure!(counted == lines.len() as u64, "{counted} of {} signals are counted", lines.len());
    let spent = memory.borrow().spent;
    let a_million = |number: f64| number * 1e6 / counted as f64;
    let lambda_seconds = cpu / (MEMORY_MB / 1_769.0) + waited as f64 * CALL_SECONDS;
    let requests = BTreeMap::from([
        ("eventbridge_events", a_million(events as f64)),
        ("sqs", a_million(sqs as f64)),
        ("lambda_invocations", a_million(f64::from(invocations))),
        ("lambda_seconds", a_million(lambda_seconds)),
        ("dynamodb_transactions", a_million(spent.transactions as f64)),
        ("s3_puts", a_million(spent.puts as f64)),
    ]);
    let write_units = BTreeMap::from([
        ("marks", a_million(spent.mark_units as f64)),
        ("counts", a_million(spent.count_units as f64)),
        ("touched", a_million(spent.touch_units as f64)),
    ]);
    let gigabytes = |bytes: f64| a_million(bytes) / 1e9;
    let dollars = BTreeMap::from([
        ("eventbridge", requests["eventbridge_events"] / 1e6 * PRICES.eventbridge_million_events),
        ("sqs", requests["sqs"] / 1e6 * PRICES.sqs_million_requests),
        (
            "lambda",
            requests["lambda_invocations"] / 1e6 * PRICES.lambda_million_requests
                + requests["lambda_seconds"] * MEMORY_MB / 1_024.0 * PRICES.lambda_gb_second,
        ),
        ("dynamodb_writes", write_units.values().sum::<f64>() / 1e6 * PRICES.dynamodb_million_write_units),
        // A month of marks, with the 100 bytes that DynamoDB adds to each item.
        ("dynamodb_storage", gigabytes(spent.mark_bytes as f64 + 100.0 * counted as f64) * PRICES.dynamodb_gb_month),
        ("s3_puts", requests["s3_puts"] / 1e6 * PRICES.s3_million_puts),
        // A month, as if nothing were compressed.
        ("s3_storage", gigabytes(spent.bytes as f64) * PRICES.s3_gb_month),
    ]);
    let dollars_a_million = dollars.values().sum();
    let bytes_a_signal = bytes(lines) as f64 / counted as f64;
    Ok(Cost { road, signals: counted, bytes_a_signal, requests, write_units, dollars, dollars_a_million })
}

/// Runs to its end what waits for nothing.
fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}
