//! Repetitions on all cores, each with randomness of its own.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Does as many repetitions as asked. The figures are the same on any number of threads.
pub(crate) fn repeat<T: Send>(seed: u64, repetitions: usize, name: &str, one: impl Fn(&mut fastrand::Rng) -> T + Sync) -> Vec<T> {
    let seed = name.bytes().fold(seed, |seed, byte| seed.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte));
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= repetitions {
                return done;
            }
            let mut random = fastrand::Rng::with_seed(seed.wrapping_add(place as u64));
            done.push((place, one(&mut random)));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut all: Vec<(usize, T)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, result)| result).collect()
}
