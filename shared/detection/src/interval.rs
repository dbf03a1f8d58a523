//! Where a change lies, looked at as often as one likes.

/// 95 %.
const ERROR: f64 = 0.05;
/// The change for which the interval is as narrow as can be, as a logarithm: 15 %.
const TYPICAL: f64 = 0.14;

/// A confidence sequence for the relative change between two rates, each with its trials.
///
/// On the scale of ln(current/baseline), whose variance is V = (1 − p₁)/k₁ + (1 − p₀)/k₀. It is asymptotic: counts of a few
/// dozen make the normal approximation good. Half an event more keeps it finite.
pub(crate) fn of_relative_change(baseline: (f64, f64), current: (f64, f64)) -> (f64, f64) {
    let of = |(rate, trials): (f64, f64)| ((rate * trials + 0.5) / (trials + 1.0), trials + 1.0);
    let ((before, trials_before), (now, trials_now)) = (of(baseline), of(current));
    let variance = (1.0 - now) / (now * trials_now) + (1.0 - before) / (before * trials_before);
    let half = half_width(variance, TYPICAL, ERROR);
    let center = (now / before).ln();
    ((center - half).exp() - 1.0, ((center + half).exp() - 1.0).min(1e300))
}

/// Half the width of a confidence sequence around an estimate of this variance V, by Robbins' normal mixture (Howard, Ramdas,
/// McAuliffe & Sekhon 2021, eq. 14): √((v + ρ) ln((v + ρ) / (ρ α²))) / v, v = 1/V, ρ = 1/typical². It is as narrow as can be
/// when the standard error is about as large as the typical change.
pub(crate) fn half_width(variance: f64, typical: f64, error: f64) -> f64 {
    let information = 1.0 / variance.max(1e-18);
    let prior = 1.0 / (typical * typical).max(1e-12);
    let sum = information + prior;
    (sum * (sum / (prior * error * error)).ln()).sqrt() / information
}
