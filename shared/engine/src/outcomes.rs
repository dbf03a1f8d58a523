//! What came of an action: the rate that triggered it, measured again.
//!
//! An action is awaited from the moment it took effect. After its settling time its rate is compared with what the season and
//! the rates that it did not touch lead to expect without it ([`flywheel_detection::effect`]), each hour again until that is
//! clear or time is up. Then it is graded once: kept, taken back or left to a person.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_detection::{self as detection, Direction, Effect, Spans, effect};
use flywheel_model::{
    ActionKind, ActionOutcome, ActionVerdict, Body, Escalation, Event, Evidence, ExperimentAction, Finding, Hour, Id, Key, MeasuredEffect,
    Metric, Scope, Undo,
};
use flywheel_policy::{Mode, Policy};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::findings::{History, rule, series};

/// The rate before a promotion is that of so many hours: an experiment runs for days, all of them after the change that it
/// answered.
const BEFORE_PROMOTION: SignedDuration = SignedDuration::from_hours(72);

/// Fewer hours before an action tell too little of their own.
const SHORTEST_BEFORE: i64 = 3;

/// An action whose effect is to be measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Awaited {
    /// The event that decided it.
    pub action: Id,
    /// What was done.
    pub what: ActionKind,
    /// The rate that triggered it.
    pub metric: Metric,
    /// Where.
    pub scope: Scope,
    /// Since when the rate was as it was when the action was decided.
    pub since: Timestamp,
    /// When it took effect.
    pub acted_at: Timestamp,
    /// The experiment, of a promotion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment: Option<Key>,
}

impl Awaited {
    /// How the ledger calls its rate.
    #[must_use]
    pub fn subject(&self) -> String {
        self.scope.subject(self.metric)
    }
}

/// The event that has to be looked up to know what is to be awaited after one: the finding that a refresh answered, the
/// decision that a change of the flags carried out.
#[must_use]
pub fn looked_up(event: &Event) -> Option<Id> {
    match &event.body {
        Body::RefreshEnded(refreshed) => Some(Finding::opening(&refreshed.finding)),
        Body::FlagChanged(receipt) if receipt.decision == Event::promotion(&receipt.experiment) => Some(receipt.decision.clone()),
        _ => None,
    }
}

/// What is to be awaited after an event, given the one that was looked up for it.
#[must_use]
pub fn awaited(event: &Event, found: Option<&Event>, policy: &Policy) -> Vec<Awaited> {
    let acted_at = event.at;
    let window = SignedDuration::from_hours(24 * i64::from(policy.findings.window_days));
    match (&event.body, found.map(|found| &found.body)) {
        (Body::RefreshEnded(_), Some(Body::FindingOpened(finding))) => {
            let since = match &finding.evidence {
                Evidence::Rates(rates) => rates.since,
                // An alarm does not say since when: as long as a change is looked for at most.
                Evidence::Alarm { .. } => finding.opened_at - window,
            };
            let action = Id::of("decision.refresh", &[Finding::opening(&finding.finding).as_str()]);
            let (metric, scope) = (finding.metric, finding.scope.clone());
            vec![Awaited { action, what: ActionKind::Refresh, metric, scope, since, acted_at, experiment: None }]
        }
        (Body::FlagChanged(receipt), Some(Body::ExperimentDecided(decision))) => match decision.action {
            ExperimentAction::Promote { .. } => vec![Awaited {
                action: receipt.decision.clone(),
                what: ActionKind::Promotion,
                metric: Metric::Resolution,
                scope: Scope::Key(decision.intent.clone()),
                since: acted_at - BEFORE_PROMOTION,
                acted_at,
                experiment: Some(receipt.experiment.clone()),
            }],
            _ => Vec::new(),
        },
        (Body::PreflightDecided(change), _) if change.added && !change.dry_run => {
            let services = change.check.services.iter().filter_map(|service| Key::try_from(service.as_str()).ok()).map(Scope::Key);
            let scopes: Vec<Scope> = if change.check.services.is_empty() { vec![Scope::Everywhere] } else { services.collect() };
            let of = |scope| Awaited {
                action: event.id.clone(),
                what: ActionKind::Check,
                metric: Metric::FailedReleases,
                scope,
                since: acted_at - window,
                acted_at,
                experiment: None,
            };
            scopes.into_iter().map(of).collect()
        }
        _ => Vec::new(),
    }
}

/// An action with what came of it, all that follows included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Graded {
    /// The action.
    pub awaited: Awaited,
    /// What came of it.
    pub outcome: ActionOutcome,
    /// When it was graded.
    pub at: Timestamp,
    /// It is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
    /// A person has to look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<Escalation>,
    /// Until then the same is not done again at the same place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooling_until: Option<Timestamp>,
}

impl Graded {
    /// What is to be told. The same whenever it is told.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        let subject = self.outcome.subject();
        let graded = Id::of("outcome.action", &[self.awaited.action.as_str(), &subject]);
        let tell = |id: Id, cause: &Id, body: Body| Event { id, subject: subject.clone(), causes: vec![cause.clone()], at: self.at, body };
        let mut events = vec![tell(graded.clone(), &self.awaited.action, Body::ActionGraded(Box::new(self.outcome.clone())))];
        if let Some(undo) = &self.undo {
            events.push(tell(Id::of("decision.undo", &[undo.action.as_str()]), &graded, Body::UndoDecided(undo.clone())));
        }
        if let Some(escalation) = &self.escalation {
            events.push(tell(Id::of("decision.escalation", &[graded.as_str()]), &graded, Body::Escalated(escalation.clone())));
        }
        events
    }
}

/// What is known of the world of an action.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The counts of its metric.
    pub histories: &'a BTreeMap<Key, History>,
    /// The actions on the same metric that are awaited, this one among them.
    pub awaited: &'a [Awaited],
    /// Those that were graded, in the order of time.
    pub graded: &'a [Graded],
}

impl<'a> Known<'a> {
    /// The other actions that fall into the time in which this one is measured.
    fn in_time_of(self, awaited: &Awaited) -> impl Iterator<Item = &'a Awaited> {
        let all = self.awaited.iter().chain(self.graded.iter().map(|graded| &graded.awaited));
        all.filter(|other| other.action != awaited.action && other.metric == awaited.metric && other.acted_at >= awaited.since)
    }
}

/// Whether an action has had the time to take effect. Before that nothing is told of it, whatever the counts say.
#[must_use]
pub fn is_due(awaited: &Awaited, policy: &Policy, now: Timestamp) -> bool {
    now >= awaited.acted_at + hours(policy.outcomes.settle_hours)
}

fn hours(hours: u32) -> SignedDuration {
    SignedDuration::from_hours(i64::from(hours))
}

/// Grades an action; nothing while it is too early to tell.
#[must_use]
pub fn grade(awaited: &Awaited, known: Known<'_>, policy: &Policy, now: Timestamp) -> Option<Graded> {
    if !is_due(awaited, policy, now) {
        return None;
    }
    let measured = measure(awaited, awaited.since, known, policy, now);
    let verdict = match &measured {
        None => ActionVerdict::Inconclusive,
        Some(effect) => match verdict(effect, awaited.metric, policy) {
            // Since when it was bad is an estimate. What is worse, or the same, only beside hours that were good is not told.
            told @ (ActionVerdict::Worse | ActionVerdict::Unchanged)
                if !later(awaited).all(|since| agrees(told, awaited, since, known, policy, now)) =>
            {
                ActionVerdict::Inconclusive
            }
            told => told,
        },
    };
    if verdict == ActionVerdict::Inconclusive && now < awaited.acted_at + hours(policy.outcomes.give_up_hours) {
        return None;
    }
    let beside = beside(awaited, known);
    let effect = measured.map(|effect| in_rates(&effect, policy));
    let explanation = explain(awaited, verdict, effect.as_ref(), &beside);
    let outcome = ActionOutcome {
        action: awaited.action.clone(),
        what: awaited.what,
        metric: awaited.metric,
        scope: awaited.scope.clone(),
        acted_at: awaited.acted_at,
        verdict,
        effect,
        beside,
        explanation,
    };
    let mut graded = Graded { awaited: awaited.clone(), outcome, at: now, undo: None, escalation: None, cooling_until: None };
    follow(&mut graded, known.graded, policy, now);
    Some(graded)
}

/// What follows from a verdict.
fn follow(graded: &mut Graded, earlier: &[Graded], policy: &Policy, now: Timestamp) {
    let Graded { awaited, outcome, .. } = &*graded;
    match outcome.verdict {
        ActionVerdict::Improved | ActionVerdict::Inconclusive => {}
        ActionVerdict::Worse => {
            let until = now + hours(policy.outcomes.worse_cooldown_hours);
            let reason = &outcome.explanation;
            // Whichever of several it was, taking one of them back would be a guess.
            let experiment = awaited.experiment.clone().filter(|_| outcome.beside.is_empty());
            let undo = experiment.map(|experiment| Undo {
                action: awaited.action.clone(),
                what: awaited.what,
                experiment,
                explanation: format!("{reason} It is taken back."),
                dry_run: policy.mode == Mode::DryRun,
            });
            let why = if outcome.beside.is_empty() {
                "It cannot be taken back"
            } else {
                "Which of them did it is not known, so that none is taken back"
            };
            let escalation =
                undo.is_none().then(|| escalation(awaited, vec![awaited.action.clone()], format!("{reason} {why}: a person has to look.")));
            graded.cooling_until = Some(until);
            graded.undo = undo;
            graded.escalation = escalation;
        }
        ActionVerdict::Unchanged => {
            let same_place = earlier.iter().rev().filter(|earlier| earlier.awaited.subject() == outcome.subject());
            let mut tried: Vec<Id> = same_place
                .take_while(|earlier| earlier.outcome.verdict == ActionVerdict::Unchanged)
                .map(|earlier| earlier.awaited.action.clone())
                .collect();
            tried.reverse();
            tried.push(awaited.action.clone());
            let most = policy.outcomes.unchanged_at_most as usize;
            if tried.len() >= most {
                let explanation = format!(
                    "{} That makes {} actions without an effect, one after the other: a person has to look.",
                    outcome.explanation,
                    tried.len()
                );
                let explanation = if tried.len() == 1 { format!("{} A person has to look.", outcome.explanation) } else { explanation };
                graded.escalation = Some(escalation(awaited, tried, explanation));
            }
        }
    }
}

fn escalation(awaited: &Awaited, tried: Vec<Id>, explanation: String) -> Escalation {
    Escalation { metric: awaited.metric, scope: awaited.scope.clone(), tried, explanation }
}

/// Later beginnings of the time before an action: half as long ago each, as long as some hours are left.
fn later(awaited: &Awaited) -> impl Iterator<Item = Timestamp> {
    let whole = (awaited.acted_at.as_second() - awaited.since.as_second()) / 3_600;
    let shorter = std::iter::successors(Some(whole / 2), |hours| Some(hours / 2)).take_while(|hours| *hours >= SHORTEST_BEFORE);
    shorter.map(|hours| awaited.acted_at - SignedDuration::from_hours(hours))
}

/// Whether the estimate stays on the verdict's side if the time before began later. How sure that is was told by all of it.
fn agrees(verdict: ActionVerdict, awaited: &Awaited, since: Timestamp, known: Known<'_>, policy: &Policy, now: Timestamp) -> bool {
    measure(awaited, since, known, policy, now).is_none_or(|effect| {
        let [_, estimate, _] = worsening(&effect, awaited.metric, policy, policy.outcomes.error);
        if verdict == ActionVerdict::Worse { estimate >= effect.matters } else { estimate.abs() < effect.matters }
    })
}

fn measure(awaited: &Awaited, since: Timestamp, known: Known<'_>, policy: &Policy, now: Timestamp) -> Option<Effect> {
    let at = |time: Timestamp| detection::Hour(Hour::of(time).0);
    let acted = at(awaited.acted_at);
    let spans = Spans { since: at(since), acted, after: acted.plus(1), until: at(now) };
    let untouched: Vec<&detection::Series> =
        untouched(awaited, known, policy).into_iter().map(|key| &known.histories[key].counts).collect();
    effect(&series(known.histories, &awaited.scope), &untouched, &rule(awaited.metric, policy), spans)
}

/// The keys of the same metric that neither this action nor another one in its time touched.
fn untouched<'a>(awaited: &Awaited, known: Known<'a>, policy: &Policy) -> Vec<&'a Key> {
    let Scope::Key(own) = &awaited.scope else { return Vec::new() };
    let mut touched: BTreeSet<&Key> = BTreeSet::from([own]);
    for other in known.in_time_of(awaited) {
        match &other.scope {
            Scope::Everywhere => return Vec::new(),
            Scope::Key(key) => _ = touched.insert(key),
            Scope::Cause { service, .. } => _ = touched.insert(service),
        }
    }
    let bases = |name: &Key| {
        let of_it = policy.topics.iter().filter(|topic| topic.name == *name).flat_map(|topic| &topic.knowledge_bases);
        of_it.map(String::as_str).collect::<BTreeSet<&str>>()
    };
    let synchronised = bases(own);
    known
        .histories
        .keys()
        .filter(|key| !touched.contains(key))
        .filter(|key| {
            // A topic may be served by the same knowledge bases; of one that the policy does not name that is not known.
            let of_it = bases(key);
            awaited.what != ActionKind::Refresh || (!of_it.is_empty() && of_it.is_disjoint(&synchronised))
        })
        .collect()
}

/// The other actions on the same rate in the same time.
fn beside(awaited: &Awaited, known: Known<'_>) -> Vec<Id> {
    let same = |other: &&Awaited| other.scope == awaited.scope || other.scope == Scope::Everywhere || awaited.scope == Scope::Everywhere;
    let ids: BTreeSet<&Id> = known.in_time_of(awaited).filter(same).map(|other| &other.action).collect();
    ids.into_iter().cloned().collect()
}

/// The shift of the log odds in the direction in which the metric gets worse: bounds and estimate.
fn worsening(effect: &Effect, metric: Metric, policy: &Policy, error: f64) -> [f64; 3] {
    let [low, high] = effect.bounds(error);
    match rule(metric, policy).direction {
        Direction::Rise => [low, effect.shift, high],
        Direction::Fall => [-high, -effect.shift, -low],
    }
}

fn verdict(effect: &Effect, metric: Metric, policy: &Policy) -> ActionVerdict {
    let [low, _, high] = worsening(effect, metric, policy, policy.outcomes.error);
    let [surely, estimate, _] = worsening(effect, metric, policy, policy.outcomes.undo_error);
    if surely > 0.0 && estimate >= effect.matters {
        ActionVerdict::Worse
    } else if high < 0.0 {
        ActionVerdict::Improved
    } else if low > -effect.matters && high < effect.matters {
        ActionVerdict::Unchanged
    } else {
        ActionVerdict::Inconclusive
    }
}

/// The effect as rates, as people read them.
fn in_rates(effect: &Effect, policy: &Policy) -> MeasuredEffect {
    let [low, high] = effect.bounds(policy.outcomes.error);
    MeasuredEffect {
        before: effect.before,
        after: effect.after,
        // The more the action added, the less was expected without it.
        expected: [effect.expected(high), effect.expected(effect.shift), effect.expected(low)],
        confidence: 1.0 - policy.outcomes.error,
        trials: effect.trials,
        untouched: effect.untouched as u64,
    }
}

fn explain(awaited: &Awaited, verdict: ActionVerdict, effect: Option<&MeasuredEffect>, beside: &[Id]) -> String {
    let what = awaited.what.in_words();
    let Some(effect) = effect else {
        return format!("What {what} did to {} of {} cannot be told: nothing was counted before or after.", awaited.metric, awaited.scope);
    };
    let percent = |rate: f64| format!("{:.1}%", 100.0 * rate);
    let [low, expected, high] = effect.expected.map(percent);
    let compared = if effect.untouched > 0 {
        format!("by its season and {} rates that it did not touch", effect.untouched)
    } else {
        "by its season alone, since there are too few rates that it did not touch: what else changed for this one is not told apart"
            .to_owned()
    };
    let mut text = format!(
        "{}: since {what}, {} of {} is {} in {} ({} in {} before); without it {expected} was to be expected ({low} to {high}, {:.0}% confidence) {compared}.",
        verdict_in_words(verdict),
        awaited.metric,
        awaited.scope,
        percent(effect.after),
        effect.trials[1],
        percent(effect.before),
        effect.trials[0],
        100.0 * effect.confidence,
    );
    if !beside.is_empty() {
        text.push_str(&format!(" {} other actions fell into the same time, so that none of them is credited with it.", beside.len()));
    }
    text
}

const fn verdict_in_words(verdict: ActionVerdict) -> &'static str {
    match verdict {
        ActionVerdict::Improved => "Improved",
        ActionVerdict::Unchanged => "No change that matters",
        ActionVerdict::Worse => "Worse",
        ActionVerdict::Inconclusive => "Cannot be told in time",
    }
}

/// Why an action is not taken again yet at a place where it made things worse the last time; nothing once it may be.
pub(crate) fn still_cooling(what: ActionKind, until: Option<Timestamp>, now: Timestamp) -> Option<String> {
    let until = until.filter(|until| now < *until)?;
    Some(format!(
        "made it worse: {} did the last time, and is not tried again before {}",
        what.in_words(),
        until.strftime("%Y-%m-%d %H:%M UTC")
    ))
}

#[cfg(test)]
mod tests {
    use flywheel_model::{Count, Rate, Rates};

    use super::*;

    const DAYS: i64 = 30;

    fn policy(more: &str) -> Policy {
        let text = format!(
            "mode = \"act\"\n[[unseen_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS12345678\"\n\
             [[topic]]\nname = \"launch\"\nwords = [\"launch\"]\nknowledge_bases = [\"KB12345678\"]\n{more}"
        );
        Policy::parse(&text).expect("valid")
    }

    fn hour(hour: i64) -> Timestamp {
        Hour(DAYS * 24 + hour).start()
    }

    fn key(name: &str) -> Key {
        Key::try_from(name).expect("a key")
    }

    /// A rate of so many percent: usually, since the change, and since the action of 12 hours later, up to hour `until`.
    fn history(percent: [u64; 3], until: i64) -> History {
        let mut history = History::default();
        for at in 0..DAYS * 24 + until {
            let percent = percent[usize::from(at >= DAYS * 24) + usize::from(at > DAYS * 24 + 12)];
            history.learn(Hour(at), &Count { trials: 400, events: 4 * percent, ..Count::default() });
        }
        history
    }

    fn refresh() -> Awaited {
        Awaited {
            action: Id::of("decision.refresh", &["1"]),
            what: ActionKind::Refresh,
            metric: Metric::FailedResponses,
            scope: Scope::Key(key("launch")),
            since: hour(0),
            acted_at: hour(12),
            experiment: None,
        }
    }

    fn promotion() -> Awaited {
        Awaited {
            action: Id::of("decision.experiment", &["1"]),
            what: ActionKind::Promotion,
            metric: Metric::Resolution,
            experiment: Some(key("exp-1")),
            ..refresh()
        }
    }

    fn graded(awaited: &Awaited, percent: [u64; 3], hours: i64, before: &[Graded], others: &[Awaited]) -> Option<Graded> {
        let histories = BTreeMap::from([(key("launch"), history(percent, hours))]);
        grade(awaited, Known { histories: &histories, awaited: others, graded: before }, &policy(""), hour(hours))
    }

    fn verdict_of(awaited: &Awaited, percent: [u64; 3], hours: i64) -> Option<ActionVerdict> {
        graded(awaited, percent, hours, &[], &[]).map(|graded| graded.outcome.verdict)
    }

    #[test]
    fn each_verdict_follows_from_the_rate() {
        for (percent, verdict) in [
            ([10, 20, 10], Some(ActionVerdict::Improved)),
            ([10, 20, 20], Some(ActionVerdict::Unchanged)),
            ([10, 20, 30], Some(ActionVerdict::Worse)),
        ] {
            assert_eq!(verdict_of(&refresh(), percent, 80), verdict, "{percent:?}");
        }
        // Of resolution more is better.
        assert_eq!(verdict_of(&promotion(), [50, 50, 70], 80), Some(ActionVerdict::Improved));
        assert_eq!(verdict_of(&promotion(), [50, 50, 30], 80), Some(ActionVerdict::Worse));
    }

    #[test]
    fn half_a_recovery_is_not_worse_because_the_bad_time_is_said_to_have_begun_too_early() {
        let early = Awaited { since: hour(-140), ..refresh() };
        assert_eq!(graded(&early, [10, 20, 15], 80, &[], &[]), None);
        assert_eq!(verdict_of(&early, [10, 20, 30], 80), Some(ActionVerdict::Worse));
    }

    #[test]
    fn nothing_is_told_before_the_settling_time() {
        assert_eq!(verdict_of(&refresh(), [10, 20, 10], 17), None);
        assert!(verdict_of(&refresh(), [10, 20, 10], 24).is_some());
    }

    #[test]
    fn what_is_not_clear_is_waited_for_and_then_given_up() {
        assert_eq!(verdict_of(&refresh(), [10, 20, 19], 20), None);
        let mut silent = history([10, 20, 20], 12);
        silent.counts.keep_from(detection::Hour(0));
        let histories = BTreeMap::from([(key("launch"), silent)]);
        let known = Known { histories: &histories, awaited: &[], graded: &[] };
        assert_eq!(grade(&refresh(), known, &policy(""), hour(100)), None);
        let graded = grade(&refresh(), known, &policy(""), hour(12 + 168)).expect("given up");
        assert_eq!((graded.outcome.verdict, graded.escalation, graded.undo), (ActionVerdict::Inconclusive, None, None));
    }

    #[test]
    fn a_promotion_that_made_it_worse_is_taken_back_and_not_repeated_for_a_while() {
        let graded = graded(&promotion(), [50, 50, 30], 80, &[], &[]).expect("graded");
        assert_eq!(graded.undo.as_ref().map(|undo| undo.experiment.as_str()), Some("exp-1"));
        assert_eq!(graded.cooling_until, Some(hour(80 + 168)));
        assert!(graded.escalation.is_none());
        let kinds: Vec<&str> = graded.events().iter().map(Event::kind).collect();
        assert_eq!(kinds, ["outcome.action", "decision.undo"]);
    }

    #[test]
    fn what_cannot_be_taken_back_is_left_to_a_person() {
        let graded = graded(&refresh(), [10, 20, 30], 80, &[], &[]).expect("graded");
        let escalation = graded.escalation.expect("a person looks");
        assert!(graded.undo.is_none() && escalation.explanation.contains("cannot be taken back"), "{escalation:?}");
    }

    #[test]
    fn two_actions_in_the_same_time_are_not_credited_and_not_taken_back() {
        let other = Awaited { action: Id::of("decision.experiment", &["2"]), acted_at: hour(15), ..promotion() };
        let graded = graded(&promotion(), [50, 50, 30], 80, &[], &[promotion(), other.clone()]).expect("graded");
        assert_eq!(graded.outcome.beside, [other.action]);
        assert!(graded.undo.is_none() && graded.escalation.is_some());
        assert!(graded.outcome.explanation.contains("none of them is credited"), "{}", graded.outcome.explanation);
    }

    #[test]
    fn the_second_action_without_an_effect_asks_a_person_with_what_was_tried() {
        let first = graded(&refresh(), [10, 20, 20], 80, &[], &[]).expect("graded");
        assert_eq!(first.escalation, None);
        let again = Awaited { action: Id::of("decision.refresh", &["2"]), ..refresh() };
        let second = graded(&again, [10, 20, 20], 80, std::slice::from_ref(&first), &[]).expect("graded");
        assert_eq!(second.escalation.map(|escalation| escalation.tried), Some(vec![refresh().action, again.action]));
    }

    #[test]
    fn topics_of_the_same_knowledge_base_are_no_comparison() {
        let more = "[[topic]]\nname = \"shared\"\nwords = [\"a\"]\nknowledge_bases = [\"KB12345678\"]\n\
                    [[topic]]\nname = \"apart\"\nwords = [\"b\"]\nknowledge_bases = [\"KBELSEWHER\"]\n\
                    [[topic]]\nname = \"busy\"\nwords = [\"c\"]\nknowledge_bases = [\"KBELSEWHER\"]\n";
        let names = ["apart", "busy", "launch", "shared", "unclassified"];
        let histories: BTreeMap<Key, History> = names.map(|name| (key(name), History::default())).into();
        let others = [Awaited { action: Id::of("decision.refresh", &["2"]), scope: Scope::Key(key("busy")), ..refresh() }];
        let known = Known { histories: &histories, awaited: &others, graded: &[] };
        assert_eq!(untouched(&refresh(), known, &policy(more)), [&key("apart")]);
    }

    #[test]
    fn a_dry_run_takes_nothing_back() {
        let histories = BTreeMap::from([(key("launch"), history([50, 50, 30], 80))]);
        let policy = Policy { mode: Mode::DryRun, ..policy("") };
        let graded = grade(&promotion(), Known { histories: &histories, awaited: &[], graded: &[] }, &policy, hour(80)).expect("graded");
        assert!(graded.undo.expect("decided").dry_run);
    }

    #[test]
    fn a_refresh_is_awaited_from_the_change_that_its_finding_saw() {
        let rate = Rate { trials: 100, events: 10, rate: 0.1 };
        let rates = Rates {
            baseline: rate,
            current: rate,
            change: 1.0,
            interval: [0.5, 2.0],
            log_evidence: 12.0,
            since: hour(0),
            until: hour(5),
            parts: BTreeMap::new(),
            samples_needed: None,
        };
        let finding = Finding {
            finding: Id::of("finding", &["1"]),
            metric: Metric::FailedResponses,
            scope: Scope::Key(key("launch")),
            opened_at: hour(5),
            evidence: Evidence::Rates(rates),
            examples: Vec::new(),
        };
        let opening = Finding::opening(&finding.finding);
        let tell = |id: Id, at, body| Event { id, subject: String::new(), causes: Vec::new(), at, body };
        let refreshed = flywheel_model::Refreshed {
            finding: finding.finding.clone(),
            data_source: flywheel_model::DataSourceId::new("KB12345678", "DS12345678"),
        };
        let ended = tell(Id::of("outcome.refresh", &["1"]), hour(12), Body::RefreshEnded(refreshed));
        assert_eq!(looked_up(&ended), Some(opening.clone()));
        let opened = tell(opening.clone(), hour(5), Body::FindingOpened(finding));
        let wanted = Awaited { action: Id::of("decision.refresh", &[opening.as_str()]), ..refresh() };
        assert_eq!(awaited(&ended, Some(&opened), &policy("")), [wanted]);
        assert_eq!(awaited(&ended, None, &policy("")), []);
    }
}
