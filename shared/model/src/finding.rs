//! Judged signals, what is counted of them, and the findings that follow.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Id, Key, Signal};

/// A signal as it is kept: redacted, with the key that it counts for and what speaks for a failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The signal, redacted.
    pub signal: Signal,
    /// The topic of a retrieval, the intent of a conversation; [`UNCLASSIFIED`] if no rule of the policy matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Key>,
    /// Everything that speaks for a failure. None: it counts as a success, or, of a conversation, as not known to have
    /// failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
}

/// The topic or intent of signals that name none and that no rule matches.
pub const UNCLASSIFIED: &str = "unclassified";

/// One piece of evidence that a response, a conversation, a run or a release failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of evidence.
    pub reason: FailureReason,
    /// The evidence itself: the check's name, the tool and its error, the phrase …
    pub detail: String,
}

/// The kinds of evidence for a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum FailureReason {
    /// The application says that it failed.
    Outcome,
    /// It ended with an error.
    Error,
    /// One of the application's checks did not hold.
    FailedCheck,
    /// A tool failed, and was not called again with success.
    ToolError,
    /// It was handed over to a person.
    Escalation,
    /// The user was not content.
    NegativeFeedback,
    /// The assistant said that it does not know.
    NoAnswer,
    /// Nothing was retrieved.
    NoResults,
    /// An evaluator's score or label.
    LowEvaluation,
    /// It ran out of time.
    TimedOut,
}

impl FailureReason {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Outcome,
        Self::Error,
        Self::FailedCheck,
        Self::ToolError,
        Self::Escalation,
        Self::NegativeFeedback,
        Self::NoAnswer,
        Self::NoResults,
        Self::LowEvaluation,
        Self::TimedOut,
    ];

    /// Its name, as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Outcome => "outcome",
            Self::Error => "error",
            Self::FailedCheck => "failed_check",
            Self::ToolError => "tool_error",
            Self::Escalation => "escalation",
            Self::NegativeFeedback => "negative_feedback",
            Self::NoAnswer => "no_answer",
            Self::NoResults => "no_results",
            Self::LowEvaluation => "low_evaluation",
            Self::TimedOut => "timed_out",
        }
    }
}

/// The rates that are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Metric {
    /// Responses that failed, by topic.
    FailedResponses,
    /// Conversations that were resolved among those of which it is known, by intent.
    Resolution,
    /// Conversations that failed, by intent.
    ConversationFailures,
    /// Retrievals that failed, by knowledge base.
    RetrievalFailures,
    /// Runs that timed out, by workflow.
    Timeouts,
    /// Releases that failed, by service; and by service and cause.
    FailedReleases,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::FailedResponses,
        Self::Resolution,
        Self::ConversationFailures,
        Self::RetrievalFailures,
        Self::Timeouts,
        Self::FailedReleases,
    ];

    /// Its name, as in JSON and in the policy.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FailedResponses => "failed_responses",
            Self::Resolution => "resolution",
            Self::ConversationFailures => "conversation_failures",
            Self::RetrievalFailures => "retrieval_failures",
            Self::Timeouts => "timeouts",
            Self::FailedReleases => "failed_releases",
        }
    }

    /// What its keys name.
    #[must_use]
    pub const fn keyed_by(self) -> &'static str {
        match self {
            Self::FailedResponses => "topic",
            Self::Resolution | Self::ConversationFailures => "intent",
            Self::RetrievalFailures => "knowledge base",
            Self::Timeouts => "workflow",
            Self::FailedReleases => "service",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One rate of one topic, intent, knowledge base, workflow or service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Series {
    /// The rate.
    pub metric: Metric,
    /// Of what.
    pub key: Key,
}

impl Series {
    /// How the ledger calls it.
    #[must_use]
    pub fn subject(&self) -> String {
        format!("rate/{}/{}", self.metric, self.key)
    }
}

/// The hour that a signal counts in: whole hours since 1970-01-01T00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hour(pub i64);

impl Hour {
    /// The hour of a time.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        Self(at.as_second().div_euclid(3_600))
    }

    /// Its first moment.
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp::from_second(self.0.saturating_mul(3_600)).unwrap_or(if self.0 < 0 { Timestamp::MIN } else { Timestamp::MAX })
    }
}

/// How many there were, and how many of them had it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Responses, conversations, retrievals, runs or releases.
    pub trials: u64,
    /// Those among them that failed; of [`Metric::Resolution`], that were resolved.
    pub events: u64,
    /// Those among the events that had this reason (or, of releases, this root cause). One event may have several.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, u64>,
    /// Some of the signals that had it, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Id>,
}

impl Count {
    /// Adds another count of the same series and hour.
    pub fn add(&mut self, other: &Self) {
        self.trials += other.trials;
        self.events += other.events;
        for (part, count) in &other.parts {
            *self.parts.entry(part.clone()).or_default() += count;
        }
        self.examples.extend(other.examples.iter().cloned());
        self.examples.truncate(Finding::EXAMPLES);
    }
}

/// A change for the worse that the evidence supports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    /// The same from its opening to its closing.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub finding: Id,
    /// Which rate.
    pub metric: Metric,
    /// Where.
    pub scope: Scope,
    /// When it was opened.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "date-time")))]
    pub opened_at: Timestamp,
    /// What it rests on.
    pub evidence: Evidence,
    /// Some of the signals that had it, newest first, at most [`Finding::EXAMPLES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub examples: Vec<Id>,
}

impl Finding {
    /// The most examples that a finding names.
    pub const EXAMPLES: usize = 20;

    /// The event that opened a finding.
    #[must_use]
    pub fn opening(finding: &Id) -> Id {
        Id::of("finding.opened", &[finding.as_str()])
    }

    /// How the ledger calls it. A finding that an alarm opened stands apart from one of the counts.
    #[must_use]
    pub fn subject(&self) -> String {
        let rate = self.scope.subject(self.metric);
        if let Evidence::Alarm { name, .. } = &self.evidence { format!("{rate}/alarm/{name}") } else { rate }
    }
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Scope {
    /// All keys of the metric together: the change is everywhere.
    Everywhere,
    /// One topic, intent, knowledge base, workflow or service.
    Key(Key),
    /// One root cause of the failed releases of a service.
    Cause {
        /// The service.
        service: Key,
        /// The kind of cause.
        cause: String,
    },
}

impl Scope {
    /// How the ledger calls a metric's rate there.
    #[must_use]
    pub fn subject(&self, metric: Metric) -> String {
        match self {
            Self::Everywhere => format!("rate/{metric}"),
            Self::Key(key) => format!("rate/{metric}/{key}"),
            Self::Cause { service, cause } => format!("rate/{metric}/{service}/{cause}"),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everywhere => f.write_str("everywhere"),
            Self::Key(key) => key.fmt(f),
            Self::Cause { service, cause } => write!(f, "{service} ({cause})"),
        }
    }
}

/// What a finding rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Evidence {
    /// Counts.
    Rates(Rates),
    /// An alarm that the policy maps to this metric and key.
    Alarm {
        /// The alarm.
        name: Key,
        /// CloudWatch's reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// Two rates, how far apart they are and how surely.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rates {
    /// What was expected: the trailing baseline, weighed as the hours of the window are.
    pub baseline: Rate,
    /// What was seen in the window.
    pub current: Rate,
    /// Relative change of the rate: 0.15 is 15% more.
    pub change: f64,
    /// Its confidence interval, valid however often it is looked at.
    pub interval: [f64; 2],
    /// Natural logarithm of the e-value: e to this power to one against "nothing changed".
    pub log_evidence: f64,
    /// The window's first moment: where the change most likely began.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "date-time")))]
    pub since: Timestamp,
    /// The last look.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "date-time")))]
    pub until: Timestamp,
    /// In the window, how many of the events had each reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, u64>,
    /// Of a hold: about how many more trials at the observed rate would be evidence enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples_needed: Option<u64>,
}

/// A rate as it was counted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rate {
    /// How many there were.
    pub trials: u64,
    /// How many had it.
    pub events: u64,
    /// The share, 0 to 1. Of a baseline it is weighed by season, so it need not be `events` ÷ `trials`.
    pub rate: f64,
}

/// Why a change that is large enough is not a finding, or a finding brings no action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FindingHold {
    /// Which rate.
    pub metric: Metric,
    /// Where.
    pub scope: Scope,
    /// In words, with its numbers.
    pub reason: String,
    /// The rates as they stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<Rates>,
}

impl FindingHold {
    /// How the ledger calls it.
    #[must_use]
    pub fn subject(&self) -> String {
        self.scope.subject(self.metric)
    }
}
