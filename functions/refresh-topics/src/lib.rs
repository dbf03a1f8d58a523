//! Answers a finding about a topic.
//!
//! When it opens: the knowledge bases that serve the topic are synchronised where that can help, and where it cannot,
//! that is said. When such a synchronisation has ended: the failed questions are asked again, and the receipt says how
//! many find something now.

use flywheel_engine::refresh;
use flywheel_engine::sync::Asked;
use flywheel_model::{ActionKind, AskedAgain, Body, Event, Fact, Finding, Id, Observation, Refresh, Refreshed};
use flywheel_policy::Policy;
use flywheel_ports::{Bus, Cooldowns, NoAnswer, Observations, Questions, Refreshes, SyncStore, Unavailable, Wakes};
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};

/// Questions asked at the same time: `Retrieve` allows 20 a second (Amazon Bedrock quotas), and the application asks too.
const AT_ONCE: usize = 4;

/// The world that findings are answered in.
#[derive(Debug)]
pub struct World<S, F, O, K, B, W> {
    /// The record of data sources.
    pub store: S,
    /// What findings asked for.
    pub refreshes: F,
    /// The evidence.
    pub observations: O,
    /// The knowledge bases.
    pub questions: K,
    /// The bus.
    pub bus: B,
    /// The queue that wakes the synchronisation.
    pub wakes: W,
}

impl<S: SyncStore, F: Refreshes + Cooldowns, O: Observations, K: Questions, B: Bus, W: Wakes> World<S, F, O, K, B, W> {
    /// Answers an event of the bus; one that asks for nothing is passed over.
    ///
    /// # Errors
    /// If something that it needs does not answer. Answering again does nothing twice.
    pub async fn answer(&self, event: &Event, policy: &Policy, now: Timestamp) -> Result<(), Unavailable> {
        match &event.body {
            Body::FindingOpened(finding) => self.refresh(finding, &event.id, policy, now).await,
            Body::RefreshEnded(refreshed) => self.ask_again(refreshed, &event.id, now).await,
            _ => Ok(()),
        }
    }

    async fn refresh(&self, finding: &Finding, cause: &Id, policy: &Policy, now: Timestamp) -> Result<(), Unavailable> {
        // A second answer to the same finding goes by what the first one decided, not by what that has brought about.
        let refresh = match self.refreshes.of(&finding.finding).await? {
            Some(decided) => decided,
            None => {
                let sources = self.store.overview().await?.sources;
                let cooling_until = self.refreshes.cooling_until(ActionKind::Refresh, &finding.scope.subject(finding.metric)).await?;
                let (refresh, events) = refresh::decide(finding, cause, &sources, cooling_until, policy, now);
                self.bus.publish(&events).await?;
                let Some(refresh) = refresh else { return Ok(()) };
                self.refreshes.keep(&refresh).await?;
                refresh
            }
        };
        for data_source in &refresh.data_sources {
            self.store.ask(data_source, &Asked { finding: finding.finding.clone(), at: now }).await?;
        }
        self.wakes.wake(SignedDuration::ZERO).await
    }

    async fn ask_again(&self, refreshed: &Refreshed, cause: &Id, now: Timestamp) -> Result<(), Unavailable> {
        let Some(Refresh { examples, .. }) = self.refreshes.of(&refreshed.finding).await? else { return Ok(()) };
        let knowledge_base = refreshed.data_source.knowledge_base.as_str();
        let mut receipt = AskedAgain {
            finding: refreshed.finding.clone(),
            knowledge_base: knowledge_base.to_owned(),
            asked: 0,
            found_before: 0,
            found_now: 0,
            without_question: 0,
        };
        let mut answers = futures::stream::iter(&examples).map(|signal| self.ask(knowledge_base, signal)).buffered(AT_ONCE);
        while let Some(answer) = answers.next().await {
            match answer? {
                Some(Compared { before, now }) => {
                    receipt.asked += 1;
                    receipt.found_before += u32::from(before);
                    receipt.found_now += u32::from(now);
                }
                None => receipt.without_question += 1,
            }
        }
        let subject = refreshed.data_source.subject();
        let id = Id::of("receipt.refresh", &[cause.as_str()]);
        self.bus.publish(&[Event { id, subject, causes: vec![cause.clone()], at: now, body: Body::AskedAgain(receipt) }]).await
    }

    /// Asks the question of a signal again; nothing if there is none that can be asked.
    async fn ask(&self, knowledge_base: &str, signal: &Id) -> Result<Option<Compared>, Unavailable> {
        let Some(Observation { signal: kept, .. }) = self.observations.find(signal).await? else { return Ok(None) };
        let Fact::Retrieval(retrieval) = kept.fact else { return Ok(None) };
        let of_this = retrieval.knowledge_base.as_ref().is_none_or(|of| of.as_str() == knowledge_base);
        let (Some(query), true) = (retrieval.query, of_this) else { return Ok(None) };
        let before = retrieval.passages.is_some_and(|passages| !passages.is_empty());
        match self.questions.results(knowledge_base, &query).await {
            Ok(results) => Ok(Some(Compared { before, now: results > 0 })),
            Err(NoAnswer::Later(why)) => Err(Unavailable { what: "ask a knowledge base", why }),
            Err(NoAnswer::Refused(why)) => {
                tracing::warn!(knowledge_base, signal = signal.as_str(), why, "a question was refused");
                Ok(None)
            }
        }
    }
}

/// Whether a question found something when it failed, and whether it does now.
struct Compared {
    before: bool,
    now: bool,
}
