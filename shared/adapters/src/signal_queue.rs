//! The queue that signals come in by, and the one that has conversations put together.

use aws_sdk_sqs::Client;
use aws_types::SdkConfig;
use flywheel_model::Signal;
use flywheel_ports::{Conversations, Group, SignalQueue, Unavailable};
use jiff::SignedDuration;

use crate::error::unavailable;

/// The bytes of a message that signals are put together up to. A signal that is larger goes alone; SQS takes up to 1 MiB.
const TOGETHER: usize = 60_000;

/// The queue of signals.
#[derive(Debug, Clone)]
pub struct SqsSignals {
    client: Client,
    url: String,
}

impl SqsSignals {
    /// The queue at this address.
    #[must_use]
    pub fn new(config: &SdkConfig, url: String) -> Self {
        Self { client: Client::new(config), url }
    }

    async fn send_message(&self, body: String) -> Result<(), Unavailable> {
        let request = self.client.send_message().queue_url(&self.url).message_body(body);
        request.send().await.map(|_| ()).map_err(unavailable("send signals"))
    }
}

impl SignalQueue for SqsSignals {
    async fn send(&self, signals: &[Signal]) -> Result<(), Unavailable> {
        let mut body = String::new();
        for signal in signals {
            let line = serde_json::to_string(signal).map_err(|error| Unavailable { what: "write a signal", why: error.to_string() })?;
            if !body.is_empty() && body.len() + line.len() > TOGETHER {
                self.send_message(std::mem::take(&mut body)).await?;
            }
            body.push_str(&line);
            body.push('\n');
        }
        if body.is_empty() { Ok(()) } else { self.send_message(body).await }
    }
}

/// The queue that has conversations put together.
#[derive(Debug, Clone)]
pub struct ConversationQueue {
    client: Client,
    url: String,
}

impl ConversationQueue {
    /// The queue at this address.
    #[must_use]
    pub fn new(config: &SdkConfig, url: String) -> Self {
        Self { client: Client::new(config), url }
    }
}

impl Conversations for ConversationQueue {
    async fn assemble(&self, group: &Group, after: SignedDuration) -> Result<(), Unavailable> {
        let body = serde_json::to_string(group).map_err(|error| Unavailable { what: "write a group", why: error.to_string() })?;
        let delay = i32::try_from(after.as_secs().clamp(0, 900)).unwrap_or(900);
        let request = self.client.send_message().queue_url(&self.url).message_body(body).delay_seconds(delay);
        request.send().await.map(|_| ()).map_err(unavailable("have a conversation put together"))
    }
}
