//! Limits on how long a workflow may run, and what is decided, done and learned about them.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Id, Key};

/// Where a limit is set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// A parameter of Systems Manager's Parameter Store.
    Parameter {
        /// Its name.
        name: String,
        /// The field of its JSON value that holds the limit; without one the value is the number of seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        field: Option<String>,
    },
    /// A configuration profile of `AppConfig` with hosted values.
    AppConfig {
        /// The application's id.
        application: String,
        /// The environment's id.
        environment: String,
        /// The configuration profile's id.
        profile: String,
        /// The deployment strategy's id, or the name of a predefined one.
        strategy: String,
        /// The field of its JSON value that holds the limit; without one the value is the number of seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        field: Option<String>,
    },
    /// The timeout of a Lambda function.
    FunctionTimeout {
        /// Its name.
        function: String,
    },
    /// The visibility timeout of an SQS queue.
    QueueVisibility {
        /// Its name.
        queue: String,
    },
}

impl Setting {
    /// Whether the application reads a document there, which can tell it to let some runs have another limit.
    #[must_use]
    pub const fn holds_document(&self) -> bool {
        matches!(self, Self::Parameter { field: Some(_), .. } | Self::AppConfig { field: Some(_), .. })
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter { name, field } => {
                write!(f, "parameter {name}")?;
                field.iter().try_for_each(|field| write!(f, " ({field})"))
            }
            Self::AppConfig { application, profile, field, .. } => {
                write!(f, "AppConfig profile {application}/{profile}")?;
                field.iter().try_for_each(|field| write!(f, " ({field})"))
            }
            Self::FunctionTimeout { function } => write!(f, "timeout of function {function}"),
            Self::QueueVisibility { queue } => write!(f, "visibility timeout of queue {queue}"),
        }
    }
}

/// What stands in a [`Setting`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// Seconds that a run may take.
    pub seconds: f64,
    /// A share of the runs that has another limit, for a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exploration: Option<Exploration>,
}

impl Limit {
    /// The same limit for all runs.
    #[must_use]
    pub const fn of(seconds: f64) -> Self {
        Self { seconds, exploration: None }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.seconds)?;
        self.exploration.iter().try_for_each(|some| write!(f, " ({} s for {:.1}% of runs)", some.seconds, some.share * 100.0))
    }
}

/// A share of the runs that has a longer limit, to learn when they end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Exploration {
    /// Seconds that such a run may take.
    pub seconds: f64,
    /// The share of the runs, 0 to 1.
    pub share: f64,
    /// From then on all runs have the same limit again.
    pub until: Timestamp,
}

/// One setting, what must stand in it, and what is to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SettingChange {
    /// Where.
    pub setting: Setting,
    /// The present value. If another is found, somebody else changed it, and it stays.
    pub from: Limit,
    /// The new one.
    pub to: Limit,
}

/// A complete action on a limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimeoutChange {
    /// The workflow, with the range of tool calls if the policy tells runs apart by it.
    pub timeout: Key,
    /// What for.
    pub purpose: TimeoutPurpose,
    /// What is to be changed, in this order: all of it or nothing.
    pub changes: Vec<SettingChange>,
    /// What takes it back, in this order.
    pub undo: Vec<SettingChange>,
    /// What should come of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prediction: Option<TimeoutPrediction>,
    /// Why, in one paragraph with its numbers.
    pub explanation: String,
    /// The survival curve with the old and the new limit, as SVG.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub picture: String,
    /// Decided only: the policy says dry run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What a change of a limit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeoutPurpose {
    /// Lets runs complete that are cut now.
    Raise,
    /// A limit that is far longer than runs need. Proposed only: a person carries it out.
    Lower,
    /// Lets a share of the runs go on for longer, to learn when they end.
    Explore,
    /// Ends an exploration.
    EndExploration,
    /// Takes a change back.
    Undo,
}

/// What a new limit should bring.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TimeoutPrediction {
    /// The share of runs that are cut at the present limit.
    pub timeouts_now: f64,
    /// The share that will be cut at the new one: lower bound, estimate, upper bound.
    pub timeouts: [f64; 3],
    /// The share of all runs that the new limit rescues: lower bound, estimate, upper bound.
    pub rescued: [f64; 3],
    /// Seconds that a run takes under the new limit, in the mean over all runs …
    pub mean_seconds: f64,
    /// … of which so many are waiting that the new limit adds.
    pub added_seconds: f64,
    /// The effective number of runs that this rests on.
    pub runs: f64,
    /// The confidence of each bound, one-sided.
    pub confidence: f64,
}

/// A reasoned "not now".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimeoutHold {
    /// The workflow, with the range of tool calls if the policy tells runs apart by it.
    pub timeout: Key,
    /// The kind of reason.
    pub reason: TimeoutHoldReason,
    /// Why, in one paragraph with its numbers.
    pub explanation: String,
    /// The survival curve with the present limit, as SVG.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub picture: String,
}

/// Why a limit stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeoutHoldReason {
    /// It suits what the runs need.
    Suits,
    /// Fewer runs than the policy asks for.
    FewRuns,
    /// Too many runs tell no time that can be used.
    UnusableRuns,
    /// It is not known what comes after the present limit.
    NothingKnownBeyond,
    /// Most of what is cut would not complete within the ceiling: it is stuck.
    Stuck,
    /// Not surely enough yet.
    MoreEvidence,
    /// The runs need more than the largest step, and that step alone helps too little.
    LargestStep,
    /// Something above would cut the runs first, or something below does.
    OtherLimit,
    /// A queue would deliver messages again that are still worked on.
    QueueVisibility,
    /// The waiting costs more than the runs are worth.
    Costs,
    /// The last change is too recent.
    Cooldown,
    /// A change failed, and it is too early to try again.
    FailedBefore,
    /// The present limit is outside of what the policy allows.
    OutOfBounds,
    /// The present limit cannot be read.
    Unreadable,
    /// A person must approve the change.
    Approval,
    /// A person did not want the change, or nobody answered.
    Declined,
}

/// What came of carrying a change out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimeoutReceipt {
    /// The workflow, with the range of tool calls if the policy tells runs apart by it.
    pub timeout: Key,
    /// The decision.
    pub decision: Id,
    /// What became of it.
    pub answer: TimeoutAnswer,
    /// What takes it back, in this order; nothing if nothing was changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undo: Vec<SettingChange>,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeoutAnswer {
    /// All of it was made.
    Made,
    /// Another value was found than was expected. Nothing was changed, or what was is taken back.
    ChangedMeanwhile(String),
    /// AWS refused it. Nothing was changed, or what was is taken back.
    Refused(String),
}

/// What a change of a limit brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimeoutOutcome {
    /// The workflow, with the range of tool calls if the policy tells runs apart by it.
    pub timeout: Key,
    /// The decision.
    pub decision: Id,
    /// The verdict.
    pub verdict: TimeoutVerdict,
    /// Runs under the new limit since then.
    pub runs: u64,
    /// Those of them that were cut.
    pub timed_out: u64,
    /// Seconds that they took, in the mean, each up to where it was cut.
    pub mean_seconds: f64,
    /// Why, in one paragraph with its numbers.
    pub explanation: String,
}

/// Whether a change did what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeoutVerdict {
    /// It stays.
    Kept,
    /// It did not, and is taken back.
    Undone,
    /// It cannot be told: too few runs, or somebody else changed the limit. It stays as it is.
    Inconclusive,
}

/// How the ledger calls a limit.
#[must_use]
pub fn timeout_subject(timeout: &Key) -> String {
    format!("timeout/{timeout}")
}
