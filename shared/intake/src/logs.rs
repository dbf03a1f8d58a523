//! A subscription of CloudWatch Logs, as it invokes a function (CloudWatch Logs user guide, "Log group-level subscription
//! filters"): JSON in gzip in base64. What a log event is, its own content tells; log groups may have any name.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flywheel_model::Signal;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::ingestion::IngestionLog;
use crate::invocation::{self, Offloaded};
use crate::signals::{Marks, read_signal};
use crate::span::{self, Span};
use crate::{explained, gunzip, ingestion, shortened};

/// What a subscription delivers.
#[derive(Debug, Clone, PartialEq)]
pub enum Delivery {
    /// CloudWatch Logs asks whether the function can be reached; nothing is to be done.
    Control,
    /// Log events of one stream.
    Data {
        /// The log group.
        group: String,
        /// The log stream.
        stream: String,
        /// The events, in order.
        events: Vec<LogEvent>,
    },
}

/// One log event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEvent {
    /// Its id in CloudWatch Logs.
    pub id: String,
    /// When it was logged.
    pub at: Option<Timestamp>,
    /// What was logged.
    pub message: String,
}

/// What a log event tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A signal: one that the application logged as it is, or a call of a model.
    Signal(Box<Signal>),
    /// A call of a model whose content lies in S3.
    Offloaded(Box<Offloaded>),
    /// What a knowledge base tells of its ingestion.
    Ingestion(Box<IngestionLog>),
    /// A fragment of a trace. It becomes signals together with the others of its conversation, see [`assemble`].
    ///
    /// [`assemble`]: crate::assemble
    Span(Box<Span>),
    /// Nothing for us, for this reason.
    PassedOver(&'static str),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    message_type: String,
    #[serde(default)]
    log_group: String,
    #[serde(default)]
    log_stream: String,
    #[serde(default)]
    log_events: Vec<Value>,
}

impl Delivery {
    /// The most bytes that a delivery unpacks to.
    pub const MOST_UNPACKED: u64 = crate::MOST_UNPACKED;

    /// Unpacks what Lambda got: `{"awslogs": {"data": "…"}}`.
    ///
    /// # Errors
    /// Why it is no delivery, naming the field and what was expected.
    pub fn unpack(input: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Input<'a> {
            #[serde(borrow)]
            awslogs: Data<'a>,
        }
        #[derive(Deserialize)]
        struct Data<'a> {
            #[serde(borrow)]
            data: std::borrow::Cow<'a, str>,
        }
        let input: Input = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(input))
            .map_err(|error| format!("{}; expected a delivery of CloudWatch Logs: see events/logs", located(&error)))?;
        let packed = STANDARD.decode(input.awslogs.data.as_bytes()).map_err(|error| format!("awslogs.data: it is no base64: {error}"))?;
        let unpacked = gunzip(&packed).map_err(|reason| format!("awslogs.data: {reason}"))?;
        Self::parse(&unpacked).map_err(|reason| format!("awslogs.data: {reason}"))
    }

    fn parse(unpacked: &[u8]) -> Result<Self, String> {
        let mut deserializer = serde_json::Deserializer::from_slice(unpacked);
        let payload: Payload = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| located(&error))?;
        match payload.message_type.as_str() {
            "CONTROL_MESSAGE" => Ok(Self::Control),
            "DATA_MESSAGE" => Ok(Self::Data {
                group: payload.log_group,
                stream: payload.log_stream,
                events: payload.log_events.into_iter().map(LogEvent::from).collect(),
            }),
            other => Err(format!("messageType is {:?}; expected DATA_MESSAGE or CONTROL_MESSAGE", shortened(other))),
        }
    }
}

/// What is wrong, with its path.
fn located(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let (path, error) = (error.path().to_string(), error.inner().to_string());
    let wrong = explained(&error);
    if path == "." { wrong.into_owned() } else { format!("{path}: {wrong}") }
}

impl From<Value> for LogEvent {
    /// Whatever is there: an event without an id or a time is read all the same.
    fn from(mut event: Value) -> Self {
        let message = match event.get_mut("message").map(Value::take) {
            Some(Value::String(message)) => message,
            Some(message) => message.to_string(),
            None => event.to_string(),
        };
        let at = event.get("timestamp").and_then(Value::as_i64).and_then(|at| Timestamp::from_millisecond(at).ok());
        Self { id: event.get("id").and_then(Value::as_str).unwrap_or_default().to_owned(), at, message }
    }
}

impl LogEvent {
    /// Reads the event: one record, or of a batch of spans one for each.
    #[must_use]
    pub fn read(&self) -> Vec<Result<Record, String>> {
        let text = self.message.trim();
        if !text.starts_with('{') {
            return vec![Ok(Record::PassedOver("a line of text"))];
        }
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            // CloudWatch cuts an event that is too long. What was to be one of ours is told; any other is not ours to judge.
            Err(error) => {
                let ours = ["\"ModelInvocationLog\"", "\"StartIngestionJob.", "\"spanId\"", "\"resourceSpans\""];
                return vec![match ours.into_iter().find(|mark| text.contains(mark)) {
                    Some(mark) => Err(format!("the log event has {mark} but is not JSON: {error}; was it cut off?")),
                    None => Ok(Record::PassedOver("a line of text")),
                }];
            }
        };
        if value.get("resourceSpans").is_some() || value.get("resourceLogs").is_some() {
            let fragments = span::read_batch(&value, self.at);
            if fragments.is_empty() {
                return vec![Ok(Record::PassedOver("a batch without spans"))];
            }
            return fragments.into_iter().map(keep).collect();
        }
        vec![self.read_one(text, value)]
    }

    fn read_one(&self, text: &str, value: Value) -> Result<Record, String> {
        if value.get("schemaType").and_then(Value::as_str) == Some("ModelInvocationLog") {
            return invocation::read(value);
        }
        if ingestion::is_ingestion(&value) {
            return ingestion::read(&value, self.at);
        }
        if span::is_fragment(&value) {
            return keep(span::read(&value, self.at).map(Some));
        }
        if serde_json::from_str::<Marks>(text).is_ok_and(|marks| marks.tell_a_signal()) {
            return Ok(Record::Signal(Box::new(read_signal(text, "")?)));
        }
        Ok(Record::PassedOver("JSON of another kind"))
    }
}

/// A fragment that nothing can come of need not be kept.
fn keep(fragment: Result<Option<Span>, String>) -> Result<Record, String> {
    Ok(match fragment? {
        Some(span) if span.matters() => Record::Span(Box::new(span)),
        Some(_) => Record::PassedOver("a span without generative AI, a session or a timeout"),
        None => Record::PassedOver("a log record of no trace"),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn packed(payload: &[u8]) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(payload).expect("gzip");
        json!({ "awslogs": { "data": STANDARD.encode(gzip.finish().expect("gzip")) } }).to_string().into_bytes()
    }

    fn records(message: &str) -> Vec<Result<Record, String>> {
        LogEvent { id: "1".into(), at: Timestamp::from_second(1_700_000_000).ok(), message: message.into() }.read()
    }

    #[test]
    fn data_and_control_messages() {
        let payload = json!({
            "messageType": "DATA_MESSAGE", "owner": "111122223333", "logGroup": "aws/spans", "logStream": "default",
            "logEvents": [{ "id": "1", "timestamp": 1_700_000_000_000_i64, "message": "hello" }, { "message": { "a": 1 } }, 7],
        });
        let Ok(Delivery::Data { group, events, .. }) = Delivery::unpack(&packed(payload.to_string().as_bytes())) else { panic!("data") };
        assert_eq!((group.as_str(), events.len()), ("aws/spans", 3));
        assert_eq!((events[0].message.as_str(), events[1].message.as_str(), events[2].message.as_str()), ("hello", "{\"a\":1}", "7"));
        assert_eq!(Delivery::unpack(&packed(br#"{"messageType":"CONTROL_MESSAGE"}"#)), Ok(Delivery::Control));
    }

    #[test]
    fn what_is_no_delivery_is_refused() {
        for (input, told) in [
            (b"{}".to_vec(), "missing field `awslogs`"),
            (br#"{"awslogs":{"data":"%"}}"#.to_vec(), "awslogs.data: it is no base64"),
            (br#"{"awslogs":{"data":"aGVsbG8="}}"#.to_vec(), "awslogs.data: it is no gzip"),
            (packed(b"{"), "awslogs.data: "),
            (packed(br#"{"messageType":"OTHER"}"#), "messageType is \"OTHER\""),
        ] {
            let reason = Delivery::unpack(&input).expect_err(told);
            assert!(reason.contains(told), "{reason}");
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let bomb = packed(&vec![b' '; usize::try_from(crate::MOST_UNPACKED).expect("fits") + 1]);
        assert!(bomb.len() < 1_000_000);
        let reason = Delivery::unpack(&bomb).expect_err("refused");
        assert!(reason.contains("more than 33554432 bytes"), "{reason}");
    }

    #[test]
    fn a_log_event_is_told_by_its_content() {
        let signal = r#"{"id":"r","at":"2026-11-23T10:00:00Z","retrieval":{}}"#;
        assert!(matches!(records(signal)[..], [Ok(Record::Signal(_))]));
        assert!(matches!(records(&signal.replace("{}", "7"))[..], [Err(_)]));
        for other in ["START RequestId: 1", "{not JSON", "{}", r#"{"level":"INFO","message":"hello"}"#, "[1]", ""] {
            assert!(matches!(records(other)[..], [Ok(Record::PassedOver(_))]), "{other}");
        }
        assert!(matches!(&records(r#"{"schemaType":"ModelInvocationLog","input":"#)[..], [Err(reason)] if reason.contains("cut off")));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,200}") {
            let _ = Delivery::unpack(&bytes);
            let _ = Delivery::unpack(&packed(&bytes));
            prop_assert_eq!(records(&text).len(), 1);
        }
    }
}
