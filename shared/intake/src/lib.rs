//! What comes in, on every road, as signals.
//!
//! | road | what to call | what comes of it |
//! |---|---|---|
//! | SQS: signals as one object, a JSON array or JSON Lines; EventBridge's envelopes | [`read`] | for each record a [`Signal`] or a [`Refused`] |
//! | a subscription to CloudWatch Logs | [`Delivery::unpack`], then [`LogEvent::read`] | for each log event [`Record`]s or a reason |
//! | the same, of a function's own log group | [`function_runs`] | a signal for each run that it tells of |
//! | the spans of one conversation, kept by the caller until it ended | [`assemble`] | the signals that they tell |
//!
//! Input is not trusted. Everything that is unpacked or collected has its limit, and each record comes to something: it is
//! understood, passed over for a reason, or refused for a reason that names the field, the value and what to do.
//!
//! [`Signal`]: flywheel_model::Signal

mod assemble;
mod attributes;
mod envelope;
mod function_log;
mod ingestion;
mod invocation;
mod logs;
mod signals;
mod span;

pub use assemble::{Assembled, assemble};
pub use function_log::{function_of, function_runs};
pub use ingestion::{DocumentLog, IngestionFact, IngestionLog, JobLog};
pub use invocation::Offloaded;
pub use logs::{Delivery, LogEvent, Record};
pub use signals::{MOST_RECORDS, Refused, Signals, read};
pub use span::{Kind, Retrieved, Span, ToolUse};

use std::borrow::Cow;
use std::io::Read;

/// The most bytes that compressed input may unpack to: some five times what a subscription delivers at once, and what the
/// smallest function of ours can hold.
pub const MOST_UNPACKED: u64 = 32 * 1_024 * 1_024;

/// Unpacks gzip up to [`MOST_UNPACKED`].
fn gunzip(packed: &[u8]) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::new();
    flate2::read::MultiGzDecoder::new(packed)
        .take(MOST_UNPACKED + 1)
        .read_to_end(&mut unpacked)
        .map_err(|error| format!("it is no gzip: {error}"))?;
    if unpacked.len() as u64 > MOST_UNPACKED {
        return Err(format!("it unpacks to more than {MOST_UNPACKED} bytes; no delivery of AWS does"));
    }
    Ok(unpacked)
}

/// A value as a reason quotes it: whole, or by its length alone. Reasons are redacted later, and half of a value would not be
/// recognised.
fn shortened(value: &str) -> Cow<'_, str> {
    match value.chars().count() {
        0..=120 => value.into(),
        length => format!("({length} characters)").into(),
    }
}

/// What serde says is wrong, without a long value that it quotes.
fn explained(error: &str) -> Cow<'_, str> {
    let quoted = error.find(['"', '`']).and_then(|start| {
        let quote = &error[start..=start];
        let end = error.rfind(&format!("{quote}, expected"))?;
        (end > start + 120).then_some((start, end))
    });
    match quoted {
        Some((start, end)) => format!("{}({} bytes){}", &error[..start], end - start - 1, &error[end + 1..]).into(),
        None => error.into(),
    }
}
