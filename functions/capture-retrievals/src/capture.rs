//! From a batch of signals to sightings.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use flywheel_calibration::Calibration;
use flywheel_engine::cases::{Inquiry, Scored, Sighting, is_learning, later_answer, sightings};
use flywheel_model::{CaptureHold, CaptureHoldReason, Event, Fact, Id, Key, Observation, SignalBatch};
use flywheel_policy::Policy;
use flywheel_ports::{Bus, CaseStore, Freshness, Inquiries, Known, Observations, Scores, Unavailable};
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use crate::World;

/// Calls under way at once.
const AT_ONCE: usize = 16;

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Retrievals that were looked at.
    pub retrievals: u64,
    /// Retrievals without a question: nothing can be tested with them.
    pub without_question: u64,
    /// Sightings that were not kept before.
    pub captured: u64,
    /// Sightings for which there was no room.
    pub held: u64,
}

/// What became of a sighting.
#[derive(PartialEq, Eq)]
enum Kept {
    New,
    Known,
    /// There is no room for it on the shelf of this knowledge base.
    Held(Key),
}

/// What was learned, by scale and the day that it serves.
type Scales = BTreeMap<(String, i64), Calibration>;

impl<O: Observations, S: Scores + Inquiries + CaseStore, B: Bus, F: Freshness, D> World<O, S, B, F, D> {
    /// Captures what is worth it of a batch of signals, which this event told of.
    ///
    /// # Errors
    /// If something that it needs does not answer. Capturing again does nothing twice.
    pub async fn capture(&self, batch: &SignalBatch, cause: &Id, policy: &Policy, now: Timestamp) -> Result<Report, Unavailable> {
        let observations = self.observations.counted(&batch.evidence).await?;
        let retrievals: Vec<(&Observation, Scored)> =
            observations.iter().filter_map(|observation| Some((observation, Scored::of(observation)?))).collect();
        self.learn(&retrievals).await?;
        let known = self.known(&retrievals, policy).await?;
        self.say_what_is_learning(&retrievals, &known, cause, policy, now).await?;

        let inquiries: Vec<Inquiry> = retrievals
            .iter()
            .filter_map(|(observation, scored)| Inquiry::of(observation, scored, &known[&(scored.scale.clone(), scored.day)], policy))
            .collect();
        let mut report = Report { retrievals: retrievals.len() as u64, ..Report::default() };
        report.without_question = report.retrievals - inquiries.len() as u64;
        let seen = self.look_at_conversations(&observations, inquiries, policy, now).await?;
        let fresh = self.freshness_of(&seen).await?;
        let keep = |sighting| self.keep(sighting, &fresh, cause, policy, now);
        let kept: Vec<Kept> = futures::stream::iter(seen).map(keep).buffer_unordered(AT_ONCE).try_collect().await?;
        report.captured = kept.iter().filter(|kept| **kept == Kept::New).count() as u64;
        report.held = kept.iter().filter(|kept| matches!(kept, Kept::Held(_))).count() as u64;
        let full: BTreeSet<Key> = kept.into_iter().filter_map(|kept| if let Kept::Held(of) = kept { Some(of) } else { None }).collect();
        let holds = full.into_iter().map(|knowledge_base| CaptureHold { knowledge_base, reason: CaptureHoldReason::Full });
        self.tell(holds.map(|hold| hold.event(cause, now)).collect()).await?;
        Ok(report)
    }

    /// Learns how retrievals usually score.
    async fn learn(&self, retrievals: &[(&Observation, Scored)]) -> Result<(), Unavailable> {
        let mut learned = Scales::new();
        for (observation, scored) in retrievals {
            let scale = learned.entry((scored.scale.clone(), scored.day)).or_default();
            scale.learn(observation.signal.identity().as_str(), &scored.features);
        }
        for ((scale, day), learned) in &learned {
            self.store.learn(scale, *day, learned).await?;
        }
        Ok(())
    }

    /// What is known of the scales by the days that these retrievals are judged by.
    async fn known(&self, retrievals: &[(&Observation, Scored)], policy: &Policy) -> Result<Scales, Unavailable> {
        let mut known = Scales::new();
        for (_, scored) in retrievals {
            if let Entry::Vacant(unread) = known.entry((scored.scale.clone(), scored.day)) {
                unread.insert(self.store.learned(&scored.scale, scored.judged_by(policy)).await?);
            }
        }
        Ok(known)
    }

    /// Says of which scales too little is known to capture on scores alone.
    async fn say_what_is_learning(
        &self,
        retrievals: &[(&Observation, Scored)],
        known: &Scales,
        cause: &Id,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<(), Unavailable> {
        let mut holds = BTreeMap::new();
        for (observation, scored) in retrievals {
            let Fact::Retrieval(retrieval) = &observation.signal.fact else { continue };
            let learning = known.get(&(scored.scale.clone(), scored.day)).is_some_and(|known| is_learning(known, &policy.capture));
            if let Some(knowledge_base) = retrieval.knowledge_base.clone().filter(|_| learning) {
                let reason = CaptureHoldReason::Learning { scale: scored.scale.clone() };
                holds.entry(scored.scale.as_str()).or_insert_with(|| CaptureHold { knowledge_base, reason }.event(cause, now));
            }
        }
        self.tell(holds.into_values().collect()).await
    }

    async fn tell(&self, events: Vec<Event>) -> Result<(), Unavailable> {
        if events.is_empty() { Ok(()) } else { self.bus.publish(&events).await }
    }

    /// What suffices of these retrievals, each looked at with the rest of its conversation.
    async fn look_at_conversations(
        &self,
        observations: &[Observation],
        inquiries: Vec<Inquiry>,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Vec<Sighting>, Unavailable> {
        let mut conversations = BTreeSet::new();
        for (conversation, answer) in observations.iter().filter_map(later_answer) {
            self.store.keep_answer(&conversation, &answer, now).await?;
            conversations.insert(conversation);
        }
        let (in_conversation, alone): (Vec<Inquiry>, Vec<Inquiry>) =
            inquiries.into_iter().partition(|inquiry| inquiry.conversation.is_some());
        conversations.extend(in_conversation.iter().filter_map(|inquiry| inquiry.conversation.clone()));
        // Kept before their conversation is read: of two that come at the same time, at least one sees the other.
        let keep = |inquiry: Inquiry| async move {
            let Some(conversation) = inquiry.conversation.clone() else { return Ok(()) };
            self.store.keep_inquiry(&conversation, &inquiry.abridged(), now).await
        };
        futures::stream::iter(in_conversation).map(keep).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        let of_conversations = futures::stream::iter(conversations)
            .map(|conversation| self.look_at_conversation(conversation, policy))
            .buffer_unordered(AT_ONCE)
            .try_concat()
            .await?;
        let alone = alone.iter().flat_map(|inquiry| sightings(std::slice::from_ref(inquiry), &[], &policy.capture));
        Ok(of_conversations.into_iter().chain(alone).collect())
    }

    async fn look_at_conversation(&self, conversation: Key, policy: &Policy) -> Result<Vec<Sighting>, Unavailable> {
        let (inquiries, answers) = self.store.conversation(&conversation).await?;
        let mut seen = sightings(&inquiries, &answers, &policy.capture);
        for sighting in seen.iter_mut().filter(|sighting| sighting.is_abridged()) {
            if let Some(observation) = self.observations.find(&sighting.inquiry.signal).await? {
                *sighting = sighting.clone().with_passages_of(&observation);
            }
        }
        Ok(seen)
    }

    /// When the knowledge bases of these were synchronised last.
    async fn freshness_of(&self, seen: &[Sighting]) -> Result<BTreeMap<Key, Timestamp>, Unavailable> {
        let mut fresh = BTreeMap::new();
        for knowledge_base in seen.iter().map(|sighting| &sighting.inquiry.knowledge_base).collect::<BTreeSet<_>>() {
            if let Some(at) = self.freshness.synchronised_at(knowledge_base.as_str()).await? {
                fresh.insert(knowledge_base.clone(), at);
            }
        }
        Ok(fresh)
    }

    /// Keeps a sighting, if there is room for it and it is news.
    async fn keep(
        &self,
        mut sighting: Sighting,
        fresh: &BTreeMap<Key, Timestamp>,
        cause: &Id,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Kept, Unavailable> {
        match self.store.known(&sighting, policy.capture.questions_at_most).await? {
            Known::Kept(before) => {
                // Nothing but the first look tells how fresh the knowledge base was then.
                sighting.synchronised_at = before.synchronised_at;
                // Who judged with more of the conversation knows better.
                if *before != sighting && before.judged_with <= sighting.judged_with {
                    self.store.keep_sighting(&sighting).await?;
                }
                Ok(Kept::Known)
            }
            Known::New => {
                let synchronised_at = fresh.get(&sighting.inquiry.knowledge_base);
                sighting.synchronised_at = synchronised_at.copied().filter(|at| *at <= sighting.inquiry.at);
                self.bus.publish(&[sighting.event(cause, now)]).await?;
                self.store.keep_sighting(&sighting).await?;
                Ok(Kept::New)
            }
            Known::Full => Ok(Kept::Held(sighting.inquiry.knowledge_base)),
        }
    }
}
