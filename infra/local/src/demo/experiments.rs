//! Two intents of one gateway. A prompt for returns is tried and does harm: it is stopped. Meanwhile the resolution of
//! billing drops, and an experiment waits behind the first one: it starts then, one variant wins, and becomes what everybody
//! gets.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use aws_sdk_appconfig::types::{GrowthType, Monitor, ReplicateTo};
use aws_sdk_s3::primitives::ByteStream;
use flywheel_deploy::Deployed;
use flywheel_engine::experiments::flag;
use flywheel_model::{Body, Conclusion, Event, Evidence, ExperimentHoldReason, ExperimentOutcome, ExperimentVerdict, Hour, Metric, Series};
use flywheel_testkit::evaluate;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::cases::Tool;
use super::tables::{self, Usual};
use crate::LocalAws;
use crate::terminal::Terminal;

/// The intent whose resolution drops, and the one that is tried before.
const INTENTS: [&str; 2] = ["billing", "returns"];

/// Conversations of an hour before, and those of them that were resolved.
const CONVERSATIONS: u64 = 120;
const RESOLVED: u64 = 84;
/// Days that are written as if they had been counted.
const DAYS: i64 = 30;
/// Of a hundred conversations about billing, so many are resolved by now.
const RESOLVED_NOW: u64 = 42;

/// Users of one round, and how many of a hundred a variant resolves.
const USERS: usize = 200;
const SIGNALS_IN_A_MESSAGE: usize = 100;

/// Nothing came for this long: it will not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// The variants of the library: intent, name, hypothesis, prompt.
const LIBRARY: [(&str, &str, &str, &str); 4] = [
    ("billing", "baseline", "as it is", "You answer questions about invoices of {{customer}}."),
    (
        "billing",
        "invoice-first",
        "Naming the invoice before explaining it resolves more.",
        "Name the invoice and its sum first, then explain it to {{customer}}.",
    ),
    ("returns", "baseline", "as it is", "You help {{customer}} to return what they ordered."),
    (
        "returns",
        "strict",
        "Quoting the rules in full avoids questions.",
        "Quote every rule about returns in full before you help {{customer}}.",
    ),
];

/// Where the application's feature flags are.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) application: String,
    pub(crate) environment: String,
    pub(crate) profile: String,
    pub(crate) strategy: String,
}

/// How it went, for the summary.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub(crate) struct Experiments {
    pub(crate) conversations_sent: usize,
    pub(crate) queued_behind_a_running_one: bool,
    /// The harmful prompt was stopped: by its guardrail, or since it is surely worse, whichever the users tell first.
    pub(crate) harm_stopped: bool,
    /// Units that it took to stop the harmful one, and to find the better one.
    pub(crate) units_until_stopped: u64,
    pub(crate) units_until_won: u64,
    /// The winner's rate of resolution less the control's: lower bound, estimate, upper bound.
    pub(crate) difference: [f64; 3],
    /// What everybody gets in the end.
    pub(crate) served: BTreeMap<String, String>,
    pub(crate) seconds: f64,
}

impl Experiments {
    pub(crate) fn good(&self) -> bool {
        let served = |intent: &str| self.served.get(intent).map(String::as_str);
        self.queued_behind_a_running_one
            && self.harm_stopped
            && self.difference[0] > 0.0
            && (served("billing"), served("returns")) == (Some("invoice-first"), Some("baseline"))
    }
}

/// Makes a place for feature flags, as an application has one: watched by an alarm.
pub(crate) async fn create(aws: &LocalAws) -> Result<Place> {
    let client = aws_sdk_appconfig::Client::new(aws.config());
    let application = client.create_application().name("flywheel-demo-shop").send().await?.id.context("no id")?;
    let alarm = "arn:aws:cloudwatch:us-east-1:000000000000:alarm:flywheel-demo-shop-errors";
    let environment = client.create_environment().application_id(&application).name("production");
    let environment = environment.monitors(Monitor::builder().alarm_arn(alarm).build()?).send().await?.id.context("no id")?;
    let profile = client.create_configuration_profile().application_id(&application).name("flags").location_uri("hosted");
    let profile = profile.r#type("AWS.AppConfig.FeatureFlags").send().await?.id.context("no id")?;
    let strategy = client.create_deployment_strategy().name("flywheel-demo-at-once").deployment_duration_in_minutes(0);
    let strategy = strategy.growth_factor(100.0).growth_type(GrowthType::Linear).final_bake_time_in_minutes(0);
    let strategy = strategy.replicate_to(ReplicateTo::None).send().await?.id.context("no id")?;
    Ok(Place { application, environment, profile, strategy })
}

pub(crate) struct Day<'a> {
    aws: &'a LocalAws,
    sqs: aws_sdk_sqs::Client,
    flags: aws_sdk_appconfig::Client,
    place: &'a Place,
    outputs: BTreeMap<String, String>,
    chance: fastrand::Rng,
    summary: Experiments,
}

impl<'a> Day<'a> {
    pub(crate) fn new(aws: &'a LocalAws, deployed: &Deployed, place: &'a Place) -> Self {
        let (sqs, flags) = (aws_sdk_sqs::Client::new(aws.config()), aws_sdk_appconfig::Client::new(aws.config()));
        Self {
            aws,
            sqs,
            flags,
            place,
            outputs: deployed.outputs.clone(),
            chance: fastrand::Rng::with_seed(1),
            summary: Experiments::default(),
        }
    }

    pub(crate) async fn play(mut self, output: &Path, terminal: &mut Terminal) -> Result<Experiments> {
        let begun = Instant::now();
        terminal.title("Billing is resolved more rarely: prompts are compared");
        self.fill_library().await?;
        let hour = Hour::of(Timestamp::now());
        for intent in INTENTS {
            self.write_history(intent, Hour(hour.0 - 1)).await?;
        }
        let tool = Tool::new(self.aws)?;
        let started: Value = tool.run(&["experiments", "start", "--intent", "returns", "--by", "demo"]).await?;
        let returns = started["detail"]["experiment"].as_str().context("no experiment")?.to_owned();
        self.until(
            "the first experiment",
            terminal,
            |event| matches!(&event.body, Body::FlagChanged(receipt) if receipt.experiment.as_str() == returns),
        )
        .await?;
        terminal.done("Started", &format!("{returns}: strict against baseline, for returns, asked for by a person"));

        self.let_billing_drop(hour).await?;
        let finding = self.finding(terminal).await?;
        terminal.done("Finding", &finding);
        let held = self
            .until("an experiment for billing that waits", terminal, |event| {
                matches!(&event.body, Body::ExperimentHeld(hold) if hold.intent.as_str() == "billing" && hold.reason == ExperimentHoldReason::Conflict)
            })
            .await?;
        let Body::ExperimentHeld(held) = held.body else { bail!("another event") };
        let billing = held.experiment.context("a hold without its experiment")?;
        self.summary.queued_behind_a_running_one = true;
        let plan = self.events().await?.into_iter().find_map(|event| match event.body {
            Body::ExperimentDecided(decision) if decision.experiment == billing => Some(decision.explanation),
            _ => None,
        });
        terminal.done("Queued", &format!("{billing}: {}", held.explanation));
        terminal.detail(&plan.unwrap_or_default());

        let harm = self.until_concluded("returns", &returns, [0.7, 0.45], terminal).await?;
        self.summary.harm_stopped = matches!(harm.conclusion.verdict, ExperimentVerdict::Guardrail | ExperimentVerdict::Loser);
        self.summary.units_until_stopped = units(&harm.conclusion);
        terminal.done("Stopped", &format!("{returns}: {}, after {} users", harm.conclusion.verdict, self.summary.units_until_stopped));
        terminal.detail(&harm.conclusion.explanation);

        let won = self.until_concluded("billing", billing.as_str(), [0.42, 0.62], terminal).await?;
        self.summary.units_until_won = units(&won.conclusion);
        self.summary.difference = won.conclusion.comparisons.first().map(|comparison| comparison.difference).unwrap_or_default();
        terminal.done("Won", &format!("{billing}, told after {} users", self.summary.units_until_won));
        terminal.detail(&won.conclusion.explanation);
        for (outcome, name) in [(&harm, "experiment-stopped.svg"), (&won, "experiment-won.svg")] {
            let file = output.join(name);
            std::fs::write(&file, &outcome.picture).with_context(|| format!("cannot write {}", file.display()))?;
        }
        self.promoted(terminal).await?;
        let served: Vec<String> = self.summary.served.iter().map(|(intent, variant)| format!("{intent}: {variant}")).collect();
        terminal.done("Promoted", &format!("everybody gets {}", served.join(", ")));
        self.summary.seconds = begun.elapsed().as_secs_f64();
        Ok(self.summary)
    }

    fn output(&self, name: &str) -> Result<&str> {
        self.outputs.get(name).map(String::as_str).with_context(|| format!("the stack has no output {name}"))
    }

    async fn events(&self) -> Result<Vec<Event>> {
        tables::events(self.aws.dynamodb(), self.output("LedgerTable")?).await
    }

    async fn fill_library(&self) -> Result<()> {
        let bucket = self.output("DatasetsBucket")?;
        for (intent, name, hypothesis, prompt) in LIBRARY {
            let text = format!("---\nhypothesis: {hypothesis}\n---\n{prompt}\n");
            let put = self.aws.s3().put_object().bucket(bucket).key(format!("prompts/{intent}/{name}.md"));
            put.body(ByteStream::from(text.into_bytes())).send().await.context("cannot write a prompt")?;
        }
        Ok(())
    }

    /// What would have been counted in the weeks before.
    async fn write_history(&self, intent: &str, until: Hour) -> Result<()> {
        let series = Series { metric: Metric::Resolution, key: intent.try_into()? };
        let usual = Usual { trials: CONVERSATIONS, events: RESOLVED, spread: 3 };
        tables::write_history(self.aws.dynamodb(), self.output("SignalsTable")?, &series, &usual, DAYS, until).await
    }

    /// Conversations about billing of the last hour and of this one, of which fewer are resolved than before.
    async fn let_billing_drop(&mut self, hour: Hour) -> Result<()> {
        let now = Timestamp::now();
        let mut signals = Vec::new();
        for number in 0..3 * CONVERSATIONS {
            let at = if number < 2 * CONVERSATIONS { Hour(hour.0 - 1).start() } else { hour.start() };
            let id = format!("billing-drop-{number}");
            let conversation = json!({ "intent": "billing", "user": id, "resolved": number * 37 % 100 < RESOLVED_NOW });
            signals.push(json!({ "id": id, "at": at.min(now).to_string(), "conversation": conversation }));
        }
        self.send(&signals).await
    }

    async fn send(&mut self, signals: &[Value]) -> Result<()> {
        self.summary.conversations_sent += signals.len();
        for batch in signals.chunks(SIGNALS_IN_A_MESSAGE) {
            let lines: Vec<String> = batch.iter().map(Value::to_string).collect();
            let send = self.sqs.send_message().queue_url(self.output("SignalsQueueUrl")?).message_body(lines.join("\n"));
            send.send().await.context("cannot send conversations")?;
        }
        Ok(())
    }

    async fn finding(&self, terminal: &mut Terminal) -> Result<String> {
        let is_it = |event: &Event| matches!(&event.body, Body::FindingOpened(finding) if finding.metric == Metric::Resolution);
        let event = self.ask_until("a finding", "LooksQueueUrl", &json!({ "time": Timestamp::now().to_string() }), terminal, is_it).await?;
        let Body::FindingOpened(finding) = event.body else { bail!("another event") };
        let Evidence::Rates(rates) = finding.evidence else { bail!("a finding without its rates") };
        Ok(format!(
            "resolution of billing {:.1}% → {:.1}% ({} of {})",
            100.0 * rates.baseline.rate,
            100.0 * rates.current.rate,
            rates.current.events,
            rates.current.trials
        ))
    }

    /// Rounds of users until an experiment is concluded. Of the users of control and treatment these shares are resolved.
    async fn until_concluded(
        &mut self,
        intent: &str,
        experiment: &str,
        resolved: [f64; 2],
        terminal: &mut Terminal,
    ) -> Result<ExperimentOutcome> {
        let begun = Instant::now();
        for round in 0.. {
            if begun.elapsed() > PATIENCE {
                bail!("{experiment} was not concluded in {PATIENCE:?}: see the log of run-experiments");
            }
            let value = flag::value(&self.document().await?, &format!("{intent}-prompt")).map_err(anyhow::Error::msg)?;
            let mut signals = Vec::new();
            for user in 0..USERS {
                let user = format!("{intent}-{round}-{user}");
                let served = value.as_ref().map(|value| evaluate(value, "userId", &user)).unwrap_or_default();
                let Some(named) = served.get("experiment").and_then(Value::as_str).filter(|named| *named == experiment) else { continue };
                let variant = served["variant"].as_str().unwrap_or_default();
                let is_resolved = self.chance.f64() < resolved[usize::from(variant != "baseline")];
                let conversation = json!({ "intent": intent, "user": user, "resolved": is_resolved, "variants": { named: variant } });
                signals.push(json!({ "id": user, "at": Timestamp::now().to_string(), "conversation": conversation }));
            }
            let sent = signals.len();
            self.send(&signals).await?;
            terminal.now(&format!("{experiment}: {sent} more users take part"));
            self.ask("ExperimentsQueueUrl", &json!({ "trigger": "review" })).await?;
            tokio::time::sleep(Duration::from_millis(700)).await;
            let concluded = self.events().await?.into_iter().find_map(|event| match event.body {
                Body::ExperimentConcluded(outcome) if outcome.experiment.as_str() == experiment => Some(*outcome),
                _ => None,
            });
            if let Some(outcome) = concluded {
                return Ok(outcome);
            }
        }
        bail!("it went on for ever")
    }

    /// Waits until the winner is what everybody gets.
    async fn promoted(&mut self, terminal: &mut Terminal) -> Result<()> {
        let begun = Instant::now();
        loop {
            let document = self.document().await?;
            for intent in INTENTS {
                let value = flag::value(&document, &format!("{intent}-prompt")).map_err(anyhow::Error::msg)?;
                if let Some(value) = value.filter(|value| flag::experiment(value).is_none()) {
                    self.summary.served.insert(intent.to_owned(), flag::served(&value).unwrap_or_default().to_owned());
                }
            }
            if self.summary.served.get("billing").is_some_and(|served| served == "invoice-first") {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                bail!("the winner was not deployed in {PATIENCE:?}: see the log of run-experiments");
            }
            terminal.now("waiting for the winner to be deployed");
            self.ask("ExperimentsQueueUrl", &json!({ "trigger": "review" })).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// The flags as they are deployed: what an `AppConfig` agent would have.
    async fn document(&self) -> Result<String> {
        let list = self.flags.list_deployments().application_id(&self.place.application).environment_id(&self.place.environment);
        let latest = list.send().await?.items.unwrap_or_default().into_iter().max_by_key(|deployment| deployment.deployment_number);
        let Some(version) = latest.and_then(|latest| latest.configuration_version?.parse().ok()) else { return Ok(String::new()) };
        let get = self.flags.get_hosted_configuration_version().application_id(&self.place.application);
        let found = get.configuration_profile_id(&self.place.profile).version_number(version).send().await?;
        Ok(String::from_utf8(found.content.unwrap_or_else(|| aws_sdk_appconfig::primitives::Blob::new(Vec::new())).into_inner())?)
    }

    async fn ask(&self, queue: &str, message: &Value) -> Result<()> {
        let send = self.sqs.send_message().queue_url(self.output(queue)?).message_body(message.to_string());
        send.send().await.with_context(|| format!("cannot ask {queue}"))?;
        Ok(())
    }

    async fn until(&self, what: &str, terminal: &mut Terminal, is_it: impl Fn(&Event) -> bool) -> Result<Event> {
        self.ask_until(what, "ExperimentsQueueUrl", &json!({ "trigger": "review" }), terminal, is_it).await
    }

    /// Sends a message, as a schedule does every some minutes, until an event shows what it is for.
    async fn ask_until(
        &self,
        what: &str,
        queue: &str,
        message: &Value,
        terminal: &mut Terminal,
        is_it: impl Fn(&Event) -> bool,
    ) -> Result<Event> {
        let begun = Instant::now();
        loop {
            if let Some(event) = self.events().await?.into_iter().find(|event| is_it(event)) {
                return Ok(event);
            }
            if begun.elapsed() > PATIENCE {
                bail!("{what} did not come in {PATIENCE:?}: see the logs beside the summary");
            }
            self.ask(queue, message).await?;
            terminal.now(&format!("waiting for {what}"));
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    }
}

fn units(conclusion: &Conclusion) -> u64 {
    conclusion.comparisons.first().map_or(0, |comparison| comparison.control[0] + comparison.treatment[0])
}
