use flywheel_policy::{Assistant, Policy};

use super::Grant;
use crate::cfn::{self, Exp};

/// The assistants that the policy names as targets of tests, and the model that may propose what is asked of a judge. They are the team's own.
#[derive(Debug)]
pub struct Assistants {
    targets: Vec<Assistant>,
    /// The model that may propose titles and questions.
    proposer: Option<String>,
    /// The model that may propose variants of prompts.
    writer: Option<String>,
}

impl Assistants {
    /// Those of the policy.
    #[must_use]
    pub fn of(policy: &Policy) -> Self {
        Self {
            targets: policy.tests.targets.iter().map(|target| target.assistant.clone()).collect(),
            proposer: policy.tests.model.clone(),
            writer: policy.experiments.model.clone(),
        }
    }

    /// Leave to ask them, each by its exact name. An endpoint asks for no leave of AWS but for its secret.
    #[must_use]
    pub fn ask(&self) -> Vec<Grant> {
        let grant = |assistant: &Assistant| match assistant {
            Assistant::Endpoint { secret: None, .. } => None,
            Assistant::Endpoint { secret: Some(secret), .. } => {
                Some(Grant::new("ReadSecret", ["secretsmanager:GetSecretValue"], vec![secret_arn(secret)]))
            }
            Assistant::Model { model, .. } => Some(Grant::new("AskModel", ["bedrock:InvokeModel"], model_arns(model))),
        };
        self.targets.iter().filter_map(grant).collect()
    }

    /// Leave to ask for proposals.
    #[must_use]
    pub fn propose(&self) -> Option<Grant> {
        self.proposer.as_ref().map(|model| Grant::new("AskForProposals", ["bedrock:InvokeModel"], model_arns(model)))
    }

    /// Leave to ask for variants of prompts.
    #[must_use]
    pub fn write(&self) -> Option<Grant> {
        self.writer.as_ref().map(|model| Grant::new("AskForVariants", ["bedrock:InvokeModel"], model_arns(model)))
    }
}

/// Secrets Manager ends each ARN with six characters of its own
/// (<https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_iam-policies.html>).
fn secret_arn(secret: &str) -> Exp {
    if secret.starts_with("arn:") {
        return secret.into();
    }
    cfn::sub(format!("arn:${{AWS::Partition}}:secretsmanager:${{AWS::Region}}:${{AWS::AccountId}}:secret:{secret}-??????"))
}

/// A model, or an inference profile, which asks its model in any of its Regions: the profile's name begins with a group of
/// them (<https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-prereq.html>).
fn model_arns(model: &str) -> Vec<Exp> {
    if model.starts_with("arn:") {
        return vec![model.into()];
    }
    let profile = ["us.", "eu.", "apac.", "us-gov.", "global.", "jp.", "au.", "ca."].iter().find_map(|group| model.strip_prefix(group));
    match profile {
        None => vec![cfn::sub(format!("arn:${{AWS::Partition}}:bedrock:${{AWS::Region}}::foundation-model/{model}"))],
        Some(of) => vec![
            cfn::sub(format!("arn:${{AWS::Partition}}:bedrock:${{AWS::Region}}:${{AWS::AccountId}}:inference-profile/{model}")),
            cfn::sub(format!("arn:${{AWS::Partition}}:bedrock:*::foundation-model/{of}")),
        ],
    }
}
