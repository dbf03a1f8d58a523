//! The spans of one conversation, put together into signals.
//!
//! Spans come in any order, some twice, some never; what comes of a set of them depends on the set alone. More of the
//! same conversation gives the same signals again, under the same ids, with more in them.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_model::{
    Conversation, Evaluation, Fact, Id, Key, Retrieval, Role, RunStatus, Signal, ToolCall, ToolResult, Turn, WorkflowRun,
};
use jiff::Timestamp;

use crate::span::{Kind, Retrieved, Span, ToolUse};

/// What the spans of one conversation tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Assembled {
    /// The conversation, if any span belongs to it. Its id is the conversation's name.
    pub conversation: Option<Signal>,
    /// One for each retrieval, named `TRACE/SPAN`.
    pub retrievals: Vec<Signal>,
    /// One for each run of an agent or workflow that no other one called, named `TRACE/SPAN`.
    pub runs: Vec<Signal>,
}

impl Assembled {
    /// All signals.
    pub fn signals(self) -> impl Iterator<Item = Signal> {
        self.conversation.into_iter().chain(self.retrievals).chain(self.runs)
    }
}

/// The furthest that parents are followed: no agent calls others that deep, and a circle ends.
const DEEPEST: usize = 100;

/// Puts the spans of one conversation together. Spans that name another conversation are left out; those that name none
/// belong to it if their trace does.
#[must_use]
pub fn assemble(conversation: &str, spans: &[Span]) -> Assembled {
    let named = |span: &&Span| span.conversation.as_deref() == Some(conversation);
    let ours: BTreeSet<&str> = spans.iter().filter(named).map(|span| span.trace.as_str()).collect();
    let spans = merge(spans.iter().filter(|span| named(span) || (span.conversation.is_none() && ours.contains(span.trace.as_str()))));
    let mut traces: BTreeMap<&str, BTreeMap<&str, &Span>> = BTreeMap::new();
    for span in &spans {
        traces.entry(&span.trace).or_default().insert(&span.id, span);
    }
    let mut traces: Vec<Trace> = traces.into_values().map(Trace::new).collect();
    traces.sort_by_key(|trace| (trace.start, trace.name));
    let Some(end) = spans.iter().flat_map(Span::times).max() else { return Assembled::default() };
    Assembled {
        retrievals: traces.iter().flat_map(|trace| trace.retrievals(conversation)).collect(),
        runs: traces.iter().flat_map(Trace::runs).collect(),
        conversation: Some(tell(conversation, &traces, end)),
    }
}

/// The spans of one trace.
struct Trace<'a> {
    name: &'a str,
    start: Option<Timestamp>,
    by_id: BTreeMap<&'a str, &'a Span>,
    /// The same in the order of their start.
    spans: Vec<&'a Span>,
}

impl<'a> Trace<'a> {
    fn new(by_id: BTreeMap<&'a str, &'a Span>) -> Self {
        let mut spans: Vec<&Span> = by_id.values().copied().collect();
        spans.sort_by_key(|span| (span.times().next(), &span.id));
        let start = spans.iter().flat_map(|span| span.times()).min();
        Self { name: spans.first().map_or("", |span| &span.trace), start, by_id, spans }
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &'a Span> {
        self.spans.iter().copied().filter(move |span| span.kind == Some(kind))
    }

    /// The spans that one is part of, as far as they are known, the nearest first.
    fn ancestors(&self, span: &'a Span) -> impl Iterator<Item = &'a Span> {
        std::iter::successors(Some(span), |span| self.by_id.get(span.parent.as_deref()?).copied()).skip(1).take(DEEPEST)
    }

    /// The runs that no other run called. In a circle of parents there is none that comes first; all are taken.
    fn roots(&self) -> Vec<&'a Span> {
        self.of_kind(Kind::Run)
            .filter(|run| !self.ancestors(run).any(|above| above.kind == Some(Kind::Run) && above.id != run.id))
            .collect()
    }

    fn runs(&self) -> Vec<Signal> {
        let roots = self.roots();
        let run = |root: &&'a Span| {
            let (start, end) = (root.start, root.end);
            let seconds = start.zip(end).and_then(|(start, end)| seconds(start, end));
            // A caller above that gave up, though the run itself went on to its end.
            let caller = self.ancestors(root).find(|above| above.timed_out);
            let status = match (&root.error, caller) {
                (_, Some(_)) => RunStatus::TimedOut,
                (Some(_), None) if root.timed_out => RunStatus::TimedOut,
                (Some(_), None) => RunStatus::Failed,
                (None, None) => RunStatus::Succeeded,
            };
            // What the caller waited is the limit.
            let limit_seconds = caller.and_then(seconds_of).filter(|limit| seconds.is_none_or(|seconds| *limit <= seconds));
            let below = |tool: &&Span| {
                let mut above = self.ancestors(tool).peekable();
                (roots.len() == 1) || above.any(|above| above.id == root.id)
            };
            let workflow = root.agent.as_deref().or(root.name.as_deref()).unwrap_or("agent");
            let run = WorkflowRun {
                workflow: key(workflow),
                status,
                seconds,
                limit_seconds,
                tool_calls: u32::try_from(self.of_kind(Kind::Tool).filter(below).count()).ok(),
                trace: Key::try_from(self.name).ok(),
                error: root.error.clone().or_else(|| caller.and_then(|caller| caller.error.clone())),
            };
            Some(Signal { id: self.id(root), at: end.or(start)?, fact: Fact::WorkflowRun(run) })
        };
        roots.iter().filter_map(run).collect()
    }

    fn retrievals(&self, conversation: &str) -> Vec<Signal> {
        let retrieval = |span: &&'a Span| {
            let Retrieved { knowledge_base, query, documents } = span.retrieved.clone()?;
            let fact = Retrieval {
                knowledge_base: knowledge_base.as_deref().map(key),
                conversation: Some(key(conversation)),
                trace: Key::try_from(self.name).ok(),
                query,
                passages: documents,
                error: span.error.clone(),
                evaluations: span.evaluations.clone(),
                ..Retrieval::default()
            };
            Some(Signal { id: self.id(span), at: span.times().max()?, fact: Fact::Retrieval(fact) })
        };
        self.spans.iter().filter_map(retrieval).collect()
    }

    fn id(&self, span: &Span) -> Key {
        key(&format!("{}/{}", self.name, span.id))
    }

    /// What was said and done. Calls of models have the most: each was given all that went before. Where they recorded no
    /// content, the agent's own span may have it, and the spans of the tools say what was called.
    fn turns(&self) -> Vec<Turn> {
        let mut turns = Vec::new();
        let told = |span: &&&Span| !(span.input.is_empty() && span.output.is_empty()) && span.kind != Some(Kind::Tool);
        let models: Vec<&&Span> = self.spans.iter().filter(told).filter(|span| span.kind == Some(Kind::Model)).collect();
        if models.is_empty() {
            // The outermost that has content; what is inside of it repeats it.
            let outer: Vec<&&Span> =
                self.spans.iter().filter(told).filter(|span| !self.ancestors(span).any(|above| told(&&above))).collect();
            outer.iter().for_each(|span| append(&mut turns, &span.input));
            self.add_tools(&mut turns);
            outer.iter().for_each(|span| append(&mut turns, &span.output));
        } else {
            for span in models {
                append(&mut turns, &span.input);
                append(&mut turns, &span.output);
            }
            self.add_tools(&mut turns);
        }
        turns
    }

    /// Adds the calls of tools that no message tells, and the errors that only their spans know.
    fn add_tools(&self, turns: &mut Vec<Turn>) {
        for span in self.of_kind(Kind::Tool) {
            let Some(tool) = &span.tool else { continue };
            let named = |call: &ToolCall| match (&tool.call, &call.id) {
                (Some(one), Some(other)) => one == other,
                _ => tool.name.as_ref() == Some(&call.name),
            };
            let is_told = turns.iter().flat_map(|turn| &turn.tool_calls).any(named);
            let result = match &tool.call {
                Some(call) => turns.iter_mut().flat_map(|turn| &mut turn.tool_results).find(|result| result.call.as_ref() == Some(call)),
                None => None,
            };
            match result {
                Some(result) => result.error |= span.error.is_some(),
                None if is_told && span.error.is_none() => {}
                None => {
                    if !is_told {
                        turns.push(Turn { tool_calls: vec![called(tool)], at: span.start, ..empty(Role::Assistant) });
                    }
                    if tool.result.is_some() || span.error.is_some() {
                        let result = ToolResult {
                            call: tool.call.clone(),
                            name: tool.name.clone(),
                            text: tool.result.clone().or_else(|| span.error.clone()),
                            error: span.error.is_some(),
                        };
                        turns.push(Turn { tool_results: vec![result], at: span.end, ..empty(Role::Tool) });
                    }
                }
            }
        }
    }
}

fn tell(name: &str, traces: &[Trace], end: Timestamp) -> Signal {
    let mut turns = Vec::new();
    for trace in traces {
        append(&mut turns, &trace.turns());
    }
    let spans = || traces.iter().flat_map(|trace| trace.spans.iter().copied());
    // An agent's span counts the tokens of its calls of models once more.
    let tokens = |count: fn(&Span) -> Option<u64>| {
        let models: Vec<u64> = spans().filter(|span| span.kind == Some(Kind::Model)).filter_map(count).collect();
        let counted = if models.is_empty() { traces.iter().flat_map(Trace::roots).filter_map(count).collect() } else { models };
        (!counted.is_empty()).then(|| counted.into_iter().fold(0, u64::saturating_add))
    };
    let start = traces.iter().filter_map(|trace| trace.start).min();
    // How it ended: as its last run did, or its last call of a model where no run is known.
    let last = traces.iter().flat_map(Trace::roots).next_back();
    let last = last.or_else(|| spans().rfind(|span| span.kind == Some(Kind::Model)));
    let mut evaluations: Vec<Evaluation> = Vec::new();
    for span in spans().filter(|span| span.retrieved.is_none()) {
        join(&mut evaluations, &span.evaluations);
    }
    let conversation = Conversation {
        conversation: Some(key(name)),
        trace: if let [only] = traces { Key::try_from(only.name).ok() } else { None },
        turns,
        error: last.and_then(|last| last.error.clone()),
        evaluations,
        model: spans().filter_map(|span| span.model.as_deref()).next_back().and_then(|model| Key::try_from(model).ok()),
        input_tokens: tokens(|span| span.input_tokens),
        output_tokens: tokens(|span| span.output_tokens),
        seconds: start.and_then(|start| seconds(start, end)),
        ..Conversation::default()
    };
    Signal { id: key(name), at: end, fact: Fact::Conversation(conversation) }
}

/// One span for each id, with what all its fragments know.
fn merge<'a>(fragments: impl Iterator<Item = &'a Span>) -> Vec<Span> {
    let mut by_id: BTreeMap<(&str, &str), Vec<&Span>> = BTreeMap::new();
    for fragment in fragments {
        by_id.entry((&fragment.trace, &fragment.id)).or_default().push(fragment);
    }
    let merged = by_id.into_values().map(|mut fragments| {
        // By time; what is of the same time by what it says, so that the order of arrival does not matter.
        fragments.sort_by_cached_key(|fragment| (fragment.times().next(), format!("{fragment:?}")));
        fragments.dedup();
        let mut fragments = fragments.into_iter();
        let mut span = fragments.next().cloned().unwrap_or_default();
        fragments.for_each(|fragment| span.learn(fragment));
        span
    });
    merged.collect()
}

impl Span {
    /// Takes from another fragment of the same span what it does not know yet.
    fn learn(&mut self, other: &Self) {
        fn learn<T: Clone>(known: &mut Option<T>, other: &Option<T>) {
            if known.is_none() {
                known.clone_from(other);
            }
        }
        learn(&mut self.parent, &other.parent);
        learn(&mut self.conversation, &other.conversation);
        learn(&mut self.name, &other.name);
        learn(&mut self.kind, &other.kind);
        learn(&mut self.start, &other.start);
        self.end = self.end.max(other.end);
        self.logged = self.logged.max(other.logged);
        learn(&mut self.agent, &other.agent);
        learn(&mut self.model, &other.model);
        learn(&mut self.tool, &other.tool);
        learn(&mut self.retrieved, &other.retrieved);
        learn(&mut self.input_tokens, &other.input_tokens);
        learn(&mut self.output_tokens, &other.output_tokens);
        learn(&mut self.error, &other.error);
        self.timed_out |= other.timed_out;
        append(&mut self.input, &other.input);
        append(&mut self.output, &other.output);
        join(&mut self.evaluations, &other.evaluations);
    }
}

/// Adds what is not there yet, in its order. A list of messages often repeats what went before.
fn append(turns: &mut Vec<Turn>, more: &[Turn]) {
    let longest = turns.len().min(more.len());
    if more.is_empty() || turns.starts_with(more) {
        return;
    }
    let overlap = (0..=longest).rev().find(|overlap| turns[turns.len() - overlap..] == more[..*overlap]).unwrap_or_default();
    turns.extend_from_slice(&more[overlap..]);
}

fn join(evaluations: &mut Vec<Evaluation>, more: &[Evaluation]) {
    for evaluation in more {
        if !evaluations.contains(evaluation) {
            evaluations.push(evaluation.clone());
        }
    }
}

fn called(tool: &ToolUse) -> ToolCall {
    ToolCall { id: tool.call.clone(), name: tool.name.clone().unwrap_or_default(), arguments: tool.arguments.clone().unwrap_or_default() }
}

fn empty(role: Role) -> Turn {
    Turn { role, text: None, tool_calls: Vec::new(), tool_results: Vec::new(), at: None }
}

fn seconds_of(span: &Span) -> Option<f64> {
    seconds(span.start?, span.end?)
}

/// The time between, unless a clock ran backwards.
fn seconds(start: Timestamp, end: Timestamp) -> Option<f64> {
    let seconds = end.duration_since(start).as_secs_f64();
    (seconds >= 0.0).then_some(seconds)
}

/// A name, or its hash where it is none that a signal may have.
fn key(name: &str) -> Key {
    Key::try_from(name).unwrap_or_else(|_| {
        let hash = Id::of("name", &[name]);
        Key::try_from(hash.as_str()).expect("32 hexadecimal digits")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::span;

    /// Ten seconds of one request: a caller that gave up after three, an agent, a retrieval, a call of a tool, two of a model.
    fn request() -> Vec<Span> {
        let second = |n: i64| 1_763_892_000_000_000_000_i64 + n * 1_000_000_000;
        let span = |id: &str, parent: Option<&str>, from: i64, to: i64, attributes: Value| {
            let value = json!({
                "traceId": "t1", "spanId": id, "parentSpanId": parent, "name": id,
                "startTimeUnixNano": second(from), "endTimeUnixNano": second(to), "attributes": attributes,
            });
            span::read(&value, None).expect("a span")
        };
        let record = |id: &str, at: i64, body: Value| {
            let value =
                json!({ "traceId": "t1", "spanId": id, "timeUnixNano": second(at), "body": body, "attributes": { "session.id": "c-1" } });
            span::read(&value, None).expect("a record")
        };
        let question = json!({ "role": "user", "content": "Where is order 7?" });
        let call = json!({ "role": "assistant", "content": [{ "toolUse": { "toolUseId": "u1", "name": "find_order", "input": { "order": 7 } } }] });
        let answer = json!({ "role": "user", "content": [{ "toolResult": { "toolUseId": "u1", "content": [{ "text": "on its way" }] } }] });
        vec![
            span("caller", None, 0, 3, json!({ "error.type": "TimeoutError" })),
            span(
                "agent",
                Some("caller"),
                0,
                10,
                json!({
                    "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "shopkeeper", "session.id": "c-1", "gen_ai.usage.input_tokens": 30,
                }),
            ),
            span(
                "retrieval",
                Some("agent"),
                1,
                2,
                json!({
                    "gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": "KB12345678", "gen_ai.retrieval.query.text": "order 7",
                }),
            ),
            span(
                "chat-1",
                Some("agent"),
                2,
                4,
                json!({ "gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 10, "gen_ai.request.model": "m" }),
            ),
            span(
                "tool",
                Some("agent"),
                4,
                8,
                json!({
                    "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find_order", "gen_ai.tool.call.id": "u1",
                }),
            ),
            span(
                "chat-2",
                Some("agent"),
                8,
                10,
                json!({ "gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 20, "gen_ai.request.model": "m" }),
            ),
            record("chat-1", 4, json!({ "input": { "messages": [question] }, "output": { "messages": [call] } })),
            record(
                "chat-2",
                10,
                json!({
                    "input": { "messages": [question, call, answer] },
                    "output": { "messages": [{ "role": "assistant", "content": "It is on its way." }] },
                }),
            ),
        ]
    }

    fn conversation(assembled: &Assembled) -> &Conversation {
        match &assembled.conversation {
            Some(Signal { fact: Fact::Conversation(conversation), .. }) => conversation,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_conversation_one_retrieval_one_run() {
        let assembled = assemble("c-1", &request());
        let told = conversation(&assembled);
        let roles: Vec<Role> = told.turns.iter().map(|turn| turn.role).collect();
        assert_eq!(roles, [Role::User, Role::Assistant, Role::User, Role::Assistant], "{:?}", told.turns);
        assert_eq!((told.input_tokens, told.seconds, told.model.as_ref().map(Key::as_str)), (Some(30), Some(10.0), Some("m")));
        assert_eq!(assembled.retrievals[0].id.as_str(), "t1/retrieval");
        let [Signal { id, fact: Fact::WorkflowRun(run), .. }] = &assembled.runs[..] else { panic!("one run") };
        assert_eq!((id.as_str(), run.workflow.as_str(), run.status), ("t1/agent", "shopkeeper", RunStatus::TimedOut));
        assert_eq!((run.seconds, run.limit_seconds, run.tool_calls), (Some(10.0), Some(3.0), Some(1)));
    }

    #[test]
    fn without_content_the_tools_tell_what_was_done() {
        let mut spans = request();
        spans.retain(|span| span.kind.is_some());
        let tool = spans.iter_mut().find(|span| span.id == "tool").expect("the tool");
        tool.error = Some("no such order".to_owned());
        let assembled = assemble("c-1", &spans);
        let turns = &conversation(&assembled).turns;
        assert_eq!((turns.len(), turns[0].tool_calls[0].name.as_str(), turns[1].tool_results[0].error), (2, "find_order", true));
    }

    #[test]
    fn missing_parents_circles_and_other_conversations() {
        let mut spans = request();
        spans.retain(|span| span.id != "caller");
        let [Signal { fact: Fact::WorkflowRun(run), .. }] = &assemble("c-1", &spans).runs[..] else { panic!("one run") };
        assert_eq!((run.status, run.limit_seconds), (RunStatus::Succeeded, None));
        for span in &mut spans {
            span.parent = Some(if span.id == "agent" { "chat-1" } else { "agent" }.to_owned());
        }
        assert_eq!(assemble("c-1", &spans).runs.len(), 1);
        assert_eq!(assemble("c-2", &spans), Assembled::default());
        assert_eq!(assemble("c-1", &[]), Assembled::default());
    }

    proptest! {
        #[test]
        fn neither_order_nor_duplicates_matter(
            order in Just((0..8_usize).collect::<Vec<_>>()).prop_shuffle(), again in proptest::collection::vec(0..8_usize, 0..8),
        ) {
            let spans = request();
            let shuffled: Vec<Span> = order.into_iter().chain(again).map(|n| spans[n].clone()).collect();
            prop_assert_eq!(assemble("c-1", &shuffled), assemble("c-1", &spans));
        }

        #[test]
        fn any_part_of_it_gives_signals_of_the_same_ids(keep in proptest::collection::vec(any::<bool>(), 8)) {
            let whole: BTreeSet<Key> = assemble("c-1", &request()).signals().map(|signal| signal.id).collect();
            let part: Vec<Span> = request().into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(span, _)| span).collect();
            for signal in assemble("c-1", &part).signals() {
                prop_assert!(whole.contains(&signal.id), "{}", signal.id);
            }
        }
    }
}
