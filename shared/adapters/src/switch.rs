//! The switch that stops all actions at once.

use std::rc::Rc;

use aws_types::SdkConfig;
use flywheel_model::Control;
use flywheel_policy::{Mode, Policy};
use flywheel_ports::Unavailable;

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

    /// The policy as it holds for whoever acts: a dry run while all actions are stopped.
    ///
    /// # Errors
    /// If it cannot be told whether they are. Nobody acts then.
    pub async fn over(&self, policy: Rc<Policy>) -> Result<Rc<Policy>, Unavailable> {
        Ok(match self.stopped().await? {
            Some(_) => Rc::new(Policy { mode: Mode::DryRun, ..(*policy).clone() }),
            None => policy,
        })
    }
}
