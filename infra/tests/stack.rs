//! What the template promises, checked on its JSON: as CloudFormation will see it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use flywheel_infra::{FUNCTIONS, Options, Target, synth};
use serde_json::{Map, Value, json};

const POLICY: &str = r#"
mode = "act"

[[data_source]]
knowledge_base = "KBHANDBOOK"
data_source = "DSHANDBOOK"
bucket = "handbook"

[[data_source]]
knowledge_base = "KBPRODUCTS"
data_source = "DSMANUALS1"
bucket = "products"
prefix = "manuals/"

[[data_source]]
knowledge_base = "KBPRODUCTS"
data_source = "DSNOTES001"
bucket = "products"
prefix = "notes*/"

[[timeout]]
workflow = "trip"
target = { parameter = "/trip/limits", field = "limit_seconds" }
ceiling_seconds = 120
queue = "trips"

[[timeout]]
workflow = "report"
target = { application = "app0001", environment = "env0001", profile = "prof001", strategy = "AppConfig.Linear50PercentEvery30Seconds" }
ceiling_seconds = 120

[[timeout]]
workflow = "import"
target = { function = "import" }
ceiling_seconds = 900

[experiments]
application = "app0002"
environment = "env0002"
profile = "prof002"
strategy = "atonce1"
model = "amazon.nova-lite-v1:0"

[[experiments.intent]]
intent = "billing"
flag = "billing-prompt"
control = "baseline"
"#;

fn options(target: Target) -> Options {
    Options { target, ..Options::default() }
}

fn template(target: Target) -> Value {
    let template = synth(POLICY, &options(target)).expect("a valid policy");
    serde_json::from_str(&template.compact()).expect("a template is JSON")
}

fn resources(template: &Value) -> &Map<String, Value> {
    template["Resources"].as_object().expect("resources")
}

fn of_kind<'a>(template: &'a Value, kind: &str) -> BTreeMap<&'a str, &'a Value> {
    resources(template)
        .iter()
        .filter(|(_, resource)| resource["Type"] == kind)
        .map(|(id, resource)| (id.as_str(), &resource["Properties"]))
        .collect()
}

/// `{"Fn::GetAtt": ["ChangesQueue", "Arn"]}` → `ChangesQueue`, `{"Fn::Sub": "…"}` → the pattern.
fn short(value: &Value) -> String {
    if let Some(reference) = value["Fn::GetAtt"][0].as_str().or(value["Ref"].as_str()) {
        reference.to_owned()
    } else if let Some(pattern) = value["Fn::Sub"].as_str() {
        pattern.replace("arn:${AWS::Partition}:", "").replace("${AWS::Region}:${AWS::AccountId}:", "").replace("${AWS::StackName}", "STACK")
    } else {
        value.to_string().replace('"', "")
    }
}

fn statements(role: &Value) -> &Vec<Value> {
    assert_eq!(role["Policies"].as_array().expect("policies").len(), 1);
    role["Policies"][0]["PolicyDocument"]["Statement"].as_array().expect("statements")
}

#[test]
fn the_same_policy_gives_the_same_bytes() {
    for target in [Target::Account, Target::Local] {
        let (first, second) = (synth(POLICY, &options(target)), synth(POLICY, &options(target)));
        assert_eq!(first.expect("valid").pretty(), second.expect("valid").pretty());
    }
}

#[test]
fn every_function_has_a_role_of_its_own() {
    let template = template(Target::Account);
    let functions = of_kind(&template, "AWS::Lambda::Function");
    let roles: BTreeSet<String> = functions.values().map(|function| short(&function["Role"])).collect();
    assert_eq!(functions.len(), FUNCTIONS.len());
    assert_eq!(roles.len(), functions.len());
    let machines: BTreeSet<String> =
        of_kind(&template, "AWS::StepFunctions::StateMachine").values().map(|machine| short(&machine["RoleArn"])).collect();
    assert!(machines.is_disjoint(&roles));
    assert_eq!(&roles | &machines, of_kind(&template, "AWS::IAM::Role").keys().map(|id| (*id).to_owned()).collect());
}

#[test]
fn a_guardrail_may_be_applied_where_the_policy_names_one_and_nowhere_else() {
    let granted = |policy: &str| -> BTreeSet<String> {
        let template = synth(policy, &options(Target::Account)).expect("a valid policy");
        let template: Value = serde_json::from_str(&template.compact()).expect("a template is JSON");
        let is_granted = |role: &&Value| statements(role).iter().any(|statement| statement.to_string().contains("bedrock:ApplyGuardrail"));
        of_kind(&template, "AWS::IAM::Role").into_iter().filter(|(_, role)| is_granted(role)).map(|(id, _)| id.to_owned()).collect()
    };
    assert!(granted(POLICY).is_empty());
    let with = format!("{POLICY}\n[signals]\nguardrail = \"gr1abc2def3g:4\"\n");
    assert_eq!(granted(&with), ["CountSignalsRole", "ReadLogsRole"].map(str::to_owned).into());
}

/// The list is the review: a change to what a function may do changes it. `UPDATE_GOLDEN=1 cargo test` writes it anew.
#[test]
fn roles_hold_exactly_these_grants() {
    let template = template(Target::Account);
    let mut table = String::new();
    for (role, properties) in of_kind(&template, "AWS::IAM::Role") {
        writeln!(table, "{role}").expect("a string takes it");
        let mut lines = BTreeSet::new();
        for statement in statements(properties) {
            assert_eq!(statement["Effect"], "Allow");
            let condition =
                if statement["Condition"].is_null() { String::new() } else { format!(" if {}", short(&statement["Condition"])) };
            for action in statement["Action"].as_array().expect("actions") {
                for resource in statement["Resource"].as_array().expect("resources") {
                    lines.insert(format!("  {} on {}{condition}", short(action), short(resource)));
                }
            }
        }
        for line in lines {
            writeln!(table, "{line}").expect("a string takes it");
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/grants.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &table).expect("the golden file can be written");
    }
    assert_eq!(table, std::fs::read_to_string(path).expect("the golden file is there"));
}

/// What the checks before releases ask, and who learns them.
const LOOKS: [&str; 12] = [
    "iam:SimulatePrincipalPolicy",
    "iam:GetRole",
    "ssm:GetParameter",
    "ssm:DescribeParameters",
    "secretsmanager:DescribeSecret",
    "s3:ListAllMyBuckets",
    "bedrock:GetFoundationModelAvailability",
    "sts:DecodeAuthorizationMessage",
    "servicequotas:GetServiceQuota",
    "servicequotas:GetAWSDefaultServiceQuota",
    "cloudwatch:GetMetricData",
    "iam:GetAccountSummary",
];

/// Answers to a pipeline that waits for them: they change nothing but its own job, whose id only the pipeline knows.
const ANSWERS: [&str; 2] = ["codepipeline:PutJobSuccessResult", "codepipeline:PutJobFailureResult"];

/// No check writes: the role that makes them may look, tell of it, and nothing else.
#[test]
fn who_makes_checks_before_releases_can_only_read() {
    let template = template(Target::Account);
    let roles = of_kind(&template, "AWS::IAM::Role");
    for statement in statements(roles["RunPreflightRole"]) {
        for action in statement["Action"].as_array().expect("actions") {
            let action = action.as_str().expect("an action");
            let own = ["s3:GetObject", "s3:ListBucket", "events:PutEvents", "logs:CreateLogStream", "logs:PutLogEvents"];
            let policy = action.starts_with("appconfig:");
            assert!(LOOKS.contains(&action) || own.contains(&action) || ANSWERS.contains(&action) || policy, "{action}");
        }
    }
}

#[test]
fn nothing_is_granted_with_a_star_but_streams_of_a_log_group_objects_of_a_prefix_and_looks_at_the_account() {
    let template = template(Target::Account);
    let mut policies: Vec<&Value> = of_kind(&template, "AWS::IAM::Role").values().flat_map(|role| statements(role)).collect();
    for kind in ["AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"] {
        policies.extend(
            of_kind(&template, kind).values().flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().expect("statements")),
        );
    }
    for statement in policies {
        assert!(!statement["Action"].to_string().contains('*'), "{statement}");
        assert_ne!(statement["Principal"], "*", "{statement}");
        let resources = statement["Resource"].as_array().cloned().unwrap_or_else(|| vec![statement["Resource"].clone()]);
        for resource in resources {
            let name = short(&resource);
            let streams = name.starts_with("logs:log-group:/aws/lambda/STACK-") && name.ends_with(":*") && name.matches('*').count() == 1;
            // Objects of a prefix of the stack's own buckets: their names are made as they are written.
            let prefixes = [
                "${EvidenceBucket.Arn}/observations/",
                "${DatasetsBucket.Arn}/cases/",
                "${DatasetsBucket.Arn}/tests/",
                "${DatasetsBucket.Arn}/prompts/",
                "${LedgerBucket.Arn}/entries/",
            ];
            let objects = prefixes.iter().any(|prefix| name.starts_with(prefix)) && name.matches('*').count() == 1;
            // Versions of the team's flags, and deployments of them, get their numbers as they are made.
            let versions = "appconfig:application/app0002/configurationprofile/prof002/hostedconfigurationversion/*";
            let numbered = [versions, "appconfig:application/app0002/environment/env0002/deployment/*"].contains(&name.as_str());
            // What releases need is learned after the deployment. Looking at it changes nothing, and reads no content.
            let looks = statement["Action"]
                .as_array()
                .is_some_and(|actions| actions.iter().all(|action| LOOKS.contains(&action.as_str().unwrap_or_default())));
            // A pipeline's jobs have no ARN.
            let answers = statement["Action"]
                .as_array()
                .is_some_and(|actions| actions.iter().all(|action| ANSWERS.contains(&action.as_str().unwrap_or_default())));
            // Step Functions sets the delivery of its log up by actions that know no resource.
            let delivers = statement["Sid"].as_str().is_some_and(|sid| sid.starts_with("DeliverLogs"));
            assert!(streams || objects || numbered || looks || answers || delivers || !name.contains('*'), "{statement}");
        }
    }
}

#[test]
fn every_queue_has_dead_letters_that_are_kept_long_encryption_and_two_alarms() {
    let template = template(Target::Account);
    let queues = of_kind(&template, "AWS::SQS::Queue");
    let alarms = of_kind(&template, "AWS::CloudWatch::Alarm");
    let watched = |queue: &Value, metric: &str| {
        alarms.values().any(|alarm| alarm["MetricName"] == metric && alarm["Dimensions"][0]["Value"] == queue["QueueName"])
    };
    let mut dead_letters = BTreeSet::new();
    for (id, queue) in &queues {
        assert_eq!(queue["SqsManagedSseEnabled"], true, "{id}");
        assert_eq!(queue["MessageRetentionPeriod"], 1_209_600, "{id}");
        if let Some(target) = queue["RedrivePolicy"].get("deadLetterTargetArn") {
            assert!(dead_letters.insert(short(target)), "{id} shares its dead-letter queue");
            assert!(watched(queue, "ApproximateAgeOfOldestMessage"), "{id}");
        } else {
            assert!(watched(queue, "ApproximateNumberOfMessagesVisible"), "{id}");
        }
    }
    // One is of a function that no queue runs.
    let functions = of_kind(&template, "AWS::Lambda::Function");
    let of_functions: Vec<_> =
        functions.values().map(|function| &function["DeadLetterConfig"]["TargetArn"]).filter(|arn| !arn.is_null()).collect();
    assert_eq!(of_functions.len(), 1);
    assert_eq!(queues.len(), 2 * dead_letters.len() + 1);
}

/// CloudWatch may publish to the topic for this account's alarms, and the rule for escalations may; nobody else. Whatever encrypts it lets CloudWatch.
#[test]
fn every_alarm_tells_one_topic_of_its_beginning_and_its_end() {
    let template = template(Target::Account);
    let alarms = of_kind(&template, "AWS::CloudWatch::Alarm");
    assert_eq!(alarms.len(), 72);
    for (id, alarm) in alarms {
        for actions in ["AlarmActions", "OKActions"] {
            assert_eq!(alarm[actions], json!([{ "Ref": "AlarmTopic" }]), "{id} {actions}");
        }
    }
    let policies = of_kind(&template, "AWS::SNS::TopicPolicy");
    let statements = &policies["AlarmTopicPolicy"]["PolicyDocument"]["Statement"];
    assert_eq!(statements.as_array().map(Vec::len), Some(2));
    assert_eq!(statements[1]["Principal"], json!({ "Service": "events.amazonaws.com" }));
    assert_eq!(short(&statements[1]["Condition"]["ArnEquals"]["aws:SourceArn"]), "Escalations");
    assert_eq!(statements[0]["Principal"], json!({ "Service": "cloudwatch.amazonaws.com" }));
    assert_eq!(statements[0]["Condition"], json!({ "StringEquals": { "aws:SourceAccount": { "Ref": "AWS::AccountId" } } }));
    // With alias/aws/sns alarms would not get through: a key of the team's own, or none.
    let topic = of_kind(&template, "AWS::SNS::Topic")["AlarmTopic"];
    assert_eq!(topic["KmsMasterKeyId"], json!({ "Fn::If": ["HasAlarmTopicKey", { "Ref": "AlarmTopicKey" }, { "Ref": "AWS::NoValue" }] }));
    assert_eq!(template["Outputs"]["AlarmTopic"]["Value"], json!({ "Ref": "AlarmTopic" }));
    // An e-mail address is the stack's parameter, and without one nobody is subscribed.
    assert_eq!(template["Resources"]["AlarmSubscription"]["Condition"], "HasAlarmEmail");
}

#[test]
fn every_function_has_logs_that_expire_alarms_and_partial_batches_in_good_time() {
    let template = template(Target::Account);
    let sources = of_kind(&template, "AWS::Lambda::EventSourceMapping");
    let queues = of_kind(&template, "AWS::SQS::Queue");
    let alarms = of_kind(&template, "AWS::CloudWatch::Alarm");
    for (id, function) in of_kind(&template, "AWS::Lambda::Function") {
        let logs = &resources(&template)[&short(&function["LoggingConfig"]["LogGroup"])]["Properties"];
        assert_eq!(logs["RetentionInDays"], 30, "{id}");
        for metric in ["Errors", "Throttles"] {
            assert!(
                alarms.values().any(|alarm| alarm["MetricName"] == metric && alarm["Dimensions"][0]["Value"] == function["FunctionName"]),
                "{id} {metric}"
            );
        }
        if !function["DeadLetterConfig"].is_null() {
            // Subscriptions of log groups run it.
            assert_eq!(id, "ReadLogsFunction");
            continue;
        }
        if ["RunPreflightFunction", "CheckPolicyFunction"].contains(&id) {
            // A pipeline runs it and waits for its answer; AppConfig does.
            continue;
        }
        let source = sources.values().find(|source| short(&source["FunctionName"]) == id).expect("a source");
        assert_eq!(source["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
        let queue = queues[short(&source["EventSourceArn"]).as_str()];
        let window = source["MaximumBatchingWindowInSeconds"].as_i64().expect("a window");
        let timeout = function["Timeout"].as_i64().expect("a timeout");
        assert!(queue["VisibilityTimeout"].as_i64().expect("a visibility timeout") >= 6 * timeout + window, "{id}");
        // SQS: batches above 10 need a window.
        assert!(source["BatchSize"].as_i64().expect("a size") <= 10 || window >= 1, "{id}");
    }
}

/// Its wakes come back to it by way of its own queue, and Lambda stops such a loop unless it is told that it is meant.
#[test]
fn only_the_functions_that_wake_themselves_may_loop() {
    let template = template(Target::Account);
    let looping: Vec<&str> = of_kind(&template, "AWS::Lambda::Function")
        .into_iter()
        .filter(|(_, function)| function["RecursiveLoop"] == "Allow")
        .map(|(id, _)| id)
        .collect();
    assert_eq!(looping, ["AssembleConversationsFunction", "SyncKnowledgeBasesFunction"]);
}

#[test]
fn rules_reach_their_queue_and_no_other_sender_does() {
    let template = template(Target::Account);
    let policies = of_kind(&template, "AWS::SQS::QueuePolicy");
    for (id, rule) in of_kind(&template, "AWS::Events::Rule") {
        let target = &rule["Targets"][0];
        if id == "Escalations" {
            // People read it, and the ledger has it if they do not get it.
            assert_eq!(target["Arn"], json!({ "Ref": "AlarmTopic" }));
            continue;
        }
        for queue in [short(&target["Arn"]), short(&target["DeadLetterConfig"]["Arn"])] {
            let policy = policies[format!("{queue}Policy").as_str()];
            let statements = policy["PolicyDocument"]["Statement"].as_array().expect("statements");
            assert_eq!(statements.len(), 1);
            assert_eq!(statements[0]["Principal"], json!({ "Service": "events.amazonaws.com" }));
            let senders = statements[0]["Condition"]["ArnEquals"]["aws:SourceArn"].as_array().expect("senders");
            assert!(senders.iter().any(|sender| short(sender) == id), "{id} may not send to {queue}");
        }
    }
}

#[test]
fn the_local_stack_differs_in_the_archive_in_plain_http_in_locks_and_in_keeping_data_only() {
    let (mut account, local) = (template(Target::Account), template(Target::Local));
    let resources = account["Resources"].as_object_mut().expect("resources");
    assert!(resources.remove("Archive").is_some());
    for bucket in ["EvidenceBucket", "DatasetsBucket", "ChecksBucket", "LedgerBucket"] {
        assert!(resources.remove(&format!("{bucket}Policy")).is_some());
        let bucket = &mut resources[bucket];
        assert_eq!(bucket["DeletionPolicy"], "Retain");
        bucket["DeletionPolicy"] = json!("Delete");
        bucket["UpdateReplacePolicy"] = json!("Delete");
    }
    for table in ["StateTable", "LedgerTable", "SignalsTable", "CasesTable", "ReleasesTable", "SwitchTable", "ApprovalsTable"] {
        assert_eq!(resources[table]["DeletionPolicy"], "Retain");
        resources[table]["DeletionPolicy"] = json!("Delete");
        resources[table]["UpdateReplacePolicy"] = json!("Delete");
        resources[table]["Properties"]["DeletionProtectionEnabled"] = json!(false);
    }
    let ledger = &mut resources["LedgerBucket"]["Properties"];
    assert_eq!(ledger["ObjectLockConfiguration"]["Rule"]["DefaultRetention"], json!({ "Mode": "GOVERNANCE", "Days": 365 }));
    for property in ["ObjectLockEnabled", "ObjectLockConfiguration", "VersioningConfiguration"] {
        assert!(ledger.as_object_mut().expect("properties").remove(property).is_some());
    }
    ledger["LifecycleConfiguration"] = local["Resources"]["LedgerBucket"]["Properties"]["LifecycleConfiguration"].clone();
    assert_eq!(account, local);
}

#[test]
fn a_question_waits_as_long_as_the_policy_says_and_its_end_is_told() {
    let policy = format!("{POLICY}\n[approvals]\ndeadline_hours = 2\n");
    let template = synth(&policy, &options(Target::Account)).expect("a valid policy");
    let template: Value = serde_json::from_str(&template.compact()).expect("a template is JSON");
    let machines = of_kind(&template, "AWS::StepFunctions::StateMachine");
    let machine = machines["ApprovalsMachine"];
    let definition: Value = serde_json::from_str(machine["DefinitionString"].as_str().expect("a text")).expect("JSON");
    let ask = &definition["States"]["Ask"];
    assert_eq!(ask["TimeoutSeconds"], 7_200);
    assert_eq!(ask["Catch"][0]["ErrorEquals"], json!(["States.Timeout"]));
    assert_eq!(definition["States"][ask["Catch"][0]["Next"].as_str().expect("a state")]["End"], true);
    assert_eq!(machine["DefinitionSubstitutions"], json!({ "Questions": { "Ref": "ApprovalsQueue" } }));
    // Its log holds no tokens.
    assert_eq!(machine["LoggingConfiguration"]["IncludeExecutionData"], false);
    assert_eq!(machine["LoggingConfiguration"]["Level"], "ALL");
    assert_eq!(of_kind(&template, "AWS::Logs::LogGroup")["ApprovalsMachineLogs"]["RetentionInDays"], 30);
}

#[test]
fn only_who_has_changes_of_high_risk_may_ask_people() {
    let template = template(Target::Account);
    let may_ask = |role: &&Value| statements(role).iter().any(|statement| statement.to_string().contains("states:StartExecution"));
    let roles: Vec<&str> = of_kind(&template, "AWS::IAM::Role").into_iter().filter(|(_, role)| may_ask(role)).map(|(id, _)| id).collect();
    assert_eq!(roles, ["AdjustTimeoutsRole", "RunExperimentsRole"]);
}

#[test]
fn the_policy_is_deployed_as_it_was_written() {
    let template = template(Target::Account);
    assert_eq!(of_kind(&template, "AWS::AppConfig::HostedConfigurationVersion")["PolicyVersion"]["Content"], POLICY);
    for source in resources(&template).values().filter(|resource| resource["Type"] == "AWS::Lambda::EventSourceMapping") {
        assert_eq!(source["DependsOn"], json!(["PolicyDeployment"]));
    }
}

#[test]
fn no_policy_is_deployed_before_the_validator_looked_at_it_and_it_may_do_nothing_but_look() {
    let template = template(Target::Account);
    let (_, profile) = of_kind(&template, "AWS::AppConfig::ConfigurationProfile").pop_first().expect("a profile");
    assert_eq!(profile["Validators"], json!([{ "Type": "LAMBDA", "Content": { "Fn::GetAtt": ["CheckPolicyFunction", "Arn"] } }]));
    assert_eq!(resources(&template)["PolicyProfile"]["DependsOn"], json!(["PolicyValidation"]));
    let permissions = of_kind(&template, "AWS::Lambda::Permission");
    assert_eq!(permissions["PolicyValidation"]["Principal"], "appconfig.amazonaws.com");
    let unlimited: Vec<&str> =
        permissions.iter().filter(|(_, permission)| permission.get("SourceAccount").is_none()).map(|(id, _)| *id).collect();
    assert_eq!(unlimited, ["PolicyValidation"], "all others name the account that may have the function run");
    let granted = statements(of_kind(&template, "AWS::IAM::Role")["CheckPolicyRole"]);
    assert!(matches!(&granted[..], [own] if own["Action"] == json!(["logs:CreateLogStream", "logs:PutLogEvents"])), "{granted:?}");
}

#[test]
fn a_policy_that_is_replaced_is_kept_for_a_rollback_and_goes_with_the_stack() {
    let version = &template(Target::Account)["Resources"]["PolicyVersion"];
    assert_eq!((&version["UpdateReplacePolicy"], &version["DeletionPolicy"]), (&json!("Retain"), &json!("Delete")));
}

#[test]
fn a_bad_policy_gives_no_template() {
    assert!(synth("mode = \"act\"\n", &Options::default()).is_err());
    let resolve = format!("{POLICY}# {{{{resolve:ssm:name}}}}\n");
    assert!(synth(&resolve, &Options::default()).expect_err("CloudFormation would change it").to_string().contains("resolve"));
}

#[test]
fn many_buckets_take_several_rules_and_too_many_prefixes_are_refused() {
    let policy = |count: usize, prefix: &dyn Fn(usize) -> String| {
        (0..count).fold("mode = \"act\"\n".to_owned(), |mut text, n| {
            write!(text, "[[data_source]]\nknowledge_base = \"KB{n:08}\"\ndata_source = \"DS{n:08}\"\nbucket = \"a-bucket-with-quite-a-long-name-{n:04}\"\nprefix = \"{}\"\n", prefix(n))
                .expect("a string takes it");
            text
        })
    };
    let many = synth(&policy(60, &|_| "docs/".to_owned()), &Options::default()).expect("fits").compact();
    let many: Value = serde_json::from_str(&many).expect("JSON");
    let rules = of_kind(&many, "AWS::Events::Rule");
    let mut buckets = 0;
    for (_, rule) in rules.iter().filter(|(id, _)| id.starts_with("DocumentChanges")) {
        assert!(rule["EventPattern"].to_string().len() <= 2_048);
        buckets += rule["EventPattern"]["detail"]["bucket"]["name"].as_array().expect("names").len();
    }
    assert_eq!(buckets, 60);
    let refused = synth(&policy(60, &|n| format!("some-quite-long-prefix-{n}/")), &Options::default()).expect_err("a role has a size");
    assert!(refused.to_string().contains("10240"), "{refused}");
}

#[test]
fn tables_are_named_in_full_where_the_stack_is_known() {
    let named = synth(POLICY, &Options { stack: Some("blue".to_owned()), ..Options::default() }).expect("valid").compact();
    let named: Value = serde_json::from_str(&named).expect("JSON");
    assert_eq!(of_kind(&named, "AWS::DynamoDB::Table")["StateTable"]["TableName"], "blue-state");
}

#[test]
fn more_variables_reach_every_function() {
    let environment = BTreeMap::from([("AWS_ENDPOINT_URL_BEDROCK_AGENT".to_owned(), "http://127.0.0.1:1".to_owned())]);
    let template = synth(POLICY, &Options { environment, ..options(Target::Local) }).expect("valid").compact();
    let template: Value = serde_json::from_str(&template).expect("JSON");
    for function in of_kind(&template, "AWS::Lambda::Function").values() {
        assert_eq!(function["Environment"]["Variables"]["AWS_ENDPOINT_URL_BEDROCK_AGENT"], "http://127.0.0.1:1");
    }
}

/// The example says of its values that they are the defaults.
#[test]
fn the_example_policy_is_valid_and_shows_the_defaults() {
    use flywheel_model::CaptureReason;
    use flywheel_policy::{CapturePolicy, Policy};
    let example = Policy::parse(include_str!("../policy.toml")).expect("the example is valid");
    let defaults = Policy::parse(POLICY).expect("valid");
    assert_eq!((example.sync, example.quotas), (defaults.sync, defaults.quotas));
    assert_eq!((example.signals, example.failures, example.findings), (defaults.signals, defaults.failures, defaults.findings));
    assert_eq!(example.approvals, defaults.approvals);
    // It names each weight.
    let capture = CapturePolicy { weights: CaptureReason::ALL.map(|reason| (reason, 1.0)).into(), ..defaults.capture };
    assert_eq!(example.capture, capture);
    let text = r#"mode = "act"
[[unseen_source]]
knowledge_base = "KBHANDBOOK"
data_source = "DSHANDBOOK"
[[timeout]]
workflow = "trip-planner"
target = { parameter = "/trip-planner/limits", field = "limit_seconds" }
ceiling_seconds = 120
above = [{ name = "API Gateway HTTP API", seconds = 30 }]
exploration = {}
"#;
    assert_eq!(example.timeouts, Policy::parse(text).expect("valid").timeouts);
}
