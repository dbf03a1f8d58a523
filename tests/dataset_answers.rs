//! Answers of assistants that people labelled: which say that they do not know, and which say what their passages do not.
//! The answers are no part of the repository: name the folder that has them as `retrieval/` with `FLYWHEEL_DATASETS`, from
//! the workspace's root or absolute.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "support/datasets.rs"]
mod datasets;

use std::collections::HashMap;
use std::fs;

use flywheel_calibration::{Feature, Features, UNGROUNDED, groundedness};
use flywheel_engine::signals::Judge;
use flywheel_model::{Fact, FailureReason, Retrieval};
use flywheel_policy::Policy;
use serde_json::Value;

#[test]
fn replies_to_unanswerable_questions_are_no_answers_and_others_are() {
    let Some(folder) = datasets::folder("retrieval", "labelled answers") else { return };
    let judge = judge();
    let labelled = fs::read_to_string(folder.join("mtrag_un.jsonl")).unwrap();
    let replies = labelled.lines().map(|line| {
        let task: Value = serde_json::from_str(line).unwrap();
        let reply = task["targets"][0]["text"].as_str().unwrap();
        (says_no(&judge, reply), task["answerability"][0].as_str() == Some("UNANSWERABLE"))
    });
    let (precision, recall) = precision_and_recall("no answer", replies);
    assert!(precision >= 0.9 && recall >= 0.75);
}

#[test]
fn answers_that_people_call_unfaithful_are_often_ungrounded_and_others_seldom() {
    let Some(folder) = datasets::folder("retrieval", "labelled answers") else { return };
    let evaluated: Value = serde_json::from_str(&fs::read_to_string(folder.join("mtrag_human_eval.json")).unwrap()).unwrap();
    let by_id = |list: &str, id: &str| -> HashMap<String, Value> {
        let list = evaluated[list].as_array().unwrap().iter();
        list.map(|one| (one[id].as_str().unwrap().to_owned(), one.clone())).collect()
    };
    let (tasks, passages) = (by_id("tasks", "task_id"), by_id("documents", "document_id"));
    let answers = evaluated["evaluations"].as_array().unwrap().iter().filter_map(|answer| {
        let contexts = tasks[answer["task_id"].as_str().unwrap()]["contexts"].as_array().unwrap();
        let texts = contexts.iter().map(|context| passages[context["document_id"].as_str().unwrap()]["text"].as_str().unwrap());
        let share = groundedness(answer["model_response"].as_str().unwrap(), texts)?;
        let judges = answer["annotations"]["faithfulness"].as_object().unwrap();
        let grades: f64 = judges.values().map(|one| one["value"].as_str().unwrap().parse::<f64>().unwrap()).sum();
        Some((share < UNGROUNDED, grades / judges.len() as f64 <= 2.5))
    });
    let (precision, recall) = precision_and_recall("ungrounded", answers);
    assert!(precision >= 0.5 && recall >= 0.3);
}

#[test]
fn real_responses_of_bedrock_have_features_on_their_own_scales() {
    let Some(folder) = datasets::folder("retrieval", "labelled answers") else { return };
    let mut responses = 0;
    for entry in fs::read_dir(folder.join("bedrock_kb_retrieve")).unwrap() {
        let path = entry.unwrap().path();
        let response: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let Some(results) = response["retrievalResults"].as_array() else { continue };
        let scores = results.iter().filter_map(|result| result["score"].as_f64());
        let texts = results.iter().filter_map(|result| result["content"]["text"].as_str());
        let features = Features::of(scores, Some("evaluation results of the paper"), texts);
        assert!(features.get(Feature::TopScore).unwrap() > 1.0);
        assert!(features.get(Feature::Lead).is_some() && features.get(Feature::Coverage).is_some());
        responses += 1;
    }
    assert!(responses > 0);
}

fn says_no(judge: &Judge, reply: &str) -> bool {
    let retrieval = Retrieval { answer: Some(reply.to_owned()), ..Retrieval::default() };
    judge.failures(&Fact::Retrieval(retrieval)).iter().any(|failure| failure.reason == FailureReason::NoAnswer)
}

/// Of answers, whether each was found and whether it should have been.
fn precision_and_recall(what: &str, answers: impl Iterator<Item = (bool, bool)>) -> (f64, f64) {
    let (mut found, mut positive, mut right) = (0, 0, 0);
    for (is_found, is_positive) in answers {
        found += usize::from(is_found);
        positive += usize::from(is_positive);
        right += usize::from(is_found && is_positive);
    }
    println!("{what}: {right} of {found} found are right, of {positive} that there are");
    (right as f64 / found as f64, right as f64 / positive as f64)
}

fn judge() -> Judge {
    let source = "[[data_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS12345678\"\nbucket = \"docs\"\n";
    Judge::new(&Policy::parse(&format!("mode = \"act\"\n{source}")).unwrap().failures)
}
