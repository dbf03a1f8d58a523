//! The ledger: every event, kept once under its id, and for each of its causes a pointer from the cause to it.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_types::SdkConfig;
use flywheel_model::Event;
use flywheel_ports::Unavailable;
use futures::StreamExt;

use crate::table::{Table, number, string};

/// Writes at the same time for one event.
const AT_ONCE: usize = 8;

/// The ledger's table.
#[derive(Debug, Clone)]
pub struct Ledger {
    table: Table,
}

impl Ledger {
    /// The ledger in this table.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self { table: Table::new(config, table) }
    }

    /// Records an event. The first record of an id stands: a second one changes nothing.
    ///
    /// # Errors
    /// If the table cannot be written to.
    pub async fn record(&self, event: &Event) -> Result<(), Unavailable> {
        let text = serde_json::to_string(event).map_err(|error| Unavailable { what: "write an event", why: error.to_string() })?;
        // Pointers first: an event that is there is there with all of them.
        let pointers = event.causes.iter().map(|cause| {
            self.put(vec![("pk", string(cause.as_str())), ("sk", string(&format!("effect#{}", event.id))), ("kind", string(event.kind()))])
        });
        let written: Vec<_> = futures::stream::iter(pointers.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).collect().await;
        written.into_iter().collect::<Result<(), _>>()?;
        self.put(vec![
            ("pk", string(event.id.as_str())),
            ("sk", string("event")),
            ("subject", string(&event.subject)),
            ("at", number(event.at.as_millisecond())),
            ("kind", string(event.kind())),
            ("event", string(&text)),
        ])
        .await
    }

    async fn put(&self, item: Vec<(&str, AttributeValue)>) -> Result<(), Unavailable> {
        let item = item.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        // The first record stands.
        self.table.put_new(item, "write to the ledger").await.map(drop)
    }
}
