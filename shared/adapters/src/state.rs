//! The state of the document loop in DynamoDB.
//!
//! One table. `account` holds the account and its data sources, so that one query shows all of them; `documents#KB/DS`
//! holds a data source's documents under a hash of their key, since a key can be as long as a whole sort key may be. The
//! local index `pending` has only the documents whose fate is open, those that changed first coming first; being local,
//! it can be read with strong consistency, so no change is overlooked.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};
use flywheel_engine::documents::Document;
use flywheel_engine::sync::{Account, Asked, Plan, Source};
use flywheel_model::{DataSourceId, DocumentId, Id};
use flywheel_ports::{ChangeLog, Freshness, Overview, SyncStore, Unavailable};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::unavailable;
use crate::table::{Item, Table, if_it_held, key, number, number_of, string, text_of};

const ACCOUNT: &str = "account";
const WAKE: &str = "wake";
const SOURCE: &str = "source#";

/// The state table.
#[derive(Debug, Clone)]
pub struct StateTable {
    table: Table,
}

impl StateTable {
    /// The table of this name.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig, table: String) -> Self {
        Self { table: Table::new(config, table) }
    }

    fn source_update(&self, source: &Source) -> Result<Update, Unavailable> {
        let expected = if source.revision == 0 { "attribute_not_exists(revision)" } else { "revision = :revision" };
        let mut update = Update::builder()
            .table_name(&self.table.name)
            .set_key(Some(key(ACCOUNT, &format!("{SOURCE}{}", source.id))))
            .update_expression("SET #state = :state, revision = :next")
            .condition_expression(expected)
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":state", AttributeValue::M(item(source)?))
            .expression_attribute_values(":next", number(source.revision + 1));
        if source.revision > 0 {
            update = update.expression_attribute_values(":revision", number(source.revision));
        }
        update.build().map_err(|error| broken("record a data source", &error))
    }

    fn document_put(&self, source: &DataSourceId, document: &Document) -> Result<Put, Unavailable> {
        let mut row = item(&Document { revision: document.revision + 1, ..document.clone() })?;
        row.extend(document_key(source, &document.id));
        if document.is_pending() {
            row.insert("pending_since".to_owned(), number(document.changed_at.as_millisecond()));
        }
        self.table.revise(row, document.revision)
    }

    fn account_put(&self, account: &Account) -> Result<Put, Unavailable> {
        let mut row = item(&Account { revision: account.revision + 1, ..account.clone() })?;
        row.extend(key(ACCOUNT, ACCOUNT));
        self.table.revise(row, account.revision)
    }
}

impl ChangeLog for StateTable {
    async fn document(&self, source: &DataSourceId, document: &DocumentId) -> Result<Option<Document>, Unavailable> {
        self.table.get(document_key(source, document), "read a document").await?.map(read).transpose()
    }

    async fn save_document(&self, source: &DataSourceId, document: &Document) -> Result<bool, Unavailable> {
        self.table.make(self.document_put(source, document)?, "record a document").await
    }

    async fn touch(&self, source: &DataSourceId, now: Timestamp) -> Result<(), Unavailable> {
        self.table
            .client
            .update_item()
            .table_name(&self.table.name)
            .set_key(Some(key(ACCOUNT, &format!("{SOURCE}{source}"))))
            .update_expression("ADD changes :one SET touched_at = :now")
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":now", number(now.as_millisecond()))
            .send()
            .await
            .map(|_| ())
            .map_err(unavailable("note changes of a data source"))
    }
}

impl Freshness for StateTable {
    async fn synchronised_at(&self, knowledge_base: &str) -> Result<Option<Timestamp>, Unavailable> {
        let sources = self.overview().await?.sources;
        let of_it = sources.iter().filter(|source| source.id.knowledge_base == knowledge_base);
        Ok(of_it.flat_map(|source| [source.last_start, source.last_send]).flatten().max())
    }
}

impl SyncStore for StateTable {
    async fn overview(&self) -> Result<Overview, Unavailable> {
        let mut overview = Overview::default();
        for mut row in self.table.rows(ACCOUNT, "read the account").await? {
            match text_of(&row, "sk") {
                Some(ACCOUNT) => overview.account = read(row)?,
                Some(WAKE) => overview.next_wake = timestamp(&row, "wake_at"),
                Some(sk) => {
                    let Some(id) = sk.strip_prefix(SOURCE).and_then(|id| id.split_once('/')) else { continue };
                    let id = DataSourceId::new(id.0, id.1);
                    let state = map_of(&mut row, "state");
                    // Changes may have been noted before anything was planned.
                    let mut source = state.map(read).transpose()?.unwrap_or_else(|| Source::new(id));
                    source.revision = number_of(&row, "revision").unwrap_or_default();
                    source.changes = number_of(&row, "changes").unwrap_or_default();
                    source.touched_at = timestamp(&row, "touched_at");
                    source.asked = map_of(&mut row, "asked").map(read).transpose()?;
                    overview.sources.push(source);
                }
                None => {}
            }
        }
        Ok(overview)
    }

    async fn pending(&self, source: &DataSourceId, limit: usize) -> Result<Vec<Document>, Unavailable> {
        let mut rows = self
            .table
            .client
            .query()
            .table_name(&self.table.name)
            .index_name("pending")
            .key_condition_expression("pk = :source")
            .expression_attribute_values(":source", string(&documents_of(source)))
            .consistent_read(true)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .into_paginator()
            .items()
            .send();
        let mut documents = Vec::new();
        while documents.len() < limit {
            let Some(row) = rows.next().await else { break };
            documents.push(read(row.map_err(unavailable("read pending documents"))?)?);
        }
        Ok(documents)
    }

    async fn claim(&self, plan: &Plan) -> Result<bool, Unavailable> {
        let mut writes = Vec::new();
        if let Some(account) = &plan.account {
            writes.push(TransactWriteItem::builder().put(self.account_put(account)?).build());
        }
        for source in &plan.sources {
            writes.push(TransactWriteItem::builder().update(self.source_update(source)?).build());
        }
        for (source, document) in &plan.documents {
            writes.push(TransactWriteItem::builder().put(self.document_put(source, document)?).build());
        }
        if writes.is_empty() {
            return Ok(true);
        }
        match self.table.client.transact_write_items().set_transact_items(Some(writes)).send().await {
            Ok(_) => Ok(true),
            Err(error) if overtaken(&error) => Ok(false),
            Err(error) => Err(unavailable("record claims")(error)),
        }
    }

    async fn save_account(&self, account: &Account) -> Result<bool, Unavailable> {
        self.table.make(self.account_put(account)?, "record the account").await
    }

    async fn save_source(&self, source: &Source) -> Result<bool, Unavailable> {
        let update = self.source_update(source)?;
        let request = self
            .table
            .client
            .update_item()
            .table_name(&self.table.name)
            .set_key(Some(update.key))
            .update_expression(update.update_expression)
            .set_condition_expression(update.condition_expression)
            .set_expression_attribute_names(update.expression_attribute_names)
            .set_expression_attribute_values(update.expression_attribute_values);
        if_it_held(request.send().await, "record a data source")
    }

    async fn ask(&self, source: &DataSourceId, asked: &Asked) -> Result<(), Unavailable> {
        let request = self
            .table
            .client
            .update_item()
            .table_name(&self.table.name)
            .set_key(Some(key(ACCOUNT, &format!("{SOURCE}{source}"))))
            .update_expression("ADD changes :one SET asked = :asked")
            .condition_expression("attribute_not_exists(asked) OR asked.finding <> :finding")
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":finding", string(asked.finding.as_str()))
            .expression_attribute_values(":asked", AttributeValue::M(item(asked)?));
        if_it_held(request.send().await, "ask for a synchronisation").map(drop)
    }

    async fn set_next_wake(&self, at: Timestamp) -> Result<(), Unavailable> {
        let mut row = key(ACCOUNT, WAKE);
        row.insert("wake_at".to_owned(), number(at.as_millisecond()));
        self.table
            .client
            .put_item()
            .table_name(&self.table.name)
            .set_item(Some(row))
            .send()
            .await
            .map(|_| ())
            .map_err(unavailable("note the next wake"))
    }
}

/// Whether a transaction was refused because somebody else wrote one of its rows first.
fn overtaken<R>(error: &SdkError<TransactWriteItemsError, R>) -> bool {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() else { return false };
    let codes = || cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code()).filter(|code| *code != "None");
    codes().next().is_some() && codes().all(|code| matches!(code, "ConditionalCheckFailed" | "TransactionConflict"))
}

fn documents_of(source: &DataSourceId) -> String {
    format!("documents#{source}")
}

fn document_key(source: &DataSourceId, document: &DocumentId) -> Item {
    key(&documents_of(source), Id::of("document", &[&document.bucket, &document.key]).as_str())
}

fn timestamp(row: &Item, name: &str) -> Option<Timestamp> {
    Timestamp::from_millisecond(number_of(row, name)?).ok()
}

/// Takes the map that a row has under a name out of it.
fn map_of(row: &mut Item, name: &str) -> Option<Item> {
    if let Some(AttributeValue::M(map)) = row.remove(name) { Some(map) } else { None }
}

fn item<T: Serialize>(value: &T) -> Result<Item, Unavailable> {
    serde_dynamo::to_item(value).map_err(|error| broken("write a row", &error))
}

fn read<T: DeserializeOwned>(row: Item) -> Result<T, Unavailable> {
    serde_dynamo::from_item(row).map_err(|error| broken("read a row", &error))
}

fn broken(what: &'static str, error: &dyn std::error::Error) -> Unavailable {
    Unavailable { what, why: error.to_string() }
}
