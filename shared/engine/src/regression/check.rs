//! Whether a run of a test does what the test expects.

use std::collections::BTreeMap;

use flywheel_model::{Expectations, ExpectedCall, Role, ToolCall, Turn};
use serde_json::Value;

use super::steps::{calls, replies};

/// What came of a run.
#[derive(Debug, Clone, Copy)]
pub struct Run<'r> {
    /// Everything that was said and done.
    pub turns: &'r [Turn],
    /// How long it took, as far as that is known.
    pub seconds: Option<f64>,
    /// Tokens that the assistant wrote, as far as that is known.
    pub tokens: Option<u64>,
}

impl<'r> Run<'r> {
    /// Of what was said and done alone.
    #[must_use]
    pub const fn of(turns: &'r [Turn]) -> Self {
        Self { turns, seconds: None, tokens: None }
    }
}

/// What a run falls short of, a sentence each; empty if it passes. The same run gives the same sentences in the same order.
#[must_use]
pub fn shortfalls(expects: &Expectations, run: &Run<'_>) -> Vec<String> {
    let calls = calls(run.turns);
    let mut found = Vec::new();
    let all: Vec<&ToolCall> = calls.iter().map(|called| called.call).collect();
    let made = matched(&expects.calls, &all);
    for (expected, made) in expects.calls.iter().zip(&made) {
        if made.is_none() {
            found.push(format!("{} was not called", told(expected)));
        }
    }
    for forbidden in &expects.no_calls {
        if all.iter().any(|call| fits(forbidden, call)) {
            found.push(format!("{} was called, and must not be", told(forbidden)));
        }
    }
    for (place, called) in calls.iter().enumerate() {
        let changes = expects.nothing_else_by.contains(&called.call.name);
        if changes && !called.failed() && !made.contains(&Some(place)) {
            found.push(format!("{} was called beyond what is expected", called.call.name));
        }
    }
    let said: Vec<String> = replies(run.turns).map(|(_, reply)| plain(reply)).collect();
    let is_said = |text: &String| said.iter().any(|reply| says(reply, &plain(text)));
    for alternatives in expects.says.iter().filter(|alternatives| !alternatives.iter().any(is_said)) {
        found.push(format!("it did not say {}", alternatives.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(" or ")));
    }
    for never in expects.never_says.iter().filter(|text| is_said(text)) {
        found.push(format!("it said {never:?}, and must not"));
    }
    found.extend(over_budget(expects, run));
    found
}

fn over_budget(expects: &Expectations, run: &Run<'_>) -> Vec<String> {
    let Some(budget) = expects.budget else { return Vec::new() };
    let turns = run.turns.iter().filter(|turn| turn.role == Role::Assistant).count();
    let mut over = Vec::new();
    if let Some(most) = budget.turns.filter(|most| turns > *most as usize) {
        over.push(format!("it took {turns} turns, {most} at most"));
    }
    if let Some((seconds, most)) = run.seconds.zip(budget.seconds).filter(|(seconds, most)| seconds > most) {
        over.push(format!("it took {seconds:.1} s, {most} s at most"));
    }
    if let Some((tokens, most)) = run.tokens.zip(budget.tokens).filter(|(tokens, most)| tokens > most) {
        over.push(format!("it wrote {tokens} tokens, {most} at most"));
    }
    over
}

/// For each expected call the place of one that fits it, each call for one expected at most, so that as many as possible
/// have one (augmenting paths, after Kuhn).
fn matched(expected: &[ExpectedCall], calls: &[&ToolCall]) -> Vec<Option<usize>> {
    fn place(of: usize, expected: &[ExpectedCall], calls: &[&ToolCall], tried: &mut [bool], taken: &mut [Option<usize>]) -> bool {
        for (at, call) in calls.iter().enumerate() {
            if tried[at] || !fits(&expected[of], call) {
                continue;
            }
            tried[at] = true;
            if taken[at].is_none_or(|other| place(other, expected, calls, tried, taken)) {
                taken[at] = Some(of);
                return true;
            }
        }
        false
    }
    let mut taken = vec![None; calls.len()];
    for of in 0..expected.len() {
        place(of, expected, calls, &mut vec![false; calls.len()], &mut taken);
    }
    (0..expected.len()).map(|of| taken.iter().position(|other| *other == Some(of))).collect()
}

/// Whether a call is what is expected: this tool, and all arguments that matter.
pub(super) fn fits(expected: &ExpectedCall, call: &ToolCall) -> bool {
    expected.tool == call.name && expected.arguments.iter().all(|(name, value)| call.arguments.get(name).is_some_and(|is| same(value, is)))
}

/// Whether a value is the expected one: null stands for any; numbers are compared by value, also where one is written as a
/// text; texts without the spaces around them; of an object the fields that are expected, of a list the members in any
/// order.
#[must_use]
pub fn same(expected: &Value, is: &Value) -> bool {
    match (expected, is) {
        (Value::Null, _) => true,
        (Value::String(expected), Value::String(is)) => expected.trim() == is.trim(),
        (Value::Number(_), Value::Number(_) | Value::String(_)) | (Value::String(_), Value::Number(_)) => {
            let number = |value: &Value| match value {
                Value::String(text) => text.trim().parse::<f64>().ok(),
                other => other.as_f64(),
            };
            number(expected).zip(number(is)).is_some_and(|(expected, is)| (expected - is).abs() <= 1e-9 * expected.abs().max(1.0))
        }
        (Value::Array(expected), Value::Array(is)) => {
            let mut left: Vec<&Value> = is.iter().collect();
            expected.len() == is.len()
                && expected.iter().all(|value| left.iter().position(|is| same(value, is)).map(|place| left.swap_remove(place)).is_some())
        }
        (Value::Object(expected), Value::Object(is)) => expected.iter().all(|(name, value)| is.get(name).is_some_and(|is| same(value, is))),
        (expected, is) => expected == is,
    }
}

/// A text in lower case, with single spaces, and numbers without signs between their groups of digits.
fn plain(text: &str) -> String {
    let chars: Vec<char> = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase().chars().collect();
    let is_digit = |place: Option<usize>| place.and_then(|place| chars.get(place)).is_some_and(char::is_ascii_digit);
    let groups = |place: usize| {
        matches!(chars[place], ',' | '\'' | '’' | '\u{a0}')
            && is_digit(place.checked_sub(1))
            && (1..=3).all(|ahead| is_digit(Some(place + ahead)))
            && !is_digit(Some(place + 4))
    };
    (0..chars.len()).filter(|place| !groups(*place)).map(|place| chars[place]).collect()
}

/// Whether a text stands in another as a whole: not as a part of a longer number or word.
fn says(reply: &str, text: &str) -> bool {
    let joins = |one: Option<char>, other: Option<char>| {
        one.zip(other).is_some_and(|(one, other)| one.is_alphanumeric() && other.is_alphanumeric())
    };
    !text.is_empty()
        && reply.match_indices(text).any(|(at, _)| {
            let (before, after) = (reply[..at].chars().next_back(), reply[at + text.len()..].chars().next());
            !joins(before, text.chars().next()) && !joins(text.chars().next_back(), after)
        })
}

/// A call in words.
fn told(call: &ExpectedCall) -> String {
    let arguments: BTreeMap<&String, &Value> = call.arguments.iter().filter(|(_, value)| !value.is_null()).collect();
    if arguments.is_empty() {
        return call.tool.clone();
    }
    let told: Vec<String> = arguments.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    format!("{}({})", call.tool, told.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(turns: &str) -> Vec<Turn> {
        serde_json::from_str(turns).expect("turns")
    }

    fn expects(json: &str) -> Expectations {
        serde_json::from_str(json).expect("expectations")
    }

    fn found(expectations: &str, turns: &str) -> Vec<String> {
        shortfalls(&expects(expectations), &Run::of(&run(turns)))
    }

    const CANCELS: &str = r#"[{"role":"user","text":"cancel A1"},
        {"role":"assistant","tool_calls":[{"id":"1","name":"cancel","arguments":{"order":"A1","items":[1,2],"note":"x"}}]},
        {"role":"tool","tool_results":[{"call":"1","text":"ok"}]},
        {"role":"assistant","text":"Order A1 is cancelled; you get $1,234.50 back."}]"#;

    #[test]
    fn a_run_passes_that_does_what_is_expected_and_no_more() {
        for (expectations, passes) in [
            (r#"{}"#, true),
            (r#"{"calls":[{"tool":"cancel"}]}"#, true),
            (r#"{"calls":[{"tool":"cancel","arguments":{"order":"A1"}}]}"#, true),
            (r#"{"calls":[{"tool":"cancel","arguments":{"order":" A1 ","items":["2",1.0]}}]}"#, true),
            (r#"{"calls":[{"tool":"cancel","arguments":{"order":null}}]}"#, true),
            (r#"{"calls":[{"tool":"cancel","arguments":{"reason":null}}]}"#, false),
            (r#"{"calls":[{"tool":"cancel","arguments":{"order":"A2"}}]}"#, false),
            (r#"{"calls":[{"tool":"cancel"},{"tool":"cancel"}]}"#, false),
            (r#"{"no_calls":[{"tool":"cancel","arguments":{"order":"A2"}}]}"#, true),
            (r#"{"no_calls":[{"tool":"cancel"}]}"#, false),
            (r#"{"nothing_else_by":["cancel"]}"#, false),
            (r#"{"nothing_else_by":["cancel"],"calls":[{"tool":"cancel","arguments":{"order":"A1"}}]}"#, true),
            (r#"{"says":[["1234.5","1234.50"]]}"#, true),
            (r#"{"says":[["234.50"]]}"#, false),
            (r#"{"says":[["order  a1 IS"]]}"#, true),
            (r#"{"never_says":["refund"]}"#, true),
            (r#"{"never_says":["Cancelled"]}"#, false),
            (r#"{"budget":{"turns":2}}"#, true),
            (r#"{"budget":{"turns":1}}"#, false),
        ] {
            assert_eq!(found(expectations, CANCELS).is_empty(), passes, "{expectations}");
        }
    }

    #[test]
    fn a_change_that_its_tool_refused_changed_nothing() {
        let turns = r#"[{"role":"assistant","tool_calls":[{"id":"1","name":"cancel","arguments":{}}]},
            {"role":"tool","tool_results":[{"call":"1","text":"Error: no such order"}]}]"#;
        assert_eq!(found(r#"{"nothing_else_by":["cancel"]}"#, turns), [""; 0]);
    }

    #[test]
    fn each_expected_call_has_one_of_its_own_however_they_are_ordered() {
        let turns =
            r#"[{"role":"assistant","tool_calls":[{"name":"add","arguments":{"item":"b"}},{"name":"add","arguments":{"item":"a"}}]}]"#;
        assert_eq!(found(r#"{"calls":[{"tool":"add"},{"tool":"add","arguments":{"item":"b"}}]}"#, turns), [""; 0]);
        assert_eq!(
            found(r#"{"calls":[{"tool":"add","arguments":{"item":"b"}},{"tool":"add","arguments":{"item":"b"}}]}"#, turns),
            ["add(item: \"b\") was not called"]
        );
    }

    #[test]
    fn a_text_is_not_found_inside_of_a_longer_word_or_number() {
        for (reply, text, said) in
            [("it is 1327", "327", false), ("it is $327.", "327", true), ("nonrefundable", "refund", false), ("ÄÖ refund!", "refund", true)]
        {
            assert_eq!(says(&plain(reply), &plain(text)), said, "{reply}");
        }
    }
}
