//! `flywheel experiments`: experiments on prompts, what they take and tell, and what people decide of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use clap::Subcommand;
use flywheel_adapters::{
    AppConfigFlags, BedrockProposer, ConversationTable, EventBridgeBus, ExperimentTable, S3Observations, S3Prompts, SignalTable,
};
use flywheel_engine::experiments::{Book, Outcomes, Queued, approve, asked_to_stop, compare, draw, promote};
use flywheel_model::{ApprovalAnswer, ArmCount, Body, Comparison, Event, Experiment, ExperimentState, Key, Word};
use flywheel_policy::Policy;
use flywheel_ports::{Bus, ExperimentStore};
use jiff::Timestamp;
use queue_experiments::{Request, World};
use serde::Serialize;

use crate::approvals::record;
use crate::output::{Output, asked};
use crate::site::Site;

/// Tries to write what functions write at the same time.
const RACES: usize = 8;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Experiments that wait and run, and those that are over
    List {
        /// Only those of this intent
        #[arg(long)]
        intent: Option<String>,
    },
    /// One experiment: its plan, its arms, the differences with their intervals, what was decided
    Show {
        /// Its name, as `list` shows it, or the beginning of it
        experiment: String,
        /// Writes both rates over time there, as SVG
        #[arg(long)]
        picture: Option<PathBuf>,
    },
    /// What an experiment would take, without making it
    Plan {
        /// The intent
        #[arg(long)]
        intent: String,
        /// A variant of the library to try (again for more); all that were not tried if none is named
        #[arg(long)]
        variant: Vec<String>,
    },
    /// Puts an experiment into the queue, or lets one start that waits for a person
    Start {
        /// One that waits for approval
        #[arg(conflicts_with_all = ["intent", "variant"], required_unless_present = "intent")]
        experiment: Option<String>,
        /// The intent to make one for
        #[arg(long)]
        intent: Option<String>,
        /// A variant of the library to try (again for more); all that were not tried if none is named
        #[arg(long)]
        variant: Vec<String>,
        /// Who starts it
        #[arg(long, env = "USER")]
        by: String,
    },
    /// Stops an experiment: everybody gets the control again
    Stop {
        /// Its name, as `list` shows it, or the beginning of it
        experiment: String,
        /// Who stops it
        #[arg(long, env = "USER")]
        by: String,
        /// Does not ask
        #[arg(long)]
        yes: bool,
    },
    /// Lets the winner of an experiment be deployed
    Promote {
        /// Its name, as `list` shows it, or the beginning of it
        experiment: String,
        /// Who lets it
        #[arg(long, env = "USER")]
        by: String,
        /// Why: it stays in the ledger
        #[arg(long, default_value = "")]
        why: String,
        /// Does not ask
        #[arg(long)]
        yes: bool,
    },
}

type Planning = World<ExperimentTable, S3Prompts, AppConfigFlags, S3Observations, ConversationTable, BedrockProposer, EventBridgeBus>;

/// The experiments of a deployed Flywheel.
pub(crate) struct Experiments<'s> {
    site: &'s Site,
    output: &'s Output,
    world: Planning,
}

/// An experiment as it is shown.
#[derive(Serialize)]
struct Shown {
    state: String,
    experiment: Experiment,
    arms: BTreeMap<String, ArmCount>,
    comparisons: Vec<Comparison>,
    unknown: u64,
    crossed: u64,
    early: u64,
}

/// An experiment as it is listed.
#[derive(Serialize)]
struct Listed {
    name: String,
    intent: String,
    state: String,
    units: u64,
    variants: String,
}

impl<'s> Experiments<'s> {
    pub(crate) fn new(site: &'s Site, output: &'s Output) -> Result<Self> {
        let table = || site.output("SignalsTable").map(str::to_owned);
        let world = World {
            store: ExperimentTable::new(&site.sdk, table()?),
            library: S3Prompts::new(&site.sdk, site.output("DatasetsBucket")?.to_owned()),
            flags: AppConfigFlags::new(&site.sdk),
            observations: S3Observations::new(&site.sdk, site.output("EvidenceBucket")?.to_owned(), SignalTable::new(&site.sdk, table()?)),
            index: ConversationTable::new(&site.sdk, table()?),
            proposer: BedrockProposer::new(&site.sdk),
            bus: EventBridgeBus::new(&site.sdk, site.output("Bus")?.to_owned()),
        };
        Ok(Self { site, output, world })
    }

    pub(crate) async fn run(&self, command: Command) -> Result<()> {
        match command {
            Command::List { intent } => self.list(intent.as_deref()).await,
            Command::Show { experiment, picture } => self.show(&experiment, picture).await,
            Command::Plan { intent, variant } => self.plan(&intent, &variant).await,
            Command::Start { experiment: Some(experiment), by, .. } => {
                let experiment = self.find(&experiment).await?.experiment;
                self.decide(&experiment, |book| approve(book, &experiment, &by), "waits for no approval").await?;
                self.told(&experiment, "it waits for its turn now")
            }
            Command::Start { experiment: None, intent, variant, by } => self.start(&intent.unwrap_or_default(), &variant, &by).await,
            Command::Stop { experiment, by, yes } => {
                let experiment = self.find(&experiment).await?.experiment;
                if !yes && !asked(&format!("Stop {experiment}? Everybody gets the control again."))? {
                    bail!("it goes on\nnext: answer yes, or pass --yes");
                }
                self.decide(&experiment, |book| asked_to_stop(book, &experiment, &by), "is over").await?;
                self.told(&experiment, "it is being stopped; its flag serves the control in a moment")
            }
            Command::Promote { experiment, by, why, yes } => {
                let experiment = self.find(&experiment).await?.experiment;
                if !yes && !asked(&format!("Deploy the winner of {experiment} to everybody?"))? {
                    bail!("nothing was deployed\nnext: answer yes, or pass --yes");
                }
                self.promote(&experiment, by, why).await?;
                self.told(&experiment, "its winner is being deployed")
            }
        }
    }

    async fn all(&self) -> Result<Vec<Experiment>> {
        let mut all = self.world.store.book().await?.experiments;
        let mut over = self.world.store.archived().await?;
        over.sort_by_key(|experiment| std::cmp::Reverse(experiment.queued_at));
        all.extend(over);
        Ok(all)
    }

    async fn find(&self, named: &str) -> Result<Experiment> {
        let mut found = self.all().await?;
        found.retain(|known| known.experiment.as_str().starts_with(named));
        match found.len() {
            1 => Ok(found.swap_remove(0)),
            0 => Err(anyhow!("there is no experiment {named}\nnext: `flywheel experiments list` shows those there are")),
            _ => Err(anyhow!("{} experiments begin with {named}\nnext: give more of the name", found.len())),
        }
    }

    async fn list(&self, intent: Option<&str>) -> Result<()> {
        let mut listed = Vec::new();
        for experiment in self.all().await?.iter().filter(|known| intent.is_none_or(|intent| known.intent.as_str() == intent)) {
            listed.push(list_one(experiment, &self.outcomes(experiment).await?));
        }
        let rows = listed
            .iter()
            .map(|one| vec![one.name.clone(), one.intent.clone(), one.state.clone(), one.units.to_string(), one.variants.clone()]);
        self.output.list(&["EXPERIMENT", "INTENT", "STATE", "UNITS", "VARIANTS"], &listed, rows)?;
        if listed.is_empty() {
            self.output.hint("no experiments: one is queued when a resolution rate drops, or by `flywheel experiments start --intent …`");
        }
        Ok(())
    }

    async fn outcomes(&self, experiment: &Experiment) -> Result<Outcomes> {
        Ok(self.world.store.outcomes(&experiment.experiment).await?.outcomes)
    }

    async fn show(&self, named: &str, picture: Option<PathBuf>) -> Result<()> {
        let (experiment, policy) = (self.find(named).await?, self.site.policy().await?);
        let outcomes = self.outcomes(&experiment).await?;
        let (arms, listed) = (outcomes.arms(), list_one(&experiment, &outcomes));
        let comparisons = if arms.is_empty() { Vec::new() } else { compare(&experiment, &arms, &policy.experiments) };
        let mut words = format!("{} of {}: {}\n", listed.name, listed.intent, listed.state);
        let plan = &experiment.plan;
        let _ = writeln!(
            words,
            "Plan: a change by {:.1} points on {:.1}%, told after {} units an arm in the median, {:.1} days of {:.0} conversations a day",
            100.0 * plan.effect,
            100.0 * plan.baseline,
            plan.units_an_arm,
            plan.days,
            plan.units_a_day
        );
        for arm in experiment.arms() {
            let count = arms.get(&arm.name).copied().unwrap_or_default();
            let rate = 100.0 * count.resolved as f64 / (count.units as f64).max(1.0);
            let proposed = if arm.proposed { " (a model wrote it)" } else { "" };
            let _ = writeln!(words, "  {}: {rate:.1}% of {} resolved{proposed}. {}", arm.name, count.units, arm.hypothesis);
        }
        for one in &comparisons {
            let [lower, estimate, upper] = one.difference.map(|points| 100.0 * points);
            let _ = writeln!(
                words,
                "  {} beside {}: {estimate:+.1} points, {lower:+.1} to {upper:+.1} ({:.0}% at all looks together), e-value e^{:.1}",
                one.variant,
                experiment.control.name,
                100.0 * one.confidence,
                one.log_evidence
            );
        }
        if outcomes.unknown + outcomes.crossed + outcomes.early > 0 {
            let _ = writeln!(
                words,
                "  left out: {} of arms that it does not have, {} from before it began; {} units were seen in two arms",
                outcomes.unknown, outcomes.early, outcomes.crossed
            );
        }
        if let ExperimentState::Over { conclusion, .. }
        | ExperimentState::Concluded { conclusion, .. }
        | ExperimentState::Promoting { conclusion, .. } = &experiment.state
        {
            let _ = writeln!(words, "{}", conclusion.explanation);
        }
        if let Some(file) = picture {
            let svg = draw(&experiment, &outcomes, &policy.experiments);
            if svg.is_empty() {
                bail!("there is nothing to draw: no outcome of it was counted yet");
            }
            std::fs::write(&file, svg).with_context(|| format!("cannot write {}", file.display()))?;
            let _ = writeln!(words, "The picture: {}", file.display());
        }
        let Outcomes { unknown, crossed, early, .. } = outcomes;
        self.output.show(&Shown { state: listed.state, experiment, arms, comparisons, unknown, crossed, early }, &words)
    }

    async fn plan(&self, intent: &str, variants: &[String]) -> Result<()> {
        let (intent, policy) = (key(intent)?, self.site.policy().await?);
        let request = Request { intent: &intent, finding: None, since: None, by: None, variants };
        let (Queued::Waits(event, _) | Queued::Held(event)) = self.world.plan(&request, &policy, Timestamp::now()).await?;
        self.output.show(&event, &explained(&event))
    }

    async fn start(&self, intent: &str, variants: &[String], by: &str) -> Result<()> {
        let (intent, policy) = (key(intent)?, self.site.policy().await?);
        let request = Request { intent: &intent, finding: None, since: None, by: Some(by), variants };
        match self.ask(&request, &policy).await? {
            Queued::Waits(event, _) => {
                self.review().await?;
                self.output.show(&event, &format!("queued: {}", explained(&event)))
            }
            Queued::Held(event) => bail!("no experiment was made: {}", explained(&event)),
        }
    }

    async fn ask(&self, request: &Request<'_>, policy: &Policy) -> Result<Queued> {
        Ok(self.world.ask(request, policy, Timestamp::now()).await?)
    }

    /// Writes down what a person decides, and asks for a review.
    async fn decide(&self, experiment: &Key, decide: impl Fn(&Book) -> Option<Book>, otherwise: &str) -> Result<()> {
        for _ in 0..RACES {
            let book = self.world.store.book().await?;
            let Some(next) = decide(&book) else {
                bail!("{experiment} {otherwise}\nnext: `flywheel experiments show {experiment}`");
            };
            if self.world.store.save_book(&next).await? {
                return self.review().await;
            }
        }
        bail!("{RACES} times others wrote at the same time\nnext: try again")
    }

    /// Answers the question whether a winner may be promoted, which the book names first: whoever is asked without having been
    /// asked leaves the same behind in the ledger.
    async fn promote(&self, experiment: &Key, by: String, why: String) -> Result<()> {
        let (policy, now) = (self.site.policy().await?, Timestamp::now());
        let promoted = |book: &Book| promote(&policy, book, experiment, &by, now);
        for _ in 0..RACES {
            let book = self.world.store.book().await?;
            let Some((next, request)) = promoted(&book) else {
                bail!("{experiment} has no winner that waits\nnext: `flywheel experiments show {experiment}`");
            };
            if next == book || self.world.store.save_book(&next).await? {
                self.world.bus.publish(&[request.event()]).await?;
                record(&request, ApprovalAnswer::Granted(Word { by, why, at: now }), self.site).await?;
                return self.review().await;
            }
        }
        bail!("{RACES} times others wrote at the same time\nnext: try again")
    }

    /// Has Flywheel look at the experiments now instead of within five minutes.
    async fn review(&self) -> Result<()> {
        let send = aws_sdk_sqs::Client::new(&self.site.sdk).send_message().queue_url(self.site.output("ExperimentsQueueUrl")?);
        send.message_body(r#"{"trigger":"review"}"#)
            .send()
            .await
            .context("it is written down, and done within five minutes; to have it done now failed")?;
        Ok(())
    }

    fn told(&self, experiment: &Key, what: &str) -> Result<()> {
        self.output.show(&experiment, &format!("{experiment}: {what}\nnext: `flywheel experiments show {experiment}`"))
    }
}

fn key(name: &str) -> Result<Key> {
    Key::try_from(name).map_err(|error| anyhow!("{name:?} is no intent: {error}"))
}

fn explained(event: &Event) -> String {
    match &event.body {
        Body::ExperimentDecided(decision) => format!("{} {}", decision.experiment, decision.explanation),
        Body::ExperimentHeld(hold) => hold.explanation.clone(),
        _ => String::new(),
    }
}

fn list_one(experiment: &Experiment, outcomes: &Outcomes) -> Listed {
    let state = match &experiment.state {
        ExperimentState::ToBeApproved => "to be approved".to_owned(),
        ExperimentState::Queued => "queued".to_owned(),
        ExperimentState::Running(run) => format!("running since {}, {:.0}%", run.since.strftime("%Y-%m-%d %H:%M"), 100.0 * run.share),
        ExperimentState::Concluded { conclusion, .. } => format!("concluded: {}", conclusion.verdict),
        ExperimentState::Promoting { conclusion, .. } => format!("promoting {}", conclusion.winner.as_deref().unwrap_or_default()),
        ExperimentState::Over { conclusion, .. } => format!("over: {}", conclusion.verdict),
    };
    let held = experiment.held.and_then(|reason| Some(serde_json::to_value(reason).ok()?.as_str()?.replace('_', " ")));
    Listed {
        name: experiment.experiment.to_string(),
        intent: experiment.intent.to_string(),
        state: held.map_or(state.clone(), |held| format!("{state} ({held})")),
        units: outcomes.units(),
        variants: experiment.arms().map(|arm| arm.name.as_str()).collect::<Vec<_>>().join(", "),
    }
}
