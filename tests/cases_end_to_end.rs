//! Evaluation cases through the deployed stack on the local AWS, with signatures and roles enforced: from signals to cases,
//! what people decide of them by the operator's tool, the data set, the exports, and an erasure that leaves nothing.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

#[path = "support/deployed.rs"]
mod deployed;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::GetObjectError;
use flate2::read::GzDecoder;
use flywheel_local::{Config, LocalAws};
use flywheel_model::Case;
use flywheel_policy::Policy;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use deployed::Site;

const STACK: &str = "cases";

const POLICY: &str = r#"
mode = "act"
[[data_source]]
knowledge_base = "KBCASES001"
data_source = "DSCASES001"
bucket = "cases-documents"
"#;

impl Site {
    fn cases(&self) -> Vec<Case> {
        serde_json::from_value(self.tool(&["cases", "list"])).unwrap()
    }

    /// An object of the stack's buckets, unpacked.
    async fn object(&self, bucket: &str, key: &str) -> Result<String, SdkError<GetObjectError>> {
        let bytes = self.aws.s3().get_object().bucket(&self.outputs[bucket]).key(key).send().await?;
        let bytes = bytes.body.collect().await.unwrap().into_bytes();
        let mut text = String::new();
        if GzDecoder::new(bytes.as_ref()).read_to_string(&mut text).is_err() {
            text = String::from_utf8(bytes.to_vec()).unwrap();
        }
        Ok(text)
    }

    /// Everything that is in the stack's buckets, unpacked.
    async fn objects(&self) -> BTreeMap<String, String> {
        let mut objects = BTreeMap::new();
        for bucket in ["EvidenceBucket", "DatasetsBucket", "LedgerBucket"] {
            let listed = self.aws.s3().list_objects_v2().bucket(&self.outputs[bucket]).send().await.unwrap();
            for key in listed.contents.unwrap_or_default().into_iter().filter_map(|object| object.key) {
                let text = self.object(bucket, &key).await.unwrap();
                objects.insert(key, text);
            }
        }
        objects
    }

    /// Every row of the stack's tables, with what is packed in it.
    async fn rows(&self) -> String {
        let mut rows = String::new();
        for table in ["CasesTable", "SignalsTable", "LedgerTable"] {
            let scan = self.aws.dynamodb().scan().table_name(&self.outputs[table]).consistent_read(true).send().await.unwrap();
            for row in scan.items.unwrap_or_default() {
                for (name, value) in row {
                    match value.as_b() {
                        Ok(packed) => {
                            let mut text = String::new();
                            let _ = GzDecoder::new(packed.as_ref()).read_to_string(&mut text);
                            rows.push_str(&text);
                        }
                        Err(value) => rows.push_str(&format!("{name}={value:?} ")),
                    }
                }
                rows.push('\n');
            }
        }
        rows
    }

    /// The ledger is whole until somebody changes a letter of an entry, which is named then.
    async fn tamper_with_the_ledger(&self) {
        let whole = self.tool(&["ledger", "verify"]);
        assert!(whole["entries"].as_u64() > Some(0) && whole["compared"] == whole["entries"], "{whole}");
        let (client, table) = (self.aws.dynamodb(), &self.outputs["LedgerTable"]);
        let rows = client.scan().table_name(table).consistent_read(true).send().await.unwrap().items.unwrap();
        let mut row = rows.into_iter().find(|row| row.contains_key("event")).unwrap();
        let (id, text) = (row["pk"].as_s().unwrap().clone(), row["event"].as_s().unwrap().clone());
        row.insert("event".to_owned(), AttributeValue::S(text + " "));
        client.put_item().table_name(table).set_item(Some(row)).send().await.unwrap();
        let refused = self.run_tool(&["--json", "ledger", "verify"]);
        assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("next:"));
        let told = String::from_utf8(refused.stdout).unwrap();
        assert!(told.contains(&format!("{id} was changed after it was written")), "{told}");
        assert!(told.contains(&format!("{id} is kept for good otherwise than in the table")), "{told}");
    }

    /// The cases of the present version of the knowledge base's data set. Its manifest is read first: what it names was
    /// written before it, while a list of the bucket from before may lack it.
    async fn published(&self) -> Vec<Case> {
        let manifest = match self.object("DatasetsBucket", "cases/KBCASES001/manifest.json").await {
            Err(SdkError::ServiceError(refused)) if refused.err().is_no_such_key() => return Vec::new(),
            manifest => manifest.unwrap(),
        };
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        let mut cases = Vec::new();
        for part in manifest["versions"][0]["parts"].as_array().unwrap() {
            let key = format!("cases/KBCASES001/parts/{}.jsonl", part["sha256"].as_str().unwrap());
            let part = self.object("DatasetsBucket", &key).await.unwrap();
            cases.extend(part.lines().map(|line| serde_json::from_str::<Case>(line).unwrap()));
        }
        cases
    }
}

fn retrieval(id: &str, minutes_ago: i64, fields: &Value) -> String {
    let mut whole = json!({ "knowledge_base": "KBCASES001" });
    whole.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({ "id": id, "at": Timestamp::now() - SignedDuration::from_mins(minutes_ago), "retrieval": whole }).to_string()
}

#[tokio::test]
async fn failed_retrievals_become_cases_that_people_decide_about_and_can_erase() {
    if deployed::tools_are_missing() {
        return;
    }
    let folder = std::env::temp_dir().join(format!("flywheel-cases-{}", std::process::id()));
    let aws = LocalAws::start(Config::new(&folder)).await.unwrap();
    aws.create_what_is_named(&Policy::parse(POLICY).unwrap()).await.unwrap();
    let outputs = aws.deploy(STACK, POLICY, &mut |_| {}).await.unwrap().outputs;
    let site = Site { stack: STACK, aws, outputs };
    let soon = Duration::from_secs(60);

    // One question in two wordings, one by a person who can be named, one in a conversation, one that is answered.
    let found = json!([{ "text": "Kettles boil.", "score": 0.4, "location": "s3://cases-documents/kettle.md" }]);
    let batch = [
        retrieval("r-1", 9, &json!({ "query": "How do I descale the kettle?", "passages": [] })),
        retrieval("r-2", 8, &json!({ "query": "hello, how can I descale the kettle please", "passages": [] })),
        retrieval(
            "r-3",
            7,
            &json!({ "user": "ada-lovelace", "query": "Does tea weigh 3 kg? mail ada@example.com", "passages": found, "answer": "I don't know." }),
        ),
        retrieval(
            "r-4",
            6,
            &json!({ "conversation": "talk-77", "query": "what is the warranty on toasters", "passages": found, "answer": "See the manual." }),
        ),
        retrieval(
            "r-5",
            5,
            &json!({ "conversation": "talk-77", "query": "Warranty: how long is the warranty for the toasters?", "passages": found,
            "feedback": { "rating": "negative", "correction": "Three years." } }),
        ),
        retrieval("r-6", 4, &json!({ "query": "do kettles boil?", "passages": found, "answer": "Kettles boil." })),
    ];
    site.send("SignalsQueueUrl", batch.join("\n")).await;
    deployed::within(soon, "the cases", || async { site.cases().iter().map(|case| case.times).sum::<u64>() >= 5 }).await;
    let cases = site.cases();
    assert!(cases.iter().all(|case| !case.query.contains("boil")), "what was answered is no case: {cases:#?}");
    let of = |word: &str| cases.iter().find(|case| case.query.contains(word)).unwrap_or_else(|| panic!("{word}: {cases:#?}"));
    assert_eq!((of("kettle").times, of("kettle").variants.len()), (2, 2));
    assert!(of("tea").query.contains("[email:") && !of("tea").query.contains("ada@"));
    let asked_again: Vec<&str> = cases.iter().flat_map(|case| &case.reasons).map(|reason| reason.reason.as_str()).collect();
    assert!(asked_again.contains(&"asked_again") && asked_again.contains(&"negative_feedback"), "{asked_again:?}");

    // What people decide is in the data set at once, and holds.
    let kettle = of("kettle").case.as_str();
    site.tool(&["cases", "confirm", &kettle[..10], "--by", "grace", "--reference", "With vinegar; ask grace@example.com."]);
    site.tool(&["cases", "reject", of("tea").case.as_str(), "--by", "grace", "--why", "not about our products"]);
    let published = site.published().await;
    assert!(published.iter().any(|case| case.state.word() == "confirmed") && published.iter().all(|case| case.state.word() != "rejected"));
    let reference = published.iter().find_map(|case| case.reference.clone().filter(|_| case.state.word() == "confirmed")).unwrap();
    assert!(reference.text.starts_with("With vinegar; ask [email:"), "{reference:?}");
    let refused = site.run_tool(&["--json", "cases", "show", "no-such-case"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("next:"));

    // The schedule publishes what came by itself.
    site.send("SignalsQueueUrl", retrieval("r-7", 1, &json!({ "query": "is the lid of the samovar loose", "passages": [] }))).await;
    deployed::within(soon, "another case", || async { site.cases().iter().any(|case| case.query.contains("samovar")) }).await;
    site.send("CapturesQueueUrl", json!({ "trigger": "publish" }).to_string()).await;
    deployed::within(soon, "the data set with it", || async { site.published().await.iter().any(|case| case.query.contains("samovar")) })
        .await;

    // Exports: one case has a reference by a person and is confirmed.
    let out = folder.join("exports");
    for (format, exported) in [("promptfoo", 1), ("ragas", 1), ("csv", 1), ("bedrock-retrieve", 1)] {
        let done = site.tool(&["cases", "export", "--format", format, "--out", out.to_str().unwrap()]);
        assert_eq!(done["exported"], exported, "{format}: {done}");
        assert!(done["files"].as_array().unwrap().iter().all(|file| fs::metadata(file.as_str().unwrap()).unwrap().len() > 0));
    }

    // Erasure: nothing of a user or a conversation is left anywhere, and what others asked is.
    let (rows, objects) = (site.rows().await, site.objects().await);
    assert!(rows.contains("Does tea weigh") && objects.values().any(|object| object.contains("how long is the warranty")));
    assert!(!site.run_tool(&["--json", "cases", "erase", "--user", "ada-lovelace"]).status.success(), "nobody said yes");
    let erased = site.tool(&["cases", "erase", "--user", "ada-lovelace", "--yes"]);
    assert_eq!((&erased["observations"], &erased["sightings_and_inquiries"]), (&json!(1), &json!(1)), "{erased}");
    site.tool(&["cases", "erase", "--conversation", "talk-77", "--yes"]);
    let (rows, objects) = (site.rows().await, site.objects().await);
    for gone in ["tea weigh", "how long is the warranty", "warranty on toasters", "Three years"] {
        assert!(!rows.contains(gone), "{gone} in a row");
        assert!(!objects.values().any(|object| object.contains(gone)), "{gone} in an object");
    }
    assert!(rows.contains("descale the kettle") && site.cases().iter().any(|case| case.query.contains("samovar")));
    // No secret stands anywhere, before or after.
    assert!(!rows.contains("@example.com") && !objects.values().any(|object| object.contains("@example.com")));

    site.tamper_with_the_ledger().await;
    deployed::assert_no_dead_letters(&site.aws, STACK, &["signals", "captures", "ledger", "findings"]).await;
    site.aws.stop();
    fs::remove_dir_all(&folder).unwrap();
}
