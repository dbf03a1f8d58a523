//! What a release is checked for before it starts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::Id;

/// One thing that a release needs and that can be looked up without changing anything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Need {
    /// A role (or user) may perform an action.
    Permission {
        /// The ARN of who deploys.
        role: String,
        /// The IAM action.
        action: String,
        /// What on: an ARN, in which `*` stands for any text, or `*`.
        resource: String,
        /// What IAM is told of the request beside these, for conditions to compare: values by their key, such as
        /// `iam:PassedToService`.
        #[serde(default, deserialize_with = "context", skip_serializing_if = "BTreeMap::is_empty")]
        context: BTreeMap<String, Vec<String>>,
    },
    /// A role is there and trusts a service.
    Trust {
        /// The role's ARN.
        role: String,
        /// The service, as policies name it: `lambda.amazonaws.com`.
        service: String,
    },
    /// A role is there.
    Role {
        /// The role's ARN.
        role: String,
    },
    /// A bucket is there.
    Bucket {
        /// The bucket's name.
        bucket: String,
    },
    /// A parameter of the SSM Parameter Store is there.
    Parameter {
        /// Its name.
        parameter: String,
    },
    /// A secret of Secrets Manager is there.
    Secret {
        /// Its name or ARN.
        secret: String,
    },
    /// The account is bootstrapped for the AWS CDK.
    Bootstrap {
        /// The parameter that has the version: `/cdk-bootstrap/hnb659fds/version`.
        parameter: String,
        /// The lowest version that will do.
        #[serde(deserialize_with = "whole")]
        at_least: u32,
    },
    /// A model of Bedrock may be used in this account and Region.
    Model {
        /// The model's id.
        model: String,
    },
    /// A quota of the account has room.
    Quota {
        /// The service's code in Service Quotas: `cloudformation`; or `iam`.
        service: String,
        /// The quota's code there: `L-0485CB21`; of `iam` what its account summary counts: `Roles`.
        quota: String,
        /// How much of it has to be free, from 1.
        #[serde(default = "one", deserialize_with = "whole")]
        room: u32,
    },
}

impl Need {
    /// A permission that no condition is told anything for.
    #[must_use]
    pub fn permission(role: impl Into<String>, action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self::Permission { role: role.into(), action: action.into(), resource: resource.into(), context: BTreeMap::new() }
    }

    /// The same, whatever IAM is told of the request: what tells needs apart.
    #[must_use]
    pub fn without_context(&self) -> Self {
        match self {
            Self::Permission { role, action, resource, .. } => Self::permission(role, action, resource),
            other => other.clone(),
        }
    }
}

fn one() -> u32 {
    1
}

/// A number of 32 bits, also where JSON keeps numbers as they were written: within a tagged type those come as a map.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    let whole = number.as_u64().and_then(|number| u32::try_from(number).ok());
    whole.ok_or_else(|| serde::de::Error::custom(format!("{number} is not a whole number from 0 to {}", u32::MAX)))
}

/// Values by key; a single one may be written without brackets.
fn context<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Values {
        One(String),
        Many(Vec<String>),
    }
    let written = BTreeMap::<String, Values>::deserialize(deserializer)?;
    let many = |values| match values {
        Values::One(value) => vec![value],
        Values::Many(values) => values,
    };
    Ok(written.into_iter().map(|(key, values)| (key, many(values))).collect())
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permission { role, action, resource, context } => {
                write!(f, "{role} may perform {action} on {resource}")?;
                let told: Vec<String> = context.iter().map(|(key, values)| format!("{key} = {}", values.join(", "))).collect();
                if told.is_empty() { Ok(()) } else { write!(f, " where {}", told.join(" and ")) }
            }
            Self::Trust { role, service } => write!(f, "{role} trusts {service}"),
            Self::Role { role } => write!(f, "the role {role} is there"),
            Self::Bucket { bucket } => write!(f, "the bucket {bucket} is there"),
            Self::Parameter { parameter } => write!(f, "the parameter {parameter} is there"),
            Self::Secret { secret } => write!(f, "the secret {secret} is there"),
            Self::Bootstrap { parameter, at_least } => write!(f, "the CDK bootstrap version in {parameter} is {at_least} or higher"),
            Self::Model { model } => write!(f, "the model {model} may be used"),
            Self::Quota { service, quota, room } => write!(f, "the quota {quota} of {service} has room for {room}"),
        }
    }
}

/// A check before releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreflightCheck {
    /// Tells it from all others: 12 hexadecimal digits for one that Flywheel learned, any name for one that a person wrote.
    pub id: String,
    /// What it checks.
    pub need: Need,
    /// The services before whose releases it is made; empty for all.
    pub services: BTreeSet<String>,
}

impl PreflightCheck {
    /// A check that Flywheel learned.
    #[must_use]
    pub fn learned(need: Need, services: BTreeSet<String>) -> Self {
        let id = Id::of("preflight.check", &[&need.without_context().to_string()]).as_str()[..12].to_owned();
        Self { id, need, services }
    }

    /// Whether it is made before a release of a service.
    #[must_use]
    pub fn concerns(&self, service: &str) -> bool {
        self.services.is_empty() || self.services.contains(service)
    }
}

/// What a check would have done to the releases of the past.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backtest {
    /// Releases that ended, of those that it concerns.
    pub releases: u32,
    /// Failed releases that it would have stopped before they began.
    pub caught: u32,
    /// Good releases that it would have stopped.
    pub blocked: u32,
}

/// A complete action: the checks file gets a check, or no longer makes one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreflightChange {
    /// The check.
    pub check: PreflightCheck,
    /// Whether it is added; otherwise it is retired.
    pub added: bool,
    /// Why, with the numbers.
    pub reason: String,
    /// What it would have done.
    pub backtest: Backtest,
    /// Decided only: the policy says dry run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// A reasoned "no check now".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreflightHold {
    /// Why, with the numbers.
    pub reason: String,
    /// Releases that ended in the time that is looked at.
    pub releases: u32,
    /// Of those, the failures that a look at the account could have told.
    pub preventable: u32,
}

/// The checks file was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreflightReceipt {
    /// The bucket's object.
    pub object: String,
    /// Its entity tag.
    pub etag: String,
    /// The checks that were added and retired.
    pub changed: Vec<String>,
}

/// The checks were made before a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreflightRun {
    /// What is about to be released.
    pub service: String,
    /// How many checks were passed.
    pub passed: u32,
    /// The checks that failed.
    pub failed: Vec<String>,
    /// The checks that could not be made.
    pub unable: Vec<String>,
    /// Whether the release may start.
    pub may_start: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_read_back_with_its_numbers_and_its_context() {
        let context = BTreeMap::from([("iam:PassedToService".to_owned(), vec!["lambda.amazonaws.com".to_owned()])]);
        for need in [
            Need::Bootstrap { parameter: "/cdk-bootstrap/abc/version".to_owned(), at_least: 6 },
            Need::Quota { service: "vpc".to_owned(), quota: "L-F678F1CE".to_owned(), room: 2 },
            Need::Permission { role: "r".to_owned(), action: "iam:PassRole".to_owned(), resource: "*".to_owned(), context },
        ] {
            let text = serde_json::to_string(&need).expect("JSON");
            assert_eq!(serde_json::from_str::<Need>(&text).expect(&text), need);
        }
        let one = r#"{"what":"permission","role":"r","action":"a:B","resource":"*","context":{"aws:RequestTag/team":"a"}}"#;
        let need: Need = serde_json::from_str(one).expect("a single value");
        assert_eq!(need.to_string(), "r may perform a:B on * where aws:RequestTag/team = a");
        let wrong = r#"{"what":"quota","service":"vpc","quota":"L-1","room":-1}"#;
        assert!(serde_json::from_str::<Need>(wrong).expect_err("below nothing").to_string().contains("-1 is not a whole number"));
    }

    #[test]
    fn what_iam_is_told_of_the_request_makes_no_other_check() {
        let need = Need::permission("r", "iam:PassRole", "*");
        let Need::Permission { role, action, resource, .. } = need.clone() else { unreachable!("a permission") };
        let context = BTreeMap::from([("aws:RequestedRegion".to_owned(), vec!["eu-west-1".to_owned()])]);
        let told = Need::Permission { role, action, resource, context };
        assert_eq!(PreflightCheck::learned(told, BTreeSet::new()).id, PreflightCheck::learned(need, BTreeSet::new()).id);
    }
}
