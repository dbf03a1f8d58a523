//! Before and after, in numbers: what a picture shows, and what it rests on.

use std::collections::BTreeMap;

use flywheel_model::{
    AskedAgain, Body, Event, Evidence, ExperimentOutcome, Finding, Id, Key, Loop, Metric, PreflightChange, Rates, SuiteDecision,
    TestProved, TimeoutChange, TimeoutOutcome, TimeoutVerdict,
};
use jiff::Timestamp;

use crate::describe::rate_of;
use crate::report::{Report, finding_of};
use crate::words::{count, listed, number, percent, points, quoted, seconds, sentence_case, short};

/// Values below each other on one scale, each with its interval.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Picture {
    /// The event that it begins with.
    pub(crate) event: Id,
    /// What is shown.
    pub(crate) title: String,
    /// What is to be known beside it.
    pub(crate) note: String,
    /// What is measured.
    pub(crate) scale: Scale,
    /// The values.
    pub(crate) rows: Vec<Row>,
}

/// What a picture measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Shares of all, from nothing.
    Share,
    /// Differences of two shares, around nothing.
    Difference,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) value: f64,
    /// Where the value surely lies, if that is known.
    pub(crate) interval: Option<[f64; 2]>,
    /// The counts behind it.
    pub(crate) told: String,
    pub(crate) tone: Tone,
}

/// What a value stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// What is usual, expected or compared with.
    Expected,
    /// What is worse.
    Worse,
    /// What came of it, for the better.
    Better,
}

/// The pictures of a loop, the newest first.
pub(crate) fn pictures(report: &Report<'_>, of: Loop) -> Vec<Picture> {
    let mut pictures = Vec::new();
    let mut findings = BTreeMap::<&Id, Vec<&Event>>::new();
    for event in report.of_loop(of) {
        if let Some(finding) = finding_of(event) {
            findings.entry(&finding.finding).or_default().push(event);
        }
    }
    pictures.extend(findings.into_values().filter_map(|events| Some((events[0].at, of_finding(&events)?))));
    for event in report.of_loop(of) {
        let picture = match &event.body {
            Body::AskedAgain(asked) => of_questions(event, asked),
            Body::TimeoutDecided(change) => of_limit(event, change, report),
            Body::ExperimentConcluded(outcome) => of_experiment(event, outcome),
            Body::PreflightDecided(change) if change.added => of_check(event, change),
            _ => None,
        };
        pictures.extend(picture.map(|picture| (event.at, picture)));
    }
    pictures.extend(of_proofs(report, of));
    pictures.extend(of_suites(report, of));
    pictures.sort_by(|(one, _), (other, _)| other.cmp(one));
    debug_assert!(pictures.iter().all(|(_, picture)| report.lineage.get(&picture.event).is_none_or(|event| Loop::of(event) == Some(of))));
    pictures.into_iter().map(|(_, picture)| picture).collect()
}

/// The interval of a share that was counted: Wilson's, with 95% confidence.
fn wilson(events: u64, trials: u64) -> Option<[f64; 2]> {
    const Z: f64 = 1.96;
    if trials == 0 {
        return None;
    }
    let (events, trials) = (events as f64, trials as f64);
    let share = events / trials;
    let width = Z * (share * (1.0 - share) / trials + Z * Z / (4.0 * trials * trials)).sqrt();
    let (middle, scale) = (share + Z * Z / (2.0 * trials), 1.0 + Z * Z / trials);
    Some([((middle - width) / scale).max(0.0), ((middle + width) / scale).min(1.0)])
}

/// A share that was counted.
fn counted(label: impl Into<String>, events: u64, trials: u64, tone: Tone) -> Row {
    let value = events as f64 / (trials as f64).max(1.0);
    let told = format!("{} of {}", number(events), number(trials));
    Row { label: label.into(), value, interval: wilson(events, trials), told, tone }
}

fn rates_of(event: &Event) -> Option<(&Finding, &Rates)> {
    let finding = finding_of(event)?;
    let Evidence::Rates(rates) = &finding.evidence else { return None };
    Some((finding, rates))
}

/// The rate before, when the finding was opened, and as it was last seen.
fn of_finding(events: &[&Event]) -> Option<Picture> {
    let (first, last) = (events.first()?, events.last()?);
    let (finding, before) = rates_of(first)?;
    let row = |label: &str, rates: &Rates, tone| Row {
        label: label.to_owned(),
        value: rates.current.rate,
        interval: Some(rates.interval.map(|change| (rates.baseline.rate * (1.0 + change)).clamp(0.0, 1.0))),
        told: format!("{} of {}", number(rates.current.events), number(rates.current.trials)),
        tone,
    };
    let mut rows = vec![Row {
        label: "expected".to_owned(),
        value: before.baseline.rate,
        interval: None,
        told: format!("of {}", number(before.baseline.trials)),
        tone: Tone::Expected,
    }];
    if !matches!(first.body, Body::FindingClosed(_)) {
        rows.push(row("when found", before, Tone::Worse));
    }
    if events.len() > 1 || rows.len() == 1 {
        let (_, rates) = rates_of(last)?;
        let over = matches!(last.body, Body::FindingClosed(_));
        rows.push(if over { row("when over", rates, Tone::Better) } else { row("last seen", rates, Tone::Worse) });
    }
    let note = "Bands: intervals of the change, valid however often one looks.".to_owned();
    let title = sentence_case(&rate_of(finding.metric, &finding.scope));
    // Of resolution, more is better: the colours say better and worse either way.
    let note = if finding.metric == Metric::Resolution { format!("{note} More is better.") } else { note };
    Some(Picture { event: first.id.clone(), title, note, scale: Scale::Share, rows })
}

fn of_questions(event: &Event, asked: &AskedAgain) -> Option<Picture> {
    let all = u64::from(asked.asked);
    let rows = vec![
        counted("when they failed", u64::from(asked.found_before), all, Tone::Worse),
        counted("asked again", u64::from(asked.found_now), all, Tone::Better),
    ];
    let title = format!("Failed questions that find something in {}", quoted(&asked.knowledge_base));
    let note = "Bands: 95% intervals.".to_owned();
    (all > 0).then(|| Picture { event: event.id.clone(), title, note, scale: Scale::Share, rows })
}

/// What was cut before, what was expected to be, and what came of it.
fn of_limit(event: &Event, change: &TimeoutChange, report: &Report<'_>) -> Option<Picture> {
    let told = change.prediction.as_ref()?;
    let limits = |of: fn(&flywheel_model::SettingChange) -> f64| change.changes.last().map(|change| seconds(of(change)));
    let (before, after) = (limits(|change| change.from.seconds)?, limits(|change| change.to.seconds)?);
    let runs = format!("of {}", number(told.runs.round() as u64));
    let mut rows = vec![
        Row { label: format!("cut at {before}"), value: told.timeouts_now, interval: None, told: runs, tone: Tone::Worse },
        Row {
            label: format!("expected at {after}"),
            value: told.timeouts[1],
            interval: Some([told.timeouts[0], told.timeouts[2]]),
            told: String::new(),
            tone: Tone::Expected,
        },
    ];
    let outcome = report.of_loop(Loop::Timeouts).find_map(|later| match &later.body {
        Body::TimeoutVerified(outcome) if outcome.decision == event.id => Some(outcome),
        _ => None,
    });
    let waiting =
        format!("{} of waiting added to a run, which takes {} in the mean", seconds(told.added_seconds), seconds(told.mean_seconds));
    let note = match outcome {
        None => {
            format!("Expected cost: {waiting}. What came of it is not known yet. Bands: {} and 95% intervals.", percent(told.confidence))
        }
        Some(outcome) => {
            rows.push(seen(outcome, &after));
            format!(
                "Expected cost: {waiting}; it came to {} in the mean. Bands: {} and 95% intervals.",
                seconds(outcome.mean_seconds),
                percent(told.confidence)
            )
        }
    };
    let title = format!("Runs of {} that are cut by their limit", change.timeout);
    Some(Picture { event: event.id.clone(), title, note, scale: Scale::Share, rows })
}

fn seen(outcome: &TimeoutOutcome, limit: &str) -> Row {
    let tone = if outcome.verdict == TimeoutVerdict::Undone { Tone::Worse } else { Tone::Better };
    counted(format!("came out at {limit}"), outcome.timed_out, outcome.runs, tone)
}

fn of_experiment(event: &Event, outcome: &ExperimentOutcome) -> Option<Picture> {
    let rows: Vec<Row> = outcome
        .conclusion
        .comparisons
        .iter()
        .map(|one| {
            let harmful = one.difference[1] < 0.0 || !one.broken.is_empty();
            Row {
                label: quoted(&one.variant),
                value: one.difference[1],
                interval: Some([one.difference[0], one.difference[2]]),
                told: count(one.treatment[0] + one.control[0], "unit"),
                tone: if harmful { Tone::Worse } else { Tone::Better },
            }
        })
        .collect();
    let costly: Vec<String> = outcome
        .conclusion
        .comparisons
        .iter()
        .flat_map(|one| &one.broken)
        .map(|broken| format!("{} {} against {}", broken.guardrail.as_str(), percent(broken.shares[0]), percent(broken.shares[1])))
        .collect();
    let rate = |[units, resolved]: [u64; 2]| format!("{} of {}", percent(resolved as f64 / (units as f64).max(1.0)), number(units));
    let rates = outcome
        .conclusion
        .comparisons
        .iter()
        .map(|one| format!("{} {}, control {}", quoted(&one.variant), rate(one.treatment), rate(one.control)));
    let rates = listed(rates);
    let harm = if costly.is_empty() { String::new() } else { format!(" Harm: {}.", costly.join("; ")) };
    let note =
        format!("Verdict: {}. Resolved: {rates}.{harm} Bands: intervals, valid however often one looks.", outcome.conclusion.verdict);
    let title = format!("Resolved conversations about {}, against the control", outcome.intent);
    (!rows.is_empty()).then(|| Picture { event: event.id.clone(), title, note, scale: Scale::Difference, rows })
}

fn of_check(event: &Event, change: &PreflightChange) -> Option<Picture> {
    let back = &change.backtest;
    let all = u64::from(back.releases);
    let rows = vec![
        counted("failed ones, rightly", u64::from(back.caught), all, Tone::Better),
        counted("good ones, wrongly", u64::from(back.blocked), all, Tone::Worse),
    ];
    let title = "Releases that the new check would have stopped".to_owned();
    let note = format!("It checks that {}. Bands: 95% intervals.", quoted(&change.check.need.to_string()));
    (all > 0).then(|| Picture { event: event.id.clone(), title, note, scale: Scale::Share, rows })
}

/// What the tests of each intent stand for, as it was last decided.
fn of_suites(report: &Report<'_>, of: Loop) -> Vec<(Timestamp, Picture)> {
    let mut last = BTreeMap::<&Key, (&Event, &SuiteDecision)>::new();
    for event in report.of_loop(of) {
        if let Body::TestsDecided(decision) = &event.body
            && decision.failed > 0
        {
            last.insert(&decision.intent, (event, decision));
        }
    }
    let picture = |(intent, (event, decision)): (&Key, (&Event, &SuiteDecision))| {
        let rows = vec![counted("covered by tests", decision.covered, decision.failed, Tone::Better)];
        let title = format!("Failed conversations about {intent} that tests stand for");
        let note = format!("They fell into {}.", count(decision.groups, "group"));
        (event.at, Picture { event: event.id.clone(), title, note, scale: Scale::Share, rows })
    };
    last.into_iter().map(picture).collect()
}

/// The proofs of an intent's tests below each other, the newest ones.
fn of_proofs(report: &Report<'_>, of: Loop) -> Vec<(Timestamp, Picture)> {
    let mut intents = BTreeMap::<&Key, Vec<(&Event, &TestProved)>>::new();
    for event in report.of_loop(of) {
        if let Body::TestProved(proved) = &event.body
            && proved.runs.runs > 0
        {
            intents.entry(&proved.intent).or_default().push((event, proved));
        }
    }
    let picture = |(intent, proofs): (&Key, Vec<(&Event, &TestProved)>)| {
        let (last, _) = *proofs.last()?;
        let row = |(_, proved): &(&Event, &TestProved)| {
            let label = format!("test {}, {} now", short(proved.test.as_str()), quoted(&proved.state));
            counted(label, u64::from(proved.runs.failed), u64::from(proved.runs.runs), Tone::Better)
        };
        let rows: Vec<Row> = proofs.iter().rev().take(PROOFS).map(row).collect();
        let older = match proofs.len().saturating_sub(PROOFS) {
            0 => String::new(),
            many => format!(" {} older.", count(many as u64, "proof")),
        };
        let note = format!("A test that always fails there catches what it is made for. Bands: 95% intervals.{older}");
        let title = format!("Runs of the tests of {intent} that fail against the version that failed");
        Some((last.at, Picture { event: last.id.clone(), title, note, scale: Scale::Share, rows }))
    };
    intents.into_iter().filter_map(picture).collect()
}

/// Proofs that are drawn below each other.
const PROOFS: usize = 5;

impl Picture {
    /// The ends of the scale.
    pub(crate) fn bounds(&self) -> [f64; 2] {
        let ends = self.rows.iter().flat_map(|row| [Some(row.value), row.interval.map(|ends| ends[0]), row.interval.map(|ends| ends[1])]);
        let farthest = ends.flatten().filter(|end| end.is_finite()).fold(0.0_f64, |farthest, end| farthest.max(end.abs()));
        // Round ends, so that the eye has something to hold on to.
        let steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0];
        let end = steps.into_iter().find(|step| farthest <= *step).unwrap_or(1.0);
        match self.scale {
            Scale::Share => [0.0, end],
            Scale::Difference => [-end, end],
        }
    }

    /// A value as people read it.
    pub(crate) fn told(&self, value: f64) -> String {
        match self.scale {
            Scale::Share => percent(value),
            Scale::Difference => points(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_holds_what_was_counted_and_stays_between_nothing_and_all() {
        for (events, trials) in [(0, 17), (17, 17), (8, 20), (1, 1)] {
            let [low, high] = wilson(events, trials).expect("trials");
            let share = events as f64 / trials as f64;
            assert!((0.0..=1.0).contains(&low) && (0.0..=1.0).contains(&high));
            assert!(low <= share + 1e-9 && share <= high + 1e-9, "{low} {share} {high}");
        }
        assert_eq!(wilson(0, 0), None);
    }
}
