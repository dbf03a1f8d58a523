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

/// What became of events.
#[derive(Debug, Default)]
pub struct Report {
    /// Those that were appended now, and by nobody before. A process that dies after appending never tells of them, and neither
    /// does one whose append took effect though its answer was lost.
    pub appended: Vec<Event>,
    /// Those that are to come again, with the reason; the others are recorded.
    pub failed: BTreeMap<Id, Unavailable>,
}

/// Records events. If what was recorded could not be kept beside the table, all of them are to come again.
///
/// # Errors
/// If it is not known what is recorded already: all events are to come again.
pub async fn record(ledger: &impl LedgerStore, events: Vec<Event>, now: Timestamp) -> Result<Report, Unavailable> {
    let mut first: BTreeMap<Id, Event> = BTreeMap::new();
    for event in events {
        first.entry(event.id.clone()).or_insert(event);
    }
    let ids: Vec<Id> = first.keys().cloned().collect();
    let mut subjects: BTreeMap<String, (Vec<Event>, Vec<LedgerEntry>)> = BTreeMap::new();
    for event in first.into_values() {
        subjects.entry(event.subject.clone()).or_default().0.push(event);
    }
    for entry in ledger.recorded(&ids).await? {
        subjects.entry(entry.event.subject.clone()).or_default().1.push(entry);
    }
    let appending = subjects.into_iter().map(|(subject, (mut events, recorded))| async move {
        events.sort_by(Event::by_time);
        let ids: Vec<Id> = events.iter().map(|event| event.id.clone()).collect();
        let mut appended = Vec::new();
        let entries = append(ledger, &subject, events, recorded, &mut appended).await;
        (ids, entries, appended)
    });
    let mut appending = futures::stream::iter(appending).buffer_unordered(AT_ONCE);
    let (mut entries, mut report) = (Vec::new(), Report::default());
    while let Some((ids, recorded, appended)) = appending.next().await {
        // Some of a subject's events may be appended though the rest failed.
        report.appended.extend(appended);
        match recorded {
            Ok(recorded) => entries.extend(recorded),
            Err(error) => report.failed.extend(ids.into_iter().map(|id| (id, error.clone()))),
        }
    }
    if !entries.is_empty()
        && let Err(error) = ledger.keep(&entries, now).await
    {
        report.failed.extend(ids.into_iter().map(|id| (id, error.clone())));
    }
    Ok(report)
}

/// Appends the events of a subject that are not recorded yet, and gives the entries of all.
async fn append(
    ledger: &impl LedgerStore,
    subject: &str,
    events: Vec<Event>,
    mut recorded: Vec<LedgerEntry>,
    appended: &mut Vec<Event>,
) -> Result<Vec<LedgerEntry>, Unavailable> {
    for _ in 0..RACES {
        let known: BTreeSet<&Id> = recorded.iter().map(|entry| &entry.event.id).collect();
        let left: Vec<Event> = events.iter().filter(|event| !known.contains(&event.id)).cloned().collect();
        if left.is_empty() {
            return Ok(recorded);
        }
        let last = ledger.last(subject).await?;
        let chained = chain(last.as_ref(), left)?;
        if ledger.append(last.as_ref(), &chained).await? {
            appended.extend(chained.iter().map(|entry| entry.event.clone()));
            // What did not fit is chained behind it.
            recorded.extend(chained);
        } else {
            let ids: Vec<Id> = events.iter().map(|event| event.id.clone()).collect();
            recorded = ledger.recorded(&ids).await?;
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
