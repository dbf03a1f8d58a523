//! Plans experiments on prompts, and puts them into the queue.
//!
//! A finding says that conversations of an intent are resolved more rarely, or a person asks. The library has variants that
//! were not tried, or a model may propose one; the engine says whether an experiment with them could decide in time. Whoever
//! does it again comes to the same experiment, which is there already.

use flywheel_engine::experiments::{INSTRUCTIONS, Library, Queued, Traffic, flag, hold_while_cooling, queue, request, take_variant};
use flywheel_model::{ActionKind, Body, Event, Evidence, ExperimentHoldReason, Finding, Id, Key, Metric, Scope};
use flywheel_policy::{ExperimentPolicy, Mode, Policy};
use flywheel_ports::{
    Bus, ConversationIndex, Cooldowns, ExperimentStore, FeatureFlags, IntentTraffic, NoAnswer, Observations, PromptLibrary, Proposer,
    Unavailable, read_noted,
};
use jiff::{SignedDuration, Timestamp};

/// Tries to write what others write at the same time.
const RACES: usize = 8;

/// Failed conversations that a model sees some of.
const FAILED_AT_MOST: usize = 10;

/// The world that experiments are planned in.
#[derive(Debug)]
pub struct World<S, L, F, O, I, P, B> {
    /// What is known of experiments, and of the traffic.
    pub store: S,
    /// The team's prompts.
    pub library: L,
    /// The application's feature flags.
    pub flags: F,
    /// The evidence.
    pub observations: O,
    /// Which conversations there were.
    pub index: I,
    /// The model that may propose a variant.
    pub proposer: P,
    /// The bus.
    pub bus: B,
}

/// A request for an experiment.
#[derive(Debug, Clone, Copy)]
pub struct Request<'r> {
    /// About which intent.
    pub intent: &'r Key,
    /// The finding that asks.
    pub finding: Option<&'r Id>,
    /// Since when the rate is what it is, as far as it is known.
    pub since: Option<Timestamp>,
    /// The person that asks.
    pub by: Option<&'r str>,
    /// The variants to try; none: those that were not tried yet.
    pub variants: &'r [String],
}

impl<S, L, F, O, I, P, B> World<S, L, F, O, I, P, B>
where
    S: ExperimentStore + IntentTraffic + Cooldowns,
    L: PromptLibrary,
    F: FeatureFlags,
    O: Observations,
    I: ConversationIndex,
    P: Proposer,
    B: Bus,
{
    /// Plans an experiment if a finding asks for one. Says whether one is in the queue now that was not.
    ///
    /// # Errors
    /// If something that it needs does not answer.
    pub async fn hear(&self, event: &Event, policy: &Policy, now: Timestamp) -> Result<bool, Unavailable> {
        let Body::FindingOpened(Finding { finding, metric: Metric::Resolution, scope: Scope::Key(intent), evidence, .. }) = &event.body
        else {
            return Ok(false);
        };
        let subject = Scope::Key(intent.clone()).subject(Metric::Resolution);
        let cooling_until = self.store.cooling_until(ActionKind::Promotion, &subject).await?;
        if let Some(hold) = hold_while_cooling(intent, finding, cooling_until, now) {
            self.bus.publish(&[hold]).await?;
            return Ok(false);
        }
        let since = match evidence {
            Evidence::Rates(rates) => Some(rates.since),
            Evidence::Alarm { .. } => None,
        };
        let request = Request { intent, finding: Some(finding), since, by: None, variants: &[] };
        Ok(matches!(self.ask(&request, policy, now).await?, Queued::Waits(..)))
    }

    /// Plans an experiment and puts it into the queue, or says why not.
    ///
    /// # Errors
    /// If something that it needs does not answer, or others write the same row all the time.
    pub async fn ask(&self, request: &Request<'_>, policy: &Policy, now: Timestamp) -> Result<Queued, Unavailable> {
        let mut may_propose = policy.mode == Mode::Act;
        for _ in 0..RACES {
            let queued = self.plan(request, policy, now).await?;
            match &queued {
                Queued::Waits(event, book) => {
                    // Told before it is kept: whoever dies in between does both again.
                    self.bus.publish(std::slice::from_ref(event)).await?;
                    if self.store.save_book(book).await? {
                        return Ok(queued);
                    }
                }
                Queued::Held(event) => {
                    if may_propose && lacks_variants(event) && self.propose(request.intent, &policy.experiments, now).await? {
                        may_propose = false;
                        continue;
                    }
                    self.bus.publish(std::slice::from_ref(event)).await?;
                    return Ok(queued);
                }
            }
        }
        Err(Unavailable { what: "queue an experiment", why: format!("{RACES} times others wrote the same row") })
    }

    /// Plans an experiment without keeping or telling it.
    ///
    /// # Errors
    /// If something that it needs does not answer.
    pub async fn plan(&self, request: &Request<'_>, policy: &Policy, now: Timestamp) -> Result<Queued, Unavailable> {
        let experiments = &policy.experiments;
        let control = self.control(experiments, request.intent).await?;
        let library = self.library(request.intent, &control, experiments).await?;
        let traffic = Traffic::of(&self.store.history(request.intent).await?, request.since, now);
        let book = self.store.book().await?;
        let Request { intent, finding, by, variants, .. } = *request;
        Ok(queue(policy, intent, finding, by, variants, &library, &control, traffic, &book, now))
    }

    /// The variant that is served at present.
    async fn control(&self, policy: &ExperimentPolicy, intent: &Key) -> Result<String, Unavailable> {
        let (Some(settings), Some(place)) = (policy.intent(intent), &policy.flags) else { return Ok(String::new()) };
        let served = match self.flags.flags(place).await {
            Ok(flags) => flag::value(&flags.document, &settings.flag).ok().flatten(),
            // Whoever starts the experiment tells it.
            Err(NoAnswer::Refused(_)) => None,
            Err(NoAnswer::Later(why)) => return Err(Unavailable { what: "read the flags", why }),
        };
        Ok(served.as_ref().and_then(flag::served).unwrap_or(&settings.control).to_owned())
    }

    /// The valid variants of an intent.
    async fn library(&self, intent: &Key, control: &str, policy: &ExperimentPolicy) -> Result<Library, Unavailable> {
        Ok(Library::read(&self.library.files(intent).await?, control, &policy.forbidden))
    }

    /// Lets the policy's model propose a variant. Says whether there is one more now.
    async fn propose(&self, intent: &Key, policy: &ExperimentPolicy, now: Timestamp) -> Result<bool, Unavailable> {
        let Some(model) = policy.model.as_deref() else { return Ok(false) };
        let control = self.control(policy, intent).await?;
        let library = self.library(intent, &control, policy).await?;
        let Some(control) = library.prompts.get(&control) else { return Ok(false) };
        let since = now - SignedDuration::from_hours(7 * 24);
        let failed = read_noted(&self.index, &self.observations, intent, true, since, FAILED_AT_MOST).await?;
        let answer = match self.proposer.propose(model, INSTRUCTIONS, &request(control, &failed)).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(intent = intent.as_str(), %error, "no variant is proposed");
                return Ok(false);
            }
        };
        match take_variant(&answer, &Library::folder(intent), control, &library, &policy.forbidden) {
            Ok((object, text)) => {
                self.library.add(&object, &text).await?;
                Ok(true)
            }
            Err(why) => {
                tracing::warn!(intent = intent.as_str(), why, "the model's proposal is not used");
                Ok(false)
            }
        }
    }
}

fn lacks_variants(event: &Event) -> bool {
    matches!(&event.body, Body::ExperimentHeld(hold) if hold.reason == ExperimentHoldReason::NoVariants)
}
