//! Whether two groups of runs differ.

use std::collections::BTreeMap;

use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};

use crate::{Bin, Counts, Times};

/// The p-value (two-sided) of "both groups end at the same rate at each time": the log-rank test (Mantel 1966; Peto and Peto
/// 1972), of ends in either way. 1 where there is nothing to compare.
#[must_use]
pub fn log_rank(one: &Times, other: &Times) -> f64 {
    let (observed, expected, variance) = ranks(one, other);
    if variance <= 0.0 {
        return 1.0;
    }
    let z = (observed - expected) / variance.sqrt();
    2.0 * Normal::standard().cdf(-z.abs())
}

/// Ends in the first group, as many as were expected of it, and the variance of that.
#[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn ranks(one: &Times, other: &Times) -> (f64, f64, f64) {
    let mut bins: BTreeMap<Bin, [Counts; 2]> = BTreeMap::new();
    for (group, times) in [one, other].into_iter().enumerate() {
        for (bin, counts) in times.bins() {
            bins.entry(bin).or_default()[group] = counts;
        }
    }
    let mut left = [one.runs() as f64, other.runs() as f64];
    let (mut observed, mut expected, mut variance) = (0.0, 0.0, 0.0);
    for counts in bins.values() {
        let ends = counts.map(|counts| counts.completed as f64 + counts.failed as f64);
        let (all, ended) = (left[0] + left[1], ends[0] + ends[1]);
        observed += ends[0];
        expected += ended * left[0] / all;
        if all > 1.0 {
            variance += ended * (left[0] / all) * (left[1] / all) * (all - ended) / (all - 1.0);
        }
        left = [left[0] - counts[0].runs() as f64, left[1] - counts[1].runs() as f64];
    }
    (observed, expected, variance)
}

/// The p-value of "both groups have the same mix of classes": Pearson's χ² test of homogeneity (1900). 1 where there is
/// nothing to compare.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub fn same_mix<const N: usize>(one: &[u64; N], other: &[u64; N]) -> f64 {
    let sums = [one, other].map(|mix| mix.iter().map(|&runs| runs as f64).sum::<f64>());
    let classes: Vec<[f64; 2]> = one.iter().zip(other).map(|(&a, &b)| [a as f64, b as f64]).filter(|[a, b]| a + b > 0.0).collect();
    if classes.len() < 2 || sums.contains(&0.0) {
        return 1.0;
    }
    let statistic: f64 = classes
        .iter()
        .flat_map(|class| class.iter().zip(sums).map(move |(runs, sum)| (runs, sum * (class[0] + class[1]))))
        .map(|(runs, product)| {
            let expected = product / (sums[0] + sums[1]);
            (runs - expected).powi(2) / expected
        })
        .sum();
    ChiSquared::new((classes.len() - 1) as f64).map_or(1.0, |distribution| 1.0 - distribution.cdf(statistic))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remission of leukaemia in weeks under placebo and under 6-mercaptopurine (Freireich et al. 1963), the example of
    /// Kleinbaum and Klein, "Survival Analysis": 19.25 ends expected under treatment, χ² = 16.79.
    #[test]
    fn remission_of_leukaemia() {
        let (mut placebo, mut treated) = (Times::default(), Times::default());
        for weeks in [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23] {
            placebo.completed(f64::from(weeks), 1);
        }
        for weeks in [6, 6, 6, 7, 10, 13, 16, 22, 23] {
            treated.completed(f64::from(weeks), 1);
        }
        for weeks in [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35] {
            treated.censored(f64::from(weeks), 1);
        }
        let (observed, expected, variance) = ranks(&treated, &placebo);
        assert_eq!(observed, 9.0);
        assert!((expected - 19.25).abs() < 0.005, "{expected}");
        let chi_squared = (observed - expected).powi(2) / variance;
        assert!((chi_squared - 16.79).abs() < 0.005, "{chi_squared}");
        assert!(log_rank(&treated, &placebo) < 1e-4);
    }

    /// Pearson's test on a table of two by two has the closed form n (ad − bc)² / (product of the sums).
    #[test]
    fn mixes_are_compared_by_pearsons_test() {
        let p = same_mix(&[30, 70], &[45, 55]);
        let statistic = 200.0 * f64::powi(30.0 * 55.0 - 70.0 * 45.0, 2) / (100.0 * 100.0 * 75.0 * 125.0);
        let expected = 1.0 - ChiSquared::new(1.0).expect("a distribution").cdf(statistic);
        assert!((p - expected).abs() < 1e-12, "{p} {expected}");
        assert_eq!(same_mix(&[0, 9], &[0, 4]), 1.0);
        assert_eq!(same_mix(&[0, 0], &[3, 4]), 1.0);
    }

    #[test]
    fn nothing_to_compare_is_no_difference() {
        assert_eq!(log_rank(&Times::default(), &Times::default()), 1.0);
    }
}
