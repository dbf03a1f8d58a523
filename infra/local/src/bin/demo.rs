//! `make demo`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use flywheel_local::demo::{self, Options};
use flywheel_local::interrupted;
use flywheel_local::terminal::Terminal;

/// Changes real documents in a local AWS and shows Flywheel synchronise the knowledge bases that read them.
#[derive(Parser)]
#[command(name = "flywheel-demo")]
struct Arguments {
    /// The folder of documents.
    #[arg(default_value = "infra/local/documents")]
    documents: PathBuf,
    /// Where the summary, the policy and the logs go.
    #[arg(long, default_value = "target/demo")]
    output: PathBuf,
    /// The folder with the functions' binaries; beside this program if not given.
    #[arg(long)]
    functions: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { documents, output, functions } = Arguments::parse();
    let mut terminal = Terminal::new();
    let options = Options { documents, output, functions };
    // Whichever branch is not taken is dropped, and with it everything that it started.
    let result = tokio::select! {
        result = demo::run(&options, &mut terminal) => Some(result),
        () = interrupted() => None,
    };
    match result {
        Some(Ok(true)) => ExitCode::SUCCESS,
        Some(Ok(false)) => ExitCode::FAILURE,
        Some(Err(error)) => {
            terminal.error(&format!("{error:#}"));
            ExitCode::FAILURE
        }
        None => {
            terminal.error("interrupted; everything that was started is stopped");
            ExitCode::from(130)
        }
    }
}
