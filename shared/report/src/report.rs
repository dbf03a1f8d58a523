//! What happened in a period: each loop in numbers, and what waits for a person.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_model::{
    Answer, Body, CaptureHoldReason, Event, ExperimentHoldReason, Fate, Finding, Id, Loop, Stage, SuiteChangeKind, TimeoutAnswer,
    TimeoutPurpose,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::describe::{describe, rate_of};
use crate::lineage::Lineage;
use crate::standing::{hold_reason, is_dry_run, is_undone};
use crate::words::{count, shell};

/// What is told of a period.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// The period's beginning.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// Its events in the order of time, each once.
    pub events: Vec<&'a Event>,
    /// Which came of which.
    pub lineage: Lineage<'a>,
    /// The loops in numbers.
    pub loops: BTreeMap<Loop, Numbers>,
    /// What waits for a person.
    pub needs: Vec<Need>,
}

/// A loop in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// What was seen, one by one; what was counted only is in no loop.
    pub signals: u64,
    /// Findings that were opened …
    pub findings: u64,
    /// … and findings that are over.
    pub closed: u64,
    /// Actions that were decided to be carried out …
    pub actions: u64,
    /// … and those that were decided only.
    pub dry_runs: u64,
    /// How often each reason not to act was given.
    pub holds: BTreeMap<String, u64>,
    /// What came of actions.
    pub outcomes: u64,
    /// What Flywheel had changed and was taken back.
    pub undone: u64,
}

impl Numbers {
    /// How often it was decided not to act.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.holds.values().sum()
    }

    fn add(&mut self, event: &Event) {
        match Stage::of(event) {
            Stage::Signal => self.signals += 1,
            Stage::Finding => {
                self.findings += u64::from(matches!(event.body, Body::FindingOpened(_)));
                self.closed += u64::from(matches!(event.body, Body::FindingClosed(_)));
            }
            Stage::Action if is_dry_run(event) => self.dry_runs += 1,
            Stage::Action => self.actions += 1,
            Stage::Hold => *self.holds.entry(hold_reason(event).unwrap_or_default()).or_default() += 1,
            Stage::Outcome => self.outcomes += 1,
            Stage::Receipt | Stage::Control => {}
        }
        self.undone += u64::from(is_undone(event));
    }
}

/// Something that a person has to look at, or to decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// In which loop; none of what concerns all of them.
    #[serde(rename = "loop", default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Loop>,
    /// What it is.
    pub what: String,
    /// The command, or the deed, that is next.
    pub next: String,
    /// The event that tells of it, the last one of several.
    pub event: Id,
}

/// A report in numbers, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The period's beginning.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// Entries of the ledger in it.
    pub entries: usize,
    /// The loops.
    pub loops: BTreeMap<Loop, Numbers>,
    /// Batches of signals that were counted.
    pub batches: u64,
    /// Inputs that were refused.
    pub refused: u64,
    /// What waits for a person.
    pub needs: Vec<Need>,
}

impl<'a> Report<'a> {
    /// The report of these events on a period.
    #[must_use]
    pub fn of(events: &'a [Event], from: Timestamp, to: Timestamp) -> Self {
        let lineage = Lineage::of(events);
        let mut known = BTreeSet::new();
        let mut events: Vec<&Event> = events.iter().filter(|event| known.insert(&event.id)).collect();
        events.sort_by(|one, other| one.by_time(other));
        let mut loops: BTreeMap<Loop, Numbers> = Loop::ALL.into_iter().map(|one| (one, Numbers::default())).collect();
        for event in &events {
            if let Some(numbers) = Loop::of(event).and_then(|of| loops.get_mut(&of)) {
                numbers.add(event);
            }
        }
        let needs = needs(&events, &lineage);
        Self { from, to, events, lineage, loops, needs }
    }

    /// The report in numbers.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            from: self.from,
            to: self.to,
            entries: self.events.len(),
            loops: self.loops.clone(),
            batches: self.many(|body| matches!(body, Body::SignalsKept(_))),
            refused: self.many(|body| matches!(body, Body::InputRefused(_))),
            needs: self.needs.clone(),
        }
    }

    /// The events of a loop, in the order of time.
    pub fn of_loop(&self, of: Loop) -> impl Iterator<Item = &'a Event> {
        self.events.iter().copied().filter(move |event| Loop::of(event) == Some(of))
    }

    /// How many events there are of a kind.
    pub(crate) fn many(&self, is_it: impl Fn(&Body) -> bool) -> u64 {
        self.events.iter().filter(|event| is_it(&event.body)).count() as u64
    }
}

/// The last event about each thing, for those that a later event of the same thing answers.
fn last_of<'a, T: Ord>(events: &[&'a Event], thing: impl Fn(&'a Event) -> Option<T>) -> Vec<&'a Event> {
    let mut last = BTreeMap::new();
    for event in events {
        if let Some(thing) = thing(event) {
            last.insert(thing, *event);
        }
    }
    let mut last: Vec<&Event> = last.into_values().collect();
    last.sort_by(|one, other| one.by_time(other));
    last
}

/// What waits for a person, the most urgent first.
fn needs(events: &[&Event], lineage: &Lineage<'_>) -> Vec<Need> {
    let mut needs = Vec::new();
    stopped(events, &mut needs);
    decisions(events, &mut needs);
    findings(events, lineage, &mut needs);
    refusals(events, &mut needs);
    upkeep(events, &mut needs);
    needs
}

fn tell(needs: &mut Vec<Need>, event: &Event, what: String, next: impl Into<String>) {
    needs.push(Need { of: Loop::of(event), what, next: next.into(), event: event.id.clone() });
}

fn stopped(events: &[&Event], needs: &mut Vec<Need>) {
    let said = |event: &&&Event| matches!(event.body, Body::ActionsStopped(_) | Body::ActionsResumed(_));
    let last = events.iter().rev().find(said);
    if let Some(event) = last.filter(|event| matches!(event.body, Body::ActionsStopped(_))) {
        tell(needs, event, format!("All actions are stopped. {}", describe(event)), "flywheel resume");
    }
}

/// The approval that an event tells of.
const fn approval_of(event: &Event) -> Option<&Id> {
    match &event.body {
        Body::ApprovalRequested(request) | Body::ApprovalExpired(request) => Some(&request.approval),
        Body::ApprovalGranted(decided) | Body::ApprovalRejected(decided) => Some(&decided.request.approval),
        _ => None,
    }
}

/// What only a person decides.
fn decisions(events: &[&Event], needs: &mut Vec<Need>) {
    let mut asked = BTreeSet::new();
    for event in last_of(events, approval_of) {
        if let Body::ApprovalRequested(request) = &event.body {
            asked.insert(&event.subject);
            tell(needs, event, describe(event), format!("flywheel approve {}", request.approval));
        }
    }
    for event in events.iter().filter(|event| matches!(event.body, Body::Escalated(_))) {
        tell(needs, event, describe(event), format!("flywheel explain {}", event.id));
    }
    for event in last_of(events, |event| event.subject.starts_with("experiment/").then_some(&event.subject)) {
        if let Body::ExperimentHeld(hold) = &event.body
            && let Some(experiment) = &hold.experiment
        {
            match hold.reason {
                ExperimentHoldReason::Approval => {
                    tell(needs, event, describe(event), format!("flywheel experiments start {}", shell(experiment.as_str())));
                }
                ExperimentHoldReason::Promotion if !asked.contains(&event.subject) => {
                    tell(needs, event, describe(event), format!("flywheel experiments promote {}", shell(experiment.as_str())));
                }
                _ => {}
            }
        }
    }
    for event in last_of(events, |event| matches!(event.body, Body::TimeoutDecided(_)).then_some(&event.subject)) {
        if let Body::TimeoutDecided(change) = &event.body
            && change.purpose == TimeoutPurpose::Lower
        {
            tell(needs, event, describe(event), format!("flywheel timeouts explain {}", shell(change.timeout.as_str())));
        }
    }
    for event in last_of(events, |event| matches!(event.body, Body::PreflightMade(_)).then_some(&event.subject)) {
        if let Body::PreflightMade(run) = &event.body
            && !run.may_start
        {
            tell(needs, event, describe(event), format!("flywheel preflight --service {}", shell(&run.service)));
        }
    }
}

/// The finding that an event tells of.
pub(crate) const fn finding_of(event: &Event) -> Option<&Finding> {
    match &event.body {
        Body::FindingOpened(finding) | Body::FindingUpdated(finding) | Body::FindingClosed(finding) => Some(finding),
        _ => None,
    }
}

/// Findings that are not over, and what was done about them.
fn findings(events: &[&Event], lineage: &Lineage<'_>, needs: &mut Vec<Need>) {
    for event in last_of(events, |event| finding_of(event).map(|finding| &finding.finding)) {
        let Some(finding) = finding_of(event).filter(|_| !matches!(event.body, Body::FindingClosed(_))) else { continue };
        let opening = lineage.get(&Finding::opening(&finding.finding)).unwrap_or(event);
        let acted =
            lineage.story(opening, STORY).into_iter().filter(|event| Stage::of(event) == Stage::Action && !is_dry_run(event)).count();
        let acted =
            if acted == 0 { "Nothing was done about it yet".to_owned() } else { format!("{} so far", count(acted as u64, "action")) };
        let what = format!("Not over: {}. {acted}.", rate_of(finding.metric, &finding.scope));
        tell(needs, event, what, format!("flywheel explain {}", event.id));
    }
}

/// Events of a finding's story that are looked through.
const STORY: usize = 200;

/// What could not be used, done or indexed: each kind of it once, with the last event as its example.
fn refusals(events: &[&Event], needs: &mut Vec<Need>) {
    let mut group = |events: Vec<&Event>, thing: &str, what: &str, next: &str| {
        if let Some(last) = events.last() {
            tell(needs, last, format!("{} {what}. The last: {}", count(events.len() as u64, thing), describe(last)), next);
        }
    };
    let all = |is_it: &dyn Fn(&Body) -> bool| events.iter().copied().filter(|event| is_it(&event.body)).collect::<Vec<_>>();
    let settled = last_of(events, |event| match &event.body {
        Body::DocumentSettled(outcome) => Some((&event.subject, &outcome.data_source)),
        _ => None,
    });
    let quarantined = settled.into_iter().filter(|event| is_quarantined(event)).collect();
    group(quarantined, "document", "cannot be indexed", "mend the document and upload it again");
    let refused = all(&|body| matches!(body, Body::SyncAnswered(receipt) if matches!(receipt.answer, Answer::Refused { .. })));
    group(refused, "request", "refused by Bedrock", "flywheel ledger list --kind receipt.sync");
    let unchanged = all(&|body| matches!(body, Body::TimeoutAnswered(receipt) if receipt.answer != TimeoutAnswer::Made));
    group(unchanged, "limit", "could not be changed", "flywheel timeouts list");
    let unread = all(&|body| matches!(body, Body::InputRefused(_)));
    group(unread, "input", "refused, nothing of it counts", "flywheel ledger list --kind signal.refused");
    let full = all(&|body| matches!(body, Body::CaptureHeld(hold) if hold.reason == CaptureHoldReason::Full));
    group(full, "hold", "on capturing, since there is no room", "flywheel cases list");
}

fn is_quarantined(event: &Event) -> bool {
    matches!(&event.body, Body::DocumentSettled(outcome) if matches!(outcome.fate, Fate::Quarantined { .. }))
}

/// What is good to be looked through at some time.
fn upkeep(events: &[&Event], needs: &mut Vec<Need>) {
    for event in last_of(events, |event| matches!(event.body, Body::TestsKept(_)).then_some(&event.subject)) {
        if let Body::TestsKept(receipt) = &event.body
            && let Some(proposed) = receipt.tests.get("proposed").filter(|many| **many > 0)
        {
            let what = format!("{} of {} proposed, and counts once activated.", count(*proposed, "test"), receipt.intent);
            tell(needs, event, what, format!("flywheel tests list --intent {} --state proposed", shell(receipt.intent.as_str())));
        }
    }
    for event in last_of(events, |event| matches!(event.body, Body::TestsDecided(_)).then_some(&event.subject)) {
        if let Body::TestsDecided(decision) = &event.body
            && decision.changes.iter().any(|change| change.what == SuiteChangeKind::RetirementProposed)
        {
            tell(needs, event, describe(event), format!("flywheel tests list --intent {}", shell(decision.intent.as_str())));
        }
    }
    let captured: Vec<(&Event, &Id)> = events
        .iter()
        .filter_map(|event| match &event.body {
            Body::CaseCaptured(captured) => Some((*event, &captured.question)),
            _ => None,
        })
        .collect();
    if let Some((last, _)) = captured.last() {
        let questions = captured.iter().map(|(_, question)| question).collect::<BTreeSet<_>>().len() as u64;
        let what = format!(
            "{} captured from {}; a person confirms what is worth keeping.",
            count(questions, "question"),
            count(captured.len() as u64, "retrieval")
        );
        tell(needs, last, what, "flywheel cases list");
    }
}
