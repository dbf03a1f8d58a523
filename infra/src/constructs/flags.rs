use flywheel_policy::{FlagPlace, Policy};

use super::Grant;
use crate::cfn::{self, Exp};

/// The application's feature flags in `AppConfig`. They are the team's own: the stack grants on them and creates none.
#[derive(Debug)]
pub struct Flags {
    place: Option<FlagPlace>,
    strategies: Vec<String>,
}

impl Flags {
    /// Those of the policy.
    #[must_use]
    pub fn of(policy: &Policy) -> Self {
        let experiments = &policy.experiments;
        let mut strategies = vec![experiments.strategy.clone(), experiments.promotion_strategy.clone()];
        strategies.dedup();
        Self { place: experiments.flags.clone(), strategies }
    }

    /// Leave to read them, and how far their deployment is.
    ///
    /// Which resources an action is checked against: "Actions, resources, and condition keys for AWS AppConfig" in the Service
    /// Authorization Reference.
    #[must_use]
    pub fn read(&self) -> Vec<Grant> {
        let Some(place) = self.place.as_ref().map(Place) else { return Vec::new() };
        vec![
            Grant::new(
                "ReadFlags",
                ["appconfig:GetHostedConfigurationVersion", "appconfig:ListHostedConfigurationVersions"],
                vec![place.application(), place.profile(""), place.profile("/hostedconfigurationversion/*")],
            ),
            Grant::new(
                "ReadDeployments",
                ["appconfig:GetDeployment", "appconfig:GetEnvironment", "appconfig:ListDeployments"],
                vec![place.application(), place.environment(""), place.environment("/deployment/*")],
            ),
        ]
    }

    /// Leave to change them.
    #[must_use]
    pub fn change(&self) -> Vec<Grant> {
        let Some(place) = self.place.as_ref().map(Place) else { return Vec::new() };
        let served = place.environment(&format!("/configuration/{}", place.0.profile));
        let mut deploy = vec![place.application(), place.profile(""), place.environment(""), served];
        deploy.extend(self.strategies.iter().map(|strategy| arn(&format!("deploymentstrategy/{strategy}"))));
        let stop = vec![place.application(), place.environment(""), place.environment("/deployment/*")];
        vec![
            Grant::new("AddFlags", ["appconfig:CreateHostedConfigurationVersion"], vec![place.application(), place.profile("")]),
            Grant::new("DeployFlags", ["appconfig:StartDeployment"], deploy),
            Grant::new("StopDeployment", ["appconfig:StopDeployment"], stop),
        ]
    }
}

/// The ARNs of where flags are.
struct Place<'p>(&'p FlagPlace);

impl Place<'_> {
    fn application(&self) -> Exp {
        arn(&format!("application/{}", self.0.application))
    }

    fn environment(&self, rest: &str) -> Exp {
        arn(&format!("application/{}/environment/{}{rest}", self.0.application, self.0.environment))
    }

    fn profile(&self, rest: &str) -> Exp {
        arn(&format!("application/{}/configurationprofile/{}{rest}", self.0.application, self.0.profile))
    }
}

fn arn(rest: &str) -> Exp {
    cfn::sub(format!("arn:${{AWS::Partition}}:appconfig:${{AWS::Region}}:${{AWS::AccountId}}:{rest}"))
}
