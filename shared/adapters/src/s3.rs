//! What the adapters on S3 have in common.

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_types::SdkConfig;
use flywheel_ports::Unavailable;

use crate::error::unavailable;

/// A client. A local AWS has no host name for each bucket, hence paths where an endpoint is set.
pub(crate) fn client(config: &SdkConfig) -> Client {
    let local = config.endpoint_url().is_some();
    Client::from_conf(aws_sdk_s3::config::Builder::from(config).force_path_style(local).build())
}

/// An object, if it is there.
pub(crate) async fn get(client: &Client, bucket: &str, key: &str, what: &'static str) -> Result<Option<GetObjectOutput>, Unavailable> {
    match client.get_object().bucket(bucket).key(key).send().await {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => Ok(None),
        Err(error) => Err(unavailable(what)(error)),
    }
}

/// What is in an object, and the tag of that state of it.
pub(crate) async fn content(object: GetObjectOutput, what: &'static str) -> Result<(Vec<u8>, String), Unavailable> {
    let tag = object.e_tag().unwrap_or_default().to_owned();
    let bytes = object.body.collect().await.map_err(|error| Unavailable { what, why: error.to_string() })?;
    Ok((bytes.to_vec(), tag))
}

/// Writes an object in the place of the one with this tag, or of none, and gives its new tag. Nothing if somebody else was
/// faster.
pub(crate) async fn replace(put: PutObjectFluentBuilder, tag: Option<&str>, what: &'static str) -> Result<Option<String>, Unavailable> {
    let put = if let Some(tag) = tag { put.if_match(tag) } else { put.if_none_match("*") };
    match put.send().await {
        Ok(written) => Ok(Some(written.e_tag().unwrap_or_default().to_owned())),
        // 412: another wrote; 409: another writes; 404: another deleted (S3 user guide, "Conditional writes").
        Err(error) if error.raw_response().is_some_and(|response| matches!(response.status().as_u16(), 404 | 409 | 412)) => Ok(None),
        Err(error) => Err(unavailable(what)(error)),
    }
}
