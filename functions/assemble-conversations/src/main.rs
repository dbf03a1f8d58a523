//! The function on the queue of conversations that may be over.

use assemble_conversations::put_together;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use flywheel_adapters::{ConversationQueue, PolicySource, SpanTable, SqsSignals, load_config};
use flywheel_kit::{Redeliver, each_message, start_logging, variable};
use flywheel_ports::Group;
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

/// Conversations put together at the same time.
const AT_ONCE: usize = 4;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_logging();
    let config = load_config(variable)?;
    let spans = SpanTable::new(&config, variable("FLYWHEEL_SIGNALS_TABLE")?);
    let conversations = ConversationQueue::new(&config, variable("FLYWHEEL_CONVERSATIONS_QUEUE_URL")?);
    let signals = SqsSignals::new(&config, variable("FLYWHEEL_SIGNALS_QUEUE_URL")?);
    let policies = PolicySource::from_variables(&config, variable)?;
    let world = (&spans, &conversations, &signals);
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let quiet = SignedDuration::from_secs(policies.current().await?.signals.quiet_seconds.into());
        let response = each_message(event.payload, AT_ONCE, |message| async move {
            let (spans, conversations, signals) = world;
            let group: Group = serde_json::from_str(&message.body.unwrap_or_default())?;
            put_together(spans, conversations, signals, &group, quiet, Timestamp::now()).await?;
            Ok::<(), Redeliver>(())
        });
        Ok::<SqsBatchResponse, Error>(response.await)
    }))
    .await
}
