//! Bedrock's model invocation logs (Bedrock user guide, "Monitor model invocation using `CloudWatch` Logs"): one call of a
//! model as a conversation. The bodies are those of the API that was called (user guide, "Inference request parameters and
//! response fields"): Converse, Anthropic's Messages and older completions, Llama, Titan, Nova, Mistral, Cohere, and chat
//! completions in `OpenAI`'s form. An answer that was streamed is logged as the list of its chunks, or put together already.
//!
//! A body over 100 KB is no part of the log but an object in S3, as gzip, named by `inputBodyS3Path` or
//! `outputBodyS3Path`.

use std::collections::BTreeMap;

use flywheel_model::{Conversation, Fact, Key, Role, Signal, ToolCall, Turn};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::logs::Record;
use crate::{gunzip, shortened};

/// A call whose content lies in S3. Fetch its [`objects`](Self::objects), then [`complete`](Self::complete) it.
#[derive(Debug, Clone, PartialEq)]
pub struct Offloaded {
    log: Value,
}

const BODIES: [(&str, &str, &str); 2] = [("input", "inputBodyJson", "inputBodyS3Path"), ("output", "outputBodyJson", "outputBodyS3Path")];

impl Offloaded {
    /// The objects that the content lies in, as `s3://BUCKET/KEY`.
    #[must_use]
    pub fn objects(&self) -> Vec<&str> {
        missing(&self.log).map(|(_, _, path)| path).collect()
    }

    /// The signal, with what the objects hold. One that is not given is left out of it.
    ///
    /// # Errors
    /// Why the log or an object cannot be used.
    pub fn complete(self, objects: &BTreeMap<String, Vec<u8>>) -> Result<Signal, String> {
        let mut bodies = Vec::new();
        for (part, field, path) in missing(&self.log) {
            let Some(bytes) = objects.get(path) else { continue };
            let unpacked =
                if bytes.starts_with(&[0x1f, 0x8b]) { Some(gunzip(bytes).map_err(|reason| format!("{path}: {reason}"))?) } else { None };
            let bytes = unpacked.as_deref().unwrap_or(bytes);
            let body: Value = serde_json::from_slice(bytes).map_err(|error| format!("{path}: not JSON: {error}"))?;
            bodies.push((part, field, body));
        }
        let mut log = self.log;
        for (part, field, body) in bodies {
            log[part][field] = body;
        }
        signal(&log)
    }
}

/// The bodies that lie in S3.
fn missing(log: &Value) -> impl Iterator<Item = (&'static str, &'static str, &str)> {
    BODIES.into_iter().filter_map(|(part, field, path)| {
        let part_of_log = log.get(part)?.as_object()?;
        let inline = part_of_log.get(field).is_some_and(|body| !body.is_null());
        let path = part_of_log.get(path)?.as_str()?;
        (!inline).then_some((part, field, path))
    })
}

pub(crate) fn read(log: Value) -> Result<Record, String> {
    // What is wrong with the log itself is told now, not after its objects were fetched.
    let conversation = signal(&log)?;
    if missing(&log).next().is_some() {
        return Ok(Record::Offloaded(Box::new(Offloaded { log })));
    }
    let output = &log["output"]["outputBodyJson"];
    if ["embedding", "embeddings", "embeddingsByType"].iter().any(|field| output.get(field).is_some()) {
        return Ok(Record::PassedOver("an embedding"));
    }
    Ok(Record::Signal(Box::new(conversation)))
}

fn signal(log: &Value) -> Result<Signal, String> {
    let id = match log.get("requestId") {
        Some(Value::String(id)) => Key::try_from(id.as_str()).map_err(|error| format!("requestId: {error}"))?,
        Some(other) => return Err(format!("requestId is {}; expected a text", shortened(&other.to_string()))),
        None => return Err("requestId is missing; without it the same call would count twice".to_owned()),
    };
    let at = log.get("timestamp").and_then(Value::as_str).unwrap_or_default();
    let at: Timestamp =
        at.parse().map_err(|_| format!("timestamp is {:?}; expected a time such as 2026-11-23T12:00:00Z", shortened(at)))?;
    let input = &log["input"]["inputBodyJson"];
    let output = &log["output"]["outputBodyJson"];
    let mut turns = asked(input);
    turns.extend(answered(output));
    let usage = |names: [&str; 3]| {
        let usage = output.get("usage").into_iter().chain(output.as_array().into_iter().flatten().filter_map(|chunk| {
            chunk.pointer("/metadata/usage").or_else(|| chunk.get("usage")).or_else(|| chunk.pointer("/message/usage"))
        }));
        let mut counts = usage.filter_map(|usage| names.iter().find_map(|name| usage.get(*name)?.as_u64()));
        counts.next_back()
    };
    let error = log.get("errorCode").and_then(Value::as_str).filter(|code| !code.is_empty());
    let latency = output.pointer("/metrics/latencyMs").and_then(Value::as_f64);
    let conversation = Conversation {
        turns,
        error: error.map(str::to_owned),
        model: log.get("modelId").and_then(Value::as_str).and_then(|model| Key::try_from(model).ok()),
        input_tokens: log["input"]["inputTokenCount"].as_u64().or_else(|| usage(["inputTokens", "input_tokens", "prompt_tokens"])),
        output_tokens: log["output"]["outputTokenCount"].as_u64().or_else(|| usage(["outputTokens", "output_tokens", "completion_tokens"])),
        seconds: latency.map(|milliseconds| milliseconds / 1_000.0),
        ..Conversation::default()
    };
    Ok(Signal { id, at, fact: Fact::Conversation(conversation) })
}

/// The turns that a model was given.
fn asked(body: &Value) -> Vec<Turn> {
    let mut turns = Vec::new();
    match body.get("system").or_else(|| body.get("preamble")) {
        Some(Value::String(text)) => turns.push(said(Role::System, text)),
        Some(blocks @ Value::Array(_)) => turns.extend(turn(&json!({ "role": "system", "content": blocks }))),
        _ => {}
    }
    if let Some(messages) = body.get("messages").and_then(Value::as_array) {
        turns.extend(messages.iter().filter_map(turn));
    } else if let Some(prompt) = body.get("prompt").and_then(Value::as_str) {
        turns.extend(prompted(prompt));
    } else if let Some(text) = ["inputText", "message"].into_iter().find_map(|field| body.get(field)?.as_str()) {
        turns.push(said(Role::User, text));
    }
    turns
}

/// The turns inside of a prompt: those of Llama's template, those of Anthropic's old one, or the prompt as one turn.
fn prompted(prompt: &str) -> Vec<Turn> {
    const HEADER: [&str; 2] = ["<|start_header_id|>", "<|end_header_id|>"];
    let mut turns = Vec::new();
    if prompt.contains(HEADER[0]) {
        for part in prompt.split(HEADER[0]).skip(1) {
            let Some((role, text)) = part.split_once(HEADER[1]) else { continue };
            let text = text.trim().trim_end_matches("<|eot_id|>").trim();
            let role = match role.trim() {
                "system" => Role::System,
                "assistant" => Role::Assistant,
                "ipython" | "tool" => Role::Tool,
                _ => Role::User,
            };
            if !text.is_empty() {
                turns.push(said(role, text));
            }
        }
    } else if prompt.contains("\n\nHuman:") {
        for (n, part) in prompt.split("\n\nHuman:").enumerate() {
            let (human, rest) = part.split_once("\n\nAssistant:").map_or((part, ""), |(human, rest)| (human, rest));
            let speaker = if n == 0 { Role::System } else { Role::User };
            for (role, text) in [(speaker, human.trim()), (Role::Assistant, rest.trim())] {
                if !text.is_empty() {
                    turns.push(said(role, text));
                }
            }
        }
    } else if !prompt.is_empty() {
        turns.push(said(Role::User, prompt));
    }
    turns
}

/// The turn that a model answered with.
fn answered(body: &Value) -> Option<Turn> {
    if let Some(chunks) = body.as_array() {
        return put_together(chunks);
    }
    // Converse, and Nova by InvokeModel.
    if let Some(message) = body.pointer("/output/message").or_else(|| body.pointer("/choices/0/message")) {
        return turn(message);
    }
    if let Some(content @ (Value::Array(_) | Value::String(_))) = body.get("content") {
        return turn(&json!({ "role": "assistant", "content": content }));
    }
    completion(body).map(|text| said(Role::Assistant, text.trim()))
}

/// The text of a completion, whole or one chunk of it, by the models' several names for it.
fn completion(body: &Value) -> Option<&str> {
    const PLACES: [&str; 10] = [
        "/generation",
        "/outputText",
        "/completion",
        "/results/0/outputText",
        "/outputs/0/text",
        "/generations/0/text",
        "/completions/0/data/text",
        "/choices/0/text",
        "/choices/0/delta/content",
        "/text",
    ];
    PLACES.into_iter().find_map(|place| body.pointer(place)?.as_str())
}

/// One block of a streamed answer, while its chunks come in.
#[derive(Default)]
struct Block {
    text: String,
    call: Option<(Option<String>, String)>,
    arguments: String,
}

/// Puts a streamed answer together. Blocks are told by their index; completions have one.
fn put_together(chunks: &[Value]) -> Option<Turn> {
    let mut blocks: BTreeMap<u64, Block> = BTreeMap::new();
    let mut whole = None;
    for chunk in chunks {
        let (start, delta) = match chunk.get("type").and_then(Value::as_str) {
            // Anthropic.
            Some("content_block_start") => (chunk.get("content_block"), None),
            Some("content_block_delta") => (None, chunk.get("delta")),
            Some(_) => (None, None),
            // Converse, and Nova by InvokeModelWithResponseStream.
            None => (chunk.pointer("/contentBlockStart/start"), chunk.pointer("/contentBlockDelta/delta")),
        };
        let index = ["/index", "/contentBlockStart/contentBlockIndex", "/contentBlockDelta/contentBlockIndex"];
        let index = index.into_iter().find_map(|place| chunk.pointer(place)?.as_u64()).unwrap_or_default();
        if let Some(start) = start {
            let block = blocks.entry(index).or_default();
            let call = start.get("toolUse").unwrap_or(start);
            if let Some(name) = call.get("name").and_then(Value::as_str) {
                let id = call.get("toolUseId").or_else(|| call.get("id")).and_then(Value::as_str);
                block.call = Some((id.map(str::to_owned), name.to_owned()));
            }
            block.text += start.get("text").and_then(Value::as_str).unwrap_or_default();
        } else if let Some(delta) = delta {
            let block = blocks.entry(index).or_default();
            block.text += delta.get("text").and_then(Value::as_str).unwrap_or_default();
            let more = delta.get("partial_json").or_else(|| delta.pointer("/toolUse/input"));
            block.arguments += more.and_then(Value::as_str).unwrap_or_default();
        } else if let Some(calls) = chunk.pointer("/choices/0/delta/tool_calls").and_then(Value::as_array) {
            for call in calls {
                // Behind the text, which is block 0.
                let index = call.get("index").and_then(Value::as_u64).unwrap_or_default().saturating_add(1);
                let block = blocks.entry(index).or_default();
                if let Some(name) = call.pointer("/function/name").and_then(Value::as_str) {
                    block.call = Some((call.get("id").and_then(Value::as_str).map(str::to_owned), name.to_owned()));
                }
                block.arguments += call.pointer("/function/arguments").and_then(Value::as_str).unwrap_or_default();
            }
        } else if let Some(text) = completion(chunk) {
            blocks.entry(0).or_default().text += text;
        } else if whole.is_none() && chunk.pointer("/output/message").is_some() {
            whole = answered(chunk);
        }
    }
    if blocks.is_empty() {
        return whole;
    }
    let mut turn = said(Role::Assistant, "");
    turn.text = None;
    for block in blocks.into_values() {
        match block.call {
            Some((id, name)) => {
                let arguments = serde_json::from_str(&block.arguments).unwrap_or(Value::String(block.arguments));
                turn.tool_calls.push(ToolCall { id, name, arguments });
            }
            None if !block.text.is_empty() => {
                let text = turn.text.take().map_or_else(String::new, |text| text + "\n");
                turn.text = Some(text + &block.text);
            }
            None => {}
        }
    }
    Some(turn)
}

fn turn(message: &Value) -> Option<Turn> {
    // Of what was said to a model, a message of a form that nobody knows is noted, not a reason to lose the call.
    let unknown = || said(Role::User, "[message]");
    message.is_object().then(|| Turn::deserialize(message).unwrap_or_else(|_| unknown()))
}

fn said(role: Role, text: &str) -> Turn {
    Turn { role, text: Some(text.to_owned()), tool_calls: Vec::new(), tool_results: Vec::new(), at: None }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn log(input: &Value, output: &Value) -> Value {
        json!({
            "schemaType": "ModelInvocationLog", "schemaVersion": "1.0", "timestamp": "2026-11-23T10:00:00Z",
            "requestId": "11111111-2222-3333-4444-555555555555", "operation": "InvokeModel", "modelId": "example.model-v1:0",
            "input": { "inputContentType": "application/json", "inputBodyJson": input, "inputTokenCount": 12 },
            "output": { "outputContentType": "application/json", "outputBodyJson": output, "outputTokenCount": 7 },
        })
    }

    fn conversation(log: Value) -> Conversation {
        match read(log) {
            Ok(Record::Signal(signal)) => match signal.fact {
                Fact::Conversation(conversation) => conversation,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    fn told(input: &Value, output: &Value) -> Vec<(Role, String)> {
        let turns = conversation(log(input, output)).turns;
        turns
            .into_iter()
            .map(|turn| {
                let calls: String = turn.tool_calls.iter().map(|call| format!("<{}{}>", call.name, call.arguments)).collect();
                (turn.role, turn.text.unwrap_or_default() + &calls)
            })
            .collect()
    }

    #[test]
    fn question_and_answer_in_each_form() {
        let messages = json!({ "messages": [{ "role": "user", "content": [{ "text": "Open?" }] }] });
        let llama =
            "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nOpen?<|eot_id|><|start_header_id|>assistant<|end_header_id|>";
        let stream = json!([
            { "type": "message_start", "message": { "role": "assistant", "usage": { "input_tokens": 3 } } },
            { "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } },
            { "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "Until" } },
            { "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": " six." } },
            { "type": "content_block_stop", "index": 0 }, { "type": "message_stop" },
        ]);
        let converse_stream = json!([
            { "messageStart": { "role": "assistant" } },
            { "contentBlockDelta": { "delta": { "text": "Until " }, "contentBlockIndex": 0 } },
            { "contentBlockDelta": { "delta": { "text": "six." }, "contentBlockIndex": 0 } },
            { "messageStop": { "stopReason": "end_turn" } },
        ]);
        for (input, output) in [
            (messages.clone(), json!({ "output": { "message": { "role": "assistant", "content": [{ "text": "Until six." }] } } })),
            (messages.clone(), json!({ "role": "assistant", "content": [{ "type": "text", "text": "Until six." }] })),
            (messages.clone(), json!({ "choices": [{ "message": { "role": "assistant", "content": "Until six." } }] })),
            (messages.clone(), stream),
            (messages, converse_stream),
            (json!({ "prompt": llama }), json!({ "generation": "\n\nUntil six." })),
            (json!({ "prompt": llama }), json!([{ "generation": "Until" }, { "generation": " six." }])),
            (json!({ "prompt": "\n\nHuman: Open?\n\nAssistant:" }), json!({ "completion": " Until six." })),
            (json!({ "inputText": "Open?" }), json!({ "results": [{ "outputText": "Until six." }] })),
            (json!({ "inputText": "Open?" }), json!([{ "outputText": "Until six." }])),
            (json!({ "prompt": "Open?" }), json!({ "outputs": [{ "text": "Until six." }] })),
        ] {
            let expected = [(Role::User, "Open?".to_owned()), (Role::Assistant, "Until six.".to_owned())];
            assert_eq!(told(&input, &output), expected, "{input} {output}");
        }
    }

    #[test]
    fn calls_of_tools_are_put_together_too() {
        let expected = [(Role::Assistant, "One moment.<find{\"order\":7}>".to_owned())];
        for stream in [
            json!([
                { "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "One moment." } },
                { "type": "content_block_start", "index": 1, "content_block": { "type": "tool_use", "id": "t", "name": "find", "input": {} } },
                { "type": "content_block_delta", "index": 1, "delta": { "type": "input_json_delta", "partial_json": "{\"order\"" } },
                { "type": "content_block_delta", "index": 1, "delta": { "type": "input_json_delta", "partial_json": ": 7}" } },
            ]),
            json!([
                { "contentBlockDelta": { "delta": { "text": "One moment." }, "contentBlockIndex": 0 } },
                { "contentBlockStart": { "start": { "toolUse": { "toolUseId": "t", "name": "find" } }, "contentBlockIndex": 1 } },
                { "contentBlockDelta": { "delta": { "toolUse": { "input": "{\"order\":7}" } }, "contentBlockIndex": 1 } },
            ]),
            json!([
                { "choices": [{ "delta": { "role": "assistant", "content": "One moment." } }] },
                { "choices": [{ "delta": { "tool_calls": [{ "index": 0, "id": "t", "function": { "name": "find", "arguments": "{\"order\":" } }] } }] },
                { "choices": [{ "delta": { "tool_calls": [{ "index": 0, "function": { "arguments": "7}" } }] } }] },
            ]),
        ] {
            assert_eq!(told(&json!({}), &stream), expected, "{stream}");
        }
    }

    #[test]
    fn what_lies_in_s3_is_asked_for() {
        let mut offloaded = log(&Value::Null, &json!({ "generation": "Until six." }));
        offloaded["input"]["inputBodyS3Path"] = json!("s3://example-logs/data/1_input.json.gz");
        let Ok(Record::Offloaded(offloaded)) = read(offloaded) else { panic!("offloaded") };
        assert_eq!(offloaded.objects(), ["s3://example-logs/data/1_input.json.gz"]);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(br#"{"prompt":"Open?"}"#).expect("gzip");
        let objects = BTreeMap::from([("s3://example-logs/data/1_input.json.gz".to_owned(), gzip.finish().expect("gzip"))]);
        let turns = |signal: Signal| match signal.fact {
            Fact::Conversation(conversation) => conversation.turns.len(),
            other => panic!("{other:?}"),
        };
        assert_eq!(turns(offloaded.clone().complete(&objects).expect("a signal")), 2);
        assert_eq!(turns(offloaded.clone().complete(&BTreeMap::new()).expect("a signal")), 1);
        let broken = BTreeMap::from([("s3://example-logs/data/1_input.json.gz".to_owned(), b"{".to_vec())]);
        assert!(offloaded.complete(&broken).is_err_and(|reason| reason.starts_with("s3://example-logs/data/1_input.json.gz: not JSON")));
    }

    #[test]
    fn errors_embeddings_and_what_is_missing() {
        let mut failed = log(&json!({ "prompt": "Open?" }), &Value::Null);
        failed["errorCode"] = json!("ThrottlingException");
        assert_eq!(conversation(failed).error.as_deref(), Some("ThrottlingException"));
        assert_eq!(read(log(&json!({ "inputText": "x" }), &json!({ "embedding": [0.1] }))), Ok(Record::PassedOver("an embedding")));
        let mut wrong = log(&json!({}), &json!({}));
        wrong["timestamp"] = json!("<timestamp>");
        assert!(read(wrong).is_err_and(|reason| reason.starts_with("timestamp is \"<timestamp>\"")));
        assert!(read(json!({})).is_err_and(|reason| reason.starts_with("requestId is missing")));
    }

    proptest! {
        #[test]
        fn no_strange_body_makes_it_panic(text in ".{0,40}", index in any::<u64>()) {
            for output in [
                json!([{ "type": text, "index": index, "delta": text }, { "choices": [{ "delta": { "tool_calls": [{ "index": index }] } }] }]),
                json!([{ "contentBlockDelta": { "contentBlockIndex": index, "delta": { "toolUse": { "input": text } } } }]),
                json!({ "content": text }),
                json!(text),
            ] {
                let _ = read(log(&json!({ "prompt": text, "system": text }), &output));
            }
        }
    }
}
