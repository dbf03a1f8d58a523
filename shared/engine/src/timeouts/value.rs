//! A limit as it stands in a parameter or a configuration: a number of seconds, or a field of a JSON object.

use flywheel_model::{Exploration, Limit};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The name of the field with an exploration, beside that of the limit.
fn exploration_of(field: &str) -> String {
    format!("{field}_exploration")
}

/// Reads a limit.
///
/// # Errors
/// Why there is none, naming what was found and what was expected.
pub fn read(text: &str, field: Option<&str>) -> Result<Limit, String> {
    let Some(field) = field else {
        let seconds = text.trim().parse().map_err(|_| format!("its value is {:?}; expected a number of seconds", shortened(text)))?;
        return positive(seconds).map(Limit::of);
    };
    let object = object(text)?;
    let seconds = object.get(field).ok_or_else(|| format!("its field {field} is missing; expected a number of seconds"))?;
    let seconds = seconds
        .as_f64()
        .ok_or_else(|| format!("its field {field} is {}; expected a number of seconds", shortened(&seconds.to_string())))?;
    let exploration = match object.get(&exploration_of(field)) {
        None | Some(Value::Null) => None,
        Some(found) => {
            let read = Exploration::deserialize(found);
            Some(read.map_err(|error| format!("its field {} is no exploration: {error}", exploration_of(field)))?)
        }
    };
    Ok(Limit { exploration, ..positive(seconds).map(Limit::of)? })
}

/// Writes a limit in the place of the one that is there; everything else stays.
///
/// # Errors
/// Why the present text cannot take it.
pub fn write(text: &str, field: Option<&str>, limit: &Limit) -> Result<String, String> {
    let Some(field) = field else { return Ok(limit.seconds.to_string()) };
    let mut object = object(text)?;
    object.insert(field.to_owned(), number(limit.seconds));
    match limit.exploration {
        Some(exploration) => object.insert(exploration_of(field), serde_json::to_value(exploration).map_err(|error| error.to_string())?),
        None => object.remove(&exploration_of(field)),
    };
    Ok(Value::Object(object).to_string())
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("its value is no JSON object: {error}"))
}

/// Whole seconds are written as such: who reads them may expect an integer.
#[allow(clippy::cast_possible_truncation, reason = "a whole number of seconds, below 2^53")]
fn number(seconds: f64) -> Value {
    if seconds.fract() == 0.0 { Value::from(seconds as i64) } else { Value::from(seconds) }
}

fn positive(seconds: f64) -> Result<f64, String> {
    if seconds > 0.0 && seconds.is_finite() { Ok(seconds) } else { Err(format!("it is {seconds}; expected a number of seconds above 0")) }
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_and_written() {
        assert_eq!(read(" 30\n", None), Ok(Limit::of(30.0)));
        assert_eq!(write("30", None, &Limit::of(45.0)).as_deref(), Ok("45"));
    }

    #[test]
    fn a_field_is_changed_and_the_rest_stays() {
        let text = r#"{"model":"m","limit":30,"nested":{"limit":7}}"#;
        assert_eq!(read(text, Some("limit")), Ok(Limit::of(30.0)));
        assert_eq!(write(text, Some("limit"), &Limit::of(45.0)).as_deref(), Ok(r#"{"limit":45,"model":"m","nested":{"limit":7}}"#));
    }

    #[test]
    fn an_exploration_stands_beside_its_limit_and_goes_away() {
        let until = "2026-11-25T12:00:00Z".parse().expect("a time");
        let explored = Limit { seconds: 30.0, exploration: Some(Exploration { seconds: 45.0, share: 0.05, until }) };
        let text = write(r#"{"limit":30}"#, Some("limit"), &explored).expect("written");
        assert_eq!(read(&text, Some("limit")), Ok(explored));
        assert_eq!(write(&text, Some("limit"), &Limit::of(30.0)).as_deref(), Ok(r#"{"limit":30}"#));
    }

    #[test]
    fn what_is_no_limit_is_told() {
        for (text, field, told) in [
            ("30s", None, "expected a number of seconds"),
            ("-1", None, "it is -1"),
            ("NaN", None, "it is NaN"),
            ("[]", Some("limit"), "no JSON object"),
            ("{}", Some("limit"), "its field limit is missing"),
            (r#"{"limit":"30"}"#, Some("limit"), "its field limit is \"30\""),
            (r#"{"limit":30,"limit_exploration":7}"#, Some("limit"), "limit_exploration is no exploration"),
        ] {
            let error = read(text, field).expect_err("no limit");
            assert!(error.contains(told), "{error}");
        }
    }
}
