//! Identifiers.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The identity of an event: a hash of what it is about, never of when it was made. Whoever comes to the same event
/// again, after a redelivery or a crash, gives it the same id, and the ledger keeps it once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(String);

impl Id {
    /// The id for a stage of the way and the parts that tell its event from all others of that stage.
    #[must_use]
    pub fn of(stage: &str, parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in std::iter::once(&stage).chain(parts) {
            // The length keeps ("ab", "c") and ("a", "bc") apart.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Self(hex::encode(&hash.finalize()[..16]))
    }

    /// The 32 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_id = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_id { Ok(Self(text.to_owned())) } else { Err(format!("{text:?} is no id of an event: 32 hexadecimal digits")) }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One data source of one Bedrock knowledge base.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DataSourceId {
    /// The knowledge base's id, 10 letters and digits.
    pub knowledge_base: String,
    /// The data source's id, 10 letters and digits.
    pub data_source: String,
}

impl DataSourceId {
    /// Names a data source.
    pub fn new(knowledge_base: impl Into<String>, data_source: impl Into<String>) -> Self {
        Self { knowledge_base: knowledge_base.into(), data_source: data_source.into() }
    }

    /// How the ledger calls it.
    #[must_use]
    pub fn subject(&self) -> String {
        format!("data-source/{self}")
    }
}

impl fmt::Display for DataSourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.knowledge_base, self.data_source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_join_to_the_same_text_have_different_ids() {
        assert_ne!(Id::of("stage", &["ab", "c"]), Id::of("stage", &["a", "bc"]));
        assert_ne!(Id::of("stage", &["a"]), Id::of("stage", &["a", ""]));
    }
}
