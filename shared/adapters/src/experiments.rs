//! Experiments, and what was counted of them, in DynamoDB.
//!
//! In the table of signals: `experiments` holds the book of those that are not over, in one row; `experiments-over` a row for
//! each of the others; `outcomes` what was counted of each; `units#EXPERIMENT` the units in it; `counted#EVIDENCE` the signals of
//! an object of the evidence that are in it, a row for each experiment. Counts, units and signals are written in one
//! transaction, counts and signals on the revision that was read.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::Put;
use flywheel_engine::experiments::{Book, UnitArm};
use flywheel_engine::findings::History;
use flywheel_model::{ActionKind, Experiment, Id, Key, Metric};
use flywheel_ports::{Cooldowns, CountedSignals, ExperimentStore, IntentTraffic, KeptOutcomes, Unavailable};
use jiff::Timestamp;

use crate::findings::history_of;
use crate::outcomes::cooling_until;
use crate::table::{Table, VALUE, as_text, key, number, number_of, string, text_of, value_of};

const READ: &str = "read what is known of experiments";
const WRITE: &str = "record what is known of experiments";

const EXPERIMENTS: &str = "experiments";
const BOOK: &str = "book";
const OVER: &str = "experiments-over";
const OUTCOMES: &str = "outcomes";

/// An experiment lasts 90 days at most, and outcomes may come a while after.
const UNITS_KEPT_SECONDS: i64 = 120 * 86_400;
/// As long as marks of signals: after that no message can bring one again.
const COUNTED_KEPT_SECONDS: i64 = 30 * 86_400;

/// The table of signals, as experiments use it.
#[derive(Debug, Clone)]
pub struct ExperimentTable {
    table: Table,
}

impl ExperimentTable {
    /// The table of this name.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig, table: String) -> Self {
        Self { table: Table::new(config, table) }
    }
}

impl ExperimentStore for ExperimentTable {
    async fn book(&self) -> Result<Book, Unavailable> {
        let Some(row) = self.table.get(key(EXPERIMENTS, BOOK), READ).await? else { return Ok(Book::default()) };
        Ok(Book { revision: number_of(&row, "revision").unwrap_or_default(), ..value_of(&row, READ)? })
    }

    async fn save_book(&self, book: &Book) -> Result<bool, Unavailable> {
        let put = self.table.revise_value(key(EXPERIMENTS, BOOK), book, book.revision, WRITE)?;
        self.table.make(put, WRITE).await
    }

    async fn archive(&self, experiments: &[Experiment]) -> Result<(), Unavailable> {
        for experiment in experiments {
            let mut row = key(OVER, experiment.experiment.as_str());
            row.insert(VALUE.to_owned(), string(&as_text(experiment, WRITE)?));
            self.table.put(row, WRITE).await?;
        }
        Ok(())
    }

    async fn archived(&self) -> Result<Vec<Experiment>, Unavailable> {
        self.table.rows(OVER, READ).await?.iter().map(|row| value_of(row, READ)).collect()
    }

    async fn outcomes(&self, experiment: &Key) -> Result<KeptOutcomes, Unavailable> {
        let Some(row) = self.table.get(key(OUTCOMES, experiment.as_str()), READ).await? else { return Ok(KeptOutcomes::default()) };
        Ok(KeptOutcomes { revision: number_of(&row, "revision").unwrap_or_default(), outcomes: value_of(&row, READ)? })
    }

    async fn counted_signals(&self, experiment: &Key, evidence: &str) -> Result<CountedSignals, Unavailable> {
        let Some(row) = self.table.get(key(&counted_of(evidence), experiment.as_str()), READ).await? else {
            return Ok(CountedSignals::default());
        };
        Ok(CountedSignals { revision: number_of(&row, "revision").unwrap_or_default(), signals: value_of(&row, READ)? })
    }

    async fn units(&self, experiment: &Key, units: &BTreeSet<Id>) -> Result<BTreeMap<Id, UnitArm>, Unavailable> {
        let pk = units_of(experiment);
        let keys = units.iter().map(|unit| key(&pk, unit.as_str())).collect();
        let mut found = BTreeMap::new();
        for row in self.table.get_many(keys, READ).await? {
            let unit = units.iter().find(|unit| text_of(&row, "sk") == Some(unit.as_str()));
            found.extend(unit.map(|unit| Ok((unit.clone(), value_of(&row, READ)?))).transpose()?);
        }
        Ok(found)
    }

    async fn count_units(
        &self,
        experiment: &Key,
        evidence: &str,
        counted: &CountedSignals,
        kept: &KeptOutcomes,
        units: &BTreeMap<Id, UnitArm>,
    ) -> Result<bool, Unavailable> {
        let latest = kept.outcomes.hours.keys().next_back().map_or(0, |hour| hour.0 * 3_600);
        let mut row = key(&counted_of(evidence), experiment.as_str());
        row.insert("expires_at".to_owned(), number(latest + COUNTED_KEPT_SECONDS));
        let mut puts = vec![
            self.table.revise_value(row, &counted.signals, counted.revision, WRITE)?,
            self.table.revise_value(key(OUTCOMES, experiment.as_str()), &kept.outcomes, kept.revision, WRITE)?,
        ];
        let pk = units_of(experiment);
        for (unit, arm) in units {
            let mut row = key(&pk, unit.as_str());
            row.insert(VALUE.to_owned(), string(&as_text(arm, WRITE)?));
            row.insert("expires_at".to_owned(), number(latest + UNITS_KEPT_SECONDS));
            // Whoever counts a unit writes the counts too, on their revision: no condition of its own is needed.
            let put = Put::builder().table_name(&self.table.name).set_item(Some(row)).build();
            puts.push(put.map_err(|error| Unavailable { what: WRITE, why: error.to_string() })?);
        }
        self.table.make_together(puts, WRITE).await
    }
}

impl Cooldowns for ExperimentTable {
    async fn cooling_until(&self, what: ActionKind, subject: &str) -> Result<Option<Timestamp>, Unavailable> {
        cooling_until(&self.table, what, subject).await
    }
}

impl IntentTraffic for ExperimentTable {
    async fn history(&self, intent: &Key) -> Result<History, Unavailable> {
        let row = self.table.get(key(&history_of(Metric::Resolution), intent.as_str()), READ).await?;
        row.map_or_else(|| Ok(History::default()), |row| value_of(&row, READ))
    }
}

fn units_of(experiment: &Key) -> String {
    format!("units#{experiment}")
}

fn counted_of(evidence: &str) -> String {
    format!("counted#{evidence}")
}
