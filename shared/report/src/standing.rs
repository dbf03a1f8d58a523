//! How an event stands beside its sentence: why it was held back, whether it was decided only, what it took back, who said so.

use flywheel_model::{
    Action, Body, CaptureHoldReason, Event, ExperimentVerdict, FindingHold, HoldReason, Stage, SuiteChangeKind, TimeoutPurpose,
};

use crate::describe::{why_experiment_waits, why_limit_stays};

/// The reason of a hold, in a few words that are the same for the same reason; none of what is no hold.
#[must_use]
pub fn hold_reason(event: &Event) -> Option<String> {
    Some(match &event.body {
        Body::SyncHeld(hold) => sync_reason(&hold.reason).to_owned(),
        Body::FindingHeld(hold) => finding_reason(hold).to_owned(),
        // Its text begins with the kind of reason, and a colon.
        Body::RefreshHeld(hold) => kind_of(&hold.reason, "synchronising would not help"),
        Body::TimeoutHeld(hold) => why_limit_stays(hold.reason).to_owned(),
        Body::CaptureHeld(hold) => match hold.reason {
            CaptureHoldReason::Learning { .. } => "too few retrievals to tell a low score".to_owned(),
            CaptureHoldReason::Full => "as many questions as the policy allows".to_owned(),
        },
        Body::PreflightHeld(_) => "too little speaks for a check".to_owned(),
        Body::TestsHeld(_) => "no tests to be made".to_owned(),
        Body::ExperimentHeld(hold) => why_experiment_waits(hold.reason).to_owned(),
        Body::Escalated(_) => "a person has to look".to_owned(),
        Body::ApprovalRequested(_) => "a person must approve it".to_owned(),
        Body::ApprovalExpired(_) => "nobody answered in time".to_owned(),
        _ => return None,
    })
}

const fn sync_reason(reason: &HoldReason) -> &'static str {
    match reason {
        HoldReason::Settling => "changes are still coming",
        other => other.word(),
    }
}

const fn finding_reason(hold: &FindingHold) -> &'static str {
    match &hold.rates {
        Some(rates) if rates.samples_needed.is_some() => "it may be chance",
        _ => "not evidence enough",
    }
}

fn kind_of(reason: &str, otherwise: &str) -> String {
    match reason.split_once(':') {
        Some((kind, _)) if !kind.is_empty() && kind.chars().count() <= 40 => kind.to_owned(),
        _ => otherwise.to_owned(),
    }
}

/// Whether it was decided only, since the policy said dry run or a person had stopped all actions.
#[must_use]
pub const fn is_dry_run(event: &Event) -> bool {
    match &event.body {
        Body::SyncDecided(Action::StartJob { dry_run, .. } | Action::SendDocuments { dry_run, .. }) => *dry_run,
        Body::RefreshDecided(refresh) => refresh.dry_run,
        Body::TimeoutDecided(change) => change.dry_run,
        Body::PreflightDecided(change) => change.dry_run,
        Body::TestsDecided(decision) => decision.dry_run,
        Body::ExperimentDecided(decision) => decision.dry_run,
        Body::UndoDecided(undo) => undo.dry_run,
        _ => false,
    }
}

/// Whether something that Flywheel had changed is taken back by it: a limit, a check, a test, an experiment that did harm or
/// that a person stopped.
#[must_use]
pub fn is_undone(event: &Event) -> bool {
    match &event.body {
        Body::TimeoutDecided(change) => change.purpose == TimeoutPurpose::Undo && !change.dry_run,
        Body::UndoDecided(undo) => !undo.dry_run,
        Body::PreflightDecided(change) => !change.added && !change.dry_run,
        Body::TestsDecided(decision) => !decision.dry_run && decision.changes.iter().any(|change| change.what == SuiteChangeKind::Retired),
        Body::ExperimentConcluded(outcome) => {
            matches!(outcome.conclusion.verdict, ExperimentVerdict::Guardrail | ExperimentVerdict::Stopped | ExperimentVerdict::RolledBack)
        }
        _ => false,
    }
}

/// The person who is named in an event as having said something.
#[must_use]
pub fn person(event: &Event) -> Option<&str> {
    match &event.body {
        Body::ActionsStopped(control) | Body::ActionsResumed(control) => Some(&control.by),
        Body::ApprovalGranted(decided) | Body::ApprovalRejected(decided) => Some(&decided.word.by),
        _ => None,
    }
}

/// Whether it changes the application or what it reads: an action that is carried out, not only decided, and not only proposed
/// to a person.
#[must_use]
pub fn changes_application(event: &Event) -> bool {
    let proposed = matches!(&event.body, Body::TimeoutDecided(change) if change.purpose == TimeoutPurpose::Lower);
    Stage::of(event) == Stage::Action && !is_dry_run(event) && !proposed
}
