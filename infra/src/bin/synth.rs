//! Writes the stack's template: `synth --target account --policy infra/policy.toml --out template.json`.
#![allow(clippy::print_stdout, reason = "a command: the template is its output")]

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use flywheel_infra::{Options, synth};

/// Writes the CloudFormation template of the stack.
#[derive(Parser)]
#[command(name = "synth")]
struct Arguments {
    /// Where the stack will stand.
    #[arg(long, value_enum, default_value = "account")]
    target: Target,
    /// The policy file.
    #[arg(long, default_value = "infra/policy.toml")]
    policy: PathBuf,
    /// The file to write; standard output without it.
    #[arg(long)]
    out: Option<PathBuf>,
    /// The stack's name, if it is known: kept tables of an earlier stack can then be taken in again.
    #[arg(long)]
    stack: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Target {
    Account,
    Local,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let text = fs::read_to_string(&arguments.policy).with_context(|| format!("cannot read {}", arguments.policy.display()))?;
    let target = match arguments.target {
        Target::Account => flywheel_infra::Target::Account,
        Target::Local => flywheel_infra::Target::Local,
    };
    let options = Options { target, stack: arguments.stack, ..Options::default() };
    let template = synth(&text, &options).with_context(|| format!("{} is not a policy to deploy", arguments.policy.display()))?.pretty();
    match arguments.out {
        Some(path) => fs::write(&path, template).with_context(|| format!("cannot write {}", path.display())),
        None => {
            print!("{template}");
            Ok(())
        }
    }
}
