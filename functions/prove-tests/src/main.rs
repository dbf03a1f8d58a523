//! The function on the queue of suites that were written.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use flywheel_adapters::{Assistants, EventBridgeBus, PolicySource, S3Suites, load_config};
use flywheel_kit::{Metrics, Redeliver, each_message, start_logging, trigger, variable};
use flywheel_model::{Body, Event, FunctionFigure, Id, Key};
use flywheel_ports::Suites;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use prove_tests::World;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_logging();
    let config = load_config(variable)?;
    let datasets = variable("FLYWHEEL_DATASETS_BUCKET")?;
    let assistants = Assistants::new(&config, datasets.clone());
    let world = World { suites: S3Suites::new(&config, datasets), bus: EventBridgeBus::new(&config, variable("FLYWHEEL_BUS")?) };
    let policies = PolicySource::from_variables(&config, variable)?;
    let (world, policies, assistants) = (&world, &policies, &assistants);
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let response = each_message(event.payload, 1, |message| async move {
            let (policy, now) = (policies.current().await?, Timestamp::now());
            let body = message.body.unwrap_or_default();
            let (intents, cause): (Vec<Key>, Id) = if trigger(&body).as_deref() == Some("tend") {
                (world.suites.intents().await?, Id::of("tests.tended", &[&now.to_string()]))
            } else {
                // Only events of our own bus come here; what cannot be read goes to the dead letters, where a person sees it.
                let event = Event::from_envelope(&body).map_err(Redeliver)?;
                match event.body {
                    Body::TestsKept(receipt) => (vec![receipt.intent], event.id),
                    _ => (Vec::new(), event.id),
                }
            };
            let mut metrics = Metrics::new("prove-tests");
            for intent in intents {
                let proved = world.prove(&intent, &cause, &policy, |target| assistants.of(target), now).await?;
                metrics.add(FunctionFigure::TestsProved, proved);
            }
            metrics.print();
            Ok(())
        });
        Ok::<SqsBatchResponse, Error>(response.await)
    }))
    .await
}
