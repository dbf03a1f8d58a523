//! Questions to a knowledge base, as an assistant asks them: `Retrieve`, through the SDK.

use anyhow::{Context, Result};
use aws_sdk_bedrockagentruntime::Client;
use aws_sdk_bedrockagentruntime::types::KnowledgeBaseQuery;

use crate::LocalAws;

#[derive(Debug)]
pub(crate) struct Asker {
    client: Client,
}

/// A passage that was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hit {
    pub(crate) key: String,
    pub(crate) text: String,
    pub(crate) score: f64,
}

impl Asker {
    pub(crate) fn new(aws: &LocalAws) -> Self {
        Self { client: Client::new(aws.bedrock_config()) }
    }

    pub(crate) async fn ask(&self, knowledge_base: &str, question: &str) -> Result<Vec<Hit>> {
        let query = KnowledgeBaseQuery::builder().text(question).build();
        let answer = self
            .client
            .retrieve()
            .knowledge_base_id(knowledge_base)
            .retrieval_query(query)
            .send()
            .await
            .with_context(|| format!("cannot ask the knowledge base {knowledge_base}"))?;
        let hit = |result: aws_sdk_bedrockagentruntime::types::KnowledgeBaseRetrievalResult| {
            let uri = result.location?.s3_location?.uri?;
            // s3://bucket/key
            let key = uri.splitn(4, '/').nth(3)?.to_owned();
            Some(Hit { key, text: result.content.map(|content| content.text).unwrap_or_default(), score: result.score.unwrap_or_default() })
        };
        Ok(answer.retrieval_results.into_iter().filter_map(hit).collect())
    }
}

impl Hit {
    /// The line after the question itself, or the line with the word: what a person wants to read.
    pub(crate) fn excerpt(&self, question: &str) -> String {
        let lines = || self.text.lines().map(str::trim).filter(|line| !line.is_empty());
        let line = lines()
            .find(|line| !question.contains(' ') && line.contains(question))
            .or_else(|| lines().find(|line| !line.contains(question) && !line.starts_with('#')))
            .or_else(|| lines().next())
            .unwrap_or_default();
        let short: String = line.chars().take(120).collect();
        format!("“{short}{}” (score {:.2})", if short.len() < line.len() { "…" } else { "" }, self.score)
    }
}

/// The passage with the highest score.
pub(crate) fn best(hits: &[Hit]) -> Option<&Hit> {
    hits.iter().max_by(|a, b| a.score.total_cmp(&b.score))
}
