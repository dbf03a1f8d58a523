//! Clients of S3.

use aws_sdk_s3::Client;
use aws_types::SdkConfig;

/// A client. A local AWS has no host name for each bucket, hence paths where an endpoint is set.
pub(crate) fn client(config: &SdkConfig) -> Client {
    let local = config.endpoint_url().is_some();
    Client::from_conf(aws_sdk_s3::config::Builder::from(config).force_path_style(local).build())
}
