//! From failed conversations to the suite of their intent.

use std::collections::BTreeSet;

use flywheel_engine::regression::{Generated, INSTRUCTIONS, conversation_of, generate, propose_retirements, take_proposal};
use flywheel_model::{Finding, Id, Key, Suite, SuiteChangeKind, SuiteDecision, SuiteReceipt};
use flywheel_policy::{Mode, Policy};
use flywheel_ports::{Bus, ConversationIndex, Observations, Proposer, Suites, Unavailable, read_noted};
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};

use crate::World;

/// The latest failed conversations that are looked at. More of the same fail no differently.
const FAILED_AT_MOST: usize = 500;

/// The latest resolved conversations that they are compared with.
const RESOLVED_AT_MOST: usize = 200;

/// Questions asked of a model at the same time.
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

impl<O: Observations, I: ConversationIndex, S: Suites, B: Bus, P: Proposer> World<O, I, S, B, P> {
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
        let failed = read_noted(&self.index, &self.observations, intent, true, since.max(kept_since), FAILED_AT_MOST).await?;
        let resolved = read_noted(&self.index, &self.observations, intent, false, kept_since, RESOLVED_AT_MOST).await?;
        let mut report = Report { failed: failed.len() as u64, ..Report::default() };
        for _ in 0..TRIES {
            let before = self.suites.suite(intent).await?;
            let (suite, tag) = before.as_ref().map_or((None, None), |(suite, tag)| (Some(suite), Some(tag.as_str())));
            match generate(intent, suite, &failed, &resolved, policy, finding, now) {
                Generated::Nothing => return Ok(report),
                Generated::Held(hold) => {
                    report.held = 1;
                    let cause = finding.map_or_else(|| Id::of("tests.asked", &[intent.as_str(), &now.to_string()]), Finding::opening);
                    self.bus.publish(&[hold.event(&cause, now)]).await?;
                    return Ok(report);
                }
                Generated::Changed { mut suite, decision } => {
                    report.changes = decision.changes.len() as u64;
                    self.let_propose(&mut suite, &decision, policy).await;
                    if self.keep(&suite, tag, decision, finding, now).await? {
                        return Ok(report);
                    }
                }
            }
        }
        Err(Unavailable { what: "write a suite", why: format!("{TRIES} times others wrote it") })
    }

    /// Proposes to retire what has passed for long, and says how much that is.
    pub(crate) async fn propose_retirements(&self, intent: &Key, policy: &Policy, now: Timestamp) -> Result<u64, Unavailable> {
        let Some((suite, tag)) = self.suites.suite(intent).await? else { return Ok(0) };
        let Some((next, decision)) = propose_retirements(&suite, policy, now) else { return Ok(0) };
        let changes = decision.changes.len() as u64;
        // If somebody else was faster, the next look proposes it.
        Ok(if self.keep(&next, Some(&tag), decision, None, now).await? { changes } else { 0 })
    }

    /// Publishes what was decided and writes the suite. `false` if somebody else was faster.
    async fn keep(
        &self,
        suite: &Suite,
        tag: Option<&str>,
        decision: SuiteDecision,
        finding: Option<&Id>,
        now: Timestamp,
    ) -> Result<bool, Unavailable> {
        let decision = decision.event(finding.map(Finding::opening).into_iter().collect(), now);
        self.bus.publish(std::slice::from_ref(&decision)).await?;
        let Some(written) = self.suites.put_suite(suite, tag, now).await? else { return Ok(false) };
        let receipt = SuiteReceipt::of(suite, written.object, written.sha256);
        self.bus.publish(&[receipt.event(&decision.id, now)]).await?;
        Ok(true)
    }

    /// Lets the policy's model propose a title and questions for new tests that only a judge can tell of. What it does not
    /// answer, or answers wrongly, is done without.
    async fn let_propose(&self, suite: &mut Suite, decision: &SuiteDecision, policy: &Policy) {
        let Some(model) = policy.tests.model.as_deref().filter(|_| policy.mode == Mode::Act) else { return };
        let added: BTreeSet<&Id> =
            decision.changes.iter().filter(|change| change.what == SuiteChangeKind::Added).map(|change| &change.test).collect();
        let new = suite.tests.iter_mut().filter(|test| test.rubric.is_some() && added.contains(&test.test));
        futures::stream::iter(new)
            .for_each_concurrent(AT_ONCE, |test| async move {
                let answer = self.proposer.propose(model, INSTRUCTIONS, &conversation_of(test)).await.map_err(|error| error.to_string());
                if let Err(why) = answer.and_then(|answer| take_proposal(test, model, &answer)) {
                    tracing::warn!(test = test.test.as_str(), why, "the model's proposal is not used");
                }
            })
            .await;
    }
}
