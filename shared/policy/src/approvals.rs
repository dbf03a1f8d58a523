//! What the policy says of actions that wait for a person.

use std::collections::BTreeSet;

use flywheel_model::ApprovalAction;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::file::Check;

/// Which actions are of high risk: they wait for a person, and without an answer they are not done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ApprovalPolicy {
    /// Without an answer for this many hours nothing is done. 1 to 720, default 24.
    pub deadline_hours: u32,
    /// Raising a limit by at most this share of it is of low risk. 0 to 4, default 0.5.
    pub timeout_raise_within: f64,
    /// The kinds of actions that are of high risk whatever their size, each once. Default `promotion` and `model`.
    pub high: BTreeSet<ApprovalAction>,
}

impl ApprovalPolicy {
    /// Seconds that a person has for an answer.
    #[must_use]
    pub fn deadline_seconds(&self) -> i64 {
        i64::from(self.deadline_hours) * 3_600
    }
}

impl Default for ApprovalPolicy {
    /// What holds where the policy says nothing.
    fn default() -> Self {
        Check::new("").approvals(Approvals::default())
    }
}

/// The table `[approvals]` as written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Approvals {
    deadline_hours: Option<Spanned<u32>>,
    timeout_raise_within: Option<Spanned<f64>>,
    high: Option<Vec<Spanned<String>>>,
}

impl Check<'_> {
    pub(crate) fn approvals(&mut self, table: Approvals) -> ApprovalPolicy {
        let high = match table.high {
            None => BTreeSet::from([ApprovalAction::Promotion, ApprovalAction::Model]),
            Some(named) => {
                let mut high = BTreeSet::new();
                for name in named {
                    let known = ApprovalAction::ALL.into_iter().find(|action| action.as_str() == name.get_ref());
                    let (problem, fix) = match known {
                        None => ("is no kind of action", "use timeout, exploration, promotion or model"),
                        Some(action) if !high.insert(action) => ("is there twice", "name each kind once"),
                        Some(_) => continue,
                    };
                    self.problem(name.span(), "approvals.high", format!("{:?} {problem}", name.get_ref()), fix);
                }
                high
            }
        };
        ApprovalPolicy {
            deadline_hours: self.number("approvals.deadline_hours", table.deadline_hours, 24, 1..=720),
            timeout_raise_within: self.number("approvals.timeout_raise_within", table.timeout_raise_within, 0.5, 0.0..=4.0),
            high,
        }
    }
}

#[cfg(test)]
mod tests {
    use flywheel_model::ApprovalAction;

    use crate::{Policy, Risk};

    const POLICY: &str = "mode = \"act\"\n[[unseen_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS12345678\"\n";

    #[test]
    fn prompts_and_models_wait_where_nothing_is_said_and_limits_by_how_far_they_go() {
        let policy = Policy::parse(POLICY).expect("valid").approvals;
        assert_eq!((policy.deadline_hours, policy.timeout_raise_within), (24, 0.5));
        assert!(policy.high.into_iter().eq([ApprovalAction::Promotion, ApprovalAction::Model]));
    }

    #[test]
    fn an_intent_that_says_nothing_has_the_risk_that_promotions_have() {
        let intents = "[experiments]\napplication = \"abc1234\"\nenvironment = \"def5678\"\nprofile = \"ghi9012\"\n\
             [[experiments.intent]]\nintent = \"billing\"\nflag = \"billing-prompt\"\ncontrol = \"baseline\"\n";
        for (table, risk) in [
            ("", Risk::High),
            ("[approvals]\nhigh = []\n", Risk::Low),
            ("[approvals]\nhigh = [\"promotion\"]\n", Risk::High),
            ("[approvals]\nhigh = [\"timeout\"]\n", Risk::Low),
        ] {
            let policy = Policy::parse(&format!("{POLICY}{table}{intents}")).expect("valid");
            assert_eq!(policy.experiments.intents[0].risk, risk, "{table}");
        }
        let low = Policy::parse(&format!("{POLICY}{intents}risk = \"low\"\n")).expect("valid");
        assert_eq!(low.experiments.intents[0].risk, Risk::Low);
    }

    #[test]
    fn problems_are_told_with_their_fields() {
        for (table, told) in [
            ("deadline_hours = 0\n", "line 6: approvals.deadline_hours: 0 is out of range; use 1 to 720 (default 24)"),
            ("timeout_raise_within = 5.0\n", "line 6: approvals.timeout_raise_within: 5.0 is out of range; use 0.0 to 4.0 (default 0.5)"),
            (
                "high = [\"prompts\"]\n",
                "line 6: approvals.high: \"prompts\" is no kind of action; use timeout, exploration, promotion or model",
            ),
            ("high = [\"model\", \"model\"]\n", "line 6: approvals.high: \"model\" is there twice; name each kind once"),
        ] {
            let found = Policy::parse(&format!("{POLICY}[approvals]\n{table}")).expect_err("not valid").0[0].to_string();
            assert_eq!(found, told);
        }
    }
}
