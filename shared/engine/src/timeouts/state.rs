//! What is remembered of a limit between two looks.

use flywheel_model::{Id, TimeoutChange};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::runs::Under;

/// What is remembered of a limit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Counts the writes.
    #[serde(skip)]
    pub revision: u64,
    /// The change that is being made or watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_way: Option<UnderWay>,
    /// When the limit was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_change_at: Option<Timestamp>,
    /// Not changed again before: a change failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// When an exploration last ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explored_at: Option<Timestamp>,
    /// Explorations since the limit was last changed.
    #[serde(default)]
    pub explorations: u32,
    /// What was told last, so that the same is not told again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
}

/// A change that is being made or watched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnderWay {
    /// The decision.
    pub decision: Id,
    /// The change, without its picture.
    pub change: TimeoutChange,
    /// When it was decided.
    pub at: Timestamp,
    /// Whether it is made. Recorded before and after: a process that dies between the two leaves a trace.
    pub made: bool,
    /// What had run under the new limit by then, on that day.
    #[serde(default)]
    pub before: Under,
}

/// What was told last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// What tells it from another: the purpose or reason, and the limits.
    pub what: String,
    /// The event.
    pub event: Id,
    /// When.
    pub at: Timestamp,
    /// In one paragraph.
    pub explanation: String,
}
