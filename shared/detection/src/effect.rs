//! What an action did to a rate.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::baseline::{Baseline, Stream};
use crate::interval::half_width;
use crate::logit::{logit, rate};
use crate::rule::{Direction, Rule};
use crate::series::{Hour, Series};

/// Untouched rates tell how much rates move by themselves only if there are so many of them.
const UNTOUCHED: usize = 3;

/// Fewer trials than this before or after make a comparison with an untouched rate worthless.
const TRIALS: f64 = 20.0;

/// The hours that are compared. Those between the two spans hold trials from before and after the action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spans {
    /// The first hour of the rate as it was when the action was decided: where the change began that it answers.
    pub since: Hour,
    /// The hour of the action, which belongs to neither span.
    pub acted: Hour,
    /// The first hour in which the action has its full effect.
    pub after: Hour,
    /// The first hour that is not known yet.
    pub until: Hour,
}

/// What became of a rate after an action, beside what was to be expected without it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    /// The rate before, as it was counted.
    pub before: f64,
    /// The rate after, as it was counted.
    pub after: f64,
    /// Trials before and after.
    pub trials: [u64; 2],
    /// How many untouched rates it was compared with; 0 if there were too few.
    pub untouched: usize,
    /// What the action added to the log odds of an event …
    pub shift: f64,
    /// … and the variance of that.
    pub variance: f64,
    /// The smallest change that matters, in log odds.
    pub matters: f64,
}

impl Effect {
    /// Bounds on the shift of the log odds. Looked at as often as one likes, the true shift is outside with this probability
    /// at most; nearly, since it rests on the normal approximation.
    #[must_use]
    pub fn bounds(&self, error: f64) -> [f64; 2] {
        let half = half_width(self.variance, self.matters, error);
        [self.shift - half, self.shift + half]
    }

    /// The rate that was to be expected after the action without it, if it had shifted the log odds by so much.
    #[must_use]
    pub fn expected(&self, shift: f64) -> f64 {
        rate(logit(self.after) - shift)
    }
}

/// Compares a rate after an action with what was to be expected without it; nothing before there are trials on both sides.
///
/// A difference in differences on the scale of log odds, where the season's hours are taken out of both spans: how far the
/// rate is from its baseline after, less how far it was before, less the same of the untouched rates in the mean. How much
/// those differ among each other beyond chance (DerSimonian & Laird 1986) is what this rate, too, may have moved by itself, and
/// is added to the variance. An action answers an extreme, and extremes recede by themselves; the bounds of [`Effect::bounds`]
/// hold at whatever moment a look was made, so that they hold at the moment that the extreme was noticed as well.
#[must_use]
pub fn effect(series: &Series, untouched: &[&Series], rule: &Rule, spans: Spans) -> Option<Effect> {
    let moved = Move::of(series, rule, spans)?;
    let others: Vec<Move> = untouched
        .iter()
        .filter_map(|other| Move::of(other, rule, spans))
        .filter(|other| other.before.trials >= TRIALS && other.after.trials >= TRIALS)
        .collect();
    let (common, common_variance, compared) = if others.len() < UNTOUCHED { (0.0, 0.0, 0) } else { common(&others) };
    let shift = moved.by - common;
    let (before, after) = (moved.before.rate(), moved.after.rate());
    let usual = rate(logit(after) - shift);
    let bad = if rule.direction == Direction::Rise { usual } else { 1.0 - usual };
    let matters = (logit(rule.target(bad)) - logit(bad)).clamp(1e-3, 20.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sums of counts")]
    let trials = [moved.before.trials as u64, moved.after.trials as u64];
    Some(Effect { before, after, trials, untouched: compared, shift, variance: moved.variance + common_variance, matters })
}

/// What rates have in common: the mean of their moves, and the variance with which another one follows it.
fn common(moves: &[Move]) -> (f64, f64, usize) {
    let weighed = |between: f64| {
        let (sum, of) = moves.iter().fold((0.0, 0.0), |(sum, of), other| {
            let weight = 1.0 / (other.variance + between);
            (sum + weight, of + weight * other.by)
        });
        (of / sum, sum)
    };
    let (mean, sum) = weighed(0.0);
    let q: f64 = moves.iter().map(|other| (other.by - mean).powi(2) / other.variance).sum();
    let squares: f64 = moves.iter().map(|other| other.variance.powi(-2)).sum();
    #[allow(clippy::cast_precision_loss, reason = "a number of rates")]
    let over = q - (moves.len() - 1) as f64;
    let scale = sum - squares / sum;
    let between = if over > 0.0 && scale > 0.0 { over / scale } else { 0.0 };
    let (mean, sum) = weighed(between);
    (mean, 1.0 / sum + between, moves.len())
}

/// How far a rate moved from one span to the other, in log odds, its season taken out.
#[derive(Debug, Clone, Copy)]
struct Move {
    before: Counted,
    after: Counted,
    by: f64,
    variance: f64,
}

impl Move {
    fn of(series: &Series, rule: &Rule, spans: Spans) -> Option<Self> {
        let no_shifts = BTreeMap::new();
        let stream = Stream { series, direction: Direction::Rise, shifts: &no_shifts };
        let baseline = Baseline::learn(stream, rule, spans.since.day()).unwrap_or_else(Baseline::blank);
        let before = Counted::of(stream, &baseline, spans.since..spans.acted)?;
        let after = Counted::of(stream, &baseline, spans.after..spans.until)?;
        Some(Self { before, after, by: after.shift - before.shift, variance: before.variance + after.variance })
    }
}

/// A span of hours beside what its season leads to expect.
#[derive(Debug, Clone, Copy)]
struct Counted {
    trials: f64,
    events: f64,
    /// From the baseline's level, in log odds.
    shift: f64,
    variance: f64,
}

impl Counted {
    /// The most likely shift, by Newton's steps. Half an event of half a trial more keeps it finite.
    fn of(stream: Stream<'_>, baseline: &Baseline, hours: Range<Hour>) -> Option<Self> {
        let hours: Vec<_> = stream.between(hours).collect();
        let (trials, events) = hours.iter().fold((0.0, 0.0), |(trials, events), hour| (trials + hour.trials, events + hour.events));
        if trials <= 0.0 {
            return None;
        }
        let (mut shift, mut information) = (0.0, 1.0);
        for _ in 0..12 {
            let at_level = rate(baseline.level + shift);
            let (mut excess, mut sum) = (0.5 - at_level, at_level * (1.0 - at_level));
            for hour in &hours {
                let expected = rate(baseline.level + baseline.offset(hour) + shift);
                let weight = baseline.weight(hour);
                excess += weight * (hour.events - hour.trials * expected);
                sum += weight * hour.trials * expected * (1.0 - expected);
            }
            information = sum.max(1e-9);
            shift += (excess / information).clamp(-2.0, 2.0);
            if (excess / information).abs() < 1e-9 {
                break;
            }
        }
        Some(Self { trials, events, shift, variance: 1.0 / information })
    }

    fn rate(&self) -> f64 {
        (self.events + 0.5) / (self.trials + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Change;
    use crate::series::Tally;

    const DAYS: i64 = 28;
    const SINCE: Hour = Hour(DAYS * 24);

    fn rule() -> Rule {
        Rule::new(Direction::Rise, Change::Relative(0.15))
    }

    fn spans() -> Spans {
        Spans { since: SINCE, acted: SINCE.plus(24), after: SINCE.plus(25), until: SINCE.plus(72) }
    }

    /// Counts of a hundred an hour at these rates: usual, since the change, since the action. Twice as many fail by night.
    fn series(usual: f64, since: f64, after: f64, trials: u64) -> Series {
        (0..SINCE.0 + 72)
            .map(|hour| {
                let rate = if hour < SINCE.0 {
                    usual
                } else if hour < SINCE.0 + 24 {
                    since
                } else {
                    after
                };
                let season = if hour % 24 < 8 { 4.0 / 3.0 } else { 5.0 / 6.0 };
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
                let events = (trials as f64 * rate * season).round() as u64;
                (Hour(hour), Tally::new(trials, events).expect("fewer events"))
            })
            .collect()
    }

    #[test]
    fn a_rate_that_went_back_after_the_action_is_told_with_what_it_would_have_been() {
        let effect = effect(&series(0.1, 0.2, 0.1, 300), &[], &rule(), spans()).expect("counts on both sides");
        let [low, high] = effect.bounds(0.05);
        assert!(high < 0.0 && low < -0.7, "{effect:?}");
        assert!((effect.after - 0.1).abs() < 0.01 && (effect.expected(effect.shift) - 0.2).abs() < 0.02, "{effect:?}");
    }

    #[test]
    fn a_season_is_no_effect() {
        // After the action only the bad hours of the nights.
        let nights = Spans { until: SINCE.plus(56), after: SINCE.plus(48), ..spans() };
        let effect = effect(&series(0.1, 0.1, 0.1, 300), &[], &rule(), nights).expect("counts on both sides");
        assert!(effect.shift.abs() < 0.1, "{effect:?}");
    }

    #[test]
    fn what_the_untouched_rates_did_as_well_is_no_effect() {
        let others = [series(0.05, 0.12, 0.05, 300), series(0.1, 0.2, 0.1, 300), series(0.2, 0.36, 0.2, 300)];
        let effect = effect(&series(0.1, 0.2, 0.1, 300), &others.each_ref(), &rule(), spans()).expect("counts on both sides");
        let [low, high] = effect.bounds(0.05);
        assert!(effect.untouched == 3 && low < 0.0 && high > 0.0, "{effect:?}");
    }

    #[test]
    fn two_untouched_rates_tell_nothing_of_how_much_rates_move() {
        let others = [series(0.1, 0.2, 0.1, 300), series(0.1, 0.2, 0.1, 300)];
        let effect = effect(&series(0.1, 0.2, 0.1, 300), &others.each_ref(), &rule(), spans()).expect("counts on both sides");
        assert!(effect.untouched == 0 && effect.bounds(0.05)[1] < 0.0, "{effect:?}");
    }

    #[test]
    fn without_counts_after_it_nothing_is_told() {
        let spans = Spans { after: SINCE.plus(72), until: SINCE.plus(90), ..spans() };
        assert_eq!(effect(&series(0.1, 0.2, 0.1, 300), &[], &rule(), spans), None);
    }

    #[test]
    fn a_rate_of_nothing_stays_finite() {
        let effect = effect(&series(0.0, 0.0, 0.0, 300), &[], &rule(), spans()).expect("counts on both sides");
        assert!(effect.shift.abs() < 3.0 && effect.variance.is_finite() && effect.bounds(0.05)[1].is_finite(), "{effect:?}");
    }
}
