//! The policy file as written: TOML with positions, then checked field by field.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::ops::{Range, RangeInclusive};

use flywheel_model::{CaptureReason, DataSourceId, Key, Metric};
use serde::Deserialize;
use toml::Spanned;

use crate::approvals::Approvals;
use crate::costs::Costs;
use crate::error::{PolicyErrors, Problem};
use crate::experiments::Experiments;
use crate::outcomes::Outcomes;
use crate::preflight::Preflight;
use crate::regression::Tests;
use crate::signals::{EVALUATIONS, FAILED_LABELS, NO_ANSWER, default_rule};
use crate::timeouts::TimeoutTable;
use crate::{
    AlarmMapping, CapturePolicy, Class, DataSource, EvaluationLimit, FailurePolicy, FindingPolicy, FindingRule, GuardrailId, Measure, Mode,
    Policy, Quotas, SignalPolicy, SyncPolicy,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    mode: Mode,
    #[serde(default)]
    sync: Sync,
    #[serde(default)]
    quotas: QuotasTable,
    #[serde(default)]
    data_source: Vec<Spanned<Source>>,
    #[serde(default)]
    unseen_source: Vec<Spanned<Unseen>>,
    #[serde(default)]
    signals: Signals,
    #[serde(default)]
    failures: Failures,
    #[serde(default)]
    findings: Findings,
    #[serde(default)]
    capture: Capture,
    #[serde(default)]
    preflight: Preflight,
    #[serde(default)]
    tests: Tests,
    #[serde(default)]
    experiments: Experiments,
    #[serde(default)]
    approvals: Approvals,
    #[serde(default)]
    topic: Vec<Topic>,
    #[serde(default)]
    intent: Vec<Intent>,
    #[serde(default)]
    alarm: Vec<AlarmTable>,
    #[serde(default)]
    timeout: Vec<Spanned<TimeoutTable>>,
    #[serde(default)]
    costs: Costs,
    #[serde(default)]
    outcomes: Outcomes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unseen {
    knowledge_base: Spanned<String>,
    data_source: Spanned<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Signals {
    late_hours: Option<Spanned<u32>>,
    quiet_seconds: Option<Spanned<u32>>,
    invocation_log_bucket: Option<Spanned<String>>,
    guardrail: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Failures {
    no_answer: Option<Vec<Spanned<String>>>,
    failed_labels: Option<Vec<Spanned<String>>>,
    evaluation: Option<Vec<EvaluationTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EvaluationTable {
    name: Spanned<String>,
    below: Spanned<f64>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Findings {
    baseline_days: Option<Spanned<u32>>,
    window_days: Option<Spanned<u32>>,
    false_alarms_a_month: Option<Spanned<f64>>,
    false_discovery_rate: Option<Spanned<f64>>,
    drift_a_month: Option<Spanned<f64>>,
    failed_responses: RuleTable,
    resolution: RuleTable,
    conversation_failures: RuleTable,
    retrieval_failures: RuleTable,
    timeouts: RuleTable,
    failed_releases: RuleTable,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RuleTable {
    change: Option<Spanned<f64>>,
    measure: Option<Measure>,
    minimum_sample: Option<Spanned<u64>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Capture {
    threshold: Option<Spanned<f64>>,
    lowest_share: Option<Spanned<f64>>,
    learn_from: Option<Spanned<u32>>,
    learn_days: Option<Spanned<u32>>,
    again_minutes: Option<Spanned<u32>>,
    keep_days: Option<Spanned<u32>>,
    questions_at_most: Option<Spanned<u32>>,
    weights: BTreeMap<CaptureReason, Spanned<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Topic {
    name: Spanned<String>,
    #[serde(default)]
    words: Vec<Spanned<String>>,
    #[serde(default)]
    knowledge_bases: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Intent {
    name: Spanned<String>,
    #[serde(default)]
    words: Vec<Spanned<String>>,
    #[serde(default)]
    tools: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlarmTable {
    name: Spanned<String>,
    metric: Metric,
    key: Spanned<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Sync {
    direct_at_most: Option<Spanned<u32>>,
    settle_seconds: Option<Spanned<u32>>,
    settle_at_most_seconds: Option<Spanned<u32>>,
    poll_seconds: Option<Spanned<u32>>,
    check_seconds: Option<Spanned<u32>>,
    cooldown_seconds: Option<Spanned<u32>>,
    max_attempts: Option<Spanned<u32>>,
    job_starts_per_hour: Option<Spanned<u32>>,
    direct_documents_per_hour: Option<Spanned<u32>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct QuotasTable {
    running_jobs: Option<Spanned<u32>>,
    job_starts_per_second: Option<Spanned<f64>>,
    documents_per_request: Option<Spanned<u32>>,
    direct_requests_per_second: Option<Spanned<f64>>,
    document_reads_per_second: Option<Spanned<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    knowledge_base: Spanned<String>,
    data_source: Spanned<String>,
    bucket: Spanned<String>,
    #[serde(default)]
    prefix: Option<Spanned<String>>,
    #[serde(default)]
    include: Vec<Spanned<String>>,
    #[serde(default)]
    exclude: Vec<Spanned<String>>,
    #[serde(default = "yes")]
    metadata_files: bool,
}

const fn yes() -> bool {
    true
}

pub(crate) fn read(text: &str) -> Result<File, PolicyErrors> {
    toml::from_str(text).map_err(|error| {
        PolicyErrors(vec![Problem {
            line: line_at(text, error.span().map_or(0, |span| span.start)),
            field: error.span().and_then(|span| text.get(span)).and_then(|found| found.lines().next()).unwrap_or("file").to_owned(),
            problem: error.message().replace('\n', " "),
            fix: "see the policy reference in the README".to_owned(),
        }])
    })
}

pub(crate) fn validate(text: &str, file: File) -> Result<Policy, PolicyErrors> {
    let mut check = Check::new(text);
    let sync = SyncPolicy {
        direct_at_most: check.number("sync.direct_at_most", file.sync.direct_at_most, 100, 1..=1_000),
        settle_seconds: check.number("sync.settle_seconds", file.sync.settle_seconds, 3, 2..=900),
        settle_at_most_seconds: check.number("sync.settle_at_most_seconds", file.sync.settle_at_most_seconds, 60, 2..=86_400),
        poll_seconds: check.number("sync.poll_seconds", file.sync.poll_seconds, 10, 1..=900),
        check_seconds: check.number("sync.check_seconds", file.sync.check_seconds, 2, 1..=900),
        cooldown_seconds: check.number("sync.cooldown_seconds", file.sync.cooldown_seconds, 30, 0..=86_400),
        max_attempts: check.number("sync.max_attempts", file.sync.max_attempts, 3, 1..=10),
        job_starts_per_hour: check.number("sync.job_starts_per_hour", file.sync.job_starts_per_hour, 120, 1..=3_600),
        direct_documents_per_hour: check.number(
            "sync.direct_documents_per_hour",
            file.sync.direct_documents_per_hour,
            50_000,
            1..=10_000_000,
        ),
    };
    let quotas = Quotas {
        running_jobs: check.number("quotas.running_jobs", file.quotas.running_jobs, 5, 1..=1_000),
        job_starts_per_second: check.number("quotas.job_starts_per_second", file.quotas.job_starts_per_second, 0.1, 0.001..=100.0),
        documents_per_request: check.number("quotas.documents_per_request", file.quotas.documents_per_request, 10, 1..=25),
        direct_requests_per_second: check.number(
            "quotas.direct_requests_per_second",
            file.quotas.direct_requests_per_second,
            5.0,
            0.01..=1_000.0,
        ),
        document_reads_per_second: check.number(
            "quotas.document_reads_per_second",
            file.quotas.document_reads_per_second,
            5.0,
            0.01..=1_000.0,
        ),
    };
    if file.data_source.is_empty() && file.unseen_source.is_empty() {
        check.problem(0..0, "data_source", "there is none".to_owned(), "add a [[data_source]] table for each data source to keep in step");
    }
    if let Some(bucket) = &file.signals.invocation_log_bucket {
        check.bucket("signals.invocation_log_bucket", bucket);
    }
    let signals = SignalPolicy {
        late_hours: check.number("signals.late_hours", file.signals.late_hours, 24, 1..=168),
        quiet_seconds: check.number("signals.quiet_seconds", file.signals.quiet_seconds, 600, 10..=900),
        invocation_log_bucket: file.signals.invocation_log_bucket.map(Spanned::into_inner),
        guardrail: file.signals.guardrail.and_then(|guardrail| check.guardrail("signals.guardrail", &guardrail)),
    };
    let failures = check.failures(file.failures);
    let findings = check.findings(file.findings);
    let capture = check.capture(file.capture);
    let preflight = check.preflight(file.preflight);
    let tests = check.tests(file.tests);
    let approvals = check.approvals(file.approvals);
    let experiments = check.experiments(file.experiments, &approvals);
    let topics = check.topics(file.topic);
    let intents = check.intents(file.intent);
    let alarms = file.alarm.into_iter().filter_map(|alarm| check.alarm(alarm)).collect();
    let timeouts = check.timeouts(file.timeout);
    let costs = check.costs(file.costs);
    let outcomes = check.outcomes(file.outcomes);
    let mut seen = BTreeSet::new();
    let mut data_sources = Vec::new();
    for source in file.data_source {
        let span = source.span();
        let source = check.data_source(source.into_inner());
        if !seen.insert(source.id.clone()) {
            check.problem(span, "data_source", format!("{} is there twice", source.id), "keep one table for each data source");
        }
        data_sources.push(source);
    }
    let mut unseen_sources = Vec::new();
    for source in file.unseen_source {
        let span = source.span();
        let source = source.into_inner();
        check.id("unseen_source.knowledge_base", &source.knowledge_base);
        check.id("unseen_source.data_source", &source.data_source);
        let id = DataSourceId::new(source.knowledge_base.into_inner(), source.data_source.into_inner());
        if !seen.insert(id.clone()) {
            check.problem(span, "unseen_source", format!("{id} is there twice"), "keep one table for each data source");
        }
        unseen_sources.push(id);
    }
    if check.problems.is_empty() {
        Ok(Policy {
            mode: file.mode,
            sync,
            quotas,
            data_sources,
            unseen_sources,
            signals,
            failures,
            findings,
            capture,
            preflight,
            tests,
            experiments,
            approvals,
            topics,
            intents,
            alarms,
            timeouts,
            costs,
            outcomes,
            version: String::new(),
        })
    } else {
        check.problems.sort_by_key(|problem| problem.line);
        Err(PolicyErrors(check.problems))
    }
}

pub(crate) struct Check<'a> {
    text: &'a str,
    problems: Vec<Problem>,
}

impl<'a> Check<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { text, problems: Vec::new() }
    }
}

/// Whether a policy takes a text as the name of a bucket.
#[must_use]
pub fn is_bucket_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    (3..=63).contains(&text.len()) && text.bytes().all(allowed)
}

/// Whether a policy takes a text as the beginning of keys.
#[must_use]
pub fn is_prefix(text: &str) -> bool {
    !text.starts_with('/') && text.len() <= 1_024
}

impl Check<'_> {
    pub(crate) fn problem(&mut self, span: Range<usize>, field: &str, problem: String, fix: &str) {
        self.problems.push(Problem { line: line_at(self.text, span.start), field: field.to_owned(), problem, fix: fix.to_owned() });
    }

    pub(crate) fn number<T: PartialOrd + Copy + Debug>(
        &mut self,
        field: &str,
        value: Option<Spanned<T>>,
        default: T,
        range: RangeInclusive<T>,
    ) -> T {
        let Some(value) = value else { return default };
        if !range.contains(value.get_ref()) {
            let fix = format!("use {:?} to {:?} (default {default:?})", range.start(), range.end());
            self.problem(value.span(), field, format!("{:?} is out of range", value.get_ref()), &fix);
        }
        value.into_inner()
    }

    /// The pattern of knowledgeBaseId and dataSourceId in the Bedrock API reference.
    fn id(&mut self, field: &str, id: &Spanned<String>) {
        if id.get_ref().len() != 10 || !id.get_ref().bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            self.problem(
                id.span(),
                field,
                format!("{:?} is not an id", id.get_ref()),
                "use the 10 letters and digits that Bedrock gave it",
            );
        }
    }

    fn bucket(&mut self, field: &str, name: &Spanned<String>) {
        let bucket = name.get_ref();
        if !is_bucket_name(bucket) {
            let fix = "use the name alone, 3 to 63 lower-case letters, digits, dots and hyphens, without s3://";
            self.problem(name.span(), field, format!("{bucket:?} is not a bucket name"), fix);
        }
    }

    /// A guardrail, if it is one: the pattern of Bedrock's API for ids and versions.
    fn guardrail(&mut self, field: &str, named: &Spanned<String>) -> Option<GuardrailId> {
        let is_id = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let is_version = |version: &str| {
            let is_number = version.len() <= 8 && version.bytes().all(|byte| byte.is_ascii_digit());
            version == "DRAFT" || is_number && !version.is_empty() && !version.starts_with('0')
        };
        let found = named.get_ref().split_once(':').filter(|(id, version)| is_id(id) && is_version(version));
        if found.is_none() {
            let fix = "use the guardrail's id, a colon and its version, such as \"gr1abc2def3g:1\"";
            self.problem(named.span(), field, format!("{:?} is no guardrail with a version", named.get_ref()), fix);
        }
        found.map(|(id, version)| GuardrailId { id: id.to_owned(), version: version.to_owned() })
    }

    /// A name, if it is one.
    pub(crate) fn key(&mut self, field: &str, name: Spanned<String>) -> Option<Key> {
        let span = name.span();
        Key::try_from(name.into_inner())
            .map_err(|error| self.problem(span, field, error.to_string(), "use 1 to 200 printable characters"))
            .ok()
    }

    /// Words to look for, in lower case.
    pub(crate) fn words(&mut self, field: &str, words: Vec<Spanned<String>>) -> Vec<String> {
        for word in &words {
            if word.get_ref().trim().is_empty() {
                self.problem(
                    word.span(),
                    field,
                    format!("{:?} has no letters", word.get_ref()),
                    "write a word or a phrase, or leave it out",
                );
            }
        }
        words.into_iter().map(|word| word.into_inner().trim().to_lowercase()).collect()
    }

    fn failures(&mut self, table: Failures) -> FailurePolicy {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let evaluations = match table.evaluation {
            Some(limits) => limits
                .into_iter()
                .map(|limit| EvaluationLimit {
                    name: limit.name.into_inner().to_lowercase(),
                    below: self.number("failures.evaluation.below", Some(limit.below), 0.5, -1e6..=1e6),
                })
                .collect(),
            None => EVALUATIONS.iter().map(|&(name, below)| EvaluationLimit { name: name.to_owned(), below }).collect(),
        };
        FailurePolicy {
            no_answer: table.no_answer.map_or_else(|| owned(&NO_ANSWER), |phrases| self.words("failures.no_answer", phrases)),
            failed_labels: table.failed_labels.map_or_else(|| owned(&FAILED_LABELS), |labels| self.words("failures.failed_labels", labels)),
            evaluations,
        }
    }

    fn findings(&mut self, table: Findings) -> FindingPolicy {
        let baseline_days = self.number("findings.baseline_days", table.baseline_days, 28, 7..=35);
        let window_days = self.number("findings.window_days", table.window_days, 7, 1..=14);
        let false_alarms_a_month = self.number("findings.false_alarms_a_month", table.false_alarms_a_month, 0.01, 0.0001..=0.5);
        let false_discovery_rate = self.number("findings.false_discovery_rate", table.false_discovery_rate, 0.05, 0.001..=0.5);
        let drift_a_month = self.number("findings.drift_a_month", table.drift_a_month, 0.02, 0.0..=1.0);
        // In the order of Metric::ALL, which `FindingPolicy::rule` counts on.
        let tables = [
            table.failed_responses,
            table.resolution,
            table.conversation_failures,
            table.retrieval_failures,
            table.timeouts,
            table.failed_releases,
        ];
        let mut rules = Metric::ALL.map(default_rule);
        for ((metric, rule), table) in Metric::ALL.into_iter().zip(&mut rules).zip(tables) {
            let field = |name: &str| format!("findings.{metric}.{name}");
            *rule = FindingRule {
                change: self.number(&field("change"), table.change, rule.change, 0.01..=10.0),
                measure: table.measure.unwrap_or(rule.measure),
                minimum_sample: self.number(&field("minimum_sample"), table.minimum_sample, rule.minimum_sample, 1..=1_000_000_000),
            };
        }
        FindingPolicy::new(baseline_days, window_days, false_alarms_a_month, false_discovery_rate, drift_a_month, rules)
    }

    fn capture(&mut self, table: Capture) -> CapturePolicy {
        let weight = |(reason, weight): (CaptureReason, Spanned<f64>)| {
            (reason, self.number(&format!("capture.weights.{reason}"), Some(weight), 1.0, 0.0..=10.0))
        };
        CapturePolicy {
            weights: table.weights.into_iter().map(weight).collect(),
            threshold: self.number("capture.threshold", table.threshold, 0.5, 0.01..=10.0),
            lowest_share: self.number("capture.lowest_share", table.lowest_share, 0.01, 0.001..=0.5),
            learn_from: self.number("capture.learn_from", table.learn_from, 200, 50..=1_000),
            learn_days: self.number("capture.learn_days", table.learn_days, 28, 2..=60),
            again_minutes: self.number("capture.again_minutes", table.again_minutes, 15, 1..=1_440),
            keep_days: self.number("capture.keep_days", table.keep_days, 180, 1..=3_650),
            questions_at_most: self.number("capture.questions_at_most", table.questions_at_most, 2_000, 10..=20_000),
        }
    }

    fn topics(&mut self, tables: Vec<Topic>) -> Vec<Class> {
        tables.into_iter().fold(Vec::new(), |topics, Topic { name, words, knowledge_bases }| {
            for id in &knowledge_bases {
                self.id("topic.knowledge_bases", id);
            }
            self.with_class(topics, "topic", name, words, Vec::new(), knowledge_bases)
        })
    }

    fn intents(&mut self, tables: Vec<Intent>) -> Vec<Class> {
        tables
            .into_iter()
            .fold(Vec::new(), |intents, Intent { name, words, tools }| self.with_class(intents, "intent", name, words, tools, Vec::new()))
    }

    /// Adds a topic or an intent to those before it in the file.
    fn with_class(
        &mut self,
        mut classes: Vec<Class>,
        kind: &str,
        name: Spanned<String>,
        words: Vec<Spanned<String>>,
        tools: Vec<Spanned<String>>,
        knowledge_bases: Vec<Spanned<String>>,
    ) -> Vec<Class> {
        let (span, field) = (name.span(), format!("{kind}.name"));
        let words = self.words(&format!("{kind}.words"), words);
        let Some(name) = self.key(&field, name) else { return classes };
        if classes.iter().any(|class| class.name == name) {
            self.problem(span, &field, format!("{:?} is there twice", name.as_str()), &format!("keep one table for each {kind}"));
        }
        classes.push(Class { name, words, tools: inner(tools), knowledge_bases: inner(knowledge_bases) });
        classes
    }

    fn alarm(&mut self, table: AlarmTable) -> Option<AlarmMapping> {
        if let Some(problem) = glob_problem(table.name.get_ref()) {
            let fix = "write the alarm's name, or a glob such as \"checkout-*\"";
            self.problem(table.name.span(), "alarm.name", format!("{:?} {problem}", table.name.get_ref()), fix);
        }
        let key = self.key("alarm.key", table.key)?;
        Some(AlarmMapping { name: table.name.into_inner(), metric: table.metric, key })
    }

    fn data_source(&mut self, source: Source) -> DataSource {
        self.id("data_source.knowledge_base", &source.knowledge_base);
        self.id("data_source.data_source", &source.data_source);
        self.bucket("data_source.bucket", &source.bucket);
        if let Some(prefix) = &source.prefix
            && !is_prefix(prefix.get_ref())
        {
            self.problem(
                prefix.span(),
                "data_source.prefix",
                format!("{:?} starts with a slash or is longer than 1,024 bytes", prefix.get_ref()),
                "write it as keys begin: \"manuals/\"",
            );
        }
        for (field, globs) in [("data_source.include", &source.include), ("data_source.exclude", &source.exclude)] {
            for glob in globs {
                if let Some(problem) = glob_problem(glob.get_ref()) {
                    self.problem(glob.span(), field, format!("{:?} {problem}", glob.get_ref()), "write a glob such as \"**/*.md\"");
                }
            }
        }
        DataSource {
            id: DataSourceId::new(source.knowledge_base.into_inner(), source.data_source.into_inner()),
            bucket: source.bucket.into_inner(),
            prefix: source.prefix.map(Spanned::into_inner).unwrap_or_default(),
            include: inner(source.include),
            exclude: inner(source.exclude),
            metadata_files: source.metadata_files,
        }
    }
}

fn inner(texts: Vec<Spanned<String>>) -> Vec<String> {
    texts.into_iter().map(Spanned::into_inner).collect()
}

fn glob_problem(glob: &str) -> Option<&'static str> {
    if glob.is_empty() {
        return Some("is empty");
    }
    if glob.starts_with('/') {
        return Some("starts with a slash and so never matches");
    }
    let mut open = Vec::new();
    let mut chars = glob.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => {
                chars.next();
            }
            '[' | '{' => open.push(char),
            ']' if open.last() == Some(&'[') => {
                open.pop();
            }
            '}' if open.pop() != Some('{') => return Some("closes a brace that it did not open"),
            _ => {}
        }
    }
    (!open.is_empty()).then_some("leaves a bracket or brace open")
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}
