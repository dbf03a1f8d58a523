//! The period as lanes, one for each loop: signals, findings, actions, outcomes, from left to right as they came.

use std::collections::BTreeMap;

use flywheel_model::{Body, Event, Loop, Stage};
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::entries::Shown;
use crate::describe::describe;
use crate::report::Report;
use crate::standing::is_undone;
use crate::words::{count, listed, shortened, time};

/// Places along the time: what falls into one is one mark.
const PLACES: usize = 60;

/// Of a time in which nothing happened, what is drawn at most: as a share of the time in which something did.
const GAP: f64 = 0.07;

/// Times without events that are drawn shorter, the longest ones.
const GAPS: usize = 5;

/// What stands between two texts below the lanes at least, as a share of the width.
const APART: f64 = 0.17;

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

/// The way from times to places: long times without events are short, so that what happened has room.
struct Scale {
    first: Timestamp,
    /// Seconds since the first event and where they are drawn, 0 to 1: straight between each two.
    points: Vec<(f64, f64)>,
    /// Between which of them something is left out.
    gaps: Vec<usize>,
}

impl Scale {
    fn of(times: &[Timestamp]) -> Option<Self> {
        let first = *times.iter().min()?;
        let mut seconds: Vec<f64> = times.iter().map(|at| at.duration_since(first).as_secs_f64()).collect();
        seconds.sort_by(f64::total_cmp);
        // A moment needs some room too.
        let last = seconds.last()?.max(10.0);
        let mut longest: Vec<(f64, f64)> = seconds.windows(2).map(|pair| (pair[0], pair[1])).collect();
        longest.sort_by(|one, other| (other.1 - other.0).total_cmp(&(one.1 - one.0)));
        let mut left_out: Vec<(f64, f64)> = Vec::new();
        let mut busy = last;
        for (from, to) in longest.into_iter().take(GAPS) {
            // Only what takes much of the room that is left.
            if to - from > 0.25 * busy {
                left_out.push((from, to));
                busy -= to - from;
            }
        }
        left_out.sort_by(|one, other| one.0.total_cmp(&other.0));
        let busy = busy.max(last * 1e-6);
        let whole = busy * (1.0 + GAP * left_out.len() as f64);
        let (mut points, mut gaps, mut drawn, mut since) = (vec![(0.0, 0.0)], Vec::new(), 0.0, 0.0);
        for (from, to) in left_out {
            drawn += from - since;
            gaps.push(points.len());
            points.push((from, drawn / whole));
            drawn += GAP * busy;
            points.push((to, drawn / whole));
            since = to;
        }
        points.push((last, 1.0));
        Some(Self { first, points, gaps })
    }

    /// Where a time is drawn, 0 to 1.
    fn place(&self, at: Timestamp) -> f64 {
        let seconds = at.duration_since(self.first).as_secs_f64();
        let after = self.points.partition_point(|(from, _)| *from < seconds).clamp(1, self.points.len() - 1);
        let ((from, start), (to, end)) = (self.points[after - 1], self.points[after]);
        let within = if to > from { (seconds - from) / (to - from) } else { 0.0 };
        (start + within.clamp(0.0, 1.0) * (end - start)).clamp(0.0, 1.0)
    }

    fn at(&self, seconds: f64) -> Timestamp {
        self.first + SignedDuration::from_secs_f64(seconds)
    }

    /// Where something is left out, and how much.
    fn left_out(&self) -> impl Iterator<Item = (f64, String)> {
        self.gaps.iter().map(|gap| {
            let ((from, start), (to, end)) = (self.points[*gap], self.points[gap + 1]);
            (f64::midpoint(start, end), format!("nothing for {}", lasted(to - from)))
        })
    }

    /// The times that are written below, with their places and how they are set.
    fn written(&self) -> Vec<(f64, &'static str, String)> {
        let length = self.points.last().map_or(0.0, |(seconds, _)| *seconds);
        let told = |seconds: f64| moment(self.at(seconds), length);
        let mut written = vec![(0.0, "start", told(0.0))];
        // Where time goes on after a gap, or else in the middle.
        let between: Vec<(f64, f64)> = match self.gaps.as_slice() {
            [] => vec![(length / 2.0, 0.5)],
            gaps => gaps.iter().map(|gap| self.points[gap + 1]).collect(),
        };
        for (seconds, place) in between {
            if written.last().is_some_and(|(last, ..)| place - last >= APART) && place <= 1.0 - APART {
                written.push((place, "middle", told(seconds)));
            }
        }
        written.push((1.0, "end", told(length)));
        written
    }
}

fn lasted(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 120.0 => format!("{seconds:.0} seconds"),
        seconds if seconds < 7_200.0 => format!("{:.0} minutes", seconds / 60.0),
        seconds if seconds < 172_800.0 => format!("{:.0} hours", seconds / 3_600.0),
        seconds => format!("{:.0} days", seconds / 86_400.0),
    }
}

/// A place as it stands in the picture: within it also at its ends.
fn x(place: f64) -> String {
    format!("{:.2}%", 1.2 + 97.6 * place)
}

pub(super) fn timeline(report: &Report<'_>, shown: &Shown<'_>) -> Markup {
    let told: Vec<Timestamp> = report.events.iter().filter(|event| row_of(event).is_some()).map(|event| event.at).collect();
    let Some(scale) = Scale::of(&told) else { return html! { p.quiet { "Nothing happened in this period." } } };
    let (first, last) = (scale.first, told.iter().max().copied().unwrap_or(scale.first));
    let height = LANE * Loop::ALL.len() + AXIS;
    html! {
        p.legend aria-hidden="true" {
            @for (kind, word) in [("signal", "signals"), ("finding", "finding"), ("over", "finding over"), ("action", "action"), ("hold", "held back"), ("outcome", "outcome"), ("undone", "undone")] {
                span { svg width="16" height="16" { title { (word) } (shape(kind, 1)) } (word) }
            }
        }
        @let gaps: Vec<String> = scale.left_out().map(|(_, what)| what).collect();
        @if !gaps.is_empty() { p.quiet { "Dashed: " (listed(gaps)) "." } }
        svg.timeline width="100%" height=(height) role="group" aria-labelledby="timeline-title" {
            title id="timeline-title" { "What happened from " (time(first)) " to " (time(last)) ", a lane for each loop" }
            @for (place, of) in Loop::ALL.into_iter().enumerate() {
                @let top = place * LANE;
                line.lane x1="0" x2="100%" y1=(top) y2=(top) {}
                text.name x="0" y=(top + 16) { (of.title()) }
                @for (row, stage) in ROWS.into_iter().enumerate() {
                    @for ((place, _), mark) in marks(report, of, stage, &scale) {
                        (draw(&mark, place, top + NAME + ROW * row + ROW / 2, shown))
                    }
                }
            }
            line.lane x1="0" x2="100%" y1=(height - AXIS) y2=(height - AXIS) {}
            @for (place, what) in scale.left_out() {
                svg.gap x=(x(place)) y="0" {
                    title { (what) }
                    line x1="0" x2="0" y1="0" y2=(height - AXIS) {}
                }
            }
            @for (place, anchor, time) in scale.written() {
                text.axis x=(format!("{:.2}%", 100.0 * place)) y=(height - 6) text-anchor=(anchor) { (time) }
            }
        }
    }
}

/// In which row of its lane an event stands; none of what is not drawn.
const fn row_of(event: &Event) -> Option<Stage> {
    match Stage::of(event) {
        Stage::Signal if matches!(event.body, Body::SignalsKept(_) | Body::InputRefused(_)) => None,
        Stage::Hold => Some(Stage::Action),
        Stage::Receipt | Stage::Control => None,
        other => Some(other),
    }
}

fn marks<'a>(report: &Report<'a>, of: Loop, row: Stage, scale: &Scale) -> BTreeMap<(usize, bool), Mark<'a>> {
    let mut marks = BTreeMap::<(usize, bool), Mark<'a>>::new();
    for event in report.of_loop(of).filter(|event| row_of(event) == Some(row)) {
        let place = (scale.place(event.at) * (PLACES - 1) as f64).round() as usize;
        // What was held back must not hide what was done.
        marks.entry((place, Stage::of(event) != Stage::Hold)).or_default().events.push(event);
    }
    marks
}

fn draw(mark: &Mark<'_>, place: usize, y: usize, shown: &Shown<'_>) -> Markup {
    let Some(last) = mark.events.last() else { return html! {} };
    let undone = mark.events.iter().find(|event| is_undone(event));
    let told = undone.copied().unwrap_or(last);
    let kind = match Stage::of(told) {
        _ if undone.is_some() => "undone",
        Stage::Signal => "signal",
        Stage::Finding if matches!(told.body, Body::FindingClosed(_)) => "over",
        Stage::Finding => "finding",
        Stage::Hold => "hold",
        Stage::Outcome => "outcome",
        Stage::Action | Stage::Receipt | Stage::Control => "action",
    };
    let many = mark.events.len() as u64;
    let others = if many > 1 { format!("{}, the last of them: ", count(many, Stage::of(told).as_str())) } else { String::new() };
    let words = format!("{} {others}{}", time(told.at), shortened(&describe(told), TITLE));
    html! {
        svg.mark x=(x(place as f64 / (PLACES - 1) as f64)) y=(y) {
            title { (words) }
            a href=(shown.address(told)) aria-label=(words) { rect.hit x="-7" y="-7.5" width="14" height="15" {} (shape(kind, many)) }
        }
    }
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

fn moment(at: Timestamp, seconds: f64) -> String {
    let form = match seconds {
        seconds if seconds < 600.0 => "%H:%M:%S",
        seconds if seconds < 72_000.0 => "%H:%M",
        _ => "%m-%d %H:%M",
    };
    at.strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_hour_takes_little_room_and_the_order_stays() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let times: Vec<Timestamp> = std::iter::once(0).chain(3_600..3_660).map(at).collect();
        let scale = Scale::of(&times).expect("events");
        let places: Vec<f64> = times.iter().map(|at| scale.place(*at)).collect();
        assert_eq!((places[0], places[60]), (0.0, 1.0));
        assert!(places.is_sorted() && places[1] < 0.1, "{places:?}");
        assert_eq!(scale.left_out().map(|(_, what)| what).collect::<Vec<_>>(), ["nothing for 60 minutes"]);
    }

    #[test]
    fn a_single_moment_has_a_place() {
        let scale = Scale::of(&[Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH]).expect("events");
        assert_eq!(scale.place(Timestamp::UNIX_EPOCH), 0.0);
        assert!(Scale::of(&[]).is_none());
    }
}
