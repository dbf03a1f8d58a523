//! Changes of high risk that wait for people, by the real functions in memory: what never happens without a grant while
//! messages come twice, calls fail, processes die and people answer at the same time.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Waker};

use ask_approval::Message;
use flywheel_engine::timeouts::{Day, Runs, State};
use flywheel_model::{
    Approval, ApprovalAction, ApprovalAnswer, ApprovalRequest, Body, Event, Key, Limit, RunStatus, Setting, TimeoutHoldReason, Word,
    WorkflowRun,
};
use flywheel_policy::{Mode, Policy};
use flywheel_ports::{Approvals, KeptRuns};
use flywheel_testkit::{ApprovalMemory, ApprovalProcess, Process, Processes, SignalMemory, SignalProcess, TimeoutMemory, TimeoutProcess};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

/// The runs of the one workflow want 40 s instead of 30: a third more.
const POLICY: &str = r#"mode = "act"
[[unseen_source]]
knowledge_base = "KB12345678"
data_source = "DS12345678"
[[timeout]]
workflow = "trip"
target = { parameter = "/trip" }
ceiling_seconds = 120
"#;

/// More than a tenth more waits.
const CAREFUL: &str = "[approvals]\ntimeout_raise_within = 0.1\n";

fn begin() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

fn parameter() -> Setting {
    Setting::Parameter { name: "/trip".to_owned(), field: None }
}

fn trip() -> Key {
    "trip".try_into().unwrap()
}

/// One run in ten is cut at 30 seconds; of half of those it is known that they end a little before 40.
fn runs() -> Runs {
    let mut runs = Runs::default();
    for number in 0..3_000_u32 {
        let (status, seconds) = match number % 20 {
            0 => (RunStatus::TimedOut, None),
            10 => (RunStatus::TimedOut, Some(38.0 + f64::from(number % 7) * 0.1)),
            place => (RunStatus::Succeeded, Some(5.0 + f64::from(place))),
        };
        let (limit_seconds, tool_calls, trace, error) = (Some(30.0), None, None, None);
        runs.add(&WorkflowRun { workflow: trip(), status, seconds, limit_seconds, tool_calls, trace, error });
    }
    runs
}

#[derive(Clone)]
enum Step {
    Review,
    Ask(Message),
    Answer(ApprovalRequest, ApprovalAnswer),
}

/// A workflow with its limit, the people who are asked about it, and Flywheel beside it.
struct Town {
    signals: Rc<RefCell<SignalMemory>>,
    timeouts: Rc<RefCell<TimeoutMemory>>,
    approvals: Rc<RefCell<ApprovalMemory>>,
    policy: Policy,
    now: Timestamp,
}

impl Town {
    fn new(policy: &str, seed: u64) -> Self {
        let mut timeouts = TimeoutMemory::new(seed, BTreeMap::from([(parameter(), Limit::of(30.0))]));
        let days = BTreeMap::from([(Day::of(begin()), KeptRuns { revision: 1, runs: runs() })]);
        timeouts.days.insert(trip(), days);
        Self {
            signals: Rc::new(RefCell::new(SignalMemory::new(seed))),
            timeouts: Rc::new(RefCell::new(timeouts)),
            approvals: Rc::new(RefCell::new(ApprovalMemory::new(seed))),
            policy: Policy::parse(&format!("{POLICY}{policy}")).unwrap(),
            now: begin(),
        }
    }

    fn start(&self, step: Step) -> Process {
        let (approvals, bus) = (ApprovalProcess(self.approvals.clone()), SignalProcess(self.signals.clone()));
        let (now, policy) = (self.now, self.policy.clone());
        match step {
            Step::Review => {
                let limits = TimeoutProcess(self.timeouts.clone());
                let (store, settings, observations, tasks) = (limits.clone(), limits, bus.clone(), approvals.clone());
                let world = adjust_timeouts::World { store, observations, settings, approvals, tasks, bus };
                Box::pin(async move { world.review(&policy, now).await.is_ok() })
            }
            Step::Ask(message) => {
                let world = ask_approval::World { notices: approvals.clone(), approvals, bus, stack: "flywheel".to_owned() };
                Box::pin(async move { world.take(&message).await.is_ok() })
            }
            // As the operator's tool does. Who is told of an error tries again.
            Step::Answer(request, answer) => Box::pin(async move {
                let Ok(kept) = approvals.answer(&request, &answer).await else { return false };
                let told: Vec<Event> = kept.approval.answered().into_iter().collect();
                flywheel_ports::Bus::publish(&bus, &told).await.is_ok()
            }),
        }
    }

    fn wait(&self, step: Step) {
        let mut future = self.start(step);
        while future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {}
    }

    /// A review, and what it has the tasks ask, at a time.
    fn look(&mut self, at: Timestamp) {
        self.now = at;
        self.wait(Step::Review);
        let asked: Vec<_> = self.approvals.borrow_mut().queue.drain(..).collect();
        for (request, token) in asked {
            self.wait(Step::Ask(Message::Asks { request, token }));
        }
    }

    fn answer(&self, answer: ApprovalAnswer) {
        self.wait(Step::Answer(self.waiting().expect("a question waits"), answer));
    }

    fn waiting(&self) -> Option<ApprovalRequest> {
        let memory = self.approvals.borrow();
        memory.kept.values().map(|kept| &kept.approval).find(|one| one.answer.is_none()).map(|one| one.request.clone())
    }

    fn limit(&self) -> f64 {
        self.timeouts.borrow().settings[&parameter()].seconds
    }

    fn events(&self, kind: &str) -> Vec<Event> {
        let mut events: Vec<Event> = self.signals.borrow().ledger.values().filter(|event| event.kind() == kind).cloned().collect();
        events.sort_by(Event::by_time);
        events
    }

    fn holds(&self) -> Vec<TimeoutHoldReason> {
        let reason = |event: Event| if let Body::TimeoutHeld(hold) = event.body { Some(hold.reason) } else { None };
        self.events("decision.timeout-hold").into_iter().filter_map(reason).collect()
    }

    fn state(&self) -> State {
        self.timeouts.borrow().states.get(&trip()).cloned().unwrap_or_default()
    }

    fn unavailable(&self, share: f64) {
        self.signals.borrow_mut().unavailable = share;
        self.timeouts.borrow_mut().unavailable = share;
        self.approvals.borrow_mut().unavailable = share;
    }

    /// Works through steps, some at a time and twice, and through what comes of them, until all are done. What must never be
    /// is looked for after every step.
    fn work(&self, steps: &[Step], answers: &[ApprovalAnswer], crash: f64, seed: u64) -> Result<(), TestCaseError> {
        let mut processes = Processes::new(steps, 4, crash, seed);
        let mut answered = answers.is_empty();
        for step in 0.. {
            let asked: Vec<_> = self.approvals.borrow_mut().queue.drain(..).collect();
            for (request, token) in asked {
                processes.deliver_perhaps_twice(&Step::Ask(Message::Asks { request, token }));
            }
            if let Some(request) = self.waiting().filter(|_| !answered) {
                processes.deliver(answers.iter().map(|answer| Step::Answer(request.clone(), answer.clone())));
                answered = true;
            }
            if processes.are_done() {
                return Ok(());
            }
            if step == 5_000 {
                // The trouble ends some time.
                processes.calm();
                self.unavailable(0.0);
            }
            prop_assert!(step < 50_000, "it does not come to an end");
            processes.step(|next, _| self.start(next));
            self.sound()?;
        }
        Ok(())
    }

    fn granted(&self) -> Option<Approval> {
        let memory = self.approvals.borrow();
        let granted = |one: &&Approval| matches!(one.answer, Some(ApprovalAnswer::Granted(_)));
        memory.kept.values().map(|kept| &kept.approval).find(granted).cloned()
    }

    /// What holds at every moment: nothing is changed, and nothing begun, that was not granted before.
    fn sound(&self) -> Result<(), TestCaseError> {
        let begun = self.state().under_way.is_some() || !self.events("decision.timeout").is_empty();
        prop_assert!(self.granted().is_some() || (self.limit() == 30.0 && !begun), "{:?}", self.state());
        Ok(())
    }
}

fn word(by: &str) -> Word {
    Word { by: by.to_owned(), why: "because".to_owned(), at: begin() + SignedDuration::from_mins(1) }
}

fn after(hours: i64) -> Timestamp {
    begin() + SignedDuration::from_hours(hours)
}

#[test]
fn what_is_of_low_risk_is_done_at_once_and_nobody_is_asked() {
    let mut town = Town::new("", 1);
    town.look(begin());
    assert_eq!(town.limit(), 40.0);
    assert!(town.approvals.borrow().begun.is_empty() && town.approvals.borrow().notices.is_empty());
}

#[test]
fn what_is_of_high_risk_waits_with_its_evidence_until_it_is_granted() {
    let mut town = Town::new(CAREFUL, 1);
    town.look(begin());
    assert_eq!((town.limit(), town.holds()), (30.0, vec![TimeoutHoldReason::Approval]));
    let request = town.waiting().unwrap();
    assert_eq!((request.action, request.deadline), (ApprovalAction::Timeout, after(24)));
    assert_eq!(request.risk, "It raises the limit by 33%, and the policy lets 10% be done at once.");
    // The evidence is in the ledger, and the message names it and the next commands.
    let asked = town.events("approval.requested");
    assert_eq!(asked[0].causes, [town.events("decision.timeout-hold")[0].id.clone()]);
    let notices = town.approvals.borrow().notices.clone();
    let [(subject, text)] = &notices[..] else { panic!("{notices:?}") };
    assert_eq!(subject, "Flywheel waits for your word: timeout/trip");
    for said in ["from 30 s to 40 s", &request.evidence[0].to_string(), &format!("approve {}", request.approval)] {
        assert!(text.contains(said), "{said}: {text}");
    }
    // It is asked once, however often it is looked at.
    (1..20).for_each(|hour| town.look(after(hour)));
    assert_eq!((town.events("approval.requested").len(), town.approvals.borrow().notices.len(), town.limit()), (1, 1, 30.0));

    town.answer(ApprovalAnswer::Granted(Word { at: after(19), ..word("ada") }));
    town.look(after(20));
    assert_eq!(town.limit(), 40.0);
    // Who approved what, when and on what evidence.
    let granted = town.events("approval.granted");
    let Body::ApprovalGranted(decided) = &granted[0].body else { panic!("{granted:?}") };
    assert_eq!((decided.word.by.as_str(), decided.word.at, &decided.request.evidence), ("ada", after(19), &asked[0].causes));
    assert_eq!(granted[0].causes, [asked[0].id.clone()]);
    assert_eq!(town.events("decision.timeout")[0].causes, [granted[0].id.clone()]);
}

#[test]
fn a_rejected_change_is_not_made_and_not_asked_again_for_a_week() {
    let mut town = Town::new(CAREFUL, 1);
    town.look(begin());
    town.answer(ApprovalAnswer::Rejected(word("ada")));
    for hour in 1..=7 * 24 {
        town.look(after(hour));
    }
    assert_eq!((town.limit(), town.events("approval.requested").len()), (30.0, 1));
    assert_eq!(town.holds(), [TimeoutHoldReason::Approval, TimeoutHoldReason::Declined]);
    let told = town.state().told.unwrap().explanation;
    assert!(
        told.contains("ada rejected it at 2026-11-25T12:01:00Z: because. It is not asked again before 2026-12-02T12:01:00Z."),
        "{told}"
    );
    town.look(after(7 * 24 + 1));
    assert_eq!((town.limit(), town.events("approval.requested").len()), (30.0, 2));
}

#[test]
fn what_nobody_answers_is_not_made_and_asked_again_after_another_deadline() {
    let mut town = Town::new(CAREFUL, 1);
    town.look(begin());
    town.look(after(24));
    assert_eq!(town.events("approval.expired")[0].causes, [town.events("approval.requested")[0].id.clone()]);
    assert_eq!(town.holds(), [TimeoutHoldReason::Approval, TimeoutHoldReason::Declined]);
    town.look(after(47));
    assert_eq!(town.events("approval.requested").len(), 1);
    town.look(after(48));
    assert_eq!((town.limit(), town.events("approval.requested").len()), (30.0, 2));
}

#[test]
fn an_answer_that_comes_too_late_changes_nothing() {
    let mut town = Town::new(CAREFUL, 1);
    town.look(begin());
    let request = town.waiting().unwrap();
    // The task's end and the review come to the same, whichever is first.
    town.wait(Step::Ask(Message::Expired { request: request.clone() }));
    town.wait(Step::Answer(request, ApprovalAnswer::Granted(word("ada"))));
    town.look(after(24));
    assert_eq!((town.limit(), town.events("approval.granted").len(), town.events("approval.expired").len()), (30.0, 0, 1));
}

#[test]
fn the_end_of_a_task_takes_no_answer_back() {
    let mut town = Town::new(CAREFUL, 1);
    town.look(begin());
    let request = town.waiting().unwrap();
    town.answer(ApprovalAnswer::Granted(word("ada")));
    town.wait(Step::Ask(Message::Expired { request }));
    town.look(after(1));
    assert_eq!((town.limit(), town.events("approval.expired").len()), (40.0, 0));
}

#[test]
fn a_grant_is_not_acted_upon_once_it_is_old() {
    let mut town = Town::new(CAREFUL, 1);
    town.look(begin());
    town.answer(ApprovalAnswer::Granted(word("ada")));
    town.look(after(48));
    // It is weighed anew, and asked about anew.
    assert_eq!((town.limit(), town.events("approval.requested").len()), (30.0, 2));
    assert!(town.holds().contains(&TimeoutHoldReason::Declined));
}

#[test]
fn the_first_of_two_people_decides() {
    let mut town = Town::new(CAREFUL, 1);
    town.look(begin());
    let request = town.waiting().unwrap();
    town.answer(ApprovalAnswer::Rejected(word("ada")));
    town.wait(Step::Answer(request.clone(), ApprovalAnswer::Granted(word("ben"))));
    town.look(after(1));
    let stands = town.approvals.borrow().kept[&request.approval].approval.answer.clone();
    assert_eq!((stands, town.limit()), (Some(ApprovalAnswer::Rejected(word("ada"))), 30.0));
    assert!(town.events("approval.granted").is_empty());
}

#[test]
fn a_dry_run_asks_nobody_and_acts_on_no_grant() {
    let mut town = Town::new(CAREFUL, 1);
    town.policy.mode = Mode::DryRun;
    town.look(begin());
    assert!(town.approvals.borrow().begun.is_empty() && town.events("approval.requested").is_empty());
    let decided = town.events("decision.timeout");
    assert!(matches!(&decided[0].body, Body::TimeoutDecided(change) if change.dry_run), "{decided:?}");

    // A person stops all actions between the grant and the next look.
    town.policy.mode = Mode::Act;
    town.look(after(1));
    town.answer(ApprovalAnswer::Granted(word("ada")));
    town.policy.mode = Mode::DryRun;
    town.look(after(2));
    assert_eq!(town.limit(), 30.0);
    town.policy.mode = Mode::Act;
    town.look(after(3));
    assert_eq!(town.limit(), 40.0);
}

#[test]
fn a_question_that_was_remembered_and_not_asked_is_asked_by_the_next_review() {
    let mut town = Town::new(CAREFUL, 1);
    // The process dies once the question is remembered.
    let mut review = town.start(Step::Review);
    while town.state().awaiting.is_none() {
        assert!(review.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    drop(review);
    assert!(town.approvals.borrow().begun.is_empty());
    // While all actions are stopped nobody is asked.
    town.policy.mode = Mode::DryRun;
    town.look(after(1));
    assert!(town.approvals.borrow().begun.is_empty());
    town.policy.mode = Mode::Act;
    town.look(after(2));
    assert_eq!(town.waiting().unwrap().at, begin());
}

#[test]
fn a_limit_that_was_changed_meanwhile_is_left_alone() {
    let mut town = Town::new(CAREFUL, 1);
    town.look(begin());
    town.timeouts.borrow_mut().settings.insert(parameter(), Limit::of(33.0));
    town.answer(ApprovalAnswer::Granted(word("ada")));
    town.look(after(1));
    assert_eq!(town.limit(), 33.0);
    assert_eq!(town.events("receipt.timeout").len(), 1);
}

#[test]
fn a_ceiling_that_was_lowered_meanwhile_wins_over_a_grant() {
    let mut town = Town::new(CAREFUL, 1);
    town.look(begin());
    town.answer(ApprovalAnswer::Granted(word("ada")));
    town.policy.timeouts[0].ceiling_seconds = 35;
    town.look(after(1));
    assert_eq!(town.limit(), 30.0);
    assert!(town.state().awaiting.is_none() && town.holds().contains(&TimeoutHoldReason::Declined));
}

#[test]
fn messages_are_understood_or_told() {
    let mut town = Town::new(CAREFUL, 1);
    town.look(begin());
    let request = town.waiting().unwrap();
    let asks = serde_json::json!({ "asks": { "request": request, "token": "t" } }).to_string();
    assert_eq!(ask_approval::read(&asks), Ok(Message::Asks { request: request.clone(), token: "t".to_owned() }));
    let expired = serde_json::json!({ "expired": { "request": request } }).to_string();
    assert_eq!(ask_approval::read(&expired), Ok(Message::Expired { request }));
    for wrong in ["", "{}", r#"{"asks":{}}"#, r#"{"trigger":"review"}"#] {
        assert!(ask_approval::read(wrong).unwrap_err().starts_with("no question of the state machine"), "{wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_change_of_high_risk_is_made_if_and_only_if_the_first_answer_grants_it(
        crash in prop_oneof![Just(0.0), 0.0..0.2],
        unavailable in prop_oneof![Just(0.0), 0.0..0.3],
        answers in prop::sample::subsequence(vec![0, 1, 2], 0..=3),
        seed in any::<u64>(),
    ) {
        let mut town = Town::new(CAREFUL, seed);
        let answers: Vec<ApprovalAnswer> = answers.into_iter().map(|which| match which {
            0 => ApprovalAnswer::Granted(word("ada")),
            1 => ApprovalAnswer::Rejected(word("ben")),
            _ => ApprovalAnswer::Expired,
        }).collect();
        town.unavailable(unavailable);
        town.work(&[Step::Review, Step::Review, Step::Review], &answers, crash, seed)?;
        // Whatever died on the way is resumed by the next reviews.
        for hour in 1..4 {
            town.now = after(hour);
            town.unavailable(unavailable);
            town.work(&[Step::Review, Step::Review], &answers, crash, seed ^ hour as u64)?;
        }
        town.unavailable(0.0);
        town.look(after(4));
        town.sound()?;
        let memory = town.approvals.borrow();
        prop_assert_eq!(memory.kept.len(), 1, "asked once");
        let approval = &memory.kept.values().next().unwrap().approval;
        let granted = matches!(approval.answer, Some(ApprovalAnswer::Granted(_)));
        prop_assert_eq!(town.limit(), if granted { 40.0 } else { 30.0 });
        prop_assert_eq!(approval.answer.is_none(), answers.is_empty());
        prop_assert!(!memory.notices.is_empty() || approval.answer.is_some());
        drop(memory);
        // The ledger has the question once, its first answer once, and no other.
        prop_assert_eq!(town.events("approval.requested").len(), 1);
        let told: Vec<usize> = ["granted", "rejected", "expired"].iter().map(|kind| town.events(&format!("approval.{kind}")).len()).collect();
        prop_assert_eq!(told.iter().sum::<usize>(), usize::from(!answers.is_empty()), "{:?}", told);
        prop_assert_eq!((told[0] == 1, town.events("decision.timeout").len()), (granted, usize::from(granted)));
    }
}
