//! What adjusting limits needs.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_engine::timeouts::{Day, Runs, State};
use flywheel_model::{Id, Key, Limit, Setting, SettingChange, TimeoutAnswer};

use crate::{NoAnswer, Unavailable};

/// A day's runs, as they are kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeptRuns {
    /// Counts the writes.
    pub revision: u64,
    /// What is known of them.
    pub runs: Runs,
}

/// The signals of one object of the evidence that are taken in already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Counts the writes.
    pub revision: u64,
    /// The signals.
    pub signals: BTreeSet<Id>,
}

/// Where it is kept what is known of limits and of the runs that they cut.
pub trait TimeoutStore {
    /// The days since this one that have runs of a limit.
    async fn days(&self, timeout: &Key, since: Day) -> Result<BTreeMap<Day, KeptRuns>, Unavailable>;

    /// Which signals of an object of the evidence a limit's runs have in them.
    async fn taken(&self, timeout: &Key, evidence: &str) -> Result<Taken, Unavailable>;

    /// Records days together with the signals that they have in them now, all of it if nobody else has written any of it
    /// since it was read, and nothing otherwise: `false`.
    async fn take_in(&self, timeout: &Key, evidence: &str, taken: &Taken, days: &BTreeMap<Day, KeptRuns>) -> Result<bool, Unavailable>;

    /// What is remembered of a limit.
    async fn timeout(&self, timeout: &Key) -> Result<State, Unavailable>;

    /// Remembers it if nobody else has since `state.revision` was read. `false` if somebody has.
    async fn save_timeout(&self, timeout: &Key, state: &State) -> Result<bool, Unavailable>;
}

/// The settings that hold limits.
pub trait Settings {
    /// What stands in a setting.
    async fn present(&self, setting: &Setting) -> Result<Limit, NoAnswer>;

    /// Sets what is to stand there, if what is expected does. If it stands there already, that is as good.
    async fn set(&self, change: &SettingChange) -> Result<TimeoutAnswer, Unavailable>;
}
