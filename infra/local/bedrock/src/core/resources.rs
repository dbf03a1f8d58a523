//! Knowledge bases and data sources themselves.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::documents::{Direct, Document};
use super::error::{CallError, ErrorCode, Refusal};
use super::{Bedrock, Operation, check_id};

/// A knowledge base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KnowledgeBase {
    /// Ten letters and digits.
    pub id: String,
    /// Unique in the account.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// What a knowledge base is created from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewKnowledgeBase {
    /// The identifier, so that configurations and tests can name it beforehand; made up if not set.
    pub id: Option<String>,
    /// The name, unique in the account.
    pub name: String,
}

/// Where a data source's documents come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum DataSourceKind {
    /// A bucket, or the parts of it under these prefixes.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// Only keys that begin with one of these; all if empty.
        #[serde(default)]
        inclusion_prefixes: Vec<String>,
    },
    /// Anything else (WEB, CONFLUENCE, …): it exists, and that is all that is modelled of it. Its jobs fail.
    Other {
        /// The API's name for the type.
        name: String,
    },
}

impl DataSourceKind {
    /// All of a bucket.
    pub fn bucket(bucket: impl Into<String>) -> Self {
        Self::S3 { bucket: bucket.into(), inclusion_prefixes: Vec::new() }
    }

    /// A part of a bucket.
    pub fn prefix(bucket: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self::S3 { bucket: bucket.into(), inclusion_prefixes: vec![prefix.into()] }
    }

    /// The API's name for the type.
    #[must_use]
    pub fn type_name(&self) -> &str {
        match self {
            Self::S3 { .. } => "S3",
            Self::Other { name } => name,
        }
    }

    /// Whether a key belongs to the data source.
    #[must_use]
    pub fn includes(&self, key: &str) -> bool {
        match self {
            Self::S3 { inclusion_prefixes, .. } => {
                inclusion_prefixes.is_empty() || inclusion_prefixes.iter().any(|prefix| key.starts_with(prefix))
            }
            Self::Other { .. } => false,
        }
    }
}

/// A data source of a knowledge base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DataSource {
    /// Ten letters and digits.
    pub id: String,
    /// The knowledge base that it feeds.
    pub knowledge_base: String,
    /// Its name.
    pub name: String,
    /// Where its documents come from.
    pub kind: DataSourceKind,
    /// When it was created.
    pub created_at: Timestamp,
}

/// What a data source is created from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDataSource {
    /// The identifier, so that configurations and tests can name it beforehand; made up if not set.
    pub id: Option<String>,
    /// The knowledge base.
    pub knowledge_base: String,
    /// The name.
    pub name: String,
    /// Where its documents come from.
    pub kind: DataSourceKind,
}

/// A data source with what happens on it.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) data_source: DataSource,
    pub(super) documents: BTreeMap<String, Document>,
    /// Sidecar keys with the ETags of the last job that saw them.
    pub(super) metadata: BTreeMap<String, String>,
    /// The job that runs, as its place in the account's list.
    pub(super) job: Option<usize>,
    pub(super) direct: VecDeque<Direct>,
}

impl Bedrock {
    /// `CreateKnowledgeBase`.
    pub fn create_knowledge_base(&mut self, now: Timestamp, new: NewKnowledgeBase) -> Result<KnowledgeBase, CallError> {
        self.call(now, Operation::CreateKnowledgeBase, "", "", |this| {
            if this.knowledge_bases.values().any(|other| other.name == new.name) {
                let message = format!("KnowledgeBase with name {} already exists.", new.name);
                return Err(Refusal::of(ErrorCode::Conflict, message));
            }
            let id = this.given_or_next_id("knowledgeBaseId", new.id, "KB")?;
            let created = KnowledgeBase { id, name: new.name, created_at: this.now };
            this.knowledge_bases.insert(created.id.clone(), created.clone());
            Ok(created)
        })
    }

    /// `GetKnowledgeBase`.
    pub fn get_knowledge_base(&mut self, now: Timestamp, knowledge_base: &str) -> Result<KnowledgeBase, CallError> {
        self.call(now, Operation::GetKnowledgeBase, knowledge_base, "", |this| this.knowledge_base(knowledge_base).cloned())
    }

    /// `ListKnowledgeBases`, in one page.
    pub fn list_knowledge_bases(&mut self, now: Timestamp) -> Result<Vec<KnowledgeBase>, CallError> {
        self.call(now, Operation::ListKnowledgeBases, "", "", |this| Ok(this.knowledge_bases.values().cloned().collect()))
    }

    /// `DeleteKnowledgeBase`, with its data sources.
    pub fn delete_knowledge_base(&mut self, now: Timestamp, knowledge_base: &str) -> Result<(), CallError> {
        self.call(now, Operation::DeleteKnowledgeBase, knowledge_base, "", |this| {
            this.knowledge_base(knowledge_base)?;
            let sources: Vec<String> = this
                .data_sources
                .values()
                .filter(|source| source.data_source.knowledge_base == knowledge_base)
                .map(|source| source.data_source.id.clone())
                .collect();
            for id in &sources {
                this.refuse_if_busy(id)?;
            }
            for id in &sources {
                this.drop_data_source(id);
            }
            this.knowledge_bases.remove(knowledge_base);
            Ok(())
        })
    }

    /// `CreateDataSource`.
    pub fn create_data_source(&mut self, now: Timestamp, new: NewDataSource) -> Result<DataSource, CallError> {
        let knowledge_base = new.knowledge_base.clone();
        self.call(now, Operation::CreateDataSource, &knowledge_base, "", |this| {
            this.knowledge_base(&new.knowledge_base)?;
            let same_name =
                |source: &Source| source.data_source.knowledge_base == new.knowledge_base && source.data_source.name == new.name;
            if this.data_sources.values().any(same_name) {
                let message = format!("DataSource with name {} already exists.", new.name);
                return Err(Refusal::of(ErrorCode::Conflict, message));
            }
            let id = this.given_or_next_id("dataSourceId", new.id, "DS")?;
            let created = DataSource { id, knowledge_base: new.knowledge_base, name: new.name, kind: new.kind, created_at: this.now };
            let source = Source {
                data_source: created.clone(),
                documents: BTreeMap::new(),
                metadata: BTreeMap::new(),
                job: None,
                direct: VecDeque::new(),
            };
            this.data_sources.insert(created.id.clone(), source);
            Ok(created)
        })
    }

    /// `GetDataSource`.
    pub fn get_data_source(&mut self, now: Timestamp, knowledge_base: &str, data_source: &str) -> Result<DataSource, CallError> {
        self.call(now, Operation::GetDataSource, knowledge_base, data_source, |this| {
            this.source(knowledge_base, data_source).map(|source| source.data_source.clone())
        })
    }

    /// `ListDataSources`, in one page.
    pub fn list_data_sources(&mut self, now: Timestamp, knowledge_base: &str) -> Result<Vec<DataSource>, CallError> {
        self.call(now, Operation::ListDataSources, knowledge_base, "", |this| {
            this.knowledge_base(knowledge_base)?;
            Ok(this
                .data_sources
                .values()
                .filter(|source| source.data_source.knowledge_base == knowledge_base)
                .map(|source| source.data_source.clone())
                .collect())
        })
    }

    /// `DeleteDataSource`, with its documents in the index (the deletion policy DELETE).
    pub fn delete_data_source(&mut self, now: Timestamp, knowledge_base: &str, data_source: &str) -> Result<(), CallError> {
        self.call(now, Operation::DeleteDataSource, knowledge_base, data_source, |this| {
            this.source(knowledge_base, data_source)?;
            this.refuse_if_busy(data_source)?;
            this.drop_data_source(data_source);
            Ok(())
        })
    }

    /// A data source as it is configured, without a call being made: for those who stand in for the service's own
    /// access to it.
    #[must_use]
    pub fn data_source(&self, data_source: &str) -> Option<&DataSource> {
        self.data_sources.get(data_source).map(|source| &source.data_source)
    }

    /// All data sources, without a call being made.
    pub fn data_sources(&self) -> impl Iterator<Item = &DataSource> {
        self.data_sources.values().map(|source| &source.data_source)
    }

    pub(super) fn knowledge_base(&self, id: &str) -> Result<&KnowledgeBase, Refusal> {
        check_id("knowledgeBaseId", id)?;
        self.knowledge_bases.get(id).ok_or_else(|| Refusal::not_found("KnowledgeBase", id))
    }

    pub(super) fn source(&self, knowledge_base: &str, data_source: &str) -> Result<&Source, Refusal> {
        check_id("dataSourceId", data_source)?;
        self.knowledge_base(knowledge_base)?;
        self.data_sources
            .get(data_source)
            .filter(|source| source.data_source.knowledge_base == knowledge_base)
            .ok_or_else(|| Refusal::not_found("DataSource", data_source))
    }

    fn given_or_next_id(&mut self, what: &str, given: Option<String>, prefix: &str) -> Result<String, Refusal> {
        let Some(id) = given else {
            let taken = |this: &Self, id: &str| this.knowledge_bases.contains_key(id) || this.data_sources.contains_key(id);
            let mut id = self.next_id(prefix);
            while taken(self, &id) {
                id = self.next_id(prefix);
            }
            return Ok(id);
        };
        check_id(what, &id)?;
        if self.knowledge_bases.contains_key(&id) || self.data_sources.contains_key(&id) {
            return Err(Refusal::of(ErrorCode::Conflict, format!("The id {id} is taken.")));
        }
        Ok(id)
    }

    fn refuse_if_busy(&self, data_source: &str) -> Result<(), Refusal> {
        if self.busy.contains(data_source) {
            let message = format!("DataSource {data_source} has an ingestion under way and cannot be deleted.");
            return Err(Refusal::of(ErrorCode::Conflict, message));
        }
        Ok(())
    }

    fn drop_data_source(&mut self, id: &str) {
        let Some(source) = self.data_sources.remove(id) else { return };
        let DataSourceKind::S3 { bucket, .. } = &source.data_source.kind else { return };
        for (key, document) in source.documents {
            if document.indexed_etag.is_some() {
                self.index_changes.push(super::IndexChange::Remove {
                    knowledge_base: source.data_source.knowledge_base.clone(),
                    data_source: id.to_owned(),
                    bucket: bucket.clone(),
                    key,
                });
            }
        }
    }
}
