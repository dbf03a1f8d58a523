//! What texts come to. All of them are made up, in the wording of AWS and of deployment tools.

use proptest::prelude::*;

use crate::{Cause, Kind, understand};

/// Kind, action and resource of a text.
fn read(text: &str) -> (Kind, Option<String>, Option<String>) {
    let Cause { kind, action, resource, .. } = understand(text);
    (kind, action, resource)
}

#[test]
fn whose_policy_is_the_reason_decides_the_kind() {
    let denied = "User: arn:aws:sts::111122223333:assumed-role/deploy/ci is not authorized to perform: iam:CreateRole on resource: arn:aws:iam::111122223333:role/app";
    for (because, kind) in [
        ("", Kind::MissingPermission),
        (" because no identity-based policy allows the iam:CreateRole action", Kind::MissingPermission),
        (" with an explicit deny", Kind::ExplicitDeny),
        (" with an explicit deny in an identity-based policy", Kind::ExplicitDeny),
        (" with an explicit deny in a service control policy: arn:aws:organizations::1:policy/o-1/p-1", Kind::ExplicitDeny),
        (" because no service control policy allows the iam:CreateRole action", Kind::ExplicitDeny),
        (" with an explicit deny in a permissions boundary", Kind::BoundaryDeny),
        (" because no permissions boundary allows the iam:CreateRole action", Kind::BoundaryDeny),
        (" because no session policy allows the iam:CreateRole action", Kind::BoundaryDeny),
        (" because no resource-based policy allows the iam:CreateRole action", Kind::ResourcePolicy),
        (" because no VPC endpoint policy allows the iam:CreateRole action", Kind::ResourcePolicy),
    ] {
        let cause = understand(&format!("{denied}{because}"));
        assert_eq!(cause.kind, kind, "{because}");
        assert_eq!(cause.action.as_deref(), Some("iam:CreateRole"), "{because}");
        assert_eq!(cause.resource.as_deref(), Some("arn:aws:iam::111122223333:role/app"), "{because}");
        assert_eq!(cause.principal.as_deref(), Some("arn:aws:sts::111122223333:assumed-role/deploy/ci"), "{because}");
    }
}

#[test]
fn the_tool_around_a_denial_does_not_matter() {
    let denied = "is not authorized to perform: sqs:CreateQueue on resource: arn:aws:sqs:eu-west-1:111122223333:jobs";
    for text in [
        format!("User: arn:aws:iam::111122223333:user/ci {denied}"),
        format!("Resource handler returned message: \"User: arn:aws:iam::111122223333:user/ci {denied} because no identity-based policy allows the sqs:createqueue action (Service: Sqs, Status Code: 403, Request ID: 1-2)\" (RequestToken: 3-4, HandlerErrorCode: AccessDenied)"),
        format!("{{\\\"Message\\\":\\\"User: arn:aws:iam::111122223333:user/ci {denied}\\\"}}"),
        format!("│ Error: creating SQS Queue (jobs): operation error SQS: CreateQueue, https response error StatusCode: 403, RequestID: 1, api error AccessDenied: User: arn:aws:iam::111122223333:user/ci {denied}."),
        format!("\u{1b}[31mFehler beim Ausführen: User: arn:aws:iam::111122223333:user/ci {denied}\u{1b}[0m"),
        format!("<Error><Code>AccessDenied</Code><Message>User: arn:aws:iam::111122223333:user/ci {denied}</Message></Error>"),
        format!("エラー: User: arn:aws:iam::111122223333:user/ci {denied}。\n"),
        "User: arn:aws:iam::111122223333:user/ci is not authorized\n   to perform: sqs:Create\nQueue on resource: arn:aws:sqs:eu-west-1:1111222\n23333:jobs because no identity-based policy".to_owned(),
    ] {
        let cause = understand(&text);
        assert_eq!((cause.kind, cause.action.as_deref()), (Kind::MissingPermission, Some("sqs:CreateQueue")), "{text}");
        assert_eq!(cause.principal.as_deref(), Some("arn:aws:iam::111122223333:user/ci"), "{text}");
        assert_eq!(cause.resource.as_deref(), Some("arn:aws:sqs:eu-west-1:111122223333:jobs"), "{text}");
    }
}

#[test]
fn an_action_is_named_in_many_words() {
    for (text, action) in [
        ("AccessDenied. User doesn't have permission to call iam:GetRole", "iam:GetRole"),
        (
            "AWS::EC2::Subnet/Net: CREATE_FAILED – \"API: ec2:createSubnet You are not authorized to perform this operation.\"",
            "ec2:CreateSubnet",
        ),
        ("because no identity-based policy allows the kms:CreateGrant action (Service: AWSKMS; Status Code: 400)", "kms:CreateGrant"),
        (
            "The provided execution role does not have permissions to call DescribeStream on Kinesis (Service: Lambda)",
            "kinesis:DescribeStream",
        ),
        (
            "Your access has been denied by S3, please make sure your request credentials have permission to GetObject for code/app.zip. S3 Error Code: AccessDenied.",
            "s3:GetObject",
        ),
        ("An error occurred (AccessDenied) when calling the ListObjectsV2 operation: Access Denied", "s3:ListBucket"),
        ("An error occurred (403) when calling the HeadObject operation: Forbidden", "s3:GetObject"),
        (
            "api error UnauthorizedOperation: operation error EC2: RunInstances, You are not authorized to perform this operation",
            "ec2:RunInstances",
        ),
        (
            "An error occurred (UnauthorizedOperation) when calling the DescribeVpcs operation: You are not authorized to perform this operation.",
            "ec2:DescribeVpcs",
        ),
        ("The role lacks the lambda:ListTags permission", "lambda:ListTags"),
        (
            "ERROR: user: arn:aws:iam::1:user/ci is not authorized to perform: dynamodb:describetable on resource: arn:aws:dynamodb:us-east-1:1:table/t",
            "dynamodb:DescribeTable",
        ),
        (
            "Cannot access stream arn:aws:kinesis:us-east-1:111122223333:stream/in. Please ensure the role can perform the GetRecords, GetShardIterator and DescribeStream Actions on your stream in IAM.",
            "kinesis:GetRecords",
        ),
    ] {
        let (kind, found, _) = read(text);
        assert_eq!((kind, found.as_deref()), (Kind::MissingPermission, Some(action)), "{text}");
    }
}

#[test]
fn a_denial_that_names_no_action_stays_opaque() {
    for text in [
        "S3 error: Access Denied",
        "AccessDenied: Access denied\n\tstatus code: 403, request id: 1-2-3",
        "You are not authorized to perform this operation.",
        "error creating Lambda Function (app): AccessDeniedException:\n status code: 403",
        "'arn:aws:iam::111122223333:role/app' is not authorized to create managed-rule.",
        "User: arn:aws:iam::111122223333:user/ci is not authorized to perform: dynamodb:PutIt...",
        "AccessDenied: User: arn:aws:iam::111122223333:user/ci is not authorized to perform:",
        "HTTP 403 Forbidden at http://example.com:CreateBucket",
        "errorCode:AccessDenied arn:aws:lambda:us-east-1:111122223333:function:DeleteFunction",
    ] {
        let (kind, action, _) = read(text);
        assert_eq!((kind, action), (Kind::OpaqueDenial, None), "{text}");
    }
}

#[test]
fn who_may_assume_a_role_is_said_by_its_trust_policy() {
    for text in [
        "The role defined for the function cannot be assumed by Lambda.",
        "API Gateway does not have permission to assume the provided role arn:aws:iam::1:role/a",
        "CodeBuild is not authorized to assume service role arn:aws:iam::1:role/build. Please check its trust relationship",
        "User: arn:aws:iam::1:user/a is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::1:role/b because no role trust policy allows the sts:AssumeRole action",
        "User: arn:aws:iam::1:user/a is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::2:role/b because no resource-based policy allows the sts:AssumeRole action",
    ] {
        let (kind, action, _) = read(text);
        assert_eq!((kind, action.as_deref()), (Kind::TrustPolicy, Some("sts:AssumeRole")), "{text}");
    }
    let (kind, action, _) = read("Error: Not authorized to perform sts:AssumeRoleWithWebIdentity");
    assert_eq!((kind, action.as_deref()), (Kind::TrustPolicy, Some("sts:AssumeRoleWithWebIdentity")));
}

#[test]
fn other_reasons_are_told_apart() {
    for (text, kind, resource) in [
        ("Rate exceeded (Service: CloudFormation, Status Code: 400, Error Code: Throttling)", Kind::Throttling, None),
        ("TooManyRequestsException: Too Many Requests", Kind::Throttling, None),
        ("The maximum number of addresses has been reached. (Service: AmazonEC2; Error Code: AddressLimitExceeded)", Kind::Quota, None),
        ("Cannot exceed quota for PoliciesPerRole: 10", Kind::Quota, None),
        ("Role with name app-role already exists.", Kind::Conflict, Some("app-role")),
        ("my-bucket-1 already exists in stack arn:aws:cloudformation:us-east-1:1:stack/other/1", Kind::Conflict, Some("my-bucket-1")),
        ("Resource of type 'AWS::SQS::Queue' with identifier 'jobs' already exists.", Kind::Conflict, Some("jobs")),
        (
            "Stack:arn:aws:cloudformation:eu-west-1:1:stack/app/1 is in UPDATE_IN_PROGRESS state and can not be updated.",
            Kind::Conflict,
            Some("arn:aws:cloudformation:eu-west-1:1:stack/app/1"),
        ),
        ("Parameter validation failed: Invalid length for parameter Name", Kind::InvalidRequest, None),
        ("Template format error: Unresolved resource dependencies [Queue] in the Resources block", Kind::InvalidRequest, None),
        ("Property validation failure: [The property {/Name} is required]", Kind::InvalidRequest, None),
        ("ExpiredToken: The security token included in the request is expired", Kind::BadCredentials, None),
        ("InvalidClientTokenId: The security token included in the request is invalid. status code: 403", Kind::BadCredentials, None),
        ("Unable to locate credentials. You can configure credentials by running \"aws configure\".", Kind::BadCredentials, None),
        ("Model access is denied due to missing subscription", Kind::ModelAccess, None),
        (
            "SSM parameter /cdk-bootstrap/abc/version not found. Has the environment been bootstrapped?",
            Kind::MissingPrerequisite,
            Some("/cdk-bootstrap/abc/version"),
        ),
        ("No export named shared-vpc-id found", Kind::MissingPrerequisite, Some("shared-vpc-id")),
        ("NoSuchBucket: The specified bucket does not exist", Kind::MissingPrerequisite, None),
        ("NoSuchEntity: The role with name app-role cannot be found.", Kind::MissingPrerequisite, Some("app-role")),
        ("AWS Batch service-linked role is missing: Unable to assume the service linked role", Kind::MissingPrerequisite, None),
        ("Requires capabilities : [CAPABILITY_IAM]", Kind::MissingPrerequisite, None),
        ("The following resource(s) failed to create: [QuotaConflict, AccessDenied]. Rollback requested by user.", Kind::Cascade, None),
        ("Resource creation cancelled", Kind::Cascade, None),
        ("Stack 'app-dev' does not exist", Kind::Cascade, None),
        ("You have attempted to create more buckets than allowed", Kind::Quota, None),
        ("Limit for stacks has been exceeded", Kind::Quota, None),
        ("Invalid principal in policy: \"AWS\":\"arn:aws:iam::1:role/none\"", Kind::InvalidRequest, None),
        ("Access denied for operation 'AWS::QuickSight::DataSet'.", Kind::OpaqueDenial, None),
        ("Failed to receive 1 resource signal(s) within the specified duration", Kind::Other, None),
        ("Everything is fine", Kind::Other, None),
        ("", Kind::Other, None),
    ] {
        let (found, _, name) = read(text);
        assert_eq!((found, name.as_deref()), (kind, resource), "{text}");
    }
}

#[test]
fn a_resource_is_named_as_the_service_writes_it() {
    for (text, resource) in [
        ("iam:UpdateRole on resource: role deploy-1 because no identity-based", "role deploy-1"),
        (
            "logs:DeleteLogGroup on resource: arn:aws:logs:eu-west-1:1:log-group:/aws/lambda/a:log-stream:",
            "arn:aws:logs:eu-west-1:1:log-group:/aws/lambda/a:log-stream:",
        ),
        ("s3:CreateBucket on resource: \\\"arn:aws:s3:::a-b\\\" because", "arn:aws:s3:::a-b"),
        ("s3:CreateBucket on resource: *", "*"),
        (
            "cloudformation:DeleteStack on resource: arn:aws:cloudformation:[REGION]:[ACCOUNT]:stack/[Name]/[Id]]",
            "arn:aws:cloudformation:[REGION]:[ACCOUNT]:stack/[Name]/[Id]",
        ),
        ("ssm:GetParameter on resource: arn:aws:ssm:us-west-2:<ACCOUNT>:parameter/a>", "arn:aws:ssm:us-west-2:<ACCOUNT>:parameter/a>"),
        ("iam:PassRole on resource: arn:aws:iam::xxxx :role/app-", "arn:aws:iam::xxxx :role/app-"),
    ] {
        let text = format!("User: arn:aws:iam::1:user/ci is not authorized to perform: {text}");
        assert_eq!(understand(&text).resource.as_deref(), Some(resource), "{text}");
    }
}

#[test]
fn leave_to_make_a_service_linked_role_is_a_permission_and_its_absence_a_prerequisite() {
    let denied = "User: arn:aws:iam::1:user/ci is not authorized to perform: iam:CreateServiceLinkedRole on resource: arn:aws:iam::1:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS";
    assert_eq!(read(denied).1.as_deref(), Some("iam:CreateServiceLinkedRole"));
    assert_eq!(read("Insufficient permissions to create the service linked role").0, Kind::OpaqueDenial);
    assert_eq!(read("The service linked role must exist before a cluster is created").0, Kind::MissingPrerequisite);
}

#[test]
fn a_cascade_that_tells_its_cause_is_not_one() {
    let (kind, action, _) = read(
        "The stack app failed creation, it may need to be manually deleted from the AWS console: ROLLBACK_COMPLETE: User: arn:aws:iam::1:user/ci is not authorized to perform: sns:CreateTopic on resource: arn:aws:sns:us-east-1:1:t",
    );
    assert_eq!((kind, action.as_deref()), (Kind::MissingPermission, Some("sns:CreateTopic")));
}

#[test]
fn an_encoded_message_is_kept_and_what_sts_makes_of_it_taken_in() {
    let cause = understand(
        "You are not authorized to perform this operation. Encoded authorization failure message: abcDEF_123-456789012345678901234567890 (Service: AmazonEC2)",
    );
    assert_eq!(cause.kind, Kind::OpaqueDenial);
    assert_eq!(cause.encoded.as_deref(), Some("abcDEF_123-456789012345678901234567890"));
    let decoded = cause.decoded(r#"{"allowed":false,"explicitDeny":false,"context":{"principal":{"arn":"arn:aws:iam::1:user/ci"},"action":"ec2:RunInstances","resource":"arn:aws:ec2:us-east-1:1:instance/*"}}"#);
    assert_eq!((decoded.kind, decoded.action.as_deref()), (Kind::MissingPermission, Some("ec2:RunInstances")));
    assert_eq!(decoded.principal.as_deref(), Some("arn:aws:iam::1:user/ci"));
}

proptest! {
    #[test]
    fn no_text_is_too_odd(text in "(\\PC|\n|\u{1b}\\[|\u{1b}\\]|arn:aws:|User: |not authorized to perform: |on resource: |\\\\|&quot;|already exists| does not exist){0,40}") {
        let _ = understand(&text);
    }

    #[test]
    fn no_action_is_made_up(text in "(\\PC|\n|arn:aws:|User: |iam:|not authorized to perform: |on resource: |\\\\|\"){0,40}") {
        let cause = understand(&text);
        if let Some(action) = cause.action.filter(|action| !action.starts_with("sts:AssumeRole")) {
            let (prefix, _) = action.split_once(':').expect("a prefix");
            prop_assert!(text.to_lowercase().contains(prefix), "{action} is not in {text:?}");
        }
    }

    #[test]
    fn a_message_cut_anywhere_names_no_other_action(cut in 0..320_usize) {
        let whole = "User: arn:aws:sts::111122223333:assumed-role/deploy/ci is not authorized to perform: cloudformation:CreateChangeSet on resource: arn:aws:cloudformation:eu-west-1:111122223333:stack/app/* because no identity-based policy allows the cloudformation:CreateChangeSet action";
        let text = &whole[..cut.min(whole.len())];
        let action = understand(text).action.unwrap_or_default();
        prop_assert!("cloudformation:CreateChangeSet".starts_with(&action), "{action}");
    }
}

/// Relatives of what deployment tools write: kind, action and resource.
const RELATIVES: &[(&str, Kind, Option<&str>, Option<&str>)] = &[
    // Other callers, and the words of newer messages.
    (
        "User: arn:aws:sts::111122223333:assumed-role/deploy/ci is not authorized to perform: sts:TagSession on resource: arn:aws:iam::111122223333:role/x",
        Kind::MissingPermission,
        Some("sts:TagSession"),
        Some("arn:aws:iam::111122223333:role/x"),
    ),
    (
        "User: arn:aws-cn:sts::111122223333:assumed-role/deploy/ci is not authorized to perform: ecr:CreateRepository on resource: arn:aws-cn:ecr:cn-north-1:111122223333:repository/app because no identity-based policy allows the ecr:CreateRepository action",
        Kind::MissingPermission,
        Some("ecr:CreateRepository"),
        Some("arn:aws-cn:ecr:cn-north-1:111122223333:repository/app"),
    ),
    (
        "user: arn:aws:iam::111122223333:user/ci is not authorized to perform: logs:putretentionpolicy on resource: arn:aws:logs:eu-west-1:111122223333:log-group:/aws/lambda/app:log-stream: because no identity-based policy allows the logs:putretentionpolicy action",
        Kind::MissingPermission,
        Some("logs:PutRetentionPolicy"),
        Some("arn:aws:logs:eu-west-1:111122223333:log-group:/aws/lambda/app:log-stream:"),
    ),
    (
        "AccessDeniedException: User: arn:aws:sts::111122223333:assumed-role/deploy/ci is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:eu-west-1:111122223333:key/1-2 because no identity-based policy allows the kms:Decrypt action...",
        Kind::MissingPermission,
        Some("kms:Decrypt"),
        Some("arn:aws:kms:eu-west-1:111122223333:key/1-2"),
    ),
    (
        "User: arn:aws:sts::111122223333:assumed-role/deploy/ci is not authorized to perform: kms:Decrypt on the resource associated with this ciphertext because no resource-based policy allows the kms:Decrypt action",
        Kind::ResourcePolicy,
        Some("kms:Decrypt"),
        None,
    ),
    (
        "User: arn:aws:sts::111122223333:assumed-role/deploy/ci is not authorized to perform: kms:GenerateDataKey on this resource because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access",
        Kind::ResourcePolicy,
        Some("kms:GenerateDataKey"),
        None,
    ),
    (
        "User: arn:aws:sts::111122223333:assumed-role/deploy/ci is not authorized to perform: s3:PutObject on resource: \"arn:aws:s3:::assets/a.zip\" with an explicit deny in a resource-based policy",
        Kind::ExplicitDeny,
        Some("s3:PutObject"),
        Some("arn:aws:s3:::assets/a.zip"),
    ),
    (
        "User: arn:aws:sts::111122223333:assumed-role/deploy/ci is not authorized to perform: s3:PutObject on resource: \"arn:aws:s3:::assets/a.zip\" with an explicit deny in a resource control policy",
        Kind::ExplicitDeny,
        Some("s3:PutObject"),
        Some("arn:aws:s3:::assets/a.zip"),
    ),
    (
        "User: arn:aws:sts::111122223333:assumed-role/deploy/ci is not authorized to perform: ec2:RunInstances on resource: arn:aws:ec2:eu-west-1:111122223333:instance/* with an explicit deny in a session policy",
        Kind::BoundaryDeny,
        Some("ec2:RunInstances"),
        Some("arn:aws:ec2:eu-west-1:111122223333:instance/*"),
    ),
    (
        "User: arn:aws:sts::111122223333:assumed-role/deploy/ci is not authorized to perform: ec2:RunInstances on resource: arn:aws:ec2:eu-west-1:111122223333:instance/* with an explicit deny in a VPC endpoint policy",
        Kind::ExplicitDeny,
        Some("ec2:RunInstances"),
        Some("arn:aws:ec2:eu-west-1:111122223333:instance/*"),
    ),
    // Other languages around AWS's words.
    (
        "Erreur : User: arn:aws:iam::111122223333:user/ci is not authorized to perform: sqs:CreateQueue on resource: arn:aws:sqs:eu-west-1:111122223333:jobs.",
        Kind::MissingPermission,
        Some("sqs:CreateQueue"),
        Some("arn:aws:sqs:eu-west-1:111122223333:jobs"),
    ),
    (
        "デプロイに失敗しました：User: arn:aws:iam::111122223333:user/ci is not authorized to perform: sns:CreateTopic on resource: arn:aws:sns:ap-northeast-1:111122223333:t（アクセス拒否）",
        Kind::MissingPermission,
        Some("sns:CreateTopic"),
        Some("arn:aws:sns:ap-northeast-1:111122223333:t"),
    ),
    (
        "Ошибка: An error occurred (AccessDenied) when calling the CreateRole operation: User: arn:aws:iam::111122223333:user/ci is not authorized to perform: iam:CreateRole on resource: arn:aws:iam::111122223333:role/app",
        Kind::MissingPermission,
        Some("iam:CreateRole"),
        Some("arn:aws:iam::111122223333:role/app"),
    ),
    // Tools.
    (
        "error: deploying urn:pulumi:dev::shop::aws:sqs/queue:Queue::jobs: 1 error occurred:\n\t* creating SQS Queue (jobs): operation error SQS: CreateQueue, https response error StatusCode: 403, RequestID: 1-2, api error AccessDenied: User: arn:aws:iam::111122223333:user/ci is not authorized to perform: sqs:createqueue on resource: arn:aws:sqs:eu-west-1:111122223333:jobs because no identity-based policy allows the sqs:createqueue action",
        Kind::MissingPermission,
        Some("sqs:CreateQueue"),
        Some("arn:aws:sqs:eu-west-1:111122223333:jobs"),
    ),
    (
        "operation error ECS: RegisterTaskDefinition, https response error StatusCode: 400, RequestID: 1, AccessDeniedException: User: arn:aws:sts::111122223333:assumed-role/ci/x is not authorized to perform: ecs:RegisterTaskDefinition on resource: arn:aws:ecs:us-east-1:111122223333:task-definition/app:*",
        Kind::MissingPermission,
        Some("ecs:RegisterTaskDefinition"),
        Some("arn:aws:ecs:us-east-1:111122223333:task-definition/app:*"),
    ),
    (
        "Error: failed to create service: ClientException: User: arn:aws:sts::111122223333:assumed-role/ci/x is not authorized to perform: iam:PassRole on resource: arn:aws:iam::111122223333:role/task",
        Kind::MissingPermission,
        Some("iam:PassRole"),
        Some("arn:aws:iam::111122223333:role/task"),
    ),
    (
        "An error occurred (AccessDenied) when calling the PutObject operation: Access Denied",
        Kind::MissingPermission,
        Some("s3:PutObject"),
        None,
    ),
    (
        "fatal error: An error occurred (403) when calling the HeadObject operation: Forbidden",
        Kind::MissingPermission,
        Some("s3:GetObject"),
        None,
    ),
    ("An error occurred (AccessDeniedException) when calling the PutItem operation: Access denied", Kind::OpaqueDenial, None, None),
    (
        "upload failed: ./a.zip to s3://assets/a.zip An error occurred (AccessDenied) when calling the CreateMultipartUpload operation: Access Denied",
        Kind::MissingPermission,
        Some("s3:PutObject"),
        None,
    ),
    (
        "API: iam:PutRolePolicy User: arn:aws:iam::111122223333:user/ci is not authorized to perform: iam:PutRolePolicy on resource: role app-role",
        Kind::MissingPermission,
        Some("iam:PutRolePolicy"),
        Some("role app-role"),
    ),
    (
        "denied: User: arn:aws:iam::111122223333:user/ci is not authorized to perform: ecr:InitiateLayerUpload on resource: arn:aws:ecr:us-east-1:111122223333:repository/app because no identity-based policy allows the ecr:InitiateLayerUpload action",
        Kind::MissingPermission,
        Some("ecr:InitiateLayerUpload"),
        Some("arn:aws:ecr:us-east-1:111122223333:repository/app"),
    ),
    (
        "AccessDenied. User doesn't have permission to call cloudformation:GetTemplateSummary",
        Kind::MissingPermission,
        Some("cloudformation:GetTemplateSummary"),
        None,
    ),
    // Trust.
    (
        "The role arn:aws:iam::111122223333:role/sfn cannot be assumed by principal 'states.amazonaws.com'.",
        Kind::TrustPolicy,
        Some("sts:AssumeRole"),
        Some("arn:aws:iam::111122223333:role/sfn"),
    ),
    (
        "CodePipeline is not authorized to perform AssumeRole on role arn:aws:iam::111122223333:role/pipe",
        Kind::TrustPolicy,
        Some("sts:AssumeRole"),
        Some("arn:aws:iam::111122223333:role/pipe"),
    ),
    (
        "Could not assume role with OIDC: Not authorized to perform sts:AssumeRoleWithWebIdentity",
        Kind::TrustPolicy,
        Some("sts:AssumeRoleWithWebIdentity"),
        None,
    ),
    (
        "ECS was unable to assume the role 'arn:aws:iam::111122223333:role/task' that was provided for this task. Please verify that the role being passed has the proper trust relationship and permissions",
        Kind::TrustPolicy,
        Some("sts:AssumeRole"),
        Some("arn:aws:iam::111122223333:role/task"),
    ),
    (
        "Could not assume role in target account using current credentials User: arn:aws:iam::111122223333:user/ci is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::444455556666:role/cdk-hnb659fds-deploy-role . Please make sure that this role exists",
        Kind::MissingPermission,
        Some("sts:AssumeRole"),
        Some("arn:aws:iam::444455556666:role/cdk-hnb659fds-deploy-role"),
    ),
    // Opaque.
    ("AccessDenied: Access Denied", Kind::OpaqueDenial, None, None),
    (
        "Access Denied (Service: Amazon S3; Status Code: 403; Error Code: AccessDenied; Request ID: 1; S3 Extended Request ID: 2=; Proxy: null)",
        Kind::OpaqueDenial,
        None,
        None,
    ),
    ("ERROR: AccessDenied - Access Denied", Kind::OpaqueDenial, None, None),
    (
        "You are not authorized to perform this operation. User: arn:aws:iam::111122223333:user/ci is not authorized to perform: ec2:CreateVpc on resource: arn:aws:ec2:eu-west-1:111122223333:vpc/* because no identity-based policy allows the ec2:CreateVpc action. Encoded authorization failure message: AbCdEf0123456789_-AbCdEf",
        Kind::MissingPermission,
        Some("ec2:CreateVpc"),
        Some("arn:aws:ec2:eu-west-1:111122223333:vpc/*"),
    ),
    // Models.
    ("AccessDeniedException: You don't have access to the model with the specified model ID.", Kind::ModelAccess, None, None),
    (
        "ResourceNotFoundException: Model use case details have not been submitted for this account. Fill out the Anthropic use case details form before using the model.",
        Kind::ModelAccess,
        None,
        None,
    ),
    (
        "An error occurred (AccessDeniedException) when calling the Converse operation: Model access is denied due to IAM user or service role is not authorized to perform the required AWS Marketplace actions (aws-marketplace:ViewSubscriptions, aws-marketplace:Subscribe) to enable access to this model.",
        Kind::ModelAccess,
        Some("aws-marketplace:ViewSubscriptions"),
        None,
    ),
    // Prerequisites.
    (
        "SSM parameter /cdk-bootstrap/hnb659fds/version not found. Has the environment been bootstrapped?",
        Kind::MissingPrerequisite,
        None,
        Some("/cdk-bootstrap/hnb659fds/version"),
    ),
    (
        "This CDK deployment requires bootstrap stack version '14', found '6'. Please run 'cdk bootstrap'.",
        Kind::MissingPrerequisite,
        None,
        None,
    ),
    ("ParameterNotFound: /shop/db/password", Kind::MissingPrerequisite, None, None),
    ("Secrets Manager can't find the specified secret: shop/key", Kind::MissingPrerequisite, None, Some("shop/key")),
    ("Unable to fetch parameters [/shop/key] from parameter store for this account.", Kind::MissingPrerequisite, None, Some("/shop/key")),
    ("NoSuchEntity: The role with name exec cannot be found", Kind::MissingPrerequisite, None, Some("exec")),
    ("No export named net-vpc found. Rollback requested by user.", Kind::MissingPrerequisite, None, Some("net-vpc")),
    ("The specified bucket does not exist (Service: S3, Status Code: 404, Request ID: 1)", Kind::MissingPrerequisite, None, None),
    (
        "Error: no OpenIDConnect provider found in your account for https://token.actions.githubusercontent.com",
        Kind::MissingPrerequisite,
        None,
        None,
    ),
    // Quotas and rates.
    ("LimitExceededException: Cannot exceed quota for PolicySize: 6144", Kind::Quota, None, None),
    ("The maximum number of VPCs has been reached. (Service: Ec2, Status Code: 400, Request ID: 1)", Kind::Quota, None, None),
    ("ServiceQuotaExceededException: You have reached the maximum number of knowledge bases", Kind::Quota, None, None),
    ("Account-level service quota exceeded for ENIs", Kind::Quota, None, None),
    ("ThrottlingException: Too many tokens, please wait before trying again.", Kind::Throttling, None, None),
    ("Throttling: Rate exceeded\n\tstatus code: 400, request id: 1", Kind::Throttling, None, None),
    ("SlowDown: Please reduce your request rate.", Kind::Throttling, None, None),
    // Conflicts.
    ("EntityAlreadyExists: Role with name app already exists.", Kind::Conflict, None, Some("app")),
    (
        "BucketAlreadyOwnedByYou: Your previous request to create the named bucket succeeded and you already own it.",
        Kind::Conflict,
        None,
        None,
    ),
    ("ResourceInUseException: Table already exists: orders", Kind::Conflict, None, Some("orders")),
    ("ConflictException: Another operation is in progress for this function", Kind::Conflict, None, None),
    ("Stack [shop] already exists", Kind::Conflict, None, Some("shop")),
    (
        "Stack:arn:aws:cloudformation:eu-west-1:111122223333:stack/shop/1-2 is in ROLLBACK_COMPLETE state and can not be updated.",
        Kind::Conflict,
        None,
        Some("arn:aws:cloudformation:eu-west-1:111122223333:stack/shop/1-2"),
    ),
    ("Error acquiring the state lock: ConditionalCheckFailedException", Kind::Conflict, None, None),
    // Requests.
    ("Template format error: YAML not well-formed. (line 3, column 5)", Kind::InvalidRequest, None, None),
    ("ValidationError: Template error: instance of Fn::GetAtt references undefined resource Q", Kind::InvalidRequest, None, None),
    ("MalformedPolicyDocument: Syntax errors in policy.", Kind::InvalidRequest, None, None),
    ("InvalidParameterValueException: Unzipped size must be smaller than 262144000 bytes", Kind::Quota, None, None),
    // Credentials.
    (
        "An error occurred (ExpiredToken) when calling the PutObject operation: The provided token has expired.",
        Kind::BadCredentials,
        None,
        None,
    ),
    ("Error: No valid credential sources found", Kind::BadCredentials, None, None),
    ("The security token included in the request is invalid.", Kind::BadCredentials, None, None),
    ("Need to perform AWS calls for account 111122223333, but no credentials have been configured", Kind::BadCredentials, None, None),
    // Cascades.
    ("Resource update cancelled", Kind::Cascade, None, None),
    ("The following resource(s) failed to delete: [AccessDeniedRole, QuotaTopic].", Kind::Cascade, None, None),
    ("UPDATE_ROLLBACK_COMPLETE", Kind::Cascade, None, None),
];

#[test]
fn relatives_of_known_messages_come_to_the_same() {
    let wrong: Vec<String> = RELATIVES
        .iter()
        .filter_map(|(text, kind, action, resource)| {
            let found = read(text);
            let expected = (*kind, action.map(str::to_owned), resource.map(str::to_owned));
            (found != expected).then(|| format!("{text}\n  {found:?}\n  {expected:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
