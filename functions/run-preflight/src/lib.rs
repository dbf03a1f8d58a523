//! Makes the checks before a release of a service, and says whether it may start.

use flywheel_engine::preflight::{Answer, ChecksFile, Report, report};
use flywheel_model::{Body, Event, Id};
use flywheel_policy::WhenUnable;
use flywheel_ports::{Checks, Surroundings, Unavailable};
use jiff::Timestamp;
use serde::Deserialize;

/// What is about to be released.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Request {
    /// The service, as its releases are called: the name of its stack or pipeline.
    pub service: String,
}

/// Makes the active checks of a service.
///
/// # Errors
/// If the checks file cannot be read.
pub async fn check<C: Checks, S: Surroundings>(
    checks: &C,
    account: &S,
    service: &str,
    when_unable: WhenUnable,
) -> Result<Report, Unavailable> {
    let file = match checks.read().await? {
        Some((text, _)) => {
            ChecksFile::parse(&text).map_err(|error| Unavailable { what: "read the checks file", why: error.to_string() })?
        }
        None => ChecksFile::default(),
    };
    let active = file.active(Some(service));
    let needs: Vec<_> = active.iter().map(|check| check.need.clone()).collect();
    let answers = account.look(&needs).await;
    let answered = active.into_iter().zip(answers.into_iter().chain(std::iter::repeat(Answer::Unable("it was not asked".to_owned()))));
    Ok(report(service, answered.collect(), when_unable))
}

/// The event that tells of a run. The same request has the same id, as often as it is tried.
#[must_use]
pub fn event(report: &Report, request_id: &str, now: Timestamp) -> Event {
    let id = Id::of("outcome.preflight", &[&report.service, request_id]);
    Event { id, subject: format!("service/{}", report.service), causes: Vec::new(), at: now, body: Body::PreflightMade(report.run()) }
}
