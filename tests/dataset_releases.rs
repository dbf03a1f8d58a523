//! Failures of real releases, as people posted them, and records of CloudTrail. They are no part of the repository: name the
//! folder that has them as `releases/` with `FLYWHEEL_DATASETS`, from the workspace's root or absolute. `-- --nocapture`
//! prints the figures, and with `FLYWHEEL_MISSES` set also what was read otherwise than it is labelled.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "support/datasets.rs"]
mod datasets;

use std::collections::BTreeMap;
use std::fs;

use flywheel_releases::{Kind, assemble, cloud_trail, from_stack_event, understand};
use serde_json::Value;

#[test]
fn labelled_messages_are_understood() {
    let Some(folder) = datasets::folder_if_there("releases", "records of releases") else { return };
    let shows_misses = std::env::var_os("FLYWHEEL_MISSES").is_some();
    let text = fs::read_to_string(folder.join("release_failure_messages.jsonl")).unwrap();
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut invented = 0;
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let label = |field: &str| record[field].as_str().map(str::to_owned);
        let cause = understand(record["message"].as_str().unwrap());
        let mut compare = |what: &'static str, right: bool| {
            let (rights, all) = counts.entry(what).or_default();
            *rights += usize::from(right);
            *all += 1;
        };
        let kind = cause.kind.name() == record["kind_from_message"];
        let action = cause.action == label("missing_action");
        let resource = cause.resource == label("resource");
        compare("kind", kind);
        compare("resource", resource);
        match record["action_form"].as_str() {
            Some("literal") => compare("literal action", action),
            Some("derivable") => compare("derivable action", action),
            _ => compare("no action", action),
        }
        invented += usize::from(cause.action.is_some() && label("missing_action").is_none());
        if shows_misses && !(kind && action && resource) {
            println!(
                "{}\n  {cause:?}\n  {}",
                record["message"],
                serde_json::json!([label("kind_from_message"), label("missing_action"), label("resource")])
            );
        }
    }
    for (what, (right, all)) in &counts {
        println!("{what:<20} {right:>4} of {all}");
    }
    println!("{:<20} {invented:>4}", "invented actions");
    let share = |what: &str| counts.get(what).map_or(1.0, |(right, all)| *right as f64 / *all as f64);
    assert!(share("kind") >= 0.95 && share("literal action") >= 0.98 && invented == 0);
}

#[test]
fn denied_calls_name_their_action_and_others_name_none() {
    let Some(folder) = datasets::folder_if_there("releases", "records of releases") else { return };
    let records = |name: &str| -> Vec<Value> {
        let file: Value = serde_json::from_str(&fs::read_to_string(folder.join(name)).unwrap()).unwrap();
        file["Records"].as_array().unwrap().clone()
    };
    for record in records("cloudtrail_denied.json") {
        let cause = cloud_trail(&record).unwrap().unwrap();
        let prefix = record["eventSource"].as_str().unwrap().trim_end_matches(".amazonaws.com");
        assert_eq!(cause.action, Some(format!("{prefix}:{}", record["eventName"].as_str().unwrap())), "{record}");
        assert!(cause.kind.is_denial() && cause.principal.is_some(), "{cause:?}");
    }
    for record in records("cloudtrail_other_errors.json") {
        let cause = cloud_trail(&record).unwrap().unwrap();
        assert!(cause.action.is_none() || cause.kind == Kind::TrustPolicy, "{record} {cause:?}");
    }
    assert!(records("cloudtrail_success.json").iter().all(|record| cloud_trail(record).unwrap().is_none()));
}

#[test]
fn events_of_real_stacks_are_read_whatever_is_left_of_them() {
    let Some(folder) = datasets::folder_if_there("releases", "records of releases") else { return };
    for entry in fs::read_dir(folder.join("cfn_failed_stack_events")).unwrap() {
        let file: Value = serde_json::from_str(&fs::read_to_string(entry.unwrap().path()).unwrap()).unwrap();
        let events = file["StackEvents"].as_array().unwrap();
        // Their times were taken out; they are listed with the last first.
        let records = events.iter().rev().enumerate().filter_map(|(second, event)| {
            let mut event = event.clone();
            event["Timestamp"] = Value::from(jiff::Timestamp::from_second(second as i64).unwrap().to_string());
            from_stack_event(&event).unwrap()
        });
        let releases = assemble(records);
        assert!(releases.iter().all(|release| release.causes.iter().all(|cause| cause.action.is_none())), "{releases:?}");
    }
}
