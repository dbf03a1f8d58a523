//! The function on the queue of questions to people.

use std::cell::Cell;

use ask_approval::{Done, World, read};
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use flywheel_adapters::{ApprovalTable, EventBridgeBus, NoticeTopic, load_config};
use flywheel_kit::{Metrics, Redeliver, each_message, start_logging, variable};
use flywheel_model::FunctionFigure;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    start_logging();
    let config = load_config(variable)?;
    let world = World {
        approvals: ApprovalTable::new(&config, variable("FLYWHEEL_APPROVALS_TABLE")?),
        notices: NoticeTopic::new(&config, variable("FLYWHEEL_NOTICE_TOPIC")?),
        bus: EventBridgeBus::new(&config, variable("FLYWHEEL_BUS")?),
        stack: variable("FLYWHEEL_STACK")?,
    };
    let world = &world;
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let (asked, expired) = (&Cell::new(0), &Cell::new(0));
        let response = each_message(event.payload, 1, |message| async move {
            // Only our own state machine feeds the queue; what cannot be read goes to the dead letters, where a person sees it.
            let message = read(&message.body.unwrap_or_default()).map_err(Redeliver)?;
            match world.take(&message).await? {
                Done::Asked => asked.set(asked.get() + 1),
                Done::Expired => expired.set(expired.get() + 1),
                Done::Nothing => {}
            }
            Ok(())
        })
        .await;
        let mut metrics = Metrics::new("ask-approval");
        metrics.add(FunctionFigure::ApprovalsAsked, asked.get());
        metrics.add(FunctionFigure::ApprovalsExpired, expired.get());
        metrics.print();
        Ok::<SqsBatchResponse, Error>(response)
    }))
    .await
}
