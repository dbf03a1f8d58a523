//! E-values for a difference, and the differences that they leave.

use crate::mixture::Mixture;
use crate::{Arm, Expected};

/// Halvings of the range that a bound lies in: to less than a millionth of a point.
const HALVINGS: usize = 34;

/// The natural logarithm of the e-value against "treatment − control is at most `margin`" (−1 to 1, in points).
///
/// A mixture of bets that each have an expected payment of at most 1 under every pair of rates in the null, where both arms are
/// equally likely for each unit: whenever and however often one looks, it reaches 1/α with a probability of at most α (Ville
/// 1939; Turner, Ly & Grünwald 2024).
#[must_use]
pub fn evidence_of_rise(control: Arm, treatment: Arm, margin: f64, expected: &Expected) -> f64 {
    if !(-1.0..1.0).contains(&margin) {
        // Every difference is within it, or it is no number: there is nothing to refute.
        return 0.0;
    }
    Mixture::above(margin, expected).evidence(control, treatment)
}

/// The same against "treatment − control is at least `margin`".
#[must_use]
pub fn evidence_of_fall(control: Arm, treatment: Arm, margin: f64, expected: &Expected) -> f64 {
    evidence_of_rise(treatment, control, -margin, expected)
}

/// Differences of rates, in points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// No less than this.
    pub lower: f64,
    /// What was seen.
    pub estimate: f64,
    /// No more than this.
    pub upper: f64,
}

/// The differences treatment − control that are not refuted: the true one is among them at all looks together with a
/// probability of at least 1 − `alpha`. Bets on small differences make it narrow after many units.
#[must_use]
pub fn interval(control: Arm, treatment: Arm, alpha: f64, expected: &Expected) -> Interval {
    let estimate = treatment.rate() - control.rate();
    if control.units == 0 || treatment.units == 0 || alpha.is_nan() || alpha <= 0.0 {
        return Interval { lower: -1.0, estimate, upper: 1.0 };
    }
    let enough = (2.0 / alpha.min(1.0)).ln();
    let refuted_below = |margin: f64| evidence_of_rise(control, treatment, margin, expected) >= enough;
    let refuted_above = |margin: f64| evidence_of_fall(control, treatment, margin, expected) >= enough;
    Interval { lower: bound(estimate, -1.0, refuted_below), estimate, upper: bound(estimate, 1.0, refuted_above) }
}

/// Where refuting ends between what was seen and an end.
fn bound(seen: f64, end: f64, refuted: impl Fn(f64) -> bool) -> f64 {
    let (mut kept, mut gone) = (seen, end);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(kept, gone);
        if refuted(middle) { gone = middle } else { kept = middle }
    }
    // Towards the end: wider rather than narrower.
    gone
}
