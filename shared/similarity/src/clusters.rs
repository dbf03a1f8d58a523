//! All questions at once: which are the same, directly or through others.

use std::collections::BTreeMap;

use crate::{Question, same};

/// With how many others of a band a question is compared at most: the next ones by their text. A band has more only if very
/// many questions in it have most of their words in common and the same identifiers; the order of their texts then brings
/// together those that have all of them (sorted neighbourhood: Hernández and Stolfo 1995).
const NEIGHBOURS: usize = 64;

/// Questions that are the same, under the smallest of their ids. Those that are the same as a third are in one cluster with
/// it; questions under one id are one. The result is the same in whatever order the questions come, and however often.
///
/// Takes about as much time as sorting them: at most [`BANDS`](crate::BANDS) × 64 comparisons for each.
pub fn clusters<'q, Id: Ord + Clone>(questions: impl IntoIterator<Item = (Id, &'q Question)>) -> BTreeMap<Id, Vec<Id>> {
    let mut questions: Vec<(Id, &Question)> = questions.into_iter().collect();
    questions.sort_by(|(one, _), (other, _)| one.cmp(other));
    // The places of the ids in order, so that the smallest place is the smallest id.
    let mut places = Vec::with_capacity(questions.len());
    let mut ids: Vec<Id> = Vec::new();
    for (id, question) in questions {
        if ids.last() != Some(&id) {
            ids.push(id);
        }
        places.push((question, ids.len() - 1));
    }
    places.sort_by(|(one, first), (other, second)| one.text().cmp(other.text()).then(first.cmp(second)));

    let mut sets = Sets::of(ids.len());
    let mut distinct: Vec<(&Question, usize)> = Vec::new();
    for (question, place) in places {
        match distinct.last() {
            Some((before, first)) if before.text() == question.text() => sets.join(*first, place),
            _ => distinct.push((question, place)),
        }
    }
    let mut keys: Vec<(u64, u32)> = Vec::with_capacity(distinct.len() * crate::BANDS);
    for (number, (question, _)) in (0_u32..).zip(&distinct) {
        keys.extend(question.bands().map(|key| (key, number)));
    }
    keys.sort_unstable();
    for band in keys.chunk_by(|(one, _), (other, _)| one == other) {
        for (at, (_, one)) in band.iter().enumerate() {
            for (_, other) in band.iter().skip(at + 1).take(NEIGHBOURS) {
                let ((question, one), (asked_again, other)) = (distinct[*one as usize], distinct[*other as usize]);
                // Whether those that are connected already are the same changes nothing.
                if !sets.are_joined(one, other) && same(question, asked_again) {
                    sets.join(one, other);
                }
            }
        }
    }

    let mut clusters: BTreeMap<Id, Vec<Id>> = BTreeMap::new();
    for (place, id) in ids.iter().enumerate() {
        clusters.entry(ids[sets.smallest(place)].clone()).or_default().push(id.clone());
    }
    clusters
}

/// Disjoint sets (Tarjan 1975), each known by its smallest member.
struct Sets {
    parents: Vec<usize>,
}

impl Sets {
    fn of(members: usize) -> Self {
        Self { parents: (0..members).collect() }
    }

    fn smallest(&mut self, mut member: usize) -> usize {
        while self.parents[member] != member {
            self.parents[member] = self.parents[self.parents[member]];
            member = self.parents[member];
        }
        member
    }

    fn are_joined(&mut self, one: usize, other: usize) -> bool {
        self.smallest(one) == self.smallest(other)
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.smallest(one), self.smallest(other));
        self.parents[one.max(other)] = one.min(other);
    }
}
