//! Assistants that tests are run against: an HTTP endpoint, or a Bedrock model through Converse.

use std::time::Duration;

use aws_sdk_bedrockruntime::operation::converse::ConverseOutput;
use aws_sdk_bedrockruntime::types::{
    ContentBlock, ConversationRole, Message, SystemContentBlock, Tool, ToolConfiguration, ToolInputSchema, ToolResultBlock,
    ToolResultContentBlock, ToolResultStatus, ToolSpecification, ToolUseBlock,
};
use aws_smithy_runtime_api::client::http::{HttpConnector as _, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::{Document, Number};
use aws_types::SdkConfig;
use flywheel_model::{Role, ToolCall, Turn};
use flywheel_policy::{Assistant, TestTarget};
use flywheel_ports::{AssistantUnderTest, NoReply, Reply, Unavailable};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::config::connector;
use crate::error::unavailable;
use crate::s3;

/// A turn that takes longer is none: tests are of conversations.
const ANSWER: Duration = Duration::from_secs(60);

/// A turn of an assistant is a few kilobytes.
const LARGEST: usize = 1_000_000;

const ASK: &str = "ask the assistant under test";

/// Where assistants are asked from.
#[derive(Debug, Clone)]
pub struct Assistants {
    config: SdkConfig,
    connector: SharedHttpConnector,
    bucket: String,
}

impl Assistants {
    /// With the bucket of data sets, where models' instructions are.
    #[must_use]
    pub fn new(config: &SdkConfig, bucket: String) -> Self {
        Self { config: config.clone(), connector: connector(), bucket }
    }

    /// The assistant of a target.
    #[must_use]
    pub fn of<'a>(&'a self, target: &TestTarget) -> impl AssistantUnderTest + use<'a> {
        TargetAssistant { assistants: self, assistant: target.assistant.clone() }
    }

    async fn ask_endpoint(&self, url: &str, secret: Option<&str>, run: &str, turns: &[Turn]) -> Result<Reply, NoReply> {
        let body = json!({ "run": run, "messages": turns }).to_string();
        let mut request = HttpRequest::new(SdkBody::from(body));
        let broken = |error: &dyn std::fmt::Display| NoReply::Broken(format!("{url} cannot be asked: {error}"));
        request.set_method("POST").map_err(|error| broken(&error))?;
        request.set_uri(url).map_err(|error| broken(&error))?;
        request.headers_mut().insert("content-type", "application/json");
        if let Some(secret) = secret {
            let value = self.secret(secret).await?;
            request
                .headers_mut()
                .try_insert("authorization", value)
                .map_err(|_| NoReply::Broken(format!("the secret {secret} is no value of a header")))?;
        }
        let not_now = |why: String| NoReply::Unavailable(Unavailable { what: ASK, why });
        let answer = tokio::time::timeout(ANSWER, self.connector.call(request)).await;
        let answer = answer.map_err(|_| NoReply::Broken(format!("it gave no turn in {} s", ANSWER.as_secs())))?;
        let answer =
            answer.map_err(|error| not_now(format!("{url}: {}", aws_smithy_types::error::display::DisplayErrorContext(&error))))?;
        let status = answer.status().as_u16();
        // It is busy or unwell: asking again later is the remedy.
        if matches!(status, 429 | 502..=504) {
            return Err(not_now(format!("{url} answered with status {status}")));
        }
        let bytes = tokio::time::timeout(ANSWER, ByteStream::new(answer.into_body()).collect()).await;
        let bytes = bytes.map_err(|_| NoReply::Broken(format!("its turn did not end in {} s", ANSWER.as_secs())))?;
        let bytes = bytes.map_err(|error| not_now(error.to_string()))?.to_vec();
        if status >= 400 {
            return Err(NoReply::Broken(format!("status {status}: {}", quoted(&String::from_utf8_lossy(&bytes)))));
        }
        if bytes.len() > LARGEST {
            return Err(NoReply::Broken(format!("its turn has {} bytes, {LARGEST} at most", bytes.len())));
        }
        reply(&bytes).map_err(NoReply::Broken)
    }

    async fn secret(&self, name: &str) -> Result<String, NoReply> {
        let client = aws_sdk_secretsmanager::Client::new(&self.config);
        let secret = client
            .get_secret_value()
            .secret_id(name)
            .send()
            .await
            .map_err(|error| NoReply::Unavailable(unavailable("read a secret")(error)))?;
        secret.secret_string.ok_or_else(|| NoReply::Broken(format!("the secret {name} holds no text")))
    }

    async fn ask_model(&self, model: &str, instructions: &str, turns: &[Turn]) -> Result<Reply, NoReply> {
        let what = "read a target's instructions";
        let object = s3::get(&s3::client(&self.config), &self.bucket, instructions, what).await.map_err(NoReply::Unavailable)?;
        let object = object
            .ok_or_else(|| NoReply::Broken(format!("s3://{}/{instructions} is not there: put the instructions there", self.bucket)))?;
        let (bytes, _) = s3::content(object, what).await.map_err(NoReply::Unavailable)?;
        let instructions: Instructions =
            serde_json::from_slice(&bytes).map_err(|error| NoReply::Broken(format!("s3://{}/{instructions}: {error}", self.bucket)))?;
        let client = aws_sdk_bedrockruntime::Client::new(&self.config);
        let tools = instructions.tools().map_err(NoReply::Broken)?;
        let request = client
            .converse()
            .model_id(model)
            .set_system(instructions.system.map(|system| vec![SystemContentBlock::Text(system)]))
            .set_tool_config(tools)
            .set_messages(Some(messages(turns).map_err(NoReply::Broken)?));
        let answer = request.send().await.map_err(|error| {
            // What the model's own limits refuse is no outage.
            let refused = error.as_service_error().is_some_and(|error| error.is_validation_exception() || error.is_model_error_exception());
            let why = unavailable(ASK)(error);
            if refused { NoReply::Broken(why.why) } else { NoReply::Unavailable(why) }
        })?;
        Ok(Reply { tokens: answer.usage().and_then(|usage| u64::try_from(usage.output_tokens()).ok()), turn: turn_of(&answer) })
    }
}

struct TargetAssistant<'a> {
    assistants: &'a Assistants,
    assistant: Assistant,
}

impl AssistantUnderTest for TargetAssistant<'_> {
    async fn reply(&self, run: &str, turns: &[Turn]) -> Result<Reply, NoReply> {
        match &self.assistant {
            Assistant::Endpoint { url, secret } => self.assistants.ask_endpoint(url, secret.as_deref(), run, turns).await,
            Assistant::Model { model, instructions } => self.assistants.ask_model(model, instructions, turns).await,
        }
    }
}

/// A turn in what an endpoint answered: a message in any form that applications have them in, alone or where OpenAI's chat
/// completions and Bedrock's Converse have it.
fn reply(answer: &[u8]) -> Result<Reply, String> {
    let mut answer: Value = serde_json::from_slice(answer).map_err(|error| format!("its answer is not JSON: {error}"))?;
    let tokens = ["/usage/completion_tokens", "/usage/output_tokens", "/usage/outputTokens", "/tokens"];
    let tokens = tokens.into_iter().find_map(|place| answer.pointer(place)?.as_u64());
    let place = ["/choices/0/message", "/output/message", "/message", "/turn"].into_iter().find(|place| answer.pointer(place).is_some());
    let message = match place.and_then(|place| answer.pointer_mut(place)) {
        Some(message) => message.take(),
        None => answer,
    };
    let turn: Turn = serde_json::from_value(message).map_err(|error| format!("its answer has no turn: {error}"))?;
    if turn.role != Role::Assistant {
        return Err("its turn is not the assistant's".to_owned());
    }
    Ok(Reply { turn, tokens })
}

/// A model's instructions, as the bucket has them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Instructions {
    system: Option<String>,
    #[serde(default)]
    tools: Vec<Value>,
}

impl Instructions {
    fn tools(&self) -> Result<Option<ToolConfiguration>, String> {
        if self.tools.is_empty() {
            return Ok(None);
        }
        let tool = |tool: &Value| {
            let spec = tool.get("toolSpec").unwrap_or(tool);
            let text = |name: &str| spec.get(name).and_then(Value::as_str);
            let schema = spec.pointer("/inputSchema/json").cloned().unwrap_or_else(|| json!({ "type": "object" }));
            let built = ToolSpecification::builder()
                .name(text("name").unwrap_or_default())
                .set_description(text("description").map(str::to_owned))
                .input_schema(ToolInputSchema::Json(document(&schema)))
                .build();
            built.map(Tool::ToolSpec).map_err(|error| error.to_string())
        };
        let tools = self.tools.iter().map(tool).collect::<Result<Vec<_>, _>>()?;
        ToolConfiguration::builder().set_tools(Some(tools)).build().map(Some).map_err(|error| error.to_string())
    }
}

/// Turns as Converse has them: results of tools are the user's.
fn messages(turns: &[Turn]) -> Result<Vec<Message>, String> {
    turns.iter().filter(|turn| turn.role != Role::System).map(message).collect()
}

fn message(turn: &Turn) -> Result<Message, String> {
    let mut content: Vec<ContentBlock> = turn.text.iter().filter(|text| !text.trim().is_empty()).cloned().map(ContentBlock::Text).collect();
    for call in &turn.tool_calls {
        let call = ToolUseBlock::builder()
            .tool_use_id(call.id.clone().unwrap_or_default())
            .name(&call.name)
            .input(document(&call.arguments))
            .build();
        content.push(ContentBlock::ToolUse(call.map_err(|error| error.to_string())?));
    }
    for result in &turn.tool_results {
        let status = if result.error { ToolResultStatus::Error } else { ToolResultStatus::Success };
        let text = ToolResultContentBlock::Text(result.text.clone().unwrap_or_default());
        let result = ToolResultBlock::builder().tool_use_id(result.call.clone().unwrap_or_default()).content(text).status(status).build();
        content.push(ContentBlock::ToolResult(result.map_err(|error| error.to_string())?));
    }
    let role = if turn.role == Role::Assistant { ConversationRole::Assistant } else { ConversationRole::User };
    Message::builder().role(role).set_content(Some(content)).build().map_err(|error| error.to_string())
}

fn turn_of(answer: &ConverseOutput) -> Turn {
    let message = answer.output().and_then(|output| output.as_message().ok());
    let mut turn = Turn { role: Role::Assistant, text: None, tool_calls: Vec::new(), tool_results: Vec::new(), at: None };
    for block in message.map(Message::content).unwrap_or_default() {
        match block {
            ContentBlock::Text(text) => turn.text.get_or_insert_default().push_str(text),
            ContentBlock::ToolUse(call) => turn.tool_calls.push(ToolCall {
                id: Some(call.tool_use_id().to_owned()),
                name: call.name().to_owned(),
                arguments: value(call.input()),
            }),
            _ => {}
        }
    }
    turn
}

fn document(value: &Value) -> Document {
    match value {
        Value::Null => Document::Null,
        Value::Bool(is) => Document::Bool(*is),
        Value::Number(number) => Document::Number(match (number.as_u64(), number.as_i64()) {
            (Some(positive), _) => Number::PosInt(positive),
            (None, Some(negative)) => Number::NegInt(negative),
            (None, None) => Number::Float(number.as_f64().unwrap_or_default()),
        }),
        Value::String(text) => Document::String(text.clone()),
        Value::Array(values) => Document::Array(values.iter().map(document).collect()),
        Value::Object(fields) => Document::Object(fields.iter().map(|(name, value)| (name.clone(), document(value))).collect()),
    }
}

fn value(document: &Document) -> Value {
    match document {
        Document::Null => Value::Null,
        Document::Bool(is) => Value::Bool(*is),
        Document::Number(Number::PosInt(number)) => Value::from(*number),
        Document::Number(Number::NegInt(number)) => Value::from(*number),
        Document::Number(Number::Float(number)) => Value::from(*number),
        Document::String(text) => Value::String(text.clone()),
        Document::Array(values) => Value::Array(values.iter().map(value).collect()),
        Document::Object(fields) => Value::Object(fields.iter().map(|(name, inside)| (name.clone(), value(inside))).collect::<Map<_, _>>()),
    }
}

fn quoted(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_found_in_each_form_of_an_answer() {
        for (answer, tokens) in [
            (r#"{"role":"assistant","text":"hi"}"#, None),
            (r#"{"turn":{"role":"assistant","text":"hi"},"tokens":3}"#, Some(3)),
            (r#"{"choices":[{"message":{"role":"assistant","content":"hi"}}],"usage":{"completion_tokens":3}}"#, Some(3)),
            (r#"{"output":{"message":{"role":"assistant","content":[{"text":"hi"}]}},"usage":{"outputTokens":3}}"#, Some(3)),
        ] {
            let reply = reply(answer.as_bytes()).expect("a turn");
            assert_eq!((reply.turn.text.as_deref(), reply.tokens), (Some("hi"), tokens), "{answer}");
        }
        for (answer, told) in [("no", "not JSON"), ("{}", "no turn"), (r#"{"role":"user","text":"hi"}"#, "not the assistant's")] {
            let error = reply(answer.as_bytes()).expect_err("no turn");
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn turns_go_to_converse_and_back() {
        let turns: Vec<Turn> = serde_json::from_value(json!([
            { "role": "user", "text": "hi" },
            { "role": "assistant", "tool_calls": [{ "id": "1", "name": "find", "arguments": { "a": [1, -2, 0.5, null, true] } }] },
            { "role": "tool", "tool_results": [{ "call": "1", "text": "no", "error": true }] }
        ]))
        .expect("turns");
        let sent = messages(&turns).expect("messages");
        assert_eq!(
            sent.iter().map(Message::role).collect::<Vec<_>>(),
            [&ConversationRole::User, &ConversationRole::Assistant, &ConversationRole::User]
        );
        let ContentBlock::ToolUse(call) = &sent[1].content()[0] else { panic!("a call") };
        assert_eq!(value(call.input()), json!({ "a": [1, -2, 0.5, null, true] }));
        assert!(matches!(&sent[2].content()[0], ContentBlock::ToolResult(result) if result.status() == Some(&ToolResultStatus::Error)));
    }
}
