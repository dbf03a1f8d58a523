//! Experiments planned, run and ended by the real functions in memory: what comes of better, equal and harmful variants, and
//! what holds while messages come twice, calls fail, processes die and people step in.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use flywheel_engine::experiments::{Queued, RolloutState, approve, asked_to_stop, flag, promote};
use flywheel_engine::findings::History;
use flywheel_model::{
    ApprovalAction, ApprovalAnswer, ApprovalRequest, Body, Conclusion, Count, Event, ExperimentAction, ExperimentHoldReason,
    ExperimentState, ExperimentVerdict, Fact, Hour, Id, Key, Observation, Signal, Word,
};
use flywheel_policy::{Mode, Policy};
use flywheel_ports::{Proposer, Unavailable};
use flywheel_testkit::{
    ApprovalMemory, ApprovalProcess, ExperimentMemory, ExperimentProcess, Processes, SignalMemory, SignalProcess, SuiteMemory,
    SuiteProcess, evaluate,
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

const POLICY: &str = r#"mode = "act"
[[unseen_source]]
knowledge_base = "KB12345678"
data_source = "DS12345678"
[experiments]
application = "app"
environment = "env"
profile = "flags"
promotion_strategy = "gradual"
model = "m-1"
slow_seconds = 60
[[experiments.intent]]
intent = "billing"
flag = "billing-prompt"
control = "baseline"
uses = ["gateway"]
risk = "low"
[[experiments.intent]]
intent = "returns"
flag = "returns-prompt"
control = "baseline"
uses = ["gateway", "shop"]
[[experiments.intent]]
intent = "shipping"
flag = "shipping-prompt"
control = "baseline"
uses = ["carrier"]
risk = "low"
"#;

fn key(name: &str) -> Key {
    name.try_into().unwrap()
}

/// A model that always proposes the same.
struct Model;

impl Proposer for Model {
    async fn propose(&self, _: &str, _: &str, _: &str) -> Result<String, Unavailable> {
        Ok(json!({ "hypothesis": "warmer", "prompt": "Dear {{customer}}, help warmly." }).to_string())
    }
}

type Planning =
    queue_experiments::World<ExperimentProcess, ExperimentProcess, ExperimentProcess, SignalProcess, SuiteProcess, Model, SignalProcess>;
type Running = run_experiments::World<
    ExperimentProcess,
    SignalProcess,
    ExperimentProcess,
    ExperimentProcess,
    ApprovalProcess,
    ApprovalProcess,
    SignalProcess,
>;

/// An application with its users, and Flywheel beside it.
struct City {
    memory: Rc<RefCell<ExperimentMemory>>,
    signals: Rc<RefCell<SignalMemory>>,
    suites: Rc<RefCell<SuiteMemory>>,
    approvals: Rc<RefCell<ApprovalMemory>>,
    policy: Policy,
    now: Timestamp,
    chance: fastrand::Rng,
    objects: usize,
}

/// What a variant does to conversations.
#[derive(Clone, Copy)]
struct Effect {
    resolved: f64,
    seconds: f64,
    /// Conversations of it whose outcome is never told.
    lost: f64,
}

const fn resolves(resolved: f64) -> Effect {
    Effect { resolved, seconds: 10.0, lost: 0.0 }
}

impl City {
    fn new(policy: &str) -> Self {
        let now: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
        let mut memory = ExperimentMemory::new(1);
        memory.slow.insert("gradual".to_owned());
        for intent in ["billing", "returns", "shipping"] {
            memory.histories.insert(key(intent), history(now, 100, 60));
            for (name, text) in [("baseline", "Help {{customer}}."), ("short", "Help {{customer}} briefly.")] {
                memory.files.insert(format!("prompts/{intent}/{name}.md"), file(text));
            }
        }
        Self {
            memory: Rc::new(RefCell::new(memory)),
            signals: Rc::new(RefCell::new(SignalMemory::new(2))),
            suites: Rc::new(RefCell::new(SuiteMemory::new(3, 0.0))),
            approvals: Rc::new(RefCell::new(ApprovalMemory::new(5))),
            policy: Policy::parse(policy).unwrap(),
            now,
            chance: fastrand::Rng::with_seed(4),
            objects: 0,
        }
    }

    fn planning(&self) -> Planning {
        queue_experiments::World {
            store: ExperimentProcess(self.memory.clone()),
            library: ExperimentProcess(self.memory.clone()),
            flags: ExperimentProcess(self.memory.clone()),
            observations: SignalProcess(self.signals.clone()),
            index: SuiteProcess(self.suites.clone()),
            proposer: Model,
            bus: SignalProcess(self.signals.clone()),
        }
    }

    fn running(&self) -> Running {
        run_experiments::World {
            store: ExperimentProcess(self.memory.clone()),
            observations: SignalProcess(self.signals.clone()),
            library: ExperimentProcess(self.memory.clone()),
            flags: ExperimentProcess(self.memory.clone()),
            approvals: ApprovalProcess(self.approvals.clone()),
            tasks: ApprovalProcess(self.approvals.clone()),
            bus: SignalProcess(self.signals.clone()),
        }
    }

    fn add(&self, intent: &str, name: &str) {
        self.memory.borrow_mut().files.insert(format!("prompts/{intent}/{name}.md"), file(&format!("Help {{{{customer}}}}, {name}.")));
    }

    /// Asks for an experiment; gives its name.
    fn queue(&self, intent: &str) -> Key {
        match self.try_queue(intent) {
            Queued::Waits(event, _) => decided(&event).0,
            Queued::Held(event) => panic!("{:?}", event.body),
        }
    }

    fn try_queue(&self, intent: &str) -> Queued {
        let intent = key(intent);
        let finding = Id::of("finding", &[intent.as_str()]);
        let request = queue_experiments::Request { intent: &intent, finding: Some(&finding), since: None, by: None, variants: &[] };
        wait(self.planning().ask(&request, &self.policy, self.now)).unwrap()
    }

    fn review(&self) {
        wait(self.running().review(&self.policy, self.now)).unwrap();
    }

    /// The value of a flag as it is served.
    fn flag(&self, name: &str) -> Option<Value> {
        flag::value(&self.memory.borrow().served(), name).unwrap()
    }

    /// An hour in which so many users come, and a review at its end.
    fn hour(&mut self, intent: &str, users: u64, effects: &BTreeMap<&str, Effect>) {
        self.now += SignedDuration::from_mins(50);
        let observations: Vec<Observation> = (0..users).filter_map(|_| self.visit(intent, effects)).collect();
        self.count(&observations);
        self.now += SignedDuration::from_mins(10);
        self.review();
    }

    /// A new user has a conversation. Nothing if its outcome is not told.
    fn visit(&mut self, intent: &str, effects: &BTreeMap<&str, Effect>) -> Option<Observation> {
        let user = format!("user-{}", self.chance.u64(..));
        let served = self.flag(&format!("{intent}-prompt")).map(|value| evaluate(&value, "userId", &user)).unwrap_or_default();
        let variant = served.get("variant").map_or("baseline", |variant| variant.as_str().unwrap());
        let effect = effects.get(variant).copied().unwrap_or(resolves(0.6));
        let mut conversation =
            json!({ "user": user, "intent": intent, "resolved": self.chance.f64() < effect.resolved, "seconds": effect.seconds });
        if let Some(experiment) = served.get("experiment") {
            conversation["variants"] = json!({ experiment.as_str().unwrap(): variant });
        }
        (self.chance.f64() >= effect.lost).then(|| observation(&user, self.now, &conversation))
    }

    /// Keeps and counts observations, as the functions before this one do.
    fn count(&mut self, observations: &[Observation]) {
        for some in observations.chunks(100) {
            let name = self.keep(some);
            wait(self.running().count(&name, &self.policy)).unwrap();
        }
    }

    fn keep(&mut self, observations: &[Observation]) -> String {
        self.objects += 1;
        let name = format!("observations/{}", self.objects);
        let mut memory = self.signals.borrow_mut();
        for kept in observations {
            memory.marks.entry(kept.signal.identity()).or_insert_with(|| name.clone());
        }
        memory.objects.insert(name.clone(), observations.to_vec());
        name
    }

    fn state(&self, experiment: &Key) -> Option<ExperimentState> {
        self.memory.borrow().book.experiment(experiment).map(|known| known.state.clone())
    }

    fn is_running(&self, experiment: &Key) -> bool {
        matches!(self.state(experiment), Some(ExperimentState::Running(_)))
    }

    /// Hours until an experiment is concluded; gives what came out.
    fn until_concluded(&mut self, experiment: &Key, intent: &str, users: u64, effects: &BTreeMap<&str, Effect>) -> Conclusion {
        for _ in 0..24 * 40 {
            self.hour(intent, users, effects);
            if let Some(conclusion) = self.conclusion(experiment) {
                return conclusion;
            }
        }
        panic!("it does not come to an end: {:?}", self.state(experiment));
    }

    fn conclusion(&self, experiment: &Key) -> Option<Conclusion> {
        let outcomes = self.events(|body| match body {
            Body::ExperimentConcluded(outcome) if outcome.experiment == *experiment => Some(outcome.conclusion.clone()),
            _ => None,
        });
        outcomes.into_iter().next_back()
    }

    /// What events of the ledger say, in the order of time.
    fn events<T>(&self, says: impl Fn(&Body) -> Option<T>) -> Vec<T> {
        let signals = self.signals.borrow();
        let mut events: Vec<&Event> = signals.ledger.values().collect();
        events.sort_by_key(|event| event.at);
        events.into_iter().filter_map(|event| says(&event.body)).collect()
    }

    fn holds(&self) -> Vec<ExperimentHoldReason> {
        self.events(|body| if let Body::ExperimentHeld(hold) = body { Some(hold.reason) } else { None })
    }

    /// The question that waits, once the tasks have asked it.
    fn waiting(&self) -> Option<ApprovalRequest> {
        let asked: Vec<_> = self.approvals.borrow_mut().queue.drain(..).collect();
        for (request, token) in asked {
            let approvals = ApprovalProcess(self.approvals.clone());
            let (notices, bus, stack) = (approvals.clone(), SignalProcess(self.signals.clone()), "flywheel".to_owned());
            let world = ask_approval::World { approvals, notices, bus, stack };
            wait(world.take(&ask_approval::Message::Asks { request, token })).unwrap();
        }
        let memory = self.approvals.borrow();
        memory.kept.values().map(|kept| &kept.approval).find(|one| one.answer.is_none()).map(|one| one.request.clone())
    }

    /// A person answers the question that waits.
    fn answer(&self, answer: &ApprovalAnswer) {
        let request = self.waiting().expect("a question waits");
        self.approvals.borrow_mut().answer(&request, answer);
    }

    fn word(&self, by: &str) -> Word {
        Word { by: by.to_owned(), why: String::new(), at: self.now }
    }

    /// A person decides something.
    fn person(&self, decide: impl Fn(&flywheel_engine::experiments::Book) -> Option<flywheel_engine::experiments::Book>) {
        let mut memory = self.memory.borrow_mut();
        let book = decide(&memory.book).expect("there is something to decide");
        memory.book = flywheel_engine::experiments::Book { revision: book.revision + 1, ..book };
    }
}

/// Two weeks in which so many conversations of each hour have an outcome, and so many are resolved.
fn history(now: Timestamp, trials: u64, events: u64) -> History {
    let mut history = History::default();
    for hour in 0..14 * 24 {
        history.learn(Hour(Hour::of(now).0 - hour), &Count { trials, events, ..Count::default() });
    }
    history
}

fn file(text: &str) -> Vec<u8> {
    format!("---\nhypothesis: it helps\n---\n{text}\n").into_bytes()
}

fn observation(id: &str, at: Timestamp, conversation: &Value) -> Observation {
    let failed = conversation["resolved"] == false;
    let signal: Signal = serde_json::from_value(json!({ "id": id, "at": at, "conversation": conversation })).unwrap();
    let failures = if failed {
        vec![flywheel_model::Failure { reason: flywheel_model::FailureReason::Outcome, detail: "it says so".to_owned() }]
    } else {
        Vec::new()
    };
    Observation { signal, class: Some(key("billing")), failures }
}

fn decided(event: &Event) -> (Key, ExperimentAction) {
    let Body::ExperimentDecided(decision) = &event.body else { panic!("{:?}", event.body) };
    (decision.experiment.clone(), decision.action.clone())
}

/// Runs a process to its end, alone.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
}

fn effects<'e>(of: &[(&'e str, Effect)]) -> BTreeMap<&'e str, Effect> {
    of.iter().copied().collect()
}

#[test]
fn a_better_variant_wins_and_becomes_what_everybody_gets() {
    let mut city = City::new(POLICY);
    let experiment = city.queue("billing");
    let conclusion = city.until_concluded(&experiment, "billing", 100, &effects(&[("short", resolves(0.75))]));
    assert_eq!((conclusion.verdict, conclusion.winner.as_deref()), (ExperimentVerdict::Winner, Some("short")));
    let [lower, estimate, _] = conclusion.comparisons[0].difference;
    assert!(lower > 0.0 && (0.05..0.3).contains(&estimate), "{conclusion:?}");
    // The winner is deployed gradually; it is what everybody gets, and no split is left.
    city.review();
    assert!(
        matches!(city.state(&experiment), Some(ExperimentState::Promoting { deployment: Some(_), .. })),
        "{:?}",
        city.state(&experiment)
    );
    assert_eq!(city.memory.borrow().deployments.last().unwrap().2, "gradual");
    city.memory.borrow_mut().end_deployment(RolloutState::Complete);
    city.review();
    let value = city.flag("billing-prompt").unwrap();
    assert_eq!((flag::served(&value), flag::experiment(&value)), (Some("short"), None));
    assert!(city.state(&experiment).is_none() && city.memory.borrow().archive[&experiment].is_over());
    // What was learned is kept: the old control may be tried against it, the winner not against itself.
    let tried = &city.memory.borrow().book.tried[&key("billing")];
    assert_eq!((tried[0].variant.as_str(), tried[0].verdict), ("short", ExperimentVerdict::Winner));
}

#[test]
fn equal_variants_end_without_a_winner_and_are_not_tried_again() {
    let mut city = City::new(POLICY);
    let experiment = city.queue("billing");
    let conclusion = city.until_concluded(&experiment, "billing", 100, &BTreeMap::new());
    assert_eq!(conclusion.verdict, ExperimentVerdict::NoDifference, "{}", conclusion.explanation);
    city.review();
    let value = city.flag("billing-prompt").unwrap();
    assert_eq!((flag::served(&value), flag::experiment(&value)), (Some("baseline"), None));
    // Nothing is left but what a model may propose, and that waits for a person.
    let since = history(city.now, 100, 60);
    city.memory.borrow_mut().histories.insert(key("billing"), since);
    let again = city.queue("billing");
    assert_eq!(city.state(&again), Some(ExperimentState::ToBeApproved));
    city.review();
    assert_eq!(city.state(&again), Some(ExperimentState::ToBeApproved));
    assert!(city.holds().contains(&ExperimentHoldReason::Approval));
    city.person(|book| approve(book, &again, "jo"));
    city.review();
    assert!(city.is_running(&again));
    assert!(city.memory.borrow().book.experiments[0].treatments[0].proposed);
}

#[test]
fn a_variant_that_does_harm_is_stopped_by_its_guardrail_long_before_the_end() {
    let mut city = City::new(POLICY);
    let experiment = city.queue("billing");
    let harm = Effect { resolved: 0.6, seconds: 90.0, lost: 0.0 };
    let began = city.now;
    let conclusion = city.until_concluded(&experiment, "billing", 100, &effects(&[("short", harm)]));
    assert_eq!(conclusion.verdict, ExperimentVerdict::Guardrail, "{}", conclusion.explanation);
    assert!(conclusion.explanation.contains("slow conversations"), "{}", conclusion.explanation);
    assert!(city.now.duration_since(began) < SignedDuration::from_hours(6), "{}", city.now);
    let value = city.flag("billing-prompt").unwrap();
    assert_eq!((flag::served(&value), flag::experiment(&value)), (Some("baseline"), None));
}

#[test]
fn one_harmful_arm_goes_and_the_others_go_on_without_its_users() {
    let mut city = City::new(POLICY);
    city.add("billing", "long");
    let experiment = city.queue("billing");
    let effects = effects(&[("short", resolves(0.72)), ("long", Effect { resolved: 0.6, seconds: 90.0, lost: 0.0 })]);
    let mut dropped = false;
    for _ in 0..24 * 20 {
        city.hour("billing", 100, &effects);
        if let Some(ExperimentState::Running(run)) = city.state(&experiment)
            && !run.dropped.is_empty()
            && !dropped
        {
            dropped = true;
            assert_eq!(run.dropped, ["long"]);
            // Its users get the control, and count for nobody.
            let value = city.flag("billing-prompt").unwrap();
            let of_users: BTreeSet<(String, bool)> = (0..2_000)
                .map(|user| {
                    let served = evaluate(&value, "userId", &format!("user-{user}"));
                    (served["variant"].as_str().unwrap().to_owned(), served.contains_key("experiment"))
                })
                .collect();
            assert!(of_users.contains(&("baseline".to_owned(), false)) && !of_users.iter().any(|(variant, _)| variant == "long"));
        }
        if city.conclusion(&experiment).is_some() {
            break;
        }
    }
    assert!(dropped);
    let conclusion = city.conclusion(&experiment).unwrap();
    assert_eq!(conclusion.winner.as_deref(), Some("short"), "{}", conclusion.explanation);
}

#[test]
fn what_would_disturb_each_other_runs_one_after_the_other_and_the_rest_at_once() {
    let mut city = City::new(POLICY);
    let (billing, returns, shipping) = (city.queue("billing"), city.queue("returns"), city.queue("shipping"));
    city.review();
    let running: Vec<bool> = [&billing, &returns, &shipping].map(|name| city.is_running(name)).to_vec();
    assert_eq!(running.iter().filter(|is| **is).count(), 2, "{running:?}");
    assert!(running[2] && running[0] != running[1]);
    assert!(city.holds().contains(&ExperimentHoldReason::Conflict));
    let (first, second) = if running[0] { (billing, returns) } else { (returns, billing) };
    city.person(|book| asked_to_stop(book, &first, "jo"));
    city.now += SignedDuration::from_mins(5);
    city.review();
    assert!(!city.is_running(&first) && city.is_running(&second));
}

#[test]
fn the_one_that_promises_most_for_its_traffic_goes_first() {
    let mut city = City::new(POLICY);
    let billing = city.queue("billing");
    city.memory.borrow_mut().histories.insert(key("returns"), history(city.now, 1_000, 600));
    city.now += SignedDuration::from_mins(1);
    let returns = city.queue("returns");
    city.review();
    assert!(city.is_running(&returns) && !city.is_running(&billing));
}

#[test]
fn an_experiment_that_cannot_decide_in_time_is_refused_with_the_days() {
    let city = City::new(POLICY);
    for history in [history(city.now, 1, 1), History::default()] {
        city.memory.borrow_mut().histories.insert(key("billing"), history);
        let Queued::Held(event) = city.try_queue("billing") else { panic!("queued") };
        let Body::ExperimentHeld(hold) = event.body else { panic!("another event") };
        assert_eq!(hold.reason, ExperimentHoldReason::TooSlow, "{}", hold.explanation);
    }
    let Queued::Held(event) = city.try_queue("greeting") else { panic!("queued") };
    assert!(matches!(event.body, Body::ExperimentHeld(hold) if hold.reason == ExperimentHoldReason::NoFlag));
}

#[test]
fn a_user_stays_in_one_arm_through_the_ramp_and_shares_hold_within_chance() {
    let mut city = City::new(POLICY);
    city.add("billing", "long");
    let experiment = city.queue("billing");
    city.review();
    let users: Vec<String> = (0..20_000).map(|user| format!("user-{user}")).collect();
    let mut arms: BTreeMap<&str, String> = BTreeMap::new();
    let mut shares = Vec::new();
    for _ in 0..6 {
        let value = city.flag("billing-prompt").unwrap();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for user in &users {
            let served = evaluate(&value, "userId", user);
            if served.contains_key("experiment") {
                let arm = served["variant"].as_str().unwrap().to_owned();
                *seen.entry(arm.clone()).or_default() += 1;
                assert_eq!(*arms.entry(user).or_insert_with(|| arm.clone()), arm, "{user} was moved");
            } else {
                assert!(!arms.contains_key(user.as_str()), "{user} was taken out");
                assert_eq!(served["variant"], "baseline");
            }
        }
        let all: usize = seen.values().sum();
        shares.push(all as f64 / users.len() as f64);
        if all > 500 {
            for (arm, count) in &seen {
                let (share, sigma) = (*count as f64 / all as f64, (2.0_f64 / 9.0 / all as f64).sqrt());
                assert!((share - 1.0 / 3.0).abs() < 4.5 * sigma, "{arm}: {share} of {all}");
            }
        }
        city.now += SignedDuration::from_mins(61);
        city.review();
    }
    for (seen, planned) in shares.iter().zip([0.01, 0.05, 1.0]) {
        assert!((seen - planned).abs() < 4.5 * (planned * (1.0_f64 - planned) / 20_000.0).sqrt() + 1e-9, "{shares:?}");
    }
    assert!(city.is_running(&experiment));
}

#[test]
fn a_person_wins_over_a_start_that_is_under_way() {
    // The process that starts it has read flags and book, and is slow.
    for steps in 0..60 {
        let city = City::new(POLICY);
        let experiment = city.queue("billing");
        let process = city.running();
        let mut slow = Box::pin(process.review(&city.policy, city.now));
        let mut ended = false;
        for _ in 0..steps {
            ended = ended || slow.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        }
        let is_there = city.memory.borrow().book.experiment(&experiment).is_some();
        assert!(is_there);
        city.person(|book| asked_to_stop(book, &experiment, "jo"));
        city.review();
        if !ended {
            wait(slow).unwrap();
        }
        city.review();
        city.review();
        let value = city.flag("billing-prompt");
        assert!(value.as_ref().is_none_or(|value| flag::experiment(value).is_none()), "after {steps} steps: {value:?}");
        assert_eq!(city.conclusion(&experiment).unwrap().verdict, ExperimentVerdict::Stopped);
    }
}

#[test]
fn a_flag_that_a_person_changed_ends_the_experiment_and_stays_as_they_left_it() {
    let mut city = City::new(POLICY);
    let experiment = city.queue("billing");
    city.review();
    let document = city.memory.borrow().served();
    let edited = document.replace("pct::1 ", "pct::50 ");
    assert_ne!(edited, document);
    city.memory.borrow_mut().edit(edited.clone());
    city.now += SignedDuration::from_mins(5);
    city.review();
    city.review();
    assert_eq!(city.conclusion(&experiment).unwrap().verdict, ExperimentVerdict::Broken);
    assert_eq!(city.memory.borrow().served(), edited);
}

#[test]
fn other_flags_and_attributes_of_the_team_stay_as_they_are() {
    let city = City::new(POLICY);
    let theirs = json!({
        "version": "1",
        "flags": { "dark-mode": { "name": "Dark mode" }, "billing-prompt": { "name": "Billing", "attributes": { "tone": {} } } },
        "values": { "dark-mode": { "enabled": true }, "billing-prompt": { "enabled": true, "tone": "warm", "_updatedAt": "2026-11-01" } }
    });
    city.memory.borrow_mut().edit(theirs.to_string());
    let experiment = city.queue("billing");
    city.review();
    assert!(city.is_running(&experiment));
    let served: Value = serde_json::from_str(&city.memory.borrow().served()).unwrap();
    assert_eq!(served["values"]["dark-mode"], theirs["values"]["dark-mode"]);
    assert_eq!(served["flags"]["billing-prompt"]["name"], "Billing");
    for user in 0..200 {
        assert_eq!(evaluate(&served["values"]["billing-prompt"], "userId", &format!("user-{user}"))["tone"], "warm");
    }
}

#[test]
fn a_variant_that_is_deleted_or_changed_while_it_runs_ends_the_experiment() {
    for changed in [None, Some(file("Help {{customer}}, and change in between."))] {
        let mut city = City::new(POLICY);
        let experiment = city.queue("billing");
        city.review();
        let object = "prompts/billing/short.md".to_owned();
        match changed {
            None => drop(city.memory.borrow_mut().files.remove(&object)),
            Some(text) => drop(city.memory.borrow_mut().files.insert(object, text)),
        }
        city.now += SignedDuration::from_mins(5);
        city.review();
        assert_eq!(city.conclusion(&experiment).unwrap().verdict, ExperimentVerdict::Broken);
        assert_eq!(flag::experiment(&city.flag("billing-prompt").unwrap()), None);
    }
}

#[test]
fn outcomes_that_go_missing_in_one_arm_are_told_as_a_broken_experiment() {
    let mut city = City::new(POLICY);
    let experiment = city.queue("billing");
    let lossy = Effect { resolved: 0.75, seconds: 10.0, lost: 0.4 };
    let conclusion = city.until_concluded(&experiment, "billing", 200, &effects(&[("short", lossy)]));
    assert_eq!(conclusion.verdict, ExperimentVerdict::Broken, "{}", conclusion.explanation);
    assert!(conclusion.explanation.contains("The arms should be alike and are not"), "{}", conclusion.explanation);
}

#[test]
fn a_unit_counts_once_and_what_does_not_belong_is_told() {
    let mut city = City::new(POLICY);
    let experiment = city.queue("billing");
    city.review();
    let since = city.now;
    city.now += SignedDuration::from_mins(5);
    let name = experiment.as_str();
    let of = |id: &str, user: &str, arm: &str, at: Timestamp| {
        observation(id, at, &json!({ "user": user, "resolved": true, "variants": { name: arm } }))
    };
    let observations = [
        of("a", "ann", "short", city.now),
        // Again by the same user, in the same arm and in another one.
        of("b", "ann", "short", city.now),
        of("c", "ann", "baseline", city.now),
        of("d", "ann", "baseline", city.now),
        of("e", "ben", "baseline", city.now),
        // An arm that there is not, and a time before it began.
        of("f", "cem", "shrot", city.now),
        of("g", "dia", "short", since - SignedDuration::from_hours(1)),
        // Nobody knows how it ended.
        observation("h", city.now, &json!({ "user": "eva", "variants": { name: "short" } })),
        // Another experiment's.
        observation("i", city.now, &json!({ "user": "fin", "resolved": true, "variants": { "exp-other": "short" } })),
    ];
    let object = city.keep(&observations);
    for _ in 0..3 {
        wait(city.running().count(&object, &city.policy)).unwrap();
    }
    // Days late, and kept in other company before.
    let late = [of("a", "ann", "short", city.now), of("z", "gil", "baseline", city.now)];
    city.now += SignedDuration::from_hours(70);
    city.count(&late);
    let outcomes = city.memory.borrow().outcomes[&experiment].outcomes.clone();
    let units = |arm: &str| outcomes.arms().get(arm).map_or(0, |count| count.units);
    assert_eq!((units("short"), units("baseline")), (1, 2), "{outcomes:?}");
    assert_eq!((outcomes.crossed, outcomes.unknown, outcomes.early), (1, 1, 1));
}

#[test]
fn a_winner_that_sets_off_an_alarm_is_rolled_back() {
    let mut city = City::new(POLICY);
    let experiment = city.queue("billing");
    city.until_concluded(&experiment, "billing", 200, &effects(&[("short", resolves(0.8))]));
    city.review();
    city.memory.borrow_mut().end_deployment(RolloutState::RolledBack);
    city.now += SignedDuration::from_mins(5);
    city.review();
    assert_eq!(city.conclusion(&experiment).unwrap().verdict, ExperimentVerdict::RolledBack);
    let value = city.flag("billing-prompt").unwrap();
    assert_eq!((flag::served(&value), flag::experiment(&value)), (Some("baseline"), None));
    assert!(city.state(&experiment).is_none());
}

#[test]
fn a_promotion_that_made_it_worse_is_taken_back_once_while_it_is_deployed_and_afterwards() {
    for complete in [false, true] {
        let mut city = City::new(POLICY);
        let experiment = city.queue("billing");
        city.until_concluded(&experiment, "billing", 200, &effects(&[("short", resolves(0.8))]));
        city.review();
        if complete {
            city.memory.borrow_mut().end_deployment(RolloutState::Complete);
            city.review();
            assert!(city.state(&experiment).is_none());
        }
        city.now += SignedDuration::from_hours(24);
        for _ in 0..2 {
            wait(city.running().withdraw(&experiment, "resolution fell", &city.policy, city.now)).unwrap();
            city.review();
            let under_way = city.memory.borrow().deployments.last().unwrap().1;
            assert_ne!(under_way, RolloutState::UnderWay, "nobody waits for a deployment that is not wanted");
        }
        let value = city.flag("billing-prompt").unwrap();
        assert_eq!((flag::served(&value), flag::experiment(&value)), (Some("baseline"), None));
        let ExperimentState::Over { conclusion, .. } = &city.memory.borrow().archive[&experiment].state else { panic!("it is over") };
        assert_eq!(conclusion.verdict, ExperimentVerdict::RolledBack);
        let cleaned = city.events(|body| match body {
            Body::ExperimentDecided(decision) if decision.explanation.contains("(rolled back)") => Some(decision.explanation.clone()),
            _ => None,
        });
        // A deployment that is under way is stopped, which needs no change of the flag.
        assert_eq!(cleaned.len(), usize::from(complete), "{cleaned:?}");
    }
}

#[test]
fn what_a_person_chose_after_a_promotion_is_not_taken_back() {
    let mut city = City::new(POLICY);
    let experiment = city.queue("billing");
    city.until_concluded(&experiment, "billing", 200, &effects(&[("short", resolves(0.8))]));
    city.review();
    city.memory.borrow_mut().end_deployment(RolloutState::Complete);
    city.review();
    let theirs = city.memory.borrow().served().replace("short", "theirs");
    city.memory.borrow_mut().edit(theirs.clone());
    wait(city.running().withdraw(&experiment, "resolution fell", &city.policy, city.now)).unwrap();
    city.review();
    assert_eq!(city.memory.borrow().served(), theirs);
}

#[test]
fn after_a_promotion_that_made_it_worse_a_finding_queues_nothing_for_a_while() {
    let city = City::new(POLICY);
    let finding: flywheel_model::Finding = serde_json::from_value(json!({
        "finding": "8bf18252cb6dadd5f42fca108271e688", "metric": "resolution", "scope": { "key": "billing" },
        "opened_at": city.now, "evidence": { "alarm": { "name": "resolution-low" } }
    }))
    .unwrap();
    let subject = finding.scope.subject(finding.metric);
    let opening = flywheel_model::Finding::opening(&finding.finding);
    let event = Event { id: opening, subject: subject.clone(), causes: Vec::new(), at: city.now, body: Body::FindingOpened(finding) };
    city.memory.borrow_mut().cooling.insert(subject, city.now + SignedDuration::from_hours(1));
    assert!(!wait(city.planning().hear(&event, &city.policy, city.now)).unwrap());
    assert_eq!(city.holds(), [ExperimentHoldReason::Cooling]);
    assert!(wait(city.planning().hear(&event, &city.policy, city.now + SignedDuration::from_hours(1))).unwrap());
}

#[test]
fn a_winner_waits_for_a_person_where_the_risk_is_high_or_no_alarm_watches() {
    for (intent, guarded) in [("returns", true), ("billing", false)] {
        let mut city = City::new(POLICY);
        city.memory.borrow_mut().guarded = guarded;
        let experiment = city.queue(intent);
        city.until_concluded(&experiment, intent, 200, &effects(&[("short", resolves(0.8))]));
        city.review();
        assert!(matches!(city.state(&experiment), Some(ExperimentState::Concluded { cleaned: true, .. })), "{:?}", city.state(&experiment));
        assert_eq!(city.holds().last(), Some(&ExperimentHoldReason::Promotion));
        assert_eq!(flag::served(&city.flag(&format!("{intent}-prompt")).unwrap()), Some("baseline"));
        // They are told what speaks for it, and their word is a cause of the promotion.
        let request = city.waiting().unwrap();
        assert_eq!((request.action, request.evidence.len()), (ApprovalAction::Promotion, 2));
        assert!(request.evidence.iter().all(|id| city.signals.borrow().ledger.contains_key(id)));
        assert!(city.approvals.borrow().notices[0].1.contains(&request.why));
        city.answer(&ApprovalAnswer::Granted(city.word("jo")));
        city.review();
        let granted = city.approvals.borrow().kept[&request.approval].approval.answered().unwrap();
        let signals = city.signals.borrow();
        assert!(signals.ledger.values().any(|event| event.causes.contains(&granted.id)
            && matches!(&event.body, Body::ExperimentDecided(decision) if matches!(decision.action, ExperimentAction::Promote { .. }))));
        assert!(signals.ledger.contains_key(&granted.id));
        drop(signals);
        city.memory.borrow_mut().end_deployment(RolloutState::Complete);
        city.review();
        assert_eq!(flag::served(&city.flag(&format!("{intent}-prompt")).unwrap()), Some("short"));
    }
}

/// A winner of high risk that waits.
fn with_a_winner(policy: &str) -> (City, Key) {
    let mut city = City::new(policy);
    let experiment = city.queue("returns");
    city.until_concluded(&experiment, "returns", 200, &effects(&[("short", resolves(0.8))]));
    city.review();
    (city, experiment)
}

fn served(city: &City) -> Option<String> {
    city.flag("returns-prompt").as_ref().and_then(flag::served).map(str::to_owned)
}

#[test]
fn a_rejected_winner_stays_where_it_is_for_a_week_unless_a_person_promotes_it() {
    let (mut city, experiment) = with_a_winner(POLICY);
    city.answer(&ApprovalAnswer::Rejected(city.word("ada")));
    for _ in 0..7 * 24 - 1 {
        city.now += SignedDuration::from_hours(1);
        city.review();
    }
    assert_eq!((served(&city).as_deref(), city.waiting()), (Some("baseline"), None));
    assert_eq!(city.holds().last(), Some(&ExperimentHoldReason::Declined));
    assert_eq!(city.events(|body| matches!(body, Body::ApprovalRejected(_)).then_some(())).len(), 1);
    // It is the person who promotes that is asked, and that answers: the ledger has both.
    let (book, now) = (city.memory.borrow().book.clone(), city.now);
    let (book, request) = promote(&city.policy, &book, &experiment, "ben", now).unwrap();
    city.person(|_| Some(book.clone()));
    city.approvals.borrow_mut().answer(&request, &ApprovalAnswer::Granted(city.word("ben")));
    city.review();
    city.memory.borrow_mut().end_deployment(RolloutState::Complete);
    city.review();
    assert_eq!(served(&city).as_deref(), Some("short"));
    assert_eq!(city.events(|body| if let Body::ApprovalGranted(decided) = body { Some(decided.word.by.clone()) } else { None }), ["ben"]);
}

#[test]
fn a_winner_that_nobody_answers_about_stays_where_it_is_and_is_asked_about_again() {
    let (mut city, _) = with_a_winner(POLICY);
    let first = city.waiting().unwrap();
    for _ in 0..47 {
        city.now += SignedDuration::from_hours(1);
        city.review();
    }
    assert_eq!((served(&city).as_deref(), city.waiting()), (Some("baseline"), None));
    assert_eq!(city.events(|body| matches!(body, Body::ApprovalExpired(_)).then_some(())).len(), 1);
    city.now += SignedDuration::from_hours(2);
    city.review();
    assert_ne!(city.waiting().unwrap().approval, first.approval);
}

#[test]
fn the_person_who_promotes_answers_the_question_that_waits() {
    let (city, experiment) = with_a_winner(POLICY);
    let book = city.memory.borrow().book.clone();
    let (next, request) = promote(&city.policy, &book, &experiment, "jo", city.now).unwrap();
    assert_eq!((next, Some(request)), (book, city.waiting()));
}

#[test]
fn a_dry_run_asks_nobody_about_a_winner() {
    let (mut city, _) = with_a_winner(POLICY);
    // As if the policy had become a dry run just before.
    for known in &mut city.memory.borrow_mut().book.experiments {
        (known.asked, known.held) = (None, None);
    }
    *city.approvals.borrow_mut() = ApprovalMemory::new(6);
    city.policy.mode = Mode::DryRun;
    city.review();
    assert!(city.approvals.borrow().begun.is_empty());
    assert_eq!((served(&city).as_deref(), city.holds().last()), (Some("baseline"), Some(&ExperimentHoldReason::Promotion)));
    city.policy.mode = Mode::Act;
    city.review();
    assert!(city.waiting().is_some());
}

#[test]
fn a_winner_that_changes_the_model_waits_although_its_intent_is_of_low_risk() {
    let mut city = City::new(POLICY);
    let other = "---\nhypothesis: it helps\nmodel: m-2\n---\nHelp {{customer}} briefly.\n".as_bytes().to_vec();
    city.memory.borrow_mut().files.insert("prompts/billing/short.md".to_owned(), other);
    let experiment = city.queue("billing");
    city.until_concluded(&experiment, "billing", 200, &effects(&[("short", resolves(0.8))]));
    city.review();
    let request = city.waiting().unwrap();
    assert_eq!(
        (request.action, request.risk.as_str()),
        (ApprovalAction::Model, "It changes the model from the application's own model to m-2.")
    );
}

#[test]
fn a_stop_does_not_wait_for_the_promotion_of_another() {
    let mut city = City::new(POLICY);
    let (billing, shipping) = (city.queue("billing"), city.queue("shipping"));
    city.until_concluded(&billing, "billing", 200, &effects(&[("short", resolves(0.8))]));
    city.review();
    assert_eq!(city.memory.borrow().deployments.last().unwrap().1, RolloutState::UnderWay);
    city.person(|book| asked_to_stop(book, &shipping, "jo"));
    city.now += SignedDuration::from_mins(5);
    city.review();
    assert_eq!(flag::experiment(&city.flag("shipping-prompt").unwrap()), None);
    // The promotion begins anew.
    city.review();
    assert!(matches!(city.state(&billing), Some(ExperimentState::Promoting { deployment: Some(_), .. })));
    assert_eq!(city.memory.borrow().deployments.last().unwrap().2, "gradual");
}

#[test]
fn a_stop_does_not_wait_until_a_split_has_baked() {
    let mut city = City::new(POLICY);
    city.memory.borrow_mut().slow.insert("AppConfig.AllAtOnce".to_owned());
    let billing = city.queue("billing");
    city.review();
    assert_eq!(city.memory.borrow().deployments.last().unwrap().1, RolloutState::UnderWay);
    city.person(|book| asked_to_stop(book, &billing, "jo"));
    city.now += SignedDuration::from_mins(1);
    city.review();
    let value = city.flag("billing-prompt");
    assert!(value.as_ref().is_none_or(|value| flag::experiment(value).is_none()), "{value:?}");
    assert!(city.state(&billing).is_none());
}

#[test]
fn nothing_begins_widens_or_is_promoted_while_the_policy_freezes_changes() {
    let frozen = format!("{POLICY}[[experiments.freeze]]\nfrom = \"2026-11-25T00:00:00Z\"\nto = \"2026-11-26T00:00:00Z\"\n");
    let mut city = City::new(&frozen);
    let experiment = city.queue("billing");
    city.review();
    assert_eq!(city.state(&experiment), Some(ExperimentState::Queued));
    assert_eq!(city.holds(), [ExperimentHoldReason::Frozen]);
    city.now = "2026-11-26T00:00:00Z".parse().unwrap();
    city.review();
    assert!(city.is_running(&experiment));
}

#[test]
fn a_dry_run_plans_and_changes_nothing() {
    let city = City::new(&POLICY.replacen("act", "dry_run", 1));
    let experiment = city.queue("billing");
    city.review();
    assert_eq!(city.state(&experiment), Some(ExperimentState::Queued));
    assert!(city.memory.borrow().versions.is_empty());
    assert!(
        city.signals.borrow().ledger.values().any(|event| matches!(&event.body, Body::ExperimentDecided(decision) if decision.dry_run))
    );
}

#[test]
fn the_picture_of_an_outcome_has_both_rates_and_says_so_to_those_who_do_not_see_it() {
    let mut city = City::new(POLICY);
    let experiment = city.queue("billing");
    city.until_concluded(&experiment, "billing", 200, &effects(&[("short", resolves(0.8))]));
    let pictures = city.events(|body| if let Body::ExperimentConcluded(outcome) = body { Some(outcome.picture.clone()) } else { None });
    let picture = &pictures[0];
    assert!(picture.starts_with("<svg") && picture.ends_with("</svg>"));
    assert_eq!(picture.matches("<polyline").count(), 2);
    assert!(picture.contains("<title>Rates of resolution of the arms of exp-") && picture.contains("baseline (control)"));
}

#[derive(Clone)]
enum Message {
    Count(String),
    Review,
    Queue(&'static str),
}

/// Works through messages, some at a time and twice, until all are done. What is served is looked at after every step.
fn work(city: &City, messages: &[Message], crash: f64, seed: u64) -> Result<(), TestCaseError> {
    let mut processes = Processes::new(messages, 3, crash, seed);
    for step in 0.. {
        if processes.are_done() {
            return Ok(());
        }
        if step == 20_000 {
            processes.calm();
            city.memory.borrow_mut().unavailable = 0.0;
            city.signals.borrow_mut().unavailable = 0.0;
        }
        prop_assert!(step < 400_000, "it does not come to an end");
        processes.step(|message, _| {
            let (planning, process, policy, now) = (city.planning(), city.running(), city.policy.clone(), city.now);
            Box::pin(async move {
                match message {
                    Message::Count(object) => process.count(&object, &policy).await.is_ok(),
                    Message::Review => process.review(&policy, now).await.is_ok(),
                    Message::Queue(intent) => {
                        let (intent, finding) = (key(intent), Id::of("finding", &[intent]));
                        let request =
                            queue_experiments::Request { intent: &intent, finding: Some(&finding), since: None, by: None, variants: &[] };
                        planning.ask(&request, &policy, now).await.is_ok()
                    }
                }
            })
        });
        sound(city)?;
    }
    Ok(())
}

/// What holds at every moment: everybody gets the control, a variant under test or a winner; and no two splits that would
/// disturb each other are served, nor decided.
fn sound(city: &City) -> Result<(), TestCaseError> {
    let memory = city.memory.borrow();
    let served = memory.served();
    for intent in ["billing", "returns", "shipping"] {
        let Some(value) = flag::value(&served, &format!("{intent}-prompt")).unwrap() else { continue };
        for user in 0..20 {
            let served = evaluate(&value, "userId", &format!("user-{user}"));
            prop_assert!(matches!(served["variant"].as_str(), Some("baseline" | "short")), "{:?}", served);
        }
    }
    let running: Vec<_> = memory.book.running().collect();
    for (place, one) in running.iter().enumerate() {
        for other in &running[place + 1..] {
            prop_assert!(one.intent != other.intent && !one.uses.iter().any(|used| other.uses.contains(used)), "{one:?} {other:?}");
        }
    }
    prop_assert!(running.len() <= city.policy.experiments.at_once as usize);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_dies_on_the_way_users_get_the_control_or_the_planned_split_and_units_count_once(
        crash in prop_oneof![Just(0.0), 0.0..0.15],
        unavailable in prop_oneof![Just(0.0), 0.0..0.25],
        hours in 3..10_usize,
        stop in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let mut city = City::new(POLICY);
        let trouble = |city: &City, share: f64| {
            city.memory.borrow_mut().unavailable = share;
            city.signals.borrow_mut().unavailable = share;
        };
        trouble(&city, unavailable);
        work(&city, &[Message::Queue("billing"), Message::Queue("returns"), Message::Queue("shipping"), Message::Review], crash, seed)?;
        let effects = effects(&[("short", resolves(0.7))]);
        let mut distinct: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for hour in 0..hours {
            city.now += SignedDuration::from_mins(61);
            let mut messages = vec![Message::Review, Message::Review];
            let mut observations: Vec<Observation> = Vec::new();
            for intent in ["billing", "shipping", "returns"] {
                observations.extend((0..40).filter_map(|_| city.visit(intent, &effects)));
            }
            for observation in &observations {
                let Fact::Conversation(conversation) = &observation.signal.fact else { unreachable!("a conversation") };
                for (experiment, arm) in &conversation.variants {
                    let user = conversation.user.clone().unwrap().as_str().to_owned();
                    distinct.entry(experiment.clone()).or_default().entry(arm.clone()).or_default().insert(user);
                }
            }
            for some in observations.chunks(30) {
                messages.push(Message::Count(city.keep(some)));
            }
            // Counted while they run, before any review may conclude: what comes later does not count.
            trouble(&city, unavailable);
            work(&city, &messages[2..], crash, seed ^ hour as u64)?;
            trouble(&city, unavailable);
            work(&city, &messages[..2], crash, seed ^ hour as u64)?;
        }
        trouble(&city, 0.0);
        for (experiment, kept) in &city.memory.borrow().outcomes {
            let counted: BTreeMap<String, u64> = kept.outcomes.arms().into_iter().map(|(arm, count)| (arm, count.units)).collect();
            let wanted: BTreeMap<String, u64> =
                distinct[experiment.as_str()].iter().map(|(arm, users)| (arm.clone(), users.len() as u64)).collect();
            prop_assert_eq!(counted, wanted, "{}", experiment);
            prop_assert_eq!((kept.outcomes.crossed, kept.outcomes.unknown), (0, 0));
        }
        if stop {
            let all: Vec<Key> = city.memory.borrow().book.experiments.iter().map(|known| known.experiment.clone()).collect();
            for experiment in &all {
                city.person(|book| asked_to_stop(book, experiment, "jo"));
            }
            trouble(&city, unavailable);
            work(&city, &[Message::Review, Message::Review], crash, seed)?;
        }
        // In the end nothing is half done.
        trouble(&city, 0.0);
        for _ in 0..3 {
            city.now += SignedDuration::from_mins(5);
            city.memory.borrow_mut().end_deployment(RolloutState::Complete);
            city.review();
        }
        let memory = city.memory.borrow();
        for intent in ["billing", "returns", "shipping"] {
            let named = flag::value(&memory.served(), &format!("{intent}-prompt")).unwrap();
            let named = named.as_ref().and_then(flag::experiment).map(str::to_owned);
            let running: Option<String> =
                memory.book.running().find(|known| known.intent == key(intent)).map(|known| known.experiment.to_string());
            prop_assert_eq!(named, running, "{}", intent);
        }
        if stop {
            prop_assert!(memory.book.experiments.is_empty(), "{:?}", memory.book.experiments);
        }
    }
}
