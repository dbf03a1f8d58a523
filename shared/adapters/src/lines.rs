//! JSON Lines, compressed: how many values are kept as one object.

use std::io::{self, BufRead, BufReader, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Packs values. The same values give the same bytes: the header names no time.
pub(crate) fn pack(values: &[impl Serialize]) -> io::Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    for value in values {
        serde_json::to_writer(&mut packed, value)?;
        packed.write_all(b"\n")?;
    }
    packed.finish()
}

/// Unpacks values.
pub(crate) fn unpack<T: DeserializeOwned>(packed: &[u8]) -> io::Result<Vec<T>> {
    BufReader::new(MultiGzDecoder::new(packed)).lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}

#[cfg(test)]
mod tests {
    use flywheel_model::Observation;

    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        let observation = |id: &str| -> Observation {
            let signal = format!(r#"{{"signal":{{"id":"{id}","at":"2026-11-23T10:00:00Z","retrieval":{{"query":"one\ntwo"}}}}}}"#);
            serde_json::from_str(&signal).expect("an observation")
        };
        let observations = ["a", "b", "c"].map(observation);
        let packed = pack(&observations).expect("packed");
        assert_eq!(packed, pack(&observations).expect("packed"));
        assert_eq!(unpack::<Observation>(&packed).expect("readable"), observations);
    }
}
