//! Every file of `events/appconfig` comes to what stands beside it. `UPDATE_GOLDEN=1` writes the expected files anew.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::Path;

use check_policy::{Proposed, check};
use serde_json::json;

#[test]
fn what_is_proposed_comes_to_what_stands_beside_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/appconfig");
    let mut seen = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.to_str().unwrap().ends_with(".expected.json") {
            continue;
        }
        seen += 1;
        let proposed: Proposed = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let found = match check(&proposed) {
            Ok(version) => json!({ "valid": version }),
            Err(problems) => json!({ "refused": problems.lines().collect::<Vec<_>>() }),
        };
        let found = serde_json::to_string_pretty(&found).unwrap() + "\n";
        let expected = path.with_extension("expected.json");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected, &found).unwrap();
        }
        assert_eq!(found, fs::read_to_string(&expected).unwrap(), "{}", path.display());
    }
    assert_eq!(seen, 3);
}
