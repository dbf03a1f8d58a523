//! What the runs of the last weeks say together.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_policy::TimeoutPolicy;
use flywheel_survival::{Bin, Curve, Times, log_rank, same_mix};
use jiff::Timestamp;

use super::runs::{Day, Runs};

/// Days that are looked back at.
pub const WINDOW_DAYS: i64 = 28;

/// Below this probability that nothing changed, older runs are left out. They are looked at often, and leaving them out
/// costs evidence only.
const CHANGED: f64 = 0.001;

/// The runs of a window, weighed.
#[derive(Debug, Clone)]
pub(super) struct Evidence {
    pub(super) curve: Curve,
    /// All that is known of the runs in it, unweighed.
    pub(super) runs: Runs,
    /// What changed, if older runs are left out for it.
    pub(super) changed: Option<&'static str>,
}

impl Evidence {
    /// Weighs recent runs more. If they differ from those before, only the recent ones count.
    pub(super) fn of(policy: &TimeoutPolicy, days: &BTreeMap<Day, Runs>, now: Timestamp) -> Self {
        let today = Day::of(now);
        let half_life = i64::from(policy.half_life_days);
        let in_window: BTreeMap<Day, &Runs> =
            days.iter().filter(|(day, _)| (today.0 - WINDOW_DAYS..=today.0 + 1).contains(&day.0)).map(|(day, runs)| (*day, runs)).collect();
        let followed: BTreeSet<Bin> = in_window.values().flat_map(|runs| runs.followed()).copied().collect();
        let recent = |day: Day| day.0 > today.0 - half_life;
        let changed = changed(policy, &in_window, &followed, recent);
        let counted: Vec<(Day, &Runs)> = in_window.into_iter().filter(|(day, _)| changed.is_none() || recent(*day)).collect();
        let times: Vec<(f64, Times)> =
            counted.iter().map(|(day, runs)| (weight(today.0 - day.0, half_life), runs.times(&followed))).collect();
        let mut runs = Runs::default();
        counted.iter().for_each(|(_, of_day)| runs.merge(of_day));
        Self { curve: Curve::of(times.iter().map(|(weight, times)| (*weight, times))), runs, changed }
    }
}

/// A half for each half-life; a day of which a clock is ahead counts as today.
#[allow(clippy::cast_precision_loss, reason = "days")]
fn weight(age: i64, half_life: i64) -> f64 {
    (-(age.max(0) as f64) / half_life as f64).exp2()
}

/// Whether the runs of the last half-life end at other times than those before, or are another mix of simple and complex
/// ones. Only where there are enough of both to tell.
fn changed(
    policy: &TimeoutPolicy,
    days: &BTreeMap<Day, &Runs>,
    followed: &BTreeSet<Bin>,
    recent: impl Fn(Day) -> bool,
) -> Option<&'static str> {
    let (mut times, mut mixes) = ([Times::default(), Times::default()], [[0_u64; 6]; 2]);
    for (day, runs) in days {
        let group = usize::from(recent(*day));
        times[group].merge(&runs.times(followed));
        mixes[group].iter_mut().zip(runs.mix()).for_each(|(sum, more)| *sum += more);
    }
    if times.iter().any(|times| times.runs() < u64::from(policy.minimum_sample)) {
        return None;
    }
    if same_mix(&mixes[0], &mixes[1]) < CHANGED {
        return Some("the mix of simple and complex runs");
    }
    (log_rank(&times[0], &times[1]) < CHANGED).then_some("how long runs take")
}
