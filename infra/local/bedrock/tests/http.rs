//! The AWS SDK's own clients against a server in this process.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_bedrockagent::config::retry::RetryConfig;
use aws_sdk_bedrockagent::config::{Credentials, Region};
use aws_sdk_bedrockagent::error::ProvideErrorMetadata;
use aws_sdk_bedrockagent::types::{
    ContentDataSourceType, DataSourceType, DocumentContent, DocumentIdentifier, DocumentStatus, IngestionJob, IngestionJobStatus,
    KnowledgeBaseDocument, S3Content, S3Location,
};
use aws_sdk_bedrockagentruntime::types::{
    KnowledgeBaseQuery, KnowledgeBaseRetrievalConfiguration, KnowledgeBaseRetrievalResult, KnowledgeBaseVectorSearchConfiguration,
};
use flywheel_bedrock::core::{Effect, ErrorCode, Fault, Operation, Quotas, Speed};
use flywheel_bedrock::server::{Config, DataSourceConfig, KnowledgeBaseConfig, Memory, Options, Server, local_s3};
use jiff::SignedDuration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const KB: &str = "KBAAAAAAAA";
const DS: &str = "DSAAAAAAAA";
const WEB: &str = "DSWWWWWWWW";
const TOKEN: &str = "0123456789-0123456789-0123456789-0123456789";

struct Local {
    server: Server,
    store: Arc<Memory>,
    address: String,
    agent: aws_sdk_bedrockagent::Client,
    runtime: aws_sdk_bedrockagentruntime::Client,
}

fn config() -> Config {
    let millis = SignedDuration::from_millis;
    Config {
        quotas: Quotas { job_starts_per_second: 0.0, ..Quotas::default() },
        speed: Speed { job_overhead: millis(200), per_document: millis(1), direct_latency: millis(150), stop_latency: millis(50) },
        knowledge_bases: vec![KnowledgeBaseConfig {
            id: KB.into(),
            name: Some("handbook".into()),
            data_sources: vec![
                DataSourceConfig {
                    id: DS.into(),
                    bucket: Some("documents".into()),
                    inclusion_prefixes: vec!["manuals/".into()],
                    ..DataSourceConfig::default()
                },
                DataSourceConfig { id: WEB.into(), kind: Some("WEB".into()), ..DataSourceConfig::default() },
            ],
        }],
    }
}

async fn local() -> Local {
    local_with(config(), None).await
}

async fn local_with(config: Config, authorize_with: Option<String>) -> Local {
    let store = Arc::new(Memory::default());
    let server = Server::new(Options { config, store: store.clone(), authorize_with }).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(server.clone().serve(listener));
    let shared = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(format!("http://{address}"))
        .retry_config(RetryConfig::disabled())
        .load()
        .await;
    Local {
        server,
        store,
        agent: aws_sdk_bedrockagent::Client::new(&shared),
        runtime: aws_sdk_bedrockagentruntime::Client::new(&shared),
        address,
    }
}

impl Local {
    async fn start(&self) -> IngestionJob {
        let started = self.agent.start_ingestion_job().knowledge_base_id(KB).data_source_id(DS).send().await.unwrap();
        started.ingestion_job.unwrap()
    }

    async fn finished(&self, job: &str) -> IngestionJob {
        loop {
            tokio::time::sleep(Duration::from_millis(110)).await;
            let get = self.agent.get_ingestion_job().knowledge_base_id(KB).data_source_id(DS).ingestion_job_id(job);
            let job = get.send().await.unwrap().ingestion_job.unwrap();
            if matches!(job.status, IngestionJobStatus::Complete | IngestionJobStatus::Failed | IngestionJobStatus::Stopped) {
                return job;
            }
        }
    }

    async fn sync(&self) -> IngestionJob {
        let job = self.start().await;
        self.finished(&job.ingestion_job_id).await
    }

    async fn retrieve(&self, query: &str, most: i32) -> Vec<KnowledgeBaseRetrievalResult> {
        let search = KnowledgeBaseVectorSearchConfiguration::builder().number_of_results(most).build();
        let answer = self
            .runtime
            .retrieve()
            .knowledge_base_id(KB)
            .retrieval_query(KnowledgeBaseQuery::builder().text(query).build())
            .retrieval_configuration(KnowledgeBaseRetrievalConfiguration::builder().vector_search_configuration(search).build())
            .send()
            .await
            .unwrap();
        answer.retrieval_results
    }

    async fn control(&self, method: &str, path: &str, body: &str) -> serde_json::Value {
        let answer = exchange(&self.address, method, path, body).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        serde_json::from_str(body).unwrap()
    }
}

/// One request in plain HTTP, and all that comes back.
async fn exchange(address: &str, method: &str, path: &str, body: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn s3(key: &str) -> S3Location {
    S3Location::builder().uri(format!("s3://documents/{key}")).build().unwrap()
}

fn document(key: &str) -> KnowledgeBaseDocument {
    let content = DocumentContent::builder()
        .data_source_type(ContentDataSourceType::S3)
        .s3(S3Content::builder().s3_location(s3(key)).build())
        .build()
        .unwrap();
    KnowledgeBaseDocument::builder().content(content).build()
}

fn identifier(key: &str) -> DocumentIdentifier {
    DocumentIdentifier::builder().data_source_type(ContentDataSourceType::S3).s3(s3(key)).build().unwrap()
}

#[tokio::test]
async fn an_answer_is_found_only_after_the_job() {
    let local = local().await;
    local.store.put("documents", "manuals/pump.md", "The fire pump needs a relief valve.");
    local.store.put("documents", "manuals/photo.heic", "x");
    local.store.put("documents", "minutes/june.txt", "The relief valve was discussed.");
    assert!(local.retrieve("relief valve", 5).await.is_empty());

    let started = local.start().await;
    assert_eq!(started.status, IngestionJobStatus::Starting);
    let done = local.finished(&started.ingestion_job_id).await;
    assert_eq!(done.status, IngestionJobStatus::Complete);
    assert!(done.updated_at.as_nanos() > done.started_at.as_nanos());
    let statistics = done.statistics.unwrap();
    assert_eq!((statistics.number_of_documents_scanned, statistics.number_of_new_documents_indexed), (2, 1));
    assert_eq!(statistics.number_of_documents_failed, 1);
    assert!(done.failure_reasons.unwrap()[0].contains("photo.heic"));

    let found = local.retrieve("relief valve", 5).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].content.as_ref().unwrap().text, "The fire pump needs a relief valve.");
    let location = found[0].location.as_ref().unwrap().s3_location.as_ref().unwrap();
    assert_eq!(location.uri.as_deref(), Some("s3://documents/manuals/pump.md"));
    assert!(found[0].score.unwrap() > 0.0);

    local.store.put("documents", "manuals/pump.md", "The fire pump needs nothing.");
    local.sync().await;
    assert!(local.retrieve("relief valve", 5).await.is_empty());
    local.store.remove("documents", "manuals/pump.md");
    assert_eq!(local.sync().await.statistics.unwrap().number_of_documents_deleted, 1);
    assert!(local.retrieve("pump", 5).await.is_empty());
}

#[tokio::test]
async fn retrieve_gives_no_more_results_than_asked_for() {
    let local = local().await;
    for number in 0..5 {
        local.store.put("documents", &format!("manuals/{number}.txt"), format!("valve {number}"));
    }
    local.sync().await;
    assert_eq!(local.retrieve("valve", 3).await.len(), 3);
    assert_eq!(local.retrieve("valve", 100).await.len(), 5);
}

#[tokio::test]
async fn documents_are_ingested_and_deleted_directly() {
    let local = local().await;
    local.store.put("documents", "manuals/a b+ü.txt", "Grease the bearing.");
    let key = "manuals/a b+ü.txt";
    let ingest = local.agent.ingest_knowledge_base_documents().knowledge_base_id(KB).data_source_id(DS);
    let accepted = ingest.documents(document(key)).documents(document("manuals/none.txt")).send().await.unwrap();
    let details = accepted.document_details.unwrap();
    assert_eq!(details[0].status, DocumentStatus::Starting);
    tokio::time::sleep(Duration::from_millis(200)).await;

    let get = || local.agent.get_knowledge_base_documents().knowledge_base_id(KB).data_source_id(DS);
    let details = get()
        .document_identifiers(identifier(key))
        .document_identifiers(identifier("manuals/none.txt"))
        .send()
        .await
        .unwrap()
        .document_details
        .unwrap();
    assert_eq!((&details[0].status, &details[1].status), (&DocumentStatus::Indexed, &DocumentStatus::Failed));
    assert_eq!(details[0].identifier.as_ref().unwrap().s3.as_ref().unwrap().uri, format!("s3://documents/{key}"));
    assert!(details[1].status_reason.as_ref().unwrap().contains("not found"));
    assert_eq!(local.retrieve("bearing", 5).await.len(), 1);
    let listed = local.agent.list_knowledge_base_documents().knowledge_base_id(KB).data_source_id(DS).send().await.unwrap();
    assert_eq!(listed.document_details.len(), 2);

    let delete = local.agent.delete_knowledge_base_documents().knowledge_base_id(KB).data_source_id(DS);
    let accepted = delete.document_identifiers(identifier(key)).send().await.unwrap();
    assert_eq!(accepted.document_details.unwrap()[0].status, DocumentStatus::Deleting);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let details = get().document_identifiers(identifier(key)).send().await.unwrap().document_details.unwrap();
    assert_eq!(details[0].status, DocumentStatus::NotFound);
    assert!(local.retrieve("bearing", 5).await.is_empty());
}

#[tokio::test]
async fn the_sdk_reads_every_refusal_as_its_own_type() {
    let local = local().await;
    local.store.put("documents", "manuals/a.txt", "x");
    let start = || local.agent.start_ingestion_job().knowledge_base_id(KB).data_source_id(DS);
    local.start().await;
    assert!(start().send().await.unwrap_err().into_service_error().is_conflict_exception());
    let ingest = local.agent.ingest_knowledge_base_documents().knowledge_base_id(KB).data_source_id(DS);
    let busy = ingest.documents(document("manuals/a.txt")).send().await.unwrap_err().into_service_error();
    assert!(busy.is_validation_exception());
    assert!(busy.message().unwrap().contains("ongoing request"));
    let short = start().client_token("short").send().await.unwrap_err().into_service_error();
    assert!(short.is_validation_exception());
    let missing = start().data_source_id("DSZZZZZZZZ").send().await.unwrap_err().into_service_error();
    assert!(missing.is_resource_not_found_exception());

    for code in [
        ErrorCode::Throttling,
        ErrorCode::Conflict,
        ErrorCode::ServiceQuotaExceeded,
        ErrorCode::Validation,
        ErrorCode::ResourceNotFound,
        ErrorCode::AccessDenied,
        ErrorCode::InternalServer,
    ] {
        local.server.account().inject(Fault::refuse(Operation::StartIngestionJob, code));
        let error = start().send().await.unwrap_err();
        assert_eq!(error.raw_response().unwrap().status().as_u16(), code.http_status());
        let error = error.into_service_error();
        assert_eq!(error.code(), Some(code.name()));
        let known = [
            error.is_throttling_exception(),
            error.is_conflict_exception(),
            error.is_service_quota_exceeded_exception(),
            error.is_validation_exception(),
            error.is_resource_not_found_exception(),
            error.is_access_denied_exception(),
            error.is_internal_server_exception(),
        ];
        assert!(known.contains(&true), "{error:?}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_a_closed_connection_and_the_token_finds_the_job() {
    let local = local().await;
    local.store.put("documents", "manuals/a.txt", "x");
    local.server.account().inject(Fault::lose_answer(Operation::StartIngestionJob));
    let start = || local.agent.start_ingestion_job().knowledge_base_id(KB).data_source_id(DS).client_token(TOKEN);
    let lost = start().send().await.unwrap_err();
    assert!(lost.as_service_error().is_none(), "{lost:?}");
    let again = start().send().await.unwrap().ingestion_job.unwrap();
    let listed = local.agent.list_ingestion_jobs().knowledge_base_id(KB).data_source_id(DS).send().await.unwrap();
    let ids: Vec<_> = listed.ingestion_job_summaries.iter().map(|it| it.ingestion_job_id.as_str()).collect();
    assert_eq!(ids, [again.ingestion_job_id.as_str()]);
}

#[tokio::test]
async fn a_late_answer_is_late() {
    let local = local().await;
    let by = SignedDuration::from_millis(300);
    local.server.account().inject(Fault::once(Effect::Delay { by }).on(Operation::GetKnowledgeBase));
    let asked = std::time::Instant::now();
    let it = local.agent.get_knowledge_base().knowledge_base_id(KB).send().await.unwrap().knowledge_base.unwrap();
    assert!(asked.elapsed() >= Duration::from_millis(300));
    assert_eq!(it.name, "handbook");
}

#[tokio::test]
async fn a_job_can_be_stopped() {
    let mut slow = config();
    slow.speed.job_overhead = SignedDuration::from_mins(10);
    let local = local_with(slow, None).await;
    local.store.put("documents", "manuals/a.txt", "x");
    let job = local.start().await.ingestion_job_id;
    let stop = local.agent.stop_ingestion_job().knowledge_base_id(KB).data_source_id(DS).ingestion_job_id(&job);
    assert_eq!(stop.send().await.unwrap().ingestion_job.unwrap().status, IngestionJobStatus::Stopping);
    assert_eq!(local.finished(&job).await.status, IngestionJobStatus::Stopped);
}

#[tokio::test]
async fn knowledge_bases_and_data_sources_can_be_looked_up() {
    let local = local().await;
    let listed = local.agent.list_knowledge_bases().send().await.unwrap();
    assert_eq!(listed.knowledge_base_summaries[0].knowledge_base_id, KB);
    let sources = local.agent.list_data_sources().knowledge_base_id(KB).send().await.unwrap();
    assert_eq!(sources.data_source_summaries.len(), 2);
    let get = |id: &str| local.agent.get_data_source().knowledge_base_id(KB).data_source_id(id).send();
    let source = get(DS).await.unwrap().data_source.unwrap();
    let configuration = source.data_source_configuration.unwrap();
    let s3 = configuration.s3_configuration.unwrap();
    assert_eq!((s3.bucket_arn.as_str(), s3.inclusion_prefixes.unwrap()), ("arn:aws:s3:::documents", vec!["manuals/".into()]));
    let web = get(WEB).await.unwrap().data_source.unwrap();
    assert_eq!(web.data_source_configuration.unwrap().r#type, DataSourceType::Web);
}

#[tokio::test]
async fn tests_steer_and_inspect_the_server() {
    let local = local().await;
    local.store.put("documents", "manuals/a.txt", "x");
    assert_eq!(local.control("GET", "/_control/health", "").await["status"], "ok");
    let fault = r#"{"operation":"StartIngestionJob","times":2,"effect":{"kind":"refuse","error":"ThrottlingException"}}"#;
    local.control("POST", "/_control/faults", fault).await;
    let start = || local.agent.start_ingestion_job().knowledge_base_id(KB).data_source_id(DS).send();
    assert!(start().await.unwrap_err().into_service_error().is_throttling_exception());
    let list = r#"[{"effect":{"kind":"fail-document","key":"*.txt","reason":"A bad day."}},{"effect":{"kind":"delay","by":"1ms"}}]"#;
    let queued = local.control("POST", "/_control/faults", list).await;
    assert_eq!(queued["faults"].as_array().unwrap().len(), 3);
    start().await.unwrap_err();
    let failed = local.sync().await;
    assert!(failed.failure_reasons.unwrap()[0].contains("A bad day."));
    assert!(start().await.is_ok());
    assert!(start().await.is_err());

    let violations = local.control("GET", "/_control/violations", "").await;
    assert_eq!(violations["violations"][0]["limit"], "job-on-data-source");
    let calls = local.control("GET", "/_control/calls", "").await;
    assert_eq!(calls["calls"][0]["outcome"]["refused"], "ThrottlingException");
    let documents = local.control("GET", "/_control/documents", "").await;
    assert_eq!(documents["documents"][0]["key"], "manuals/a.txt");
    assert_eq!(local.control("GET", "/_control/jobs", "").await["jobs"].as_array().unwrap().len(), 2);

    local.control("POST", "/_control/reset", "").await;
    assert!(local.control("GET", "/_control/calls", "").await["calls"].as_array().unwrap().is_empty());
    assert!(local.control("GET", "/_control/documents", "").await["documents"].as_array().unwrap().is_empty());
    let other = r#"{"knowledge_bases":[{"id":"KBNEWNEWNE"}]}"#;
    local.control("POST", "/_control/reset", other).await;
    let listed = local.agent.list_knowledge_bases().send().await.unwrap();
    assert_eq!(listed.knowledge_base_summaries[0].knowledge_base_id, "KBNEWNEWNE");
    assert!(exchange(&local.address, "POST", "/_control/faults", "{}").await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_refused() {
    let local = local().await;
    let path = format!("/knowledgebases/{KB}/datasources/{DS}/documents");
    for body in ["not json", r#"{"documents":[{}]}"#, r#"{"documents":[{"content":{"dataSourceType":"CUSTOM"}}]}"#] {
        let answer = exchange(&local.address, "PUT", &path, body).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("ValidationException"), "{answer}");
    }
    let answer = exchange(&local.address, "PATCH", "/agents", "").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

/// Stands in for the local AWS that checks roles: denies deletes, knows no knowledge base, and notes what it was sent.
async fn gatekeeper() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = seen.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            let mut part = [0; 4096];
            while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                let read = stream.read(&mut part).await.unwrap();
                request.extend_from_slice(&part[..read]);
            }
            let request = String::from_utf8(request).unwrap();
            let (status, body) = if request.contains("deleteDocuments") {
                ("403 Forbidden\r\nx-amzn-errortype: AccessDeniedException", r#"{"message":"may not do it now"}"#)
            } else {
                ("404 Not Found", "{}")
            };
            notes.lock().unwrap().push(request);
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            // Until the caller hangs up: what it sent and nobody read would break the connection too early.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    });
    (url, seen)
}

#[tokio::test]
async fn a_caller_may_do_what_its_role_allows_and_nothing_else() {
    let (url, seen) = gatekeeper().await;
    let local = local_with(config(), Some(url)).await;
    local.agent.get_knowledge_base().knowledge_base_id(KB).send().await.unwrap();
    let delete = local.agent.delete_knowledge_base_documents().knowledge_base_id(KB).data_source_id(DS);
    let denied = delete.document_identifiers(identifier("a.txt")).send().await.unwrap_err().into_service_error();
    assert!(denied.is_access_denied_exception());
    assert_eq!(denied.message(), Some("may not do it now"));
    assert_eq!(local.server.account().calls().len(), 1, "what is denied never reaches the service");
    let first = seen.lock().unwrap()[0].to_lowercase();
    assert!(first.starts_with("get /knowledgebases/kbaaaaaaaa http/1.1"));
    assert!(first.contains(&format!("host: {}", local.address)), "the signature covers the host: {first}");
    assert!(first.contains("authorization: aws4-hmac-sha256"));
    // What is not signed for Bedrock would be judged as another service's request, so it is refused unasked.
    for scope in ["", "authorization: AWS4-HMAC-SHA256 Credential=A/20261101/us-east-1/s3/aws4_request, Signature=0\r\n"] {
        let request = format!("GET /knowledgebases/{KB} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{scope}\r\n");
        let mut stream = tokio::net::TcpStream::connect(&local.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
    // Steering is not AWS's, so nobody's role is asked.
    local.control("GET", "/_control/health", "").await;
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn an_unreachable_gatekeeper_lets_nobody_in() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let local = local_with(config(), Some(format!("http://{closed}"))).await;
    let error = local.agent.get_knowledge_base().knowledge_base_id(KB).send().await.unwrap_err().into_service_error();
    assert!(error.is_internal_server_exception());
}

#[tokio::test]
async fn nothing_off_this_machine_is_called_or_served() {
    let elsewhere = |url: &str| {
        let options = Options { config: config(), store: Arc::new(Memory::default()), authorize_with: Some(url.into()) };
        Server::new(options).is_err()
    };
    assert!(elsewhere("http://sts.amazonaws.com") && elsewhere("https://127.0.0.1") && elsewhere("http://127.0.0.1.example"));
    assert!(local_s3("https://s3.amazonaws.com").await.is_err());
    assert!(local_s3("http://127.0.0.1:4566").await.is_ok());
    let server = Server::new(Options { config: config(), store: Arc::new(Memory::default()), authorize_with: None });
    let open = TcpListener::bind("0.0.0.0:0").await.unwrap();
    assert!(server.unwrap().serve(open).await.is_err());
}
