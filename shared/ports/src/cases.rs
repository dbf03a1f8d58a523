//! What capturing evaluation cases needs.

use std::ops::RangeInclusive;

use flywheel_calibration::Calibration;
use flywheel_engine::cases::dataset::{Manifest, Part};
use flywheel_engine::cases::{Decision, Inquiry, LaterAnswer, Shelf, Sighting};
use flywheel_model::Key;
use jiff::Timestamp;

use crate::Unavailable;

/// What is ordinary for the scores of each knowledge base and search type, day by day.
pub trait Scores {
    /// Adds to what was learned of a scale on a day, counted from 1970. What is known already changes nothing.
    async fn learn(&self, scale: &str, day: i64, learned: &Calibration) -> Result<(), Unavailable>;

    /// What was learned of a scale on these days together.
    async fn learned(&self, scale: &str, days: RangeInclusive<i64>) -> Result<Calibration, Unavailable>;
}

/// Conversations that may go on.
pub trait Inquiries {
    /// Keeps a retrieval of a conversation for two days. Keeping it again changes nothing.
    async fn keep_inquiry(&self, conversation: &Key, inquiry: &Inquiry, now: Timestamp) -> Result<(), Unavailable>;

    /// Keeps what came later in a conversation, likewise.
    async fn keep_answer(&self, conversation: &Key, answer: &LaterAnswer, now: Timestamp) -> Result<(), Unavailable>;

    /// What is kept of a conversation. Reads see every write that was acknowledged.
    async fn conversation(&self, conversation: &Key) -> Result<(Vec<Inquiry>, Vec<LaterAnswer>), Unavailable>;
}

/// Where cases are kept: all sightings of each knowledge base, and what people decided.
pub trait CaseStore {
    /// What is kept of a sighting, or whether there is room for it: on its shelf for questions, and for this question.
    async fn known(&self, sighting: &Sighting, questions_at_most: u32) -> Result<Known, Unavailable>;

    /// Keeps a sighting as it is now, also in the place of what was kept of it, unless that was judged with more of its
    /// conversation.
    async fn keep_sighting(&self, sighting: &Sighting) -> Result<(), Unavailable>;

    /// Keeps what a person decided about a case of a knowledge base.
    async fn keep_decision(&self, knowledge_base: &Key, decision: &Decision) -> Result<(), Unavailable>;

    /// Everything that is kept of a knowledge base.
    async fn shelf(&self, knowledge_base: &Key) -> Result<Shelf, Unavailable>;

    /// Takes out what is on a shelf.
    async fn remove(&self, knowledge_base: &Key, what: &Shelf) -> Result<(), Unavailable>;

    /// The knowledge bases that have cases, each with how far its data set is behind.
    async fn shelves(&self) -> Result<Vec<ShelfState>, Unavailable>;

    /// Notes that a knowledge base's data set was published when its shelf had been written to so many times.
    async fn published(&self, knowledge_base: &Key, writes: u64, day: i64) -> Result<(), Unavailable>;
}

/// What is known of a sighting.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// It is kept, as this.
    Kept(Box<Sighting>),
    /// It is not kept, and there is room for it.
    New,
    /// The shelf is full of other questions, or has seen this one [`Known::SIGHTINGS`] times.
    Full,
}

impl Known {
    /// The most sightings of one question that are kept.
    pub const SIGHTINGS: u64 = 1_000;
}

/// Whether a knowledge base's data set shows what is on its shelf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShelfState {
    /// The knowledge base.
    pub knowledge_base: Key,
    /// How many times something was written to the shelf.
    pub writes: u64,
    /// How many times it had been when the data set was published last.
    pub published_writes: u64,
    /// The day of that, counted from 1970.
    pub published_day: i64,
}

/// When knowledge bases were synchronised.
pub trait Freshness {
    /// When a synchronisation of any of a knowledge base's data sources last began, as far as it is known.
    async fn synchronised_at(&self, knowledge_base: &str) -> Result<Option<Timestamp>, Unavailable>;
}

/// The data sets.
pub trait Datasets {
    /// A knowledge base's manifest and the tag of that state of it; nothing if there is none.
    async fn manifest(&self, knowledge_base: &Key) -> Result<Option<(Manifest, String)>, Unavailable>;

    /// Writes a part. Writing it again changes nothing.
    async fn put_part(&self, knowledge_base: &Key, part: &Part) -> Result<(), Unavailable>;

    /// Puts a manifest in the place of the one with this tag, or of none. `false` if somebody else was faster.
    async fn put_manifest(&self, manifest: &Manifest, tag: Option<&str>) -> Result<bool, Unavailable>;

    /// Deletes the parts that a manifest does not name: those that the one before it named, and others once they are older
    /// than some minutes. Somebody may be about to name a newer one.
    async fn prune(&self, manifest: &Manifest, before: Option<&Manifest>) -> Result<(), Unavailable>;
}
