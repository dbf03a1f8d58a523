//! What becomes of failed conversations: recorded ones below `FLYWHEEL_DATASETS`, which are no part of the repository.
//!
//! A run failed if its set rewards it with nothing or one of its checks did not hold. The runs of one domain are one intent,
//! those with a reward and without a failed check its resolved ones.
//!
//! - **With labels** the expected calls and texts come with the conversation. Each failed run is made into a test alone; it is
//!   active if it fails on the recording and passes on exactly the expected calls and texts, both checked here again.
//! - **Without labels** nothing but turns and outcome is told, as production has it. An active test fails on its recording; here
//!   it is also held against the expected calls and texts: how many of the active tests the labelled outcome passes.
//! - **Suites**: all failed runs of each intent together, within the default budget; covered is a run whose way of failing has a
//!   test. The runs are told forwards, backwards and shuffled, and the suites compared.
//! - **Located**: the turn that is named as the one that went wrong beside the labelled one, for conversations that have such a
//!   label; `last` always names the last turn, `random` any (its expected value).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use flywheel_engine::regression::{Generated, Run, generate, locate, shortfalls};
use flywheel_engine::signals::Judge;
use flywheel_model::{Conversation, Expected, Fact, Key, Observation, RegressionTest, Role, Signal, TestState, Turn};
use flywheel_policy::Policy;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::recorded::{self, Run as Recorded};
use crate::report::{Facts, write};

/// What the benchmark may be told.
#[derive(Args)]
pub(crate) struct Settings {
    /// A folder of labelled collections; without it nothing is measured
    #[arg(long, env = "FLYWHEEL_DATASETS")]
    datasets: Option<PathBuf>,
    /// Where chance begins
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Serialize)]
struct Report {
    facts: Facts,
    with_labels: Vec<Alone>,
    without_labels: Vec<Alone>,
    suites: Suites,
    located: Located,
    conversations_a_second: f64,
}

/// Failed runs, each made into a test alone.
#[derive(Serialize, Default)]
struct Alone {
    set: String,
    failed: usize,
    tests: usize,
    active: usize,
    active_fail_on_recording: usize,
    active_pass_on_expected: usize,
    /// Those of the active ones for which an expected outcome is known at all.
    active_with_expected: usize,
    /// Active tests by where the right answer comes from.
    answers_from: BTreeMap<&'static str, usize>,
}

#[derive(Serialize, Default)]
struct Suites {
    intents: usize,
    failed: u64,
    groups: u64,
    tests: usize,
    active: usize,
    covered: u64,
    same_in_any_order: bool,
}

#[derive(Serialize, Default)]
struct Located {
    labelled: usize,
    named: usize,
    right: usize,
    within_one: usize,
    last: usize,
    random: f64,
}

/// Measures and writes.
pub(crate) fn run(settings: &Settings, out: &Path) -> anyhow::Result<()> {
    let Some(folder) = settings.datasets.as_ref().map(|folder| folder.join("conversations")).filter(|folder| folder.is_dir()) else {
        println!("FLYWHEEL_DATASETS names no folder with conversations: nothing is measured.");
        return Ok(());
    };
    let runs = recorded::runs(&folder);
    let bench = Bench { policy: policy(), runs: &runs };
    let sets: std::collections::BTreeSet<&str> = runs.iter().map(|run| run.set).collect();
    let with_labels: Vec<Alone> = sets.iter().map(|set| bench.alone(set, true)).collect();
    let without_labels: Vec<Alone> = sets.iter().map(|set| bench.alone(set, false)).collect();
    for (told, all) in [("with labels", &with_labels), ("without labels", &without_labels)] {
        println!("\n{told:<22} {:>6} {:>6} {:>6} {:>10} {:>16}", "failed", "tests", "active", "fail again", "pass as expected");
        for alone in all {
            println!(
                "{:<22} {:>6} {:>6} {:>6} {:>10} {:>10} of {:>2}  {:?}",
                alone.set,
                alone.failed,
                alone.tests,
                alone.active,
                alone.active_fail_on_recording,
                alone.active_pass_on_expected,
                alone.active_with_expected,
                alone.answers_from
            );
        }
    }
    let begun = Instant::now();
    let suites = bench.suites(settings.seed);
    let conversations_a_second = 3.0 * runs.len() as f64 / begun.elapsed().as_secs_f64();
    println!(
        "\n{} failed runs of {} intents: {} groups, {} tests ({} active), {} runs covered; the same in any order: {}; {conversations_a_second:.0} conversations a second",
        suites.failed, suites.intents, suites.groups, suites.tests, suites.active, suites.covered, suites.same_in_any_order
    );
    let located = bench.located();
    println!(
        "located: {} of {} named, {} right, {} within one turn; always the last turn {}, any turn {:.1}",
        located.named, located.labelled, located.right, located.within_one, located.last, located.random
    );
    write(out, &Report { facts: Facts::now(), with_labels, without_labels, suites, located, conversations_a_second })
}

struct Bench<'r> {
    policy: Policy,
    runs: &'r [Recorded],
}

fn policy() -> Policy {
    let source = "[[unseen_source]]\nknowledge_base = \"KBBENCHMRK\"\ndata_source = \"DSBENCHMRK\"\n";
    Policy::parse(&format!("mode = \"act\"\n{source}")).expect("the benchmark's policy is valid")
}

fn failed(run: &Recorded) -> bool {
    !run.rewarded || run.checks.iter().any(|check| !check.passed)
}

impl Bench<'_> {
    fn observation(&self, place: usize, labelled: bool) -> Observation {
        let run = &self.runs[place];
        let expected = run.expected.clone().filter(|_| labelled);
        let conversation = Conversation {
            intent: Key::try_from(run.intent.as_str()).ok(),
            resolved: Some(!failed(run)),
            expected,
            ..run.conversation.clone()
        };
        let at = Timestamp::UNIX_EPOCH + SignedDuration::from_mins(i64::try_from(place).unwrap_or_default());
        let fact = Fact::Conversation(conversation);
        let failures = Judge::new(&self.policy.failures).failures(&fact);
        Observation { signal: Signal { id: format!("run-{place}").as_str().try_into().expect("a key"), at, fact }, class: None, failures }
    }

    fn of_intent(&self, intent: &str, has_failed: bool, labelled: bool) -> Vec<Observation> {
        let wanted = |place: &usize| self.runs[*place].intent == intent && failed(&self.runs[*place]) == has_failed;
        (0..self.runs.len()).filter(wanted).map(|place| self.observation(place, labelled)).collect()
    }

    fn test(&self, intent: &str, failed: &[Observation], resolved: &[Observation]) -> Option<RegressionTest> {
        let intent = Key::try_from(intent).ok()?;
        match generate(&intent, None, failed, resolved, &self.policy, None, Timestamp::UNIX_EPOCH) {
            Generated::Changed { suite, .. } => suite.tests.into_iter().next(),
            Generated::Held(_) | Generated::Nothing => None,
        }
    }

    fn alone(&self, set: &str, labelled: bool) -> Alone {
        let mut alone = Alone { set: set.to_owned(), ..Alone::default() };
        for (place, run) in self.runs.iter().enumerate().filter(|(_, run)| run.set == set && failed(run)) {
            if labelled && run.expected.is_none() {
                continue;
            }
            alone.failed += 1;
            let resolved = self.of_intent(&run.intent, false, false);
            let Some(test) = self.test(&run.intent, &[self.observation(place, labelled)], &resolved) else { continue };
            alone.tests += 1;
            if test.state != TestState::Active {
                continue;
            }
            alone.active += 1;
            *alone.answers_from.entry(test.answer_from.as_str()).or_default() += 1;
            alone.active_fail_on_recording += usize::from(!shortfalls(&test.expects, &Run::of(&run.conversation.turns)).is_empty());
            if let Some(expected) = &run.expected {
                alone.active_with_expected += 1;
                alone.active_pass_on_expected += usize::from(shortfalls(&test.expects, &Run::of(&as_expected(expected))).is_empty());
            }
        }
        alone
    }

    fn suites(&self, seed: u64) -> Suites {
        let mut suites = Suites { same_in_any_order: true, ..Suites::default() };
        let intents: std::collections::BTreeSet<&str> = self.runs.iter().map(|run| run.intent.as_str()).collect();
        let mut random = fastrand::Rng::with_seed(seed);
        for intent in intents {
            let (mut failed, mut resolved) = (self.of_intent(intent, true, true), self.of_intent(intent, false, true));
            let Ok(key) = Key::try_from(intent) else { continue };
            let make = |failed: &[Observation], resolved: &[Observation]| {
                generate(&key, None, failed, resolved, &self.policy, None, Timestamp::UNIX_EPOCH)
            };
            let first = make(&failed, &resolved);
            failed.reverse();
            resolved.reverse();
            suites.same_in_any_order &= make(&failed, &resolved) == first;
            random.shuffle(&mut failed);
            random.shuffle(&mut resolved);
            suites.same_in_any_order &= make(&failed, &resolved) == first;
            let Generated::Changed { suite, decision } = first else { continue };
            suites.intents += 1;
            suites.failed += decision.failed;
            suites.groups += decision.groups;
            suites.covered += decision.covered;
            suites.tests += suite.tests.len();
            suites.active += suite.tests.iter().filter(|test| test.state == TestState::Active).count();
        }
        suites
    }

    fn located(&self) -> Located {
        let mut located = Located::default();
        for (place, run) in self.runs.iter().enumerate() {
            let Some(mistake) = run.mistake else { continue };
            located.labelled += 1;
            let turns = run.conversation.turns.len();
            located.last += usize::from(mistake + 1 == turns);
            located.random += 1.0 / turns as f64;
            let Some(named) = locate(&self.observation(place, false), &[], &self.policy) else { continue };
            located.named += 1;
            located.right += usize::from(named.turn == mistake);
            located.within_one += usize::from(named.turn.abs_diff(mistake) <= 1);
        }
        located
    }
}

/// A run that does exactly what is expected.
fn as_expected(expected: &Expected) -> Vec<Turn> {
    vec![Turn {
        role: Role::Assistant,
        text: Some(expected.says.join(". ")),
        tool_calls: expected.calls.clone().unwrap_or_default(),
        tool_results: Vec::new(),
        at: None,
    }]
}
