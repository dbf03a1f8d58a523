//! What the conversations of an intent that were resolved have in common.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_model::{Conversation, Fact, Observation, Role};

use super::steps::calls;

/// With fewer resolved conversations nothing is said of what they have in common.
const ENOUGH: usize = 5;

/// What all but this share of them do is usual.
const UNUSUAL: f64 = 0.05;

/// What is usual in an intent.
#[derive(Debug, Default)]
pub(super) struct Usual<'o> {
    /// The conversations, the newest first, each with its observation.
    pub(super) conversations: Vec<(&'o Observation, &'o Conversation)>,
    tools: BTreeMap<&'o str, UsualTool<'o>>,
    /// What each took, the least first.
    turns: Vec<f64>,
    seconds: Vec<f64>,
    tokens: Vec<f64>,
}

#[derive(Debug, Default)]
struct UsualTool<'o> {
    conversations: usize,
    calls: usize,
    arguments: BTreeMap<&'o str, usize>,
}

impl<'o> Usual<'o> {
    /// Of these conversations.
    #[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub(super) fn of(resolved: &'o [Observation]) -> Self {
        // The newest first, whatever the order in which they came: where one stands for all, it is the first.
        let mut latest: BTreeMap<_, &Observation> = BTreeMap::new();
        latest.extend(resolved.iter().map(|observation| ((observation.signal.at, observation.signal.identity()), observation)));
        let mut usual = Self::default();
        for observation in latest.into_values().rev() {
            let Fact::Conversation(conversation) = &observation.signal.fact else { continue };
            usual.conversations.push((observation, conversation));
            usual.turns.push(conversation.turns.iter().filter(|turn| turn.role == Role::Assistant).count() as f64);
            usual.seconds.extend(conversation.seconds.filter(|seconds| seconds.is_finite()));
            usual.tokens.extend(conversation.output_tokens.map(|tokens| tokens as f64));
            let mut seen = BTreeSet::new();
            for called in calls(&conversation.turns).into_iter().filter(|called| !called.failed()) {
                let tool = usual.tools.entry(&called.call.name).or_default();
                tool.calls += 1;
                tool.conversations += usize::from(seen.insert(called.call.name.as_str()));
                for (name, _) in called.call.arguments.as_object().into_iter().flatten() {
                    *tool.arguments.entry(name).or_default() += 1;
                }
            }
        }
        for took in [&mut usual.turns, &mut usual.seconds, &mut usual.tokens] {
            took.sort_by(f64::total_cmp);
        }
        usual
    }

    /// Whether there are enough of them to say what is usual.
    pub(super) fn is_known(&self) -> bool {
        self.conversations.len() >= ENOUGH
    }

    /// Tools that next to all of them call, with the arguments that next to all of these calls have.
    pub(super) fn always(&self) -> impl Iterator<Item = (&'o str, Vec<&'o str>)> {
        let all = self.conversations.len();
        self.tools.iter().filter(move |(_, tool)| self.is_known() && next_to_all(tool.conversations, all)).map(|(name, tool)| {
            let arguments = tool.arguments.iter().filter(|(_, count)| next_to_all(**count, tool.calls));
            (*name, arguments.map(|(argument, _)| *argument).collect())
        })
    }

    /// Whether none of them calls a tool.
    pub(super) fn never_calls(&self, tool: &str) -> bool {
        self.is_known() && !self.tools.contains_key(tool)
    }

    /// Of calls of a tool, the arguments that none of its usual calls has, and those that all of them have.
    pub(super) fn arguments(&self, tool: &str) -> Option<(impl Fn(&str) -> bool, Vec<&'o str>)> {
        let usual = self.tools.get(tool).filter(|usual| usual.conversations >= ENOUGH)?;
        let always = usual.arguments.iter().filter(|(_, count)| **count == usual.calls).map(|(name, _)| *name).collect();
        Some((|name: &str| !usual.arguments.contains_key(name), always))
    }

    /// The tools that they call.
    pub(super) fn tools(&self) -> impl Iterator<Item = &'o str> {
        self.tools.keys().copied()
    }

    /// Turns of the assistant, seconds and tokens that all but one in twenty do with, each where enough of them tell.
    pub(super) fn took(&self) -> [Option<f64>; 3] {
        let most = |took: &Vec<f64>| (took.len() >= ENOUGH).then(|| took[(took.len() * 95).div_ceil(100) - 1]);
        [&self.turns, &self.seconds, &self.tokens].map(most)
    }

    /// Whether next to all of those that are concerned fulfil something. Nothing if they are too few to tell.
    pub(super) fn fulfil(&self, concerned: impl Fn(&Conversation) -> bool, condition: impl Fn(&Conversation) -> bool) -> Option<bool> {
        let concerned: Vec<&Conversation> =
            self.conversations.iter().map(|(_, conversation)| *conversation).filter(|conversation| concerned(conversation)).collect();
        let fulfilling = concerned.iter().filter(|conversation| condition(conversation)).count();
        (concerned.len() >= ENOUGH).then(|| next_to_all(fulfilling, concerned.len()))
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts of some hundred conversations")]
fn next_to_all(count: usize, all: usize) -> bool {
    count as f64 >= (1.0 - UNUSUAL) * all as f64
}
