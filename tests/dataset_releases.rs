//! Failures of real releases, as people posted them, and records of CloudTrail. They are no part of the repository: name the
//! folder that has them as `releases/` with `FLYWHEEL_DATASETS`, from the workspace's root or absolute. `-- --nocapture`
//! prints the figures, and with `FLYWHEEL_MISSES` set also what was read otherwise than it is labelled.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use flywheel_releases::understand;
use serde_json::Value;

#[test]
fn labelled_messages_are_understood() {
    let Some(folder) = folder("releases") else { return };
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

/// A folder of the data, or nothing (and a line that says so) if nobody named one.
fn folder(name: &str) -> Option<PathBuf> {
    let Some(named) = std::env::var_os("FLYWHEEL_DATASETS").filter(|named| !named.is_empty()) else {
        println!("skipped: set FLYWHEEL_DATASETS to a folder that has records of releases in {name}/");
        return None;
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(named).join(name);
    if !folder.is_dir() {
        println!("skipped: there is no {}", folder.display());
        return None;
    }
    Some(folder)
}
