//! Many keys: which of their changes are real, and whether they are one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::baseline::{Shift, Stream};
use crate::logit::logit;
use crate::look::{Beginnings, Evidence, Look, Missing, Verdict, Watch};
use crate::rule::{Direction, Rule, within};
use crate::series::{Hour, Series, Tally};

/// Of the looks at many keys, lets those findings stand that are findings among so many; of those that stand, no more
/// than a share of `rate` are false on average, however the keys depend on each other. The others are held.
///
/// e-BH (Wang & Ramdas 2022): with e₍₁₎ ≥ e₍₂₎ ≥ … of K keys, the k* largest stand, k* the largest k for which
/// e₍ₖ₎ ≥ K / (k · rate).
#[must_use]
pub fn discoveries<K: Ord>(mut looks: BTreeMap<K, Look>, rate: f64) -> BTreeMap<K, Look> {
    let e_values: Vec<f64> = looks.values().map(|look| look.e_value).collect();
    let threshold = smallest_discovered(&e_values, rate);
    for look in looks.values_mut() {
        if let (Verdict::Moved(so_far), true) = (look.verdict, look.e_value < threshold) {
            // As fast as the evidence came so far.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "an estimate")]
            let samples_needed = {
                let missing = (threshold.ln() - so_far.log_evidence) / so_far.log_evidence.max(1.0);
                (so_far.current_trials as f64 * missing).ceil().max(1.0) as u64
            };
            look.verdict = Verdict::Held { so_far, missing: Missing::EvidenceAmongMany, samples_needed };
        }
    }
    looks
}

/// The smallest e-value that e-BH lets stand; if none, the one that would do alone.
#[allow(clippy::cast_precision_loss, reason = "a number of keys")]
fn smallest_discovered(e_values: &[f64], rate: f64) -> f64 {
    let needed_alone = e_values.len() as f64 / within(rate, 1e-12, 1.0);
    let mut sorted = e_values.to_vec();
    sorted.sort_by(|one, other| other.total_cmp(one));
    let mut places = sorted.iter().enumerate().rev();
    places.find_map(|(place, e)| (*e >= needed_alone / (place + 1) as f64).then_some(*e)).unwrap_or(needed_alone)
}

/// Which rate moved: of all keys, or of some.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Located<K: Ord> {
    /// The keys' common change, if there is one. Keys that moved by themselves are not in it.
    pub everywhere: Option<Evidence>,
    /// What each key did beyond the common change.
    pub specific: BTreeMap<K, Look>,
}

impl<K: Ord> Located<K> {
    /// The keys that moved by themselves.
    pub fn moved(&self) -> impl Iterator<Item = (&K, &Evidence)> {
        self.specific.iter().filter_map(|(key, look)| match &look.verdict {
            Verdict::Moved(evidence) => Some((key, evidence)),
            _ => None,
        })
    }
}

/// Finds out whether many keys moved together or some by themselves. A move of all is one finding, and what a key did
/// beyond it is its own; of the keys' own moves no more than a share of `rate` are false on average ([`discoveries`]).
///
/// First the pool of all keys is looked at, hour by hour against what each key's baseline leads to expect of its share of
/// the trials, so that more trials of a key with a high rate are no change. Then the key with the most events beyond
/// expectation is looked at against the change of the others: should it have moved by itself, it leaves the pool. When
/// none leaves any more, the pool's change is the common one, and each key is looked at against it.
#[must_use]
pub fn localise<K: Ord + Clone>(keys: &BTreeMap<K, Series>, rule: &Rule, now: Hour, rate: f64) -> Located<K> {
    let known: BTreeMap<&K, Known<'_>> = keys.iter().map(|(key, series)| (key, Known::of(series, rule, now))).collect();
    let mut pool: Vec<&K> = known.iter().filter(|(_, known)| known.rate.is_some()).map(|(key, _)| *key).collect();
    // Those with the most events beyond expectation come last.
    pool.sort_by(|one, other| known[one].beyond.total_cmp(&known[other].beyond).then_with(|| one.cmp(other)));
    let mut common = if pool.len() > 1 { pooled(&known, &pool, rule, now) } else { None };
    #[allow(clippy::cast_precision_loss, reason = "a number of keys")]
    let alone = known.len() as f64 / within(rate, 1e-12, 1.0);
    while let (Some(_), Some((first, others))) = (common, pool.split_last())
        && !others.is_empty()
    {
        let of_others = pooled(&known, others, rule, now);
        let own = beyond(known[first].series, rule, now, of_others);
        if !matches!(own.verdict, Verdict::Moved(_)) || own.e_value < alone {
            break;
        }
        common = if others.len() > 1 { of_others } else { None };
        pool.pop();
    }
    let looks = keys.iter().map(|(key, series)| (key.clone(), beyond(series, rule, now, common))).collect();
    Located { everywhere: common, specific: discoveries(looks, rate) }
}

/// What is known of a key before any test.
struct Known<'a> {
    series: &'a Series,
    /// Before the window.
    rate: Option<f64>,
    /// Events in the window beyond what that rate leads to expect, in the rule's direction.
    beyond: f64,
}

impl<'a> Known<'a> {
    #[allow(clippy::cast_precision_loss, reason = "for order and shares")]
    fn of(series: &'a Series, rule: &Rule, now: Hour) -> Self {
        let window = Hour::of_day(now.day().saturating_sub(rule.window() - 1));
        let before = Hour::of_day(window.day().saturating_sub(rule.baseline()));
        let sum = |from, to| series.between(from..to).fold(Tally::default(), |sum, (_, tally)| sum.plus(tally));
        let (before, since) = (sum(before, window), sum(window, now.plus(1)));
        let rate = (before.trials() > 0).then(|| (before.events() as f64 + 0.5) / (before.trials() as f64 + 1.0));
        let beyond = rate.map_or(0.0, |rate| since.events() as f64 - since.trials() as f64 * rate);
        Self { series, rate, beyond: if rule.direction == Direction::Rise { beyond } else { -beyond } }
    }
}

/// The change of all that some keys counted, if it is a finding.
#[allow(clippy::cast_precision_loss, reason = "shares")]
fn pooled<K: Ord>(known: &BTreeMap<&K, Known<'_>>, pool: &[&K], rule: &Rule, now: Hour) -> Option<Evidence> {
    let mut all = Series::default();
    // Of each hour, the events that the keys' rates before the window lead to expect.
    let mut expected: BTreeMap<Hour, f64> = BTreeMap::new();
    for key in pool {
        let Known { series, rate: Some(rate), .. } = &known[key] else { continue };
        for (hour, tally) in series.hours() {
            all.add(hour, tally);
            *expected.entry(hour).or_default() += tally.trials() as f64 * rate;
        }
    }
    let trials = |hour: &Hour| all.at(*hour).trials() as f64;
    let level = logit(expected.values().sum::<f64>() / expected.keys().map(trials).sum::<f64>().max(1.0));
    let shift = |(hour, events): (&Hour, &f64)| (*hour, Shift { by: logit(events / trials(hour)) - level, variance: 0.0 });
    let shifts = expected.iter().map(shift).collect();
    let stream = Stream { series: &all, direction: rule.direction, shifts: &shifts };
    match Watch::start(stream, rule, now, Beginnings::After(Hour(i64::MIN))).look(all.at(now)).verdict {
        Verdict::Moved(evidence) => Some(evidence),
        _ => None,
    }
}

/// A look at a key against a change that it shares with others: from its beginning on, the key's log odds are expected
/// to be as much higher as those of all, give or take what is not known of that.
fn beyond(series: &Series, rule: &Rule, now: Hour, common: Option<Evidence>) -> Look {
    let mut shifts = BTreeMap::new();
    if let Some(common) = common {
        let by = logit(common.current_rate) - logit(common.baseline_rate);
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let variance = {
            let information = |rate: f64, trials: u64| (rate * (1.0 - rate)).max(1e-12) * (trials as f64 + 1.0);
            1.0 / information(common.current_rate, common.current_trials) + 1.0 / information(common.baseline_rate, common.baseline_trials)
        };
        shifts = series.between(common.since..now.plus(1)).map(|(hour, _)| (hour, Shift { by, variance })).collect();
    }
    let stream = Stream { series, direction: rule.direction, shifts: &shifts };
    Watch::start(stream, rule, now, Beginnings::After(Hour(i64::MIN))).look(series.at(now))
}
