//! Where the tests on collections that are not in the repository find them.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};

/// The folder of this name in the one that `FLYWHEEL_DATASETS` names, from the workspace's root or absolute; nothing (and a
/// line that says so) if nobody named one.
pub(crate) fn folder(name: &str, holds: &str) -> Option<PathBuf> {
    let Some(named) = std::env::var_os("FLYWHEEL_DATASETS").filter(|named| !named.is_empty()) else {
        println!("skipped: set FLYWHEEL_DATASETS to a folder that has {holds} in {name}/");
        return None;
    };
    Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(named).join(name))
}

/// The same for what a collection may lack.
pub(crate) fn folder_if_there(name: &str, holds: &str) -> Option<PathBuf> {
    let folder = folder(name, holds)?;
    if !folder.is_dir() {
        println!("skipped: there is no {}", folder.display());
        return None;
    }
    Some(folder)
}
