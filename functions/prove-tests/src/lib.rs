//! Runs regression tests against an assistant.
//!
//! A suite was written. Its tests that wait for their proof are run against the version that failed, which is still the one
//! in production: a test that fails each time counts from then on, one that does not is set aside with its numbers. The suite
//! is written again, which is told like every write, and so whatever is left is proved next.

mod rehearse;

use std::time::{Duration, Instant};

use flywheel_model::{Event, Id, Key, ProofRuns, RegressionTest, Suite, SuiteChange, SuiteChangeKind, SuiteReceipt, TestProved, TestState};
use flywheel_policy::{Mode, Policy};
use flywheel_ports::{AssistantUnderTest, Bus, Suites, Unavailable};
use jiff::Timestamp;

pub use rehearse::{Rehearsal, rehearse};

/// After so long no further test is begun: the suite is written with what is known, and the rest is for the next invocation.
const TIME: Duration = Duration::from_secs(300);

/// Tries to be the one who writes a suite.
const TRIES: usize = 5;

/// The world that tests are proved in.
#[derive(Debug)]
pub struct World<S, B> {
    /// The suites.
    pub suites: S,
    /// The bus.
    pub bus: B,
}

impl<S: Suites, B: Bus> World<S, B> {
    /// Proves the tests of an intent that wait for it, and says how many. Nothing where the policy names no assistant for it, or
    /// says dry run: running a test costs.
    ///
    /// # Errors
    /// If something that it needs does not answer. Proving again proves what is left.
    pub async fn prove<A: AssistantUnderTest>(
        &self,
        intent: &Key,
        cause: &Id,
        policy: &Policy,
        assistant: impl Fn(&flywheel_policy::TestTarget) -> A,
        now: Timestamp,
    ) -> Result<u64, Unavailable> {
        let Some(target) = policy.tests.target(intent, None).filter(|_| policy.mode == Mode::Act) else { return Ok(0) };
        let Some((suite, _)) = self.suites.suite(intent).await? else { return Ok(0) };
        let (assistant, begun) = (assistant(target), Instant::now());
        let mut proved = Vec::new();
        for test in suite.tests.iter().filter(|test| waits_for_proof(test)) {
            if begun.elapsed() > TIME {
                break;
            }
            // A test that fails since the assistant is slow today proves nothing.
            let mut test = test.clone();
            test.expects.budget = None;
            let mut failed = 0;
            for run in 0..policy.tests.proof_runs {
                let rehearsal = rehearse(&test, &assistant, &format!("{}-{run}", test.test)).await?;
                failed += u32::from(!rehearsal.shortfalls.is_empty());
            }
            proved.push((test.test, ProofRuns { target: target.name.to_string(), failed, runs: policy.tests.proof_runs, at: now }));
        }
        if !proved.is_empty() {
            self.keep(intent, &proved, cause, policy.tests.review, now).await?;
        }
        Ok(proved.len() as u64)
    }

    /// Writes what came of proofs into a suite, whatever else was written meanwhile.
    async fn keep(&self, intent: &Key, proved: &[(Id, ProofRuns)], cause: &Id, review: bool, now: Timestamp) -> Result<(), Unavailable> {
        for _ in 0..TRIES {
            let Some((mut suite, tag)) = self.suites.suite(intent).await? else { return Ok(()) };
            let events: Vec<Event> = proved.iter().filter_map(|(test, runs)| take_in(&mut suite, test, runs, cause, review, now)).collect();
            if events.is_empty() {
                return Ok(());
            }
            self.bus.publish(&events).await?;
            if let Some(written) = self.suites.put_suite(&suite, Some(&tag), now).await? {
                let receipt = SuiteReceipt::of(&suite, written.object, written.sha256);
                return self.bus.publish(&[receipt.event(&events[0].id, now)]).await;
            }
        }
        Err(Unavailable { what: "write a suite", why: format!("{TRIES} times others wrote it") })
    }
}

/// Whether a test has to be run before it can count.
fn waits_for_proof(test: &RegressionTest) -> bool {
    test.state == TestState::Proposed && !test.expects.is_empty() && test.proof.runs.is_none()
}

/// Takes a proof into a suite, if its test still waits for it, and tells of it.
fn take_in(suite: &mut Suite, test: &Id, runs: &ProofRuns, cause: &Id, review: bool, now: Timestamp) -> Option<Event> {
    let intent = suite.intent.clone();
    let proved = suite.tests.iter_mut().find(|other| other.test == *test).filter(|test| waits_for_proof(test))?;
    proved.proof.runs = Some(runs.clone());
    let told = format!("{} of {} runs against {} failed.", runs.failed, runs.runs, runs.target);
    let what = if runs.failed < runs.runs {
        proved.state = TestState::Flickering;
        Some(SuiteChangeKind::Flickers)
    } else if review {
        None
    } else {
        proved.state = TestState::Active;
        Some(SuiteChangeKind::Activated)
    };
    let state = proved.state.word().to_owned();
    if let Some(what) = what {
        let change = SuiteChange { test: test.clone(), what, why: told, finding: None, conversations: Vec::new(), at: now };
        suite.changes.insert(0, change);
        suite.changes.truncate(Suite::CHANGES);
    }
    Some(TestProved { test: test.clone(), intent, runs: runs.clone(), state }.event(cause, now))
}
