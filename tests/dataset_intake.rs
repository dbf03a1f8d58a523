//! Real event files and real conversations go through the intake: each is understood, passed over or refused with its
//! reason, none is lost, and none makes anything panic. The files are no part of the repository: name the folder that has
//! them as `events/` and `conversations/` with `FLYWHEEL_DATASETS`, from the workspace's root or absolute.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "support/datasets.rs"]
mod datasets;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use flywheel_intake::{Delivery, LogEvent, Record, Span, assemble, read};
use flywheel_model::{Conversation, Fact, Signal, Turn};
use jiff::Timestamp;
use serde_json::{Value, json};

#[test]
fn each_event_file_as_a_message() {
    let Some(files) = files("events") else { return };
    let mut table = BTreeMap::new();
    let (mut alarms, mut understood) = (0, 0);
    for (name, text) in &files {
        let found: Vec<_> = read(text).collect();
        assert!(!found.is_empty(), "{name}");
        for record in &found {
            match record {
                Ok(signal) => count(&mut table, format!("signal: {}", signal.fact.kind())),
                Err(refused) => {
                    assert!(!refused.reason.is_empty() && text.contains(refused.record), "{name}: {refused:?}");
                    count(&mut table, format!("refused: {}", kind_of(&refused.reason)));
                }
            }
        }
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let is_alarm = value["source"] == "aws.cloudwatch"
            && (value["detail-type"] == "CloudWatch Alarm State Change" || value.get("alarmData").is_some());
        if is_alarm {
            alarms += 1;
            let detail = if value["detail"].is_object() { &value["detail"] } else { &value["alarmData"] };
            let time = detail["state"]["timestamp"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
            match (&found[..], time) {
                ([Ok(Signal { at, fact: Fact::Alarm(alarm), .. })], Some(time)) => {
                    assert_eq!((alarm.name.as_str(), *at), (detail["alarmName"].as_str().unwrap(), time), "{name}");
                    assert_eq!(json!(alarm.state), detail["state"]["value"], "{name}");
                    understood += 1;
                }
                // Some samples have spaces inside of their times.
                ([Err(refused)], None) => assert!(refused.reason.starts_with("state.timestamp is "), "{name}: {refused:?}"),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
    print("event files as messages", &table);
    println!("{alarms} alarm events, {understood} understood");
}

#[test]
fn each_event_file_as_a_log_event_and_as_a_delivery() {
    let Some(files) = files("events") else { return };
    let mut table = BTreeMap::new();
    for (name, text) in &files {
        count_records(&mut table, "as a log event", text);
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        match Delivery::unpack(text.as_bytes()) {
            Ok(Delivery::Control) => count(&mut table, "as a delivery: control".to_owned()),
            Ok(Delivery::Data { events, .. }) => {
                assert!(value.get("awslogs").is_some(), "{name}");
                count(&mut table, format!("as a delivery: {} events", events.len()));
                for event in events {
                    count_records(&mut table, "  in a delivery", &event.message);
                }
            }
            Err(reason) => {
                assert!(value.get("awslogs").is_none(), "{name}: {reason}");
                count(&mut table, format!("as a delivery: refused: {}", kind_of(&reason)));
            }
        }
    }
    print("event files as logs", &table);
}

#[test]
fn lists_of_opentelemetry_messages_lose_nothing() {
    let Some(files) = files("events") else { return };
    let mut seen = 0;
    for (name, text) in &files {
        let Ok(Value::Array(messages)) = serde_json::from_str(text) else { continue };
        if !messages.iter().any(|message| message["parts"].is_array()) {
            continue;
        }
        seen += 1;
        let turns: Vec<Turn> = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(turns.len(), messages.len());
        for (turn, message) in turns.iter().zip(&messages) {
            let parts = message["parts"].as_array().unwrap();
            let of = |ends: &[&str]| parts.iter().filter(|part| ends.iter().any(|end| part["type"] == *end)).count();
            assert_eq!(turn.tool_calls.len(), of(&["tool_call", "server_tool_call"]), "{name}");
            assert_eq!(turn.tool_results.len(), of(&["tool_call_response", "server_tool_call_response"]), "{name}");
            for text in parts.iter().filter(|part| part["type"] == "text").filter_map(|part| part["content"].as_str()) {
                assert!(turn.text.as_deref().unwrap().contains(text), "{name}");
            }
        }
        // As attributes of a span: in structure and as text, for input and for output.
        for value in [json!(messages), json!(text)] {
            let span = json!({
                "traceId": "t", "spanId": "s", "name": "chat", "startTimeUnixNano": 1, "endTimeUnixNano": 2,
                "attributes": { "gen_ai.operation.name": "chat", "gen_ai.conversation.id": "c", "gen_ai.input.messages": value },
            });
            let spans = spans(&span.to_string());
            assert_eq!(spans[0].input, turns, "{name}");
            let Some(Signal { fact: Fact::Conversation(told), .. }) = assemble("c", &spans).conversation else { panic!("{name}") };
            assert_eq!(told.turns, turns, "{name}");
        }
    }
    println!("{seen} lists of OpenTelemetry messages");
}

#[test]
fn each_conversation_in_both_forms_of_transcript() {
    let Some(files) = files("conversations") else { return };
    let mut table = BTreeMap::new();
    for (name, text) in &files {
        let value: Value = serde_json::from_str(text).unwrap();
        let lists: Vec<(&str, &Value)> = match &value {
            Value::Array(runs) => runs.iter().map(|run| ("tau", &run["traj"])).collect(),
            _ if value["simulations"].is_array() => {
                value["simulations"].as_array().unwrap().iter().map(|run| ("tau2", &run["messages"])).collect()
            }
            _ if value["history"].is_array() => vec![("whowhen", &value["history"])],
            _ => panic!("{name}: a form of conversation that this test does not know"),
        };
        for (n, (set, messages)) in lists.into_iter().enumerate() {
            let messages = messages.as_array().unwrap();
            let as_chat = conversation(&format!("{name} {n}"), messages);
            check_against(&as_chat, messages, name);
            let as_converse = conversation(&format!("{name} {n}"), &converse(messages));
            let calls = |told: &Conversation| told.turns.iter().flat_map(|turn| turn.tool_calls.clone()).collect::<Vec<_>>();
            let results = |told: &Conversation| told.turns.iter().flat_map(|turn| &turn.tool_results).count();
            assert_eq!(calls(&as_chat), calls(&as_converse), "{name}");
            assert_eq!(results(&as_chat), results(&as_converse), "{name}");
            count(&mut table, format!("{set}: conversations"));
            *table.entry(format!("{set}: turns")).or_default() += as_chat.turns.len();
            *table.entry(format!("{set}: calls of tools")).or_default() += calls(&as_chat).len();
            *table.entry(format!("{set}: answers of tools")).or_default() += results(&as_chat);
            // And as a call of a model in the invocation log.
            let log = json!({
                "schemaType": "ModelInvocationLog", "requestId": "r", "timestamp": "2026-11-23T10:00:00Z", "operation": "Converse",
                "input": { "inputBodyJson": { "messages": converse(messages) } }, "output": {},
            });
            let event = LogEvent { id: String::new(), at: None, message: log.to_string() };
            let [Ok(Record::Signal(signal))] = &event.read()[..] else { panic!("{name}") };
            let Fact::Conversation(logged) = &signal.fact else { panic!("{name}") };
            assert_eq!(logged.turns, as_converse.turns, "{name}");
        }
    }
    print("conversations, each in two forms of transcript and as an invocation log", &table);
}

/// Reads a signal with these messages.
fn conversation(name: &str, messages: &[Value]) -> Conversation {
    let body = json!({ "id": "c", "at": "2026-11-23T10:00:00Z", "conversation": { "messages": messages } }).to_string();
    let found: Vec<_> = read(&body).collect();
    let [Ok(Signal { fact: Fact::Conversation(conversation), .. })] = &found[..] else { panic!("{name}: {found:?}") };
    conversation.clone()
}

/// Checks that a turn says what its message says.
fn check_against(told: &Conversation, messages: &[Value], name: &str) {
    assert_eq!(told.turns.len(), messages.len(), "{name}");
    for (turn, message) in told.turns.iter().zip(messages) {
        let calls = message["tool_calls"].as_array().map_or(0, Vec::len);
        assert_eq!(turn.tool_calls.len(), calls, "{name}: {message}");
        if message["role"] == "tool" {
            let result = &turn.tool_results[0];
            assert_eq!(result.text.as_deref(), message["content"].as_str(), "{name}");
            assert_eq!(result.call.as_deref(), message["tool_call_id"].as_str().or(message["id"].as_str()), "{name}");
            assert_eq!(result.error, message["error"] == true, "{name}");
        } else {
            assert_eq!(turn.text.as_deref(), message["content"].as_str(), "{name}");
        }
    }
}

/// The same messages as Bedrock Converse has them.
fn converse(messages: &[Value]) -> Vec<Value> {
    let message = |message: &Value| {
        let mut content = Vec::new();
        if message["role"] == "tool" {
            let status = if message["error"] == true { "error" } else { "success" };
            let call = if message["tool_call_id"].is_string() { &message["tool_call_id"] } else { &message["id"] };
            content.push(json!({ "toolResult": { "toolUseId": call, "status": status, "content": [{ "text": message["content"] }] } }));
            return json!({ "role": "user", "content": content });
        }
        if message["content"].is_string() {
            content.push(json!({ "text": message["content"] }));
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let (name, arguments) = match call.get("function") {
                Some(function) => (&function["name"], serde_json::from_str(function["arguments"].as_str().unwrap()).unwrap()),
                None => (&call["name"], call["arguments"].clone()),
            };
            content.push(json!({ "toolUse": { "toolUseId": call["id"], "name": name, "input": arguments } }));
        }
        json!({ "role": message["role"], "content": content })
    };
    messages.iter().map(message).collect()
}

fn count_records(table: &mut BTreeMap<String, usize>, how: &str, message: &str) {
    let event = LogEvent { id: String::new(), at: None, message: message.to_owned() };
    let records = event.read();
    assert!(!records.is_empty());
    for record in records {
        let what = match record {
            Ok(Record::Signal(signal)) => format!("signal: {}", signal.fact.kind()),
            Ok(Record::Offloaded(_)) => "needs objects".to_owned(),
            Ok(Record::Ingestion(_)) => "ingestion".to_owned(),
            Ok(Record::Span(_)) => "span".to_owned(),
            Ok(Record::PassedOver(reason)) => format!("passed over: {reason}"),
            Err(reason) => format!("refused: {}", kind_of(&reason)),
        };
        count(table, format!("{how}: {what}"));
    }
}

fn spans(message: &str) -> Vec<Span> {
    let event = LogEvent { id: String::new(), at: None, message: message.to_owned() };
    let span = |record| match record {
        Ok(Record::Span(span)) => *span,
        other => panic!("{other:?}"),
    };
    event.read().into_iter().map(span).collect()
}

/// The files below a folder of the datasets, or nothing (and a line that says so) if nobody named it.
fn files(kind: &str) -> Option<Vec<(String, String)>> {
    let folder = datasets::folder(kind, "real files")?;
    let mut paths = Vec::new();
    walk(&folder, &mut paths);
    paths.retain(|path| kind == "events" || path.extension().is_some_and(|ending| ending == "json"));
    paths.sort();
    assert!(!paths.is_empty(), "no files below {}", folder.display());
    println!("{} files of {kind}", paths.len());
    let file = |path: PathBuf| {
        let name = path.strip_prefix(&folder).unwrap().display().to_string();
        (name, String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned())
    };
    Some(paths.into_iter().map(file).collect())
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("FLYWHEEL_DATASETS: {}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, paths) } else { paths.push(path) }
    }
}

/// A reason without the values that it quotes.
fn kind_of(reason: &str) -> String {
    let quoted = reason.split('"').enumerate().map(|(n, part)| if n % 2 == 0 { part } else { "…" });
    let kind: String = quoted.collect();
    kind.split([';', '`']).next().unwrap_or_default().chars().take(80).collect()
}

fn count(table: &mut BTreeMap<String, usize>, what: String) {
    *table.entry(what).or_default() += 1;
}

fn print(title: &str, table: &BTreeMap<String, usize>) {
    println!("\n{title}");
    for (what, how_many) in table {
        println!("{how_many:>6}  {what}");
    }
}
