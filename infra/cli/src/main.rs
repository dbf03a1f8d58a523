//! `flywheel`: looks into a deployed Flywheel, and decides what people decide. Against an AWS account or the local AWS alike:
//! the usual AWS environment says which.

mod approvals;
mod audit;
mod cases;
mod control;
mod discovery;
mod experiments;
mod explain;
mod init;
mod junit;
mod ledger;
mod manual;
mod output;
mod policy;
mod policy_in_force;
mod preflight;
mod queues;
mod releases;
mod replay;
mod report;
mod site;
mod status;
mod template;
mod tests;
mod timeouts;

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

use crate::cases::Cases;
use crate::experiments::Experiments;
use crate::output::Output;
use crate::site::Site;
use crate::timeouts::Timeouts;

/// Looks into a deployed Flywheel, and decides what people decide. Region and credentials come from the usual AWS
/// environment; for the local AWS: `source target/local/env`.
#[derive(Parser)]
#[command(name = "flywheel", version)]
struct Arguments {
    /// The stack's name.
    #[arg(long, global = true, default_value = "flywheel", env = "FLYWHEEL_STACK")]
    stack: String,
    /// Prints JSON, for scripts.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// What is happening now, on one screen
    Status(status::Status),
    /// The names and addresses of what is deployed
    Outputs,
    /// Evaluation cases: questions that a knowledge base failed
    #[command(subcommand)]
    Cases(cases::Command),
    /// Regression tests: failed conversations, as something that is run
    #[command(subcommand)]
    Tests(tests::Command),
    /// Experiments on prompts
    #[command(subcommand)]
    Experiments(experiments::Command),
    /// Limits on how long workflows may run
    #[command(subcommand)]
    Timeouts(timeouts::Command),
    /// Releases and why they failed
    #[command(subcommand)]
    Releases(releases::Command),
    /// What waits for a person: actions of high risk
    Approvals(approvals::List),
    /// Lets an action be done that waits
    Approve(approvals::Answer),
    /// Has an action that waits not be done
    Reject(approvals::Answer),
    /// Stops all actions at once; what is seen is still counted and decided
    Stop(control::Said),
    /// Lets actions go on
    Resume(control::Said),
    /// What happened, on one page
    Report(report::Report),
    /// The whole story of an event or a subject: what it came of, what it led to
    Explain(explain::Explain),
    /// The file that says what is watched, and how far Flywheel may go
    #[command(subcommand)]
    Policy(policy::Command),
    /// What would have been found in the last days, by this policy or another one
    Replay(replay::Replay),
    /// Documents for governance: what was changed, who decided it, what was taken back
    Audit(audit::Audit),
    /// The record of all that happened
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// Makes the checks before a release, and fails if it may not start
    Preflight(preflight::Preflight),
    /// Writes a first policy, from what stands in the account and the answers to a few questions
    Init(init::Init),
    /// Prints what completes these commands in a shell
    Completions(manual::Completions),
    /// Prints a manual page, or writes all of them
    Man(manual::Man),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let output = Output::new(arguments.json);
    match run(arguments, &output).await {
        Ok(code) => code,
        Err(error) => {
            output.error(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(Arguments { command, stack, .. }: Arguments, output: &Output) -> Result<ExitCode> {
    let site = async || Site::connect(stack.clone()).await;
    match command {
        // A release that may not start is no error, and yet no success.
        Command::Tests(command) => return tests::run(command, stack, output).await,
        Command::Releases(command) => return releases::run(command, &site().await?, output).await,
        Command::Preflight(preflight) => return preflight.run(stack, output).await,
        Command::Status(status) => status.run(&site().await?, output).await?,
        Command::Init(init) => init.run(stack, output).await?,
        Command::Completions(completions) => completions.run(Arguments::command(), output)?,
        Command::Man(man) => man.run(Arguments::command(), output)?,
        Command::Outputs => outputs(&site().await?.outputs, output)?,
        Command::Cases(command) => Cases::new(&site().await?, output)?.run(command).await?,
        Command::Experiments(command) => Experiments::new(&site().await?, output)?.run(command).await?,
        Command::Timeouts(command) => Timeouts::new(&site().await?, output)?.run(command).await?,
        Command::Approvals(list) => approvals::list(list, &site().await?, output).await?,
        Command::Approve(answer) => approvals::approve(answer, &site().await?, output).await?,
        Command::Reject(answer) => approvals::reject(answer, &site().await?, output).await?,
        Command::Stop(said) => control::stop(said, &site().await?, output).await?,
        Command::Resume(said) => control::resume(said, &site().await?, output).await?,
        Command::Report(report) => report.run(&site().await?, output).await?,
        Command::Explain(explain) => explain.run(&site().await?, output).await?,
        Command::Policy(command) => policy::run(command, stack, output).await?,
        Command::Replay(replay) => replay.run(&site().await?, output).await?,
        Command::Audit(audit) => audit.run(&site().await?, output).await?,
        Command::Ledger(command) => ledger::run(command, &site().await?, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn outputs(outputs: &BTreeMap<String, String>, output: &Output) -> Result<()> {
    output.list(&["OUTPUT", "VALUE"], outputs, outputs.iter().map(|(name, value)| vec![name.clone(), value.clone()]))
}
