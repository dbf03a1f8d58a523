//! How often experiments find what is not there, how soon they find what is, how long harm lasts, and what the order of the
//! queue is worth, beside tests that look once.
//!
//! How each figure is made:
//!
//! - A unit falls into an arm and is resolved with the arm's rate, independently. Arms are alike in size. A look comes after
//!   each hundredth of the planned units at least, and after each of the first hundred.
//! - `false_winners`: all arms have the control's rate, and it is looked on until four times the fixed sample, without ever
//!   stopping for futility. Any treatment whose e-value reaches the inverse of its level is a false winner; the treatments of
//!   one experiment share the stated error evenly. `z_test` is the one-sided test of the same error at the same looks, and
//!   `z_test_once` at the fixed sample only.
//! - `false_discoveries`: queues of 100 experiments, one after the other, each with one treatment, which is better by the
//!   planned effect in the given share of them. `flywheel` takes each level from the account's budget; `alone` gives each the
//!   whole rate. The mean of the share of false ones among a queue's discoveries is compared with the stated rate.
//! - `power`: the share of experiments that find the treatment better until the planned units, and the median units of an arm
//!   until the end of an experiment, as a ratio to the fixed sample of a z-test with the planned error and power (Fleiss
//!   1981), which takes all of its units whatever the true effect is.
//! - `harm`: the engine's own `conclude`, looking each time that 50 more units of each arm are in (each hundredth part would
//!   be sooner). The treatment resolves as many, and so many more of its conversations are handed over to a person than the
//!   10% of the control. `units` are those of the treatment until it is stopped. `z_test_each_look` looks as often with an error
//!   of 5%, `at_the_end` once, after the planned units.
//! - `order`: queues of 12 intents that share their users, one experiment at a time, for 90 days. Traffic, rate and the true
//!   effect differ (for 7 of 10 it is none or less); the engine plans each, and it ends when its e-value says so or when the
//!   planned units are in. What an intent gains counts from its winner's promotion to the last day.

use std::path::Path;
use std::time::Instant;

use flywheel_engine::experiments::{Book, Look, Outcomes, Traffic, conclude, plan as plan_experiment};
use flywheel_model::{ArmCount, Experiment, ExperimentPlan, ExperimentRun, ExperimentState, ExperimentVerdict, Hour, PromptVariant};
use flywheel_policy::ExperimentPolicy;
use flywheel_sequential::{Arm, Expected, Plan, evidence_of_fall, evidence_of_rise, level, plan};
use jiff::Timestamp;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, Normal};

use crate::binomial::binomial;
use crate::repeat::repeat;
use crate::report::{Facts, Table, short, write};

/// The stated error of one experiment.
const ERROR: f64 = 0.05;
/// The power that is planned with.
const POWER: f64 = 0.8;
/// The account's stated rate of false discoveries.
const RATE: f64 = 0.05;
/// Experiments of a queue whose false discoveries are counted.
const QUEUE: u64 = 100;
/// Days that the order of a queue is judged by.
const HORIZON: f64 = 90.0;

/// What to measure with.
#[derive(Debug, Clone, Serialize, clap::Args)]
pub(crate) struct Settings {
    /// Experiments, or queues of them, for each figure
    #[arg(long, default_value_t = 10_000)]
    repetitions: usize,
    /// Where all chance comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Two arms that grow.
#[derive(Debug, Clone, Copy, Default)]
struct Pair {
    control: Arm,
    treatment: Arm,
}

fn grow(arm: &mut Arm, random: &mut fastrand::Rng, units: u64, rate: f64) {
    arm.units += units;
    arm.events += binomial(random, units, rate);
}

/// Units of an arm after which it is looked, up to an end.
fn looks(planned: u64, end: u64) -> Vec<u64> {
    let step = (planned / 100).max(1) as usize;
    let mut looks: Vec<u64> = (1..=end.min(100)).collect();
    looks.extend((100..=end).step_by(step).skip(1));
    if looks.last().is_some_and(|last| *last < end) {
        looks.push(end);
    }
    looks
}

/// The statistic of the one-sided test that looks once.
fn z(control: Arm, treatment: Arm) -> f64 {
    let (n, m) = (control.units as f64, treatment.units as f64);
    let (p, q) = (control.events as f64 / n, treatment.events as f64 / m);
    let pooled = (control.events + treatment.events) as f64 / (n + m);
    let spread = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    if spread > 0.0 { (q - p) / spread } else { 0.0 }
}

fn quantile(error: f64) -> f64 {
    Normal::standard().inverse_cdf(1.0 - error)
}

fn expected(baseline: f64, relative: f64) -> Expected {
    Expected { baseline, effect: baseline * relative }
}

fn planned(expected: &Expected, error: f64) -> Plan {
    plan(expected, error, POWER).expect("the benchmark's rates can be told apart")
}

fn share_of<T>(all: &[T], holds: impl Fn(&T) -> bool) -> f64 {
    all.iter().filter(|one| holds(one)).count() as f64 / all.len().max(1) as f64
}

fn median(mut all: Vec<f64>) -> f64 {
    part(&mut all, 0.5)
}

fn part(all: &mut [f64], share: f64) -> f64 {
    all.sort_by(f64::total_cmp);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let place = (all.len() as f64 * share) as usize;
    all.get(place.min(all.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

#[derive(Debug, Serialize)]
struct FalseWinners {
    arms: usize,
    rate: f64,
    looks: usize,
    stated: f64,
    flywheel: f64,
    z_test: f64,
    z_test_once: f64,
}

fn false_winners(settings: &Settings, treatments: usize, rate: f64) -> FalseWinners {
    let expected = expected(rate, 0.1);
    let error = ERROR / treatments as f64;
    let fixed = planned(&expected, error).fixed;
    let looks = looks(fixed, 4 * fixed);
    let (enough, bound) = ((1.0 / error).ln(), quantile(error));
    let name = format!("false winners {treatments} {rate}");
    let all = repeat(settings.seed, settings.repetitions, &name, |random| {
        let (mut control, mut arms) = (Arm::default(), vec![Arm::default(); treatments]);
        let (mut ours, mut often, mut once) = (false, false, false);
        for look in &looks {
            let more = look - control.units;
            grow(&mut control, random, more, rate);
            for arm in &mut arms {
                grow(arm, random, more, rate);
            }
            let beaten = |arm: &Arm| z(control, *arm) >= bound;
            ours = ours || arms.iter().any(|arm| evidence_of_rise(control, *arm, 0.0, &expected) >= enough);
            often = often || arms.iter().any(beaten);
            once = once || (*look >= fixed && *look < fixed + more && arms.iter().any(beaten));
        }
        (ours, often, once)
    });
    FalseWinners {
        arms: treatments + 1,
        rate,
        looks: looks.len(),
        stated: ERROR,
        flywheel: share_of(&all, |(ours, ..)| *ours),
        z_test: share_of(&all, |(_, often, _)| *often),
        z_test_once: share_of(&all, |(.., once)| *once),
    }
}

#[derive(Debug, Serialize)]
struct FalseDiscoveries {
    better: f64,
    experiments: u64,
    stated: f64,
    /// Mean share of false ones among a queue's discoveries, and true discoveries of a queue.
    flywheel: f64,
    flywheel_found: f64,
    alone: f64,
    alone_found: f64,
}

/// When experiments are given up: the planned units at two errors, and between them by the error's logarithm. Working each of a
/// million plans out anew would take longer than all experiments.
#[derive(Debug, Clone, Copy)]
struct Ends {
    few: f64,
    many: f64,
}

impl Ends {
    const LEAST: f64 = RATE / 1_000.0;

    fn of(expected: &Expected) -> Self {
        let [few, many] = [RATE, Self::LEAST].map(|error| planned(expected, error).at_power as f64);
        Self { few, many }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of units")]
    fn at(self, error: f64) -> u64 {
        let place = (RATE / error).ln() / (RATE / Self::LEAST).ln();
        (self.few + place * (self.many - self.few)).round() as u64
    }
}

/// Whether a treatment is found better, looking thirty times until the planned units.
fn finds(random: &mut fastrand::Rng, expected: &Expected, ends: Ends, better: bool, error: f64) -> bool {
    let end = ends.at(error);
    let rate = expected.baseline + if better { expected.effect } else { 0.0 };
    let mut pair = Pair::default();
    (1..=30).any(|look| {
        let more = end * look / 30 - pair.control.units;
        grow(&mut pair.control, random, more, expected.baseline);
        grow(&mut pair.treatment, random, more, rate);
        evidence_of_rise(pair.control, pair.treatment, 0.0, expected) >= (1.0 / error).ln()
    })
}

fn false_discoveries(settings: &Settings, better: f64) -> FalseDiscoveries {
    let expected = expected(0.6, 0.1);
    let ends = Ends::of(&expected);
    let queue = |random: &mut fastrand::Rng, budget: bool| {
        let (mut found, mut wrong) = (0_u64, 0_u64);
        for t in 1..=QUEUE {
            let is_better = random.f64() < better;
            let error = if budget { level(RATE, t, found) } else { RATE };
            if finds(random, &expected, ends, is_better, error) {
                found += 1;
                wrong += u64::from(!is_better);
            }
        }
        [wrong as f64 / (found as f64).max(1.0), (found - wrong) as f64]
    };
    let name = format!("false discoveries {better}");
    let all = repeat(settings.seed, settings.repetitions, &name, |random| [queue(random, true), queue(random, false)]);
    let mean = |method: usize, figure: usize| all.iter().map(|one| one[method][figure]).sum::<f64>() / all.len() as f64;
    FalseDiscoveries {
        better,
        experiments: QUEUE,
        stated: RATE,
        flywheel: mean(0, 0),
        flywheel_found: mean(0, 1),
        alone: mean(1, 0),
        alone_found: mean(1, 1),
    }
}

#[derive(Debug, Serialize)]
struct Power {
    rate: f64,
    error: f64,
    /// The true effect, as a multiple of the planned one; negative: worse.
    effect: f64,
    fixed_sample: u64,
    planned_median: u64,
    planned_at_power: u64,
    found_better: f64,
    found_worse: f64,
    /// Units of an arm until the end, median, as a ratio to the fixed sample.
    median_ratio: f64,
    mean_ratio: f64,
    /// What the fixed sample finds at this effect.
    fixed_found_better: f64,
}

/// What an experiment tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Better,
    Worse,
    Open,
}

/// Looks at an experiment until it tells something or the last look is over, and says after how many units of an arm that was.
fn watch(random: &mut fastrand::Rng, expected: &Expected, rate: f64, error: f64, looks: impl Iterator<Item = u64>) -> (End, u64) {
    let enough = (1.0 / error).ln();
    let mut pair = Pair::default();
    for look in looks {
        let more = look - pair.control.units;
        grow(&mut pair.control, random, more, expected.baseline);
        grow(&mut pair.treatment, random, more, rate);
        if evidence_of_rise(pair.control, pair.treatment, 0.0, expected) >= enough {
            return (End::Better, look);
        }
        if evidence_of_fall(pair.control, pair.treatment, 0.0, expected) >= enough {
            return (End::Worse, look);
        }
    }
    (End::Open, pair.control.units)
}

fn power(settings: &Settings, rate: f64, error: f64, effect: f64) -> Power {
    let expected = expected(rate, 0.1);
    let plan = planned(&expected, error);
    let looks = looks(plan.fixed, plan.at_power);
    let bound = quantile(error);
    let better = rate + effect * expected.effect;
    let name = format!("power {rate} {error} {effect}");
    let all = repeat(settings.seed, settings.repetitions, &name, |random| {
        let (end, units) = watch(random, &expected, better, error, looks.iter().copied());
        let mut fixed = Pair::default();
        grow(&mut fixed.control, random, plan.fixed, rate);
        grow(&mut fixed.treatment, random, plan.fixed, better);
        (end, units as f64 / plan.fixed as f64, z(fixed.control, fixed.treatment) >= bound)
    });
    Power {
        rate,
        error,
        effect,
        fixed_sample: plan.fixed,
        planned_median: plan.median,
        planned_at_power: plan.at_power,
        found_better: share_of(&all, |(end, ..)| *end == End::Better),
        found_worse: share_of(&all, |(end, ..)| *end == End::Worse),
        median_ratio: median(all.iter().map(|(_, ratio, _)| *ratio).collect()),
        mean_ratio: all.iter().map(|(_, ratio, _)| ratio).sum::<f64>() / all.len() as f64,
        fixed_found_better: share_of(&all, |(.., fixed)| *fixed),
    }
}

#[derive(Debug, Serialize)]
struct Harm {
    /// Escalations beyond the control's, in points.
    more: f64,
    method: &'static str,
    stopped: f64,
    /// Units of the treatment until its stop, or its end.
    median_units: f64,
    units_at_95_percent: f64,
}

fn variant(name: &str) -> PromptVariant {
    PromptVariant {
        name: name.to_owned(),
        object: format!("prompts/billing/{name}.md"),
        sha256: "0".repeat(64),
        hypothesis: "It helps".to_owned(),
        model: None,
        parameters: std::collections::BTreeMap::new(),
        proposed: false,
    }
}

fn experiment(plan: ExperimentPlan) -> Experiment {
    Experiment {
        experiment: "exp-bench".try_into().expect("a key"),
        intent: "billing".try_into().expect("a key"),
        flag: "billing-prompt".to_owned(),
        uses: vec!["users".to_owned()],
        control: variant("baseline"),
        treatments: vec![variant("short")],
        finding: None,
        by: None,
        queued_at: Timestamp::UNIX_EPOCH,
        plan,
        state: ExperimentState::Queued,
        stopped_by: None,
        promoted_by: None,
        asked: None,
        not_asked_before: None,
        held: None,
    }
}

fn harm(settings: &Settings, more: f64) -> Vec<Harm> {
    const STEP: u64 = 50;
    const ESCALATED: f64 = 0.1;
    let policy = ExperimentPolicy::default();
    let traffic = Traffic { units_a_day: 2_400.0, rate: 0.6 };
    let plan = plan_experiment(&policy, traffic, 1, &Book::default()).expect("enough traffic");
    let experiment = experiment(plan);
    let run = ExperimentRun {
        since: Timestamp::UNIX_EPOCH,
        levels: vec![level(policy.false_discovery_rate, 1, 0)],
        step: 0,
        in_force_at: Some(Timestamp::UNIX_EPOCH),
        deployment: None,
        share: policy.share,
        dropped: Vec::new(),
    };
    let bound = quantile(0.05);
    let name = format!("harm {more}");
    let all = repeat(settings.seed, settings.repetitions, &name, |random| {
        let (mut outcomes, mut escalations) = (Outcomes::default(), Pair::default());
        let (mut ours, mut often) = (None, None);
        let mut units = 0;
        while units < plan.units_an_arm_at_most {
            units += STEP;
            let mut count = |escalated: f64, arm: &mut Arm| {
                let before = *arm;
                grow(arm, random, STEP, escalated);
                let resolved = binomial(random, STEP, 0.6);
                ArmCount { units: STEP, resolved, escalated: arm.events - before.events, ..ArmCount::default() }
            };
            let hour = outcomes.hours.entry(Hour::of(Timestamp::UNIX_EPOCH)).or_default();
            hour.entry("baseline".to_owned()).or_default().add(&count(ESCALATED, &mut escalations.control));
            hour.entry("short".to_owned()).or_default().add(&count(ESCALATED + more, &mut escalations.treatment));
            if often.is_none() && z(escalations.control, escalations.treatment) >= bound {
                often = Some(units);
            }
            // A conclusion of another kind ends the experiment too, and with it what harm there is.
            let look = if ours.is_none() { conclude(&experiment, &run, &outcomes, &policy, run.since) } else { Look::GoOn };
            if let Look::Concluded(conclusion) = look {
                ours = Some((units, conclusion.verdict == ExperimentVerdict::Guardrail));
            }
            if ours.is_some() && often.is_some() {
                break;
            }
        }
        let end = plan.units_an_arm_at_most;
        let mut last = Pair::default();
        grow(&mut last.control, random, end, ESCALATED);
        grow(&mut last.treatment, random, end, ESCALATED + more);
        let once = z(last.control, last.treatment) >= bound;
        [ours.unwrap_or((end, false)), (often.unwrap_or(end), often.is_some()), (end, once)]
    });
    ["flywheel", "z_test_each_look", "at_the_end"]
        .into_iter()
        .enumerate()
        .map(|(place, method)| {
            let mut units: Vec<f64> = all.iter().map(|one| one[place].0 as f64).collect();
            Harm {
                more,
                method,
                stopped: share_of(&all, |one| one[place].1),
                median_units: part(&mut units, 0.5),
                units_at_95_percent: part(&mut units, 0.95),
            }
        })
        .collect()
}

#[derive(Debug, Serialize)]
struct Order {
    intents: usize,
    days: f64,
    /// Mean of the conversations resolved more within the days, by the order of the queue.
    by_promise: f64,
    first_come: f64,
    /// What perfect knowledge of each gain for a day would have ordered.
    by_truth: f64,
    ratio: f64,
    /// Queues that gained more by promise than first come, and less.
    more: f64,
    less: f64,
}

/// An intent that waits for its experiment.
struct Waiting {
    plan: ExperimentPlan,
    truth: f64,
    error: f64,
}

fn order(settings: &Settings) -> Order {
    const INTENTS: usize = 12;
    let policy = ExperimentPolicy::default();
    let error = level(policy.false_discovery_rate, 1, 0);
    let all = repeat(settings.seed, settings.repetitions, "order", |random| {
        let queue: Vec<Waiting> = std::iter::repeat_with(|| {
            // From some hundreds to some ten thousands of conversations a day.
            let units_a_day = 200.0 * 100.0_f64.powf(random.f64());
            let rate = 0.35 + 0.5 * random.f64();
            let truth = match random.f64() {
                place if place < 0.3 => 0.5 + 1.5 * random.f64(),
                place if place < 0.8 => 0.0,
                _ => -random.f64(),
            };
            let plan = plan_experiment(&policy, Traffic { units_a_day, rate }, 1, &Book::default())?;
            (plan.days_at_most <= f64::from(policy.days_at_most)).then_some(Waiting { plan, truth, error })
        })
        .flatten()
        .take(INTENTS)
        .collect();
        // The same outcomes of the same experiment, in whatever order they run.
        let runs: Vec<(f64, f64)> = queue.iter().map(|waiting| play(waiting, random)).collect();
        let gained = |order: Vec<usize>| {
            let (mut day, mut gain) = (0.0, 0.0);
            for place in order {
                let (days, gain_a_day) = runs[place];
                day += days;
                gain += gain_a_day * (HORIZON - day).max(0.0);
            }
            gain
        };
        let by = |key: &dyn Fn(usize) -> f64| {
            let mut order: Vec<usize> = (0..queue.len()).collect();
            order.sort_by(|one, other| key(*other).total_cmp(&key(*one)));
            order
        };
        let promise = by(&|place| queue[place].plan.promise());
        let truth = by(&|place| runs[place].1 / runs[place].0.max(1e-6));
        [gained(promise), gained((0..queue.len()).collect()), gained(truth)]
    });
    let mean = |place: usize| all.iter().map(|one| one[place]).sum::<f64>() / all.len() as f64;
    Order {
        intents: INTENTS,
        days: HORIZON,
        by_promise: mean(0),
        first_come: mean(1),
        by_truth: mean(2),
        ratio: mean(0) / mean(1),
        more: share_of(&all, |one| one[0] > one[1]),
        less: share_of(&all, |one| one[0] < one[1]),
    }
}

/// Days that an experiment takes, and what it gains each day from then on.
fn play(waiting: &Waiting, random: &mut fastrand::Rng) -> (f64, f64) {
    let Waiting { plan, truth, error } = waiting;
    let expected = Expected { baseline: plan.baseline, effect: plan.effect };
    let rate = (plan.baseline + truth * plan.effect).clamp(0.0, 1.0);
    let looks = (1..=40).map(|look| plan.units_an_arm_at_most * look / 40);
    let (end, units) = watch(random, &expected, rate, *error, looks);
    let gain = if end == End::Better { plan.units_a_day * (rate - plan.baseline) } else { 0.0 };
    (plan.days * units as f64 / plan.units_an_arm as f64, gain)
}

#[derive(Debug, Serialize)]
struct Report {
    benchmark: &'static str,
    facts: Facts,
    settings: Settings,
    seconds: f64,
    false_winners: Vec<FalseWinners>,
    false_discoveries: Vec<FalseDiscoveries>,
    power: Vec<Power>,
    harm: Vec<Harm>,
    order: Order,
}

fn percent(share: f64) -> String {
    format!("{:.2}%", 100.0 * share)
}

/// Measures all of it.
pub(crate) fn run(settings: &Settings, out: &Path) -> anyhow::Result<()> {
    let begun = Instant::now();
    println!("False winners, all arms equal, {} experiments each, stated {}:", settings.repetitions, percent(ERROR));
    let table = Table::new(&[("arms, rate", 12), ("looks", 6), ("flywheel", 9), ("z-test", 9), ("z-test once", 11)]);
    let mut winners = Vec::new();
    for treatments in [1, 2, 4] {
        for rate in [0.05, 0.3, 0.7] {
            table.working_on(&format!("{} arms at {}", treatments + 1, percent(rate)));
            let row = false_winners(settings, treatments, rate);
            table.row(&[
                format!("{}, {rate}", row.arms),
                row.looks.to_string(),
                percent(row.flywheel),
                percent(row.z_test),
                percent(row.z_test_once),
            ]);
            winners.push(row);
        }
    }

    println!("\nFalse discoveries of {QUEUE} experiments in a row, stated {}:", percent(RATE));
    let table = Table::new(&[("better", 8), ("flywheel", 9), ("found", 7), ("alone", 9), ("found", 7)]);
    let mut discoveries = Vec::new();
    for better in [0.0, 0.05, 0.2, 0.5] {
        table.working_on(&percent(better));
        let row = false_discoveries(settings, better);
        table.row(&[percent(better), percent(row.flywheel), short(row.flywheel_found), percent(row.alone), short(row.alone_found)]);
        discoveries.push(row);
    }

    println!("\nPower and samples, as a ratio to the fixed sample:");
    let columns = [("rate, error, effect", 22), ("fixed", 7), ("better", 8), ("worse", 8), ("median", 7), ("mean", 7), ("fixed finds", 11)];
    let table = Table::new(&columns);
    let mut powers = Vec::new();
    for rate in [0.05, 0.3, 0.6, 0.85] {
        for error in [0.05, level(RATE, 1, 0)] {
            for effect in [-1.0, 0.0, 0.5, 1.0, 2.0] {
                // Twice as much of 85% would be more than all.
                if rate + effect * rate * 0.1 >= 1.0 {
                    continue;
                }
                table.working_on(&format!("{rate} {error:.4} {effect}"));
                let row = power(settings, rate, error, effect);
                table.row(&[
                    format!("{rate}, {error:.4}, {effect}"),
                    row.fixed_sample.to_string(),
                    percent(row.found_better),
                    percent(row.found_worse),
                    short(row.median_ratio),
                    short(row.mean_ratio),
                    percent(row.fixed_found_better),
                ]);
                powers.push(row);
            }
        }
    }

    println!("\nHarm: so many points more of the treatment's conversations are handed over:");
    let table = Table::new(&[("points", 8), ("method", 14), ("stopped", 9), ("median units", 12), ("at 95%", 8)]);
    let mut harms = Vec::new();
    for more in [0.0, 0.05, 0.1, 0.2] {
        table.working_on(&format!("{:.0} points", 100.0 * more));
        for row in harm(settings, more) {
            table.row(&[
                format!("{:.0}", 100.0 * more),
                row.method.to_owned(),
                percent(row.stopped),
                short(row.median_units),
                short(row.units_at_95_percent),
            ]);
            harms.push(row);
        }
    }

    let order = order(settings);
    println!(
        "\nOrder: {} intents, {} days: by promise {:.0} more resolved conversations, first come {:.0}, by truth {:.0}; ratio {}, more in {}, less in {}",
        order.intents,
        order.days,
        order.by_promise,
        order.first_come,
        order.by_truth,
        short(order.ratio),
        percent(order.more),
        percent(order.less)
    );
    let report = Report {
        benchmark: "experiments",
        facts: Facts::now(),
        settings: settings.clone(),
        seconds: begun.elapsed().as_secs_f64(),
        false_winners: winners,
        false_discoveries: discoveries,
        power: powers,
        harm: harms,
        order,
    };
    write(out, &report)
}
