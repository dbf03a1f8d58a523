//! Evaluation cases, and suites of regression tests ([`SuiteFormat`]), as the files that evaluation tools read.
//!
//! | format | read by | a case is left out without |
//! |---|---|---|
//! | [`Format::BedrockRetrieve`] | a Bedrock evaluation job that asks the knowledge base, retrieval only | a reference |
//! | [`Format::BedrockGenerate`] | the same with an answer generated | a reference |
//! | [`Format::BedrockByoiRetrieve`] | a Bedrock job on what was retrieved then ("bring your own inference") | a reference, passages |
//! | [`Format::BedrockByoiGenerate`] | a Bedrock job on what was retrieved and answered then | a reference, passages, an answer |
//! | [`Format::Promptfoo`] | `promptfoo eval` | something to assert |
//! | [`Format::Ragas`] | Ragas' `EvaluationDataset.from_jsonl` | a reference |
//! | [`Format::Csv`] | people, in a spreadsheet | nothing |
//!
//! What users and models wrote is data in each of them: no template of promptfoo, no formula of a spreadsheet and no line
//! of its own in JSON Lines.
//!
//! Architecture invariant: nothing here knows AWS, waits, or opens a file. The same cases give the same bytes, in
//! whatever order they come.

mod bedrock;
mod json;
mod promptfoo;
mod ragas;
mod suite;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use flywheel_model::{Case, CaseState, Id};

pub use suite::{SuiteFormat, export_suite};

/// What the files are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// A Bedrock evaluation job that asks the knowledge base itself, retrieval only.
    BedrockRetrieve,
    /// A Bedrock evaluation job that asks the knowledge base itself and has an answer generated.
    BedrockGenerate,
    /// A Bedrock evaluation job on the passages that were found then.
    BedrockByoiRetrieve,
    /// A Bedrock evaluation job on the passages that were found and the answer that was given then.
    BedrockByoiGenerate,
    /// A promptfoo configuration and its tests.
    Promptfoo,
    /// A dataset of Ragas.
    Ragas,
    /// A table for people.
    Csv,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::BedrockRetrieve,
        Self::BedrockGenerate,
        Self::BedrockByoiRetrieve,
        Self::BedrockByoiGenerate,
        Self::Promptfoo,
        Self::Ragas,
        Self::Csv,
    ];

    /// Its name, on a command line and at the beginning of its files' names.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BedrockRetrieve => "bedrock-retrieve",
            Self::BedrockGenerate => "bedrock-generate",
            Self::BedrockByoiRetrieve => "bedrock-byoi-retrieve",
            Self::BedrockByoiGenerate => "bedrock-byoi-generate",
            Self::Promptfoo => "promptfoo",
            Self::Ragas => "ragas",
            Self::Csv => "csv",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.into_iter().find(|format| format.as_str() == name).ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}

/// A name that no [`Format`] has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownFormat(String);

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no format; use one of {}", self.0, Format::ALL.map(Format::as_str).join(", "))
    }
}

impl std::error::Error for UnknownFormat {}

/// What is exported.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'o> {
    /// Candidates as well as confirmed cases.
    pub candidates: bool,
    /// The policy's phrases by which an assistant says that it does not know. A promptfoo test of a case that failed with
    /// one of them asserts that it does not come again.
    pub no_answer: &'o [String],
}

/// A file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name: letters and digits of ASCII, `.`, `_` and `-`.
    pub name: String,
    /// What is in it, as UTF-8.
    pub bytes: Vec<u8>,
}

/// An export, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The files; none if no case is left.
    pub files: Vec<File>,
    /// How many cases are in them.
    pub exported: usize,
    /// The cases that are not, by why.
    pub left_out: BTreeMap<LeftOut, Vec<Id>>,
}

/// Why a case is not in an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeftOut {
    /// Nobody confirmed it yet.
    Candidate,
    /// It was rejected.
    Rejected,
    /// It is no longer needed.
    Retired,
    /// Its question is empty.
    NoQuery,
    /// It has no reference answer, and the format needs one.
    NeedsReference,
    /// No text of a passage that was found is known, and the format needs them.
    NeedsPassages,
    /// The answer that was given is not known, and the format needs it.
    NeedsAnswer,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Candidate => "not confirmed yet",
            Self::Rejected => "rejected",
            Self::Retired => "retired",
            Self::NoQuery => "the question is empty",
            Self::NeedsReference => "needs a reference",
            Self::NeedsPassages => "needs the passages that were found",
            Self::NeedsAnswer => "needs the answer that was given",
        })
    }
}

/// Makes the files of a format.
#[must_use]
pub fn export(cases: &[Case], format: Format, options: &Options) -> Export {
    let mut sorted: Vec<&Case> = cases.iter().collect();
    sorted.sort_by(|one, other| one.case.cmp(&other.case));
    let mut kept = Vec::new();
    let mut left_out = BTreeMap::<LeftOut, Vec<Id>>::new();
    for case in sorted {
        match reason_to_leave_out(case, format, options) {
            Some(reason) => left_out.entry(reason).or_default().push(case.case.clone()),
            None => kept.push(case),
        }
    }
    let files = match format {
        _ if kept.is_empty() => Vec::new(),
        Format::BedrockRetrieve | Format::BedrockGenerate | Format::BedrockByoiRetrieve | Format::BedrockByoiGenerate => {
            bedrock::files(&kept, format)
        }
        Format::Promptfoo => promptfoo::files(&kept, options.no_answer),
        Format::Ragas => vec![ragas::file(&kept)],
        Format::Csv => vec![table::file(&kept)],
    };
    Export { files, exported: kept.len(), left_out }
}

fn reason_to_leave_out(case: &Case, format: Format, options: &Options) -> Option<LeftOut> {
    match case.state {
        CaseState::Candidate if !options.candidates => return Some(LeftOut::Candidate),
        CaseState::Rejected(_) => return Some(LeftOut::Rejected),
        CaseState::Retired(_) => return Some(LeftOut::Retired),
        CaseState::Candidate | CaseState::Confirmed(_) => {}
    }
    if format == Format::Csv {
        return None;
    }
    if is_blank(&case.query) {
        return Some(LeftOut::NoQuery);
    }
    if format == Format::Promptfoo {
        return promptfoo::assertions(case, options.no_answer).is_empty().then_some(LeftOut::NeedsReference);
    }
    if reference(case).is_none() {
        return Some(LeftOut::NeedsReference);
    }
    let brings_inference = matches!(format, Format::BedrockByoiRetrieve | Format::BedrockByoiGenerate);
    if brings_inference && passages(case).next().is_none() {
        return Some(LeftOut::NeedsPassages);
    }
    (format == Format::BedrockByoiGenerate && answer(case).is_none()).then_some(LeftOut::NeedsAnswer)
}

fn reference(case: &Case) -> Option<&str> {
    case.reference.as_ref().map(|reference| reference.text.as_str()).filter(|text| !is_blank(text))
}

fn answer(case: &Case) -> Option<&str> {
    case.answer.as_deref().filter(|text| !is_blank(text))
}

/// The texts of what was found, best first.
fn passages(case: &Case) -> impl Iterator<Item = &str> {
    case.passages.iter().filter_map(|passage| passage.text.as_deref()).filter(|text| !is_blank(text))
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}
