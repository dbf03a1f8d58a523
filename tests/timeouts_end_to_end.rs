//! Limits on the deployed stack, with roles enforced: runs come in, limits move in a parameter, in `AppConfig` and on a queue,
//! and the operator's tool shows it and takes one back.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "support/deployed.rs"]
mod deployed;

use std::fs;
use std::time::Duration;

use aws_sdk_appconfig::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::QueueAttributeName;
use flywheel_engine::timeouts::Runs;
use flywheel_local::{Config, LocalAws};
use flywheel_model::{Body, Event, TimeoutAnswer, TimeoutHoldReason};
use flywheel_policy::Policy;
use jiff::Timestamp;
use serde_json::json;

use deployed::Site;

const STACK: &str = "limits";

/// Runs of each workflow.
const RUNS: usize = 900;

fn policy(application: &str, environment: &str, profile: &str, strategy: &str) -> String {
    format!(
        r#"mode = "act"
[[unseen_source]]
knowledge_base = "KBLIMITS01"
data_source = "DSLIMITS01"
[[timeout]]
workflow = "trip"
target = {{ parameter = "/limits/trip", field = "seconds" }}
ceiling_seconds = 120
queue = "limits-trips"
[[timeout]]
workflow = "report"
target = {{ application = "{application}", environment = "{environment}", profile = "{profile}", strategy = "{strategy}" }}
ceiling_seconds = 120
[[timeout]]
workflow = "worker"
target = {{ queue = "limits-work" }}
ceiling_seconds = 120
[[timeout]]
workflow = "stuck"
target = {{ parameter = "/limits/stuck" }}
ceiling_seconds = 120
"#
    )
}

impl Site {
    async fn taken_in(&self, workflow: &str) -> u64 {
        let query = self.aws.dynamodb().query().table_name(&self.outputs["SignalsTable"]).key_condition_expression("pk = :runs");
        let query = query.expression_attribute_values(":runs", AttributeValue::S(format!("runs#{workflow}"))).consistent_read(true);
        let rows = query.send().await.unwrap().items.unwrap_or_default();
        rows.iter().map(|row| serde_json::from_str::<Runs>(row["value"].as_s().unwrap()).unwrap().usable()).sum()
    }

    async fn parameter(&self, name: &str) -> String {
        let found = aws_sdk_ssm::Client::new(self.aws.config()).get_parameter().name(name).send().await.unwrap();
        found.parameter.unwrap().value.unwrap()
    }

    async fn visibility(&self, queue: &str) -> String {
        let (sqs, url) = deployed::queue(&self.aws, queue).await;
        let wanted = QueueAttributeName::VisibilityTimeout;
        let found = sqs.get_queue_attributes().queue_url(url).attribute_names(wanted.clone()).send().await.unwrap();
        found.attributes.unwrap()[&wanted].clone()
    }
}

/// A run of a workflow: one in ten is cut at 30 seconds. Of every second of these the true end is known, a little before 45
/// seconds; of the stuck workflow only that the others never end.
fn run(workflow: &str, place: usize) -> String {
    let run = match (place % 20, workflow) {
        (0, "stuck") if place > 0 => json!({ "status": "timed_out", "limit_seconds": 30, "trace": "t" }),
        (0, _) => json!({ "status": "timed_out", "seconds": 38 + place % 6, "limit_seconds": 30 }),
        (10, "stuck") => json!({ "status": "timed_out", "limit_seconds": 30, "trace": "t" }),
        (10, _) => json!({ "status": "timed_out", "limit_seconds": 30 }),
        (of_20, _) => json!({ "status": "succeeded", "seconds": 5 + of_20 }),
    };
    let mut run = run;
    run["workflow"] = workflow.into();
    json!({ "id": format!("{workflow}-{place}"), "at": Timestamp::now().to_string(), "workflow_run": run }).to_string()
}

#[tokio::test]
async fn the_deployed_stack_moves_limits_to_where_runs_complete() {
    if deployed::tools_are_missing() {
        return;
    }
    let folder = std::env::temp_dir().join(format!("flywheel-limits-{}", std::process::id()));
    let aws = LocalAws::start(Config::new(&folder)).await.unwrap();

    // What is the team's own: a configuration, two parameters, two queues.
    let configurations = aws_sdk_appconfig::Client::new(aws.config());
    let application = configurations.create_application().name("reports").send().await.unwrap().id.unwrap();
    let environment = configurations.create_environment().application_id(&application).name("test").send().await.unwrap().id.unwrap();
    let profile = configurations.create_configuration_profile().application_id(&application).name("limit").location_uri("hosted");
    let profile = profile.send().await.unwrap().id.unwrap();
    let strategy = configurations.create_deployment_strategy().name("at-once").deployment_duration_in_minutes(0).growth_factor(100.0);
    let strategy = strategy.replicate_to(aws_sdk_appconfig::types::ReplicateTo::None).send().await.unwrap().id.unwrap();
    let version = configurations.create_hosted_configuration_version().application_id(&application).configuration_profile_id(&profile);
    let version = version.content_type("text/plain").content(Blob::new("30")).send().await.unwrap().version_number;
    let start = configurations.start_deployment().application_id(&application).environment_id(&environment);
    let start = start.configuration_profile_id(&profile).deployment_strategy_id(&strategy).configuration_version(version.to_string());
    start.send().await.unwrap();
    let policy = policy(&application, &environment, &profile, &strategy);
    aws.create_what_is_named(&Policy::parse(&policy).unwrap()).await.unwrap();
    let put = aws_sdk_ssm::Client::new(aws.config()).put_parameter().name("/limits/trip").value(r#"{"model":"m","seconds":30}"#);
    put.overwrite(true).send().await.unwrap();

    let (sqs, url) = deployed::queue(&aws, "limits-trips").await;
    sqs.set_queue_attributes().queue_url(url).attributes(QueueAttributeName::VisibilityTimeout, "180").send().await.unwrap();

    let outputs = aws.deploy(STACK, &policy, &mut |_| {}).await.unwrap().outputs;
    let site = Site { stack: STACK, aws, outputs };
    let soon = Duration::from_secs(90);
    for workflow in ["trip", "report", "worker", "stuck"] {
        let runs: Vec<String> = (0..RUNS).map(|place| run(workflow, place)).collect();
        for batch in runs.chunks(100) {
            site.send("SignalsQueueUrl", batch.join("\n")).await;
        }
        // Delivered twice, it counts once.
        site.send("SignalsQueueUrl", runs[..100].join("\n")).await;
    }
    for workflow in ["trip", "report", "worker", "stuck"] {
        deployed::within(soon, &format!("the runs of {workflow}"), || async { site.taken_in(workflow).await == RUNS as u64 }).await;
    }
    // A function's own log tells of runs too.
    let line = "REPORT RequestId: 4f1c0d2e-1\tDuration: 812.00 ms\tBilled Duration: 813 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB\t";
    deployed::deliver_logs(&site.aws, &site.outputs["ReadLogsFunction"], "/aws/lambda/worker", &[line.to_owned()]).await;
    deployed::within(soon, "the run of a function's log", || async { site.taken_in("worker").await == RUNS as u64 + 1 }).await;

    // While a person has stopped all actions, it is decided what would be done, and nothing is.
    site.tool(&["stop", "--by", "jo", "--why", "the limits look odd"]);
    site.send("RunsQueueUrl", json!({ "trigger": "review" }).to_string()).await;
    let decided_only = |event: &Event| matches!(&event.body, Body::TimeoutDecided(change) if change.dry_run);
    deployed::within(soon, "decisions in a dry run", || async {
        site.events().await.iter().filter(|event| decided_only(event)).count() == 3
    })
    .await;
    assert_eq!(site.parameter("/limits/trip").await, r#"{"model":"m","seconds":30}"#);
    assert_eq!(site.visibility("limits-trips").await, "180");
    site.tool(&["resume", "--by", "jo"]);
    let controls = || async { site.events().await.iter().filter(|event| event.subject == "control").count() };
    deployed::within(soon, "both in the ledger", || async { controls().await == 2 }).await;

    site.send("RunsQueueUrl", json!({ "trigger": "review" }).to_string()).await;
    let made = |events: Vec<Event>| {
        let made = |event: &&Event| matches!(&event.body, Body::TimeoutAnswered(receipt) if receipt.answer == TimeoutAnswer::Made);
        events.iter().filter(made).count()
    };
    deployed::within(soon, "three changes", || async { made(site.events().await) == 3 }).await;
    assert_eq!(site.parameter("/limits/trip").await, r#"{"model":"m","seconds":45}"#);
    assert_eq!((site.visibility("limits-trips").await, site.visibility("limits-work").await), ("270".to_owned(), "45".to_owned()));
    let served = aws_sdk_appconfigdata::Client::new(site.aws.config());
    let session = served.start_configuration_session().application_identifier(&application).environment_identifier(&environment);
    let session = session.configuration_profile_identifier(&profile).send().await.unwrap().initial_configuration_token.unwrap();
    let latest = served.get_latest_configuration().configuration_token(session).send().await.unwrap();
    assert_eq!(latest.configuration.unwrap().into_inner(), b"45");
    deployed::within(soon, "the hold", || async {
        site.events().await.iter().any(|event| {
            matches!(&event.body, Body::TimeoutHeld(hold) if hold.timeout.as_str() == "stuck" && hold.reason == TimeoutHoldReason::Stuck)
        })
    })
    .await;
    assert_eq!(site.parameter("/limits/stuck").await, "30");

    // The operator's tool.
    let listed = site.tool(&["timeouts", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 4);
    assert_eq!(listed[0]["limit"], "45 s");
    assert_eq!(site.tool(&["timeouts", "plan", "stuck"])[0]["state"], "stuck");
    let curve = folder.join("trip.svg");
    let explained = site.tool(&["timeouts", "explain", "trip", "--picture", curve.to_str().unwrap()]);
    assert!(explained["state"].as_str().unwrap().starts_with("changed on "), "{explained}");
    assert!(fs::read_to_string(&curve).unwrap().starts_with("<svg"));
    site.tool(&["timeouts", "undo", "trip", "--by", "jo", "--yes"]);
    assert_eq!(
        (site.parameter("/limits/trip").await, site.visibility("limits-trips").await),
        (r#"{"model":"m","seconds":30}"#.to_owned(), "180".to_owned())
    );

    // The way of a change, from its decision to what was made of it.
    let decided =
        site.events().await.into_iter().find(|event| matches!(&event.body, Body::TimeoutDecided(change) if !change.dry_run)).unwrap();
    let traced = site.tool(&["ledger", "trace", decided.id.as_str()]);
    let led_to: Vec<&str> = traced["led_to"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert!(led_to.contains(&"receipt.timeout"), "{traced}");
    assert!(site.tool(&["ledger", "trace", &decided.subject]).as_array().unwrap().len() >= 2);
    let listed = site.tool(&["ledger", "list", "--hours", "1", "--kind", "control."]);
    let said: Vec<&str> = listed.as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(said, ["control.stopped", "control.resumed"]);

    deployed::assert_no_dead_letters(&site.aws, STACK, &["signals", "runs", "ledger"]).await;
    site.aws.stop();
    fs::remove_dir_all(&folder).unwrap();
}
