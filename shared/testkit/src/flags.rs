//! What an `AppConfig` agent does with a feature flag: it tries the rules in their order.
//!
//! Only the operators that experiments write are known. The agent's own hash is not published; any that spreads evenly and
//! depends on seed and value alone behaves the same.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The attributes that a flag's value gives to a user.
///
/// # Panics
/// If the value has a rule that is not understood, or no default.
#[must_use]
pub fn evaluate(value: &Value, key: &str, user: &str) -> Map<String, Value> {
    let Some(variants) = value.get("_variants").and_then(Value::as_array) else { return value.as_object().cloned().unwrap_or_default() };
    let of = |variant: &Value| variant["attributeValues"].as_object().cloned().unwrap_or_default();
    let found = variants.iter().find(|variant| match variant.get("rule") {
        Some(rule) => holds(rule.as_str().expect("a rule is a text"), key, user),
        None => true,
    });
    of(found.expect("the last variant has no rule"))
}

/// Whether a rule holds for a user.
fn holds(rule: &str, key: &str, user: &str) -> bool {
    let inner = rule.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).expect("a rule is an expression in brackets");
    if let Some(operands) = inner.strip_prefix("and ") {
        return split_operands(operands).iter().all(|operand| holds(operand, key, user));
    }
    let words: Vec<&str> = inner.strip_prefix("split ").expect("and, or split").split(' ').collect();
    let named = |name: &str| words.iter().find_map(|word| word.strip_prefix(name)).expect("pct, by and seed");
    assert_eq!(named("by::"), format!("${key}"), "split by another key of the context");
    let seed = named("seed::").trim_matches('"');
    let hash = Sha256::digest(format!("{seed}\n{user}"));
    let place = u64::from_be_bytes(hash[..8].try_into().expect("eight bytes")) as f64 / 2.0_f64.powi(64);
    100.0 * place < named("pct::").parse().expect("a number")
}

/// The expressions in brackets that stand beside each other.
fn split_operands(text: &str) -> Vec<&str> {
    let (mut depth, mut from, mut operands) = (0, 0, Vec::new());
    for (at, char) in text.char_indices() {
        match char {
            '(' => {
                if depth == 0 {
                    from = at;
                }
                depth += 1;
            }
            ')' => {
                depth -= 1;
                if depth == 0 {
                    operands.push(&text[from..=at]);
                }
            }
            _ => {}
        }
    }
    operands
}
