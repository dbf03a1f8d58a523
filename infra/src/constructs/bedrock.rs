use std::collections::{BTreeMap, BTreeSet};

use flywheel_policy::Policy;
use serde_json::json;

use super::Grant;
use crate::cfn;

/// The knowledge bases that the policy names. They are the team's own: the stack grants on them and creates none.
#[derive(Debug)]
pub struct KnowledgeBases(BTreeSet<String>);

impl KnowledgeBases {
    /// Those of the policy.
    #[must_use]
    pub fn of(policy: &Policy) -> Self {
        let watched = policy.data_sources.iter().map(|source| &source.id);
        Self(watched.chain(&policy.unseen_sources).map(|id| id.knowledge_base.clone()).collect())
    }

    /// Leave to bring them in step with their documents.
    #[must_use]
    pub fn sync(&self) -> Grant {
        self.grant(
            "SyncKnowledgeBases",
            [
                "bedrock:StartIngestionJob",
                "bedrock:GetIngestionJob",
                "bedrock:GetDataSource",
                "bedrock:IngestKnowledgeBaseDocuments",
                "bedrock:DeleteKnowledgeBaseDocuments",
                "bedrock:GetKnowledgeBaseDocuments",
            ],
        )
    }

    /// Leave to ask them.
    #[must_use]
    pub fn retrieve(&self) -> Grant {
        self.grant("Retrieve", ["bedrock:Retrieve"])
    }

    fn grant(&self, sid: &'static str, actions: impl Into<Vec<&'static str>>) -> Grant {
        let arn = |id| cfn::sub(format!("arn:${{AWS::Partition}}:bedrock:${{AWS::Region}}:${{AWS::AccountId}}:knowledge-base/{id}"));
        Grant::new(sid, actions, self.0.iter().map(arn).collect())
    }
}

/// The buckets of documents that the policy names, the team's own as well.
#[derive(Debug)]
pub struct Documents {
    /// The buckets that share a set of prefixes: one statement each keeps a role of many data sources within its size.
    buckets: BTreeMap<BTreeSet<String>, BTreeSet<String>>,
}

impl Documents {
    /// Those of the policy.
    #[must_use]
    pub fn of(policy: &Policy) -> Self {
        let mut prefixes = BTreeMap::<&str, BTreeSet<String>>::new();
        for source in &policy.data_sources {
            prefixes.entry(&source.bucket).or_default().insert(source.prefix.clone());
        }
        let mut buckets = BTreeMap::<_, BTreeSet<_>>::new();
        for (bucket, prefixes) in prefixes {
            buckets.entry(prefixes).or_default().insert(bucket.to_owned());
        }
        Self { buckets }
    }

    /// Leave to list what lies under the data sources' prefixes, and nothing beside them.
    #[must_use]
    pub fn list(&self) -> Vec<Grant> {
        self.buckets
            .iter()
            .map(|(prefixes, buckets)| {
                let resources = buckets.iter().map(|bucket| cfn::sub(format!("arn:${{AWS::Partition}}:s3:::{bucket}"))).collect();
                let patterns: Vec<String> = prefixes.iter().map(|prefix| format!("{}*", escape(prefix))).collect();
                Grant::new("ListDocuments", ["s3:ListBucket"], resources).when(json!({ "StringLike": { "s3:prefix": patterns } }))
            })
            .collect()
    }
}

/// A prefix may hold what IAM reads as a wildcard or a variable: `${*}` is a star, `${?}` a question mark, `${$}` a
/// dollar sign (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html>).
fn escape(prefix: &str) -> String {
    prefix
        .chars()
        .map(|char| match char {
            '*' | '?' | '$' => format!("${{{char}}}"),
            char => char.to_string(),
        })
        .collect()
}
