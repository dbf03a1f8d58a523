//! The document loop against its quotas: bursts of changed objects, run through the real functions in simulated time
//! against the Bedrock stand-in's core, with the policy's default settings and the stand-in's default quotas and speed.
//!
//! How each figure is made:
//!
//! - `jobs_started`, `direct_requests`, `api_calls`, `refused_calls`: what the stand-in saw.
//! - `changes_lost`: documents that do not end as S3 has them, by [`Memory::problems`](flywheel_testkit::Memory::problems).
//! - `quota_violations`: calls that the stand-in refused because they asked for more than a quota allows.
//! - `seconds_to_consistency`: from the first write to the moment at which the last changed document became right in the
//!   index, by the stand-in's own record of each document. Not at which the loop learned of it: that is
//!   `seconds_to_last_fate_recorded`.
//! - `seconds_to_last_change_recorded`: until the function that takes S3's events in had recorded the last of them.
//! - `bound_any_road`, `bound_same_roads`: see [`crate::bound`]; `ratio_…` is `seconds_to_consistency` over it.
//! - `job_per_object`: see [`crate::job_per_object`]; `against_job_per_object` is its figure over ours.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::ensure;
use flywheel_bedrock::core::{Bedrock, Operation, Outcome, Quotas, Speed};
use flywheel_model::{Body, DocumentId};
use flywheel_policy::Policy;
use flywheel_testkit::{Chaos, Simulation};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::bound::{Bound, Burst, Limits, any_road, same_roads};
use crate::job_per_object::{self, JobPerObject};
use crate::report::{Facts, Table, short, write};

/// The size of each object. It plays no part in how long anything takes.
pub(crate) const OBJECT_BYTES: u64 = 1_000;

/// For how long a burst may keep the loop busy before the benchmark gives up on it.
const PATIENCE: SignedDuration = SignedDuration::from_hours(48);

const BUCKET: &str = "docs";

/// What to measure with.
#[derive(Debug, Clone, Copy, Serialize, clap::Args)]
pub(crate) struct Settings {
    /// Objects written a second, in turn over the data sources
    #[arg(long, default_value_t = 500.0)]
    objects_per_second: f64,
    /// Where all chance comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Leave the slow comparison with one job an object out
    #[arg(long)]
    without_yardstick: bool,
}

/// A burst over data sources.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) objects: usize,
    pub(crate) data_sources: usize,
    knowledge_bases: usize,
    per_second: f64,
}

impl Spread {
    /// When an object is written.
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub(crate) fn written_after(&self, object: usize) -> SignedDuration {
        SignedDuration::from_secs_f64(object as f64 / self.per_second)
    }

    /// The knowledge base and the id of a data source.
    pub(crate) fn ids(&self, data_source: usize) -> (String, String) {
        (format!("KB{:08}", data_source % self.knowledge_bases), format!("DS{data_source:08}"))
    }

    /// An object's key: objects go to the data sources in turn.
    pub(crate) fn key(&self, object: usize) -> String {
        format!("{}{object:06}.md", prefix(object % self.data_sources))
    }

    fn policy(&self, settings: &str) -> anyhow::Result<Policy> {
        let mut text = format!("mode = \"act\"\n{settings}\n");
        for source in 0..self.data_sources {
            let ((knowledge_base, data_source), prefix) = (self.ids(source), prefix(source));
            text += &format!(
                "[[data_source]]\nknowledge_base = \"{knowledge_base}\"\ndata_source = \"{data_source}\"\nbucket = \"{BUCKET}\"\nprefix = \"{prefix}\"\n"
            );
        }
        Ok(Policy::parse(&text)?)
    }
}

fn prefix(data_source: usize) -> String {
    format!("source{data_source:03}/")
}

/// What a burst came to.
#[derive(Debug, Serialize)]
struct Row {
    objects: usize,
    data_sources: usize,
    knowledge_bases: usize,
    documents_each: usize,
    /// What the policy says other than the defaults.
    policy: &'static str,
    jobs_started: usize,
    documents_sent_directly: u64,
    direct_requests: usize,
    api_calls: BTreeMap<String, usize>,
    refused_calls: BTreeMap<String, usize>,
    changes_lost: usize,
    quota_violations: usize,
    seconds_written: f64,
    seconds_to_last_change_recorded: f64,
    seconds_to_consistency: f64,
    seconds_to_last_fate_recorded: f64,
    bound_any_road: Bound,
    ratio_any_road: f64,
    bound_same_roads: Bound,
    ratio_same_roads: f64,
    invocations: u64,
    holds: BTreeMap<&'static str, usize>,
    jobs: Vec<JobTimes>,
    direct: Option<DirectTimes>,
    job_per_object: Option<JobPerObject>,
    against_job_per_object: Option<Against>,
    wall_seconds: f64,
}

/// When a job ran, in seconds since the first write.
#[derive(Debug, Serialize)]
struct JobTimes {
    data_source: String,
    started: f64,
    ended: f64,
    documents: u64,
}

/// When direct requests were made, in seconds since the first write.
#[derive(Debug, Serialize)]
struct DirectTimes {
    first: f64,
    last: f64,
    /// The requests made in each second from the first write on.
    each_second: Vec<usize>,
}

/// The yardstick's figures over ours.
#[derive(Debug, Serialize)]
struct Against {
    jobs: Option<f64>,
    bedrock_calls: f64,
    seconds_to_consistency: f64,
}

#[derive(Serialize)]
struct Report {
    what: &'static str,
    machine: Facts,
    settings: Settings,
    policy_defaults: BTreeMap<&'static str, u32>,
    quotas: Quotas,
    speed: Speed,
    goal: &'static str,
    yardstick_retry_seconds: f64,
    rows: Vec<Row>,
}

/// Runs all bursts, prints a table and writes the report.
pub(crate) fn run(settings: Settings, out: &Path) -> anyhow::Result<()> {
    println!("Bursts of changed objects at {} a second, in simulated time; seconds are simulated\n", settings.objects_per_second);
    let table = Table::new(&[
        ("objects / data sources", 34),
        ("jobs", 4),
        ("direct", 6),
        ("calls", 6),
        ("lost", 4),
        ("over quota", 4),
        ("seconds", 7),
        ("same roads", 7),
        ("ratio", 5),
        ("any road", 7),
        ("ratio", 5),
        ("job each: jobs", 6),
        ("calls", 8),
        ("seconds", 8),
    ]);
    let mut rows = Vec::new();
    for objects in [100, 1_000, 10_000] {
        for (data_sources, knowledge_bases) in [(1, 1), (5, 5), (5, 1), (50, 50)] {
            rows.push((objects, data_sources, knowledge_bases, ""));
        }
    }
    // The same hundred objects when the policy sends them by job: at most two of them.
    rows.push((100, 1, 1, "[sync]\ndirect_at_most = 1"));
    let mut measured = Vec::new();
    for (objects, data_sources, knowledge_bases, policy) in rows {
        let spread = Spread { objects, data_sources, knowledge_bases, per_second: settings.objects_per_second };
        let name = name(&spread, policy);
        table.working_on(&name);
        let row = measure(&spread, policy, &settings)?;
        table.row(&cells(&name, &row));
        measured.push(row);
    }
    let sync = Spread { objects: 1, data_sources: 1, knowledge_bases: 1, per_second: 1.0 }.policy("")?.sync;
    let report = Report {
        what: "The document loop against Bedrock's quotas, in simulated time. tests/bench/src/kb_sync.rs says how each figure is made.",
        machine: Facts::now(),
        settings,
        policy_defaults: BTreeMap::from([
            ("direct_at_most", sync.direct_at_most),
            ("settle_seconds", sync.settle_seconds),
            ("settle_at_most_seconds", sync.settle_at_most_seconds),
            ("poll_seconds", sync.poll_seconds),
            ("check_seconds", sync.check_seconds),
            ("cooldown_seconds", sync.cooldown_seconds),
        ]),
        quotas: Quotas::default(),
        speed: Speed::default(),
        goal: "ratio_any_road at most 1.2; changes_lost and quota_violations 0; 100 objects of one data source take at most 2 jobs",
        yardstick_retry_seconds: job_per_object::RETRY_SECONDS,
        rows: measured,
    };
    verdict(&report.rows);
    write(out, &report)
}

fn name(spread: &Spread, policy: &str) -> String {
    let mut name = format!("{} / {}", spread.objects, spread.data_sources);
    if spread.knowledge_bases < spread.data_sources {
        name += &format!(" in {} knowledge base", spread.knowledge_bases);
    }
    if let Some((_, setting)) = policy.split_once('\n') {
        name += &format!(" ({setting})");
    }
    name
}

fn cells(name: &str, row: &Row) -> Vec<String> {
    let yardstick = |cell: fn(&JobPerObject) -> String| row.job_per_object.as_ref().map_or_else(|| "-".to_owned(), cell);
    vec![
        name.to_owned(),
        row.jobs_started.to_string(),
        row.direct_requests.to_string(),
        row.api_calls.values().sum::<usize>().to_string(),
        row.changes_lost.to_string(),
        row.quota_violations.to_string(),
        short(row.seconds_to_consistency),
        short(row.bound_same_roads.seconds),
        short(row.ratio_same_roads),
        short(row.bound_any_road.seconds),
        short(row.ratio_any_road),
        yardstick(|of| of.jobs_started.to_string()),
        yardstick(|of| of.start_requests.to_string()),
        yardstick(|of| format!("{:.0}", of.seconds_to_last_job_end)),
    ]
}

fn verdict(rows: &[Row]) {
    let worst = rows.iter().map(|row| row.ratio_any_road).fold(0.0, f64::max);
    let over = rows.iter().filter(|row| row.ratio_any_road > 1.2).count();
    let lost: usize = rows.iter().map(|row| row.changes_lost).sum();
    let violations: usize = rows.iter().map(|row| row.quota_violations).sum();
    println!(
        "\nchanges lost {lost}; calls over a quota {violations}; above 1.2 times the quota-bound minimum (any road): {over} of {} rows, at most {}",
        rows.len(),
        short(worst)
    );
}

fn measure(spread: &Spread, changes: &'static str, settings: &Settings) -> anyhow::Result<Row> {
    let clock = std::time::Instant::now();
    let policy = spread.policy(changes)?;
    let mut world = Simulation::new(policy.clone(), bedrock(), Chaos::default(), settings.seed);
    let begun = world.now();
    for object in 0..spread.objects {
        world.run_until(begun + spread.written_after(object));
        world.write(&DocumentId::new(BUCKET, spread.key(object)), OBJECT_BYTES);
    }
    let since = |at: Timestamp| at.duration_since(begun).as_secs_f64();
    let seconds_written = since(world.now());
    ensure!(world.settle(PATIENCE), "{} objects over {} data sources: not at rest after two days", spread.objects, spread.data_sources);
    let memory = world.memory.borrow();
    let bedrock = &memory.bedrock;
    let mut api_calls: BTreeMap<String, usize> = BTreeMap::new();
    let mut refused_calls: BTreeMap<String, usize> = BTreeMap::new();
    for call in bedrock.calls() {
        *api_calls.entry(format!("{:?}", call.operation)).or_default() += 1;
        if let Outcome::Refused(code) = &call.outcome {
            *refused_calls.entry(code.name().to_owned()).or_default() += 1;
        }
    }
    let sent: Vec<f64> = bedrock
        .calls()
        .iter()
        .filter(|call| call.operation == Operation::IngestKnowledgeBaseDocuments)
        .map(|call| since(call.at))
        .collect();
    let updated = (0..spread.data_sources).flat_map(|source| {
        let (knowledge_base, data_source) = spread.ids(source);
        bedrock.documents(&knowledge_base, &data_source).map(|(_, document)| document.updated_at).max()
    });
    let seconds_to_consistency = updated.max().map_or(0.0, since);
    let mut holds: BTreeMap<&'static str, usize> = BTreeMap::new();
    for event in memory.ledger.values() {
        if let Body::SyncHeld(hold) = &event.body {
            *holds.entry(hold.reason.word()).or_default() += 1;
        }
    }
    let jobs: Vec<JobTimes> = bedrock
        .jobs()
        .map(|job| JobTimes {
            data_source: job.data_source.clone(),
            started: since(job.started_at),
            ended: since(job.updated_at),
            documents: job.statistics.number_of_new_documents_indexed + job.statistics.number_of_modified_documents_indexed,
        })
        .collect();
    let (limits, burst) = (limits(), spread.burst());
    let (bound_any_road, bound_same_roads) = (any_road(&limits, &burst), same_roads(&limits, &burst, policy.sync.direct_at_most as usize));
    let yardstick = (!settings.without_yardstick && changes.is_empty())
        .then(|| job_per_object::run(spread, policy.clone(), self::bedrock(), settings.seed));
    Ok(Row {
        objects: spread.objects,
        data_sources: spread.data_sources,
        knowledge_bases: spread.knowledge_bases,
        documents_each: burst.documents_each(),
        policy: changes,
        jobs_started: jobs.len(),
        documents_sent_directly: world.reports.iter().map(|report| report.documents_sent).sum(),
        direct_requests: sent.len(),
        changes_lost: memory.problems(&policy).len(),
        quota_violations: bedrock.violations().len(),
        seconds_written,
        seconds_to_last_change_recorded: memory.sources.values().filter_map(|source| source.touched_at).max().map_or(0.0, since),
        seconds_to_consistency,
        seconds_to_last_fate_recorded: since(memory.now),
        ratio_any_road: seconds_to_consistency / bound_any_road.seconds,
        bound_any_road,
        ratio_same_roads: seconds_to_consistency / bound_same_roads.seconds,
        bound_same_roads,
        invocations: world.invocations,
        holds,
        against_job_per_object: yardstick.as_ref().map(|of| against(of, jobs.len(), &api_calls, seconds_to_consistency)),
        job_per_object: yardstick,
        jobs,
        direct: direct_times(&sent),
        api_calls,
        refused_calls,
        wall_seconds: clock.elapsed().as_secs_f64(),
    })
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn against(of: &JobPerObject, jobs: usize, api_calls: &BTreeMap<String, usize>, seconds: f64) -> Against {
    Against {
        jobs: (jobs > 0).then(|| of.jobs_started as f64 / jobs as f64),
        bedrock_calls: of.start_requests as f64 / api_calls.values().sum::<usize>() as f64,
        seconds_to_consistency: of.seconds_to_consistency / seconds,
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small non-negative number of seconds")]
fn direct_times(sent: &[f64]) -> Option<DirectTimes> {
    let (first, last) = (*sent.first()?, *sent.last()?);
    let mut each_second = vec![0; last as usize + 1];
    for at in sent {
        each_second[*at as usize] += 1;
    }
    Some(DirectTimes { first, last, each_second })
}

fn bedrock() -> Bedrock {
    Bedrock::new(Quotas::default(), Speed::default())
}

/// The stand-in's quotas and speed, as the bound wants them.
fn limits() -> Limits {
    let (quotas, speed) = (Quotas::default(), Speed::default());
    Limits {
        job_starts_per_second: quotas.job_starts_per_second,
        running_jobs: quotas.running_jobs as usize,
        direct_requests_per_second: quotas.direct_requests_per_second,
        documents_per_request: quotas.documents_per_request,
        job_overhead: speed.job_overhead.as_secs_f64(),
        job_per_document: speed.per_document.as_secs_f64(),
        direct_latency: speed.direct_latency.as_secs_f64(),
    }
}

impl Spread {
    fn burst(&self) -> Burst {
        Burst { objects: self.objects, data_sources: self.data_sources, knowledge_bases: self.knowledge_bases, per_second: self.per_second }
    }
}
