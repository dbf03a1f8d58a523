//! An action graded on the deployed stack, with roles enforced: a topic whose knowledge bases were synchronised a day ago gets
//! better, another one gets worse, and the operator's tool tells both.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "support/deployed.rs"]
mod deployed;

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use flywheel_adapters::{EventBridgeBus, FindingTable};
use flywheel_engine::findings::History;
use flywheel_local::{Config, LocalAws};
use flywheel_model::{
    ActionVerdict, Body, Count, DataSourceId, Event, Evidence, Finding, Hour, Id, Key, Metric, Rate, Rates, Refreshed, Scope, Series,
};
use flywheel_policy::Policy;
use flywheel_ports::{Bus, Cooldowns, Memory};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use deployed::Site;

const STACK: &str = "graded";

const POLICY: &str = r#"mode = "act"
[[unseen_source]]
knowledge_base = "KBGRADED01"
data_source = "DSGRADED01"
[[topic]]
name = "launch"
words = ["launch"]
knowledge_bases = ["KBGRADED01"]
[[topic]]
name = "prices"
words = ["price"]
knowledge_bases = ["KBGRADED01"]
"#;

/// Hours ago that the knowledge bases were synchronised; the rate rose as long before.
const ACTED: i64 = 30;

fn key(name: &str) -> Key {
    name.try_into().unwrap()
}

/// Four weeks of 10% failed responses, 20% since the rise, and so many percent since the action.
fn history(since_action: u64, now: Timestamp) -> History {
    let mut history = History::default();
    let present = Hour::of(now).0;
    for ago in 1..=28 * 24 {
        let percent = match ago {
            _ if ago > 2 * ACTED => 10,
            _ if ago >= ACTED => 20,
            _ => since_action,
        };
        history.learn(Hour(present - ago), &Count { trials: 300, events: 3 * percent, ..Count::default() });
    }
    history
}

/// What opened the finding of a topic, and what told that its knowledge base was synchronised.
fn told(topic: &str, now: Timestamp) -> (Event, Event) {
    let hours_ago = |hours| now - SignedDuration::from_hours(hours);
    let (finding, scope) = (Id::of("finding", &[topic]), Scope::Key(key(topic)));
    let rate = |rate| Rate { trials: 1_000, events: 100, rate };
    let rates = Rates {
        baseline: rate(0.1),
        current: rate(0.2),
        change: 1.0,
        interval: [0.6, 1.4],
        log_evidence: 12.0,
        since: hours_ago(2 * ACTED),
        until: hours_ago(ACTED + 2),
        parts: BTreeMap::new(),
        samples_needed: None,
    };
    let opened = Finding {
        finding: finding.clone(),
        metric: Metric::FailedResponses,
        scope,
        opened_at: hours_ago(ACTED + 2),
        evidence: Evidence::Rates(rates),
        examples: Vec::new(),
    };
    let opening = Finding::opening(&finding);
    let refreshed = Refreshed { finding, data_source: DataSourceId::new("KBGRADED01", "DSGRADED01") };
    let subject = refreshed.data_source.subject();
    let ended = Event {
        id: Id::of("outcome.refresh", &[topic]),
        subject,
        causes: vec![opening.clone()],
        at: hours_ago(ACTED),
        body: Body::RefreshEnded(refreshed),
    };
    let subject = opened.subject();
    (Event { id: opening, subject, causes: Vec::new(), at: opened.opened_at, body: Body::FindingOpened(opened) }, ended)
}

impl Site {
    async fn review(&self) {
        self.send("OutcomesQueueUrl", r#"{"trigger":"review"}"#.to_owned()).await;
    }
}

#[tokio::test]
async fn an_action_is_graded_by_the_rate_that_triggered_it_and_people_are_told() {
    if deployed::tools_are_missing() {
        return;
    }
    let folder = std::env::temp_dir().join(format!("flywheel-graded-{}", std::process::id()));
    let aws = LocalAws::start(Config::new(&folder)).await.unwrap();
    aws.create_what_is_named(&Policy::parse(POLICY).unwrap()).await.unwrap();
    let outputs = aws.deploy(STACK, POLICY, &mut |_| {}).await.unwrap().outputs;
    let site = Site { stack: STACK, aws, outputs };
    let now = Timestamp::now();
    let memory = FindingTable::new(site.aws.config(), site.outputs["SignalsTable"].clone());
    let bus = EventBridgeBus::new(site.aws.config(), site.outputs["Bus"].clone());
    for (topic, since_action) in [("launch", 10), ("prices", 35)] {
        let series = Series { metric: Metric::FailedResponses, key: key(topic) };
        memory.save_history(&series, &history(since_action, now)).await.unwrap();
        let (opened, ended) = told(topic, now);
        bus.publish(&[opened]).await.unwrap();
        bus.publish(&[ended]).await.unwrap();
    }
    let graded = async || {
        let events = site.events().await;
        let outcomes =
            events.into_iter().filter_map(|event| if let Body::ActionGraded(outcome) = event.body { Some(outcome) } else { None });
        outcomes.map(|outcome| (outcome.scope.to_string(), *outcome)).collect::<BTreeMap<_, _>>()
    };
    deployed::within(Duration::from_secs(90), "both verdicts", || async {
        site.review().await;
        graded().await.len() == 2
    })
    .await;
    let outcomes = graded().await;
    assert_eq!(outcomes["launch"].verdict, ActionVerdict::Improved, "{}", outcomes["launch"].explanation);
    assert_eq!(outcomes["prices"].verdict, ActionVerdict::Worse, "{}", outcomes["prices"].explanation);

    // What cannot be taken back is left to a person, and not done again for a while.
    let is_escalated = async || site.events().await.iter().any(|event| matches!(event.body, Body::Escalated(_)));
    deployed::within(Duration::from_secs(30), "the escalation", is_escalated).await;
    let subject = Scope::Key(key("prices")).subject(Metric::FailedResponses);
    assert!(memory.cooling_until(flywheel_model::ActionKind::Refresh, &subject).await.unwrap().is_some_and(|until| until > now));
    assert_eq!(memory.cooling_until(flywheel_model::ActionKind::Refresh, &outcomes["launch"].subject()).await.unwrap(), None);

    // The tool tells the story, the day and the state of things.
    let story = site.tells(&["explain", &subject]);
    assert!(story.contains("Worse: since synchronising the knowledge bases") && story.contains("A person has to look"), "{story}");
    let day = |hours| (now - SignedDuration::from_hours(hours)).strftime("%Y-%m-%d").to_string();
    site.tells(&["audit", "--from", &day(72), "--to", &day(0), "--output", folder.to_str().unwrap()]);
    let documents = fs::read_dir(&folder).unwrap().filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok());
    assert!(documents.filter(|text| text.contains("A person has to look")).count() >= 1, "the audit names what was left to a person");
    let page = folder.join("report.html");
    site.tells(&["report", "--hours", "48", "--output", page.to_str().unwrap()]);
    assert!(fs::read_to_string(&page).unwrap().contains("A person has to look"));
    let status: Value = site.tool(&["status"]);
    assert_eq!(status["stopped"], Value::Null, "{status}");
    assert!(site.tells(&["policy", "show"]).contains("KBGRADED01"));
    deployed::assert_no_dead_letters(&site.aws, STACK, &["outcomes", "findings", "ledger"]).await;
    site.aws.stop();
    fs::remove_dir_all(&folder).unwrap();
}
