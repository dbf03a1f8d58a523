//! Where limits end up, how often they move although nothing should change, and what a million runs take, beside simpler
//! rules on the same runs.
//!
//! How each figure is made:
//!
//! - A workflow has a distribution of times to completion; of some a share never ends, or fails by itself. The recorded ones
//!   are drawn with replacement from latencies that were all seen to their end (`FLYWHEEL_DATASETS`), in a unit in which the
//!   limit is 30 seconds, so that the policy's steps mean the same everywhere. The limit is put where the given share of
//!   the runs is cut.
//! - A workflow-month is 30 days of the given runs a day under the limit of the moment. Of a run that is cut the true end
//!   is known with the given probability (it was traced); of all others only that they were cut. It is looked at every
//!   twelve hours, with a cooldown of a day and a largest step of one half, as by default.
//! - `wanted` is the limit that the uncut data give: the engine's own decision on 200,000 runs that are all seen to their
//!   end, without a largest step. Where that is a hold, nothing should change, and any change is a wrong one.
//! - `flywheel` is the engine. `p99_completed` sets the 99th percentile of the runs that completed in time, each day;
//!   `p99_all` the same with a run that was cut counted as one of that latency; `one_and_a_half` raises by half each day on
//!   which the policy's share is cut.
//! - `timeouts` and `added_seconds` are those of the limit that a month ended with, from the true distribution: the share of
//!   runs that it cuts although they would complete, and the mean waiting that it adds to a run.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use flywheel_engine::timeouts::{Day, Decision, Next, Present, Runs, State, decide, made, next};
use flywheel_model::{Limit, RunStatus, TimeoutAnswer, TimeoutPurpose, WorkflowRun};
use flywheel_policy::Policy;
use flywheel_survival::{Bin, Curve, Times};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::repeat::repeat;
use crate::report::{Facts, Table, short, write};

/// The limit that every workflow begins with, in seconds.
const LIMIT: f64 = 30.0;
const CEILING: f64 = 120.0;
const DAYS: i64 = 30;
const POLICY: &str = r#"mode = "act"
[[unseen_source]]
knowledge_base = "KBBENCHMRK"
data_source = "DSBENCHMRK"
[[timeout]]
workflow = "w"
target = { parameter = "/limit" }
floor_seconds = 5
ceiling_seconds = 120
step_seconds = 1
"#;

/// What to measure with.
#[derive(Debug, Clone, Serialize, clap::Args)]
pub(crate) struct Settings {
    /// Workflow-months for each figure
    #[arg(long, default_value_t = 400)]
    repetitions: usize,
    /// Where all chance comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Leave out all workflows but those that begin so
    #[arg(long, default_value = "")]
    only: String,
}

/// When runs end.
#[derive(Debug, Clone)]
enum Ends {
    /// As recorded, in seconds.
    Recorded(Vec<f64>),
    /// Log-normal, with the median and the spread of the logarithm.
    LogNormal(f64, f64),
    /// A second mode for a share of the runs: share, median, spread; and the rest.
    Mixture(f64, f64, f64, Box<Self>),
}

impl Ends {
    fn draw(&self, random: &mut fastrand::Rng) -> f64 {
        match self {
            Self::Recorded(all) => all[random.usize(0..all.len())],
            Self::LogNormal(median, spread) => median * (spread * normal(random)).exp(),
            Self::Mixture(share, median, spread, rest) => {
                if random.f64() < *share {
                    median * (spread * normal(random)).exp()
                } else {
                    rest.draw(random)
                }
            }
        }
    }
}

/// Box and Muller 1958.
fn normal(random: &mut fastrand::Rng) -> f64 {
    (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (std::f64::consts::TAU * random.f64()).cos()
}

/// A workflow of which the truth is known.
#[derive(Debug, Clone)]
struct Workflow {
    name: String,
    ends: Ends,
    /// Never ends.
    stuck: f64,
    /// Fails by itself, at a time like any other.
    fails: f64,
    runs_a_day: usize,
    /// Of the runs that are cut, the true end is known of this share.
    followed: f64,
}

/// How a run would go on without a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Truth {
    Completes(f64),
    Fails(f64),
    Stuck,
}

impl Workflow {
    fn draw(&self, random: &mut fastrand::Rng) -> Truth {
        match random.f64() {
            place if place < self.stuck => Truth::Stuck,
            place if place < self.stuck + self.fails => Truth::Fails(self.ends.draw(random)),
            _ => Truth::Completes(self.ends.draw(random)),
        }
    }

    fn day(&self, random: &mut fastrand::Rng, limit: f64, runs: usize, mut see: impl FnMut(&WorkflowRun)) {
        for _ in 0..runs {
            let truth = self.draw(random);
            let followed = random.f64() < self.followed;
            see(&told(truth, limit, followed));
        }
    }
}

/// A run as it is told under a limit.
fn told(truth: Truth, limit: f64, followed: bool) -> WorkflowRun {
    let run = |status, seconds| WorkflowRun {
        workflow: "w".try_into().expect("a key"),
        status,
        seconds,
        limit_seconds: Some(limit),
        tool_calls: None,
        trace: followed.then(|| "t".try_into().expect("a key")),
        error: None,
    };
    match truth {
        Truth::Completes(seconds) if seconds <= limit => run(RunStatus::Succeeded, Some(seconds)),
        Truth::Fails(seconds) if seconds <= limit => run(RunStatus::Failed, Some(seconds)),
        Truth::Completes(seconds) if followed => run(RunStatus::TimedOut, Some(seconds)),
        Truth::Fails(seconds) if followed => WorkflowRun { error: Some("failed".to_owned()), ..run(RunStatus::TimedOut, Some(seconds)) },
        _ => run(RunStatus::TimedOut, None),
    }
}

/// What is known of a workflow by drawing many of its runs, none of them cut.
struct Reference {
    curve: Curve,
    /// The limit that uncut data give.
    wanted: f64,
}

fn reference(workflow: &Workflow, seed: u64) -> Reference {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut times, mut runs) = (Times::default(), Runs::default());
    for _ in 0..200_000 {
        let truth = workflow.draw(&mut random);
        match truth {
            Truth::Completes(seconds) => times.completed(seconds, 1),
            Truth::Fails(seconds) => times.failed(seconds, 1),
            Truth::Stuck => times.censored(Bin::MOST, 1),
        }
        runs.add(&told(truth, LIMIT, true));
    }
    let policy = policy("largest_step = 4.0\n");
    let days = BTreeMap::from([(Day::of(Timestamp::UNIX_EPOCH), runs)]);
    let decision = decide(&policy.timeouts[0], &days, &present(LIMIT), &State::default(), Timestamp::UNIX_EPOCH);
    let wanted = match decision {
        Decision::Change(change) if change.purpose == TimeoutPurpose::Raise => {
            change.changes.last().map_or(LIMIT, |change| change.to.seconds)
        }
        _ => LIMIT,
    };
    Reference { curve: Curve::of([(1.0, &times)]), wanted }
}

fn policy(more: &str) -> Policy {
    Policy::parse(&format!("{POLICY}{more}")).expect("the benchmark's policy is valid")
}

fn present(seconds: f64) -> Present {
    Present { limit: Ok(Limit::of(seconds)), visibility: None }
}

/// What a month came to.
#[derive(Debug, Clone, Copy)]
struct Month {
    limit: f64,
    moved: bool,
    undone: bool,
}

/// A month under the engine.
fn engine_month(workflow: &Workflow, policy: &Policy, random: &mut fastrand::Rng) -> Month {
    let timeout = &policy.timeouts[0];
    let (mut state, mut days, mut month) = (State::default(), BTreeMap::new(), Month { limit: LIMIT, moved: false, undone: false });
    for half_day in 0..DAYS * 2 {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(half_day * 12);
        let today: &mut Runs = days.entry(Day::of(now)).or_default();
        workflow.day(random, month.limit, workflow.runs_a_day / 2, |run| today.add(run));
        let now = now + SignedDuration::from_hours(11);
        match next(policy, timeout, &days, &present(month.limit), &state, None, now) {
            Next::Nothing => {}
            Next::Tell(_, told) => state = *told,
            Next::Make(_, claimed) => {
                let Some(change) = claimed.under_way.as_ref().map(|under_way| under_way.change.clone()) else { continue };
                month.limit = change.changes.last().map_or(month.limit, |change| change.to.seconds);
                month.moved = true;
                month.undone |= change.purpose == TimeoutPurpose::Undo;
                if let Some((_, after)) = made(timeout, &claimed, TimeoutAnswer::Made, now) {
                    state = after;
                }
            }
        }
    }
    month
}

/// A rule to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Simple {
    P99Completed,
    P99All,
    OneAndAHalf,
}

fn simple_month(rule: Simple, workflow: &Workflow, random: &mut fastrand::Rng) -> Month {
    let mut month = Month { limit: LIMIT, moved: false, undone: false };
    for _ in 0..DAYS {
        let (mut latencies, mut cut) = (Vec::new(), 0);
        workflow.day(random, month.limit, workflow.runs_a_day, |run| match run.status {
            RunStatus::TimedOut => {
                cut += 1;
                if rule == Simple::P99All {
                    latencies.push(month.limit);
                }
            }
            _ => latencies.extend(run.seconds),
        });
        latencies.sort_by(f64::total_cmp);
        let new = match rule {
            Simple::OneAndAHalf if cut as f64 >= 0.08 * workflow.runs_a_day as f64 => month.limit * 1.5,
            Simple::OneAndAHalf => month.limit,
            _ => latencies.get(latencies.len() * 99 / 100).copied().unwrap_or(month.limit),
        };
        let new = new.ceil().clamp(5.0, CEILING);
        month.moved |= new != month.limit;
        month.limit = new;
    }
    month
}

#[derive(Debug, Serialize)]
struct Figures {
    workflow: String,
    method: String,
    wanted: f64,
    /// Median of the limits that months ended with, and the most extreme ones.
    limit: f64,
    least: f64,
    most: f64,
    /// Median of the distances from `wanted`, as a share of it.
    distance: f64,
    within_10_percent: f64,
    /// Runs that are cut although they would complete: with the first limit, and in the mean of the months' last ones.
    timeouts_before: f64,
    timeouts: f64,
    timeouts_wanted: f64,
    added_seconds: f64,
    added_seconds_wanted: f64,
    /// Months in which the limit moved at all, and in which a change was taken back.
    moved: f64,
    undone: f64,
}

fn figures(workflow: &Workflow, method: &str, reference: &Reference, months: &[Month]) -> Figures {
    let mut limits: Vec<f64> = months.iter().map(|month| month.limit).collect();
    limits.sort_by(f64::total_cmp);
    let mut distances: Vec<f64> = limits.iter().map(|limit| (limit - reference.wanted).abs() / reference.wanted).collect();
    distances.sort_by(f64::total_cmp);
    let mean = |of: &dyn Fn(&Month) -> f64| months.iter().map(of).sum::<f64>() / months.len() as f64;
    let timeouts = |limit: f64| reference.curve.completed_between(limit, Bin::MOST).estimate;
    let waiting = |limit: f64| reference.curve.seconds_between(0.0, limit) - reference.curve.seconds_between(0.0, LIMIT);
    Figures {
        workflow: workflow.name.clone(),
        method: method.to_owned(),
        wanted: reference.wanted,
        limit: limits[limits.len() / 2],
        least: limits[0],
        most: limits[limits.len() - 1],
        distance: distances[distances.len() / 2],
        within_10_percent: distances.iter().filter(|distance| **distance <= 0.1).count() as f64 / distances.len() as f64,
        timeouts_before: timeouts(LIMIT),
        timeouts: mean(&|month| timeouts(month.limit)),
        timeouts_wanted: timeouts(reference.wanted),
        added_seconds: mean(&|month| waiting(month.limit)),
        added_seconds_wanted: waiting(reference.wanted),
        moved: mean(&|month| f64::from(u8::from(month.moved))),
        undone: mean(&|month| f64::from(u8::from(month.undone))),
    }
}

/// Workflows that are made up: some where a limit should move, some where it should not.
fn simulated() -> Vec<Workflow> {
    let workflow = |name: &str, ends: Ends, stuck: f64, fails: f64| Workflow {
        name: format!("simulated: {name}"),
        ends,
        stuck,
        fails,
        runs_a_day: 300,
        followed: 0.2,
    };
    let slow = |share: f64, median: f64| Ends::Mixture(share, median, 0.08, Box::new(Ends::LogNormal(10.0, 0.3)));
    // The median that puts this share of a log-normal beyond the limit, by its normal quantile.
    let tail = |quantile: f64| Ends::LogNormal(LIMIT * (-quantile * 0.6_f64).exp(), 0.6);
    let few_traces = Workflow { followed: 0.05, ..workflow("slow mode of 12%, few traces", slow(0.12, 38.0), 0.0, 0.0) };
    let no_traces = Workflow { followed: 0.0, ..workflow("slow mode of 12%, no traces", slow(0.12, 38.0), 0.0, 0.0) };
    let few_runs = Workflow { runs_a_day: 40, ..workflow("slow mode of 12%, 40 runs a day", slow(0.12, 38.0), 0.0, 0.0) };
    vec![
        workflow("tail of 10%", tail(1.281_552), 0.0, 0.0),
        workflow("tail of 15%", tail(1.036_433), 0.0, 0.0),
        workflow("tail of 20%", tail(0.841_621), 0.0, 0.0),
        workflow("slow mode of 12%", slow(0.12, 38.0), 0.0, 0.0),
        workflow("slow mode of 15%, 5% stuck, 3% fail", slow(0.15, 40.0), 0.05, 0.03),
        workflow("far slow mode of 15%", slow(0.15, 70.0), 0.0, 0.0),
        few_traces,
        few_runs,
        no_traces,
        workflow("no timeouts", Ends::LogNormal(8.0, 0.3), 0.0, 0.0),
        workflow("tail of 2%", tail(2.053_749), 0.0, 0.0),
        workflow("tail of 5%", tail(1.644_854), 0.0, 0.0),
        workflow("tail of 6%", tail(1.554_774), 0.0, 0.0),
        workflow("tail of 7%", tail(1.475_791), 0.0, 0.0),
        workflow("10% stuck", Ends::LogNormal(8.0, 0.3), 0.1, 0.0),
        workflow("20% stuck, slow mode of 3%", slow(0.03, 38.0), 0.2, 0.0),
        workflow("12% fail late", Ends::LogNormal(12.0, 0.3), 0.0, 0.12),
    ]
}

/// Workflows whose runs end as those that were recorded.
fn recorded() -> anyhow::Result<Vec<Workflow>> {
    let Some(folder) =
        std::env::var_os("FLYWHEEL_DATASETS").map(|named| Path::new(&named).join("latency")).filter(|folder| folder.is_dir())
    else {
        println!("FLYWHEEL_DATASETS names no folder with latency: recorded workflows are left out.");
        return Ok(Vec::new());
    };
    let mut series: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for entry in std::fs::read_dir(folder.join("llmperf"))? {
        let path = entry?.path();
        let calls: Vec<serde_json::Value> = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        // Refused calls have no latency.
        let latencies = calls.iter().filter_map(|call| call["end_to_end_latency_s"].as_f64()).filter(|seconds| *seconds > 0.0);
        series.entry(name).or_default().extend(latencies);
    }
    for (file, column, by) in [("agent_workflow_durations.csv", "duration_s", "source"), ("agent_turn_gaps.csv", "gap_s", "role")] {
        let text = std::fs::read_to_string(folder.join(file))?;
        let mut lines = text.lines();
        let heads: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
        let place = |name: &str| heads.iter().position(|head| *head == name).unwrap_or(usize::MAX);
        let (column, by) = (place(column), place(by));
        for line in lines {
            let cells: Vec<&str> = line.split(',').collect();
            let seconds = cells.get(column).and_then(|cell| cell.parse::<f64>().ok()).filter(|seconds| *seconds > 0.0);
            series.entry(cells.get(by).copied().unwrap_or_default().to_owned()).or_default().extend(seconds);
        }
    }
    let mut workflows = Vec::new();
    for (name, mut seconds) in series.into_iter().filter(|(_, seconds)| seconds.len() >= 50) {
        seconds.sort_by(f64::total_cmp);
        for cut in [0.02, 0.1, 0.2] {
            let limit = seconds[((seconds.len() as f64) * (1.0 - cut)) as usize - 1] * 1.000_1;
            let ends = Ends::Recorded(seconds.iter().map(|seconds| seconds / limit * LIMIT).collect());
            let name = format!("recorded: {name}, {:.0}% cut", cut * 100.0);
            workflows.push(Workflow { name, ends, stuck: 0.0, fails: 0.0, runs_a_day: 300, followed: 0.2 });
        }
    }
    Ok(workflows)
}

/// What keeping a million runs takes.
#[derive(Debug, Serialize)]
struct Million {
    runs: u64,
    seconds: f64,
    /// Bytes as it is kept.
    kept_bytes: usize,
    /// Bytes of the bins in memory, without what the tree adds.
    memory_bytes: usize,
    bins: usize,
    /// Sixteen parts, merged in another order, are the same to the last bit.
    parts_merge_to_the_same: bool,
    /// The largest difference of the curve's times from those of the runs themselves, as a share, over the percentiles.
    largest_relative_error: f64,
}

fn million(seed: u64) -> Million {
    let mut random = fastrand::Rng::with_seed(seed);
    let ends = Ends::Mixture(0.1, 38.0, 0.2, Box::new(Ends::LogNormal(10.0, 0.5)));
    let runs: Vec<WorkflowRun> = (0..1_000_000).map(|_| told(Truth::Completes(ends.draw(&mut random)), LIMIT, true)).collect();
    let begun = Instant::now();
    let mut whole = Runs::default();
    runs.iter().for_each(|run| whole.add(run));
    let seconds = begun.elapsed().as_secs_f64();
    let mut parts: Vec<Runs> = (0..16).map(|_| Runs::default()).collect();
    for run in &runs {
        parts[random.usize(0..16)].add(run);
    }
    random.shuffle(&mut parts);
    let mut merged = Runs::default();
    parts.iter().for_each(|part| merged.merge(part));
    let mut exact: Vec<f64> = runs.iter().filter_map(|run| run.seconds).collect();
    exact.sort_by(f64::total_cmp);
    let mut times = Times::default();
    exact.iter().for_each(|seconds| times.completed(*seconds, 1));
    let curve = Curve::of([(1.0, &times)]);
    let error = |percent: usize| {
        let exact = exact[exact.len() * percent / 100 - 1];
        let told = curve.steps().iter().find(|step| step.completed >= percent as f64 / 100.0 - 1e-9).map_or(0.0, |step| step.seconds);
        (told - exact).abs() / exact
    };
    let bins = times.bins().count();
    Million {
        runs: whole.usable(),
        seconds,
        kept_bytes: serde_json::to_string(&whole).map_or(0, |text| text.len()),
        memory_bytes: bins * size_of::<(Bin, flywheel_survival::Counts)>(),
        bins,
        parts_merge_to_the_same: merged == whole,
        largest_relative_error: (1..=99).map(error).fold(0.0, f64::max),
    }
}

#[derive(Debug, Serialize)]
struct Summary {
    /// Over the workflows whose limit should move: the median of the median distances, beside the goal of 0.1.
    median_distance: BTreeMap<String, f64>,
    /// Over the workflows whose limit should not move: the share of months in which it did, in the mean and at most.
    wrong_moves: BTreeMap<String, [f64; 2]>,
    /// Months that ended beyond the ceiling.
    beyond_ceiling: usize,
}

#[derive(Debug, Serialize)]
struct Report {
    made: Facts,
    settings: Settings,
    summary: Summary,
    million: Million,
    workflows: Vec<Figures>,
}

/// Measures and writes.
pub(crate) fn run(settings: &Settings, out: &Path) -> anyhow::Result<()> {
    let workflows: Vec<Workflow> =
        simulated().into_iter().chain(recorded()?).filter(|workflow| workflow.name.starts_with(&settings.only)).collect();
    let policy = policy("");
    let table = Table::new(&[
        ("workflow", 48),
        ("method", 14),
        ("wanted", 6),
        ("limit", 6),
        ("distance", 8),
        ("timeouts", 8),
        ("added s", 7),
        ("moved", 6),
    ]);
    let mut all = Vec::new();
    let mut beyond_ceiling = 0;
    for workflow in &workflows {
        table.working_on(&workflow.name);
        let reference = reference(workflow, settings.seed);
        let months = |method: &str, one: &(dyn Fn(&mut fastrand::Rng) -> Month + Sync)| {
            repeat(settings.seed, settings.repetitions, &format!("{} {method}", workflow.name), one)
        };
        for (method, months) in [
            ("flywheel", months("flywheel", &|random| engine_month(workflow, &policy, random))),
            ("p99_completed", months("p99_completed", &|random| simple_month(Simple::P99Completed, workflow, random))),
            ("p99_all", months("p99_all", &|random| simple_month(Simple::P99All, workflow, random))),
            ("one_and_a_half", months("one_and_a_half", &|random| simple_month(Simple::OneAndAHalf, workflow, random))),
        ] {
            if method == "flywheel" {
                beyond_ceiling += months.iter().filter(|month| month.limit > CEILING).count();
            }
            let figures = figures(workflow, method, &reference, &months);
            table.row(&[
                workflow.name.clone(),
                method.to_owned(),
                short(figures.wanted),
                short(figures.limit),
                format!("{:.1}%", figures.distance * 100.0),
                format!("{:.1}%", figures.timeouts * 100.0),
                short(figures.added_seconds),
                format!("{:.1}%", figures.moved * 100.0),
            ]);
            all.push(figures);
        }
    }
    let million = million(settings.seed);
    println!(
        "\nA million runs: {:.2} s, {} bins, {} bytes kept; largest error {:.2}%; parts merge to the same: {}",
        million.seconds,
        million.bins,
        million.kept_bytes,
        million.largest_relative_error * 100.0,
        million.parts_merge_to_the_same
    );
    let summary = summary(&all, beyond_ceiling);
    for (method, distance) in &summary.median_distance {
        println!("{method}: median distance {:.1}%", distance * 100.0);
    }
    for (method, [mean, most]) in &summary.wrong_moves {
        println!("{method}: moved wrongly in {:.2}% of months in the mean, {:.2}% at most", mean * 100.0, most * 100.0);
    }
    write(out, &Report { made: Facts::now(), settings: settings.clone(), summary, million, workflows: all })
}

fn summary(all: &[Figures], beyond_ceiling: usize) -> Summary {
    let mut distances: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut moves: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for figures in all {
        if figures.wanted > LIMIT {
            distances.entry(figures.method.clone()).or_default().push(figures.distance);
        } else {
            moves.entry(figures.method.clone()).or_default().push(figures.moved);
        }
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let mean_and_most = |values: Vec<f64>| [values.iter().sum::<f64>() / values.len() as f64, values.iter().copied().fold(0.0, f64::max)];
    Summary {
        median_distance: distances.into_iter().map(|(method, values)| (method, median(values))).collect(),
        wrong_moves: moves.into_iter().map(|(method, values)| (method, mean_and_most(values))).collect(),
        beyond_ceiling,
    }
}
