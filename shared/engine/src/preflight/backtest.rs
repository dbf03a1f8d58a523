//! What a check would have done to the releases of the past.

use flywheel_model::{Backtest, PreflightCheck};
use flywheel_releases::{Ending, Release};

use super::needs_of;

/// Replays the releases, in the order in which they began, with a check in front of each that it concerns.
///
/// Nobody looked at the account then, so what the check would have seen is concluded from what came to pass: a release that
/// failed for want of the need shows that it was unmet. It stays unmet until the last such release of the service before
/// the next good one, and is met from then on. A good release between two that failed shows either that someone mended and
/// broke it again, or that it does not need it: against the check, the second is assumed.
#[must_use]
pub fn backtest(check: &PreflightCheck, releases: &[Release]) -> Backtest {
    let mut result = Backtest::default();
    let concerned: Vec<&Release> = releases.iter().filter(|release| check.concerns(&release.service)).collect();
    // What a cause tells of its request's context is often less than what the check was learned with.
    let need = check.need.without_context();
    let lacks_it = |release: &Release| {
        release.ending == Some(Ending::Failed)
            && release.causes.iter().any(|cause| needs_of(cause, release).is_some_and(|lacked| lacked.without_context() == need))
    };
    // Of each service, where it last failed for want of it: until there a good release counts as blocked.
    let last_lack = |service: &str| concerned.iter().rposition(|release| release.service == service && lacks_it(release));
    let mut unmet: std::collections::BTreeSet<&str> = std::collections::BTreeSet::new();
    for (place, release) in concerned.iter().enumerate() {
        match release.ending {
            Some(Ending::Failed) => {
                result.releases += 1;
                if lacks_it(release) {
                    result.caught += 1;
                    unmet.insert(&release.service);
                }
            }
            Some(Ending::Succeeded) => {
                result.releases += 1;
                if unmet.contains(release.service.as_str()) {
                    if last_lack(&release.service).is_some_and(|last| place < last) {
                        result.blocked += 1;
                    } else {
                        unmet.remove(release.service.as_str());
                    }
                }
            }
            Some(Ending::Stopped) | None => {}
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use flywheel_releases::{Cause, Kind};
    use jiff::Timestamp;

    use super::*;

    const ROLE: &str = "arn:aws:iam::111122223333:role/deploy";

    /// A release for each letter: `f` failed for want of the permission, `o` failed otherwise, `g` good, `s` stopped.
    fn history(letters: &str) -> Vec<Release> {
        let release = |(place, letter): (usize, char)| {
            let at = Timestamp::from_second(1_700_000_000 + 3_600 * place as i64).expect("a time");
            let denied = |action: &str| Cause {
                principal: Some(ROLE.to_owned()),
                action: Some(action.to_owned()),
                resource: Some("*".to_owned()),
                ..Cause::of(Kind::MissingPermission)
            };
            let (ending, causes) = match letter {
                'f' => (Ending::Failed, vec![denied("sqs:CreateQueue")]),
                'o' => (Ending::Failed, vec![denied("sns:CreateTopic")]),
                's' => (Ending::Stopped, vec![]),
                _ => (Ending::Succeeded, vec![]),
            };
            Release { id: place.to_string(), service: "shop".to_owned(), role: None, began: at, last: at, ending: Some(ending), causes }
        };
        letters.chars().enumerate().map(release).collect()
    }

    fn check() -> PreflightCheck {
        let need = Need::permission(ROLE, "sqs:CreateQueue", "*");
        PreflightCheck::learned(need, BTreeSet::from(["shop".to_owned()]))
    }

    use flywheel_model::Need;

    #[test]
    fn it_catches_the_failures_of_its_kind_and_lets_the_fixed_release_pass() {
        for (letters, releases, caught, blocked) in
            [("ggffgg", 6, 2, 0), ("gofsog", 5, 1, 0), ("fgf", 3, 2, 1), ("fgfgg", 5, 2, 1), ("gggg", 4, 0, 0), ("", 0, 0, 0)]
        {
            assert_eq!(backtest(&check(), &history(letters)), Backtest { releases, caught, blocked }, "{letters}");
        }
    }

    #[test]
    fn a_release_that_it_does_not_concern_is_none_of_its_business() {
        let mut others = history("ffgf");
        others.iter_mut().for_each(|release| release.service = "blog".to_owned());
        assert_eq!(backtest(&check(), &others), Backtest::default());
    }
}
