//! What measuring the effects of actions needs.

use flywheel_engine::outcomes::{Awaited, Graded};
use flywheel_model::{ActionKind, Metric};
use jiff::Timestamp;

use crate::Unavailable;

/// An action that is awaited, with its verdict if it has one that was not told for sure.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    /// The action.
    pub awaited: Awaited,
    /// The verdict.
    pub graded: Option<Graded>,
}

/// Where it is kept which actions are to be graded, and which were.
pub trait OutcomeStore {
    /// Remembers that an action is to be graded, once: doing so again changes nothing, also after it was graded.
    async fn expect(&self, awaited: &Awaited) -> Result<(), Unavailable>;

    /// The actions that are to be graded, in no order.
    async fn pending(&self) -> Result<Vec<Pending>, Unavailable>;

    /// Keeps a verdict before it is told. `false` if one is kept already, which stands.
    async fn grade(&self, graded: &Graded) -> Result<bool, Unavailable>;

    /// Puts an action whose verdict was told among those that were graded, with its cooldown. Doing so again changes nothing.
    async fn settle(&self, graded: &Graded) -> Result<(), Unavailable>;

    /// What was graded of a metric, in the order of the verdicts' times, for as long as it matters.
    async fn graded(&self, metric: Metric) -> Result<Vec<Graded>, Unavailable>;
}

/// What is not to be tried again for a while.
pub trait Cooldowns {
    /// Until when an action that made a rate worse is not to be taken again there.
    async fn cooling_until(&self, what: ActionKind, subject: &str) -> Result<Option<Timestamp>, Unavailable>;
}
