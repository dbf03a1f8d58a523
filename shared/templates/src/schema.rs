//! What CloudFormation's registry says of a resource type.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The permissions that the handlers of a resource type list ("Resource type schema", CloudFormation CLI user guide).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// The type: `AWS::SQS::Queue`.
    pub name: String,
    /// Of each handler, `create` and so on, what it lists.
    pub(crate) permissions: BTreeMap<String, BTreeSet<String>>,
}

impl Schema {
    /// Reads a schema, as `DescribeType` and the registry's downloads have it.
    ///
    /// # Errors
    /// What is missing.
    pub fn parse(text: &str) -> Result<Self, String> {
        let schema: Value = serde_json::from_str(text).map_err(|error| format!("the schema is not JSON: {error}"))?;
        let name = schema.get("typeName").and_then(Value::as_str).ok_or("the schema has no typeName")?;
        let of = |handler: &Value| {
            let listed = handler.get("permissions").and_then(Value::as_array).into_iter().flatten();
            listed
                .filter_map(|permission| Some(permission.as_str()?.trim().to_owned()))
                .filter(|permission| !permission.is_empty())
                .collect()
        };
        let handlers = schema.get("handlers").and_then(Value::as_object).into_iter().flatten();
        let permissions = handlers.map(|(name, handler)| (name.clone(), of(handler))).collect();
        Ok(Self { name: name.to_owned(), permissions })
    }
}
