//! Whose data it is: what came from one conversation, or from one user.

use flywheel_model::{Fact, Id, Key, Observation, Suite, SuiteChange, TestSource};

use crate::cases::{Inquiry, Shelf};

/// Those whose data is to be erased, by the names that they are kept under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// A conversation.
    Conversation(Key),
    /// A user.
    User(Key),
}

impl Whose {
    /// Whether an observation is of theirs.
    #[must_use]
    pub fn is_observation(&self, observation: &Observation) -> bool {
        match &observation.signal.fact {
            Fact::Retrieval(retrieval) => self.is(retrieval.conversation.as_ref(), retrieval.user.as_ref()),
            Fact::Conversation(conversation) => {
                let name = conversation.conversation.as_ref().unwrap_or(&observation.signal.id);
                self.is(Some(name), conversation.user.as_ref())
            }
            Fact::WorkflowRun(_) | Fact::Release(_) | Fact::Alarm(_) => false,
        }
    }

    /// Whether a retrieval is of theirs.
    #[must_use]
    pub fn is_inquiry(&self, inquiry: &Inquiry) -> bool {
        self.is(inquiry.conversation.as_ref(), inquiry.user.as_ref())
    }

    /// What is theirs of a knowledge base's cases, and what was decided about questions that only they asked.
    #[must_use]
    pub fn of_shelf(&self, shelf: &Shelf) -> Shelf {
        let (theirs, others): (Vec<_>, Vec<_>) = shelf.sightings.iter().cloned().partition(|sighting| self.is_inquiry(&sighting.inquiry));
        let only_theirs = |question: &Id| {
            theirs.iter().any(|sighting| sighting.question == *question) && !others.iter().any(|sighting| sighting.question == *question)
        };
        let decisions = shelf.decisions.iter().filter(|decision| only_theirs(&decision.question)).cloned().collect();
        Shelf { sightings: theirs, decisions }
    }

    /// A suite without what is theirs: tests that were made from their conversations, or with an answer out of one, go; others
    /// forget that they stand for them too. Nothing if it has nothing of theirs.
    #[must_use]
    pub fn out_of_suite(&self, suite: &Suite) -> Option<Suite> {
        let is_theirs = |source: &TestSource| self.is(Some(&source.conversation), source.user.as_ref());
        let mut without = suite.clone();
        without.tests.retain(|test| !test.sources.iter().take(1).chain(&test.lent_by).any(is_theirs));
        for test in &mut without.tests {
            let named = test.sources.len();
            test.sources.retain(|source| !is_theirs(source));
            test.conversations -= (named - test.sources.len()) as u64;
        }
        let gone: Vec<&Id> =
            suite.tests.iter().map(|test| &test.test).filter(|id| !without.tests.iter().any(|test| test.test == **id)).collect();
        without.changes.retain(|change: &SuiteChange| !gone.contains(&&change.test));
        (without != *suite).then_some(without)
    }

    fn is(&self, conversation: Option<&Key>, user: Option<&Key>) -> bool {
        match self {
            Self::Conversation(name) => conversation == Some(name),
            Self::User(name) => user == Some(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_found_by_its_name_or_its_signals_and_a_user_by_the_placeholder() {
        let key = |name: &str| Key::try_from(name).expect("a key");
        let observation = |fact: &str| -> Observation {
            serde_json::from_str(&format!(r#"{{"signal":{{"id":"s","at":"2026-11-23T10:00:00Z",{fact}}}}}"#)).expect("an observation")
        };
        for (whose, fact, theirs) in [
            (Whose::Conversation(key("c")), r#""retrieval":{"conversation":"c"}"#, true),
            (Whose::Conversation(key("c")), r#""retrieval":{"conversation":"d","user":"c"}"#, false),
            (Whose::Conversation(key("s")), r#""conversation":{}"#, true),
            (Whose::Conversation(key("s")), r#""conversation":{"conversation":"c"}"#, false),
            (Whose::User(key("u")), r#""conversation":{"user":"u"}"#, true),
            (Whose::User(key("s")), r#""workflow_run":{"workflow":"s","status":"failed"}"#, false),
        ] {
            assert_eq!(whose.is_observation(&observation(fact)), theirs, "{whose:?} {fact}");
        }
    }
}
