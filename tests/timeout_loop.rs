//! Limits adjusted by the real function while messages come twice and out of order, calls fail, rows are contended for and
//! processes die between any two steps.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::task::{Context, Waker};

use adjust_timeouts::{Asked, World, read};
use flywheel_engine::timeouts::{Day, Runs};
use flywheel_model::{Body, Fact, Id, Key, Limit, Observation, Setting, Signal, TimeoutAnswer};
use flywheel_policy::Policy;
use flywheel_testkit::{ApprovalMemory, ApprovalProcess, Processes, SignalMemory, SignalProcess, TimeoutMemory, TimeoutProcess};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

const POLICY: &str = r#"mode = "act"
[[unseen_source]]
knowledge_base = "KB12345678"
data_source = "DS12345678"
[[timeout]]
workflow = "trip"
target = { parameter = "/trip" }
ceiling_seconds = 120
queue = "trips"
[[timeout]]
workflow = "report"
tool_calls_at_least = 3
target = { function = "report" }
ceiling_seconds = 300
"#;

fn policy() -> Policy {
    Policy::parse(POLICY).unwrap()
}

fn now() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

/// The signal of a number: the same number, the same signal. One run in eight is cut at 30 seconds; of half of those it is
/// known that they end a little before 40.
fn observation(number: u32) -> Observation {
    let at = now() - SignedDuration::from_hours(i64::from(number % 3) * 9);
    let run = match number % 16 {
        0 => json!({ "status": "timed_out", "limit_seconds": 30.0 }),
        8 => json!({ "status": "timed_out", "seconds": 38.0 + f64::from(number % 5) * 0.1, "limit_seconds": 30.0 }),
        place => json!({ "status": "succeeded", "seconds": 5.0 + f64::from(place), "limit_seconds": 30.0 }),
    };
    let mut run = run;
    run["workflow"] = ["trip", "trip", "report", "other"][number as usize / 16 % 4].into();
    run["tool_calls"] = (number % 7).into();
    let signal: Signal = serde_json::from_value(json!({ "id": format!("s-{number}"), "at": at, "workflow_run": run })).unwrap();
    Observation { signal, class: None, failures: Vec::new() }
}

fn settings() -> BTreeMap<Setting, Limit> {
    BTreeMap::from([
        (parameter(), Limit::of(30.0)),
        (queue(), Limit::of(180.0)),
        (Setting::FunctionTimeout { function: "report".to_owned() }, Limit::of(30.0)),
    ])
}

fn parameter() -> Setting {
    Setting::Parameter { name: "/trip".to_owned(), field: None }
}

fn queue() -> Setting {
    Setting::QueueVisibility { queue: "trips".to_owned() }
}

/// The function's world, on memories that several processes share.
struct Shared {
    signals: Rc<RefCell<SignalMemory>>,
    timeouts: Rc<RefCell<TimeoutMemory>>,
    approvals: Rc<RefCell<ApprovalMemory>>,
}

type Process = World<TimeoutProcess, SignalProcess, TimeoutProcess, ApprovalProcess, ApprovalProcess, SignalProcess>;

impl Shared {
    fn new(seed: u64) -> Self {
        Self {
            signals: Rc::new(RefCell::new(SignalMemory::new(seed))),
            timeouts: Rc::new(RefCell::new(TimeoutMemory::new(seed, settings()))),
            approvals: Rc::new(RefCell::new(ApprovalMemory::new(seed))),
        }
    }

    fn process(&self) -> Process {
        World {
            store: TimeoutProcess(self.timeouts.clone()),
            observations: SignalProcess(self.signals.clone()),
            settings: TimeoutProcess(self.timeouts.clone()),
            approvals: ApprovalProcess(self.approvals.clone()),
            tasks: ApprovalProcess(self.approvals.clone()),
            bus: SignalProcess(self.signals.clone()),
        }
    }

    /// Keeps and counts signals, as the function before this one does.
    fn keep(&self, evidence: &str, numbers: &[u32]) {
        let mut memory = self.signals.borrow_mut();
        let observations: Vec<Observation> = numbers.iter().map(|number| observation(*number)).collect();
        for kept in &observations {
            memory.marks.entry(kept.signal.identity()).or_insert_with(|| evidence.to_owned());
        }
        memory.objects.insert(evidence.to_owned(), observations);
    }

    fn unavailable(&self, share: f64) {
        self.signals.borrow_mut().unavailable = share;
        self.timeouts.borrow_mut().unavailable = share;
    }

    /// Works through messages, some of them at a time and twice, until all are done.
    fn work(&self, messages: &[Asked], crash: f64, seed: u64) {
        let calm = || self.unavailable(0.0);
        Processes::new(messages, 3, crash, seed).work(20_000, calm, |message, _| {
            let process = self.process();
            Box::pin(async move {
                match message {
                    Asked::TakeIn(evidence) => process.take_in(&evidence, &policy()).await.is_ok(),
                    Asked::Review => process.review(&policy(), now()).await.is_ok(),
                }
            })
        });
    }
}

fn key(name: &str) -> Key {
    name.try_into().unwrap()
}

/// What all distinct signals together come to, without the function.
fn expected(numbers: &BTreeSet<u32>, counts: impl Fn(&str, u32) -> bool) -> BTreeMap<Day, Runs> {
    let mut days: BTreeMap<Day, Runs> = BTreeMap::new();
    for number in numbers {
        let signal = observation(*number).signal;
        let Fact::WorkflowRun(run) = &signal.fact else { unreachable!("a run") };
        if counts(run.workflow.as_str(), run.tool_calls.unwrap()) {
            days.entry(Day::of(signal.at)).or_default().add(run);
        }
    }
    days
}

fn kept(memory: &TimeoutMemory, timeout: &str) -> BTreeMap<Day, Runs> {
    memory.days.get(&key(timeout)).into_iter().flatten().map(|(day, kept)| (*day, kept.runs.clone())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn each_run_is_taken_in_once(
        batches in prop::collection::vec(prop::collection::vec(0..600_u32, 1..80), 1..8),
        crash in prop_oneof![Just(0.0), 0.0..0.2],
        unavailable in prop_oneof![Just(0.0), 0.0..0.3],
        seed in any::<u64>(),
    ) {
        let shared = Shared::new(seed);
        shared.unavailable(unavailable);
        let names: Vec<String> = (0..batches.len()).map(|place| format!("observations/{place}")).collect();
        // Told before all of an object is counted, and again after: what is counted by then is taken in.
        for (name, numbers) in names.iter().zip(&batches) {
            shared.keep(name, &numbers[..numbers.len() / 2]);
        }
        let asked: Vec<Asked> = names.iter().map(|name| Asked::TakeIn(name.clone())).collect();
        shared.work(&asked, crash, seed);
        shared.unavailable(unavailable);
        for (name, numbers) in names.iter().zip(&batches) {
            shared.keep(name, numbers);
        }
        shared.work(&asked, crash, seed ^ 1);
        let numbers: BTreeSet<u32> = batches.into_iter().flatten().collect();
        let memory = shared.timeouts.borrow();
        prop_assert_eq!(kept(&memory, "trip"), expected(&numbers, |workflow, _| workflow == "trip"));
        let complex = |workflow: &str, calls: u32| workflow == "report" && calls >= 3;
        prop_assert_eq!(kept(&memory, "report (3 tool calls or more)"), expected(&numbers, complex));
        prop_assert!(!memory.days.contains_key(&key("other")));
    }

    #[test]
    fn a_set_of_changes_is_made_whole_or_not_at_all(
        crash in prop_oneof![Just(0.0), 0.0..0.2],
        unavailable in prop_oneof![Just(0.0), 0.0..0.3],
        refused in prop_oneof![Just(None), Just(Some(parameter())), Just(Some(queue()))],
        seed in any::<u64>(),
    ) {
        let shared = Shared::new(seed);
        let numbers: Vec<u32> = (0..2_400).collect();
        shared.keep("observations/all", &numbers);
        shared.work(&[Asked::TakeIn("observations/all".to_owned())], 0.0, seed);
        shared.timeouts.borrow_mut().refused.extend(refused.clone());
        shared.unavailable(unavailable);
        shared.work(&[Asked::Review, Asked::Review, Asked::Review], crash, seed);
        // Whatever died on the way is resumed by the next review.
        shared.unavailable(0.0);
        shared.work(&[Asked::Review], 0.0, seed);
        let memory = shared.timeouts.borrow();
        let now_set = [&memory.settings[&parameter()], &memory.settings[&queue()]].map(|limit| limit.seconds);
        let wanted = if refused.is_none() { [40.0, 240.0] } else { [30.0, 180.0] };
        prop_assert_eq!(now_set, wanted);
        let ledger = &shared.signals.borrow().ledger;
        let mut decisions = BTreeSet::new();
        for event in ledger.values() {
            if let Body::TimeoutDecided(change) = &event.body {
                prop_assert_eq!(change.timeout.as_str(), "trip");
                decisions.insert(event.id.clone());
            }
        }
        prop_assert_eq!(decisions.len(), 1);
        let answers: Vec<(&Id, bool)> = ledger.values().filter_map(|event| match &event.body {
            Body::TimeoutAnswered(receipt) => Some((&receipt.decision, receipt.answer == TimeoutAnswer::Made)),
            _ => None,
        }).collect();
        prop_assert_eq!(answers, [(decisions.first().unwrap(), refused.is_none())]);
    }
}

#[test]
fn messages_are_understood_or_told() {
    assert_eq!(read(r#"{"trigger":"review"}"#), Ok(Asked::Review));
    let event = flywheel_model::SignalBatch { evidence: "observations/1".to_owned(), kinds: BTreeSet::new() }.event(now());
    let envelope = json!({ "detail-type": "signal.batch", "source": "flywheel", "detail": event }).to_string();
    assert_eq!(read(&envelope), Ok(Asked::TakeIn("observations/1".to_owned())));
    assert!(read("{}").unwrap_err().contains("detail is missing"));
    assert!(read("nonsense").unwrap_err().contains("not JSON"));
}

#[test]
fn a_change_from_outside_during_the_analysis_is_not_overwritten() {
    let shared = Shared::new(1);
    shared.keep("observations/all", &(0..2_400).collect::<Vec<_>>());
    shared.work(&[Asked::TakeIn("observations/all".to_owned())], 0.0, 1);
    // The process has read the limit and recorded its decision when somebody else sets another.
    let process = shared.process();
    let policy = policy();
    let mut review = std::pin::pin!(process.review(&policy, now()));
    let decided = |shared: &Shared| shared.timeouts.borrow().states.get(&key("trip")).is_some_and(|state| state.under_way.is_some());
    while !decided(&shared) {
        assert!(review.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    shared.timeouts.borrow_mut().settings.insert(parameter(), Limit::of(60.0));
    while review.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {}
    let memory = shared.timeouts.borrow();
    assert_eq!((memory.settings[&parameter()], memory.settings[&queue()]), (Limit::of(60.0), Limit::of(180.0)));
    let ledger = &shared.signals.borrow().ledger;
    assert!(ledger.values().any(|event| matches!(&event.body, Body::TimeoutAnswered(receipt) if receipt.undo.is_empty())));
}
