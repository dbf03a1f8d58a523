//! Before and after as a picture, and holds as bars.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::{Markup, html};

use super::entries::Shown;
use crate::pictures::{Picture, Scale, Tone};
use crate::words::number;

/// Heights: of a value, and of the scale below.
const ROW: usize = 54;
const AXIS: usize = 22;

/// Draws a picture. Places are shares of the width, so that it is as sharp and legible on a phone as on a wall.
pub(super) fn chart(picture: &Picture, place: &str, shown: &Shown<'_>) -> Markup {
    let [from, to] = picture.bounds();
    let x = |value: f64| 100.0 * ((value.clamp(from, to) - from) / (to - from));
    let height = ROW * picture.rows.len() + AXIS;
    let told: Vec<String> = picture.rows.iter().map(|row| format!("{}: {} {}", row.label, picture.told(row.value), row.told)).collect();
    html! {
        figure.chart {
            figcaption { strong { (picture.title) } }
            svg width="100%" height=(height) role="img" aria-labelledby=(format!("{place}-title")) {
                title id=(format!("{place}-title")) { (picture.title) ". " (told.join("; ")) }
                @for (row, top) in picture.rows.iter().zip((0..).step_by(ROW)) {
                    @let (y, tone) = (top + 38, tone(row.tone));
                    text.label x="0" y=(top + 20) { (row.label) }
                    text.value x="100%" y=(top + 20) text-anchor="end" {
                        tspan.of { (row.told) } @if !row.told.is_empty() { "  " } tspan.share { (picture.told(row.value)) }
                    }
                    line.track x1="0" x2="100%" y1=(y) y2=(y) {}
                    @for tick in ["0", "50%", "100%"] { line.track x1=(tick) x2=(tick) y1=(y - 8) y2=(y + 8) {} }
                    @if let Some([low, high]) = row.interval {
                        rect.band.(tone) x=(format!("{:.2}%", x(low))) y=(y - 6) width=(format!("{:.2}%", (x(high) - x(low)).max(0.3))) height="12" rx="3" {}
                    }
                    circle.dot.(tone) cx=(format!("{:.2}%", x(row.value))) cy=(y) r="6" {}
                }
                text.axis x="0" y=(height - 5) { (end(picture.scale, from)) }
                text.axis x="50%" y=(height - 5) text-anchor="middle" { (end(picture.scale, f64::midpoint(from, to))) }
                text.axis x="100%" y=(height - 5) text-anchor="end" { (end(picture.scale, to)) }
            }
            p.quiet { (picture.note) @if let Some(address) = shown.find(&picture.event) { " " a href=(address) { "The entry" } "." } }
        }
    }
}

const fn tone(tone: Tone) -> &'static str {
    match tone {
        Tone::Expected => "expected",
        Tone::Worse => "worse",
        Tone::Better => "better",
    }
}

fn end(scale: Scale, value: f64) -> String {
    let value = 100.0 * value;
    match scale {
        Scale::Share if value == value.round() => format!("{value:.0}%"),
        Scale::Share => format!("{value:.1}%"),
        Scale::Difference if value == 0.0 => "as the control".to_owned(),
        Scale::Difference => format!("{value:+.0} points"),
    }
}

/// Reasons not to act, the most frequent first, as bars with their numbers.
pub(super) fn holds(holds: &BTreeMap<String, u64>, at_most: usize) -> Markup {
    let mut reasons: Vec<(&String, u64)> = holds.iter().map(|(reason, many)| (reason, *many)).collect();
    reasons.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(other.0)));
    let most = reasons.first().map_or(1, |(_, many)| *many).max(1) as f64;
    let rest: u64 = reasons.iter().skip(at_most).map(|(_, many)| many).sum();
    html! {
        table.holds {
            caption { "Held back, by reason" }
            thead.visually-hidden { tr { th scope="col" { "Reason" } th scope="col" { "Times" } } }
            tbody {
                @for (reason, many) in reasons.iter().take(at_most) {
                    tr {
                        th scope="row" { (reason) }
                        td { span.bar style=(format!("--share:{:.3}", *many as f64 / most)) {} (number(*many)) }
                    }
                }
                @if rest > 0 { tr { th scope="row" { "other reasons" } td { (number(rest)) } } }
            }
        }
    }
}

/// A picture that an event carries. As an image, nothing in it can do anything to the page.
pub(super) fn image(svg: &str, alt: &str) -> Markup {
    html! { img.paper src=(format!("data:image/svg+xml;base64,{}", BASE64_STANDARD.encode(svg))) alt=(alt) loading="lazy"; }
}
