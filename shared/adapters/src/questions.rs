//! Questions to Bedrock's knowledge bases.

use aws_sdk_bedrockagentruntime::Client;
use aws_sdk_bedrockagentruntime::types::KnowledgeBaseQuery;
use flywheel_ports::{NoAnswer, Questions};

use crate::error::no_answer;

/// `Retrieve` takes questions of up to this many characters (`KnowledgeBaseQuery` in the API reference).
const LONGEST: usize = 1_000;

/// Bedrock's knowledge bases, to be asked.
#[derive(Debug, Clone)]
pub struct BedrockQuestions {
    client: Client,
}

impl BedrockQuestions {
    /// With the SDK's configuration.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }
}

impl Questions for BedrockQuestions {
    async fn results(&self, knowledge_base: &str, question: &str) -> Result<usize, NoAnswer> {
        let query = KnowledgeBaseQuery::builder().text(question.chars().take(LONGEST).collect::<String>()).build();
        let request = self.client.retrieve().knowledge_base_id(knowledge_base).retrieval_query(query);
        request.send().await.map(|found| found.retrieval_results().len()).map_err(|error| no_answer(&error))
    }
}
