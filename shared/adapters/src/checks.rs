//! The checks file in S3, written on the condition that nobody else wrote.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use flywheel_ports::{Checks, Unavailable};

use crate::error::unavailable;
use crate::s3;

/// The object's name.
const KEY: &str = "preflight/checks.toml";

/// A checks file has at most this many bytes: some thousand checks.
const LARGEST: i64 = 1_000_000;

/// The checks file of a bucket.
#[derive(Debug, Clone)]
pub struct ChecksObject {
    client: Client,
    bucket: String,
}

impl ChecksObject {
    /// In this bucket.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig, bucket: String) -> Self {
        Self { client: s3::client(config), bucket }
    }
}

impl Checks for ChecksObject {
    fn name(&self) -> String {
        format!("s3://{}/{KEY}", self.bucket)
    }

    async fn read(&self) -> Result<Option<(String, String)>, Unavailable> {
        let what = "read the checks file";
        let object = match self.client.get_object().bucket(&self.bucket).key(KEY).send().await {
            Ok(object) => object,
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => return Ok(None),
            Err(error) => return Err(unavailable(what)(error)),
        };
        let tag = object.e_tag().unwrap_or_default().to_owned();
        if object.content_length().is_some_and(|length| length > LARGEST) {
            return Err(Unavailable { what, why: format!("{} has more than {LARGEST} bytes; take checks out of it", self.name()) });
        }
        let bytes = object.body.collect().await.map_err(|error| Unavailable { what, why: error.to_string() })?.into_bytes();
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| Unavailable { what, why: format!("{} is not UTF-8", self.name()) })?;
        Ok(Some((text, tag)))
    }

    async fn write(&self, text: &str, tag: Option<&str>) -> Result<Option<String>, Unavailable> {
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(KEY)
            .content_type("application/toml")
            .body(ByteStream::from(text.as_bytes().to_vec()));
        let put = match tag {
            Some(tag) => put.if_match(tag),
            None => put.if_none_match("*"),
        };
        match put.send().await {
            Ok(written) => Ok(Some(written.e_tag().unwrap_or_default().to_owned())),
            // 412: another wrote; 409: another writes; 404: another deleted (S3 user guide, "Conditional writes").
            Err(error) if error.raw_response().is_some_and(|response| matches!(response.status().as_u16(), 404 | 409 | 412)) => Ok(None),
            Err(error) => Err(unavailable("write the checks file")(error)),
        }
    }
}
