//! Whether a test passes, where an assistant does not do the same each time.
//!
//! An assistant that passes a test in a share of its runs is good if that share is at least the policy's `pass_rate`, and bad
//! if it is at most half of it. Runs are made until the evidence tells the two apart: the sequential probability ratio test
//! (Wald 1945, "Sequential Tests of Statistical Hypotheses"), ended at the latest where the fixed-sample test of the same errors
//! would end, with that test's verdict (exact binomial).

use flywheel_policy::TestPolicy;
use statrs::distribution::{Binomial, DiscreteCDF};

/// What runs of a test come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It passes often enough.
    Passes,
    /// It does not.
    Fails,
    /// More runs are needed to tell.
    Undecided,
}

/// The gate that a suite has to pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gate {
    good: f64,
    bad: f64,
    /// Of a good test being called bad, and of a bad one being called good: by the sequential test, and once more by the one
    /// that ends it.
    errors: [f64; 2],
    most: u32,
    /// The fixed-sample test's least number of passes in `most` runs.
    least: u32,
}

/// No gate needs more runs of a test.
const MOST: u32 = 1_000;

impl Gate {
    /// The gate of a suite of so many tests. The chance that a suite of good tests is held up, by whichever of them, is at most
    /// what the policy's confidence leaves (Bonferroni); so is that of each bad test to pass.
    #[must_use]
    pub fn new(policy: &TestPolicy, tests: usize) -> Self {
        // Half for the sequential test, half for the verdict that it may be ended with.
        let error = (1.0 - policy.confidence) / 2.0;
        // A rate of 1 would call a test bad for one failure in a million runs.
        let good = policy.pass_rate.min(0.999);
        let mut gate = Self { good, bad: good / 2.0, errors: [error / tests.max(1) as f64, error], most: MOST, least: MOST };
        for runs in 1..=MOST {
            // The least number of passes that a good test falls below no more often than it may.
            let least = (0..=runs).find(|passed| at_most(*passed, runs, good) > gate.errors[0]).unwrap_or(runs);
            let bad_passes = if least == 0 { 1.0 } else { 1.0 - at_most(least - 1, runs, gate.bad) };
            if bad_passes <= gate.errors[1] {
                (gate.most, gate.least) = (runs, least);
                break;
            }
        }
        gate
    }

    /// The most runs of a test that it takes.
    #[must_use]
    pub const fn most(&self) -> u32 {
        self.most
    }

    /// Runs that it takes if all of them pass, or all of them fail.
    #[must_use]
    pub fn fewest(&self) -> [u32; 2] {
        [true, false].map(|passes| {
            let decided = |runs: &u32| self.verdict(if passes { *runs } else { 0 }, *runs) != Verdict::Undecided;
            (1..=self.most).find(decided).unwrap_or(self.most)
        })
    }

    /// What so many passes of so many runs say.
    #[must_use]
    pub fn verdict(&self, passed: u32, runs: u32) -> Verdict {
        let (passed_of, failed_of) = (f64::from(passed), f64::from(runs.saturating_sub(passed)));
        let evidence = passed_of * (self.bad / self.good).ln() + failed_of * ((1.0 - self.bad) / (1.0 - self.good)).ln();
        let [called_bad, called_good] = self.errors;
        if evidence >= ((1.0 - called_good) / called_bad).ln() {
            Verdict::Fails
        } else if evidence <= (called_good / (1.0 - called_bad)).ln() {
            Verdict::Passes
        } else if runs < self.most {
            Verdict::Undecided
        } else if passed >= self.least {
            Verdict::Passes
        } else {
            Verdict::Fails
        }
    }

    /// What the gate says, in words.
    #[must_use]
    pub fn told(&self, tests: usize) -> String {
        let [passes, fails] = self.fewest();
        format!(
            "A test passes if it does in {:.0}% of its runs, and fails if it does in {:.0}% or fewer. A suite of {tests} good tests is held up \
             with a chance of {:.1}% at most, a bad test passes with one of {:.1}%. That takes {passes} runs of a test that always \
             passes, {fails} of one that never does, and {} at most.",
            self.good * 100.0,
            self.bad * 100.0,
            2.0 * self.errors[0] * tests.max(1) as f64 * 100.0,
            2.0 * self.errors[1] * 100.0,
            self.most
        )
    }
}

/// The chance of at most so many passes of so many runs.
fn at_most(passed: u32, runs: u32, rate: f64) -> f64 {
    Binomial::new(rate, u64::from(runs)).map_or(1.0, |passes| passes.cdf(u64::from(passed)))
}

#[cfg(test)]
mod tests {
    use flywheel_policy::Policy;

    use super::*;

    fn gate(tests: usize) -> Gate {
        let policy = "mode = \"act\"\n[[unseen_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS12345678\"\n";
        Gate::new(&Policy::parse(policy).expect("valid").tests, tests)
    }

    fn decide(gate: &Gate, rate: f64, random: &mut fastrand::Rng) -> (Verdict, u32) {
        let (mut passed, mut runs) = (0, 0);
        loop {
            runs += 1;
            passed += u32::from(random.f64() < rate);
            let verdict = gate.verdict(passed, runs);
            if verdict != Verdict::Undecided {
                return (verdict, runs);
            }
        }
    }

    #[test]
    fn what_always_does_the_same_is_decided_in_a_few_runs() {
        assert_eq!((gate(1).fewest(), gate(1).most()), ([6, 3], 16));
        assert_eq!((gate(40).fewest(), gate(40).most()), ([6, 5], 25));
    }

    #[test]
    fn noise_holds_up_no_suite_and_what_is_broken_does_not_pass() {
        let mut random = fastrand::Rng::with_seed(7);
        for tests in [1, 10, 40] {
            let gate = gate(tests);
            let held_up = (0..5_000).filter(|_| (0..tests).any(|_| decide(&gate, 0.9, &mut random).0 == Verdict::Fails)).count();
            assert!(held_up <= 5_000 * 5 / 100, "{tests}: {held_up}");
            let passed = (0..5_000).filter(|_| decide(&gate, 0.45, &mut random).0 == Verdict::Passes).count();
            assert!(passed <= 5_000 * 5 / 100, "{tests}: {passed}");
        }
    }

    #[test]
    fn no_test_is_run_for_ever() {
        let gate = gate(40);
        let mut random = fastrand::Rng::with_seed(7);
        assert!((0..2_000).all(|_| decide(&gate, 0.7, &mut random).1 <= gate.most()));
    }
}
