//! The envelope.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde::de::value::MapDeserializer;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Action, ActionOutcome, ApprovalDecided, ApprovalRequest, AskedAgain, CaptureHold, Captured, Control, DocumentChange, DocumentOutcome,
    Escalation, ExperimentDecision, ExperimentHold, ExperimentOutcome, ExperimentReceipt, Finding, FindingHold, Hold, Id, Outcome,
    PreflightChange, PreflightHold, PreflightReceipt, PreflightRun, Receipt, Refresh, RefreshHold, Refreshed, SignalBatch, SuiteDecision,
    SuiteHold, SuiteReceipt, TestProved, TimeoutChange, TimeoutHold, TimeoutOutcome, TimeoutReceipt, Undo,
};

/// Anything that happened, as it travels over the bus and stays in the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Envelope")]
pub struct Event {
    /// Which event this is; the same event made again has the same id.
    pub id: Id,
    /// What it is about: `document/…` or `data-source/…`.
    pub subject: String,
    /// The events that it follows from, at most [`Event::CAUSES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Id>,
    /// When it was made.
    pub at: Timestamp,
    /// What it says.
    #[serde(flatten)]
    pub body: Body,
}

impl Event {
    /// The source of all of Flywheel's events on the bus.
    pub const SOURCE: &'static str = "flywheel";

    /// The most causes that an event names: it must fit into one EventBridge entry together with what it says.
    pub const CAUSES: usize = 200;

    /// The order in which events are told: by their times, those of one time by their ids.
    #[must_use]
    pub fn by_time(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at).then_with(|| self.id.cmp(&other.id))
    }

    /// Reads an event as a queue of the bus delivers it: the detail of EventBridge's envelope.
    ///
    /// # Errors
    /// Why it is not one, naming what is wrong.
    pub fn from_envelope(envelope: &str) -> Result<Self, String> {
        let mut envelope: Value = serde_json::from_str(envelope).map_err(|error| format!("not JSON: {error}"))?;
        let detail = envelope.get_mut("detail").map(Value::take).ok_or("detail is missing; expected an event from the bus")?;
        serde_json::from_value(detail).map_err(|error| format!("detail: {error}"))
    }

    /// The detail-type on the bus.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.body {
            Body::DocumentChanged(_) => "signal.document-changed",
            Body::InputRefused(_) => "signal.refused",
            Body::SignalsKept(_) => SignalBatch::KIND,
            Body::SyncDecided(_) => "decision.sync",
            Body::SyncHeld(_) => "decision.hold",
            Body::SyncAnswered(_) => "receipt.sync",
            Body::SyncEnded(_) => "outcome.sync",
            Body::DocumentSettled(_) => "outcome.document",
            Body::FindingOpened(_) => "finding.opened",
            Body::FindingUpdated(_) => "finding.updated",
            Body::FindingClosed(_) => "finding.closed",
            Body::FindingHeld(_) => "finding.held",
            Body::RefreshDecided(_) => "decision.refresh",
            Body::RefreshHeld(_) => "decision.refresh-hold",
            Body::RefreshEnded(_) => "outcome.refresh",
            Body::AskedAgain(_) => "receipt.refresh",
            Body::TimeoutDecided(_) => "decision.timeout",
            Body::TimeoutHeld(_) => "decision.timeout-hold",
            Body::TimeoutAnswered(_) => "receipt.timeout",
            Body::TimeoutVerified(_) => "outcome.timeout",
            Body::CaseCaptured(_) => "case.captured",
            Body::CaptureHeld(_) => "decision.capture-hold",
            Body::PreflightDecided(_) => "decision.preflight",
            Body::PreflightHeld(_) => "decision.preflight-hold",
            Body::PreflightWritten(_) => "receipt.preflight",
            Body::PreflightMade(_) => "outcome.preflight",
            Body::TestsDecided(_) => "decision.tests",
            Body::TestsHeld(_) => "decision.tests-hold",
            Body::TestsKept(_) => "receipt.tests",
            Body::TestProved(_) => "outcome.test",
            Body::ExperimentDecided(_) => "decision.experiment",
            Body::ExperimentHeld(_) => "decision.experiment-hold",
            Body::FlagChanged(_) => "receipt.experiment",
            Body::ExperimentConcluded(_) => "outcome.experiment",
            Body::ActionGraded(_) => "outcome.action",
            Body::UndoDecided(_) => "decision.undo",
            Body::Escalated(_) => "decision.escalation",
            Body::ApprovalRequested(_) => "approval.requested",
            Body::ApprovalGranted(_) => "approval.granted",
            Body::ApprovalRejected(_) => "approval.rejected",
            Body::ApprovalExpired(_) => "approval.expired",
            Body::ActionsStopped(_) => "control.stopped",
            Body::ActionsResumed(_) => "control.resumed",
        }
    }
}

/// An event as it is written. What it says is read once its kind is known: a number that serde must buffer until then would
/// come out as a map where `serde_json` keeps numbers exactly.
#[derive(Deserialize)]
struct Envelope {
    id: Id,
    subject: String,
    #[serde(default)]
    causes: Vec<Id>,
    at: Timestamp,
    kind: String,
    detail: Value,
}

impl TryFrom<Envelope> for Event {
    type Error = String;

    fn try_from(envelope: Envelope) -> Result<Self, String> {
        // The kind first: then serde knows what the detail is as it reads it.
        let fields = [("kind", Value::String(envelope.kind)), ("detail", envelope.detail)];
        let body = Body::deserialize(MapDeserializer::new(fields.into_iter())).map_err(|error: serde_json::Error| error.to_string())?;
        Ok(Self { id: envelope.id, subject: envelope.subject, causes: envelope.causes, at: envelope.at, body })
    }
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "detail")]
pub enum Body {
    /// Signal: a watched document changed.
    #[serde(rename = "signal.document-changed")]
    DocumentChanged(DocumentChange),
    /// Signal: something came in that cannot be used. Kept with its reason, not retried.
    #[serde(rename = "signal.refused")]
    InputRefused(Refusal),
    /// Signals were kept as evidence and counted.
    #[serde(rename = "signal.batch")]
    SignalsKept(SignalBatch),
    /// Decision: synchronise, so.
    #[serde(rename = "decision.sync")]
    SyncDecided(Action),
    /// Decision: not now, because.
    #[serde(rename = "decision.hold")]
    SyncHeld(Hold),
    /// Receipt: what Bedrock answered.
    #[serde(rename = "receipt.sync")]
    SyncAnswered(Receipt),
    /// Outcome: how an ingestion job ended.
    #[serde(rename = "outcome.sync")]
    SyncEnded(Outcome),
    /// Outcome: the fate of one document.
    #[serde(rename = "outcome.document")]
    DocumentSettled(DocumentOutcome),
    /// Finding: a rate got worse.
    #[serde(rename = "finding.opened")]
    FindingOpened(Finding),
    /// Finding: what is known of it by now.
    #[serde(rename = "finding.updated")]
    FindingUpdated(Finding),
    /// Finding: the rate is back.
    #[serde(rename = "finding.closed")]
    FindingClosed(Finding),
    /// Finding: large enough a change, but not evidence enough.
    #[serde(rename = "finding.held")]
    FindingHeld(FindingHold),
    /// Decision: make the knowledge bases of a failing topic fresh.
    #[serde(rename = "decision.refresh")]
    RefreshDecided(Refresh),
    /// Decision: that would not help a failing topic.
    #[serde(rename = "decision.refresh-hold")]
    RefreshHeld(RefreshHold),
    /// Outcome: a data source is synchronised as a finding asked.
    #[serde(rename = "outcome.refresh")]
    RefreshEnded(Refreshed),
    /// Receipt: the failed questions were asked again.
    #[serde(rename = "receipt.refresh")]
    AskedAgain(AskedAgain),
    /// Decision: change a limit on how long a workflow may run.
    #[serde(rename = "decision.timeout")]
    TimeoutDecided(TimeoutChange),
    /// Decision: leave such a limit as it is.
    #[serde(rename = "decision.timeout-hold")]
    TimeoutHeld(TimeoutHold),
    /// Receipt: what became of changing a limit.
    #[serde(rename = "receipt.timeout")]
    TimeoutAnswered(TimeoutReceipt),
    /// Outcome: what a changed limit brought.
    #[serde(rename = "outcome.timeout")]
    TimeoutVerified(TimeoutOutcome),
    /// Evaluation case: a retrieval was captured.
    #[serde(rename = "case.captured")]
    CaseCaptured(Captured),
    /// Decision: retrievals are not captured, because.
    #[serde(rename = "decision.capture-hold")]
    CaptureHeld(CaptureHold),
    /// Decision: check for this before releases, or no longer.
    #[serde(rename = "decision.preflight")]
    PreflightDecided(PreflightChange),
    /// Decision: too little speaks for checks before releases.
    #[serde(rename = "decision.preflight-hold")]
    PreflightHeld(PreflightHold),
    /// Receipt: the checks file was written.
    #[serde(rename = "receipt.preflight")]
    PreflightWritten(PreflightReceipt),
    /// Outcome: the checks were made before a release.
    #[serde(rename = "outcome.preflight")]
    PreflightMade(PreflightRun),
    /// Decision: these regression tests for an intent.
    #[serde(rename = "decision.tests")]
    TestsDecided(SuiteDecision),
    /// Decision: no regression tests now.
    #[serde(rename = "decision.tests-hold")]
    TestsHeld(SuiteHold),
    /// Receipt: the suite of an intent was written.
    #[serde(rename = "receipt.tests")]
    TestsKept(SuiteReceipt),
    /// Outcome: a test was run against the version that failed.
    #[serde(rename = "outcome.test")]
    TestProved(TestProved),
    /// Decision: queue, split, clean up or promote.
    #[serde(rename = "decision.experiment")]
    ExperimentDecided(Box<ExperimentDecision>),
    /// Decision: not now, or not at all, because.
    #[serde(rename = "decision.experiment-hold")]
    ExperimentHeld(ExperimentHold),
    /// Receipt: the flag was changed.
    #[serde(rename = "receipt.experiment")]
    FlagChanged(ExperimentReceipt),
    /// Outcome: what came of an experiment.
    #[serde(rename = "outcome.experiment")]
    ExperimentConcluded(Box<ExperimentOutcome>),
    /// Outcome: what an action did to the rate that triggered it.
    #[serde(rename = "outcome.action")]
    ActionGraded(Box<ActionOutcome>),
    /// Decision: take back what an action changed, since it made it worse.
    #[serde(rename = "decision.undo")]
    UndoDecided(Undo),
    /// Decision: leave it to a person, since what was tried did not help.
    #[serde(rename = "decision.escalation")]
    Escalated(Escalation),
    /// Approval: a person is asked whether something may be done.
    #[serde(rename = "approval.requested")]
    ApprovalRequested(ApprovalRequest),
    /// Approval: a person lets it be done.
    #[serde(rename = "approval.granted")]
    ApprovalGranted(ApprovalDecided),
    /// Approval: a person wants it not to be done.
    #[serde(rename = "approval.rejected")]
    ApprovalRejected(ApprovalDecided),
    /// Approval: nobody answered in time, so it is not done.
    #[serde(rename = "approval.expired")]
    ApprovalExpired(ApprovalRequest),
    /// Control: a person stopped all actions.
    #[serde(rename = "control.stopped")]
    ActionsStopped(Control),
    /// Control: a person let actions go on.
    #[serde(rename = "control.resumed")]
    ActionsResumed(Control),
}

/// Input that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Why, naming the field, the value and what was expected.
    pub reason: String,
    /// The queue message it came in.
    pub message_id: String,
    /// The input, so that it can be sent again once it is mended; at most [`Refusal::KEPT`] bytes of it.
    pub input: String,
    /// The length of the whole input in bytes.
    pub length: usize,
}

impl Refusal {
    /// Bytes of an input that are kept: as much as fits into one EventBridge entry together with the envelope, even
    /// though every character may need escaping.
    pub const KEPT: usize = 30_000;

    /// Keeps a refused input with its reason.
    #[must_use]
    pub fn new(reason: &str, message_id: &str, input: &str) -> Self {
        let kept = input.floor_char_boundary(Self::KEPT);
        // A reason may quote the input.
        let reason = reason.chars().take(1_000).collect();
        Self { reason, message_id: message_id.to_owned(), input: input[..kept].to_owned(), length: input.len() }
    }

    /// The event that reports it.
    #[must_use]
    pub fn event(self, at: Timestamp) -> Event {
        // The same input in another message is another refusal.
        let id = Id::of("signal.refused", &[&self.message_id, &self.input]);
        Event { id, subject: "refused".to_owned(), causes: Vec::new(), at, body: Body::InputRefused(self) }
    }
}
