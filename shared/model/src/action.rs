//! What an action did to the number that triggered it, and what follows.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Event, Id, Key, Metric, Scope};

/// The kinds of actions whose effect on a rate is measured afterwards. Experiments and changed limits are not among them:
/// their own measurements judge them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// The knowledge bases of a failing topic were synchronised.
    Refresh,
    /// The better prompt of an experiment was given to everybody.
    Promotion,
    /// A check is made before releases.
    Check,
}

impl ActionKind {
    /// Its name, as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Promotion => "promotion",
            Self::Check => "check",
        }
    }

    /// What was done, in words.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Refresh => "synchronising the knowledge bases",
            Self::Promotion => "the promoted prompt",
            Self::Check => "the check before releases",
        }
    }
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What came of an action, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionVerdict {
    /// The rate is better than it would have been.
    Improved,
    /// It is as it would have been, give or take less than matters.
    Unchanged,
    /// It is worse than it would have been, by more than matters.
    Worse,
    /// Time is up, and it cannot be told.
    Inconclusive,
}

impl fmt::Display for ActionVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Improved => "improved",
            Self::Unchanged => "unchanged",
            Self::Worse => "worse",
            Self::Inconclusive => "inconclusive",
        })
    }
}

/// What an action did to the rate that triggered it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionOutcome {
    /// The event that decided the action.
    pub action: Id,
    /// What was done.
    pub what: ActionKind,
    /// Which rate.
    pub metric: Metric,
    /// Where.
    pub scope: Scope,
    /// When the action took effect.
    pub acted_at: Timestamp,
    /// The verdict.
    pub verdict: ActionVerdict,
    /// What it rests on; nothing where there was nothing to compare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<MeasuredEffect>,
    /// Other actions on the same rate in the same time: what changed cannot be credited to any one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Id>,
    /// In one paragraph, with the numbers.
    pub explanation: String,
}

impl ActionOutcome {
    /// How the ledger calls it: as the rate.
    #[must_use]
    pub fn subject(&self) -> String {
        self.scope.subject(self.metric)
    }
}

/// A rate after an action, beside what was to be expected without it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeasuredEffect {
    /// The rate since the change that the action answered, up to the action; 0 to 1.
    pub before: f64,
    /// The rate since the action.
    pub after: f64,
    /// What the season and the untouched rates lead to expect without the action: lower bound, estimate, upper bound.
    pub expected: [f64; 3],
    /// The confidence of these bounds, however often it was looked.
    pub confidence: f64,
    /// Trials before and after.
    pub trials: [u64; 2],
    /// How many rates that the action did not touch it was compared with; 0 if there were too few.
    pub untouched: u64,
}

/// A complete action: what an earlier one changed is taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Undo {
    /// The event that decided what is taken back.
    pub action: Id,
    /// What was done.
    pub what: ActionKind,
    /// The experiment whose winner is withdrawn.
    pub experiment: Key,
    /// Why, in one paragraph with its numbers.
    pub explanation: String,
    /// Decided only: the policy says dry run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Nothing more is done about a rate by itself: a person has to look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Escalation {
    /// Which rate.
    pub metric: Metric,
    /// Where.
    pub scope: Scope,
    /// The actions that were tried.
    pub tried: Vec<Id>,
    /// What was tried and what came of it, in one paragraph with its numbers.
    pub explanation: String,
}

impl Event {
    /// The event that an experiment's winner is to be given to everybody.
    #[must_use]
    pub fn promotion(experiment: &Key) -> Id {
        Id::of("decision.experiment", &[experiment.as_str(), "promote"])
    }
}
