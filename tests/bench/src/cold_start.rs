//! How quickly the functions start, how much memory they take, and how long they take for a batch.
//!
//! How each figure is made:
//!
//! - The binaries are those that are shipped; `empty-function`, built the same way, does nothing and is measured beside
//!   them, in turn with them, so that whatever else the machine does meets all alike.
//! - `spawn_to_next_ms`: from just before the process is spawned until this program, playing the Lambda Runtime API on
//!   127.0.0.1, has read the head of its first `GET …/invocation/next`. The environment is what Lambda and the stack set,
//!   with made-up credentials. Every spawn is a new process; the binary is in the page cache after the first.
//! - `processor_ms`: the processor time that the process has had by then, as the kernel counts it. Whoever else wants the
//!   processors prolongs the start much and this little.
//! - `binary_mb`: the size of the file. 1 MB is 1,000,000 bytes.
//! - `peak_memory_mb…`: the kernel's VmHWM of the process, when it first asked for an invocation (the largest of all
//!   spawns) and after it had handled events.
//! - `batches`: from the event's being handed to the function to its answer's having come back, once it is warm. AWS is
//!   played by [`crate::aws_stub`] on 127.0.0.1, without TLS and on the same cores, so these are the function's own work
//!   and its calls' way through the SDK, not AWS's time. `parse_ms` is what the empty function
//!   takes to parse the same events with `serde_json` alone; `empty_function_ms` the same with being handed the batch and
//!   answering.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use flywheel_model::{Body, Event};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::aws_stub::AwsStub;
use crate::report::{Facts, Table, short, write};
use crate::runtime_api::Function;

const EMPTY: &str = "empty-function";
const TRACK: &str = "track-documents";
const SYNC: &str = "sync-knowledge-bases";
const RECORD: &str = "record";
/// Of these the start alone is measured.
const OTHERS: [&str; 6] =
    ["count-signals", "read-logs", "assemble-conversations", "detect-changes", "refresh-topics", "capture-retrievals"];

const POLICY: &str = r#"mode = "act"
[[data_source]]
knowledge_base = "KB00000000"
data_source = "DS00000000"
bucket = "docs"
"#;

/// What to measure with.
#[derive(Debug, Clone, Serialize, clap::Args)]
pub(crate) struct Settings {
    /// Where the binaries are: NAME/bootstrap or NAME in this folder
    #[arg(long, default_value = "target/lambda")]
    binaries: PathBuf,
    /// Processes of each function
    #[arg(long, default_value_t = 50)]
    spawns: usize,
    /// Batches of 10 events
    #[arg(long, default_value_t = 100)]
    small_batches: usize,
    /// Batches of 1,000 events
    #[arg(long, default_value_t = 10)]
    large_batches: usize,
    /// A further variable of the functions' environment, NAME=VALUE
    #[arg(long)]
    env: Vec<String>,
    /// Show what the functions print
    #[arg(long)]
    #[serde(skip)]
    show_output: bool,
}

#[derive(Serialize)]
struct Report {
    what: &'static str,
    machine: Facts,
    settings: Settings,
    goal: &'static str,
    functions: Vec<Start>,
    batches: Vec<Batch>,
}

/// A function's start.
#[derive(Debug, Serialize)]
struct Start {
    function: &'static str,
    binary_mb: f64,
    spawn_to_next_ms: Spread,
    ratio_to_empty: f64,
    processor_ms: Spread,
    processor_ratio_to_empty: f64,
    peak_memory_mb_at_first_next: f64,
    /// After the events named in `after`.
    peak_memory_mb_after: f64,
    after: &'static str,
}

/// A figure measured many times.
#[derive(Debug, Clone, Copy, Serialize)]
struct Spread {
    median: f64,
    least: f64,
    ninth_decile: f64,
    most: f64,
    times: usize,
}

/// A batch of events.
#[derive(Debug, Serialize)]
struct Batch {
    function: &'static str,
    events: usize,
    ms: Spread,
    ms_an_event: f64,
    /// Calls of AWS that one batch takes.
    aws_calls: BTreeMap<String, f64>,
    parse_ms: f64,
    empty_function_ms: f64,
    peak_memory_mb_after: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> anyhow::Result<Self> {
        values.sort_by(f64::total_cmp);
        let at = |tenths: usize| values.get((values.len() * tenths / 10).min(values.len().saturating_sub(1))).copied();
        let (Some(least), Some(median), Some(ninth_decile), Some(most)) = (at(0), at(5), at(9), at(10)) else {
            anyhow::bail!("nothing was measured");
        };
        Ok(Self { median, least, ninth_decile, most, times: values.len() })
    }
}

/// Measures everything, prints tables and writes the report.
pub(crate) fn run(settings: Settings, out: &Path) -> anyhow::Result<()> {
    let stub = AwsStub::start(POLICY.to_owned())?;
    let mut environment = environment(&stub);
    environment.extend(
        settings.env.iter().filter_map(|variable| variable.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let names: Vec<&str> = [EMPTY, TRACK, SYNC, RECORD].into_iter().chain(OTHERS).collect();
    let binaries = names.iter().map(|name| Ok((*name, binary(&settings.binaries, name)?))).collect::<anyhow::Result<BTreeMap<_, _>>>()?;
    let bench = Bench { stub, environment, binaries, show_output: settings.show_output };
    let mut starts = bench.starts(&names, settings.spawns)?;
    let batches = bench.batches(&settings)?;
    for start in &mut starts {
        start.peak_memory_mb_after = match start.function {
            SYNC => bench.memory_after_a_wake()?,
            name => batches.iter().filter(|batch| batch.function == name).map(|batch| batch.peak_memory_mb_after).fold(0.0, f64::max),
        };
    }
    println!("\nCold start, {} processes each, and memory\n", settings.spawns);
    let table = Table::new(&[
        ("function", 22),
        ("start ms", 8),
        ("9 of 10", 8),
        ("to empty", 8),
        ("processor ms", 12),
        ("to empty", 8),
        ("binary MB", 9),
        ("memory MB", 9),
        ("after work", 10),
    ]);
    for start in &starts {
        table.row(&[
            start.function.to_owned(),
            short(start.spawn_to_next_ms.median),
            short(start.spawn_to_next_ms.ninth_decile),
            short(start.ratio_to_empty),
            short(start.processor_ms.median),
            short(start.processor_ratio_to_empty),
            short(start.binary_mb),
            short(start.peak_memory_mb_at_first_next),
            if start.peak_memory_mb_after > 0.0 { short(start.peak_memory_mb_after) } else { "-".to_owned() },
        ]);
    }
    write(
        out,
        &Report {
            what: "The functions' starts, memory and handling of batches. tests/bench/src/cold_start.rs says how each figure is made.",
            machine: Facts::now(),
            settings,
            goal: "spawn_to_next_ms under 12 and within 4 times the empty function's; binary_mb under 8; peak memory under 16 MB",
            functions: starts,
            batches,
        },
    )
}

fn binary(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let places = [folder.join(name).join("bootstrap"), folder.join(name)];
    let found = places.into_iter().find(|place| place.is_file());
    found.with_context(|| format!("{name} is not in {}; build it first (make build-release)", folder.display()))
}

/// What the stack and Lambda set beside what [`Function::spawn`] does. All endpoints are this program's.
fn environment(stub: &AwsStub) -> Vec<(String, String)> {
    let endpoint = format!("http://{}", stub.address);
    let wakes = format!("{endpoint}/000000000000/wakes");
    let variables = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "made-up"),
        ("AWS_SESSION_TOKEN", "made-up"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_ENDPOINT_URL", &endpoint),
        ("RUST_LOG", "info"),
        ("FLYWHEEL_STATE_TABLE", "state"),
        ("FLYWHEEL_LEDGER_TABLE", "ledger"),
        ("FLYWHEEL_SWITCH_TABLE", "switch"),
        ("FLYWHEEL_LEDGER_BUCKET", "ledger"),
        ("FLYWHEEL_BUS", "flywheel"),
        ("FLYWHEEL_WAKES_QUEUE_URL", &wakes),
        ("FLYWHEEL_SIGNALS_TABLE", "signals"),
        ("FLYWHEEL_SIGNALS_QUEUE_URL", &wakes),
        ("FLYWHEEL_CONVERSATIONS_QUEUE_URL", &wakes),
        ("FLYWHEEL_EVIDENCE_BUCKET", "evidence"),
        ("FLYWHEEL_CASES_TABLE", "cases"),
        ("FLYWHEEL_DATASETS_BUCKET", "datasets"),
        ("FLYWHEEL_POLICY_APPLICATION", "application"),
        ("FLYWHEEL_POLICY_ENVIRONMENT", "environment"),
        ("FLYWHEEL_POLICY_PROFILE", "profile"),
    ];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

struct Bench {
    stub: AwsStub,
    environment: Vec<(String, String)>,
    binaries: BTreeMap<&'static str, PathBuf>,
    show_output: bool,
}

impl Bench {
    fn spawn(&self, name: &str) -> anyhow::Result<Function> {
        Function::spawn(&self.binaries[name], name, &self.environment, self.show_output)
    }

    /// Spawns all functions in turn, again and again.
    fn starts(&self, names: &[&'static str], spawns: usize) -> anyhow::Result<Vec<Start>> {
        let mut took: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        let mut worked: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        let mut memory: BTreeMap<&str, u64> = BTreeMap::new();
        println!("Starting each function {spawns} times");
        // The first of each brings its binary into the page cache and does not count.
        for round in 0..=spawns {
            for name in names {
                let mut function = self.spawn(name)?;
                let ready = function.ready().with_context(|| (*name).to_owned())?;
                let peak = memory.entry(name).or_default();
                *peak = function.peak_memory()?.max(*peak);
                if round > 0 {
                    took.entry(name).or_default().push(milliseconds(ready));
                    worked.entry(name).or_default().push(milliseconds(function.processor_time()?));
                }
            }
        }
        let empty = Spread::of(took[EMPTY].clone())?.median;
        let empty_worked = Spread::of(worked[EMPTY].clone())?.median;
        names
            .iter()
            .map(|name| {
                let spread = Spread::of(took[name].clone())?;
                let processor = Spread::of(worked[name].clone())?;
                Ok(Start {
                    function: name,
                    binary_mb: megabytes(std::fs::metadata(&self.binaries[name])?.len()),
                    spawn_to_next_ms: spread,
                    ratio_to_empty: spread.median / empty,
                    processor_ms: processor,
                    processor_ratio_to_empty: processor.median / empty_worked,
                    peak_memory_mb_at_first_next: megabytes(memory[name]),
                    peak_memory_mb_after: 0.0,
                    after: match *name {
                        SYNC => "a wake with nothing to do",
                        TRACK | RECORD => "batches of 10 and of 1,000",
                        _ => "nothing",
                    },
                })
            })
            .collect()
    }

    fn batches(&self, settings: &Settings) -> anyhow::Result<Vec<Batch>> {
        println!("\nWarm handling of batches\n");
        let table = Table::new(&[
            ("function / events", 24),
            ("ms", 8),
            ("ms an event", 11),
            ("AWS calls", 9),
            ("parsing ms", 10),
            ("empty function ms", 17),
            ("memory MB", 9),
        ]);
        let mut batches = Vec::new();
        for function in [TRACK, RECORD] {
            let mut process = self.spawn(function)?;
            process.ready()?;
            let mut empty = self.spawn(EMPTY)?;
            empty.ready()?;
            for (events, times) in [(10, settings.small_batches), (1_000, settings.large_batches)] {
                let name = format!("{function} / {events}");
                table.working_on(&name);
                let batch = self.batch(function, &mut process, &mut empty, events, times).with_context(|| name.clone())?;
                table.row(&[
                    name,
                    short(batch.ms.median),
                    format!("{:.3}", batch.ms_an_event),
                    short(batch.aws_calls.values().sum()),
                    format!("{:.3}", batch.parse_ms),
                    short(batch.empty_function_ms),
                    short(batch.peak_memory_mb_after),
                ]);
                batches.push(batch);
            }
        }
        Ok(batches)
    }

    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn batch(
        &self,
        function: &'static str,
        process: &mut Function,
        empty: &mut Function,
        events: usize,
        times: usize,
    ) -> anyhow::Result<Batch> {
        let mut took = Vec::new();
        let mut parsed = Vec::new();
        let mut emptied = Vec::new();
        let mut aws_calls: BTreeMap<String, f64> = BTreeMap::new();
        // The first one warms up: connections, the policy, the allocator.
        for time in 0..=times {
            let batch = batch(function, time * events, events)?;
            self.stub.take_calls();
            let (handled, answer) = process.invoke(&batch)?;
            let answer: Value = serde_json::from_slice(&answer)?;
            ensure!(answer["batchItemFailures"].as_array().is_some_and(Vec::is_empty), "messages failed: {answer}");
            let (alone, answer) = empty.invoke(&batch)?;
            let floor: Value = serde_json::from_slice(&answer)?;
            ensure!(floor["parsed"] == events, "the empty function parsed {floor}");
            if time > 0 {
                took.push(milliseconds(handled));
                emptied.push(milliseconds(alone));
                parsed.push(floor["seconds"].as_f64().unwrap_or_default() * 1_000.0);
                for (operation, calls) in self.stub.take_calls() {
                    *aws_calls.entry(operation).or_default() += calls as f64 / times as f64;
                }
            }
        }
        let ms = Spread::of(took)?;
        Ok(Batch {
            function,
            events,
            ms,
            ms_an_event: ms.median / events as f64,
            aws_calls,
            parse_ms: Spread::of(parsed)?.median,
            empty_function_ms: Spread::of(emptied)?.median,
            peak_memory_mb_after: megabytes(process.peak_memory()?),
        })
    }

    /// The memory of the function that synchronises after a wake that found an empty record.
    fn memory_after_a_wake(&self) -> anyhow::Result<f64> {
        let mut process = self.spawn(SYNC)?;
        process.ready()?;
        for _ in 0..10 {
            process.invoke(&records(std::iter::once(r#"{"trigger":"change"}"#.to_owned()))?)?;
        }
        Ok(megabytes(process.peak_memory()?))
    }
}

/// A batch of queue messages as the function gets them: S3's events, or, for the one that records, ours.
fn batch(function: &str, first: usize, events: usize) -> anyhow::Result<Vec<u8>> {
    let bodies = (first..first + events).map(|number| {
        let s3 = s3_event(number).to_string();
        if function == RECORD { bus_event(&s3) } else { Ok(s3) }
    });
    records(bodies.collect::<anyhow::Result<Vec<_>>>()?.into_iter())
}

/// "Object Created" as EventBridge delivers it (Amazon S3 user guide, "EventBridge event message structure").
fn s3_event(number: usize) -> Value {
    json!({
        "version": "0",
        "id": format!("17793124-05d4-b198-2fde-{number:012}"),
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "111122223333",
        "time": "2026-11-12T00:00:00Z",
        "region": "us-east-1",
        "resources": ["arn:aws:s3:::docs"],
        "detail": {
            "version": "0",
            "bucket": { "name": "docs" },
            "object": {
                "key": format!("manuals/2026/chapter-{number:06}.md"),
                "size": 5_120,
                "etag": "b1946ac92492d2347c6235b4d2611184",
                "version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
                "sequencer": format!("{:018X}", 0x0061_7F08_299F_4E90_u64 + number as u64)
            },
            "request-id": "N4N7GDK58NMKJ12R",
            "requester": "123456789012",
            "source-ip-address": "1.2.3.4",
            "reason": "PutObject"
        }
    })
}

/// The signal that a change becomes, as the bus delivers it.
fn bus_event(s3: &str) -> anyhow::Result<String> {
    let change = match flywheel_engine::s3_event::parse(s3) {
        Ok(flywheel_engine::s3_event::S3Event::Changed(change)) => change,
        other => anyhow::bail!("not a change: {other:?}"),
    };
    let subject = change.document.subject();
    let event = Event { id: change.id(), subject, causes: Vec::new(), at: Timestamp::UNIX_EPOCH, body: Body::DocumentChanged(change) };
    let envelope = json!({
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": event.kind(),
        "source": Event::SOURCE,
        "account": "111122223333",
        "time": "2026-11-12T00:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail": event
    });
    Ok(envelope.to_string())
}

/// An SQS event as Lambda hands it over (Lambda developer guide, "Using Lambda with Amazon SQS").
fn records(bodies: impl Iterator<Item = String>) -> anyhow::Result<Vec<u8>> {
    let records: Vec<Value> = bodies
        .enumerate()
        .map(|(number, body)| {
            json!({
                "messageId": format!("059f36b4-87a3-44ab-83d2-{number:012}"),
                "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
                "body": body,
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": "1545082649183",
                    "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                    "ApproximateFirstReceiveTimestamp": "1545082649185"
                },
                "messageAttributes": {},
                "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:111122223333:changes",
                "awsRegion": "us-east-1"
            })
        })
        .collect();
    Ok(serde_json::to_vec(&json!({ "Records": records }))?)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}
