//! From the sightings of a knowledge base to its cases.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use flywheel_model::{Case, CaseState, Decided, Id, Key, Reference, ReferenceOrigin, Source, Variant};
use flywheel_similarity::{Question, clusters};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Sighting;
use super::capture::strongest;

/// Wordings of a case that are told.
const VARIANTS: usize = 50;

/// What is kept of one knowledge base.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shelf {
    /// The retrievals that were captured.
    pub sightings: Vec<Sighting>,
    /// What people decided.
    pub decisions: Vec<Decision>,
}

/// What a person decided about a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// A question of the case.
    pub question: Id,
    /// What.
    pub verdict: Verdict,
    /// Who, when and why.
    pub decided: Decided,
    /// What the answer should be, by whoever decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// What can be decided about a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is worth keeping.
    Confirmed,
    /// It is no case.
    Rejected,
    /// It is no longer needed.
    Retired,
}

/// The cases of a knowledge base: one for questions that are nearly the same, named by the smallest of their ids, in the
/// order of their ids.
#[must_use]
pub fn cases(knowledge_base: &Key, shelf: &Shelf) -> Vec<Case> {
    groups(shelf).into_iter().map(|(case, group)| assemble(case, knowledge_base, group.sightings, group.decisions)).collect()
}

/// What is kept of cases that were not seen for so many days, and that nobody confirmed: it is to go.
#[must_use]
pub fn expired(shelf: &Shelf, keep_days: u32, now: Timestamp) -> Shelf {
    let oldest = now - SignedDuration::from_hours(24 * i64::from(keep_days));
    let mut expired = Shelf::default();
    for (_, mut group) in groups(shelf) {
        let confirmed = latest(&mut group.decisions).is_some_and(|decision| decision.verdict == Verdict::Confirmed);
        if !confirmed && group.sightings.iter().all(|sighting| sighting.inquiry.at < oldest) {
            expired.sightings.extend(group.sightings.into_iter().cloned());
            expired.decisions.extend(group.decisions.into_iter().cloned());
        }
    }
    expired
}

/// What belongs to one case.
struct Group<'s> {
    sightings: Vec<&'s Sighting>,
    decisions: Vec<&'s Decision>,
}

fn groups(shelf: &Shelf) -> BTreeMap<&Id, Group<'_>> {
    let mut asked: BTreeMap<&Id, Group<'_>> = BTreeMap::new();
    for sighting in &shelf.sightings {
        let group = asked.entry(&sighting.question).or_insert_with(|| Group { sightings: Vec::new(), decisions: Vec::new() });
        group.sightings.push(sighting);
    }
    for decision in &shelf.decisions {
        if let Some(group) = asked.get_mut(&decision.question) {
            group.decisions.push(decision);
        }
    }
    let questions: Vec<(&Id, Question)> = asked.iter().map(|(id, group)| (*id, Question::of(&group.sightings[0].inquiry.query))).collect();
    let mut groups = BTreeMap::new();
    for (case, questions) in clusters(questions.iter().map(|(id, question)| (*id, question))) {
        let mut whole = Group { sightings: Vec::new(), decisions: Vec::new() };
        for group in questions.iter().filter_map(|question| asked.remove(question)) {
            whole.sightings.extend(group.sightings);
            whole.decisions.extend(group.decisions);
        }
        groups.insert(case, whole);
    }
    groups
}

/// The decision that holds: the latest.
fn latest<'d>(decisions: &mut [&'d Decision]) -> Option<&'d Decision> {
    decisions.sort_by_key(|decision| Reverse((decision.decided.at, decision.verdict, &decision.decided.by)));
    decisions.first().copied()
}

/// The case of these sightings, at least one.
fn assemble(case: &Id, knowledge_base: &Key, mut seen: Vec<&Sighting>, mut decisions: Vec<&Decision>) -> Case {
    // The latest first.
    seen.sort_by_key(|sighting| Reverse((sighting.inquiry.at, &sighting.inquiry.signal)));
    seen.dedup_by_key(|sighting| &sighting.inquiry.signal);
    let decision = latest(&mut decisions);
    let latest = seen[0];
    let variants = variants(&seen);
    Case {
        case: case.clone(),
        knowledge_base: knowledge_base.clone(),
        topic: latest.inquiry.topic.clone(),
        state: decision.map_or(CaseState::Candidate, state_of),
        query: variants[0].query.clone(),
        variants,
        context: latest.context.clone(),
        passages: latest.inquiry.passages.clone(),
        answer: latest.inquiry.answer.clone(),
        reference: reference(&seen, &decisions),
        reasons: strongest(seen.iter().flat_map(|sighting| sighting.inquiry.reasons.iter().cloned()).collect()),
        synchronised_at: latest.synchronised_at,
        times: seen.len() as u64,
        first_seen: seen[seen.len() - 1].inquiry.at,
        last_seen: latest.inquiry.at,
        sources: seen.iter().take(Case::SOURCES).map(|sighting| source(sighting)).collect(),
    }
}

/// The wordings, most often asked first, then in the order of their letters.
fn variants(seen: &[&Sighting]) -> Vec<Variant> {
    let mut times: BTreeMap<&str, u64> = BTreeMap::new();
    for sighting in seen {
        *times.entry(&sighting.inquiry.query).or_default() += 1;
    }
    let mut variants: Vec<Variant> = times.into_iter().map(|(query, times)| Variant { query: query.to_owned(), times }).collect();
    variants.sort_by_key(|variant| Reverse(variant.times));
    variants.truncate(VARIANTS);
    variants
}

fn state_of(decision: &Decision) -> CaseState {
    let decided = decision.decided.clone();
    match decision.verdict {
        Verdict::Confirmed => CaseState::Confirmed(decided),
        Verdict::Rejected => CaseState::Rejected(decided),
        Verdict::Retired => CaseState::Retired(decided),
    }
}

/// What the answer should be: by the most trusted who says so, the latest of them.
fn reference(seen: &[&Sighting], decisions: &[&Decision]) -> Option<Reference> {
    let reviewed = decisions.iter().find_map(|decision| decision.reference.clone());
    if let Some(text) = reviewed {
        return Some(Reference { text, from: ReferenceOrigin::Reviewer });
    }
    seen.iter().filter_map(|sighting| sighting.reference.as_ref()).min_by_key(|reference| reference.from).cloned()
}

fn source(sighting: &Sighting) -> Source {
    let inquiry = &sighting.inquiry;
    Source { signal: inquiry.signal.clone(), at: inquiry.at, conversation: inquiry.conversation.clone(), trace: inquiry.trace.clone() }
}

#[cfg(test)]
mod tests {
    use flywheel_model::{CaptureReason, CaseReason};

    use super::super::{Inquiry, question_of};
    use super::*;

    fn key() -> Key {
        Key::try_from("KBPRODUCTS").expect("a key")
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + 60 * minute).expect("a time")
    }

    fn sighting(signal: &str, minute: i64, query: &str) -> Sighting {
        let reason = CaseReason { reason: CaptureReason::NoResults, strength: 1.0, detail: "no passage was found".to_owned() };
        let inquiry = Inquiry {
            signal: Id::of("signal", &["retrieval", signal]),
            at: at(minute),
            knowledge_base: key(),
            topic: None,
            conversation: None,
            trace: None,
            user: None,
            query: query.to_owned(),
            answer: Some(format!("answer of {signal}")),
            passages: Vec::new(),
            correction: None,
            reasons: vec![reason],
        };
        let question = question_of(&key(), query);
        Sighting { question, inquiry, judged_with: 1, context: Vec::new(), reference: None, synchronised_at: None }
    }

    fn decision(query: &str, minute: i64, verdict: Verdict, reference: Option<&str>) -> Decision {
        let decided = Decided { by: "grace".to_owned(), at: at(minute), why: None };
        Decision { question: question_of(&key(), query), verdict, decided, reference: reference.map(str::to_owned) }
    }

    const KETTLE: &str = "How do I descale the kettle?";
    const KINDLY: &str = "hello, how can I descale the kettle please";
    const TOASTER: &str = "Where is the toaster made?";

    #[test]
    fn nearly_the_same_questions_are_one_case_with_its_latest_evidence() {
        let shelf = Shelf {
            sightings: vec![sighting("1", 1, KINDLY), sighting("2", 3, KETTLE), sighting("3", 2, KETTLE), sighting("4", 0, TOASTER)],
            decisions: Vec::new(),
        };
        let cases = cases(&key(), &shelf);
        assert_eq!(cases.len(), 2);
        let kettle = cases.iter().find(|case| case.query == KETTLE).expect("the most frequent words");
        assert_eq!((kettle.times, kettle.variants.len(), kettle.answer.as_deref()), (3, 2, Some("answer of 2")));
        assert_eq!((kettle.first_seen, kettle.last_seen), (at(1), at(3)));
        assert_eq!(kettle.case, question_of(&key(), KETTLE).min(question_of(&key(), KINDLY)));
    }

    #[test]
    fn the_latest_decision_holds_for_all_wordings_and_a_reviewers_reference_is_trusted_most() {
        let mut seen = sighting("1", 1, KETTLE);
        seen.reference = Some(Reference { text: "by the user".to_owned(), from: ReferenceOrigin::Feedback });
        let mut later = sighting("2", 2, KINDLY);
        later.reference = Some(Reference { text: "by a person".to_owned(), from: ReferenceOrigin::Person });
        let decided = |decisions: Vec<Decision>| {
            let case = cases(&key(), &Shelf { sightings: vec![seen.clone(), later.clone()], decisions }).remove(0);
            (case.state.word(), case.reference.map(|reference| reference.text).unwrap_or_default())
        };
        assert_eq!(decided(vec![]), ("candidate", "by a person".to_owned()));
        let rejected = decision(KINDLY, 5, Verdict::Rejected, None);
        let confirmed = decision(KETTLE, 6, Verdict::Confirmed, Some("by Grace"));
        assert_eq!(decided(vec![confirmed.clone(), rejected.clone()]), ("confirmed", "by Grace".to_owned()));
        assert_eq!(
            decided(vec![Decision { decided: Decided { at: at(9), ..rejected.decided.clone() }, ..rejected }, confirmed]).0,
            "rejected"
        );
    }

    #[test]
    fn what_nobody_confirmed_expires_after_it_was_last_seen() {
        let sightings = vec![sighting("1", 0, KETTLE), sighting("2", 24 * 60, KINDLY), sighting("3", 0, TOASTER)];
        let shelf = Shelf { sightings, decisions: vec![decision(TOASTER, 1, Verdict::Rejected, None)] };
        let gone = |shelf: &Shelf, minute| {
            let expired = expired(shelf, 1, at(minute));
            (expired.sightings.len(), expired.decisions.len())
        };
        assert_eq!(gone(&shelf, 24 * 60), (0, 0));
        // The kettle's was seen later, in other words.
        assert_eq!(gone(&shelf, 24 * 60 + 1), (1, 1));
        assert_eq!(gone(&shelf, 2 * 24 * 60 + 1), (3, 1));
        let confirmed = Shelf { decisions: vec![decision(TOASTER, 2, Verdict::Confirmed, None)], ..shelf };
        assert_eq!(gone(&confirmed, 24 * 60 + 1), (0, 0));
    }
}
