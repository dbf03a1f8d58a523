//! Limits and the runs that they cut, in DynamoDB.
//!
//! In the table of signals: `runs#TIMEOUT` holds a row for each day with its histograms; `taken#EVIDENCE` the signals of an
//! object of the evidence that they have in them, a row for each limit; `timeouts` what is remembered of each limit. Days and
//! the signals in them are written in one transaction, each row on the revision that was read.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_engine::timeouts::{Day, State};
use flywheel_model::{Id, Key};
use flywheel_ports::{KeptRuns, Taken, TimeoutStore, Unavailable};

use crate::table::{Table, key, number, number_of, text_of, value_of};

const READ: &str = "read what is known of a limit";
const WRITE: &str = "record what is known of a limit";

const TIMEOUTS: &str = "timeouts";

/// Days of runs are kept longer than they are looked back at.
const DAYS_KEPT: i64 = 35;
/// As long as marks of signals: after that no message can bring one again.
const TAKEN_KEPT: i64 = 30;

/// The table of signals, as adjusting limits uses it.
#[derive(Debug, Clone)]
pub struct TimeoutTable {
    table: Table,
}

impl TimeoutTable {
    /// The table of this name.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig, table: String) -> Self {
        Self { table: Table::new(config, table) }
    }
}

impl TimeoutStore for TimeoutTable {
    async fn days(&self, timeout: &Key, since: Day) -> Result<BTreeMap<Day, KeptRuns>, Unavailable> {
        let rows = self.table.rows_since(&runs_of(timeout), &digits(since), READ).await?;
        rows.iter()
            .map(|row| {
                let day = text_of(row, "sk")
                    .unwrap_or_default()
                    .parse()
                    .map_err(|error: std::num::ParseIntError| Unavailable { what: READ, why: error.to_string() })?;
                Ok((Day(day), KeptRuns { revision: number_of(row, "revision").unwrap_or_default(), runs: value_of(row, READ)? }))
            })
            .collect()
    }

    async fn taken(&self, timeout: &Key, evidence: &str) -> Result<Taken, Unavailable> {
        let Some(row) = self.table.get(key(&taken_of(evidence), timeout.as_str()), READ).await? else { return Ok(Taken::default()) };
        Ok(Taken { revision: number_of(&row, "revision").unwrap_or_default(), signals: value_of::<BTreeSet<Id>>(&row, READ)? })
    }

    async fn take_in(&self, timeout: &Key, evidence: &str, taken: &Taken, days: &BTreeMap<Day, KeptRuns>) -> Result<bool, Unavailable> {
        let latest = days.keys().next_back().map_or(0, |day| day.0);
        let expires = |days: i64| number((latest + days) * 86_400);
        let mut row = key(&taken_of(evidence), timeout.as_str());
        row.insert("expires_at".to_owned(), expires(TAKEN_KEPT));
        let mut puts = vec![self.table.revise_value(row, &taken.signals, taken.revision, WRITE)?];
        for (day, kept) in days {
            let mut row = key(&runs_of(timeout), &digits(*day));
            row.insert("expires_at".to_owned(), expires(DAYS_KEPT));
            puts.push(self.table.revise_value(row, &kept.runs, kept.revision, WRITE)?);
        }
        self.table.make_together(puts, WRITE).await
    }

    async fn timeout(&self, timeout: &Key) -> Result<State, Unavailable> {
        let Some(row) = self.table.get(key(TIMEOUTS, timeout.as_str()), READ).await? else { return Ok(State::default()) };
        Ok(State { revision: number_of(&row, "revision").unwrap_or_default(), ..value_of(&row, READ)? })
    }

    async fn save_timeout(&self, timeout: &Key, state: &State) -> Result<bool, Unavailable> {
        let put = self.table.revise_value(key(TIMEOUTS, timeout.as_str()), state, state.revision, WRITE)?;
        self.table.make(put, WRITE).await
    }
}

fn runs_of(timeout: &Key) -> String {
    format!("runs#{timeout}")
}

fn taken_of(evidence: &str) -> String {
    format!("taken#{evidence}")
}

/// Digits that sort as the numbers do.
fn digits(day: Day) -> String {
    format!("{:08}", day.0.max(0))
}
