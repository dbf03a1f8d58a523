//! What was counted of an experiment.

use std::collections::BTreeMap;

use flywheel_model::{ArmCount, Conversation, Experiment, Failure, FailureReason, Hour, Id, Observation, Signal};
use flywheel_policy::{ExperimentPolicy, Unit};
use serde::{Deserialize, Serialize};

use crate::signals::resolution;

/// What was counted of an experiment: the units of each arm, by the hour.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// By hour and name of the arm.
    pub hours: BTreeMap<Hour, BTreeMap<String, ArmCount>>,
    /// Conversations that name an arm that the experiment does not have.
    #[serde(default)]
    pub unknown: u64,
    /// Units that were seen in a second arm.
    #[serde(default)]
    pub crossed: u64,
    /// Conversations from before the split was in force, by their clock.
    #[serde(default)]
    pub early: u64,
}

/// The arm that a unit was first seen in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitArm {
    /// The name of the arm.
    pub arm: String,
    /// It was seen in another arm as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub crossed: bool,
}

/// What becomes of a conversation that names an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It counts for its unit.
    Counted,
    /// Its unit was counted before, in the same arm.
    Again,
    /// Its unit was counted before in another arm.
    Crossed,
    /// It names an arm that the experiment does not have.
    Unknown,
    /// It is from before the split was in force.
    Early,
}

/// The unit that a conversation belongs to: no text of anybody's.
#[must_use]
pub fn unit_of(signal: &Signal, conversation: &Conversation, unit: Unit) -> Id {
    let of_conversation = || conversation.conversation.as_ref().unwrap_or(&signal.id);
    match (unit, &conversation.user) {
        (Unit::User, Some(user)) => Id::of("unit.user", &[user.as_str()]),
        _ => Id::of("unit.conversation", &[of_conversation().as_str()]),
    }
}

impl Outcomes {
    /// Takes a conversation in, once: its resolution counts for its unit, if that is the first one of which it is known.
    /// `known` is what is known of the unit; what is known afterwards is put there. Nothing if it takes no part, or its
    /// resolution is not known.
    pub fn take(
        &mut self,
        experiment: &Experiment,
        since: jiff::Timestamp,
        observation: &Observation,
        conversation: &Conversation,
        known: &mut Option<UnitArm>,
        policy: &ExperimentPolicy,
    ) -> Option<Taken> {
        let arm = conversation.variants.get(experiment.experiment.as_str())?;
        let resolved = resolution(conversation, &observation.failures)?;
        if let Some(known) = known {
            if known.arm == *arm || known.crossed {
                return Some(Taken::Again);
            }
            known.crossed = true;
            self.crossed += 1;
            return Some(Taken::Crossed);
        }
        if !experiment.arms().any(|known| known.name == *arm) {
            self.unknown += 1;
            return Some(Taken::Unknown);
        }
        if observation.signal.at < since {
            self.early += 1;
            return Some(Taken::Early);
        }
        let count = count(conversation, &observation.failures, resolved, policy);
        self.hours.entry(Hour::of(observation.signal.at)).or_default().entry(arm.clone()).or_default().add(&count);
        *known = Some(UnitArm { arm: arm.clone(), crossed: false });
        Some(Taken::Counted)
    }

    /// All hours together.
    #[must_use]
    pub fn arms(&self) -> BTreeMap<String, ArmCount> {
        let mut arms = BTreeMap::<String, ArmCount>::new();
        for (arm, count) in self.hours.values().flatten() {
            arms.entry(arm.clone()).or_default().add(count);
        }
        arms
    }

    /// Units of all arms.
    #[must_use]
    pub fn units(&self) -> u64 {
        self.hours.values().flat_map(BTreeMap::values).map(|count| count.units).sum()
    }
}

fn count(conversation: &Conversation, failures: &[Failure], resolved: bool, policy: &ExperimentPolicy) -> ArmCount {
    let escalated = conversation.escalated == Some(true) || failures.iter().any(|failure| failure.reason == FailureReason::Escalation);
    let slow = policy.slow_seconds.is_some_and(|bound| conversation.seconds.is_some_and(|seconds| seconds > f64::from(bound)));
    let tokens = conversation.input_tokens.unwrap_or_default().saturating_add(conversation.output_tokens.unwrap_or_default());
    let costly = policy.costly_tokens.is_some_and(|bound| tokens > u64::from(bound));
    ArmCount {
        units: 1,
        resolved: u64::from(resolved),
        failed: u64::from(!failures.is_empty()),
        escalated: u64::from(escalated),
        slow: u64::from(slow),
        costly: u64::from(costly),
    }
}
