//! Makes the checks before a release of a service, and says whether it may start.

use flywheel_engine::preflight::{ChecksError, ChecksFile, Report, report};
use flywheel_model::{Body, Event, Id};
use flywheel_policy::WhenUnable;
use flywheel_ports::Surroundings;
use jiff::Timestamp;
use serde::Deserialize;

/// What is about to be released.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Request {
    /// The service, as its releases are called: the name of its stack or pipeline.
    pub service: String,
}

/// Makes the active checks of a service, as they stand in a checks file; none if there is no file yet.
///
/// # Errors
/// What is wrong with the file.
pub async fn check<S: Surroundings>(
    file: Option<&str>,
    account: &S,
    service: &str,
    when_unable: WhenUnable,
) -> Result<Report, ChecksError> {
    let file = file.map_or_else(|| Ok(ChecksFile::default()), ChecksFile::parse)?;
    let active = file.active(Some(service));
    let needs: Vec<_> = active.iter().map(|check| check.need.clone()).collect();
    let answers = account.look(&needs).await;
    Ok(report(service, active.into_iter().zip(answers).collect(), when_unable))
}

/// The event that tells of a run. The same request has the same id, as often as it is tried.
#[must_use]
pub fn event(report: &Report, request_id: &str, now: Timestamp) -> Event {
    let id = Id::of("outcome.preflight", &[&report.service, request_id]);
    Event { id, subject: format!("service/{}", report.service), causes: Vec::new(), at: now, body: Body::PreflightMade(report.run()) }
}
