//! `flywheel replay`: what would have been found, by the policy in force and by another one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use flywheel_adapters::FindingTable;
use flywheel_engine::findings::History;
use flywheel_engine::replay::replay;
use flywheel_model::{Event, Hour, Key, Metric};
use flywheel_policy::Policy;
use flywheel_ports::Histories;
use flywheel_report::describe;
use jiff::Timestamp;
use serde::Serialize;

use crate::output::Output;
use crate::policy::read;
use crate::site::Site;

#[derive(Args)]
pub(crate) struct Replay {
    /// Of so many last hours
    #[arg(long, default_value_t = 168, value_parser = clap::value_parser!(u32).range(1..=840))]
    hours: u32,
    /// Another policy, beside the one in force
    #[arg(long)]
    policy: Option<PathBuf>,
    /// Also changes that are large enough, but not surely there
    #[arg(long)]
    holds: bool,
}

/// What a policy would have found.
#[derive(Serialize)]
struct Found {
    /// The policy: the first digits of its file's SHA-256.
    policy: String,
    events: Vec<Event>,
}

/// What was replayed.
#[derive(Serialize)]
struct Replayed {
    from: Timestamp,
    to: Timestamp,
    in_force: Found,
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<Found>,
}

impl Replay {
    pub(crate) async fn run(self, site: &Site, output: &Output) -> Result<()> {
        let other = self.policy.as_deref().map(read).transpose()?;
        let in_force = site.policy().await?;
        let memory = FindingTable::new(&site.sdk, site.output("SignalsTable")?.to_owned());
        let mut histories = BTreeMap::new();
        for metric in Metric::ALL {
            output.progress(&format!("reading {metric}"));
            histories.insert(metric, memory.histories(metric).await?);
        }
        if histories.values().all(BTreeMap::is_empty) {
            bail!("nothing was counted yet\nnext: send signals to the queue that `flywheel outputs` names SignalsQueueUrl");
        }
        let end = Hour(Hour::of(Timestamp::now()).0 + 1);
        let hours = Hour(end.0 - i64::from(self.hours))..end;
        output.progress("looking at every hour again");
        let find = |policy: &Policy| self.find(&histories, policy, hours.clone());
        let replayed =
            Replayed { from: hours.start.start(), to: hours.end.start(), in_force: find(&in_force), other: other.as_ref().map(find) };
        output.list(&["TIME", "BY", "WHAT"], &replayed, rows(&replayed))?;
        output.hint(&told(&replayed));
        Ok(())
    }

    fn find(&self, histories: &BTreeMap<Metric, BTreeMap<Key, History>>, policy: &Policy, hours: Range<Hour>) -> Found {
        let mut events = replay(histories, policy, hours);
        events.retain(|event| self.holds || event.kind() != "finding.held");
        Found { policy: policy.version.clone(), events }
    }
}

/// What tells whether two policies found the same: the kind, where and when.
fn same(event: &Event) -> (Timestamp, &'static str, &str) {
    (event.at, event.kind(), event.subject.as_str())
}

/// Each thing that was found, with who finds it.
fn rows(replayed: &Replayed) -> Vec<Vec<String>> {
    let Replayed { in_force, other, .. } = replayed;
    let row = |event: &Event, by: &str| vec![event.at.strftime("%Y-%m-%d %H:%M").to_string(), by.to_owned(), describe(event)];
    let Some(other) = other else { return in_force.events.iter().map(|event| row(event, "in force")).collect() };
    let of_other: BTreeSet<_> = other.events.iter().map(same).collect();
    let of_force: BTreeSet<_> = in_force.events.iter().map(same).collect();
    let mut told: Vec<(&Event, &str)> =
        in_force.events.iter().map(|event| (event, if of_other.contains(&same(event)) { "both" } else { "in force" })).collect();
    told.extend(other.events.iter().filter(|event| !of_force.contains(&same(event))).map(|event| (event, "other")));
    told.sort_by(|(one, _), (two, _)| same(one).cmp(&same(two)));
    told.into_iter().map(|(event, by)| row(event, by)).collect()
}

fn told(replayed: &Replayed) -> String {
    let findings = |found: &Found| {
        let count = found.events.iter().filter(|event| event.kind() == "finding.opened").count();
        format!("{count} finding{}", if count == 1 { "" } else { "s" })
    };
    let Replayed { from, to, in_force, other } = replayed;
    let mut words = format!("{from} to {to}: {} by the policy in force ({})", findings(in_force), in_force.policy);
    match other {
        Some(other) => words += &format!(", {} by the other one ({})", findings(other), other.policy),
        None => words += "\nnext: `flywheel replay --policy FILE` shows what another policy would have found",
    }
    words
}

#[cfg(test)]
mod tests {
    use flywheel_model::{Body, FindingHold, Id, Scope};

    use super::*;

    fn found(hours: &[i64]) -> Found {
        let event = |hour: &i64| {
            let hold = FindingHold { metric: Metric::Resolution, scope: Scope::Everywhere, reason: "so".to_owned(), rates: None };
            let id = Id::of("hold", &[&hour.to_string()]);
            Event { id, subject: hold.subject(), causes: Vec::new(), at: Hour(*hour).start(), body: Body::FindingHeld(hold) }
        };
        Found { policy: "0".to_owned(), events: hours.iter().map(event).collect() }
    }

    #[test]
    fn what_both_find_is_told_once() {
        let (from, to) = (Hour(0).start(), Hour(9).start());
        let replayed = Replayed { from, to, in_force: found(&[1, 2]), other: Some(found(&[2, 3])) };
        let by: Vec<String> = rows(&replayed).into_iter().map(|row| row[1].clone()).collect();
        assert_eq!(by, ["in force", "both", "other"]);
    }
}
