//! The survival curve with the old and the new limit, as SVG.

use std::fmt::Write;

use flywheel_model::Key;
use flywheel_survival::Curve;

use crate::picture::draw_share;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 280.0;
/// Room around the curve: left, top, right, bottom.
const MARGIN: [f64; 4] = [48.0, 34.0, 16.0, 40.0];
/// The most points that are drawn; more cannot be told apart.
const POINTS: usize = 240;

/// Draws the share of runs that go on after so many seconds. Nothing in it comes from elsewhere, and names are escaped.
pub(super) fn draw(name: &Key, curve: &Curve, limit: f64, new: Option<f64>, ceiling: f64) -> String {
    let until = (new.unwrap_or(limit).max(limit) * 2.0).min(ceiling.max(limit) * 1.05);
    let (width, height) = (WIDTH - MARGIN[0] - MARGIN[2], HEIGHT - MARGIN[1] - MARGIN[3]);
    let x = |seconds: f64| MARGIN[0] + width * (seconds / until).min(1.0);
    let y = |share: f64| MARGIN[1] + height * (1.0 - share);
    let mut path = format!("M{:.1} {:.1}", x(0.0), y(1.0));
    let steps: Vec<_> = curve.steps().iter().take_while(|step| step.seconds <= until).collect();
    for step in steps.iter().step_by(steps.len().div_ceil(POINTS).max(1)).chain(steps.last()) {
        let _ = write!(path, "H{:.1}V{:.1}", x(step.seconds), y(step.running));
    }
    // Where all have ended, nothing is left to be known.
    let seen = if curve.steps().last().is_some_and(|last| last.running < 1e-9) { until } else { curve.horizon().min(until) };
    let _ = write!(path, "H{:.1}", x(seen));
    let name = escape(name.as_str());
    let told = new.map_or_else(|| format!("limit {limit} s"), |new| format!("limit {limit} s, new limit {new} s"));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" font-family=\"system-ui, sans-serif\" \
         font-size=\"12\" fill=\"currentColor\"><title>Runs of {name} that go on after so many seconds; {told}</title>\
         <text x=\"{:.0}\" y=\"18\" font-size=\"14\">{name}: runs that go on</text>",
        MARGIN[0]
    );
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        draw_share(&mut svg, share, [MARGIN[0], WIDTH - MARGIN[2]], y(share));
    }
    for part in 0..=4 {
        let seconds = until * f64::from(part) / 4.0;
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{seconds:.0} s</text>",
            x(seconds),
            HEIGHT - MARGIN[3] + 18.0
        );
    }
    if seen < until {
        // Beyond what was followed nothing is drawn but that.
        let _ = write!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\" fill=\"currentColor\" fill-opacity=\"0.06\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill-opacity=\"0.7\">not known</text>",
            x(seen),
            MARGIN[1],
            x(until) - x(seen),
            x(until) - 4.0,
            MARGIN[1] + 14.0
        );
    }
    let _ = write!(svg, "<path d=\"{path}\" fill=\"none\" stroke=\"#2563eb\" stroke-width=\"2\"/>");
    let old = (limit, "#b45309", format!("{limit} s"), 0.0);
    for (seconds, color, label, lower) in std::iter::once(old).chain(new.map(|new| (new, "#15803d", format!("new: {new} s"), 16.0))) {
        let _ = write!(
            svg,
            "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{1:.1}\" y2=\"{2:.1}\" stroke=\"{color}\" stroke-width=\"2\" stroke-dasharray=\"5 3\"/>\
             <text x=\"{3:.1}\" y=\"{4:.1}\" fill=\"{color}\">{label}</text>",
            x(seconds),
            MARGIN[1],
            y(0.0),
            x(seconds) + 4.0,
            MARGIN[1] + 28.0 + lower
        );
    }
    svg.push_str("</svg>");
    svg
}

fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, char| {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use flywheel_survival::Times;

    use super::*;

    #[test]
    fn a_picture_shows_both_limits_and_keeps_names_out_of_its_markup() {
        let mut times = Times::default();
        times.completed(10.0, 90);
        times.completed(40.0, 9);
        times.censored(41.0, 1);
        let name = Key::try_from("<script>\"a\"&b").expect("a key");
        let svg = draw(&name, &Curve::of([(1.0, &times)]), 30.0, Some(45.0), 120.0);
        assert!(svg.contains("&lt;script&gt;&quot;a&quot;&amp;b") && !svg.contains("<script>"), "{svg}");
        assert!(svg.contains(">30 s<") && svg.contains(">new: 45 s<") && svg.contains(">not known<"), "{svg}");
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>"));
    }

    #[test]
    fn a_picture_stays_small() {
        let mut times = Times::default();
        for place in 1..20_000 {
            times.completed(f64::from(place) * 0.01, 1);
        }
        let name = Key::try_from("w").expect("a key");
        assert!(draw(&name, &Curve::of([(1.0, &times)]), 100.0, None, 300.0).len() < 10_000);
    }
}
