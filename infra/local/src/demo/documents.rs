//! The documents that the demo works with, and how they are divided among data sources.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// More would not show more, and would keep the person waiting.
const MOST_DOCUMENTS: usize = 5_000;

/// Larger than this, Bedrock refuses a file; the demo uploads a few such, but does not read them into memory by the
/// thousand.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// How many data sources the demo has: two in one knowledge base, so that they have to take turns, and one in another.
pub(crate) const SOURCES: usize = 3;

/// A folder of documents, divided among [`SOURCES`] prefixes.
#[derive(Debug)]
pub(crate) struct Documents {
    /// The prefixes, each ending in a slash. Some may have no documents.
    pub(crate) prefixes: [String; SOURCES],
    /// In the order of their keys.
    pub(crate) all: Vec<Document>,
    /// Files left out, and why.
    pub(crate) left_out: Vec<String>,
}

/// One file of the folder.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) key: String,
    pub(crate) file: PathBuf,
    /// Which prefix it is below.
    pub(crate) source: usize,
    /// What it begins with, if it is a text.
    pub(crate) heading: Option<String>,
}

impl Documents {
    /// Reads the folder's tree. Hidden files and folders are left alone.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            bail!("{} is not a folder: name one that holds documents, as in `make demo DOCS=path/to/folder`", folder.display());
        }
        let mut left_out = Vec::new();
        let mut files = BTreeMap::new();
        collect(folder, "", &mut files, &mut left_out)?;
        if files.is_empty() {
            bail!("{} holds no files: name a folder with documents (.md, .txt, .html, .pdf, …)", folder.display());
        }
        if files.len() > MOST_DOCUMENTS {
            left_out.push(format!("{} files beyond the first {MOST_DOCUMENTS}", files.len() - MOST_DOCUMENTS));
        }
        let files: Vec<(String, PathBuf)> = files.into_iter().take(MOST_DOCUMENTS).collect();
        let (prefixes, places) = divide(&files.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>());
        let mut all: Vec<Document> = files
            .into_iter()
            .zip(places)
            .map(|((_, file), (source, key))| Document { heading: heading(&file), key, file, source })
            .collect();
        all.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { prefixes, all, left_out })
    }

    /// A document whose first words make a good question.
    pub(crate) fn to_ask_about(&self) -> Option<&Document> {
        let with_heading = || self.all.iter().filter(|document| document.heading.is_some() && document.is_text());
        let question = with_heading().rfind(|document| document.heading.as_ref().is_some_and(|text| text.ends_with('?')));
        question.or_else(|| with_heading().next())
    }

    /// How many are below each prefix.
    pub(crate) fn per_source(&self) -> [usize; SOURCES] {
        let mut counts = [0; SOURCES];
        for document in &self.all {
            counts[document.source] += 1;
        }
        counts
    }
}

impl Document {
    /// Whether the demo can edit it by adding a paragraph.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.file.extension().and_then(|it| it.to_str()), Some("md" | "txt"))
    }
}

fn collect(folder: &Path, below: &str, files: &mut BTreeMap<String, PathBuf>, left_out: &mut Vec<String>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))? {
        let entry = entry?;
        let path = entry.path();
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            left_out.push(format!("{}: its name is not UTF-8, which S3 asks for", path.display()));
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        let key = format!("{below}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(&path, &format!("{key}/"), files, left_out)?;
        } else if kind.is_file() && entry.metadata()?.len() <= MOST_BYTES {
            files.insert(key, path);
        } else if kind.is_file() {
            left_out.push(format!("{}: over 64 MB", path.display()));
        }
    }
    Ok(())
}

/// Which source each file goes to, and its key. Three folders at the top and nothing beside them are taken as they are;
/// anything else is dealt out evenly below prefixes of our own, folder by folder where there are at least three.
fn divide(paths: &[&str]) -> ([String; SOURCES], Vec<(usize, String)>) {
    let top = |path: &str| path.split_once('/').map(|(folder, _)| folder.to_owned());
    let mut folders: BTreeMap<String, usize> = BTreeMap::new();
    let loose = paths.iter().filter(|path| top(path).is_none()).count();
    for folder in paths.iter().filter_map(|path| top(path)) {
        *folders.entry(folder).or_default() += 1;
    }
    if loose == 0 && folders.len() == SOURCES {
        let names: Vec<String> = folders.into_keys().collect();
        let place = |path: &&str| (names.iter().position(|name| Some(name) == top(path).as_ref()).unwrap_or_default(), (*path).to_owned());
        let places = paths.iter().map(place).collect();
        return (std::array::from_fn(|source| format!("{}/", names[source])), places);
    }
    let prefixes: [String; SOURCES] = std::array::from_fn(|source| format!("part-{}/", source + 1));
    let mut load = [0; SOURCES];
    let mut lightest = |files: usize| {
        let source = (0..SOURCES).min_by_key(|source| load[*source]).unwrap_or_default();
        load[source] += files;
        source
    };
    let mut homes = BTreeMap::new();
    if folders.len() >= SOURCES {
        let mut by_size: Vec<(String, usize)> = folders.into_iter().collect();
        by_size.sort_by_key(|(_, files)| std::cmp::Reverse(*files));
        for (folder, files) in by_size {
            homes.insert(folder, lightest(files));
        }
    }
    let places = paths
        .iter()
        .map(|path| {
            let source = top(path).and_then(|folder| homes.get(&folder).copied()).unwrap_or_else(|| lightest(1));
            (source, format!("{}{path}", prefixes[source]))
        })
        .collect();
    (prefixes, places)
}

/// The first line of a text, without Markdown's marks.
fn heading(file: &Path) -> Option<String> {
    if !matches!(file.extension()?.to_str()?, "md" | "txt") {
        return None;
    }
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().map(str::trim).find(|line| line.starts_with("# ") || line.split_whitespace().count() >= 2)?;
    let line = line.trim_start_matches(['#', ' ', '-', '*', '=', '>']);
    Some(line.chars().take(160).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_folders_are_three_data_sources() {
        let (prefixes, places) = divide(&["a/1.md", "b/x/2.md", "c/3.md"]);
        assert_eq!(prefixes, ["a/", "b/", "c/"]);
        assert_eq!(places, [(0, "a/1.md".to_owned()), (1, "b/x/2.md".to_owned()), (2, "c/3.md".to_owned())]);
    }

    #[test]
    fn loose_files_are_dealt_out_evenly() {
        let (prefixes, places) = divide(&["1.md", "2.md", "3.md", "4.md", "only/5.md", "only/6.md"]);
        for (source, prefix) in prefixes.iter().enumerate() {
            let mine: Vec<_> = places.iter().filter(|(home, _)| *home == source).collect();
            assert_eq!(mine.len(), 2);
            assert!(mine.iter().all(|(_, key)| key.starts_with(prefix)));
        }
    }

    #[test]
    fn folders_stay_together_where_there_are_enough() {
        let (_, places) = divide(&["a/1", "a/2", "a/3", "b/1", "c/1", "d/1", "loose"]);
        assert!(places[0].0 == places[1].0 && places[1].0 == places[2].0);
        assert_eq!(places.iter().filter(|(home, _)| *home == places[0].0).count(), 3);
    }

    #[test]
    fn says_what_to_do_about_a_folder_that_is_not_there() {
        let error = Documents::read(Path::new("no/such/folder")).expect_err("it is not there").to_string();
        assert!(error.contains("DOCS="), "{error}");
    }

    #[test]
    fn the_shipped_documents_have_something_for_every_data_source() {
        let shipped = Documents::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("documents")).expect("they are shipped");
        assert!(shipped.all.len() >= 40);
        assert!(shipped.per_source().iter().all(|files| *files > 5));
        assert!(shipped.to_ask_about().is_some_and(|document| document.heading.as_ref().is_some_and(|text| text.ends_with('?'))));
    }
}
