//! A table for people, as CSV: UTF-8 with a mark that spreadsheets know it by, lines as RFC 4180 has them.

use std::fmt::Write as _;

use csv::{Terminator, WriterBuilder};
use flywheel_model::{Case, CaseState, Key, ReferenceOrigin};

use crate::File;

const COLUMNS: [&str; 20] = [
    "case",
    "state",
    "knowledge_base",
    "topic",
    "query",
    "times",
    "variants",
    "conversation",
    "passages",
    "answer",
    "reference",
    "reference_from",
    "reasons",
    "first_seen",
    "last_seen",
    "synchronised_at",
    "decided_by",
    "decided_why",
    "conversations",
    "traces",
];

pub(crate) fn file(cases: &[&Case]) -> File {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer("\u{feff}".as_bytes().to_vec());
    writer.write_record(COLUMNS).expect("memory takes what is written");
    for case in cases {
        let cells = row(case);
        writer.write_record(cells.iter().map(|text| guard(text))).expect("memory takes what is written, and each row has all columns");
    }
    File { name: "cases.csv".to_owned(), bytes: writer.into_inner().expect("memory takes what is written") }
}

fn row(case: &Case) -> [String; COLUMNS.len()] {
    let decided = match &case.state {
        CaseState::Candidate => None,
        CaseState::Confirmed(decided) | CaseState::Rejected(decided) | CaseState::Retired(decided) => Some(decided),
    };
    [
        case.case.to_string(),
        case.state.word().to_owned(),
        case.knowledge_base.to_string(),
        case.topic.as_ref().map_or_else(String::new, Key::to_string),
        case.query.clone(),
        case.times.to_string(),
        lines(case.variants.iter().map(|variant| format!("{} × {}", variant.times, variant.query))),
        lines(case.context.iter().map(|exchange| match &exchange.answer {
            Some(answer) => format!("User: {}\nAssistant: {answer}", exchange.query),
            None => format!("User: {}", exchange.query),
        })),
        lines(case.passages.iter().map(|passage| {
            let mut line = String::new();
            if let Some(score) = passage.score {
                let _ = write!(line, "{score:.3} ");
            }
            if let Some(location) = &passage.location {
                let _ = write!(line, "{location} ");
            }
            line + passage.text.as_deref().unwrap_or_default()
        })),
        case.answer.clone().unwrap_or_default(),
        case.reference.as_ref().map_or_else(String::new, |reference| reference.text.clone()),
        case.reference.as_ref().map_or_else(String::new, |reference| origin(reference.from).to_owned()),
        lines(case.reasons.iter().map(|reason| format!("{} {:.2}: {}", reason.reason, reason.strength, reason.detail))),
        case.first_seen.to_string(),
        case.last_seen.to_string(),
        case.synchronised_at.map_or_else(String::new, |at| at.to_string()),
        decided.map_or_else(String::new, |decided| decided.by.clone()),
        decided.and_then(|decided| decided.why.clone()).unwrap_or_default(),
        names(case.sources.iter().filter_map(|source| source.conversation.as_ref())),
        names(case.sources.iter().filter_map(|source| source.trace.as_ref())),
    ]
}

fn origin(origin: ReferenceOrigin) -> &'static str {
    match origin {
        ReferenceOrigin::Reviewer => "reviewer",
        ReferenceOrigin::Person => "person",
        ReferenceOrigin::Feedback => "feedback",
    }
}

fn lines(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join("\n")
}

/// Each name once, in their order.
fn names<'k>(keys: impl Iterator<Item = &'k Key>) -> String {
    let mut names: Vec<&str> = Vec::new();
    for key in keys {
        if !names.contains(&key.as_str()) {
            names.push(key.as_str());
        }
    }
    names.join("\n")
}

/// A cell that a spreadsheet shows and does not calculate: what it might take for a formula gets a `'` before it (OWASP,
/// "CSV Injection"). A cell that begins with `'` gets one as well, so that taking one `'` away gives back every cell.
fn guard(text: &str) -> String {
    let invisible = |character: char| {
        character.is_whitespace() || character.is_control() || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
    };
    let visible = text.trim_start_matches(invisible);
    let is_formula = visible.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
    let is_guarded = text.starts_with(['\'', '\t', '\r', '\n']) || is_formula;
    if is_guarded { format!("'{text}") } else { text.to_owned() }
}
