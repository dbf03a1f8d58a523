//! From counts to findings: which rate got worse, said once when it opens, again as the evidence grows, and when it is
//! over.
//!
//! The statistics are in `flywheel-detection`; this module keeps the findings of a metric, in [`MetricState`]. Hours of a
//! finding are no baseline: once it is closed they are left out of what later looks compare with, so that what was bad for
//! a week does not become what is usual.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_detection::{self as detection, Change, Direction, Look, Missing, Rule, Tally, Verdict, localise, recovered};
use flywheel_model::{AlarmState, Body, Count, Event, Evidence, Finding, FindingHold, Hour, Id, Key, Metric, Rate, Rates, Scope};
use flywheel_policy::{FindingPolicy, Measure, Policy};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is remembered of one series: its counts hour by hour, and where its latest events can be looked up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Trials and events of each hour.
    pub counts: detection::Series,
    /// The events that had each reason (of releases, each root cause), among the trials.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, detection::Series>,
    /// Signals that had it, newest first, at most [`Finding::EXAMPLES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Id>,
}

impl History {
    /// Takes in what was counted in an hour, in place of what was known of it. Doing so again changes nothing.
    pub fn learn(&mut self, hour: Hour, count: &Count) {
        let at = detection::Hour(hour.0);
        self.counts.set(at, tally(count.trials, count.events));
        let known: BTreeSet<String> = self.parts.keys().chain(count.parts.keys()).cloned().collect();
        for part in known {
            let events = count.parts.get(&part).copied().unwrap_or_default();
            self.parts.entry(part).or_default().set(at, tally(if events > 0 { count.trials } else { 0 }, events));
        }
        for example in count.examples.iter().rev() {
            self.examples.retain(|known| known != example);
            self.examples.insert(0, example.clone());
        }
        self.examples.truncate(Finding::EXAMPLES);
    }

    /// Forgets what no look needs any more.
    pub fn forget(&mut self, policy: &FindingPolicy, now: Timestamp) {
        let oldest = detection::Hour(Hour::of(now).0 - 24 * (i64::from(policy.baseline_days) + i64::from(policy.window_days) + 1));
        self.counts.keep_from(oldest);
        for part in self.parts.values_mut() {
            part.keep_from(oldest);
        }
        self.parts.retain(|_, part| part.hours().next().is_some());
    }

    /// The counts of one part among all trials.
    fn part(&self, part: &str) -> detection::Series {
        let events = self.parts.get(part);
        let both = |(hour, all): (detection::Hour, Tally)| (hour, tally(all.trials(), events.map_or(0, |events| events.at(hour).events())));
        self.counts.hours().map(both).collect()
    }
}

/// A tally of counts that come from outside: more events than trials count as all of them.
fn tally(trials: u64, events: u64) -> Tally {
    Tally::new(trials, events.min(trials)).unwrap_or_default()
}

/// What is remembered of a metric's findings between two looks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricState {
    /// Findings opened so far, open or closed: numbers the next one.
    pub opened: u64,
    /// Holds announced so far: numbers the next one.
    pub held: u64,
    /// What is open, by subject.
    pub open: BTreeMap<String, Open>,
    /// What was last announced as held, by subject.
    pub announced: BTreeMap<String, Missing>,
    /// Hours that are no baseline, by subject: those of closed findings.
    pub left_out: BTreeMap<String, Vec<(Hour, Hour)>>,
}

/// An open finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Open {
    /// The finding as it was last announced.
    pub finding: Finding,
    /// What it was opened on; nothing where an alarm did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<detection::Evidence>,
    /// How often it was announced again.
    pub updates: u64,
}

/// An alarm as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenAlarm {
    /// Its name.
    pub name: Key,
    /// Its state.
    pub state: AlarmState,
    /// CloudWatch's reason, redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it is in that state. An older report than this changes nothing.
    pub at: Timestamp,
}

/// A finding is told again when its logarithmic evidence has grown by this factor: ever more rarely.
const TELL_AGAIN: f64 = 2.0;

/// Looks at all keys of a metric. Gives the events that say what changed since the last look, and what to remember.
///
/// The same state and histories give the same events with the same ids, so that a look repeated after a crash tells
/// nothing twice.
#[must_use]
pub fn detect(
    metric: Metric,
    histories: &BTreeMap<Key, History>,
    alarms: &[SeenAlarm],
    state: &MetricState,
    policy: &Policy,
    now: Timestamp,
) -> (Vec<Event>, MetricState) {
    let mut detector =
        Detector { metric, histories, policy: &policy.findings, rule: rule(metric, policy), now, state: state.clone(), events: Vec::new() };
    detector.close_recovered();
    detector.watch_alarms(alarms, policy);
    let keys = histories.iter().map(|(key, history)| (Scope::Key(key.clone()), history.counts.clone())).collect();
    detector.watch(keys, true);
    if metric == Metric::FailedReleases {
        let causes = histories.iter().flat_map(|(service, history)| {
            history.parts.keys().map(|cause| (Scope::Cause { service: service.clone(), cause: cause.clone() }, history.part(cause)))
        });
        detector.watch(causes.collect(), false);
    }
    (detector.events, detector.state)
}

/// The policy's rule in the terms of the statistics.
pub(crate) fn rule(metric: Metric, policy: &Policy) -> Rule {
    let wanted = policy.findings.rule(metric);
    Rule {
        direction: if metric == Metric::Resolution { Direction::Fall } else { Direction::Rise },
        change: match wanted.measure {
            Measure::Relative => Change::Relative(wanted.change),
            Measure::Points => Change::Points(wanted.change),
        },
        minimum_sample: wanted.minimum_sample,
        baseline_days: policy.findings.baseline_days,
        window_days: policy.findings.window_days,
        false_alarms_a_month: policy.findings.false_alarms_a_month,
        drift_a_month: policy.findings.drift_a_month,
        seasons: true,
    }
}

/// The counts of a scope.
pub(crate) fn series(histories: &BTreeMap<Key, History>, scope: &Scope) -> detection::Series {
    match scope {
        Scope::Everywhere => histories.values().fold(detection::Series::default(), |mut all, history| {
            all.merge(&history.counts);
            all
        }),
        Scope::Key(key) => histories.get(key).map(|history| history.counts.clone()).unwrap_or_default(),
        Scope::Cause { service, cause } => histories.get(service).map(|history| history.part(cause)).unwrap_or_default(),
    }
}

struct Detector<'a> {
    metric: Metric,
    histories: &'a BTreeMap<Key, History>,
    policy: &'a FindingPolicy,
    rule: Rule,
    now: Timestamp,
    state: MetricState,
    events: Vec<Event>,
}

impl Detector<'_> {
    fn hour(&self) -> detection::Hour {
        detection::Hour(Hour::of(self.now).0)
    }

    /// Closes findings whose rate is back, and those that lasted so long that the new rate is the usual one.
    fn close_recovered(&mut self) {
        let long_ago = self.now - jiff::SignedDuration::from_hours(24 * i64::from(self.policy.baseline_days));
        for (subject, open) in self.state.open.clone() {
            let Some(evidence) = open.evidence else { continue };
            let recovery = recovered(&self.series(&open.finding.scope), &evidence, &self.rule, self.hour());
            if recovery.is_none() && open.finding.opened_at > long_ago {
                continue;
            }
            let mut finding = open.finding;
            if let Some(recovery) = recovery {
                // What it was before stays the baseline; what it is now is what shows that it is back.
                let back = rates(&recovery, None, BTreeMap::new());
                if let Evidence::Rates(told) = &mut finding.evidence {
                    (told.current, told.since, told.until) = (back.current, back.since, back.until);
                    told.change = told.current.rate / told.baseline.rate - 1.0;
                    (told.log_evidence, told.interval) = (back.log_evidence, [told.change.min(0.0), told.change.max(0.0)]);
                }
                self.state.left_out.entry(subject.clone()).or_default().push((Hour(evidence.since.0), Hour(recovery.since.0)));
            }
            self.close(&subject, finding);
        }
        let oldest = Hour(Hour::of(long_ago).0 - 24 * i64::from(self.policy.window_days));
        for hours in self.state.left_out.values_mut() {
            hours.retain(|(_, until)| *until > oldest);
        }
        self.state.left_out.retain(|_, hours| !hours.is_empty());
    }

    fn close(&mut self, subject: &str, finding: Finding) {
        self.state.open.remove(subject);
        self.state.announced.remove(subject);
        let id = Id::of("finding.closed", &[finding.finding.as_str()]);
        self.tell(id, subject, vec![Finding::opening(&finding.finding)], Body::FindingClosed(finding));
    }

    /// Opens and closes what the team's own alarms say.
    fn watch_alarms(&mut self, alarms: &[SeenAlarm], policy: &Policy) {
        let metric = self.metric;
        for mapping in policy.alarms.iter().filter(|mapping| mapping.metric == metric) {
            for alarm in alarms.iter().filter(|alarm| fast_glob::glob_match(&mapping.name, alarm.name.as_str())) {
                let scope = Scope::Key(mapping.key.clone());
                let subject = format!("{}/alarm/{}", scope.subject(self.metric), alarm.name);
                match (alarm.state, self.state.open.get(&subject).cloned()) {
                    (AlarmState::Alarm, None) => {
                        let evidence = Evidence::Alarm { name: alarm.name.clone(), reason: alarm.reason.clone() };
                        self.open(&subject, scope, evidence, None);
                    }
                    (AlarmState::Ok, Some(open)) => self.close(&subject, open.finding),
                    // What cannot be told changes nothing.
                    _ => {}
                }
            }
        }
    }

    /// Looks at scopes that share their false discoveries.
    fn watch(&mut self, mut series: BTreeMap<Scope, detection::Series>, together: bool) {
        for (scope, series) in &mut series {
            self.leave_out(&scope.subject(self.metric), series);
        }
        let located = localise(&series, &self.rule, self.hour(), self.policy.false_discovery_rate);
        if let (Some(evidence), true) = (located.everywhere, together) {
            self.found(Scope::Everywhere, &evidence);
        }
        for (scope, look) in located.specific {
            self.take_in(scope, look);
        }
    }

    fn take_in(&mut self, scope: Scope, look: Look) {
        let subject = scope.subject(self.metric);
        match look.verdict {
            Verdict::Moved(evidence) => self.found(scope, &evidence),
            Verdict::Held { so_far, missing, samples_needed } if !self.state.open.contains_key(&subject) => {
                // A wait that goes on is said once for each thing that is missing.
                if self.state.announced.insert(subject.clone(), missing) == Some(missing) {
                    return;
                }
                let rates = rates(&so_far, Some(samples_needed), self.parts(&scope, &so_far));
                let reason = hold_reason(self.metric, &rates, missing, &self.rule);
                let id = Id::of("finding.held", &[&subject, &self.state.held.to_string()]);
                self.state.held += 1;
                let hold = FindingHold { metric: self.metric, scope, reason, rates: Some(rates) };
                self.tell(id, &subject, Vec::new(), Body::FindingHeld(hold));
            }
            Verdict::Steady | Verdict::Learning { .. } => {
                self.state.announced.remove(&subject);
            }
            Verdict::Held { .. } => {}
        }
    }

    fn found(&mut self, scope: Scope, evidence: &detection::Evidence) {
        let subject = scope.subject(self.metric);
        let told = rates(evidence, None, self.parts(&scope, evidence));
        let examples = self.examples(&scope);
        // What comes after the last hour that was counted may already be the recovery.
        let last = self.series(&scope).between(evidence.since..evidence.until.plus(1)).map(|(hour, _)| hour).max();
        let evidence = &detection::Evidence { until: last.unwrap_or(evidence.until), ..*evidence };
        let Some(open) = self.state.open.get_mut(&subject) else {
            self.open(&subject, scope, Evidence::Rates(told), Some(*evidence));
            return;
        };
        let before = if let Evidence::Rates(before) = &open.finding.evidence { before.log_evidence } else { 0.0 };
        if told.log_evidence < before * TELL_AGAIN {
            return;
        }
        open.updates += 1;
        open.evidence = Some(detection::Evidence { since: open.evidence.map_or(evidence.since, |before| before.since), ..*evidence });
        open.finding.evidence = Evidence::Rates(told);
        open.finding.examples = examples;
        let (finding, updates) = (open.finding.clone(), open.updates);
        let id = Id::of("finding.updated", &[finding.finding.as_str(), &updates.to_string()]);
        self.tell(id, &subject, vec![Finding::opening(&finding.finding)], Body::FindingUpdated(finding));
    }

    fn open(&mut self, subject: &str, scope: Scope, evidence: Evidence, statistics: Option<detection::Evidence>) {
        let finding = Finding {
            finding: Id::of("finding", &[subject, &self.state.opened.to_string()]),
            metric: self.metric,
            examples: self.examples(&scope),
            scope,
            opened_at: self.now,
            evidence,
        };
        self.state.opened += 1;
        self.state.announced.remove(subject);
        self.state.open.insert(subject.to_owned(), Open { finding: finding.clone(), evidence: statistics, updates: 0 });
        self.tell(Finding::opening(&finding.finding), subject, Vec::new(), Body::FindingOpened(finding));
    }

    fn tell(&mut self, id: Id, subject: &str, causes: Vec<Id>, body: Body) {
        self.events.push(Event { id, subject: subject.to_owned(), causes, at: self.now, body });
    }

    fn series(&self, scope: &Scope) -> detection::Series {
        series(self.histories, scope)
    }

    /// Takes the hours of closed findings out.
    fn leave_out(&self, subject: &str, series: &mut detection::Series) {
        for (since, until) in self.state.left_out.get(subject).into_iter().flatten() {
            let hours: Vec<_> = series.between(detection::Hour(since.0)..detection::Hour(until.0)).map(|(hour, _)| hour).collect();
            for hour in hours {
                series.set(hour, Tally::default());
            }
        }
    }

    fn histories_of(&self, scope: &Scope) -> Vec<&History> {
        match scope {
            Scope::Everywhere => self.histories.values().collect(),
            Scope::Key(key) | Scope::Cause { service: key, .. } => self.histories.get(key).into_iter().collect(),
        }
    }

    /// In the window, the events that had each reason.
    fn parts(&self, scope: &Scope, evidence: &detection::Evidence) -> BTreeMap<String, u64> {
        let mut parts = BTreeMap::new();
        for history in self.histories_of(scope) {
            for (part, series) in &history.parts {
                let events: u64 = series.between(evidence.since..evidence.until.plus(1)).map(|(_, tally)| tally.events()).sum();
                if events > 0 {
                    *parts.entry(part.clone()).or_default() += events;
                }
            }
        }
        parts
    }

    /// The latest signals that had it, some of each history.
    fn examples(&self, scope: &Scope) -> Vec<Id> {
        let histories = self.histories_of(scope);
        let mut examples = Vec::new();
        for place in 0..Finding::EXAMPLES {
            examples.extend(histories.iter().filter_map(|history| history.examples.get(place)).cloned());
        }
        examples.truncate(Finding::EXAMPLES);
        examples
    }
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "events are a share of trials")]
fn rates(evidence: &detection::Evidence, samples_needed: Option<u64>, parts: BTreeMap<String, u64>) -> Rates {
    let rate = |trials: u64, rate: f64| Rate { trials, events: (trials as f64 * rate).round() as u64, rate };
    Rates {
        baseline: rate(evidence.baseline_trials, evidence.baseline_rate),
        current: rate(evidence.current_trials, evidence.current_rate),
        change: evidence.relative_change,
        interval: [evidence.interval.0, evidence.interval.1],
        log_evidence: evidence.log_evidence,
        since: Hour(evidence.since.0).start(),
        until: Hour(evidence.until.0).start(),
        parts,
        samples_needed,
    }
}

fn hold_reason(metric: Metric, rates: &Rates, missing: Missing, rule: &Rule) -> String {
    let change = format!(
        "{metric} went from {:.1}% to {:.1}% ({:+.0}%, {} of {} since {})",
        100.0 * rates.baseline.rate,
        100.0 * rates.current.rate,
        100.0 * rates.change,
        rates.current.events,
        rates.current.trials,
        rates.since
    );
    let more = rates.samples_needed.unwrap_or_default();
    let why = match missing {
        Missing::Sample => format!("the policy asks for {} at least", rule.minimum_sample),
        Missing::Evidence => "it may be chance".to_owned(),
        Missing::EvidenceAmongMany => "among so many keys, one like it may be chance".to_owned(),
    };
    format!("{change}: {why}; about {more} more would settle it")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAYS: i64 = 30;

    fn policy() -> Policy {
        let text = "mode = \"act\"\n[[data_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS12345678\"\nbucket = \"docs\"\n\
                    [[alarm]]\nname = \"checkout-*\"\nmetric = \"failed_responses\"\nkey = \"checkout\"\n";
        Policy::parse(text).expect("valid")
    }

    fn at(hour: i64) -> Timestamp {
        Hour(hour).start()
    }

    fn key(name: &str) -> Key {
        Key::try_from(name).expect("a key")
    }

    /// A topic with 100 responses an hour, of which so many fail.
    fn topic(history: &mut History, hours: std::ops::Range<i64>, failed: u64) {
        for hour in hours {
            let parts = BTreeMap::from([("no_answer".to_owned(), failed)]);
            history
                .learn(Hour(hour), &Count { trials: 100, events: failed, parts, examples: vec![Id::of("signal", &[&hour.to_string()])] });
        }
    }

    fn kinds(events: &[Event]) -> Vec<&'static str> {
        events.iter().map(Event::kind).collect()
    }

    /// The topics' histories after so many hours, `launch` failing more from day [`DAYS`] on, until it is mended.
    fn histories(until: i64, mended: i64) -> BTreeMap<Key, History> {
        let start = DAYS * 24;
        let (mut launch, mut other) = (History::default(), History::default());
        topic(&mut launch, 0..start, 10);
        topic(&mut launch, start..until.min(mended), 20);
        topic(&mut launch, mended.min(until)..until, 10);
        topic(&mut other, 0..until, 10);
        BTreeMap::from([(key("launch"), launch), (key("other"), other)])
    }

    #[test]
    fn a_finding_opens_once_is_told_again_as_it_grows_and_closes_on_recovery() {
        let policy = policy();
        let (start, mended) = (DAYS * 24, DAYS * 24 + 30);
        let mut state = MetricState::default();
        let mut told = Vec::new();
        for hour in start - 24..start + 96 {
            let histories = histories(hour + 1, mended);
            let (events, next) = detect(Metric::FailedResponses, &histories, &[], &state, &policy, at(hour));
            // Looking again at the same tells nothing.
            assert_eq!(kinds(&detect(Metric::FailedResponses, &histories, &[], &next, &policy, at(hour)).0), Vec::<&str>::new());
            told.extend(events);
            state = next;
        }
        let findings: Vec<&Event> = told.iter().filter(|event| event.kind() != "finding.held").collect();
        assert_eq!(findings.first().map(|event| event.kind()), Some("finding.opened"));
        assert_eq!(findings.last().map(|event| event.kind()), Some("finding.closed"));
        assert!(findings.iter().any(|event| event.kind() == "finding.updated"));
        assert_eq!(findings.iter().filter(|event| event.kind() == "finding.opened").count(), 1);
        assert!(findings.iter().all(|event| event.subject == "rate/failed_responses/launch"));
        let Body::FindingOpened(finding) = &findings[0].body else { panic!("opened") };
        let Evidence::Rates(rates) = &finding.evidence else { panic!("rates") };
        assert!(rates.since >= at(start - 1) && rates.since <= at(start + 2), "{rates:?}");
        assert!(rates.change > 0.5 && rates.interval[0] > 0.0 && rates.log_evidence > 4.6, "{rates:?}");
        assert_eq!(rates.parts["no_answer"], rates.current.events);
        assert_eq!(finding.examples.len(), Finding::EXAMPLES);
        assert!(state.open.is_empty() && !state.left_out.is_empty());
    }

    #[test]
    fn a_rise_everywhere_is_one_finding() {
        let policy = policy();
        let start = DAYS * 24;
        let mut histories = BTreeMap::new();
        for name in 0..12 {
            let mut history = History::default();
            topic(&mut history, 0..start, 10);
            topic(&mut history, start..start + 24, 16);
            histories.insert(key(&format!("topic {name}")), history);
        }
        let (events, _) = detect(Metric::FailedResponses, &histories, &[], &MetricState::default(), &policy, at(start + 24));
        let opened: Vec<&str> =
            events.iter().filter(|event| event.kind() == "finding.opened").map(|event| event.subject.as_str()).collect();
        assert_eq!(opened, ["rate/failed_responses"]);
    }

    #[test]
    fn an_alarm_opens_and_closes_the_finding_that_it_stands_for() {
        let policy = policy();
        let alarm = |state, hour| SeenAlarm { name: key("checkout-errors"), state, reason: None, at: at(hour) };
        let look =
            |alarm: SeenAlarm, state: &MetricState| detect(Metric::FailedResponses, &BTreeMap::new(), &[alarm], state, &policy, at(800));
        let (events, state) = look(alarm(AlarmState::Alarm, 800), &MetricState::default());
        assert_eq!(kinds(&events), ["finding.opened"]);
        let (events, state) = look(alarm(AlarmState::InsufficientData, 801), &state);
        assert_eq!(kinds(&events), Vec::<&str>::new());
        let (events, _) = look(alarm(AlarmState::Ok, 802), &state);
        assert_eq!(kinds(&events), ["finding.closed"]);
    }

    #[test]
    fn too_few_to_tell_is_a_hold_that_says_how_many_more() {
        let policy = policy();
        let start = DAYS * 24;
        let mut history = History::default();
        topic(&mut history, 0..start, 10);
        topic(&mut history, start..start + 1, 20);
        let histories = BTreeMap::from([(key("launch"), history)]);
        let (events, state) = detect(Metric::FailedResponses, &histories, &[], &MetricState::default(), &policy, at(start));
        assert_eq!(kinds(&events), ["finding.held"], "{events:?}");
        let Body::FindingHeld(hold) = &events[0].body else { panic!("held") };
        assert!(hold.reason.contains("more would settle it"), "{}", hold.reason);
        assert_eq!(kinds(&detect(Metric::FailedResponses, &histories, &[], &state, &policy, at(start)).0), Vec::<&str>::new());
    }
}
