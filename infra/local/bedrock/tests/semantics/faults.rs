use flywheel_bedrock::core::{Effect, Fault, JobStatus, Operation, Outcome};

use super::*;

#[test]
fn a_call_is_refused_as_often_as_was_asked() {
    let mut account = account();
    account.inject(Fault::refuse(Operation::GetKnowledgeBase, ErrorCode::InternalServer).times(2));
    assert_eq!(code(account.get_knowledge_base(at(0.0), KB)), ErrorCode::InternalServer);
    account.get_data_source(at(0.0), KB, DS).unwrap();
    assert_eq!(code(account.get_knowledge_base(at(0.0), KB)), ErrorCode::InternalServer);
    account.get_knowledge_base(at(0.0), KB).unwrap();
    assert!(account.faults().is_empty());
    assert!(account.violations().is_empty(), "a refusal on command is nobody's fault");
}

#[test]
fn a_lost_answer_leaves_the_job_that_its_token_finds_again() {
    let mut account = account();
    account.inject(Fault::lose_answer(Operation::StartIngestionJob));
    let request = request(KB, DS, Some(token(1)));
    let lost = account.start_ingestion_job(at(0.0), request.clone(), || Ok(Vec::new()));
    assert_eq!(lost.unwrap_err(), CallError::ConnectionLost);
    assert_eq!(account.calls()[0].outcome, Outcome::PerformedWithoutAnswer);
    let id = account.running_jobs().next().unwrap().id.clone();
    assert_eq!(account.start_ingestion_job(at(10.0), request, || Ok(Vec::new())).unwrap().id, id);
}

#[test]
fn a_lost_request_does_nothing_and_costs_nothing() {
    let mut account = account();
    account.inject(Fault::lose_request(Operation::StartIngestionJob));
    assert_eq!(start(&mut account, 0.0, &[]).unwrap_err(), CallError::ConnectionLost);
    assert_eq!(account.jobs().count(), 0);
    start(&mut account, 0.0, &[]).unwrap();
}

#[test]
fn an_error_can_follow_the_effect() {
    let mut account = account();
    let effect = Effect::PerformThenRefuse { error: ErrorCode::InternalServer, message: None };
    account.inject(Fault::once(effect).on(Operation::StartIngestionJob));
    assert_eq!(code(start(&mut account, 0.0, &[])), ErrorCode::InternalServer);
    assert_eq!(account.running_jobs().count(), 1);
}

#[test]
fn faults_keep_their_order_and_their_place() {
    let mut account = account_of(&[(KB, DS), (KB, "DSBBBBBBBB")]);
    account.inject(Fault::refuse(Operation::GetDataSource, ErrorCode::AccessDenied).on_data_source("DSBBBBBBBB"));
    account.inject(Fault::refuse(Operation::GetDataSource, ErrorCode::InternalServer));
    account.inject(Fault::lose_request(Operation::GetDataSource));
    assert_eq!(code(account.get_data_source(at(0.0), KB, DS)), ErrorCode::InternalServer);
    assert_eq!(code(account.get_data_source(at(0.0), KB, "DSBBBBBBBB")), ErrorCode::AccessDenied);
    assert_eq!(account.get_data_source(at(0.0), KB, DS).unwrap_err(), CallError::ConnectionLost);
    account.get_data_source(at(0.0), KB, DS).unwrap();
}

#[test]
fn a_throttled_call_leaves_the_fault_for_the_next() {
    let mut account = account();
    start(&mut account, 0.0, &[]).unwrap();
    account.inject(Fault::refuse(Operation::StartIngestionJob, ErrorCode::AccessDenied));
    assert_eq!(code(start(&mut account, 1.0, &[])), ErrorCode::Throttling);
    assert_eq!(code(start(&mut account, 10.0, &[])), ErrorCode::AccessDenied);
}

#[test]
fn documents_fail_by_their_keys_in_jobs_and_directly() {
    let mut account = account();
    account.inject(Fault::fail_document("*.txt", "A bad day.").times(2));
    let done = run(&mut account, 0.0, objects(&[("a.md", "1"), ("b.txt", "1")]));
    assert_eq!(done.statistics.number_of_documents_failed, 1);
    assert!(done.failure_reasons[0].contains("A bad day.") && done.failure_reasons[0].contains("b.txt"));
    for (seconds, reason) in [(10.0, Some("A bad day.")), (20.0, None)] {
        account.ingest_documents(at(seconds), KB, DS, None, vec![document("b.txt", "1")]).unwrap();
        let details = account.get_documents(at(seconds + 3.0), KB, DS, &[location("b.txt")]).unwrap();
        assert_eq!(details[0].status_reason.as_deref(), reason);
    }
}

#[test]
fn a_job_can_fail_halfway() {
    let mut account = account();
    account.inject(Fault::once(Effect::FailJob { reason: "The store is gone.".into(), after_documents: 1 }));
    let failed = run(&mut account, 0.0, objects(&[("a.txt", "1"), ("b.txt", "1")]));
    assert_eq!((failed.status, failed.failure_reasons), (JobStatus::Failed, vec!["The store is gone.".to_owned()]));
    assert_eq!(failed.statistics.number_of_new_documents_indexed, 1);
    let healed = run(&mut account, 20.0, objects(&[("a.txt", "1"), ("b.txt", "1")]));
    assert_eq!(healed.statistics.number_of_new_documents_indexed, 1);
}

#[test]
fn a_job_can_be_slow() {
    let mut account = account();
    account.inject(Fault::once(Effect::SlowJob { by: SignedDuration::from_mins(10) }));
    start(&mut account, 0.0, &[]).unwrap();
    assert_eq!(account.next_end(), Some(at(605.0)));
}

#[test]
fn an_answer_can_be_late() {
    let mut account = account();
    let by = SignedDuration::from_secs(40);
    account.inject(Fault::once(Effect::Delay { by }).on(Operation::GetKnowledgeBase));
    account.get_data_source(at(0.0), KB, DS).unwrap();
    assert!(account.take_delay().is_zero());
    account.get_knowledge_base(at(0.0), KB).unwrap();
    assert_eq!(account.take_delay(), by);
    assert!(account.take_delay().is_zero());
}
