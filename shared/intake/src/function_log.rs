//! What Lambda logs of each invocation of a function (AWS Lambda developer guide, "Working with Lambda function logs" and
//! "Lambda Telemetry API Event schema reference"): runs of a workflow that is a function.
//!
//! In text a `REPORT` line tells the duration, and since 2024 the status where it is none of success; a line `Task timed out
//! after 30.03 seconds` tells what was cut. In JSON one event, `platform.report`, tells both.

use std::collections::BTreeMap;

use flywheel_model::{Fact, Key, RunStatus, Signal, WorkflowRun};
use serde::Deserialize;

use crate::LogEvent;

/// Log groups of functions are named so.
const GROUP: &str = "/aws/lambda/";

/// The function whose log group this is.
#[must_use]
pub fn function_of(group: &str) -> Option<&str> {
    group.strip_prefix(GROUP).filter(|name| !name.is_empty())
}

/// The runs that a function's log tells of, each once, in the order of their request ids.
#[must_use]
pub fn function_runs(function: &str, events: &[LogEvent]) -> Vec<Signal> {
    let Ok(workflow) = Key::try_from(function) else { return Vec::new() };
    let mut ends: BTreeMap<&str, (&LogEvent, End)> = BTreeMap::new();
    let reports: Vec<(&LogEvent, Report)> = events.iter().filter_map(|event| Some((event, Report::read(event.message.trim())?))).collect();
    for (event, report) in &reports {
        let end = End { status: report.status, seconds: report.seconds };
        // Older reports do not say that the run was cut; the line beside them does.
        let known = ends.entry(report.request.as_str()).or_insert((event, end));
        if end.status == RunStatus::TimedOut {
            known.1.status = RunStatus::TimedOut;
        }
    }
    let run = |(request, (event, end)): (&str, (&LogEvent, End))| {
        let run = WorkflowRun {
            workflow: workflow.clone(),
            status: end.status,
            seconds: Some(end.seconds),
            // A function's timeout is whole seconds, and what is cut takes a little longer.
            limit_seconds: (end.status == RunStatus::TimedOut).then(|| end.seconds.floor().max(1.0)),
            tool_calls: None,
            trace: None,
            error: None,
        };
        Some(Signal { id: Key::try_from(request).ok()?, at: event.at?, fact: Fact::WorkflowRun(run) })
    };
    ends.into_iter().filter_map(run).collect()
}

#[derive(Debug, Clone, Copy)]
struct End {
    status: RunStatus,
    seconds: f64,
}

/// One line or event that tells how an invocation ended.
struct Report {
    request: String,
    status: RunStatus,
    seconds: f64,
}

impl Report {
    fn read(text: &str) -> Option<Self> {
        if text.starts_with('{') {
            return Self::of_json(text);
        }
        if let Some(rest) = text.strip_prefix("REPORT RequestId: ") {
            let milliseconds = number_after(rest, "Duration: ")?;
            let status = match word_after(rest, "Status: ") {
                None | Some("success") => RunStatus::Succeeded,
                Some("timeout") => RunStatus::TimedOut,
                Some(_) => RunStatus::Failed,
            };
            return Some(Self { request: rest.split_whitespace().next()?.to_owned(), status, seconds: milliseconds / 1_000.0 });
        }
        // A time and the request's id stand before it.
        let (before, after) = text.split_once(" Task timed out after ")?;
        let seconds = after.strip_suffix(" seconds").or_else(|| after.split_once(" seconds").map(|(number, _)| number))?;
        let request = before.split_whitespace().next_back()?.to_owned();
        Some(Self { request, status: RunStatus::TimedOut, seconds: seconds.trim().parse().ok()? })
    }

    fn of_json(text: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Event {
            r#type: String,
            record: Record,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Record {
            request_id: String,
            status: String,
            metrics: Metrics,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Metrics {
            duration_ms: f64,
        }
        let event: Event = serde_json::from_str(text).ok().filter(|event: &Event| event.r#type == "platform.report")?;
        let status = match event.record.status.as_str() {
            "success" => RunStatus::Succeeded,
            "timeout" => RunStatus::TimedOut,
            _ => RunStatus::Failed,
        };
        Some(Self { request: event.record.request_id, status, seconds: event.record.metrics.duration_ms / 1_000.0 })
    }
}

/// The word that follows a mark, up to the next blank or tab.
fn word_after<'t>(text: &'t str, mark: &str) -> Option<&'t str> {
    text.split_once(mark)?.1.split_whitespace().next()
}

fn number_after(text: &str, mark: &str) -> Option<f64> {
    word_after(text, mark)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(lines: &[&str]) -> Vec<LogEvent> {
        let at = "2026-11-25T12:00:00Z".parse().ok();
        lines.iter().map(|line| LogEvent { id: "1".to_owned(), at, message: (*line).to_owned() }).collect()
    }

    fn told(lines: &[&str]) -> Vec<(String, RunStatus, Option<f64>, Option<f64>)> {
        let run = |signal: Signal| match signal.fact {
            Fact::WorkflowRun(run) => (signal.id.as_str().to_owned(), run.status, run.seconds, run.limit_seconds),
            other => panic!("{other:?}"),
        };
        function_runs("trip", &events(lines)).into_iter().map(run).collect()
    }

    #[test]
    fn a_run_that_was_cut_is_told_once_whichever_line_says_so() {
        let line = "2026-11-25T12:00:30.030Z 4f1c0d2e-1 Task timed out after 30.03 seconds\n";
        let cut = vec![("4f1c0d2e-1".to_owned(), RunStatus::TimedOut, Some(30.03), Some(30.0))];
        assert_eq!(told(&[line]), cut);
        let report =
            "REPORT RequestId: 4f1c0d2e-1\tDuration: 30030.00 ms\tBilled Duration: 30000 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB\t";
        assert_eq!(told(&[report, line]), cut);
        assert_eq!(told(&[line, report]), cut);
        assert_eq!(told(&[&format!("{report}Status: timeout")]), cut);
    }

    #[test]
    fn runs_that_were_not_cut_are_told_too() {
        let json = r#"{"time":"2026-11-25T12:00:00Z","type":"platform.report","record":{"requestId":"b","metrics":{"durationMs":1250.5,"billedDurationMs":1251},"status":"error"}}"#;
        let report = "REPORT RequestId: a\tDuration: 812.00 ms\tBilled Duration: 813 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB\t";
        assert_eq!(
            told(&[report, json, "START RequestId: a Version: $LATEST", "{\"type\":\"platform.start\"}"]),
            [("a".to_owned(), RunStatus::Succeeded, Some(0.812), None), ("b".to_owned(), RunStatus::Failed, Some(1.2505), None)]
        );
    }

    #[test]
    fn only_log_groups_of_functions_have_runs() {
        assert_eq!(function_of("/aws/lambda/trip"), Some("trip"));
        assert_eq!((function_of("/aws/lambda/"), function_of("aws/spans")), (None, None));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(lines in prop::collection::vec("(REPORT RequestId: |Task timed out after |Duration: |\\{|.){0,8}", 0..8)) {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let _ = told(&lines);
        }
    }
}
