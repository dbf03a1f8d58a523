//! The service behind the HTTP interface that the AWS SDKs speak, on this machine only.
//!
//! One port serves `bedrock-agent` and `bedrock-agent-runtime`: point `AWS_ENDPOINT_URL_BEDROCK_AGENT` and
//! `AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME` at it. Tests steer and inspect it under `/_control/`.
//!
//! Documents are read when they enter the index, a moment after the core says that they did. An object that was
//! replaced in that moment is indexed as it is now, and one that is gone is not found by queries.

mod authorize;
mod config;
mod control;
mod routes;
mod search;
mod store;
mod text;
mod wire;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::bail;
use axum::body::Body;
use futures::StreamExt;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub use config::{Config, DataSourceConfig, KnowledgeBaseConfig};
pub use store::{Memory, ObjectStore, Pending, S3};

use crate::core::{Bedrock, CallError, IndexChange, Location};
use authorize::Authorizer;
use search::{Change, Found, Indexes};

/// How often the index follows jobs while nobody asks.
const INDEX_EVERY: Duration = Duration::from_millis(200);

/// How many documents are read at once.
const READS_AT_ONCE: usize = 16;

/// What a server is made of.
pub struct Options {
    /// The account at the start.
    pub config: Config,
    /// The buckets.
    pub store: Arc<dyn ObjectStore>,
    /// A local AWS that checks signatures and roles first; without one, every caller may do everything.
    pub authorize_with: Option<String>,
}

/// A server; clones share one account.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    account: Mutex<Bedrock>,
    store: Arc<dyn ObjectStore>,
    indexes: Arc<Mutex<Indexes>>,
    /// Held by whoever brings the index up to date, so that changes are made in their order.
    indexing: tokio::sync::Mutex<()>,
    authorizer: Option<Authorizer>,
}

/// Serves an account until the future is dropped.
pub async fn serve(options: Options, listener: TcpListener) -> anyhow::Result<()> {
    Server::new(options)?.serve(listener).await
}

impl Server {
    /// A server that does not listen yet.
    pub fn new(options: Options) -> anyhow::Result<Self> {
        let account = options.config.account(Timestamp::now())?;
        let authorizer = options.authorize_with.as_deref().map(Authorizer::new).transpose()?;
        let shared = Shared {
            config: options.config,
            account: Mutex::new(account),
            store: options.store,
            indexes: Arc::default(),
            indexing: tokio::sync::Mutex::new(()),
            authorizer,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The account, to steer and inspect it from the same process. Let go of it before the next `await`.
    pub fn account(&self) -> MutexGuard<'_, Bedrock> {
        self.shared.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves until the future is dropped, and then ends every connection. Refuses to listen to other machines.
    pub async fn serve(self, listener: TcpListener) -> anyhow::Result<()> {
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() {
            bail!("{address} can be reached from other machines; listen on 127.0.0.1");
        }
        let service = TowerToHyperService::new(routes::router(&self));
        let mut tasks = JoinSet::new();
        tasks.spawn(self.follow());
        loop {
            tokio::select! {
                connection = listener.accept() => {
                    tasks.spawn(converse(connection?.0, service.clone()));
                }
                Some(_) = tasks.join_next() => {}
            }
        }
    }

    async fn follow(self) {
        loop {
            self.index().await;
            tokio::time::sleep(INDEX_EVERY).await;
        }
    }

    /// Makes a call, and keeps its answer back as long as a fault says.
    async fn call<T>(&self, perform: impl FnOnce(&mut Bedrock, Timestamp) -> Result<T, CallError>) -> Result<T, CallError> {
        let (result, delay) = {
            let mut account = self.account();
            let result = perform(&mut account, Timestamp::now());
            (result, account.take_delay())
        };
        if let Ok(delay) = Duration::try_from(delay)
            && !delay.is_zero()
        {
            tokio::time::sleep(delay).await;
        }
        result
    }

    /// Brings the search indexes in step with the account.
    async fn index(&self) {
        let _turn = self.shared.indexing.lock().await;
        let changes = {
            let mut account = self.account();
            account.advance(Timestamp::now());
            account.drain_index_changes()
        };
        if changes.is_empty() {
            return;
        }
        // Only the last change of a document counts.
        let latest: BTreeMap<(String, Location), IndexChange> = changes.into_iter().map(by_document).collect();
        let changes = futures::stream::iter(latest.into_values())
            .map(|change| self.read(change))
            .buffer_unordered(READS_AT_ONCE)
            .collect::<Vec<_>>()
            .await;
        if let Err(error) = self.with_indexes(move |indexes| indexes.apply(changes)).await {
            tracing::error!(%error, "the search index could not be written");
        }
    }

    async fn read(&self, change: IndexChange) -> Change {
        match change {
            IndexChange::Remove { knowledge_base, data_source, bucket, key } => {
                let uri = Location { bucket, key }.to_string();
                Change { knowledge_base, data_source, uri, passages: Vec::new() }
            }
            IndexChange::Put { knowledge_base, data_source, bucket, key, .. } => {
                let content = self.shared.store.read(&bucket, &key).await.unwrap_or_else(|error| {
                    tracing::warn!(bucket, key, error, "a document could not be read and will not be found");
                    None
                });
                let passages = content.map(|content| text::passages(&key, &content)).unwrap_or_default();
                Change { knowledge_base, data_source, uri: Location { bucket, key }.to_string(), passages }
            }
        }
    }

    async fn search(&self, knowledge_base: &str, query: &str, most: usize) -> anyhow::Result<Vec<Found>> {
        let (knowledge_base, query) = (knowledge_base.to_owned(), query.to_owned());
        self.with_indexes(move |indexes| indexes.search(&knowledge_base, &query, most)).await
    }

    /// Works on the indexes where it may take its time.
    async fn with_indexes<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Indexes) -> tantivy::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let indexes = Arc::clone(&self.shared.indexes);
        let work = move || work(&mut indexes.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(tokio::task::spawn_blocking(work).await??)
    }

    /// Starts over, from this configuration or from the one that the server was started with.
    async fn reset(&self, config: Option<&Config>) -> anyhow::Result<()> {
        let _turn = self.shared.indexing.lock().await;
        let fresh = config.unwrap_or(&self.shared.config).account(Timestamp::now())?;
        *self.account() = fresh;
        self.with_indexes(|indexes| {
            *indexes = Indexes::default();
            Ok(())
        })
        .await
    }
}

fn by_document(change: IndexChange) -> ((String, Location), IndexChange) {
    let (IndexChange::Put { data_source, bucket, key, .. } | IndexChange::Remove { data_source, bucket, key, .. }) = &change;
    ((data_source.clone(), Location::new(bucket, key)), change)
}

/// Serves one connection, and hangs up where an answer is to be lost.
async fn converse(stream: TcpStream, service: TowerToHyperService<axum::Router>) {
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: axum::http::Request<hyper::body::Incoming>| {
        let response = service.call(request.map(Body::new));
        async move {
            match response.await {
                Ok(response) if response.extensions().get::<wire::HangUp>().is_none() => Ok(response),
                _ => Err(std::io::Error::other("the answer is lost on command")),
            }
        }
    });
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // A connection that breaks is the caller's affair, and some are broken on purpose.
    let _ = connection.await;
}

/// Whether a host, as a URL has it, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.trim_start_matches('[').trim_end_matches(']').parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The buckets of a local AWS: path-style, with the credentials in the environment. Refuses any other place than this
/// machine, so that nothing is read from a real account by mistake.
pub async fn local_s3(endpoint: &str) -> anyhow::Result<S3> {
    let host = endpoint.parse::<axum::http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
    if !host.as_deref().is_some_and(is_loopback) {
        bail!("documents are read on this machine only, not at {endpoint}");
    }
    let region = std::env::var("AWS_REGION").unwrap_or_else(|_| "us-east-1".to_owned());
    let shared = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new(region))
        .credentials_provider(aws_config::environment::EnvironmentVariableCredentialsProvider::new())
        .load()
        .await;
    let config = aws_sdk_s3::config::Builder::from(&shared).endpoint_url(endpoint).force_path_style(true).build();
    Ok(S3::new(aws_sdk_s3::Client::from_conf(config)))
}
