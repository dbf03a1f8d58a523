//! The function that makes the checks before a release. Its answer is the report; where the release may not start it fails
//! with `PreflightFailed`, which a state machine catches, and what to mend as the message.

use flywheel_adapters::{AwsAccount, ChecksObject, EventBridgeBus, PolicySource, load_config};
use flywheel_engine::preflight::Report;
use flywheel_kit::{start_logging, variable};
use flywheel_ports::{Bus, Checks};
use jiff::Timestamp;
use lambda_runtime::{Diagnostic, Error, LambdaEvent, run, service_fn};
use run_preflight::{Request, check, event};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_logging();
    let config = load_config(variable)?;
    let checks = ChecksObject::new(&config, variable("FLYWHEEL_CHECKS_BUCKET")?);
    let account = AwsAccount::new(&config);
    let bus = EventBridgeBus::new(&config, variable("FLYWHEEL_BUS")?);
    let policies = PolicySource::from_variables(&config, variable)?;
    run(service_fn(async |request: LambdaEvent<Request>| {
        let unavailable = |error: &dyn std::error::Error| failure("PreflightUnavailable", error.to_string());
        let policy = policies.current().await.map_err(|error| unavailable(&error))?;
        let service = request.payload.service;
        let file = checks.read().await.map_err(|error| unavailable(&error))?.map(|(text, _)| text);
        let report = check(file.as_deref(), &account, &service, policy.preflight.when_unable).await.map_err(|error| unavailable(&error))?;
        bus.publish(&[event(&report, &request.context.request_id, Timestamp::now())]).await.map_err(|error| unavailable(&error))?;
        if report.may_start {
            return Ok::<Report, Diagnostic>(report);
        }
        let told: Vec<String> = report
            .findings
            .iter()
            .filter(|finding| !finding.says.is_empty())
            .map(|finding| format!("{}. To mend it: {}", finding.says, finding.fix))
            .collect();
        Err(failure("PreflightFailed", told.join("\n")))
    }))
    .await
}

fn failure(kind: &str, message: String) -> Diagnostic {
    Diagnostic { error_type: kind.to_owned(), error_message: message }
}
