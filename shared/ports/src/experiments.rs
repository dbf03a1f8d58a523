//! What experiments need.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_engine::experiments::{Book, FlagChange, Flags, Outcomes, UnitArm};
use flywheel_engine::findings::History;
use flywheel_model::{Experiment, Id, Key};
use flywheel_policy::FlagPlace;

use crate::{NoAnswer, Unavailable};

/// What was counted of an experiment, as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptOutcomes {
    /// Counts the writes.
    pub revision: u64,
    /// What was counted.
    pub outcomes: Outcomes,
}

/// The signals of one object of the evidence that are counted for an experiment already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CountedSignals {
    /// Counts the writes.
    pub revision: u64,
    /// The signals.
    pub signals: BTreeSet<Id>,
}

/// Where it is kept what is known of experiments.
pub trait ExperimentStore {
    /// All experiments that are not over.
    async fn book(&self) -> Result<Book, Unavailable>;

    /// Keeps them if nobody else has since `book.revision` was read. `false` if somebody has.
    async fn save_book(&self, book: &Book) -> Result<bool, Unavailable>;

    /// Keeps experiments that are over. Keeping one again changes nothing.
    async fn archive(&self, experiments: &[Experiment]) -> Result<(), Unavailable>;

    /// Those that are over, in no order.
    async fn archived(&self) -> Result<Vec<Experiment>, Unavailable>;

    /// What was counted of an experiment.
    async fn outcomes(&self, experiment: &Key) -> Result<KeptOutcomes, Unavailable>;

    /// Which signals of an object of the evidence are counted for an experiment.
    async fn counted_signals(&self, experiment: &Key, evidence: &str) -> Result<CountedSignals, Unavailable>;

    /// The arms that units of an experiment were seen in.
    async fn units(&self, experiment: &Key, units: &BTreeSet<Id>) -> Result<BTreeMap<Id, UnitArm>, Unavailable>;

    /// Keeps what was counted together with the units and signals that are in it, at most [`UNITS`] units: all of it if nobody
    /// else has written any of it since it was read, and nothing otherwise: `false`.
    async fn count_units(
        &self,
        experiment: &Key,
        evidence: &str,
        counted: &CountedSignals,
        kept: &KeptOutcomes,
        units: &BTreeMap<Id, UnitArm>,
    ) -> Result<bool, Unavailable>;
}

/// Units that are counted in one write.
pub const UNITS: usize = 90;

/// The team's prompts.
pub trait PromptLibrary {
    /// The files of an intent: name of the object and its bytes, at most as many as an experiment could ever use.
    async fn files(&self, intent: &Key) -> Result<BTreeMap<String, Vec<u8>>, Unavailable>;

    /// The SHA-256 of an object; none if there is none.
    async fn digest(&self, object: &str) -> Result<Option<String>, Unavailable>;

    /// Adds a file, unless one of that name is there.
    async fn add(&self, object: &str, text: &str) -> Result<(), Unavailable>;
}

/// What is known of how many conversations of an intent there are, and how many are resolved.
pub trait IntentTraffic {
    /// What is remembered of the resolution of an intent's conversations.
    async fn history(&self, intent: &Key) -> Result<History, Unavailable>;
}

/// The application's feature flags.
pub trait FeatureFlags {
    /// What they say, and how far their deployment is.
    async fn flags(&self, place: &FlagPlace) -> Result<Flags, NoAnswer>;

    /// Makes a new version of them and begins its deployment.
    async fn change(&self, place: &FlagPlace, change: &FlagChange) -> Result<FlagAnswer, Unavailable>;

    /// Stops a deployment: what was there before is served again.
    async fn halt(&self, place: &FlagPlace, deployment: i32) -> Result<(), Unavailable>;
}

/// What became of a change of the flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlagAnswer {
    /// It is on its way: the version and the deployment.
    Made(i32, i32),
    /// Somebody else was faster, or deploys something: it is looked at anew.
    Busy(String),
    /// AWS refuses it.
    Refused(String),
}
