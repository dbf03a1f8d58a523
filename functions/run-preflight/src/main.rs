//! The function that makes the checks before a release. Its answer is the report; where the release may not start it fails
//! with `PreflightFailed`, which a state machine catches, and what to mend as the message. A job of a pipeline is answered to
//! CodePipeline.

use flywheel_adapters::{AwsAccount, ChecksObject, EventBridgeBus, PipelineJobs, PolicySource, load_config};
use flywheel_kit::{start_logging, variable};
use jiff::Timestamp;
use lambda_runtime::{Diagnostic, Error, LambdaEvent, run, service_fn};
use run_preflight::{Asked, World, to_mend};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_logging();
    let config = load_config(variable)?;
    let world = World {
        checks: ChecksObject::new(&config, variable("FLYWHEEL_CHECKS_BUCKET")?),
        account: AwsAccount::new(&config),
        bus: EventBridgeBus::new(&config, variable("FLYWHEEL_BUS")?),
        jobs: PipelineJobs::new(&config),
    };
    let policies = PolicySource::from_variables(&config, variable)?;
    run(service_fn(async |event: LambdaEvent<Value>| {
        let unavailable = |error: &dyn std::error::Error| failure("PreflightUnavailable", error.to_string());
        let asked = Asked::read(event.payload).map_err(|wrong| failure("PreflightRefused", wrong))?;
        let policy = policies.current().await;
        match asked {
            Asked::Job(job) => {
                let when_unable = policy.map(|policy| policy.preflight.when_unable).map_err(|error| error.to_string());
                world.answer(&job, when_unable, Timestamp::now()).await.map_err(|error| unavailable(&error))?;
                Ok::<Value, Diagnostic>(Value::Null)
            }
            Asked::Call(request) => {
                let when_unable = policy.map_err(|error| unavailable(&error))?.preflight.when_unable;
                let id = &event.context.request_id;
                let report = world.check(&request, id, when_unable, Timestamp::now()).await.map_err(|error| unavailable(&error))?;
                if report.may_start { Ok(json!(report)) } else { Err(failure("PreflightFailed", to_mend(&report))) }
            }
        }
    }))
    .await
}

fn failure(kind: &str, message: String) -> Diagnostic {
    Diagnostic { error_type: kind.to_owned(), error_message: message }
}
