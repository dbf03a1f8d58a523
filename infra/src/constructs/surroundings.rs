use flywheel_policy::Policy;

use super::Grant;
use crate::cfn;

/// What releases need of the account, to be looked at before they start. Every action here reads.
#[derive(Debug)]
pub struct Surroundings {
    roles: Vec<String>,
}

impl Surroundings {
    /// Of the roles that the policy names; without any, of all roles and users of the account.
    #[must_use]
    pub fn of(policy: &Policy) -> Self {
        Self { roles: policy.preflight.roles.clone() }
    }

    /// Leave to look. Which roles, buckets, parameters, secrets and models releases need is learned after the deployment, so
    /// names cannot be given here; of parameters only the version of the CDK's bootstrap can be read, of secrets none.
    #[must_use]
    pub fn look(&self) -> Vec<Grant> {
        let arn = |rest: &str| cfn::sub(format!("arn:${{AWS::Partition}}:{rest}"));
        let deploying = match self.roles.as_slice() {
            // Whoever deploys: roles and users.
            [] => vec!["*".into()],
            roles => roles.iter().map(|role| role.as_str().into()).collect(),
        };
        vec![
            Grant::new("SimulateRoles", ["iam:SimulatePrincipalPolicy"], deploying),
            Grant::new("SeeRoles", ["iam:GetRole"], vec![arn("iam::${AWS::AccountId}:role/*")]),
            Grant::new("SeeBootstrap", ["ssm:GetParameter"], vec![arn("ssm:${AWS::Region}:${AWS::AccountId}:parameter/cdk-bootstrap/*")]),
            Grant::new(
                "SeeSecrets",
                ["secretsmanager:DescribeSecret"],
                vec![arn("secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:*")],
            ),
            // These have no resource that a grant could name.
            Grant::new(
                "SeeNames",
                ["s3:ListAllMyBuckets", "ssm:DescribeParameters", "bedrock:GetFoundationModelAvailability"],
                vec!["*".into()],
            ),
            Grant::new(
                "SeeQuotas",
                [
                    "servicequotas:GetServiceQuota",
                    "servicequotas:GetAWSDefaultServiceQuota",
                    "cloudwatch:GetMetricData",
                    "iam:GetAccountSummary",
                ],
                vec!["*".into()],
            ),
        ]
    }

    /// Leave to answer the jobs of pipelines that ask for the checks: whoever has a job's id may, and there is no resource that
    /// a grant could name.
    #[must_use]
    pub fn answer_jobs(&self) -> Grant {
        Grant::new("AnswerJobs", ["codepipeline:PutJobSuccessResult", "codepipeline:PutJobFailureResult"], vec!["*".into()])
    }
}
