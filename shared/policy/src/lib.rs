//! The policy: one reviewed TOML file that says what Flywheel watches and how far it may go.
//!
//! [`Policy::parse`] either gives a policy that every other part may trust without checking again, or every problem of
//! the file at once, each with its line, field, value and fix. A policy that does not parse is never in force: the last
//! good one stays.

mod approvals;
mod capture;
mod costs;
mod differences;
mod error;
mod experiments;
mod file;
mod oddities;
mod outcomes;
mod preflight;
mod regression;
mod signals;
mod timeouts;

use flywheel_model::DataSourceId;
use serde::Serialize;
use sha2::{Digest, Sha256};

pub use approvals::ApprovalPolicy;
pub use capture::CapturePolicy;
pub use costs::CostPolicy;
pub use differences::{Change, Difference, differences};
pub use error::{PolicyErrors, Problem};
pub use experiments::{ExperimentIntent, ExperimentPolicy, FlagPlace, Freeze, Risk, Unit};
pub use file::{is_bucket_name, is_prefix};
pub use oddities::{Oddity, oddities};
pub use outcomes::OutcomePolicy;
pub use preflight::{PreflightPolicy, WhenUnable};
pub use regression::{Assistant, TestPolicy, TestTarget};
pub use signals::{AlarmMapping, Class, EvaluationLimit, FailurePolicy, FindingPolicy, FindingRule, GuardrailId, Measure, SignalPolicy};
pub use timeouts::{ExplorationPolicy, OtherLimit, TimeoutPolicy};

/// A validated policy. It is written as its file is, with every default filled in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Policy {
    /// Whether decisions are carried out.
    pub mode: Mode,
    /// How document changes become synchronisations.
    pub sync: SyncPolicy,
    /// What Bedrock allows this account, shared by everything that Flywheel does.
    pub quotas: Quotas,
    /// Which documents feed which data source. No data source twice; with `unseen_sources` at least one.
    #[serde(rename = "data_source")]
    pub data_sources: Vec<DataSource>,
    /// Data sources that Flywheel cannot see changing: a web crawler, Confluence, SharePoint … They are synchronised when a
    /// finding asks for it.
    #[serde(rename = "unseen_source")]
    pub unseen_sources: Vec<DataSourceId>,
    /// How signals are taken in.
    pub signals: SignalPolicy,
    /// What speaks for a failure.
    pub failures: FailurePolicy,
    /// When a change is a finding.
    pub findings: FindingPolicy,
    /// When a retrieval becomes an evaluation case.
    pub capture: CapturePolicy,
    /// When releases are checked before they start.
    pub preflight: PreflightPolicy,
    /// When failed conversations become regression tests.
    pub tests: TestPolicy,
    /// When experiments on prompts are made.
    pub experiments: ExperimentPolicy,
    /// Which actions wait for a person.
    pub approvals: ApprovalPolicy,
    /// Topics of retrievals, each name once.
    #[serde(rename = "topic")]
    pub topics: Vec<Class>,
    /// Intents of conversations, each name once.
    #[serde(rename = "intent")]
    pub intents: Vec<Class>,
    /// Alarms that stand for findings.
    #[serde(rename = "alarm")]
    pub alarms: Vec<AlarmMapping>,
    /// Limits that may be changed: no setting twice, and no run cut by two of them.
    #[serde(rename = "timeout")]
    pub timeouts: Vec<TimeoutPolicy>,
    /// How actions are graded by the number that triggered them.
    pub outcomes: OutcomePolicy,
    /// What things cost, for the dashboards.
    pub costs: CostPolicy,
    /// The first 16 hexadecimal digits of the file's SHA-256: tells two policies apart in the ledger.
    #[serde(skip)]
    pub version: String,
}

/// Whether decisions are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Decide, act and record.
    Act,
    /// Decide and record everything; call nothing that changes AWS.
    DryRun,
}

/// How document changes become synchronisations of a knowledge base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SyncPolicy {
    /// Up to this many changed documents of one data source are ingested directly. With more it wants an ingestion job,
    /// which reads the whole data source; until it may have one it goes on directly with what the others leave of the
    /// rate, unless this is less than a full direct request. 1 to 1,000; default 100.
    pub direct_at_most: u32,
    /// A job starts once no change has come for this many seconds. 2 to 900, default 3: below 2 a job could miss
    /// changes, since S3 dates its events to the second.
    pub settle_seconds: u32,
    /// A job starts after this many seconds even though changes keep coming. Default 60.
    pub settle_at_most_seconds: u32,
    /// Seconds between two looks at a running job. 1 to 900, default 10.
    pub poll_seconds: u32,
    /// Seconds between two looks at documents that are being ingested directly. 1 to 900, default 2.
    pub check_seconds: u32,
    /// Seconds between two job starts of one data source. 0 to 86,400, default 30.
    pub cooldown_seconds: u32,
    /// How often a document, or a data source that refuses, is tried before it is quarantined. 1 to 10, default 3.
    pub max_attempts: u32,
    /// Ingestion jobs started in one clock hour, over the whole account. Default 120.
    pub job_starts_per_hour: u32,
    /// Documents sent directly in one clock hour, over the whole account. Default 50,000.
    pub direct_documents_per_hour: u32,
}

/// Bedrock's quotas for one account and Region. The defaults are those of the Bedrock service quotas page in November
/// 2026; they are configuration because accounts and Regions differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quotas {
    /// Ingestion jobs running at once in the account. Default 5.
    pub running_jobs: u32,
    /// `StartIngestionJob` requests a second. Default 0.1.
    pub job_starts_per_second: f64,
    /// Documents in one direct ingestion request. Default 10: the quotas page says 25, the service model 10.
    pub documents_per_request: u32,
    /// `IngestKnowledgeBaseDocuments` (and, separately, `DeleteKnowledgeBaseDocuments`) requests a second. Default 5.
    pub direct_requests_per_second: f64,
    /// `GetKnowledgeBaseDocuments` requests a second. Default 5.
    pub document_reads_per_second: f64,
}

/// Which documents feed one data source of one knowledge base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DataSource {
    /// The knowledge base and its data source.
    #[serde(flatten)]
    pub id: DataSourceId,
    /// The bucket that holds the documents.
    pub bucket: String,
    /// Keys start with this; empty for the whole bucket.
    pub prefix: String,
    /// If not empty, a key below `prefix` must match one of these globs (`**/*.md`).
    pub include: Vec<String>,
    /// A key that matches one of these globs is left out.
    pub exclude: Vec<String>,
    /// Whether documents may have a `NAME.metadata.json` beside them, which direct ingestion must then name.
    pub metadata_files: bool,
}

impl Policy {
    /// Reads and validates a policy file.
    ///
    /// # Errors
    /// Every problem found, in the order of the file. A file that is not TOML has one problem.
    pub fn parse(text: &str) -> Result<Self, PolicyErrors> {
        let file = file::read(text)?;
        let mut policy = file::validate(text, file)?;
        policy.version = hex::encode(&Sha256::digest(text.as_bytes())[..8]);
        Ok(policy)
    }

    /// The data sources that read a document, and nothing where none does.
    pub fn readers<'a>(&'a self, bucket: &'a str, key: &'a str) -> impl Iterator<Item = &'a DataSource> {
        self.data_sources.iter().filter(move |source| source.reads(bucket, key))
    }

    /// The rules of one data source, if it is in the policy.
    #[must_use]
    pub fn data_source(&self, id: &DataSourceId) -> Option<&DataSource> {
        self.data_sources.iter().find(|source| source.id == *id)
    }

    /// Whether a limit of the policy cuts runs of a workflow.
    #[must_use]
    pub fn limits(&self, workflow: &str) -> bool {
        self.timeouts.iter().any(|timeout| timeout.workflow.as_str() == workflow)
    }

    /// The watched buckets, each once, in order.
    #[must_use]
    pub fn buckets(&self) -> Vec<&str> {
        let mut buckets: Vec<&str> = self.data_sources.iter().map(|source| source.bucket.as_str()).collect();
        buckets.sort_unstable();
        buckets.dedup();
        buckets
    }
}

impl DataSource {
    /// Whether this data source takes in a document.
    #[must_use]
    pub fn reads(&self, bucket: &str, key: &str) -> bool {
        let Some(below) = (self.bucket == bucket).then(|| key.strip_prefix(self.prefix.as_str())).flatten() else {
            return false;
        };
        let matches = |glob: &String| fast_glob::glob_match(glob, below);
        (self.include.is_empty() || self.include.iter().any(matches)) && !self.exclude.iter().any(matches)
    }
}

#[cfg(test)]
mod tests {
    use flywheel_model::{CaptureReason, Metric};
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = r#"mode = "act"
[[data_source]]
knowledge_base = "KB12345678"
data_source = "DS12345678"
bucket = "docs"
prefix = "manuals/"
include = ["**/*.md", "**/*.{pdf,html}"]
exclude = ["drafts/**"]
"#;

    fn problems(text: &str) -> Vec<String> {
        Policy::parse(text).expect_err("not valid").0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let policy = Policy::parse(GOOD).expect("valid");
        assert_eq!((policy.mode, policy.sync.direct_at_most, policy.quotas.job_starts_per_second), (Mode::Act, 100, 0.1));
        assert_eq!(policy.version.len(), 16);
    }

    #[test]
    fn a_document_is_read_by_its_prefix_and_globs() {
        let policy = Policy::parse(GOOD).expect("valid");
        for (bucket, key, read) in [
            ("docs", "manuals/a.md", true),
            ("docs", "manuals/deep/er/a.pdf", true),
            ("docs", "manuals/a.txt", false),
            ("docs", "manuals/drafts/a.md", false),
            ("docs", "other/a.md", false),
            ("other", "manuals/a.md", false),
        ] {
            assert_eq!(policy.readers(bucket, key).count() == 1, read, "{bucket} {key}");
        }
    }

    #[test]
    fn every_problem_is_told_with_its_line_its_field_and_its_fix() {
        let text = GOOD
            .replace("KB12345678", "kb-1")
            .replace("\"docs\"", "\"s3://Docs\"")
            .replace("\"manuals/\"", "\"/manuals\"")
            .replace("drafts/**", "drafts/[a")
            .replace("mode = \"act\"", "mode = \"act\"\n[sync]\nsettle_seconds = 1");
        let told = problems(&text);
        let starts: Vec<String> = told.iter().map(|problem| problem.split(": ").take(2).collect::<Vec<_>>().join(": ")).collect();
        assert_eq!(
            starts,
            [
                "line 3: sync.settle_seconds",
                "line 5: data_source.knowledge_base",
                "line 7: data_source.bucket",
                "line 8: data_source.prefix",
                "line 10: data_source.exclude",
            ]
        );
        assert!(told[0].ends_with("1 is out of range; use 2 to 900 (default 3)"), "{}", told[0]);
    }

    #[test]
    fn a_misspelt_field_is_named_with_its_line() {
        let told = problems(&GOOD.replace("bucket =", "buckets ="));
        assert!(told[0].starts_with("line 5: ") && told[0].contains("buckets"), "{told:?}");
    }

    #[test]
    fn a_guardrail_is_named_with_its_version() {
        let with = |guardrail: &str| format!("{GOOD}[signals]\nguardrail = \"{guardrail}\"\n");
        let policy = Policy::parse(&with("gr1abc2def3g:4")).expect("valid");
        assert_eq!(policy.signals.guardrail, Some(GuardrailId { id: "gr1abc2def3g".to_owned(), version: "4".to_owned() }));
        assert!(Policy::parse(&with("gr1abc2def3g:DRAFT")).is_ok());
        for wrong in
            ["gr1abc2def3g", "gr1abc2def3g:", "gr1abc2def3g:0", "GR1:4", "arn:aws:bedrock:us-east-1:123456789012:guardrail/gr1:4", ":1"]
        {
            assert!(problems(&with(wrong))[0].contains("signals.guardrail"), "{wrong}");
        }
    }

    #[test]
    fn a_data_source_stands_once() {
        let twice = format!("{GOOD}{}", GOOD.replace("mode = \"act\"", ""));
        assert!(problems(&twice)[0].contains("KB12345678/DS12345678 is there twice"));
    }

    #[test]
    fn each_metric_has_a_rule_of_its_own() {
        let text = format!("{GOOD}[findings.resolution]\nchange = 0.3\n[[topic]]\nname = \"launch\"\nwords = [\" Kettle 3 \"]\n");
        let policy = Policy::parse(&text).expect("valid");
        assert_eq!(policy.findings.rule(Metric::FailedResponses).change, 0.15);
        assert_eq!(policy.findings.rule(Metric::Resolution).change, 0.3);
        assert_eq!(policy.findings.rule(Metric::ConversationFailures).change, 0.25);
        assert_eq!(policy.topics[0].words, ["kettle 3"]);
    }

    #[test]
    fn problems_of_signals_and_findings_are_told_like_all_others() {
        let text = format!(
            "{GOOD}[findings.timeouts]\nchange = 0\n[[topic]]\nname = \"\"\nwords = [\" \"]\nknowledge_bases = [\"kb\"]\n\
             [[unseen_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS12345678\"\n"
        );
        let told = problems(&text.replace("change = 0\n", "change = 0.0\n"));
        for (problem, starts) in told.iter().zip([
            "line 10: findings.timeouts.change: 0.0 is out of range; use 0.01 to 10.0 (default 0.25)",
            "line 12: topic.name: the name is empty",
            "line 13: topic.words: \" \" has no letters",
            "line 14: topic.knowledge_bases: \"kb\" is not an id",
            "line 15: unseen_source: KB12345678/DS12345678 is there twice",
        ]) {
            assert!(problem.starts_with(starts), "{problem} does not start with {starts}");
        }
        assert_eq!(told.len(), 5, "{told:?}");
    }

    #[test]
    fn each_reason_to_capture_has_a_weight_of_its_own() {
        let policy = Policy::parse(&format!("{GOOD}[capture.weights]\nlow_scores = 0.4\n")).expect("valid");
        assert_eq!((policy.capture.weight(CaptureReason::LowScores), policy.capture.weight(CaptureReason::NoAnswer)), (0.4, 1.0));
        let told = problems(&format!("{GOOD}[capture.weights]\nno_answer = -1.0\n"));
        assert!(told[0].starts_with("line 10: capture.weights.no_answer: -1.0 is out of range; use 0.0 to 10.0"), "{told:?}");
        assert!(problems(&format!("{GOOD}[capture.weights]\nboredom = 1.0\n"))[0].contains("boredom"));
    }

    #[test]
    fn checks_before_releases_have_their_own_table() {
        let table = "[preflight]\nfailed_share = 0.3\nwhen_unable = \"stop\"\nroles = [\"arn:aws:iam::111122223333:role/deploy\"]\n";
        let preflight = Policy::parse(&format!("{GOOD}{table}")).expect("valid").preflight;
        assert_eq!((preflight.failed_share, preflight.recurs, preflight.when_unable), (0.3, 2, WhenUnable::Stop));
        let told = problems(&format!("{GOOD}[preflight]\nroles = [\"deploy\"]\nsurely = 2.0\n"));
        assert!(told[0].starts_with("line 10: preflight.roles: \"deploy\" is not the ARN of a role"), "{told:?}");
        assert!(told[1].starts_with("line 11: preflight.surely: 2.0 is out of range"), "{told:?}");
    }

    #[test]
    fn a_policy_that_watches_nothing_is_refused() {
        assert!(problems("mode = \"dry_run\"")[0].contains("add a [[data_source]] table"));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "(.|\n){0,300}", cut in 0..GOOD.len()) {
            let _ = Policy::parse(&text);
            let _ = Policy::parse(&GOOD[..cut]);
        }
    }
}
