//! The stages of a loop's way, from what was seen to what came of it.

use serde::{Deserialize, Serialize};

use crate::{Body, Event};

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

    /// The stage of an event.
    #[must_use]
    pub const fn of(event: &Event) -> Self {
        match &event.body {
            Body::DocumentChanged(_) | Body::InputRefused(_) | Body::SignalsKept(_) => Self::Signal,
            Body::FindingOpened(_) | Body::FindingUpdated(_) | Body::FindingClosed(_) => Self::Finding,
            Body::SyncDecided(_)
            | Body::RefreshDecided(_)
            | Body::TimeoutDecided(_)
            | Body::PreflightDecided(_)
            | Body::TestsDecided(_)
            | Body::ExperimentDecided(_)
            | Body::UndoDecided(_) => Self::Action,
            Body::SyncHeld(_)
            | Body::FindingHeld(_)
            | Body::RefreshHeld(_)
            | Body::TimeoutHeld(_)
            | Body::CaptureHeld(_)
            | Body::PreflightHeld(_)
            | Body::TestsHeld(_)
            | Body::ExperimentHeld(_)
            | Body::Escalated(_)
            // Without an answer nothing is done.
            | Body::ApprovalRequested(_)
            | Body::ApprovalExpired(_) => Self::Hold,
            Body::SyncAnswered(_) | Body::TimeoutAnswered(_) | Body::PreflightWritten(_) | Body::TestsKept(_) | Body::FlagChanged(_) => {
                Self::Receipt
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
            | Body::ExperimentConcluded(_)
            | Body::ActionGraded(_) => Self::Outcome,
            Body::ApprovalGranted(_) | Body::ApprovalRejected(_) | Body::ActionsStopped(_) | Body::ActionsResumed(_) => Self::Control,
        }
    }
}
