//! The function on the queue of S3's events.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use flywheel_adapters::{EventBridgeBus, PolicySource, StateTable, WakeQueue, load_config};
use flywheel_kit::{Metrics, redeliver, start_logging, variable};
use flywheel_model::FunctionFigure;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use track_documents::{Message, track};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_logging();
    let config = load_config(variable)?;
    let log = StateTable::new(&config, variable("FLYWHEEL_STATE_TABLE")?);
    let bus = EventBridgeBus::new(&config, variable("FLYWHEEL_BUS")?);
    let wakes = WakeQueue::new(&config, variable("FLYWHEEL_WAKES_QUEUE_URL")?);
    let policies = PolicySource::from_variables(&config, variable)?;
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let policy = policies.current().await?;
        let tracked = track(&log, &bus, &wakes, &policy, messages(event.payload), Timestamp::now()).await;
        let mut metrics = Metrics::new("track-documents");
        metrics.add(FunctionFigure::ChangesRecorded, tracked.recorded);
        metrics.add(FunctionFigure::ChangesKnown, tracked.known);
        metrics.add(FunctionFigure::EventsPassedOver, tracked.passed_over);
        metrics.add(FunctionFigure::EventsRefused, tracked.refused);
        metrics.add(FunctionFigure::MessagesRedelivered, tracked.failed.len() as u64);
        metrics.print();
        Ok::<SqsBatchResponse, Error>(redeliver(tracked.failed))
    }))
    .await
}

fn messages(event: SqsEvent) -> Vec<Message> {
    let message = |message: aws_lambda_events::event::sqs::SqsMessage| Message {
        id: message.message_id.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
    };
    event.records.into_iter().map(message).collect()
}
