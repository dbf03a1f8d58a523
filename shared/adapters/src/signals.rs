//! Marks and counts of signals in DynamoDB.
//!
//! One table. `signal#ID` holds a signal's mark: that it is counted, and in which object its observation is. `hour#HOUR`
//! holds what batches added to an hour, a row for each; their sum is what was counted. `touched` holds the hours in which
//! something was counted.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use flywheel_engine::signals::batch::{self, Addition, Batch, Entry};
use flywheel_model::{Count, Hour, Id, Series};
use flywheel_ports::{Counted, Counts, Salt, SignalStore, Unavailable};
use jiff::Timestamp;

use crate::error::unavailable;

type Item = HashMap<String, AttributeValue>;

/// The secret of redaction: in the table, which only the functions that redact and count may read.
const SALT: &str = "salt";

const MARK: &str = "mark";
const TOUCHED: &str = "touched";
const EXPIRES_AT: &str = "expires_at";

/// The table of signals.
#[derive(Debug, Clone)]
pub struct SignalTable {
    client: Client,
    table: String,
}

impl SignalTable {
    /// The table of this name.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig, table: String) -> Self {
        Self { client: Client::new(config), table }
    }

    /// The object that holds a counted signal's observation.
    pub(crate) async fn evidence_of(&self, signal: &Id) -> Result<Option<String>, Unavailable> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(mark_key(signal))).consistent_read(true);
        let item = request.send().await.map_err(unavailable("read a mark"))?.item;
        Ok(item.and_then(|mut item| item.remove("evidence")).and_then(|name| name.as_s().ok().cloned()))
    }

    fn mark(&self, entry: &Entry, evidence: &str) -> Result<TransactWriteItem, Unavailable> {
        let mut item = mark_key(&entry.signal);
        item.insert("evidence".to_owned(), string(evidence));
        item.insert(EXPIRES_AT.to_owned(), seconds(entry.expires_at()));
        let put = Put::builder().table_name(&self.table).set_item(Some(item)).condition_expression("attribute_not_exists(pk)");
        Ok(TransactWriteItem::builder().put(put.build().map_err(|error| broken(&error))?).build())
    }

    fn addition(&self, hour: Hour, addition: &Addition) -> Result<TransactWriteItem, Unavailable> {
        let mut item = key(&hour_key(hour), addition.id.as_str());
        item.insert("counts".to_owned(), string(&batch::write(&addition.counts)));
        item.insert(EXPIRES_AT.to_owned(), seconds(batch::counts_expire_at(hour)));
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        Ok(TransactWriteItem::builder().put(put.build().map_err(|error| broken(&error))?).build())
    }
}

impl Salt for SignalTable {
    async fn salt(&self) -> Result<Vec<u8>, Unavailable> {
        let at = || Some(key(SALT, SALT));
        loop {
            let request = self.client.get_item().table_name(&self.table).set_key(at()).consistent_read(true);
            let item = request.send().await.map_err(unavailable("read the salt"))?.item;
            if let Some(AttributeValue::B(salt)) = item.as_ref().and_then(|item| item.get(SALT)) {
                return Ok(salt.as_ref().to_vec());
            }
            let mut salt = vec![0; 32];
            getrandom::fill(&mut salt).map_err(|error| Unavailable { what: "make a salt", why: error.to_string() })?;
            let mut item = key(SALT, SALT);
            item.insert(SALT.to_owned(), AttributeValue::B(Blob::new(salt.clone())));
            // Whoever is first makes it; the others read what is there then.
            let put = self.client.put_item().table_name(&self.table).set_item(Some(item)).condition_expression("attribute_not_exists(pk)");
            match put.send().await {
                Ok(_) => return Ok(salt),
                Err(error) if error.as_service_error().is_some_and(|error| error.is_conditional_check_failed_exception()) => {}
                Err(error) => return Err(unavailable("record the salt")(error)),
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
        match self.client.transact_write_items().set_transact_items(Some(writes)).send().await {
            Ok(_) => Ok(Counted::All),
            Err(error) => refused(&error, batch).map_or_else(|| Err(unavailable("count signals")(error)), Ok),
        }
    }

    async fn touch(&self, hours: &BTreeSet<Hour>) -> Result<(), Unavailable> {
        for hour in hours {
            self.client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(key(TOUCHED, &digits(*hour))))
                .update_expression(format!("ADD n :one SET {EXPIRES_AT} = :expires"))
                .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
                .expression_attribute_values(":expires", seconds(batch::counts_expire_at(*hour)))
                .send()
                .await
                .map_err(unavailable("touch an hour"))?;
        }
        Ok(())
    }
}

impl Counts for SignalTable {
    async fn touched(&self, since: Hour) -> Result<BTreeMap<Hour, u64>, Unavailable> {
        let rows = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :touched AND sk >= :since")
            .expression_attribute_values(":touched", string(TOUCHED))
            .expression_attribute_values(":since", string(&digits(since)))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<Item>, _>>()
            .await
            .map_err(unavailable("read which hours were touched"))?;
        let touched = |row: &Item| Some((Hour(row.get("sk")?.as_s().ok()?.parse().ok()?), number(row.get("n")?)?));
        Ok(rows.iter().filter_map(touched).collect())
    }

    async fn counts(&self, hour: Hour) -> Result<BTreeMap<Series, Count>, Unavailable> {
        let mut rows = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :hour")
            .expression_attribute_values(":hour", string(&hour_key(hour)))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut counts = BTreeMap::new();
        while let Some(row) = rows.next().await {
            let row = row.map_err(unavailable("read counts"))?;
            let text = row.get("counts").and_then(|counts| counts.as_s().ok()).map_or("", String::as_str);
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
    let known: BTreeSet<Id> = batch
        .entries
        .iter()
        .zip(&codes)
        .filter(|(_, code)| **code == "ConditionalCheckFailed")
        .map(|(entry, _)| entry.signal.clone())
        .collect();
    if !known.is_empty() {
        return Some(Counted::Known(known));
    }
    let passing = ["None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
    (!codes.is_empty() && codes.iter().all(|code| passing.contains(code))).then_some(Counted::Busy)
}

fn mark_key(signal: &Id) -> Item {
    key(&format!("signal#{signal}"), MARK)
}

fn hour_key(hour: Hour) -> String {
    format!("hour#{}", hour.0)
}

/// Digits that sort as the numbers do.
fn digits(hour: Hour) -> String {
    format!("{:010}", hour.0.max(0))
}

fn key(pk: &str, sk: &str) -> Item {
    Item::from([("pk".to_owned(), string(pk)), ("sk".to_owned(), string(sk))])
}

fn string(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn seconds(at: Timestamp) -> AttributeValue {
    AttributeValue::N(at.as_second().to_string())
}

fn number(value: &AttributeValue) -> Option<u64> {
    value.as_n().ok()?.parse().ok()
}

fn broken(error: &dyn std::error::Error) -> Unavailable {
    Unavailable { what: "count signals", why: error.to_string() }
}
