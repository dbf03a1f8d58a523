//! The alternatives that are bet on.

use crate::{Arm, Expected};

/// One alternative, and the null rates that it is held against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bet {
    /// Its share of the stake, as a logarithm.
    log_weight: f64,
    /// Logarithms of what a unit with the event and one without multiply the stake by: treatment, then control.
    gains: [f64; 4],
}

impl Bet {
    /// A bet on these rates against "treatment − control = `margin`". Nothing if no rates of the null are its projection.
    ///
    /// A unit of arm `a` with outcome `y` pays θₐ(y) / qₐ(y). Where the arms are equally likely the expected payment is linear
    /// in the control's rate along the null, and it is 1 for every such rate if q lies on the null and
    /// (θt − qt) / (qt (1 − qt)) + (θc − qc) / (qc (1 − qc)) = 0: the reverse information projection of Turner, Ly & Grünwald,
    /// "Generic e-variables for exact sequential k-sample tests" (2024). With θt above qt it is less than 1 below the null.
    fn on(control: f64, treatment: f64, margin: f64, log_weight: f64) -> Option<Self> {
        let q = if margin == 0.0 { f64::midpoint(control, treatment) } else { projection(control, treatment, margin)? };
        let r = q + margin;
        let inside = |rate: f64| rate > 1e-12 && rate < 1.0 - 1e-12;
        if !inside(q) || !inside(r) || treatment <= r {
            return None;
        }
        let gains = [(treatment / r).ln(), ((1.0 - treatment) / (1.0 - r)).ln(), (control / q).ln(), ((1.0 - control) / (1.0 - q)).ln()];
        Some(Self { log_weight, gains })
    }

    /// The logarithm of what the bet has come to.
    fn capital(&self, control: Arm, treatment: Arm) -> f64 {
        let counts = [treatment.events(), treatment.others(), control.events(), control.others()];
        self.log_weight + self.gains.iter().zip(counts).map(|(gain, count)| gain * count).sum::<f64>()
    }

    /// How much the logarithm grows with a unit of each arm, if these are the rates, and its variance.
    fn growth(&self, control: f64, treatment: f64) -> (f64, f64) {
        let [t1, t0, c1, c0] = self.gains;
        let mean = treatment * t1 + (1.0 - treatment) * t0 + control * c1 + (1.0 - control) * c0;
        let variance = treatment * (1.0 - treatment) * (t1 - t0).powi(2) + control * (1.0 - control) * (c1 - c0).powi(2);
        (mean, variance)
    }
}

/// The control's rate on the null "treatment − control = `margin`" that the rates of an alternative project to.
fn projection(control: f64, treatment: f64, margin: f64) -> Option<f64> {
    let slope = |q: f64| {
        let r = q + margin;
        (treatment - r) / (r * (1.0 - r)) + (control - q) / (q * (1.0 - q))
    };
    // The slope falls from +∞ to −∞ between the ends at which a null rate is 0 or 1.
    let (mut low, mut high) = ((-margin).max(0.0), (1.0 - margin).min(1.0));
    if high - low < 1e-9 {
        return None;
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if slope(middle) > 0.0 { low = middle } else { high = middle }
    }
    Some(f64::midpoint(low, high))
}

/// Halvings of the range that a projection lies in: what is wrong with it then is beyond a double's digits in a bet.
const HALVINGS: usize = 46;

/// Differences that are bet on, as multiples of the smallest one worth telling, and their shares of the stake. Twice as large
/// an effect is to be told much sooner, hence the upper ones; the lower ones are for intervals after many units.
const EFFECTS: [(f64, f64); 9] =
    [(0.0625, 0.02), (0.125, 0.03), (0.25, 0.06), (0.5, 0.14), (1.0, 0.35), (1.5, 0.16), (2.0, 0.12), (3.0, 0.08), (5.0, 0.04)];

/// Steps away from the expected baseline, in logits, and their shares. It matters little: in the growth of a bet what is wrong
/// about the baseline cancels, but for the variance that it implies.
const BASELINES: [(f64, f64); 5] = [(-1.6, 0.1), (-0.7, 0.2), (0.0, 0.4), (0.7, 0.2), (1.6, 0.1)];

/// Bets on a difference above a margin.
#[derive(Debug, Clone)]
pub(crate) struct Mixture {
    bets: Vec<Bet>,
}

impl Mixture {
    pub(crate) fn above(margin: f64, expected: &Expected) -> Self {
        let Expected { baseline, effect } = expected.held();
        let logit = (baseline / (1.0 - baseline)).ln();
        let mut bets = Vec::with_capacity(EFFECTS.len() * BASELINES.len());
        for (step, of_baseline) in BASELINES {
            let centre = 1.0 / (1.0 + (-(logit + step)).exp());
            for (multiple, of_effect) in EFFECTS {
                let difference = margin + multiple * effect;
                // Around the expected baseline, as far as both rates are rates.
                let (least, most) = ((-difference).max(0.0) + 1e-4, (1.0 - difference).min(1.0) - 1e-4);
                if least < most {
                    let control = centre.clamp(least, most);
                    bets.extend(Bet::on(control, control + difference, margin, f64::ln(of_baseline * of_effect)));
                }
            }
        }
        Self { bets }
    }

    /// The logarithm of the e-value: all bets together. What could not be bet stays in the pocket.
    pub(crate) fn evidence(&self, control: Arm, treatment: Arm) -> f64 {
        if self.bets.is_empty() {
            return 0.0;
        }
        let staked: f64 = self.bets.iter().map(|bet| bet.log_weight.exp()).sum();
        let kept = (1.0 - staked).max(1e-12).ln();
        let capitals: Vec<f64> = self.bets.iter().map(|bet| bet.capital(control, treatment)).collect();
        let most = capitals.iter().copied().fold(kept, f64::max);
        most + (capitals.iter().map(|capital| (capital - most).exp()).sum::<f64>() + (kept - most).exp()).ln()
    }

    /// The fastest growth of a bet for a unit of each arm, if these are the rates, and its variance.
    pub(crate) fn growth(&self, control: f64, treatment: f64) -> (f64, f64) {
        let growths = self.bets.iter().map(|bet| bet.growth(control, treatment));
        growths.max_by(|one, other| one.0.total_cmp(&other.0)).unwrap_or((0.0, 0.0))
    }
}
