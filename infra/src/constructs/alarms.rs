use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::json;

use super::{Bus, Grant, physical};
use crate::cfn::{self, Exp, Parameter, Template, cloudwatch, events, sns};

/// Where alarms and escalations go: an SNS topic, with an e-mail subscription where the stack's parameter names an address.
#[derive(Debug)]
pub struct Alarms {
    /// Of those that were added, without the stack's.
    names: RefCell<Vec<String>>,
}

const TOPIC: &str = "AlarmTopic";
const ESCALATIONS: &str = "Escalations";

impl Alarms {
    /// Adds the topic and its parameters.
    pub fn new(template: &mut Template) -> Self {
        template.parameter("AlarmEmail", Parameter::optional("Who is told of alarms by e-mail; empty for nobody", ""));
        template.condition("HasAlarmEmail", json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": "AlarmEmail" }, ""] }] }));
        // CloudWatch may not use the key alias/aws/sns, so an alarm would never get through a topic encrypted with it:
        // https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html. A key of the team's own can allow it.
        template.parameter(
            "AlarmTopicKey",
            Parameter::optional("ARN of a KMS key whose policy lets cloudwatch.amazonaws.com, events.amazonaws.com and this account's roles use it, to encrypt the alarm topic; empty for SNS's own encryption at rest", ""),
        );
        template.condition("HasAlarmTopicKey", json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": "AlarmTopicKey" }, ""] }] }));
        template.add(
            TOPIC,
            &sns::Topic! {
                topic_name: physical("alarms"),
                kms_master_key_id: cfn::only_if("HasAlarmTopicKey", cfn::reference("AlarmTopicKey"))
            },
        );
        template.add(
            "AlarmTopicPolicy",
            &sns::TopicPolicy! {
                topics: vec![cfn::reference(TOPIC)],
                policy_document: json!({
                    "Version": "2012-10-17",
                    "Statement": [{
                        "Sid": "AlarmsOfThisAccount",
                        "Effect": "Allow",
                        "Principal": { "Service": "cloudwatch.amazonaws.com" },
                        "Action": "sns:Publish",
                        "Resource": cfn::json(&cfn::reference(TOPIC)),
                        "Condition": { "StringEquals": { "aws:SourceAccount": { "Ref": "AWS::AccountId" } } }
                    }, {
                        "Sid": "EscalationsOfThisStack",
                        "Effect": "Allow",
                        "Principal": { "Service": "events.amazonaws.com" },
                        "Action": "sns:Publish",
                        "Resource": cfn::json(&cfn::reference(TOPIC)),
                        "Condition": { "ArnEquals": { "aws:SourceArn": cfn::json(&cfn::arn(ESCALATIONS)) } }
                    }]
                })
            },
        );
        template
            .add(
                "AlarmSubscription",
                &sns::Subscription! {
                    topic_arn: cfn::reference(TOPIC),
                    protocol: "email",
                    endpoint: cfn::reference("AlarmEmail")
                },
            )
            .only_if("HasAlarmEmail");
        Self { names: RefCell::default() }
    }

    /// Has the topic told of what is left to a person, with what was tried and where to read on.
    pub(crate) fn tell_of_escalations(&self, template: &mut Template, bus: &Bus) {
        let said = [("why", "$.detail.detail.explanation"), ("id", "$.detail.id")];
        let message = events::rule::InputTransformer! {
            input_paths_map: said.into_iter().map(|(name, path)| (name.to_owned(), path.into())).collect::<BTreeMap<_, _>>(),
            input_template: "\"Flywheel leaves this to a person. <why> Next: flywheel explain <id>\""
        };
        let target = events::rule::Target! { id: "topic", arn: self.topic(), input_transformer: message };
        template.add(
            ESCALATIONS,
            &events::Rule! {
                description: "What is left to a person goes to the topic of alarms",
                targets: vec![target],
                state: "ENABLED",
                event_bus_name: bus.name(),
                event_pattern: json!({ "source": ["flywheel"], "detail-type": ["decision.escalation"] })
            },
        );
    }

    /// The names of all alarms that were added, in their order, without the stack's.
    pub(crate) fn names(&self) -> Vec<String> {
        self.names.borrow().clone()
    }

    /// The topic's ARN.
    pub(crate) fn topic(&self) -> Exp {
        cfn::reference(TOPIC)
    }

    /// Leave to send messages to whoever is told of alarms.
    pub(crate) fn tell(&self) -> [Grant; 2] {
        // The key may be another account's, so its use is granted by its name, and where there is none this grants nothing.
        let none = cfn::sub("arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/none");
        let key = cfn::either("HasAlarmTopicKey", cfn::reference("AlarmTopicKey"), none);
        [
            Grant::new("Tell", ["sns:Publish"], vec![self.topic()]),
            Grant::new("EncryptNotices", ["kms:GenerateDataKey", "kms:Decrypt"], vec![key]),
        ]
    }

    /// An alarm on a metric of one thing that exceeds a threshold in five minutes. No data is no alarm: queues and
    /// functions at rest report nothing.
    pub(crate) fn above(&self, template: &mut Template, alarm: Alarm<'_>) {
        self.names.borrow_mut().push(alarm.name.clone());
        template.add(
            format!("{}Alarm", super::logical(&alarm.name)),
            &cloudwatch::Alarm! {
                alarm_name: physical(&alarm.name),
                alarm_description: alarm.meaning.as_str(),
                namespace: alarm.namespace,
                metric_name: alarm.metric,
                dimensions: vec![cloudwatch::alarm::Dimension! { name: alarm.dimension, value: alarm.value }],
                statistic: alarm.statistic,
                period: 300,
                evaluation_periods: 1,
                comparison_operator: "GreaterThanThreshold",
                threshold: alarm.threshold,
                treat_missing_data: "notBreaching",
                alarm_actions: vec![self.topic()],
                ok_actions: vec![self.topic()]
            },
        );
    }
}

pub(crate) struct Alarm<'a> {
    pub(crate) name: String,
    pub(crate) meaning: String,
    pub(crate) namespace: &'a str,
    pub(crate) metric: &'a str,
    pub(crate) dimension: &'a str,
    pub(crate) value: Exp,
    pub(crate) statistic: &'a str,
    pub(crate) threshold: f64,
}
