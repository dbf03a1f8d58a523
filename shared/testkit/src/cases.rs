//! A store of evaluation cases in memory that fails on command.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::rc::Rc;

use flywheel_calibration::Calibration;
use flywheel_engine::cases::dataset::{Manifest, Part};
use flywheel_engine::cases::{Decision, Inquiry, LaterAnswer, Shelf, Sighting};
use flywheel_model::{Id, Key};
use flywheel_ports::{CaseStore, Datasets, Freshness, Inquiries, Known, Scores, ShelfState, Unavailable};
use jiff::Timestamp;

use crate::ports::{Unreliable, call};

/// What is recorded of cases.
#[derive(Debug)]
pub struct CaseMemory {
    /// What was learned of each scale on each day.
    pub scores: BTreeMap<(String, i64), Calibration>,
    /// The retrievals of each conversation.
    pub inquiries: BTreeMap<Key, BTreeMap<Id, Inquiry>>,
    /// What came later in it.
    pub answers: BTreeMap<Key, BTreeMap<Id, LaterAnswer>>,
    /// The sightings of each knowledge base, by question and signal.
    pub sightings: BTreeMap<Key, BTreeMap<(Id, Id), Sighting>>,
    /// What people decided.
    pub decisions: BTreeMap<Key, Vec<Decision>>,
    /// How far data sets are behind.
    pub shelves: BTreeMap<Key, (u64, u64, i64)>,
    /// The manifests, each with how often it was written.
    pub manifests: BTreeMap<Key, (Manifest, u64)>,
    /// The parts of data sets by their names.
    pub parts: BTreeMap<(Key, String), Vec<u8>>,
    /// When each knowledge base was synchronised.
    pub synchronised_at: BTreeMap<String, Timestamp>,
    /// The share of calls that fail, half of them after they took effect.
    pub unavailable: f64,
    /// Where chance comes from.
    pub chance: fastrand::Rng,
}

impl CaseMemory {
    /// An empty memory where nothing fails.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            scores: BTreeMap::new(),
            inquiries: BTreeMap::new(),
            answers: BTreeMap::new(),
            sightings: BTreeMap::new(),
            decisions: BTreeMap::new(),
            shelves: BTreeMap::new(),
            manifests: BTreeMap::new(),
            parts: BTreeMap::new(),
            synchronised_at: BTreeMap::new(),
            unavailable: 0.0,
            chance: fastrand::Rng::with_seed(seed),
        }
    }

    fn touch(&mut self, knowledge_base: &Key) {
        self.shelves.entry(knowledge_base.clone()).or_default().0 += 1;
    }

    /// Everything that is kept of a knowledge base.
    #[must_use]
    pub fn shelf_of(&self, knowledge_base: &Key) -> Shelf {
        Shelf {
            sightings: self.sightings.get(knowledge_base).into_iter().flat_map(BTreeMap::values).cloned().collect(),
            decisions: self.decisions.get(knowledge_base).cloned().unwrap_or_default(),
        }
    }
}

impl Unreliable for CaseMemory {
    fn unreliability(&mut self) -> (f64, &mut fastrand::Rng) {
        (self.unavailable, &mut self.chance)
    }
}

/// What one process sees of the memory. Each call first lets others go first.
#[derive(Debug, Clone)]
pub struct CaseProcess(pub Rc<RefCell<CaseMemory>>);

impl CaseProcess {
    async fn call<T>(&self, what: &'static str, effect: impl FnOnce(&mut CaseMemory) -> T) -> Result<T, Unavailable> {
        call(&self.0, what, effect).await
    }
}

impl Scores for CaseProcess {
    async fn learn(&self, scale: &str, day: i64, learned: &Calibration) -> Result<(), Unavailable> {
        self.call("learn scores", |memory| memory.scores.entry((scale.to_owned(), day)).or_default().merge(learned)).await
    }

    async fn learned(&self, scale: &str, days: RangeInclusive<i64>) -> Result<Calibration, Unavailable> {
        self.call("read scores", |memory| {
            let mut learned = Calibration::default();
            let of_days = memory.scores.range((scale.to_owned(), *days.start())..=(scale.to_owned(), *days.end()));
            of_days.for_each(|(_, day)| learned.merge(day));
            learned
        })
        .await
    }
}

impl Inquiries for CaseProcess {
    async fn keep_inquiry(&self, conversation: &Key, inquiry: &Inquiry, _now: Timestamp) -> Result<(), Unavailable> {
        self.call("keep an inquiry", |memory| {
            let kept = memory.inquiries.entry(conversation.clone()).or_default();
            kept.entry(inquiry.signal.clone()).or_insert_with(|| inquiry.clone());
        })
        .await
    }

    async fn keep_answer(&self, conversation: &Key, answer: &LaterAnswer, _now: Timestamp) -> Result<(), Unavailable> {
        self.call("keep an answer", |memory| {
            let kept = memory.answers.entry(conversation.clone()).or_default();
            kept.entry(answer.signal.clone()).or_insert_with(|| answer.clone());
        })
        .await
    }

    async fn conversation(&self, conversation: &Key) -> Result<(Vec<Inquiry>, Vec<LaterAnswer>), Unavailable> {
        self.call("read a conversation", |memory| {
            let inquiries = memory.inquiries.get(conversation).into_iter().flat_map(BTreeMap::values).cloned().collect();
            (inquiries, memory.answers.get(conversation).into_iter().flat_map(BTreeMap::values).cloned().collect())
        })
        .await
    }
}

impl CaseStore for CaseProcess {
    async fn known(&self, sighting: &Sighting, questions_at_most: u32) -> Result<Known, Unavailable> {
        self.call("look for a sighting", |memory| {
            let Some(kept) = memory.sightings.get(&sighting.inquiry.knowledge_base) else { return Known::New };
            if let Some(kept) = kept.get(&(sighting.question.clone(), sighting.inquiry.signal.clone())) {
                return Known::Kept(Box::new(kept.clone()));
            }
            let mut times: BTreeMap<&Id, u64> = BTreeMap::new();
            kept.keys().for_each(|(question, _)| *times.entry(question).or_default() += 1);
            let full = match times.get(&sighting.question) {
                Some(times) => *times >= Known::SIGHTINGS,
                None => times.len() >= questions_at_most as usize,
            };
            if full { Known::Full } else { Known::New }
        })
        .await
    }

    async fn keep_sighting(&self, sighting: &Sighting) -> Result<(), Unavailable> {
        self.call("keep a sighting", |memory| {
            let (knowledge_base, name) = (&sighting.inquiry.knowledge_base, (sighting.question.clone(), sighting.inquiry.signal.clone()));
            let kept = memory.sightings.entry(knowledge_base.clone()).or_default();
            if kept.get(&name).is_none_or(|kept| kept.judged_with <= sighting.judged_with) {
                kept.insert(name, sighting.clone());
            }
            memory.touch(knowledge_base);
        })
        .await
    }

    async fn keep_decision(&self, knowledge_base: &Key, decision: &Decision) -> Result<(), Unavailable> {
        self.call("keep a decision", |memory| {
            let decisions = memory.decisions.entry(knowledge_base.clone()).or_default();
            if !decisions.contains(decision) {
                decisions.push(decision.clone());
            }
            memory.touch(knowledge_base);
        })
        .await
    }

    async fn shelf(&self, knowledge_base: &Key) -> Result<Shelf, Unavailable> {
        self.call("read a shelf", |memory| memory.shelf_of(knowledge_base)).await
    }

    async fn remove(&self, knowledge_base: &Key, what: &Shelf) -> Result<(), Unavailable> {
        self.call("remove sightings", |memory| {
            if let Some(kept) = memory.sightings.get_mut(knowledge_base) {
                for sighting in &what.sightings {
                    kept.remove(&(sighting.question.clone(), sighting.inquiry.signal.clone()));
                }
            }
            if let Some(kept) = memory.decisions.get_mut(knowledge_base) {
                kept.retain(|decision| !what.decisions.contains(decision));
            }
            memory.touch(knowledge_base);
        })
        .await
    }

    async fn shelves(&self) -> Result<Vec<ShelfState>, Unavailable> {
        self.call("read shelves", |memory| {
            let state = |(knowledge_base, (writes, published_writes, published_day)): (&Key, &(u64, u64, i64))| ShelfState {
                knowledge_base: knowledge_base.clone(),
                writes: *writes,
                published_writes: *published_writes,
                published_day: *published_day,
            };
            memory.shelves.iter().map(state).collect()
        })
        .await
    }

    async fn published(&self, knowledge_base: &Key, writes: u64, day: i64) -> Result<(), Unavailable> {
        self.call("note what is published", |memory| {
            let shelf = memory.shelves.entry(knowledge_base.clone()).or_default();
            (shelf.1, shelf.2) = (writes, day);
        })
        .await
    }
}

impl Freshness for CaseProcess {
    async fn synchronised_at(&self, knowledge_base: &str) -> Result<Option<Timestamp>, Unavailable> {
        self.call("read when it was synchronised", |memory| memory.synchronised_at.get(knowledge_base).copied()).await
    }
}

impl Datasets for CaseProcess {
    async fn manifest(&self, knowledge_base: &Key) -> Result<Option<(Manifest, String)>, Unavailable> {
        let found = |memory: &mut CaseMemory| memory.manifests.get(knowledge_base).map(|(manifest, n)| (manifest.clone(), n.to_string()));
        self.call("read a manifest", found).await
    }

    async fn put_part(&self, knowledge_base: &Key, part: &Part) -> Result<(), Unavailable> {
        let name = (knowledge_base.clone(), part.entry.sha256.clone());
        self.call("write a part", |memory| drop(memory.parts.insert(name, part.bytes.clone()))).await
    }

    async fn put_manifest(&self, manifest: &Manifest, tag: Option<&str>) -> Result<bool, Unavailable> {
        self.call("write a manifest", |memory| {
            let present = memory.manifests.get(&manifest.knowledge_base).map(|(_, n)| *n);
            let ours = present.map(|n| n.to_string()).as_deref() == tag;
            if ours {
                memory.manifests.insert(manifest.knowledge_base.clone(), (manifest.clone(), present.unwrap_or_default() + 1));
            }
            ours
        })
        .await
    }

    async fn prune(&self, manifest: &Manifest, before: Option<&Manifest>) -> Result<(), Unavailable> {
        self.call("delete parts", |memory| {
            let (named, named_before) = (manifest.parts(), before.map(Manifest::parts).unwrap_or_default());
            memory.parts.retain(|(of, part), _| {
                *of != manifest.knowledge_base || named.contains(part.as_str()) || !named_before.contains(part.as_str())
            });
        })
        .await
    }
}
