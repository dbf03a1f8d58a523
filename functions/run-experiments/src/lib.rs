//! Starts, watches and ends experiments on prompts, and counts their outcomes.
//!
//! Three kinds of messages come. A batch of signals that was kept and counted: the conversations in it that took part in an
//! experiment are counted for their arm, each unit once. A review, every five minutes: the engine says what is to be done, one
//! thing after the other, until nothing is. And a decision to take a promotion back. What is to be is remembered before the
//! flags are changed and what was done after it; whoever finds one without the other looks at the flags first.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use flywheel_engine::experiments::{Book, FlagChange, Next, Outcomes, changed, next, unit_of, withdraw};
use flywheel_kit::trigger;
use flywheel_model::{Approval, Body, Conversation, Event, Experiment, ExperimentState, Fact, Id, Key, Observation, SignalBatch};
use flywheel_policy::{FlagPlace, Mode, Policy};
use flywheel_ports::{
    ApprovalTasks, Approvals, Bus, ExperimentStore, FeatureFlags, FlagAnswer, KeptOutcomes, NoAnswer, Observations, PromptLibrary, UNITS,
    Unavailable, stands,
};
use jiff::Timestamp;

/// Tries to write what others write at the same time.
const RACES: usize = 12;

/// What may follow in one review. The next one goes on.
const ROUNDS: usize = 60;

/// The world that experiments run in.
#[derive(Debug)]
pub struct World<S, O, L, F, A, Q, B> {
    /// What is known of experiments.
    pub store: S,
    /// The evidence.
    pub observations: O,
    /// The team's prompts.
    pub library: L,
    /// The application's feature flags.
    pub flags: F,
    /// What people were asked and said.
    pub approvals: A,
    /// The tasks that ask them.
    pub tasks: Q,
    /// The bus.
    pub bus: B,
}

/// What a message asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Count the conversations of this object of the evidence.
    Count(String),
    /// Look at every experiment.
    Review,
    /// Give everybody again what they got before this experiment's winner was promoted, for a reason.
    Withdraw(Key, String),
}

/// What reviews came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Changes of the flags.
    pub changed: u64,
    /// Changes that AWS refused.
    pub refused: u64,
    /// Events that were told.
    pub told: u64,
    /// Experiments that ran when the book was last read.
    pub running: u64,
}

/// Reads a message of the queue.
///
/// # Errors
/// Why it is none that comes there, naming what was expected.
pub fn read(body: &str) -> Result<Asked, String> {
    if trigger(body).as_deref() == Some("review") {
        return Ok(Asked::Review);
    }
    if let Ok(Event { body: Body::UndoDecided(undo), .. }) = Event::from_envelope(body) {
        return Ok(if undo.dry_run { Asked::Review } else { Asked::Withdraw(undo.experiment, undo.explanation) });
    }
    let (_, batch) = SignalBatch::from_envelope(body)?;
    Ok(Asked::Count(batch.evidence))
}

impl<S, O, L, F, A, Q, B> World<S, O, L, F, A, Q, B>
where
    S: ExperimentStore,
    O: Observations,
    L: PromptLibrary,
    F: FeatureFlags,
    A: Approvals,
    Q: ApprovalTasks,
    B: Bus,
{
    /// Counts the conversations of an object of the evidence for the experiments that they took part in. Doing it again adds
    /// what was not counted before, and nothing twice. Says how many units were counted.
    ///
    /// # Errors
    /// If something that it needs does not answer, or others write the same rows all the time.
    pub async fn count(&self, evidence: &str, policy: &Policy) -> Result<u64, Unavailable> {
        let book = self.store.book().await?;
        let running: BTreeMap<&Key, (&Experiment, Timestamp)> =
            book.running().filter_map(|known| Some((&known.experiment, (known, since(known)?)))).collect();
        if running.is_empty() {
            return Ok(0);
        }
        let observations = self.observations.counted(evidence).await?;
        let mut counted = 0;
        for (experiment, since) in running.values() {
            let name = experiment.experiment.as_str();
            let of_it: Vec<(&Observation, &Conversation)> = observations
                .iter()
                .filter_map(|observation| match &observation.signal.fact {
                    Fact::Conversation(conversation) if conversation.variants.contains_key(name) => Some((observation, conversation)),
                    _ => None,
                })
                .collect();
            for some in of_it.chunks(UNITS) {
                counted += self.count_some(experiment, *since, evidence, some, policy).await?;
            }
        }
        Ok(counted)
    }

    async fn count_some(
        &self,
        experiment: &Experiment,
        since: Timestamp,
        evidence: &str,
        conversations: &[(&Observation, &Conversation)],
        policy: &Policy,
    ) -> Result<u64, Unavailable> {
        let name = &experiment.experiment;
        let unit = |(observation, conversation): &(&Observation, &Conversation)| {
            unit_of(&observation.signal, conversation, policy.experiments.unit)
        };
        for _ in 0..RACES {
            let mut signals = self.store.counted_signals(name, evidence).await?;
            let news: Vec<_> =
                conversations.iter().filter(|(observation, _)| signals.signals.insert(observation.signal.identity())).collect();
            if news.is_empty() {
                return Ok(0);
            }
            let KeptOutcomes { revision, mut outcomes } = self.store.outcomes(name).await?;
            let units: BTreeSet<_> = news.iter().map(|one| unit(one)).collect();
            let known = self.store.units(name, &units).await?;
            let mut now_known = known.clone();
            let before = outcomes.units();
            for one in news {
                let mut arm = now_known.get(&unit(one)).cloned();
                outcomes.take(experiment, since, one.0, one.1, &mut arm, &policy.experiments);
                now_known.extend(arm.map(|arm| (unit(one), arm)));
            }
            now_known.retain(|unit, arm| known.get(unit) != Some(arm));
            let counted = outcomes.units() - before;
            if self.store.count_units(name, evidence, &signals, &KeptOutcomes { revision, outcomes }, &now_known).await? {
                return Ok(counted);
            }
        }
        Err(Unavailable { what: "count outcomes", why: format!("{RACES} times others wrote the same rows") })
    }

    /// Looks at every experiment, and does what is to be done.
    ///
    /// # Errors
    /// If something that it needs does not answer. The next review goes on where this one stopped.
    pub async fn review(&self, policy: &Policy, now: Timestamp) -> Result<Report, Unavailable> {
        let mut report = Report::default();
        let Some(place) = &policy.experiments.flags else { return Ok(report) };
        let (mut digests, mut asked) = (BTreeMap::new(), BTreeSet::new());
        for _ in 0..ROUNDS {
            // The flags before the book: a stop that comes in after that makes another version of the flags, on which a change that
            // rests on these is refused.
            let flags = match self.flags.flags(place).await {
                Ok(flags) => Ok(flags),
                Err(NoAnswer::Refused(why)) => Err(why),
                Err(NoAnswer::Later(why)) => return Err(Unavailable { what: "read the flags", why }),
            };
            let book = self.store.book().await?;
            report.running = book.running().count() as u64;
            let outcomes = self.outcomes(&book).await?;
            let texts = self.texts(&book, &mut digests).await?;
            let approvals = self.answers(policy, &book, &mut asked, now).await?;
            match next(policy, &book, &outcomes, &texts, &flags, &approvals, now) {
                Next::Nothing => return Ok(report),
                Next::Tell(events, book) => {
                    report.told += events.len() as u64;
                    self.keep(&events, *book).await?;
                }
                Next::Change(events, book, change) => {
                    report.told += events.len() as u64;
                    if self.change(place, &events, *book, &change, now, &mut report).await? {
                        continue;
                    }
                    return Ok(report);
                }
                Next::Halt(book, deployment) => {
                    if self.keep(&[], *book).await? {
                        self.flags.halt(place, deployment).await?;
                    }
                }
            }
        }
        Ok(report)
    }

    /// Takes a promotion back: the next review changes the flag. Doing it again changes nothing.
    ///
    /// # Errors
    /// If something that it needs does not answer, or others write the book all the time.
    pub async fn withdraw(&self, experiment: &Key, why: &str, policy: &Policy, now: Timestamp) -> Result<(), Unavailable> {
        let Some(place) = &policy.experiments.flags else { return Ok(()) };
        let over = self.store.archived().await?.into_iter().find(|known| known.experiment == *experiment);
        for _ in 0..RACES {
            let flags = match self.flags.flags(place).await {
                Ok(flags) => flags,
                Err(NoAnswer::Refused(why) | NoAnswer::Later(why)) => return Err(Unavailable { what: "read the flags", why }),
            };
            let book = self.store.book().await?;
            let Some(book) = withdraw(&book, experiment, over.as_ref(), &flags, why, now) else { return Ok(()) };
            if self.store.save_book(&book).await? {
                return Ok(());
            }
        }
        Err(Unavailable { what: "take a promotion back", why: format!("{RACES} times others wrote the same row") })
    }

    /// Publishes events and keeps the book, what is over apart. `false` if somebody else was faster.
    async fn keep(&self, events: &[Event], mut book: Book) -> Result<bool, Unavailable> {
        self.bus.publish(events).await?;
        let over: Vec<Experiment> = book.experiments.iter().filter(|known| known.is_over()).cloned().collect();
        self.store.archive(&over).await?;
        book.experiments.retain(|known| !known.is_over());
        self.store.save_book(&book).await
    }

    /// Changes the flags as was decided. `false` if there is nothing more to be done now.
    async fn change(
        &self,
        place: &FlagPlace,
        events: &[Event],
        book: Book,
        change: &FlagChange,
        now: Timestamp,
        report: &mut Report,
    ) -> Result<bool, Unavailable> {
        self.bus.publish(events).await?;
        match self.flags.change(place, change).await? {
            FlagAnswer::Made(version, deployment) => {
                report.changed += 1;
                let (receipt, book) = changed(&book, change, version, deployment, now);
                self.keep(&[receipt], book).await?;
                Ok(true)
            }
            FlagAnswer::Busy(why) => {
                tracing::info!(experiment = change.experiment.as_str(), why, "the flags are looked at anew");
                Ok(false)
            }
            FlagAnswer::Refused(why) => {
                report.refused += 1;
                tracing::warn!(experiment = change.experiment.as_str(), why, "the flags were not changed");
                Ok(false)
            }
        }
    }

    /// How it stands with what people are asked. Who remembered a question may have died before it was asked; `asked` are those
    /// that this review has asked.
    async fn answers(
        &self,
        policy: &Policy,
        book: &Book,
        asked: &mut BTreeSet<Id>,
        now: Timestamp,
    ) -> Result<BTreeMap<Id, Approval>, Unavailable> {
        let mut answers = BTreeMap::new();
        for request in book.experiments.iter().filter_map(|known| known.asked.as_ref()) {
            match stands(&self.approvals, request, now).await? {
                Some(approval) => _ = answers.insert(request.approval.clone(), approval),
                None if policy.mode == Mode::Act && asked.insert(request.approval.clone()) => self.tasks.begin(request).await?,
                None => {}
            }
        }
        Ok(answers)
    }

    async fn outcomes(&self, book: &Book) -> Result<BTreeMap<Key, Outcomes>, Unavailable> {
        let mut outcomes = BTreeMap::new();
        for experiment in book.experiments.iter().filter(|known| !is_waiting(known)) {
            outcomes.insert(experiment.experiment.clone(), self.store.outcomes(&experiment.experiment).await?.outcomes);
        }
        Ok(outcomes)
    }

    /// What happened to the texts of running experiments in the library, where something did. Each is read once in a review:
    /// `digests` are those that were.
    async fn texts(&self, book: &Book, digests: &mut BTreeMap<String, Option<String>>) -> Result<BTreeMap<Key, String>, Unavailable> {
        let mut texts = BTreeMap::new();
        for experiment in book.running() {
            for arm in experiment.arms() {
                let found = match digests.entry(arm.object.clone()) {
                    Entry::Occupied(read) => read.into_mut(),
                    Entry::Vacant(unread) => unread.insert(self.library.digest(&arm.object).await?),
                };
                let why = match found {
                    None => format!("{} was deleted from the library while it ran.", arm.object),
                    Some(found) if *found != arm.sha256 => format!("{} was changed in the library while it ran.", arm.object),
                    Some(_) => continue,
                };
                texts.insert(experiment.experiment.clone(), why);
            }
        }
        Ok(texts)
    }
}

fn is_waiting(experiment: &Experiment) -> bool {
    matches!(experiment.state, ExperimentState::Queued | ExperimentState::ToBeApproved)
}

/// Since when outcomes count.
fn since(experiment: &Experiment) -> Option<Timestamp> {
    match &experiment.state {
        ExperimentState::Running(run) => Some(run.since),
        _ => None,
    }
}
