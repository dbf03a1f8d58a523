//! The stand-in for Bedrock, inside this process.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use flywheel_bedrock::core::{Call, DocumentStatus, ErrorCode, Operation, Outcome};
use flywheel_bedrock::server::{Config, Options, S3, Server};
use flywheel_model::DataSourceId;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What was asked of the stand-in so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Ingestion jobs that were started.
    pub jobs_started: usize,
    /// Of these, the ones under way.
    pub jobs_running: usize,
    /// Requests to ingest or delete documents that were taken in.
    pub direct_requests: usize,
    /// Requests that were refused because something else was at work.
    pub conflicts: usize,
    /// Requests that were refused because they came too fast.
    pub throttles: usize,
    /// Requests that asked for more than a quota allows; conflicts and throttles among them.
    pub violations: usize,
    /// Documents whose last version could not be indexed.
    pub documents_failed: usize,
}

/// A stand-in that listens.
pub(crate) struct Standin {
    server: Server,
    address: SocketAddr,
    task: JoinHandle<Result<()>>,
}

impl Standin {
    /// Starts it. It lets a caller do what the local AWS lets its role do.
    pub(crate) async fn start(config: Config, s3: aws_sdk_s3::Client, authorize_with: String, port: Option<u16>) -> Result<Self> {
        let server = Server::new(Options { config, store: Arc::new(S3::new(s3)), authorize_with: Some(authorize_with) })?;
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or_default()));
        let listener = TcpListener::bind(wanted).await.with_context(|| format!("the Bedrock stand-in cannot listen on {wanted}"))?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(server.clone().serve(listener));
        Ok(Self { server, address, task })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) const fn server(&self) -> &Server {
        &self.server
    }

    /// What is in the index: for each data source, the key and entity tag of each document.
    pub(crate) fn index(&self) -> BTreeMap<DataSourceId, BTreeMap<String, String>> {
        let mut account = self.server.account();
        account.advance(now());
        let mut index = BTreeMap::new();
        for source in account.data_sources() {
            let documents = account.documents(&source.knowledge_base, &source.id);
            let indexed = documents.filter_map(|(key, document)| Some((key.to_owned(), document.indexed_etag.clone()?))).collect();
            index.insert(DataSourceId::new(&source.knowledge_base, &source.id), indexed);
        }
        index
    }

    pub(crate) fn report(&self) -> Report {
        use Operation::{DeleteKnowledgeBaseDocuments, IngestKnowledgeBaseDocuments};
        let mut account = self.server.account();
        account.advance(now());
        let calls = |wanted: &dyn Fn(&Call) -> bool| account.calls().iter().filter(|call| wanted(call)).count();
        let failed = account.data_sources().flat_map(|source| account.documents(&source.knowledge_base, &source.id));
        Report {
            jobs_started: account.jobs().count(),
            jobs_running: account.running_jobs().count(),
            direct_requests: calls(&|call| {
                matches!(call.operation, IngestKnowledgeBaseDocuments | DeleteKnowledgeBaseDocuments)
                    && matches!(call.outcome, Outcome::Answered | Outcome::PerformedWithoutAnswer)
            }),
            conflicts: calls(&|call| call.outcome == Outcome::Refused(ErrorCode::Conflict)),
            throttles: calls(&|call| call.outcome == Outcome::Refused(ErrorCode::Throttling)),
            violations: account.violations().len(),
            documents_failed: failed
                .filter(|(_, document)| matches!(document.status, DocumentStatus::Failed | DocumentStatus::Ignored))
                .count(),
        }
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
