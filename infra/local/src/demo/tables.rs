//! What Flywheel's own tables say.

use std::collections::BTreeMap;

use anyhow::Result;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use flywheel_model::{Body, DataSourceId, Event};

/// A document's row in the state table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
}

/// The rows of a data source's documents, by key.
pub(crate) async fn documents(client: &Client, table: &str, source: &DataSourceId) -> Result<BTreeMap<String, Row>> {
    let mut pages = client
        .query()
        .table_name(table)
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", AttributeValue::S(format!("documents#{source}")))
        .consistent_read(true)
        .into_paginator()
        .items()
        .send();
    let mut rows = BTreeMap::new();
    while let Some(item) = pages.next().await {
        let item = item?;
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
        if let (Some(key), Some(status)) = (text("key"), text("status")) {
            rows.insert(key, Row { status, reason: text("reason") });
        }
    }
    Ok(rows)
}

/// Every event of the ledger.
pub(crate) async fn events(client: &Client, table: &str) -> Result<Vec<Event>> {
    let mut pages = client
        .scan()
        .table_name(table)
        .filter_expression("sk = :event")
        .projection_expression("#event")
        .expression_attribute_names("#event", "event")
        .expression_attribute_values(":event", AttributeValue::S("event".to_owned()))
        .consistent_read(true)
        .into_paginator()
        .items()
        .send();
    let mut events = Vec::new();
    while let Some(item) = pages.next().await {
        if let Some(text) = item?.get("event").and_then(|value| value.as_s().ok()) {
            events.push(serde_json::from_str(text)?);
        }
    }
    events.sort_by_key(|event: &Event| event.at);
    Ok(events)
}

/// How often each reason to hold was given.
pub(crate) fn holds(events: &[Event]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for event in events {
        if let Body::SyncHeld(hold) = &event.body {
            *counts.entry(hold.reason.word()).or_default() += 1;
        }
    }
    counts
}

/// How many signals of changed documents there are.
pub(crate) fn changes_seen(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event.body, Body::DocumentChanged(_))).count()
}
