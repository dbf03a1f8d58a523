//! What regression tests need.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_model::{Id, Key, Observation, Suite, Turn};
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use crate::{Observations, Unavailable};

/// Which conversations of an intent there were, so that those of a window are found without reading all evidence.
pub trait ConversationIndex {
    /// Notes conversations. Noting one again changes nothing.
    async fn note(&self, conversations: &[Noted]) -> Result<(), Unavailable>;

    /// The latest conversations of an intent since a time that failed (or did not), newest first, at most so many.
    async fn noted(&self, intent: &Key, failed: bool, since: Timestamp, at_most: usize) -> Result<Vec<Noted>, Unavailable>;

    /// Remembers an open finding.
    async fn keep_finding(&self, open: &OpenFinding) -> Result<(), Unavailable>;

    /// Forgets a finding that is closed.
    async fn drop_finding(&self, finding: &Id) -> Result<(), Unavailable>;

    /// The findings that are open.
    async fn open_findings(&self) -> Result<Vec<OpenFinding>, Unavailable>;
}

/// Objects of evidence read at the same time: each is some hundred kilobytes in memory.
const AT_ONCE: usize = 8;

/// The latest conversations of an intent since a time that failed (or did not), at most so many. What was erased since is not
/// among them.
///
/// # Errors
/// If the index or the evidence does not answer.
pub async fn read_noted(
    index: &impl ConversationIndex,
    observations: &impl Observations,
    intent: &Key,
    failed: bool,
    since: Timestamp,
    at_most: usize,
) -> Result<Vec<Observation>, Unavailable> {
    let mut wanted = BTreeMap::<String, BTreeSet<Id>>::new();
    for Noted { signal, evidence, .. } in index.noted(intent, failed, since, at_most).await? {
        wanted.entry(evidence).or_default().insert(signal);
    }
    let read = |(evidence, signals): (String, BTreeSet<Id>)| async move {
        let mut found = observations.counted(&evidence).await?;
        found.retain(|observation| signals.contains(&observation.signal.identity()));
        Ok(found)
    };
    futures::stream::iter(wanted).map(read).buffered(AT_ONCE).try_concat().await
}

/// A conversation, as the index has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// Its signal's identity: by it its observation is found.
    pub signal: Id,
    /// What the user wanted.
    pub intent: Key,
    /// When.
    pub at: Timestamp,
    /// Whether something speaks for a failure; otherwise something tells that it was resolved.
    pub failed: bool,
    /// The object of the evidence that holds its observation.
    pub evidence: String,
}

/// A finding that tests are made for as long as it is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenFinding {
    /// Which.
    pub finding: Id,
    /// About what.
    pub intent: Key,
    /// Since when the conversations fail.
    pub since: Timestamp,
}

/// Where the suites are kept.
pub trait Suites {
    /// The suite of an intent and the tag of that state of it; nothing if there is none.
    async fn suite(&self, intent: &Key) -> Result<Option<(Suite, String)>, Unavailable>;

    /// Puts a suite in the place of the one with this tag, or of none. Nothing if somebody else was faster.
    async fn put_suite(&self, suite: &Suite, tag: Option<&str>, at: Timestamp) -> Result<Option<WrittenSuite>, Unavailable>;

    /// Forgets all versions of a suite but the latest: what was erased must not stand in them.
    async fn forget_earlier(&self, intent: &Key) -> Result<(), Unavailable>;

    /// The intents that have a suite.
    async fn intents(&self) -> Result<Vec<Key>, Unavailable>;
}

/// A suite that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenSuite {
    /// The bucket's object.
    pub object: String,
    /// The hash of its bytes.
    pub sha256: String,
}

/// A model that proposes titles and questions for a judge.
pub trait Proposer {
    /// What it writes, by these instructions, about a conversation told as JSON.
    async fn propose(&self, model: &str, instructions: &str, conversation: &str) -> Result<String, Unavailable>;
}

/// An assistant that tests are run against.
pub trait AssistantUnderTest {
    /// Its next turn, after these: what it says, the tools that it calls, or both. The caller answers the calls. `run` tells
    /// one run of a test from all others, for assistants that keep a session.
    async fn reply(&self, run: &str, turns: &[Turn]) -> Result<Reply, NoReply>;
}

/// A turn of an assistant.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// What it said and called.
    pub turn: Turn,
    /// Tokens written, as far as it tells.
    pub tokens: Option<u64>,
}

/// Why an assistant gave no turn.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoReply {
    /// It does not answer now: nothing is known of the test.
    #[error("{0}")]
    Unavailable(Unavailable),
    /// It answered with something that is no turn, or with an error of its own: the test has failed.
    #[error("{0}")]
    Broken(String),
}
