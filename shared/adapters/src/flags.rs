//! The application's feature flags in `AppConfig`.
//!
//! They are read as hosted versions: what an application retrieves through an SDK has no variants in it (AWS AppConfig User
//! Guide, "Creating multi-variant feature flags"). Two writers are told apart by the latest version's number.

use aws_sdk_appconfig::Client;
use aws_sdk_appconfig::primitives::Blob;
use aws_sdk_appconfig::types::DeploymentState;
use flywheel_engine::experiments::{FlagChange, Flags, Rollout, RolloutState};
use flywheel_model::Answer;
use flywheel_policy::FlagPlace;
use flywheel_ports::{FeatureFlags, FlagAnswer, NoAnswer, Unavailable};

use crate::error::{answer, no_answer, unavailable};

/// Deployments of the environment that are looked through for the latest of our profile.
const LOOKED_THROUGH: i32 = 20;

/// Feature flags in `AppConfig`.
#[derive(Debug, Clone)]
pub struct AppConfigFlags {
    client: Client,
}

/// What deployments say.
struct Deployed {
    rollout: Option<Rollout>,
    /// The version that is served, or on its way to be.
    version: Option<i32>,
}

impl AppConfigFlags {
    /// With the SDK's configuration.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }

    async fn latest(&self, place: &FlagPlace) -> Result<i32, NoAnswer> {
        let list = self.client.list_hosted_configuration_versions().application_id(&place.application);
        let list = list.configuration_profile_id(&place.profile).into_paginator().items().send();
        let versions = list.collect::<Result<Vec<_>, _>>().await.map_err(|error| no_answer(&error))?;
        Ok(versions.into_iter().map(|version| version.version_number).max().unwrap_or_default())
    }

    async fn deployed(&self, place: &FlagPlace) -> Result<Deployed, NoAnswer> {
        let list = self.client.list_deployments().application_id(&place.application).environment_id(&place.environment);
        let list = list.max_results(LOOKED_THROUGH).send().await.map_err(|error| no_answer(&error))?;
        let mut deployments = list.items.unwrap_or_default();
        deployments.sort_by_key(|deployment| std::cmp::Reverse(deployment.deployment_number));
        let mut deployed = Deployed { rollout: None, version: None };
        for summary in deployments {
            let number = summary.deployment_number;
            let get = self.client.get_deployment().application_id(&place.application).environment_id(&place.environment);
            let found = get.deployment_number(number).send().await.map_err(|error| no_answer(&error))?;
            let ours = found.configuration_profile_id.as_deref() == Some(place.profile.as_str());
            let state = match found.state {
                Some(DeploymentState::Baking | DeploymentState::Deploying | DeploymentState::RollingBack | DeploymentState::Validating) => {
                    RolloutState::UnderWay
                }
                Some(DeploymentState::RolledBack | DeploymentState::Reverted) if ours => RolloutState::RolledBack,
                _ => RolloutState::Complete,
            };
            deployed.rollout.get_or_insert(Rollout { number, state });
            if ours && state != RolloutState::RolledBack && found.state != Some(DeploymentState::RollingBack) {
                deployed.version = found.configuration_version.and_then(|version| version.parse().ok());
                break;
            }
        }
        Ok(deployed)
    }

    async fn document(&self, place: &FlagPlace, version: i32) -> Result<String, NoAnswer> {
        let get = self.client.get_hosted_configuration_version().application_id(&place.application);
        let found = get.configuration_profile_id(&place.profile).version_number(version).send().await;
        let bytes = found.map_err(|error| no_answer(&error))?.content.map(Blob::into_inner).unwrap_or_default();
        String::from_utf8(bytes).map_err(|error| NoAnswer::Refused(format!("version {version} is no text: {error}")))
    }
}

impl FeatureFlags for AppConfigFlags {
    async fn flags(&self, place: &FlagPlace) -> Result<Flags, NoAnswer> {
        // The latest version before all else: a change that rests on what is read after it is refused if another came since.
        let latest = self.latest(place).await?;
        let Deployed { rollout, version } = self.deployed(place).await?;
        // Never deployed: what is there is the best that is known.
        let version = version.unwrap_or(latest);
        let document = if version == 0 { String::new() } else { self.document(place, version).await? };
        let environment = self.client.get_environment().application_id(&place.application).environment_id(&place.environment);
        let environment = environment.send().await.map_err(|error| no_answer(&error))?;
        let guarded = !environment.monitors.unwrap_or_default().is_empty();
        Ok(Flags { latest, version, document, rollout, guarded })
    }

    async fn change(&self, place: &FlagPlace, change: &FlagChange) -> Result<FlagAnswer, Unavailable> {
        let refused = |error: Answer| match error {
            Answer::Refused { message } => Ok(FlagAnswer::Refused(message)),
            Answer::Conflict { message } | Answer::Throttled { message } => Ok(FlagAnswer::Busy(message)),
            other => Err(Unavailable { what: "change the flags", why: format!("{other:?}") }),
        };
        let create = self.client.create_hosted_configuration_version().application_id(&place.application);
        let create = create
            .configuration_profile_id(&place.profile)
            .description(format!("Flywheel: {}", change.experiment))
            .content_type("application/json")
            .content(Blob::new(change.document.clone()))
            .set_latest_version_number((change.latest > 0).then_some(change.latest));
        let version = match create.send().await {
            Ok(created) => created.version_number,
            Err(error) => return refused(answer(&error)),
        };
        let start = self.client.start_deployment().application_id(&place.application).environment_id(&place.environment);
        let start = start
            .configuration_profile_id(&place.profile)
            .deployment_strategy_id(&change.strategy)
            .configuration_version(version.to_string())
            .description(format!("Flywheel: {}", change.experiment));
        match start.send().await {
            Ok(started) => Ok(FlagAnswer::Made(version, started.deployment_number)),
            Err(error) => refused(answer(&error)),
        }
    }

    async fn halt(&self, place: &FlagPlace, deployment: i32) -> Result<(), Unavailable> {
        let stop = self.client.stop_deployment().application_id(&place.application).environment_id(&place.environment);
        let stop = stop.deployment_number(deployment).allow_revert(true).send().await;
        match stop {
            Ok(_) => Ok(()),
            // It ended meanwhile.
            Err(error) if matches!(answer(&error), Answer::Refused { .. }) => Ok(()),
            Err(error) => Err(unavailable("stop a deployment")(error)),
        }
    }
}
