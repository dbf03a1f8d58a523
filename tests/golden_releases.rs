//! Every file of `events/releases` comes to what stands beside it: the records of each message or why it is refused, and the
//! releases that they are put together to. `UPDATE_GOLDEN=1` writes the expected files anew.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::Path;

use flywheel_releases::assemble;
use learn_preflight::{Incoming, read};
use serde_json::{Value, json};

#[test]
fn what_is_told_of_releases_comes_to_what_stands_beside_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/releases");
    let mut seen = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".expected.json") {
            continue;
        }
        seen += 1;
        let event: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let bodies = event["Records"].as_array().unwrap().iter().map(|record| record["body"].as_str().unwrap());
        let (mut messages, mut all) = (Vec::new(), Vec::new());
        for body in bodies {
            messages.push(match read(body) {
                Ok(Incoming::Records(records)) => {
                    all.extend(records.clone());
                    json!({ "records": records })
                }
                Ok(Incoming::Run { run, at }) => json!({ "run": run, "at": at }),
                Err(reason) => json!({ "refused": reason }),
            });
        }
        let found = serde_json::to_string_pretty(&json!({ "messages": messages, "releases": assemble(all) })).unwrap() + "\n";
        let expected = path.with_extension("expected.json");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected, &found).unwrap();
        }
        assert_eq!(found, fs::read_to_string(&expected).unwrap(), "{name}");
    }
    assert_eq!(seen, 6);
}
