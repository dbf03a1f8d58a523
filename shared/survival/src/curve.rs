//! The share of runs that have ended by each moment, with its bounds.

use std::collections::BTreeMap;

use statrs::distribution::{ContinuousCDF, Normal};

use crate::{Bin, Times};

/// A survival curve with two ways to end: Kaplan and Meier (1958) for what goes on, Aalen and Johansen (1978) for the share
/// that has completed while other runs fail by themselves.
///
/// A run that failed is not censored: it will never complete, however long one waits. Where a group weighs more, its runs
/// count for more in the shares, and the bounds go by the effective number of runs, (Σw)² / Σw² of those that still run
/// (Kish 1965).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Curve {
    steps: Vec<Step>,
    runs: f64,
}

/// What a curve is after the ends in one bin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    bin: Bin,
    /// When, in seconds.
    pub seconds: f64,
    /// The share of runs that go on.
    pub running: f64,
    /// The share that has completed.
    pub completed: f64,
    /// The share that has failed by itself.
    pub failed: f64,
    /// The effective number of runs that had not ended before.
    pub at_risk: f64,
    /// Of those that had not ended, the share that completed in this bin …
    completing: f64,
    /// … and the share that ended in it in either way.
    ending: f64,
}

/// A share with how surely it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Share {
    /// The estimate, 0 to 1.
    pub estimate: f64,
    /// Its standard error.
    pub error: f64,
    /// The effective number of runs that it rests on.
    pub runs: f64,
}

impl Curve {
    /// The curve of groups of runs, each with the weight of its runs; a weight that is not above 0 leaves its group out.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn of<'a>(groups: impl IntoIterator<Item = (f64, &'a Times)>) -> Self {
        // Of each bin and of all: the sum of the weights and that of their squares.
        let mut bins: BTreeMap<Bin, [f64; 4]> = BTreeMap::new();
        let mut left = [0.0; 2];
        for (weight, times) in groups.into_iter().filter(|(weight, _)| *weight > 0.0) {
            for (bin, counts) in times.bins() {
                let sums = bins.entry(bin).or_default();
                let runs = counts.runs() as f64;
                let more = [counts.completed as f64 * weight, counts.failed as f64 * weight, runs * weight, runs * weight * weight];
                sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
                left[0] += more[2];
                left[1] += more[3];
            }
        }
        let mut curve = Self { steps: Vec::with_capacity(bins.len()), runs: effective(left) };
        let (mut running, mut completed, mut failed) = (1.0, 0.0, 0.0);
        for (bin, [completing, failing, weights, squares]) in bins {
            let at_risk = effective(left);
            // What is left of sums after many subtractions may be a little less than the bin's own part of it.
            let (completing, failing) = (completing / left[0].max(weights), failing / left[0].max(weights));
            completed += running * completing;
            failed += running * failing;
            // The last runs that are left end, all of them, though the sums be a hair off.
            let ending = if completing + failing > 1.0 - ROUNDING { 1.0 } else { completing + failing };
            running *= 1.0 - ending;
            curve.steps.push(Step { bin, seconds: bin.seconds(), running, completed, failed, at_risk, completing, ending });
            left = [(left[0] - weights).max(0.0), (left[1] - squares).max(0.0)];
        }
        curve
    }

    /// The curve at each time at which a run ended or was last seen.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The effective number of runs.
    #[must_use]
    pub const fn runs(&self) -> f64 {
        self.runs
    }

    /// The steps up to a time, it included, and those after it.
    fn split(&self, seconds: f64) -> (&[Step], &[Step]) {
        let bin = Bin::of(seconds);
        self.steps.split_at(self.steps.partition_point(|step| step.bin <= bin))
    }

    /// The share of runs that still go on after so many seconds, with Greenwood's variance.
    #[must_use]
    pub fn running_after(&self, seconds: f64) -> Share {
        let (before, _) = self.split(seconds);
        let estimate = before.last().map_or(1.0, |step| step.running);
        Share { estimate, error: estimate * greenwood(before).sqrt(), runs: self.runs }
    }

    /// The share of all runs that have completed after so many seconds.
    #[must_use]
    pub fn completed_by(&self, seconds: f64) -> Share {
        self.completed_between(0.0, seconds)
    }

    /// The share of all runs that end between two times by completing: what a limit that is raised from the one to the other
    /// rescues. `from` belongs to the time before.
    ///
    /// It is the product of the share that still goes on at `from` and of the share of those that then complete; each has
    /// its variance (Greenwood 1926; for the cumulative incidence the delta method's, Gaynor et al. 1993), and the two are
    /// asymptotically independent.
    #[must_use]
    pub fn completed_between(&self, from: f64, to: f64) -> Share {
        let (before, after) = if from > 0.0 { self.split(from) } else { self.steps.split_at(0) };
        let after = &after[..after.partition_point(|step| step.bin <= Bin::of(to))];
        let running = before.last().map_or(1.0, |step| step.running);
        // As many of all runs as those stand for that were followed. Where all have ended, all were.
        let runs = if running > 0.0 { after.first().map_or(0.0, |step| step.at_risk / running) } else { self.runs };
        let (mut going, mut share) = (1.0, 0.0);
        for step in after {
            share += going * step.completing;
            going *= 1.0 - step.ending;
        }
        let (mut going, mut so_far, mut variance) = (1.0, 0.0, 0.0);
        for step in after {
            so_far += going * step.completing;
            let rest = share - so_far;
            if step.ending < 1.0 {
                variance += rest * rest * step.ending / (step.at_risk * (1.0 - step.ending));
            }
            variance += going * going * (1.0 - step.completing) * step.completing / step.at_risk;
            variance -= 2.0 * rest * going * step.completing / step.at_risk;
            going *= 1.0 - step.ending;
        }
        let of_running = greenwood(before);
        let variance = running * running * (variance.max(0.0) + share * share * of_running);
        Share { estimate: running * share, error: variance.sqrt(), runs }
    }

    /// Seconds that a run goes on between two times, in the mean over all runs: what raising a limit from the one to the
    /// other costs in waiting.
    #[must_use]
    pub fn seconds_between(&self, from: f64, to: f64) -> f64 {
        let (before, after) = self.split(from);
        let (mut running, mut since, mut seconds) = (before.last().map_or(1.0, |step| step.running), from, 0.0);
        for step in after.iter().take_while(|step| step.seconds < to) {
            seconds += running * (step.seconds - since).max(0.0);
            (running, since) = (step.running, step.seconds.max(since));
        }
        seconds + running * (to - since).max(0.0)
    }

    /// The effective number of runs of which it is known that they went on after so many seconds, and what came of them.
    #[must_use]
    pub fn followed_beyond(&self, seconds: f64) -> f64 {
        self.split(seconds).1.first().map_or(0.0, |step| step.at_risk)
    }

    /// The last time, in seconds, by which runs end that were followed: beyond it the curve says nothing. 0 without runs.
    #[must_use]
    pub fn horizon(&self) -> f64 {
        self.steps.last().map_or(0.0, |step| step.seconds)
    }

    /// The plateau: the share of runs that go on after the last completion. Waiting longer than until then brings nothing,
    /// as far as the runs were followed.
    #[must_use]
    pub fn plateau(&self) -> Option<&Step> {
        self.steps.iter().rev().find(|step| step.completing > 0.0)
    }
}

/// How far sums of weights that are no round numbers may be off.
const ROUNDING: f64 = 1e-9;

/// The variance of the logarithm of the running share, Σ d / (n (n − d)) (Greenwood 1926).
fn greenwood(steps: &[Step]) -> f64 {
    steps.iter().filter(|step| step.ending < 1.0).map(|step| step.ending / ((1.0 - step.ending) * step.at_risk)).sum()
}

/// The number of equally weighted runs that are as good as these: (Σw)² / Σw².
fn effective([weights, squares]: [f64; 2]) -> f64 {
    if squares > 0.0 { weights * weights / squares } else { 0.0 }
}

impl Share {
    /// The lower bound that the share exceeds with this confidence (one-sided), 0.5 to 1.
    #[must_use]
    pub fn lower(&self, confidence: f64) -> f64 {
        1.0 - self.complement().bound(confidence, 1.0)
    }

    /// The upper bound that the share stays below with this confidence (one-sided), 0.5 to 1.
    #[must_use]
    pub fn upper(&self, confidence: f64) -> f64 {
        1.0 - self.complement().bound(confidence, -1.0)
    }

    fn complement(self) -> Self {
        Self { estimate: 1.0 - self.estimate, ..self }
    }

    /// A bound of a surviving share on the log–log scale (Kalbfleisch and Prentice 1980), which stays within 0 and 1. Where
    /// nothing or everything ended there is no variance to go by, and the bound is the binomial's (Clopper and Pearson
    /// 1934).
    fn bound(self, confidence: f64, side: f64) -> f64 {
        if self.runs <= 0.0 {
            return if side > 0.0 { 1.0 } else { 0.0 };
        }
        let of_all = (1.0 - confidence).powf(1.0 / self.runs);
        if self.estimate >= 1.0 {
            return if side > 0.0 { 1.0 } else { of_all };
        }
        if self.estimate <= 0.0 {
            return if side > 0.0 { 1.0 - of_all } else { 0.0 };
        }
        let log = self.estimate.ln();
        let spread = normal_quantile(confidence) * self.error / (self.estimate * log.abs());
        (log * (-side * spread).exp()).exp()
    }
}

fn normal_quantile(probability: f64) -> f64 {
    Normal::standard().inverse_cdf(probability.clamp(1e-12, 1.0 - 1e-12))
}
