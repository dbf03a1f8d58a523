//! Grades actions by the number that triggered them.
//!
//! Two kinds of messages come. An event says that an action took effect: it is remembered, with the rate that triggered it. A
//! review, every quarter of an hour: the engine says of each action that is remembered what it did to its rate, once that is
//! clear or time is up. A verdict is kept before it is told, and counts as told once it was; whoever finds one that was not
//! tells it again, word for word.

use flywheel_engine::outcomes::{Awaited, Known, awaited, grade, is_due, looked_up};
use flywheel_kit::trigger;
use flywheel_model::{Event, Metric};
use flywheel_policy::Policy;
use flywheel_ports::{Bus, Histories, LedgerStore, OutcomeStore, Pending, Unavailable};
use jiff::Timestamp;

/// The world that actions are graded in.
#[derive(Debug)]
pub struct World<L, H, S, B> {
    /// Where it can be looked up what an action answered.
    pub ledger: L,
    /// The counts.
    pub histories: H,
    /// Which actions are to be graded, and which were.
    pub store: S,
    /// The bus.
    pub bus: B,
}

/// What a message asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// Remember the action that took effect, if it is one.
    Expect(Box<Event>),
    /// Look at every action that is remembered.
    Review,
}

/// What a review came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Verdicts that were told.
    pub graded: u64,
    /// Actions that are to be taken back.
    pub undone: u64,
    /// What was left to a person.
    pub escalated: u64,
}

/// Reads a message of the queue.
///
/// # Errors
/// Why it is none that comes there, naming what was expected.
pub fn read(body: &str) -> Result<Asked, String> {
    if trigger(body).as_deref() == Some("review") {
        return Ok(Asked::Review);
    }
    Event::from_envelope(body).map(|event| Asked::Expect(Box::new(event)))
}

impl<L: LedgerStore, H: Histories, S: OutcomeStore, B: Bus> World<L, H, S, B> {
    /// Remembers the actions that took effect with an event. Says how many there are.
    ///
    /// # Errors
    /// If something that it needs does not answer, or the ledger does not have yet what the action answered.
    pub async fn expect(&self, event: &Event, policy: &Policy) -> Result<u64, Unavailable> {
        let found = match looked_up(event) {
            Some(id) => {
                let why = || Unavailable { what: "look up what an action answered", why: format!("{id} is not in the ledger yet") };
                Some(self.ledger.recorded(std::slice::from_ref(&id)).await?.pop().ok_or_else(why)?)
            }
            None => None,
        };
        let actions = awaited(event, found.as_ref().map(|entry| &entry.event), policy);
        for action in &actions {
            self.store.expect(action).await?;
        }
        Ok(actions.len() as u64)
    }

    /// Grades every action whose effect is clear, or whose time is up.
    ///
    /// # Errors
    /// If something that it needs does not answer. The next review goes on where this one stopped.
    pub async fn review(&self, policy: &Policy, now: Timestamp) -> Result<Report, Unavailable> {
        let mut report = Report::default();
        let pending = self.store.pending().await?;
        for metric in Metric::ALL {
            let of_it: Vec<&Pending> = pending.iter().filter(|pending| pending.awaited.metric == metric).collect();
            // Nothing is read for what cannot be told yet.
            if of_it.iter().any(|pending| pending.graded.is_some() || is_due(&pending.awaited, policy, now)) {
                self.review_metric(metric, &of_it, policy, now, &mut report).await?;
            }
        }
        Ok(report)
    }

    async fn review_metric(
        &self,
        metric: Metric,
        pending: &[&Pending],
        policy: &Policy,
        now: Timestamp,
        report: &mut Report,
    ) -> Result<(), Unavailable> {
        let histories = self.histories.histories(metric).await?;
        let graded_before = self.store.graded(metric).await?;
        let all_awaited: Vec<Awaited> = pending.iter().map(|pending| pending.awaited.clone()).collect();
        let known = Known { histories: &histories, awaited: &all_awaited, graded: &graded_before };
        for Pending { awaited, graded } in pending {
            let verdict = match graded {
                Some(kept) => kept.clone(),
                None => {
                    let Some(verdict) = grade(awaited, known, policy, now) else { continue };
                    // Another process may have looked a moment earlier: its verdict stands, and the next review tells it.
                    if !self.store.grade(&verdict).await? {
                        continue;
                    }
                    verdict
                }
            };
            self.bus.publish(&verdict.events()).await?;
            self.store.settle(&verdict).await?;
            report.graded += 1;
            report.undone += u64::from(verdict.undo.is_some());
            report.escalated += u64::from(verdict.escalation.is_some());
        }
        Ok(())
    }
}
