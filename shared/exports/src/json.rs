//! JSON that every reader takes as it is meant.

use serde::Serialize;

/// A value on one line, with the line's end.
pub(crate) fn line(value: &impl Serialize) -> String {
    let mut line = escape(&serde_json::to_string(value).expect("texts, lists and numbers are always JSON"));
    line.push('\n');
    line
}

/// A value on many lines, to be read and compared by people.
pub(crate) fn pretty(value: &impl Serialize) -> String {
    let mut text = escape(&serde_json::to_string_pretty(value).expect("texts, lists and numbers are always JSON"));
    text.push('\n');
    text
}

/// JSON leaves some characters as they are that its readers stumble over: Python's `splitlines` ends a line at U+0085,
/// U+2028 and U+2029, and a YAML parser, with which promptfoo reads JSON, refuses what it calls not printable. They stand
/// in strings alone, so each may be escaped where it is.
fn escape(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            _ => escaped.push(character),
        }
    }
    escaped
}
