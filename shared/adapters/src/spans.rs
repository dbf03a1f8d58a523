//! Spans in DynamoDB, until their conversation is over.
//!
//! In the table of signals: `trace#TRACE` holds the fragments of a trace's spans, `conversation#NAME` the traces of a
//! conversation. Both expire.

use std::collections::BTreeSet;

use flywheel_intake::Span;
use flywheel_model::Id;
use flywheel_ports::{Group, KeptSpan, Spans, Unavailable};
use jiff::{SignedDuration, Timestamp};

use crate::packed::{pack, unpack};
use crate::table::{Item, Table, key, key_of, number, number_of, text_of};

/// What is asked for, where an answer fails.
const READ: &str = "read spans";

/// Longer than any conversation is waited for, and short: spans hold what users said.
const KEPT: SignedDuration = SignedDuration::from_hours(48);

/// The table of signals, as spans use it.
#[derive(Debug, Clone)]
pub struct SpanTable {
    table: Table,
}

impl SpanTable {
    /// The table of this name.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig, table: String) -> Self {
        Self { table: Table::new(config, table) }
    }

    /// Erases the spans of a conversation, and says how many rows that were.
    ///
    /// # Errors
    /// If DynamoDB does not answer. Erasing again goes on.
    pub async fn erase(&self, conversation: &str) -> Result<usize, Unavailable> {
        let names = self.table.rows(&conversation_key(conversation), READ).await?;
        let mut rows = Vec::new();
        for name in &names {
            rows.extend(self.table.rows(&trace_key(text_of(name, "sk").unwrap_or_default()), READ).await?);
        }
        // The conversation's own rows last: by them the others are found.
        rows.extend(names);
        self.table.delete(&rows.iter().map(key_of).collect::<Vec<_>>(), "erase spans").await?;
        Ok(rows.len())
    }

    async fn put(&self, pk: &str, sk: &str, expires: Timestamp, rest: Item) -> Result<(), Unavailable> {
        let mut item = key(pk, sk);
        item.insert("expires_at".to_owned(), number(expires.as_second()));
        item.extend(rest);
        // The first arrival stands: a delivery that comes again does not make a conversation seem to go on.
        self.table.put_new(item, "keep a span").await.map(drop)
    }
}

impl Spans for SpanTable {
    async fn keep(&self, span: &Span, arrived_at: Timestamp) -> Result<(), Unavailable> {
        let expires = arrived_at.saturating_add(KEPT).unwrap_or(Timestamp::MAX);
        let written = serde_json::to_string(span).map_err(|error| broken(&error))?;
        let row = Item::from([
            ("span".to_owned(), pack(span).map_err(|error| broken(&error))?),
            ("arrived_at".to_owned(), number(arrived_at.as_millisecond())),
        ]);
        // A span may come in fragments: each is a row, and the same one twice is one.
        let name = format!("{}#{}", span.id, Id::of("span", &[&written]));
        self.put(&trace_key(&span.trace), &name, expires, row).await?;
        match &span.conversation {
            Some(conversation) => self.put(&conversation_key(conversation), &span.trace, expires, Item::new()).await,
            None => Ok(()),
        }
    }

    async fn spans(&self, group: &Group) -> Result<Vec<KeptSpan>, Unavailable> {
        let traces: BTreeSet<String> = match group {
            Group::Trace(trace) => BTreeSet::from([trace.clone()]),
            Group::Conversation(name) => {
                let rows = self.table.rows(&conversation_key(name), READ).await?;
                rows.iter().filter_map(|row| text_of(row, "sk")).map(str::to_owned).collect()
            }
        };
        let mut spans = Vec::new();
        for trace in traces {
            for row in self.table.rows(&trace_key(&trace), READ).await? {
                spans.push(read(&row)?);
            }
        }
        Ok(spans)
    }
}

fn trace_key(trace: &str) -> String {
    format!("trace#{trace}")
}

fn conversation_key(conversation: &str) -> String {
    format!("conversation#{conversation}")
}

fn read(row: &Item) -> Result<KeptSpan, Unavailable> {
    let span = unpack(row.get("span")).map_err(|error| broken(&error))?;
    let arrived_at = number_of(row, "arrived_at").and_then(|at| Timestamp::from_millisecond(at).ok());
    Ok(KeptSpan { span, arrived_at: arrived_at.unwrap_or_default() })
}

fn broken(error: &impl std::error::Error) -> Unavailable {
    Unavailable { what: READ, why: error.to_string() }
}
