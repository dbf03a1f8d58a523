//! Follows when a workflow's runs end, and moves its limit to where they complete.
//!
//! Two kinds of messages come. A batch of signals that was kept and counted: its runs are taken into the histograms of
//! their day, each once. A review, every few minutes: the engine says what is to be done about each limit of the policy,
//! and it is done. What is of high risk waits for a person: it is remembered first, then they are asked, and each review
//! looks whether they answered. A change is recorded before it is made and after; whoever finds one that was not recorded
//! as made makes it, which does no harm if it was.

use std::collections::BTreeMap;

use flywheel_engine::timeouts::{self, Day, Next, Present, Runs, State, WINDOW_DAYS};
use flywheel_kit::trigger;
use flywheel_model::{
    Approval, Body, Event, Fact, Limit, Setting, SettingChange, Signal, SignalBatch, TimeoutAnswer, TimeoutChange, WorkflowRun,
};
use flywheel_policy::{Mode, Policy, TimeoutPolicy};
use flywheel_ports::{ApprovalTasks, Approvals, Bus, KeptRuns, NoAnswer, Observations, Settings, TimeoutStore, Unavailable, stands};
use jiff::Timestamp;

/// Tries to write what others write at the same time.
const RACES: usize = 8;

/// What may follow in one review of a limit: an exploration ends, and what it taught is acted upon.
const ROUNDS: usize = 3;

/// The world that limits are adjusted in.
#[derive(Debug)]
pub struct World<T, O, S, A, Q, B> {
    /// What is known of limits and runs.
    pub store: T,
    /// The evidence.
    pub observations: O,
    /// The settings that hold the limits.
    pub settings: S,
    /// What people were asked and said.
    pub approvals: A,
    /// The tasks that ask them.
    pub tasks: Q,
    /// The bus.
    pub bus: B,
}

/// What a message asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Take in the runs of this object of the evidence.
    TakeIn(String),
    /// Look at every limit.
    Review,
}

/// What reviews came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Changes that were made, those that were taken back too.
    pub changed: u64,
    /// Changes that AWS refused, or that found another value than was expected.
    pub not_changed: u64,
    /// Decisions to leave a limit as it is that are news.
    pub held: u64,
}

/// Reads a message of the queue.
///
/// # Errors
/// Why it is none that comes there, naming what was expected.
pub fn read(body: &str) -> Result<Asked, String> {
    if trigger(body).as_deref() == Some("review") {
        return Ok(Asked::Review);
    }
    let (_, batch) = SignalBatch::from_envelope(body)?;
    Ok(Asked::TakeIn(batch.evidence))
}

impl<T: TimeoutStore, O: Observations, S: Settings, A: Approvals, Q: ApprovalTasks, B: Bus> World<T, O, S, A, Q, B> {
    /// Takes the runs of an object of the evidence into those of each limit that cuts them. Doing it again adds what was
    /// not counted before, and nothing twice. Says how many were added.
    ///
    /// # Errors
    /// If something that it needs does not answer, or others write the same rows all the time.
    pub async fn take_in(&self, evidence: &str, policy: &Policy) -> Result<u64, Unavailable> {
        if policy.timeouts.is_empty() {
            return Ok(0);
        }
        let observations = self.observations.counted(evidence).await?;
        let signals: Vec<&Signal> = observations.iter().map(|observation| &observation.signal).collect();
        let mut added = 0;
        for timeout in &policy.timeouts {
            let of_it: Vec<(&Signal, &WorkflowRun)> =
                signals.iter().filter_map(|signal| Some((*signal, run_of(signal).filter(|run| cuts(timeout, run))?))).collect();
            if !of_it.is_empty() {
                added += self.add(timeout, evidence, &of_it).await?;
            }
        }
        Ok(added)
    }

    async fn add(&self, policy: &TimeoutPolicy, evidence: &str, runs: &[(&Signal, &WorkflowRun)]) -> Result<u64, Unavailable> {
        let timeout = &policy.name;
        let state = self.store.timeout(timeout).await?;
        // Before the first review nothing is known of the limits that were in force; the present one was, most likely.
        let present = if state.limits.is_empty() { self.present(&policy.target).await?.ok() } else { None };
        // Many roads do not tell the limit that a run had.
        let limit_at = |at| state.limit_at(at).or(present.map(|limit| limit.seconds));
        for _ in 0..RACES {
            let mut taken = self.store.taken(timeout, evidence).await?;
            let before = taken.signals.len();
            let mut more: BTreeMap<Day, Runs> = BTreeMap::new();
            for (signal, run) in runs {
                if taken.signals.insert(signal.identity()) {
                    let limit_seconds = run.limit_seconds.or_else(|| limit_at(signal.at));
                    more.entry(Day::of(signal.at)).or_default().add(&WorkflowRun { limit_seconds, ..(*run).clone() });
                }
            }
            let Some(first) = more.keys().next() else { return Ok(0) };
            let mut days = self.store.days(timeout, *first).await?;
            let changed: BTreeMap<Day, KeptRuns> = more
                .iter()
                .map(|(day, more)| {
                    let mut kept = days.remove(day).unwrap_or_default();
                    kept.runs.merge(more);
                    (*day, kept)
                })
                .collect();
            if self.store.take_in(timeout, evidence, &taken, &changed).await? {
                return Ok((taken.signals.len() - before) as u64);
            }
        }
        Err(Unavailable { what: "take runs in", why: format!("{RACES} times others wrote the same rows") })
    }

    /// Looks at every limit of the policy, and does what is to be done.
    ///
    /// # Errors
    /// If something that it needs does not answer. The next review goes on where this one stopped.
    pub async fn review(&self, policy: &Policy, now: Timestamp) -> Result<Report, Unavailable> {
        let mut report = Report::default();
        let mut failed = None;
        for timeout in &policy.timeouts {
            // One setting that does not answer is no reason to leave the others alone.
            if let Err(error) = self.review_one(policy, timeout, now, &mut report).await {
                tracing::warn!(timeout = timeout.name.as_str(), %error, "to be reviewed again");
                failed = Some(error);
            }
        }
        failed.map_or(Ok(report), Err)
    }

    async fn review_one(&self, policy: &Policy, timeout: &TimeoutPolicy, now: Timestamp, report: &mut Report) -> Result<(), Unavailable> {
        for _ in 0..ROUNDS {
            let known = self.known(timeout, now).await?;
            let approval = self.answer(policy, &known.state, now).await?;
            match timeouts::next(policy, timeout, &known.days, &known.present, &known.state, approval.as_ref(), now) {
                Next::Nothing => return Ok(()),
                Next::Tell(events, state) => {
                    report.held += events.iter().filter(|event| matches!(event.body, Body::TimeoutHeld(_))).count() as u64;
                    self.bus.publish(&events).await?;
                    self.store.save_timeout(&timeout.name, &state).await?;
                }
                Next::Make(events, state) => self.make(timeout, &events, *state, now, report).await?,
            }
        }
        Ok(())
    }

    /// How it stands with what a person is asked about a limit. Who remembered a question may have died before it was asked.
    async fn answer(&self, policy: &Policy, state: &State, now: Timestamp) -> Result<Option<Approval>, Unavailable> {
        let Some(request) = state.awaiting.as_ref().map(|awaiting| &awaiting.request) else { return Ok(None) };
        let found = stands(&self.approvals, request, now).await?;
        if found.is_none() && policy.mode == Mode::Act {
            self.tasks.begin(request).await?;
        }
        Ok(found)
    }

    /// What is known of a limit.
    ///
    /// # Errors
    /// If something does not answer.
    pub async fn known(&self, timeout: &TimeoutPolicy, now: Timestamp) -> Result<Known, Unavailable> {
        let state = self.store.timeout(&timeout.name).await?;
        let days = self.store.days(&timeout.name, Day(Day::of(now).0 - WINDOW_DAYS)).await?;
        let days = days.into_iter().map(|(day, kept)| (day, kept.runs)).collect();
        let limit = self.present(&timeout.target).await?;
        let visibility = match &timeout.queue {
            Some(queue) => Some(self.present(&Setting::QueueVisibility { queue: queue.clone() }).await?.map(|limit| limit.seconds)),
            None => None,
        };
        Ok(Known { days, state, present: Present { limit, visibility } })
    }

    async fn present(&self, setting: &Setting) -> Result<Result<Limit, String>, Unavailable> {
        match self.settings.present(setting).await {
            Ok(limit) => Ok(Ok(limit)),
            Err(NoAnswer::Refused(why)) => Ok(Err(why)),
            Err(NoAnswer::Later(why)) => Err(Unavailable { what: "read a setting", why }),
        }
    }

    /// Publishes a decision, records it, makes the change, and records that. Somebody who was faster goes on with it.
    ///
    /// # Errors
    /// If something does not answer; whoever looks next resumes it.
    pub async fn make(
        &self,
        timeout: &TimeoutPolicy,
        events: &[Event],
        state: State,
        now: Timestamp,
        report: &mut Report,
    ) -> Result<(), Unavailable> {
        self.bus.publish(events).await?;
        if !self.store.save_timeout(&timeout.name, &state).await? {
            return Ok(());
        }
        let state = State { revision: state.revision + 1, ..state };
        let Some(under_way) = &state.under_way else { return Ok(()) };
        let answer = self.set_all(&under_way.change).await?;
        match &answer {
            TimeoutAnswer::Made => report.changed += 1,
            TimeoutAnswer::ChangedMeanwhile(why) | TimeoutAnswer::Refused(why) => {
                report.not_changed += 1;
                tracing::warn!(timeout = timeout.name.as_str(), why, "a limit was not changed");
            }
        }
        let Some((receipt, state)) = timeouts::made(timeout, &state, answer, now) else { return Ok(()) };
        self.bus.publish(&[receipt]).await?;
        self.store.save_timeout(&timeout.name, &state).await?;
        Ok(())
    }

    /// Makes all changes of a set, or takes back those that were made.
    async fn set_all(&self, change: &TimeoutChange) -> Result<TimeoutAnswer, Unavailable> {
        let mut done: Vec<&SettingChange> = Vec::new();
        for one in &change.changes {
            let answer = self.settings.set(one).await?;
            if answer == TimeoutAnswer::Made {
                done.push(one);
                continue;
            }
            for made in done.into_iter().rev() {
                let back = SettingChange { setting: made.setting.clone(), from: made.to, to: made.from };
                self.settings.set(&back).await?;
            }
            return Ok(answer);
        }
        Ok(TimeoutAnswer::Made)
    }
}

/// What is known of a limit.
#[derive(Debug, Clone)]
pub struct Known {
    /// The runs of the last weeks, by day.
    pub days: BTreeMap<Day, Runs>,
    /// What is remembered.
    pub state: State,
    /// What stands in the settings.
    pub present: Present,
}

fn run_of(signal: &Signal) -> Option<&WorkflowRun> {
    match &signal.fact {
        Fact::WorkflowRun(run) => Some(run),
        _ => None,
    }
}

/// Whether a limit is the one that cuts a run. Where limits differ by calls of tools, a run that tells none counts for none.
fn cuts(timeout: &TimeoutPolicy, run: &WorkflowRun) -> bool {
    let in_range = timeout.tool_calls.as_ref().is_none_or(|range| run.tool_calls.is_some_and(|calls| range.contains(&calls)));
    timeout.workflow == run.workflow && in_range
}
