//! The yardstick: the way of the public auto-sync samples, which start one ingestion job for every changed object and try
//! again a while later whenever Bedrock says no. It runs on the same stand-in, with the same quotas and speed.
//!
//! It is told here at its best: no start is dropped, however often it is refused, and trying again costs nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use flywheel_bedrock::core::{Bedrock, Object, StartIngestionJob};
use flywheel_policy::Policy;
use flywheel_testkit::{Chaos, Simulation};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::kb_sync::Spread;

/// A refused start is tried again between half and one and a half times this later, as a queue with jitter does.
pub(crate) const RETRY_SECONDS: f64 = 60.0;

/// Calls that the stand-in remembers before it is told to forget them.
const REMEMBERED: usize = 100_000;

/// What it came to.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct JobPerObject {
    /// Jobs started: one for each object.
    pub(crate) jobs_started: u64,
    /// `StartIngestionJob` requests.
    pub(crate) start_requests: u64,
    /// Those of them that were refused: too fast, or something else running.
    pub(crate) start_requests_refused: u64,
    /// When the last document was right in the index.
    pub(crate) seconds_to_consistency: f64,
    /// When the last of its jobs had ended: until then nobody else gets a job in.
    pub(crate) seconds_to_last_job_end: f64,
}

/// Runs it.
pub(crate) fn run(spread: &Spread, policy: Policy, bedrock: Bedrock, seed: u64) -> JobPerObject {
    // Only for the knowledge bases and data sources that it makes.
    let world = Simulation::new(policy, bedrock, Chaos::default(), seed);
    let begun = world.now();
    let mut bedrock = world.memory.borrow().bedrock.clone();
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut result = JobPerObject {
        jobs_started: 0,
        start_requests: 0,
        start_requests_refused: 0,
        seconds_to_consistency: 0.0,
        seconds_to_last_job_end: 0.0,
    };
    let mut asks: BinaryHeap<Reverse<(Timestamp, usize)>> =
        (0..spread.objects).map(|object| Reverse((begun + spread.written_after(object), object))).collect();
    let mut now = begun;
    while let Some(Reverse((at, object))) = asks.pop() {
        now = at;
        let source = object % spread.data_sources;
        let (knowledge_base, data_source) = spread.ids(source);
        let request = StartIngestionJob { knowledge_base, data_source, client_token: None, description: None };
        let started = bedrock.start_ingestion_job(at, request, || Ok(listing(spread, source, begun, at)));
        result.start_requests += 1;
        if started.is_ok() {
            result.jobs_started += 1;
        } else {
            result.start_requests_refused += 1;
            let pause = SignedDuration::from_secs_f64(RETRY_SECONDS * (chance.f64() + 0.5));
            asks.push(Reverse((at + pause, object)));
        }
        if bedrock.calls().len() > REMEMBERED {
            bedrock.forget_calls();
        }
    }
    while let Some(end) = bedrock.next_end() {
        now = end;
        bedrock.advance(end);
    }
    result.seconds_to_last_job_end = now.duration_since(begun).as_secs_f64();
    let updated = (0..spread.data_sources).flat_map(|source| {
        let (knowledge_base, data_source) = spread.ids(source);
        bedrock.documents(&knowledge_base, &data_source).map(|(_, document)| document.updated_at).max()
    });
    result.seconds_to_consistency = updated.max().map_or(0.0, |last| last.duration_since(begun).as_secs_f64());
    result
}

/// What stands in a data source's part of the bucket at a moment.
fn listing(spread: &Spread, source: usize, begun: Timestamp, at: Timestamp) -> Vec<Object> {
    (source..spread.objects)
        .step_by(spread.data_sources)
        .take_while(|object| begun + spread.written_after(*object) <= at)
        .map(|object| Object::new(spread.key(object), crate::kb_sync::OBJECT_BYTES, "1"))
        .collect()
}
