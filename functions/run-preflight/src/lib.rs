//! Makes the checks before a release of a service, and says whether it may start: to a state machine by the answer, to
//! CodePipeline by the result of its job.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_engine::preflight::{ChecksError, ChecksFile, Report, report};
use flywheel_model::{Body, Event, Id, Need, PreflightCheck};
use flywheel_policy::WhenUnable;
use flywheel_ports::{Bus, Checks, JobFailure, Jobs, Surroundings, Unavailable};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// What is about to be released.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Request {
    /// The service, as its releases are called: the name of its stack or pipeline.
    pub service: String,
}

/// A job of a pipeline's action, which waits for its answer ("JSON event example", CodePipeline user guide). What else is in
/// it, keys to artifacts among it, is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// What is about to be released, or what is wrong with the action's `UserParameters`.
    pub request: Result<Request, String>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A state machine, or whoever calls the function.
    Call(Request),
    /// A pipeline.
    Job(Job),
}

impl Asked {
    /// Reads what the function is invoked with.
    ///
    /// # Errors
    /// Which field is missing or wrong, and what to write.
    pub fn read(event: Value) -> Result<Self, String> {
        let Some(job) = event.get("CodePipeline.job") else { return request(event, "the input").map(Self::Call) };
        let id = job.get("id").and_then(Value::as_str).ok_or("CodePipeline.job.id is missing")?.to_owned();
        let written = job.pointer("/data/actionConfiguration/configuration/UserParameters");
        let request = match written.and_then(Value::as_str).filter(|text| !text.trim().is_empty()) {
            Some(text) => {
                let parameters =
                    serde_json::from_str(text).map_err(|error| format!("UserParameters is not JSON: {error}; write {EXAMPLE}"));
                parameters.and_then(|parameters| request(parameters, "UserParameters"))
            }
            None => Err(format!("UserParameters is missing; write {EXAMPLE}")),
        };
        Ok(Self::Job(Job { id, request }))
    }
}

const EXAMPLE: &str = r#"{"service": "shop"}"#;

fn request(value: Value, of: &str) -> Result<Request, String> {
    let request: Request = serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { format!(".{path}") };
        format!("{of}{field}: {}; write {EXAMPLE}", error.inner())
    })?;
    if request.service.trim().is_empty() || request.service.len() > 256 {
        return Err(format!("{of}.service: {:?} is no name of a service; use 1 to 256 bytes", request.service));
    }
    Ok(request)
}

/// The world that checks are made in.
#[derive(Debug)]
pub struct World<C, S, B, J> {
    /// The checks file.
    pub checks: C,
    /// The account.
    pub account: S,
    /// The bus.
    pub bus: B,
    /// The pipelines' jobs.
    pub jobs: J,
}

impl<C: Checks, S: Surroundings, B: Bus, J: Jobs> World<C, S, B, J> {
    /// Makes the checks before a release, and tells the bus of it. The same request tells it once, as often as it is tried.
    ///
    /// # Errors
    /// If the checks file cannot be used, or the bus does not answer.
    pub async fn check(&self, request: &Request, id: &str, when_unable: WhenUnable, now: Timestamp) -> Result<Report, Unavailable> {
        let file = self.checks.read().await?.map(|(text, _)| text);
        let report = check(file.as_deref(), &BTreeMap::new(), &self.account, &request.service, when_unable)
            .await
            .map_err(|error| Unavailable { what: "read the checks file", why: error.to_string() })?;
        self.bus.publish(&[event(&report, id, now)]).await?;
        Ok(report)
    }

    /// Answers a pipeline's job, whatever comes of the checks: a job without an answer holds its pipeline up until it times
    /// out.
    ///
    /// # Errors
    /// If the pipeline cannot be answered.
    pub async fn answer(&self, job: &Job, policy: Result<WhenUnable, String>, now: Timestamp) -> Result<(), Unavailable> {
        let request = match &job.request {
            Ok(request) => request,
            Err(wrong) => return self.jobs.fail(&job.id, JobFailure::Configuration, wrong).await,
        };
        let report = match policy {
            Ok(when_unable) => self.check(request, &job.id, when_unable, now).await.map_err(|error| error.to_string()),
            Err(why) => Err(why),
        };
        match report {
            Ok(report) if report.may_start => self.jobs.succeed(&job.id, &summary(&report)).await,
            Ok(report) => self.jobs.fail(&job.id, JobFailure::Checks, &to_mend(&report)).await,
            Err(why) => self.jobs.fail(&job.id, JobFailure::Unavailable, &format!("the checks could not be made: {why}")).await,
        }
    }
}

/// Makes the active checks of a service, as they stand in a checks file; none if there is no file yet. And those that were
/// derived from what is about to be released, each with whether the release surely needs it.
///
/// # Errors
/// What is wrong with the file.
pub async fn check<S: Surroundings>(
    file: Option<&str>,
    derived: &BTreeMap<Need, bool>,
    account: &S,
    service: &str,
    when_unable: WhenUnable,
) -> Result<Report, ChecksError> {
    let file = file.map_or_else(|| Ok(ChecksFile::default()), ChecksFile::parse)?;
    let mut checks: Vec<(PreflightCheck, bool)> = file.active(Some(service)).into_iter().map(|check| (check, true)).collect();
    let known: BTreeSet<Need> = checks.iter().map(|(check, _)| check.need.without_context()).collect();
    for (need, is_needed) in derived.iter().filter(|(need, _)| !known.contains(&need.without_context())) {
        checks.push((PreflightCheck::learned(need.clone(), BTreeSet::from([service.to_owned()])), *is_needed));
    }
    let needs: Vec<Need> = checks.iter().map(|(check, _)| check.need.clone()).collect();
    let answers = account.look(&needs).await;
    let answered = checks.into_iter().zip(answers);
    let judged = answered.map(|((check, is_needed), answer)| (check, if is_needed { answer } else { answer.if_needed() }));
    Ok(report(service, judged.collect(), when_unable))
}

/// The event that tells of a run. The same request has the same id, as often as it is tried.
#[must_use]
pub fn event(report: &Report, request_id: &str, now: Timestamp) -> Event {
    let id = Id::of("outcome.preflight", &[&report.service, request_id]);
    Event { id, subject: format!("service/{}", report.service), causes: Vec::new(), at: now, body: Body::PreflightMade(report.run()) }
}

/// What is missing, and what mends it: a line for each, those that failed first.
#[must_use]
pub fn to_mend(report: &Report) -> String {
    let told = report.findings.iter().filter(|finding| !finding.answer.is_met());
    told.map(|finding| format!("{}. To mend it: {}", finding.says, finding.fix)).collect::<Vec<_>>().join("\n")
}

/// How many checks came to what, and what was not checked.
fn summary(report: &Report) -> String {
    let run = report.run();
    let not_checked = to_mend(report);
    let counts = format!("{} checks passed, {} could not be made", run.passed, run.unable.len());
    if not_checked.is_empty() { counts } else { format!("{counts}\n{not_checked}") }
}
