//! The ledger, in a memory that fails on command.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use flywheel_model::{Id, LedgerEntry, Place};
use flywheel_ports::{LedgerStore, Unavailable};
use jiff::Timestamp;

use crate::ports::{Unreliable, call};

/// What is recorded.
#[derive(Debug)]
pub struct LedgerMemory {
    /// The table.
    pub entries: BTreeMap<Id, LedgerEntry>,
    /// The last place of each chain.
    pub ends: BTreeMap<String, Place>,
    /// What is kept for good, in the order in which it was.
    pub kept: Vec<LedgerEntry>,
    /// The share of calls that fail, half of them after they took effect.
    pub unavailable: f64,
    /// Where chance comes from.
    pub chance: fastrand::Rng,
}

impl LedgerMemory {
    /// An empty ledger where nothing fails.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let chance = fastrand::Rng::with_seed(seed);
        Self { entries: BTreeMap::new(), ends: BTreeMap::new(), kept: Vec::new(), unavailable: 0.0, chance }
    }

    fn append(&mut self, last: Option<&Place>, entries: &[LedgerEntry]) -> bool {
        let Some(new) = entries.last() else { return true };
        let as_read = self.ends.get(&new.event.subject) == last && entries.iter().all(|entry| !self.entries.contains_key(&entry.event.id));
        if as_read {
            self.ends.insert(new.event.subject.clone(), new.place.clone());
            self.entries.extend(entries.iter().map(|entry| (entry.event.id.clone(), entry.clone())));
        }
        as_read
    }
}

impl Unreliable for LedgerMemory {
    fn unreliability(&mut self) -> (f64, &mut fastrand::Rng) {
        (self.unavailable, &mut self.chance)
    }
}

/// What one process sees of the ledger. Each call first lets others go first.
#[derive(Debug, Clone)]
pub struct LedgerProcess(pub Rc<RefCell<LedgerMemory>>);

impl LedgerStore for LedgerProcess {
    async fn recorded(&self, events: &[Id]) -> Result<Vec<LedgerEntry>, Unavailable> {
        call(&self.0, "read", |memory| events.iter().filter_map(|id| memory.entries.get(id).cloned()).collect()).await
    }

    async fn last(&self, subject: &str) -> Result<Option<Place>, Unavailable> {
        call(&self.0, "read the end", |memory| memory.ends.get(subject).cloned()).await
    }

    async fn append(&self, last: Option<&Place>, entries: &[LedgerEntry]) -> Result<bool, Unavailable> {
        call(&self.0, "append", |memory| memory.append(last, entries)).await
    }

    async fn keep(&self, entries: &[LedgerEntry], _now: Timestamp) -> Result<(), Unavailable> {
        call(&self.0, "keep", |memory| memory.kept.extend_from_slice(entries)).await
    }
}
