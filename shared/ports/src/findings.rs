//! What looking for changes needs.

use std::collections::BTreeMap;

use flywheel_engine::findings::{History, MetricState, SeenAlarm};
use flywheel_model::{Hour, Id, Key, Metric, Refresh, Series};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{NoAnswer, Unavailable};

/// The team's own alarms, as they were last seen.
pub trait Alarms {
    /// Records an alarm's state, unless a later one is recorded.
    async fn see(&self, alarm: &SeenAlarm) -> Result<(), Unavailable>;

    /// Every alarm that was seen.
    async fn alarms(&self) -> Result<Vec<SeenAlarm>, Unavailable>;
}

/// What was counted in the last weeks.
pub trait Histories {
    /// All keys of a metric with their histories.
    async fn histories(&self, metric: Metric) -> Result<BTreeMap<Key, History>, Unavailable>;
}

/// What is remembered between looks.
pub trait Memory: Alarms + Histories {
    /// Takes the right to look, for as long as a function may run; nothing if another process has it.
    async fn begin_look(&self, now: Timestamp) -> Result<Option<Looked>, Unavailable>;

    /// Records what was looked at and gives the right back. Done last: a look that died before is repeated.
    async fn end_look(&self, looked: &Looked) -> Result<(), Unavailable>;

    /// Records a history. Only who has the right to look does.
    async fn save_history(&self, series: &Series, history: &History) -> Result<(), Unavailable>;

    /// The findings of a metric.
    async fn state(&self, metric: Metric) -> Result<MetricState, Unavailable>;

    /// Records the findings of a metric. Only who has the right to look does.
    async fn save_state(&self, metric: Metric, state: &MetricState) -> Result<(), Unavailable>;
}

/// What findings about topics asked for.
pub trait Refreshes {
    /// Remembers what was decided, so that it is decided once.
    async fn keep(&self, refresh: &Refresh) -> Result<(), Unavailable>;

    /// What was decided for a finding.
    async fn of(&self, finding: &Id) -> Result<Option<Refresh>, Unavailable>;
}

/// The knowledge bases, to be asked.
pub trait Questions {
    /// How many passages a knowledge base finds for a question.
    async fn results(&self, knowledge_base: &str, question: &str) -> Result<usize, NoAnswer>;
}

/// How far looks have come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    /// Counts the writes.
    #[serde(skip)]
    pub revision: u64,
    /// Of each past hour, the number that it had when its counts went into the histories.
    pub hours: BTreeMap<Hour, u64>,
    /// The alarms as they were at the last look.
    #[serde(default)]
    pub alarms: Vec<SeenAlarm>,
    /// The policy of the last look.
    pub policy: String,
}
