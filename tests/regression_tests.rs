//! Tests made of a broken assistant's conversations, run against it, against the mended one, and against versions with one
//! deliberate fault each: each test fails for the fault that it guards against, and for no other change. And the suite in
//! memory while batches come twice, calls fail and others write.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::LazyLock;

use flywheel_engine::regression::{Gate, Verdict};
use flywheel_engine::signals::Rules;
use flywheel_local::Shop;
use flywheel_model::{Body, Id, Key, Observation, Passing, SignalBatch, Suite, TestState, Turn};
use flywheel_policy::{Policy, TestTarget};
use flywheel_ports::{AssistantUnderTest, NoReply, OpenFinding, Proposer, Reply, Suites, Unavailable};
use flywheel_redaction::Redactor;
use flywheel_testkit::{SignalMemory, SignalProcess, SuiteMemory, SuiteProcess};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use prove_tests::rehearse;
use serde_json::json;

const TARGET: &str = "[[tests.target]]\nname = \"shop\"\nurl = \"http://127.0.0.1:1/turn\"\n";

fn policy(more: &str) -> Policy {
    let source = "[[unseen_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS12345678\"\n";
    Policy::parse(&format!("mode = \"act\"\n{source}{more}")).unwrap()
}

fn now() -> Timestamp {
    "2026-11-26T12:00:00Z".parse().unwrap()
}

fn intent() -> Key {
    "order-tracking".try_into().unwrap()
}

/// What users say, by the number of the conversation.
fn said(number: u32) -> Vec<String> {
    match number % 3 {
        0 => vec![format!("Where is my order A{}?", 1_000 + number)],
        1 => vec!["Hi".to_owned(), format!("Please cancel order B{}", 1_000 + number), "Thanks".to_owned()],
        _ => vec![format!("I want a refund for order C{}", 1_000 + number)],
    }
}

/// A conversation with a version of the shop.
fn talk(shop: Shop, number: u32, resolved: bool) -> Observation {
    let said = said(number);
    let turns = shop.converse(&said.iter().map(String::as_str).collect::<Vec<_>>());
    let signal = json!({
        "id": format!("{}-{number}", if resolved { "good" } else { "bad" }),
        "at": now() - SignedDuration::from_mins(i64::from(number)),
        "conversation": { "intent": "order-tracking", "resolved": resolved, "turns": turns }
    });
    RULES.observe(serde_json::from_value(signal).unwrap(), &Redactor::new(b"a test"))
}

static RULES: LazyLock<Rules> = LazyLock::new(|| Rules::new(&policy("")));

/// A batch of good conversations and one of bad ones.
static EVIDENCE: LazyLock<[Vec<Observation>; 2]> = LazyLock::new(|| {
    [(0..18).map(|number| talk(Shop::MENDED, number, true)).collect(), (18..33).map(|number| talk(Shop::BROKEN, number, false)).collect()]
});

/// A store that holds these batches of observations as evidence, all of them counted.
fn counted(batches: &[Vec<Observation>]) -> (SignalMemory, Vec<SignalBatch>) {
    let mut memory = SignalMemory::new(1);
    let mut told = Vec::new();
    for (place, observations) in batches.iter().enumerate() {
        let name = format!("observations/{place}");
        for observation in observations {
            memory.marks.entry(observation.signal.identity()).or_insert_with(|| name.clone());
        }
        memory.objects.insert(name.clone(), observations.clone());
        told.push(SignalBatch { evidence: name, kinds: BTreeSet::from(["conversation".to_owned()]) });
    }
    (memory, told)
}

struct Site {
    signals: Rc<RefCell<SignalMemory>>,
    suites: Rc<RefCell<SuiteMemory>>,
    told: Vec<SignalBatch>,
}

impl Site {
    fn new(seed: u64, unavailable: f64) -> Self {
        let (mut signals, told) = counted(EVIDENCE.as_slice());
        (signals.unavailable, signals.chance) = (unavailable, fastrand::Rng::with_seed(seed));
        let suites = SuiteMemory::new(seed, unavailable);
        Self { signals: Rc::new(RefCell::new(signals)), suites: Rc::new(RefCell::new(suites)), told }
    }

    fn generating(&self) -> generate_tests::World<SignalProcess, SuiteProcess, SuiteProcess, SignalProcess, Model> {
        let (signals, suites) = (SignalProcess(self.signals.clone()), SuiteProcess(self.suites.clone()));
        generate_tests::World { observations: signals.clone(), index: suites.clone(), suites, bus: signals, proposer: Model }
    }

    fn proving(&self) -> prove_tests::World<SuiteProcess, SignalProcess> {
        prove_tests::World { suites: SuiteProcess(self.suites.clone()), bus: SignalProcess(self.signals.clone()) }
    }

    fn suite(&self) -> Suite {
        self.suites.borrow().suites[&intent()].0.clone()
    }
}

/// A model that proposes something about every conversation, but cites only what one of them has.
struct Model;

impl Proposer for Model {
    async fn propose(&self, _: &str, _: &str, conversation: &str) -> Result<String, Unavailable> {
        assert!(conversation.contains("user_says"));
        Ok(json!({ "title": "the tea is warm", "questions": [{ "question": "Is it warm?", "cites": "my tea is cold" }] }).to_string())
    }
}

/// Calls until it succeeds, as a queue does.
fn until_done<T>(mut call: impl FnMut() -> Result<T, Unavailable>) -> T {
    for _ in 0..200 {
        if let Ok(value) = call() {
            return value;
        }
    }
    panic!("it never succeeds");
}

fn finish<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A version of the shop as an assistant under test.
#[derive(Clone, Copy)]
struct UnderTest(Shop);

impl AssistantUnderTest for UnderTest {
    async fn reply(&self, _run: &str, turns: &[Turn]) -> Result<Reply, NoReply> {
        Ok(Reply { turn: self.0.reply(turns), tokens: Some(10) })
    }
}

/// One that does the same as another in some of its replies, and otherwise something worse.
struct Moody(RefCell<fastrand::Rng>);

impl AssistantUnderTest for Moody {
    async fn reply(&self, _run: &str, turns: &[Turn]) -> Result<Reply, NoReply> {
        let shop = if self.0.borrow_mut().bool() { Shop::MENDED } else { Shop::BROKEN };
        Ok(Reply { turn: shop.reply(turns), tokens: None })
    }
}

enum Odd {
    Garbage,
    Away,
    EndlessCalls,
}

impl AssistantUnderTest for Odd {
    async fn reply(&self, _run: &str, _turns: &[Turn]) -> Result<Reply, NoReply> {
        match self {
            Self::Garbage => Err(NoReply::Broken("its answer is not JSON".to_owned())),
            Self::Away => Err(NoReply::Unavailable(Unavailable { what: "ask", why: "refused".to_owned() })),
            Self::EndlessCalls => {
                let turn = json!({ "role": "assistant", "tool_calls": [{ "name": "find_order", "arguments": {} }] });
                Ok(Reply { turn: serde_json::from_value(turn).unwrap(), tokens: None })
            }
        }
    }
}

fn generated(site: &Site, policy: &Policy) -> Suite {
    let world = site.generating();
    for batch in &site.told {
        until_done(|| finish(world.note(batch)));
    }
    until_done(|| finish(world.generate(&intent(), now() - SignedDuration::from_hours(1), None, policy, now())));
    site.suite()
}

/// The tests that a version of the shop does not pass.
fn failing(suite: &Suite, assistant: &impl AssistantUnderTest) -> BTreeSet<Id> {
    let failing = suite.tests.iter().filter(|test| test.gates());
    failing.filter(|test| !finish(rehearse(test, assistant, "run")).unwrap().shortfalls.is_empty()).map(|test| test.test.clone()).collect()
}

#[test]
fn tests_fail_on_the_broken_assistant_and_pass_on_the_mended_one() {
    let site = Site::new(1, 0.0);
    let suite = generated(&site, &policy(TARGET));
    assert_eq!(suite.tests.len(), 3, "{:?}", suite.tests.iter().map(|test| &test.title).collect::<Vec<_>>());
    assert!(suite.tests.iter().all(|test| test.state == TestState::Proposed), "they wait for their proof");
    let shop = |_: &TestTarget| UnderTest(Shop::BROKEN);
    assert_eq!(finish(site.proving().prove(&intent(), &Id::of("t", &[]), &policy(TARGET), shop, now())).unwrap(), 3);
    let suite = site.suite();
    assert!(suite.tests.iter().all(|test| test.state == TestState::Active), "{:?}", suite.tests);
    assert_eq!(failing(&suite, &UnderTest(Shop::BROKEN)).len(), 3);
    assert_eq!(failing(&suite, &UnderTest(Shop::MENDED)), BTreeSet::new());
    let mut kinds = BTreeMap::<&str, usize>::new();
    site.signals.borrow().ledger.values().for_each(|event| *kinds.entry(event.kind()).or_default() += 1);
    assert_eq!(kinds, BTreeMap::from([("decision.tests", 1), ("receipt.tests", 2), ("outcome.test", 3)]));
}

#[test]
fn each_fault_fails_its_own_test_and_an_unrelated_change_none() {
    let suite = generated(&Site::new(1, 0.0), &policy(""));
    let faults = [
        Shop { drops_letter: true, ..Shop::MENDED },
        Shop { only_says_cancelled: true, ..Shop::MENDED },
        Shop { hands_refunds_over: true, ..Shop::MENDED },
    ];
    let mut caught = BTreeMap::<Id, usize>::new();
    for fault in faults {
        let failing = failing(&suite, &UnderTest(fault));
        assert_eq!(failing.len(), 1, "{fault:?} is caught by its own test alone");
        failing.into_iter().for_each(|test| *caught.entry(test).or_default() += 1);
    }
    assert_eq!(caught.len(), 3, "each test guards against one of the faults");
    let greets = Shop { greeting: "Good day to you, dear customer.", ..Shop::MENDED };
    assert_eq!(failing(&suite, &UnderTest(greets)), BTreeSet::new());
}

#[test]
fn a_test_that_sometimes_passes_is_set_aside_with_its_numbers() {
    let site = Site::new(1, 0.0);
    generated(&site, &policy(TARGET));
    let moody = |_: &TestTarget| Moody(RefCell::new(fastrand::Rng::with_seed(3)));
    finish(site.proving().prove(&intent(), &Id::of("t", &[]), &policy(TARGET), moody, now())).unwrap();
    let suite = site.suite();
    let flickering = suite.tests.iter().find(|test| test.state == TestState::Flickering).expect("one that flickers");
    let runs = flickering.proof.runs.as_ref().unwrap();
    assert!(runs.failed < runs.runs && runs.runs == 5);
}

#[test]
fn an_assistant_that_is_away_says_nothing_of_a_test_and_one_that_talks_nonsense_fails_it() {
    let suite = generated(&Site::new(1, 0.0), &policy(""));
    let test = &suite.tests[0];
    assert!(finish(rehearse(test, &Odd::Away, "run")).is_err());
    for (odd, told) in [(Odd::Garbage, "it gave no turn"), (Odd::EndlessCalls, "without an answer")] {
        let rehearsal = finish(rehearse(test, &odd, "run")).unwrap();
        assert!(rehearsal.shortfalls.iter().any(|shortfall| shortfall.contains(told)), "{:?}", rehearsal.shortfalls);
    }
}

#[test]
fn a_dry_run_decides_and_runs_nothing() {
    let site = Site::new(1, 0.0);
    let dry = Policy { mode: flywheel_policy::Mode::DryRun, ..policy(TARGET) };
    let suite = generated(&site, &dry);
    assert!(suite.tests.iter().all(|test| test.state == TestState::Proposed));
    let shop = |_: &TestTarget| UnderTest(Shop::BROKEN);
    assert_eq!(finish(site.proving().prove(&intent(), &Id::of("t", &[]), &dry, shop, now())).unwrap(), 0);
    let decided = |event: &flywheel_model::Event| matches!(&event.body, Body::TestsDecided(decision) if decision.dry_run);
    assert!(site.signals.borrow().ledger.values().any(decided));
}

#[test]
fn a_noisy_assistant_is_judged_in_as_many_runs_as_it_takes() {
    let suite = generated(&Site::new(1, 0.0), &policy(""));
    let gate = Gate::new(&policy("").tests, suite.tests.len());
    let moody = Moody(RefCell::new(fastrand::Rng::with_seed(5)));
    assert!(gate.most() < 40);
    let (mut passed, mut runs) = (0, 0);
    while gate.verdict(passed, runs) == Verdict::Undecided {
        let rehearsal = finish(rehearse(&suite.tests[0], &moody, "run")).unwrap();
        passed += u32::from(rehearsal.shortfalls.is_empty());
        runs += 1;
    }
    assert_eq!(gate.verdict(passed, runs), Verdict::Fails, "{passed} of {runs}");
    assert!(passed > 0, "it is noisy");
}

#[test]
fn a_model_writes_what_stands_on_the_conversation_and_nothing_else() {
    for (said, title) in
        [("Help, my tea is cold", "order-tracking: the tea is warm"), ("Help, my soup is cold", "order-tracking: the user is helped")]
    {
        let conversation = json!({
            "intent": "order-tracking", "resolved": false,
            "turns": [{ "role": "user", "text": said }, { "role": "assistant", "text": "Sorry about that." }]
        });
        let signal = json!({ "id": "cold", "at": now(), "conversation": conversation });
        let observation = RULES.observe(serde_json::from_value(signal).unwrap(), &Redactor::new(b"a test"));
        let (signals, told) = counted(&[vec![observation]]);
        let site = Site { signals: Rc::new(RefCell::new(signals)), suites: Rc::new(RefCell::new(SuiteMemory::new(1, 0.0))), told };
        let suite = generated(&site, &policy("[tests]\nmodel = \"some-model\"\n"));
        assert!(suite.tests[0].title.starts_with(title), "{}", suite.tests[0].title);
        assert!(!suite.tests[0].gates());
    }
}

#[test]
fn what_passes_for_long_is_proposed_for_retirement_once_and_only_while_all_is_well() {
    let site = Site::new(1, 0.0);
    let mut suite = generated(&site, &policy(""));
    let later = now() + SignedDuration::from_hours(24 * 100);
    let store = SuiteProcess(site.suites.clone());
    for test in suite.tests.iter_mut().skip(1) {
        test.passing = Some(Passing { since: now(), retirement_proposed: false });
    }
    let tag = finish(store.suite(&intent())).unwrap().unwrap().1;
    finish(store.put_suite(&suite, Some(&tag), now())).unwrap().unwrap();
    let open = OpenFinding { finding: Id::of("finding", &["f"]), intent: intent(), since: later };
    site.suites.borrow_mut().findings.insert(open.finding.clone(), open.clone());
    finish(site.generating().tend(&policy(""), later)).unwrap();
    let proposed = |site: &Site| site.suite().tests.iter().filter(|test| test.passing.is_some_and(|it| it.retirement_proposed)).count();
    assert_eq!(proposed(&site), 0, "the intent has a finding");
    site.suites.borrow_mut().findings.clear();
    for _ in 0..2 {
        finish(site.generating().tend(&policy(""), later)).unwrap();
        assert_eq!(proposed(&site), 2);
    }
    let told = |event: &flywheel_model::Event| matches!(&event.body, Body::TestsDecided(decision) if decision.failed == 0);
    assert_eq!(site.signals.borrow().ledger.values().filter(|event| told(event)).count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Calls fail, half of them after they took effect; batches and requests come several times, in any order. In the end each
    /// conversation that failed is stood for once, by one test.
    #[test]
    fn each_failed_conversation_is_stood_for_once(seed in any::<u64>(), order in prop::collection::vec(0..4_usize, 4..16)) {
        let site = Site::new(seed, 0.1);
        let world = site.generating();
        let ask = || finish(world.generate(&intent(), now() - SignedDuration::from_hours(1), None, &policy(""), now()));
        for step in order {
            match step {
                0 | 1 => drop(finish(world.note(&site.told[step]))),
                _ => drop(ask()),
            }
        }
        for batch in &site.told {
            until_done(|| finish(world.note(batch)));
        }
        until_done(ask);
        let suite = site.suite();
        let mut stood_for: Vec<Id> = suite.tests.iter().flat_map(|test| &test.sources).map(|source| source.signal.clone()).collect();
        stood_for.sort();
        let mut failed: Vec<Id> = EVIDENCE[1].iter().map(|observation| observation.signal.identity()).collect();
        failed.sort();
        prop_assert_eq!(stood_for, failed);
        prop_assert_eq!(suite.tests.iter().map(|test| test.conversations).sum::<u64>(), 15);
    }
}
