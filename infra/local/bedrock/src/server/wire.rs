//! The JSON that the AWS SDKs speak: the shapes of `bedrock-agent` and of `Retrieve`.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::search::Found;
use crate::core::{ApiError, CallError, DataSource, DataSourceKind, DocumentDetail, ErrorCode, Job, KnowledgeBase, Location};

/// The account and Region that resource names speak of: the usual ones of local AWS emulators.
const ARN: &str = "arn:aws:bedrock:us-east-1:000000000000";

/// Marks a response that is never to be sent: the connection is closed instead.
#[derive(Clone, Copy, Debug)]
pub(super) struct HangUp;

/// The answer to a call.
pub(super) fn answer(status: StatusCode, result: Result<Value, CallError>) -> Response {
    match result {
        Ok(value) => json_response(status, &value),
        Err(CallError::Api(failure)) => error(&failure),
        Err(CallError::ConnectionLost) => {
            let mut response = Response::new(Body::empty());
            response.extensions_mut().insert(HangUp);
            response
        }
    }
}

/// An error as the SDKs read it: its type in a header, its words in the body.
pub(super) fn error(failure: &ApiError) -> Response {
    let status = StatusCode::from_u16(failure.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json_response(status, &json!({ "message": failure.message }));
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(failure.code.name()));
    response
}

pub(super) fn json_response(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Reads a request's body; an empty one says nothing at all.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, CallError> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|problem| invalid(format!("The request cannot be read: {problem}")))
}

pub(super) fn invalid(message: impl Into<String>) -> CallError {
    CallError::Api(ApiError::new(ErrorCode::Validation, message))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StartBody {
    pub(super) client_token: Option<String>,
    pub(super) description: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListBody {
    pub(super) max_results: Option<usize>,
    pub(super) next_token: Option<String>,
    #[serde(default)]
    pub(super) filters: Vec<JobFilter>,
    pub(super) sort_by: Option<SortBy>,
}

#[derive(Deserialize)]
pub(super) struct JobFilter {
    attribute: String,
    operator: String,
    values: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct SortBy {
    attribute: String,
    order: String,
}

impl ListBody {
    /// Refuses what is not modelled rather than answering something else.
    pub(super) fn check(&self) -> Result<(), CallError> {
        let filters = self.filters.iter().all(|it| it.attribute == "STATUS" && it.operator == "EQ");
        let order = self.sort_by.as_ref().is_none_or(|it| it.attribute == "STARTED_AT" && it.order == "DESCENDING");
        if filters && order {
            return Ok(());
        }
        Err(invalid("This stand-in filters jobs by STATUS EQ and sorts them by STARTED_AT DESCENDING only."))
    }

    pub(super) fn includes(&self, job: &Job) -> bool {
        self.filters.iter().all(|filter| filter.values.iter().any(|value| value == job.status.name()))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IngestBody {
    pub(super) client_token: Option<String>,
    #[serde(default)]
    documents: Vec<IngestDocumentBody>,
}

#[derive(Deserialize)]
struct IngestDocumentBody {
    content: ContentBody,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContentBody {
    data_source_type: String,
    s3: Option<S3ContentBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct S3ContentBody {
    s3_location: UriBody,
}

#[derive(Deserialize)]
struct UriBody {
    uri: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IdentifiersBody {
    pub(super) client_token: Option<String>,
    #[serde(default)]
    document_identifiers: Vec<IdentifierBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdentifierBody {
    data_source_type: String,
    s3: Option<UriBody>,
}

impl IngestBody {
    pub(super) fn locations(&self) -> Result<Vec<Location>, CallError> {
        let uris = self.documents.iter().map(|document| {
            let content = &document.content;
            (content.data_source_type.as_str(), content.s3.as_ref().map(|s3| s3.s3_location.uri.as_str()))
        });
        uris.map(location).collect()
    }
}

impl IdentifiersBody {
    pub(super) fn locations(&self) -> Result<Vec<Location>, CallError> {
        let identifiers = self.document_identifiers.iter();
        identifiers.map(|it| location((&it.data_source_type, it.s3.as_ref().map(|s3| s3.uri.as_str())))).collect()
    }
}

fn location((kind, uri): (&str, Option<&str>)) -> Result<Location, CallError> {
    if kind != "S3" {
        return Err(invalid(format!("This stand-in ingests documents of data source type S3 directly, not {kind}.")));
    }
    let uri = uri.ok_or_else(|| invalid("A document of type S3 needs its S3 location."))?;
    Location::parse(uri).ok_or_else(|| invalid(format!("Value '{uri}' is not an S3 URI.")))
}

#[derive(Deserialize)]
pub(super) struct CreateKnowledgeBaseBody {
    pub(super) name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateDataSourceBody {
    pub(super) name: String,
    data_source_configuration: DataSourceConfigurationBody,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DataSourceConfigurationBody {
    #[serde(rename = "type")]
    kind: String,
    s3_configuration: Option<S3ConfigurationBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct S3ConfigurationBody {
    bucket_arn: String,
    #[serde(default)]
    inclusion_prefixes: Vec<String>,
}

impl CreateDataSourceBody {
    pub(super) fn kind(&self) -> Result<DataSourceKind, CallError> {
        let configuration = &self.data_source_configuration;
        match (configuration.kind.as_str(), &configuration.s3_configuration) {
            ("S3", Some(s3)) => Ok(DataSourceKind::S3 {
                bucket: s3.bucket_arn.rsplit(':').next().unwrap_or_default().to_owned(),
                inclusion_prefixes: s3.inclusion_prefixes.clone(),
            }),
            ("S3", None) => Err(invalid("A data source of type S3 needs s3Configuration.")),
            (name, _) => Ok(DataSourceKind::Other { name: name.to_owned() }),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RetrieveBody {
    retrieval_query: QueryBody,
    #[serde(default)]
    retrieval_configuration: RetrievalBody,
}

#[derive(Deserialize)]
struct QueryBody {
    #[serde(default)]
    text: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RetrievalBody {
    vector_search_configuration: Option<SearchBody>,
    managed_search_configuration: Option<SearchBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SearchBody {
    number_of_results: Option<usize>,
}

impl RetrieveBody {
    /// The query and how many results it may have: 5 by default, 100 at most, as the API has it.
    pub(super) fn query(&self) -> Result<(&str, usize), CallError> {
        let configuration = &self.retrieval_configuration;
        let search = configuration.vector_search_configuration.as_ref();
        let most = search.or(configuration.managed_search_configuration.as_ref()).and_then(|search| search.number_of_results).unwrap_or(5);
        if !(1..=100).contains(&most) {
            return Err(invalid(format!("numberOfResults is {most}; it must be between 1 and 100")));
        }
        if self.retrieval_query.text.trim().is_empty() {
            return Err(invalid("The retrieval query has no text."));
        }
        Ok((&self.retrieval_query.text, most))
    }
}

pub(super) fn job(job: &Job) -> Value {
    let mut shape = job_summary(job);
    shape["failureReasons"] = json!(job.failure_reasons);
    shape
}

pub(super) fn job_summary(job: &Job) -> Value {
    let mut shape = json!({
        "knowledgeBaseId": job.knowledge_base,
        "dataSourceId": job.data_source,
        "ingestionJobId": job.id,
        "status": job.status.name(),
        "statistics": job.statistics,
        "startedAt": job.started_at.to_string(),
        "updatedAt": job.updated_at.to_string(),
    });
    if let Some(description) = &job.description {
        shape["description"] = json!(description);
    }
    shape
}

pub(super) fn document(knowledge_base: &str, data_source: &str, detail: &DocumentDetail) -> Value {
    json!({
        "knowledgeBaseId": knowledge_base,
        "dataSourceId": data_source,
        "status": detail.status.name(),
        "statusReason": detail.status_reason.as_deref().unwrap_or_default(),
        "identifier": { "dataSourceType": "S3", "s3": { "uri": detail.location.to_string() } },
        "updatedAt": detail.updated_at.to_string(),
    })
}

pub(super) fn documents(knowledge_base: &str, data_source: &str, details: &[DocumentDetail]) -> Value {
    let details: Vec<Value> = details.iter().map(|it| document(knowledge_base, data_source, it)).collect();
    json!({ "documentDetails": details })
}

pub(super) fn knowledge_base(it: &KnowledgeBase) -> Value {
    let mut shape = knowledge_base_summary(it);
    shape["knowledgeBaseArn"] = json!(format!("{ARN}:knowledge-base/{}", it.id));
    shape["roleArn"] = json!("arn:aws:iam::000000000000:role/knowledge-base");
    shape["knowledgeBaseConfiguration"] = json!({
        "type": "VECTOR",
        "vectorKnowledgeBaseConfiguration": {
            "embeddingModelArn": "arn:aws:bedrock:us-east-1::foundation-model/amazon.titan-embed-text-v2:0",
        },
    });
    shape["createdAt"] = json!(it.created_at.to_string());
    shape
}

pub(super) fn knowledge_base_summary(it: &KnowledgeBase) -> Value {
    json!({
        "knowledgeBaseId": it.id,
        "name": it.name,
        "status": "ACTIVE",
        "updatedAt": it.created_at.to_string(),
    })
}

pub(super) fn data_source(it: &DataSource) -> Value {
    let mut configuration = json!({ "type": it.kind.type_name() });
    if let DataSourceKind::S3 { bucket, inclusion_prefixes } = &it.kind {
        configuration["s3Configuration"] = json!({ "bucketArn": format!("arn:aws:s3:::{bucket}") });
        if !inclusion_prefixes.is_empty() {
            configuration["s3Configuration"]["inclusionPrefixes"] = json!(inclusion_prefixes);
        }
    }
    let mut shape = data_source_summary(it);
    shape["dataSourceConfiguration"] = configuration;
    shape["dataDeletionPolicy"] = json!("DELETE");
    shape["createdAt"] = json!(it.created_at.to_string());
    shape
}

pub(super) fn data_source_summary(it: &DataSource) -> Value {
    json!({
        "knowledgeBaseId": it.knowledge_base,
        "dataSourceId": it.id,
        "name": it.name,
        "status": "AVAILABLE",
        "updatedAt": it.created_at.to_string(),
    })
}

pub(super) fn retrieval_result(found: &Found) -> Value {
    json!({
        "content": { "type": "TEXT", "text": found.text },
        "location": { "type": "S3", "s3Location": { "uri": found.uri } },
        "score": found.score,
        "metadata": {
            "x-amz-bedrock-kb-source-uri": found.uri,
            "x-amz-bedrock-kb-data-source-id": found.data_source,
        },
    })
}
