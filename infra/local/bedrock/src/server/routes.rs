//! The API's operations by their paths.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post, put};
use serde_json::{Value, json};

use super::wire::{
    self, CreateDataSourceBody, CreateKnowledgeBaseBody, IdentifiersBody, IngestBody, ListBody, RetrieveBody, StartBody, answer, invalid,
    read,
};
use super::{Server, control};
use crate::core::{
    ApiError, Bedrock, CallError, DataSourceKind, ErrorCode, IngestDocument, NewDataSource, NewKnowledgeBase, Object, StartIngestionJob,
};

/// The most that a request may carry; the API allows 6 MB.
const MAX_REQUEST_BYTES: usize = 6 << 20;

type Source = Path<(String, String)>;
type Answer = Result<Value, CallError>;

pub(super) fn router(server: &Server) -> Router {
    const BASE: &str = "/knowledgebases/{kb}";
    const SOURCE: &str = "/knowledgebases/{kb}/datasources/{ds}";
    let api = Router::new()
        .route("/knowledgebases", put(create_knowledge_base).post(list_knowledge_bases))
        .route("/knowledgebases/", put(create_knowledge_base).post(list_knowledge_bases))
        .route(BASE, get(get_knowledge_base).delete(delete_knowledge_base))
        .route(&format!("{BASE}/retrieve"), post(retrieve))
        .route(&format!("{BASE}/datasources"), put(create_data_source).post(list_data_sources))
        .route(&format!("{BASE}/datasources/"), put(create_data_source).post(list_data_sources))
        .route(SOURCE, get(get_data_source).delete(delete_data_source))
        .route(&format!("{SOURCE}/ingestionjobs"), put(start_job).post(list_jobs))
        .route(&format!("{SOURCE}/ingestionjobs/"), put(start_job).post(list_jobs))
        .route(&format!("{SOURCE}/ingestionjobs/{{job}}"), get(get_job))
        .route(&format!("{SOURCE}/ingestionjobs/{{job}}/stop"), post(stop_job))
        .route(&format!("{SOURCE}/documents"), put(ingest_documents).post(list_documents))
        .route(&format!("{SOURCE}/documents/getDocuments"), post(get_documents))
        .route(&format!("{SOURCE}/documents/deleteDocuments"), post(delete_documents))
        .fallback(unknown_operation)
        .layer(from_fn_with_state(server.clone(), authorize));
    control::router().merge(api).with_state(server.clone())
}

/// Has the request checked where signatures and roles are known, if there is such a place.
async fn authorize(State(server): State<Server>, request: Request, next: Next) -> Response {
    let Some(authorizer) = &server.shared.authorizer else { return next.run(request).await };
    let (head, body) = request.into_parts();
    let body = match to_bytes(body, MAX_REQUEST_BYTES).await {
        Ok(body) => body,
        Err(problem) => {
            let message = format!("The request cannot be read: {problem}");
            return wire::error(&ApiError::new(ErrorCode::Validation, message));
        }
    };
    match authorizer.refusal(&head, body.clone()).await {
        Ok(None) => next.run(Request::from_parts(head, Body::from(body))).await,
        Ok(Some(refusal)) => refusal,
        Err(problem) => {
            let message = format!("The request cannot be authorized: {problem:#}");
            wire::error(&ApiError::new(ErrorCode::InternalServer, message))
        }
    }
}

async fn unknown_operation(request: Request) -> Response {
    let message = format!("This stand-in has no operation {} {}", request.method(), request.uri().path());
    wire::error(&ApiError::new(ErrorCode::ResourceNotFound, message))
}

async fn create_knowledge_base(State(server): State<Server>, body: Bytes) -> Response {
    let result: Answer = async {
        let body: CreateKnowledgeBaseBody = read(&body)?;
        let new = NewKnowledgeBase { id: None, name: body.name };
        let created = server.call(|account, now| account.create_knowledge_base(now, new)).await?;
        Ok(json!({ "knowledgeBase": wire::knowledge_base(&created) }))
    }
    .await;
    answer(StatusCode::ACCEPTED, result)
}

async fn get_knowledge_base(State(server): State<Server>, Path(kb): Path<String>) -> Response {
    let result = server.call(|account, now| account.get_knowledge_base(now, &kb)).await;
    answer(StatusCode::OK, result.map(|it| json!({ "knowledgeBase": wire::knowledge_base(&it) })))
}

async fn list_knowledge_bases(State(server): State<Server>) -> Response {
    let result = server.call(Bedrock::list_knowledge_bases).await;
    let summaries = |list: Vec<_>| list.iter().map(wire::knowledge_base_summary).collect::<Value>();
    answer(StatusCode::OK, result.map(|list| json!({ "knowledgeBaseSummaries": summaries(list) })))
}

async fn delete_knowledge_base(State(server): State<Server>, Path(kb): Path<String>) -> Response {
    let result = server.call(|account, now| account.delete_knowledge_base(now, &kb)).await;
    answer(StatusCode::ACCEPTED, result.map(|()| json!({ "knowledgeBaseId": kb, "status": "DELETING" })))
}

async fn create_data_source(State(server): State<Server>, Path(kb): Path<String>, body: Bytes) -> Response {
    let result: Answer = async {
        let body: CreateDataSourceBody = read(&body)?;
        let new = NewDataSource { id: None, knowledge_base: kb, kind: body.kind()?, name: body.name };
        let created = server.call(|account, now| account.create_data_source(now, new)).await?;
        Ok(json!({ "dataSource": wire::data_source(&created) }))
    }
    .await;
    answer(StatusCode::OK, result)
}

async fn get_data_source(State(server): State<Server>, Path((kb, ds)): Source) -> Response {
    let result = server.call(|account, now| account.get_data_source(now, &kb, &ds)).await;
    answer(StatusCode::OK, result.map(|it| json!({ "dataSource": wire::data_source(&it) })))
}

async fn list_data_sources(State(server): State<Server>, Path(kb): Path<String>) -> Response {
    let result = server.call(|account, now| account.list_data_sources(now, &kb)).await;
    let summaries = |list: Vec<_>| list.iter().map(wire::data_source_summary).collect::<Value>();
    answer(StatusCode::OK, result.map(|list| json!({ "dataSourceSummaries": summaries(list) })))
}

async fn delete_data_source(State(server): State<Server>, Path((kb, ds)): Source) -> Response {
    let result = server.call(|account, now| account.delete_data_source(now, &kb, &ds)).await;
    let shape = json!({ "knowledgeBaseId": kb, "dataSourceId": ds, "status": "DELETING" });
    answer(StatusCode::ACCEPTED, result.map(|()| shape))
}

async fn start_job(State(server): State<Server>, Path((kb, ds)): Source, body: Bytes) -> Response {
    let result: Answer = async {
        let body: StartBody = read(&body)?;
        let request =
            StartIngestionJob { knowledge_base: kb, data_source: ds, client_token: body.client_token, description: body.description };
        // Within the call, so that every change made before it is in the list; the core asks for it if the job starts.
        let listing = list_bucket(&server, &request.data_source).await;
        let job = server.call(|account, now| account.start_ingestion_job(now, request, || listing)).await?;
        Ok(json!({ "ingestionJob": wire::job(&job) }))
    }
    .await;
    answer(StatusCode::ACCEPTED, result)
}

async fn list_bucket(server: &Server, data_source: &str) -> Result<Vec<Object>, String> {
    let kind = server.account().data_source(data_source).map(|it| it.kind.clone());
    let Some(DataSourceKind::S3 { bucket, inclusion_prefixes }) = kind else { return Ok(Vec::new()) };
    let store = &server.shared.store;
    if inclusion_prefixes.is_empty() {
        return store.list(&bucket, "").await;
    }
    let mut objects = Vec::new();
    for prefix in &inclusion_prefixes {
        objects.extend(store.list(&bucket, prefix).await?);
    }
    Ok(objects)
}

async fn get_job(State(server): State<Server>, Path((kb, ds, job)): Path<(String, String, String)>) -> Response {
    let result = server.call(|account, now| account.get_ingestion_job(now, &kb, &ds, &job)).await;
    answer(StatusCode::OK, result.map(|job| json!({ "ingestionJob": wire::job(&job) })))
}

async fn list_jobs(State(server): State<Server>, Path((kb, ds)): Source, body: Bytes) -> Response {
    let result: Answer = async {
        let body: ListBody = read(&body)?;
        body.check()?;
        let (size, token) = (body.max_results, body.next_token.as_deref());
        let page = server.call(|account, now| account.list_ingestion_jobs(now, &kb, &ds, size, token)).await?;
        let jobs = page.jobs.iter().filter(|job| body.includes(job)).map(wire::job_summary).collect::<Value>();
        Ok(with_token(json!({ "ingestionJobSummaries": jobs }), page.next_token))
    }
    .await;
    answer(StatusCode::OK, result)
}

async fn stop_job(State(server): State<Server>, Path((kb, ds, job)): Path<(String, String, String)>) -> Response {
    let result = server.call(|account, now| account.stop_ingestion_job(now, &kb, &ds, &job)).await;
    answer(StatusCode::ACCEPTED, result.map(|job| json!({ "ingestionJob": wire::job(&job) })))
}

async fn ingest_documents(State(server): State<Server>, Path((kb, ds)): Source, body: Bytes) -> Response {
    let result: Answer = async {
        let body: IngestBody = read(&body)?;
        let mut documents = Vec::new();
        for location in body.locations()? {
            let object = server.shared.store.head(&location.bucket, &location.key).await;
            let object = object.map_err(|reason| invalid(format!("{location} cannot be read: {reason}")))?;
            documents.push(IngestDocument { location, object });
        }
        let token = body.client_token.as_deref();
        let details = server.call(|account, now| account.ingest_documents(now, &kb, &ds, token, documents)).await?;
        Ok(wire::documents(&kb, &ds, &details))
    }
    .await;
    answer(StatusCode::ACCEPTED, result)
}

async fn delete_documents(State(server): State<Server>, Path((kb, ds)): Source, body: Bytes) -> Response {
    let result: Answer = async {
        let body: IdentifiersBody = read(&body)?;
        let (token, locations) = (body.client_token.as_deref(), body.locations()?);
        let details = server.call(|account, now| account.delete_documents(now, &kb, &ds, token, locations)).await?;
        Ok(wire::documents(&kb, &ds, &details))
    }
    .await;
    answer(StatusCode::ACCEPTED, result)
}

async fn get_documents(State(server): State<Server>, Path((kb, ds)): Source, body: Bytes) -> Response {
    let result: Answer = async {
        let locations = read::<IdentifiersBody>(&body)?.locations()?;
        let details = server.call(|account, now| account.get_documents(now, &kb, &ds, &locations)).await?;
        Ok(wire::documents(&kb, &ds, &details))
    }
    .await;
    answer(StatusCode::OK, result)
}

async fn list_documents(State(server): State<Server>, Path((kb, ds)): Source, body: Bytes) -> Response {
    let result: Answer = async {
        let body: ListBody = read(&body)?;
        let (size, token) = (body.max_results, body.next_token.as_deref());
        let page = server.call(|account, now| account.list_documents(now, &kb, &ds, size, token)).await?;
        Ok(with_token(wire::documents(&kb, &ds, &page.documents), page.next_token))
    }
    .await;
    answer(StatusCode::OK, result)
}

async fn retrieve(State(server): State<Server>, Path(kb): Path<String>, body: Bytes) -> Response {
    let result: Answer = async {
        let body: RetrieveBody = read(&body)?;
        let (query, most) = body.query()?;
        server.call(|account, now| account.retrieve(now, &kb)).await?;
        server.index().await;
        let found = server
            .search(&kb, query, most)
            .await
            .map_err(|problem| CallError::Api(ApiError::new(ErrorCode::InternalServer, format!("The search failed: {problem:#}"))))?;
        Ok(json!({ "retrievalResults": found.iter().map(wire::retrieval_result).collect::<Value>() }))
    }
    .await;
    answer(StatusCode::OK, result)
}

fn with_token(mut shape: Value, next_token: Option<String>) -> Value {
    if let Some(token) = next_token {
        shape["nextToken"] = json!(token);
    }
    shape
}
