//! Rates on the scale of log odds.

/// The log odds of a rate, finite for every rate.
pub(crate) fn logit(rate: f64) -> f64 {
    let rate = rate.clamp(1e-12, 1.0 - 1e-12);
    (rate / (1.0 - rate)).ln()
}

/// The rate of log odds.
pub(crate) fn rate(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// The log likelihood of counts at log odds `x`: k x − n ln(1 + eˣ).
pub(crate) fn log_likelihood(trials: f64, events: f64, x: f64) -> f64 {
    events * x - trials * softplus(x)
}

/// ln(1 + eˣ) without overflow.
pub(crate) fn softplus(x: f64) -> f64 {
    if x > 0.0 { x + (-x).exp().ln_1p() } else { x.exp().ln_1p() }
}
