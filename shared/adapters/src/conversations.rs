//! Which conversations there were, and which findings about them are open, in DynamoDB.
//!
//! In the table of signals: `conversations#failed#INTENT` and `conversations#resolved#INTENT` hold a row for each conversation,
//! in the order of time; `test-findings` one for each finding that tests are made for.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use flywheel_model::{Id, Key};
use flywheel_ports::{ConversationIndex, Noted, OpenFinding, Unavailable};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::StrDeserializer;

use crate::table::{Item, Table, key, number, string, text_of};

const READ: &str = "read which conversations there were";
const WRITE: &str = "note conversations";

const FINDINGS: &str = "test-findings";

/// As long as observations are: what an entry names is then gone.
const KEPT_SECONDS: i64 = 30 * 86_400;

/// The table of signals, as making tests uses it.
#[derive(Debug, Clone)]
pub struct ConversationTable {
    table: Table,
}

impl ConversationTable {
    /// The table of this name.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig, table: String) -> Self {
        Self { table: Table::new(config, table) }
    }
}

impl ConversationIndex for ConversationTable {
    async fn note(&self, conversations: &[Noted]) -> Result<(), Unavailable> {
        // One row for each key: a request that names one twice is refused.
        let rows: BTreeMap<(String, String), Item> = conversations.iter().map(row).collect();
        let put = |item: Item| {
            let request = PutRequest::builder().set_item(Some(item)).build();
            request.map(|request| WriteRequest::builder().put_request(request).build())
        };
        let writes = rows.into_values().map(put).collect::<Result<Vec<_>, _>>();
        self.table.write(writes.map_err(|error| Unavailable { what: WRITE, why: error.to_string() })?, WRITE).await
    }

    async fn noted(&self, intent: &Key, failed: bool, since: Timestamp, at_most: usize) -> Result<Vec<Noted>, Unavailable> {
        let pk = partition(intent, failed);
        let limit = i32::try_from(at_most).unwrap_or(i32::MAX);
        let latest = self.table.query_since(&pk, &digits(since)).scan_index_forward(false).limit(limit);
        let noted = |row: &Item| {
            let (at, signal) = text_of(row, "sk")?.split_once('#')?;
            Some(Noted {
                signal: id(signal)?,
                intent: intent.clone(),
                at: Timestamp::from_millisecond(at.parse().ok()?).ok()?,
                failed,
                evidence: text_of(row, "evidence")?.to_owned(),
            })
        };
        Ok(self.table.first_page(latest, READ).await?.iter().filter_map(noted).collect())
    }

    async fn keep_finding(&self, open: &OpenFinding) -> Result<(), Unavailable> {
        let mut row = key(FINDINGS, open.finding.as_str());
        row.insert("intent".to_owned(), string(open.intent.as_str()));
        row.insert("since".to_owned(), string(&open.since.to_string()));
        row.insert("expires_at".to_owned(), number(open.since.as_second() + KEPT_SECONDS));
        self.table.put(row, "keep an open finding").await
    }

    async fn drop_finding(&self, finding: &Id) -> Result<(), Unavailable> {
        self.table.delete(&[key(FINDINGS, finding.as_str())], "forget a closed finding").await
    }

    async fn open_findings(&self) -> Result<Vec<OpenFinding>, Unavailable> {
        let open = |row: &Item| {
            Some(OpenFinding {
                finding: id(text_of(row, "sk")?)?,
                intent: Key::try_from(text_of(row, "intent")?).ok()?,
                since: text_of(row, "since")?.parse().ok()?,
            })
        };
        Ok(self.table.rows(FINDINGS, "read open findings").await?.iter().filter_map(open).collect())
    }
}

fn row(noted: &Noted) -> ((String, String), Item) {
    let (pk, sk) = (partition(&noted.intent, noted.failed), format!("{}#{}", digits(noted.at), noted.signal));
    let mut row = key(&pk, &sk);
    row.insert("evidence".to_owned(), string(&noted.evidence));
    row.insert("expires_at".to_owned(), number(noted.at.as_second() + KEPT_SECONDS));
    ((pk, sk), row)
}

fn partition(intent: &Key, failed: bool) -> String {
    format!("conversations#{}#{intent}", if failed { "failed" } else { "resolved" })
}

fn id(digits: &str) -> Option<Id> {
    let digits: StrDeserializer<'_, serde::de::value::Error> = digits.into_deserializer();
    Id::deserialize(digits).ok()
}

/// Digits that sort as the times do.
fn digits(at: Timestamp) -> String {
    format!("{:015}", at.as_millisecond().max(0))
}
