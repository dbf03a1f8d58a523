//! The buckets that data sources read.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::operation::head_object::HeadObjectError;

use crate::core::{Object, ObjectVersion};

/// A result that is yet to come.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send + 'a>>;

/// What the service needs of S3. An error is the reason in words: it becomes a job's failure reason.
pub trait ObjectStore: Send + Sync {
    /// The objects of a bucket whose keys begin with a prefix.
    fn list<'a>(&'a self, bucket: &'a str, prefix: &'a str) -> Pending<'a, Vec<Object>>;
    /// An object without its content; `None` if there is none.
    fn head<'a>(&'a self, bucket: &'a str, key: &'a str) -> Pending<'a, Option<ObjectVersion>>;
    /// An object's content; `None` if there is none.
    fn read<'a>(&'a self, bucket: &'a str, key: &'a str) -> Pending<'a, Option<Vec<u8>>>;
}

/// S3, or whatever stands in for it on this machine.
#[derive(Clone, Debug)]
pub struct S3 {
    client: aws_sdk_s3::Client,
}

impl S3 {
    /// Through this client.
    #[must_use]
    pub fn new(client: aws_sdk_s3::Client) -> Self {
        Self { client }
    }
}

fn words(error: impl std::error::Error) -> String {
    DisplayErrorContext(error).to_string()
}

impl ObjectStore for S3 {
    fn list<'a>(&'a self, bucket: &'a str, prefix: &'a str) -> Pending<'a, Vec<Object>> {
        Box::pin(async move {
            let request = self.client.list_objects_v2().bucket(bucket).prefix(prefix);
            let mut pages = request.into_paginator().send();
            let mut objects = Vec::new();
            while let Some(page) = pages.next().await {
                for object in page.map_err(words)?.contents.unwrap_or_default() {
                    let size = u64::try_from(object.size.unwrap_or_default()).unwrap_or_default();
                    objects.push(Object::new(object.key.unwrap_or_default(), size, plain(&object.e_tag.unwrap_or_default())));
                }
            }
            Ok(objects)
        })
    }

    fn head<'a>(&'a self, bucket: &'a str, key: &'a str) -> Pending<'a, Option<ObjectVersion>> {
        Box::pin(async move {
            match self.client.head_object().bucket(bucket).key(key).send().await {
                Ok(head) => Ok(Some(ObjectVersion {
                    size: u64::try_from(head.content_length.unwrap_or_default()).unwrap_or_default(),
                    etag: plain(&head.e_tag.unwrap_or_default()),
                })),
                Err(error) if error.as_service_error().is_some_and(HeadObjectError::is_not_found) => Ok(None),
                Err(error) => Err(words(error)),
            }
        })
    }

    fn read<'a>(&'a self, bucket: &'a str, key: &'a str) -> Pending<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            match self.client.get_object().bucket(bucket).key(key).send().await {
                Ok(object) => Ok(Some(object.body.collect().await.map_err(words)?.to_vec())),
                Err(error) if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) => Ok(None),
                Err(error) => Err(words(error)),
            }
        })
    }
}

/// An ETag without the quotation marks that S3 puts around it.
fn plain(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}

/// Buckets in memory, for tests. A bucket is there as soon as something is in it.
#[derive(Debug, Default)]
pub struct Memory {
    objects: Mutex<BTreeMap<(String, String), Vec<u8>>>,
}

impl Memory {
    /// Puts an object in a bucket.
    pub fn put(&self, bucket: &str, key: &str, content: impl Into<Vec<u8>>) {
        self.lock().insert((bucket.to_owned(), key.to_owned()), content.into());
    }

    /// Takes an object out of a bucket.
    pub fn remove(&self, bucket: &str, key: &str) {
        self.lock().remove(&(bucket.to_owned(), key.to_owned()));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), Vec<u8>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn version(content: &[u8]) -> ObjectVersion {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        ObjectVersion { size: content.len() as u64, etag: format!("{:016x}", hasher.finish()) }
    }
}

impl ObjectStore for Memory {
    fn list<'a>(&'a self, bucket: &'a str, prefix: &'a str) -> Pending<'a, Vec<Object>> {
        Box::pin(async move {
            let objects = self.lock();
            if !objects.keys().any(|(known, _)| known == bucket) {
                return Err(format!("the bucket {bucket} does not exist"));
            }
            Ok(objects
                .iter()
                .filter(|((known, key), _)| known == bucket && key.starts_with(prefix))
                .map(|((_, key), content)| {
                    let ObjectVersion { size, etag } = Self::version(content);
                    Object::new(key, size, etag)
                })
                .collect())
        })
    }

    fn head<'a>(&'a self, bucket: &'a str, key: &'a str) -> Pending<'a, Option<ObjectVersion>> {
        Box::pin(async move { Ok(self.lock().get(&(bucket.to_owned(), key.to_owned())).map(|content| Self::version(content))) })
    }

    fn read<'a>(&'a self, bucket: &'a str, key: &'a str) -> Pending<'a, Option<Vec<u8>>> {
        Box::pin(async move { Ok(self.lock().get(&(bucket.to_owned(), key.to_owned())).cloned()) })
    }
}
