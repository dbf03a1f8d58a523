//! The ledger's entries, each chained by hash to the one before it about the same subject.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Event;

/// An event as the ledger has it, with its place in the chain of its subject. Nobody can take an entry out, put one in or
/// change a letter without every later hash of the subject being another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Kept", into = "Kept")]
pub struct LedgerEntry {
    /// What happened.
    pub event: Event,
    /// The event as it was written first: what the hash is of.
    pub text: String,
    /// Its place in the chain of its subject.
    pub place: Place,
    /// The hash of the entry before; empty for the first.
    pub previous: String,
}

/// A place in the chain of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Counts from 1.
    pub sequence: u64,
    /// SHA-256, in hexadecimal digits, of the hash of the entry before, the sequence and the event's text, with a line break
    /// between each two.
    pub hash: String,
}

impl LedgerEntry {
    /// The entry of an event behind the last one of its subject, if there is one.
    ///
    /// # Errors
    /// If the event cannot be written as JSON.
    pub fn behind(last: Option<&Place>, event: Event) -> Result<Self, String> {
        let text = serde_json::to_string(&event).map_err(|error| error.to_string())?;
        let (sequence, previous) = last.map_or((1, ""), |last| (last.sequence + 1, last.hash.as_str()));
        let place = Place { sequence, hash: hash(previous, sequence, &text) };
        Ok(Self { event, text, place, previous: previous.to_owned() })
    }

    /// The entry as it was read somewhere.
    ///
    /// # Errors
    /// If the text is no event.
    pub fn read(text: String, place: Place, previous: String) -> Result<Self, String> {
        let event = serde_json::from_str(&text).map_err(|error| format!("event: {error}"))?;
        Ok(Self { event, text, place, previous })
    }

    /// Whether the hash is the one that it should be.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.place.hash == hash(&self.previous, self.place.sequence, &self.text)
    }
}

fn hash(previous: &str, sequence: u64, text: &str) -> String {
    hex::encode(Sha256::digest(format!("{previous}\n{sequence}\n{text}")))
}

/// An entry as it is kept: the event as a text in JSON, so that whoever checks its hash need not know how it was written.
#[derive(Serialize, Deserialize)]
struct Kept {
    sequence: u64,
    previous: String,
    hash: String,
    event: String,
}

impl TryFrom<Kept> for LedgerEntry {
    type Error = String;

    fn try_from(kept: Kept) -> Result<Self, String> {
        Self::read(kept.event, Place { sequence: kept.sequence, hash: kept.hash }, kept.previous)
    }
}

impl From<LedgerEntry> for Kept {
    fn from(entry: LedgerEntry) -> Self {
        Self { sequence: entry.place.sequence, previous: entry.previous, hash: entry.place.hash, event: entry.text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Refusal;

    fn event(message: &str) -> Event {
        Refusal::new("no JSON", message, "{").event(jiff::Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn an_entry_that_was_kept_and_read_is_the_same() {
        let first = LedgerEntry::behind(None, event("1")).expect("an entry");
        let second = LedgerEntry::behind(Some(&first.place), event("2")).expect("an entry");
        assert_eq!((second.place.sequence, &second.previous), (2, &first.place.hash));
        let text = serde_json::to_string(&second).expect("JSON");
        let read: LedgerEntry = serde_json::from_str(&text).expect("an entry");
        assert_eq!(read, second);
        assert!(read.is_whole());
    }

    #[test]
    fn a_hash_can_be_checked_with_a_shell() {
        let entry = LedgerEntry::behind(None, event("1")).expect("an entry");
        // printf '\n1\n%s' "$event" | sha256sum
        assert_eq!(entry.place.hash, hex::encode(Sha256::digest(["\n1\n", &entry.text].concat())));
    }

    #[test]
    fn a_changed_letter_shows() {
        let mut entry = LedgerEntry::behind(None, event("1")).expect("an entry");
        entry.text = entry.text.replace("JSON", "JSOM");
        assert!(!entry.is_whole());
    }
}
