//! Every text of a signal, and of what becomes one, handed to whoever takes out of it what must not be kept. Ids and keys
//! stay: they are what counts are kept under. A user's id does not: it names a person.

use std::borrow::Cow;

use flywheel_model::{Evaluation, Fact, Failure, Feedback, Key, Passage, Signal, Turn};
use flywheel_redaction::Redactor;
use serde_json::{Map, Value};

/// Takes out of signals what must not be kept.
pub trait Redact {
    /// The text without personal data and secrets; itself if there are none.
    fn text<'t>(&self, text: &'t str) -> Cow<'t, str>;

    /// What stands for a user's id, and is the same for the same user.
    fn user(&self, id: &Key) -> Key;
}

impl Redact for Redactor {
    fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.redact(text)
    }

    fn user(&self, id: &Key) -> Key {
        Key::try_from(Self::user(self, id.as_str())).expect("a placeholder is a key")
    }
}

/// Redacts every text of a signal, and its user's id whatever it is.
pub fn redact(signal: &mut Signal, without: &dyn Redact) {
    match &mut signal.fact {
        Fact::Retrieval(retrieval) => {
            user(&mut retrieval.user, without);
            for text in [&mut retrieval.query, &mut retrieval.answer, &mut retrieval.error] {
                redact_text(text, without);
            }
            retrieval.passages.iter_mut().flatten().for_each(|passage| redact_passage(passage, without));
            feedback(&mut retrieval.feedback, without);
            redact_evaluations(&mut retrieval.evaluations, without);
        }
        Fact::Conversation(conversation) => {
            user(&mut conversation.user, without);
            conversation.turns.iter_mut().for_each(|turn| redact_turn(turn, without));
            conversation.checks.iter_mut().for_each(|check| redact_text(&mut check.detail, without));
            redact_text(&mut conversation.error, without);
            feedback(&mut conversation.feedback, without);
            redact_evaluations(&mut conversation.evaluations, without);
        }
        Fact::WorkflowRun(run) => redact_text(&mut run.error, without),
        Fact::Release(release) => redact_text(&mut release.message, without),
        Fact::Alarm(alarm) => redact_text(&mut alarm.reason, without),
    }
}

/// Redacts what failures quote.
pub fn redact_failures(failures: &mut [Failure], without: &dyn Redact) {
    failures.iter_mut().for_each(|failure| text(&mut failure.detail, without));
}

/// Redacts a text that may be there.
pub fn redact_text(optional: &mut Option<String>, without: &dyn Redact) {
    if let Some(found) = optional {
        text(found, without);
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
        redact_text(&mut evaluation.label, without);
        redact_text(&mut evaluation.explanation, without);
    }
}

/// Redacts what was said and done in a turn.
pub fn redact_turn(turn: &mut Turn, without: &dyn Redact) {
    redact_text(&mut turn.text, without);
    turn.tool_calls.iter_mut().for_each(|call| redact_json(&mut call.arguments, without));
    turn.tool_results.iter_mut().for_each(|result| redact_text(&mut result.text, without));
}

fn text(text: &mut String, without: &dyn Redact) {
    let redacted = without.text(text);
    if redacted != text.as_str() {
        *text = redacted.into_owned();
    }
}

fn user(id: &mut Option<Key>, without: &dyn Redact) {
    if let Some(id) = id {
        *id = without.user(id);
    }
}

fn feedback(feedback: &mut Option<Feedback>, without: &dyn Redact) {
    if let Some(feedback) = feedback {
        redact_text(&mut feedback.comment, without);
        redact_text(&mut feedback.correction, without);
    }
}

/// Redacts the strings inside JSON; field names too, since some are data (`{"jo@example.com": …}`), and numbers, since
/// some are card numbers.
pub fn redact_json(found: &mut Value, without: &dyn Redact) {
    match found {
        Value::String(string) => text(string, without),
        Value::Number(number) => {
            let digits = number.to_string();
            let redacted = without.text(&digits);
            if redacted != digits.as_str() {
                *found = Value::String(redacted.into_owned());
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|inside| redact_json(inside, without)),
        Value::Object(fields) => {
            fields.values_mut().for_each(|inside| redact_json(inside, without));
            if fields.keys().any(|name| without.text(name) != name.as_str()) {
                let renamed: Map<String, Value> =
                    std::mem::take(fields).into_iter().map(|(name, inside)| (without.text(&name).into_owned(), inside)).collect();
                *fields = renamed;
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes one word out, and every user.
    struct Without(&'static str);

    impl Redact for Without {
        fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
            if text.contains(self.0) { text.replace(self.0, "-").into() } else { text.into() }
        }

        fn user(&self, _: &Key) -> Key {
            Key::try_from("-").expect("a key")
        }
    }

    /// A signal of each kind with "pii" in every text and in no id or key.
    const ALL: [&str; 5] = [
        r#"{"id":"i","at":"2026-11-23T10:00:00Z","retrieval":{"knowledge_base":"kb","topic":"t","user":"pii","query":"pii","passages":[{"text":"pii","location":"s3://b/pii"}],"answer":"pii","error":"pii","feedback":{"rating":"negative","comment":"pii","correction":"pii"},"evaluations":[{"name":"n","label":"pii","explanation":"pii"}]}}"#,
        r#"{"id":"i","at":"2026-11-23T10:00:00Z","conversation":{"user":"pii","turns":[{"role":"user","text":"pii"},{"role":"assistant","tool_calls":[{"id":"c","name":"n","arguments":{"a":["pii",{"pii":{"b":"pii"}}]}}]},{"role":"tool","tool_results":[{"call":"c","text":"pii"}]}],"checks":[{"name":"n","passed":false,"detail":"pii"}],"error":"pii","feedback":{"rating":"negative","comment":"pii"},"evaluations":[{"name":"n","explanation":"pii"}]}}"#,
        r#"{"id":"i","at":"2026-11-23T10:00:00Z","workflow_run":{"workflow":"w","status":"failed","error":"pii"}}"#,
        r#"{"id":"i","at":"2026-11-23T10:00:00Z","release":{"service":"s","succeeded":false,"message":"pii"}}"#,
        r#"{"id":"i","at":"2026-11-23T10:00:00Z","alarm":{"name":"a","state":"ALARM","reason":"pii"}}"#,
    ];

    #[test]
    fn every_text_is_redacted() {
        for json in ALL {
            let mut signal: Signal = serde_json::from_str(json).expect("a signal");
            redact(&mut signal, &Without("pii"));
            let kept = serde_json::to_string(&signal).expect("JSON");
            assert!(!kept.contains("pii"), "{kept}");
            assert_eq!(kept.matches('-').count() - 2, json.matches("pii").count(), "{kept}");
        }
    }

    #[test]
    fn a_user_is_kept_as_a_placeholder_that_redacting_again_leaves() {
        let redactor = Redactor::new(b"a salt for tests");
        let mut signal: Signal =
            serde_json::from_str(r#"{"id":"i","at":"2026-11-23T10:00:00Z","retrieval":{"user":"u-17","query":"hours"}}"#)
                .expect("a signal");
        redact(&mut signal, &redactor);
        let once = signal.clone();
        redact(&mut signal, &redactor);
        assert_eq!(signal, once);
        let Fact::Retrieval(retrieval) = signal.fact else { panic!("a retrieval") };
        assert_eq!(retrieval.user.as_ref().map(Key::as_str), Some(redactor.user("u-17").as_str()));
    }

    #[test]
    fn numbers_that_are_personal_are_redacted_and_others_stay_numbers() {
        let mut found = serde_json::json!({ "card": 4_111_111_111_111_111_u64, "nights": 3 });
        redact_json(&mut found, &Without("4111111111111111"));
        assert_eq!(found, serde_json::json!({ "card": "-", "nights": 3 }));
    }
}
