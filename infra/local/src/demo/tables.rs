//! What Flywheel's own tables say.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use flywheel_engine::documents::{Document, Status};
use flywheel_engine::findings::History;
use flywheel_engine::signals::batch;
use flywheel_engine::timeouts::Runs;
use flywheel_model::{Body, Count, DataSourceId, Event, Hour, Metric, Series};

/// What Flywheel recorded of a data source's documents, by key.
pub(crate) async fn documents(client: &Client, table: &str, source: &DataSourceId) -> Result<BTreeMap<String, Status>> {
    let mut pages = client
        .query()
        .table_name(table)
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", AttributeValue::S(format!("documents#{source}")))
        .consistent_read(true)
        .into_paginator()
        .items()
        .send();
    let mut documents = BTreeMap::new();
    while let Some(row) = pages.next().await {
        let document: Document = serde_dynamo::from_item(row?).context("a row of the state table is not a document")?;
        documents.insert(document.id.key, document.status);
    }
    Ok(documents)
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

/// What was usual of a rate before the demo.
pub(crate) struct Usual {
    pub(crate) trials: u64,
    pub(crate) events: u64,
    /// So many more or less, the same in each demo.
    pub(crate) spread: u64,
}

/// Writes what would have been counted of a rate in each hour of so many days, up to this one.
pub(crate) async fn write_history(client: &Client, table: &str, series: &Series, usual: &Usual, days: i64, until: Hour) -> Result<()> {
    let mut history = History::default();
    for hour in until.0 - 24 * days..until.0 {
        let events = usual.events + (hour.unsigned_abs() * 7_919) % (2 * usual.spread + 1) - usual.spread;
        history.learn(Hour(hour), &Count { trials: usual.trials, events, ..Count::default() });
    }
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let put = client.put_item().table_name(table).item("pk", text(&format!("history#{}", series.metric)));
    let put = put.item("sk", text(series.key.as_str())).item("value", text(&serde_json::to_string(&history)?));
    put.send().await.context("cannot write a history")?;
    Ok(())
}

/// How many responses are counted in an hour.
pub(crate) async fn responses(client: &Client, table: &str, hour: Hour) -> Result<u64> {
    let mut pages = client
        .query()
        .table_name(table)
        .key_condition_expression("pk = :hour")
        .expression_attribute_values(":hour", AttributeValue::S(format!("hour#{}", hour.0)))
        .consistent_read(true)
        .into_paginator()
        .items()
        .send();
    let mut counts = BTreeMap::new();
    while let Some(row) = pages.next().await {
        if let Some(AttributeValue::S(text)) = row?.get("counts") {
            batch::read(text, &mut counts).context("a row of counts cannot be read")?;
        }
    }
    Ok(counts.iter().filter(|(series, _)| series.metric == Metric::FailedResponses).map(|(_, count)| count.trials).sum())
}

/// What is known of a limit's runs, day by day.
pub(crate) async fn runs(client: &Client, table: &str, timeout: &str) -> Result<Vec<Runs>> {
    let mut pages = client
        .query()
        .table_name(table)
        .key_condition_expression("pk = :runs")
        .expression_attribute_values(":runs", AttributeValue::S(format!("runs#{timeout}")))
        .consistent_read(true)
        .into_paginator()
        .items()
        .send();
    let mut days = Vec::new();
    while let Some(row) = pages.next().await {
        if let Some(AttributeValue::S(text)) = row?.get("value") {
            days.push(serde_json::from_str(text).context("a row of runs cannot be read")?);
        }
    }
    Ok(days)
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
