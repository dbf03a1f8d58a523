//! Which causes become checks.

use std::collections::{BTreeMap, BTreeSet};

use flywheel_model::{Backtest, Body, Event, Id, Need, PreflightChange, PreflightCheck, PreflightHold};
use flywheel_policy::{Mode, Policy};
use flywheel_releases::{Ending, Release};
use jiff::{SignedDuration, Timestamp};

use super::{ChecksFile, State, backtest, needs_of};

/// What is concluded from releases.
#[derive(Debug, Clone)]
pub struct Learned {
    /// The checks file as it is to be; the one that was given where nothing changes.
    pub file: ChecksFile,
    /// Everything that is to be told.
    pub events: Vec<Event>,
    /// The checks that are added or retired.
    pub changed: Vec<String>,
}

/// Looks at the releases of the time that the policy says, and adds a check for each cause that recurs where enough of them
/// fail for preventable causes. Checks that catch nothing for long, or would block good releases, are retired. What a
/// person wrote or took out of the file stays so.
///
/// `caught` says when each check last stopped a release. The same input gives the same result, also under the same ids.
#[must_use]
pub fn learn(releases: &[Release], file: &ChecksFile, caught: &BTreeMap<String, Timestamp>, policy: &Policy, now: Timestamp) -> Learned {
    let rules = &policy.preflight;
    let from = now - SignedDuration::from_hours(24 * i64::from(rules.window_days));
    let recent: Vec<Release> = releases
        .iter()
        .filter(|release| release.last >= from && release.ending.is_some_and(|ending| ending != Ending::Stopped))
        .cloned()
        .collect();
    let mut learned = Learned { file: file.clone(), events: Vec::new(), changed: Vec::new() };
    let mut tell = Teller { learned: &mut learned, policy, now };
    tell.retire(&recent, caught);
    let counted = u32::try_from(recent.len()).unwrap_or(u32::MAX);
    let preventable = u32::try_from(recent.iter().filter(|release| release.is_preventable()).count()).unwrap_or(u32::MAX);
    let hold = hold(counted, preventable, policy);
    let candidates = candidates(&recent);
    if let Some(reason) = hold {
        // Before anything fails, there is nothing to hold back.
        if preventable > 0 {
            tell.hold(PreflightHold { reason, releases: counted, preventable });
        }
        return learned;
    }
    for (need, Candidate { services, failed, context }) in candidates {
        let check = PreflightCheck::learned(with_context(need, context), services);
        if failed < rules.recurs || tell.learned.file.knows(&check.id) {
            continue;
        }
        let figures = backtest(&check, &recent);
        let share = f64::from(preventable) / f64::from(counted);
        if figures.caught == 0 || figures.blocked > 0 {
            let reason = format!(
                "{}: no check, since it would have stopped {} good releases of {} beside {} that failed",
                check.need, figures.blocked, figures.releases, figures.caught
            );
            tell.hold(PreflightHold { reason, releases: counted, preventable });
            continue;
        }
        let reason = format!(
            "{preventable} of {counted} releases ({:.0}%) failed for preventable causes; this check would have stopped {} of them, and no good release of {}",
            100.0 * share,
            figures.caught,
            figures.releases
        );
        tell.change(check, true, reason, figures);
    }
    learned
}

/// Why nothing is concluded yet; nothing if enough fails, and surely.
fn hold(releases: u32, preventable: u32, policy: &Policy) -> Option<String> {
    let rules = &policy.preflight;
    if releases < rules.minimum_releases {
        return Some(format!(
            "{preventable} of {releases} releases failed for preventable causes: fewer than {} releases say nothing yet",
            rules.minimum_releases
        ));
    }
    let share = f64::from(preventable) / f64::from(releases);
    let surely = at_least(preventable, releases);
    if share < rules.failed_share {
        return Some(format!(
            "{preventable} of {releases} releases ({:.0}%) failed for preventable causes, below the {:.0}% of the policy",
            100.0 * share,
            100.0 * rules.failed_share
        ));
    }
    (surely < rules.surely).then(|| {
        format!(
            "{preventable} of {releases} releases ({:.0}%) failed for preventable causes, but with 95% confidence only {:.0}% or more, below the {:.0}% of the policy",
            100.0 * share, 100.0 * surely, 100.0 * rules.surely
        )
    })
}

/// The lower end of Wilson's score interval for a share, one-sided at 95% (Wilson 1927).
fn at_least(part: u32, all: u32) -> f64 {
    const Z: f64 = 1.644_853_626_951_472_7;
    let (part, all) = (f64::from(part), f64::from(all));
    let share = part / all;
    let centre = share + Z * Z / (2.0 * all);
    let spread = Z * (share * (1.0 - share) / all + Z * Z / (4.0 * all * all)).sqrt();
    ((centre - spread) / (1.0 + Z * Z / all)).max(0.0)
}

#[derive(Default)]
struct Candidate {
    /// The services that lacked it.
    services: BTreeSet<String>,
    /// Releases that failed for want of it.
    failed: u32,
    /// What all denied requests that told anything under a key told; nothing of a key under which they told different things.
    context: BTreeMap<String, Option<Vec<String>>>,
}

fn with_context(need: Need, told: BTreeMap<String, Option<Vec<String>>>) -> Need {
    match need {
        Need::Permission { role, action, resource, .. } => {
            let context = told.into_iter().filter_map(|(key, values)| Some((key, values?))).collect();
            Need::Permission { role, action, resource, context }
        }
        other => other,
    }
}

fn candidates(releases: &[Release]) -> BTreeMap<Need, Candidate> {
    let mut candidates: BTreeMap<Need, Candidate> = BTreeMap::new();
    for release in releases.iter().filter(|release| release.ending == Some(Ending::Failed)) {
        let needs: BTreeSet<Need> = release.causes.iter().filter_map(|cause| needs_of(cause, release)).collect();
        let mut counted: BTreeSet<Need> = BTreeSet::new();
        for need in needs {
            let candidate = candidates.entry(need.without_context()).or_default();
            candidate.services.insert(release.service.clone());
            candidate.failed += u32::from(counted.insert(need.without_context()));
            let Need::Permission { context, .. } = need else { continue };
            for (key, values) in context {
                let known = candidate.context.entry(key).or_insert_with(|| Some(values.clone()));
                if known.as_ref() != Some(&values) {
                    *known = None;
                }
            }
        }
    }
    candidates
}

struct Teller<'a> {
    learned: &'a mut Learned,
    policy: &'a Policy,
    now: Timestamp,
}

impl Teller<'_> {
    /// Retires what no longer earns its place, and brings the figures of the rest up to date.
    fn retire(&mut self, releases: &[Release], caught: &BTreeMap<String, Timestamp>) {
        let days = i64::from(self.policy.preflight.retire_days);
        for entry in self.learned.file.entries() {
            if entry.state != State::Active || !entry.is_learned {
                continue;
            }
            let figures = backtest(&entry.check, releases);
            let quiet_since = entry.added.max(caught.get(&entry.check.id).copied());
            let reason = if figures.blocked > 0 {
                Some(format!("it would have stopped {} good releases of {}", figures.blocked, figures.releases))
            } else if figures.caught == 0 && quiet_since.is_some_and(|since| self.now - SignedDuration::from_hours(24 * days) > since) {
                Some(format!("it caught nothing for {days} days"))
            } else {
                None
            };
            if let Some(reason) = reason {
                self.change(entry.check, false, reason, figures);
            }
        }
    }

    fn change(&mut self, check: PreflightCheck, added: bool, reason: String, backtest: Backtest) {
        let dry_run = self.policy.mode == Mode::DryRun;
        let id = check.id.clone();
        // A check may be added, retired and never added again: two decisions at most.
        let event = Id::of("decision.preflight", &[&id, if added { "added" } else { "retired" }, if dry_run { "dry run" } else { "" }]);
        if !dry_run {
            if added {
                self.learned.file.add(&check, backtest, self.now);
            } else {
                self.learned.file.retire(&id, &reason, backtest);
            }
            self.learned.changed.push(id);
        }
        let subject = format!("preflight/{}", check.id);
        let body = Body::PreflightDecided(PreflightChange { check, added, reason, backtest, dry_run });
        self.learned.events.push(Event { id: event, subject, causes: Vec::new(), at: self.now, body });
    }

    fn hold(&mut self, hold: PreflightHold) {
        // The same reason is told once.
        let id = Id::of("decision.preflight-hold", &[&hold.reason]);
        self.learned.events.push(Event {
            id,
            subject: "preflight".to_owned(),
            causes: Vec::new(),
            at: self.now,
            body: Body::PreflightHeld(hold),
        });
    }
}

#[cfg(test)]
mod tests {
    use flywheel_releases::{Cause, Kind};
    use proptest::prelude::*;

    use super::*;

    const POLICY: &str = "mode = \"act\"\n[[unseen_source]]\nknowledge_base = \"KBUNSEEN01\"\ndata_source = \"DSUNSEEN01\"\n";

    fn policy(more: &str) -> Policy {
        Policy::parse(&format!("{POLICY}{more}")).expect("valid")
    }

    fn day(day: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + 86_400 * day).expect("a time")
    }

    /// A release a day: `g` good, a digit fails for want of that action, `x` fails for no preventable cause.
    fn history(letters: &str) -> Vec<Release> {
        let release = |(place, letter): (usize, char)| {
            let at = day(i64::try_from(place).expect("a place"));
            let causes = match letter {
                'g' => vec![],
                'x' => vec![Cause::of(Kind::InvalidRequest)],
                digit => vec![Cause {
                    principal: Some("arn:aws:iam::111122223333:role/deploy".to_owned()),
                    action: Some(format!("sqs:Action{digit}")),
                    resource: Some("*".to_owned()),
                    ..Cause::of(Kind::MissingPermission)
                }],
            };
            let ending = Some(if letter == 'g' { Ending::Succeeded } else { Ending::Failed });
            Release { id: place.to_string(), service: "shop".to_owned(), role: None, began: at, last: at, ending, causes }
        };
        letters.chars().enumerate().map(release).collect()
    }

    fn learned(letters: &str) -> (Vec<String>, usize) {
        let result = learn(&history(letters), &ChecksFile::default(), &BTreeMap::new(), &policy(""), day(40));
        let added = result.file.entries().into_iter().map(|entry| match entry.check.need {
            Need::Permission { action, .. } => action,
            other => other.to_string(),
        });
        (added.collect(), result.events.len())
    }

    #[test]
    fn each_cause_that_recurs_becomes_a_check_where_enough_fails() {
        assert_eq!(learned("1122ggggggg1122"), (vec![], 2), "good releases went through in between");
        assert_eq!(learned("ggggggggg112212"), (vec!["sqs:Action1".to_owned(), "sqs:Action2".to_owned()], 2));
        assert_eq!(learned("gggggggg1111112"), (vec!["sqs:Action1".to_owned()], 1), "what failed once may not come back");
    }

    #[test]
    fn too_few_failures_or_releases_are_held_with_the_numbers() {
        for letters in ["1111", "gggggggggggggg11", "ggxxxxxxxxxxxx11"] {
            assert_eq!(learned(letters), (vec![], 1), "{letters}");
        }
        assert_eq!(learned("gggggggggggggg"), (vec![], 0));
    }

    #[test]
    fn a_check_is_told_of_the_request_what_all_that_were_denied_told() {
        let mut releases = history("ggggggggg111111");
        let told = |release: &mut Release, key: &str, value: &str| {
            release.causes[0].context.insert(key.to_owned(), vec![value.to_owned()]);
        };
        told(&mut releases[10], "iam:PassedToService", "lambda.amazonaws.com");
        told(&mut releases[11], "aws:RequestTag/team", "a");
        told(&mut releases[12], "aws:RequestTag/team", "b");
        let result = learn(&releases, &ChecksFile::default(), &BTreeMap::new(), &policy(""), day(40));
        let entries = result.file.entries();
        assert_eq!(entries.len(), 1, "the same permission is one check");
        let Need::Permission { context, .. } = entries[0].check.need.clone() else { panic!("{entries:?}") };
        assert_eq!(context, BTreeMap::from([("iam:PassedToService".to_owned(), vec!["lambda.amazonaws.com".to_owned()])]));
        assert_eq!(backtest(&entries[0].check, &releases).caught, 6);
        assert_eq!(ChecksFile::parse(&result.file.to_string()).expect("a checks file").entries(), entries);
    }

    #[test]
    fn learning_again_changes_nothing() {
        let releases = history("ggggggggg112212");
        let first = learn(&releases, &ChecksFile::default(), &BTreeMap::new(), &policy(""), day(20));
        let second = learn(&releases, &first.file, &BTreeMap::new(), &policy(""), day(21));
        assert_eq!((second.file.to_string(), second.changed.len()), (first.file.to_string(), 0));
    }

    #[test]
    fn a_dry_run_decides_and_writes_nothing() {
        let policy = Policy::parse(&POLICY.replace("act", "dry_run")).expect("valid");
        let result = learn(&history("ggggggggg112212"), &ChecksFile::default(), &BTreeMap::new(), &policy, day(20));
        assert_eq!((result.events.len(), result.changed.len(), result.file.entries().len()), (2, 0, 0));
    }

    #[test]
    fn what_catches_nothing_for_long_is_retired_unless_it_caught_something() {
        let first = learn(&history("ggggggggg111111"), &ChecksFile::default(), &BTreeMap::new(), &policy(""), day(15));
        let id = first.changed[0].clone();
        let later = |caught: &BTreeMap<String, Timestamp>| learn(&[], &first.file, caught, &policy(""), day(300)).changed.len();
        assert_eq!(later(&BTreeMap::new()), 1);
        assert_eq!(later(&BTreeMap::from([(id, day(200))])), 0);
    }

    #[test]
    fn what_begins_to_block_good_releases_is_retired_and_does_not_come_back() {
        let first = learn(&history("ggggggggg111111"), &ChecksFile::default(), &BTreeMap::new(), &policy(""), day(15));
        let second = learn(&history("ggggggggg111111g1"), &first.file, &BTreeMap::new(), &policy(""), day(17));
        assert_eq!(second.file.entries()[0].state, State::Retired);
        let third = learn(&history("ggggggggg111111111111111"), &second.file, &BTreeMap::new(), &policy(""), day(24));
        assert_eq!((third.file.entries()[0].state, third.changed.len()), (State::Retired, 0));
    }

    #[test]
    fn wilsons_interval_is_wilsons() {
        assert!((at_least(8, 20) - 0.243).abs() < 1e-3, "{}", at_least(8, 20));
        assert_eq!(at_least(0, 10), 0.0);
    }

    proptest! {
        #[test]
        fn an_added_check_never_fails_the_release_it_was_learned_from_once_that_is_fixed(letters in "[g0123x]{0,40}") {
            let releases = history(&letters);
            let result = learn(&releases, &ChecksFile::default(), &BTreeMap::new(), &policy(""), day(40));
            for entry in result.file.entries() {
                let mut fixed = releases.clone();
                let last = fixed.last().cloned().expect("something failed");
                fixed.push(Release { id: "fixed".to_owned(), ending: Some(Ending::Succeeded), causes: Vec::new(), began: day(41), last: day(41), ..last });
                prop_assert_eq!(backtest(&entry.check, &fixed).blocked, 0);
            }
        }
    }
}
