//! Suites of regression tests as the files that other tools run.
//!
//! | format | files | run by |
//! |---|---|---|
//! | [`SuiteFormat::Json`] | `suite.json` | anything; its schema is `events/schema/suite.json` |
//! | [`SuiteFormat::Promptfoo`] | the same, a configuration, a provider and an assertion | `promptfoo eval` |
//! | [`SuiteFormat::Pytest`] | the same and `test_suite.py` | `pytest` |
//! | [`SuiteFormat::Bedrock`] | `bedrock-tests-N.jsonl` | a Bedrock model evaluation job |
//!
//! Conversations are data in all of them: the code beside them is the same for every suite, and reads `suite.json`. Where
//! promptfoo would fill in a template, it finds a test's id.

use flywheel_model::{ExpectedCall, RegressionTest, Suite, TestState};
use serde::Serialize;
use serde_json::json;

use crate::{File, json};

/// What the files are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuiteFormat {
    /// Anything that reads JSON.
    Json,
    /// promptfoo.
    Promptfoo,
    /// pytest.
    Pytest,
    /// A Bedrock model evaluation job.
    Bedrock,
}

impl SuiteFormat {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Json, Self::Promptfoo, Self::Pytest, Self::Bedrock];

    /// Its name on a command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Promptfoo => "promptfoo",
            Self::Pytest => "pytest",
            Self::Bedrock => "bedrock",
        }
    }
}

/// Prompts in a dataset of a model evaluation job (Amazon Bedrock user guide, "Create a custom prompt dataset for a model
/// evaluation job that uses a model as judge").
const PROMPTS: usize = 1_000;

/// The files of a format: of the tests that count, and of those that wait as well if `proposed`. None if no test is left.
#[must_use]
pub fn export_suite(suite: &Suite, format: SuiteFormat, proposed: bool) -> Vec<File> {
    let counts = |test: &&RegressionTest| test.state == TestState::Active || (proposed && test.state == TestState::Proposed);
    let tests: Vec<RegressionTest> = suite.tests.iter().filter(counts).cloned().collect();
    if tests.is_empty() {
        return Vec::new();
    }
    if format == SuiteFormat::Bedrock {
        return bedrock(&tests);
    }
    // What a test cannot fail by without a judge is no test for tools that have none.
    let tests = if format == SuiteFormat::Json { tests } else { tests.into_iter().filter(|test| !test.expects.is_empty()).collect() };
    let ids: Vec<String> = tests.iter().map(|test| test.test.to_string()).collect();
    let suite = Suite { intent: suite.intent.clone(), tests, changes: Vec::new() };
    let mut files = vec![text("suite.json", json::pretty(&suite))];
    match format {
        SuiteFormat::Json | SuiteFormat::Bedrock => {}
        SuiteFormat::Promptfoo => {
            let test = |id: &String| {
                json!({
                    "description": format!("test {id}"),
                    "vars": { "test": id },
                    "assert": [{ "type": "javascript", "value": "file://check.mjs" }]
                })
            };
            files.push(text("promptfooconfig.yaml", include_str!("promptfooconfig.yaml").to_owned()));
            files.push(text("promptfoo-tests.json", json::pretty(&ids.iter().map(test).collect::<Vec<_>>())));
            files.push(text("provider.mjs", include_str!("provider.mjs").to_owned()));
            files.push(text("check.mjs", include_str!("check.mjs").to_owned()));
            files.push(text("flywheel.mjs", include_str!("flywheel.mjs").to_owned()));
        }
        SuiteFormat::Pytest => files.push(text("test_suite.py", include_str!("test_suite.py").to_owned())),
    }
    files
}

fn text(name: &str, text: String) -> File {
    File { name: name.to_owned(), bytes: text.into_bytes() }
}

/// A line of a dataset. Jobs have no turns and no tools: what the user said stands in one prompt, and what is expected is
/// told to the judge in words.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'t> {
    prompt: String,
    reference_response: String,
    category: &'t str,
}

fn bedrock(tests: &[RegressionTest]) -> Vec<File> {
    let line = |test: &RegressionTest| {
        json::line(&Line { prompt: test.says.join("\n"), reference_response: expectation(test), category: test.intent.as_str() })
    };
    let files = tests.chunks(PROMPTS).enumerate();
    files.map(|(place, tests)| text(&format!("bedrock-tests-{}.jsonl", place + 1), tests.iter().map(line).collect())).collect()
}

/// What is expected, for a judge.
fn expectation(test: &RegressionTest) -> String {
    let mut told = Vec::new();
    let expects = &test.expects;
    let names = |calls: &[ExpectedCall]| calls.iter().map(|call| call.tool.as_str()).collect::<Vec<_>>().join(", ");
    if !expects.calls.is_empty() {
        told.push(format!("It has to do this: {}.", names(&expects.calls)));
    }
    if !expects.no_calls.is_empty() {
        told.push(format!("It must not do this in the way that failed: {}.", names(&expects.no_calls)));
    }
    for alternatives in &expects.says {
        told.push(format!("It has to say: {}.", alternatives.join(" or ")));
    }
    for never in &expects.never_says {
        told.push(format!("It must not say: {never}."));
    }
    told.extend(test.rubric.iter().flat_map(|rubric| rubric.questions.iter().cloned()));
    told.join(" ")
}
