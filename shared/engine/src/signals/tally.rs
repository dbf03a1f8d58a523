//! What observations count for.

use std::collections::BTreeMap;

use flywheel_model::{Count, Fact, Failure, FailureReason, Hour, Key, Metric, Observation, Release, Retrieval, RunStatus, Series};

use super::judge::resolution;

/// The most root causes of one release that are counted.
pub(super) const CAUSES: usize = 20;

/// The counts of many observations, each in the hour of its signal.
#[must_use]
pub fn tally<'o>(observations: impl IntoIterator<Item = &'o Observation>) -> BTreeMap<(Hour, Series), Count> {
    let mut tally = BTreeMap::new();
    for observation in observations {
        let hour = Hour::of(observation.signal.at);
        for (series, count) in counts(observation) {
            tally.entry((hour, series)).or_insert_with(Count::default).add(&count);
        }
    }
    tally
}

/// What one observation counts for. An alarm counts for nothing: it is a finding of its own.
#[must_use]
pub fn counts(observation: &Observation) -> Vec<(Series, Count)> {
    let mut counts = unshown(observation);
    // Of resolution, the event is a success.
    for (_, count) in counts.iter_mut().filter(|(series, count)| (count.events > 0) != (series.metric == Metric::Resolution)) {
        count.examples.push(observation.signal.identity());
    }
    counts
}

/// The counts without examples.
fn unshown(observation: &Observation) -> Vec<(Series, Count)> {
    let failures = &observation.failures;
    let failed = || count(!failures.is_empty(), reasons(failures.iter()));
    let mut counts = Vec::with_capacity(2);
    let mut add = |metric, key: &Key, count| counts.push((Series { metric, key: key.clone() }, count));
    match &observation.signal.fact {
        Fact::Retrieval(retrieval) => {
            if let Some(topic) = &observation.class {
                add(Metric::FailedResponses, topic, failed());
            }
            if let Some(knowledge_base) = &retrieval.knowledge_base {
                let retrieved: Vec<&Failure> = failures.iter().filter(|failure| is_of_retrieval(retrieval, failure)).collect();
                add(Metric::RetrievalFailures, knowledge_base, count(!retrieved.is_empty(), reasons(retrieved)));
            }
        }
        Fact::Conversation(conversation) => {
            if let Some(intent) = &observation.class {
                add(Metric::ConversationFailures, intent, failed());
                if let Some(resolved) = resolution(conversation, failures) {
                    add(Metric::Resolution, intent, count(resolved, BTreeMap::new()));
                }
            }
            if let Some(topic) = &conversation.topic {
                add(Metric::FailedResponses, topic, failed());
            }
        }
        Fact::WorkflowRun(run) => {
            let timed_out = run.status == RunStatus::TimedOut || failures.iter().any(|failure| failure.reason == FailureReason::TimedOut);
            add(Metric::Timeouts, &run.workflow, count(timed_out, reasons(failures)));
        }
        Fact::Release(release) => add(Metric::FailedReleases, &release.service, count(!release.succeeded, causes(release))),
        Fact::Alarm(_) => {}
    }
    counts
}

fn count(event: bool, parts: BTreeMap<String, u64>) -> Count {
    Count { trials: 1, events: u64::from(event), parts: if event { parts } else { BTreeMap::new() }, ..Count::default() }
}

/// Each reason once, however often it was found.
fn reasons<'f>(failures: impl IntoIterator<Item = &'f Failure>) -> BTreeMap<String, u64> {
    failures.into_iter().map(|failure| (failure.reason.as_str().to_owned(), 1)).collect()
}

fn causes(release: &Release) -> BTreeMap<String, u64> {
    release.causes.iter().take(CAUSES).map(|cause| (cause.as_str().to_owned(), 1)).collect()
}

/// Whether a failure is one of finding, not of what was made of what was found.
fn is_of_retrieval(retrieval: &Retrieval, failure: &Failure) -> bool {
    match failure.reason {
        FailureReason::Outcome | FailureReason::Error | FailureReason::NoResults | FailureReason::NoAnswer => true,
        FailureReason::LowEvaluation => retrieval.evaluations.iter().any(|evaluation| {
            let name = evaluation.name.to_lowercase();
            // The judge begins with the evaluation's name.
            failure.detail.starts_with(evaluation.name.as_str())
                && ["retriev", "relevan", "context", "passage", "recall", "precision"].iter().any(|word| name.contains(word))
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use flywheel_policy::Policy;
    use flywheel_redaction::Redactor;

    use super::super::Rules;
    use super::*;

    fn counted(kind: &str, json: &str) -> Vec<String> {
        let source = "[[data_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS12345678\"\nbucket = \"docs\"\n";
        let rules = Rules::new(&Policy::parse(&format!("mode = \"act\"\n{source}")).expect("valid"));
        let signal = format!(r#"{{"id":"i","at":"2026-11-23T10:00:00Z","{kind}":{json}}}"#);
        let observation = rules.observe(serde_json::from_str(&signal).expect("a signal"), &Redactor::new(b"a salt for tests"));
        let tell = |(series, count): (Series, Count)| {
            let parts: Vec<String> = count.parts.into_keys().collect();
            format!("{}/{} {}/{} {}", series.metric, series.key, count.events, count.trials, parts.join("+")).trim_end().to_owned()
        };
        counts(&observation).into_iter().map(tell).collect()
    }

    #[test]
    fn each_fact_counts_where_it_belongs() {
        for (kind, json, expected) in [
            ("retrieval", r#"{}"#, vec!["failed_responses/unclassified 0/1"]),
            (
                "retrieval",
                r#"{"topic":"t","knowledge_base":"k","passages":[],"feedback":{"rating":"negative"}}"#,
                vec!["failed_responses/t 1/1 negative_feedback+no_results", "retrieval_failures/k 1/1 no_results"],
            ),
            (
                "retrieval",
                r#"{"topic":"t","knowledge_base":"k","evaluations":[{"name":"faithfulness","score":0}]}"#,
                vec!["failed_responses/t 1/1 low_evaluation", "retrieval_failures/k 0/1"],
            ),
            (
                "retrieval",
                r#"{"topic":"t","knowledge_base":"k","evaluations":[{"name":"relevance","score":0}]}"#,
                vec!["failed_responses/t 1/1 low_evaluation", "retrieval_failures/k 1/1 low_evaluation"],
            ),
            ("conversation", r#"{"intent":"i"}"#, vec!["conversation_failures/i 0/1"]),
            (
                "conversation",
                r#"{"intent":"i","topic":"t","resolved":true}"#,
                vec!["conversation_failures/i 0/1", "resolution/i 1/1", "failed_responses/t 0/1"],
            ),
            ("conversation", r#"{"intent":"i","error":"x"}"#, vec!["conversation_failures/i 1/1 error", "resolution/i 0/1"]),
            ("workflow_run", r#"{"workflow":"w","status":"timed_out"}"#, vec!["timeouts/w 1/1 timed_out"]),
            ("workflow_run", r#"{"workflow":"w","status":"failed"}"#, vec!["timeouts/w 0/1"]),
            ("release", r#"{"service":"s","succeeded":false,"causes":["b","a","b"]}"#, vec!["failed_releases/s 1/1 a+b"]),
            ("release", r#"{"service":"s","succeeded":true}"#, vec!["failed_releases/s 0/1"]),
            ("alarm", r#"{"name":"a","state":"OK"}"#, vec![]),
        ] {
            assert_eq!(counted(kind, json), expected, "{kind} {json}");
        }
    }
}
