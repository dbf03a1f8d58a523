//! What is to be done about a limit now.

use std::collections::BTreeMap;

use flywheel_model::{
    Approval, Body, Event, Id, Limit, TimeoutAnswer, TimeoutChange, TimeoutHold, TimeoutHoldReason, TimeoutOutcome, TimeoutPrediction,
    TimeoutPurpose, TimeoutReceipt, TimeoutVerdict, timeout_subject,
};
use flywheel_policy::{Mode, Policy, TimeoutPolicy};
use flywheel_survival::Share;
use jiff::{SignedDuration, Timestamp};

use super::decide::{Decision, Present, decide, percent, undo};
use super::runs::{Day, Runs, Under};
use super::state::{Awaiting, Declined, State, Told, UnderWay};
use crate::approvals::{self, Asked, Come, HighRisk, Proposal, come_of, risk_of};

/// Runs under the new limit that a verdict needs, if the policy's minimum sample is not smaller.
const VERDICT_RUNS: u64 = 100;
/// Cooldowns after which a change without enough runs is left as it is.
const VERDICT_COOLDOWNS: i32 = 4;
/// Cooldowns before anything is tried again after a change that was taken back.
const RETRY_COOLDOWNS: i32 = 7;
/// The timeouts must fall by this share of what was predicted at least. A prediction that was a little too good, since it was
/// acted upon when it was good enough, is no reason to undo what helps.
const FALL: f64 = 0.5;
/// Runs may take this much more than was predicted, as a share of it, before that is a failure of its own.
const COSTLIER: f64 = 0.25;

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Nothing that is not known.
    Nothing,
    /// Publish these events, and remember this.
    Tell(Vec<Event>, Box<State>),
    /// Publish these events, remember this, and make the change that it has under way.
    Make(Vec<Event>, Box<State>),
}

/// What is to be done about a limit now. `approval` says how it stands with the question that the limit's state names.
#[must_use]
pub fn next(
    policy: &Policy,
    timeout: &TimeoutPolicy,
    days: &BTreeMap<Day, Runs>,
    present: &Present,
    state: &State,
    approval: Option<&Approval>,
    now: Timestamp,
) -> Next {
    let noted = present.limit.as_ref().map_or_else(|_| state.clone(), |limit| state.noting(limit.seconds, now));
    match to_do(policy, timeout, days, present, &noted, approval, now) {
        Next::Nothing if noted != *state => Next::Tell(Vec::new(), Box::new(noted)),
        next => next,
    }
}

fn to_do(
    policy: &Policy,
    timeout: &TimeoutPolicy,
    days: &BTreeMap<Day, Runs>,
    present: &Present,
    state: &State,
    approval: Option<&Approval>,
    now: Timestamp,
) -> Next {
    match &state.under_way {
        Some(under_way) if !under_way.made => Next::Make(Vec::new(), Box::new(state.clone())),
        Some(under_way) => match watch(timeout, days, present, state, under_way, now) {
            Some(next) if policy.mode == Mode::Act || matches!(next, Next::Tell(..)) => next,
            _ => Next::Nothing,
        },
        None if state.awaiting.is_some() => answered(policy, timeout, days, state, approval, now).unwrap_or(Next::Nothing),
        None => match decide(timeout, days, present, state, now) {
            Decision::Hold(hold) => {
                if matches!(hold.reason, TimeoutHoldReason::Suits | TimeoutHoldReason::Cooldown | TimeoutHoldReason::FailedBefore) {
                    return Next::Nothing;
                }
                let what = format!("{:?} at {}", hold.reason, told(present));
                let explanation = hold.explanation.clone();
                tell(timeout, state, what, explanation, Body::TimeoutHeld(hold), now)
            }
            Decision::Change(change) if policy.mode == Mode::DryRun || change.purpose == TimeoutPurpose::Lower => {
                // Without the new limit, which may differ a little each time.
                let what = format!("{:?} from {}", change.purpose, told(present));
                let explanation = change.explanation.clone();
                let change = TimeoutChange { dry_run: policy.mode == Mode::DryRun, ..*change };
                tell(timeout, state, what, explanation, Body::TimeoutDecided(change), now)
            }
            Decision::Change(change) => match risk_of(&Proposal::Limit(&change), &policy.approvals) {
                None => begin(timeout, days, state, *change, Vec::new(), now),
                Some(risk) => ask(policy, timeout, present, state, *change, risk, now),
            },
        },
    }
}

/// Proposes a change to a person, unless the same was declined a short time ago. It is remembered before anybody is asked.
fn ask(
    policy: &Policy,
    timeout: &TimeoutPolicy,
    present: &Present,
    state: &State,
    change: TimeoutChange,
    risk: HighRisk,
    now: Timestamp,
) -> Next {
    // Without the new limit, which may differ a little each time.
    let what = format!("{:?} from {}", change.purpose, told(present));
    if state.declined.as_ref().is_some_and(|declined| declined.what == what && now < declined.until) {
        return Next::Nothing;
    }
    let revision = state.revision.to_string();
    let changes: Vec<String> = change.changes.iter().map(|one| format!("{} from {} to {}", one.setting, one.from, one.to)).collect();
    let asked = Asked {
        subject: timeout_subject(&timeout.name),
        parts: &[&what, &revision],
        what: format!("Change the limit of {}: {}.", timeout.name, changes.join(", and the ")),
        why: change.explanation.clone(),
        risk,
    };
    let explanation = format!(
        "{} {} So it waits for a person until {}: `flywheel approve {}`. Without an answer nothing is done.",
        change.explanation,
        asked.risk.why,
        approvals::deadline(&policy.approvals, now),
        approvals::id_of(&asked)
    );
    let hold = TimeoutHold {
        timeout: timeout.name.clone(),
        reason: TimeoutHoldReason::Approval,
        explanation: explanation.clone(),
        picture: change.picture.clone(),
    };
    let hold = event(timeout, Body::TimeoutHeld(hold), &["ask", &what, &revision], Vec::new(), now);
    let request = approvals::request(asked, vec![hold.id.clone()], &policy.approvals, now);
    let told = Some(Told { what: format!("{what} waits"), event: hold.id.clone(), at: now, explanation });
    let awaiting = Some(Awaiting { request, change: TimeoutChange { picture: String::new(), ..change }, what });
    Next::Tell(vec![hold], Box::new(State { awaiting, told, ..state.clone() }))
}

/// What follows from how it stands with the question about a change; nothing if it waits.
fn answered(
    policy: &Policy,
    timeout: &TimeoutPolicy,
    days: &BTreeMap<Day, Runs>,
    state: &State,
    approval: Option<&Approval>,
    now: Timestamp,
) -> Option<Next> {
    let Awaiting { request, change, what } = state.awaiting.as_ref()?;
    let news: Vec<Event> = approval.and_then(Approval::answered).into_iter().collect();
    let (why, until) = match come_of(request, approval, &policy.approvals, now) {
        Come::Waits => return None,
        Come::Granted(word) => {
            let (limit, allowed) = (target(change).seconds, timeout.floor_seconds..=timeout.ceiling_seconds);
            if (f64::from(*allowed.start())..=f64::from(*allowed.end())).contains(&limit) {
                if policy.mode == Mode::DryRun {
                    return None;
                }
                let explanation = format!("{} {} approved it at {}.", change.explanation, word.by, word.at);
                let change = TimeoutChange { explanation, ..begun_later(change, now.duration_since(request.at)) };
                return Some(begin(timeout, days, &State { awaiting: None, ..state.clone() }, change, news, now));
            }
            let (floor, ceiling) = (allowed.start(), allowed.end());
            (format!("{} approved it, but by now the policy allows {floor} to {ceiling} s only.", word.by), now)
        }
        Come::Declined { why, until } => (why, until),
    };
    let hold = TimeoutHold {
        timeout: timeout.name.clone(),
        reason: TimeoutHoldReason::Declined,
        explanation: format!("{} {why}", request.what),
        picture: String::new(),
    };
    let explanation = hold.explanation.clone();
    let causes = news.iter().map(|event| event.id.clone()).collect();
    let hold = event(timeout, Body::TimeoutHeld(hold), &["declined", request.approval.as_str()], causes, now);
    let told = Some(Told { what: format!("{what} declined"), event: hold.id.clone(), at: now, explanation });
    let declined = Some(Declined { what: what.clone(), until });
    let state = State { awaiting: None, declined, told, ..state.clone() };
    Some(Next::Tell(news.into_iter().chain([hold]).collect(), Box::new(state)))
}

/// A change that begins later than it was proposed: an exploration lasts as long as it was to.
fn begun_later(change: &TimeoutChange, by: SignedDuration) -> TimeoutChange {
    let mut change = change.clone();
    for exploration in change.changes.iter_mut().filter_map(|one| one.to.exploration.as_mut()) {
        exploration.until = exploration.until.checked_add(by).unwrap_or(exploration.until);
    }
    change.undo = undo(&change.changes);
    change
}

fn told(present: &Present) -> String {
    present.limit.as_ref().map_or_else(|_| "?".to_owned(), ToString::to_string)
}

/// The limit that a change sets: the dependants come before it, and after it when it is taken back.
fn target(change: &TimeoutChange) -> Limit {
    let of_target = if change.purpose == TimeoutPurpose::Undo { change.changes.first() } else { change.changes.last() };
    of_target.map_or(Limit::of(0.0), |change| change.to)
}

/// Tells something once.
fn tell(timeout: &TimeoutPolicy, state: &State, what: String, explanation: String, body: Body, now: Timestamp) -> Next {
    if state.told.as_ref().is_some_and(|told| told.what == what) {
        return Next::Nothing;
    }
    let event = event(timeout, body, &[&what, &state.revision.to_string()], Vec::new(), now);
    let told = Some(Told { what, event: event.id.clone(), at: now, explanation });
    Next::Tell(vec![event], Box::new(State { told, ..state.clone() }))
}

/// An event about a limit. Its id says what it is about: the same decision on the same state is the same event.
fn event(timeout: &TimeoutPolicy, body: Body, parts: &[&str], causes: Vec<Id>, at: Timestamp) -> Event {
    let stage = match &body {
        Body::TimeoutHeld(_) => "decision.timeout-hold",
        Body::TimeoutAnswered(_) => "receipt.timeout",
        Body::TimeoutVerified(_) => "outcome.timeout",
        _ => "decision.timeout",
    };
    let parts: Vec<&str> = std::iter::once(timeout.name.as_str()).chain(parts.iter().copied()).collect();
    Event { id: Id::of(stage, &parts), subject: timeout_subject(&timeout.name), causes, at, body }
}

/// A change begins: it is told and remembered before it is made.
fn begin(
    timeout: &TimeoutPolicy,
    days: &BTreeMap<Day, Runs>,
    state: &State,
    change: TimeoutChange,
    mut events: Vec<Event>,
    now: Timestamp,
) -> Next {
    let limit = target(&change);
    let what = format!("{:?} to {limit}", change.purpose);
    let causes = events.last().map(|event| event.id.clone()).into_iter().collect();
    let explanation = change.explanation.clone();
    let decided = event(timeout, Body::TimeoutDecided(change.clone()), &[&what, &state.revision.to_string()], causes, now);
    let before = days.get(&Day::of(now)).map_or_else(Under::default, |runs| runs.under(limit.seconds));
    let change = TimeoutChange { picture: String::new(), ..change };
    let under_way = UnderWay { decision: decided.id.clone(), change, at: now, made: false, before };
    let told = Some(Told { what, event: decided.id.clone(), at: now, explanation });
    events.push(decided);
    Next::Make(events, Box::new(State { under_way: Some(under_way), told, ..state.clone() }))
}

/// What became of the change under way, once it was carried out: the receipt, and what is remembered from then on.
#[must_use]
pub fn made(timeout: &TimeoutPolicy, state: &State, answer: TimeoutAnswer, now: Timestamp) -> Option<(Event, State)> {
    let under_way = state.under_way.as_ref()?;
    let done = answer == TimeoutAnswer::Made;
    let undo = if done { under_way.change.undo.clone() } else { Vec::new() };
    let receipt = TimeoutReceipt { timeout: timeout.name.clone(), decision: under_way.decision.clone(), answer, undo };
    let causes = vec![under_way.decision.clone()];
    let receipt = event(timeout, Body::TimeoutAnswered(receipt), &[under_way.decision.as_str()], causes, now);
    let purpose = under_way.change.purpose;
    let mut state = if done { state.noting(target(&under_way.change).seconds, now) } else { state.clone() };
    let watched = matches!(purpose, TimeoutPurpose::Raise | TimeoutPurpose::Explore);
    state.under_way = (done && watched).then(|| UnderWay { made: true, ..under_way.clone() });
    match purpose {
        TimeoutPurpose::Raise if done => state.reversible.clone_from(&state.under_way),
        TimeoutPurpose::Undo if done => state.reversible = None,
        _ => {}
    }
    match purpose {
        TimeoutPurpose::Explore => state.explorations += u32::from(done),
        TimeoutPurpose::EndExploration => state.explored_at = Some(now),
        _ => {
            // What was not made waits for a cooldown too: whoever stands in the way is not pressed.
            state.last_change_at = Some(now);
            state.explorations = 0;
        }
    }
    Some((receipt, state))
}

/// Looks after a change that is made: an exploration ends, another change is verified. Nothing if it is too early.
fn watch(
    timeout: &TimeoutPolicy,
    days: &BTreeMap<Day, Runs>,
    present: &Present,
    state: &State,
    under_way: &UnderWay,
    now: Timestamp,
) -> Option<Next> {
    let limit = present.limit.as_ref().ok()?;
    let set = target(&under_way.change);
    if let Some(exploration) = set.exploration {
        if now < exploration.until {
            return None;
        }
        let change = TimeoutChange {
            purpose: TimeoutPurpose::EndExploration,
            changes: under_way.change.undo.clone(),
            undo: Vec::new(),
            explanation: format!("The exploration ends as it was to: all runs have {} s again.", set.seconds),
            ..under_way.change.clone()
        };
        return Some(begin(timeout, days, state, change, Vec::new(), now));
    }
    let cooldown = SignedDuration::from_secs(i64::from(timeout.cooldown_seconds));
    let age = now.duration_since(under_way.at);
    if age < cooldown {
        return None;
    }
    let since = ran_since(days, under_way, set.seconds);
    let wanted = VERDICT_RUNS.min(u64::from(timeout.minimum_sample));
    let prediction = under_way.change.prediction?;
    let (verdict, explanation) = if (limit.seconds - set.seconds).abs() > 1e-6 {
        (
            TimeoutVerdict::Inconclusive,
            format!("The limit was set to {set} and stands at {limit} now: somebody else changed it, and it stays."),
        )
    } else if since.runs < wanted {
        if age < cooldown * VERDICT_COOLDOWNS {
            return None;
        }
        (
            TimeoutVerdict::Inconclusive,
            format!("Only {} runs say that they ran under {set}, and {wanted} are needed: the limit stays.", since.runs),
        )
    } else {
        judge(&since, &prediction, set)
    };
    let outcome = TimeoutOutcome {
        timeout: timeout.name.clone(),
        decision: under_way.decision.clone(),
        verdict,
        runs: since.runs,
        timed_out: since.timed_out,
        mean_seconds: mean_seconds(&since),
        explanation: explanation.clone(),
    };
    let outcome = event(timeout, Body::TimeoutVerified(outcome), &[under_way.decision.as_str()], vec![under_way.decision.clone()], now);
    let told = Some(Told { what: format!("{verdict:?} at {set}"), event: outcome.id.clone(), at: now, explanation: explanation.clone() });
    let state = State { under_way: None, told, ..state.clone() };
    if verdict != TimeoutVerdict::Undone {
        return Some(Next::Tell(vec![outcome], Box::new(state)));
    }
    let state = State { not_before: now.checked_add(cooldown * RETRY_COOLDOWNS).ok(), ..state };
    Some(begin(timeout, days, &state, reversed(&under_way.change, explanation), vec![outcome], now))
}

/// Takes back the last raise because a person asks for it; nothing if there is none, or another change is being made.
#[must_use]
pub fn taken_back(timeout: &TimeoutPolicy, days: &BTreeMap<Day, Runs>, state: &State, who: &str, now: Timestamp) -> Option<Next> {
    let raised = state.reversible.as_ref().filter(|_| state.under_way.as_ref().is_none_or(|under_way| under_way.made))?;
    let cooldown = SignedDuration::from_secs(i64::from(timeout.cooldown_seconds));
    let state = State { under_way: None, not_before: now.checked_add(cooldown * RETRY_COOLDOWNS).ok(), ..state.clone() };
    let change = reversed(&raised.change, format!("{who} took the change back."));
    Some(begin(timeout, days, &state, change, Vec::new(), now))
}

fn reversed(change: &TimeoutChange, explanation: String) -> TimeoutChange {
    TimeoutChange {
        timeout: change.timeout.clone(),
        purpose: TimeoutPurpose::Undo,
        changes: change.undo.clone(),
        undo: change.changes.clone(),
        prediction: None,
        explanation,
        picture: String::new(),
        dry_run: false,
    }
}

/// What ran under a limit since a change to it.
fn ran_since(days: &BTreeMap<Day, Runs>, under_way: &UnderWay, limit: f64) -> Under {
    let mut since = Runs::default();
    days.range(Day::of(under_way.at)..).for_each(|(_, runs)| since.merge(runs));
    let (since, before) = (since.under(limit), under_way.before);
    Under {
        runs: since.runs.saturating_sub(before.runs),
        timed_out: since.timed_out.saturating_sub(before.timed_out),
        milliseconds: since.milliseconds.saturating_sub(before.milliseconds),
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn judge(since: &Under, prediction: &TimeoutPrediction, set: Limit) -> (TimeoutVerdict, String) {
    let (runs, estimate) = (since.runs as f64, since.timed_out as f64 / since.runs as f64);
    let share = Share { estimate, error: (estimate * (1.0 - estimate) / runs).sqrt(), runs };
    let told = format!(
        "Of {} runs under {set}, {} were cut; {} was predicted ({} to {}), and it was {} before. They took {:.2} s in the mean, and {:.2} s was predicted.",
        since.runs,
        percent(estimate),
        percent(prediction.timeouts[1]),
        percent(prediction.timeouts[0]),
        percent(prediction.timeouts[2]),
        percent(prediction.timeouts_now),
        mean_seconds(since),
        prediction.mean_seconds
    );
    let predicted_fall = prediction.timeouts_now - prediction.timeouts[1];
    // More than half of the fall is missing, and more are cut than the prediction's own uncertainty allows for: it was made
    // of few runs, and of those that spoke for acting.
    let at_most = (prediction.timeouts_now - FALL * predicted_fall).max(prediction.timeouts[2]);
    if share.lower(prediction.confidence) > at_most {
        return (TimeoutVerdict::Undone, format!("{told} They fell by less than half of that: the change is taken back."));
    }
    if mean_seconds(since) > prediction.mean_seconds * (1.0 + COSTLIER) {
        return (TimeoutVerdict::Undone, format!("{told} The runs take more than they should: the change is taken back."));
    }
    (TimeoutVerdict::Kept, format!("{told} The change stays."))
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn mean_seconds(since: &Under) -> f64 {
    since.milliseconds as f64 / 1_000.0 / since.runs.max(1) as f64
}
