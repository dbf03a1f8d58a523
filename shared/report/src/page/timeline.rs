//! The period as lanes, one for each loop: signals, findings, actions, outcomes, from left to right as they came.

use std::collections::BTreeMap;

use flywheel_model::{Body, Event};
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::entries::Shown;
use crate::describe::describe;
use crate::loops::{Loop, Stage, is_undone, stage_of};
use crate::report::Report;
use crate::words::{count, shortened, time};

/// Places along the time: what falls into one is one mark.
const PLACES: i64 = 60;

/// Heights: of a loop's lane, of its name, of a stage's row in it, and of what stands below all lanes.
const LANE: usize = 88;
const NAME: usize = 22;
const ROW: usize = 15;
const AXIS: usize = 24;

/// The rows of a lane, from the top.
const ROWS: [Stage; 4] = [Stage::Signal, Stage::Finding, Stage::Action, Stage::Outcome];

/// Characters of a sentence in a mark's title.
const TITLE: usize = 140;

/// What one mark stands for.
#[derive(Default)]
struct Mark<'a> {
    events: Vec<&'a Event>,
}

pub(super) fn timeline(report: &Report<'_>, shown: &Shown<'_>) -> Markup {
    let told: Vec<&Event> = report.events.iter().copied().filter(|event| row_of(event).is_some()).collect();
    let (Some(first), Some(last)) = (told.iter().map(|event| event.at).min(), told.iter().map(|event| event.at).max()) else {
        return html! { p.quiet { "Nothing happened in this period." } };
    };
    // As long as what happened: an hour of an empty day would be one mark.
    let length = last.duration_since(first).max(SignedDuration::from_secs(60));
    let height = LANE * Loop::ALL.len() + AXIS;
    html! {
        p.legend aria-hidden="true" {
            @for (kind, word) in [("signal", "signals"), ("finding", "finding"), ("over", "finding over"), ("action", "action"), ("hold", "held back"), ("outcome", "outcome"), ("undone", "undone")] {
                span { svg width="16" height="16" { title { (word) } (shape(kind, 1)) } (word) }
            }
        }
        svg.timeline width="100%" height=(height) role="group" aria-labelledby="timeline-title" {
            title id="timeline-title" { "What happened from " (time(first)) " to " (time(last)) ", a lane for each loop" }
            @for (place, of) in Loop::ALL.into_iter().enumerate() {
                @let top = place * LANE;
                line.lane x1="0" x2="100%" y1=(top) y2=(top) {}
                text.name x="0" y=(top + 16) { (of.title()) }
                @for (row, stage) in ROWS.into_iter().enumerate() {
                    @for (at, mark) in marks(report, of, stage, first, length) {
                        (draw(&mark, at, top + NAME + ROW * row + ROW / 2, shown))
                    }
                }
            }
            line.lane x1="0" x2="100%" y1=(height - AXIS) y2=(height - AXIS) {}
            @for (x, anchor, part) in [("0", "start", 0), ("50%", "middle", 1), ("100%", "end", 2)] {
                text.axis x=(x) y=(height - 6) text-anchor=(anchor) { (moment(first + length * part / 2, length)) }
            }
        }
    }
}

/// In which row of its lane an event stands; none of what is not drawn.
const fn row_of(event: &Event) -> Option<Stage> {
    match stage_of(event) {
        Stage::Signal if matches!(event.body, Body::SignalsKept(_) | Body::InputRefused(_)) => None,
        Stage::Hold => Some(Stage::Action),
        Stage::Receipt | Stage::Control => None,
        other => Some(other),
    }
}

fn marks<'a>(report: &Report<'a>, of: Loop, row: Stage, first: Timestamp, length: SignedDuration) -> BTreeMap<(i64, bool), Mark<'a>> {
    let mut marks = BTreeMap::<(i64, bool), Mark<'a>>::new();
    for event in report.of_loop(of).filter(|event| row_of(event) == Some(row)) {
        let place = (event.at.duration_since(first).as_secs_f64() / length.as_secs_f64() * (PLACES - 1) as f64).round() as i64;
        // What was held back must not hide what was done.
        marks.entry((place.clamp(0, PLACES - 1), stage_of(event) != Stage::Hold)).or_default().events.push(event);
    }
    marks
}

fn draw(mark: &Mark<'_>, (place, _): (i64, bool), y: usize, shown: &Shown<'_>) -> Markup {
    let Some(last) = mark.events.last() else { return html! {} };
    let undone = mark.events.iter().find(|event| is_undone(event));
    let told = undone.copied().unwrap_or(last);
    let kind = match stage_of(told) {
        _ if undone.is_some() => "undone",
        Stage::Signal => "signal",
        Stage::Finding if matches!(told.body, Body::FindingClosed(_)) => "over",
        Stage::Finding => "finding",
        Stage::Hold => "hold",
        Stage::Outcome => "outcome",
        Stage::Action | Stage::Receipt | Stage::Control => "action",
    };
    let many = mark.events.len() as u64;
    let others = if many > 1 { format!("{}, the last of them: ", count(many, kind_word(stage_of(told)))) } else { String::new() };
    let words = format!("{} {others}{}", time(told.at), shortened(&describe(told), TITLE));
    // Within the lane also at its ends.
    let x = format!("{:.2}%", 1.2 + 97.6 * place as f64 / (PLACES - 1) as f64);
    html! {
        svg.mark x=(x) y=(y) {
            title { (words) }
            a href=(shown.address(told)) aria-label=(words) { rect.hit x="-7" y="-7.5" width="14" height="15" {} (shape(kind, many)) }
        }
    }
}

const fn kind_word(stage: Stage) -> &'static str {
    stage.as_str()
}

/// A shape of its own for each kind, so that nobody needs colours to tell them apart; larger where it stands for more.
fn shape(kind: &str, many: u64) -> Markup {
    let size = 3.5 + (many as f64).log2().min(6.0) * 0.5;
    let half = format!("{size:.1}");
    html! {
        g.shape.(kind) {
            @match kind {
                "signal" => rect x="-1.5" y=(format!("-{half}")) width="3" height=(format!("{:.1}", 2.0 * size)) {},
                "finding" => path d=(format!("M0-{half}L{half} {half}H-{half}Z")) {},
                "over" => path d=(format!("M0-{half}L{half} {half}H-{half}Z")) {},
                "action" => rect x=(format!("-{half}")) y=(format!("-{half}")) width=(format!("{:.1}", 2.0 * size)) height=(format!("{:.1}", 2.0 * size)) {},
                "hold" => path d=(format!("M-2-{half}V{half}M2-{half}V{half}")) {},
                "undone" => path d=(format!("M-{half}-{half}L{half} {half}M{half}-{half}L-{half} {half}")) {},
                _ => circle r=(half) {},
            }
        }
    }
}

fn moment(at: Timestamp, length: SignedDuration) -> String {
    let form = match length.as_hours() {
        0 => "%H:%M:%S",
        1..20 => "%H:%M",
        _ => "%m-%d %H:%M",
    };
    at.strftime(form).to_string()
}
