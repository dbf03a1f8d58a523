//! The function on the queue of releases.

use std::collections::BTreeSet;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use flywheel_adapters::{ActionPolicy, ChecksObject, EventBridgeBus, ReleaseTable, SignalTable, StsDenials, load_config};
use flywheel_kit::{Metrics, redeliver, start_logging, variable};
use flywheel_model::{FunctionFigure, Refusal};
use flywheel_ports::Salt;
use flywheel_redaction::Redactor;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use learn_preflight::{Learning, read};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_logging();
    let config = load_config(variable)?;
    let learning = Learning {
        releases: ReleaseTable::new(&config, variable("FLYWHEEL_RELEASES_TABLE")?),
        checks: ChecksObject::new(&config, variable("FLYWHEEL_CHECKS_BUCKET")?),
        denials: StsDenials::new(&config),
        bus: EventBridgeBus::new(&config, variable("FLYWHEEL_BUS")?),
    };
    let policies = ActionPolicy::from_variables(&config, variable)?;
    let redactor = Redactor::new(&SignalTable::new(&config, variable("FLYWHEEL_SIGNALS_TABLE")?).salt().await?);
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let policy = policies.current().await?;
        let now = Timestamp::now();
        let mut metrics = Metrics::new("learn-preflight");
        let (mut failed, mut ended) = (Vec::new(), BTreeSet::new());
        for message in event.payload.records {
            let (id, body) = (message.message_id.unwrap_or_default(), message.body.unwrap_or_default());
            let taken = match read(&body) {
                Ok(incoming) => learning.take(incoming).await,
                Err(reason) => {
                    metrics.add(FunctionFigure::RecordsRefused, 1);
                    learning.refuse(Refusal::new(&redactor.redact(&reason), &id, &redactor.redact(&body)), now).await.map(|()| false)
                }
            };
            match taken {
                Ok(true) => drop(ended.insert(id)),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(message = id, %error, "to be delivered again");
                    failed.push(id);
                }
            }
        }
        if !ended.is_empty() {
            match learning.learn(&policy, now).await {
                Ok(changed) => {
                    metrics.add(FunctionFigure::ChecksChanged, changed.len() as u64);
                }
                Err(error) => {
                    tracing::warn!(%error, "releases ended and nothing was learned: to be delivered again");
                    failed.extend(ended);
                }
            }
        }
        metrics.print();
        Ok::<SqsBatchResponse, Error>(redeliver(failed))
    }))
    .await
}
