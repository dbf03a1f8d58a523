//! Learning against a memory in which writers race and calls fail.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use flywheel_engine::preflight::{ChecksFile, State};
use flywheel_model::{Event, Id, PreflightRun};
use flywheel_policy::Policy;
use flywheel_ports::{Bus, Checks, Denials, Releases, Unavailable};
use flywheel_releases::Record;
use jiff::{SignedDuration, Timestamp};
use learn_preflight::{Incoming, Learning, read};
use serde_json::json;

const POLICY: &str = "mode = \"act\"\n[[unseen_source]]\nknowledge_base = \"KBUNSEEN01\"\ndata_source = \"DSUNSEEN01\"\n";

#[derive(Default)]
struct Memory {
    records: RefCell<BTreeSet<Record>>,
    caught: RefCell<BTreeMap<String, Timestamp>>,
    file: RefCell<Option<String>>,
    told: RefCell<BTreeMap<Id, Event>>,
    /// What a person writes into the file just before the next write.
    meanwhile: RefCell<Option<String>>,
    /// The bus fails so many times.
    failures: Cell<usize>,
}

impl Releases for &Memory {
    async fn keep(&self, records: &[Record]) -> Result<(), Unavailable> {
        self.records.borrow_mut().extend(records.iter().cloned());
        Ok(())
    }

    async fn records(&self, since: Timestamp) -> Result<Vec<Record>, Unavailable> {
        Ok(self.records.borrow().iter().filter(|record| record.at >= since).cloned().collect())
    }

    async fn note_caught(&self, checks: &[String], at: Timestamp) -> Result<(), Unavailable> {
        self.caught.borrow_mut().extend(checks.iter().map(|check| (check.clone(), at)));
        Ok(())
    }

    async fn caught(&self) -> Result<BTreeMap<String, Timestamp>, Unavailable> {
        Ok(self.caught.borrow().clone())
    }
}

impl Checks for &Memory {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    async fn read(&self) -> Result<Option<(String, String)>, Unavailable> {
        Ok(self.file.borrow().clone().map(|text| (text.clone(), text)))
    }

    async fn write(&self, text: &str, tag: Option<&str>) -> Result<Option<String>, Unavailable> {
        if let Some(theirs) = self.meanwhile.take() {
            self.file.replace(Some(theirs));
        }
        if self.file.borrow().as_deref() != tag {
            return Ok(None);
        }
        self.file.replace(Some(text.to_owned()));
        Ok(Some(text.to_owned()))
    }
}

impl Denials for &Memory {
    async fn decode(&self, message: &str) -> Option<String> {
        let says = r#"{"explicitDeny":false,"context":{"action":"ec2:CreateSubnet","resource":"*","principal":{"arn":"arn:aws:sts::111122223333:assumed-role/deploy/ada@example.com"}}}"#;
        message.starts_with("known").then(|| says.to_owned())
    }
}

impl Bus for &Memory {
    async fn publish(&self, events: &[Event]) -> Result<(), Unavailable> {
        if self.failures.get() > 0 {
            self.failures.set(self.failures.get() - 1);
            return Err(Unavailable { what: "publish", why: "on purpose".to_owned() });
        }
        self.told.borrow_mut().extend(events.iter().map(|event| (event.id.clone(), event.clone())));
        Ok(())
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// A message for each release of a history: `g` good, `f` failed.
fn messages(letters: &str) -> Vec<String> {
    let start = now() - SignedDuration::from_hours(24 * 30);
    let message = |(place, letter): (usize, char)| {
        let at = start + SignedDuration::from_hours(i64::try_from(place).unwrap());
        let log = "Error: User: arn:aws:sts::111122223333:assumed-role/deploy/ada@example.com is not authorized to perform: sqs:CreateQueue on resource: arn:aws:sqs:eu-west-1:111122223333:jobs\n";
        let (ended, log) = if letter == 'f' { ("failed", log) } else { ("succeeded", "done\n") };
        json!({ "deployment": { "release": format!("run-{place}"), "service": "shop", "at": at, "ended": ended }, "log": log }).to_string()
    };
    letters.chars().enumerate().map(message).collect()
}

async fn learned_from(memory: &Memory, messages: &[String]) -> Result<Vec<String>, Unavailable> {
    let learning = Learning { releases: memory, checks: memory, denials: memory, bus: memory };
    let mut ended = false;
    for message in messages {
        ended |= learning.take(read(message).unwrap()).await?;
    }
    assert!(ended || messages.is_empty());
    learning.learn(&Policy::parse(POLICY).unwrap(), now()).await
}

#[tokio::test]
async fn messages_in_any_order_and_twice_come_to_the_same_checks() {
    let (once, often) = (Memory::default(), Memory::default());
    let mut many = messages("ggggggggggggffffffff");
    assert_eq!(learned_from(&once, &many).await.unwrap().len(), 1);
    many.extend(many.clone());
    many.reverse();
    learned_from(&often, &many).await.unwrap();
    assert_eq!(once.file.borrow().as_ref().unwrap(), often.file.borrow().as_ref().unwrap());
    assert!(learned_from(&once, &many).await.unwrap().is_empty(), "nothing new, nothing written");
}

#[tokio::test]
async fn nothing_that_is_kept_or_told_names_a_person() {
    let memory = Memory::default();
    learned_from(&memory, &messages("ggggggggggggffffffff")).await.unwrap();
    let kept = serde_json::to_string(&*memory.records.borrow()).unwrap()
        + &serde_json::to_string(&memory.told.borrow().values().collect::<Vec<_>>()).unwrap();
    assert!(kept.contains("arn:aws:iam::111122223333:role/deploy") && !kept.contains("ada@example.com"));
    assert!(!memory.file.borrow().as_ref().unwrap().contains("ada"));
}

#[tokio::test]
async fn an_encoded_denial_is_decoded_where_that_is_allowed_and_never_kept_encoded() {
    for (encoded, action) in [("known-0123456789012345", Some("ec2:CreateSubnet")), ("other-0123456789012345", None)] {
        let memory = Memory::default();
        let log = format!("Error: You are not authorized to perform this operation. Encoded authorization failure message: {encoded}\n");
        let message = json!({ "deployment": { "release": "run-1", "service": "shop", "at": now(), "ended": "failed" }, "log": log });
        learned_from(&memory, &[message.to_string()]).await.unwrap();
        let mut records = memory.records.borrow().clone().into_iter().collect::<Vec<_>>();
        let cause = records.iter_mut().find_map(|record| record.what.cause_mut()).unwrap();
        assert_eq!((cause.action.as_deref(), cause.encoded.as_deref()), (action, None));
        assert!(!serde_json::to_string(cause).unwrap().contains("ada"));
    }
}

#[tokio::test]
async fn what_a_person_writes_meanwhile_is_not_overwritten() {
    let memory = Memory::default();
    let theirs = "version = 1\n# Ours.\n[[check]]\nid = \"key\"\nwhat = \"parameter\"\nparameter = \"/shop/key\"\n";
    memory.meanwhile.replace(Some(theirs.to_owned()));
    learned_from(&memory, &messages("ggggggggggggffffffff")).await.unwrap();
    let text = memory.file.borrow().clone().unwrap();
    assert!(text.contains("# Ours.") && text.contains("sqs:CreateQueue"), "{text}");
    assert_eq!(ChecksFile::parse(&text).unwrap().active(Some("shop")).len(), 2);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_left_alone() {
    let memory = Memory::default();
    memory.file.replace(Some("version = 1\n[[check]]\nid = \"half".to_owned()));
    let error = learned_from(&memory, &messages("ggggggggggggffffffff")).await.unwrap_err();
    assert!(error.to_string().contains("line 3 of the checks file"), "{error}");
    assert_eq!(memory.file.borrow().as_deref(), Some("version = 1\n[[check]]\nid = \"half"));
}

#[tokio::test]
async fn after_a_bus_that_failed_the_same_is_told_under_the_same_ids() {
    let (memory, smooth) = (Memory::default(), Memory::default());
    let all = messages("ggggggggggggffffffff");
    memory.failures.set(1);
    learned_from(&memory, &all).await.unwrap_err();
    assert!(memory.file.borrow().is_none(), "a decision is told before it is carried out");
    learned_from(&memory, &all).await.unwrap();
    learned_from(&smooth, &all).await.unwrap();
    assert_eq!(memory.told.borrow().keys().collect::<Vec<_>>(), smooth.told.borrow().keys().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_check_that_goes_on_catching_stays() {
    let memory = Memory::default();
    let changed = learned_from(&memory, &messages("ggggggggggggffffffff")).await.unwrap();
    let run = PreflightRun { service: "shop".to_owned(), passed: 0, failed: changed.clone(), unable: Vec::new(), may_start: false };
    let learning = Learning { releases: &memory, checks: &memory, denials: &memory, bus: &memory };
    let later = |days: i64| now() + SignedDuration::from_hours(24 * days);
    learning.take(Incoming::Run { run, at: later(150) }).await.unwrap();
    let policy = Policy::parse(POLICY).unwrap();
    assert!(learning.learn(&policy, later(300)).await.unwrap().is_empty());
    assert_eq!(learning.learn(&policy, later(331)).await.unwrap(), changed);
    let file = ChecksFile::parse(memory.file.borrow().as_ref().unwrap()).unwrap();
    assert_eq!(file.entries()[0].state, State::Retired);
}
