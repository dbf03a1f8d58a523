//! Which retrievals are captured, and why.

use std::ops::RangeInclusive;

use flywheel_calibration::{Calibration, Features, UNGROUNDED, Verdict, groundedness};
use flywheel_model::{
    CaptureReason, Captured, Case, CaseReason, Conversation, Event, Exchange, Fact, Failure, FailureReason, Hour, Id, Key, Observation,
    Passage, Reference, ReferenceOrigin, Retrieval, Role,
};
use flywheel_policy::{CapturePolicy, FailurePolicy, Policy};
use flywheel_similarity::{Question, same, similarity};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::signals::calls_a_person;

/// Retrievals of which the application does not say which knowledge base was asked.
pub const UNNAMED: &str = "unnamed";

/// The most characters that are kept of a question, an answer and the text of a passage. What is kept is compared.
const QUERY: usize = 2_000;
const ANSWER: usize = 4_000;
const PASSAGE: usize = 2_000;

/// The most passages that are kept of a retrieval.
const PASSAGES: usize = 10;

/// The most characters of a reason's evidence.
const DETAIL: usize = 200;

/// How alike a question must be to the one before in its conversation to be the same said again. Less than for two users'
/// questions, since who asks again changes the words on purpose; more than one word in two, which is the same subject.
const AGAIN: f64 = 0.5;

/// The same words once more within this time are a client that tries again, not a user.
const RETRY: SignedDuration = SignedDuration::from_secs(3);

/// How many retrievals after one are looked at for the same question.
const NEXT: usize = 5;

/// What share of the strength of a reason it has where it just begins.
const AT_LEAST: f64 = 0.5;

/// A retrieval as capturing needs it, until its conversation is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inquiry {
    /// The signal's identity.
    pub signal: Id,
    /// When it was asked.
    pub at: Timestamp,
    /// The knowledge base, or [`UNNAMED`].
    pub knowledge_base: Key,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<Key>,
    /// The conversation that it was asked in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<Key>,
    /// The trace that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Key>,
    /// The user, as a placeholder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Key>,
    /// What was asked, redacted.
    pub query: String,
    /// What was answered, redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// What was found, best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passages: Vec<Passage>,
    /// What the user said that the answer should have been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correction: Option<String>,
    /// Why it counts as failed or unsure, by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<CaseReason>,
}

/// What came later in a conversation, and says what an answer should have been.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LaterAnswer {
    /// When the conversation ended.
    pub at: Timestamp,
    /// The signal's identity.
    pub signal: Id,
    /// Who says so.
    pub from: ReferenceOrigin,
    /// The answer, redacted.
    pub text: String,
}

/// A retrieval that is captured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sighting {
    /// The question's id: the same for the same words.
    pub question: Id,
    /// The retrieval, with all reasons that it has by now.
    pub inquiry: Inquiry,
    /// How many signals of its conversation it was judged with: of two judgements, the one with more is the later.
    pub judged_with: usize,
    /// What was said before in the conversation, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<Exchange>,
    /// What the answer should have been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// When the knowledge base was last synchronised before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synchronised_at: Option<Timestamp>,
}

impl Sighting {
    /// Whether it comes from a retrieval that was [`Inquiry::abridged`].
    #[must_use]
    pub fn is_abridged(&self) -> bool {
        self.inquiry.reasons.iter().all(|reason| reason.reason == CaptureReason::AskedAgain)
    }

    /// What was found, from the evidence.
    #[must_use]
    pub fn with_passages_of(mut self, observation: &Observation) -> Self {
        if let Fact::Retrieval(retrieval) = &observation.signal.fact {
            self.inquiry.passages = kept_passages(retrieval);
        }
        self
    }

    /// The event that tells of it.
    #[must_use]
    pub fn event(&self, cause: &Id, now: Timestamp) -> Event {
        let reasons = self.inquiry.reasons.iter().map(|reason| (reason.reason, reason.strength)).collect();
        let (question, knowledge_base) = (self.question.clone(), self.inquiry.knowledge_base.clone());
        Captured { question, knowledge_base, signal: self.inquiry.signal.clone(), reasons }.event(cause, now)
    }
}

/// The id of a question to a knowledge base: of its words, without case and punctuation.
#[must_use]
pub fn question_of(knowledge_base: &Key, query: &str) -> Id {
    Id::of("question", &[knowledge_base.as_str(), Question::of(query).text()])
}

/// What a retrieval says of how well its knowledge base did, to be learned from and judged by.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// What scores compare within: knowledge base and search type.
    pub scale: String,
    /// The day that it counts for, from 1970.
    pub day: i64,
    /// The features.
    pub features: Features,
}

impl Scored {
    /// Of an observation, if it is a retrieval.
    #[must_use]
    pub fn of(observation: &Observation) -> Option<Self> {
        let Fact::Retrieval(retrieval) = &observation.signal.fact else { return None };
        let passages = retrieval.passages.iter().flatten();
        let scores = passages.clone().filter_map(|passage| passage.score);
        let texts = passages.filter_map(|passage| passage.text.as_deref());
        let search = retrieval.search_type.as_ref().map_or("", Key::as_str);
        let knowledge_base = retrieval.knowledge_base.as_ref().map_or(UNNAMED, Key::as_str);
        Some(Self {
            scale: format!("{knowledge_base}/{search}"),
            day: Hour::of(observation.signal.at).0.div_euclid(24),
            features: Features::of(scores, retrieval.query.as_deref(), texts),
        })
    }

    /// The days that it is judged by: those of the policy's number that no signal can come for any more when the first of
    /// its own day comes. So the verdict does not depend on the order in which signals come, and a day on which all
    /// scores fall is judged by better ones.
    #[must_use]
    pub fn judged_by(&self, policy: &Policy) -> RangeInclusive<i64> {
        let last = self.day - 1 - i64::from(policy.signals.late_hours.div_ceil(24));
        last - i64::from(policy.capture.learn_days) + 1..=last
    }
}

/// The scales that are known too little to tell a low score.
#[must_use]
pub fn is_learning(known: &Calibration, policy: &CapturePolicy) -> bool {
    known.learned() < u64::from(policy.learn_from)
}

impl Inquiry {
    /// What an observation is for capturing; nothing if it is no retrieval, or has no question.
    ///
    /// `known` is what was learned of its scale by days that are over.
    #[must_use]
    pub fn of(observation: &Observation, scored: &Scored, known: &Calibration, policy: &Policy) -> Option<Self> {
        let Fact::Retrieval(retrieval) = &observation.signal.fact else { return None };
        let query = retrieval.query.as_deref().filter(|query| !query.trim().is_empty())?;
        let mut reasons: Vec<CaseReason> =
            observation.failures.iter().filter_map(|failure| reason_of(failure, retrieval, policy)).collect();
        reasons.extend(low_scores(&scored.features, known, &policy.capture));
        reasons.extend(ungrounded(retrieval));
        let feedback = retrieval.feedback.as_ref();
        Some(Self {
            signal: observation.signal.identity(),
            at: observation.signal.at,
            knowledge_base: retrieval.knowledge_base.clone().unwrap_or_else(|| Key::try_from(UNNAMED).expect("it is a key")),
            topic: observation.class.clone(),
            conversation: retrieval.conversation.clone(),
            trace: retrieval.trace.clone(),
            user: retrieval.user.clone(),
            query: cut(query, QUERY),
            answer: retrieval.answer.as_deref().map(|answer| cut(answer, ANSWER)),
            passages: kept_passages(retrieval),
            correction: feedback.and_then(|feedback| feedback.correction.as_deref()).map(|text| cut(text, ANSWER)),
            reasons: strongest(reasons),
        })
    }

    /// As it is kept until its conversation is over: without what was found, where nothing speaks for a failure. The
    /// evidence has it still.
    #[must_use]
    pub fn abridged(mut self) -> Self {
        if self.reasons.is_empty() {
            self.passages.clear();
        }
        self
    }

    /// Whether it suffices to be captured.
    fn suffices(&self, policy: &CapturePolicy) -> bool {
        let weighed = |reason: &CaseReason| policy.weight(reason.reason) * reason.strength;
        // A little less, so that sums of rounded strengths do not fall short.
        self.reasons.iter().map(weighed).sum::<f64>() >= policy.threshold - 1e-9
    }
}

/// The retrievals of one conversation that are captured, given all that is known of it by now.
///
/// One that was asked again in other words is captured for that; what came later says what the answer to the one before it
/// should have been.
#[must_use]
pub fn sightings(inquiries: &[Inquiry], answers: &[LaterAnswer], policy: &CapturePolicy) -> Vec<Sighting> {
    let mut inquiries: Vec<&Inquiry> = inquiries.iter().collect();
    inquiries.sort_by_key(|inquiry| (inquiry.at, &inquiry.signal));
    inquiries.dedup_by_key(|inquiry| &inquiry.signal);
    let judged_with = inquiries.len() + answers.len();
    let questions: Vec<Question> = inquiries.iter().map(|inquiry| Question::of(&inquiry.query)).collect();
    let mut sightings = Vec::new();
    for (place, inquiry) in inquiries.iter().enumerate() {
        let mut inquiry = (*inquiry).clone();
        inquiry.reasons.extend(asked_again(place, &inquiries, &questions, policy));
        if !inquiry.suffices(policy) {
            continue;
        }
        inquiry.reasons = strongest(inquiry.reasons);
        let before = &inquiries[place.saturating_sub(Case::CONTEXT)..place];
        let context = before.iter().map(|before| Exchange { query: before.query.clone(), answer: before.answer.clone() }).collect();
        let reference = inquiry.correction.clone().map(|text| Reference { text, from: ReferenceOrigin::Feedback });
        let question = question_of(&inquiry.knowledge_base, &inquiry.query);
        sightings.push(Sighting { question, inquiry, judged_with, context, reference, synchronised_at: None });
    }
    let mut answers: Vec<&LaterAnswer> = answers.iter().collect();
    answers.sort();
    for answer in answers {
        let before = sightings.iter_mut().rev().find(|sighting| sighting.inquiry.at <= answer.at);
        // A person's answer is worth more than the user's.
        if let Some(sighting) = before
            && sighting.reference.as_ref().is_none_or(|reference| answer.from < reference.from)
        {
            sighting.reference = Some(Reference { text: answer.text.clone(), from: answer.from });
        }
    }
    sightings
}

/// That the same thing was asked again soon, as the user does who got no answer.
fn asked_again(place: usize, inquiries: &[&Inquiry], questions: &[Question], policy: &CapturePolicy) -> Option<CaseReason> {
    let (asked, question) = (inquiries[place], &questions[place]);
    let within = SignedDuration::from_mins(i64::from(policy.again_minutes));
    let later = inquiries.iter().zip(questions).skip(place + 1).take(NEXT);
    let alike = later.filter_map(|(again, words)| {
        let after = again.at.duration_since(asked.at);
        let retried = words.text() == question.text() && after <= RETRY;
        if after > within || retried || again.knowledge_base != asked.knowledge_base {
            return None;
        }
        let alike = if same(question, words) { 1.0 } else { similarity(question, words) };
        (alike >= AGAIN).then_some((alike, after))
    });
    let (alike, after) = alike.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    let strength = AT_LEAST + (1.0 - AT_LEAST) * alike;
    let detail = format!("asked again after {} s, {:.0}% alike", after.as_secs(), 100.0 * alike);
    Some(CaseReason { reason: CaptureReason::AskedAgain, strength: rounded(strength), detail })
}

/// The reason that a piece of evidence for a failure is.
fn reason_of(failure: &Failure, retrieval: &Retrieval, policy: &Policy) -> Option<CaseReason> {
    let (reason, strength) = match failure.reason {
        FailureReason::Outcome | FailureReason::Error => (CaptureReason::Failed, 1.0),
        FailureReason::NoResults => (CaptureReason::NoResults, 1.0),
        FailureReason::NoAnswer => (CaptureReason::NoAnswer, 1.0),
        FailureReason::LowEvaluation => (CaptureReason::LowEvaluation, how_low(retrieval, &policy.failures)),
        FailureReason::NegativeFeedback => (CaptureReason::NegativeFeedback, 1.0),
        // Of conversations, runs and releases.
        FailureReason::FailedCheck | FailureReason::ToolError | FailureReason::Escalation | FailureReason::TimedOut => return None,
    };
    Some(CaseReason { reason, strength: rounded(strength), detail: cut(&failure.detail, DETAIL) })
}

/// How far the lowest evaluation lies below its limit: from a half at the limit to 1 at zero and below. A bad label is 1.
fn how_low(retrieval: &Retrieval, policy: &FailurePolicy) -> f64 {
    let low = retrieval.evaluations.iter().filter_map(|evaluation| {
        let (score, name) = (evaluation.score?, evaluation.name.to_lowercase());
        let below = policy.evaluations.iter().find(|limit| limit.name == name)?.below;
        (score < below).then(|| if below > 0.0 { ((below - score) / below).clamp(0.0, 1.0) } else { 1.0 })
    });
    low.max_by(f64::total_cmp).map_or(1.0, |low| AT_LEAST + (1.0 - AT_LEAST) * low)
}

/// That what was found scores low for its knowledge base: from a half at the policy's share to 1 at the lowest of all.
fn low_scores(features: &Features, known: &Calibration, policy: &CapturePolicy) -> Option<CaseReason> {
    let Verdict::Known(unsure) = known.unsure(features, u64::from(policy.learn_from)) else { return None };
    let surer = 1.0 - unsure.combined;
    if surer > policy.lowest_share {
        return None;
    }
    let strength = AT_LEAST + (1.0 - AT_LEAST) * (1.0 - surer / policy.lowest_share);
    Some(CaseReason { reason: CaptureReason::LowScores, strength: rounded(strength), detail: cut(&unsure.to_string(), DETAIL) })
}

/// That the answer does not stand on what was found: from a half at the limit to 1 where none of its words does.
fn ungrounded(retrieval: &Retrieval) -> Option<CaseReason> {
    let passages: Vec<&str> = retrieval.passages.iter().flatten().filter_map(|passage| passage.text.as_deref()).collect();
    let grounded = groundedness(retrieval.answer.as_deref()?, passages).filter(|grounded| *grounded < UNGROUNDED)?;
    let strength = AT_LEAST + (1.0 - AT_LEAST) * (1.0 - grounded / UNGROUNDED);
    let detail = format!("{:.0}% of the answer's words stand in what was found", 100.0 * grounded);
    Some(CaseReason { reason: CaptureReason::Ungrounded, strength: rounded(strength), detail })
}

/// Each kind of reason once, with its strongest evidence; the strongest first.
pub(super) fn strongest(mut reasons: Vec<CaseReason>) -> Vec<CaseReason> {
    let order = |one: &CaseReason, other: &CaseReason| {
        other.strength.total_cmp(&one.strength).then(one.reason.cmp(&other.reason)).then_with(|| one.detail.cmp(&other.detail))
    };
    reasons.sort_by(order);
    let mut seen = Vec::new();
    reasons.retain(|reason| {
        let new = !seen.contains(&reason.reason);
        seen.push(reason.reason);
        new
    });
    reasons
}

/// What a conversation says, at its end, that the answer should have been: what a person answered after it was handed over,
/// or the user's correction.
#[must_use]
pub fn later_answer(observation: &Observation) -> Option<(Key, LaterAnswer)> {
    let Fact::Conversation(conversation) = &observation.signal.fact else { return None };
    let by_person = persons_answer(conversation).map(|text| (ReferenceOrigin::Person, text));
    let correction = conversation.feedback.as_ref().and_then(|feedback| feedback.correction.as_deref());
    let (from, text) =
        by_person.or(correction.map(|text| (ReferenceOrigin::Feedback, text))).filter(|(_, text)| !text.trim().is_empty())?;
    let name = conversation.conversation.clone().unwrap_or_else(|| observation.signal.id.clone());
    let answer = LaterAnswer { at: observation.signal.at, signal: observation.signal.identity(), from, text: cut(text, ANSWER) };
    Some((name, answer))
}

/// The last words from the assistant's side after the conversation was handed over to a person by a call.
fn persons_answer(conversation: &Conversation) -> Option<&str> {
    let handed_over = conversation.turns.iter().position(|turn| turn.tool_calls.iter().any(|call| calls_a_person(&call.name)))?;
    let mut after = conversation.turns[handed_over + 1..].iter().filter(|turn| turn.role == Role::Assistant);
    // The first words after the call are the assistant's own: that it hands over.
    after.next()?;
    after.filter_map(|turn| turn.text.as_deref()).next_back()
}

fn kept_passages(retrieval: &Retrieval) -> Vec<Passage> {
    retrieval.passages.iter().flatten().take(PASSAGES).map(kept_passage).collect()
}

fn kept_passage(passage: &Passage) -> Passage {
    Passage {
        text: passage.text.as_deref().map(|text| cut(text, PASSAGE)),
        // A score that is no number is no score, and JSON has none.
        score: passage.score.filter(|score| score.is_finite()),
        location: passage.location.as_deref().map(|location| cut(location, PASSAGE)),
    }
}

fn cut(text: &str, characters: usize) -> String {
    text.char_indices().nth(characters).map_or(text, |(end, _)| &text[..end]).to_owned()
}

/// To three digits: more would claim more than is known.
fn rounded(strength: f64) -> f64 {
    (strength * 1_000.0).round() / 1_000.0
}
