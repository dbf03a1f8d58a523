//! One run of a test against an assistant: the user's turns are said one by one, and what the assistant calls is answered from
//! what was recorded.

use std::time::Instant;

use flywheel_engine::regression::{Run, same, shortfalls};
use flywheel_model::{Fixture, RegressionTest, Role, ToolCall, ToolResult, Turn};
use flywheel_ports::{AssistantUnderTest, NoReply, Unavailable};

/// Turns of the assistant in answer to one of the user's: more is an assistant that goes round in circles.
const TURNS: usize = 25;

/// What came of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsal {
    /// Everything that was said and done.
    pub turns: Vec<Turn>,
    /// What it fell short of; empty if it passed.
    pub shortfalls: Vec<String>,
    /// Calls that nothing was recorded for.
    pub unrecorded: usize,
    /// How long it took.
    pub seconds: f64,
    /// Tokens that the assistant wrote, as far as it tells.
    pub tokens: Option<u64>,
}

/// Runs a test once. `run` tells this run from all others.
///
/// # Errors
/// If the assistant does not answer now: that says nothing of the test.
pub async fn rehearse(test: &RegressionTest, assistant: &impl AssistantUnderTest, run: &str) -> Result<Rehearsal, Unavailable> {
    let begun = Instant::now();
    let mut stage = Stage { recorded: test.fixtures.iter().map(|fixture| (fixture, false)).collect(), unrecorded: 0 };
    let (mut turns, mut tokens, mut broken) = (Vec::new(), None, None);
    'play: for said in &test.says {
        turns.push(turn(Role::User, Some(said.clone())));
        for spoken in 0.. {
            if spoken == TURNS {
                broken = Some(format!("it went on for {TURNS} turns without an answer to the user"));
                break 'play;
            }
            let reply = match assistant.reply(run, &turns).await {
                Ok(reply) => reply,
                Err(NoReply::Unavailable(why)) => return Err(why),
                Err(NoReply::Broken(why)) => {
                    broken = Some(format!("it gave no turn: {why}"));
                    break 'play;
                }
            };
            tokens = reply.tokens.map(|more| tokens.unwrap_or(0) + more).or(tokens);
            let mut spoken = reply.turn;
            for (place, call) in spoken.tool_calls.iter_mut().enumerate() {
                call.id.get_or_insert_with(|| format!("call-{}-{place}", turns.len()));
            }
            let results: Vec<ToolResult> = spoken.tool_calls.iter().map(|call| stage.answer(call)).collect();
            turns.push(spoken);
            if results.is_empty() {
                break;
            }
            turns.push(Turn { tool_results: results, ..turn(Role::Tool, None) });
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let mut shortfalls = shortfalls(&test.expects, &Run { turns: &turns, seconds: Some(seconds), tokens });
    shortfalls.extend(broken);
    Ok(Rehearsal { turns, shortfalls, unrecorded: stage.unrecorded, seconds, tokens })
}

fn turn(role: Role, text: Option<String>) -> Turn {
    Turn { role, text, tool_calls: Vec::new(), tool_results: Vec::new(), at: None }
}

/// What was recorded, and whether it was told in this run.
struct Stage<'t> {
    recorded: Vec<(&'t Fixture, bool)>,
    unrecorded: usize,
}

impl Stage<'_> {
    /// What a call is answered: what was recorded for the same call, else what another call of the tool came to, each once as
    /// long as there are more. A failure stands for its own call alone.
    fn answer(&mut self, call: &ToolCall) -> ToolResult {
        let is_it = |fixture: &Fixture| fixture.tool == call.name && same(&fixture.arguments, &call.arguments);
        let may_stand_for_it = |fixture: &Fixture| fixture.tool == call.name && !fixture.error;
        let find = |fits: &dyn Fn(&Fixture) -> bool, fresh: bool| {
            self.recorded.iter().position(|(fixture, told)| fits(fixture) && !(fresh && *told))
        };
        let found = find(&is_it, true).or_else(|| find(&is_it, false));
        let found = found.or_else(|| find(&may_stand_for_it, true)).or_else(|| find(&may_stand_for_it, false));
        let answer = ToolResult { call: call.id.clone(), name: Some(call.name.clone()), ..ToolResult::default() };
        match found.map(|place| &mut self.recorded[place]) {
            Some((fixture, told)) => {
                *told = true;
                ToolResult { text: fixture.result.clone(), error: fixture.error, ..answer }
            }
            None => {
                self.unrecorded += 1;
                let text = format!("Error: no answer of {} is recorded for this test", call.name);
                ToolResult { text: Some(text), error: true, ..answer }
            }
        }
    }
}
