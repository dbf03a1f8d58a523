//! What a look at the account says of a check, and what it means for the release.

use std::collections::BTreeSet;

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
    /// IAM allows it, but was not told these values of the request's context, which a condition compares.
    MetUnless(Vec<String>),
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
    /// A quota is used up so far.
    Full {
        /// How much is used.
        used: u64,
        /// How much may be.
        of: u64,
    },
    /// It is not as it has to be, but whether the release needs it is not known: the handler of one of its resources may.
    PerhapsNeeded(Box<Answer>),
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
    /// What is missing, and for whom, or what IAM was not told; empty if there is nothing to say.
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
    /// What else the release may need and nobody looked up, and why.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub unknown: BTreeSet<String>,
    /// Whether the release may start.
    pub may_start: bool,
}

impl Report {
    /// The same, with what could not even be asked: like a check that cannot be made.
    #[must_use]
    pub fn beside(mut self, unknown: BTreeSet<String>, when_unable: WhenUnable) -> Self {
        self.may_start &= unknown.is_empty() || when_unable == WhenUnable::Warn;
        self.unknown = unknown;
        self
    }

    /// What the bus is told of it.
    #[must_use]
    pub fn run(&self) -> PreflightRun {
        let ids = |is: fn(&Answer) -> bool| {
            self.findings.iter().filter(|finding| is(&finding.answer)).map(|finding| finding.check.id.clone()).collect::<Vec<_>>()
        };
        PreflightRun {
            service: self.service.clone(),
            passed: u32::try_from(ids(Answer::is_met).len()).unwrap_or(u32::MAX),
            failed: ids(Answer::is_failure),
            unable: ids(Answer::is_unable),
            may_start: self.may_start,
        }
    }
}

impl Answer {
    /// The same of something that the release only may need.
    #[must_use]
    pub fn if_needed(self) -> Self {
        if self.is_failure() { Self::PerhapsNeeded(Box::new(self)) } else { self }
    }

    /// Whether the need is met, as far as can be seen.
    #[must_use]
    pub fn is_met(&self) -> bool {
        matches!(self, Self::Met | Self::MetUnless(_))
    }

    /// Whether the need is surely not met.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Missing | Self::Denied | Self::BeyondBoundary | Self::BeyondOrganization | Self::Full { .. })
    }

    /// Whether nobody knows.
    #[must_use]
    pub fn is_unable(&self) -> bool {
        matches!(self, Self::Unclear(_) | Self::Unable(_) | Self::PerhapsNeeded(_))
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
    let may_start = !(fails || unable && when_unable == WhenUnable::Stop);
    Report { service: service.to_owned(), findings, unknown: BTreeSet::new(), may_start }
}

fn says(need: &Need, answer: &Answer) -> String {
    match answer {
        Answer::Met => String::new(),
        Answer::Unable(why) => format!("could not be checked: {why}"),
        Answer::Unclear(keys) => format!("could not be checked: IAM needs values for {}", keys.join(", ")),
        Answer::MetUnless(keys) => format!("allowed, as far as IAM was told: a condition also compares {}", keys.join(", ")),
        Answer::PerhapsNeeded(answer) => format!("{}; whether this release needs it is not known", says(need, answer)),
        Answer::Full { used, of } => format!("{need}: no, {used} of {of} are used"),
        Answer::Missing | Answer::Denied | Answer::BeyondBoundary | Answer::BeyondOrganization => match need {
            Need::Permission { role, action, resource, .. } => {
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
            Need::Quota { .. } => format!("{need}: no"),
        },
    }
}

/// The smallest thing that mends it.
fn fix(need: &Need, answer: &Answer) -> String {
    match (need, answer) {
        (_, Answer::Met | Answer::MetUnless(_)) => String::new(),
        (_, Answer::PerhapsNeeded(answer)) => fix(need, answer),
        (_, Answer::Unable(_)) => "give the role that makes the checks leave to look, or look yourself".to_owned(),
        (_, Answer::Unclear(_)) => {
            "the permission hangs on conditions: say in the check's `context` what the release asks with, or compare them yourself"
                .to_owned()
        }
        (Need::Permission { role, action, .. }, Answer::Denied) => format!(
            "granting {action} will not help: find the statement with \"Effect\": \"Deny\" in the policies of {role}, its groups and the organisation's service control policies"
        ),
        (Need::Permission { role, action, .. }, Answer::BeyondBoundary) => {
            format!("granting {action} will not help: the permissions boundary of {role} has to allow it too (aws iam get-role shows it)")
        }
        (Need::Permission { action, .. }, Answer::BeyondOrganization) => {
            format!("granting {action} will not help: ask who keeps the service control policies of the organisation")
        }
        (Need::Permission { role, action, resource, .. }, _) => {
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
        (Need::Quota { service, quota, .. }, _) if service == "iam" => {
            format!("delete {quota} that nobody needs, or ask for more of them under IAM in the Service Quotas console")
        }
        (Need::Quota { service, quota, room }, answer) => {
            let wanted = match answer {
                Answer::Full { used, .. } => (used + u64::from(*room)).to_string(),
                _ => "…".to_owned(),
            };
            format!(
                "free some, or: aws service-quotas request-service-quota-increase --service-code {} --quota-code {} --desired-value {wanted}",
                quoted(service),
                quoted(quota)
            )
        }
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
    use super::*;

    fn permission() -> PreflightCheck {
        let need = Need::permission("arn:aws:iam::111122223333:role/deploy", "sqs:CreateQueue", "arn:aws:sqs:eu-west-1:111122223333:jobs");
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
    fn a_full_quota_stops_the_release_and_the_fix_asks_for_room() {
        let need = Need::Quota { service: "vpc".to_owned(), quota: "L-F678F1CE".to_owned(), room: 2 };
        let check = PreflightCheck::learned(need, BTreeSet::new());
        let report = report("shop", vec![(check, Answer::Full { used: 4, of: 5 })], WhenUnable::Warn);
        assert!(!report.may_start);
        assert_eq!(report.findings[0].says, "the quota L-F678F1CE of vpc has room for 2: no, 4 of 5 are used");
        assert_eq!(
            report.findings[0].fix,
            "free some, or: aws service-quotas request-service-quota-increase --service-code 'vpc' --quota-code 'L-F678F1CE' --desired-value 6"
        );
    }

    #[test]
    fn what_iam_was_not_told_is_said_also_where_it_allows() {
        let report = report("shop", vec![(permission(), Answer::MetUnless(vec!["aws:SourceVpc".to_owned()]))], WhenUnable::Stop);
        assert!(report.may_start && report.run().passed == 1);
        assert_eq!(report.findings[0].says, "allowed, as far as IAM was told: a condition also compares aws:SourceVpc");
    }

    #[test]
    fn what_a_release_only_may_need_stops_it_where_the_policy_is_strict() {
        let answers = || vec![(permission(), Answer::PerhapsNeeded(Box::new(Answer::Missing)))];
        assert!(report("shop", answers(), WhenUnable::Warn).may_start);
        let strict = report("shop", answers(), WhenUnable::Stop);
        assert!(!strict.may_start && strict.findings[0].fix.starts_with("aws iam put-role-policy"), "{strict:?}");
    }

    #[test]
    fn a_name_cannot_break_out_of_the_command() {
        let need = Need::Parameter { parameter: "/a'; rm -rf /'".to_owned() };
        let check = PreflightCheck::learned(need, BTreeSet::new());
        let report = report("shop", vec![(check, Answer::Missing)], WhenUnable::Warn);
        assert_eq!(report.findings[0].fix, r"aws ssm put-parameter --name '/a'\''; rm -rf /'\''' --type String --value …");
    }
}
