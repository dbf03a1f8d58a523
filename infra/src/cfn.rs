//! CloudFormation: resource properties from `stratosphere`, and a template of our own around them.
//!
//! The only module that names `stratosphere`: it is young, and its own template lacks DependsOn and DeletionPolicy.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
pub(crate) use stratosphere::services::aws::{appconfig, cloudwatch, dynamodb, events, iam, lambda, logs, s3, sns, sqs, stepfunctions};
use stratosphere::template::ToResource;
pub(crate) use stratosphere::value::ExpString as Exp;
use stratosphere::value::ToValue;

/// A CloudFormation template. The same input gives the same bytes: every map is ordered by key.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Template {
    #[serde(rename = "AWSTemplateFormatVersion")]
    version: &'static str,
    description: &'static str,
    parameters: BTreeMap<&'static str, Parameter>,
    conditions: BTreeMap<&'static str, Value>,
    resources: BTreeMap<String, Resource>,
    outputs: BTreeMap<&'static str, Output>,
}

/// A parameter of type String.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Parameter {
    #[serde(rename = "Type")]
    kind: &'static str,
    description: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    allowed_values: &'static [&'static str],
}

impl Parameter {
    pub(crate) const fn required(description: &'static str) -> Self {
        Self { kind: "String", description, default: None, allowed_values: &[] }
    }

    pub(crate) const fn optional(description: &'static str, default: &'static str) -> Self {
        Self { kind: "String", description, default: Some(default), allowed_values: &[] }
    }

    pub(crate) const fn one_of(description: &'static str, values: &'static [&'static str]) -> Self {
        Self { kind: "String", description, default: Some(values[0]), allowed_values: values }
    }
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Resource {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_policy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    update_replace_policy: Option<&'static str>,
    properties: Value,
}

impl Resource {
    pub(crate) fn only_if(&mut self, condition: &'static str) {
        self.condition = Some(condition);
    }

    pub(crate) fn after(&mut self, id: &str) {
        self.depends_on.push(id.to_owned());
    }

    /// It goes with the stack, and stays when another one takes its place.
    pub(crate) const fn keep_when_replaced(&mut self) {
        self.deletion_policy = Some("Delete");
        self.update_replace_policy = Some("Retain");
    }

    /// What it holds outlives the stack, or goes with it.
    pub(crate) fn keep(&mut self, keep: bool) {
        let policy = if keep { "Retain" } else { "Delete" };
        self.deletion_policy = Some(policy);
        self.update_replace_policy = Some(policy);
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    description: &'static str,
    value: Value,
}

impl Template {
    pub(crate) const fn new(description: &'static str) -> Self {
        Self {
            version: "2010-09-09",
            description,
            parameters: BTreeMap::new(),
            conditions: BTreeMap::new(),
            resources: BTreeMap::new(),
            outputs: BTreeMap::new(),
        }
    }

    pub(crate) fn parameter(&mut self, id: &'static str, parameter: Parameter) {
        let before = self.parameters.insert(id, parameter);
        assert!(before.is_none(), "parameter {id} is there twice");
    }

    pub(crate) fn condition(&mut self, id: &'static str, condition: Value) {
        let before = self.conditions.insert(id, condition);
        assert!(before.is_none(), "condition {id} is there twice");
    }

    pub(crate) fn add<R: ToResource>(&mut self, id: impl Into<String>, resource: &R) -> &mut Resource {
        let id = id.into();
        assert!(!self.resources.contains_key(&id), "resource {id} is there twice");
        let mut properties = Value::Object(resource.to_resource_properties());
        // The order must not depend on whether some other crate of the build turns on serde_json's `preserve_order`.
        properties.sort_all_objects();
        self.resources.entry(id).or_insert(Resource {
            kind: R::RESOURCE_TYPE_NAME.to_string(),
            condition: None,
            depends_on: Vec::new(),
            deletion_policy: None,
            update_replace_policy: None,
            properties,
        })
    }

    pub(crate) fn output(&mut self, id: &'static str, description: &'static str, value: &Exp) {
        let before = self.outputs.insert(id, Output { description, value: value.to_value() });
        assert!(before.is_none(), "output {id} is there twice");
    }

    /// The ids of the resources that two templates do not have alike.
    pub(crate) fn unlike(&self, other: &Self) -> BTreeSet<String> {
        let ids = self.resources.keys().chain(other.resources.keys());
        ids.filter(|id| self.resources.get(*id) != other.resources.get(*id)).cloned().collect()
    }

    /// The template as people read and review it.
    #[must_use]
    pub fn pretty(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_else(|error| unreachable!("maps with text keys only: {error}"));
        text.push('\n');
        text
    }

    /// The template in as few bytes as it takes: CloudFormation accepts 51,200 in a request.
    #[must_use]
    pub fn compact(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| unreachable!("maps with text keys only: {error}"))
    }
}

/// `Fn::Sub` of a pattern.
pub(crate) fn sub(pattern: impl Into<String>) -> Exp {
    Exp::Sub { pattern: pattern.into() }
}

/// `Ref` to a resource or parameter.
pub(crate) fn reference(id: &str) -> Exp {
    Exp::Ref(id.into())
}

/// `Fn::GetAtt … Arn`.
pub(crate) fn arn(id: &str) -> Exp {
    stratosphere::value::get_att_arn(id)
}

/// A value where a condition holds, and another where it does not.
pub(crate) fn either(condition: &'static str, value: Exp, otherwise: Exp) -> Exp {
    stratosphere::value::fn_if(condition, value, otherwise)
}

/// A value where a condition holds, and no property at all where it does not.
pub(crate) fn only_if(condition: &'static str, value: Exp) -> Exp {
    either(condition, value, reference("AWS::NoValue"))
}

/// The expression as template JSON, for policies and patterns.
pub(crate) fn json(value: &Exp) -> Value {
    value.to_value()
}
