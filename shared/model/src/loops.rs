//! The five loops, each from signals to what came of an action.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{ActionKind, Body, Event, Metric};

/// One of the five loops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loop {
    /// Documents and the knowledge bases that read them.
    Knowledge,
    /// Failed conversations and retrievals, kept as tests.
    Tests,
    /// Prompts that are compared.
    Experiments,
    /// Limits on how long workflows may run.
    Timeouts,
    /// Releases, and what is checked before them.
    Releases,
}

impl Loop {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 5] = [Self::Knowledge, Self::Tests, Self::Experiments, Self::Timeouts, Self::Releases];

    /// Its name, as in JSON and as a dimension of metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Knowledge => "knowledge",
            Self::Tests => "tests",
            Self::Experiments => "experiments",
            Self::Timeouts => "timeouts",
            Self::Releases => "releases",
        }
    }

    /// Its name as a heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Knowledge => "Knowledge",
            Self::Tests => "Tests",
            Self::Experiments => "Experiments",
            Self::Timeouts => "Timeouts",
            Self::Releases => "Releases",
        }
    }

    /// What it is for, in a sentence.
    #[must_use]
    pub const fn purpose(self) -> &'static str {
        match self {
            Self::Knowledge => "Documents change, and the knowledge bases that read them follow.",
            Self::Tests => "What failed becomes evaluation cases and regression tests.",
            Self::Experiments => "Prompts are compared on live conversations; the better one stays.",
            Self::Timeouts => "Limits of workflows follow what their runs need.",
            Self::Releases => "What made releases fail is checked before the next one starts.",
        }
    }

    /// The loop that answers where a rate gets worse.
    #[must_use]
    pub const fn that_answers(metric: Metric) -> Self {
        match metric {
            Metric::FailedResponses | Metric::RetrievalFailures => Self::Knowledge,
            Metric::ConversationFailures => Self::Tests,
            Metric::Resolution => Self::Experiments,
            Metric::Timeouts => Self::Timeouts,
            Metric::FailedReleases => Self::Releases,
        }
    }

    /// The loop that an event is a step of; none of what concerns all of them: batches of signals, refused input, a person's stop.
    #[must_use]
    pub const fn of(event: &Event) -> Option<Self> {
        Some(match &event.body {
            Body::DocumentChanged(_)
            | Body::SyncDecided(_)
            | Body::SyncHeld(_)
            | Body::SyncAnswered(_)
            | Body::SyncEnded(_)
            | Body::DocumentSettled(_)
            | Body::RefreshDecided(_)
            | Body::RefreshHeld(_)
            | Body::RefreshEnded(_)
            | Body::AskedAgain(_) => Self::Knowledge,
            Body::FindingOpened(finding) | Body::FindingUpdated(finding) | Body::FindingClosed(finding) => {
                Self::that_answers(finding.metric)
            }
            Body::FindingHeld(hold) => Self::that_answers(hold.metric),
            Body::ActionGraded(outcome) => Self::that_answers(outcome.metric),
            Body::Escalated(escalation) => Self::that_answers(escalation.metric),
            Body::CaseCaptured(_)
            | Body::CaptureHeld(_)
            | Body::TestsDecided(_)
            | Body::TestsHeld(_)
            | Body::TestsKept(_)
            | Body::TestProved(_) => Self::Tests,
            Body::UndoDecided(undo) => match undo.what {
                ActionKind::Refresh => Self::Knowledge,
                ActionKind::Promotion => Self::Experiments,
                ActionKind::Check => Self::Releases,
            },
            Body::ExperimentDecided(_) | Body::ExperimentHeld(_) | Body::FlagChanged(_) | Body::ExperimentConcluded(_) => Self::Experiments,
            Body::TimeoutDecided(_) | Body::TimeoutHeld(_) | Body::TimeoutAnswered(_) | Body::TimeoutVerified(_) => Self::Timeouts,
            Body::PreflightDecided(_) | Body::PreflightHeld(_) | Body::PreflightWritten(_) | Body::PreflightMade(_) => Self::Releases,
            Body::ApprovalRequested(request) | Body::ApprovalExpired(request) => request.action.of_loop(),
            Body::ApprovalGranted(decided) | Body::ApprovalRejected(decided) => decided.request.action.of_loop(),
            Body::InputRefused(_) | Body::SignalsKept(_) | Body::ActionsStopped(_) | Body::ActionsResumed(_) => return None,
        })
    }
}

impl fmt::Display for Loop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title())
    }
}
