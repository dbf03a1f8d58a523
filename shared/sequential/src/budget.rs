//! The account's budget of false discoveries.

/// The error that the `t`th comparison of an account (from 1 on) may have, so that among all discoveries at most the share
/// `rate` is expected to be false, whatever the comparisons have to do with each other: reject where the e-value reaches the
/// inverse. e-LOND, Xu & Ramdas, "Online multiple testing with e-values" (2024): `rate` γₜ (d + 1), where `d` discoveries are
/// known among those before, with γₜ ∝ 1 / ((t + 4) ln²(t + 4)), whose sum over all t is at most 1.
#[must_use]
pub fn level(rate: f64, t: u64, discoveries: u64) -> f64 {
    // A convex function is at most its mean over the unit around: the sum is at most the integral from 4.5 on, 1 / ln 4.5.
    let s = t.max(1) as f64 + 4.0;
    let share = 4.5_f64.ln() / (s * s.ln().powi(2));
    (rate * share * (discoveries as f64 + 1.0)).min(rate)
}
