//! The event bus.

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_types::SdkConfig;
use flywheel_model::Event;
use flywheel_ports::{Bus, Unavailable};

use crate::error::unavailable;

/// Entries in one request (Amazon EventBridge quotas).
const ENTRIES: usize = 10;

/// Bytes in one request. The quota is 256 KB over all entries, counted with a little more than the details.
const BYTES: usize = 240_000;

/// Tries for entries that EventBridge refused while it took others of the same request.
const TRIES: usize = 4;

/// The custom event bus.
#[derive(Debug, Clone)]
pub struct EventBridgeBus {
    client: Client,
    bus: String,
}

impl EventBridgeBus {
    /// The bus of this name.
    #[must_use]
    pub fn new(config: &SdkConfig, bus: String) -> Self {
        Self { client: Client::new(config), bus }
    }

    fn entry(&self, event: &Event) -> Result<(usize, PutEventsRequestEntry), Unavailable> {
        let detail = serde_json::to_string(event).map_err(|error| Unavailable { what: "write an event", why: error.to_string() })?;
        let size = detail.len() + event.kind().len() + Event::SOURCE.len() + 64;
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(Event::SOURCE)
            .detail_type(event.kind())
            .detail(detail)
            .build();
        Ok((size, entry))
    }

    /// Puts a request's entries, those refused again until all are taken.
    async fn put(&self, mut entries: Vec<PutEventsRequestEntry>) -> Result<(), Unavailable> {
        let mut why = String::new();
        for _ in 0..TRIES {
            if entries.is_empty() {
                return Ok(());
            }
            let answer = self.client.put_events().set_entries(Some(entries.clone())).send().await.map_err(unavailable("publish events"))?;
            if answer.failed_entry_count() == 0 {
                return Ok(());
            }
            let mut results = answer.entries().iter();
            entries.retain(|_| {
                let refused = results.next().filter(|result| result.error_code().is_some());
                if let Some(result) = refused {
                    why = format!("{}: {}", result.error_code().unwrap_or_default(), result.error_message().unwrap_or_default());
                }
                refused.is_some()
            });
        }
        Err(Unavailable { what: "publish events", why })
    }
}

impl Bus for EventBridgeBus {
    async fn publish(&self, events: &[Event]) -> Result<(), Unavailable> {
        let mut request = Vec::new();
        let mut bytes = 0;
        for event in events {
            let (size, entry) = self.entry(event)?;
            if request.len() == ENTRIES || (bytes + size > BYTES && !request.is_empty()) {
                self.put(std::mem::take(&mut request)).await?;
                bytes = 0;
            }
            bytes += size;
            request.push(entry);
        }
        self.put(request).await
    }
}
