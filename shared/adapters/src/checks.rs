//! The checks file in S3, written on the condition that nobody else wrote.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use flywheel_ports::{Checks, Unavailable};

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
        let Some(object) = s3::get(&self.client, &self.bucket, KEY, what).await? else { return Ok(None) };
        if object.content_length().is_some_and(|length| length > LARGEST) {
            return Err(Unavailable { what, why: format!("{} has more than {LARGEST} bytes; take checks out of it", self.name()) });
        }
        let (bytes, tag) = s3::content(object, what).await?;
        let text = String::from_utf8(bytes).map_err(|_| Unavailable { what, why: format!("{} is not UTF-8", self.name()) })?;
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
        s3::replace(put, tag, "write the checks file").await
    }
}
