//! `deploy`: brings the stack into the account and Region of the usual AWS environment. `deploy destroy` takes it away.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command: results go to stdout, its way to stderr")]

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use aws_config::SdkConfig;
use clap::{Args, Parser, Subcommand, ValueEnum};
use flywheel_deploy::{Architecture, Change, Options, Progress};

/// Deploys Flywheel. Region and credentials come from the usual AWS environment.
#[derive(Parser)]
#[command(name = "deploy", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    deploy: Deploy,
}

#[derive(Subcommand)]
enum Command {
    /// Deletes the stack. Tables are kept, and so is everything that is not the stack's own.
    Destroy {
        /// The stack's name.
        #[arg(long, default_value = "flywheel")]
        stack: String,
        /// Does not ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Args)]
struct Deploy {
    /// The stack's name.
    #[arg(long, default_value = "flywheel")]
    stack: String,
    /// The policy file.
    #[arg(long, default_value = "infra/policy.toml")]
    policy: PathBuf,
    /// The directory with the functions' binaries.
    #[arg(long, default_value = "target/lambda")]
    functions: PathBuf,
    /// What the binaries were built for.
    #[arg(long, value_enum, default_value = "x86_64")]
    architecture: Built,
    /// Prints what would change, and changes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Does not ask.
    #[arg(long)]
    yes: bool,
    /// Turns on events to EventBridge for the policy's buckets where they are off.
    #[arg(long)]
    enable_bucket_events: bool,
    /// Who is told of alarms by e-mail. AWS asks the address to confirm. Stays as it was if not given.
    #[arg(long)]
    alarm_email: Option<String>,
    /// ARN of a KMS key for the alarm topic, whose policy lets cloudwatch.amazonaws.com use it. Stays as it was if not given.
    #[arg(long)]
    alarm_topic_key: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Built {
    #[value(name = "x86_64")]
    X86_64,
    #[value(name = "arm64")]
    Arm64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        None => deploy(arguments.deploy).await,
        Some(Command::Destroy { stack, yes }) => destroy(&stack, yes).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn environment() -> SdkConfig {
    aws_config::load_from_env().await
}

fn tell() -> impl FnMut(Progress) {
    |progress| eprintln!("{progress}")
}

async fn deploy(arguments: Deploy) -> Result<()> {
    let policy = std::fs::read_to_string(&arguments.policy).with_context(|| format!("cannot read {}", arguments.policy.display()))?;
    let options = Options {
        stack: arguments.stack,
        architecture: match arguments.architecture {
            Built::X86_64 => Architecture::X86_64,
            Built::Arm64 => Architecture::Arm64,
        },
        enable_bucket_events: arguments.enable_bucket_events,
        alarm_email: arguments.alarm_email,
        alarm_topic_key: arguments.alarm_topic_key,
        ..Options::new(policy, arguments.functions)
    };
    let plan = flywheel_deploy::plan(&environment().await, options, tell()).await?;
    print_changes(plan.changes());
    if arguments.dry_run {
        return plan.discard().await;
    }
    if !plan.changes().is_empty() && !arguments.yes {
        let agreed = ask(&format!("Make these {} changes in {}?", plan.changes().len(), plan.place()));
        if !matches!(agreed, Ok(true)) {
            plan.discard().await?;
            agreed?;
            bail!("nothing was changed");
        }
    }
    let deployed = plan.execute(tell()).await?;
    for (name, value) in deployed.outputs {
        println!("{name} = {value}");
    }
    Ok(())
}

fn print_changes(changes: &[Change]) {
    if changes.is_empty() {
        println!("no changes");
        return;
    }
    println!("{:<8} {:<36} {:<46} REPLACEMENT", "ACTION", "RESOURCE", "TYPE");
    for change in changes {
        println!("{}{}", change.to_string().trim_end(), if change.is_grave() { "  <- holds data" } else { "" });
    }
}

async fn destroy(stack: &str, yes: bool) -> Result<()> {
    if !yes && !ask(&format!("Delete stack {stack}?"))? {
        bail!("nothing was changed");
    }
    let destroyed = flywheel_deploy::destroy(&environment().await, stack, tell()).await?;
    if !destroyed.existed {
        println!("there is no stack {stack}");
        return Ok(());
    }
    println!("stack {stack} is deleted");
    if !destroyed.retained.is_empty() {
        println!("kept, with deletion protection on: {}", destroyed.retained.join(", "));
        println!("deploying {stack} again takes them in; to be rid of them, turn the protection off and delete them in DynamoDB");
    }
    println!("not touched: documents and their buckets' settings, knowledge bases, the bucket flywheel-code-ACCOUNT-REGION");
    Ok(())
}

fn ask(question: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("nobody is there to ask: {question}\nnext: add --yes");
    }
    eprint!("{question} [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
