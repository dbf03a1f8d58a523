//! Reads templates, in JSON or YAML.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value, json};
use serde_yaml_ng::Value as Yaml;

/// The most bytes of a template ("CloudFormation quotas": 1 MB in an S3 object).
pub const LARGEST: usize = 1_048_576;

/// A template, with the short forms of YAML written out.
#[derive(Debug, Clone, PartialEq)]
pub struct Template(Value);

/// Why a template cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError(String);

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the template: {}", self.0)
    }
}

impl std::error::Error for TemplateError {}

impl Template {
    /// Reads a template. What CloudFormation itself will check is left to it: only what is needed here is asked for.
    ///
    /// # Errors
    /// What is wrong, with its place.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > LARGEST {
            return Err(TemplateError(format!("it has {} bytes; CloudFormation takes {LARGEST} at most", text.len())));
        }
        let root = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| TemplateError(format!("not JSON: {error}")))?
        } else {
            let yaml: Yaml = serde_yaml_ng::from_str(text).map_err(|error| TemplateError(format!("not YAML: {error}")))?;
            written_out(yaml).map_err(TemplateError)?
        };
        let resources = root.get("Resources").and_then(Value::as_object);
        let resources = resources.ok_or_else(|| TemplateError("Resources is missing; give a template of CloudFormation".to_owned()))?;
        for (id, resource) in resources {
            if !is_macro(id) && resource.get("Type").and_then(Value::as_str).is_none() {
                return Err(TemplateError(format!("Resources.{id}.Type is missing; write a type such as AWS::SQS::Queue")));
            }
        }
        Ok(Self(root))
    }

    /// The types of its resources that have schemas. Custom resources have none.
    #[must_use]
    pub fn types(&self) -> BTreeSet<String> {
        self.resources().map(|(_, kind, _)| kind.to_owned()).filter(|kind| !is_custom(kind)).collect()
    }

    /// Its resources: logical id, type and all of it.
    pub(crate) fn resources(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        let resources = self.0.get("Resources").and_then(Value::as_object).into_iter().flatten();
        resources.filter_map(|(id, resource)| Some((id.as_str(), resource.get("Type")?.as_str()?, resource)))
    }

    /// One resource: its type and all of it.
    pub(crate) fn resource(&self, id: &str) -> Option<(&str, &Value)> {
        let resource = self.0.get("Resources")?.get(id)?;
        Some((resource.get("Type")?.as_str()?, resource))
    }

    /// An entry of one of its other sections.
    pub(crate) fn entry(&self, section: &str, name: &str) -> Option<&Value> {
        self.0.get(section)?.get(name)
    }

    /// The macros that CloudFormation runs over it: what they make of it is not known here.
    pub(crate) fn macros(&self) -> Vec<String> {
        let named = match self.0.get("Transform") {
            Some(Value::String(name)) => vec![name.clone()],
            Some(Value::Array(names)) => names.iter().map(|name| name.as_str().unwrap_or("Fn::Transform").to_owned()).collect(),
            Some(_) => vec!["Fn::Transform".to_owned()],
            None => Vec::new(),
        };
        let resources = self.0.get("Resources").and_then(Value::as_object).into_iter().flatten();
        named.into_iter().chain(resources.map(|(id, _)| id.clone()).filter(|id| is_macro(id))).collect()
    }
}

/// Whether a function of one's own makes resources of a type.
pub(crate) fn is_custom(kind: &str) -> bool {
    kind.starts_with("Custom::") || kind == "AWS::CloudFormation::CustomResource"
}

/// Whether an entry of `Resources` stands for what a macro makes.
fn is_macro(id: &str) -> bool {
    id.starts_with("Fn::")
}

/// YAML as JSON: `!Sub x` becomes `{"Fn::Sub": "x"}` ("Intrinsic function reference", CloudFormation user guide).
fn written_out(yaml: Yaml) -> Result<Value, String> {
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(is) => is.into(),
        Yaml::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(whole)) => whole.into(),
            (None, None) => json!(number.as_f64()),
        },
        Yaml::String(text) => text.into(),
        Yaml::Sequence(items) => Value::Array(items.into_iter().map(written_out).collect::<Result<_, _>>()?),
        Yaml::Mapping(entries) => {
            let mut object = Map::new();
            for (key, value) in entries {
                // Account ids are keys of mappings, and written without quotes they are numbers.
                let key = match key {
                    Yaml::String(key) => key,
                    Yaml::Number(key) => key.to_string(),
                    Yaml::Bool(key) => key.to_string(),
                    other => return Err(format!("{other:?} is no key; write a name")),
                };
                object.insert(key, written_out(value)?);
            }
            Value::Object(object)
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let name = match tag.trim_start_matches('!') {
                name @ ("Ref" | "Condition") => name.to_owned(),
                name => format!("Fn::{name}"),
            };
            let value = match (name.as_str(), written_out(tagged.value)?) {
                ("Fn::GetAtt", Value::String(of)) => match of.split_once('.') {
                    Some((resource, attribute)) => json!([resource, attribute]),
                    None => of.into(),
                },
                (_, value) => value,
            };
            Value::Object(Map::from_iter([(name, value)]))
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_forms_are_the_long_ones() {
        let yaml = "Resources:\n  Q:\n    Type: AWS::SQS::Queue\n    Condition: Live\n    Properties:\n      QueueName: !Sub '${AWS::StackName}-jobs'\n      A: !GetAtt R.Arn\n      B: !If [Live, !Ref P, !Join ['-', [a, !Select [0, [b]]]]]\n      C: !Condition Live\n      D: 2012-10-17\n";
        let json = r#"{"Resources":{"Q":{"Type":"AWS::SQS::Queue","Condition":"Live","Properties":{
            "QueueName":{"Fn::Sub":"${AWS::StackName}-jobs"},"A":{"Fn::GetAtt":["R","Arn"]},
            "B":{"Fn::If":["Live",{"Ref":"P"},{"Fn::Join":["-",["a",{"Fn::Select":[0,["b"]]}]]}]},"C":{"Condition":"Live"},"D":"2012-10-17"}}}}"#;
        assert_eq!(Template::parse(yaml), Template::parse(json));
        assert_eq!(Template::parse(yaml).map(|template| template.types()), Ok(BTreeSet::from(["AWS::SQS::Queue".to_owned()])));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, says) in [
            ("", "the template: Resources is missing"),
            ("{", "the template: not JSON: "),
            ("a: [", "the template: not YAML: "),
            ("Resources:\n  Q: {}\n", "the template: Resources.Q.Type is missing; write a type such as AWS::SQS::Queue"),
            ("Resources: 7", "the template: Resources is missing"),
            ("? [a]\n: b\n", "the template: "),
        ] {
            let error = Template::parse(text).expect_err(text).to_string();
            assert!(error.starts_with(says), "{error}");
        }
        assert!(Template::parse(&" ".repeat(LARGEST + 1)).expect_err("too large").to_string().contains("1048577 bytes"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(\\PC|\n|  |Resources:|Type: A::B::C|!Sub |!GetAtt |&a |\\*a|<<: |\\{|\\[|- ){0,40}") {
            let _ = Template::parse(&text);
        }
    }
}
