//! Whether an experiment can be decided, each time that it is looked at.

use std::collections::BTreeMap;

use flywheel_model::{
    ArmCount, BrokenGuardrail, Comparison, Conclusion, Experiment, ExperimentRun, ExperimentVerdict, Guardrail, PromptVariant,
};
use flywheel_policy::ExperimentPolicy;
use flywheel_sequential::{Arm, Expected, Phase, conditional_power, evidence_of_fall, evidence_of_rise, interval, mismatch};
use jiff::Timestamp;

use super::outcomes::Outcomes;

/// The error of the intervals that are shown, over all looks.
const SHOWN: f64 = 0.05;
/// The error of the verdict that the arms are not the planned ones, over all looks. Small, since it throws an experiment away.
const MISMATCH: f64 = 0.001;
/// While this much speaks for it nobody wins: what looks like a better rate may be what went missing.
const SUSPECT: f64 = 0.05;
/// More units than this share seen in two arms are no accident of a changed device or a lost cookie …
const CROSSED: f64 = 0.02;
/// … once there are so many.
const CROSSED_OF: u64 = 100;
/// An experiment that would tell the planned difference more rarely than this is given up.
const FUTILE: f64 = 0.1;

/// What a look leads to.
#[derive(Debug, Clone, PartialEq)]
pub enum Look {
    /// It goes on.
    GoOn,
    /// It goes on without these treatments, for a reason.
    Drop(Vec<String>, String),
    /// It is decided.
    Concluded(Conclusion),
}

/// Each treatment beside the control.
#[must_use]
pub fn compare(experiment: &Experiment, arms: &BTreeMap<String, ArmCount>, policy: &ExperimentPolicy) -> Vec<Comparison> {
    let control = arms.get(&experiment.control.name).copied().unwrap_or_default();
    let expected = planned(experiment);
    experiment
        .treatments
        .iter()
        .map(|treatment| {
            let count = arms.get(&treatment.name).copied().unwrap_or_default();
            let difference = interval(resolved(control), resolved(count), SHOWN, &expected);
            Comparison {
                variant: treatment.name.clone(),
                treatment: [count.units, count.resolved],
                control: [control.units, control.resolved],
                difference: [difference.lower, difference.estimate, difference.upper],
                confidence: 1.0 - SHOWN,
                log_evidence: evidence_of_rise(resolved(control), resolved(count), 0.0, &expected),
                broken: broken(control, count, policy),
            }
        })
        .collect()
}

/// What was expected of an experiment when it was planned. The baseline has moved before: it is no evidence.
fn planned(experiment: &Experiment) -> Expected {
    Expected { baseline: experiment.plan.baseline, effect: experiment.plan.effect }
}

/// The guardrails that a treatment breaks.
fn broken(control: ArmCount, treatment: ArmCount, policy: &ExperimentPolicy) -> Vec<BrokenGuardrail> {
    let share = |count: ArmCount, guardrail| count.of(guardrail) as f64 / (count.units as f64).max(1.0);
    let mut broken = Vec::new();
    for guardrail in Guardrail::ALL {
        let arm = |count: ArmCount| Arm { units: count.units, events: count.of(guardrail) };
        // Harm worth stopping for is as large as the margin, over and above it.
        let harm = policy.guardrail_margin.max(0.02);
        let expected = Expected { baseline: share(control, guardrail).clamp(0.005, 0.995), effect: 2.0 * harm };
        let log_evidence = evidence_of_rise(arm(control), arm(treatment), policy.guardrail_margin, &expected);
        if log_evidence >= (1.0 / policy.guardrail_error).ln() {
            broken.push(BrokenGuardrail { guardrail, shares: [share(treatment, guardrail), share(control, guardrail)], log_evidence });
        }
    }
    broken
}

fn resolved(count: ArmCount) -> Arm {
    Arm { units: count.units, events: count.resolved }
}

/// Looks at what was counted. As often as one likes: each error holds over all looks together.
#[must_use]
pub fn conclude(experiment: &Experiment, run: &ExperimentRun, outcomes: &Outcomes, policy: &ExperimentPolicy, now: Timestamp) -> Look {
    let arms = outcomes.arms();
    let comparisons = compare(experiment, &arms, policy);
    let concluded = |verdict, winner: Option<&str>, explanation: String| {
        Look::Concluded(Conclusion { verdict, winner: winner.map(str::to_owned), comparisons: comparisons.clone(), explanation, at: now })
    };
    if let Some(why) = is_broken(experiment, run, &arms, outcomes) {
        return concluded(ExperimentVerdict::Broken, None, why);
    }
    let (mut harmful, mut worse, mut winners) = (Vec::new(), Vec::new(), Vec::new());
    let compared = experiment.treatments.iter().zip(&comparisons).zip(&run.levels);
    let left: Vec<_> = compared.filter(|((treatment, _), _)| !run.dropped.contains(&treatment.name)).collect();
    let expected = planned(experiment);
    for ((treatment, comparison), level) in &left {
        let enough = (1.0 / **level).ln();
        let [control, count] = [comparison.control, comparison.treatment].map(|[units, events]| Arm { units, events });
        if !comparison.broken.is_empty() {
            harmful.push((*treatment, *comparison));
        } else if comparison.log_evidence >= enough {
            winners.push(*comparison);
        } else if evidence_of_fall(control, count, 0.0, &expected) >= enough {
            worse.push((*treatment, *comparison));
        }
    }
    if shares_evidence(experiment, run, &arms).1 >= (1.0 / SUSPECT).ln() {
        winners.clear();
    }
    let best = winners.into_iter().max_by(|one, other| one.difference[1].total_cmp(&other.difference[1]));
    if let Some(best) = best {
        let explanation = format!("{} is better: {}.", best.variant, told(best));
        return concluded(ExperimentVerdict::Winner, Some(&best.variant), explanation);
    }
    let bad = harmful.len() + worse.len();
    if bad > 0 {
        let explanation: Vec<String> = harmful.iter().map(|(_, one)| harm(one)).chain(worse.iter().map(|(_, one)| fall(one))).collect();
        let explanation = explanation.join(" ");
        if bad < left.len() {
            let names = harmful.iter().chain(&worse).map(|(treatment, _)| treatment.name.clone()).collect();
            return Look::Drop(names, explanation);
        }
        // Whatever was dropped before for harm counts too.
        let verdict = if comparisons.iter().any(|comparison| !comparison.broken.is_empty()) {
            ExperimentVerdict::Guardrail
        } else {
            ExperimentVerdict::Loser
        };
        return concluded(verdict, None, explanation);
    }
    if let Some(why) = is_over(experiment, run, &left, outcomes, policy, now) {
        return concluded(ExperimentVerdict::NoDifference, None, why);
    }
    Look::GoOn
}

type Left<'l> = ((&'l PromptVariant, &'l Comparison), &'l f64);

/// Why the counts cannot be what was planned.
fn is_broken(experiment: &Experiment, run: &ExperimentRun, arms: &BTreeMap<String, ArmCount>, outcomes: &Outcomes) -> Option<String> {
    let (counts, evidence) = shares_evidence(experiment, run, arms);
    if evidence >= (1.0 / MISMATCH).ln() {
        let all = counts.iter().map(|(_, units)| units).sum::<u64>();
        let told: Vec<String> = counts.iter().map(|(arm, units)| format!("{arm} {units}")).collect();
        return Some(format!(
            "The arms should be alike and are not: {} of {all} units (e-value e^{evidence:.1}). Conversations of one arm go missing, or the split is not by what the policy says (experiments.split_by); the rates cannot be compared.",
            told.join(", "),
        ));
    }
    let seen = outcomes.units();
    (seen >= CROSSED_OF && outcomes.crossed as f64 > CROSSED * seen as f64).then(|| {
        format!(
            "{} of {seen} units were seen in two arms: the application does not split by what the policy counts as a unit (experiments.split_by, .unit), or does not keep to the flag.",
            outcomes.crossed
        )
    })
}

/// The units of the arms that are left, and what speaks against their being alike. Those that were dropped stopped counting on
/// the way; the others are still alike among themselves.
fn shares_evidence<'e>(experiment: &'e Experiment, run: &ExperimentRun, arms: &BTreeMap<String, ArmCount>) -> (Vec<(&'e str, u64)>, f64) {
    let kept = experiment.arms().filter(|arm| !run.dropped.contains(&arm.name));
    let counts: Vec<(&str, u64)> = kept.map(|arm| (arm.name.as_str(), arms.get(&arm.name).map_or(0, |count| count.units))).collect();
    let units = counts.iter().map(|(_, units)| *units).collect();
    let evidence = mismatch(&[Phase { units, shares: vec![1.0 / counts.len() as f64; counts.len()] }]);
    (counts, evidence)
}

/// Why going on would tell nothing.
fn is_over(
    experiment: &Experiment,
    run: &ExperimentRun,
    left: &[Left<'_>],
    outcomes: &Outcomes,
    policy: &ExperimentPolicy,
    now: Timestamp,
) -> Option<String> {
    let days = f64::from(policy.days_at_most);
    let passed = now.duration_since(run.since).as_secs_f64() / 86_400.0;
    let best =
        left.iter().map(|((_, comparison), _)| *comparison).max_by(|one, other| one.difference[1].total_cmp(&other.difference[1]))?;
    if passed >= days {
        return Some(format!("{days:.0} days told no difference: {}.", told(best)));
    }
    if run.share < policy.share || outcomes.units() < experiment.plan.units_an_arm {
        return None;
    }
    // What is still to come, by what came since it began.
    let each_day = |units: u64| units as f64 / passed.max(1.0 / 24.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of units")]
    let to_come = |units: u64| (each_day(units) * (days - passed)) as u64;
    let expected = planned(experiment);
    let power = left.iter().map(|((_, comparison), level)| {
        let [control, count] = [comparison.control, comparison.treatment].map(|[units, events]| Arm { units, events });
        conditional_power(control, count, (to_come(control.units), to_come(count.units)), **level, &expected)
    });
    let power = power.fold(0.0, f64::max);
    (power < FUTILE).then(|| {
        format!(
            "Even if the difference were {:.1} points, it would be told with a probability of {:.1}% only until day {days:.0}: {}.",
            100.0 * experiment.plan.effect,
            100.0 * power,
            told(best)
        )
    })
}

fn rate([units, events]: [u64; 2]) -> f64 {
    100.0 * events as f64 / (units as f64).max(1.0)
}

fn told(comparison: &Comparison) -> String {
    let [lower, estimate, upper] = comparison.difference.map(|points| 100.0 * points);
    format!(
        "{} resolves {:.1}% of {} units and the control {:.1}% of {}, a difference of {estimate:+.1} points ({lower:+.1} to {upper:+.1}, {:.0}% confidence over all looks; e-value e^{:.1})",
        comparison.variant,
        rate(comparison.treatment),
        comparison.treatment[0],
        rate(comparison.control),
        comparison.control[0],
        100.0 * comparison.confidence,
        comparison.log_evidence
    )
}

fn harm(comparison: &Comparison) -> String {
    let broken = comparison.broken.iter().map(|one| {
        format!("{} are {:.1}% and with the control {:.1}%", one.guardrail.as_str(), 100.0 * one.shares[0], 100.0 * one.shares[1])
    });
    let broken: Vec<String> = broken.collect();
    format!("{} does harm: {}, of {} and {} units.", comparison.variant, broken.join("; "), comparison.treatment[0], comparison.control[0])
}

fn fall(comparison: &Comparison) -> String {
    format!("{} is worse: {}.", comparison.variant, told(comparison))
}
