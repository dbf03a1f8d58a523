//! The SDK's configuration from what Lambda sets in the environment.
//!
//! Lambda gives a function its region and its role's credentials as variables. So none of what the SDK tries by default is
//! linked in (profiles, STS, containers, the instance's metadata): it is 0.7 MB of each binary. Tools that run on a
//! person's machine take the whole of it.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::config::BehaviorVersion;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn};
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

/// How long a connection may take to be made; the SDK's own default.
const CONNECT: Duration = Duration::from_millis(3_100);

/// The SDK's configuration from the variables that Lambda sets. `AWS_ENDPOINT_URL`, and `AWS_ENDPOINT_URL_` with a
/// service's name, say where else than at AWS the services are.
///
/// # Errors
/// That of `variable`, if the region or the credentials are missing.
pub fn load_config<E>(variable: impl Fn(&'static str) -> Result<String, E>) -> Result<SdkConfig, E> {
    let region = Region::new(variable("AWS_REGION")?);
    // Keys of a person have no session token.
    let credentials = Credentials::new(
        variable("AWS_ACCESS_KEY_ID")?,
        variable("AWS_SECRET_ACCESS_KEY")?,
        variable("AWS_SESSION_TOKEN").ok(),
        None,
        "environment",
    );
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(region)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::standard())
        .http_client(one_client())
        .service_config(ServiceVariables(|name| std::env::var(name).ok()));
    config.set_endpoint_url(variable("AWS_ENDPOINT_URL").ok());
    Ok(config.build())
}

/// An HTTP client with one connector for all services. With the SDK's own, each service's client would parse the system's
/// root certificates when it is made, forget them, and parse them again at its first request. This one does it once, and
/// at the start, where Lambda gives a function more of a processor than it has afterwards.
fn one_client() -> SharedHttpClient {
    let connector = connector();
    http_client_fn(move |_, _| connector.clone())
}

/// What makes requests.
pub(crate) fn connector() -> SharedHttpConnector {
    let connector = Connector::builder()
        .connector_settings(HttpConnectorSettings::builder().connect_timeout(CONNECT).build())
        .proxy_config(ProxyConfig::from_env())
        .tls_provider(Provider::rustls(CryptoMode::AwsLc))
        .tls_context(TlsContext::builder().with_trust_store(roots()).build().unwrap_or_default())
        .build();
    SharedHttpConnector::new(connector)
}

/// The root certificates of the system's bundle, or of `SSL_CERT_FILE`. The SDK's own way reads the bundle, and then each
/// file of the directories where the same certificates lie singly.
fn roots() -> TrustStore {
    let bundle = openssl_probe::probe().cert_file.and_then(|path| std::fs::read(path).ok());
    bundle.map_or_else(TrustStore::default, |bundle| TrustStore::empty().with_pem_certificate(bundle))
}

/// Settings of one service, in variables that have its name at their end.
#[derive(Debug)]
struct ServiceVariables(fn(&str) -> Option<String>);

impl LoadServiceConfig for ServiceVariables {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_uppercase().replace(' ', "_");
        (self.0)(&format!("{}_{service}", key.env()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lambda(name: &'static str) -> Result<String, &'static str> {
        match name {
            "AWS_REGION" => Ok("eu-central-1".to_owned()),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Ok("made-up".to_owned()),
            _ => Err(name),
        }
    }

    #[test]
    fn what_lambda_sets_is_enough() {
        let config = load_config(lambda).expect("a configuration");
        assert_eq!(config.region().map(AsRef::as_ref), Some("eu-central-1"));
        assert_eq!(config.endpoint_url(), None);
    }

    #[test]
    fn a_missing_variable_is_named() {
        for missing in ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            let told = load_config(|name| if name == missing { Err(name) } else { lambda(name) }).err();
            assert_eq!(told, Some(missing));
        }
    }

    #[test]
    fn a_service_has_an_endpoint_of_its_own() {
        let variables = ServiceVariables(|name| (name == "AWS_ENDPOINT_URL_BEDROCK_AGENT").then(|| "http://127.0.0.1:1".to_owned()));
        let endpoint = |service| {
            let key = ServiceConfigKey::builder().service_id(service).env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
            variables.load_config(key.expect("a key"))
        };
        assert_eq!(endpoint("Bedrock Agent").as_deref(), Some("http://127.0.0.1:1"));
        assert_eq!(endpoint("DynamoDB"), None);
    }
}
