//! Observations in S3: JSON Lines, compressed, one object for the messages that came together.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use flywheel_engine::erasure::Whose;
use flywheel_model::{Id, Observation};
use flywheel_ports::{Observations, Unavailable};
use futures::StreamExt;

use crate::SignalTable;
use crate::error::unavailable;
use crate::lines::{pack, unpack};
use crate::s3;

/// What is asked for, where an answer fails.
const READ: &str = "read observations";

/// Objects read at the same time.
const AT_ONCE: usize = 16;

/// The evidence bucket, and the marks that say which object holds what.
#[derive(Debug, Clone)]
pub struct S3Observations {
    client: Client,
    bucket: String,
    marks: SignalTable,
}

impl S3Observations {
    /// In this bucket.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig, bucket: String, marks: SignalTable) -> Self {
        Self { client: s3::client(config), bucket, marks }
    }

    /// Erases what is theirs from all evidence, and says how many observations that were. It reads every object that is
    /// kept; `progress` is told how many it has read.
    ///
    /// # Errors
    /// If S3 does not answer, or an object changes while it is written. Erasing again goes on.
    pub async fn erase(&self, whose: &Whose, mut progress: impl FnMut(usize)) -> Result<usize, Unavailable> {
        let objects = self.client.list_objects_v2().bucket(&self.bucket).prefix("observations/").into_paginator().send();
        let mut names = Vec::new();
        for page in objects.try_collect().await.map_err(unavailable(READ))? {
            names.extend(page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key));
        }
        let mut erasing = futures::stream::iter(names).map(|name| self.erase_from(name, whose)).buffer_unordered(AT_ONCE);
        let (mut read, mut erased) = (0, 0);
        while let Some(more) = erasing.next().await {
            erased += more?;
            read += 1;
            progress(read);
        }
        Ok(erased)
    }

    async fn erase_from(&self, name: String, whose: &Whose) -> Result<usize, Unavailable> {
        let (observations, tag) = self.read(&name).await?;
        let kept: Vec<Observation> = observations.iter().filter(|observation| !whose.is_observation(observation)).cloned().collect();
        let erased = observations.len() - kept.len();
        if erased > 0 {
            self.put(&name, &kept, Some(tag)).await?;
        }
        Ok(erased)
    }

    /// What is kept under a name, and the tag of that state of it; nothing once it has expired.
    async fn read(&self, name: &str) -> Result<(Vec<Observation>, String), Unavailable> {
        let Some(object) = s3::get(&self.client, &self.bucket, name, READ).await? else { return Ok(<_>::default()) };
        let (packed, tag) = s3::content(object, READ).await?;
        Ok((unpack(&packed).map_err(|error| broken(READ, &error))?, tag))
    }

    async fn put(&self, name: &str, observations: &[Observation], only_if: Option<String>) -> Result<(), Unavailable> {
        let packed = pack(observations).map_err(|error| broken("pack observations", &error))?;
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(name)
            .content_type("application/jsonl")
            .content_encoding("gzip")
            .set_if_match(only_if)
            .body(ByteStream::from(packed))
            .send()
            .await
            .map(|_| ())
            .map_err(unavailable("keep observations"))
    }
}

impl Observations for S3Observations {
    async fn keep(&self, name: &str, observations: &[Observation]) -> Result<(), Unavailable> {
        self.put(name, observations, None).await
    }

    async fn find(&self, signal: &Id) -> Result<Option<Observation>, Unavailable> {
        let Some(name) = self.marks.evidence_of(signal).await? else { return Ok(None) };
        Ok(self.read(&name).await?.0.into_iter().find(|observation| observation.signal.identity() == *signal))
    }

    async fn counted(&self, name: &str) -> Result<Vec<Observation>, Unavailable> {
        let (observations, _) = self.read(name).await?;
        let signals = observations.iter().map(|observation| observation.signal.identity()).collect();
        let mut counted = self.marks.counted_from(name, &signals).await?;
        // If one came twice, the first was counted.
        Ok(observations.into_iter().filter(|observation| counted.remove(&observation.signal.identity())).collect())
    }
}

fn broken(what: &'static str, error: &dyn std::error::Error) -> Unavailable {
    Unavailable { what, why: error.to_string() }
}
