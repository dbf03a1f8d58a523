//! What the policy asks for: which way, by how much, with what certainty.

use serde::{Deserialize, Serialize};

/// Which way a rate moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// More events a trial.
    Rise,
    /// Fewer events a trial.
    Fall,
}

impl Direction {
    /// The other way.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Rise => Self::Fall,
            Self::Fall => Self::Rise,
        }
    }
}

/// The smallest change that matters, always positive.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// A share of the baseline's rate: 0.15 is from 20 % to 23 %, or to 17 %.
    Relative(f64),
    /// Of the rate itself: 0.03 is from 20 % to 23 %, or to 17 %.
    Points(f64),
}

/// What the policy asks for of one kind of rate. A number out of its range counts as the nearest one within.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Which way.
    pub direction: Direction,
    /// By how much at least.
    pub change: Change,
    /// So many trials at least, in the baseline and since the change.
    pub minimum_sample: u64,
    /// Days before the day of a change that it is compared with: 1 to 366.
    pub baseline_days: u32,
    /// How long ago, in days, a change may have begun that is not found yet, today included: 1 to 31.
    pub window_days: u32,
    /// Findings to be expected in 30 days of a rate that does not change, looked at as often as one likes: up to 0.5.
    pub false_alarms_a_month: f64,
    /// How much the rate may drift in 30 days without that being a change, as a share of it: up to 1. Dear: to tell a
    /// small change from drift takes more trials.
    pub drift_a_month: f64,
    /// Whether the rate has its hours of the day and days of the week.
    pub seasons: bool,
}

impl Rule {
    /// A rule with the usual settings.
    #[must_use]
    pub fn new(direction: Direction, change: Change) -> Self {
        Self {
            direction,
            change,
            minimum_sample: 100,
            baseline_days: 28,
            window_days: 7,
            false_alarms_a_month: 0.01,
            drift_a_month: 0.02,
            seasons: true,
        }
    }

    /// How many days of hours a look needs.
    #[must_use]
    pub fn days_to_keep(&self) -> i64 {
        self.baseline() + self.window()
    }

    pub(crate) fn baseline(&self) -> i64 {
        i64::from(self.baseline_days.clamp(1, 366))
    }

    pub(crate) fn window(&self) -> i64 {
        i64::from(self.window_days.clamp(1, 31))
    }

    /// The natural logarithm of the e-value that makes a finding.
    pub(crate) fn log_threshold(&self) -> f64 {
        -within(self.false_alarms_a_month, 1e-12, 0.5).ln()
    }

    /// The rate from which a change matters, in the direction's own terms: for a fall both rates are of the
    /// complement, so that every change is a rise. May be beyond 1, which no rate reaches.
    pub(crate) fn target(&self, rate: f64) -> f64 {
        match (self.change, self.direction) {
            (Change::Points(points), _) => rate + points.max(1e-6),
            (Change::Relative(share), Direction::Rise) => rate * (1.0 + share.max(1e-6)),
            (Change::Relative(share), Direction::Fall) => rate + (1.0 - rate) * share.max(1e-6),
        }
    }

    /// The drift of 30 days in log odds, at a rate in the direction's own terms.
    pub(crate) fn drift_of_log_odds(&self, rate: f64) -> f64 {
        let share = within(self.drift_a_month, 0.0, 1.0);
        match self.direction {
            Direction::Rise => share / (1.0 - rate).max(1e-3),
            Direction::Fall => share / rate.max(1e-3),
        }
    }
}

/// The nearest number in a range; what is no number counts as the least.
pub(crate) fn within(number: f64, least: f64, most: f64) -> f64 {
    if number.is_nan() { least } else { number.clamp(least, most) }
}
