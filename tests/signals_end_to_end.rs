//! Signals through the deployed stack on the local AWS, with signatures and roles enforced: every road to its mark, spans
//! that come apart and out of order, an alarm to its finding, and what is refused, without what must not be kept.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

#[path = "support/deployed.rs"]
mod deployed;

use std::fs;
use std::io::Read;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_s3::primitives::ByteStream;
use flate2::read::GzDecoder;
use flywheel_local::{Config, LocalAws};
use flywheel_model::{Body, Id};
use flywheel_policy::Policy;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use deployed::Site;

const STACK: &str = "signals";

/// Where model invocation logging puts large bodies.
const LOGS: &str = "signals-invocation-logs";

const POLICY: &str = r#"
mode = "act"
[signals]
quiet_seconds = 10
invocation_log_bucket = "signals-invocation-logs"
[[data_source]]
knowledge_base = "KBSIGNALS1"
data_source = "DSSIGNALS1"
bucket = "signals-documents"
[[alarm]]
name = "checkout-*"
metric = "failed_responses"
key = "checkout"
"#;

impl Site {
    /// Has a subscription's delivery read, as CloudWatch Logs does.
    async fn deliver(&self, records: &[Value]) {
        let messages: Vec<String> = records.iter().map(Value::to_string).collect();
        deployed::deliver_logs(&self.aws, &self.outputs["ReadLogsFunction"], "aws/spans", &messages).await;
    }

    /// The object that has the observation of a signal, once that is counted.
    async fn evidence(&self, kind: &str, id: &str) -> Option<String> {
        let key = |value: String| AttributeValue::S(value);
        let identity = Id::of("signal", &[kind, id]);
        let get = self.aws.dynamodb().get_item().table_name(&self.outputs["SignalsTable"]);
        let get = get.key("pk", key(format!("signal#{identity}"))).key("sk", key("mark".to_owned()));
        let mark = get.consistent_read(true).send().await.unwrap().item?;
        Some(mark["evidence"].as_s().unwrap().clone())
    }

    /// What is kept of the signals that came with one.
    async fn observations(&self, kind: &str, id: &str) -> String {
        let name = self.evidence(kind, id).await.unwrap();
        let object = self.aws.s3().get_object().bucket(&self.outputs["EvidenceBucket"]).key(name).send().await.unwrap();
        let mut text = String::new();
        GzDecoder::new(object.body.collect().await.unwrap().into_bytes().as_ref()).read_to_string(&mut text).unwrap();
        text
    }
}

fn span(id: &str, parent: Option<&str>, start: Timestamp, seconds: i64, attributes: &Value) -> Value {
    let mut span = json!({
        "traceId": "6921d5e0a1b2c3d4e5f60718293a4b5c", "spanId": id, "name": "span",
        "startTimeUnixNano": start.as_nanosecond().to_string(),
        "endTimeUnixNano": (start + SignedDuration::from_secs(seconds)).as_nanosecond().to_string(),
        "attributes": attributes
    });
    if let Some(parent) = parent {
        span["parentSpanId"] = json!(parent);
    }
    span
}

#[tokio::test]
async fn the_deployed_stack_counts_what_comes_on_every_road() {
    if deployed::tools_are_missing() {
        return;
    }
    let folder = std::env::temp_dir().join(format!("flywheel-signals-{}", std::process::id()));
    let aws = LocalAws::start(Config::new(&folder)).await.unwrap();
    aws.create_what_is_named(&Policy::parse(POLICY).unwrap()).await.unwrap();
    let outputs = aws.deploy(STACK, POLICY, &mut |_| {}).await.unwrap().outputs;
    let site = Site { stack: STACK, aws, outputs };
    let now = Timestamp::now();
    let soon = Duration::from_secs(60);

    // Logs: the end of a conversation comes before its beginning.
    let tool = json!({ "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find_order", "session.id": "session-1" });
    site.deliver(&[span("00f067aa0ba902b8", Some("00f067aa0ba902b7"), now - SignedDuration::from_secs(40), 2, &tool)]).await;
    let agent = json!({ "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "support", "session.id": "session-1" });
    site.deliver(&[span("00f067aa0ba902b7", None, now - SignedDuration::from_secs(60), 45, &agent)]).await;

    // A call of a model whose input is so large that it lies in S3.
    let body = json!({ "messages": [{ "role": "user", "content": [{ "text": "Ask jane.roe@example.com about the Zephyrine." }] }] });
    site.aws.create_bucket(LOGS).await.unwrap();
    site.aws.s3().put_object().bucket(LOGS).key("data/input.json.gz").body(ByteStream::from(deployed::pack(&body))).send().await.unwrap();
    let answer = json!({ "role": "assistant", "content": [{ "text": "I shall." }] });
    let call = json!({
        "schemaType": "ModelInvocationLog", "schemaVersion": "1.0", "timestamp": now.to_string(), "requestId": "call-1",
        "operation": "Converse", "modelId": "example.model-v1:0",
        "input": { "inputContentType": "application/json", "inputBodyS3Path": format!("s3://{LOGS}/data/input.json.gz") },
        "output": { "outputContentType": "application/json", "outputBodyJson": { "output": { "message": answer }, "stopReason": "end_turn" } }
    });
    site.deliver(&[call]).await;

    // The queue: a good record beside a bad one.
    let at = now.to_string();
    let good = json!({ "id": "q-1", "at": at, "retrieval": { "topic": "launch", "query": "when?", "passages": [] } });
    site.send(
        "SignalsQueueUrl",
        format!("{good}\n{{\"id\": \"q-2\", \"at\": \"{at}\", \"retrieval\": {{\"mail\": \"jane.roe@example.com\"}}}}"),
    )
    .await;

    // EventBridge.
    let release =
        json!({ "id": "r-1", "at": at, "release": { "service": "checkout", "succeeded": false, "causes": ["missing_permission"] } });
    let entry = PutEventsRequestEntry::builder().source("my.pipeline").detail_type("signal.release").detail(release.to_string()).build();
    let put = aws_sdk_eventbridge::Client::new(site.aws.config()).put_events().entries(entry).send().await.unwrap();
    assert_eq!(put.failed_entry_count(), 0);

    // An alarm, and a look at it.
    let alarm = json!({ "id": "a-1", "at": at, "alarm": { "name": "checkout-errors", "state": "ALARM" } });
    site.send("SignalsQueueUrl", alarm.to_string()).await;

    for (kind, id) in
        [("retrieval", "q-1"), ("release", "r-1"), ("alarm", "a-1"), ("conversation", "call-1"), ("conversation", "session-1")]
    {
        deployed::within(soon, &format!("{kind} {id}"), || async { site.evidence(kind, id).await.is_some() }).await;
    }
    let kept = site.observations("conversation", "call-1").await;
    assert!(kept.contains("about the Zephyrine") && kept.contains("[email:") && !kept.contains("jane.roe"), "{kept}");
    site.send("LooksQueueUrl", json!({ "time": Timestamp::now().to_string() }).to_string()).await;
    deployed::within(soon, "the alarm's finding", || async { site.events().await.iter().any(|event| event.kind() == "finding.opened") })
        .await;
    deployed::within(soon, "the refusal", || async { site.events().await.iter().any(|event| event.kind() == "signal.refused") }).await;
    let events = site.events().await;
    let refusal = events.iter().find_map(|event| if let Body::InputRefused(refusal) = &event.body { Some(refusal) } else { None }).unwrap();
    assert!(refusal.reason.contains("mail") && !refusal.input.contains("jane.roe"), "{refusal:?}");

    let queues = ["signals", "conversations", "looks", "findings", "ledger", "read-logs"];
    deployed::assert_no_dead_letters(&site.aws, STACK, &queues).await;
    site.aws.stop();
    fs::remove_dir_all(&folder).unwrap();
}
