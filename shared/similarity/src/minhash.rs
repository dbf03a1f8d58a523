//! MinHash (Broder 1997, "On the resemblance and containment of documents") and its bands (Leskovec, Rajaraman and Ullman,
//! "Mining of Massive Datasets", 3.4).

use crate::hash::mixed;

/// How many keys a question has; each is a row to read. With four minima in a band, two questions whose shingles are alike
/// to the degree s share a key with the probability 1 - (1 - s⁴)²⁰: 0.98 at 0.65, 0.996 at 0.7, 0.9999 at 0.8, but 0.15 at
/// 0.3 and 0.03 at 0.2. This goes by the shingles alone: a misspelt word in a short question makes it less.
pub const BANDS: usize = 20;
/// Minima in a band.
const ROWS: usize = 4;
/// Of the golden ratio: the step of SplitMix64, which makes of one place after the other hashes that do not depend on each
/// other.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The keys of a set of shingles. What is to be kept apart has no key in common, however alike the shingles are.
pub(crate) fn bands(shingles: &[u32], kept_apart: u64) -> [u64; BANDS] {
    let mut minima = [u64::MAX; BANDS * ROWS];
    for shingle in shingles {
        let mut seed = u64::from(*shingle) << 32;
        for minimum in &mut minima {
            seed = seed.wrapping_add(STEP);
            *minimum = mixed(seed).min(*minimum);
        }
    }
    let mut keys = [0; BANDS];
    for (place, (key, rows)) in keys.iter_mut().zip(minima.chunks_exact(ROWS)).enumerate() {
        let start = mixed(kept_apart ^ place as u64);
        *key = rows.iter().fold(start, |key, minimum| mixed(key.rotate_left(5) ^ minimum));
    }
    keys
}
