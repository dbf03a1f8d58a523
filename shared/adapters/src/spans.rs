//! Spans in DynamoDB, until their conversation is over.
//!
//! In the table of signals: `trace#TRACE` holds the fragments of a trace's spans, `conversation#NAME` the traces of a
//! conversation. Both expire.

use std::collections::{BTreeSet, HashMap};
use std::io::{Read, Write};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use flywheel_intake::Span;
use flywheel_model::Id;
use flywheel_ports::{Group, KeptSpan, Spans, Unavailable};
use jiff::{SignedDuration, Timestamp};

use crate::error::unavailable;

type Item = HashMap<String, AttributeValue>;

/// Longer than any conversation is waited for, and short: spans hold what users said.
const KEPT: SignedDuration = SignedDuration::from_hours(48);

/// The most bytes that a kept span unpacks to: more than CloudWatch Logs takes as one event.
const LONGEST: u64 = 2 * 1_024 * 1_024;

/// The table of signals, as spans use it.
#[derive(Debug, Clone)]
pub struct SpanTable {
    client: Client,
    table: String,
}

impl SpanTable {
    /// The table of this name.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig, table: String) -> Self {
        Self { client: Client::new(config), table }
    }

    async fn put(&self, pk: String, sk: String, expires: Timestamp, rest: Item) -> Result<(), Unavailable> {
        let mut item = Item::from([("pk".to_owned(), AttributeValue::S(pk)), ("sk".to_owned(), AttributeValue::S(sk))]);
        item.insert("expires_at".to_owned(), AttributeValue::N(expires.as_second().to_string()));
        item.extend(rest);
        // The first arrival stands: a delivery that comes again does not make a conversation seem to go on.
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item)).condition_expression("attribute_not_exists(pk)");
        match put.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_conditional_check_failed_exception()) => Ok(()),
            Err(error) => Err(unavailable("keep a span")(error)),
        }
    }

    async fn query(&self, pk: String) -> Result<Vec<Item>, Unavailable> {
        self.client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(pk))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<Item>, _>>()
            .await
            .map_err(unavailable("read spans"))
    }
}

impl Spans for SpanTable {
    async fn keep(&self, span: &Span, arrived_at: Timestamp) -> Result<(), Unavailable> {
        let expires = arrived_at.saturating_add(KEPT).unwrap_or(Timestamp::MAX);
        let written = serde_json::to_string(span).map_err(|error| broken(&error))?;
        let row = Item::from([
            ("span".to_owned(), AttributeValue::B(Blob::new(pack(&written).map_err(|error| broken(&error))?))),
            ("arrived_at".to_owned(), AttributeValue::N(arrived_at.as_millisecond().to_string())),
        ]);
        // A span may come in fragments: each is a row, and the same one twice is one.
        let name = format!("{}#{}", span.id, Id::of("span", &[&written]));
        self.put(trace_key(&span.trace), name, expires, row).await?;
        match &span.conversation {
            Some(conversation) => self.put(conversation_key(conversation), span.trace.clone(), expires, Item::new()).await,
            None => Ok(()),
        }
    }

    async fn spans(&self, group: &Group) -> Result<Vec<KeptSpan>, Unavailable> {
        let traces: BTreeSet<String> = match group {
            Group::Trace(trace) => BTreeSet::from([trace.clone()]),
            Group::Conversation(name) => {
                let rows = self.query(conversation_key(name)).await?;
                rows.into_iter().filter_map(|mut row| row.remove("sk")).filter_map(|trace| trace.as_s().ok().cloned()).collect()
            }
        };
        let mut spans = Vec::new();
        for trace in traces {
            for row in self.query(trace_key(&trace)).await? {
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

fn pack(text: &str) -> std::io::Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text.as_bytes())?;
    packed.finish()
}

fn read(row: &Item) -> Result<KeptSpan, Unavailable> {
    let packed = row.get("span").and_then(|span| span.as_b().ok()).map(AsRef::as_ref).unwrap_or_default();
    let mut text = String::new();
    GzDecoder::new(packed).take(LONGEST).read_to_string(&mut text).map_err(|error| broken(&error))?;
    let span = serde_json::from_str(&text).map_err(|error| broken(&error))?;
    let arrived_at = row.get("arrived_at").and_then(|at| at.as_n().ok()?.parse().ok());
    Ok(KeptSpan { span, arrived_at: arrived_at.and_then(|at| Timestamp::from_millisecond(at).ok()).unwrap_or_default() })
}

fn broken(error: &impl std::error::Error) -> Unavailable {
    Unavailable { what: "read spans", why: error.to_string() }
}
