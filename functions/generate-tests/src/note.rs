//! From a batch of signals to the index of conversations, and from findings to those that are open.

use flywheel_engine::signals::resolution;
use flywheel_model::{Body, Event, Evidence, Fact, Metric, Observation, Scope, SignalBatch};
use flywheel_policy::Policy;
use flywheel_ports::{Bus, ConversationIndex, Noted, Observations, OpenFinding, Proposer, Suites, Unavailable};
use jiff::Timestamp;

use crate::{Report, World};

impl<O: Observations, I: ConversationIndex, S: Suites, B: Bus, P: Proposer> World<O, I, S, B, P> {
    /// Notes the conversations of a batch that failed or of which it is known that they were resolved. Says how many.
    ///
    /// # Errors
    /// If something that it needs does not answer. Noting again changes nothing.
    pub async fn note(&self, batch: &SignalBatch) -> Result<u64, Unavailable> {
        let observations = self.observations.counted(&batch.evidence).await?;
        let noted: Vec<Noted> = observations.iter().filter_map(|observation| noted(observation, &batch.evidence)).collect();
        self.index.note(&noted).await?;
        Ok(noted.len() as u64)
    }

    /// Answers a finding about conversations of an intent: makes tests when it opens or more is known, and lets it be when it
    /// closes. Nothing if the event is about something else.
    ///
    /// # Errors
    /// If something that it needs does not answer. Hearing it again does nothing twice.
    pub async fn hear(&self, event: &Event, policy: &Policy, now: Timestamp) -> Result<Report, Unavailable> {
        let (Body::FindingOpened(finding) | Body::FindingUpdated(finding) | Body::FindingClosed(finding)) = &event.body else {
            return Ok(Report::default());
        };
        let (Metric::ConversationFailures, Scope::Key(intent)) = (finding.metric, &finding.scope) else { return Ok(Report::default()) };
        if matches!(event.body, Body::FindingClosed(_)) {
            self.index.drop_finding(&finding.finding).await?;
            return Ok(Report::default());
        }
        let since = match &finding.evidence {
            Evidence::Rates(rates) => rates.since,
            Evidence::Alarm { .. } => finding.opened_at,
        };
        let open = OpenFinding { finding: finding.finding.clone(), intent: intent.clone(), since };
        self.index.keep_finding(&open).await?;
        self.generate(intent, since, Some(&finding.finding), policy, now).await
    }

    /// Makes tests for all open findings anew, since more conversations may have failed, or an event was lost; and proposes to
    /// retire tests of intents without one.
    ///
    /// # Errors
    /// If something that it needs does not answer.
    pub async fn tend(&self, policy: &Policy, now: Timestamp) -> Result<Report, Unavailable> {
        let (mut all, open) = (Report::default(), self.index.open_findings().await?);
        for open in &open {
            all.add(self.generate(&open.intent, open.since, Some(&open.finding), policy, now).await?);
        }
        for intent in self.suites.intents().await? {
            if !open.iter().any(|open| open.intent == intent) {
                all.changes += self.propose_retirements(&intent, policy, now).await?;
            }
        }
        Ok(all)
    }
}

/// A conversation of which something is known.
fn noted(observation: &Observation, evidence: &str) -> Option<Noted> {
    let Fact::Conversation(conversation) = &observation.signal.fact else { return None };
    let failed = !observation.failures.is_empty();
    let known = failed || resolution(conversation, &observation.failures) == Some(true);
    known.then_some(())?;
    Some(Noted {
        signal: observation.signal.identity(),
        intent: observation.class.clone()?,
        at: observation.signal.at,
        failed,
        evidence: evidence.to_owned(),
    })
}
