//! Data sets of evaluation cases in S3: `cases/KB/manifest.json`, written on the condition that it is the one that was read,
//! and `cases/KB/parts/SHA256.jsonl`.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use flywheel_engine::cases::dataset::{Manifest, Part};
use flywheel_model::Key;
use flywheel_ports::{Datasets, Unavailable};

use crate::error::unavailable;
use crate::s3;

const READ: &str = "read a data set";
const WRITE: &str = "write a data set";

/// A part that nobody names after this long was written by somebody who gave up.
const ABANDONED_AFTER: Duration = Duration::from_secs(600);

/// The bucket of data sets.
#[derive(Debug, Clone)]
pub struct S3Datasets {
    client: Client,
    bucket: String,
}

impl S3Datasets {
    /// In this bucket.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig, bucket: String) -> Self {
        Self { client: s3::client(config), bucket }
    }
}

impl Datasets for S3Datasets {
    async fn manifest(&self, knowledge_base: &Key) -> Result<Option<(Manifest, String)>, Unavailable> {
        let object = s3::get(&self.client, &self.bucket, &manifest_name(knowledge_base), READ).await?;
        let Some(object) = object else { return Ok(None) };
        let (bytes, tag) = s3::content(object, READ).await?;
        Ok(Some((serde_json::from_slice(&bytes).map_err(|error| broken(READ, &error))?, tag)))
    }

    async fn put_part(&self, knowledge_base: &Key, part: &Part) -> Result<(), Unavailable> {
        let put = self.client.put_object().bucket(&self.bucket).key(part_name(knowledge_base, &part.entry.sha256));
        let put = put.content_type("application/jsonl").body(ByteStream::from(part.bytes.clone()));
        put.send().await.map(drop).map_err(unavailable(WRITE))
    }

    async fn put_manifest(&self, manifest: &Manifest, tag: Option<&str>) -> Result<bool, Unavailable> {
        let bytes = serde_json::to_vec_pretty(manifest).map_err(|error| broken(WRITE, &error))?;
        let put = self.client.put_object().bucket(&self.bucket).key(manifest_name(&manifest.knowledge_base));
        let put = put.content_type("application/json").body(ByteStream::from(bytes));
        s3::replace(put, tag, WRITE).await.map(|written| written.is_some())
    }

    async fn prune(&self, manifest: &Manifest, before: Option<&Manifest>) -> Result<(), Unavailable> {
        let named = manifest.parts();
        let named_before: BTreeSet<&str> = before.map(Manifest::parts).unwrap_or_default();
        let abandoned = SystemTime::now() - ABANDONED_AFTER;
        let folder = format!("{}/parts/", folder(&manifest.knowledge_base));
        let mut pages = self.client.list_objects_v2().bucket(&self.bucket).prefix(&folder).into_paginator().send();
        while let Some(page) = pages.next().await {
            for object in page.map_err(unavailable(READ))?.contents() {
                let name = object.key().unwrap_or_default();
                let part = name.trim_start_matches(&folder).trim_end_matches(".jsonl");
                let old = object.last_modified().and_then(|at| SystemTime::try_from(*at).ok()).is_some_and(|at| at < abandoned);
                if !named.contains(part) && (old || named_before.contains(part)) {
                    let delete = self.client.delete_object().bucket(&self.bucket).key(name);
                    delete.send().await.map_err(unavailable("delete a part of a data set"))?;
                }
            }
        }
        Ok(())
    }
}

/// A name that applications chose may hold a slash, which would make folders.
fn folder(knowledge_base: &Key) -> String {
    format!("cases/{}", knowledge_base.as_str().replace('/', "%2F"))
}

fn manifest_name(knowledge_base: &Key) -> String {
    format!("{}/manifest.json", folder(knowledge_base))
}

fn part_name(knowledge_base: &Key, sha256: &str) -> String {
    format!("{}/parts/{sha256}.jsonl", folder(knowledge_base))
}

fn broken(what: &'static str, error: &dyn std::error::Error) -> Unavailable {
    Unavailable { what, why: error.to_string() }
}
