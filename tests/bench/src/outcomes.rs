//! What is told of actions whose effect is known, beside a plain comparison of before and after; and how fast counts are
//! looked at again.
//!
//! How each figure is made:
//!
//! - A history is 28 days of hourly counts of one rate of usually 10%, with hours of the day and days that differ by more than
//!   chance (a tenth of the log odds), and of eight more rates like it. What all of them share moves by itself: a walk with a
//!   step each day.
//! - On day 28 the rate rises by the given share. The engine looks each hour, as in production; with the hour in which it finds
//!   the rise comes the action, so that what was extreme enough to be found is what the action answers. Where nothing rose,
//!   the action comes in the hour after the worst day of a week: extremes recede by themselves.
//! - The action takes effect within the hour. `flywheel` grades it each hour from the settling time on, with the policy's
//!   defaults (6 hours, given up after 168). `before and after` is a z-test at 5% between the day before the action and the
//!   day after it, looked at once.
//! - `right` is the verdict that the truth calls for. `undone` is the verdict `worse`, upon which an action is taken back.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use flywheel_engine::findings::{History, MetricState, detect};
use flywheel_engine::outcomes::{Awaited, Known, grade};
use flywheel_engine::replay::replay;
use flywheel_model::{ActionKind, ActionVerdict, Body, Count, Event, Hour, Id, Key, Metric, Scope};
use flywheel_policy::Policy;
use jiff::SignedDuration;
use serde::Serialize;

use crate::repeat::repeat;
use crate::report::{Facts, Table, write};

const DAYS: i64 = 28;
/// A rise that is not found in this time is none.
const PATIENCE: i64 = 7 * 24;
const GIVEN_UP: i64 = 168;
const USUAL: f64 = 0.1;
const OTHERS: usize = 8;

const POLICY: &str = r#"mode = "act"
[[unseen_source]]
knowledge_base = "KBBENCHMRK"
data_source = "DSBENCHMRK"
"#;

/// What to measure with.
#[derive(Debug, Clone, Serialize, clap::Args)]
pub(crate) struct Settings {
    /// Actions for each figure
    #[arg(long, default_value_t = 400)]
    repetitions: usize,
    /// Where all chance comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What happens to the rate: multiplied by so much before the action and after it.
#[derive(Debug, Clone, Copy)]
struct Truth {
    name: &'static str,
    before: f64,
    after: f64,
    /// The other rates move as this one does.
    everywhere: bool,
    right: ActionVerdict,
    good: bool,
}

const TRUTHS: [Truth; 8] = [
    Truth { name: "doubled, taken back", before: 2.0, after: 1.0, everywhere: false, right: ActionVerdict::Improved, good: true },
    Truth { name: "doubled, half taken back", before: 2.0, after: 1.5, everywhere: false, right: ActionVerdict::Improved, good: true },
    Truth { name: "half more, taken back", before: 1.5, after: 1.0, everywhere: false, right: ActionVerdict::Improved, good: true },
    Truth { name: "doubled, no effect", before: 2.0, after: 2.0, everywhere: false, right: ActionVerdict::Unchanged, good: false },
    Truth { name: "half more, no effect", before: 1.5, after: 1.5, everywhere: false, right: ActionVerdict::Unchanged, good: false },
    Truth { name: "half more, then doubled", before: 1.5, after: 3.0, everywhere: false, right: ActionVerdict::Worse, good: false },
    Truth {
        name: "everything doubled, recovers by itself",
        before: 2.0,
        after: 1.0,
        everywhere: true,
        right: ActionVerdict::Unchanged,
        good: false,
    },
    Truth {
        name: "nothing rose, worst day of a week",
        before: 1.0,
        after: 1.0,
        everywhere: false,
        right: ActionVerdict::Unchanged,
        good: false,
    },
];

/// One action and what was said of it.
#[derive(Debug, Clone, Copy)]
struct Said {
    flywheel: ActionVerdict,
    hours: i64,
    plain: ActionVerdict,
}

#[derive(Debug, Serialize)]
struct Row {
    truth: &'static str,
    trials_an_hour: u64,
    actions: usize,
    right: f64,
    improved: f64,
    unchanged: f64,
    worse: f64,
    inconclusive: f64,
    median_hours: i64,
    plain_right: f64,
    plain_worse: f64,
    plain_improved: f64,
}

#[derive(Debug, Serialize)]
struct Replayed {
    signals: u64,
    seconds: f64,
    signals_a_second: f64,
    events: usize,
    same_bytes: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    facts: Facts,
    settings: Settings,
    grading: Vec<Row>,
    good_actions: usize,
    good_actions_undone: f64,
    plain_good_actions_undone: f64,
    replay: Replayed,
}

/// Box and Muller 1958.
fn normal(random: &mut fastrand::Rng) -> f64 {
    (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (std::f64::consts::TAU * random.f64()).cos()
}

/// A draw of so many trials; the normal approximation is good enough for hundreds.
fn draw(trials: u64, rate: f64, random: &mut fastrand::Rng) -> u64 {
    if trials <= 60 {
        return (0..trials).filter(|_| random.f64() < rate).count() as u64;
    }
    let mean = trials as f64 * rate;
    (mean + (mean * (1.0 - rate)).sqrt() * normal(random)).round().clamp(0.0, trials as f64) as u64
}

/// What all rates of a world share, and each for itself, by the hour.
struct World {
    trials: u64,
    common: Vec<f64>,
    own: Vec<Vec<f64>>,
}

impl World {
    fn new(trials: u64, random: &mut fastrand::Rng) -> Self {
        let days = (DAYS + (PATIENCE + GIVEN_UP) / 24 + 3) as usize;
        let mut level = 0.0;
        let common = (0..days)
            .map(|_| {
                level = 0.9 * level + 0.05 * normal(random);
                level
            })
            .collect();
        let own = (0..=OTHERS).map(|_| (0..days).map(|_| 0.1 * normal(random)).collect()).collect();
        Self { trials, common, own }
    }

    fn count(&self, rate: usize, hour: i64, factor: f64, random: &mut fastrand::Rng) -> Count {
        let season = 0.4 * (hour as f64 * std::f64::consts::TAU / 24.0).sin();
        let day = (hour / 24) as usize;
        let odds = (USUAL / (1.0 - USUAL)).ln() + season + self.common[day] + self.own[rate][day];
        let usual = 1.0 / (1.0 + (-odds).exp());
        Count { trials: self.trials, events: draw(self.trials, (usual * factor).min(0.95), random), ..Count::default() }
    }
}

fn key(rate: usize) -> Key {
    Key::try_from(format!("rate-{rate}").as_str()).expect("a key")
}

/// An action in a world, graded.
fn act(truth: Truth, trials: u64, policy: &Policy, random: &mut fastrand::Rng) -> Option<Said> {
    let world = World::new(trials, random);
    let mut histories: BTreeMap<Key, History> = (0..=OTHERS).map(|rate| (key(rate), History::default())).collect();
    let learn = |histories: &mut BTreeMap<Key, History>, hour: i64, factor: f64, random: &mut fastrand::Rng| {
        for rate in 0..=OTHERS {
            let factor = if rate == 0 || truth.everywhere { factor } else { 1.0 };
            let count = world.count(rate, hour, factor, random);
            histories.entry(key(rate)).or_default().learn(Hour(hour), &count);
        }
    };
    let start = DAYS * 24;
    (0..start).for_each(|hour| learn(&mut histories, hour, 1.0, random));
    let metric = Metric::FailedResponses;
    let (since, acted) = if truth.before > 1.0 {
        let mut state = MetricState::default();
        let mut found = None;
        for hour in start..start + PATIENCE {
            learn(&mut histories, hour, truth.before, random);
            let (events, next) = detect(metric, &histories, &[], &state, policy, Hour(hour).start() + SignedDuration::from_secs(3_599));
            state = next;
            found = events.iter().find_map(|event: &Event| match &event.body {
                Body::FindingOpened(finding) if finding.scope == Scope::Key(key(0)) || truth.everywhere => match &finding.evidence {
                    flywheel_model::Evidence::Rates(rates) => Some(Hour::of(rates.since).0),
                    flywheel_model::Evidence::Alarm { .. } => None,
                },
                _ => None,
            });
            if let Some(since) = found {
                found = Some(since);
                break;
            }
        }
        let last = histories[&key(0)].counts.hours().last().map_or(start, |(hour, _)| hour.0);
        (found?, last + 1)
    } else {
        (start..start + 7 * 24).for_each(|hour| learn(&mut histories, hour, 1.0, random));
        let day_of =
            |hour: i64| (hour - 24..hour).map(|hour| histories[&key(0)].counts.at(flywheel_detection::Hour(hour)).events()).sum::<u64>();
        let worst = (start + 24..=start + 7 * 24).max_by_key(|hour| day_of(*hour))?;
        for history in histories.values_mut() {
            (worst..start + 7 * 24).for_each(|hour| history.learn(Hour(hour), &Count::default()));
        }
        (worst - 24, worst)
    };
    let awaited = Awaited {
        action: Id::of("decision.refresh", &["1"]),
        what: ActionKind::Promotion,
        metric,
        scope: Scope::Key(key(0)),
        since: Hour(since).start(),
        acted_at: Hour(acted).start(),
        experiment: None,
    };
    let mut flywheel = None;
    for hour in acted..=acted + GIVEN_UP {
        learn(&mut histories, hour, truth.after, random);
        if flywheel.is_none() {
            let known = Known { histories: &histories, awaited: &[], graded: &[] };
            let now = Hour(hour + 1).start();
            flywheel = grade(&awaited, known, policy, now).map(|graded| (graded.outcome.verdict, hour + 1 - acted));
        }
        if flywheel.is_some() && hour >= acted + 24 {
            break;
        }
    }
    let (verdict, hours) = flywheel?;
    Some(Said { flywheel: verdict, hours, plain: before_and_after(&histories[&key(0)], acted) })
}

/// The day before the action and the day after it, by a two-sided z-test at 5%.
fn before_and_after(history: &History, acted: i64) -> ActionVerdict {
    let sum = |hours: std::ops::Range<i64>| {
        hours.fold((0.0, 0.0), |(trials, events), hour| {
            let tally = history.counts.at(flywheel_detection::Hour(hour));
            (trials + tally.trials() as f64, events + tally.events() as f64)
        })
    };
    let ((n, k), (m, j)) = (sum(acted - 24..acted), sum(acted + 1..acted + 25));
    let pooled = (k + j) / (n + m);
    let z = (j / m - k / n) / (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    if z > 1.96 {
        ActionVerdict::Worse
    } else if z < -1.96 {
        ActionVerdict::Improved
    } else {
        ActionVerdict::Unchanged
    }
}

fn row(truth: Truth, trials: u64, said: &[Said]) -> Row {
    let share = |of: &dyn Fn(&Said) -> bool| said.iter().filter(|said| of(said)).count() as f64 / said.len().max(1) as f64;
    let told = |verdict: ActionVerdict| share(&|said| said.flywheel == verdict);
    let plain = |verdict: ActionVerdict| share(&|said| said.plain == verdict);
    let mut hours: Vec<i64> = said.iter().map(|said| said.hours).collect();
    hours.sort_unstable();
    Row {
        truth: truth.name,
        trials_an_hour: trials,
        actions: said.len(),
        right: told(truth.right),
        improved: told(ActionVerdict::Improved),
        unchanged: told(ActionVerdict::Unchanged),
        worse: told(ActionVerdict::Worse),
        inconclusive: told(ActionVerdict::Inconclusive),
        median_hours: hours.get(hours.len() / 2).copied().unwrap_or_default(),
        plain_right: plain(truth.right),
        plain_worse: plain(ActionVerdict::Worse),
        plain_improved: plain(ActionVerdict::Improved),
    }
}

/// A month of counts of many rates, looked at again twice.
fn look_again(policy: &Policy, seed: u64) -> anyhow::Result<Replayed> {
    let mut random = fastrand::Rng::with_seed(seed);
    let world = World::new(500, &mut random);
    let hours = 30 * 24;
    let mut histories = BTreeMap::new();
    let mut signals = 0;
    for rate in 0..=OTHERS {
        let mut history = History::default();
        for hour in 0..hours {
            let count = world.count(rate, hour, if rate == 0 && hour >= 28 * 24 { 2.0 } else { 1.0 }, &mut random);
            // Of the hours before the two days that are replayed only the baseline is read.
            signals += if hour >= 28 * 24 { count.trials } else { 0 };
            history.learn(Hour(hour), &count);
        }
        histories.insert(key(rate), history);
    }
    let histories = BTreeMap::from([(Metric::FailedResponses, histories)]);
    let begun = Instant::now();
    let first = replay(&histories, policy, Hour(28 * 24)..Hour(hours));
    let seconds = begun.elapsed().as_secs_f64();
    let again = replay(&histories, policy, Hour(28 * 24)..Hour(hours));
    Ok(Replayed {
        signals,
        seconds,
        signals_a_second: signals as f64 / seconds,
        events: first.len(),
        same_bytes: serde_json::to_vec(&first)? == serde_json::to_vec(&again)?,
    })
}

pub(crate) fn run(settings: &Settings, out: &Path) -> anyhow::Result<()> {
    let policy = Policy::parse(POLICY).map_err(|errors| anyhow::anyhow!("{errors}"))?;
    let table = Table::new(&[
        ("truth", 38),
        ("an hour", 7),
        ("actions", 7),
        ("right", 6),
        ("improved", 8),
        ("unchanged", 9),
        ("worse", 6),
        ("unclear", 7),
        ("hours", 5),
        ("plain right", 11),
        ("plain worse", 11),
    ]);
    let mut grading = Vec::new();
    let (mut good, mut undone, mut plain_undone) = (0, 0.0, 0.0);
    for truth in TRUTHS {
        for trials in [50, 300] {
            table.working_on(truth.name);
            let name = format!("{} {trials}", truth.name);
            let said: Vec<Said> = repeat(settings.seed, settings.repetitions, &name, |random| act(truth, trials, &policy, random))
                .into_iter()
                .flatten()
                .collect();
            let row = row(truth, trials, &said);
            let percent = |share: f64| format!("{:.1}%", 100.0 * share);
            table.row(&[
                truth.name.to_owned(),
                trials.to_string(),
                row.actions.to_string(),
                percent(row.right),
                percent(row.improved),
                percent(row.unchanged),
                percent(row.worse),
                percent(row.inconclusive),
                row.median_hours.to_string(),
                percent(row.plain_right),
                percent(row.plain_worse),
            ]);
            if truth.good {
                good += row.actions;
                undone += row.worse * row.actions as f64;
                plain_undone += row.plain_worse * row.actions as f64;
            }
            grading.push(row);
        }
    }
    let replay = look_again(&policy, settings.seed)?;
    let report = Report {
        facts: Facts::now(),
        settings: settings.clone(),
        grading,
        good_actions: good,
        good_actions_undone: undone / good.max(1) as f64,
        plain_good_actions_undone: plain_undone / good.max(1) as f64,
        replay,
    };
    println!(
        "\nGood actions undone: {:.2}% of {good}, by the plain comparison {:.2}%. Replay: {:.0} signals a second, {}.",
        100.0 * report.good_actions_undone,
        100.0 * report.plain_good_actions_undone,
        report.replay.signals_a_second,
        if report.replay.same_bytes { "the same bytes" } else { "OTHER BYTES" },
    );
    write(out, &report)
}
