//! What is promised over all looks, by simulation with fixed seeds; and what any counts come to.

use flywheel_sequential::{Arm, Expected, Phase, conditional_power, evidence_of_fall, evidence_of_rise, interval, level, mismatch, plan};
use proptest::prelude::*;

/// Streams of each figure.
const STREAMS: usize = 1_000;

fn expected(baseline: f64, effect: f64) -> Expected {
    Expected { baseline, effect }
}

/// Units of two arms, one after the other, each in one of them by chance. Gives the number of units an arm at the first look
/// that `stops` holds at, if it is before `units` an arm.
fn stopped(chance: &mut fastrand::Rng, rates: [f64; 2], units: u64, every: u64, mut stops: impl FnMut(Arm, Arm) -> bool) -> Option<u64> {
    let mut arms = [Arm::default(); 2];
    for unit in 1..=2 * units {
        let arm = usize::from(chance.bool());
        arms[arm].units += 1;
        arms[arm].events += u64::from(chance.f64() < rates[arm]);
        if unit % every == 0 && stops(arms[0], arms[1]) {
            return Some(unit / 2);
        }
    }
    None
}

fn share_stopped(rates: [f64; 2], units: u64, every: u64, stops: impl Fn(Arm, Arm) -> bool) -> f64 {
    let mut chance = fastrand::Rng::with_seed(7);
    let stopped = (0..STREAMS).filter(|_| stopped(&mut chance, rates, units, every, &stops).is_some()).count();
    stopped as f64 / STREAMS as f64
}

/// A share that is expected to be at most `most` is above this once in some thousands of runs.
fn at_most(most: f64) -> f64 {
    most + 3.5 * (most * (1.0 - most) / STREAMS as f64).sqrt()
}

#[test]
fn equal_rates_are_told_apart_no_more_often_than_was_said() {
    for rate in [0.01, 0.05, 0.3, 0.7, 0.99] {
        // Also where the baseline was expected to be quite another.
        for baseline in [rate, 0.5] {
            let expected = expected(baseline, 0.05);
            let share = share_stopped([rate; 2], 3_000, 20, |control, treatment| {
                evidence_of_rise(control, treatment, 0.0, &expected) >= f64::ln(20.0)
            });
            assert!(share <= at_most(0.05), "{rate} with {baseline} expected: {share}");
        }
    }
}

#[test]
fn a_difference_of_just_the_margin_is_no_more_than_the_margin() {
    for (control, margin) in [(0.05, 0.02), (0.3, 0.1), (0.7, -0.2), (0.02, -0.015)] {
        let expected = expected(control, 0.05);
        let share = share_stopped([control, control + margin], 3_000, 150, |control, treatment| {
            evidence_of_rise(control, treatment, margin, &expected) >= f64::ln(20.0)
                || evidence_of_fall(control, treatment, margin, &expected) >= f64::ln(1e9)
        });
        assert!(share <= at_most(0.05), "{control} + {margin}: {share}");
    }
}

#[test]
fn the_true_difference_is_in_the_interval_at_all_looks_together() {
    for rates in [[0.3, 0.3], [0.6, 0.66], [0.05, 0.02]] {
        let expected = expected(rates[0], 0.05);
        let mut chance = fastrand::Rng::with_seed(11);
        let true_difference = rates[1] - rates[0];
        let missed = (0..300).filter(|_| {
            let missed = stopped(&mut chance, rates, 2_000, 200, |control, treatment| {
                let found = interval(control, treatment, 0.05, &expected);
                true_difference < found.lower || true_difference > found.upper
            });
            missed.is_some()
        });
        let share = missed.count() as f64 / 300.0;
        assert!(share <= 0.05 + 3.5 * (0.05_f64 * 0.95 / 300.0).sqrt(), "{rates:?}: {share}");
    }
}

#[test]
fn a_plan_is_what_a_simulation_takes() {
    for (baseline, effect, alpha) in [(0.6, 0.06, 0.05), (0.3, 0.05, 0.005), (0.7, 0.03, 0.01)] {
        let expected = expected(baseline, effect);
        let planned = plan(&expected, alpha, 0.8).expect("a plan");
        let mut chance = fastrand::Rng::with_seed(3);
        let mut took: Vec<u64> = (0..400)
            .map(|_| {
                let told = stopped(&mut chance, [baseline, baseline + effect], 6 * planned.at_power, 20, |control, treatment| {
                    evidence_of_rise(control, treatment, 0.0, &expected) >= (1.0 / alpha).ln()
                });
                told.unwrap_or(u64::MAX)
            })
            .collect();
        took.sort_unstable();
        for (share, planned) in [(0.5, planned.median), (0.8, planned.at_power)] {
            let seen = took[(400.0 * share) as usize] as f64;
            assert!((0.8..1.25).contains(&(seen / planned as f64)), "{baseline} + {effect}: {share} took {seen}, planned were {planned}");
        }
        // The goal: 1.6 times what a test takes that looks once.
        let ratio = took[200] as f64 / planned.fixed as f64;
        assert!(ratio < 1.6, "{ratio} of a fixed sample");
    }
}

#[test]
fn twice_the_effect_is_told_much_sooner_than_by_a_fixed_sample_for_the_smallest() {
    let expected = expected(0.6, 0.05);
    let planned = plan(&expected, 0.01, 0.8).expect("a plan");
    let mut chance = fastrand::Rng::with_seed(5);
    let mut took: Vec<u64> = (0..300)
        .map(|_| {
            let told = stopped(&mut chance, [0.6, 0.7], 20 * planned.fixed, 10, |control, treatment| {
                evidence_of_rise(control, treatment, 0.0, &expected) >= f64::ln(100.0)
            });
            told.unwrap_or(u64::MAX)
        })
        .collect();
    took.sort_unstable();
    assert!((took[150] as f64) < 0.6 * planned.fixed as f64, "{} of {}", took[150], planned.fixed);
}

#[test]
fn the_power_that_is_left_is_what_a_simulation_gives() {
    let expected = expected(0.6, 0.05);
    for (control, treatment, more) in [([500, 300], [500, 300], 1_500), ([800, 480], [800, 505], 800), ([900, 560], [900, 520], 600)] {
        let arm = |[units, events]: [u64; 2]| Arm { units, events };
        let (control, treatment) = (arm(control), arm(treatment));
        let left = conditional_power(control, treatment, (more, more), 0.05, &expected);
        let rate = control.events as f64 / control.units as f64;
        let mut chance = fastrand::Rng::with_seed(13);
        let told = (0..500).filter(|_| {
            let told = stopped(&mut chance, [rate, rate + 0.05], more, 20, |of_control, of_treatment| {
                let add = |one: Arm, other: Arm| Arm { units: one.units + other.units, events: one.events + other.events };
                evidence_of_rise(add(control, of_control), add(treatment, of_treatment), 0.0, &expected) >= f64::ln(20.0)
            });
            told.is_some()
        });
        let seen = told.count() as f64 / 500.0;
        assert!((left - seen).abs() < 0.12, "{more} more: {left} and {seen}");
    }
}

#[test]
fn shares_that_are_not_the_planned_ones_are_told_and_planned_ones_are_not() {
    let told = |share: f64, units: u64| {
        let mut chance = fastrand::Rng::with_seed(17);
        let told = (0..STREAMS / 2).filter(|_| {
            let mut seen = [0_u64; 2];
            (0..units).any(|unit| {
                seen[usize::from(chance.f64() < share)] += 1;
                unit % 100 == 0 && mismatch(&[Phase { units: seen.to_vec(), shares: vec![0.5, 0.5] }]) >= f64::ln(1_000.0)
            })
        });
        told.count() as f64 / (STREAMS / 2) as f64
    };
    assert!(told(0.5, 20_000) <= 0.005);
    assert!(told(0.53, 20_000) > 0.95);
    assert!(told(0.6, 1_500) > 0.95);
}

#[test]
fn phases_with_shares_of_their_own_multiply() {
    let early = Phase { units: vec![100, 10], shares: vec![10.0, 1.0] };
    let late = Phase { units: vec![400, 430], shares: vec![0.5, 0.5] };
    let both = mismatch(&[early.clone(), late.clone()]);
    assert!((both - mismatch(&[early]) - mismatch(&[late])).abs() < 1e-9);
    // Together they would look like a gross mismatch.
    assert!(both < 1.0, "{both}");
    for odd in [Phase { units: vec![1], shares: vec![0.5, 0.5] }, Phase { units: vec![1, 2], shares: vec![0.0, f64::NAN] }] {
        assert_eq!(mismatch(&[odd]), 0.0);
    }
}

#[test]
fn the_budget_is_not_spent_beyond_the_rate_and_grows_with_discoveries() {
    let spent: f64 = (1..2_000_000).map(|t| level(0.05, t, 0)).sum();
    assert!(spent > 0.04 && spent <= 0.05, "{spent}");
    assert!(level(0.05, 50, 3) > 3.9 * level(0.05, 50, 0));
    assert_eq!(level(0.05, 1, 1_000), 0.05);
}

proptest! {
    #[test]
    fn any_counts_come_to_a_number(
        units in [0_u64..2_000_000_000, 0_u64..2_000_000_000],
        shares in [0.0..1.2_f64, 0.0..1.2_f64],
        margin in -1.5..1.5_f64,
        baseline in prop_oneof![Just(f64::NAN), -1.0..2.0_f64],
        effect in prop_oneof![Just(f64::NAN), -1.0..2.0_f64],
    ) {
        let expected = Expected { baseline, effect };
        let arm = |place: usize| Arm { units: units[place], events: (units[place] as f64 * shares[place]) as u64 };
        let (control, treatment) = (arm(0), arm(1));
        prop_assert!(evidence_of_rise(control, treatment, margin, &expected).is_finite());
        prop_assert!(evidence_of_fall(control, treatment, margin, &expected).is_finite());
        let found = interval(control, treatment, 0.05, &expected);
        prop_assert!(found.lower <= found.estimate && found.estimate <= found.upper, "{:?}", found);
        let power = conditional_power(control, treatment, (1_000, 1_000), 0.05, &expected);
        prop_assert!((0.0..=1.0).contains(&power), "{}", power);
        let _ = plan(&expected, 0.05, 0.8);
    }

    #[test]
    fn what_speaks_for_a_rise_speaks_against_a_fall(
        units in 1_u64..20_000, control in 0.0..1.0_f64, treatment in 0.0..1.0_f64,
    ) {
        let arm = |rate: f64| Arm { units, events: (units as f64 * rate) as u64 };
        let expected = expected(0.5, 0.05);
        let rise = evidence_of_rise(arm(control), arm(treatment), 0.0, &expected);
        let fall = evidence_of_fall(arm(control), arm(treatment), 0.0, &expected);
        prop_assert!(rise.min(fall) < 0.7, "{rise} and {fall}");
    }
}
