//! The stand-in for Amazon Bedrock knowledge bases as a process of its own. The library says what it does.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Parser;
use flywheel_bedrock::server::{Config, Options, local_s3, serve};
use tokio::net::TcpListener;

/// Serves knowledge bases to the AWS SDKs, on this machine only.
///
/// Credentials for the local S3 come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; only this machine's own addresses are allowed.
    #[arg(long, default_value = "127.0.0.1:4567")]
    listen: SocketAddr,
    /// The knowledge bases, data sources, quotas and speed: a TOML file, or JSON if its name ends in .json.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The local AWS that holds the buckets.
    #[arg(long, env = "AWS_ENDPOINT_URL", default_value = "http://127.0.0.1:4566")]
    s3: String,
    /// A local AWS that checks each request's signature and the caller's role before it is served.
    #[arg(long)]
    authorize_with: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    if !arguments.listen.ip().is_loopback() {
        bail!("{} can be reached from other machines; listen on 127.0.0.1", arguments.listen);
    }
    let config = arguments.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    let store = Arc::new(local_s3(&arguments.s3).await?);
    let listener = TcpListener::bind(arguments.listen).await.with_context(|| format!("cannot listen on {}", arguments.listen))?;
    tracing::info!(address = %listener.local_addr()?, "serving knowledge bases");
    serve(Options { config, store, authorize_with: arguments.authorize_with }, listener).await
}
