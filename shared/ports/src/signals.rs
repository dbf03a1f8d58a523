//! What counting signals needs, and what reads the counts.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_engine::signals::batch::Batch;
use flywheel_model::{Count, Hour, Id, Observation, Series};

use crate::Unavailable;

/// Where signals are counted.
pub trait SignalStore {
    /// Counts the signals of a batch, all of them or none: each gets its mark, and what it counts for is added. Without
    /// an answer it may have been done or not; counting again then tells which.
    async fn count(&self, batch: &Batch) -> Result<Counted, Unavailable>;

    /// Notes that something was counted in these hours.
    async fn touch(&self, hours: &BTreeSet<Hour>) -> Result<(), Unavailable>;
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted {
    /// All of it is counted.
    All,
    /// None of it is counted, for these signals were before: each with the evidence that its mark names.
    Known(BTreeMap<Id, String>),
    /// None of it is counted, for another batch with some of its signals is being counted at this moment.
    Busy,
}

/// The counts as they are read.
pub trait Counts {
    /// The hours since this one in which something was counted, each with a number that grows whenever it is.
    async fn touched(&self, since: Hour) -> Result<BTreeMap<Hour, u64>, Unavailable>;

    /// Everything counted in an hour. Reads see every batch that was counted before the hour was touched.
    async fn counts(&self, hour: Hour) -> Result<BTreeMap<Series, Count>, Unavailable>;
}

/// Where observations are kept as evidence.
pub trait Observations {
    /// Keeps observations under a name. Keeping the same again under the same name changes nothing.
    async fn keep(&self, name: &str, observations: &[Observation]) -> Result<(), Unavailable>;

    /// A counted signal's observation, as long as its mark is kept.
    async fn find(&self, signal: &Id) -> Result<Option<Observation>, Unavailable>;

    /// The observations under a name whose signals were counted from there, each once: a signal that was kept twice, in
    /// other company, is counted from one place. None if nothing is kept under that name any more.
    async fn counted(&self, name: &str) -> Result<Vec<Observation>, Unavailable>;
}
