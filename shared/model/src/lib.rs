//! The words of Flywheel as types.
//!
//! A *signal* is one observed fact. A *decision* is a complete action or a reasoned hold. A *receipt* says what carrying
//! an action out gave. An *outcome* says what it did. Each travels as an [`Event`] that names its causes, so that the
//! ledger can tell the way from a changed document to its fate and back.

mod document;
mod event;
mod id;
mod sync;

pub use document::{ChangeKind, DocumentChange, DocumentId, Sequencer, SequencerError};
pub use event::{Body, Event, Refusal};
pub use id::{DataSourceId, Id};
pub use sync::{Action, Answer, DocumentOutcome, Fate, Hold, HoldReason, JobEnd, JobStatistics, Outcome, Receipt, SentDocument};
