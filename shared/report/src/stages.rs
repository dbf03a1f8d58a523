//! Where an event stands on the way of its loop.

use flywheel_model::{Action, Body, CaptureHoldReason, Event, ExperimentVerdict, FindingHold, HoldReason, SuiteChangeKind, TimeoutPurpose};
use serde::{Deserialize, Serialize};

use crate::describe::{why_experiment_waits, why_limit_stays};

/// Where an event stands on the way of its loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Something was seen.
    Signal,
    /// A change for the worse is sure enough, or is over.
    Finding,
    /// Something is to be done.
    Action,
    /// Something is not done, with a reason.
    Hold,
    /// AWS answered, or something was written.
    Receipt,
    /// What came of it.
    Outcome,
    /// A person said something.
    Control,
}

impl Stage {
    /// All of them, in the order of the way.
    pub const ALL: [Self; 7] = [Self::Signal, Self::Finding, Self::Action, Self::Hold, Self::Receipt, Self::Outcome, Self::Control];

    /// Its name in the plural, for counts and headings.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Signal => "signals",
            Self::Finding => "findings",
            Self::Action => "actions",
            Self::Hold => "holds",
            Self::Receipt => "receipts",
            Self::Outcome => "outcomes",
            Self::Control => "words of people",
        }
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Finding => "finding",
            Self::Action => "action",
            Self::Hold => "hold",
            Self::Receipt => "receipt",
            Self::Outcome => "outcome",
            Self::Control => "control",
        }
    }
}

/// The stage of an event.
#[must_use]
pub const fn stage_of(event: &Event) -> Stage {
    match &event.body {
        Body::DocumentChanged(_) | Body::InputRefused(_) | Body::SignalsKept(_) => Stage::Signal,
        Body::FindingOpened(_) | Body::FindingUpdated(_) | Body::FindingClosed(_) => Stage::Finding,
        Body::SyncDecided(_)
        | Body::RefreshDecided(_)
        | Body::TimeoutDecided(_)
        | Body::PreflightDecided(_)
        | Body::TestsDecided(_)
        | Body::ExperimentDecided(_) => Stage::Action,
        Body::SyncHeld(_)
        | Body::FindingHeld(_)
        | Body::RefreshHeld(_)
        | Body::TimeoutHeld(_)
        | Body::CaptureHeld(_)
        | Body::PreflightHeld(_)
        | Body::TestsHeld(_)
        | Body::ExperimentHeld(_) => Stage::Hold,
        Body::SyncAnswered(_) | Body::TimeoutAnswered(_) | Body::PreflightWritten(_) | Body::TestsKept(_) | Body::FlagChanged(_) => {
            Stage::Receipt
        }
        // Questions that were asked again are what tells whether a refresh helped.
        Body::AskedAgain(_)
        | Body::CaseCaptured(_)
        | Body::SyncEnded(_)
        | Body::DocumentSettled(_)
        | Body::RefreshEnded(_)
        | Body::TimeoutVerified(_)
        | Body::PreflightMade(_)
        | Body::TestProved(_)
        | Body::ExperimentConcluded(_) => Stage::Outcome,
        Body::ActionsStopped(_) | Body::ActionsResumed(_) => Stage::Control,
    }
}

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
        _ => false,
    }
}

/// Whether something that Flywheel had changed is taken back by it: a limit, a check, a test, an experiment that did harm or
/// that a person stopped.
#[must_use]
pub fn is_undone(event: &Event) -> bool {
    match &event.body {
        Body::TimeoutDecided(change) => change.purpose == TimeoutPurpose::Undo && !change.dry_run,
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
        _ => None,
    }
}

/// Whether it changes the application or what it reads: an action that is carried out, not only decided, and not only proposed
/// to a person.
#[must_use]
pub fn changes_application(event: &Event) -> bool {
    let proposed = matches!(&event.body, Body::TimeoutDecided(change) if change.purpose == TimeoutPurpose::Lower);
    stage_of(event) == Stage::Action && !is_dry_run(event) && !proposed
}
