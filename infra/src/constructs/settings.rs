use std::collections::BTreeSet;

use flywheel_model::Setting;
use flywheel_policy::Policy;

use super::Grant;
use crate::cfn::{self, Exp};

/// The settings that hold the limits of the policy, and the queues that go with them. They are the team's own: the stack
/// grants on them and creates none.
#[derive(Debug)]
pub struct Settings(BTreeSet<Setting>);

impl Settings {
    /// Those of the policy.
    #[must_use]
    pub fn of(policy: &Policy) -> Self {
        let targets = policy.timeouts.iter().map(|timeout| timeout.target.clone());
        let queues = policy.timeouts.iter().filter_map(|timeout| Some(Setting::QueueVisibility { queue: timeout.queue.clone()? }));
        Self(targets.chain(queues).collect())
    }

    /// Leave to read and change them, each by its exact name.
    #[must_use]
    pub fn adjust(&self) -> Vec<Grant> {
        self.0
            .iter()
            .flat_map(|setting| match setting {
                Setting::Parameter { name, .. } => {
                    let parameter = arn(&format!("ssm:{HERE}:parameter/{}", name.trim_start_matches('/')));
                    vec![Grant::new("AdjustParameter", ["ssm:GetParameter", "ssm:PutParameter"], vec![parameter])]
                }
                Setting::AppConfig { application, environment, profile, strategy, .. } => {
                    let of_application = |rest: &str| arn(&format!("appconfig:{HERE}:application/{application}{rest}"));
                    let served = of_application(&format!("/environment/{environment}/configuration/{profile}"));
                    let profile_arn = of_application(&format!("/configurationprofile/{profile}"));
                    vec![
                        Grant::new(
                            "ReadConfiguration",
                            ["appconfig:StartConfigurationSession", "appconfig:GetLatestConfiguration"],
                            vec![served.clone()],
                        ),
                        Grant::new(
                            "AddConfiguration",
                            ["appconfig:ListHostedConfigurationVersions", "appconfig:CreateHostedConfigurationVersion"],
                            vec![of_application(""), profile_arn.clone()],
                        ),
                        Grant::new(
                            "DeployConfiguration",
                            ["appconfig:StartDeployment"],
                            vec![
                                of_application(""),
                                profile_arn,
                                of_application(&format!("/environment/{environment}")),
                                arn(&format!("appconfig:{HERE}:deploymentstrategy/{strategy}")),
                                served,
                            ],
                        ),
                    ]
                }
                Setting::FunctionTimeout { function } => vec![Grant::new(
                    "AdjustFunction",
                    ["lambda:GetFunctionConfiguration", "lambda:UpdateFunctionConfiguration"],
                    vec![arn(&format!("lambda:{HERE}:function:{function}"))],
                )],
                Setting::QueueVisibility { queue } => vec![Grant::new(
                    "AdjustQueue",
                    ["sqs:GetQueueUrl", "sqs:GetQueueAttributes", "sqs:SetQueueAttributes"],
                    vec![arn(&format!("sqs:{HERE}:{queue}"))],
                )],
            })
            .collect()
    }
}

const HERE: &str = "${AWS::Region}:${AWS::AccountId}";

fn arn(rest: &str) -> Exp {
    cfn::sub(format!("arn:${{AWS::Partition}}:{rest}"))
}
