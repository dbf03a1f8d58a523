//! The function on the queue of conversations and findings that tests are made of.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use flywheel_adapters::{
    ActionPolicy, BedrockProposer, ConversationTable, EventBridgeBus, S3Observations, S3Suites, SignalTable, load_config,
};
use flywheel_kit::{Metrics, Redeliver, each_message, start_logging, trigger, variable};
use flywheel_model::{Body, Event, FunctionFigure};
use generate_tests::World;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_logging();
    let config = load_config(variable)?;
    let signals = variable("FLYWHEEL_SIGNALS_TABLE")?;
    let world = World {
        observations: S3Observations::new(&config, variable("FLYWHEEL_EVIDENCE_BUCKET")?, SignalTable::new(&config, signals.clone())),
        index: ConversationTable::new(&config, signals),
        suites: S3Suites::new(&config, variable("FLYWHEEL_DATASETS_BUCKET")?),
        bus: EventBridgeBus::new(&config, variable("FLYWHEEL_BUS")?),
        proposer: BedrockProposer::new(&config),
    };
    let policies = ActionPolicy::from_variables(&config, variable)?;
    let (world, policies) = (&world, &policies);
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let response = each_message(event.payload, 1, |message| async move {
            let (policy, now) = (policies.current().await?, Timestamp::now());
            let body = message.body.unwrap_or_default();
            let mut metrics = Metrics::new("generate-tests");
            let report = if trigger(&body).as_deref() == Some("tend") {
                world.tend(&policy, now).await?
            } else {
                // Only events of our own bus come here; what cannot be read goes to the dead letters, where a person sees it.
                let event = Event::from_envelope(&body).map_err(Redeliver)?;
                if let Body::SignalsKept(batch) = &event.body {
                    metrics.add(FunctionFigure::ConversationsNoted, world.note(batch).await?);
                }
                world.hear(&event, &policy, now).await?
            };
            metrics.add(FunctionFigure::FailedConversationsLookedAt, report.failed);
            metrics.add(FunctionFigure::SuiteChanges, report.changes);
            metrics.add(FunctionFigure::TestsHeld, report.held);
            metrics.print();
            Ok(())
        });
        Ok::<SqsBatchResponse, Error>(response.await)
    }))
    .await
}
