//! The checks before a release, made from wherever it is released. Nothing here writes to the account.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, SdkConfig};
use clap::{Args, ValueEnum};
use flywheel_adapters::{AwsAccount, ChecksObject};
use flywheel_engine::preflight::{Answer, Report};
use flywheel_policy::WhenUnable;
use flywheel_ports::Checks;
use run_preflight::check;

use crate::junit::{Junit, Outcome};
use crate::output::Output;
use crate::site::Site;
use crate::template::FromTemplate;

#[derive(Args)]
pub(crate) struct Preflight {
    /// What is about to be released: the name of its stack or pipeline, or what `releases add` calls it.
    #[arg(long)]
    service: String,
    /// The checks file; without it, the one that Flywheel keeps.
    #[arg(long)]
    checks: Option<PathBuf>,
    #[command(flatten)]
    template: FromTemplate,
    /// What a check that cannot be made does to the release.
    #[arg(long, default_value = "warn")]
    when_unable: Unable,
    /// Also writes the result as JUnit XML.
    #[arg(long)]
    junit: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Unable {
    Warn,
    Stop,
}

impl Preflight {
    /// Makes the checks. Succeeds if the release may start.
    pub(crate) async fn run(self, stack: String, output: &Output) -> Result<ExitCode> {
        let (sdk, file) = self.file(stack).await?;
        let when_unable = match self.when_unable {
            Unable::Warn => WhenUnable::Warn,
            Unable::Stop => WhenUnable::Stop,
        };
        let derived = self.template.derive(&sdk).await?;
        let account = AwsAccount::new(&sdk);
        let report =
            check(file.as_deref(), &derived.needs, &account, &self.service, when_unable).await?.beside(derived.unknown, when_unable);
        if let Some(path) = &self.junit {
            std::fs::write(path, junit(&report)).with_context(|| format!("cannot write {}", path.display()))?;
        }
        let rows = report.findings.iter().map(|finding| {
            vec![state(&finding.answer).to_owned(), finding.check.need.to_string(), finding.says.clone(), finding.fix.clone()]
        });
        let unknown = report.unknown.iter().map(|unknown| vec!["not checked".to_owned(), unknown.clone(), String::new(), String::new()]);
        let rows: Vec<Vec<String>> = rows.chain(unknown).collect();
        output.list(&["STATE", "CHECK", "WHAT IS MISSING", "HOW TO MEND IT"], &report, rows)?;
        Ok(if report.may_start { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The checks file and where to look. With a file of one's own, or with what a template needs alone, no stack is asked for.
    async fn file(&self, stack: String) -> Result<(SdkConfig, Option<String>)> {
        if self.template.is_alone() {
            return Ok((aws_config::load_defaults(BehaviorVersion::latest()).await, None));
        }
        if let Some(path) = &self.checks {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            return Ok((aws_config::load_defaults(BehaviorVersion::latest()).await, Some(text)));
        }
        let site = Site::connect(stack).await?;
        let read = ChecksObject::new(&site.sdk, site.output("ChecksBucket")?.to_owned()).read().await?;
        Ok((site.sdk, read.map(|(text, _)| text)))
    }
}

fn state(answer: &Answer) -> &'static str {
    match answer {
        answer if answer.is_met() => "ok",
        Answer::PerhapsNeeded(_) => "perhaps",
        _ if answer.is_failure() => "missing",
        _ => "not checked",
    }
}

/// A failure for what is missing, a skip for what could not be checked.
fn junit(report: &Report) -> String {
    let mut junit = Junit::new(&format!("preflight {}", report.service));
    for finding in &report.findings {
        let says = format!("{}. To mend it: {}", finding.says, finding.fix);
        let outcome = match &finding.answer {
            answer if answer.is_met() => Outcome::Passed,
            answer if answer.is_failure() => Outcome::Failed(&says),
            _ => Outcome::Skipped(&says),
        };
        junit.case(&finding.check.need.to_string(), &outcome);
    }
    for unknown in &report.unknown {
        junit.case(unknown, &Outcome::Skipped(unknown));
    }
    junit.xml()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use flywheel_engine::preflight::report;
    use flywheel_model::{Need, PreflightCheck};

    use super::*;

    #[test]
    fn junit_has_a_case_for_each_check_whatever_is_in_its_names() {
        let check = |parameter: &str| PreflightCheck::learned(Need::Parameter { parameter: parameter.to_owned() }, BTreeSet::new());
        let answers = vec![(check("/a\"<&>"), Answer::Missing), (check("/b"), Answer::Met), (check("/c"), Answer::Unable("no".to_owned()))];
        let xml = junit(&report("shop", answers, WhenUnable::Warn));
        assert!(xml.contains("tests=\"3\" failures=\"1\" skipped=\"1\""), "{xml}");
        assert!(
            xml.contains("the parameter /a&quot;&lt;&amp;&gt; is there") && xml.contains("<testcase name=\"the parameter /b is there\"/>"),
            "{xml}"
        );
    }
}
