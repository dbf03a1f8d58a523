//! Hourly counts of one rate, which is all that this crate ever sees of the world.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::codec;

/// An hour: whole hours since 1970-01-01T00Z, negative before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hour(pub i64);

impl Hour {
    /// So many hours later; earlier if negative.
    #[must_use]
    pub fn plus(self, hours: i64) -> Self {
        Self(self.0.saturating_add(hours))
    }

    /// The first hour of a day, in UTC.
    pub(crate) fn of_day(day: i64) -> Self {
        Self(day.saturating_mul(24))
    }

    /// Days since 1970-01-01, in UTC.
    pub(crate) fn day(self) -> i64 {
        self.0.div_euclid(24)
    }

    /// Which of the 168 hours of a week it is, counted from Thursday 00Z (1970-01-01 was one).
    pub(crate) fn of_week(self) -> usize {
        usize::try_from(self.0.rem_euclid(168)).unwrap_or(0)
    }
}

/// There cannot be more events than trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{events} events in {trials} trials")]
pub struct MoreEventsThanTrials {
    trials: u64,
    events: u64,
}

/// What was counted: of so many trials, so many were events. Never more events than trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "(u64, u64)", into = "(u64, u64)")]
pub struct Tally {
    trials: u64,
    events: u64,
}

impl Tally {
    /// A tally, unless it cannot be one.
    ///
    /// # Errors
    /// If there are more events than trials.
    pub fn new(trials: u64, events: u64) -> Result<Self, MoreEventsThanTrials> {
        if events > trials { Err(MoreEventsThanTrials { trials, events }) } else { Ok(Self { trials, events }) }
    }

    /// One trial.
    #[must_use]
    pub fn of(event: bool) -> Self {
        Self { trials: 1, events: u64::from(event) }
    }

    /// All trials, events or not.
    #[must_use]
    pub fn trials(self) -> u64 {
        self.trials
    }

    /// The trials that were events.
    #[must_use]
    pub fn events(self) -> u64 {
        self.events
    }

    /// Both together. Sums stay at the largest number instead of starting again at zero, in whatever order.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { trials: self.trials.saturating_add(other.trials), events: self.events.saturating_add(other.events) }
    }
}

impl TryFrom<(u64, u64)> for Tally {
    type Error = MoreEventsThanTrials;

    fn try_from((trials, events): (u64, u64)) -> Result<Self, Self::Error> {
        Self::new(trials, events)
    }
}

impl From<Tally> for (u64, u64) {
    fn from(tally: Tally) -> Self {
        (tally.trials, tally.events)
    }
}

/// The tallies of one rate, hour by hour. An hour without trials is as good as none.
///
/// Serialised as one string of letters: five weeks of hours take about 3 KB.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Series {
    hours: BTreeMap<Hour, Tally>,
}

impl Series {
    /// Counts more in an hour.
    pub fn add(&mut self, hour: Hour, tally: Tally) {
        if tally.trials > 0 {
            let sum = self.hours.entry(hour).or_default();
            *sum = sum.plus(tally);
        }
    }

    /// Puts a count in place of what was counted in an hour.
    pub fn set(&mut self, hour: Hour, tally: Tally) {
        if tally.trials > 0 {
            self.hours.insert(hour, tally);
        } else {
            self.hours.remove(&hour);
        }
    }

    /// Counts all that another one counted.
    pub fn merge(&mut self, other: &Self) {
        for (hour, tally) in other.hours() {
            self.add(hour, tally);
        }
    }

    /// Forgets what was before an hour.
    pub fn keep_from(&mut self, hour: Hour) {
        self.hours = self.hours.split_off(&hour);
    }

    /// What was counted in an hour.
    #[must_use]
    pub fn at(&self, hour: Hour) -> Tally {
        self.hours.get(&hour).copied().unwrap_or_default()
    }

    /// The hours that have trials, in order.
    pub fn hours(&self) -> impl Iterator<Item = (Hour, Tally)> {
        self.hours.iter().map(|(hour, tally)| (*hour, *tally))
    }

    /// The hours from one up to, but not including, another that have trials, in order.
    pub fn between(&self, hours: Range<Hour>) -> impl Iterator<Item = (Hour, Tally)> {
        let hours = hours.start..hours.end.max(hours.start);
        self.hours.range(hours).map(|(hour, tally)| (*hour, *tally))
    }
}

impl FromIterator<(Hour, Tally)> for Series {
    fn from_iter<T: IntoIterator<Item = (Hour, Tally)>>(tallies: T) -> Self {
        let mut series = Self::default();
        for (hour, tally) in tallies {
            series.add(hour, tally);
        }
        series
    }
}

impl From<Series> for String {
    fn from(series: Series) -> Self {
        codec::write(&series)
    }
}

impl TryFrom<String> for Series {
    type Error = codec::Unreadable;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        codec::read(&text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tallies() -> impl Strategy<Value = Vec<(Hour, Tally)>> {
        let count = prop_oneof![4 => 0_u64..2_000, 1 => any::<u64>()];
        let hour = prop_oneof![4 => 480_000_i64..480_840, 1 => any::<i64>()];
        let tally = (hour, count.clone(), count)
            .prop_map(|(hour, one, other)| (Hour(hour), Tally::new(one.max(other), one.min(other)).expect("in order")));
        prop::collection::vec(tally, 0..200)
    }

    #[test]
    fn more_events_than_trials_are_refused() {
        assert_eq!(Tally::new(3, 4).expect_err("too many events").to_string(), "4 events in 3 trials");
        assert!(serde_json::from_str::<Tally>("[3,4]").is_err());
        assert_eq!(serde_json::from_str::<Tally>("[4,3]").expect("a tally"), Tally::new(4, 3).expect("a tally"));
    }

    #[test]
    fn weeks_and_days_go_on_before_1970() {
        assert_eq!((Hour(-1).day(), Hour(-1).of_week()), (-1, 167));
        assert_eq!((Hour(i64::MIN).plus(-1), Hour::of_day(i64::MAX)), (Hour(i64::MIN), Hour(i64::MAX)));
    }

    proptest! {
        #[test]
        fn the_order_of_counting_and_merging_changes_nothing(one in tallies(), other in tallies()) {
            let mut forwards: Series = one.iter().copied().collect();
            forwards.merge(&other.iter().copied().collect());
            let mut backwards: Series = other.into_iter().rev().collect();
            backwards.merge(&one.into_iter().rev().collect());
            prop_assert_eq!(forwards, backwards);
        }

        #[test]
        fn what_is_kept_is_what_was_counted(tallies in tallies()) {
            let series: Series = tallies.into_iter().collect();
            let text = serde_json::to_string(&series).expect("serialises");
            prop_assert_eq!(serde_json::from_str::<Series>(&text).expect("deserialises"), series);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[A-Za-z0-9_-]{0,80}") {
            let _ = Series::try_from(text);
        }
    }

    #[test]
    fn five_weeks_of_a_busy_rate_fit_into_four_kilobytes() {
        let mut random = fastrand::Rng::with_seed(1);
        for per_hour in [20.0, 1_000.0, 50_000.0, 1_000_000.0] {
            let series: Series = (0..840_u32)
                .map(|hour| {
                    let season = 1.0 + 0.8 * (f64::from(hour) * std::f64::consts::TAU / 24.0).sin();
                    let mut noise = || (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
                    let trials: f64 = per_hour * season;
                    let trials = noise().mul_add(trials.sqrt(), trials).max(0.0).round();
                    let events = noise().mul_add((trials * 0.09).sqrt(), trials * 0.1).clamp(0.0, trials);
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                    (Hour(480_000 + i64::from(hour)), Tally::new(trials as u64, events as u64).expect("in order"))
                })
                .collect();
            let length = String::from(series).len();
            assert!(length <= 4_000, "{per_hour} an hour: {length} bytes");
        }
    }
}
