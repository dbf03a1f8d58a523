//! What the tests of the deployed stack have in common.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use aws_sdk_sqs::types::QueueAttributeName;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use flywheel_local::LocalAws;
use flywheel_model::Event;
use jiff::Timestamp;
use serde_json::{Value, json};

/// A stack on the local AWS.
pub(crate) struct Site {
    pub(crate) stack: &'static str,
    pub(crate) aws: LocalAws,
    pub(crate) outputs: BTreeMap<String, String>,
}

impl Site {
    /// Sends a message to the queue of an output.
    pub(crate) async fn send(&self, queue: &str, body: String) {
        let sqs = aws_sdk_sqs::Client::new(self.aws.config());
        sqs.send_message().queue_url(&self.outputs[queue]).message_body(body).send().await.unwrap();
    }

    /// The ledger's events, in no order.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let rows = self.aws.dynamodb().scan().table_name(&self.outputs["LedgerTable"]).consistent_read(true).send().await.unwrap();
        let texts = rows.items.unwrap_or_default().into_iter().filter_map(|mut row| row.remove("event"));
        texts.map(|text| serde_json::from_str(text.as_s().unwrap()).unwrap()).collect()
    }

    /// Runs the operator's tool, as it is built beside this test.
    pub(crate) fn run_tool(&self, arguments: &[&str]) -> Output {
        let tool: PathBuf = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("flywheel");
        Command::new(tool).env_clear().envs(self.aws.environment()).args(["--stack", self.stack]).args(arguments).output().unwrap()
    }

    /// What the operator's tool tells people.
    pub(crate) fn tells(&self, arguments: &[&str]) -> String {
        let output = self.run_tool(arguments);
        assert!(output.status.success(), "flywheel {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the operator's tool prints for programs.
    pub(crate) fn tool(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.tells(&[&["--json"], arguments].concat())).unwrap()
    }

    /// Why the operator's tool does not do it.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run_tool(arguments);
        assert!(!output.status.success(), "flywheel {}", arguments.join(" "));
        String::from_utf8(output.stderr).unwrap()
    }
}

/// Whether the local AWS is missing, said so that nobody takes a skipped test for one that passed.
pub(crate) fn tools_are_missing() -> bool {
    let missing = std::env::var_os("FLYWHEEL_TOOLS").is_none();
    if missing {
        println!("skipped: the local AWS is not named by FLYWHEEL_TOOLS; `make test` installs it and runs this test");
    }
    missing
}

/// Waits until something is so.
pub(crate) async fn within<F: Future<Output = bool>>(at_most: Duration, what: &str, is_so: impl Fn() -> F) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < at_most, "{what} did not come in {at_most:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("{what} after {:.1?}", begun.elapsed());
}

/// A queue's address.
pub(crate) async fn queue(aws: &LocalAws, name: &str) -> (aws_sdk_sqs::Client, String) {
    let sqs = aws_sdk_sqs::Client::new(aws.config());
    let url = sqs.get_queue_url().queue_name(name).send().await.unwrap().queue_url.unwrap();
    (sqs, url)
}

/// That nothing was given up of what these queues of a stack delivered.
pub(crate) async fn assert_no_dead_letters(aws: &LocalAws, stack: &str, queues: &[&str]) {
    for name in queues {
        let (sqs, url) = queue(aws, &format!("{stack}-{name}-dead-letters")).await;
        let all = QueueAttributeName::ApproximateNumberOfMessages;
        let attributes = sqs.get_queue_attributes().queue_url(url).attribute_names(all.clone()).send().await.unwrap();
        assert_eq!(attributes.attributes.unwrap()[&all], "0", "{name}");
    }
}

/// Invokes the function that reads logs as a subscription of a log group does.
pub(crate) async fn deliver_logs(aws: &LocalAws, function: &str, group: &str, messages: &[String]) {
    let event = |(place, message): (usize, &String)| json!({ "id": place.to_string(), "timestamp": Timestamp::now().as_millisecond(), "message": message });
    let payload = json!({
        "messageType": "DATA_MESSAGE", "owner": "111122223333", "logGroup": group, "logStream": "default",
        "subscriptionFilters": ["flywheel"], "logEvents": messages.iter().enumerate().map(event).collect::<Vec<_>>()
    });
    let delivery = json!({ "awslogs": { "data": STANDARD.encode(pack(&payload)) } });
    let lambda = aws_sdk_lambda::Client::new(aws.config());
    let invoke = lambda.invoke().function_name(function).invocation_type(InvocationType::RequestResponse);
    let answer = invoke.payload(Blob::new(delivery.to_string())).send().await.unwrap();
    assert!(answer.function_error().is_none(), "{:?}", answer.payload().map(|bytes| String::from_utf8_lossy(bytes.as_ref()).into_owned()));
}

/// JSON in gzip.
pub(crate) fn pack(value: &Value) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(value.to_string().as_bytes()).unwrap();
    packed.finish().unwrap()
}
