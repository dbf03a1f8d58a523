//! Experiments, the library of prompts and feature flags, in a memory that fails on command.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use flywheel_engine::experiments::{Book, FlagChange, Flags, Rollout, RolloutState, UnitArm};
use flywheel_engine::findings::History;
use flywheel_model::{ActionKind, Experiment, Id, Key};
use flywheel_policy::FlagPlace;
use flywheel_ports::{
    Cooldowns, CountedSignals, ExperimentStore, FeatureFlags, FlagAnswer, IntentTraffic, KeptOutcomes, NoAnswer, PromptLibrary, Unavailable,
};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::ports::{Unreliable, call};

/// What is recorded of experiments, and what the team has.
#[derive(Debug)]
pub struct ExperimentMemory {
    /// Those that are not over.
    pub book: Book,
    /// Those that are.
    pub archive: BTreeMap<Key, Experiment>,
    /// What was counted.
    pub outcomes: BTreeMap<Key, KeptOutcomes>,
    /// The signals that are counted, by experiment and object of the evidence.
    pub counted: BTreeMap<(Key, String), CountedSignals>,
    /// The units, by experiment.
    pub units: BTreeMap<Key, BTreeMap<Id, UnitArm>>,
    /// The library.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What is remembered of intents.
    pub histories: BTreeMap<Key, History>,
    /// The versions of the flags, from 1 on.
    pub versions: Vec<String>,
    /// The deployments: which version, how far, and by which strategy.
    pub deployments: Vec<(i32, RolloutState, String)>,
    /// Until when what was promoted is not to be tried again, by rate.
    pub cooling: BTreeMap<String, Timestamp>,
    /// Whether alarms watch the environment.
    pub guarded: bool,
    /// Strategies whose deployments take their time: they go on until they are told to end.
    pub slow: BTreeSet<String>,
    /// The share of calls that fail, half of them after they took effect.
    pub unavailable: f64,
    /// Where chance comes from.
    pub chance: fastrand::Rng,
}

impl ExperimentMemory {
    /// An empty memory where nothing fails.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            book: Book::default(),
            archive: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            counted: BTreeMap::new(),
            units: BTreeMap::new(),
            files: BTreeMap::new(),
            histories: BTreeMap::new(),
            versions: Vec::new(),
            deployments: Vec::new(),
            cooling: BTreeMap::new(),
            guarded: true,
            slow: BTreeSet::new(),
            unavailable: 0.0,
            chance: fastrand::Rng::with_seed(seed),
        }
    }

    /// The document that applications are served, and nothing before there is one.
    #[must_use]
    pub fn served(&self) -> String {
        let served = self.deployments.iter().rev().find(|(_, state, _)| *state != RolloutState::RolledBack);
        served.map_or_else(String::new, |(version, ..)| self.versions[*version as usize - 1].clone())
    }

    /// Somebody else puts a document in force.
    pub fn edit(&mut self, document: String) {
        self.versions.push(document);
        self.deployments.push((self.versions.len() as i32, RolloutState::Complete, "by hand".to_owned()));
    }

    /// The deployment under way ends.
    pub fn end_deployment(&mut self, state: RolloutState) {
        if let Some(last) = self.deployments.last_mut().filter(|last| last.1 == RolloutState::UnderWay) {
            last.1 = state;
        }
    }

    fn flags(&self) -> Flags {
        let served = self.deployments.iter().rev().find(|(_, state, _)| *state != RolloutState::RolledBack);
        let latest = self.versions.len() as i32;
        let version = served.map_or(latest, |(version, ..)| *version);
        let document = if version == 0 { String::new() } else { self.versions[version as usize - 1].clone() };
        let rollout = self.deployments.last().map(|(_, state, _)| Rollout { number: self.deployments.len() as i32, state: *state });
        Flags { latest, version, document, rollout, guarded: self.guarded }
    }

    fn change(&mut self, change: &FlagChange) -> FlagAnswer {
        if change.latest != self.versions.len() as i32 {
            return FlagAnswer::Busy("there is a later version".to_owned());
        }
        self.versions.push(change.document.clone());
        if self.deployments.last().is_some_and(|(_, state, _)| *state == RolloutState::UnderWay) {
            return FlagAnswer::Busy("another deployment is under way".to_owned());
        }
        let state = if self.slow.contains(&change.strategy) { RolloutState::UnderWay } else { RolloutState::Complete };
        self.deployments.push((self.versions.len() as i32, state, change.strategy.clone()));
        FlagAnswer::Made(self.versions.len() as i32, self.deployments.len() as i32)
    }

    fn count_units(
        &mut self,
        experiment: &Key,
        evidence: &str,
        counted: &CountedSignals,
        kept: &KeptOutcomes,
        units: &BTreeMap<Id, UnitArm>,
    ) -> bool {
        let place = (experiment.clone(), evidence.to_owned());
        let as_read = self.counted.get(&place).map_or(0, |known| known.revision) == counted.revision
            && self.outcomes.get(experiment).map_or(0, |known| known.revision) == kept.revision;
        if as_read {
            self.counted.insert(place, CountedSignals { revision: counted.revision + 1, ..counted.clone() });
            self.outcomes.insert(experiment.clone(), KeptOutcomes { revision: kept.revision + 1, ..kept.clone() });
            self.units.entry(experiment.clone()).or_default().extend(units.iter().map(|(unit, arm)| (unit.clone(), arm.clone())));
        }
        as_read
    }
}

impl Unreliable for ExperimentMemory {
    fn unreliability(&mut self) -> (f64, &mut fastrand::Rng) {
        (self.unavailable, &mut self.chance)
    }
}

/// What one process sees of the memory. Each call first lets others go first.
#[derive(Debug, Clone)]
pub struct ExperimentProcess(pub Rc<RefCell<ExperimentMemory>>);

impl ExperimentStore for ExperimentProcess {
    async fn book(&self) -> Result<Book, Unavailable> {
        call(&self.0, "read the book", |memory| memory.book.clone()).await
    }

    async fn save_book(&self, book: &Book) -> Result<bool, Unavailable> {
        call(&self.0, "keep the book", |memory| {
            let as_read = memory.book.revision == book.revision;
            if as_read {
                memory.book = Book { revision: book.revision + 1, ..book.clone() };
            }
            as_read
        })
        .await
    }

    async fn archive(&self, experiments: &[Experiment]) -> Result<(), Unavailable> {
        call(&self.0, "archive", |memory| memory.archive.extend(experiments.iter().map(|one| (one.experiment.clone(), one.clone())))).await
    }

    async fn archived(&self) -> Result<Vec<Experiment>, Unavailable> {
        call(&self.0, "read the archive", |memory| memory.archive.values().cloned().collect()).await
    }

    async fn outcomes(&self, experiment: &Key) -> Result<KeptOutcomes, Unavailable> {
        call(&self.0, "read outcomes", |memory| memory.outcomes.get(experiment).cloned().unwrap_or_default()).await
    }

    async fn counted_signals(&self, experiment: &Key, evidence: &str) -> Result<CountedSignals, Unavailable> {
        let place = (experiment.clone(), evidence.to_owned());
        call(&self.0, "read what is counted", |memory| memory.counted.get(&place).cloned().unwrap_or_default()).await
    }

    async fn units(&self, experiment: &Key, units: &BTreeSet<Id>) -> Result<BTreeMap<Id, UnitArm>, Unavailable> {
        call(&self.0, "read units", |memory| {
            let known = memory.units.get(experiment).into_iter().flatten();
            known.filter(|(unit, _)| units.contains(*unit)).map(|(unit, arm)| (unit.clone(), arm.clone())).collect()
        })
        .await
    }

    async fn count_units(
        &self,
        experiment: &Key,
        evidence: &str,
        counted: &CountedSignals,
        kept: &KeptOutcomes,
        units: &BTreeMap<Id, UnitArm>,
    ) -> Result<bool, Unavailable> {
        call(&self.0, "count units", |memory| memory.count_units(experiment, evidence, counted, kept, units)).await
    }
}

impl Cooldowns for ExperimentProcess {
    async fn cooling_until(&self, _what: ActionKind, subject: &str) -> Result<Option<Timestamp>, Unavailable> {
        call(&self.0, "read what is not to be tried again", |memory| memory.cooling.get(subject).copied()).await
    }
}

impl IntentTraffic for ExperimentProcess {
    async fn history(&self, intent: &Key) -> Result<History, Unavailable> {
        call(&self.0, "read a history", |memory| memory.histories.get(intent).cloned().unwrap_or_default()).await
    }
}

impl PromptLibrary for ExperimentProcess {
    async fn files(&self, intent: &Key) -> Result<BTreeMap<String, Vec<u8>>, Unavailable> {
        let folder = flywheel_engine::experiments::Library::folder(intent);
        call(&self.0, "read the library", |memory| {
            memory.files.iter().filter(|(name, _)| name.starts_with(&folder)).map(|(name, bytes)| (name.clone(), bytes.clone())).collect()
        })
        .await
    }

    async fn digest(&self, object: &str) -> Result<Option<String>, Unavailable> {
        call(&self.0, "read a prompt", |memory| memory.files.get(object).map(|bytes| hex::encode(Sha256::digest(bytes)))).await
    }

    async fn add(&self, object: &str, text: &str) -> Result<(), Unavailable> {
        call(&self.0, "add a prompt", |memory| {
            memory.files.entry(object.to_owned()).or_insert_with(|| text.as_bytes().to_vec());
        })
        .await
    }
}

impl FeatureFlags for ExperimentProcess {
    async fn flags(&self, _: &FlagPlace) -> Result<Flags, NoAnswer> {
        let flags = call(&self.0, "read the flags", |memory| memory.flags()).await;
        flags.map_err(|error| NoAnswer::Later(error.to_string()))
    }

    async fn change(&self, _: &FlagPlace, change: &FlagChange) -> Result<FlagAnswer, Unavailable> {
        call(&self.0, "change the flags", |memory| memory.change(change)).await
    }

    async fn halt(&self, _: &FlagPlace, deployment: i32) -> Result<(), Unavailable> {
        call(&self.0, "stop a deployment", |memory| {
            if memory.deployments.len() as i32 == deployment {
                memory.end_deployment(RolloutState::RolledBack);
            }
        })
        .await
    }
}
