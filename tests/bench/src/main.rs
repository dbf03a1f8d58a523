//! Measures the document loop against Bedrock's quotas, change detection against chance, what signals cost, redaction, and
//! the functions' cold starts. `make bench` runs all of them.

mod aws_stub;
mod binomial;
mod bound;
mod capture;
mod cold_start;
mod detection;
mod duplicates;
mod experiments;
mod http;
mod intake;
mod job_per_object;
mod kb_sync;
mod outcomes;
mod preflight;
#[path = "../../support/recorded.rs"]
mod recorded;
mod redaction;
mod regression;
mod repeat;
mod report;
mod runtime_api;
mod timeouts;
mod unsure;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Measures Flywheel; each benchmark prints a table and writes its figures as JSON.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The document loop against Bedrock's quotas, in simulated time
    KbSync {
        #[command(flatten)]
        settings: kb_sync::Settings,
        /// Where the figures go
        #[arg(long, default_value = "target/bench/kb-sync.json")]
        out: PathBuf,
    },
    /// Change detection: false alarms, samples until a change is found, many keys
    Detection {
        #[command(flatten)]
        settings: detection::Settings,
        /// Where the figures go
        #[arg(long, default_value = "target/bench/detection.json")]
        out: PathBuf,
    },
    /// What a million signals cost on each road, and how many a second of CPU time takes in
    Intake {
        #[command(flatten)]
        settings: intake::Settings,
        /// Where the figures go
        #[arg(long, default_value = "target/bench/intake.json")]
        out: PathBuf,
    },
    /// The functions' starts, memory and handling of batches
    ColdStart {
        #[command(flatten)]
        settings: cold_start::Settings,
        /// Where the figures go
        #[arg(long, default_value = "target/bench/cold-start.json")]
        out: PathBuf,
    },
    /// Limits: where they end up, how often they move wrongly, and what a million runs take
    Timeouts {
        #[command(flatten)]
        settings: timeouts::Settings,
        /// Where the figures go
        #[arg(long, default_value = "target/bench/timeouts.json")]
        out: PathBuf,
    },
    /// Taking personal data out of text, beside plain regular expressions
    Redaction {
        #[command(flatten)]
        settings: redaction::Settings,
        /// Where the figures go
        #[arg(long, default_value = "target/bench/redaction.json")]
        out: PathBuf,
    },
    /// What is understood of failed releases, and what the checks are worth that are learned from them
    Preflight {
        #[command(flatten)]
        settings: preflight::Settings,
        /// Where the figures go
        #[arg(long, default_value = "target/bench/preflight.json")]
        out: PathBuf,
    },
    /// What becomes of failed conversations: tests, and what they are worth
    Tests {
        #[command(flatten)]
        settings: regression::Settings,
        /// Where the figures go
        #[arg(long, default_value = "target/bench/tests.json")]
        out: PathBuf,
    },
    /// Experiments: false winners, samples until a decision, harm until a stop, and the order of the queue
    Experiments {
        #[command(flatten)]
        settings: experiments::Settings,
        /// Where the figures go
        #[arg(long, default_value = "target/bench/experiments.json")]
        out: PathBuf,
    },
    /// What is told of actions whose effect is known, and how fast counts are looked at again
    Loop {
        #[command(flatten)]
        settings: outcomes::Settings,
        /// Where the figures go
        #[arg(long, default_value = "target/bench/loop.json")]
        out: PathBuf,
    },
    /// What of retrievals and answers is worth keeping as a case
    Capture {
        #[command(flatten)]
        settings: capture::Settings,
        /// Where the figures go
        #[arg(long, default_value = "target/bench/capture.json")]
        out: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    match Options::parse().what {
        What::KbSync { settings, out } => kb_sync::run(settings, &out),
        What::Detection { settings, out } => detection::run(&settings, &out),
        What::Intake { settings, out } => intake::run(settings, &out),
        What::ColdStart { settings, out } => cold_start::run(settings, &out),
        What::Timeouts { settings, out } => timeouts::run(&settings, &out),
        What::Redaction { settings, out } => redaction::run(&settings, &out),
        What::Preflight { settings, out } => preflight::run(&settings, &out),
        What::Tests { settings, out } => regression::run(&settings, &out),
        What::Experiments { settings, out } => experiments::run(&settings, &out),
        What::Loop { settings, out } => outcomes::run(&settings, &out),
        What::Capture { settings, out } => capture::run(&settings, &out),
    }
}
