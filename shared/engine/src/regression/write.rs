//! From one failed conversation to a test.

use std::collections::BTreeMap;

use flywheel_model::{
    AnswerOrigin, Clue, ClueKind, Conversation, Expectations, ExpectedCall, Failure, FailureReason, Fixture, Id, Key, Located, Observation,
    Proof, RegressionTest, Role, Rubric, TestBudget, TestSource, TestState, ToolCall, ToolResult, Turn,
};
use serde_json::Value;

use super::check::{Run, shortfalls};
use super::locate::{Suspicion, claims, quoted};
use super::steps::{calls, requests};
use super::usual::Usual;

/// Budgets are this many times what all but one in twenty resolved conversations need.
const BUDGET: f64 = 2.0;

/// Turns of the assistant that every test may take.
const TURNS: f64 = 4.0;

/// Clues that a test tells.
const CLUES: usize = 3;

/// Fixtures of a test: a conversation of thousands of calls makes no readable one.
const FIXTURES: usize = 60;

/// Turns of the user that a test has at most. More are no test that anybody reads.
pub(super) const REQUESTS: usize = 60;

/// A failed conversation, with what speaks for where it went wrong.
#[derive(Debug)]
pub(super) struct Failed<'o> {
    pub(super) observation: &'o Observation,
    pub(super) conversation: &'o Conversation,
    /// The strongest first.
    pub(super) suspicions: Vec<Suspicion>,
}

impl Failed<'_> {
    /// What tells how it failed from how others did: the strongest evidence, or else the reasons alone.
    pub(super) fn signature(&self) -> String {
        match self.suspicions.first() {
            Some(suspicion) => format!("{}|{}|{}", suspicion.kind, suspicion.tool.as_deref().unwrap_or_default(), suspicion.class),
            None => format!("reasons|{}", self.reasons().join(" ")),
        }
    }

    /// The kinds of evidence for a failure, each once.
    pub(super) fn reasons(&self) -> Vec<&'static str> {
        let mut reasons: Vec<&str> = self.observation.failures.iter().map(|failure| failure.reason.as_str()).collect();
        reasons.sort_unstable();
        reasons.dedup();
        reasons
    }

    /// As a source of a test.
    pub(super) fn source(&self) -> TestSource {
        source(self.observation, self.conversation)
    }
}

fn source(observation: &Observation, conversation: &Conversation) -> TestSource {
    TestSource {
        signal: observation.signal.identity(),
        conversation: conversation.conversation.clone().unwrap_or_else(|| observation.signal.id.clone()),
        user: conversation.user.clone(),
        at: observation.signal.at,
    }
}

/// A test made from a conversation, with its proof; its state and its other sources are for the suite to say. Nothing if
/// neither anything that can be checked nor a judge's question can be made of it.
pub(super) fn write(failed: &Failed<'_>, test: &Id, intent: &Key, usual: &Usual<'_>) -> Option<RegressionTest> {
    let turns = &failed.conversation.turns;
    let proved = failed.suspicions.iter().find_map(|suspicion| {
        let (from, expects) = &suspicion.expects;
        Some((suspicion, *from, expects.clone(), prove(suspicion, failed.conversation, usual)?))
    });
    let (suspicion, from, mut expects, proof) = match proved {
        Some((suspicion, from, expects, proof)) => (Some(suspicion), from, expects, proof),
        None => (failed.suspicions.first(), AnswerOrigin::Nothing, Expectations::default(), Proof::default()),
    };
    // What needs more of the conversation than the failing step is played to its end.
    let needs_all =
        suspicion.is_none_or(|suspicion| !expects.calls.is_empty() || !expects.says.is_empty() || suspicion.kind == ClueKind::MissingCall);
    let until = if needs_all { turns.len() } else { suspicion.map_or(turns.len(), |suspicion| suspicion.turn) };
    let says: Vec<String> = requests(turns).filter(|(turn, _)| *turn < until).map(|(_, said)| said.to_owned()).collect();
    if says.is_empty() || says.len() > REQUESTS {
        return None;
    }
    expects.budget = budget(usual);
    let (fixtures, lent_by) = fixtures(failed.conversation, until, &expects, usual);
    let rubric = (from == AnswerOrigin::Nothing).then(|| rubric(&failed.observation.failures));
    Some(RegressionTest {
        test: test.clone(),
        intent: intent.clone(),
        title: title(intent, suspicion, from, &failed.reasons()),
        state: TestState::Proposed,
        shares: Vec::new(),
        located: suspicion.map(|suspicion| located(suspicion, &failed.suspicions)),
        fixtures,
        lent_by,
        says,
        expects,
        answer_from: from,
        rubric,
        proof,
        passing: None,
        sources: vec![failed.source()],
        conversations: 1,
    })
}

/// What a run may take, by what resolved conversations take.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts and never negative")]
fn budget(usual: &Usual<'_>) -> Option<TestBudget> {
    let [turns, seconds, tokens] = usual.took().map(|most| most.map(|most| (BUDGET * most).ceil()));
    let turns = turns.map(|turns| turns.max(TURNS) as u32);
    let budget = TestBudget { turns, seconds, tokens: tokens.map(|tokens| tokens as u64) };
    (budget != TestBudget::default()).then_some(budget)
}

/// Whether what has to hold instead fails on what was recorded and can be met. Nothing if not.
fn prove(suspicion: &Suspicion, conversation: &Conversation, usual: &Usual<'_>) -> Option<Proof> {
    let (from, expects) = &suspicion.expects;
    if expects.is_empty() {
        return None;
    }
    let fails_recorded = shortfalls(expects, &Run::of(&conversation.turns));
    let passes_good = match from {
        AnswerOrigin::Label | AnswerOrigin::Person => Some(shortfalls(expects, &Run::of(&as_expected(expects))).is_empty()),
        // Others do not have this conversation's arguments, and not all of them are about the same: who claims that something
        // is done has to do it.
        AnswerOrigin::Agreement | AnswerOrigin::Evidence | AnswerOrigin::Nothing => usual.fulfil(
            |resolved| suspicion.deed.is_none_or(|deed| claims(&resolved.turns, deed)),
            |resolved| shortfalls(expects, &Run::of(&resolved.turns)).is_empty(),
        ),
    };
    (!fails_recorded.is_empty() && passes_good != Some(false)).then_some(Proof { fails_recorded, passes_good, runs: None })
}

/// A run that does exactly what is expected.
fn as_expected(expects: &Expectations) -> Vec<Turn> {
    let call = |(place, expected): (usize, &ExpectedCall)| ToolCall {
        id: Some(place.to_string()),
        name: expected.tool.clone(),
        arguments: Value::Object(expected.arguments.iter().map(|(name, value)| (name.clone(), value.clone())).collect()),
    };
    let said: Vec<&str> = expects.says.iter().filter_map(|alternatives| alternatives.first().map(String::as_str)).collect();
    vec![Turn {
        role: Role::Assistant,
        text: Some(said.join(". ")),
        tool_calls: expects.calls.iter().enumerate().map(call).collect(),
        tool_results: Vec::new(),
        at: None,
    }]
}

/// What tools answered up to a turn, and for expected calls what they answered in resolved conversations, with these.
fn fixtures(conversation: &Conversation, until: usize, expects: &Expectations, usual: &Usual<'_>) -> (Vec<Fixture>, Vec<TestSource>) {
    let fixture = |call: &ToolCall, result: &ToolResult| Fixture {
        tool: call.name.clone(),
        arguments: call.arguments.clone(),
        result: result.text.clone(),
        error: result.error,
    };
    let mut fixtures: Vec<Fixture> = calls(&conversation.turns)
        .into_iter()
        .filter(|called| called.turn <= until)
        .filter_map(|called| Some(fixture(called.call, called.result?)))
        .take(FIXTURES)
        .collect();
    let mut lent_by = Vec::new();
    for expected in &expects.calls {
        if fixtures.len() == FIXTURES || fixtures.iter().any(|fixture| fixture.tool == expected.tool && !fixture.error) {
            continue;
        }
        let lent = usual.conversations.iter().find_map(|(observation, resolved)| {
            let called = calls(&resolved.turns).into_iter().find(|called| called.call.name == expected.tool && !called.failed())?;
            Some((fixture(called.call, called.result?), source(observation, resolved)))
        });
        if let Some((fixture, source)) = lent {
            fixtures.push(fixture);
            lent_by.push(source);
        }
    }
    (fixtures, lent_by)
}

/// A step with what speaks for it.
pub(super) fn located(suspicion: &Suspicion, all: &[Suspicion]) -> Located {
    let there = all.iter().filter(|other| other.turn == suspicion.turn && other.detail != suspicion.detail);
    let by = std::iter::once(suspicion)
        .chain(there)
        .take(CLUES)
        .map(|suspicion| Clue { kind: suspicion.kind, detail: suspicion.detail.clone() });
    Located { turn: suspicion.turn, tool: suspicion.tool.clone(), by: by.collect() }
}

fn title(intent: &Key, suspicion: Option<&Suspicion>, from: AnswerOrigin, reasons: &[&str]) -> String {
    let Some(suspicion) = suspicion else { return format!("{intent}: the user is helped ({})", reasons.join(", ")) };
    let tool = suspicion.tool.as_deref().unwrap_or("a tool");
    let guards = match (suspicion.kind, from) {
        (ClueKind::NotAsExpected, AnswerOrigin::Person) => format!("what a person did by {tool} is done without a handover"),
        (ClueKind::NotAsExpected, _) if suspicion.class == "expected not at all" => {
            format!("{tool} is not called where nothing of it is expected")
        }
        (ClueKind::NotAsExpected, _) if suspicion.tool.is_some() => format!("{tool} is called as expected"),
        (ClueKind::NotAsExpected, _) => "the user is told what they have to know".to_owned(),
        (ClueKind::ToolError, _) => format!("{tool} is not called as it failed ({})", suspicion.class),
        (ClueKind::ClaimWithoutCall, _) => format!("nothing is said to be done without {tool}"),
        (ClueKind::Contradiction, _) => "no number is made up".to_owned(),
        (ClueKind::OddArguments, _) => format!("{tool} is not called {}", suspicion.class),
        (ClueKind::MissingCall, _) => format!("{tool} is called"),
        (ClueKind::OddCall, _) => format!("{tool} is not called"),
        (ClueKind::BeforeComplaint, _) => "the user is helped without a handover or a complaint".to_owned(),
        (ClueKind::NoAnswer, _) => format!("it does not say \"{}\"", suspicion.class),
    };
    format!("{intent}: {guards}")
}

/// Questions for a judge by what speaks for the failure. What a user wrote is quoted as that.
fn rubric(failures: &[Failure]) -> Rubric {
    let question = |failure: &Failure| match failure.reason {
        FailureReason::Escalation => "Is the user helped without being handed over to a person?".to_owned(),
        FailureReason::NegativeFeedback => {
            format!("Does the assistant do better than what a user said this of: {:?}?", quoted(&failure.detail))
        }
        FailureReason::NoAnswer | FailureReason::NoResults => "Is the question answered?".to_owned(),
        FailureReason::ToolError => {
            "Does the assistant find another way when the tool fails, or say plainly that it could not do it?".to_owned()
        }
        FailureReason::FailedCheck | FailureReason::LowEvaluation => format!("Does this hold: {:?}?", quoted(&failure.detail)),
        FailureReason::Outcome | FailureReason::Error | FailureReason::TimedOut => "Does the user get what they asked for?".to_owned(),
    };
    let by_reason: BTreeMap<FailureReason, String> = failures.iter().map(|failure| (failure.reason, question(failure))).collect();
    let mut questions: Vec<String> = by_reason.into_values().collect();
    questions.dedup();
    Rubric { questions, proposed_by: None }
}
