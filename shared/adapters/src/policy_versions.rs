//! The versions of the policy that `AppConfig` keeps, and putting one of them in force.
//!
//! Two writers are told apart by the number of the latest deployment: whoever compared with an earlier one is refused.

use aws_sdk_appconfig::Client;
use aws_sdk_appconfig::primitives::Blob;
use aws_sdk_appconfig::types::DeploymentState;
use aws_types::SdkConfig;
use flywheel_engine::experiments::RolloutState;
use flywheel_model::Answer;
use flywheel_ports::Unavailable;
use jiff::Timestamp;

use crate::error::{answer, unavailable};

/// The hosted versions of the policy and their deployments.
#[derive(Debug, Clone)]
pub struct PolicyVersions {
    client: Client,
    application: String,
    environment: String,
    profile: String,
}

/// A deployment of a version of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyDeployment {
    /// Its number; the latest has the highest.
    pub number: i32,
    /// The version that it put in force.
    pub version: i32,
    /// How far it came.
    pub state: RolloutState,
}

/// What is written at a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentDetails {
    /// When it began.
    pub at: Option<Timestamp>,
    /// What whoever started it wrote.
    pub description: Option<String>,
    /// The strategy that it went by.
    pub strategy: String,
    /// How far it came.
    pub state: RolloutState,
}

/// Why a version was not deployed.
#[derive(Debug, Clone)]
pub enum NotDeployed {
    /// Another deployment came before, or is under way.
    Overtaken(String),
    /// `AppConfig`, or its validator, does not take it.
    Refused(String),
    /// It is not known whether it was.
    Unanswered(Unavailable),
}

impl PolicyVersions {
    /// The versions at this place.
    #[must_use]
    pub fn new(config: &SdkConfig, application: String, environment: String, profile: String) -> Self {
        Self { client: Client::new(config), application, environment, profile }
    }

    /// The deployments of the environment, the latest first. Only the policy is deployed there.
    ///
    /// # Errors
    /// If `AppConfig` does not tell.
    pub async fn deployments(&self) -> Result<Vec<PolicyDeployment>, Unavailable> {
        let list = self.client.list_deployments().application_id(&self.application).environment_id(&self.environment);
        let found = list.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        let found = found.map_err(unavailable("list the policy's deployments"))?.into_iter();
        let deployments = found.filter_map(|summary| {
            let version = summary.configuration_version?.parse().ok()?;
            Some(PolicyDeployment { number: summary.deployment_number, version, state: reached(summary.state.as_ref()) })
        });
        let mut deployments: Vec<_> = deployments.collect();
        deployments.sort_by_key(|deployment| std::cmp::Reverse(deployment.number));
        Ok(deployments)
    }

    /// What is written at a deployment.
    ///
    /// # Errors
    /// If `AppConfig` does not tell.
    pub async fn deployment(&self, number: i32) -> Result<DeploymentDetails, Unavailable> {
        let get = self.client.get_deployment().application_id(&self.application).environment_id(&self.environment);
        let found = get.deployment_number(number).send().await.map_err(unavailable("read a deployment of the policy"))?;
        Ok(DeploymentDetails {
            at: found.started_at.and_then(|at| at.to_millis().ok()).and_then(|at| Timestamp::from_millisecond(at).ok()),
            description: found.description.filter(|description| !description.is_empty()),
            strategy: found.deployment_strategy_id.unwrap_or_default(),
            state: reached(found.state.as_ref()),
        })
    }

    /// The text of a version.
    ///
    /// # Errors
    /// If `AppConfig` does not tell, or has it no more.
    pub async fn text(&self, version: i32) -> Result<String, Unavailable> {
        const READ: &str = "read a version of the policy";
        let get = self.client.get_hosted_configuration_version().application_id(&self.application);
        let found = get.configuration_profile_id(&self.profile).version_number(version).send().await.map_err(unavailable(READ))?;
        let bytes = found.content.map(Blob::into_inner).unwrap_or_default();
        String::from_utf8(bytes).map_err(|error| Unavailable { what: READ, why: error.to_string() })
    }

    /// Keeps a text as a new version, and gives its number.
    ///
    /// # Errors
    /// If it is not kept, or that is not known.
    pub async fn keep(&self, text: &str, description: &str) -> Result<i32, NotDeployed> {
        let create = self.client.create_hosted_configuration_version().application_id(&self.application);
        let create = create.configuration_profile_id(&self.profile).content_type("application/toml").description(description);
        let created = create.content(Blob::new(text)).send().await.map_err(|error| NotDeployed::from(answer(&error)))?;
        Ok(created.version_number)
    }

    /// Puts a version in force by a strategy, if the latest deployment still is the one of this number. Gives the number of
    /// the new one.
    ///
    /// # Errors
    /// If it is not deployed, or that is not known.
    pub async fn deploy(&self, version: i32, strategy: &str, latest: i32, description: &str) -> Result<i32, NotDeployed> {
        let start = self.client.start_deployment().application_id(&self.application).environment_id(&self.environment);
        let start = start
            .configuration_profile_id(&self.profile)
            .configuration_version(version.to_string())
            .deployment_strategy_id(strategy)
            .latest_deployment_number(latest)
            .description(description);
        let started = start.send().await.map_err(|error| NotDeployed::from(answer(&error)))?;
        Ok(started.deployment_number)
    }
}

/// How far a deployment came. One that is being rolled back is not served any more.
const fn reached(state: Option<&DeploymentState>) -> RolloutState {
    match state {
        Some(DeploymentState::RolledBack | DeploymentState::Reverted | DeploymentState::RollingBack) => RolloutState::RolledBack,
        Some(DeploymentState::Baking | DeploymentState::Deploying | DeploymentState::Validating) => RolloutState::UnderWay,
        _ => RolloutState::Complete,
    }
}

impl From<Answer> for NotDeployed {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Conflict { message } => Self::Overtaken(message),
            Answer::Refused { message } => Self::Refused(message),
            other => Self::Unanswered(Unavailable { what: "put the policy in force", why: format!("{other:?}") }),
        }
    }
}
