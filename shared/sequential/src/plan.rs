//! What an experiment takes, before and while it runs.

use statrs::distribution::{ContinuousCDF, Normal};

use crate::mixture::Mixture;
use crate::{Arm, Expected, evidence_of_rise};

/// No plan is for more units an arm than this.
const MOST: f64 = 1e9;

/// Units of each arm until a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// A test that looks once, with the same error and power.
    pub fixed: u64,
    /// The sequential one in the median, if the difference is the smallest worth telling …
    pub median: u64,
    /// … and so many in the share of cases that the power is.
    pub at_power: u64,
}

/// Units of each of two arms that are alike until a difference of `expected.effect` is told, with an error of `alpha` (one-sided,
/// over all looks) and this power. Nothing if no number of units is enough.
///
/// The logarithm of the e-value grows about like a Brownian motion with drift; the time until it crosses ln(1/`alpha`) has an
/// inverse Gaussian distribution (Wald 1947; Chhikara & Folks 1989).
#[must_use]
pub fn plan(expected: &Expected, alpha: f64, power: f64) -> Option<Plan> {
    let Expected { baseline, effect } = expected.held();
    let better = baseline + effect;
    if better >= 1.0 || !(alpha > 0.0 && alpha < 1.0) || !(power > 0.0 && power < 1.0) {
        return None;
    }
    let mixture = Mixture::above(0.0, expected);
    let (growth, variance) = mixture.growth(baseline, better);
    if growth <= 0.0 {
        return None;
    }
    // Where the e-value of what is expected to be counted crosses: with what the mixture costs.
    let enough = (1.0 / alpha).ln();
    let crossed = |units: f64| evidence_of_expected(&mixture, units, baseline, better) >= enough;
    let mean = first(crossed)?;
    let fixed = fixed_sample(baseline, better, alpha, power);
    let barrier = mean * growth;
    let by = |share: f64| first(|units| passage(barrier, growth, variance, units) >= share);
    let (median, at_power) = (by(0.5)?, by(power)?);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and a thousand million")]
    let whole = |units: f64| units.ceil() as u64;
    Some(Plan { fixed: whole(fixed), median: whole(median), at_power: whole(at_power) })
}

/// The probability that [`evidence_of_rise`] reaches 1/`alpha` within so many more units of control and treatment, if the
/// difference is `expected.effect` from now on.
#[must_use]
pub fn conditional_power(control: Arm, treatment: Arm, remaining: (u64, u64), alpha: f64, expected: &Expected) -> f64 {
    let Expected { effect, .. } = expected.held();
    let enough = (1.0 / alpha).ln();
    let now = evidence_of_rise(control, treatment, 0.0, expected);
    if now >= enough {
        return 1.0;
    }
    let more = remaining.0.min(remaining.1) as f64;
    if more < 1.0 {
        return 0.0;
    }
    // The control goes on as it did; without any units, as was expected.
    let rate = if control.units > 0 { control.rate() } else { expected.held().baseline }.clamp(0.001, 0.999 - effect);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of units")]
    let with = |arm: Arm, units: u64, rate: f64| Arm {
        units: arm.units.saturating_add(units),
        events: arm.events.saturating_add((units as f64 * rate).round() as u64),
    };
    let then = evidence_of_rise(with(control, remaining.0, rate), with(treatment, remaining.1, rate + effect), 0.0, expected);
    let (growth, variance) = Mixture::above(0.0, expected).growth(rate, rate + effect);
    // The spread per nat of growth is that of the fastest bet; its mean is that of all together.
    let drift = (then - now) / more;
    let variance = if growth > 0.0 { variance } else { 1e-12 };
    passage(enough - now, drift, variance, more)
}

/// A z-test of two rates that looks once (Fleiss 1981).
fn fixed_sample(baseline: f64, better: f64, alpha: f64, power: f64) -> f64 {
    let normal = Normal::standard();
    let pooled = f64::midpoint(baseline, better);
    let spread = normal.inverse_cdf(1.0 - alpha) * (2.0 * pooled * (1.0 - pooled)).sqrt()
        + normal.inverse_cdf(power) * (baseline * (1.0 - baseline) + better * (1.0 - better)).sqrt();
    (spread / (better - baseline)).powi(2)
}

/// The e-value of what so many units of each arm are expected to count, between whole units too.
fn evidence_of_expected(mixture: &Mixture, units: f64, baseline: f64, better: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most a thousand million")]
    let arm = |rate: f64| Arm { units: units.round() as u64, events: (units * rate).round() as u64 };
    mixture.evidence(arm(baseline), arm(better))
}

/// The smallest number of units from which on something holds.
fn first(holds: impl Fn(f64) -> bool) -> Option<f64> {
    let mut most = 1.0;
    while !holds(most) {
        most *= 2.0;
        if most > MOST {
            return None;
        }
    }
    let mut least = most / 2.0;
    while most - least > 0.5 {
        let middle = f64::midpoint(least, most);
        if holds(middle) { most = middle } else { least = middle }
    }
    Some(most)
}

/// The probability that a Brownian motion with this drift and variance for each unit reaches a barrier within so many units.
fn passage(barrier: f64, drift: f64, variance: f64, units: f64) -> f64 {
    if barrier <= 0.0 {
        return 1.0;
    }
    let normal = Normal::standard();
    let spread = (variance * units).sqrt().max(1e-300);
    let straight = normal.cdf((drift * units - barrier) / spread);
    // exp(2 μ a / σ²) may be beyond all numbers where the probability that it multiplies is next to nothing.
    let factor = 2.0 * drift * barrier / variance.max(1e-300);
    let mirrored = normal.cdf((-drift * units - barrier) / spread);
    let mirrored = if mirrored > 0.0 { (factor + mirrored.ln()).exp() } else { 0.0 };
    (straight + mirrored).clamp(0.0, 1.0)
}
