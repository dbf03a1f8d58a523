//! Which quota a text says is used up.
//!
//! A name is a service's code and a quota's code of Service Quotas, `vpc/L-F678F1CE`; IAM's are what its account summary counts
//! (`GetAccountSummary`, IAM API reference), `iam/Roles`. Quotas of one resource, such as the policies of a role, have no
//! account-wide count and are not named.

use crate::plain::Plain;

/// What messages say where an account's quota is used up, in lower case, and the quota: error codes of EC2 ("Error codes for
/// the Amazon EC2 API"), CloudFormation, S3, DynamoDB, Lambda and RDS, with the codes that Service Quotas lists.
const SAID: &[(&[&str], &str)] = &[
    (&["addresslimitexceeded", "maximum number of addresses has been reached"], "ec2/L-0263D0A3"),
    (&["vpclimitexceeded", "maximum number of vpcs has been reached"], "vpc/L-F678F1CE"),
    (&["internetgatewaylimitexceeded", "maximum number of internet gateways has been reached"], "vpc/L-A4707A72"),
    (&["natgatewaylimitexceeded"], "vpc/L-FE5A380F"),
    (&["limit for stacks has been exceeded"], "cloudformation/L-0485CB21"),
    (&["toomanybuckets", "attempted to create more buckets than allowed"], "s3/L-DC2B2D3D"),
    (&["instancequotaexceeded", "dbinstancequotaexceeded"], "rds/L-7B6409FD"),
    (&["codestorageexceeded", "code storage limit exceeded"], "lambda/L-2ACBD22F"),
];

/// What IAM's errors call a quota of the account, in lower case, and its account summary.
const OF_IAM: &[(&str, &str)] = &[
    ("rolesperaccount", "iam/Roles"),
    ("usersperaccount", "iam/Users"),
    ("groupsperaccount", "iam/Groups"),
    ("instanceprofilesperaccount", "iam/InstanceProfiles"),
    ("customermanagedpoliciesperaccount", "iam/Policies"),
    ("policiesperaccount", "iam/Policies"),
    ("servercertificatesperaccount", "iam/ServerCertificates"),
];

/// The quota that a text names; nothing if it is not certain which one.
pub(crate) fn named(text: &Plain) -> Option<String> {
    if let Some(code) = code(text) {
        // A code says nothing without its service.
        return service(text).map(|service| format!("{service}/{code}"));
    }
    if let Some(at) = text.after("cannot exceed quota for ", 0) {
        let name: &str = text.flat[at..].split(|letter: char| !letter.is_ascii_alphanumeric()).next()?;
        return OF_IAM.iter().find(|(said, _)| *said == name).map(|(_, quota)| (*quota).to_owned());
    }
    SAID.iter().find(|(said, _)| text.has_any(said)).map(|(_, quota)| (*quota).to_owned())
}

/// A quota's code as Service Quotas writes it: `L-` and eight hexadecimal digits.
fn code(text: &Plain) -> Option<&str> {
    text.flat.match_indices("l-").find_map(|(at, _)| {
        let code = text.text.get(at..at + 10)?;
        let is_part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
        let bytes = text.text.as_bytes();
        let stands_alone = !is_part(at.checked_sub(1).and_then(|before| bytes.get(before))) && !is_part(bytes.get(at + 10));
        let is_code = code[2..].bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte));
        (stands_alone && code.starts_with("L-") && is_code).then_some(code)
    })
}

/// The service's code beside it: `"serviceCode": "vpc"`, `ServiceCode=vpc`, or the ARN of the quota.
fn service(text: &Plain) -> Option<String> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let of_arn = || {
        let at = text.after("arn:aws:servicequotas:", 0)?;
        text.flat[at..].split([' ', '"', '/']).next()?.rsplit(':').next().map(str::to_owned)
    };
    let said = || {
        let at = text.after("servicecode", 0).or_else(|| text.after("service code", 0))?;
        let rest = text.flat[at..].trim_start_matches(['"', '\'', ' ', ':', '=']);
        Some(rest[..rest.bytes().take_while(is_part).count()].to_owned())
    };
    said().or_else(of_arn).filter(|service| service.len() >= 2 && service.bytes().all(|byte| is_part(&byte)))
}

#[cfg(test)]
mod tests {
    use crate::{Kind, understand};

    #[test]
    fn a_quota_is_named_only_where_it_is_certain_which_one() {
        for (text, quota) in [
            ("LimitExceeded: Cannot exceed quota for RolesPerAccount: 1000", Some("iam/Roles")),
            ("cannot exceed quota for instanceprofilesperaccount: 1000.", Some("iam/InstanceProfiles")),
            ("Cannot exceed quota for PoliciesPerRole: 10", None),
            ("VpcLimitExceeded: The maximum number of VPCs has been reached.", Some("vpc/L-F678F1CE")),
            (
                "The maximum number of addresses\nhas been reached. (Service: AmazonEC2; Error Code: AddressLimitExceeded)",
                Some("ec2/L-0263D0A3"),
            ),
            ("Limit for stacks has been exceeded", Some("cloudformation/L-0485CB21")),
            ("TooManyBuckets: You have attempted to create more buckets than allowed", Some("s3/L-DC2B2D3D")),
            (
                r#"ServiceQuotaExceededException: too many apps {"quotaCode":"L-1B2C3D4E","serviceCode":"amplify"}"#,
                Some("amplify/L-1B2C3D4E"),
            ),
            ("quota exceeded, see arn:aws:servicequotas:eu-west-1:111122223333:kms/L-C2F1777E", Some("kms/L-C2F1777E")),
            ("quota exceeded (L-C2F1777E)", None),
            ("VcpuLimitExceeded: You have requested more vCPU capacity than your current vCPU limit of 32 allows", None),
        ] {
            let cause = understand(text);
            assert_eq!((cause.kind, cause.quota.as_deref()), (Kind::Quota, quota), "{text}");
        }
        assert_eq!(understand("Rate exceeded for L-C2F1777E serviceCode kms").quota, None, "a rate has no room to look up");
    }
}
