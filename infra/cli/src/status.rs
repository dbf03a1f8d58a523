//! `flywheel status`: what is happening now, on one screen.

use std::collections::BTreeMap;
use std::fmt::Display;

use anyhow::Result;
use clap::Args;
use flywheel_adapters::{ExperimentTable, FindingTable, OutcomeTable, StateTable, Switch, TimeoutTable};
use flywheel_engine::experiments::Book;
use flywheel_engine::outcomes::Awaited;
use flywheel_engine::sync::{Account, Source, Work};
use flywheel_engine::timeouts::UnderWay;
use flywheel_model::{
    ApprovalRequest, Control, Event, Evidence, ExperimentState, Finding, Hour, Id, Key, Loop, Metric, Scope, Stage, TimeoutPurpose,
};
use flywheel_policy::{Mode, Policy};
use flywheel_ports::{ExperimentStore, Memory, OutcomeStore, SyncStore, TimeoutStore, Unavailable};
use flywheel_report::hold_reason;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::approvals;
use crate::ledger::ledger;
use crate::output::Output;
use crate::queues::{self, Depth};
use crate::site::Site;

/// The most things of a kind that are told; all of them are in the JSON.
const SHOWN: usize = 8;

#[derive(Args)]
pub(crate) struct Status {
    /// Holds of so many last hours
    #[arg(long, default_value_t = 6)]
    hours: u32,
}

/// Something that was read, or why it could not be. One part that cannot be read hides no other.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Part<T> {
    Read(T),
    Unread { unread: String },
}

impl<T, E: Display> From<Result<T, E>> for Part<T> {
    fn from(read: Result<T, E>) -> Self {
        // With its causes, where it has some.
        read.map_or_else(|error| Self::Unread { unread: format!("{error:#}") }, Self::Read)
    }
}

/// All that is happening.
#[derive(Debug, Serialize)]
struct Now {
    stack: String,
    at: Timestamp,
    /// Who stopped all actions, if they are stopped.
    stopped: Part<Option<Control>>,
    policy: Part<InForce>,
    findings: Part<Vec<Finding>>,
    synchronising: Part<Vec<Synchronising>>,
    experiments: Part<Vec<Compared>>,
    timeouts: Part<Vec<Changing>>,
    /// Actions whose effect is being measured.
    outcomes: Part<Vec<Awaited>>,
    /// What waits for a person's answer.
    approvals: Part<Vec<ApprovalRequest>>,
    /// Holds of the last hours, by loop and reason, the latest first.
    holds: Part<Vec<Held>>,
    hours: u32,
    caps: Part<Caps>,
    queues: Part<Vec<Depth>>,
}

#[derive(Debug, Clone, Serialize)]
struct InForce {
    version: String,
    mode: Mode,
}

/// A data source on which something is under way, or that is set aside.
#[derive(Debug, Serialize)]
struct Synchronising {
    data_source: String,
    state: String,
    set_aside: bool,
}

/// An experiment that has begun, or that waits for a person.
#[derive(Debug, Serialize)]
struct Compared {
    experiment: Key,
    intent: Key,
    state: String,
    /// What a person has to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A limit whose change awaits its outcome.
#[derive(Debug, Serialize)]
struct Changing {
    timeout: Key,
    purpose: TimeoutPurpose,
    /// Each setting: from what, to what.
    changes: Vec<String>,
    decided_at: Timestamp,
    made: bool,
}

/// Holds of a loop for one reason.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Held {
    #[serde(rename = "loop")]
    of: Option<Loop>,
    reason: String,
    times: usize,
    /// The last one.
    at: Timestamp,
    subject: String,
    event: Id,
}

/// What was used of the caps in this clock hour.
#[derive(Debug, Serialize)]
struct Caps {
    hour: Timestamp,
    job_starts: Used,
    direct_documents: Used,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Used {
    used: u32,
    cap: u32,
}

impl Status {
    pub(crate) async fn run(self, site: &Site, output: &Output) -> Result<()> {
        let now = self.look(site, Timestamp::now()).await;
        output.show(&now, &told(&now))
    }

    async fn look(&self, site: &Site, at: Timestamp) -> Now {
        let (policy, stopped, findings, overview, book, held, queues, outcomes, approvals) = futures::join!(
            site.policy(),
            async { anyhow::Ok(Switch::new(&site.sdk, site.output("SwitchTable")?.to_owned()).stopped().await?) },
            async { anyhow::Ok(open(&FindingTable::new(&site.sdk, site.output("SignalsTable")?.to_owned())).await?) },
            async { anyhow::Ok(StateTable::new(&site.sdk, site.output("StateTable")?.to_owned()).overview().await?) },
            async { anyhow::Ok(ExperimentTable::new(&site.sdk, site.output("SignalsTable")?.to_owned()).book().await?) },
            async { anyhow::Ok(ledger(site)?.between(at - SignedDuration::from_hours(i64::from(self.hours)), at).await?) },
            queues::depths(site),
            async { anyhow::Ok(OutcomeTable::new(&site.sdk, site.output("SignalsTable")?.to_owned()).pending().await?) },
            approvals::waiting(site, at),
        );
        let timeouts = match &policy {
            Ok(policy) => changing(site, policy).await.into(),
            Err(error) => Part::Unread { unread: format!("the policy is not known: {error:#}") },
        };
        let (synchronising, caps) = match overview {
            Ok(overview) => {
                let caps = match &policy {
                    Ok(policy) => Part::Read(caps(&overview.account, policy, at)),
                    Err(error) => Part::Unread { unread: format!("the policy is not known: {error:#}") },
                };
                (Part::Read(overview.sources.iter().filter_map(synchronising).collect()), caps)
            }
            Err(error) => {
                let unread = format!("{error:#}");
                (Part::Unread { unread: unread.clone() }, Part::Unread { unread })
            }
        };
        Now {
            stack: site.stack.clone(),
            at,
            stopped: stopped.into(),
            policy: policy.map(|policy| InForce { version: policy.version, mode: policy.mode }).into(),
            findings: findings.into(),
            synchronising,
            experiments: book.map(|book| compared(&book)).into(),
            timeouts,
            outcomes: outcomes.map(|pending| pending.into_iter().map(|pending| pending.awaited).collect()).into(),
            approvals: approvals.into(),
            holds: held.map(|events| holds(&events)).into(),
            hours: self.hours,
            caps,
            queues: queues.into(),
        }
    }
}

/// The open findings of all metrics.
async fn open(memory: &FindingTable) -> Result<Vec<Finding>, Unavailable> {
    let mut found = Vec::new();
    for metric in Metric::ALL {
        found.extend(memory.state(metric).await?.open.into_values().map(|open| open.finding));
    }
    Ok(found)
}

async fn changing(site: &Site, policy: &Policy) -> Result<Vec<Changing>> {
    let table = TimeoutTable::new(&site.sdk, site.output("SignalsTable")?.to_owned());
    let mut changing = Vec::new();
    for timeout in &policy.timeouts {
        changing.extend(table.timeout(&timeout.name).await?.under_way.map(|under_way| awaiting(timeout.name.clone(), under_way)));
    }
    Ok(changing)
}

fn awaiting(timeout: Key, UnderWay { change, at, made, .. }: UnderWay) -> Changing {
    let changes = change.changes.iter().map(|change| format!("{} from {} to {}", change.setting, change.from, change.to)).collect();
    Changing { timeout, purpose: change.purpose, changes, decided_at: at, made }
}

/// What is under way on a data source; nothing if nothing is.
fn synchronising(source: &Source) -> Option<Synchronising> {
    let since = source.last_start.map_or_else(String::new, |at| format!(" since {}", minute(at)));
    let state = match (&source.work, &source.quarantine) {
        (_, Some(quarantine)) => format!("set aside: {}", quarantine.reason),
        (Work::Starting { .. }, None) => format!("an ingestion job is being started{since}"),
        (Work::Running { job, .. }, None) => format!("ingestion job {job} runs{since}"),
        (Work::Settling { .. }, None) => "its ingestion job has ended; the fates of its documents are being recorded".to_owned(),
        (Work::Idle, None) => match (source.check_at, source.last_send) {
            (Some(_), Some(sent)) => format!("documents were sent directly at {}, and are looked at", minute(sent)),
            _ => return None,
        },
    };
    Some(Synchronising { data_source: source.id.to_string(), state, set_aside: source.quarantine.is_some() })
}

/// The experiments that have begun, or wait for a person.
fn compared(book: &Book) -> Vec<Compared> {
    let begun = book.experiments.iter().filter_map(|one| {
        let (state, next) = match &one.state {
            ExperimentState::ToBeApproved => {
                ("waits for a person".to_owned(), Some(format!("`flywheel experiments start {}`", one.experiment)))
            }
            ExperimentState::Running(run) => {
                let share = format!("splits {} of the traffic since {}", percent(run.share), minute(run.since));
                (if run.in_force_at.is_some() { share } else { format!("{share}, as soon as the flag is deployed") }, None)
            }
            ExperimentState::Concluded { conclusion, cleaned, .. } => {
                let done = if *cleaned { "everybody gets the control" } else { "the control is being put back for everybody" };
                (format!("concluded ({}); {done}", conclusion.verdict), None)
            }
            ExperimentState::Promoting { conclusion, .. } => {
                (format!("{} is being deployed to everybody", conclusion.winner.as_deref().unwrap_or("its winner")), None)
            }
            ExperimentState::Queued | ExperimentState::Over { .. } => return None,
        };
        Some(Compared { experiment: one.experiment.clone(), intent: one.intent.clone(), state, next })
    });
    begun.collect()
}

/// Holds by loop and reason, the latest first.
fn holds(events: &[Event]) -> Vec<Held> {
    let mut groups: BTreeMap<(Option<Loop>, String), Vec<&Event>> = BTreeMap::new();
    for event in events.iter().filter(|event| Stage::of(event) == Stage::Hold) {
        groups.entry((Loop::of(event), hold_reason(event).unwrap_or_default())).or_default().push(event);
    }
    let held = groups.into_iter().filter_map(|((of, reason), events)| {
        let last = events.iter().max_by(|one, other| one.by_time(other))?;
        Some(Held { of, reason, times: events.len(), at: last.at, subject: last.subject.clone(), event: last.id.clone() })
    });
    let mut held: Vec<Held> = held.collect();
    held.sort_by_key(|held| std::cmp::Reverse(held.at));
    held
}

/// The counters of an hour that is over count for nothing.
fn caps(account: &Account, policy: &Policy, now: Timestamp) -> Caps {
    let hour = Hour::of(now);
    let counted = |used: u32| if account.hour == hour.0 { used } else { 0 };
    Caps {
        hour: hour.start(),
        job_starts: Used { used: counted(account.hour_starts), cap: policy.sync.job_starts_per_hour },
        direct_documents: Used { used: counted(account.hour_documents), cap: policy.sync.direct_documents_per_hour },
    }
}

/// One screen of it.
fn told(now: &Now) -> String {
    let mut screen = Screen(vec![format!("{}, {} (UTC)", now.stack, now.at.strftime("%Y-%m-%d %H:%M:%S"))]);
    screen.actions(now);
    screen.part("Findings", &now.findings, |screen, findings| {
        screen.heading("Findings", &counted(findings.len(), "open"));
        screen.list(findings, |finding| (finding_told(finding), Some(format!("`flywheel explain {}`", finding.subject()))));
    });
    screen.under_way(now);
    screen.part("Holds", &now.holds, |screen, holds| {
        let times: usize = holds.iter().map(|held| held.times).sum();
        screen.heading("Holds", &counted(times, &format!("in the last {} hours", now.hours)));
        screen.list(holds, |held| {
            let of = held.of.map_or("all loops", Loop::as_str);
            let told = format!("{} × {of}: {}; last {} at {}", held.times, held.reason, held.subject, minute(held.at));
            (told, Some(format!("`flywheel explain {}`", held.event)))
        });
    });
    screen.part("Caps", &now.caps, Screen::caps);
    screen.part("Queues", &now.queues, |screen, depths| screen.queues(depths));
    screen.0.join("\n")
}

/// The lines of the screen.
struct Screen(Vec<String>);

impl Screen {
    fn line(&mut self, text: impl Display) {
        self.0.push(format!("  {text}"));
    }

    fn heading(&mut self, name: &str, text: &str) {
        self.0.push(format!("{name:<12} {text}"));
    }

    fn next(&mut self, command: impl Display) {
        self.0.push(format!("    next: {command}"));
    }

    /// A part that was read, or that it was not.
    fn part<T>(&mut self, name: &str, part: &Part<T>, tell: impl FnOnce(&mut Self, &T)) {
        match part {
            Part::Read(read) => tell(self, read),
            Part::Unread { unread } => self.heading(name, &format!("not known: {unread}")),
        }
    }

    /// As many things as are told, with what to do about each.
    fn list<T>(&mut self, things: &[T], tell: impl Fn(&T) -> (String, Option<String>)) {
        for thing in things.iter().take(SHOWN) {
            let (text, next) = tell(thing);
            self.line(text);
            next.into_iter().for_each(|command| self.next(command));
        }
        if things.len() > SHOWN {
            self.line(format!("and {} more: --json shows all", things.len() - SHOWN));
        }
    }

    fn actions(&mut self, now: &Now) {
        self.part("Actions", &now.stopped, |screen, stopped| {
            let Some(Control { by, why, at }) = stopped else { return screen.heading("Actions", "not stopped") };
            let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
            screen.heading("Actions", &format!("STOPPED by {by} since {}{why}: nothing acts, whatever the policy says", minute(*at)));
            screen.next("`flywheel resume` lets them go on");
        });
        self.part("Policy", &now.policy, |screen, InForce { version, mode }| match mode {
            Mode::Act if matches!(now.stopped, Part::Read(Some(_))) => {
                screen.heading("Policy", &format!("{version}: decisions are carried out again once actions go on"));
            }
            Mode::Act => screen.heading("Policy", &format!("{version}: decisions are carried out")),
            Mode::DryRun => {
                screen.heading("Policy", &format!("{version}: dry run, decisions are recorded and none is carried out"));
                screen.next("set mode = \"act\", then `flywheel policy apply FILE`");
            }
        });
    }

    fn under_way(&mut self, now: &Now) {
        self.part("Syncs", &now.synchronising, |screen, sources| {
            screen.heading("Syncs", &counted(sources.len(), "under way or set aside"));
            screen.list(sources, |source| {
                let next = source.set_aside.then(|| format!("`flywheel explain data-source/{}`", source.data_source));
                (format!("{}: {}", source.data_source, source.state), next)
            });
        });
        self.part("Experiments", &now.experiments, |screen, experiments| {
            screen.heading("Experiments", &counted(experiments.len(), "begun, or waiting for a person"));
            screen.list(experiments, |one| {
                let next = one.next.clone().unwrap_or_else(|| format!("`flywheel experiments show {}`", one.experiment));
                (format!("{} of {}: {}", one.experiment, one.intent, one.state), Some(next))
            });
        });
        self.part("Timeouts", &now.timeouts, |screen, timeouts| {
            screen.heading("Timeouts", &counted(timeouts.len(), "changed, their outcome awaited"));
            screen.list(timeouts, |one| {
                let stands = if one.made { "to be verified" } else { "being changed" };
                let told = format!("{}: {}, decided {}, {stands}", one.timeout, one.changes.join("; "), minute(one.decided_at));
                (told, Some(format!("`flywheel timeouts explain \"{}\"`", one.timeout)))
            });
        });
        self.part("Outcomes", &now.outcomes, |screen, outcomes| {
            screen.heading("Outcomes", &counted(outcomes.len(), "awaited"));
            screen.list(outcomes, |one| {
                let told = format!("{}, by {} of {}, since {}", one.what.in_words(), one.metric, one.scope, minute(one.acted_at));
                (told, Some(format!("`flywheel explain {}`", one.action)))
            });
        });
        self.part("Approvals", &now.approvals, |screen, requests| {
            screen.heading("Approvals", &counted(requests.len(), "waiting for a person"));
            screen.list(requests, |one| {
                let next = format!("`flywheel approve {}` or `flywheel reject {0}`", one.approval);
                (format!("{}, until {}", one.what, minute(one.deadline)), Some(next))
            });
        });
    }

    fn caps(&mut self, caps: &Caps) {
        let Caps { job_starts, direct_documents, .. } = caps;
        self.heading(
            "Caps",
            &format!(
                "this hour {} of {} job starts, {} of {} documents sent directly",
                job_starts.used, job_starts.cap, direct_documents.used, direct_documents.cap
            ),
        );
        for (field, used) in [("job_starts_per_hour", job_starts), ("direct_documents_per_hour", direct_documents)] {
            if used.used >= used.cap {
                self.next(format!(
                    "it goes on at the full hour; if the load is meant, raise sync.{field} and `flywheel policy apply FILE`"
                ));
            }
        }
    }

    fn queues(&mut self, depths: &[Depth]) {
        let (waiting, given_up): (u64, u64) =
            depths.iter().fold((0, 0), |(waiting, given_up), depth| (waiting + depth.messages(), given_up + depth.given_up));
        self.heading("Queues", &format!("messages in all of them: {waiting}, and given up: {given_up}"));
        let told: Vec<&Depth> = depths.iter().filter(|depth| depth.messages() + depth.given_up > 0 || depth.unread.is_some()).collect();
        self.list(&told, |depth| {
            let next = (depth.given_up > 0)
                .then(|| format!("read them in {}-dead-letters, mend the cause, then redrive them to the queue", depth.queue));
            (depth.to_string(), next)
        });
    }
}

fn finding_told(finding: &Finding) -> String {
    let Finding { metric, scope, opened_at, evidence, .. } = finding;
    let told = match evidence {
        Evidence::Rates(rates) => format!(
            "{} of {} since {}, {} before",
            percent(rates.current.rate),
            rates.current.trials,
            minute(rates.since),
            percent(rates.baseline.rate)
        ),
        Evidence::Alarm { name, reason } => {
            format!("alarm {name}{}", reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}")))
        }
    };
    let of = if *scope == Scope::Everywhere { "" } else { "of " };
    format!("{metric} {of}{scope}: {told}; opened {}", minute(*opened_at))
}

/// So many that stand so, or none.
fn counted(many: usize, what: &str) -> String {
    if many == 0 { "none".to_owned() } else { format!("{many} {what}") }
}

fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}

fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use flywheel_model::{ActionKind, Body, DataSourceId, Hold, HoldReason, Rate, Rates};

    use super::*;
    use crate::queues::tests::deep;

    const POLICY: &str =
        "mode = \"act\"\n[[data_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS12345678\"\nbucket = \"docs\"\n";

    fn at(time: &str) -> Timestamp {
        format!("2026-11-27T{time}Z").parse().expect("a time")
    }

    /// A quiet evening.
    fn quiet() -> Now {
        let policy = Policy::parse(POLICY).expect("valid");
        Now {
            stack: "flywheel".to_owned(),
            at: at("20:30:00"),
            stopped: Part::Read(None),
            policy: Part::Read(InForce { version: "0123456789abcdef".to_owned(), mode: Mode::Act }),
            findings: Part::Read(Vec::new()),
            synchronising: Part::Read(Vec::new()),
            experiments: Part::Read(Vec::new()),
            timeouts: Part::Read(Vec::new()),
            outcomes: Part::Read(Vec::new()),
            approvals: Part::Read(Vec::new()),
            holds: Part::Read(Vec::new()),
            hours: 6,
            caps: Part::Read(caps(&Account::default(), &policy, at("20:30:00"))),
            queues: Part::Read(vec![deep("signals", 0, 0)]),
        }
    }

    fn held(source: &str, time: &str, reason: HoldReason) -> Event {
        let hold = Hold { data_source: DataSourceId::new("KB12345678", source), reason, until: None };
        let id = Id::of("hold", &[source, time]);
        Event { id, subject: format!("data-source/{}", hold.data_source), causes: Vec::new(), at: at(time), body: Body::SyncHeld(hold) }
    }

    fn failing() -> Finding {
        let rate = |events, rate| Rate { trials: 1_320, events, rate };
        let rates = Rates {
            baseline: rate(53, 0.04),
            current: rate(240, 0.182),
            change: 3.5,
            interval: [2.0, 5.0],
            log_evidence: 40.0,
            since: at("08:00:00"),
            until: at("20:00:00"),
            parts: BTreeMap::new(),
            samples_needed: None,
        };
        Finding {
            finding: Id::of("finding", &["1"]),
            metric: Metric::FailedResponses,
            scope: Scope::Key(Key::try_from("product-launch").expect("a key")),
            opened_at: at("09:12:00"),
            evidence: Evidence::Rates(rates),
            examples: Vec::new(),
        }
    }

    #[test]
    fn a_quiet_evening_fits_on_a_few_lines() {
        assert_eq!(
            told(&quiet()),
            "flywheel, 2026-11-27 20:30:00 (UTC)\n\
             Actions      not stopped\n\
             Policy       0123456789abcdef: decisions are carried out\n\
             Findings     none\n\
             Syncs        none\n\
             Experiments  none\n\
             Timeouts     none\n\
             Outcomes     none\n\
             Approvals    none\n\
             Holds        none\n\
             Caps         this hour 0 of 120 job starts, 0 of 50000 documents sent directly\n\
             Queues       messages in all of them: 0, and given up: 0"
        );
    }

    #[test]
    fn says_who_stopped_all_actions() {
        let control = Control { by: "mara".to_owned(), why: "bad release".to_owned(), at: at("19:00:00") };
        let words = told(&Now { stopped: Part::Read(Some(control)), ..quiet() });
        assert!(words.contains("STOPPED by mara since 2026-11-27 19:00 (bad release): nothing acts"), "{words}");
        assert!(words.contains("next: `flywheel resume`") && words.contains("once actions go on"), "{words}");
    }

    #[test]
    fn what_cannot_be_read_says_so_and_hides_nothing_else() {
        let unread = || "AccessDenied: not yours".to_owned();
        let now = Now { findings: Part::Unread { unread: unread() }, caps: Part::Unread { unread: unread() }, ..quiet() };
        let words = told(&now);
        assert!(words.contains("Findings     not known: AccessDenied: not yours\n") && words.contains("\nQueues "), "{words}");
        let json = serde_json::to_value(&now).expect("JSON");
        assert_eq!((&json["findings"]["unread"], &json["stopped"]), (&"AccessDenied: not yours".into(), &serde_json::Value::Null));
    }

    #[test]
    fn a_finding_stands_with_its_numbers_and_where_to_go_on() {
        let words = told(&Now { findings: Part::Read(vec![failing()]), ..quiet() });
        assert!(
            words.contains(
                "failed_responses of product-launch: 18.2% of 1320 since 2026-11-27 08:00, 4.0% before; opened 2026-11-27 09:12\n    \
                 next: `flywheel explain rate/failed_responses/product-launch`"
            ),
            "{words}"
        );
    }

    #[test]
    fn a_finding_everywhere_names_no_key() {
        let everywhere = Finding { scope: Scope::Everywhere, ..failing() };
        assert!(finding_told(&everywhere).starts_with("failed_responses everywhere: "), "{}", finding_told(&everywhere));
    }

    #[test]
    fn a_screen_is_bounded_and_the_json_is_not() {
        let now = Now { findings: Part::Read(vec![failing(); SHOWN + 3]), ..quiet() };
        assert!(told(&now).contains("  and 3 more: --json shows all"));
        assert_eq!(serde_json::to_value(&now).expect("JSON")["findings"].as_array().map(Vec::len), Some(SHOWN + 3));
    }

    #[test]
    fn holds_are_counted_by_loop_and_reason_the_latest_first() {
        let events = [
            held("DS11111111", "10:00:00", HoldReason::Settling),
            held("DS22222222", "11:00:00", HoldReason::Settling),
            held("DS11111111", "12:00:00", HoldReason::JobRunning),
        ];
        let holds = holds(&events);
        let told: Vec<_> = holds.iter().map(|held| (held.of, held.times, held.subject.as_str())).collect();
        let knowledge = Some(Loop::Knowledge);
        assert_eq!(told, [(knowledge, 1, "data-source/KB12345678/DS11111111"), (knowledge, 2, "data-source/KB12345678/DS22222222")]);
    }

    #[test]
    fn counters_of_an_earlier_hour_are_none_of_this_one() {
        let policy = Policy::parse(POLICY).expect("valid");
        let account = Account { hour: Hour::of(at("20:30:00")).0, hour_starts: 7, hour_documents: 9, ..Account::default() };
        assert_eq!(caps(&account, &policy, at("20:59:59")).job_starts, Used { used: 7, cap: 120 });
        assert_eq!(caps(&account, &policy, at("21:00:00")).direct_documents, Used { used: 0, cap: 50_000 });
    }

    #[test]
    fn a_cap_that_is_reached_says_which_field_holds() {
        let policy = Policy::parse(POLICY).expect("valid");
        let account = Account { hour: Hour::of(at("20:30:00")).0, hour_starts: 120, ..Account::default() };
        let words = told(&Now { caps: Part::Read(caps(&account, &policy, at("20:30:00"))), ..quiet() });
        assert!(words.contains("raise sync.job_starts_per_hour") && !words.contains("direct_documents_per_hour"), "{words}");
    }

    #[test]
    fn a_job_that_runs_and_a_data_source_that_is_set_aside_are_told_and_an_idle_one_is_not() {
        let idle = Source::new(DataSourceId::new("KB12345678", "DS12345678"));
        assert!(synchronising(&idle).is_none());
        let work = Work::Running { job: "J1".to_owned(), covers: at("09:00:00"), poll_at: at("09:00:10"), decision: Id::of("d", &[]) };
        let running = Source { work, last_start: Some(at("09:00:00")), ..idle.clone() };
        assert_eq!(synchronising(&running).map(|one| one.state), Some("ingestion job J1 runs since 2026-11-27 09:00".to_owned()));
        let quarantine = flywheel_engine::sync::Quarantine { reason: "no such bucket".to_owned(), changes: 1, policy: "0".to_owned() };
        let words = told(&Now {
            synchronising: Part::Read(synchronising(&Source { quarantine: Some(quarantine), ..idle }).into_iter().collect()),
            ..quiet()
        });
        assert!(words.contains("set aside: no such bucket\n    next: `flywheel explain data-source/KB12345678/DS12345678`"), "{words}");
    }

    #[test]
    fn an_action_whose_effect_is_measured_stands_with_its_rate() {
        let awaited = Awaited {
            action: Id::of("decision.refresh", &["1"]),
            what: ActionKind::Refresh,
            metric: Metric::FailedResponses,
            scope: Scope::Key(Key::try_from("launch").expect("a key")),
            since: at("08:00:00"),
            acted_at: at("12:00:00"),
            experiment: None,
        };
        let words = told(&Now { outcomes: Part::Read(vec![awaited]), ..quiet() });
        let line = "Outcomes     1 awaited\n  synchronising the knowledge bases, by failed_responses of launch, since 2026-11-27 12:00";
        assert!(words.contains(line), "{words}");
    }

    #[test]
    fn queues_with_something_in_them_are_named_and_dead_letters_say_what_to_do() {
        let words = told(&Now { queues: Part::Read(vec![deep("signals", 3, 2), deep("looks", 0, 0)]), ..quiet() });
        assert!(words.contains("Queues       messages in all of them: 3, and given up: 2\n  signals: 3 waiting"), "{words}");
        assert!(words.contains("next: read them in signals-dead-letters") && !words.contains("looks"), "{words}");
    }
}
