//! Signals counted by the real function while messages come twice, in other company and out of order, calls fail, rows
//! are contended for and processes die between any two steps. In the end the counts are those of the distinct signals.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use count_signals::{Counting, Message, Report, Unreadable, read};
use flywheel_engine::signals::{Redact, Rules, Texts, tally};
use flywheel_model::{Body, Count, Hour, Id, Refusal, Signal};
use flywheel_policy::Policy;
use flywheel_ports::{Counts, Found, Guardrail, Observations, Unavailable};
use flywheel_redaction::{Kind, Redactor};
use flywheel_testkit::{SignalMemory, SignalProcess};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

const POLICY: &str = r#"mode = "act"
[[data_source]]
knowledge_base = "KB12345678"
data_source = "DS12345678"
bucket = "docs"
[[intent]]
name = "refund"
words = ["refund"]
"#;

fn now() -> Timestamp {
    "2026-11-23T12:30:00Z".parse().unwrap()
}

/// The signal of a number: the same number, the same signal.
fn signal(number: u32) -> Signal {
    let at = now() - SignedDuration::from_mins(i64::from(number % 7) * 31);
    let key = format!("key-{}", number % 5);
    let fact = match number % 6 {
        0 => json!({ "retrieval": { "knowledge_base": key, "topic": "t", "passages": [] } }),
        1 => json!({ "conversation": { "turns": [{ "role": "user", "text": "refund" }], "resolved": number % 4 == 1 } }),
        2 => json!({ "conversation": { "intent": key, "topic": "t", "error": "boom" } }),
        3 => json!({ "workflow_run": { "workflow": key, "status": "timed_out" } }),
        4 => json!({ "release": { "service": key, "succeeded": false, "causes": ["a", key, "b"] } }),
        _ => json!({ "alarm": { "name": key, "state": "ALARM" } }),
    };
    let mut whole = json!({ "id": format!("s-{number}"), "at": at });
    whole.as_object_mut().unwrap().extend(fact.as_object().unwrap().clone());
    serde_json::from_value(whole).unwrap()
}

fn late(number: u32) -> Signal {
    Signal { at: now() - SignedDuration::from_hours(25), ..signal(number) }
}

/// What a message carries.
#[derive(Debug, Clone)]
enum Record {
    Signal(u32),
    Late(u32),
    Broken(u32),
}

fn message(id: usize, records: &[Record]) -> Message {
    let record = |record: &Record| match record {
        Record::Signal(number) => Ok(signal(*number)),
        Record::Late(number) => Ok(late(*number + 10_000)),
        Record::Broken(number) => Err(Unreadable { reason: "no signal".to_owned(), input: format!("broken {number}") }),
    };
    Message { id: format!("message-{id}"), arrived_at: now(), records: records.iter().map(record).collect() }
}

fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        20 => (0..400_u32).prop_map(Record::Signal),
        1 => (0..50_u32).prop_map(Record::Late),
        1 => (0..50_u32).prop_map(Record::Broken),
    ]
}

/// Invocations at the same time.
const AT_ONCE: usize = 3;

type Invocation = (Vec<Message>, Pin<Box<dyn Future<Output = Report>>>);

/// Delivers messages until all are dealt with: in any order, some twice, in batches of any size.
fn deliver(messages: &[Message], crash: f64, unavailable: f64, busy: f64, seed: u64) -> Rc<RefCell<SignalMemory>> {
    let mut memory = SignalMemory::new(seed);
    (memory.unavailable, memory.busy) = (unavailable, busy);
    let memory = Rc::new(RefCell::new(memory));
    let rules = Rc::new(Rules::new(&Policy::parse(POLICY).unwrap()));
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut queue: Vec<Message> = messages.to_vec();
    queue.extend(messages.iter().filter(|_| chance.u8(0..4) == 0).cloned());
    let mut running: Vec<Invocation> = Vec::new();
    for step in 0.. {
        if queue.is_empty() && running.is_empty() {
            return memory;
        }
        if step == 20_000 {
            // The trouble ends some time.
            let mut memory = memory.borrow_mut();
            (memory.unavailable, memory.busy) = (0.0, 0.0);
        }
        assert!(step < 200_000, "it does not come to an end");
        if running.len() < AT_ONCE && !queue.is_empty() {
            chance.shuffle(&mut queue);
            let batch = queue.split_off(queue.len() - chance.usize(1..=queue.len().min(10)));
            let (process, rules, delivered) = (SignalProcess(memory.clone()), rules.clone(), batch.clone());
            let future = async move {
                let counting = Counting {
                    store: &process,
                    observations: &process,
                    bus: &process,
                    rules: &rules,
                    redact: &redactor(),
                    guardrail: None,
                };
                counting.count(delivered, now()).await
            };
            running.push((batch, Box::pin(future)));
        }
        let which = chance.usize(0..running.len());
        if step < 20_000 && chance.f64() < crash {
            queue.extend(running.swap_remove(which).0);
            continue;
        }
        if let Poll::Ready(report) = running[which].1.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            let (batch, _) = running.swap_remove(which);
            queue.extend(batch.into_iter().filter(|message| report.failed.contains(&message.id)));
        }
    }
    unreachable!("the loop ends only by returning")
}

fn refusals(memory: &SignalMemory) -> Vec<&Refusal> {
    let refused = memory.ledger.values().filter_map(|event| match &event.body {
        Body::InputRefused(refusal) => Some(refusal),
        _ => None,
    });
    refused.collect()
}

/// Which of the signals are shown as examples depends on which came together.
fn without_examples<K: Ord>(mut counts: BTreeMap<K, Count>) -> BTreeMap<K, Count> {
    counts.values_mut().for_each(|count| count.examples.clear());
    counts
}

/// Runs to its end what waits for nothing.
fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn counts_are_those_of_the_distinct_signals(
        contents in prop::collection::vec(prop::collection::vec(record(), 0..120), 1..7),
        crash in prop_oneof![Just(0.0), 0.0..0.2],
        unavailable in prop_oneof![Just(0.0), 0.0..0.3],
        busy in prop_oneof![Just(0.0), 0.0..0.5],
        seed in any::<u64>(),
    ) {
        let messages: Vec<Message> = contents.iter().enumerate().map(|(id, records)| message(id, records)).collect();
        let memory = deliver(&messages, crash, unavailable, busy, seed);
        let distinct: BTreeSet<u32> =
            contents.iter().flatten().filter_map(|record| if let Record::Signal(number) = record { Some(*number) } else { None }).collect();
        let rules = Rules::new(&Policy::parse(POLICY).unwrap());
        let observations: Vec<_> = distinct.iter().map(|number| rules.observe(signal(*number), &redactor())).collect();
        let process = SignalProcess(memory.clone());
        {
            let memory = memory.borrow();
            prop_assert_eq!(without_examples(memory.all_counts()), without_examples(tally(&observations)));
            // Each signal has its mark, alarms too, and nothing else has.
            let identities: BTreeSet<Id> = observations.iter().map(|observation| observation.signal.identity()).collect();
            prop_assert_eq!(memory.marks.keys().cloned().collect::<BTreeSet<_>>(), identities);
            // What is not counted is reported, once for each message and input.
            let mut expected = BTreeSet::new();
            for message in &messages {
                for record in &message.records {
                    match record {
                        Err(unreadable) => drop(expected.insert((message.id.clone(), unreadable.input.clone()))),
                        Ok(signal) if signal.at < now() - SignedDuration::from_hours(24) => {
                            expected.insert((message.id.clone(), serde_json::to_string(signal).unwrap()));
                        }
                        Ok(_) => {}
                    }
                }
            }
            let refused = refusals(&memory).into_iter().map(|refusal| (refusal.message_id.clone(), refusal.input.clone())).collect();
            prop_assert_eq!(expected, refused);
        }
        // Whoever reads is told where to look, finds what was counted, and the evidence of each.
        memory.borrow_mut().unavailable = 0.0;
        let touched = finish(process.touched(Hour::of(now() - SignedDuration::from_hours(48)))).unwrap();
        let counted = without_examples(tally(&observations));
        prop_assert_eq!(touched.keys().copied().collect::<BTreeSet<_>>(), counted.keys().map(|(hour, _)| *hour).collect());
        let mut read = BTreeMap::new();
        for hour in touched.keys() {
            read.extend(finish(process.counts(*hour)).unwrap().into_iter().map(|(series, count)| ((*hour, series), count)));
        }
        prop_assert_eq!(without_examples(read), counted);
        for observation in &observations {
            let found = finish(process.find(&observation.signal.identity())).unwrap();
            prop_assert_eq!(found.as_ref(), Some(observation));
        }
        // Whoever follows what is told of batches comes to each counted signal once, by a batch told to hold its kind.
        let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for event in memory.borrow().ledger.values() {
            if let Body::SignalsKept(batch) = &event.body {
                told.entry(batch.evidence.clone()).or_default().extend(batch.kinds.clone());
            }
        }
        let mut reached = Vec::new();
        for (evidence, kinds) in told {
            for observation in finish(process.counted(&evidence)).unwrap() {
                prop_assert!(kinds.contains(observation.signal.fact.kind()));
                reached.push(observation.signal.identity());
            }
        }
        reached.sort();
        prop_assert_eq!(reached, memory.borrow().marks.keys().cloned().collect::<Vec<_>>());
    }
}

fn count(messages: Vec<Message>, redact: &dyn Redact) -> (Report, Rc<RefCell<SignalMemory>>) {
    let memory = Rc::new(RefCell::new(SignalMemory::new(1)));
    let process = SignalProcess(memory.clone());
    let rules = Rules::new(&Policy::parse(POLICY).unwrap());
    let counting = Counting { store: &process, observations: &process, bus: &process, rules: &rules, redact, guardrail: None };
    (finish(counting.count(messages, now())), memory)
}

fn redactor() -> Redactor {
    Redactor::new(b"a salt for tests")
}

#[test]
fn a_panic_refuses_its_signal_alone_and_what_cannot_be_redacted_is_not_kept() {
    let mut bad = signal(1);
    if let flywheel_model::Fact::Conversation(conversation) = &mut bad.fact {
        conversation.error = Some("panic please".to_owned());
    }
    let bad = Signal { id: "bad".try_into().unwrap(), ..bad };
    let message = Message { id: "m".to_owned(), arrived_at: now(), records: vec![Ok(signal(0)), Ok(bad), Ok(signal(2))] };
    let does_not_survive = Texts::by(|text| {
        assert!(!text.contains("panic please"), "on purpose");
        text.into()
    });
    let (report, memory) = count(vec![message], &does_not_survive);
    assert_eq!((report.counted, report.refused, report.failed.len()), (2, 1, 0));
    let memory = memory.borrow();
    assert!(refusals(&memory)[0].reason.contains("panicked") && refusals(&memory)[0].input.is_empty());
}

#[test]
fn what_is_refused_is_redacted() {
    let body = "{\"id\":\"1\",\"at\":\"2026-11-23T12:00:00Z\",\"retrieval\":{\"query\":\"jo@example.com\"}}\n\n{\"jo@example.com\":1}\njo@example.com";
    let message = Message { id: "m".to_owned(), arrived_at: now(), records: read(body) };
    let (report, memory) = count(vec![message], &redactor());
    assert_eq!((report.counted, report.refused), (1, 2));
    let memory = memory.borrow();
    assert!(!format!("{memory:?}").contains("jo@example.com"));
}

#[test]
fn alarms_are_reported_and_count_for_nothing() {
    let message = Message { id: "m".to_owned(), arrived_at: now(), records: vec![Ok(signal(5))] };
    let (report, memory) = count(vec![message.clone(), message], &redactor());
    assert_eq!((report.alarms.len(), report.counted, report.known), (2, 1, 1));
    assert!(memory.borrow().additions.is_empty() && memory.borrow().touched.is_empty());
}

#[test]
fn signals_of_the_same_keys_share_their_writes() {
    let messages = (0..10).map(|id| message(id, &(0..100).map(|number| Record::Signal(id as u32 * 100 + number)).collect::<Vec<_>>()));
    let (report, memory) = count(messages.collect(), &redactor());
    assert_eq!((report.counted, report.failed.len()), (1_000, 0));
    let spent = memory.borrow().spent;
    assert_eq!(spent.mark_units, 2_000);
    assert!(spent.transactions <= 14 && spent.count_units < 100, "{spent:?}");
}

/// Knows one name, and answers if it is to.
struct Names {
    answers: bool,
}

impl Guardrail for Names {
    fn find<'a>(&'a self, texts: &'a [String]) -> Pin<Box<dyn Future<Output = Result<Found, Unavailable>> + 'a>> {
        let is_there = texts.iter().any(|text| text.contains("Lena Berg"));
        let found = if is_there { vec![(Kind::PersonName, "Lena Berg".to_owned())] } else { Vec::new() };
        let unavailable = Unavailable { what: "apply the guardrail", why: "ThrottlingException".to_owned() };
        Box::pin(std::future::ready(if self.answers { Ok(found) } else { Err(unavailable) }))
    }
}

#[test]
fn what_a_guardrail_finds_is_not_kept_and_without_its_answer_nothing_is() {
    let told = "{\"id\":\"1\",\"at\":\"2026-11-23T12:00:00Z\",\"conversation\":{\"error\":\"Lena Berg left\",\
                \"turns\":[{\"role\":\"user\",\"text\":\"I am Lena Berg, order 7\"}]}}\n{\"Lena Berg\":1}";
    for answers in [true, false] {
        let memory = Rc::new(RefCell::new(SignalMemory::new(1)));
        let process = SignalProcess(memory.clone());
        let rules = Rules::new(&Policy::parse(POLICY).unwrap());
        let names = Names { answers };
        let counting = Counting {
            store: &process,
            observations: &process,
            bus: &process,
            rules: &rules,
            redact: &redactor(),
            guardrail: Some(&names),
        };
        let report = finish(counting.count(vec![Message { id: "m".to_owned(), arrived_at: now(), records: read(told) }], now()));
        let memory = memory.borrow();
        assert!(!format!("{memory:?}").contains("Lena"));
        if answers {
            assert_eq!((report.counted, report.refused, report.failed.len()), (1, 1, 0));
            assert!(format!("{memory:?}").contains("order 7"), "the rest stays");
        } else {
            assert_eq!(report.failed, ["m"], "it comes again");
            assert!(memory.objects.is_empty() && memory.ledger.is_empty() && memory.marks.is_empty());
        }
    }
}
