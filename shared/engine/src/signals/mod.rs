//! Signals: from what an application sent to what is kept and counted of it.
//!
//! [`Rules::observe`] makes a signal an observation: it is classified, judged and redacted. [`tally`] says what an
//! observation counts for, [`batch`] how counts are written so that each signal counts once.

pub mod batch;
mod classify;
mod judge;
mod no_answer;
mod phrases;
mod redact;
mod tally;

use flywheel_model::{Observation, Signal};
use flywheel_policy::Policy;
use jiff::{SignedDuration, Timestamp};

pub use classify::Classifier;
pub use judge::{Judge, resolution};
pub use redact::{Redact, redact, redact_evaluations, redact_failures, redact_json, redact_passage, redact_text, redact_turn};
pub use tally::{counts, tally};

/// How far ahead of ours a sender's clock may be.
const AHEAD: SignedDuration = SignedDuration::from_mins(10);

/// The most characters of a failure's detail that are kept.
const DETAIL: usize = 200;

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
        let class = self.classifier.class(&signal.fact);
        let mut failures = self.judge.failures(&signal.fact);
        redact(&mut signal, without);
        redact_failures(&mut failures, without);
        for failure in &mut failures {
            // Cut after redaction: half of an address is not recognised as one.
            if let Some((end, _)) = failure.detail.char_indices().nth(DETAIL) {
                failure.detail.truncate(end);
            }
        }
        Observation { signal, class, failures }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use flywheel_model::Key;

    use super::*;

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
        let rules = rules("[[intent]]\nname = \"refund\"\nwords = [\"secret word\"]\n");
        let json = r#"{"id":"a","at":"2026-11-23T10:00:00Z","conversation":{"error":"secret failure",
            "turns":[{"role":"user","text":"the Secret  WORD"},{"role":"assistant","tool_calls":[{"name":"t","arguments":{"secret":["secret",1]}}]}]}}"#;
        struct NoSecret;
        impl Redact for NoSecret {
            fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
                text.replace("ecret", "*").into()
            }
            fn user(&self, id: &Key) -> Key {
                id.clone()
            }
        }
        let observation = rules.observe(signal(json), &NoSecret);
        assert_eq!(observation.class.as_ref().map(flywheel_model::Key::as_str), Some("refund"));
        assert_eq!(observation.failures[0].detail, "s* failure");
        assert!(!serde_json::to_string(&observation).expect("JSON").contains("ecret"));
    }
}
