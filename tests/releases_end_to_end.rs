//! Releases through the deployed stack on the local AWS, with signatures and roles enforced: failed ones become a check, the
//! check stops the next one, and the fix that it prints lets it pass.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "support/deployed.rs"]
mod deployed;

use flywheel_local::demo::releases::Pipeline;
use flywheel_local::terminal::Terminal;
use flywheel_local::{Config, LocalAws};
use serde_json::json;

const STACK: &str = "releases";

const POLICY: &str = r#"
mode = "act"
[[unseen_source]]
knowledge_base = "KBRELEASE1"
data_source = "DSRELEASE1"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_releases_become_a_check_that_stops_the_next_one_until_it_is_mended() {
    if deployed::tools_are_missing() {
        return;
    }
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("releases-end-to-end");
    let aws = LocalAws::start(Config::new(folder)).await.unwrap();
    let site = aws.deploy(STACK, POLICY, &mut |_| {}).await.unwrap();
    // What cannot be used is told with its reason, and holds nothing up.
    let (sqs, url) = deployed::queue(&aws, "releases-releases").await;
    for body in ["no JSON".to_owned(), json!({ "records": [{ "what": "luck" }] }).to_string()] {
        sqs.send_message().queue_url(&url).message_body(body).send().await.unwrap();
    }
    let releases = Pipeline::new(&aws, &site).await.unwrap().play(&mut Terminal::new()).await.unwrap();
    assert!(releases.good(), "{releases:?}");
    deployed::assert_no_dead_letters(&aws, STACK, &["releases", "ledger"]).await;
}
