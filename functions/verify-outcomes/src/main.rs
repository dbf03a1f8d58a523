//! The function on the queue of actions that took effect, and of reviews.

use std::cell::Cell;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use flywheel_adapters::{ActionPolicy, EventBridgeBus, FindingTable, Ledger, OutcomeTable, load_config};
use flywheel_kit::{Metrics, Redeliver, each_message, start_logging, variable};
use flywheel_model::FunctionFigure;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use verify_outcomes::{Asked, Report, World, read};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_logging();
    let config = load_config(variable)?;
    let signals = variable("FLYWHEEL_SIGNALS_TABLE")?;
    let world = World {
        ledger: Ledger::new(&config, variable("FLYWHEEL_LEDGER_TABLE")?, variable("FLYWHEEL_LEDGER_BUCKET")?),
        histories: FindingTable::new(&config, signals.clone()),
        store: OutcomeTable::new(&config, signals),
        bus: EventBridgeBus::new(&config, variable("FLYWHEEL_BUS")?),
    };
    let policies = ActionPolicy::from_variables(&config, variable)?;
    let (world, policies) = (&world, &policies);
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let (expected, reviewed) = (&Cell::new(0), &Cell::new(Report::default()));
        let response = each_message(event.payload, 1, |message| async move {
            // Only our own rules feed the queue; what cannot be read goes to the dead letters, where a person sees it.
            let asked = read(&message.body.unwrap_or_default()).map_err(Redeliver)?;
            let policy = policies.current().await?;
            match asked {
                Asked::Expect(event) => expected.set(expected.get() + world.expect(&event, &policy).await?),
                Asked::Review => reviewed.set(world.review(&policy, Timestamp::now()).await?),
            }
            Ok(())
        })
        .await;
        let report = reviewed.get();
        let mut metrics = Metrics::new("verify-outcomes");
        metrics.add(FunctionFigure::ActionsAwaited, expected.get());
        metrics.add(FunctionFigure::ActionsGraded, report.graded);
        metrics.add(FunctionFigure::ActionsUndone, report.undone);
        metrics.add(FunctionFigure::Escalations, report.escalated);
        metrics.print();
        Ok::<SqsBatchResponse, Error>(response)
    }))
    .await
}
