//! What a release is checked for before it starts.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

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
        at_least: u32,
    },
    /// A model of Bedrock may be used in this account and Region.
    Model {
        /// The model's id.
        model: String,
    },
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permission { role, action, resource } => write!(f, "{role} may perform {action} on {resource}"),
            Self::Trust { role, service } => write!(f, "{role} trusts {service}"),
            Self::Role { role } => write!(f, "the role {role} is there"),
            Self::Bucket { bucket } => write!(f, "the bucket {bucket} is there"),
            Self::Parameter { parameter } => write!(f, "the parameter {parameter} is there"),
            Self::Secret { secret } => write!(f, "the secret {secret} is there"),
            Self::Bootstrap { parameter, at_least } => write!(f, "the CDK bootstrap version in {parameter} is {at_least} or higher"),
            Self::Model { model } => write!(f, "the model {model} may be used"),
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
        let id = Id::of("preflight.check", &[&need.to_string()]).as_str()[..12].to_owned();
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
