//! What waiting for a person needs.

use flywheel_model::{Approval, ApprovalAnswer, ApprovalRequest, Id};
use jiff::Timestamp;

use crate::Unavailable;

/// A question, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptApproval {
    /// The question and its answer.
    pub approval: Approval,
    /// What ends the task that waits for the answer; none if no task does.
    pub token: Option<String>,
    /// Whether people were told of it.
    pub told: bool,
}

/// Where questions to people are kept, with what came of them.
pub trait Approvals {
    /// How it stands with a question. Sees every answer that was acknowledged.
    async fn approval(&self, approval: &Id) -> Result<Option<KeptApproval>, Unavailable>;

    /// Keeps a question with what ends its task, and gives it with the answer that it may have by now. Keeping it again
    /// changes nothing.
    async fn keep(&self, request: &ApprovalRequest, token: &str) -> Result<KeptApproval, Unavailable>;

    /// Notes that people were told of a question.
    async fn note_told(&self, approval: &Id) -> Result<(), Unavailable>;

    /// Answers a question unless it is answered, and gives it with the answer that stands: the first one.
    async fn answer(&self, request: &ApprovalRequest, answer: &ApprovalAnswer) -> Result<KeptApproval, Unavailable>;
}

/// The tasks that wait for answers, each until the deadline of its question.
pub trait ApprovalTasks {
    /// Begins a task for a question, from which people are asked. One that was begun before goes on.
    async fn begin(&self, request: &ApprovalRequest) -> Result<(), Unavailable>;
}

/// How people are told.
pub trait Notices {
    /// Sends a message: a subject and a text.
    async fn send(&self, subject: &str, text: &str) -> Result<(), Unavailable>;
}

/// How it stands with a question; nothing if nobody was asked yet. What nobody answered by the deadline is answered by that: a
/// person who answers later is told so, whatever their clock says.
///
/// # Errors
/// If the store does not answer.
pub async fn stands(approvals: &impl Approvals, request: &ApprovalRequest, now: Timestamp) -> Result<Option<Approval>, Unavailable> {
    let found = approvals.approval(&request.approval).await?.map(|kept| kept.approval);
    if now < request.deadline || found.as_ref().is_some_and(|approval| approval.answer.is_some()) {
        return Ok(found);
    }
    Ok(Some(approvals.answer(request, &ApprovalAnswer::Expired).await?.approval))
}
