//! Regression tests through the deployed stack on the local AWS, with signatures and roles enforced: conversations come in, the
//! operator asks for tests, they are proved against the assistant that failed, run, decided about and exported, and an erasure
//! leaves nothing of a user's.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

#[path = "support/deployed.rs"]
mod deployed;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use flywheel_local::{Config, LocalAws, Shop};
use flywheel_model::{RegressionTest, TestState};
use flywheel_policy::Policy;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use deployed::Site;

const STACK: &str = "tests";

const INTENT: &str = "orders";

impl Site {
    fn tests(&self) -> Vec<RegressionTest> {
        serde_json::from_value(self.tool(&["tests", "list", "--intent", INTENT])).unwrap()
    }

    /// Everything that is in the bucket of data sets.
    async fn suites(&self) -> BTreeMap<String, String> {
        let (mut objects, bucket) = (BTreeMap::new(), &self.outputs["DatasetsBucket"]);
        let listed = self.aws.s3().list_objects_v2().bucket(bucket).send().await.unwrap();
        for key in listed.contents.unwrap_or_default().into_iter().filter_map(|object| object.key) {
            let bytes = self.aws.s3().get_object().bucket(bucket).key(&key).send().await.unwrap().body.collect().await.unwrap();
            objects.insert(key, String::from_utf8(bytes.into_bytes().to_vec()).unwrap());
        }
        objects
    }
}

/// A conversation of a user with a version of the shop.
fn conversation(number: i64, shop: Shop, said: &str, user: &str) -> String {
    let resolved = shop == Shop::MENDED;
    let conversation = json!({ "intent": INTENT, "conversation": format!("talk-{number}"), "user": user, "resolved": resolved, "turns": shop.converse(&[said]) });
    let at = Timestamp::now() - SignedDuration::from_mins(number);
    json!({ "id": format!("talk-{number}"), "at": at, "conversation": conversation }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_conversations_become_tests_that_hold_up_a_release_and_can_be_erased() {
    if deployed::tools_are_missing() {
        return;
    }
    let (broken, _) = Shop::BROKEN.serve().await.unwrap();
    let (mended, _) = Shop::MENDED.serve().await.unwrap();
    let policy = format!(
        "mode = \"act\"\n[[unseen_source]]\nknowledge_base = \"KBTESTS001\"\ndata_source = \"DSTESTS001\"\n\
         [[tests.target]]\nname = \"production\"\nurl = \"http://{broken}/turn\"\n\
         [[tests.target]]\nname = \"staging\"\nurl = \"http://{mended}/turn\"\n"
    );
    let folder = std::env::temp_dir().join(format!("flywheel-tests-{}", std::process::id()));
    let aws = LocalAws::start(Config::new(&folder)).await.unwrap();
    aws.create_what_is_named(&Policy::parse(&policy).unwrap()).await.unwrap();
    let outputs = aws.deploy(STACK, &policy, &mut |_| {}).await.unwrap().outputs;
    let site = Site { stack: STACK, aws, outputs };
    let soon = Duration::from_secs(60);

    let refused = site.run_tool(&["--json", "tests", "run", "--intent", INTENT]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("next: `flywheel tests generate"));

    // Six users are helped, two are not; one of these says who they are.
    let good = (1..=6).map(|number| conversation(number, Shop::MENDED, &format!("Please cancel order A{number}000"), "somebody"));
    let bad = [
        conversation(7, Shop::BROKEN, "Please cancel order B7000, I am ada@example.com", "ada-lovelace"),
        conversation(8, Shop::BROKEN, "Where is my order C8000?", "charles"),
    ];
    let (sqs, url) = deployed::queue(&site.aws, &format!("{STACK}-signals")).await;
    sqs.send_message().queue_url(url).message_body(good.chain(bad).collect::<Vec<_>>().join("\n")).send().await.unwrap();
    deployed::within(soon, "the tests", || async {
        let asked: Vec<RegressionTest> =
            serde_json::from_value(site.tool(&["tests", "generate", "--intent", INTENT, "--since", "24h"])).unwrap();
        asked.len() == 2
    })
    .await;
    deployed::within(soon, "the proofs", || async { site.tests().iter().all(|test| test.state == TestState::Active) }).await;
    let tests = site.tests();
    assert!(tests.iter().all(|test| test.proof.runs.as_ref().is_some_and(|runs| (runs.failed, runs.runs) == (5, 5))), "{tests:#?}");
    let shown = site.tool(&["tests", "show", &tests[0].test.as_str()[..10]]);
    assert_eq!(shown["test"], tests[0].test.as_str());

    // The gate: what failed is held up, what is mended passes; the report is JUnit's.
    let junit = folder.join("tests.xml");
    let run = site.run_tool(&["--json", "tests", "run", "--intent", INTENT, "--junit", junit.to_str().unwrap()]);
    assert_eq!(run.status.code(), Some(1), "{}", String::from_utf8_lossy(&run.stderr));
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert!(report["tests"].as_array().unwrap().iter().all(|test| test["verdict"] == "fails"), "{report:#}");
    assert!(fs::read_to_string(&junit).unwrap().contains("tests=\"2\" failures=\"2\" skipped=\"0\""));
    assert_eq!(site.tool(&["tests", "run", "--intent", INTENT, "--target", "staging"])["may_be_released"], true);
    // As in a CI without AWS.
    let out = folder.join("suite");
    site.tool(&["tests", "export", "--intent", INTENT, "--format", "json", "--out", out.to_str().unwrap()]);
    let suite = out.join("suite.json");
    let alone = ["tests", "run", "--suite", suite.to_str().unwrap(), "--endpoint", &format!("http://{mended}/turn")];
    assert_eq!(site.tool(&alone)["may_be_released"], true);
    let away = site.run_tool(&["--json", "tests", "run", "--intent", INTENT, "--endpoint", "http://127.0.0.1:9/turn"]);
    assert!(!away.status.success() && String::from_utf8_lossy(&away.stderr).contains("nothing is said of it"));

    // People decide, and asking again makes nothing new of what is known.
    let other = tests.iter().find(|test| test.says[0].contains("C8000")).unwrap();
    site.tool(&["tests", "retire", other.test.as_str(), "--by", "grace", "--why", "orders have no letter any more"]);
    site.tool(&["tests", "generate", "--intent", INTENT]);
    let states: BTreeSet<&str> = site.tests().iter().map(|test| test.state.word()).collect();
    assert_eq!(states, BTreeSet::from(["active", "retired"]));
    site.tool(&["tests", "activate", other.test.as_str(), "--by", "grace"]);

    // Erasure: the user's test goes, with all earlier versions of the suite.
    let before = site.suites().await;
    assert!(before.keys().filter(|key| key.contains("/versions/")).count() > 2);
    assert!(before.values().any(|text| text.contains("B7000")) && !before.values().any(|text| text.contains("ada@")), "redacted");
    assert_eq!(site.tool(&["cases", "erase", "--user", "ada-lovelace", "--yes"])["suites"], 1);
    let after = site.suites().await;
    assert!(!after.values().any(|text| text.contains("B7000")), "{after:#?}");
    assert_eq!(after.keys().filter(|key| key.contains("/versions/")).count(), 1);
    site.tool(&["tests", "generate", "--intent", INTENT]);
    let left: Vec<String> = site.tests().into_iter().flat_map(|test| test.says).collect();
    assert_eq!(left, ["Where is my order C8000?"]);
    deployed::assert_no_dead_letters(&site.aws, STACK, &["signals", "tests", "proofs", "ledger"]).await;
    site.aws.stop();
    fs::remove_dir_all(folder).unwrap();
}
