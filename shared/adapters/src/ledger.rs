//! The ledger: every event, kept once under its id, and for each of its causes a pointer from the cause to it.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_types::SdkConfig;
use flywheel_model::Event;
use flywheel_ports::Unavailable;
use futures::StreamExt;

use crate::error::unavailable;

/// Writes at the same time for one event.
const AT_ONCE: usize = 8;

/// The ledger's table.
#[derive(Debug, Clone)]
pub struct Ledger {
    client: Client,
    table: String,
}

impl Ledger {
    /// The ledger in this table.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self { client: Client::new(config), table }
    }

    /// Records an event. The first record of an id stands: a second one changes nothing.
    ///
    /// # Errors
    /// If the table cannot be written to.
    pub async fn record(&self, event: &Event) -> Result<(), Unavailable> {
        let text = serde_json::to_string(event).map_err(|error| Unavailable { what: "write an event", why: error.to_string() })?;
        let string = |text: &str| AttributeValue::S(text.to_owned());
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
            ("at", AttributeValue::N(event.at.as_millisecond().to_string())),
            ("kind", string(event.kind())),
            ("event", AttributeValue::S(text)),
        ])
        .await
    }

    async fn put(&self, item: Vec<(&str, AttributeValue)>) -> Result<(), Unavailable> {
        let item = item.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item)).condition_expression("attribute_not_exists(pk)");
        match put.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_conditional_check_failed_exception()) => Ok(()),
            Err(error) => Err(unavailable("write to the ledger")(error)),
        }
    }
}
