//! Evaluation cases: questions that a knowledge base failed, as a team keeps them to test it with.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Body, Event, Hour, Id, Key, Passage};

/// An evaluation case: a question that a retrieval failed or was unsure of, with all that is known of it. Questions that
/// are nearly the same are one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Case {
    /// The smallest id of its questions: the same in whatever order they came.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub case: Id,
    /// The knowledge base that was asked.
    pub knowledge_base: Key,
    /// What the question is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<Key>,
    /// What a person decided about it.
    pub state: CaseState,
    /// The question as it was asked most often, redacted.
    pub query: String,
    /// The question in all its words, most often asked first, with how often.
    pub variants: Vec<Variant>,
    /// What was said before in the same conversation, oldest first, at most [`Case::CONTEXT`] turns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<Exchange>,
    /// What was found when it was last asked, best first; none where that is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passages: Vec<Passage>,
    /// What the user was told then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// What the answer should be. Without it the case needs a reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// Why it counts as failed or unsure, the strongest first.
    pub reasons: Vec<CaseReason>,
    /// When the knowledge base was last synchronised before the question was last asked, as far as Flywheel knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>", extend("format" = "date-time")))]
    pub synchronised_at: Option<Timestamp>,
    /// How often it was asked and failed.
    pub times: u64,
    /// When it failed first.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "date-time")))]
    pub first_seen: Timestamp,
    /// When it failed last.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "date-time")))]
    pub last_seen: Timestamp,
    /// The signals that it was made from, latest first, at most [`Case::SOURCES`] of them.
    pub sources: Vec<Source>,
}

impl Case {
    /// Turns of a conversation that a case carries at most: Bedrock's evaluation takes as many (Amazon Bedrock user guide,
    /// "Prompt dataset for a RAG evaluation job").
    pub const CONTEXT: usize = 5;

    /// The most signals that a case names. `times` counts all.
    pub const SOURCES: usize = 100;

    /// How the ledger calls a case.
    #[must_use]
    pub fn subject(case: &Id) -> String {
        format!("case/{case}")
    }
}

/// What a person decided about a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum CaseState {
    /// Nothing yet.
    Candidate,
    /// It is worth keeping.
    Confirmed(Decided),
    /// It is no case.
    Rejected(Decided),
    /// It was one, and is no longer needed.
    Retired(Decided),
}

impl CaseState {
    /// The state in a word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Confirmed(_) => "confirmed",
            Self::Rejected(_) => "rejected",
            Self::Retired(_) => "retired",
        }
    }
}

/// Who decided, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Decided {
    /// Who.
    pub by: String,
    /// When.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "date-time")))]
    pub at: Timestamp,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// One wording of a case's question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Variant {
    /// The words, redacted.
    pub query: String,
    /// How often it was asked so and failed.
    pub times: u64,
}

/// One turn of a conversation: what was asked and what was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Exchange {
    /// What was asked, redacted.
    pub query: String,
    /// What was answered, redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// What the answer to a case should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Reference {
    /// The answer.
    pub text: String,
    /// Where it comes from.
    pub from: ReferenceOrigin,
}

/// Where a reference answer comes from, the most trusted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ReferenceOrigin {
    /// Written by whoever confirmed the case.
    Reviewer,
    /// What a person answered after the conversation was handed over.
    Person,
    /// What the user's feedback said that it should have been.
    Feedback,
}

/// Why a retrieval counts as failed or unsure, and how strongly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CaseReason {
    /// What kind of reason.
    pub reason: CaptureReason,
    /// How strongly it speaks, 0 to 1.
    pub strength: f64,
    /// The evidence in words.
    pub detail: String,
}

/// The kinds of reasons to capture a retrieval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum CaptureReason {
    /// The application says that it did not succeed, or it ended with an error.
    Failed,
    /// Nothing was found.
    NoResults,
    /// What was found scores low for this knowledge base.
    LowScores,
    /// The answer says that it does not know.
    NoAnswer,
    /// An evaluator or a guardrail gave a low score or a bad label.
    LowEvaluation,
    /// The user was not content.
    NegativeFeedback,
    /// The user asked the same thing again in other words.
    AskedAgain,
    /// The answer's words, names and numbers stand in none of the passages.
    Ungrounded,
}

impl CaptureReason {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Failed,
        Self::NoResults,
        Self::LowScores,
        Self::NoAnswer,
        Self::LowEvaluation,
        Self::NegativeFeedback,
        Self::AskedAgain,
        Self::Ungrounded,
    ];

    /// Its name, as in JSON and in the policy.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::NoResults => "no_results",
            Self::LowScores => "low_scores",
            Self::NoAnswer => "no_answer",
            Self::LowEvaluation => "low_evaluation",
            Self::NegativeFeedback => "negative_feedback",
            Self::AskedAgain => "asked_again",
            Self::Ungrounded => "ungrounded",
        }
    }
}

impl fmt::Display for CaptureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A signal that a case was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Source {
    /// Its identity in the ledger.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub signal: Id,
    /// When it happened.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "date-time")))]
    pub at: Timestamp,
    /// The conversation that it was asked in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<Key>,
    /// The trace that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Key>,
}

/// A retrieval was captured. Its words are not told: they are in the case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Captured {
    /// The question, by its words without case and punctuation. Its case has the smallest id of questions nearly the same.
    pub question: Id,
    /// The knowledge base that was asked.
    pub knowledge_base: Key,
    /// The retrieval's signal.
    pub signal: Id,
    /// Why, the strongest reason first, each with how strongly it speaks.
    pub reasons: Vec<(CaptureReason, f64)>,
}

impl Captured {
    /// The event that tells of it.
    #[must_use]
    pub fn event(self, cause: &Id, at: Timestamp) -> Event {
        let id = Id::of("case.captured", &[self.question.as_str(), self.signal.as_str()]);
        Event { id, subject: Case::subject(&self.question), causes: vec![cause.clone()], at, body: Body::CaseCaptured(self) }
    }
}

/// Why retrievals of a knowledge base are not captured that may be worth it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureHold {
    /// The knowledge base.
    pub knowledge_base: Key,
    /// Why, and what to do.
    pub reason: CaptureHoldReason,
}

/// The reasons to hold captures back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum CaptureHoldReason {
    /// Too few retrievals of this search type are known to tell a low score: nothing is captured on scores alone.
    Learning {
        /// Knowledge base and search type.
        scale: String,
    },
    /// As many questions are kept as the policy allows, or one was seen very often: reject or export some, or raise
    /// `capture.questions_at_most`.
    Full,
}

impl CaptureHold {
    /// The event that tells of it, once a day.
    #[must_use]
    pub fn event(self, cause: &Id, at: Timestamp) -> Event {
        let day = Hour::of(at).0.div_euclid(24).to_string();
        let why = serde_json::to_string(&self.reason).unwrap_or_default();
        let id = Id::of("decision.capture-hold", &[self.knowledge_base.as_str(), &why, &day]);
        let subject = format!("knowledge-base/{}", self.knowledge_base);
        Event { id, subject, causes: vec![cause.clone()], at, body: Body::CaptureHeld(self) }
    }
}
