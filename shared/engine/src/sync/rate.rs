//! Requests a second, as a token bucket.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// What is left of a rate: a token bucket that is refilled as time passes. Recorded, so that all processes share it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Allowance {
    tokens: f64,
    at: Timestamp,
}

impl Default for Allowance {
    /// Full since ever.
    fn default() -> Self {
        Self { tokens: f64::MAX, at: Timestamp::UNIX_EPOCH }
    }
}

impl Allowance {
    /// Brings the bucket to a moment. It holds what one second brings, and at least one request. Time that runs
    /// backwards (another machine's clock) brings nothing.
    #[must_use]
    pub fn refilled(self, per_second: f64, now: Timestamp) -> Self {
        let passed = now.duration_since(self.at).as_secs_f64().max(0.0);
        Self { tokens: passed.mul_add(per_second, self.tokens).min(per_second.max(1.0)), at: now.max(self.at) }
    }

    /// What is left once the requests taken from it are made. Each counts from when it was answered, since it cannot have
    /// arrived later; one of which no answer is known counts from now. `before` is the bucket that they were taken from.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small non-negative number")]
    pub fn made(self, before: Self, per_second: f64, answered: &[Timestamp], now: Timestamp) -> Self {
        let before = before.refilled(per_second, self.at);
        let taken = (before.tokens - self.tokens).round().max(0.0) as usize;
        let mut times = answered.to_vec();
        times.resize(taken, now);
        times.sort_unstable();
        times.into_iter().fold(before, |left, at| {
            let left = left.refilled(per_second, at);
            Self { tokens: left.tokens - 1.0, ..left }
        })
    }

    /// Takes one request, if one is left. Refill first.
    pub fn take(&mut self) -> bool {
        let left = self.has_one();
        if left {
            self.tokens -= 1.0;
        }
        left
    }

    /// Whether a request is left. Refill first.
    #[must_use]
    pub fn has_one(&self) -> bool {
        // A hair under one is rounding, not a missing token.
        self.tokens >= 1.0 - 1e-9
    }

    /// When the next request may be made. Refill first.
    #[must_use]
    pub fn next(&self, per_second: f64) -> Timestamp {
        let missing = (1.0 - self.tokens).max(0.0) / per_second;
        self.at.checked_add(SignedDuration::from_secs_f64(missing)).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + millis).expect("in range")
    }

    #[test]
    fn a_tenth_a_second_means_ten_seconds_between_two() {
        let mut starts = Allowance::default().refilled(0.1, at(0));
        assert!(starts.take());
        assert!(!starts.take());
        assert_eq!(starts.next(0.1), at(10_000));
        assert!(!starts.refilled(0.1, at(9_900)).take());
        assert!(starts.refilled(0.1, at(10_000)).take());
    }

    #[test]
    fn a_clock_that_runs_backwards_brings_nothing() {
        let mut starts = Allowance::default().refilled(0.1, at(60_000));
        assert!(starts.take());
        assert!(!starts.refilled(0.1, at(0)).refilled(0.1, at(60_000)).take());
    }

    #[test]
    fn requests_count_from_their_answers() {
        let before = Allowance::default();
        let mut planned = before.refilled(5.0, at(0));
        assert!((0..5).all(|_| planned.take()));
        // The first was answered after 50 ms, so five more may follow a second after that, and no sooner.
        let made = planned.made(before, 5.0, &[at(50), at(60), at(70), at(80)], at(100));
        let left = |now| {
            let mut made = made.refilled(5.0, at(now));
            (0..10).take_while(|_| made.take()).count()
        };
        assert_eq!((left(1_049), left(1_050), left(9_000)), (4, 5, 5));
    }

    #[test]
    fn slow_requests_leave_no_more_than_one_burst() {
        let before = Allowance::default();
        let mut planned = before.refilled(5.0, at(0));
        assert!((0..2).all(|_| planned.take()));
        let mut made = planned.made(before, 5.0, &[at(300), at(5_000)], at(5_000));
        assert_eq!((0..10).take_while(|_| made.take()).count(), 4);
    }

    proptest! {
        #[test]
        fn no_window_sees_more_than_the_rate_and_one_burst(gaps in prop::collection::vec(0_i64..3_000, 1..200), rate in 0.1_f64..20.0) {
            let (mut allowance, mut now, mut taken) = (Allowance::default(), 0, 0_u32);
            for gap in gaps {
                now += gap;
                allowance = allowance.refilled(rate, at(now));
                taken += u32::from(allowance.take());
            }
            #[allow(clippy::cast_precision_loss)]
            let most = (now as f64 / 1_000.0).mul_add(rate, rate.max(1.0));
            prop_assert!(f64::from(taken) <= most + 1e-6);
        }
    }
}
