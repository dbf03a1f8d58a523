//! Records which documents changed, from S3's events.
//!
//! A batch of events comes in; each is read, matched with the policy, published as a signal and recorded in the rows of
//! the data sources that read the document. Then the document loop is woken. Everything here can be done twice.

use std::collections::BTreeSet;
use std::panic::catch_unwind;

use flywheel_engine::documents::{self, Noted};
use flywheel_engine::s3_event::{self, S3Event};
use flywheel_model::{Body, DataSourceId, DocumentChange, Event, Id, Refusal};
use flywheel_policy::Policy;
use flywheel_ports::{Bus, ChangeLog, Unavailable, Wakes};
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};

/// Messages taken in at a time: the most that Lambda hands over (`infra/src/stack.rs`). What a message becomes on its way
/// is several times its size, so a larger batch is not taken in as a whole.
const AT_A_TIME: usize = 100;

/// Documents recorded at the same time.
const AT_ONCE: usize = 16;

/// Tries to record a document that other processes record at the same moment.
const RACES: usize = 8;

/// A message of the queue.
#[derive(Debug, Clone)]
pub struct Message {
    /// The queue's id of it.
    pub id: String,
    /// One event, as EventBridge sent it.
    pub body: String,
}

/// What became of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tracked {
    /// The messages to be delivered again.
    pub failed: Vec<String>,
    /// Changes recorded.
    pub recorded: u64,
    /// Changes that were recorded before, or that a later one had overtaken.
    pub known: u64,
    /// Changes that no data source of the policy reads, folders' placeholders, and events that change no content.
    pub passed_over: u64,
    /// Events that could not be read; they are in the ledger with their reason.
    pub refused: u64,
}

/// What one message comes to.
enum Reading {
    Change { change: DocumentChange, signal: Id, readers: Vec<DataSourceId> },
    PassedOver(&'static str),
    Refused(String),
}

/// A change to record.
struct Change {
    /// The message that told of it.
    message: String,
    change: DocumentChange,
    signal: Id,
    readers: Vec<DataSourceId>,
}

/// Takes a batch of S3's events in.
pub async fn track<L: ChangeLog, B: Bus, W: Wakes>(
    log: &L,
    bus: &B,
    wakes: &W,
    policy: &Policy,
    messages: Vec<Message>,
    now: Timestamp,
) -> Tracked {
    let mut tracked = Tracked::default();
    let mut touched = BTreeSet::new();
    let mut recorded = Vec::new();
    let mut messages = messages.into_iter().peekable();
    while messages.peek().is_some() {
        let some = messages.by_ref().take(AT_A_TIME);
        let changes = publish(bus, policy, some, now, &mut tracked).await;
        touched.extend(changes.iter().flat_map(|change| change.readers.clone()));
        let results: Vec<_> = futures::stream::iter(changes)
            .map(|change| async move { (record(log, &change).await, change.message) })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        for (result, message) in results {
            match result {
                Ok(news) => {
                    *(if news { &mut tracked.recorded } else { &mut tracked.known }) += 1;
                    recorded.push(message);
                }
                Err(error) => {
                    tracing::warn!(message, %error, "to be delivered again");
                    tracked.failed.push(message);
                }
            }
        }
    }
    // Also for what was known: whoever recorded it may have died before it could wake the loop.
    if let Err(error) = wake(log, wakes, &touched, now).await {
        tracing::warn!(%error, "the batch comes again");
        tracked.failed.extend(recorded);
    }
    tracked
}

/// Reads messages and publishes what they say. The changes to record; none if the bus does not answer, then these
/// messages come again.
async fn publish(
    bus: &impl Bus,
    policy: &Policy,
    messages: impl Iterator<Item = Message>,
    now: Timestamp,
    tracked: &mut Tracked,
) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut events = Vec::new();
    let mut told = Vec::new();
    for message in messages {
        match read(policy, &message.body) {
            Reading::PassedOver(why) => {
                tracing::info!(message = message.id, why, "passed over");
                tracked.passed_over += 1;
            }
            Reading::Refused(reason) => {
                tracing::warn!(message = message.id, reason, "refused");
                tracked.refused += 1;
                events.push(Refusal::new(&reason, &message.id, &message.body).event(now));
                told.push(message.id);
            }
            Reading::Change { change, signal, readers } => {
                let subject = change.document.subject();
                let body = Body::DocumentChanged(change.clone());
                events.push(Event { id: signal.clone(), subject, causes: Vec::new(), at: now, body });
                told.push(message.id.clone());
                changes.push(Change { message: message.id, change, signal, readers });
            }
        }
    }
    // Published before anything is recorded: a crash between the two publishes again, under the same id.
    if let Err(error) = bus.publish(&events).await {
        tracing::warn!(%error, messages = told.len(), "to be delivered again");
        tracked.failed.extend(told);
        changes.clear();
    }
    changes
}

fn read(policy: &Policy, body: &str) -> Reading {
    let change = match catch_unwind(|| s3_event::parse(body)) {
        Ok(Ok(S3Event::Changed(change))) => change,
        Ok(Ok(S3Event::Other { .. })) => return Reading::PassedOver("it changes no content"),
        Ok(Err(reason)) => return Reading::Refused(reason),
        Err(_) => return Reading::Refused("reading it panicked; please report this".to_owned()),
    };
    if documents::is_folder_placeholder(&change.document.key) {
        return Reading::PassedOver("it is a folder's placeholder");
    }
    // The signal is what S3 said; what it concerns may be the document beside a metadata file.
    let signal = change.id();
    let concerned = documents::concerned_document(change.clone());
    let (bucket, key) = (&concerned.document.bucket, &concerned.document.key);
    let with_metadata = policy.readers(bucket, key).filter(|source| source.metadata_files || concerned == change);
    let readers: Vec<DataSourceId> = with_metadata.map(|source| source.id.clone()).collect();
    if readers.is_empty() {
        Reading::PassedOver("no data source of the policy reads it")
    } else {
        Reading::Change { change: concerned, signal, readers }
    }
}

/// Records a change with each data source that reads the document. `true` if it was news to one of them.
async fn record(log: &impl ChangeLog, change: &Change) -> Result<bool, Unavailable> {
    let mut news = false;
    for source in &change.readers {
        news |= record_with(log, source, &change.change, &change.signal).await?;
    }
    Ok(news)
}

async fn record_with(log: &impl ChangeLog, source: &DataSourceId, change: &DocumentChange, signal: &Id) -> Result<bool, Unavailable> {
    for _ in 0..RACES {
        let known = log.document(source, &change.document).await?;
        let Noted::News(document) = documents::note(known, change, signal.clone()) else { return Ok(false) };
        if log.save_document(source, &document).await? {
            return Ok(true);
        }
    }
    Err(Unavailable { what: "record a document", why: format!("{RACES} other changes of it came between") })
}

async fn wake(log: &impl ChangeLog, wakes: &impl Wakes, touched: &BTreeSet<DataSourceId>, now: Timestamp) -> Result<(), Unavailable> {
    let touches = touched.iter().map(|source| log.touch(source, now)).collect::<Vec<_>>();
    let results: Vec<_> = futures::stream::iter(touches).buffer_unordered(AT_ONCE).collect().await;
    results.into_iter().collect::<Result<(), _>>()?;
    if touched.is_empty() { Ok(()) } else { wakes.wake(SignedDuration::ZERO).await }
}
