//! The queue that wakes the document loop.

use aws_sdk_sqs::Client;
use aws_types::SdkConfig;
use flywheel_ports::{Unavailable, Wakes};
use jiff::SignedDuration;

use crate::error::unavailable;

/// The queue that wakes the document loop.
#[derive(Debug, Clone)]
pub struct WakeQueue {
    client: Client,
    url: String,
}

impl WakeQueue {
    /// The queue at this address.
    #[must_use]
    pub fn new(config: &SdkConfig, url: String) -> Self {
        Self { client: Client::new(config), url }
    }
}

impl Wakes for WakeQueue {
    async fn wake(&self, after: SignedDuration) -> Result<(), Unavailable> {
        // Whole seconds, rounded up: too early would be for nothing.
        let millis = after.as_millis().clamp(0, 900_000);
        let seconds = i32::try_from((millis + 999) / 1_000).unwrap_or(900);
        let body = r#"{"trigger":"change"}"#;
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .delay_seconds(seconds)
            .send()
            .await
            .map(|_| ())
            .map_err(unavailable("wake the loop"))
    }
}
