//! What a look at the account says of a check, and what it means for the release.

use flywheel_model::{Need, PreflightCheck, PreflightRun};
use flywheel_policy::WhenUnable;
use serde::Serialize;
use serde_json::{Value, json};

/// What looking up a need gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is as it has to be.
    Met,
    /// It is missing.
    Missing,
    /// IAM: a policy denies it.
    Denied,
    /// IAM: a permissions boundary does not allow it.
    BeyondBoundary,
    /// IAM: an organisation's policy does not allow it.
    BeyondOrganization,
    /// IAM cannot tell without these values of the request's context.
    Unclear(Vec<String>),
    /// It could not be looked up, and why.
    Unable(String),
}

/// One check with its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check.
    pub check: PreflightCheck,
    /// What the look gave.
    pub answer: Answer,
    /// What is missing, and for whom; empty if nothing is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub says: String,
    /// What would mend it: an IAM statement or a command, or where to look.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fix: String,
}

/// All checks of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What is about to be released.
    pub service: String,
    /// Each check with its answer, those that failed first.
    pub findings: Vec<Finding>,
    /// Whether the release may start.
    pub may_start: bool,
}

impl Report {
    /// What the bus is told of it.
    #[must_use]
    pub fn run(&self) -> PreflightRun {
        let ids = |is: fn(&Answer) -> bool| {
            self.findings.iter().filter(|finding| is(&finding.answer)).map(|finding| finding.check.id.clone()).collect::<Vec<_>>()
        };
        PreflightRun {
            service: self.service.clone(),
            passed: u32::try_from(ids(|answer| *answer == Answer::Met).len()).unwrap_or(u32::MAX),
            failed: ids(Answer::is_failure),
            unable: ids(Answer::is_unable),
            may_start: self.may_start,
        }
    }
}

impl Answer {
    /// Whether the need is surely not met.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Missing | Self::Denied | Self::BeyondBoundary | Self::BeyondOrganization)
    }

    /// Whether nobody knows.
    #[must_use]
    pub fn is_unable(&self) -> bool {
        matches!(self, Self::Unclear(_) | Self::Unable(_))
    }
}

/// Puts answers together: what each says, how to mend it, and whether the release may start.
#[must_use]
pub fn report(service: &str, answers: Vec<(PreflightCheck, Answer)>, when_unable: WhenUnable) -> Report {
    let mut findings: Vec<Finding> = answers
        .into_iter()
        .map(|(check, answer)| {
            let (says, fix) = (says(&check.need, &answer), fix(&check.need, &answer));
            Finding { check, answer, says, fix }
        })
        .collect();
    findings.sort_by_key(|finding| (!finding.answer.is_failure(), !finding.answer.is_unable(), finding.check.id.clone()));
    let fails = findings.iter().any(|finding| finding.answer.is_failure());
    let unable = findings.iter().any(|finding| finding.answer.is_unable());
    Report { service: service.to_owned(), findings, may_start: !(fails || unable && when_unable == WhenUnable::Stop) }
}

fn says(need: &Need, answer: &Answer) -> String {
    match answer {
        Answer::Met => String::new(),
        Answer::Unable(why) => format!("could not be checked: {why}"),
        Answer::Unclear(keys) => format!("could not be checked: IAM needs values for {}", keys.join(", ")),
        Answer::Missing | Answer::Denied | Answer::BeyondBoundary | Answer::BeyondOrganization => match need {
            Need::Permission { role, action, resource } => {
                let why = match answer {
                    Answer::Denied => "a policy denies it",
                    Answer::BeyondBoundary => "its permissions boundary does not allow it",
                    Answer::BeyondOrganization => "a policy of the organisation does not allow it",
                    _ => "no policy allows it",
                };
                format!("{role} may not perform {action} on {resource}: {why}")
            }
            Need::Trust { role, service } => format!("{role} does not trust {service}, or is not there"),
            Need::Role { role } => format!("there is no role {role}"),
            Need::Bucket { bucket } => format!("there is no bucket {bucket} in this account"),
            Need::Parameter { parameter } => format!("there is no parameter {parameter}"),
            Need::Secret { secret } => format!("there is no secret {secret}"),
            Need::Bootstrap { parameter, at_least } => {
                format!("the account is not bootstrapped for the CDK: {parameter} is not there or below {at_least}")
            }
            Need::Model { model } => format!("the account has no access to the model {model} in this Region"),
        },
    }
}

/// The smallest thing that mends it.
fn fix(need: &Need, answer: &Answer) -> String {
    match (need, answer) {
        (_, Answer::Met) => String::new(),
        (_, Answer::Unable(_)) => "give the role that makes the checks leave to look, or look yourself".to_owned(),
        (_, Answer::Unclear(_)) => "the permission hangs on conditions: compare them with what the release asks for".to_owned(),
        (Need::Permission { role, action, .. }, Answer::Denied) => format!(
            "granting {action} will not help: find the statement with \"Effect\": \"Deny\" in the policies of {role}, its groups and the organisation's service control policies"
        ),
        (Need::Permission { role, action, .. }, Answer::BeyondBoundary) => {
            format!("granting {action} will not help: the permissions boundary of {role} has to allow it too (aws iam get-role shows it)")
        }
        (Need::Permission { action, .. }, Answer::BeyondOrganization) => {
            format!("granting {action} will not help: ask who keeps the service control policies of the organisation")
        }
        (Need::Permission { role, action, resource }, _) => {
            let name = role.rsplit('/').next().unwrap_or(role);
            let kind = if role.contains(":user/") { "user" } else { "role" };
            format!(
                "aws iam put-{kind}-policy --{kind}-name {} --policy-name preflight-{} --policy-document {}",
                quoted(name),
                action.replace([':', '*'], "-"),
                quoted(&statement(action, resource).to_string())
            )
        }
        (Need::Trust { role, service }, _) => {
            let trust = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Principal": { "Service": service }, "Action": "sts:AssumeRole" }] });
            format!("add to the trust policy of {role}: {}", trust["Statement"][0])
        }
        (Need::Role { role }, _) => format!("create the role {role}, or name another one"),
        (Need::Bucket { bucket }, _) => format!("aws s3 mb {}", quoted(&format!("s3://{bucket}"))),
        (Need::Parameter { parameter }, _) => format!("aws ssm put-parameter --name {} --type String --value …", quoted(parameter)),
        (Need::Secret { secret }, _) => format!("aws secretsmanager create-secret --name {} --secret-string …", quoted(secret)),
        (Need::Bootstrap { .. }, _) => "cdk bootstrap".to_owned(),
        (Need::Model { model }, _) => format!("ask for access to {model} in the Bedrock console, under Model access"),
    }
}

/// The policy that allows one action on one resource.
fn statement(action: &str, resource: &str) -> Value {
    json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": action, "Resource": resource }] })
}

/// An argument for a shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn permission() -> PreflightCheck {
        let need = Need::Permission {
            role: "arn:aws:iam::111122223333:role/deploy".to_owned(),
            action: "sqs:CreateQueue".to_owned(),
            resource: "arn:aws:sqs:eu-west-1:111122223333:jobs".to_owned(),
        };
        PreflightCheck::learned(need, BTreeSet::new())
    }

    #[test]
    fn what_is_missing_stops_the_release_and_the_fix_is_a_command() {
        let report = report("shop", vec![(permission(), Answer::Missing)], WhenUnable::Warn);
        assert!(!report.may_start);
        assert_eq!(
            report.findings[0].says,
            "arn:aws:iam::111122223333:role/deploy may not perform sqs:CreateQueue on arn:aws:sqs:eu-west-1:111122223333:jobs: no policy allows it"
        );
        assert_eq!(
            report.findings[0].fix,
            r#"aws iam put-role-policy --role-name 'deploy' --policy-name preflight-sqs-CreateQueue --policy-document '{"Statement":[{"Action":"sqs:CreateQueue","Effect":"Allow","Resource":"arn:aws:sqs:eu-west-1:111122223333:jobs"}],"Version":"2012-10-17"}'"#
        );
    }

    #[test]
    fn where_granting_does_not_help_it_says_so_and_where_to_look() {
        for (answer, look) in [
            (Answer::Denied, "\"Deny\""),
            (Answer::BeyondBoundary, "permissions boundary"),
            (Answer::BeyondOrganization, "service control policies"),
        ] {
            let report = report("shop", vec![(permission(), answer)], WhenUnable::Warn);
            let fix = &report.findings[0].fix;
            assert!(fix.starts_with("granting sqs:CreateQueue will not help") && fix.contains(look), "{fix}");
        }
    }

    #[test]
    fn what_cannot_be_checked_stops_the_release_only_if_the_policy_says_so() {
        let answers = || vec![(permission(), Answer::Unable("throttled".to_owned()))];
        assert!(report("shop", answers(), WhenUnable::Warn).may_start);
        assert!(!report("shop", answers(), WhenUnable::Stop).may_start);
        assert_eq!(report("shop", answers(), WhenUnable::Warn).run().unable.len(), 1);
    }

    #[test]
    fn a_name_cannot_break_out_of_the_command() {
        let need = Need::Parameter { parameter: "/a'; rm -rf /'".to_owned() };
        let check = PreflightCheck::learned(need, BTreeSet::new());
        let report = report("shop", vec![(check, Answer::Missing)], WhenUnable::Warn);
        assert_eq!(report.findings[0].fix, r"aws ssm put-parameter --name '/a'\''; rm -rf /'\''' --type String --value …");
    }
}
