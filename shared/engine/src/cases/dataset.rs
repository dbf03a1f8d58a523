//! A knowledge base's data set: its cases as JSON Lines in parts that are named by their content, and a manifest that says
//! which parts make up which version.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_model::{Case, CaseState, Key};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Versions that a manifest names; the parts of older ones are deleted.
const VERSIONS: usize = 20;

/// One part: the cases whose ids begin with the same digit, so that a case that changes writes one part of sixteen anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What the manifest says of it.
    pub entry: PartEntry,
    /// Its lines.
    pub bytes: Vec<u8>,
}

/// What a manifest says of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartEntry {
    /// SHA-256 of its bytes, which is also its name.
    pub sha256: String,
    /// How many cases it has.
    pub cases: usize,
}

/// One version of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// SHA-256 over its parts: the same cases are the same version.
    pub version: String,
    /// When it was published.
    pub at: Timestamp,
    /// How many cases it has, by their state.
    pub cases: BTreeMap<String, usize>,
    /// Its parts.
    pub parts: Vec<PartEntry>,
}

/// What a data set was and is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The knowledge base.
    pub knowledge_base: Key,
    /// Its versions, the present one first.
    pub versions: Vec<Version>,
}

/// The parts of a data set: candidates and confirmed cases, in the order of their ids.
#[must_use]
pub fn parts(cases: &[Case]) -> Vec<Part> {
    let mut parts: BTreeMap<char, (Vec<u8>, usize)> = BTreeMap::new();
    for case in cases.iter().filter(|case| is_in(case)) {
        let digit = case.case.as_str().chars().next().unwrap_or_default();
        let (bytes, count) = parts.entry(digit).or_default();
        // Cases are plain data: there is nothing in them that cannot be written.
        if serde_json::to_writer(&mut *bytes, case).is_ok() {
            bytes.push(b'\n');
            *count += 1;
        }
    }
    let part = |(bytes, cases): (Vec<u8>, usize)| Part { entry: PartEntry { sha256: hex::encode(Sha256::digest(&bytes)), cases }, bytes };
    parts.into_values().map(part).collect()
}

fn is_in(case: &Case) -> bool {
    matches!(case.state, CaseState::Candidate | CaseState::Confirmed(_))
}

impl Version {
    /// The version that these cases make, now.
    #[must_use]
    pub fn of(cases: &[Case], parts: &[Part], now: Timestamp) -> Self {
        let mut by_state: BTreeMap<String, usize> = BTreeMap::new();
        for case in cases.iter().filter(|case| is_in(case)) {
            *by_state.entry(case.state.word().to_owned()).or_default() += 1;
        }
        let parts: Vec<PartEntry> = parts.iter().map(|part| part.entry.clone()).collect();
        let names: String = parts.iter().map(|part| part.sha256.as_str()).collect::<Vec<_>>().join("\n");
        Self { version: hex::encode(Sha256::digest(names)), at: now, cases: by_state, parts }
    }
}

impl Manifest {
    /// No version yet.
    #[must_use]
    pub const fn new(knowledge_base: Key) -> Self {
        Self { knowledge_base, versions: Vec::new() }
    }

    /// With another version in force; nothing if it is already.
    #[must_use]
    pub fn with(&self, version: Version) -> Option<Self> {
        if self.versions.first().is_some_and(|present| present.version == version.version) {
            return None;
        }
        let versions = std::iter::once(version).chain(self.versions.iter().cloned()).take(VERSIONS).collect();
        Some(Self { knowledge_base: self.knowledge_base.clone(), versions })
    }

    /// With its present version alone: what was erased must not stand in an older one.
    #[must_use]
    pub fn without_history(mut self) -> Self {
        self.versions.truncate(1);
        self
    }

    /// The parts that it names.
    #[must_use]
    pub fn parts(&self) -> BTreeSet<&str> {
        self.versions.iter().flat_map(|version| &version.parts).map(|part| part.sha256.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(id: &str, state: &str, times: u64) -> Case {
        let decided = if state == "candidate" { "" } else { r#","by":"grace","at":"2026-11-23T10:00:00Z""# };
        serde_json::from_str(&format!(
            r#"{{"case":"{id}","knowledge_base":"KB","state":{{"state":"{state}"{decided}}},"query":"q","variants":[],"reasons":[],
                "times":{times},"first_seen":"2026-11-23T10:00:00Z","last_seen":"2026-11-23T10:00:00Z","sources":[]}}"#
        ))
        .expect("a case")
    }

    fn version(cases: &[Case], second: i64) -> Version {
        Version::of(cases, &parts(cases), Timestamp::from_second(second).expect("a time"))
    }

    #[test]
    fn a_case_that_changes_writes_its_own_part_anew() {
        let before = [case("0a", "candidate", 1), case("0b", "candidate", 1), case("1a", "confirmed", 1), case("2a", "rejected", 1)];
        let mut after = before.clone();
        after[0].times = 2;
        let (before, after) = (parts(&before), parts(&after));
        assert_eq!(before.iter().map(|part| part.entry.cases).collect::<Vec<_>>(), [2, 1], "what was rejected is left out");
        assert_ne!(before[0].entry, after[0].entry);
        assert_eq!(before[1].entry, after[1].entry);
    }

    #[test]
    fn the_same_cases_are_the_same_version_and_old_versions_are_forgotten() {
        let manifest = Manifest::new(Key::try_from("KB").expect("a key"));
        let first = manifest.with(version(&[case("0a", "candidate", 1)], 1)).expect("a version");
        assert_eq!(first.with(version(&[case("0a", "candidate", 1)], 2)), None);
        let many = (2..40).fold(first, |manifest, times| manifest.with(version(&[case("0a", "candidate", times)], 1)).expect("a version"));
        assert_eq!((many.versions.len(), many.parts().len()), (VERSIONS, VERSIONS));
        assert_eq!(many.without_history().parts().len(), 1);
    }
}
