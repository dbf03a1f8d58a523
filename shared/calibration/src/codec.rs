//! A calibration as text, for a table's row: 20 bytes for each retrieval in the sample, in base64. At most 28 KB.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::calibration::{Calibration, SAMPLE};
use crate::features::Features;

/// Text that is not a calibration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Letters that base64 does not have, or too few of them
    #[error("not base64")]
    NotBase64,
    /// Written by another version of this crate
    #[error("layout {0} is not known")]
    Layout(u8),
    /// It ends within a retrieval
    #[error("cut short")]
    CutShort,
    /// Retrievals out of order, without features or with an infinite one, or more than are kept
    #[error("retrieval {0} cannot be")]
    Impossible(usize),
}

/// The layout written here. Another one would have another number.
const LAYOUT: u8 = 1;
/// The bytes of a place and three features.
const ENTRY: usize = 8 + 3 * 4;

/// Writes a calibration.
pub(crate) fn write(calibration: &Calibration) -> String {
    let mut bytes = vec![LAYOUT];
    for (place, features) in calibration.sample() {
        bytes.extend(place.to_be_bytes());
        features.to_bits().into_iter().for_each(|bits| bytes.extend(bits.to_be_bytes()));
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads what [`write`] wrote.
pub(crate) fn read(text: &str) -> Result<Calibration, Unreadable> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Unreadable::NotBase64)?;
    let (layout, bytes) = bytes.split_first().ok_or(Unreadable::CutShort)?;
    if *layout != LAYOUT {
        return Err(Unreadable::Layout(*layout));
    }
    let (entries, []) = bytes.as_chunks::<ENTRY>() else { return Err(Unreadable::CutShort) };
    let mut sample = Vec::with_capacity(entries.len().min(SAMPLE));
    let mut before = None;
    for (number, entry) in entries.iter().enumerate() {
        let impossible = Unreadable::Impossible(number);
        let (place, bits) = entry.split_first_chunk::<8>().ok_or(Unreadable::CutShort)?;
        let place = u64::from_be_bytes(*place);
        let (bits, _) = bits.as_chunks::<4>();
        let features = Features::from_bits([bits[0], bits[1], bits[2]].map(u32::from_be_bytes)).ok_or(impossible)?;
        if number == SAMPLE || before.is_some_and(|before| before >= place) || !features.has_any() {
            return Err(impossible);
        }
        before = Some(place);
        sample.push((place, features));
    }
    Ok(Calibration::of_sample(sample))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_no_calibration_writes_is_refused_with_its_reason() {
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let entry = |place: u8| [[place; 8].as_slice(), &[0; 12]].concat();
        let unknown = [[7; 8].as_slice(), &[255; 12]].concat();
        let all = |parts: &[&[u8]]| encoded(&[&[LAYOUT], parts.concat().as_slice()].concat());
        for (text, why) in [
            ("ü".to_owned(), Unreadable::NotBase64),
            (String::new(), Unreadable::CutShort),
            (encoded(&[9]), Unreadable::Layout(9)),
            (all(&[&entry(1), &[0]]), Unreadable::CutShort),
            (all(&[&entry(2), &entry(1)]), Unreadable::Impossible(1)),
            (all(&[&entry(1), &entry(1)]), Unreadable::Impossible(1)),
            (all(&[&unknown]), Unreadable::Impossible(0)),
        ] {
            assert_eq!(read(&text), Err(why), "{text}");
        }
        assert_eq!(read(&all(&[&entry(1), &entry(2)])).map(|read| read.learned()), Ok(2));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(calibration) = read(&URL_SAFE_NO_PAD.encode([&[LAYOUT], bytes.as_slice()].concat())) {
                prop_assert_eq!(read(&write(&calibration)), Ok(calibration));
            }
        }
    }
}
