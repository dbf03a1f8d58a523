//! The policy from AppConfig.

use std::rc::Rc;
use std::time::{Duration, Instant};

use aws_sdk_appconfigdata::Client;
use aws_types::SdkConfig;
use flywheel_policy::Policy;
use flywheel_ports::Unavailable;
use tokio::sync::Mutex;

use crate::error::unavailable;

/// How old a policy in use may get.
const FRESH: Duration = Duration::from_secs(45);

/// The policy as AppConfig serves it, looked at again after a while.
#[derive(Debug)]
pub struct PolicySource {
    client: Client,
    application: String,
    environment: String,
    profile: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The token for the next question; a token serves once.
    token: Option<String>,
    policy: Option<Rc<Policy>>,
    asked: Option<Instant>,
}

/// There is no policy to go by.
#[derive(Debug, Clone)]
pub enum PolicyUnavailable {
    /// AppConfig did not answer.
    Unanswered(Unavailable),
    /// The first policy it gave is not valid, and there is none to fall back on.
    Invalid(String),
}

impl std::fmt::Display for PolicyUnavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unanswered(error) => error.fmt(f),
            Self::Invalid(problems) => write!(f, "the policy in AppConfig is not valid; deploy a valid one: {problems}"),
        }
    }
}

impl std::error::Error for PolicyUnavailable {}

impl PolicySource {
    /// The policy at the place in AppConfig that the stack's variables name.
    ///
    /// # Errors
    /// That of `variable`, if one is missing.
    pub fn from_variables<E>(config: &SdkConfig, variable: impl Fn(&'static str) -> Result<String, E>) -> Result<Self, E> {
        Ok(Self {
            client: Client::new(config),
            application: variable("FLYWHEEL_POLICY_APPLICATION")?,
            environment: variable("FLYWHEEL_POLICY_ENVIRONMENT")?,
            profile: variable("FLYWHEEL_POLICY_PROFILE")?,
            state: Mutex::default(),
        })
    }

    /// The policy in force. If AppConfig does not answer, or serves one that is not valid, the last good one stays.
    ///
    /// # Errors
    /// If there is no good one yet.
    pub async fn current(&self) -> Result<Rc<Policy>, PolicyUnavailable> {
        let mut state = self.state.lock().await;
        if let (Some(policy), Some(asked)) = (&state.policy, state.asked)
            && asked.elapsed() < FRESH
        {
            return Ok(policy.clone());
        }
        state.asked = Some(Instant::now());
        let fetched = self.fetch(&mut state).await;
        match (fetched, &state.policy) {
            (Ok(Some(text)), last) => match (Policy::parse(&text), last) {
                (Ok(policy), _) => Ok(state.policy.insert(Rc::new(policy)).clone()),
                (Err(problems), Some(last)) => {
                    tracing::error!(%problems, "the new policy is not valid; the last good one stays in force");
                    Ok(last.clone())
                }
                (Err(problems), None) => {
                    // AppConfig gives a text once for a session: the next question needs a new one.
                    state.token = None;
                    Err(PolicyUnavailable::Invalid(problems.to_string()))
                }
            },
            (Ok(None), Some(last)) => Ok(last.clone()),
            (Ok(None), None) => Err(PolicyUnavailable::Invalid("it is empty".to_owned())),
            (Err(error), Some(last)) => {
                tracing::warn!(%error, "the last good policy stays in force");
                Ok(last.clone())
            }
            (Err(error), None) => Err(PolicyUnavailable::Unanswered(error)),
        }
    }

    /// The text that is served at this moment, valid or not.
    ///
    /// # Errors
    /// If AppConfig does not answer, or serves nothing.
    pub async fn served(&self) -> Result<String, PolicyUnavailable> {
        let text = self.fetch(&mut State::default()).await.map_err(PolicyUnavailable::Unanswered)?;
        text.ok_or_else(|| PolicyUnavailable::Invalid("it is empty".to_owned()))
    }

    /// The text, or nothing if it is the one served last.
    async fn fetch(&self, state: &mut State) -> Result<Option<String>, Unavailable> {
        let token = match state.token.take() {
            Some(token) => token,
            None => self
                .client
                .start_configuration_session()
                .application_identifier(&self.application)
                .environment_identifier(&self.environment)
                .configuration_profile_identifier(&self.profile)
                .send()
                .await
                .map_err(unavailable("ask AppConfig for a session"))?
                .initial_configuration_token
                .unwrap_or_default(),
        };
        let answer = self
            .client
            .get_latest_configuration()
            .configuration_token(token)
            .send()
            .await
            .map_err(unavailable("ask AppConfig for the policy"))?;
        state.token = answer.next_poll_configuration_token;
        let bytes = answer.configuration.map(aws_smithy_types::Blob::into_inner).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(None);
        }
        String::from_utf8(bytes).map(Some).map_err(|error| Unavailable { what: "read the policy", why: error.to_string() })
    }
}
