//! What a retrieval shows of how well it went.

use std::collections::HashSet;

use crate::words;

/// Scores that count: as many as Bedrock returns unless told otherwise.
const SCORES: usize = 5;
/// Passages that are read.
const PASSAGES: usize = 10;
/// Telling words of a question that count.
const WORDS: usize = 100;

/// One thing by which a retrieval is judged. Of each, less is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// The best score.
    TopScore,
    /// How far the best score is ahead of the mean of the next four. Scores that all lie together say that nothing stands
    /// out: the idea of NQC (Shtok, Kurland, Carmel, Raiber & Markovits 2012) with as few scores as a retrieval has.
    Lead,
    /// The share of the question's telling words that one passage holds, of the passage that holds most of them.
    Coverage,
}

/// The features of one retrieval, as far as it tells them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Features {
    /// In the order of [`Feature`]; all are finite.
    values: [Option<f32>; 3],
}

impl Features {
    /// The features of a retrieval: its scores in any order, higher for better, whatever their scale, its question and the
    /// texts of its passages, in the order of their scores where they are many.
    ///
    /// Never fails. Scores that are not finite count as not given; without passages or a question with a telling word there is
    /// no coverage, with one score no lead.
    pub fn of<'p>(scores: impl IntoIterator<Item = f64>, query: Option<&str>, passages: impl IntoIterator<Item = &'p str>) -> Self {
        let best = best(scores);
        let top = best.first().copied();
        let next = best.get(1..).filter(|next| !next.is_empty());
        // Each is divided before they are added, which keeps the largest from overflowing.
        let lead = next.map(|next| (best[0] - next.iter().map(|score| score / next.len() as f64).sum::<f64>()).max(0.0));
        let coverage = query.and_then(|query| coverage(query, passages));
        Self { values: [top, lead, coverage].map(|value| value.map(single)) }
    }

    /// One of the features, where the retrieval tells it.
    #[must_use]
    pub fn get(&self, feature: Feature) -> Option<f64> {
        self.values[feature as usize].map(f64::from)
    }

    pub(crate) fn have(&self, features: &[Feature]) -> bool {
        features.iter().all(|feature| self.values[*feature as usize].is_some())
    }

    pub(crate) fn has_any(&self) -> bool {
        self.values.iter().any(Option::is_some)
    }

    /// The values as bits, so that features have an order and can be written; what is not known is a NaN.
    pub(crate) fn to_bits(self) -> [u32; 3] {
        self.values.map(|value| value.unwrap_or(f32::NAN).to_bits())
    }

    /// From what [`Features::to_bits`] gave; nothing for infinite values, which no features have.
    pub(crate) fn from_bits(bits: [u32; 3]) -> Option<Self> {
        let values = bits.map(f32::from_bits);
        let possible = values.iter().all(|value| !value.is_infinite());
        possible.then(|| Self { values: values.map(|value| (!value.is_nan()).then_some(value)) })
    }
}

/// The best finite scores, the best first.
fn best(scores: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut best: Vec<f64> = Vec::with_capacity(SCORES + 1);
    for score in scores.into_iter().filter(|score| score.is_finite()) {
        let place = best.partition_point(|better| *better >= score);
        if place < SCORES {
            best.insert(place, score);
            best.truncate(SCORES);
        }
    }
    best
}

fn coverage<'p>(query: &str, passages: impl IntoIterator<Item = &'p str>) -> Option<f64> {
    let mut asked = HashSet::new();
    words::telling(query, |word| {
        if asked.len() < WORDS {
            asked.insert(word.to_owned());
        }
    });
    if asked.is_empty() {
        return None;
    }
    let found = passages.into_iter().take(PASSAGES).map(|passage| words::found(&asked, passage).len()).max();
    found.map(|found| found as f64 / asked.len() as f64)
}

/// In single precision, kept within what it can hold. Zero has one form.
fn single(value: f64) -> f32 {
    #[allow(clippy::cast_possible_truncation, reason = "a score needs no more than seven digits")]
    let value = value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
    value + 0.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scores(scores: &[f64]) -> (Option<f64>, Option<f64>) {
        let features = Features::of(scores.iter().copied(), None, []);
        let rounded = |feature| features.get(feature).map(|value| (value * 1000.0).round() / 1000.0);
        (rounded(Feature::TopScore), rounded(Feature::Lead))
    }

    #[test]
    fn scores_count_in_any_order_and_only_the_best_five() {
        assert_eq!(scores(&[0.2, 0.9, 0.4]), (Some(0.9), Some(0.6)));
        assert_eq!(scores(&[0.5, 1.0, 0.5, 0.5, 0.5, -7.0, 0.1]), (Some(1.0), Some(0.5)));
        assert_eq!(scores(&[-3.0, -1.0]), (Some(-1.0), Some(2.0)));
        assert_eq!(scores(&[0.0]), (Some(0.0), None));
        assert_eq!(scores(&[]), (None, None));
    }

    #[test]
    fn a_score_that_is_not_finite_is_not_given() {
        assert_eq!(scores(&[f64::NAN, f64::INFINITY, 0.25, f64::NEG_INFINITY]), (Some(0.25), None));
        assert_eq!(scores(&[f64::NAN]), (None, None));
        assert_eq!(Features::of([f64::MAX, f64::MIN], None, []).get(Feature::Lead), Some(f64::from(f32::MAX)));
    }

    #[test]
    fn coverage_is_that_of_the_passage_with_most_of_the_words() {
        let coverage = |query, passages: &[&str]| Features::of([], Some(query), passages.iter().copied()).get(Feature::Coverage);
        assert_eq!(coverage("How do I descale the kettle?", &["Kettles boil.", "Descaling a kettle"]), Some(1.0));
        assert_eq!(coverage("How do I descale the kettle?", &["Kettles boil.", "Descaling"]), Some(0.5));
        assert_eq!(coverage("How do I descale the kettle?", &[""]), Some(0.0));
        assert_eq!(coverage("How do I descale the kettle?", &[]), None);
        assert_eq!(coverage("What is it?", &["It is that."]), None);
    }

    #[test]
    fn ten_thousand_scores_and_a_hundred_thousand_letters_are_taken() {
        let long = "kettle ".repeat(15_000);
        let features = Features::of((0..10_000).map(f64::from), Some(&long), vec![long.as_str(); 1_000]);
        assert_eq!(features.get(Feature::TopScore), Some(9_999.0));
        assert_eq!(features.get(Feature::Lead), Some(2.5));
        assert_eq!(features.get(Feature::Coverage), Some(1.0));
    }

    proptest! {
        #[test]
        fn any_input_gives_features_within_their_ranges(
            scores in prop::collection::vec(prop::num::f64::ANY, 0..20),
            query in prop::option::of(".{0,60}"),
            passages in prop::collection::vec(".{0,60}", 0..4),
        ) {
            let features = Features::of(scores, query.as_deref(), passages.iter().map(String::as_str));
            for feature in [Feature::TopScore, Feature::Lead, Feature::Coverage] {
                prop_assert!(features.get(feature).is_none_or(f64::is_finite));
            }
            prop_assert!(features.get(Feature::Lead).is_none_or(|lead| lead >= 0.0));
            prop_assert!(features.get(Feature::Coverage).is_none_or(|share| (0.0..=1.0).contains(&share)));
            prop_assert_eq!(Features::from_bits(features.to_bits()), Some(features));
        }

        #[test]
        fn the_order_of_scores_is_nothing(scores in prop::collection::vec(prop::num::f64::ANY, 0..20), turn in 0usize..20) {
            let mut turned = scores.clone();
            turned.rotate_left(turn % scores.len().max(1));
            prop_assert_eq!(Features::of(scores, None, []), Features::of(turned, None, []));
        }
    }
}
