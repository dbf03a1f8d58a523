//! How often the detector finds what is not there, how soon it finds what is, beside simpler rules on the same streams.
//!
//! How each figure is made:
//!
//! - Streams are binomial counts, each repetition with a seed of its own, so that the figures are the same on any number
//!   of threads. A stream has 35 days of history before the time that is judged.
//! - "Looked at every minute": the e-value is taken at the end of every hour; if it is within 3 nats of a finding at
//!   either end of an hour, the hour's events are laid out over its trials at random and it is looked at after each of
//!   its 60 minutes. An hour that begins and ends further away crosses in between with a probability below e⁻³, and comes back with one below e⁻³.
//! - `unchanged`: the share of streams without a change that have any finding in 30 days. `ratio_rule` is a look every
//!   hour at the last 24 hours' rate over that of the 28 days before, at least 100 trials each: 15 % more is a finding.
//! - `delays`: trials from the change to the finding, the change at the beginning of an hour of day 35 or 36. `fixed` is
//!   the number of trials that a one-sided test of 1 % error needs that looks once, at the end, and knows when the
//!   change was: n = (z₀.₉₉ √(p₀ (1 − p₀)) + z_power √(p₁ (1 − p₁)))² / (p₁ − p₀)², the baseline's rate known exactly; and
//!   `fixed_two_sample`, the baseline's rate known from the same 28 days: 1/n is less by what the baseline lacks.
//!   The detector has no fixed power: given time it finds every change. So the fixed test is given several powers; the one
//!   to compare with is the share that the detector finds within the budget, the seven days of its window (`found`),
//!   which is 99 % or more for changes above the rule's. The rule's smallest change is 10 % unless said otherwise: of a
//!   change of exactly the smallest size every second estimate is below it.
//! - `many`: a look at all keys once, at the end of the given hours after the change, through e-BH.
//! - `everywhere`: the same with `localise`.
//!
//! With ten thousand streams for each figure it took 21 minutes on two cores that had other work too; of `many` there are
//! then 50 repetitions, each of a thousand streams, of `everywhere` 200.

use std::collections::BTreeMap;
use std::path::Path;

use flywheel_detection::{Change, Direction, Hour, Rule, Series, Tally, Verdict, Watch, discoveries, localise, look};
use serde::Serialize;

use crate::binomial::binomial;
use crate::repeat::repeat;
use crate::report::{Facts, Table, short, write};

/// The first hour of the history: a Monday.
const BEGIN: i64 = 480_000 / 168 * 168 + 96;
/// Days of history before what is judged.
const HISTORY: i64 = 35;
/// Nats below a finding from which on an hour is looked at minute by minute.
const CLOSE: f64 = 3.0;
const POWERS: [f64; 4] = [0.8, 0.9, 0.95, 0.99];

/// What to measure with.
#[derive(Debug, Clone, Serialize, clap::Args)]
pub(crate) struct Settings {
    /// Streams for each figure
    #[arg(long, default_value_t = 10_000)]
    repetitions: usize,
    /// Where all chance comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Leave out all but the parts that begin so
    #[arg(long, default_value = "")]
    only: String,
}

/// A key whose counts are drawn.
#[derive(Debug, Clone, Copy)]
struct Source {
    rate: f64,
    trials_per_hour: f64,
    /// Hours and weekdays: at night 40 % and at the weekend half of the trials, by day 30 % more events a trial than at
    /// night and at the weekend 20 % less.
    seasons: bool,
    /// By how much the rate grows in 30 days, as a share of what it is.
    drift: f64,
    /// From an hour on, so much more as a share.
    change: Option<(i64, f64)>,
}

impl Source {
    fn steady(rate: f64, trials_per_hour: f64) -> Self {
        Self { rate, trials_per_hour, seasons: false, drift: 0.0, change: None }
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers")]
    fn trials(&self, hour: i64) -> u64 {
        let (of_day, weekend) = Self::season(hour);
        let share = if self.seasons { (0.7 + 0.3 * of_day) * if weekend { 0.5 } else { 1.0 } } else { 1.0 };
        (self.trials_per_hour * share).round() as u64
    }

    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    fn rate(&self, hour: i64) -> f64 {
        let (of_day, weekend) = Self::season(hour);
        let season = if self.seasons { (1.0 + 0.13 * of_day) * if weekend { 0.8 } else { 1.0 } } else { 1.0 };
        let months = (hour - BEGIN - HISTORY * 24) as f64 / 720.0;
        let change = self.change.map_or(0.0, |(since, change)| if hour >= since { change } else { 0.0 });
        (self.rate * season * (1.0 + self.drift * months) * (1.0 + change)).min(1.0)
    }

    /// Between −1 at 02Z and 1 at 14Z, and whether it is a weekend.
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    fn season(hour: i64) -> (f64, bool) {
        let of_day = (hour.rem_euclid(24) - 8) as f64 / 24.0 * std::f64::consts::TAU;
        (of_day.sin(), (hour - BEGIN).rem_euclid(168) >= 120)
    }

    fn draw(&self, random: &mut fastrand::Rng, hour: i64) -> Tally {
        let trials = self.trials(hour);
        tally(trials, binomial(random, trials, self.rate(hour)))
    }

    fn draws(&self, random: &mut fastrand::Rng, hours: std::ops::Range<i64>) -> Series {
        hours.map(|hour| (Hour(hour), self.draw(random, hour))).collect()
    }
}

fn tally(trials: u64, events: u64) -> Tally {
    Tally::new(trials, events).unwrap_or_default()
}

/// The first hour that is judged.
fn judged() -> i64 {
    BEGIN + HISTORY * 24
}

/// Looks at an hour after each of its minutes; says after how many of its trials there was a finding.
fn minute_by_minute(watch: &Watch, threshold: f64, whole: Tally, random: &mut fastrand::Rng) -> Option<u64> {
    let (mut trials, mut events) = (0, 0);
    for minute in 1..=60 {
        while trials < whole.trials() * minute / 60 {
            // Each order of the hour's events is as likely as any other.
            let left = whole.trials() - trials;
            events += u64::from(random.u64(0..left) < whole.events() - events);
            trials += 1;
        }
        let so_far = tally(trials, events);
        if watch.e_value(so_far) >= threshold
            && let Verdict::Moved(_) = watch.look(so_far).verdict
        {
            return Some(trials);
        }
    }
    None
}

/// The policy of all figures unless said otherwise.
fn rule(change: f64) -> Rule {
    Rule::new(Direction::Rise, Change::Relative(change))
}

/// A part of the streams, and how surely that is known.
#[derive(Debug, Clone, Copy, Serialize)]
struct Share {
    share: f64,
    standard_error: f64,
}

#[allow(clippy::cast_precision_loss, reason = "a number of streams")]
fn share(of: &[bool]) -> Share {
    let (count, all) = (of.iter().filter(|one| **one).count() as f64, of.len() as f64);
    let share = count / all;
    Share { share, standard_error: (share * (1.0 - share) / all).sqrt() }
}

#[derive(Debug, Serialize)]
struct Unchanged {
    what: String,
    rate: f64,
    trials_per_hour: f64,
    /// Any finding in 30 days.
    found: Share,
    /// Evidence enough in 30 days, whatever the estimate: what the theory bounds.
    evidence: Share,
    ratio_rule: Share,
}

fn unchanged(settings: &Settings, what: &str, source: Source, drift_a_month: f64) -> Unchanged {
    let rule = Rule { drift_a_month, ..rule(0.15) };
    let threshold = 1.0 / rule.false_alarms_a_month;
    let close = threshold * (-CLOSE).exp();
    let name = format!("unchanged {what} {} {} {drift_a_month}", source.rate, source.trials_per_hour);
    let results = repeat(settings.seed, settings.repetitions, &name, |random| {
        let begin = judged();
        let mut series = source.draws(random, BEGIN..begin);
        let mut tallies: Vec<Tally> = (BEGIN..begin).map(|hour| series.at(Hour(hour))).collect();
        let mut watch = Watch::new(&series, &rule, Hour(begin));
        let mut before = watch.e_value(Tally::default());
        let (mut found, mut evidence, mut ratio) = (false, false, false);
        for hour in begin..begin + 720 {
            let whole = source.draw(random, hour);
            series.add(Hour(hour), whole);
            watch.next_hour(&series);
            let after = watch.e_value(Tally::default());
            if before.max(after) >= close && !found {
                let of_hour = Watch::new(&series, &rule, Hour(hour));
                found = minute_by_minute(&of_hour, threshold, whole, random).is_some();
            }
            evidence |= after >= threshold;
            tallies.push(whole);
            ratio = ratio || ratio_rule(&tallies);
            before = after;
        }
        [found, evidence, ratio]
    });
    let part = |place: usize| share(&results.iter().map(|result| result[place]).collect::<Vec<_>>());
    Unchanged {
        what: what.to_owned(),
        rate: source.rate,
        trials_per_hour: source.trials_per_hour,
        found: part(0),
        evidence: part(1),
        ratio_rule: part(2),
    }
}

/// The last 24 hours over the 28 days before.
#[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn ratio_rule(tallies: &[Tally]) -> bool {
    let sum = |tallies: &[Tally]| tallies.iter().fold(Tally::default(), |sum, tally| sum.plus(*tally));
    let (before, current) = tallies.split_at(tallies.len() - 24);
    let (current, baseline) = (sum(current), sum(&before[before.len() - 672..]));
    let rate = |tally: Tally| tally.events() as f64 / tally.trials() as f64;
    current.trials() >= 100 && baseline.trials() >= 100 && rate(current) >= 1.15 * rate(baseline)
}

#[derive(Debug, Serialize)]
struct Delay {
    rate: f64,
    trials_per_hour: f64,
    change: f64,
    /// The rule's smallest change.
    smallest_change: f64,
    moment_known: bool,
    /// Within seven days.
    found: Share,
    mean: f64,
    median: f64,
    nine_of_ten: f64,
    /// Of a test that looks once, by its power.
    fixed: BTreeMap<String, f64>,
    fixed_two_sample: BTreeMap<String, f64>,
    median_over_fixed: BTreeMap<String, f64>,
    mean_over_fixed: BTreeMap<String, f64>,
    mean_over_fixed_two_sample: BTreeMap<String, f64>,
}

fn z(power: f64) -> f64 {
    match power {
        0.8 => 0.841_621,
        0.9 => 1.281_552,
        0.95 => 1.644_854,
        _ => 2.326_348,
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn delay(settings: &Settings, rate: f64, trials_per_hour: f64, change: f64, smallest_change: f64, moment_known: bool) -> Delay {
    let rule = rule(smallest_change);
    let name = format!("delay {rate} {trials_per_hour} {change} {smallest_change} {moment_known}");
    let threshold = 1.0 / rule.false_alarms_a_month;
    let results = repeat(settings.seed, settings.repetitions, &name, |random| {
        let begin = judged() + random.i64(0..24);
        let source = Source { change: Some((begin, change)), ..Source::steady(rate, trials_per_hour) };
        let mut series = source.draws(random, BEGIN..begin);
        let mut watch =
            if moment_known { Watch::since(&series, &rule, Hour(begin), Hour(begin)) } else { Watch::new(&series, &rule, Hour(begin)) };
        let mut trials = 0;
        for hour in begin..begin + 144 {
            let whole = source.draw(random, hour);
            series.add(Hour(hour), whole);
            // What was found for a while within an hour, and not at its end, is found later here.
            if watch.e_value(whole) >= threshold
                && let Some(more) = minute_by_minute(&watch, threshold, whole, random)
            {
                return Some(trials + more);
            }
            trials += whole.trials();
            watch.next_hour(&series);
        }
        None
    });
    let mut delays: Vec<f64> = results.iter().map(|trials| trials.map_or(f64::INFINITY, |trials| trials as f64)).collect();
    delays.sort_by(f64::total_cmp);
    let found: Vec<bool> = results.iter().map(Option::is_some).collect();
    let at = |part: f64| delays[((delays.len() - 1) as f64 * part).round() as usize];
    let mean =
        delays.iter().filter(|delay| delay.is_finite()).sum::<f64>() / delays.iter().filter(|delay| delay.is_finite()).count() as f64;
    let (before, after) = (rate, rate * (1.0 + change));
    let baseline = 672.0 * trials_per_hour;
    let fixed = |power: f64| {
        let spread = z(0.99) * (before * (1.0 - before)).sqrt() + z(power) * (after * (1.0 - after)).sqrt();
        (spread / (after - before)).powi(2)
    };
    let two_sample = |power: f64| if fixed(power) < baseline { 1.0 / (1.0 / fixed(power) - 1.0 / baseline) } else { f64::INFINITY };
    let each =
        |figure: &dyn Fn(f64) -> f64| POWERS.iter().map(|power| (format!("power {power}"), figure(*power))).collect::<BTreeMap<_, _>>();
    Delay {
        rate,
        trials_per_hour,
        change,
        smallest_change,
        moment_known,
        found: share(&found),
        mean,
        median: at(0.5),
        nine_of_ten: at(0.9),
        fixed: each(&fixed),
        fixed_two_sample: each(&two_sample),
        median_over_fixed: each(&|power| at(0.5) / fixed(power)),
        mean_over_fixed: each(&|power| mean / fixed(power)),
        mean_over_fixed_two_sample: each(&|power| mean / two_sample(power)),
    }
}

/// Among many keys, of which some moved.
#[derive(Debug, Serialize)]
struct Many {
    keys: usize,
    moved: usize,
    change: f64,
    rate: f64,
    trials_per_hour: f64,
    hours_after: i64,
    trials_after: f64,
    false_discovery_share_allowed: f64,
    repetitions: usize,
    /// False findings over all findings, on average over the repetitions.
    false_discovery_share: f64,
    found_of_moved: f64,
    /// The same with the bare ratio rule.
    ratio_rule_false_discovery_share: f64,
    ratio_rule_found_of_moved: f64,
}

const FALSE_SHARE: f64 = 0.05;

#[allow(clippy::cast_precision_loss, reason = "a number of keys")]
fn many(settings: &Settings, change: f64, hours_after: i64) -> Many {
    let (keys, moved, rate, trials_per_hour) = (1_000, 20, 0.1, 300.0);
    let rule = rule(0.15);
    // Each repetition is a thousand streams.
    let results = repeat(settings.seed, settings.repetitions / 200, &format!("many {change} {hours_after}"), |random| {
        let begin = judged() + random.i64(0..24);
        let now = begin + hours_after - 1;
        let (mut looks, mut ratios) = (BTreeMap::new(), Vec::new());
        for key in 0..keys {
            let source = Source { change: (key < moved).then_some((begin, change)), ..Source::steady(rate, trials_per_hour) };
            let series = source.draws(random, BEGIN..now + 1);
            looks.insert(key, look(&series, &rule, Hour(now)));
            if ratio_rule(&(BEGIN..=now).map(|hour| series.at(Hour(hour))).collect::<Vec<_>>()) {
                ratios.push(key);
            }
        }
        let found = discoveries(looks, FALSE_SHARE);
        let found: Vec<usize> = found.iter().filter(|(_, look)| matches!(look.verdict, Verdict::Moved(_))).map(|(key, _)| *key).collect();
        let shares = |found: &[usize]| {
            let right = found.iter().filter(|key| **key < moved).count();
            [(found.len() - right) as f64 / found.len().max(1) as f64, right as f64 / moved as f64]
        };
        [shares(&found), shares(&ratios)]
    });
    let mean = |of: usize, share: usize| results.iter().map(|result| result[of][share]).sum::<f64>() / results.len() as f64;
    Many {
        keys,
        moved,
        change,
        rate,
        trials_per_hour,
        hours_after,
        trials_after: trials_per_hour * hours_after as f64,
        false_discovery_share_allowed: FALSE_SHARE,
        repetitions: results.len(),
        false_discovery_share: mean(0, 0),
        found_of_moved: mean(0, 1),
        ratio_rule_false_discovery_share: mean(1, 0),
        ratio_rule_found_of_moved: mean(1, 1),
    }
}

/// All keys rise together, or all and one of them more.
#[derive(Debug, Serialize)]
struct Everywhere {
    what: &'static str,
    keys: usize,
    hours_after: i64,
    repetitions: usize,
    /// How often there were so many findings, the common one included.
    findings: BTreeMap<usize, usize>,
    exactly_right: Share,
    /// Findings if each key were looked at alone, on average.
    keys_found_alone: f64,
}

fn everywhere(settings: &Settings, what: &'static str, change: f64, own: Option<f64>) -> Everywhere {
    let (keys, hours_after) = (40_usize, 24);
    let rule = rule(0.15);
    let results = repeat(settings.seed, settings.repetitions / 50, &format!("everywhere {what}"), |random| {
        let begin = judged() + random.i64(0..24);
        let now = begin + hours_after - 1;
        let series: BTreeMap<usize, Series> = (0..keys)
            .map(|key| {
                let rate = [0.02, 0.1, 0.3][key % 3];
                let own = own.filter(|_| key == 1).unwrap_or(0.0);
                let change = (1.0 + change) * (1.0 + own) - 1.0;
                let source = Source { change: Some((begin, change)), ..Source::steady(rate, 500.0) };
                (key, source.draws(random, BEGIN..now + 1))
            })
            .collect();
        let located = localise(&series, &rule, Hour(now), FALSE_SHARE);
        let alone = series.values().filter(|series| matches!(look(series, &rule, Hour(now)).verdict, Verdict::Moved(_))).count();
        let specific: Vec<usize> = located.moved().map(|(key, _)| *key).collect();
        let right = located.everywhere.is_some() == (change > 0.0) && specific == own.map_or(Vec::new(), |_| vec![1]);
        (usize::from(located.everywhere.is_some()) + specific.len(), right, alone)
    });
    let mut findings = BTreeMap::new();
    for (count, ..) in &results {
        *findings.entry(*count).or_default() += 1;
    }
    #[allow(clippy::cast_precision_loss, reason = "a number of keys")]
    let keys_found_alone = results.iter().map(|(_, _, alone)| *alone).sum::<usize>() as f64 / results.len() as f64;
    Everywhere {
        what,
        keys,
        hours_after,
        repetitions: results.len(),
        findings,
        exactly_right: share(&results.iter().map(|(_, right, _)| *right).collect::<Vec<_>>()),
        keys_found_alone,
    }
}

#[derive(Serialize)]
struct Report {
    what: &'static str,
    machine: Facts,
    settings: Settings,
    goal: &'static str,
    unchanged: Vec<Unchanged>,
    delays: Vec<Delay>,
    many: Vec<Many>,
    everywhere: Vec<Everywhere>,
    seconds: f64,
}

/// Measures everything, prints tables and writes the report.
pub(crate) fn run(settings: &Settings, out: &Path) -> anyhow::Result<()> {
    let begin = std::time::Instant::now();
    let asked = |part: &str| part.starts_with(&settings.only);
    let mut report = Report {
        what: "Change detection on hourly counts. tests/bench/src/detection.rs says how each figure is made.",
        machine: Facts::now(),
        settings: settings.clone(),
        goal: "unchanged: found at most 1 %; delays: mean and median at most twice the fixed test's; many: false share at most 5 %; \
               everywhere: one finding",
        unchanged: Vec::new(),
        delays: Vec::new(),
        many: Vec::new(),
        everywhere: Vec::new(),
        seconds: 0.0,
    };
    if asked("unchanged") {
        println!("Unchanged streams that have a finding in 30 days, looked at every minute\n");
        let table = Table::new(&[("stream", 30), ("rate", 5), ("trials/h", 8), ("found", 8), ("evidence", 8), ("ratio rule", 10)]);
        for (what, source, drift_a_month) in unchanged_sources() {
            table.working_on(what);
            let row = unchanged(settings, what, source, drift_a_month);
            let percent = |share: Share| format!("{:.2} %", share.share * 100.0);
            let rate = format!("{} %", (row.rate * 100.0).round());
            table.row(&[
                row.what.clone(),
                rate,
                short(row.trials_per_hour),
                percent(row.found),
                percent(row.evidence),
                percent(row.ratio_rule),
            ]);
            report.unchanged.push(row);
        }
    }
    if asked("delays") {
        println!("\nTrials from the change to the finding\n");
        let table = Table::new(&[
            ("rate, change, rule's", 24),
            ("trials/h", 8),
            ("moment", 8),
            ("found", 7),
            ("median", 8),
            ("mean", 8),
            ("fixed 90 %", 8),
            ("median/", 6),
            ("mean/", 6),
            ("fixed 99 %", 8),
            ("median/", 6),
            ("mean/", 6),
            ("2-sample", 6),
        ]);
        for (rate, trials_per_hour, change, smallest, known) in delay_cases() {
            let name = format!("{:.0} %, +{:.0} %, {:.0} %", rate * 100.0, change * 100.0, smallest * 100.0);
            table.working_on(&name);
            let row = delay(settings, rate, trials_per_hour, change, smallest, known);
            let (ninety, all) = ("power 0.9", "power 0.99");
            table.row(&[
                name,
                short(row.trials_per_hour),
                if known { "known" } else { "unknown" }.to_owned(),
                format!("{:.1} %", row.found.share * 100.0),
                short(row.median),
                short(row.mean),
                short(row.fixed[ninety]),
                short(row.median_over_fixed[ninety]),
                short(row.mean_over_fixed[ninety]),
                short(row.fixed[all]),
                short(row.median_over_fixed[all]),
                short(row.mean_over_fixed[all]),
                short(row.mean_over_fixed_two_sample[all]),
            ]);
            report.delays.push(row);
        }
    }
    if asked("many") {
        println!("\nA thousand keys, of which 20 moved\n");
        let table = Table::new(&[("change, hours after", 24), ("false", 8), ("found", 8), ("ratio rule: false", 8), ("found", 8)]);
        for (change, hours) in [(0.25, 12), (0.25, 24), (0.5, 4), (0.5, 12)] {
            let name = format!("+{:.0} %, {hours} h", change * 100.0);
            table.working_on(&name);
            let row = many(settings, change, hours);
            let percent = |share: f64| format!("{:.1} %", share * 100.0);
            table.row(&[
                name,
                percent(row.false_discovery_share),
                percent(row.found_of_moved),
                percent(row.ratio_rule_false_discovery_share),
                percent(row.ratio_rule_found_of_moved),
            ]);
            report.many.push(row);
        }
    }
    if asked("everywhere") {
        println!("\nForty keys\n");
        let table = Table::new(&[("what rose", 34), ("findings", 24), ("right", 8), ("keys found alone", 8)]);
        for (what, change, own) in [
            ("all by 25 %", 0.25, None),
            ("all by 50 %", 0.5, None),
            ("all by 25 %, one 50 % more", 0.25, Some(0.5)),
            ("one by 50 %", 0.0, Some(0.5)),
        ] {
            table.working_on(what);
            let row = everywhere(settings, what, change, own);
            let findings: Vec<String> = row.findings.iter().map(|(count, times)| format!("{count}: {times}")).collect();
            table.row(&[
                what.to_owned(),
                findings.join(", "),
                format!("{:.1} %", row.exactly_right.share * 100.0),
                short(row.keys_found_alone),
            ]);
            report.everywhere.push(row);
        }
    }
    report.seconds = begin.elapsed().as_secs_f64();
    write(out, &report)
}

/// Streams that do not change, or hardly, and the drift that the rule allows.
fn unchanged_sources() -> Vec<(&'static str, Source, f64)> {
    let usual = rule(0.15).drift_a_month;
    let mut sources = Vec::new();
    for rate in [0.02, 0.1, 0.3] {
        for (what, trials_per_hour) in [("little traffic", 60.0), ("much traffic", 3_000.0)] {
            sources.push((what, Source::steady(rate, trials_per_hour), usual));
        }
    }
    for trials_per_hour in [60.0, 3_000.0] {
        let steady = Source::steady(0.1, trials_per_hour);
        sources.push(("seasons", Source { seasons: true, ..steady }, usual));
    }
    sources.push(("drift of 2 % in 30 days", Source { drift: 0.02, ..Source::steady(0.1, 60.0) }, usual));
    let drifting = Source { drift: 0.1, ..Source::steady(0.1, 60.0) };
    sources.push(("drift of 10 %, 2 % allowed", drifting, usual));
    sources.push(("drift of 10 %, allowed", drifting, 0.1));
    sources
}

/// Rate, trials an hour, change, the rule's smallest change, whether the moment is known.
fn delay_cases() -> Vec<(f64, f64, f64, f64, bool)> {
    let mut cases = Vec::new();
    for (rate, few) in [(0.02, 1_200.0), (0.1, 240.0), (0.3, 60.0)] {
        for change in [0.15, 0.25, 0.5] {
            cases.push((rate, few, change, 0.1, false));
        }
    }
    for change in [0.15, 0.25, 0.5] {
        cases.push((0.1, 240.0, change, 0.1, true));
    }
    cases.push((0.1, 3_000.0, 0.25, 0.1, false));
    cases.push((0.1, 240.0, 0.15, 0.15, false));
    cases
}
