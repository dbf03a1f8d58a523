//! The local AWS to work with by hand, and the functions under `cargo lambda watch` beside it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write;
use std::net::{Ipv6Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use flywheel_infra::FUNCTIONS;
use flywheel_policy::Policy;

use crate::process::{Process, launch};
use crate::terminal::Terminal;
use crate::{Config, LocalAws, Quotas, tools};

const STACK: &str = "flywheel";

/// What to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The policy to deploy. The buckets, knowledge bases and data sources that it names are created.
    pub policy: PathBuf,
    /// Whether to run `cargo lambda watch`.
    pub watch: bool,
    /// ministack's port.
    pub port: u16,
    /// The stand-in's port.
    pub bedrock_port: u16,
    /// Where logs and the environment file go.
    pub output: PathBuf,
}

/// Starts it all and stays, or until `cargo lambda watch` ends.
///
/// # Errors
/// If something does not start, or `cargo lambda watch` fails.
pub async fn run(options: &Options, terminal: &mut Terminal) -> Result<()> {
    let text = std::fs::read_to_string(&options.policy).with_context(|| format!("cannot read the policy {}", options.policy.display()))?;
    let policy = Policy::parse(&text)?;
    terminal.title("Flywheel on this machine");
    terminal.now("starting the local AWS");
    let mut config = Config::new(&options.output);
    (config.port, config.bedrock_port) = (Some(options.port), Some(options.bedrock_port));
    config.quotas = Quotas {
        running_jobs: policy.quotas.running_jobs,
        job_starts_per_second: policy.quotas.job_starts_per_second,
        direct_requests_per_second: policy.quotas.direct_requests_per_second,
        get_documents_per_second: policy.quotas.document_reads_per_second,
        ..Quotas::default()
    };
    let aws = LocalAws::start(config).await?;
    terminal.done("Local AWS", &aws.endpoint());
    terminal
        .done("Bedrock stand-in", &format!("{}  (inspect and steer: /_control/jobs, calls, documents, faults)", aws.bedrock_endpoint()));
    aws.create_what_is_named(&policy).await?;
    for source in &policy.data_sources {
        terminal.detail(&format!("{}  s3://{}/{}", source.id, source.bucket, source.prefix));
    }
    aws.deploy(STACK, &text, &mut |line| terminal.now(&format!("deploying: {line}"))).await?;
    terminal.done("Stack deployed", STACK);

    let mut environment = aws.environment();
    environment.extend(function_variables(&aws).await?);
    let file = write_environment(&options.output, &environment)?;
    terminal.line(&format!("\n  In another shell, for the AWS CLI and SDKs and for functions run by hand:  source {}", file.display()));
    for (name, value) in aws.environment() {
        terminal.line(&format!("    export {name}={value}"));
    }
    if options.watch {
        watch(&environment, terminal).await
    } else {
        terminal.line("\n  Ctrl-C stops everything.");
        std::future::pending().await
    }
}

/// What the deployed functions have in their environment: the names of tables, queues and so on.
async fn function_variables(aws: &LocalAws) -> Result<BTreeMap<String, String>> {
    let lambda = aws_sdk_lambda::Client::new(aws.config());
    let mut variables = BTreeMap::new();
    for function in FUNCTIONS {
        let name = format!("{STACK}-{}", function.name);
        let deployed =
            lambda.get_function_configuration().function_name(&name).send().await.with_context(|| format!("{name} is not deployed"))?;
        variables.extend(deployed.environment.and_then(|it| it.variables).unwrap_or_default());
    }
    Ok(variables)
}

/// A file for the shell's `source`.
fn write_environment(folder: &Path, variables: &BTreeMap<String, String>) -> Result<PathBuf> {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let mut text = String::new();
    for (name, value) in variables {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "export {name}={}", quoted(value));
    }
    let programs = tools()?.with_file_name("bin");
    let _ = writeln!(text, "export PATH={}:\"$PATH\"  # cargo lambda", quoted(&programs.display().to_string()));
    let file = folder.join("env");
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

async fn watch(environment: &BTreeMap<String, String>, terminal: &mut Terminal) -> Result<()> {
    // By default it would listen to the whole network. `cargo lambda invoke` calls ::1 unless it is told otherwise.
    let (address, flag) = match TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
        Ok(_) => ("::1", ""),
        Err(_) => ("127.0.0.1", " -A 127.0.0.1"),
    };
    terminal.line("\n  Functions, each compiled when it is first invoked (from that other shell):");
    for function in FUNCTIONS {
        terminal.line(&format!("    cargo lambda invoke{flag} {} --data-file events/…", function.name));
    }
    terminal.line("  Edit the code and invoke again. Ctrl-C stops everything.\n");
    let tools = tools()?;
    let program = tools.join("bin/cargo-lambda");
    let arguments = ["lambda", "watch", "--invoke-address", address].map(OsStr::new);
    let mut command = launch(&tools, &[&[program.as_os_str()], arguments.as_slice()].concat());
    command.envs(environment).env("RUST_LOG", "info,cargo_lambda=warn,cargo_lambda_watch=warn,cargo_lambda_remote=warn,watchexec=off");
    let mut process = Process::start(command)?;
    loop {
        if let Some(status) = process.ended()? {
            bail!("cargo lambda watch ended with {status}");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
