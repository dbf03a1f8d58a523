//! Both rates over time with the interval of their difference, as SVG.

use std::collections::BTreeMap;
use std::fmt::Write;

use flywheel_model::{ArmCount, Comparison, Experiment, Hour};
use flywheel_policy::ExperimentPolicy;

use super::conclude::compare;
use super::outcomes::Outcomes;
use crate::picture::draw_share;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
/// Room around: left, top, right, bottom.
const MARGIN: [f64; 4] = [48.0, 34.0, 16.0, 56.0];
/// The most moments that are drawn; more cannot be told apart.
const MOMENTS: usize = 60;
/// Colours that are told apart in the dark, in the light and by those who see red and green alike.
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

/// Draws the rate of resolution of each arm as it was counted by each hour, and around each treatment's how far it may lie
/// from the control. Names are those of files of the library.
#[must_use]
pub fn draw(experiment: &Experiment, outcomes: &Outcomes, policy: &ExperimentPolicy) -> String {
    let moments = moments(experiment, outcomes, policy);
    let Some((until, last)) = moments.last() else { return String::new() };
    let rate = |[units, events]: [u64; 2]| events as f64 / (units as f64).max(1.0);
    let (low, high) =
        bounds(&last.iter().map(|one| rate(one.treatment)).chain(last.iter().map(|one| rate(one.control))).collect::<Vec<_>>());
    let (width, height) = (WIDTH - MARGIN[0] - MARGIN[2], HEIGHT - MARGIN[1] - MARGIN[3]);
    let since = moments[0].0;
    let hours = (until.0 - since.0).max(1) as f64;
    let x = |hour: Hour| MARGIN[0] + width * (hour.0 - since.0) as f64 / hours;
    let y = |rate: f64| MARGIN[1] + height * (1.0 - (rate.clamp(low, high) - low) / (high - low));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" font-family=\"system-ui, sans-serif\" \
         font-size=\"12\" fill=\"currentColor\"><title>Rates of resolution of the arms of {0} over time</title>\
         <text x=\"{1:.0}\" y=\"18\" font-size=\"14\">{0}: conversations that were resolved</text>",
        experiment.experiment, MARGIN[0]
    );
    for part in 0..=4 {
        let share = low + (high - low) * f64::from(part) / 4.0;
        draw_share(&mut svg, share, [MARGIN[0], WIDTH - MARGIN[2]], y(share));
    }
    let line = |of: &dyn Fn(&Comparison) -> f64, place: usize| {
        let points = moments.iter().map(|(hour, compared)| format!("{:.1},{:.1}", x(*hour), y(of(&compared[place]))));
        points.collect::<Vec<_>>().join(" ")
    };
    for (place, treatment) in experiment.treatments.iter().enumerate() {
        let colour = COLOURS[1 + place % (COLOURS.len() - 1)];
        let upper = line(&|one| rate(one.control) + one.difference[2], place);
        let lower = moments
            .iter()
            .rev()
            .map(|(hour, compared)| format!("{:.1},{:.1}", x(*hour), y(rate(compared[place].control) + compared[place].difference[0])));
        let lower = lower.collect::<Vec<_>>().join(" ");
        let _ = write!(
            svg,
            "<polygon points=\"{upper} {lower}\" fill=\"{colour}\" fill-opacity=\"0.15\"/>\
             <polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            line(&|one| rate(one.treatment), place)
        );
        legend(&mut svg, place + 1, colour, &treatment.name, last[place].treatment);
    }
    let _ = write!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>",
        line(&|one| rate(one.control), 0),
        COLOURS[0]
    );
    legend(&mut svg, 0, COLOURS[0], &format!("{} (control)", experiment.control.name), last[0].control);
    let told = [(MARGIN[0], "start", since), (WIDTH - MARGIN[2], "end", *until)];
    for (at, anchor, hour) in told {
        let _ = write!(
            svg,
            "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            HEIGHT - MARGIN[3] + 18.0,
            hour.start().strftime("%Y-%m-%d %H:%M")
        );
    }
    svg.push_str("</svg>");
    svg
}

fn legend(svg: &mut String, place: usize, colour: &str, name: &str, [units, events]: [u64; 2]) {
    let left = MARGIN[0] + 190.0 * (place % 3) as f64;
    let top = HEIGHT - 18.0 + 14.0 * (place / 3) as f64;
    let rate = 100.0 * events as f64 / (units as f64).max(1.0);
    let _ = write!(
        svg,
        "<rect x=\"{left:.1}\" y=\"{:.1}\" width=\"10\" height=\"10\" fill=\"{colour}\"/>\
         <text x=\"{:.1}\" y=\"{top:.1}\">{name} {rate:.1}% of {units}</text>",
        top - 9.0,
        left + 14.0
    );
}

/// What had been counted by the end of each hour, for as many hours as are drawn.
fn moments(experiment: &Experiment, outcomes: &Outcomes, policy: &ExperimentPolicy) -> Vec<(Hour, Vec<Comparison>)> {
    let mut arms = BTreeMap::<String, ArmCount>::new();
    let every = outcomes.hours.len().div_ceil(MOMENTS).max(1);
    let mut moments = Vec::new();
    for (place, (hour, counts)) in outcomes.hours.iter().enumerate() {
        for (arm, count) in counts {
            arms.entry(arm.clone()).or_default().add(count);
        }
        if place % every == 0 || place + 1 == outcomes.hours.len() {
            moments.push((Hour(hour.0 + 1), compare(experiment, &arms, policy)));
        }
    }
    moments
}

/// The rates that are in the picture: those of the end and some room.
fn bounds(rates: &[f64]) -> (f64, f64) {
    let (least, most) = rates.iter().fold((1.0_f64, 0.0_f64), |(least, most), rate| (least.min(*rate), most.max(*rate)));
    let (least, most) = ((least - 0.15).max(0.0), (most + 0.15).min(1.0));
    ((least * 20.0).floor() / 20.0, (most * 20.0).ceil() / 20.0)
}
