//! Carries out what was planned and takes the answers into the record.
//!
//! Everything is published before it is recorded: a crash between the two publishes it again, under the same id.

use flywheel_engine::documents::Document;
use flywheel_engine::sync::answers::{self, DocumentState, Object, Verdict};
use flywheel_engine::sync::{Answered, Source, Step, Work};
use flywheel_model::{Answer, ChangeKind, DocumentId, Event, Fate, Id};
use flywheel_policy::Policy;
use flywheel_ports::{Buckets, Bus, KnowledgeBases, NoAnswer, SyncStore, Unavailable, Wakes};
use futures::StreamExt;
use futures::future::try_join_all;
use jiff::Timestamp;

use crate::World;

/// Documents recorded at the same time.
const AT_ONCE: usize = 16;

/// What an invocation did, for metrics and for the allowances.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Jobs started.
    pub jobs_started: u64,
    /// Documents sent directly.
    pub documents_sent: u64,
    /// Bedrock said that something else was at work.
    pub conflicts: u64,
    /// Bedrock said that requests came too fast.
    pub throttled: u64,
    /// Bedrock refused.
    pub refused: u64,
    /// Bedrock did not answer.
    pub lost: u64,
    /// Documents now in the index.
    pub indexed: u64,
    /// Documents now out of the index.
    pub deleted: u64,
    /// Documents put aside with a reason.
    pub quarantined: u64,
    /// Documents to be tried again.
    pub retries: u64,
    /// Data sources that began to wait for a new reason.
    pub holds: u64,
    /// Plans that another process was faster than.
    pub races: u64,
    /// When requests were answered.
    pub answered: Answered,
}

impl Report {
    pub(crate) fn merge(&mut self, other: Self) {
        self.jobs_started += other.jobs_started;
        self.documents_sent += other.documents_sent;
        self.conflicts += other.conflicts;
        self.throttled += other.throttled;
        self.refused += other.refused;
        self.lost += other.lost;
        self.indexed += other.indexed;
        self.deleted += other.deleted;
        self.quarantined += other.quarantined;
        self.retries += other.retries;
        self.holds += other.holds;
        self.races += other.races;
        self.answered.starts.extend(other.answered.starts);
        self.answered.sends.extend(other.answered.sends);
        self.answered.reads.extend(other.answered.reads);
    }

    fn count(&mut self, answer: &Answer) {
        match answer {
            Answer::JobStarted { .. } => self.jobs_started += 1,
            Answer::DocumentsAccepted { documents } => self.documents_sent += u64::from(*documents),
            Answer::Conflict { .. } => self.conflicts += 1,
            Answer::Throttled { .. } => self.throttled += 1,
            Answer::Refused { .. } => self.refused += 1,
            Answer::Lost { .. } => self.lost += 1,
        }
    }

    fn count_fate(&mut self, fate: &Fate) {
        match fate {
            Fate::Indexed => self.indexed += 1,
            Fate::Deleted => self.deleted += 1,
            Fate::Quarantined { .. } => self.quarantined += 1,
        }
    }
}

impl<S: SyncStore, B: Bus, K: KnowledgeBases, O: Buckets, W: Wakes> World<S, B, K, O, W> {
    /// Carries out the steps of one data source.
    pub(crate) async fn work_on(&self, steps: Vec<Step>, policy: &Policy, clock: &dyn Fn() -> Timestamp) -> Result<Report, Unavailable> {
        let mut report = Report::default();
        let Some(first) = steps.first() else { return Ok(report) };
        // The claim was a write.
        let mut source = first.source().clone();
        source.revision += 1;
        let claimed = source.clone();
        for step in steps {
            source = match step {
                Step::Verify { bucket, .. } => match self.knowledge_bases.verify(&source.id, &bucket).await {
                    Ok(problem) => answers::verified(source, bucket, problem, policy, clock()),
                    Err(error) => not_answered(source, error, policy, clock()),
                },
                Step::Start { decision, .. } => self.start(source, &decision, policy, clock, &mut report).await?,
                Step::Poll { job, .. } => self.poll(source, &job, policy, clock).await?,
                Step::Send { documents, decision, .. } => self.send(source, documents, &decision, policy, clock, &mut report).await?,
                Step::Check { documents, .. } => self.check(source, documents, policy, clock, &mut report).await?,
                Step::Settle { documents, verify, .. } => self.settle(source, documents, verify, policy, clock, &mut report).await?,
            };
        }
        if source != claimed && !self.store.save_source(&source).await? {
            // The claim had run out and another process went on from it. Its record stands; nothing is lost, since a
            // job is found again by its token and a document by its state.
            report.races += 1;
        }
        Ok(report)
    }

    async fn start(
        &self,
        source: Source,
        decision: &Event,
        policy: &Policy,
        clock: &dyn Fn() -> Timestamp,
        report: &mut Report,
    ) -> Result<Source, Unavailable> {
        let Work::Starting { client_token, .. } = &source.work else { return Ok(source) };
        self.bus.publish(std::slice::from_ref(decision)).await?;
        let answer = self.knowledge_bases.start_job(&source.id, client_token).await;
        report.answered.starts.push(clock());
        report.count(&answer);
        self.bus.publish(&[answers::receipt(&source.id, &decision.id, answer.clone(), clock())]).await?;
        Ok(answers::job_start(source, &answer, policy, clock()))
    }

    async fn poll(&self, source: Source, job: &str, policy: &Policy, clock: &dyn Fn() -> Timestamp) -> Result<Source, Unavailable> {
        match self.knowledge_bases.job(&source.id, job).await {
            Ok(seen) => {
                let (source, outcome) = answers::job_seen(source, seen, policy, clock());
                self.bus.publish(outcome.as_slice()).await?;
                Ok(source)
            }
            Err(error) => Ok(not_answered(source, error, policy, clock())),
        }
    }

    async fn send(
        &self,
        mut source: Source,
        documents: Vec<Document>,
        decision: &Event,
        policy: &Policy,
        clock: &dyn Fn() -> Timestamp,
        report: &mut Report,
    ) -> Result<Source, Unavailable> {
        self.bus.publish(std::slice::from_ref(decision)).await?;
        let mut ingest = (Vec::new(), Vec::new());
        let mut answered_at = None;
        let mut delete = (Vec::new(), Vec::new());
        let objects = match try_join_all(documents.iter().map(|document| self.look(document))).await {
            Ok(objects) => objects,
            Err(error) => {
                let answer = Answer::Refused { message: error.to_string() };
                return self.take_send_answer(source, answer, documents, decision, policy, clock, report).await;
            }
        };
        for (document, object) in documents.into_iter().zip(objects) {
            match object {
                Some(object) if object.size > 0 => {
                    ingest.0.push((document.id.clone(), object));
                    ingest.1.push(document);
                }
                _ => {
                    delete.0.push(document.id.clone());
                    delete.1.push(document);
                }
            }
        }
        if !ingest.0.is_empty() {
            let answer = self.knowledge_bases.ingest(&source.id, &ingest.0).await;
            answered_at = Some(clock());
            source = self.take_send_answer(source, answer, ingest.1, decision, policy, clock, report).await?;
        }
        if !delete.0.is_empty() {
            let answer = self.knowledge_bases.delete(&source.id, &delete.0).await;
            answered_at = Some(clock());
            source = self.take_send_answer(source, answer, delete.1, decision, policy, clock, report).await?;
        }
        // Ingesting and deleting have a rate each, so the two count as one request.
        report.answered.sends.extend(answered_at);
        Ok(source)
    }

    #[allow(clippy::too_many_arguments, reason = "one step's whole context")]
    async fn take_send_answer(
        &self,
        source: Source,
        answer: Answer,
        documents: Vec<Document>,
        decision: &Event,
        policy: &Policy,
        clock: &dyn Fn() -> Timestamp,
        report: &mut Report,
    ) -> Result<Source, Unavailable> {
        report.count(&answer);
        self.bus.publish(&[answers::receipt(&source.id, &decision.id, answer.clone(), clock())]).await?;
        let (source, on_their_way) = answers::documents_sent(source, &answer, policy, clock());
        let answered = documents.into_iter().map(|document| {
            // The claim was a write of each.
            let document = Document { revision: document.revision + 1, ..document };
            if on_their_way { document.accepted() } else { document.waiting(None) }
        });
        self.save_all(&source, answered.collect()).await?;
        Ok(source)
    }

    async fn check(
        &self,
        source: Source,
        documents: Vec<Document>,
        policy: &Policy,
        clock: &dyn Fn() -> Timestamp,
        report: &mut Report,
    ) -> Result<Source, Unavailable> {
        let states = match self.states(&source, &documents, policy, clock, report).await {
            Ok(states) => states,
            Err(error) => return Ok(not_answered(source, error, policy, clock())),
        };
        self.judge_all(&source, documents.into_iter().zip(states).collect(), None, policy, clock(), report).await?;
        Ok(source)
    }

    async fn settle(
        &self,
        source: Source,
        documents: Vec<Document>,
        verify: bool,
        policy: &Policy,
        clock: &dyn Fn() -> Timestamp,
        report: &mut Report,
    ) -> Result<Source, Unavailable> {
        let Work::Settling { outcome, .. } = &source.work else { return Ok(source) };
        let outcome = Some(outcome.clone());
        let none_left = documents.is_empty();
        let known = |document: &Document| if verify { None } else { answers::fate_after_job(document) };
        let (told, asked): (Vec<_>, Vec<_>) = documents.into_iter().partition(|document| known(document).is_some());
        let mut judged: Vec<(Document, DocumentState)> =
            told.into_iter().filter_map(|document| known(&document).map(|state| (document, state))).collect();
        match self.states(&source, &asked, policy, clock, report).await {
            Ok(states) => judged.extend(asked.into_iter().zip(states)),
            Err(error) => return Ok(not_answered(source, error, policy, clock())),
        }
        self.judge_all(&source, judged, outcome, policy, clock(), report).await?;
        Ok(answers::settled(source, none_left, clock()))
    }

    /// The states of documents, in as many requests as it takes.
    async fn states(
        &self,
        source: &Source,
        documents: &[Document],
        policy: &Policy,
        clock: &dyn Fn() -> Timestamp,
        report: &mut Report,
    ) -> Result<Vec<DocumentState>, NoAnswer> {
        let ids: Vec<DocumentId> = documents.iter().map(|document| document.id.clone()).collect();
        let mut states = Vec::with_capacity(ids.len());
        for request in ids.chunks(policy.quotas.documents_per_request as usize) {
            let answer = self.knowledge_bases.document_states(&source.id, request).await;
            report.answered.reads.push(clock());
            states.extend(answer?);
        }
        Ok(states)
    }

    /// Judges documents by what Bedrock says of them, and records what becomes of each. `outcome` is that of the job
    /// that covered them, if it was a job.
    async fn judge_all(
        &self,
        source: &Source,
        documents: Vec<(Document, DocumentState)>,
        outcome: Option<Id>,
        policy: &Policy,
        now: Timestamp,
        report: &mut Report,
    ) -> Result<(), Unavailable> {
        let objects = documents.iter().map(|(document, state)| async move {
            if answers::needs_object(document, state) { self.buckets.look(&document.id).await } else { Ok(None) }
        });
        let objects = futures::stream::iter(objects.collect::<Vec<_>>()).buffered(AT_ONCE).collect::<Vec<_>>().await;
        let mut events = Vec::new();
        let mut changed = Vec::new();
        for ((document, state), object) in documents.into_iter().zip(objects) {
            let verdict = match object {
                Ok(object) => answers::judge(&document, state, object, now),
                Err(error) => Verdict::Retry(error.to_string()),
            };
            let (document, fate) = match verdict {
                Verdict::Wait if outcome.is_none() => continue,
                Verdict::SendAgain => (document.waiting(None), None),
                Verdict::Wait => answers::try_again(document, "still in progress after the job's end".to_owned(), policy, now),
                Verdict::Retry(reason) => answers::try_again(document, reason, policy, now),
                Verdict::Settled(fate) => (document.settled(&fate), Some(fate)),
            };
            match fate {
                Some(fate) => {
                    report.count_fate(&fate);
                    events.push(answers::document_outcome(&source.id, &document, fate, outcome.clone(), now));
                }
                None => report.retries += u64::from(document.attempts > 0),
            }
            changed.push(document);
        }
        self.bus.publish(&events).await?;
        self.save_all(source, changed).await
    }

    /// Records documents. One that changed meanwhile stays as the change left it: pending.
    async fn save_all(&self, source: &Source, documents: Vec<Document>) -> Result<(), Unavailable> {
        let saves = documents.iter().map(|document| self.store.save_document(&source.id, document));
        let results: Vec<_> = futures::stream::iter(saves.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).collect().await;
        results.into_iter().try_for_each(|result| result.map(|_| ()))
    }

    /// What stands in S3 now. A deletion needs no look: should the object have come back, another event says so.
    async fn look(&self, document: &Document) -> Result<Option<Object>, Unavailable> {
        match document.change {
            ChangeKind::Deleted | ChangeKind::Emptied => Ok(None),
            ChangeKind::Written | ChangeKind::VersionDeleted | ChangeKind::MetadataChanged => self.buckets.look(&document.id).await,
        }
    }
}

fn not_answered(source: Source, error: NoAnswer, policy: &Policy, now: Timestamp) -> Source {
    tracing::warn!(source = %source.id, %error, "not answered");
    match error {
        NoAnswer::Later(why) => answers::unanswered(source, why, policy, now),
        NoAnswer::Refused(why) => answers::question_refused(source, why, policy, now),
    }
}
