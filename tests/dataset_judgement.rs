//! Recorded conversations of agents, judged: by what was said and done alone, and with the outcome and the checks that
//! came with them. The recordings are no part of the repository: name the folder that has them as `conversations/` with
//! `FLYWHEEL_DATASETS`, from the workspace's root or absolute.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "support/datasets.rs"]
mod datasets;

#[path = "support/recorded.rs"]
mod recorded;

use std::collections::BTreeMap;

use flywheel_engine::signals::{Judge, resolution};
use flywheel_model::{Conversation, Fact};
use flywheel_policy::Policy;

use recorded::Run;

/// How much of a run is told.
#[derive(Clone, Copy, PartialEq)]
enum Told {
    Turns,
    TurnsAndOutcome,
    TurnsAndChecks,
    Everything,
}

impl Run {
    fn told(&self, told: Told) -> Conversation {
        let mut conversation = self.conversation.clone();
        if matches!(told, Told::TurnsAndOutcome | Told::Everything) {
            conversation.resolved = Some(self.rewarded);
        }
        if matches!(told, Told::TurnsAndChecks | Told::Everything) {
            conversation.checks = self.checks.clone();
        }
        conversation
    }

    fn has_failed_checks(&self) -> bool {
        self.checks.iter().any(|check| !check.passed)
    }
}

#[test]
fn recorded_conversations_are_judged_by_their_evidence() {
    let Some(runs) = runs() else { return };
    let judge = judge();
    println!("\n{:<14} {:<22} {:<30} {:>5} {:>6} {:>10} {:>7}", "set", "told", "truth", "runs", "failed", "precision", "recall");
    let sets: std::collections::BTreeSet<&str> = runs.iter().map(|run| run.set).collect();
    for set in sets {
        for (told, name) in [
            (Told::Turns, "turns"),
            (Told::TurnsAndOutcome, "turns, outcome"),
            (Told::TurnsAndChecks, "turns, checks"),
            (Told::Everything, "turns, outcome, checks"),
        ] {
            for (truth, by_checks) in [("no reward", false), ("no reward or a failed check", true)] {
                let (mut both, mut judged, mut failed) = (0, 0, 0);
                let of_set = || runs.iter().filter(|run| run.set == set);
                for run in of_set() {
                    let is_failed = !run.rewarded || (by_checks && run.has_failed_checks());
                    let is_judged = !judge.failures(&Fact::Conversation(run.told(told))).is_empty();
                    both += usize::from(is_failed && is_judged);
                    judged += usize::from(is_judged);
                    failed += usize::from(is_failed);
                }
                let share = |of: usize| if of == 0 { "-".to_owned() } else { format!("{:.2}", both as f64 / of as f64) };
                println!("{set:<14} {name:<22} {truth:<30} {:>5} {judged:>6} {:>10} {:>7}", of_set().count(), share(judged), share(failed));
            }
        }
    }
    reasons(&judge, &runs);
}

/// Which evidence speaks where nothing but the turns is told.
fn reasons(judge: &Judge, runs: &[Run]) {
    let mut table: BTreeMap<(&str, &str, bool), usize> = BTreeMap::new();
    for run in runs {
        let mut reasons: Vec<&str> =
            judge.failures(&Fact::Conversation(run.told(Told::Turns))).iter().map(|failure| failure.reason.as_str()).collect();
        reasons.sort_unstable();
        reasons.dedup();
        for reason in reasons {
            *table.entry((run.set, reason, run.rewarded && !run.has_failed_checks())).or_default() += 1;
        }
    }
    println!("\nevidence in the turns alone");
    for ((set, reason, fine), how_many) in table {
        println!("{how_many:>6}  {set}: {reason}{}", if fine { ", though rewarded and with all checks passed" } else { "" });
    }
}

#[test]
fn a_reward_beside_failed_checks_is_no_success() {
    let Some(runs) = runs() else { return };
    let judge = judge();
    let weak: Vec<&Run> = runs.iter().filter(|run| run.rewarded && run.has_failed_checks()).collect();
    for run in &weak {
        let conversation = run.told(Told::Everything);
        let failures = judge.failures(&Fact::Conversation(conversation.clone()));
        assert!(!failures.is_empty(), "{}", run.file);
        assert_eq!(resolution(&conversation, &failures), Some(false), "{}", run.file);
    }
    let rewarded = runs.iter().filter(|run| run.rewarded).count();
    println!("{} of {rewarded} rewarded runs have failed checks, and all of them are judged failed", weak.len());
    assert!(!weak.is_empty());
}

#[test]
fn no_run_without_reward_is_judged_a_success_when_that_is_told() {
    let Some(runs) = runs() else { return };
    let judge = judge();
    for run in runs.iter().filter(|run| !run.rewarded) {
        let conversation = run.told(Told::TurnsAndOutcome);
        assert_eq!(resolution(&conversation, &judge.failures(&Fact::Conversation(conversation.clone()))), Some(false), "{}", run.file);
    }
}

fn judge() -> Judge {
    let source = "[[data_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS12345678\"\nbucket = \"docs\"\n";
    Judge::new(&Policy::parse(&format!("mode = \"act\"\n{source}")).unwrap().failures)
}

/// The runs, or nothing (and a line that says so) if nobody named a folder.
fn runs() -> Option<Vec<Run>> {
    datasets::folder("conversations", "recorded conversations").map(|folder| recorded::runs(&folder))
}
