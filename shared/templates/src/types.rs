//! How the resources of common types are named, and which action makes them.

/// A resource type whose ARN follows from its name.
pub(crate) struct Named {
    pub(crate) name: &'static str,
    /// Its ARN, in the form of the Service Authorization Reference: `P`, `R`, `A` stand for partition, Region and account, `N`
    /// for the name, `/N` of IAM for path and name.
    pub(crate) arn: &'static str,
    /// The property that has its name.
    pub(crate) property: &'static str,
    /// The most letters of a name that CloudFormation makes.
    pub(crate) longest: usize,
    /// The action that makes one, if IAM asks for it on this ARN; always needed, unlike what else a handler lists.
    pub(crate) create: Option<&'static str>,
    /// The service that it hands its role to.
    pub(crate) passes_to: Option<&'static str>,
    /// With this property the ARN is another one.
    pub(crate) unless: Option<&'static str>,
}

const fn named(name: &'static str, arn: &'static str, property: &'static str, longest: usize, create: &'static str) -> Named {
    Named { name, arn, property, longest, create: Some(create), passes_to: None, unless: None }
}

/// The formats of ARNs and the actions are those of the Service Authorization Reference, the names' lengths those of the
/// CloudFormation template reference.
const TYPES: &[Named] = &[
    named("AWS::SQS::Queue", "arn:P:sqs:R:A:N", "QueueName", 80, "sqs:CreateQueue"),
    named("AWS::SNS::Topic", "arn:P:sns:R:A:N", "TopicName", 256, "sns:CreateTopic"),
    named("AWS::S3::Bucket", "arn:P:s3:::N", "BucketName", 63, "s3:CreateBucket"),
    named("AWS::DynamoDB::Table", "arn:P:dynamodb:R:A:table/N", "TableName", 255, "dynamodb:CreateTable"),
    Named {
        passes_to: Some("lambda.amazonaws.com"),
        ..named("AWS::Lambda::Function", "arn:P:lambda:R:A:function:N", "FunctionName", 64, "lambda:CreateFunction")
    },
    named("AWS::IAM::Role", "arn:P:iam::A:role/N", "RoleName", 64, "iam:CreateRole"),
    named("AWS::IAM::User", "arn:P:iam::A:user/N", "UserName", 64, "iam:CreateUser"),
    named("AWS::IAM::Group", "arn:P:iam::A:group/N", "GroupName", 128, "iam:CreateGroup"),
    named("AWS::IAM::ManagedPolicy", "arn:P:iam::A:policy/N", "ManagedPolicyName", 128, "iam:CreatePolicy"),
    named("AWS::IAM::InstanceProfile", "arn:P:iam::A:instance-profile/N", "InstanceProfileName", 128, "iam:CreateInstanceProfile"),
    // IAM asks on the group's streams, and on the secret with or without the letters that are appended to its name.
    Named { create: None, ..named("AWS::Logs::LogGroup", "arn:P:logs:R:A:log-group:N:*", "LogGroupName", 512, "") },
    Named { create: None, ..named("AWS::SecretsManager::Secret", "arn:P:secretsmanager:R:A:secret:N-*", "Name", 512, "") },
    named("AWS::SSM::Parameter", "arn:P:ssm:R:A:parameter/N", "Name", 1011, "ssm:PutParameter"),
    Named {
        passes_to: Some("states.amazonaws.com"),
        ..named("AWS::StepFunctions::StateMachine", "arn:P:states:R:A:stateMachine:N", "StateMachineName", 80, "states:CreateStateMachine")
    },
    Named { unless: Some("EventBusName"), ..named("AWS::Events::Rule", "arn:P:events:R:A:rule/N", "Name", 64, "events:PutRule") },
    named("AWS::Events::EventBus", "arn:P:events:R:A:event-bus/N", "Name", 256, "events:CreateEventBus"),
    named("AWS::CloudWatch::Alarm", "arn:P:cloudwatch:R:A:alarm:N", "AlarmName", 255, "cloudwatch:PutMetricAlarm"),
    named("AWS::ECR::Repository", "arn:P:ecr:R:A:repository/N", "RepositoryName", 256, "ecr:CreateRepository"),
    named("AWS::Kinesis::Stream", "arn:P:kinesis:R:A:stream/N", "Name", 128, "kinesis:CreateStream"),
    Named {
        passes_to: Some("firehose.amazonaws.com"),
        ..named(
            "AWS::KinesisFirehose::DeliveryStream",
            "arn:P:firehose:R:A:deliverystream/N",
            "DeliveryStreamName",
            64,
            "firehose:CreateDeliveryStream",
        )
    },
    Named {
        passes_to: Some("codebuild.amazonaws.com"),
        ..named("AWS::CodeBuild::Project", "arn:P:codebuild:R:A:project/N", "Name", 255, "codebuild:CreateProject")
    },
    Named {
        passes_to: Some("codepipeline.amazonaws.com"),
        ..named("AWS::CodePipeline::Pipeline", "arn:P:codepipeline:R:A:N", "Name", 100, "codepipeline:CreatePipeline")
    },
    Named {
        passes_to: Some("scheduler.amazonaws.com"),
        unless: Some("GroupName"),
        ..named("AWS::Scheduler::Schedule", "arn:P:scheduler:R:A:schedule/default/N", "Name", 64, "scheduler:CreateSchedule")
    },
];

impl Named {
    /// What is known of a type.
    pub(crate) fn of(name: &str) -> Option<&'static Self> {
        TYPES.iter().find(|named| named.name == name)
    }

    /// The prefix of its service's actions.
    pub(crate) fn prefix(&self) -> &'static str {
        self.arn.split(':').nth(2).unwrap_or_default()
    }

    /// Its ARN, from the texts that it is made of.
    pub(crate) fn arn(&self, partition: &str, region: &str, account: &str, name: &str) -> String {
        let parts = self.arn.split(':').map(|part| match part {
            "P" => partition.to_owned(),
            "R" => region.to_owned(),
            "A" => account.to_owned(),
            "N" => name.to_owned(),
            // A parameter's name may begin with the slash before it, and a path of IAM does.
            part => part.replacen("/N", &format!("/{}", name.trim_start_matches('/')), 1).replacen("N-*", &format!("{name}-*"), 1),
        });
        parts.collect::<Vec<_>>().join(":")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_is_made_as_its_service_makes_it() {
        for (kind, name, arn) in [
            ("AWS::SQS::Queue", "jobs", "arn:aws:sqs:eu-west-1:111122223333:jobs"),
            ("AWS::S3::Bucket", "NN-n", "arn:aws:s3:::NN-n"),
            ("AWS::IAM::Role", "/team/app", "arn:aws:iam::111122223333:role/team/app"),
            ("AWS::SSM::Parameter", "/a/b", "arn:aws:ssm:eu-west-1:111122223333:parameter/a/b"),
            ("AWS::Logs::LogGroup", "/aws/a", "arn:aws:logs:eu-west-1:111122223333:log-group:/aws/a:*"),
            ("AWS::SecretsManager::Secret", "key", "arn:aws:secretsmanager:eu-west-1:111122223333:secret:key-*"),
            ("AWS::Scheduler::Schedule", "n", "arn:aws:scheduler:eu-west-1:111122223333:schedule/default/n"),
        ] {
            assert_eq!(Named::of(kind).expect(kind).arn("aws", "eu-west-1", "111122223333", name), arn);
        }
    }

    #[test]
    fn each_action_is_of_the_service_of_its_arn() {
        for named in TYPES {
            assert!(named.create.is_none_or(|action| action.split(':').next() == Some(named.prefix())), "{}", named.name);
        }
    }
}
