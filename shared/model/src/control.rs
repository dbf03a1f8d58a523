//! What people decide about all actions together.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Body, Event, Id};

/// A person's word that stops all actions, or lets them go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// Who.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// When.
    pub at: Timestamp,
}

impl Control {
    /// The event that tells of it.
    #[must_use]
    pub fn event(self, stops: bool) -> Event {
        let id = Id::of(if stops { "control.stopped" } else { "control.resumed" }, &[&self.by, &self.at.to_string()]);
        let at = self.at;
        let body = if stops { Body::ActionsStopped(self) } else { Body::ActionsResumed(self) };
        Event { id, subject: "control".to_owned(), causes: Vec::new(), at, body }
    }
}
