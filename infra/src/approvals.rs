//! How a question waits for a person's answer.

use flywheel_policy::ApprovalPolicy;
use serde_json::{Value, json};

use crate::cfn::Template;
use crate::constructs::{Alarms, Queue, StateMachine};

/// Adds the state machine that sends each question to the queue, with the token that ends the wait, and waits until an answer or
/// the deadline.
pub(crate) fn add(template: &mut Template, alarms: &Alarms, queue: &Queue, policy: &ApprovalPolicy) -> StateMachine {
    StateMachine::new(template, alarms, "approvals", &definition(policy), &[("Questions", queue.url())], &[queue.send()])
}

fn definition(policy: &ApprovalPolicy) -> Value {
    // Whatever SQS answers, but for the end of the wait, which is no failure.
    let retry = json!([{ "ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 5, "MaxAttempts": 6, "BackoffRate": 2 }]);
    json!({
        "Comment": "Waits for a person's answer to a question; without one nothing is done",
        "StartAt": "Ask",
        "States": {
            "Ask": {
                "Type": "Task",
                "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
                "Parameters": {
                    "QueueUrl": "${Questions}",
                    "MessageBody": { "asks": { "request.$": "$.request", "token.$": "$$.Task.Token" } }
                },
                // The question names its deadline itself, and nobody can answer after it: this comes at about the same time.
                "TimeoutSeconds": policy.deadline_seconds(),
                "Retry": retry,
                "Catch": [{ "ErrorEquals": ["States.Timeout"], "ResultPath": "$.waited", "Next": "Expire" }],
                "Next": "Answered"
            },
            "Answered": { "Type": "Succeed" },
            "Expire": {
                "Type": "Task",
                "Resource": "arn:aws:states:::sqs:sendMessage",
                "Parameters": { "QueueUrl": "${Questions}", "MessageBody": { "expired": { "request.$": "$.request" } } },
                "Retry": retry,
                "End": true
            }
        }
    })
}
