//! Observations in S3: JSON Lines, compressed, one object for the messages that came together.

use std::io::{self, BufRead, BufReader, Write};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use flywheel_model::{Id, Observation};
use flywheel_ports::{Observations, Unavailable};

use crate::SignalTable;
use crate::error::unavailable;
use crate::s3;

/// The evidence bucket, and the marks that say which object holds what.
#[derive(Debug, Clone)]
pub struct S3Observations {
    client: Client,
    bucket: String,
    marks: SignalTable,
}

impl S3Observations {
    /// In this bucket.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig, bucket: String, marks: SignalTable) -> Self {
        Self { client: s3::client(config), bucket, marks }
    }
}

impl Observations for S3Observations {
    async fn keep(&self, name: &str, observations: &[Observation]) -> Result<(), Unavailable> {
        let packed = pack(observations).map_err(|error| broken("pack observations", &error))?;
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(name)
            .content_type("application/jsonl")
            .content_encoding("gzip")
            .body(ByteStream::from(packed))
            .send()
            .await
            .map(|_| ())
            .map_err(unavailable("keep observations"))
    }

    async fn find(&self, signal: &Id) -> Result<Option<Observation>, Unavailable> {
        let Some(name) = self.marks.evidence_of(signal).await? else { return Ok(None) };
        let object = match self.client.get_object().bucket(&self.bucket).key(&name).send().await {
            Ok(object) => object,
            // Evidence may be kept for a shorter time than marks.
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => return Ok(None),
            Err(error) => return Err(unavailable("read observations")(error)),
        };
        let packed = object.body.collect().await.map_err(|error| broken("read observations", &error))?.into_bytes();
        find(&packed, signal).map_err(|error| broken("read observations", &error))
    }
}

/// The same observations give the same bytes: the header names no time.
fn pack(observations: &[Observation]) -> io::Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    for observation in observations {
        serde_json::to_writer(&mut packed, observation)?;
        packed.write_all(b"\n")?;
    }
    packed.finish()
}

/// The first observation of a signal: if it came twice, the first was counted.
fn find(packed: &[u8], signal: &Id) -> io::Result<Option<Observation>> {
    for line in BufReader::new(MultiGzDecoder::new(packed)).lines() {
        let observation: Observation = serde_json::from_str(&line?)?;
        if observation.signal.identity() == *signal {
            return Ok(Some(observation));
        }
    }
    Ok(None)
}

fn broken(what: &'static str, error: &dyn std::error::Error) -> Unavailable {
    Unavailable { what, why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_found() {
        let observation = |id: &str| -> Observation {
            let signal = format!(r#"{{"signal":{{"id":"{id}","at":"2026-11-23T10:00:00Z","retrieval":{{"query":"one\ntwo"}}}}}}"#);
            serde_json::from_str(&signal).expect("an observation")
        };
        let observations = ["a", "b", "c"].map(observation);
        let packed = pack(&observations).expect("packed");
        assert_eq!(packed, pack(&observations).expect("packed"));
        for kept in &observations {
            assert_eq!(find(&packed, &kept.signal.identity()).expect("readable").as_ref(), Some(kept));
        }
        assert_eq!(find(&packed, &observation("d").signal.identity()).expect("readable"), None);
    }
}
