//! `flywheel ledger`: what happened, what it came of and led to, and whether the ledger is as it was written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Subcommand;
use flywheel_adapters::Ledger;
use flywheel_engine::chains::check;
use flywheel_model::{Event, Id, LedgerEntry, Place};
use flywheel_ports::LedgerStore;
use flywheel_report::describe;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::output::Output;
use crate::site::Site;

/// Entries are kept for good within seconds; what is younger may be on its way.
const ON_THE_WAY: SignedDuration = SignedDuration::from_mins(15);

/// Looks at a subject that seems broken, and the time between them.
const LOOKS: usize = 4;
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

/// The most problems that are shown; all of them are in the JSON.
const SHOWN: usize = 20;

/// Events on the way from causes or to effects that are followed.
pub(crate) const FOLLOWED: usize = 500;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// What happened in the last hours, from what is kept for good
    List {
        /// So many hours
        #[arg(long, default_value_t = 24)]
        hours: u32,
        /// Only kinds that begin so: decision, finding.opened
        #[arg(long, default_value = "")]
        kind: String,
    },
    /// All about a subject; or an event with all that it came of, and all that it led to
    Trace {
        /// The event's id, or a subject as events name it: experiment/…, data-source/KB/DS
        what: String,
    },
    /// Checks that no entry was changed, taken out or put in, and that the table and what is kept for good agree
    Verify {
        /// Only the entries about this subject, as events name it: experiment/…, data-source/KB/DS
        #[arg(long)]
        subject: Option<String>,
        /// Compares what was kept for good in so many last days
        #[arg(long, default_value_t = 7)]
        days: u32,
    },
}

/// What a check came to.
#[derive(Serialize)]
struct Verified {
    entries: usize,
    subjects: usize,
    /// Entries kept for good that were compared, each once.
    compared: usize,
    problems: Vec<String>,
}

pub(crate) async fn run(command: Command, site: &Site, output: &Output) -> Result<()> {
    let ledger = ledger(site)?;
    match command {
        Command::List { hours, kind } => list(&ledger, hours, &kind, output).await,
        Command::Trace { what } => trace(&ledger, &what, output).await,
        Command::Verify { subject, days } => verify(&ledger, subject, days, site, output).await,
    }
}

async fn list(ledger: &Ledger, hours: u32, kind: &str, output: &Output) -> Result<()> {
    let now = Timestamp::now();
    let mut events = ledger.between(now - SignedDuration::from_hours(i64::from(hours)), now).await?;
    events.retain(|event| event.kind().starts_with(kind));
    output.list(&COLUMNS, &events, events.iter().map(row))?;
    if !events.is_empty() {
        output.hint("next: `flywheel explain ID` tells the whole story of one");
    }
    Ok(())
}

const COLUMNS: [&str; 5] = ["TIME", "KIND", "SUBJECT", "ID", "WHAT"];

fn row(event: &Event) -> Vec<String> {
    let time = event.at.strftime("%Y-%m-%d %H:%M:%S").to_string();
    vec![time, event.kind().to_owned(), event.subject.clone(), event.id.to_string(), describe(event)]
}

/// An event with all that it came of and led to.
#[derive(Serialize)]
struct Trace {
    /// Causes, their causes and so on, in the order of their times.
    came_of: Vec<Event>,
    event: Event,
    /// Effects, their effects and so on, in the order of their times.
    led_to: Vec<Event>,
    /// There is more than was followed.
    cut: bool,
}

async fn trace(ledger: &Ledger, what: &str, output: &Output) -> Result<()> {
    let events = events_about(ledger, what).await?;
    let (Ok(_), [event]) = (what.parse::<Id>(), &events[..]) else { return output.list(&COLUMNS, &events, events.iter().map(row)) };
    let (came_of, cut) = causes_of(ledger, &events).await?;
    let (led_to, more) = effects_of(ledger, &events).await?;
    let trace = Trace { came_of, event: event.clone(), led_to, cut: cut || more };
    let mut words = format!("{}  {}  {}\n  {}\n", trace.event.at, trace.event.kind(), trace.event.subject, describe(&trace.event));
    for (heading, events) in [("It came of", &trace.came_of), ("It led to", &trace.led_to)] {
        let _ = write!(words, "\n{heading}{}", if events.is_empty() { " nothing that is recorded" } else { "" });
        for event in events {
            let _ = write!(words, "\n  {}  {:<24} {}", event.at.strftime("%Y-%m-%d %H:%M:%S"), event.kind(), describe(event));
        }
        words.push('\n');
    }
    if trace.cut {
        let _ = write!(words, "\nNot all of it: the first {FOLLOWED} each way");
    }
    output.show(&trace, words.trim_end())
}

/// The event of an id, or all about a subject.
pub(crate) async fn events_about(ledger: &Ledger, what: &str) -> Result<Vec<Event>> {
    let entries = match what.parse::<Id>() {
        Ok(id) => ledger.recorded(std::slice::from_ref(&id)).await?,
        Err(_) => ledger.entries_of(what).await?,
    };
    if entries.is_empty() {
        bail!("the ledger has nothing about {what}\nnext: `flywheel ledger list` shows subjects and ids");
    }
    Ok(entries.into_iter().map(|entry| entry.event).collect())
}

/// All that these events came of, in the order of time; and whether there is more of it.
pub(crate) async fn causes_of(ledger: &Ledger, events: &[Event]) -> Result<(Vec<Event>, bool)> {
    follow(ledger, events, async |event| Ok(event.causes.clone())).await
}

/// All that these events led to, in the order of time; and whether there is more of it.
pub(crate) async fn effects_of(ledger: &Ledger, events: &[Event]) -> Result<(Vec<Event>, bool)> {
    follow(ledger, events, async |event| Ok(ledger.effects(&event.id).await?)).await
}

/// The events that a way leads to from some, nearest first until there are too many, in the order of their times. Causes that
/// are not recorded yet are left out.
async fn follow(ledger: &Ledger, from: &[Event], next: impl AsyncFn(&Event) -> Result<Vec<Id>>) -> Result<(Vec<Event>, bool)> {
    let mut known: BTreeSet<Id> = from.iter().map(|event| event.id.clone()).collect();
    let (mut found, mut nearest, mut cut) = (Vec::new(), from.to_vec(), false);
    while !nearest.is_empty() && !cut {
        let mut ids = Vec::new();
        for event in &nearest {
            ids.extend(next(event).await?.into_iter().filter(|id| known.insert(id.clone())));
        }
        cut = ids.len() > FOLLOWED - found.len();
        ids.truncate(FOLLOWED - found.len());
        nearest = ledger.recorded(&ids).await?.into_iter().map(|entry| entry.event).collect();
        found.extend_from_slice(&nearest);
    }
    found.sort_by(Event::by_time);
    Ok((found, cut))
}

async fn verify(ledger: &Ledger, subject: Option<String>, days: u32, site: &Site, output: &Output) -> Result<()> {
    let now = Timestamp::now();
    let (entries, ends) = match &subject {
        Some(subject) => of_subject(ledger, subject).await?,
        None => ledger.everything(|rows| output.progress(&format!("{rows} rows read"))).await?,
    };
    if entries.is_empty() {
        let about = subject.map_or_else(String::new, |subject| format!(" about {subject}"));
        bail!("the ledger has no entries{about}\nnext: `flywheel outputs` names its table");
    }
    let mut problems = Vec::new();
    // What is written while it is read looks broken, and is not when it is looked at again.
    let suspects: BTreeSet<String> = check(&entries, &ends).into_iter().map(|broken| broken.subject).collect();
    for suspect in suspects {
        problems.extend(settled_problems(ledger, &suspect).await?);
    }
    let from = now - SignedDuration::from_hours(24 * i64::from(days));
    let kept = kept(ledger, from, now, subject.as_deref()).await?;
    let table: BTreeMap<&Id, &LedgerEntry> = entries.iter().map(|entry| (&entry.event.id, entry)).collect();
    let unread: Vec<Id> = kept.keys().filter(|id| !table.contains_key(id)).cloned().collect();
    let later: BTreeMap<Id, LedgerEntry> =
        ledger.recorded(&unread).await?.into_iter().map(|entry| (entry.event.id.clone(), entry)).collect();
    for (id, entry) in &kept {
        if table.get(id).copied().or_else(|| later.get(id)) != Some(entry) {
            problems.push(told_of(entry, "is kept for good otherwise than in the table"));
        }
    }
    let settled = now - ON_THE_WAY;
    let missing = entries.iter().filter(|entry| from <= entry.event.at && entry.event.at < settled && !kept.contains_key(&entry.event.id));
    problems.extend(missing.map(|entry| told_of(entry, "is not kept for good")));
    let verified = Verified { entries: entries.len(), subjects: ends.len(), compared: kept.len(), problems };
    output.show(&verified, &told(&verified, days))?;
    if !verified.problems.is_empty() {
        let bucket = site.output("LedgerBucket")?;
        bail!(
            "the ledger is not as it was written\nnext: what is kept for good is under lock in the bucket {bucket}: compare, and find out who wrote to the table"
        );
    }
    Ok(())
}

type Chain = (Vec<LedgerEntry>, BTreeMap<String, Place>);

async fn of_subject(ledger: &Ledger, subject: &str) -> Result<Chain> {
    let end = ledger.last(subject).await?;
    Ok((ledger.entries_of(subject).await?, end.map(|end| (subject.to_owned(), end)).into_iter().collect()))
}

/// What is wrong about a subject also when it is looked at again: its entries are read by an index that is some moments behind.
async fn settled_problems(ledger: &Ledger, subject: &str) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for _ in 0..LOOKS {
        let (entries, ends) = of_subject(ledger, subject).await?;
        // What was appended since the end was read is no problem of the chain.
        let last = ends.get(subject).map_or(0, |end| end.sequence);
        let entries: Vec<LedgerEntry> = entries.into_iter().filter(|entry| entry.place.sequence <= last).collect();
        problems = check(&entries, &ends).iter().map(ToString::to_string).collect();
        if problems.is_empty() {
            break;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    Ok(problems)
}

/// What was kept for good about a subject, or about all, each once.
async fn kept(ledger: &Ledger, from: Timestamp, to: Timestamp, subject: Option<&str>) -> Result<BTreeMap<Id, LedgerEntry>> {
    let kept = ledger.kept(from, to).await?.into_iter();
    let kept = kept.filter(|entry| subject.is_none_or(|subject| subject == entry.event.subject));
    Ok(kept.map(|entry| (entry.event.id.clone(), entry)).collect())
}

fn told_of(entry: &LedgerEntry, what: &str) -> String {
    format!("{}, entry {}: {} {what}", entry.event.subject, entry.place.sequence, entry.event.id)
}

/// The ledger of a deployed Flywheel.
pub(crate) fn ledger(site: &Site) -> Result<Ledger> {
    Ok(Ledger::new(&site.sdk, site.output("LedgerTable")?.to_owned(), site.output("LedgerBucket")?.to_owned()))
}

fn told(verified: &Verified, days: u32) -> String {
    let Verified { entries, subjects, compared, problems } = verified;
    let mut words =
        format!("{entries} entries about {subjects} subjects; {compared} of them compared with what was kept for good in {days} days");
    if problems.is_empty() {
        words.push_str("\nAll chains are whole: nothing was changed, taken out or put in.");
    }
    for problem in problems.iter().take(SHOWN) {
        let _ = write!(words, "\n  {problem}");
    }
    if problems.len() > SHOWN {
        let _ = write!(words, "\n  and {} more: --json shows all", problems.len() - SHOWN);
    }
    words
}
