//! `flywheel policy show`, `apply` and `rollback`: the policy in force, and putting another one in its place.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use flywheel_adapters::{DeploymentDetails, NotDeployed, PolicyDeployment, PolicyVersions};
use flywheel_engine::experiments::RolloutState;
use flywheel_infra::beside_the_policy;
use flywheel_policy::{Difference, Oddity, Policy, differences, oddities};
use jiff::Timestamp;
use serde::Serialize;

use crate::output::{Output, asked};
use crate::policy::{read_text, told_odd};
use crate::site::Site;

/// Looks at a deployment that was started, and the time between them: it goes at once.
const LOOKS: usize = 60;
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Resources of the stack that are named in words; all of them are in the JSON.
const NAMED: usize = 6;

#[derive(Args)]
pub(crate) struct Apply {
    /// The file
    file: PathBuf,
    #[command(flatten)]
    said: Said,
    /// The version that the file was compared with, as `policy diff` names it: refused if another one is in force
    #[arg(long, value_name = "VERSION")]
    in_force: Option<String>,
}

#[derive(Args)]
pub(crate) struct Said {
    /// Who puts it in force
    #[arg(long, env = "USER")]
    by: String,
    /// Does not ask
    #[arg(long)]
    yes: bool,
}

/// The policy in force.
#[derive(Serialize)]
struct InForce {
    /// The first digits of the text's SHA-256; none if it is not valid.
    version: Option<String>,
    #[serde(flatten)]
    deployed: Deployed,
    text: String,
}

/// What AppConfig says of a deployment.
#[derive(Serialize)]
struct Deployed {
    /// AppConfig's number of the version.
    configuration_version: i32,
    deployment: i32,
    at: Option<Timestamp>,
    description: Option<String>,
}

/// A policy that takes the place of another one.
#[derive(Debug, Serialize)]
struct Change {
    /// The version in force; none if that is not valid.
    before: Option<String>,
    after: String,
    differences: Vec<Difference>,
    oddities: Vec<Oddity>,
    /// Resources of the stack that would have to be otherwise, and are not changed.
    beside: Vec<String>,
}

/// A change that was made.
#[derive(Serialize)]
struct Made {
    #[serde(flatten)]
    change: Change,
    configuration_version: i32,
    deployment: i32,
    by: String,
}

/// What is in force, and what it takes to change that.
struct Present {
    versions: PolicyVersions,
    deployments: Vec<PolicyDeployment>,
    in_force: PolicyDeployment,
    details: DeploymentDetails,
    text: String,
}

pub(crate) async fn show(site: &Site, output: &Output) -> Result<()> {
    let text = site.policy_source()?.served().await?;
    let Present { in_force, details, text: deployed, .. } = Present::read(site).await?;
    let version = Policy::parse(&text).ok().map(|policy| policy.version);
    let shown = InForce {
        deployed: Deployed {
            configuration_version: in_force.version,
            deployment: in_force.number,
            at: details.at,
            description: details.description,
        },
        version,
        text,
    };
    output.hint(&heading(&shown));
    if shown.text != deployed {
        output.hint("AppConfig does not serve it yet: what follows is what was served before\nnext: look again in a minute");
    }
    output.document(&shown, &shown.text)
}

fn heading(shown: &InForce) -> String {
    let InForce { version, deployed: Deployed { configuration_version, deployment, at, description }, .. } = shown;
    let mut words = match version {
        Some(version) => format!("version {version}"),
        None => "NOT VALID, so that functions stay with the last good one".to_owned(),
    };
    let _ = write!(words, "; version {configuration_version} of AppConfig, deployment {deployment}");
    if let Some(at) = at {
        let _ = write!(words, " of {}", at.strftime("%Y-%m-%d %H:%M:%S"));
    }
    description.iter().for_each(|description| {
        let _ = write!(words, ": {description}");
    });
    words
}

pub(crate) async fn apply(Apply { file, said, in_force }: Apply, stack: String, output: &Output) -> Result<()> {
    // A bad file is refused before AWS is asked anything.
    let (text, policy) = read_text(&file)?;
    let present = Present::read(&Site::connect(stack).await?).await?;
    if let Some(compared) = in_force {
        present.is_still(&compared, &file)?;
    }
    if present.text == text {
        bail!("{} is in force already ({})\nnext: `flywheel policy show`", file.display(), policy.version);
    }
    let change = Change::of(&present.text, &text, &policy)?;
    output.hint(&told(&change, &file.display().to_string()));
    said.agreed()?;
    let description = format!("policy {} by {}", policy.version, said.by);
    let version = present.versions.keep(&text, &description).await.map_err(refused)?;
    present.deploy(version, change, said.by, &description, output).await
}

pub(crate) async fn rollback(said: Said, site: &Site, output: &Output) -> Result<()> {
    let present = Present::read(site).await?;
    let Some(before) = before(&present.deployments, present.in_force.version) else {
        bail!("no policy was in force before version {} of AppConfig\nnext: `flywheel policy apply FILE`", present.in_force.version);
    };
    let text = present.versions.text(before).await.with_context(|| format!("version {before} of AppConfig is gone"))?;
    let policy = Policy::parse(&text).map_err(|problems| {
        anyhow!("version {before} of AppConfig is not valid any more:\n{problems}\nnext: mend a copy, and `flywheel policy apply FILE`")
    })?;
    let change = Change::of(&present.text, &text, &policy)?;
    output.hint(&told(&change, &format!("version {before} of AppConfig")));
    said.agreed()?;
    let description = format!("back to policy {} by {}", policy.version, said.by);
    present.deploy(before, change, said.by, &description, output).await
}

impl Said {
    fn agreed(&self) -> Result<()> {
        if !self.yes && !asked("Put it in force?")? {
            bail!("nothing was changed\nnext: answer yes, or pass --yes");
        }
        Ok(())
    }
}

impl Present {
    async fn read(site: &Site) -> Result<Self> {
        let versions = site.policy_versions()?;
        let deployments = versions.deployments().await?;
        let Some(in_force) = in_force(&deployments).cloned() else {
            bail!("no policy was deployed yet\nnext: `make deploy POLICY=FILE`");
        };
        let (details, text) = futures::try_join!(versions.deployment(in_force.number), versions.text(in_force.version))?;
        Ok(Self { versions, deployments, in_force, details, text })
    }

    /// Whether what a file was compared with still is in force.
    fn is_still(&self, compared: &str, file: &Path) -> Result<()> {
        let version = Policy::parse(&self.text).map_or_else(|_| "one that is not valid".to_owned(), |policy| policy.version);
        if version != compared {
            let file = file.display();
            bail!("--in-force {compared}: the policy in force is {version}\nnext: `flywheel policy diff {file}`, and apply it again");
        }
        Ok(())
    }

    /// Puts a version in force in place of what was compared with.
    async fn deploy(&self, version: i32, change: Change, by: String, description: &str, output: &Output) -> Result<()> {
        let latest = self.deployments.first().map_or(0, |deployment| deployment.number);
        let started = self.versions.deploy(version, &self.details.strategy, latest, description).await.map_err(refused)?;
        for _ in 0..LOOKS {
            match self.versions.deployment(started).await?.state {
                RolloutState::Complete => {
                    let words = format!(
                        "in force: {}, version {version} of AppConfig, deployment {started}; functions take it in within 45 seconds of use\nnext: `flywheel policy rollback` takes it back",
                        change.after
                    );
                    return output.show(&Made { change, configuration_version: version, deployment: started, by }, &words);
                }
                RolloutState::RolledBack => {
                    bail!("AppConfig took deployment {started} back\nnext: `flywheel policy show` shows what is in force")
                }
                RolloutState::UnderWay => tokio::time::sleep(BETWEEN_LOOKS).await,
            }
        }
        bail!("deployment {started} is still under way after {LOOKS} s\nnext: `flywheel policy show`")
    }
}

/// What is served: the latest deployment that was not taken back.
fn in_force(deployments: &[PolicyDeployment]) -> Option<&PolicyDeployment> {
    deployments.iter().find(|deployment| deployment.state != RolloutState::RolledBack)
}

/// The version that was in force before this one, never a later one: two rollbacks in a row go back two versions.
fn before(deployments: &[PolicyDeployment], version: i32) -> Option<i32> {
    let in_force = deployments.iter().filter(|deployment| deployment.state == RolloutState::Complete);
    in_force.map(|deployment| deployment.version).find(|other| *other < version)
}

impl Change {
    fn of(before: &str, after: &str, policy: &Policy) -> Result<Self> {
        // A policy in force that is not valid has to be replaced, whatever it says.
        let in_force = Policy::parse(before).ok();
        let beside = in_force.as_ref().map(|_| beside_the_policy(before, after)).transpose()?;
        Ok(Self {
            differences: in_force.as_ref().map(|in_force| differences(in_force, policy)).unwrap_or_default(),
            before: in_force.map(|in_force| in_force.version),
            after: policy.version.clone(),
            oddities: oddities(policy, Timestamp::now()),
            beside: beside.unwrap_or_default(),
        })
    }
}

fn told(change: &Change, new: &str) -> String {
    let Change { before, after, differences, oddities, beside } = change;
    let mut words = match before {
        None => format!("{new} ({after}) in place of a policy that is not valid"),
        Some(before) if differences.is_empty() => format!("{new} ({after}) says what the policy in force says ({before}), in another way"),
        Some(before) => format!("{new} ({after}) in place of the policy in force ({before}):"),
    };
    for difference in differences {
        let _ = write!(words, "\n  {difference}");
    }
    words += &told_odd(oddities);
    if !beside.is_empty() {
        let named = beside.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if beside.len() > NAMED { format!(" and {} more", beside.len() - NAMED) } else { String::new() };
        let _ = write!(
            words,
            "\nThe stack stays as it is, and by this policy would have otherwise: {named}{more}\nnext: `make deploy POLICY=FILE` changes both, if roles or rules are among them"
        );
    }
    words
}

fn refused(why: NotDeployed) -> anyhow::Error {
    match why {
        NotDeployed::Overtaken(why) => {
            anyhow!(
                "another deployment came first, so that what was compared with is not in force any more: {why}\nnext: `flywheel policy diff FILE`, and apply it again"
            )
        }
        NotDeployed::Refused(why) => anyhow!("AppConfig refuses it: {why}\nnext: `flywheel policy check FILE`"),
        NotDeployed::Unanswered(unavailable) => {
            anyhow!("it is not known whether it is in force: {unavailable}\nnext: `flywheel policy show`")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str =
        "mode = \"act\"\n[[data_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS12345678\"\nbucket = \"docs\"\n";

    /// Deployments of these versions, the latest first.
    fn deployed(versions: &[(i32, RolloutState)]) -> Vec<PolicyDeployment> {
        let numbered = versions.iter().rev().zip(1..);
        let mut deployments: Vec<_> = numbered.map(|(&(version, state), number)| PolicyDeployment { number, version, state }).collect();
        deployments.reverse();
        deployments
    }

    fn change(before: &str, after: &str) -> Change {
        Change::of(before, after, &Policy::parse(after).expect("valid")).expect("a stack holds it")
    }

    #[test]
    fn in_force_is_the_latest_that_was_not_taken_back() {
        let deployments = deployed(&[(3, RolloutState::RolledBack), (2, RolloutState::Complete), (1, RolloutState::Complete)]);
        assert_eq!(in_force(&deployments).map(|deployment| deployment.version), Some(2));
    }

    #[test]
    fn two_rollbacks_in_a_row_go_back_two_versions() {
        let complete = |versions: &[i32]| deployed(&versions.iter().map(|version| (*version, RolloutState::Complete)).collect::<Vec<_>>());
        assert_eq!(before(&complete(&[3, 2, 1]), 3), Some(2));
        assert_eq!(before(&complete(&[2, 3, 2, 1]), 2), Some(1));
        assert_eq!(before(&complete(&[1, 2, 3, 2, 1]), 1), None);
        // A version that was taken back is none to go back to, and neither is one that was overtaken by a rollback.
        assert_eq!(before(&complete(&[4, 2, 3, 2, 1]), 4), Some(2));
        assert_eq!(
            before(&deployed(&[(3, RolloutState::Complete), (2, RolloutState::RolledBack), (1, RolloutState::Complete)]), 3),
            Some(1)
        );
    }

    #[test]
    fn a_change_is_told_by_its_meaning() {
        let words = told(&change(POLICY, &format!("{POLICY}[sync]\ncooldown_seconds = 60\n")), "policy.toml");
        assert!(words.contains("\n  sync.cooldown_seconds: ") && !words.contains("The stack"), "{words}");
    }

    #[test]
    fn a_change_that_needs_another_stack_says_so() {
        let words = told(&change(POLICY, &POLICY.replace("\"docs\"", "\"papers\"")), "policy.toml");
        assert!(words.contains("The stack stays as it is") && words.contains("DocumentChanges"), "{words}");
        assert!(words.contains("next: `make deploy POLICY=FILE`"), "{words}");
    }

    #[test]
    fn other_comments_are_another_way_to_say_the_same() {
        let words = told(&change(POLICY, &format!("# Reviewed.\n{POLICY}")), "policy.toml");
        assert!(words.contains("says what the policy in force says") && words.ends_with("in another way"), "{words}");
    }

    #[test]
    fn a_policy_in_force_that_is_not_valid_may_be_replaced() {
        let words = told(&change("mode = \"fly\"", POLICY), "policy.toml");
        assert!(words.ends_with("in place of a policy that is not valid"), "{words}");
    }
}
