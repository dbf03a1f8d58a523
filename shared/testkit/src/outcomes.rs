//! Actions that are to be graded, and counts to grade them by, in a memory that fails on command.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use flywheel_engine::findings::History;
use flywheel_engine::outcomes::{Awaited, Graded};
use flywheel_model::{Id, Key, Metric};
use flywheel_ports::{Histories, OutcomeStore, Pending, Unavailable};

use crate::ports::{Unreliable, call};

/// What is recorded of actions, and what was counted.
#[derive(Debug)]
pub struct OutcomeMemory {
    /// By action and rate, what is to be graded.
    pub pending: BTreeMap<(Id, String), Pending>,
    /// By action and rate, what was graded.
    pub graded: BTreeMap<(Id, String), Graded>,
    /// The counts.
    pub histories: BTreeMap<Metric, BTreeMap<Key, History>>,
    /// The share of calls that fail, half of them after they took effect.
    pub unavailable: f64,
    /// Where chance comes from.
    pub chance: fastrand::Rng,
}

impl OutcomeMemory {
    /// An empty memory where nothing fails.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            pending: BTreeMap::new(),
            graded: BTreeMap::new(),
            histories: BTreeMap::new(),
            unavailable: 0.0,
            chance: fastrand::Rng::with_seed(seed),
        }
    }
}

impl Unreliable for OutcomeMemory {
    fn unreliability(&mut self) -> (f64, &mut fastrand::Rng) {
        (self.unavailable, &mut self.chance)
    }
}

/// What one process sees of the memory. Each call first lets others go first.
#[derive(Debug, Clone)]
pub struct OutcomeProcess(pub Rc<RefCell<OutcomeMemory>>);

impl OutcomeStore for OutcomeProcess {
    async fn expect(&self, awaited: &Awaited) -> Result<(), Unavailable> {
        let known = call(&self.0, "read what was graded", |memory| memory.graded.contains_key(&place(awaited))).await?;
        if known {
            return Ok(());
        }
        call(&self.0, "await an action", |memory| {
            let pending = Pending { awaited: awaited.clone(), graded: None };
            memory.pending.entry(place(awaited)).or_insert(pending);
        })
        .await
    }

    async fn pending(&self) -> Result<Vec<Pending>, Unavailable> {
        call(&self.0, "read what is awaited", |memory| memory.pending.values().cloned().collect()).await
    }

    async fn grade(&self, graded: &Graded) -> Result<bool, Unavailable> {
        call(&self.0, "grade an action", |memory| match memory.pending.get_mut(&place(&graded.awaited)) {
            Some(pending) if pending.graded.is_none() => {
                pending.graded = Some(graded.clone());
                true
            }
            _ => false,
        })
        .await
    }

    async fn settle(&self, graded: &Graded) -> Result<(), Unavailable> {
        call(&self.0, "keep a verdict", |memory| memory.graded.insert(place(&graded.awaited), graded.clone())).await?;
        call(&self.0, "await an action no longer", |memory| memory.pending.remove(&place(&graded.awaited))).await.map(drop)
    }

    async fn graded(&self, metric: Metric) -> Result<Vec<Graded>, Unavailable> {
        call(&self.0, "read what was graded", |memory| {
            let mut graded: Vec<Graded> = memory.graded.values().filter(|graded| graded.awaited.metric == metric).cloned().collect();
            graded.sort_by(|one, other| one.at.cmp(&other.at).then_with(|| one.awaited.action.cmp(&other.awaited.action)));
            graded
        })
        .await
    }
}

impl Histories for OutcomeProcess {
    async fn histories(&self, metric: Metric) -> Result<BTreeMap<Key, History>, Unavailable> {
        call(&self.0, "read histories", |memory| memory.histories.get(&metric).cloned().unwrap_or_default()).await
    }
}

fn place(awaited: &Awaited) -> (Id, String) {
    (awaited.action.clone(), awaited.subject())
}
