//! Signals: from what an application sent to what is kept and counted of it.
//!
//! [`Rules::observe`] makes a signal an observation: it is classified, judged and redacted. [`tally`] says what an
//! observation counts for, [`batch`] how counts are written so that each signal counts once.

pub mod batch;
mod classify;
mod guard;
mod judge;
mod no_answer;
mod phrases;
mod redact;
mod tally;

use flywheel_model::{Observation, Signal};
use flywheel_policy::Policy;
use jiff::{SignedDuration, Timestamp};

pub use classify::Classifier;
pub use guard::{Together, together};
pub use judge::{Judge, calls_a_person, resolution};
pub(crate) use judge::{tells_an_error, words};
pub use redact::{
    Redact, Texts, redact, redact_evaluations, redact_failures, redact_id, redact_input, redact_json, redact_key, redact_observation,
    redact_passage, redact_refusal, redact_text, redact_turn,
};
pub use tally::{counts, tally};

/// How far ahead of ours a sender's clock may be.
const AHEAD: SignedDuration = SignedDuration::from_mins(10);

/// The most characters of a failure's detail that are kept.
const DETAIL: usize = 200;

/// No value is longer, in characters, that is not recognised by its half as well.
const LONGEST_VALUE: usize = 128;

/// What the policy says of signals, made ready for many of them.
#[derive(Debug)]
pub struct Rules {
    classifier: Classifier,
    judge: Judge,
    late_hours: u32,
}

impl Rules {
    /// Those of a policy.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        Self {
            classifier: Classifier::new(&policy.topics, &policy.intents),
            judge: Judge::new(&policy.failures),
            late_hours: policy.signals.late_hours,
        }
    }

    /// Whether a signal comes in time to be counted.
    ///
    /// # Errors
    /// Why it does not.
    pub fn in_time(&self, signal: &Signal, arrived_at: Timestamp) -> Result<(), String> {
        let age = arrived_at.duration_since(signal.at);
        if age > SignedDuration::from_hours(i64::from(self.late_hours)) {
            let late = self.late_hours;
            return Err(format!(
                "at: {} is more than {late} hours before its arrival ({arrived_at}), so the signal is too late to count; \
                 send signals sooner or raise signals.late_hours in the policy",
                signal.at
            ));
        }
        if age < -AHEAD {
            return Err(format!(
                "at: {} is more than {} minutes after its arrival ({arrived_at}); set the sender's clock right",
                signal.at,
                AHEAD.as_mins()
            ));
        }
        Ok(())
    }

    /// Makes a signal an observation: judged by all that it says, kept without what must not be kept.
    #[must_use]
    pub fn observe(&self, mut signal: Signal, without: &dyn Redact) -> Observation {
        let mut class = self.classifier.class(&signal.fact);
        let mut failures = self.judge.failures(&signal.fact);
        redact(&mut signal, without);
        class.iter_mut().for_each(|class| redact_key(class, without));
        let cut: Vec<bool> = failures.iter().map(|failure| failure.detail.chars().count() >= judge::QUOTED).collect();
        redact_failures(&mut failures, without);
        for (failure, was_cut) in failures.iter_mut().zip(cut) {
            // Cut after redaction, since half of a card number is not recognised as one. Where the judge cut, such a half
            // may be the end.
            let length = failure.detail.chars().count();
            let kept = if was_cut { length.saturating_sub(LONGEST_VALUE).min(DETAIL) } else { DETAIL };
            if let Some((end, _)) = failure.detail.char_indices().nth(kept) {
                failure.detail.truncate(end);
            }
        }
        Observation { signal, class, failures }
    }
}

#[cfg(test)]
mod tests {
    use flywheel_model::Fact;
    use flywheel_redaction::Redactor;

    use super::*;

    fn redactor() -> Redactor {
        Redactor::new(b"a salt for tests")
    }

    fn rules(more: &str) -> Rules {
        let source = "[[data_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS12345678\"\nbucket = \"docs\"\n";
        Rules::new(&Policy::parse(&format!("mode = \"act\"\n{source}{more}")).expect("valid"))
    }

    fn signal(json: &str) -> Signal {
        serde_json::from_str(json).expect("a signal")
    }

    #[test]
    fn too_old_and_too_new_are_told() {
        let signal = signal(r#"{"id":"a","at":"2026-11-23T10:00:00Z","retrieval":{}}"#);
        let rules = rules("");
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        assert_eq!(rules.in_time(&signal, at("2026-11-24T10:00:00Z")), Ok(()));
        assert!(rules.in_time(&signal, at("2026-11-24T10:00:01Z")).expect_err("late").contains("24 hours"));
        assert_eq!(rules.in_time(&signal, at("2026-11-23T09:50:00Z")), Ok(()));
        assert!(rules.in_time(&signal, at("2026-11-23T09:49:59Z")).expect_err("early").contains("clock"));
    }

    #[test]
    fn judged_before_it_is_redacted_and_kept_after() {
        let rules = rules("[[intent]]\nname = \"refund\"\nwords = [\"jo@example.com\"]\n");
        let json = r#"{"id":"a","at":"2026-11-23T10:00:00Z","conversation":{"error":"jo@example.com failed",
            "turns":[{"role":"user","text":"to Jo@example.com"},{"role":"assistant","tool_calls":[{"name":"t","arguments":{"to":["jo@example.com",1]}}]}]}}"#;
        let observation = rules.observe(signal(json), &redactor());
        assert_eq!(observation.class.as_ref().map(flywheel_model::Key::as_str), Some("refund"));
        assert!(observation.failures[0].detail.ends_with("] failed"));
        assert!(!serde_json::to_string(&observation).expect("JSON").to_lowercase().contains("example.com"));
    }

    #[test]
    fn a_class_that_is_an_address_is_none_that_is_kept() {
        let observation =
            rules("").observe(signal(r#"{"id":"a","at":"2026-11-23T10:00:00Z","retrieval":{"topic":"jo@example.com"}}"#), &redactor());
        let Fact::Retrieval(retrieval) = &observation.signal.fact else { panic!("a retrieval") };
        assert!(
            observation.class == retrieval.topic && observation.class.as_ref().is_some_and(|class| class.as_str().starts_with("[email:"))
        );
    }

    #[test]
    fn no_detail_ends_in_half_of_a_value() {
        // The judge quotes 400 characters: it cuts in the middle of the last number, and what goes before gets short.
        let key = format!("-----BEGIN PRIVATE KEY-----{}-----END PRIVATE KEY-----", "a".repeat(320));
        for more in 0..30 {
            let error = format!("{key}{} 4111 1111 1111 1111 and more", "x".repeat(more));
            let told = serde_json::json!({ "id": "a", "at": "2026-11-23T10:00:00Z", "conversation": { "error": error } });
            let observation = rules("").observe(serde_json::from_value(told).expect("a signal"), &redactor());
            assert!(!observation.failures[0].detail.contains("4111"), "{}", observation.failures[0].detail);
        }
    }
}
