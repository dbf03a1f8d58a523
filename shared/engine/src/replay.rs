//! What would have been found: the counts that are kept, looked at again.

use std::collections::BTreeMap;
use std::ops::Range;

use flywheel_detection::{Hour as Of, Series, Tally};
use flywheel_model::{Event, Hour, Key, Metric};
use flywheel_policy::Policy;
use jiff::SignedDuration;

use crate::findings::{History, MetricState, detect};

/// Looks at every hour once, at its end, as if the policy had been in force and nothing after that hour were known.
///
/// The same histories, policy and hours give the same events, to the last byte. What was open before the first hour opens
/// in it, if the evidence is still there; the team's alarms and the examples of findings are not replayed, since only their
/// latest are kept.
#[must_use]
pub fn replay(histories: &BTreeMap<Metric, BTreeMap<Key, History>>, policy: &Policy, hours: Range<Hour>) -> Vec<Event> {
    let mut events = Vec::new();
    for (metric, kept) in histories {
        let mut known = kept.iter().map(|(key, history)| (key.clone(), before(history, hours.start))).collect();
        let mut state = MetricState::default();
        for hour in hours.start.0..hours.end.0 {
            for (key, history) in &mut known {
                learn(history, &kept[key], Of(hour));
            }
            let end = Hour(hour).start() + SignedDuration::from_secs(3_599);
            let (told, next) = detect(*metric, &known, &[], &state, policy, end);
            events.extend(told);
            state = next;
        }
    }
    events.sort_by(Event::by_time);
    events
}

/// What a history knew when an hour began.
fn before(history: &History, hour: Hour) -> History {
    let before = |series: &Series| series.hours().filter(|(of, _)| of.0 < hour.0).collect();
    let parts = history.parts.iter().map(|(part, series)| (part.clone(), before(series))).collect();
    History { counts: before(&history.counts), parts, examples: Vec::new() }
}

/// Takes in what was counted in an hour.
fn learn(history: &mut History, kept: &History, hour: Of) {
    let set = |series: &mut Series, tally: Tally| series.set(hour, tally);
    set(&mut history.counts, kept.counts.at(hour));
    for (part, series) in &kept.parts {
        set(history.parts.entry(part.clone()).or_default(), series.at(hour));
    }
}

#[cfg(test)]
mod tests {
    use flywheel_model::{Body, Count};

    use super::*;

    const DAYS: i64 = 30;

    fn policy(change: &str) -> Policy {
        let text = format!(
            "mode = \"act\"\n[[data_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS12345678\"\nbucket = \"docs\"\n\
             [findings.failed_responses]\nchange = {change}\n"
        );
        Policy::parse(&text).expect("valid")
    }

    /// A topic of which twice as many responses fail from day [`DAYS`] on, for so many hours; what comes after is not known yet.
    fn histories(hours: i64) -> BTreeMap<Metric, BTreeMap<Key, History>> {
        let mut history = History::default();
        for hour in 0..DAYS * 24 + hours {
            let events = if hour < DAYS * 24 { 10 } else { 20 };
            history.learn(Hour(hour), &Count { trials: 100, events, ..Count::default() });
        }
        let key = Key::try_from("launch").expect("a key");
        BTreeMap::from([(Metric::FailedResponses, BTreeMap::from([(key, history)]))])
    }

    fn days(from: i64, to: i64) -> Range<Hour> {
        Hour(from * 24)..Hour(to * 24)
    }

    fn kinds(events: &[Event]) -> Vec<&'static str> {
        events.iter().map(Event::kind).filter(|kind| *kind != "finding.held").collect()
    }

    #[test]
    fn the_same_policy_finds_the_same_to_the_last_byte() {
        let as_text = |events: Vec<Event>| serde_json::to_string(&events).expect("JSON");
        let (histories, policy) = (histories(24), policy("0.15"));
        let first = replay(&histories, &policy, days(DAYS - 2, DAYS + 1));
        assert!(kinds(&first).contains(&"finding.opened"), "{first:?}");
        assert_eq!(as_text(first), as_text(replay(&histories, &policy, days(DAYS - 2, DAYS + 1))));
    }

    #[test]
    fn another_policy_shows_what_it_would_have_passed_over() {
        assert_eq!(kinds(&replay(&histories(24), &policy("4.0"), days(DAYS - 2, DAYS + 1))), Vec::<&str>::new());
    }

    #[test]
    fn no_look_knows_what_came_after_it() {
        let policy = policy("0.15");
        let hours = days(DAYS - 2, DAYS + 1);
        let (so_far, later) = (replay(&histories(6), &policy, hours.clone()), replay(&histories(24), &policy, hours));
        let until = Hour(DAYS * 24 + 6).start();
        let early = |events: &[Event]| events.iter().filter(|event| event.at < until).cloned().collect::<Vec<_>>();
        assert_eq!(early(&so_far), early(&later));
        let opened = later.iter().find_map(|event| if let Body::FindingOpened(finding) = &event.body { Some(finding) } else { None });
        assert!(opened.expect("a finding").opened_at < until + SignedDuration::from_hours(6));
    }
}
