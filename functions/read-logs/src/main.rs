//! The function that subscriptions of CloudWatch Logs run.

use flywheel_adapters::{
    BedrockGuardrail, ConversationQueue, EventBridgeBus, InvocationLogBucket, PolicySource, SignalTable, SpanTable, SqsSignals, load_config,
};
use flywheel_kit::{Metrics, start_logging, variable};
use flywheel_model::FunctionFigure;
use flywheel_ports::{Guardrail, Salt};
use flywheel_redaction::Redactor;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use read_logs::World;
use serde_json::value::RawValue;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_logging();
    let config = load_config(variable)?;
    let world = World {
        spans: SpanTable::new(&config, variable("FLYWHEEL_SIGNALS_TABLE")?),
        conversations: ConversationQueue::new(&config, variable("FLYWHEEL_CONVERSATIONS_QUEUE_URL")?),
        signals: SqsSignals::new(&config, variable("FLYWHEEL_SIGNALS_QUEUE_URL")?),
        bodies: InvocationLogBucket::new(&config, variable("FLYWHEEL_INVOCATION_LOG_BUCKET").ok()),
        bus: EventBridgeBus::new(&config, variable("FLYWHEEL_BUS")?),
    };
    let policies = PolicySource::from_variables(&config, variable)?;
    let redactor = Redactor::new(&SignalTable::new(&config, variable("FLYWHEEL_SIGNALS_TABLE")?).salt().await?);
    run(service_fn(async |event: LambdaEvent<Box<RawValue>>| {
        let policy = policies.current().await?;
        let guardrail = policy.signals.guardrail.clone().map(|named| BedrockGuardrail::new(&config, named));
        let guardrail = guardrail.as_ref().map(|guardrail| guardrail as &dyn Guardrail);
        let report = world.take_in(event.payload.get().as_bytes(), &redactor, guardrail, &policy, Timestamp::now()).await?;
        let mut metrics = Metrics::new("read-logs");
        metrics.add(FunctionFigure::SignalsRead, report.signals);
        metrics.add(FunctionFigure::SpansKept, report.spans);
        metrics.add(FunctionFigure::LogEventsPassedOver, report.passed_over);
        metrics.add(FunctionFigure::LogEventsRefused, report.refused);
        metrics.print();
        Ok::<(), Error>(())
    }))
    .await
}
