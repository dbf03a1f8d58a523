//! Documents and their changes.

use std::cmp::Ordering;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Id;

/// A document in S3.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DocumentId {
    /// The bucket's name.
    pub bucket: String,
    /// The key, as it is: not URL-encoded. Up to 1,024 bytes.
    pub key: String,
}

impl DocumentId {
    /// Names a document.
    pub fn new(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), key: key.into() }
    }

    /// How the ledger calls it: by a hash, since a key can be as long as a whole DynamoDB sort key may be.
    #[must_use]
    pub fn subject(&self) -> String {
        format!("document/{}", Id::of("document", &[&self.bucket, &self.key]))
    }

    /// The address that Bedrock takes: `s3://bucket/key`.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uri())
    }
}

/// What happened to a document. A hint, not the truth: the object's present state in S3 decides what is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It was created or overwritten.
    Written,
    /// It was deleted, or a delete marker now hides it.
    Deleted,
    /// One of its versions was deleted for good. It may still exist.
    VersionDeleted,
    /// The metadata file beside it changed.
    MetadataChanged,
    /// It was overwritten with nothing: there is nothing left to index, and what was indexed is no longer true.
    Emptied,
}

/// A signal: a document changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentChange {
    /// Which document.
    pub document: DocumentId,
    /// What happened.
    pub change: ChangeKind,
    /// S3's order of the changes of one key.
    pub sequencer: Sequencer,
    /// When it happened, by S3's clock. EventBridge carries whole seconds.
    pub at: Timestamp,
    /// Size in bytes, where the event says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

impl DocumentChange {
    /// The signal's id: one for each change of a key, however often it is delivered.
    #[must_use]
    pub fn id(&self) -> Id {
        Id::of("signal.document-changed", &[&self.document.bucket, &self.document.key, self.sequencer.as_str()])
    }
}

/// S3's order of the changes of one key: hexadecimal digits, compared as numbers of any length (Amazon S3 user guide,
/// "Event message structure").
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sequencer(String);

/// A text that is not a sequencer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequencerError(String);

impl fmt::Display for SequencerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sequencer {:?} is not 1 to 64 hexadecimal digits", self.0)
    }
}

impl std::error::Error for SequencerError {}

impl TryFrom<String> for Sequencer {
    type Error = SequencerError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            // One spelling for one number: no leading zeros, capitals.
            let digits = text.trim_start_matches('0').to_ascii_uppercase();
            Ok(Self(if digits.is_empty() { "0".to_owned() } else { digits }))
        } else {
            Err(SequencerError(text.chars().take(80).collect()))
        }
    }
}

impl From<Sequencer> for String {
    fn from(sequencer: Sequencer) -> Self {
        sequencer.0
    }
}

impl Sequencer {
    /// The digits, without leading zeros, in capitals.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Ord for Sequencer {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Sequencer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sequencer(text: &str) -> Sequencer {
        Sequencer::try_from(text.to_owned()).expect("hexadecimal")
    }

    #[test]
    fn sequencers_of_different_length_compare_as_numbers() {
        assert!(sequencer("0055AED6DCD90281E5") > sequencer("55AED6DCD90281E4"));
        assert!(sequencer("100") > sequencer("FF"));
        assert_eq!(sequencer("00ab"), sequencer("AB"));
    }

    #[test]
    fn refuses_what_is_not_hexadecimal() {
        for text in ["", "xyz", "12 34", "{{sequencer}}"] {
            assert!(Sequencer::try_from(text.to_owned()).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn order_is_that_of_the_numbers(a: u64, b: u64, zeros in 0_usize..4) {
            let left = sequencer(&format!("{}{a:x}", "0".repeat(zeros)));
            let right = sequencer(&format!("{b:X}"));
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
        }
    }
}
