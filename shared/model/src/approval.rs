//! What waits for a person's word, and what they say.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Body, Event, Id, Loop};

/// What Flywheel would do, as far as it may have to wait for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalAction {
    /// Raise a limit for all runs.
    Timeout,
    /// Let a share of the runs have a longer limit for a time.
    Exploration,
    /// Serve another prompt to everybody.
    Promotion,
    /// Serve a prompt to everybody that is for another model than the present one.
    Model,
}

impl ApprovalAction {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Timeout, Self::Exploration, Self::Promotion, Self::Model];

    /// Its name, as in JSON and in the policy.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Exploration => "exploration",
            Self::Promotion => "promotion",
            Self::Model => "model",
        }
    }

    /// The loop that it is a step of.
    #[must_use]
    pub const fn of_loop(self) -> Loop {
        match self {
            Self::Timeout | Self::Exploration => Loop::Timeouts,
            Self::Promotion | Self::Model => Loop::Experiments,
        }
    }
}

impl fmt::Display for ApprovalAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A question to a person: may this be done?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRequest {
    /// Which approval it is: the same question asked again has the same id.
    pub approval: Id,
    /// The kind of action.
    pub action: ApprovalAction,
    /// What the action is about, as the ledger calls it.
    pub subject: String,
    /// What would be done, in a sentence with its numbers.
    pub what: String,
    /// Why, in one paragraph with its numbers.
    pub why: String,
    /// What makes its risk high, in a sentence.
    pub risk: String,
    /// The events that speak for it. At most [`Event::CAUSES`].
    pub evidence: Vec<Id>,
    /// When it was asked.
    pub at: Timestamp,
    /// Without an answer by then nothing is done.
    pub deadline: Timestamp,
}

impl ApprovalRequest {
    /// The event that tells of the question.
    #[must_use]
    pub fn event(&self) -> Event {
        Event {
            id: self.event_id(),
            subject: self.subject.clone(),
            causes: self.evidence.clone(),
            at: self.at,
            body: Body::ApprovalRequested(self.clone()),
        }
    }

    fn event_id(&self) -> Id {
        Id::of("approval.requested", &[self.approval.as_str()])
    }
}

/// A person's word on a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// Who.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// When.
    pub at: Timestamp,
}

/// What came of a question. The first answer stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalAnswer {
    /// A person lets it be done.
    Granted(Word),
    /// A person wants it not to be done.
    Rejected(Word),
    /// Nobody answered by the deadline: it is not done.
    Expired,
}

/// A person's answer beside its question: who decided what, when, and on what evidence, in one entry of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalDecided {
    /// The question.
    pub request: ApprovalRequest,
    /// The person's word.
    pub word: Word,
}

/// A question, and its answer once there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The question.
    pub request: ApprovalRequest,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<ApprovalAnswer>,
}

impl Approval {
    /// The event that tells of the answer. Each question has one answer, so whoever tells of it makes the same event.
    #[must_use]
    pub fn answered(&self) -> Option<Event> {
        let request = &self.request;
        let decided = |word: &Word| ApprovalDecided { request: request.clone(), word: word.clone() };
        let (stage, at, body) = match self.answer.as_ref()? {
            ApprovalAnswer::Granted(word) => ("approval.granted", word.at, Body::ApprovalGranted(decided(word))),
            ApprovalAnswer::Rejected(word) => ("approval.rejected", word.at, Body::ApprovalRejected(decided(word))),
            ApprovalAnswer::Expired => ("approval.expired", request.deadline, Body::ApprovalExpired(request.clone())),
        };
        let id = Id::of(stage, &[request.approval.as_str()]);
        Some(Event { id, subject: request.subject.clone(), causes: vec![request.event_id()], at, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> ApprovalRequest {
        let at = Timestamp::UNIX_EPOCH;
        ApprovalRequest {
            approval: Id::of("approval", &["1"]),
            action: ApprovalAction::Timeout,
            subject: "timeout/trip".to_owned(),
            what: "Raise it.".to_owned(),
            why: "Runs are cut.".to_owned(),
            risk: "It is much.".to_owned(),
            evidence: vec![Id::of("decision.timeout-hold", &["1"])],
            at,
            deadline: at,
        }
    }

    #[test]
    fn the_way_from_an_answer_to_its_evidence_is_whole() {
        let request = request();
        let word = Word { by: "ada".to_owned(), why: String::new(), at: request.at };
        let answered = Approval { request: request.clone(), answer: Some(ApprovalAnswer::Granted(word)) }.answered().expect("an answer");
        assert_eq!((answered.kind(), answered.causes), ("approval.granted", vec![request.event().id]));
        assert_eq!(request.event().causes, request.evidence);
        assert!(Approval { request, answer: None }.answered().is_none());
    }

    #[test]
    fn an_answer_is_told_as_the_same_event_by_whoever_tells_it() {
        let of = |answer: ApprovalAnswer| Approval { request: request(), answer: Some(answer) }.answered().expect("an answer").id;
        let word = |by: &str| Word { by: by.to_owned(), why: String::new(), at: Timestamp::UNIX_EPOCH };
        assert_eq!(of(ApprovalAnswer::Granted(word("ada"))), of(ApprovalAnswer::Granted(word("ben"))));
        assert_ne!(of(ApprovalAnswer::Granted(word("ada"))), of(ApprovalAnswer::Rejected(word("ada"))));
        assert_ne!(of(ApprovalAnswer::Rejected(word("ada"))), of(ApprovalAnswer::Expired));
    }

    #[test]
    fn an_approval_that_was_kept_and_read_is_the_same() {
        for answer in [None, Some(ApprovalAnswer::Expired)] {
            let approval = Approval { request: request(), answer };
            let text = serde_json::to_string(&approval).expect("JSON");
            assert_eq!(serde_json::from_str::<Approval>(&text).expect("an approval"), approval);
        }
    }
}
