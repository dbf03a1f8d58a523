//! One look at one rate: has it moved?

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::baseline::{Baseline, Counts, Shift, Stream};
use crate::detector::Detector;
use crate::interval;
use crate::rule::{Direction, Rule};
use crate::series::{Hour, Series, Tally};

/// What a rate was and what it is, and how surely it moved.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The hour with which the change most likely began.
    pub since: Hour,
    /// The hour of the look, which may be under way.
    pub until: Hour,
    /// Events a trial over the whole baseline: 0 to 1.
    pub usual_rate: f64,
    /// Events a trial that the baseline leads to expect in the hours since the change, seasons included: 0 to 1.
    pub baseline_rate: f64,
    /// Trials in the baseline.
    pub baseline_trials: u64,
    /// Events a trial since the change: 0 to 1.
    pub current_rate: f64,
    /// Trials since the change.
    pub current_trials: u64,
    /// `current_rate` over `baseline_rate`, less one: 0.15 is 15 % more.
    pub relative_change: f64,
    /// Where the relative change is with 95 %, looked at as often as one likes, if it began when it seems to.
    pub interval: (f64, f64),
    /// How much less likely all this would be without a change, corrected for the looks and the hours at which it could
    /// have begun: at least as improbable as one in `e_value` in a month. Zero upwards; at most 1e300.
    pub e_value: f64,
    /// The natural logarithm of the e-value.
    pub log_evidence: f64,
}

/// What is still missing of a change that already seems large enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// The policy asks for a larger sample.
    Sample,
    /// It may be chance.
    Evidence,
    /// Alone it would be enough, but among so many keys one would expect such a one by chance ([`crate::discoveries`]).
    EvidenceAmongMany,
}

/// What a look comes to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// Too little is known of the time before.
    Learning {
        /// Trials that the baseline lacks.
        trials_missing: u64,
        /// Hours that it lacks, in whole days.
        hours_missing: u64,
    },
    /// The rate has not moved by as much as matters.
    Steady,
    /// It seems to have moved by as much as matters, but that is not certain enough.
    Held {
        /// What there is so far.
        so_far: Evidence,
        /// What is missing.
        missing: Missing,
        /// So many more trials would settle it, if the rate stayed as it is now.
        samples_needed: u64,
    },
    /// The rate moved by as much as matters, and not by chance.
    Moved(Evidence),
}

/// A verdict, and the e-value that it rests on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// What it comes to.
    pub verdict: Verdict,
    /// The evidence for a move in the rule's direction, small or large: an e-value, 0 to 1e300. Zero while learning.
    pub e_value: f64,
}

/// Looks at a series. `now` is the present hour, which counts as far as it has come; hours after it do not count.
///
/// A finding needs two things: evidence that the rate moved at all (see [`Watch`]), and since the most likely beginning
/// of the move a rate at least as far from the expected one as the rule says.
#[must_use]
pub fn look(series: &Series, rule: &Rule, now: Hour) -> Look {
    Watch::new(series, rule, now).look(series.at(now))
}

/// The same, if it is known when the rate would have moved: something was changed then. Evidence is cheaper, since
/// there is one hour to be considered instead of all; the guarantee is that of this one question, not of a month.
#[must_use]
pub fn look_since(series: &Series, rule: &Rule, since: Hour, now: Hour) -> Look {
    Watch::since(series, rule, since, now).look(series.at(now))
}

/// When a change may have begun.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Beginnings {
    /// In any hour of the rule's window that comes after one.
    After(Hour),
    /// In this hour.
    Only(Hour),
}

impl Beginnings {
    /// Whether an hour may be of the time since the change.
    fn allow(self, hour: Hour) -> bool {
        match self {
            Self::After(after) => hour > after,
            Self::Only(since) => hour >= since,
        }
    }

    /// Whether a change of a day may begin with an hour. The only one begins before the first of its hours, whichever
    /// that is.
    fn may_be(self, hour: Hour, day: i64) -> bool {
        matches!(self, Self::After(_)) && hour.day() == day
    }
}

/// The hours before the present one, taken in once, so that the present one can be looked at every minute.
///
/// For each day of the window a detector of the changes that began on it, against the days before. While nothing
/// changes, the e-values of all looks of 30 days together reach 1/`false_alarms_a_month` with at most that probability:
/// Σ over days of the detectors is an e-detector (Shin, Ramdas & Rinaldo 2024), the weights of all its starts in 30 days
/// and the window before them sum to one, and Doob's inequality does the rest. That holds exactly for a rate that is
/// constant or whose seasons are known; seasons are learned with their error ([`Rule::seasons`]).
///
/// Slow drift is tolerated in four ways: the null hypothesis lets the level move by [`Rule::drift_a_month`] from the middle
/// of the baseline's newer half on; the older half has to predict the newer one; days that differ by more than chance
/// make each trial count less; and what is left has to exceed the rule's smallest change. Of these only the first is a
/// guarantee.
#[derive(Debug, Clone)]
pub struct Watch {
    rule: Rule,
    now: Hour,
    beginnings: Beginnings,
    weight: f64,
    shifts: BTreeMap<Hour, Shift>,
    days: Vec<Day>,
    window: Vec<Counts>,
    /// The newest day's baseline, also if it is too short.
    newest: Option<Baseline>,
}

/// The changes that may have begun on a day.
#[derive(Debug, Clone)]
struct Day {
    day: i64,
    detector: Detector,
}

impl Watch {
    /// Takes in what is before the present hour.
    #[must_use]
    pub fn new(series: &Series, rule: &Rule, now: Hour) -> Self {
        let no_shifts = BTreeMap::new();
        let stream = Stream { series, direction: rule.direction, shifts: &no_shifts };
        Self::start(stream, rule, now, Beginnings::After(Hour(i64::MIN)))
    }

    /// The same for [`look_since`].
    #[must_use]
    pub fn since(series: &Series, rule: &Rule, since: Hour, now: Hour) -> Self {
        let no_shifts = BTreeMap::new();
        let stream = Stream { series, direction: rule.direction, shifts: &no_shifts };
        Self::start(stream, rule, now, Beginnings::Only(since))
    }

    pub(crate) fn start(stream: Stream<'_>, rule: &Rule, now: Hour, beginnings: Beginnings) -> Self {
        Self::against(stream, rule, now, beginnings, |baseline| baseline)
    }

    /// The same, with another baseline than the one learned.
    pub(crate) fn against(
        stream: Stream<'_>,
        rule: &Rule,
        now: Hour,
        beginnings: Beginnings,
        adjust: impl Fn(Option<Baseline>) -> Option<Baseline>,
    ) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "at most 1,464")]
        let (weight, first) = match beginnings {
            Beginnings::Only(since) => (1.0, since.day().max(now.day().saturating_sub(366))),
            Beginnings::After(after) => {
                let first = now.day().saturating_sub(rule.window() - 1).max(after.day());
                (1.0 / (24 * (30 + rule.window())) as f64, first)
            }
        };
        let mut watch = Self {
            rule: Rule { direction: stream.direction, ..*rule },
            now: Hour::of_day(first),
            beginnings,
            weight,
            shifts: stream.shifts.clone(),
            days: Vec::new(),
            window: Vec::new(),
            newest: None,
        };
        let last = if let Beginnings::Only(_) = beginnings { first } else { now.day() };
        for day in first..=last {
            let baseline = adjust(Baseline::learn(stream, rule, day));
            watch.begin_day(day, baseline);
            let until = if day == last { now } else { Hour::of_day(day + 1) };
            for counts in stream.between(Hour::of_day(day)..until) {
                watch.take(counts);
            }
        }
        watch.now = now;
        watch
    }

    /// Goes on to the next hour: the present one is over, with what the series says of it now.
    pub fn next_hour(&mut self, series: &Series) {
        let stream = Stream { series, direction: self.rule.direction, shifts: &self.shifts };
        let over = stream.counts(self.now, series.at(self.now));
        self.now = self.now.plus(1);
        let day = self.now.day();
        let fresh = (day > over.hour.day()).then(|| Baseline::learn(stream, &self.rule, day));
        self.take(over);
        if let (Some(baseline), Beginnings::After(_)) = (fresh, self.beginnings) {
            let oldest = day.saturating_sub(self.rule.window() - 1);
            self.days.retain(|day| day.day >= oldest);
            self.window.retain(|counts| counts.hour.day() >= oldest);
            self.begin_day(day, baseline);
        }
    }

    fn begin_day(&mut self, day: i64, baseline: Option<Baseline>) {
        self.newest = baseline;
        if let (Some(baseline), (0, 0)) = (self.newest.clone(), self.lacking()) {
            let target = self.rule.target(baseline.rate);
            let mut detector = Detector::new(baseline, target, self.weight);
            if let Beginnings::Only(_) = self.beginnings {
                detector.open();
            }
            self.days.push(Day { day, detector });
        }
    }

    /// Takes an hour in that is over.
    fn take(&mut self, counts: Counts) {
        if counts.trials > 0.0 && self.beginnings.allow(counts.hour) {
            for day in &mut self.days {
                let may_begin = self.beginnings.may_be(counts.hour, day.day);
                day.detector.take(&counts, may_begin);
            }
            self.window.push(counts);
        }
    }

    /// Trials and days that the newest baseline lacks.
    fn lacking(&self) -> (u64, u64) {
        let (trials, days) = self.newest.as_ref().map_or((0.0, 0), |baseline| (baseline.trials, baseline.days));
        let trials = self.rule.minimum_sample.max(1).saturating_sub(whole(trials));
        // A week of the day's hours says little of any; less than that says nothing of the days.
        let days = (if self.rule.seasons { 7 } else { 1 }).min(self.rule.baseline()).saturating_sub(days).max(0);
        (trials, u64::try_from(days).unwrap_or(0))
    }

    /// The e-value, with what was counted so far in the present hour.
    #[must_use]
    pub fn e_value(&self, present: Tally) -> f64 {
        let counts = self.counts(present);
        let counts_at_all = counts.trials > 0.0 && self.beginnings.allow(counts.hour);
        let evidence = self.days.iter().map(|Day { day, detector }| {
            if counts_at_all { detector.evidence_with(&counts, self.beginnings.may_be(counts.hour, *day)) } else { detector.evidence() }
        });
        evidence.sum::<f64>().min(1e300)
    }

    fn counts(&self, present: Tally) -> Counts {
        let nothing = Series::default();
        Stream { series: &nothing, direction: self.rule.direction, shifts: &self.shifts }.counts(self.now, present)
    }

    /// A look, with what was counted so far in the present hour.
    #[must_use]
    pub fn look(&self, present: Tally) -> Look {
        if self.days.is_empty() {
            let (trials_missing, days) = self.lacking();
            return Look { verdict: Verdict::Learning { trials_missing, hours_missing: 24 * days }, e_value: 0.0 };
        }
        let e_value = self.e_value(present);
        let Some(apparent) = self.apparent(present) else { return Look { verdict: Verdict::Steady, e_value } };
        let so_far = apparent.evidence(self, e_value);
        let missing_evidence = self.rule.log_threshold() - so_far.log_evidence;
        let missing_sample = self.rule.minimum_sample.saturating_sub(so_far.current_trials);
        let verdict = if !apparent.matters(&self.rule) {
            Verdict::Steady
        } else if missing_evidence > 0.0 {
            let samples_needed = apparent.samples_for(missing_evidence).max(missing_sample).max(1);
            Verdict::Held { so_far, missing: Missing::Evidence, samples_needed }
        } else if missing_sample > 0 {
            Verdict::Held { so_far, missing: Missing::Sample, samples_needed: missing_sample }
        } else {
            Verdict::Moved(so_far)
        };
        Look { verdict, e_value }
    }

    /// The change that is most likely, if there was one; none, if no hour seems to have begun one.
    fn apparent(&self, present: Tally) -> Option<Apparent<'_>> {
        let counts = self.counts(present);
        let present = (counts.trials > 0.0 && self.beginnings.allow(counts.hour)).then_some(counts);
        let mut best: Option<(f64, &Day, Hour)> = None;
        for day in &self.days {
            let mut won = Detector::stakes();
            let since_day = |counts: &&Counts| counts.hour.day() >= day.day;
            for counts in present.iter().chain(self.window.iter().rev()).take_while(since_day) {
                for (won, more) in won.iter_mut().zip(day.detector.apparent(counts)) {
                    *won += more;
                }
                let most = won.iter().fold(f64::MIN, |most, won| most.max(*won));
                let only = matches!(self.beginnings, Beginnings::Only(_));
                if (only || self.beginnings.may_be(counts.hour, day.day)) && most > best.map_or(0.0, |(most, ..)| most) {
                    best = Some((most, day, counts.hour));
                }
            }
        }
        let (log_likelihood_ratio, day, hour) = best?;
        let since = if let Beginnings::Only(since) = self.beginnings { since } else { hour };
        let baseline = &day.detector.baseline;
        let mut apparent = Apparent { since, baseline, trials: 0.0, events: 0.0, expected: 0.0, log_likelihood_ratio };
        for counts in self.window.iter().chain(&present).filter(|counts| counts.hour >= since) {
            apparent.trials += counts.trials;
            apparent.events += counts.events;
            apparent.expected += counts.trials * baseline.expected(counts);
        }
        Some(apparent)
    }
}

/// The most likely change, in the stream's own terms: a rise.
struct Apparent<'a> {
    since: Hour,
    baseline: &'a Baseline,
    trials: f64,
    events: f64,
    expected: f64,
    log_likelihood_ratio: f64,
}

impl Apparent<'_> {
    /// Whether the rate is as far from the expected one as matters.
    fn matters(&self, rule: &Rule) -> bool {
        // A hair less is rounding.
        self.events / self.trials >= rule.target(self.expected / self.trials) - 1e-12
    }

    /// Trials until so much more evidence has come, if it comes as it did so far.
    fn samples_for(&self, evidence: f64) -> u64 {
        whole((evidence * self.trials / self.log_likelihood_ratio.max(1e-9)).ceil())
    }

    fn evidence(&self, watch: &Watch, e_value: f64) -> Evidence {
        let straight = |rate: f64| match watch.rule.direction {
            Direction::Rise => rate,
            Direction::Fall => 1.0 - rate,
        };
        let baseline_rate = straight(self.expected / self.trials);
        let current_rate = straight(self.events / self.trials);
        let trials = (self.baseline.trials, self.trials);
        let ratio = current_rate / baseline_rate.max(1e-12);
        Evidence {
            since: self.since,
            until: watch.now,
            usual_rate: straight(self.baseline.rate),
            baseline_rate,
            baseline_trials: whole(trials.0),
            current_rate,
            current_trials: whole(trials.1),
            relative_change: ratio - 1.0,
            interval: interval::of_relative_change((baseline_rate, trials.0), (current_rate, trials.1)),
            e_value,
            log_evidence: e_value.max(1e-300).ln(),
        }
    }
}

/// A count of trials.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number too large is the largest")]
fn whole(trials: f64) -> u64 {
    trials as u64
}
