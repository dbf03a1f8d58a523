use flywheel_bedrock::core::{DataSourceKind, DocumentStatus, Fault, IndexChange, Limit, NewDataSource};

use super::*;

fn status(account: &mut Bedrock, seconds: f64, key: &str) -> DocumentStatus {
    account.get_documents(at(seconds), KB, DS, &[location(key)]).unwrap()[0].status
}

#[test]
fn direct_ingestion_is_accepted_at_once_and_done_later() {
    let mut account = account();
    let accepted = account.ingest_documents(at(0.0), KB, DS, None, vec![document("a.txt", "1")]).unwrap();
    assert_eq!(accepted[0].status, DocumentStatus::Starting);
    assert_eq!(status(&mut account, 0.5, "a.txt"), DocumentStatus::Starting);
    assert_eq!(status(&mut account, 1.0, "a.txt"), DocumentStatus::InProgress);
    assert!(account.drain_index_changes().is_empty());
    assert_eq!(status(&mut account, 3.0, "a.txt"), DocumentStatus::Indexed);
    assert!(matches!(&account.drain_index_changes()[..], [IndexChange::Put { key, etag, .. }] if key == "a.txt" && etag == "1"));
}

#[test]
fn a_direct_delete_ends_in_not_found() {
    let mut account = account();
    run(&mut account, 0.0, objects(&[("a.txt", "1")]));
    account.drain_index_changes();
    let accepted = account.delete_documents(at(10.0), KB, DS, None, vec![location("a.txt")]).unwrap();
    assert_eq!(accepted[0].status, DocumentStatus::Deleting);
    assert_eq!(status(&mut account, 11.0, "a.txt"), DocumentStatus::DeleteInProgress);
    assert_eq!(status(&mut account, 13.0, "a.txt"), DocumentStatus::NotFound);
    assert!(matches!(&account.drain_index_changes()[..], [IndexChange::Remove { key, .. }] if key == "a.txt"));
}

#[test]
fn deleting_what_is_not_there_is_no_error() {
    let mut account = account();
    let answer = account.delete_documents(at(0.0), KB, DS, None, vec![location("a.txt")]).unwrap();
    assert_eq!(answer[0].status, DocumentStatus::NotFound);
    assert_eq!(status(&mut account, 3.0, "a.txt"), DocumentStatus::NotFound);
    assert!(account.drain_index_changes().is_empty());
}

#[test]
fn each_document_has_its_own_fate_and_reason() {
    let mut account = account();
    let of_size = |key: &str, size| IngestDocument { location: location(key), object: Some(ObjectVersion { size, etag: "1".into() }) };
    let documents = vec![
        of_size("fine.md", 1),
        of_size("photo.heic", 1),
        of_size("huge.pdf", 50 * 1024 * 1024 + 1),
        of_size("empty.txt", 0),
        IngestDocument { location: location("missing.txt"), object: None },
        of_size("fine.md.metadata.json", 1),
    ];
    let locations: Vec<_> = documents.iter().map(|it| it.location.clone()).collect();
    account.ingest_documents(at(0.0), KB, DS, None, documents).unwrap();
    let details = account.get_documents(at(3.0), KB, DS, &locations).unwrap();
    let fates: Vec<_> = details.iter().map(|it| (it.status, it.status_reason.clone().unwrap_or_default())).collect();
    let (ignored, failed) = (DocumentStatus::Ignored, DocumentStatus::Failed);
    for ((status, reason), (expected, words)) in fates.iter().zip([
        (DocumentStatus::Indexed, ""),
        (ignored, "format"),
        (failed, "50 MB"),
        (failed, "empty"),
        (failed, "not found"),
        (ignored, "metadata"),
    ]) {
        assert_eq!(*status, expected, "{reason}");
        assert!(reason.contains(words), "{reason}");
    }
}

#[test]
fn a_version_that_fails_leaves_the_old_one_in_the_index() {
    let mut account = account();
    run(&mut account, 0.0, objects(&[("a.txt", "1")]));
    account.inject(Fault::fail_document("a.txt", "A bad day."));
    account.ingest_documents(at(10.0), KB, DS, None, vec![document("a.txt", "2")]).unwrap();
    account.advance(at(13.0));
    let (_, found) = account.documents(KB, DS).next().unwrap();
    assert_eq!((found.status, found.indexed_etag.as_deref()), (DocumentStatus::Failed, Some("1")));
    assert_eq!(account.drain_index_changes().len(), 1, "only the first version was put");
}

#[test]
fn direct_ingestion_during_a_job_is_refused_as_an_ongoing_request() {
    let mut account = account();
    start(&mut account, 0.0, &[]).unwrap();
    let refused = account.ingest_documents(at(1.0), KB, DS, None, vec![document("a.txt", "1")]);
    assert!(message(refused).starts_with("ValidationException: There is an ongoing request"));
    assert_eq!(code(account.delete_documents(at(1.0), KB, DS, None, vec![location("a.txt")])), ErrorCode::Validation);
    assert_eq!(account.violations().last().unwrap().limit, Limit::JobOnDataSource);
    account.ingest_documents(at(5.0), KB, DS, None, vec![document("a.txt", "1")]).unwrap();
}

#[test]
fn a_job_on_another_data_source_does_not_hinder_direct_ingestion() {
    let mut account = account_of(&[(KB, DS), (KB, "DSBBBBBBBB")]);
    start(&mut account, 0.0, &[]).unwrap();
    account.ingest_documents(at(1.0), KB, "DSBBBBBBBB", None, vec![document("a.txt", "1")]).unwrap();
}

#[test]
fn a_job_does_not_start_while_direct_ingestion_is_under_way() {
    let mut account = account();
    account.ingest_documents(at(0.0), KB, DS, None, vec![document("a.txt", "1")]).unwrap();
    assert_eq!(code(start(&mut account, 1.0, &[])), ErrorCode::Conflict);
    assert_eq!(account.violations().last().unwrap().limit, Limit::DirectOnDataSource);
    start(&mut account, 11.0, &[]).unwrap();
}

#[test]
fn a_job_takes_direct_documents_for_its_own() {
    let mut account = account();
    let both = vec![document("a.txt", "1"), document("b.txt", "1")];
    account.ingest_documents(at(0.0), KB, DS, None, both).unwrap();
    let statistics = run(&mut account, 10.0, objects(&[("a.txt", "1")])).statistics;
    assert_eq!((statistics.number_of_new_documents_indexed, statistics.number_of_documents_deleted), (0, 1));
}

#[test]
fn refuses_more_documents_than_a_request_may_have() {
    let mut account = account();
    let eleven: Vec<_> = (0..11).map(|number| document(&format!("{number}.txt"), "1")).collect();
    let locations: Vec<_> = eleven.iter().map(|it| it.location.clone()).collect();
    assert_eq!(code(account.ingest_documents(at(0.0), KB, DS, None, eleven.clone())), ErrorCode::Validation);
    assert_eq!(code(account.delete_documents(at(0.0), KB, DS, None, locations.clone())), ErrorCode::Validation);
    assert_eq!(code(account.get_documents(at(0.0), KB, DS, &locations)), ErrorCode::Validation);
    assert!(account.violations().iter().all(|it| it.limit == Limit::DocumentsInRequest));
    assert_eq!(account.violations().len(), 3);
    assert_eq!(code(account.ingest_documents(at(0.0), KB, DS, None, Vec::new())), ErrorCode::Validation);
    account.ingest_documents(at(1.0), KB, DS, None, eleven[..10].to_vec()).unwrap();
}

#[test]
fn same_token_ingests_once() {
    let mut account = account();
    let first = token(1);
    let mut ingest = |seconds: f64, key: &str| account.ingest_documents(at(seconds), KB, DS, Some(&first), vec![document(key, "1")]);
    ingest(0.0, "a.txt").unwrap();
    let repeated = ingest(9.0, "a.txt").unwrap();
    assert_eq!(repeated[0].status, DocumentStatus::Indexed);
    assert_eq!(code(ingest(10.0, "b.txt")), ErrorCode::Validation);
    assert_eq!(account.drain_index_changes().len(), 1);
}

#[test]
fn a_document_of_another_bucket_is_refused() {
    let mut account = account();
    let stray = IngestDocument { location: Location::new("elsewhere", "a.txt"), object: None };
    assert_eq!(code(account.ingest_documents(at(0.0), KB, DS, None, vec![stray])), ErrorCode::Validation);
}

#[test]
fn direct_ingestion_needs_a_data_source_of_type_s3() {
    let mut account = account();
    let kind = DataSourceKind::Other { name: "WEB".into() };
    let new = NewDataSource { id: None, knowledge_base: KB.into(), name: "site".into(), kind };
    let ds = account.create_data_source(at(0.0), new).unwrap().id;
    let refused = account.ingest_documents(at(0.0), KB, &ds, None, vec![document("a.txt", "1")]);
    assert_eq!(code(refused), ErrorCode::Validation);
}

#[test]
fn odd_keys_stay_as_they_are() {
    let odd = ["a b+c%20d.txt", "ünï/日本語.md", "a//b.txt", "?#&=.csv", "s3://x/y.txt"];
    let long = format!("{}.txt", "k".repeat(1020));
    for key in odd.into_iter().chain([long.as_str()]) {
        let parsed = Location::parse(&location(key).to_string()).unwrap();
        assert_eq!(parsed, location(key));
        let mut account = account();
        account.ingest_documents(at(0.0), KB, DS, None, vec![document(key, "1")]).unwrap();
        assert_eq!(status(&mut account, 3.0, key), DocumentStatus::Indexed, "{key}");
    }
    for bad in ["", "s3://", "s3://bucket", "s3://bucket/", "https://bucket/key"] {
        assert_eq!(Location::parse(bad), None, "{bad}");
    }
}

#[test]
fn documents_are_listed_in_pages() {
    let mut account = account();
    run(&mut account, 0.0, objects(&[("a.txt", "1"), ("b.txt", "1"), ("c.txt", "1")]));
    let first = account.list_documents(at(9.0), KB, DS, Some(2), None).unwrap();
    let rest = account.list_documents(at(9.0), KB, DS, Some(2), first.next_token.as_deref()).unwrap();
    let keys = |page: &flywheel_bedrock::core::DocumentPage| page.documents.iter().map(|it| it.location.key.clone()).collect::<Vec<_>>();
    assert_eq!((keys(&first), keys(&rest)), (vec!["a.txt".to_owned(), "b.txt".to_owned()], vec!["c.txt".to_owned()]));
    assert_eq!(rest.next_token, None);
}
