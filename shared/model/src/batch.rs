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
    /// Reads the event of a batch as a queue of the bus delivers it, with its id. For functions that take no other event:
    /// reading all kinds is 0.2 MB of code.
    ///
    /// # Errors
    /// Why it is not one, naming what is wrong.
    pub fn from_envelope(envelope: &str) -> Result<(Id, Self), String> {
        #[derive(Deserialize)]
        struct Envelope {
            detail: Option<Told>,
        }
        #[derive(Deserialize)]
        struct Told {
            id: Id,
            kind: String,
            detail: SignalBatch,
        }
        let read: Envelope = serde_json::from_str(envelope).map_err(|error| {
            let wrong = if error.is_data() { "not the event of a batch" } else { "not JSON" };
            format!("{wrong}: {error}")
        })?;
        let told = read.detail.ok_or("detail is missing; expected an event from the bus")?;
        if told.kind == Self::KIND {
            Ok((told.id, told.detail))
        } else {
            Err(format!("detail.kind: {:?} is not {:?}", told.kind, Self::KIND))
        }
    }

    /// Its detail-type on the bus.
    pub const KIND: &'static str = "signal.batch";

    /// The event that tells of it. It may be told again, also with other kinds.
    #[must_use]
    pub fn event(self, at: Timestamp) -> Event {
        let kinds: Vec<&str> = self.kinds.iter().map(String::as_str).collect();
        let id = Id::of(Self::KIND, &[&self.evidence, &kinds.join(" ")]);
        let subject = format!("evidence/{}", self.evidence);
        Event { id, subject, causes: Vec::new(), at, body: Body::SignalsKept(self) }
    }
}
