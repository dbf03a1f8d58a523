//! Which actions wait for a person, and what follows from an answer.
//!
//! What is of low risk is done at once. What is of high risk is proposed, and done once a person grants it. Without an answer,
//! or with a no, nothing is done, and the same is not asked again for a time.

use flywheel_model::{
    Approval, ApprovalAction, ApprovalAnswer, ApprovalRequest, Experiment, Id, PromptVariant, TimeoutChange, TimeoutPurpose, Word,
};
use flywheel_policy::{ApprovalPolicy, Risk};
use jiff::{SignedDuration, Timestamp};

/// Days in which what a person rejected is not asked again.
const REJECTED_DAYS: i64 = 7;

/// Characters of a message's subject (Amazon SNS API reference, `Publish`: less than 100, ASCII).
const SUBJECT: usize = 99;

/// What Flywheel would do.
#[derive(Debug, Clone, Copy)]
pub enum Proposal<'a> {
    /// Change a limit.
    Limit(&'a TimeoutChange),
    /// Serve the winner of an experiment to everybody.
    Winner {
        /// The experiment.
        experiment: &'a Experiment,
        /// The winner.
        winner: &'a PromptVariant,
        /// The risk that the policy gives to the intent.
        risk: Risk,
        /// Whether alarms watch the flags, which roll a bad deployment back.
        guarded: bool,
    },
}

/// Why an action waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HighRisk {
    /// The kind of action.
    pub action: ApprovalAction,
    /// What makes its risk high, in a sentence.
    pub why: String,
}

/// Why an action waits for a person; nothing if its risk is low. What takes a change back never waits.
#[must_use]
pub fn risk_of(proposal: &Proposal<'_>, policy: &ApprovalPolicy) -> Option<HighRisk> {
    let high = |action, why: String| Some(HighRisk { action, why });
    match *proposal {
        Proposal::Limit(change) => match change.purpose {
            TimeoutPurpose::Raise if policy.high.contains(&ApprovalAction::Timeout) => {
                high(ApprovalAction::Timeout, "The policy has a person approve each raise of a limit.".to_owned())
            }
            TimeoutPurpose::Raise => {
                let target = change.changes.last()?;
                let share = target.to.seconds / target.from.seconds - 1.0;
                // Not by a last digit: 1.5 times a limit is a raise by half of it. What is no number waits.
                if share <= policy.timeout_raise_within + 1e-9 {
                    return None;
                }
                let within = 100.0 * policy.timeout_raise_within;
                let why = format!("It raises the limit by {:.0}%, and the policy lets {within:.0}% be done at once.", 100.0 * share);
                high(ApprovalAction::Timeout, why)
            }
            TimeoutPurpose::Explore if policy.high.contains(&ApprovalAction::Exploration) => {
                high(ApprovalAction::Exploration, "The policy has a person approve each exploration.".to_owned())
            }
            TimeoutPurpose::Explore | TimeoutPurpose::Lower | TimeoutPurpose::EndExploration | TimeoutPurpose::Undo => None,
        },
        Proposal::Winner { experiment, winner, risk, guarded } => {
            if policy.high.contains(&ApprovalAction::Model) && winner.model != experiment.control.model {
                let of = |variant: &PromptVariant| variant.model.clone().unwrap_or_else(|| "the application's own model".to_owned());
                let why = format!("It changes the model from {} to {}.", of(&experiment.control), of(winner));
                return high(ApprovalAction::Model, why);
            }
            if risk == Risk::High {
                let why = format!("The policy says that another prompt for {} is of high risk.", experiment.intent);
                return high(ApprovalAction::Promotion, why);
            }
            if !guarded {
                let why = "No alarm watches the environment of the flags, so that nothing would roll a bad deployment back.";
                return high(ApprovalAction::Promotion, why.to_owned());
            }
            None
        }
    }
}

/// What is proposed to a person.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) subject: String,
    /// What tells this proposal from others about the same subject.
    pub(crate) parts: &'a [&'a str],
    pub(crate) what: String,
    pub(crate) why: String,
    pub(crate) risk: HighRisk,
}

/// The id of a question.
pub(crate) fn id_of(asked: &Asked<'_>) -> Id {
    let parts: Vec<&str> = [asked.subject.as_str(), asked.risk.action.as_str()].into_iter().chain(asked.parts.iter().copied()).collect();
    Id::of("approval", &parts)
}

/// Until when an answer to a question that is asked now counts.
pub(crate) fn deadline(policy: &ApprovalPolicy, now: Timestamp) -> Timestamp {
    later(now, policy.deadline_seconds())
}

/// The question to a person.
pub(crate) fn request(asked: Asked<'_>, evidence: Vec<Id>, policy: &ApprovalPolicy, now: Timestamp) -> ApprovalRequest {
    let approval = id_of(&asked);
    let Asked { subject, what, why, risk, .. } = asked;
    ApprovalRequest {
        approval,
        action: risk.action,
        subject,
        what,
        why,
        risk: risk.why,
        evidence,
        at: now,
        deadline: deadline(policy, now),
    }
}

/// What has come of a question by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Come {
    /// It waits for an answer.
    Waits,
    /// A person lets it be done.
    Granted(Word),
    /// It is not done.
    Declined {
        /// Why, in a sentence.
        why: String,
        /// The same is not asked again before.
        until: Timestamp,
    },
}

/// What has come of a question by now. A grant counts for as long as there was time to give it: what it rests on grows old.
#[must_use]
pub fn come_of(request: &ApprovalRequest, approval: Option<&Approval>, policy: &ApprovalPolicy, now: Timestamp) -> Come {
    match approval.and_then(|approval| approval.answer.as_ref()) {
        None => Come::Waits,
        Some(ApprovalAnswer::Granted(word)) if now <= deadline(policy, word.at) => Come::Granted(word.clone()),
        Some(ApprovalAnswer::Granted(word)) => {
            Come::Declined { why: format!("{} approved it at {}, and by now that is too old to act upon.", word.by, word.at), until: now }
        }
        Some(ApprovalAnswer::Rejected(word)) => {
            let reason = if word.why.is_empty() { String::new() } else { format!(": {}", word.why) };
            let until = later(word.at, REJECTED_DAYS * 86_400);
            Come::Declined { why: format!("{} rejected it at {}{reason}. It is not asked again before {until}.", word.by, word.at), until }
        }
        Some(ApprovalAnswer::Expired) => {
            let until = deadline(policy, request.deadline);
            Come::Declined { why: format!("Nobody answered by {}. It is not asked again before {until}.", request.deadline), until }
        }
    }
}

fn later(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// The message that asks people: its subject and its text.
#[must_use]
pub fn message(request: &ApprovalRequest, stack: &str) -> (String, String) {
    let subject: String = format!("Flywheel waits for your word: {}", request.subject)
        .chars()
        .map(|char| if char.is_ascii_graphic() || char == ' ' { char } else { '?' })
        .take(SUBJECT)
        .collect();
    let evidence: String = request.evidence.iter().map(|id| format!("  flywheel --stack {stack} explain {id}\n")).collect();
    let approval = &request.approval;
    let text = format!(
        "Flywheel would do this, and waits for a person:\n\n  {}\n\nWhy: {}\n\nWhy it waits: {}\n\nThe evidence:\n{evidence}\n\
         Without an answer by {} nothing is done.\n\n  flywheel --stack {stack} approve {approval} --why \"...\"\n  \
         flywheel --stack {stack} reject {approval} --why \"...\"\n",
        request.what, request.why, request.risk, request.deadline
    );
    (subject, text)
}

#[cfg(test)]
mod tests {
    use flywheel_model::{Limit, Setting, SettingChange};

    use super::*;

    fn now() -> Timestamp {
        "2026-11-25T12:00:00Z".parse().expect("a time")
    }

    fn change(purpose: TimeoutPurpose, from: f64, to: f64) -> TimeoutChange {
        let setting = Setting::Parameter { name: "/trip".to_owned(), field: None };
        let changes = vec![SettingChange { setting, from: Limit::of(from), to: Limit::of(to) }];
        let (explanation, picture) = (String::new(), String::new());
        let timeout = "trip".try_into().expect("a key");
        TimeoutChange { timeout, purpose, changes, undo: Vec::new(), prediction: None, explanation, picture, dry_run: false }
    }

    fn kind(change: &TimeoutChange, policy: &ApprovalPolicy) -> Option<ApprovalAction> {
        risk_of(&Proposal::Limit(change), policy).map(|risk| risk.action)
    }

    #[test]
    fn a_raise_is_of_low_risk_up_to_the_share_of_the_policy() {
        let policy = ApprovalPolicy::default();
        for (to, risk) in [(31.0, None), (45.0, None), (45.1, Some(ApprovalAction::Timeout)), (90.0, Some(ApprovalAction::Timeout))] {
            assert_eq!(kind(&change(TimeoutPurpose::Raise, 30.0, to), &policy), risk, "{to}");
        }
        // Nothing is known of how far it goes.
        assert!(kind(&change(TimeoutPurpose::Raise, 0.0, 0.0), &policy).is_some());
    }

    #[test]
    fn what_takes_a_change_back_never_waits() {
        let policy = ApprovalPolicy { timeout_raise_within: 0.0, high: ApprovalAction::ALL.into(), ..ApprovalPolicy::default() };
        for purpose in [TimeoutPurpose::Undo, TimeoutPurpose::EndExploration, TimeoutPurpose::Lower] {
            assert_eq!(kind(&change(purpose, 30.0, 300.0), &policy), None, "{purpose:?}");
        }
        assert_eq!(kind(&change(TimeoutPurpose::Explore, 30.0, 45.0), &policy), Some(ApprovalAction::Exploration));
        assert_eq!(kind(&change(TimeoutPurpose::Raise, 30.0, 31.0), &policy), Some(ApprovalAction::Timeout));
    }

    fn asked() -> ApprovalRequest {
        let risk = HighRisk { action: ApprovalAction::Timeout, why: "It is far.".to_owned() };
        let asked = Asked {
            subject: "timeout/süd".to_owned(),
            parts: &["1"],
            what: "Raise it from 30 s to 60 s.".to_owned(),
            why: "Runs are cut.".to_owned(),
            risk,
        };
        request(asked, vec![Id::of("hold", &["1"])], &ApprovalPolicy::default(), now())
    }

    fn came(answer: Option<ApprovalAnswer>, at: &str) -> Come {
        let approval = Approval { request: asked(), answer };
        come_of(&asked(), Some(&approval), &ApprovalPolicy::default(), at.parse().expect("a time"))
    }

    fn word() -> Word {
        Word { by: "ada".to_owned(), why: "too slow".to_owned(), at: now() }
    }

    #[test]
    fn a_grant_counts_for_a_day_and_no_longer() {
        assert_eq!(came(Some(ApprovalAnswer::Granted(word())), "2026-11-26T12:00:00Z"), Come::Granted(word()));
        assert!(matches!(came(Some(ApprovalAnswer::Granted(word())), "2026-11-26T12:00:01Z"), Come::Declined { .. }));
    }

    #[test]
    fn what_was_rejected_is_not_asked_for_a_week_and_what_expired_for_another_deadline() {
        let Come::Declined { why, until } = came(Some(ApprovalAnswer::Rejected(word())), "2026-11-25T13:00:00Z") else {
            panic!("declined")
        };
        assert_eq!(until, "2026-12-02T12:00:00Z".parse::<Timestamp>().expect("a time"));
        assert!(why.starts_with("ada rejected it at 2026-11-25T12:00:00Z: too slow."), "{why}");
        let Come::Declined { until, .. } = came(Some(ApprovalAnswer::Expired), "2026-11-26T12:00:00Z") else { panic!("declined") };
        assert_eq!(until, "2026-11-27T12:00:00Z".parse::<Timestamp>().expect("a time"));
        assert_eq!(came(None, "2027-11-25T12:00:00Z"), Come::Waits);
        assert_eq!(come_of(&asked(), None, &ApprovalPolicy::default(), now()), Come::Waits);
    }

    #[test]
    fn a_message_says_what_why_until_when_and_how_to_answer() {
        let (subject, text) = message(&asked(), "blue");
        assert_eq!(subject, "Flywheel waits for your word: timeout/s?d");
        for said in
            ["from 30 s to 60 s", "Runs are cut.", "It is far.", "2026-11-26T12:00:00Z", "--stack blue approve", "--stack blue reject"]
        {
            assert!(text.contains(said), "{said}: {text}");
        }
        assert!(text.contains(&format!("explain {}", asked().evidence[0])));
    }

    #[test]
    fn an_answer_to_another_question_has_another_id() {
        let of = |parts: &[&str], action| {
            let risk = HighRisk { action, why: String::new() };
            id_of(&Asked { subject: "timeout/trip".to_owned(), parts, what: String::new(), why: String::new(), risk })
        };
        assert_eq!(of(&["1"], ApprovalAction::Timeout), of(&["1"], ApprovalAction::Timeout));
        assert_ne!(of(&["1"], ApprovalAction::Timeout), of(&["2"], ApprovalAction::Timeout));
        assert_ne!(of(&["1"], ApprovalAction::Timeout), of(&["1"], ApprovalAction::Exploration));
    }
}
