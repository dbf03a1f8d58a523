//! What events come to in figures.

use flywheel_model::{Body, Comparison, Conclusion, Event, ExperimentVerdict, FunctionFigure, Loop, LoopFigure, Stage, TimeoutVerdict};

use crate::Metrics;

impl Metrics {
    /// Adds what an event tells. Whoever calls it does so once for each event.
    pub fn add_event(&mut self, event: &Event) {
        self.add(FunctionFigure::EventsRecorded, 1);
        if let (Some(figure), Some(of)) = (figure_of(event), Loop::of(event)) {
            self.add_of_loop(figure, of, 1);
        }
        match &event.body {
            Body::InputRefused(_) => self.add(FunctionFigure::InputsRefused, 1),
            Body::PreflightMade(run) => {
                self.add(FunctionFigure::ReleasesChecked, 1);
                self.add(FunctionFigure::ReleasesStopped, u64::from(!run.may_start));
            }
            Body::AskedAgain(asked) => {
                self.add(FunctionFigure::QuestionsFoundAgain, asked.found_now.saturating_sub(asked.found_before).into());
            }
            Body::TimeoutVerified(outcome) => match outcome.verdict {
                TimeoutVerdict::Kept => self.add(FunctionFigure::LimitsKept, 1),
                TimeoutVerdict::Undone => self.add_of_loop(LoopFigure::Undone, Loop::Timeouts, 1),
                TimeoutVerdict::Inconclusive => {}
            },
            Body::UndoDecided(undo) if !undo.dry_run => self.add_of_loop(LoopFigure::Undone, Loop::Experiments, 1),
            Body::ExperimentConcluded(outcome) => {
                self.add(FunctionFigure::ExperimentsConcluded, 1);
                match outcome.conclusion.verdict {
                    ExperimentVerdict::Winner => {
                        self.add(FunctionFigure::ExperimentsWon, 1);
                        self.add(FunctionFigure::ConversationsGained, gained(&outcome.conclusion));
                    }
                    ExperimentVerdict::RolledBack => self.add_of_loop(LoopFigure::Undone, Loop::Experiments, 1),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

/// Which figure of its loop an event counts in: that of its stage, but for these.
const fn figure_of(event: &Event) -> Option<LoopFigure> {
    Some(match (&event.body, Stage::of(event)) {
        (Body::FindingOpened(_), _) => LoopFigure::FindingsOpened,
        (Body::FindingClosed(_), _) => LoopFigure::FindingsClosed,
        (Body::FindingHeld(_), _) => LoopFigure::FindingsHeld,
        // A captured retrieval is the decision to keep it, and questions that are asked again are the answer to a refresh.
        (Body::CaseCaptured(_), _) | (_, Stage::Action) => LoopFigure::Decisions,
        (Body::AskedAgain(_), _) | (_, Stage::Receipt) => LoopFigure::Receipts,
        (_, Stage::Hold) => LoopFigure::Holds,
        (_, Stage::Outcome) => LoopFigure::Outcomes,
        (_, Stage::Signal | Stage::Finding | Stage::Control) => return None,
    })
}

/// The winner's units, times how much more of them were resolved than of the control's: measured, with chance in it.
fn gained(conclusion: &Conclusion) -> u64 {
    let is_winner = |comparison: &&Comparison| Some(&comparison.variant) == conclusion.winner.as_ref();
    conclusion.comparisons.iter().find(is_winner).map_or(0, |comparison| {
        let ([units, resolved], [control_units, control_resolved]) = (comparison.treatment, comparison.control);
        // Whole numbers: no rounding, and a control without units expects nothing.
        let expected = u128::from(units) * u128::from(control_resolved) / u128::from(control_units.max(1));
        resolved.saturating_sub(u64::try_from(expected).unwrap_or(u64::MAX))
    })
}

#[cfg(test)]
mod tests {
    use flywheel_model::{Figure, IntentFigure};
    use serde_json::Value;

    use super::*;

    /// What the event files of a kind come to, of which each has several.
    fn told(kind: &str) -> Vec<Event> {
        let path = format!("{}/../../events/bus/{kind}.json", env!("CARGO_MANIFEST_DIR"));
        let batch: Value = serde_json::from_str(&std::fs::read_to_string(path).expect(kind)).expect("JSON");
        let bodies = batch["Records"].as_array().expect("messages").iter().map(|message| message["body"].as_str().expect("a body"));
        bodies.filter_map(|body| Event::from_envelope(body).ok()).collect()
    }

    fn sums(events: &[Event]) -> Vec<(&'static str, String, &'static str, u64)> {
        let mut metrics = Metrics::new("record");
        events.iter().for_each(|event| metrics.add_event(event));
        metrics.sums()
    }

    #[test]
    fn each_event_is_a_step_of_its_loop_by_its_kind() {
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../events/bus")).expect("the event files");
        let names: Vec<String> = files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned()).collect();
        let kinds = names.iter().filter_map(|name| name.strip_suffix(".json")).filter(|name| !name.ends_with(".expected"));
        let mut seen = 0;
        for event in kinds.flat_map(told) {
            seen += 1;
            let word = event.kind();
            let expected = match word {
                "case.captured" => Some("Decisions"),
                "finding.opened" => Some("FindingsOpened"),
                "finding.closed" => Some("FindingsClosed"),
                "finding.held" => Some("FindingsHeld"),
                "decision.escalation" | "approval.requested" | "approval.expired" => Some("Holds"),
                _ if word.ends_with("hold") => Some("Holds"),
                _ if word.starts_with("decision.") => Some("Decisions"),
                _ if word.starts_with("receipt.") => Some("Receipts"),
                _ if word.starts_with("outcome.") => Some("Outcomes"),
                _ => None,
            };
            let steps: Vec<_> =
                sums(&[event]).into_iter().filter(|(by, _, name, _)| *by == LoopFigure::DIMENSION && *name != "Undone").collect();
            assert_eq!(steps.iter().map(|(_, _, name, _)| *name).collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>(), "{word}");
        }
        assert!(seen > 36, "{seen}");
    }

    #[test]
    fn what_people_wrote_is_in_no_dimension() {
        let all = ["finding.opened", "outcome.experiment", "decision.tests", "signal.refused", "receipt.refresh"];
        for (by, of, _, _) in sums(&all.into_iter().flat_map(told).collect::<Vec<_>>()) {
            let bounded = of == "record" || Loop::ALL.iter().any(|known| known.as_str() == of);
            assert!(bounded && by != IntentFigure::DIMENSION, "{by} {of}");
        }
    }

    #[test]
    fn a_release_that_may_not_start_is_stopped() {
        let runs = told("outcome.preflight");
        let stopped = runs.iter().filter(|event| matches!(&event.body, Body::PreflightMade(run) if !run.may_start)).count() as u64;
        let sums = sums(&runs);
        let of = |name: &str| sums.iter().find(|(_, _, figure, _)| *figure == name).map_or(0, |(_, _, _, sum)| *sum);
        assert!(stopped > 0);
        assert_eq!((of("ReleasesChecked"), of("ReleasesStopped")), (runs.len() as u64, stopped));
    }

    #[test]
    fn a_winner_gains_what_the_control_would_not_have_resolved() {
        let conclusion = |treatment, control| Conclusion {
            verdict: ExperimentVerdict::Winner,
            winner: Some("b".to_owned()),
            comparisons: vec![Comparison {
                variant: "b".to_owned(),
                treatment,
                control,
                difference: [0.0; 3],
                confidence: 0.95,
                log_evidence: 0.0,
                broken: Vec::new(),
            }],
            explanation: String::new(),
            at: jiff::Timestamp::UNIX_EPOCH,
        };
        assert_eq!(gained(&conclusion([200, 150], [100, 60])), 30);
        assert_eq!(gained(&conclusion([200, 100], [100, 60])), 0);
        assert_eq!(gained(&conclusion([0, 0], [0, 0])), 0);
        assert_eq!(gained(&conclusion([u64::MAX, u64::MAX], [1, 0])), u64::MAX);
    }
}
