//! Large bodies of model invocation logs in S3.

use aws_sdk_s3::Client;
use flywheel_ports::{Bodies, Unavailable};

use crate::s3;

/// What is asked for, where an answer fails.
const READ: &str = "fetch a body";

/// The bucket where model invocation logging puts large bodies.
#[derive(Debug, Clone)]
pub struct InvocationLogBucket {
    client: Client,
    bucket: Option<String>,
}

impl InvocationLogBucket {
    /// This bucket, or none: then nothing is fetched.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig, bucket: Option<String>) -> Self {
        Self { client: s3::client(config), bucket }
    }
}

impl Bodies for InvocationLogBucket {
    async fn fetch(&self, address: &str) -> Result<Option<Vec<u8>>, Unavailable> {
        // The log names the object, and a log is not trusted to name a bucket.
        let named = address.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
        let Some((bucket, key)) = named.filter(|(bucket, _)| self.bucket.as_deref() == Some(*bucket)) else { return Ok(None) };
        let Some(object) = s3::get(&self.client, bucket, key, READ).await? else { return Ok(None) };
        Ok(Some(s3::content(object, READ).await?.0))
    }
}
