//! The table of releases: their records, and when checks stopped one.

use std::collections::BTreeMap;

use flywheel_model::Id;
use flywheel_ports::{Releases, Unavailable};
use flywheel_releases::Record;
use jiff::{SignedDuration, Timestamp};

use crate::error::unavailable;
use crate::table::{Item, Table, key, number, number_of, string, text_of};

/// What is asked for, where an answer fails.
const READ: &str = "read releases";

const RECORDS: &str = "records";
const CAUGHT: &str = "caught";

/// Records are kept for longer than the policy may look back.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 400);

/// Records that are looked at: some thousand failed releases. What is older says little of the present.
const RECORDS_AT_MOST: usize = 20_000;

/// The table of releases.
#[derive(Debug, Clone)]
pub struct ReleaseTable {
    table: Table,
}

impl ReleaseTable {
    /// The table of this name.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig, table: String) -> Self {
        Self { table: Table::new(config, table) }
    }

    async fn put(&self, mut item: Item, expires_from: Timestamp, what: &'static str) -> Result<(), Unavailable> {
        item.insert("expires_at".to_owned(), number((expires_from + KEPT).as_second()));
        self.table.put(item, what).await
    }
}

impl Releases for ReleaseTable {
    async fn keep(&self, records: &[Record]) -> Result<(), Unavailable> {
        for record in records {
            let text = serde_json::to_string(record).map_err(|error| broken(&error))?;
            // Ordered by time; the same record has the same key.
            let name = format!("{}#{}", digits(record.at), Id::of("release.record", &[&text]));
            let mut item = key(RECORDS, &name);
            item.insert("value".to_owned(), string(&text));
            self.put(item, record.at, "keep a record of a release").await?;
        }
        Ok(())
    }

    async fn records(&self, since: Timestamp) -> Result<Vec<Record>, Unavailable> {
        let latest_first = self.table.query_since(RECORDS, &digits(since)).scan_index_forward(false);
        let mut rows = latest_first.into_paginator().items().send();
        let mut records = Vec::new();
        while let Some(row) = rows.next().await {
            let row = row.map_err(unavailable(READ))?;
            records.push(serde_json::from_str(text_of(&row, "value").unwrap_or_default()).map_err(|error| broken(&error))?);
            if records.len() == RECORDS_AT_MOST {
                break;
            }
        }
        Ok(records)
    }

    async fn note_caught(&self, checks: &[String], at: Timestamp) -> Result<(), Unavailable> {
        for check in checks {
            let mut item = key(CAUGHT, check);
            item.insert("at".to_owned(), number(at.as_millisecond()));
            self.put(item, at, "note what a check stopped").await?;
        }
        Ok(())
    }

    async fn caught(&self) -> Result<BTreeMap<String, Timestamp>, Unavailable> {
        let rows = self.table.rows(CAUGHT, READ).await?;
        let entry = |row: &Item| Some((text_of(row, "sk")?.to_owned(), Timestamp::from_millisecond(number_of(row, "at")?).ok()?));
        Ok(rows.iter().filter_map(entry).collect())
    }
}

/// Digits that sort as the times do.
fn digits(at: Timestamp) -> String {
    format!("{:016}", at.as_millisecond().max(0))
}

fn broken(error: &impl std::error::Error) -> Unavailable {
    Unavailable { what: READ, why: error.to_string() }
}
