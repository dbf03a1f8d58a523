//! What a signal is about: the topic of a retrieval, the intent of a conversation.

use std::collections::{BTreeSet, HashMap};

use flywheel_model::{Conversation, Fact, Key, Role, UNCLASSIFIED};
use flywheel_policy::Class;

use super::phrases::{Phrases, normal};

/// The policy's topics and intents, compiled.
#[derive(Debug)]
pub struct Classifier {
    topics: Classes,
    intents: Classes,
    unclassified: Key,
}

#[derive(Debug)]
struct Classes {
    names: Vec<Key>,
    words: Phrases,
    /// The classes of each word.
    of_word: Vec<Vec<usize>>,
    /// The classes of each tool, by its name in lower case.
    of_tool: HashMap<String, Vec<usize>>,
}

impl Classifier {
    /// Compiles the policy's classes.
    ///
    /// # Panics
    /// Not with a policy that was parsed.
    #[must_use]
    pub fn new(topics: &[Class], intents: &[Class]) -> Self {
        let unclassified = Key::try_from(UNCLASSIFIED).expect("it is a key");
        Self { topics: Classes::new(topics), intents: Classes::new(intents), unclassified }
    }

    /// The class of a fact: what the sender says, or else the rules. None for facts that have no class.
    #[must_use]
    pub fn class(&self, fact: &Fact) -> Option<Key> {
        let class = match fact {
            Fact::Retrieval(retrieval) => retrieval.topic.clone().or_else(|| {
                let text = retrieval.query.as_deref().or(retrieval.answer.as_deref());
                self.topics.best(text, std::iter::empty())
            }),
            Fact::Conversation(conversation) => conversation.intent.clone().or_else(|| {
                let tools = conversation.turns.iter().flat_map(|turn| &turn.tool_calls).map(|call| call.name.as_str());
                self.intents.best(said_by_user(conversation), tools)
            }),
            Fact::WorkflowRun(_) | Fact::Release(_) | Fact::Alarm(_) => return None,
        };
        Some(class.unwrap_or_else(|| self.unclassified.clone()))
    }
}

fn said_by_user(conversation: &Conversation) -> impl Iterator<Item = &str> {
    conversation.turns.iter().filter(|turn| turn.role == Role::User).filter_map(|turn| turn.text.as_deref())
}

impl Classes {
    fn new(classes: &[Class]) -> Self {
        let mut words: Vec<String> = Vec::new();
        let mut of_word: Vec<Vec<usize>> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut of_tool: HashMap<String, Vec<usize>> = HashMap::new();
        for (class, rule) in classes.iter().enumerate() {
            let distinct: BTreeSet<String> = rule.words.iter().map(|word| normal(word.trim())).collect();
            for word in distinct {
                let place = *places.entry(word.clone()).or_insert_with(|| {
                    words.push(word);
                    of_word.push(Vec::new());
                    words.len() - 1
                });
                of_word[place].push(class);
            }
            let distinct: BTreeSet<String> = rule.tools.iter().map(|tool| tool.to_lowercase()).collect();
            for tool in distinct {
                of_tool.entry(tool).or_default().push(class);
            }
        }
        let names = classes.iter().map(|class| class.name.clone()).collect();
        Self { names, words: Phrases::new(words.iter().map(String::as_str)), of_word, of_tool }
    }

    /// The class with the most different words and tools, the first of the file among equals.
    fn best<'a>(&self, texts: impl IntoIterator<Item = &'a str>, tools: impl Iterator<Item = &'a str>) -> Option<Key> {
        if self.names.is_empty() {
            return None;
        }
        let mut matches = vec![0_u32; self.names.len()];
        let mut count = |classes: &[usize]| classes.iter().for_each(|class| matches[*class] += 1);
        if !self.of_word.is_empty() {
            let mut seen = vec![false; self.of_word.len()];
            for text in texts {
                for word in self.words.in_text(&normal(text)) {
                    if !std::mem::replace(&mut seen[word], true) {
                        count(&self.of_word[word]);
                    }
                }
            }
        }
        if !self.of_tool.is_empty() {
            let tools: BTreeSet<String> = tools.map(str::to_lowercase).collect();
            tools.iter().filter_map(|tool| self.of_tool.get(tool)).for_each(|classes| count(classes));
        }
        let most = matches.iter().max().filter(|most| **most > 0)?;
        let first = matches.iter().position(|found| found == most)?;
        Some(self.names[first].clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str, words: &[&str], tools: &[&str]) -> Class {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Class { name: Key::try_from(name).expect("a key"), words: owned(words), tools: owned(tools), knowledge_bases: Vec::new() }
    }

    fn intent(classifier: &Classifier, conversation: &str) -> String {
        let fact = Fact::Conversation(serde_json::from_str(conversation).expect("a conversation"));
        classifier.class(&fact).expect("a class").as_str().to_owned()
    }

    #[test]
    fn most_different_matches_win_then_the_order_of_the_file() {
        let intents = [class("cancel", &["cancel", "booking"], &["cancel_it"]), class("book", &["book", "booking", "cancel"], &[])];
        let classifier = Classifier::new(&[], &intents);
        for (conversation, expected) in [
            (r#"{"turns":[{"role":"user","text":"book a booking"}]}"#, "book"),
            (r#"{"turns":[{"role":"user","text":"Booking"}]}"#, "cancel"),
            (r#"{"turns":[{"role":"user","text":"book book book book"},{"role":"user","text":"Cancel booking"}]}"#, "book"),
            (r#"{"turns":[{"role":"assistant","text":"book","tool_calls":[{"name":"Cancel_It"}]}]}"#, "cancel"),
            (r#"{"turns":[{"role":"user","text":"hello"}]}"#, UNCLASSIFIED),
            (r#"{"intent":"own","turns":[{"role":"user","text":"book"}]}"#, "own"),
        ] {
            assert_eq!(intent(&classifier, conversation), expected, "{conversation}");
        }
    }
}
