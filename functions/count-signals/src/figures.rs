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
    /// Of those observations that were counted, each once.
    #[must_use]
    pub fn of<'o>(observations: impl IntoIterator<Item = &'o Observation>, is_counted: impl Fn(&Id) -> bool) -> Self {
        let (mut figures, mut seen) = (Self::default(), BTreeSet::new());
        for observation in observations {
            let Entry { signal, counts, .. } = Entry::new(observation);
            if is_counted(&signal) && seen.insert(signal) {
                for (series, count) in counts {
                    figures.add(series.metric, series.key, &count);
                }
                figures.add_tokens(observation);
            }
        }
        figures
    }

    fn add(&mut self, metric: Metric, key: Key, count: &Count) {
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
        let of = self.of_intents.entry(key).or_default();
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
            for (figure, value) in values {
                metrics.add_of_intent(*figure, policy.measured_intent(intent), *value);
            }
        }
    }
}
