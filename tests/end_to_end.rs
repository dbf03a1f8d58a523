//! The deployed stack on the local AWS: real functions behind real queues, with signatures and roles enforced, and one
//! of them killed in the middle of its work.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

#[path = "support/deployed.rs"]
mod deployed;

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_sqs::types::QueueAttributeName;
use flywheel_bedrock::core::{Effect, Fault, Operation, Outcome};
use flywheel_local::{Config, LocalAws, Quotas, Speed};
use flywheel_model::DataSourceId;
use flywheel_policy::Policy;
use jiff::SignedDuration;

const STACK: &str = "end-to-end";

/// Two data sources of one knowledge base and one of another. The quotas are a tenth of Bedrock's times, so that the
/// test ends soon; the stand-in is as strict with these as Bedrock is with its own.
const POLICY: &str = r#"
mode = "act"
[sync]
direct_at_most = 5
poll_seconds = 1
check_seconds = 1
cooldown_seconds = 1
settle_seconds = 2
[quotas]
job_starts_per_second = 1.0
[[data_source]]
knowledge_base = "KBENDTOEN1"
data_source = "DSENDTOEN1"
bucket = "end-to-end-documents"
prefix = "manuals/"
[[data_source]]
knowledge_base = "KBENDTOEN1"
data_source = "DSENDTOEN2"
bucket = "end-to-end-documents"
prefix = "notes/"
[[data_source]]
knowledge_base = "KBENDTOEN2"
data_source = "DSENDTOEN3"
bucket = "end-to-end-documents"
prefix = "faq/"
"#;

const BUCKET: &str = "end-to-end-documents";

/// Keys that are hard to get right.
const ODD_KEYS: [&str; 6] =
    ["faq/two words.md", "faq/a+b.md", "faq/100%25.md", "faq/größe/日本語.md", "faq/it's & more (1).md", "faq/a=b;c,d@e.md"];

struct Site {
    aws: LocalAws,
    objects: BTreeMap<String, String>,
}

impl Site {
    async fn write(&mut self, key: &str, text: &str) {
        let put = self.aws.s3().put_object().bucket(BUCKET).key(key).body(ByteStream::from(text.as_bytes().to_vec()));
        let etag = put.send().await.unwrap().e_tag.unwrap();
        self.objects.insert(key.to_owned(), etag.trim_matches('"').to_owned());
    }

    async fn delete(&mut self, key: &str) {
        self.aws.s3().delete_object().bucket(BUCKET).key(key).send().await.unwrap();
        self.objects.remove(key);
    }

    /// What the index should have and has not, or has otherwise.
    fn differences(&self) -> Vec<String> {
        let index = self.aws.bedrock_index();
        let indexed: BTreeMap<&str, &str> = index.values().flatten().map(|(key, etag)| (key.as_str(), etag.trim_matches('"'))).collect();
        let wanted: BTreeMap<&str, &str> =
            self.objects.iter().filter(|(key, _)| !key.ends_with(".svg")).map(|(key, etag)| (key.as_str(), etag.as_str())).collect();
        let missing =
            wanted.iter().filter(|(key, etag)| indexed.get(*key) != Some(etag)).map(|(key, _)| format!("{key} is not as it is in S3"));
        let left = indexed.keys().filter(|key| !wanted.contains_key(*key)).map(|key| format!("{key} is gone from S3"));
        missing.chain(left).collect()
    }

    async fn wait_until_consistent(&self, at_most: Duration) -> Duration {
        let begun = Instant::now();
        loop {
            let differences = self.differences();
            if differences.is_empty() {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < at_most, "after {at_most:?}: {differences:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The process that runs a function, started by this test's own local AWS: it has the local endpoint in its environment.
fn process_of(function: &str, endpoint: &str) -> Option<u32> {
    let has = |environment: &[u8], variable: String| environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes());
    fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find(|process| {
        fs::read(format!("/proc/{process}/environ")).is_ok_and(|environment| {
            has(&environment, format!("AWS_LAMBDA_FUNCTION_NAME={function}")) && has(&environment, format!("AWS_ENDPOINT_URL={endpoint}"))
        })
    })
}

#[tokio::test]
async fn the_deployed_stack_keeps_knowledge_bases_in_step_even_if_a_function_is_killed_at_work() {
    if deployed::tools_are_missing() {
        return;
    }
    let folder = std::env::temp_dir().join(format!("flywheel-end-to-end-{}", std::process::id()));
    let quotas = Quotas { job_starts_per_second: 1.0, ..Quotas::default() };
    let speed = Speed { job_overhead: SignedDuration::from_secs(1), direct_latency: SignedDuration::from_millis(500), ..Speed::default() };
    let aws = LocalAws::start(Config { quotas, speed, ..Config::new(&folder) }).await.unwrap();
    aws.create_what_is_named(&Policy::parse(POLICY).unwrap()).await.unwrap();
    aws.deploy(STACK, POLICY, &mut |_| {}).await.unwrap();
    let mut site = Site { aws, objects: BTreeMap::new() };

    // A burst: jobs for the two big data sources of one knowledge base, direct ingestion for the small one.
    for n in 0..20 {
        site.write(&format!("manuals/{n}.md"), &format!("manual {n}")).await;
        site.write(&format!("notes/{n}.md"), &format!("note {n}")).await;
    }
    site.write("faq/drawing.svg", "<svg/>").await;
    for key in ODD_KEYS {
        site.write(key, key).await;
    }
    let took = site.wait_until_consistent(Duration::from_secs(90)).await;
    println!("the burst was consistent after {took:.1?}");

    // An edit and a deletion.
    site.write("faq/two words.md", "three words now").await;
    site.delete("faq/a+b.md").await;
    site.wait_until_consistent(Duration::from_secs(60)).await;

    // A process is killed while its request to Bedrock is under way. What it had claimed is taken up again: after its
    // lease, by the redelivered message, for which the test does not wait the usual three minutes.
    let (sqs, wakes) = deployed::queue(&site.aws, &format!("{STACK}-wakes")).await;
    sqs.set_queue_attributes().queue_url(wakes).attributes(QueueAttributeName::VisibilityTimeout, "10").send().await.unwrap();
    let slow = Effect::Delay { by: SignedDuration::from_secs(5) };
    site.aws.bedrock().account().inject(Fault::once(slow).on(Operation::IngestKnowledgeBaseDocuments));
    let asked = |site: &Site| {
        let account = site.aws.bedrock().account();
        account.calls().iter().filter(|call| call.operation == Operation::IngestKnowledgeBaseDocuments).count()
    };
    let before = asked(&site);
    site.write("faq/killed.md", "written while the function was to die").await;
    let begun = Instant::now();
    while asked(&site) == before {
        assert!(begun.elapsed() < Duration::from_secs(30), "the function never asked Bedrock");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let process = process_of(&format!("{STACK}-sync-knowledge-bases"), &site.aws.endpoint()).expect("the function runs");
    assert!(std::process::Command::new("kill").args(["-9", &process.to_string()]).status().unwrap().success());
    let state = |site: &Site| site.differences();
    println!("killed {process}; {:?}", state(&site));
    site.write("faq/after.md", "written after the function had died").await;
    let took = site.wait_until_consistent(Duration::from_secs(150)).await;
    println!("after the kill it was consistent again after {took:.1?}");

    // Within the quotas, and within the roles.
    {
        let account = site.aws.bedrock().account();
        assert!(account.violations().is_empty(), "{:?}", account.violations());
        let denied = account.calls().iter().filter(|call| matches!(call.outcome, Outcome::Refused(_))).count();
        assert_eq!(denied, 0, "no call was refused");
        let jobs: Vec<_> = account.jobs().map(|job| DataSourceId::new(job.knowledge_base.as_str(), job.data_source.as_str())).collect();
        assert!(jobs.len() >= 2, "{jobs:?}");
    }
    deployed::assert_no_dead_letters(&site.aws, STACK, &["changes", "wakes", "ledger"]).await;
    site.aws.stop();
    fs::remove_dir_all(&folder).unwrap();
}
