//! Whether something failed, by all the evidence that there is.
//!
//! Each piece of evidence stands for itself: a success flag does not outweigh a failed check beside it. Where nothing
//! speaks for a failure there is none, which is not the same as success: see [`resolution`].

use std::collections::{HashMap, HashSet};

use flywheel_model::{
    Check, Conversation, Evaluation, Fact, Failure, FailureReason, Feedback, Rating, Release, Retrieval, Role, RunStatus, ToolResult,
    WorkflowRun,
};
use flywheel_policy::FailurePolicy;
use serde::Deserialize;
use serde_json::Value;

use super::no_answer::NoAnswer;

/// The most characters of a text that a detail quotes: more than is kept, since redaction comes in between.
pub(super) const QUOTED: usize = 400;

/// The most failures of one reason that are told: a thousand failed checks fail a conversation no more than ten.
const TOLD: usize = 10;

/// The policy's rules for failures, compiled.
#[derive(Debug)]
pub struct Judge {
    no_answer: NoAnswer,
    phrases: Vec<String>,
    /// By name in lower case.
    limits: HashMap<String, f64>,
    failed_labels: HashSet<String>,
}

impl Judge {
    /// Compiles the policy's rules.
    #[must_use]
    pub fn new(policy: &FailurePolicy) -> Self {
        Self {
            no_answer: NoAnswer::new(&policy.no_answer),
            phrases: policy.no_answer.clone(),
            limits: policy.evaluations.iter().map(|limit| (limit.name.to_lowercase(), limit.below)).collect(),
            failed_labels: policy.failed_labels.iter().map(|label| label.to_lowercase()).collect(),
        }
    }

    /// Everything that speaks for a failure.
    #[must_use]
    pub fn failures(&self, fact: &Fact) -> Vec<Failure> {
        let mut failures = Evidence::default();
        match fact {
            Fact::Retrieval(retrieval) => self.retrieval(retrieval, &mut failures),
            Fact::Conversation(conversation) => self.conversation(conversation, &mut failures),
            Fact::WorkflowRun(run) => workflow_run(run, &mut failures),
            Fact::Release(release) => self::release(release, &mut failures),
            Fact::Alarm(_) => {}
        }
        failures.0
    }

    fn retrieval(&self, retrieval: &Retrieval, failures: &mut Evidence) {
        if retrieval.succeeded == Some(false) {
            failures.add(FailureReason::Outcome, &["the application says that it did not succeed"]);
        }
        failures.error(retrieval.error.as_deref());
        if retrieval.passages.as_ref().is_some_and(Vec::is_empty) {
            failures.add(FailureReason::NoResults, &["no passage was found"]);
        }
        self.reply(retrieval.answer.as_deref(), failures);
        failures.feedback(retrieval.feedback.as_ref());
        self.evaluations(&retrieval.evaluations, failures);
    }

    fn conversation(&self, conversation: &Conversation, failures: &mut Evidence) {
        if conversation.resolved == Some(false) {
            failures.add(FailureReason::Outcome, &["the application says that it was not resolved"]);
        }
        failures.error(conversation.error.as_deref());
        for Check { name, detail, .. } in conversation.checks.iter().filter(|check| !check.passed) {
            match detail.as_deref().filter(|detail| !detail.trim().is_empty()) {
                Some(detail) => failures.add(FailureReason::FailedCheck, &[name, ": ", detail]),
                None => failures.add(FailureReason::FailedCheck, &[name]),
            }
        }
        tool_errors(conversation, failures);
        if conversation.escalated == Some(true) {
            failures.add(FailureReason::Escalation, &["the application says that it was handed over to a person"]);
        }
        let calls = conversation.turns.iter().flat_map(|turn| &turn.tool_calls);
        for call in calls.filter(|call| calls_a_person(&call.name)) {
            failures.add(FailureReason::Escalation, &[&call.name, " was called"]);
        }
        let mut replies =
            conversation.turns.iter().rev().filter(|turn| turn.role == Role::Assistant).filter_map(|turn| turn.text.as_deref());
        self.reply(replies.find(|reply| !reply.trim().is_empty()), failures);
        failures.feedback(conversation.feedback.as_ref());
        self.evaluations(&conversation.evaluations, failures);
    }

    fn reply(&self, reply: Option<&str>, failures: &mut Evidence) {
        let Some(reply) = reply else { return };
        if let Some(phrase) = self.no_answer.said_by(reply) {
            failures.add(FailureReason::NoAnswer, &["it says \"", &self.phrases[phrase], "\""]);
        }
    }

    fn evaluations(&self, evaluations: &[Evaluation], failures: &mut Evidence) {
        for Evaluation { name, score, label, .. } in evaluations {
            let below = self.limits.get(&name.to_lowercase());
            if let (Some(score), Some(below)) = (score, below)
                && score < below
            {
                failures.add(FailureReason::LowEvaluation, &[name, ": ", &score.to_string(), " is below ", &below.to_string()]);
            } else if let Some(label) = label
                && self.failed_labels.contains(&label.trim().to_lowercase())
            {
                failures.add(FailureReason::LowEvaluation, &[name, ": ", label]);
            }
        }
    }
}

/// Whether the user of a conversation got what they wanted. Known only where something tells: the application, its
/// checks, the user, or a failure.
#[must_use]
pub fn resolution(conversation: &Conversation, failures: &[Failure]) -> Option<bool> {
    if !failures.is_empty() {
        return Some(false);
    }
    let content = conversation.feedback.as_ref().is_some_and(|feedback| feedback.rating == Rating::Positive);
    // Failed checks, a flag that says no and a thumb down are failures.
    (conversation.resolved.is_some() || !conversation.checks.is_empty() || content).then_some(true)
}

fn workflow_run(run: &WorkflowRun, failures: &mut Evidence) {
    // One that ran on after its limit ended too late for its caller, whatever it says of itself.
    let over = run.seconds.zip(run.limit_seconds).filter(|(seconds, limit)| seconds > limit);
    match (run.status, over) {
        (RunStatus::TimedOut, None) => failures.add(FailureReason::TimedOut, &["it ran out of time"]),
        (_, Some((seconds, limit))) => {
            failures.add(FailureReason::TimedOut, &["it took ", &seconds.to_string(), " s of ", &limit.to_string(), " s"]);
        }
        (RunStatus::Failed, None) => failures.add(FailureReason::Outcome, &["it failed by itself"]),
        (RunStatus::Succeeded, None) => {}
    }
    failures.error(run.error.as_deref());
}

fn release(release: &Release, failures: &mut Evidence) {
    if !release.succeeded {
        failures.add(FailureReason::Outcome, &[release.message.as_deref().unwrap_or("it was not deployed")]);
    }
}

/// Tools that failed and were not called again with success.
fn tool_errors(conversation: &Conversation, failures: &mut Evidence) {
    let mut calls = Calls::default();
    // Tools whose last answer was an error, in the order of their first one.
    let mut failed: Vec<(&str, &str)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for turn in &conversation.turns {
        for call in &turn.tool_calls {
            calls.called(call.id.as_deref(), &call.name);
        }
        for result in &turn.tool_results {
            let tool = calls.answered(result);
            let text = result.text.as_deref().unwrap_or_default();
            if result.error || tells_an_error(text) {
                let place = *places.entry(tool).or_insert(failed.len());
                if place == failed.len() {
                    failed.push((tool, text));
                } else {
                    failed[place] = (tool, text);
                }
            } else if let Some(place) = places.remove(tool) {
                // Its place stays, so that the others keep theirs.
                failed[place] = ("", "");
            }
        }
    }
    for (place, (tool, text)) in failed.into_iter().enumerate() {
        if places.get(tool) == Some(&place) {
            let tool = if tool.is_empty() { "a tool" } else { tool };
            failures.add(FailureReason::ToolError, &[tool, ": ", if text.is_empty() { "it failed" } else { text }]);
        }
    }
}

/// The calls of a conversation, so that a result finds its own: by the call's id, or else the next one open.
#[derive(Default)]
struct Calls<'c> {
    names: Vec<&'c str>,
    answered: Vec<bool>,
    by_id: HashMap<&'c str, usize>,
    next: usize,
}

impl<'c> Calls<'c> {
    fn called(&mut self, id: Option<&'c str>, name: &'c str) {
        if let Some(id) = id {
            self.by_id.insert(id, self.names.len());
        }
        self.names.push(name);
        self.answered.push(false);
    }

    /// The tool that a result is of; an empty name if nothing tells.
    fn answered(&mut self, result: &'c ToolResult) -> &'c str {
        while self.answered.get(self.next) == Some(&true) {
            self.next += 1;
        }
        let by_id = result.call.as_deref().and_then(|id| self.by_id.get(id).copied());
        let open = (self.next < self.names.len()).then_some(self.next);
        let next = open.filter(|open| result.name.as_deref().is_none_or(|name| name == self.names[*open]));
        let call = by_id.or(next);
        if let Some(call) = call {
            self.answered[call] = true;
        }
        result.name.as_deref().or(call.map(|call| self.names[call])).unwrap_or_default()
    }
}

/// Whether a tool's answer plainly is an error.
pub(crate) fn tells_an_error(text: &str) -> bool {
    let text = text.trim_start();
    if text.starts_with('{') {
        // Python prints its dictionaries so.
        return text.starts_with("{'error'") || serde_json::from_str::<Reply>(text).is_ok_and(|reply| reply.is_error());
    }
    let starts = |start: &str| text.get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start));
    if starts("traceback (most recent call last)") || starts("exception:") || starts("failed to ") {
        return true;
    }
    if starts("error") {
        // "Error: …" and "Error executing …", but not "Errors: 0" or "error rate 3%".
        let rest = &text["error".len()..];
        let word = rest.trim_start().split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
        let measured = ["rate", "rates", "count", "budget", "log", "logs"].iter().any(|measure| word.eq_ignore_ascii_case(measure));
        return !measured && !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    }
    if starts("exitcode:") || starts("exit code") || starts("exit status") {
        let code = text.chars().skip("exit".len()).find(char::is_ascii_digit);
        return code.is_some_and(|code| code != '0');
    }
    // "ValueError: …", "botocore.exceptions.ClientError: …".
    let first = text.split_ascii_whitespace().next().unwrap_or_default();
    first.len() <= 100 && (first.ends_with("Error:") || first.ends_with("Exception:"))
}

/// The fields by which answers in JSON say that they are errors.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Reply {
    error: Value,
    errors: Value,
    #[serde(rename = "errorMessage")]
    error_message: Value,
    #[serde(alias = "isError")]
    is_error: Value,
    success: Value,
    ok: Value,
    status: Value,
}

impl Reply {
    fn is_error(&self) -> bool {
        let says = |value: &Value| match value {
            Value::Null => false,
            Value::Bool(said) => *said,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !matches!(text.trim().to_ascii_lowercase().as_str(), "" | "none" | "null" | "false" | "no"),
            Value::Array(values) => !values.is_empty(),
            Value::Object(fields) => !fields.is_empty(),
        };
        [&self.error, &self.errors, &self.error_message, &self.is_error].into_iter().any(says)
            || self.success == Value::Bool(false)
            || self.ok == Value::Bool(false)
            || self.status.as_str().is_some_and(|status| status.eq_ignore_ascii_case("error"))
    }
}

/// Whether a tool hands a conversation over to a person, by its name: `transfer_to_human_agents`, `escalateToHuman`.
/// A transfer to an agent need not be one, since agents hand over to each other.
#[must_use]
pub fn calls_a_person(tool: &str) -> bool {
    const HANDS_OVER: [&str; 15] = [
        "transfer",
        "handoff",
        "handover",
        "hand",
        "connect",
        "route",
        "forward",
        "redirect",
        "switch",
        "talk",
        "speak",
        "transferir",
        "derivar",
        "conectar",
        "pasar",
    ];
    const PERSONS: [&str; 18] = [
        "human",
        "humans",
        "person",
        "operator",
        "representative",
        "rep",
        "supervisor",
        "staff",
        "live",
        "specialist",
        "humano",
        "humana",
        "persona",
        "operador",
        "asesor",
        "asesora",
        "supervisora",
        "humain",
    ];
    const ESCALATES: [&str; 6] = ["escalate", "escalation", "escalar", "escalamiento", "escalacion", "escalade"];
    let words: Vec<String> = words(tool).collect();
    let any = |of: &[&str]| words.iter().any(|word| of.contains(&word.as_str()));
    any(&ESCALATES) || (any(&HANDS_OVER) && any(&PERSONS))
}

/// The words of a name in `snake_case`, `kebab-case` or `camelCase`, in lower case; of the first 100 characters.
pub(crate) fn words(name: &str) -> impl Iterator<Item = String> {
    let mut spaced = String::new();
    let mut before = ' ';
    for c in name.chars().take(100) {
        if c.is_uppercase() && !before.is_uppercase() {
            spaced.push(' ');
        }
        spaced.extend(if c.is_alphanumeric() { c } else { ' ' }.to_lowercase());
        before = c;
    }
    spaced.split_whitespace().map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// Failures as they are found.
#[derive(Default)]
struct Evidence(Vec<Failure>);

impl Evidence {
    fn add(&mut self, reason: FailureReason, detail: &[&str]) {
        if self.0.iter().filter(|failure| failure.reason == reason).count() == TOLD {
            return;
        }
        let detail = detail.iter().flat_map(|part| part.chars()).take(QUOTED).collect();
        self.0.push(Failure { reason, detail });
    }

    fn error(&mut self, error: Option<&str>) {
        if let Some(error) = error.map(str::trim).filter(|error| !error.is_empty()) {
            self.add(FailureReason::Error, &[error]);
        }
    }

    fn feedback(&mut self, feedback: Option<&Feedback>) {
        let Some(feedback) = feedback.filter(|feedback| feedback.rating == Rating::Negative) else { return };
        let said = feedback.comment.as_deref().or(feedback.correction.as_deref());
        self.add(FailureReason::NegativeFeedback, &[said.unwrap_or("thumb down")]);
    }
}

#[cfg(test)]
mod tests {
    use flywheel_policy::EvaluationLimit;
    use proptest::prelude::*;

    use super::*;

    fn judge() -> Judge {
        Judge::new(&FailurePolicy {
            no_answer: vec!["i don't know".to_owned()],
            evaluations: vec![EvaluationLimit { name: "faithfulness".to_owned(), below: 0.5 }],
            failed_labels: vec!["fail".to_owned()],
        })
    }

    fn reasons(kind: &str, json: &str) -> Vec<&'static str> {
        let signal = format!(r#"{{"id":"i","at":"2026-11-23T10:00:00Z","{kind}":{json}}}"#);
        let signal: flywheel_model::Signal = serde_json::from_str(&signal).expect("a signal");
        judge().failures(&signal.fact).iter().map(|failure| failure.reason.as_str()).collect()
    }

    #[test]
    fn each_kind_of_evidence_is_found() {
        for (kind, json, expected) in [
            ("retrieval", r#"{}"#, vec![]),
            ("retrieval", r#"{"succeeded":true,"passages":[]}"#, vec!["no_results"]),
            ("retrieval", r#"{"succeeded":false,"error":" "}"#, vec!["outcome"]),
            ("retrieval", r#"{"answer":"Sorry, I don’t  KNOW that."}"#, vec!["no_answer"]),
            ("retrieval", r#"{"feedback":{"rating":"negative"},"error":"timeout"}"#, vec!["error", "negative_feedback"]),
            (
                "retrieval",
                r#"{"evaluations":[{"name":"Faithfulness","score":0.49},{"name":"x","label":"FAIL"}]}"#,
                vec!["low_evaluation", "low_evaluation"],
            ),
            ("retrieval", r#"{"evaluations":[{"name":"faithfulness","score":0.5,"label":"pass"},{"name":"x","score":0.0}]}"#, vec![]),
            ("conversation", r#"{"resolved":true,"checks":[{"name":"paid","passed":false}]}"#, vec!["failed_check"]),
            ("conversation", r#"{"resolved":true,"escalated":true}"#, vec!["escalation"]),
            ("workflow_run", r#"{"workflow":"w","status":"timed_out"}"#, vec!["timed_out"]),
            ("workflow_run", r#"{"workflow":"w","status":"succeeded","seconds":45,"limit_seconds":30}"#, vec!["timed_out"]),
            ("workflow_run", r#"{"workflow":"w","status":"failed","error":"boom"}"#, vec!["outcome", "error"]),
            ("release", r#"{"service":"s","succeeded":false}"#, vec!["outcome"]),
            ("alarm", r#"{"name":"a","state":"ALARM"}"#, vec![]),
        ] {
            assert_eq!(reasons(kind, json), expected, "{kind} {json}");
        }
    }

    fn tools(turns: &str) -> Vec<&'static str> {
        reasons("conversation", &format!(r#"{{"turns":[{turns}]}}"#))
    }

    #[test]
    fn a_tool_that_fails_and_then_succeeds_is_no_failure() {
        let call = |id: &str, name: &str| format!(r#"{{"role":"assistant","tool_calls":[{{"id":"{id}","name":"{name}"}}]}}"#);
        let answer = |id: &str, text: &str| format!(r#"{{"role":"tool","tool_results":[{{"call":"{id}","text":"{text}"}}]}}"#);
        let failed = [call("1", "find"), answer("1", "Error: none")].join(",");
        assert_eq!(tools(&failed), ["tool_error"]);
        assert_eq!(tools(&[failed.clone(), call("2", "find"), answer("2", "ok")].join(",")), [""; 0]);
        assert_eq!(tools(&[failed.clone(), call("2", "other"), answer("2", "ok")].join(",")), ["tool_error"]);
        assert_eq!(
            tools(&[failed, call("2", "find"), answer("2", "ok"), call("3", "find"), answer("3", "Error")].join(",")),
            ["tool_error"]
        );
        // Without ids, answers come in the order of the calls.
        let unnamed = r#"{"role":"assistant","tool_calls":[{"name":"a"},{"name":"b"}]},
            {"role":"tool","tool_results":[{"text":"fine"},{"text":"boom","error":true}]},
            {"role":"assistant","tool_calls":[{"name":"b"}]},{"role":"tool","tool_results":[{"text":"fine"}]}"#;
        assert_eq!(tools(unnamed), [""; 0]);
    }

    #[test]
    fn only_what_plainly_is_an_error_is_one() {
        for (text, error) in [
            ("Error: no such order", true),
            ("  ERROR executing tool", true),
            ("error", true),
            ("Errors: 0", false),
            ("Error rate: 3%", false),
            ("errorless", false),
            ("KeyError: 'x'", true),
            ("botocore.exceptions.ClientError: An error occurred", true),
            ("Traceback (most recent call last):\n", true),
            ("exitcode: 1 (execution failed)", true),
            ("exitcode: 0 (execution succeeded)", false),
            (r#"{"error":"not found"}"#, true),
            (r#"{"error":null,"orders":[]}"#, false),
            (r#"{"error":false}"#, false),
            (r#"{"isError":true,"content":[]}"#, true),
            (r#"{"success":false}"#, true),
            (r#"{"status":"failed","amount":3}"#, false),
            (r#"{"errorMessage":"Task timed out","errorType":"x"}"#, true),
            ("{'error': 'no'}", true),
            ("No errors were found", false),
            ("", false),
        ] {
            assert_eq!(tells_an_error(text), error, "{text}");
        }
    }

    #[test]
    fn tools_that_call_a_person_are_known_by_their_names() {
        for (tool, person) in [
            ("transfer_to_human_agents", true),
            ("escalate_to_human", true),
            ("escalateCase", true),
            ("handoffToLiveAgent", true),
            ("connect-with-representative", true),
            ("derivar_a_asesor", true),
            ("transfer_to_agent", false),
            ("transfer_to_refund_agent", false),
            ("transfer_money", false),
            ("get_person", false),
        ] {
            assert_eq!(calls_a_person(tool), person, "{tool}");
        }
    }

    #[test]
    fn a_resolution_is_known_only_where_something_tells() {
        for (json, known) in [
            (r#"{}"#, None),
            (r#"{"resolved":true}"#, Some(true)),
            (r#"{"resolved":false}"#, Some(false)),
            (r#"{"checks":[{"name":"a","passed":true}]}"#, Some(true)),
            (r#"{"resolved":true,"checks":[{"name":"a","passed":false}]}"#, Some(false)),
            (r#"{"feedback":{"rating":"positive"}}"#, Some(true)),
            (r#"{"error":"boom"}"#, Some(false)),
        ] {
            let conversation: Conversation = serde_json::from_str(json).expect("a conversation");
            let failures = judge().failures(&Fact::Conversation(conversation.clone()));
            assert_eq!(resolution(&conversation, &failures), known, "{json}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged_within_bounds(text in "(.|\n|error|\\{|\"){0,200}", name in ".{0,40}") {
            let turn = serde_json::json!([{ "role": "assistant", "text": text, "tool_calls": [{ "name": name }] },
                { "role": "tool", "tool_results": [{ "text": text }, { "text": text, "error": true }] }]);
            let conversation = serde_json::from_value(serde_json::json!({ "turns": turn, "error": text })).expect("a conversation");
            for failure in judge().failures(&Fact::Conversation(conversation)) {
                prop_assert!(failure.detail.chars().count() <= QUOTED);
            }
        }
    }
}
