//! The function on the queue of findings that experiments may answer.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use flywheel_adapters::{
    ActionPolicy, AppConfigFlags, BedrockProposer, ConversationTable, EventBridgeBus, ExperimentTable, S3Observations, S3Prompts,
    SignalTable, load_config,
};
use flywheel_kit::{Metrics, Redeliver, each_message, start_logging, variable};
use flywheel_model::{Event, FunctionFigure};
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use queue_experiments::World;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_logging();
    let config = load_config(variable)?;
    let signals = variable("FLYWHEEL_SIGNALS_TABLE")?;
    let world = World {
        store: ExperimentTable::new(&config, signals.clone()),
        library: S3Prompts::new(&config, variable("FLYWHEEL_DATASETS_BUCKET")?),
        flags: AppConfigFlags::new(&config),
        observations: S3Observations::new(&config, variable("FLYWHEEL_EVIDENCE_BUCKET")?, SignalTable::new(&config, signals.clone())),
        index: ConversationTable::new(&config, signals),
        proposer: BedrockProposer::new(&config),
        bus: EventBridgeBus::new(&config, variable("FLYWHEEL_BUS")?),
    };
    let policies = ActionPolicy::from_variables(&config, variable)?;
    let (world, policies) = (&world, &policies);
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let response = each_message(event.payload, 1, |message| async move {
            // Only events of our own bus come here; what cannot be read goes to the dead letters, where a person sees it.
            let event = Event::from_envelope(&message.body.unwrap_or_default()).map_err(Redeliver)?;
            let queued = world.hear(&event, &*policies.current().await?, Timestamp::now()).await?;
            let mut metrics = Metrics::new("queue-experiments");
            metrics.add(FunctionFigure::ExperimentsQueued, u64::from(queued));
            metrics.print();
            Ok(())
        });
        Ok::<SqsBatchResponse, Error>(response.await)
    }))
    .await
}
