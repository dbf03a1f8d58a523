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
