//! Batches of queue messages of which one may fail without the others.

use std::panic::AssertUnwindSafe;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{FutureExt, StreamExt};

/// The message could not be dealt with now. The queue delivers it again, and after some tries puts it aside in its
/// dead-letter queue.
#[derive(Debug, Clone)]
pub struct Redeliver(
    /// Why.
    pub String,
);

impl<E: std::error::Error> From<E> for Redeliver {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Hands each message of a batch to `handle`, some at a time, and reports those that failed. A panic is a failure of its
/// message alone.
pub async fn each_message<F, Fut>(event: SqsEvent, at_once: usize, handle: F) -> SqsBatchResponse
where
    F: Fn(SqsMessage) -> Fut,
    Fut: Future<Output = Result<(), Redeliver>>,
{
    let failed = futures::stream::iter(event.records)
        .map(|message| {
            let id = message.message_id.clone().unwrap_or_default();
            let work = AssertUnwindSafe(handle(message)).catch_unwind();
            async move { (id, work.await) }
        })
        .buffer_unordered(at_once)
        .filter_map(|(id, result)| async move {
            let reason = match result {
                Ok(Ok(())) => return None,
                Ok(Err(Redeliver(reason))) => reason,
                Err(_) => "panicked".to_owned(),
            };
            tracing::warn!(message = id, reason, "to be delivered again");
            Some(id)
        })
        .collect::<Vec<_>>()
        .await;
    redeliver(failed)
}

/// The response that has these messages delivered again, and lets the others go.
#[must_use]
pub fn redeliver(failed: Vec<String>) -> SqsBatchResponse {
    let failures = failed.into_iter().map(|id| {
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = id;
        failure
    });
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failures.collect();
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(ids: &[&str]) -> SqsEvent {
        let messages = ids.iter().map(|id| {
            let mut message = SqsMessage::default();
            message.message_id = Some((*id).to_owned());
            message
        });
        let mut event = SqsEvent::default();
        event.records = messages.collect();
        event
    }

    #[tokio::test]
    async fn one_bad_message_does_not_fail_its_batch() {
        let response = each_message(batch(&["good", "bad", "panics"]), 2, |message| async move {
            match message.message_id.as_deref() {
                Some("good") => Ok(()),
                Some("bad") => Err(Redeliver("no".to_owned())),
                _ => panic!("on purpose"),
            }
        })
        .await;
        let mut failed: Vec<_> = response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
        failed.sort();
        assert_eq!(failed, ["bad", "panics"]);
    }
}
