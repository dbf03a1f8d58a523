//! Histories, findings and alarms in DynamoDB.
//!
//! In the table of signals: `history#METRIC` holds the keys of a metric, each with its history; `findings` the findings
//! of each metric, and how far looks have come; `alarms` the team's alarms; `refreshes` what findings about topics asked for.

use std::collections::BTreeMap;

use flywheel_engine::findings::{History, MetricState, SeenAlarm};
use flywheel_model::{ActionKind, Id, Key, Metric, Refresh, Series};
use flywheel_ports::{Alarms, Cooldowns, Histories, Looked, Memory, Refreshes, Unavailable};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::unavailable;
use crate::outcomes::cooling_until;
use crate::table::{Item, Table, if_it_held, key, number, number_of, string, text_of};

/// A little more than a function may run: after this long, whoever took the right to look is gone.
const LEASE: SignedDuration = SignedDuration::from_secs(45);

/// What is asked for, where an answer fails.
const READ: &str = "read what is remembered";

const FINDINGS: &str = "findings";
const LOOKED: &str = "looked";
const ALARMS: &str = "alarms";
const REFRESHES: &str = "refreshes";

/// The table of signals, as looking for changes uses it.
#[derive(Debug, Clone)]
pub struct FindingTable {
    table: Table,
}

impl FindingTable {
    /// The table of this name.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig, table: String) -> Self {
        Self { table: Table::new(config, table) }
    }

    async fn put(&self, pk: &str, sk: &str, value: &impl Serialize) -> Result<(), Unavailable> {
        let mut item = key(pk, sk);
        item.insert("value".to_owned(), string(&write(value)?));
        self.table.put(item, "remember").await
    }
}

impl Alarms for FindingTable {
    async fn see(&self, alarm: &SeenAlarm) -> Result<(), Unavailable> {
        let mut item = key(ALARMS, alarm.name.as_str());
        item.insert("value".to_owned(), string(&write(alarm)?));
        item.insert("at".to_owned(), number(alarm.at.as_millisecond()));
        let put = self.table.client.put_item().table_name(&self.table.name).set_item(Some(item));
        let put = put.condition_expression("attribute_not_exists(pk) OR #at < :at").expression_attribute_names("#at", "at");
        let put = put.expression_attribute_values(":at", number(alarm.at.as_millisecond()));
        if_it_held(put.send().await, "record an alarm").map(drop)
    }

    async fn alarms(&self) -> Result<Vec<SeenAlarm>, Unavailable> {
        self.table.rows(ALARMS, READ).await?.iter().map(read).collect()
    }
}

impl Memory for FindingTable {
    async fn begin_look(&self, now: Timestamp) -> Result<Option<Looked>, Unavailable> {
        let item = self.table.get(key(FINDINGS, LOOKED), READ).await?.unwrap_or_default();
        let revision = number_of::<u64>(&item, "revision");
        if number_of(&item, "looking_until").is_some_and(|until: i64| until > now.as_millisecond()) {
            return Ok(None);
        }
        let looked: Looked = if item.contains_key("value") { read(&item)? } else { Looked::default() };
        let next = revision.unwrap_or_default() + 1;
        let update = self
            .table
            .client
            .update_item()
            .table_name(&self.table.name)
            .set_key(Some(key(FINDINGS, LOOKED)))
            .update_expression("SET revision = :next, looking_until = :until")
            .expression_attribute_values(":next", number(next))
            .expression_attribute_values(":until", number((now + LEASE).as_millisecond()));
        let update = match revision {
            Some(revision) => {
                update.condition_expression("revision = :revision").expression_attribute_values(":revision", number(revision))
            }
            None => update.condition_expression("attribute_not_exists(revision)"),
        };
        let taken = if_it_held(update.send().await, "take the right to look")?;
        Ok(taken.then_some(Looked { revision: next, ..looked }))
    }

    async fn end_look(&self, looked: &Looked) -> Result<(), Unavailable> {
        let update = self
            .table
            .client
            .update_item()
            .table_name(&self.table.name)
            .set_key(Some(key(FINDINGS, LOOKED)))
            .update_expression("SET #value = :value REMOVE looking_until")
            .condition_expression("revision = :revision")
            .expression_attribute_names("#value", "value")
            .expression_attribute_values(":value", string(&write(looked)?))
            .expression_attribute_values(":revision", number(looked.revision));
        update.send().await.map(|_| ()).map_err(unavailable("record a look"))
    }

    async fn save_history(&self, series: &Series, history: &History) -> Result<(), Unavailable> {
        self.put(&history_of(series.metric), series.key.as_str(), history).await
    }

    async fn state(&self, metric: Metric) -> Result<MetricState, Unavailable> {
        self.table.get(key(FINDINGS, metric.as_str()), READ).await?.map_or_else(|| Ok(MetricState::default()), |item| read(&item))
    }

    async fn save_state(&self, metric: Metric, state: &MetricState) -> Result<(), Unavailable> {
        self.put(FINDINGS, metric.as_str(), state).await
    }
}

impl Histories for FindingTable {
    async fn histories(&self, metric: Metric) -> Result<BTreeMap<Key, History>, Unavailable> {
        let rows = self.table.rows(&history_of(metric), READ).await?;
        let history = |row: &Item| Ok((Key::try_from(text_of(row, "sk").unwrap_or_default()).map_err(|error| broken(&error))?, read(row)?));
        rows.iter().map(history).collect()
    }
}

impl Cooldowns for FindingTable {
    async fn cooling_until(&self, what: ActionKind, subject: &str) -> Result<Option<Timestamp>, Unavailable> {
        cooling_until(&self.table, what, subject).await
    }
}

impl Refreshes for FindingTable {
    async fn keep(&self, refresh: &Refresh) -> Result<(), Unavailable> {
        self.put(REFRESHES, refresh.finding.as_str(), refresh).await
    }

    async fn of(&self, finding: &Id) -> Result<Option<Refresh>, Unavailable> {
        self.table.get(key(REFRESHES, finding.as_str()), READ).await?.as_ref().map(read).transpose()
    }
}

pub(crate) fn history_of(metric: Metric) -> String {
    format!("history#{metric}")
}

fn write(value: &impl Serialize) -> Result<String, Unavailable> {
    serde_json::to_string(value).map_err(|error| broken(&error))
}

fn read<T: DeserializeOwned>(item: &Item) -> Result<T, Unavailable> {
    serde_json::from_str(text_of(item, "value").unwrap_or_default()).map_err(|error| broken(&error))
}

fn broken(error: &impl std::error::Error) -> Unavailable {
    Unavailable { what: READ, why: error.to_string() }
}
