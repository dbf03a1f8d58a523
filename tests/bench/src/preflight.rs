//! What is understood of failed releases, how fast, and what the checks are worth that are learned from them.
//!
//! **Messages** and records of CloudTrail: the labelled ones below `FLYWHEEL_DATASETS`, which are no part of the repository.
//!
//! **Log lines**: a made-up log of the given size, of which one line in a thousand tells a failure, read in pieces of 64 KB on
//! one core.
//!
//! **Checks**: simulated histories of releases, each of three services that release once a day. Every history has needs of
//! three kinds: some lapse (unmet from some day until it was mended after some failed releases, sometimes again later), some
//! were never met and only few releases want them, and some are met but fail now and then for another reason. In half of the
//! histories, those of troubled accounts, it takes many failed releases until someone mends it; in the others few. Checks are
//! learned from the first half of a history. In the second half, each check sees what the account was really like, and a
//! release that it stops counts as rightly stopped if it would have failed for want of something that can be looked up.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use flywheel_engine::preflight::{ChecksFile, learn, needs_of};
use flywheel_model::Need;
use flywheel_policy::Policy;
use flywheel_releases::{Cause, Ending, Kind, LogReader, Release, Said, cloud_trail, understand};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::report::{Facts, Table, write};

/// What the benchmark may be told.
#[derive(Args)]
pub(crate) struct Settings {
    /// A folder of labelled collections; without it, messages and records are left out
    #[arg(long, env = "FLYWHEEL_DATASETS")]
    datasets: Option<PathBuf>,
    /// Simulated histories
    #[arg(long, default_value_t = 1_000)]
    histories: u64,
    /// Megabytes of log
    #[arg(long, default_value_t = 100)]
    megabytes: usize,
    /// Where chance begins
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Serialize)]
struct Report {
    facts: Facts,
    messages: Option<Messages>,
    cloud_trail: Option<Records>,
    log: Log,
    checks: Vec<Worth>,
}

#[derive(Serialize, Default)]
struct Messages {
    all: usize,
    kind_right: usize,
    literal_actions: usize,
    literal_actions_right: usize,
    derivable_actions: usize,
    derivable_actions_right: usize,
    resource_right: usize,
    invented_actions: usize,
    /// Of each labelled kind, how often each kind was found.
    confusion: BTreeMap<String, BTreeMap<&'static str, usize>>,
}

#[derive(Serialize, Default)]
struct Records {
    denied: usize,
    denied_action_right: usize,
    other: usize,
    actions_named_for_what_was_not_denied: usize,
}

#[derive(Serialize)]
struct Log {
    bytes: usize,
    lines: usize,
    failures_told: usize,
    failures_found: usize,
    seconds: f64,
    lines_a_second: f64,
}

#[derive(Serialize)]
struct Worth {
    accounts: &'static str,
    rule: &'static str,
    checks: usize,
    stopped_rightly: u64,
    stopped_wrongly: u64,
    missed: u64,
    precision: f64,
    recall: f64,
}

/// Measures, prints tables and writes the report.
pub(crate) fn run(settings: &Settings, out: &Path) -> anyhow::Result<()> {
    let folder = settings.datasets.as_ref().map(|folder| folder.join("releases")).filter(|folder| folder.is_dir());
    if folder.is_none() {
        println!("Messages and records are not measured: FLYWHEEL_DATASETS names no folder with releases");
    }
    let messages = folder.as_deref().map(messages).transpose()?;
    let cloud_trail = folder.as_deref().map(records).transpose()?;
    let log = log(settings);
    println!(
        "{} lines of log in {:.2} s: {:.0} a second; {} of {} failures found",
        log.lines, log.seconds, log.lines_a_second, log.failures_found, log.failures_told
    );
    let checks = worth(settings)?;
    write(out, &Report { facts: Facts::now(), messages, cloud_trail, log, checks })
}

fn messages(folder: &Path) -> anyhow::Result<Messages> {
    let mut all = Messages::default();
    for line in std::fs::read_to_string(folder.join("release_failure_messages.jsonl"))?.lines() {
        let record: Value = serde_json::from_str(line)?;
        let label = |field: &str| record[field].as_str();
        let cause = understand(label("message").context("a record without a message")?);
        let action = cause.action.as_deref() == label("missing_action");
        all.all += 1;
        all.kind_right += usize::from(label("kind_from_message") == Some(cause.kind.name()));
        all.resource_right += usize::from(cause.resource.as_deref() == label("resource"));
        all.invented_actions += usize::from(cause.action.is_some() && label("missing_action").is_none());
        match label("action_form") {
            Some("literal") => {
                all.literal_actions += 1;
                all.literal_actions_right += usize::from(action);
            }
            Some("derivable") => {
                all.derivable_actions += 1;
                all.derivable_actions_right += usize::from(action);
            }
            _ => {}
        }
        let labelled = label("kind_from_message").unwrap_or_default().to_owned();
        *all.confusion.entry(labelled).or_default().entry(cause.kind.name()).or_default() += 1;
    }
    let table = Table::new(&[("messages", 24), ("right", 8), ("of", 8)]);
    for (what, right, of) in [
        ("kind", all.kind_right, all.all),
        ("literal action", all.literal_actions_right, all.literal_actions),
        ("derivable action", all.derivable_actions_right, all.derivable_actions),
        ("resource", all.resource_right, all.all),
        ("invented actions", all.invented_actions, all.all),
    ] {
        table.row(&[what.to_owned(), right.to_string(), of.to_string()]);
    }
    Ok(all)
}

fn records(folder: &Path) -> anyhow::Result<Records> {
    let mut all = Records::default();
    for (name, denied) in [("cloudtrail_denied.json", true), ("cloudtrail_other_errors.json", false), ("cloudtrail_success.json", false)] {
        let file: Value = serde_json::from_str(&std::fs::read_to_string(folder.join(name))?)?;
        for record in file["Records"].as_array().context("no Records")? {
            let cause = cloud_trail(record).map_err(anyhow::Error::msg)?;
            let action = cause.and_then(|cause| cause.action);
            let named = format!(
                "{}:{}",
                record["eventSource"].as_str().unwrap_or_default().trim_end_matches(".amazonaws.com"),
                record["eventName"].as_str().unwrap_or_default()
            );
            if denied {
                all.denied += 1;
                all.denied_action_right += usize::from(action.as_deref() == Some(&named));
            } else {
                all.other += 1;
                all.actions_named_for_what_was_not_denied += usize::from(action.is_some_and(|action| action != "sts:AssumeRole"));
            }
        }
    }
    println!("denied calls: action right of {} of {}", all.denied_action_right, all.denied);
    Ok(all)
}

fn log(settings: &Settings) -> Log {
    let mut random = fastrand::Rng::with_seed(settings.seed);
    let (mut text, mut lines, mut told) = (String::new(), 0, 0);
    while text.len() < settings.megabytes * 1_000_000 {
        lines += 1;
        let number = random.u32(..);
        if lines % 1_000 == 0 {
            told += 1;
            text.push_str(&format!("Error: User: arn:aws:sts::111122223333:assumed-role/deploy/ci is not authorized to perform: sqs:CreateQueue on resource: arn:aws:sqs:eu-west-1:111122223333:q-{number} because no identity-based policy allows the sqs:CreateQueue action\n"));
        } else {
            text.push_str(&format!(
                "2026-01-31T12:00:00.000Z [INFO] compiled module {number} in {} ms, 0 warnings, chunk {:08x} written\n",
                number % 900,
                number
            ));
        }
    }
    let mut found = 0;
    let started = Instant::now();
    let mut reader = LogReader::default();
    let mut count = |said: Said| found += usize::from(matches!(said, Said::Failed { .. }));
    for piece in text.as_bytes().chunks(64 * 1024) {
        reader.read(piece, &mut count);
    }
    reader.end(&mut count);
    let seconds = started.elapsed().as_secs_f64();
    Log { bytes: text.len(), lines, failures_told: told, failures_found: found, seconds, lines_a_second: lines as f64 / seconds }
}

const ROLE: &str = "arn:aws:iam::111122223333:role/deploy";

/// Releases of each service in a history.
const DAYS: usize = 80;

const SERVICES: usize = 3;

/// A release and what the account was like when it began.
struct Day {
    release: Release,
    /// The needs that were not met.
    unmet: BTreeSet<Need>,
    /// Whether it failed for want of one of them.
    lacked: bool,
}

fn worth(settings: &Settings) -> anyhow::Result<Vec<Worth>> {
    let table =
        Table::new(&[("accounts", 9), ("checks", 24), ("rightly", 9), ("wrongly", 9), ("missed", 9), ("precision", 9), ("recall", 9)]);
    let mut all = Vec::new();
    for (accounts, tries) in [("troubled", 12..28), ("healthy", 1..4)] {
        for rule in worth_in(settings, accounts, &tries)? {
            table.row(&[
                rule.accounts.to_owned(),
                rule.rule.to_owned(),
                rule.stopped_rightly.to_string(),
                rule.stopped_wrongly.to_string(),
                rule.missed.to_string(),
                format!("{:.3}", rule.precision),
                format!("{:.3}", rule.recall),
            ]);
            all.push(rule);
        }
    }
    Ok(all)
}

/// Of histories in which it takes so many failed releases until someone mends what is missing.
fn worth_in(settings: &Settings, accounts: &'static str, tries: &Range<u32>) -> anyhow::Result<Vec<Worth>> {
    let policy = Policy::parse("mode = \"act\"\n[[unseen_source]]\nknowledge_base = \"KBUNSEEN01\"\ndata_source = \"DSUNSEEN01\"\n")?;
    let mut rules: Vec<Worth> = ["learned with a backtest", "everything ever seen", "a fixed list"]
        .into_iter()
        .map(|rule| Worth { accounts, rule, checks: 0, stopped_rightly: 0, stopped_wrongly: 0, missed: 0, precision: 0.0, recall: 0.0 })
        .collect();
    for history in 0..settings.histories / 2 {
        let mut random = fastrand::Rng::with_seed(settings.seed.wrapping_mul(1_000_003).wrapping_add(history));
        let days = history_of(&mut random, tries);
        let (past, future) = days.split_at(days.len() / 2);
        let past: Vec<Release> = past.iter().map(|day| day.release.clone()).collect();
        let now = past.last().map_or(Timestamp::UNIX_EPOCH, |release| release.last);
        let learned = learn(&past, &ChecksFile::default(), &BTreeMap::new(), &policy, now).file;
        let backtested: BTreeSet<(String, Need)> = (0..SERVICES)
            .flat_map(|service| learned.active(Some(&name(service))).into_iter().map(move |check| (name(service), check.need)))
            .collect();
        let seen: BTreeSet<(String, Need)> = past
            .iter()
            .flat_map(|release| {
                release.causes.iter().filter_map(|cause| needs_of(cause, release)).map(|need| (release.service.clone(), need))
            })
            .collect();
        // What a careful person would write down without looking: the first need of each kind, for all services.
        let listed: BTreeSet<(String, Need)> =
            (0..SERVICES).flat_map(|service| [0, 4, 8].map(|place| (name(service), need(place)))).collect();
        for (rule, checks) in rules.iter_mut().zip([backtested, seen, listed]) {
            rule.checks += checks.len();
            for day in future {
                let stops = checks.iter().any(|(service, need)| *service == day.release.service && day.unmet.contains(need));
                match (stops, day.lacked) {
                    (true, true) => rule.stopped_rightly += 1,
                    (true, false) => rule.stopped_wrongly += 1,
                    (false, true) => rule.missed += 1,
                    (false, false) => {}
                }
            }
        }
    }
    for rule in &mut rules {
        let right = rule.stopped_rightly as f64;
        // Of nothing stopped, nothing was stopped wrongly.
        rule.precision = right / (right + rule.stopped_wrongly as f64).max(1.0);
        rule.recall = right / (right + rule.missed as f64);
    }
    Ok(rules)
}

fn name(service: usize) -> String {
    format!("service-{service}")
}

fn need(place: usize) -> Need {
    Need::permission(ROLE, format!("sqs:Action{place}"), "*")
}

/// Twelve needs: 0 to 3 lapse, 4 to 7 are never met and seldom wanted, 8 to 11 are met and fail now and then all the same.
fn history_of(random: &mut fastrand::Rng, tries: &Range<u32>) -> Vec<Day> {
    // From when on each lapsing need is unmet, and how many failed releases it takes until someone mends it.
    let mut lapses: Vec<(usize, usize, u32)> = Vec::new();
    for place in 0..4 {
        lapses.push((place, random.usize(0..DAYS / 2), random.u32(tries.clone())));
        if random.bool() {
            lapses.push((place, random.usize(DAYS / 2..DAYS), random.u32(tries.clone())));
        }
    }
    let owner: Vec<usize> = (0..12).map(|_| random.usize(0..SERVICES)).collect();
    let mut days = Vec::new();
    for day in 0..DAYS {
        for service in 0..SERVICES {
            let mut unmet: BTreeSet<Need> = (4..8).map(need).collect();
            let mut lacking: BTreeSet<usize> = BTreeSet::new();
            for (place, from, tries) in &mut lapses {
                if *from <= day && *tries > 0 {
                    unmet.insert(need(*place));
                    if owner[*place] == service {
                        lacking.insert(*place);
                        *tries -= 1;
                    }
                }
            }
            lacking.extend((4..8).filter(|place| owner[*place] == service && random.f64() < 0.1));
            let by_chance: Vec<usize> = (8..12).filter(|place| owner[*place] == service && random.f64() < 0.02).collect();
            let fails_otherwise = random.f64() < 0.03;
            let denied = |place: &usize| Cause {
                principal: Some(ROLE.to_owned()),
                action: Some(format!("sqs:Action{place}")),
                resource: Some("*".to_owned()),
                ..Cause::of(Kind::MissingPermission)
            };
            let mut causes: Vec<Cause> = lacking.iter().chain(&by_chance).map(denied).collect();
            if fails_otherwise {
                causes.push(Cause::of(Kind::InvalidRequest));
            }
            let at = Timestamp::from_second(1_700_000_000 + 86_400 * day as i64 + 3_600 * service as i64).unwrap_or(Timestamp::UNIX_EPOCH);
            let ending = Some(if causes.is_empty() { Ending::Succeeded } else { Ending::Failed });
            let release = Release {
                id: format!("{day}-{service}"),
                service: name(service),
                role: Some(ROLE.to_owned()),
                began: at,
                last: at,
                ending,
                causes,
            };
            days.push(Day { release, unmet, lacked: !lacking.is_empty() });
        }
    }
    days
}
