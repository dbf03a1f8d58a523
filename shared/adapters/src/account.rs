//! Looks at the account for what releases need. Every request here reads: no value of a parameter or secret is asked for but
//! the version of the CDK's bootstrap.

use std::collections::BTreeMap;

use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, EvaluationResult, PolicyEvaluationDecisionType as Decision};
use aws_sdk_ssm::types::ParameterStringFilter;
use aws_types::SdkConfig;
use flywheel_engine::preflight::Answer;
use flywheel_model::Need;
use flywheel_ports::Surroundings;
use futures::StreamExt;

use crate::error::described;
use crate::quotas::Quotas;
use crate::s3;

/// Requests at the same time: few enough for IAM's rates, since the SDK waits and tries again where it is throttled.
const AT_ONCE: usize = 8;

/// Actions in one simulation.
const ACTIONS: usize = 50;

/// The account that the configuration points to.
#[derive(Debug, Clone)]
pub struct AwsAccount {
    iam: aws_sdk_iam::Client,
    ssm: aws_sdk_ssm::Client,
    secrets: aws_sdk_secretsmanager::Client,
    bedrock: aws_sdk_bedrock::Client,
    s3: aws_sdk_s3::Client,
    quotas: Quotas,
    region: Option<String>,
}

/// What IAM is told of a request: values by their key.
type Context = BTreeMap<String, Vec<String>>;

/// Needs that one request answers: those of one role on one resource in the same context, or a single one of another kind.
enum Question<'a> {
    Permissions { role: &'a str, resource: &'a str, context: Context, actions: Vec<(usize, &'a str)> },
    Other(usize, &'a Need),
}

impl AwsAccount {
    /// With the SDK's configuration.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            iam: aws_sdk_iam::Client::new(config),
            ssm: aws_sdk_ssm::Client::new(config),
            secrets: aws_sdk_secretsmanager::Client::new(config),
            bedrock: aws_sdk_bedrock::Client::new(config),
            s3: s3::client(config),
            quotas: Quotas::new(config),
            region: config.region().map(|region| region.as_ref().to_owned()),
        }
    }

    async fn ask(&self, question: Question<'_>) -> Vec<(usize, Answer)> {
        match question {
            Question::Permissions { role, resource, context, actions } => self.permissions(role, resource, &context, &actions).await,
            Question::Other(place, need) => vec![(place, self.other(need).await.unwrap_or_else(Answer::Unable))],
        }
    }

    async fn permissions(&self, role: &str, resource: &str, context: &Context, actions: &[(usize, &str)]) -> Vec<(usize, Answer)> {
        let names = actions.iter().map(|(_, action)| (*action).to_owned()).collect();
        let entries = context.iter().map(|(key, values)| entry(key, values)).collect();
        let request = self
            .iam
            .simulate_principal_policy()
            .policy_source_arn(role)
            .set_action_names(Some(names))
            .resource_arns(resource)
            .set_context_entries(Some(entries));
        let results = match request.send().await {
            Ok(answer) => answer.evaluation_results.unwrap_or_default(),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_entity_exception()) => {
                return actions.iter().map(|(place, _)| (*place, Answer::Missing)).collect();
            }
            Err(error) => {
                let why = described(&error);
                return actions.iter().map(|(place, _)| (*place, Answer::Unable(why.clone()))).collect();
            }
        };
        let answer = |action: &str| {
            let Some(result) = results.iter().find(|result| result.eval_action_name().eq_ignore_ascii_case(action)) else {
                return Answer::Unable(format!("IAM did not answer for {action}"));
            };
            judged(result)
        };
        actions.iter().map(|(place, action)| (*place, answer(action))).collect()
    }

    /// What is there, or why it could not be seen.
    async fn other(&self, need: &Need) -> Result<Answer, String> {
        let is_met = |met: bool| if met { Answer::Met } else { Answer::Missing };
        match need {
            Need::Permission { .. } => Err("asked with others of its role".to_owned()),
            Need::Role { role } => Ok(is_met(self.role(role).await?.is_some())),
            Need::Trust { role, service } => Ok(is_met(self.role(role).await?.is_some_and(|trust| trusts(&trust, service)))),
            Need::Bucket { bucket } => {
                let mut pages = self.s3.list_buckets().prefix(bucket).into_paginator().send();
                while let Some(page) = pages.next().await {
                    let page = page.map_err(|error| described(&error))?;
                    if page.buckets().iter().any(|found| found.name() == Some(bucket)) {
                        return Ok(Answer::Met);
                    }
                }
                Ok(Answer::Missing)
            }
            Need::Parameter { parameter } => {
                let filter = ParameterStringFilter::builder()
                    .key("Name")
                    .option("Equals")
                    .values(parameter)
                    .build()
                    .map_err(|error| error.to_string())?;
                let found = self.ssm.describe_parameters().parameter_filters(filter).send().await.map_err(|error| described(&error))?;
                Ok(is_met(!found.parameters().is_empty()))
            }
            Need::Bootstrap { parameter, at_least } => match self.ssm.get_parameter().name(parameter).send().await {
                Ok(found) => {
                    let version = found.parameter().and_then(|parameter| parameter.value()?.trim().parse::<u32>().ok());
                    Ok(is_met(version.is_some_and(|version| version >= *at_least)))
                }
                Err(error) if error.as_service_error().is_some_and(|error| error.is_parameter_not_found()) => Ok(Answer::Missing),
                Err(error) => Err(described(&error)),
            },
            Need::Secret { secret } => match self.secrets.describe_secret().secret_id(secret).send().await {
                Ok(found) => Ok(is_met(found.deleted_date().is_none())),
                Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) => Ok(Answer::Missing),
                Err(error) => Err(described(&error)),
            },
            Need::Model { model } => {
                let found =
                    self.bedrock.get_foundation_model_availability().model_id(model).send().await.map_err(|error| described(&error))?;
                let authorized = found.authorization_status().as_str() == "AUTHORIZED";
                let here = found.region_availability().as_str() == "AVAILABLE" && found.entitlement_availability().as_str() == "AVAILABLE";
                Ok(is_met(authorized && here))
            }
            Need::Quota { service, quota, room } => self.quotas.room(service, quota, *room).await,
        }
    }

    /// The trust policy of a role, if the role is there.
    async fn role(&self, role: &str) -> Result<Option<String>, String> {
        let name = role.rsplit('/').next().unwrap_or(role);
        match self.iam.get_role().role_name(name).send().await {
            Ok(found) => Ok(found.role.map(|role| role.assume_role_policy_document.unwrap_or_default())),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_entity_exception()) => Ok(None),
            Err(error) => Err(described(&error)),
        }
    }
}

/// What actions are simulated together for: role, resource and what is told of the request.
type Simulated<'n> = (&'n str, &'n str, Context);

impl Surroundings for AwsAccount {
    async fn look(&self, needs: &[Need]) -> Vec<Answer> {
        let mut permissions: BTreeMap<Simulated<'_>, Vec<(usize, &str)>> = BTreeMap::new();
        let mut questions = Vec::new();
        for (place, need) in needs.iter().enumerate() {
            match need {
                Need::Permission { role, action, resource, context } => {
                    let context = in_region(context, action, resource, self.region.as_deref());
                    permissions.entry((role, resource, context)).or_default().push((place, action));
                }
                other => questions.push(Question::Other(place, other)),
            }
        }
        questions.extend(permissions.iter().flat_map(|((role, resource, context), actions)| {
            actions.chunks(ACTIONS).map(|actions| Question::Permissions {
                role,
                resource,
                context: context.clone(),
                actions: actions.to_vec(),
            })
        }));
        let mut answers = vec![Answer::Unable("it was not asked".to_owned()); needs.len()];
        let mut answered = futures::stream::iter(questions).map(|question| self.ask(question)).buffer_unordered(AT_ONCE);
        while let Some(some) = answered.next().await {
            for (place, answer) in some {
                answers[place] = answer;
            }
        }
        answers
    }
}

/// What IAM's answer says. With a resource named, IAM puts what it was not told beside the resource ("EvaluationResult", IAM
/// API reference). Where it was not told all that conditions compare, no other answer than an allowance is one: the request
/// itself has those values.
fn judged(result: &EvaluationResult) -> Answer {
    let of_resource = match result.resource_specific_results() {
        [one] => Some(one),
        _ => None,
    };
    let decision = of_resource.map_or(result.eval_decision(), |one| one.eval_resource_decision());
    let boundary =
        of_resource.and_then(|one| one.permissions_boundary_decision_detail()).or_else(|| result.permissions_boundary_decision_detail());
    let mut missing: Vec<String> = result.missing_context_values().to_vec();
    missing.extend(of_resource.iter().flat_map(|one| one.missing_context_values()).cloned());
    missing.sort();
    missing.dedup();
    match decision {
        Decision::Allowed if missing.is_empty() => Answer::Met,
        Decision::Allowed => Answer::MetUnless(missing),
        _ if !missing.is_empty() => Answer::Unclear(missing),
        _ if result.organizations_decision_detail().is_some_and(|detail| !detail.allowed_by_organizations()) => Answer::BeyondOrganization,
        _ if boundary.is_some_and(|detail| !detail.allowed_by_permissions_boundary()) => Answer::BeyondBoundary,
        Decision::ExplicitDeny => Answer::Denied,
        Decision::ImplicitDeny => Answer::Missing,
        other => Answer::Unable(format!("IAM answered {other}")),
    }
}

/// Services with one endpoint for all Regions, by the prefix of their actions: their requests are made in us-east-1
/// ("aws:RequestedRegion", IAM user guide).
const GLOBAL: &[&str] = &["iam", "organizations", "route53", "cloudfront", "globalaccelerator", "shield", "budgets", "ce", "account"];

/// The context with the Region that the request is made in, unless the check says another: that of the resource, or else where
/// the release is.
fn in_region(context: &Context, action: &str, resource: &str, region: Option<&str>) -> Context {
    const KEY: &str = "aws:RequestedRegion";
    let mut context = context.clone();
    let prefix = action.split(':').next().unwrap_or_default();
    let of_resource =
        resource.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(2)).filter(|name| !name.is_empty() && !name.contains('*'));
    let global = GLOBAL.iter().any(|service| service.eq_ignore_ascii_case(prefix)).then_some("us-east-1");
    if let Some(region) = of_resource.or(global).or(region)
        && !context.keys().any(|key| key.eq_ignore_ascii_case(KEY))
    {
        context.insert(KEY.to_owned(), vec![region.to_owned()]);
    }
    context
}

/// A value as IAM's simulator takes it, with its type ("AWS global condition context keys", IAM user guide).
fn entry(key: &str, values: &[String]) -> ContextEntry {
    let is = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(key));
    let kind = if is(&["aws:SourceIp", "aws:VpcSourceIp"]) {
        ContextKeyTypeEnum::Ip
    } else if is(&["aws:CurrentTime", "aws:TokenIssueTime"]) {
        ContextKeyTypeEnum::Date
    } else if is(&["aws:EpochTime", "aws:MultiFactorAuthAge"]) {
        ContextKeyTypeEnum::Numeric
    } else if is(&["aws:SecureTransport", "aws:MultiFactorAuthPresent", "aws:ViaAWSService", "aws:PrincipalIsAWSService"]) {
        ContextKeyTypeEnum::Boolean
    } else if values.len() > 1 || is(&["aws:TagKeys", "aws:CalledVia", "aws:PrincipalOrgPaths"]) {
        ContextKeyTypeEnum::StringList
    } else {
        ContextKeyTypeEnum::String
    };
    ContextEntry::builder().context_key_name(key).context_key_type(kind).set_context_key_values(Some(values.to_vec())).build()
}

/// Whether a trust policy, in the URL encoding of IAM, lets a service assume its role.
fn trusts(document: &str, service: &str) -> bool {
    let Ok(document) = serde_json::from_str::<serde_json::Value>(&decoded(document)) else { return false };
    let many = |value: &serde_json::Value| match value {
        serde_json::Value::Array(values) => values.clone(),
        other => vec![other.clone()],
    };
    let of = |statement: &serde_json::Value, effect: &str| {
        let names = many(&statement["Principal"]["Service"]).iter().any(|name| name == service);
        let assumes = many(&statement["Action"]).iter().any(|action| action == "sts:AssumeRole" || action == "sts:*" || action == "*");
        statement["Effect"] == effect && names && assumes
    };
    let statements = many(&document["Statement"]);
    statements.iter().any(|statement| of(statement, "Allow")) && !statements.iter().any(|statement| of(statement, "Deny"))
}

/// Without percent encoding (RFC 3986).
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let code = (byte == b'%').then(|| text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok())).flatten();
        plain.push(code.unwrap_or(byte));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trust_policy_names_the_service_that_it_trusts() {
        let allow = r#"{"Statement":[{"Effect":"Allow","Principal":{"Service":["lambda.amazonaws.com","edgelambda.amazonaws.com"]},"Action":"sts:AssumeRole"}]}"#;
        let deny = r#"{"Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":["sts:AssumeRole"]},{"Effect":"Deny","Principal":{"Service":"lambda.amazonaws.com"},"Action":"*"}]}"#;
        for (document, trusted) in [
            (allow, true),
            (&allow.replace('"', "%22").replace(' ', "%20"), true),
            (&allow.replace("lambda", "batch"), false),
            (deny, false),
            ("not JSON", false),
        ] {
            assert_eq!(trusts(document, "lambda.amazonaws.com"), trusted, "{document}");
        }
    }
}
