//! Phrases found in text, as whole words and in any case.

use std::ops::Range;

use aho_corasick::AhoCorasick;

/// Characters of one text that are looked through: what a text is about, and that it gives no answer, stands within.
const READ: usize = 20_000;

/// Phrases, compiled once and found all at once.
#[derive(Debug)]
pub(super) struct Phrases {
    automaton: AhoCorasick,
}

impl Phrases {
    /// Compiles phrases; they are found by their place.
    pub(super) fn new<'p>(phrases: impl IntoIterator<Item = &'p str>) -> Self {
        let phrases = phrases.into_iter().map(|phrase| normal(phrase.trim()));
        Self { automaton: AhoCorasick::new(phrases).expect("a policy file is far smaller than what an automaton can hold") }
    }

    /// The phrases in a text that is [`normal`], once for each time that one stands there.
    pub(super) fn in_text(&self, text: &str) -> impl Iterator<Item = usize> {
        self.places(text).map(|(phrase, _)| phrase)
    }

    /// The same, with where each stands.
    pub(super) fn places(&self, text: &str) -> impl Iterator<Item = (usize, Range<usize>)> {
        let whole = move |found: &aho_corasick::Match| {
            !joined(text[..found.start()].chars().next_back(), text[found.start()..].chars().next())
                && !joined(text[..found.end()].chars().next_back(), text[found.end()..].chars().next())
        };
        self.automaton.find_overlapping_iter(text).filter(whole).map(|found| (found.pattern().as_usize(), found.range()))
    }
}

/// Whether two neighbours are of one word. Scripts that put no space between words have no whole words to look for.
fn joined(left: Option<char>, right: Option<char>) -> bool {
    let of_word = |c: Option<char>| c.is_some_and(|c| (c.is_alphanumeric() || c == '_' || combines(c)) && !unspaced(c));
    of_word(left) && of_word(right)
}

fn combines(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}

/// Thai, Lao, Myanmar, Khmer, kana and Han; Hangul too, where particles are written onto the word.
pub(super) fn unspaced(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{20000}'..='\u{3134f}')
}

/// A text in lower case, with plain apostrophes and single spaces.
pub(super) fn normal(text: &str) -> String {
    let mut normal = String::with_capacity(text.len().min(4 * READ));
    for c in text.chars().take(READ) {
        match c {
            'a'..='z' => normal.push(c),
            '\u{2018}' | '\u{2019}' | '\u{2bc}' | '\u{ff07}' => normal.push('\''),
            // The two forms of one letter: which one stands depends on the word's end.
            'Σ' | 'ς' => normal.push('σ'),
            c if c.is_ascii() && !c.is_ascii_whitespace() => normal.push(c.to_ascii_lowercase()),
            c if c.is_whitespace() => {
                if !normal.ends_with(' ') {
                    normal.push(' ');
                }
            }
            c => normal.extend(c.to_lowercase()),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_whole_words_in_any_case_and_script() {
        for (phrase, text, stands) in [
            ("kettle", "My KETTLE leaks", true),
            ("kettle", "kettles", false),
            ("kettle", "the kettle's lid", true),
            ("kettle 3", "Kettle\n 3!", true),
            ("i don't know", "Well, I don\u{2019}t know.", true),
            ("información", "NO TENGO INFORMACIÓN", true),
            ("straße", "Straßen", false),
            ("c++", "c++17", true),
            ("c++", "abc++", false),
            ("退款", "我要退款吗", true),
            ("οδος", "ΟΔΟΣ", true),
            ("order_id", "my order_ids", false),
        ] {
            assert_eq!(Phrases::new([phrase]).in_text(&normal(text)).next().is_some(), stands, "{phrase} in {text}");
        }
    }

    #[test]
    fn a_phrase_within_another_is_found_too() {
        let found: Vec<_> = Phrases::new(["kettle", "kettle 3", "3"]).in_text("kettle 3").collect();
        assert_eq!(found.len(), 3);
    }
}
