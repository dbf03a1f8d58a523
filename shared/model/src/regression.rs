//! Regression tests: conversations that failed, as something that can be run again and that fails until it is mended.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Body, Decided, Event, Id, Key};

/// A regression test: what a user says, what tools answer, and what the assistant must do and must not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RegressionTest {
    /// Tells it from all others: made of the intent and of how its conversations failed, so the same failure makes the same
    /// test.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub test: Id,
    /// What the user wants.
    pub intent: Key,
    /// What it guards, in a sentence.
    pub title: String,
    /// Whether it counts.
    pub state: TestState,
    /// What the conversations have in common that it stands for, a statement each: "the tool `find_order` failed".
    pub shares: Vec<String>,
    /// The step that went wrong in the conversation that it was made from; none if that cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub located: Option<Located>,
    /// What the user says, turn by turn, redacted.
    pub says: Vec<String>,
    /// What tools answer, in the order in which they were called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixtures: Vec<Fixture>,
    /// The resolved conversations that lent an answer which the one that failed does not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lent_by: Vec<TestSource>,
    /// What must hold, checked without a model.
    pub expects: Expectations,
    /// Where the right answer comes from.
    pub answer_from: AnswerOrigin,
    /// What a judge is to look for where nothing better is known. It never gates alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rubric: Option<Rubric>,
    /// Whether it fails on what it is made to catch, and can be passed.
    pub proof: Proof,
    /// Since when each run of the suite passed it; none if the last one did not, or there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passing: Option<Passing>,
    /// The conversations that it stands for, newest first, at most [`RegressionTest::SOURCES`]; the first is the one that it
    /// was made from.
    pub sources: Vec<TestSource>,
    /// How many conversations it stands for.
    pub conversations: u64,
}

impl RegressionTest {
    /// The most conversations that a test names. `conversations` counts all.
    pub const SOURCES: usize = 50;

    /// How the ledger calls a test.
    #[must_use]
    pub fn subject(test: &Id) -> String {
        format!("test/{test}")
    }

    /// Whether it decides over a release: it is active, and something that no model judges can fail in it.
    #[must_use]
    pub fn gates(&self) -> bool {
        matches!(self.state, TestState::Active) && !self.expects.is_empty()
    }
}

/// Whether a test counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum TestState {
    /// It waits for a person, or for its proof.
    Proposed,
    /// It counts.
    Active,
    /// It sometimes passes against the version that failed, so it says too little: its proof has the numbers.
    Flickering,
    /// It is no longer run.
    Retired(Decided),
}

impl TestState {
    /// The state in a word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Active => "active",
            Self::Flickering => "flickering",
            Self::Retired(_) => "retired",
        }
    }
}

/// The step of a conversation that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Located {
    /// The turn, counted from 0.
    pub turn: usize,
    /// The tool that was called there, or should have been; none if it is about what was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// What speaks for it, the strongest first.
    pub by: Vec<Clue>,
}

/// One piece of evidence that a step went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Clue {
    /// What kind of evidence.
    pub kind: ClueKind,
    /// The evidence itself, redacted.
    pub detail: String,
}

/// The kinds of evidence that a step went wrong, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ClueKind {
    /// The expected outcome is known, and here it was departed from.
    NotAsExpected,
    /// A tool failed and was not called again with success.
    ToolError,
    /// Something was said to be done for which no tool was called.
    ClaimWithoutCall,
    /// A tool's result was told otherwise.
    Contradiction,
    /// A call with arguments that no successful conversation of the intent has.
    OddArguments,
    /// A call that all successful conversations of the intent make, and this one did not.
    MissingCall,
    /// A call that no successful conversation of the intent makes.
    OddCall,
    /// After it the user was not content, or the conversation was handed over.
    BeforeComplaint,
    /// It says that it does not know.
    NoAnswer,
}

impl ClueKind {
    /// Its name, as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotAsExpected => "not_as_expected",
            Self::ToolError => "tool_error",
            Self::ClaimWithoutCall => "claim_without_call",
            Self::Contradiction => "contradiction",
            Self::OddArguments => "odd_arguments",
            Self::MissingCall => "missing_call",
            Self::OddCall => "odd_call",
            Self::BeforeComplaint => "before_complaint",
            Self::NoAnswer => "no_answer",
        }
    }
}

impl fmt::Display for ClueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a tool answered when it was called so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fixture {
    /// The tool.
    pub tool: String,
    /// What it was called with.
    #[serde(default)]
    pub arguments: Value,
    /// What it answered, redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// Whether it failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub error: bool,
}

/// What must hold of a run of a test, each of it checked without a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Expectations {
    /// Calls that must happen, each at least once, in any order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ExpectedCall>,
    /// Calls that must not happen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub no_calls: Vec<ExpectedCall>,
    /// The final state, as far as it is known: these tools change something, and of them no calls but the expected ones
    /// may succeed, each as often as it is expected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nothing_else_by: Vec<String>,
    /// What the assistant must say: of each list at least one text must stand in what it says, regardless of case, spaces
    /// and digit grouping.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub says: Vec<Vec<String>>,
    /// Texts that must not stand in anything that the assistant says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub never_says: Vec<String>,
    /// What a run may take at most: the gate holds it against a run, a proof does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<TestBudget>,
}

impl Expectations {
    /// Whether nothing can fail but the budget.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
            && self.no_calls.is_empty()
            && self.nothing_else_by.is_empty()
            && self.says.is_empty()
            && self.never_says.is_empty()
    }
}

/// A call of a tool, as far as it is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExpectedCall {
    /// The tool.
    pub tool: String,
    /// The arguments that matter, by name, with the values that they must have (null: any, but it must be given).
    /// Other arguments are free.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arguments: BTreeMap<String, Value>,
}

/// What a run may take at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestBudget {
    /// The assistant's turns, calls of tools included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<u32>,
    /// Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Tokens written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
}

/// Where the right answer comes from, the most trusted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum AnswerOrigin {
    /// An expected outcome that came with the conversation.
    Label,
    /// What a person did after the conversation was handed over.
    Person,
    /// What the successful conversations of the intent agree on.
    Agreement,
    /// What the conversation itself shows: a tool that must be called again, a claim that must not be made.
    Evidence,
    /// Nothing: only a judge can tell.
    Nothing,
}

impl AnswerOrigin {
    /// Its name, as in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Person => "person",
            Self::Agreement => "agreement",
            Self::Evidence => "evidence",
            Self::Nothing => "nothing",
        }
    }
}

/// What a judge looks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rubric {
    /// Questions to be answered with yes.
    pub questions: Vec<String>,
    /// The model that proposed them; none if they were made of the evidence by rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed_by: Option<String>,
}

/// A test that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Passing {
    /// The first of the runs that passed it, without one in between that did not.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "date-time")))]
    pub since: Timestamp,
    /// It has passed for so long that retiring it is proposed; a person decides.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retirement_proposed: bool,
}

/// Whether a test does what it is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Proof {
    /// What is wrong in the recorded conversation by its expectations; empty: the recording passes, so it proves nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fails_recorded: Vec<String>,
    /// Whether a known good continuation passes it; none where none is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passes_good: Option<bool>,
    /// Runs against the version that failed, with a target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<ProofRuns>,
}

/// Runs of a test against the version that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProofRuns {
    /// The target, as the policy names it.
    pub target: String,
    /// Runs that failed, as they should.
    pub failed: u32,
    /// Runs that were made.
    pub runs: u32,
    /// When.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "date-time")))]
    pub at: Timestamp,
}

/// A conversation that a test stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestSource {
    /// Its identity in the ledger.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub signal: Id,
    /// The conversation: its name, or the signal's.
    pub conversation: Key,
    /// The user's placeholder, so that what is theirs can be found and erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Key>,
    /// When it happened.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "date-time")))]
    pub at: Timestamp,
}

/// All tests of an intent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Suite {
    /// What the user wants.
    pub intent: Key,
    /// The tests, by id.
    pub tests: Vec<RegressionTest>,
    /// What was changed, newest first, at most [`Suite::CHANGES`]; the ledger has all of it.
    pub changes: Vec<SuiteChange>,
}

impl Suite {
    /// The most changes that a suite tells of.
    pub const CHANGES: usize = 200;

    /// How the ledger calls a suite.
    #[must_use]
    pub fn subject(intent: &Key) -> String {
        format!("suite/{intent}")
    }
}

/// One change of a suite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SuiteChange {
    /// The test.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub test: Id,
    /// What was done.
    pub what: SuiteChangeKind,
    /// Why, in a sentence.
    pub why: String,
    /// The finding that it follows from; none if somebody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub finding: Option<Id>,
    /// The signals of the conversations that came to the test with it, at most [`RegressionTest::SOURCES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub conversations: Vec<Id>,
    /// When.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "date-time")))]
    pub at: Timestamp,
}

/// What was done to a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum SuiteChangeKind {
    /// It was made.
    Added,
    /// More conversations failed so.
    Covered,
    /// It counts from now on.
    Activated,
    /// Runs against the version that failed say that it says too little.
    Flickers,
    /// It is no longer run.
    Retired,
    /// It has passed for long while its intent is healthy: retiring it is proposed.
    RetirementProposed,
}

/// A complete action: a suite gets these tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuiteDecision {
    /// Whose.
    pub intent: Key,
    /// What is done, without the tests' words: they are in the suite.
    pub changes: Vec<SuiteChange>,
    /// Failed conversations that were looked at.
    pub failed: u64,
    /// Groups that they fell into.
    pub groups: u64,
    /// Failed conversations that the suite's tests stand for with it.
    pub covered: u64,
    /// Decided only: the policy says dry run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

impl SuiteDecision {
    /// The event that tells of it.
    #[must_use]
    pub fn event(self, causes: Vec<Id>, at: Timestamp) -> Event {
        let changes: Vec<String> = self.changes.iter().map(|change| format!("{}:{:?}:{}", change.test, change.what, change.at)).collect();
        let id = Id::of("decision.tests", &[self.intent.as_str(), &changes.join(" ")]);
        Event { id, subject: Suite::subject(&self.intent), causes, at, body: Body::TestsDecided(self) }
    }
}

/// A reasoned "no tests now".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuiteHold {
    /// Whose.
    pub intent: Key,
    /// Why, with the numbers.
    pub reason: String,
}

impl SuiteHold {
    /// The event that tells of it.
    #[must_use]
    pub fn event(self, cause: &Id, at: Timestamp) -> Event {
        let id = Id::of("decision.tests-hold", &[self.intent.as_str(), cause.as_str(), &self.reason]);
        Event { id, subject: Suite::subject(&self.intent), causes: vec![cause.clone()], at, body: Body::TestsHeld(self) }
    }
}

/// A suite was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuiteReceipt {
    /// Whose.
    pub intent: Key,
    /// The bucket's object.
    pub object: String,
    /// The hash of what stands in it, SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// Tests by state.
    pub tests: BTreeMap<String, u64>,
}

impl SuiteReceipt {
    /// Of a suite that was written.
    #[must_use]
    pub fn of(suite: &Suite, object: String, sha256: String) -> Self {
        let mut tests = BTreeMap::new();
        suite.tests.iter().for_each(|test| *tests.entry(test.state.word().to_owned()).or_default() += 1);
        Self { intent: suite.intent.clone(), object, sha256, tests }
    }

    /// The event that tells of it.
    #[must_use]
    pub fn event(self, decision: &Id, at: Timestamp) -> Event {
        let id = Id::of("receipt.tests", &[decision.as_str(), &self.sha256]);
        Event { id, subject: Suite::subject(&self.intent), causes: vec![decision.clone()], at, body: Body::TestsKept(self) }
    }
}

/// A test was run against the version that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestProved {
    /// Which.
    pub test: Id,
    /// Whose.
    pub intent: Key,
    /// The runs.
    pub runs: ProofRuns,
    /// What the test is now, in a word.
    pub state: String,
}

impl TestProved {
    /// The event that tells of it.
    #[must_use]
    pub fn event(self, cause: &Id, at: Timestamp) -> Event {
        let id = Id::of("outcome.test", &[self.test.as_str(), &self.runs.at.to_string()]);
        Event { id, subject: RegressionTest::subject(&self.test), causes: vec![cause.clone()], at, body: Body::TestProved(self) }
    }
}

/// What should have happened in a conversation, where somebody knows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Expected {
    /// The calls of tools that lead to the right end. Where `calls` is given, calls that change something and are not among
    /// them are wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<Vec<crate::ToolCall>>,
    /// What the assistant has to tell the user: facts as they stand in its words, like an amount or a number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub says: Vec<String>,
}
