//! Looks whether a rate moved.
//!
//! A look takes the counts of every hour that was touched since the last one into the histories, asks the engine what
//! changed, publishes that, and only then records what it knows. A look that dies is repeated from the start and tells
//! the same under the same ids. One process looks at a time.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_engine::findings::{self, History};
use flywheel_model::{Count, Event, Hour, Key, Metric, Series};
use flywheel_policy::Policy;
use flywheel_ports::{Bus, Counts, Memory, Unavailable};
use futures::future::try_join_all;
use jiff::Timestamp;

/// Hours read at once: after a night without looks all of them are waiting.
const HOURS_AT_ONCE: usize = 8;

/// What a look came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Series of which a history was looked at.
    pub series: u64,
    /// Findings opened.
    pub opened: u64,
    /// Findings closed.
    pub closed: u64,
    /// Changes that are not evidence enough.
    pub held: u64,
    /// Another process was looking.
    pub busy: bool,
}

/// The time that a message of the schedule asks to look at; nothing if it names none. A look at what was so far comes to
/// the same whenever it is made.
#[must_use]
pub fn asked_for(body: &str) -> Option<Timestamp> {
    let event: serde_json::Value = serde_json::from_str(body).ok()?;
    event.get("time")?.as_str()?.parse().ok()
}

/// Looks at everything that was counted since the last look, as it stands at a time.
///
/// # Errors
/// If the record or the bus cannot be reached; the next look begins where this one did.
pub async fn look<C: Counts, M: Memory, B: Bus>(
    counts: &C,
    memory: &M,
    bus: &B,
    policy: &Policy,
    at: Timestamp,
    now: Timestamp,
) -> Result<Report, Unavailable> {
    let Some(mut looked) = memory.begin_look(now).await? else { return Ok(Report { busy: true, ..Report::default() }) };
    let present = Hour::of(at);
    // Signals that are too late are not counted, so that nothing older than this can have changed.
    let oldest = Hour(present.0 - i64::from(policy.signals.late_hours) - 1);
    let touched = counts.touched(oldest).await?;
    // Counts of the present hour go on changing, so it is looked at each time and remembered when it is over.
    let fresh: Vec<Hour> =
        touched.iter().filter(|(hour, count)| **hour >= present || looked.hours.get(hour) != Some(count)).map(|(hour, _)| *hour).collect();
    let counted = read(counts, &fresh).await?;
    let alarms = memory.alarms().await?;

    let mut report = Report::default();
    for metric in Metric::ALL {
        let changed = counted.values().any(|counts| counts.keys().any(|series| series.metric == metric));
        let alarmed = alarms != looked.alarms && policy.alarms.iter().any(|mapping| mapping.metric == metric);
        if changed || alarmed || looked.policy != policy.version {
            let mut histories = memory.histories(metric).await?;
            let closed = learn(&mut histories, metric, &counted, present);
            report.series += histories.len() as u64;
            let state = memory.state(metric).await?;
            let (events, next) = findings::detect(metric, &histories, &alarms, &state, policy, at);
            bus.publish(&events).await?;
            report.count(&events);
            for key in closed {
                if let Some(history) = histories.get_mut(&key) {
                    history.forget(&policy.findings, at);
                    memory.save_history(&Series { metric, key }, history).await?;
                }
            }
            if next != state {
                memory.save_state(metric, &next).await?;
            }
        }
    }
    looked.hours = touched.into_iter().filter(|(hour, _)| *hour < present).collect();
    looked.alarms = alarms;
    looked.policy.clone_from(&policy.version);
    memory.end_look(&looked).await?;
    Ok(report)
}

async fn read<C: Counts>(counts: &C, hours: &[Hour]) -> Result<BTreeMap<Hour, BTreeMap<Series, Count>>, Unavailable> {
    let mut read = BTreeMap::new();
    for hours in hours.chunks(HOURS_AT_ONCE) {
        read.extend(try_join_all(hours.iter().map(|hour| async move { Ok((*hour, counts.counts(*hour).await?)) })).await?);
    }
    Ok(read)
}

/// Takes counts into the histories of a metric. Gives the keys of which an hour that is over changed: those are worth
/// recording.
fn learn(
    histories: &mut BTreeMap<Key, History>,
    metric: Metric,
    counted: &BTreeMap<Hour, BTreeMap<Series, Count>>,
    present: Hour,
) -> BTreeSet<Key> {
    let mut closed = BTreeSet::new();
    for (hour, counts) in counted {
        for (series, count) in counts.iter().filter(|(series, _)| series.metric == metric) {
            histories.entry(series.key.clone()).or_default().learn(*hour, count);
            if *hour < present {
                closed.insert(series.key.clone());
            }
        }
    }
    closed
}

impl Report {
    fn count(&mut self, events: &[Event]) {
        for event in events {
            match event.kind() {
                "finding.opened" => self.opened += 1,
                "finding.closed" => self.closed += 1,
                "finding.held" => self.held += 1,
                _ => {}
            }
        }
    }
}
