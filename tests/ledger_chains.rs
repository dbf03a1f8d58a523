//! The ledger written by the real function in memory, while events come twice and in any order, several write about the same
//! subjects, calls fail and processes die.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use flywheel_engine::chains::check;
use flywheel_model::{Body, Event, Id, LedgerEntry, Refusal};
use flywheel_ports::Unavailable;
use flywheel_testkit::{LedgerMemory, LedgerProcess};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use record::{Report, record};

fn event(subject: usize, number: usize) -> Event {
    let refusal = Refusal::new("no JSON", &format!("{subject}-{number}"), "{");
    let at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(number as i64);
    Event { subject: format!("data-source/KB{subject}/DS"), ..refusal.event(at) }
}

type Work = Pin<Box<dyn Future<Output = Result<Report, Unavailable>>>>;

fn start(memory: &Rc<RefCell<LedgerMemory>>, batch: &[Event]) -> Work {
    let (process, batch) = (LedgerProcess(memory.clone()), batch.to_vec());
    Box::pin(async move { record(&process, batch, Timestamp::UNIX_EPOCH).await })
}

/// Delivers batches, several at a time, each until it is taken in. Some deliveries die on the way. Gives the
/// events that were said to be new.
fn deliver(memory: &Rc<RefCell<LedgerMemory>>, mut batches: Vec<Vec<Event>>, dies: f64, random: &mut fastrand::Rng) -> Vec<Id> {
    let mut appended = Vec::new();
    let mut working: Vec<(Vec<Event>, Work)> = Vec::new();
    for _ in 0..200_000 {
        while working.len() < 3 && !batches.is_empty() {
            let batch = batches.swap_remove(random.usize(0..batches.len()));
            working.push((batch.clone(), start(memory, &batch)));
        }
        if working.is_empty() {
            return appended;
        }
        let place = random.usize(0..working.len());
        if random.f64() < dies {
            batches.push(working.swap_remove(place).0);
        } else if let Poll::Ready(done) = working[place].1.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            let (mut batch, _) = working.swap_remove(place);
            if let Ok(report) = done {
                batch.retain(|event| report.failed.contains_key(&event.id));
                appended.extend(report.appended.into_iter().map(|event| event.id));
            }
            if !batch.is_empty() {
                batches.push(batch);
            }
        }
    }
    panic!("the batches are not taken in after 200,000 steps");
}

fn whole(memory: &LedgerMemory, events: usize) {
    let entries: Vec<LedgerEntry> = memory.entries.values().cloned().collect();
    assert_eq!(entries.len(), events);
    assert_eq!(check(&entries, &memory.ends), []);
    // What is kept for good is the same chains, some entries more than once.
    assert_eq!(check(&memory.kept, &memory.ends), []);
    assert!(entries.iter().all(|entry| memory.kept.contains(entry)));
}

#[test]
fn more_events_about_a_subject_than_are_written_together_are_one_chain() {
    let memory = Rc::new(RefCell::new(LedgerMemory::new(1)));
    let batch: Vec<Event> = (0..130).map(|number| event(1, number)).collect();
    deliver(&memory, vec![batch], 0.0, &mut fastrand::Rng::with_seed(1));
    whole(&memory.borrow(), 130);
    let memory = memory.borrow();
    let mut chain: Vec<&LedgerEntry> = memory.entries.values().collect();
    chain.sort_by_key(|entry| entry.place.sequence);
    assert!(chain.is_sorted_by_key(|entry| entry.event.at), "a batch is written in the order of its times");
}

#[test]
fn large_events_are_written_a_few_at_a_time() {
    let memory = Rc::new(RefCell::new(LedgerMemory::new(1)));
    let large = |number| {
        let mut event = event(1, number);
        if let Body::InputRefused(refusal) = &mut event.body {
            refusal.input = "x".repeat(200_000);
        }
        event
    };
    deliver(&memory, vec![(0..30).map(large).collect()], 0.0, &mut fastrand::Rng::with_seed(1));
    whole(&memory.borrow(), 30);
}

#[test]
fn one_event_twice_in_a_batch_is_recorded_once() {
    let memory = Rc::new(RefCell::new(LedgerMemory::new(1)));
    let again = Event { at: Timestamp::MAX, ..event(1, 0) };
    let appended = deliver(&memory, vec![vec![event(1, 0), again.clone()], vec![again]], 0.0, &mut fastrand::Rng::with_seed(1));
    whole(&memory.borrow(), 1);
    assert_eq!(appended.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn chains_are_whole_whatever_happens(seed: u64, subjects in 1_usize..4, number in 1_usize..40, unavailable in 0.0..0.2, dies in 0.0..0.05) {
        let mut random = fastrand::Rng::with_seed(seed);
        let memory = Rc::new(RefCell::new(LedgerMemory::new(seed)));
        memory.borrow_mut().unavailable = unavailable;
        let events: Vec<Event> = (0..number).map(|number| event(random.usize(0..subjects), number)).collect();
        // Each event in one batch at least, and in any others.
        let mut batches: Vec<Vec<Event>> = events.chunks(7).map(<[Event]>::to_vec).collect();
        for _ in 0..5 {
            batches.push(events.iter().filter(|_| random.bool()).cloned().collect());
        }
        for batch in &mut batches {
            random.shuffle(batch);
        }
        let mut appended = deliver(&memory, batches, dies, &mut random);
        whole(&memory.borrow(), number);
        let told = appended.len();
        appended.sort();
        appended.dedup();
        prop_assert_eq!(appended.len(), told, "an event was said to be new twice");
        // What nobody told of is what a process knew that died, or whose answer was lost.
        prop_assert!(told <= number && (told == number || dies > 0.0 || unavailable > 0.0));
    }
}
