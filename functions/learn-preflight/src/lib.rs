//! Learns checks before releases.
//!
//! What comes in of a release is kept, each record once. When a release has ended, all releases of the time that the policy
//! names are put together again and looked at: learning is a function of what is kept, so a batch that comes twice, or in
//! another order, comes to the same checks. Decisions are published before the checks file is written, and that is written
//! only if it is still the one that was read.

use flywheel_engine::preflight::{ChecksFile, learn};
use flywheel_model::{Body, Event, Id, PreflightReceipt, PreflightRun, Refusal};
use flywheel_policy::Policy;
use flywheel_ports::{Bus, Checks, Denials, Releases, Unavailable};
use flywheel_releases::{Cause, Deployment, DeploymentLog, Record, What, assemble, from_event};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

/// How often writing is tried anew when somebody else wrote in between.
const RACES: usize = 4;

/// What a message brings.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// Records of releases; none if it says nothing of one.
    Records(Vec<Record>),
    /// What checks said before a release.
    Run {
        /// The run.
        run: PreflightRun,
        /// When.
        at: Timestamp,
    },
}

/// A message that is no event: records, or a log with what is known of its deployment.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    #[serde(default)]
    records: Vec<Record>,
    deployment: Option<Deployment>,
    #[serde(default)]
    log: String,
}

/// Reads a message.
///
/// # Errors
/// Why it cannot be used, naming the field.
pub fn read(body: &str) -> Result<Incoming, String> {
    let message: Value = serde_json::from_str(body).map_err(|error| format!("not JSON: {error}"))?;
    if message.get("detail-type").is_none() {
        let sent: Sent = serde_path_to_error::deserialize(message).map_err(|error| {
            format!("{}: {}; send records, or a deployment with its log (events/releases)", error.path(), error.inner())
        })?;
        let Some(deployment) = sent.deployment else { return Ok(Incoming::Records(sent.records)) };
        let mut log = DeploymentLog::new(deployment);
        log.read(sent.log.as_bytes());
        return Ok(Incoming::Records(log.end()));
    }
    if message.get("source").and_then(Value::as_str) == Some(Event::SOURCE) {
        let event = Event::from_envelope(body)?;
        return Ok(match event.body {
            Body::PreflightMade(run) => Incoming::Run { run, at: event.at },
            _ => Incoming::Records(Vec::new()),
        });
    }
    Ok(Incoming::Records(from_event(&message)?.into_iter().collect()))
}

/// The world that checks are learned in.
#[derive(Debug)]
pub struct Learning<R, C, D, B> {
    /// What is known of releases.
    pub releases: R,
    /// The checks file.
    pub checks: C,
    /// Who decodes denials.
    pub denials: D,
    /// The bus.
    pub bus: B,
}

impl<R: Releases, C: Checks, D: Denials, B: Bus> Learning<R, C, D, B> {
    /// Takes a message in. Says whether a release has ended, so that there is something to learn from.
    ///
    /// # Errors
    /// If something that it needs does not answer. Taking it in again does nothing twice.
    pub async fn take(&self, incoming: Incoming) -> Result<bool, Unavailable> {
        match incoming {
            Incoming::Records(mut records) => {
                for cause in records.iter_mut().filter_map(|record| record.what.cause_mut()) {
                    self.decode(cause).await;
                }
                self.releases.keep(&records).await?;
                Ok(records.iter().any(|record| matches!(record.what, What::Ended(_))))
            }
            Incoming::Run { run, at } => {
                self.releases.note_caught(&run.failed, at).await?;
                Ok(false)
            }
        }
    }

    /// Has an encoded message decoded, and keeps what it says in its place.
    async fn decode(&self, cause: &mut Cause) {
        let Some(encoded) = cause.encoded.take() else { return };
        if let Some(message) = self.denials.decode(&encoded).await {
            *cause = cause.clone().decoded(&message).without_session();
        }
    }

    /// Tells of a message that cannot be used.
    ///
    /// # Errors
    /// If the bus does not answer.
    pub async fn refuse(&self, refusal: Refusal, now: Timestamp) -> Result<(), Unavailable> {
        self.bus.publish(&[refusal.event(now)]).await
    }

    /// Looks at the releases that are kept, and brings the checks file up to date. Says which checks changed.
    ///
    /// # Errors
    /// If something that it needs does not answer, or the checks file cannot be read: it is never overwritten.
    pub async fn learn(&self, policy: &Policy, now: Timestamp) -> Result<Vec<String>, Unavailable> {
        let since = now - SignedDuration::from_hours(24 * i64::from(policy.preflight.window_days));
        let releases = assemble(self.releases.records(since).await?);
        let caught = self.releases.caught().await?;
        for _ in 0..RACES {
            let read = self.checks.read().await?;
            let file = match &read {
                Some((text, _)) => {
                    ChecksFile::parse(text).map_err(|error| Unavailable { what: "read the checks file", why: error.to_string() })?
                }
                None => ChecksFile::default(),
            };
            let learned = learn(&releases, &file, &caught, policy, now);
            self.bus.publish(&learned.events).await?;
            if learned.changed.is_empty() {
                return Ok(Vec::new());
            }
            let tag = read.as_ref().map(|(_, tag)| tag.as_str());
            if let Some(etag) = self.checks.write(&learned.file.to_string(), tag).await? {
                let object = self.checks.name();
                let id = Id::of("receipt.preflight", &[&object, &etag]);
                let causes = learned.events.iter().take(Event::CAUSES).map(|event| event.id.clone()).collect();
                let receipt = PreflightReceipt { object, etag, changed: learned.changed.clone() };
                let body = Body::PreflightWritten(receipt);
                self.bus.publish(&[Event { id, subject: "preflight".to_owned(), causes, at: now, body }]).await?;
                return Ok(learned.changed);
            }
        }
        Err(Unavailable { what: "write the checks file", why: "somebody else keeps writing it".to_owned() })
    }
}
