//! What looking for changes needs.

use std::collections::BTreeMap;

use flywheel_engine::findings::{History, MetricState, SeenAlarm};
use flywheel_model::{Hour, Key, Metric, Series};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Unavailable;

/// The team's own alarms, as they were last seen.
pub trait Alarms {
    /// Records an alarm's state, unless a later one is recorded.
    async fn see(&self, alarm: &SeenAlarm) -> Result<(), Unavailable>;

    /// Every alarm that was seen.
    async fn alarms(&self) -> Result<Vec<SeenAlarm>, Unavailable>;
}

/// What is remembered between looks.
pub trait Memory: Alarms {
    /// Takes the right to look, for as long as a function may run; nothing if another process has it.
    async fn begin_look(&self, now: Timestamp) -> Result<Option<Looked>, Unavailable>;

    /// Records what was looked at and gives the right back. Done last: a look that died before is repeated.
    async fn end_look(&self, looked: &Looked) -> Result<(), Unavailable>;

    /// All keys of a metric with their histories.
    async fn histories(&self, metric: Metric) -> Result<BTreeMap<Key, History>, Unavailable>;

    /// Records a history. Only who has the right to look does.
    async fn save_history(&self, series: &Series, history: &History) -> Result<(), Unavailable>;

    /// The findings of a metric.
    async fn state(&self, metric: Metric) -> Result<MetricState, Unavailable>;

    /// Records the findings of a metric. Only who has the right to look does.
    async fn save_state(&self, metric: Metric, state: &MetricState) -> Result<(), Unavailable>;
}

/// How far looks have come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    /// Counts the writes.
    #[serde(skip)]
    pub revision: u64,
    /// Of each past hour, the number that it had when its counts went into the histories.
    pub hours: BTreeMap<Hour, u64>,
    /// The policy of the last look.
    pub policy: String,
}
