//! The ledger: every event, kept once under its id in a table, in the chain of its subject, with a pointer from each of its
//! causes to it; and once more in a bucket, for good.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::Put;
use aws_sdk_s3::primitives::ByteStream;
use aws_types::SdkConfig;
use flywheel_model::{Event, Id, LedgerEntry, Place};
use flywheel_ports::{LedgerStore, Unavailable};
use futures::{StreamExt, TryStreamExt};
use jiff::{Timestamp, ToSpan};
use sha2::{Digest, Sha256};

use crate::error::unavailable;
use crate::lines::{pack, unpack};
use crate::s3;
use crate::table::{Item, Table, key, number, number_of, string, text_of};

/// Requests at the same time.
const AT_ONCE: usize = 8;

/// What is asked for, where an answer fails.
const READ: &str = "read the ledger";
const WRITE: &str = "write to the ledger";

/// Events are kept this much later than they were made, at most: as long as the queues hold them, the dead letters too.
const LATE_DAYS: i64 = 14;

/// The ledger's table and bucket.
#[derive(Debug, Clone)]
pub struct Ledger {
    table: Table,
    client: aws_sdk_s3::Client,
    bucket: String,
}

impl Ledger {
    /// The ledger in this table and this bucket.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String, bucket: String) -> Self {
        Self { table: Table::new(config, table), client: s3::client(config), bucket }
    }

    /// The events that follow from one, in no order.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn effects(&self, id: &Id) -> Result<Vec<Id>, Unavailable> {
        let rows = self.table.rows_since(id.as_str(), "effect#", READ).await?;
        let names = rows.iter().filter_map(|row| text_of(row, "sk")?.strip_prefix("effect#"));
        names.map(|id| id.parse().map_err(|why| Unavailable { what: READ, why })).collect()
    }

    /// The entries of a subject, in the order of their times. Those of the last moments may be missing.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn entries_of(&self, subject: &str) -> Result<Vec<LedgerEntry>, Unavailable> {
        let query = self.table.client.query().table_name(&self.table.name).index_name("by-subject");
        let query = query.key_condition_expression("subject = :subject").expression_attribute_values(":subject", string(subject));
        let rows: Vec<Item> = query.into_paginator().items().send().try_collect().await.map_err(unavailable(READ))?;
        rows.iter().map(entry_of).collect()
    }

    /// All entries of the table, and the last place of each chain. `progress` is told how many rows were read.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn everything(&self, mut progress: impl FnMut(usize)) -> Result<(Vec<LedgerEntry>, BTreeMap<String, Place>), Unavailable> {
        let mut rows = self.table.client.scan().table_name(&self.table.name).consistent_read(true).into_paginator().items().send();
        let (mut entries, mut ends, mut read) = (Vec::new(), BTreeMap::new(), 0);
        while let Some(row) = rows.try_next().await.map_err(unavailable(READ))? {
            if let Some(subject) = text_of(&row, "pk").and_then(|pk| pk.strip_prefix("chain#")) {
                ends.insert(subject.to_owned(), place_of(&row)?);
            } else if text_of(&row, "sk") == Some("event") {
                entries.push(entry_of(&row)?);
            }
            read += 1;
            if read % 1_000 == 0 {
                progress(read);
            }
        }
        Ok((entries, ends))
    }

    /// The events that were made in a time, its end excluded, each once, in the order of their times, from what is kept for
    /// good.
    ///
    /// # Errors
    /// If the bucket cannot be read.
    pub async fn between(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Event>, Unavailable> {
        let entries = self.kept(from, to.saturating_add(LATE_DAYS.hours() * 24).unwrap_or(Timestamp::MAX)).await?;
        let mut known = BTreeSet::new();
        let mut events: Vec<Event> = entries.into_iter().map(|entry| entry.event).collect();
        events.retain(|event| from <= event.at && event.at < to && known.insert(event.id.clone()));
        events.sort_by(Event::by_time);
        Ok(events)
    }

    /// The entries that were kept for good on the days from one time to another, some of them more than once.
    ///
    /// # Errors
    /// If the bucket cannot be read.
    pub async fn kept(&self, from: Timestamp, to: Timestamp) -> Result<Vec<LedgerEntry>, Unavailable> {
        let day = |at: Timestamp| jiff::tz::Offset::UTC.to_datetime(at).date();
        let last = day(to.min(Timestamp::now()));
        let mut names = Vec::new();
        for day in day(from).series(1.day()).take_while(|day| *day <= last) {
            let objects = self.client.list_objects_v2().bucket(&self.bucket).prefix(format!("entries/{day}/")).into_paginator().send();
            for page in objects.try_collect().await.map_err(unavailable(READ))? {
                names.extend(page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key));
            }
        }
        let reading = futures::stream::iter(names).map(|name| self.read(name)).buffered(AT_ONCE);
        let entries: Vec<Vec<LedgerEntry>> = reading.try_collect().await?;
        Ok(entries.into_iter().flatten().collect())
    }

    async fn read(&self, name: String) -> Result<Vec<LedgerEntry>, Unavailable> {
        let Some(object) = s3::get(&self.client, &self.bucket, &name, READ).await? else { return Ok(Vec::new()) };
        let (packed, _) = s3::content(object, READ).await?;
        unpack(&packed).map_err(|error| Unavailable { what: READ, why: format!("{name}: {error}") })
    }

    /// The pointers from an event's causes to it.
    fn pointers(event: &Event) -> impl Iterator<Item = Item> {
        let kind = event.kind();
        event.causes.iter().map(move |cause| {
            let mut pointer = key(cause.as_str(), &format!("effect#{}", event.id));
            pointer.insert("kind".to_owned(), string(kind));
            pointer
        })
    }

    fn place(&self, entry: &LedgerEntry) -> Result<Put, Unavailable> {
        let mut row = key(entry.event.id.as_str(), "event");
        row.extend([
            ("subject".to_owned(), string(&entry.event.subject)),
            ("at".to_owned(), number(entry.event.at.as_millisecond())),
            ("kind".to_owned(), string(entry.event.kind())),
            ("event".to_owned(), string(&entry.text)),
            ("previous".to_owned(), string(&entry.previous)),
        ]);
        row.extend(written(&entry.place));
        let put = Put::builder().table_name(&self.table.name).set_item(Some(row)).condition_expression("attribute_not_exists(pk)");
        put.build().map_err(|error| Unavailable { what: WRITE, why: error.to_string() })
    }

    fn end(&self, subject: &str, last: Option<&Place>, new: &Place) -> Result<Put, Unavailable> {
        let mut row = key(&format!("chain#{subject}"), "last");
        row.extend(written(new));
        let put = Put::builder().table_name(&self.table.name).set_item(Some(row));
        let put = match last {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(last) => {
                // `hash` is a reserved word (DynamoDB developer guide, "Reserved words").
                put.condition_expression("#hash = :hash")
                    .expression_attribute_names("#hash", "hash")
                    .expression_attribute_values(":hash", string(&last.hash))
            }
        };
        put.build().map_err(|error| Unavailable { what: WRITE, why: error.to_string() })
    }
}

impl LedgerStore for Ledger {
    async fn recorded(&self, events: &[Id]) -> Result<Vec<LedgerEntry>, Unavailable> {
        let keys = events.iter().map(|id| key(id.as_str(), "event")).collect();
        self.table.get_many(keys, READ).await?.iter().map(entry_of).collect()
    }

    async fn last(&self, subject: &str) -> Result<Option<Place>, Unavailable> {
        let row = self.table.get(key(&format!("chain#{subject}"), "last"), READ).await?;
        row.as_ref().map(place_of).transpose()
    }

    async fn append(&self, last: Option<&Place>, entries: &[LedgerEntry]) -> Result<bool, Unavailable> {
        let Some(new) = entries.last() else { return Ok(true) };
        // Pointers first: an event that is there is there with all of them.
        let pointers: Vec<Item> = entries.iter().flat_map(|entry| Self::pointers(&entry.event)).collect();
        let writing = pointers.into_iter().map(|pointer| self.table.put_new(pointer, WRITE));
        let written: Vec<_> = futures::stream::iter(writing.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).collect().await;
        written.into_iter().collect::<Result<Vec<bool>, _>>()?;
        let mut puts = vec![self.end(&new.event.subject, last, &new.place)?];
        for entry in entries {
            puts.push(self.place(entry)?);
        }
        self.table.make_together(puts, WRITE).await
    }

    async fn keep(&self, entries: &[LedgerEntry], now: Timestamp) -> Result<(), Unavailable> {
        let packed = pack(entries).map_err(|error| Unavailable { what: WRITE, why: error.to_string() })?;
        let name = format!("entries/{}/{}.jsonl.gz", now.strftime("%Y-%m-%d/%H"), hex::encode(Sha256::digest(&packed)));
        let put = self.client.put_object().bucket(&self.bucket).key(name).content_type("application/jsonl").content_encoding("gzip");
        put.body(ByteStream::from(packed)).send().await.map(drop).map_err(unavailable("keep entries of the ledger"))
    }
}

fn entry_of(row: &Item) -> Result<LedgerEntry, Unavailable> {
    let text = |name: &str| text_of(row, name).unwrap_or_default().to_owned();
    LedgerEntry::read(text("event"), place_of(row)?, text("previous")).map_err(|why| Unavailable { what: READ, why })
}

fn place_of(row: &Item) -> Result<Place, Unavailable> {
    let place = number_of(row, "sequence").zip(text_of(row, "hash")).map(|(sequence, hash)| Place { sequence, hash: hash.to_owned() });
    place.ok_or_else(|| Unavailable { what: READ, why: format!("{} has no place in a chain", text_of(row, "pk").unwrap_or_default()) })
}

fn written(place: &Place) -> [(String, aws_sdk_dynamodb::types::AttributeValue); 2] {
    [("sequence".to_owned(), number(place.sequence)), ("hash".to_owned(), string(&place.hash))]
}
