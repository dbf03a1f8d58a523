//! A store of signals in memory that fails on command, and counts what each call would cost.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use flywheel_engine::signals::batch::{self, Batch};
use flywheel_model::{Count, Event, Hour, Id, Observation, Series};
use flywheel_ports::{Bus, Counted, Counts, Observations, SignalStore, Unavailable};

use crate::ports::{Unreliable, call};

/// What is recorded of signals, and what recording it took.
#[derive(Debug)]
pub struct SignalMemory {
    /// The object that each counted signal's mark names.
    pub marks: BTreeMap<Id, String>,
    /// What batches added to each hour, as it is written.
    pub additions: BTreeMap<Hour, BTreeMap<Id, String>>,
    /// How often each hour was touched.
    pub touched: BTreeMap<Hour, u64>,
    /// The evidence.
    pub objects: BTreeMap<String, Vec<Observation>>,
    /// What was published, once for each id.
    pub ledger: BTreeMap<Id, Event>,
    /// What the calls took.
    pub spent: Spent,
    /// The share of calls that fail, half of them after they took effect.
    pub unavailable: f64,
    /// The share of transactions that meet another one.
    pub busy: f64,
    /// Where chance comes from.
    pub chance: fastrand::Rng,
}

/// Requests and write units, as AWS would bill them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// DynamoDB transactions, those that were refused too.
    pub transactions: u64,
    /// Write units of marks: two for each begun kilobyte in a transaction.
    pub mark_units: u64,
    /// Write units of counts in transactions.
    pub count_units: u64,
    /// Write units of touched hours.
    pub touch_units: u64,
    /// Objects put into S3.
    pub puts: u64,
    /// Bytes of these objects before they are compressed.
    pub bytes: u64,
    /// Bytes of the marks.
    pub mark_bytes: u64,
    /// Events published.
    pub events: u64,
}

impl SignalMemory {
    /// An empty memory where nothing fails.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            marks: BTreeMap::new(),
            additions: BTreeMap::new(),
            touched: BTreeMap::new(),
            objects: BTreeMap::new(),
            ledger: BTreeMap::new(),
            spent: Spent::default(),
            unavailable: 0.0,
            busy: 0.0,
            chance: fastrand::Rng::with_seed(seed),
        }
    }

    fn count(&mut self, batch: &Batch) -> Counted {
        let additions = batch.additions();
        let writes = batch.entries.len() + additions.len();
        assert!(writes <= batch::TRANSACTION, "a transaction of {writes} writes");
        let distinct: BTreeSet<&Id> = batch.entries.iter().map(|entry| &entry.signal).collect();
        assert_eq!(distinct.len(), batch.entries.len(), "DynamoDB refuses a transaction that writes a row twice");
        self.spent.transactions += 1;
        // What is refused is billed like what is done.
        for entry in &batch.entries {
            let bytes = item_bytes(&format!("signal#{}", entry.signal), "mark", [("evidence", batch.evidence.len()), ("expires_at", 6)]);
            self.spent.mark_units += 2 * bytes.div_ceil(1_024);
            self.spent.mark_bytes += bytes;
        }
        for (hour, addition) in &additions {
            let text = batch::write(&addition.counts);
            let bytes = item_bytes(&format!("hour#{}", hour.0), addition.id.as_str(), [("counts", text.len()), ("expires_at", 6)]);
            assert!(bytes < 400 * 1_024, "an item of {bytes} bytes");
            self.spent.count_units += 2 * bytes.div_ceil(1_024);
        }
        let known: BTreeMap<Id, String> =
            distinct.into_iter().filter_map(|signal| Some((signal.clone(), self.marks.get(signal)?.clone()))).collect();
        if !known.is_empty() {
            return Counted::Known(known);
        }
        if self.busy > 0.0 && self.chance.f64() < self.busy {
            return Counted::Busy;
        }
        for entry in &batch.entries {
            self.marks.insert(entry.signal.clone(), batch.evidence.clone());
        }
        for (hour, addition) in additions {
            let before = self.additions.entry(hour).or_default().insert(addition.id, batch::write(&addition.counts));
            assert_eq!(before, None, "an addition was overwritten");
        }
        Counted::All
    }

    /// Everything counted.
    #[must_use]
    pub fn all_counts(&self) -> BTreeMap<(Hour, Series), Count> {
        self.additions.keys().flat_map(|hour| self.counts_of(*hour).into_iter().map(|(series, count)| ((*hour, series), count))).collect()
    }

    fn counts_of(&self, hour: Hour) -> BTreeMap<Series, Count> {
        let mut counts = BTreeMap::new();
        for text in self.additions.get(&hour).into_iter().flat_map(BTreeMap::values) {
            batch::read(text, &mut counts).expect("it was written so");
        }
        counts
    }
}

/// An item's size by DynamoDB's rules: names and texts by their bytes, a number of up to 12 digits with 7 at most.
fn item_bytes<'n>(pk: &str, sk: &str, attributes: impl IntoIterator<Item = (&'n str, usize)>) -> u64 {
    let attributes: usize = attributes.into_iter().map(|(name, size)| name.len() + size).sum();
    (4 + pk.len() + sk.len() + attributes) as u64
}

impl Unreliable for SignalMemory {
    fn unreliability(&mut self) -> (f64, &mut fastrand::Rng) {
        (self.unavailable, &mut self.chance)
    }
}

/// What one process sees of the memory. Each call first lets others go first.
#[derive(Debug, Clone)]
pub struct SignalProcess(pub Rc<RefCell<SignalMemory>>);

impl SignalProcess {
    async fn call<T>(&self, what: &'static str, effect: impl FnOnce(&mut SignalMemory) -> T) -> Result<T, Unavailable> {
        call(&self.0, what, effect).await
    }
}

impl SignalStore for SignalProcess {
    async fn count(&self, batch: &Batch) -> Result<Counted, Unavailable> {
        self.call("count signals", |memory| memory.count(batch)).await
    }

    async fn touch(&self, hours: &BTreeSet<Hour>) -> Result<(), Unavailable> {
        for hour in hours {
            self.call("touch an hour", |memory| {
                *memory.touched.entry(*hour).or_default() += 1;
                memory.spent.touch_units += 1;
            })
            .await?;
        }
        Ok(())
    }
}

impl Counts for SignalProcess {
    async fn touched(&self, since: Hour) -> Result<BTreeMap<Hour, u64>, Unavailable> {
        self.call("read which hours were touched", |memory| memory.touched.range(since..).map(|(hour, n)| (*hour, *n)).collect()).await
    }

    async fn counts(&self, hour: Hour) -> Result<BTreeMap<Series, Count>, Unavailable> {
        self.call("read counts", |memory| memory.counts_of(hour)).await
    }
}

impl Observations for SignalProcess {
    async fn keep(&self, name: &str, observations: &[Observation]) -> Result<(), Unavailable> {
        self.call("keep observations", |memory| {
            let bytes: usize = observations.iter().map(|kept| serde_json::to_string(kept).map_or(0, |line| line.len() + 1)).sum();
            memory.spent.puts += 1;
            memory.spent.bytes += bytes as u64;
            memory.objects.insert(name.to_owned(), observations.to_vec());
        })
        .await
    }

    async fn find(&self, signal: &Id) -> Result<Option<Observation>, Unavailable> {
        self.call("read observations", |memory| {
            let object = memory.objects.get(memory.marks.get(signal)?)?;
            object.iter().find(|observation| observation.signal.identity() == *signal).cloned()
        })
        .await
    }

    async fn counted(&self, name: &str) -> Result<Vec<Observation>, Unavailable> {
        self.call("read observations", |memory| {
            let mut seen = BTreeSet::new();
            let counted = |observation: &&Observation| {
                let signal = observation.signal.identity();
                memory.marks.get(&signal).is_some_and(|place| place == name) && seen.insert(signal)
            };
            memory.objects.get(name).into_iter().flatten().filter(counted).cloned().collect()
        })
        .await
    }
}

impl Bus for SignalProcess {
    async fn publish(&self, events: &[Event]) -> Result<(), Unavailable> {
        self.call("publish events", |memory| {
            memory.spent.events += events.len() as u64;
            for event in events {
                memory.ledger.entry(event.id.clone()).or_insert_with(|| event.clone());
            }
        })
        .await
    }
}
