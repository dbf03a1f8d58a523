//! What the policy says of money, and which intents have metrics of their own.

use flywheel_model::{Key, OTHER_INTENTS};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::Policy;
use crate::file::Check;

/// What things cost the team, in dollars, where it says so. Only the dashboards go by it: nothing is decided by it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct CostPolicy {
    /// A million tokens that a model reads. 0 to 10,000.
    pub million_input_tokens: Option<f64>,
    /// A million tokens that a model writes. 0 to 10,000.
    pub million_output_tokens: Option<f64>,
    /// A conversation that is not resolved: what a person takes to help. 0 to 1,000,000.
    pub failed_conversation: Option<f64>,
    /// A release that fails. 0 to 1,000,000.
    pub failed_release: Option<f64>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Costs {
    million_input_tokens: Option<Spanned<f64>>,
    million_output_tokens: Option<Spanned<f64>>,
    failed_conversation: Option<Spanned<f64>>,
    failed_release: Option<Spanned<f64>>,
}

impl Check<'_> {
    pub(crate) fn costs(&mut self, table: Costs) -> CostPolicy {
        let mut dollars = |field, value: Option<Spanned<f64>>, most| value.map(|value| self.number(field, Some(value), 0.0, 0.0..=most));
        CostPolicy {
            million_input_tokens: dollars("costs.million_input_tokens", table.million_input_tokens, 10_000.0),
            million_output_tokens: dollars("costs.million_output_tokens", table.million_output_tokens, 10_000.0),
            failed_conversation: dollars("costs.failed_conversation", table.failed_conversation, 1e6),
            failed_release: dollars("costs.failed_release", table.failed_release, 1e6),
        }
    }
}

impl Policy {
    /// So many intents have metrics of their own at most: each is six metrics, and CloudWatch bills by their number.
    pub const MEASURED_INTENTS: usize = 40;

    /// The intents with metrics of their own, in the policy's order: those that it names, as far as CloudWatch takes the
    /// names for a dimension
    /// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_Dimension.html>: ASCII, no colon at the start).
    #[must_use]
    pub fn measured_intents(&self) -> Vec<&Key> {
        let mut names: Vec<&Key> = Vec::new();
        for name in self.intents.iter().map(|intent| &intent.name).chain(self.experiments.intents.iter().map(|known| &known.intent)) {
            let text = name.as_str();
            let taken = text.is_ascii() && !text.starts_with(':') && !text.trim().is_empty() && text != OTHER_INTENTS;
            if taken && !names.contains(&name) && names.len() < Self::MEASURED_INTENTS {
                names.push(name);
            }
        }
        names
    }

    /// The name under which an intent's figures are told: whatever users and applications call intents, their number stays
    /// bounded.
    #[must_use]
    pub fn measured_intent<'i>(&self, intent: &'i Key) -> &'i str {
        if self.measured_intents().contains(&intent) { intent.as_str() } else { OTHER_INTENTS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "mode = \"act\"\n[[unseen_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS12345678\"\n";

    #[test]
    fn only_intents_of_the_policy_are_measured_by_name() {
        let text = format!(
            "{GOOD}[[intent]]\nname = \"refund\"\nwords = [\"refund\"]\n[[intent]]\nname = \"Rückgabe\"\nwords = [\"rückgabe\"]\n\
             [experiments]\napplication = \"app0002\"\nenvironment = \"env0002\"\nprofile = \"prof002\"\n\
             [[experiments.intent]]\nintent = \"billing\"\nflag = \"billing-prompt\"\ncontrol = \"baseline\"\n"
        );
        let policy = Policy::parse(&text).expect("valid");
        assert_eq!(policy.measured_intents().iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["refund", "billing"]);
        for (intent, told) in [("refund", "refund"), ("billing", "billing"), ("Rückgabe", "other"), ("my cat Rex", "other")] {
            assert_eq!(policy.measured_intent(&Key::try_from(intent).expect("a name")), told);
        }
    }

    #[test]
    fn no_more_intents_are_measured_than_are_worth_their_price() {
        let intents: String = (0..60).map(|number| format!("[[intent]]\nname = \"i{number}\"\nwords = [\"w\"]\n")).collect();
        let policy = Policy::parse(&format!("{GOOD}{intents}")).expect("valid");
        assert_eq!(policy.measured_intents().len(), Policy::MEASURED_INTENTS);
    }

    #[test]
    fn costs_are_what_the_team_says_or_nothing() {
        assert_eq!(Policy::parse(GOOD).expect("valid").costs, CostPolicy::default());
        let policy = Policy::parse(&format!("{GOOD}[costs]\nmillion_input_tokens = 0.06\nfailed_release = 200.0\n")).expect("valid");
        assert_eq!((policy.costs.million_input_tokens, policy.costs.failed_release), (Some(0.06), Some(200.0)));
        let told = Policy::parse(&format!("{GOOD}[costs]\nfailed_release = -1.0\n")).expect_err("out of range").to_string();
        assert!(told.contains("costs.failed_release: -1.0 is out of range"), "{told}");
    }
}
