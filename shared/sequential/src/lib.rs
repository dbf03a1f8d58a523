//! Comparing the rates of two arms of an experiment, as often as one likes.
//!
//! A unit (a user, a conversation) falls into one of two arms with the same probability and then has an event or not. All that
//! is known are the counts ([`Arm`]); everything here is a function of them, so that the order in which units come cannot
//! matter.
//!
//! - [`evidence_of_rise`], [`evidence_of_fall`]: e-values against "no more than", "no less than"; by Ville's inequality one of
//!   them ever reaches 1/α with a probability of at most α.
//! - [`interval`]: the differences that are not refuted, at all looks together.
//! - [`plan`], [`conditional_power`]: what it takes, and whether it is still worth it.
//! - [`mismatch`]: are the arms the planned ones at all?
//! - [`level`]: the account's budget of false discoveries.
//!
//! Architecture invariant: nothing here knows AWS, waits, reads a clock or the environment, or draws a random number.

mod budget;
mod evidence;
mod mismatch;
mod mixture;
mod plan;

pub use budget::level;
pub use evidence::{Interval, evidence_of_fall, evidence_of_rise, interval};
pub use mismatch::{Phase, mismatch};
pub use plan::{Plan, conditional_power, plan};

/// Units of one arm, and how many of them had the event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Arm {
    /// Units.
    pub units: u64,
    /// Those that had the event; more than there are units count as all of them.
    pub events: u64,
}

impl Arm {
    fn events(self) -> f64 {
        self.events.min(self.units) as f64
    }

    fn others(self) -> f64 {
        self.units.saturating_sub(self.events) as f64
    }

    fn rate(self) -> f64 {
        self.events() / (self.units as f64).max(1.0)
    }
}

/// What is expected before the first unit. It decides how soon something is told, never how often wrongly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// The control's rate; held within 0.001 and 0.999.
    pub baseline: f64,
    /// The smallest difference worth telling, in points; held within 0.0005 and 0.5.
    pub effect: f64,
}

impl Expected {
    /// Within what can be worked with; what is no number is in the middle.
    fn held(self) -> Self {
        let within = |value: f64, least: f64, most: f64, instead: f64| if value.is_nan() { instead } else { value.clamp(least, most) };
        Self { baseline: within(self.baseline, 0.001, 0.999, 0.5), effect: within(self.effect, 0.0005, 0.5, 0.05) }
    }
}
