//! The function that AppConfig asks before it deploys a policy. It refuses by failing.

use check_policy::{Proposed, check};
use flywheel_kit::start_logging;
use lambda_runtime::{Diagnostic, Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_logging();
    run(service_fn(async |event: LambdaEvent<Proposed>| {
        let configuration_version = &event.payload.configuration_version;
        match check(&event.payload) {
            Ok(version) => {
                tracing::info!(configuration_version, version, "valid");
                Ok::<(), Diagnostic>(())
            }
            Err(problems) => {
                tracing::warn!(configuration_version, problems, "refused");
                Err(Diagnostic { error_type: "PolicyNotValid".to_owned(), error_message: problems })
            }
        }
    }))
    .await
}
