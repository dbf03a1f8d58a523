//! Two agent workflows with a limit of 30 seconds. Of the one 8% of the runs are cut that would complete a little later: its
//! limit moves, the timeouts fall, and that is verified. Of the other as many are stuck: it is left alone, with the reason.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use aws_sdk_ssm::types::ParameterType;
use flywheel_deploy::Deployed;
use flywheel_engine::timeouts::Runs;
use flywheel_model::{Body, Event, TimeoutPurpose, TimeoutVerdict};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::tables;
use crate::LocalAws;
use crate::terminal::{Terminal, seconds};

/// The workflow whose limit should move, and the one whose runs are stuck.
pub(crate) const WORKFLOWS: [&str; 2] = ["trip-planner", "supplier-import"];

/// Seconds from a change to its verification; in production a day.
pub(crate) const COOLDOWN_SECONDS: u32 = 4;

const LIMIT: f64 = 30.0;

/// Runs of each workflow, and of the first one under the new limit.
const RUNS: usize = 1_500;
const RUNS_AFTER: usize = 500;

/// Every how manyth run is cut: 8%.
const CUT: usize = 25;
const OF_CUT: usize = 2;

/// Signals in a message.
const IN_A_MESSAGE: usize = 100;

/// Nothing came for this long: it will not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// The parameter that holds a workflow's limit.
pub(crate) fn parameter(workflow: &str) -> String {
    format!("/flywheel-demo/{workflow}/limit-seconds")
}

/// How it went, for the summary.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub(crate) struct Timeouts {
    pub(crate) runs_sent: usize,
    pub(crate) limit_before: f64,
    pub(crate) limit_after: f64,
    /// The share of runs that were cut before, as predicted under the new limit, and as seen under it.
    pub(crate) timeouts_before: f64,
    pub(crate) timeouts_predicted: f64,
    pub(crate) timeouts_after: f64,
    pub(crate) verified: bool,
    /// The limit of the workflow with stuck runs, at the end.
    pub(crate) limit_of_stuck: f64,
    pub(crate) stuck_held: bool,
    pub(crate) seconds: f64,
}

impl Timeouts {
    pub(crate) fn good(&self) -> bool {
        self.limit_after > self.limit_before && self.verified && self.stuck_held && self.limit_of_stuck == LIMIT
    }
}

/// Puts the first limits in place.
pub(crate) async fn create(aws: &LocalAws) -> Result<()> {
    let parameters = aws_sdk_ssm::Client::new(aws.config());
    for workflow in WORKFLOWS {
        let put = parameters.put_parameter().name(parameter(workflow)).value(LIMIT.to_string()).r#type(ParameterType::String);
        put.send().await.with_context(|| format!("cannot create the limit of {workflow}"))?;
    }
    Ok(())
}

pub(crate) struct Day<'a> {
    aws: &'a LocalAws,
    sqs: aws_sdk_sqs::Client,
    parameters: aws_sdk_ssm::Client,
    outputs: BTreeMap<String, String>,
    summary: Timeouts,
}

impl<'a> Day<'a> {
    pub(crate) fn new(aws: &'a LocalAws, deployed: &Deployed) -> Self {
        let (sqs, parameters) = (aws_sdk_sqs::Client::new(aws.config()), aws_sdk_ssm::Client::new(aws.config()));
        Self { aws, sqs, parameters, outputs: deployed.outputs.clone(), summary: Timeouts::default() }
    }

    pub(crate) async fn play(mut self, terminal: &mut Terminal) -> Result<(Timeouts, String)> {
        let begun = Instant::now();
        terminal.title("Two workflows with a limit of 30 s: one is slow, one is stuck");
        let [slow, stuck] = WORKFLOWS;
        let runs: Vec<Value> = (0..RUNS).flat_map(|place| [slow_run(place, LIMIT, "before"), stuck_run(place)]).collect();
        self.send(&runs, terminal).await?;
        terminal.done("Runs", &format!("{RUNS} of each workflow, {:.0}% cut at {LIMIT} s", 100.0 * OF_CUT as f64 / CUT as f64));

        let decided = self.review(
            "a decision on the slow workflow",
            terminal,
            |event| matches!(&event.body, Body::TimeoutAnswered(receipt) if receipt.timeout.as_str() == slow && !receipt.undo.is_empty()),
        );
        decided.await?;
        let events = self.events().await?;
        let change = events.iter().find_map(|event| match &event.body {
            Body::TimeoutDecided(change) if change.timeout.as_str() == slow && change.purpose == TimeoutPurpose::Raise => {
                Some(change.clone())
            }
            _ => None,
        });
        let change = change.context("a receipt without its decision")?;
        let prediction = change.prediction.context("a raise without a prediction")?;
        (self.summary.limit_before, self.summary.limit_after) = (LIMIT, self.limit(slow).await?);
        (self.summary.timeouts_before, self.summary.timeouts_predicted) = (prediction.timeouts_now, prediction.timeouts[1]);
        terminal.done("Decided", &format!("{slow}: {LIMIT} s → {} s, in the parameter {}", self.summary.limit_after, parameter(slow)));
        terminal.detail(&change.explanation);

        let held = |event: &Event| matches!(&event.body, Body::TimeoutHeld(hold) if hold.timeout.as_str() == stuck);
        let hold = self.wait_for("the stuck workflow to be left alone", terminal, held).await?;
        let Body::TimeoutHeld(hold) = hold.body else { bail!("another event") };
        self.summary.stuck_held = true;
        terminal.done("Held", &format!("{stuck}: {:?}", hold.reason).to_lowercase());
        terminal.detail(&hold.explanation);

        let after: Vec<Value> = (0..RUNS_AFTER).map(|place| slow_run(place, self.summary.limit_after, "after")).collect();
        self.send(&after, terminal).await?;
        tokio::time::sleep(Duration::from_secs(COOLDOWN_SECONDS.into())).await;
        let verified = |event: &Event| matches!(&event.body, Body::TimeoutVerified(_));
        let outcome = self.review("the verification", terminal, verified).await?;
        let Body::TimeoutVerified(outcome) = outcome.body else { bail!("another event") };
        self.summary.verified = outcome.verdict == TimeoutVerdict::Kept;
        self.summary.timeouts_after = outcome.timed_out as f64 / outcome.runs.max(1) as f64;
        self.summary.limit_of_stuck = self.limit(stuck).await?;
        terminal.done(
            "Verified",
            &format!("timeouts {:.1}% → {:.1}%", 100.0 * self.summary.timeouts_before, 100.0 * self.summary.timeouts_after),
        );
        terminal.detail(&outcome.explanation);
        self.summary.seconds = begun.elapsed().as_secs_f64();
        Ok((self.summary, change.picture))
    }

    fn output(&self, name: &str) -> Result<&str> {
        self.outputs.get(name).map(String::as_str).with_context(|| format!("the stack has no output {name}"))
    }

    async fn limit(&self, workflow: &str) -> Result<f64> {
        let found = self.parameters.get_parameter().name(parameter(workflow)).send().await?;
        let value = found.parameter.and_then(|parameter| parameter.value).context("a limit without a value")?;
        value.parse().with_context(|| format!("the limit of {workflow} is {value:?}"))
    }

    /// Sends runs, and waits until they are in the histograms.
    async fn send(&mut self, runs: &[Value], terminal: &mut Terminal) -> Result<()> {
        for batch in runs.chunks(IN_A_MESSAGE) {
            let lines: Vec<String> = batch.iter().map(Value::to_string).collect();
            let send = self.sqs.send_message().queue_url(self.output("SignalsQueueUrl")?).message_body(lines.join("\n"));
            send.send().await.context("cannot send runs")?;
        }
        self.summary.runs_sent += runs.len();
        let begun = Instant::now();
        loop {
            let mut taken_in = 0;
            for workflow in WORKFLOWS {
                let days: Vec<Runs> = tables::runs(self.aws.dynamodb(), self.output("SignalsTable")?, workflow).await?;
                taken_in += days.iter().map(Runs::usable).sum::<u64>();
            }
            if taken_in >= self.summary.runs_sent as u64 {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                bail!("{taken_in} of {} runs taken in after {PATIENCE:?}: see the log of adjust-timeouts", self.summary.runs_sent);
            }
            terminal.now(&format!("{taken_in} of {} runs taken in  {}", self.summary.runs_sent, seconds(begun.elapsed())));
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Has Flywheel look at the limits, as its schedule does every five minutes.
    async fn review(&self, what: &str, terminal: &mut Terminal, is_it: impl Fn(&Event) -> bool) -> Result<Event> {
        let review = json!({ "trigger": "review" }).to_string();
        let send = self.sqs.send_message().queue_url(self.output("RunsQueueUrl")?).message_body(review);
        send.send().await.context("cannot ask for a review")?;
        self.wait_for(what, terminal, is_it).await
    }

    async fn wait_for(&self, what: &str, terminal: &mut Terminal, is_it: impl Fn(&Event) -> bool) -> Result<Event> {
        let begun = Instant::now();
        loop {
            if let Some(event) = self.events().await?.into_iter().find(|event| is_it(event)) {
                return Ok(event);
            }
            if begun.elapsed() > PATIENCE {
                bail!("nothing came of {what} in {PATIENCE:?}: see the log of adjust-timeouts");
            }
            terminal.now(&format!("waiting for {what}  {}", seconds(begun.elapsed())));
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    async fn events(&self) -> Result<Vec<Event>> {
        tables::events(self.aws.dynamodb(), self.output("LedgerTable")?).await
    }
}

fn signal(id: &str, place: usize, run: &Value) -> Value {
    let at = Timestamp::now() - SignedDuration::from_secs(place as i64 % 600);
    json!({ "id": id, "at": at.to_string(), "workflow_run": run })
}

/// A run of the slow workflow under a limit: 8 to 20 seconds, and of 8% 33 to 43. Of every second run that is cut its trace
/// tells how it went on.
fn slow_run(place: usize, limit: f64, when: &str) -> Value {
    let [workflow, _] = WORKFLOWS;
    let slow = place % CUT < OF_CUT;
    let took = if slow { 33.0 + (place / CUT) as f64 % 11.0 } else { 8.0 + (place * 7 % 13) as f64 };
    let mut run = json!({ "workflow": workflow, "status": "succeeded", "seconds": took, "limit_seconds": limit });
    if took > limit {
        run["status"] = "timed_out".into();
        if !place.is_multiple_of(CUT) {
            run["seconds"] = Value::Null;
        }
    }
    signal(&format!("{workflow}-{when}-{place}"), place, &run)
}

/// A run of the stuck workflow: of 8% the trace shows that they never end, of one in five hundred that it ended late.
fn stuck_run(place: usize) -> Value {
    let [_, workflow] = WORKFLOWS;
    let mut run = json!({ "workflow": workflow, "status": "succeeded", "seconds": 5.0 + (place * 5 % 11) as f64, "limit_seconds": LIMIT });
    if place % CUT < OF_CUT {
        run = json!({ "workflow": workflow, "status": "timed_out", "limit_seconds": LIMIT, "trace": format!("trace-{place}") });
        if place.is_multiple_of(CUT * 20) {
            run["seconds"] = 41.0.into();
        }
    }
    signal(&format!("{workflow}-{place}"), place, &run)
}
