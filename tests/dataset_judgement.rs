//! Recorded conversations of agents, judged: by what was said and done alone, and with the outcome and the checks that
//! came with them. The recordings are no part of the repository: name the folder that has them as `conversations/` with
//! `FLYWHEEL_DATASETS`, from the workspace's root or absolute.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "support/datasets.rs"]
mod datasets;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use flywheel_engine::signals::{Judge, resolution};
use flywheel_model::{Check, Conversation, Fact, Role, ToolCall, ToolResult, Turn};
use flywheel_policy::Policy;
use serde_json::Value;

/// A recorded conversation and what is known of it.
struct Run {
    file: String,
    set: &'static str,
    conversation: Conversation,
    checks: Vec<Check>,
    rewarded: bool,
}

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
    let folder = datasets::folder("conversations", "recorded conversations")?;
    let mut files = files(&folder);
    files.sort();
    let mut runs = Vec::new();
    for path in files {
        let file = path.strip_prefix(&folder).unwrap().display().to_string();
        let value: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        match &value {
            Value::Array(recorded) => runs.extend(recorded.iter().map(|run| tau(&file, run))),
            Value::Object(fields) if fields.contains_key("simulations") => {
                let set = if file.contains("gemma") { "tau2 gemma" } else { "tau2 gpt-4.1" };
                runs.extend(value["simulations"].as_array().unwrap().iter().map(|run| tau2(&file, set, run)));
            }
            _ => runs.push(who_and_when(&file, &value)),
        }
    }
    assert!(!runs.is_empty(), "no recorded conversation below {}", folder.display());
    Some(runs)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("FLYWHEEL_DATASETS: {}: {error}", folder.display()));
    let paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    let (folders, files): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.is_dir());
    let is_json = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "json");
    files.into_iter().filter(is_json).chain(folders.iter().flat_map(|folder| self::files(folder))).collect()
}

/// tau-bench: its check is whether the actions came to the expected state of the data, and whether all was said.
fn tau(file: &str, run: &Value) -> Run {
    let rewarded = run["reward"].as_f64() == Some(1.0);
    let found = &run["info"]["reward_info"]["info"];
    let checks = ["r_actions", "r_outputs"].into_iter().filter_map(|name| {
        let passed = found[name].as_f64()? == 1.0;
        Some(Check { name: name.to_owned(), passed, detail: None })
    });
    Run {
        file: format!("{file} task {} trial {}", run["task_id"], run["trial"]),
        set: "tau airline",
        conversation: conversation(run["traj"].as_array().unwrap()),
        checks: checks.collect(),
        rewarded,
    }
}

fn tau2(file: &str, set: &'static str, run: &Value) -> Run {
    let info = &run["reward_info"];
    let mut checks = Vec::new();
    if let Some(passed) = info["db_check"]["db_match"].as_bool() {
        checks.push(Check { name: "db_check".to_owned(), passed, detail: None });
    }
    for (list, field) in
        [("action_checks", "action_match"), ("nl_assertions", "met"), ("communicate_checks", "met"), ("env_assertions", "met")]
    {
        for check in info[list].as_array().into_iter().flatten() {
            let passed = check[field].as_bool().unwrap();
            checks.push(Check { name: list.to_owned(), passed, detail: check["action"]["name"].as_str().map(str::to_owned) });
        }
    }
    Run {
        file: format!("{file} task {}", run["task_id"]),
        set,
        conversation: conversation(run["messages"].as_array().unwrap()),
        checks,
        rewarded: info["reward"].as_f64() == Some(1.0),
    }
}

/// Who&When: several agents talk, and a terminal answers like a tool. All of these runs failed.
fn who_and_when(file: &str, run: &Value) -> Run {
    let turns = run["history"].as_array().unwrap().iter().map(|said| {
        let text = said["content"].as_str().unwrap_or_default().to_owned();
        let speaker = said["name"].as_str().or(said["role"].as_str()).unwrap_or_default();
        if speaker.contains("terminal") {
            let result = ToolResult { name: Some("terminal".to_owned()), text: Some(text), ..ToolResult::default() };
            Turn { role: Role::Tool, text: None, tool_calls: Vec::new(), tool_results: vec![result], at: None }
        } else {
            Turn { role: Role::Assistant, text: Some(text), tool_calls: Vec::new(), tool_results: Vec::new(), at: None }
        }
    });
    let conversation = Conversation { turns: turns.collect(), ..Conversation::default() };
    Run { file: file.to_owned(), set: "who&when", conversation, checks: Vec::new(), rewarded: run["is_correct"].as_bool().unwrap() }
}

/// Messages as OpenAI's interface has them, those of tau2 a little different: a call's name and arguments stand in the
/// call itself, and a tool's answer tells whether it is an error.
fn conversation(messages: &[Value]) -> Conversation {
    let mut turns = Vec::new();
    for message in messages {
        let text = message["content"].as_str().map(str::to_owned);
        // Calls of the simulated user's own tools are none of the agent's.
        let of_agent = |made: &Value| made["requestor"].as_str().is_none_or(|requestor| requestor == "assistant");
        let calls = message["tool_calls"].as_array().into_iter().flatten().filter(|call| of_agent(call)).map(|call| {
            let function = if call["function"].is_object() { &call["function"] } else { call };
            let arguments = match &function["arguments"] {
                Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone())),
                arguments => arguments.clone(),
            };
            ToolCall { id: call["id"].as_str().map(str::to_owned), name: function["name"].as_str().unwrap().to_owned(), arguments }
        });
        let role = match message["role"].as_str().unwrap() {
            "system" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            _ => Role::Tool,
        };
        let mut turn = Turn { role, text, tool_calls: calls.collect(), tool_results: Vec::new(), at: None };
        if role == Role::Tool {
            if !of_agent(message) {
                continue;
            }
            turn.tool_results.push(ToolResult {
                call: message["tool_call_id"].as_str().or(message["id"].as_str()).map(str::to_owned),
                name: message["name"].as_str().map(str::to_owned),
                text: turn.text.take(),
                error: message["error"].as_bool().unwrap_or_default(),
            });
        }
        turns.push(turn);
    }
    Conversation { turns, ..Conversation::default() }
}
