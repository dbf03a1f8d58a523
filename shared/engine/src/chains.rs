//! Whether the ledger is as it was written: the chains of its entries.

use std::collections::BTreeMap;
use std::fmt;

use flywheel_model::{Id, LedgerEntry, Place};

/// Something about the ledger that cannot be if nobody changed it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BrokenChain {
    /// The subject of the chain.
    pub subject: String,
    /// Where in it: the sequence of the entry.
    pub sequence: u64,
    /// What is wrong.
    pub wrong: Wrong,
}

/// What is wrong about an entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// Its hash is not that of what it says.
    Changed(Id),
    /// There is none at this place.
    Missing,
    /// There are two.
    Twice(Id, Id),
    /// It names another entry before it than there is.
    Unchained(Id),
    /// The chain ends with another entry than the ledger remembers as its last.
    Ending,
}

impl fmt::Display for BrokenChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, sequence, wrong } = self;
        match wrong {
            Wrong::Changed(event) => write!(f, "{subject}, entry {sequence}: {event} was changed after it was written"),
            Wrong::Missing => write!(f, "{subject}, entry {sequence}: it is missing"),
            Wrong::Twice(one, other) => write!(f, "{subject}, entry {sequence}: there are two, {one} and {other}"),
            Wrong::Unchained(event) => write!(f, "{subject}, entry {sequence}: {event} was not written behind the entry before it"),
            Wrong::Ending => write!(f, "{subject}, entry {sequence}: the chain does not end as it was written"),
        }
    }
}

/// What is wrong about entries, which may come in any order and more than once. `ends` has the last place of each subject,
/// of subjects of which all entries are there; of others an entry may be the first that is known.
#[must_use]
pub fn check(entries: &[LedgerEntry], ends: &BTreeMap<String, Place>) -> Vec<BrokenChain> {
    let mut chains: BTreeMap<&str, BTreeMap<u64, &LedgerEntry>> = BTreeMap::new();
    let mut broken = Vec::new();
    let mut tell = |subject: &str, sequence, wrong| broken.push(BrokenChain { subject: subject.to_owned(), sequence, wrong });
    for entry in entries {
        let subject = entry.event.subject.as_str();
        if !entry.is_whole() {
            tell(subject, entry.place.sequence, Wrong::Changed(entry.event.id.clone()));
        }
        if let Some(other) = chains.entry(subject).or_default().insert(entry.place.sequence, entry).filter(|other| *other != entry) {
            tell(subject, entry.place.sequence, Wrong::Twice(other.event.id.clone(), entry.event.id.clone()));
        }
    }
    for (subject, chain) in &chains {
        let end = ends.get(*subject);
        let mut before = end.map(|_| (0, ""));
        for (sequence, entry) in chain {
            if let Some((last, hash)) = before {
                for missing in last + 1..*sequence {
                    tell(subject, missing, Wrong::Missing);
                }
                if last + 1 == *sequence && entry.previous != hash {
                    tell(subject, *sequence, Wrong::Unchained(entry.event.id.clone()));
                }
            }
            before = Some((*sequence, &entry.place.hash));
        }
        if let Some(end) = end.filter(|end| before != Some((end.sequence, &end.hash))) {
            tell(subject, end.sequence, Wrong::Ending);
        }
    }
    for (subject, end) in ends.iter().filter(|(subject, _)| !chains.contains_key(subject.as_str())) {
        tell(subject, end.sequence, Wrong::Ending);
    }
    broken.sort();
    broken
}

#[cfg(test)]
mod tests {
    use flywheel_model::Refusal;
    use jiff::Timestamp;

    use super::*;

    fn chain(length: u64) -> (Vec<LedgerEntry>, BTreeMap<String, Place>) {
        let mut entries: Vec<LedgerEntry> = Vec::new();
        for message in 1..=length {
            let event = Refusal::new("no JSON", &message.to_string(), "{").event(Timestamp::UNIX_EPOCH);
            entries.push(LedgerEntry::behind(entries.last().map(|last| &last.place), event).expect("an entry"));
        }
        let ends = entries.last().map(|last| (last.event.subject.clone(), last.place.clone()));
        (entries, ends.into_iter().collect())
    }

    fn wrongs(entries: &[LedgerEntry], ends: &BTreeMap<String, Place>) -> Vec<(u64, Wrong)> {
        check(entries, ends).into_iter().map(|broken| (broken.sequence, broken.wrong)).collect()
    }

    #[test]
    fn what_was_written_is_whole_in_any_order_and_twice() {
        let (mut entries, ends) = chain(5);
        entries.reverse();
        entries.extend(entries.clone());
        assert_eq!(wrongs(&entries, &ends), []);
    }

    #[test]
    fn an_entry_that_was_taken_out_is_missed() {
        let (mut entries, ends) = chain(5);
        entries.remove(1);
        assert_eq!(wrongs(&entries, &ends), [(2, Wrong::Missing)]);
        entries.pop();
        assert_eq!(wrongs(&entries, &ends), [(2, Wrong::Missing), (5, Wrong::Ending)]);
        assert_eq!(wrongs(&[], &ends), [(5, Wrong::Ending)]);
    }

    #[test]
    fn a_part_of_a_chain_may_begin_anywhere_but_has_no_gap() {
        let (mut entries, _) = chain(5);
        entries.drain(..2);
        assert_eq!(wrongs(&entries, &BTreeMap::new()), []);
        entries.remove(1);
        assert_eq!(wrongs(&entries, &BTreeMap::new()), [(4, Wrong::Missing)]);
    }

    #[test]
    fn an_entry_that_was_written_anew_does_not_fit() {
        let (mut entries, ends) = chain(3);
        let forged = Refusal::new("another reason", "2", "{").event(Timestamp::UNIX_EPOCH);
        let id = forged.id.clone();
        let third = entries[2].event.id.clone();
        entries[1] = LedgerEntry::behind(Some(&entries[0].place), forged).expect("an entry");
        assert_eq!(wrongs(&entries, &ends), [(3, Wrong::Unchained(third))]);
        entries[1].text.push(' ');
        assert!(wrongs(&entries, &ends).contains(&(2, Wrong::Changed(id))));
    }

    #[test]
    fn two_entries_at_one_place_are_told() {
        let (mut entries, ends) = chain(2);
        let other = Refusal::new("no JSON", "other", "{").event(Timestamp::UNIX_EPOCH);
        entries.push(LedgerEntry::behind(Some(&entries[0].place), other).expect("an entry"));
        assert!(matches!(wrongs(&entries, &ends)[0], (2, Wrong::Twice(..))));
    }
}
