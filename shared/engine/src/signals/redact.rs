//! Every text of a signal, handed to whoever takes out of it what must not be kept. Ids and keys stay: they are what
//! counts are kept under.

use flywheel_model::{Evaluation, Fact, Failure, Feedback, Signal, Turn};
use serde_json::{Map, Value};

use super::Redact;

/// Redacts every text of a signal.
pub fn redact(signal: &mut Signal, without: &Redact) {
    match &mut signal.fact {
        Fact::Retrieval(retrieval) => {
            for text in [&mut retrieval.query, &mut retrieval.answer, &mut retrieval.error] {
                optional(text, without);
            }
            for passage in retrieval.passages.iter_mut().flatten() {
                optional(&mut passage.text, without);
                optional(&mut passage.location, without);
            }
            feedback(&mut retrieval.feedback, without);
            evaluations(&mut retrieval.evaluations, without);
        }
        Fact::Conversation(conversation) => {
            conversation.turns.iter_mut().for_each(|said| turn(said, without));
            conversation.checks.iter_mut().for_each(|check| optional(&mut check.detail, without));
            optional(&mut conversation.error, without);
            feedback(&mut conversation.feedback, without);
            evaluations(&mut conversation.evaluations, without);
        }
        Fact::WorkflowRun(run) => optional(&mut run.error, without),
        Fact::Release(release) => optional(&mut release.message, without),
        Fact::Alarm(alarm) => optional(&mut alarm.reason, without),
    }
}

/// Redacts what failures quote.
pub fn redact_failures(failures: &mut [Failure], without: &Redact) {
    failures.iter_mut().for_each(|failure| text(&mut failure.detail, without));
}

fn text(text: &mut String, without: &Redact) {
    let redacted = without(text);
    if redacted != text.as_str() {
        *text = redacted.into_owned();
    }
}

fn optional(optional: &mut Option<String>, without: &Redact) {
    if let Some(found) = optional {
        text(found, without);
    }
}

fn feedback(feedback: &mut Option<Feedback>, without: &Redact) {
    if let Some(feedback) = feedback {
        optional(&mut feedback.comment, without);
        optional(&mut feedback.correction, without);
    }
}

fn evaluations(evaluations: &mut [Evaluation], without: &Redact) {
    for evaluation in evaluations {
        optional(&mut evaluation.label, without);
        optional(&mut evaluation.explanation, without);
    }
}

fn turn(turn: &mut Turn, without: &Redact) {
    optional(&mut turn.text, without);
    turn.tool_calls.iter_mut().for_each(|call| value(&mut call.arguments, without));
    turn.tool_results.iter_mut().for_each(|result| optional(&mut result.text, without));
}

/// Redacts the strings inside JSON; field names too, since some are data (`{"jo@example.com": …}`), and numbers, since
/// some are card numbers.
fn value(found: &mut Value, without: &Redact) {
    match found {
        Value::String(string) => text(string, without),
        Value::Number(number) => {
            let digits = number.to_string();
            let redacted = without(&digits);
            if redacted != digits.as_str() {
                *found = Value::String(redacted.into_owned());
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|inside| value(inside, without)),
        Value::Object(fields) => {
            fields.values_mut().for_each(|inside| value(inside, without));
            if fields.keys().any(|name| without(name) != name.as_str()) {
                let renamed: Map<String, Value> =
                    std::mem::take(fields).into_iter().map(|(name, inside)| (without(&name).into_owned(), inside)).collect();
                *fields = renamed;
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A signal of each kind with "pii" in every text and in no id or key.
    const ALL: [&str; 5] = [
        r#"{"id":"i","at":"2026-11-23T10:00:00Z","retrieval":{"knowledge_base":"kb","topic":"t","query":"pii","passages":[{"text":"pii","location":"s3://b/pii"}],"answer":"pii","error":"pii","feedback":{"rating":"negative","comment":"pii","correction":"pii"},"evaluations":[{"name":"n","label":"pii","explanation":"pii"}]}}"#,
        r#"{"id":"i","at":"2026-11-23T10:00:00Z","conversation":{"turns":[{"role":"user","text":"pii"},{"role":"assistant","tool_calls":[{"id":"c","name":"n","arguments":{"a":["pii",{"pii":{"b":"pii"}}]}}]},{"role":"tool","tool_results":[{"call":"c","text":"pii"}]}],"checks":[{"name":"n","passed":false,"detail":"pii"}],"error":"pii","feedback":{"rating":"negative","comment":"pii"},"evaluations":[{"name":"n","explanation":"pii"}]}}"#,
        r#"{"id":"i","at":"2026-11-23T10:00:00Z","workflow_run":{"workflow":"w","status":"failed","error":"pii"}}"#,
        r#"{"id":"i","at":"2026-11-23T10:00:00Z","release":{"service":"s","succeeded":false,"message":"pii"}}"#,
        r#"{"id":"i","at":"2026-11-23T10:00:00Z","alarm":{"name":"a","state":"ALARM","reason":"pii"}}"#,
    ];

    #[test]
    fn every_text_is_redacted() {
        for json in ALL {
            let mut signal: Signal = serde_json::from_str(json).expect("a signal");
            redact(&mut signal, &|text| if text.contains("pii") { text.replace("pii", "-").into() } else { text.into() });
            let kept = serde_json::to_string(&signal).expect("JSON");
            assert!(!kept.contains("pii"), "{kept}");
            assert_eq!(kept.matches('-').count() - 2, json.matches("pii").count(), "{kept}");
        }
    }

    #[test]
    fn numbers_that_are_personal_are_redacted_and_others_stay_numbers() {
        let mut found = serde_json::json!({ "card": 4_111_111_111_111_111_u64, "nights": 3 });
        value(&mut found, &|text| if text.len() == 16 { "[card]".into() } else { text.into() });
        assert_eq!(found, serde_json::json!({ "card": "[card]", "nights": 3 }));
    }
}
