//! What is captured as an evaluation case: one report of several parts.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::duplicates::{self, NearDuplicates};
use crate::redaction;
use crate::report::{Facts, write};
use crate::unsure::{self, Unsure};

/// What the benchmark may be told.
#[derive(Args)]
pub(crate) struct Settings {
    /// A folder of labelled collections; without it, what needs them is left out
    #[arg(long, env = "FLYWHEEL_DATASETS")]
    datasets: Option<PathBuf>,
    #[command(flatten)]
    duplicates: duplicates::Settings,
    #[command(flatten)]
    redaction: redaction::Settings,
}

#[derive(Serialize)]
struct Report {
    facts: Facts,
    redaction: redaction::Measured,
    #[serde(flatten)]
    unsure: Option<Unsure>,
    near_duplicates: NearDuplicates,
}

/// Measures, prints tables and writes the report.
pub(crate) fn run(settings: &Settings, out: &Path) -> anyhow::Result<()> {
    let unsure = settings.datasets.as_deref().map(unsure::measure).transpose()?;
    if unsure.is_none() {
        println!("Unsure retrievals and answers are not measured: FLYWHEEL_DATASETS names no folder of labelled collections");
    }
    let redaction = redaction::measure(&settings.redaction)?;
    let near_duplicates = duplicates::measure(&settings.duplicates, settings.datasets.as_deref())?;
    write(out, &Report { facts: Facts::now(), redaction, unsure, near_duplicates })
}
