//! The function on the queue that wakes the document loop.

use aws_lambda_events::event::sqs::SqsEvent;
use flywheel_adapters::{ActionPolicy, BedrockKnowledgeBases, EventBridgeBus, S3Buckets, StateTable, WakeQueue, load_config};
use flywheel_kit::{Metrics, start_logging, variable};
use flywheel_model::FunctionFigure;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use sync_knowledge_bases::{Report, World, asks_for_sweep};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_logging();
    let config = load_config(variable)?;
    let world = World {
        store: StateTable::new(&config, variable("FLYWHEEL_STATE_TABLE")?),
        bus: EventBridgeBus::new(&config, variable("FLYWHEEL_BUS")?),
        knowledge_bases: BedrockKnowledgeBases::new(&config),
        buckets: S3Buckets::new(&config),
        wakes: WakeQueue::new(&config, variable("FLYWHEEL_WAKES_QUEUE_URL")?),
    };
    let policies = ActionPolicy::from_variables(&config, variable)?;
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let policy = policies.current().await?;
        // Several messages ask for the same: a look at everything.
        let sweep = event.payload.records.iter().filter_map(|message| message.body.as_deref()).any(asks_for_sweep);
        let report = world.synchronise(&policy, sweep, &Timestamp::now).await?;
        metrics(&report).print();
        Ok::<(), Error>(())
    }))
    .await
}

fn metrics(report: &Report) -> Metrics {
    let mut metrics = Metrics::new("sync-knowledge-bases");
    for (figure, value) in [
        (FunctionFigure::JobsStarted, report.jobs_started),
        (FunctionFigure::DocumentsSent, report.documents_sent),
        (FunctionFigure::Conflicts, report.conflicts),
        (FunctionFigure::Throttled, report.throttled),
        (FunctionFigure::Refused, report.refused),
        (FunctionFigure::AnswersLost, report.lost),
        (FunctionFigure::DocumentsIndexed, report.indexed),
        (FunctionFigure::DocumentsDeleted, report.deleted),
        (FunctionFigure::DocumentsQuarantined, report.quarantined),
        (FunctionFigure::DocumentsRetried, report.retries),
        (FunctionFigure::Races, report.races),
    ] {
        metrics.add(figure, value);
    }
    metrics
}
