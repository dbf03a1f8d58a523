//! Suites of regression tests in S3: `tests/INTENT/versions/SHA256.json`, and `tests/INTENT/suite.json`, which names the
//! versions, latest first, and is written on the condition that it is the one that was read.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use flywheel_model::{Key, Suite};
use flywheel_ports::{Suites, Unavailable, WrittenSuite};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::unavailable;
use crate::s3;

const READ: &str = "read a suite";
const WRITE: &str = "write a suite";

const PREFIX: &str = "tests/";

/// The most versions of a suite that stay.
const VERSIONS: usize = 50;

/// The suites of a bucket.
#[derive(Debug, Clone)]
pub struct S3Suites {
    client: Client,
    bucket: String,
}

/// What `suite.json` says.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Manifest {
    /// Latest first.
    versions: Vec<Version>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Version {
    sha256: String,
    at: Timestamp,
    tests: usize,
}

impl S3Suites {
    /// In this bucket.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig, bucket: String) -> Self {
        Self { client: s3::client(config), bucket }
    }

    async fn manifest(&self, intent: &Key) -> Result<Option<(Manifest, String)>, Unavailable> {
        let Some(object) = s3::get(&self.client, &self.bucket, &manifest_name(intent), READ).await? else { return Ok(None) };
        let (bytes, tag) = s3::content(object, READ).await?;
        Ok(Some((serde_json::from_slice(&bytes).map_err(|error| broken(READ, &error))?, tag)))
    }

    async fn put(&self, name: String, bytes: Vec<u8>) -> Result<(), Unavailable> {
        let put = self.client.put_object().bucket(&self.bucket).key(name).content_type("application/json").body(ByteStream::from(bytes));
        put.send().await.map(drop).map_err(unavailable(WRITE))
    }

    async fn delete(&self, name: &str) -> Result<(), Unavailable> {
        let delete = self.client.delete_object().bucket(&self.bucket).key(name);
        delete.send().await.map(drop).map_err(unavailable("delete a version of a suite"))
    }
}

impl Suites for S3Suites {
    async fn suite(&self, intent: &Key) -> Result<Option<(Suite, String)>, Unavailable> {
        let Some((manifest, tag)) = self.manifest(intent).await? else { return Ok(None) };
        let Some(latest) = manifest.versions.first() else { return Ok(None) };
        let object = s3::get(&self.client, &self.bucket, &version_name(intent, &latest.sha256), READ).await?;
        // Somebody wrote two versions since, and the one that was named is no more: it is read again.
        let object = object.ok_or_else(|| Unavailable { what: READ, why: format!("its version {} is gone", latest.sha256) })?;
        let (bytes, _) = s3::content(object, READ).await?;
        Ok(Some((serde_json::from_slice(&bytes).map_err(|error| broken(READ, &error))?, tag)))
    }

    async fn put_suite(&self, suite: &Suite, tag: Option<&str>, at: Timestamp) -> Result<Option<WrittenSuite>, Unavailable> {
        let bytes = serde_json::to_vec_pretty(suite).map_err(|error| broken(WRITE, &error))?;
        let sha256 = hex::encode(Sha256::digest(&bytes));
        let mut manifest = match self.manifest(&suite.intent).await? {
            Some((manifest, is)) if Some(is.as_str()) == tag => manifest,
            None if tag.is_none() => Manifest::default(),
            _ => return Ok(None),
        };
        let object = version_name(&suite.intent, &sha256);
        self.put(object.clone(), bytes).await?;
        manifest.versions.retain(|version| version.sha256 != sha256);
        manifest.versions.insert(0, Version { sha256: sha256.clone(), at, tests: suite.tests.len() });
        let forgotten = manifest.versions.split_off(manifest.versions.len().min(VERSIONS));
        let bytes = serde_json::to_vec_pretty(&manifest).map_err(|error| broken(WRITE, &error))?;
        let put = self.client.put_object().bucket(&self.bucket).key(manifest_name(&suite.intent));
        let put = put.content_type("application/json").body(ByteStream::from(bytes));
        if s3::replace(put, tag, WRITE).await?.is_none() {
            return Ok(None);
        }
        for version in forgotten {
            self.delete(&version_name(&suite.intent, &version.sha256)).await?;
        }
        Ok(Some(WrittenSuite { object: format!("s3://{}/{object}", self.bucket), sha256 }))
    }

    async fn forget_earlier(&self, intent: &Key) -> Result<(), Unavailable> {
        let Some((mut manifest, tag)) = self.manifest(intent).await? else { return Ok(()) };
        manifest.versions.truncate(1);
        let bytes = serde_json::to_vec_pretty(&manifest).map_err(|error| broken(WRITE, &error))?;
        let put = self.client.put_object().bucket(&self.bucket).key(manifest_name(intent));
        let put = put.content_type("application/json").body(ByteStream::from(bytes));
        if s3::replace(put, Some(&tag), WRITE).await?.is_none() {
            return Err(Unavailable { what: WRITE, why: "somebody else wrote it meanwhile".to_owned() });
        }
        // Also those that nobody names: whoever wrote them came too late, or died.
        let named = manifest.versions.first().map(|latest| version_name(intent, &latest.sha256));
        let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(format!("{}/versions/", folder(intent)));
        let mut pages = list.into_paginator().send();
        while let Some(page) = pages.next().await {
            for object in page.map_err(unavailable(READ))?.contents() {
                if object.key() != named.as_deref() {
                    self.delete(object.key().unwrap_or_default()).await?;
                }
            }
        }
        Ok(())
    }

    async fn intents(&self) -> Result<Vec<Key>, Unavailable> {
        let mut intents = Vec::new();
        let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(PREFIX).delimiter("/");
        let mut pages = list.into_paginator().send();
        while let Some(page) = pages.next().await {
            for folder in page.map_err(unavailable(READ))?.common_prefixes() {
                let name = folder.prefix().unwrap_or_default().trim_start_matches(PREFIX).trim_end_matches('/');
                intents.extend(Key::try_from(name.replace("%2F", "/").replace("%25", "%")));
            }
        }
        Ok(intents)
    }
}

/// A name that applications chose may hold a slash, which would make folders.
fn folder(intent: &Key) -> String {
    format!("{PREFIX}{}", intent.as_str().replace('%', "%25").replace('/', "%2F"))
}

fn manifest_name(intent: &Key) -> String {
    format!("{}/suite.json", folder(intent))
}

fn version_name(intent: &Key, sha256: &str) -> String {
    format!("{}/versions/{sha256}.json", folder(intent))
}

fn broken(what: &'static str, error: &dyn std::error::Error) -> Unavailable {
    Unavailable { what, why: error.to_string() }
}
