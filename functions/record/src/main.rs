//! The function on the queue of the bus's events.

use std::collections::BTreeMap;
use std::panic::catch_unwind;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use flywheel_adapters::{Ledger, load_config};
use flywheel_kit::{Metrics, redeliver, start_logging, variable};
use flywheel_model::{Event, Id, Refusal};
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use record::record;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_logging();
    let ledger = Ledger::new(&load_config(variable)?, variable("FLYWHEEL_LEDGER_TABLE")?, variable("FLYWHEEL_LEDGER_BUCKET")?);
    let ledger = &ledger;
    run(service_fn(async |event: LambdaEvent<SqsEvent>| Ok::<SqsBatchResponse, Error>(take_in(ledger, event.payload).await))).await
}

async fn take_in(ledger: &Ledger, batch: SqsEvent) -> SqsBatchResponse {
    let now = Timestamp::now();
    let (mut events, mut failed, mut messages) = (Vec::new(), Vec::new(), BTreeMap::<Id, Vec<String>>::new());
    for message in batch.records {
        let (id, body) = (message.message_id.unwrap_or_default(), message.body.unwrap_or_default());
        // What cannot be read is kept too, with its reason.
        let read = catch_unwind(|| {
            Event::from_envelope(&body).unwrap_or_else(|reason| {
                tracing::warn!(message = id, reason, "refused");
                Refusal::new(&reason, &id, &body).event(now)
            })
        });
        match read {
            Ok(event) => {
                messages.entry(event.id.clone()).or_default().push(id);
                events.push(event);
            }
            Err(_) => failed.push(id),
        }
    }
    match record(ledger, events, now).await {
        Ok(report) => {
            // Only what is new to the ledger: events that come again are not counted again.
            let mut metrics = Metrics::new("record");
            report.appended.iter().for_each(|event| metrics.add_event(event));
            metrics.print();
            for (event, error) in report.failed {
                tracing::warn!(%event, %error, "to be delivered again");
                failed.extend(messages.remove(&event).unwrap_or_default());
            }
        }
        Err(error) => {
            tracing::warn!(%error, "all of them to be delivered again");
            failed.extend(messages.into_values().flatten());
        }
    }
    redeliver(failed)
}
