//! JSON that is kept compressed in a row: what users and models wrote is several times smaller so.

use std::io::{self, Read};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most bytes that a kept value unpacks to: more than CloudWatch Logs takes as one event, or SQS as a message.
const LONGEST: u64 = 2 * 1_024 * 1_024;

/// Packs a value.
pub(crate) fn pack(value: &impl Serialize) -> io::Result<AttributeValue> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    serde_json::to_writer(&mut packed, value)?;
    Ok(AttributeValue::B(Blob::new(packed.finish()?)))
}

/// Unpacks a value.
pub(crate) fn unpack<T: DeserializeOwned>(packed: Option<&AttributeValue>) -> io::Result<T> {
    let packed = packed.and_then(|packed| packed.as_b().ok()).map(AsRef::as_ref).unwrap_or_default();
    let mut text = Vec::new();
    GzDecoder::new(packed).take(LONGEST).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}
