//! The function on the queue of batches to capture from.

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use capture_retrievals::World;
use flywheel_adapters::{CaseTable, EventBridgeBus, PolicySource, S3Datasets, S3Observations, SignalTable, StateTable, load_config};
use flywheel_kit::{Metrics, Redeliver, each_message, start_logging, trigger, variable};
use flywheel_model::{FunctionFigure, SignalBatch};
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_logging();
    let config = load_config(variable)?;
    let signals = SignalTable::new(&config, variable("FLYWHEEL_SIGNALS_TABLE")?);
    let world = World {
        observations: S3Observations::new(&config, variable("FLYWHEEL_EVIDENCE_BUCKET")?, signals),
        store: CaseTable::new(&config, variable("FLYWHEEL_CASES_TABLE")?),
        bus: EventBridgeBus::new(&config, variable("FLYWHEEL_BUS")?),
        freshness: StateTable::new(&config, variable("FLYWHEEL_STATE_TABLE")?),
        datasets: S3Datasets::new(&config, variable("FLYWHEEL_DATASETS_BUCKET")?),
    };
    let policies = PolicySource::from_variables(&config, variable)?;
    let (world, policies) = (&world, &policies);
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let response = each_message(event.payload, 1, |message| async move {
            let (policy, now) = (policies.current().await?, Timestamp::now());
            let body = message.body.unwrap_or_default();
            let mut metrics = Metrics::new("capture-retrievals");
            if trigger(&body).as_deref() == Some("publish") {
                metrics.add(FunctionFigure::DataSetsPublished, world.publish(&policy, now).await?);
            } else {
                // Only events of our own bus come here; what cannot be read goes to the dead letters, where a person sees it.
                let (event, batch) = SignalBatch::from_envelope(&body).map_err(Redeliver)?;
                let report = world.capture(&batch, &event, &policy, now).await?;
                metrics.add(FunctionFigure::RetrievalsLookedAt, report.retrievals);
                metrics.add(FunctionFigure::RetrievalsWithoutQuestion, report.without_question);
                metrics.add(FunctionFigure::RetrievalsCaptured, report.captured);
                metrics.add(FunctionFigure::CapturesHeld, report.held);
            }
            metrics.print();
            Ok(())
        });
        Ok::<SqsBatchResponse, Error>(response.await)
    }))
    .await
}
