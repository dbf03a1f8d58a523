//! A configuration of promptfoo and its tests.
//!
//! promptfoo takes much of what it reads for more than data: a variable is a template, `file://` and `package:` at the
//! beginning of a text load a file, and `{{ env.… }}` anywhere in a configuration is filled in from the environment. A
//! user who asks such a question must not read files or secrets of the machine that tests it. What holds against all of
//! it: the texts are not variables themselves but stand inside of one, `case`; the tests are in a JSON file of their own,
//! which promptfoo reads as it is; and assertions name the text in `case` that they are about.

use flywheel_model::{CaptureReason, Case, ReferenceOrigin};
use serde::Serialize;

use crate::{File, answer, is_blank, json, reference};

const CONFIGURATION: &str = include_str!("promptfooconfig.yaml");

#[derive(Serialize)]
struct Test<'c> {
    description: String,
    vars: Variables<'c>,
    assert: Vec<Assertion>,
    metadata: Metadata<'c>,
}

#[derive(Serialize)]
struct Variables<'c> {
    case: Texts<'c>,
}

#[derive(Serialize)]
struct Texts<'c> {
    query: &'c str,
    conversation: Vec<Exchange<'c>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'c str>,
    /// The answer that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<&'c str>,
}

#[derive(Serialize)]
struct Exchange<'c> {
    query: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<&'c str>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Assertion {
    r#type: &'static str,
    value: String,
}

#[derive(Serialize)]
struct Metadata<'c> {
    case: &'c str,
    state: &'static str,
    knowledge_base: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'c str>,
    reasons: Vec<&'static str>,
    times: u64,
    first_seen: String,
    last_seen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_from: Option<ReferenceOrigin>,
    /// The signal that showed the failure last; the others are in the case.
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<&'c str>,
}

pub(crate) fn files(cases: &[&Case], no_answer: &[String]) -> Vec<File> {
    let tests: Vec<_> = cases.iter().map(|case| test(case, no_answer)).collect();
    vec![
        File { name: "promptfooconfig.yaml".to_owned(), bytes: CONFIGURATION.as_bytes().to_vec() },
        File { name: "promptfoo-tests.json".to_owned(), bytes: json::pretty(&tests).into_bytes() },
    ]
}

fn test<'c>(case: &'c Case, no_answer: &[String]) -> Test<'c> {
    let latest = case.sources.first();
    Test {
        description: format!("case {}", case.case),
        vars: Variables {
            case: Texts {
                query: &case.query,
                conversation: case
                    .context
                    .iter()
                    .map(|exchange| Exchange { query: &exchange.query, answer: exchange.answer.as_deref() })
                    .collect(),
                reference: reference(case),
                answer: answer(case),
            },
        },
        assert: assertions(case, no_answer),
        metadata: Metadata {
            case: case.case.as_str(),
            state: case.state.word(),
            knowledge_base: case.knowledge_base.as_str(),
            topic: case.topic.as_ref().map(|topic| topic.as_str()),
            reasons: case.reasons.iter().map(|reason| reason.reason.as_str()).collect(),
            times: case.times,
            first_seen: case.first_seen.to_string(),
            last_seen: case.last_seen.to_string(),
            reference_from: case.reference.as_ref().filter(|reference| !is_blank(&reference.text)).map(|reference| reference.from),
            signal: latest.map(|source| source.signal.as_str()),
            conversation: latest.and_then(|source| source.conversation.as_ref()).map(|conversation| conversation.as_str()),
            trace: latest.and_then(|source| source.trace.as_ref()).map(|trace| trace.as_str()),
        },
    }
}

/// What a right answer has to hold to. Only what is known is asserted: a reference where there is one, and where the
/// failure was an answer that says "I do not know", that its phrase does not come again.
pub(crate) fn assertions(case: &Case, no_answer: &[String]) -> Vec<Assertion> {
    let mut assertions = Vec::new();
    let reference = reference(case);
    if reference.is_some() {
        assertions.push(Assertion { r#type: "factuality", value: "{{ case.reference }}".to_owned() });
    }
    if case.reasons.iter().any(|reason| reason.reason == CaptureReason::NoAnswer) {
        let said = answer(case).unwrap_or_default().to_lowercase();
        let reference = reference.unwrap_or_default().to_lowercase();
        let phrases = no_answer.iter().filter(|phrase| !is_blank(phrase));
        assertions.extend(
            phrases
                .filter(|phrase| said.contains(&phrase.to_lowercase()) && !reference.contains(&phrase.to_lowercase()))
                .map(|phrase| Assertion { r#type: "not-icontains", value: phrase.clone() }),
        );
    }
    assertions
}
