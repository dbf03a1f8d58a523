//! Whether an experiment is worth its traffic, before it starts.

use crate::findings::History;

use flywheel_model::{
    ActionKind, Body, Event, Experiment, ExperimentAction, ExperimentDecision, ExperimentHold, ExperimentHoldReason, ExperimentPlan,
    ExperimentState, Hour, Id, Key, PromptVariant, experiment_subject,
};
use flywheel_policy::{ExperimentIntent, ExperimentPolicy, Mode, Policy};
use flywheel_sequential::{self as sequential, Expected, level};
use jiff::Timestamp;

use crate::outcomes::still_cooling;

use super::book::Book;
use super::variant::Library;

/// How much an intent's conversations tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Traffic {
    /// Conversations a day whose resolution is known.
    pub units_a_day: f64,
    /// Their rate of resolution at present, 0 to 1.
    pub rate: f64,
}

/// Days that traffic is counted over.
const TRAFFIC_DAYS: i64 = 7;

impl Traffic {
    /// What the last days tell, those since a change if it is known when it came about.
    #[must_use]
    pub fn of(history: &History, changed: Option<Timestamp>, now: Timestamp) -> Self {
        let this = Hour::of(now);
        let first = history.counts.hours().next().map_or(this, |(hour, _)| Hour(hour.0));
        let from = Hour(first.0.max(this.0 - 24 * TRAFFIC_DAYS));
        let since = |from: Hour| {
            let hours = history.counts.hours().filter(|(hour, _)| hour.0 >= from.0);
            hours.fold((0, 0), |(trials, events), (_, tally)| (trials + tally.trials(), events + tally.events()))
        };
        let (trials, _) = since(from);
        let days = ((this.0 - from.0 + 1) as f64 / 24.0).max(1.0);
        let (of_rate, events) = changed.map_or_else(|| since(from), |changed| since(Hour::of(changed)));
        Self { units_a_day: trials as f64 / days, rate: events as f64 / (of_rate as f64).max(1.0) }
    }
}

/// What became of a request for an experiment.
#[derive(Debug, Clone, PartialEq)]
pub enum Queued {
    /// It waits for its turn, or for a person.
    Waits(Event, Box<Book>),
    /// It is not made, for a reason.
    Held(Event),
}

/// A request for an experiment.
struct Request<'r> {
    intent: &'r Key,
    finding: Option<&'r Id>,
    now: Timestamp,
}

impl Request<'_> {
    fn held(&self, reason: ExperimentHoldReason, explanation: String) -> Queued {
        Queued::Held(self.hold(reason, explanation))
    }

    fn hold(&self, reason: ExperimentHoldReason, explanation: String) -> Event {
        let day = (self.now.as_second() / 86_400).to_string();
        let cause = self.finding.map_or(day.as_str(), Id::as_str);
        let id = Id::of("decision.experiment-hold", &[self.intent.as_str(), cause, &explanation]);
        let subject = experiment_subject(self.intent);
        let causes = self.finding.map(flywheel_model::Finding::opening).into_iter().collect();
        let hold = ExperimentHold { experiment: None, intent: self.intent.clone(), reason, explanation };
        Event { id, subject, causes, at: self.now, body: Body::ExperimentHeld(hold) }
    }
}

/// The hold that there is no experiment for a finding before `cooling_until`, since a prompt that was promoted for this intent
/// made it worse lately; nothing once there may be one.
#[must_use]
pub fn hold_while_cooling(intent: &Key, finding: &Id, cooling_until: Option<Timestamp>, now: Timestamp) -> Option<Event> {
    let reason = still_cooling(ActionKind::Promotion, cooling_until, now)?;
    Some(Request { intent, finding: Some(finding), now }.hold(ExperimentHoldReason::Cooling, reason))
}

/// Plans an experiment for an intent, because a finding or a person asks for one: with the variants of these names, or with
/// those of the library that were not tried yet.
///
/// `control` is the variant that the flag serves at present.
#[must_use]
#[allow(clippy::too_many_arguments, reason = "each is a thing of its own that the decision rests on")]
pub fn queue(
    policy: &Policy,
    intent: &Key,
    finding: Option<&Id>,
    by: Option<&str>,
    wanted: &[String],
    library: &Library,
    control: &str,
    traffic: Traffic,
    book: &Book,
    now: Timestamp,
) -> Queued {
    let request = Request { intent, finding, now };
    let of_policy = &policy.experiments;
    let Some(settings) = of_policy.intent(intent) else {
        return request.held(
            ExperimentHoldReason::NoFlag,
            format!("The policy names no flag for the intent {intent}: add an [[experiments.intent]] table."),
        );
    };
    if let Some(there) = book.experiments.iter().find(|known| known.intent == *intent) {
        let explanation = format!("{} is there for the intent {intent} already.", there.experiment);
        return request.held(ExperimentHoldReason::AlreadyThere, explanation);
    }
    let waiting = book.experiments.iter().filter(|known| matches!(known.state, ExperimentState::Queued | ExperimentState::ToBeApproved));
    if waiting.count() >= of_policy.queued_at_most as usize {
        return request.held(ExperimentHoldReason::QueueFull, format!("{} experiments wait already.", of_policy.queued_at_most));
    }
    let refused = library.refused.iter().map(|(object, why)| format!(" {object} is not used: {why}.")).collect::<String>();
    let Some(control) = library.prompts.get(control) else {
        let explanation = format!(
            "The library has no valid variant {control:?}, which is served at present: put {}{control}.md there.{refused}",
            Library::folder(intent)
        );
        return request.held(ExperimentHoldReason::NoVariants, explanation);
    };
    let treatments = match treatments(intent, wanted, library, &control.variant, book) {
        Ok(treatments) if treatments.is_empty() => {
            let explanation = format!(
                "Every variant of the library was tried, or is served at present: put a new one below {}.{refused}",
                Library::folder(intent)
            );
            return request.held(ExperimentHoldReason::NoVariants, explanation);
        }
        Ok(treatments) => treatments,
        Err(missing) => {
            let explanation = format!("The library has no valid variant {missing:?} below {}.{refused}", Library::folder(intent));
            return request.held(ExperimentHoldReason::NoVariants, explanation);
        }
    };
    // Fewer arms decide sooner.
    let most = treatments.len().min(of_policy.variants_at_most as usize);
    let mut nearest = None;
    let planned = (1..=most).rev().find_map(|arms| {
        let plan = plan(of_policy, traffic, arms, book)?;
        let fits = plan.days_at_most <= f64::from(of_policy.days_at_most);
        nearest = Some(plan);
        fits.then_some((arms, plan))
    });
    let Some((arms, plan)) = planned else {
        let explanation = match nearest {
            Some(plan) => format!(
                "With {:.0} conversations a day of known resolution, and {:.1}% of them resolved, a change by {:.1} points would take {:.0} days to tell (with a power of {:.0}%), and the policy allows {}: raise experiments.days_at_most, .effect or .share.",
                plan.units_a_day,
                100.0 * plan.baseline,
                100.0 * plan.effect,
                plan.days_at_most,
                100.0 * plan.power,
                of_policy.days_at_most
            ),
            None => format!(
                "With {:.1} conversations a day of known resolution, and {:.1}% of them resolved, no experiment can tell a change: send the outcome of conversations (`resolved`).",
                traffic.units_a_day,
                100.0 * traffic.rate
            ),
        };
        return request.held(ExperimentHoldReason::TooSlow, explanation);
    };
    let treatments: Vec<PromptVariant> = treatments.into_iter().take(arms).collect();
    let proposed = treatments.iter().any(|variant| variant.proposed) && !of_policy.start_proposed;
    let state = if (of_policy.approve || proposed) && by.is_none() { ExperimentState::ToBeApproved } else { ExperimentState::Queued };
    let experiment = Experiment {
        experiment: name(intent, finding, &control.variant, &treatments, now),
        intent: intent.clone(),
        flag: settings.flag.clone(),
        uses: settings.uses.clone(),
        control: control.variant.clone(),
        treatments,
        finding: finding.cloned(),
        by: by.map(str::to_owned),
        queued_at: now,
        plan,
        state,
        stopped_by: None,
        promoted_by: None,
        asked: None,
        not_asked_before: None,
        held: None,
    };
    let event = decided(policy, settings, &experiment, &refused, now);
    let mut book = book.clone();
    book.experiments.push(experiment);
    Queued::Waits(event, Box::new(book))
}

/// The variants to compare with the control.
///
/// # Errors
/// The name of one that is wanted and is not there.
fn treatments(
    intent: &Key,
    wanted: &[String],
    library: &Library,
    control: &PromptVariant,
    book: &Book,
) -> Result<Vec<PromptVariant>, String> {
    if wanted.is_empty() {
        let untried = library.prompts.values().map(|prompt| &prompt.variant);
        let untried = untried.filter(|variant| variant.sha256 != control.sha256 && !book.was_tried(intent, &variant.sha256));
        return Ok(untried.cloned().collect());
    }
    let named = wanted.iter().map(|name| library.prompts.get(name).map(|prompt| prompt.variant.clone()).ok_or_else(|| name.clone()));
    let mut named: Vec<PromptVariant> = named.collect::<Result<_, _>>()?;
    named.retain(|variant| variant.sha256 != control.sha256);
    named.dedup_by(|one, other| one.name == other.name);
    Ok(named)
}

/// What an experiment with so many treatments takes; nothing if no amount of traffic is enough.
#[must_use]
pub fn plan(policy: &ExperimentPolicy, traffic: Traffic, treatments: usize, book: &Book) -> Option<ExperimentPlan> {
    let expected = expected(policy, traffic.rate);
    let error = levels(policy, book, treatments).into_iter().fold(policy.false_discovery_rate, f64::min);
    let planned = sequential::plan(&expected, error, policy.power)?;
    let each_day = traffic.units_a_day * policy.share / (treatments + 1) as f64;
    let days = |units: u64| units as f64 / each_day;
    let plan = ExperimentPlan {
        baseline: expected.baseline,
        effect: expected.effect,
        units_a_day: traffic.units_a_day,
        units_an_arm: planned.median,
        units_an_arm_at_most: planned.at_power,
        days: days(planned.median),
        days_at_most: days(planned.at_power),
        share: policy.share,
        power: policy.power,
    };
    plan.days_at_most.is_finite().then_some(plan)
}

/// What is expected of an experiment.
pub(super) fn expected(policy: &ExperimentPolicy, rate: f64) -> Expected {
    let baseline = rate.clamp(0.001, 0.999);
    // A relative change that would lead beyond all is half of what is left.
    let effect = (baseline * policy.effect).min((1.0 - baseline) / 2.0);
    Expected { baseline, effect }
}

/// The errors of the next comparisons, from the account's budget.
pub(super) fn levels(policy: &ExperimentPolicy, book: &Book, treatments: usize) -> Vec<f64> {
    (1..=treatments as u64).map(|next| level(policy.false_discovery_rate, book.tested + next, book.discoveries)).collect()
}

/// The name of an experiment: the same request gives the same one. Short, since every signal carries it.
fn name(intent: &Key, finding: Option<&Id>, control: &PromptVariant, treatments: &[PromptVariant], now: Timestamp) -> Key {
    let at = now.to_string();
    let mut parts = vec![intent.as_str(), finding.map_or(at.as_str(), Id::as_str), control.sha256.as_str()];
    parts.extend(treatments.iter().map(|variant| variant.sha256.as_str()));
    let id = Id::of("experiment", &parts);
    // Letters only: nothing that redaction could take for a number of somebody's.
    let letters: String = id.as_str().bytes().take(12).map(|digit| char::from(b'a' + digit % 26)).collect();
    Key::try_from(format!("exp-{letters}")).unwrap_or_else(|_| intent.clone())
}

fn decided(policy: &Policy, settings: &ExperimentIntent, experiment: &Experiment, refused: &str, now: Timestamp) -> Event {
    let plan = &experiment.plan;
    let names: Vec<&str> = experiment.treatments.iter().map(|variant| variant.name.as_str()).collect();
    let explanation = format!(
        "{} of {} against {}: with {:.0} conversations a day of known resolution, {:.1}% of them resolved, a change by {:.1} points is told after {} units an arm in the median, {} with a power of {:.0}%; that is {:.1} and {:.1} days at a share of {:.0}%. It uses {}.{refused}",
        names.join(", "),
        experiment.intent,
        experiment.control.name,
        plan.units_a_day,
        100.0 * plan.baseline,
        100.0 * plan.effect,
        plan.units_an_arm,
        plan.units_an_arm_at_most,
        100.0 * plan.power,
        plan.days,
        plan.days_at_most,
        100.0 * plan.share,
        settings.uses.join(", "),
    );
    let decision = ExperimentDecision {
        experiment: experiment.experiment.clone(),
        intent: experiment.intent.clone(),
        action: ExperimentAction::Queue { variants: experiment.arms().cloned().collect(), plan: *plan },
        explanation,
        dry_run: policy.mode == Mode::DryRun,
    };
    Event {
        id: Id::of("decision.experiment", &[experiment.experiment.as_str(), "queue"]),
        subject: experiment.subject(),
        causes: experiment.finding.iter().map(flywheel_model::Finding::opening).collect(),
        at: now,
        body: Body::ExperimentDecided(Box::new(decision)),
    }
}

/// Lets an experiment that waits for a person into the queue. Nothing if there is none that does.
#[must_use]
pub fn approve(book: &Book, experiment: &Key, by: &str) -> Option<Book> {
    let mut book = book.clone();
    let waiting = book.experiment_mut(experiment).filter(|known| known.state == ExperimentState::ToBeApproved)?;
    waiting.state = ExperimentState::Queued;
    waiting.by = Some(by.to_owned());
    waiting.held = None;
    Some(book)
}
