//! A strict reader of datasets for Bedrock's RAG evaluation jobs, which has no offline validator of its own. Fields and
//! limits: Amazon Bedrock user guide, "Create a prompt dataset for a RAG evaluation" and its pages on retrieve-only and on
//! retrieve-and-generate jobs.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// What a dataset is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    Retrieve,
    Generate,
    ByoiRetrieve,
    ByoiGenerate,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Prompt {
    pub(crate) conversation_turns: Vec<ConversationTurn>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ConversationTurn {
    pub(crate) prompt: Message,
    pub(crate) reference_responses: Option<Vec<Message>>,
    #[allow(dead_code, reason = "it may be there")]
    reference_contexts: Option<Vec<Message>>,
    pub(crate) output: Option<Output>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Message {
    content: Vec<Text>,
}

impl Message {
    pub(crate) fn text(&self) -> String {
        self.content.iter().map(|part| part.text.as_str()).collect()
    }
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    text: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Output {
    pub(crate) text: Option<String>,
    #[allow(dead_code, reason = "it may be there")]
    model_identifier: Option<String>,
    pub(crate) knowledge_base_identifier: String,
    retrieved_results: Option<Retrieved>,
    pub(crate) retrieved_passages: Option<Retrieved>,
    #[allow(dead_code, reason = "it may be there")]
    citations: Option<Vec<Citation>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Retrieved {
    retrieval_results: Vec<Passage>,
}

impl Retrieved {
    pub(crate) fn texts(&self) -> Vec<String> {
        self.retrieval_results.iter().map(|passage| passage.content.text.clone()).collect()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "name and metadata may be there")]
struct Passage {
    name: Option<String>,
    content: Text,
    metadata: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code, reason = "it may be there")]
struct Citation {
    generated_response_part: serde_json::Value,
    retrieved_references: Vec<Passage>,
}

/// The prompts of a dataset, or everything that is against the guide.
pub(crate) fn read(dataset: &str, job: Job) -> Result<Vec<Prompt>, Vec<String>> {
    let mut prompts = Vec::new();
    let mut problems = Vec::new();
    let mut sources = BTreeSet::new();
    for (number, line) in dataset.lines().enumerate() {
        match serde_json::from_str::<Prompt>(line) {
            Ok(prompt) => {
                problems.extend(against_the_guide(&prompt, job).into_iter().map(|problem| format!("line {}: {problem}", number + 1)));
                let outputs = prompt.conversation_turns.iter().filter_map(|turn| turn.output.as_ref());
                sources.extend(outputs.map(|output| output.knowledge_base_identifier.clone()));
                prompts.push(prompt);
            }
            Err(error) => problems.push(format!("line {}: {error}", number + 1)),
        }
    }
    if !(1..=1_000).contains(&prompts.len()) {
        problems.push(format!("{} prompts; a job takes 1 to 1,000", prompts.len()));
    }
    if sources.len() > 1 {
        problems.push(format!("a job evaluates one RAG source, not {sources:?}"));
    }
    if problems.is_empty() { Ok(prompts) } else { Err(problems) }
}

fn against_the_guide(prompt: &Prompt, job: Job) -> Vec<String> {
    let mut problems = Vec::new();
    let most_turns = if matches!(job, Job::Generate | Job::ByoiGenerate) { 5 } else { 1 };
    let turns = &prompt.conversation_turns;
    if !(1..=most_turns).contains(&turns.len()) {
        problems.push(format!("{} turns; {job:?} takes 1 to {most_turns}", turns.len()));
    }
    let empty = |message: &Message| message.text().trim().is_empty();
    for (number, turn) in turns.iter().enumerate() {
        if empty(&turn.prompt) {
            problems.push("a prompt is empty".to_owned());
        }
        let is_last = number + 1 == turns.len();
        if is_last && !turn.reference_responses.as_ref().is_some_and(|responses| responses.iter().any(|message| !empty(message))) {
            problems.push("there is no reference response".to_owned());
        }
        let named = |output: &Output| {
            let name = &output.knowledge_base_identifier;
            name.len() <= 256
                && name.starts_with(|first: char| first.is_ascii_alphanumeric())
                && name.chars().all(|character| character.is_ascii_alphanumeric() || "._-".contains(character))
        };
        let found = |retrieved: &Option<Retrieved>| retrieved.as_ref().is_some_and(|retrieved| !retrieved.retrieval_results.is_empty());
        let is_right = match (&turn.output, job) {
            (None, Job::Retrieve | Job::Generate) => true,
            (Some(output), Job::ByoiRetrieve) => named(output) && found(&output.retrieved_results) && output.retrieved_passages.is_none(),
            (Some(output), Job::ByoiGenerate) => {
                named(output) && output.text.is_some() && found(&output.retrieved_passages) && output.retrieved_results.is_none()
            }
            _ => false,
        };
        if !is_right {
            problems.push(format!("this is no output for {job:?}: {:?}", turn.output));
        }
    }
    problems
}
