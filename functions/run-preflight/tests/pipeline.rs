//! Jobs of a pipeline, against a memory whose account lacks what it is told to.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::cell::RefCell;

use flywheel_engine::preflight::Answer;
use flywheel_model::{Event, Need};
use flywheel_policy::WhenUnable;
use flywheel_ports::{Bus, Checks, JobFailure, Jobs, Surroundings, Unavailable};
use jiff::Timestamp;
use run_preflight::{Asked, Job, Request, World};
use serde_json::{Value, json};

const FILE: &str = "version = 1\n[[check]]\nid = \"key\"\nwhat = \"parameter\"\nparameter = \"/shop/key\"\nservices = [\"shop\"]\n";

struct Memory {
    file: Result<Option<String>, String>,
    answer: Answer,
    told: RefCell<Vec<Event>>,
    answered: RefCell<Vec<(String, Option<JobFailure>, String)>>,
}

impl Memory {
    fn new(file: &str, answer: Answer) -> Self {
        Self { file: Ok(Some(file.to_owned())), answer, told: RefCell::default(), answered: RefCell::default() }
    }
}

impl Checks for &Memory {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    async fn read(&self) -> Result<Option<(String, String)>, Unavailable> {
        match &self.file {
            Ok(file) => Ok(file.clone().map(|text| (text.clone(), text))),
            Err(why) => Err(Unavailable { what: "read the checks file", why: why.clone() }),
        }
    }

    async fn write(&self, _: &str, _: Option<&str>) -> Result<Option<String>, Unavailable> {
        panic!("a check writes nothing")
    }
}

impl Surroundings for &Memory {
    async fn look(&self, needs: &[Need]) -> Vec<Answer> {
        needs.iter().map(|_| self.answer.clone()).collect()
    }
}

impl Bus for &Memory {
    async fn publish(&self, events: &[Event]) -> Result<(), Unavailable> {
        self.told.borrow_mut().extend(events.iter().cloned());
        Ok(())
    }
}

impl Jobs for &Memory {
    async fn succeed(&self, job: &str, summary: &str) -> Result<(), Unavailable> {
        self.answered.borrow_mut().push((job.to_owned(), None, summary.to_owned()));
        Ok(())
    }

    async fn fail(&self, job: &str, failure: JobFailure, message: &str) -> Result<(), Unavailable> {
        self.answered.borrow_mut().push((job.to_owned(), Some(failure), message.to_owned()));
        Ok(())
    }
}

/// An event as CodePipeline invokes a function with: the example's, with these parameters in their place.
fn job_event(user_parameters: Option<&str>) -> Value {
    let mut event: Value = serde_json::from_str(include_str!("../../../events/preflight/codepipeline-job.json")).unwrap();
    let configuration = &mut event["CodePipeline.job"]["data"]["actionConfiguration"]["configuration"];
    configuration["UserParameters"] = user_parameters.map_or(Value::Null, Value::from);
    event
}

fn job(user_parameters: Option<&str>) -> Job {
    match Asked::read(job_event(user_parameters)) {
        Ok(Asked::Job(job)) => job,
        other => panic!("{other:?}"),
    }
}

/// How a job of the service is answered.
async fn answered(memory: &Memory, job: &Job, policy: Result<WhenUnable, String>) -> (Option<JobFailure>, String) {
    let world = World { checks: memory, account: memory, bus: memory, jobs: memory };
    world.answer(job, policy, Timestamp::UNIX_EPOCH).await.unwrap();
    let answered = memory.answered.borrow();
    let [(id, failure, message)] = answered.as_slice() else { panic!("one answer: {answered:?}") };
    assert_eq!(*id, job.id);
    (*failure, message.clone())
}

#[tokio::test]
async fn a_job_is_answered_with_what_the_checks_say() {
    let shop = job(Some(r#"{"service": "shop"}"#));
    for (answer, when_unable, failure, says) in [
        (Answer::Met, WhenUnable::Warn, None, "1 checks passed, 0 could not be made"),
        (Answer::Missing, WhenUnable::Warn, Some(JobFailure::Checks), "there is no parameter /shop/key. To mend it: aws ssm put-parameter"),
        (
            Answer::Unable("throttled".to_owned()),
            WhenUnable::Warn,
            None,
            "0 checks passed, 1 could not be made\ncould not be checked: throttled",
        ),
        (Answer::Unable("throttled".to_owned()), WhenUnable::Stop, Some(JobFailure::Checks), "could not be checked: throttled"),
    ] {
        let memory = Memory::new(FILE, answer);
        let (found, message) = answered(&memory, &shop, Ok(when_unable)).await;
        assert_eq!(found, failure, "{message}");
        assert!(message.starts_with(says), "{message}");
        assert_eq!(memory.told.borrow().len(), 1, "the bus is told");
    }
    let other = job(Some(r#"{"service": "blog"}"#));
    assert_eq!(answered(&Memory::new(FILE, Answer::Missing), &other, Ok(WhenUnable::Stop)).await.0, None, "another service has no check");
}

#[tokio::test]
async fn what_keeps_the_checks_from_being_made_fails_the_job_rather_than_leaving_it_to_time_out() {
    let shop = job(Some(r#"{"service": "shop"}"#));
    let unread = Memory { file: Err("throttled".to_owned()), ..Memory::new(FILE, Answer::Met) };
    for (memory, policy, says) in [
        (unread, Ok(WhenUnable::Warn), "throttled"),
        (Memory::new("version = 9", Answer::Met), Ok(WhenUnable::Warn), "version: 9 is not known"),
        (Memory::new(FILE, Answer::Met), Err("no policy".to_owned()), "no policy"),
    ] {
        let (failure, message) = answered(&memory, &shop, policy).await;
        assert_eq!(failure, Some(JobFailure::Unavailable));
        assert!(message.starts_with("the checks could not be made: ") && message.contains(says), "{message}");
    }
}

#[tokio::test]
async fn bad_user_parameters_fail_the_job_with_the_field_that_is_wrong() {
    for (parameters, says) in [
        (None, "UserParameters is missing; write {\"service\": \"shop\"}"),
        (Some("  "), "UserParameters is missing"),
        (Some("shop"), "UserParameters is not JSON"),
        (Some("[]"), "UserParameters: invalid"),
        (Some("{}"), "UserParameters: missing field `service`"),
        (Some(r#"{"service": 7}"#), "UserParameters.service: invalid type"),
        (Some(r#"{"service": " "}"#), "UserParameters.service: \" \" is no name of a service"),
    ] {
        let memory = Memory::new(FILE, Answer::Met);
        let (failure, message) = answered(&memory, &job(parameters), Ok(WhenUnable::Warn)).await;
        assert_eq!(failure, Some(JobFailure::Configuration), "{parameters:?}");
        assert!(message.starts_with(says), "{message}");
        assert!(memory.told.borrow().is_empty());
    }
}

#[test]
fn the_examples_job_names_its_service() {
    let event = serde_json::from_str(include_str!("../../../events/preflight/codepipeline-job.json")).unwrap();
    let Asked::Job(job) = Asked::read(event).unwrap() else { panic!("it is a job") };
    assert_eq!(job.request, Ok(Request { service: "shop".to_owned() }));
}

#[test]
fn a_call_names_its_service_and_may_carry_more() {
    let call = serde_json::from_str(include_str!("../../../events/preflight/call.json")).unwrap();
    assert_eq!(Asked::read(call).unwrap(), Asked::Call(Request { service: "shop".to_owned() }));
    assert_eq!(Asked::read(json!({})).unwrap_err(), "the input: missing field `service`; write {\"service\": \"shop\"}");
    assert_eq!(Asked::read(json!({ "CodePipeline.job": {} })).unwrap_err(), "CodePipeline.job.id is missing");
}
