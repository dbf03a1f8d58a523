//! Puts the spans of a conversation together into signals, once nothing more comes of it.
//!
//! Each delivery of spans asks for it after the quiet time. Whoever is asked too early, since more has come, asks again for
//! later. Signals that are made twice have the same ids and count once.

use flywheel_intake::{Span, assemble};
use flywheel_model::Signal;
use flywheel_ports::{Conversations, Group, SignalQueue, Spans, Unavailable};
use jiff::{SignedDuration, Timestamp};

/// Puts a group together, or has it done later. Gives how many signals came of it.
///
/// # Errors
/// If something needed does not answer.
pub async fn put_together<S: Spans, C: Conversations, Q: SignalQueue>(
    spans: &S,
    conversations: &C,
    signals: &Q,
    group: &Group,
    quiet: SignedDuration,
    now: Timestamp,
) -> Result<usize, Unavailable> {
    let kept = spans.spans(group).await?;
    let Some(latest) = kept.iter().map(|kept| kept.arrived_at).max() else { return Ok(0) };
    // A queue delays by whole seconds, so that a message may come a moment early.
    let early = (latest + quiet).duration_since(now);
    if early > SignedDuration::from_secs(1) {
        conversations.assemble(group, early.min(quiet)).await?;
        return Ok(0);
    }
    let told = tell(group, kept.into_iter().map(|kept| kept.span).collect());
    signals.send(&told).await?;
    Ok(told.len())
}

/// The signals that a group's spans tell.
fn tell(group: &Group, mut spans: Vec<Span>) -> Vec<Signal> {
    match group {
        Group::Conversation(name) => assemble(name, &spans).signals().collect(),
        // Where one of its spans names a conversation, the trace belongs to that.
        Group::Trace(_) if spans.iter().any(|span| span.conversation.is_some()) => Vec::new(),
        Group::Trace(trace) => {
            for span in &mut spans {
                span.conversation = Some(trace.clone());
            }
            assemble(trace, &spans).signals().collect()
        }
    }
}
