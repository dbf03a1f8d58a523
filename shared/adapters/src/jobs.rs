//! The jobs that CodePipeline gives to functions.

use aws_sdk_codepipeline::Client;
use aws_sdk_codepipeline::error::ProvideErrorMetadata;
use aws_sdk_codepipeline::types::{ExecutionDetails, FailureDetails, FailureType};
use flywheel_ports::{JobFailure, Jobs, Unavailable};

use crate::error::unavailable;

/// Characters of a success's summary and of a failure's message ("ExecutionDetails" and "FailureDetails", CodePipeline API
/// reference).
const SUMMARY: usize = 2_048;
const MESSAGE: usize = 5_000;

/// CodePipeline in the account and Region of the configuration.
#[derive(Debug, Clone)]
pub struct PipelineJobs {
    client: Client,
}

impl PipelineJobs {
    /// With the SDK's configuration.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }
}

/// Lambda delivers a job's event again where the first try did not come to its end: the job may be answered by then.
fn is_answered(code: Option<&str>) -> bool {
    code == Some("InvalidJobStateException")
}

impl Jobs for PipelineJobs {
    async fn succeed(&self, job: &str, summary: &str) -> Result<(), Unavailable> {
        let details = ExecutionDetails::builder().summary(cut(summary, SUMMARY)).build();
        match self.client.put_job_success_result().job_id(job).execution_details(details).send().await {
            Err(error) if !is_answered(error.code()) => Err(unavailable("answer the pipeline's job")(error)),
            _ => Ok(()),
        }
    }

    async fn fail(&self, job: &str, failure: JobFailure, message: &str) -> Result<(), Unavailable> {
        let what = "answer the pipeline's job";
        let kind = match failure {
            JobFailure::Checks => FailureType::JobFailed,
            JobFailure::Configuration => FailureType::ConfigurationError,
            JobFailure::Unavailable => FailureType::SystemUnavailable,
        };
        let details = FailureDetails::builder().r#type(kind).message(cut(message, MESSAGE)).build();
        let details = details.map_err(|error| Unavailable { what, why: error.to_string() })?;
        match self.client.put_job_failure_result().job_id(job).failure_details(details).send().await {
            Err(error) if !is_answered(error.code()) => Err(unavailable(what)(error)),
            _ => Ok(()),
        }
    }
}

/// A text of at most so many characters; one that is cut says so at its end.
fn cut(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars().take(longest - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_to_what_the_api_takes() {
        assert_eq!(cut("öäü", 3), "öäü");
        assert_eq!(cut("öäüß", 3), "öä…");
    }
}
