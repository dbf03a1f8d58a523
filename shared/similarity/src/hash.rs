//! Hashes that are the same on every machine and in every release: they are kept in databases.

/// FNV-1a, 64 bits (Fowler, Noll and Vo; RFC 9923).
pub(crate) fn of(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().copied().flatten();
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The same in 32 bits, well mixed: of the shingles of two questions, one in a million pairs of questions shares one by
/// chance.
pub(crate) fn short(parts: &[&[u8]]) -> u32 {
    (mixed(of(parts)) >> 32) as u32
}

/// Each bit depends on all of them (the finaliser of SplitMix64: Steele, Lea and Flood 2014).
pub(crate) const fn mixed(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
