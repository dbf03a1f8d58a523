//! Records of deployments: what CloudFormation, CodePipeline, CodeDeploy and CloudTrail say of a release.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::{action_of, passed_to, prefix_of_source};
use crate::cause::{Cause, Kind, role_of};
use crate::understand::understand;

/// One fact about a release; in the order of time. The same fact told twice is the same record. It names roles, never their sessions: those may be
/// named after people.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Record {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: What,
    /// Which release it is of, as far as its source tells: a stack's operation, a pipeline's execution, a deployment. A
    /// denied call of CloudTrail tells only who called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// What is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Who deploys, where the record tells it: a role's ARN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

impl What {
    /// Why something failed, if it did.
    pub fn cause_mut(&mut self) -> Option<&mut Cause> {
        match self {
            Self::Failed(cause) | Self::Denied(cause) => Some(cause),
            Self::Began | Self::Ended(_) => None,
        }
    }
}

/// What a record tells.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The release began.
    Began,
    /// It ended.
    Ended(Ending),
    /// A part of it failed.
    Failed(Cause),
    /// A call was denied.
    Denied(Cause),
}

/// How a release ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It is deployed.
    Succeeded,
    /// Someone stopped it, or another release took its place.
    Stopped,
    /// It failed.
    Failed,
}

/// Reads an event of EventBridge. Nothing if it says nothing of a release.
///
/// # Errors
/// Which field is missing or wrong.
pub fn from_event(event: &Value) -> Result<Option<Record>, String> {
    let kind = text(event, "/detail-type").ok_or("detail-type is missing; expected an event of EventBridge")?;
    match kind {
        "CloudFormation Stack Status Change" | "CloudFormation Resource Status Change" => cloud_formation(event),
        "CodePipeline Pipeline Execution State Change" | "CodePipeline Action Execution State Change" => code_pipeline(event),
        "CodeDeploy Deployment State-change Notification" => code_deploy(event),
        "AWS API Call via CloudTrail" => from_cloud_trail(event.pointer("/detail").unwrap_or(&Value::Null)),
        _ => Ok(None),
    }
}

/// Reads one of a stack's events, as `DescribeStackEvents` lists them. Nothing if it says only that a part of it goes well.
///
/// # Errors
/// Which field is missing or wrong.
pub fn from_stack_event(event: &Value) -> Result<Option<Record>, String> {
    let field = |name: &str| text(event, &format!("/{name}"));
    let parts = StackEvent {
        stack: field("StackId").ok_or("StackId is missing")?,
        token: field("ClientRequestToken"),
        resource_type: field("ResourceType"),
        resource: field("LogicalResourceId"),
        physical: field("PhysicalResourceId"),
        status: field("ResourceStatus").ok_or("ResourceStatus is missing")?,
        reason: field("ResourceStatusReason"),
        at: time(field("Timestamp"), "Timestamp")?,
    };
    Ok(parts.record())
}

/// Reads a record of CloudTrail: a call that was denied. Nothing if it was not.
///
/// # Errors
/// Which field is missing or wrong.
pub fn from_cloud_trail(record: &Value) -> Result<Option<Record>, String> {
    let Some(cause) = cloud_trail(record)? else { return Ok(None) };
    if !cause.kind.is_denial() {
        return Ok(None);
    }
    let role = cause.principal.as_deref().map(|principal| role_of(principal).unwrap_or_else(|| principal.to_owned()));
    let at = time(text(record, "/eventTime"), "eventTime")?;
    Ok(Some(Record { release: None, service: None, role, at, what: What::Denied(cause.without_session()) }))
}

/// Why a call that CloudTrail recorded failed; nothing if it did not. The call itself names the action where the message
/// does not.
///
/// # Errors
/// Which field is missing.
pub fn cloud_trail(record: &Value) -> Result<Option<Cause>, String> {
    let Some(code) = text(record, "/errorCode") else { return Ok(None) };
    let source = text(record, "/eventSource").ok_or("eventSource is missing")?;
    let name = text(record, "/eventName").ok_or("eventName is missing")?;
    let mut cause = understand(&format!("{code}: {}", text(record, "/errorMessage").unwrap_or_default()));
    if cause.kind.is_denial() {
        cause.action.get_or_insert_with(|| action_of(prefix_of_source(source), name));
        if cause.kind == Kind::OpaqueDenial {
            cause.kind = Kind::MissingPermission;
        }
        if let Some(region) = text(record, "/awsRegion") {
            cause.tell("aws:RequestedRegion", std::iter::once(region));
        }
        if cause.action.as_deref() == Some("iam:PassRole")
            && let Some(service) = passed_to(prefix_of_source(source))
        {
            cause.tell("iam:PassedToService", std::iter::once(service));
        }
        tags(record, &mut cause);
    }
    if cause.principal.is_none() {
        cause.principal = text(record, "/userIdentity/arn").map(str::to_owned);
    }
    Ok(Some(cause))
}

/// The tags that a call asked for, where it lists them under `tags` as most services do.
fn tags(record: &Value, cause: &mut Cause) {
    let mut tell = |key: &str, value: &str| cause.tell(&format!("aws:RequestTag/{key}"), std::iter::once(value));
    match record.pointer("/requestParameters/tags").or_else(|| record.pointer("/requestParameters/Tags")) {
        Some(Value::Object(tags)) => {
            for (key, value) in tags {
                if let Some(value) = value.as_str() {
                    tell(key, value);
                }
            }
        }
        Some(Value::Array(tags)) => {
            for tag in tags {
                let field = |names: [&str; 2]| names.iter().find_map(|name| tag.get(*name)?.as_str());
                if let (Some(key), Some(value)) = (field(["key", "Key"]), field(["value", "Value"])) {
                    tell(key, value);
                }
            }
        }
        _ => {}
    }
}

struct StackEvent<'a> {
    stack: &'a str,
    token: Option<&'a str>,
    resource_type: Option<&'a str>,
    resource: Option<&'a str>,
    physical: Option<&'a str>,
    status: &'a str,
    reason: Option<&'a str>,
    at: Timestamp,
}

fn cloud_formation(event: &Value) -> Result<Option<Record>, String> {
    let field = |name: &str| text(event, &format!("/detail/{name}"));
    let parts = StackEvent {
        stack: field("stack-id").ok_or("detail.stack-id is missing")?,
        token: field("client-request-token"),
        resource_type: field("resource-type"),
        resource: field("logical-resource-id"),
        physical: field("physical-resource-id"),
        status: field("status-details/status").ok_or("detail.status-details.status is missing")?,
        reason: field("status-details/status-reason"),
        at: time(text(event, "/time"), "time")?,
    };
    Ok(parts.record())
}

impl StackEvent<'_> {
    fn record(&self) -> Option<Record> {
        // All events of one operation, those of nested stacks included, carry its token.
        let release = self.token.filter(|token| !token.is_empty()).unwrap_or(self.stack);
        let name = self.stack.split("stack/").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or(self.stack);
        let is_stack = match self.resource_type {
            None => true,
            Some(kind) => {
                kind == "AWS::CloudFormation::Stack"
                    && self.physical.is_none_or(|physical| physical == self.stack || self.resource == Some(name))
            }
        };
        let failed = || {
            let cause = self.reason.map_or(Cause::of(Kind::Other), understand);
            What::Failed(cause.without_session())
        };
        let what = match (is_stack, self.status) {
            (
                true,
                "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "DELETE_COMPLETE" | "IMPORT_COMPLETE" | "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
            ) => What::Ended(Ending::Succeeded),
            (true, "CREATE_IN_PROGRESS" | "UPDATE_IN_PROGRESS" | "DELETE_IN_PROGRESS" | "IMPORT_IN_PROGRESS" | "REVIEW_IN_PROGRESS") => {
                What::Began
            }
            (true, status) if status.ends_with("_COMPLETE") || status.ends_with("ROLLBACK_FAILED") || status == "DELETE_FAILED" => {
                What::Ended(Ending::Failed)
            }
            (true, _) => failed(),
            (false, status) if status.ends_with("_FAILED") => failed(),
            (false, _) => return None,
        };
        Some(Record { release: Some(release.to_owned()), service: Some(name.to_owned()), role: None, at: self.at, what })
    }
}

fn code_pipeline(event: &Value) -> Result<Option<Record>, String> {
    let field = |name: &str| text(event, &format!("/detail/{name}"));
    let pipeline = field("pipeline").ok_or("detail.pipeline is missing")?;
    let execution = field("execution-id").ok_or("detail.execution-id is missing")?;
    let is_action = field("action").is_some();
    let what = match (is_action, field("state").ok_or("detail.state is missing")?) {
        (false, "STARTED" | "RESUMED") | (true, "STARTED") => What::Began,
        (false, "SUCCEEDED") => What::Ended(Ending::Succeeded),
        (false, "FAILED") => What::Ended(Ending::Failed),
        (false, "STOPPED" | "STOPPING" | "SUPERSEDED" | "CANCELED") => What::Ended(Ending::Stopped),
        (true, "FAILED") => {
            let said = [field("execution-result/error-code"), field("execution-result/external-execution-summary")];
            What::Failed(understand(&said.into_iter().flatten().collect::<Vec<_>>().join(": ")).without_session())
        }
        _ => return Ok(None),
    };
    Ok(Some(Record {
        release: Some(format!("{pipeline}/{execution}")),
        service: Some(pipeline.to_owned()),
        role: None,
        at: time(text(event, "/time"), "time")?,
        what,
    }))
}

fn code_deploy(event: &Value) -> Result<Option<Record>, String> {
    let field = |name: &str| text(event, &format!("/detail/{name}"));
    let application = field("application").ok_or("detail.application is missing")?;
    let deployment = field("deploymentId").ok_or("detail.deploymentId is missing")?;
    let what = match field("state").ok_or("detail.state is missing")? {
        "START" | "READY" => What::Began,
        "SUCCESS" => What::Ended(Ending::Succeeded),
        "FAILURE" => What::Ended(Ending::Failed),
        "STOP" => What::Ended(Ending::Stopped),
        _ => return Ok(None),
    };
    Ok(Some(Record {
        release: Some(deployment.to_owned()),
        service: Some(application.to_owned()),
        role: None,
        at: time(text(event, "/time"), "time")?,
        what,
    }))
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

fn time(text: Option<&str>, field: &str) -> Result<Timestamp, String> {
    let text = text.ok_or_else(|| format!("{field} is missing; expected a time such as 2026-01-31T12:00:00Z"))?;
    text.parse().map_err(|_| format!("{field}: {text:?} is not a time; expected one such as 2026-01-31T12:00:00Z"))
}
