//! Which step of a conversation went wrong, and what would have had to hold instead.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_model::{
    AnswerOrigin, ClueKind, Conversation, Expectations, Expected, ExpectedCall, Failure, FailureReason, Rating, Role, ToolCall, ToolResult,
    Turn,
};
use serde_json::Value;

use super::check::{Run, fits, shortfalls};
use super::deeds::{changes, claim, does};
use super::steps::{Called, calls, replies};
use super::usual::Usual;
use crate::signals::{calls_a_person, tells_an_error};

/// Characters of a text that a clue quotes.
const QUOTED: usize = 160;

/// Something that speaks for a step having gone wrong.
#[derive(Debug, Clone)]
pub(super) struct Suspicion {
    /// What kind of evidence.
    pub(super) kind: ClueKind,
    /// The turn.
    pub(super) turn: usize,
    /// The tool that it is about.
    pub(super) tool: Option<String>,
    /// What all that went wrong in the same way have in common, in a few words without anything of this conversation alone.
    pub(super) class: String,
    /// The evidence.
    pub(super) detail: String,
    /// What has to hold, and where that is known from.
    pub(super) expects: (AnswerOrigin, Expectations),
    /// The deed that was claimed, if it is about a claim.
    pub(super) deed: Option<usize>,
}

/// Whether it is said anywhere that a deed is done.
pub(super) fn claims(turns: &[Turn], deed: usize) -> bool {
    replies(turns).any(|(_, reply)| claim(reply).is_some_and(|(claimed, _)| claimed == deed))
}

/// Everything that speaks for a step, the strongest first.
pub(super) fn suspicions(conversation: &Conversation, failures: &[Failure], usual: &Usual<'_>, changing: &[String]) -> Vec<Suspicion> {
    let looking = Looking { conversation, calls: calls(&conversation.turns), usual, changing };
    let mut found = Vec::new();
    found.extend(conversation.expected.as_ref().and_then(|expected| looking.departure(expected, AnswerOrigin::Label)));
    found.extend(looking.as_the_person_did());
    found.extend(looking.tool_errors());
    found.extend(looking.claim_without_call());
    found.extend(looking.invented());
    found.extend(looking.unusual_calls());
    found.extend(looking.missing_calls());
    found.extend(looking.complaint(failures));
    found.extend(looking.no_answer(failures));
    found.sort_by(|one, other| {
        (rank(one.kind), one.turn, one.kind, &one.detail).cmp(&(rank(other.kind), other.turn, other.kind, &other.detail))
    });
    found
}

/// How far a kind of evidence goes before others. Among those that go as far the earliest step comes first: what went wrong
/// later may follow from it.
const fn rank(kind: ClueKind) -> u8 {
    match kind {
        ClueKind::NotAsExpected => 0,
        ClueKind::ToolError | ClueKind::ClaimWithoutCall | ClueKind::Contradiction => 1,
        ClueKind::OddArguments | ClueKind::MissingCall | ClueKind::OddCall => 2,
        ClueKind::BeforeComplaint | ClueKind::NoAnswer => 3,
    }
}

struct Looking<'c> {
    conversation: &'c Conversation,
    calls: Vec<Called<'c>>,
    usual: &'c Usual<'c>,
    changing: &'c [String],
}

impl<'c> Looking<'c> {
    fn last_reply(&self) -> usize {
        replies(&self.conversation.turns).next_back().map_or(0, |(turn, _)| turn)
    }

    fn first_reply_after(&self, turn: usize) -> usize {
        replies(&self.conversation.turns).map(|(place, _)| place).find(|place| *place > turn).unwrap_or_else(|| self.last_reply())
    }

    /// The first call that changed something and is not expected, or else the first expected one that was not made.
    fn departure(&self, expected: &Expected, from: AnswerOrigin) -> Option<Suspicion> {
        let expects = expectations(expected, &self.tools(), self.changing);
        let run = Run::of(&self.conversation.turns);
        if shortfalls(&expects, &run).is_empty() {
            return None;
        }
        let is_expected = |called: &&Called<'_>| expects.calls.iter().any(|expected| fits(expected, called.call));
        let beyond = |called: &&Called<'_>| !called.failed() && expects.nothing_else_by.contains(&called.call.name) && !is_expected(called);
        let suspicion = |turn, tool: Option<String>, class: String, detail: String| Suspicion {
            kind: ClueKind::NotAsExpected,
            turn,
            tool,
            class,
            detail,
            expects: (from, expects.clone()),
            deed: None,
        };
        if let Some(called) = self.calls.iter().find(beyond) {
            let tool = &called.call.name;
            // Of a tool that is expected with other arguments, these are wrong; otherwise the call is.
            let class = if expects.calls.iter().any(|expected| expected.tool == *tool) { "otherwise" } else { "not at all" };
            return Some(suspicion(
                called.turn,
                Some(tool.clone()),
                format!("expected {class}"),
                format!("{} is expected {class}", told(called.call)),
            ));
        }
        let mut after = None;
        for expected in &expects.calls {
            match self.calls.iter().find(|called| fits(expected, called.call)) {
                Some(made) => after = after.max(Some(made.turn)),
                None => {
                    let turn = after.map_or_else(|| self.last_reply(), |after| self.first_reply_after(after));
                    let otherwise = self.calls.iter().find(|called| called.call.name == expected.tool);
                    let turn = otherwise.map_or(turn, |called| called.turn);
                    return Some(suspicion(
                        turn,
                        Some(expected.tool.clone()),
                        "not made".to_owned(),
                        format!("{} was not called as expected", expected.tool),
                    ));
                }
            }
        }
        Some(suspicion(self.last_reply(), None, "not said".to_owned(), "what the user had to be told was not said".to_owned()))
    }

    /// What a person did after the conversation was handed over, and the assistant had not done.
    fn as_the_person_did(&self) -> Option<Suspicion> {
        let handed_over = self.calls.iter().position(|called| calls_a_person(&called.call.name))?;
        let theirs = &self.calls[handed_over + 1..];
        let done: Vec<ToolCall> = theirs
            .iter()
            .filter(|called| !called.failed() && changes(&called.call.name, self.changing))
            .map(|called| called.call.clone())
            .collect();
        if done.is_empty() {
            return None;
        }
        let expects = expectations(&Expected { calls: Some(done), says: Vec::new() }, &[], self.changing);
        let tool = expects.calls.first().map(|call| call.tool.clone());
        let detail = format!("a person did it after the handover, by {}", tool.as_deref().unwrap_or_default());
        let expects = Expectations { no_calls: vec![any(&self.calls[handed_over].call.name)], ..expects };
        let class = "done by a person".to_owned();
        Some(Suspicion {
            kind: ClueKind::NotAsExpected,
            turn: self.calls[handed_over].turn,
            tool,
            class,
            detail,
            expects: (AnswerOrigin::Person, expects),
            deed: None,
        })
    }

    /// Tools that failed and were not called again with success.
    fn tool_errors(&self) -> Vec<Suspicion> {
        let mut last = BTreeMap::new();
        for called in self.calls.iter().filter(|called| called.result.is_some()) {
            // Of several failures in a row the first is where it went wrong.
            match last.entry(called.call.name.as_str()) {
                std::collections::btree_map::Entry::Vacant(entry) => drop(entry.insert(called)),
                std::collections::btree_map::Entry::Occupied(mut entry) => {
                    if !called.failed() || !entry.get().failed() {
                        entry.insert(called);
                    }
                }
            }
        }
        let mut found: Vec<Suspicion> = last
            .into_values()
            .filter(|called| called.failed())
            .map(|called| {
                let expects = if is_refusal(called.answer()) {
                    // The same call cannot succeed: it is not to be made so.
                    Expectations { no_calls: vec![literally(called.call)], ..Expectations::default() }
                } else {
                    Expectations::default()
                };
                Suspicion {
                    kind: ClueKind::ToolError,
                    turn: called.turn,
                    tool: Some(called.call.name.clone()),
                    class: class_of(called.answer()),
                    detail: format!("{} failed: {}", called.call.name, quoted(called.answer())),
                    expects: (AnswerOrigin::Evidence, expects),
                    deed: None,
                }
            })
            .collect();
        found.extend(self.unasked_error());
        found
    }

    /// What a tool that nobody called in so many words answered: a terminal runs what an agent wrote. An error and an output
    /// that is empty are traced back to whoever wrote that.
    fn unasked_error(&self) -> Option<Suspicion> {
        let turns = &self.conversation.turns;
        let is_answer =
            |result: &ToolResult| self.calls.iter().any(|called| called.result.is_some_and(|answer| std::ptr::eq(answer, result)));
        turns.iter().enumerate().find_map(|(place, turn)| {
            let result = turn.tool_results.iter().find(|result| {
                let text = result.text.as_deref().unwrap_or_default();
                (result.error || tells_an_error(text) || text.trim_end().ends_with("output:")) && !is_answer(result)
            })?;
            let (wrote, _) = replies(&turns[..place]).next_back()?;
            let text = result.text.as_deref().unwrap_or_default();
            Some(Suspicion {
                kind: ClueKind::ToolError,
                turn: wrote,
                tool: result.name.clone(),
                class: class_of(text),
                detail: format!("what it wrote came to nothing: {}", quoted(text)),
                expects: (AnswerOrigin::Evidence, Expectations::default()),
                deed: None,
            })
        })
    }

    /// Something is said to be done, and no tool for it was called with success before.
    fn claim_without_call(&self) -> Option<Suspicion> {
        let tools = self.tools();
        replies(&self.conversation.turns).find_map(|(turn, reply)| {
            let (deed, phrase) = claim(reply)?;
            // Where no tool does it, the assistant may have another way to do it.
            let tool = tools.iter().find(|tool| does(tool, deed) && changes(tool, self.changing))?;
            let done = self.calls.iter().any(|called| called.turn <= turn && !called.failed() && does(&called.call.name, deed));
            (!done).then(|| Suspicion {
                kind: ClueKind::ClaimWithoutCall,
                turn,
                tool: Some(tool.clone()),
                class: "claimed".to_owned(),
                detail: format!("it says \"{phrase}\", and no tool that does that was called"),
                expects: (AnswerOrigin::Evidence, Expectations { calls: vec![any(tool)], ..Expectations::default() }),
                deed: Some(deed),
            })
        })
    }

    /// A code that the assistant tells and that nothing before it told: order numbers and the like are not made up.
    fn invented(&self) -> Option<Suspicion> {
        let mut known = BTreeSet::new();
        for (place, turn) in self.conversation.turns.iter().enumerate() {
            let text = turn.text.as_deref().unwrap_or_default();
            if turn.role == Role::Assistant
                && !known.is_empty()
                && let Some(code) = codes(text).find(|code| !known.contains(code))
            {
                return Some(Suspicion {
                    kind: ClueKind::Contradiction,
                    turn: place,
                    tool: None,
                    class: "invented".to_owned(),
                    detail: format!("it names {code}, which nothing before told"),
                    expects: (AnswerOrigin::Evidence, Expectations { never_says: vec![code], ..Expectations::default() }),
                    deed: None,
                });
            }
            known.extend(codes(text));
            turn.tool_results.iter().for_each(|result| known.extend(codes(result.text.as_deref().unwrap_or_default())));
            // What a call was made with is told by who called; if that was made up, the tool answers so.
            turn.tool_calls.iter().for_each(|call| known.extend(codes(&call.arguments.to_string())));
        }
        None
    }

    /// Calls of tools, or with arguments, that no resolved conversation has.
    fn unusual_calls(&self) -> Vec<Suspicion> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        for called in self.calls.iter().filter(|called| seen.insert(called.call.name.as_str())) {
            let tool = &called.call.name;
            if self.usual.never_calls(tool) {
                found.push(Suspicion {
                    kind: ClueKind::OddCall,
                    turn: called.turn,
                    tool: Some(tool.clone()),
                    class: "never called".to_owned(),
                    detail: format!("no resolved conversation calls {tool}"),
                    expects: (AnswerOrigin::Agreement, Expectations { no_calls: vec![any(tool)], ..Expectations::default() }),
                    deed: None,
                });
            }
        }
        for called in self.calls.iter().filter(|called| called.call.arguments.is_object()) {
            let tool = &called.call.name;
            let Some((is_unknown, always)) = self.usual.arguments(tool) else { continue };
            let names: Vec<&str> = called.call.arguments.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
            let suspicion = |class: String, detail: String, expects: Expectations| Suspicion {
                kind: ClueKind::OddArguments,
                turn: called.turn,
                tool: Some(tool.clone()),
                class,
                detail,
                expects: (AnswerOrigin::Agreement, expects),
                deed: None,
            };
            let with =
                |argument: &str| ExpectedCall { tool: tool.clone(), arguments: BTreeMap::from([(argument.to_owned(), Value::Null)]) };
            if let Some(odd) = names.iter().find(|name| is_unknown(name)) {
                let detail = format!("no resolved conversation calls {tool} with {odd}");
                found.push(suspicion(format!("with {odd}"), detail, Expectations { no_calls: vec![with(odd)], ..Expectations::default() }));
            } else if let Some(missing) = always.iter().find(|name| !names.contains(name)) {
                let detail = format!("every resolved conversation calls {tool} with {missing}");
                found.push(suspicion(
                    format!("without {missing}"),
                    detail,
                    Expectations { calls: vec![with(missing)], ..Expectations::default() },
                ));
            }
        }
        found
    }

    /// Calls that next to all resolved conversations make, and this one does not.
    fn missing_calls(&self) -> Vec<Suspicion> {
        self.usual
            .always()
            .filter(|(tool, _)| !self.calls.iter().any(|called| called.call.name == *tool && !called.failed()))
            .map(|(tool, arguments)| {
                let arguments = arguments.into_iter().map(|argument| (argument.to_owned(), Value::Null)).collect();
                let call = ExpectedCall { tool: tool.to_owned(), arguments };
                Suspicion {
                    kind: ClueKind::MissingCall,
                    turn: self.last_reply(),
                    tool: Some(tool.to_owned()),
                    class: "not called".to_owned(),
                    detail: format!("next to all resolved conversations call {tool}"),
                    expects: (AnswerOrigin::Agreement, Expectations { calls: vec![call], ..Expectations::default() }),
                    deed: None,
                }
            })
            .collect()
    }

    /// The reply before the conversation was handed over or the user said that they were not content.
    fn complaint(&self, failures: &[Failure]) -> Option<Suspicion> {
        let handed_over = self.calls.iter().find(|called| calls_a_person(&called.call.name));
        if let Some(called) = handed_over {
            let tool = &called.call.name;
            let expects = if self.usual.never_calls(tool) {
                (AnswerOrigin::Agreement, Expectations { no_calls: vec![any(tool)], ..Expectations::default() })
            } else {
                (AnswerOrigin::Nothing, Expectations::default())
            };
            let detail = format!("it handed over by {tool}");
            let (class, kind) = ("handed over".to_owned(), ClueKind::BeforeComplaint);
            return Some(Suspicion { kind, turn: called.turn, tool: Some(tool.clone()), class, detail, expects, deed: None });
        }
        let told = |reason| failures.iter().any(|failure| failure.reason == reason);
        let feedback = self.conversation.feedback.as_ref().filter(|feedback| feedback.rating == Rating::Negative);
        (feedback.is_some() || told(FailureReason::Escalation)).then(|| Suspicion {
            kind: ClueKind::BeforeComplaint,
            turn: self.last_reply(),
            tool: None,
            class: if feedback.is_some() { "not content" } else { "escalated" }.to_owned(),
            detail: feedback.and_then(|feedback| feedback.comment.as_deref()).map_or_else(|| "the user was not helped".to_owned(), quoted),
            expects: (AnswerOrigin::Nothing, Expectations::default()),
            deed: None,
        })
    }

    /// It says that it does not know.
    fn no_answer(&self, failures: &[Failure]) -> Option<Suspicion> {
        let failure = failures.iter().find(|failure| failure.reason == FailureReason::NoAnswer)?;
        let phrase = failure.detail.split('"').nth(1).filter(|phrase| !phrase.is_empty())?;
        Some(Suspicion {
            kind: ClueKind::NoAnswer,
            turn: self.last_reply(),
            tool: None,
            class: phrase.to_owned(),
            detail: failure.detail.clone(),
            expects: (AnswerOrigin::Evidence, Expectations { never_says: vec![phrase.to_owned()], ..Expectations::default() }),
            deed: None,
        })
    }

    /// The tools that are known to the intent.
    fn tools(&self) -> Vec<String> {
        let own = self.calls.iter().map(|called| called.call.name.as_str());
        own.chain(self.usual.tools()).map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// An expected outcome as what has to hold: where its calls are told, no others may change anything.
fn expectations(expected: &Expected, tools: &[String], changing: &[String]) -> Expectations {
    let calls = expected.calls.as_deref().unwrap_or_default();
    let changed = calls.iter().map(|call| &call.name).chain(tools).filter(|tool| changes(tool, changing));
    let changed: BTreeSet<&String> = if expected.calls.is_some() { changed.collect() } else { BTreeSet::new() };
    Expectations {
        calls: calls.iter().map(literally).collect(),
        nothing_else_by: changed.into_iter().cloned().collect(),
        says: expected.says.iter().map(|text| vec![text.clone()]).collect(),
        ..Expectations::default()
    }
}

fn any(tool: &str) -> ExpectedCall {
    ExpectedCall { tool: tool.to_owned(), arguments: BTreeMap::new() }
}

/// A call with the arguments that it has.
fn literally(call: &ToolCall) -> ExpectedCall {
    let arguments = call.arguments.as_object().into_iter().flatten();
    ExpectedCall { tool: call.name.clone(), arguments: arguments.map(|(name, value)| (name.clone(), value.clone())).collect() }
}

fn told(call: &ToolCall) -> String {
    format!("{}({})", call.name, quoted(&call.arguments.to_string()))
}

/// Whether a tool refused what it was asked, so that asking the same again is in vain; otherwise it may have been unwell.
fn is_refusal(answer: &str) -> bool {
    let answer = answer.to_lowercase();
    [
        "not found",
        "invalid",
        "does not exist",
        "no such",
        "missing",
        "required",
        "not allowed",
        "cannot",
        "no encontr",
        "no existe",
        "inválid",
    ]
    .iter()
    .any(|word| answer.contains(word))
}

/// The kind of an error: its first words, without numbers, codes and what is quoted.
fn class_of(error: &str) -> String {
    let mut class = Vec::new();
    for word in error.split_whitespace().take(8) {
        let plain: String = word.chars().filter(|char| char.is_alphabetic()).collect::<String>().to_lowercase();
        let is_data = word.contains(|char: char| char.is_ascii_digit() || "'\"`[{<".contains(char));
        class.push(if is_data || plain.is_empty() { "#".to_owned() } else { plain });
    }
    class.dedup();
    class.join(" ")
}

/// Words of letters and digits, of which at least two are digits: numbers of orders, flights, certificates.
fn codes(text: &str) -> impl Iterator<Item = String> {
    let is_code = |word: &&str| {
        let digits = word.chars().filter(char::is_ascii_digit).count();
        let letters = word.chars().filter(|char| char.is_alphabetic()).count();
        (5..=40).contains(&word.chars().count()) && digits >= 2 && letters >= 1 && word.chars().next().is_some_and(char::is_alphabetic)
    };
    text.split(|char: char| !(char.is_alphanumeric() || char == '_' || char == '-'))
        .filter(is_code)
        .map(str::to_uppercase)
        .collect::<Vec<_>>()
        .into_iter()
}

/// The beginning of a text, on one line.
pub(super) fn quoted(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.char_indices().nth(QUOTED).map_or_else(|| line.clone(), |(end, _)| format!("{}…", &line[..end]))
}
