//! Which questions are the same, in the same words or nearly.
//!
//! A [`Question`] is what is compared: its normalised text for exact duplicates, the shingles of its words for near ones,
//! and what no likeness of words outweighs. Two are the [`same`] if their shingles are alike (from
//! [`THRESHOLD`] on) and nothing [`contradicts`] it: other order numbers, one of them negated, one word in the place of
//! another. Whoever keeps many finds those that may be the same by their [`bands`](Question::bands), which can be the
//! keys of rows; who has all of them in memory takes [`clusters`].
//!
//! What shingles do not see: synonyms, and words that are only understood from the conversation before. Such questions
//! stay apart, which costs a second test case; a wrong match would lose one.
//!
//! Architecture invariant: nothing here knows AWS, waits, reads a clock or the environment, or draws a random number. The
//! work is linear in the text and bounded for what is compared.

mod clusters;
mod contradiction;
mod hash;
mod language;
mod minhash;
mod question;
mod spelling;
#[cfg(test)]
mod tests;
mod words;

pub use clusters::clusters;
pub use contradiction::{Contradiction, contradicts};
pub use minhash::BANDS;
pub use question::Question;

/// From which likeness on two questions are the same, if nothing contradicts it: the lowest with a precision of 0.99 on one
/// half of the pairs that `bench capture` makes. Higher misses what was only said more politely; lower takes a question with
/// one more condition for the question without.
pub const THRESHOLD: f64 = 0.65;

/// Whether two questions are the same.
#[must_use]
pub fn same(one: &Question, other: &Question) -> bool {
    one.text() == other.text() || (similarity(one, other) >= THRESHOLD && contradicts(one, other).is_none())
}

/// How alike the words of two questions are, 0 to 1: Jaccard's index of their shingles, where words that may be one in two
/// spellings count as one. It is 1 for questions in the same words in another order.
#[must_use]
pub fn similarity(one: &Question, other: &Question) -> f64 {
    let smaller = one.shingles().len().min(other.shingles().len()) as f64;
    let all = (one.shingles().len() + other.shingles().len()) as f64;
    if all == 0.0 {
        return 1.0;
    }
    let pairs = spelling::pairs(&one.words, &other.words);
    let respelt: f64 = pairs.iter().map(|(word, again)| unshared(&question::of_word(word), &question::of_word(again))).sum();
    let shared = (shared(one.shingles(), other.shingles()) as f64 + respelt).min(smaller);
    shared / (all - shared)
}

/// How many shingles of a word, on average, another spelling of it has not.
fn unshared(word: &[u32], again: &[u32]) -> f64 {
    (word.len() + again.len()) as f64 / 2.0 - shared(word, again) as f64
}

/// How many are in both of two sorted sets.
fn shared(one: &[u32], other: &[u32]) -> usize {
    let (mut left, mut right, mut shared) = (0, 0, 0);
    while let (Some(a), Some(b)) = (one.get(left), other.get(right)) {
        left += usize::from(a <= b);
        right += usize::from(b <= a);
        shared += usize::from(a == b);
    }
    shared
}
