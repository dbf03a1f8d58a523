//! ministack, the local AWS.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::net::TcpStream;

use crate::process::{Process, launch};

/// Where the Python environment with ministack is.
///
/// `FLYWHEEL_TOOLS` (the environment's folder) or `FLYWHEEL_MINISTACK` (its `bin/ministack`), which `make` sets; else
/// `.tools/run` below the workspace.
///
/// # Errors
/// If it is not installed, with the command that installs it.
pub fn tools() -> Result<PathBuf> {
    let folder = std::env::var_os("FLYWHEEL_TOOLS")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("FLYWHEEL_MINISTACK")?).parent()?.parent()?.to_owned()))
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/run"));
    if !folder.join("bin/ministack").is_file() {
        bail!("the local AWS is not installed in {}: `make demo`, `make test` and `make tools` install it", folder.display());
    }
    Ok(folder.canonicalize()?)
}

/// A running ministack, with its data in memory and its files in a folder that goes with it.
#[derive(Debug)]
pub(crate) struct Ministack {
    // Dropped before the folder: it writes there.
    process: Process,
    address: SocketAddr,
    _private: PrivateFolder,
}

impl Ministack {
    /// Starts it, with its log in `folder`, and waits until it accepts connections.
    pub(crate) async fn start(tools: &Path, folder: &Path, port: Option<u16>, region: &str) -> Result<Self> {
        let log = folder.join("ministack.log");
        // Another process can take a free port before ministack binds it: then try another.
        let mut tries = 0;
        loop {
            tries += 1;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.map_or_else(free_port, Ok)?));
            let private = PrivateFolder::create(folder.join(format!("ministack-{}", address.port())))?;
            let mut ministack = Self { process: spawn(tools, &private.0, &log, address, region)?, address, _private: private };
            match ministack.ready().await {
                Ok(()) => return Ok(ministack),
                Err(_) if port.is_none() && tries < 3 => {}
                Err(error) => return Err(error.context(format!("the local AWS did not start; its log is {}", log.display()))),
            }
        }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    async fn ready(&mut self) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(30) {
            if let Some(status) = self.process.ended()? {
                bail!("it ended with {status} (is port {} taken?)", self.address.port());
            }
            if TcpStream::connect(self.address).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("it does not listen on {} after 30 seconds", self.address)
    }
}

fn spawn(tools: &Path, private: &Path, log: &Path, address: SocketAddr, region: &str) -> Result<Process> {
    let output = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = launch(tools, &[]);
    command
        // Functions inherit this environment and then get their own on top. So it is written from nothing: no
        // credentials, profiles or proxies of the person who runs this, and an endpoint that keeps every call here.
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", private)
        .env("TMPDIR", private)
        .env("S3_DATA_DIR", private.join("s3"))
        .env("STATE_DIR", private.join("state"))
        .env("LANG", "C.UTF-8")
        .env("GATEWAY_PORT", address.port().to_string())
        .env("BIND_HOST", address.ip().to_string())
        .env("MINISTACK_HOST", address.ip().to_string())
        .env("MINISTACK_REGION", region)
        .env("AWS_ENDPOINT_URL", format!("http://{address}"))
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        // Verify signatures and enforce every role's policies.
        .env("AUTH", "true")
        .current_dir(private)
        .stdout(output.try_clone()?)
        .stderr(output);
    Process::start(command)
}

/// A folder that is deleted with its value.
#[derive(Debug)]
struct PrivateFolder(PathBuf);

impl PrivateFolder {
    fn create(folder: PathBuf) -> Result<Self> {
        // What an earlier run on this port left behind, if it was killed.
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A port that nobody listens on at the moment.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
