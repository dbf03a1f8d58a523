use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::alarms::Alarm;
use super::policy_store::DEPLOYMENT;
use super::{Alarms, DeadLetters, Grant, Queue, logical, physical};
use crate::cfn::{self, Exp, Parameter, Template, iam, lambda, logs};

/// How long an invocation may take. A batch takes well under a second; the rest is room for AWS's own retries.
pub(crate) const TIMEOUT_SECONDS: i32 = 30;

const LOG_RETENTION_DAYS: i32 = 30;

/// A Lambda function with its own role, log group, code parameter and alarms.
#[derive(Debug)]
pub struct Function {
    name: &'static str,
    id: String,
    code_key: &'static str,
    memory_mb: i32,
    timeout_seconds: i32,
    environment: BTreeMap<String, Exp>,
    grants: Vec<Grant>,
    sources: Vec<(i32, Exp, Batches)>,
    may_wake_itself: bool,
    invoked_by_logs: bool,
}

/// How a function takes messages of its queue.
#[derive(Debug, Clone, Copy)]
pub struct Batches {
    /// Messages in a batch at most.
    pub size: i32,
    /// Batches at work at once at most, if bounded. SQS takes 2 at least.
    pub at_once: Option<i32>,
}

impl Function {
    /// A function whose code is the object that the parameter `code_key` names.
    #[must_use]
    pub fn new(name: &'static str, code_key: &'static str, memory_mb: i32) -> Self {
        Self {
            name,
            id: function_id(name),
            code_key,
            memory_mb,
            timeout_seconds: TIMEOUT_SECONDS,
            environment: BTreeMap::from([("RUST_LOG".to_owned(), "info".into())]),
            grants: Vec::new(),
            sources: Vec::new(),
            may_wake_itself: false,
            invoked_by_logs: false,
        }
    }

    /// Leave for its role.
    pub fn allow(&mut self, grant: Grant) {
        self.grants.push(grant);
    }

    /// A variable of its environment.
    pub(crate) fn env(&mut self, name: impl Into<String>, value: Exp) {
        self.environment.insert(name.into(), value);
    }

    /// Runs it on the messages of a queue, and lets it take them. It answers which messages of a batch failed.
    pub fn consume(&mut self, queue: &Queue, batches: Batches) {
        self.allow(queue.consume());
        self.sources.push((queue.window_seconds, queue.arn(), batches));
    }

    /// Lets it send messages to the queue that runs it, for as long as it has cause to. Lambda otherwise takes this for
    /// a runaway and stops it after about 16 rounds:
    /// <https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html>.
    pub const fn may_wake_itself(&mut self) {
        self.may_wake_itself = true;
    }

    /// Lets an invocation take longer than others do.
    pub const fn may_take(&mut self, seconds: i32) {
        self.timeout_seconds = seconds;
    }

    /// Lets subscriptions of this account's log groups run it. What it could not take after Lambda's own two tries goes
    /// to a dead-letter queue as it came:
    /// <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html>.
    pub const fn take_logs(&mut self) {
        self.invoked_by_logs = true;
    }

    /// Adds it, with everything that belongs to it.
    pub fn add(mut self, template: &mut Template, alarms: &Alarms) -> AddedFunction {
        let (role, log_group) = (format!("{}Role", logical(self.name)), format!("{}Logs", logical(self.name)));
        template.parameter(self.code_key, Parameter::required("Object in CodeBucket with this function's zip"));
        template.add(
            log_group.as_str(),
            &logs::LogGroup! {
                log_group_name: cfn::sub(format!("/aws/lambda/${{AWS::StackName}}-{}", self.name)), retention_in_days: LOG_RETENTION_DAYS
            },
        );
        // Streams are named by Lambda as it starts instances, so their names cannot be known: the one star in the stack.
        let streams = cfn::sub(format!(
            "arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:/aws/lambda/${{AWS::StackName}}-{}:*",
            self.name
        ));
        let dead_letters = self.invoked_by_logs.then(|| DeadLetters::new(template, alarms, self.name));
        if let Some(dead_letters) = &dead_letters {
            self.grants.push(dead_letters.send());
        }
        let own = Grant::new("WriteOwnLogs", ["logs:CreateLogStream", "logs:PutLogEvents"], vec![streams]);
        let statements: Value = self.grants.iter().chain([&own]).enumerate().map(|(place, grant)| grant.statement(place)).collect();
        // No name: role names are global to the account, and the stack may stand in two Regions of it.
        template.add(
            role.as_str(),
            &iam::Role! {
                assume_role_policy_document: json!({
                    "Version": "2012-10-17",
                    "Statement": [{ "Effect": "Allow", "Principal": { "Service": "lambda.amazonaws.com" }, "Action": "sts:AssumeRole" }]
                }),
                policies: vec![iam::role::Policy! {
                    policy_name: self.name, policy_document: json!({ "Version": "2012-10-17", "Statement": &statements })
                }]
            },
        );
        let mut function = lambda::Function! {
            function_name: physical(self.name),
            architectures: vec![cfn::reference("Architecture")],
            code: lambda::function::Code! { s3_bucket: cfn::reference("CodeBucket"), s3_key: cfn::reference(self.code_key) },
            runtime: "provided.al2023",
            handler: "bootstrap",
            memory_size: self.memory_mb,
            timeout: self.timeout_seconds,
            role: cfn::arn(&role),
            environment: lambda::function::Environment! { variables: self.environment },
            logging_config: lambda::function::LoggingConfig! { log_group: cfn::reference(&log_group), log_format: "Text" }
        };
        if self.may_wake_itself {
            function.recursive_loop = Some("Allow".into());
        }
        if let Some(dead_letters) = dead_letters {
            function.dead_letter_config = Some(lambda::function::DeadLetterConfig! { target_arn: dead_letters.arn() });
            template.add(
                format!("{}FromLogs", logical(self.name)),
                &lambda::Permission! {
                    function_name: cfn::arn(&self.id),
                    action: "lambda:InvokeFunction",
                    principal: "logs.amazonaws.com",
                    source_account: cfn::reference("AWS::AccountId")
                },
            );
        }
        template.add(self.id.as_str(), &function);
        for (window, queue, batches) in self.sources {
            let mut source = lambda::EventSourceMapping! {
                event_source_arn: queue,
                function_name: cfn::reference(&self.id),
                batch_size: batches.size,
                maximum_batching_window_in_seconds: window,
                function_response_types: vec!["ReportBatchItemFailures".into()]
            };
            source.scaling_config =
                batches.at_once.map(|at_once| lambda::eventsourcemapping::ScalingConfig! { maximum_concurrency: at_once });
            // No message before there is a policy to handle it by.
            template.add(format!("{}Source", logical(self.name)), &source).after(DEPLOYMENT);
        }
        for (metric, meaning) in [("Errors", "failed or was cut off"), ("Throttles", "was refused for want of concurrency")] {
            alarms.above(
                template,
                Alarm {
                    name: format!("{}-{}", self.name, metric.to_lowercase()),
                    meaning: format!("{} {meaning}: its messages come back by themselves, see its log", self.name),
                    namespace: "AWS/Lambda",
                    metric,
                    dimension: "FunctionName",
                    value: physical(self.name),
                    statistic: "Sum",
                    threshold: 0.0,
                },
            );
        }
        AddedFunction { id: self.id, memory_mb: self.memory_mb, role_size: rendered(&statements) }
    }
}

/// The logical id of the function of a name.
pub(crate) fn function_id(name: &str) -> String {
    format!("{}Function", logical(name))
}

/// A function that is in the template.
#[derive(Debug)]
pub struct AddedFunction {
    id: String,
    pub(crate) memory_mb: i32,
    /// How many characters its role's policy takes, give or take the lengths of names.
    pub(crate) role_size: usize,
}

impl AddedFunction {
    pub(crate) fn name(&self) -> Exp {
        cfn::reference(&self.id)
    }
}

/// About how long a policy is once its references are resolved.
fn rendered(value: &Value) -> usize {
    /// An ARN of a queue or table of a stack with a name of 16 characters.
    const ARN: usize = 80;
    match value {
        Value::Object(map) => match (map.len(), map.iter().next()) {
            (1, Some((key, Value::String(pattern)))) if key == "Fn::Sub" => {
                let known = [("${AWS::Partition}", 3), ("${AWS::Region}", 14), ("${AWS::AccountId}", 12), ("${AWS::StackName}", 16)];
                known.iter().fold(pattern.len() + 2, |size, (name, length)| {
                    let times = pattern.matches(name).count();
                    size + times * length - times * name.len()
                })
            }
            (1, Some((key, _))) if key == "Fn::GetAtt" => ARN,
            _ => map.iter().map(|(key, value)| key.len() + 4 + rendered(value)).sum::<usize>() + 2,
        },
        Value::Array(values) => values.iter().map(|value| rendered(value) + 1).sum::<usize>() + 2,
        other => other.to_string().len(),
    }
}
