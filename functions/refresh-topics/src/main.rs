//! The function on the queue of findings about topics.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use flywheel_adapters::{
    ActionPolicy, BedrockQuestions, EventBridgeBus, FindingTable, S3Observations, SignalTable, StateTable, WakeQueue, load_config,
};
use flywheel_kit::{Redeliver, each_message, start_logging, variable};
use flywheel_model::Event;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use refresh_topics::World;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_logging();
    let config = load_config(variable)?;
    let signals = SignalTable::new(&config, variable("FLYWHEEL_SIGNALS_TABLE")?);
    let world = World {
        store: StateTable::new(&config, variable("FLYWHEEL_STATE_TABLE")?),
        refreshes: FindingTable::new(&config, variable("FLYWHEEL_SIGNALS_TABLE")?),
        observations: S3Observations::new(&config, variable("FLYWHEEL_EVIDENCE_BUCKET")?, signals),
        questions: BedrockQuestions::new(&config),
        bus: EventBridgeBus::new(&config, variable("FLYWHEEL_BUS")?),
        wakes: WakeQueue::new(&config, variable("FLYWHEEL_WAKES_QUEUE_URL")?),
    };
    let policies = ActionPolicy::from_variables(&config, variable)?;
    let (world, policies) = (&world, &policies);
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let response = each_message(event.payload, 1, |message| async move {
            // Only events of our own bus come here; what cannot be read goes to the dead letters, where a person sees it.
            let event = Event::from_envelope(&message.body.unwrap_or_default()).map_err(Redeliver)?;
            let policy = policies.current().await?;
            world.answer(&event, &policy, Timestamp::now()).await.map_err(Redeliver::from)
        });
        Ok::<SqsBatchResponse, Error>(response.await)
    }))
    .await
}
