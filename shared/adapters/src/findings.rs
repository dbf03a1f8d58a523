//! Histories, findings and alarms in DynamoDB.
//!
//! In the table of signals: `history#METRIC` holds the keys of a metric, each with its history; `findings` the findings
//! of each metric, and how far looks have come; `alarms` the team's alarms; `refreshes` what findings about topics asked for.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use flywheel_engine::findings::{History, MetricState, SeenAlarm};
use flywheel_model::{Id, Key, Metric, Refresh, Series};
use flywheel_ports::{Alarms, Looked, Memory, Refreshes, Unavailable};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::unavailable;

type Item = HashMap<String, AttributeValue>;

/// A little more than a function may run: after this long, whoever took the right to look is gone.
const LEASE: SignedDuration = SignedDuration::from_secs(45);

const FINDINGS: &str = "findings";
const LOOKED: &str = "looked";
const ALARMS: &str = "alarms";
const REFRESHES: &str = "refreshes";

/// The table of signals, as looking for changes uses it.
#[derive(Debug, Clone)]
pub struct FindingTable {
    client: Client,
    table: String,
}

impl FindingTable {
    /// The table of this name.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig, table: String) -> Self {
        Self { client: Client::new(config), table }
    }

    async fn get(&self, pk: &str, sk: &str) -> Result<Option<Item>, Unavailable> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key(pk, sk))).consistent_read(true);
        Ok(request.send().await.map_err(unavailable("read what is remembered"))?.item)
    }

    async fn query(&self, pk: &str) -> Result<Vec<Item>, Unavailable> {
        self.client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<Item>, _>>()
            .await
            .map_err(unavailable("read what is remembered"))
    }

    async fn put(&self, pk: &str, sk: &str, value: &impl Serialize) -> Result<(), Unavailable> {
        let mut item = key(pk, sk);
        item.insert("value".to_owned(), AttributeValue::S(write(value)?));
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        request.send().await.map(|_| ()).map_err(unavailable("remember"))
    }
}

impl Alarms for FindingTable {
    async fn see(&self, alarm: &SeenAlarm) -> Result<(), Unavailable> {
        let mut item = key(ALARMS, alarm.name.as_str());
        item.insert("value".to_owned(), AttributeValue::S(write(alarm)?));
        item.insert("at".to_owned(), milliseconds(alarm.at));
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let put = put.condition_expression("attribute_not_exists(pk) OR #at < :at").expression_attribute_names("#at", "at");
        match put.expression_attribute_values(":at", milliseconds(alarm.at)).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_conditional_check_failed_exception()) => Ok(()),
            Err(error) => Err(unavailable("record an alarm")(error)),
        }
    }

    async fn alarms(&self) -> Result<Vec<SeenAlarm>, Unavailable> {
        self.query(ALARMS).await?.iter().map(read).collect()
    }
}

impl Memory for FindingTable {
    async fn begin_look(&self, now: Timestamp) -> Result<Option<Looked>, Unavailable> {
        let item = self.get(FINDINGS, LOOKED).await?.unwrap_or_default();
        let revision = item.get("revision").and_then(number);
        let until = item.get("looking_until").and_then(number).unwrap_or_default();
        if until > now.as_millisecond() {
            return Ok(None);
        }
        let looked: Looked = if item.contains_key("value") { read(&item)? } else { Looked::default() };
        let next = revision.unwrap_or_default() + 1;
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(FINDINGS, LOOKED)))
            .update_expression("SET revision = :next, looking_until = :until")
            .expression_attribute_values(":next", AttributeValue::N(next.to_string()))
            .expression_attribute_values(":until", milliseconds(now + LEASE));
        let update = match revision {
            Some(revision) => update
                .condition_expression("revision = :revision")
                .expression_attribute_values(":revision", AttributeValue::N(revision.to_string())),
            None => update.condition_expression("attribute_not_exists(revision)"),
        };
        match update.send().await {
            Ok(_) => Ok(Some(Looked { revision: next.cast_unsigned(), ..looked })),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_conditional_check_failed_exception()) => Ok(None),
            Err(error) => Err(unavailable("take the right to look")(error)),
        }
    }

    async fn end_look(&self, looked: &Looked) -> Result<(), Unavailable> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(FINDINGS, LOOKED)))
            .update_expression("SET #value = :value REMOVE looking_until")
            .condition_expression("revision = :revision")
            .expression_attribute_names("#value", "value")
            .expression_attribute_values(":value", AttributeValue::S(write(looked)?))
            .expression_attribute_values(":revision", AttributeValue::N(looked.revision.to_string()));
        update.send().await.map(|_| ()).map_err(unavailable("record a look"))
    }

    async fn histories(&self, metric: Metric) -> Result<BTreeMap<Key, History>, Unavailable> {
        let rows = self.query(&history_of(metric)).await?;
        let history = |row: &Item| {
            let name = row.get("sk").and_then(|name| name.as_s().ok()).cloned().unwrap_or_default();
            Ok((Key::try_from(name).map_err(|error| broken(&error))?, read(row)?))
        };
        rows.iter().map(history).collect()
    }

    async fn save_history(&self, series: &Series, history: &History) -> Result<(), Unavailable> {
        self.put(&history_of(series.metric), series.key.as_str(), history).await
    }

    async fn state(&self, metric: Metric) -> Result<MetricState, Unavailable> {
        self.get(FINDINGS, metric.as_str()).await?.map_or_else(|| Ok(MetricState::default()), |item| read(&item))
    }

    async fn save_state(&self, metric: Metric, state: &MetricState) -> Result<(), Unavailable> {
        self.put(FINDINGS, metric.as_str(), state).await
    }
}

impl Refreshes for FindingTable {
    async fn keep(&self, refresh: &Refresh) -> Result<(), Unavailable> {
        self.put(REFRESHES, refresh.finding.as_str(), refresh).await
    }

    async fn of(&self, finding: &Id) -> Result<Option<Refresh>, Unavailable> {
        self.get(REFRESHES, finding.as_str()).await?.as_ref().map(read).transpose()
    }
}

fn history_of(metric: Metric) -> String {
    format!("history#{metric}")
}

fn key(pk: &str, sk: &str) -> Item {
    [("pk", pk), ("sk", sk)].into_iter().map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned()))).collect()
}

fn milliseconds(at: Timestamp) -> AttributeValue {
    AttributeValue::N(at.as_millisecond().to_string())
}

fn number(value: &AttributeValue) -> Option<i64> {
    value.as_n().ok()?.parse().ok()
}

fn write(value: &impl Serialize) -> Result<String, Unavailable> {
    serde_json::to_string(value).map_err(|error| broken(&error))
}

fn read<T: DeserializeOwned>(item: &Item) -> Result<T, Unavailable> {
    let text = item.get("value").and_then(|value| value.as_s().ok()).map(String::as_str).unwrap_or_default();
    serde_json::from_str(text).map_err(|error| broken(&error))
}

fn broken(error: &impl std::error::Error) -> Unavailable {
    Unavailable { what: "read what is remembered", why: error.to_string() }
}
