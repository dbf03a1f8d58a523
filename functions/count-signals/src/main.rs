//! The function on the queue of signals.

use std::cell::Cell;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use count_signals::{Counting, Message, read};
use flywheel_adapters::{BedrockGuardrail, EventBridgeBus, FindingTable, PolicySource, S3Observations, SignalTable, load_config};
use flywheel_engine::findings::SeenAlarm;
use flywheel_engine::signals::Rules;
use flywheel_kit::{Metrics, redeliver, start_logging, variable};
use flywheel_model::{Fact, FunctionFigure, Observation};
use flywheel_ports::{Alarms, Guardrail, Salt};
use flywheel_redaction::Redactor;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_logging();
    let config = load_config(variable)?;
    let store = SignalTable::new(&config, variable("FLYWHEEL_SIGNALS_TABLE")?);
    let observations = S3Observations::new(&config, variable("FLYWHEEL_EVIDENCE_BUCKET")?, store.clone());
    let bus = EventBridgeBus::new(&config, variable("FLYWHEEL_BUS")?);
    let policies = PolicySource::from_variables(&config, variable)?;
    let alarms = FindingTable::new(&config, variable("FLYWHEEL_SIGNALS_TABLE")?);
    let redactor = Redactor::new(&store.salt().await?);
    // Compiled once for each policy, not for each invocation.
    let compiled: Cell<Option<(String, Rules)>> = Cell::new(None);
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let policy = policies.current().await?;
        let rules = match compiled.take() {
            Some((version, rules)) if version == policy.version => rules,
            _ => Rules::new(&policy),
        };
        let guardrail = policy.signals.guardrail.clone().map(|named| BedrockGuardrail::new(&config, named));
        let counting = Counting {
            store: &store,
            observations: &observations,
            bus: &bus,
            rules: &rules,
            redact: &redactor,
            guardrail: guardrail.as_ref().map(|guardrail| guardrail as &dyn Guardrail),
        };
        let now = Timestamp::now();
        let messages = event.payload.records.into_iter().map(|record| message(record, now)).collect();
        let report = counting.count(messages, now).await;
        for alarm in report.alarms.iter().filter_map(seen) {
            alarms.see(&alarm).await?;
        }
        compiled.set(Some((policy.version.clone(), rules)));
        let mut metrics = Metrics::new("count-signals");
        metrics.add(FunctionFigure::SignalsCounted, report.counted);
        metrics.add(FunctionFigure::SignalsKnown, report.known);
        metrics.add(FunctionFigure::SignalsUntimely, report.untimely);
        metrics.add(FunctionFigure::SignalsRefused, report.refused);
        metrics.add(FunctionFigure::MessagesRedelivered, report.failed.len() as u64);
        report.figures.tell(&policy, &mut metrics);
        metrics.print();
        Ok::<SqsBatchResponse, Error>(redeliver(report.failed))
    }))
    .await
}

fn message(record: SqsMessage, now: Timestamp) -> Message {
    let sent = record.attributes.get("SentTimestamp").and_then(|millis| Timestamp::from_millisecond(millis.parse().ok()?).ok());
    Message { id: record.message_id.unwrap_or_default(), arrived_at: sent.unwrap_or(now), records: read(&record.body.unwrap_or_default()) }
}

/// An alarm's state as the detector is to see it.
fn seen(observation: &Observation) -> Option<SeenAlarm> {
    let Fact::Alarm(alarm) = &observation.signal.fact else { return None };
    Some(SeenAlarm { name: alarm.name.clone(), state: alarm.state, reason: alarm.reason.clone(), at: observation.signal.at })
}
