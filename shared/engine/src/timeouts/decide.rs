//! Whether a limit should change, and to what.

use std::collections::BTreeMap;

use flywheel_model::{
    Exploration, Limit, Setting, SettingChange, TimeoutChange, TimeoutHold, TimeoutHoldReason, TimeoutPrediction, TimeoutPurpose,
};
use flywheel_policy::TimeoutPolicy;
use flywheel_survival::Share;
use jiff::{SignedDuration, Timestamp};

use super::evidence::Evidence;
use super::picture;
use super::runs::{Day, Runs};
use super::state::State;

/// Runs that must be known to have gone on after the limit before anything is said of what comes there.
const FOLLOWED: f64 = 30.0;
/// A change must not rest on chance even if it is looked for every few minutes for a month: the lower bound with this
/// confidence must still reach half of the policy's share. And it must not be undone by chance, since every change is
/// verified: a prediction's bounds have this confidence as well, if the policy's is not higher.
const SURE: f64 = 0.999;
/// More runs than this share that tell nothing are too many to decide by the others.
const UNUSABLE: f64 = 0.1;
/// An SQS queue's visibility timeout should be at least this many times its function's timeout (AWS Lambda developer guide,
/// "Configuring a queue to use with Lambda").
pub(super) const VISIBILITY: f64 = 6.0;
/// The longest visibility timeout in seconds (Amazon SQS message quotas).
const VISIBILITY_AT_MOST: f64 = 43_200.0;
/// A limit is far too generous if it is this many times what all but one in a hundred runs need …
const GENEROUS: f64 = 4.0;
/// … and the one that is proposed instead leaves this many times as much.
const LEAVE: f64 = 2.0;
/// The share of runs that a lower limit may cut, by the upper bound.
const LOWER_CUTS: f64 = 0.01;
/// Explorations without a change after them; then a person has to look.
const EXPLORATIONS: u32 = 3;

/// What stands in the settings at present.
#[derive(Debug, Clone, PartialEq)]
pub struct Present {
    /// The limit, or why it cannot be read.
    pub limit: Result<Limit, String>,
    /// Seconds of the queue's visibility timeout, if the policy names a queue, or why they cannot be read.
    pub visibility: Option<Result<f64, String>>,
}

/// A complete action or a reasoned hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Change it.
    Change(Box<TimeoutChange>),
    /// Leave it.
    Hold(TimeoutHold),
}

/// Decides on a limit, by what is known of the runs of the last weeks.
#[must_use]
pub fn decide(policy: &TimeoutPolicy, days: &BTreeMap<Day, Runs>, present: &Present, state: &State, now: Timestamp) -> Decision {
    let limit = match &present.limit {
        Ok(limit) => *limit,
        Err(why) => return hold(policy, TimeoutHoldReason::Unreadable, format!("The {} cannot be read: {why}.", policy.target), None),
    };
    let evidence = Evidence::of(policy, days, now);
    let deciding = Deciding { policy, evidence: &evidence, present, limit: limit.seconds, state, now };
    match deciding.obstacle() {
        Some((reason, explanation)) => hold(policy, reason, explanation, Some(deciding.picture(None))),
        None => deciding.weigh(),
    }
}

fn hold(policy: &TimeoutPolicy, reason: TimeoutHoldReason, explanation: String, picture: Option<String>) -> Decision {
    Decision::Hold(TimeoutHold { timeout: policy.name.clone(), reason, explanation, picture: picture.unwrap_or_default() })
}

struct Deciding<'a> {
    policy: &'a TimeoutPolicy,
    evidence: &'a Evidence,
    present: &'a Present,
    /// Seconds.
    limit: f64,
    state: &'a State,
    now: Timestamp,
}

/// How far the limit may go up now, and what keeps it from going further.
struct Reach {
    seconds: f64,
    because: String,
    reason: TimeoutHoldReason,
}

impl Deciding<'_> {
    /// What stands in the way whatever the runs need.
    fn obstacle(&self) -> Option<(TimeoutHoldReason, String)> {
        let (policy, limit) = (self.policy, self.limit);
        let (floor, ceiling) = (f64::from(policy.floor_seconds), f64::from(policy.ceiling_seconds));
        if !(floor..=ceiling).contains(&limit) {
            let told = format!(
                "The {} stands at {limit} s, outside of the policy's {floor} to {ceiling} s: it is left as it is until one of them is changed.",
                policy.target
            );
            return Some((TimeoutHoldReason::OutOfBounds, told));
        }
        let cooldown = SignedDuration::from_secs(i64::from(policy.cooldown_seconds));
        if let Some(at) = self.state.last_change_at.filter(|at| self.now.duration_since(*at) < cooldown) {
            return Some((
                TimeoutHoldReason::Cooldown,
                format!("The limit was changed at {at}, and the next change may come {} s later.", policy.cooldown_seconds),
            ));
        }
        if let Some(until) = self.state.not_before.filter(|until| self.now < *until) {
            return Some((
                TimeoutHoldReason::FailedBefore,
                format!("The last change did not do what it should and was taken back; the next may come after {until}."),
            ));
        }
        let (runs, unusable) = (&self.evidence.runs, self.evidence.runs.unusable());
        let (usable, useless) = (runs.usable(), unusable.values().sum::<u64>());
        let other_units = runs.in_other_units(limit);
        if share_of(useless + other_units, usable + useless) > UNUSABLE && useless + other_units >= u64::from(policy.minimum_sample) / 10 {
            let mut reasons: Vec<String> = unusable.iter().map(|(reason, runs)| format!("{runs} {}", reason.told())).collect();
            if other_units > 0 {
                reasons.push(format!("{other_units} name a limit a hundred times other than the {limit} s that is set, so in other units"));
            }
            let told = format!(
                "Of {} runs, {}: too many to decide by the others. Times and limits are seconds.",
                usable + useless,
                reasons.join("; ")
            );
            return Some((TimeoutHoldReason::UnusableRuns, told));
        }
        let (effective, minimum) = (self.evidence.curve.runs(), policy.minimum_sample);
        if usable < u64::from(minimum) || effective < f64::from(minimum) / 2.0 {
            let told = format!("{} There must be {minimum}, and half as many effective ones.", self.told_runs());
            return Some((TimeoutHoldReason::FewRuns, told));
        }
        if share_of(runs.early(), runs.timed_out()) > 0.5 {
            let told = format!(
                "{} Of the {} that were cut, {} were cut well before the limit that they ran under: another limit, inside the run or \
                 around it, cuts them, and that is the one to look at.",
                self.told_runs(),
                runs.timed_out(),
                runs.early()
            );
            return Some((TimeoutHoldReason::OtherLimit, told));
        }
        None
    }

    fn told_runs(&self) -> String {
        let (runs, effective) = (self.evidence.runs.usable(), self.evidence.curve.runs());
        let changed = self
            .evidence
            .changed
            .map_or_else(String::new, |what| format!(", those of the last {} days only since {what} changed", self.policy.half_life_days));
        format!("{runs} runs of {} are known (worth {effective:.0} equally recent ones{changed}).", self.policy.name)
    }

    /// What the runs need, against what it costs.
    fn weigh(&self) -> Decision {
        let (policy, curve, limit) = (self.policy, &self.evidence.curve, self.limit);
        let cut = curve.running_after(limit);
        let ceiling = f64::from(policy.ceiling_seconds);
        let told = format!("{} {} of them go on at the limit of {limit} s and are cut.", self.told_runs(), percent(cut.estimate));
        if !reaches(cut.estimate, policy.share) {
            return self.generous(cut).unwrap_or_else(|| {
                self.hold(
                    TimeoutHoldReason::Suits,
                    format!("{told} That is less than the {} from which the policy acts.", percent(policy.share)),
                )
            });
        }
        let followed = curve.followed_beyond(limit);
        let rescuable = curve.completed_between(limit, ceiling);
        // What goes on where the last run was lost sight of might still complete below the ceiling.
        let horizon = curve.horizon();
        let unknown = if horizon < ceiling { curve.running_after(horizon).estimate } else { 0.0 };
        if followed < FOLLOWED || (!reaches(rescuable.estimate, policy.share) && reaches(rescuable.estimate + unknown, policy.share)) {
            let beyond = if followed < FOLLOWED {
                format!(
                    "Of only {followed:.0} it is known how they went on after it, so the data cannot say what a longer limit would bring."
                )
            } else {
                format!("Up to {horizon:.0} s {} of all would complete, and nothing is known beyond.", percent(rescuable.estimate))
            };
            return self.explore(&format!("{told} {beyond}"));
        }
        let told = format!(
            "{told} {} of all would complete after it, within the ceiling of {ceiling} s ({}).",
            percent(rescuable.estimate),
            self.bounds(rescuable)
        );
        if !reaches(rescuable.estimate, policy.share) {
            let plateau = curve.plateau().map_or_else(String::new, |step| {
                format!(
                    " {} are still going on after the last completion at {:.0} s: they are stuck, and waiting longer does not help them.",
                    percent(step.running),
                    step.seconds
                )
            });
            return self.hold(TimeoutHoldReason::Stuck, format!("{told} The policy acts from {}.{plateau}", percent(policy.share)));
        }
        self.raise(&told, rescuable)
    }

    fn raise(&self, told: &str, rescuable: Share) -> Decision {
        let (policy, curve, limit) = (self.policy, &self.evidence.curve, self.limit);
        let needed = policy.rescue * rescuable.estimate;
        let told = format!("{told} A new limit must rescue {} of that.", percent(policy.rescue));
        if rescuable.lower(SURE) < policy.share / 2.0 {
            return self.more_evidence(&told, rescuable, policy.share / 2.0, SURE);
        }
        let rescues = |seconds: f64| curve.completed_between(limit, seconds);
        let Some(wanted) = self.steps().find(|seconds| rescues(*seconds).lower(policy.confidence) >= needed) else {
            return self.more_evidence(&told, rescuable, needed, policy.confidence);
        };
        let reach = self.reach();
        let (new, limited) = if wanted <= reach.seconds {
            (wanted, String::new())
        } else {
            // A part of the way is worth it if it brings more than what a whole one may leave behind.
            let partly = reach.seconds > limit && rescues(reach.seconds).lower(policy.confidence) >= policy.share * (1.0 - policy.rescue);
            if !partly {
                return self.hold(
                    reach.reason,
                    format!("{told} That takes {wanted} s, but {}; as far as that it helps too little.", reach.because),
                );
            }
            (reach.seconds, format!(" They need {wanted} s, but {}.", reach.because))
        };
        let rescued = rescues(new);
        let added = curve.seconds_between(limit, new);
        let saves = |seconds: f64| policy.lost_run_costs * rescues(seconds).lower(policy.confidence);
        let costs = |seconds: f64| policy.second_costs * curve.seconds_between(limit, seconds);
        let told = format!(
            "{told}{limited} At {new} s {} of all runs are rescued ({}), for {added:.2} s more of waiting a run in the mean: that costs \
             {:.6} a run and saves {:.6} at least.",
            percent(rescued.estimate),
            self.bounds(rescued),
            costs(new),
            saves(new)
        );
        if costs(new) >= saves(new) {
            return self.hold(TimeoutHoldReason::Costs, told);
        }
        // The first part of a way that is not worth it as a whole leads nowhere.
        if costs(wanted) >= saves(wanted) {
            let whole = format!(" The whole way to {wanted} s costs {:.6} a run and saves {:.6}.", costs(wanted), saves(wanted));
            return self.hold(TimeoutHoldReason::Costs, told + &whole);
        }
        let mut changes = Vec::new();
        let mut with = String::new();
        match self.visibility_for(new) {
            Err(why) => return self.hold(TimeoutHoldReason::QueueVisibility, format!("{told} {why}")),
            Ok(Some(change)) => {
                with = format!(
                    ", and the {} from {} to {} so that no message is delivered again while it is worked on",
                    change.setting, change.from, change.to
                );
                changes.push(change);
            }
            Ok(None) => {}
        }
        changes.push(self.target_change(Limit::of(new)));
        let (still_cut, confidence) = (curve.running_after(new), policy.confidence.max(SURE));
        let prediction = TimeoutPrediction {
            timeouts_now: curve.running_after(limit).estimate,
            timeouts: [1.0 - complement(still_cut).upper(confidence), still_cut.estimate, 1.0 - complement(still_cut).lower(confidence)],
            rescued: [rescued.lower(confidence), rescued.estimate, rescued.upper(confidence)],
            mean_seconds: curve.seconds_between(0.0, new),
            added_seconds: added,
            runs: curve.runs(),
            confidence,
        };
        let told = format!(
            "{told} So the {} goes from {limit} s to {new} s{with}. {} of the runs should then be cut ({} to {}); that is verified after \
             {} s, and taken back if it does not hold.",
            policy.target,
            percent(prediction.timeouts[1]),
            percent(prediction.timeouts[0]),
            percent(prediction.timeouts[2]),
            policy.cooldown_seconds
        );
        self.change(TimeoutPurpose::Raise, changes, Some(prediction), told, new)
    }

    /// The limits that could be set: multiples of the step up to the ceiling.
    fn steps(&self) -> impl Iterator<Item = f64> {
        let (step, ceiling) = (f64::from(self.policy.step_seconds), f64::from(self.policy.ceiling_seconds));
        let first = (self.limit / step).floor() + 1.0;
        (0_u32..).map(move |place| (first + f64::from(place)) * step).take_while(move |seconds| *seconds <= ceiling)
    }

    fn reach(&self) -> Reach {
        let (policy, limit) = (self.policy, self.limit);
        let mut reach = Reach {
            seconds: limit * (1.0 + policy.largest_step),
            because: format!("the largest step is {} of the limit", percent(policy.largest_step)),
            reason: TimeoutHoldReason::LargestStep,
        };
        let above = policy.above.iter().map(|other| (other, "would cut the runs first"));
        let below = policy.below.iter().map(|other| (other, "inside the run gives up before, so a longer limit is void"));
        for (other, effect) in above.chain(below) {
            if f64::from(other.seconds) < reach.seconds {
                reach = Reach {
                    seconds: f64::from(other.seconds),
                    because: format!("{} with its {} s {effect}", other.name, other.seconds),
                    reason: TimeoutHoldReason::OtherLimit,
                };
            }
        }
        let step = f64::from(policy.step_seconds);
        // A little tolerance, so that 1.1 times 30 reaches 33.
        reach.seconds = ((reach.seconds / step + 1e-9).floor() * step).min(f64::from(policy.ceiling_seconds));
        reach
    }

    /// What has to happen to the queue so that it can go with a limit.
    fn visibility_for(&self, seconds: f64) -> Result<Option<SettingChange>, String> {
        let (Some(queue), Some(visibility)) = (&self.policy.queue, &self.present.visibility) else { return Ok(None) };
        let visibility = visibility.as_ref().map_err(|why| format!("The visibility timeout of queue {queue} cannot be read: {why}."))?;
        let needed = VISIBILITY * seconds;
        if *visibility >= needed {
            return Ok(None);
        }
        if needed > VISIBILITY_AT_MOST {
            return Err(format!("Queue {queue} would need a visibility timeout of {needed} s, and SQS allows {VISIBILITY_AT_MOST} s."));
        }
        let setting = Setting::QueueVisibility { queue: queue.clone() };
        Ok(Some(SettingChange { setting, from: Limit::of(*visibility), to: Limit::of(needed) }))
    }

    fn target_change(&self, to: Limit) -> SettingChange {
        let from = self.present.limit.as_ref().copied().unwrap_or(Limit::of(self.limit));
        SettingChange { setting: self.policy.target.clone(), from, to }
    }

    /// Lets a share of the runs go on for longer, if the policy allows it and something may be learned.
    fn explore(&self, told: &str) -> Decision {
        let reason = TimeoutHoldReason::NothingKnownBeyond;
        let Some(exploration) = self.policy.exploration else {
            return self.hold(reason, format!("{told} Send the true ends of runs that were cut (traces), or let the policy explore."));
        };
        if self.state.explorations >= EXPLORATIONS {
            return self.hold(reason, format!("{told} {EXPLORATIONS} explorations did not tell either: does the application follow them?"));
        }
        let reach = self.reach();
        if reach.seconds <= self.limit {
            return self.hold(reason, format!("{told} No longer limit can be tried, for {}.", reach.because));
        }
        let obstacle = match self.visibility_for(reach.seconds) {
            Ok(None) => None,
            Ok(Some(change)) => {
                Some(format!("An exploration with {} s needs {} for the {} first.", reach.seconds, change.to, change.setting))
            }
            Err(why) => Some(why),
        };
        if let Some(why) = obstacle {
            return self.hold(TimeoutHoldReason::QueueVisibility, format!("{told} {why}"));
        }
        let cooldown = SignedDuration::from_secs(i64::from(self.policy.cooldown_seconds));
        if let Some(at) = self.state.explored_at.filter(|at| self.now.duration_since(*at) < cooldown) {
            return self.hold(
                TimeoutHoldReason::Cooldown,
                format!("{told} An exploration ended at {at}; the next may come {} s later.", self.policy.cooldown_seconds),
            );
        }
        let until = self.now + SignedDuration::from_secs(i64::from(exploration.seconds));
        let told =
            format!("{told} So {} of the runs get {} s until {until}, to learn when they end.", percent(exploration.share), reach.seconds);
        let exploration = Exploration { seconds: reach.seconds, share: exploration.share, until };
        let changes = vec![self.target_change(Limit { seconds: self.limit, exploration: Some(exploration) })];
        self.change(TimeoutPurpose::Explore, changes, None, told, reach.seconds)
    }

    /// Proposes a lower limit where the present one is far longer than runs need.
    fn generous(&self, cut: Share) -> Option<Decision> {
        let (policy, curve, limit) = (self.policy, &self.evidence.curve, self.limit);
        let rest = |seconds: f64| curve.completed_between(seconds, limit).upper(policy.confidence);
        let needed = curve.steps().iter().map(|step| step.seconds).find(|seconds| rest(*seconds) <= LOWER_CUTS)?;
        if limit < GENEROUS * needed {
            return None;
        }
        let step = f64::from(policy.step_seconds);
        let lowest = f64::from(policy.floor_seconds).max(limit / (1.0 + policy.largest_step));
        let new = ((LEAVE * needed).max(lowest) / step).ceil() * step;
        if new >= limit {
            return None;
        }
        let told = format!(
            "{} {} go on at the limit of {limit} s, but all that complete do so within {needed:.1} s, but for {} at most. A limit of {new} s \
             would cut hardly any of them, and end sooner what is stuck. A person is to decide.",
            self.told_runs(),
            percent(cut.estimate),
            percent(rest(needed))
        );
        Some(self.change(TimeoutPurpose::Lower, vec![self.target_change(Limit::of(new))], None, told, new))
    }

    fn more_evidence(&self, told: &str, rescuable: Share, needed: f64, confidence: f64) -> Decision {
        let lower = rescuable.lower(confidence);
        // A bound comes closer with the root of the sample.
        let times = ((rescuable.estimate - lower) / (rescuable.estimate - needed).max(1e-6)).powi(2);
        let more = (times - 1.0).max(0.0) * self.evidence.curve.runs();
        let told = format!(
            "{told} But with {} confidence it can only be said that {} would be rescued by the ceiling, and {} is asked for: about {more:.0} \
             more runs are needed.",
            percent(confidence),
            percent(lower),
            percent(needed)
        );
        self.hold(TimeoutHoldReason::MoreEvidence, told)
    }

    fn change(
        &self,
        purpose: TimeoutPurpose,
        changes: Vec<SettingChange>,
        prediction: Option<TimeoutPrediction>,
        explanation: String,
        new: f64,
    ) -> Decision {
        let undo = undo(&changes);
        Decision::Change(Box::new(TimeoutChange {
            timeout: self.policy.name.clone(),
            purpose,
            changes,
            undo,
            prediction,
            explanation,
            picture: self.picture(Some(new)),
            dry_run: false,
        }))
    }

    fn hold(&self, reason: TimeoutHoldReason, explanation: String) -> Decision {
        hold(self.policy, reason, explanation, Some(self.picture(None)))
    }

    fn picture(&self, new: Option<f64>) -> String {
        picture::draw(&self.policy.name, &self.evidence.curve, self.limit, new, f64::from(self.policy.ceiling_seconds))
    }

    fn bounds(&self, share: Share) -> String {
        let confidence = self.policy.confidence;
        format!(
            "{} to {}, each with {} confidence",
            percent(share.lower(confidence)),
            percent(share.upper(confidence)),
            percent(confidence)
        )
    }
}

/// The same changes the other way round, the last one first.
pub(super) fn undo(changes: &[SettingChange]) -> Vec<SettingChange> {
    changes.iter().rev().map(|change| SettingChange { setting: change.setting.clone(), from: change.to, to: change.from }).collect()
}

/// Whether a share is as large as another: a product of many factors may lack a last digit.
fn reaches(share: f64, of: f64) -> bool {
    share >= of - 1e-9
}

/// The share of the others, as surely known.
const fn complement(share: Share) -> Share {
    Share { estimate: 1.0 - share.estimate, ..share }
}

pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    // As many digits as tell something.
    if percent >= 99.95 || percent.fract().abs() < 1e-9 { format!("{percent:.0}%") } else { format!("{percent:.1}%") }
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn share_of(part: u64, all: u64) -> f64 {
    part as f64 / all.max(1) as f64
}
