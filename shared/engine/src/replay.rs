//! What would have been found: the counts that are kept, looked at again.

use std::collections::BTreeMap;
use std::ops::Range;

use flywheel_detection::{self as detection, Series};
use flywheel_model::{Count, Event, Hour, Key, Metric};
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
        let mut known: BTreeMap<Key, History> = BTreeMap::new();
        let mut state = MetricState::default();
        for (key, history) in kept {
            let known = known.entry(key.clone()).or_default();
            history.counts.hours().filter(|(hour, _)| hour.0 < hours.start.0).for_each(|(hour, _)| learn(known, history, Hour(hour.0)));
        }
        for hour in hours.start.0..hours.end.0 {
            for (key, history) in &mut known {
                learn(history, &kept[key], Hour(hour));
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

/// Takes in what was counted in an hour. Which signals they were is not kept by the hour.
fn learn(history: &mut History, kept: &History, hour: Hour) {
    let at = |series: &Series| series.at(detection::Hour(hour.0));
    let parts = kept.parts.iter().map(|(part, series)| (part.clone(), at(series).events())).filter(|(_, events)| *events > 0);
    let all = at(&kept.counts);
    history.learn(hour, &Count { trials: all.trials(), events: all.events(), parts: parts.collect(), examples: Vec::new() });
}

#[cfg(test)]
mod tests {
    use flywheel_model::Body;

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
