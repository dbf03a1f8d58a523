//! What checks before releases need.

use std::collections::BTreeMap;

use flywheel_engine::preflight::Answer;
use flywheel_model::Need;
use flywheel_releases::Record;
use jiff::Timestamp;

use crate::Unavailable;

/// What is known of releases.
pub trait Releases {
    /// Keeps records; one that is kept already stays as it is.
    async fn keep(&self, records: &[Record]) -> Result<(), Unavailable>;

    /// The records since a time, the latest of them where there are very many.
    async fn records(&self, since: Timestamp) -> Result<Vec<Record>, Unavailable>;

    /// Notes that checks stopped a release.
    async fn note_caught(&self, checks: &[String], at: Timestamp) -> Result<(), Unavailable>;

    /// When each check last stopped one.
    async fn caught(&self) -> Result<BTreeMap<String, Timestamp>, Unavailable>;
}

/// The checks file.
pub trait Checks {
    /// Its name, as people find it.
    fn name(&self) -> String;

    /// Its text and entity tag; nothing if there is none yet.
    async fn read(&self) -> Result<Option<(String, String)>, Unavailable>;

    /// Writes it, on the condition that it is still the one with this tag, or that there is none. The new tag, or nothing
    /// if somebody else wrote in between.
    async fn write(&self, text: &str, tag: Option<&str>) -> Result<Option<String>, Unavailable>;
}

/// Messages of denials that say nothing until they are decoded.
pub trait Denials {
    /// What an encoded message says, as JSON; nothing where it cannot be decoded.
    async fn decode(&self, message: &str) -> Option<String>;
}

/// The account around a release, looked at and left as it is.
pub trait Surroundings {
    /// Looks up what releases need, in their order. Whatever goes wrong is an answer.
    async fn look(&self, needs: &[Need]) -> Vec<Answer>;
}

/// The registry of CloudFormation's resource types.
pub trait ResourceTypes {
    /// The schema of a type, as JSON; nothing if the type is not known.
    ///
    /// # Errors
    /// Why it could not be looked up.
    async fn schema(&self, name: &str) -> Result<Option<String>, String>;
}

/// Why a pipeline's job fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobFailure {
    /// The release may not start.
    Checks,
    /// The pipeline asks for it wrongly.
    Configuration,
    /// The checks could not be made.
    Unavailable,
}

/// The jobs of a pipeline, which wait for their answer.
pub trait Jobs {
    /// The job is done, and the pipeline goes on.
    async fn succeed(&self, job: &str, summary: &str) -> Result<(), Unavailable>;

    /// The job fails, and the pipeline stops. The message is what people see.
    async fn fail(&self, job: &str, failure: JobFailure, message: &str) -> Result<(), Unavailable>;
}
