//! Events to tell of.

use std::fs;
use std::path::{Path, PathBuf};

use flywheel_model::Event;
use serde_json::Value;

/// A file of the repository.
pub(crate) fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The examples of all kinds of events, each with the file that it stands in.
pub(crate) fn examples() -> Vec<(String, Event)> {
    let mut files: Vec<PathBuf> = fs::read_dir(file("events/bus")).expect("a folder").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    let mut examples = Vec::new();
    for file in files {
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        if name.ends_with(".expected") || name == "malformed" {
            continue;
        }
        let messages: Value = serde_json::from_str(&fs::read_to_string(&file).expect("a text")).expect("JSON");
        for record in messages["Records"].as_array().expect("records") {
            let event = Event::from_envelope(record["body"].as_str().expect("a body")).expect("an event");
            examples.push((name.clone(), event));
        }
    }
    examples
}
