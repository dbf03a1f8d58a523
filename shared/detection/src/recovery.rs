//! When a finding is over.

use std::collections::BTreeMap;

use crate::baseline::{Baseline, Stream};
use crate::look::{Beginnings, Evidence, Verdict, Watch};
use crate::rule::{Change, Direction, Rule};
use crate::series::{Hour, Series};

/// The evidence that a rate which had moved is back, if there is enough; until then the finding stays open.
///
/// A finding of its own, in the other direction, with the same guarantee: the null hypothesis is that the rate is still
/// at least half of the finding's change away from its baseline, and no less than the rule's smallest change; and the
/// estimate has to be at least half-way back from there. So a finding is opened by evidence against "as before" and closed
/// by evidence against "still half as bad", and where neither comes it stays as it is: no flapping. In the evidence
/// returned, the "baseline" is that half-way rate.
#[must_use]
pub fn recovered(series: &Series, opened: &Evidence, rule: &Rule, now: Hour) -> Option<Evidence> {
    // In the finding's direction every change is a rise; from there back it is one of the complement.
    let usual = if rule.direction == Direction::Rise { opened.usual_rate } else { 1.0 - opened.usual_rate };
    let worst = if rule.direction == Direction::Rise { opened.current_rate } else { 1.0 - opened.current_rate };
    let still = rule.target(usual).max(f64::midpoint(usual, worst)).min(1.0 - (1.0 - usual) / 100.0);
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    let trials = opened.baseline_trials as f64;
    let no_shifts = BTreeMap::new();
    let back = Rule { direction: rule.direction.opposite(), ..*rule };
    let stream = Stream { series, direction: back.direction, shifts: &no_shifts };
    let adjust = |learned: Option<Baseline>| Some(learned.unwrap_or_else(Baseline::blank).at(1.0 - still, trials));
    let back = Rule { change: Change::Points((still - usual) / 2.0), ..back };
    let watch = Watch::against(stream, &back, now, Beginnings::After(opened.until), adjust);
    match watch.look(series.at(now)).verdict {
        Verdict::Moved(evidence) => Some(evidence),
        _ => None,
    }
}
