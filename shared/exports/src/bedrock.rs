//! JSON Lines for RAG evaluation jobs of Amazon Bedrock.
//!
//! Fields and limits are those of the Amazon Bedrock user guide: "Create a prompt dataset for a RAG evaluation", and its
//! pages on retrieve-only and on retrieve-and-generate jobs.

use std::collections::BTreeMap;

use flywheel_model::{Case, Id, Key};
use serde::Serialize;

use crate::{File, Format, answer, is_blank, json, passages, reference};

/// The most prompts of one job's dataset.
const MOST_PROMPTS: usize = 1_000;

/// The most turns of one prompt in retrieve-and-generate jobs, the question itself among them.
const MOST_TURNS: usize = 5;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Prompt<'c> {
    conversation_turns: Vec<ConversationTurn<'c>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConversationTurn<'c> {
    prompt: Message<'c>,
    /// The true answer. The guide requires it for the metric "context coverage".
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_responses: Option<[Message<'c>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Output<'c>>,
}

#[derive(Serialize)]
struct Message<'c> {
    content: [Text<'c>; 1],
}

#[derive(Serialize)]
struct Text<'c> {
    text: &'c str,
}

/// What came of the question then. Retrieve-only jobs call the passages `retrievedResults`, the others
/// `retrievedPassages`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Output<'c> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'c str>,
    knowledge_base_identifier: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    retrieved_results: Option<Retrieved<'c>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retrieved_passages: Option<Retrieved<'c>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Retrieved<'c> {
    retrieval_results: Vec<Passage<'c>>,
}

#[derive(Serialize)]
struct Passage<'c> {
    content: Text<'c>,
}

/// Files of at most [`MOST_PROMPTS`] lines. Each is of one knowledge base, since a job evaluates one.
pub(crate) fn files(cases: &[&Case], format: Format) -> Vec<File> {
    let mut by_knowledge_base = BTreeMap::<String, Vec<&Case>>::new();
    for case in cases {
        by_knowledge_base.entry(source_identifier(&case.knowledge_base)).or_default().push(case);
    }
    let mut files = Vec::new();
    for (identifier, cases) in by_knowledge_base {
        for (part, cases) in cases.chunks(MOST_PROMPTS).enumerate() {
            let lines: String = cases.iter().map(|case| json::line(&prompt(case, format))).collect();
            files.push(File { name: format!("{format}-{identifier}-{:03}.jsonl", part + 1), bytes: lines.into_bytes() });
        }
    }
    files
}

fn prompt(case: &Case, format: Format) -> Prompt<'_> {
    // What was answered earlier in the conversation is not known to be true, so it is no reference.
    let earlier = case.context.iter().filter(|exchange| format == Format::BedrockGenerate && !is_blank(&exchange.query));
    let mut conversation_turns: Vec<_> =
        earlier.map(|exchange| ConversationTurn { prompt: message(&exchange.query), reference_responses: None, output: None }).collect();
    conversation_turns.drain(..conversation_turns.len().saturating_sub(MOST_TURNS - 1));
    conversation_turns.push(ConversationTurn {
        prompt: message(&case.query),
        reference_responses: reference(case).map(|text| [message(text)]),
        output: output(case, format),
    });
    Prompt { conversation_turns }
}

fn output(case: &Case, format: Format) -> Option<Output<'_>> {
    let retrieved = Retrieved { retrieval_results: passages(case).map(|text| Passage { content: Text { text } }).collect() };
    let knowledge_base_identifier = source_identifier(&case.knowledge_base);
    match format {
        Format::BedrockByoiRetrieve => {
            Some(Output { text: None, knowledge_base_identifier, retrieved_results: Some(retrieved), retrieved_passages: None })
        }
        Format::BedrockByoiGenerate => {
            Some(Output { text: answer(case), knowledge_base_identifier, retrieved_results: None, retrieved_passages: Some(retrieved) })
        }
        _ => None,
    }
}

fn message(text: &str) -> Message<'_> {
    Message { content: [Text { text }] }
}

/// The knowledge base as a job calls it in `ragSourceIdentifier`: `[a-zA-Z0-9][a-zA-Z0-9._-]{0,255}` (Amazon Bedrock API
/// reference, `EvaluationPrecomputedRetrieveSourceConfig`). A name that is not so gets what is missing to tell it from
/// others as a hash.
fn source_identifier(knowledge_base: &Key) -> String {
    let name = knowledge_base.as_str();
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
    if name.chars().all(allowed) && name.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return name.to_owned();
    }
    let readable: String = name.chars().map(|character| if allowed(character) { character } else { '-' }).collect();
    let hash = Id::of("knowledge-base", &[name]);
    format!("kb-{readable}-{}", &hash.as_str()[..8])
}
