//! Takes Bedrock's answers into the record.

use flywheel_model::{
    Answer, Body, ChangeKind, DataSourceId, DocumentOutcome, Event, Fate, HoldReason, Id, JobEnd, JobStatistics, Outcome, Receipt,
};
use flywheel_policy::Policy;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::state::{Quarantine, Source, Wait, Work};
use crate::documents::Document;

/// A document that is still being ingested after this long is sent again.
const INGESTION_PATIENCE: SignedDuration = SignedDuration::from_hours(1);

/// This long after a request was taken, what Bedrock says of its documents is taken to be of that request.
const SHOWN_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// The longest pause between two tries.
const LONGEST_BACKOFF: SignedDuration = SignedDuration::from_mins(15);

/// The longest pause after a conflict or a throttled request: both pass by themselves.
const LONGEST_PUSHBACK: SignedDuration = SignedDuration::from_mins(2);

/// The pause after somebody stopped a job: a person did that, so do not start it again at once.
const AFTER_STOP: SignedDuration = SignedDuration::from_mins(15);

/// A running or ended job, as Bedrock tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// Still at work.
    Running,
    /// At its end.
    Ended {
        /// How it ended.
        end: JobEnd,
        /// Its counts.
        statistics: JobStatistics,
        /// Documents that it passed over, such as those of an unsupported type.
        skipped: u64,
        /// Its reasons.
        reasons: Vec<String>,
    },
    /// Bedrock does not know it (any more).
    Unknown,
}

/// The state of a document in a data source, as Bedrock tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DocumentState {
    /// Being ingested or deleted.
    Working,
    /// In the index.
    Indexed {
        /// Since when, if Bedrock says it.
        since: Option<Timestamp>,
    },
    /// Not in the index.
    Absent,
    /// It failed; trying again may help.
    Failed(String),
    /// It will never be taken in as it is: of an unsupported type, for example.
    Ignored(String),
}

/// What an object in S3 is at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its size in bytes.
    pub size: u64,
    /// Whether a metadata file stands beside it.
    pub has_metadata: bool,
}

/// What is to become of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Its fate is known.
    Settled(Fate),
    /// Ask again later.
    Wait,
    /// It failed, and is to be tried again.
    Retry(String),
    /// What was sent is done with, and the document has changed since: send it again.
    SendAgain,
}

/// A data source is what the policy says, or refused with the reason.
#[must_use]
pub fn verified(mut source: Source, bucket: String, problem: Option<String>, policy: &Policy, now: Timestamp) -> Source {
    match problem {
        None => {
            source.verified = Some(bucket);
            source
        }
        Some(problem) => failed(source, problem, policy, now),
    }
}

/// A question that was not answered: ask again later.
#[must_use]
pub fn unanswered(mut source: Source, why: String, policy: &Policy, now: Timestamp) -> Source {
    source.pushbacks = source.pushbacks.saturating_add(1);
    let attempts = source.pushbacks;
    let until = now + backoff(policy.sync.poll_seconds, attempts).min(LONGEST_PUSHBACK);
    put_off(source, until, HoldReason::Backoff { reason: shortened_reason(why), attempts })
}

/// A question that was refused. After as many refusals as the policy allows the data source is left alone, with the job
/// that may still be running on it.
#[must_use]
pub fn question_refused(source: Source, why: String, policy: &Policy, now: Timestamp) -> Source {
    let source = failed(source, why, policy, now);
    match source.wait.clone() {
        Some(Wait { until, reason }) => put_off(source, until, reason),
        None => source,
    }
}

/// Puts off what is under way, or, if nothing is, everything.
fn put_off(mut source: Source, until: Timestamp, reason: HoldReason) -> Source {
    match &mut source.work {
        Work::Running { poll_at, .. } => *poll_at = until,
        Work::Settling { check_at, .. } => *check_at = until,
        Work::Idle | Work::Starting { .. } => source.wait = Some(Wait { until, reason }),
    }
    source
}

/// Takes in the answer to a job start.
#[must_use]
pub fn job_start(mut source: Source, answer: &Answer, policy: &Policy, now: Timestamp) -> Source {
    let Work::Starting { client_token, covers, decision, lost, .. } = source.work.clone() else { return source };
    match answer {
        Answer::JobStarted { job } => {
            let poll_at = now + SignedDuration::from_secs(policy.sync.poll_seconds.into());
            source.work = Work::Running { job: job.clone(), covers, poll_at, decision };
            source.pushbacks = 0;
            source
        }
        Answer::Lost { .. } => {
            // It may have been started: whoever asks again uses the same token.
            source.pushbacks = source.pushbacks.saturating_add(1);
            let lease = now + backoff(5, source.pushbacks).min(LONGEST_PUSHBACK);
            source.work = Work::Starting { client_token, covers, lease, decision, lost: true };
            source
        }
        // A refusal of this request says nothing of the one whose answer was lost.
        Answer::Conflict { .. } | Answer::Throttled { .. } | Answer::Refused { .. } if lost => {
            source = refused(source, answer, policy, now);
            let lease = source.wait.take().map_or(now, |wait| wait.until);
            source.work = Work::Starting { client_token, covers, lease, decision, lost };
            source
        }
        answer => {
            source.work = Work::Idle;
            refused(source, answer, policy, now)
        }
    }
}

/// Takes in the answer to a direct request. The second value tells whether the documents are on their way; if not, they
/// are to be sent again.
#[must_use]
pub fn documents_sent(mut source: Source, answer: &Answer, policy: &Policy, now: Timestamp) -> (Source, bool) {
    match answer {
        Answer::DocumentsAccepted { .. } | Answer::JobStarted { .. } => {
            (source.failures, source.pushbacks) = (0, 0);
            (source, true)
        }
        // Sending again what was taken in does no harm.
        Answer::Lost { message } => {
            source.pushbacks = source.pushbacks.saturating_add(1);
            let reason = HoldReason::Backoff { reason: shortened_reason(message.clone()), attempts: source.pushbacks };
            let pause = backoff(policy.sync.check_seconds, source.pushbacks).min(LONGEST_PUSHBACK);
            source.wait = Some(Wait { until: now + pause, reason });
            (source, false)
        }
        answer => (refused(source, answer, policy, now), false),
    }
}

/// Takes in what Bedrock says of a running job; the event is its outcome, if it has ended.
#[must_use]
pub fn job_seen(mut source: Source, seen: Job, policy: &Policy, now: Timestamp) -> (Source, Option<Event>) {
    let Work::Running { job, covers, decision, .. } = source.work.clone() else { return (source, None) };
    let (end, statistics, skipped, reasons) = match seen {
        Job::Running => return (source, None),
        Job::Unknown => (JobEnd::Failed, JobStatistics::default(), 0, vec!["Bedrock does not know the job".to_owned()]),
        Job::Ended { end, statistics, skipped, reasons } => (end, statistics, skipped, shortened(reasons)),
    };
    let id = Id::of("outcome.sync", &[&source.id.to_string(), &job]);
    let reason = reasons.first().cloned().unwrap_or_else(|| "Bedrock gave no reason".to_owned());
    let outcome = Outcome { data_source: source.id.clone(), job, end, statistics, reasons };
    let event = Event { id: id.clone(), subject: source.id.subject(), causes: vec![decision], at: now, body: Body::SyncEnded(outcome) };
    source = match end {
        JobEnd::Complete | JobEnd::CompleteWithFailures => {
            let verify = end == JobEnd::CompleteWithFailures || skipped > 0;
            source.work = Work::Settling { covers, verify, check_at: now, outcome: id };
            source.failures = 0;
            source
        }
        JobEnd::Failed => {
            source.work = Work::Idle;
            failed(source, format!("the ingestion job failed: {reason}"), policy, now)
        }
        JobEnd::Stopped => {
            source.work = Work::Idle;
            let reason = HoldReason::Backoff { reason: "somebody stopped the ingestion job".to_owned(), attempts: 1 };
            source.wait = Some(Wait { until: now + AFTER_STOP, reason });
            source
        }
    };
    (source, Some(event))
}

/// Goes on after some of a job's documents were settled: with the next ones, or, if none was left, with an idle data
/// source.
#[must_use]
pub fn settled(mut source: Source, none_left: bool, now: Timestamp) -> Source {
    if let Work::Settling { covers, verify, outcome, .. } = source.work.clone() {
        source.work = if none_left { Work::Idle } else { Work::Settling { covers, verify, check_at: now, outcome } };
    }
    source
}

/// What becomes of a document of which Bedrock says this. `object` is what stands in S3 now, where
/// [`needs_object`] asked for it.
#[must_use]
pub fn judge(document: &Document, state: DocumentState, object: Option<Object>, now: Timestamp) -> Verdict {
    let empty = document.change == ChangeKind::Emptied || object.is_some_and(|object| object.size == 0);
    let wanted = match document.change {
        ChangeKind::Deleted | ChangeKind::Emptied => false,
        ChangeKind::Written if !needs_object(document, &state) => true,
        _ => object.is_some_and(|object| object.size > 0),
    };
    let nothing_to_index = || Verdict::Settled(Fate::Quarantined { reason: "the object is empty: there is nothing to index".to_owned() });
    match state {
        DocumentState::Indexed { .. } | DocumentState::Absent | DocumentState::Failed(_) | DocumentState::Ignored(_)
            if document.is_accepted() && document.is_overtaken() =>
        {
            Verdict::SendAgain
        }
        DocumentState::Working => match document.sent_at() {
            Some(sent_at) if now.duration_since(sent_at) > INGESTION_PATIENCE => {
                Verdict::Retry("still in progress after an hour".to_owned())
            }
            _ => Verdict::Wait,
        },
        // Bedrock does not show yet that it took the request: this is the earlier content.
        DocumentState::Indexed { since: Some(since) }
            if wanted && document.sent_at().is_some_and(|sent_at| since < sent_at && now.duration_since(sent_at) < SHOWN_WITHIN) =>
        {
            Verdict::Wait
        }
        DocumentState::Indexed { .. } if wanted => Verdict::Settled(Fate::Indexed),
        DocumentState::Indexed { .. } => Verdict::Retry("still in the index although the object is gone".to_owned()),
        DocumentState::Absent if wanted => Verdict::Retry("Bedrock does not know the document".to_owned()),
        _ if empty => nothing_to_index(),
        DocumentState::Absent => Verdict::Settled(Fate::Deleted),
        // What failed or was passed over is not in the index, and that is all that a deletion wants.
        DocumentState::Failed(_) | DocumentState::Ignored(_) if !wanted => Verdict::Settled(Fate::Deleted),
        DocumentState::Failed(reason) => Verdict::Retry(reason),
        DocumentState::Ignored(reason) => Verdict::Settled(Fate::Quarantined { reason }),
    }
}

/// Whether only S3 can say what this state means for the document: the event was not clear, or the state is not what the
/// event would lead to.
#[must_use]
pub fn needs_object(document: &Document, state: &DocumentState) -> bool {
    match (document.change, state) {
        (_, DocumentState::Working) | (ChangeKind::Deleted | ChangeKind::Emptied, _) => false,
        (ChangeKind::Written, DocumentState::Indexed { .. }) => false,
        (ChangeKind::Written | ChangeKind::VersionDeleted | ChangeKind::MetadataChanged, _) => true,
    }
}

/// The fate of a document that a job covered without a failure, where the event alone tells it.
#[must_use]
pub fn fate_after_job(document: &Document) -> Option<DocumentState> {
    match document.change {
        ChangeKind::Written => Some(DocumentState::Indexed { since: None }),
        ChangeKind::Deleted => Some(DocumentState::Absent),
        // What Bedrock made of it has to be asked for.
        ChangeKind::Emptied | ChangeKind::VersionDeleted | ChangeKind::MetadataChanged => None,
    }
}

/// A document after a failed try: to be tried again, or quarantined with its fate.
#[must_use]
pub fn try_again(mut document: Document, reason: String, policy: &Policy, now: Timestamp) -> (Document, Option<Fate>) {
    document.attempts += 1;
    if document.attempts >= policy.sync.max_attempts {
        let fate = Fate::Quarantined { reason };
        (document.settled(&fate), Some(fate))
    } else {
        let retry_at = now + backoff(5, document.attempts);
        (document.waiting(Some(retry_at)), None)
    }
}

/// The event that tells a document's fate.
#[must_use]
pub fn document_outcome(source: &DataSourceId, document: &Document, fate: Fate, cause: Option<Id>, now: Timestamp) -> Event {
    let id = Id::of("outcome.document", &[&source.to_string(), &document.id.uri(), &document.version(), &fate.to_string()]);
    let causes = std::iter::once(document.signal.clone()).chain(cause).collect();
    let outcome = DocumentOutcome { data_source: source.clone(), document: document.id.clone(), fate };
    Event { id, subject: document.id.subject(), causes, at: now, body: Body::DocumentSettled(outcome) }
}

/// The event that tells what Bedrock answered to a decision.
#[must_use]
pub fn receipt(source: &DataSourceId, decision: &Id, answer: Answer, now: Timestamp) -> Event {
    let text = format!("{answer:?}");
    let id = Id::of("receipt.sync", &[decision.as_str(), &text]);
    let receipt = Receipt { data_source: source.clone(), answer };
    Event { id, subject: source.subject(), causes: vec![decision.clone()], at: now, body: Body::SyncAnswered(receipt) }
}

fn refused(mut source: Source, answer: &Answer, policy: &Policy, now: Timestamp) -> Source {
    let reason = match answer {
        Answer::Conflict { .. } => HoldReason::Conflict,
        Answer::Throttled { .. } => HoldReason::Throttled,
        Answer::Refused { message } => return failed(source, message.clone(), policy, now),
        Answer::JobStarted { .. } | Answer::DocumentsAccepted { .. } | Answer::Lost { .. } => return source,
    };
    source.pushbacks = source.pushbacks.saturating_add(1);
    let pause = backoff(policy.sync.poll_seconds, source.pushbacks).min(LONGEST_PUSHBACK);
    source.wait = Some(Wait { until: now + pause, reason });
    source
}

/// Something that trying again at once will not mend. After as many tries as the policy allows, the data source is left
/// alone until it changes or the policy does. Its documents stay recorded as pending.
fn failed(mut source: Source, reason: String, policy: &Policy, now: Timestamp) -> Source {
    let reason = shortened_reason(reason);
    source.failures = source.failures.saturating_add(1);
    source.verified = None;
    if source.failures >= policy.sync.max_attempts {
        source.wait = None;
        source.quarantine = Some(Quarantine { reason, changes: source.changes, policy: policy.version.clone() });
    } else {
        let attempts = source.failures;
        source.wait = Some(Wait { until: now + backoff(30, attempts), reason: HoldReason::Backoff { reason, attempts } });
    }
    source
}

/// Doubles with each try, from `seconds` up to [`LONGEST_BACKOFF`].
fn backoff(seconds: u32, tries: u32) -> SignedDuration {
    let doubled = i64::from(seconds) << tries.saturating_sub(1).min(16);
    SignedDuration::from_secs(doubled).min(LONGEST_BACKOFF)
}

fn shortened_reason(reason: String) -> String {
    shortened(vec![reason]).pop().unwrap_or_default()
}

fn shortened(reasons: Vec<String>) -> Vec<String> {
    let mut left = 2_000;
    reasons
        .into_iter()
        .map_while(|reason| {
            let kept: String = reason.chars().take(left).collect();
            left -= kept.chars().count();
            (!kept.is_empty()).then_some(kept)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use flywheel_model::DocumentId;

    use super::*;
    use crate::documents::Status;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("in range")
    }

    /// A document that was sent at second 0 and taken in.
    fn document(change: ChangeKind) -> Document {
        Document {
            id: DocumentId::new("docs", "a.md"),
            sequencer: None,
            metadata_sequencer: None,
            change,
            changed_at: at(-10),
            signal: Id::of("signal", &[]),
            status: Status::Pending { retry_at: None, sent_at: Some(at(0)), accepted: true, overtaken: false },
            attempts: 0,
            revision: 1,
        }
    }

    #[test]
    fn what_becomes_of_a_document() {
        use ChangeKind::{Deleted, Emptied, VersionDeleted, Written};
        use DocumentState::{Absent, Failed, Ignored, Indexed, Working};
        let quarantined = |reason: &str| Verdict::Settled(Fate::Quarantined { reason: reason.to_owned() });
        let empty = || quarantined("the object is empty: there is nothing to index");
        let there = Some(Object { size: 5, has_metadata: false });
        let nothing = Some(Object { size: 0, has_metadata: false });
        let retry = |reason: &str| Verdict::Retry(reason.to_owned());
        let (fresh, stale) = (Indexed { since: Some(at(3)) }, Indexed { since: Some(at(-60)) });
        for (change, state, object, expected) in [
            (Written, Working, None, Verdict::Wait),
            (Written, fresh.clone(), None, Verdict::Settled(Fate::Indexed)),
            (Written, stale, None, Verdict::Wait),
            (Written, Absent, there, retry("Bedrock does not know the document")),
            (Written, Absent, None, Verdict::Settled(Fate::Deleted)),
            (Written, Absent, nothing, empty()),
            (Written, Failed("bad".to_owned()), there, retry("bad")),
            (Written, Failed("bad".to_owned()), None, Verdict::Settled(Fate::Deleted)),
            (Written, Ignored("type".to_owned()), there, quarantined("type")),
            (Deleted, Absent, None, Verdict::Settled(Fate::Deleted)),
            (Deleted, fresh.clone(), None, retry("still in the index although the object is gone")),
            (Emptied, Absent, None, empty()),
            (Emptied, Failed("empty".to_owned()), None, empty()),
            (VersionDeleted, fresh.clone(), there, Verdict::Settled(Fate::Indexed)),
            (VersionDeleted, fresh, None, retry("still in the index although the object is gone")),
            (VersionDeleted, Absent, None, Verdict::Settled(Fate::Deleted)),
        ] {
            let case = format!("{change:?} {state:?} {object:?}");
            assert_eq!(judge(&document(change), state, object, at(5)), expected, "{case}");
        }
    }

    #[test]
    fn what_changed_while_it_was_ingested_is_sent_again_once_that_is_over() {
        let mut overtaken = document(ChangeKind::Written);
        overtaken.status = Status::Pending { retry_at: None, sent_at: Some(at(0)), accepted: true, overtaken: true };
        assert_eq!(judge(&overtaken, DocumentState::Working, None, at(5)), Verdict::Wait);
        assert_eq!(judge(&overtaken, DocumentState::Indexed { since: Some(at(3)) }, None, at(5)), Verdict::SendAgain);
    }

    #[test]
    fn pauses_double_up_to_a_quarter_of_an_hour() {
        let pauses: Vec<i64> = [1, 2, 3, 40].into_iter().map(|tries| backoff(30, tries).as_secs()).collect();
        assert_eq!(pauses, [30, 60, 120, 900]);
    }

    #[test]
    fn reasons_are_shortened_together() {
        let kept = shortened(vec!["a".repeat(1_500), "b".repeat(1_500), "c".to_owned()]);
        assert_eq!(kept.iter().map(String::len).collect::<Vec<_>>(), [1_500, 500]);
    }
}
