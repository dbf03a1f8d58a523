//! S3's events as EventBridge delivers them (Amazon S3 user guide, "EventBridge event message structure").

use flywheel_model::{ChangeKind, DocumentChange, DocumentId, Sequencer};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// The longest key that S3 allows, in bytes.
const LONGEST_KEY: usize = 1_024;

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum S3Event {
    /// An object was written or deleted.
    Changed(DocumentChange),
    /// Something that changes no content: a new tag, an access list, a storage class.
    Other {
        /// The detail-type.
        detail_type: String,
    },
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "detail-type")]
    detail_type: String,
    time: String,
    detail: Detail,
}

#[derive(Deserialize)]
struct Detail {
    bucket: Bucket,
    object: Object,
    #[serde(rename = "deletion-type")]
    deletion_type: Option<String>,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
struct Object {
    key: String,
    size: Option<Value>,
    #[serde(rename = "version-id")]
    version_id: Option<String>,
    sequencer: Option<String>,
}

/// Reads one event.
///
/// # Errors
/// Why it is not an S3 event from EventBridge, naming the field, its value and what to do.
pub fn parse(text: &str) -> Result<S3Event, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    match value.get("source").and_then(Value::as_str) {
        Some("aws.s3") => {}
        Some(source) => return Err(format!("source is {:?}; expected \"aws.s3\": check the rule's event pattern", shortened(source))),
        None if value.pointer("/Records/0/eventSource").and_then(Value::as_str) == Some("aws:s3") => {
            return Err("Records: an S3 notification as S3 sends it itself; turn on EventBridge for the bucket and remove the queue \
                        from its notifications"
                .to_owned());
        }
        None => return Err("source is missing; expected an EventBridge event with source \"aws.s3\"".to_owned()),
    }
    let detail_type = value.get("detail-type").and_then(Value::as_str).unwrap_or_default().to_owned();
    if !matches!(detail_type.as_str(), "Object Created" | "Object Deleted") {
        return if detail_type.starts_with("Object ") {
            Ok(S3Event::Other { detail_type })
        } else {
            Err(format!("detail-type is {:?}; expected \"Object Created\" or \"Object Deleted\"", shortened(&detail_type)))
        };
    }
    let Envelope { detail_type, time, detail } = serde_path_to_error::deserialize(value)
        .map_err(|error| format!("{}: {}; see events/s3 for what S3 sends", error.path(), shortened(&error.inner().to_string())))?;
    let at: Timestamp =
        time.parse().map_err(|_| format!("time is {:?}; expected a time such as 2026-11-23T12:00:00Z", shortened(&time)))?;
    let Object { key, size, version_id, sequencer } = detail.object;
    if detail.bucket.name.is_empty() {
        return Err("detail.bucket.name is empty".to_owned());
    }
    if key.is_empty() || key.len() > LONGEST_KEY {
        return Err(format!("detail.object.key has {} bytes; S3 keys have 1 to {LONGEST_KEY}", key.len()));
    }
    let bytes = |size: Value| {
        size.as_u64().ok_or_else(|| format!("detail.object.size is {}; expected a number of bytes", shortened(&size.to_string())))
    };
    let size = size.map(bytes).transpose()?;
    let sequencer = sequencer.ok_or("detail.object.sequencer is missing; without it the order of changes is not known")?;
    let sequencer = Sequencer::try_from(sequencer).map_err(|error| format!("detail.object.sequencer: {error}"))?;
    let change = match (detail_type.as_str(), detail.deletion_type.as_deref()) {
        ("Object Created", _) if size == Some(0) => ChangeKind::Emptied,
        ("Object Created", _) => ChangeKind::Written,
        (_, Some("Delete Marker Created")) => ChangeKind::Deleted,
        // In a bucket with versions only one of them went, and it need not have been the latest.
        (_, _) if version_id.is_some_and(|version| !version.is_empty()) => ChangeKind::VersionDeleted,
        _ => ChangeKind::Deleted,
    };
    Ok(S3Event::Changed(DocumentChange { document: DocumentId::new(detail.bucket.name, key), change, sequencer, at, size }))
}

fn shortened(text: &str) -> String {
    text.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn event(detail_type: &str, object: &Value, deletion_type: Option<&str>) -> String {
        let mut detail = json!({ "bucket": { "name": "docs" }, "object": object, "reason": "PutObject" });
        if let Some(deletion_type) = deletion_type {
            detail["deletion-type"] = deletion_type.into();
        }
        json!({ "source": "aws.s3", "detail-type": detail_type, "time": "2026-11-23T12:00:00Z", "detail": detail }).to_string()
    }

    fn kind(text: &str) -> ChangeKind {
        match parse(text) {
            Ok(S3Event::Changed(change)) => change.change,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tells_writing_emptying_and_deleting_apart() {
        let object = |size: u64| json!({ "key": "a", "size": size, "sequencer": "1" });
        assert_eq!(kind(&event("Object Created", &object(5), None)), ChangeKind::Written);
        assert_eq!(kind(&event("Object Created", &object(0), None)), ChangeKind::Emptied);
        let deleted = json!({ "key": "a", "sequencer": "1" });
        assert_eq!(kind(&event("Object Deleted", &deleted, Some("Permanently Deleted"))), ChangeKind::Deleted);
        let version = json!({ "key": "a", "version-id": "3/L4k", "sequencer": "1" });
        assert_eq!(kind(&event("Object Deleted", &version, Some("Delete Marker Created"))), ChangeKind::Deleted);
        assert_eq!(kind(&event("Object Deleted", &version, Some("Permanently Deleted"))), ChangeKind::VersionDeleted);
    }

    #[test]
    fn keys_arrive_as_they_are() {
        for key in ["a b+c%20d.md", "ä/日本語.md", "x".repeat(1_024).as_str()] {
            let text = event("Object Created", &json!({ "key": key, "size": 1, "sequencer": "1" }), None);
            let Ok(S3Event::Changed(change)) = parse(&text) else { panic!("{text}") };
            assert_eq!(change.document.key, key);
        }
    }

    #[test]
    fn refusals_name_the_field_and_the_value() {
        for (text, expected) in [
            ("{", "not JSON"),
            (r#"{"Records":[{"eventSource":"aws:s3"}]}"#, "turn on EventBridge"),
            (r#"{"source":"aws.ec2"}"#, "\"aws.ec2\""),
            (r#"{"source":"aws.s3","detail-type":"Nonsense"}"#, "\"Nonsense\""),
            (&event("Object Created", &json!({ "key": "", "sequencer": "1" }), None), "detail.object.key"),
            (&event("Object Created", &json!({ "key": "k".repeat(1_025), "sequencer": "1" }), None), "1025 bytes"),
            (&event("Object Created", &json!({ "key": "a" }), None), "sequencer is missing"),
            (&event("Object Created", &json!({ "key": "a", "sequencer": "later" }), None), "\"later\""),
            (&event("Object Created", &json!({ "sequencer": "1" }), None), "detail.object: missing field `key`"),
            (&event("Object Created", &json!({ "key": "a", "size": "2048", "sequencer": "1" }), None), "detail.object.size"),
        ] {
            let reason = parse(text).expect_err(text);
            assert!(reason.contains(expected), "{reason}");
        }
    }

    #[test]
    fn what_changes_no_content_is_understood_and_let_be() {
        let text = event("Object Tags Added", &json!({ "key": "a", "sequencer": "1" }), None);
        assert_eq!(parse(&text), Ok(S3Event::Other { detail_type: "Object Tags Added".to_owned() }));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in ".{0,400}") {
            let _ = parse(&text);
        }

        #[test]
        fn no_strange_field_makes_it_panic(key in ".{0,50}", sequencer in ".{0,20}", time in ".{0,30}", size in any::<i64>()) {
            let text = json!({
                "source": "aws.s3", "detail-type": "Object Created", "time": time,
                "detail": { "bucket": { "name": "b" }, "object": { "key": key, "size": size, "sequencer": sequencer } },
            });
            let _ = parse(&text.to_string());
        }
    }
}
