//! The body of a queue message: one signal, an array of them, or JSON Lines; or what EventBridge puts around one.

use flywheel_model::Signal;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_path_to_error::Segment;

use crate::{envelope, explained, shortened};

/// The most records that are read from one body. An SQS message has room for 1 MiB, which is fewer than this many
/// signals; what comes after is refused as one record.
pub const MOST_RECORDS: usize = 20_000;

/// The most bytes that are looked through for the ends of broken records; a record that never ends is looked through to the
/// end of the message.
const MOST_WASTED: usize = 16 * 1_024 * 1_024;

/// A record that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused<'a> {
    /// Why, naming the field, its value and what to do.
    pub reason: String,
    /// The record as it came, so that it can be sent again once it is mended.
    pub record: &'a str,
}

/// Reads the body of a queue message, record by record. One that is wrong does not keep the others.
///
/// A record is a signal, or an event from EventBridge: a custom one with a signal as its `detail`, or a CloudWatch alarm's
/// change of state. `events/signals` and `events/eventbridge` have examples of all.
#[must_use]
pub fn read(body: &str) -> Signals<'_> {
    let text = body.trim_start_matches('\u{feff}');
    let start = text.len() - text.trim_start().len();
    let (form, position) = if text[start..].starts_with('[') { (Form::Array, start + 1) } else { (Form::Lines, start) };
    Signals { text, position, form, count: 0, wasted: 0, done: false }
}

/// The signals of one body; see [`read`].
#[derive(Debug, Clone)]
pub struct Signals<'a> {
    text: &'a str,
    position: usize,
    form: Form,
    count: usize,
    /// Bytes that were looked through for the end of broken records.
    wasted: usize,
    done: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    Array,
    /// Values one after the other, each on its line or not.
    Lines,
}

impl<'a> Iterator for Signals<'a> {
    type Item = Result<Signal, Refused<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let rest = self.advance()?;
        if self.count >= MOST_RECORDS {
            return Some(self.refuse_rest(format!("the message has more than {MOST_RECORDS} records; send them in several messages")));
        }
        let index = self.count;
        self.count += 1;
        // One typed pass; what fails is looked at again, and only that.
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Signal>();
        if let Some(Ok(signal)) = stream.next() {
            self.position += stream.byte_offset();
            return Some(Ok(signal));
        }
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<&'a RawValue>();
        match stream.next() {
            Some(Ok(record)) => {
                self.position += stream.byte_offset();
                let record = record.get();
                let start = match self.form {
                    Form::Array => format!("[{index}]"),
                    Form::Lines if index > 0 || !self.text[self.position..].trim().is_empty() => format!("record {}: ", index + 1),
                    Form::Lines => String::new(),
                };
                Some(read_record(record, &start).map_err(|reason| Refused { reason, record }))
            }
            found => {
                let error = found.and_then(Result::err).map_or_else(|| "nothing there".to_owned(), |error| error.to_string());
                Some(self.refuse_broken(index, &error))
            }
        }
    }
}

impl<'a> Signals<'a> {
    /// Goes to the start of the next record.
    fn advance(&mut self) -> Option<&'a str> {
        let rest = &self.text[self.position..];
        let mut rest = rest.trim_start();
        if self.form == Form::Array {
            if self.count > 0 {
                match rest.strip_prefix(',') {
                    Some(after) => rest = after.trim_start(),
                    None if rest.starts_with(']') => {}
                    None => {
                        self.position = self.text.len() - rest.len();
                        return Some(rest);
                    }
                }
            }
            if let Some(after) = rest.strip_prefix(']') {
                let is_last = after.trim().is_empty();
                if is_last && self.count > 0 {
                    self.done = true;
                    return None;
                }
                // An empty list, or something behind the list.
                self.form = Form::Lines;
                rest = if is_last { "" } else { after.trim_start() };
            }
        }
        self.position = self.text.len() - rest.len();
        if rest.is_empty() && self.count > 0 && self.form == Form::Lines {
            self.done = true;
            return None;
        }
        Some(rest)
    }

    /// What is no JSON. In lines the next one may be good again; in an array nobody knows where the next record begins.
    fn refuse_broken(&mut self, index: usize, error: &str) -> Result<Signal, Refused<'a>> {
        let rest = &self.text[self.position..];
        if rest.trim().is_empty() && index == 0 {
            self.done = true;
            let reason = "the message is empty; send a signal, an array of signals or one signal a line: see events/signals".to_owned();
            return Err(Refused { reason, record: self.text });
        }
        let at = match self.form {
            Form::Array => format!("[{index}] and what follows"),
            Form::Lines => format!("record {}", index + 1),
        };
        // Serde tells the place within this record.
        let reason = format!("{at}: not JSON: {}; send a signal: see events/signals", explained(error));
        self.wasted += rest.len();
        match (self.form, rest.find("\n{")) {
            (Form::Lines, Some(end)) if self.wasted < MOST_WASTED => {
                self.position += end + 1;
                Err(Refused { reason, record: rest[..end].trim_end() })
            }
            _ => self.refuse_rest(reason),
        }
    }

    fn refuse_rest(&mut self, reason: String) -> Result<Signal, Refused<'a>> {
        self.done = true;
        Err(Refused { reason, record: &self.text[self.position..] })
    }
}

/// A record that is not plainly a signal: an event with one inside, or something wrong.
fn read_record(record: &str, at: &str) -> Result<Signal, String> {
    match envelope::read(record) {
        Some(signal) => signal.map_err(|reason| joined(at, &reason)),
        None => read_signal(record, at),
    }
}

/// Reads a signal; its faults with the whole path, which starts with `at`.
pub(crate) fn read_signal(json: &str, at: &str) -> Result<Signal, String> {
    if let Ok(signal) = serde_json::from_str(json) {
        return Ok(signal);
    }
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let found: Result<Signal, _> = serde_path_to_error::deserialize(&mut deserializer);
    found.map_err(|error| {
        let path = error.path().to_string();
        let path = joined(at, path.trim_start_matches('.'));
        match value_of_time(json, error.path()) {
            Some(time) => format!("{path} is {}; expected a time such as 2026-11-23T12:00:00Z", shortened(&time)),
            None => explain(&path, &error.inner().to_string()),
        }
    })
}

/// The value of a time that is none: what reads times does not tell it.
fn value_of_time(json: &str, path: &serde_path_to_error::Path) -> Option<String> {
    let mut value: &serde_json::Value = &serde_json::from_str(json).ok()?;
    let mut is_time = false;
    for segment in path {
        value = match segment {
            Segment::Seq { index } => value.get(index)?,
            Segment::Map { key } => value.get(key)?,
            _ => return None,
        };
        is_time = matches!(segment, Segment::Map { key } if key == "at");
    }
    is_time.then(|| value.to_string())
}

/// Puts a path and what is wrong there together.
fn explain(path: &str, error: &str) -> String {
    // The place in the text is the path's; the value is in what serde says.
    let error = error.split(" at line ").next().unwrap_or_default();
    let error = match error {
        "duplicate field `turns`" => "`turns` and `messages` are the same, and both or one of them twice are given; send one".into(),
        _ => explained(error),
    };
    match path {
        "" => format!("{error}; see events/schema/signal.json"),
        path => format!("{path}: {error}; see events/schema/signal.json"),
    }
}

/// Two parts of a path.
fn joined(start: &str, rest: &str) -> String {
    match (start, rest) {
        ("", rest) => rest.to_owned(),
        (start, "") => start.trim_end_matches(": ").to_owned(),
        (start, rest) if start.ends_with(' ') || rest.starts_with('[') => format!("{start}{rest}"),
        (start, rest) => format!("{start}.{rest}"),
    }
}

/// The fields that tell a signal from any other object.
#[derive(Deserialize)]
pub(crate) struct Marks {
    id: Option<serde::de::IgnoredAny>,
    at: Option<serde::de::IgnoredAny>,
    retrieval: Option<serde::de::IgnoredAny>,
    conversation: Option<serde::de::IgnoredAny>,
    workflow_run: Option<serde::de::IgnoredAny>,
    release: Option<serde::de::IgnoredAny>,
    alarm: Option<serde::de::IgnoredAny>,
}

impl Marks {
    /// Whether an object is meant to be a signal.
    pub(crate) fn tell_a_signal(&self) -> bool {
        let tells = [&self.retrieval, &self.conversation, &self.workflow_run, &self.release, &self.alarm];
        self.id.is_some() && self.at.is_some() && tells.into_iter().any(Option::is_some)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: &str = r#"{"id":"r-1","at":"2026-11-23T10:00:00Z","retrieval":{"query":"when?"}}"#;

    fn reasons(body: &str) -> Vec<Result<String, String>> {
        read(body).map(|found| found.map(|signal| signal.id.to_string()).map_err(|refused| refused.reason)).collect()
    }

    #[test]
    fn one_an_array_and_lines() {
        for body in [ONE.to_owned(), format!("[{ONE}]"), format!("\u{feff}\n {ONE}\r\n\n"), format!(" [ {ONE} ] ")] {
            assert_eq!(reasons(&body), [Ok("r-1".to_owned())], "{body}");
        }
        for body in [format!("{ONE}\n{ONE}\n"), format!("[{ONE},\n{ONE}]"), format!("{ONE}{ONE}")] {
            assert_eq!(reasons(&body).len(), 2, "{body}");
        }
    }

    #[test]
    fn one_that_is_wrong_does_not_keep_the_others_and_is_named_by_its_path() {
        let wrong = r#"{"id":"r-2","at":"2026-11-23T10:00:00Z","retrieval":{"passages":[{"score":1},{},{"score":"high"}]}}"#;
        let found = reasons(&format!("[{ONE},{wrong},{ONE}]"));
        assert_eq!((found[0].is_ok(), found[2].is_ok(), found.len()), (true, true, 3));
        let reason = found[1].clone().expect_err("refused");
        assert_eq!(reason, "[1].retrieval.passages[2].score: invalid type: string \"high\", expected f64; see events/schema/signal.json");
        let found = reasons(&format!("{ONE}\n{wrong}\n{{\"id\":\n{ONE}"));
        assert_eq!(found.iter().filter(|found| found.is_ok()).count(), 2, "{found:?}");
        assert!(found[1].as_ref().is_err_and(|reason| reason.starts_with("record 2: retrieval.passages[2].score: ")), "{found:?}");
        assert!(found[2].as_ref().is_err_and(|reason| reason.starts_with("record 3: not JSON: ")), "{found:?}");
        assert!(reasons(wrong)[0].as_ref().is_err_and(|reason| reason.starts_with("retrieval.passages[2].score: ")));
    }

    #[test]
    fn a_time_that_is_none_is_quoted() {
        for (body, told) in [
            (ONE.replace("2026-11-23T10:00:00Z", "2026-11-23 10:00"), "at is \"2026-11-23 10:00\"; expected a time such as"),
            (ONE.replace("\"2026-11-23T10:00:00Z\"", "1795428000"), "at is 1795428000; expected a time such as"),
        ] {
            let found = reasons(&body);
            assert!(found[0].as_ref().is_err_and(|reason| reason.starts_with(told)), "{found:?}");
        }
    }

    #[test]
    fn records_that_never_end_do_not_take_for_ever() {
        let body = "{\"x\":[\n".repeat(60_000);
        assert!(read(&body).count() < 100);
    }

    #[test]
    fn nothing_something_else_and_too_much() {
        for (body, told) in [
            ("", "the message is empty"),
            ("[]", "the message is empty"),
            ("hello", "record 1: not JSON"),
            ("[{}", "[0]: missing field `id`"),
            ("17", "invalid type"),
            ("{\"id\":\"x\"", "record 1: not JSON"),
            (&"[".repeat(100_000), "not JSON"),
        ] {
            let found = reasons(body);
            assert!(found[0].as_ref().is_err_and(|reason| reason.contains(told)), "{body:.20}: {found:?}");
        }
        let many = format!("[{}0]", "0,".repeat(MOST_RECORDS + 10));
        assert_eq!(read(&many).count(), MOST_RECORDS + 1);
    }

    #[test]
    fn turns_and_messages_are_one_thing() {
        let told = |conversation: &str| reasons(&format!(r#"{{"id":"c","at":"2026-11-23T10:00:00Z","conversation":{conversation}}}"#));
        assert!(told(r#"{"messages":[{"role":"user","content":"hello"}]}"#)[0].is_ok());
        let both = told(r#"{"messages":[],"turns":[]}"#);
        assert!(both[0].as_ref().is_err_and(|reason| reason.contains("`turns` and `messages`")), "{both:?}");
        let deep = told(r#"{"messages":[{"role":"user","content":7}]}"#);
        assert!(deep[0].as_ref().is_err_and(|reason| reason.starts_with("conversation.messages[0].content: ")), "{deep:?}");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_or_loses_anything(body in ".{0,300}") {
            prop_assert!(read(&body).count() > 0);
        }

        #[test]
        fn whatever_stands_between_good_ones_in_an_array_they_are_found(
            between in proptest::collection::vec("(null|true|[1-9][0-9]{0,4}|\"[a-z\\[\\]{},]{0,9}\"|\\{\\}|\\[\\[\\],1\\])", 0..8),
        ) {
            let mut items = vec![ONE.to_owned()];
            for item in &between {
                items.push(item.clone());
                items.push(ONE.to_owned());
            }
            let found = reasons(&format!("[{}]", items.join(", ")));
            prop_assert_eq!(found.len(), items.len());
            prop_assert_eq!(found.iter().filter(|found| found.is_ok()).count(), between.len() + 1);
        }

        #[test]
        fn a_change_anywhere_is_understood_or_refused(at in any::<prop::sample::Index>(), byte in any::<char>()) {
            let mut text: Vec<char> = format!("[{ONE},{ONE}]").chars().collect();
            let at = at.index(text.len());
            text[at] = byte;
            prop_assert!(read(&text.into_iter().collect::<String>()).count() > 0);
        }
    }
}
