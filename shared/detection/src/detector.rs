//! The evidence that a rate rose at some hour, whichever it was.
//!
//! An e-detector (Shin, Ramdas & Rinaldo 2024) of Shiryaev and Roberts' form: for each hour s at which a change may have
//! begun, an e-process E⁽ˢ⁾ that grows if the rate is higher from s on; all of them summed with weights w,
//!
//! Mₜ = Σ_{s ≤ t} w E⁽ˢ⁾ₜ, by recursion Mₜ = (Mₜ₋₁ + w) eₜ.
//!
//! While nothing changes, E\[Mₜ\] ≤ w · (starts so far), and M is bounded by a submartingale, so that by Doob's
//! inequality P(M ≥ c within so many starts) ≤ w · starts / c. With w = 1 / (starts that a month sees), c = 1/0.01 keeps
//! the false alarms of a month at 1 %, however often one looks: the present hour enters as it is.
//!
//! Starts close to the true one have almost as much evidence, so that their sum pays back much of what the number of
//! starts costs: the longer a change takes to be found, the more of them there are. That is why they are summed and why
//! none is left out.
//!
//! The baseline's level θ is unknown. For each level there is such an M(θ): the e-value of the baseline against that
//! level (`Halves::log_evidence_against`), times the likelihood ratio of the hours since, each hour's log odds θ (and the
//! drift that is allowed by then) or a higher alternative. At the true level it is an e-detector. The smallest M(θ) of all levels is at most that one, and
//! needs no knowledge of which it is.

use crate::baseline::{Baseline, Counts};
use crate::logit::{log_likelihood, logit};

/// Alternatives: the policy's change, and larger ones, each 1.6 times the one before in log odds. Between two of them
/// less than 6 % of the growth is lost.
const ALTERNATIVES: [f64; 5] = [1.0, 1.6, 2.56, 4.096, 6.5536];
/// How the bet is spread over them. A small change takes the most samples, so that is where evidence is dearest.
const STAKES: [f64; 5] = [0.36, 0.24, 0.18, 0.13, 0.09];
/// Levels that the baseline could have, in its standard errors: from −1 in steps of 0.75. Levels beyond have an e-value
/// against them of e²⁵ or more: they are ruled out, which adds e⁻²⁵ to the error.
const LEVELS: usize = 12;
const FIRST_LEVEL: f64 = -1.0;
const STEP: f64 = 0.75;
/// Evidence does not grow beyond this, so that it stays a number.
const MOST: f64 = 1e300;

/// The changes that may have begun on one day, seen against the baseline before that day.
#[derive(Debug, Clone)]
pub(crate) struct Detector {
    pub(crate) baseline: Baseline,
    /// Log odds, and odds.
    levels: [f64; LEVELS],
    level_odds: [f64; LEVELS],
    alternatives: Bets,
    alternative_odds: Bets,
    /// What a start begins with at each level: its weight times the baseline's e-value.
    opening: [f64; LEVELS],
    mass: Mass,
}

/// A number for each alternative.
type Bets = [f64; ALTERNATIVES.len()];
/// M(θ) for each level, and of it what was bet on each alternative.
type Mass = [Bets; LEVELS];

impl Detector {
    /// Of starts of so much weight, against a baseline whose rate would matter from a target on.
    pub(crate) fn new(baseline: Baseline, target: f64, weight: f64) -> Self {
        let (center, error) = baseline.halves.level();
        let smallest = (logit(target.min(0.9 + 0.1 * baseline.rate)) - baseline.level).max(1e-6);
        #[allow(clippy::cast_precision_loss, reason = "at most 11")]
        let levels: [f64; LEVELS] = std::array::from_fn(|place| center + error * (FIRST_LEVEL + STEP * place as f64));
        let opening = levels.map(|level| weight * baseline.halves.log_evidence_against(level).clamp(-600.0, 600.0).exp());
        let alternatives = ALTERNATIVES.map(|times| baseline.level + smallest * times);
        Self {
            baseline,
            levels,
            level_odds: levels.map(f64::exp),
            alternatives,
            alternative_odds: alternatives.map(f64::exp),
            opening,
            mass: Mass::default(),
        }
    }

    /// A change may begin here.
    pub(crate) fn open(&mut self) {
        self.mass = self.opened();
    }

    fn opened(&self) -> Mass {
        let mut mass = self.mass;
        for (mass, opening) in mass.iter_mut().zip(self.opening) {
            for (mass, stake) in mass.iter_mut().zip(STAKES) {
                *mass += stake * opening;
            }
        }
        mass
    }

    /// Takes another hour in. A change may begin with it, or only have begun before.
    pub(crate) fn take(&mut self, counts: &Counts, may_begin: bool) {
        self.mass = self.after(counts, may_begin);
    }

    fn after(&self, counts: &Counts, may_begin: bool) -> Mass {
        let mut mass = if may_begin { self.opened() } else { self.mass };
        let weight = self.baseline.weight(counts);
        let (trials, events) = (counts.trials * weight, counts.events * weight);
        let (offset, drift) = (self.baseline.offset(counts), self.baseline.drift(counts));
        // Log likelihoods against the baseline's own level, so that they are small numbers.
        let times = offset.exp();
        let usual = (1.0 + times * self.baseline.level.exp()).ln();
        let at = |x: f64, odds: f64, times: f64| events * (x - self.baseline.level) - trials * ((1.0 + times * odds).ln() - usual);
        let alternatives: Bets = std::array::from_fn(|bet| at(self.alternatives[bet], self.alternative_odds[bet], times));
        let drifted = times * drift.exp();
        let nulls: [f64; LEVELS] = std::array::from_fn(|place| at(self.levels[place] + drift, self.level_odds[place], drifted));
        // A quotient of two exponentials instead of an exponential for each pair, unless one would overflow.
        let moderate = alternatives.iter().chain(&nulls).all(|log| log.abs() < 300.0);
        let won = alternatives.map(f64::exp);
        for ((level, null), mass) in self.levels.iter().zip(nulls).zip(&mut mass) {
            let lost = (-null).exp();
            for (bet, mass) in mass.iter_mut().enumerate() {
                // An alternative below the level would be evidence of a fall, which is not asked for.
                if self.alternatives[bet] > level + drift {
                    let ratio = if moderate { won[bet] * lost } else { (alternatives[bet] - null).clamp(-600.0, 600.0).exp() };
                    *mass = (*mass * ratio).min(MOST);
                }
            }
        }
        mass
    }

    /// The evidence so far.
    pub(crate) fn evidence(&self) -> f64 {
        smallest(&self.mass)
    }

    /// The evidence if this were the next hour.
    pub(crate) fn evidence_with(&self, counts: &Counts, may_begin: bool) -> f64 {
        smallest(&self.after(counts, may_begin))
    }

    /// How much a bet on each alternative would have won in an hour, if the level were what it seems. Says when a change
    /// began; no evidence that there was one.
    pub(crate) fn apparent(&self, counts: &Counts) -> Bets {
        let weight = self.baseline.weight(counts);
        let (trials, events, offset) = (counts.trials * weight, counts.events * weight, self.baseline.offset(counts));
        let usual = log_likelihood(trials, events, self.baseline.level + offset);
        self.alternatives.map(|x| log_likelihood(trials, events, x + offset) - usual)
    }

    /// What the apparent winnings begin with.
    pub(crate) fn stakes() -> Bets {
        STAKES.map(f64::ln)
    }
}

/// The smallest M(θ), between the levels too: where three of them lie on a parabola, that one's lowest point.
fn smallest(mass: &Mass) -> f64 {
    let sums = mass.map(|mass| mass.iter().sum::<f64>());
    let lowest = (0..LEVELS).fold(0, |lowest, place| if sums[place] < sums[lowest] { place } else { lowest });
    if lowest == 0 || lowest == LEVELS - 1 || sums[lowest] <= 0.0 {
        return sums[lowest];
    }
    let [before, after] = [lowest - 1, lowest + 1].map(|place| (sums[place] / sums[lowest]).ln());
    if before + after <= 0.0 || !(before + after).is_finite() {
        return sums[lowest];
    }
    sums[lowest] * (-(after - before).powi(2) / (8.0 * (before + after))).exp()
}
