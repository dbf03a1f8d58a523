//! The settings that hold limits: Parameter Store, `AppConfig`, Lambda and SQS.
//!
//! Each is read, compared with what is expected, and written in the way that notices another writer, where the service has
//! one: a version number (`AppConfig`) or a revision (Lambda). Parameter Store and SQS have none; there a writer between the
//! two requests is overwritten.

use aws_sdk_appconfig::primitives::Blob;
use aws_sdk_sqs::types::QueueAttributeName;
use aws_sdk_ssm::types::ParameterType;
use aws_types::SdkConfig;
use flywheel_engine::timeouts::value;
use flywheel_model::{Answer, Limit, Setting, SettingChange, TimeoutAnswer};
use flywheel_ports::{NoAnswer, Settings, Unavailable};

use crate::error::{answer, no_answer};

/// The settings in AWS.
#[derive(Debug, Clone)]
pub struct AwsSettings {
    parameters: aws_sdk_ssm::Client,
    configurations: aws_sdk_appconfig::Client,
    served: aws_sdk_appconfigdata::Client,
    functions: aws_sdk_lambda::Client,
    queues: aws_sdk_sqs::Client,
}

/// What stands in a setting, with what tells whether it still does when it is written.
struct Found {
    limit: Limit,
    /// The whole text, of settings that are one.
    text: String,
    /// The revision of a function, or the kind of a parameter.
    mark: Option<String>,
}

impl AwsSettings {
    /// With the SDK's configuration.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            parameters: aws_sdk_ssm::Client::new(config),
            configurations: aws_sdk_appconfig::Client::new(config),
            served: aws_sdk_appconfigdata::Client::new(config),
            functions: aws_sdk_lambda::Client::new(config),
            queues: aws_sdk_sqs::Client::new(config),
        }
    }

    async fn find(&self, setting: &Setting) -> Result<Found, NoAnswer> {
        match setting {
            Setting::Parameter { name, field } => {
                let found = self.parameters.get_parameter().name(name).send().await.map_err(|error| no_answer(&error))?;
                let parameter = found.parameter.ok_or_else(|| NoAnswer::Later("the answer names no parameter".to_owned()))?;
                if parameter.r#type == Some(ParameterType::SecureString) {
                    return Err(NoAnswer::Refused("it is a SecureString; a limit is no secret: use a String".to_owned()));
                }
                let text = parameter.value.unwrap_or_default();
                let mark = parameter.r#type.map(|kind| kind.as_str().to_owned());
                Ok(Found { limit: value::read(&text, field.as_deref()).map_err(NoAnswer::Refused)?, text, mark })
            }
            Setting::AppConfig { application, environment, profile, field, .. } => {
                let session = self
                    .served
                    .start_configuration_session()
                    .application_identifier(application)
                    .environment_identifier(environment)
                    .configuration_profile_identifier(profile);
                let token = session.send().await.map_err(|error| no_answer(&error))?.initial_configuration_token.unwrap_or_default();
                let latest = self.served.get_latest_configuration().configuration_token(token).send().await;
                let bytes = latest.map_err(|error| no_answer(&error))?.configuration.map(Blob::into_inner).unwrap_or_default();
                let text = String::from_utf8(bytes).map_err(|error| NoAnswer::Refused(format!("it is no text: {error}")))?;
                Ok(Found { limit: value::read(&text, field.as_deref()).map_err(NoAnswer::Refused)?, text, mark: None })
            }
            Setting::FunctionTimeout { function } => {
                let found = self.functions.get_function_configuration().function_name(function).send().await;
                let found = found.map_err(|error| no_answer(&error))?;
                let seconds = found.timeout.ok_or_else(|| NoAnswer::Later("the answer names no timeout".to_owned()))?;
                Ok(Found { limit: Limit::of(f64::from(seconds)), text: String::new(), mark: found.revision_id })
            }
            Setting::QueueVisibility { queue } => {
                let url = self.queue_url(queue).await?;
                let wanted = QueueAttributeName::VisibilityTimeout;
                let found = self.queues.get_queue_attributes().queue_url(&url).attribute_names(wanted.clone()).send().await;
                let attributes = found.map_err(|error| no_answer(&error))?.attributes.unwrap_or_default();
                let text = attributes.get(&wanted).cloned().unwrap_or_default();
                Ok(Found { limit: value::read(&text, None).map_err(NoAnswer::Refused)?, text: url, mark: None })
            }
        }
    }

    async fn queue_url(&self, queue: &str) -> Result<String, NoAnswer> {
        let answer = self.queues.get_queue_url().queue_name(queue).send().await.map_err(|error| no_answer(&error))?;
        answer.queue_url.ok_or_else(|| NoAnswer::Later("the answer names no queue".to_owned()))
    }

    async fn write(&self, change: &SettingChange, found: Found) -> Result<(), Answer> {
        match &change.setting {
            Setting::Parameter { name, field } => {
                let text = value::write(&found.text, field.as_deref(), &change.to).map_err(|message| Answer::Refused { message })?;
                let kind = found.mark.as_deref().map(ParameterType::from);
                let put = self.parameters.put_parameter().name(name).value(text).set_type(kind).overwrite(true);
                put.send().await.map(drop).map_err(|error| answer(&error))
            }
            Setting::AppConfig { application, environment, profile, strategy, field } => {
                let text = value::write(&found.text, field.as_deref(), &change.to).map_err(|message| Answer::Refused { message })?;
                let versions = self
                    .configurations
                    .list_hosted_configuration_versions()
                    .application_id(application)
                    .configuration_profile_id(profile)
                    .send()
                    .await
                    .map_err(|error| answer(&error))?;
                let latest = versions.items.unwrap_or_default().into_iter().max_by_key(|version| version.version_number);
                let kind = latest.as_ref().and_then(|version| version.content_type.clone());
                let version = self
                    .configurations
                    .create_hosted_configuration_version()
                    .application_id(application)
                    .configuration_profile_id(profile)
                    .description(format!("Flywheel: from {} to {}", change.from, change.to))
                    .content_type(kind.unwrap_or_else(|| "application/json".to_owned()))
                    .content(Blob::new(text))
                    .set_latest_version_number(latest.map(|version| version.version_number))
                    .send()
                    .await
                    .map_err(|error| answer(&error))?
                    .version_number;
                self.configurations
                    .start_deployment()
                    .application_id(application)
                    .environment_id(environment)
                    .configuration_profile_id(profile)
                    .deployment_strategy_id(strategy)
                    .configuration_version(version.to_string())
                    .send()
                    .await
                    .map(drop)
                    .map_err(|error| answer(&error))
            }
            Setting::FunctionTimeout { function } => {
                let update = self.functions.update_function_configuration().function_name(function).timeout(whole(change.to.seconds));
                update.set_revision_id(found.mark).send().await.map(drop).map_err(|error| answer(&error))
            }
            Setting::QueueVisibility { .. } => {
                let seconds = whole(change.to.seconds).to_string();
                let set =
                    self.queues.set_queue_attributes().queue_url(found.text).attributes(QueueAttributeName::VisibilityTimeout, seconds);
                set.send().await.map(drop).map_err(|error| answer(&error))
            }
        }
    }
}

impl Settings for AwsSettings {
    async fn present(&self, setting: &Setting) -> Result<Limit, NoAnswer> {
        Ok(self.find(setting).await?.limit)
    }

    async fn set(&self, change: &SettingChange) -> Result<TimeoutAnswer, Unavailable> {
        let found = match self.find(&change.setting).await {
            Ok(found) => found,
            Err(NoAnswer::Refused(why)) => return Ok(TimeoutAnswer::Refused(format!("{}: {why}", change.setting))),
            Err(NoAnswer::Later(why)) => return Err(Unavailable { what: "read a setting", why }),
        };
        if found.limit == change.to {
            return Ok(TimeoutAnswer::Made);
        }
        if found.limit != change.from {
            let told = format!("{} stands at {}, and {} was expected", change.setting, found.limit, change.from);
            return Ok(TimeoutAnswer::ChangedMeanwhile(told));
        }
        match self.write(change, found).await {
            Ok(()) => Ok(TimeoutAnswer::Made),
            Err(Answer::Refused { message }) => Ok(TimeoutAnswer::Refused(format!("{}: {message}", change.setting))),
            // Also what somebody else changes at this moment: it is looked at anew.
            Err(other) => Err(Unavailable { what: "change a setting", why: format!("{}: {other:?}", change.setting) }),
        }
    }
}

/// Whole seconds, rounded up.
#[allow(clippy::cast_possible_truncation, reason = "a limit is at most 43,200 s")]
fn whole(seconds: f64) -> i32 {
    seconds.ceil() as i32
}
