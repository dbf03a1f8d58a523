//! How actions are graded by the number that triggered them.

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::file::Check;

/// When an action is measured, how sure a verdict has to be, and what follows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OutcomePolicy {
    /// Hours after an action until its effect is looked at first. 1 to 168, default 6.
    pub settle_hours: u32,
    /// Hours after an action until it is given up to tell its effect. 1 to 336 and not below `settle_hours`, default 168.
    pub give_up_hours: u32,
    /// The probability with which a verdict may be wrong, however often it is looked. 0.001 to 0.2, default 0.05.
    pub error: f64,
    /// The same for the verdict that an action made it worse, upon which it is taken back. 0.0001 to `error`, default 0.01.
    pub undo_error: f64,
    /// Hours in which an action that made it worse is not taken again at the same place. 1 to 8,760, default 168.
    pub worse_cooldown_hours: u32,
    /// So many actions at the same place without an effect, one after the other, and a person is asked. 1 to 10, default 2.
    pub unchanged_at_most: u32,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Outcomes {
    settle_hours: Option<Spanned<u32>>,
    give_up_hours: Option<Spanned<u32>>,
    error: Option<Spanned<f64>>,
    undo_error: Option<Spanned<f64>>,
    worse_cooldown_hours: Option<Spanned<u32>>,
    unchanged_at_most: Option<Spanned<u32>>,
}

impl Check<'_> {
    pub(crate) fn outcomes(&mut self, table: Outcomes) -> OutcomePolicy {
        let settle_hours = self.number("outcomes.settle_hours", table.settle_hours, 6, 1..=168);
        let error = self.number("outcomes.error", table.error, 0.05, 0.001..=0.2);
        OutcomePolicy {
            settle_hours,
            give_up_hours: self.number("outcomes.give_up_hours", table.give_up_hours, 168, settle_hours..=336),
            error,
            undo_error: self.number("outcomes.undo_error", table.undo_error, error.min(0.01), 0.000_1..=error),
            worse_cooldown_hours: self.number("outcomes.worse_cooldown_hours", table.worse_cooldown_hours, 168, 1..=8_760),
            unchanged_at_most: self.number("outcomes.unchanged_at_most", table.unchanged_at_most, 2, 1..=10),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Policy;

    const GOOD: &str = "mode = \"act\"\n[[unseen_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS12345678\"\n";

    #[test]
    fn whoever_says_nothing_has_actions_graded_within_a_week() {
        let outcomes = Policy::parse(GOOD).expect("valid").outcomes;
        assert_eq!((outcomes.settle_hours, outcomes.give_up_hours, outcomes.unchanged_at_most), (6, 168, 2));
    }

    #[test]
    fn nothing_is_given_up_before_it_was_looked_at_and_an_undo_is_as_sure_as_a_verdict() {
        for (wrong, told) in [
            ("settle_hours = 48\ngive_up_hours = 24", "outcomes.give_up_hours: 24 is out of range"),
            ("error = 0.02\nundo_error = 0.05", "outcomes.undo_error: 0.05 is out of range"),
            ("settle = 3", "unknown field `settle`"),
        ] {
            let errors = Policy::parse(&format!("{GOOD}[outcomes]\n{wrong}\n")).expect_err(wrong).to_string();
            assert!(errors.contains(told), "{errors}");
        }
    }
}
