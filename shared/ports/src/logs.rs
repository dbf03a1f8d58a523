//! What reading logs needs.

use flywheel_intake::Span;
use flywheel_model::Signal;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Unavailable;

/// The queue that signals come in by.
pub trait SignalQueue {
    /// Sends signals: all of them, or an error. Sending one again does no harm, its id tells.
    async fn send(&self, signals: &[Signal]) -> Result<(), Unavailable>;
}

/// Spans that belong together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Those of a conversation, over all its traces.
    Conversation(String),
    /// Those of a trace of which no span names a conversation.
    Trace(String),
}

/// A span that is kept until its conversation is over.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptSpan {
    /// The span.
    pub span: Span,
    /// When it came.
    pub arrived_at: Timestamp,
}

/// Where spans are kept until their conversation is over.
pub trait Spans {
    /// Keeps a span for some days. Keeping it again changes nothing.
    async fn keep(&self, span: &Span, arrived_at: Timestamp) -> Result<(), Unavailable>;

    /// The spans of a group that have come by now.
    async fn spans(&self, group: &Group) -> Result<Vec<KeptSpan>, Unavailable>;
}

/// The queue that has conversations put together.
pub trait Conversations {
    /// Has a group put together after a delay, at most 15 minutes.
    async fn assemble(&self, group: &Group, after: SignedDuration) -> Result<(), Unavailable>;
}

/// The bucket where model invocation logging puts large bodies.
pub trait Bodies {
    /// An object's bytes, by its address `s3://BUCKET/KEY`; nothing if it is not there, or not in the bucket that may be
    /// read.
    async fn fetch(&self, address: &str) -> Result<Option<Vec<u8>>, Unavailable>;
}

/// The secret that placeholders of redacted values are made with.
pub trait Salt {
    /// This deployment's own. Made when it is first asked for, and the same ever after.
    async fn salt(&self) -> Result<Vec<u8>, Unavailable>;
}
