//! The deployed stack that the tool works on.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail};
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_cloudformation::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use flywheel_adapters::{PolicySource, PolicyVersions};
use flywheel_policy::Policy;

/// A deployed Flywheel.
#[derive(Debug)]
pub(crate) struct Site {
    /// The stack's name.
    pub(crate) stack: String,
    /// Where the AWS environment points.
    pub(crate) sdk: SdkConfig,
    /// The stack's outputs.
    pub(crate) outputs: BTreeMap<String, String>,
}

impl Site {
    /// Finds the stack in the account and Region of the AWS environment.
    pub(crate) async fn connect(stack: String) -> Result<Self> {
        let sdk = sdk().await?;
        let answer = aws_sdk_cloudformation::Client::new(&sdk).describe_stacks().stack_name(&stack).send().await;
        let answer = answer.map_err(|error| match error.message() {
            Some(message) => {
                anyhow!("cannot find the stack {stack}: {message}\nnext: name it with --stack, or deploy it with `make deploy`")
            }
            None => anyhow!(
                "cannot ask for the stack {stack}: {}\nnext: check the credentials, and that the local AWS runs if that is meant",
                DisplayErrorContext(&error)
            ),
        })?;
        let found = answer.stacks.unwrap_or_default().into_iter().next().with_context(|| format!("there is no stack {stack}"))?;
        let outputs = found.outputs.unwrap_or_default().into_iter();
        let outputs = outputs.filter_map(|output| Some((output.output_key?, output.output_value?))).collect();
        Ok(Self { stack, sdk, outputs })
    }

    /// One output.
    pub(crate) fn output(&self, name: &str) -> Result<&str> {
        self.outputs.get(name).map(String::as_str).with_context(|| {
            format!("the stack {} has no output {name}: it was deployed by another version\nnext: deploy this one", self.stack)
        })
    }

    /// The policy in force.
    pub(crate) async fn policy(&self) -> Result<Policy> {
        Ok((*self.policy_source()?.current().await?).clone())
    }

    /// Where the policy is served.
    pub(crate) fn policy_source(&self) -> Result<PolicySource> {
        PolicySource::from_variables(&self.sdk, |variable| {
            let output = match variable {
                "FLYWHEEL_POLICY_APPLICATION" => "PolicyApplication",
                "FLYWHEEL_POLICY_ENVIRONMENT" => "PolicyEnvironment",
                _ => "PolicyProfile",
            };
            self.output(output).map(str::to_owned)
        })
    }

    /// Where its versions are kept.
    pub(crate) fn policy_versions(&self) -> Result<PolicyVersions> {
        let id = |output| self.output(output).map(str::to_owned);
        Ok(PolicyVersions::new(&self.sdk, id("PolicyApplication")?, id("PolicyEnvironment")?, id("PolicyProfile")?))
    }
}

/// Where the AWS environment points.
pub(crate) async fn sdk() -> Result<SdkConfig> {
    let sdk = aws_config::load_defaults(BehaviorVersion::latest()).await;
    if sdk.region().is_none() {
        bail!("no AWS Region is set\nnext: set AWS_REGION, or a profile that has one; for the local AWS: source target/local/env");
    }
    Ok(sdk)
}

/// What AWS says of a request that failed, or what went wrong on the way.
pub(crate) fn said<E: ProvideErrorMetadata + std::error::Error + 'static, R: std::fmt::Debug>(error: &SdkError<E, R>) -> String {
    match error.as_service_error() {
        Some(service) => format!("{}: {}", service.code().unwrap_or("unnamed error"), service.message().unwrap_or("no message")),
        // What it was, and what that came of: without the SDK's structures around it.
        None => {
            let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
            causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
        }
    }
}
