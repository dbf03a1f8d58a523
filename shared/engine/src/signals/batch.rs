//! How signals are counted once each: which rows are written together.
//!
//! A [`Batch`] is written in one transaction: a mark for each signal, on the condition that it is new, and for each hour
//! one row with what these signals add to it. Where a mark is there already, nothing is written; the batch is written
//! again without that signal. So a signal counts once, however often it comes and with whichever others. An hour's counts
//! are the sum of its rows. No row is written twice, so batches that share no signal never get into each other's way.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_model::{Count, Hour, Id, Key, Metric, Observation, Series};
use jiff::{SignedDuration, Timestamp};

use super::tally::counts;

/// Rows that one transaction writes at most (Amazon DynamoDB quotas).
pub const TRANSACTION: usize = 100;

/// About the most bytes of keys and parts in one batch. A DynamoDB item has up to 400 KB.
const BYTES: usize = 200_000;

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

    fn bytes(&self) -> usize {
        let parts = |count: &Count| count.parts.keys().map(|part| part.len() + 8).sum::<usize>();
        self.counts.iter().map(|(series, count)| series.key.as_str().len() + 16 + parts(count)).sum()
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
    /// The signals, each once.
    pub entries: Vec<Entry>,
}

/// What a batch adds to an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    /// Tells it from all others of the hour: its first signal, which no other batch counts.
    pub id: Id,
    /// What is added.
    pub counts: BTreeMap<Series, Count>,
}

impl Batch {
    /// Splits signals into batches that fit into a transaction each. Signals of the same hour and key come together,
    /// since that saves rows and makes them small; a signal that is there twice counts once. The same signals give the same batches.
    #[must_use]
    pub fn split(evidence: &str, mut entries: Vec<Entry>) -> Vec<Self> {
        let mut seen = BTreeSet::new();
        entries.retain(|entry| seen.insert(entry.signal.clone()));
        let place = |entry: &Entry| (entry.hour(), entry.counts.first().map(|(series, _)| series.clone()), entry.signal.clone());
        entries.sort_by_cached_key(place);
        let mut batches: Vec<Self> = Vec::new();
        let mut hours: BTreeSet<Hour> = BTreeSet::new();
        let mut bytes = 0;
        for entry in entries {
            let rows = hours.len() + usize::from(!hours.contains(&entry.hour()));
            bytes += entry.bytes();
            let hour = entry.hour();
            match batches.last_mut() {
                Some(batch) if batch.entries.len() + 1 + rows <= TRANSACTION && bytes <= BYTES => batch.entries.push(entry),
                _ => {
                    hours.clear();
                    bytes = entry.bytes();
                    batches.push(Self { evidence: evidence.to_owned(), entries: vec![entry] });
                }
            }
            hours.insert(hour);
        }
        batches
    }

    /// The batch without signals that are counted already.
    #[must_use]
    pub fn without(mut self, known: &BTreeMap<Id, String>) -> Self {
        self.entries.retain(|entry| !known.contains_key(&entry.signal));
        self
    }

    /// What is added to which hours.
    #[must_use]
    pub fn additions(&self) -> BTreeMap<Hour, Addition> {
        let mut hours: BTreeMap<Hour, Addition> = BTreeMap::new();
        for entry in self.entries.iter().filter(|entry| !entry.counts.is_empty()) {
            let addition = hours.entry(entry.hour()).or_insert_with(|| Addition { id: entry.signal.clone(), counts: BTreeMap::new() });
            for (series, count) in &entry.counts {
                match addition.counts.get_mut(series) {
                    Some(sum) => sum.add(count),
                    None => drop(addition.counts.insert(series.clone(), count.clone())),
                }
            }
        }
        hours
    }
}

/// Trials, events, parts and examples.
type Numbers<Parts, Examples> = (u64, u64, Parts, Examples);

/// Counts as they are written: of each metric, of each key.
type Written<Name, Parts, Examples> = BTreeMap<Metric, BTreeMap<Name, Numbers<Parts, Examples>>>;

/// Of each key of a batch, the signals that a finding may show.
const EXAMPLES: usize = 2;

/// Writes counts as text, small and readable: trials, events, parts and examples of each key of each metric, as in
/// `{"timeouts":{"nightly":[12,1,{"timed_out":1},["2cf2…"]]}}`.
#[must_use]
pub fn write(counts: &BTreeMap<Series, Count>) -> String {
    let mut written: Written<&str, &BTreeMap<String, u64>, &[Id]> = BTreeMap::new();
    for (Series { metric, key }, count) in counts {
        let examples = &count.examples[..count.examples.len().min(EXAMPLES)];
        written.entry(*metric).or_default().insert(key.as_str(), (count.trials, count.events, &count.parts, examples));
    }
    serde_json::to_string(&written).unwrap_or_default()
}

/// Adds counts that were written as text to others.
///
/// # Errors
/// If the text is not one of [`write`].
pub fn read(text: &str, counts: &mut BTreeMap<Series, Count>) -> Result<(), serde_json::Error> {
    let written: Written<Key, BTreeMap<String, u64>, Vec<Id>> = serde_json::from_str(text)?;
    for (metric, keys) in written {
        for (key, (trials, events, parts, examples)) in keys {
            counts.entry(Series { metric, key }).or_default().add(&Count { trials, events, parts, examples });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = Entry> {
        let key = "[a#\"\u{e9} ]{1,3}".prop_map(|key| Key::try_from(key).expect("a key"));
        let parts = prop::sample::subsequence(vec!["error", "no_answer", "x#y"], 0..3);
        (0..40_u32, 0..150_i64, prop::collection::vec((prop::sample::select(Metric::ALL.to_vec()), key, any::<bool>(), parts), 0..3))
            .prop_map(|(id, hour, counts)| {
                let count = |(metric, key, event, parts): (Metric, Key, bool, Vec<&str>)| {
                    let parts = parts.into_iter().filter(|_| event).map(|part| (part.to_owned(), 1)).collect();
                    (Series { metric, key }, Count { trials: 1, events: u64::from(event), parts, ..Count::default() })
                };
                let counts = counts.into_iter().map(count).collect();
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
            prop_assert_eq!(batches.iter().map(|batch| batch.entries.len()).sum::<usize>(), distinct.len());
            let mut read_back: BTreeMap<(Hour, Series), Count> = BTreeMap::new();
            let mut ids = BTreeSet::new();
            for batch in &batches {
                let additions = batch.additions();
                prop_assert!(batch.entries.len() + additions.len() <= TRANSACTION);
                for (hour, addition) in additions {
                    prop_assert!(ids.insert((hour, addition.id)), "two additions under one id");
                    let mut counts = BTreeMap::new();
                    read(&write(&addition.counts), &mut counts).expect("written");
                    for (series, count) in counts {
                        read_back.entry((hour, series)).or_default().add(&count);
                    }
                }
            }
            prop_assert_eq!(read_back, of_entries(distinct.values()));
        }
    }

    #[test]
    fn long_names_do_not_make_a_row_too_large() {
        let long = |n: usize| format!("{n:-<200}").replace('-', "\u{1f600}");
        let entry = |id: usize| Entry {
            signal: Id::of("signal", &[&id.to_string()]),
            at: Timestamp::UNIX_EPOCH,
            counts: vec![(
                Series { metric: Metric::FailedReleases, key: Key::try_from(long(id)).expect("a key") },
                Count { trials: 1, events: 1, parts: (0..20).map(|part| (long(part), 1)).collect(), ..Count::default() },
            )],
        };
        let batches = Batch::split("e", (0..99).map(entry).collect());
        for batch in &batches {
            for addition in batch.additions().values() {
                assert!(write(&addition.counts).len() < 300_000);
            }
        }
        assert!(batches.len() > 5, "{}", batches.len());
    }
}
