//! Questions to people on the deployed stack, with roles enforced: a limit that should be raised far waits in Step Functions, the
//! operator's tool grants and rejects, and a question that nobody answers changes nothing.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "support/deployed.rs"]
mod deployed;

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use flywheel_engine::timeouts::Runs;
use flywheel_local::{Config, LocalAws};
use flywheel_model::{ApprovalRequest, Body, Event, TimeoutAnswer, TimeoutHoldReason};
use flywheel_policy::Policy;
use jiff::Timestamp;
use serde_json::json;

use deployed::Site;

const STACK: &str = "asking";

/// Runs of each workflow.
const RUNS: usize = 900;

/// All want 45 s instead of 30: half as much again, and two fifths may be had at once.
const POLICY: &str = r#"mode = "act"
[[unseen_source]]
knowledge_base = "KBASKING01"
data_source = "DSASKING01"
[approvals]
timeout_raise_within = 0.4
[[timeout]]
workflow = "granted"
target = { parameter = "/asking/granted" }
ceiling_seconds = 120
[[timeout]]
workflow = "rejected"
target = { parameter = "/asking/rejected" }
ceiling_seconds = 120
[[timeout]]
workflow = "ignored"
target = { parameter = "/asking/ignored" }
ceiling_seconds = 120
"#;

const WORKFLOWS: [&str; 3] = ["granted", "rejected", "ignored"];

impl Site {
    async fn count(&self, kind: &str) -> usize {
        self.events().await.iter().filter(|event| event.kind() == kind).count()
    }

    async fn taken_in(&self, workflow: &str) -> u64 {
        let query = self.aws.dynamodb().query().table_name(&self.outputs["SignalsTable"]).key_condition_expression("pk = :runs");
        let query = query.expression_attribute_values(":runs", AttributeValue::S(format!("runs#{workflow}"))).consistent_read(true);
        let rows = query.send().await.unwrap().items.unwrap_or_default();
        rows.iter().map(|row| serde_json::from_str::<Runs>(row["value"].as_s().unwrap()).unwrap().usable()).sum()
    }

    async fn parameter(&self, workflow: &str) -> String {
        let name = format!("/asking/{workflow}");
        let found = aws_sdk_ssm::Client::new(self.aws.config()).get_parameter().name(name).send().await.unwrap();
        found.parameter.unwrap().value.unwrap()
    }

    /// The questions that wait, by the workflow that they are about.
    fn waiting(&self) -> BTreeMap<String, ApprovalRequest> {
        let listed = self.tool(&["approvals"]);
        let requests = listed.as_array().unwrap().iter().map(|one| serde_json::from_value(one["request"].clone()).unwrap());
        requests.map(|request: ApprovalRequest| (request.subject.trim_start_matches("timeout/").to_owned(), request)).collect()
    }

    /// How the executions of the state machine stand, by their names.
    async fn executions(&self) -> BTreeMap<String, String> {
        let client = aws_sdk_sfn::Client::new(self.aws.config());
        let found = client.list_executions().state_machine_arn(&self.outputs["ApprovalsMachine"]).send().await.unwrap();
        found.executions.into_iter().map(|one| (one.name, one.status.as_str().to_owned())).collect()
    }
}

/// A run of a workflow: one in ten is cut at 30 seconds. Of every second of these the true end is known, a little before 45
/// seconds.
fn run(workflow: &str, place: usize) -> String {
    let mut run = match place % 20 {
        0 => json!({ "status": "timed_out", "seconds": 38 + place % 6, "limit_seconds": 30 }),
        10 => json!({ "status": "timed_out", "limit_seconds": 30 }),
        of_20 => json!({ "status": "succeeded", "seconds": 5 + of_20 }),
    };
    run["workflow"] = workflow.into();
    json!({ "id": format!("{workflow}-{place}"), "at": Timestamp::now().to_string(), "workflow_run": run }).to_string()
}

#[tokio::test]
async fn the_deployed_stack_waits_for_people_before_it_raises_a_limit_far() {
    if deployed::tools_are_missing() {
        return;
    }
    let folder = std::env::temp_dir().join(format!("flywheel-asking-{}", std::process::id()));
    let aws = LocalAws::start(Config::new(&folder)).await.unwrap();
    aws.create_what_is_named(&Policy::parse(POLICY).unwrap()).await.unwrap();
    for workflow in WORKFLOWS {
        let put = aws_sdk_ssm::Client::new(aws.config()).put_parameter().name(format!("/asking/{workflow}")).value("30");
        put.overwrite(true).send().await.unwrap();
    }
    let outputs = aws.deploy(STACK, POLICY, &mut |_| {}).await.unwrap().outputs;
    let site = Site { stack: STACK, aws, outputs };
    let soon = Duration::from_secs(90);
    for workflow in WORKFLOWS {
        let runs: Vec<String> = (0..RUNS).map(|place| run(workflow, place)).collect();
        for batch in runs.chunks(100) {
            site.send("SignalsQueueUrl", batch.join("\n")).await;
        }
    }
    for workflow in WORKFLOWS {
        deployed::within(soon, &format!("the runs of {workflow}"), || async { site.taken_in(workflow).await == RUNS as u64 }).await;
    }

    // While a person has stopped all actions nobody is asked.
    let review = || site.send("RunsQueueUrl", json!({ "trigger": "review" }).to_string());
    site.tool(&["stop", "--by", "jo", "--why", "the limits look odd"]);
    review().await;
    deployed::within(soon, "decisions in a dry run", || async { site.count("decision.timeout").await == 3 }).await;
    assert!(site.executions().await.is_empty() && site.waiting().is_empty());
    site.tool(&["resume", "--by", "jo"]);

    // Each question waits in an execution of its own, is in the ledger with its evidence, and is asked once.
    review().await;
    deployed::within(soon, "three questions", || async { site.count("approval.requested").await == 3 }).await;
    review().await;
    review().await;
    let waiting = site.waiting();
    assert_eq!(waiting.keys().map(String::as_str).collect::<Vec<_>>(), ["granted", "ignored", "rejected"]);
    let executions = site.executions().await;
    assert_eq!(executions.len(), 3);
    for request in waiting.values() {
        assert_eq!(executions[request.approval.as_str()], "RUNNING");
        let evidence = site.tool(&["explain", request.evidence[0].as_str()]);
        assert!(evidence.to_string().contains("approval.requested"), "{evidence}");
    }
    for workflow in WORKFLOWS {
        assert_eq!(site.parameter(workflow).await, "30");
    }

    // Two people answer: the first one decides, and the second is told who.
    let (granted, rejected) = (waiting["granted"].approval.to_string(), waiting["rejected"].approval.to_string());
    site.tool(&["approve", &granted, "--by", "ada", "--why", "the planners wait for it"]);
    let told = site.refused(&["reject", &granted, "--by", "ben"]);
    assert!(told.contains("approved by ada"), "{told}");
    // The beginning of the id is enough.
    site.tool(&["reject", &rejected[..12], "--by", "ben", "--why", "not this week"]);
    let told = site.refused(&["approve", "no-such-approval", "--by", "ben"]);
    assert!(told.contains("flywheel approvals"), "{told}");
    // Nobody answers the third one: as the state machine says when the wait is over.
    let ignored = &waiting["ignored"];
    site.send("ApprovalsQueueUrl", json!({ "expired": { "request": ignored } }).to_string()).await;
    deployed::within(soon, "what nobody answered", || async { site.count("approval.expired").await == 1 }).await;
    let told = site.refused(&["approve", ignored.approval.as_str(), "--by", "ada"]);
    assert!(told.contains("nobody answered"), "{told}");
    assert!(site.waiting().is_empty());
    assert_eq!(site.tool(&["approvals", "--all"]).as_array().unwrap().len(), 3);

    review().await;
    let made = |events: &[Event]| {
        let made = |event: &&Event| matches!(&event.body, Body::TimeoutAnswered(receipt) if receipt.answer == TimeoutAnswer::Made);
        events.iter().filter(made).count()
    };
    deployed::within(soon, "the change", || async { made(&site.events().await) == 1 }).await;
    let declined = |event: &Event| matches!(&event.body, Body::TimeoutHeld(hold) if hold.reason == TimeoutHoldReason::Declined);
    deployed::within(soon, "two that are not made", || async { site.events().await.iter().filter(|event| declined(event)).count() == 2 })
        .await;
    assert_eq!(
        [site.parameter("granted").await, site.parameter("rejected").await, site.parameter("ignored").await],
        ["45", "30", "30"].map(str::to_owned)
    );
    // The tasks that were answered are over.
    deployed::within(soon, "the ends of two executions", || async {
        let executions = site.executions().await;
        [&granted, &rejected].iter().all(|approval| executions[approval.as_str()] == "SUCCEEDED")
    })
    .await;

    // Who approved what, when and on what evidence: from the change back to it.
    let events = site.events().await;
    let decided = |event: &&Event| matches!(&event.body, Body::TimeoutDecided(change) if !change.dry_run);
    let change = events.iter().find(decided).unwrap();
    let cause = events.iter().find(|event| change.causes.contains(&event.id)).unwrap();
    let Body::ApprovalGranted(answer) = &cause.body else { panic!("{cause:?}") };
    assert_eq!((answer.word.by.as_str(), answer.word.why.as_str()), ("ada", "the planners wait for it"));
    assert!(events.iter().any(|event| answer.request.evidence.contains(&event.id)));
    let listed = async || site.tool(&["ledger", "list", "--hours", "1", "--kind", "approval."]).as_array().unwrap().len() == 5;
    // The expiry is dated by the deadline, which is still ahead here.
    deployed::within(soon, "all that was asked and answered, in the ledger for good", listed).await;

    deployed::assert_no_dead_letters(&site.aws, STACK, &["signals", "runs", "approvals", "ledger"]).await;
    site.aws.stop();
    fs::remove_dir_all(&folder).unwrap();
}
