//! No stored byte holds a planted secret. Values of each kind that patterns can see are planted anywhere in signals of every
//! kind, which come in on every road: messages of the queue, events of EventBridge, alarms, deliveries of CloudWatch Logs
//! with signals, spans and calls of models. Some are whole; in others fields have wrong types, unknown names or too long
//! texts, some come too late, or are cut off in the middle. The real functions take them in while the world fails on
//! command. Nothing that they keep, count, publish, send on, report or log may have a planted value in it, or three
//! quarters of one.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use assemble_conversations::put_together;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use count_signals::{Counting, Message, read};
use flate2::Compression;
use flate2::write::GzEncoder;
use flywheel_engine::signals::Rules;
use flywheel_intake::Span;
use flywheel_model::{Event, Signal};
use flywheel_policy::Policy;
use flywheel_ports::{Bodies, Bus, Conversations, Found, Group, Guardrail, KeptSpan, SignalQueue, Spans, Unavailable};
use flywheel_redaction::{Kind, Redactor};
use flywheel_testkit::{SignalMemory, SignalProcess};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use read_logs::World;
use serde_json::{Value, json};

const POLICY: &str = r#"mode = "act"
[[data_source]]
knowledge_base = "KB12345678"
data_source = "DS12345678"
bucket = "docs"
"#;

const QUIET: SignedDuration = SignedDuration::from_secs(60);

fn now() -> Timestamp {
    "2026-11-23T12:30:00Z".parse().unwrap()
}

/// Where a value is to stand.
const HERE: &str = "@HERE@";

/// Signals of each kind with a place in every text, key, id, field name and argument.
const SIGNALS: [&str; 5] = [
    r#"{"id":"@HERE@","at":"@AT@","retrieval":{"knowledge_base":"@HERE@","topic":"@HERE@","conversation":"@HERE@","trace":"@HERE@","user":"@HERE@","query":"@HERE@","passages":[{"text":"@HERE@","score":0.4,"location":"s3://b/@HERE@"}],"answer":"@HERE@","search_type":"@HERE@","error":"@HERE@","feedback":{"rating":"negative","comment":"@HERE@","correction":"@HERE@"},"evaluations":[{"name":"@HERE@","score":0.1,"label":"@HERE@","explanation":"@HERE@"}]}}"#,
    r#"{"id":"@HERE@","at":"@AT@","conversation":{"conversation":"@HERE@","intent":"@HERE@","topic":"@HERE@","trace":"@HERE@","user":"@HERE@","variants":{"@HERE@":"@HERE@"},"turns":[{"role":"user","text":"@HERE@"},{"role":"assistant","tool_calls":[{"id":"@HERE@","name":"@HERE@","arguments":{"a":["@HERE@",{"@HERE@":{"b":"@HERE@"}}]}}]},{"role":"tool","tool_results":[{"call":"@HERE@","name":"@HERE@","text":"@HERE@","error":true}]}],"checks":[{"name":"@HERE@","passed":false,"detail":"@HERE@"}],"expected":{"calls":[{"id":"@HERE@","name":"@HERE@","arguments":{"@HERE@":["@HERE@"]}}],"says":["@HERE@"]},"error":"@HERE@","feedback":{"rating":"negative","comment":"@HERE@"},"evaluations":[{"name":"@HERE@","label":"fail","explanation":"@HERE@"}],"model":"@HERE@"}}"#,
    r#"{"id":"@HERE@","at":"@AT@","workflow_run":{"workflow":"@HERE@","status":"failed","trace":"@HERE@","error":"@HERE@"}}"#,
    r#"{"id":"@HERE@","at":"@AT@","release":{"service":"@HERE@","succeeded":false,"environment":"@HERE@","causes":["@HERE@"],"message":"@HERE@"}}"#,
    r#"{"id":"@HERE@","at":"@AT@","alarm":{"name":"@HERE@","state":"ALARM","reason":"@HERE@"}}"#,
];

/// What else has an envelope of its own.
const ALARM: &str = r#"{"id":"@HERE@","source":"aws.cloudwatch","detail-type":"CloudWatch Alarm State Change","time":"2026-11-23T12:00:00Z","detail":{"alarmName":"@HERE@","state":{"value":"ALARM","reason":"@HERE@","timestamp":"2026-11-23T12:00:00.000+0000"}}}"#;

/// What else logs hold: a call of a model, spans of one conversation, a record of what was said.
const LOGS: [&str; 5] = [
    r#"{"schemaType":"ModelInvocationLog","schemaVersion":"1.0","timestamp":"2026-11-23T12:00:00Z","accountId":"123456789012","region":"us-east-1","requestId":"@HERE@","operation":"Converse","modelId":"@HERE@","errorCode":"@HERE@","input":{"inputContentType":"application/json","inputBodyJson":{"system":[{"text":"@HERE@"}],"messages":[{"role":"user","content":[{"text":"@HERE@"}]},{"role":"assistant","content":[{"toolUse":{"toolUseId":"@HERE@","name":"@HERE@","input":{"@HERE@":"@HERE@"}}}]},{"role":"user","content":[{"toolResult":{"toolUseId":"@HERE@","content":[{"text":"@HERE@"}]}}]}]}},"output":{"outputBodyJson":{"output":{"message":{"role":"assistant","content":[{"text":"@HERE@"}]}}}}}"#,
    r#"{"traceId":"t1","spanId":"s1","parentSpanId":"@HERE@","name":"@HERE@","startTimeUnixNano":"1795435200000000000","endTimeUnixNano":"1795435201000000000","status":{"code":"ERROR","message":"@HERE@"},"attributes":{"session.id":"@HERE@","gen_ai.operation.name":"invoke_agent","gen_ai.agent.name":"@HERE@","gen_ai.request.model":"@HERE@","gen_ai.evaluation.name":"@HERE@","gen_ai.evaluation.score.label":"@HERE@","gen_ai.evaluation.explanation":"@HERE@","gen_ai.input.messages":[{"role":"user","parts":[{"type":"text","content":"@HERE@"}]}]},"events":[{"name":"exception","attributes":{"exception.type":"@HERE@","exception.message":"@HERE@"}}]}"#,
    r#"{"traceId":"t1","spanId":"s2","parentSpanId":"s1","name":"execute_tool","startTimeUnixNano":"1795435200000000000","endTimeUnixNano":"1795435201000000000","attributes":{"session.id":"@HERE@","gen_ai.operation.name":"execute_tool","gen_ai.tool.name":"@HERE@","gen_ai.tool.call.id":"@HERE@","gen_ai.tool.call.arguments":"{\"@HERE@\":[\"@HERE@\"]}","gen_ai.tool.call.result":"@HERE@","error.type":"@HERE@"}}"#,
    r#"{"traceId":"@HERE@","spanId":"@HERE@","name":"retrieve","startTimeUnixNano":"1795435200000000000","endTimeUnixNano":"1795435201000000000","attributes":{"session.id":"c-1","gen_ai.operation.name":"retrieval","gen_ai.data_source.id":"@HERE@","gen_ai.retrieval.query.text":"@HERE@","gen_ai.retrieval.documents":[{"id":"@HERE@","content":"@HERE@"}]}}"#,
    r#"{"traceId":"t1","spanId":"s1","timeUnixNano":"1795435200000000000","body":{"input":{"messages":[{"role":"user","content":"@HERE@"}]},"output":{"messages":[{"role":"assistant","content":"@HERE@"}]}},"attributes":{"event.name":"agent","session.id":"@HERE@"}}"#,
];

/// A value of a kind; the number makes it one of many.
fn value(kind: usize, number: u32) -> String {
    let random = "kD93mZ7qLw2XvB8sRtY5pQ1nHcJ6fG0aUeT4oW3i";
    let digits = format!("{:07}", number % 10_000_000);
    match kind {
        0 => format!("jo.{digits}@mail.example.org"),
        1 => format!("+1 415 555 {}", 1_000 + number % 9_000),
        2 => card(&format!("41111111{digits}")),
        3 => iban(&format!("37040044{digits}000")),
        4 => format!("514-{:02}-{:04}", 1 + number % 98, 1 + number % 9_998),
        5 => format!("203.0.{}.{}", number % 256, number / 256 % 256),
        6 => format!("postgres://root:pw{digits}x@db.example.org/x"),
        7 => format!("AKIA{}", format!("{digits}QRSTUVWXYZ").chars().take(16).collect::<String>()),
        8 => format!("ghp_{}{digits}", &random[..29]),
        9 => format!("sk_live_{}{digits}", &random[..17]),
        10 => format!("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI{digits}In0.{random}"),
        11 => format!("-----BEGIN PRIVATE KEY-----\n{random}{digits}\n-----END PRIVATE KEY-----"),
        12 => format!("Bearer {random}{digits}"),
        13 => format!("https://bob:s{digits}t@example.com/x"),
        _ => format!("sk-ant-api03-{random}{digits}"),
    }
}

const KINDS: usize = 15;

fn card(digits: &str) -> String {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(digit - b'0');
            if place % 2 == 0 { digit * 2 / 10 + digit * 2 % 10 } else { digit }
        })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

fn iban(account: &str) -> String {
    // DE is 13 14.
    let rest = format!("{account}131400").bytes().fold(0, |rest, digit| (rest * 10 + u32::from(digit - b'0')) % 97);
    format!("DE{:02}{account}", 98 - rest)
}

/// What stands around a value.
const AROUND: [(&str, &str); 10] = [
    ("", ""),
    ("write to ", " now"),
    ("is it ", "?"),
    ("first line\n", "\nlast line"),
    ("**", "** it was"),
    ("<td>", "</td>"),
    ("{\"a\": \"", "\", \"b\": 1}"),
    ("see (", ")"),
    ("`", "`"),
    ("kettle/", ""),
];

/// How a record is spoilt.
#[derive(Debug, Clone, Copy)]
enum Spoilt {
    Not,
    Late,
    NoTime,
    WrongType,
    UnknownField,
    TooLong,
    CutOff(u16),
    Twice,
}

#[derive(Debug, Clone)]
struct Planted {
    template: usize,
    /// For each place in turn: nothing, or a value and what stands around it.
    values: Vec<Option<(usize, u32, usize)>>,
    spoilt: Spoilt,
    road: u8,
}

fn planted(templates: usize) -> impl Strategy<Value = Planted> {
    let spoilt = prop_oneof![
        6 => Just(Spoilt::Not),
        1 => Just(Spoilt::Late),
        1 => Just(Spoilt::NoTime),
        1 => Just(Spoilt::WrongType),
        1 => Just(Spoilt::UnknownField),
        1 => Just(Spoilt::TooLong),
        2 => any::<u16>().prop_map(Spoilt::CutOff),
        1 => Just(Spoilt::Twice),
    ];
    let value = prop::option::weighted(0.5, (0..KINDS, any::<u32>(), 0..AROUND.len()));
    (0..templates, prop::collection::vec(value, 1..12), spoilt, any::<u8>()).prop_map(|(template, values, spoilt, road)| Planted {
        template,
        values,
        spoilt,
        road,
    })
}

/// A record, and the values in it.
fn write(template: &str, planted: &Planted) -> (String, Vec<String>) {
    let mut text = String::new();
    let mut values = Vec::new();
    let mut turn = planted.values.iter().cycle();
    let mut parts = template.split(HERE);
    text.push_str(parts.next().unwrap());
    for part in parts {
        let text_here = match turn.next().unwrap() {
            None => "kettle".to_owned(),
            Some((kind, number, around)) => {
                // A dotted number after a name and a slash is a program's version.
                let is_version = *kind == 5 && (*around == AROUND.len() - 1 || text.ends_with('/'));
                let (kind, around) = (if is_version { 0 } else { *kind }, *around);
                let value = value(kind, *number);
                let (before, after) = AROUND[around];
                let whole = format!("{before}{value}{after}");
                values.push(value);
                whole
            }
        };
        let long = if matches!(planted.spoilt, Spoilt::TooLong) { "x ".repeat(95) } else { String::new() };
        // As JSON, and once more where the place is in JSON that is a text.
        let mut escaped = json!(long + &text_here).to_string();
        escaped = escaped[1..escaped.len() - 1].to_owned();
        if text.ends_with("\\\"") {
            escaped = json!(escaped).to_string();
            escaped = escaped[1..escaped.len() - 1].to_owned();
        }
        text.push_str(&escaped);
        text.push_str(part);
    }
    let at = match planted.spoilt {
        Spoilt::Late => "2026-11-01T12:00:00Z",
        Spoilt::NoTime => "soon",
        _ => "2026-11-23T12:00:00Z",
    };
    let mut text = text.replace("@AT@", at);
    match planted.spoilt {
        Spoilt::WrongType => text = text.replacen("\":\"", "\":[\"", 2).replacen("\",", "\"],", 2),
        Spoilt::UnknownField => text = text.replacen("\"id\"", "\"idd\"", 1).replacen("\"error\"", "\"failure\"", 1),
        Spoilt::Twice => text = format!("{text}{text}"),
        _ => {}
    }
    (text, values)
}

/// A message that ends too soon.
fn cut_off(mut text: String, planted: &Planted) -> String {
    if let Spoilt::CutOff(at) = planted.spoilt {
        text.truncate(text.floor_char_boundary(usize::from(at) % text.len()));
    }
    text
}

/// What everything that is kept, sent and logged comes to, as text.
#[derive(Clone, Default)]
struct Kept(Rc<RefCell<Vec<String>>>, Rc<RefCell<Vec<(Span, Timestamp)>>>, Rc<RefCell<Vec<Signal>>>);

impl Kept {
    fn add(&self, what: String) {
        self.0.borrow_mut().push(what);
    }
}

impl Spans for Kept {
    async fn keep(&self, span: &Span, arrived_at: Timestamp) -> Result<(), Unavailable> {
        self.add(serde_json::to_string(span).unwrap());
        self.1.borrow_mut().push((span.clone(), arrived_at));
        Ok(())
    }

    async fn spans(&self, group: &Group) -> Result<Vec<KeptSpan>, Unavailable> {
        let is_in = |span: &Span| match group {
            Group::Conversation(name) => span.conversation.as_ref() == Some(name),
            Group::Trace(trace) => span.trace == *trace,
        };
        let spans = self.1.borrow();
        Ok(spans.iter().filter(|(span, _)| is_in(span)).map(|(span, at)| KeptSpan { span: span.clone(), arrived_at: *at }).collect())
    }
}

impl Conversations for Kept {
    async fn assemble(&self, group: &Group, _: SignedDuration) -> Result<(), Unavailable> {
        self.add(serde_json::to_string(group).unwrap());
        Ok(())
    }
}

impl SignalQueue for Kept {
    async fn send(&self, signals: &[Signal]) -> Result<(), Unavailable> {
        self.add(serde_json::to_string(signals).unwrap());
        self.2.borrow_mut().extend_from_slice(signals);
        Ok(())
    }
}

impl Bodies for Kept {
    async fn fetch(&self, _: &str) -> Result<Option<Vec<u8>>, Unavailable> {
        Ok(None)
    }
}

impl Bus for Kept {
    async fn publish(&self, events: &[Event]) -> Result<(), Unavailable> {
        self.add(serde_json::to_string(events).unwrap());
        Ok(())
    }
}

/// The log of the functions, in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

/// Does something, and gives what was logged meanwhile.
fn logged(work: impl FnOnce()) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().json().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, work);
    let bytes = log.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

/// Counts what messages have in them; gives all that came of it.
fn count(bodies: &[String], unavailable: f64) -> String {
    let memory = Rc::new(RefCell::new(SignalMemory { unavailable, ..SignalMemory::new(7) }));
    let process = SignalProcess(memory.clone());
    let rules = Rules::new(&Policy::parse(POLICY).unwrap());
    let redactor = Redactor::new(b"a salt for tests");
    let mut came_to = String::new();
    let log = logged(|| {
        let counting =
            Counting { store: &process, observations: &process, bus: &process, rules: &rules, redact: &redactor, guardrail: None };
        let messages = bodies.iter().enumerate().map(|(id, body)| Message { id: id.to_string(), arrived_at: now(), records: read(body) });
        let report = finish(counting.count(messages.collect(), now()));
        came_to = format!("{report:?}");
    });
    let memory = memory.borrow();
    let objects: Vec<String> = memory.objects.values().flatten().map(|kept| serde_json::to_string(kept).unwrap()).collect();
    let events: Vec<String> = memory.ledger.values().map(|event| serde_json::to_string(event).unwrap()).collect();
    [came_to, log, format!("{memory:?}"), objects.join("\n"), events.join("\n")].join("\n")
}

fn delivery(messages: &[String]) -> Vec<u8> {
    let events: Vec<Value> =
        messages.iter().map(|message| json!({ "id": "1", "timestamp": 1_795_435_200_000_i64, "message": message })).collect();
    let payload = json!({ "messageType": "DATA_MESSAGE", "logGroup": "g", "logStream": "s", "logEvents": events });
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(payload.to_string().as_bytes()).unwrap();
    json!({ "awslogs": { "data": STANDARD.encode(packed.finish().unwrap()) } }).to_string().into_bytes()
}

/// Reads a delivery, puts what it has together, and counts it; gives all that came of it.
fn read_logs(input: &[u8]) -> String {
    read_logs_with(input, None)
}

fn read_logs_with(input: &[u8], guardrail: Option<&dyn Guardrail>) -> String {
    let kept = Kept::default();
    let redactor = Redactor::new(b"a salt for tests");
    let world = World { spans: kept.clone(), conversations: kept.clone(), signals: kept.clone(), bodies: kept.clone(), bus: kept.clone() };
    let policy = Policy::parse(POLICY).unwrap();
    let log = logged(|| match finish(world.take_in(input, &redactor, guardrail, &policy, now())) {
        Ok(report) => kept.add(format!("{report:?}")),
        // What a function fails with is logged by Lambda.
        Err(error) => kept.add(error.to_string()),
    });
    let groups: BTreeSet<Group> = kept
        .1
        .borrow()
        .iter()
        .map(|(span, _)| span.conversation.clone().map_or_else(|| Group::Trace(span.trace.clone()), Group::Conversation))
        .collect();
    for group in &groups {
        finish(put_together(&kept, &kept, &kept, group, QUIET, now() + QUIET + QUIET)).unwrap();
    }
    let bodies: Vec<String> = kept.2.borrow().iter().map(|signal| serde_json::to_string(signal).unwrap()).collect();
    let counted = count(&bodies, 0.0);
    let texts = kept.0.borrow().join("\n");
    [log, texts, counted].join("\n")
}

/// The parts of a value that must not be seen: it, and all but its last quarter, as they are and as JSON escapes them.
fn traces(value: &str) -> BTreeSet<String> {
    let most = value.floor_char_boundary(value.len() * 3 / 4);
    let mut traces = BTreeSet::new();
    // What is secret of a URL is between the slashes and the @.
    let value = value.split_once("://").map_or(value, |(_, rest)| rest.split('@').next().unwrap());
    let most = &value[..most.min(value.len())];
    for text in [value, most] {
        let escaped = json!(text).to_string();
        let twice = json!(escaped).to_string();
        traces.extend([text.to_owned(), escaped[1..escaped.len() - 1].to_owned(), twice[3..twice.len() - 3].to_owned()]);
    }
    traces
}

fn holds_none(came_to: &str, values: &[String]) -> Result<(), TestCaseError> {
    let lower = came_to.to_lowercase();
    for value in values {
        for trace in traces(value) {
            let found = lower.find(&trace.to_lowercase());
            let around = found
                .map(|at| &lower[lower.floor_char_boundary(at.saturating_sub(120))..lower.ceil_char_boundary((at + 160).min(lower.len()))]);
            prop_assert!(around.is_none(), "{trace:?} of {value:?} is in …{}…", around.unwrap_or_default());
        }
    }
    Ok(())
}

fn envelope(signal: &str, road: u8) -> String {
    let kind = ["retrieval", "conversation", "workflow_run", "release", "alarm"]
        .into_iter()
        .find(|kind| signal.contains(&format!("\"{kind}\":{{")));
    let kind = kind.unwrap_or("retrieval");
    match road % 5 {
        0 => signal.to_owned(),
        1 => format!(r#"{{"id":"e-1","detail-type":"signal.{kind}","source":"app","time":"2026-11-23T12:00:00Z","detail":{signal}}}"#),
        2 => format!("[{signal},{signal}]"),
        3 => format!("\u{feff}{signal}\n{{\"broken\n{signal}"),
        _ => format!(r#"{{"detail-type":"signal.other","source":"app","detail":{signal}}}"#),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_message_leaves_a_secret(all in prop::collection::vec(planted(SIGNALS.len() + 1), 1..4), fails in any::<bool>()) {
        let mut bodies = Vec::new();
        let mut values = Vec::new();
        for planted in &all {
            let template = SIGNALS.get(planted.template).copied().unwrap_or(ALARM);
            let (text, more) = write(template, planted);
            bodies.push(cut_off(if template == ALARM { text } else { envelope(&text, planted.road) }, planted));
            values.extend(more);
        }
        holds_none(&count(&bodies, if fails { 0.3 } else { 0.0 }), &values)?;
    }

    #[test]
    fn no_delivery_of_logs_leaves_a_secret(all in prop::collection::vec(planted(LOGS.len() + SIGNALS.len()), 1..4), broken in prop::option::weighted(0.1, any::<u8>())) {
        let mut messages = Vec::new();
        let mut values = Vec::new();
        for planted in &all {
            let template = LOGS.get(planted.template).copied().unwrap_or_else(|| SIGNALS[planted.template - LOGS.len()]);
            let (text, more) = write(template, planted);
            // What quotes a text in the middle of another cannot know that it was cut off.
            messages.push(if broken.is_some() { text } else { cut_off(text, planted) });
            values.extend(more);
        }
        let mut input = delivery(&messages);
        if let Some(at) = broken {
            // No delivery: what it is instead is told in the log.
            let wrong = json!({ "awslogs": { "data": 1 }, "message": messages[0] }).to_string();
            input = if at % 2 == 0 { wrong.into_bytes() } else { json!(messages[0]).to_string().into_bytes() };
        }
        holds_none(&read_logs(&input), &values)?;
    }
}

/// The test can fail: without redaction everything is there.
#[test]
fn what_is_not_redacted_is_seen() {
    for kind in 0..KINDS {
        let value = value(kind, 4_242_424);
        assert!(holds_none(&json!({ "query": value }).to_string(), std::slice::from_ref(&value)).is_err(), "{value}");
    }
}

/// A salt gives one placeholder to one value on every road, so that joining still works.
#[test]
fn one_conversation_has_one_id_on_every_road() {
    let id = "jo.1234567@mail.example.org/7";
    let signal = json!({ "id": id, "at": "2026-11-23T12:00:00Z", "conversation": { "conversation": id, "error": "boom" } }).to_string();
    let kept = Redactor::new(b"a salt for tests").redact_id(id).into_owned();
    let span = json!({
        "traceId": "t1", "spanId": "s1", "name": "agent", "startTimeUnixNano": "1795435200000000000",
        "attributes": { "session.id": id, "gen_ai.operation.name": "invoke_agent" },
    });
    let by_road = BTreeMap::from([
        ("queue", count(std::slice::from_ref(&signal), 0.0)),
        ("EventBridge", count(&[envelope(&signal, 1)], 0.0)),
        ("logged signal", read_logs(&delivery(&[signal]))),
        ("span", read_logs(&delivery(&[span.to_string()]))),
    ]);
    for (road, came_to) in by_road {
        assert!(came_to.contains(&format!("\"conversation\":\"{kept}\"")), "{road}: {came_to}");
    }
}

/// Knows one name, and answers if it is to.
struct Names {
    answers: bool,
}

impl Guardrail for Names {
    fn find<'a>(&'a self, _: &'a [String]) -> Pin<Box<dyn Future<Output = Result<Found, Unavailable>> + 'a>> {
        let unavailable = Unavailable { what: "apply the guardrail", why: "ThrottlingException".to_owned() };
        let found = vec![(Kind::PersonName, "Lena Berg".to_owned())];
        Box::pin(std::future::ready(if self.answers { Ok(found) } else { Err(unavailable) }))
    }
}

#[test]
fn names_in_spans_and_refusals_go_to_the_guardrail_before_they_are_kept() {
    let span = json!({
        "traceId": "t1", "spanId": "s1", "name": "agent", "startTimeUnixNano": "1795435200000000000",
        "attributes": {
            "session.id": "c-1", "gen_ai.operation.name": "invoke_agent",
            "gen_ai.input.messages": [{ "role": "user", "parts": [{ "type": "text", "content": "I am Lena Berg, order 7" }] }],
        },
    });
    let refused = json!({ "id": "1", "at": "soon", "conversation": { "error": "Lena Berg left" } });
    let input = delivery(&[span.to_string(), refused.to_string()]);
    let came_to = read_logs_with(&input, Some(&Names { answers: true }));
    assert!(!came_to.contains("Lena") && came_to.contains("order 7") && came_to.contains("refused: 1"), "{came_to}");
    let came_to = read_logs_with(&input, Some(&Names { answers: false }));
    assert!(!came_to.contains("Lena") && !came_to.contains("order 7") && came_to.contains("ThrottlingException"), "{came_to}");
}
