//! Turns what a subscription of CloudWatch Logs delivers into signals.
//!
//! Calls of models become signals at once and go to the queue of signals. Spans are kept, redacted, until nothing more
//! comes of their conversation. What cannot be read is refused with its reason; what is none of ours is passed over.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_engine::signals::{
    Redact, redact, redact_evaluations, redact_id, redact_input, redact_json, redact_passage, redact_refusal, redact_text, redact_turn,
};
use flywheel_intake::{Delivery, LogEvent, Offloaded, Record, Span, function_of, function_runs};
use flywheel_model::{Event, Refusal, Signal};
use flywheel_policy::Policy;
use flywheel_ports::{Bodies, Bus, Conversations, Group, Guardrail, SignalQueue, Spans, Unavailable, guard};
use futures::{StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};

/// Spans kept at the same time.
const AT_ONCE: usize = 16;

/// The world that logs are read in.
#[derive(Debug)]
pub struct World<S, C, Q, O, B> {
    /// Where spans are kept.
    pub spans: S,
    /// The queue that has conversations put together.
    pub conversations: C,
    /// The queue of signals.
    pub signals: Q,
    /// Where large bodies lie.
    pub bodies: O,
    /// Where refusals go.
    pub bus: B,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Signals sent on.
    pub signals: u64,
    /// Spans kept.
    pub spans: u64,
    /// Log events that are none of ours, or tell of ingestion.
    pub passed_over: u64,
    /// Log events that cannot be used; they are in the ledger with their reason.
    pub refused: u64,
}

/// What log events come to.
#[derive(Default)]
struct Read {
    signals: Vec<Signal>,
    spans: Vec<Span>,
    refusals: Vec<Event>,
    passed_over: u64,
}

impl<S: Spans, C: Conversations, Q: SignalQueue, O: Bodies, B: Bus> World<S, C, Q, O, B> {
    /// Takes a delivery in.
    ///
    /// # Errors
    /// If it is no delivery, or something needed does not answer: Lambda tries again, and what it gives up waits among
    /// the dead letters. Taking it in again does nothing twice.
    pub async fn take_in(
        &self,
        delivery: &[u8],
        without: &dyn Redact,
        guardrail: Option<&dyn Guardrail>,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Report, Unavailable> {
        // Its reason goes to the log.
        let unreadable = |why: String| Unavailable { what: "read a delivery", why: without.text(&why).into_owned() };
        let delivery = Delivery::unpack(delivery).map_err(unreadable)?;
        let Delivery::Data { group: log_group, events, .. } = delivery else { return Ok(Report::default()) };
        let mut read = Read::default();
        // Of a function that is a workflow with a limit, each invocation is a run.
        if let Some(function) = function_of(&log_group).filter(|function| policy.limits(function)) {
            read.signals = function_runs(function, &events);
        }
        for event in &events {
            self.read(event, without, now, &mut read).await?;
        }
        // Signals are looked at where they are counted.
        guard(guardrail, without, &mut read.spans, redact_span).await?;
        guard(guardrail, without, &mut read.refusals, redact_refusal).await?;
        self.bus.publish(&read.refusals).await?;
        self.signals.send(&read.signals).await?;
        futures::stream::iter(&read.spans).map(|span| self.spans.keep(span, now)).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        let groups: BTreeSet<Group> = read.spans.iter().map(group).collect();
        let quiet = SignedDuration::from_secs(policy.signals.quiet_seconds.into());
        for group in &groups {
            self.conversations.assemble(group, quiet).await?;
        }
        Ok(Report {
            signals: read.signals.len() as u64,
            spans: read.spans.len() as u64,
            passed_over: read.passed_over,
            refused: read.refusals.len() as u64,
        })
    }

    async fn read(&self, event: &LogEvent, without: &dyn Redact, now: Timestamp, read: &mut Read) -> Result<(), Unavailable> {
        for record in event.read() {
            let signal = match record {
                Ok(Record::Signal(signal)) => Ok(*signal),
                Ok(Record::Offloaded(call)) => self.complete(*call).await?,
                Ok(Record::Span(mut span)) => {
                    redact_span(&mut span, without);
                    read.spans.push(*span);
                    continue;
                }
                Ok(Record::Ingestion(_) | Record::PassedOver(_)) => {
                    read.passed_over += 1;
                    continue;
                }
                Err(reason) => Err(reason),
            };
            match signal {
                Ok(mut signal) => {
                    redact(&mut signal, without);
                    read.signals.push(signal);
                }
                Err(reason) => {
                    let refusal = Refusal::new(&without.text(&reason), &without.id(&event.id), &redact_input(&event.message, without));
                    read.refusals.push(refusal.event(now));
                }
            }
        }
        Ok(())
    }

    /// A call with the content that lies in S3, as far as that may be read.
    async fn complete(&self, call: Offloaded) -> Result<Result<Signal, String>, Unavailable> {
        let mut objects = BTreeMap::new();
        for address in call.objects() {
            if let Some(bytes) = self.bodies.fetch(address).await? {
                objects.insert(address.to_owned(), bytes);
            }
        }
        Ok(call.complete(&objects))
    }
}

/// The most characters of a span's error that are kept.
const ERROR: usize = 2_000;

/// Redacts every text, name and id of a span.
fn redact_span(span: &mut Span, without: &dyn Redact) {
    [&mut span.trace, &mut span.id].into_iter().for_each(|id| redact_id(id, without));
    let names = [&mut span.parent, &mut span.conversation, &mut span.name, &mut span.agent, &mut span.model];
    names.into_iter().flatten().for_each(|name| redact_id(name, without));
    span.input.iter_mut().chain(&mut span.output).for_each(|turn| redact_turn(turn, without));
    if let Some(tool) = &mut span.tool {
        tool.name.iter_mut().chain(&mut tool.call).for_each(|name| redact_id(name, without));
        tool.arguments.iter_mut().for_each(|arguments| redact_json(arguments, without));
        redact_text(&mut tool.result, without);
    }
    if let Some(retrieved) = &mut span.retrieved {
        retrieved.knowledge_base.iter_mut().for_each(|name| redact_id(name, without));
        redact_text(&mut retrieved.query, without);
        retrieved.documents.iter_mut().flatten().for_each(|passage| redact_passage(passage, without));
    }
    redact_evaluations(&mut span.evaluations, without);
    redact_text(&mut span.error, without);
    if let Some(error) = &mut span.error
        && let Some((end, _)) = error.char_indices().nth(ERROR)
    {
        error.truncate(end);
    }
}

fn group(span: &Span) -> Group {
    span.conversation.clone().map_or_else(|| Group::Trace(span.trace.clone()), Group::Conversation)
}

#[cfg(test)]
mod tests {
    use flywheel_redaction::Redactor;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_text_name_and_id_of_a_span_is_redacted_and_ordinary_ones_stay() {
        let span = json!({
            "traceId": "6921d5e0a1b2c3d4e5f60718293a4b5c", "spanId": "00f067aa0ba902b7", "parentSpanId": "jo@example.com", "name": "execute_tool find_order",
            "startTimeUnixNano": "1795435200000000000", "endTimeUnixNano": "1795435201000000000",
            "attributes": {
                "session.id": "session-1", "gen_ai.agent.name": "jo@example.com", "gen_ai.request.model": "jo@example.com", "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find_order",
                "gen_ai.tool.call.id": "call-1", "gen_ai.tool.call.arguments": { "name": "jo@example.com", "id": "jo@example.com", "at": ["jo@example.com"] },
                "gen_ai.tool.call.result": "jo@example.com", "gen_ai.retrieval.query.text": "jo@example.com", "error.type": "jo@example.com",
                "gen_ai.input.messages": [{ "role": "user", "parts": [{ "type": "text", "content": "jo@example.com" }] }],
            }
        });
        let event = LogEvent { id: "1".to_owned(), at: None, message: span.to_string() };
        let Some(Ok(Record::Span(mut span))) = event.read().pop() else { panic!("a span") };
        assert!(serde_json::to_string(&span).expect("JSON").contains("jo@example.com"));
        redact_span(&mut span, &Redactor::new(b"a salt for tests"));
        let kept = serde_json::to_string(&span).expect("JSON");
        assert!(!kept.contains("jo@example.com"), "{kept}");
        assert!(["find_order", "call-1", "session-1"].iter().all(|name| kept.contains(name)), "{kept}");
    }
}
