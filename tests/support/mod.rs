//! Hands messages to the real `track` in the simulated world, next to what the simulation itself delivers.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use aws_lambda_events::event::sqs::SqsEvent;
use flywheel_bedrock::core::{Bedrock, Quotas, Speed};
use flywheel_engine::documents::Document;
use flywheel_engine::sync::Source;
use flywheel_model::{Body, DataSourceId, DocumentId, Event, Refusal};
use flywheel_policy::Policy;
use flywheel_ports::{Bus, ChangeLog, Unavailable, Wakes};
use flywheel_testkit::{Chaos, Memory, Simulation};
use jiff::{SignedDuration, Timestamp};
use track_documents::{Message, Tracked, track};

/// Bytes of one event that EventBridge takes (Amazon EventBridge quotas).
pub(crate) const BUS_ENTRY: usize = 256 * 1_024;

/// A simulation and its policy, with a door for messages of any kind.
pub(crate) struct Site {
    pub(crate) simulation: Simulation,
    pub(crate) policy: Policy,
}

impl Site {
    pub(crate) fn new(policy: Policy) -> Self {
        Self::with(policy, Bedrock::new(Quotas::default(), Speed::default()))
    }

    pub(crate) fn with(policy: Policy, bedrock: Bedrock) -> Self {
        Self { simulation: Simulation::new(policy.clone(), bedrock, Chaos::default(), 1), policy }
    }

    /// Delivers one batch.
    pub(crate) fn deliver(&self, messages: Vec<Message>) -> Tracked {
        let now = self.simulation.now();
        let ports = Shared(self.simulation.memory.clone());
        finish(track(&ports, &ports, &ports, &self.policy, messages, now))
    }

    /// Everything in the ledger.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.simulation.memory.borrow().ledger.values().cloned().collect()
    }

    /// The refusal of a message, as the ledger has it.
    pub(crate) fn refusal(&self, message_id: &str) -> Option<Refusal> {
        self.events().into_iter().find_map(|event| match event.body {
            Body::InputRefused(refusal) if refusal.message_id == message_id => Some(refusal),
            _ => None,
        })
    }

    /// The record of a document.
    pub(crate) fn document(&self, source: &DataSourceId, document: &DocumentId) -> Option<Document> {
        self.simulation.memory.borrow().documents.get(source)?.get(document).cloned()
    }
}

/// Messages with ids that tell them apart.
pub(crate) fn messages<T: AsRef<str>>(bodies: impl IntoIterator<Item = T>) -> Vec<Message> {
    let message = |(n, body): (usize, T)| Message { id: format!("message-{n}"), body: body.as_ref().to_owned() };
    bodies.into_iter().enumerate().map(message).collect()
}

/// The messages of a batch, as the functions take them out of it.
pub(crate) fn unpack(event: SqsEvent) -> Vec<Message> {
    let message = |message: aws_lambda_events::event::sqs::SqsMessage| Message {
        id: message.message_id.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
    };
    event.records.into_iter().map(message).collect()
}

/// Runs to its end what never waits for anything.
fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

/// The simulation's memory as the ports of `track`. The bus refuses what EventBridge would find too large.
struct Shared(Rc<RefCell<Memory>>);

impl ChangeLog for Shared {
    async fn document(&self, source: &DataSourceId, document: &DocumentId) -> Result<Option<Document>, Unavailable> {
        Ok(self.0.borrow().documents.get(source).and_then(|documents| documents.get(document)).cloned())
    }

    async fn save_document(&self, source: &DataSourceId, document: &Document) -> Result<bool, Unavailable> {
        let mut memory = self.0.borrow_mut();
        let documents = memory.documents.entry(source.clone()).or_default();
        let ours = documents.get(&document.id).map_or(0, |known| known.revision) == document.revision;
        if ours {
            documents.insert(document.id.clone(), Document { revision: document.revision + 1, ..document.clone() });
        }
        Ok(ours)
    }

    async fn touch(&self, source: &DataSourceId, now: Timestamp) -> Result<(), Unavailable> {
        let mut memory = self.0.borrow_mut();
        let row = memory.sources.entry(source.clone()).or_insert_with(|| Source::new(source.clone()));
        row.changes += 1;
        row.touched_at = Some(now);
        Ok(())
    }
}

impl Bus for Shared {
    async fn publish(&self, events: &[Event]) -> Result<(), Unavailable> {
        for event in events {
            let size = serde_json::to_string(event).map_or(usize::MAX, |text| text.len());
            if size > BUS_ENTRY {
                return Err(Unavailable { what: "publish events", why: format!("an entry of {size} bytes") });
            }
        }
        let ledger = &mut self.0.borrow_mut().ledger;
        for event in events {
            ledger.entry(event.id.clone()).or_insert_with(|| event.clone());
        }
        Ok(())
    }
}

impl Wakes for Shared {
    async fn wake(&self, after: SignedDuration) -> Result<(), Unavailable> {
        let mut memory = self.0.borrow_mut();
        let at = memory.now + after;
        memory.wakes.push((at, false));
        Ok(())
    }
}
