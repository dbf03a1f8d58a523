//! `flywheel timeouts`: limits on how long workflows may run, what is known of them, and taking a change back.

use std::fmt::Write as _;
use std::path::PathBuf;

use adjust_timeouts::{Known, Report, World};
use anyhow::{Context, Result, anyhow, bail};
use clap::Subcommand;
use flywheel_adapters::{ApprovalMachine, ApprovalTable, AwsSettings, EventBridgeBus, S3Observations, SignalTable, TimeoutTable};
use flywheel_engine::timeouts::{Decision, Next, Runs, Told, decide, taken_back};
use flywheel_model::{TimeoutChange, TimeoutPurpose};
use flywheel_policy::{Policy, TimeoutPolicy};
use jiff::Timestamp;
use serde::Serialize;

use crate::output::{Output, asked};
use crate::site::Site;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// The limits of the policy, and what is to be said of each
    List,
    /// Why a limit is as it is: the last decision, and what the runs say now
    Explain {
        /// The limit's name, as `list` shows it
        timeout: String,
        /// Writes the survival curve there, as SVG
        #[arg(long)]
        picture: Option<PathBuf>,
    },
    /// What would be done now, without doing it
    Plan {
        /// Only this limit
        timeout: Option<String>,
    },
    /// Takes the last change of a limit back
    Undo {
        /// The limit's name, as `list` shows it
        timeout: String,
        /// Who takes it back
        #[arg(long, env = "USER")]
        by: String,
        /// Does not ask
        #[arg(long)]
        yes: bool,
    },
}

/// The limits of a deployed Flywheel.
pub(crate) struct Timeouts<'s> {
    site: &'s Site,
    output: &'s Output,
    world: World<TimeoutTable, S3Observations, AwsSettings, ApprovalTable, ApprovalMachine, EventBridgeBus>,
}

/// A limit as it is listed and planned.
#[derive(Serialize)]
struct Listed {
    timeout: String,
    target: String,
    /// What stands there, in words.
    limit: String,
    /// Runs of the last weeks that tell a time.
    runs: u64,
    /// What is under way, or what would be decided now.
    state: String,
    explanation: String,
    /// What would be changed now.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<TimeoutChange>,
}

/// What a look at a limit shows.
struct Look {
    listed: Listed,
    /// The survival curve of its runs.
    picture: String,
    /// What was told last.
    told: Option<Told>,
}

impl<'s> Timeouts<'s> {
    pub(crate) fn new(site: &'s Site, output: &'s Output) -> Result<Self> {
        let table = || site.output("SignalsTable").map(str::to_owned);
        let signals = SignalTable::new(&site.sdk, table()?);
        let world = World {
            store: TimeoutTable::new(&site.sdk, table()?),
            observations: S3Observations::new(&site.sdk, site.output("EvidenceBucket")?.to_owned(), signals),
            settings: AwsSettings::new(&site.sdk),
            approvals: ApprovalTable::new(&site.sdk, site.output("ApprovalsTable")?.to_owned()),
            tasks: ApprovalMachine::new(&site.sdk, site.output("ApprovalsMachine")?.to_owned()),
            bus: EventBridgeBus::new(&site.sdk, site.output("Bus")?.to_owned()),
        };
        Ok(Self { site, output, world })
    }

    pub(crate) async fn run(&self, command: Command) -> Result<()> {
        let policy = self.site.policy().await?;
        match command {
            Command::List => self.list(&policy).await,
            Command::Explain { timeout, picture } => self.explain(find(&policy, &timeout)?, picture).await,
            Command::Plan { timeout: Some(timeout) } => self.plan(&[find(&policy, &timeout)?]).await,
            Command::Plan { timeout: None } => self.plan(&policy.timeouts.iter().collect::<Vec<_>>()).await,
            Command::Undo { timeout, by, yes } => self.undo(find(&policy, &timeout)?, &by, yes).await,
        }
    }

    async fn list(&self, policy: &Policy) -> Result<()> {
        let mut listed = Vec::new();
        for timeout in &policy.timeouts {
            listed.push(self.look(timeout).await?.listed);
        }
        let rows = listed
            .iter()
            .map(|one| vec![one.timeout.clone(), one.limit.clone(), one.runs.to_string(), one.state.clone(), one.target.clone()]);
        self.output.list(&["TIMEOUT", "LIMIT", "RUNS", "STATE", "TARGET"], &listed, rows)?;
        if listed.is_empty() {
            self.output.hint("no limits: add a [[timeout]] table to the policy for each one that may be changed");
        }
        Ok(())
    }

    async fn look(&self, timeout: &TimeoutPolicy) -> Result<Look> {
        let now = Timestamp::now();
        let Known { days, state, present } = self.world.known(timeout, now).await?;
        let runs = days.values().map(Runs::usable).sum();
        let limit = present.limit.as_ref().map_or_else(|why| format!("not known: {why}"), ToString::to_string);
        let (word, explanation, change, picture) = match decide(timeout, &days, &present, &state, now) {
            Decision::Hold(hold) => (word(&hold.reason), hold.explanation, None, hold.picture),
            Decision::Change(change) => {
                let picture = change.picture.clone();
                let change = TimeoutChange { picture: String::new(), ..*change };
                (word(&change.purpose), change.explanation.clone(), Some(change), picture)
            }
        };
        let word = state.under_way.as_ref().map_or(word, |under_way| match under_way.change.purpose {
            TimeoutPurpose::Explore => format!("exploring since {}", under_way.at.strftime("%Y-%m-%d %H:%M")),
            _ if under_way.made => format!("changed on {}, to be verified", under_way.at.strftime("%Y-%m-%d %H:%M")),
            _ => "being changed".to_owned(),
        });
        let word = match &state.awaiting {
            Some(awaiting) if state.under_way.is_none() => format!("waits for a person: approval {}", awaiting.request.approval),
            _ => word,
        };
        let (name, target) = (timeout.name.to_string(), timeout.target.to_string());
        let listed = Listed { timeout: name, target, limit, runs, state: word, explanation, change };
        Ok(Look { listed, picture, told: state.told })
    }

    async fn explain(&self, timeout: &TimeoutPolicy, file: Option<PathBuf>) -> Result<()> {
        let Look { listed, picture, told } = self.look(timeout).await?;
        let mut words = format!("{}: {} in the {}\n", listed.timeout, listed.limit, listed.target);
        if let Some(told) = told {
            let _ = writeln!(words, "\nLast decided, {} (event {})\n  {}", told.at, told.event, told.explanation);
        }
        let _ = write!(words, "\nAs the runs stand now: {}\n  {}", listed.state, listed.explanation);
        if let Some(file) = file {
            if picture.is_empty() {
                bail!("there is no curve to draw: {}", listed.explanation);
            }
            std::fs::write(&file, &picture).with_context(|| format!("cannot write {}", file.display()))?;
            let _ = write!(words, "\n\nThe curve: {}", file.display());
        }
        self.output.show(&listed, &words)
    }

    async fn plan(&self, timeouts: &[&TimeoutPolicy]) -> Result<()> {
        let mut planned = Vec::new();
        for timeout in timeouts {
            planned.push(self.look(timeout).await?.listed);
        }
        let words: Vec<String> = planned
            .iter()
            .map(|one| {
                let changes = one.change.iter().flat_map(|change| &change.changes);
                let changes: String = changes.map(|change| format!("\n  {}: {} → {}", change.setting, change.from, change.to)).collect();
                format!("{}: {}\n  {}{changes}", one.timeout, one.state, one.explanation)
            })
            .collect();
        self.output.show(&planned, &words.join("\n\n"))
    }

    async fn undo(&self, timeout: &TimeoutPolicy, by: &str, yes: bool) -> Result<()> {
        let now = Timestamp::now();
        let known = self.world.known(timeout, now).await?;
        let Some(Next::Make(events, state)) = taken_back(timeout, &known.days, &known.state, by, now) else {
            bail!(
                "no change of {} can be taken back\nnext: `flywheel timeouts explain \"{}\"` says what was done last",
                timeout.name,
                timeout.name
            );
        };
        let changes = state.under_way.as_ref().map(|under_way| under_way.change.changes.clone()).unwrap_or_default();
        let told: Vec<String> = changes.iter().map(|change| format!("{} from {} to {}", change.setting, change.from, change.to)).collect();
        if !yes && !asked(&format!("Set the {}?", told.join(", and the ")))? {
            bail!("nothing was changed\nnext: answer yes, or pass --yes");
        }
        let mut report = Report::default();
        self.world.make(timeout, &events, *state, now, &mut report).await?;
        if report.changed == 0 {
            bail!(
                "it was not taken back: another value stands there than was set, AWS refused it, or a review was faster\nnext: `flywheel timeouts explain \"{}\"`",
                timeout.name
            );
        }
        self.output.show(&changes, &format!("set: {}", told.join("; ")))
    }
}

fn find<'p>(policy: &'p Policy, name: &str) -> Result<&'p TimeoutPolicy> {
    policy
        .timeouts
        .iter()
        .find(|timeout| timeout.name.as_str() == name)
        .ok_or_else(|| anyhow!("the policy has no limit {name}\nnext: `flywheel timeouts list` shows those it has"))
}

/// A reason or a purpose as it stands in JSON, with spaces.
fn word(of: &impl Serialize) -> String {
    serde_json::to_value(of).ok().and_then(|word| Some(word.as_str()?.replace('_', " "))).unwrap_or_default()
}
