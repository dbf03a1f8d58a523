//! Sample-ratio mismatch.

use statrs::function::gamma::ln_gamma;

/// Units of each arm while the shares were these.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// Units of each arm.
    pub units: Vec<u64>,
    /// The planned share of each, above 0, in the same order. Only their ratios matter.
    pub shares: Vec<f64>,
}

/// How sure the alternatives are that the shares are near the planned ones: pseudo-counts of the Dirichlet distribution. Small
/// ones tell a gross mismatch at once, large ones a slight one after many units.
const CONCENTRATIONS: [f64; 4] = [10.0, 100.0, 1_000.0, 10_000.0];

/// The natural logarithm of the e-value against "each unit falls into the arms with the planned shares": a sequential
/// multinomial test with Dirichlet mixtures around them (Lindon & Malek, "Anytime-valid inference for multinomial count data",
/// 2022), averaged over some concentrations. Phases with shares of their own multiply. What cannot be a phase (other lengths,
/// shares that are none) says nothing.
#[must_use]
pub fn mismatch(phases: &[Phase]) -> f64 {
    phases.iter().filter_map(of_phase).sum()
}

fn of_phase(phase: &Phase) -> Option<f64> {
    let all: f64 = phase.shares.iter().sum();
    let are_shares = phase.shares.iter().all(|share| *share > 0.0) && all.is_finite();
    if phase.units.len() != phase.shares.len() || phase.units.len() < 2 || !are_shares {
        return None;
    }
    let shares: Vec<f64> = phase.shares.iter().map(|share| share / all).collect();
    let total: f64 = phase.units.iter().map(|units| *units as f64).sum();
    let planned: f64 = phase.units.iter().zip(&shares).map(|(units, share)| *units as f64 * share.ln()).sum();
    let logs = CONCENTRATIONS.map(|concentration| {
        let arms = phase.units.iter().zip(&shares).map(|(units, share)| {
            let pseudo = concentration * share;
            ln_gamma(pseudo + *units as f64) - ln_gamma(pseudo)
        });
        arms.sum::<f64>() + ln_gamma(concentration) - ln_gamma(concentration + total) - planned
    });
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some(most + (logs.iter().map(|log| (log - most).exp()).sum::<f64>() / logs.len() as f64).ln())
}
