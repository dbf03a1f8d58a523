//! Which rate moved, for which key, with what evidence.
//!
//! A rate is a share of trials that were events: answers that cited nothing, runs that were cut, questions without a hit.
//! All that is known of it are hourly counts ([`Series`]); everything here is a function of them, of a [`Rule`] and of
//! the present hour, so that the order in which events arrive cannot matter, and the same counts give the same answer.
//!
//! - [`look`]: one rate against the weeks before, as often as one likes ([`Watch`] for every minute); [`look_since`] if
//!   the moment is known at which it may have moved.
//! - [`discoveries`]: among many keys.
//! - [`localise`]: did all move together, or some?
//! - [`recovered`]: is a finding over?
//! - [`effect`]: what did an action do to the rate?
//!
//! Architecture invariant: nothing here knows AWS, waits, reads a clock or the environment, or draws a random number.

mod baseline;
mod codec;
mod detector;
mod effect;
mod interval;
mod keys;
mod logit;
mod look;
mod recovery;
mod rule;
mod series;

pub use codec::Unreadable;
pub use effect::{Effect, Spans, effect};
pub use keys::{Located, discoveries, localise};
pub use look::{Evidence, Look, Missing, Verdict, Watch, look, look_since};
pub use recovery::recovered;
pub use rule::{Change, Direction, Rule};
pub use series::{Hour, MoreEventsThanTrials, Series, Tally};
