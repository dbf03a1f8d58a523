//! S3. Listing is enough: the function can see what there is, and read none of it.

use aws_sdk_s3::Client;
use aws_types::SdkConfig;
use flywheel_engine::documents::METADATA_ENDING;
use flywheel_engine::sync::answers::Object;
use flywheel_model::DocumentId;
use flywheel_ports::{Buckets, Unavailable};

use crate::error::unavailable;
use crate::s3;

/// The documents' buckets in S3.
#[derive(Debug, Clone)]
pub struct S3Buckets {
    client: Client,
}

impl S3Buckets {
    /// With the SDK's configuration.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: s3::client(config) }
    }

    async fn list(&self, bucket: &str, prefix: &str) -> Result<(Vec<(String, u64)>, bool), Unavailable> {
        let page = self.client.list_objects_v2().bucket(bucket).prefix(prefix).send().await.map_err(unavailable("list the bucket"))?;
        let objects = page.contents().iter().filter_map(|object| {
            let size = object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
            object.key().map(|key| (key.to_owned(), size))
        });
        Ok((objects.collect(), page.is_truncated().unwrap_or_default()))
    }
}

impl Buckets for S3Buckets {
    async fn look(&self, document: &DocumentId) -> Result<Option<Object>, Unavailable> {
        let metadata = format!("{}{METADATA_ENDING}", document.key);
        // The key itself is the first with this prefix, if it is there.
        let (found, more) = self.list(&document.bucket, &document.key).await?;
        let Some((_, size)) = found.iter().find(|(key, _)| *key == document.key) else { return Ok(None) };
        let mut has_metadata = found.iter().any(|(key, _)| *key == metadata);
        if !has_metadata && more {
            has_metadata = self.list(&document.bucket, &metadata).await?.0.iter().any(|(key, _)| *key == metadata);
        }
        Ok(Some(Object { size: *size, has_metadata }))
    }
}
