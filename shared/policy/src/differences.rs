//! What differs between two policies, field by field.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::Policy;

/// One field that two policies say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The field as the file names it: `sync.cooldown_seconds`, `data_source KBHANDBOOK/DSHANDBOOK`.
    pub field: String,
    /// What becomes of it.
    #[serde(flatten)]
    pub change: Change,
}

/// What becomes of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// Another value.
    Set {
        /// What was said before; nothing if it was not there.
        before: Option<String>,
        /// What is said now; nothing if it is gone.
        after: Option<String>,
    },
    /// A list has other entries.
    Entries {
        /// Those that come.
        gained: Vec<String>,
        /// Those that go.
        lost: Vec<String>,
    },
    /// A table that was not there.
    New {
        /// What it says.
        says: String,
    },
    /// A table that is there no more.
    Gone {
        /// What it said.
        said: String,
    },
    /// The same entries in another order: the first that fits wins.
    Order {
        /// The order now.
        now: Vec<String>,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.field)?;
        match &self.change {
            Change::Set { before, after } => {
                let said = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
                write!(f, "{} → {}", said(before), said(after))?;
            }
            Change::Entries { gained, lost } => {
                let listed = |word: &str, entries: &[String]| (!entries.is_empty()).then(|| format!("{word} {}", entries.join(", ")));
                let parts: Vec<String> = [listed("with", gained), listed("without", lost)].into_iter().flatten().collect();
                f.write_str(&parts.join("; "))?;
            }
            Change::New { says } => write!(f, "new: {says}")?,
            Change::Gone { said } => write!(f, "gone; it was: {said}")?,
            Change::Order { now } => write!(f, "in another order: {}", now.join(", "))?,
        }
        match self.meaning() {
            Some(meaning) => write!(f, " ({meaning})"),
            None => Ok(()),
        }
    }
}

impl Difference {
    /// What it comes to, where that is more than the number says.
    fn meaning(&self) -> Option<&'static str> {
        match (self.field.as_str(), &self.change) {
            ("mode", Change::Set { after: Some(after), .. }) if after == "\"act\"" => Some("from now on decisions are carried out"),
            ("mode", _) => Some("from now on decisions are recorded, and nothing is carried out"),
            (field, Change::Gone { .. }) if field.starts_with("data_source ") => Some("its changes are no longer followed"),
            _ => None,
        }
    }
}

/// What differs, the mode first, then in the order of the fields' names. Defaults count as said: writing one out is no
/// difference.
#[must_use]
pub fn differences(before: &Policy, after: &Policy) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", Some(&written(before)), Some(&written(after)), &mut found);
    found.sort_by_key(|difference| difference.field != "mode");
    found
}

/// The policy as its file says it.
fn written(policy: &Policy) -> Value {
    serde_json::to_value(policy).unwrap_or_else(|error| unreachable!("text keys, and numbers that are finite: {error}"))
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Difference>) {
    if before == after {
        return;
    }
    let mut add = |change| found.push(Difference { field: path.to_owned(), change });
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for name in names {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare(&below, before.get(name), after.get(name), found);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) if before.iter().chain(after).all(Value::is_object) => {
            compare_tables(path, before, after, found);
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            let without = |from: &[Value], other: &[Value]| from.iter().filter(|entry| !other.contains(entry)).map(told).collect();
            let (gained, lost): (Vec<String>, Vec<String>) = (without(after, before), without(before, after));
            let same = gained.is_empty() && lost.is_empty();
            add(if same { Change::Order { now: after.iter().map(told).collect() } } else { Change::Entries { gained, lost } });
        }
        (None, Some(value @ Value::Object(_))) => add(Change::New { says: told(value) }),
        (Some(value @ Value::Object(_)), None) => add(Change::Gone { said: told(value) }),
        _ => add(Change::Set { before: before.map(told), after: after.map(told) }),
    }
}

/// Tables are told apart by what names them, wherever they stand in the file.
fn compare_tables(path: &str, before: &[Value], after: &[Value], found: &mut Vec<Difference>) {
    let by_name = |tables: &'_ [Value], name: &str| tables.iter().find(|table| name_of(table) == name).cloned();
    let names = |tables: &[Value]| tables.iter().map(name_of).collect::<Vec<String>>();
    let (names_before, names_after) = (names(before), names(after));
    let mut seen = BTreeSet::new();
    for name in names_before.iter().chain(&names_after).filter(|name| seen.insert(name.as_str())) {
        compare(&format!("{path} {name}"), by_name(before, name).as_ref(), by_name(after, name).as_ref(), found);
    }
    let common = |names: &[String], other: &[String]| names.iter().filter(|name| other.contains(name)).cloned().collect::<Vec<String>>();
    let (order_before, order_after) = (common(&names_before, &names_after), common(&names_after, &names_before));
    if order_before != order_after {
        found.push(Difference { field: path.to_owned(), change: Change::Order { now: order_after } });
    }
}

/// What names a table among those of its kind.
fn name_of(table: &Value) -> String {
    let text = |name: &str| table.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    let joined = |names: &[&str], with: &str| names.iter().filter_map(|name| text(name)).collect::<Vec<_>>().join(with);
    if table.get("data_source").is_some() {
        return joined(&["knowledge_base", "data_source"], "/");
    }
    if table.get("workflow").is_some() {
        return joined(&["workflow", "tool_calls_at_least", "tool_calls_at_most"], " ");
    }
    if table.get("from").is_some() {
        return joined(&["from", "to"], " to ");
    }
    if table.get("metric").is_some() {
        return joined(&["name", "metric", "key"], " ");
    }
    joined(if table.get("name").is_some() { &["name"] } else { &["intent"] }, "")
}

/// A value as people read it.
fn told(value: &Value) -> String {
    match value {
        Value::Object(fields) => fields_told(fields),
        Value::Array(entries) => format!("[{}]", entries.iter().map(told).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

fn fields_told(fields: &Map<String, Value>) -> String {
    let said = fields.iter().filter(|(_, value)| !matches!(value, Value::Array(entries) if entries.is_empty()) && **value != "");
    let mut said: Vec<String> = said.map(|(name, value)| format!("{name} = {}", told(value))).collect();
    said.sort_unstable();
    said.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = r#"mode = "act"
[[data_source]]
knowledge_base = "KB12345678"
data_source = "DS12345678"
bucket = "docs"
[[topic]]
name = "launch"
words = ["kettle"]
[[topic]]
name = "returns"
words = ["return"]
[[timeout]]
workflow = "trip"
target = { parameter = "/trip", field = "seconds" }
ceiling_seconds = 120
exploration = {}
"#;

    fn told_between(before: &str, after: &str) -> Vec<String> {
        let parse = |text: &str| Policy::parse(text).expect("valid");
        differences(&parse(before), &parse(after)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_kind_of_change_is_told_with_its_field() {
        let more = |text: &str| format!("{BASE}{text}");
        for (after, told) in [
            (BASE.to_owned(), vec![]),
            // A default that is written out says nothing new, nor does another order of tables of different kinds.
            (more("[sync]\ncooldown_seconds = 30\n"), vec![]),
            (more("[sync]\ncooldown_seconds = 60\n"), vec!["sync.cooldown_seconds: 30 → 60"]),
            (
                BASE.replace("\"act\"", "\"dry_run\""),
                vec!["mode: \"act\" → \"dry_run\" (from now on decisions are recorded, and nothing is carried out)"],
            ),
            (BASE.replace("\"docs\"", "\"files\""), vec!["data_source KB12345678/DS12345678.bucket: \"docs\" → \"files\""]),
            (BASE.replace("[\"kettle\"]", "[\"kettle\", \"pot\"]"), vec!["topic launch.words: with \"pot\""]),
            (BASE.replace("[\"kettle\"]", "[\"pot\"]"), vec!["topic launch.words: with \"pot\"; without \"kettle\""]),
            (more("[findings.timeouts]\nmeasure = \"points\"\n"), vec!["findings.timeouts.measure: \"relative\" → \"points\""]),
            (more("[signals]\nguardrail = \"gr1:2\"\n"), vec!["signals.guardrail: not set → \"gr1:2\""]),
            (BASE.replace("exploration = {}", ""), vec!["timeout trip.exploration: gone; it was: seconds = 86400, share = 0.05"]),
            (
                BASE.replace("{ parameter = \"/trip\", field = \"seconds\" }", "{ parameter = \"/trips\", field = \"seconds\" }"),
                vec!["timeout trip.target.parameter: \"/trip\" → \"/trips\""],
            ),
            (
                more("[[unseen_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS22222222\"\n"),
                vec!["unseen_source KB12345678/DS22222222: new: data_source = \"DS22222222\", knowledge_base = \"KB12345678\""],
            ),
            (
                more("[[alarm]]\nname = \"a-*\"\nmetric = \"timeouts\"\nkey = \"trip\"\n"),
                vec!["alarm a-* timeouts trip: new: key = \"trip\", metric = \"timeouts\", name = \"a-*\""],
            ),
        ] {
            assert_eq!(told_between(BASE, &after), told);
        }
    }

    #[test]
    fn a_data_source_that_leaves_is_told_with_what_that_means() {
        let other = "[[data_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS22222222\"\nbucket = \"more\"\n";
        let [told] = &told_between(&format!("{BASE}{other}"), BASE)[..] else { panic!("one difference") };
        assert!(
            told.starts_with("data_source KB12345678/DS22222222: gone") && told.ends_with("(its changes are no longer followed)"),
            "{told}"
        );
    }

    #[test]
    fn the_order_of_topics_counts() {
        let (launch, returns) = ("name = \"launch\"\nwords = [\"kettle\"]", "name = \"returns\"\nwords = [\"return\"]");
        let turned = BASE.replace(launch, "X").replace(returns, launch).replace('X', returns);
        assert_eq!(told_between(BASE, &turned), ["topic: in another order: returns, launch"]);
    }

    #[test]
    fn a_policy_that_is_written_out_reads_as_the_same() {
        let example = include_str!("../../../infra/policy.toml");
        for text in [BASE, example, &format!("{BASE}{EVERYTHING}")] {
            let policy = Policy::parse(text).expect("valid");
            let written = toml::to_string(&policy).expect("TOML");
            let again = Policy::parse(&written).unwrap_or_else(|error| panic!("{error}\n{written}"));
            assert_eq!(Policy { version: String::new(), ..again }, Policy { version: String::new(), ..policy }, "{written}");
        }
    }

    const EVERYTHING: &str = r#"
[signals]
guardrail = "gr1:2"
invocation_log_bucket = "logs"
[findings.resolution]
measure = "points"
[capture.weights]
low_scores = 0.5
[[intent]]
name = "billing"
tools = ["find_invoice"]
[[timeout]]
workflow = "report"
tool_calls_at_least = 2
target = { application = "a", environment = "b", profile = "c", strategy = "d" }
ceiling_seconds = 60
above = [{ name = "API Gateway", seconds = 29 }]
[[timeout]]
workflow = "work"
tool_calls_at_most = 4
target = { function = "work" }
ceiling_seconds = 60
queue = "work"
[[tests.target]]
name = "orders"
url = "https://assistant.example.com/turn"
secret = "s"
[[tests.target]]
name = "all"
model = "amazon.nova-lite-v1:0"
instructions = "tests/targets/all.json"
[experiments]
application = "abc1234"
environment = "def5678"
profile = "ghi9012"
slow_seconds = 60
[[experiments.freeze]]
from = "2026-12-20T00:00:00Z"
to = "2027-01-04T00:00:00Z"
[[experiments.intent]]
intent = "billing"
flag = "billing-prompt"
control = "baseline"
[approvals]
deadline_hours = 4
high = ["timeout"]
"#;
}
