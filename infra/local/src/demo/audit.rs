//! Whether anything was lost: the bucket as it is, compared with the index as it is. Flywheel's own word counts only
//! where it says that a document cannot be indexed, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use flywheel_deploy::Deployed;
use flywheel_engine::documents::Status;
use flywheel_model::{DataSourceId, Event};

use super::tables;
use crate::LocalAws;

#[derive(Debug)]
pub(crate) struct Audit {
    dynamodb: aws_sdk_dynamodb::Client,
    state: String,
    ledger: String,
    bucket: String,
    sources: Vec<DataSourceId>,
}

/// How things stand.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Snapshot {
    /// Documents in the bucket.
    pub(crate) documents: usize,
    /// Documents in the index with the content that the bucket has.
    pub(crate) indexed: usize,
    /// Documents whose row says that a change is not yet synchronised.
    pub(crate) pending: usize,
    /// Ingestion jobs under way.
    pub(crate) jobs: usize,
    /// Given up, with Bedrock's reason, by key.
    pub(crate) quarantined: BTreeMap<String, String>,
    /// What is not accounted for.
    pub(crate) lost: Vec<String>,
}

impl Snapshot {
    pub(crate) fn settled(&self) -> bool {
        self.lost.is_empty() && self.pending == 0 && self.jobs == 0
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { documents, indexed, pending, jobs, quarantined, lost } = self;
        write!(
            f,
            "{indexed} of {documents} in the index, {pending} pending, {} quarantined, {jobs} jobs running, {} to go",
            quarantined.len(),
            lost.len()
        )
    }
}

impl Audit {
    pub(crate) fn new(aws: &LocalAws, deployed: &Deployed, bucket: &str, sources: Vec<DataSourceId>) -> Result<Self> {
        let output = |name: &str| deployed.outputs.get(name).cloned().with_context(|| format!("the stack has no output {name}"));
        Ok(Self {
            dynamodb: aws.dynamodb().clone(),
            state: output("StateTable")?,
            ledger: output("LedgerTable")?,
            bucket: bucket.to_owned(),
            sources,
        })
    }

    pub(crate) async fn take(&self, aws: &LocalAws) -> Result<Snapshot> {
        let bucket = self.bucket(aws).await?;
        let index = aws.bedrock_index();
        let mut snapshot = Snapshot { documents: bucket.len(), jobs: aws.bedrock_report().jobs_running, ..Snapshot::default() };
        let mut indexed = BTreeSet::new();
        for source in &self.sources {
            for (key, status) in tables::documents(&self.dynamodb, &self.state, source).await? {
                match status {
                    Status::Pending { .. } => snapshot.pending += 1,
                    Status::Quarantined { reason } => drop(snapshot.quarantined.insert(key, reason)),
                    Status::Indexed | Status::Deleted => {}
                }
            }
            for (key, etag) in index.get(source).into_iter().flatten() {
                match bucket.get(key) {
                    Some(current) if current == etag => drop(indexed.insert(key.as_str())),
                    Some(_) => {}
                    None => snapshot.lost.push(format!("{key} is deleted and still in the index of {source}")),
                }
            }
        }
        snapshot.indexed = indexed.len();
        let unaccounted = bucket.keys().filter(|key| !indexed.contains(key.as_str()) && !snapshot.quarantined.contains_key(*key));
        let unaccounted: Vec<String> = unaccounted.map(|key| format!("{key} is not in the index as it is in the bucket")).collect();
        snapshot.lost.extend(unaccounted);
        Ok(snapshot)
    }

    /// The ledger, once it has as many signals as there were changes, or after a while without.
    pub(crate) async fn events(&self, changes: usize) -> Result<Vec<Event>> {
        let started = Instant::now();
        loop {
            let events = tables::events(&self.dynamodb, &self.ledger).await?;
            if tables::changes_seen(&events) >= changes || started.elapsed() > Duration::from_secs(10) {
                return Ok(events);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn bucket(&self, aws: &LocalAws) -> Result<BTreeMap<String, String>> {
        let mut objects = BTreeMap::new();
        let mut pages = aws.s3().list_objects_v2().bucket(&self.bucket).into_paginator().send();
        while let Some(page) = pages.next().await {
            for object in page.context("cannot list the bucket")?.contents.unwrap_or_default() {
                if let (Some(key), Some(etag)) = (object.key, object.e_tag) {
                    objects.insert(key, etag.trim_matches('"').to_owned());
                }
            }
        }
        Ok(objects)
    }
}
