//! What stands in the account that a policy may name, as far as it may be looked at.

use anyhow::Result;
use aws_config::SdkConfig;
use aws_sdk_bedrockagent::types::DataSourceType;
use futures::StreamExt;
use serde::Serialize;

use crate::site::said;

/// The most things of a kind that are looked at: a first policy is read by people.
const AT_MOST: usize = 1_000;

/// Data sources asked at the same time.
const AT_ONCE: usize = 4;

/// What was found, and what was not allowed.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Discovered {
    pub(crate) knowledge_bases: Vec<KnowledgeBase>,
    pub(crate) queues: Vec<String>,
    pub(crate) functions: Vec<Function>,
    pub(crate) log_groups: Vec<String>,
    /// What could not be looked at, with AWS's reason.
    pub(crate) refused: Vec<String>,
}

/// A knowledge base with its data sources.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct KnowledgeBase {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) sources: Vec<Source>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Source {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// What a data source reads.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    S3 { bucket: String, prefix: String },
    Other(String),
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) timeout_seconds: u32,
}

/// Looks around. What belongs to the stack itself is left out.
pub(crate) async fn discover(sdk: &SdkConfig, stack: &str) -> Discovered {
    let (bases, queues, functions, log_groups) = futures::join!(knowledge_bases(sdk), queues(sdk), functions(sdk), log_groups(sdk));
    let mut discovered = Discovered::default();
    let refused = &mut discovered.refused;
    let own = |name: &str| name.rsplit('/').next().and_then(|name| name.strip_prefix(stack)).is_some_and(|rest| rest.starts_with('-'));
    let (bases, told) = keep("Bedrock's knowledge bases", bases, refused).unwrap_or_default();
    let mut queues: Vec<String> = keep("SQS's queues", queues, refused).unwrap_or_default();
    let mut functions: Vec<Function> = keep("Lambda's functions", functions, refused).unwrap_or_default();
    let mut log_groups: Vec<String> = keep("the log groups", log_groups, refused).unwrap_or_default();
    refused.extend(told);
    queues.retain(|name| !own(name));
    functions.retain(|function| !own(&function.name));
    log_groups.retain(|name| !own(name));
    Discovered { knowledge_bases: bases, queues, functions, log_groups, refused: discovered.refused }
}

/// What was found, or nothing with the reason.
fn keep<T>(what: &str, found: Result<T, String>, refused: &mut Vec<String>) -> Option<T> {
    found.map_err(|why| refused.push(format!("{what}: {why}"))).ok()
}

/// Knowledge bases with their data sources, and which of them could not be looked at.
async fn knowledge_bases(sdk: &SdkConfig) -> Result<(Vec<KnowledgeBase>, Vec<String>), String> {
    let client = aws_sdk_bedrockagent::Client::new(sdk);
    let mut listed = client.list_knowledge_bases().into_paginator().items().send();
    let (mut bases, mut refused) = (Vec::new(), Vec::new());
    while let Some(base) = listed.next().await.filter(|_| bases.len() < AT_MOST) {
        let base = base.map_err(|error| said(&error))?;
        let sources = sources(&client, &base.knowledge_base_id, &mut refused).await;
        bases.push(KnowledgeBase { id: base.knowledge_base_id, name: base.name, sources });
    }
    Ok((bases, refused))
}

async fn sources(client: &aws_sdk_bedrockagent::Client, base: &str, refused: &mut Vec<String>) -> Vec<Source> {
    let mut listed = client.list_data_sources().knowledge_base_id(base).into_paginator().items().send();
    let mut named = Vec::new();
    while let Some(source) = listed.next().await {
        match source {
            Ok(source) => named.push((source.data_source_id, source.name)),
            Err(error) => {
                refused.push(format!("the data sources of {base}: {}", said(&error)));
                break;
            }
        }
    }
    let asking = named.into_iter().map(async |(id, name)| {
        let kind = kind(client, base, &id).await.map_err(|why| format!("the data source {base}/{id}: {why}"));
        kind.map(|kind| Source { id, name, kind })
    });
    let answers: Vec<Result<Source, String>> = futures::stream::iter(asking).buffered(AT_ONCE).collect().await;
    answers.into_iter().filter_map(|answer| answer.map_err(|why| refused.push(why)).ok()).collect()
}

async fn kind(client: &aws_sdk_bedrockagent::Client, base: &str, source: &str) -> Result<Kind, String> {
    let found = client.get_data_source().knowledge_base_id(base).data_source_id(source).send().await.map_err(|error| said(&error))?;
    let configuration = found.data_source.and_then(|source| source.data_source_configuration).ok_or("it has no configuration")?;
    Ok(match (configuration.r#type, configuration.s3_configuration) {
        (DataSourceType::S3, Some(s3)) => Kind::S3 {
            bucket: s3.bucket_arn.rsplit(':').next().unwrap_or_default().to_owned(),
            prefix: s3.inclusion_prefixes.and_then(|prefixes| prefixes.into_iter().next()).unwrap_or_default(),
        },
        (other, _) => Kind::Other(other.as_str().to_owned()),
    })
}

async fn queues(sdk: &SdkConfig) -> Result<Vec<String>, String> {
    let mut listed = aws_sdk_sqs::Client::new(sdk).list_queues().into_paginator().items().send();
    let mut names = Vec::new();
    while let Some(url) = listed.next().await.filter(|_| names.len() < AT_MOST) {
        let url = url.map_err(|error| said(&error))?;
        names.push(url.rsplit('/').next().unwrap_or_default().to_owned());
    }
    Ok(names)
}

async fn functions(sdk: &SdkConfig) -> Result<Vec<Function>, String> {
    let mut listed = aws_sdk_lambda::Client::new(sdk).list_functions().into_paginator().items().send();
    let mut functions = Vec::new();
    while let Some(function) = listed.next().await.filter(|_| functions.len() < AT_MOST) {
        let function = function.map_err(|error| said(&error))?;
        let seconds = function.timeout.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or_default();
        functions.extend(function.function_name.map(|name| Function { name, timeout_seconds: seconds }));
    }
    Ok(functions)
}

/// Those that tell of what a GenAI application does, by their names.
async fn log_groups(sdk: &SdkConfig) -> Result<Vec<String>, String> {
    const TELLING: [&str; 4] = ["aws/spans", "/aws/bedrock", "/aws/vendedlogs/bedrock", "/aws/lambda/"];
    let mut listed = aws_sdk_cloudwatchlogs::Client::new(sdk).describe_log_groups().into_paginator().items().send();
    let mut names = Vec::new();
    while let Some(group) = listed.next().await.filter(|_| names.len() < AT_MOST) {
        let group = group.map_err(|error| said(&error))?;
        names.extend(group.log_group_name.filter(|name| TELLING.iter().any(|beginning| name.starts_with(beginning))));
    }
    Ok(names)
}
