//! The switch that stops all actions at once.

use std::rc::Rc;

use aws_types::SdkConfig;
use flywheel_model::Control;
use flywheel_policy::{Mode, Policy};
use flywheel_ports::Unavailable;

use crate::policy::{PolicySource, PolicyUnavailable};
use crate::table::{Table, VALUE, as_text, key, string, value_of};

const READ: &str = "read whether actions are stopped";
const WRITE: &str = "stop actions, or let them go on";

/// One row in a table of its own: read before each piece of work by whoever acts, written by people alone.
#[derive(Debug, Clone)]
pub struct Switch {
    table: Table,
}

impl Switch {
    /// In this table.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self { table: Table::new(config, table) }
    }

    /// Who stopped all actions, if they are stopped.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn stopped(&self) -> Result<Option<Control>, Unavailable> {
        let row = self.table.get(key("actions", "stopped"), READ).await?;
        row.map(|row| value_of(&row, READ)).transpose()
    }

    /// Stops all actions.
    ///
    /// # Errors
    /// If the table cannot be written to.
    pub async fn stop(&self, control: &Control) -> Result<(), Unavailable> {
        let mut row = key("actions", "stopped");
        row.insert(VALUE.to_owned(), string(&as_text(control, WRITE)?));
        self.table.put(row, WRITE).await
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// If the table cannot be written to.
    pub async fn resume(&self) -> Result<(), Unavailable> {
        self.table.delete(&[key("actions", "stopped")], WRITE).await
    }
}

/// The policy for whoever acts: a dry run while all actions are stopped.
#[derive(Debug)]
pub struct ActionPolicy {
    source: PolicySource,
    switch: Switch,
}

impl ActionPolicy {
    /// The policy and the switch that the stack's variables name.
    ///
    /// # Errors
    /// That of `variable`, if one is missing.
    pub fn from_variables<E>(config: &SdkConfig, variable: impl Fn(&'static str) -> Result<String, E>) -> Result<Self, E> {
        let switch = Switch::new(config, variable("FLYWHEEL_SWITCH_TABLE")?);
        Ok(Self { source: PolicySource::from_variables(config, variable)?, switch })
    }

    /// The policy in force, as [`PolicySource::current`] gives it, and as the switch has it at this moment.
    ///
    /// # Errors
    /// If there is no policy, or it cannot be told whether actions are stopped. Nobody acts then.
    pub async fn current(&self) -> Result<Rc<Policy>, PolicyUnavailable> {
        let policy = self.source.current().await?;
        Ok(match self.switch.stopped().await.map_err(PolicyUnavailable::Unanswered)? {
            Some(_) => Rc::new(Policy { mode: Mode::DryRun, ..(*policy).clone() }),
            None => policy,
        })
    }
}
