//! How signals are counted once each: which rows are written together.
//!
//! A [`Batch`] is written in one transaction: a mark for each signal, on the condition that it is new, and the counts of
//! these signals added to rows that all batches share. Where a mark is there already, nothing is written; the batch is
//! written again without that signal. So a signal counts once, however often it comes and with whichever others.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_model::{Count, Hour, Id, Key, Metric, Observation, Series};
use jiff::{SignedDuration, Timestamp};

use super::tally::counts;

/// Rows that one transaction writes at most (Amazon DynamoDB quotas).
pub const TRANSACTION: usize = 100;

/// An hour's counts are spread over this many shards, each with rows of its own, so that batches written at the same
/// time seldom meet on a row.
pub const SHARDS: u8 = 8;

/// How long a mark is kept after its signal's time. A message is at most 7 days late and may wait 14 days in a queue;
/// until then it must be known, and as long it can be looked up.
const MARK_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How long counts are kept: the longest baseline, 35 days, before the longest window, 14 days, and some more.
const COUNTS_KEPT: SignedDuration = SignedDuration::from_hours(60 * 24);

/// One signal to be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its identity.
    pub signal: Id,
    /// Its time.
    pub at: Timestamp,
    /// What it counts for.
    pub counts: Vec<(Series, Count)>,
}

impl Entry {
    /// An observation's entry.
    #[must_use]
    pub fn new(observation: &Observation) -> Self {
        Self { signal: observation.signal.identity(), at: observation.signal.at, counts: counts(observation) }
    }

    /// The hour that it counts in.
    #[must_use]
    pub fn hour(&self) -> Hour {
        Hour::of(self.at)
    }

    /// When its mark is no longer needed.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.at.saturating_add(MARK_KEPT).unwrap_or(Timestamp::MAX)
    }

    fn rows(&self) -> impl Iterator<Item = (Hour, String)> {
        let mut rows = BTreeMap::new();
        write(&self.counts, &mut rows);
        rows.into_keys().map(|row| (self.hour(), row))
    }
}

/// When an hour's counts are no longer needed.
#[must_use]
pub fn counts_expire_at(hour: Hour) -> Timestamp {
    hour.start().saturating_add(COUNTS_KEPT).unwrap_or(Timestamp::MAX)
}

/// Signals that are counted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The object that holds their observations.
    pub evidence: String,
    /// Where their counts go.
    pub shard: u8,
    /// The signals, each once.
    pub entries: Vec<Entry>,
}

impl Batch {
    /// Splits signals into batches that fit into a transaction each. Signals of the same rows come together, since that
    /// saves writes; a signal that is there twice counts once. The same signals give the same batches.
    #[must_use]
    pub fn split(evidence: &str, entries: Vec<Entry>) -> Vec<Self> {
        let mut seen = BTreeSet::new();
        let mut entries: Vec<(Vec<(Hour, String)>, Entry)> =
            entries.into_iter().filter(|entry| seen.insert(entry.signal.clone())).map(|entry| (entry.rows().collect(), entry)).collect();
        entries.sort_by(|one, other| (&one.0, &one.1.signal).cmp(&(&other.0, &other.1.signal)));
        let mut shard = Id::of("shard", &[evidence]).as_str().bytes().fold(0, |sum: u8, digit| sum.wrapping_add(digit)) % SHARDS;
        let mut batches: Vec<Self> = Vec::new();
        let mut rows: BTreeSet<(Hour, String)> = BTreeSet::new();
        for (touched, entry) in entries {
            let more = touched.iter().filter(|row| !rows.contains(row)).count();
            match batches.last_mut() {
                Some(batch) if batch.entries.len() + 1 + rows.len() + more <= TRANSACTION => batch.entries.push(entry),
                _ => {
                    rows.clear();
                    batches.push(Self { evidence: evidence.to_owned(), shard, entries: vec![entry] });
                    shard = (shard + 1) % SHARDS;
                }
            }
            rows.extend(touched);
        }
        batches
    }

    /// The batch without signals that are counted already.
    #[must_use]
    pub fn without(mut self, known: &BTreeSet<Id>) -> Self {
        self.entries.retain(|entry| !known.contains(&entry.signal));
        self
    }

    /// The batch with its counts in another shard.
    #[must_use]
    pub fn aside(self) -> Self {
        Self { shard: (self.shard + 1) % SHARDS, ..self }
    }

    /// What is added to which rows of which hours.
    #[must_use]
    pub fn rows(&self) -> BTreeMap<Hour, Rows> {
        let mut hours: BTreeMap<Hour, Rows> = BTreeMap::new();
        for entry in &self.entries {
            if !entry.counts.is_empty() {
                write(&entry.counts, hours.entry(entry.hour()).or_default());
            }
        }
        hours
    }
}

impl Batch {
    /// Of each row, a signal that failed: what a finding can show.
    #[must_use]
    pub fn examples(&self) -> BTreeMap<(Hour, String), &Id> {
        let mut examples = BTreeMap::new();
        for entry in &self.entries {
            // Of resolution, the event is a success; its failures stand in the same row.
            let failed = entry.counts.iter().filter(|(series, count)| series.metric != Metric::Resolution && count.events > 0);
            examples.extend(failed.map(|(series, _)| ((entry.hour(), row_of(series)), &entry.signal)));
        }
        examples
    }
}

/// Adds a row's example to the counts of its hour.
pub fn read_example(row: &str, example: Id, counts: &mut BTreeMap<Series, Count>) {
    let Some((kind, Ok(key))) = row.split_once('#').map(|(kind, name)| (kind, Key::try_from(name))) else { return };
    for metric in Metric::ALL.into_iter().filter(|metric| prefix(*metric) == kind) {
        if let Some(count) = counts.get_mut(&Series { metric, key: key.clone() }) {
            count.examples.push(example.clone());
        }
    }
}

fn row_of(series: &Series) -> String {
    format!("{}#{}", prefix(series.metric), series.key)
}

/// Rows of one hour: a row's name, and the numbers in it by their names.
pub type Rows = BTreeMap<String, BTreeMap<String, u64>>;

const TRIALS: &str = "trials";
const EVENTS: &str = "events";
const KNOWN: &str = "known";
const RESOLVED: &str = "resolved";

/// A key has no control characters, so this one ends a service's name before its cause.
const END: char = '\u{1f}';

/// Adds counts to rows. The rates of one intent share a row; so does a rate with its reasons, which are few. Root causes
/// of releases are whatever senders name, so each has a row of its own: no row grows without bound.
pub fn write(counts: &[(Series, Count)], rows: &mut Rows) {
    for (series @ Series { metric, key }, count) in counts {
        let row = rows.entry(row_of(series)).or_default();
        let mut add = |name: &str, number: u64| {
            if number > 0 {
                match row.get_mut(name) {
                    Some(sum) => *sum += number,
                    None => drop(row.insert(name.to_owned(), number)),
                }
            }
        };
        match metric {
            Metric::Resolution => {
                add(KNOWN, count.trials);
                add(RESOLVED, count.events);
            }
            Metric::FailedReleases => {
                add(TRIALS, count.trials);
                add(EVENTS, count.events);
                for (cause, number) in &count.parts {
                    *rows.entry(format!("cause#{key}{END}{cause}")).or_default().entry(EVENTS.to_owned()).or_default() += number;
                }
            }
            _ => {
                add(TRIALS, count.trials);
                add(EVENTS, count.events);
                count.parts.iter().for_each(|(reason, number)| add(reason, *number));
            }
        }
    }
}

/// Adds a row's numbers to the counts of its hour. A row that is none of ours is passed over.
pub fn read(row: &str, numbers: &BTreeMap<String, u64>, counts: &mut BTreeMap<Series, Count>) {
    let Some((kind, name)) = row.split_once('#') else { return };
    let number = |name: &str| numbers.get(name).copied().unwrap_or_default();
    let mut add = |metric, key: &str, count: Count| {
        if let Ok(key) = Key::try_from(key) {
            counts.entry(Series { metric, key }).or_default().add(&count);
        }
    };
    if kind == "cause" {
        if let Some((service, cause)) = name.split_once(END) {
            add(Metric::FailedReleases, service, Count { parts: BTreeMap::from([(cause.to_owned(), number(EVENTS))]), ..Count::default() });
        }
        return;
    }
    let Some(metric) = Metric::ALL.into_iter().find(|metric| *metric != Metric::Resolution && prefix(*metric) == kind) else { return };
    let reasons = numbers.iter().filter(|(name, _)| ![TRIALS, EVENTS, KNOWN, RESOLVED].contains(&name.as_str()));
    let parts = reasons.map(|(name, number)| (name.clone(), *number)).collect();
    add(metric, name, Count { trials: number(TRIALS), events: number(EVENTS), parts, ..Count::default() });
    if number(KNOWN) > 0 {
        add(Metric::Resolution, name, Count { trials: number(KNOWN), events: number(RESOLVED), ..Count::default() });
    }
}

fn prefix(metric: Metric) -> &'static str {
    match metric {
        Metric::FailedResponses => "topic",
        Metric::Resolution | Metric::ConversationFailures => "intent",
        Metric::RetrievalFailures => "knowledge-base",
        Metric::Timeouts => "workflow",
        Metric::FailedReleases => "service",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Counts as observations make them: a resolution only beside its intent's failures, parts only of events.
    fn entry() -> impl Strategy<Value = Entry> {
        let key = "[a#\u{e9} ]{1,3}".prop_map(|key| Key::try_from(key).expect("a key"));
        (
            0..40_u32,
            0..3_i64,
            prop::sample::select(Metric::ALL.to_vec()),
            key,
            any::<bool>(),
            prop::sample::subsequence(vec!["error", "no_answer", "x#y"], 0..3),
        )
            .prop_map(|(id, hour, metric, key, event, parts)| {
                let parts = if event { parts.into_iter().map(|part| (part.to_owned(), 1)).collect() } else { BTreeMap::new() };
                let count = Count { trials: 1, events: u64::from(event), parts, ..Count::default() };
                let series = |metric| Series { metric, key: key.clone() };
                let counts = match metric {
                    Metric::Resolution => vec![
                        (series(Metric::Resolution), Count { parts: BTreeMap::new(), ..count.clone() }),
                        (series(Metric::ConversationFailures), count),
                    ],
                    metric => vec![(series(metric), count)],
                };
                Entry { signal: Id::of("signal", &[&id.to_string()]), at: Hour(hour + 500_000).start(), counts }
            })
    }

    fn of_entries<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> BTreeMap<(Hour, Series), Count> {
        let mut counts: BTreeMap<(Hour, Series), Count> = BTreeMap::new();
        for entry in entries {
            for (series, count) in &entry.counts {
                counts.entry((entry.hour(), series.clone())).or_default().add(count);
            }
        }
        counts
    }

    proptest! {
        #[test]
        fn batches_hold_each_signal_once_fit_a_transaction_and_read_as_they_were_written(entries in prop::collection::vec(entry(), 0..300)) {
            let batches = Batch::split("evidence", entries.clone());
            let mut distinct = BTreeMap::new();
            for entry in &entries {
                distinct.entry(entry.signal.clone()).or_insert_with(|| entry.clone());
            }
            let split: Vec<&Entry> = batches.iter().flat_map(|batch| &batch.entries).collect();
            prop_assert_eq!(split.len(), distinct.len());
            let mut read_back: BTreeMap<(Hour, Series), Count> = BTreeMap::new();
            for batch in &batches {
                let hours = batch.rows();
                prop_assert!(batch.entries.len() + hours.values().map(BTreeMap::len).sum::<usize>() <= TRANSACTION);
                for (hour, rows) in hours {
                    let mut counts = BTreeMap::new();
                    rows.iter().for_each(|(row, numbers)| read(row, numbers, &mut counts));
                    for (series, count) in counts {
                        read_back.entry((hour, series)).or_default().add(&count);
                    }
                }
            }
            prop_assert_eq!(read_back, of_entries(distinct.values()));
        }
    }

    #[test]
    fn a_signal_with_all_causes_fits() {
        let parts = (0..super::super::tally::CAUSES).map(|cause| (cause.to_string(), 1)).collect();
        let series = Series { metric: Metric::FailedReleases, key: Key::try_from("s").expect("a key") };
        let entry = |id: usize| Entry {
            signal: Id::of("signal", &[&id.to_string()]),
            at: Timestamp::UNIX_EPOCH,
            counts: vec![(series.clone(), Count { trials: 1, events: 1, parts: BTreeMap::clone(&parts), ..Count::default() })],
        };
        let batches = Batch::split("e", (0..100).map(entry).collect());
        assert_eq!(batches.iter().map(|batch| batch.entries.len()).collect::<Vec<_>>(), [79, 21]);
    }
}
