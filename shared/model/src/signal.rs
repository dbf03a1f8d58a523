//! Signals that applications send: one observed fact each.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Expected, Id};

/// One observed fact about the application in production.
///
/// As JSON it is `{"id": …, "at": …, "retrieval": {…}}`: the fact stands under the name of its kind, exactly one in each
/// signal. A misspelt field is refused rather than passed over, since a failure that goes unread counts as a success.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Signal {
    /// The sender's name for this fact: the same fact sent again has the same one, and counts once. 1 to 200 characters.
    pub id: Key,
    /// When it happened, by the sender's clock. It counts in the hour of this time, whenever it arrives.
    pub at: Timestamp,
    /// What happened.
    pub fact: Fact,
}

impl Signal {
    /// Its identity in the ledger and in the counts: kind and sender's id.
    #[must_use]
    pub fn identity(&self) -> Id {
        Id::of("signal", &[self.fact.kind(), self.id.as_str()])
    }
}

/// What a signal tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A knowledge base was asked.
    Retrieval(Retrieval),
    /// A conversation ended.
    Conversation(Conversation),
    /// A workflow (an agent's task, a state machine, a chain of calls) ran.
    WorkflowRun(WorkflowRun),
    /// A release was deployed, or failed to be.
    Release(Release),
    /// A CloudWatch alarm changed its state.
    Alarm(Alarm),
}

impl Fact {
    /// The names of all kinds, as they stand in JSON.
    pub const KINDS: [&'static str; 5] = ["retrieval", "conversation", "workflow_run", "release", "alarm"];

    /// Its name in JSON.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Retrieval(_) => "retrieval",
            Self::Conversation(_) => "conversation",
            Self::WorkflowRun(_) => "workflow_run",
            Self::Release(_) => "release",
            Self::Alarm(_) => "alarm",
        }
    }
}

/// The name of a topic, an intent, a workflow, a signal …: 1 to 200 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Key(#[cfg_attr(feature = "schema", schemars(length(min = 1, max = 200)))] String);

impl Key {
    /// The most characters of a key.
    pub const LONGEST: usize = 200;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Key {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        match text.chars().count() {
            0 => Err(KeyError::Empty),
            length if length > Self::LONGEST => Err(KeyError::Long(length)),
            _ if text.chars().any(char::is_control) => Err(KeyError::Control),
            _ => Ok(Self(text)),
        }
    }
}

impl TryFrom<&str> for Key {
    type Error = KeyError;

    fn try_from(text: &str) -> Result<Self, KeyError> {
        Self::try_from(text.to_owned())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a [`Key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyError {
    /// It has no characters.
    Empty,
    /// It has this many characters.
    Long(usize),
    /// It has a control character in it.
    Control,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the name is empty; leave the field out or name it"),
            Self::Long(length) => write!(f, "the name has {length} characters; use at most {}", Key::LONGEST),
            Self::Control => f.write_str("the name has a control character in it; use printable text"),
        }
    }
}

impl std::error::Error for KeyError {}

/// A knowledge base was asked, and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Retrieval {
    /// The knowledge base, by the id that Bedrock gave it or the application's own name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub knowledge_base: Option<Key>,
    /// What the question was about; without it the policy's rules decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<Key>,
    /// The conversation that it was asked in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<Key>,
    /// The trace that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Key>,
    /// The user that asked, by the application's own id. Kept only as a placeholder `[user:…]` made with the deployment's
    /// salt, so that a user's data can be found and erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Key>,
    /// What was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// What was found, best first. Not given where it is not known; empty where nothing was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passages: Option<Vec<Passage>>,
    /// What the user was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// How it was searched ("HYBRID", "SEMANTIC"). Scores compare only within one search type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search_type: Option<Key>,
    /// The application's own verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<bool>,
    /// The error that the retrieval or the answer ended with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the user thought of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feedback: Option<Feedback>,
    /// Scores by evaluators and guardrails.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evaluations: Vec<Evaluation>,
}

/// One passage that a retrieval found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Passage {
    /// Its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The retriever's score. Its scale is the vector store's own; it may lie above 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Where it comes from, as a URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// A conversation between a user and the assistant or agent, sent when it ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = schema::turns_or_messages))]
pub struct Conversation {
    /// Its name in the application; the signal's id if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<Key>,
    /// What the user wanted; without it the policy's rules decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<Key>,
    /// What it was about. Given, the conversation also counts as one response of that topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<Key>,
    /// The trace that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Key>,
    /// The user that took part, by the application's own id. Kept only as a placeholder `[user:…]` made with the deployment's
    /// salt, so that a user's data can be found and erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Key>,
    /// The arm of each experiment that it took part in: experiment → variant.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub variants: BTreeMap<String, String>,
    /// What was said and done, in order. As `messages` it may be what the application sent to its model and got back:
    /// chat messages of OpenAI's form, of Bedrock Converse or of OpenTelemetry.
    #[serde(alias = "messages", skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<Turn>,
    /// Whether the user got what they wanted, as far as the application knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved: Option<bool>,
    /// Whether it was handed over to a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalated: Option<bool>,
    /// The application's own checks of the result.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// What should have happened, where that is known: of a conversation of an evaluation set, or by whoever looked into it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
    /// The error that it ended with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the user thought of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feedback: Option<Feedback>,
    /// Scores by evaluators and guardrails.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evaluations: Vec<Evaluation>,
    /// The model that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Key>,
    /// Tokens read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// From the first word to the last, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// One turn of a conversation. It is read from any form that messages have, see `transcript.rs`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Turn {
    /// Whose turn it is.
    pub role: Role,
    /// What was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The tools that the assistant called in this turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// What tools answered in this turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_results: Vec<ToolResult>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>", extend("format" = "date-time")))]
    pub at: Option<Timestamp>,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Role {
    /// The instructions.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// A tool that answers.
    Tool,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolCall {
    /// Which call it is, so that a result can name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The tool.
    pub name: String,
    /// What it was called with.
    #[serde(default)]
    pub arguments: serde_json::Value,
}

/// What a tool answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolResult {
    /// The call that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// The tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Whether the tool failed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub error: bool,
}

/// One of the application's own checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// Whether it held.
    pub passed: bool,
    /// What was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What a user thought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Feedback {
    /// Thumb up or down.
    pub rating: Rating,
    /// In words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// What the answer should have been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correction: Option<String>,
}

/// Thumb up or down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Rating {
    /// Thumb up.
    Positive,
    /// Thumb down.
    Negative,
}

/// One evaluator's score, as in OpenTelemetry's `gen_ai.evaluation.*` attributes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Evaluation {
    /// What was evaluated: "faithfulness", "relevance", …
    pub name: String,
    /// The score; the policy says below which one it is a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// The verdict in a word: "pass", "fail", "relevant", …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
}

/// One run of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkflowRun {
    /// The workflow.
    pub workflow: Key,
    /// How it ended.
    pub status: RunStatus,
    /// From its start to its true end, in seconds, also where its caller gave up before. Not given where the end is not
    /// known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The limit that it ran under, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_seconds: Option<f64>,
    /// Calls of tools: a measure of its complexity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<u32>,
    /// The trace that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Key>,
    /// The error that it ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum RunStatus {
    /// It completed in time.
    Succeeded,
    /// It failed by itself.
    Failed,
    /// Its caller gave up, or it was cut off at its limit.
    TimedOut,
}

/// One release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Release {
    /// What was released.
    pub service: Key,
    /// Whether it was deployed.
    pub succeeded: bool,
    /// Where to: "production", …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Key>,
    /// Kinds of root causes of a failure: `missing_permission`, `missing_prerequisite`, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Key>,
    /// What the deployment tool said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A change of a CloudWatch alarm's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Alarm {
    /// The alarm's name.
    pub name: Key,
    /// Its state now.
    pub state: AlarmState,
    /// Its state before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<AlarmState>,
    /// CloudWatch's reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The states of a CloudWatch alarm, written as CloudWatch does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum AlarmState {
    /// Within the threshold.
    Ok,
    /// Beyond the threshold.
    Alarm,
    /// It cannot be told.
    InsufficientData,
}

/// A signal as it is written. Fields instead of a tagged union: one pass without buffering, and errors that name the
/// whole path (`retrieval.passages[2].score`).
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Signal", transform = schema::exactly_one))]
pub(crate) struct Wire {
    /// The sender's name for this fact: the same fact sent again has the same one, and counts once.
    id: Key,
    /// When it happened, RFC 3339.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "date-time")))]
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retrieval: Option<Retrieval>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conversation: Option<Conversation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workflow_run: Option<WorkflowRun>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    release: Option<Release>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alarm: Option<Alarm>,
}

impl TryFrom<Wire> for Signal {
    type Error = String;

    fn try_from(wire: Wire) -> Result<Self, String> {
        let facts = [
            wire.retrieval.map(Fact::Retrieval),
            wire.conversation.map(Fact::Conversation),
            wire.workflow_run.map(Fact::WorkflowRun),
            wire.release.map(Fact::Release),
            wire.alarm.map(Fact::Alarm),
        ];
        let mut facts = facts.into_iter().flatten();
        match (facts.next(), facts.next()) {
            (Some(fact), None) => Ok(Self { id: wire.id, at: wire.at, fact }),
            (None, _) => Err(format!("the signal tells no fact; add one of {}", Fact::KINDS.join(", "))),
            (Some(one), Some(other)) => Err(format!(
                "the signal tells two facts, {} and {}; send them as two signals with ids of their own",
                one.kind(),
                other.kind()
            )),
        }
    }
}

impl From<Signal> for Wire {
    fn from(signal: Signal) -> Self {
        let mut wire =
            Self { id: signal.id, at: signal.at, retrieval: None, conversation: None, workflow_run: None, release: None, alarm: None };
        match signal.fact {
            Fact::Retrieval(fact) => wire.retrieval = Some(fact),
            Fact::Conversation(fact) => wire.conversation = Some(fact),
            Fact::WorkflowRun(fact) => wire.workflow_run = Some(fact),
            Fact::Release(fact) => wire.release = Some(fact),
            Fact::Alarm(fact) => wire.alarm = Some(fact),
        }
        wire
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Signal {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Signal".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        <Wire as schemars::JsonSchema>::json_schema(generator)
    }
}

#[cfg(feature = "schema")]
mod schema {
    /// A signal tells exactly one fact: `oneOf` says so to validators.
    pub(super) fn exactly_one(schema: &mut schemars::Schema) {
        let one_of: Vec<_> = super::Fact::KINDS.iter().map(|kind| serde_json::json!({ "required": [kind] })).collect();
        schema.insert("oneOf".to_owned(), serde_json::Value::Array(one_of));
    }

    /// `messages` stands for `turns`, in the form that the application has them.
    pub(super) fn turns_or_messages(schema: &mut schemars::Schema) {
        let messages = serde_json::json!({
            "description": "Instead of `turns`: chat messages of OpenAI's form, of Bedrock Converse or of OpenTelemetry.",
            "type": "array",
            "items": { "type": "object", "required": ["role"], "properties": { "role": { "type": "string" } } },
        });
        if let Some(properties) = schema.get_mut("properties").and_then(serde_json::Value::as_object_mut) {
            properties.insert("messages".to_owned(), messages);
        }
        schema.insert("not".to_owned(), serde_json::json!({ "required": ["turns", "messages"] }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Signal, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_signal_tells_one_fact_and_comes_back_as_it_was() {
        let json = r#"{"id":"r-1","at":"2026-11-23T10:00:00Z","retrieval":{"knowledge_base":"KB12345678","query":"when?","passages":[{"score":1.25}]}}"#;
        let signal = read(json).expect("a signal");
        assert_eq!(signal.fact.kind(), "retrieval");
        assert_eq!(serde_json::to_string(&signal).expect("JSON"), json);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, told) in [
            (r#"{"id":"r","at":"2026-11-23T10:00:00Z"}"#, "tells no fact"),
            (r#"{"id":"r","at":"2026-11-23T10:00:00Z","retrieval":{},"conversation":{}}"#, "two facts, retrieval and conversation"),
            (r#"{"id":"","at":"2026-11-23T10:00:00Z","retrieval":{}}"#, "the name is empty"),
            (r#"{"id":"r","at":"2026-11-23T10:00:00Z","retrieval":{"feedbak":{}}}"#, "unknown field `feedbak`"),
        ] {
            let error = read(json).expect_err("refused");
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn facts_of_two_kinds_with_one_id_are_two() {
        let one = read(r#"{"id":"x","at":"2026-11-23T10:00:00Z","retrieval":{}}"#).expect("a signal");
        let other = read(r#"{"id":"x","at":"2026-11-23T10:00:00Z","conversation":{}}"#).expect("a signal");
        assert_ne!(one.identity(), other.identity());
    }
}
