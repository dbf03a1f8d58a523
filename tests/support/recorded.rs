//! Recorded conversations of agents with what is known of them, from a folder that is no part of the repository.

#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};

use flywheel_model::{Check, Conversation, Expected, Role, ToolCall, ToolResult, Turn};
use serde_json::Value;

/// A recorded conversation and what is known of it.
pub(crate) struct Run {
    pub(crate) file: String,
    pub(crate) set: &'static str,
    /// What the user wants, as far as the set tells: its domain.
    pub(crate) intent: String,
    pub(crate) conversation: Conversation,
    pub(crate) checks: Vec<Check>,
    pub(crate) rewarded: bool,
    /// What should have happened.
    pub(crate) expected: Option<Expected>,
    /// The turn in which it went wrong, as people labelled it.
    pub(crate) mistake: Option<usize>,
}

/// The runs below a folder, in the order of the files' names.
pub(crate) fn runs(folder: &Path) -> Vec<Run> {
    let mut files = files(folder);
    files.sort();
    let mut runs = Vec::new();
    for path in files {
        let file = path.strip_prefix(folder).unwrap().display().to_string();
        let value: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        match &value {
            Value::Array(recorded) => runs.extend(recorded.iter().map(|run| tau(&file, run))),
            Value::Object(fields) if fields.contains_key("simulations") => {
                let set = if file.contains("gemma") { "tau2 gemma" } else { "tau2 gpt-4.1" };
                let tasks = value["tasks"].as_array().unwrap();
                runs.extend(value["simulations"].as_array().unwrap().iter().map(|run| tau2(&file, set, tasks, run)));
            }
            _ => runs.push(who_and_when(&file, &value)),
        }
    }
    assert!(!runs.is_empty(), "no recorded conversation below {}", folder.display());
    runs
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
        intent: "airline".to_owned(),
        conversation: conversation(run["traj"].as_array().unwrap()),
        checks: checks.collect(),
        rewarded,
        expected: Some(expected(&run["info"]["task"]["actions"], &run["info"]["task"]["outputs"])),
        mistake: None,
    }
}

fn tau2(file: &str, set: &'static str, tasks: &[Value], run: &Value) -> Run {
    let task = tasks.iter().find(|task| task["id"] == run["task_id"]).unwrap_or(&Value::Null);
    let criteria = &task["evaluation_criteria"];
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
        intent: file.rsplit('/').next().unwrap_or_default().split("__").next().unwrap_or_default().to_owned(),
        conversation: conversation(run["messages"].as_array().unwrap()),
        checks,
        rewarded: info["reward"].as_f64() == Some(1.0),
        expected: criteria["actions"].is_array().then(|| expected(&criteria["actions"], &criteria["communicate_info"])),
        mistake: None,
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
    Run {
        file: file.to_owned(),
        set: "who&when",
        intent: "question".to_owned(),
        conversation,
        checks: Vec::new(),
        rewarded: run["is_correct"].as_bool().unwrap(),
        expected: None,
        mistake: run["mistake_step"].as_str().and_then(|step| step.parse().ok()),
    }
}

/// The calls that lead to the right end, and what has to be told: labels of both editions of tau-bench. Calls of the
/// simulated user's own tools are none of the agent's.
fn expected(actions: &Value, told: &Value) -> Expected {
    let of_agent = |action: &&Value| action["requestor"].as_str().is_none_or(|requestor| requestor == "assistant");
    let calls = actions.as_array().into_iter().flatten().filter(of_agent).map(|action| {
        let all = if action["kwargs"].is_object() { &action["kwargs"] } else { &action["arguments"] };
        let mut arguments = all.clone();
        // Only some of the arguments may matter.
        if let (Some(matter), Some(fields)) = (action["compare_args"].as_array(), arguments.as_object_mut()) {
            fields.retain(|name, _| matter.iter().any(|matters| matters == name));
        }
        ToolCall { id: None, name: action["name"].as_str().unwrap_or_default().to_owned(), arguments }
    });
    let says = told.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned));
    Expected { calls: Some(calls.collect()), says: says.collect() }
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
