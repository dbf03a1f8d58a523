//! The policy file as written: TOML with positions, then checked field by field.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::ops::{Range, RangeInclusive};

use flywheel_model::DataSourceId;
use serde::Deserialize;
use toml::Spanned;

use crate::error::{PolicyErrors, Problem};
use crate::{DataSource, Mode, Policy, Quotas, SyncPolicy};

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
    let mut check = Check { text, problems: Vec::new() };
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
    if file.data_source.is_empty() {
        check.problem(0..0, "data_source", "there is none".to_owned(), "add a [[data_source]] table for each data source to keep in step");
    }
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
    if check.problems.is_empty() {
        Ok(Policy { mode: file.mode, sync, quotas, data_sources, version: String::new() })
    } else {
        check.problems.sort_by_key(|problem| problem.line);
        Err(PolicyErrors(check.problems))
    }
}

struct Check<'a> {
    text: &'a str,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn problem(&mut self, span: Range<usize>, field: &str, problem: String, fix: &str) {
        self.problems.push(Problem { line: line_at(self.text, span.start), field: field.to_owned(), problem, fix: fix.to_owned() });
    }

    fn number<T: PartialOrd + Copy + Debug>(&mut self, field: &str, value: Option<Spanned<T>>, default: T, range: RangeInclusive<T>) -> T {
        let Some(value) = value else { return default };
        if !range.contains(value.get_ref()) {
            let fix = format!("use {:?} to {:?} (default {default:?})", range.start(), range.end());
            self.problem(value.span(), field, format!("{:?} is out of range", value.get_ref()), &fix);
        }
        value.into_inner()
    }

    fn data_source(&mut self, source: Source) -> DataSource {
        for (field, id) in [("data_source.knowledge_base", &source.knowledge_base), ("data_source.data_source", &source.data_source)] {
            // The pattern of knowledgeBaseId and dataSourceId in the Bedrock API reference.
            if id.get_ref().len() != 10 || !id.get_ref().bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                self.problem(
                    id.span(),
                    field,
                    format!("{:?} is not an id", id.get_ref()),
                    "use the 10 letters and digits that Bedrock gave it",
                );
            }
        }
        let bucket = source.bucket.get_ref();
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(allowed) {
            self.problem(
                source.bucket.span(),
                "data_source.bucket",
                format!("{bucket:?} is not a bucket name"),
                "use the name alone, 3 to 63 lower-case letters, digits, dots and hyphens, without s3://",
            );
        }
        if let Some(prefix) = &source.prefix
            && (prefix.get_ref().starts_with('/') || prefix.get_ref().len() > 1_024)
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
        let inner = |globs: Vec<Spanned<String>>| globs.into_iter().map(Spanned::into_inner).collect();
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
