//! What is remembered of a limit between two looks.

use flywheel_model::{ApprovalRequest, Id, TimeoutChange};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::runs::Under;

/// What is remembered of a limit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Counts the writes.
    #[serde(skip)]
    pub revision: u64,
    /// The limits that were in force, the oldest first, at most [`State::LIMITS`]. Many runs do not tell theirs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<InForce>,
    /// The change that is being made or watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_way: Option<UnderWay>,
    /// The last raise, for as long as it can be taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reversible: Option<UnderWay>,
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
    /// The change that waits for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaiting: Option<Awaiting>,
    /// The change that was last declined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declined: Option<Declined>,
    /// What was told last, so that the same is not told again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
}

/// A limit that was in force from some time on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct InForce {
    /// Since when.
    pub since: Timestamp,
    /// Seconds.
    pub seconds: f64,
}

impl State {
    /// Limits that are remembered.
    pub const LIMITS: usize = 8;

    /// The limit that was in force at a time, as far as it is known.
    #[must_use]
    pub fn limit_at(&self, at: Timestamp) -> Option<f64> {
        self.limits.iter().rev().find(|limit| limit.since <= at).map(|limit| limit.seconds)
    }

    /// Remembers the limit that is in force now. The first one is taken to have been so before.
    #[must_use]
    pub(super) fn noting(&self, seconds: f64, now: Timestamp) -> Self {
        let mut state = self.clone();
        if state.limits.last().is_none_or(|last| last.seconds != seconds) {
            let since = if state.limits.is_empty() { Timestamp::UNIX_EPOCH } else { now };
            state.limits.push(InForce { since, seconds });
            let drop = state.limits.len().saturating_sub(Self::LIMITS);
            state.limits.drain(..drop);
        }
        state
    }
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

/// A change that waits for a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Awaiting {
    /// What they are asked.
    pub request: ApprovalRequest,
    /// The change, without its picture.
    pub change: TimeoutChange,
    /// What tells it from another: the purpose and the limit that it changes.
    pub what: String,
}

/// A change that a person did not want, or that nobody answered about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Declined {
    /// What tells it from another: the purpose and the limit that it would have changed.
    pub what: String,
    /// It is not proposed again before.
    pub until: Timestamp,
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
