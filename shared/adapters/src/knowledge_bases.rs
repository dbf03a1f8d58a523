//! Bedrock's knowledge bases.

use std::time::Duration;

use aws_sdk_bedrockagent::Client;
use aws_sdk_bedrockagent::config::retry::RetryConfig;
use aws_sdk_bedrockagent::config::timeout::TimeoutConfig;
use aws_sdk_bedrockagent::error::BuildError;
use aws_sdk_bedrockagent::types::{
    ContentDataSourceType, CustomS3Location, DataSourceType, DocumentContent, DocumentIdentifier, DocumentMetadata, DocumentStatus,
    IngestionJob, IngestionJobStatus, KnowledgeBaseDocument, KnowledgeBaseDocumentDetail, MetadataSourceType, S3Content, S3Location,
};
use aws_types::SdkConfig;
use flywheel_engine::documents::METADATA_ENDING;
use flywheel_engine::sync::answers::{DocumentState, Job, Object};
use flywheel_model::{Answer, DataSourceId, DocumentId, JobEnd, JobStatistics};
use flywheel_ports::{KnowledgeBases, NoAnswer};
use jiff::Timestamp;

use crate::error::{answer, no_answer};

/// Bedrock's knowledge bases.
#[derive(Debug, Clone)]
pub struct BedrockKnowledgeBases {
    client: Client,
}

impl BedrockKnowledgeBases {
    /// With the SDK's configuration, but without its retries: each request counts against a quota that is shared by all
    /// processes, so the loop itself decides when to ask again.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        let config = aws_sdk_bedrockagent::config::Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_timeout(Duration::from_secs(10)).build())
            .build();
        Self { client: Client::from_conf(config) }
    }
}

impl KnowledgeBases for BedrockKnowledgeBases {
    async fn verify(&self, source: &DataSourceId, bucket: &str) -> Result<Option<String>, NoAnswer> {
        let request = self.client.get_data_source().knowledge_base_id(&source.knowledge_base).data_source_id(&source.data_source);
        let found = match request.send().await {
            Ok(found) => found,
            Err(error) => match no_answer(&error) {
                NoAnswer::Refused(message) => return Ok(Some(format!("{source}: {message}; check the ids in the policy"))),
                later @ NoAnswer::Later(_) => return Err(later),
            },
        };
        let configuration = found.data_source().and_then(|found| found.data_source_configuration());
        let Some(configuration) = configuration else { return Ok(Some(format!("{source} has no configuration"))) };
        if *configuration.r#type() != DataSourceType::S3 {
            let kind = configuration.r#type().as_str();
            return Ok(Some(format!(
                "{source} is a data source of type {kind}; only S3 documents can be followed, take it out of the policy"
            )));
        }
        let arn = configuration.s3_configuration().map(|s3| s3.bucket_arn()).unwrap_or_default();
        let reads = arn.rsplit(':').next().unwrap_or_default();
        Ok((reads != bucket).then(|| format!("{source} reads the bucket {reads:?}, not {bucket:?}; correct the bucket in the policy")))
    }

    async fn start_job(&self, source: &DataSourceId, client_token: &str) -> Answer {
        let request = self
            .client
            .start_ingestion_job()
            .knowledge_base_id(&source.knowledge_base)
            .data_source_id(&source.data_source)
            .client_token(client_token)
            .description("Flywheel: documents changed");
        match request.send().await {
            Ok(started) => match started.ingestion_job {
                Some(job) => Answer::JobStarted { job: job.ingestion_job_id },
                None => Answer::Lost { message: "the answer names no job".to_owned() },
            },
            Err(error) => answer(&error),
        }
    }

    async fn job(&self, source: &DataSourceId, job: &str) -> Result<Job, NoAnswer> {
        let request = self
            .client
            .get_ingestion_job()
            .knowledge_base_id(&source.knowledge_base)
            .data_source_id(&source.data_source)
            .ingestion_job_id(job);
        match request.send().await {
            Ok(found) => Ok(found.ingestion_job.map_or(Job::Unknown, seen)),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) => Ok(Job::Unknown),
            Err(error) => Err(no_answer(&error)),
        }
    }

    async fn ingest(&self, source: &DataSourceId, documents: &[(DocumentId, Object)]) -> Answer {
        let built: Result<Vec<_>, _> = documents.iter().map(|(document, object)| content(document, *object)).collect();
        let built = match built {
            Ok(built) => built,
            Err(error) => return Answer::Refused { message: error.to_string() },
        };
        let request = self
            .client
            .ingest_knowledge_base_documents()
            .knowledge_base_id(&source.knowledge_base)
            .data_source_id(&source.data_source)
            .set_documents(Some(built));
        accepted(request.send().await.map(|_| documents.len()).map_err(|error| answer(&error)))
    }

    async fn delete(&self, source: &DataSourceId, documents: &[DocumentId]) -> Answer {
        let identifiers = match identifiers(documents) {
            Ok(identifiers) => identifiers,
            Err(error) => return Answer::Refused { message: error.to_string() },
        };
        let request = self
            .client
            .delete_knowledge_base_documents()
            .knowledge_base_id(&source.knowledge_base)
            .data_source_id(&source.data_source)
            .set_document_identifiers(Some(identifiers));
        accepted(request.send().await.map(|_| documents.len()).map_err(|error| answer(&error)))
    }

    async fn document_states(&self, source: &DataSourceId, documents: &[DocumentId]) -> Result<Vec<DocumentState>, NoAnswer> {
        let identifiers = identifiers(documents).map_err(|error| NoAnswer::Refused(error.to_string()))?;
        let request = self
            .client
            .get_knowledge_base_documents()
            .knowledge_base_id(&source.knowledge_base)
            .data_source_id(&source.data_source)
            .set_document_identifiers(Some(identifiers));
        let found = request.send().await.map_err(|error| no_answer(&error))?;
        let states = documents.iter().map(|document| {
            let uri = document.uri();
            let is_it = |detail: &&KnowledgeBaseDocumentDetail| {
                detail.identifier().and_then(|identifier| identifier.s3()).is_some_and(|s3| s3.uri() == uri)
            };
            found.document_details().iter().find(is_it).map_or(DocumentState::Absent, state)
        });
        Ok(states.collect())
    }
}

fn accepted(result: Result<usize, Answer>) -> Answer {
    result.map_or_else(|answer| answer, |documents| Answer::DocumentsAccepted { documents: u32::try_from(documents).unwrap_or(u32::MAX) })
}

fn content(document: &DocumentId, object: Object) -> Result<KnowledgeBaseDocument, BuildError> {
    let location = S3Location::builder().uri(document.uri()).build()?;
    let content = DocumentContent::builder()
        .data_source_type(ContentDataSourceType::S3)
        .s3(S3Content::builder().s3_location(location).build())
        .build()?;
    let metadata = object.has_metadata.then(|| {
        let location = CustomS3Location::builder().uri(format!("{}{METADATA_ENDING}", document.uri())).build()?;
        DocumentMetadata::builder().r#type(MetadataSourceType::S3Location).s3_location(location).build()
    });
    Ok(KnowledgeBaseDocument::builder().content(content).set_metadata(metadata.transpose()?).build())
}

fn identifiers(documents: &[DocumentId]) -> Result<Vec<DocumentIdentifier>, BuildError> {
    let identifier = |document: &DocumentId| {
        let location = S3Location::builder().uri(document.uri()).build()?;
        DocumentIdentifier::builder().data_source_type(ContentDataSourceType::S3).s3(location).build()
    };
    documents.iter().map(identifier).collect()
}

fn state(detail: &KnowledgeBaseDocumentDetail) -> DocumentState {
    let reason = || detail.status_reason().unwrap_or("Bedrock gave no reason").to_owned();
    match detail.status() {
        // Some of its chunks or metadata are missing, and Bedrock will not try again by itself.
        DocumentStatus::Failed
        | DocumentStatus::PartiallyIndexed
        | DocumentStatus::MetadataPartiallyIndexed
        | DocumentStatus::MetadataUpdateFailed => DocumentState::Failed(format!("{}: {}", detail.status().as_str(), reason())),
        DocumentStatus::Ignored => DocumentState::Ignored(format!("IGNORED: {}", reason())),
        DocumentStatus::Indexed => {
            let since = detail.updated_at().and_then(|at| at.to_millis().ok()).and_then(|at| Timestamp::from_millisecond(at).ok());
            DocumentState::Indexed { since }
        }
        DocumentStatus::NotFound => DocumentState::Absent,
        // Among them statuses that are newer than this program.
        _ => DocumentState::Working,
    }
}

fn seen(job: IngestionJob) -> Job {
    let counts = job.statistics();
    let count = |of: fn(&aws_sdk_bedrockagent::types::IngestionJobStatistics) -> i64| {
        counts.map(of).and_then(|count| u64::try_from(count).ok()).unwrap_or_default()
    };
    let statistics = JobStatistics {
        scanned: count(|counts| counts.number_of_documents_scanned()),
        added: count(|counts| counts.number_of_new_documents_indexed()),
        modified: count(|counts| counts.number_of_modified_documents_indexed()),
        deleted: count(|counts| counts.number_of_documents_deleted()),
        failed: count(|counts| counts.number_of_documents_failed()),
    };
    let skipped = count(|counts| counts.number_of_documents_skipped());
    let end = match job.status() {
        IngestionJobStatus::Complete if statistics.failed > 0 => JobEnd::CompleteWithFailures,
        IngestionJobStatus::Complete => JobEnd::Complete,
        IngestionJobStatus::Failed => JobEnd::Failed,
        IngestionJobStatus::Stopped => JobEnd::Stopped,
        _ => return Job::Running,
    };
    Job::Ended { end, statistics, skipped, reasons: job.failure_reasons.unwrap_or_default() }
}
