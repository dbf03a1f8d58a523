//! What is to be done about experiments now.

use std::collections::BTreeMap;

use flywheel_model::{
    Approval, ApprovalAction, ApprovalRequest, Body, Conclusion, Event, Experiment, ExperimentAction, ExperimentDecision, ExperimentHold,
    ExperimentHoldReason, ExperimentOutcome, ExperimentReceipt, ExperimentRun, ExperimentState, ExperimentVerdict, Id, Key, PromptVariant,
    experiment_subject,
};
use flywheel_policy::{ExperimentPolicy, Mode, Policy, Risk};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::book::{Book, Tried};
use super::conclude::{Look, compare, conclude};
use super::flag;
use super::outcomes::Outcomes;
use super::picture::draw;
use super::plan::levels;
use crate::approvals::{self, Asked, Come, HighRisk, Proposal, come_of, risk_of};

/// The application's feature flags, and how far their deployment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flags {
    /// The latest version of the document there is; 0 if there is none.
    pub latest: i32,
    /// The version that is served, or on its way to be …
    pub version: i32,
    /// … and its text.
    pub document: String,
    /// The latest deployment of the environment, whatever it deploys.
    pub rollout: Option<Rollout>,
    /// Whether alarms watch the environment, which roll a bad deployment back.
    pub guarded: bool,
}

/// A deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rollout {
    /// Its number.
    pub number: i32,
    /// How far it is.
    pub state: RolloutState,
}

/// How far a deployment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutState {
    /// It goes on, and no other one may begin.
    UnderWay,
    /// All of it is served.
    Complete,
    /// What was there before is served again.
    RolledBack,
}

/// A change of the flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagChange {
    /// The experiment that it is for.
    pub experiment: Key,
    /// The decision.
    pub decision: Id,
    /// The new document.
    pub document: String,
    /// The latest version there may be: if there is a later one, somebody else was faster.
    pub latest: i32,
    /// The version that takes it back.
    pub undo: i32,
    /// The deployment strategy.
    pub strategy: String,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Nothing that is not known.
    Nothing,
    /// Publish these events, and remember this.
    Tell(Vec<Event>, Box<Book>),
    /// Publish these events, remember this, and change the flags.
    Change(Vec<Event>, Box<Book>, FlagChange),
    /// Remember this, and stop our own deployment of this number, which is under way: something more urgent waits for it.
    Halt(Box<Book>, i32),
}

/// What is known of the world.
struct Turn<'t> {
    policy: &'t Policy,
    book: &'t Book,
    outcomes: &'t BTreeMap<Key, Outcomes>,
    texts: &'t BTreeMap<Key, String>,
    flags: &'t Flags,
    approvals: &'t BTreeMap<Id, Approval>,
    now: Timestamp,
}

/// What is to be done about experiments now. `texts` says of running ones whose variants were changed in the library what
/// happened to them; `approvals` how it stands with what people are asked.
#[must_use]
pub fn next(
    policy: &Policy,
    book: &Book,
    outcomes: &BTreeMap<Key, Outcomes>,
    texts: &BTreeMap<Key, String>,
    flags: &Result<Flags, String>,
    approvals: &BTreeMap<Id, Approval>,
    now: Timestamp,
) -> Next {
    match flags {
        Ok(flags) => Turn { policy, book, outcomes, texts, flags, approvals, now }.next(),
        Err(why) => {
            let waiting = book.experiments.iter().find(|known| !known.is_over() && known.held != Some(ExperimentHoldReason::Flag));
            waiting.map_or(Next::Nothing, |waiting| {
                held(book, waiting, ExperimentHoldReason::Flag, format!("The flags cannot be read: {why}."), now).unwrap_or(Next::Nothing)
            })
        }
    }
}

impl Turn<'_> {
    fn next(&self) -> Next {
        // Ends come before beginnings, so that a stop wins over a start.
        let steps =
            [Self::stop, Self::look, Self::clean_up, Self::clear_stray, Self::follow_promotion, Self::promote, Self::split, Self::start];
        let found = steps.iter().find_map(|step| step(self)).unwrap_or(Next::Nothing);
        match found {
            Next::Change(..) | Next::Halt(..) if self.policy.mode == Mode::DryRun => Next::Nothing,
            found => found,
        }
    }

    fn of_policy(&self) -> &ExperimentPolicy {
        &self.policy.experiments
    }

    /// The value of an experiment's flag.
    fn value(&self, experiment: &Experiment) -> Result<Option<Value>, String> {
        flag::value(&self.flags.document, &experiment.flag)
    }

    fn under_way(&self) -> Option<i32> {
        self.flags.rollout.filter(|rollout| rollout.state == RolloutState::UnderWay).map(|rollout| rollout.number)
    }

    /// The book with one experiment in another state.
    fn book_with(&self, experiment: &Experiment, state: ExperimentState) -> Box<Book> {
        let mut book = self.book.clone();
        if let Some(known) = book.experiment_mut(&experiment.experiment) {
            known.state = state;
            known.held = None;
        }
        Box::new(book)
    }

    /// What a person stopped is over, or is cleaned up.
    fn stop(&self) -> Option<Next> {
        let stopped = |known: &&Experiment| {
            known.stopped_by.is_some() && !matches!(known.state, ExperimentState::Over { .. } | ExperimentState::Concluded { .. })
        };
        let experiment = self.book.experiments.iter().find(stopped)?;
        let by = experiment.stopped_by.as_deref().unwrap_or_default();
        let conclusion = self.conclusion(experiment, ExperimentVerdict::Stopped, format!("{by} stopped it."));
        let state = match &experiment.state {
            ExperimentState::Running(run) => {
                ExperimentState::Concluded { run: run.clone(), conclusion: conclusion.clone(), cleaned: false }
            }
            ExperimentState::Promoting { run, .. } => {
                ExperimentState::Concluded { run: run.clone(), conclusion: conclusion.clone(), cleaned: false }
            }
            _ => ExperimentState::Over { conclusion: conclusion.clone(), at: self.now },
        };
        Some(Next::Tell(vec![self.outcome(experiment, &conclusion)], self.book_with(experiment, state)))
    }

    /// Looks at what runs: whether it is what it should be, whether it can be decided, whether more may take part.
    fn look(&self) -> Option<Next> {
        self.book.experiments.iter().find_map(|experiment| {
            let ExperimentState::Running(run) = &experiment.state else { return None };
            let in_force_at = run.in_force_at?;
            if let Some(next) = self.look_at_flag(experiment, run) {
                return Some(next);
            }
            if let Some(why) = self.texts.get(&experiment.experiment) {
                return Some(self.concluded(experiment, run, self.conclusion(experiment, ExperimentVerdict::Broken, why.clone()), false));
            }
            let outcomes = self.outcomes.get(&experiment.experiment).cloned().unwrap_or_default();
            match conclude(experiment, run, &outcomes, self.of_policy(), self.now) {
                Look::Concluded(conclusion) => return Some(self.concluded(experiment, run, conclusion, false)),
                Look::Drop(names, why) => {
                    let mut run = ExperimentRun { in_force_at: None, ..run.clone() };
                    run.dropped.extend(names);
                    return Some(self.resplit(experiment, run, why));
                }
                Look::GoOn => {}
            }
            let steps: Vec<f64> = self.of_policy().ramp.iter().copied().chain([self.of_policy().share]).collect();
            let share = *steps.get(run.step + 1)?;
            let rests = SignedDuration::from_secs(i64::from(self.of_policy().ramp_seconds));
            if self.now.duration_since(in_force_at) < rests || self.of_policy().freeze(self.now).is_some() {
                return None;
            }
            let why = format!("No guardrail broke in {rests:#} at {:.1}%: {:.1}% take part from now on.", 100.0 * run.share, 100.0 * share);
            Some(self.resplit(experiment, ExperimentRun { step: run.step + 1, in_force_at: None, share, ..run.clone() }, why))
        })
    }

    /// A flag that was changed by hand, or rolled back by an alarm, ends the experiment.
    fn look_at_flag(&self, experiment: &Experiment, run: &ExperimentRun) -> Option<Next> {
        let wanted = flag::split(experiment, run, &self.of_policy().split_by, self.value(experiment).ok().flatten().as_ref());
        let (verdict, why, cleaned) = match self.value(experiment) {
            Ok(Some(value)) if flag::same(&value, &wanted) => return None,
            _ if self.flags.rollout.is_some_and(|rollout| rollout.state == RolloutState::RolledBack) => {
                let why = format!("AppConfig rolled the split of the flag {} back: an alarm of its environment went off.", experiment.flag);
                (ExperimentVerdict::Guardrail, why, false)
            }
            Ok(_) => {
                let why = format!("Somebody else changed the flag {}: it stays as they left it.", experiment.flag);
                (ExperimentVerdict::Broken, why, true)
            }
            Err(why) => (ExperimentVerdict::Broken, format!("The flag {} cannot be read: {why}", experiment.flag), true),
        };
        let Next::Tell(events, mut book) = self.concluded(experiment, run, self.conclusion(experiment, verdict, why), cleaned) else {
            return None;
        };
        if let (true, Ok(Some(value))) = (cleaned, self.value(experiment)) {
            book.left_alone.insert(experiment.flag.clone(), flag::digest(&value));
        }
        Some(Next::Tell(events, book))
    }

    fn concluded(&self, experiment: &Experiment, run: &ExperimentRun, conclusion: Conclusion, cleaned: bool) -> Next {
        let event = self.outcome(experiment, &conclusion);
        let winner = conclusion.verdict == ExperimentVerdict::Winner;
        let mut book = self.book_with(experiment, ExperimentState::Concluded { run: run.clone(), conclusion, cleaned });
        book.discoveries += u64::from(winner);
        Next::Tell(vec![event], book)
    }

    fn resplit(&self, experiment: &Experiment, run: ExperimentRun, why: String) -> Next {
        let event = self.split_decided(experiment, &run, why);
        Next::Tell(vec![event], self.book_with(experiment, ExperimentState::Running(run)))
    }

    /// A conclusion that does not come of the counts.
    fn conclusion(&self, experiment: &Experiment, verdict: ExperimentVerdict, explanation: String) -> Conclusion {
        let outcomes = self.outcomes.get(&experiment.experiment).map(Outcomes::arms).unwrap_or_default();
        let comparisons = if outcomes.is_empty() { Vec::new() } else { compare(experiment, &outcomes, self.of_policy()) };
        Conclusion { verdict, winner: None, comparisons, explanation, at: self.now }
    }

    /// The flag of what is concluded serves the control to everybody.
    fn clean_up(&self) -> Option<Next> {
        self.book.experiments.iter().find_map(|experiment| {
            let ExperimentState::Concluded { run, conclusion, cleaned: false } = &experiment.state else { return None };
            let present = self.value(experiment).ok().flatten();
            let wanted = flag::whole(&experiment.control, present.as_ref());
            let clean = || ExperimentState::Concluded { run: run.clone(), conclusion: conclusion.clone(), cleaned: true };
            let is_clean = present.as_ref().is_some_and(|value| flag::same(value, &wanted));
            // While a split is being made whoever makes it may be slow: a version more is what stops them.
            if is_clean && run.in_force_at.is_some() {
                return Some(Next::Tell(Vec::new(), self.book_with(experiment, clean())));
            }
            if let Some(number) = self.under_way() {
                return self.halt(number).or_else(|| self.held(experiment, ExperimentHoldReason::Deployment, DEPLOYING.to_owned()));
            }
            let why = format!("It is concluded ({}): everybody gets {} again.", conclusion.verdict, experiment.control.name);
            let event = self.decided(experiment, ExperimentAction::CleanUp, &[&conclusion.at.to_string()], why);
            let change =
                self.change(&experiment.experiment, &experiment.flag, event.id.clone(), wanted, &self.of_policy().strategy).ok()?;
            Some(Next::Change(vec![event], Box::new(self.book.clone()), change))
        })
    }

    /// Stops a deployment of ours, so that something more urgent need not wait until it has baked. It begins anew afterwards.
    fn halt(&self, number: i32) -> Option<Next> {
        let ours = self.book.experiments.iter().find_map(|known| {
            let state = match known.state.clone() {
                ExperimentState::Promoting { run, conclusion, deployment: Some(deployment) } if deployment == number => {
                    ExperimentState::Promoting { run, conclusion, deployment: None }
                }
                ExperimentState::Running(run) if run.deployment == Some(number) => {
                    ExperimentState::Running(ExperimentRun { deployment: None, in_force_at: None, ..run })
                }
                ExperimentState::Concluded { run, conclusion, cleaned: false } if run.deployment == Some(number) => {
                    let run = ExperimentRun { deployment: None, ..run };
                    ExperimentState::Concluded { run, conclusion, cleaned: false }
                }
                _ => return None,
            };
            Some((known, state))
        });
        let (known, state) = ours?;
        Some(Next::Halt(self.book_with(known, state), number))
    }

    /// A flag that is split for an experiment that does not run: whoever split it heard too late of a stop.
    fn clear_stray(&self) -> Option<Next> {
        self.of_policy().intents.iter().find_map(|settings| {
            let value = flag::value(&self.flags.document, &settings.flag).ok()??;
            let named = Key::try_from(flag::experiment(&value)?).ok()?;
            let begun =
                |known: &Experiment| matches!(known.state, ExperimentState::Running(_) | ExperimentState::Concluded { cleaned: false, .. });
            // What a person left so stays so.
            let left_alone = self.book.left_alone.get(&settings.flag) == Some(&flag::digest(&value));
            if left_alone || self.book.experiment(&named).is_some_and(begun) || self.under_way().is_some() {
                return None;
            }
            let explanation =
                format!("The flag {} is split for {named}, which does not run: everybody gets what those outside get.", settings.flag);
            let decision = ExperimentDecision {
                experiment: named.clone(),
                intent: settings.intent.clone(),
                action: ExperimentAction::CleanUp,
                explanation,
                dry_run: self.policy.mode == Mode::DryRun,
            };
            let event = Event {
                id: Id::of("decision.experiment", &[named.as_str(), "stray", &self.flags.version.to_string()]),
                subject: experiment_subject(&named),
                causes: Vec::new(),
                at: self.now,
                body: Body::ExperimentDecided(Box::new(decision)),
            };
            let (flag, strategy) = (&settings.flag, &self.of_policy().strategy);
            let change = self.change(&named, flag, event.id.clone(), flag::unsplit(&value), strategy).ok()?;
            Some(Next::Change(vec![event], Box::new(self.book.clone()), change))
        })
    }

    /// The end of a deployment of a winner.
    fn follow_promotion(&self) -> Option<Next> {
        self.book.experiments.iter().find_map(|experiment| {
            let ExperimentState::Promoting { run, conclusion, deployment: Some(deployment) } = &experiment.state else { return None };
            let rollout = self.flags.rollout?;
            let over = || ExperimentState::Over { conclusion: conclusion.clone(), at: self.now };
            match rollout.state {
                RolloutState::UnderWay if rollout.number == *deployment => None,
                RolloutState::RolledBack if rollout.number == *deployment => {
                    let why = format!(
                        "AppConfig rolled the deployment of {} back: an alarm of its environment went off.",
                        winner_name(conclusion)
                    );
                    let rolled_back =
                        Conclusion { verdict: ExperimentVerdict::RolledBack, explanation: why, at: self.now, ..conclusion.clone() };
                    let event = self.outcome(experiment, &rolled_back);
                    let state = ExperimentState::Concluded { run: run.clone(), conclusion: rolled_back, cleaned: false };
                    Some(Next::Tell(vec![event], self.book_with(experiment, state)))
                }
                // Complete, or somebody else deployed something since, which does not begin before ours ended.
                _ => Some(Next::Tell(Vec::new(), self.over(experiment, conclusion, over()))),
            }
        })
    }

    /// Lets the winner of what is concluded and clean be promoted; all others are over.
    fn promote(&self) -> Option<Next> {
        self.book.experiments.iter().find_map(|experiment| match &experiment.state {
            ExperimentState::Concluded { run, conclusion, cleaned: true } => {
                let Some(winner) = winner(experiment, conclusion) else {
                    let over = ExperimentState::Over { conclusion: conclusion.clone(), at: self.now };
                    return Some(Next::Tell(Vec::new(), self.over(experiment, conclusion, over)));
                };
                if let Some(risk) = self.waits_for_a_person(experiment, winner) {
                    return self.ask(experiment, winner, conclusion, risk);
                }
                if let Some(freeze) = self.of_policy().freeze(self.now) {
                    return self.held(experiment, ExperimentHoldReason::Frozen, format!("The policy freezes changes until {}.", freeze.to));
                }
                let strategy = self.of_policy().promotion_strategy.clone();
                let by = experiment.promoted_by.as_deref().map_or_else(String::new, |by| format!(" {by} approved it."));
                let why = format!("{}{by} It is deployed by {strategy}, and rolled back if an alarm goes off.", conclusion.explanation);
                let action = ExperimentAction::Promote { variant: winner.clone(), strategy };
                let mut event = Event { id: Event::promotion(&experiment.experiment), ..self.decided(experiment, action, &[], why) };
                let approval = experiment.asked.as_ref().and_then(|asked| self.approvals.get(&asked.approval));
                event.causes.extend(approval.and_then(Approval::answered).map(|granted| granted.id));
                let state = ExperimentState::Promoting { run: run.clone(), conclusion: conclusion.clone(), deployment: None };
                Some(Next::Tell(vec![event], self.book_with(experiment, state)))
            }
            ExperimentState::Promoting { run, conclusion, deployment: None } => {
                let winner = winner(experiment, conclusion)?;
                let wanted = flag::whole(winner, self.value(experiment).ok().flatten().as_ref());
                if self.value(experiment).ok().flatten().is_some_and(|value| flag::same(&value, &wanted)) {
                    let deployment = self.flags.rollout.map(|rollout| rollout.number);
                    let state = ExperimentState::Promoting { run: run.clone(), conclusion: conclusion.clone(), deployment };
                    return Some(Next::Tell(Vec::new(), self.book_with(experiment, state)));
                }
                if self.under_way().is_some() {
                    return self.held(experiment, ExperimentHoldReason::Deployment, DEPLOYING.to_owned());
                }
                let decision = Event::promotion(&experiment.experiment);
                let change =
                    self.change(&experiment.experiment, &experiment.flag, decision, wanted, &self.of_policy().promotion_strategy).ok()?;
                Some(Next::Change(Vec::new(), Box::new(self.book.clone()), change))
            }
            _ => None,
        })
    }

    /// Why a winner is not promoted without a person.
    fn waits_for_a_person(&self, experiment: &Experiment, winner: &PromptVariant) -> Option<HighRisk> {
        if experiment.promoted_by.is_some() {
            return None;
        }
        let risk = self.of_policy().intent(&experiment.intent).map_or(Risk::High, |settings| settings.risk);
        risk_of(&Proposal::Winner { experiment, winner, risk, guarded: self.flags.guarded }, &self.policy.approvals)
    }

    /// Asks a person about a winner, and follows from the answer.
    fn ask(&self, experiment: &Experiment, winner: &PromptVariant, conclusion: &Conclusion, risk: HighRisk) -> Option<Next> {
        if let Some(request) = &experiment.asked {
            return self.answered(experiment, winner, request);
        }
        if experiment.not_asked_before.is_some_and(|until| self.now < until) {
            return None;
        }
        if self.policy.mode == Mode::DryRun {
            let why = format!("{} waits: {} In a dry run nobody is asked.", winner.name, risk.why);
            return self.held(experiment, ExperimentHoldReason::Promotion, why);
        }
        let request = to_promote(self.policy, self.book, experiment, winner, conclusion, risk, self.now);
        let why = format!(
            "{} waits: {} A person may promote it until {}: `flywheel approve {}`. Without an answer nothing is done.",
            winner.name, request.risk, request.deadline, request.approval
        );
        let mut book = self.book.clone();
        let known = book.experiment_mut(&experiment.experiment)?;
        known.asked = Some(request);
        known.held = Some(ExperimentHoldReason::Promotion);
        Some(Next::Tell(vec![hold(self.book, experiment, ExperimentHoldReason::Promotion, why, self.now)], Box::new(book)))
    }

    /// What follows from how it stands with the question about a winner; nothing if it waits.
    fn answered(&self, experiment: &Experiment, winner: &PromptVariant, request: &ApprovalRequest) -> Option<Next> {
        let approval = self.approvals.get(&request.approval);
        let mut book = self.book.clone();
        let known = book.experiment_mut(&experiment.experiment)?;
        let mut news: Vec<Event> = approval.and_then(Approval::answered).into_iter().collect();
        match come_of(request, approval, &self.policy.approvals, self.now) {
            Come::Waits => return None,
            Come::Granted(word) => {
                known.promoted_by = Some(word.by);
                known.held = None;
            }
            Come::Declined { why, until } => {
                known.asked = None;
                known.not_asked_before = Some(until);
                known.held = Some(ExperimentHoldReason::Declined);
                let why = format!("{} is not promoted. {why} `flywheel experiments promote` lets it go all the same.", winner.name);
                let mut hold = hold(self.book, experiment, ExperimentHoldReason::Declined, why, self.now);
                hold.causes.extend(news.iter().map(|event| event.id.clone()));
                news.push(hold);
            }
        }
        Some(Next::Tell(news, Box::new(book)))
    }

    /// Puts the splits of what runs in force.
    fn split(&self) -> Option<Next> {
        self.book.experiments.iter().find_map(|experiment| {
            let ExperimentState::Running(run) = &experiment.state else { return None };
            if run.in_force_at.is_some() {
                return None;
            }
            let present = match self.value(experiment) {
                Ok(present) => present,
                Err(why) => return self.held(experiment, ExperimentHoldReason::Flag, why),
            };
            let wanted = flag::split(experiment, run, &self.of_policy().split_by, present.as_ref());
            if present.is_some_and(|present| flag::same(&present, &wanted)) {
                let deployment = self.flags.rollout.map(|rollout| rollout.number);
                let run = ExperimentRun { in_force_at: Some(self.now), deployment, ..run.clone() };
                return Some(Next::Tell(Vec::new(), self.book_with(experiment, ExperimentState::Running(run))));
            }
            if let Some(number) = self.under_way() {
                // Taking a harmful arm out does not wait for a promotion.
                let urgent = if run.dropped.is_empty() { None } else { self.halt(number) };
                return urgent.or_else(|| self.held(experiment, ExperimentHoldReason::Deployment, DEPLOYING.to_owned()));
            }
            let decision = split_id(experiment, run);
            match self.change(&experiment.experiment, &experiment.flag, decision, wanted, &self.of_policy().strategy) {
                Ok(change) => Some(Next::Change(Vec::new(), Box::new(self.book.clone()), change)),
                Err(why) => self.held(experiment, ExperimentHoldReason::Flag, why),
            }
        })
    }

    /// Starts the one of those that wait that promises most for a day of traffic, if it may run.
    fn start(&self) -> Option<Next> {
        let mut waiting: Vec<&Experiment> = self
            .book
            .experiments
            .iter()
            .filter(|known| matches!(known.state, ExperimentState::Queued | ExperimentState::ToBeApproved))
            .collect();
        waiting.sort_by(|one, other| other.plan.promise().total_cmp(&one.plan.promise()).then_with(|| one.queued_at.cmp(&other.queued_at)));
        waiting.into_iter().find_map(|experiment| match self.obstacle(experiment) {
            Some((ExperimentHoldReason::NoFlag, why)) => {
                let conclusion = self.conclusion(experiment, ExperimentVerdict::Broken, why);
                let over = ExperimentState::Over { conclusion: conclusion.clone(), at: self.now };
                Some(Next::Tell(vec![self.outcome(experiment, &conclusion)], self.book_with(experiment, over)))
            }
            Some((reason, why)) => self.held(experiment, reason, why),
            None => Some(self.begin(experiment)),
        })
    }

    /// What stands between an experiment and its start.
    fn obstacle(&self, experiment: &Experiment) -> Option<(ExperimentHoldReason, String)> {
        if experiment.state == ExperimentState::ToBeApproved {
            let why = "A model wrote a variant, or the policy asks for it: a person has to approve it (`flywheel experiments start`).";
            return Some((ExperimentHoldReason::Approval, why.to_owned()));
        }
        if self.policy.mode == Mode::DryRun {
            return Some((ExperimentHoldReason::Frozen, "The policy says dry run: nothing is started.".to_owned()));
        }
        let served = match self.value(experiment) {
            Ok(value) => value.as_ref().and_then(flag::served).map(str::to_owned),
            Err(why) => return Some((ExperimentHoldReason::Flag, why)),
        };
        if served.as_deref().is_some_and(|served| served != experiment.control.name) {
            let why = format!(
                "The flag {} serves {} by now, and it was planned against {}: what it would tell is of no use.",
                experiment.flag,
                served.unwrap_or_default(),
                experiment.control.name
            );
            return Some((ExperimentHoldReason::NoFlag, why));
        }
        if let Some(freeze) = self.of_policy().freeze(self.now) {
            return Some((ExperimentHoldReason::Frozen, format!("The policy freezes changes until {}.", freeze.to)));
        }
        // Until its flag is clean, what is concluded still touches its users.
        let begun = |known: &&Experiment| {
            matches!(
                known.state,
                ExperimentState::Running(_) | ExperimentState::Concluded { cleaned: false, .. } | ExperimentState::Promoting { .. }
            )
        };
        let mut running = self.book.experiments.iter().filter(begun);
        if let Some(other) = running.clone().find(|other| other.uses.iter().any(|used| experiment.uses.contains(used))) {
            let shared: Vec<&str> = experiment.uses.iter().filter(|used| other.uses.contains(used)).map(String::as_str).collect();
            let why = format!("{} of {} runs, and both use {}.", other.experiment, other.intent, shared.join(", "));
            return Some((ExperimentHoldReason::Conflict, why));
        }
        if running.by_ref().count() >= self.of_policy().at_once as usize {
            return Some((
                ExperimentHoldReason::AtOnce,
                format!("{} experiments run, as many as the policy allows.", self.of_policy().at_once),
            ));
        }
        self.under_way().map(|_| (ExperimentHoldReason::Deployment, DEPLOYING.to_owned()))
    }

    fn begin(&self, experiment: &Experiment) -> Next {
        let levels = levels(self.of_policy(), self.book, experiment.treatments.len());
        let share = self.of_policy().ramp.first().copied().unwrap_or(self.of_policy().share);
        let run = ExperimentRun { since: self.now, levels, step: 0, in_force_at: None, deployment: None, share, dropped: Vec::new() };
        let plan = &experiment.plan;
        let why = format!(
            "It promises most of what waits: {:+.1} points on {:.0} conversations a day, told in {:.1} days. It begins with {:.1}% of the units; each comparison may be wrong with a probability of {:.3}% at most.",
            100.0 * plan.effect,
            plan.units_a_day,
            plan.days,
            100.0 * share,
            100.0 * run.levels.iter().copied().fold(0.0, f64::max),
        );
        let event = self.split_decided(experiment, &run, why);
        let mut book = self.book_with(experiment, ExperimentState::Running(run));
        book.tested += experiment.treatments.len() as u64;
        Next::Tell(vec![event], book)
    }

    fn over(&self, experiment: &Experiment, conclusion: &Conclusion, state: ExperimentState) -> Box<Book> {
        let mut book = self.book_with(experiment, state);
        let learned = conclusion.comparisons.iter().filter_map(|comparison| {
            let treatment = experiment.treatments.iter().find(|treatment| treatment.name == comparison.variant)?;
            // What was stopped or broken told nothing of its variants: they may be tried again.
            let told = !matches!(conclusion.verdict, ExperimentVerdict::Stopped | ExperimentVerdict::Broken);
            told.then(|| Tried {
                experiment: experiment.experiment.clone(),
                variant: treatment.name.clone(),
                sha256: treatment.sha256.clone(),
                verdict: conclusion.verdict,
                difference: comparison.difference,
                at: conclusion.at,
            })
        });
        book.learn(&experiment.intent, learned.collect());
        book
    }

    fn change(&self, experiment: &Key, flag: &str, decision: Id, value: Value, strategy: &str) -> Result<FlagChange, String> {
        Ok(FlagChange {
            experiment: experiment.clone(),
            decision,
            document: flag::with(&self.flags.document, flag, value)?,
            latest: self.flags.latest,
            undo: self.flags.version,
            strategy: strategy.to_owned(),
        })
    }

    fn split_decided(&self, experiment: &Experiment, run: &ExperimentRun, why: String) -> Event {
        let action = ExperimentAction::Split { share: run.share, levels: run.levels.clone(), dropped: run.dropped.clone() };
        let event = self.decided(experiment, action, &[], why);
        Event { id: split_id(experiment, run), ..event }
    }

    fn decided(&self, experiment: &Experiment, action: ExperimentAction, parts: &[&str], explanation: String) -> Event {
        let decision = ExperimentDecision {
            experiment: experiment.experiment.clone(),
            intent: experiment.intent.clone(),
            action,
            explanation,
            dry_run: self.policy.mode == Mode::DryRun,
        };
        Event {
            id: decision_id(experiment, parts),
            subject: experiment.subject(),
            causes: vec![decision_id(experiment, &["queue"])],
            at: self.now,
            body: Body::ExperimentDecided(Box::new(decision)),
        }
    }

    fn outcome(&self, experiment: &Experiment, conclusion: &Conclusion) -> Event {
        let picture = self.outcomes.get(&experiment.experiment).map(|outcomes| draw(experiment, outcomes, self.of_policy()));
        let outcome = ExperimentOutcome {
            experiment: experiment.experiment.clone(),
            intent: experiment.intent.clone(),
            conclusion: conclusion.clone(),
            picture: picture.unwrap_or_default(),
        };
        Event {
            id: outcome_id(experiment, conclusion),
            subject: experiment.subject(),
            causes: vec![decision_id(experiment, &["queue"])],
            at: self.now,
            body: Body::ExperimentConcluded(Box::new(outcome)),
        }
    }

    fn held(&self, experiment: &Experiment, reason: ExperimentHoldReason, why: String) -> Option<Next> {
        held(self.book, experiment, reason, why, self.now)
    }
}

const DEPLOYING: &str = "Another deployment of the environment is under way, and AppConfig allows one at a time.";

/// Tells a hold when its reason is new.
fn held(book: &Book, experiment: &Experiment, reason: ExperimentHoldReason, explanation: String, now: Timestamp) -> Option<Next> {
    if experiment.held == Some(reason) {
        return None;
    }
    let event = hold(book, experiment, reason, explanation, now);
    let mut book = book.clone();
    book.experiment_mut(&experiment.experiment)?.held = Some(reason);
    Some(Next::Tell(vec![event], Box::new(book)))
}

fn hold(book: &Book, experiment: &Experiment, reason: ExperimentHoldReason, explanation: String, now: Timestamp) -> Event {
    let id = Id::of("decision.experiment-hold", &[experiment.experiment.as_str(), &explanation, &book.revision.to_string()]);
    let causes = vec![decision_id(experiment, &["queue"])];
    let hold = ExperimentHold { experiment: Some(experiment.experiment.clone()), intent: experiment.intent.clone(), reason, explanation };
    Event { id, subject: experiment.subject(), causes, at: now, body: Body::ExperimentHeld(hold) }
}

/// The question whether a winner may be promoted. What speaks for it is what came out of the experiment.
fn to_promote(
    policy: &Policy,
    book: &Book,
    experiment: &Experiment,
    winner: &PromptVariant,
    conclusion: &Conclusion,
    risk: HighRisk,
    now: Timestamp,
) -> ApprovalRequest {
    let asked = Asked {
        subject: experiment.subject(),
        parts: &[&winner.name, &book.revision.to_string()],
        what: format!(
            "Promote {} to everybody who asks about {}, by {}.",
            winner.name, experiment.intent, policy.experiments.promotion_strategy
        ),
        why: conclusion.explanation.clone(),
        risk,
    };
    approvals::request(asked, vec![decision_id(experiment, &["queue"]), outcome_id(experiment, conclusion)], &policy.approvals, now)
}

fn decision_id(experiment: &Experiment, parts: &[&str]) -> Id {
    let parts: Vec<&str> = std::iter::once(experiment.experiment.as_str()).chain(parts.iter().copied()).collect();
    Id::of("decision.experiment", &parts)
}

fn outcome_id(experiment: &Experiment, conclusion: &Conclusion) -> Id {
    Id::of("outcome.experiment", &[experiment.experiment.as_str(), &conclusion.verdict.to_string()])
}

fn split_id(experiment: &Experiment, run: &ExperimentRun) -> Id {
    decision_id(experiment, &["split", &run.step.to_string(), &run.dropped.join(" ")])
}

fn winner<'e>(experiment: &'e Experiment, conclusion: &Conclusion) -> Option<&'e PromptVariant> {
    let name = conclusion.winner.as_deref().filter(|_| conclusion.verdict == ExperimentVerdict::Winner)?;
    experiment.treatments.iter().find(|treatment| treatment.name == name)
}

fn winner_name(conclusion: &Conclusion) -> &str {
    conclusion.winner.as_deref().unwrap_or_default()
}

/// What is remembered of a change of the flags that was made, and its receipt.
#[must_use]
pub fn changed(book: &Book, change: &FlagChange, version: i32, deployment: i32, now: Timestamp) -> (Event, Book) {
    let mut book = book.clone();
    if let Some(experiment) = book.experiment_mut(&change.experiment) {
        experiment.held = None;
        match &mut experiment.state {
            ExperimentState::Running(run) => {
                run.in_force_at = Some(now);
                run.deployment = Some(deployment);
            }
            ExperimentState::Concluded { cleaned, .. } => *cleaned = true,
            ExperimentState::Promoting { deployment: known, .. } => *known = Some(deployment),
            _ => {}
        }
    }
    let receipt = ExperimentReceipt {
        experiment: change.experiment.clone(),
        decision: change.decision.clone(),
        version,
        deployment,
        undo: change.undo,
    };
    let event = Event {
        id: Id::of("receipt.experiment", &[change.decision.as_str(), &version.to_string()]),
        subject: experiment_subject(&change.experiment),
        causes: vec![change.decision.clone()],
        at: now,
        body: Body::FlagChanged(receipt),
    };
    (event, book)
}

/// Notes that a person stops an experiment. Nothing if it is over, or there is none of that name.
#[must_use]
pub fn asked_to_stop(book: &Book, experiment: &Key, by: &str) -> Option<Book> {
    let mut book = book.clone();
    let known = book.experiment_mut(experiment).filter(|known| !known.is_over())?;
    known.stopped_by = Some(by.to_owned());
    if let ExperimentState::Concluded { conclusion, .. } = &mut known.state {
        // Nothing is promoted any more.
        conclusion.winner = None;
    }
    Some(book)
}

/// Takes back that the winner of an experiment was given to everybody, or is about to be: the flag is to serve the control
/// again. `over` is the experiment, if it is over. Nothing if it was taken back already, or the flag of one that is over serves
/// something else by now, which is not ours to change.
#[must_use]
pub fn withdraw(book: &Book, experiment: &Key, over: Option<&Experiment>, flags: &Flags, why: &str, now: Timestamp) -> Option<Book> {
    let mut book = book.clone();
    let taken_back = |conclusion: &Conclusion| Conclusion {
        verdict: ExperimentVerdict::RolledBack,
        winner: None,
        explanation: why.to_owned(),
        at: now,
        ..conclusion.clone()
    };
    if let Some(known) = book.experiment_mut(experiment) {
        let ExperimentState::Promoting { run, conclusion, deployment } = &known.state else { return None };
        let run = ExperimentRun { in_force_at: Some(now), deployment: *deployment, ..run.clone() };
        known.state = ExperimentState::Concluded { run, conclusion: taken_back(conclusion), cleaned: false };
        return Some(book);
    }
    let over = over?;
    let ExperimentState::Over { conclusion, .. } = &over.state else { return None };
    let winner = winner(over, conclusion)?;
    let served = flag::value(&flags.document, &over.flag).ok().flatten();
    if served.as_ref().and_then(flag::served).is_none_or(|served| served != winner.name) {
        return None;
    }
    let run = ExperimentRun {
        since: now,
        levels: Vec::new(),
        step: 0,
        in_force_at: Some(now),
        deployment: None,
        share: 0.0,
        dropped: Vec::new(),
    };
    let state = ExperimentState::Concluded { run, conclusion: taken_back(conclusion), cleaned: false };
    book.experiments.push(Experiment { state, held: None, ..over.clone() });
    Some(book)
}

/// The question that a person answers who lets the winner of an experiment be promoted: the one that waits, or a new one, which
/// the book then names. Nothing if there is no winner to be promoted.
#[must_use]
pub fn promote(policy: &Policy, book: &Book, experiment: &Key, by: &str, now: Timestamp) -> Option<(Book, ApprovalRequest)> {
    let mut next = book.clone();
    let known = next.experiment_mut(experiment)?;
    let ExperimentState::Concluded { conclusion, .. } = &known.state else { return None };
    if known.promoted_by.is_some() {
        return None;
    }
    let request = match &known.asked {
        Some(request) => request.clone(),
        None => {
            let winner = winner(known, conclusion)?;
            let risk = HighRisk { action: ApprovalAction::Promotion, why: format!("{by} promotes it without having been asked.") };
            to_promote(policy, book, known, winner, conclusion, risk, now)
        }
    };
    known.asked = Some(request.clone());
    Some((next, request))
}
