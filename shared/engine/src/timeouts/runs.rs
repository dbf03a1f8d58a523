//! What is kept of the runs of one day: histograms and counts of bounded size that merge exactly.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_model::{RunStatus, WorkflowRun};
use flywheel_survival::{Bin, Times};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How much later than its limit a run may be told to have ended and still count as cut at it: cutting takes a moment, and
/// clocks differ. A share of the limit …
const CUT_WITHIN: f64 = 0.02;
/// … and seconds.
const CUT_WITHIN_SECONDS: f64 = 0.2;
/// Limits that are told so close to each other are one: what a caller waited is a little more than its limit. A share …
const SAME_WITHIN: f64 = 0.01;
/// … and seconds.
const SAME_WITHIN_SECONDS: f64 = 0.1;
/// A run that was cut before this share of its limit was cut by another one.
const EARLY: f64 = 0.95;

/// A day: whole days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(pub i64);

impl Day {
    /// The day of a time, in UTC.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        Self(at.as_second().div_euclid(86_400))
    }
}

/// What is known of some runs of a workflow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runs {
    /// Those of which it is known when they ended, or that they went on for so long.
    times: Times,
    /// Cut at a limit, by the limit: their trace would tell their end, and does not. Where other traces do, these never end.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    unended: BTreeMap<Bin, u64>,
    /// The limits of which it is known how runs went on after they were cut.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    followed: BTreeSet<Bin>,
    /// By limit, what ran under it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    under: BTreeMap<Bin, Under>,
    /// Cut well before their limit.
    #[serde(default, skip_serializing_if = "is_zero")]
    early: u64,
    /// By reason, runs that tell no time that can be used.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    unusable: BTreeMap<Unusable, u64>,
    /// By calls of tools: not told, 0, 1 to 2, 3 to 5, 6 to 10, more.
    mix: [u64; 6],
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What ran under one limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Under {
    /// Runs.
    pub runs: u64,
    /// Those that were cut.
    pub timed_out: u64,
    /// What they took together, each up to where it was cut.
    pub milliseconds: u64,
}

/// Why a run tells nothing of when runs end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unusable {
    /// It names neither a time nor a limit.
    NoTime,
    /// Its time or its limit is zero, negative, or no number: a clock went backwards.
    NotPositive,
    /// Its time or its limit is more than thirty days.
    Absurd,
    /// It ended by itself after its limit: the units are mixed, or the limit is not enforced.
    AfterLimit,
}

impl Unusable {
    pub(super) const fn told(self) -> &'static str {
        match self {
            Self::NoTime => "name neither a time nor a limit",
            Self::NotPositive => "have a time or limit that is not above 0",
            Self::Absurd => "have a time or limit of more than 30 days",
            Self::AfterLimit => "ended by themselves after their limit (mixed units, or a limit that is not enforced)",
        }
    }
}

impl Runs {
    /// Adds a run.
    pub fn add(&mut self, run: &WorkflowRun) {
        self.mix[class(run.tool_calls)] += 1;
        if let Err(reason) = self.add_times(run) {
            *self.unusable.entry(reason).or_default() += 1;
        }
    }

    fn add_times(&mut self, run: &WorkflowRun) -> Result<(), Unusable> {
        let limit = run.limit_seconds.map(usable).transpose()?;
        let seconds = run.seconds.map(usable).transpose()?;
        let cut_until = limit.map(|limit| limit * (1.0 + CUT_WITHIN) + CUT_WITHIN_SECONDS);
        let beyond = |seconds: f64| cut_until.is_some_and(|until| seconds > until);
        // A trace that tells of no error tells the end of the run, and not that of the wait for it.
        let went_on =
            |seconds: f64| beyond(seconds) || (run.trace.is_some() && run.error.is_none() && limit.is_some_and(|limit| seconds > limit));
        match (run.status, seconds, limit) {
            (RunStatus::TimedOut, None, None) | (RunStatus::Succeeded | RunStatus::Failed, None, _) => return Err(Unusable::NoTime),
            (RunStatus::Succeeded | RunStatus::Failed, Some(seconds), _) if beyond(seconds) => return Err(Unusable::AfterLimit),
            (RunStatus::Succeeded, Some(seconds), _) => self.times.completed(seconds, 1),
            (RunStatus::Failed, Some(seconds), _) => self.times.failed(seconds, 1),
            // Its caller gave up and it went on to its true end, which was one by itself if it names an error.
            (RunStatus::TimedOut, Some(seconds), Some(limit)) if went_on(seconds) => {
                self.followed.insert(Bin::of(limit));
                if run.error.as_deref().is_some_and(|error| !tells_of_a_limit(error)) {
                    self.times.failed(seconds, 1);
                } else {
                    self.times.completed(seconds, 1);
                }
            }
            (RunStatus::TimedOut, seconds, Some(limit)) => {
                let at = seconds.map_or(limit, |seconds| seconds.min(limit));
                self.early += u64::from(at < limit * EARLY);
                if run.trace.is_some() && seconds.is_none() {
                    *self.unended.entry(Bin::of(limit)).or_default() += 1;
                } else {
                    self.times.censored(at, 1);
                }
            }
            (RunStatus::TimedOut, Some(seconds), None) => self.times.censored(seconds, 1),
        }
        if let Some(limit) = limit {
            let under = self.under.entry(Bin::of(limit)).or_default();
            under.runs += 1;
            under.timed_out += u64::from(run.status == RunStatus::TimedOut);
            under.milliseconds = under.milliseconds.saturating_add(milliseconds(seconds.map_or(limit, |seconds| seconds.min(limit))));
        }
        Ok(())
    }

    /// Adds what another part of the runs came to: the same as if all had been added to one.
    pub fn merge(&mut self, other: &Self) {
        self.times.merge(&other.times);
        for (limit, runs) in &other.unended {
            *self.unended.entry(*limit).or_default() += runs;
        }
        self.followed.extend(&other.followed);
        for (limit, more) in &other.under {
            self.under.entry(*limit).or_default().add(*more);
        }
        self.early += other.early;
        for (reason, runs) in &other.unusable {
            *self.unusable.entry(*reason).or_default() += runs;
        }
        self.mix.iter_mut().zip(other.mix).for_each(|(sum, more)| *sum += more);
    }

    /// The times, with the runs that never ended where it is known of others under the same limit how they went on. The
    /// limits of which it is known come from all days together.
    pub(super) fn times(&self, followed: &BTreeSet<Bin>) -> Times {
        let mut times = self.times.clone();
        for (limit, runs) in &self.unended {
            let known = followed.iter().any(|other| same(other.seconds(), limit.seconds()));
            times.censored(if known { Bin::MOST } else { limit.seconds() }, *runs);
        }
        times
    }

    pub(super) const fn followed(&self) -> &BTreeSet<Bin> {
        &self.followed
    }

    /// What ran under a limit.
    #[must_use]
    pub fn under(&self, limit: f64) -> Under {
        let mut sum = Under::default();
        self.under.iter().filter(|(told, _)| same(told.seconds(), limit)).for_each(|(_, under)| sum.add(*under));
        sum
    }

    /// All that were cut at a limit that they told.
    pub(super) fn timed_out(&self) -> u64 {
        self.under.values().map(|under| under.timed_out).sum()
    }

    /// Runs whose limit is told a hundred times larger or smaller than this one: in other units.
    pub(super) fn in_other_units(&self, limit: f64) -> u64 {
        let other = |told: f64| told > limit * 100.0 || told < limit / 100.0;
        self.under.iter().filter(|(told, _)| other(told.seconds())).map(|(_, under)| under.runs).sum()
    }

    pub(super) const fn early(&self) -> u64 {
        self.early
    }

    pub(super) const fn unusable(&self) -> &BTreeMap<Unusable, u64> {
        &self.unusable
    }

    pub(super) const fn mix(&self) -> &[u64; 6] {
        &self.mix
    }

    /// How many runs tell a time that can be used.
    #[must_use]
    pub fn usable(&self) -> u64 {
        self.times.runs() + self.unended.values().sum::<u64>()
    }
}

impl Under {
    fn add(&mut self, more: Self) {
        self.runs += more.runs;
        self.timed_out += more.timed_out;
        self.milliseconds = self.milliseconds.saturating_add(more.milliseconds);
    }
}

/// Whether two limits are one, told with the time that cutting takes.
fn same(one: f64, other: f64) -> bool {
    (one - other).abs() <= one.max(other) * SAME_WITHIN + SAME_WITHIN_SECONDS
}

/// Whether an error is of a limit that ran out, and not one of the run's own.
fn tells_of_a_limit(error: &str) -> bool {
    let error = error.to_lowercase();
    ["timeout", "timed out", "timed_out", "deadline exceeded", "deadline_exceeded"].iter().any(|words| error.contains(words))
}

fn usable(seconds: f64) -> Result<f64, Unusable> {
    match seconds {
        // What is no number is not above 0 either.
        _ if seconds.is_nan() || seconds <= 0.0 => Err(Unusable::NotPositive),
        _ if seconds > Bin::MOST => Err(Unusable::Absurd),
        _ => Ok(seconds),
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and thirty days")]
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1_000.0).round() as u64
}

fn class(tool_calls: Option<u32>) -> usize {
    match tool_calls {
        None => 0,
        Some(0) => 1,
        Some(1..=2) => 2,
        Some(3..=5) => 3,
        Some(6..=10) => 4,
        Some(_) => 5,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(status: RunStatus, seconds: Option<f64>, limit: Option<f64>) -> WorkflowRun {
        WorkflowRun {
            workflow: "w".try_into().expect("a key"),
            status,
            seconds,
            limit_seconds: limit,
            tool_calls: None,
            trace: None,
            error: None,
        }
    }

    fn of(runs: &[WorkflowRun]) -> Runs {
        let mut sum = Runs::default();
        runs.iter().for_each(|run| sum.add(run));
        sum
    }

    #[test]
    fn a_cut_is_no_latency() {
        let runs = of(&[run(RunStatus::TimedOut, Some(30.03), Some(30.0)), run(RunStatus::TimedOut, None, Some(30.0))]);
        let bins: Vec<_> = runs.times(runs.followed()).bins().collect();
        assert_eq!(bins.iter().map(|(_, counts)| (counts.completed, counts.censored)).collect::<Vec<_>>(), [(0, 2)]);
        assert_eq!(runs.under(30.0), Under { runs: 2, timed_out: 2, milliseconds: 60_000 });
    }

    #[test]
    fn a_caller_that_gave_up_does_not_hide_the_true_end() {
        let mut failed = run(RunStatus::TimedOut, Some(50.0), Some(30.0));
        failed.error = Some("tool failed".to_owned());
        let mut given_up = run(RunStatus::TimedOut, Some(45.0), Some(30.02));
        given_up.error = Some("DEADLINE_EXCEEDED".to_owned());
        let runs = of(&[run(RunStatus::TimedOut, Some(41.0), Some(30.0)), failed, given_up]);
        let counts: Vec<_> = runs.times(runs.followed()).bins().map(|(_, counts)| (counts.completed, counts.failed)).collect();
        assert_eq!(counts, [(1, 0), (1, 0), (0, 1)]);
        assert_eq!(runs.under(30.0).timed_out, 3);
    }

    #[test]
    fn a_trace_tells_the_end_also_right_after_the_limit() {
        let traced = |error: Option<&str>| WorkflowRun {
            trace: Some("t".try_into().expect("a key")),
            error: error.map(str::to_owned),
            ..run(RunStatus::TimedOut, Some(30.2), Some(30.0))
        };
        let completed = |run| {
            let runs = of(&[run]);
            runs.times(runs.followed()).bins().map(|(_, counts)| counts.completed).sum::<u64>()
        };
        assert_eq!((completed(traced(None)), completed(traced(Some("timeout")))), (1, 0));
    }

    #[test]
    fn a_trace_without_an_end_never_ends_where_others_do() {
        let mut unended = run(RunStatus::TimedOut, None, Some(30.0));
        unended.trace = Some("t".try_into().expect("a key"));
        let alone = of(&[unended.clone()]);
        assert_eq!(alone.times(alone.followed()).bins().next().map(|(bin, _)| bin), Some(Bin::of(30.0)));
        let beside = of(&[unended, run(RunStatus::TimedOut, Some(41.0), Some(30.0))]);
        assert_eq!(beside.times(beside.followed()).bins().last().map(|(bin, _)| bin), Some(Bin::last()));
    }

    #[test]
    fn what_cannot_be_used_is_counted_by_its_reason() {
        for (status, seconds, limit, reason) in [
            (RunStatus::Succeeded, None, Some(30.0), Unusable::NoTime),
            (RunStatus::TimedOut, None, None, Unusable::NoTime),
            (RunStatus::Succeeded, Some(-3.0), None, Unusable::NotPositive),
            (RunStatus::Succeeded, Some(0.0), None, Unusable::NotPositive),
            (RunStatus::Succeeded, Some(f64::NAN), None, Unusable::NotPositive),
            (RunStatus::Failed, Some(3.0), Some(-30.0), Unusable::NotPositive),
            (RunStatus::Succeeded, Some(1e9), None, Unusable::Absurd),
            (RunStatus::TimedOut, Some(f64::INFINITY), Some(30.0), Unusable::Absurd),
            (RunStatus::Succeeded, Some(12_000.0), Some(30.0), Unusable::AfterLimit),
        ] {
            let runs = of(&[run(status, seconds, limit)]);
            assert_eq!(runs.unusable(), &BTreeMap::from([(reason, 1)]), "{status:?} {seconds:?} {limit:?}");
            assert_eq!(runs.usable(), 0);
        }
    }

    proptest! {
        #[test]
        fn order_and_parts_do_not_matter(
            runs in prop::collection::vec((0..3_u8, prop::option::of(-5.0..4e6_f64), prop::option::of(0.5..100.0_f64), any::<bool>()), 0..40),
            seed in any::<u64>(), cut in 0..40_usize,
        ) {
            let mut runs: Vec<WorkflowRun> = runs
                .into_iter()
                .map(|(status, seconds, limit, traced)| WorkflowRun {
                    trace: traced.then(|| "t".try_into().expect("a key")),
                    ..run([RunStatus::Succeeded, RunStatus::Failed, RunStatus::TimedOut][usize::from(status)], seconds, limit)
                })
                .collect();
            let whole = of(&runs);
            runs.sort_by_key(|run| run.seconds.unwrap_or(0.0).to_bits() ^ seed);
            let (one, other) = runs.split_at(cut.min(runs.len()));
            let mut merged = of(other);
            merged.merge(&of(one));
            prop_assert_eq!(&merged, &whole);
            let text = serde_json::to_string(&whole).expect("JSON");
            prop_assert_eq!(serde_json::from_str::<Runs>(&text).expect("runs"), whole);
        }
    }
}
