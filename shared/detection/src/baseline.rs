//! What the hours before a day lead to expect of the hours after.

use std::collections::BTreeMap;
use std::ops::Range;

use statrs::function::beta::ln_beta;

use crate::logit::{log_likelihood, logit, rate};
use crate::rule::{Direction, Rule};
use crate::series::{Hour, Series, Tally};

/// What is known of an hour from elsewhere, in log odds: the rate is expected to be shifted by so much, give or take.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shift {
    pub(crate) by: f64,
    pub(crate) variance: f64,
}

/// A series as a test reads it: every change is a rise, of the events or of their complement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stream<'a> {
    pub(crate) series: &'a Series,
    pub(crate) direction: Direction,
    /// Hours that are not there are not shifted.
    pub(crate) shifts: &'a BTreeMap<Hour, Shift>,
}

/// An hour of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) hour: Hour,
    pub(crate) trials: f64,
    pub(crate) events: f64,
    pub(crate) shift: Shift,
}

impl Stream<'_> {
    #[allow(clippy::cast_precision_loss, reason = "beyond 2^53 trials the last digit does not matter")]
    pub(crate) fn counts(&self, hour: Hour, tally: Tally) -> Counts {
        let (trials, events) = (tally.trials() as f64, tally.events() as f64);
        let shift = self.shifts.get(&hour).copied().unwrap_or_default();
        match self.direction {
            Direction::Rise => Counts { hour, trials, events, shift },
            Direction::Fall => Counts { hour, trials, events: trials - events, shift: Shift { by: -shift.by, ..shift } },
        }
    }

    pub(crate) fn between(&self, hours: Range<Hour>) -> impl Iterator<Item = Counts> {
        self.series.between(hours).map(|(hour, tally)| self.counts(hour, tally))
    }
}

/// Trials, events, and what was expected of them.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    trials: f64,
    events: f64,
    expected: f64,
    /// Fisher information of a shift of the log odds: the sum of n p (1 − p).
    information: f64,
}

impl Sum {
    fn plus(self, other: Self) -> Self {
        Self {
            trials: self.trials + other.trials,
            events: self.events + other.events,
            expected: self.expected + other.expected,
            information: self.information + other.information,
        }
    }

    fn add(&mut self, trials: f64, events: f64, rate: f64) {
        self.trials += trials;
        self.events += events;
        self.expected += trials * rate;
        self.information += trials * rate * (1.0 - rate);
    }
}

/// The variance between groups in excess of chance, by moments (DerSimonian & Laird 1986):
/// τ² = (Q − (g − 1)) / (ΣI − ΣI²/ΣI), Q = Σ (k − E)²/I; with it, how many standard deviations Q is off.
fn excess(groups: &[Sum]) -> (f64, f64) {
    let (mut count, mut q, mut sum, mut squares) = (0.0, 0.0, 0.0, 0.0);
    for group in groups.iter().filter(|group| group.information > 0.0) {
        count += 1.0;
        q += (group.events - group.expected).powi(2) / group.information;
        sum += group.information;
        squares += group.information.powi(2);
    }
    if count < 2.0 {
        return (0.0, 0.0);
    }
    let (over, scale) = (q - (count - 1.0), sum - squares / sum);
    if over > 0.0 && scale > 0.0 { (over / scale, over / (2.0 * (count - 1.0)).sqrt()) } else { (0.0, 0.0) }
}

/// The hours of a week: how far each is from the level, in log odds, and how surely that is known.
#[derive(Debug, Clone)]
pub(crate) struct Week {
    offsets: [f64; 168],
    variances: [f64; 168],
}

impl Week {
    /// Without seasons.
    pub(crate) const FLAT: Self = Self { offsets: [0.0; 168], variances: [0.0; 168] };

    /// Hours of the day, days of the week, then what is left of each hour of the week. Each effect is shrunk towards
    /// none by how much such effects vary beyond chance (empirical Bayes: the posterior mode under N(0, τ²), Newton's
    /// steps), so that an hour that was seen seldom is taken to be like the others.
    fn learn(cells: &[Sum; 168], shifts: &[f64; 168], level: f64) -> Self {
        let mut week = Self::FLAT;
        // A cell's hour of the day is its remainder by 24, its day of the week its quotient.
        for (groups, divisor) in [(24, 1), (7, 24), (168, 1)] {
            let group_of = |cell: usize| cell / divisor % groups;
            let mut effects = vec![(0.0, 0.0); groups];
            let mut between = 0.0;
            for step in 0..3 {
                let mut sums = vec![Sum::default(); groups];
                for (place, cell) in cells.iter().enumerate() {
                    let group = group_of(place);
                    let expected = rate(level + shifts[place] + week.offsets[place] + effects[group].0);
                    sums[group].add(cell.trials, cell.events, expected);
                }
                if step == 0 {
                    between = excess(&sums).0;
                }
                if between <= 0.0 {
                    break;
                }
                for (effect, sum) in effects.iter_mut().zip(&sums) {
                    let precision = sum.information + 1.0 / between;
                    let step = (sum.events - sum.expected - effect.0 / between) / precision;
                    *effect = (effect.0 + step.clamp(-2.0, 2.0), 1.0 / precision);
                }
            }
            for place in 0..168 {
                let (effect, variance) = effects[group_of(place)];
                week.offsets[place] += effect;
                week.variances[place] += variance;
            }
        }
        week
    }
}

/// What the hours before a day lead to expect.
#[derive(Debug, Clone)]
pub(crate) struct Baseline {
    /// Log odds of the level: those at which as many events are expected as there were.
    pub(crate) level: f64,
    pub(crate) week: Week,
    /// Of all trials.
    pub(crate) rate: f64,
    pub(crate) trials: f64,
    pub(crate) days: i64,
    /// How much days differ beyond chance, and the information that a day has.
    day_variance: f64,
    day_information: f64,
    /// The first hour after it, and how old its newer half was then.
    first_hour: Hour,
    age_in_days: f64,
    /// In log odds.
    drift_a_day: f64,
    pub(crate) halves: Halves,
}

impl Baseline {
    /// Learns from the days before one. Nothing, without trials.
    pub(crate) fn learn(stream: Stream<'_>, rule: &Rule, day: i64) -> Option<Self> {
        let hours = Hour::of_day(day.saturating_sub(rule.baseline()))..Hour::of_day(day);
        let hours: Vec<Counts> = stream.between(hours).collect();
        let mut cells = [Sum::default(); 168];
        let mut shifts = [0.0; 168];
        let (mut trials, mut events) = (0.0, 0.0);
        for hour in &hours {
            let cell = hour.hour.of_week();
            cells[cell].trials += hour.trials;
            cells[cell].events += hour.events;
            shifts[cell] += hour.trials * hour.shift.by;
            trials += hour.trials;
            events += hour.events;
        }
        if trials <= 0.0 {
            return None;
        }
        for (shift, cell) in shifts.iter_mut().zip(&cells) {
            *shift /= cell.trials.max(1.0);
        }
        let rate_of_all = (events + 0.5) / (trials + 1.0);
        let mut level = logit(rate_of_all);
        let mut week = Week::FLAT;
        if rule.seasons {
            level = level_at(level, &cells, |cell| shifts[cell]);
            week = Week::learn(&cells, &shifts, level);
        }
        level = level_at(level, &cells, |cell| shifts[cell] + week.offsets[cell]);

        let rates: [f64; 168] = std::array::from_fn(|cell| rate(level + week.offsets[cell]));
        let mut days: Vec<(i64, Sum)> = Vec::new();
        for hour in &hours {
            let cell = hour.hour.of_week();
            let expected = if hour.shift.by == 0.0 { rates[cell] } else { rate(level + week.offsets[cell] + hour.shift.by) };
            let day = hour.hour.day();
            if days.last().is_none_or(|(last, _)| *last != day) {
                days.push((day, Sum::default()));
            }
            if let Some((_, sum)) = days.last_mut() {
                sum.add(hour.trials, hour.events, expected);
            }
        }
        let (older, newer) = days.split_at(days.len() / 2);
        let halves = [older, newer].map(|half| half.iter().fold(Sum::default(), |sum, (_, more)| sum.plus(*more)));
        #[allow(clippy::cast_precision_loss, reason = "days before this one")]
        let age = newer.iter().map(|(of, sum)| sum.trials * (day - of) as f64).sum::<f64>() / halves[1].trials.max(1.0);
        let days: Vec<Sum> = days.into_iter().map(|(_, sum)| sum).collect();
        let (between, off) = excess(&days);
        // One in several hundred steady baselines is this far off: those that are not pay nothing.
        let day_variance = if off > 3.0 { between } else { 0.0 };
        let information = halves[0].information + halves[1].information;
        #[allow(clippy::cast_precision_loss, reason = "at most 366")]
        let day_information = information / days.len() as f64;
        let believed = 1.0 / (1.0 + day_information * day_variance);
        Some(Self {
            level,
            week,
            rate: rate_of_all,
            trials,
            days: i64::try_from(days.len()).unwrap_or(i64::MAX),
            day_variance,
            day_information,
            first_hour: Hour::of_day(day),
            age_in_days: age - 0.5,
            drift_a_day: rule.drift_of_log_odds(rate_of_all) / 30.0,
            halves: Halves(halves.map(|half| Half::at_level(half, level, believed))),
        })
    }

    /// The same week around another level, known from so many trials. That level does not drift, and days differ from it
    /// only by chance: those of the other one differed by the change itself.
    pub(crate) fn at(self, of_rate: f64, trials: f64) -> Self {
        let half = Half { trials: trials / 2.0, events: of_rate * trials / 2.0 };
        Self { level: logit(of_rate), rate: of_rate, trials, day_variance: 0.0, drift_a_day: 0.0, halves: Halves([half; 2]), ..self }
    }

    /// Nothing known.
    pub(crate) fn blank() -> Self {
        Self {
            level: 0.0,
            week: Week::FLAT,
            rate: 0.5,
            trials: 0.0,
            days: 0,
            day_variance: 0.0,
            day_information: 0.0,
            first_hour: Hour(0),
            age_in_days: 0.0,
            drift_a_day: 0.0,
            halves: Halves([Half { trials: 0.0, events: 0.0 }; 2]),
        }
    }

    /// How far an hour is from the level, in log odds.
    pub(crate) fn offset(&self, counts: &Counts) -> f64 {
        self.week.offsets[counts.hour.of_week()] + counts.shift.by
    }

    /// By how much the level may have drifted until an hour without that being a change, in log odds.
    #[allow(clippy::cast_precision_loss, reason = "hours since")]
    pub(crate) fn drift(&self, counts: &Counts) -> f64 {
        let days = counts.hour.0.saturating_sub(self.first_hour.0) as f64 / 24.0;
        (self.drift_a_day * (self.age_in_days + days)).clamp(0.0, 20.0)
    }

    /// What is expected of an hour: a rate.
    pub(crate) fn expected(&self, counts: &Counts) -> f64 {
        rate(self.level + self.offset(counts))
    }

    /// How much each trial of an hour counts as evidence. An hour's expectation is itself off by some variance v, so
    /// that instead of its information I it tells I / (1 + I v) of the level.
    pub(crate) fn weight(&self, counts: &Counts) -> f64 {
        let variance = self.week.variances[counts.hour.of_week()] + counts.shift.variance;
        let of_days = self.day_information * self.day_variance;
        if variance <= 0.0 && of_days <= 0.0 {
            return 1.0;
        }
        let expected = self.expected(counts);
        1.0 / (1.0 + counts.trials * expected * (1.0 - expected) * variance + of_days)
    }
}

/// The log odds at which as many events are expected as there were, by Newton's steps.
fn level_at(start: f64, cells: &[Sum; 168], offset: impl Fn(usize) -> f64) -> f64 {
    let mut level = start;
    for _ in 0..4 {
        let mut sum = Sum::default();
        for (place, cell) in cells.iter().enumerate().filter(|(_, cell)| cell.trials > 0.0) {
            sum.add(cell.trials, cell.events, rate(level + offset(place)));
        }
        // Half an event of half, so that a rate of nothing or of all has log odds.
        let step = (sum.events + 0.5 - sum.expected - rate(level)) / (sum.information + 0.25);
        level += step.clamp(-2.0, 2.0);
        if step.abs() < 1e-9 {
            break;
        }
    }
    level
}

/// Half of a baseline without its seasons: as many trials and events at the level as tell as much.
#[derive(Debug, Clone, Copy)]
struct Half {
    trials: f64,
    events: f64,
}

impl Half {
    fn at_level(sum: Sum, level: f64, believed: f64) -> Self {
        let at_level = rate(level);
        let trials = believed * sum.information / (at_level * (1.0 - at_level)).max(1e-12);
        let ratio = if sum.expected > 0.0 { sum.events / sum.expected } else { 0.0 };
        Self { trials, events: trials * (at_level * ratio).min(1.0) }
    }
}

/// The evidence of a baseline against each level that it could have: its older days and its newer ones. If the rate
/// drifted between them the older ones predict the newer ones badly, which lowers the evidence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Halves([Half; 2]);

impl Halves {
    /// The natural logarithm of an e-value against the level x (log odds): what the older half predicts of the newer
    /// (Beta(½ + k₁, ½ + n₁ − k₁), mixed), over the likelihood at the level. Its expectation is 1 at the true level,
    /// whichever that is: universal inference (Wasserman, Ramdas & Balakrishnan 2020). A level that the newer half
    /// makes unlikely has a large one.
    pub(crate) fn log_evidence_against(&self, x: f64) -> f64 {
        let [first, second] = self.0;
        let (a, b) = (0.5 + first.events, 0.5 + (first.trials - first.events).max(0.0));
        let misses = (second.trials - second.events).max(0.0);
        let predicted = ln_beta(a + second.events, b + misses) - ln_beta(a, b);
        predicted - log_likelihood(second.trials, second.events, x)
    }

    /// The most likely level of the second half and its standard error, in log odds.
    pub(crate) fn level(&self) -> (f64, f64) {
        let [_, second] = self.0;
        let of_second = (second.events + 0.5) / (second.trials + 1.0);
        let information = (second.trials + 1.0) * of_second * (1.0 - of_second);
        (logit(of_second), 1.0 / information.sqrt())
    }
}
