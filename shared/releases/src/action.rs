//! The IAM actions behind API calls.
//!
//! Most calls need the action of their own name. The exceptions here are those of the Service Authorization Reference
//! (<https://docs.aws.amazon.com/service-authorization/latest/reference/>) that deployments meet; for S3 also "Required
//! permissions for Amazon S3 API operations" of its user guide.

/// Event sources of CloudTrail whose first label is not the prefix of their actions.
const SOURCES: &[(&str, &str)] = &[
    ("monitoring", "cloudwatch"),
    ("email", "ses"),
    ("tagging", "tag"),
    ("cloudcontrolapi", "cloudformation"),
    ("streams.dynamodb", "dynamodb"),
    ("runtime.sagemaker", "sagemaker"),
    ("runtime.lex", "lex"),
    ("models.lex", "lex"),
    ("catalog.marketplace", "aws-marketplace"),
    ("metering.marketplace", "aws-marketplace"),
    ("bedrock-runtime", "bedrock"),
    ("bedrock-agent", "bedrock"),
    ("bedrock-agent-runtime", "bedrock"),
    ("bedrock-agentcore-control", "bedrock-agentcore"),
];

/// What messages call a service, without spaces and in lower case, and the prefix of its actions. Beside these a service's
/// name says nothing certain of its prefix.
const SERVICES: &[(&str, &str)] = &[
    ("s3", "s3"),
    ("s3control", "s3"),
    ("ec2", "ec2"),
    ("iam", "iam"),
    ("identitymanagement", "iam"),
    ("sts", "sts"),
    ("securitytokenservice", "sts"),
    ("lambda", "lambda"),
    ("sqs", "sqs"),
    ("sns", "sns"),
    ("dynamodb", "dynamodb"),
    ("dynamodbv2", "dynamodb"),
    ("kms", "kms"),
    ("ssm", "ssm"),
    ("simplesystemsmanagement", "ssm"),
    ("secretsmanager", "secretsmanager"),
    ("cloudformation", "cloudformation"),
    ("cloudcontrol", "cloudformation"),
    ("cloudwatch", "cloudwatch"),
    ("cloudwatchlogs", "logs"),
    ("logs", "logs"),
    ("cloudwatchevents", "events"),
    ("eventbridge", "events"),
    ("scheduler", "scheduler"),
    ("sfn", "states"),
    ("stepfunctions", "states"),
    ("kinesis", "kinesis"),
    ("firehose", "firehose"),
    ("kafka", "kafka"),
    ("msk", "kafka"),
    ("ecr", "ecr"),
    ("ecs", "ecs"),
    ("eks", "eks"),
    ("rds", "rds"),
    ("route53", "route53"),
    ("acm", "acm"),
    ("apigateway", "apigateway"),
    ("apigatewayv2", "apigateway"),
    ("cloudfront", "cloudfront"),
    ("cloudtrail", "cloudtrail"),
    ("codebuild", "codebuild"),
    ("codepipeline", "codepipeline"),
    ("codedeploy", "codedeploy"),
    ("elasticloadbalancing", "elasticloadbalancing"),
    ("elasticloadbalancingv2", "elasticloadbalancing"),
    ("autoscaling", "autoscaling"),
    ("applicationautoscaling", "application-autoscaling"),
    ("efs", "elasticfilesystem"),
    ("elasticache", "elasticache"),
    ("opensearch", "es"),
    ("opensearchserverless", "aoss"),
    ("organizations", "organizations"),
    ("bedrock", "bedrock"),
    ("bedrockruntime", "bedrock"),
    ("bedrockagent", "bedrock"),
    ("bedrockagentruntime", "bedrock"),
    ("bedrockagentcore", "bedrock-agentcore"),
    ("bedrockagentcorecontrol", "bedrock-agentcore"),
    ("sagemaker", "sagemaker"),
    ("cognitoidentityprovider", "cognito-idp"),
    ("servicequotas", "servicequotas"),
    ("appconfig", "appconfig"),
    ("glue", "glue"),
    ("athena", "athena"),
    ("wafv2", "wafv2"),
];

/// Operations of one service only, which a bare denial names without it.
const OPERATIONS: &[(&str, &str)] = &[
    ("AssumeRole", "sts"),
    ("AssumeRoleWithWebIdentity", "sts"),
    ("AssumeRoleWithSAML", "sts"),
    ("SendMessage", "sqs"),
    ("ReceiveMessage", "sqs"),
    ("DeleteMessage", "sqs"),
    ("GetQueueAttributes", "sqs"),
    ("GetQueueUrl", "sqs"),
    ("CreateQueue", "sqs"),
    ("HeadObject", "s3"),
    ("GetObject", "s3"),
    ("PutObject", "s3"),
    ("CopyObject", "s3"),
    ("DeleteObject", "s3"),
    ("DeleteObjects", "s3"),
    ("ListObjects", "s3"),
    ("ListObjectsV2", "s3"),
    ("ListObjectVersions", "s3"),
    ("UploadPart", "s3"),
    ("CreateMultipartUpload", "s3"),
    ("CompleteMultipartUpload", "s3"),
    ("ListBuckets", "s3"),
    ("HeadBucket", "s3"),
    ("CreateBucket", "s3"),
    ("DeleteBucket", "s3"),
    ("PutPublicAccessBlock", "s3"),
    ("GetPublicAccessBlock", "s3"),
];

/// Calls whose action has another name.
const RENAMED: &[(&str, &str, &str)] = &[
    ("lambda", "Invoke", "InvokeFunction"),
    ("lambda", "InvokeAsync", "InvokeFunction"),
    ("bedrock", "Converse", "InvokeModel"),
    ("bedrock", "ConverseStream", "InvokeModelWithResponseStream"),
    ("sqs", "SendMessageBatch", "SendMessage"),
    ("sqs", "DeleteMessageBatch", "DeleteMessage"),
    ("sqs", "ChangeMessageVisibilityBatch", "ChangeMessageVisibility"),
    ("sns", "PublishBatch", "Publish"),
    ("s3", "HeadObject", "GetObject"),
    ("s3", "SelectObjectContent", "GetObject"),
    ("s3", "CopyObject", "PutObject"),
    ("s3", "CreateMultipartUpload", "PutObject"),
    ("s3", "UploadPart", "PutObject"),
    ("s3", "UploadPartCopy", "PutObject"),
    ("s3", "CompleteMultipartUpload", "PutObject"),
    ("s3", "DeleteObjects", "DeleteObject"),
    ("s3", "HeadBucket", "ListBucket"),
    ("s3", "ListObjects", "ListBucket"),
    ("s3", "ListObjectsV2", "ListBucket"),
    ("s3", "ListObjectVersions", "ListBucketVersions"),
    ("s3", "ListBuckets", "ListAllMyBuckets"),
    ("s3", "ListMultipartUploads", "ListBucketMultipartUploads"),
    ("s3", "ListParts", "ListMultipartUploadParts"),
    ("s3", "GetBucketEncryption", "GetEncryptionConfiguration"),
    ("s3", "PutBucketEncryption", "PutEncryptionConfiguration"),
    ("s3", "DeleteBucketEncryption", "PutEncryptionConfiguration"),
    ("s3", "GetBucketLifecycle", "GetLifecycleConfiguration"),
    ("s3", "GetBucketLifecycleConfiguration", "GetLifecycleConfiguration"),
    ("s3", "PutBucketLifecycle", "PutLifecycleConfiguration"),
    ("s3", "PutBucketLifecycleConfiguration", "PutLifecycleConfiguration"),
    ("s3", "DeleteBucketLifecycle", "PutLifecycleConfiguration"),
    ("s3", "GetBucketReplication", "GetReplicationConfiguration"),
    ("s3", "PutBucketReplication", "PutReplicationConfiguration"),
    ("s3", "DeleteBucketReplication", "PutReplicationConfiguration"),
    ("s3", "GetBucketCors", "GetBucketCORS"),
    ("s3", "PutBucketCors", "PutBucketCORS"),
    ("s3", "DeleteBucketCors", "PutBucketCORS"),
    ("s3", "DeleteBucketTagging", "PutBucketTagging"),
    ("s3", "GetPublicAccessBlock", "GetBucketPublicAccessBlock"),
    ("s3", "PutPublicAccessBlock", "PutBucketPublicAccessBlock"),
    ("s3", "DeletePublicAccessBlock", "PutBucketPublicAccessBlock"),
    ("s3", "GetBucketAccelerateConfiguration", "GetAccelerateConfiguration"),
    ("s3", "PutBucketAccelerateConfiguration", "PutAccelerateConfiguration"),
    ("s3", "GetBucketNotificationConfiguration", "GetBucketNotification"),
    ("s3", "PutBucketNotificationConfiguration", "PutBucketNotification"),
    ("s3", "GetObjectLockConfiguration", "GetBucketObjectLockConfiguration"),
    ("s3", "PutObjectLockConfiguration", "PutBucketObjectLockConfiguration"),
];

/// The first words of operations' names: what tells an action from other words with a colon in them.
const VERBS: &[&str] = &[
    "Abort",
    "Accept",
    "Activate",
    "Add",
    "Allocate",
    "Apply",
    "Assign",
    "Associate",
    "Assume",
    "Attach",
    "Authorize",
    "Batch",
    "Cancel",
    "Change",
    "Check",
    "Complete",
    "Confirm",
    "Copy",
    "Count",
    "Create",
    "Deactivate",
    "Decode",
    "Decrypt",
    "Delete",
    "Deploy",
    "Deregister",
    "Describe",
    "Detach",
    "Disable",
    "Disassociate",
    "Download",
    "Enable",
    "Encrypt",
    "Estimate",
    "Evaluate",
    "Execute",
    "Export",
    "Filter",
    "Generate",
    "Get",
    "Head",
    "Import",
    "Ingest",
    "Initiate",
    "Invoke",
    "Leave",
    "List",
    "Lookup",
    "Modify",
    "Monitor",
    "Move",
    "Pass",
    "Poll",
    "Post",
    "Publish",
    "Purge",
    "Put",
    "Query",
    "Read",
    "Reboot",
    "Receive",
    "Register",
    "Reject",
    "Release",
    "Remove",
    "Replace",
    "Request",
    "Reset",
    "Resolve",
    "Restore",
    "Resume",
    "Retrieve",
    "Revoke",
    "Rollback",
    "Rotate",
    "Run",
    "Scan",
    "Search",
    "Select",
    "Send",
    "Set",
    "Sign",
    "Signal",
    "Simulate",
    "Start",
    "Stop",
    "Submit",
    "Subscribe",
    "Suspend",
    "Swap",
    "Tag",
    "Terminate",
    "Test",
    "Transfer",
    "Unassign",
    "Unsubscribe",
    "Untag",
    "Update",
    "Upgrade",
    "Upload",
    "Validate",
    "Verify",
    "View",
    "Write",
    "Re",
];

/// The prefix of the actions of a CloudTrail event source such as `monitoring.amazonaws.com`.
#[must_use]
pub fn prefix_of_source(source: &str) -> &str {
    let source = source.trim_end_matches(".cn").trim_end_matches(".amazonaws.com");
    SOURCES.iter().find(|(name, _)| *name == source).map_or(source, |(_, prefix)| prefix)
}

/// The prefix of the actions of a service, by what messages call it; nothing if the name does not tell it for certain.
pub(crate) fn prefix_of_service(name: &str) -> Option<&'static str> {
    let mut name: String = name.chars().filter(|character| character.is_ascii_alphanumeric()).collect();
    name.make_ascii_lowercase();
    let found = |name: &str| SERVICES.iter().find(|(service, _)| *service == name).map(|(_, prefix)| *prefix);
    found(&name).or_else(|| found(name.strip_prefix("amazon").or_else(|| name.strip_prefix("aws"))?))
}

/// Services that take roles only for themselves, by the prefix of their actions ("iam:PassedToService", IAM user guide). Others
/// pass roles on: ECS to its tasks, EC2 by instance profiles.
const TAKES_ROLES: &[(&str, &str)] = &[
    ("lambda", "lambda.amazonaws.com"),
    ("states", "states.amazonaws.com"),
    ("codebuild", "codebuild.amazonaws.com"),
    ("codepipeline", "codepipeline.amazonaws.com"),
    ("codedeploy", "codedeploy.amazonaws.com"),
    ("cloudformation", "cloudformation.amazonaws.com"),
    ("events", "events.amazonaws.com"),
    ("scheduler", "scheduler.amazonaws.com"),
    ("firehose", "firehose.amazonaws.com"),
    ("glue", "glue.amazonaws.com"),
    ("sagemaker", "sagemaker.amazonaws.com"),
    ("bedrock", "bedrock.amazonaws.com"),
    ("bedrock-agentcore", "bedrock-agentcore.amazonaws.com"),
];

/// The service that a role is passed to where one of this prefix is called; nothing if that is not certain.
pub(crate) fn passed_to(prefix: &str) -> Option<&'static str> {
    TAKES_ROLES.iter().find(|(service, _)| *service == prefix).map(|(_, principal)| *principal)
}

/// The prefix of an operation that only one service has.
pub(crate) fn prefix_of_operation(operation: &str) -> Option<&'static str> {
    OPERATIONS.iter().find(|(name, _)| *name == operation).map(|(_, prefix)| *prefix)
}

/// The action that a call needs, from the prefix of its service and the operation as CloudTrail or an SDK writes it.
#[must_use]
pub fn action_of(prefix: &str, operation: &str) -> String {
    let operation = operation_of(operation);
    if prefix == "apigateway" {
        return format!("apigateway:{}", verb_of_http(operation));
    }
    let renamed = RENAMED.iter().find(|(service, name, _)| *service == prefix && *name == operation);
    let name = renamed.map_or(operation, |(_, _, action)| action);
    let mut letters = name.chars();
    // Logs write some operations with a small letter first; no action has one.
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    format!("{prefix}:{}{}", first.map(String::from).unwrap_or_default(), letters.as_str())
}

/// Without the API version that CloudTrail appends for some services: `CreateFunction20150331`, `GetFunction20150331v2`.
fn operation_of(name: &str) -> &str {
    let base = match name.rsplit_once('v') {
        Some((base, version)) if !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit()) && ends_with_date(base) => base,
        _ => name,
    };
    if ends_with_date(base) { &base[..base.len() - 8] } else { name }
}

fn ends_with_date(name: &str) -> bool {
    let Some(start) = name.len().checked_sub(8) else { return false };
    let date = name.get(start..).unwrap_or_default();
    date.starts_with("20") && date.bytes().all(|byte| byte.is_ascii_digit()) && start > 0
}

/// API Gateway's actions are HTTP's methods ("Actions, resources, and condition keys for Amazon API Gateway Management").
fn verb_of_http(operation: &str) -> &'static str {
    let starts = |verbs: &[&str]| verbs.iter().any(|verb| operation.starts_with(verb));
    if starts(&["Get", "Export", "List"]) {
        "GET"
    } else if starts(&["Delete", "Flush"]) {
        "DELETE"
    } else if starts(&["Update"]) {
        "PATCH"
    } else if starts(&["Put", "Tag"]) {
        "PUT"
    } else {
        "POST"
    }
}

/// An action that is written out at the beginning of a text, in the form that IAM writes it, and its length as written.
///
/// What stands there must have the form of an action; where the words before it do not say that it is one, `surely` asks
/// for an operation that begins with a verb.
pub(crate) fn literal(text: &str, surely: bool) -> Option<(String, usize)> {
    let bytes = text.as_bytes();
    let prefix = bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-').count();
    let (Some(b':'), 2..=40) = (bytes.get(prefix), prefix) else { return None };
    let operation = bytes[prefix + 1..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'*').count();
    let end = prefix + 1 + operation;
    let (service, name) = (&text[..prefix], &text[prefix + 1..end]);
    // `arn:aws:…`, `https://…`, `12:30:07`, `lambda:us-east-1:…` are no actions.
    let goes_on = matches!(bytes.get(end), Some(b':' | b'/' | b'-' | b'_')) && bytes.get(end + 1).is_some_and(u8::is_ascii_alphanumeric);
    let is_prefix =
        service.starts_with(|letter: char| letter.is_ascii_alphabetic()) && !matches!(service, "arn" | "urn" | "aws" | "http" | "https");
    let is_name = name.starts_with(|letter: char| letter.is_ascii_alphabetic()) && name.len() >= 3 || name == "*";
    let is_sure =
        VERBS.iter().any(|verb| name.strip_prefix(verb).is_some_and(|rest| rest.starts_with(|next: char| next.is_ascii_uppercase())));
    if goes_on || !is_prefix || !is_name || surely && (!is_sure || service.bytes().any(|byte| byte.is_ascii_uppercase())) {
        return None;
    }
    let service = service.to_ascii_lowercase();
    Some((format!("{service}:{}", cased(name)), end))
}

/// An operation with its capitals, where a text has it in small letters: SQS writes `sqs:createqueue`. IAM does not mind,
/// people do. What is no row of known words keeps the letters that it has but the first.
fn cased(name: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|letter| letter.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) || name.len() > 60 {
        return capital(name);
    }
    // For each length, the last word of a row of words that is so long.
    let mut last: Vec<Option<&str>> = vec![None; name.len() + 1];
    for start in 0..name.len() {
        if start > 0 && last[start].is_none() {
            continue;
        }
        let verbs = if start == 0 { VERBS } else { &[] };
        for word in verbs.iter().chain(NOUNS) {
            let end = start + word.len();
            if name.get(start..end).is_some_and(|part| part.eq_ignore_ascii_case(word)) {
                last[end].get_or_insert(word);
            }
        }
    }
    let mut words = Vec::new();
    let mut end = name.len();
    while let Some(word) = last[end] {
        words.push(capital(word));
        end -= word.len();
        if end == 0 {
            return words.into_iter().rev().collect();
        }
    }
    capital(name)
}

/// The words that operations are made of beside their verbs.
const NOUNS: &[&str] = &[
    "Access",
    "Account",
    "Action",
    "Address",
    "Addresses",
    "Agent",
    "Alarm",
    "Alias",
    "Api",
    "Application",
    "Assume",
    "Attribute",
    "Attributes",
    "Base",
    "Batch",
    "Block",
    "Boundary",
    "Bucket",
    "Bus",
    "By",
    "Certificate",
    "Change",
    "Cluster",
    "Code",
    "Configuration",
    "Connection",
    "Container",
    "Data",
    "Database",
    "Definition",
    "Deployment",
    "Destination",
    "Discovery",
    "Distribution",
    "Document",
    "Domain",
    "Encryption",
    "Endpoint",
    "Engine",
    "Entity",
    "Event",
    "Execution",
    "File",
    "Filter",
    "Flow",
    "For",
    "From",
    "Function",
    "Gateway",
    "Grant",
    "Group",
    "Groups",
    "Hosted",
    "Id",
    "Identity",
    "Image",
    "In",
    "Index",
    "Ingestion",
    "Inline",
    "Instance",
    "Instances",
    "Interface",
    "Internet",
    "Invocation",
    "Item",
    "Items",
    "Job",
    "Key",
    "Keys",
    "Knowledge",
    "Layer",
    "Layers",
    "Letter",
    "Lifecycle",
    "Linked",
    "Listener",
    "Load",
    "Balancer",
    "Log",
    "Logging",
    "Machine",
    "Mapping",
    "Message",
    "Messages",
    "Metric",
    "Model",
    "Nat",
    "Network",
    "Object",
    "Objects",
    "Of",
    "On",
    "Operation",
    "Origin",
    "Parameter",
    "Parameters",
    "Permission",
    "Permissions",
    "Pipeline",
    "Plan",
    "Policies",
    "Policy",
    "Pool",
    "Principal",
    "Profile",
    "Project",
    "Provider",
    "Public",
    "Queue",
    "Queues",
    "Record",
    "Region",
    "Regions",
    "Replication",
    "Repository",
    "Resource",
    "Resources",
    "Response",
    "Rest",
    "Retention",
    "Role",
    "Roles",
    "Route",
    "Rule",
    "Rules",
    "Saml",
    "Schedule",
    "Schema",
    "Secret",
    "Security",
    "Service",
    "Services",
    "Session",
    "Set",
    "Sets",
    "Source",
    "Stack",
    "Stacks",
    "Stage",
    "State",
    "Status",
    "Step",
    "Storage",
    "Stream",
    "Streams",
    "Subnet",
    "Subnets",
    "Subscription",
    "Subscriptions",
    "Table",
    "Tables",
    "Tag",
    "Tags",
    "Target",
    "Targets",
    "Task",
    "Template",
    "Termination",
    "Protection",
    "To",
    "Token",
    "Topic",
    "Topics",
    "Trail",
    "Type",
    "Types",
    "Url",
    "User",
    "Users",
    "Value",
    "Version",
    "Versions",
    "Vpc",
    "Vpcs",
    "Visibility",
    "Volume",
    "Web",
    "With",
    "Zone",
    "Zones",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_needs_the_action_of_its_name_but_where_the_reference_says_otherwise() {
        for (source, call, action) in [
            ("iam.amazonaws.com", "CreateRole", "iam:CreateRole"),
            ("lambda.amazonaws.com", "CreateFunction20150331", "lambda:CreateFunction"),
            ("lambda.amazonaws.com", "GetFunction20150331v2", "lambda:GetFunction"),
            ("lambda.amazonaws.com", "Invoke", "lambda:InvokeFunction"),
            ("monitoring.amazonaws.com", "PutMetricAlarm", "cloudwatch:PutMetricAlarm"),
            ("s3.amazonaws.com", "ListObjectsV2", "s3:ListBucket"),
            ("s3.amazonaws.com", "HeadObject", "s3:GetObject"),
            ("apigateway.amazonaws.com", "CreateRestApi", "apigateway:POST"),
            ("ec2.amazonaws.com.cn", "describeAddresses", "ec2:DescribeAddresses"),
        ] {
            assert_eq!(action_of(prefix_of_source(source), call), action);
        }
    }

    #[test]
    fn only_what_has_the_form_of_an_action_is_one() {
        for (text, surely, action) in [
            ("iam:PassRole on", false, Some("iam:PassRole")),
            ("EC2:describeVpcs", false, Some("ec2:DescribeVpcs")),
            ("s3:* on", false, Some("s3:*")),
            ("bedrock-agentcore:CreateGateway.", true, Some("bedrock-agentcore:CreateGateway")),
            ("sqs:createqueue on", false, Some("sqs:CreateQueue")),
            ("lambda:createeventsourcemapping", false, Some("lambda:CreateEventSourceMapping")),
            ("bedrock:invokemodelwithresponsestream", false, Some("bedrock:InvokeModelWithResponseStream")),
            ("iam:zzz", false, Some("iam:Zzz")),
            ("apigateway:POST", false, Some("apigateway:POST")),
            ("arn:aws:iam::1:role/x", false, None),
            ("https://example.com", false, None),
            ("12:30:07", false, None),
            ("lambda:us-east-1:1:function", false, None),
            ("code:AccessDenied", true, None),
            ("iam:", false, None),
        ] {
            assert_eq!(literal(text, surely).map(|(action, _)| action).as_deref(), action, "{text}");
        }
    }
}
