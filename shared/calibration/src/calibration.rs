//! What is ordinary for one knowledge base, and how far from it a retrieval lies.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::codec;
use crate::features::{Feature, Features};

/// Retrievals that a calibration keeps. A share of 5% is then known to within ±1.4 points, 19 times in 20.
pub const SAMPLE: usize = 1_024;

/// The features that count together, the first of these that a retrieval and enough of those known have. Beside the coverage
/// the lead says nothing more: on labelled retrievals it made each order a little worse.
const TOGETHER: [&[Feature]; 4] =
    [&[Feature::TopScore, Feature::Coverage], &[Feature::TopScore, Feature::Lead], &[Feature::TopScore], &[Feature::Coverage]];

/// The features of a uniform sample of retrievals: those whose ids have the smallest hashes (a bottom-k sample, Cohen &
/// Kaplan 2007).
///
/// Which retrievals stay depends on nothing but their ids, so calibrations merge in any order, and one that is delivered
/// twice counts once. Up to [`SAMPLE`] retrievals it knows them all.
///
/// Serialised it is one string of at most 28 KB, see [`String::from`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Calibration {
    sample: BTreeMap<u64, Features>,
}

/// Whether a retrieval is out of the ordinary.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Too few retrievals are known to tell.
    Learning {
        /// How many are.
        seen: u64,
        /// How many have to be.
        needed: u64,
    },
    /// The retrieval has no features to judge it by.
    Unknown,
    /// Where it lies among those known.
    Known(Unsureness),
}

/// How unsure a retrieval looks, beside those that are known. Its text says why.
#[derive(Debug, Clone, PartialEq)]
pub struct Unsureness {
    /// 0 to 1: the share of retrievals that look surer. At most about 5% of ordinary traffic lies at 0.95 or beyond.
    pub combined: f64,
    /// Each feature that counted.
    pub quantiles: Vec<Quantile>,
    /// How many retrievals are known, see [`Calibration::learned`].
    pub learned: u64,
}

/// Where one feature of a retrieval lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantile {
    /// The feature.
    pub feature: Feature,
    /// Its value.
    pub value: f64,
    /// 0 to 1: the share of the known retrievals whose value is smaller, those with the same counting half.
    pub quantile: f64,
}

impl Calibration {
    /// Learns a retrieval by its id, and says whether that changed anything: a full sample seldom changes. One that is
    /// known, or has no features, changes nothing.
    ///
    /// Two retrievals of one id are a mistake; whichever comes first, the same one stays.
    pub fn learn(&mut self, retrieval: &str, features: &Features) -> bool {
        let hash = Sha256::digest(retrieval.as_bytes());
        let place = hash.iter().take(8).fold(0, |place, byte| place << 8 | u64::from(*byte));
        features.has_any() && self.keep(place, *features)
    }

    /// Adds what another calibration knows.
    pub fn merge(&mut self, other: &Self) {
        for (place, features) in &other.sample {
            self.keep(*place, *features);
        }
    }

    /// How many retrievals are known: counted up to [`SAMPLE`], beyond that estimated from how densely their hashes lie,
    /// with a standard error of 3% (Bar-Yossef, Jayram, Kumar, Sivakumar & Trevisan 2002).
    #[must_use]
    pub fn learned(&self) -> u64 {
        match self.sample.last_key_value() {
            Some((largest, _)) if self.is_full() => {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; saturates")]
                let estimate = ((SAMPLE - 1) as f64 / (*largest as f64 / u64::MAX as f64)).round() as u64;
                estimate.max(SAMPLE as u64)
            }
            _ => self.sample.len() as u64,
        }
    }

    /// How unsure a retrieval looks, once `needed` retrievals with features like its own are known (200 are few enough to
    /// wait for and enough to tell the lowest 5%; more than [`SAMPLE`] count as that many).
    ///
    /// The top score counts, and the coverage; where no coverage is known, the lead. Each becomes its quantile, and the sum of
    /// their logarithms is the statistic: Fisher's (1932), by which one very low feature weighs more than two low ones. How
    /// often the known retrievals have a statistic as low is a conformal p-value (Vovk, Gammerman & Shafer 2005), valid however
    /// the features depend on each other, and `combined` is 1 less it.
    #[must_use]
    pub fn unsure(&self, features: &Features, needed: u64) -> Verdict {
        if !features.has_any() {
            return Verdict::Unknown;
        }
        let enough = usize::try_from(needed).unwrap_or(SAMPLE).min(SAMPLE);
        let mut seen = 0;
        for together in TOGETHER.into_iter().filter(|together| features.have(together)) {
            let alike: Vec<&Features> = self.sample.values().filter(|known| known.have(together)).collect();
            if alike.len() >= enough {
                return Verdict::Known(self.place(features, together, &alike));
            }
            seen = seen.max(alike.len() as u64);
        }
        Verdict::Learning { seen, needed }
    }

    fn place(&self, features: &Features, together: &[Feature], alike: &[&Features]) -> Unsureness {
        let scales: Vec<Scale> = together.iter().map(|feature| Scale::of(*feature, alike)).collect();
        let statistic = |features: &Features| scales.iter().map(|scale| scale.quantile(features).ln()).sum::<f64>();
        let own = statistic(features);
        let as_low = alike.iter().filter(|known| statistic(known) <= own).count();
        let quantiles = scales.iter().filter_map(|scale| {
            Some(Quantile { feature: scale.feature, value: features.get(scale.feature)?, quantile: scale.quantile(features) })
        });
        Unsureness {
            combined: 1.0 - (1 + as_low) as f64 / (1 + alike.len()) as f64,
            quantiles: quantiles.collect(),
            learned: self.learned(),
        }
    }

    /// The sample, by the hashes of the ids.
    pub(crate) fn sample(&self) -> impl Iterator<Item = (u64, Features)> {
        self.sample.iter().map(|(place, features)| (*place, *features))
    }

    /// From at most [`SAMPLE`] hashes and features.
    pub(crate) fn of_sample(sample: impl IntoIterator<Item = (u64, Features)>) -> Self {
        Self { sample: sample.into_iter().collect() }
    }

    fn is_full(&self) -> bool {
        self.sample.len() >= SAMPLE
    }

    fn keep(&mut self, place: u64, features: Features) -> bool {
        if let Some(known) = self.sample.get_mut(&place) {
            let smaller = features.to_bits() < known.to_bits();
            if smaller {
                *known = features;
            }
            return smaller;
        }
        if self.is_full() {
            if self.sample.last_key_value().is_some_and(|(largest, _)| *largest < place) {
                return false;
            }
            self.sample.pop_last();
        }
        self.sample.insert(place, features);
        true
    }
}

/// The values that one feature takes.
struct Scale {
    feature: Feature,
    sorted: Vec<f64>,
}

impl Scale {
    fn of(feature: Feature, known: &[&Features]) -> Self {
        let mut sorted: Vec<f64> = known.iter().filter_map(|known| known.get(feature)).collect();
        sorted.sort_by(f64::total_cmp);
        Self { feature, sorted }
    }

    /// Between 0 and 1, neither of them, so that it has a logarithm.
    fn quantile(&self, features: &Features) -> f64 {
        let Some(value) = features.get(self.feature) else { return 1.0 };
        let smaller = self.sorted.partition_point(|known| *known < value);
        let up_to = self.sorted.partition_point(|known| *known <= value);
        ((smaller + up_to) as f64 / 2.0 + 0.5) / (self.sorted.len() as f64 + 1.0)
    }
}

impl From<Calibration> for String {
    fn from(calibration: Calibration) -> Self {
        codec::write(&calibration)
    }
}

impl TryFrom<String> for Calibration {
    type Error = codec::Unreadable;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        codec::read(&text)
    }
}

impl fmt::Display for Unsureness {
    /// "top score 0.31 is at the 2nd percentile, lead 0.02 at the 30th, of 940 retrievals"
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, Quantile { feature, value, quantile }) in self.quantiles.iter().enumerate() {
            let percentile = ordinal(*quantile);
            match place {
                0 => write!(f, "{feature} {} is at the {percentile} percentile", Short(*value))?,
                _ => write!(f, ", {feature} {} at the {percentile}", Short(*value))?,
            }
        }
        let about = if self.learned > SAMPLE as u64 { "about " } else { "" };
        write!(f, "{} of {about}{} retrievals", if self.quantiles.len() > 1 { "," } else { "" }, thousands(self.learned))
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TopScore => "top score",
            Self::Lead => "lead",
            Self::Coverage => "share of the question's words found",
        })
    }
}

/// A value with the digits that tell it from its neighbours.
struct Short(f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.abs() {
            size if size >= 1e6 || (size > 0.0 && size < 1e-3) => write!(f, "{:.2e}", self.0),
            size if size >= 100.0 => write!(f, "{:.0}", self.0),
            size if size >= 10.0 => write!(f, "{:.1}", self.0),
            size if size >= 0.1 || size == 0.0 => write!(f, "{:.2}", self.0),
            _ => write!(f, "{:.4}", self.0),
        }
    }
}

/// A share as a percentile, from "1st" to "100th".
fn ordinal(quantile: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 100")]
    let percentile = (quantile * 100.0).ceil().clamp(1.0, 100.0) as u32;
    let ending = match (percentile % 10, percentile) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{percentile}{ending}")
}

/// A count with its thousands apart; what is estimated, beyond [`SAMPLE`], to three digits.
fn thousands(count: u64) -> String {
    let step = if count > SAMPLE as u64 { 10_u64.pow(count.ilog10().saturating_sub(2)) } else { 1 };
    let digits = (count / step * step).to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NEEDED: u64 = 200;

    /// A store's traffic: scores around `center`, on the store's own scale, a lead that goes with them, and coverage.
    fn traffic(seed: u64, center: f64, spread: f64) -> impl Iterator<Item = Features> {
        let mut random = fastrand::Rng::with_seed(seed);
        std::iter::repeat_with(move || {
            let good = random.f64() + random.f64();
            let top = center + spread * good;
            let scores = [top, top - spread * good * random.f64(), center - spread];
            let words = ["alpha", "beta", "gamma", "delta", "omega", "sigma"];
            let held: Vec<&str> = words.into_iter().filter(|_| random.f64() < 0.4 + good / 4.0).collect();
            Features::of(scores, Some(&words.join(" ")), [held.join(" ").as_str()])
        })
    }

    fn learned(features: impl Iterator<Item = Features>) -> Calibration {
        let mut calibration = Calibration::default();
        for (number, features) in features.enumerate() {
            calibration.learn(&format!("retrieval {number}"), &features);
        }
        calibration
    }

    fn combined(verdict: &Verdict) -> f64 {
        match verdict {
            Verdict::Known(unsureness) => unsureness.combined,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn about_five_in_a_hundred_of_ordinary_traffic_lie_at_0_95_or_beyond() {
        for (known, tolerance) in [(300, 0.035), (5_000, 0.015), (50_000, 0.015)] {
            let calibration = learned(traffic(1, 0.4, 0.1).take(known));
            let unsure = traffic(2, 0.4, 0.1).take(4_000).filter(|features| combined(&calibration.unsure(features, NEEDED)) >= 0.95);
            let share = unsure.count() as f64 / 4_000.0;
            assert!((share - 0.05).abs() < tolerance, "{share} of traffic like {known} that are known");
        }
    }

    #[test]
    fn one_score_is_ordinary_in_one_store_and_unsure_in_another() {
        let low = learned(traffic(3, 0.25, 0.2).take(1_000));
        let high = learned(traffic(4, 1.20, 0.15).take(1_000));
        let features = Features::of([0.55, 0.3, 0.25], None, []);
        assert!(combined(&low.unsure(&features, NEEDED)) < 0.5);
        assert!(combined(&high.unsure(&features, NEEDED)) > 0.95);
    }

    #[test]
    fn the_same_traffic_on_another_scale_is_judged_the_same() {
        let [one, other] = [1.0, 64.0].map(|scale| learned(traffic(5, 0.25 * scale, 0.25 * scale).take(500)));
        let pairs = traffic(6, 0.25, 0.25).zip(traffic(6, 16.0, 16.0)).take(100);
        for (small, large) in pairs {
            let (small, large) = (combined(&one.unsure(&small, NEEDED)), combined(&other.unsure(&large, NEEDED)));
            assert!((small - large).abs() < 0.01, "{small} and {large}");
        }
    }

    #[test]
    fn while_too_few_are_known_that_is_said() {
        let features = Features::of([0.1], None, []);
        let calibration = learned(traffic(7, 0.4, 0.1).take(199));
        assert_eq!(calibration.unsure(&features, NEEDED), Verdict::Learning { seen: 199, needed: 200 });
        assert_eq!(Calibration::default().unsure(&features, NEEDED), Verdict::Learning { seen: 0, needed: 200 });
        assert!(matches!(calibration.unsure(&features, 199), Verdict::Known(_)));
        assert_eq!(Calibration::default().unsure(&Features::default(), NEEDED), Verdict::Unknown);
    }

    #[test]
    fn more_than_a_sample_is_never_waited_for() {
        let calibration = learned(traffic(8, 0.4, 0.1).take(3_000));
        assert!(matches!(calibration.unsure(&Features::of([0.1], None, []), u64::MAX), Verdict::Known(_)));
    }

    #[test]
    fn a_feature_that_few_have_does_not_count() {
        let mut calibration = learned((0..300).map(|number| Features::of([f64::from(number)], None, [])));
        let full = Features::of([100.0, 1.0], Some("kettle"), [""]);
        for number in 0..50 {
            calibration.learn(&format!("full {number}"), &full);
        }
        let Verdict::Known(unsureness) = calibration.unsure(&full, NEEDED) else { panic!("enough are known") };
        assert_eq!(unsureness.quantiles.iter().map(|quantile| quantile.feature).collect::<Vec<_>>(), [Feature::TopScore]);
    }

    #[test]
    fn stores_that_always_give_the_same_score_call_nothing_unsure() {
        let calibration = learned((0..300).map(|_| Features::of([1.0, 1.0], None, [])));
        assert!(combined(&calibration.unsure(&Features::of([1.0, 1.0], None, []), NEEDED)) < 0.01);
        assert!(combined(&calibration.unsure(&Features::of([0.9, 0.9], None, []), NEEDED)) > 0.95);
    }

    #[test]
    fn the_explanation_says_where_each_feature_lies() {
        let calibration = learned((0..400).map(|number| Features::of([f64::from(number) / 400.0], None, [])));
        let Verdict::Known(unsureness) = calibration.unsure(&Features::of([0.018], None, []), NEEDED) else { panic!("enough are known") };
        assert_eq!(unsureness.to_string(), "top score 0.0180 is at the 3rd percentile of 400 retrievals");
        let unsureness = Unsureness {
            combined: 0.97,
            quantiles: vec![
                Quantile { feature: Feature::TopScore, value: 1.213, quantile: 0.111 },
                Quantile { feature: Feature::Coverage, value: 0.0, quantile: 0.001 },
            ],
            learned: 12_437,
        };
        assert_eq!(
            unsureness.to_string(),
            "top score 1.21 is at the 12th percentile, share of the question's words found 0.00 at the 1st, of about 12,400 retrievals"
        );
    }

    #[test]
    fn how_many_are_known_is_counted_and_then_estimated() {
        assert_eq!(learned(traffic(9, 0.4, 0.1).take(1_000)).learned(), 1_000);
        let many = learned(traffic(9, 0.4, 0.1).take(40_000)).learned();
        assert!((36_000..44_000).contains(&many), "{many}");
    }

    #[test]
    fn a_full_calibration_fits_a_row() {
        let calibration = learned(traffic(10, 0.4, 0.1).take(5_000));
        let text = serde_json::to_string(&calibration).expect("text");
        assert!((27_000..28_000).contains(&text.len()), "{} bytes", text.len());
        assert_eq!(serde_json::from_str::<Calibration>(&text).expect("a calibration"), calibration);
    }

    #[test]
    fn a_full_sample_seldom_changes() {
        let mut calibration = learned(traffic(11, 0.4, 0.1).take(20_000));
        let features = Features::of([1.0], None, []);
        let changes = (0..1_000).filter(|number| calibration.learn(&format!("later {number}"), &features)).count();
        assert!((1..120).contains(&changes), "{changes}");
    }

    /// Retrievals, some of them twice or with other features, more than a sample has.
    fn retrievals() -> impl Strategy<Value = Vec<(u16, Features)>> {
        let features = prop::collection::vec(prop::num::f64::ANY, 0..3).prop_map(|scores| Features::of(scores, None, []));
        prop::collection::vec((any::<u16>(), features), 0..2_500)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn order_duplicates_and_merging_change_nothing(retrievals in retrievals(), cuts in (0usize..2_500, 0usize..2_500)) {
            let of = |retrievals: &[(u16, Features)]| {
                let mut calibration = Calibration::default();
                for (id, features) in retrievals {
                    calibration.learn(&id.to_string(), features);
                }
                calibration
            };
            let whole = of(&retrievals);
            let backwards: Vec<_> = retrievals.iter().rev().chain(&retrievals).copied().collect();
            prop_assert_eq!(&of(&backwards), &whole);
            let (one, other) = (cuts.0.min(cuts.1).min(retrievals.len()), cuts.0.max(cuts.1).min(retrievals.len()));
            let parts = [&retrievals[..one], &retrievals[one..other], &retrievals[other..]].map(of);
            for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0], [2, 1, 0]] {
                let mut merged = Calibration::default();
                order.iter().for_each(|part| merged.merge(&parts[*part]));
                prop_assert_eq!(&merged, &whole);
            }
            prop_assert_eq!(Calibration::try_from(String::from(whole.clone())), Ok(whole));
        }

        #[test]
        fn any_retrieval_is_judged_within_bounds(
            known in prop::collection::vec(prop::collection::vec(prop::num::f64::ANY, 0..8), 0..60),
            scores in prop::collection::vec(prop::num::f64::ANY, 0..8),
            needed in 0u64..80,
        ) {
            let calibration = learned(known.into_iter().map(|scores| Features::of(scores, Some("kettle"), ["kettles", "cups"])));
            if let Verdict::Known(unsureness) = calibration.unsure(&Features::of(scores, Some("kettle"), [""]), needed) {
                prop_assert!((0.0..=1.0).contains(&unsureness.combined));
                prop_assert!(unsureness.quantiles.iter().all(|quantile| quantile.quantile > 0.0 && quantile.quantile < 1.0));
                prop_assert!(!unsureness.to_string().is_empty());
            }
        }

        #[test]
        fn a_lower_score_never_looks_surer(scores in (0.0f64..1.0, 0.0f64..1.0)) {
            let calibration = learned(traffic(12, 0.2, 0.3).take(300));
            let [low, high] = [scores.0.min(scores.1), scores.0.max(scores.1)].map(|score| {
                combined(&calibration.unsure(&Features::of([score], None, []), NEEDED))
            });
            prop_assert!(low >= high);
        }
    }
}
