//! Draws from the binomial distribution.

/// How many of so many trials are events. By inversion where few are expected, else by transformed rejection (BTRS,
/// Hörmann 1993); both exact.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts far below 2^52")]
pub(crate) fn binomial(random: &mut fastrand::Rng, trials: u64, rate: f64) -> u64 {
    if rate > 0.5 {
        return trials - binomial(random, trials, 1.0 - rate);
    }
    if rate <= 0.0 || trials == 0 {
        return 0;
    }
    let n = trials as f64;
    if n * rate < 10.0 { by_inversion(random, n, rate) as u64 } else { by_rejection(random, n, rate) as u64 }
}

fn by_inversion(random: &mut fastrand::Rng, n: f64, p: f64) -> f64 {
    let odds = p / (1.0 - p);
    'again: loop {
        let (mut left, mut events) = (random.f64(), 0.0);
        let mut probability = (n * (-p).ln_1p()).exp();
        while left > probability {
            left -= probability;
            events += 1.0;
            if events > n {
                // What rounding left over.
                continue 'again;
            }
            probability *= odds * (n - events + 1.0) / events;
        }
        return events;
    }
}

fn by_rejection(random: &mut fastrand::Rng, n: f64, p: f64) -> f64 {
    let odds = p / (1.0 - p);
    let deviation = (n * p * (1.0 - p)).sqrt();
    let b = 1.15 + 2.53 * deviation;
    let a = -0.0873 + 0.0248 * b + 0.01 * p;
    let center = n * p + 0.5;
    let inner = 0.92 - 4.2 / b;
    let alpha = (2.83 + 5.1 / b) * deviation;
    let mode = ((n + 1.0) * p).floor();
    loop {
        let u = random.f64() - 0.5;
        let v = random.f64();
        let edge = 0.5 - u.abs();
        let k = ((2.0 * a / edge + b) * u + center).floor();
        if edge >= 0.07 && v <= inner {
            return k;
        }
        if !(0.0..=n).contains(&k) {
            continue;
        }
        let v = (v * alpha / (a / (edge * edge) + b)).ln();
        let bound = (mode + 0.5) * ((mode + 1.0) / (odds * (n - mode + 1.0))).ln()
            + (n + 1.0) * ((n - mode + 1.0) / (n - k + 1.0)).ln()
            + (k + 0.5) * (odds * (n - k + 1.0) / (k + 1.0)).ln()
            + tail(mode)
            + tail(n - mode)
            - tail(k)
            - tail(n - k);
        if v <= bound {
            return k;
        }
    }
}

/// What Stirling's formula lacks of ln k!.
fn tail(k: f64) -> f64 {
    const SMALL: [f64; 10] = [
        0.081_061_466_795_327_26,
        0.041_340_695_955_409_29,
        0.027_677_925_684_998_34,
        0.020_790_672_103_765_09,
        0.016_644_691_189_821_19,
        0.013_876_128_823_070_75,
        0.011_896_709_945_891_77,
        0.010_411_265_261_972_09,
        0.009_255_462_182_712_733,
        0.008_330_563_433_362_87,
    ];
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below ten")]
    if k < 9.5 {
        return SMALL[k as usize];
    }
    let square = (k + 1.0) * (k + 1.0);
    (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / 1_260.0 / square) / square) / (k + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_mean_and_the_variance_of_the_distribution() {
        let mut random = fastrand::Rng::with_seed(1);
        for (n, p) in [(3_u32, 0.3), (60, 0.02), (60, 0.97), (3_000, 0.02), (200_000, 0.4)] {
            let draws: Vec<f64> = (0..100_000).map(|_| binomial(&mut random, u64::from(n), p) as f64).collect();
            let mean = draws.iter().sum::<f64>() / 1e5;
            let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / 1e5;
            let (expected, spread) = (f64::from(n) * p, f64::from(n) * p * (1.0 - p));
            assert!((mean - expected).abs() < 4.5 * (spread / 1e5).sqrt(), "{n} {p}: {mean}");
            assert!((variance / spread - 1.0).abs() < 0.05, "{n} {p}: {variance}");
        }
    }
}
