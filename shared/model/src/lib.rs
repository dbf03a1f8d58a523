//! The words of Flywheel as types.
//!
//! A *signal* is one observed fact. A *finding* is a change for the worse that the evidence supports. A *decision* is a complete action or a reasoned hold. A *receipt* says what carrying
//! an action out gave. An *outcome* says what it did. Each travels as an [`Event`] that names its causes, so that the
//! ledger can tell the way from a changed document to its fate and back.

mod action;
mod approval;
mod batch;
mod case;
mod control;
mod document;
mod event;
mod experiment;
mod figure;
mod finding;
mod id;
mod ledger;
mod loops;
mod preflight;
mod refresh;
mod regression;
mod signal;
mod stage;
mod sync;
mod timeout;
mod transcript;

pub use action::{ActionKind, ActionOutcome, ActionVerdict, Escalation, MeasuredEffect, Undo};
pub use approval::{Approval, ApprovalAction, ApprovalAnswer, ApprovalDecided, ApprovalRequest, Word};
pub use batch::SignalBatch;
pub use case::{
    CaptureHold, CaptureHoldReason, CaptureReason, Captured, Case, CaseReason, CaseState, Decided, Exchange, Reference, ReferenceOrigin,
    Source, Variant,
};
pub use control::Control;
pub use document::{ChangeKind, DocumentChange, DocumentId, Sequencer, SequencerError};
pub use event::{Body, Event, Refusal};
pub use experiment::{
    ArmCount, BrokenGuardrail, Comparison, Conclusion, Experiment, ExperimentAction, ExperimentDecision, ExperimentHold,
    ExperimentHoldReason, ExperimentOutcome, ExperimentPlan, ExperimentReceipt, ExperimentRun, ExperimentState, ExperimentVerdict,
    Guardrail, PromptVariant, experiment_subject,
};
pub use figure::{Figure, FunctionFigure, IntentFigure, LoopFigure, NAMESPACE, OTHER_INTENTS};
pub use finding::{
    Count, Evidence, Failure, FailureReason, Finding, FindingHold, Hour, Metric, Observation, Rate, Rates, Scope, Series, UNCLASSIFIED,
};
pub use id::{DataSourceId, Id};
pub use ledger::{LedgerEntry, Place};
pub use loops::Loop;
pub use preflight::{Backtest, Need, PreflightChange, PreflightCheck, PreflightHold, PreflightReceipt, PreflightRun};
pub use refresh::{AskedAgain, Refresh, RefreshHold, Refreshed};
pub use regression::{
    AnswerOrigin, Clue, ClueKind, Expectations, Expected, ExpectedCall, Fixture, Located, Passing, Proof, ProofRuns, RegressionTest,
    Rubric, Suite, SuiteChange, SuiteChangeKind, SuiteDecision, SuiteHold, SuiteReceipt, TestBudget, TestProved, TestSource, TestState,
};
pub use signal::{
    Alarm, AlarmState, Check, Conversation, Evaluation, Fact, Feedback, Key, KeyError, Passage, Rating, Release, Retrieval, Role,
    RunStatus, Signal, ToolCall, ToolResult, Turn, WorkflowRun,
};
pub use stage::Stage;
pub use sync::{Action, Answer, DocumentOutcome, Fate, Hold, HoldReason, JobEnd, JobStatistics, Outcome, Receipt, SentDocument};
pub use timeout::{
    Exploration, Limit, Setting, SettingChange, TimeoutAnswer, TimeoutChange, TimeoutHold, TimeoutHoldReason, TimeoutOutcome,
    TimeoutPrediction, TimeoutPurpose, TimeoutReceipt, TimeoutVerdict, timeout_subject,
};
