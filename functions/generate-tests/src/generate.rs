//! From failed conversations to the suite of their intent.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_engine::regression::{Generated, generate};
use flywheel_model::{Id, Key, Observation, SuiteReceipt};
use flywheel_policy::Policy;
use flywheel_ports::{Bus, ConversationIndex, Noted, Observations, Suites, Unavailable};
use futures::{StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};

use crate::World;

/// The latest failed conversations that are looked at. More of the same fail no differently.
const FAILED_AT_MOST: usize = 500;

/// The latest resolved conversations that they are compared with.
const RESOLVED_AT_MOST: usize = 200;

/// Objects of evidence read at the same time: each is some hundred kilobytes in memory.
const AT_ONCE: usize = 8;

/// Tries to be the one who writes a suite.
const TRIES: usize = 5;

/// What became of a request for tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Failed conversations that were looked at.
    pub failed: u64,
    /// Changes of suites.
    pub changes: u64,
    /// Requests that came to nothing, with a reason.
    pub held: u64,
}

impl Report {
    pub(crate) const fn add(&mut self, other: Self) {
        self.failed += other.failed;
        self.changes += other.changes;
        self.held += other.held;
    }
}

impl<O: Observations, I: ConversationIndex, S: Suites, B: Bus> World<O, I, S, B> {
    /// Makes tests of the conversations of an intent that failed since a time, and keeps them in its suite. Without a
    /// finding somebody asked for it.
    ///
    /// # Errors
    /// If something that it needs does not answer, or others are always faster. Making them again does nothing twice.
    pub async fn generate(
        &self,
        intent: &Key,
        since: Timestamp,
        finding: Option<&Id>,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Report, Unavailable> {
        let kept_since = now - SignedDuration::from_hours(24 * i64::from(policy.tests.keep_days));
        let failed = self.conversations(intent, true, since.max(kept_since), FAILED_AT_MOST).await?;
        let resolved = self.conversations(intent, false, kept_since, RESOLVED_AT_MOST).await?;
        let mut report = Report { failed: failed.len() as u64, ..Report::default() };
        for _ in 0..TRIES {
            let before = self.suites.suite(intent).await?;
            let (suite, tag) = before.as_ref().map_or((None, None), |(suite, tag)| (Some(suite), Some(tag.as_str())));
            match generate(intent, suite, &failed, &resolved, policy, finding, now) {
                Generated::Nothing => return Ok(report),
                Generated::Held(hold) => {
                    report.held = 1;
                    let cause = finding.cloned().unwrap_or_else(|| Id::of("tests.asked", &[intent.as_str(), &now.to_string()]));
                    self.bus.publish(&[hold.event(&cause, now)]).await?;
                    return Ok(report);
                }
                Generated::Changed { suite, decision } => {
                    report.changes = decision.changes.len() as u64;
                    let decision = decision.event(finding.cloned().into_iter().collect(), now);
                    self.bus.publish(std::slice::from_ref(&decision)).await?;
                    let Some(written) = self.suites.put_suite(&suite, tag, now).await? else { continue };
                    let receipt = SuiteReceipt::of(&suite, written.object, written.sha256);
                    self.bus.publish(&[receipt.event(&decision.id, now)]).await?;
                    return Ok(report);
                }
            }
        }
        Err(Unavailable { what: "write a suite", why: format!("{TRIES} times others wrote it") })
    }

    /// The latest conversations of an intent that failed, or that did not. What was erased since is not among them.
    async fn conversations(&self, intent: &Key, failed: bool, since: Timestamp, at_most: usize) -> Result<Vec<Observation>, Unavailable> {
        let noted = self.index.noted(intent, failed, since, at_most).await?;
        let mut wanted = BTreeMap::<String, BTreeSet<Id>>::new();
        for Noted { signal, evidence, .. } in noted {
            wanted.entry(evidence).or_default().insert(signal);
        }
        let read = |(evidence, signals): (String, BTreeSet<Id>)| async move {
            let mut observations = self.observations.counted(&evidence).await?;
            observations.retain(|observation| signals.contains(&observation.signal.identity()));
            Ok(observations)
        };
        futures::stream::iter(wanted).map(read).buffered(AT_ONCE).try_concat().await
    }
}
