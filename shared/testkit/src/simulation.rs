//! Runs the functions in simulated time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use flywheel_bedrock::core::{Bedrock, DataSourceKind, NewDataSource, NewKnowledgeBase, ObjectVersion};
use flywheel_engine::documents::Document;
use flywheel_engine::sync::{Account, Source};
use flywheel_model::DocumentId;
use flywheel_policy::Policy;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use sync_knowledge_bases::{Report, World};
use track_documents::{Message, track};

use crate::ports::Process;
use crate::world::Memory;

/// Messages in a batch for the function that records changes.
const BATCH: usize = 100;

/// Invocations of one function at the same time.
const AT_ONCE: usize = 2;

/// After this long a message of an invocation that failed or died is visible again.
const VISIBILITY: SignedDuration = SignedDuration::from_secs(180);

/// The schedule that heals what a lost event left behind.
const SWEEP: SignedDuration = SignedDuration::from_secs(300);

/// What goes wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Chaos {
    /// The share of steps after which the process dies.
    pub crash: f64,
    /// The share of calls of the record, the bus and the queues that fail.
    pub unavailable: f64,
    /// The share of events that S3's queue delivers twice.
    pub duplicate: f64,
    /// Events come up to this late, and so out of order.
    pub late: SignedDuration,
}

/// The functions, running in simulated time.
pub struct Simulation {
    /// The memory that all processes share.
    pub memory: Rc<RefCell<Memory>>,
    policy: Rc<Policy>,
    chaos: Chaos,
    /// S3's events, with the time from which they are visible.
    changes: Vec<(Timestamp, Message)>,
    running: Vec<Invocation>,
    next_sweep: Timestamp,
    sequencer: u64,
    /// What the sync function did, over all invocations that came to their end.
    pub reports: Vec<Report>,
    /// Invocations of the two functions.
    pub invocations: u64,
}

enum Done {
    Tracked(Vec<String>),
    Synchronised(Option<Report>),
}

struct Invocation {
    future: Pin<Box<dyn Future<Output = Done>>>,
    changes: Vec<Message>,
    wakes: Vec<bool>,
}

impl Simulation {
    /// A world in which the knowledge bases and data sources of a policy exist, and nothing else.
    ///
    /// # Panics
    /// If the policy's ids cannot be made, since they are not ids.
    #[must_use]
    pub fn new(policy: Policy, mut bedrock: Bedrock, chaos: Chaos, seed: u64) -> Self {
        let now = Timestamp::from_second(1_763_900_000).unwrap_or_default();
        let mut known = BTreeMap::new();
        for rules in &policy.data_sources {
            if known.insert(rules.id.knowledge_base.clone(), ()).is_none() {
                let new = NewKnowledgeBase { id: Some(rules.id.knowledge_base.clone()), name: rules.id.knowledge_base.clone() };
                bedrock.create_knowledge_base(now, new).expect("a valid id");
            }
            let kind = DataSourceKind::S3 { bucket: rules.bucket.clone(), inclusion_prefixes: vec![rules.prefix.clone()] };
            let (knowledge_base, name) = (rules.id.knowledge_base.clone(), rules.id.data_source.clone());
            bedrock.create_data_source(now, NewDataSource { id: Some(name.clone()), knowledge_base, name, kind }).expect("a valid id");
        }
        bedrock.forget_calls();
        let memory = Memory {
            now,
            objects: BTreeMap::new(),
            bedrock,
            account: Account::default(),
            sources: BTreeMap::new(),
            documents: BTreeMap::new(),
            next_wake: None,
            ledger: BTreeMap::new(),
            wakes: Vec::new(),
            unavailable: chaos.unavailable,
            chance: fastrand::Rng::with_seed(seed),
        };
        Self {
            memory: Rc::new(RefCell::new(memory)),
            policy: Rc::new(policy),
            chaos,
            changes: Vec::new(),
            running: Vec::new(),
            next_sweep: now + SWEEP,
            sequencer: 0x0055_AED6_DCD9_0281,
            reports: Vec::new(),
            invocations: 0,
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.memory.borrow().now
    }

    /// Writes an object; S3 sends its event.
    pub fn write(&mut self, document: &DocumentId, size: u64) {
        self.sequencer += 1;
        let etag = format!("{:x}", self.sequencer);
        self.memory.borrow_mut().objects.insert(document.clone(), ObjectVersion { size, etag });
        let object = json!({ "key": document.key, "size": size, "sequencer": format!("{:016X}", self.sequencer) });
        self.send("Object Created", document, &object);
    }

    /// Deletes an object; S3 sends its event.
    pub fn delete(&mut self, document: &DocumentId) {
        self.sequencer += 1;
        self.memory.borrow_mut().objects.remove(document);
        let object = json!({ "key": document.key, "sequencer": format!("{:016X}", self.sequencer) });
        self.send("Object Deleted", document, &object);
    }

    fn send(&mut self, detail_type: &str, document: &DocumentId, object: &serde_json::Value) {
        let now = self.now();
        // Whole seconds, as EventBridge dates S3's events.
        let time = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let body = json!({
            "source": "aws.s3", "detail-type": detail_type, "time": time.to_string(),
            "detail": { "bucket": { "name": document.bucket }, "object": object, "deletion-type": "Permanently Deleted" },
        });
        let message = Message { id: format!("m{}", self.sequencer), body: body.to_string() };
        let mut memory = self.memory.borrow_mut();
        let copies = 1 + usize::from(memory.chance.f64() < self.chaos.duplicate);
        for _ in 0..copies {
            let late = memory.chance.f64() * self.chaos.late.as_secs_f64();
            self.changes.push((now + SignedDuration::from_secs_f64(late), message.clone()));
        }
    }

    /// Lets time pass until a moment.
    pub fn run_until(&mut self, until: Timestamp) {
        while self.step(until) {}
        let mut memory = self.memory.borrow_mut();
        memory.now = memory.now.max(until);
    }

    /// Lets time pass until nothing is pending and nothing is on its way, for at most so long. `false` if time ran out.
    pub fn settle(&mut self, at_most: SignedDuration) -> bool {
        let end = self.now() + at_most;
        while !self.is_quiet() {
            if !self.step(end) {
                return false;
            }
        }
        let mut memory = self.memory.borrow_mut();
        let now = memory.now;
        memory.bedrock.advance(now);
        true
    }

    fn is_quiet(&self) -> bool {
        self.changes.is_empty() && self.running.is_empty() && self.unsettled().is_empty()
    }

    /// The data sources that are not at rest, each with its pending documents.
    #[must_use]
    pub fn unsettled(&self) -> Vec<(Source, Vec<Document>)> {
        let memory = self.memory.borrow();
        let with_pending = memory.sources.values().map(|source| {
            let documents = memory.documents.get(&source.id).into_iter().flat_map(|documents| documents.values());
            let pending: Vec<Document> = documents.filter(|document| document.is_pending()).cloned().collect();
            (source.clone(), pending)
        });
        let at_rest = |source: &Source, pending: &[Document]| {
            source.quarantine.as_ref().is_some_and(|quarantine| quarantine.changes == source.changes)
                || (!source.needs_attention() && pending.is_empty())
        };
        with_pending.filter(|(source, pending)| !at_rest(source, pending)).collect()
    }

    /// One step of one process, or the clock's way to the next message. `false` once the moment is reached.
    fn step(&mut self, until: Timestamp) -> bool {
        if self.now() >= until {
            return false;
        }
        self.begin_invocations();
        if self.running.is_empty() {
            let memory = self.memory.borrow();
            let messages = self.changes.iter().map(|(at, _)| *at).chain(memory.wakes.iter().map(|(at, _)| *at));
            let next = messages.chain([self.next_sweep]).min().unwrap_or(until);
            drop(memory);
            if next > until {
                return false;
            }
            let mut memory = self.memory.borrow_mut();
            memory.now = memory.now.max(next);
            if next == self.next_sweep {
                let at = memory.now;
                memory.wakes.push((at, true));
                self.next_sweep = at + SWEEP;
            }
            return true;
        }
        let (which, dies) = {
            let mut memory = self.memory.borrow_mut();
            // A call takes 2 ms; invocations run side by side.
            memory.now += SignedDuration::from_micros(2_000 / i64::try_from(self.running.len()).unwrap_or(1));
            let which = memory.chance.usize(0..self.running.len());
            (which, memory.chance.f64() < self.chaos.crash)
        };
        if dies {
            let Invocation { changes, wakes, .. } = self.running.swap_remove(which);
            self.put_back(changes, wakes);
            return true;
        }
        let polled = self.running[which].future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(done) = polled {
            let Invocation { changes, wakes, .. } = self.running.swap_remove(which);
            match done {
                Done::Tracked(failed) => {
                    self.put_back(changes.into_iter().filter(|message| failed.contains(&message.id)).collect(), Vec::new());
                }
                Done::Synchronised(Some(report)) => self.reports.push(report),
                Done::Synchronised(None) => self.put_back(Vec::new(), wakes),
            }
        }
        true
    }

    fn put_back(&mut self, changes: Vec<Message>, wakes: Vec<bool>) {
        let mut memory = self.memory.borrow_mut();
        let visible = memory.now + VISIBILITY;
        self.changes.extend(changes.into_iter().map(|message| (visible, message)));
        memory.wakes.extend(wakes.into_iter().map(|sweep| (visible, sweep)));
    }

    fn begin_invocations(&mut self) {
        let now = self.now();
        let tracking = self.running.iter().filter(|invocation| !invocation.changes.is_empty()).count();
        if tracking < AT_ONCE && self.changes.iter().any(|(at, _)| *at <= now) {
            let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.changes).into_iter().partition(|(at, _)| *at <= now);
            let mut due: Vec<Message> = due.into_iter().map(|(_, message)| message).collect();
            self.changes = later;
            if self.chaos != Chaos::default() {
                self.memory.borrow_mut().chance.shuffle(&mut due);
            }
            let rest = due.split_off(due.len().min(BATCH));
            self.changes.extend(rest.into_iter().map(|message| (now, message)));
            let (process, policy, batch) = (Process(self.memory.clone()), self.policy.clone(), due.clone());
            let future = async move { Done::Tracked(track(&process, &process, &process, &policy, batch, now).await.failed) };
            self.running.push(Invocation { future: Box::pin(future), changes: due, wakes: Vec::new() });
            self.invocations += 1;
        }
        let synchronising = self.running.iter().filter(|invocation| !invocation.wakes.is_empty()).count();
        let mut memory = self.memory.borrow_mut();
        if synchronising < AT_ONCE && memory.wakes.iter().any(|(at, _)| *at <= now) {
            let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut memory.wakes).into_iter().partition(|(at, _)| *at <= now);
            memory.wakes = later;
            let wakes: Vec<bool> = due.into_iter().map(|(_, sweep)| sweep).collect();
            let sweep = wakes.contains(&true);
            let process = Process(self.memory.clone());
            let (policy, memory) = (self.policy.clone(), self.memory.clone());
            let future = async move {
                let world = World {
                    store: process.clone(),
                    bus: process.clone(),
                    knowledge_bases: process.clone(),
                    buckets: process.clone(),
                    wakes: process,
                };
                Done::Synchronised(world.synchronise(&policy, sweep, &|| memory.borrow().now).await.ok())
            };
            self.running.push(Invocation { future: Box::pin(future), changes: Vec::new(), wakes });
            self.invocations += 1;
        }
    }
}
