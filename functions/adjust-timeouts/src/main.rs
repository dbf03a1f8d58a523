//! The function on the queue of workflow runs.

use adjust_timeouts::{Asked, Report, World, read};
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use flywheel_adapters::{
    ActionPolicy, ApprovalMachine, ApprovalTable, AwsSettings, EventBridgeBus, S3Observations, SignalTable, TimeoutTable, load_config,
};
use flywheel_kit::{Metrics, Redeliver, each_message, start_logging, variable};
use flywheel_model::FunctionFigure;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use std::cell::Cell;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_logging();
    let config = load_config(variable)?;
    let signals = SignalTable::new(&config, variable("FLYWHEEL_SIGNALS_TABLE")?);
    let world = World {
        store: TimeoutTable::new(&config, variable("FLYWHEEL_SIGNALS_TABLE")?),
        observations: S3Observations::new(&config, variable("FLYWHEEL_EVIDENCE_BUCKET")?, signals),
        settings: AwsSettings::new(&config),
        approvals: ApprovalTable::new(&config, variable("FLYWHEEL_APPROVALS_TABLE")?),
        tasks: ApprovalMachine::new(&config, variable("FLYWHEEL_APPROVALS_MACHINE")?),
        bus: EventBridgeBus::new(&config, variable("FLYWHEEL_BUS")?),
    };
    let policies = ActionPolicy::from_variables(&config, variable)?;
    let (world, policies) = (&world, &policies);
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let (added, reviewed) = (&Cell::new(0), &Cell::new(Report::default()));
        let response = each_message(event.payload, 1, |message| async move {
            // Only our own rules feed the queue; what cannot be read goes to the dead letters, where a person sees it.
            let asked = read(&message.body.unwrap_or_default()).map_err(Redeliver)?;
            let policy = policies.current().await?;
            match asked {
                Asked::TakeIn(evidence) => added.set(added.get() + world.take_in(&evidence, &policy).await?),
                Asked::Review => reviewed.set(world.review(&policy, Timestamp::now()).await?),
            }
            Ok(())
        })
        .await;
        let report = reviewed.get();
        let mut metrics = Metrics::new("adjust-timeouts");
        metrics.add(FunctionFigure::RunsTakenIn, added.get());
        metrics.add(FunctionFigure::TimeoutsChanged, report.changed);
        metrics.add(FunctionFigure::TimeoutsNotChanged, report.not_changed);
        metrics.add(FunctionFigure::TimeoutsHeld, report.held);
        metrics.print();
        Ok::<SqsBatchResponse, Error>(response)
    }))
    .await
}
