//! `make local` and `make watch`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use flywheel_local::interrupted;
use flywheel_local::terminal::Terminal;
use flywheel_local::watch::{self, Options};

/// Starts the local AWS with Flywheel's stack deployed and stays until Ctrl-C.
#[derive(Parser)]
#[command(name = "flywheel-local")]
struct Arguments {
    /// The policy to deploy. The buckets, knowledge bases and data sources that it names are created.
    #[arg(long, default_value = "infra/policy.toml")]
    policy: PathBuf,
    /// Also serve the functions with `cargo lambda watch`.
    #[arg(long)]
    watch: bool,
    /// The local AWS's port.
    #[arg(long, default_value_t = 4566)]
    port: u16,
    /// The port of the stand-in for Bedrock.
    #[arg(long, default_value_t = 4567)]
    bedrock_port: u16,
    /// Where logs and the environment file go.
    #[arg(long, default_value = "target/local")]
    output: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { policy, watch, port, bedrock_port, output } = Arguments::parse();
    let mut terminal = Terminal::new();
    let options = Options { policy, watch, port, bedrock_port, output };
    let result = tokio::select! {
        result = watch::run(&options, &mut terminal) => result,
        () = interrupted() => Ok(()),
    };
    match result {
        Ok(()) => {
            terminal.line("\n  stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            terminal.error(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
