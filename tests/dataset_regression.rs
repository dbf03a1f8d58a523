//! Tests made of recorded conversations that failed, with and without their labels. The recordings are no part of the
//! repository: name the folder that has them as `conversations/` with `FLYWHEEL_DATASETS`, from the workspace's root or absolute.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "support/datasets.rs"]
mod datasets;
#[path = "support/recorded.rs"]
mod recorded;

use flywheel_engine::regression::{Generated, Run, generate, locate, shortfalls};
use flywheel_engine::signals::Judge;
use flywheel_model::{Conversation, Fact, Key, Observation, RegressionTest, Signal, TestState, ToolCall, Turn};
use flywheel_policy::Policy;
use jiff::Timestamp;
use recorded::Run as Recorded;
use serde_json::json;

fn policy() -> Policy {
    let source = "[[unseen_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS12345678\"\n";
    Policy::parse(&format!("mode = \"act\"\n{source}")).unwrap()
}

fn observation(run: &Recorded, place: usize, labelled: bool) -> Observation {
    let failed = failed(run);
    let expected = run.expected.clone().filter(|_| labelled);
    let fact = Fact::Conversation(Conversation { resolved: Some(!failed), expected, ..run.conversation.clone() });
    let failures = Judge::new(&policy().failures).failures(&fact);
    let id = format!("run-{place}").as_str().try_into().unwrap();
    Observation { signal: Signal { id, at: Timestamp::UNIX_EPOCH, fact }, class: None, failures }
}

fn failed(run: &Recorded) -> bool {
    !run.rewarded || run.checks.iter().any(|check| !check.passed)
}

fn test_of(run: &Recorded, place: usize, labelled: bool) -> Option<RegressionTest> {
    let intent = Key::try_from(run.intent.as_str()).unwrap();
    match generate(&intent, None, &[observation(run, place, labelled)], &[], &policy(), None, Timestamp::UNIX_EPOCH) {
        Generated::Changed { suite, .. } => suite.tests.into_iter().next(),
        Generated::Held(_) | Generated::Nothing => None,
    }
}

fn expected_run(says: &[String], calls: &[ToolCall]) -> Vec<Turn> {
    serde_json::from_value(json!([{ "role": "assistant", "text": says.join(". "), "tool_calls": calls }])).unwrap()
}

#[test]
fn tests_that_count_fail_on_the_recording_and_pass_on_the_labelled_outcome() {
    let Some(folder) = datasets::folder("conversations", "recorded conversations") else { return };
    let runs = recorded::runs(&folder);
    let (mut labelled, mut active) = (0, 0);
    for (place, run) in runs.iter().enumerate().filter(|(_, run)| failed(run)) {
        for with_label in [true, false] {
            let test = test_of(run, place, with_label);
            let Some(test) = test.filter(|test| test.state == TestState::Active) else { continue };
            assert!(!shortfalls(&test.expects, &Run::of(&run.conversation.turns)).is_empty(), "{}: {}", run.file, test.title);
            if let (Some(expected), true) = (&run.expected, with_label) {
                let good = expected_run(&expected.says, expected.calls.as_deref().unwrap_or_default());
                assert_eq!(shortfalls(&test.expects, &Run::of(&good)), Vec::<String>::new(), "{}: {}", run.file, test.title);
                active += 1;
            }
        }
        labelled += usize::from(run.expected.is_some());
    }
    println!("{active} of {labelled} failed runs with labels are tests that count");
    assert!(active * 10 >= labelled * 8, "{active} of {labelled}");
}

#[test]
fn the_step_that_went_wrong_is_found_more_often_than_by_chance() {
    let Some(folder) = datasets::folder("conversations", "recorded conversations") else { return };
    let runs = recorded::runs(&folder);
    let labelled: Vec<(usize, &Recorded)> = runs.iter().enumerate().filter(|(_, run)| run.mistake.is_some()).collect();
    let right = labelled.iter().filter(|(place, run)| {
        locate(&observation(run, *place, false), &[], &policy()).is_some_and(|located| Some(located.turn) == run.mistake)
    });
    let (right, random) = (right.count() as f64, labelled.iter().map(|(_, run)| 1.0 / run.conversation.turns.len() as f64).sum::<f64>());
    println!("{right} of {} steps found; by chance {random:.1}", labelled.len());
    assert!(right > random, "{right} against {random}");
}
