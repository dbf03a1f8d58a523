//! The function on the queue of outcomes and of reviews of experiments.

use std::cell::Cell;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use flywheel_adapters::{
    ActionPolicy, AppConfigFlags, ApprovalMachine, ApprovalTable, EventBridgeBus, ExperimentTable, S3Observations, S3Prompts, SignalTable,
    load_config,
};
use flywheel_kit::{Metrics, Redeliver, each_message, start_logging, variable};
use flywheel_model::FunctionFigure;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use run_experiments::{Asked, Report, World, read};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_logging();
    let config = load_config(variable)?;
    let signals = variable("FLYWHEEL_SIGNALS_TABLE")?;
    let world = World {
        store: ExperimentTable::new(&config, signals.clone()),
        observations: S3Observations::new(&config, variable("FLYWHEEL_EVIDENCE_BUCKET")?, SignalTable::new(&config, signals)),
        library: S3Prompts::new(&config, variable("FLYWHEEL_DATASETS_BUCKET")?),
        flags: AppConfigFlags::new(&config),
        approvals: ApprovalTable::new(&config, variable("FLYWHEEL_APPROVALS_TABLE")?),
        tasks: ApprovalMachine::new(&config, variable("FLYWHEEL_APPROVALS_MACHINE")?),
        bus: EventBridgeBus::new(&config, variable("FLYWHEEL_BUS")?),
    };
    let policies = ActionPolicy::from_variables(&config, variable)?;
    let (world, policies) = (&world, &policies);
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let (counted, reviewed) = (&Cell::new(0), &Cell::new(Report::default()));
        let response = each_message(event.payload, 1, |message| async move {
            // Only our own rules feed the queue; what cannot be read goes to the dead letters, where a person sees it.
            let asked = read(&message.body.unwrap_or_default()).map_err(Redeliver)?;
            let policy = policies.current().await?;
            match asked {
                Asked::Count(evidence) => counted.set(counted.get() + world.count(&evidence, &policy).await?),
                Asked::Withdraw(experiment, why) => {
                    world.withdraw(&experiment, &why, &policy, Timestamp::now()).await?;
                    reviewed.set(world.review(&policy, Timestamp::now()).await?);
                }
                Asked::Review => reviewed.set(world.review(&policy, Timestamp::now()).await?),
            }
            Ok(())
        })
        .await;
        let report = reviewed.get();
        let mut metrics = Metrics::new("run-experiments");
        metrics.add(FunctionFigure::UnitsCounted, counted.get());
        metrics.add(FunctionFigure::ExperimentsRunning, report.running);
        metrics.add(FunctionFigure::FlagsChanged, report.changed);
        metrics.add(FunctionFigure::FlagsNotChanged, report.refused);
        metrics.print();
        Ok::<SqsBatchResponse, Error>(response)
    }))
    .await
}
