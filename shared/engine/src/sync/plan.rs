//! What may be done now, and why the rest waits.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use flywheel_model::{Action, Body, DataSourceId, Event, Finding, Hold, HoldReason, Id, Refreshed, SentDocument};
use flywheel_policy::{Mode, Policy};
use jiff::{SignedDuration, Timestamp};

use super::answers::fate_after_job;
use super::state::{Account, Source, Work};
use crate::documents::Document;

/// How long a process that claimed a request may take to learn the answer before another makes it again: a little longer
/// than a function may run.
const LEASE: SignedDuration = SignedDuration::from_secs(45);

/// S3 dates its events to the second below, and its clock and ours may differ a little: only changes dated this much
/// before a job was claimed are surely in the bucket that the job reads.
const CLOCK_MARGIN: SignedDuration = SignedDuration::from_secs(2);

/// A request that is not full waits until no change has come for this long: while a burst arrives, requests are what is
/// scarce. A little under a second, since queues delay by whole ones.
const CALM: SignedDuration = SignedDuration::from_millis(900);

/// Documents recorded at most in one commit. DynamoDB takes 100 items in a transaction; the rest is for the account and
/// the data sources.
const DOCUMENTS_A_COMMIT: usize = 50;

/// Data sources recorded at most in one commit.
const SOURCES_A_COMMIT: usize = 40;

/// For so long after a data source last had documents sent, their rows are expected to stand before those of documents
/// that are still to be sent.
const ON_THEIR_WAY: SignedDuration = SignedDuration::from_secs(12);

/// Documents whose fate is recorded in one go after a job.
const SETTLED_AT_ONCE: usize = 400;

/// A data source and its pending documents, those that changed first coming first.
#[derive(Debug, Clone)]
pub struct Demand {
    /// The record.
    pub source: Source,
    /// Its pending documents, at most [`pending_limit`] of them.
    pub pending: Vec<Document>,
}

/// What may be done now.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The account as it is to be recorded, if an allowance was used.
    pub account: Option<Account>,
    /// The data sources as they are to be recorded.
    pub sources: Vec<Source>,
    /// The documents as they are to be recorded, each with its data source.
    pub documents: Vec<(DataSourceId, Document)>,
    /// What is to be done once all of that is recorded.
    pub steps: Vec<Step>,
    /// What is to be told: what waits and why, where that is news, and what a finding asked for and is done.
    pub news: Vec<Event>,
    /// When something can be done next, as far as time decides it.
    pub wake_at: Option<Timestamp>,
}

/// One thing to do. Each is complete: whoever does it chooses nothing.
#[derive(Debug, Clone)]
pub enum Step {
    /// Ask whether the data source is what the policy says.
    Verify {
        /// The record.
        source: Source,
        /// The bucket that the policy names.
        bucket: String,
    },
    /// Start the job that the record claims.
    Start {
        /// The record, with its claim.
        source: Source,
        /// The decision.
        decision: Event,
    },
    /// Look at the running job.
    Poll {
        /// The record.
        source: Source,
        /// Bedrock's id of the job.
        job: String,
    },
    /// Ingest or delete documents directly.
    Send {
        /// The record.
        source: Source,
        /// The documents, marked as sent.
        documents: Vec<Document>,
        /// The decision.
        decision: Event,
    },
    /// Learn what became of documents that were sent.
    Check {
        /// The record.
        source: Source,
        /// The documents, marked as sent.
        documents: Vec<Document>,
    },
    /// Record the fates of the documents that a job covered; none left means that the job is done with.
    Settle {
        /// The record.
        source: Source,
        /// The documents.
        documents: Vec<Document>,
        /// Ask Bedrock for the state of each.
        verify: bool,
    },
}

/// How many pending documents [`plan`] needs to see of a data source, or none if it needs no look at all.
#[must_use]
pub fn pending_limit(source: &Source, sweep: bool, policy: &Policy, now: Timestamp) -> Option<usize> {
    let to_be_sent = 2 * policy.sync.direct_at_most as usize + 1;
    match source.work {
        Work::Settling { .. } => Some(1_000),
        _ if !sweep && !source.needs_attention() => None,
        _ if source.last_send.is_some_and(|at| at + ON_THEIR_WAY > now) => Some(to_be_sent + sent_within(ON_THEIR_WAY, policy)),
        _ => Some(to_be_sent),
    }
}

/// How many documents direct requests can take in so much time.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small non-negative number")]
fn sent_within(time: SignedDuration, policy: &Policy) -> usize {
    let requests = policy.quotas.direct_requests_per_second * time.as_secs_f64();
    (requests * f64::from(policy.quotas.documents_per_request)).ceil() as usize
}

/// Whether the direct road is open to data sources with more changes than `direct_at_most`. A policy that lets less than
/// one full request go directly wants jobs.
fn shares_the_direct_road(policy: &Policy) -> bool {
    policy.sync.direct_at_most >= policy.quotas.documents_per_request
}

/// Decides what may be done at this moment: within Bedrock's quotas, the policy's caps, and one job at a time for each
/// knowledge base; those that waited longest first.
#[must_use]
pub fn plan(account: Account, demands: Vec<Demand>, policy: &Policy, now: Timestamp) -> Plan {
    let mut planner = Planner::new(account, &demands, policy, now);
    let mut starts = Vec::new();
    let mut sends = Vec::new();
    for demand in demands {
        planner.follow(demand, &mut starts, &mut sends);
    }
    planner.start_jobs(starts, &mut sends);
    planner.send_documents(sends);
    planner.finish()
}

struct Planner<'a> {
    policy: &'a Policy,
    now: Timestamp,
    account: Account,
    account_used: bool,
    /// Until when another process may be making requests, so that none may be made here.
    others_call: Option<Timestamp>,
    before: BTreeMap<DataSourceId, Source>,
    after: BTreeMap<DataSourceId, Source>,
    /// Which data source of each knowledge base has a job.
    busy: BTreeMap<String, DataSourceId>,
    /// When each knowledge base last had a job started: those that waited longest come first.
    last_start: BTreeMap<String, Timestamp>,
    documents: Vec<(DataSourceId, Document)>,
    steps: Vec<Step>,
    news: Vec<Event>,
    wake_at: Option<Timestamp>,
}

/// A data source that wants a job.
struct Start {
    source: Source,
    causes: Vec<Id>,
    oldest: Timestamp,
    /// The documents that go directly if it cannot have a job now. None if they are left to a job in any case.
    or_directly: Vec<Document>,
}

/// A data source that wants documents sent.
struct Send {
    source: Source,
    fresh: Vec<Document>,
    /// What keeps it from a job, if it has so many changes that it should have one.
    instead_of_job: Option<Obstacle>,
}

/// Why something may not be done now, and until when, as far as time decides it.
type Obstacle = (HoldReason, Option<Timestamp>);

impl<'a> Planner<'a> {
    fn new(mut account: Account, demands: &[Demand], policy: &'a Policy, now: Timestamp) -> Self {
        account.starts = account.starts.refilled(policy.quotas.job_starts_per_second, now);
        account.sends = account.sends.refilled(policy.quotas.direct_requests_per_second, now);
        account.reads = account.reads.refilled(policy.quotas.document_reads_per_second, now);
        let hour = now.as_second().div_euclid(3_600);
        if account.hour != hour {
            (account.hour, account.hour_starts, account.hour_documents) = (hour, 0, 0);
        }
        let others_call = account.calling_until.filter(|until| *until > now);
        let mut busy = BTreeMap::new();
        let mut last_start: BTreeMap<String, Timestamp> = BTreeMap::new();
        for Demand { source, .. } in demands {
            let knowledge_base = &source.id.knowledge_base;
            // A job that may not be looked at is not counted, or it would keep others waiting for ever; should it still
            // run, Bedrock answers with a conflict.
            if source.has_job() && source.quarantine.is_none() {
                busy.insert(knowledge_base.clone(), source.id.clone());
            }
            if let Some(at) = source.last_start {
                last_start.entry(knowledge_base.clone()).and_modify(|last| *last = at.max(*last)).or_insert(at);
            }
        }
        Self {
            policy,
            now,
            account,
            account_used: false,
            others_call,
            before: demands.iter().map(|demand| (demand.source.id.clone(), demand.source.clone())).collect(),
            after: BTreeMap::new(),
            busy,
            last_start,
            documents: Vec::new(),
            steps: Vec::new(),
            news: Vec::new(),
            wake_at: None,
        }
    }

    /// Goes on with what is under way on a data source, and sorts what it wants next.
    fn follow(&mut self, Demand { mut source, pending }: Demand, starts: &mut Vec<Start>, sends: &mut Vec<Send>) {
        let rules = self.policy.data_source(&source.id);
        if rules.is_none() && !self.policy.unseen_sources.contains(&source.id) {
            return;
        }
        if let Some(quarantine) = &source.quarantine {
            if quarantine.changes == source.changes && quarantine.policy == self.policy.version {
                let reason = HoldReason::Quarantined { reason: quarantine.reason.clone() };
                source.clean = source.changes;
                return self.hold(source, reason, None);
            }
            source.quarantine = None;
            source.failures = 0;
            source.wait = None;
        }
        match source.work.clone() {
            Work::Starting { lease, covers, .. } if lease <= self.now => {
                let oldest = pending.first().map_or(covers, |document| document.changed_at);
                starts.push(Start { source, causes: causes(&pending), oldest, or_directly: Vec::new() });
            }
            Work::Starting { lease, .. } => {
                self.wake(lease);
                self.keep(source);
            }
            Work::Running { job, covers, poll_at, decision } => self.poll(source, job, covers, poll_at, decision),
            Work::Settling { covers, verify, check_at, outcome } => self.settle(source, pending, covers, verify, check_at, outcome),
            Work::Idle if pending.is_empty() && (rules.is_some() || is_served(&source)) => {
                self.answer_finding(&mut source);
                if source.needs_attention() {
                    source.clean = source.changes;
                    source.announced = None;
                }
                self.keep(source);
            }
            Work::Idle => {
                if self.policy.mode == Mode::Act && source.changes == source.clean {
                    // A sweep found them: whoever recorded them died before it could say so.
                    source.clean = source.changes.wrapping_sub(1);
                }
                if let Some(wait) = source.wait.clone() {
                    if wait.until > self.now {
                        return self.hold(source, wait.reason, Some(wait.until));
                    }
                    source.wait = None;
                }
                let Some(rules) = rules else { return self.start_unseen(source, starts) };
                if source.verified.as_ref() != Some(&rules.bucket) {
                    self.steps.push(Step::Verify { source: source.clone(), bucket: rules.bucket.clone() });
                    return self.keep(source);
                }
                self.demand(source, pending, starts, sends);
            }
        }
    }

    /// A job on a data source whose changes cannot be seen, since a finding asks for it.
    fn start_unseen(&mut self, source: Source, starts: &mut Vec<Start>) {
        let Some(asked) = source.unanswered() else { return self.keep(source) };
        let (oldest, causes) = (asked.at, vec![Finding::opening(&asked.finding)]);
        match self.cool_at(&source) {
            Some(cool_at) => self.hold(source, HoldReason::Cooldown, Some(cool_at)),
            None => starts.push(Start { source, causes, oldest, or_directly: Vec::new() }),
        }
    }

    /// The end of the pause between two jobs of a data source, if that is still to come.
    fn cool_at(&self, source: &Source) -> Option<Timestamp> {
        let cooldown = SignedDuration::from_secs(self.policy.sync.cooldown_seconds.into());
        source.last_start.map(|at| at + cooldown).filter(|at| *at > self.now)
    }

    /// Says that what a finding asked for is done: nothing of the data source is pending any more.
    fn answer_finding(&mut self, source: &mut Source) {
        let Some(finding) = source.unanswered().map(|asked| asked.finding.clone()) else { return };
        let id = Id::of("outcome.refresh", &[finding.as_str(), &source.id.to_string()]);
        let refreshed = Refreshed { finding: finding.clone(), data_source: source.id.clone() };
        let (subject, causes) = (source.id.subject(), vec![Finding::opening(&finding)]);
        self.news.push(Event { id, subject, causes, at: self.now, body: Body::RefreshEnded(refreshed) });
        source.answered = Some(finding);
    }

    fn poll(&mut self, mut source: Source, job: String, covers: Timestamp, poll_at: Timestamp, decision: Id) {
        if poll_at <= self.now {
            let poll_at = self.now + SignedDuration::from_secs(self.policy.sync.poll_seconds.into());
            source.work = Work::Running { job: job.clone(), covers, poll_at, decision };
            self.steps.push(Step::Poll { source: source.clone(), job });
            self.wake(poll_at);
            self.keep(source);
        } else {
            self.wake(poll_at);
            if source.touched_at > source.last_start {
                self.hold(source, HoldReason::JobRunning, Some(poll_at));
            } else {
                self.keep(source);
            }
        }
    }

    fn settle(&mut self, mut source: Source, pending: Vec<Document>, covers: Timestamp, verify: bool, check_at: Timestamp, outcome: Id) {
        if check_at > self.now {
            self.wake(check_at);
            return self.keep(source);
        }
        // A document that failed, and was not to be tried again before the job began, waits for its own next try.
        let mut covered: Vec<Document> = pending
            .into_iter()
            .filter(|document| document.changed_at <= covers && document.retry_at().is_none_or(|retry_at| retry_at <= covers))
            .filter(|document| document.sent_at().is_none_or(|sent_at| sent_at <= covers))
            .collect();
        covered.truncate(SETTLED_AT_ONCE);
        // After a job without failures the events themselves tell most fates; only the others cost a question.
        let asks = |document: &Document| verify || fate_after_job(document).is_none();
        let asked = covered.iter().filter(|document| asks(document)).count();
        if asked > 0 {
            let answers = self.take_reads(asked) * self.policy.quotas.documents_per_request as usize;
            let mut asked = 0;
            covered.retain(|document| {
                asked += usize::from(asks(document));
                !asks(document) || asked <= answers
            });
            if covered.is_empty() {
                return self.keep(source);
            }
        }
        // Leaves the work to this process for a while; the last answer puts it back to now.
        let lease = self.now + LEASE;
        source.work = Work::Settling { covers, verify, check_at: lease, outcome };
        self.wake(lease);
        self.steps.push(Step::Settle { source: source.clone(), documents: covered, verify });
        self.keep(source);
    }

    /// Sorts the pending documents of an idle data source into those under way and those to be sent or left to a job.
    fn demand(&mut self, mut source: Source, pending: Vec<Document>, starts: &mut Vec<Start>, sends: &mut Vec<Send>) {
        // Instead of waiting for their turn to have a job, changes go directly: up to twice the policy's number, and more
        // of them with what the others leave of the direct road.
        let shared = shares_the_direct_road(self.policy);
        let may_go_directly = shared || pending.len() <= 2 * self.policy.sync.direct_at_most as usize;
        let mut direct_running = false;
        let (mut accepted, mut fresh) = (Vec::new(), Vec::new());
        for document in pending {
            // Claimed, and no answer recorded: the request is being made, or its process died.
            let lease = document.sent_at().filter(|_| !document.is_accepted()).map(|sent_at| sent_at + LEASE);
            if document.is_accepted() {
                direct_running = true;
                accepted.push(document);
            } else if let Some(later) = lease.max(document.retry_at()).filter(|at| *at > self.now) {
                direct_running |= lease.is_some();
                self.wake(later);
            } else {
                fresh.push(document);
            }
        }
        if !accepted.is_empty() {
            source = self.check(source, accepted);
        }
        let sync = &self.policy.sync;
        if fresh.is_empty() {
            return self.keep(source);
        }
        if fresh.len() <= sync.direct_at_most as usize {
            sends.push(Send { source, fresh, instead_of_job: None });
            return;
        }
        let oldest = fresh[0].changed_at;
        let settled_at = source.touched_at.unwrap_or(self.now) + SignedDuration::from_secs(sync.settle_seconds.into());
        let waited_at = oldest + SignedDuration::from_secs(sync.settle_at_most_seconds.into());
        let (obstacle, may_go_directly) = if direct_running {
            ((HoldReason::DirectIngestionRunning, source.check_at), may_go_directly)
        } else if settled_at.min(waited_at) > self.now {
            ((HoldReason::Settling, Some(settled_at.min(waited_at))), shared)
        } else if let Some(cool_at) = self.cool_at(&source) {
            ((HoldReason::Cooldown, Some(cool_at)), shared)
        } else {
            let causes = causes(&fresh);
            starts.push(Start { source, causes, oldest, or_directly: if may_go_directly { fresh } else { Vec::new() } });
            return;
        };
        if may_go_directly && self.policy.mode == Mode::Act {
            sends.push(Send { source, fresh, instead_of_job: Some(obstacle) });
        } else {
            self.hold(source, obstacle.0, obstacle.1);
        }
    }

    fn check(&mut self, mut source: Source, mut sent: Vec<Document>) -> Source {
        let due = source.check_at.unwrap_or(self.now);
        if due > self.now {
            self.wake(due);
            return source;
        }
        let all = sent.len();
        let requests = self.take_reads(all);
        sent.truncate(requests * self.policy.quotas.documents_per_request as usize);
        if sent.is_empty() {
            return source;
        }
        // Those that were left out need not wait for those that were looked at.
        let pause = if sent.len() < all { 1 } else { self.policy.sync.check_seconds };
        let check_at = self.now + SignedDuration::from_secs(pause.into());
        source.check_at = Some(check_at);
        self.wake(check_at);
        self.steps.push(Step::Check { source: source.clone(), documents: sent });
        source
    }

    /// Whether requests may be made here: not while another process makes some.
    fn may_call(&mut self) -> bool {
        if let Some(until) = self.others_call {
            self.wake(until);
        }
        self.others_call.is_none()
    }

    /// Takes as many document reads as there are, up to those that this many documents need.
    fn take_reads(&mut self, documents: usize) -> usize {
        if !self.may_call() {
            return 0;
        }
        let wanted = documents.div_ceil(self.policy.quotas.documents_per_request as usize);
        let taken = (0..wanted).take_while(|_| self.account.reads.take()).count();
        self.account_used |= taken > 0;
        if taken < wanted {
            let next = self.account.reads.next(self.policy.quotas.document_reads_per_second);
            self.wake(next);
        }
        taken
    }

    /// Claims jobs, those first that may have been started already, then those that waited longest.
    fn start_jobs(&mut self, mut starts: Vec<Start>, sends: &mut Vec<Send>) {
        let last = |source: &Source, last_start: &BTreeMap<String, Timestamp>| last_start.get(&source.id.knowledge_base).copied();
        starts.sort_by_key(|start| {
            let resumed = matches!(start.source.work, Work::Starting { .. });
            (!resumed, last(&start.source, &self.last_start), start.source.last_start, start.oldest, start.source.id.clone())
        });
        for Start { source, causes, or_directly, .. } in starts {
            if !self.may_call() {
                self.keep(source);
                continue;
            }
            let resumed = matches!(source.work, Work::Starting { .. });
            match self.obstacle(&source) {
                Some((HoldReason::HourlyCap, until)) => self.hold(source, HoldReason::HourlyCap, until),
                Some(obstacle) if !or_directly.is_empty() && self.policy.mode == Mode::Act => {
                    sends.push(Send { source, fresh: or_directly, instead_of_job: Some(obstacle) });
                }
                Some((reason, until)) => self.hold(source, reason, until),
                None if self.policy.mode == Mode::DryRun && !resumed => {
                    let action = job_action(&source, &client_token(&source, self.now), self.now, true);
                    let decision = decision(&source, &["dry run", "job", &source.changes.to_string()], causes, self.now, action);
                    self.decide_only(source, vec![decision]);
                }
                None => {
                    self.account_used = true;
                    self.account.starts.take();
                    self.claim_job(source, causes);
                }
            }
        }
    }

    /// What stands between a data source and a job. One that may have been started already has its place.
    fn obstacle(&self, source: &Source) -> Option<Obstacle> {
        let rate = self.policy.quotas.job_starts_per_second;
        if matches!(source.work, Work::Idle) {
            if let Some(data_source) = self.busy.get(&source.id.knowledge_base).cloned() {
                return Some((HoldReason::KnowledgeBaseBusy { data_source }, None));
            }
            if self.busy.len() >= self.policy.quotas.running_jobs as usize {
                return Some((HoldReason::AccountFull, None));
            }
            if self.account.hour_starts >= self.policy.sync.job_starts_per_hour {
                return Some((HoldReason::HourlyCap, Some(self.next_hour())));
            }
        }
        (!self.account.starts.has_one()).then(|| (HoldReason::Rate, Some(self.account.starts.next(rate))))
    }

    fn claim_job(&mut self, mut source: Source, causes: Vec<Id>) {
        let lease = self.now + LEASE;
        self.busy.insert(source.id.knowledge_base.clone(), source.id.clone());
        let decision = if let Work::Starting { client_token, covers, decision: id, .. } = source.work.clone() {
            let action = Action::StartJob { data_source: source.id.clone(), client_token: client_token.clone(), covers, dry_run: false };
            // Its process died, or its answer was lost.
            source.work = Work::Starting { client_token, covers, lease, decision: id.clone(), lost: true };
            Event { id, subject: source.id.subject(), causes, at: self.now, body: Body::SyncDecided(action) }
        } else {
            self.account.hour_starts += 1;
            let client_token = client_token(&source, self.now);
            source.generation += 1;
            source.last_start = Some(self.now);
            let action = job_action(&source, &client_token, self.now, false);
            let decision = decision(&source, &["job", &client_token], causes, self.now, action);
            let covers = self.now - CLOCK_MARGIN;
            source.work = Work::Starting { client_token, covers, lease, decision: decision.id.clone(), lost: false };
            decision
        };
        source.announced = None;
        self.wake(lease);
        self.steps.push(Step::Start { source: source.clone(), decision });
        self.keep(source);
    }

    /// Deals out direct requests. Data sources with few changes come first and in turns, so that none keeps the others
    /// waiting. What they leave goes to those that wait for a job, one after the other: the sooner one is done with, the
    /// sooner the next may have a job or the direct road.
    fn send_documents(&mut self, sends: Vec<Send>) {
        let (waiting, mut few): (Vec<Send>, Vec<Send>) = sends.into_iter().partition(|send| send.instead_of_job.is_some());
        let mut waiting = self.leave_to_jobs(waiting);
        let turn = |send: &Send| (send.source.last_send, send.fresh[0].changed_at, send.source.id.clone());
        few.sort_by_key(turn);
        // The one that is under way goes on; the next is the one whose turn to have a job is farthest.
        waiting.sort_by_key(|send| Reverse(turn(send)));
        if self.policy.mode == Mode::DryRun {
            for Send { source, fresh, .. } in few {
                let requests = fresh.chunks(self.policy.quotas.documents_per_request as usize);
                let decisions = requests.map(|request| send_decision(&source, request, self.now, true)).collect();
                self.decide_only(source, decisions);
            }
            return;
        }
        if (few.is_empty() && waiting.is_empty()) || !self.may_call() {
            return few.into_iter().chain(waiting).for_each(|send| self.keep(send.source));
        }
        let stopped = self.send_in_turns(&mut few).or_else(|| waiting.chunks_mut(1).find_map(|one| self.send_in_turns(one)));
        if let Some((_, until)) = stopped {
            self.wake(until);
        }
        for Send { source, fresh, instead_of_job } in few.into_iter().chain(waiting) {
            if let Some(calm_at) = self.calm_at(&source, &fresh) {
                self.wake(calm_at);
            }
            let obstacle = instead_of_job.or_else(|| stopped.clone().map(|(reason, until)| (reason, Some(until))));
            match obstacle.filter(|_| !fresh.is_empty()) {
                Some((_, until)) if source.last_send == Some(self.now) => {
                    until.into_iter().for_each(|until| self.wake(until));
                    self.keep(source);
                }
                Some((reason, until)) => self.hold(source, reason, until),
                None => self.keep(source),
            }
        }
    }

    /// Once the hour's documents are sent, what waits for a job goes on waiting.
    fn leave_to_jobs(&mut self, waiting: Vec<Send>) -> Vec<Send> {
        if self.account.hour_documents < self.policy.sync.direct_documents_per_hour {
            return waiting;
        }
        for Send { source, instead_of_job, .. } in waiting {
            match instead_of_job {
                Some((reason, until)) => self.hold(source, reason, until),
                None => self.keep(source),
            }
        }
        Vec::new()
    }

    /// Deals out requests in turns until nothing is left to send, or says why it stopped before.
    fn send_in_turns(&mut self, turns: &mut [Send]) -> Option<(HoldReason, Timestamp)> {
        loop {
            let mut sent = false;
            for Send { source, fresh, .. } in &mut *turns {
                if fresh.is_empty() || self.calm_at(source, fresh).is_some() {
                    continue;
                }
                if let Some(stopped) = self.send_request(source, fresh) {
                    return Some(stopped);
                }
                sent = true;
            }
            if !sent {
                return None;
            }
        }
    }

    /// When a request that is not full is made all the same, if that is still to come.
    fn calm_at(&self, source: &Source, fresh: &[Document]) -> Option<Timestamp> {
        let oldest = fresh.first().filter(|document| document.attempts == 0)?;
        if fresh.len() >= self.policy.quotas.documents_per_request as usize {
            return None;
        }
        let waited_at = oldest.changed_at + SignedDuration::from_secs(self.policy.sync.settle_at_most_seconds.into());
        Some(waited_at.min(source.touched_at? + CALM)).filter(|at| *at > self.now)
    }

    /// Claims one direct request, or says why not now.
    fn send_request(&mut self, source: &mut Source, fresh: &mut Vec<Document>) -> Option<(HoldReason, Timestamp)> {
        // A document that failed goes alone: should it be what Bedrock refuses a request for, it takes no other with it.
        let alone = fresh.first().is_some_and(|document| document.attempts > 0);
        let most = if alone { 1 } else { self.policy.quotas.documents_per_request as usize };
        let request = fresh.iter().take(most).take_while(|document| alone || document.attempts == 0).count();
        if self.documents.len() + request > DOCUMENTS_A_COMMIT {
            return Some((HoldReason::Rate, self.now));
        }
        let documents_after = self.account.hour_documents.saturating_add(u32::try_from(request).unwrap_or(u32::MAX));
        if documents_after > self.policy.sync.direct_documents_per_hour {
            return Some((HoldReason::HourlyCap, self.next_hour()));
        }
        if !self.account.sends.take() {
            return Some((HoldReason::Rate, self.account.sends.next(self.policy.quotas.direct_requests_per_second)));
        }
        self.account_used = true;
        self.account.hour_documents = documents_after;
        let documents: Vec<Document> = fresh.drain(..request).map(|document| document.sent(self.now)).collect();
        let check_at = self.now + SignedDuration::from_secs(self.policy.sync.check_seconds.into());
        source.check_at = Some(source.check_at.filter(|at| *at > self.now).unwrap_or(check_at));
        source.last_send = Some(self.now);
        self.wake(check_at);
        self.documents.extend(documents.iter().map(|document| (source.id.clone(), document.clone())));
        let decision = send_decision(source, &documents, self.now, false);
        self.steps.push(Step::Send { source: source.clone(), documents, decision });
        None
    }

    /// Dry run: the decision is said once for each state of the data source, and nothing is claimed.
    fn decide_only(&mut self, mut source: Source, decisions: Vec<Event>) {
        if source.announced != Some(HoldReason::DryRun) || source.changes != source.clean {
            self.news.extend(decisions);
            source.announced = None;
        }
        source.clean = source.changes;
        self.hold(source, HoldReason::DryRun, None);
    }

    /// Records that a data source waits, and says so if it is news.
    fn hold(&mut self, mut source: Source, reason: HoldReason, until: Option<Timestamp>) {
        if let Some(until) = until {
            self.wake(until);
        }
        if source.announced.as_ref() != Some(&reason) {
            let id = Id::of("decision.hold", &[&source.id.to_string(), reason.word(), &source.revision.to_string()]);
            let hold = Hold { data_source: source.id.clone(), reason: reason.clone(), until };
            self.news.push(Event { id, subject: source.id.subject(), causes: Vec::new(), at: self.now, body: Body::SyncHeld(hold) });
            source.announced = Some(reason);
        }
        self.keep(source);
    }

    fn keep(&mut self, source: Source) {
        self.after.insert(source.id.clone(), source);
    }

    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earliest| earliest.min(at)));
    }

    fn next_hour(&self) -> Timestamp {
        Timestamp::from_second((self.account.hour + 1) * 3_600).unwrap_or(Timestamp::MAX)
    }

    fn finish(mut self) -> Plan {
        // Steps carry the record as it is committed, whichever step changed it last.
        let stepping: BTreeSet<DataSourceId> = self.steps.iter().map(|step| step.source().id.clone()).collect();
        for step in &mut self.steps {
            if let Some(source) = self.after.get(&step.source().id) {
                *step.source_mut() = source.clone();
            }
        }
        // Recording a step's data source is its claim, changed or not.
        let changed = |source: &Source| stepping.contains(&source.id) || self.before.get(&source.id) != Some(source);
        let mut sources: Vec<Source> = self.after.into_values().filter(changed).collect();
        if sources.len() > SOURCES_A_COMMIT {
            // What is only a note can be written the next time.
            sources.sort_by_key(|source| !stepping.contains(&source.id));
            sources.truncate(SOURCES_A_COMMIT);
            let kept: BTreeSet<&DataSourceId> = sources.iter().map(|source| &source.id).collect();
            self.steps.retain(|step| kept.contains(&step.source().id));
            self.documents.retain(|(source, _)| kept.contains(source));
            self.wake_at = Some(self.now);
        }
        self.account.calling_until = Some(self.now + LEASE);
        Plan {
            account: self.account_used.then_some(self.account),
            sources,
            documents: self.documents,
            steps: self.steps,
            news: self.news,
            wake_at: self.wake_at,
        }
    }
}

impl Step {
    /// The data source that the step is for.
    #[must_use]
    pub const fn source(&self) -> &Source {
        match self {
            Self::Verify { source, .. }
            | Self::Start { source, .. }
            | Self::Poll { source, .. }
            | Self::Send { source, .. }
            | Self::Check { source, .. }
            | Self::Settle { source, .. } => source,
        }
    }

    const fn source_mut(&mut self) -> &mut Source {
        match self {
            Self::Verify { source, .. }
            | Self::Start { source, .. }
            | Self::Poll { source, .. }
            | Self::Send { source, .. }
            | Self::Check { source, .. }
            | Self::Settle { source, .. } => source,
        }
    }
}

/// Whether nothing is asked of a data source whose changes cannot be seen, or a job has brought it since.
fn is_served(source: &Source) -> bool {
    source.unanswered().is_none_or(|asked| source.failures == 0 && source.last_start.is_some_and(|at| at > asked.at))
}

fn causes(documents: &[Document]) -> Vec<Id> {
    documents.iter().take(Event::CAUSES).map(|document| document.signal.clone()).collect()
}

/// 33 or more letters, digits and hyphens, as `StartIngestionJob` wants. The time keeps it apart from the tokens of an
/// earlier deployment, whose generations began at the same number.
fn client_token(source: &Source, now: Timestamp) -> String {
    let (generation, at) = (source.generation + 1, now.as_millisecond());
    format!("flywheel-{}", Id::of("client-token", &[&source.id.to_string(), &generation.to_string(), &at.to_string()]))
}

fn job_action(source: &Source, client_token: &str, now: Timestamp, dry_run: bool) -> Action {
    let covers = now - CLOCK_MARGIN;
    Action::StartJob { data_source: source.id.clone(), client_token: client_token.to_owned(), covers, dry_run }
}

fn send_decision(source: &Source, documents: &[Document], now: Timestamp, dry_run: bool) -> Event {
    let action = Action::SendDocuments {
        data_source: source.id.clone(),
        documents: documents
            .iter()
            .map(|document| SentDocument { document: document.id.clone(), change: document.change, attempt: document.attempts + 1 })
            .collect(),
        dry_run,
    };
    let versions: Vec<String> =
        documents.iter().map(|document| format!("{} {} {}", document.id, document.version(), document.attempts)).collect();
    let mut parts = vec!["direct", if dry_run { "dry run" } else { "act" }];
    parts.extend(versions.iter().map(String::as_str));
    decision(source, &parts, causes(documents), now, action)
}

fn decision(source: &Source, parts: &[&str], causes: Vec<Id>, at: Timestamp, action: Action) -> Event {
    let id = source.id.to_string();
    let parts: Vec<&str> = std::iter::once(id.as_str()).chain(parts.iter().copied()).collect();
    Event { id: Id::of("decision.sync", &parts), subject: source.id.subject(), causes, at, body: Body::SyncDecided(action) }
}

#[cfg(test)]
mod tests {
    use flywheel_model::{ChangeKind, DocumentId};

    use super::super::Asked;
    use super::*;
    use crate::documents::Status;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("in range")
    }

    fn policy(sources: usize) -> Policy {
        let mut text = "mode = \"act\"\n[sync]\ndirect_at_most = 2\n".to_owned();
        for n in 0..sources {
            text += &format!("[[data_source]]\nknowledge_base = \"KB{n:08}\"\ndata_source = \"DS{n:08}\"\nbucket = \"docs\"\n");
        }
        Policy::parse(&text).expect("valid")
    }

    /// A data source that was confirmed and whose documents changed at second 0.
    fn demand(n: usize, documents: usize) -> Demand {
        let mut source = Source::new(DataSourceId::new(format!("KB{n:08}"), format!("DS{n:08}")));
        (source.changes, source.touched_at, source.verified) = (1, Some(at(0)), Some("docs".to_owned()));
        let pending = (0..documents).map(|name| document(&format!("{name:03}.md"))).collect();
        Demand { source, pending }
    }

    fn document(key: &str) -> Document {
        Document {
            id: DocumentId::new("docs", key),
            sequencer: None,
            metadata_sequencer: None,
            change: ChangeKind::Written,
            changed_at: at(0),
            signal: Id::of("signal", &[key]),
            status: Status::Pending { retry_at: None, sent_at: None, accepted: false, overtaken: false },
            attempts: 0,
            revision: 1,
        }
    }

    fn running(n: usize) -> Demand {
        let mut demand = demand(n, 3);
        let decision = Id::of("decision", &[]);
        demand.source.work = Work::Running { job: format!("JOB{n}"), covers: at(-2), poll_at: at(100), decision };
        demand.source.last_start = Some(at(0));
        demand
    }

    fn holds(plan: &Plan) -> Vec<(HoldReason, Option<Timestamp>)> {
        let hold = |event: &Event| match &event.body {
            Body::SyncHeld(hold) => Some((hold.reason.clone(), hold.until)),
            _ => None,
        };
        plan.news.iter().filter_map(hold).collect()
    }

    fn starts(plan: &Plan) -> Vec<String> {
        let started = plan.steps.iter().filter(|step| matches!(step, Step::Start { .. }));
        started.map(|step| step.source().id.knowledge_base.clone()).collect()
    }

    /// A data source that cannot be seen changing, for which a finding asked at second 0.
    fn unseen(policy: &mut Policy) -> Demand {
        let id = DataSourceId::new("KBUNSEEN01", "DSUNSEEN01");
        policy.unseen_sources.push(id.clone());
        let asked = Some(Asked { finding: Id::of("finding", &["1"]), at: at(0) });
        Demand { source: Source { changes: 1, asked, ..Source::new(id) }, pending: Vec::new() }
    }

    fn refreshed(plan: &Plan) -> usize {
        plan.news.iter().filter(|event| matches!(event.body, Body::RefreshEnded(_))).count()
    }

    #[test]
    fn a_data_source_that_cannot_be_seen_changing_has_a_job_when_a_finding_asks_and_no_other() {
        let mut policy = policy(1);
        let asked = unseen(&mut policy);
        let started = plan(Account::default(), vec![asked.clone()], &policy, at(1));
        assert_eq!((starts(&started), refreshed(&started)), (vec!["KBUNSEEN01".to_owned()], 0));

        let mut done = asked.clone();
        done.source.last_start = Some(at(1));
        let told = plan(Account::default(), vec![done.clone()], &policy, at(100));
        assert_eq!((starts(&told), refreshed(&told)), (vec![], 1));
        let source = told.sources[0].clone();
        assert_eq!(source.clean, source.changes);
        let after = plan(Account::default(), vec![Demand { source, pending: Vec::new() }], &policy, at(200));
        assert_eq!((starts(&after), refreshed(&after)), (vec![], 0), "it is told once");

        // A job that failed since is no answer.
        (done.source.failures, done.source.asked) = (1, asked.source.asked);
        assert_eq!(refreshed(&plan(Account::default(), vec![done], &policy, at(100))), 0);
    }

    #[test]
    fn what_a_finding_asked_for_is_done_when_nothing_is_pending_any_more() {
        let mut asked = demand(0, 1);
        asked.source.asked = Some(Asked { finding: Id::of("finding", &["1"]), at: at(0) });
        assert_eq!(refreshed(&plan(Account::default(), vec![asked.clone()], &policy(1), at(1))), 0);
        asked.pending.clear();
        assert_eq!(refreshed(&plan(Account::default(), vec![asked], &policy(1), at(1))), 1);
    }

    #[test]
    fn holds_until_changes_settle_and_then_starts_a_job() {
        let early = plan(Account::default(), vec![demand(0, 3)], &policy(1), at(1));
        assert_eq!((holds(&early), early.wake_at), (vec![(HoldReason::Settling, Some(at(3)))], Some(at(3))));
        assert_eq!(starts(&plan(Account::default(), vec![demand(0, 3)], &policy(1), at(3))), ["KB00000000"]);
    }

    #[test]
    fn starts_in_the_end_though_changes_keep_coming() {
        let mut busy = demand(0, 3);
        busy.source.touched_at = Some(at(60));
        assert_eq!(starts(&plan(Account::default(), vec![busy], &policy(1), at(60))), ["KB00000000"]);
    }

    #[test]
    fn holds_while_a_job_runs_if_something_changed_since() {
        let mut changed = running(0);
        changed.source.touched_at = Some(at(5));
        assert_eq!(holds(&plan(Account::default(), vec![changed], &policy(1), at(10))), [(HoldReason::JobRunning, Some(at(100)))]);
        assert_eq!(holds(&plan(Account::default(), vec![running(0)], &policy(1), at(10))), []);
    }

    #[test]
    fn holds_when_the_account_is_full() {
        let demands = (0..5).map(running).chain([demand(5, 5)]).collect();
        assert_eq!(holds(&plan(Account::default(), demands, &policy(6), at(10))), [(HoldReason::AccountFull, None)]);
    }

    #[test]
    fn one_start_every_ten_seconds_those_that_waited_longest_first() {
        let mut recent = demand(0, 5);
        recent.source.last_start = Some(at(-100));
        let first = plan(Account::default(), vec![recent, demand(1, 5)], &policy(2), at(10));
        assert_eq!(starts(&first), ["KB00000001"]);
        assert_eq!(holds(&first), [(HoldReason::Rate, Some(at(20)))]);
    }

    #[test]
    fn up_to_twice_the_number_goes_directly_instead_of_waiting_for_a_turn() {
        let both = plan(Account::default(), vec![demand(0, 3), demand(1, 4)], &policy(2), at(10));
        assert_eq!(starts(&both), ["KB00000000"]);
        let sent = both.steps.iter().filter(|step| matches!(step, Step::Send { documents, .. } if documents.len() == 4)).count();
        assert_eq!((sent, holds(&both)), (1, vec![]));
    }

    /// A policy with which what waits for a job shares the direct road.
    fn sharing(sources: usize) -> Policy {
        let mut policy = policy(sources);
        policy.sync.direct_at_most = 20;
        policy
    }

    fn sent(plan: &Plan) -> Vec<(String, usize)> {
        let step = |step: &Step| match step {
            Step::Send { source, documents, .. } => Some((source.id.knowledge_base.clone(), documents.len())),
            _ => None,
        };
        plan.steps.iter().filter_map(step).collect()
    }

    #[test]
    fn what_waits_for_a_job_takes_the_rest_of_the_direct_road_one_after_the_other() {
        let demands = vec![demand(0, 60), demand(1, 30), demand(2, 60), demand(3, 1)];
        let planned = plan(Account::default(), demands, &sharing(4), at(10));
        assert_eq!(starts(&planned), ["KB00000000"]);
        let request = |n: usize, documents| (format!("KB{n:08}"), documents);
        assert_eq!(sent(&planned), [request(3, 1), request(2, 10), request(2, 10), request(2, 10), request(2, 10)]);
        assert_eq!(holds(&planned), [(HoldReason::Rate, Some(at(20)))]);
    }

    #[test]
    fn what_is_being_sent_directly_goes_on_before_the_next() {
        let (mut under_way, other) = (demand(0, 60), demand(1, 60));
        under_way.source.last_send = Some(at(9));
        for document in &mut under_way.pending[..5] {
            *document = document.clone().sent(at(9)).accepted();
        }
        let planned = plan(Account::default(), vec![running(2), under_way, other], &sharing(3), at(10));
        assert_eq!(starts(&planned), ["KB00000001"]);
        assert!(sent(&planned).iter().all(|(source, _)| source == "KB00000000"), "{:?}", sent(&planned));
    }

    #[test]
    fn what_waits_for_a_job_is_left_to_it_once_the_hours_documents_are_sent() {
        let hour = at(10).as_second() / 3_600;
        let account = Account { hour, hour_documents: 10_000, ..Account::default() };
        let mut policy = sharing(2);
        policy.sync.direct_documents_per_hour = 10_000;
        let planned = plan(account, vec![demand(0, 60), demand(1, 60)], &policy, at(10));
        assert_eq!((starts(&planned), sent(&planned)), (vec!["KB00000000".to_owned()], vec![]));
        assert_eq!(holds(&planned), [(HoldReason::Rate, Some(at(20)))]);
    }

    #[test]
    fn a_policy_that_lets_less_than_a_request_go_directly_gets_jobs() {
        let planned = plan(Account::default(), vec![demand(0, 60), demand(1, 60)], &policy(2), at(10));
        assert_eq!((starts(&planned), sent(&planned)), (vec!["KB00000000".to_owned()], vec![]));
    }

    #[test]
    fn holds_at_the_hourly_cap_until_the_next_hour() {
        let hour = at(10).as_second() / 3_600;
        let account = Account { hour, hour_starts: 120, ..Account::default() };
        let next = Timestamp::from_second((hour + 1) * 3_600).expect("in range");
        assert_eq!(holds(&plan(account, vec![demand(0, 3)], &policy(1), at(10))), [(HoldReason::HourlyCap, Some(next))]);
    }

    #[test]
    fn nothing_is_asked_while_another_process_asks() {
        let account = Account { calling_until: Some(at(40)), ..Account::default() };
        let kept = plan(account, vec![demand(0, 3), demand(1, 1)], &policy(2), at(10));
        assert!(kept.steps.is_empty());
        assert_eq!(kept.wake_at, Some(at(40)));
    }

    #[test]
    fn a_request_that_is_not_full_waits_for_calm() {
        let now = at(0) + SignedDuration::from_millis(500);
        assert!(plan(Account::default(), vec![demand(0, 1)], &policy(1), now).steps.is_empty());
        assert_eq!(plan(Account::default(), vec![demand(0, 1)], &policy(1), at(1)).steps.len(), 1);
    }

    #[test]
    fn a_document_that_failed_goes_alone() {
        let mut failed = demand(0, 2);
        failed.pending[0].attempts = 1;
        let sent = plan(Account::default(), vec![failed], &policy(1), at(10));
        let sizes: Vec<usize> = sent
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Send { documents, .. } => Some(documents.len()),
                _ => None,
            })
            .collect();
        assert_eq!(sizes, [1, 1]);
    }

    #[test]
    fn a_claim_is_resumed_after_its_lease_with_the_same_token() {
        let first = plan(Account::default(), vec![demand(0, 3)], &policy(1), at(10));
        let (source, account) = (first.sources[0].clone(), Account { calling_until: None, ..first.account.expect("used") });
        let again = |now| plan(account.clone(), vec![Demand { source: source.clone(), ..demand(0, 3) }], &policy(1), now);
        assert!(again(at(30)).steps.is_empty());
        let resumed = again(at(60));
        let token = |source: &Source| match &source.work {
            Work::Starting { client_token, .. } => client_token.clone(),
            work => panic!("{work:?}"),
        };
        assert_eq!(token(&resumed.sources[0]), token(&source));
        assert_eq!(resumed.sources[0].generation, source.generation);
    }

    #[test]
    fn a_hold_that_stays_the_same_is_said_once() {
        let first = plan(Account::default(), vec![demand(0, 3)], &policy(1), at(1));
        let again = Demand { source: first.sources[0].clone(), ..demand(0, 3) };
        assert_eq!(holds(&plan(Account::default(), vec![again], &policy(1), at(2))), []);
    }
}
