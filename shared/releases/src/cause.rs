//! Why a release failed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What kind of cause it is: who can mend it, and whether a check before the release could have told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// No identity-based policy allows the action: granting it helps.
    MissingPermission,
    /// A policy denies the action, or an organisation's policy does not allow it: granting it does not help.
    ExplicitDeny,
    /// A permissions boundary or a session policy does not allow the action.
    BoundaryDeny,
    /// The policy of the resource, or of the endpoint on the way to it, does not allow the action.
    ResourcePolicy,
    /// A role does not trust who wants to assume it.
    TrustPolicy,
    /// Denied, and the text names no action.
    OpaqueDenial,
    /// The account may not use a Bedrock model.
    ModelAccess,
    /// Something that has to be there before the release is not.
    MissingPrerequisite,
    /// A quota of the account is used up.
    Quota,
    /// Too many requests at once: the same request later is accepted.
    Throttling,
    /// Something is there already, in use, or being changed by someone else.
    Conflict,
    /// The request or the template is wrong.
    InvalidRequest,
    /// The credentials are missing, wrong or expired.
    BadCredentials,
    /// It failed only because something before it did.
    Cascade,
    /// None of these.
    Other,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 15] = [
        Self::MissingPermission,
        Self::ExplicitDeny,
        Self::BoundaryDeny,
        Self::ResourcePolicy,
        Self::TrustPolicy,
        Self::OpaqueDenial,
        Self::ModelAccess,
        Self::MissingPrerequisite,
        Self::Quota,
        Self::Throttling,
        Self::Conflict,
        Self::InvalidRequest,
        Self::BadCredentials,
        Self::Cascade,
        Self::Other,
    ];

    /// Its name, as it is stored and counted.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MissingPermission => "missing_permission",
            Self::ExplicitDeny => "explicit_deny",
            Self::BoundaryDeny => "boundary_deny",
            Self::ResourcePolicy => "resource_policy",
            Self::TrustPolicy => "trust_policy",
            Self::OpaqueDenial => "opaque_denial",
            Self::ModelAccess => "model_access",
            Self::MissingPrerequisite => "missing_prerequisite",
            Self::Quota => "quota",
            Self::Throttling => "throttling",
            Self::Conflict => "conflict",
            Self::InvalidRequest => "invalid_request",
            Self::BadCredentials => "bad_credentials",
            Self::Cascade => "cascade",
            Self::Other => "other",
        }
    }

    /// Whether access was denied.
    #[must_use]
    pub const fn is_denial(self) -> bool {
        matches!(
            self,
            Self::MissingPermission
                | Self::ExplicitDeny
                | Self::BoundaryDeny
                | Self::ResourcePolicy
                | Self::TrustPolicy
                | Self::OpaqueDenial
        )
    }

    /// Whether looking at the account before the release could have told: a permission or a prerequisite was missing.
    #[must_use]
    pub const fn is_preventable(self) -> bool {
        self.is_denial() || matches!(self, Self::ModelAccess | Self::MissingPrerequisite | Self::Quota)
    }

    /// Whether it may stand for why a release failed, rather than for what came of it.
    #[must_use]
    pub const fn is_root(self) -> bool {
        !matches!(self, Self::Cascade)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// One cause, as far as the evidence tells it. What the evidence does not name is not there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cause {
    /// What kind of cause.
    pub kind: Kind,
    /// Who was denied: an ARN, or what the text calls the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The IAM action that was denied: `iam:PassRole`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// What it was denied on, or what is missing, is there already, or is full: an ARN or a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// An encoded authorization message, which STS can decode for whoever may ask it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoded: Option<String>,
    /// The quota that is used up, as service and code: `vpc/L-F678F1CE`, `iam/Roles`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<String>,
    /// The lowest version of what is missing that would have done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// What the denied request told for conditions to compare, as far as the evidence has it and it is the same in the next
    /// release: `iam:PassedToService`, `aws:RequestedRegion`, `aws:TagKeys`, `aws:RequestTag/…`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<String, Vec<String>>,
}

/// Values of one key of a request's context that are kept, and bytes of each: IAM takes 256 bytes of a tag's value.
const VALUES: usize = 20;
const VALUE: usize = 256;

impl Cause {
    /// A cause of which nothing but its kind is known.
    #[must_use]
    pub const fn of(kind: Kind) -> Self {
        Self { kind, principal: None, action: None, resource: None, encoded: None, quota: None, version: None, context: BTreeMap::new() }
    }

    /// With the role in place of its session, which may be named after a person.
    #[must_use]
    pub fn without_session(mut self) -> Self {
        self.principal = self.principal.map(|principal| role_of(&principal).unwrap_or(principal));
        self
    }

    /// Takes in what STS made of the encoded message: the principal, the action, the resource, and whether a policy
    /// denies it. What STS does not tell stays as it was.
    #[must_use]
    pub fn decoded(mut self, message: &str) -> Self {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(message) else { return self };
        let text = |pointer: &str| message.pointer(pointer).and_then(serde_json::Value::as_str).map(str::to_owned);
        if let Some(action) = text("/context/action") {
            self.action = Some(action);
            self.kind = match message.get("explicitDeny") {
                Some(serde_json::Value::Bool(true)) => Kind::ExplicitDeny,
                _ => Kind::MissingPermission,
            };
        }
        self.principal = text("/context/principal/arn").or(self.principal);
        self.resource = text("/context/resource").or(self.resource);
        let items = |value: &serde_json::Value| value.pointer("/items").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
        for condition in message.pointer("/context/conditions").map(items).unwrap_or_default() {
            let Some(key) = condition.get("key").and_then(serde_json::Value::as_str) else { continue };
            let values = condition.get("values").map(items).unwrap_or_default();
            self.tell(key, values.iter().filter_map(|value| value.get("value")?.as_str()));
        }
        self.encoded = None;
        self
    }

    /// Takes in what the denied request told under a key, if the next release will tell it again. Who called, from where and
    /// when is passed over, and so is a value that may be a person's address.
    pub(crate) fn tell<'v>(&mut self, key: &str, values: impl Iterator<Item = &'v str>) {
        const KEPT: &[&str] = &["iam:PassedToService", "aws:RequestedRegion", "aws:TagKeys"];
        let known = KEPT.iter().find(|kept| kept.eq_ignore_ascii_case(key)).map(|kept| (*kept).to_owned());
        let tag =
            || key.get(..15).filter(|head| head.eq_ignore_ascii_case("aws:RequestTag/")).map(|_| format!("aws:RequestTag/{}", &key[15..]));
        let Some(key) = known.or_else(tag) else { return };
        let fits = |value: &&str| !value.is_empty() && value.len() <= VALUE && !value.contains('@');
        let values: Vec<String> = values.filter(fits).take(VALUES).map(str::to_owned).collect();
        if !values.is_empty() && key.len() <= VALUE && self.context.len() < VALUES {
            self.context.insert(key, values);
        }
    }

    /// What would mend it, in a sentence.
    #[must_use]
    pub fn fix(&self) -> String {
        let who =
            self.principal.as_deref().map_or("who deploys".to_owned(), |principal| role_of(principal).unwrap_or(principal.to_owned()));
        let action = self.action.as_deref().unwrap_or("the denied action");
        let on = self.resource.as_deref().map(|resource| format!(" on {resource}")).unwrap_or_default();
        let what = self.resource.as_deref().unwrap_or("what the message names");
        match self.kind {
            Kind::MissingPermission => format!("allow {who} to perform {action}{on}"),
            Kind::ExplicitDeny => format!(
                "granting {action} to {who} will not help: find the Deny in its policies, in the service control policies of the account or in the resource's policy{on}"
            ),
            Kind::BoundaryDeny => {
                format!("granting {action} to {who} will not help: its permissions boundary or session policy has to allow it too")
            }
            Kind::ResourcePolicy => format!("granting {action} to {who} will not help: the policy of the resource{on} has to allow it"),
            Kind::TrustPolicy => format!("let the trust policy of the role{on} name who is to assume it"),
            Kind::OpaqueDenial => "the message names no action: find the denied call in CloudTrail at that time".to_owned(),
            Kind::ModelAccess => "ask for access to the model in this account and Region".to_owned(),
            Kind::MissingPrerequisite => format!("make {what} before the release"),
            Kind::Quota => format!("free or raise the quota of {}", self.quota.as_deref().unwrap_or(what)),
            Kind::Throttling => "release again, with fewer requests at once".to_owned(),
            Kind::Conflict => format!("remove or import {what}, or wait until nobody else changes it"),
            Kind::InvalidRequest => "correct the template or the request".to_owned(),
            Kind::BadCredentials => "give the pipeline valid credentials".to_owned(),
            Kind::Cascade => "mend what failed first".to_owned(),
            Kind::Other => "read the message".to_owned(),
        }
    }
}

/// The role of an assumed role's session: what a policy can be attached to.
#[must_use]
pub fn role_of(principal: &str) -> Option<String> {
    let (head, rest) = principal.split_once(":sts::")?;
    let (account, rest) = rest.split_once(":assumed-role/")?;
    let name = rest.split('/').next().filter(|name| !name.is_empty())?;
    Some(format!("{head}:iam::{account}:role/{name}"))
}
