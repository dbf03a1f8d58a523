use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::alarms::Alarm;
use super::{Alarms, Grant, logical, physical};
use crate::cfn::{self, Exp, Template, iam, logs, stepfunctions};

/// Executions are in Step Functions' own history for 90 days; their course is kept as long as the functions' logs.
const LOG_RETENTION_DAYS: i32 = 30;

/// A Step Functions state machine of type STANDARD, encrypted with AWS's own key, with a role, a log group and an alarm of its own.
#[derive(Debug)]
pub struct StateMachine {
    id: String,
}

impl StateMachine {
    /// Adds it. In the definition `${NAME}` stands for the value that `substitutions` have for the name; its role holds these
    /// grants, and what writing its log takes.
    pub fn new(
        template: &mut Template,
        alarms: &Alarms,
        name: &'static str,
        definition: &Value,
        substitutions: &[(&str, Exp)],
        grants: &[Grant],
    ) -> Self {
        let id = format!("{}Machine", logical(name));
        let (role, log_group) = (format!("{id}Role"), format!("{id}Logs"));
        template.add(
            log_group.as_str(),
            &logs::LogGroup! {
                // With this prefix no resource policy of the account grows with each state machine:
                // https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html.
                log_group_name: cfn::sub(format!("/aws/vendedlogs/states/${{AWS::StackName}}-{name}")),
                retention_in_days: LOG_RETENTION_DAYS
            },
        );
        let deliver = Grant::new(
            "DeliverLogs",
            [
                "logs:CreateLogDelivery",
                "logs:GetLogDelivery",
                "logs:UpdateLogDelivery",
                "logs:DeleteLogDelivery",
                "logs:ListLogDeliveries",
                "logs:PutResourcePolicy",
                "logs:DescribeResourcePolicies",
                "logs:DescribeLogGroups",
            ],
            // These actions know no resource (the same page).
            vec!["*".into()],
        );
        let statements: Value = grants.iter().chain([&deliver]).enumerate().map(|(place, grant)| grant.statement(place)).collect();
        template.add(
            role.as_str(),
            &iam::Role! {
                assume_role_policy_document: json!({
                    "Version": "2012-10-17",
                    "Statement": [{
                        "Effect": "Allow",
                        "Principal": { "Service": "states.amazonaws.com" },
                        "Action": "sts:AssumeRole",
                        "Condition": { "StringEquals": { "aws:SourceAccount": { "Ref": "AWS::AccountId" } } }
                    }]
                }),
                policies: vec![iam::role::Policy! {
                    policy_name: name, policy_document: json!({ "Version": "2012-10-17", "Statement": statements })
                }]
            },
        );
        let substitutions: BTreeMap<String, Value> =
            substitutions.iter().map(|(name, value)| ((*name).to_owned(), cfn::json(value))).collect();
        let destination = stepfunctions::statemachine::LogDestination! {
            cloud_watch_logs_log_group: Box::new(stepfunctions::statemachine::CloudWatchLogsLogGroup! { log_group_arn: cfn::arn(&log_group) })
        };
        template.add(
            id.as_str(),
            &stepfunctions::StateMachine! {
                state_machine_name: physical(name),
                state_machine_type: "STANDARD",
                definition_string: Exp::from(definition.to_string().as_str()),
                definition_substitutions: substitutions,
                role_arn: cfn::arn(&role),
                // Without the data: tokens that end a task are in it.
                logging_configuration: stepfunctions::statemachine::LoggingConfiguration! {
                    level: "ALL", include_execution_data: false, destinations: vec![destination]
                }
            },
        );
        alarms.above(
            template,
            Alarm {
                name: format!("{name}-failed"),
                meaning: format!("An execution of {name} failed: its history says where"),
                namespace: "AWS/States",
                metric: "ExecutionsFailed",
                dimension: "StateMachineArn",
                value: cfn::reference(&id),
                statistic: "Sum",
                threshold: 0.0,
            },
        );
        Self { id }
    }

    /// Leave to begin executions.
    #[must_use]
    pub fn start(&self) -> Grant {
        Grant::new("Start", ["states:StartExecution"], vec![self.arn()])
    }

    /// Its ARN.
    pub(crate) fn arn(&self) -> Exp {
        cfn::reference(&self.id)
    }
}
