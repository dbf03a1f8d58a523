//! A careless change breaks a shop's assistant: order tracking fails, Flywheel finds it, makes tests of the failed
//! conversations, and proves them against the broken assistant, which is in production. Then they are run against the mended
//! one, which passes.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use flywheel_deploy::Deployed;
use flywheel_model::{Body, Event, Evidence, Hour, Metric, RegressionTest, Series, TestState};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::cases::Tool;
use super::tables::{self, Usual};
use crate::terminal::Terminal;
use crate::{LocalAws, Shop};

/// The intent that breaks.
pub(crate) const INTENT: &str = "order-tracking";

/// The target's name in the policy.
pub(crate) const TARGET: &str = "shop-in-production";

/// Days of history before.
const DAYS: i64 = 30;

/// Conversations in an hour, and how many of them usually fail.
const CONVERSATIONS: u64 = 120;
const USUAL_FAILURES: u64 = 6;

/// Of the conversations since the change, every how manyth is resolved all the same: it met an instance with the old version.
const OLD_VERSION: u64 = 4;

/// Signals in a message.
const IN_A_MESSAGE: usize = 60;

/// The ways in which the broken assistant fails.
const FAULTS: usize = 3;

/// Nothing came for this long: it will not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// How it went, for the summary.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub(crate) struct Tests {
    pub(crate) conversations_sent: usize,
    pub(crate) conversations_failed: usize,
    pub(crate) findings_opened: usize,
    /// Tests that count, and the failed conversations that they stand for.
    pub(crate) tests: usize,
    pub(crate) covered: u64,
    /// Tests that the broken and the mended assistant pass.
    pub(crate) broken_passes: usize,
    pub(crate) mended_passes: usize,
    pub(crate) seconds: f64,
}

impl Tests {
    pub(crate) fn good(&self) -> bool {
        self.findings_opened == 1
            && self.tests == FAULTS
            && self.covered == self.conversations_failed as u64
            && (self.broken_passes, self.mended_passes) == (0, FAULTS)
    }
}

pub(crate) struct Day<'a> {
    aws: &'a LocalAws,
    sqs: aws_sdk_sqs::Client,
    outputs: BTreeMap<String, String>,
    summary: Tests,
}

impl<'a> Day<'a> {
    pub(crate) fn new(aws: &'a LocalAws, deployed: &Deployed) -> Self {
        Self { aws, sqs: aws_sdk_sqs::Client::new(aws.config()), outputs: deployed.outputs.clone(), summary: Tests::default() }
    }

    /// Plays it; `production` is the address of the broken assistant.
    pub(crate) async fn play(mut self, production: &str, output: &Path, terminal: &mut Terminal) -> Result<Tests> {
        let begun = Instant::now();
        terminal.title("Order tracking breaks: failed conversations become regression tests");
        let before = Hour(Hour::of(Timestamp::now()).0 - 1);
        self.write_history(before).await?;
        self.send(before).await?;
        terminal.done(
            "Conversations",
            &format!(
                "{} with the assistant that a careless change broke, {} failed",
                self.summary.conversations_sent, self.summary.conversations_failed
            ),
        );
        let opened = |event: &Event| matches!(&event.body, Body::FindingOpened(finding) if finding.metric == Metric::ConversationFailures);
        self.until("a finding", "LooksQueueUrl", &json!({ "time": Timestamp::now().to_string() }), terminal, |events| {
            events.iter().any(opened)
        })
        .await?;
        let rates = self.events().await?.into_iter().find_map(|event| match event.body {
            Body::FindingOpened(finding) if finding.metric == Metric::ConversationFailures => match finding.evidence {
                Evidence::Rates(rates) => Some(rates),
                Evidence::Alarm { .. } => None,
            },
            _ => None,
        });
        let rates = rates.context("a finding without its rates")?;
        let told = format!("conversation_failures of {INTENT} {:.1}% → {:.1}%", 100.0 * rates.baseline.rate, 100.0 * rates.current.rate);
        terminal.done("Finding", &format!("{told} ({} of {} since {})", rates.current.events, rates.current.trials, rates.since));

        let tool = Tool::new(self.aws)?;
        let tests = self.proved(&tool, terminal).await?;
        self.summary.tests = tests.iter().filter(|test| test.state == TestState::Active).count();
        self.summary.covered = tests.iter().map(|test| test.conversations).sum();
        terminal.done("Tests made and proved", &format!("{} conversations failed in {} ways", self.summary.covered, tests.len()));
        for test in &tests {
            let runs = test.proof.runs.as_ref().map_or_else(String::new, |runs| format!("{} of {} runs fail", runs.failed, runs.runs));
            terminal.detail(&format!("{:>4} conversations  {runs}  {}", test.conversations, test.title));
        }
        let (mended, serving) = Shop::MENDED.serve().await?;
        self.summary.broken_passes = self.run(&tool, "the broken assistant", production, terminal).await?;
        self.summary.mended_passes = self.run(&tool, "the mended one", &format!("http://{mended}/turn"), terminal).await?;
        serving.abort();
        let folder = output.join("tests");
        let out = folder.to_string_lossy().into_owned();
        let _: Value = tool.run(&["tests", "export", "--intent", INTENT, "--format", "promptfoo", "--out", &out]).await?;
        let _: Value = tool.run(&["tests", "export", "--intent", INTENT, "--format", "pytest", "--out", &out]).await?;
        terminal.done("Exported", &format!("promptfoo, pytest → {}", folder.display()));
        self.summary.findings_opened = self.events().await?.iter().filter(|event| opened(event)).count();
        self.summary.seconds = begun.elapsed().as_secs_f64();
        Ok(self.summary)
    }

    fn output(&self, name: &str) -> Result<&str> {
        self.outputs.get(name).map(String::as_str).with_context(|| format!("the stack has no output {name}"))
    }

    async fn events(&self) -> Result<Vec<Event>> {
        tables::events(self.aws.dynamodb(), self.output("LedgerTable")?).await
    }

    /// What would have been counted in the weeks before.
    async fn write_history(&self, start: Hour) -> Result<()> {
        let series = Series { metric: Metric::ConversationFailures, key: INTENT.try_into()? };
        let usual = Usual { trials: CONVERSATIONS, events: USUAL_FAILURES, spread: 2 };
        tables::write_history(self.aws.dynamodb(), self.output("SignalsTable")?, &series, &usual, DAYS, start).await
    }

    /// Sends the conversations of the last hour and of this one.
    async fn send(&mut self, start: Hour) -> Result<()> {
        let now = Timestamp::now();
        let mut signals = Vec::new();
        for number in 0..2 * CONVERSATIONS {
            let shop = if number.is_multiple_of(OLD_VERSION) { Shop::MENDED } else { Shop::BROKEN };
            let order = 1_000 + number;
            let said = match number % 3 {
                0 => vec![format!("Hi, where is my order A{order}?")],
                1 => vec!["Hello".to_owned(), format!("Please cancel my order B{order}"), "Thanks!".to_owned()],
                _ => vec![format!("I want a refund for order C{order}, I am jane.doe@example.com")],
            };
            let turns = shop.converse(&said.iter().map(String::as_str).collect::<Vec<_>>());
            let resolved = shop == Shop::MENDED;
            self.summary.conversations_failed += usize::from(!resolved);
            let at = start.start() + SignedDuration::from_secs(i64::try_from(number)? * 3_600 / i64::try_from(CONVERSATIONS)?);
            let conversation = json!({ "intent": INTENT, "conversation": format!("talk-{number}"), "resolved": resolved, "turns": turns });
            signals
                .push(json!({ "id": format!("talk-{number}"), "at": at.min(now).to_string(), "conversation": conversation }).to_string());
        }
        self.summary.conversations_sent = signals.len();
        for batch in signals.chunks(IN_A_MESSAGE) {
            let send = self.sqs.send_message().queue_url(self.output("SignalsQueueUrl")?).message_body(batch.join("\n"));
            send.send().await.context("cannot send conversations")?;
        }
        Ok(())
    }

    /// Sends a message, as a schedule does every some minutes, until events show what it is for.
    async fn until(
        &self,
        what: &str,
        queue: &str,
        message: &Value,
        terminal: &mut Terminal,
        is_there: impl Fn(&[Event]) -> bool,
    ) -> Result<()> {
        let begun = Instant::now();
        while !is_there(&self.events().await?) {
            if begun.elapsed() > PATIENCE {
                bail!("{what} did not come in {PATIENCE:?}: see the logs beside the summary");
            }
            let send = self.sqs.send_message().queue_url(self.output(queue)?).message_body(message.to_string());
            send.send().await.with_context(|| format!("cannot ask for {what}"))?;
            terminal.now(&format!("waiting for {what}"));
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        Ok(())
    }

    /// Waits until all ways of failing have a test that was proved.
    async fn proved(&self, tool: &Tool, terminal: &mut Terminal) -> Result<Vec<RegressionTest>> {
        let begun = Instant::now();
        loop {
            let tests: Vec<RegressionTest> = tool.run(&["tests", "list", "--intent", INTENT]).await?;
            let covered: u64 = tests.iter().map(|test| test.conversations).sum();
            let all = covered >= self.summary.conversations_failed as u64;
            if all && tests.iter().all(|test| test.proof.runs.is_some()) {
                return Ok(tests);
            }
            if begun.elapsed() > PATIENCE {
                bail!(
                    "{covered} of {} conversations have a test after {PATIENCE:?}: see the log of generate-tests",
                    self.summary.conversations_failed
                );
            }
            terminal.now(&format!("{covered} of {} conversations have a test", self.summary.conversations_failed));
            let tend = self.sqs.send_message().queue_url(self.output("TestsQueueUrl")?).message_body(r#"{"trigger":"tend"}"#);
            tend.send().await.context("cannot ask for tests")?;
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    }

    /// Runs the suite against an assistant, and gives how many tests it passes.
    async fn run(&self, tool: &Tool, who: &str, url: &str, terminal: &mut Terminal) -> Result<usize> {
        let report = tool.run_whatever(&["tests", "run", "--intent", INTENT, "--endpoint", url]).await?;
        let tests = report["tests"].as_array().cloned().unwrap_or_default();
        let passes = tests.iter().filter(|test| test["verdict"] == "passes").count();
        let verdict = if report["may_be_released"] == true { "may be released" } else { "may not be released" };
        terminal.done("Run", &format!("{who} passes {passes} of {} tests: it {verdict}", tests.len()));
        for test in &tests {
            let (passed, runs) = (test["passed"].as_u64().unwrap_or(0), test["runs"].as_u64().unwrap_or(0));
            let picture: String = (0..runs).map(|run| if run < passed { '█' } else { '░' }).collect();
            terminal.detail(&format!("{picture:<6} {passed} of {runs} runs pass  {}", test["title"].as_str().unwrap_or_default()));
        }
        Ok(passes)
    }
}
