//! A Bedrock model that proposes titles and questions for a judge.

use std::time::Duration;

use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::types::{ContentBlock, ConversationRole, InferenceConfiguration, Message, SystemContentBlock};
use flywheel_ports::{Proposer, Unavailable};

use crate::error::unavailable;

const WHAT: &str = "ask the model for a proposal";

/// A proposal that takes longer is done without.
const ANSWER: Duration = Duration::from_secs(15);

/// Tokens of a proposal: a title and five questions.
const TOKENS: i32 = 600;

/// Bedrock's models through Converse.
#[derive(Debug, Clone)]
pub struct BedrockProposer {
    client: Client,
}

impl BedrockProposer {
    /// In this account and Region.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }
}

impl Proposer for BedrockProposer {
    async fn propose(&self, model: &str, instructions: &str, conversation: &str) -> Result<String, Unavailable> {
        let message = Message::builder().role(ConversationRole::User).content(ContentBlock::Text(conversation.to_owned())).build();
        let request = self
            .client
            .converse()
            .model_id(model)
            .system(SystemContentBlock::Text(instructions.to_owned()))
            .inference_config(InferenceConfiguration::builder().max_tokens(TOKENS).temperature(0.0).build())
            .messages(message.map_err(|error| Unavailable { what: WHAT, why: error.to_string() })?);
        let late = |_| Unavailable { what: WHAT, why: format!("no answer in {} s", ANSWER.as_secs()) };
        let answer = tokio::time::timeout(ANSWER, request.send()).await.map_err(late)?.map_err(unavailable(WHAT))?;
        let message = answer.output().and_then(|output| output.as_message().ok());
        let texts = message.map(Message::content).unwrap_or_default().iter().filter_map(|block| block.as_text().ok());
        Ok(texts.map(String::as_str).collect())
    }
}
