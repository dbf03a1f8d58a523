//! Experiments on the prompts of an intent, and what is decided, done and learned about them.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ApprovalRequest, Id, Key};

/// One version of a prompt, as the library holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromptVariant {
    /// Its name in the library: lower-case letters, digits and hyphens.
    pub name: String,
    /// The object of the library that holds its text.
    pub object: String,
    /// The SHA-256 of that object as it was when the experiment was queued. The flag tells the application, so that a text
    /// that was changed since is not taken for the one under test.
    pub sha256: String,
    /// What it is to bring, in the author's words.
    pub hypothesis: String,
    /// The model that it is for; none: whichever the application uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Parameters of the model: temperature and the like.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// A model wrote it: never started without a person's approval unless the policy says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proposed: bool,
}

/// An experiment from its queueing to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// Which one: what signals name it by in `variants`.
    pub experiment: Key,
    /// What the users want whose conversations it is about.
    pub intent: Key,
    /// The feature flag that says which variant a conversation gets.
    pub flag: String,
    /// What its users have in common with those of other experiments: two that share a word do not run together.
    pub uses: Vec<String>,
    /// What is served at present, and to everybody outside.
    pub control: PromptVariant,
    /// What is compared with it.
    pub treatments: Vec<PromptVariant>,
    /// The finding that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<Id>,
    /// The person that asked for it, or that approved its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Since when it waits for its turn.
    pub queued_at: Timestamp,
    /// What it takes until a decision.
    pub plan: ExperimentPlan,
    /// Where it stands.
    pub state: ExperimentState,
    /// A person stopped it. That wins over all else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<String>,
    /// A person lets its winner be promoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted_by: Option<String>,
    /// What a person is asked about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<ApprovalRequest>,
    /// Nobody is asked again before: they did not want it, or did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_asked_before: Option<Timestamp>,
    /// Why it waits, as it was last told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<ExperimentHoldReason>,
}

impl Experiment {
    /// All arms, the control first.
    pub fn arms(&self) -> impl Iterator<Item = &PromptVariant> {
        std::iter::once(&self.control).chain(&self.treatments)
    }

    /// Whether nothing is to be done about it any more.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.state, ExperimentState::Over { .. })
    }

    /// How the ledger calls it.
    #[must_use]
    pub fn subject(&self) -> String {
        experiment_subject(&self.experiment)
    }
}

/// How the ledger calls an experiment.
#[must_use]
pub fn experiment_subject(experiment: &Key) -> String {
    format!("experiment/{experiment}")
}

/// Where an experiment stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExperimentState {
    /// It waits for a person's approval, since a model wrote a variant or the policy asks for it.
    ToBeApproved,
    /// It waits for its turn.
    Queued,
    /// The split of the flag is in force, or is being put in force.
    Running(ExperimentRun),
    /// It is decided, and the flag serves the control to everybody, or is made to.
    Concluded {
        /// How it went.
        run: ExperimentRun,
        /// What came out.
        conclusion: Conclusion,
        /// Whether the flag is as it should be.
        cleaned: bool,
    },
    /// The winner is deployed step by step.
    Promoting {
        /// How it went.
        run: ExperimentRun,
        /// What came out.
        conclusion: Conclusion,
        /// The number of the deployment; none before it is made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deployment: Option<i32>,
    },
    /// Nothing is to be done any more.
    Over {
        /// What came out.
        conclusion: Conclusion,
        /// When.
        at: Timestamp,
    },
}

/// An experiment that has begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentRun {
    /// When.
    pub since: Timestamp,
    /// The error that the comparison of each treatment may have, from the account's budget of false discoveries.
    pub levels: Vec<f64>,
    /// Its place on the ramp, and since when it is there.
    pub step: usize,
    /// When the present share was put in force; none while it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force_at: Option<Timestamp>,
    /// The deployment that put it in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<i32>,
    /// The share of the units that take part now, 0 to 1.
    pub share: f64,
    /// Treatments that did harm, or were worse: their users get the control, and are counted no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<String>,
}

/// What an experiment takes until a decision, worked out before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ExperimentPlan {
    /// The rate of resolution that is expected of the control, 0 to 1.
    pub baseline: f64,
    /// The smallest difference worth having, in points (0.05 is from 60% to 65%).
    pub effect: f64,
    /// Conversations of the intent a day whose resolution is known.
    pub units_a_day: f64,
    /// Units of each arm until a decision, in the median, if the difference is the smallest worth having.
    pub units_an_arm: u64,
    /// So many in the share of cases that the power is.
    pub units_an_arm_at_most: u64,
    /// Days until then at the planned share, without the ramp …
    pub days: f64,
    /// … and so many in the share of cases that the power is.
    pub days_at_most: f64,
    /// The share of the units that is to take part, all arms together, 0 to 1.
    pub share: f64,
    /// The power that it is planned with.
    pub power: f64,
}

impl ExperimentPlan {
    /// Resolved conversations that the experiment promises each day, for each day of the traffic that it takes. What promises
    /// most goes first.
    #[must_use]
    pub fn promise(&self) -> f64 {
        self.effect * self.units_a_day * self.power / (self.days * self.share).max(1e-6)
    }
}

/// What came out of an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conclusion {
    /// In a word.
    pub verdict: ExperimentVerdict,
    /// The variant that is better than the control, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winner: Option<String>,
    /// Each treatment beside the control.
    pub comparisons: Vec<Comparison>,
    /// Why, in one paragraph with its numbers.
    pub explanation: String,
    /// When.
    pub at: Timestamp,
}

/// What came out of an experiment, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExperimentVerdict {
    /// A variant is better.
    Winner,
    /// All variants are worse.
    Loser,
    /// It did not, or would not, tell a difference worth having.
    NoDifference,
    /// It measured something else than it was to: the arms are not the planned ones, the flag or the library was changed.
    Broken,
    /// A variant does harm.
    Guardrail,
    /// A person stopped it.
    Stopped,
    /// The winner's deployment was rolled back.
    RolledBack,
}

impl fmt::Display for ExperimentVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Winner => "winner",
            Self::Loser => "loser",
            Self::NoDifference => "no difference",
            Self::Broken => "broken",
            Self::Guardrail => "guardrail",
            Self::Stopped => "stopped",
            Self::RolledBack => "rolled back",
        })
    }
}

/// A treatment beside the control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The treatment.
    pub variant: String,
    /// Units of the treatment, and those of them that were resolved.
    pub treatment: [u64; 2],
    /// The same of the control.
    pub control: [u64; 2],
    /// Its rate of resolution less the control's: lower bound, estimate, upper bound, valid however often one looks.
    pub difference: [f64; 3],
    /// The confidence of these bounds together.
    pub confidence: f64,
    /// Natural logarithm of the e-value against "it is not better".
    pub log_evidence: f64,
    /// The guardrails that it breaks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken: Vec<BrokenGuardrail>,
}

/// A guardrail that a variant breaks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BrokenGuardrail {
    /// What is counted.
    pub guardrail: Guardrail,
    /// The share of the variant's units that have it, and of the control's.
    pub shares: [f64; 2],
    /// Natural logarithm of the e-value against "at most as much more as the policy allows".
    pub log_evidence: f64,
}

/// What must not get worse while resolution gets better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guardrail {
    /// Conversations that failed.
    Failures,
    /// Conversations that were handed over to a person.
    Escalations,
    /// Conversations that took longer than the policy's bound.
    Slow,
    /// Conversations that took more tokens than the policy's bound, which is what they cost.
    Costly,
}

impl Guardrail {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Failures, Self::Escalations, Self::Slow, Self::Costly];

    /// What is counted, in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failures => "failed conversations",
            Self::Escalations => "escalations",
            Self::Slow => "slow conversations",
            Self::Costly => "costly conversations",
        }
    }
}

/// A complete action on an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentDecision {
    /// Which.
    pub experiment: Key,
    /// About which intent.
    pub intent: Key,
    /// What is to be done.
    pub action: ExperimentAction,
    /// Why, in one paragraph with its numbers.
    pub explanation: String,
    /// Decided only: the policy says dry run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What is to be done about an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExperimentAction {
    /// It joins the queue.
    Queue {
        /// The variants, the control first.
        variants: Vec<PromptVariant>,
        /// What it takes.
        plan: ExperimentPlan,
    },
    /// The flag is split so.
    Split {
        /// The share of the units that take part.
        share: f64,
        /// The error that the comparison of each treatment may have.
        levels: Vec<f64>,
        /// Treatments whose users get the control from now on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        dropped: Vec<String>,
    },
    /// The flag serves the control to everybody again.
    CleanUp,
    /// The winner is deployed step by step, and becomes the control.
    Promote {
        /// The winner.
        variant: PromptVariant,
        /// The deployment strategy.
        strategy: String,
    },
}

/// A reasoned "not now", or "no".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentHold {
    /// Which; none of one that was never queued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment: Option<Key>,
    /// About which intent.
    pub intent: Key,
    /// The kind of reason.
    pub reason: ExperimentHoldReason,
    /// Why, in one paragraph with its numbers.
    pub explanation: String,
}

/// Why an experiment waits, or is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExperimentHoldReason {
    /// The policy names no flag for the intent.
    NoFlag,
    /// The library has no variant beside the control that was not tried, or none that is valid.
    NoVariants,
    /// It could not decide within the policy's limit of days.
    TooSlow,
    /// An experiment of the intent waits or runs already.
    AlreadyThere,
    /// The queue is full.
    QueueFull,
    /// A person must approve it.
    Approval,
    /// One that it would disturb runs.
    Conflict,
    /// As many run as the policy allows.
    AtOnce,
    /// The policy freezes the application.
    Frozen,
    /// The flag is not what it should be, or cannot be read.
    Flag,
    /// Another deployment of the application's configuration is under way.
    Deployment,
    /// The winner waits for a person's approval.
    Promotion,
    /// What was promoted the last time made it worse.
    Cooling,
    /// A person did not want the winner to be promoted, or nobody answered.
    Declined,
}

/// What AWS answered when the flag was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExperimentReceipt {
    /// Which.
    pub experiment: Key,
    /// The decision.
    pub decision: Id,
    /// The version of the flags that was made.
    pub version: i32,
    /// The deployment of it.
    pub deployment: i32,
    /// The version that takes it back.
    pub undo: i32,
}

/// What came of an experiment, told once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentOutcome {
    /// Which.
    pub experiment: Key,
    /// About which intent.
    pub intent: Key,
    /// What came out.
    pub conclusion: Conclusion,
    /// Both rates and their intervals over time, as SVG.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub picture: String,
}

/// Units of one arm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmCount {
    /// Users or conversations, each once, whose resolution is known.
    pub units: u64,
    /// Those that were resolved.
    pub resolved: u64,
    /// Those with each guardrail's event.
    #[serde(default)]
    pub failed: u64,
    /// Handed over to a person.
    #[serde(default)]
    pub escalated: u64,
    /// Took longer than the bound.
    #[serde(default)]
    pub slow: u64,
    /// Took more tokens than the bound.
    #[serde(default)]
    pub costly: u64,
}

impl ArmCount {
    /// Those that a guardrail counts.
    #[must_use]
    pub const fn of(&self, guardrail: Guardrail) -> u64 {
        match guardrail {
            Guardrail::Failures => self.failed,
            Guardrail::Escalations => self.escalated,
            Guardrail::Slow => self.slow,
            Guardrail::Costly => self.costly,
        }
    }

    /// Adds what was counted elsewhere.
    pub const fn add(&mut self, other: &Self) {
        self.units += other.units;
        self.resolved += other.resolved;
        self.failed += other.failed;
        self.escalated += other.escalated;
        self.slow += other.slow;
        self.costly += other.costly;
    }
}
