//! From all failed conversations of an intent to its suite.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_model::{
    Fact, Id, Key, Located, Observation, RegressionTest, Suite, SuiteChange, SuiteChangeKind, SuiteDecision, SuiteHold, TestSource,
    TestState,
};
use flywheel_policy::{Mode, Policy};
use jiff::{SignedDuration, Timestamp};

use super::locate::suspicions;
use super::usual::Usual;
use super::write::{Failed, located, write};

/// Conversations of a group from which a test is tried to be made, the cleanest first.
const TRIED: usize = 10;

/// What comes of failed conversations.
#[derive(Debug, Clone, PartialEq)]
pub enum Generated {
    /// The suite as it is to be, and what was decided.
    Changed {
        /// The suite.
        suite: Suite,
        /// What changes in it.
        decision: SuiteDecision,
    },
    /// No tests now, because.
    Held(SuiteHold),
    /// The suite has it all.
    Nothing,
}

/// Makes tests of the conversations of an intent that failed, beside those that were resolved, and puts them into its suite.
/// The same conversations give the same tests in whatever order they come; making them again changes nothing.
#[must_use]
pub fn generate(
    intent: &Key,
    suite: Option<&Suite>,
    failed: &[Observation],
    resolved: &[Observation],
    policy: &Policy,
    finding: Option<&Id>,
    now: Timestamp,
) -> Generated {
    let held = |reason: String| Generated::Held(SuiteHold { intent: intent.clone(), reason });
    if failed.is_empty() {
        return held(format!("No conversation about {intent} is kept that failed in this time."));
    }
    let usual = Usual::of(resolved);
    let groups = groups(intent, suite, failed, &usual, policy);
    let failed: usize = groups.iter().map(|group| group.members.len()).sum();
    let mut next = suite.cloned().unwrap_or_else(|| Suite { intent: intent.clone(), tests: Vec::new(), changes: Vec::new() });
    let mut changes = Vec::new();
    let change = |test: &Id, what, why: String, conversations: &[TestSource]| SuiteChange {
        test: test.clone(),
        what,
        why,
        finding: finding.cloned(),
        conversations: conversations.iter().map(|source| source.signal.clone()).take(RegressionTest::SOURCES).collect(),
        at: now,
    };
    for test in &mut next.tests {
        let Some(group) = groups.iter().find(|group| group.test == test.test) else { continue };
        let more = cover(test, group);
        if !more.is_empty() {
            let why = format!("{} more conversations failed so; it stands for {}.", more.len(), test.conversations);
            changes.push(change(&test.test, SuiteChangeKind::Covered, why, &more));
        }
    }
    let known: BTreeSet<Id> = next.tests.iter().map(|test| test.test.clone()).collect();
    let counting = next.tests.iter().filter(|test| !matches!(test.state, TestState::Retired(_))).count();
    let mut room = (policy.tests.at_most as usize).saturating_sub(counting).min(policy.tests.new_at_most as usize);
    let (mut left_out, mut without_test) = (0, 0);
    let first_that_can = |group: &Group<'_>| group.members.iter().take(TRIED).find_map(|member| write(member, &group.test, intent, &usual));
    let mut new: Vec<(&Group<'_>, RegressionTest)> = Vec::new();
    for group in groups.iter().filter(|group| !known.contains(&group.test)) {
        match first_that_can(group) {
            Some(test) => new.push((group, test)),
            None => without_test += 1,
        }
    }
    // What only a judge can tell comes last; otherwise the largest groups go first.
    new.sort_by_key(|(_, test)| test.expects.is_empty());
    for (group, mut test) in new {
        if room == 0 {
            left_out += 1;
            continue;
        }
        cover(&mut test, group);
        test.shares = group.shares();
        test.state = state(&test, intent, policy);
        let why = format!("{} of {failed} failed conversations failed so.", group.members.len());
        changes.push(change(&test.test, SuiteChangeKind::Added, why, &test.sources));
        room -= 1;
        next.tests.push(test);
    }
    if changes.is_empty() {
        if left_out + without_test == 0 {
            return Generated::Nothing;
        }
        return held(format!(
            "{failed} conversations failed in {} ways: {left_out} ways have no room (at most {} tests, {} new ones at once), and of {without_test} no \
             test can be made: nothing that a user said is kept of them.",
            groups.len(),
            policy.tests.at_most,
            policy.tests.new_at_most
        ));
    }
    next.tests.sort_by(|one, other| one.test.cmp(&other.test));
    next.changes.splice(0..0, changes.iter().cloned());
    next.changes.truncate(Suite::CHANGES);
    let known: BTreeSet<&Id> = next.tests.iter().map(|test| &test.test).collect();
    let covered = groups.iter().filter(|group| known.contains(&group.test)).map(|group| group.members.len() as u64).sum();
    let decision = SuiteDecision {
        intent: intent.clone(),
        changes,
        failed: failed as u64,
        groups: groups.len() as u64,
        covered,
        dry_run: policy.mode == Mode::DryRun,
    };
    Generated::Changed { suite: next, decision }
}

/// The step of a conversation that went wrong, as far as that can be told beside those of its intent that were resolved.
#[must_use]
pub fn locate(failed: &Observation, resolved: &[Observation], policy: &Policy) -> Option<Located> {
    let Fact::Conversation(conversation) = &failed.signal.fact else { return None };
    let suspicions = suspicions(conversation, &failed.failures, &Usual::of(resolved), &policy.tests.changing);
    suspicions.first().map(|strongest| located(strongest, &suspicions))
}

/// Proposes to retire tests of an intent that has no finding: those that have passed for long, and stand for no conversation that
/// failed since. Nothing if there are none that it has not proposed.
#[must_use]
pub fn propose_retirements(suite: &Suite, policy: &Policy, now: Timestamp) -> Option<(Suite, SuiteDecision)> {
    let long_ago = now - SignedDuration::from_hours(24 * i64::from(policy.tests.retire_days));
    let (mut next, mut changes) = (suite.clone(), Vec::new());
    for test in next.tests.iter_mut().filter(|test| test.state == TestState::Active) {
        let quiet = test.sources.iter().all(|source| source.at <= long_ago);
        let Some(passing) = test.passing.as_mut().filter(|passing| quiet && passing.since <= long_ago && !passing.retirement_proposed)
        else {
            continue;
        };
        passing.retirement_proposed = true;
        changes.push(SuiteChange {
            test: test.test.clone(),
            what: SuiteChangeKind::RetirementProposed,
            why: format!("It has passed since {}, and no conversation failed so for {} days.", passing.since, policy.tests.retire_days),
            finding: None,
            conversations: Vec::new(),
            at: now,
        });
    }
    if changes.is_empty() {
        return None;
    }
    next.changes.splice(0..0, changes.iter().cloned());
    next.changes.truncate(Suite::CHANGES);
    let dry_run = policy.mode == Mode::DryRun;
    Some((next, SuiteDecision { intent: suite.intent.clone(), changes, failed: 0, groups: 0, covered: 0, dry_run }))
}

/// Conversations that failed in the same way.
struct Group<'o> {
    test: Id,
    /// The cleanest first: that of the fewest turns, of these the newest.
    members: Vec<Failed<'o>>,
}

/// The groups, the largest first. A conversation that a test stands for stays with it, also where more resolved ones would
/// now tell something else of it.
fn groups<'o>(intent: &Key, suite: Option<&Suite>, failed: &'o [Observation], usual: &Usual<'_>, policy: &Policy) -> Vec<Group<'o>> {
    let tests = suite.map(|suite| suite.tests.as_slice()).unwrap_or_default();
    let covered: BTreeMap<&Id, &Id> =
        tests.iter().flat_map(|test| test.sources.iter().map(|source| (&source.signal, &test.test))).collect();
    let mut groups = BTreeMap::<Id, Vec<Failed<'o>>>::new();
    let mut seen = BTreeSet::new();
    for observation in failed.iter().filter(|observation| seen.insert(observation.signal.identity())) {
        let Fact::Conversation(conversation) = &observation.signal.fact else { continue };
        let suspicions = suspicions(conversation, &observation.failures, usual, &policy.tests.changing);
        let failed = Failed { observation, conversation, suspicions };
        let test = match covered.get(&observation.signal.identity()) {
            Some(test) => (*test).clone(),
            None => Id::of("test", &[intent.as_str(), &failed.signature()]),
        };
        groups.entry(test).or_default().push(failed);
    }
    let mut groups: Vec<Group<'_>> = groups
        .into_iter()
        .map(|(test, mut members)| {
            members.sort_by_cached_key(|member| {
                let (unclean, turns) = (unclean(member), member.conversation.turns.len());
                (unclean, turns, std::cmp::Reverse(member.observation.signal.at), member.observation.signal.identity())
            });
            Group { test, members }
        })
        .collect();
    groups.sort_by(|one, other| (other.members.len(), &one.test).cmp(&(one.members.len(), &other.test)));
    groups
}

impl Group<'_> {
    /// What all of its members have in common, a sentence each.
    fn shares(&self) -> Vec<String> {
        let Some(first) = self.members.first() else { return Vec::new() };
        let mut shares = Vec::new();
        if let Some(suspicion) = first.suspicions.first() {
            let tool = suspicion.tool.as_ref().map_or_else(String::new, |tool| format!(" of {tool}"));
            shares.push(format!("{}{tool}: {}", suspicion.kind.as_str().replace('_', " "), suspicion.class));
        }
        let mut reasons = first.reasons();
        let mut tools: BTreeSet<&str> = tools(first);
        for member in &self.members[1..] {
            let theirs = member.reasons();
            reasons.retain(|reason| theirs.contains(reason));
            tools = tools.intersection(&self::tools(member)).copied().collect();
        }
        if !reasons.is_empty() {
            shares.push(format!("they failed by {}", reasons.join(", ").replace('_', " ")));
        }
        if !tools.is_empty() {
            shares.push(format!("they called {}", tools.into_iter().collect::<Vec<_>>().join(", ")));
        }
        shares
    }
}

fn tools<'o>(failed: &Failed<'o>) -> BTreeSet<&'o str> {
    failed.conversation.turns.iter().flat_map(|turn| &turn.tool_calls).map(|call| call.name.as_str()).collect()
}

/// How much of a conversation is no text that people would read in a test: of its user's turns, those with letters that were
/// decoded wrongly.
fn unclean(failed: &Failed<'_>) -> usize {
    let is_broken = |text: &str| text.contains('\u{fffd}') || text.contains("Ã") || text.contains("â€");
    super::steps::requests(&failed.conversation.turns).filter(|(_, text)| is_broken(text)).count()
}

/// Lets a test stand for a group's conversations as well, and gives those that it did not stand for.
fn cover(test: &mut RegressionTest, group: &Group<'_>) -> Vec<TestSource> {
    let known: BTreeSet<&Id> = test.sources.iter().map(|source| &source.signal).collect();
    // Where more are counted than named, older ones than those that are named have been counted before.
    let counted_to =
        (test.sources.len() == RegressionTest::SOURCES).then(|| test.sources[1..].iter().map(|source| source.at).min()).flatten();
    let is_new = |source: &TestSource| !known.contains(&source.signal) && counted_to.is_none_or(|at| source.at > at);
    let mut more: Vec<TestSource> = group.members.iter().map(Failed::source).filter(is_new).collect();
    more.sort_by(|one, other| (other.at, &one.signal).cmp(&(one.at, &other.signal)));
    test.conversations += more.len() as u64;
    // The first is the one that the test was made from.
    let mut rest = test.sources.split_off(test.sources.len().min(1));
    rest.extend(more.iter().cloned());
    rest.sort_by(|one, other| (other.at, &one.signal).cmp(&(one.at, &other.signal)));
    test.sources.extend(rest);
    test.sources.truncate(RegressionTest::SOURCES);
    more
}

/// A new test counts if it is known to fail on what it was made of and nothing says that it cannot be passed, unless a person
/// or a target has to say so first, or nothing is to be done.
fn state(test: &RegressionTest, intent: &Key, policy: &Policy) -> TestState {
    let proved = !test.proof.fails_recorded.is_empty() && test.proof.passes_good != Some(false);
    let waits = policy.tests.review || policy.mode == Mode::DryRun || policy.tests.target(intent, None).is_some();
    if proved && !waits { TestState::Active } else { TestState::Proposed }
}
