use flywheel_bedrock::core::{Limit, Operation, Outcome};

use super::*;

#[test]
fn a_start_every_ten_seconds_is_within_the_rate_and_one_before_is_not() {
    let mut account = account();
    for number in 0..20 {
        start(&mut account, 10.0 * f64::from(number), &[]).unwrap();
    }
    assert_eq!(code(start(&mut account, 199.999, &[])), ErrorCode::Throttling);
    start(&mut account, 200.0, &[]).unwrap();
    assert_eq!(account.violations().len(), 1);
    assert_eq!(account.violations()[0].limit, Limit::Rate);
}

#[test]
fn starts_are_counted_account_wide() {
    let mut account = account_of(&[(KB, DS), ("KBBBBBBBBB", "DSBBBBBBBB")]);
    start(&mut account, 0.0, &[]).unwrap();
    let other = account.start_ingestion_job(at(5.0), request("KBBBBBBBBB", "DSBBBBBBBB", None), || Ok(Vec::new()));
    assert_eq!(code(other), ErrorCode::Throttling);
}

#[test]
fn a_refused_start_uses_up_its_place() {
    let mut account = account();
    account.start_ingestion_job(at(0.0), request(KB, DS, None), || Ok(vec![Object::new("a.txt", 10, "1"); 1])).unwrap();
    assert_eq!(
        code(account.start_ingestion_job(at(10.0), request("KBZZZZZZZZ", DS, None), || Ok(Vec::new()))),
        ErrorCode::ResourceNotFound
    );
    assert_eq!(code(start(&mut account, 15.0, &[])), ErrorCode::Throttling);
    start(&mut account, 20.0, &[]).unwrap();
}

#[test]
fn a_throttled_call_does_not_put_off_the_next() {
    let mut account = account();
    start(&mut account, 0.0, &[]).unwrap();
    for tenth in 1..100 {
        assert_eq!(code(start(&mut account, f64::from(tenth) / 10.0, &[])), ErrorCode::Throttling);
    }
    start(&mut account, 10.0, &[]).unwrap();
}

#[test]
fn direct_requests_come_five_a_second_for_each_kind() {
    let mut account = account();
    let mut ingest =
        |seconds: f64| account.ingest_documents(at(seconds), KB, DS, None, vec![document("a.txt", "1")]).err().and_then(|it| it.code());
    let burst: Vec<_> = (0..6).map(|_| ingest(0.0)).collect();
    assert_eq!(burst, [None, None, None, None, None, Some(ErrorCode::Throttling)]);
    assert_eq!(ingest(0.2), None);
    assert_eq!(ingest(0.3), Some(ErrorCode::Throttling));
    account.delete_documents(at(0.3), KB, DS, None, vec![location("a.txt")]).unwrap();
}

#[test]
fn polling_is_limited_too() {
    let mut account = account();
    let job = start(&mut account, 0.0, &[]).unwrap();
    let polls = (0..12).filter(|_| account.get_ingestion_job(at(0.0), KB, DS, &job.id).is_ok()).count();
    let reads = (0..12).filter(|_| account.get_documents(at(0.0), KB, DS, &[location("a.txt")]).is_ok()).count();
    assert_eq!((polls, reads), (10, 5));
}

#[test]
fn a_rate_of_zero_is_no_limit() {
    let quotas = Quotas { get_job_per_second: 0.0, ..Quotas::default() };
    let mut account = account_with(quotas, &[(KB, DS)]);
    let job = start(&mut account, 0.0, &[]).unwrap();
    assert!((0..1000).all(|_| account.get_ingestion_job(at(0.0), KB, DS, &job.id).is_ok()));
}

#[test]
fn every_call_is_on_record() {
    let mut account = account();
    start(&mut account, 0.0, &[]).unwrap();
    let _ = start(&mut account, 1.0, &[]);
    let _ = account.get_knowledge_base(at(2.0), "KBZZZZZZZZ");
    let calls: Vec<_> = account.calls().iter().map(|it| (it.at, it.operation, it.outcome.clone())).collect();
    assert_eq!(
        calls,
        [
            (at(0.0), Operation::StartIngestionJob, Outcome::Answered),
            (at(1.0), Operation::StartIngestionJob, Outcome::Refused(ErrorCode::Throttling)),
            (at(2.0), Operation::GetKnowledgeBase, Outcome::Refused(ErrorCode::ResourceNotFound)),
        ]
    );
    assert_eq!(account.violations().len(), 1, "asking for what does not exist exceeds no quota");
}
