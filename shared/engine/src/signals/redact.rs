//! Every text, key and id of a signal, and of what becomes one, handed to whoever takes out of it what must not be kept.
//! Keys and ids lose only the personal data in them, and equal ones stay equal: they are what counts are kept under and
//! what belongs together is found by. A user's id goes as a whole: it names a person.

use std::borrow::Cow;

use flywheel_model::{Body, Evaluation, Event, Fact, Failure, Feedback, Key, Observation, Passage, Signal, ToolCall, Turn};
use flywheel_redaction::{Kind, Redactor};
use serde_json::{Map, Value};

use super::LONGEST_VALUE;

/// Takes out of signals what must not be kept.
pub trait Redact {
    /// The text without personal data and secrets; itself if there are none.
    fn text<'t>(&self, text: &'t str) -> Cow<'t, str>;

    /// The same of a field's value, with what the field's name says of it.
    fn field<'t>(&self, name: &str, value: &'t str) -> Cow<'t, str>;

    /// The same of an id: ids that differ stay different. One that is a [`Key`] stays one.
    fn id<'t>(&self, id: &'t str) -> Cow<'t, str>;

    /// What stands for a user's id, and is the same for the same user.
    fn user(&self, id: &str) -> String;

    /// The text without values that are known to be personal.
    fn values<'t>(&self, text: &'t str, values: &[(Kind, String)]) -> Cow<'t, str>;
}

impl Redact for Redactor {
    fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.redact(text)
    }

    fn field<'t>(&self, name: &str, value: &'t str) -> Cow<'t, str> {
        self.redact_field(name, value)
    }

    fn id<'t>(&self, id: &'t str) -> Cow<'t, str> {
        self.redact_id(id)
    }

    fn user(&self, id: &str) -> String {
        Self::user(self, id)
    }

    fn values<'t>(&self, text: &'t str, values: &[(Kind, String)]) -> Cow<'t, str> {
        self.redact_values(text, values)
    }
}

/// Hands every text to a function, and lets ids be: a name in one is what things are found by.
pub struct Texts<F>(F);

impl<F: for<'t> Fn(&'t str) -> Cow<'t, str>> Texts<F> {
    /// By this function.
    pub const fn by(function: F) -> Self {
        Self(function)
    }
}

impl<F: for<'t> Fn(&'t str) -> Cow<'t, str>> Redact for Texts<F> {
    fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.0(text)
    }

    fn field<'t>(&self, _: &str, value: &'t str) -> Cow<'t, str> {
        self.0(value)
    }

    fn id<'t>(&self, id: &'t str) -> Cow<'t, str> {
        id.into()
    }

    fn user(&self, id: &str) -> String {
        id.to_owned()
    }

    fn values<'t>(&self, text: &'t str, _: &[(Kind, String)]) -> Cow<'t, str> {
        text.into()
    }
}

/// Redacts a signal: every text, key and id, and its user's id whatever it is.
pub fn redact(signal: &mut Signal, without: &dyn Redact) {
    redact_key(&mut signal.id, without);
    match &mut signal.fact {
        Fact::Retrieval(retrieval) => {
            user(&mut retrieval.user, without);
            let keys = [
                &mut retrieval.knowledge_base,
                &mut retrieval.topic,
                &mut retrieval.conversation,
                &mut retrieval.trace,
                &mut retrieval.search_type,
            ];
            keys.into_iter().flatten().for_each(|key| redact_key(key, without));
            for text in [&mut retrieval.query, &mut retrieval.answer, &mut retrieval.error] {
                redact_text(text, without);
            }
            retrieval.passages.iter_mut().flatten().for_each(|passage| redact_passage(passage, without));
            feedback(&mut retrieval.feedback, without);
            redact_evaluations(&mut retrieval.evaluations, without);
        }
        Fact::Conversation(conversation) => {
            user(&mut conversation.user, without);
            let keys = [
                &mut conversation.conversation,
                &mut conversation.intent,
                &mut conversation.topic,
                &mut conversation.trace,
                &mut conversation.model,
            ];
            keys.into_iter().flatten().for_each(|key| redact_key(key, without));
            let variants = std::mem::take(&mut conversation.variants).into_iter();
            conversation.variants =
                variants.map(|(experiment, variant)| (without.id(&experiment).into_owned(), without.id(&variant).into_owned())).collect();
            conversation.turns.iter_mut().for_each(|turn| redact_turn(turn, without));
            for check in &mut conversation.checks {
                redact_id(&mut check.name, without);
                redact_text(&mut check.detail, without);
            }
            for call in conversation.expected.iter_mut().flat_map(|expected| expected.calls.iter_mut().flatten()) {
                redact_call(call, without);
            }
            conversation.expected.iter_mut().flat_map(|expected| &mut expected.says).for_each(|said| text(said, without));
            redact_text(&mut conversation.error, without);
            feedback(&mut conversation.feedback, without);
            redact_evaluations(&mut conversation.evaluations, without);
        }
        Fact::WorkflowRun(run) => {
            redact_key(&mut run.workflow, without);
            run.trace.iter_mut().for_each(|trace| redact_key(trace, without));
            redact_text(&mut run.error, without);
        }
        Fact::Release(release) => {
            redact_key(&mut release.service, without);
            release.environment.iter_mut().chain(&mut release.causes).for_each(|key| redact_key(key, without));
            redact_text(&mut release.message, without);
        }
        Fact::Alarm(alarm) => {
            redact_key(&mut alarm.name, without);
            redact_text(&mut alarm.reason, without);
        }
    }
}

/// Redacts what failures quote.
pub fn redact_failures(failures: &mut [Failure], without: &dyn Redact) {
    failures.iter_mut().for_each(|failure| text(&mut failure.detail, without));
}

/// Redacts all of an observation.
pub fn redact_observation(observation: &mut Observation, without: &dyn Redact) {
    redact(&mut observation.signal, without);
    redact_failures(&mut observation.failures, without);
}

/// Redacts a refusal, if an event is one.
pub fn redact_refusal(event: &mut Event, without: &dyn Redact) {
    if let Body::InputRefused(refusal) = &mut event.body {
        text(&mut refusal.reason, without);
        text(&mut refusal.input, without);
    }
}

/// Redacts a text that may be there.
pub fn redact_text(optional: &mut Option<String>, without: &dyn Redact) {
    if let Some(found) = optional {
        text(found, without);
    }
}

/// Redacts a key.
pub fn redact_key(key: &mut Key, without: &dyn Redact) {
    let redacted = without.id(key.as_str());
    if redacted != key.as_str() {
        *key = Key::try_from(redacted.into_owned()).expect("a key's placeholders make a key");
    }
}

/// Redacts an id or a name.
pub fn redact_id(id: &mut String, without: &dyn Redact) {
    let redacted = without.id(id);
    if redacted != id.as_str() {
        *id = redacted.into_owned();
    }
}

/// Redacts a passage and where it comes from.
pub fn redact_passage(passage: &mut Passage, without: &dyn Redact) {
    redact_text(&mut passage.text, without);
    redact_text(&mut passage.location, without);
}

/// Redacts what evaluators wrote.
pub fn redact_evaluations(evaluations: &mut [Evaluation], without: &dyn Redact) {
    for evaluation in evaluations {
        // As text, like the failure that quotes it: the two are compared.
        text(&mut evaluation.name, without);
        redact_text(&mut evaluation.label, without);
        redact_text(&mut evaluation.explanation, without);
    }
}

/// Redacts what was said and done in a turn.
pub fn redact_turn(turn: &mut Turn, without: &dyn Redact) {
    redact_text(&mut turn.text, without);
    turn.tool_calls.iter_mut().for_each(|call| redact_call(call, without));
    for result in &mut turn.tool_results {
        result.call.iter_mut().chain(&mut result.name).for_each(|id| redact_id(id, without));
        redact_text(&mut result.text, without);
    }
}

fn redact_call(call: &mut ToolCall, without: &dyn Redact) {
    call.id.iter_mut().chain([&mut call.name]).for_each(|id| redact_id(id, without));
    redact_json(&mut call.arguments, without);
}

fn text(text: &mut String, without: &dyn Redact) {
    let redacted = without.text(text);
    if redacted != text.as_str() {
        *text = redacted.into_owned();
    }
}

fn user(id: &mut Option<Key>, without: &dyn Redact) {
    if let Some(id) = id {
        *id = Key::try_from(without.user(id.as_str())).expect("a placeholder is a key");
    }
}

fn feedback(feedback: &mut Option<Feedback>, without: &dyn Redact) {
    if let Some(feedback) = feedback {
        redact_text(&mut feedback.comment, without);
        redact_text(&mut feedback.correction, without);
    }
}

/// Redacts the values inside JSON, each as what its field's name says that it is; field names too, since some are data
/// (`{"jo@example.com": …}`), and numbers, since some are card numbers.
pub fn redact_json(found: &mut Value, without: &dyn Redact) {
    redact_field("", found, without);
}

fn redact_field(name: &str, found: &mut Value, without: &dyn Redact) {
    match found {
        Value::String(string) => {
            let redacted = without.field(name, string);
            if redacted != string.as_str() {
                *string = redacted.into_owned();
            }
        }
        Value::Number(number) => {
            let digits = number.to_string();
            let redacted = without.field(name, &digits);
            if redacted != digits.as_str() {
                *found = Value::String(redacted.into_owned());
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|inside| redact_field(name, inside, without)),
        Value::Object(fields) => {
            fields.iter_mut().for_each(|(name, inside)| redact_field(name, inside, without));
            if fields.keys().any(|name| without.text(name) != name.as_str()) {
                let renamed: Map<String, Value> =
                    std::mem::take(fields).into_iter().map(|(name, inside)| (without.text(&name).into_owned(), inside)).collect();
                *fields = renamed;
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

/// Redacts input that is no signal, or not a whole one: its users, and what its texts have in them. What is JSON is looked
/// at value by value as well, and written anew only if that finds more.
#[must_use]
pub fn redact_input(input: &str, without: &dyn Redact) -> String {
    let values = |text: &str| serde_json::Deserializer::from_str(text).into_iter::<Value>().collect::<Result<Vec<_>, _>>();
    let found = values(input);
    let is_cut_off = found.as_ref().is_err_and(serde_json::Error::is_eof);
    let text = without_users(&without_escapes(if is_cut_off { whole_values(input) } else { input }), without);
    let text = without.text(&text).into_owned();
    // A placeholder may stand where a quote did.
    let Ok(before) = values(&text).or(found) else { return text };
    let mut after = before.clone();
    for value in &mut after {
        redact_users(value, without);
        redact_json(value, without);
    }
    if after == before && values(&text).is_ok() {
        return text;
    }
    let lines: Vec<String> = after.iter().map(Value::to_string).collect();
    without.text(&lines.join("\n")).into_owned()
}

/// Input that was cut off, without the value that the cut may have halved.
fn whole_values(input: &str) -> &str {
    let value = input.rfind('"').map_or(0, |quote| quote + 1);
    if !input[value..].contains(char::is_alphanumeric) {
        return input;
    }
    &input[..value.max(input.floor_char_boundary(input.len().saturating_sub(LONGEST_VALUE)))]
}

/// The fields of a signal that have a user in them.
const WITH_USER: [&str; 2] = ["retrieval", "conversation"];

fn redact_users(value: &mut Value, without: &dyn Redact) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|inside| redact_users(inside, without)),
        Value::Object(fields) => {
            for (name, inside) in fields {
                match inside.get_mut("user") {
                    Some(user) if WITH_USER.contains(&name.as_str()) && !user.is_null() => {
                        let id = user.as_str().map_or_else(|| user.to_string(), str::to_owned);
                        *user = Value::String(without.user(&id));
                    }
                    _ => redact_users(inside, without),
                }
            }
        }
        _ => {}
    }
}

/// Takes users out of a text that may be JSON, may have been cut off, and may lie in another text.
fn without_users(text: &str, without: &dyn Redact) -> String {
    let mut redacted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("user") {
        let (before, after) = rest.split_at(at + "user".len());
        redacted.push_str(before);
        rest = after;
        let is_field = before.ends_with("\"user");
        let value = after.trim_start_matches(['\\', '"', ' ', ':']);
        let sign = &after[..after.len() - value.len()];
        let length = value.find(['"', '\\', ',', '}', '\n']).unwrap_or(value.len());
        // `"role":"user"` is none.
        if is_field && sign.contains(':') && length > 0 && !value.starts_with("null") {
            redacted.push_str(sign);
            redacted.push_str(&without.user(&value[..length]));
            rest = &value[length..];
        }
    }
    redacted + rest
}

/// Puts the letters in the place of their `\u0040`, as far as they are ASCII and no other sign of JSON.
fn without_escapes(text: &str) -> Cow<'_, str> {
    if !text.contains("\\u00") {
        return text.into();
    }
    let mut parts = text.split("\\u00");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let letter = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match letter.filter(|letter| (0x20..0x7f).contains(letter) && !matches!(letter, b'"' | b'\\')) {
            Some(letter) => {
                plain.push(char::from(letter));
                plain.push_str(&part[2..]);
            }
            None => {
                plain.push_str("\\u00");
                plain.push_str(part);
            }
        }
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JO: &str = "jo@example.com";

    fn redactor() -> Redactor {
        Redactor::new(b"a salt for tests")
    }

    /// A signal of each kind with an address in every text, key and id.
    const ALL: [&str; 5] = [
        r#"{"id":"JO","at":"2026-11-23T10:00:00Z","retrieval":{"knowledge_base":"JO","topic":"JO","conversation":"JO","trace":"JO","user":"JO","query":"JO","passages":[{"text":"JO","location":"s3://b/JO"}],"answer":"JO","search_type":"JO","error":"JO","feedback":{"rating":"negative","comment":"JO","correction":"JO"},"evaluations":[{"name":"JO","label":"JO","explanation":"JO"}]}}"#,
        r#"{"id":"JO","at":"2026-11-23T10:00:00Z","conversation":{"conversation":"JO","intent":"JO","topic":"JO","trace":"JO","user":"JO","variants":{"JO":"JO"},"turns":[{"role":"user","text":"JO"},{"role":"assistant","tool_calls":[{"id":"JO","name":"JO","arguments":{"a":["JO",{"JO":{"b":"JO"}}]}}]},{"role":"tool","tool_results":[{"call":"JO","name":"JO","text":"JO"}]}],"checks":[{"name":"JO","passed":false,"detail":"JO"}],"error":"JO","feedback":{"rating":"negative","comment":"JO"},"evaluations":[{"name":"JO","explanation":"JO"}],"model":"JO"}}"#,
        r#"{"id":"JO","at":"2026-11-23T10:00:00Z","workflow_run":{"workflow":"JO","status":"failed","trace":"JO","error":"JO"}}"#,
        r#"{"id":"JO","at":"2026-11-23T10:00:00Z","release":{"service":"JO","succeeded":false,"environment":"JO","causes":["JO"],"message":"JO"}}"#,
        r#"{"id":"JO","at":"2026-11-23T10:00:00Z","alarm":{"name":"JO","state":"ALARM","reason":"JO"}}"#,
    ];

    #[test]
    fn every_text_key_and_id_is_redacted() {
        for json in ALL {
            let mut signal: Signal = serde_json::from_str(&json.replace("JO", JO)).expect("a signal");
            redact(&mut signal, &redactor());
            let kept = serde_json::to_string(&signal).expect("JSON");
            assert!(!kept.contains(JO), "{kept}");
            assert_eq!(kept.matches("[email:").count() + kept.matches("[user:").count(), json.matches("JO").count(), "{kept}");
            let once = signal.clone();
            redact(&mut signal, &redactor());
            assert_eq!(signal, once, "redacting again changes nothing");
        }
    }

    #[test]
    fn what_belongs_together_still_does() {
        let read = |json: &str| {
            let mut signal: Signal = serde_json::from_str(json).expect("a signal");
            redact(&mut signal, &redactor());
            signal
        };
        let retrieval = read(r#"{"id":"r-1","at":"2026-11-23T10:00:00Z","retrieval":{"conversation":"jo@example.com/7"}}"#);
        let conversation = read(r#"{"id":"jo@example.com/7","at":"2026-11-23T10:00:00Z","conversation":{"user":"u-17"}}"#);
        let (Fact::Retrieval(retrieval), Fact::Conversation(told)) = (retrieval.fact, &conversation.fact) else { panic!("two kinds") };
        assert_eq!(retrieval.conversation.as_ref(), Some(&conversation.id));
        assert_eq!(conversation.id.as_str(), redactor().redact_id("jo@example.com/7"));
        assert_eq!(told.user.as_ref().map(Key::as_str), Some(redactor().user("u-17").as_str()));
    }

    #[test]
    fn values_are_what_their_fields_say_and_others_stay() {
        let mut found = serde_json::json!({
            "card": 4_111_111_111_111_111_u64, "password": "hunter2", "customerPhones": ["987654321"], "pin": 4821,
            "nights": 3, "order": 987_654_321, "names": ["Kettle 2"],
        });
        redact_json(&mut found, &redactor());
        let kept = found.to_string();
        for value in ["4111", "hunter2", "\"987654321\"", "4821"] {
            assert!(!kept.contains(value), "{value}: {kept}");
        }
        assert!(["\"nights\":3", "\"order\":987654321", "Kettle 2"].iter().all(|stays| kept.contains(stays)), "{kept}");
    }

    #[test]
    fn input_that_is_no_signal_loses_its_users_and_what_escapes_hide() {
        for (input, gone) in [
            (r#"{"id":"","retrieval":{"user":"u-17","query":"hours"}}"#, "u-17"),
            (r#"{"id":"","conversation":{"user":17171717}}"#, "17171717"),
            (r#"[{"conversation":{"user":"u-17"}},"#, "u-17"),
            (r#"{"detail":"{\"retrieval\":{\"user\":\"u-17\"}}"}"#, "u-17"),
            (r#"{"query":"jo\u0040example.com"}"#, "example.com"),
            (r#"{"query":"jo\u0040example.com"#, "example.com"),
            (r#"{"arguments":{"dbPassword":"hunter2"}}"#, "hunter2"),
            (r#"{"card":4111111111111111}"#, "4111"),
            (r#"{"query":"it is 4111 1111 1111"#, "4111"),
            (r#"{"card":41111111111"#, "4111"),
        ] {
            let kept = redact_input(input, &redactor());
            assert!(!kept.contains(gone), "{input}: {kept}");
            assert_eq!(redact_input(&kept, &redactor()), kept);
        }
        for stays in [
            r#"{"role":"user", "text":"hours?"}  "#,
            r#"{"a":1,"a":2}"#,
            "user: x",
            r#"{"retrieval":{"#,
            r#"{"retrieval":{"user":null}}"#,
            "",
        ] {
            assert_eq!(redact_input(stays, &redactor()), stays);
        }
    }
}
