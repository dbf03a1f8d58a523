//! Judges signals and counts each once.
//!
//! Messages of many signals come in. Each signal is classified, judged and redacted, kept as evidence, and then counted
//! under its mark. What cannot be read or comes too late is refused with its reason. At last the bus is told what was
//! kept, for those who work on single signals. Everything here can be done twice, and half: a signal that is counted is
//! known by its mark, whichever message brings it again.

mod figures;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use flywheel_engine::signals::batch::{Batch, Entry};
use flywheel_engine::signals::{Redact, Rules, redact_input, redact_observation, redact_refusal};
use flywheel_intake::Refused;
use flywheel_model::{Event, Fact, Hour, Id, Observation, Refusal, Signal, SignalBatch};
use flywheel_ports::{Bus, Counted, Guardrail, Observations, SignalStore, Unavailable, guard};
use futures::StreamExt;
use jiff::Timestamp;

pub use figures::Figures;

/// Messages are counted together up to about this many signals: the more, the fewer writes for each.
const TOGETHER: usize = 1_000;

/// Batches counted at the same time. They share no row.
const AT_ONCE: usize = 4;

/// Tries to count a batch, beside those that made it smaller.
const TRIES: usize = 8;

/// A message and what was read of it.
#[derive(Debug, Clone)]
pub struct Message {
    /// The queue's id of it.
    pub id: String,
    /// When it was sent to the queue: the same at each delivery, so that each comes to the same verdict on lateness.
    pub arrived_at: Timestamp,
    /// Its records.
    pub records: Vec<Result<Signal, Unreadable>>,
}

/// A record that is no signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Why, naming the field, the value and what was expected.
    pub reason: String,
    /// The record.
    pub input: String,
}

/// What became of the messages of one invocation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// The messages to be delivered again.
    pub failed: Vec<String>,
    /// Signals counted.
    pub counted: u64,
    /// Signals that were counted before.
    pub known: u64,
    /// Signals too old or too new to be counted; they are in the ledger with their reason.
    pub untimely: u64,
    /// Records that are no signals; they are in the ledger with their reason.
    pub refused: u64,
    /// What the signals that were counted come to.
    pub figures: Figures,
    /// Changes of alarms, counted before or not: what they stand for is a finding.
    pub alarms: Vec<Observation>,
}

/// Reads a message: signals, or what EventBridge puts around one.
#[must_use]
pub fn read(body: &str) -> Vec<Result<Signal, Unreadable>> {
    let unreadable = |refused: Refused| Unreadable { reason: refused.reason, input: refused.record.to_owned() };
    flywheel_intake::read(body).map(|record| record.map_err(unreadable)).collect()
}

/// What counting needs of the world and of the policy.
pub struct Counting<'c, S, O, B> {
    /// Where signals are counted.
    pub store: &'c S,
    /// Where they are kept.
    pub observations: &'c O,
    /// Where refusals go.
    pub bus: &'c B,
    /// The policy's rules.
    pub rules: &'c Rules,
    /// Takes out of texts what must not be kept.
    pub redact: &'c dyn Redact,
    /// Finds what is personal and has no form, if the policy names a guardrail.
    pub guardrail: Option<&'c dyn Guardrail>,
}

/// What the messages counted together come to.
#[derive(Default)]
struct Group {
    messages: Vec<String>,
    arrived_at: Timestamp,
    observations: Vec<Observation>,
    refusals: Vec<Event>,
    untimely: u64,
    refused: u64,
}

/// What came of counting a group.
#[derive(Default)]
struct Tallied {
    counted: u64,
    known: u64,
    figures: Figures,
}

impl<S: SignalStore, O: Observations, B: Bus> Counting<'_, S, O, B> {
    /// Takes messages in.
    pub async fn count(&self, messages: Vec<Message>, now: Timestamp) -> Report {
        let mut report = Report::default();
        let mut group = Group::default();
        for message in messages {
            self.add(message, now, &mut group);
            if group.observations.len() + group.refusals.len() >= TOGETHER {
                self.finish(std::mem::take(&mut group), now, &mut report).await;
            }
        }
        if !group.messages.is_empty() {
            self.finish(group, now, &mut report).await;
        }
        report
    }

    /// Judges a message's signals.
    fn add(&self, message: Message, now: Timestamp, group: &mut Group) {
        if group.messages.is_empty() {
            group.arrived_at = message.arrived_at;
        }
        for record in message.records {
            let refused = match record {
                Err(unreadable) => {
                    group.refused += 1;
                    unreadable
                }
                Ok(signal) => match self.rules.in_time(&signal, message.arrived_at) {
                    Err(reason) => {
                        group.untimely += 1;
                        Unreadable { reason, input: text(&signal) }
                    }
                    // The signal goes into what may panic; its text is made again only if it does.
                    Ok(()) => match catch_unwind(AssertUnwindSafe(|| self.rules.observe(signal.clone(), self.redact))) {
                        Ok(observation) => {
                            group.observations.push(observation);
                            continue;
                        }
                        Err(_) => {
                            group.refused += 1;
                            Unreadable { reason: "judging it panicked; please report this".to_owned(), input: text(&signal) }
                        }
                    },
                },
            };
            group.refusals.push(self.refusal(&refused, &message.id).event(now));
        }
        group.messages.push(message.id);
    }

    /// Keeps what was refused, redacted. What cannot be redacted is not kept.
    fn refusal(&self, refused: &Unreadable, message: &str) -> Refusal {
        let kept =
            catch_unwind(AssertUnwindSafe(|| (self.redact.text(&refused.reason).into_owned(), redact_input(&refused.input, self.redact))));
        let (reason, input) = kept.unwrap_or_else(|_| ("redacting it panicked; please report this".to_owned(), String::new()));
        Refusal::new(&reason, message, &input)
    }

    /// Publishes, keeps and counts a group. If any of it fails, all its messages come again.
    async fn finish(&self, mut group: Group, now: Timestamp, report: &mut Report) {
        let counted = match self.guard(&mut group).await {
            Ok(()) => self.count_group(&group, now).await,
            Err(error) => Err(error),
        };
        match counted {
            Ok(Tallied { counted, known, figures }) => {
                report.counted += counted;
                report.known += known;
                report.figures.merge(figures);
                report.untimely += group.untimely;
                report.refused += group.refused;
                let alarms = group.observations.into_iter().filter(|observation| matches!(observation.signal.fact, Fact::Alarm(_)));
                report.alarms.extend(alarms);
            }
            Err(error) => {
                tracing::warn!(messages = group.messages.len(), %error, "to be delivered again");
                report.failed.extend(group.messages);
            }
        }
    }

    /// Takes out what the guardrail finds, before anything is kept.
    async fn guard(&self, group: &mut Group) -> Result<(), Unavailable> {
        guard(self.guardrail, self.redact, &mut group.observations, redact_observation).await?;
        guard(self.guardrail, self.redact, &mut group.refusals, redact_refusal).await
    }

    async fn count_group(&self, group: &Group, now: Timestamp) -> Result<Tallied, Unavailable> {
        // Published before anything is counted: a crash between the two publishes again, under the same ids.
        if !group.refusals.is_empty() {
            self.bus.publish(&group.refusals).await?;
        }
        if group.observations.is_empty() {
            return Ok(Tallied::default());
        }
        // Kept before it is counted: a mark names an object that is there.
        let evidence = evidence_name(group);
        self.observations.keep(&evidence, &group.observations).await?;
        let entries: Vec<Entry> = group.observations.iter().map(Entry::new).collect();
        let kinds: BTreeMap<Id, &'static str> =
            group.observations.iter().zip(&entries).map(|(kept, entry)| (entry.signal.clone(), kept.signal.fact.kind())).collect();
        let hours: BTreeSet<Hour> = entries.iter().filter(|entry| !entry.counts.is_empty()).map(Entry::hour).collect();
        let signals = entries.len() as u64;
        let batches = Batch::split(&evidence, entries.clone()).into_iter().map(|batch| self.count_batch(batch)).collect::<Vec<_>>();
        let results: Vec<_> = futures::stream::iter(batches).buffer_unordered(AT_ONCE).collect().await;
        let places: BTreeMap<Id, String> = results.into_iter().collect::<Result<Vec<_>, Unavailable>>()?.into_iter().flatten().collect();
        // Also if all was known: whoever counted it may have died before it could tell.
        if !hours.is_empty() {
            self.store.touch(&hours).await?;
        }
        let counted = places.values().filter(|place| **place == evidence).count() as u64;
        self.bus.publish(&batches_kept(&places, &kinds, now)).await?;
        // From this evidence: also what an earlier delivery of the same messages counted and did not live to tell.
        let from_this = |signal: &Id| places.get(signal).is_some_and(|place| *place == evidence);
        let figures = Figures::of(group.observations.iter().zip(&entries), from_this);
        Ok(Tallied { counted, known: signals - counted, figures })
    }

    /// Counts those signals of a batch that are new, and says from which evidence each is counted.
    async fn count_batch(&self, mut batch: Batch) -> Result<BTreeMap<Id, String>, Unavailable> {
        let mut places = BTreeMap::new();
        let mut tries = 0;
        while !batch.entries.is_empty() {
            match self.store.count(&batch).await? {
                Counted::All => {
                    places.extend(batch.entries.into_iter().map(|entry| (entry.signal, batch.evidence.clone())));
                    break;
                }
                Counted::Known(known) => {
                    let before = batch.entries.len();
                    batch = batch.without(&known);
                    tries += usize::from(batch.entries.len() == before);
                    places.extend(known);
                }
                Counted::Busy => tries += 1,
            }
            if tries == TRIES {
                return Err(Unavailable { what: "count signals", why: format!("{TRIES} times others wrote the same rows") });
            }
        }
        Ok(places)
    }
}

/// What is told of the evidence that signals are counted from. Of signals that were counted before too: whoever counted
/// them may have died before it could tell.
fn batches_kept(places: &BTreeMap<Id, String>, kinds: &BTreeMap<Id, &'static str>, now: Timestamp) -> Vec<Event> {
    let mut kept: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (signal, place) in places {
        kept.entry(place).or_default().extend(kinds.get(signal).map(|kind| (*kind).to_owned()));
    }
    kept.into_iter().map(|(evidence, kinds)| SignalBatch { evidence: evidence.to_owned(), kinds }.event(now)).collect()
}

/// The name of a group's evidence: the same for the same messages.
fn evidence_name(group: &Group) -> String {
    let messages: Vec<&str> = group.messages.iter().map(String::as_str).collect();
    let id = Id::of("evidence", &messages);
    format!("observations/{}/{id}.jsonl.gz", group.arrived_at.strftime("%Y/%m/%d/%H"))
}

fn text(signal: &Signal) -> String {
    serde_json::to_string(signal).unwrap_or_default()
}
