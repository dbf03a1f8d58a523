use serde_json::{Map, Value, json};

use crate::cfn::{self, Exp};

/// Leave to do some actions on some resources. Only the resource concerned makes one.
#[derive(Debug)]
pub struct Grant {
    sid: &'static str,
    actions: Vec<&'static str>,
    resources: Vec<Exp>,
    condition: Option<Value>,
}

impl Grant {
    pub(crate) fn new(sid: &'static str, actions: impl Into<Vec<&'static str>>, resources: Vec<Exp>) -> Self {
        Self { sid, actions: actions.into(), resources, condition: None }
    }

    pub(crate) fn when(mut self, condition: Value) -> Self {
        self.condition = Some(condition);
        self
    }

    /// The statement, its id made unique by its place: two grants of a kind may stand in one role.
    pub(crate) fn statement(&self, place: usize) -> Value {
        let mut statement = Map::new();
        statement.insert("Sid".to_owned(), json!(format!("{}{place}", self.sid)));
        statement.insert("Effect".to_owned(), json!("Allow"));
        statement.insert("Action".to_owned(), json!(self.actions));
        statement.insert("Resource".to_owned(), self.resources.iter().map(cfn::json).collect());
        if let Some(condition) = &self.condition {
            statement.insert("Condition".to_owned(), condition.clone());
        }
        Value::Object(statement)
    }
}
