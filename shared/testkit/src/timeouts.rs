//! Limits, the runs that they cut and the settings that hold them, in a memory that fails on command.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use flywheel_engine::timeouts::{Day, State};
use flywheel_model::{Key, Limit, Setting, SettingChange, TimeoutAnswer};
use flywheel_ports::{KeptRuns, NoAnswer, Settings, Taken, TimeoutStore, Unavailable};

use crate::ports::{Unreliable, call};

/// What is recorded of limits, and what stands in their settings.
#[derive(Debug)]
pub struct TimeoutMemory {
    /// By limit, the days with their runs.
    pub days: BTreeMap<Key, BTreeMap<Day, KeptRuns>>,
    /// By limit and object of the evidence, the signals that are taken in.
    pub taken: BTreeMap<(Key, String), Taken>,
    /// What is remembered of each limit.
    pub states: BTreeMap<Key, State>,
    /// What stands in the settings.
    pub settings: BTreeMap<Setting, Limit>,
    /// Settings that AWS refuses to change.
    pub refused: Vec<Setting>,
    /// Every change of a setting.
    pub changes: Vec<SettingChange>,
    /// The share of calls that fail, half of them after they took effect.
    pub unavailable: f64,
    /// Where chance comes from.
    pub chance: fastrand::Rng,
}

impl TimeoutMemory {
    /// An empty memory where nothing fails, with these settings.
    #[must_use]
    pub fn new(seed: u64, settings: BTreeMap<Setting, Limit>) -> Self {
        Self {
            days: BTreeMap::new(),
            taken: BTreeMap::new(),
            states: BTreeMap::new(),
            settings,
            refused: Vec::new(),
            changes: Vec::new(),
            unavailable: 0.0,
            chance: fastrand::Rng::with_seed(seed),
        }
    }

    fn take_in(&mut self, timeout: &Key, evidence: &str, taken: &Taken, days: &BTreeMap<Day, KeptRuns>) -> bool {
        let place = (timeout.clone(), evidence.to_owned());
        let kept = self.days.entry(timeout.clone()).or_default();
        let as_read = days.iter().all(|(day, of_day)| kept.get(day).map_or(0, |kept| kept.revision) == of_day.revision);
        if !as_read || self.taken.get(&place).map_or(0, |taken| taken.revision) != taken.revision {
            return false;
        }
        kept.extend(days.iter().map(|(day, of_day)| (*day, KeptRuns { revision: of_day.revision + 1, ..of_day.clone() })));
        self.taken.insert(place, Taken { revision: taken.revision + 1, ..taken.clone() });
        true
    }

    fn set(&mut self, change: &SettingChange) -> TimeoutAnswer {
        let Some(present) = self.settings.get_mut(&change.setting) else { return TimeoutAnswer::Refused("there is none".to_owned()) };
        if *present == change.to {
            return TimeoutAnswer::Made;
        }
        if self.refused.contains(&change.setting) {
            return TimeoutAnswer::Refused("on purpose".to_owned());
        }
        if *present != change.from {
            return TimeoutAnswer::ChangedMeanwhile(format!("{present}"));
        }
        *present = change.to;
        self.changes.push(change.clone());
        TimeoutAnswer::Made
    }
}

impl Unreliable for TimeoutMemory {
    fn unreliability(&mut self) -> (f64, &mut fastrand::Rng) {
        (self.unavailable, &mut self.chance)
    }
}

/// What one process sees of the memory. Each call first lets others go first.
#[derive(Debug, Clone)]
pub struct TimeoutProcess(pub Rc<RefCell<TimeoutMemory>>);

impl TimeoutStore for TimeoutProcess {
    async fn days(&self, timeout: &Key, since: Day) -> Result<BTreeMap<Day, KeptRuns>, Unavailable> {
        call(&self.0, "read days", |memory| {
            let days = memory.days.get(timeout).into_iter().flat_map(|days| days.range(since..));
            days.map(|(day, kept)| (*day, kept.clone())).collect()
        })
        .await
    }

    async fn taken(&self, timeout: &Key, evidence: &str) -> Result<Taken, Unavailable> {
        let place = (timeout.clone(), evidence.to_owned());
        call(&self.0, "read what is taken in", |memory| memory.taken.get(&place).cloned().unwrap_or_default()).await
    }

    async fn take_in(&self, timeout: &Key, evidence: &str, taken: &Taken, days: &BTreeMap<Day, KeptRuns>) -> Result<bool, Unavailable> {
        call(&self.0, "take runs in", |memory| memory.take_in(timeout, evidence, taken, days)).await
    }

    async fn timeout(&self, timeout: &Key) -> Result<State, Unavailable> {
        call(&self.0, "read a limit's state", |memory| memory.states.get(timeout).cloned().unwrap_or_default()).await
    }

    async fn save_timeout(&self, timeout: &Key, state: &State) -> Result<bool, Unavailable> {
        call(&self.0, "record a limit's state", |memory| {
            let as_read = memory.states.get(timeout).map_or(0, |known| known.revision) == state.revision;
            if as_read {
                memory.states.insert(timeout.clone(), State { revision: state.revision + 1, ..state.clone() });
            }
            as_read
        })
        .await
    }
}

impl Settings for TimeoutProcess {
    async fn present(&self, setting: &Setting) -> Result<Limit, NoAnswer> {
        let found = call(&self.0, "read a setting", |memory| memory.settings.get(setting).copied()).await;
        found.map_err(|error| NoAnswer::Later(error.to_string()))?.ok_or_else(|| NoAnswer::Refused("there is none".to_owned()))
    }

    async fn set(&self, change: &SettingChange) -> Result<TimeoutAnswer, Unavailable> {
        call(&self.0, "change a setting", |memory| memory.set(change)).await
    }
}
