//! What a finding about a topic brings: its knowledge bases are made fresh, if that can help.

use serde::{Deserialize, Serialize};

use crate::{DataSourceId, Id};

/// A complete action: synchronise these data sources, since a topic that they serve fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refresh {
    /// The finding.
    pub finding: Id,
    /// The data sources.
    pub data_sources: Vec<DataSourceId>,
    /// Signals of the finding, whose questions are asked again afterwards.
    pub examples: Vec<Id>,
    /// Decided only: the policy says dry run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// A reasoned "this would not help".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshHold {
    /// The finding.
    pub finding: Id,
    /// The data source, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_source: Option<DataSourceId>,
    /// Why, and what else could be looked at.
    pub reason: String,
}

/// A data source is synchronised as a finding asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refreshed {
    /// The finding.
    pub finding: Id,
    /// The data source.
    pub data_source: DataSourceId,
}

/// The failed questions, asked again of a knowledge base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedAgain {
    /// The finding.
    pub finding: Id,
    /// The knowledge base.
    pub knowledge_base: String,
    /// Questions that were asked.
    pub asked: u32,
    /// Of those, how many had found something when they failed.
    pub found_before: u32,
    /// Of those, how many find something now.
    pub found_now: u32,
    /// Of the finding's signals, how many have no question that could be asked: none is kept, or it was refused.
    pub without_question: u32,
}
