//! Attributes of spans and log records: a map as CloudWatch writes it, or OTLP's list of keys and typed values
//! (opentelemetry-proto, `common/v1`).

use serde_json::{Map, Value};

/// The attributes of one span, log record or span event.
#[derive(Debug, Default)]
pub(crate) struct Attributes(Map<String, Value>);

/// The deepest that a value of OTLP is followed.
const DEEPEST: usize = 64;

impl Attributes {
    pub(crate) fn of(holder: &Value) -> Self {
        Self(match holder.get("attributes") {
            Some(Value::Object(map)) => map.clone(),
            Some(list @ Value::Array(_)) => pairs(list, 0),
            _ => Map::new(),
        })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// The first of these that has a text.
    pub(crate) fn text(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| match self.get(name)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            number @ Value::Number(_) => Some(number.to_string()),
            _ => None,
        })
    }

    pub(crate) fn number(&self, names: &[&str]) -> Option<f64> {
        names.iter().find_map(|name| match self.get(name)? {
            Value::String(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
            value => value.as_f64(),
        })
    }

    pub(crate) fn count(&self, names: &[&str]) -> Option<u64> {
        names.iter().find_map(|name| match self.get(name)? {
            Value::String(text) => text.parse().ok(),
            value => value.as_u64(),
        })
    }

    /// Something structured, which spans often carry as JSON in a text.
    pub(crate) fn structure(&self, name: &str) -> Option<Value> {
        self.get(name).map(structured)
    }

    pub(crate) fn any_starts_with(&self, starts: &[&str]) -> bool {
        self.0.keys().any(|name| starts.iter().any(|start| name.starts_with(start)))
    }
}

/// A value, or the JSON that it holds as text.
pub(crate) fn structured(value: &Value) -> Value {
    match value {
        Value::String(text) if text.trim_start().starts_with(['[', '{']) => serde_json::from_str(text).unwrap_or_else(|_| value.clone()),
        other => other.clone(),
    }
}

fn pairs(list: &Value, depth: usize) -> Map<String, Value> {
    let entries = list.as_array().into_iter().flatten();
    entries
        .filter_map(|entry| Some((entry.get("key")?.as_str()?.to_owned(), entry.get("value").map(|value| plain(value, depth))?)))
        .collect()
}

/// A value without OTLP's types around it.
pub(crate) fn plain(value: &Value, depth: usize) -> Value {
    let Some((kind, inside)) = value.as_object().filter(|fields| fields.len() == 1).and_then(|fields| fields.iter().next()) else {
        return value.clone();
    };
    match kind.as_str() {
        "stringValue" | "boolValue" | "doubleValue" | "bytesValue" => inside.clone(),
        // Numbers of 64 bits are texts in OTLP's JSON.
        "intValue" => match inside.as_str().and_then(|text| text.parse::<i64>().ok()) {
            Some(number) => number.into(),
            None => inside.clone(),
        },
        "arrayValue" if depth < DEEPEST => {
            inside.get("values").and_then(Value::as_array).into_iter().flatten().map(|value| plain(value, depth + 1)).collect()
        }
        "kvlistValue" if depth < DEEPEST => inside.get("values").map(|values| pairs(values, depth + 1)).unwrap_or_default().into(),
        _ => value.clone(),
    }
}
