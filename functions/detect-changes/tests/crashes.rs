//! A look that dies at any point, and is repeated, tells and remembers the same as one that does not.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use detect_changes::look;
use flywheel_engine::findings::{History, MetricState, SeenAlarm};
use flywheel_model::{Count, Event, Hour, Id, Key, Metric, Series};
use flywheel_policy::Policy;
use flywheel_ports::{Alarms, Bus, Counts, Histories, Looked, Memory, Unavailable};
use jiff::{SignedDuration, Timestamp};

const POLICY: &str = "mode = \"act\"\n[[data_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS12345678\"\nbucket = \"docs\"\n";

/// The first hour of the change, after thirty days of history.
const START: i64 = 500_000;

#[derive(Default)]
struct World {
    hours: BTreeMap<Hour, BTreeMap<Series, Count>>,
    histories: RefCell<BTreeMap<Series, History>>,
    states: RefCell<BTreeMap<Metric, MetricState>>,
    looked: RefCell<Looked>,
    looking_until: Cell<Option<Timestamp>>,
    events: RefCell<BTreeMap<Id, Event>>,
    calls: Cell<usize>,
    /// The call before which the process dies.
    dies_at: Cell<Option<usize>>,
}

impl World {
    /// Four weeks at 10%, then two hours at 30%.
    fn new() -> Self {
        let series = Series { metric: Metric::FailedResponses, key: Key::try_from("launch").expect("a key") };
        let count = |events| Count { trials: 200, events, ..Count::default() };
        let mut history = History::default();
        (START - 24 * 30..START).for_each(|hour| history.learn(Hour(hour), &count(20)));
        let hours = (START..START + 2).map(|hour| (Hour(hour), BTreeMap::from([(series.clone(), count(60))])));
        Self { hours: hours.collect(), histories: RefCell::new(BTreeMap::from([(series, history)])), ..Self::default() }
    }

    fn call(&self) -> Result<(), Unavailable> {
        let call = self.calls.replace(self.calls.get() + 1);
        if self.dies_at.get() == Some(call) { Err(Unavailable { what: "on purpose", why: String::new() }) } else { Ok(()) }
    }

    /// What is told and remembered.
    fn told(&self) -> (Vec<Id>, BTreeMap<Series, History>, BTreeMap<Metric, MetricState>, Looked) {
        let events = self.events.borrow().keys().cloned().collect();
        let looked = Looked { revision: 0, ..self.looked.borrow().clone() };
        (events, self.histories.borrow().clone(), self.states.borrow().clone(), looked)
    }
}

impl Bus for World {
    async fn publish(&self, events: &[Event]) -> Result<(), Unavailable> {
        self.call()?;
        self.events.borrow_mut().extend(events.iter().map(|event| (event.id.clone(), event.clone())));
        Ok(())
    }
}

impl Counts for World {
    async fn touched(&self, since: Hour) -> Result<BTreeMap<Hour, u64>, Unavailable> {
        self.call()?;
        Ok(self.hours.keys().filter(|hour| **hour >= since).map(|hour| (*hour, 1)).collect())
    }

    async fn counts(&self, hour: Hour) -> Result<BTreeMap<Series, Count>, Unavailable> {
        self.call()?;
        Ok(self.hours.get(&hour).cloned().unwrap_or_default())
    }
}

impl Alarms for World {
    async fn see(&self, _: &SeenAlarm) -> Result<(), Unavailable> {
        self.call()
    }

    async fn alarms(&self) -> Result<Vec<SeenAlarm>, Unavailable> {
        self.call()?;
        Ok(Vec::new())
    }
}

impl Histories for World {
    async fn histories(&self, metric: Metric) -> Result<BTreeMap<Key, History>, Unavailable> {
        self.call()?;
        let histories = self.histories.borrow();
        let of_it = histories.iter().filter(|(series, _)| series.metric == metric);
        Ok(of_it.map(|(series, history)| (series.key.clone(), history.clone())).collect())
    }
}

impl Memory for World {
    async fn begin_look(&self, now: Timestamp) -> Result<Option<Looked>, Unavailable> {
        self.call()?;
        if self.looking_until.get().is_some_and(|until| until > now) {
            return Ok(None);
        }
        self.looking_until.set(Some(now + SignedDuration::from_secs(45)));
        Ok(Some(self.looked.borrow().clone()))
    }

    async fn end_look(&self, looked: &Looked) -> Result<(), Unavailable> {
        self.call()?;
        self.looked.replace(looked.clone());
        self.looking_until.set(None);
        Ok(())
    }

    async fn save_history(&self, series: &Series, history: &History) -> Result<(), Unavailable> {
        self.call()?;
        self.histories.borrow_mut().insert(series.clone(), history.clone());
        Ok(())
    }

    async fn state(&self, metric: Metric) -> Result<MetricState, Unavailable> {
        self.call()?;
        Ok(self.states.borrow().get(&metric).cloned().unwrap_or_default())
    }

    async fn save_state(&self, metric: Metric, state: &MetricState) -> Result<(), Unavailable> {
        self.call()?;
        self.states.borrow_mut().insert(metric, state.clone());
        Ok(())
    }
}

#[tokio::test]
async fn a_look_that_dies_at_any_point_and_is_repeated_tells_everything_once() {
    let policy = Policy::parse(POLICY).expect("valid");
    let at = Hour(START + 2).start();
    let whole = World::new();
    look(&whole, &whole, &whole, &policy, at, at).await.expect("a look");
    assert!(whole.events.borrow().values().any(|event| event.kind() == "finding.opened"), "{:?}", whole.events.borrow());

    for call in 0..whole.calls.get() {
        let world = World::new();
        world.dies_at.set(Some(call));
        look(&world, &world, &world, &policy, at, at).await.expect_err("it died");
        // While the right to look is the dead one's, nobody looks; when it ends, the next look begins where this one did.
        let later = at + SignedDuration::from_secs(60);
        look(&world, &world, &world, &policy, at, later).await.expect("a look");
        assert_eq!(world.told(), whole.told(), "after dying before call {call}");
    }
}

#[tokio::test]
async fn one_process_looks_at_a_time() {
    let policy = Policy::parse(POLICY).expect("valid");
    let at = Hour(START + 2).start();
    let world = World::new();
    world.looking_until.set(Some(at + SignedDuration::from_secs(30)));
    assert!(look(&world, &world, &world, &policy, at, at).await.expect("passed over").busy);
    assert!(world.events.borrow().is_empty());
}
