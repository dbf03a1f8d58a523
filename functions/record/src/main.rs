//! The function on the queue of the bus's events.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use flywheel_adapters::{Ledger, load_config};
use flywheel_kit::{Redeliver, each_message, start_logging, variable};
use flywheel_model::Refusal;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

/// Events written at the same time.
const AT_ONCE: usize = 16;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_logging();
    let ledger = Ledger::new(&load_config(variable)?, variable("FLYWHEEL_LEDGER_TABLE")?);
    let ledger = &ledger;
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let response = each_message(event.payload, AT_ONCE, |message| async move {
            let body = message.body.unwrap_or_default();
            // What cannot be read is kept too, with its reason.
            let event = record::read(&body).unwrap_or_else(|reason| {
                let id = message.message_id.unwrap_or_default();
                tracing::warn!(message = id, reason, "refused");
                Refusal::new(&reason, &id, &body).event(Timestamp::now())
            });
            ledger.record(&event).await.map_err(Redeliver::from)
        });
        Ok::<SqsBatchResponse, Error>(response.await)
    }))
    .await
}
