//! What the adapters on DynamoDB have in common: rows under `pk` and `sk`, read with strong consistency.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, KeysAndAttributes, Put, TransactWriteItem, WriteRequest};
use aws_types::SdkConfig;
use flywheel_ports::Unavailable;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::unavailable;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// Rows in one request (`BatchWriteItem` in the API reference).
const WRITTEN_TOGETHER: usize = 25;

/// Requests for the same rows, each for what the one before left over.
const TRIES: usize = 20;

/// Rows read in one request (`BatchGetItem` in the API reference).
const READ_TOGETHER: usize = 100;

/// Requests for the same rows, each for what the one before left over.
const READ_TRIES: usize = 5;

/// The attribute of rows that hold a value as JSON.
pub(crate) const VALUE: &str = "value";

/// A table of ours.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) client: Client,
    pub(crate) name: String,
}

impl Table {
    pub(crate) fn new(config: &SdkConfig, name: String) -> Self {
        Self { client: Client::new(config), name }
    }

    /// A row, if it is there.
    pub(crate) async fn get(&self, key: Item, what: &'static str) -> Result<Option<Item>, Unavailable> {
        let request = self.client.get_item().table_name(&self.name).set_key(Some(key)).consistent_read(true);
        Ok(request.send().await.map_err(unavailable(what))?.item)
    }

    /// All rows of a partition, in the order of their `sk`.
    pub(crate) async fn rows(&self, pk: &str, what: &'static str) -> Result<Vec<Item>, Unavailable> {
        self.collect(self.query(pk), what).await
    }

    /// The rows of a partition from one `sk` to another, both of them included.
    pub(crate) async fn rows_between(&self, pk: &str, from: &str, to: &str, what: &'static str) -> Result<Vec<Item>, Unavailable> {
        let query = self.query(pk).key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to");
        let query = query.expression_attribute_values(":from", string(from)).expression_attribute_values(":to", string(to));
        self.collect(query, what).await
    }

    /// The rows of a partition from one `sk` on.
    pub(crate) async fn rows_since(&self, pk: &str, from: &str, what: &'static str) -> Result<Vec<Item>, Unavailable> {
        self.collect(self.query_since(pk, from), what).await
    }

    /// A query of a partition from one `sk` on.
    pub(crate) fn query_since(&self, pk: &str, from: &str) -> QueryFluentBuilder {
        self.query(pk).key_condition_expression("pk = :pk AND sk >= :from").expression_attribute_values(":from", string(from))
    }

    /// A query of a partition.
    pub(crate) fn query(&self, pk: &str) -> QueryFluentBuilder {
        let query = self.client.query().table_name(&self.name).key_condition_expression("pk = :pk");
        query.expression_attribute_values(":pk", string(pk)).consistent_read(true)
    }

    /// The first rows that a query finds, as many as its limit says and fit into an answer.
    pub(crate) async fn first_page(&self, query: QueryFluentBuilder, what: &'static str) -> Result<Vec<Item>, Unavailable> {
        Ok(query.send().await.map_err(unavailable(what))?.items.unwrap_or_default())
    }

    async fn collect(&self, query: QueryFluentBuilder, what: &'static str) -> Result<Vec<Item>, Unavailable> {
        query.into_paginator().items().send().collect::<Result<Vec<Item>, _>>().await.map_err(unavailable(what))
    }

    /// Puts a row in the place of whatever is there.
    pub(crate) async fn put(&self, item: Item, what: &'static str) -> Result<(), Unavailable> {
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        put.send().await.map(drop).map_err(unavailable(what))
    }

    /// A write of a row whose present revision is expected; 0 if it has none yet.
    pub(crate) fn revise(&self, row: Item, expected: u64) -> Result<Put, Unavailable> {
        let put = Put::builder().table_name(&self.name).set_item(Some(row));
        let put = if expected == 0 {
            put.condition_expression("attribute_not_exists(revision)")
        } else {
            put.condition_expression("revision = :revision").expression_attribute_values(":revision", number(expected))
        };
        put.build().map_err(|error| Unavailable { what: "record", why: error.to_string() })
    }

    /// A write of a row with a value, as JSON, whose present revision is expected; 0 if it has none yet.
    pub(crate) fn revise_value(
        &self,
        mut row: Item,
        value: &impl Serialize,
        expected: u64,
        what: &'static str,
    ) -> Result<Put, Unavailable> {
        row.insert(VALUE.to_owned(), string(&as_text(value, what)?));
        row.insert("revision".to_owned(), number(expected + 1));
        self.revise(row, expected)
    }

    /// Makes writes together: all of them, or none: `false` if a condition did not hold or somebody else writes the same rows.
    pub(crate) async fn make_together(&self, puts: Vec<Put>, what: &'static str) -> Result<bool, Unavailable> {
        let writes = puts.into_iter().map(|put| TransactWriteItem::builder().put(put).build()).collect();
        match self.client.transact_write_items().set_transact_items(Some(writes)).send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(
                    TransactWriteItemsError::TransactionCanceledException(_) | TransactWriteItemsError::TransactionInProgressException(_),
                ) => Ok(false),
                _ => Err(unavailable(what)(error)),
            },
        }
    }

    /// The rows of these keys that are there, in no order, as many keys as one likes.
    pub(crate) async fn get_many(&self, keys: Vec<Item>, what: &'static str) -> Result<Vec<Item>, Unavailable> {
        let mut rows = Vec::new();
        for some in keys.chunks(READ_TOGETHER) {
            let mut left = some.to_vec();
            // What is left over when DynamoDB has little time is asked for again.
            for _ in 0..READ_TRIES {
                let wanted = KeysAndAttributes::builder().set_keys(Some(left)).consistent_read(true).build();
                let wanted = wanted.map_err(|error| Unavailable { what, why: error.to_string() })?;
                let answer = self.client.batch_get_item().request_items(&self.name, wanted).send().await.map_err(unavailable(what))?;
                rows.extend(answer.responses.unwrap_or_default().remove(&self.name).unwrap_or_default());
                left = answer.unprocessed_keys.unwrap_or_default().remove(&self.name).map(|left| left.keys).unwrap_or_default();
                if left.is_empty() {
                    break;
                }
            }
            if !left.is_empty() {
                return Err(Unavailable { what, why: format!("{} rows were not read in {READ_TRIES} tries", left.len()) });
            }
        }
        Ok(rows)
    }

    /// Makes a write. `false` if its condition did not hold.
    pub(crate) async fn make(&self, put: Put, what: &'static str) -> Result<bool, Unavailable> {
        let request = self
            .client
            .put_item()
            .table_name(put.table_name)
            .set_item(Some(put.item))
            .set_condition_expression(put.condition_expression)
            .set_expression_attribute_values(put.expression_attribute_values);
        if_it_held(request.send().await, what)
    }

    /// Deletes rows by their keys.
    pub(crate) async fn delete(&self, keys: &[Item], what: &'static str) -> Result<(), Unavailable> {
        let delete = |key: &Item| {
            let request = DeleteRequest::builder().set_key(Some(key.clone())).build();
            request.map(|request| WriteRequest::builder().delete_request(request).build())
        };
        let writes = keys.iter().map(delete).collect::<Result<Vec<_>, _>>();
        self.write(writes.map_err(|error| Unavailable { what, why: error.to_string() })?, what).await
    }

    /// Makes writes, no key twice, in as many requests as it takes.
    pub(crate) async fn write(&self, writes: Vec<WriteRequest>, what: &'static str) -> Result<(), Unavailable> {
        for some in writes.chunks(WRITTEN_TOGETHER) {
            let mut left = some.to_vec();
            // What is left over when DynamoDB has little time is asked for again.
            let mut tries = 0;
            while !left.is_empty() {
                if tries == TRIES {
                    return Err(Unavailable { what, why: format!("{} rows were not written in {TRIES} tries", left.len()) });
                }
                let answer = self.client.batch_write_item().request_items(&self.name, left).send().await.map_err(unavailable(what))?;
                left = answer.unprocessed_items.unwrap_or_default().remove(&self.name).unwrap_or_default();
                tries += 1;
            }
        }
        Ok(())
    }

    /// Puts a row if there is none of its key. `false` if there is one, which stays as it is.
    pub(crate) async fn put_new(&self, item: Item, what: &'static str) -> Result<bool, Unavailable> {
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item)).condition_expression("attribute_not_exists(pk)");
        if_it_held(put.send().await, what)
    }
}

/// Whether a write on a condition was made: `false` if the condition did not hold.
pub(crate) fn if_it_held<T, E, R>(answer: Result<T, SdkError<E, R>>, what: &'static str) -> Result<bool, Unavailable>
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    match answer {
        Ok(_) => Ok(true),
        Err(error) if error.as_service_error().and_then(ProvideErrorMetadata::code) == Some("ConditionalCheckFailedException") => Ok(false),
        Err(error) => Err(unavailable(what)(error)),
    }
}

pub(crate) fn key(pk: &str, sk: &str) -> Item {
    Item::from([("pk".to_owned(), string(pk)), ("sk".to_owned(), string(sk))])
}

pub(crate) fn string(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

#[allow(clippy::needless_pass_by_value, reason = "numbers are copied")]
pub(crate) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// The key of a row.
pub(crate) fn key_of(row: &Item) -> Item {
    key(text_of(row, "pk").unwrap_or_default(), text_of(row, "sk").unwrap_or_default())
}

/// The number that a row has under a name.
pub(crate) fn number_of<T: std::str::FromStr>(row: &Item, name: &str) -> Option<T> {
    row.get(name)?.as_n().ok()?.parse().ok()
}

/// The text that a row has under a name.
pub(crate) fn text_of<'r>(row: &'r Item, name: &str) -> Option<&'r str> {
    row.get(name)?.as_s().ok().map(String::as_str)
}

/// The value that a row holds as JSON.
pub(crate) fn value_of<T: DeserializeOwned>(row: &Item, what: &'static str) -> Result<T, Unavailable> {
    serde_json::from_str(text_of(row, VALUE).unwrap_or_default()).map_err(|error| Unavailable { what, why: error.to_string() })
}

/// A value as JSON.
pub(crate) fn as_text(value: &impl Serialize, what: &'static str) -> Result<String, Unavailable> {
    serde_json::to_string(value).map_err(|error| Unavailable { what, why: error.to_string() })
}
