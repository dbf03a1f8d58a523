//! Times in log-spaced bins: bounded memory, a stated relative error, exact merges.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A bin of times, log-spaced as in `DDSketch` (Masson, Rim and Lee 2019): bin i holds the times in
/// (`LEAST` γⁱ⁻¹, `LEAST` γⁱ] with γ = (1 + ε) / (1 − ε), so that its middle is within ε of each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bin(u16);

impl Bin {
    /// ε: a time is told at most this much wrong, as a share of it.
    pub const RELATIVE_ERROR: f64 = 0.005;
    /// Seconds; a shorter time counts as this.
    pub const LEAST: f64 = 0.001;
    /// Seconds, thirty days; a longer time counts as this.
    pub const MOST: f64 = 2_592_000.0;

    /// ln γ.
    fn width() -> f64 {
        ((1.0 + Self::RELATIVE_ERROR) / (1.0 - Self::RELATIVE_ERROR)).ln()
    }

    /// The bin of a time in seconds. What is no number counts as the longest time.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 2,168")]
    pub fn of(seconds: f64) -> Self {
        let seconds = if seconds.is_nan() { Self::MOST } else { seconds.clamp(Self::LEAST, Self::MOST) };
        // A time that is the upper end of a bin is in it, also where the logarithm is a little too large.
        Self(((seconds / Self::LEAST).ln() / Self::width() - 1e-9).ceil().max(0.0) as u16)
    }

    /// The bin of the longest time.
    #[must_use]
    pub fn last() -> Self {
        Self::of(Self::MOST)
    }

    /// The time, in seconds, that stands for all in the bin.
    #[must_use]
    pub fn seconds(self) -> f64 {
        let upper = Self::LEAST * (f64::from(self.0) * Self::width()).exp();
        upper * (1.0 - Self::RELATIVE_ERROR)
    }
}

/// How many runs ended, or were last seen, in one bin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Completed.
    pub completed: u64,
    /// Failed by themselves.
    pub failed: u64,
    /// Were still running when they were last seen.
    pub censored: u64,
}

/// What is known of the times of many runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(Bin, u64, u64, u64)>", into = "Vec<(Bin, u64, u64, u64)>")]
pub struct Times {
    bins: BTreeMap<Bin, Counts>,
}

impl Times {
    /// Runs that completed after so many seconds.
    pub fn completed(&mut self, seconds: f64, runs: u64) {
        self.add(Bin::of(seconds), Counts { completed: runs, ..Counts::default() });
    }

    /// Runs that failed by themselves after so many seconds.
    pub fn failed(&mut self, seconds: f64, runs: u64) {
        self.add(Bin::of(seconds), Counts { failed: runs, ..Counts::default() });
    }

    /// Runs that had not ended after so many seconds, and of which no more is known.
    pub fn censored(&mut self, seconds: f64, runs: u64) {
        self.add(Bin::of(seconds), Counts { censored: runs, ..Counts::default() });
    }

    /// Adds what another part of the runs came to: the same as if all had been added to one.
    pub fn merge(&mut self, other: &Self) {
        for (bin, counts) in &other.bins {
            self.add(*bin, *counts);
        }
    }

    fn add(&mut self, bin: Bin, more: Counts) {
        if more == Counts::default() {
            return;
        }
        let counts = self.bins.entry(bin).or_default();
        counts.completed = counts.completed.saturating_add(more.completed);
        counts.failed = counts.failed.saturating_add(more.failed);
        counts.censored = counts.censored.saturating_add(more.censored);
    }

    /// The bins with runs in them, the shortest times first.
    pub fn bins(&self) -> impl Iterator<Item = (Bin, Counts)> {
        self.bins.iter().map(|(bin, counts)| (*bin, *counts))
    }

    /// How many runs there are.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.bins.values().fold(0, |runs, counts| runs.saturating_add(counts.runs()))
    }
}

impl Counts {
    pub(crate) fn runs(self) -> u64 {
        self.completed.saturating_add(self.failed).saturating_add(self.censored)
    }
}

impl From<Vec<(Bin, u64, u64, u64)>> for Times {
    fn from(bins: Vec<(Bin, u64, u64, u64)>) -> Self {
        let mut times = Self::default();
        for (bin, completed, failed, censored) in bins {
            times.add(bin, Counts { completed, failed, censored });
        }
        times
    }
}

impl From<Times> for Vec<(Bin, u64, u64, u64)> {
    fn from(times: Times) -> Self {
        times.bins().map(|(bin, counts)| (bin, counts.completed, counts.failed, counts.censored)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn memory_is_bounded() {
        assert_eq!(Bin::last(), Bin::of(f64::INFINITY));
        assert!(Bin::last().0 < 2_200, "{:?}", Bin::last());
        assert_eq!([f64::NAN, -1.0, 0.0].map(Bin::of), [Bin::last(), Bin(0), Bin(0)]);
    }

    #[test]
    fn what_is_written_is_read() {
        let mut times = Times::default();
        times.completed(12.0, 3);
        times.censored(30.0, 1);
        times.failed(2.5, 2);
        let text = serde_json::to_string(&times).expect("JSON");
        assert_eq!(serde_json::from_str::<Times>(&text).expect("times"), times);
    }

    proptest! {
        #[test]
        fn a_time_is_told_within_the_stated_error(seconds in 0.001..2_592_000.0) {
            let told = Bin::of(seconds).seconds();
            prop_assert!((told - seconds).abs() <= seconds * Bin::RELATIVE_ERROR * 1.000_001, "{told} for {seconds}");
        }

        #[test]
        fn parts_merge_to_the_whole(runs in prop::collection::vec((0..3_u8, 0.01..1_000.0), 0..60), cut in 0..60_usize) {
            let of = |runs: &[(u8, f64)]| {
                let mut times = Times::default();
                for (end, seconds) in runs {
                    match end {
                        0 => times.completed(*seconds, 1),
                        1 => times.failed(*seconds, 1),
                        _ => times.censored(*seconds, 1),
                    }
                }
                times
            };
            let (one, other) = runs.split_at(cut.min(runs.len()));
            let mut merged = of(other);
            merged.merge(&of(one));
            prop_assert_eq!(merged, of(&runs));
        }
    }
}
