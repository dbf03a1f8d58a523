//! Failures on command, so that a test can meet on purpose what the service does now and then.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::calls::Operation;
use super::error::{ApiError, ErrorCode};

/// One failure to come, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Only calls of this operation; any if not set. Ignored by the effects on documents and jobs.
    #[serde(default)]
    pub operation: Option<Operation>,
    /// Only in this knowledge base.
    #[serde(default)]
    pub knowledge_base: Option<String>,
    /// Only on this data source.
    #[serde(default)]
    pub data_source: Option<String>,
    /// How many times it strikes.
    #[serde(default = "once")]
    pub times: u32,
    /// What happens.
    pub effect: Effect,
}

fn once() -> u32 {
    1
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum Effect {
    /// The call is refused and does nothing. It has used its place in the rate.
    Refuse {
        /// With this error.
        error: ErrorCode,
        /// In these words, or the service's usual ones.
        #[serde(default)]
        message: Option<String>,
    },
    /// The call takes effect, and the caller is told this error. A call that the service refuses anyway is told so.
    PerformThenRefuse {
        /// The error.
        error: ErrorCode,
        /// In these words, or the service's usual ones.
        #[serde(default)]
        message: Option<String>,
    },
    /// The call never arrives; the caller sees a lost connection.
    LoseRequest,
    /// The call takes effect; the caller sees a lost connection.
    LoseAnswer,
    /// The answer is late by this much. See [`Bedrock::take_delay`](super::Bedrock::take_delay).
    Delay {
        /// How late.
        by: SignedDuration,
    },
    /// Indexing a document whose key matches fails, in a job or directly.
    FailDocument {
        /// The whole key, where `*` stands for any run of characters: `*.txt`, `manuals/*`.
        key: String,
        /// The reason given.
        reason: String,
    },
    /// The next job started ends FAILED.
    FailJob {
        /// The reason given.
        reason: String,
        /// How many documents it still gets done.
        #[serde(default)]
        after_documents: usize,
    },
    /// The next job started takes longer by this much.
    SlowJob {
        /// How much longer.
        by: SignedDuration,
    },
}

impl Fault {
    /// This effect, once, on whatever comes first.
    #[must_use]
    pub fn once(effect: Effect) -> Self {
        Self { operation: None, knowledge_base: None, data_source: None, times: 1, effect }
    }

    /// The next call of the operation is refused.
    #[must_use]
    pub fn refuse(operation: Operation, error: ErrorCode) -> Self {
        Self::once(Effect::Refuse { error, message: None }).on(operation)
    }

    /// The next call of the operation takes effect and its answer is lost.
    #[must_use]
    pub fn lose_answer(operation: Operation) -> Self {
        Self::once(Effect::LoseAnswer).on(operation)
    }

    /// The next call of the operation never arrives.
    #[must_use]
    pub fn lose_request(operation: Operation) -> Self {
        Self::once(Effect::LoseRequest).on(operation)
    }

    /// The next attempt at a document whose key matches fails.
    pub fn fail_document(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::once(Effect::FailDocument { key: key.into(), reason: reason.into() })
    }

    /// The next job fails before its first document.
    pub fn fail_job(reason: impl Into<String>) -> Self {
        Self::once(Effect::FailJob { reason: reason.into(), after_documents: 0 })
    }

    /// The same, this many times.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// The same, only on calls of this operation.
    #[must_use]
    pub fn on(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// The same, only on this data source.
    #[must_use]
    pub fn on_data_source(mut self, data_source: impl Into<String>) -> Self {
        self.data_source = Some(data_source.into());
        self
    }

    fn is_about(&self, knowledge_base: &str, data_source: &str) -> bool {
        self.knowledge_base.as_deref().is_none_or(|only| only == knowledge_base)
            && self.data_source.as_deref().is_none_or(|only| only == data_source)
    }
}

/// What a fault does to a call.
#[derive(Debug)]
pub(crate) enum Strike {
    LoseRequest,
    LoseAnswer,
    Refuse(ApiError),
    PerformThenRefuse(ApiError),
}

/// What the faults have in store for a new job.
#[derive(Debug, Default)]
pub(crate) struct JobFate {
    pub(crate) fails: Option<(String, usize)>,
    pub(crate) longer_by: SignedDuration,
}

/// The faults to come, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    queue: Vec<Fault>,
}

impl Faults {
    pub(crate) fn push(&mut self, fault: Fault) {
        if fault.times > 0 {
            self.queue.push(fault);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.queue.clear();
    }

    pub(crate) fn pending(&self) -> &[Fault] {
        &self.queue
    }

    /// The first fault that `pick` makes something of, used up by one.
    fn take<T>(&mut self, mut pick: impl FnMut(&Fault) -> Option<T>) -> Option<T> {
        let (index, picked) = self.queue.iter().enumerate().find_map(|(i, fault)| pick(fault).map(|it| (i, it)))?;
        let fault = &mut self.queue[index];
        fault.times -= 1;
        if fault.times == 0 {
            self.queue.remove(index);
        }
        Some(picked)
    }

    /// Whether the next fault for this call keeps it from arriving. Asked before the rate is counted.
    pub(crate) fn loses_request(&mut self, operation: Operation, knowledge_base: &str, data_source: &str) -> bool {
        let mut first = true;
        self.take(|fault| {
            let applies = applies_to_call(fault, operation, knowledge_base, data_source);
            let is_first = applies && std::mem::take(&mut first);
            (is_first && fault.effect == Effect::LoseRequest).then_some(())
        })
        .is_some()
    }

    /// What befalls a call that arrived and was within its rate.
    pub(crate) fn strike(&mut self, operation: Operation, knowledge_base: &str, data_source: &str) -> Option<Strike> {
        let error = |code: ErrorCode, message: &Option<String>| ApiError::new(code, message.as_deref().unwrap_or(code.default_message()));
        self.take(|fault| {
            if !applies_to_call(fault, operation, knowledge_base, data_source) {
                return None;
            }
            match &fault.effect {
                Effect::Refuse { error: code, message } => Some(Strike::Refuse(error(*code, message))),
                Effect::PerformThenRefuse { error: code, message } => Some(Strike::PerformThenRefuse(error(*code, message))),
                Effect::LoseAnswer => Some(Strike::LoseAnswer),
                Effect::LoseRequest => Some(Strike::LoseRequest),
                _ => None,
            }
        })
    }

    /// How late the answer to this call is to be.
    pub(crate) fn delay(&mut self, operation: Operation, knowledge_base: &str, data_source: &str) -> SignedDuration {
        self.take(|fault| match fault.effect {
            Effect::Delay { by } if fault.operation.is_none_or(|only| only == operation) && fault.is_about(knowledge_base, data_source) => {
                Some(by)
            }
            _ => None,
        })
        .unwrap_or_default()
    }

    /// Why this attempt at a document is to fail, if it is.
    pub(crate) fn document(&mut self, knowledge_base: &str, data_source: &str, key: &str) -> Option<String> {
        if self.queue.is_empty() {
            return None;
        }
        self.take(|fault| match &fault.effect {
            Effect::FailDocument { key: pattern, reason } if fault.is_about(knowledge_base, data_source) && matches(pattern, key) => {
                Some(reason.clone())
            }
            _ => None,
        })
    }

    /// What is to become of a job that starts now.
    pub(crate) fn job(&mut self, knowledge_base: &str, data_source: &str) -> JobFate {
        let fails = self.take(|fault| match &fault.effect {
            Effect::FailJob { reason, after_documents } if fault.is_about(knowledge_base, data_source) => {
                Some((reason.clone(), *after_documents))
            }
            _ => None,
        });
        let longer_by = self.take(|fault| match fault.effect {
            Effect::SlowJob { by } if fault.is_about(knowledge_base, data_source) => Some(by),
            _ => None,
        });
        JobFate { fails, longer_by: longer_by.unwrap_or_default() }
    }
}

fn applies_to_call(fault: &Fault, operation: Operation, knowledge_base: &str, data_source: &str) -> bool {
    matches!(fault.effect, Effect::Refuse { .. } | Effect::PerformThenRefuse { .. } | Effect::LoseRequest | Effect::LoseAnswer)
        && fault.operation.is_none_or(|only| only == operation)
        && fault.is_about(knowledge_base, data_source)
}

/// Whether the whole text matches a pattern in which `*` stands for any run of characters.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        for (pattern, text, expected) in [
            ("a.txt", "a.txt", true),
            ("a.txt", "b/a.txt", false),
            ("*.txt", "b/a.txt", true),
            ("docs/*", "docs/", true),
            ("docs/*", "other/docs/x", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("*", "", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }
}
