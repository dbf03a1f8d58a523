//! What counted signals come to in figures.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_engine::signals::batch::Entry;
use flywheel_kit::Metrics;
use flywheel_model::{Count, Fact, FunctionFigure, Id, IntentFigure, Key, Metric, Observation};
use flywheel_policy::Policy;

/// Sums over signals, for the dashboards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    of_function: BTreeMap<FunctionFigure, u64>,
    of_intents: BTreeMap<Key, BTreeMap<IntentFigure, u64>>,
}

impl Figures {
    /// Of those observations that were counted, each once, with what each of them counts for.
    #[must_use]
    pub fn of<'o>(observations: impl IntoIterator<Item = (&'o Observation, &'o Entry)>, is_counted: impl Fn(&Id) -> bool) -> Self {
        let (mut figures, mut seen) = (Self::default(), BTreeSet::new());
        for (observation, entry) in observations {
            if is_counted(&entry.signal) && seen.insert(&entry.signal) {
                for (series, count) in &entry.counts {
                    figures.add(series.metric, &series.key, count);
                }
                figures.add_tokens(observation);
            }
        }
        figures
    }

    fn add(&mut self, metric: Metric, key: &Key, count: &Count) {
        let mut of_function = |trials, events| {
            *self.of_function.entry(trials).or_default() += count.trials;
            *self.of_function.entry(events).or_default() += count.events;
        };
        let intent = match metric {
            Metric::ConversationFailures => (IntentFigure::Conversations, IntentFigure::ConversationsFailed),
            Metric::Resolution => (IntentFigure::ConversationsKnown, IntentFigure::ConversationsResolved),
            Metric::Timeouts => return of_function(FunctionFigure::WorkflowRuns, FunctionFigure::WorkflowRunsCut),
            Metric::FailedReleases => return of_function(FunctionFigure::Releases, FunctionFigure::ReleasesFailed),
            Metric::FailedResponses | Metric::RetrievalFailures => return,
        };
        let of = self.of_intents.entry(key.clone()).or_default();
        for (figure, value) in [(intent.0, count.trials), (intent.1, count.events)] {
            *of.entry(figure).or_default() += value;
        }
    }

    fn add_tokens(&mut self, observation: &Observation) {
        if let (Fact::Conversation(conversation), Some(intent)) = (&observation.signal.fact, &observation.class) {
            let tokens = [(IntentFigure::InputTokens, conversation.input_tokens), (IntentFigure::OutputTokens, conversation.output_tokens)];
            for (figure, told) in tokens {
                if let Some(told) = told {
                    let sum = self.of_intents.entry(intent.clone()).or_default().entry(figure).or_default();
                    *sum = sum.saturating_add(told);
                }
            }
        }
    }

    /// Adds what others come to.
    pub fn merge(&mut self, others: Self) {
        for (figure, value) in others.of_function {
            *self.of_function.entry(figure).or_default() += value;
        }
        for (intent, values) in others.of_intents {
            let of = self.of_intents.entry(intent).or_default();
            for (figure, value) in values {
                let sum = of.entry(figure).or_default();
                *sum = sum.saturating_add(value);
            }
        }
    }

    /// Adds them to the metrics: intents under the names that the policy has, all others together.
    pub fn tell(&self, policy: &Policy, metrics: &mut Metrics) {
        for (figure, value) in &self.of_function {
            metrics.add(*figure, *value);
        }
        for (intent, values) in &self.of_intents {
            let name = policy.measured_intent(intent);
            for (figure, value) in values {
                metrics.add_of_intent(*figure, name, *value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use flywheel_model::Failure;
    use flywheel_model::FailureReason::Error;
    use serde_json::{Value, json};

    use super::*;

    fn observation(id: &str, class: Option<&str>, failed: bool, fact: &Value) -> Observation {
        let mut signal = json!({ "id": id, "at": "2026-11-23T10:00:00Z" });
        signal.as_object_mut().expect("an object").extend(fact.as_object().expect("an object").clone());
        Observation {
            signal: serde_json::from_value(signal).expect("a signal"),
            class: class.map(|class| Key::try_from(class).expect("a name")),
            failures: failed.then(|| Failure { reason: Error, detail: "boom".to_owned() }).into_iter().collect(),
        }
    }

    fn observations() -> Vec<Observation> {
        let told = json!({ "conversation": { "resolved": true, "input_tokens": 900, "output_tokens": 100 } });
        let untold = json!({ "conversation": {} });
        vec![
            observation("1", Some("refund"), false, &told),
            observation("2", Some("refund"), true, &untold),
            observation("3", Some("my cat Rex"), false, &untold),
            observation("4", None, true, &json!({ "workflow_run": { "workflow": "w", "status": "timed_out" } })),
            observation("5", None, false, &json!({ "release": { "service": "s", "succeeded": true } })),
        ]
    }

    fn figures_of<'o>(observations: impl IntoIterator<Item = &'o Observation>, is_counted: impl Fn(&Id) -> bool) -> Figures {
        let observations: Vec<(&Observation, Entry)> = observations.into_iter().map(|one| (one, Entry::new(one))).collect();
        Figures::of(observations.iter().map(|(observation, entry)| (*observation, entry)), is_counted)
    }

    #[test]
    fn conversations_are_summed_by_intent_runs_and_releases_together() {
        let observations = observations();
        // A signal that is there twice counts once.
        let figures = figures_of(observations.iter().chain(&observations), |_| true);
        let of =
            |intent: &str, figure| figures.of_intents.get(&Key::try_from(intent).expect("a name")).and_then(|of| of.get(&figure)).copied();
        assert_eq!(of("refund", IntentFigure::Conversations), Some(2));
        assert_eq!(of("refund", IntentFigure::ConversationsFailed), Some(1));
        assert_eq!(of("refund", IntentFigure::ConversationsResolved), Some(1));
        assert_eq!((of("refund", IntentFigure::InputTokens), of("refund", IntentFigure::OutputTokens)), (Some(900), Some(100)));
        // What is not told is not zero; what was counted and did not happen is.
        assert_eq!((of("my cat Rex", IntentFigure::ConversationsFailed), of("my cat Rex", IntentFigure::InputTokens)), (Some(0), None));
        assert_eq!(figures.of_function[&FunctionFigure::WorkflowRunsCut], 1);
        assert_eq!((figures.of_function[&FunctionFigure::Releases], figures.of_function[&FunctionFigure::ReleasesFailed]), (1, 0));
    }

    #[test]
    fn what_was_counted_elsewhere_comes_to_nothing() {
        assert_eq!(figures_of(&observations(), |_| false), Figures::default());
    }

    #[test]
    fn parts_come_to_the_same_as_all_of_it() {
        let observations = observations();
        let (one, other) = observations.split_at(2);
        let mut merged = figures_of(one, |_| true);
        merged.merge(figures_of(other, |_| true));
        assert_eq!(merged, figures_of(&observations, |_| true));
    }
}
