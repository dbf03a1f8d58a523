//! The report as one page, which needs nothing else: no network, no script.

mod chart;
mod entries;
mod timeline;

use flywheel_model::{Body, Event, Loop, Stage};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::chart::{chart, holds, image};
use self::entries::{EACH, Shown, entries};
use self::timeline::timeline;
use crate::describe::{describe, rate_of};
use crate::pictures::pictures;
use crate::report::{Numbers, Report, Summary, finding_of};
use crate::words::{count, minute, number, sentence_case, shortened};

const STYLE: &str = include_str!("style.css");

/// Of each loop, pictures that are drawn, pictures of events that are shown, and reasons to hold back that are told one by one.
const PICTURES: usize = 8;
const IMAGES: usize = 3;
const REASONS: usize = 12;

/// Findings of a loop whose story is told, events that it is followed for, parts of it that are told, and characters of each.
const STORIES: usize = 4;
const FOLLOWED: usize = 200;
const PARTS: usize = 10;
const PART: usize = 240;

/// Bytes of a picture that an event may carry.
const LARGEST: usize = 100_000;

/// Things that wait for a person and are told one by one.
const NEEDS: usize = 20;

/// Characters of what waits, in its line.
const NEED: usize = 420;

/// The page: the period in a few sentences, what waits for a person, the time as lanes, each loop before and after, and the
/// entries with their ways from cause to effect. However much happened, it stays so large that a browser shows it at once.
#[must_use]
pub fn page(report: &Report<'_>) -> String {
    let shown = Shown::of(report);
    let summary = report.summary();
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:";
                title { "Flywheel: " (minute(report.from)) " to " (minute(report.to)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to what happened" }
                header {
                    p.brand { "Flywheel" }
                    h1 { (headline(report, &summary)) }
                    p.period {
                        time datetime=(report.from) { (minute(report.from)) } " to " time datetime=(report.to) { (minute(report.to)) }
                        " UTC, " (number(summary.entries as u64)) " entries of the ledger"
                    }
                    nav aria-label="On this page" {
                        ul {
                            li { a href="#people" { "For a person" } }
                            li { a href="#time" { "What happened when" } }
                            @for of in Loop::ALL { li { a href=(format!("#{}", of.as_str())) { (of.title()) } } }
                            li { a href="#ledger" { "Ledger" } }
                        }
                    }
                }
                main id="main" tabindex="-1" {
                    (people(report, &shown))
                    section aria-labelledby="time" {
                        h2 id="time" tabindex="-1" { "What happened when" }
                        p.quiet { "Each lane from the top: signals, findings, actions and what was held back, outcomes. Every mark leads to its entry." }
                        a.skip.inline href="#knowledge" { "Skip the marks" }
                        (timeline(report, &shown))
                    }
                    @for (of, numbers) in &report.loops { (of_loop(*of, numbers, report, &shown)) }
                    section aria-labelledby="ledger" {
                        h2 id="ledger" tabindex="-1" { "The ledger" }
                        p.quiet { "The newest entries first, at most " (EACH) " of each stage of each loop. " code { "flywheel explain ID" } " tells the whole story of one." }
                        (entries(report, &shown))
                    }
                }
                footer {
                    p { "Made from the ledger alone. " code { "flywheel ledger verify" } " checks that nobody changed it." }
                }
            }
        }
    };
    markup.into_string()
}

/// The period in one sentence.
fn headline(report: &Report<'_>, summary: &Summary) -> String {
    let sum = |of: fn(&Numbers) -> u64| summary.loops.values().map(of).sum::<u64>();
    let (findings, closed, actions, undone) =
        (sum(|one| one.findings), sum(|one| one.closed), sum(|one| one.actions), sum(|one| one.undone));
    let worse = match (findings, closed) {
        (0, 0) => "Nothing got worse".to_owned(),
        (0, _) => format!("Nothing new got worse, {} over", are(closed)),
        (_, 0) => format!("{} got worse", count(findings, "thing")),
        _ => format!("{} got worse, {} over", count(findings, "thing"), are(closed)),
    };
    let acted = match actions {
        0 => "nothing was done".to_owned(),
        _ => format!("{} made", if actions == 1 { "1 change was".to_owned() } else { format!("{} changes were", number(actions)) }),
    };
    let back = if undone == 0 { String::new() } else { format!(", {} taken back", number(undone)) };
    let waits = match report.needs.len() {
        0 => "Nothing waits for you.".to_owned(),
        1 => "1 thing waits for a person.".to_owned(),
        many => format!("{many} things wait for a person."),
    };
    format!("{worse}; {acted}{back}. {waits}")
}

fn are(many: u64) -> String {
    if many == 1 { "1 is".to_owned() } else { format!("{} are", number(many)) }
}

fn people(report: &Report<'_>, shown: &Shown<'_>) -> Markup {
    let rest = report.needs.len().saturating_sub(NEEDS);
    html! {
        section.people aria-labelledby="people" {
            h2 id="people" tabindex="-1" { "For a person" }
            @if report.needs.is_empty() { p { "Nothing waits: what was to be done is done, or is on its way." } } @else {
                ol.needs {
                    @for need in report.needs.iter().take(NEEDS) {
                        li {
                            p {
                                span.badge.of { (need.of.map_or("all loops", Loop::as_str)) } " "
                                (shortened(&need.what, NEED))
                                @if let Some(address) = shown.find(&need.event) { " " a href=(address) { "The entry" } }
                            }
                            p.next { span.quiet { "next: " } code { (need.next) } }
                        }
                    }
                }
                @if rest > 0 { p.quiet { "And " (number(rest as u64)) " more: " code { "flywheel report --json" } " has all." } }
            }
        }
    }
}

fn of_loop(of: Loop, numbers: &Numbers, report: &Report<'_>, shown: &Shown<'_>) -> Markup {
    let pictures = pictures(report, of);
    let rest = pictures.len().saturating_sub(PICTURES);
    let images: Vec<(&Event, &str)> = report.of_loop(of).filter_map(|event| Some((event, drawn(event)?))).collect();
    html! {
        section.loop aria-labelledby=(of.as_str()) {
            h2 id=(of.as_str()) tabindex="-1" { (of.title()) }
            p.purpose { (of.purpose()) }
            dl.numbers {
                @for (word, many) in [("signals", numbers.signals), ("findings", numbers.findings), ("over", numbers.closed), ("actions", numbers.actions), ("held back", numbers.held()), ("outcomes", numbers.outcomes), ("undone", numbers.undone)] {
                    div.zero[many == 0] { dt { (word) } dd { (number(many)) } }
                }
            }
            @if numbers.dry_runs > 0 { p { (count(numbers.dry_runs, "action")) " decided only: the policy said dry run, or a person had stopped all actions." } }
            @if !pictures.is_empty() {
                h3 { "Before and after" }
                div.charts {
                    @for (place, picture) in pictures.iter().take(PICTURES).enumerate() {
                        (chart(picture, &format!("{}-{place}", of.as_str()), shown))
                    }
                }
                @if rest > 0 { p.quiet { "And " (number(rest as u64)) " older." } }
            }
            (stories(of, report, shown))
            @for (event, svg) in images.iter().rev().take(IMAGES) {
                figure.carried {
                    figcaption { (describe(event)) @if let Some(address) = shown.find(&event.id) { " " a href=(address) { "The entry" } "." } }
                    (image(svg, &describe(event)))
                }
            }
            @if !numbers.holds.is_empty() { (holds(&numbers.holds, REASONS)) }
            p { a href=(format!("#entries-{}", of.as_str())) { "All entries of this loop" } }
        }
    }
}

/// What came of each finding, from its opening on, in the order of time.
fn stories(of: Loop, report: &Report<'_>, shown: &Shown<'_>) -> Markup {
    let opened: Vec<&Event> = report.of_loop(of).filter(|event| matches!(event.body, Body::FindingOpened(_))).collect();
    let older = opened.len().saturating_sub(STORIES);
    html! {
        @for event in opened.iter().rev().take(STORIES) {
            @let story = report.lineage.story(event, FOLLOWED);
            details.story open {
                summary { h3 { (finding_of(event).map_or_else(|| "Finding".to_owned(), |one| sentence_case(&rate_of(one.metric, &one.scope)))) ", and what came of it" } }
                ol {
                    @for part in story.iter().take(PARTS) {
                        li {
                            @let told = html! { time datetime=(part.at) { (part.at.strftime("%H:%M:%S")) } };
                            @match shown.find(&part.id) { Some(address) => a href=(address) { (told) }, None => (told) }
                            " " span.badge.(Stage::of(part).as_str()) { (Stage::of(part).as_str()) } " "
                            (shortened(&describe(part), PART))
                        }
                    }
                }
                @if story.len() == 1 { p.quiet { "Nothing yet." } }
                @if story.len() > PARTS { p.quiet { "And " (number((story.len() - PARTS) as u64)) " more: " code { "flywheel explain " (event.id) } "." } }
            }
        }
        @if older > 0 { p.quiet { "And what came of " (count(older as u64, "older finding")) ": " code { "flywheel explain ID" } "." } }
    }
}

/// The picture that an event carries, of those that say most: of changes and of conclusions, not of what was held back.
fn drawn(event: &Event) -> Option<&str> {
    let svg = match &event.body {
        Body::TimeoutDecided(change) => &change.picture,
        Body::ExperimentConcluded(outcome) => &outcome.picture,
        _ => return None,
    };
    debug_assert!(matches!(Stage::of(event), Stage::Action | Stage::Outcome));
    Some(svg.as_str()).filter(|svg| svg.len() <= LARGEST && has_line(svg))
}

/// Whether something is drawn in it: rates over time of a single hour are points, and an empty frame says nothing.
fn has_line(svg: &str) -> bool {
    let lines = svg.split("<polyline points=\"").skip(1);
    svg.contains("<path") || lines.into_iter().any(|line| line.split('"').next().is_some_and(|points| points.contains(' ')))
}
