//! Whether a reply says that it does not know, and says nothing else.
//!
//! A reply that has such a phrase may still answer: "I'm not sure, but the fee is $5", or a page of help with one thing
//! that was not found. So a reply is taken apart into clauses, and it is "I do not know" only if none of those around the
//! phrase tells anything.

use super::phrases::{Phrases, normal};

/// Words that may stand in the gap of a phrase.
const GAP_WORDS: usize = 5;
/// The most bytes between two parts of a phrase: what so many words have room in.
const GAP_BYTES: usize = 100;
/// A clause of fewer words tells nothing, unless it has a number.
const TELLS: usize = 5;

/// What replies add to "I do not know" out of courtesy: regret, advice to look elsewhere, offers. Without apostrophes of
/// short forms, as [`plain`] leaves them.
const COURTESIES: [&str; 52] = [
    "sorry",
    "apologize",
    "apologise",
    "apologies",
    "let me know",
    "feel free",
    "please contact",
    "please check",
    "please consult",
    "please visit",
    "please refer",
    "please provide",
    "please specify",
    "please clarify",
    "please share",
    "please try",
    "please rephrase",
    "please ask",
    "if you could provide",
    "if you can provide",
    "i recommend",
    "i would recommend",
    "i suggest",
    "i would suggest",
    "it is best to",
    "you may want to",
    "you might want to",
    "you can contact",
    "you can check",
    "you could check",
    "you could try",
    "happy to help",
    "happy to assist",
    "glad to help",
    "can i help",
    "can i assist",
    "help you with",
    "assist you with",
    "further assistance",
    "more information",
    "more details",
    "lo siento",
    "por favor",
    "le recomiendo",
    "te recomiendo",
    "désolé",
    "désolée",
    "veuillez",
    "n'hésitez pas",
    "je vous recommande",
    "tut mir leid",
    "wenden sie sich",
];

/// The policy's phrases, compiled.
#[derive(Debug)]
pub(super) struct NoAnswer {
    /// The parts between the gaps of all phrases.
    parts: Phrases,
    /// The parts of each phrase, by their places.
    phrases: Vec<Vec<usize>>,
    courtesies: Phrases,
}

impl NoAnswer {
    /// Compiles phrases; `*` stands for up to five words of any kind.
    pub(super) fn new(phrases: &[String]) -> Self {
        let mut parts: Vec<String> = Vec::new();
        let phrases = phrases.iter().map(|phrase| {
            let own = phrase.split('*').map(str::trim).filter(|part| !part.is_empty());
            own.map(|part| {
                parts.push(plain(part));
                parts.len() - 1
            })
            .collect()
        });
        let phrases = phrases.collect();
        Self { parts: Phrases::new(parts.iter().map(String::as_str)), phrases, courtesies: Phrases::new(COURTESIES) }
    }

    /// The place of the phrase by which a reply says that it does not know, if that is all it says.
    pub(super) fn said_by(&self, reply: &str) -> Option<usize> {
        let reply = plain(reply);
        let mut said = None;
        for clause in clauses(&reply) {
            match self.phrase_in(clause) {
                Some(phrase) => said = said.or(Some(phrase)),
                None if self.tells(clause) => return None,
                None => {}
            }
        }
        said
    }

    /// The phrase that stands in a clause.
    fn phrase_in(&self, clause: &str) -> Option<usize> {
        let mut found: Vec<_> = self.parts.places(clause).collect();
        found.sort_by_key(|(_, range)| range.start);
        self.phrases.iter().position(|parts| {
            let Some((first, rest)) = parts.split_first() else { return false };
            found.iter().enumerate().filter(|(_, (part, _))| part == first).any(|(at, (_, range))| {
                let mut end = range.end;
                rest.iter().all(|part| {
                    let near = found[at..].iter().take_while(|(_, range)| range.start <= end + GAP_BYTES);
                    let mut next = near.filter(|(found, range)| found == part && range.start >= end);
                    let next = next.find(|(_, range)| clause[end..range.start].split_whitespace().count() <= GAP_WORDS);
                    next.inspect(|(_, range)| end = range.end).is_some()
                })
            })
        })
    }

    /// Whether a clause that has no phrase says something of its own.
    fn tells(&self, clause: &str) -> bool {
        let words = clause.split_whitespace().filter(|word| word.contains(char::is_alphanumeric)).count();
        let unspaced = clause.chars().filter(|c| super::phrases::unspaced(*c)).count();
        (words + unspaced / 2 >= TELLS || clause.contains(|c: char| c.is_ascii_digit()))
            && !clause.ends_with(['?', '？'])
            && self.courtesies.in_text(clause).next().is_none()
    }
}

/// In lower case and without the short forms of "not" and "am", so that a phrase stands for both.
fn plain(text: &str) -> String {
    // Lines end sentences: what they end with must outlive `normal`, which makes spaces of them.
    let text = normal(&text.replace('\n', ".\n"));
    let text = text.replace("can't", "can not").replace("cannot", "can not").replace("won't", "will not");
    text.replace("n't", " not").replace("i'm ", "i am ").replace("i've ", "i have ").replace("there's ", "there is ")
}

/// The sentences of a text, and of them what stands on either side of a "but".
fn clauses(text: &str) -> impl Iterator<Item = &str> {
    const TURNS: [&str; 9] = [" but ", " however", " nevertheless", " nonetheless", ";", " pero ", " sin embargo", " mais ", " aber "];
    let ends_sentence = |c: char| matches!(c, '.' | '!' | '?' | '。' | '！' | '？');
    let mut rest = text;
    let sentences = std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.char_indices().find_map(|(at, c)| {
            let after = at + c.len_utf8();
            (ends_sentence(c) && (!c.is_ascii() || rest[after..].is_empty() || rest[after..].starts_with(' '))).then_some(after)
        });
        let (sentence, others) = rest.split_at(end.unwrap_or(rest.len()));
        rest = others.trim_start();
        Some(sentence.trim_end_matches(['.', '。', '!', '！']).trim())
    });
    sentences.flat_map(|sentence| {
        let mut turns: Vec<_> = TURNS.iter().flat_map(|turn| sentence.match_indices(turn)).collect();
        turns.sort_unstable();
        let mut from = 0;
        let mut clauses = Vec::with_capacity(turns.len() + 1);
        for (at, turn) in turns {
            // Two turns may share a space.
            clauses.push(&sentence[from..at.max(from)]);
            from = at + turn.len();
        }
        clauses.push(&sentence[from..]);
        clauses
    })
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use flywheel_policy::Policy;
    use proptest::prelude::*;

    use super::*;

    static BY_DEFAULT: LazyLock<NoAnswer> = LazyLock::new(|| {
        let source = "[[data_source]]\nknowledge_base = \"KB12345678\"\ndata_source = \"DS12345678\"\nbucket = \"docs\"\n";
        NoAnswer::new(&Policy::parse(&format!("mode = \"act\"\n{source}")).expect("a policy").failures.no_answer)
    });

    #[test]
    fn a_reply_that_knows_nothing_says_so_in_many_words() {
        for reply in [
            "I don't know.",
            "Sorry, I don\u{2019}t KNOW that.",
            "I do not have that information.",
            "I don't have any specific details about the warranty of the kettle.",
            "I'm sorry, but I couldn't find anything about lids. Please contact support, or is there anything else?",
            "Unfortunately, there is no detailed information on returns. Let me know if you have other questions!",
            "The search results do not contain information about kettles.",
            "I cannot answer that. You may want to check the manual or ask the manufacturer directly.",
            "I was unable to find the price\n\nFor more details, visit our website",
            "Lo siento, no tengo esa información.",
            "Je n'ai pas d'informations à ce sujet. N'hésitez pas à nous écrire.",
            "Es tut mir leid, ich habe dazu keine Informationen.",
        ] {
            assert!(BY_DEFAULT.said_by(reply).is_some(), "{reply}");
        }
    }

    #[test]
    fn a_reply_that_hedges_and_answers_or_answers_in_part_is_an_answer() {
        for reply in [
            "I'm not sure, but the fee is $5.",
            "I don't have the exact price. However, the kettle is sold in all of our shops.",
            "The kettle boils a litre in 4 minutes. I could not find how long two take.",
            "The lid is covered for two years; there is no information about the cord.",
            "You need a permit if you do not have information from the court beforehand, and the clerk issues it the same day. Bring a form.",
            "Which kettle are you referring to?",
            "You're welcome! Anything else?",
            "Don't mention it!",
            "",
        ] {
            assert!(BY_DEFAULT.said_by(reply).is_none(), "{reply}");
        }
    }

    #[test]
    fn a_gap_is_a_few_words_of_one_clause() {
        let no_answer = NoAnswer::new(&["i have no * information".to_owned()]);
        assert!(no_answer.said_by("I have no information").is_some());
        assert!(no_answer.said_by("I have no truly new and good information").is_some());
        assert!(no_answer.said_by("I have no more than the one page that holds information").is_none());
        assert!(no_answer.said_by("I have no kettle. Information is lacking").is_none());
    }

    #[test]
    fn a_long_reply_of_nothing_but_turns_or_phrases_is_read() {
        for (part, says_no) in [("; ", false), (" but ", false), ("I have no ", false), ("I don't have information ", true), (".", false)] {
            assert_eq!(BY_DEFAULT.said_by(&part.repeat(20_000)).is_some(), says_no, "{part}");
        }
    }

    proptest! {
        #[test]
        fn any_reply_is_read(reply in "(i don't|have|\\*|no information|but|\\. |；|。|\n|.){0,60}", phrase in "[a-z* ]{0,12}") {
            BY_DEFAULT.said_by(&reply);
            NoAnswer::new(&[phrase]).said_by(&reply);
        }
    }
}
