//! What the policy says of signals and findings.

use flywheel_model::{Key, Metric};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// How signals are taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignalPolicy {
    /// A signal counts if it is at most this many hours old when it arrives; an older one is reported and not counted.
    /// 1 to 168, default 24.
    pub late_hours: u32,
    /// A conversation that arrives as spans is put together when none has come for this many seconds. 10 to 900, default
    /// 600.
    pub quiet_seconds: u32,
    /// The bucket where Bedrock's model invocation logging puts bodies over 100 KB. Without it their text is not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invocation_log_bucket: Option<String>,
    /// The Bedrock guardrail that finds personal data which no pattern sees. Without it names stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guardrail: Option<GuardrailId>,
}

/// A Bedrock guardrail of this account and Region, in one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardrailId {
    /// Bedrock's id of it.
    pub id: String,
    /// Its version, "DRAFT" for the one that is being worked on.
    pub version: String,
}

impl Serialize for GuardrailId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}:{}", self.id, self.version))
    }
}

/// What speaks for a failure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FailurePolicy {
    /// A reply that has one of these phrases in it and tells nothing else is "I do not know". Matched as whole words, in
    /// any case; short forms ("don't") and long ones are the same, and `*` stands for up to five words.
    pub no_answer: Vec<String>,
    /// Evaluators' scores that are failures.
    #[serde(rename = "evaluation")]
    pub evaluations: Vec<EvaluationLimit>,
    /// Evaluators' labels that are failures, whatever their score, in lower case.
    pub failed_labels: Vec<String>,
}

/// Below which score an evaluation is a failure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvaluationLimit {
    /// The evaluation's name, in any case.
    pub name: String,
    /// A score below this one is a failure.
    pub below: f64,
}

/// A rule that gives retrievals a topic, or conversations an intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Class {
    /// The topic or intent.
    pub name: Key,
    /// Words and phrases, matched whole and in any case. The class with the most different ones in the text wins, the
    /// first in the file among equals.
    pub words: Vec<String>,
    /// Tools whose call counts as one of the words. Intents only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// The knowledge bases that serve it: those that a finding about it may synchronise. Topics only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub knowledge_bases: Vec<String>,
}

/// A team's own alarm that stands for a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AlarmMapping {
    /// The alarm's name, as a glob.
    pub name: String,
    /// The metric that it watches.
    pub metric: Metric,
    /// The topic, intent, knowledge base, workflow or service that it watches.
    pub key: Key,
}

/// When a change is a finding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FindingPolicy {
    /// Days of the past that the present is compared with. 7 to 35, default 28.
    pub baseline_days: u32,
    /// The longest time, in days, over which a change is looked for. 1 to 14, default 7.
    pub window_days: u32,
    /// How many findings a month one unchanged series may bring, looked at as often as one likes. 0.0001 to 0.5,
    /// default 0.01.
    pub false_alarms_a_month: f64,
    /// The share of wrong findings among all, over all keys looked at. 0.001 to 0.5, default 0.05.
    pub false_discovery_rate: f64,
    /// How much a rate may drift in a month, as a share of it, without that being a change. 0 to 1, default 0.02; more asks
    /// for more evidence of small changes.
    pub drift_a_month: f64,
    /// The rule of each metric, in the order of [`Metric::ALL`].
    #[serde(flatten, serialize_with = "by_metric")]
    rules: [FindingRule; 6],
}

/// Each rule under the name of its metric, as in the file.
fn by_metric<S: Serializer>(rules: &[FindingRule; 6], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(rules.len()))?;
    for (metric, rule) in Metric::ALL.into_iter().zip(rules) {
        map.serialize_entry(metric.as_str(), rule)?;
    }
    map.end()
}

/// When a change of one metric is large enough.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FindingRule {
    /// The smallest change that matters: of the rate itself, 0.15 for 15% more than before (or, of resolution, less).
    pub change: f64,
    /// Whether `change` is a share of the rate before, or points of the rate.
    pub measure: Measure,
    /// Fewer trials than this in the window are never a finding.
    pub minimum_sample: u64,
}

/// How a change is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// As a share of the rate before: 0.15 takes 10% to 11.5%.
    Relative,
    /// In points of the rate: 0.15 takes 10% to 25%.
    Points,
}

impl FindingPolicy {
    pub(crate) const fn new(
        baseline_days: u32,
        window_days: u32,
        false_alarms_a_month: f64,
        false_discovery_rate: f64,
        drift_a_month: f64,
        rules: [FindingRule; 6],
    ) -> Self {
        Self { baseline_days, window_days, false_alarms_a_month, false_discovery_rate, drift_a_month, rules }
    }

    /// The rule of one metric.
    #[must_use]
    pub fn rule(&self, metric: Metric) -> FindingRule {
        self.rules[metric as usize]
    }
}

/// The default rule of each metric: a relative rise of 15% for failed responses, a fall of 20% for resolution, a rise of
/// 25% for conversation failures and retrieval failures; for timeouts and releases, whose loops have thresholds of their
/// own, a rise of 25%.
pub(crate) const fn default_rule(metric: Metric) -> FindingRule {
    let (change, minimum_sample) = match metric {
        Metric::FailedResponses => (0.15, 200),
        Metric::Resolution => (0.20, 100),
        Metric::ConversationFailures | Metric::RetrievalFailures | Metric::Timeouts => (0.25, 100),
        Metric::FailedReleases => (0.25, 20),
    };
    FindingRule { change, measure: Measure::Relative, minimum_sample }
}

/// Phrases by which assistants say that they do not know, in the languages that most of their users speak.
pub(crate) const NO_ANSWER: [&str; 57] = [
    "i don't know",
    "i'm not sure",
    "i'm not aware of",
    "i don't have * information",
    "i don't have * knowledge",
    "i don't have * details",
    "i don't have * data",
    "i don't have * answer",
    "i don't have any",
    "i don't have that",
    "i don't have specific",
    "i don't have the specific",
    "i don't have access to",
    "i have no information",
    "i have no * information",
    "there is no * information",
    "there are no * details",
    "no information * available",
    "no information * provided",
    "information * is not available",
    "not enough information",
    "i couldn't find",
    "i can't find",
    "i did not find",
    "unable to find",
    "not able to find",
    "not able to answer",
    "unable to answer",
    "unable to provide * information",
    "i'm unable to assist",
    "unable to assist you with this request",
    "can't answer",
    "can't provide * answer",
    "can't provide * information",
    "can't help with that",
    "could not find an exact answer",
    "doesn't contain * information",
    "don't contain * information",
    "search results do not contain",
    "doesn't specify",
    "don't specify",
    "doesn't mention",
    "documents don't mention",
    "passages don't mention",
    "results don't mention",
    "doesn't provide * information",
    "don't provide * information",
    "no tengo * información",
    "no encuentro * información",
    "no encontré * información",
    "no dispongo de * información",
    "no lo sé",
    "je ne sais pas",
    "je n'ai pas * d'informations",
    "je n'ai pas trouvé",
    "ich weiß es nicht",
    "keine informationen",
];

/// Labels by which evaluators say that something failed.
pub(crate) const FAILED_LABELS: [&str; 7] = ["fail", "failed", "incorrect", "not_relevant", "irrelevant", "unfaithful", "not_grounded"];

/// Scores, 0 to 1, that common evaluators and Bedrock's contextual grounding report.
pub(crate) const EVALUATIONS: [(&str, f64); 6] =
    [("faithfulness", 0.5), ("grounding", 0.5), ("groundedness", 0.5), ("relevance", 0.5), ("correctness", 0.5), ("goal_success", 0.5)];
