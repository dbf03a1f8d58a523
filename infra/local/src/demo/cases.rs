//! The evaluation cases of the day, by the operator's tool: what was captured, what a person confirms of it, and the files
//! for evaluation tools.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use flywheel_model::Case;
use serde::Serialize;
use tokio::process::Command;

use crate::LocalAws;
use crate::terminal::{Terminal, seconds};

/// Nothing came for this long: it will not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Cases that are shown.
const SHOWN: usize = 6;

/// The formats that are exported.
const FORMATS: [&str; 3] = ["promptfoo", "bedrock-retrieve", "csv"];

/// What became of the day's failed retrievals.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Captured {
    /// Retrievals that failed, as they were sent.
    pub(crate) failed_retrievals: usize,
    /// Of these, those that a case was made from.
    pub(crate) captured: u64,
    /// The cases: questions that are nearly the same are one.
    pub(crate) cases: usize,
    /// Cases that a person confirmed with a reference answer, and how many of each export.
    pub(crate) confirmed: usize,
    pub(crate) exported: BTreeMap<String, u64>,
    pub(crate) seconds: f64,
}

impl Captured {
    pub(crate) fn good(&self) -> bool {
        self.captured == self.failed_retrievals as u64
            && self.cases > 0
            && self.exported.len() == FORMATS.len()
            && self.exported.values().all(|exported| *exported == self.confirmed as u64)
    }
}

/// The operator's tool, beside this program, against the local AWS.
pub(crate) struct Tool {
    program: PathBuf,
    environment: BTreeMap<String, String>,
}

impl Tool {
    pub(crate) fn new(aws: &LocalAws) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("flywheel");
        ensure!(program.is_file(), "{} is not built: run `cargo build --workspace`", program.display());
        Ok(Self { program, environment: aws.environment() })
    }

    pub(crate) async fn run<T: serde::de::DeserializeOwned>(&self, arguments: &[&str]) -> Result<T> {
        let output = self.output(arguments).await?;
        ensure!(output.status.success(), "flywheel {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// What a command prints that fails where the answer is no.
    pub(crate) async fn run_whatever(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        let output = self.output(arguments).await?;
        let told = || format!("flywheel {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        serde_json::from_slice(&output.stdout).with_context(told)
    }

    async fn output(&self, arguments: &[&str]) -> Result<std::process::Output> {
        let command = Command::new(&self.program).arg("--json").args(arguments).env_clear().envs(&self.environment).output();
        command.await.with_context(|| format!("cannot run {}", self.program.display()))
    }

    async fn cases(&self) -> Result<Vec<Case>> {
        self.run(&["cases", "list", "--most", "1000"]).await
    }
}

/// Waits for the cases, shows them, has those of which the answer is known confirmed, and exports them.
pub(crate) async fn show(
    tool: &Tool,
    failed_retrievals: usize,
    answers: &[(&str, &str)],
    output: &Path,
    terminal: &mut Terminal,
) -> Result<Captured> {
    let begun = Instant::now();
    let captured_of = |cases: &[Case]| cases.iter().map(|case| case.times).sum::<u64>();
    let cases = loop {
        let cases = tool.cases().await?;
        if captured_of(&cases) >= failed_retrievals as u64 {
            break cases;
        }
        if begun.elapsed() > PATIENCE {
            bail!("{} of {failed_retrievals} captured after {PATIENCE:?}: see the log of capture-retrievals", captured_of(&cases));
        }
        terminal.now(&format!("{} of {failed_retrievals} captured  {}", captured_of(&cases), seconds(begun.elapsed())));
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    let mut captured = Captured { failed_retrievals, captured: captured_of(&cases), cases: cases.len(), ..Captured::default() };
    terminal.done("Captured", &format!("{failed_retrievals} failed retrievals are {} evaluation cases", cases.len()));
    for case in cases.iter().take(SHOWN) {
        let wordings = if case.variants.len() > 1 { format!(", {} wordings", case.variants.len()) } else { String::new() };
        terminal.detail(&format!("{:>4} times{wordings:<13} {:<12} {}", case.times, case.reasons[0].reason.to_string(), case.query));
    }
    for (question, answer) in answers {
        let asked = |case: &&Case| case.variants.iter().any(|variant| variant.query == *question);
        let Some(case) = cases.iter().find(asked) else { continue };
        let confirm = ["cases", "confirm", case.case.as_str(), "--by", "demo", "--reference", answer];
        let _: Case = tool.run(&confirm).await?;
        captured.confirmed += 1;
    }
    let folder = output.join("cases");
    for format in FORMATS {
        let out = folder.to_string_lossy().into_owned();
        let exported: serde_json::Value = tool.run(&["cases", "export", "--format", format, "--out", &out]).await?;
        captured.exported.insert(format.to_owned(), exported["exported"].as_u64().unwrap_or_default());
    }
    terminal.done("Exported", &format!("{} confirmed cases as {} → {}", captured.confirmed, FORMATS.join(", "), folder.display()));
    captured.seconds = begun.elapsed().as_secs_f64();
    Ok(captured)
}
