//! Synchronises knowledge bases with their documents, within Bedrock's quotas.
//!
//! Each time it is woken it reads what is recorded, plans, records its claims, and only then acts: whoever comes after a
//! crash finds what was under way. It goes on until nothing more can be done now, and has itself woken when something
//! can. It never waits.

mod steps;

use std::collections::BTreeMap;

use flywheel_engine::sync::{self, Account, Demand, Source, Step};
use flywheel_model::{Body, DataSourceId};
use flywheel_policy::Policy;
use flywheel_ports::{Buckets, Bus, KnowledgeBases, SyncStore, Unavailable, Wakes};
use futures::future::{join_all, try_join_all};
use jiff::{SignedDuration, Timestamp};

pub use steps::Report;

/// Rounds of planning and acting in one invocation. A round in which nothing can be done ends it sooner.
const ROUNDS: usize = 12;

/// No round begins after this long: what is left belongs to the next invocation.
const TIME: SignedDuration = SignedDuration::from_secs(15);

/// The shortest delay of a queue message that is one: queues delay by whole seconds.
const SHORTEST_DELAY: SignedDuration = SignedDuration::from_secs(1);

/// About how long a message without a delay takes, until the function that it wakes plans.
const ON_ITS_WAY: SignedDuration = SignedDuration::from_millis(100);

/// The longest delay of a queue message (Amazon SQS quotas).
const LONGEST_DELAY: SignedDuration = SignedDuration::from_mins(15);

/// Whether a message of the queue asks for a sweep: that of the schedule does.
#[must_use]
pub fn asks_for_sweep(body: &str) -> bool {
    body.contains("\"sweep\"")
}

/// The world that the loop acts on.
#[derive(Debug)]
pub struct World<S, B, K, O, W> {
    /// The record.
    pub store: S,
    /// The bus.
    pub bus: B,
    /// Bedrock.
    pub knowledge_bases: K,
    /// S3.
    pub buckets: O,
    /// The queue that wakes the loop.
    pub wakes: W,
}

impl<S: SyncStore, B: Bus, K: KnowledgeBases, O: Buckets, W: Wakes> World<S, B, K, O, W> {
    /// Does all that can be done now. A sweep also looks at data sources of which nothing says that they need it.
    ///
    /// # Errors
    /// If the record or the bus cannot be reached; what was under way is found again by the next invocation.
    pub async fn synchronise(&self, policy: &Policy, sweep: bool, clock: &dyn Fn() -> Timestamp) -> Result<Report, Unavailable> {
        let begun = clock();
        let mut report = Report::default();
        let mut wake_at = Some(begun);
        let mut next_wake = None;
        for _ in 0..ROUNDS {
            let overview = self.store.overview().await?;
            next_wake = overview.next_wake;
            let demands = self.demands(overview.sources, policy, sweep, clock()).await?;
            let now = clock();
            let plan = sync::plan(overview.account.clone(), demands, policy, now);
            self.bus.publish(&plan.holds).await?;
            report.count_holds(&plan.holds);
            if !self.store.claim(&plan).await? {
                // Another process was faster; look again at what it left.
                report.races += 1;
                continue;
            }
            wake_at = plan.wake_at;
            if plan.steps.is_empty() {
                break;
            }
            // Sent before the steps are carried out: a rate goes on bringing requests while they take their time. What
            // can be done sooner is done in the next round.
            let on_time = wake_at.map(|at| at.max(now + SHORTEST_DELAY));
            let woken = self.wake_again(on_time, next_wake, clock()).await;
            let carried_out = self.carry_out(plan.steps, policy, clock).await;
            if let Some(account) = plan.account {
                // The claim was a write. Should this one fail, the requests count as being made until their lease ends.
                let account = Account { revision: account.revision + 1, ..account };
                let answered = carried_out.as_ref().map(|report| report.answered.clone()).unwrap_or_default();
                self.store.save_account(&account.called(&overview.account, &answered, &policy.quotas, clock())).await?;
            }
            report.merge(carried_out?);
            next_wake = woken?;
            wake_at = Some(clock());
            if clock().duration_since(begun) > TIME {
                break;
            }
        }
        self.wake_again(wake_at, next_wake, clock()).await?;
        Ok(report)
    }

    async fn demands(&self, sources: Vec<Source>, policy: &Policy, sweep: bool, now: Timestamp) -> Result<Vec<Demand>, Unavailable> {
        let mut recorded: BTreeMap<DataSourceId, Source> = sources.into_iter().map(|source| (source.id.clone(), source)).collect();
        let watched = policy.data_sources.iter().map(|rules| recorded.remove(&rules.id).unwrap_or_else(|| Source::new(rules.id.clone())));
        try_join_all(watched.collect::<Vec<_>>().into_iter().map(|source| async move {
            let pending = match sync::pending_limit(&source, sweep, policy, now) {
                Some(limit) => self.store.pending(&source.id, limit).await?,
                None => Vec::new(),
            };
            Ok(Demand { source, pending })
        }))
        .await
    }

    /// Carries steps out: those of one data source one after the other, data sources side by side.
    async fn carry_out(&self, steps: Vec<Step>, policy: &Policy, clock: &dyn Fn() -> Timestamp) -> Result<Report, Unavailable> {
        let mut by_source: BTreeMap<DataSourceId, Vec<Step>> = BTreeMap::new();
        for step in steps {
            by_source.entry(step.source().id.clone()).or_default().push(step);
        }
        let results = join_all(by_source.into_values().map(|steps| self.work_on(steps, policy, clock))).await;
        let mut report = Report::default();
        let mut first_error = None;
        for result in results {
            match result {
                Ok(of_source) => report.merge(of_source),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        first_error.map_or(Ok(report), Err)
    }

    /// Has the loop woken at a time, unless a message that comes no later than a new one would is on its way. Gives the
    /// time for which the next message is on its way.
    async fn wake_again(
        &self,
        wake_at: Option<Timestamp>,
        next: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Unavailable> {
        let Some(wake_at) = wake_at else { return Ok(next) };
        // A queue delays by whole seconds. What is a moment away when the message is sent is there when it is read.
        let delay = (wake_at.duration_since(now) - ON_ITS_WAY).clamp(SignedDuration::ZERO, LONGEST_DELAY);
        let delay = SignedDuration::from_secs(delay.as_secs() + i64::from(delay.subsec_nanos() > 0));
        let comes_at = now + delay;
        if next.is_some_and(|next| next > now && next <= comes_at) {
            return Ok(next);
        }
        self.wakes.wake(delay).await?;
        self.store.set_next_wake(comes_at).await?;
        Ok(Some(comes_at))
    }
}

impl Report {
    fn count_holds(&mut self, holds: &[flywheel_model::Event]) {
        self.holds += holds.iter().filter(|event| matches!(event.body, Body::SyncHeld(_))).count() as u64;
    }
}
