//! What is told of signals once they are kept and counted.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Body, Event, Id};

/// Signals that were kept together as evidence, and are counted: whoever works on single signals reads them there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalBatch {
    /// The object of the evidence bucket.
    pub evidence: String,
    /// The kinds of facts in it, as far as they are known to whoever tells. All kinds have been told in the end.
    pub kinds: BTreeSet<String>,
}

impl SignalBatch {
    /// The event that tells of it. It may be told again, also with other kinds.
    #[must_use]
    pub fn event(self, at: Timestamp) -> Event {
        let kinds: Vec<&str> = self.kinds.iter().map(String::as_str).collect();
        let id = Id::of("signal.batch", &[&self.evidence, &kinds.join(" ")]);
        let subject = format!("evidence/{}", self.evidence);
        Event { id, subject, causes: Vec::new(), at, body: Body::SignalsKept(self) }
    }
}
