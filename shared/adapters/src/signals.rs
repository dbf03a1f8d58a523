//! Marks and counts of signals in DynamoDB.
//!
//! One table. `signal#ID` holds a signal's mark: that it is counted, and in which object its observation is. `hour#HOUR`
//! holds what batches added to an hour, a row for each; their sum is what was counted. `touched` holds the hours in which
//! something was counted.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem};
use flywheel_engine::signals::batch::{self, Addition, Batch, Entry};
use flywheel_model::{Count, Hour, Id, Series};
use flywheel_ports::{Counted, Counts, Salt, SignalStore, Unavailable};

use crate::error::unavailable;
use crate::table::{Item, Table, key, number, number_of, string, text_of};

/// The secret of redaction: in the table, which only the functions that redact and count may read.
const SALT: &str = "salt";

const SIGNAL: &str = "signal#";
const MARK: &str = "mark";
const TOUCHED: &str = "touched";
const EXPIRES_AT: &str = "expires_at";

/// The table of signals.
#[derive(Debug, Clone)]
pub struct SignalTable {
    table: Table,
}

impl SignalTable {
    /// The table of this name.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig, table: String) -> Self {
        Self { table: Table::new(config, table) }
    }

    /// The object that holds a counted signal's observation.
    pub(crate) async fn evidence_of(&self, signal: &Id) -> Result<Option<String>, Unavailable> {
        let item = self.table.get(mark_key(signal), "read a mark").await?;
        Ok(item.and_then(|item| text_of(&item, "evidence").map(str::to_owned)))
    }

    /// Those among signals whose mark names an object.
    pub(crate) async fn counted_from(&self, evidence: &str, signals: &BTreeSet<Id>) -> Result<BTreeSet<Id>, Unavailable> {
        let rows = self.table.get_many(signals.iter().map(mark_key).collect(), "read marks").await?;
        let here = rows.iter().filter(|row| text_of(row, "evidence") == Some(evidence));
        Ok(here.filter_map(|row| signal_of(text_of(row, "pk")?)).collect())
    }

    fn mark(&self, entry: &Entry, evidence: &str) -> Result<TransactWriteItem, Unavailable> {
        let mut item = mark_key(&entry.signal);
        item.insert("evidence".to_owned(), string(evidence));
        item.insert(EXPIRES_AT.to_owned(), number(entry.expires_at().as_second()));
        let put = Put::builder()
            .table_name(&self.table.name)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        Ok(TransactWriteItem::builder().put(put.build().map_err(|error| broken(&error))?).build())
    }

    fn addition(&self, hour: Hour, addition: &Addition) -> Result<TransactWriteItem, Unavailable> {
        let mut item = key(&hour_key(hour), addition.id.as_str());
        item.insert("counts".to_owned(), string(&batch::write(&addition.counts)));
        item.insert(EXPIRES_AT.to_owned(), number(batch::counts_expire_at(hour).as_second()));
        let put = Put::builder().table_name(&self.table.name).set_item(Some(item));
        Ok(TransactWriteItem::builder().put(put.build().map_err(|error| broken(&error))?).build())
    }
}

impl Salt for SignalTable {
    async fn salt(&self) -> Result<Vec<u8>, Unavailable> {
        loop {
            let item = self.table.get(key(SALT, SALT), "read the salt").await?;
            if let Some(AttributeValue::B(salt)) = item.as_ref().and_then(|item| item.get(SALT)) {
                return Ok(salt.as_ref().to_vec());
            }
            let mut salt = vec![0; 32];
            getrandom::fill(&mut salt).map_err(|error| Unavailable { what: "make a salt", why: error.to_string() })?;
            let mut item = key(SALT, SALT);
            item.insert(SALT.to_owned(), AttributeValue::B(Blob::new(salt.clone())));
            // Whoever is first makes it; the others read what is there then.
            if self.table.put_new(item, "record the salt").await? {
                return Ok(salt);
            }
        }
    }
}

impl SignalStore for SignalTable {
    async fn count(&self, batch: &Batch) -> Result<Counted, Unavailable> {
        // The marks first: a cancelled transaction gives its reasons in the order of the writes.
        let mut writes = batch.entries.iter().map(|entry| self.mark(entry, &batch.evidence)).collect::<Result<Vec<_>, _>>()?;
        for (hour, addition) in batch.additions() {
            writes.push(self.addition(hour, &addition)?);
        }
        match self.table.client.transact_write_items().set_transact_items(Some(writes)).send().await {
            Ok(_) => Ok(Counted::All),
            Err(error) => refused(&error, batch).map_or_else(|| Err(unavailable("count signals")(error)), Ok),
        }
    }

    async fn touch(&self, hours: &BTreeSet<Hour>) -> Result<(), Unavailable> {
        for hour in hours {
            self.table
                .client
                .update_item()
                .table_name(&self.table.name)
                .set_key(Some(key(TOUCHED, &digits(*hour))))
                .update_expression(format!("ADD n :one SET {EXPIRES_AT} = :expires"))
                .expression_attribute_values(":one", number(1))
                .expression_attribute_values(":expires", number(batch::counts_expire_at(*hour).as_second()))
                .send()
                .await
                .map_err(unavailable("touch an hour"))?;
        }
        Ok(())
    }
}

impl Counts for SignalTable {
    async fn touched(&self, since: Hour) -> Result<BTreeMap<Hour, u64>, Unavailable> {
        let rows = self.table.rows_since(TOUCHED, &digits(since), "read which hours were touched").await?;
        let touched = |row: &Item| Some((Hour(text_of(row, "sk")?.parse().ok()?), number_of(row, "n")?));
        Ok(rows.iter().filter_map(touched).collect())
    }

    async fn counts(&self, hour: Hour) -> Result<BTreeMap<Series, Count>, Unavailable> {
        let mut counts = BTreeMap::new();
        for row in self.table.rows(&hour_key(hour), "read counts").await? {
            let text = text_of(&row, "counts").unwrap_or_default();
            batch::read(text, &mut counts).map_err(|error| Unavailable { what: "read counts", why: error.to_string() })?;
        }
        Ok(counts)
    }
}

/// Why a transaction wrote nothing, if it is one of the ways in which that is normal.
fn refused<R>(error: &SdkError<TransactWriteItemsError, R>, batch: &Batch) -> Option<Counted> {
    let reasons = match error.as_service_error()? {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => cancelled.cancellation_reasons(),
        TransactWriteItemsError::TransactionInProgressException(_) => return Some(Counted::Busy),
        _ => return None,
    };
    let codes: Vec<&str> = reasons.iter().map(|reason| reason.code().unwrap_or("None")).collect();
    let known: BTreeMap<Id, String> = batch
        .entries
        .iter()
        .zip(reasons)
        .filter(|(_, reason)| reason.code() == Some("ConditionalCheckFailed"))
        .filter_map(|(entry, reason)| Some((entry.signal.clone(), text_of(reason.item()?, "evidence")?.to_owned())))
        .collect();
    if !known.is_empty() {
        return Some(Counted::Known(known));
    }
    let passing = ["None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
    (!codes.is_empty() && codes.iter().all(|code| passing.contains(code))).then_some(Counted::Busy)
}

fn mark_key(signal: &Id) -> Item {
    key(&format!("{SIGNAL}{signal}"), MARK)
}

/// The signal that a mark's key names.
fn signal_of(pk: &str) -> Option<Id> {
    serde_json::from_value(pk.strip_prefix(SIGNAL)?.into()).ok()
}

fn hour_key(hour: Hour) -> String {
    format!("hour#{}", hour.0)
}

/// Digits that sort as the numbers do.
fn digits(hour: Hour) -> String {
    format!("{:010}", hour.0.max(0))
}

fn broken(error: &dyn std::error::Error) -> Unavailable {
    Unavailable { what: "count signals", why: error.to_string() }
}
