//! Writes every event on the bus to the ledger, once, behind the last one about the same subject.
//!
//! A process may die after each step, and the queue delivers the events again: those that are recorded keep their place, and
//! are only kept beside the table once more.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_model::{Event, Id, LedgerEntry, Place};
use flywheel_ports::{APPENDED, LedgerStore, Unavailable};
use futures::StreamExt;
use jiff::Timestamp;

/// Subjects written at the same time.
const AT_ONCE: usize = 16;

/// Times that others may append to the same subject first.
const RACES: usize = 20;

/// Bytes of events that are appended together: a transaction takes 4 MB (DynamoDB developer guide, "Quotas"), and every event
/// may be half as large again with what stands around it.
const BYTES: usize = 2_000_000;

/// Records events. Gives those that could not be recorded, with the reason; the others are.
///
/// # Errors
/// If what was recorded could not be kept beside the table: all events are to come again.
pub async fn record(ledger: &impl LedgerStore, events: Vec<Event>, now: Timestamp) -> Result<BTreeMap<Id, Unavailable>, Unavailable> {
    let mut subjects: BTreeMap<String, BTreeMap<Id, Event>> = BTreeMap::new();
    for event in events {
        subjects.entry(event.subject.clone()).or_default().entry(event.id.clone()).or_insert(event);
    }
    let appending = subjects.into_iter().map(|(subject, events)| async move {
        let ids: Vec<Id> = events.keys().cloned().collect();
        let mut events: Vec<Event> = events.into_values().collect();
        events.sort_by_key(|event| event.at);
        (ids, append(ledger, &subject, events).await)
    });
    let mut appending = futures::stream::iter(appending).buffer_unordered(AT_ONCE);
    let (mut entries, mut failed) = (Vec::new(), BTreeMap::new());
    while let Some((ids, appended)) = appending.next().await {
        match appended {
            Ok(appended) => entries.extend(appended),
            Err(error) => failed.extend(ids.into_iter().map(|id| (id, error.clone()))),
        }
    }
    if !entries.is_empty() {
        ledger.keep(&entries, now).await?;
    }
    Ok(failed)
}

/// Appends the events of a subject that are not recorded yet, and gives the entries of all.
async fn append(ledger: &impl LedgerStore, subject: &str, events: Vec<Event>) -> Result<Vec<LedgerEntry>, Unavailable> {
    let ids: Vec<Id> = events.iter().map(|event| event.id.clone()).collect();
    for _ in 0..RACES {
        let mut entries = ledger.recorded(&ids).await?;
        let known: BTreeSet<&Id> = entries.iter().map(|entry| &entry.event.id).collect();
        let left: Vec<Event> = events.iter().filter(|event| !known.contains(&event.id)).cloned().collect();
        if left.is_empty() {
            return Ok(entries);
        }
        let last = ledger.last(subject).await?;
        let chained = chain(last.as_ref(), left)?;
        // What does not fit is chained anew behind what did.
        if ledger.append(last.as_ref(), &chained).await? && chained.len() + entries.len() == events.len() {
            entries.extend(chained);
            return Ok(entries);
        }
    }
    Err(Unavailable { what: "write to the ledger", why: format!("{RACES} times others wrote about {subject} first") })
}

/// As many entries as are appended together.
fn chain(last: Option<&Place>, events: Vec<Event>) -> Result<Vec<LedgerEntry>, Unavailable> {
    let (mut entries, mut bytes) = (Vec::<LedgerEntry>::new(), 0);
    for event in events.into_iter().take(APPENDED) {
        let last = entries.last().map(|entry| &entry.place).or(last);
        let entry = LedgerEntry::behind(last, event).map_err(|why| Unavailable { what: "write an event", why })?;
        bytes += entry.text.len();
        if bytes > BYTES && !entries.is_empty() {
            break;
        }
        entries.push(entry);
    }
    Ok(entries)
}
