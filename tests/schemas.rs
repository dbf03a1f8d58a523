//! The JSON Schemas in `events/schema` are those of the types, and what the event files hold is valid by them.
//! `UPDATE_GOLDEN=1` writes them anew.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};

use flywheel_model::{Case, Finding, FindingHold, Signal, Suite};
use schemars::schema_for;
use serde_json::Value;

#[test]
fn the_schemas_are_those_of_the_types() {
    for (name, schema) in [
        ("signal", schema_for!(Signal)),
        ("finding", schema_for!(Finding)),
        ("finding-held", schema_for!(FindingHold)),
        ("case", schema_for!(Case)),
        ("suite", schema_for!(Suite)),
    ] {
        let path = folder().join("schema").join(format!("{name}.json"));
        let found = schema.to_value();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, format!("{found:#}\n")).unwrap();
        }
        let stands: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap_or_default()).unwrap_or_default();
        assert!(stands == found, "{} is not the schema of the type; write it with UPDATE_GOLDEN=1", path.display());
    }
}

#[test]
fn signals_of_the_event_files_are_valid_and_what_is_refused_by_its_form_is_not() {
    let schema = schema_for!(Signal).to_value();
    let (mut valid, mut invalid) = (0, 0);
    for source in ["signals", "eventbridge"] {
        for entry in fs::read_dir(folder().join(source)).unwrap() {
            let path = entry.unwrap().path();
            if path.to_str().unwrap().ends_with(".expected.json") {
                continue;
            }
            let batch: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            for message in batch["Records"].as_array().unwrap() {
                let body = message["body"].as_str().unwrap().trim_start_matches('\u{feff}');
                let records: Vec<Value> = match serde_json::from_str(body) {
                    Ok(Value::Array(records)) => records,
                    Ok(one) => vec![one],
                    Err(_) => body.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
                };
                for record in records.into_iter().map(|mut record| record.get_mut("detail").map(Value::take).unwrap_or(record)) {
                    let is_signal = serde_json::from_value::<Signal>(record.clone()).is_ok();
                    let problem = problem(&schema, &schema, &record, "");
                    // A time without its zone is wrong by its format, which validators need not check.
                    if is_signal {
                        assert_eq!(problem, None, "{}: {record:#}", path.display());
                        valid += 1;
                    } else if problem.is_some() {
                        invalid += 1;
                    } else {
                        assert!(record["at"].as_str().is_some_and(|at| at.contains(' ')), "{}: {record:#}", path.display());
                    }
                }
            }
        }
    }
    assert!(valid > 20 && invalid > 8, "{valid} valid, {invalid} not");
}

/// What is wrong with a value by a schema: the part of JSON Schema that our types come to. A keyword that is not known
/// here fails the test, so that none goes unchecked.
fn problem(root: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    let Some(keywords) = schema.as_object() else { return (schema == false).then(|| format!("{at}: not allowed")) };
    let fits = |schema: &Value| problem(root, schema, value, at).is_none();
    let count = |schemas: &Value| schemas.as_array().unwrap().iter().filter(|schema| fits(schema)).count();
    for (keyword, wanted) in keywords {
        let holds = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "format" => true,
            "$ref" => {
                let target = root.pointer(wanted.as_str().unwrap().trim_start_matches('#')).unwrap();
                if let Some(problem) = problem(root, target, value, at) {
                    return Some(problem);
                }
                true
            }
            "type" => match wanted {
                Value::Array(any) => any.iter().any(|kind| is_of(kind, value)),
                kind => is_of(kind, value),
            },
            "enum" => wanted.as_array().unwrap().contains(value),
            "const" => wanted == value,
            "oneOf" => count(wanted) == 1,
            "anyOf" => count(wanted) > 0,
            "allOf" => count(wanted) == wanted.as_array().unwrap().len(),
            "not" => !fits(wanted),
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 >= wanted.as_u64().unwrap()),
            "maxLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 <= wanted.as_u64().unwrap()),
            "minimum" => value.as_f64().is_none_or(|number| number >= wanted.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= wanted.as_f64().unwrap()),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= wanted.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= wanted.as_u64().unwrap()),
            "required" => value
                .as_object()
                .is_none_or(|fields| wanted.as_array().unwrap().iter().all(|name| fields.contains_key(name.as_str().unwrap()))),
            "items" => {
                let items = value.as_array().into_iter().flatten().enumerate();
                if let Some(problem) = items.into_iter().find_map(|(n, item)| problem(root, wanted, item, &format!("{at}[{n}]"))) {
                    return Some(problem);
                }
                true
            }
            "properties" => {
                let fields = wanted.as_object().unwrap();
                let wrong = |(name, schema): (&String, &Value)| problem(root, schema, value.get(name)?, &format!("{at}.{name}"));
                if let Some(problem) = fields.iter().find_map(wrong) {
                    return Some(problem);
                }
                true
            }
            "additionalProperties" => {
                let known = schema.get("properties");
                let others = value.as_object().into_iter().flatten().filter(|(name, _)| known.and_then(|known| known.get(*name)).is_none());
                let mut others = others.map(|(name, value)| problem(root, wanted, value, &format!("{at}.{name}")));
                if let Some(problem) = others.find_map(|problem| problem) {
                    return Some(problem);
                }
                true
            }
            other => panic!("the keyword {other} is not checked"),
        };
        if !holds {
            return Some(format!("{at}: {keyword} {wanted}"));
        }
    }
    None
}

fn is_of(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        other => panic!("{other} is no type"),
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../events")
}
