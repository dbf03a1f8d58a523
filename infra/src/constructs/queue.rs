use serde_json::{Value, json};

use super::alarms::Alarm;
use super::function::TIMEOUT_SECONDS;
use super::{Alarms, Grant, Rule, logical, physical};
use crate::cfn::{self, Exp, Template, sqs};

/// How often a message is received before it goes to the dead-letter queue. With [`visibility_timeout`] this rides out
/// half an hour of an AWS service being unwell; what can never succeed is quarantined by the functions and does not
/// come here.
const RECEIVES: u32 = 10;

/// 14 days, the longest that SQS keeps a message: time to notice, mend and redrive.
const RETENTION_SECONDS: i32 = 1_209_600;

/// Six times the function's timeout, plus the batching window:
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>.
const fn visibility_timeout(timeout_seconds: i32, window_seconds: i32) -> i32 {
    6 * timeout_seconds + window_seconds
}

/// A queue with its dead-letter queue and an alarm on each: anything dead, anything waiting too long.
#[derive(Debug)]
pub struct Queue {
    id: String,
    name: &'static str,
    pub(crate) window_seconds: i32,
}

impl Queue {
    /// Adds the queue. Its consumer collects a batch for `window_seconds`; a message older than `late_after_seconds`
    /// raises an alarm.
    pub fn new(template: &mut Template, alarms: &Alarms, name: &'static str, window_seconds: i32, late_after_seconds: u32) -> Self {
        Self::add(template, alarms, name, visibility_timeout(TIMEOUT_SECONDS, window_seconds), window_seconds, late_after_seconds)
    }

    /// Adds a queue whose function takes up to so many seconds for its messages, and waits for no batch.
    pub fn worked_on_for(
        template: &mut Template,
        alarms: &Alarms,
        name: &'static str,
        timeout_seconds: i32,
        late_after_seconds: u32,
    ) -> Self {
        Self::add(template, alarms, name, visibility_timeout(timeout_seconds, 0), 0, late_after_seconds)
    }

    fn add(
        template: &mut Template,
        alarms: &Alarms,
        name: &'static str,
        visibility_timeout: i32,
        window_seconds: i32,
        late_after_seconds: u32,
    ) -> Self {
        let queue = Self { id: format!("{}Queue", logical(name)), name, window_seconds };
        // By name: a reference each way would be a circle.
        let source = format!("arn:${{AWS::Partition}}:sqs:${{AWS::Region}}:${{AWS::AccountId}}:${{AWS::StackName}}-{name}");
        let redrive = json!({ "redrivePermission": "byQueue", "sourceQueueArns": [{ "Fn::Sub": source }] });
        DeadLetters::add(template, alarms, name, redrive);
        template.add(
            queue.id.as_str(),
            &sqs::Queue! {
                queue_name: physical(name),
                message_retention_period: RETENTION_SECONDS,
                visibility_timeout: visibility_timeout,
                sqs_managed_sse_enabled: true,
                redrive_policy: json!({ "deadLetterTargetArn": cfn::json(&queue.dead_letters_arn()), "maxReceiveCount": RECEIVES })
            },
        );
        alarms.above(
            template,
            Alarm {
                name: format!("{name}-late"),
                meaning: format!("The oldest message of {name} has waited more than {late_after_seconds} seconds"),
                namespace: "AWS/SQS",
                metric: "ApproximateAgeOfOldestMessage",
                dimension: "QueueName",
                value: physical(name),
                statistic: "Maximum",
                threshold: f64::from(late_after_seconds),
            },
        );
        queue
    }

    /// Lets rules feed the queue, and nobody else without a role of their own. What EventBridge cannot deliver goes to
    /// the dead-letter queue as well, in the same form.
    pub fn fed_by(&self, template: &mut Template, rules: &[Rule<'_>]) {
        for rule in rules {
            rule.add(template, self);
        }
        for (id, queue) in
            [(format!("{}Policy", self.id), &self.id), (format!("{}Policy", self.dead_letters_id()), &self.dead_letters_id())]
        {
            let document = json!({
                "Version": "2012-10-17",
                "Statement": [{
                    "Sid": "OwnRules",
                    "Effect": "Allow",
                    "Principal": { "Service": "events.amazonaws.com" },
                    "Action": "sqs:SendMessage",
                    "Resource": cfn::json(&cfn::arn(queue)),
                    "Condition": { "ArnEquals": { "aws:SourceArn": rules.iter().map(|rule| cfn::json(&rule.arn())).collect::<Value>() } }
                }]
            });
            template.add(id, &sqs::QueuePolicy! { queues: vec![cfn::reference(queue)], policy_document: document });
        }
    }

    /// Leave to send messages.
    #[must_use]
    pub fn send(&self) -> Grant {
        Grant::new("Send", ["sqs:SendMessage"], vec![self.arn()])
    }

    /// Leave to take messages, for the function that the queue triggers.
    pub(crate) fn consume(&self) -> Grant {
        Grant::new("Consume", ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], vec![self.arn()])
    }

    /// Its name, without the stack's.
    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    /// The queue's URL.
    pub(crate) fn url(&self) -> Exp {
        cfn::reference(&self.id)
    }

    /// The dead-letter queue's URL.
    pub(crate) fn dead_letters_url(&self) -> Exp {
        cfn::reference(&self.dead_letters_id())
    }

    pub(crate) fn arn(&self) -> Exp {
        cfn::arn(&self.id)
    }

    pub(crate) fn dead_letters_arn(&self) -> Exp {
        cfn::arn(&self.dead_letters_id())
    }

    fn dead_letters_id(&self) -> String {
        dead_letters_id(self.name)
    }
}

/// The name of a dead-letter queue, without the stack's.
pub(crate) fn dead_letters_name(name: &str) -> String {
    format!("{name}-dead-letters")
}

fn dead_letters_id(name: &str) -> String {
    format!("{}DeadLetterQueue", logical(name))
}

/// Where what was given up waits for a person, with an alarm on anything in it.
#[derive(Debug)]
pub struct DeadLetters {
    id: String,
}

impl DeadLetters {
    /// Those of a function that no queue runs.
    pub(crate) fn new(template: &mut Template, alarms: &Alarms, function: &str) -> Self {
        Self::add(template, alarms, function, json!({ "redrivePermission": "denyAll" }))
    }

    fn add(template: &mut Template, alarms: &Alarms, name: &str, redrive: Value) -> Self {
        let (id, queue) = (dead_letters_id(name), dead_letters_name(name));
        template.add(
            id.as_str(),
            &sqs::Queue! {
                queue_name: physical(&queue),
                message_retention_period: RETENTION_SECONDS,
                sqs_managed_sse_enabled: true,
                redrive_allow_policy: redrive
            },
        );
        alarms.above(
            template,
            Alarm {
                meaning: format!("Messages of {name} were given up: read them, mend the cause, redrive them"),
                namespace: "AWS/SQS",
                metric: "ApproximateNumberOfMessagesVisible",
                dimension: "QueueName",
                value: physical(&queue),
                statistic: "Maximum",
                threshold: 0.0,
                name: queue,
            },
        );
        Self { id }
    }

    /// Leave to add to them.
    pub(crate) fn send(&self) -> Grant {
        Grant::new("KeepFailures", ["sqs:SendMessage"], vec![self.arn()])
    }

    pub(crate) fn arn(&self) -> Exp {
        cfn::arn(&self.id)
    }
}
