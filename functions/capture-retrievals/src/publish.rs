//! From what is kept of a knowledge base to its data set.

use flywheel_engine::cases::dataset::{Manifest, Version, parts};
use flywheel_engine::cases::{Shelf, cases, expired};
use flywheel_model::{Hour, Key};
use flywheel_policy::Policy;
use flywheel_ports::{CaseStore, Datasets, ShelfState, Unavailable};
use jiff::Timestamp;

use crate::World;

/// Tries to be the one who writes a manifest.
const TRIES: usize = 5;

/// What stays of the versions before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// They stay, as many as a manifest names.
    Kept,
    /// They go: what was erased must not stand in them.
    Erased,
}

impl<O, S: CaseStore, B, F, D: Datasets> World<O, S, B, F, D> {
    /// Publishes the data sets that do not show what is kept, and all of them once a day, when cases may have expired. Says
    /// how many.
    ///
    /// # Errors
    /// If something that it needs does not answer.
    pub async fn publish(&self, policy: &Policy, now: Timestamp) -> Result<u64, Unavailable> {
        let mut published = 0;
        for shelf in self.store.shelves().await? {
            if shelf.writes != shelf.published_writes || shelf.published_day != day(now) {
                publish(&self.store, &self.datasets, &shelf, History::Kept, policy.capture.keep_days, now).await?;
                published += 1;
            }
        }
        Ok(published)
    }
}

/// Publishes a knowledge base's data set as it is kept now.
///
/// # Errors
/// If something that it needs does not answer, or others are always faster.
pub async fn publish(
    store: &impl CaseStore,
    datasets: &impl Datasets,
    shelf: &ShelfState,
    history: History,
    keep_days: u32,
    now: Timestamp,
) -> Result<(), Unavailable> {
    let knowledge_base = &shelf.knowledge_base;
    for _ in 0..TRIES {
        // The manifest first: whoever changed it since has read the shelf later than we do.
        let before = datasets.manifest(knowledge_base).await?;
        let kept = without_expired(store, knowledge_base, keep_days, now).await?;
        let cases = cases(knowledge_base, &kept);
        let parts = parts(&cases);
        let (manifest, tag) = match before.clone() {
            Some((manifest, tag)) => (manifest, Some(tag)),
            None => (Manifest::new(knowledge_base.clone()), None),
        };
        let next = manifest.with(Version::of(&cases, &parts, now));
        let next = match history {
            History::Kept => next,
            History::Erased => Some(next.unwrap_or(manifest.clone()).without_history()),
        };
        let Some(next) = next else { return store.published(knowledge_base, shelf.writes, day(now)).await };
        let there = manifest.parts();
        for part in parts.iter().filter(|part| !there.contains(part.entry.sha256.as_str())) {
            datasets.put_part(knowledge_base, part).await?;
        }
        if datasets.put_manifest(&next, tag.as_deref()).await? {
            datasets.prune(&next, before.as_ref().map(|(manifest, _)| manifest)).await?;
            return store.published(knowledge_base, shelf.writes, day(now)).await;
        }
    }
    Err(Unavailable { what: "publish a data set", why: format!("{TRIES} times others wrote its manifest") })
}

/// What is kept of a knowledge base, once what has expired is taken out.
async fn without_expired(store: &impl CaseStore, knowledge_base: &Key, keep_days: u32, now: Timestamp) -> Result<Shelf, Unavailable> {
    let mut kept = store.shelf(knowledge_base).await?;
    let expired = expired(&kept, keep_days, now);
    if !expired.sightings.is_empty() {
        store.remove(knowledge_base, &expired).await?;
        kept.sightings.retain(|sighting| !expired.sightings.contains(sighting));
        kept.decisions.retain(|decision| !expired.decisions.contains(decision));
    }
    Ok(kept)
}

fn day(at: Timestamp) -> i64 {
    Hour::of(at).0.div_euclid(24)
}
