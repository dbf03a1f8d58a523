use super::function::function_id;
use super::{Grant, physical};
use crate::cfn::{self, Exp, Template, appconfig, lambda};

/// The policy file in AppConfig: deployed with the stack, read by the functions without a redeployment of theirs.
#[derive(Debug)]
pub struct PolicyStore(());

const APPLICATION: &str = "PolicyApplication";
const ENVIRONMENT: &str = "PolicyEnvironment";
const PROFILE: &str = "PolicyProfile";
const VALIDATION: &str = "PolicyValidation";
const STRATEGY: &str = "PolicyStrategy";
pub(crate) const VERSION: &str = "PolicyVersion";
pub(crate) const DEPLOYMENT: &str = "PolicyDeployment";

impl PolicyStore {
    /// Adds the policy and its deployment. The function of the name `validator` is asked before any version is deployed.
    pub fn new(template: &mut Template, text: &str, version: &str, validator: &str) -> Self {
        let validator = cfn::arn(&function_id(validator));
        template.add(
            VALIDATION,
            &lambda::Permission! {
                function_name: validator.clone(),
                action: "lambda:InvokeFunction",
                // No source: AWS documents none that AppConfig would name, and where it names none nothing could be deployed.
                // Whoever else has it run is told whether their own text is a policy.
                principal: "appconfig.amazonaws.com"
            },
        );
        template.add(APPLICATION, &appconfig::Application! { name: physical("policy") });
        template.add(ENVIRONMENT, &appconfig::Environment! { application_id: cfn::reference(APPLICATION), name: "live" });
        let profile = appconfig::ConfigurationProfile! {
            application_id: cfn::reference(APPLICATION),
            name: "policy",
            location_uri: "hosted",
            r#type: "AWS.Freeform",
            validators: vec![appconfig::configurationprofile::Validators! { r#type: "LAMBDA", content: validator }]
        };
        template.add(PROFILE, &profile).after(VALIDATION);
        // At once: the file was validated before it came here, and half the functions on one policy and half on
        // another is no safer than either.
        template.add(
            STRATEGY,
            &appconfig::DeploymentStrategy! {
                name: physical("at-once"),
                deployment_duration_in_minutes: 0.0,
                growth_factor: 100.0,
                growth_type: "LINEAR",
                final_bake_time_in_minutes: 0.0,
                replicate_to: "NONE"
            },
        );
        let version = appconfig::HostedConfigurationVersion! {
            application_id: cfn::reference(APPLICATION),
            configuration_profile_id: cfn::reference(PROFILE),
            description: format!("policy {version}").as_str(),
            content_type: "application/toml",
            content: text
        };
        // The version before is what a rollback deploys.
        template.add(VERSION, &version).keep_when_replaced();
        template.add(
            DEPLOYMENT,
            &appconfig::Deployment! {
                application_id: cfn::reference(APPLICATION),
                environment_id: cfn::reference(ENVIRONMENT),
                configuration_profile_id: cfn::reference(PROFILE),
                configuration_version: cfn::reference(VERSION),
                deployment_strategy_id: cfn::reference(STRATEGY)
            },
        );
        Self(())
    }

    /// Leave to read the policy.
    #[must_use]
    pub fn read(&self) -> Grant {
        let configuration = format!(
            "arn:${{AWS::Partition}}:appconfig:${{AWS::Region}}:${{AWS::AccountId}}:application/${{{APPLICATION}}}/environment/${{{ENVIRONMENT}}}/configuration/${{{PROFILE}}}"
        );
        Grant::new("ReadPolicy", ["appconfig:StartConfigurationSession", "appconfig:GetLatestConfiguration"], vec![cfn::sub(configuration)])
    }

    /// The ids of the application, the environment and the profile.
    pub(crate) fn ids(&self) -> [(&'static str, Exp); 3] {
        [("Application", cfn::reference(APPLICATION)), ("Environment", cfn::reference(ENVIRONMENT)), ("Profile", cfn::reference(PROFILE))]
    }
}
