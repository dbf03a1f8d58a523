//! What governance asks for: what was changed, who decided it, what was taken back, what people said.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use flywheel_model::{Body, Event, Id, Loop, Stage};
use jiff::Timestamp;
use serde::Serialize;

use crate::describe::describe;
use crate::lineage::Lineage;
use crate::report::{Numbers, Report};
use crate::standing::{changes_application, is_dry_run, is_undone, person};
use crate::words::{count, listed, number, quoted, shortened, time};

/// Who decides where no person is named.
const POLICY: &str = "Flywheel, within the policy";

/// Characters of a refusal's reason that tell it from others.
const REASON: usize = 80;

/// Reasons of refusals that are told one by one.
const REASONS: usize = 20;

/// The document of a period.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Audit {
    /// The period's beginning.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// Entries of the ledger in it.
    pub entries: usize,
    /// What they are about.
    pub subjects: usize,
    /// The loops in numbers.
    pub loops: BTreeMap<Loop, Numbers>,
    /// What people said.
    pub people: Vec<Entry>,
    /// What people were asked, and what was left to them.
    pub asked: Vec<Entry>,
    /// Changes of the application by loop and kind.
    pub changes: BTreeMap<Loop, BTreeMap<String, Vec<Entry>>>,
    /// What was taken back.
    pub undone: Vec<Entry>,
    /// What was decided only, by kind.
    pub dry_runs: BTreeMap<String, u64>,
    /// Inputs that were refused, by reason.
    pub refused: BTreeMap<String, u64>,
}

/// One entry of the ledger, as a document tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What is in the ledger under this id.
    pub event: Id,
    /// The kind of it.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// What it says, in a sentence.
    pub what: String,
    /// Who decided it: a person, or Flywheel within the policy that people put in force.
    pub decided_by: String,
}

impl Audit {
    /// The document of what was reported.
    #[must_use]
    pub fn of(report: &Report<'_>) -> Self {
        let entry = |event: &Event| Entry {
            at: event.at,
            event: event.id.clone(),
            kind: event.kind().to_owned(),
            subject: event.subject.clone(),
            what: describe(event),
            decided_by: decided_by(event, &report.lineage),
        };
        let told = |is_it: &dyn Fn(&Event) -> bool| report.events.iter().filter(|event| is_it(event)).map(|event| entry(event)).collect();
        let mut changes = BTreeMap::<Loop, BTreeMap<String, Vec<Entry>>>::new();
        for event in report.events.iter().filter(|event| changes_application(event)) {
            if let Some(of) = Loop::of(event) {
                changes.entry(of).or_default().entry(event.kind().to_owned()).or_default().push(entry(event));
            }
        }
        let mut dry_runs = BTreeMap::<String, u64>::new();
        let mut refused = BTreeMap::<String, u64>::new();
        for event in &report.events {
            if is_dry_run(event) {
                *dry_runs.entry(event.kind().to_owned()).or_default() += 1;
            }
            if let Body::InputRefused(refusal) = &event.body {
                *refused.entry(shortened(&quoted(&refusal.reason), REASON)).or_default() += 1;
            }
        }
        Self {
            from: report.from,
            to: report.to,
            entries: report.events.len(),
            subjects: report.events.iter().map(|event| &event.subject).collect::<BTreeSet<_>>().len(),
            loops: report.loops.clone(),
            people: told(&|event| Stage::of(event) == Stage::Control || person(event).is_some()),
            asked: told(&asks_people),
            changes,
            undone: told(&is_undone),
            dry_runs,
            refused,
        }
    }

    /// The document as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "# What Flywheel did from {} to {} (UTC)\n\n{} about {}. Each line names its entry of the ledger: `flywheel explain ID` \
             tells its whole story, `flywheel ledger verify` checks that nobody changed it.\n\n",
            time(self.from),
            time(self.to),
            count(self.entries as u64, "entry"),
            count(self.subjects as u64, "subject"),
        );
        text.push_str(
            "| loop | findings | over | actions | decided only | held back | outcomes | undone |\n|---|--:|--:|--:|--:|--:|--:|--:|\n",
        );
        for (of, numbers) in &self.loops {
            let cells =
                [numbers.findings, numbers.closed, numbers.actions, numbers.dry_runs, numbers.held(), numbers.outcomes, numbers.undone];
            let _ = writeln!(text, "| {of} | {} |", cells.map(number).join(" | "));
        }
        section(&mut text, 2, "What people decided", &self.people);
        section(&mut text, 2, "What people were asked", &self.asked);
        text.push_str("\n## Changes of the application\n");
        if self.changes.is_empty() {
            text.push_str("\nNone.\n");
        }
        for (of, kinds) in &self.changes {
            for (kind, entries) in kinds {
                section(&mut text, 3, &format!("{of}: {kind} ({})", number(entries.len() as u64)), entries);
            }
        }
        section(&mut text, 2, "Taken back", &self.undone);
        text.push_str("\n## Decided only\n\n");
        let dry_runs = listed(self.dry_runs.iter().map(|(kind, many)| format!("{} {kind}", number(*many))));
        let _ = writeln!(text, "{}", if dry_runs.is_empty() { "Nothing.".to_owned() } else { format!("{dry_runs}.") });
        text.push_str("\n## Refused inputs\n\n");
        if self.refused.is_empty() {
            text.push_str("None.\n");
        }
        let mut reasons: Vec<_> = self.refused.iter().collect();
        reasons.sort_by(|one, other| other.1.cmp(one.1).then_with(|| one.0.cmp(other.0)));
        for (reason, many) in reasons.iter().take(REASONS) {
            let _ = writeln!(text, "- {}: {}", number(**many), plain(reason));
        }
        if let Some(more) = reasons.len().checked_sub(REASONS).filter(|more| *more > 0) {
            let _ = writeln!(text, "- and {}", count(more as u64, "other reason"));
        }
        text.push_str("\n## Why it was held back\n\n");
        let mut held = false;
        for (of, numbers) in &self.loops {
            for (reason, many) in &numbers.holds {
                held = true;
                let _ = writeln!(text, "- {of}: {} {}", number(*many), plain(reason));
            }
        }
        if !held {
            text.push_str("It never was.\n");
        }
        text
    }
}

/// Whether it waits for a person, or is left to one.
const fn asks_people(event: &Event) -> bool {
    matches!(event.body, Body::ApprovalRequested(_) | Body::ApprovalExpired(_) | Body::Escalated(_))
}

/// The person that an event, or one that it came of, names; otherwise whoever put the policy in force.
fn decided_by(event: &Event, lineage: &Lineage<'_>) -> String {
    let named = person(event).or_else(|| lineage.causes(event).find_map(person));
    named.map_or_else(|| POLICY.to_owned(), quoted)
}

fn section(text: &mut String, level: usize, heading: &str, entries: &[Entry]) {
    let _ = write!(text, "\n{} {heading}\n\n", "#".repeat(level));
    if entries.is_empty() {
        text.push_str("None.\n");
    }
    for entry in entries {
        let _ = writeln!(text, "- {} {} Decided by: {}. `{}`", time(entry.at), plain(&entry.what), plain(&entry.decided_by), entry.event);
    }
}

/// Text that nothing in it makes into markup.
fn plain(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut plain, char| {
        match char {
            '<' => plain.push_str("&lt;"),
            '&' => plain.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '!' | '~' => plain.extend(['\\', char]),
            other => plain.push(other),
        }
        plain
    })
}
