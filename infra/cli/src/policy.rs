//! `flywheel policy`: whether a file is valid, what it would change, and what is in force.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::Subcommand;
use flywheel_policy::{Difference, Mode, Oddity, Policy, differences, oddities};
use jiff::Timestamp;
use serde::Serialize;

use crate::output::Output;
use crate::policy_in_force::{self, Apply, Said};
use crate::site::Site;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Whether a file is valid, and what in it is hardly meant; asks AWS nothing
    Check {
        /// The file
        file: PathBuf,
    },
    /// What a file says otherwise than the policy in force
    Diff {
        /// The file
        file: PathBuf,
    },
    /// The policy in force, as AppConfig serves it
    Show,
    /// Puts a file in force
    Apply(Apply),
    /// Puts the version in force that was so before
    Rollback(Said),
}

/// A valid policy.
#[derive(Serialize)]
struct Checked {
    /// The first digits of the file's SHA-256, as the ledger and `replay` name it.
    version: String,
    policy: Policy,
    oddities: Vec<Oddity>,
}

/// A file beside the policy in force.
#[derive(Serialize)]
struct Compared {
    in_force: String,
    file: String,
    differences: Vec<Difference>,
    oddities: Vec<Oddity>,
}

pub(crate) async fn run(command: Command, stack: String, output: &Output) -> Result<()> {
    match command {
        Command::Check { file } => {
            let policy = read(&file)?;
            let checked = Checked { version: policy.version.clone(), oddities: oddities(&policy, Timestamp::now()), policy };
            output.show(&checked, &told(&checked, &file))
        }
        Command::Diff { file } => {
            let policy = read(&file)?;
            let in_force = Site::connect(stack).await?.policy().await?;
            let compared = Compared {
                in_force: in_force.version.clone(),
                file: policy.version.clone(),
                differences: differences(&in_force, &policy),
                oddities: oddities(&policy, Timestamp::now()),
            };
            output.show(&compared, &told_apart(&compared, &file))
        }
        Command::Show => policy_in_force::show(&Site::connect(stack).await?, output).await,
        Command::Apply(apply) => policy_in_force::apply(apply, stack, output).await,
        Command::Rollback(said) => policy_in_force::rollback(said, &Site::connect(stack).await?, output).await,
    }
}

/// Reads a policy from a file.
pub(crate) fn read(file: &Path) -> Result<Policy> {
    Ok(read_text(file)?.1)
}

/// Reads a policy from a file, with its text.
pub(crate) fn read_text(file: &Path) -> Result<(String, Policy)> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let policy =
        Policy::parse(&text).map_err(|problems| anyhow!("{} is not valid:\n{problems}\nnext: mend these lines", file.display()))?;
    Ok((text, policy))
}

fn told(checked: &Checked, file: &Path) -> String {
    let Checked { version, policy, oddities } = checked;
    let mode = match policy.mode {
        Mode::Act => "decisions are carried out",
        Mode::DryRun => "decisions are recorded, and none is carried out",
    };
    format!("{} is valid, version {version}: {mode}", file.display())
        + &told_parts(policy)
        + &told_odd(oddities)
        + "\nnext: `flywheel policy diff FILE` shows what it would change, `flywheel replay --policy FILE` what it would have found"
}

fn told_apart(compared: &Compared, file: &Path) -> String {
    let Compared { in_force, file: version, differences, oddities } = compared;
    if differences.is_empty() {
        return format!("{} says what the policy in force says ({in_force})", file.display()) + &told_odd(oddities);
    }
    let mut words = format!("{} ({version}) beside the policy in force ({in_force}):", file.display());
    for difference in differences {
        let _ = write!(words, "\n  {difference}");
    }
    words
        + &told_odd(oddities)
        + "\nnext: `flywheel replay --policy FILE` shows what it would have found; `flywheel policy apply FILE` puts it in force"
}

/// How many there are of each thing that a policy names, a line for each that there is.
pub(crate) fn told_parts(policy: &Policy) -> String {
    let parts = [
        (policy.data_sources.len(), "data sources that are watched"),
        (policy.unseen_sources.len(), "data sources that cannot be seen changing"),
        (policy.topics.len(), "topics"),
        (policy.intents.len(), "intents"),
        (policy.timeouts.len(), "limits that may be moved"),
        (policy.experiments.intents.len(), "intents with experiments"),
        (policy.alarms.len(), "alarms that stand for findings"),
    ];
    parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("\n  {count} {what}")).collect()
}

/// What is hardly meant, if anything is.
pub(crate) fn told_odd(oddities: &[Oddity]) -> String {
    let lines: String = oddities.iter().map(|oddity| format!("\n  {oddity}")).collect();
    if lines.is_empty() { lines } else { format!("\nValid, and hardly meant:{lines}") }
}
