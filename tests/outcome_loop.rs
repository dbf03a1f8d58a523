//! Actions graded by the real function while messages come twice and out of order, calls fail, processes die between any two
//! steps, and a person stops all actions midway.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use flywheel_engine::findings::History;
use flywheel_model::{ActionVerdict, Body, Count, Event, Finding, Hour, Id, Key, LedgerEntry, Metric, Scope};
use flywheel_policy::{Mode, Policy};
use flywheel_testkit::{LedgerMemory, LedgerProcess, OutcomeMemory, OutcomeProcess, Processes, SignalMemory, SignalProcess};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;
use verify_outcomes::{Asked, World, read};

const POLICY: &str = r#"mode = "act"
[[unseen_source]]
knowledge_base = "KB12345678"
data_source = "DS12345678"
[outcomes]
unchanged_at_most = 1
"#;

/// The first hour of what is looked at; the weeks before are the baseline.
const START: i64 = 28 * 24;
/// The hour of the actions.
const ACTED: i64 = 80;
/// Actions whose effect is not clear by then are given up.
const GIVEN_UP: i64 = ACTED + 169;

fn hour(hour: i64) -> Timestamp {
    Hour(START + hour).start()
}

fn key(name: &str) -> Key {
    name.try_into().unwrap()
}

/// What an action does to its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Helps,
    DoesNothing,
    Harms,
    /// Nothing is counted any more.
    Silences,
}

impl Deed {
    /// What there is to be told of it.
    fn verdict(self) -> ActionVerdict {
        match self {
            Self::Helps => ActionVerdict::Improved,
            Self::DoesNothing => ActionVerdict::Unchanged,
            Self::Harms => ActionVerdict::Worse,
            Self::Silences => ActionVerdict::Inconclusive,
        }
    }

    fn history(self) -> History {
        let mut history = History::default();
        for at in 0..START + GIVEN_UP {
            let percent = match (at < START, at <= START + ACTED, self) {
                (true, ..) => 50,
                (_, true, _) | (.., Self::DoesNothing | Self::Silences) => 40,
                (.., Self::Helps) => 55,
                (.., Self::Harms) => 25,
            };
            let trials = if self == Self::Silences && at > START + ACTED { 0 } else { 400 };
            history.learn(Hour(at), &Count { trials, events: trials * percent / 100, ..Count::default() });
        }
        history
    }
}

/// An experiment whose winner is given to everybody: the decision and the change of the flags.
fn promotion(number: usize, deed: Deed) -> (Event, Event) {
    let experiment = key(&format!("exp-{number}"));
    let decision = Event::promotion(&experiment);
    let told = |id: &Id, kind: &str, detail: serde_json::Value| {
        let event = json!({ "id": id, "subject": format!("experiment/{experiment}"), "at": hour(ACTED), "kind": kind, "detail": detail });
        serde_json::from_value(event).unwrap()
    };
    let variant = json!({ "name": "short", "object": "short.md", "sha256": "0", "hypothesis": "it helps" });
    let decided = json!({
        "experiment": experiment, "intent": intent(number, deed), "explanation": "it won",
        "action": { "promote": { "variant": variant, "strategy": "gradual" } }
    });
    let receipt = json!({ "experiment": experiment, "decision": decision, "version": 2, "deployment": 1, "undo": 1 });
    let changed = Id::of("receipt.experiment", &[decision.as_str()]);
    (told(&decision, "decision.experiment", decided), told(&changed, "receipt.experiment", receipt))
}

fn intent(number: usize, deed: Deed) -> String {
    format!("{number} {deed:?}")
}

type Site = World<LedgerProcess, OutcomeProcess, OutcomeProcess, SignalProcess>;

struct Shared {
    ledger: Rc<RefCell<LedgerMemory>>,
    outcomes: Rc<RefCell<OutcomeMemory>>,
    bus: Rc<RefCell<SignalMemory>>,
}

impl Shared {
    fn new(deeds: &[Deed], seed: u64) -> Self {
        let (mut ledger, mut outcomes) = (LedgerMemory::new(seed), OutcomeMemory::new(seed));
        let histories: &mut BTreeMap<Key, History> = outcomes.histories.entry(Metric::Resolution).or_default();
        for (number, deed) in deeds.iter().enumerate() {
            let (decided, _) = promotion(number, *deed);
            ledger.entries.insert(decided.id.clone(), LedgerEntry::behind(None, decided).unwrap());
            histories.insert(key(&intent(number, *deed)), deed.history());
        }
        let shared = |memory| Rc::new(RefCell::new(memory));
        Self { ledger: shared(ledger), outcomes: Rc::new(RefCell::new(outcomes)), bus: Rc::new(RefCell::new(SignalMemory::new(seed))) }
    }

    fn process(&self) -> Site {
        World {
            ledger: LedgerProcess(self.ledger.clone()),
            histories: OutcomeProcess(self.outcomes.clone()),
            store: OutcomeProcess(self.outcomes.clone()),
            bus: SignalProcess(self.bus.clone()),
        }
    }

    fn unavailable(&self, share: f64) {
        self.ledger.borrow_mut().unavailable = share;
        self.outcomes.borrow_mut().unavailable = share;
        self.bus.borrow_mut().unavailable = share;
    }

    /// Works through messages as of an hour, several at a time, some of them twice.
    fn work(&self, messages: &[Asked], policy: &Policy, now: Timestamp, crash: f64, seed: u64) {
        let calm = || self.unavailable(0.0);
        Processes::new(messages, 3, crash, seed).work(5_000, calm, |message, _| {
            let (process, policy) = (self.process(), policy.clone());
            Box::pin(async move {
                match message {
                    Asked::Expect(event) => process.expect(&event, &policy).await.is_ok(),
                    Asked::Review => process.review(&policy, now).await.is_ok(),
                }
            })
        });
    }

    fn told<T>(&self, says: impl Fn(&Body) -> Option<T>) -> Vec<T> {
        self.bus.borrow().ledger.values().filter_map(|event| says(&event.body)).collect()
    }
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![Just(Deed::Helps), Just(Deed::DoesNothing), Just(Deed::Harms), Just(Deed::Silences)];
    // Two at most: with three untouched rates each would be compared with the others, and these move with what was done to them.
    prop::collection::vec(deed, 1..3)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn every_action_is_graded_once_and_what_follows_is_decided_once(
        deeds in deeds(),
        crash in prop_oneof![Just(0.0), 0.0..0.2],
        unavailable in prop_oneof![Just(0.0), 0.0..0.3],
        stopped_from in prop_oneof![Just(i64::MAX), ACTED..GIVEN_UP],
        seed in any::<u64>(),
    ) {
        let shared = Shared::new(&deeds, seed);
        let acts = Policy::parse(POLICY).unwrap();
        let messages: Vec<Asked> =
            deeds.iter().enumerate().map(|(number, deed)| Asked::Expect(Box::new(promotion(number, *deed).1))).collect();
        let reviews = (ACTED..=GIVEN_UP).step_by(8).chain([GIVEN_UP + 1, GIVEN_UP + 2]);
        for at in reviews {
            shared.unavailable(unavailable);
            let policy = if at < stopped_from { acts.clone() } else { Policy { mode: Mode::DryRun, ..acts.clone() } };
            // What was told at first is delivered again every now and then.
            let again = at == ACTED || (at - ACTED) % 40 == 0;
            let mut asked = vec![Asked::Review];
            asked.extend(messages.iter().filter(|_| again).cloned());
            shared.work(&asked, &policy, hour(at), crash, seed ^ at.unsigned_abs());
        }
        prop_assert!(shared.outcomes.borrow().pending.is_empty(), "everything is graded in the end");
        let outcomes = shared.told(|body| if let Body::ActionGraded(outcome) = body { Some(outcome.clone()) } else { None });
        prop_assert_eq!(outcomes.len(), deeds.len());
        for (number, deed) in deeds.iter().enumerate() {
            let scope = Scope::Key(key(&intent(number, *deed)));
            let outcome = outcomes.iter().find(|outcome| outcome.scope == scope).unwrap();
            prop_assert_eq!(outcome.verdict, deed.verdict(), "{}", &outcome.explanation);
            let kept = shared.outcomes.borrow().graded.values().find(|graded| graded.awaited.scope == scope).cloned().unwrap();
            prop_assert_eq!(&kept.outcome, &**outcome, "what is told is what is kept");
        }
        let harmful = deeds.iter().filter(|deed| **deed == Deed::Harms).count();
        let useless = deeds.iter().filter(|deed| **deed == Deed::DoesNothing).count();
        let undone = shared.told(|body| if let Body::UndoDecided(undo) = body { Some(undo.dry_run) } else { None });
        prop_assert_eq!(undone.len(), harmful);
        prop_assert!(stopped_from < i64::MAX || undone.iter().all(|dry_run| !dry_run));
        prop_assert_eq!(shared.told(|body| if let Body::Escalated(escalation) = body { Some(escalation.clone()) } else { None }).len(), useless);
    }
}

#[test]
fn an_action_whose_decision_is_not_in_the_ledger_yet_comes_again() {
    let shared = Shared::new(&[], 1);
    let (decided, changed) = promotion(0, Deed::Helps);
    let expect = |shared: &Shared| {
        let (process, policy) = (shared.process(), Policy::parse(POLICY).unwrap());
        let mut future = Box::pin(async { process.expect(&changed, &policy).await });
        loop {
            if let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                break answer;
            }
        }
    };
    assert!(expect(&shared).unwrap_err().why.contains("not in the ledger yet"));
    shared.ledger.borrow_mut().entries.insert(decided.id.clone(), LedgerEntry::behind(None, decided).unwrap());
    assert_eq!(expect(&shared).unwrap(), 1);
}

#[test]
fn messages_are_understood_or_told() {
    assert_eq!(read(r#"{"trigger":"review"}"#), Ok(Asked::Review));
    let (_, changed) = promotion(0, Deed::Helps);
    let envelope = json!({ "detail-type": "receipt.experiment", "source": "flywheel", "detail": changed }).to_string();
    assert_eq!(read(&envelope), Ok(Asked::Expect(Box::new(changed))));
    assert!(read("{}").unwrap_err().contains("detail is missing"));
    // The id of a finding's opening is what refreshes are looked up by.
    assert_ne!(Finding::opening(&Id::of("finding", &["1"])), Finding::opening(&Id::of("finding", &["2"])));
}
