//! Feature flags in AppConfig's format, as an experiment writes them and an application's AppConfig agent evaluates them.
//!
//! Source: AWS AppConfig User Guide, "Type reference for AWS.AppConfig.FeatureFlags", "Understanding multi-variant feature
//! flag rules". Rules are tried in their order; the first that holds gives the variant, and the last one has none.
//!
//! Whether a unit takes part and which arm it gets are two splits with seeds of their own. So a ramp lets more units in and
//! never moves one to another arm.

use flywheel_model::{Experiment, ExperimentRun, PromptVariant};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// What an arm's rule is called for units that take no part.
const OUTSIDE: &str = "outside";

/// The attributes that we set: which variant, its object and hash, and the experiment if the unit takes part.
const ATTRIBUTES: [&str; 4] = ["variant", "prompt", "sha256", "experiment"];

/// What `AppConfig` adds by itself.
const TIMES: [&str; 2] = ["_createdAt", "_updatedAt"];

/// The value of a flag while an experiment runs.
#[must_use]
pub fn split(experiment: &Experiment, run: &ExperimentRun, split_by: &str, present: Option<&Value>) -> Value {
    let own = own_attributes(present);
    let name = &experiment.experiment;
    let takes_part = format!("(split pct::{} by::${split_by} seed::\"{name}/in\")", percent(run.share));
    let arms = experiment.arms().count();
    let mut variants: Vec<Value> = experiment
        .arms()
        .enumerate()
        .map(|(place, arm)| {
            let rule = if place + 1 == arms {
                takes_part.clone()
            } else {
                let until = percent((place + 1) as f64 / arms as f64);
                format!("(and {takes_part} (split pct::{until} by::${split_by} seed::\"{name}/arm\"))")
            };
            // Who was in an arm that does harm gets the control, and counts no more.
            let dropped = run.dropped.contains(&arm.name);
            let served = if dropped { &experiment.control } else { arm };
            let mut attributes = attributes(&own, served);
            if !dropped {
                attributes.insert("experiment".to_owned(), name.as_str().into());
            }
            json!({ "name": arm.name, "enabled": true, "rule": rule, "attributeValues": attributes })
        })
        .collect();
    variants.push(json!({ "name": OUTSIDE, "enabled": true, "attributeValues": attributes(&own, &experiment.control) }));
    json!({ "_variants": variants })
}

/// The value of a flag that serves one variant to everybody.
#[must_use]
pub fn whole(variant: &PromptVariant, present: Option<&Value>) -> Value {
    let mut value = attributes(&own_attributes(present), variant);
    value.insert("enabled".to_owned(), true.into());
    Value::Object(value)
}

/// A document of flags with another value of one flag. All else stays as it is.
///
/// # Errors
/// Why it is no document of flags, with the fix.
pub fn with(document: &str, flag: &str, value: Value) -> Result<String, String> {
    let mut document: Value = if document.trim().is_empty() { json!({ "version": "1" }) } else { read(document)? };
    let fields = document.as_object_mut().ok_or("the flags are no JSON object")?;
    fields.entry("version").or_insert_with(|| "1".into());
    let flags = fields.entry("flags").or_insert_with(|| json!({}));
    let flags = flags.as_object_mut().ok_or("flags: expected an object with a definition for each flag")?;
    let definition = flags.entry(flag).or_insert_with(|| json!({ "name": flag }));
    let definition = definition.as_object_mut().ok_or_else(|| format!("flags.{flag}: expected an object"))?;
    let known = definition.entry("attributes").or_insert_with(|| json!({}));
    let known = known.as_object_mut().ok_or_else(|| format!("flags.{flag}.attributes: expected an object"))?;
    for attribute in ATTRIBUTES {
        known.entry(attribute).or_insert_with(|| json!({ "constraints": { "type": "string" } }));
    }
    let values = fields.entry("values").or_insert_with(|| json!({}));
    values.as_object_mut().ok_or("values: expected an object with a value for each flag")?.insert(flag.to_owned(), value);
    Ok(document.to_string())
}

/// The value of a flag in a document; none if it has none yet.
///
/// # Errors
/// Why it is no document of flags.
pub fn value(document: &str, flag: &str) -> Result<Option<Value>, String> {
    if document.trim().is_empty() {
        return Ok(None);
    }
    Ok(read(document)?.pointer_mut("/values").and_then(|values| values.get_mut(flag)).map(Value::take))
}

/// The variant that a flag serves to everybody outside of experiments; none if it says nothing of that.
#[must_use]
pub fn served(value: &Value) -> Option<&str> {
    outside(value).get("variant")?.as_str()
}

/// The experiment that a flag is split for.
#[must_use]
pub fn experiment(value: &Value) -> Option<&str> {
    let variants = value.get("_variants")?.as_array()?;
    variants.iter().find_map(|variant| variant.pointer("/attributeValues/experiment")?.as_str())
}

/// Whether two values of a flag serve the same.
#[must_use]
pub fn same(one: &Value, other: &Value) -> bool {
    without_times(one) == without_times(other)
}

/// The SHA-256 of what a value of a flag serves.
#[must_use]
pub fn digest(value: &Value) -> String {
    hex::encode(Sha256::digest(without_times(value).to_string()))
}

/// A value without what `AppConfig` adds to it.
fn without_times(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| !TIMES.contains(&name.as_str()));
            Value::Object(kept.map(|(name, value)| (name.clone(), without_times(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_times).collect()),
        other => other.clone(),
    }
}

/// The value of a flag that serves to everybody what a split one serves outside of its experiment.
#[must_use]
pub fn unsplit(value: &Value) -> Value {
    let mut fields = outside(value).as_object().cloned().unwrap_or_default();
    fields.remove("experiment");
    fields.insert("enabled".to_owned(), true.into());
    Value::Object(fields)
}

fn read(document: &str) -> Result<Value, String> {
    serde_json::from_str(document).map_err(|error| format!("the flags are no JSON: {error}; mend them in AppConfig"))
}

/// What everybody outside of experiments gets.
fn outside(value: &Value) -> &Value {
    let last = value.get("_variants").and_then(Value::as_array).and_then(|variants| variants.last());
    last.and_then(|last| last.get("attributeValues")).unwrap_or(value)
}

/// The attributes that the team set itself: they stay in each variant.
fn own_attributes(present: Option<&Value>) -> Map<String, Value> {
    let fields = present.and_then(|value| outside(value).as_object().cloned()).unwrap_or_default();
    let ours = |name: &str| ATTRIBUTES.contains(&name) || TIMES.contains(&name) || matches!(name, "enabled" | "_variants");
    fields.into_iter().filter(|(name, _)| !ours(name)).collect()
}

fn attributes(own: &Map<String, Value>, variant: &PromptVariant) -> Map<String, Value> {
    let mut attributes = own.clone();
    attributes.insert("variant".to_owned(), variant.name.as_str().into());
    attributes.insert("prompt".to_owned(), variant.object.as_str().into());
    attributes.insert("sha256".to_owned(), variant.sha256.as_str().into());
    attributes
}

/// A share in percent, to the ten-thousandth.
fn percent(share: f64) -> f64 {
    (share * 1_000_000.0).round() / 10_000.0
}
