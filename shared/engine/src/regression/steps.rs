//! A conversation as what was done in it.

use flywheel_model::{Role, ToolCall, ToolResult, Turn};

use crate::signals::tells_an_error;

/// A call of a tool and what came of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Called<'c> {
    /// The turn that called, counted from 0.
    pub(super) turn: usize,
    /// The call.
    pub(super) call: &'c ToolCall,
    /// What the tool answered.
    pub(super) result: Option<&'c ToolResult>,
}

impl Called<'_> {
    /// Whether the tool failed. One that did not answer may have done it.
    pub(super) fn failed(&self) -> bool {
        self.result.is_some_and(|result| result.error || tells_an_error(result.text.as_deref().unwrap_or_default()))
    }

    /// What the tool answered, in words.
    pub(super) fn answer(&self) -> &str {
        self.result.and_then(|result| result.text.as_deref()).unwrap_or_default()
    }
}

/// The assistant's calls in order. A result is that of the call that it names, else of the first one without a result, of
/// its tool if it names one.
pub(super) fn calls(turns: &[Turn]) -> Vec<Called<'_>> {
    let mut calls: Vec<Called<'_>> = Vec::new();
    // Calls before this place have their results.
    let mut open = 0;
    for (turn, said) in turns.iter().enumerate() {
        for result in &said.tool_results {
            let names = |called: &Called<'_>| match (&result.call, &called.call.id) {
                (Some(id), Some(of)) => id == of,
                _ => result.name.as_ref().is_none_or(|name| *name == called.call.name),
            };
            if let Some(called) = calls[open..].iter_mut().find(|called| called.result.is_none() && names(called)) {
                called.result = Some(result);
            }
            while calls.get(open).is_some_and(|called| called.result.is_some()) {
                open += 1;
            }
        }
        if said.role == Role::Assistant {
            calls.extend(said.tool_calls.iter().map(|call| Called { turn, call, result: None }));
        }
    }
    calls
}

/// What the assistant said, with the turns.
pub(super) fn replies(turns: &[Turn]) -> impl DoubleEndedIterator<Item = (usize, &str)> {
    turns.iter().enumerate().filter(|(_, turn)| turn.role == Role::Assistant).filter_map(|(place, turn)| {
        let text = turn.text.as_deref().filter(|text| !text.trim().is_empty())?;
        Some((place, text))
    })
}

/// What the user said, with the turns.
pub(super) fn requests(turns: &[Turn]) -> impl Iterator<Item = (usize, &str)> {
    turns.iter().enumerate().filter(|(_, turn)| turn.role == Role::User).filter_map(|(place, turn)| {
        let text = turn.text.as_deref().filter(|text| !text.trim().is_empty())?;
        Some((place, text))
    })
}
