//! The function that looks every minute whether a rate moved.

use aws_lambda_events::event::sqs::SqsEvent;
use detect_changes::{asked_for, look};
use flywheel_adapters::{EventBridgeBus, FindingTable, PolicySource, SignalTable, load_config};
use flywheel_kit::{Metrics, start_logging, variable};
use flywheel_model::FunctionFigure;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_logging();
    let config = load_config(variable)?;
    let counts = SignalTable::new(&config, variable("FLYWHEEL_SIGNALS_TABLE")?);
    let memory = FindingTable::new(&config, variable("FLYWHEEL_SIGNALS_TABLE")?);
    let bus = EventBridgeBus::new(&config, variable("FLYWHEEL_BUS")?);
    let policies = PolicySource::from_variables(&config, variable)?;
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let policy = policies.current().await?;
        let now = Timestamp::now();
        // Several messages ask for the same: the latest look has it all. None looks ahead.
        let asked = event.payload.records.iter().filter_map(|message| asked_for(message.body.as_deref()?)).max();
        let report = look(&counts, &memory, &bus, &policy, asked.unwrap_or(now).min(now), now).await?;
        let mut metrics = Metrics::new("detect-changes");
        metrics.add(FunctionFigure::SeriesLookedAt, report.series);
        metrics.print();
        Ok::<(), Error>(())
    }))
    .await
}
