//! The team's prompts in S3, below `prompts/INTENT/`.

use std::collections::BTreeMap;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use flywheel_engine::experiments::Library;
use flywheel_model::Key;
use flywheel_ports::{PromptLibrary, Unavailable};
use sha2::{Digest, Sha256};

use crate::error::unavailable;
use crate::s3;

const READ: &str = "read the library of prompts";

/// Files of an intent that are read: no experiment could ever use more.
const FILES: usize = 200;

/// The library in a bucket.
#[derive(Debug, Clone)]
pub struct S3Prompts {
    client: Client,
    bucket: String,
}

impl S3Prompts {
    /// In this bucket.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig, bucket: String) -> Self {
        Self { client: s3::client(config), bucket }
    }

    async fn get(&self, object: &str) -> Result<Option<Vec<u8>>, Unavailable> {
        match s3::get(&self.client, &self.bucket, object, READ).await? {
            Some(found) => Ok(Some(s3::content(found, READ).await?.0)),
            None => Ok(None),
        }
    }
}

impl PromptLibrary for S3Prompts {
    async fn files(&self, intent: &Key) -> Result<BTreeMap<String, Vec<u8>>, Unavailable> {
        let list = self.client.list_objects_v2().bucket(&self.bucket).prefix(Library::folder(intent)).delimiter("/");
        let mut names = Vec::new();
        let mut pages = list.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(unavailable(READ))?;
            // Other files beside them are nobody's variants.
            names.extend(page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).filter(|key| key.ends_with(".md")));
        }
        names.truncate(FILES);
        let mut files = BTreeMap::new();
        for name in names {
            if let Some(bytes) = self.get(&name).await? {
                files.insert(name, bytes);
            }
        }
        Ok(files)
    }

    async fn digest(&self, object: &str) -> Result<Option<String>, Unavailable> {
        Ok(self.get(object).await?.map(|bytes| hex::encode(Sha256::digest(bytes))))
    }

    async fn add(&self, object: &str, text: &str) -> Result<(), Unavailable> {
        let put = self.client.put_object().bucket(&self.bucket).key(object).content_type("text/markdown");
        s3::replace(put.body(ByteStream::from(text.as_bytes().to_vec())), None, "add a prompt to the library").await.map(drop)
    }
}
