//! CloudFormation's registry of resource types.

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::RegistryType;
use flywheel_ports::ResourceTypes;

use crate::error::described;

/// The registry of the account and Region that the configuration points to.
#[derive(Debug, Clone)]
pub struct Registry {
    client: Client,
}

impl Registry {
    /// With the SDK's configuration.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }
}

impl ResourceTypes for Registry {
    async fn schema(&self, name: &str) -> Result<Option<String>, String> {
        match self.client.describe_type().r#type(RegistryType::Resource).type_name(name).send().await {
            Ok(found) => Ok(found.schema),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_type_not_found_exception()) => Ok(None),
            Err(error) => Err(described(&error)),
        }
    }
}
