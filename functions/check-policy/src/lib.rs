//! AppConfig's validator: no policy that does not parse is ever in force, whoever deploys it and with whatever tool.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flywheel_policy::Policy;
use serde::Deserialize;

/// A version that is to be deployed, as AppConfig hands it over
/// (<https://docs.aws.amazon.com/appconfig/latest/userguide/appconfig-creating-configuration-and-profile-validators.html>).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proposed {
    /// AppConfig's number of the version.
    pub configuration_version: String,
    /// Its bytes, in base64.
    pub content: String,
}

/// The version of a valid policy: the first digits of its file's SHA-256.
///
/// # Errors
/// Every problem, each with its line, field, value and fix.
pub fn check(proposed: &Proposed) -> Result<String, String> {
    let bytes = STANDARD.decode(&proposed.content).map_err(|error| format!("content is not base64: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|error| format!("the policy is not UTF-8: {error}"))?;
    Policy::parse(&text).map(|policy| policy.version).map_err(|problems| problems.to_string())
}
