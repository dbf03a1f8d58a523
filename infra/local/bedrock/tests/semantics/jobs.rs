use flywheel_bedrock::core::{DataSourceKind, DocumentStatus, JobStatus, Limit, NewDataSource, Object, Statistics};

use super::*;

#[test]
fn a_job_takes_time_and_moves_through_its_states() {
    let mut account = account();
    let job = start(&mut account, 0.0, &[("a.txt", "1"), ("b.txt", "1")]).unwrap();
    assert_eq!((job.status, job.started_at), (JobStatus::Starting, at(0.0)));
    let mut status = |seconds| {
        let job = account.get_ingestion_job(at(seconds), KB, DS, &job.id).unwrap();
        (job.status, job.statistics.number_of_new_documents_indexed)
    };
    assert_eq!(status(0.9), (JobStatus::Starting, 0));
    assert_eq!(status(1.0), (JobStatus::InProgress, 0));
    assert_eq!(status(5.02), (JobStatus::InProgress, 1));
    assert_eq!(status(5.04), (JobStatus::Complete, 2));
}

#[test]
fn the_answers_do_not_depend_on_how_often_one_asks() {
    let watch = |step: f64| {
        let mut account = account();
        start(&mut account, 0.0, &[("a.txt", "1"), ("b.jpg", "1"), ("c.txt", "1")]).unwrap();
        let mut seconds = 0.0;
        while seconds < 10.0 {
            account.advance(at(seconds));
            seconds += step;
        }
        let documents: Vec<_> = account.documents(KB, DS).map(|(key, it)| (key.to_owned(), it.clone())).collect();
        (account.jobs().cloned().collect::<Vec<_>>(), documents, account.drain_index_changes())
    };
    assert_eq!(watch(0.01), watch(9.0));
}

#[test]
fn time_never_runs_backwards() {
    let mut account = account();
    let job = start(&mut account, 10.0, &[]).unwrap();
    let seen = account.get_ingestion_job(at(1.0), KB, DS, &job.id).unwrap();
    assert_eq!(seen.started_at, at(10.0));
    assert_eq!(account.calls().last().unwrap().at, at(10.0));
}

#[test]
fn only_what_changed_is_indexed_and_what_is_gone_is_deleted() {
    let mut account = account();
    let first = run(&mut account, 0.0, objects(&[("a.txt", "1"), ("b.txt", "1"), ("c.txt", "1")]));
    assert_eq!(
        first.statistics,
        Statistics { number_of_documents_scanned: 3, number_of_new_documents_indexed: 3, ..Statistics::default() }
    );
    let second = run(&mut account, 20.0, objects(&[("a.txt", "1"), ("b.txt", "2"), ("d.txt", "1")]));
    assert_eq!(
        second.statistics,
        Statistics {
            number_of_documents_scanned: 3,
            number_of_new_documents_indexed: 1,
            number_of_modified_documents_indexed: 1,
            number_of_documents_deleted: 1,
            ..Statistics::default()
        }
    );
    let documents: Vec<_> = account.documents(KB, DS).map(|(key, it)| (key, it.indexed_etag.clone().unwrap())).collect();
    assert_eq!(documents, [("a.txt", "1".into()), ("b.txt", "2".into()), ("d.txt", "1".into())]);
}

#[test]
fn the_job_works_on_the_listing_of_its_start() {
    let mut account = account();
    let mut listed = 0;
    let job = account
        .start_ingestion_job(at(0.0), request(KB, DS, None), || {
            listed += 1;
            Ok(objects(&[("a.txt", "1")]))
        })
        .unwrap();
    let done = account.get_ingestion_job(at(9.0), KB, DS, &job.id).unwrap();
    assert_eq!((listed, done.statistics.number_of_new_documents_indexed), (1, 1));
}

#[test]
fn a_refused_start_does_not_list_the_bucket() {
    let mut account = account();
    start(&mut account, 0.0, &[]).unwrap();
    let refused = account.start_ingestion_job(at(1.0), request(KB, DS, None), || panic!("listed"));
    assert_eq!(code(refused), ErrorCode::Throttling);
}

#[test]
fn complete_with_failed_documents_says_which_and_why() {
    let mut account = account();
    let done = run(
        &mut account,
        0.0,
        vec![
            Object::new("empty.txt", 0, "1"),
            Object::new("fine.txt", 10, "1"),
            Object::new("huge.pdf", 50 * 1024 * 1024 + 1, "1"),
            Object::new("just right.pdf", 50 * 1024 * 1024, "1"),
            Object::new("photo.heic", 10, "1"),
            Object::new("no-extension", 10, "1"),
        ],
    );
    assert_eq!(done.status, JobStatus::Complete);
    assert_eq!((done.statistics.number_of_documents_failed, done.statistics.number_of_new_documents_indexed), (4, 2));
    let status = |key: &str| account.documents(KB, DS).find(|(known, _)| *known == key).unwrap().1.status;
    assert_eq!(status("empty.txt"), DocumentStatus::Failed);
    assert_eq!(status("huge.pdf"), DocumentStatus::Failed);
    assert_eq!(status("photo.heic"), DocumentStatus::Ignored);
    let reasons = done.failure_reasons.join("\n");
    assert!(reasons.contains("Ignored 2 files: The file format is not supported."), "{reasons}");
    assert!(reasons.contains("s3://documents/empty.txt") && reasons.contains("50 MB"), "{reasons}");
}

#[test]
fn a_failure_reason_keeps_to_the_length_that_the_api_allows() {
    let mut account = account();
    let many = (0..500).map(|number| Object::new(format!("pictures/{number:040}.heic"), 1, "1")).collect();
    let done = run(&mut account, 0.0, many);
    assert_eq!(done.failure_reasons.len(), 1);
    assert!(done.failure_reasons[0].chars().count() <= 2048);
    assert!(done.failure_reasons[0].contains("Ignored 500 files"));
}

#[test]
fn what_failed_is_tried_again_by_the_next_job() {
    let mut account = account();
    account.inject(flywheel_bedrock::core::Fault::fail_document("a.txt", "A bad day."));
    assert_eq!(run(&mut account, 0.0, objects(&[("a.txt", "1")])).statistics.number_of_documents_failed, 1);
    let again = run(&mut account, 20.0, objects(&[("a.txt", "1")]));
    assert_eq!(again.statistics.number_of_new_documents_indexed, 1);
    assert!(again.failure_reasons.is_empty());
}

#[test]
fn sidecars_are_metadata_and_folders_are_nothing() {
    let mut account = account();
    let listing = [("a.txt", "1"), ("a.txt.metadata.json", "1"), ("folder/", "0")];
    let first = run(&mut account, 0.0, objects(&listing)).statistics;
    assert_eq!((first.number_of_documents_scanned, first.number_of_metadata_documents_scanned), (1, 1));
    assert_eq!(first.number_of_metadata_documents_modified, 1);
    let second = run(&mut account, 20.0, objects(&listing)).statistics;
    assert_eq!(second.number_of_metadata_documents_modified, 0);
    let third = run(&mut account, 40.0, objects(&listing[..1])).statistics;
    assert_eq!((third.number_of_metadata_documents_scanned, third.number_of_metadata_documents_modified), (0, 1));
    assert_eq!(third.number_of_documents_deleted, 0);
}

#[test]
fn a_data_source_sees_only_its_prefixes() {
    let mut account = account();
    let kind = DataSourceKind::prefix(BUCKET, "manuals/");
    let new = NewDataSource { id: None, knowledge_base: KB.into(), name: "manuals".into(), kind };
    let ds = account.create_data_source(at(0.0), new).unwrap().id;
    let listing = objects(&[("manuals/a.txt", "1"), ("minutes/b.txt", "1")]);
    let job = account.start_ingestion_job(at(0.0), request(KB, &ds, None), || Ok(listing)).unwrap();
    let done = account.get_ingestion_job(at(60.0), KB, &ds, &job.id).unwrap();
    assert_eq!(done.statistics.number_of_documents_scanned, 1);
    assert_eq!(account.documents(KB, &ds).map(|(key, _)| key).collect::<Vec<_>>(), ["manuals/a.txt"]);
}

#[test]
fn refuses_a_second_job_of_the_same_data_source() {
    let mut account = account();
    account.start_ingestion_job(at(0.0), request(KB, DS, None), || Ok(many(1000))).unwrap();
    assert_eq!(code(start(&mut account, 10.0, &[])), ErrorCode::Conflict);
    let violation = account.violations().last().unwrap();
    assert_eq!((violation.limit, violation.data_source.as_str()), (Limit::JobOnDataSource, DS));
}

#[test]
fn refuses_a_second_job_of_the_same_knowledge_base() {
    let mut account = account_of(&[(KB, DS), (KB, "DSBBBBBBBB")]);
    account.start_ingestion_job(at(0.0), request(KB, DS, None), || Ok(many(1000))).unwrap();
    let refused = account.start_ingestion_job(at(10.0), request(KB, "DSBBBBBBBB", None), || Ok(Vec::new()));
    assert_eq!(code(refused), ErrorCode::Conflict);
    assert_eq!(account.violations().last().unwrap().limit, Limit::JobInKnowledgeBase);
    // After it, the other has its turn.
    account.start_ingestion_job(at(30.0), request(KB, "DSBBBBBBBB", None), || Ok(Vec::new())).unwrap();
}

#[test]
fn refuses_a_sixth_job_of_the_account() {
    let sources: Vec<(String, String)> = (0..6).map(|number| (format!("KB{number:08}"), format!("DS{number:08}"))).collect();
    let names: Vec<(&str, &str)> = sources.iter().map(|(kb, ds)| (kb.as_str(), ds.as_str())).collect();
    let mut account = account_of(&names);
    for (number, (kb, ds)) in names.iter().enumerate() {
        let seconds = 10.0 * number as f64;
        let result = account.start_ingestion_job(at(seconds), request(kb, ds, None), || Ok(many(10_000)));
        assert_eq!(result.err().and_then(|it| it.code()), (number == 5).then_some(ErrorCode::ServiceQuotaExceeded));
    }
    assert_eq!(account.running_jobs().count(), 5);
    assert_eq!(account.violations().last().unwrap().limit, Limit::JobsInAccount);
}

#[test]
fn same_token_gives_the_same_job() {
    let mut account = account();
    let mut start = |seconds: f64| account.start_ingestion_job(at(seconds), request(KB, DS, Some(token(1))), || Ok(Vec::new())).unwrap();
    let first = start(0.0);
    let running = start(10.0);
    let ended = start(20.0);
    assert_eq!((&running.id, &ended.id), (&first.id, &first.id));
    assert_eq!(ended.status, JobStatus::Complete);
    assert_eq!(account.jobs().count(), 1);
    assert!(account.violations().is_empty());
}

#[test]
fn same_token_with_other_parameters_is_refused() {
    let mut account = account_of(&[(KB, DS), (KB, "DSBBBBBBBB")]);
    account.start_ingestion_job(at(0.0), request(KB, DS, Some(token(1))), || Ok(Vec::new())).unwrap();
    let other = account.start_ingestion_job(at(10.0), request(KB, "DSBBBBBBBB", Some(token(1))), || Ok(Vec::new()));
    assert_eq!(code(other), ErrorCode::Validation);
    let mut described = request(KB, DS, Some(token(1)));
    described.description = Some("another".into());
    assert_eq!(code(account.start_ingestion_job(at(20.0), described, || Ok(Vec::new()))), ErrorCode::Validation);
    assert_eq!(account.jobs().count(), 1);
}

#[test]
fn a_token_of_a_refused_start_is_free() {
    let mut account = account_of(&[(KB, DS), (KB, "DSBBBBBBBB")]);
    account.start_ingestion_job(at(0.0), request(KB, DS, None), || Ok(many(1000))).unwrap();
    let again = request(KB, "DSBBBBBBBB", Some(token(1)));
    assert_eq!(code(account.start_ingestion_job(at(10.0), again.clone(), || Ok(Vec::new()))), ErrorCode::Conflict);
    account.start_ingestion_job(at(40.0), again, || Ok(Vec::new())).unwrap();
}

#[test]
fn a_forgotten_token_starts_another_job() {
    let lifetime = Some(SignedDuration::from_mins(5));
    let mut account = account_with(Quotas { client_token_lifetime: lifetime, ..Quotas::default() }, &[(KB, DS)]);
    let mut start = |seconds: f64| account.start_ingestion_job(at(seconds), request(KB, DS, Some(token(1))), || Ok(Vec::new())).unwrap().id;
    let (first, remembered, forgotten) = (start(0.0), start(299.0), start(310.0));
    assert_eq!(first, remembered);
    assert_ne!(first, forgotten);
}

#[test]
fn malformed_parameters_are_refused() {
    let mut account = account();
    let mut refusal = |kb: &str, ds: &str, client_token: &str| {
        let now = account.calls().len() as f64 * 10.0;
        code(account.start_ingestion_job(at(now), request(kb, ds, Some(client_token.into())), || Ok(Vec::new())))
    };
    let good = token(1);
    for bad in ["", &"a".repeat(32), &"a".repeat(257), &format!("-{good}"), &format!("{good}-"), &format!("{good}_x")] {
        assert_eq!(refusal(KB, DS, bad), ErrorCode::Validation, "{bad}");
    }
    assert_eq!(refusal("KB", DS, &good), ErrorCode::Validation);
    assert_eq!(refusal(KB, "DS-AAAAAAA", &good), ErrorCode::Validation);
    assert_eq!(refusal("KBZZZZZZZZ", DS, &good), ErrorCode::ResourceNotFound);
    assert_eq!(refusal(KB, "DSZZZZZZZZ", &good), ErrorCode::ResourceNotFound);
    let long = StartIngestionJob { description: Some("x".repeat(201)), ..request(KB, DS, None) };
    assert_eq!(code(account.start_ingestion_job(at(999.0), long, || Ok(Vec::new()))), ErrorCode::Validation);
}

#[test]
fn a_data_source_belongs_to_one_knowledge_base() {
    let mut account = account_of(&[(KB, DS), ("KBBBBBBBBB", "DSBBBBBBBB")]);
    assert_eq!(code(account.get_data_source(at(0.0), KB, "DSBBBBBBBB")), ErrorCode::ResourceNotFound);
}

#[test]
fn a_stopped_job_keeps_what_it_did_and_its_place_until_it_is_stopped() {
    let mut account = account();
    let job = account.start_ingestion_job(at(0.0), request(KB, DS, None), || Ok(many(1000))).unwrap();
    assert_eq!(account.stop_ingestion_job(at(15.0), KB, DS, &job.id).unwrap().status, JobStatus::Stopping);
    assert_eq!(code(start(&mut account, 15.5, &[])), ErrorCode::Conflict);
    let stopped = account.get_ingestion_job(at(16.0), KB, DS, &job.id).unwrap();
    assert_eq!((stopped.status, stopped.statistics.number_of_new_documents_indexed), (JobStatus::Stopped, 500));
    assert_eq!(code(account.stop_ingestion_job(at(17.0), KB, DS, &job.id)), ErrorCode::Conflict);
    let rest = account.start_ingestion_job(at(30.0), request(KB, DS, None), || Ok(many(1000))).unwrap();
    let rest = account.get_ingestion_job(at(60.0), KB, DS, &rest.id).unwrap();
    assert_eq!(rest.statistics.number_of_new_documents_indexed, 500);
}

#[test]
fn a_bucket_that_cannot_be_listed_fails_the_job_and_not_the_start() {
    let mut account = account();
    let denied = || Err("Access Denied".to_owned());
    let job = account.start_ingestion_job(at(0.0), request(KB, DS, None), denied).unwrap();
    let failed = account.get_ingestion_job(at(6.0), KB, DS, &job.id).unwrap();
    assert_eq!(failed.status, JobStatus::Failed);
    assert!(failed.failure_reasons[0].contains("Access Denied"));
}

#[test]
fn a_data_source_of_another_type_exists_and_its_jobs_fail() {
    let mut account = account();
    let kind = DataSourceKind::Other { name: "WEB".into() };
    let new = NewDataSource { id: None, knowledge_base: KB.into(), name: "site".into(), kind };
    let ds = account.create_data_source(at(0.0), new).unwrap().id;
    assert_eq!(account.get_data_source(at(0.0), KB, &ds).unwrap().kind.type_name(), "WEB");
    let job = account.start_ingestion_job(at(0.0), request(KB, &ds, None), || Ok(Vec::new())).unwrap();
    let failed = account.get_ingestion_job(at(6.0), KB, &ds, &job.id).unwrap();
    assert_eq!(failed.status, JobStatus::Failed);
    assert!(failed.failure_reasons[0].contains("WEB"));
}

#[test]
fn jobs_are_listed_in_pages_with_the_latest_first() {
    let mut account = account();
    let ids: Vec<String> = (0..5).map(|n| run(&mut account, 20.0 * f64::from(n), Vec::new()).id).collect();
    let mut seen = Vec::new();
    let mut next = None;
    loop {
        let page = account.list_ingestion_jobs(at(200.0), KB, DS, Some(2), next.as_deref()).unwrap();
        seen.extend(page.jobs.into_iter().map(|job| job.id));
        next = page.next_token;
        if next.is_none() {
            break;
        }
    }
    seen.reverse();
    assert_eq!(seen, ids);
    assert_eq!(code(account.list_ingestion_jobs(at(200.0), KB, DS, Some(0), None)), ErrorCode::Validation);
}

#[test]
fn a_job_of_another_data_source_is_not_found() {
    let mut account = account_of(&[(KB, DS), (KB, "DSBBBBBBBB")]);
    let job = run(&mut account, 0.0, Vec::new());
    assert_eq!(code(account.get_ingestion_job(at(9.0), KB, "DSBBBBBBBB", &job.id)), ErrorCode::ResourceNotFound);
    assert_eq!(code(account.get_ingestion_job(at(9.0), KB, DS, "JOBZZZZZZZ")), ErrorCode::ResourceNotFound);
}

#[test]
fn what_is_under_way_keeps_a_data_source_from_being_deleted() {
    let mut account = account();
    start(&mut account, 0.0, &[("a.txt", "1")]).unwrap();
    assert_eq!(code(account.delete_data_source(at(1.0), KB, DS)), ErrorCode::Conflict);
    assert_eq!(code(account.delete_knowledge_base(at(1.0), KB)), ErrorCode::Conflict);
    account.delete_knowledge_base(at(9.0), KB).unwrap();
    assert_eq!(code(start(&mut account, 20.0, &[])), ErrorCode::ResourceNotFound);
    assert_eq!(account.drain_index_changes().len(), 2, "the document came and went");
}

fn many(count: usize) -> Vec<Object> {
    (0..count).map(|number| Object::new(format!("{number:06}.txt"), 10, "1")).collect()
}
