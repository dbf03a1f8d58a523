//! What the ledger needs.

use flywheel_model::{Id, LedgerEntry, Place};
use jiff::Timestamp;

use crate::Unavailable;

/// Entries that are appended together.
pub const APPENDED: usize = 50;

/// Where every event is kept, once, in the chain of its subject.
pub trait LedgerStore {
    /// The entries of these events, of those that are recorded, in no order.
    async fn recorded(&self, events: &[Id]) -> Result<Vec<LedgerEntry>, Unavailable>;

    /// The last place in the chain of a subject.
    async fn last(&self, subject: &str) -> Result<Option<Place>, Unavailable>;

    /// Appends up to [`APPENDED`] entries of one subject behind its last place, each with the ways that lead to it from its
    /// causes: all of them if nobody else has appended to it since and none of the events is recorded, and nothing otherwise:
    /// `false`.
    async fn append(&self, last: Option<&Place>, entries: &[LedgerEntry]) -> Result<bool, Unavailable>;

    /// Keeps entries for good beside the table. Those that are kept again are there twice, which does no harm.
    async fn keep(&self, entries: &[LedgerEntry], now: Timestamp) -> Result<(), Unavailable>;
}
