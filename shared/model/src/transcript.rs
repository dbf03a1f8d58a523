//! Turns as they are written, in any of the forms that applications have them in.
//!
//! One message becomes one turn, and its form is told by its shape, message by message:
//!
//! - our own `{role, text, tool_calls, tool_results, at}`, where a misspelt field is refused;
//! - chat messages as OpenAI writes them: `content` as text or parts, `tool_calls` with a `function` each (or the
//!   `function_call` of old), a role `tool` with its `tool_call_id` (API reference, "Chat Completions");
//! - Bedrock Converse messages: `content` blocks `text`, `toolUse`, `toolResult` … (API reference, "`ContentBlock`"), and
//!   those of Anthropic's Messages API: blocks with a `type` of `text`, `tool_use`, `tool_result` …;
//! - OpenTelemetry's `parts` (semantic conventions, `gen_ai.input.messages`).
//!
//! Messages carry fields of their provider's own; these are passed over. Of images, documents and other content that is no
//! text only the kind is kept, as in `[image]`. What a model thought to itself is left out.

use std::fmt;

use jiff::Timestamp;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::{Role, ToolCall, ToolResult, Turn};

impl<'de> Deserialize<'de> for Turn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields).and_then(|message| message.into_turn().map_err(de::Error::custom))
    }
}

/// A message with the fields of all forms.
#[derive(Default)]
struct Message {
    role: Option<String>,
    text: Option<String>,
    calls: Vec<Call>,
    results: Vec<ToolResult>,
    at: Option<Timestamp>,
    content: Option<Content>,
    function_call: Option<Function>,
    /// The call that a message of a tool answers.
    call: Option<String>,
    id: Option<String>,
    name: Option<String>,
    refusal: Option<String>,
    error: bool,
    /// Whether it has a field that only messages have.
    foreign: bool,
    /// The first field that a turn does not have.
    unknown: Option<String>,
}

enum Content {
    Text(String),
    Parts(Vec<Value>),
}

/// A call of a tool, named directly or inside of `function`.
#[derive(Default)]
struct Call {
    id: Option<String>,
    name: Option<String>,
    arguments: Value,
    function: Option<Function>,
    unknown: Option<String>,
}

#[derive(serde::Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    arguments: Value,
}

const FIELDS: &str = "role, text, tool_calls, tool_results, at";

impl Message {
    fn into_turn(self) -> Result<Turn, String> {
        let role = self.role.as_deref().ok_or("missing field `role`")?;
        if !self.foreign && self.calls.iter().all(|call| call.function.is_none()) {
            // Ours: strict.
            if let Some(unknown) = self.unknown {
                return Err(format!("unknown field `{unknown}`, expected one of {FIELDS}"));
            }
            let calls = self.calls.into_iter().map(|call| call.strict());
            return Ok(Turn {
                role: our_role(role)?,
                text: self.text,
                tool_calls: calls.collect::<Result<_, _>>()?,
                tool_results: self.results,
                at: self.at,
            });
        }
        let mut turn = Turn { role: any_role(role)?, text: self.text, tool_calls: Vec::new(), tool_results: self.results, at: self.at };
        let mut said = Said::default();
        match self.content {
            Some(Content::Text(text)) => said.text(text),
            Some(Content::Parts(parts)) => parts.into_iter().for_each(|part| said.part(part)),
            None => {}
        }
        if let Some(refusal) = self.refusal {
            said.text(refusal);
        }
        turn.tool_calls = said.calls;
        turn.tool_calls.extend(self.calls.into_iter().map(Call::lenient));
        turn.tool_calls.extend(self.function_call.map(|function| function.called(None)));
        turn.tool_results.append(&mut said.results);
        if turn.role == Role::Tool && turn.tool_results.is_empty() {
            let call = self.call.or(self.id);
            turn.tool_results.push(ToolResult { call, name: self.name, text: said.text, error: self.error });
        } else if said.text.is_some() {
            turn.text = said.text;
        }
        Ok(turn)
    }
}

impl Call {
    fn strict(self) -> Result<ToolCall, String> {
        if let Some(unknown) = self.unknown {
            return Err(format!("tool_calls: unknown field `{unknown}`, expected one of id, name, arguments"));
        }
        let name = self.name.ok_or("tool_calls: missing field `name`")?;
        Ok(ToolCall { id: self.id, name, arguments: self.arguments })
    }

    fn lenient(self) -> ToolCall {
        match self.function {
            Some(function) => function.called(self.id),
            None => ToolCall { id: self.id, name: self.name.unwrap_or_default(), arguments: unquoted(self.arguments) },
        }
    }
}

impl Function {
    fn called(self, id: Option<String>) -> ToolCall {
        ToolCall { id, name: self.name, arguments: unquoted(self.arguments) }
    }
}

/// What the parts of one message come to.
#[derive(Default)]
struct Said {
    text: Option<String>,
    calls: Vec<ToolCall>,
    results: Vec<ToolResult>,
}

impl Said {
    fn text(&mut self, more: String) {
        match &mut self.text {
            Some(text) => {
                text.push('\n');
                text.push_str(&more);
            }
            None => self.text = Some(more),
        }
    }

    fn part(&mut self, part: Value) {
        let mut fields = match part {
            Value::Object(fields) => fields,
            Value::String(text) => return self.text(text),
            Value::Null => return,
            other => return self.text(other.to_string()),
        };
        let kind = match fields.remove("type") {
            Some(Value::String(kind)) => kind,
            _ => return self.block(fields),
        };
        match kind.as_str() {
            "text" | "input_text" | "output_text" | "refusal" => {
                let text = ["text", "content", "refusal"].into_iter().find_map(|name| string(&mut fields, name));
                text.into_iter().for_each(|text| self.text(text));
            }
            "tool_use" | "tool_call" | "server_tool_use" | "server_tool_call" => {
                let id = string(&mut fields, "id");
                let name = string(&mut fields, "name").unwrap_or_default();
                let arguments = ["input", "arguments", "server_tool_call"].into_iter().find_map(|name| fields.remove(name));
                self.calls.push(ToolCall { id, name, arguments: unquoted(arguments.unwrap_or_default()) });
            }
            "tool_result" | "tool_call_response" | "server_tool_call_response" => {
                let call = ["tool_use_id", "id"].into_iter().find_map(|name| string(&mut fields, name));
                let text = ["content", "response", "result", "server_tool_call_response"].into_iter().find_map(|name| fields.remove(name));
                let error = fields.get("is_error") == Some(&Value::Bool(true));
                let name = string(&mut fields, "name");
                self.results.push(ToolResult { call, name, text: text.and_then(plain), error });
            }
            "thinking" | "redacted_thinking" | "reasoning" => {}
            // An image, a file, a blob, something that a provider added since.
            kind => self.text(format!("[{}]", kind.trim_end_matches("_url"))),
        }
    }

    /// A block whose kind is the name of its field.
    fn block(&mut self, mut fields: Map<String, Value>) {
        if let Some(text) = string(&mut fields, "text") {
            return self.text(text);
        }
        let Some((kind, inside)) = fields.into_iter().find(|(_, inside)| !inside.is_null()) else { return };
        match (kind.as_str(), inside) {
            ("toolUse", Value::Object(mut call)) => {
                let name = string(&mut call, "name").unwrap_or_default();
                let arguments = unquoted(call.remove("input").unwrap_or_default());
                self.calls.push(ToolCall { id: string(&mut call, "toolUseId"), name, arguments });
            }
            ("toolResult", Value::Object(mut result)) => {
                let error = result.get("status").and_then(Value::as_str) == Some("error");
                let text = result.remove("content").and_then(plain);
                self.results.push(ToolResult { call: string(&mut result, "toolUseId"), name: None, text, error });
            }
            ("guardContent", inside) => {
                if let Some(text) = inside.pointer("/text/text").and_then(Value::as_str) {
                    self.text(text.to_owned());
                }
            }
            ("message" | "content", inside) => plain(inside).into_iter().for_each(|text| self.text(text)),
            ("reasoningContent" | "cachePoint", _) => {}
            (kind, _) => self.text(format!("[{kind}]")),
        }
    }
}

/// The text of what a tool answered: text, JSON, or blocks of both.
fn plain(answer: Value) -> Option<String> {
    match answer {
        Value::Null => None,
        Value::String(text) => Some(text),
        Value::Array(blocks) if blocks.iter().all(Value::is_object) => {
            let mut said = Said::default();
            for mut block in blocks {
                match block.get_mut("json").map(Value::take) {
                    Some(json) => said.text(json.to_string()),
                    None => said.part(block),
                }
            }
            said.text
        }
        other => Some(other.to_string()),
    }
}

/// Arguments that are JSON inside of a text.
fn unquoted(arguments: Value) -> Value {
    match arguments {
        Value::String(text) if text.trim().is_empty() => Value::Null,
        Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        other => other,
    }
}

fn string(fields: &mut Map<String, Value>, name: &str) -> Option<String> {
    match fields.get_mut(name) {
        Some(Value::String(text)) => Some(std::mem::take(text)),
        _ => None,
    }
}

fn our_role(role: &str) -> Result<Role, String> {
    match role {
        "system" => Ok(Role::System),
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        "tool" => Ok(Role::Tool),
        other => {
            let quoted: String = other.chars().take(60).collect();
            Err(format!("role is {quoted:?}; expected system, user, assistant or tool"))
        }
    }
}

fn any_role(role: &str) -> Result<Role, String> {
    match role.to_ascii_lowercase().as_str() {
        "developer" => Ok(Role::System),
        "human" => Ok(Role::User),
        "ai" | "model" | "chatbot" => Ok(Role::Assistant),
        "function" => Ok(Role::Tool),
        other => our_role(other),
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Message;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a turn or a message with a role")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Message, A::Error> {
        let mut message = Message::default();
        while let Some(name) = map.next_key::<Name>()? {
            match name.0.as_str() {
                "role" => message.role = map.next_value()?,
                "text" => message.text = map.next_value()?,
                "tool_calls" => message.calls = map.next_value::<Option<_>>()?.unwrap_or_default(),
                "tool_results" => message.results = map.next_value()?,
                "at" => message.at = map.next_value()?,
                "content" | "parts" => {
                    message.foreign = true;
                    if let Some(content) = map.next_value::<Option<_>>()? {
                        message.content = Some(content);
                    }
                }
                "function_call" => {
                    message.foreign = true;
                    message.function_call = map.next_value()?;
                }
                "tool_call_id" => {
                    message.foreign = true;
                    message.call = map.next_value()?;
                }
                field => {
                    let field = field.to_owned();
                    match field.as_str() {
                        // What a message's field of a common name holds is not ours to judge.
                        "id" => message.id = text(map.next_value()?),
                        "name" => message.name = text(map.next_value()?),
                        "refusal" => message.refusal = text(map.next_value()?),
                        "error" => message.error = map.next_value::<Value>()? == Value::Bool(true),
                        "timestamp" => {
                            let at = text(map.next_value()?).and_then(|at| at.parse().ok());
                            message.at = message.at.or(at);
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                    message.unknown.get_or_insert(field);
                }
            }
        }
        Ok(message)
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// The name of a field.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Name(String);

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a list of parts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Content, E> {
                Ok(Content::Text(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Content, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = seq.next_element()? {
                    parts.push(part);
                }
                Ok(Content::Parts(parts))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Content, A::Error> {
                Ok(Content::Parts(vec![Value::deserialize(de::value::MapAccessDeserializer::new(map))?]))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for Call {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CallFields;
        impl<'de> Visitor<'de> for CallFields {
            type Value = Call;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a call of a tool")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Call, A::Error> {
                let mut call = Call::default();
                while let Some(Name(name)) = map.next_key()? {
                    match name.as_str() {
                        "id" => call.id = map.next_value()?,
                        "name" => call.name = map.next_value()?,
                        "arguments" => call.arguments = map.next_value()?,
                        "function" => call.function = map.next_value()?,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            call.unknown.get_or_insert(name);
                        }
                    }
                }
                Ok(call)
            }
        }
        deserializer.deserialize_map(CallFields)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn turn(message: &Value) -> Turn {
        serde_json::from_str(&message.to_string()).expect("a turn")
    }

    fn refused(message: &Value) -> String {
        serde_json::from_str::<Turn>(&message.to_string()).expect_err("refused").to_string()
    }

    #[test]
    fn our_own_turns_come_back_as_they_were_and_misspelt_fields_are_refused() {
        let json = json!({
            "role": "assistant", "text": "One moment.", "at": "2026-11-23T10:00:00Z",
            "tool_calls": [{ "id": "c1", "name": "find_order", "arguments": { "order": 7 } }],
            "tool_results": [{ "call": "c1", "text": "none", "error": true }],
        });
        assert_eq!(serde_json::to_value(turn(&json)).expect("JSON"), json);
        assert!(refused(&json!({ "role": "user", "txet": "hello" })).contains("unknown field `txet`"));
        assert!(refused(&json!({ "role": "user", "tool_calls": [{ "name": "f", "argument": {} }] })).contains("unknown field `argument`"));
        assert!(refused(&json!({ "text": "hello" })).contains("missing field `role`"));
        assert!(refused(&json!({ "role": "narrator", "content": "hello" })).contains("role is \"narrator\""));
    }

    #[test]
    fn chat_messages_with_calls_and_answers() {
        let called = turn(&json!({
            "role": "assistant", "content": null,
            "tool_calls": [{ "id": "c1", "type": "function", "function": { "name": "find_order", "arguments": "{\"order\": 7}" } }],
        }));
        assert_eq!(called.text, None);
        assert_eq!(called.tool_calls, [ToolCall { id: Some("c1".into()), name: "find_order".into(), arguments: json!({ "order": 7 }) }]);

        let answered = turn(&json!({ "role": "tool", "tool_call_id": "c1", "name": "find_order", "content": "shipped" }));
        assert_eq!((answered.role, &answered.text), (Role::Tool, &None));
        let result = ToolResult { call: Some("c1".into()), name: Some("find_order".into()), text: Some("shipped".into()), error: false };
        assert_eq!(answered.tool_results, [result]);

        let of_old = turn(&json!({ "role": "assistant", "content": null, "function_call": { "name": "f", "arguments": "not JSON" } }));
        assert_eq!(of_old.tool_calls[0].arguments, json!("not JSON"));
        assert_eq!(turn(&json!({ "role": "developer", "content": "Be brief." })).role, Role::System);
        let seen = turn(&json!({ "role": "user", "content": [
            { "type": "text", "text": "What is this?" }, { "type": "image_url", "image_url": { "url": "data:…" } },
        ] }));
        assert_eq!(seen.text.as_deref(), Some("What is this?\n[image]"));
    }

    #[test]
    fn converse_messages() {
        let called = turn(&json!({ "role": "assistant", "content": [
            { "reasoningContent": { "reasoningText": { "text": "hm" } } },
            { "text": "Let me look." },
            { "toolUse": { "toolUseId": "t1", "name": "find_order", "input": { "order": 7 } } },
        ] }));
        assert_eq!((called.text.as_deref(), called.tool_calls.len()), (Some("Let me look."), 1));
        let answered = turn(&json!({ "role": "user", "content": [
            { "toolResult": { "toolUseId": "t1", "status": "error", "content": [{ "text": "no such order" }, { "json": { "code": 404 } }] } },
            { "document": { "name": "invoice" } },
        ] }));
        let result = ToolResult { call: Some("t1".into()), name: None, text: Some("no such order\n{\"code\":404}".into()), error: true };
        assert_eq!((answered.tool_results, answered.text.as_deref()), (vec![result], Some("[document]")));
    }

    #[test]
    fn anthropic_and_opentelemetry_parts() {
        let called =
            turn(&json!({ "role": "assistant", "content": [{ "type": "tool_use", "id": "t", "name": "f", "input": { "a": 1 } }] }));
        let traced =
            turn(&json!({ "role": "assistant", "parts": [{ "type": "tool_call", "id": "t", "name": "f", "arguments": { "a": 1 } }] }));
        assert_eq!(called, traced);
        let answered =
            turn(&json!({ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t", "is_error": true, "content": "no" }] }));
        assert!(answered.tool_results[0].error);
        let traced = turn(&json!({ "role": "tool", "parts": [{ "type": "tool_call_response", "id": "t", "response": { "rain": true } }] }));
        assert_eq!(traced.tool_results[0].text.as_deref(), Some("{\"rain\":true}"));
        let said = turn(
            &json!({ "role": "assistant", "parts": [{ "type": "reasoning", "content": "hm" }, { "type": "text", "content": "Rainy." }] }),
        );
        assert_eq!(said.text.as_deref(), Some("Rainy."));
    }
}
