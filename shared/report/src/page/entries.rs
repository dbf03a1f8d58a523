//! The ledger's entries, each with its way back to what it came of and on to what it led to.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_model::{Event, Id, Loop, Stage};
use maud::{Markup, html};

use crate::describe::{describe, explanation};
use crate::report::Report;
use crate::standing::{is_dry_run, is_undone};
use crate::words::{count, listed, number, time};

/// Entries of each stage of each loop that are shown, the newest.
pub(super) const EACH: usize = 25;

/// Causes and effects of an entry that are shown.
const WAYS: usize = 6;

/// The entries of a loop, or of what is in none.
struct Group<'a> {
    of: Option<Loop>,
    events: Vec<&'a Event>,
    /// How many of each stage are not shown.
    left_out: BTreeMap<Stage, u64>,
}

/// The entries that stand on the page.
pub(super) struct Shown<'a> {
    groups: Vec<Group<'a>>,
    ids: BTreeSet<&'a Id>,
}

impl<'a> Shown<'a> {
    pub(super) fn of(report: &Report<'a>) -> Self {
        let wanted: BTreeSet<&Id> = report.needs.iter().map(|need| &need.event).collect();
        let mut groups = Vec::new();
        for of in Loop::ALL.map(Some).into_iter().chain([None]) {
            let mut many = BTreeMap::<Stage, usize>::new();
            let mut left_out = BTreeMap::<Stage, u64>::new();
            let mut events = Vec::new();
            for event in report.events.iter().rev().filter(|event| Loop::of(event) == of) {
                let stage = Stage::of(event);
                let place = many.entry(stage).or_default();
                *place += 1;
                if *place <= EACH || wanted.contains(&event.id) {
                    events.push(*event);
                } else {
                    *left_out.entry(stage).or_default() += 1;
                }
            }
            groups.push(Group { of, events, left_out });
        }
        let ids = groups.iter().flat_map(|group| &group.events).map(|event| &event.id).collect();
        Self { groups, ids }
    }

    /// Where on the page an event is told: at its entry, or at those of its loop.
    pub(super) fn address(&self, event: &Event) -> String {
        if self.ids.contains(&event.id) { format!("#{}", anchor(&event.id)) } else { format!("#entries-{}", name(Loop::of(event))) }
    }

    /// Where on the page an id is told, if it is.
    pub(super) fn find(&self, id: &Id) -> Option<String> {
        self.ids.contains(id).then(|| format!("#{}", anchor(id)))
    }
}

/// Ids are of hexadecimal digits, and an anchor must not begin with one.
fn anchor(id: &Id) -> String {
    format!("e-{id}")
}

const fn name(of: Option<Loop>) -> &'static str {
    match of {
        Some(of) => of.as_str(),
        None => "all",
    }
}

pub(super) fn entries(report: &Report<'_>, shown: &Shown<'_>) -> Markup {
    html! {
        @for Group { of, events, left_out } in &shown.groups {
            section aria-labelledby=(format!("entries-{}", name(*of))) {
                h3 id=(format!("entries-{}", name(*of))) tabindex="-1" { (of.map_or("Entries of all loops".to_owned(), |of| format!("Entries of {}", of.as_str()))) }
                @if events.is_empty() { p.quiet { "No entries." } } @else {
                    ol.entries { @for event in events { (entry(event, report, shown)) } }
                }
                @if !left_out.is_empty() {
                    p.quiet {
                        "And " (listed(left_out.iter().map(|(stage, many)| format!("{} older {}", number(*many), stage.plural()))))
                        ", which are in the ledger: " code { "flywheel ledger list" } "."
                    }
                }
            }
        }
    }
}

fn entry(event: &Event, report: &Report<'_>, shown: &Shown<'_>) -> Markup {
    let stage = Stage::of(event);
    let causes: Vec<&Event> = report.lineage.causes(event).collect();
    let unknown = event.causes.len() - causes.len();
    let effects = report.lineage.effects(&event.id);
    html! {
        li.entry id=(anchor(&event.id)) tabindex="-1" {
            p.when {
                time datetime=(event.at) { (time(event.at)) }
                " " span.badge.(stage.as_str()) { (stage.as_str()) }
                @if is_undone(event) { " " span.badge.undone { "undone" } }
                @if is_dry_run(event) { " " span.badge.dry { "dry run" } }
            }
            p.sentence { (describe(event)) }
            @if let Some(text) = explanation(event) {
                details { summary { "Why, with the numbers" } p { (text) } }
            }
            p.ways { (ways("Came of", &causes, unknown, shown)) (ways("Led to", effects, 0, shown)) }
            p.ids { code { (event.kind()) } " " code { (event.subject) } " " code { (event.id) } }
        }
    }
}

fn ways(word: &str, events: &[&Event], unknown: usize, shown: &Shown<'_>) -> Markup {
    if events.is_empty() && unknown == 0 {
        return html! {};
    }
    let linked: Vec<(&Event, String)> = events.iter().filter_map(|event| Some((*event, shown.find(&event.id)?))).take(WAYS).collect();
    let rest = events.len() + unknown - linked.len();
    html! {
        span.way {
            b { (word) } " "
            @for (place, (event, address)) in linked.iter().enumerate() {
                @if place > 0 { ", " }
                a href=(address) { (event.kind()) " " (event.at.strftime("%H:%M:%S")) }
            }
            @if rest > 0 {
                @if linked.is_empty() { (count(rest as u64, "entry")) " not on this page" }
                @else { " and " (number(rest as u64)) " more" }
            }
        }
        " "
    }
}
