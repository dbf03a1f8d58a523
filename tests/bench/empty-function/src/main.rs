//! The least that a Lambda function in Rust can be: what the benchmark holds the functions against. It is a package of its
//! own, so that it gets the features that it needs and none that the benchmark or the functions ask for.

use std::time::Instant;

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(async |event: LambdaEvent<Value>| Ok::<_, Error>(parse(&event.payload)))).await
}

/// Parses the messages of a batch and does nothing else: the floor under handling it. Says how many there were and how
/// long it took.
fn parse(batch: &Value) -> Value {
    let begun = Instant::now();
    let bodies = batch["Records"].as_array().into_iter().flatten().filter_map(|message| message["body"].as_str());
    let parsed = bodies.filter(|body| serde_json::from_str::<Value>(body).is_ok()).count();
    json!({ "parsed": parsed, "seconds": begun.elapsed().as_secs_f64() })
}
