//! What is told to CloudWatch: the names of all metrics, and of what they are split by.
//!
//! The functions emit these and nothing else, and the dashboards show these and nothing else. Each kind of figure has one
//! dimension, and the values of each dimension are bounded: what CloudWatch bills is the number of different metrics.

use std::fmt;

/// The namespace of all of them.
pub const NAMESPACE: &str = "Flywheel";

/// The value of the dimension `Intent` that stands for all intents that the policy does not name.
pub const OTHER_INTENTS: &str = "other";

/// What figures are split by.
pub trait Figure: Copy + Ord + fmt::Debug + 'static {
    /// All of them.
    const ALL: &'static [Self];

    /// The name of their one dimension.
    const DIMENSION: &'static str;

    /// Its name in CloudWatch.
    fn name(self) -> &'static str;
}

macro_rules! figures {
    ($(#[$of:meta])* $kind:ident by $dimension:literal { $($(#[$meaning:meta])* $figure:ident,)* }) => {
        $(#[$of])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $kind {
            $($(#[$meaning])* $figure,)*
        }

        impl Figure for $kind {
            const ALL: &'static [Self] = &[$(Self::$figure,)*];
            const DIMENSION: &'static str = $dimension;

            fn name(self) -> &'static str {
                match self {
                    $(Self::$figure => stringify!($figure),)*
                }
            }
        }
    };
}

figures! {
    /// Figures of a function.
    FunctionFigure by "Function" {
        /// Document changes that are news.
        ChangesRecorded,
        /// Document changes that were known.
        ChangesKnown,
        /// Events that are none of Flywheel's business.
        EventsPassedOver,
        /// Events that cannot be read.
        EventsRefused,
        /// Messages that come again.
        MessagesRedelivered,
        /// Ingestion jobs that were started.
        JobsStarted,
        /// Documents that were sent directly.
        DocumentsSent,
        /// Requests that met other work.
        Conflicts,
        /// Requests that came too fast.
        Throttled,
        /// Requests that were refused.
        Refused,
        /// Requests whose answer did not come.
        AnswersLost,
        /// Documents that are in the index.
        DocumentsIndexed,
        /// Documents that are out of the index.
        DocumentsDeleted,
        /// Documents that were given up, with a reason.
        DocumentsQuarantined,
        /// Documents that are tried again.
        DocumentsRetried,
        /// Plans that another process was faster with.
        Races,
        /// Signals that were counted.
        SignalsCounted,
        /// Signals that were counted before.
        SignalsKnown,
        /// Signals that came too late or too early.
        SignalsUntimely,
        /// Records that are no signals.
        SignalsRefused,
        /// Runs of workflows that were counted.
        WorkflowRuns,
        /// Those of them that were cut at their limit.
        WorkflowRunsCut,
        /// Releases that were counted.
        Releases,
        /// Those of them that failed.
        ReleasesFailed,
        /// Signals that were read from logs.
        SignalsRead,
        /// Spans that were kept.
        SpansKept,
        /// Log events that say nothing of interest.
        LogEventsPassedOver,
        /// Log events that cannot be read.
        LogEventsRefused,
        /// Rates that were looked at.
        SeriesLookedAt,
        /// Retrievals that were looked at.
        RetrievalsLookedAt,
        /// Retrievals without a question that is kept.
        RetrievalsWithoutQuestion,
        /// Retrievals that became, or came to, evaluation cases.
        RetrievalsCaptured,
        /// Retrievals that were not captured for a reason.
        CapturesHeld,
        /// Data sets that were published.
        DataSetsPublished,
        /// Conversations that tests may be made of.
        ConversationsNoted,
        /// Failed conversations that were looked at.
        FailedConversationsLookedAt,
        /// Changes of suites of tests.
        SuiteChanges,
        /// Intents that got no tests for a reason.
        TestsHeld,
        /// Tests that were run against the version that failed.
        TestsProved,
        /// Runs that limits are decided by.
        RunsTakenIn,
        /// Limits that were changed.
        TimeoutsChanged,
        /// Changes of limits that did not come about.
        TimeoutsNotChanged,
        /// Limits that stay as they are for a reason.
        TimeoutsHeld,
        /// Questions that people were told of.
        ApprovalsAsked,
        /// Those of them that nobody answered in time.
        ApprovalsExpired,
        /// Records of releases that cannot be read.
        RecordsRefused,
        /// Checks that were added or retired.
        ChecksChanged,
        /// Experiments that joined the queue.
        ExperimentsQueued,
        /// Experiments that have begun and are not concluded. A level, not a count.
        ExperimentsRunning,
        /// Units of experiments that were counted.
        UnitsCounted,
        /// Changes of flags.
        FlagsChanged,
        /// Changes of flags that were refused.
        FlagsNotChanged,
        /// Events that were appended to the ledger.
        EventsRecorded,
        /// Input that was refused, by whichever function.
        InputsRefused,
        /// Releases that were checked before they started.
        ReleasesChecked,
        /// Those of them that were stopped.
        ReleasesStopped,
        /// Failed questions of findings that found nothing then and find something after a synchronisation.
        QuestionsFoundAgain,
        /// Experiments that came to an end.
        ExperimentsConcluded,
        /// Those of them with a winner.
        ExperimentsWon,
        /// Conversations that were resolved by a winner during its experiment, beyond what the control would have: an estimate.
        ConversationsGained,
        /// Changes of limits that were verified and stay.
        LimitsKept,
        /// Actions whose effect is to be measured.
        ActionsAwaited,
        /// Actions that were graded.
        ActionsGraded,
        /// Actions that are taken back since they made it worse.
        ActionsUndone,
        /// What was left to a person.
        Escalations,
    }
}

figures! {
    /// Figures of a loop, from what the ledger keeps of it.
    LoopFigure by "Loop" {
        /// Changes for the worse that were found.
        FindingsOpened,
        /// Findings that are over.
        FindingsClosed,
        /// Large changes without evidence enough.
        FindingsHeld,
        /// Complete actions that were decided, in a dry run too.
        Decisions,
        /// Reasoned decisions not to act.
        Holds,
        /// Answers to actions that were carried out.
        Receipts,
        /// What actions came to.
        Outcomes,
        /// Actions that were taken back since they did not help.
        Undone,
    }
}

figures! {
    /// Figures of an intent, from the conversations that were counted.
    IntentFigure by "Intent" {
        /// Conversations.
        Conversations,
        /// Those of them that something speaks for having failed.
        ConversationsFailed,
        /// Those of them of which it is known whether they were resolved.
        ConversationsKnown,
        /// Those of them that were resolved.
        ConversationsResolved,
        /// Tokens that models read for them, as far as they tell.
        InputTokens,
        /// Tokens that models wrote for them, as far as they tell.
        OutputTokens,
    }
}
