//! What a cause says that a release needs.

use flywheel_model::Need;
use flywheel_releases::{Cause, Kind, Release, role_of};

/// The smallest thing that could have been looked up before a release that failed for this cause; nothing if the cause does
/// not name enough, or if no look could have told.
///
/// The policy of a resource cannot be looked up in this way: IAM simulates those of the caller.
#[must_use]
pub fn needs_of(cause: &Cause, release: &Release) -> Option<Need> {
    let principal = || cause.principal.as_deref().map(|principal| role_of(principal).unwrap_or_else(|| principal.to_owned()));
    match cause.kind {
        Kind::MissingPermission | Kind::ExplicitDeny | Kind::BoundaryDeny => {
            let role = principal().or_else(|| release.role.clone()).filter(|role| is_principal(role))?;
            let action = cause.action.clone()?;
            let resource = cause.resource.as_deref().map_or_else(|| "*".to_owned(), any_instance);
            Some(Need::Permission { role, action, resource, context: cause.context.clone() })
        }
        Kind::TrustPolicy => {
            let role = cause.resource.clone().filter(|role| role.contains(":role/") && is_whole(role))?;
            let service = cause.principal.clone().filter(|service| service.ends_with(".amazonaws.com"))?;
            Some(Need::Trust { role, service })
        }
        Kind::MissingPrerequisite => prerequisite(cause.resource.as_deref()?, cause.version),
        Kind::ModelAccess => {
            let model = cause.resource.as_deref()?.split("foundation-model/").nth(1)?;
            Some(Need::Model { model: model.to_owned() })
        }
        Kind::Quota => {
            let (service, quota) = cause.quota.as_deref()?.split_once('/')?;
            Some(Need::Quota { service: service.to_owned(), quota: quota.to_owned(), room: 1 })
        }
        _ => None,
    }
}

fn prerequisite(name: &str, version: Option<u32>) -> Option<Need> {
    if !is_whole(name) {
        return None;
    }
    if name.starts_with("/cdk-bootstrap/") && name.ends_with("/version") {
        return Some(Need::Bootstrap { parameter: name.to_owned(), at_least: version.unwrap_or(1) });
    }
    if name.starts_with('/') && name.len() > 1 {
        return Some(Need::Parameter { parameter: name.to_owned() });
    }
    let mut parts = name.splitn(6, ':');
    let (service, resource) = (parts.nth(2)?, parts.nth(2)?);
    match service {
        "iam" if resource.starts_with("role/") => Some(Need::Role { role: name.to_owned() }),
        "s3" if !resource.contains('/') => Some(Need::Bucket { bucket: resource.to_owned() }),
        "ssm" => resource.strip_prefix("parameter").map(|parameter| Need::Parameter { parameter: parameter.to_owned() }),
        "secretsmanager" => Some(Need::Secret { secret: name.to_owned() }),
        _ => None,
    }
}

/// Whether IAM can be asked about it: the ARN of a role or user, whole.
fn is_principal(arn: &str) -> bool {
    is_whole(arn) && arn.contains(":iam::") && (arn.contains(":role/") || arn.contains(":user/"))
}

/// Whether nobody took letters out of a name: stars, brackets and blanks are in none.
fn is_whole(name: &str) -> bool {
    !name.contains(['*', '<', '>', '[', ']', ' ', '{', '}'])
}

/// A resource without what is new each time: the id of a stack, and the 12 or 13 letters that CloudFormation appends to the
/// names that it makes ("Physical ID", CloudFormation user guide).
fn any_instance(resource: &str) -> String {
    let is_uuid = |part: &str| part.len() == 36 && part.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let is_suffix = |part: &str| {
        matches!(part.len(), 12 | 13)
            && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
            && part.bytes().any(|byte| byte.is_ascii_digit())
            && part.bytes().any(|byte| byte.is_ascii_uppercase())
    };
    if let Some((head, last)) = resource.rsplit_once('/')
        && is_uuid(last)
    {
        return format!("{head}/*");
    }
    match resource.rsplit_once('-') {
        Some((head, last)) if is_suffix(last) => format!("{head}-*"),
        _ => resource.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use flywheel_releases::understand;
    use jiff::Timestamp;

    use super::*;

    fn need(text: &str) -> Option<String> {
        let at = Timestamp::UNIX_EPOCH;
        let release =
            Release { id: "r".to_owned(), service: "shop".to_owned(), role: None, began: at, last: at, ending: None, causes: Vec::new() };
        needs_of(&understand(text), &release).map(|need| need.to_string())
    }

    #[test]
    fn a_cause_becomes_the_smallest_thing_to_look_up() {
        let denied = "User: arn:aws:sts::111122223333:assumed-role/deploy/ci is not authorized to perform:";
        for (text, expected) in [
            (
                format!("{denied} sqs:CreateQueue on resource: arn:aws:sqs:eu-west-1:111122223333:app-Jobs-1ABCDEFGHIJK2"),
                "arn:aws:iam::111122223333:role/deploy may perform sqs:CreateQueue on arn:aws:sqs:eu-west-1:111122223333:app-Jobs-*",
            ),
            (
                format!(
                    "{denied} cloudformation:UpdateStack on resource: arn:aws:cloudformation:eu-west-1:1:stack/app/01234567-89ab-cdef-0123-456789abcdef with an explicit deny"
                ),
                "arn:aws:iam::111122223333:role/deploy may perform cloudformation:UpdateStack on arn:aws:cloudformation:eu-west-1:1:stack/app/*",
            ),
            (
                "SSM parameter /cdk-bootstrap/abc/version not found.".to_owned(),
                "the CDK bootstrap version in /cdk-bootstrap/abc/version is 1 or higher",
            ),
            (
                "This CDK deployment requires bootstrap stack version '14', but during the confirmation via SSM parameter /cdk-bootstrap/abc/version the following error occurred: ParameterNotFound: not found".to_owned(),
                "the CDK bootstrap version in /cdk-bootstrap/abc/version is 14 or higher",
            ),
            ("Error: the parameter /shop/key does not exist".to_owned(), "the parameter /shop/key is there"),
            (
                "Role arn:aws:iam::111122223333:role/fn cannot be assumed by Lambda".to_owned(),
                "arn:aws:iam::111122223333:role/fn trusts lambda.amazonaws.com",
            ),
            ("VpcLimitExceeded: The maximum number of VPCs has been reached.".to_owned(), "the quota L-F678F1CE of vpc has room for 1"),
            (
                format!("{denied} iam:PassRole on resource: arn:aws:iam::111122223333:role/fn (Service: Lambda, Status Code: 403)"),
                "arn:aws:iam::111122223333:role/deploy may perform iam:PassRole on arn:aws:iam::111122223333:role/fn where iam:PassedToService = lambda.amazonaws.com",
            ),
        ] {
            assert_eq!(need(&text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_told_in_full_becomes_no_check() {
        for text in [
            "AccessDenied",
            "because no identity-based policy allows the iam:PassRole action",
            "User: arn:aws:sts::<ACCOUNT>:assumed-role/deploy/ci is not authorized to perform: sqs:CreateQueue on resource: *",
            "User: arn:aws:iam::1:user/ci is not authorized to perform: sqs:SendMessage on resource: arn:aws:sqs:eu-west-1:2:q because no resource-based policy allows the sqs:SendMessage action",
            "Rate exceeded",
            "Cannot exceed quota for PoliciesPerRole: 10",
        ] {
            assert_eq!(need(text), None, "{text}");
        }
    }
}
