//! Encoded messages of denials, decoded by STS.

use aws_sdk_sts::Client;
use flywheel_ports::Denials;

use crate::error::described;

/// STS in the account that denied: no other can decode its messages.
#[derive(Debug, Clone)]
pub struct StsDenials {
    client: Client,
}

impl StsDenials {
    /// With the SDK's configuration.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }
}

impl Denials for StsDenials {
    async fn decode(&self, message: &str) -> Option<String> {
        match self.client.decode_authorization_message().encoded_message(message).send().await {
            Ok(decoded) => decoded.decoded_message,
            Err(error) => {
                tracing::info!(why = described(&error), "a denial stays encoded");
                None
            }
        }
    }
}
