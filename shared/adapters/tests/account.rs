//! Looks at an account, against a stand-in that answers as AWS documents it: what the local AWS does not have.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::env::VarError;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use flywheel_adapters::{AwsAccount, PipelineJobs, Registry, load_config};
use flywheel_engine::preflight::Answer;
use flywheel_model::Need;
use flywheel_ports::{JobFailure, Jobs, ResourceTypes, Surroundings};

/// What is used, as CloudWatch tells it in CBOR (RFC 8949).
fn metric_data(used: Option<f64>) -> Vec<u8> {
    fn text(bytes: &mut Vec<u8>, text: &str) {
        bytes.extend([0x78, u8::try_from(text.len()).unwrap()]);
        bytes.extend(text.as_bytes());
    }
    let mut bytes = vec![0xa1];
    text(&mut bytes, "MetricDataResults");
    bytes.extend([0x81, 0xa2]);
    text(&mut bytes, "Id");
    text(&mut bytes, "used");
    text(&mut bytes, "Values");
    match used {
        Some(used) => {
            bytes.extend([0x81, 0xfb]);
            bytes.extend(used.to_be_bytes());
        }
        None => bytes.push(0x80),
    }
    bytes
}

/// A request: the operation, and its body as sent.
type Request = (String, String);

/// Answers all services; keeps what was asked.
#[derive(Clone, Default)]
struct StandIn {
    asked: Arc<Mutex<Vec<Request>>>,
}

impl StandIn {
    async fn start() -> (Self, aws_types::SdkConfig) {
        let stand_in = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let own = stand_in.clone();
        let answer = move |uri: Uri, headers: HeaderMap, body: Bytes| {
            let answer = own.answer(&uri, &headers, &body);
            async move { answer }
        };
        let router = Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        let config = load_config(|name| match name {
            "AWS_REGION" => Ok("eu-west-1".to_owned()),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Ok("test".to_owned()),
            "AWS_ENDPOINT_URL" => Ok(url.clone()),
            _ => Err(VarError::NotPresent),
        });
        (stand_in, config.unwrap())
    }

    fn asked(&self, operation: &str) -> Vec<String> {
        self.asked.lock().unwrap().iter().filter(|(name, _)| name == operation).map(|(_, body)| body.clone()).collect()
    }

    fn answer(&self, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Response {
        let text = String::from_utf8_lossy(body).into_owned();
        let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).and_then(|target| target.split('.').nth(1));
        let action = || text.split('&').find_map(|field| field.strip_prefix("Action="));
        let operation = target.or_else(action).or_else(|| uri.path().rsplit('/').next()).unwrap_or_default().to_owned();
        self.asked.lock().unwrap().push((operation.clone(), text.clone()));
        let quota = |code: &str, more: &str| {
            format!(r#"{{"Quota":{{"ServiceCode":"vpc","QuotaCode":"{code}","Value":5.0{more}}}}}"#).into_response()
        };
        let metric = r#","UsageMetric":{"MetricNamespace":"AWS/Usage","MetricName":"ResourceCount","MetricDimensions":{"Service":"VPC"},"MetricStatisticRecommendation":"Maximum"}"#;
        let refused = |code: &str| (StatusCode::BAD_REQUEST, format!(r#"{{"__type":"{code}","message":"no"}}"#)).into_response();
        match operation.as_str() {
            "GetServiceQuota" if text.contains("L-DEFAULT1") => refused("NoSuchResourceException"),
            "GetServiceQuota" if text.contains("L-DENIED01") => refused("AccessDeniedException"),
            "GetServiceQuota" if text.contains("L-NOMETRIC") => quota("L-NOMETRIC", ""),
            "GetServiceQuota" if text.contains("L-RATE0001") => {
                quota("L-RATE0001", r#","Period":{"PeriodValue":1,"PeriodUnit":"SECOND"}"#)
            }
            "GetServiceQuota" => quota("L-F678F1CE", &metric.replace("VPC", if text.contains("L-SILENT01") { "SILENT" } else { "VPC" })),
            "GetAWSDefaultServiceQuota" => quota("L-DEFAULT1", metric),
            "GetMetricData" => {
                let used = (!text.contains("SILENT")).then_some(4.0);
                ([("smithy-protocol", "rpc-v2-cbor"), ("content-type", "application/cbor")], metric_data(used)).into_response()
            }
            "GetAccountSummary" => {
                "<GetAccountSummaryResponse><GetAccountSummaryResult><SummaryMap><entry><key>Roles</key><value>999</value></entry><entry><key>RolesQuota</key><value>1000</value></entry></SummaryMap></GetAccountSummaryResult></GetAccountSummaryResponse>".into_response()
            }
            "SimulatePrincipalPolicy" => simulated(&text).into_response(),
            "DescribeType" if text.contains("Known") => {
                "<DescribeTypeResponse><DescribeTypeResult><Schema>{&quot;typeName&quot;:&quot;AWS::Well::Known&quot;}</Schema></DescribeTypeResult></DescribeTypeResponse>".into_response()
            }
            "DescribeType" => (
                StatusCode::NOT_FOUND,
                "<ErrorResponse><Error><Type>Sender</Type><Code>TypeNotFoundException</Code><Message>no</Message></Error></ErrorResponse>",
            )
                .into_response(),
            "PutJobFailureResult" if text.contains("done") => refused("InvalidJobStateException"),
            "PutJobFailureResult" if text.contains("gone") => refused("JobNotFoundException"),
            "PutJobFailureResult" | "PutJobSuccessResult" => "{}".into_response(),
            other => panic!("{other}: {text}"),
        }
    }
}

/// What IAM answers: each action is decided as its name says.
fn simulated(body: &str) -> String {
    let actions = body.split('&').filter_map(|field| field.split_once('=')).filter(|(name, _)| name.starts_with("ActionNames.member"));
    let results = actions.map(|(_, action)| {
        let action = action.replace("%3A", ":");
        let decision = if action.contains("Allowed") {
            "allowed"
        } else if action.contains("Denied") {
            "explicitDeny"
        } else {
            "implicitDeny"
        };
        let missing = if action.contains("Untold") { "<member>aws:SourceVpc</member>" } else { "" };
        let boundary = if action.contains("Bound") { "false" } else { "true" };
        format!(
            "<member><EvalActionName>{action}</EvalActionName><EvalResourceName>r</EvalResourceName><EvalDecision>{decision}</EvalDecision><ResourceSpecificResults><member><EvalResourceName>r</EvalResourceName><EvalResourceDecision>{decision}</EvalResourceDecision><MissingContextValues>{missing}</MissingContextValues><PermissionsBoundaryDecisionDetail><AllowedByPermissionsBoundary>{boundary}</AllowedByPermissionsBoundary></PermissionsBoundaryDecisionDetail></member></ResourceSpecificResults></member>"
        )
    });
    format!(
        "<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated><EvaluationResults>{}</EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>",
        results.collect::<String>()
    )
}

fn quota(service: &str, quota: &str, room: u32) -> Need {
    Need::Quota { service: service.to_owned(), quota: quota.to_owned(), room }
}

#[tokio::test]
async fn a_quota_has_room_is_full_or_cannot_be_looked_up() {
    let (_, config) = StandIn::start().await;
    let needs = [
        quota("vpc", "L-F678F1CE", 1),
        quota("vpc", "L-F678F1CE", 2),
        quota("vpc", "L-DEFAULT1", 2),
        quota("iam", "Roles", 1),
        quota("iam", "Roles", 2),
    ];
    let full = Answer::Full { used: 4, of: 5 };
    let answers = AwsAccount::new(&config).look(&needs).await;
    assert_eq!(answers, [Answer::Met, full.clone(), full, Answer::Met, Answer::Full { used: 999, of: 1_000 }]);
    for (need, why) in [
        (quota("vpc", "L-NOMETRIC", 1), "names no metric"),
        (quota("vpc", "L-RATE0001", 1), "it is a rate"),
        (quota("vpc", "L-SILENT01", 1), "CloudWatch was told of no use"),
        (quota("vpc", "L-DENIED01", 1), "AccessDeniedException"),
        (quota("iam", "Wishes", 1), "no Wishes with a quota"),
    ] {
        let answers = AwsAccount::new(&config).look(std::slice::from_ref(&need)).await;
        assert!(matches!(&answers[0], Answer::Unable(said) if said.contains(why)), "{need}: {answers:?}");
    }
}

#[tokio::test]
async fn iam_is_told_what_the_check_says_of_the_request_and_tells_what_it_was_not_told() {
    let (stand_in, config) = StandIn::start().await;
    let permission = |action: &str| Need::permission("arn:aws:iam::1:role/r", action, "arn:aws:sqs:us-west-2:1:q");
    let context = BTreeMap::from([("iam:PassedToService".to_owned(), vec!["lambda.amazonaws.com".to_owned()])]);
    let pass = Need::Permission {
        role: "arn:aws:iam::1:role/r".to_owned(),
        action: "iam:AllowedPass".to_owned(),
        resource: "*".to_owned(),
        context,
    };
    let needs = [
        permission("sqs:AllowedSend"),
        permission("sqs:AllowedUntold"),
        permission("sqs:DeniedUntold"),
        permission("sqs:DeniedSend"),
        permission("sqs:BoundSend"),
        permission("sqs:Send"),
        pass,
    ];
    let untold = || vec!["aws:SourceVpc".to_owned()];
    assert_eq!(
        AwsAccount::new(&config).look(&needs).await,
        [
            Answer::Met,
            Answer::MetUnless(untold()),
            Answer::Unclear(untold()),
            Answer::Denied,
            Answer::BeyondBoundary,
            Answer::Missing,
            Answer::Met
        ]
    );
    let asked = stand_in.asked("SimulatePrincipalPolicy");
    assert_eq!(asked.len(), 2, "one question for each role, resource and context");
    let (of_pass, of_queue) = if asked[0].contains("PassedToService") { (&asked[0], &asked[1]) } else { (&asked[1], &asked[0]) };
    assert!(of_pass.contains("lambda.amazonaws.com") && of_pass.contains("us-east-1"), "IAM's own requests are made there: {of_pass}");
    assert!(of_queue.contains("aws%3ARequestedRegion") && of_queue.contains("us-west-2"), "{of_queue}");
}

#[tokio::test]
async fn the_registry_gives_the_schema_of_a_type_that_it_knows() {
    let (_, config) = StandIn::start().await;
    let registry = Registry::new(&config);
    assert_eq!(registry.schema("AWS::Well::Known").await, Ok(Some(r#"{"typeName":"AWS::Well::Known"}"#.to_owned())));
    assert_eq!(registry.schema("AWS::Not::There").await, Ok(None));
}

#[tokio::test]
async fn a_job_is_answered_within_the_limits_and_an_answer_that_is_there_already_will_do() {
    let (stand_in, config) = StandIn::start().await;
    let jobs = PipelineJobs::new(&config);
    jobs.succeed("job", &"q".repeat(3_000)).await.unwrap();
    jobs.fail("job", JobFailure::Checks, &"q".repeat(6_000)).await.unwrap();
    jobs.fail("done", JobFailure::Configuration, "no").await.unwrap();
    assert!(jobs.fail("gone", JobFailure::Unavailable, "no").await.is_err());
    let summary = &stand_in.asked("PutJobSuccessResult")[0];
    assert_eq!((summary.matches('q').count(), summary.contains('…')), (2_047, true));
    let failures = stand_in.asked("PutJobFailureResult");
    assert_eq!(failures[0].matches('q').count(), 4_999);
    let kinds: Vec<bool> =
        ["JobFailed", "ConfigurationError", "SystemUnavailable"].iter().zip(&failures).map(|(kind, sent)| sent.contains(kind)).collect();
    assert_eq!(kinds, [true, true, true]);
}
