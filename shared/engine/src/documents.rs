//! What Flywheel knows of each document: its last change, and what became of it.

use flywheel_model::{ChangeKind, DocumentChange, DocumentId, Fate, Id, Sequencer};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The ending of the metadata file that may stand beside a document (Bedrock user guide, "Include metadata in a data
/// source"). A change of it concerns the document.
pub const METADATA_ENDING: &str = ".metadata.json";

/// A document of one data source, as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Which document.
    #[serde(flatten)]
    pub id: DocumentId,
    /// S3's place of the document's last change in the order of its changes; none while only its metadata file changed.
    pub sequencer: Option<Sequencer>,
    /// The same for its metadata file, whose key has an order of its own.
    pub metadata_sequencer: Option<Sequencer>,
    /// What the last change was.
    pub change: ChangeKind,
    /// When S3 dates the last change.
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub changed_at: Timestamp,
    /// The signal that reported it.
    pub signal: Id,
    /// What became of it.
    pub status: Status,
    /// How often it failed since its last change.
    pub attempts: u32,
    /// Counts the writes of this record, so that two writers cannot overwrite each other unseen.
    pub revision: u64,
}

/// What became of a document's last change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Status {
    /// Not yet in the index.
    Pending {
        /// Not to be sent before this, after a failure.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
        /// Claimed for direct ingestion or deletion at this time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sent_at: Option<Timestamp>,
        /// Bedrock took the request; the document's fate is still to be learned. Without this the request may never
        /// have been made, and what Bedrock says of the document may concern an earlier content.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        accepted: bool,
        /// It changed after it was sent: once that request is done with, it is to be sent again. Two requests for one
        /// document at a time could not be told apart by the document's state.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        overtaken: bool,
    },
    /// The index has its present content.
    Indexed,
    /// The index no longer has it.
    Deleted,
    /// It failed as often as the policy allows.
    Quarantined {
        /// Bedrock's reason.
        reason: String,
    },
}

/// What recording a change did.
#[allow(clippy::large_enum_variant, reason = "looked at once and taken apart")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noted {
    /// It is news: this is to be recorded.
    News(Document),
    /// It was recorded before.
    Duplicate,
    /// A later change of the document is recorded already.
    Stale,
}

/// Whether a key is the placeholder that consoles and tools make for an empty folder. It holds nothing to index.
#[must_use]
pub fn is_folder_placeholder(key: &str) -> bool {
    key.ends_with('/')
}

/// The document that a change concerns: a metadata file's change concerns the document beside it.
#[must_use]
pub fn concerned_document(mut change: DocumentChange) -> DocumentChange {
    if let Some(key) = change.document.key.strip_suffix(METADATA_ENDING)
        && !key.is_empty()
        && !key.ends_with('/')
    {
        change.document.key = key.to_owned();
        change.change = ChangeKind::MetadataChanged;
        change.size = None;
    }
    change
}

/// Takes a change into what is known of its document. `signal` is the id under which the change was reported.
#[must_use]
pub fn note(known: Option<Document>, change: &DocumentChange, signal: Id) -> Noted {
    let about_metadata = change.change == ChangeKind::MetadataChanged;
    if let Some(document) = &known {
        let last = if about_metadata { &document.metadata_sequencer } else { &document.sequencer };
        match last.as_ref().map(|last| change.sequencer.cmp(last)) {
            Some(std::cmp::Ordering::Less) => return Noted::Stale,
            Some(std::cmp::Ordering::Equal) => return Noted::Duplicate,
            Some(std::cmp::Ordering::Greater) | None => {}
        }
    }
    let revision = known.as_ref().map_or(0, |document| document.revision);
    // The document's and its metadata file's events have no common order: the later of the two is what a job must cover.
    let changed_at = known.as_ref().map_or(change.at, |document| document.changed_at.max(change.at));
    let sent_at = known.as_ref().and_then(Document::sent_at);
    let accepted = known.as_ref().is_some_and(Document::is_accepted);
    let (mut sequencer, mut metadata_sequencer) = known.map_or((None, None), |document| (document.sequencer, document.metadata_sequencer));
    if about_metadata {
        metadata_sequencer = Some(change.sequencer.clone());
    } else {
        sequencer = Some(change.sequencer.clone());
    }
    Noted::News(Document {
        id: change.document.clone(),
        sequencer,
        metadata_sequencer,
        change: change.change,
        changed_at,
        signal,
        status: Status::Pending { retry_at: None, sent_at, accepted, overtaken: sent_at.is_some() },
        attempts: 0,
        revision,
    })
}

impl Document {
    /// Whether its fate is still open.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        matches!(self.status, Status::Pending { .. })
    }

    /// When it was claimed for direct ingestion or deletion, if its fate is still to be learned.
    #[must_use]
    pub const fn sent_at(&self) -> Option<Timestamp> {
        match self.status {
            Status::Pending { sent_at, .. } => sent_at,
            _ => None,
        }
    }

    /// Whether Bedrock took the request that it was sent with.
    #[must_use]
    pub const fn is_accepted(&self) -> bool {
        matches!(self.status, Status::Pending { accepted: true, .. })
    }

    /// Whether it changed after it was sent.
    #[must_use]
    pub const fn is_overtaken(&self) -> bool {
        matches!(self.status, Status::Pending { overtaken: true, .. })
    }

    /// When it may be sent again after a failure.
    #[must_use]
    pub const fn retry_at(&self) -> Option<Timestamp> {
        match self.status {
            Status::Pending { retry_at, .. } => retry_at,
            _ => None,
        }
    }

    /// The same document with its fate known.
    #[must_use]
    pub fn settled(mut self, fate: &Fate) -> Self {
        self.status = match fate {
            Fate::Indexed => Status::Indexed,
            Fate::Deleted => Status::Deleted,
            Fate::Quarantined { reason } => Status::Quarantined { reason: reason.clone() },
        };
        self
    }

    /// The same document, claimed to be sent.
    #[must_use]
    pub fn sent(mut self, at: Timestamp) -> Self {
        self.status = Status::Pending { retry_at: None, sent_at: Some(at), accepted: false, overtaken: false };
        self
    }

    /// The same document, with the request that it was sent with taken.
    #[must_use]
    pub fn accepted(mut self) -> Self {
        self.status = Status::Pending { retry_at: None, sent_at: self.sent_at(), accepted: true, overtaken: false };
        self
    }

    /// The same document, to be sent again at a time, or at once.
    #[must_use]
    pub fn waiting(mut self, retry_at: Option<Timestamp>) -> Self {
        self.status = Status::Pending { retry_at, sent_at: None, accepted: false, overtaken: false };
        self
    }

    /// Tells this change of the document from its others: both orders it stands in.
    #[must_use]
    pub fn version(&self) -> String {
        let digits = |sequencer: &Option<Sequencer>| sequencer.as_ref().map_or("-", Sequencer::as_str).to_owned();
        format!("{}.{}", digits(&self.sequencer), digits(&self.metadata_sequencer))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change(kind: ChangeKind, sequencer: u64) -> DocumentChange {
        DocumentChange {
            document: DocumentId::new("docs", "a.md"),
            change: kind,
            sequencer: Sequencer::try_from(format!("{sequencer:x}")).expect("hexadecimal"),
            at: Timestamp::from_second(1_000 + i64::try_from(sequencer).expect("small")).expect("in range"),
            size: None,
        }
    }

    fn after(changes: &[DocumentChange]) -> Option<Document> {
        changes.iter().fold(None, |known, change| match note(known.clone(), change, change.id()) {
            Noted::News(document) => Some(document),
            Noted::Duplicate | Noted::Stale => known,
        })
    }

    #[test]
    fn a_late_older_event_does_not_undo_a_newer_one() {
        let document = after(&[change(ChangeKind::Deleted, 5), change(ChangeKind::Written, 4)]).expect("recorded");
        assert_eq!(document.change, ChangeKind::Deleted);
    }

    #[test]
    fn a_metadata_change_has_an_order_of_its_own() {
        let document = after(&[change(ChangeKind::Written, 9), change(ChangeKind::MetadataChanged, 3)]).expect("recorded");
        assert_eq!(document.change, ChangeKind::MetadataChanged);
        assert!(document.is_pending());
    }

    #[test]
    fn a_late_metadata_change_does_not_date_the_document_back() {
        let document = after(&[change(ChangeKind::Written, 9), change(ChangeKind::MetadataChanged, 3)]).expect("recorded");
        assert_eq!(document.changed_at, change(ChangeKind::Written, 9).at);
    }

    #[test]
    fn a_change_during_ingestion_waits_for_its_end() {
        let sent = after(&[change(ChangeKind::Written, 1)]).expect("recorded").sent(Timestamp::UNIX_EPOCH).accepted();
        let again = change(ChangeKind::Written, 2);
        let Noted::News(document) = note(Some(sent), &again, again.id()) else { panic!("news") };
        assert!(document.is_overtaken() && document.is_accepted());
    }

    #[test]
    fn a_settled_document_stays_settled_when_its_event_comes_again() {
        let written = change(ChangeKind::Written, 1);
        let settled = after(std::slice::from_ref(&written)).expect("recorded").settled(&Fate::Indexed);
        assert_eq!(note(Some(settled), &written, written.id()), Noted::Duplicate);
    }

    #[test]
    fn a_metadata_file_concerns_the_document_beside_it() {
        let mut written = change(ChangeKind::Written, 1);
        written.document.key = "a.pdf.metadata.json".to_owned();
        let concerned = concerned_document(written);
        assert_eq!((concerned.document.key.as_str(), concerned.change), ("a.pdf", ChangeKind::MetadataChanged));
    }

    #[test]
    fn a_key_that_is_only_the_ending_is_a_document() {
        let mut written = change(ChangeKind::Written, 1);
        written.document.key = "manuals/.metadata.json".to_owned();
        assert_eq!(concerned_document(written.clone()), written);
    }

    proptest! {
        #[test]
        fn order_and_duplicates_of_events_do_not_matter(order in Just((1..8_u64).collect::<Vec<_>>()).prop_shuffle(), twice: bool) {
            let mut changes: Vec<_> = order.iter().map(|n| change(if n % 2 == 0 { ChangeKind::Deleted } else { ChangeKind::Written }, *n)).collect();
            if twice {
                changes.extend(changes.clone());
            }
            let document = after(&changes).expect("recorded");
            prop_assert_eq!(document.change, ChangeKind::Written);
            prop_assert_eq!(document.sequencer.as_ref().map(Sequencer::as_str), Some("7"));
        }
    }
}
