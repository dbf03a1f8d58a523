//! Curves against textbook examples, identities, and what is simulated with a known truth.

use flywheel_survival::{Bin, Curve, Share, Times};

fn close(found: f64, expected: f64, within: f64) {
    assert!((found - expected).abs() <= within, "{found} is not {expected} within {within}");
}

/// Remission of leukaemia under 6-mercaptopurine, in weeks (Freireich et al. 1963): the example of Kleinbaum and Klein,
/// "Survival Analysis", and of Kalbfleisch and Prentice.
fn mercaptopurine() -> Times {
    let mut times = Times::default();
    for weeks in [6, 6, 6, 7, 10, 13, 16, 22, 23] {
        times.completed(f64::from(weeks), 1);
    }
    for weeks in [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35] {
        times.censored(f64::from(weeks), 1);
    }
    times
}

#[test]
fn kaplan_meier_of_the_textbook_with_greenwoods_errors() {
    let curve = Curve::of([(1.0, &mercaptopurine())]);
    for (weeks, share, error) in [
        (6.0, 0.857, 0.0764),
        (7.0, 0.807, 0.0869),
        (10.0, 0.753, 0.0963),
        (13.0, 0.690, 0.1068),
        (16.0, 0.627, 0.1141),
        (22.0, 0.538, 0.1282),
        (23.0, 0.448, 0.1346),
    ] {
        let running = curve.running_after(weeks);
        close(running.estimate, share, 0.0005);
        close(running.error, error, 0.00005);
    }
}

/// The log–log limits of the same example at 95% (two-sided).
#[test]
fn bounds_on_the_log_log_scale() {
    let curve = Curve::of([(1.0, &mercaptopurine())]);
    for (weeks, lower, upper) in [(6.0, 0.620, 0.952), (10.0, 0.503, 0.889), (23.0, 0.188, 0.680)] {
        let completed = curve.completed_by(weeks);
        close(1.0 - completed.upper(0.975), lower, 0.0006);
        close(1.0 - completed.lower(0.975), upper, 0.0006);
    }
}

#[test]
fn with_one_way_to_end_the_incidence_is_what_does_not_go_on() {
    let curve = Curve::of([(1.0, &mercaptopurine())]);
    for weeks in [6.0, 12.0, 23.0, 40.0] {
        let (running, completed) = (curve.running_after(weeks), curve.completed_by(weeks));
        close(completed.estimate, 1.0 - running.estimate, 1e-12);
        close(completed.error, running.error, 1e-9);
    }
}

/// Without censoring, Aalen and Johansen's estimate is the share that was counted, and its variance the binomial's.
#[test]
fn with_all_ends_known_shares_are_counted_shares() {
    let mut times = Times::default();
    for seconds in 1..=50 {
        times.completed(f64::from(seconds), 3);
        times.failed(f64::from(seconds) + 0.5, 1);
    }
    let curve = Curve::of([(1.0, &times)]);
    for (seconds, completed) in [(10.0, 30.0), (20.0, 60.0), (50.0, 150.0)] {
        let share = completed / 200.0;
        let found = curve.completed_by(seconds);
        close(found.estimate, share, 1e-12);
        close(found.error, (share * (1.0 - share) / 200.0_f64).sqrt(), 1e-9);
    }
    let between = curve.completed_between(20.0, 40.0);
    close(between.estimate, 60.0 / 200.0, 1e-12);
    close(between.error, (0.3 * 0.7 / 200.0_f64).sqrt(), 1e-9);
}

/// Worked by hand: five runs, of which one fails at 2, one is lost at 3, and completions come at 1, 4 and 5.
#[test]
fn a_failure_is_not_censored() {
    let mut times = Times::default();
    times.completed(1.0, 1);
    times.failed(2.0, 1);
    times.censored(3.0, 1);
    times.completed(4.0, 1);
    times.completed(5.0, 1);
    let curve = Curve::of([(1.0, &times)]);
    // 1/5, then 3/5 go on; each of the two left at 4 stands for half of that.
    close(curve.completed_by(1.0).estimate, 0.2, 1e-12);
    close(curve.completed_by(4.0).estimate, 0.2 + 0.3, 1e-12);
    close(curve.completed_by(9.0).estimate, 0.8, 1e-12);
    close(curve.steps().last().expect("steps").failed, 0.2, 1e-12);
    close(curve.completed_between(1.0, 4.0).estimate, 0.3, 1e-12);
}

#[test]
fn runs_that_are_cut_at_the_limit_are_not_taken_for_ends() {
    let mut times = Times::default();
    times.completed(10.0, 92);
    times.censored(30.0, 8);
    let curve = Curve::of([(1.0, &times)]);
    close(curve.running_after(30.0).estimate, 0.08, 1e-12);
    assert_eq!(curve.followed_beyond(30.0), 0.0);
    assert_eq!(curve.completed_between(30.0, 900.0), Share { estimate: 0.0, error: 0.0, runs: 0.0 });
    assert_eq!(curve.completed_between(30.0, 900.0).lower(0.95), 0.0);
    assert_eq!(curve.completed_between(30.0, 900.0).upper(0.95), 1.0);
}

#[test]
fn the_plateau_is_what_never_ends() {
    let mut times = Times::default();
    times.completed(10.0, 80);
    times.completed(20.0, 5);
    times.censored(Bin::MOST, 15);
    let curve = Curve::of([(1.0, &times)]);
    let plateau = curve.plateau().expect("completions");
    close(plateau.running, 0.15, 1e-12);
    close(plateau.seconds, 20.0, 0.1);
    assert!(Curve::of([(1.0, &Times::default())]).plateau().is_none());
}

#[test]
fn waiting_is_the_area_under_the_curve() {
    let mut times = Times::default();
    times.completed(10.0, 1);
    times.completed(30.0, 1);
    let curve = Curve::of([(1.0, &times)]);
    close(curve.seconds_between(0.0, 30.0), 20.0, 20.0 * Bin::RELATIVE_ERROR);
    close(curve.seconds_between(20.0, 40.0), 5.0, 0.2);
    close(curve.seconds_between(40.0, 50.0), 0.0, 1e-9);
}

#[test]
fn equal_weights_are_no_weights_and_old_runs_count_for_less() {
    let (old, new) = (group(0.5, 200), group(0.1, 200));
    let same = Curve::of([(0.25, &old), (0.25, &new)]);
    let plain = Curve::of([(1.0, &old), (1.0, &new)]);
    close(same.runs(), 400.0, 1e-6);
    close(same.running_after(15.0).estimate, plain.running_after(15.0).estimate, 1e-12);
    close(same.running_after(15.0).error, plain.running_after(15.0).error, 1e-12);
    let recent = Curve::of([(0.25, &old), (1.0, &new)]);
    close(recent.runs(), 250.0_f64.powi(2) / 212.5, 1e-9);
    assert!(recent.running_after(15.0).estimate < plain.running_after(15.0).estimate);
    assert_eq!(Curve::of([(0.0, &old), (1.0, &new)]), Curve::of([(1.0, &new)]));
}

/// Runs of which this share goes on for 20 seconds and the rest for 10.
fn group(long: f64, runs: u32) -> Times {
    let long = (f64::from(runs) * long) as u64;
    let mut times = Times::default();
    times.completed(10.0, u64::from(runs) - long);
    times.completed(20.0, long);
    times
}

/// Of runs with exponential times, failures among them, cut at a limit unless they are followed: how often the 95% lower
/// and upper bounds of the share that a higher limit rescues hold. The truth is known in closed form.
#[test]
fn bounds_cover_the_truth_as_often_as_they_say() {
    let (limit, higher, completes, fails) = (30.0_f64, 45.0_f64, 1.0 / 14.0, 1.0 / 200.0);
    let rate: f64 = completes + fails;
    let truth = completes / rate * ((-rate * limit).exp() - (-rate * higher).exp());
    let mut random = fastrand::Rng::with_seed(7);
    let repetitions = 4_000_u32;
    let mut missed = [0_u32; 2];
    for _ in 0..repetitions {
        let mut times = Times::default();
        for _ in 0..600 {
            let ends = -random.f64().ln() / rate;
            if ends > limit && random.f64() > 0.5 {
                times.censored(limit, 1);
            } else if random.f64() < completes / rate {
                times.completed(ends, 1);
            } else {
                times.failed(ends, 1);
            }
        }
        let share = Curve::of([(1.0, &times)]).completed_between(limit, higher);
        missed[0] += u32::from(share.lower(0.95) > truth);
        missed[1] += u32::from(share.upper(0.95) < truth);
    }
    // Four standard errors of a count of 4,000 at 5% are 55; the bounds are asymptotic, so a little more is allowed.
    for missed in missed {
        assert!((130..=270).contains(&missed), "{missed} of {repetitions} beyond a bound of 95%");
    }
}

/// The error of the estimate is what repetitions show it to be.
#[test]
fn errors_are_as_large_as_repetitions_vary() {
    let mut random = fastrand::Rng::with_seed(11);
    let (mut estimates, mut errors) = (Vec::new(), Vec::new());
    for _ in 0..2_000 {
        let (mut old, mut new) = (Times::default(), Times::default());
        for times in [&mut old, &mut new] {
            for _ in 0..300 {
                let ends = -random.f64().ln() * 12.0;
                let cut = 20.0 + 40.0 * random.f64();
                if ends <= cut { times.completed(ends, 1) } else { times.censored(cut, 1) }
            }
        }
        let share = Curve::of([(0.3, &old), (1.0, &new)]).completed_between(15.0, 30.0);
        estimates.push(share.estimate);
        errors.push(share.error);
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let center = mean(&estimates);
    let spread = mean(&estimates.iter().map(|one| (one - center).powi(2)).collect::<Vec<_>>()).sqrt();
    close(mean(&errors) / spread, 1.0, 0.06);
}

/// Sums of weights like these do not come out even.
#[test]
fn where_all_have_ended_none_goes_on_whatever_the_weights() {
    let days: Vec<Times> = (0..30).map(|day| group(0.3, 50 + day)).collect();
    let curve = Curve::of(days.iter().zip(0..).map(|(times, day)| (0.9_f64.powi(day), times)));
    let still = curve.running_after(60.0);
    assert_eq!(still.estimate, 0.0);
    assert!(still.upper(0.95) < 0.02, "{}", still.upper(0.95));
}
