//! The three checksums that S3 has of the CRC family, under the name and with the types that the AWS SDK knows them by.
//!
//! The crate that belongs in this place knows 49 algorithms. Each is chosen when it runs and brings a table of its own, so
//! all of them are in a function that has an S3 client: 0.66 MB of one that may have 8. Here are those that the SDK
//! (`aws-smithy-checksums`) asks for, done by crates that do one each.

use std::fmt::{Debug, Formatter, Result as Written};

use crc::{CRC_32_ISCSI, CRC_64_NVME, Crc};

static CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
static CRC64NVME: Crc<u64> = Crc::<u64>::new(&CRC_64_NVME);

/// Which checksum, by its name in the catalogue of parametrised CRC algorithms (reveng).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrcAlgorithm {
    /// S3's CRC32, which the SDK puts on what it uploads.
    Crc32IsoHdlc,
    /// S3's CRC32C.
    Crc32Iscsi,
    /// S3's CRC64NVME, which S3 puts on what comes without a checksum.
    Crc64Nvme,
}

/// A checksum of bytes that come in pieces.
#[derive(Clone)]
pub struct Digest(Sum);

#[derive(Clone)]
enum Sum {
    Crc32(crc32fast::Hasher),
    Crc32c(crc::Digest<'static, u32>),
    Crc64Nvme(crc::Digest<'static, u64>),
}

impl Digest {
    /// That of no bytes.
    #[must_use]
    pub fn new(algorithm: CrcAlgorithm) -> Self {
        Self(match algorithm {
            CrcAlgorithm::Crc32IsoHdlc => Sum::Crc32(crc32fast::Hasher::new()),
            CrcAlgorithm::Crc32Iscsi => Sum::Crc32c(CRC32C.digest()),
            CrcAlgorithm::Crc64Nvme => Sum::Crc64Nvme(CRC64NVME.digest()),
        })
    }

    /// Takes in the bytes that come next.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Sum::Crc32(sum) => sum.update(bytes),
            Sum::Crc32c(sum) => sum.update(bytes),
            Sum::Crc64Nvme(sum) => sum.update(bytes),
        }
    }

    /// The checksum of what has come. One of 32 bits stands in the lower half.
    #[must_use]
    pub fn finalize(&self) -> u64 {
        match self.0.clone() {
            Sum::Crc32(sum) => u64::from(sum.finalize()),
            Sum::Crc32c(sum) => u64::from(sum.finalize()),
            Sum::Crc64Nvme(sum) => sum.finalize(),
        }
    }
}

impl Debug for Digest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Written {
        write!(f, "Digest({:#x})", self.finalize())
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const ALL: [CrcAlgorithm; 3] = [CrcAlgorithm::Crc32IsoHdlc, CrcAlgorithm::Crc32Iscsi, CrcAlgorithm::Crc64Nvme];

    fn checksum(algorithm: CrcAlgorithm, pieces: &[&[u8]]) -> u64 {
        let mut digest = Digest::new(algorithm);
        pieces.iter().for_each(|piece| digest.update(piece));
        digest.finalize()
    }

    /// The definition: the polynomial with its bits reversed, bit after bit, begun and ended with all bits turned.
    fn bit_by_bit(reversed: u64, bits: u32, bytes: &[u8]) -> u64 {
        let ones = u64::MAX >> (64 - bits);
        let step = |sum: u64| if sum & 1 == 1 { (sum >> 1) ^ reversed } else { sum >> 1 };
        ones ^ bytes.iter().fold(ones, |sum, byte| (0..8).fold(sum ^ u64::from(*byte), |sum, _| step(sum)))
    }

    /// The check values of the catalogue.
    #[test]
    fn the_digits_have_their_check_values() {
        assert_eq!(ALL.map(|algorithm| checksum(algorithm, &[b"123456789"])), [0xcbf4_3926, 0xe306_9283, 0xae8b_1486_0a79_9888]);
    }

    #[test]
    fn no_bytes_have_the_checksum_zero() {
        assert_eq!(ALL.map(|algorithm| checksum(algorithm, &[])), [0, 0, 0]);
    }

    #[test]
    fn a_checksum_may_be_asked_for_on_the_way() {
        for algorithm in ALL {
            let mut digest = Digest::new(algorithm);
            digest.update(b"1234");
            assert_eq!(digest.finalize(), checksum(algorithm, &[b"1234"]));
            digest.update(b"56789");
            assert_eq!(digest.finalize(), checksum(algorithm, &[b"123456789"]));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_have_the_checksum_of_its_definition(bytes in vec(any::<u8>(), 0..2_000), at in any::<prop::sample::Index>()) {
            let (left, right) = bytes.split_at(at.index(bytes.len() + 1));
            let definition = [(0xedb8_8320, 32), (0x82f6_3b78, 32), (0x9a6c_9329_ac4b_c9b5, 64)].map(|(reversed, bits)| bit_by_bit(reversed, bits, &bytes));
            prop_assert_eq!(ALL.map(|algorithm| checksum(algorithm, &[left, right])), definition);
        }
    }
}
