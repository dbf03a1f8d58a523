//! Releases: told by their logs, and listed with their causes.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use clap::{Args, Subcommand, ValueEnum};
use flywheel_adapters::ReleaseTable;
use flywheel_ports::Releases;
use flywheel_releases::{Deployment, DeploymentLog, Ending, Record, assemble};
use jiff::{SignedDuration, Timestamp};

use crate::output::Output;
use crate::site::Site;

/// Bytes of a log that are read at once.
const PIECE: usize = 64 * 1024;

/// Records in one message: SQS takes 1 MiB, and a record has less than 8 KB.
const RECORDS: usize = 100;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Tells of a release by its log
    Add(Add),
    /// The releases that are known, the latest first, with their causes
    List {
        /// Of the last so many days.
        #[arg(long, default_value_t = 30)]
        days: u32,
    },
}

#[derive(Args)]
pub(crate) struct Add {
    /// The log of the deployment; `-` for standard input.
    #[arg(long)]
    log: PathBuf,
    /// What was released: the name under which its checks are made.
    #[arg(long)]
    service: String,
    /// An id of its own, such as the number of the pipeline's run. Telling of the same release again changes nothing.
    #[arg(long, env = "FLYWHEEL_RELEASE")]
    release: String,
    /// The ARN of the role that deployed.
    #[arg(long)]
    role: Option<String>,
    /// How it ended. Without it the log has to say so, and a log of several releases is told apart by what stands in front of
    /// its lines.
    #[arg(long)]
    ended: Option<Ended>,
    /// When it ended, such as 2026-01-31T12:00:00Z; now without it.
    #[arg(long)]
    at: Option<Timestamp>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Ended {
    Succeeded,
    Failed,
    Stopped,
}

pub(crate) async fn run(command: Command, site: &Site, output: &Output) -> Result<ExitCode> {
    match command {
        Command::Add(add) => add.run(site, output).await?,
        Command::List { days } => list(days, site, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Add {
    async fn run(self, site: &Site, output: &Output) -> Result<()> {
        let ended = self.ended.map(|ended| match ended {
            Ended::Succeeded => Ending::Succeeded,
            Ended::Failed => Ending::Failed,
            Ended::Stopped => Ending::Stopped,
        });
        let at = self.at.unwrap_or_else(Timestamp::now);
        let deployment = Deployment { release: self.release, service: self.service, role: self.role, at, ended };
        let mut input: Box<dyn Read> = if self.log.as_os_str() == "-" {
            Box::new(std::io::stdin())
        } else {
            Box::new(std::fs::File::open(&self.log).with_context(|| format!("cannot open {}", self.log.display()))?)
        };
        let mut log = DeploymentLog::new(deployment);
        let mut piece = vec![0; PIECE];
        loop {
            let length = input.read(&mut piece).with_context(|| format!("cannot read {}", self.log.display()))?;
            if length == 0 {
                break;
            }
            log.read(&piece[..length]);
        }
        let records = log.end();
        send(site, &records).await?;
        let releases = assemble(records);
        show(&releases, output)
    }
}

async fn send(site: &Site, records: &[Record]) -> Result<()> {
    let queue = aws_sdk_sqs::Client::new(&site.sdk);
    let url = site.output("ReleasesQueueUrl")?;
    for records in records.chunks(RECORDS) {
        let body = serde_json::json!({ "records": records }).to_string();
        queue.send_message().queue_url(url).message_body(body).send().await.map_err(|error| {
            anyhow!(
                "cannot tell of the release: {}\nnext: allow sqs:SendMessage on the queue {url}",
                aws_sdk_sqs::error::DisplayErrorContext(&error)
            )
        })?;
    }
    Ok(())
}

async fn list(days: u32, site: &Site, output: &Output) -> Result<()> {
    let table = ReleaseTable::new(&site.sdk, site.output("ReleasesTable")?.to_owned());
    let mut releases = assemble(table.records(Timestamp::now() - SignedDuration::from_hours(24 * i64::from(days))).await?);
    releases.reverse();
    show(&releases, output)
}

fn show(releases: &[flywheel_releases::Release], output: &Output) -> Result<()> {
    let rows = releases.iter().map(|release| {
        let ending = release.ending.map_or("running", |ending| match ending {
            Ending::Succeeded => "succeeded",
            Ending::Stopped => "stopped",
            Ending::Failed => "failed",
        });
        let causes: Vec<String> = release.causes.iter().map(|cause| format!("{}: {}", cause.kind, cause.fix())).collect();
        vec![release.began.to_string(), release.service.clone(), release.id.clone(), ending.to_owned(), causes.join("; ")]
    });
    output.list(&["BEGAN", "SERVICE", "RELEASE", "ENDED", "CAUSES"], &releases, rows)
}
