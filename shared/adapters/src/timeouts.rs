//! Limits and the runs that they cut, in DynamoDB.
//!
//! In the table of signals: `runs#TIMEOUT` holds a row for each day with its histograms; `taken#EVIDENCE` the signals of an
//! object of the evidence that they have in them, a row for each limit; `timeouts` what is remembered of each limit. Days and
//! the signals in them are written in one transaction, each row on the revision that was read.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use flywheel_engine::timeouts::{Day, State};
use flywheel_model::{Id, Key};
use flywheel_ports::{KeptRuns, Taken, TimeoutStore, Unavailable};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::unavailable;
use crate::table::{Item, Table, key, number, number_of, string, text_of};

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

    /// A write of a value whose present revision is expected.
    fn put(&self, mut row: Item, value: &impl Serialize, revision: u64) -> Result<Put, Unavailable> {
        row.insert("value".to_owned(), string(&serde_json::to_string(value).map_err(|error| broken(WRITE, &error))?));
        row.insert("revision".to_owned(), number(revision + 1));
        self.table.revise(row, revision)
    }
}

impl TimeoutStore for TimeoutTable {
    async fn days(&self, timeout: &Key, since: Day) -> Result<BTreeMap<Day, KeptRuns>, Unavailable> {
        let rows = self.table.rows_since(&runs_of(timeout), &digits(since), READ).await?;
        rows.iter()
            .map(|row| {
                let day = text_of(row, "sk").unwrap_or_default().parse().map_err(|error| broken(READ, &error))?;
                Ok((Day(day), KeptRuns { revision: number_of(row, "revision").unwrap_or_default(), runs: value(row)? }))
            })
            .collect()
    }

    async fn taken(&self, timeout: &Key, evidence: &str) -> Result<Taken, Unavailable> {
        let Some(row) = self.table.get(key(&taken_of(evidence), timeout.as_str()), READ).await? else { return Ok(Taken::default()) };
        Ok(Taken { revision: number_of(&row, "revision").unwrap_or_default(), signals: value::<BTreeSet<Id>>(&row)? })
    }

    async fn take_in(&self, timeout: &Key, evidence: &str, taken: &Taken, days: &BTreeMap<Day, KeptRuns>) -> Result<bool, Unavailable> {
        let latest = days.keys().next_back().map_or(0, |day| day.0);
        let expires = |days: i64| number((latest + days) * 86_400);
        let mut row = key(&taken_of(evidence), timeout.as_str());
        row.insert("expires_at".to_owned(), expires(TAKEN_KEPT));
        let mut puts = vec![self.put(row, &taken.signals, taken.revision)?];
        for (day, kept) in days {
            let mut row = key(&runs_of(timeout), &digits(*day));
            row.insert("expires_at".to_owned(), expires(DAYS_KEPT));
            puts.push(self.put(row, &kept.runs, kept.revision)?);
        }
        let writes = puts.into_iter().map(|put| TransactWriteItem::builder().put(put).build()).collect();
        match self.table.client.transact_write_items().set_transact_items(Some(writes)).send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(
                    TransactWriteItemsError::TransactionCanceledException(_) | TransactWriteItemsError::TransactionInProgressException(_),
                ) => Ok(false),
                _ => Err(unavailable(WRITE)(error)),
            },
        }
    }

    async fn timeout(&self, timeout: &Key) -> Result<State, Unavailable> {
        let Some(row) = self.table.get(key(TIMEOUTS, timeout.as_str()), READ).await? else { return Ok(State::default()) };
        Ok(State { revision: number_of(&row, "revision").unwrap_or_default(), ..value(&row)? })
    }

    async fn save_timeout(&self, timeout: &Key, state: &State) -> Result<bool, Unavailable> {
        let put = self.put(key(TIMEOUTS, timeout.as_str()), state, state.revision)?;
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

fn value<T: DeserializeOwned>(row: &Item) -> Result<T, Unavailable> {
    serde_json::from_str(text_of(row, "value").unwrap_or_default()).map_err(|error| broken(READ, &error))
}

fn broken(what: &'static str, error: &dyn std::error::Error) -> Unavailable {
    Unavailable { what, why: error.to_string() }
}
