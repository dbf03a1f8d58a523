//! Spans and log records of OpenTelemetry with the conventions for generative AI (semantic-conventions, "GenAI", also the
//! names of older versions), as they stand in CloudWatch Logs: `AgentCore` writes one span an event into `aws/spans`, and
//! what was said as log records into the agent's own log group (Bedrock `AgentCore` developer guide, "Understanding input
//! spans"). Agents that `LangChain`'s instrumentations report tell their operation by `traceloop.*` or `openinference.*`.
//!
//! Whether content is recorded at all is the agent's choice, so everything but the ids and a time may be absent.

use flywheel_model::{Evaluation, Passage, Turn};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::attributes::{Attributes, plain, structured};
use crate::shortened;

/// What is known of one span: all of it, or what one log record adds. Fragments of one span have its id. As JSON it can be
/// kept until its conversation is over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Span {
    /// The trace's id.
    pub trace: String,
    /// The span's id.
    pub id: String,
    /// The id of the span that it is part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The conversation or session that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it does. A log record does not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
    /// When the log record was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logged: Option<Timestamp>,
    /// The agent or workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What went in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub input: Vec<Turn>,
    /// What came out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<Turn>,
    /// The tool that was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<ToolUse>,
    /// What was retrieved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retrieved: Option<Retrieved>,
    /// Verdicts of evaluators.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evaluations: Vec<Evaluation>,
    /// Tokens read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// The error that it ended with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether that error is of a limit that ran out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub timed_out: bool,
    /// Whether anything but the ids tells of generative AI.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    generative: bool,
}

/// What a span does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An agent or a workflow runs.
    Run,
    /// A model is called.
    Model,
    /// A tool is called.
    Tool,
    /// A knowledge base is asked.
    Retrieval,
    /// Anything else.
    Other,
}

/// A call of a tool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ToolUse {
    /// The tool.
    pub name: Option<String>,
    /// Which call it is.
    pub call: Option<String>,
    /// What it was called with.
    pub arguments: Option<Value>,
    /// What it answered.
    pub result: Option<String>,
}

/// What a retrieval asked for and found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retrieved {
    /// The knowledge base.
    pub knowledge_base: Option<String>,
    /// The question.
    pub query: Option<String>,
    /// What was found, best first.
    pub documents: Option<Vec<Passage>>,
}

impl Span {
    /// The times that it names, the earliest first.
    pub(crate) fn times(&self) -> impl Iterator<Item = Timestamp> {
        self.start.into_iter().chain(self.end).chain(self.logged)
    }

    /// Whether signals can come of it: it tells of generative AI, or of a caller that gave up.
    pub(crate) fn matters(&self) -> bool {
        self.generative || self.conversation.is_some() || self.timed_out
    }
}

/// The most spans that are read from one batch.
const MOST_SPANS: usize = 10_000;

/// Whether a log event is a span or a log record of a trace.
pub(crate) fn is_fragment(value: &Value) -> bool {
    value.get("traceId").is_some_and(Value::is_string) && value.get("spanId").is_some_and(Value::is_string)
}

/// Reads a batch as OTLP exporters write it (opentelemetry-proto, `TracesData` and `LogsData`). A log record that belongs to
/// no trace is nothing.
pub(crate) fn read_batch(batch: &Value, logged_at: Option<Timestamp>) -> Vec<Result<Option<Span>, String>> {
    let list = |value: &Value, field: &str| value.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut found = Vec::new();
    for (resources, scopes, spans) in [("resourceSpans", "scopeSpans", "spans"), ("resourceLogs", "scopeLogs", "logRecords")] {
        for resource in list(batch, resources) {
            for scope in list(&resource, scopes) {
                for (n, span) in list(&scope, spans).iter().enumerate() {
                    if found.len() == MOST_SPANS {
                        found.push(Err(format!("{spans}[{n}] and what follows: a batch has more than {MOST_SPANS} spans")));
                        return found;
                    }
                    if spans == "logRecords" && span.get("traceId").is_none_or(|trace| trace == "") {
                        found.push(Ok(None));
                        continue;
                    }
                    found.push(read(span, logged_at).map(Some).map_err(|reason| format!("{spans}[{n}].{reason}")));
                }
            }
        }
    }
    found
}

/// Reads a span or a log record.
pub(crate) fn read(value: &Value, logged_at: Option<Timestamp>) -> Result<Span, String> {
    let id = |field: &str| match value.get(field) {
        Some(Value::String(id)) if !id.is_empty() && id.chars().count() <= 64 && !id.chars().any(char::is_control) => Ok(id.clone()),
        Some(other) => Err(format!("{field} is {}; expected hexadecimal digits", shortened(&other.to_string()))),
        None => Err(format!("{field} is missing; expected hexadecimal digits")),
    };
    let attributes = Attributes::of(value);
    let is_record = value.get("startTimeUnixNano").is_none();
    let mut span = Span {
        trace: id("traceId")?,
        id: id("spanId")?,
        parent: value.get("parentSpanId").and_then(Value::as_str).filter(|parent| !parent.is_empty()).map(str::to_owned),
        conversation: attributes.text(&["gen_ai.conversation.id", "session.id", "traceloop.association.properties.session_id"]),
        start: time(value, "startTimeUnixNano")?,
        end: time(value, "endTimeUnixNano")?,
        ..Span::default()
    };
    if is_record {
        span.logged = time(value, "timeUnixNano")?.or(time(value, "observedTimeUnixNano")?).or(logged_at);
        span.logged.ok_or("startTimeUnixNano and timeUnixNano are missing; expected a time")?;
        span.add(value.get("eventName").and_then(Value::as_str), &attributes, value.get("body"));
    } else {
        span.name = value.get("name").and_then(Value::as_str).map(str::to_owned);
        span.kind = Some(kind(&attributes));
    }
    span.describe(&attributes);
    for event in value.get("events").and_then(Value::as_array).into_iter().flatten() {
        span.add(event.get("name").and_then(Value::as_str), &Attributes::of(event), None);
    }
    let status = value.get("status");
    let code = status.and_then(|status| status.get("code"));
    if code.is_some_and(|code| code == "ERROR" || code == "STATUS_CODE_ERROR" || code == 2) {
        let message = status.and_then(|status| status.get("message")?.as_str()).filter(|message| !message.is_empty());
        span.fail(message.unwrap_or("error"));
    }
    Ok(span)
}

fn kind(attributes: &Attributes) -> Kind {
    let operation = attributes.text(&["gen_ai.operation.name", "traceloop.span.kind", "openinference.span.kind", "rpc.method"]);
    match operation.unwrap_or_default().as_str() {
        "invoke_agent" | "invoke_workflow" | "workflow" | "agent" | "AGENT" | "InvokeAgent" | "InvokeFlow" => Kind::Run,
        "chat" | "text_completion" | "generate_content" | "LLM" => Kind::Model,
        "execute_tool" | "tool" | "TOOL" => Kind::Tool,
        "retrieval" | "RETRIEVER" | "Retrieve" | "RetrieveAndGenerate" => Kind::Retrieval,
        _ => Kind::Other,
    }
}

impl Span {
    /// Takes what attributes say, of a span or of a log record.
    fn describe(&mut self, attributes: &Attributes) {
        self.generative |= attributes.any_starts_with(&["gen_ai.", "traceloop.", "openinference.", "aws.bedrock."]);
        self.agent = self.agent.take().or_else(|| {
            attributes.text(&[
                "gen_ai.workflow.name",
                "gen_ai.agent.name",
                "traceloop.workflow.name",
                "traceloop.entity.name",
                "gen_ai.agent.id",
            ])
        });
        self.model = self.model.take().or_else(|| attributes.text(&["gen_ai.response.model", "gen_ai.request.model", "llm.model_name"]));
        let tokens = ["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt"];
        self.input_tokens = self.input_tokens.or_else(|| attributes.count(&tokens));
        let tokens = ["gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion"];
        self.output_tokens = self.output_tokens.or_else(|| attributes.count(&tokens));
        for (name, role) in [("gen_ai.system_instructions", "system"), ("gen_ai.input.messages", "user")] {
            if let Some(messages) = attributes.structure(name) {
                self.input.extend(turns(&messages, role));
            }
        }
        if let Some(messages) = attributes.structure("gen_ai.output.messages") {
            self.output.extend(turns(&messages, "assistant"));
        }
        if self.kind == Some(Kind::Tool) {
            self.tool = Some(ToolUse {
                name: attributes.text(&["gen_ai.tool.name", "tool.name", "traceloop.entity.name"]),
                call: attributes.text(&["gen_ai.tool.call.id"]),
                arguments: ["gen_ai.tool.call.arguments", "traceloop.entity.input", "input.value"]
                    .into_iter()
                    .find_map(|name| attributes.structure(name)),
                result: attributes.text(&["gen_ai.tool.call.result", "traceloop.entity.output", "output.value"]).or_else(|| {
                    let result = attributes.get("gen_ai.tool.call.result")?;
                    Some(result.to_string())
                }),
            });
        }
        let retrieval = Retrieved {
            knowledge_base: attributes.text(&["gen_ai.data_source.id", "aws.bedrock.knowledge_base.id"]),
            query: attributes.text(&["gen_ai.retrieval.query.text", "gen_ai.retrieval.query"]),
            documents: attributes.structure("gen_ai.retrieval.documents").and_then(|documents| passages(&documents)),
        };
        if self.kind == Some(Kind::Retrieval) || retrieval.query.is_some() || retrieval.documents.is_some() {
            let query = || attributes.text(&["input.value", "traceloop.entity.input"]).filter(|_| self.kind == Some(Kind::Retrieval));
            self.retrieved = Some(Retrieved { query: retrieval.query.clone().or_else(query), ..retrieval });
        }
        self.evaluations.extend(evaluation(attributes));
        if let Some(status) =
            attributes.count(&["http.response.status_code", "http.status_code"]).filter(|status| *status >= 500 || *status == 408)
        {
            self.fail(if matches!(status, 408 | 504) { "timeout" } else { "server error" });
        }
        if let Some(error) = attributes.text(&["error.type"]) {
            self.fail(&error);
        }
    }

    /// Takes what a span's event or a log record tells by its name.
    fn add(&mut self, name: Option<&str>, attributes: &Attributes, body: Option<&Value>) {
        let body = body.map(|body| structured(&plain(body, 0)));
        let named = attributes.text(&["event.name"]);
        let name = name.or(named.as_deref()).unwrap_or_default();
        // Of the versions before 1.37: one event for each message, its content in the body or the attributes.
        let message = |role: &str| {
            let mut message = match &body {
                Some(Value::Object(fields)) => fields.clone(),
                Some(Value::String(text)) => Map::from_iter([("content".to_owned(), json!(text))]),
                _ => Map::new(),
            };
            for field in ["content", "message", "role", "id", "tool_calls"] {
                if let Some(value) = attributes.structure(field) {
                    message.entry(field).or_insert(value);
                }
            }
            turns(&Value::Object(message), role)
        };
        match name {
            "gen_ai.system.message" => self.input.extend(message("system")),
            "gen_ai.user.message" => self.input.extend(message("user")),
            "gen_ai.assistant.message" => self.input.extend(message("assistant")),
            "gen_ai.tool.message" => self.input.extend(message("tool")),
            "gen_ai.choice" => self.output.extend(message("assistant")),
            "exception" => {
                let what = attributes.text(&["exception.type"]);
                let why = attributes.text(&["exception.message"]);
                self.fail(&[what, why].into_iter().flatten().collect::<Vec<_>>().join(": "));
            }
            // AgentCore: all that went in and came out of a span.
            _ => {
                for (place, role) in [("/input/messages", "user"), ("/output/messages", "assistant")] {
                    let Some(messages) = body.as_ref().and_then(|body| body.pointer(place)) else { continue };
                    let told = turns(messages, role);
                    if role == "user" { self.input.extend(told) } else { self.output.extend(told) }
                }
            }
        }
        self.generative |= !(self.input.is_empty() && self.output.is_empty());
        // Of the current version: the same attributes that a span may have.
        if self.kind.is_some() && attributes.any_starts_with(&["gen_ai."]) {
            self.describe(attributes);
        }
    }

    /// The first error that is told in words counts; any that tells of a limit makes it a timeout.
    fn fail(&mut self, error: &str) {
        let lower = error.to_lowercase();
        let limits = ["timeout", "timed out", "timed_out", "deadline exceeded", "deadline_exceeded"];
        // The type of an HTTP error is its status.
        self.timed_out |= matches!(lower.as_str(), "408" | "504") || limits.iter().any(|limit| lower.contains(limit));
        if !error.is_empty() && self.error.as_ref().is_none_or(|known| known == "error") {
            self.error = Some(error.to_owned());
        }
    }
}

/// Nanoseconds since 1970, as a number or a text.
fn time(value: &Value, field: &str) -> Result<Option<Timestamp>, String> {
    let Some(given) = value.get(field).filter(|given| !given.is_null()) else { return Ok(None) };
    let nanoseconds = match given {
        Value::String(text) => text.parse::<i128>().ok(),
        // A number that went through JavaScript may have lost its last digits, not its meaning.
        Value::Number(number) => number.as_i64().map(i128::from).or_else(|| number.as_f64().map(|number| number as i128)),
        _ => None,
    };
    match nanoseconds {
        Some(0) => Ok(None),
        Some(nanoseconds) => Timestamp::from_nanosecond(nanoseconds)
            .map(Some)
            .map_err(|_| format!("{field} is {nanoseconds}; expected nanoseconds since 1970")),
        None => Err(format!("{field} is {}; expected nanoseconds since 1970", shortened(&given.to_string()))),
    }
}

/// The turns of a list of messages or of one, in any form that instrumentations write.
fn turns(messages: &Value, role: &str) -> Vec<Turn> {
    match messages {
        // `gen_ai.system_instructions` is a list of parts without a role.
        Value::Array(parts) if parts.iter().all(|part| part.get("role").is_none()) && !parts.is_empty() => {
            Turn::deserialize(json!({ "role": role, "content": parts })).into_iter().collect()
        }
        Value::Array(messages) => messages.iter().filter_map(|message| turn(message, role)).collect(),
        other => turn(other, role).into_iter().collect(),
    }
}

fn turn(message: &Value, role: &str) -> Option<Turn> {
    let mut fields = match message {
        Value::Object(fields) => fields.clone(),
        Value::String(_) => Map::from_iter([("content".to_owned(), message.clone())]),
        _ => return None,
    };
    // `gen_ai.choice` has the message inside.
    if let Some(inside) = fields.remove("message") {
        match structured(&inside) {
            Value::Object(inside) => fields.extend(inside),
            other => drop(fields.insert("content".to_owned(), other)),
        }
    }
    if !fields.get("role").is_some_and(Value::is_string) {
        fields.insert("role".to_owned(), role.into());
    }
    if let Some(content) = fields.remove("content") {
        fields.insert("content".to_owned(), content_of(&content, 0));
    }
    // Who says a thing in a role of the framework's own says it for the side that it stands on.
    let known = Turn::deserialize(Value::Object(fields.clone())).ok();
    known.or_else(|| {
        fields.insert("role".to_owned(), role.into());
        Turn::deserialize(Value::Object(fields)).ok()
    })
}

/// Content without what frameworks put around it: JSON in a text, `{"content": …}`, `{"message": …, "finish_reason": …}`.
fn content_of(content: &Value, depth: usize) -> Value {
    let content = structured(content);
    match &content {
        Value::Object(fields) if depth < 4 => match fields.get("content").or_else(|| fields.get("message")) {
            Some(inside) if !fields.contains_key("type") => content_of(inside, depth + 1),
            _ => content,
        },
        // A list of other things than blocks is an answer that happens to be JSON.
        Value::Array(parts) if !parts.iter().all(Value::is_object) => Value::String(content.to_string()),
        _ => content,
    }
}

/// Documents of a retrieval. The convention names `id` and `score`; instrumentations add the text under several names.
fn passages(documents: &Value) -> Option<Vec<Passage>> {
    let documents = documents.as_array()?;
    let text = |document: &Value, names: &[&str]| {
        names
            .iter()
            .find_map(|name| document.get(*name).filter(|value| value.is_string() || value.is_object()))
            .and_then(|value| value.as_str().or_else(|| value.get("text")?.as_str()).map(str::to_owned))
    };
    let passage = |document: &Value| Passage {
        text: text(document, &["content", "text", "page_content"]),
        score: document.get("score").and_then(Value::as_f64),
        location: text(document, &["location", "uri", "source", "id"]),
    };
    Some(documents.iter().map(passage).collect())
}

fn evaluation(attributes: &Attributes) -> Option<Evaluation> {
    Some(Evaluation {
        name: attributes.text(&["gen_ai.evaluation.name"])?,
        score: attributes.number(&["gen_ai.evaluation.score.value"]),
        label: attributes.text(&["gen_ai.evaluation.score.label"]),
        explanation: attributes.text(&["gen_ai.evaluation.explanation"]),
    })
}

#[cfg(test)]
mod tests {
    use flywheel_model::Role;
    use proptest::prelude::*;

    use super::*;

    fn span(attributes: &Value) -> Span {
        read(
            &json!({
                "traceId": "t1", "spanId": "s1", "parentSpanId": "p1", "name": "a span", "kind": "INTERNAL",
                "startTimeUnixNano": 1_763_892_000_000_000_000_i64, "endTimeUnixNano": "1763892009309012269",
                "attributes": attributes, "status": { "code": "OK" },
            }),
            None,
        )
        .expect("a span")
    }

    fn record(body: &Value, attributes: &Value) -> Span {
        let record = json!({ "traceId": "t1", "spanId": "s1", "timeUnixNano": 1_763_892_000_000_000_000_i64, "body": body, "attributes": attributes });
        read(&record, None).expect("a record")
    }

    fn texts(turns: &[Turn]) -> Vec<(Role, &str)> {
        turns.iter().map(|turn| (turn.role, turn.text.as_deref().unwrap_or_default())).collect()
    }

    #[test]
    fn an_agents_span_as_map_and_as_list() {
        let map = json!({
            "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "shopkeeper", "session.id": "c-1",
            "gen_ai.usage.input_tokens": 20, "gen_ai.request.model": "example.model-v1:0",
        });
        let list = json!([
            { "key": "gen_ai.operation.name", "value": { "stringValue": "invoke_agent" } },
            { "key": "gen_ai.agent.name", "value": { "stringValue": "shopkeeper" } },
            { "key": "session.id", "value": { "stringValue": "c-1" } },
            { "key": "gen_ai.usage.input_tokens", "value": { "intValue": "20" } },
            { "key": "gen_ai.request.model", "value": { "stringValue": "example.model-v1:0" } },
        ]);
        let span = span(&map);
        assert_eq!(span, super::tests::span(&list));
        assert_eq!((span.kind, span.agent.as_deref(), span.input_tokens), (Some(Kind::Run), Some("shopkeeper"), Some(20)));
        assert_eq!(span.end.map(|end| end.to_string()).as_deref(), Some("2025-11-23T10:00:09.309012269Z"));
        let workflow = super::tests::span(&json!({ "traceloop.span.kind": "workflow", "traceloop.workflow.name": "graph" }));
        assert_eq!((workflow.kind, workflow.agent.as_deref()), (Some(Kind::Run), Some("graph")));
    }

    #[test]
    fn messages_as_attributes_structured_or_as_text() {
        let messages = json!([
            { "role": "user", "parts": [{ "type": "text", "content": "Weather in Paris?" }] },
            { "role": "assistant", "parts": [{ "type": "tool_call", "id": "c1", "name": "weather", "arguments": { "place": "Paris" } }] },
        ]);
        let instructions = json!([{ "type": "text", "content": "Be brief." }]);
        let structured = span(&json!({ "gen_ai.input.messages": messages, "gen_ai.system_instructions": instructions }));
        let as_text =
            span(&json!({ "gen_ai.input.messages": messages.to_string(), "gen_ai.system_instructions": instructions.to_string() }));
        assert_eq!(structured, as_text);
        assert_eq!(texts(&structured.input), [(Role::System, "Be brief."), (Role::User, "Weather in Paris?"), (Role::Assistant, "")]);
        assert_eq!(structured.input[2].tool_calls[0].name, "weather");
    }

    #[test]
    fn log_records_of_agentcore_and_of_old() {
        let told = record(
            &json!({
                "input": { "messages": [{ "role": "user", "content": { "content": "[{\"text\": \"Open today?\"}]" } }] },
                "output": { "messages": [{ "role": "assistant", "content": { "message": "Until six.", "finish_reason": "end_turn" } }] },
            }),
            &json!({ "event.name": "strands.telemetry.tracer", "session.id": "c-1" }),
        );
        assert_eq!((texts(&told.input), texts(&told.output)), (vec![(Role::User, "Open today?")], vec![(Role::Assistant, "Until six.")]));
        assert!(told.matters() && told.kind.is_none());

        let asked = record(&json!({ "content": [{ "text": "Open today?" }] }), &json!({ "event.name": "gen_ai.user.message" }));
        assert_eq!(texts(&asked.input), [(Role::User, "Open today?")]);
        let chosen = record(
            &json!({ "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": "Until six." } }),
            &json!({ "event.name": "gen_ai.choice" }),
        );
        assert_eq!(texts(&chosen.output), [(Role::Assistant, "Until six.")]);
        let judged = record(
            &Value::Null,
            &json!({ "event.name": "gen_ai.evaluation.result", "gen_ai.evaluation.name": "relevance", "gen_ai.evaluation.score.value": 0.4 }),
        );
        assert_eq!(judged.evaluations[0].score, Some(0.4));
    }

    #[test]
    fn retrievals_tools_and_errors() {
        let found = span(&json!({
            "gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": "KB12345678", "gen_ai.retrieval.query.text": "opening hours",
            "gen_ai.retrieval.documents": [{ "id": "s3://example-docs/hours.md", "score": 0.61, "content": "9 to 6" }],
        }));
        let retrieved = found.retrieved.expect("retrieved");
        assert_eq!(retrieved.documents.expect("documents")[0].location.as_deref(), Some("s3://example-docs/hours.md"));
        let used = span(&json!({
            "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "weather", "gen_ai.tool.call.id": "c1",
            "gen_ai.tool.call.arguments": "{\"place\":\"Paris\"}", "error.type": "ReadTimeoutError",
        }));
        assert_eq!(used.tool.expect("a tool").arguments, Some(json!({ "place": "Paris" })));
        assert!(used.timed_out && used.error.as_deref() == Some("ReadTimeoutError"));
        assert!(!span(&json!({ "http.method": "GET" })).matters());
        assert!(span(&json!({ "http.response.status_code": 504 })).matters());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (value, told) in [
            (json!({ "traceId": "t", "spanId": "" }), "spanId is \"\""),
            (json!({ "traceId": "t", "spanId": "s", "startTimeUnixNano": "soon" }), "startTimeUnixNano is \"soon\""),
            (json!({ "traceId": "t", "spanId": "s" }), "timeUnixNano are missing"),
        ] {
            assert!(read(&value, None).is_err_and(|reason| reason.contains(told)), "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_strange_field_makes_it_panic(text in ".{0,40}", number in any::<f64>(), name in "gen_ai\\.(choice|user\\.message|evaluation\\.name|input\\.messages)") {
            let attributes = json!({ name.clone(): text, "event.name": name, "gen_ai.retrieval.documents": [text, { "score": text }] });
            let value = json!({ "traceId": "t", "spanId": "s", "timeUnixNano": number, "body": { "message": text, "input": { "messages": [text] } }, "attributes": attributes });
            let _ = read(&value, None);
        }
    }
}
