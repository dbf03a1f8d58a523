//! Suites and the index of conversations in memory, failing on command.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use flywheel_model::{Id, Key, Suite};
use flywheel_ports::{ConversationIndex, Noted, OpenFinding, Suites, Unavailable, WrittenSuite};
use jiff::Timestamp;

use crate::ports::{Unreliable, call};

/// What is kept for tests.
#[derive(Debug)]
pub struct SuiteMemory {
    /// The suites, each with how often it was written.
    pub suites: BTreeMap<Key, (Suite, u64)>,
    /// The conversations that were noted.
    pub noted: BTreeMap<Id, Noted>,
    /// The findings that are open.
    pub findings: BTreeMap<Id, OpenFinding>,
    unavailable: f64,
    chance: fastrand::Rng,
}

impl SuiteMemory {
    /// An empty memory of which this share of calls fails.
    #[must_use]
    pub fn new(seed: u64, unavailable: f64) -> Self {
        let (suites, noted, findings) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { suites, noted, findings, unavailable, chance: fastrand::Rng::with_seed(seed) }
    }
}

impl Unreliable for SuiteMemory {
    fn unreliability(&mut self) -> (f64, &mut fastrand::Rng) {
        (self.unavailable, &mut self.chance)
    }
}

/// What one process sees of the memory.
#[derive(Debug, Clone)]
pub struct SuiteProcess(pub Rc<RefCell<SuiteMemory>>);

impl ConversationIndex for SuiteProcess {
    async fn note(&self, conversations: &[Noted]) -> Result<(), Unavailable> {
        let notes = conversations.iter().map(|noted| (noted.signal.clone(), noted.clone()));
        call(&self.0, "note conversations", |memory| memory.noted.extend(notes)).await
    }

    async fn noted(&self, intent: &Key, failed: bool, since: Timestamp, at_most: usize) -> Result<Vec<Noted>, Unavailable> {
        call(&self.0, "read conversations", |memory| {
            let is_it = |noted: &&Noted| noted.intent == *intent && noted.failed == failed && noted.at >= since;
            let mut found: Vec<Noted> = memory.noted.values().filter(is_it).cloned().collect();
            found.sort_by(|one, other| (other.at, &other.signal).cmp(&(one.at, &one.signal)));
            found.truncate(at_most);
            found
        })
        .await
    }

    async fn keep_finding(&self, open: &OpenFinding) -> Result<(), Unavailable> {
        call(&self.0, "keep a finding", |memory| drop(memory.findings.insert(open.finding.clone(), open.clone()))).await
    }

    async fn drop_finding(&self, finding: &Id) -> Result<(), Unavailable> {
        call(&self.0, "forget a finding", |memory| drop(memory.findings.remove(finding))).await
    }

    async fn open_findings(&self) -> Result<Vec<OpenFinding>, Unavailable> {
        call(&self.0, "read findings", |memory| memory.findings.values().cloned().collect()).await
    }
}

impl Suites for SuiteProcess {
    async fn suite(&self, intent: &Key) -> Result<Option<(Suite, String)>, Unavailable> {
        call(&self.0, "read a suite", |memory| memory.suites.get(intent).map(|(suite, writes)| (suite.clone(), writes.to_string()))).await
    }

    async fn put_suite(&self, suite: &Suite, tag: Option<&str>, _at: Timestamp) -> Result<Option<WrittenSuite>, Unavailable> {
        call(&self.0, "write a suite", |memory| {
            let writes = memory.suites.get(&suite.intent).map_or(0, |(_, writes)| *writes);
            let is_ours = tag.map_or(writes == 0, |tag| writes.to_string() == tag);
            is_ours.then(|| {
                memory.suites.insert(suite.intent.clone(), (suite.clone(), writes + 1));
                WrittenSuite { object: format!("memory/{}", suite.intent), sha256: (writes + 1).to_string() }
            })
        })
        .await
    }

    async fn forget_earlier(&self, _intent: &Key) -> Result<(), Unavailable> {
        Ok(())
    }

    async fn intents(&self) -> Result<Vec<Key>, Unavailable> {
        call(&self.0, "list suites", |memory| memory.suites.keys().cloned().collect()).await
    }
}
